#!/usr/bin/env bash
# The GPU suite: parity of every family in f32 and bf16, what a fit of a Llama-2-7B shape takes, and its throughput beside PEFT.
#
#     cargo build --release --bins && cargo test --release --no-run
#     strip -o delia-fit target/release/delia-fit; strip -o it target/release/deps/it-*
#     gzip delia-fit it                   # or not
#     benches/gpu/run.sh shards           # with the two files in the current folder, beside tests/golden and benches
#
# Needs nothing else of the repository than tests/golden/models, benches and data/model/tiny, and Python with torch,
# transformers, peft and pyarrow for the comparison.
set -euo pipefail
if ! nvidia-smi >/dev/null 2>&1; then
    echo "skipped: there is no NVIDIA GPU" >&2
    exit 0
fi
shards="${1:?the folder of a build}"
for file in delia-fit it; do
    if [ -f "$file.gz" ]; then
        gunzip --force "$file.gz"
    fi
    chmod +x "$file"
done
./it cuda:: --nocapture
export PATH="$PWD:$PATH"
python3 benches/gpu/measure.py "$shards"
python3 benches/peers/fit.py "$shards" llama2_7b --device cuda --steps 8 --rounds 2 --peers supervised,packed
