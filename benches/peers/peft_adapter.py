"""Loads an adapter of delia-fit in PEFT and prints what its model scores: used by the test `peft_gives_the_logits_delia_gives`.

    pip install torch transformers peft
    python benches/peers/peft_adapter.py ADAPTER IDS.json LOGITS.json

IDS.json holds a list of token ids. LOGITS.json gets the scores of every position, once as AutoPeftModelForCausalLM loads the
adapter and once as PeftModel does beside a base that was resized.
"""

import json
import sys
from pathlib import Path

import torch
from peft import AutoPeftModelForCausalLM, PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

adapter, ids, logits = sys.argv[1:]
ids = torch.tensor([json.loads(Path(ids).read_text())])


def scores(model):
    with torch.no_grad():
        return model.eval()(ids, use_cache=False).logits[0].tolist()


auto = AutoPeftModelForCausalLM.from_pretrained(adapter, dtype=torch.float32)

base = AutoModelForCausalLM.from_pretrained(PeftConfig.from_pretrained(adapter).base_model_name_or_path, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(adapter)
base.resize_token_embeddings(max(len(tokenizer), base.config.vocab_size))  # a row for every new token
by_hand = PeftModel.from_pretrained(base, adapter)

Path(logits).write_text(json.dumps({"auto": scores(auto), "by_hand": scores(by_hand)}))
