"""A list is read as one document a line without being asked, and says so."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.kinds_of_text import OTHERS, Writer
from support.small_runs import SMALL, names, outcome, russian_text, textgen_cli

import textgen
from textgen.corpus.corpus_options import CorpusOptions
from textgen.options import TrainOptions
from textgen.training.data import TrainingData, open_data
from textgen.training.events import Started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("\n".join(names(200)) + "\n", encoding="utf-8")
    return path


def opened(*paths: Path | str, stdin: Any = None, **reading: Any) -> TrainingData:
    options = TrainOptions(corpus=CorpusOptions(**reading))
    return open_data(list(map(str, paths)), options, stdin=stdin)


@pytest.mark.parametrize("again", [False, True])
def test_each_line_is_a_document(path: Path, again: bool) -> None:
    if again:
        opened(path)  # Then it comes from the cache.
    data = opened(path)
    assert data.corpus.documents == 200 and data.split == "drawn"
    assert data.corpus.list_reason is not None and "surely a list" in data.corpus.list_reason
    asked = opened(path, documents="line")
    assert asked.corpus.list_reason is None
    assert asked.corpus.cache_key == data.corpus.cache_key


@pytest.mark.parametrize("reading", [{"level": "word"}, {"level": "byte"}, {"fold": True}])
def test_however_it_is_read(path: Path, reading: dict[str, Any]) -> None:
    assert opened(path, **reading).corpus.documents == 200


def test_file_reads_it_as_one_text(path: Path) -> None:
    data = opened(path, documents="file")
    assert (data.corpus.documents, data.corpus.options.documents) == (1, None)


def test_what_was_asked_for_stays(path: Path) -> None:
    assert opened(path, documents="start:K").corpus.options.documents == "start:K"


def test_of_several_files_all_are_lists(path: Path, tmp_path: Path) -> None:
    second, prose = tmp_path / "second.txt", tmp_path / "prose.txt"
    second.write_text("\n".join(names(120)), encoding="utf-8")
    prose.write_text(russian_text(3000), encoding="utf-8")
    assert opened(path, second).corpus.documents == 320
    assert opened(path, prose).corpus.documents == 2


def test_standard_input(path: Path) -> None:
    assert opened("-", stdin=io.BytesIO(path.read_bytes())).corpus.documents == 200


def test_what_is_no_list_is_one_text(tmp_path: Path) -> None:
    path = tmp_path / "verse.txt"
    path.write_text(OTHERS["verse in stanzas"](Writer("latin")), encoding="utf-8")
    assert opened(path).corpus.documents == 1


def test_another_file_validates_by_its_lines(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "few.txt"
    other.write_text("Kelan\nMarisa\n", encoding="utf-8")
    data = open_data([path], TrainOptions(val=str(other)))
    assert data.val_corpus is not None and data.val_corpus.documents == 2


def test_the_run_says_so_and_how_to_switch_it_off(path: Path, tmp_path: Path) -> None:
    told: list[Started] = []

    def listen(event: object) -> None:
        if isinstance(event, Started):
            told.append(event)

    result = textgen.train(path, out=tmp_path / "run", steps=4, on_event=listen, **SMALL)
    (choice,) = (own for own in told[0].choices if own.name == "documents")
    assert choice.value == 200
    assert "It is surely a list, by its 200 short lines" in choice.reason
    assert choice.reason.endswith("Give 'file' to read it as one text instead")
    assert "--documents line" in told[0].command
    assert result.load().saved.writes_documents


@pytest.mark.parametrize("emptied", [False, True])
def test_a_run_on_a_list_goes_on(path: Path, tmp_path: Path, emptied: bool) -> None:
    settings: dict[str, Any] = {"steps": 12, "eval_every": 4, **SMALL}
    textgen.train(path, out=tmp_path / "whole", **settings)
    taken = iter(range(100))
    textgen.train(path, out=tmp_path / "run", stop=lambda: next(taken) == 5, **settings)
    if emptied:
        shutil.rmtree(os.environ["TEXTGEN_CACHE"])
    textgen.train(path, out=tmp_path / "run", resume=True, **settings)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_model_is_trained_further_on_a_list(path: Path, tmp_path: Path) -> None:
    prose = tmp_path / "prose.txt"
    prose.write_text(russian_text(4000), encoding="utf-8")
    textgen.train(prose, out=tmp_path / "parent", steps=2, **SMALL)
    result = textgen.train(path, out=tmp_path / "run", steps=2, from_=tmp_path / "parent")
    assert result.load().saved.documents == "line"


def test_a_newcomer_gets_ten_names(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained = textgen_cli("train", "names.txt", "--steps", "30", "--hidden", "32")
    assert trained.exit_code == 0, trained.stderr
    written = textgen_cli("sample", "--count", "10", "--no-mix")
    assert len(written.stdout.splitlines()) == 10
    assert max(map(len, written.stdout.splitlines())) < 40
