#!/bin/sh
# What `make demo` shows: a model trained in about a minute, its text, and two of its neurons.
# TEXTGEN is the command as it is to be typed in this folder.
set -eu
textgen=${TEXTGEN:-textgen}
run=checkpoints/demo

# A word as a shell takes it: in quotes where it needs them.
quoted() {
    case $1 in
    '' | *[!A-Za-z0-9_./:=,@%+-]*) printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf %s "$1" ;;
    esac
}

# Show a command, so that it can be pasted, and run it.
try() {
    bold='' plain=''
    if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi
    printf '\n%s$' "$bold"
    for word in "$@"; do printf ' %s' "$(quoted "$word")"; done
    printf '%s\n' "$plain"
    "$@"
}

try "$textgen" train corpora/russian.txt --budget 1m --out "$run" --force
try "$textgen" sample --checkpoint "$run" --seed "Старуха" --length 400
try "$textgen" inspect --checkpoint "$run" --text "«Это вы?» — спросила старуха и замолчала." --top 2
printf '\nNow your own text: %s train my.txt\n' "$(quoted "$textgen")"
printf 'To type textgen alone, as in the lines above, first type: . .venv/bin/activate\n'
