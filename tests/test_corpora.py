"""The texts in corpora/ are fit to train on: clean bytes, no padding, tunes whose bars add up."""

from __future__ import annotations

import lzma
import re
import runpy
import unicodedata
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

CORPORA = Path(__file__).resolve().parents[1] / "corpora"
TUNES = CORPORA / "tunes.abc.txt"
PROSE = [("russian.txt", "cp1251"), ("english.txt", "latin-1")]

LEAST_PROSE = 40_000  # characters
LEAST_TUNES = 15_000
LEAST_BITS = 2.2  # per character under lzma; repeated or templated text falls below

NOTE = re.compile(r"(?:\^\^?|__?|=)?[A-Ga-gz][,']*(\d*)(/*)(\d*)")
TUPLET = re.compile(r"\(3(?!\d)")
BAR_LINE = re.compile(r"(:\||\|:|\|\||\|\]|\|)")


def read(name: str) -> str:
    """The text of a corpus, its line ends untouched."""
    return (CORPORA / name).read_bytes().decode("utf-8")


def repeated(items: list[str]) -> list[str]:
    """The items that occur more than once, whatever their spacing."""
    counts = Counter(" ".join(item.split()) for item in items)
    return [item for item, count in counts.items() if count > 1]


def tunes() -> list[str]:
    return TUNES.read_text(encoding="utf-8").strip("\n").split("\n\n")


def parse(tune: str) -> tuple[dict[str, str], str]:
    """The header fields of a tune and its notes; the header ends with K:."""
    fields: dict[str, str] = {}
    lines = tune.split("\n")
    for number, line in enumerate(lines, start=1):
        key, colon, value = line.partition(":")
        assert colon and len(key) == 1 and key.isalpha(), f"not a header field: {line!r}"
        assert key not in fields, f"field {key}: occurs twice"
        fields[key] = value.strip()
        if key == "K":
            return fields, "\n".join(lines[number:])
    raise AssertionError("no K: field")


def length(bar: str) -> Fraction:
    """The length of a bar in units of L:, with triplets and broken rhythm counted."""
    total, tuplet, longer = Fraction(0), 0, Fraction(1)
    previous = Fraction(0)
    position = 0
    while position < len(bar):
        if opening := TUPLET.match(bar, position):
            tuplet, position = 3, opening.end()
        elif note := NOTE.match(bar, position):
            above, slashes, below = note.groups()
            assert slashes in ("", "/") or not below, f"bad length in {bar!r}"
            written = Fraction(int(above or 1), int(below or 2 ** len(slashes)))
            current = written * longer
            longer = Fraction(1)
            if tuplet:
                current, tuplet = current * Fraction(2, 3), tuplet - 1
            total, previous = total + current, current
            position = note.end()
        elif bar[position] in "<>":
            assert previous, f"broken rhythm before any note in {bar!r}"
            shift = Fraction(1, 2) if bar[position] == ">" else Fraction(-1, 2)
            total += previous * shift
            longer, position = 1 - shift, position + 1
        elif bar[position] in " \n~-":
            position += 1
        else:
            raise AssertionError(f"cannot read {bar[position]!r} in {bar!r}")
    assert not tuplet and longer == 1, f"unfinished triplet or broken rhythm in {bar!r}"
    return total


def sections(body: str) -> list[list[tuple[str, bool]]]:
    """The repeated parts of a tune: bars, each with whether it ends the part (or an ending)."""
    parts: list[list[tuple[str, bool]]] = [[]]
    pieces = BAR_LINE.split(re.sub(r'"[^"\n]*"', "", body))
    assert not pieces[-1].strip(), "the tune does not end with a bar line"
    assert pieces[-2] in (":|", "|]"), "the tune does not end with a repeat or a final bar"
    for bar, line in zip(pieces[::2], pieces[1::2], strict=False):
        bar = bar.strip()
        if not bar:
            continue
        if parts[-1] and parts[-1][-1][1] and not bar.startswith("2"):
            parts.append([])
        parts[-1].append((re.sub(r"^[12]\s+", "", bar), line not in ("|", "|:")))
    return parts


