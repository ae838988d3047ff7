"""Made-up corpora in which something hidden has to be remembered, and what it is at each place.

Each is drawn from a seed. A small network that predicts them well must keep the hidden thing in its
state, so a search for neurons that carry it must find some.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

#: Turns the hidden state of `switched_text` on, and off.
ON, OFF = "+", "-"
_STEMS = ("ta", "ko", "mi", "ne", "su", "ra")

MEN = ("Иван", "Пётр", "Олег", "Борис")
WOMEN = ("Анна", "Вера", "Ольга", "Мария")
_MALE = ("пришёл", "ушёл", "встал", "уснул", "молчал", "поел", "запел", "устал")
_FEMALE = ("пришла", "ушла", "встала", "уснула", "молчала", "поела", "запела", "устала")
_LINKS = (". Потом ", " и ", ", ", ". Вечером ", ", а потом ")

_WORDS = ("old", "man", "sea", "red", "tree", "bird", "a", "of", "stone", "river")


def switched_text(chars: int, seed: int = 0) -> str:
    """Syllables whose ending depends on the last cue: `o` after `+`, `e` after `-`."""
    rng = random.Random(seed)
    parts, size, on = [], 0, False
    while size < chars:
        on = not on
        words = [rng.choice(_STEMS) + ("o" if on else "e") for _ in range(rng.randint(2, 9))]
        parts.append((ON if on else OFF) + " ".join(words) + " ")
        size += len(parts[-1])
    return "".join(parts)[:chars]


#: A character belongs to the hidden state from its cue up to the next one.
SWITCHED = rf"\{ON}[^{OFF}]*"


def late_cue_texts(count: int, seed: int = 0) -> tuple[list[str], list[bool]]:
    """Texts that begin in either state and end, after a last cue near the end, in the labelled one.

    Only the last tenth says which label it is.
    """
    rng = random.Random(seed)
    texts, labels = [], []
    for _ in range(count):
        start, label = rng.random() < 0.5, rng.random() < 0.5
        texts.append(_stretch(rng, start, 18) + _stretch(rng, label, 2))
        labels.append(label)
    return texts, labels


def _stretch(rng: random.Random, on: bool, words: int) -> str:
    end = "o" if on else "e"
    return (ON if on else OFF) + " ".join(rng.choice(_STEMS) + end for _ in range(words)) + " "


def enclosed_text(chars: int, seed: int = 0) -> str:
    """Words, some of them in quotation marks, some in brackets, which nest up to three deep."""
    rng = random.Random(seed)

    def words() -> str:
        return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 4)))

    def bracket(depth: int) -> str:
        inner = words()
        if depth < 3 and rng.random() < 0.5:
            inner += " " + bracket(depth + 1) + " " + words()
        return f"({inner})"

    parts, size = [], 0
    while size < chars:
        kind = rng.random()
        part = words() if kind < 0.4 else f"«{words()}»" if kind < 0.7 else bracket(1)
        parts.append(part + rng.choice((" ", " ", " ", ".\n")))
        size += len(parts[-1])
    return "".join(parts)[:chars]


def gendered_text(chars: int, seed: int = 0) -> str:
    """A name, and verbs whose endings agree with it until the next name."""
    rng = random.Random(seed)
    parts, size = [], 0
    while size < chars:
        man = rng.random() < 0.5
        name = rng.choice(MEN if man else WOMEN)
        part = f"{name} " + rng.choice(_MALE if man else _FEMALE)
        for _ in range(rng.randint(1, 5)):
            part += rng.choice(_LINKS) + rng.choice(_MALE if man else _FEMALE)
        parts.append(part + ". ")
        size += len(parts[-1])
    return "".join(parts)[:chars]


#: From a man's name up to the next name.
GENDERED = rf"(?:{'|'.join(MEN)})(?:(?!{'|'.join(MEN + WOMEN)})[\s\S])*"


def masculine(text: str) -> NDArray[np.bool_]:
    """Whether the last name read was a man's, at each character of `text`."""
    result = np.zeros(len(text), bool)
    man = False
    for place in range(len(text)):
        for names, kind in ((MEN, True), (WOMEN, False)):
            if any(text.endswith(name, 0, place + 1) for name in names):
                man = kind
        result[place] = man
    return result
