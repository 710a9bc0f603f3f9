"""Makes the bundled model's tokenizer: byte-level BPE over the procedural stream, digits one by one.

    delia-build --task procedural-base@60000 --ratio 0 --out base_text
    pip install tokenizers==0.22.* pyarrow
    python data/model/tiny/make_tokenizer.py base_text
"""

import json
import sys
from pathlib import Path

import pyarrow.dataset
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
VOCABULARY = 2048
SPECIAL = ["<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"]
TEMPLATE = (
    "{{- bos_token }}\n"
    "{%- for message in messages %}\n"
    "    {{- '<|' + message.role + '|>' + message.content + '<|end|>' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|assistant|>' }}\n"
    "{%- endif %}\n"
)


def texts(folder):
    table = pyarrow.dataset.dataset(sorted(map(str, Path(folder).glob("[0-9]*.parquet")))).to_table()
    for column in ["instruction", "input", "output"]:
        yield from table[column].to_pylist()
    # English beside the stream's, so that other texts do not fall apart into letters: all written for this project.
    for path in ["README.md", "data/README.md", "data/task/README.md", "data/lexicon/README.md"]:
        yield from (HERE.parents[2] / path).read_text().splitlines()
    for line in (HERE.parents[2] / "data/task/formatted_text.jsonl").read_text().splitlines():
        yield from json.loads(line).values()


tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
    # Every digit alone: numbers are read and written place by place.
    pre_tokenizers.Digits(individual_digits=True),
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
])
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=VOCABULARY, special_tokens=[AddedToken(token, special=True) for token in SPECIAL],
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
)
tokenizer.train_from_iterator(texts(sys.argv[1]), trainer)
tokenizer.save(str(HERE / "tokenizer.json"), pretty=False)

config = {
    "add_prefix_space": False,
    "bos_token": "<|begin|>",
    "clean_up_tokenization_spaces": False,
    "eos_token": "<|end|>",
    "model_max_length": 2048,
    "pad_token": "<|pad|>",
    "tokenizer_class": "PreTrainedTokenizerFast",
}
(HERE / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
(HERE / "chat_template.jinja").write_text(TEMPLATE)
