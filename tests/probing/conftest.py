"""Small models that had to learn something hidden, one a planted corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from planted import enclosed_text, gendered_text, switched_text

import textgen
from textgen.checkpoint import SavedModel

Train = Callable[[str], SavedModel]


def _train(folder: Path, text: str, *, steps: int, hidden_size: int = 48) -> SavedModel:
    corpus = folder / "corpus.txt"
    corpus.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        result = textgen.train(
            corpus,
            out=folder / "run",
            steps=steps,
            hidden_size=hidden_size,
            num_layers=1,
            batch_size=32,
            seq_len=48,
            learning_rate=0.015,
            dropout=0.0,
            threads=1,
            rng=1,
        )
    return SavedModel.load(result.model)


@pytest.fixture(scope="session")
def switched_model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """Knows the hidden state of `switched_text`."""
    return _train(tmp_path_factory.mktemp("switched"), switched_text(120_000), steps=250)


@pytest.fixture(scope="session")
def enclosed_model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """Knows what is open in `enclosed_text`."""
    folder = tmp_path_factory.mktemp("enclosed")
    return _train(folder, enclosed_text(400_000), steps=1200, hidden_size=64)


@pytest.fixture(scope="session")
def gendered_model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """Knows of whom `gendered_text` speaks."""
    return _train(tmp_path_factory.mktemp("gendered"), gendered_text(200_000), steps=400)
