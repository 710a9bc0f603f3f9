"""How many responses the bundled model gives exactly, on prompts of another seed than it was trained on.

    delia-build --task procedural-base@400 --ratio 0 --seed 1 --held-out-diverse 0 --out base_test
    pip install torch transformers pyarrow
    python data/model/tiny/exact_match.py base_test
"""

import sys
from pathlib import Path

import pyarrow.parquet
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
tokenizer = AutoTokenizer.from_pretrained(HERE)
model = AutoModelForCausalLM.from_pretrained(HERE, dtype=torch.float32).eval()
rows = [row for shard in sorted(Path(sys.argv[1]).glob("[0-9]*.parquet")) for row in pyarrow.parquet.read_table(shard).to_pylist()]
n_right = 0
for row in rows:
    prompt = "\n".join(part for part in [row["instruction"], row["input"]] if part)
    ids = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=False)
    with torch.no_grad():
        found = model.generate(ids, max_new_tokens=150, do_sample=False)
    n_right += tokenizer.decode(found[0, ids.shape[1]:], skip_special_tokens=True) == row["output"]
print(f"{n_right} of {len(rows)} responses are exactly right")
