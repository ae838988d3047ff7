"""Training on numbers: the lecture's loss, what it finds, what is chosen, how a run ends."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.small_runs import ROOT

import textgen
from textgen.cells import BUILT_IN
from textgen.errors import (
    ConfigError,
    CorpusError,
    EmptyCorpusError,
    RunFolderError,
    TrainingDivergedError,
)
from textgen.options import TrainOptions
from textgen.series import number_training
from textgen.series.number_events import NumbersEnded, NumbersReport, NumbersStarted
from textgen.series.number_file import given_series
from textgen.series.number_network import NumberNetwork, first_weights
from textgen.series.number_options import NumberOptions
from textgen.series.number_plan import plan_numbers
from textgen.series.number_shape import has_readout, number_config, weight_shapes
from textgen.series.scaling import choose_scaling
from textgen.settings import settings_of
from textgen.training.events import Event

FIBONACCI = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
LINEAR: dict[str, Any] = {"cell": "rnn", "nonlinearity": "identity"}
SINE = np.sin(2.0 * np.pi * np.arange(240) / 20)


def trained(folder: Path, series: Iterable[float], **settings: Any) -> textgen.NumbersResult:
    return textgen.train_numbers(series, out=folder / "run", force=True, **settings)


def choices(series: Iterable[float], **settings: Any) -> dict[str, tuple[Any, str]]:
    _, found = plan_numbers(given_series(series), NumberOptions(**settings), lambda plan: 0.5)
    return {choice.name: (choice.value, choice.reason) for choice in found}


# What the network computes, and its loss


def test_the_network_is_that_of_the_lecture() -> None:
    """F(x1, x2, x3) = f(x3 w + b + v f(x2 w + b + v f(x1 w + b)))"""
    network = NumberNetwork(
        number_config("rnn", "tanh", 1, 1),
        {
            "layers.0.weight_ih": np.array([[0.3]]),
            "layers.0.bias": np.array([-0.2]),
            "layers.0.weight_hh": np.array([[0.7]]),
        },
    )
    w, b, v, f = 0.3, -0.2, 0.7, math.tanh

    def by_hand(x1: float, x2: float, x3: float) -> float:
        return f(x3 * w + b + v * f(x2 * w + b + v * f(x1 * w + b)))

    windows = [(1.0, -2.0, 3.0), (-2.0, 3.0, 0.5)]
    with torch.no_grad():
        found = network.predict(torch.tensor(windows, dtype=torch.float64))
    assert found.tolist() == pytest.approx([by_hand(*window) for window in windows], abs=1e-15)


def test_the_loss_is_of_the_last_output_of_each_window(tmp_path: Path) -> None:
    """L = (F(a1,a2,a3) - a4)^2 + (F(a2,a3,a4) - a5)^2 + ..., here its mean, in own units."""
    series = [1.0, 3.0, 2.0, 5.0, 4.0, 6.0, 5.0]
    result = trained(tmp_path, series, **LINEAR, hidden_size=1, history=3, val=0.1, steps=1)
    model = result.load()
    w, b, v = (model.own_weights[name] for name in "wbv")
    squares = []
    for x1, x2, x3, answer in zip(*(series[k:] for k in range(4)), strict=False):
        F = x3 * w + b + v * (x2 * w + b + v * (x1 * w + b))
        squares.append((F - answer) ** 2)
    assert result.ended.val_rmse is None
    assert result.ended.train_rmse == pytest.approx(math.sqrt(np.mean(squares)), rel=1e-12)


@pytest.mark.parametrize("nonlinearity", ["identity", "relu", "tanh"])
def test_the_weights_told_are_those_in_the_units_of_the_series(
    tmp_path: Path, nonlinearity: str
) -> None:
    series = [10.0, 14.0, 13.0, 18.0, 16.0, 21.0, 20.0]
    settings = {"cell": "rnn", "nonlinearity": nonlinearity, "hidden_size": 1, "history": 2}
    model = trained(tmp_path, series, **settings, steps=5).load()
    w, b, v = (model.own_weights[name] for name in "wbv")
    f = {"identity": float, "relu": lambda a: max(a, 0.0), "tanh": math.tanh}[nonlinearity]
    F = f(20.0 * w + b + v * f(21.0 * w + b))
    if nonlinearity == "tanh":
        assert model.equation.startswith("F(x) = tanh(x w + b + v F(before)); the next number is ")
        F = F * model.scaling.divisor + model.scaling.shift
    assert model.next_numbers([21.0, 20.0], length=1) == [pytest.approx(F, rel=1e-12)]


def test_every_weight_has_a_gradient() -> None:
    for cell in BUILT_IN:
        config = number_config(cell, "tanh", 3, 2)
        drawn = np.random.default_rng(0)
        weights = {name: drawn.normal(size=size) for name, size in weight_shapes(config).items()}
        network = NumberNetwork(config, weights)
        network.predict(torch.rand(4, 3, dtype=torch.float64)).square().sum().backward()
        # A depth gate acts on the layer below, which the first layer lacks.
        unused = {"layers.0.weight_cd", "layers.0.weight_ld"} if cell == "depth-gated" else set()
        for name, own in network.tensors.items():
            assert own.grad is not None, (cell, name)
            assert name in unused or own.grad.abs().sum() > 0, (cell, name)


def test_only_the_plain_cell_of_one_unit_has_no_readout() -> None:
    for cell, units, layers in (("rnn", 2, 1), ("rnn", 1, 2), ("lstm", 1, 1), ("gru", 1, 1)):
        config = number_config(cell, "tanh", units, layers)
        assert has_readout(config) and "head.weight" in first_weights(config, 1)
    config = number_config("rnn", "tanh", 1, 1)
    assert not has_readout(config)
    assert set(first_weights(config, 1)) == {
        *("layers.0.weight_ih", "layers.0.weight_hh", "layers.0.bias")
    }


# What it finds


@pytest.mark.parametrize("rng", [1, 2, 3, 4])
def test_fibonacci(tmp_path: Path, rng: int) -> None:
    result = trained(tmp_path, FIBONACCI, **LINEAR, hidden_size=1, history=2, rng=rng)
    model = result.load()
    for name, right in {"w": 1.0, "b": 0.0, "v": 1.0}.items():
        assert model.own_weights[name] == pytest.approx(right, abs=1e-6)
    assert model.next_numbers(length=5) == pytest.approx([89, 144, 233, 377, 610], abs=1e-6)
    assert model.next_numbers("1,1,2,3,5", length=2) == pytest.approx([8, 13], abs=1e-6)
    assert result.ended.reason == "converged"
    assert result.ended.val_rmse is not None and result.ended.val_rmse < 1e-6
    assert result.ended.naive_val_rmse == pytest.approx(21.0)


def test_fibonacci_needs_no_numbers_of_units_and_history(tmp_path: Path) -> None:
    model = trained(tmp_path, FIBONACCI, **LINEAR).load()
    assert (model.config.hidden_size, model.history) == (1, 2)
    assert model.next_numbers(length=1) == pytest.approx([89], abs=1e-6)


def test_a_sine_goes_on_for_several_periods(tmp_path: Path) -> None:
    model = trained(tmp_path, SINE, cell="rnn", hidden_size=6, history=6, steps=150).load()
    after = np.arange(240, 240 + 80)
    assert np.abs(model.next_numbers(length=80) - np.sin(2 * np.pi * after / 20)).max() < 0.05


@pytest.mark.parametrize("cell", BUILT_IN)
def test_every_cell_does_better_than_the_naive_guess(tmp_path: Path, cell: str) -> None:
    result = trained(tmp_path, SINE[:80], cell=cell, hidden_size=3, history=4, steps=20)
    ended = result.ended
    assert ended.val_rmse is not None and ended.naive_val_rmse is not None
    assert ended.val_rmse < 0.5 * ended.naive_val_rmse
    assert result.load().config.num_layers == (2 if cell == "depth-gated" else 1)


def test_the_tides_are_predicted_better_than_by_the_naive_guess(tmp_path: Path) -> None:
    """On the end of the series, from which nothing was learned."""
    settings = {"cell": "rnn", "hidden_size": 4, "history": 4, "steps": 25}
    tides = ROOT / "corpora/tides.csv"
    result = textgen.train_numbers(tides, column="height", out=tmp_path / "tides", **settings)  # type: ignore[arg-type]
    ended = result.ended
    assert ended.val_numbers == 144
    assert ended.val_rmse is not None and ended.naive_val_rmse is not None
    assert ended.val_rmse < 0.3 * ended.naive_val_rmse


def test_adamw_learns_too(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"cell": "rnn", "hidden_size": 4, "history": 4}
    given: dict[str, Any] = {"epochs": 20, "batch_size": 32, "learning_rate": 0.02}
    result = trained(tmp_path, SINE, **settings, **given)
    ended = result.ended
    assert ended.steps == math.ceil(20 * (240 - 24 - 4) / 32)
    assert ended.val_rmse is not None and ended.naive_val_rmse is not None
    assert ended.val_rmse < 0.7 * ended.naive_val_rmse
    # The settings that are AdamW's act.
    plain = trained(tmp_path, SINE, **settings, **{**given, "epochs": 3}).load().weights
    for other in ({"weight_decay": 0.5}, {"clip_norm": 0.001}, {"learning_rate": 0.01}):
        changed = trained(tmp_path, SINE, **settings, **{**given, "epochs": 3, **other})
        weights = changed.load().weights
        assert any(not np.array_equal(plain[name], weights[name]) for name in plain), other


# What is chosen


def test_choices_of_a_short_series() -> None:
    found = choices(FIBONACCI, **LINEAR)
    value, reason = found["history"]
    assert value == 2 and reason.startswith("a fifth of a series of 10 numbers")
    assert found["validation"][0] == 1
    assert found["hidden_size"][0] == 1
    assert found["readout"][0] == "none"
    assert found["scaling"][0] == "x / 34"
    assert "not shifted" in found["scaling"][1]
    assert found["optimizer"][0] == "L-BFGS"
    assert found["steps"][0] == 200


def test_choices_of_a_long_series() -> None:
    series = 100.0 + 5.0 * np.tile(SINE, 12)
    found = choices(series)
    assert (found["history"][0], found["hidden_size"][0]) == (16, 16)
    assert found["optimizer"][0] == "AdamW" and "2,576 windows are many" in found["optimizer"][1]
    assert found["steps"][0] == 2000
    train = series[: 2880 - 288]
    assert found["scaling"][0] == f"(x - {train.mean():.6g}) / {train.std():.6g}"
    assert choices(SINE)["optimizer"][0] == "L-BFGS"
    assert choices(SINE, learning_rate=0.1)["optimizer"][0] == "AdamW"
    assert choices(SINE, cell="depth-gated")["num_layers"][0] == 2
    steps, reason = choices(SINE, budget=60.0)["steps"]
    assert steps == 120 and reason.startswith("about 60 s, at 500 ms a step on this machine")


def test_units_are_as_many_as_there_is_room_for() -> None:
    plan, _ = plan_numbers(given_series(SINE[:60]), NumberOptions(cell="gru"), lambda _: 1.0)
    windows = 60 - 6 - plan.history
    sizes = {
        units: sum(map(math.prod, weight_shapes(number_config("gru", "tanh", units, 1)).values()))
        for units in (plan.config.hidden_size, plan.config.hidden_size + 1)
    }
    assert list(np.array(list(sizes.values())) < windows) == [True, False]


def test_a_share_below_one_number_validates_nothing_and_says_so(tmp_path: Path) -> None:
    value, reason = choices(FIBONACCI[:6])["validation"]
    assert value == 0 and "0.1 of 6 numbers is less than one" in reason
    ended = trained(tmp_path, FIBONACCI[:6], **LINEAR, hidden_size=1, history=2).ended
    assert (ended.val_rmse, ended.naive_val_rmse, ended.val_numbers) == (None, None, 0)
    assert ended.train_rmse < 1e-6


def test_scaling() -> None:
    values = np.array([2.0, 4.0, 9.0])
    for readout, nonlinearity in ((True, "tanh"), (False, "tanh"), (False, "relu")):
        scaling = choose_scaling(values, readout=readout, nonlinearity=nonlinearity)
        scaled = scaling.apply(values)
        assert scaling.undo(scaled).tolist() == pytest.approx(values.tolist())
        if readout:
            assert (scaled.mean(), scaled.std()) == (pytest.approx(0), pytest.approx(1))
        elif nonlinearity == "tanh":
            assert (scaled.min(), scaled.max()) == (pytest.approx(-0.8), pytest.approx(0.8))
        else:
            assert (scaling.shift, scaled.max()) == (0.0, 1.0)
    same = choose_scaling(np.array([7.0, 7.0]), readout=True, nonlinearity="tanh")
    assert same.divisor == 7.0 and "equal" in same.reason
    zeros = choose_scaling(np.zeros(3), readout=False, nonlinearity="identity")
    assert zeros.divisor == 1.0
    with pytest.raises(CorpusError, match="too far"):
        choose_scaling(np.array([-1e300, 1e300]), readout=True, nonlinearity="tanh")


def test_a_series_of_equal_numbers_goes_on_with_them(tmp_path: Path) -> None:
    model = trained(tmp_path, [7.0] * 12, cell="lstm", hidden_size=2).load()
    assert model.next_numbers(length=3) == pytest.approx([7.0] * 3, abs=1e-6)


@pytest.mark.parametrize(
    ("series", "settings", "error", "message"),
    [
        ([], {}, EmptyCorpusError, "no number; a series of at least 2"),
        ([5], {}, EmptyCorpusError, "one number only"),
        (FIBONACCI, {"history": 10}, ConfigError, "10 numbers, of which 1 validate.*history=8"),
        (FIBONACCI[:3], {"history": 3}, ConfigError, "3 numbers: a window of 3 .*history=2"),
        (FIBONACCI, {"val": 0.9}, ConfigError, "leaves 1 of 10 numbers"),
        (FIBONACCI, {"val": "other.csv"}, ConfigError, "val is other.csv; .*val='0.1'"),
        (FIBONACCI, {"cell": "rnm"}, ConfigError, "cell 'rnm' is not known"),
        (FIBONACCI, {"nonlinearity": "relu"}, ConfigError, "no choice of nonlinearity"),
        (FIBONACCI, {"steps": 5, "epochs": 3}, ConfigError, "contradict"),
        (FIBONACCI, {"val": 1.5}, ConfigError, "a share must lie"),
        (FIBONACCI, {"tie": True}, ConfigError, "train_numbers has no setting 'tie'"),
        (FIBONACCI, {"column": "x"}, ConfigError, "column chooses a column of a file"),
    ],
)
def test_what_is_refused(
    tmp_path: Path,
    series: list[float],
    settings: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        trained(tmp_path, series, **settings)
    assert not (tmp_path / "run").exists()


# How a run goes


def test_a_budget_is_kept_about(tmp_path: Path) -> None:
    """It is turned into steps by measuring; the machine may be busy."""
    seen: list[Event] = []
    begun = time.perf_counter()
    trained(tmp_path, SINE, cell="gru", hidden_size=4, budget="1s", on_event=seen.append)
    started = next(event for event in seen if isinstance(event, NumbersStarted))
    assert started.steps > 5
    assert "--steps" not in started.command  # numbers that a program gave have no command
    assert time.perf_counter() - begun < 30


def test_settings_of_numbers_are_settings_of_train() -> None:
    """The command line reads them as those of `train`, so they have its names and defaults."""
    train = {item.name: item for item in settings_of(TrainOptions)}
    for item in settings_of(NumberOptions):
        own = train[item.name]
        assert (item.default, item.annotation, item.flag) == (own.default, own.annotation, own.flag)


def test_the_end_of_the_series_is_not_learned_from(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"hidden_size": 3, "history": 4, "steps": 6, "eval_every": 6}
    weights = trained(tmp_path, SINE[:80], **settings).load().weights
    changed = SINE[:80].copy()
    changed[72:] = 5.0
    same = trained(tmp_path, changed, **settings).load().weights
    assert all(np.array_equal(weights[name], same[name]) for name in weights)
    changed[71] = 5.0
    other = trained(tmp_path, changed, **settings).load().weights
    assert not all(np.array_equal(weights[name], other[name]) for name in weights)


def test_the_same_command_gives_the_same_model(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"hidden_size": 3, "history": 4, "steps": 8}
    first, again, other = (
        trained(tmp_path, SINE[:60], **settings, rng=rng).load().weights for rng in (1, 1, 2)
    )
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


def test_events_and_files(tmp_path: Path) -> None:
    events: list[Event] = []
    result = trained(
        tmp_path, SINE[:60], hidden_size=2, history=3, steps=9, eval_every=4, on_event=events.append
    )
    assert [type(event) for event in events] == [NumbersStarted, *[NumbersReport] * 3, NumbersEnded]
    reports = [event for event in events if isinstance(event, NumbersReport)]
    assert [report.step for report in reports] == [4, 8, 9]
    assert result.ended.best_step in (4, 8, 9)
    best = min(report.val_rmse for report in reports if report.val_rmse is not None)
    assert result.ended.val_rmse == pytest.approx(best)
    assert sorted(path.name for path in result.folder.iterdir()) == [
        *("metrics.jsonl", "model.safetensors")
    ]
    lines = (result.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [report.to_dict() for report in reports]


def test_a_run_that_is_stopped_keeps_its_best_model(tmp_path: Path) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 3

    result = trained(tmp_path, SINE[:60], hidden_size=2, history=3, steps=50, stop=stop)
    assert (result.ended.reason, result.ended.step) == ("stopped", 3)
    assert len(result.load().next_numbers(length=2)) == 2


def test_patience(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=60)
    settings: dict[str, Any] = {"hidden_size": 8, "history": 4, "steps": 200}
    ended = trained(tmp_path, noise, **settings, patience=3).ended
    assert ended.reason == "patience" and ended.step < 200
    assert ended.step - ended.best_step >= 3


def test_a_taken_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings: dict[str, Any] = {"hidden_size": 1, "history": 2, "steps": 2}
    textgen.train_numbers(FIBONACCI, out=folder, **settings)
    with pytest.raises(RunFolderError, match="already contains a run; replace it: force=True"):
        textgen.train_numbers(FIBONACCI, out=folder, **settings)
    # Of a run on text that is replaced, nothing is left that could be gone on with.
    for name in ("resume.safetensors", "loss.svg"):
        (folder / name).write_bytes(b"old")
    textgen.train_numbers(FIBONACCI, out=folder, force=True, **settings)
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.jsonl", "model.safetensors"]


def test_a_run_that_diverges_keeps_what_was_best_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = number_training._lbfgs

    def broken(network: Any, inputs: Any, targets: Any, plan: Any) -> Any:
        yield from real(network, inputs, targets, replace(plan, steps=5))
        network.load({name: own * math.nan for name, own in network.weights().items()})
        yield math.nan

    monkeypatch.setattr(number_training, "_lbfgs", broken)
    with pytest.raises(TrainingDivergedError, match=r"not finite after step 6: .* is in "):
        trained(tmp_path, SINE[:60], hidden_size=2, history=3, steps=50)
    assert len(textgen.load_numbers(tmp_path / "run").next_numbers(length=2)) == 2
