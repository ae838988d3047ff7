"""How well `textgen train` learns with its defaults, by `textgen eval`: `make bench-quality`.

For each text and budget: train on all but the last tenth as `textgen train` does, then measure
the last tenth (from character int(0.9 n) on) with `textgen eval --window 256`: one stateful pass,
and cold windows of 256 characters. Nothing here is used to choose anything.

    python benchmarks/quality.py TEXT... [--budget 1m --budget 3m] [--rng 1 --rng 2 --rng 3]
    python benchmarks/quality.py TEXT... --against OTHER_CHECKOUT [--steps 2000 --hidden 384]

With `--against`, each run is trained by another checkout of textgen too, in turns, so that the load
of the machine hits both alike; that checkout needs its native library. Both models are measured by
this one. The last column says by how many bits per character this one is better. With `--steps`
and `--hidden` no clock decides anything: for a machine that has other work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import CHECKOUT, environment

from textgen.api import load
from textgen.corpus.encoding import detect
from textgen.corpus.normalization import Normalization
from textgen.corpus.source import open_sources


def textgen(*words: str | Path, checkout: Path = CHECKOUT) -> tuple[list[dict[str, Any]], float]:
    """The JSON lines that a command of a checkout prints, and its wall time in seconds."""
    started = time.perf_counter()
    done = subprocess.run(
        # -P: the package is that of the environment, not that of the working directory.
        [sys.executable, "-P", "-m", "textgen", *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env=environment(checkout),
    )
    seconds = time.perf_counter() - started
    return [json.loads(line) for line in done.stdout.splitlines()], seconds


def measure(
    text: Path, held_out: Path, length: Sequence[str], rng: int, folder: Path, checkout: Path
) -> dict[str, Any]:
    """One run of a checkout and its evaluation by this one."""
    run = folder / "run"
    events, seconds = textgen(
        *("train", text, *length, "--rng", str(rng), "--out", run, "--force"), checkout=checkout
    )
    (figures,), _ = textgen("eval", held_out, "--checkpoint", run, "--window", "256")
    shape = load(run).config
    return {
        "seconds": events[-1]["seconds"],
        "process_seconds": seconds,
        "shape": f"{shape.num_layers}x{shape.hidden_size}",
        "dropout": shape.dropout,
        "chars_per_second": events[-1]["chars_per_second"],
        "nats": figures["nats_per_char"],
        "bits": figures["bits_per_char"],
        "cold_nats": figures["cold"]["cold_nats_per_char"],
    }


def main() -> None:
    """Print a line for each run, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--budget", action="append")
    parser.add_argument("--steps", action="append", type=int)
    parser.add_argument("--hidden", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rng", action="append", type=int)
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    checkouts = [CHECKOUT]
    if arguments.against is not None:
        checkouts.append(arguments.against.resolve())
    lengths = [["--steps", str(steps)] for steps in arguments.steps or []]
    if not lengths:
        lengths = [["--budget", budget] for budget in arguments.budget or ["1m", "3m"]]
    more = [
        word
        for name in ("hidden", "threads")
        if (value := getattr(arguments, name)) is not None
        for word in (f"--{name}", str(value))
    ]
    print(f"load before the start: {os.getloadavg()[0]:.2f}")
    print(
        f"{'text':14} {'length':>6} {'rng':>3} {'shape':>7} {'drop':>5} {'train s':>8} "
        f"{'k chars/s':>9}  {'nats':>6} {'bits':>6} {'cold nats':>9}  {'better':>7}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for text in arguments.texts:
            source = read_text(text)
            held_out = folder / f"{text.stem}-held-out.txt"
            held_out.write_text(source[int(0.9 * len(source)) :], encoding="utf-8")
            for length in lengths:
                runs: list[list[dict[str, Any]]] = [[] for _ in checkouts]
                for rng in arguments.rng or [1, 2, 3]:
                    for made, checkout in zip(runs, checkouts, strict=True):
                        made.append(
                            measure(text, held_out, [*length, *more], rng, folder, checkout)
                        )
                        better = made[-1]["bits"] - runs[0][-1]["bits"]
                        line(text.stem, length[1], str(rng), made[-1], better)
                if len(runs[0]) > 1:
                    for made in runs:
                        middle = {
                            key: statistics.median(run[key] for run in made)
                            for key in ("seconds", "chars_per_second", "nats", "bits", "cold_nats")
                        }
                        better = statistics.median(
                            other["bits"] - own["bits"]
                            for own, other in zip(runs[0], made, strict=True)
                        )
                        shown = {"shape": "", "dropout": "", **middle}
                        line(text.stem, length[1], "med", shown, better)


def read_text(path: Path) -> str:
    """The text as training reads it: decoded, line ends and composition normalised."""
    (source,) = open_sources([path])
    return Normalization().apply(path.read_bytes().decode(detect(source).encoding))


def line(text: str, length: str, rng: str, run: dict[str, Any], better: float) -> None:
    """One row of the table; `better` is 0 for a run of this checkout."""
    print(
        f"{text[:14]:14} {length:>6} {rng:>3} {run['shape']:>7} {run['dropout']!s:>5} "
        f"{run['seconds']:8.1f} {run['chars_per_second'] / 1e3:9.1f}  {run['nats']:6.4f} "
        f"{run['bits']:6.4f} {run['cold_nats']:9.4f}  "
        f"{format(better, '+7.4f') if better else '':>7}",
        flush=True,
    )


if __name__ == "__main__":
    main()
