"""Whatever a person types for a model is found, or the message says what to type instead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from textgen.checkpoint import MODEL_NAME, RESUME_NAME, free_folder, list_runs, locate_model
from textgen.checkpoint.locate import RunEntry, is_path
from textgen.errors import RunFolderError, StorageError


def make_run(folder: Path, *, time: float, names: tuple[str, ...] = (MODEL_NAME,)) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (time, time))
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs are kept, relative to the folder a person works in."""
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "checkpoints" / "старое", time=1000)
    make_run(tmp_path / "checkpoints" / "newest", time=3000, names=(MODEL_NAME, RESUME_NAME))
    make_run(tmp_path / "checkpoints" / "middle", time=2000)
    make_run(tmp_path / "checkpoints" / "killed", time=4000, names=(RESUME_NAME,))
    (tmp_path / "checkpoints" / "README.md").write_text("no run")
    (tmp_path / "checkpoints" / "empty").mkdir()
    return Path("checkpoints")


def test_runs_are_listed_the_newest_first(root: Path) -> None:
    runs = list_runs(root)
    assert [run.name for run in runs] == ["killed", "newest", "middle", "старое"]
    assert runs[0] == RunEntry(
        name="killed", path=root / "killed", modified=4000.0, has_model=False, has_resume=True
    )
    assert runs[1] == RunEntry(
        name="newest", path=root / "newest", modified=3000.0, has_model=True, has_resume=True
    )
    assert list_runs(Path("missing")) == [] and list_runs(root / "README.md") == []


def test_nothing_means_the_newest_model(root: Path) -> None:
    assert locate_model() == root / "newest" / MODEL_NAME
    os.utime(root / "старое" / MODEL_NAME, (5000, 5000))
    # The state is younger in this run, but it is the model that counts.
    os.utime(root / "middle", (9000, 9000))
    (root / "middle" / RESUME_NAME).touch()
    assert locate_model(None, root) == root / "старое" / MODEL_NAME


def test_a_file_a_folder_a_name(root: Path, tmp_path: Path) -> None:
    elsewhere = make_run(tmp_path / "elsewhere", time=1)
    nested = make_run(root / "group" / "run", time=1)
    file = tmp_path / "copied.st"
    file.touch()
    for spec, expected in [
        (file, file),
        (str(file), file),
        (elsewhere, elsewhere / MODEL_NAME),
        (f"{elsewhere}/", elsewhere / MODEL_NAME),
        (root / "middle", root / "middle" / MODEL_NAME),
        (root / "middle" / MODEL_NAME, root / "middle" / MODEL_NAME),
        (root / "killed" / RESUME_NAME, root / "killed" / RESUME_NAME),
        ("middle", root / "middle" / MODEL_NAME),
        ("старое", root / "старое" / MODEL_NAME),
        ("group/run", nested / MODEL_NAME),
    ]:
        assert locate_model(spec) == expected
    assert locate_model(f"middle/{MODEL_NAME}") == root / "middle" / MODEL_NAME


def test_what_was_typed_wins_over_a_name_unless_it_holds_no_model(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "middle").mkdir()  # a folder of texts, say, after which the run was named
    assert locate_model("middle") == root / "middle" / MODEL_NAME
    (tmp_path / "middle" / MODEL_NAME).touch()
    assert locate_model("middle") == Path("middle") / MODEL_NAME


def test_a_pipe_is_left_to_the_reader_to_refuse(root: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert locate_model("pipe") == Path("pipe")


def message_of(spec: Any, root: Path = Path("checkpoints")) -> str:
    with pytest.raises(StorageError) as caught:
        locate_model(spec, root)
    return str(caught.value)


def test_an_unknown_name_lists_the_runs(root: Path) -> None:
    assert message_of("midle") == (
        "there is no checkpoint 'midle': no such file or folder, and no such run in checkpoints; "
        "did you mean 'middle'? Runs there, the newest first: killed, newest, middle, старое"
    )
    assert "did you mean" not in message_of("qqqqqqqq")
    for spec in ("a\0b", "x" * 5000, "../../..//nowhere"):
        assert "there is no checkpoint" in message_of(spec)


def test_at_most_ten_runs_are_listed(root: Path) -> None:
    for number in range(20):
        make_run(root / f"run{number:02}", time=10_000 - number)
    message = message_of("q")
    assert message.endswith("run08, run09 and 14 more")
    assert message.count("run") == 10 + 2  # and "no such run", "runs there"


def test_without_any_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a model that comes with textgen."""
    monkeypatch.setattr("textgen.checkpoint.shipped.project_folder", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    for spec in (None, "name"):
        assert message_of(spec).endswith("; train one first: textgen.train('corpus.txt')")
    (tmp_path / "checkpoints").mkdir()
    for spec in (None, "name"):
        assert message_of(spec).endswith("; train one first: textgen.train('corpus.txt')")


def test_a_run_killed_before_its_first_model(root: Path, tmp_path: Path) -> None:
    expected = (
        "the run in checkpoints/killed has written no model yet: while it is training, wait for "
        "the first; if it was stopped, continue it: "
        "textgen.train('checkpoints/killed', resume=True)"
    )
    assert message_of("killed") == expected
    assert message_of(root / "killed") == expected
    for name in ("newest", "middle", "старое"):
        (root / name / MODEL_NAME).unlink()
    (root / "newest" / RESUME_NAME).unlink()
    assert message_of(None) == expected


def test_folders_without_a_model(root: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    assert message_of("texts").startswith(f"the folder texts holds no {MODEL_NAME}; ")
    assert message_of("empty").startswith("there is no checkpoint 'empty'")
    make_run(tmp_path / "other" / "run", time=1)
    assert message_of("other") == (
        f"the folder other holds no {MODEL_NAME}; choose one of the runs in it: other/run"
    )
    assert "runs there, the newest first: killed, newest" in message_of("checkpoints")


def test_a_closed_folder_is_told_and_hides_no_other(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a stand-in for the system: a superuser enters every folder."""
    look = os.stat

    def refuse(path: Any, *args: Any, **named: Any) -> os.stat_result:
        if "newest" in str(path):
            raise PermissionError(13, "Permission denied")
        return look(path, *args, **named)

    def refuse_listing(path: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)
    assert [run.name for run in list_runs(root)] == ["killed", "middle", "старое"]
    assert message_of("newest").endswith("permission denied")
    monkeypatch.setattr(os, "scandir", refuse_listing)
    assert message_of(None) == "cannot read the folder checkpoints: permission denied"


def test_a_word_with_a_slash_is_a_path() -> None:
    assert [is_path(word) for word in ("run", "a/run", "./run", "run/", "/")] == [
        False,
        *[True] * 4,
    ]


def test_a_new_model_gets_a_folder_of_its_own(root: Path, tmp_path: Path) -> None:
    """Among the runs by a name, anywhere by a path; never one that has a model or a run."""
    assert free_folder("new", root) == free_folder("new") == root / "new"
    assert free_folder("empty", root) == root / "empty"
    assert free_folder(str(tmp_path / "new"), root) == tmp_path / "new"
    for taken in ("middle", "killed", str(tmp_path / root / "middle")):
        with pytest.raises(RunFolderError, match="already contains a model; choose another name"):
            free_folder(taken, root)
