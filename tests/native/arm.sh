#!/bin/sh
# Builds the engine for AArch64 and runs its tests in an emulated arm64 Python, on two CPUs side by
# side: a Neoverse N1, which has no bf16, and qemu's "max", which has BFMMLA.
# Usage: sh tests/native/arm.sh PYTHON [all]
#
# PYTHON needs what `make test` and `make wheels` need; it runs here, builds the engine as the wheel
# has it, and makes the figures that the tests compare with. `all` adds what takes longest: 512 units,
# and vocabularies of 53,000 symbols. All that is made is kept in build/arm64.
set -eu
python=$1 all=${2:-}
cd "$(dirname "$0")/../.."
here=$(pwd)
folder=$here/build/arm64
began=$(date +%s)
say() { printf '\n== %s s: %s\n' $(($(date +%s) - began)) "$*"; }

say "an arm64 Python, if it is not there"
sh tests/native/arm_python.sh "$python"

say "the engine is compiled, if it is not there"
ZIG_GLOBAL_CACHE_DIR="$here/build/zig-cache" "$python" -m textgen.native.build \
    --target manylinux_2_17_aarch64 --output "$folder/_textgen.so"

# The tests that an emulator runs: numbers of the engine beside NumPy's and the specification's.
tests="tests/native/test_net.py tests/native/test_edits.py tests/native/test_sampler.py
    tests/native/test_update.py tests/sampling/test_native_step.py tests/sampling/test_steered.py
    tests/mixing tests/adaptation"
# Left out: what compares with torch, compiles, installs, or starts Python again on this machine.
left_out="torchs or compiler or never_read"
[ "$all" = all ] || left_out="$left_out or 512 or table"

say "what the specification gives, by torch and on this machine"
mkdir -p "$folder/windows"
TEXTGEN_RECORDED_WINDOWS="$folder/windows" "$python" -m pytest -q -p no:cacheprovider \
    -k "generic and not ($left_out)" tests/native/test_net.py

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
head -n 80 corpora/english.txt > "$work/text.txt"

# Runs arm64 Python on the CPU named first, with the engine that was built for it.
on() {
    cpu=$1
    shift
    QEMU_CPU=$cpu PYTHONPATH="$here:$here/tests" PYTHONUNBUFFERED=1 \
        TEXTGEN_CACHE="$work/cache-$cpu" TEXTGEN_NATIVE_LIBRARY="$folder/_textgen.so" \
        TEXTGEN_RECORDED_WINDOWS="$folder/windows" "$folder/python" "$@"
}

# All that is run on the CPU named first, whose best instruction set is the second.
try() {
    cpu=$1 best=$2
    on "$cpu" -c '
import platform, sys
from textgen.native import library
assert library.load() is not None, library.missing_reason()
print(platform.machine(), library.describe())
assert library.supported_isas()[0] == sys.argv[1], "the best is to be " + sys.argv[1]
' "$best"
    on "$cpu" tests/support/emulated_steps.py
    on "$cpu" -m textgen train "$work/text.txt" --out "$work/$cpu" --steps 6 --hidden 48 --layers 2 \
        --batch-size 8 --seq-len 32
    on "$cpu" -m textgen sample --checkpoint "$work/$cpu" --length 60
    on "$cpu" -m textgen eval "$work/text.txt" --checkpoint "$work/$cpu"
    on "$cpu" -m textgen inspect --checkpoint "$work/$cpu" --text "Once upon a time" --top 1
    if [ "$best" = neon ]; then
        status=0
        (
            export TEXTGEN_PATH=bf16mmla
            on "$cpu" -m textgen train "$work/text.txt" --out "$work/refused" --steps 1
        ) || status=$?
        [ "$status" = 8 ] || {
            echo "TEXTGEN_PATH=bf16mmla ended with $status, not 8"
            return 1
        }
    fi
    # The worse sets are the other CPU's, and this machine's.
    others=$([ "$best" = neon ] && echo generic || echo "generic or neon")
    on "$cpu" -m pytest -q -p no:cacheprovider -o timeout=3600 --durations 10 \
        --junitxml "$work/$cpu.xml" -k "not ($others or $left_out)" $tests
}

say "neoverse-n1 (neon) and max (bf16mmla), each: train, sample, eval, inspect, then" $tests
for pair in neoverse-n1:neon max:bf16mmla; do
    (
        set -e
        try "${pair%:*}" "${pair#*:}"
        touch "$work/${pair%:*}.ended"
    ) 2>&1 | sed -u "s/^/${pair%:*}: /" &
done
wait

failed=
say "the tests in the emulator"
PYTHONPATH=tests "$python" tests/support/result_table.py neoverse-n1="$work/neoverse-n1.xml" \
    max="$work/max.xml" || failed=1
[ -e "$work/neoverse-n1.ended" ] && [ -e "$work/max.ended" ] && [ -z "$failed" ] || {
    say "not all passed: see above"
    exit 1
}
[ "$all" = all ] || echo "Left out: 512 units and 53,000 symbols, which \`make test-arm ALL=all\` runs"
say "all passed. Not run here: what needs torch (the other tests of training), compilers, browsers"
