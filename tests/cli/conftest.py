"""Small trained models for all tests of the command line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.small_runs import names, poems, russian_text
from support.trained import Trained, train_once


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two layers on made-up Russian prose."""
    return train_once(
        tmp_path_factory,
        "trained",
        russian_text(8000),
        steps=150,
        hidden_size=32,
        num_layers=2,
        batch_size=8,
        seq_len=32,
        learning_rate=0.01,
        rng=3,
    )


@pytest.fixture(scope="session")
def trained_on_lines(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Documents of a line each, some of which hold an escape character."""
    lines = russian_text(4000).splitlines() + ["\x1b[31mкрасный\x1b[0m дом"] * 40
    return train_once(
        tmp_path_factory,
        "lines",
        "\n".join(lines) + "\n",
        steps=120,
        hidden_size=24,
        batch_size=8,
        seq_len=32,
        documents="line",
        learning_rate=0.01,
    )


_OF_DOCUMENTS = {
    "steps": 250,
    "hidden_size": 24,
    "batch_size": 16,
    "seq_len": 24,
    "learning_rate": 0.02,
}


@pytest.fixture(scope="session")
def named(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of names, a line each, that knows many of them by heart."""
    text = "\n".join(names()) + "\n"
    return train_once(tmp_path_factory, "names", text, documents="line", **_OF_DOCUMENTS)


@pytest.fixture(scope="session")
def of_poems(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of poems with blank lines between them."""
    text = "\n\n".join(poems()) + "\n"
    return train_once(tmp_path_factory, "poems", text, documents="blank", **_OF_DOCUMENTS)


@pytest.fixture
def home(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: None
) -> Iterator[Path]:
    """A working folder with the trained run under ./checkpoints, and its cache."""
    shutil.copytree(trained.folder, tmp_path / "checkpoints" / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTGEN_CACHE", str(trained.cache))
    yield tmp_path


@pytest.fixture
def cache(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache in which the training text of `trained` lies."""
    monkeypatch.setenv("TEXTGEN_CACHE", str(trained.cache))
