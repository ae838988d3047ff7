"""What validates a run: documents drawn by their content, or the end of a text, with its notes."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import SMALL, outcome, russian_text

import textgen
from textgen.checkpoint.format import read_file, write_file
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.spans import find_documents
from textgen.errors import CorpusError
from textgen.options import TrainOptions
from textgen.training import data as data_module
from textgen.training.data import TrainingData, open_data
from textgen.training.events import Event, Started


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """A sorted list, every tenth name twice."""
    rng = random.Random(2)
    found = sorted(
        {
            f"{a}{rng.choice('aeiou')}{rng.choice('lnrst')}{b}"
            for a in "ABDEGMRTYZ"
            for b in "abcdefghijklmnop"
        }
    )
    path = tmp_path / "names.txt"
    path.write_text("\n".join(sorted([*found, *found[::10]])) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """A folder of a few files."""
    folder = tmp_path / "letters"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text(russian_text(900 + 50 * number, seed=number), "utf-8")
    return folder


def opened(path: Path, *, rng: int = 1, val: str = "0.1", **reading: Any) -> TrainingData:
    return open_data([path], TrainOptions(corpus=CorpusOptions(**reading), rng=rng, val=val))


def texts(data: TrainingData) -> tuple[list[str], list[str]]:
    """The documents to train on and those that validate."""
    sides = []
    for tokens in (data.train, data.val):
        found = find_documents(tokens)
        pairs = zip(found.starts, found.stops, strict=True)
        sides.append([data.corpus.vocabulary.decode(tokens[a:b]) for a, b in pairs])
    return sides[0], sides[1]


def started(path: Path, out: Path, **settings: Any) -> Started:
    seen: list[Event] = []
    settings = {"steps": 1, **SMALL, **settings}
    textgen.train(path, out=out, on_event=seen.append, **settings)
    assert isinstance(seen[0], Started)
    return seen[0]


def test_a_sorted_list_validates_on_all_its_letters(names: Path) -> None:
    data = opened(names, documents="line")
    train, val = texts(data)
    assert len({name[0] for name in val}) >= 7 and not set(val) & set(train)
    assert sorted([*train, *val]) == names.read_text().splitlines()
    assert data.val_chars_per_token == pytest.approx(sum(map(len, val)) / len(data.val))
    assert data.train_chars_per_token == pytest.approx(sum(map(len, train)) / len(data.train))


def test_every_seed_and_every_reading_draws_the_same(names: Path) -> None:
    first = opened(names, documents="line")
    again = opened(names, documents="line", rng=7)
    np.testing.assert_array_equal(first.val, again.val)
    shutil.rmtree(os.environ["TEXTGEN_CACHE"])
    third = opened(names, documents="line")
    np.testing.assert_array_equal(first.val, third.val)
    np.testing.assert_array_equal(first.train, third.train)


def test_what_is_told_of_documents(names: Path, tmp_path: Path) -> None:
    event = started(names, tmp_path / "run", documents="line")
    choices = {choice.name: choice for choice in event.choices}
    assert choices["documents"].value == 176
    assert choices["documents"].reason == (
        "each line is one; the shortest has 4 characters, the median 4, the longest 4"
    )
    assert "of 176 documents, drawn by their content" in choices["validation"].reason
    told = {"count": 176, "shortest": 4, "median": 4, "longest": 4}
    assert event.to_dict()["documents"] == told
    corpus = textgen.load(tmp_path / "run").info["corpus"]
    assert corpus["document_lengths"] == told and corpus["split"] == "drawn"
    event = started(names, tmp_path / "one", documents="file")
    assert event.documents is None
    assert "documents" not in {choice.name for choice in event.choices}


def test_files_are_told_as_files(letters: Path, tmp_path: Path) -> None:
    event = started(letters, tmp_path / "run")
    choices = {choice.name: choice for choice in event.choices}
    assert choices["documents"].value == 4
    assert choices["validation"].reason.endswith(": the last 10% of each of the 4 files")


def test_another_file_validates(names: Path, letters: Path) -> None:
    data = opened(names, documents="line", val=str(letters / "0.txt"))
    train, _ = texts(data)
    lines = names.read_text().splitlines()
    assert sorted(train) == lines and train != lines and data.split == "whole"
    assert data.val_source == f"the file {letters / '0.txt'}"
    assert data.val is data.val_corpus.tokens  # type: ignore[union-attr]


def test_a_mode_that_cuts_nothing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(russian_text(1000), encoding="utf-8")
    data = opened(path, documents="blank")
    assert data.notes[0].startswith("documents='blank' found only one document (blank lines sep")
    assert "start:PATTERN" in data.notes[0]
    assert not opened(path, documents="line").notes
    with pytest.raises(CorpusError, match="no line is"):
        opened(path, documents="***")


def test_a_licence_at_the_end_is_told(tmp_path: Path) -> None:
    novel = russian_text(60_000)
    licence = "\nLICENCE. Permission is HEREBY granted, (c) 1998; see 4.2: no Warranty!" * 80
    path = tmp_path / "novel.txt"
    path.write_text(novel, encoding="utf-8")
    assert not opened(path).notes
    path.write_text(novel + licence, encoding="utf-8")
    kind, symbols = opened(path).notes
    assert "the end of the text, which validates, is of another kind" in kind
    place = int(kind.split("character ")[1].split(" ")[0].replace(",", ""))
    assert abs(place - len(novel)) < 2000 and "val=FILE" in kind
    assert "characters are only in the validation text, never in the training text" in symbols
    other = tmp_path / "other.txt"
    other.write_text(russian_text(2000, seed=9), encoding="utf-8")
    assert not opened(path, val=str(other)).notes


@pytest.mark.parametrize(
    ("level", "told"),
    [
        (
            "char",
            "2 characters are only in the validation text, never in the training text "
            "(3 times): é §.",
        ),
        (
            "byte",
            "4 bytes are only in the validation text, never in the training text (6 times): 0x",
        ),
        ("word", None),
    ],
)
def test_symbols_that_training_never_sees(tmp_path: Path, level: str, told: str | None) -> None:
    path = tmp_path / "text.txt"
    text = "The old woman said nothing, and it rained. " * 40
    path.write_text(text + "é § é", encoding="utf-8")
    notes = opened(path, level=level).notes
    assert len(notes) == (told is not None)
    assert told is None or notes[0].startswith(told)
    path.write_text(text + "é" + text, encoding="utf-8")
    assert not opened(path, level=level).notes


@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("case", ["drawn", "ends", "whole", "tuned"])
def test_a_resumed_run_draws_the_same(
    names: Path, letters: Path, tmp_path: Path, case: str, emptied: bool
) -> None:
    path = letters if case == "ends" else names
    settings: dict[str, Any] = {"steps": 12, "eval_every": 4, **SMALL}
    if case != "ends":
        settings["documents"] = "line"
    if case == "whole":
        settings["val"] = str(letters / "1.txt")
    if case == "tuned":
        started(letters, tmp_path / "parent")
        settings |= {"from_": tmp_path / "parent", "hidden_size": None}
    textgen.train(path, out=tmp_path / "whole", **settings)
    taken = iter(range(100))
    textgen.train(path, out=tmp_path / "run", stop=lambda: next(taken) == 5, **settings)
    if emptied:
        shutil.rmtree(os.environ["TEXTGEN_CACHE"])
    textgen.train(out=tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("documents", ["line", None])
def test_a_run_of_version_0_1_keeps_its_end(
    names: Path,
    letters: Path,
    tmp_path: Path,
    documents: str | None,
    emptied: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its record names no way to split: the end of the text validates, whatever it consists of."""
    path = names if documents else letters
    settings: dict[str, Any] = {"steps": 12, "eval_every": 4, "documents": documents, **SMALL}
    with monkeypatch.context() as patch:
        patch.setattr(data_module, "split_documents", lambda *_, **__: None)
        textgen.train(path, out=tmp_path / "whole", **settings)
        taken = iter(range(100))
        textgen.train(path, out=tmp_path / "run", stop=lambda: next(taken) == 5, **settings)
    file = tmp_path / "run" / "resume.safetensors"
    header, tensors = read_file(file, kind="resume")
    del header["record"]["corpus"]["split"], header["record"]["corpus"]["document_lengths"]
    write_file(file, kind="resume", header=header, tensors=tensors)
    if emptied:
        shutil.rmtree(os.environ["TEXTGEN_CACHE"])
    textgen.train(out=tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_copies_of_few_documents_are_told(tmp_path: Path) -> None:
    text = tmp_path / "lines.txt"
    text.write_text("I promise to behave in class.\nAnd at home.\n" * 50, encoding="utf-8")
    notes = started(text, tmp_path / "run", documents="line").notes
    assert [note for note in notes if note.startswith("the 100 documents are 2 different ones")]
    text.write_text("".join(f"line number {n}\n" for n in range(100)), encoding="utf-8")
    event = started(text, tmp_path / "other", documents="line")
    assert not [note for note in event.notes if "different ones" in note]


def test_a_file_that_validates_and_is_trained_on_is_told(letters: Path, tmp_path: Path) -> None:
    chosen = sorted(letters.iterdir())[0]
    event = started(letters, tmp_path / "run", val=str(chosen))
    assert [note for note in event.notes if f"{chosen} validates and is trained on too" in note]
