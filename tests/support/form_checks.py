"""Whether a text keeps to a form, found out by other means than the form is made of."""

from __future__ import annotations

import re
import unicodedata
from itertools import cycle
from pathlib import Path

#: Vowels, their marks left out, as a reader would list them.
CYRILLIC = "аеёиоуыэюя"
LATIN = "aeiouy"


def lines_of(text: str) -> list[str]:
    """The lines; a line end at the end begins none."""
    return text.removesuffix("\n").split("\n")


def runs(text: str) -> list[str]:
    """The words of a text in lower case."""
    return re.findall(r"[^\W_]+", text.lower())


def syllables(line: str, *, english: bool = False) -> int:
    if english:
        words = re.findall(r"[^\W_]+", line.lower())
        return sum(english_syllables(w) if w.isascii() else syllables(w) for w in words)
    # Letters without their marks, as in "café"; й is a letter of its own.
    low = unicodedata.normalize("NFD", line.lower().replace("й", "j"))
    bare = "".join(char for char in low if not unicodedata.category(char).startswith("M"))
    return len(re.findall(f"[{CYRILLIC}]|[{LATIN}œæ]+", bare))


def english_syllables(word: str) -> int:
    """Groups of vowels, but for an e that is silent at the end, or before an s or a d there."""
    count = len(re.findall("[aeiouy]+", word))
    silent = "[^aeiouy]e$|[^aeiouytd]ed$|[^aeiouysxzcgh]es$"
    is_silent = re.search(silent, word) and not re.search("[^aeiouyl]le[ds]?$", word)
    return count - 1 if count > 1 and is_silent else count


def from_last_vowel(word: str) -> str:
    found = re.search(f"[{CYRILLIC}{LATIN}][^{CYRILLIC}{LATIN}]*$", word)
    assert found, word
    return found[0]


def within(span: str, number: int) -> bool:
    least, dots, most = span.partition("..")
    if not dots:
        return number == int(least)
    return number >= int(least or 0) and (not most or number <= int(most))


def keeps(text: str, *, english: bool = False, **form) -> bool:
    """Whether the whole text keeps to each of the settings; its language is for syllables."""
    lines = lines_of(text)
    checks = {
        "match": lambda regex: re.fullmatch(regex, text) is not None,
        "match_line": lambda regex: all(re.fullmatch(regex, line) for line in lines),
        "chars": lambda span: within(span, len(text)),
        "lines": lambda count: len(lines) == count and all(lines),
        "line_chars": lambda span: all(within(span, len(line)) for line in lines),
        "acrostic": lambda word: (
            [line[0].lower() for line in lines[: len(word)]] == list(word.lower())
        ),
        "without": lambda letters: not set(letters.lower()) & set(text.lower()),
        "only_words": lambda path: set(runs(text)) <= set(runs(Path(path).read_text("utf-8"))),
        "include": lambda words: all(
            re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in words
        ),
        "syllables": lambda counts: (
            len(lines) >= len(counts.split(","))
            and all(
                syllables(line, english=english) == int(count)
                for line, count in zip(lines, cycle(counts.split(",")), strict=False)
            )
        ),
        "rhyme": lambda scheme: rhymes(lines, scheme),
    }
    return all(checks[name](value) for name, value in form.items())


def rhymes(lines: list[str], scheme: str) -> bool:
    """Whether each stanza does; the last one may be cut short."""
    stanzas = [lines[start : start + len(scheme)] for start in range(0, len(lines), len(scheme))]
    return len(stanzas[0]) == len(scheme) and all(stanza_rhymes(own, scheme) for own in stanzas)


def stanza_rhymes(lines: list[str], scheme: str) -> bool:
    ends = [(runs(line) or [""])[-1] for line in lines]
    for letter in set(scheme) - {"."}:
        own = [end for end, mark in zip(ends, scheme, strict=False) if mark == letter]
        if len(set(own)) < len(own):
            return False
        if len(own) > 1 and len({from_last_vowel(end) for end in own}) > 1:
            return False
    return True
