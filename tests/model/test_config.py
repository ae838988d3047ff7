"""The shape of a model: what it allocates, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.models import REFERENCE

from textgen.errors import CheckpointCorruptError, ConfigError
from textgen.model.config import ModelConfig
from textgen.model.torch_network import LanguageModel


def config(**settings: Any) -> ModelConfig:
    return ModelConfig(**{"vocab_size": 7, "embedding_size": 3, "hidden_size": 5} | settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_layers": 3},
        {"tie": True, "embedding_size": 5},
        {"cell": "gru", "num_layers": 2},
        {"cell": "rnn", "nonlinearity": "relu"},
    ],
    ids=["one-layer", "three-layers", "tied", "gru", "rnn"],
)
def test_shapes_are_those_of_the_module(settings: dict) -> None:
    shape = config(**settings)
    model = LanguageModel(shape, REFERENCE)
    parameters = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert parameters == shape.tensor_shapes()
    assert list(parameters) == list(shape.tensor_shapes())
    assert shape.num_parameters() == sum(p.numel() for p in model.parameters())


def test_shapes_of_two_layers() -> None:
    assert config(num_layers=2).tensor_shapes() == {
        "embedding.weight": (7, 3),
        "layers.0.weight_ih": (20, 3),
        "layers.0.weight_hh": (20, 5),
        "layers.0.bias": (20,),
        "layers.1.weight_ih": (20, 5),
        "layers.1.weight_hh": (20, 5),
        "layers.1.bias": (20,),
        "head.weight": (7, 5),
        "head.bias": (7,),
    }


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("gru", {"weight_ih": (15, 3), "weight_hh": (15, 5), "bias": (15,), "bias_hn": (5,)}),
        ("rnn", {"weight_ih": (5, 3), "weight_hh": (5, 5), "bias": (5,)}),
        ("coupled", {"weight_ih": (15, 3), "weight_hh": (15, 5), "bias": (15,)}),
        (
            "peephole",
            {
                "weight_ih": (20, 3),
                "weight_hh": (20, 5),
                "bias": (20,),
                **{f"weight_{name}": (5,) for name in ("ci", "cf", "co")},
            },
        ),
        (
            "mlstm",
            {"weight_ih": (25, 3), "weight_mh": (5, 5), "weight_hm": (20, 5), "bias": (25,)},
        ),
        (
            "depth-gated",
            {
                "weight_ih": (25, 3),
                "weight_hh": (20, 5),
                "bias": (25,),
                **{f"weight_{name}": (5,) for name in ("ci", "cf", "co", "cd", "ld")},
            },
        ),
    ],
)
def test_a_layers_tensors_follow_from_what_its_cell_declares(cell: str, expected: dict) -> None:
    shapes = config(cell=cell).tensor_shapes()
    layer = {name.removeprefix("layers.0."): shape for name, shape in shapes.items()}
    assert list(layer.items())[1:-2] == list(expected.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 0}, "hidden_size is 0; it must be a positive whole number"),
        ({"vocab_size": -1}, "vocab_size is -1"),
        ({"num_layers": 1.5}, "num_layers is 1.5"),
        ({"embedding_size": True}, "embedding_size is True"),
        ({"dropout": 1.0}, r"dropout is 1.0; it must lie in \[0, 1\)"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"dropout": False}, "dropout is False"),
        ({"tie": "no"}, "tie is 'no'; it must be true or false"),
        ({"tie": 0}, "tie is 0"),
        ({"residual": 1}, "residual is 1; it must be true or false"),
        ({"residual": True}, "this model has one; give it more"),
        ({"tie": True}, r"embedding_size \(3\) equal to hidden_size \(5\)"),
        ({"cell": "elman"}, "cell 'elman' is not known"),
        ({"nonlinearity": "relu"}, "cell 'lstm' has no choice of nonlinearity, but 'relu'"),
        ({"cell": "rnn", "nonlinearity": "gelu"}, "nonlinearity 'gelu' is not known"),
    ],
)
def test_impossible_shapes_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**settings)


def test_round_trip_through_json() -> None:
    shape = config(num_layers=2, dropout=0.25, tie=True, embedding_size=5)
    assert ModelConfig.from_dict(json.loads(json.dumps(shape.to_dict()))) == shape


def test_files_from_before_there_was_a_choice_of_nonlinearity_are_read() -> None:
    data = config().to_dict()
    assert data.pop("nonlinearity") == "tanh"
    assert ModelConfig.from_dict(data) == config()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({**config().to_dict(), "heads": 8}, "heads is not known"),
        ({"vocab_size": 7, "hidden_size": 5}, "embedding_size is missing"),
        (
            {**config().to_dict(), "dropout": "much"},
            "dropout is 'much'; it must be a finite number",
        ),
        ({**config().to_dict(), "num_layers": 2**32}, "num_layers is 4294967296; .* at most 100"),
    ],
)
def test_foreign_data_is_refused(data: dict, message: str) -> None:
    with pytest.raises(CheckpointCorruptError, match=message):
        ModelConfig.from_dict(data)
