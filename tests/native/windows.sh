#!/bin/sh
# Builds the engine for Windows, runs it under wine, and runs the engine's tests against it.
# Usage: sh tests/native/windows.sh PYTHON
#
# PYTHON, with what `make test` and `make wheels` need, stays on Linux: each call of the engine crosses
# a bridge to a program of Windows, which has loaded the library (tests/support/bridge.py). All that is
# built and recorded is kept in build. $WINE names wine64, if it is in no usual place.
set -eu
python=$1
cd "$(dirname "$0")/../.."
here=$(pwd)
wine=${WINE:-$(command -v wine64 || echo /usr/lib/wine/wine64)}
command -v "$wine" >/dev/null || {
    echo "$wine is not found: this needs x86-64 and Debian or Ubuntu, and apt-get install wine64"
    exit 1
}
server=$(command -v wineserver || echo /usr/lib/wine/wineserver64)
folder=$here/build/windows
began=$(date +%s)
say() { printf '\n== %s s: %s\n' $(($(date +%s) - began)) "$*"; }
mkdir -p "$folder/home" "$folder/windows"

# Wine and zig keep all they make in build, and wine asks for nothing and adds nothing to menus.
export WINEPREFIX="$folder/prefix" WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="
export ZIG_GLOBAL_CACHE_DIR="$here/build/zig-cache"
wine() { HOME="$folder/home" "$wine" "$@"; }
work=$(mktemp -d)
trap 'rm -rf "$work"; HOME="$folder/home" "$server" -k || true' EXIT

dll=$folder/win_amd64/_textgen.dll
for tag in win_amd64 win_arm64; do
    say "the engine is compiled for $tag, if it is not there"
    "$python" -m textgen.native.build --target $tag --output "$folder/$tag/_textgen.dll"
    PYTHONPATH=scripts "$python" -c '
import sys
from pathlib import Path
from textgen.native.targets import target_of
from wheel_checks import library_problems
tag, library = sys.argv[1:]
problems = library_problems(Path(library).read_bytes(), target_of(tag))
print(*problems or ["opened: instruction sets, imports and sources are as they must be"], sep="\n")
sys.exit(bool(problems))
' $tag "$folder/$tag/_textgen.dll"
done
echo "win_arm64 is not run: there is no such machine here"

say "the bridge is compiled"
PYTHONPATH=tests "$python" -m support.bridge "$folder" win_amd64

say "wine makes its Windows, if it is not there"
wine wineboot -i
say "memory, clock, locks and threads of Windows"
wine "$folder/try_system.exe"

# Runs Python with the engine of Windows.
on() {
    env PYTHONPATH="$here:$here/tests" TEXTGEN_CACHE="$work/cache" PYTHONMALLOC=malloc \
        LD_PRELOAD="$folder/here.so" TEXTGEN_NATIVE_LIBRARY="$folder/here.so" \
        TEXTGEN_BRIDGE="env HOME='$folder/home' '$wine' '$folder/there.exe' 'Z:$dll'" \
        TEXTGEN_RECORDED_WINDOWS="$folder/windows" "$python" "$@"
}
say "what it finds on this CPU"
on -c '
from textgen.native import library
print(library.describe())
assert library.supported_isas()[-1] == "generic"
'

say "every command that computes"
head -n 80 corpora/english.txt > "$work/text.txt"
on tests/support/emulated_steps.py
on -m textgen train "$work/text.txt" --out "$work/run" --steps 6 --hidden 48 --layers 2 \
    --batch-size 8 --seq-len 32
on -m textgen sample --checkpoint "$work/run" --length 60
on -m textgen eval "$work/text.txt" --checkpoint "$work/run"
on -m textgen inspect --checkpoint "$work/run" --text "Once upon a time" --top 1
status=0
TEXTGEN_PATH=bf16mmla on -m textgen train "$work/text.txt" --out "$work/refused" --steps 1 || status=$?
[ "$status" = 8 ] || { echo "TEXTGEN_PATH=bf16mmla ended with $status, not 8"; exit 1; }

say "the largest errors"
on tests/support/largest_errors.py

# Left out: what compiles and installs, and what asks Linux for its CPU.
tests="tests/native/test_net.py tests/native/test_edits.py tests/native/test_sampler.py
    tests/native/test_update.py tests/sampling/test_native_step.py tests/sampling/test_steered.py
    tests/mixing tests/adaptation"
say "the tests:" $tests
failed=
on -m pytest -q -p no:cacheprovider -o timeout=3600 --durations 5 \
    --junitxml "$work/tests.xml" $tests || failed=1
PYTHONPATH=tests "$python" tests/support/result_table.py win_amd64="$work/tests.xml" || failed=1
[ -z "$failed" ] || { say "not all passed: see above"; exit 1; }
say "all passed on win_amd64, on: $(on -c 'from textgen.native import library
print(*library.supported_isas(), sep=", ")'). Not run here: win_arm64, and sets that this CPU lacks"
