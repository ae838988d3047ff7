"""A text of another typography costs what the text that the model knows costs, and the telling."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.every_kind import model_of, page

import textgen
from textgen.evaluation.nll import ESCAPE_NATS, telling_nats
from textgen.evaluation.prediction import read_as_notes

#: Each sentence ends with three full stops, which the model has; so an ellipsis can stand for them.
KNOWN = page()[:700].replace(".", "...")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "textgen-cache"))


def kt(ways: list[int], kinds: int) -> Fraction:
    """The probability of answers, one after the other: the rule as it stands in the paper."""
    product, counts = Fraction(1), [0] * kinds
    for n, way in enumerate(ways):
        product *= (Fraction(1, 2) + counts[way]) / (n + Fraction(kinds, 2))
        counts[way] += 1
    return product


def bits(probability: Fraction) -> float:
    return math.log2(probability.denominator) - math.log2(probability.numerator)


@given(st.integers(2, 5).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(0, k - 1)))))
def test_the_closed_form_is_the_code_place_by_place(case: tuple[int, list[int]]) -> None:
    kinds, ways = case
    counts = {str(way): ways.count(way) for way in range(kinds)}
    told = telling_nats({"0": counts}) - (kinds - 1) * ESCAPE_NATS
    assert told / math.log(2) == pytest.approx(bits(kt(ways, kinds)), abs=1e-9)
    mixed = ways[:]
    random.Random(1).shuffle(mixed)
    assert kt(mixed, kinds) == kt(ways, kinds)


def test_by_hand() -> None:
    """One dash of two ways, three times the same: 1/2 * 3/4 * 5/6."""
    told = telling_nats({"—": {"—": 0, "–": 3}})
    assert told == pytest.approx(ESCAPE_NATS + math.log(2) - math.log(3 / 4) - math.log(5 / 6))
    assert telling_nats({}) == 0


def rewritten(text: str) -> tuple[str, float]:
    """Another typography, and what it costs to tell it, in nats, counted here by hand."""
    spaces = text.count(" ")
    text = text.replace(" ", "\xa0", 40).replace("\xa0", "\u2009", 7)
    dots = text.count("...")
    text = text.replace("...", "…", dots - 2)
    ways = [2] * 7 + [1] * 33 + [0] * (spaces - 40)
    # The two that are left stand after all others, and no four full stops are together.
    told = bits(kt(ways, 3)) + bits(kt([1] * (dots - 2) + [0, 0], 2))
    return text, told * math.log(2) + 3 * ESCAPE_NATS


@pytest.mark.parametrize(
    "settings", [{}, {"streams": 2}, {"history": 5, "limit": 10**6}], ids=["whole", "parts", "few"]
)
def test_the_cost_is_that_of_the_known_text_and_of_telling(settings: dict[str, Any]) -> None:
    model = textgen.Model(model_of("lstm"), Path("lstm.safetensors"))
    text, told = rewritten(KNOWN)
    plain = model.evaluate(text=KNOWN, threads=1, **settings)
    other = model.evaluate(text=text, threads=1, **settings)
    assert other.nats == pytest.approx(plain.nats + told, rel=1e-9)
    assert other.tokens == plain.tokens
    assert (other.chars, other.utf8_bytes) == (len(text), len(text.encode()))
    assert other.chars < plain.chars
    assert other.unknown_chars == plain.unknown_chars == 0
    assert other.bits_per_char == pytest.approx(other.nats / len(text) / math.log(2))
    assert plain.read_as == {} and plain.notes == ()
    assert other.read_as == {
        "...": {"...": 2, "…": KNOWN.count("...") - 2},
        " ": {" ": KNOWN.count(" ") - 40, "\xa0": 33, "\u2009": 7},
    }
    figures = other.to_dict()
    assert figures["read_as_bits_per_char"] == pytest.approx(told / len(text) / math.log(2))
    assert set(figures) - set(plain.to_dict()) == {"read_as_bits_per_char"}


def test_cold_windows_too() -> None:
    """Of single characters, so that the windows begin at the same places."""
    model = textgen.Model(model_of("lstm"), Path("lstm.safetensors"))
    other = KNOWN.replace(" ", "\xa0", 40)
    plain, changed = (model.evaluate(text=t, window=20, threads=1).cold for t in (KNOWN, other))
    assert plain is not None and changed is not None
    told = telling_nats({" ": {" ": other.count(" "), "\xa0": 40}})
    assert changed.nats == pytest.approx(plain.nats + told, rel=1e-9)


def test_what_has_no_form_stays_unknown() -> None:
    model = textgen.Model(model_of("lstm"), Path("lstm.safetensors"))
    found = model.evaluate(text="Кот спит漢 и\xa0ест漢", threads=1)
    assert found.unknown_chars == 2
    assert found.read_as == {" ": {" ": 2, "\xa0": 1}}


def test_models_of_bytes_and_words_read_as_before() -> None:
    for kind in ("byte", "word"):
        model = textgen.Model(model_of(kind), Path("x.safetensors"))
        assert model.evaluate(text="Кот\xa0спит…", threads=1).read_as == {}


def test_the_line_names_eight_and_the_most_frequent_first() -> None:
    assert read_as_notes({}, 10) == ()
    read_as = {"...": {"...": 3, "…": 1}, " ": {" ": 9, "\xa0": 12}}
    told = telling_nats(read_as) / 100 / math.log(2)
    assert read_as_notes(read_as, 100) == (
        "read as characters that the model knows: U+00A0 as ' ' 12 times, '…' as '...' once "
        f"(telling them apart: {told:.4f} bits/char)",
    )
    many = {
        "a": {"a": 0, **{chr(0xE0 + i): 20 - i for i in range(6)}},
        "o": {"o": 5, "ò": 1, "ó": 1, "ô": 2},
    }
    (line,) = read_as_notes(many, 100)
    assert "'å' as 'a' 15 times, 'ô' as 'o' 2 times, 'ò' as 'o' once, 1 more (telling" in line
