"""Tokens a second of delia-fit and of PEFT on the same steps of the same shards, one after the other, in pairs.

    pip install torch transformers peft pyarrow
    python benches/peers/fit.py shards tiny --steps 6 --pairs 3          # also: 15m, 110m, llama2_7b --device cuda

Both train rank 16 beside every projection of a model of the given shape with random weights, dropout 0.05, in steps of 64
samples sorted by length and padded in micro-batches of at most so many tokens, padding included. PEFT is given what makes it
fast: scores of supervised tokens only, one forward and backward a micro-batch, no trainer around it. Tokens are counted without
padding; the first step of each run is left out.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import pyarrow.parquet
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "data/model/tiny"
BATCH_SIZE = 64
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def delia(shards, shape, steps, device):
    with tempfile.TemporaryDirectory() as folder:
        command = ["delia-fit", shards, "--model", MODEL, "--init-model", HERE / "shapes" / f"{shape}.json"]
        command += ["--special-token", "--max-steps", str(steps), "--device", device, "--out", f"{folder}/out", "--quiet"]
        subprocess.run([str(part) for part in command], check=True)
        lines = Path(folder, "out/metrics.jsonl").read_text().splitlines()[1:]
    lines = [json.loads(line) for line in lines]
    seconds = sum(line["tokens"] / line["tokens_per_second"] for line in lines)
    return sum(line["tokens"] for line in lines) / seconds


def samples(shards):
    for shard in sorted(Path(shards).glob("[0-9]*.parquet")):
        for row in pyarrow.parquet.read_table(shard).to_pylist():
            prompt = "\n".join(part for part in [row["instruction"], row["input"]] if part)
            yield [{"role": "user", "content": prompt}, {"role": "assistant", "content": row["output"]}]


def batches(shards, steps):
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    rows = samples(shards)
    for _ in range(steps):
        batch = []
        for _ in range(BATCH_SIZE):
            messages = next(rows)
            encode = lambda part, **more: tokenizer.apply_chat_template(part, tokenize=True, return_dict=False, **more)
            batch.append((encode(messages), len(encode(messages[:1], add_generation_prompt=True))))
        yield sorted(batch, key=lambda sample: -len(sample[0]))


def micro_batches(batch, most_tokens):
    while batch:
        n = max(1, most_tokens // len(batch[0][0]))
        yield batch[:n]
        batch = batch[n:]


def peft(steps_of, shape, device, micro_tokens):
    fields = json.loads((HERE / "shapes" / f"{shape}.json").read_text())
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    torch.set_default_dtype(dtype)
    with torch.device(device):
        base = LlamaForCausalLM(LlamaConfig(**{**fields, "dtype": dtype}))
    torch.set_default_dtype(torch.float32)
    config = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(base, config).train()
    decoder, head = base.model, base.lm_head
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.01)
    n_tokens, seconds = 0, 0.0
    for step, batch in enumerate(steps_of):
        started = time.perf_counter()
        n_targets = sum(len(ids) - start for ids, start in batch)
        for micro in micro_batches(batch, micro_tokens):
            length = len(micro[0][0])
            ids = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in micro], device=device)
            places = [(row, place) for row, (ids_, start) in enumerate(micro) for place in range(start, len(ids_))]
            rows, columns = torch.tensor(places, device=device).T
            # Padded behind their ends: causal attention needs no other mask.
            states = decoder(input_ids=ids, use_cache=False).last_hidden_state[rows, columns - 1]
            loss = torch.nn.functional.cross_entropy(head(states).float(), ids[rows, columns], reduction="sum") / n_targets
            loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if device != "cpu":
            torch.cuda.synchronize()
        if step > 0:
            n_tokens += sum(len(ids) for ids, _ in batch)
            seconds += time.perf_counter() - started
    return n_tokens / seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("shards")
    parser.add_argument("shape")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    micro_tokens = 1024 if arguments.device == "cpu" else 8192
    steps_of = list(batches(arguments.shards, arguments.steps))
    ratios = []
    for _ in range(arguments.pairs):
        ours = delia(arguments.shards, arguments.shape, arguments.steps, arguments.device)
        theirs = peft(steps_of, arguments.shape, arguments.device, micro_tokens)
        ratios.append(ours / theirs)
        print(f"delia-fit {ours:8.0f} tokens/s   PEFT {theirs:8.0f} tokens/s   ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")
