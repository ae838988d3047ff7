"""Training with labels: who reads what under which label, stopping and going on, fine-tuning."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from support.small_runs import SMALL, outcome

import textgen
from textgen.checkpoint import SavedModel
from textgen.corpus.corpus_options import CorpusOptions, FileOptions
from textgen.corpus.windows import LABEL_DROPOUT, DocumentLabels, Windows
from textgen.errors import ConfigError, RunFolderError, TextgenError
from textgen.evaluation.prediction import open_corpus
from textgen.files import RESUME_NAME
from textgen.options import TrainOptions
from textgen.sampling.novelty import training_text
from textgen.sampling.training_part import training_part
from textgen.training.data import TrainingData, open_data
from textgen.training.events import Event, Started
from textgen.training.folder import RunState


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    """Two voices that share no letter, in many documents."""
    folder = tmp_path / "texts"
    for name, words in (("low", "abc cab bca"), ("high", "XYZ ZYX YXZ")):
        (folder / name).mkdir(parents=True)
        lines = [" ".join(words.split()[i % 3 :]) + f" {words[: i % 5 + 1]}" for i in range(400)]
        (folder / name / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def run(text: Path, out: Path, **settings: Any) -> list[Event]:
    seen: list[Event] = []
    fixed = {"label_from": "folder", "documents": "line", "steps": 40, "eval_every": 10, **SMALL}
    textgen.train(text, out=out, on_event=seen.append, **{**fixed, **settings})
    return seen


def each_token(data: TrainingData, tokens: Any, labels: DocumentLabels | None) -> set[Any]:
    """Label and letter case of all tokens but marks and spaces."""
    assert labels is not None
    symbols = np.array(data.corpus.vocabulary.symbols)[np.asarray(tokens)]
    found = labels.at(np.arange(len(tokens)))
    return {
        (data.labels[label - 1], symbol.isupper())
        for label, symbol in zip(found, symbols, strict=True)
        if symbol.isalpha()
    }


@pytest.mark.parametrize("documents", ["line", None], ids=["drawn", "ends"])
def test_every_token_has_the_label_of_its_document(voices: Path, documents: str | None) -> None:
    """On both sides of the split, however the documents were drawn."""
    options = TrainOptions(corpus=CorpusOptions(label_from="folder", documents=documents))
    data = open_data([voices], options)
    assert data.labels == ("high", "low")
    expected = {("low", False), ("high", True)}
    assert each_token(data, data.train, data.train_labels) == expected
    assert each_token(data, data.val, data.val_labels) == expected


@pytest.mark.parametrize("sliding", [False, True])
def test_a_tenth_is_read_under_no_label(sliding: bool) -> None:
    """Of each stream, from where its state is zeroed to where it is zeroed again."""
    tokens = np.resize(np.arange(2, 50, dtype=np.uint8), 20_000)
    labels = DocumentLabels(np.array([-1]), np.array([1]))
    windows = Windows(
        tokens,
        seq_len=8,
        batch_size=4,
        reset_every=0 if sliding else 5,
        sliding=sliding,
        labels=labels,
        rng=1,
    )
    batches = [windows.batch(step) for step in range(1000)]
    share = np.mean([(batch.labels_TB == 0).mean() for batch in batches])
    assert share == pytest.approx(LABEL_DROPOUT, abs=0.02)
    for before, batch in itertools.pairwise(batches):
        assert before.labels_TB is not None and batch.labels_TB is not None
        assert (batch.labels_TB == batch.labels_TB[0]).all()
        if not sliding:
            changed = before.labels_TB[-1] != batch.labels_TB[0]
            assert not (changed & ~batch.resets_TB[0]).any()


@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.2, "recurrent_dropout": 0.3},
        {"cell": "gru", "num_layers": 2, "tie": True},
        {"history": 6, "seq_len": None},
        {"members": 2},
        {"documents": None},
    ],
    ids=str,
)
def test_stopped_and_resumed_it_ends_the_same(
    voices: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    run(voices, tmp_path / "whole", **settings)
    taken = 0

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken == 17

    run(voices, tmp_path / "parts", stop=stop, **settings)
    seen = run(voices, tmp_path / "parts", resume=True, **settings)
    assert isinstance(seen[0], Started) and seen[0].resumed_from == 17
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def test_a_model_writes_and_measures_under_its_labels(voices: Path, tmp_path: Path) -> None:
    run(voices, tmp_path / "run", steps=150)
    model = textgen.load(tmp_path / "run")
    assert model.labels == ("high", "low")
    for label, is_upper in (("low", False), ("high", True)):
        text = model.generate(label=label, length=300, keep_going=True, rng=1)
        letters = [char for char in text if char.isalpha()]
        assert np.mean([char.isupper() == is_upper for char in letters]) > 0.9
        own = (voices / label / "text.txt").read_text()

        def cost(label: str | None, own: str = own) -> float:
            return model.evaluate(text=own, documents="line", label=label).bits_per_char

        other = "high" if label == "low" else "low"
        assert cost(label) < cost(None) < cost(other)
        assert cost(None) == pytest.approx(model.evaluate(text=own, documents="line").bits_per_char)
        under = model.view(own[:40], show="surprise", label=label).totals["bits_per_char"]
        beside = model.labelled(label).view(own[:40], show="surprise").totals["bits_per_char"]
        assert under == beside != model.view(own[:40], show="surprise").totals["bits_per_char"]
    # More is trained on, and a new voice comes to it; what is not read again keeps its vector.
    textgen.train(tmp_path / "run", more="10steps")
    (voices / "dots").mkdir()
    (voices / "dots" / "text.txt").write_text("\n".join([". : . :", ": . :", ". . ."] * 99))
    run(voices / "dots", tmp_path / "finer", from_=tmp_path / "run")
    finer = textgen.load(tmp_path / "finer")
    assert finer.labels == ("high", "low", "dots")
    before, after = (
        SavedModel.load(tmp_path / name / "model.safetensors").weights["labels.weight"]
        for name in ("run", "finer")
    )
    np.testing.assert_allclose(after[:2], before, rtol=0.05, atol=1e-3)
    assert after[2].any()
    kept = finer.save(f"{tmp_path / 'kept'}/")
    assert textgen.load(kept).labels == finer.labels


def test_a_cache_that_was_emptied_changes_nothing(voices: Path, tmp_path: Path) -> None:
    run(voices, tmp_path / "whole")
    taken = 0

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken == 7

    run(voices, tmp_path / "parts", stop=stop)
    shutil.rmtree(os.environ["TEXTGEN_CACHE"])
    run(voices, tmp_path / "parts", resume=True)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (("lower", "high"), "they were 'high', 'low' and are 'high', 'lower'"),
        (("high", "low"), "documents have others of 'high', 'low' than they had"),
        (None, None),
    ],
    ids=["renamed", "exchanged", "older"],
)
def test_labels_that_have_changed_end_a_run(
    tmp_path: Path, names: tuple[str, str] | None, match: str | None
) -> None:
    """The same text under other labels is no continuation; older runs do not tell theirs."""
    texts, out = tmp_path / "texts", tmp_path / "run"
    for folder, label, line in (("1", "low", "abc cab bca\n"), ("2", "high", "XYZ ZYX\n")):
        (texts / folder).mkdir(parents=True)
        (texts / folder / f"{label}.txt").write_text(line * 99)
    run(texts, out, label_from="file", steps=8, stop=iter([False] * 5 + [True]).__next__)
    shutil.rmtree(os.environ["TEXTGEN_CACHE"])
    if names is None:
        state = RunState.load(out / RESUME_NAME)
        text = cast(dict[str, Any], state.record["corpus"])
        assert text.pop("labels") == ["high", "low"] and len(text.pop("labels_sha256")) == 64
        state.save(out / RESUME_NAME)
        textgen.train(out=out, resume=True)
        return
    (texts / "1" / "low.txt").rename(texts / "1" / f"{names[0]}.txt")
    (texts / "2" / "high.txt").rename(texts / "2" / f"{names[1]}.txt")
    with pytest.raises(RunFolderError, match=f"the labels have changed .*{match}"):
        textgen.train(out=out, resume=True)


@pytest.mark.parametrize(
    ("rows", "documents", "match"),
    [
        (6, 11, None),
        (12, 24, None),
        (13, 25, "found 13 labels of 25 documents, such as 'voice 0', .*is the first column the"),
        (1001, 3000, "found 1,001 labels, and a model has 1,000 at most"),
    ],
)
def test_labels_have_a_bound(tmp_path: Path, rows: int, documents: int, match: str | None) -> None:
    """A text in the place of a label, or a label for each text, is said before anything is made."""
    path = tmp_path / "table.tsv"
    path.write_text("".join(f"voice {i % rows}\tabc {i}\n" for i in range(documents)))
    options = TrainOptions(corpus=CorpusOptions(label_from="column"))
    if match is None:
        assert len(open_data([path], options).labels) == rows
        return
    with pytest.raises(ConfigError, match=match):
        open_data([path], options)


def test_a_validation_text_of_other_labels_is_spoken_of(voices: Path, tmp_path: Path) -> None:
    """It is measured under no label; what has a label of the model is measured under that."""
    val = tmp_path / "val" / "own.txt"
    (tmp_path / "high").mkdir()
    val.parent.mkdir()
    for path in (val, tmp_path / "high" / "own.txt"):
        path.write_text("XYZ ZYX\n", encoding="utf-8")
        corpus = CorpusOptions(label_from="folder", documents="line")
        data = open_data([voices], TrainOptions(val=str(path), corpus=corpus))
        known = path is not val
        expected = "are: 'val'; the model has: 'high', 'low'. What has none of these is measured"
        assert any(expected in note for note in data.notes) == (not known)
        assert data.val_labels is not None
        assert data.val_labels.labels_D.tolist() == [1 if known else 0]


def test_one_label_is_no_voice_among_several(voices: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found only the label 'low', and a model of several"):
        run(voices / "low", tmp_path / "run")
    with pytest.raises(ConfigError, match="pairs"):
        textgen.train(voices, label_from="folder", pairs=True, out=tmp_path / "run")


@pytest.mark.parametrize("way", ["tag", "column"])
def test_a_text_of_labels_is_read_after_training_as_in_it(tmp_path: Path, way: str) -> None:
    """Its labels are no text, and each of its documents is one; also when the cache is empty."""
    texts = [("abc cab ", "xyz zyx ")[i % 2] * (i % 7 + 3) + f"{i:02}." for i in range(40)]
    before, after = ("[{}]\n", "\n") if way == "tag" else ("{}\t", "\n")
    path = tmp_path / "voices.txt"
    path.write_text(
        "".join(before.format("AB"[i % 2]) + text + after for i, text in enumerate(texts)),
        encoding="utf-8",
    )
    run(path, tmp_path / "run", label_from=way, documents=None)
    model = textgen.load(tmp_path / "run")
    chars = sum(map(len, texts))

    def figures(*paths: Path, documents: str | None = None) -> tuple[int, int]:
        names = [str(path) for path in paths]
        corpus = open_corpus(model.saved, names, FileOptions(), None, documents=documents)
        assert corpus.chars == model.evaluate(*paths, documents=documents).chars
        return corpus.documents, corpus.chars

    plain = tmp_path / "plain.txt"
    plain.write_text("abc cab xyz\nzyx", encoding="utf-8")
    for _ in range(2):
        assert figures(path) == (40, chars)
        assert figures(path, documents="file") == (1, len(path.read_text()))
        part = training_part(model.saved)
        assert len(part.train) + len(part.val) == chars + 40 + 1
        assert training_text(model.saved, str(path)).documents == 40
        shutil.rmtree(os.environ["TEXTGEN_CACHE"])
    assert figures(plain) == (1, 15)
    assert figures(path, plain) == (41, chars + 15)
    assert model.evaluate(text="abc cab").chars == 7
    with pytest.raises(TextgenError, match="label"):  # What is read so is no text to learn from.
        run(plain, tmp_path / "other", label_from=way, documents=None)
