"""Exact duplicates over instruction files: what delia-build drops, file by file, beside a count of DuckDB's.

    python benches/peers/counts.py FILE…          files: JSON arrays and JSON Lines, plain or .zst

DuckDB reads the files itself and counts, in SQL of its own, the usable rows that an earlier one equals in all three texts, in the
order in which the files are given. Ends with an error where the two disagree.
"""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile

import duckdb

NAMES = {
    "instruction": ["instruction", "prompt", "question", "query"],
    "input": ["input", "context"],
    "output": ["output", "response", "completion", "answer"],
}

# What only says that there is no input.
PLACEHOLDER = r"^[\s<>()\[\]\"'.]*(n/a|none|no input|noinput|no input (provided|required|needed|necessary)|not applicable)?[\s<>()\[\]\"'.]*$"
BARE = r"^[\s<>()\[\]\"'.]*[<>()\[\]\"'.][\s<>()\[\]\"'.]*$"


def read(connection, nth, path):
    """The rows of a file as a table of three texts."""
    compressed = ", compression = 'zstd'" if path.endswith(".zst") else ""
    whole = "SELECT * FROM read_json(?, maximum_object_size = 500000000" + compressed + ")"
    known = [row[0] for row in connection.execute("DESCRIBE " + whole, [path]).fetchall()]
    columns = []
    for role, names in NAMES.items():
        found = [f'"{column}"' for name in names for column in known if column.lower() == name]
        if "instances" in known and role != "instruction":
            found = [f"instances[1].{role}"]
        columns.append(f"coalesce({', '.join(found + [chr(39) * 2])}) AS {role}")
    rows = f"SELECT {nth} AS file, row_number() OVER () AS row, {', '.join(columns)} FROM ({whole})"
    connection.execute(f"CREATE TABLE file_{nth} AS {rows}", [path])
    return f"FROM file_{nth}"


def by_duckdb(files):
    connection = duckdb.connect()
    tables = " UNION ALL ".join(read(connection, nth, path) for nth, path in enumerate(files))
    counts = connection.execute(
        f"""
        WITH texts AS (
            SELECT file, row, instruction, output,
                CASE WHEN regexp_matches(input, $placeholder, 'i') AND NOT regexp_matches(input, $bare) THEN '' ELSE input END AS input
            FROM ({tables})
        ),
        numbered AS (
            SELECT file, row_number() OVER (PARTITION BY instruction, input, output ORDER BY file, row) AS nth
            FROM texts
            WHERE regexp_matches(output, '\\S') AND regexp_matches(concat(instruction, input), '\\S')
        )
        SELECT file, count(*) FROM numbered WHERE nth > 1 GROUP BY file
        """,
        {"placeholder": PLACEHOLDER, "bare": BARE},
    ).fetchall()
    return {os.path.basename(files[file]).split(".")[0]: n for file, n in counts}


def by_delia(files):
    folder = tempfile.mkdtemp()
    shards = os.path.join(folder, "shards")
    # A task of its own, so that no row goes because a task row equals it.
    task = os.path.join(folder, "task.jsonl")
    with open(task, "w") as out:
        json.dump({"instruction": "counts.py", "output": "counts.py"}, out)
    build = ["delia-build", "--quiet", "--task", task, "--diverse", *files, "--ratio", "1", "--near", "off", "--out", shards]
    subprocess.run(build, check=True)
    sql = "SELECT source, count(*) AS n FROM dropped WHERE reason = 'exact_duplicate' GROUP BY source"
    text = subprocess.run(["delia-sql", shards, sql, "--format", "csv"], check=True, capture_output=True, text=True).stdout
    shutil.rmtree(folder)
    return {source: int(n) for source, n in list(csv.reader(io.StringIO(text)))[1:]}


def main():
    files = sys.argv[1:]
    ours, theirs = by_delia(files), by_duckdb(files)
    print("| source | delia-build | DuckDB |\n|---|---:|---:|")
    for path in files:
        name = os.path.basename(path).split(".")[0]
        print(f"| {name} | {ours.get(name, 0)} | {theirs.get(name, 0)} |")
    print(f"| all | {sum(ours.values())} | {sum(theirs.values())} |")
    if ours != theirs:
        sys.exit("the counts disagree")


if __name__ == "__main__":
    main()
