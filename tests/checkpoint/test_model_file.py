"""A model comes back as it was saved, and one that contradicts itself is neither saved nor read."""

from __future__ import annotations

import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textgen.checkpoint import ModelHeader, SavedModel, read_file, write_file
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import CheckpointCorruptError, CheckpointFormatError, StorageError
from textgen.model.config import ModelConfig
from textgen.model.label_vectors import LABEL_INPUT
from textgen.model.numpy_network import NumpyNetwork

VOCABULARIES = {
    "char": Vocabulary.from_characters("абвё \n\U0001f600"),
    "byte": Vocabulary.utf8(),
    "word": Vocabulary.from_words("абв ", {" аб": 3, " бв": 2}),
    "folded": Vocabulary.from_words("абв ", {" аб": 3}, folded=True),
}


def make_model(level: str = "char", *, tie: bool = False, layers: int = 2) -> SavedModel:
    vocabulary = VOCABULARIES[level]
    config = ModelConfig(
        vocab_size=len(vocabulary),
        embedding_size=6 if tie else 4,
        hidden_size=6,
        num_layers=layers,
        dropout=0.25,
        tie=tie,
    )
    rng = np.random.default_rng(1)
    weights = {
        name: rng.standard_normal(shape, np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    return SavedModel(
        config=config,
        vocabulary=vocabulary,
        normalization=Normalization(fold=level == "folded"),
        weights=weights,
        primer=(2, 3, 2),
        info={
            "corpus": {
                "files": [{"path": "война.txt", "bytes": 9}, {"path": "\udcff", "bytes": 0}],
                "sha256": "a sum",
                "tokens": 7,
            },
            "choices": [{"name": "device", "value": "cpu", "reason": "asked for"}],
            "something": {"of a": "newer version"},
        },
    )


@pytest.mark.parametrize("level", VOCABULARIES)
@pytest.mark.parametrize("tie", [False, True])
def test_a_model_comes_back(tmp_path: Path, level: str, tie: bool) -> None:
    path = tmp_path / "model.safetensors"
    model = make_model(level, tie=tie)
    model.save(path)
    loaded = SavedModel.load(path)
    header = SavedModel.load_header(path)
    for found in (loaded, header):
        assert found.config == model.config
        assert found.vocabulary == model.vocabulary
        assert found.normalization == model.normalization
        assert found.primer == model.primer and isinstance(found.primer, tuple)
        assert found.info == model.info
    assert type(header) is ModelHeader and not hasattr(header, "weights")
    assert set(loaded.weights) == set(model.weights)
    for name, array in model.weights.items():
        assert loaded.weights[name].tobytes() == array.tobytes()
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_model_takes_its_memory_once(tmp_path: Path) -> None:
    model = make_model()
    config = replace(model.config, hidden_size=256)
    weights = {name: np.ones(shape, np.float32) for name, shape in config.tensor_shapes().items()}
    size = sum(array.nbytes for array in weights.values())
    replace(model, config=config, weights=weights).save(tmp_path / "model")
    tracemalloc.start()
    try:
        SavedModel.load(tmp_path / "model")
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Whether a number of four bytes is finite is said in one; the last MiB is for odds and ends.
    assert size > 2 * 2**20 and taken < size + size // 4 + 2**20


def test_the_loaded_network_computes_the_same(tmp_path: Path) -> None:
    model = make_model()
    model.save(tmp_path / "model")
    network = SavedModel.load(tmp_path / "model").network()
    assert isinstance(network, NumpyNetwork)
    expected = NumpyNetwork(model.config, model.weights)
    ids = np.array([2, 5])
    logits, state = network.step(ids, network.zero_state(2))
    expected_logits, expected_state = expected.step(ids, expected.zero_state(2))
    np.testing.assert_array_equal(logits, expected_logits)
    np.testing.assert_array_equal(state[1]["c"], expected_state[1]["c"])


def test_the_defaults_mean_no_primer_and_no_information(tmp_path: Path) -> None:
    model = make_model()
    bare = SavedModel(
        config=model.config,
        vocabulary=model.vocabulary,
        normalization=model.normalization,
        weights=model.weights,
    )
    bare.save(tmp_path / "model")
    loaded = SavedModel.load(tmp_path / "model")
    assert loaded.primer == () and loaded.info == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    model = make_model()
    path = tmp_path / "model"
    poisoned = {name: array.copy() for name, array in model.weights.items()}
    poisoned["head.bias"][3] = value
    with pytest.raises(CheckpointCorruptError, match=r"'head\.bias' holds numbers that are not"):
        replace(model, weights=poisoned)
    model.save(path)
    header, _ = read_file(path, kind="model")
    write_file(path, kind="model", header=header, tensors=poisoned)
    with pytest.raises(CheckpointCorruptError, match=r"model is damaged: tensor 'head\.bias'"):
        SavedModel.load(path)


def change(name: str, array: Any) -> dict[str, Any]:
    weights: dict[str, Any] = dict(make_model().weights)
    if array is None:
        del weights[name]
    else:
        weights[name] = array
    return weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (change("head.bias", None), r"'head\.bias' is missing"),
        (change("extra", np.zeros(1, np.float32)), "'extra' belongs to nothing"),
        (
            change("head.bias", np.zeros(8, np.float32)),
            r"shape \(8,\), not float32 or float16 of \(9,\)",
        ),
        (change("head.bias", np.zeros((1, 9), np.float32)), r"shape \(1, 9\)"),
        (change("head.bias", np.zeros(9)), r"'head\.bias' is float64"),
        (change("head.bias", np.zeros(9, np.int32)), r"'head\.bias' is int32"),
    ],
)
def test_weights_that_do_not_fit_the_settings(
    tmp_path: Path, weights: dict[str, Any], message: str
) -> None:
    model = make_model()
    with pytest.raises(CheckpointCorruptError, match=message):
        replace(model, weights=weights)
    path = tmp_path / "model"
    model.save(path)
    header, _ = read_file(path, kind="model")
    write_file(path, kind="model", header=header, tensors=weights)
    for load in (SavedModel.load, SavedModel.load_header):
        with pytest.raises(CheckpointCorruptError, match=message) as caught:
            load(path)
        assert str(path) in str(caught.value)


