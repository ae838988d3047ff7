"""The cost of a text: every token charged once, as the equations in float64 charge it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import REFERENCE, lecture_nats, random_weights

from textgen.cells import LSTMCell
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import ConfigError
from textgen.evaluation import Evaluation
from textgen.evaluation import nll as nll_module
from textgen.evaluation.nll import (
    ESCAPE_NATS,
    nll_in_one_pass,
    nll_in_streams,
    nll_in_windows,
    window_starts,
)
from textgen.model.config import ModelConfig
from textgen.model.engine import choose_engine, open_network
from textgen.model.network import Network

CONFIG = ModelConfig(vocab_size=10, embedding_size=4, hidden_size=6, num_layers=2)


def make(config: ModelConfig = CONFIG) -> Network:
    """On the fastest path that there is here."""
    return open_network(config, choose_engine(LSTMCell(), "cpu", "fp32"), random_weights(config))


def random_text(size: int, *, marks: bool = True, seed: int = 0) -> np.ndarray:
    """Symbols, and with `marks` a few ends of documents and unknown characters."""
    rng = np.random.default_rng(seed)
    text = rng.integers(2, CONFIG.vocab_size, size).astype(np.uint8)
    if marks:
        text[rng.random(size) < 0.02] = END_ID
        text[rng.random(size) < 0.05] = UNKNOWN_ID
    return text


def costs_by_hand(model: Network, text: np.ndarray) -> np.ndarray:
    """One pass from the end mark on, zeroed at every mark, escapes charged; float64."""
    inputs = np.concatenate([[END_ID], text[:-1]]).astype(int)
    nats = lecture_nats(
        model.config, model.arrays(), inputs, text.astype(int), np.flatnonzero(inputs == END_ID)
    )
    return nats + math.log(1_112_064) * (text == UNKNOWN_ID)


# A token's cost is right to a few float32 roundings of logits of order one.
CLOSE = 2e-6


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 300])
def test_total_is_that_of_the_equations(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nll_module, "CHUNK", 64)
    model, text = make(), random_text(size)
    expected = costs_by_hand(model, text)
    seen = list(nll_in_one_pass(model, text))
    assert [nll.tokens for nll in seen] == [*range(64, size, 64), size]
    for nats, done, _ in seen:
        assert nats == pytest.approx(expected[:done].sum(), abs=CLOSE * done)


def test_a_document_costs_the_same_wherever_it_stands() -> None:
    """The end mark hides what was before it; the marks themselves are charged."""
    model = make()
    first, second = random_text(40, marks=False), random_text(50, marks=False, seed=1)
    costs = [list(nll_in_one_pass(model, text))[-1].total for text in (first, second)]
    mark = costs_by_hand(model, np.append(first, END_ID).astype(np.uint8))[-1]
    both = np.concatenate([first, [END_ID], second]).astype(np.uint8)
    assert list(nll_in_one_pass(model, both))[-1].total == pytest.approx(
        sum(costs) + mark, abs=CLOSE * 91
    )


def test_an_unknown_character_costs_its_escape() -> None:
    model = make()
    text = random_text(20, marks=False)
    text[7] = UNKNOWN_ID
    plain = lecture_nats(CONFIG, model.arrays(), [END_ID, *text[:-1]], text)
    assert pytest.approx(math.log(1_112_064)) == ESCAPE_NATS
    assert list(nll_in_one_pass(model, text))[-1].total == pytest.approx(
        plain.sum() + ESCAPE_NATS, abs=CLOSE * 20
    )


def test_few_logits_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large vocabulary is read in shorter pieces."""
    model, text = make(), random_text(700)
    starts = np.arange(0, 700, 90)
    total = list(nll_in_one_pass(model, text))[-1]
    by_streams, cold = nll_in_streams(model, text), nll_in_windows(model, text, starts)
    monkeypatch.setattr(nll_module, "LOGITS", 7 * CONFIG.vocab_size)
    largest = 0
    real = nll_module.token_nll

    def spy(model, inputs_TB, targets_TB, *rest):
        nonlocal largest
        largest = max(largest, inputs_TB.size)
        return real(model, inputs_TB, targets_TB, *rest)

    monkeypatch.setattr(nll_module, "token_nll", spy)
    assert list(nll_in_one_pass(model, text))[-1] == pytest.approx(total, rel=1e-6)
    assert nll_in_streams(model, text) == pytest.approx(by_streams, rel=1e-6)
    assert largest == 7
    assert nll_in_windows(model, text, starts) == pytest.approx(cold, rel=1e-6)
    assert largest == len(starts)  # a step at least


@pytest.mark.parametrize("size", [1, 5, 255, 256, 257, 511])
def test_one_stream_is_one_pass(size: int) -> None:
    model, text = make(), random_text(size)
    expected = costs_by_hand(model, text).sum() / size
    for streams in (1, 64):  # a text shorter than two warm-ups is not cut
        nll = nll_in_streams(model, text, streams=streams)
        assert nll.tokens == size
        assert nll.mean == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("size", [512, 1000, 1601])
def test_streams_are_within_noise_of_one_pass(size: int) -> None:
    """Exactly, for this model: after 256 steps the state has forgotten where it began."""
    model, text = make(), random_text(size)
    expected = costs_by_hand(model, text)
    nll = nll_in_streams(model, text, streams=3)
    assert nll.tokens == size
    assert nll.mean == pytest.approx(expected.mean(), abs=CLOSE)


