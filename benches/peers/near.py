"""Near-duplicates at 0.8 over instruction files, end to end: delia-build beside rensa, datasketch and datatrove, in turn.

    python benches/peers/near.py RUNS FILE…          files: JSON arrays and JSON Lines, plain or .zst

Everybody reads the files, cuts the normalised prompts into pieces of three words and keeps the first of similar rows. The
peers are driven from Python as their documentation shows: 128 permutations; `rensa`'s streaming deduplicator, `datasketch`'s
LSH index verified by the estimated similarity; `datatrove`'s four stages, one after the other in one process, 21 buckets of 6 hashes
(what its bands are at 0.8), its own normalisation off and white space for a tokenizer, so that its pieces are those of the others; it
leaves out prompts of fewer than three words and keeps one row of a cluster. delia-build also cleans, decontaminates, draws and writes
shards. Its first line is what the peers do: it is killed as soon as the stage that names the near-duplicates is there. The others are
whole builds.
Which rows really go is computed here, pair by pair with a prefix filter, and each tool's recall and precision is against that.
"""

import collections
import csv
import glob
import io
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from measure import run

THRESHOLD = 0.8

FOUND = "delia-build until the near-duplicates are found"

READ = '''
import io, json, os, sys, unicodedata
import zstandard

def texts(files):
    """Source, row and words of every usable row that is not equal to an earlier one."""
    seen = set()
    for path in files:
        name = os.path.basename(path).split(".")[0]
        data = open(path, "rb").read()
        if path.endswith(".zst"):
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        text = data.decode()
        records = json.loads(text) if text.lstrip()[0] == "[" else map(json.loads, text.splitlines())
        for row, record in enumerate(records):
            record = {**record, **record.get("instances", [{}])[0]}
            first = lambda *keys: next((record[key] for key in keys if record.get(key)), "")
            sample = (first("instruction", "prompt", "question"), first("input"), first("output", "response", "answer"))
            if sample in seen or not sample[2].strip():
                continue
            seen.add(sample)
            words = unicodedata.normalize("NFKC", sample[0] + "\\n" + sample[1]).lower().split()
            yield name, row, words

def rows(files):
    """The same with the words' pieces."""
    for name, row, words in texts(files):
        yield name, row, {" ".join(words[at:at + 3]) for at in range(max(1, len(words) - 2))}
'''

RENSA = READ + '''
from rensa import RMinHash, RMinHashDeduplicator

filter = RMinHashDeduplicator(threshold=0.8, num_perm=128, use_lsh=True)
gone = []
for nth, (name, row, pieces) in enumerate(rows(sys.argv[2:])):
    sketch = RMinHash(num_perm=128, seed=42)
    sketch.update(list(pieces))
    if not filter.add(str(nth), sketch):
        gone.append((name, row))
json.dump(gone, open(sys.argv[1], "w"))
'''

DATASKETCH = READ + '''
from datasketch import MinHash, MinHashLSH

index = MinHashLSH(threshold=0.8, num_perm=128)
sketches, gone = {}, []
for nth, (name, row, pieces) in enumerate(rows(sys.argv[2:])):
    sketch = MinHash(num_perm=128)
    sketch.update_batch([piece.encode() for piece in pieces])
    if any(sketches[other].jaccard(sketch) >= 0.8 for other in index.query(sketch)):
        gone.append((name, row))
    else:
        index.insert(nth, sketch)
        sketches[nth] = sketch
json.dump(gone, open(sys.argv[1], "w"))
'''

DATATROVE = READ + '''
import contextlib, tempfile
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.utils.text import TextNormConfig
from datatrove.utils.word_tokenizers import WordTokenizer

def documents(data, rank, world_size):
    for name, row, words in texts(sys.argv[2:]):
        yield Document(text=" ".join(words), id=json.dumps([name, row]))

kept = set()
def keep(data, rank, world_size):
    for document in data:
        kept.add(document.id)
        yield document

class WhiteSpace(WordTokenizer):
    def word_tokenize(self, text):
        return text.split(" ")

    sent_tokenize = span_tokenize = word_tokenize

norm = TextNormConfig(False, False, False, False, False, False, False)
config = MinhashConfig(n_grams=3, num_buckets=21, hashes_per_bucket=6, norm_config=norm)
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
    at = lambda name: os.path.join(folder, name)
    stages = [
        ([documents, MinhashDedupSignature(at("signatures"), config, WhiteSpace())], 1),
        ([MinhashDedupBuckets(at("signatures"), at("buckets"), config=config, only_dedup_in_index=False)], 21),
        ([MinhashDedupCluster(at("buckets"), at("remove"), config)], 1),
        ([documents, MinhashDedupFilter(at("remove")), keep], 1),
    ]
    for nth, (pipeline, tasks) in enumerate(stages):
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=at(str(nth))).run()
gone = [[name, row] for name, row, _ in texts(sys.argv[2:]) if json.dumps([name, row]) not in kept]
json.dump(gone, open(sys.argv[1], "w"))
'''


