"""Whether texts keep to the forms that are asked for, at what price, and how fast they are written.

    python benchmarks/forms.py [--texts 1000] [--only ROW] [--rounds 5] [--json]

The models are those that come with textgen. Each row writes texts under one form, and looks at each
of them by other means than the form is made of (`tests/support/form_checks.py`). The price is that
against free writing, in bits. Last come the speeds of texts one after another, and of 64 together:
free and under forms, in turns within this run. What a form costs once stands apart. The speeds
alone (`--only speed`) take two minutes on a quiet machine, and four at most: on a busy one there
are fewer turns.
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
from textgen.options import SampleOptions
from textgen.sampling import generate
from textgen.sampling.forms import form_of
from textgen.sampling.line_end_words import line_end_words

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
    "rhyme and match": (
        "shakespeare",
        {"rhyme": "ABAB", "match": "([A-Z][a-z ,']+[,.;!?]\n?)+", "line_chars": "20..40"},
    ),
    "rhyme and end": (
        "shakespeare",
        {"rhyme": "ABAB", "match": "(.*\n)*.* (love|night|more)[.!?]", "line_chars": "20..40"},
    ),
    "rhyme and include": (
        "shakespeare",
        {"rhyme": "ABAB", "include": ("mercy",), "chars": "100..140", "line_chars": "20..40"},
    ),
    "all": (
        "shakespeare",
        {"rhyme": "AABB", "acrostic": "LOVE", "line_chars": "25..40", "without": "q"},
    ),
}
#: The forms whose speed is measured, of texts of so many characters at most.
SPEEDS: dict[str, dict[str, Any]] = {
    "free": {},
    "match": {"match": r"([A-Za-z ,.;:'!?\-]{1,60}\n+)+"},
    "verse": {"lines": 14, "line_chars": "30..40"},
    "rhyme": {"rhyme": "ABAB", "lines": 12, "line_chars": "30..40"},
}
LENGTH = 500
#: No turn of the speeds begins after so long.
MOST_SECONDS = 150
#: Texts that are written one after another.
ALONE = 8


def row(name: str, model: Model, form: dict[str, Any], count: int) -> dict[str, Any]:
    """What texts of one form are like."""
    began = time.perf_counter()
    texts = model.generate_many(count, mix=False, **form)
    seconds = time.perf_counter() - began
    asked = {setting: value for setting, value in form.items() if setting != "length"}
    english = not name.endswith(" ru")
    kept = sum(keeps(text.text, english=english, **asked) for text in texts)
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


def speeds(model: Model, rounds: int) -> list[dict[str, Any]]:
    """Characters a second under each form, and the medians of their ratios to the free ones."""
    forms, once = {}, {}
    words = line_end_words(model.saved, model.networks)
    for name, settings in SPEEDS.items():
        began = time.perf_counter()
        asked = SampleOptions(length=LENGTH, **settings)
        forms[name] = form_of(asked, model.vocabulary, lambda: words)
        once[name] = time.perf_counter() - began
    options = SampleOptions(length=LENGTH)

    def rate(name: str, count: int, together: bool) -> float:
        network = model.networks.many if together else model.networks.one
        began = time.perf_counter()
        texts = generate(
            *(network, model.vocabulary, [()] * count, options),
            form=forms[name],
            together=together,
        )
        return sum(len(text.text) for text in texts) / (time.perf_counter() - began)

    rows = []
    for count, together in ((ALONE, False), (64, True)):
        turns: list[dict[str, float]] = []
        began = time.perf_counter()
        while len(turns) < 2 or (
            len(turns) <= rounds and time.perf_counter() - began < MOST_SECONDS / 2
        ):
            turns.append({name: rate(name, count, together) for name in SPEEDS})
        del turns[0]  # It makes what is kept.
        rows += [
            {
                "form": name,
                "together": count if together else 1,
                "once": once[name],
                "rate": median(turn[name] for turn in turns),
                "ratio": median(turn[name] / turn["free"] for turn in turns),
            }
            for name in SPEEDS
        ]
    return rows


def main() -> None:
    """Print a row for each form, then the speed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--only", choices=[*ROWS, "speed"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    models = {name: load(name) for name in dict.fromkeys(model for model, _ in ROWS.values())}
    if not asked.json and asked.only != "speed":
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
        if not asked.json:
            print("| form | texts | once, s | characters/s | of free |")
            print("|---|---|---|---|---|")
        for found in speeds(models["shakespeare"], asked.rounds):
            if asked.json:
                print(json.dumps(found))
                continue
            print(
                f"| {found['form']} | {found['together']} | {found['once']:.2f} | "
                f"{found['rate']:,.0f} | {found['ratio']:.2f} |"
            )


if __name__ == "__main__":
    main()