def test_a_tied_model_has_no_second_output_weight(tmp_path: Path) -> None:
    model = make_model(tie=True)
    assert "head.weight" not in model.weights
    with pytest.raises(CheckpointCorruptError, match=r"head\.weight.*belongs to nothing"):
        replace(model, weights={**model.weights, "head.weight": np.zeros((9, 6), np.float32)})


def test_parts_that_contradict_each_other() -> None:
    model = make_model()
    with pytest.raises(CheckpointCorruptError, match="vocabulary has 245 symbols, the model 9"):
        replace(model, vocabulary=Vocabulary.utf8())
    for primer in ((9,), (-1,), (True,), (2.0,), ("2",)):
        with pytest.raises(CheckpointCorruptError, match="the primer holds"):
            replace(model, primer=primer)


def write_with(path: Path, **changes: Any) -> None:
    """A sound file but for parts of its header; `None` leaves one out."""
    model = make_model()
    model.save(path)
    header, tensors = read_file(path, kind="model")
    for name, value in changes.items():
        header[name] = value
        if value is None:
            del header[name]
    write_file(path, kind="model", header=header, tensors=tensors)


CONFIG = make_model().config.to_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": None}, "config is missing"),
        ({"extra": 1}, "extra is not known to this version"),
        ({"config": [1]}, r"config is \[1\]; it must be an object"),
        ({"config": {**CONFIG, "hidden_size": 2**40}}, "is float32 of shape"),
        (
            {"config": {**CONFIG, "num_layers": 2**32}},
            "config.num_layers is 4294967296; it must be",
        ),
        ({"config": {**CONFIG, "vocab_size": 10**4000}}, "config.vocab_size is 10000"),
        ({"config": {**CONFIG, "vocab_size": "9"}}, "config.vocab_size is '9'; it must be a whole"),
        ({"config": {**CONFIG, "vocab_size": True}}, "config.vocab_size is True"),
        ({"config": {**CONFIG, "hidden_size": -6}}, "config.*hidden_size is -6"),
        ({"config": {**CONFIG, "dropout": "much"}}, "config.dropout is 'much'"),
        ({"config": {**CONFIG, "dropout": float("nan")}}, "config.dropout is nan"),
        ({"config": {**CONFIG, "dropout": False}}, "config.dropout is False"),
        ({"config": {**CONFIG, "tie": "no"}}, "config.tie is 'no'"),
        ({"config": {**CONFIG, "tie": 0}}, "config.tie is 0; it must be true or false"),
        ({"config": {**CONFIG, "cell": ["lstm"]}}, "config.cell is"),
        ({"config": {**CONFIG, "new_setting": 1}}, "config.new_setting is not known"),
        ({"config": {"vocab_size": 9}}, "config.embedding_size is missing"),
        ({"vocabulary": {"level": "byte"}}, "vocabulary has 245 symbols, the model 9"),
        ({"vocabulary": {"level": "char", "symbols": ["ab"]}}, "vocabulary: symbol 'ab' is not"),
        ({"vocabulary": {"level": "char", "symbols": ["a", "a"]}}, "vocabulary: .* twice"),
        ({"vocabulary": {"level": "char", "symbols": [1]}}, "vocabulary: "),
        ({"vocabulary": {"level": ["char"]}}, "vocabulary: "),
        ({"vocabulary": 7}, "vocabulary is 7; it must be an object"),
        ({"normalization": 7}, "normalization is 7; it must be an object"),
        ({"normalization": {"nfc": True}}, "normalization: .* missing: fold, newlines"),
        ({"normalization": ["newlines", "nfc", "fold"]}, "normalization is .* must be an object"),
        (
            {"normalization": {"newlines": 1, "nfc": True, "fold": False}},
            "normalization: newlines is 1",
        ),
        ({"primer": 7}, "primer is 7; it must be a list"),
        ({"primer": [9]}, "the primer holds 9"),
        ({"primer": [True]}, "primer.0 is True"),
        ({"primer": "ab"}, "primer is 'ab'; it must be a list"),
        ({"primer": {"2": 3}}, "primer is .*; it must be a list"),
        ({"info": []}, r"info is \[\]; it must be an object"),
        ({"info": {"history": 0}}, "info.history is 0"),
        ({"info": {"history": 10**30}}, "info.history is 10"),
        ({"info": {"history": 2**20 + 1}}, "info.history is 1048577; .* at most 1048576"),
        ({"info": {"metrics": {"step": "1"}}}, "info.metrics.step is '1'; it must be a whole"),
        ({"info": {"choices": [{"name": "a", "value": 1}]}}, "info.choices.0.reason is missing"),
    ],
)
def test_headers_that_cannot_be_right(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "model.safetensors"
    write_with(path, **changes)
    for load in (SavedModel.load, SavedModel.load_header):
        with pytest.raises(CheckpointCorruptError, match=message) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path} is damaged")
        assert len(str(caught.value)) < len(str(path)) + 600


