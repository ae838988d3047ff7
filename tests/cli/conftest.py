"""One small trained model for all tests of the command line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_runs import names, poems, russian_text

import textgen


class Trained:
    """A run that is finished; its files are not to be written to.

    Args:
        folder: Its folder.
        text: What it was trained on.
        cache: Where that text lies encoded.
    """

    def __init__(self, folder: Path, text: Path, cache: Path) -> None:
        self.folder = folder
        self.text = text
        self.cache = cache

    def load(self) -> textgen.Model:
        """Its model."""
        return textgen.load(self.folder)


def _train(base: Path, content: str, **settings: object) -> Trained:
    text, cache = base / "corpus.txt", base / "cache"
    text.write_text(content, encoding="utf-8")
    before = os.environ.get("TEXTGEN_CACHE")
    os.environ["TEXTGEN_CACHE"] = str(cache)
    try:
        textgen.train(text, out=base / "checkpoints" / "small", threads=1, **settings)
    finally:
        if before is None:
            del os.environ["TEXTGEN_CACHE"]
        else:
            os.environ["TEXTGEN_CACHE"] = before
    return Trained(base / "checkpoints" / "small", text, cache)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two layers on made-up Russian prose."""
    return _train(
        tmp_path_factory.mktemp("trained"),
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
    return _train(
        tmp_path_factory.mktemp("lines"),
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
    folder = tmp_path_factory.mktemp("names")
    return _train(folder, "\n".join(names()) + "\n", documents="line", **_OF_DOCUMENTS)


@pytest.fixture(scope="session")
def of_poems(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of poems with blank lines between them."""
    folder = tmp_path_factory.mktemp("poems")
    return _train(folder, "\n\n".join(poems()) + "\n", documents="blank", **_OF_DOCUMENTS)


@pytest.fixture
def home(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: None
) -> Iterator[Path]:
    """A working folder with the trained run under ./checkpoints, and its cache."""
    shutil.copytree(trained.folder, tmp_path / "checkpoints" / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTGEN_CACHE", str(trained.cache))
    yield tmp_path
