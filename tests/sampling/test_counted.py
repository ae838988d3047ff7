"""Whether a model writes with counts of its training text where nothing is said of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from textgen.errors import BackendError, ConfigError, StorageError
from textgen.sampling import counted


def model_of(tokens: int | None = 3_000_000, pairs: bool = False, **told: Any) -> Any:
    corpus = None if tokens is None else {"tokens": tokens}
    return SimpleNamespace(reads_pairs=pairs, told=told, corpus=corpus, vocabulary=range(9))


def networks_of(engine: str = "native") -> Any:
    return SimpleNamespace(engine=SimpleNamespace(name=engine), many="network")


@pytest.mark.parametrize(
    ("model", "engine", "why"),
    [
        (model_of(pairs=True), "native", "targets of pairs"),
        (model_of(adapted=[{}]), "native", "learned from another text"),
        (model_of(), "numpy", "does not compute this model"),
        (model_of(3_000_001), "native", "3,000,001 tokens, which take a while"),
    ],
)
def test_who_writes_alone(model: Any, engine: str, why: str) -> None:
    said = counted.usual_mixture(model, networks_of(engine))
    assert isinstance(said, str) and why in said


@pytest.mark.parametrize("tokens", [3_000_000, None])
@pytest.mark.parametrize(("gain", "mixes"), [(0.001, True), (0.0, False), (-0.5, False)])
def test_counts_that_do_not_help_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tokens: int | None, gain: float, mixes: bool
) -> None:
    mixture = SimpleNamespace(gain=gain)
    asked: list[Any] = []
    monkeypatch.setattr(counted, "fitted_mixture", lambda *words: asked.append(words) or mixture)
    model = model_of(tokens)
    found = counted.usual_mixture(model, networks_of())
    assert asked == [(model, "network")]
    if mixes:
        assert found is mixture
    else:
        assert isinstance(found, str) and "do not help" in found


@pytest.mark.parametrize("kind", [BackendError, ConfigError, StorageError])
def test_a_text_that_is_not_there_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def refuse(*_: Any) -> None:
        raise kind("it is not there")

    monkeypatch.setattr(counted, "fitted_mixture", refuse)
    assert counted.usual_mixture(model_of(), networks_of()) == "its training text is not at hand"


def test_the_gate_is_fitted_on_the_beginning_of_the_validation_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, val = np.arange(7), np.arange(6000)
    told: list[Any] = []

    class Mixture:
        @classmethod
        def of(cls, counts: Any, size: int) -> Mixture:
            told.extend((counts, size))
            return cls()

        def fit(self, network: Any, tokens: Any) -> str:
            told.extend((network, len(tokens), int(tokens[0])))
            return "fitted"

    part = SimpleNamespace(train=train, val=val)
    monkeypatch.setattr(counted, "training_part", lambda model: part)
    monkeypatch.setattr(counted, "count_text", lambda *words: words[1:])
    monkeypatch.setattr(counted, "CountMixture", Mixture)
    network: Any = "network"
    assert counted.fitted_mixture(model_of(), network, 4) == "fitted"
    assert told == [(9, 4), 7, "network", 5000, 0]
