#!/bin/sh
# Builds the engine for AArch64 and runs its tests in an emulated arm64 Python: on a Neoverse N1, which
# has no bf16, and on qemu's "max", which has BFMMLA.
# Usage: sh tests/native/arm.sh PYTHON
#
# PYTHON needs what `make test` needs; it runs here and makes the figures that the tests compare with.
# The arm64 Python and its libraries are Debian's, unpacked into build/arm64, its packages are wheels
# of the index; nothing is installed. torch is not among them: under emulation it takes minutes to
# load. $CC names the compiler; else it is aarch64-linux-gnu-gcc, or zig, a wheel too.
set -eu
python=$1
cd "$(dirname "$0")/../.."
here=$(pwd)
for word in qemu-aarch64 apt-get dpkg-deb; do
    command -v $word >/dev/null || {
        echo "$word is not found: this needs Debian or Ubuntu, and apt-get install qemu-user"
        exit 1
    }
done
folder=$here/build/arm64
began=$(date +%s)
say() { printf '\n== %s s: %s\n' $(($(date +%s) - began)) "$*"; }
mkdir -p "$folder"

if [ ! -x "$folder/root/usr/bin/python3" ]; then
    say "Debian's Python for arm64, with all that it needs, is downloaded and unpacked"
    rm -rf "$folder/apt" "$folder/root"
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial" "$folder/root"
    : > "$folder/apt/status"
    # A system of its own, on which nothing is installed yet: the one here is left alone.
    set -- -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
        -o APT::Install-Recommends=false -o Dir::State::status="$folder/apt/status" \
        -o Dir::State::lists="$folder/apt/lists" -o Dir::State="$folder/apt" \
        -o Dir::Cache="$folder/apt" -o Dir::Cache::archives="$folder/apt/archives"
    apt-get "$@" update
    apt-get "$@" install --yes --download-only python3-minimal libpython3-stdlib libstdc++6
    for archive in "$folder"/apt/archives/*.deb; do
        dpkg-deb --extract "$archive" "$folder/root"
    done
fi

# Runs arm64 Python on the CPU named first, with the engine that was built for it.
on() {
    cpu=$1
    shift
    PYTHONPATH="$here:$here/tests:$folder/site" OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= \
        TEXTGEN_CACHE="$work/cache" TEXTGEN_NATIVE_LIBRARY="$folder/_textgen.so" \
        TEXTGEN_RECORDED_WINDOWS="$folder/windows" \
        qemu-aarch64 -cpu "$cpu" -L "$folder/root" "$folder/root/usr/bin/python3" "$@"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ ! -d "$folder/site" ]; then
    version=$(on max -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "packages for its Python $version are downloaded and unpacked"
    "$python" -m pip --disable-pip-version-check install --quiet --no-compile --target "$folder/site.new" \
        --only-binary=:all: --implementation cp --python-version "$version" \
        --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
        --constraint constraints.txt numpy pytest pytest-timeout hypothesis rich typer safetensors \
        tqdm plotext matplotlib platformdirs wcwidth
    mv "$folder/site.new" "$folder/site"
fi

if [ -z "${CC:-}" ]; then
    CC=aarch64-linux-gnu-gcc
    if ! command -v $CC >/dev/null; then
        [ -d "$folder/zig" ] || {
            say "zig is downloaded"
            "$python" -m pip --disable-pip-version-check install --quiet --target "$folder/zig" ziglang
        }
        CC="$folder/zig/ziglang/zig cc -target aarch64-linux-gnu.2.17"
    fi
fi
say "the engine is compiled"
CC=$CC "$python" -m textgen.native.build --output "$folder/_textgen.so"

say "what the specification gives, by torch and on this machine"
mkdir -p "$folder/windows"
TEXTGEN_RECORDED_WINDOWS="$folder/windows" "$python" -m pytest -q -p no:cacheprovider -k generic \
    tests/native/test_net.py

head -n 80 corpora/english.txt > "$work/text.txt"
for pair in neoverse-n1:neon max:bf16mmla; do
    cpu=${pair%:*} best=${pair#*:}
    say "-cpu $cpu"
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
    say "-cpu $cpu: the tests, on $best"
    # Left out: what compares with torch, compiles, installs, or starts Python again on this machine.
    others=$([ "$best" = neon ] && echo generic || echo "generic or neon")
    on "$cpu" -m pytest -q -p no:cacheprovider -o timeout=3600 --durations 5 \
        -k "not ($others or torchs or compiler or never_read)" \
        tests/native/test_net.py tests/native/test_edits.py tests/native/test_sampler.py \
        tests/native/test_update.py tests/sampling/test_native_step.py \
        tests/sampling/test_steered.py tests/adaptation
done

status=0
TEXTGEN_PATH=bf16mmla on neoverse-n1 -m textgen train "$work/text.txt" --out "$work/refused" \
    --steps 1 || status=$?
[ "$status" = 8 ] || { echo "TEXTGEN_PATH=bf16mmla on neoverse-n1 ended with $status, not 8"; exit 1; }
say "all passed. Not run here: what needs torch (the other tests of training), compilers, browsers"
