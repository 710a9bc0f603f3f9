"""CPU of a whole build of Alpaca 52K and the bundled task with everything on, and of the same with one part off at a time.

    python benches/peers/build.py RUNS ALPACA_FILE EVAL_FILE…

Near-duplicates at 0.8, decontamination against the evaluation sets, and a diverse selection of 50,000 rows, which is also measured.
"""

import os
import shutil
import statistics
import sys
import tempfile

from measure import used


def main():
    n_runs, alpaca, evals = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    folder = tempfile.mkdtemp()
    build = ["delia-build", "--quiet", "--force", "--diverse", alpaca, "--ratio", "500", "--out", os.path.join(folder, "shards")]
    near, decontaminate, select = ["--near", "0.8"], ["--eval", *evals], ["--select", "diverse"]
    variants = {
        "everything on": near + decontaminate + select,
        "near-duplicates off": ["--near", "off"] + decontaminate + select,
        "decontamination off": near + select,
        "random selection": near + decontaminate,
        "all three off": ["--near", "off"],
    }
    runs = {name: [] for name in variants}
    for nth in range(n_runs + 1):
        for name, arguments in variants.items():
            run = used(build + arguments)
            if run.error:
                sys.exit(f"{name}: {run.error}")
            if nth > 0:  # the first round warms the file cache
                runs[name].append(run)
    print(f"{n_runs} rounds after a warm-up\n\n| | CPU | least | most | seconds | peak memory |\n|---|---:|---:|---:|---:|---:|")
    for name, each in runs.items():
        cpu = [run.cpu for run in each]
        wall, peak = (statistics.median(getattr(run, of) for run in each) for of in ("wall", "peak"))
        print(f"| {name} | {statistics.median(cpu):.2f} s | {min(cpu):.2f} | {max(cpu):.2f} | {wall:.2f} | {peak:.0f} MB |")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
