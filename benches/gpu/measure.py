"""What a fit of a Llama-2-7B shape does with a GPU: matrix products, tokens a second, the share of the peak, and memory over 300 steps.

    python benches/gpu/measure.py shards [--steps 300]

Random weights in 16 bits, made on the device; rank 16 beside every projection; steps of 16 samples. Memory is what `nvidia-smi`
counts for the whole device, so nothing else may use it. It fails where memory still grows behind the first 50 steps.
"""

import argparse
import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "data/model/tiny"
SHAPE = HERE.parent / "peers/shapes/llama2_7b.json"
# Multiplications and additions of a token, forward and backward, beside frozen weights: 4 for each of 6.61 billion.
OPERATIONS = 4 * 6.61e9
# What NVIDIA states for 16 bits without sparsity, H100 SXM and H200.
PEAK = 989e12
SETTLED = 50
# The pool of the device grows in pages.
SLACK_MIB = 256


def command(shards, *more):
    settings = ["--model", MODEL, "--init-model", SHAPE, "--special-token", "--device", "cuda", "--batch-size", "16"]
    return ["delia-fit", shards, *map(str, settings), *more]


def used_mib():
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    return int(subprocess.run(query, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("shards")
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()

    plan = subprocess.run(command(arguments.shards, "--plan", "--json"), check=True, capture_output=True, text=True)
    speed = json.loads(plan.stdout)["time"]["operations_per_second"]
    print(f"matrix products of the feed-forward network: {speed / 1e12:.0f} TFLOP/s")

    with tempfile.TemporaryDirectory() as folder:
        metrics = Path(folder, "out/metrics.jsonl")
        more = ["--max-steps", str(arguments.steps), "--out", f"{folder}/out", "--eval-every", "off", "--quiet"]
        memory, done = [], threading.Event()

        def watch():
            while not done.wait(0.5):
                step = len(metrics.read_text().splitlines()) if metrics.exists() else 0
                memory.append((step, used_mib()))

        watcher = threading.Thread(target=watch)
        watcher.start()
        started = time.perf_counter()
        try:
            subprocess.run(command(arguments.shards, *more), check=True)
        finally:
            done.set()
            watcher.join()
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]

    print(f"{arguments.steps} steps in {time.perf_counter() - started:.0f} s, loading included")
    tuned = lines[20:]
    rate = sum(line["tokens"] for line in tuned) / sum(line["tokens"] / line["tokens_per_second"] for line in tuned)
    print(f"{rate:,.0f} tokens/s without padding: {100 * rate * OPERATIONS / PEAK:.1f} % of the peak")
    early = max((mib for step, mib in memory if 0 < step <= SETTLED), default=0)
    late = max((mib for step, mib in memory if step > SETTLED), default=0)
    print(f"memory: {early:,} MiB within {SETTLED} steps, {late:,} MiB behind them")
    assert late <= early + SLACK_MIB, "memory grows"


if __name__ == "__main__":
    main()
