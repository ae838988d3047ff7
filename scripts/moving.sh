#!/bin/sh
# Run a command that may be silent for minutes: sh scripts/moving.sh WHAT COMMAND...
# On a terminal one line moves: what is done, for how long, and the last thing the command said.
# Elsewhere what it says is passed on. What it said is shown whole where it fails.
set -u
# So that what Python says can be read at once.
export PYTHONUNBUFFERED=1
what=$1
shift
if [ ! -t 2 ] || [ "${TERM:-dumb}" = dumb ]; then
    echo "$what ..." >&2
    exec "$@"
fi
said=$(mktemp)
ticker=
finish() {
    [ -z "$ticker" ] || kill "$ticker" 2>/dev/null
    rm -f "$said"
}
trap finish EXIT
trap 'exit 130' INT TERM
(
    seconds=0
    while :; do
        columns=$(stty size <&2 2>/dev/null | cut -d' ' -f2)
        line="$what ... $seconds s  $(tail -n 1 "$said" | tr -d '\r')"
        printf '\r\033[K%s' "$(printf %s "$line" | cut -c "1-$((${columns:-80} - 1))")" >&2
        sleep 1
        seconds=$((seconds + 1))
    done
) &
ticker=$!
began=$(date +%s)
"$@" >"$said" 2>&1
code=$?
kill "$ticker" 2>/dev/null
wait "$ticker" 2>/dev/null
ticker=
printf '\r\033[K' >&2
if [ "$code" -ne 0 ]; then
    cat "$said" >&2
else
    echo "$what: done in $(($(date +%s) - began)) s" >&2
fi
exit "$code"
