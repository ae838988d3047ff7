"""Two checkouts of textgen side by side: is one of them slower?

    python benchmarks/against.py OTHER_CHECKOUT [--rounds 5] [--only NAME] [--json]

Every measurement is a child process that takes the package from one checkout or the other, in
turns, so that the load of the machine hits both alike. The table has the medians and the median of
the ratios other / this: below 1, this checkout is slower. Only public functions and the command are
used, so OTHER_CHECKOUT may be an old one. Both checkouts need their native library:
`python -m textgen.native.build`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from measuring import CHECKOUT, environment, first_character_seconds, made_up_text, seconds_of

#: How a script measured inside a child process begins. It prints seconds.
BEGINNING = """
import os, shutil, sys, tempfile
from statistics import median
from time import perf_counter as clock
import textgen
assert textgen.__file__.startswith(sys.argv[1] + os.sep), textgen.__file__
train = lambda **settings: textgen.train("text.txt", out="run", force=True, rng=1, **settings)
"""
MODEL = "shutil.copy(train(steps=2, hidden_size=512).model, 'model.safetensors')\nprint(0)"
SCRIPTS = {
    "training step": """
times = []
train(steps=40, hidden_size=256, stop=lambda: times.append(clock()))
print(median(b - a for a, b in zip(times[5:], times[6:])))
""",
    "one stream, a character": """
model = textgen.load("model.safetensors")
model.generate("", length=200, rng=1)
began = clock()
text = model.generate("", length=4000, rng=1)
print((clock() - began) / len(text))
""",
    "64 streams, a character": """
model = textgen.load("model.safetensors")
model.generate_many(64, "", length=20, rng=1)
began = clock()
texts = model.generate_many(64, "", length=300, rng=1)
print((clock() - began) / sum(len(text.text) for text in texts))
""",
    # It ends in the middle of the run: what comes after the first step is not measured.
    "preparation to the first step": """
os.environ["TEXTGEN_CACHE"] = tempfile.mkdtemp(dir=".")
began = clock()
train(steps=2, hidden_size=16, stop=lambda: (print(clock() - began, flush=True), os._exit(0)))
""",
}


def script_seconds(script: str, folder: Path, checkout: Path) -> float:
    """What a script prints."""
    words = [sys.executable, "-c", BEGINNING + script, str(checkout)]
    done = subprocess.run(
        words, cwd=folder, env=environment(checkout), check=True, capture_output=True
    )
    return float(done.stdout.split()[-1])


def help_seconds(folder: Path, checkout: Path) -> float:
    """Wall time of `textgen --help`."""
    run = partial(subprocess.run, cwd=folder, env=environment(checkout), capture_output=True)
    return seconds_of(lambda: run([sys.executable, "-m", "textgen", "--help"], check=True))


def main() -> None:
    """Measure both checkouts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, metavar="OTHER_CHECKOUT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="parts whose name contains this")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    other = options.other.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "text.txt").write_text(made_up_text(5_000_000), encoding="utf-8")
        # The model is written by the other checkout, so that both can read it.
        script_seconds(MODEL, folder, other)
        parts: dict[str, Callable[[Path], float]] = {
            **{name: partial(script_seconds, text, folder) for name, text in SCRIPTS.items()},
            "textgen --help": partial(help_seconds, folder),
            "first character": partial(first_character_seconds, folder / "model.safetensors"),
        }
        for part, measure in parts.items():
            if options.only not in part:
                continue
            measure(CHECKOUT), measure(other)  # Once without a clock, to warm up.
            pairs = []
            for number in range(options.rounds):
                order = (CHECKOUT, other) if number % 2 else (other, CHECKOUT)
                seconds = {checkout: measure(checkout) for checkout in order}
                pairs.append((seconds[CHECKOUT], seconds[other]))
            ratio = median(theirs / ours for ours, theirs in pairs)
            if options.json:
                print(json.dumps({"part": part, "seconds": pairs, "ratio": ratio}), flush=True)
                continue
            ours, theirs = (median(times) * 1e3 for times in zip(*pairs, strict=True))
            print(f"{part:30} {ours:11.4f} ms {theirs:11.4f} ms   {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()
