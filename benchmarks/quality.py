"""How well `textgen train` learns with its defaults, by `textgen eval`: `make bench-quality`.

For each text and budget: train on all but the last tenth as `textgen train` does, then measure
the last tenth (from character int(0.9 n) on) with `textgen eval --window 256`: one stateful pass,
and cold windows of 256 characters. Nothing here is used to choose anything.

    python benchmarks/quality.py TEXT... [--budget 1m --budget 3m] [--rng 1 --rng 2 --rng 3]
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
from pathlib import Path
from typing import Any

from textgen.api import load
from textgen.corpus.encoding import detect
from textgen.corpus.normalization import Normalization
from textgen.corpus.source import open_sources


def textgen(*words: str | Path) -> tuple[list[dict[str, Any]], float]:
    """The JSON lines that a command prints, and its wall time in seconds."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "textgen", *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    return [json.loads(line) for line in done.stdout.splitlines()], seconds


def measure(text: Path, held_out: Path, budget: str, rng: int, folder: Path) -> dict[str, Any]:
    """One run and its evaluation."""
    run = folder / f"{text.stem}-{budget}-{rng}"
    events, seconds = textgen(
        "train", text, "--budget", budget, "--rng", str(rng), "--out", run, "--force"
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
    parser.add_argument("--rng", action="append", type=int)
    arguments = parser.parse_args()
    print(f"load before the start: {os.getloadavg()[0]:.2f}")
    print(
        f"{'text':14} {'budget':>6} {'rng':>3} {'shape':>7} {'drop':>5} {'train s':>8} "
        f"{'k chars/s':>9}  {'nats':>6} {'bits':>6} {'cold nats':>9}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for text in arguments.texts:
            source = read_text(text)
            held_out = folder / f"{text.stem}-held-out.txt"
            held_out.write_text(source[int(0.9 * len(source)) :], encoding="utf-8")
            for budget in arguments.budget or ["1m", "3m"]:
                runs = []
                for rng in arguments.rng or [1, 2, 3]:
                    run = measure(text, held_out, budget, rng, folder)
                    runs.append(run)
                    line(text.stem, budget, str(rng), run)
                if len(runs) > 1:
                    middle = {
                        key: statistics.median(run[key] for run in runs)
                        for key in ("seconds", "chars_per_second", "nats", "bits", "cold_nats")
                    }
                    line(text.stem, budget, "med", {"shape": "", "dropout": "", **middle})


def read_text(path: Path) -> str:
    """The text as training reads it: decoded, line ends and composition normalised."""
    (source,) = open_sources([path])
    return Normalization().apply(path.read_bytes().decode(detect(source).encoding))


def line(text: str, budget: str, rng: str, run: dict[str, Any]) -> None:
    """One row of the table."""
    print(
        f"{text[:14]:14} {budget:>6} {rng:>3} {run['shape']:>7} {run['dropout']!s:>5} "
        f"{run['seconds']:8.1f} {run['chars_per_second'] / 1e3:9.1f}  {run['nats']:6.4f} "
        f"{run['bits']:6.4f} {run['cold_nats']:9.4f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
