"""A model of numbers in its file, and the numbers that it writes."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import ROOT

import textgen
from textgen.checkpoint import SavedModel, read_file, write_file
from textgen.errors import (
    CheckpointCorruptError,
    CheckpointFormatError,
    SamplingError,
    StorageError,
)
from textgen.series.number_model import NumbersModel, holds_numbers
from textgen.series.number_shape import number_config
from textgen.series.scaling import Scaling

SHAPE = {"cell": "rnn", "nonlinearity": "tanh", "hidden_size": 1, "num_layers": 1}


def fibonacci() -> NumbersModel:
    """F(x) = x + F(before), of numbers that are divided by 10."""
    return NumbersModel(
        config=number_config("rnn", "identity", 1, 1),
        history=2,
        scaling=Scaling(0.0, 10.0, "made"),
        last=(34.0, 55.0),
        weights={
            "layers.0.weight_ih": np.array([[1.0]]),
            "layers.0.weight_hh": np.array([[1.0]]),
            "layers.0.bias": np.array([0.0]),
        },
        info={"metrics": {"val_rmse": 0.5, "naive_val_rmse": 21.0}},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    fibonacci().save(file)
    return file


def test_what_is_saved_comes_back(path: Path) -> None:
    model, made = textgen.load_numbers(path), fibonacci()
    for name in ("config", "history", "scaling", "last", "info"):
        assert getattr(model, name) == getattr(made, name)
    assert {name: own.tolist() for name, own in model.weights.items()} == {
        name: own.tolist() for name, own in made.weights.items()
    }
    assert model.path == path and model.parameters == 3
    assert model.own_weights == {"w": 1.0, "b": 0.0, "v": 1.0}
    assert model.summary == "rnn (identity) 1 x 1, numbers, history 2; RMSE 0.5, naive guess 21"
    assert "rnn (identity), 1 layer of 1 unit, history 2" in repr(model)
    assert textgen.load_numbers(model) is model
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert other.next_numbers(length=1) == [89.0]


@pytest.mark.parametrize(
    "seed", ["1,1,2,3,5", [3, 5], np.array([1.0, 2.0, 3.0, 5.0]), "3 5", (3.0, 5.0)], ids=repr
)
def test_the_next_numbers(seed: Any) -> None:
    assert fibonacci().next_numbers(seed, length=4) == pytest.approx([8, 13, 21, 34], abs=1e-12)


@pytest.mark.parametrize("seed", [None, "", " "])
def test_without_a_seed_the_series_goes_on(seed: str | None) -> None:
    assert fibonacci().next_numbers(seed, length=2) == pytest.approx([89, 144])
    assert len(fibonacci().next_numbers()) == 10
    assert fibonacci().next_numbers(length=0) == []


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ("5", "seed has 1 number, and this model reads 2 before each prediction"),
        ([], "seed has 0 numbers"),
        ([1.0, math.nan], "not finite"),
        (["a", "b"], "numbers are expected"),
        (5, "numbers are expected"),
        ("a,b", "'a' among"),
    ],
)
def test_seeds_that_are_refused(seed: Any, message: str) -> None:
    with pytest.raises(SamplingError, match=message):
        fibonacci().next_numbers(seed)


def test_lengths_that_are_refused() -> None:
    for wrong in (-1, 2.5, "3", True):
        with pytest.raises(SamplingError, match="length is"):
            fibonacci().next_numbers(length=wrong)  # type: ignore[arg-type]


def test_numbers_that_grow_without_bound_end_with_an_error() -> None:
    written: list[float] = []
    with pytest.raises(SamplingError, match=r"number 1471 is too large .*length=1470 ends before"):
        for number in fibonacci().stream([5, 8], length=3000):
            written.append(number)
    assert len(written) == 1470 and written[-1] > 1e307


def test_the_other_kind_is_refused(path: Path, tmp_path: Path) -> None:
    assert holds_numbers(path)
    with pytest.raises(CheckpointFormatError, match=r"a model of text is needed; .*load_numbers\("):
        textgen.load(path)
    with pytest.raises(CheckpointFormatError, match="a model of a series of numbers, but"):
        SavedModel.load_header(path)
    resume = tmp_path / "resume.safetensors"
    write_file(resume, kind="resume", header={}, tensors={})
    assert not holds_numbers(resume)
    with pytest.raises(CheckpointFormatError, match=r"numbers is needed; .*train_numbers\('num"):
        textgen.load_numbers(resume)
    with pytest.raises(StorageError):
        textgen.load_numbers(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history": 3}, "its history is 3"),
        ({"history": "2"}, "history is '2'; it must be a whole number"),
        ({"last": [1.0, None]}, "last.1 is None; it must be a finite number"),
        ({"last": [1.0, math.inf]}, "last.1 is inf; it must be a finite number"),
        ({"scaling": {"shift": 0.0, "divisor": 0.0}}, "not finite"),
        ({"scaling": {"shift": 0.0}}, "scaling.divisor is missing"),
        ({"shape": {**SHAPE, "cell": "gru"}}, "is float64 of shape"),
        ({"shape": {**SHAPE, "num_layers": 10**9}}, "shape.num_layers is 1000000000"),
        ({"shape": None}, "shape is None; it must be an object"),
        ({"info": {"metrics": {"val_rmse": []}}}, r"info.metrics.val_rmse is \[\]"),
    ],
)
def test_damaged_files(path: Path, change: dict[str, Any], message: str) -> None:
    header, tensors = read_file(path, kind="numbers")
    write_file(path, kind="numbers", header={**header, **change}, tensors=tensors)
    with pytest.raises(CheckpointCorruptError, match=message):
        textgen.load_numbers(path)


def test_a_cell_that_is_not_known(path: Path) -> None:
    header, tensors = read_file(path, kind="numbers")
    shape = {**header["shape"], "cell": "mine"}
    write_file(path, kind="numbers", header={**header, "shape": shape}, tensors=tensors)
    with pytest.raises(CheckpointFormatError, match="needs the cell 'mine'"):
        textgen.load_numbers(path)


def test_weights_that_are_not_finite_are_no_model() -> None:
    weights = fibonacci().weights | {"layers.0.bias": np.array([math.nan])}
    with pytest.raises(CheckpointCorruptError, match=r"layers\.0\.bias"):
        replace(fibonacci(), weights=weights)


def test_a_model_of_the_first_version_with_numbers_loads() -> None:
    """`old_files/numbers` is that of Fibonacci, trained by the command of lesson 1."""
    model = textgen.load_numbers(ROOT / "tests/old_files/numbers")
    assert model.next_numbers("1,1,2,3,5", length=3) == pytest.approx([8, 13, 21], abs=1e-6)
    assert model.info["series"]["numbers"] == 10