def test_a_cell_of_the_future_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_with(path, config={**CONFIG, "cell": "cell-of-the-future"})
    with pytest.raises(CheckpointFormatError, match="install a newer textgen") as caught:
        SavedModel.load(path)
    assert str(caught.value).startswith(f"{path} needs the cell 'cell-of-the-future'")


def test_a_state_of_a_run_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "resume.safetensors"
    write_file(path, kind="resume", header={}, tensors={})
    with pytest.raises(CheckpointFormatError, match="a model of text is needed"):
        SavedModel.load(path)


def test_a_failed_save_leaves_the_old_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = make_model()
    model.save(path)
    with pytest.raises(TypeError):
        replace(model, info={"not": object()}).save(path)
    assert SavedModel.load(path).info == model.info and os.listdir(tmp_path) == [path.name]
    with pytest.raises(StorageError, match="cannot write"):
        model.save(tmp_path / "missing" / "model.safetensors")


def test_a_header_that_tells_nothing_of_its_texts() -> None:
    model = replace(make_model(), info={})
    assert not model.reads_pairs and not model.writes_documents
    assert model.documents is None and model.document_separator == "\n\n"
    assert model.history is None and model.bits_per_char is None
    assert model.corpus is None and model.trained_on == ""
    options = model.corpus_options()
    assert (options.level, options.documents) == ("char", None)


@pytest.mark.parametrize(
    ("documents", "pairs", "several"),
    [
        (0, False, False),
        (1, False, False),
        (2, False, True),
        (2, True, False),
        (None, False, False),
    ],
)
def test_a_model_of_several_documents_knows_where_a_text_ends(
    documents: int | None, pairs: bool, several: bool
) -> None:
    """One of pairs ends a target, which is no document."""
    corpus: dict[str, Any] = {"files": [], "sha256": "a sum", "tokens": 7}
    if documents is not None:
        corpus["documents"] = documents
    model = replace(make_model(), info={"corpus": corpus, "pairs": pairs})
    assert (model.writes_documents, model.reads_pairs) == (several, pairs)


def test_what_a_header_tells_of_its_texts() -> None:
    options = {"documents": "separator:***"}
    corpus = {"files": [], "sha256": "a sum", "tokens": 7, "options": options}
    info = {"corpus": corpus, "history": 12, "metrics": {"val_bits_per_char": 1.75}}
    model = replace(make_model("folded"), info=info)
    assert model.documents == "separator:***" and model.document_separator == "\n***\n"
    assert (model.history, model.bits_per_char) == (12, 1.75)
    # As in training, but for what is given.
    read = model.corpus_options()
    assert (read.level, read.fold, read.documents) == ("word", True, "separator:***")
    assert model.corpus_options(documents=None) == read
    given = model.corpus_options(documents="line", encoding="cp1251")
    assert (given.documents, given.encoding, given.fold) == ("line", "cp1251", True)
    # What stood between documents is told where it was not as usual.
    told = replace(model, info={**info, "corpus": {**corpus, "separator": "\n\n***\n\n"}})
    assert told.document_separator == "\n\n***\n\n"


