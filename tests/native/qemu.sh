#!/bin/sh
# Trains, samples and inspects on emulated CPUs: Haswell has no AVX-512, Nehalem no AVX2 either.
# Usage: sh tests/native/qemu.sh PYTHON
set -eu
python=$1
cd "$(dirname "$0")/../.."
command -v qemu-x86_64 >/dev/null || { echo "qemu-x86_64 is not found: apt-get install qemu-user"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
head -n 80 corpora/english.txt > "$folder/text.txt"

# Runs Python on the CPU named first; what the emulator itself lacks is no news.
on() {
    cpu=$1
    shift
    status=0
    TEXTGEN_CACHE="$folder/cache" PYTHONPATH=. qemu-x86_64 -cpu "$cpu" "$python" "$@" \
        > "$folder/out" 2>&1 || status=$?
    grep -v "TCG doesn't support" "$folder/out" || true
    return $status
}

for pair in Haswell:avx2 Nehalem:generic; do
    cpu=${pair%:*} best=${pair#*:}
    printf '\n== %s\n' "$cpu"
    on "$cpu" -c '
import sys
from textgen.native import library
assert library.load() is not None, library.missing_reason()
print(library.describe())
assert library.supported_isas()[0] == sys.argv[1], "the best is to be " + sys.argv[1]
' "$best"
    on "$cpu" tests/support/emulated_steps.py
    on "$cpu" -m textgen train "$folder/text.txt" --out "$folder/$cpu" --steps 6 --hidden 48 \
        --layers 2 --batch-size 8 --seq-len 32
    on "$cpu" -m textgen sample --checkpoint "$folder/$cpu" --length 60
    on "$cpu" -m textgen eval "$folder/text.txt" --checkpoint "$folder/$cpu"
    on "$cpu" -m textgen inspect --checkpoint "$folder/$cpu" --text "Once upon a time" --top 1
done

# What the CPU cannot run is refused in words, not by an illegal instruction.
status=0
TEXTGEN_PATH=avx2 on Nehalem -m textgen train "$folder/text.txt" --out "$folder/refused" --steps 1 \
    || status=$?
[ "$status" = 8 ] || { echo "TEXTGEN_PATH=avx2 on Nehalem ended with $status, not 8"; exit 1; }
printf '\nboth CPUs: trained, sampled, evaluated, inspected; what they lack is refused\n'
