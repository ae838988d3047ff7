"""Runs that are finished, each trained once for all tests, whichever worker needs it first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

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


def train_once(
    factory: pytest.TempPathFactory, name: str, content: str, **settings: Any
) -> Trained:
    """Train on `content`, or take what another worker of the same test session has trained.

    Args:
        factory: Knows the folder of the session.
        name: Of the run, one for each call.
        content: The text.
        settings: Of `textgen.train`.
    """
    session = factory.getbasetemp()
    if session.name.startswith("popen-"):  # That of a worker of pytest-xdist.
        session = session.parent
    base = session / f"trained-{name}"
    run = Trained(base / "checkpoints" / "small", base / "corpus.txt", base / "cache")
    with FileLock(base.with_suffix(".lock")):
        if not (base / "finished").exists():
            base.mkdir(exist_ok=True)
            run.text.write_text(content, encoding="utf-8")
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("TEXTGEN_CACHE", str(run.cache))
                textgen.train(run.text, out=run.folder, threads=1, **settings)
            (base / "finished").touch()
    return run