@pytest.mark.parametrize(("limit", "streams"), [(1, 1), (300, 1), (600, 2), (1000, 3), (5000, 7)])
def test_a_limit_charges_parts_spread_over_the_text(limit: int, streams: int) -> None:
    model, text = make(), random_text(2100)
    nll = nll_in_streams(model, text, limit=limit)
    whole = costs_by_hand(model, text)
    if limit >= len(text):
        assert nll.tokens == len(text)
        assert nll.mean == pytest.approx(whole.mean(), abs=CLOSE)
        return
    each = limit // streams
    assert nll.tokens == each * streams <= limit
    starts = [b * len(text) // streams for b in range(streams)]
    expected = np.concatenate([whole[start : start + each] for start in starts])
    assert nll.mean == pytest.approx(expected.mean(), abs=CLOSE)


@pytest.mark.parametrize("limit", [None, 1, 255, 513, 999, 10**6])
@pytest.mark.parametrize("size", [1, 300, 777, 2048])
def test_no_token_is_charged_twice(
    size: int, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each token has a cost of its own, so the sum tells which were charged."""
    counted = np.zeros(size, dtype=int)
    text = np.arange(size, dtype=np.uint16) + 2
    price = np.random.default_rng(1).random(size + 2)

    def charge(model, inputs_TB, targets_TB, state, *rest):
        return price[targets_TB], state

    monkeypatch.setattr(nll_module, "token_nll", charge)
    config = ModelConfig(vocab_size=size + 2, embedding_size=1, hidden_size=1)
    total, charged, _ = nll_in_streams(open_network(config, REFERENCE, None), text, limit=limit)
    wanted = min(size, limit or size)
    streams = max(1, min(64, wanted // nll_module.WARMUP))
    assert wanted - streams < charged <= wanted  # the same for each part
    if wanted == size:
        counted += 1
    for b in range(streams if wanted < size else 0):
        start = b * size // streams
        counted[start : start + charged // streams] += 1
    assert counted.max() == 1 and counted.sum() == charged
    assert total == pytest.approx((counted * price[text]).sum(), rel=1e-12)


def brute_cold(model: Network, text: np.ndarray, starts: np.ndarray) -> tuple[float, int]:
    total, seen = 0.0, 0
    stops = [*starts[1:], len(text) - 1]
    for start, stop in zip(starts, stops, strict=True):
        inputs, targets = text[start:stop].astype(int), text[start + 1 : stop + 1].astype(int)
        resets = np.flatnonzero(inputs == END_ID)
        nats = lecture_nats(model.config, model.arrays(), inputs, targets, resets)
        total += nats.sum() + ESCAPE_NATS * (targets == UNKNOWN_ID).sum()
        seen += len(targets)
    return total, seen


@pytest.mark.parametrize("window", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_cold_windows_are_each_read_from_zero(window: int, batch_size: int) -> None:
    model, text = make(), random_text(120)
    starts = np.arange(0, len(text) - 1, window)
    nats, charged, _ = nll_in_windows(model, text, starts, batch_size)
    expected, count = brute_cold(model, text, starts)
    assert charged == count == len(text) - 1
    assert nats == pytest.approx(expected, abs=CLOSE * count)


def test_cold_windows_of_unequal_length() -> None:
    model, text = make(), random_text(60)
    starts = np.array([0, 1, 17, 18, 40, 59])  # the last holds no prediction
    nats, charged, _ = nll_in_windows(model, text, starts, 2)
    expected, count = brute_cold(model, text, starts[:-1])
    assert charged == count == 59
    assert nats == pytest.approx(expected, abs=CLOSE * 59)


def test_a_text_of_one_token_has_no_window() -> None:
    assert nll_in_windows(make(), random_text(1), np.array([0])) == (0.0, 0, 0)


def test_windows_of_characters() -> None:
    assert window_starts(np.ones(10, int), 4).tolist() == [0, 4, 8]
    # A mark has no characters, and the window after it starts with the next character.
    assert window_starts(np.array([1, 1, 1, 1, 0, 1, 1, 1, 1]), 4).tolist() == [0, 5]
    assert window_starts(np.array([0, 1, 1, 1, 0, 1]), 2).tolist() == [0, 3]
    # A word of six characters spans windows.
    assert window_starts(np.array([2, 6, 1, 1, 1]), 3).tolist() == [0, 2, 3]
    with pytest.raises(ConfigError, match=r"^window is 0; it must be at least 1 character"):
        window_starts(np.ones(3, int), 0)


@given(text=st.text(alphabet="aяあ😀", min_size=1, max_size=40), window=st.integers(1, 9))
def test_no_window_starts_within_a_character(text: str, window: int) -> None:
    """At byte level, where a character is up to four tokens."""
    vocabulary = Vocabulary.utf8()
    ids = vocabulary.encode(text)
    starts = window_starts(vocabulary.symbol_lengths()[ids], window)
    parts = [vocabulary.decode(part) for part in np.split(ids, starts[1:])]
    assert parts == [text[i : i + window] for i in range(0, len(text), window)]
    assert starts[0] == 0


def test_figures() -> None:
    figures = Evaluation(nats=20.0, tokens=25, chars=10, utf8_bytes=16, unknown_chars=2)
    assert figures.to_dict("cold_") == pytest.approx(
        {
            "cold_nats_per_char": 2.0,
            "cold_bits_per_char": 2.0 / math.log(2),
            "cold_bits_per_byte": 20.0 / 16 / math.log(2),
            "cold_perplexity": math.exp(0.8),
            "cold_chars": 10,
            "cold_unknown_chars": 2,
        }
    )
    assert list(figures.to_dict()) == [
        "nats_per_char",
        "bits_per_char",
        "bits_per_byte",
        "perplexity",
        "chars",
        "unknown_chars",
    ]


def test_an_absurd_cost_is_a_number_still() -> None:
    figures = Evaluation(nats=1e6, tokens=1, chars=1, utf8_bytes=1, unknown_chars=0)
    assert math.isfinite(figures.perplexity)
