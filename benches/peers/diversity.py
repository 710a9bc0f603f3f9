"""Is a diverse selection more diverse than a random one of as many words? delia-build on one file, by share of the pool.

    python benches/peers/diversity.py FILE [SEEDS]

For 5, 20 and 50 % of the pool and every seed, `--select diverse` picks its rows and `diversity.parquet` measures them beside random
rows of the same source with the same number of words. Printed are the means over the seeds and the mean difference, diverse less
random of the same seed, with its 95 % interval (Student's t). "diverse" or "random" stands in the last column where the interval
excludes zero, "—" where it does not.
"""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

SHARES = [0.05, 0.2, 0.5]
MEASURES = {
    "distinct_1": 4,
    "distinct_2": 4,
    "distinct_3": 4,
    "lead_pairs": 0,
    "lead_pair_entropy": 3,
    "cluster_coverage": 4,
    "cluster_entropy": 3,
    "mean_distance": 4,
}
# Student's t, 97.5 %, by degrees of freedom from 1.
T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131]


def measured(path, ratio, seed, folder):
    """The rows of the table `diversity` by pick, and the build's task rows."""
    shards = os.path.join(folder, "shards")
    build = ["delia-build", "--quiet", "--force", "--diverse", path, "--ratio", f"{ratio:.6f}", "--select", "diverse"]
    subprocess.run([*build, "--near", "off", "--held-out-diverse", "0", "--seed", str(seed), "--out", shards], check=True)
    sql = ["delia-sql", shards, "SELECT * FROM diversity", "--format", "json"]
    rows = json.loads(subprocess.run(sql, check=True, capture_output=True, text=True).stdout)
    manifest = json.load(open(os.path.join(shards, "manifest.json")))
    return {row["pick"]: row for row in rows}, manifest["ratio"]["task_rows"]


def main():
    path, n_seeds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    folder = tempfile.mkdtemp()
    first, n_tasks = measured(path, 1, 0, folder)
    pool = first["pool"]
    print(f"{pool['rows']:,} rows of the pool, {pool['words']:,} words; {n_seeds} seeds\n")
    print("| share | measure | pool | random | diverse | difference | 95 % interval | more diverse |")
    print("|---|---|---:|---:|---:|---:|---:|---|")
    for share in SHARES:
        runs = [measured(path, share * pool["rows"] / n_tasks, seed, folder)[0] for seed in range(n_seeds)]
        for unit in ("rows", "words"):
            random, diverse = (statistics.mean(run[pick][unit] for run in runs) for pick in ("random", "diverse"))
            print(f"| {share:.0%} | {unit} | {pool[unit]:,} | {random:,.0f} | {diverse:,.0f} | | | |")
        for measure, digits in MEASURES.items():
            random, diverse = ([run[pick][measure] for run in runs] for pick in ("random", "diverse"))
            differences = [b - a for a, b in zip(random, diverse)]
            mean = statistics.mean(differences)
            half = T[n_seeds - 2] * statistics.stdev(differences) / math.sqrt(n_seeds)
            verdict = "—" if mean - half <= 0 <= mean + half else "diverse" if mean > 0 else "random"
            cells = [pool[measure], statistics.mean(random), statistics.mean(diverse)]
            cells = " | ".join(f"{cell:.{digits}f}" for cell in cells)
            more = digits + 1
            interval = f"{mean - half:+.{more}f} … {mean + half:+.{more}f}"
            print(f"| {share:.0%} | {measure} | {cells} | {mean:+.{more}f} | {interval} | {verdict} |", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
