"""Writes what transformers multiplies the learning rate by, step by step.

    pip install torch==2.* transformers==5.*
    python tests/golden/schedules/make.py

Steps are rounded up from a share as `TrainingArguments` rounds them. The last row of a run is the rate behind its last step, to
which a run never comes.
"""

import csv
import math
from pathlib import Path

import torch
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

# Steps, and steps of the warm-up: none, some, all but one, all, more than there are.
RUNS = [(1, 0), (1, 1), (2, 1), (7, 0), (7, 3), (7, 6), (7, 7), (7, 20), (10, 3), (815, 0), (815, 41), (815, 815)]
# Of a long run every so many steps.
EVERY = 37


def factors(name, n_steps, warmup_steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    if name == "cosine":
        schedule = get_cosine_schedule_with_warmup(optimizer, warmup_steps, n_steps)
    elif name == "linear":
        schedule = get_linear_schedule_with_warmup(optimizer, warmup_steps, n_steps)
    else:
        schedule = get_constant_schedule_with_warmup(optimizer, warmup_steps)
    for step in range(n_steps + 1):
        yield step, schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()


with open(Path(__file__).parent / "factors.csv", "w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["schedule", "n_steps", "warmup_steps", "step", "factor"])
    for name in ("cosine", "linear", "constant"):
        for n_steps, warmup_steps in RUNS:
            for step, factor in factors(name, n_steps, warmup_steps):
                if n_steps < 100 or step % EVERY == 0 or step in (1, warmup_steps, n_steps - 1, n_steps):
                    table.writerow([name, n_steps, warmup_steps, step, repr(factor)])

with open(Path(__file__).parent / "shares.csv", "w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["share", "n_steps", "warmup_steps"])
    for share in (0.0, 0.03, 0.05, 0.1, 0.5, 1.0):
        for n_steps in (1, 3, 20, 60, 100, 815):
            table.writerow([share, n_steps, math.ceil(n_steps * share)])
