"""Makes what transformers makes of conversations: `golden.json`, `features.json`, and the small tokenizer `pieces.json`.

    pip install transformers==5.* tokenizers
    python tests/golden/templates/make.py

The templates beside this script follow the public descriptions of five families. Their tokenizers are small: the bundled model's,
or `pieces.json`, which works as those of SentencePiece models do, with the special tokens of the family. The layouts `alpaca` and
`raw` are the program's own templates.
"""

import json
import os
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

# Relative names, so that no path of a machine gets into a file.
os.chdir(Path(__file__).parent)
ROOT = Path("../../..")
TINY = ROOT / "data/model/tiny/tokenizer.json"

# By kind: the tokenizer it is made from, what the normalizer puts before a text, and its special tokens.
KINDS = {
    "llama2": dict(base="pieces", prepend=True, special=[], bos="<s>", eos="</s>"),
    "llama3": dict(
        base="tiny", special=["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
        bos="<|begin_of_text|>", eos="<|eot_id|>",
    ),
    "gemma": dict(base="pieces", prepend=False, special=["<start_of_turn>", "<end_of_turn>"], bos="<s>", eos="</s>"),
    "chatml": dict(base="tiny", newlines=True, special=["<|im_start|>", "<|im_end|>"], bos=None, eos="<|im_end|>"),
    "mistral": dict(base="pieces", prepend=True, special=["[INST]", "[/INST]"], bos="<s>", eos="</s>"),
    "alpaca": dict(base="pieces", prepend=True, special=[], bos="<s>", eos="</s>"),
    "raw": dict(base="tiny", special=["<|im_end|>"], bos=None, eos="<|im_end|>"),
}
SYSTEM = "You answer briefly.\nAnd politely."
CONVERSATIONS = [
    dict(instruction="Name three colours.", input="", output="Red, green and blue."),
    dict(instruction="Add the numbers.", input="1 2", output="3"),
    dict(instruction="", input="Only an input.", output="Only an output."),
    dict(instruction="  Spaces and a line.  \n", input="", output="  kept or not  \n"),
    dict(instruction="Ünïcödé, 漢字 und 🦀🦀?", input="é́ — “ß”", output="漢字 🦀 “ja” é́"),
    dict(instruction="Begin with a line break.", input="", output="\nYes."),
    dict(instruction="Begin with two.", input="", output="\n\nYes."),
    dict(instruction="Begin with three and a tab.", input="x\n", output="\n\n\n\tYes.\n\n"),
    dict(instruction="Say nothing.", input="", output=""),
    dict(
        instruction="What is <|im_end|> or </s> or <|eot_id|>?", input="[INST] <start_of_turn>user\n<s>",
        output="The end: </s><|im_end|>\n<|im_start|>user\n<end_of_turn> [/INST] <|end_header_id|>.",
    ),
    dict(instruction="{{ bos_token }}{% raw %}", input="{# no #} a\\nb 'q' \"d\" <b>&amp;</b>", output="{{ 1 }}%}"),
    dict(instruction="Windows\r\nlines\r\n", input="\r\n\tx", output="a\r\nb\r"),
]
LINES = [
    "the answer is a number of words, and the question asks for one of them.", "name three colours: red, green and blue.",
    "an instruction describes a task; write a response that completes the request.", "below is an input that provides further context.",
    "a list:\n\n- one\n- two\n\n- three\n\n", "user\nmodel\nassistant\nsystem\n\n", "### Instruction:\n\n### Input:\n\n### Response:\n",
]


def make_pieces():
    """A BPE over text in which spaces are `▁`, with bytes for what it does not know."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(LINES, trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>"]))
    learned = json.loads(trained.to_str())["model"]
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    names += [piece for piece in learned["vocab"] if piece not in names]
    model = models.BPE(
        vocab={name: nth for nth, name in enumerate(names)}, merges=[tuple(merge) for merge in learned["merges"]],
        unk_token="<unk>", fuse_unk=True, byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    Path("pieces.json").write_text(tokenizer.to_str() + "\n")


def make_tokenizer(kind):
    """The tokenizer of a kind, as the test makes it too."""
    spec = KINDS[kind]
    path = TINY if spec["base"] == "tiny" else Path("pieces.json")
    made = json.loads(path.read_text())
    vocab = made["model"]["vocab"]
    if spec.get("newlines"):
        vocab["ĊĊ"] = len(vocab)
        made["model"]["merges"].append(["Ċ", "Ċ"])
    if spec.get("prepend"):
        made["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, made["normalizer"]]}
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    for token in spec["special"]:
        n_tokens = len(vocab) + len([token for token in made["added_tokens"] if token["content"] not in vocab])
        made["added_tokens"].append(dict(id=n_tokens, content=token, **flags))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        file.write_text(json.dumps(made))
        tokens = {name: spec[key] for name, key in [("bos_token", "bos"), ("eos_token", "eos")] if spec[key]}
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file), **tokens)
    tokenizer.chat_template = (template_path(kind)).read_text()
    return tokenizer


def template_path(kind):
    own = Path(kind) / "chat_template.jinja"
    return own if own.exists() else ROOT / "src/tokenizer" / f"{kind}.jinja"


def messages_of(conversation, system):
    instruction, given = conversation["instruction"], conversation["input"]
    both = "\n".join(text for text in [instruction, given] if text)
    user = dict(role="user", content=both)
    if instruction and given:
        user.update(instruction=instruction, input=given)
    return ([dict(role="system", content=system)] if system is not None else []) + [user]


def golden(kind, tokenizer, conversation, system):
    before = messages_of(conversation, system)
    whole = before + [dict(role="assistant", content=conversation["output"])]
    # `strftime_now` is there in transformers and not in the program: both write the fixed date.
    settings = dict(date_string="26 Jul 2024")
    try:
        prompt = tokenizer.apply_chat_template(before, add_generation_prompt=True, tokenize=False, **settings)
    except Exception as error:
        return dict(refused=str(error))
    text = tokenizer.apply_chat_template(whole, tokenize=False, **settings)
    if not text.startswith(prompt):
        return dict(refused="begin")
    ids = tokenizer.apply_chat_template(whole, **settings)["input_ids"]
    prompt_ids = tokenizer.apply_chat_template(before, add_generation_prompt=True, **settings)["input_ids"]
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    start = next((nth for nth, (_, end) in enumerate(offsets) if end > len(prompt)), len(ids))
    if "endgeneration" in tokenizer.chat_template:
        # transformers finds the same tokens by the template's own blocks.
        mask = tokenizer.apply_chat_template(whole, return_assistant_tokens_mask=True, return_dict=True, **settings)
        assert mask["assistant_masks"] == [0] * start + [1] * (len(ids) - start), (kind, conversation)
    # A prompt by itself is tokenised otherwise where the header and the response share a token.
    apart = {} if prompt_ids == ids[:start] else dict(prompt=prompt_ids)
    return dict(ids=ids, response_start=start, **apart)


def make_golden():
    kinds = {}
    for kind, spec in KINDS.items():
        tokenizer = make_tokenizer(kind)
        cases = [
            dict(conversation=nth, system=system, **golden(kind, tokenizer, conversation, system))
            for nth, conversation in enumerate(CONVERSATIONS)
            for system in ([None, SYSTEM, ""] if nth == 0 else [None, SYSTEM])
        ]
        kinds[kind] = dict(**spec, cases=cases)
    # Somewhere the end of the header and the beginning of the response are one token.
    assert any("prompt" in case for case in kinds["chatml"]["cases"])
    lines = [f'"conversations": {json.dumps(CONVERSATIONS, ensure_ascii=False)}']
    for kind, made in kinds.items():
        cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in made.pop("cases"))
        lines.append(f'"{kind}": {json.dumps(made)[:-1]}, "cases": [\n{cases}]}}')
    Path("golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def make_features():
    """What transformers renders of the small templates in `features.txt`, one a paragraph."""
    tokenizer = make_tokenizer("llama2")
    conversation = [
        dict(role="system", content="  Be brief. "),
        dict(role="user", content="Ünïcode & <b>\n1 2"),
    ]
    made = []
    for template in Path("features.txt").read_text().strip("\n").split("\n----\n"):
        try:
            text = tokenizer.apply_chat_template(conversation, chat_template=template, tokenize=False, add_generation_prompt=True)
        except Exception:
            text = None
        made.append(dict(template=template, text=text))
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in made)
    Path("features.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    make_pieces()
    make_golden()
    make_features()
