"""Costs in bits: unknown characters, bytes, end marks; and the view made of them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from textgen.corpus.vocabulary import Vocabulary
from textgen.evaluation.nll import ESCAPE_BITS, ESCAPE_NATS, SCALAR_VALUES, charge_escapes
from textgen.inspection.trace import trace
from textgen.inspection.view import surprise, surprise_view, token_bits


def test_escape_is_a_uniform_choice_among_scalar_values() -> None:
    assert SCALAR_VALUES == 1_112_064
    assert math.isclose(ESCAPE_NATS, math.log(1_112_064))
    assert math.isclose(ESCAPE_BITS, 20.0848, abs_tol=1e-4)
    charged = charge_escapes(np.array([1.0, 2.0], np.float32), np.array([5, 1]))
    assert charged.dtype == np.float64
    np.testing.assert_allclose(charged, [1.0, 2.0 + math.log(1_112_064)])


def test_each_character_costs_its_nats_in_bits(make_network: Any) -> None:
    vocabulary = Vocabulary.from_characters("абвгдежзи")
    found = trace(make_network(), vocabulary.encode("абвй"), vocabulary=vocabulary)
    cost = surprise(found)
    assert cost.pieces == ("а", "б", "в", "\ufffd")
    assert cost.unknown == 1
    np.testing.assert_allclose(cost.bits[:3], found.nats[:3] / math.log(2))
    np.testing.assert_allclose(cost.bits[3], found.nats[3] / math.log(2) + ESCAPE_BITS)
    assert math.isclose(cost.total_bits, cost.bits.sum())
    assert math.isclose(cost.bits_per_char, cost.bits.sum() / 4)
    np.testing.assert_array_equal(token_bits(found), cost.token_bits)


def test_a_character_costs_all_its_bytes(make_network: Any) -> None:
    vocabulary = Vocabulary.utf8()
    found = trace(make_network(vocab_size=245), vocabulary.encode("aё日"), vocabulary=vocabulary)
    cost = surprise(found)
    assert cost.pieces == ("a", "ё", "日")
    each = found.nats / math.log(2)
    np.testing.assert_allclose(cost.bits, [each[0], each[1:3].sum(), each[3:].sum()])
    assert math.isclose(cost.bits.sum(), each.sum())
    assert cost.chars == 3


def test_an_end_mark_is_no_character_but_costs(make_network: Any) -> None:
    vocabulary = Vocabulary.from_characters("абвгдежзи")
    cost = surprise(trace(make_network(), [2, 0, 3], vocabulary=vocabulary))
    assert cost.pieces == ("а", "", "б")
    assert cost.chars == 2
    assert math.isclose(cost.total_bits, cost.bits.sum())
    assert (cost.bits > 0).all()


def test_bytes_cut_off_are_still_counted(make_network: Any) -> None:
    vocabulary = Vocabulary.utf8()
    found = trace(make_network(vocab_size=245), vocabulary.encode("é")[:1], vocabulary=vocabulary)
    cost = surprise(found)
    assert cost.pieces == ("\ufffd",)
    assert math.isclose(cost.total_bits, found.nats.sum() / math.log(2))
    silent = surprise(trace(make_network(vocab_size=245), [200, 201]))
    assert math.isclose(silent.bits.sum(), silent.total_bits)
    assert math.isnan(silent.bits_per_char)


def test_view_carries_the_sum(make_network: Any) -> None:
    vocabulary = Vocabulary.from_characters("абвгдежзи")
    found = trace(make_network(), vocabulary.encode("абвй"), vocabulary=vocabulary)
    view = surprise_view(found)
    (row,) = view.rows
    assert row.low == 0.0 and row.high > 0.0
    assert "1 outside the vocabulary" in row.note
    data = json.loads(json.dumps(view.to_json(), allow_nan=False))
    assert data["tokens"] == ["а", "б", "в", "\ufffd"]
    assert data["chars"] == 4 and data["unknown_chars"] == 1
    assert data["bits"] == pytest.approx(sum(data["rows"][0]["values"]))
    assert data["bits_per_char"] == pytest.approx(data["bits"] / 4)
    assert "layer" not in data["rows"][0]
