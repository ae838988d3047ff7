"""A run's folder that came from somebody else: going on with it changes nothing outside of it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from support.small_runs import SMALL, russian_text

import textgen
from textgen.errors import StorageError
from textgen.files import CURVE_NAME, LOCK_NAME, METRICS_NAME, MODEL_NAME, RESUME_NAME


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "text.txt").write_text(russian_text(3000), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        textgen.train(folder / "text.txt", out=folder / "run", steps=6, eval_every=2, **SMALL)
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.is_symlink()}


@pytest.mark.parametrize("name", [LOCK_NAME, METRICS_NAME, RESUME_NAME, MODEL_NAME, CURVE_NAME])
def test_a_link_in_a_run_is_refused_and_its_file_stays(
    run: Path, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    if (run / name).exists():
        os.rename(run / name, victim)
    else:
        victim.write_bytes(b"mine\n")
    (run / name).symlink_to(victim)
    before, mine = contents(run), victim.read_bytes()
    with pytest.raises(StorageError, match=rf"{name}: it is a symbolic link"):
        textgen.train(run, more="3steps")
    assert victim.read_bytes() == mine and contents(run) == before


def test_another_name_of_the_reports_keeps_its_content(run: Path, tmp_path: Path) -> None:
    """As a snapshot by hard links has it; the run goes on all the same."""
    os.link(run / METRICS_NAME, tmp_path / "snapshot")
    before = (run / METRICS_NAME).read_bytes()
    textgen.train(run, more="3steps")
    assert (tmp_path / "snapshot").read_bytes() == before
    lines = (run / METRICS_NAME).read_bytes()
    assert lines.startswith(before) and json.loads(lines.splitlines()[-1])["step"] == 9


def test_the_folder_itself_may_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(run)
    textgen.train(tmp_path / "mine", more="3steps")
    assert (tmp_path / "mine").is_symlink()
    assert json.loads((run / METRICS_NAME).read_bytes().splitlines()[-1])["step"] == 9


def test_reports_that_are_no_text_are_left_out(run: Path) -> None:
    with (run / METRICS_NAME).open("ab") as file:
        file.write(b"\xff\xfe\n[1]\n{}\n")
    textgen.train(run, more="3steps")
    assert len((run / METRICS_NAME).read_text().splitlines()) > 1
