"""Small models that had to learn something hidden, one a planted corpus."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.planted import enclosed_text, gendered_text, switched_text
from support.trained import train_once

from textgen.checkpoint import SavedModel

Train = Callable[[str], SavedModel]


def _train(
    factory: pytest.TempPathFactory, name: str, text: str, *, steps: int, hidden_size: int = 48
) -> SavedModel:
    run = train_once(
        factory,
        name,
        text,
        cell="lstm",
        steps=steps,
        hidden_size=hidden_size,
        num_layers=1,
        batch_size=32,
        seq_len=48,
        learning_rate=0.015,
        dropout=0.0,
        rng=1,
    )
    return SavedModel.load(run.folder / "model.safetensors")


@pytest.fixture(scope="session")
def switched_model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """Knows the hidden state of `switched_text`."""
    return _train(tmp_path_factory, "switched", switched_text(120_000), steps=250)


@pytest.fixture(scope="session")
def enclosed_model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """Knows what is open in `enclosed_text`."""
    text = enclosed_text(400_000)
    return _train(tmp_path_factory, "enclosed", text, steps=1200, hidden_size=64)


@pytest.fixture(scope="session")
def gendered_model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """Knows of whom `gendered_text` speaks."""
    return _train(tmp_path_factory, "gendered", gendered_text(200_000), steps=400)
