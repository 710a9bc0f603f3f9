"""Writes what Google's rouge_score finds in rows of few words: which would go in the filter of Self-Instruct and Alpaca.

    pip install rouge-score==0.1.2
    python tests/golden/rouge_l/make.py

The rows are made here, from a seed: prompts of a few patterns with words exchanged, left out and put elsewhere, so that many
pairs are near the threshold, and with the characters on which tokenizers differ. A row goes when an earlier row that stays
has an F measure of the threshold or more; kept_row is the most similar one, the first of equals.
"""

import json
import os
import random
from pathlib import Path

from rouge_score import rouge_scorer

os.chdir(Path(__file__).parent)
PATTERNS = [
    "Write a short {a} about the {b} of a {c}, in no more than {n} words.",
    "What's the {b} of {a}? Explain it to a {c}!",
    "List {n} {a} that a {c} needs, and say why each is a {b}.",
    "Translate the {a} below into French: the {c}'s {b} cost 3.50 €",
    "Café {a}: naïve {c} or über-{b}? (snake_case_{n})",
]
WORDS = "story poem river forest teacher robot colour price meaning tool garden doctor letter song winter city".split()
THRESHOLD = 0.7


def main():
    draw = random.Random(0)
    rows = []
    for _ in range(300):
        text = draw.choice(PATTERNS).format(
            a=draw.choice(WORDS), b=draw.choice(WORDS), c=draw.choice(WORDS), n=draw.randint(2, 40)
        )
        words = text.split(" ")
        for _ in range(draw.choice([0, 0, 1, 2, 4])):
            place = draw.randrange(len(words))
            change = draw.choice(["drop", "move", "add", "upper"])
            if change == "drop" and len(words) > 2:
                del words[place]
            elif change == "move":
                words.insert(draw.randrange(len(words)), words.pop(place))
            elif change == "add":
                words.insert(place, draw.choice(WORDS))
            else:
                words[place] = words[place].upper()
        rows.append(" ".join(words))
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    kept, lines = [], []
    for nth, row in enumerate(rows):
        best = None
        for other in kept:
            similarity = scorer.score(rows[other], row)["rougeL"].fmeasure
            # Two quotients multiplied and divided again come out a little off.
            if similarity >= THRESHOLD - 1e-9 and (best is None or similarity > best[1] + 1e-9):
                best = (other, similarity)
        line = {"instruction": row, "output": str(nth)}
        if best is None:
            kept.append(nth)
        else:
            line |= {"kept_row": best[0], "similarity": round(best[1], 9)}
        lines.append(json.dumps(line, ensure_ascii=False))
    Path("rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


main()
