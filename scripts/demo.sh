#!/bin/sh
# What `make demo` shows: text and two neurons of a model that comes with textgen, and the same of a
# model that is trained in a minute.
# TEXTGEN is the command as it is to be typed in this folder.
set -eu
textgen=${TEXTGEN:-textgen}
run=checkpoints/demo
sentence="«Это вы?» — спросила старуха и замолчала."

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

printf 'A model that comes with textgen. It was trained for two hours on six works of Dostoevsky.\n'
try "$textgen" sample --checkpoint dostoevsky --seed "Старуха" --length 400
try "$textgen" inspect --checkpoint dostoevsky --text "$sentence" --top 2

printf '\nNow a model that is trained here: for a minute, on a text of 55,000 characters. That is enough\n'
printf 'for letters, syllables and the most frequent words. It is not enough for sentences with a\n'
printf 'sense: many words are invented. A text of a million characters and an hour give much more.\n'
try "$textgen" train corpora/russian.txt --budget 1m --out "$run" --force
try "$textgen" sample --checkpoint "$run" --seed "Старуха" --length 400
try "$textgen" inspect --checkpoint "$run" --text "$sentence" --top 2
printf '\nNow your own text: %s train my.txt\n' "$(quoted "$textgen")"
printf 'To type textgen alone, as in the lines above, first type: . .venv/bin/activate\n'
