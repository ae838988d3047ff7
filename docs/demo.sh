#!/bin/sh
# What `make demo` shows: a model trained in about a minute, its text, and two of its neurons.
set -eu
run=checkpoints/demo
say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
say textgen train corpora/russian.txt --budget 1m --out "$run" --force
textgen train corpora/russian.txt --budget 1m --out "$run" --force
say textgen sample --checkpoint "$run" --seed "Старуха"
textgen sample --checkpoint "$run" --seed "Старуха" --length 400
printf '\n'
say textgen inspect --checkpoint "$run" --text "«Это вы?» — спросила старуха и замолчала." --top 2
textgen inspect --checkpoint "$run" --text "«Это вы?» — спросила старуха и замолчала." --top 2
printf '\nNow your own text: textgen train my.txt    (in this folder: .venv/bin/textgen)\n'
