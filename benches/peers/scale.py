"""Generated rows in bounded memory: delia-build beside DuckDB and Polars on the same Parquet files, and the cost by size.

    python benches/peers/scale.py ROWS… [--limit 1GB] [--near-limit 4GB] [--near-up-to ROWS]

A procedural row has 143 bytes of text, so 14,000,000 rows are 2 GB. For every number of rows, delia-build first writes that many
procedural rows to one file, some of them twice in place of those that are equal, and their text is counted. Then, from this file, each tool drops exact duplicates, keeps the first, shuffles by a seeded hash and writes zstd Parquet in row groups of 2,048.
All have two threads; delia-build and DuckDB the memory limit, Polars has none to set. DuckDB runs twice: as one would write it
(DISTINCT ON the three texts), and by a hash of them, as delia-build does. The second table is delia-build alone, near-duplicates on and off.
A tool that fails is said to.
"""

import argparse
import os
import shutil
import sys
import tempfile

import duckdb

from measure import used

DUCKDB = """
import duckdb, os
folder = os.path.dirname({out!r})
duckdb.sql("SET memory_limit = '{limit}'; SET threads = 2")
duckdb.sql(f"SET temp_directory = '{{folder}}/spill'")
duckdb.sql('''
    COPY ({select}) TO {out!r} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048)
''')
"""

DISTINCT_ON = """
    SELECT instruction, input, output
    FROM (
        SELECT DISTINCT ON (instruction, input, output) instruction, input, output, position
        FROM read_parquet({file!r})
        ORDER BY position
    )
    ORDER BY md5(concat(position, 'seed 0')), position
"""

BY_KEY = """
    WITH keyed AS (
        SELECT position, md5_number(concat(length(instruction), ' ', length(input), ' ', instruction, input, output)) AS key
        FROM read_parquet({file!r})
    ),
    kept AS (SELECT min(position) AS position FROM keyed GROUP BY key)
    SELECT instruction, input, output
    FROM read_parquet({file!r}) AS rows
    JOIN kept ON kept.position = rows.position
    ORDER BY md5(concat(rows.position, 'seed 0')), rows.position
"""

POLARS = """
import polars as pl
rows = pl.scan_parquet({file!r}).select("position", "instruction", "input", "output")
texts = ["instruction", "input", "output"]
kept = rows.unique(subset=texts, keep="first")
shuffled = kept.sort(pl.col("position").hash(seed=0), "position").select(texts)
shuffled.sink_parquet({out!r}, compression="zstd", row_group_size=2048)
"""


def generate(n_rows, folder):
    """A file with so many procedural rows, and the bytes of their text."""
    shards = os.path.join(folder, "generated")
    shutil.rmtree(shards, ignore_errors=True)
    build = ["delia-build", "--quiet", "--diverse", f"procedural@{n_rows}", "--ratio", str(n_rows // 100)]
    build += ["--held-out-diverse", "0", "--near", "off"]
    run = used([*build, "--rows-per-shard", str(n_rows + 1000), "--out", shards])
    if run.error:
        sys.exit(run.error)
    file = os.path.join(folder, "rows.parquet")
    os.replace(os.path.join(shards, "00000.parquet"), file)
    shutil.rmtree(shards)
    bytes_of = "SELECT sum(strlen(instruction) + strlen(input) + strlen(output)), count(*) FROM read_parquet(?)"
    n_bytes, n_rows = duckdb.execute(bytes_of, [file]).fetchone()
    return file, n_rows, int(n_bytes)


def cells(run, n_rows):
    if run.error:
        return f"stopped after {run.wall:.0f} s at {run.peak:.0f} MB: {run.error[:120]} | | | |"
    return f"{run.cpu:.1f} s | {run.wall:.1f} s | {1e6 * run.cpu / n_rows:.1f} µs | {run.peak:.0f} MB |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int, nargs="+")
    parser.add_argument("--limit", default="1GB")
    parser.add_argument("--near-limit", default="4GB")
    parser.add_argument("--near-up-to", type=int, default=sys.maxsize)
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp()
    sizes, peers = [], []
    for n_rows in arguments.rows:
        file, n_rows, n_bytes = generate(n_rows, folder)
        out = os.path.join(folder, "out.parquet")
        shards = os.path.join(folder, "shards")
        build = ["delia-build", "--quiet", "--diverse", file, "--ratio", str((n_rows - 100) // 100), "--held-out-diverse", "0"]
        build += ["--threads", "2", "--out", shards]
        python = lambda script: [sys.executable, "-c", script]
        duck = lambda select: DUCKDB.format(select=select.format(file=file), out=out, limit=arguments.limit)
        tools = {
            "delia-build": build + ["--near", "off", "--memory-limit", arguments.limit],
            "DuckDB, DISTINCT ON": python(duck(DISTINCT_ON)),
            "DuckDB, by key": python(duck(BY_KEY)),
            "Polars": python(POLARS.format(file=file, out=out)),
            "near": build + ["--near", "0.8", "--memory-limit", arguments.near_limit],
        }
        if n_rows > arguments.near_up_to:
            del tools["near"]
        runs = {}
        for name, command in tools.items():
            runs[name] = used(command, POLARS_MAX_THREADS="2")
            shutil.rmtree(shards, ignore_errors=True)
            shutil.rmtree(os.path.join(folder, "spill"), ignore_errors=True)
            if os.path.exists(out):
                os.remove(out)
        ours = runs["delia-build"]
        for name in list(tools)[:4]:
            run = runs[name]
            ratio = "" if run.error or ours.error else f"{ours.cpu / run.cpu:.2f} × | {ours.wall / run.wall:.2f} ×"
            peers.append(f"| {n_rows:,} | {n_bytes / 1e6:,.0f} MB | {name} | {cells(run, n_rows)} {ratio or ' |'} |")
        for name in [name for name in ("delia-build", "near") if name in runs]:
            label = "0.8" if name == "near" else "off"
            sizes.append(f"| {n_rows:,} | {n_bytes / 1e6:,.0f} MB | {label} | {cells(runs[name], n_rows)}")
    print(f"Limit {arguments.limit}, two threads\n")
    print("| rows | text | | CPU | seconds | CPU a row | peak memory | delia-build's CPU to its | seconds |")
    print("|---:|---:|---|---:|---:|---:|---:|---:|---:|", *peers, sep="\n")
    print(f"\n`--near 0.8` with {arguments.near_limit}\n\n| rows | text | near | CPU | seconds | CPU a row | peak memory |")
    print("|---:|---:|---|---:|---:|---:|---:|", *sizes, sep="\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
