"""Makes the tiny random checkpoints beside this script, what transformers computes with them, and ten LoRA steps of PEFT.

    pip install torch==2.* transformers==5.* peft==0.* safetensors
    python tests/golden/models/make.py [NAME ...]

Shapes are awkward on purpose: a head width that is not hidden/heads, three query heads a key head, odd vocabularies, windows shorter
than the sequences, caps and query scales that matter at this size.
Everything is computed in 32 bits on the CPU; the tests compare within 1e-4 (states, logits) and 1e-3 (losses).
"""

import json
import math
import os
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, get_cosine_schedule_with_warmup

# Relative names, so that no path of a machine gets into a file.
os.chdir(Path(__file__).parent)
COMMON = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=3, max_position_embeddings=64, rms_norm_eps=3e-5)
LLAMA3 = dict(
    rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=3.0,
    original_max_position_embeddings=16,
)
GQA = dict(num_attention_heads=6, num_key_value_heads=2, head_dim=10, vocab_size=67)
MODELS = {
    "mha_untied": dict(num_attention_heads=4, num_key_value_heads=4, vocab_size=61, tie_word_embeddings=False),
    "gqa_tied": dict(**GQA, tie_word_embeddings=True),
    "llama3_rope": dict(
        num_attention_heads=4, num_key_value_heads=2, vocab_size=61, tie_word_embeddings=True, rope_parameters=LLAMA3,
        attention_bias=True, mlp_bias=True,
    ),
    "sharded_bf16": dict(num_attention_heads=4, num_key_value_heads=2, vocab_size=61, tie_word_embeddings=False),
    "mistral": dict(model_type="mistral", **GQA, sliding_window=7, tie_word_embeddings=False),
    "gemma": dict(model_type="gemma", **GQA),
    "gemma2": dict(
        model_type="gemma2", **GQA, sliding_window=5, query_pre_attn_scalar=7, attn_logit_softcapping=1.7,
        final_logit_softcapping=2.3,
    ),
    "gemma3": dict(
        model_type="gemma3_text", **GQA, sliding_window=6, query_pre_attn_scalar=13,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 3.0, "rope_theta": 700.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 90.0},
        },
    ),
    "qwen2": dict(
        model_type="qwen2", num_attention_heads=6, num_key_value_heads=2, vocab_size=67, tie_word_embeddings=True,
        use_sliding_window=True, sliding_window=9, max_window_layers=1,
    ),
    "qwen3": dict(model_type="qwen3", **GQA, tie_word_embeddings=False),
}
# Where ten steps are made, and with which adapters.
STEPS = {
    "mha_untied": [("lora", {})],
    "gqa_tied": [("lora", {}), ("rslora", dict(use_rslora=True)), ("dora", dict(use_dora=True))],
    "gemma2": [("lora", {})],
    "qwen3": [("lora", dict(target_modules=r".*layers\.[12]\..*_proj"))],
}
SEQ_LEN = 23


def make_model(name, settings):
    torch.manual_seed(sum(map(ord, name)))
    # A wide spread, so that no part of the network is too small to be noticed.
    settings = {"model_type": "llama", **COMMON, **settings}
    config = AutoConfig.for_model(**settings, initializer_range=0.3)
    model = AutoModelForCausalLM.from_config(config)
    for name_, parameter in model.named_parameters():
        if parameter.dim() == 1:
            # Gemma's norms are stored less 1.
            is_offset = name_.endswith("norm.weight") and settings["model_type"].startswith("gemma")
            torch.nn.init.normal_(parameter, mean=-0.1 if is_offset else 0.9, std=0.3)
    folder = Path(name)
    shutil.rmtree(folder, ignore_errors=True)
    if name == "sharded_bf16":
        model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="12KB")
    else:
        model.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.randint(0, settings["vocab_size"], (2, SEQ_LEN))
    with torch.no_grad():
        out = model(ids, output_hidden_states=True, use_cache=False)
    golden = {f"state_{place}": state.reshape(2 * SEQ_LEN, -1).contiguous() for place, state in enumerate(out.hidden_states)}
    golden["logits"] = out.logits.reshape(2 * SEQ_LEN, -1).contiguous()
    golden["ids"] = ids.reshape(-1).to(torch.float32)
    save_file(golden, folder / "golden.safetensors")


def make_steps(name, kind, changes):
    """Ten steps of AdamW on adapters with random A and B and a new token, losses over the targets of two micro-batches."""
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, attn_implementation="eager")
    new = model.config.vocab_size
    model.resize_token_embeddings(new + 1, mean_resizing=False)
    rows = {"embed_tokens": [new]} if model.config.tie_word_embeddings else {"embed_tokens": [new], "lm_head": [new]}
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    settings = dict(
        r=3, lora_alpha=7, lora_dropout=0.0, target_modules=targets, init_lora_weights=False, task_type="CAUSAL_LM",
        trainable_token_indices=rows,
    )
    # In evaluation mode PEFT remembers the row lengths of DoRA from one step to the next.
    model = get_peft_model(model, LoraConfig(**{**settings, **changes})).train()
    folder = Path(name) / kind
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, 2, 10)
    generator = torch.Generator().manual_seed(11)
    steps, losses, norms = [], [], []
    for _ in range(10):
        micro_batches = []
        for n, seq_len in [(2, 9), (3, 6)]:
            ids = torch.randint(0, new, (n, seq_len), generator=generator)
            ids[:, 2] = new
            # Of every sequence the tokens from `start` on are counted; the new token is one of them in some.
            starts = torch.randint(1, 4, (n,), generator=generator)
            micro_batches.append((ids, starts))
        n_targets = sum(ids.shape[1] - int(start) for ids, starts in micro_batches for start in starts)
        total = 0.0
        optimizer.zero_grad()
        for ids, starts in micro_batches:
            labels = ids.clone()
            for row, start in enumerate(starts):
                labels[row, :start] = -100
            logits = model(input_ids=ids, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].reshape(-1, new + 1), labels[:, 1:].reshape(-1), ignore_index=-100, reduction="sum"
            ) / n_targets
            loss.backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, 1.0).item())
        optimizer.step()
        schedule.step()
        losses.append(total)
        steps.append([{"ids": ids.tolist(), "starts": starts.tolist()} for ids, starts in micro_batches])
    assert math.isfinite(losses[-1])
    golden = {"new_token": new, "steps": steps, "losses": losses, "grad_norms": norms}
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        make_model(name, MODELS[name])
        for kind, changes in STEPS.get(name, []):
            make_steps(name, kind, changes)
