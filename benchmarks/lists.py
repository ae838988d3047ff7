"""A list of 32,000 made names: 30 s of training, a hundred new names, and what they cost.

python benchmarks/lists.py            # makes the names in build/names.txt, which no corpus is
python benchmarks/lists.py mine.txt   # a list of yours

Prints what validation costs, in bits per character (the bits of a name's
end are charged to its characters) and in nats per symbol (the end is a symbol, as in makemore); the
time in which a hundred items are written, with and without the start of Python; how many of them
hold all that is promised.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import textgen
from textgen.options import TrainOptions
from textgen.training.data import open_data

#: Beginnings, middles and ends of names, in three alphabets.
GRAMMARS = (
    (
        "al be bri ca cor da de el em fa ga gra ha is ja ka kel la lo ma mi na no o pa ro sa ta vi",
        "b d l m n r s v ll nn rr st nd ri la no li ra mo",
        "a e o us in ette or wen ia ina ard is on ra lyn th",
    ),
    (
        "ал бе бо ва ви га да до е жи за и ка ла лю ма ми на ни о па ро са све та у фе я",
        "в д л м н р с т нд рс сл ри ла на ди",
        "а я ий ей ин ина ов ова ан на слав мир",
    ),
    (
        "αλ βα γε δη ελ ευ θε ι κα κλε λυ μα νι ξε πα ρο σο τι φι χρυ",
        "δ κ λ μ ν ρ σ τ νδ ρι λα νο",
        "α η ος ης ιος ία ίδης ας ώ",
    ),
)
COUNT = 32_000
PATTERN = "[A-Z].*[aeo]"


def made_names(count: int, seed: int = 1) -> list[str]:
    """Different names; the rarer a part is in its list, the later it stands there."""
    rng, found = random.Random(seed), dict[str, None]()

    def pick(parts: str) -> str:
        own = parts.split()
        return own[min(int(rng.expovariate(3.0 / len(own))), len(own) - 1)]

    while len(found) < count:
        first, middle, last = rng.choices(GRAMMARS, (6, 3, 1))[0]
        middles = (pick(middle) for _ in range(rng.choice((0, 1, 1, 2))))
        found[(pick(first) + "".join(middles) + pick(last)).capitalize()] = None
    return list(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?")
    parser.add_argument("--budget", default="30s")
    asked = parser.parse_args()
    path = Path(asked.path or "build/names.txt")
    if asked.path is None:
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in made_names(COUNT)), encoding="utf-8")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    out = path.parent / "lists-run"
    result = textgen.train(path, out=out, budget=asked.budget, force=True)
    data = open_data([path], TrainOptions())
    assert data.lengths is not None
    documents = int((data.val == 0).sum())
    chars = len(data.val) - documents
    nats = result.bits_per_char * math.log(2) * chars / len(data.val)
    print(result)
    print(f"validation: {documents:,} of {data.lengths.count:,} items, {chars:,} characters")
    print(f"{result.bits_per_char:.4f} bits/char with the ends, {nats:.4f} nats/symbol")
    model = result.load()
    known = set(path.read_text("utf-8").splitlines())
    for mix in (False, True):
        if mix and not model.choose_mix().value:
            continue
        for settings in ({}, {"chars": "3..12", "match": PATTERN}, {"match": "A[a-z]"}):
            start, computed = time.perf_counter(), time.process_time()
            found = model.items(100, rank=True, mix=mix, **settings)
            seconds = time.perf_counter() - start
            computed = time.process_time() - computed
            texts = found.texts
            holds = sum(
                text not in known
                and ("chars" not in settings or 3 <= len(text) <= 12)
                and re.fullmatch(settings.get("match", ".*"), text) is not None
                for text in dict.fromkeys(texts)
            )
            print(
                f"mix={mix} {settings}: {holds} of {len(texts)} hold, {found.written} written, "
                f"{seconds:.2f} s, {computed:.2f} s of computing"
            )
            print(f"  {found.why_fewer or ''} {' '.join(texts[:6])}")
    command = ["-m", "textgen", "sample", "--checkpoint", str(out), "--items", "100", "--quiet"]
    start = time.perf_counter()
    written = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    print(f"{seconds:.2f} s with the start of Python; load {os.getloadavg()[0]:.1f}")
    print(len(written.stdout.splitlines()), "lines")


if __name__ == "__main__":
    main()
