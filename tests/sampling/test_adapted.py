"""Models that learn from a text: who can, by which rule, and what they are afterwards."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.models import random_weights

from textgen.adaptation import FIT_TOKENS, AdaptationRule
from textgen.adaptation.adaptation_rule import scale_shapes
from textgen.checkpoint import SavedModel
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import BackendError, ConfigError, StorageError
from textgen.model.config import ModelConfig
from textgen.model.head import log_softmax
from textgen.model.network import Engine
from textgen.native.library import missing_reason
from textgen.sampling import ADAPTATION, adapted

CHARS = Vocabulary.from_characters("abc \n")
NEEDS_LIBRARY = pytest.mark.skipif(bool(missing_reason()), reason=missing_reason() or "it is there")


def model(info: dict[str, Any] | None = None, **settings: Any) -> SavedModel:
    config = ModelConfig(vocab_size=len(CHARS), embedding_size=4, hidden_size=8, **settings)
    weights = random_weights(config)
    return SavedModel(
        config=config,
        vocabulary=CHARS,
        normalization=Normalization(),
        weights=weights,
        info=info or {},
    )


def rule_of(rate: float) -> AdaptationRule:
    shapes = scale_shapes(model().config)
    scales = {name: np.full(rows, 0.01, np.float32) for name, rows in shapes.items()}
    return AdaptationRule(rate, 0.001, 16, 4, scales)


@pytest.mark.parametrize(
    ("saved", "why"),
    [
        (model({"pairs": True}), "this one was trained on pairs"),
        (model(head="cosine", frozen_embedding=True), "this model was trained by a distance"),
    ],
    ids=["pairs", "distance"],
)
def test_who_cannot_learn(saved: SavedModel, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        adapted.refuse_adapting(saved)
    with pytest.raises(ConfigError, match=why):
        adapted.adapting_engine(saved, 1)


def test_only_the_native_engine_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = {name: Engine(name, "fp32", "it is so") for name in ("numpy", "native")}
    for name, engine in engines.items():
        asked: list[Any] = []
        monkeypatch.setattr(
            adapted, "choose_engine", lambda *words, own=engine, to=asked: to.append(words) or own
        )
        if name == "native":
            assert adapted.adapting_engine(model(), 3) is engine
        else:
            with pytest.raises(BackendError, match="does not compute this model here: it is so"):
                adapted.adapting_engine(model(), 3)
        assert asked == [(model().config.cell_spec, "cpu", "auto", 3)]


@NEEDS_LIBRARY
@pytest.mark.parametrize("kind", [ConfigError, StorageError])
def test_without_a_rule_and_its_text_nothing_is_fitted(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def refuse(_: Any) -> None:
        raise kind("it is not there")

    monkeypatch.setattr(adapted, "training_part", refuse)
    saved = model()
    engine = adapted.adapting_engine(saved, 1)
    with pytest.raises(kind, match=r"does not say how it learns .* fitted: it is not there"):
        adapted.adapting_reader(saved, engine)
    part = SimpleNamespace(train=np.arange(5), val=np.arange(0))
    monkeypatch.setattr(adapted, "training_part", lambda _: part)
    with pytest.raises(ConfigError, match="the text that validated is not there any more"):
        adapted.adapting_reader(saved, engine)


@NEEDS_LIBRARY
def test_a_rule_is_fitted_on_the_beginning_of_the_validation_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = SimpleNamespace(train=np.arange(7), val=np.arange(FIT_TOKENS + 9))
    fitted, told = rule_of(0.5), []

    def fit(_: Any, train: Any, val: Any) -> AdaptationRule:
        told.extend((train is part.train, len(val), int(val[0])))
        return fitted

    monkeypatch.setattr(adapted, "training_part", lambda _: part)
    monkeypatch.setattr(adapted, "fit_adaptation", fit)
    saved = model()
    engine = adapted.adapting_engine(saved, 1)
    assert adapted.adapting_reader(saved, engine).rule is fitted
    assert told == [True, FIT_TOKENS, 0]
    # A rule that stands in the file is taken from there.
    told.clear()
    known = model({ADAPTATION: rule_of(0.25).to_json()})
    assert adapted.adapting_reader(known, engine).rule.rate == 0.25
    assert told == []


@NEEDS_LIBRARY
def test_what_a_model_is_after_it_has_read(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("abc cab\n" * 30)
    corpus = Corpus.open([path], CorpusOptions(), vocabulary=CHARS)
    still, moving = (model({ADAPTATION: rule_of(rate).to_json()}) for rate in (0.0, 0.01))
    same = adapted.adapted_model(still, corpus, 1)
    (record,) = same.info["adapted"]
    # By the equations, token by token. A processor may multiply in 16 bits.
    network = still.network()
    state, previous, nats = network.zero_state(1), END_ID, 0.0
    for token in corpus.tokens:
        logits_BV, state = network.step(np.array([previous]), state)
        nats -= float(log_softmax(logits_BV)[0, token])
        previous = int(token)
    assert record.pop("nats_per_token") == pytest.approx(nats / 240, rel=1e-2)
    assert record == {
        "files": [str(path)],
        "sha256": corpus.sha256,
        "chars": 240,
        "tokens": 240,
        "rate": 0.0,
        "pull": 0.001,
        "stretch": 16,
    }
    for name, array in still.weights.items():
        np.testing.assert_array_equal(same.weights[name], array)
    # The text is the same line again and again: whoever learns predicts it better.
    once = adapted.adapted_model(moving, corpus, 1)
    twice = adapted.adapted_model(once, corpus, 1)
    costs = [one["nats_per_token"] for one in twice.info["adapted"]]
    assert len(costs) == 2 and costs[1] < costs[0] < nats / 240
    assert once.info["adapted"] == twice.info["adapted"][:1] and "adapted" not in moving.info
    np.testing.assert_array_equal(moving.weights["head.bias"], still.weights["head.bias"])


def test_a_model_of_a_fixed_history_does_not_learn() -> None:
    corpus: Any = None  # It is not looked at.
    with pytest.raises(ConfigError, match="trained to see 6 tokens at each prediction"):
        adapted.adapted_model(model({"history": 6}), corpus, 1)


def test_each_token_counts_in_what_a_text_costs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of symbols that are equally likely each costs the logarithm of their number."""
    saved = model()

    class Reader:
        rule, network = rule_of(0.0), SimpleNamespace(arrays=lambda: saved.weights)

        def read(self, tokens: Any) -> Any:
            for part in np.array_split(tokens, 2):
                yield part, np.zeros((len(part), len(CHARS)), np.float32)

    monkeypatch.setattr(adapted, "adapting_engine", lambda *_: None)
    monkeypatch.setattr(adapted, "adapting_reader", lambda *_: Reader())
    path = tmp_path / "text.txt"
    path.write_text("abc\n")
    corpus = Corpus.open([path], CorpusOptions(), vocabulary=CHARS)
    (record,) = adapted.adapted_model(saved, corpus, 1).info["adapted"]
    assert record["nats_per_token"] == pytest.approx(np.log(len(CHARS)))