def faults(tune: str) -> list[str]:
    """The bars that do not add up to the metre.

    A part may open with a pickup; the bar that ends it is then shorter by that much. All
    parts of a tune have the same pickup.
    """
    fields, body = parse(tune)
    full = Fraction(fields["M"]) / Fraction(fields["L"])
    found, pickups = [], set()
    for part in sections(body):
        first = length(part[0][0])
        pickup = first if first < full else Fraction(0)
        pickups.add(pickup)
        for bar, ends in part[1:] if pickup else part:
            expected = full - pickup if ends else full
            if length(bar) != expected:
                found.append(f"{bar}: {length(bar)} of {expected}")
    if len(pickups) > 1:
        found.append(f"pickups of {', '.join(map(str, sorted(pickups)))}")
    return found


def test_every_file_is_clean_utf8() -> None:
    names = {path.name for path in CORPORA.iterdir()}
    assert {"russian.txt", "english.txt", "tunes.abc.txt", "README.md", "LICENSE"} <= names
    for name in sorted(names):
        text = read(name)
        assert unicodedata.is_normalized("NFC", text), name
        assert "\r" not in text and "\ufeff" not in text and "\0" not in text, name
        assert text.endswith("\n") and not text.endswith("\n\n"), name


def test_the_readme_names_every_text_and_the_licence() -> None:
    readme = read("README.md")
    for path in CORPORA.glob("*.txt"):
        assert path.name in readme
    assert "CC0" in readme
    assert "SPDX-License-Identifier: CC0-1.0" in read("LICENSE")


@pytest.mark.parametrize(("name", "encoding"), PROSE)
def test_prose_is_long_and_not_padded(name: str, encoding: str) -> None:
    text = read(name)
    assert len(text) >= LEAST_PROSE
    paragraphs = [line for line in text.split("\n") if any(map(str.isalpha, line))]
    assert repeated(paragraphs) == []
    packed = lzma.compress(text.encode(encoding), preset=9 | lzma.PRESET_EXTREME)
    assert 8 * len(packed) / len(text) > LEAST_BITS


def test_tunes_are_complete_and_different() -> None:
    assert len(TUNES.read_text(encoding="utf-8")) >= LEAST_TUNES
    assert "\n\n\n" not in TUNES.read_text(encoding="utf-8")
    parsed = [parse(tune) for tune in tunes()]
    for fields, body in parsed:
        assert list(fields)[:2] == ["X", "T"]
        assert set("XTMLK") <= set(fields) and all(fields.values())
        assert fields["X"].isdigit()
        assert body.strip()
    assert repeated([fields["X"] for fields, _ in parsed]) == []
    assert repeated([fields["T"] for fields, _ in parsed]) == []
    assert repeated(["".join(body.split()) for _, body in parsed]) == []


@pytest.mark.parametrize("tune", tunes(), ids=lambda tune: tune.split("\n", 1)[0])
def test_bars_add_up_to_the_metre(tune: str) -> None:
    assert faults(tune) == []


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("|:A2B2 c2d2|A8:|", 0),
        ("|:A>B c<d (3efg a/b/c'|[wrong]", None),
        ("|:A>B c<d (3efg a/b/c'|^F,3_B z4:|", 0),
        ("|:A2|B8|c6:|", 0),
        ("|:A2|B8|c8:|", 1),
        ("|:A2B2 c2d|A8:|", 1),
        ("|:A8|B7|c8:|", 1),
        ("|:A8|1 B8:|2 c4|]", 1),
        ("|:A2|B8|c6:||:A|B8|c7:|", 1),
        ('|:"Am"A8|1 B8:|2 c6 d2||\ne8|g6z2|]', 0),
    ],
)
def test_the_bar_check_itself(body: str, count: int | None) -> None:
    tune = f"X:1\nT:Trial\nM:4/4\nL:1/8\nK:C\n{body}"
    if count is None:
        with pytest.raises(AssertionError):
            faults(tune)
    else:
        assert len(faults(tune)) == count


def test_the_tides_are_what_the_script_writes() -> None:
    script = runpy.run_path(str(CORPORA / "tides.py"))
    table = read("tides.csv")
    assert table == script["text"]()
    lines = table.splitlines()
    assert lines[0] == "hour,height" and len(lines) == 1 + 60 * 24