def by_definition(files):
    """The rows that go: those similar to an earlier row that stays."""
    scope = {}
    exec(READ, scope)
    rows = list(scope["rows"](files))
    frequency = collections.Counter(piece for _, _, pieces in rows for piece in pieces)
    postings, gone = collections.defaultdict(list), set()
    for name, row, pieces in rows:
        rarest = sorted(pieces, key=lambda piece: (frequency[piece], piece))
        prefix = rarest[: len(pieces) - math.ceil(THRESHOLD * len(pieces) - 1e-9) + 1]
        candidates = {id(other): other for piece in prefix for other in postings[piece]}.values()
        if any(len(pieces & other) / len(pieces | other) >= THRESHOLD for other in candidates):
            gone.add((name, row))
        else:
            for piece in prefix:
                postings[piece].append(pieces)
    return gone


def of_delia(shards):
    sql = "SELECT source, source_row FROM dropped WHERE reason = 'near_duplicate'"
    text = subprocess.run(["delia-sql", shards, sql, "--format", "csv"], check=True, capture_output=True, text=True).stdout
    return {(source, int(row)) for source, row in list(csv.reader(io.StringIO(text)))[1:]}


def main():
    n_runs, files = int(sys.argv[1]), sys.argv[2:]
    folder = tempfile.mkdtemp()
    shards, out = os.path.join(folder, "shards"), os.path.join(folder, "gone.json")
    build = ["delia-build", "--quiet", "--ratio", "1", "--diverse", *files, "--out", shards]
    peer = lambda script: [sys.executable, "-c", script, out, *files]
    read = lambda: {tuple(row) for row in json.load(open(out))}
    stages = os.path.join(shards, ".stages", "near-*.parquet")
    # An empty one stands there from the start.
    is_found = lambda: len(glob.glob(stages)) == 2
    tools = [
        (FOUND, build + ["--near", "0.8"], None),
        ("delia-build", build + ["--near", "0.8"], lambda: of_delia(shards)),
        ("delia-build, minhash", build + ["--near", "0.8", "--near-method", "minhash"], lambda: of_delia(shards)),
        ("delia-build, near off", build + ["--near", "off"], None),
        ("rensa", peer(RENSA), read),
        ("datasketch", peer(DATASKETCH), read),
        ("datatrove", peer(DATATROVE), read),
    ]
    used, found = collections.defaultdict(list), {}
    for nth in range(n_runs + 1):
        for name, command, result in tools:
            shutil.rmtree(shards, ignore_errors=True)
            cpu = run(command, is_found if name == FOUND else None)
            if nth > 0:  # the first round warms the file cache
                used[name].append(cpu)
            elif result is not None:
                found[name] = result()
    truth = by_definition(files)
    print(f"{len(truth)} rows go by definition; {n_runs} rounds after a warm-up\n")
    print("| | CPU | least | most | ratio to the first | peak memory | recall | precision |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, _, _ in tools:
        cpu = [cpu for cpu, _ in used[name]]
        ratio = statistics.median(b / a for (a, _), b in zip(used[FOUND], cpu))
        quality = "| |"
        if name in found:
            right = len(found[name] & truth)
            quality = f"| {right / len(truth):.4f} | {right / max(len(found[name]), 1):.4f} |"
        peak = statistics.median(peak for _, peak in used[name])
        print(f"| {name} | {statistics.median(cpu):.2f} s | {min(cpu):.2f} | {max(cpu):.2f} | {ratio:.2f} × | {peak:.0f} MB {quality}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
