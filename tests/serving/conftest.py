"""A server for all tests that change nothing of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.every_kind import OLD_FILES
from support.exact_path import in_float32
from support.serving import Served, serving

import textgen

NAMES = ("lstm", "byte", "documents", "word", "pairs", "history")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, textgen.Model]:
    """Small models of every kind, by name."""
    folder: Path = tmp_path_factory.mktemp("models")
    for path in OLD_FILES.glob("lstm.*"):
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, folder / path.name)
    found = {name: OLD_FILES / f"{name}.safetensors" for name in NAMES}
    found["lstm"] = folder / "lstm.safetensors"
    loaded = {name: textgen.load(path) for name, path in found.items()}
    with in_float32():
        for model in loaded.values():
            # What it samples with is chosen here, and kept.
            assert model.networks.one and model.networks.many
    return loaded


@pytest.fixture(scope="session")
def served(models: dict[str, textgen.Model]) -> Iterator[Served]:
    """A server of all of them; the LSTM is the usual one."""
    with serving(list(models.values()), max_tokens=100_000) as found:
        yield found
