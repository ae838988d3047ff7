"""A disk that cannot be read: every command says so with one exit code, whatever it reads for."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import SMALL_OPTIONS, russian_text, textgen_cli
from support.trained import Trained

from textgen.native.library import missing_reason


class BadDisk:
    """A disk on which some files cannot be opened, or cannot be read once they are open.

    Args:
        patch: Until its end.
        names: Of the files.
        opens: Whether they can be opened.
    """

    def __init__(self, patch: pytest.MonkeyPatch, *names: str, opens: bool) -> None:
        self.names = names
        self.opens = opens
        self.real = builtins.open
        patch.setattr(builtins, "open", self.open)

    def open(self, file: Any, *args: Any, **named: Any) -> Any:
        if isinstance(file, int) or Path(file).name not in self.names:
            return self.real(file, *args, **named)
        if not self.opens:
            raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(file))
        return io.BufferedReader(Unreadable())


class Unreadable(io.RawIOBase):
    """A file whose bytes cannot be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def model(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A model and its training text, which is not in the cache."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained.folder, "model")
    Path("other.txt").write_text(russian_text(600), encoding="utf-8")
    Path("texts").mkdir()
    for name in ("one.txt", "two.txt"):
        Path("texts", name).write_text(russian_text(300), encoding="utf-8")
    return ("--checkpoint", "model")


READERS = {
    "sample --adapt": ("sample", "--adapt", "other.txt", "--length", "5"),
    "sample --seed-file": ("sample", "--seed-file", "other.txt", "--length", "5"),
    "eval": ("eval", "other.txt"),
    "eval --adapt": ("eval", "other.txt", "--adapt"),
    "eval --mix": ("eval", "other.txt", "--mix"),
    "sample --mix": ("sample", "--mix", "--length", "5"),
    "inspect gates": ("inspect", "gates", "other.txt"),
    "a folder": ("eval", "texts"),
}
#: What of them reads the training text, too: by counting it, or to fit how it learns.
TRAINING = ("sample --adapt", "eval --adapt", "eval --mix", "sample --mix")
NATIVE = pytest.mark.skipif(bool(missing_reason()), reason=missing_reason() or "it is there")


@pytest.mark.parametrize("opens", [False, True], ids=["open", "read"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=NATIVE if "adapt" in name else ()) for name in READERS]
)
def test_a_text_that_cannot_be_read(
    model: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, name: str, opens: bool
) -> None:
    files = ["other.txt", "one.txt", "two.txt", *(["corpus.txt"] if name in TRAINING else [])]
    with monkeypatch.context() as patch:
        BadDisk(patch, *files, opens=opens)
        result = textgen_cli(*READERS[name], *model, "--quiet")
    assert result.exit_code == 6, result.stderr
    assert result.stderr.startswith("textgen: ") and "cannot be read" in result.stderr


@pytest.mark.parametrize("name", [pytest.param(n, marks=NATIVE) for n in TRAINING])
def test_a_training_text_that_cannot_be_read(
    model: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as patch:
        BadDisk(patch, "corpus.txt", opens=False)
        result = textgen_cli(*READERS[name], *model, "--quiet")
    assert result.exit_code == 6, result.stderr
    assert "the training text is no longer in the cache, and cannot be read" in result.stderr


def test_one_of_several_that_is_no_text_is_a_wrong_text(
    model: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("texts/three.txt").write_bytes(b"%PDF-1.4\0")
    with monkeypatch.context() as patch:
        BadDisk(patch, "one.txt", opens=False)
        result = textgen_cli("train", "texts", *SMALL_OPTIONS, "--steps", "2")
    assert result.exit_code == 3 and "2 of 3 files cannot be read as text" in result.stderr
