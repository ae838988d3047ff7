"""The part of its text that a model learned from: the very tokens that the run trained on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import names, russian_text

import textgen
from textgen.checkpoint import SavedModel
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.errors import ConfigError, StorageError
from textgen.options import TrainOptions
from textgen.sampling import training_part
from textgen.sampling.novelty import training_text
from textgen.sampling.training_part import cached_text
from textgen.training.data import open_data

TINY = {"steps": 1, "hidden_size": 8, "batch_size": 2, "seq_len": 8, "num_layers": 1}


def trained(*paths: Path, out: Path, **settings) -> SavedModel:
    """A model after one step; its text is in the cache."""
    return textgen.train(*paths, out=out, **TINY, **settings).load().saved


def expected(*paths: Path, val: str = "0.1", **corpus) -> tuple[np.ndarray, np.ndarray]:
    """What such a run trains on and validates on."""
    options = TrainOptions(corpus=CorpusOptions(**corpus), val=val)
    data = open_data(list(paths), options)
    return np.asarray(data.train), np.asarray(data.val)


@pytest.mark.parametrize("val", ["0.1", "0.3"])
def test_of_one_text_the_end_is_held_out(tmp_path, val):
    path = tmp_path / "text.txt"
    path.write_text(russian_text(6_000))
    part = training_part(trained(path, out=tmp_path / "run", val=val))
    train, held_out = expected(path, val=val)
    assert np.array_equal(part.train, train)
    assert np.array_equal(part.val, held_out)
    whole = training_text(trained(path, out=tmp_path / "other", val=val)).tokens
    assert np.array_equal(whole, np.concatenate([train, held_out]))


def test_of_documents_some_are_held_out(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(names(200)))
    part = training_part(trained(path, out=tmp_path / "run", documents="line", val="0.2"))
    train, held_out = expected(path, val="0.2", documents="line")
    assert np.array_equal(part.train, train)
    assert np.array_equal(part.val, held_out)
    assert len(part.val) > 100
    # Of another share, or of another number of tokens, it is another part.
    saved = trained(path, out=tmp_path / "again", documents="line", val="0.2")
    choices = [{"name": "validation", "value": len(held_out) + 1, "reason": ""}]
    with pytest.raises(ConfigError, match="does not tell which part"):
        training_part(replace(saved, info={**saved.info, "choices": choices}))
    for command in ("textgen train a.txt --val 0.2 --steps 1", "textgen train a.txt --val 0.2"):
        part = training_part(replace(saved, info={**saved.info, "command": command}))
        assert np.array_equal(part.val, held_out)


def test_another_file_validates(tmp_path):
    path, other = tmp_path / "text.txt", tmp_path / "other.txt"
    path.write_text(russian_text(4_000))
    other.write_text(russian_text(1_000, seed=1))
    part = training_part(trained(path, out=tmp_path / "run", val=str(other)))
    train, held_out = expected(path, val=str(other))
    assert np.array_equal(part.train, train)
    assert np.array_equal(part.val, held_out)


def test_the_text_is_read_again_where_the_cache_was_emptied(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text(russian_text(4_000))
    saved = trained(path, out=tmp_path / "run")
    train, _ = expected(path)
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "another"))
    assert np.array_equal(training_part(saved).train, train)
    path.write_text(russian_text(4_000).replace("топор", "тапор"))
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "third"))
    with pytest.raises(ConfigError, match=r"text\.txt has changed since the model was trained"):
        training_part(saved)
    path.unlink()
    with pytest.raises(StorageError, match=r"no longer in the cache.*text\.txt"):
        training_part(saved)


def test_a_model_that_does_not_tell_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(russian_text(3_000))
    saved = trained(path, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="does not tell which part"):
        training_part(replace(saved, info={**saved.info, "choices": []}))

    def told(count):
        choices = [{"name": "validation", "value": count, "reason": ""}]
        return replace(saved, info={**saved.info, "choices": choices})

    for count in (0, -1, True, 2.0, None, 10_000):
        with pytest.raises(ConfigError, match="does not tell which part"):
            training_part(told(count))
    assert len(training_part(told(1)).val) == 1
    with pytest.raises(ConfigError, match=r"no longer in the cache.*it was no file"):
        training_part(replace(saved, info={}))
    with pytest.raises(ConfigError, match="trained on pairs"):
        training_part(replace(saved, info={**saved.info, "pairs": True}))


def test_a_single_document_has_no_part_that_validated(tmp_path):
    path, single = tmp_path / "names.txt", tmp_path / "single.txt"
    path.write_text("\n".join(names(200)))
    single.write_text(names(200)[0])
    saved = trained(path, out=tmp_path / "run", documents="line", val="0.2")
    one = Corpus.open([single], CorpusOptions(documents="line"), vocabulary=saved.vocabulary)
    record = {**saved.corpus, "keys": [one.cache_key, None]}
    with pytest.raises(ConfigError, match="does not tell which part"):
        training_part(replace(saved, info={**saved.info, "corpus": record}))


def test_a_validation_text_that_left_the_cache_is_empty(tmp_path, monkeypatch):
    path, other = tmp_path / "text.txt", tmp_path / "other.txt"
    path.write_text(russian_text(4_000))
    other.write_text(russian_text(1_000, seed=1))
    saved = trained(path, out=tmp_path / "run", val=str(other))
    monkeypatch.setattr(
        sys.modules["textgen.sampling.training_part"],
        "cached_text",
        lambda model, number=0: None if number else cached_text(model),
    )
    part = training_part(saved)
    assert len(part.val) == 0 and len(part.train) > 3_000


def test_a_text_that_cannot_be_read_any_more_says_so(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text(russian_text(4_000))
    saved = trained(path, out=tmp_path / "run")
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "another"))
    path.write_bytes(b"")
    with pytest.raises(ConfigError, match="empty"):
        training_part(saved)


def test_a_text_that_is_read_in_another_way_now_says_so(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text(russian_text(4_000))
    saved = trained(path, out=tmp_path / "run")
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "another"))
    record = {**saved.corpus, "tokens": saved.corpus["tokens"] + 1}
    with pytest.raises(
        ConfigError, match=r"reads .*text\.txt in another way.*train the model again"
    ):
        training_part(replace(saved, info={**saved.info, "corpus": record}))
