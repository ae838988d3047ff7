"""Whether texts keep to the forms that are asked for, at what price, and how fast they are written.

    python benchmarks/forms.py [--texts 1000] [--only ROW] [--rounds 5] [--json]

The models are those that come with textgen. Each row writes texts under one form, and looks at each
of them by other means than the form is made of (`tests/support/form_checks.py`). The price is that
against free writing, in bits. Last comes the speed of one long text under a regular expression
beside a free one, in turns within this run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.form_checks import keeps

from textgen import Model, load

SENTENCE = "[A-Z][a-z]+( [a-z]+){3,8}[.!?]"
RUSSIAN = "[А-ЯЁ][а-яё]+( [а-яё]+){3,8}[.!?]"
#: The model, and the form.
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "match": ("shakespeare", {"match": SENTENCE}),
    "match ru": ("dostoevsky", {"match": RUSSIAN}),
    "match-line": ("shakespeare", {"match_line": "[A-Z][a-z ,']+[.;!?]", "lines": 4}),
    "lines": ("shakespeare", {"lines": 14, "line_chars": "30..40"}),
    "chars": ("shakespeare", {"chars": "20..60"}),
    "acrostic": ("shakespeare", {"acrostic": "MERCY", "line_chars": "25..40"}),
    "acrostic ru": ("dostoevsky", {"acrostic": "СЛОВО", "line_chars": "25..40"}),
    "without": ("shakespeare", {"without": "e", "length": 120}),
    "include": ("shakespeare", {"include": ("mercy",), "length": 120}),
    "syllables": ("shakespeare", {"syllables": "5,7,5"}),
    "syllables ru": ("dostoevsky", {"syllables": "5,7,5"}),
    "rhyme": ("shakespeare", {"rhyme": "ABAB", "line_chars": "25..40"}),
    "rhyme ru": ("dostoevsky", {"rhyme": "ABAB", "line_chars": "25..40"}),
    "all": (
        "shakespeare",
        {"rhyme": "AABB", "acrostic": "LOVE", "line_chars": "25..40", "without": "q"},
    ),
}
#: What is written under the expression of the speed: lines of text.
LINES = r"([A-Za-z ,.;:'!?\-]{1,60}\n+)+"
LENGTH = 2_000


def row(name: str, model: Model, form: dict[str, Any], count: int) -> dict[str, Any]:
    """What texts of one form are like."""
    began = time.perf_counter()
    texts = model.generate_many(count, mix=False, **form)
    seconds = time.perf_counter() - began
    asked = {setting: value for setting, value in form.items() if setting != "length"}
    kept = sum(keeps(text.text, **asked) for text in texts)
    chars = sum(len(text.text) for text in texts)
    bits = [text.form_bits for text in texts]
    return {
        "form": name,
        "texts": count,
        "kept": kept,
        "different": len({text.text for text in texts}),
        "bits": mean(bits),
        "bits_per_char": sum(bits) / chars,
        "chars": chars / count,
        "seconds": seconds,
    }


def speed(model: Model, rounds: int) -> dict[str, float]:
    """Characters a second of one text, free and under an expression, and their ratio."""

    def rate(**form: Any) -> float:
        began = time.perf_counter()
        chars = sum(s.chars for s in model.stream(length=LENGTH, mix=False, **form))
        return chars / (time.perf_counter() - began)

    rate(match=LINES)
    pairs = [(rate(), rate(match=LINES)) for _ in range(rounds)]
    return {
        "free": median(free for free, _ in pairs),
        "match": median(held for _, held in pairs),
        "ratio": median(held / free for free, held in pairs),
    }


def main() -> None:
    """Print a row for each form, then the speed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--only", choices=[*ROWS, "speed"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    models = {name: load(name) for name in ("shakespeare", "dostoevsky")}
    if not asked.json:
        print("| form | kept | different | characters | bits a text | bits/char |")
        print("|---|---|---|---|---|---|")
    for name, (model, form) in ROWS.items():
        if asked.only not in (None, name):
            continue
        found = row(name, models[model], form, asked.texts)
        if asked.json:
            print(json.dumps(found), flush=True)
            continue
        print(
            f"| {name} | {found['kept']:,} of {found['texts']:,} | {found['different']:,} | "
            f"{found['chars']:.0f} | {found['bits']:.1f} | {found['bits_per_char']:.3f} |",
            flush=True,
        )
    if asked.only in (None, "speed"):
        found = speed(models["shakespeare"], asked.rounds)
        if asked.json:
            print(json.dumps(found))
        else:
            print(
                f"one text: {found['free']:,.0f} characters/s free, {found['match']:,.0f} under a "
                f"regular expression, ratio {found['ratio']:.2f}"
            )


if __name__ == "__main__":
    main()
