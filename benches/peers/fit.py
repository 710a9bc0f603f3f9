"""Tokens a second and peak memory of delia-fit and of what people train with today, on the same steps of the same shards.

    pip install torch transformers peft trl datasets pyarrow
    python benches/peers/fit.py shards 15m --steps 8 --rounds 3          # also: 3m, 110m, llama2_7b --device cuda

All train rank 16 beside every projection of a model of the given shape with random weights, dropout 0.05, AdamW, on steps of 16
samples (`--batch-size`). Tokens are those of prompts and responses, without padding; the first step of each run is left out.
Every run is a process of its own, so that its peak memory is its own. The peers:

    peft        PEFT beside a transformers model, padded, the loss from the scores of all tokens
    trl         TRL's SFTTrainer as it comes: the same with its head, which also measures entropy and accuracy
    supervised  PEFT, padded, scores of supervised tokens only; micro-batches of at most 1,024 tokens, sorted by length
    packed      the same on packed samples that do not see each other: what is fastest in PyTorch
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "data/model/tiny"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PEERS = ["peft", "trl", "supervised", "packed"]


def delia(arguments):
    with tempfile.TemporaryDirectory() as folder:
        shape = HERE / "shapes" / f"{arguments.shape}.json"
        command = ["delia-fit", arguments.shards, "--model", MODEL, "--init-model", shape, "--special-token", "--quiet"]
        command += ["--batch-size", arguments.batch_size, "--max-steps", arguments.steps, "--device", arguments.device]
        command += ["--out", f"{folder}/out"] + arguments.with_flags
        child = subprocess.Popen([str(part) for part in command])
        # The peak of this process, not of all that ran before it.
        _, status, usage = os.wait4(child.pid, 0)
        if status != 0:
            sys.exit(f"delia-fit ended with {status}")
        lines = Path(folder, "out/metrics.jsonl").read_text().splitlines()[1:]
    lines = [json.loads(line) for line in lines]
    seconds = sum(line["tokens"] / line["tokens_per_second"] for line in lines)
    return sum(line["tokens"] for line in lines) / seconds, usage.ru_maxrss


def batches(arguments):
    """Steps of (token ids, place of the first supervised one), as delia-fit has them."""
    import pyarrow.parquet
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    encode = lambda part, **more: tokenizer.apply_chat_template(part, tokenize=True, return_dict=False, **more)
    n_rows = arguments.steps * arguments.batch_size
    samples = []
    for shard in sorted(Path(arguments.shards).glob("[0-9]*.parquet")):
        for batch in pyarrow.parquet.ParquetFile(shard).iter_batches():
            for row in batch.to_pylist():
                if len(samples) == n_rows:
                    break
                prompt = "\n".join(part for part in [row["instruction"], row["input"]] if part)
                messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": row["output"]}]
                samples.append((encode(messages), len(encode(messages[:1], add_generation_prompt=True))))
    return [samples[start : start + arguments.batch_size] for start in range(0, n_rows, arguments.batch_size)]


def model_of(arguments):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    fields = json.loads((HERE / "shapes" / f"{arguments.shape}.json").read_text())
    dtype = torch.float32 if arguments.device == "cpu" else torch.bfloat16
    torch.set_default_dtype(dtype)
    with torch.device(arguments.device):
        base = LlamaForCausalLM(LlamaConfig(**{**fields, "dtype": dtype}))
    torch.set_default_dtype(torch.float32)
    config = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules=TARGETS, task_type="CAUSAL_LM")
    return base, config, get_peft_model


def micro_batches(mode, batch, most_tokens):
    """What is computed at a time: lists of rows, each a list of samples."""
    batch = sorted(batch, key=lambda sample: -len(sample[0]))
    if mode == "peft":
        return [[[sample] for sample in batch]]
    if mode == "supervised":
        micro = []
        while batch:
            n = max(1, most_tokens // len(batch[0][0]))
            micro.append([[sample] for sample in batch[:n]])
            batch = batch[n:]
        return micro
    rows = []
    for sample in batch:
        row = rows[-1] if rows and sum(len(ids) for ids, _ in rows[-1]) + len(sample[0]) <= most_tokens else None
        if row is None:
            rows.append([sample])
        else:
            row.append(sample)
    return [[row] for row in rows]


def peft(arguments, mode):
    import torch

    base, config, get_peft_model = model_of(arguments)
    model = get_peft_model(base, config).train()
    decoder, head = base.model, base.lm_head
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.01)
    device, counted = arguments.device, []
    for batch in batches(arguments):
        started = time.perf_counter()
        n_targets = sum(len(ids) - start for ids, start in batch)
        for rows in micro_batches(mode, batch, 1024 if device == "cpu" else 8192):
            length = max(sum(len(ids) for ids, _ in row) for row in rows)
            ids = torch.zeros(len(rows), length, dtype=torch.long)
            labels = torch.full((len(rows), length), -100)
            positions, owners = torch.zeros_like(ids), torch.full_like(ids, -1)
            for nth, row in enumerate(rows):
                end = 0
                for owner, (tokens, start) in enumerate(row):
                    place = slice(end, end + len(tokens))
                    ids[nth, place] = torch.tensor(tokens)
                    labels[nth, end + start : place.stop] = ids[nth, end + start : place.stop]
                    positions[nth, place] = torch.arange(len(tokens))
                    owners[nth, place] = owner
                    end = place.stop
            ids, labels, positions, owners = (tensor.to(device) for tensor in (ids, labels, positions, owners))
            more = {}
            if mode == "packed":
                order = torch.arange(length, device=device)
                seen = (owners[:, None, :, None] == owners[:, None, None, :]) & (order[:, None] >= order)
                more = {"attention_mask": seen, "position_ids": positions}
            # Padded behind their ends: causal attention needs no other mask.
            if mode == "peft":
                logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
                loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
            else:
                rows_, columns = (labels[:, 1:] != -100).nonzero().T
                states = decoder(input_ids=ids, use_cache=False, **more).last_hidden_state[rows_, columns]
                scores = head(states).float()
                loss = torch.nn.functional.cross_entropy(scores, labels[rows_, columns + 1], reduction="sum") / n_targets
            loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if device != "cpu":
            torch.cuda.synchronize()
        counted.append((sum(len(ids) for ids, _ in batch), time.perf_counter() - started))
    return rate(counted)


def trl(arguments):
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    base, config, _ = model_of(arguments)
    steps = batches(arguments)
    # In the order of the steps: TRL shuffles, which changes what is in a step but not how much there is in all.
    samples = [sample for batch in steps for sample in batch]
    rows = [{"input_ids": ids, "labels": [-100] * start + ids[start:]} for ids, start in samples]
    ends = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder, per_device_train_batch_size=arguments.batch_size, max_steps=len(steps), report_to="none",
            learning_rate=2e-4, weight_decay=0.01, max_length=None, gradient_checkpointing=False, save_strategy="no",
            bf16=arguments.device != "cpu", use_cpu=arguments.device == "cpu", disable_tqdm=True, logging_strategy="no",
            dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False,
        )
        trainer = SFTTrainer(
            model=base, args=settings, train_dataset=Dataset.from_list(rows), peft_config=config,
            processing_class=AutoTokenizer.from_pretrained(MODEL), callbacks=[Clock()],
        )
        order = []
        collate = trainer.data_collator

        def noted(batch):
            order.append(sum(len(row["input_ids"]) for row in batch))
            return collate(batch)

        trainer.data_collator = noted
        trainer.train()
    counted = list(zip(order[: len(ends)], [0.0] + [after - before for before, after in zip(ends, ends[1:])]))
    return rate(counted)


def rate(counted):
    return sum(n for n, _ in counted[1:]) / sum(seconds for _, seconds in counted[1:])


def one(arguments):
    """One peer in this process."""
    import torch

    torch.set_num_threads(os.cpu_count())
    found = trl(arguments) if arguments.one == "trl" else peft(arguments, arguments.one)
    print(json.dumps([found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))


def other(arguments, peer):
    command = [sys.executable, __file__, *sys.argv[1:], "--one", peer]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(ran.stdout.splitlines()[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("shards")
    parser.add_argument("shape")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--with-flags", default="", type=str.split, help="more flags of delia-fit")
    parser.add_argument("--one", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments)
        sys.exit()
    peers = [peer for peer in arguments.peers.split(",") if peer]
    rates = {name: [] for name in ["delia-fit", *peers]}
    peaks = {}
    for _ in range(arguments.rounds):
        for name in rates:
            found, peak = delia(arguments) if name == "delia-fit" else other(arguments, name)
            rates[name].append(found)
            peaks[name] = max(peak, peaks.get(name, 0))
        print("   ".join(f"{name} {found[-1]:.0f}" for name, found in rates.items()), flush=True)
    print(f"| {arguments.shape} | tokens/s | least | most | delia-fit to it, round by round | peak memory |")
    for name, found in rates.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(rates["delia-fit"], found))
        print(
            f"| {name} | {statistics.median(found):,.0f} | {min(found):,.0f} | {max(found):,.0f} | {ratio:.2f} × "
            f"| {peaks[name] / 1024:,.0f} MB |"
        )
