"""Alpaca 52K and the bundled task to shards: delia-build beside DuckDB, in turn, on the same files.

    python benches/peers/alpaca.py ALPACA_FILE [RUNS]

DuckDB does the part of the work it has words for: read both files, drop empty outputs, keep the first of equal samples, order
by a seeded hash, write zstd Parquet with the same row groups. delia-build also checks and hashes its sources, accounts for
every row, and syncs what it writes. CPU is user + system of the whole process, memory its peak resident size.
"""

import os
import shutil
import statistics
import sys
import tempfile

from measure import run

DUCKDB = """
import duckdb
duckdb.sql('''
    COPY (
        WITH rows AS (
            SELECT 0 AS source, instruction, input, output FROM read_json('{task}')
            UNION ALL
            SELECT 1, instruction, input, output FROM read_json('{alpaca}', maximum_object_size = 100000000)
        ),
        numbered AS (SELECT *, row_number() OVER () AS row FROM rows WHERE trim(output) <> ''),
        kept AS (SELECT DISTINCT ON (instruction, input, output) * FROM numbered ORDER BY source, row)
        SELECT row_number() OVER (ORDER BY md5(concat(row, 'seed 0')), row) - 1 AS position, *
        FROM kept
        ORDER BY position
    ) TO '{out}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048)
''')
"""


def line(name, values, unit):
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"| {name} | {middle:.2f} {unit} | {low:.2f} | {high:.2f} |")


def main():
    alpaca = sys.argv[1]
    n_runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    task = os.path.join(os.path.dirname(__file__), "../../data/task/formatted_text.jsonl")
    folder = tempfile.mkdtemp()
    ours, theirs = [], []
    for nth in range(n_runs + 1):
        shards = os.path.join(folder, "shards")
        shutil.rmtree(shards, ignore_errors=True)
        build = ["delia-build", "--quiet", "--diverse", alpaca, "--near", "off", "--ratio", "519", "--held-out-diverse", "0", "--out", shards]
        a = run(build)
        out = os.path.join(folder, "duckdb.parquet")
        b = run([sys.executable, "-c", DUCKDB.format(task=task, alpaca=alpaca, out=out)])
        if nth > 0:  # the first pair warms the file cache
            ours.append(a)
            theirs.append(b)
    print(f"{n_runs} pairs after a warm-up\n\n| | median | least | most |\n|---|---:|---:|---:|")
    line("delia-build CPU", [cpu for cpu, _ in ours], "s")
    line("DuckDB CPU", [cpu for cpu, _ in theirs], "s")
    line("ratio, pair by pair", [a / b for (a, _), (b, _) in zip(ours, theirs)], "×")
    line("delia-build peak memory", [peak for _, peak in ours], "MB")
    line("DuckDB peak memory", [peak for _, peak in theirs], "MB")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
