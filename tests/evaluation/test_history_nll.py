"""The cost of a text to a network that sees a fixed number of tokens: by its definition."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.models import random_weights

import textgen
from textgen.cells import LSTMCell
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.errors import ConfigError
from textgen.evaluation import nll as nll_module
from textgen.evaluation.nll import nll_in_one_pass, nll_with_history
from textgen.model.config import ModelConfig
from textgen.model.engine import choose_engine, open_network
from textgen.model.network import Network
from textgen.model.numpy_network import NumpyNetwork

CONFIG = ModelConfig(vocab_size=10, embedding_size=4, hidden_size=6, num_layers=2)
ESCAPE = math.log(1_112_064)


def make() -> Network:
    return open_network(CONFIG, choose_engine(LSTMCell(), "cpu", "fp32"), random_weights(CONFIG))


def random_text(size: int) -> np.ndarray:
    rng = np.random.default_rng(size)
    text = rng.integers(2, CONFIG.vocab_size, size).astype(np.uint8)
    text[rng.random(size) < 0.06] = END_ID
    text[rng.random(size) < 0.05] = UNKNOWN_ID
    return text


def nats_by_hand(text: np.ndarray, history: int, positions: list[int]) -> float:
    """Step by step in NumPy: at most `history` tokens, none from before the last end mark."""
    network = NumpyNetwork(CONFIG, random_weights(CONFIG))
    whole = [END_ID, *text.tolist()]
    nats = []
    for position in positions:
        seen = whole[max(0, position + 1 - history) : position + 1]
        if END_ID in seen:
            seen = seen[len(seen) - 1 - seen[::-1].index(END_ID) :]
        state = network.zero_state()
        for token in seen:
            logits_BV, state = network.step(np.array([token]), state)
        logits = logits_BV[0].astype(np.float64)
        target = int(text[position])
        nats.append(
            float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[target])
        )
        nats[-1] += ESCAPE * (target == UNKNOWN_ID)
    return float(np.mean(nats))


@pytest.mark.parametrize("history", [1, 2, 7, 200])
@pytest.mark.parametrize("together", [1, 1024])
def test_it_is_the_definition(history: int, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nll_module, "HISTORY_WINDOWS", together)
    text = random_text(90)
    nll = nll_with_history(make(), text, history, limit=1000)
    assert nll.tokens == 90
    assert nll.mean == pytest.approx(nats_by_hand(text, history, list(range(90))), abs=3e-6)


def test_a_limit_spreads_its_positions() -> None:
    text = random_text(100)
    nll = nll_with_history(make(), text, 3, limit=7)
    places = [0, 14, 28, 42, 57, 71, 85]
    assert nll.tokens == 7
    assert nll.mean == pytest.approx(nats_by_hand(text, 3, places), abs=3e-6)


def test_a_history_as_long_as_the_text_is_the_carried_state() -> None:
    text = random_text(60)
    *_, carried = nll_in_one_pass(make(), text)
    nll = nll_with_history(make(), text, 61, limit=60)
    assert nll == pytest.approx(carried, abs=1e-4)
    longer = nll_with_history(make(), text, 10**12, limit=60)
    assert longer.mean == pytest.approx(nll.mean, abs=1e-6)
    short = nll_with_history(make(), text, 2, limit=60)
    assert abs(short.total - carried.total) > 0.1


@pytest.mark.parametrize(("history", "limit"), [(0, 5), (-1, 5), (3, 0)])
def test_sizes_are_positive(history: int, limit: int) -> None:
    with pytest.raises(ConfigError, match="both must be at least 1 token"):
        nll_with_history(make(), random_text(9), history, limit=limit)


TEXT = "abacabadabacaba caba dab " * 40


@pytest.fixture(scope="module")
def bigram_model(tmp_path_factory: pytest.TempPathFactory) -> textgen.Model:
    """Trained on windows of one token."""
    folder = tmp_path_factory.mktemp("bigram")
    path = folder / "text.txt"
    path.write_text(TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        result = textgen.train(
            path,
            out=folder / "run",
            history=1,
            steps=400,
            hidden_size=16,
            batch_size=64,
            dropout=0.0,
            learning_rate=0.03,
            weight_decay=0.0,
            precision="fp32",
            threads=1,
        )
    return result.load()


def test_history_one_is_a_bigram_model(bigram_model: textgen.Model) -> None:
    """Its distributions are the counted frequencies of what follows each letter."""
    trained = TEXT[: int(0.9 * len(TEXT))]
    pairs = Counter(itertools.pairwise(trained))
    vocabulary, network = bigram_model.vocabulary, bigram_model.network
    letters = sorted(set(TEXT))
    for letter in letters:
        (token,) = vocabulary.encode(letter).tolist()
        logits_BV, _ = network.step(np.array([token]), network.zero_state())
        probabilities = np.exp(logits_BV[0] - logits_BV[0].max())
        probabilities /= probabilities.sum()
        after = sum(pairs[letter, other] for other in letters)
        for other in letters:
            place = int(vocabulary.encode(other)[0])
            assert probabilities[place] == pytest.approx(pairs[letter, other] / after, abs=0.03)


def test_its_cost_is_that_of_the_counted_bigrams(
    bigram_model: textgen.Model, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    assert bigram_model.saved.history == 1
    seen = bigram_model.evaluate(path, threads=1)
    assert (seen.history, seen.positions) == (1, len(TEXT))
    pairs, singles = Counter(itertools.pairwise(TEXT)), Counter(TEXT[:-1])
    entropy = -sum(n * math.log2(n / singles[pair[0]]) for pair, n in pairs.items()) / len(TEXT)
    assert seen.bits_per_char == pytest.approx(entropy, abs=0.03)
    # The same asked for, and the other way.
    assert bigram_model.evaluate(path, threads=1, history=1) == seen
    carried = bigram_model.evaluate(path, threads=1, history=0)
    assert carried.history is None and carried.nats != pytest.approx(seen.nats, rel=1e-3)
    assert bigram_model.evaluate(path, threads=1, streams=2).history is None


def test_it_writes_by_its_history_unless_told_otherwise(bigram_model: textgen.Model) -> None:
    settings = {"length": 40, "temperature": 1.0, "rng": 3}
    usual = bigram_model.generate("a", **settings)
    assert usual == bigram_model.generate("a", history=1, **settings)
    assert usual != bigram_model.generate("a", history=0, **settings)
    # What stands before the last letter is not seen.
    assert bigram_model.generate("dab a", **settings)[5:] == usual[1:]


def test_history_and_streams_contradict_each_other(
    bigram_model: textgen.Model, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    for settings in ({"history": 2, "streams": 2}, {"history": -1}):
        with pytest.raises(ConfigError, match=r"^history is"):
            bigram_model.evaluate(path, **settings)
