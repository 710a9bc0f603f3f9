"""Loads what delia-fit leaves in PEFT and transformers and prints what it scores: used by the test `exports_give_pefts_logits`.

    pip install torch transformers peft
    python benches/peers/exports.py FIT IDS.json LOGITS.json

FIT is the folder of a fit with `--export base-with-tokens,merged`, IDS.json holds a list of token ids. LOGITS.json gets the scores
of every position: of the adapter beside its base, of the plain adapter beside the base with tokens, of the merged model.
"""

import json
import sys
from pathlib import Path

import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

fit, ids, logits = map(Path, sys.argv[1:])
ids = torch.tensor([json.loads(ids.read_text())])


def scores(model):
    with torch.no_grad():
        return model.eval()(ids, use_cache=False).logits[0].tolist()


def whole(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = model.get_input_embeddings().weight.shape[0]
    assert len(tokenizer) <= rows == model.config.vocab_size, (len(tokenizer), rows)
    return model


adapter = AutoPeftModelForCausalLM.from_pretrained(fit, dtype=torch.float32)
beside = PeftModel.from_pretrained(whole(fit / "base_with_tokens"), fit / "base_with_tokens" / "adapter")
found = {"adapter": scores(adapter), "base_with_tokens": scores(beside), "merged": scores(whole(fit / "merged"))}
logits.write_text(json.dumps(found))
