"""The words that lines of a rhyme end with where nobody gives a list."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import ConfigError
from textgen.sampling.line_end_words import line_end_words

module = sys.modules["textgen.sampling.line_end_words"]


def model(**more: Any) -> Any:
    given = {"reads_pairs": False, "vocabulary": Vocabulary.from_characters("adkmo "), "primer": ()}
    return SimpleNamespace(**{**given, **more})


def test_they_are_those_of_the_training_text(monkeypatch: pytest.MonkeyPatch) -> None:
    own = model()
    tokens = own.vocabulary.encode("dom kok mak mak").astype(np.uint8)
    monkeypatch.setattr(module, "training_text", lambda _: SimpleNamespace(tokens=tokens))
    assert line_end_words(own, SimpleNamespace()) == ["mak", "dom", "kok"]


def test_without_a_text_they_are_what_the_model_writes_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(_: object) -> None:
        raise ConfigError("the training text is no longer in the cache")

    def written(network: Any, vocabulary: Any, seeds: Any, *_: Any, **more: Any) -> list[Any]:
        assert network == "many" and len(seeds) == 32
        return [SimpleNamespace(text=text) for text in ("dom kok", "Mak dom", "kok kok", "mad")]

    monkeypatch.setattr(module, "training_text", gone)
    monkeypatch.setattr(module, "generate", written)
    assert line_end_words(model(), SimpleNamespace(many="many")) == ["kok", "dom"]


def test_a_model_of_pairs_has_none() -> None:
    with pytest.raises(ConfigError, match="a model of pairs writes targets"):
        line_end_words(model(reads_pairs=True), SimpleNamespace())
