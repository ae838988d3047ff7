"""From a network and a text to a page's data: the right neurons, and exactly their values."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.html_page import HTMLPage, network_of, page_data

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import InspectionError
from textgen.inspection.page_data import FULL_NEURONS, FULL_TOKENS, MAX_CHARS, room_for
from textgen.inspection.trace import Trace, trace, trace_chunks
from textgen.inspection.view import surprise, token_bits
from textgen.page.render import render

TEXT = "Дом у реки.\nДым над домом, и дом как дым.\n" * 3
CHARS = Vocabulary.from_characters(TEXT)


def test_the_numbers_are_those_of_the_trace() -> None:
    network = network_of(CHARS)
    found = HTMLPage(render(page_data(network, CHARS, TEXT)))
    whole = trace(network, CHARS.encode(TEXT), vocabulary=CHARS, top=5)
    rows = found.data["rows"]
    assert "".join(found.data["pieces"]) == TEXT
    assert rows[0]["name"] == "surprise"
    assert len(rows) == 13
    np.testing.assert_allclose(found.bits, token_bits(whole), rtol=1e-6)
    for row, values in zip(rows[1:], found.values[1:], strict=True):
        exact = whole.values(row["layer"], row["unit"])
        assert row["name"] == f"{row['layer']}:{row['unit']}"
        assert row["title"] == f"neuron {row['layer']}:{row['unit']} cell"
        assert (row["minimum"], row["maximum"]) == (exact.min(), exact.max())
        half_step = (exact.max() - exact.min()) / 255 / 2
        assert np.abs(values - exact).max() <= half_step * 1.001
        np.testing.assert_allclose(row["mean"], exact.mean(dtype=np.float64), rtol=1e-5)
    expected = np.array(
        [["‹end›", "‹unknown›", *CHARS.symbols[2:]][i] for i in whole.next_ids.flat]
    )
    np.testing.assert_array_equal(found.next_symbols.ravel(), expected)
    np.testing.assert_allclose(
        found.next_probabilities, whole.next_probabilities, rtol=0, atol=1e-5
    )


def test_the_most_varying_come_first_and_the_page_says_how_many() -> None:
    network = network_of(CHARS)
    page = page_data(network, CHARS, TEXT, top=4)
    assert list(page.spreads[1:]) == sorted(page.spreads[1:], reverse=True)
    everything = page_data(network, CHARS, TEXT)
    assert [row.name for row in page.rows] == [row.name for row in everything.rows[:5]]
    for few, many in zip(page.rows, everything.rows, strict=False):
        np.testing.assert_array_equal(few.values, many.values)
    assert (page.neurons, page.neurons_in_all) == (4, 12)
    assert "4 of 12 neurons, those that vary most" in page.facts
    assert "all 12 neurons" in everything.facts


def test_neurons_can_be_named_and_quantities_chosen() -> None:
    network = network_of(CHARS)
    page = page_data(network, CHARS, TEXT, show="forget-gate", neurons=[(1, 5), (0, 2)])
    assert {(row.layer, row.unit) for row in page.rows[1:]} == {(1, 5), (0, 2)}
    assert {(row.low, row.high) for row in page.rows[1:]} == {(0.0, 1.0)}
    assert "2 of 12 neurons, those named" in page.facts


def test_surprise_alone_needs_no_neuron() -> None:
    page = page_data(network_of(CHARS), CHARS, TEXT, show="surprise")
    assert [row.name for row in page.rows] == ["surprise"]
    assert page.neurons == 0
    HTMLPage(render(page))


def test_there_is_room_for_500_neurons_of_20000_tokens_and_fewer_of_more() -> None:
    assert room_for(FULL_TOKENS) == FULL_NEURONS == 500
    rooms = [room_for(count) for count in (1, 1000, 20_000, 20_001, 100_000, 10**9)]
    assert rooms == sorted(rooms, reverse=True)
    assert room_for(20_001) < 500
    assert room_for(10**9) == 1


def test_a_long_text_is_surveyed_and_keeps_those_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(CHARS)
    module = sys.modules["textgen.inspection.page_data"]
    monkeypatch.setattr(module, "room_for", lambda tokens: 3)
    asked = []

    def survey(ids: np.ndarray, quantities: list[str]) -> Iterator[Trace]:
        asked.append(list(quantities))
        return trace_chunks(network, ids, quantities=quantities, chunk=10)

    page = page_data(network, CHARS, TEXT, survey=survey)
    assert asked == [["cell"]]
    assert page.neurons == 3
    with pytest.raises(InspectionError, match=r"room for 3 neurons, but 4 were named; name fewer"):
        page_data(network, CHARS, TEXT, neurons=[(0, unit) for unit in range(4)])


def test_what_is_too_long_for_a_browser_is_cut_and_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = sys.modules["textgen.inspection.page_data"]
    monkeypatch.setattr(module, "MAX_CHARS", 7)
    page = page_data(network_of(CHARS), CHARS, TEXT)
    assert "".join(page.pieces) == TEXT[:7]
    assert page.notice == f"These are the first 7 of the text's {len(TEXT)} characters."
    assert MAX_CHARS == 100_000


def test_a_character_of_several_bytes_has_the_values_after_its_last() -> None:
    vocabulary = Vocabulary.utf8()
    network = network_of(vocabulary)
    page = page_data(network, vocabulary, "а\u0301z\udc80", neurons=[(0, 1)])
    whole = trace(network, vocabulary.encode("а\u0301z\udc80"), vocabulary=vocabulary)
    assert page.pieces[:3] == ("а", "\u0301", "z")
    assert "".join(page.pieces[3:])
    exact = whole.values(0, 1)[[1, 3, 4]]
    read = HTMLPage(render(page)).values[1, :3]
    assert np.abs(read - exact).max() < 0.01
    np.testing.assert_allclose(page.bits.sum(), surprise(whole).total_bits)
    # A byte that is no character by itself is called by its number.
    assert all(label.isascii() or re.fullmatch("‹.{2,}›", label) for label in page.labels)
    assert any(re.fullmatch("‹[0-9A-F]{2}›", label) for label in page.labels)


def test_words_are_tokens_and_unknown_characters_are_shown() -> None:
    vocabulary = Vocabulary.from_words(" дом.", {"дом": 2, " дом": 1})
    page = page_data(network_of(vocabulary), vocabulary, "дом дом.щ")
    assert page.noun == "token"
    assert "".join(page.pieces) == "дом дом.щ"
    assert "1 outside the vocabulary" in page.rows[0].note


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": ""}, "empty"),
        ({"show": "reset-gate"}, "choose one of: cell"),
        ({"neurons": [(0, 6)]}, "no neuron 0:6"),
        ({"top": 0}, "at least 1"),
    ],
)
def test_errors_teach(settings: dict, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        page_data(network_of(CHARS), CHARS, **{"text": TEXT, **settings})


def test_no_path_of_the_machine_is_handed_on(tmp_path: Path) -> None:
    from textgen.cli.inspect.show_text import SourceOptions

    assert SourceOptions(file=tmp_path / "page.txt").title == "page.txt"
    assert SourceOptions(text="Дом у реки").title == "Дом у реки"
    assert SourceOptions(generate="дом").title == "written after “дом”"