@pytest.mark.parametrize(
    ("way", "again"), [("column", "column"), ("tag", "tag"), ("folder", None), ("file", None)]
)
def test_labels_in_a_text_begin_its_documents_as_in_training(way: str, again: str | None) -> None:
    """Where a file lies says nothing of that."""
    options = {"documents": None, "label_from": way}
    corpus = {"files": [], "sha256": "a sum", "tokens": 7, "options": options}
    model = replace(make_model(), info={"corpus": corpus})
    for read in (model.corpus_options(), model.corpus_options(documents=None)):
        assert (read.documents, read.label_from) == (None, again)
    given = model.corpus_options(documents="line")
    assert (given.documents, given.label_from) == ("line", None)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["a/one.txt"], "one.txt"),
        (["a/one.txt", "two.txt"], "one.txt, two.txt"),
        (["one", "two", "three"], "one, two, three"),
        (["one", "two", "three", "four"], "one, two and 2 more"),
    ],
)
def test_the_first_texts_are_named(names: list[str], said: str) -> None:
    corpus = {"files": [{"path": name, "bytes": 1} for name in names], "sha256": "", "tokens": 7}
    assert replace(make_model(), info={"corpus": corpus}).trained_on == said


@pytest.mark.parametrize("token", [0, 8])
def test_a_primer_holds_any_id_of_the_vocabulary(token: int) -> None:
    assert replace(make_model(), primer=(token,)).primer == (token,)


def test_half_the_space_is_asked_for(tmp_path: Path) -> None:
    model = make_model()
    for half, dtype in ((False, "float32"), (True, "float16")):
        model.save(tmp_path / "model", half=half)
        _, tensors = read_file(tmp_path / "model", kind="model")
        assert {array.dtype.name for array in tensors.values()} == {dtype}
        loaded = SavedModel.load(tmp_path / "model")
        assert {array.dtype.name for array in loaded.weights.values()} == {"float32"}
    model.save(tmp_path / "model")
    _, tensors = read_file(tmp_path / "model", kind="model")
    assert {array.dtype.name for array in tensors.values()} == {"float32"}


def test_the_longest_history_is_read(tmp_path: Path) -> None:
    replace(make_model(), info={"history": 2**20}).save(tmp_path / "model")
    assert SavedModel.load(tmp_path / "model").history == 2**20


def with_labels() -> SavedModel:
    model = make_model()
    config = replace(model.config, labels=("a", "b"))
    shape = config.tensor_shapes()["labels.weight"]
    vectors = np.random.default_rng(2).standard_normal(shape, np.float32)
    return replace(model, config=config, weights={**model.weights, "labels.weight": vectors})


def test_a_model_under_its_labels_is_one_without_labels() -> None:
    """The labels are a part of a bias then; all else stays as it is."""
    model = with_labels()
    before = {name: array.copy() for name, array in model.weights.items()}
    first, second = model.weights["labels.weight"]
    for shares, moved in (
        ({}, np.zeros_like(first)),
        ({"b": 1.0}, second),
        ({"a": 0.5, "b": -0.25}, 0.5 * first - 0.25 * second),
    ):
        mixed = model.labelled(shares)
        assert mixed.config == make_model().config and mixed.info == model.info
        bias = model.weights["layers.0.bias"] + LABEL_INPUT * moved
        np.testing.assert_allclose(mixed.weights["layers.0.bias"], bias, rtol=1e-5, atol=1e-5)
        for name in mixed.weights.keys() - {"layers.0.bias"}:
            np.testing.assert_array_equal(mixed.weights[name], model.weights[name])
    for name, array in before.items():
        np.testing.assert_array_equal(model.weights[name], array)
    plain = make_model()
    assert plain.labelled({}) is plain


def test_earlier_versions_read_a_model_without_labels(tmp_path: Path) -> None:
    """Its file has format 1; that of a model with labels has 2, which they refuse in words."""
    path = tmp_path / "model"
    for model, version in ((make_model(), 1), (with_labels(), 2)):
        model.save(path)
        data = path.read_bytes()
        description = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        _, _, body = description["__metadata__"]["textgen"].partition(" ")
        assert json.loads(body)["format_version"] == version
        assert SavedModel.load(path).config == model.config
