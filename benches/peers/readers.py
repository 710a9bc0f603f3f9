"""What other tools read in a folder of shards, without help; they must agree with each other.

    python benches/peers/readers.py SHARDS
"""

import glob
import os
import sys

import datasets
import duckdb
import polars
import pyarrow.dataset


def main():
    pattern = os.path.join(sys.argv[1], "[0-9]*.parquet")
    files = sorted(glob.glob(pattern))
    rows = {
        "duckdb": duckdb.sql(f"SELECT count(*), max(position) FROM '{pattern}'").fetchall()[0],
        "pyarrow": None,
        "polars": polars.scan_parquet(files).select(polars.len(), polars.max("position")).collect().row(0),
        "datasets": None,
    }
    table = pyarrow.dataset.dataset(files).to_table()
    rows["pyarrow"] = (table.num_rows, max(table["position"].to_pylist()))
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    positions = [row["position"] for row in loaded]
    rows["datasets"] = (len(positions), positions[-1])
    for name, (n_rows, last) in rows.items():
        print(f"{name}: {n_rows} rows, last position {last}")
    if len(set(rows.values())) != 1 or positions != list(range(len(positions))):
        sys.exit("the readers disagree")


if __name__ == "__main__":
    main()
