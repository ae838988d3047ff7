"""What a person may ask for: wrong values and contradictions are refused with their name."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from textgen.cli.parameters import at_prompt
from textgen.corpus.corpus_options import CorpusOptions
from textgen.errors import ConfigError
from textgen.options import TrainOptions

WHOLE = (
    "hidden_size",
    "num_layers",
    "embedding_size",
    "seq_len",
    "batch_size",
    "history",
    "steps",
    "eval_every",
    "save_every",
)
POSITIVE = ("budget", "epochs", "learning_rate", "clip_norm")


@pytest.mark.parametrize("name", WHOLE)
def test_sizes_start_at_one(name: str) -> None:
    assert getattr(TrainOptions(**{name: 1}), name) == 1
    for value in (0, -3):
        with pytest.raises(ConfigError, match=f"{name} is {value}; it must be at least 1"):
            TrainOptions(**{name: value})


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_amounts_are_above_zero_and_finite(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must be .*above 0"):
        TrainOptions(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dropout", -0.1),
        ("dropout", 1.0),
        ("dropout", math.nan),
        ("weight_decay", -0.1),
        ("weight_decay", math.nan),
        ("weight_decay", math.inf),
        ("patience", -1),
        ("rng", -1),
        ("rng", 2**31),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must"):
        TrainOptions(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("dropout", 0.0), ("weight_decay", 0.0), ("patience", 0), ("rng", 0), ("rng", 2**31 - 1)],
)
def test_the_ends_of_the_ranges_are_allowed(name: str, value: Any) -> None:
    assert getattr(TrainOptions(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 60.0, "steps": 5}, "^budget and steps contradict each other"),
        ({"budget": 60.0, "epochs": 1.0}, "^budget and epochs contradict each other"),
        ({"epochs": 1.0, "steps": 5}, "^epochs and steps contradict each other"),
        ({"history": 5, "seq_len": 5}, "leave seq_len out"),
    ],
)
def test_contradictions_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainOptions(**settings)


def test_everything_may_be_left_open() -> None:
    options = TrainOptions()
    chosen = ("hidden_size", "dropout", "learning_rate", "seq_len", "batch_size", "steps", "budget")
    assert all(getattr(options, name) is None for name in chosen)


def test_round_trip_through_json() -> None:
    options = TrainOptions(
        corpus=CorpusOptions(level="word", fold=True), epochs=2.5, dropout=0.1, val="val.txt"
    )
    data = json.loads(json.dumps(options.to_dict()))
    assert TrainOptions(**{**data, "corpus": CorpusOptions(**data["corpus"])}) == options


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("cell", "LSTM", "lstm"),
        ("cell", "Depth-Gated", "depth-gated"),
        ("nonlinearity", "ReLU", "relu"),
        ("precision", "FP32", "fp32"),
        ("device", "CPU", "cpu"),
        ("val", "10%", "0.1"),
        ("val", "2.5 %", "0.025"),
        ("val", 0.2, "0.2"),
        ("val", "50%.txt", "50%.txt"),
    ],
)
def test_what_is_meant_is_understood(name: str, typed: Any, meant: str) -> None:
    assert getattr(TrainOptions(**{name: typed}), name) == meant


@pytest.mark.parametrize(
    ("val", "said"),
    [
        ("10", r"val is 10; .*like 0\.1 or 10%; a file of that name is \./10"),
        ("0", r"val is 0; "),
        ("95%", r"val is 0\.95; "),
        ("nan", r"val is nan; .*like 0\.1 or 10%"),
    ],
)
def test_a_share_that_is_none_is_refused_at_once(val: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TrainOptions(val=val)


def test_an_error_names_the_field_in_python_and_the_flag_at_the_prompt() -> None:
    for name, flag, value in (
        ("hidden_size", "--hidden", 0),
        ("num_layers", "--layers", 0),
        ("embedding_size", "--embedding", 0),
        ("clip_norm", "--clip", -1.0),
        ("batch_size", "--batch-size", 0),
        ("threads", "--threads", 0),
    ):
        with pytest.raises(ConfigError) as caught:
            TrainOptions(**{name: value})
        assert str(caught.value).startswith(f"{name} is {value}; ")
        assert caught.value.told(at_prompt).startswith(f"{flag} is {value}; ")
    with pytest.raises(ConfigError) as caught:
        TrainOptions(loss="distance", freeze_embedding=False)
    assert str(caught.value).endswith("leave freeze_embedding=False out")
    assert caught.value.told(at_prompt).endswith("leave --train-embedding out")
