"""The figures of a model card: bits per character, where they are, novelty, samples as they come.

    python benchmarks/shipped.py MODEL TEXT... [--trained-on PATH] [--rounded]

`TEXT` are texts that the model never learned from. `--trained-on` is its training text, with which
20 texts of 1,000 characters are compared. `--rounded` rounds each weight to 8 bits (one scale for
each row of a matrix) and to 16, and measures the first text with both.
"""

from __future__ import annotations

import argparse
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textgen import Model, load
from textgen.corpus.vocabulary import END_ID
from textgen.evaluation.nll import CHUNK, token_nll
from textgen.evaluation.prediction import opened

#: Temperatures of the samples: ten texts, unselected.
TEMPERATURES = (0.6, 0.6, 0.7, 0.7, 0.7, 0.8, 0.8, 0.8, 0.9, 0.9)


def costs(model: Model, text: str) -> NDArray[np.float64]:
    """The bits of each character of a text, read once from its beginning, `(chars,)`."""
    ids = np.asarray(model.encode(text), np.int64)
    inputs = np.concatenate(([END_ID], ids[:-1]))
    parts = []
    with opened(model.saved) as network:
        state = network.zero_state(1)
        for start in range(0, len(ids), CHUNK):
            part = slice(start, start + CHUNK)
            nats, state = token_nll(network, inputs[part, None], ids[part, None], state)
            parts.append(nats[:, 0])
    return np.concatenate(parts) / np.log(2)


def class_of(symbol: str) -> str:
    """What kind of character this is, in words."""
    if symbol.isalpha():
        return "small letter" if symbol.islower() else "capital letter"
    if symbol == "\n":
        return "line end"
    if symbol.isspace():
        return "space"
    kind = unicodedata.category(symbol)
    return "digit" if kind == "Nd" else "punctuation" if kind[0] == "P" else "other"


def places(text: str) -> Iterator[str]:
    """The place in its word of each character: letter 1, 2, ..., or the character after a word."""
    for is_letter, run in groupby(text, str.isalpha):
        for number, _ in enumerate(run, 1):
            if is_letter:
                yield f"letter {number}" if number < 8 else "letter 8 and on"
            else:
                yield "after a word" if number == 1 else "between words"


def show_where(bits: NDArray[np.float64], names: list[str]) -> None:
    """Print a table: a group of characters, its share of the text, bits each, share of the bits."""
    groups: dict[str, list[float]] = defaultdict(list)
    for name, cost in zip(names, bits, strict=True):
        groups[name].append(float(cost))
    print("| characters | of the text | bits each | of all bits |\n|---|---|---|---|")
    for name in sorted(groups, key=lambda name: -sum(groups[name])):
        own = groups[name]
        print(
            f"| {name} | {len(own) / len(bits):.1%} | {np.mean(own):.2f} | "
            f"{sum(own) / bits.sum():.1%} |"
        )
    print()


def rounded(array: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Weights as they come back from 16 bits, or from 8 with a scale for each row."""
    if bits == 16:
        return array.astype(np.float16).astype(np.float32)
    scale = np.abs(array).max(axis=-1, keepdims=True) / 127
    whole = np.rint(array / np.where(scale > 0, scale, 1))
    return (whole * scale).astype(np.float32)


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--trained-on", type=Path)
    parser.add_argument("--rounded", action="store_true")
    arguments = parser.parse_args()
    model = load(arguments.model)
    for path in arguments.texts:
        found = model.evaluate(path)
        print(f"{path.name}: {found.bits_per_char:.4f} bits/char, {found.chars:,} characters")
    first = arguments.texts[0]
    if arguments.rounded:
        for bits in (16, 8):
            weights = {name: rounded(own, bits) for name, own in model.saved.weights.items()}
            other = Model(replace(model.saved, weights=weights), model.path)
            found = other.evaluate(first)
            print(f"{first.name} with {bits} bits a weight: {found.bits_per_char:.4f} bits/char")
    text = model.saved.normalization.apply(first.read_text("utf-8"))
    bits = costs(model, text)
    print(f"\nwhere the bits of {first.name} are ({bits.mean():.4f} bits/char):\n")
    show_where(bits, [class_of(symbol) for symbol in text])
    show_where(bits, list(places(text)))
    if arguments.trained_on is not None:
        for temperature in (0.6, 0.8, 1.0):
            texts = model.generate_many([""] * 20, length=1000, temperature=temperature, rng=1)
            report = model.novelty(texts, novelty_corpus=arguments.trained_on)
            print(
                f"novelty at temperature {temperature}: {report.copied_share:.1%} copied in long "
                f"runs, the longest of {report.longest} characters"
            )
    for number, temperature in enumerate(TEMPERATURES, 1):
        sample = model.generate("", length=300, temperature=temperature, rng=number)
        print(f"\n--rng {number} --temperature {temperature}\n\n{sample}")


if __name__ == "__main__":
    main()
