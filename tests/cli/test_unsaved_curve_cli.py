"""The loss curve of a run that cannot be written: said, and an exit code; the run is saved."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import SMALL_OPTIONS, events, russian_text, textgen_cli

from textgen.checkpoint import SavedModel
from textgen.files import CURVE_NAME, METRICS_NAME, MODEL_NAME, RESUME_NAME

RUN = ["text.txt", "--steps", "6", "--eval-every", "2", *SMALL_OPTIONS, "--out", "run"]
UNSAVED = f"the run is saved, but not its loss curve: cannot write {Path('run') / CURVE_NAME}"


@pytest.fixture(autouse=True)
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(russian_text(3000), encoding="utf-8")
    # To draw it takes longer than such a run.
    monkeypatch.setattr("textgen.cli.train_view.charts_picture", lambda *_: b"<svg/>")


class CurveDisk:
    """A disk on which one call fails while the loss curve is written."""

    def __init__(self, patch: pytest.MonkeyPatch, fails: str, code: int) -> None:
        self.fails = fails
        self.code = code
        self.is_curve = False
        for name in ("open", "lstat", "fsync", "replace"):
            patch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            if name == "lstat" or (name == "open" and CURVE_NAME in str(args[0])):
                self.is_curve = CURVE_NAME in str(args[0])
            if self.is_curve and name == self.fails and Path("run", MODEL_NAME).exists():
                raise OSError(self.code, os.strerror(self.code))
            return call(*args, **named)

        return wrapped


@pytest.mark.parametrize("output", [[], ["--quiet"], ["--json"]], ids=["shown", "quiet", "json"])
@pytest.mark.parametrize("fails", ["open", "fsync", "replace"])
def test_it_is_told_and_the_run_is_there(
    monkeypatch: pytest.MonkeyPatch, fails: str, output: list[str]
) -> None:
    with monkeypatch.context() as patch:
        CurveDisk(patch, fails, errno.EROFS)
        result = textgen_cli("train", *RUN, *output)
    assert result.exit_code == 6
    assert f"{UNSAVED}: the disk is mounted read-only" in result.stderr
    assert not Path("run", CURVE_NAME).exists()
    assert SavedModel.load(Path("run", MODEL_NAME)).info["metrics"]["steps"] == 6
    if output == ["--json"]:
        *_, ended, error = events(result)
        assert ended["event"] == "end" and error["exit_code"] == 6
    if not output:
        assert "Training finished" in result.stderr and "textgen sample" in result.stderr
        assert "loss curve       " not in result.stderr
        assert result.stderr.index("textgen sample") < result.stderr.index(UNSAVED)


def test_a_curve_that_is_missing_is_drawn_when_the_run_is_given_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    curve = Path("run", CURVE_NAME)
    with monkeypatch.context() as patch:
        CurveDisk(patch, "fsync", errno.ENOSPC)
        assert textgen_cli("train", *RUN, "--quiet").exit_code == 6
    state = Path("run", RESUME_NAME).read_bytes()
    result = textgen_cli("train", "run", "--resume")
    assert result.exit_code == 0 and "Already finished" in result.stderr
    assert f"loss curve       {curve}" in result.stderr
    assert curve.read_bytes() == b"<svg/>" and Path("run", RESUME_NAME).read_bytes() == state
    # One that is there is not drawn again, unless the run was trained longer after it.
    curve.write_bytes(b"own")
    result = textgen_cli("train", "run", "--resume")
    assert result.exit_code == 0 and curve.read_bytes() == b"own"
    assert "loss curve" not in result.stderr
    older = Path("run", RESUME_NAME).stat().st_mtime_ns - 1
    os.utime(curve, ns=(older, older))
    assert textgen_cli("train", "run", "--resume", "--quiet").exit_code == 0
    assert curve.read_bytes() == b"<svg/>"


def test_where_it_cannot_be_drawn_again_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert textgen_cli("train", *RUN, "--quiet").exit_code == 0
    Path("run", CURVE_NAME).unlink()
    with monkeypatch.context() as patch:
        CurveDisk(patch, "fsync", errno.ENOSPC)
        result = textgen_cli("train", "run", "--resume")
    assert result.exit_code == 6 and "Already finished" in result.stderr
    assert UNSAVED in result.stderr and not Path("run", CURVE_NAME).exists()


def test_reports_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("textgen.training.folder.read_plain", fail)
        result = textgen_cli("train", *RUN, "--quiet")
    reason = f"cannot read {Path('run') / METRICS_NAME}: the disk reports an input/output error"
    assert result.exit_code == 6 and reason in result.stderr
