"""The whole search: its report in every form, its options, its refusals, what is kept of it."""

from __future__ import annotations

import builtins
import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.planted import SWITCHED, late_cue_texts, switched_text

from textgen.checkpoint import SavedModel
from textgen.cli.inspect.common import npz_bytes
from textgen.errors import BackendError, ConfigError, InspectionError
from textgen.inspection.trace import trace
from textgen.probing import (
    FindOptions,
    FindReport,
    LabelledTexts,
    PositionTask,
    direction_target,
    find,
    neuron_target,
    regex_property,
)
from textgen.progress import Task, listening
from textgen.steering.target import load_target, save_target


def position_task(model: SavedModel) -> PositionTask:
    return PositionTask(
        ids=model.vocabulary.encode(switched_text(30_000, seed=6)),
        holds=regex_property(SWITCHED),
        name="on",
        source="made up",
    )


def text_task(count: int = 200) -> LabelledTexts:
    texts, labels = late_cue_texts(count, seed=2)
    return LabelledTexts(
        texts=tuple(texts), labels=tuple(labels), positive="on", negative="off", source="made up"
    )


def options(**given: Any) -> FindOptions:
    return FindOptions(**{"positions": 1000, "threads": 1, **given})


@pytest.fixture(scope="module")
def report(switched_model: SavedModel) -> FindReport:
    return find(switched_model, text_task(), options(protocol="final", direction="probe"))


def test_the_json_has_the_shape_that_is_promised(report: FindReport) -> None:
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert list(record)[:3] == ["neurons", "probe", "controls"]
    neuron = record["neurons"][0]
    promised = ("layer", "unit", "quantity", "sign", "threshold", "auc", "accuracy", "p_value")
    assert tuple(neuron)[:8] == promised
    aucs = [neuron["auc"] for neuron in record["neurons"]]
    assert aucs == sorted(aucs, reverse=True)
    assert sum(neuron["chosen"] for neuron in record["neurons"]) == 1
    assert all(neuron["p_corrected"] <= record["alpha"] for neuron in record["neurons"])
    data = record["data"]
    assert data["counts"]["held_out"]["positive"] + data["counts"]["held_out"]["negative"] == 60
    assert data["chance"]["accuracy"] == 0.5
    assert data["protocol"] == "final"
    assert len(record["probe"]["weights"]) == record["probe"]["nonzero"] <= 48


def test_the_table_has_every_unit(report: FindReport) -> None:
    rows = list(csv.DictReader(io.StringIO(report.table().to_csv())))
    assert len(rows) == 48
    found = [row["found"] == "True" for row in rows]
    assert found == sorted(found, reverse=True)
    assert sum(found) == len(report.neurons)
    assert float(rows[0]["auc"]) == report.neurons[0].auc


def test_the_arrays_have_every_unit(report: FindReport) -> None:
    arrays = np.load(io.BytesIO(npz_bytes(report)), allow_pickle=False)
    chosen = report.chosen
    assert arrays["auc"].shape == (1, 48)
    assert arrays["auc"][chosen.layer, chosen.unit] == chosen.auc
    assert arrays["threshold"][chosen.layer, chosen.unit] == chosen.threshold
    assert arrays["direction_read"].shape == (48,)


def test_the_threshold_is_in_units_of_the_quantity(
    report: FindReport, switched_model: SavedModel
) -> None:
    """A value of the trace beyond it, in the direction of the sign, says positive."""
    task, chosen = text_task(), report.chosen
    right = 0
    for text, label in zip(task.texts, task.labels, strict=True):
        ids = switched_model.vocabulary.encode(text)
        value = trace(switched_model.network(), ids).values(chosen.layer, chosen.unit, "cell")[-1]
        right += ((value - chosen.threshold) * chosen.sign > 0) == label
    assert right / len(task.texts) == pytest.approx(chosen.accuracy, abs=0.05)


def test_the_seed_decides(switched_model: SavedModel, report: FindReport) -> None:
    again = find(switched_model, text_task(), options(protocol="final", direction="probe"))
    assert again.to_json() == report.to_json()
    other = find(switched_model, text_task(), options(protocol="final", rng=1))
    assert other.to_json()["controls"] != report.to_json()["controls"]


def test_progress_is_told(switched_model: SavedModel) -> None:
    ended: list[Task] = []

    class Listening:
        def began(self, task: Task) -> None: ...

        def moved(self, task: Task) -> None: ...

        def ended(self, task: Task) -> None:
            ended.append(task)

    with listening(Listening()):
        find(switched_model, position_task(switched_model), options())
    phases = [task.what for task in ended]
    assert {"choosing neurons", "fitting the probe", "n-grams", "ablation"} <= set(phases)
    reading = ended[phases.index("reading the texts")]
    assert 0 < reading.done == reading.total


def test_options_out_of_range() -> None:
    for given, message in (
        ({"protocol": "last"}, "must be one of mean, final"),
        ({"held_out": 1.0}, "held_out is 1.0"),
        ({"direction": "up"}, "must be one of probe, difference"),
        ({"texts_limit": 0}, "texts_limit is 0"),
        ({"rng": -1}, "rng is -1"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"positions": 5}, "positions is 5"),
    ):
        with pytest.raises(ConfigError, match=message):
            FindOptions(**given)  # type: ignore[arg-type]


def test_a_gate_is_refused(switched_model: SavedModel) -> None:
    choices = r"quantity='cell' or quantity='hidden' or quantity='latent'$"
    for name in ("forget-gate", "reset-gate"):
        with pytest.raises(InspectionError, match=rf"'{name}' is no state .* choose {choices}"):
            find(switched_model, text_task(), options(quantity=name))


def test_without_scikit_learn_the_error_says_what_to_type(
    switched_model: SavedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] == "sklearn":
            raise ImportError(name)
        return whole(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BackendError, match=r'pip install "\.\[probe\]"'):
        find(switched_model, text_task(), options())


def test_a_neuron_can_be_kept(report: FindReport, tmp_path: Path) -> None:
    """With the sign that makes a positive dose go towards the positive kind."""
    model = tmp_path / "model.safetensors"
    save_target(model, neuron_target(report, "cue", model="abc"))
    target = load_target(model, "cue")
    chosen = report.chosen
    assert (target.layer, target.unit, target.state) == (0, chosen.unit, "c")
    assert (target.mean, target.sd, target.sign) == (chosen.mean, chosen.sd, chosen.sign)
    assert target.model == "abc"
    assert target.info["positive"] == "on"
    assert target.sd > 0.0


def test_mean_and_sd_are_of_all_tokens(report: FindReport, switched_model: SavedModel) -> None:
    network, chosen = switched_model.network(), report.chosen
    values = np.concatenate(
        [
            trace(network, switched_model.vocabulary.encode(text)).values(0, chosen.unit, "cell")
            for text in text_task().texts
        ]
    )
    # The engine may multiply in bf16, which moves a value by some thousandths.
    assert chosen.mean == pytest.approx(values.mean(), abs=0.02)
    assert chosen.sd == pytest.approx(values.std(), rel=0.02)


@pytest.mark.parametrize("kind", ["probe", "difference"])
def test_a_direction_can_be_kept(switched_model: SavedModel, tmp_path: Path, kind: str) -> None:
    """It tells the kinds apart, and moving along it moves the projection by as much."""
    report = find(switched_model, text_task(), options(protocol="final", direction=kind))
    direction = report.direction
    assert direction is not None
    assert direction.score.auc > 0.95
    read = direction.read_H.astype(float)
    assert read @ direction.write_H == pytest.approx(1.0, abs=1e-5)
    model = tmp_path / "model.safetensors"
    save_target(model, direction_target(report, "cue"))
    target = load_target(model, "cue")
    np.testing.assert_array_equal(target.read, direction.read_H)
    assert (target.unit, target.info["kind"]) == (None, kind)
    values = np.concatenate(
        [
            trace(switched_model.network(), switched_model.vocabulary.encode(text)).arrays[
                "layers.0.cell"
            ]
            for text in text_task().texts
        ]
    )
    projection = values @ direction.read_H
    assert target.mean == pytest.approx(projection.mean(), abs=0.05)
    assert target.sd == pytest.approx(projection.std(), rel=0.03)
    assert report.to_json()["direction"]["kind"] == kind
    if kind == "probe":
        # A dose is in spreads over tokens, so what it moves is what moves with it over tokens.
        moved = values - values.mean(axis=0)
        along = projection - projection.mean()
        pattern = moved.T @ along / (along @ along)
        assert np.abs(direction.write_H - pattern).max() < 0.1 * np.abs(pattern).max()


def test_the_pattern_is_what_the_weights_read() -> None:
    """A unit that the weights use only to cancel noise is no part of the pattern."""
    from textgen.probing.activations import Projection

    rng = np.random.default_rng(0)
    signal, noise = rng.normal(size=(2, 5000))
    projection = Projection(np.array([1.0, -1.0], np.float32))
    for values in np.array_split(np.stack([signal + noise, noise], axis=1), 7):
        projection.add(values)
    write = projection.pattern_H
    assert write is not None
    assert abs(write[1] / write[0]) < 0.05
    still = Projection(np.ones(2, np.float32))
    still.add(np.ones((9, 2)))
    assert still.pattern_H is None


def test_the_difference_is_not_drowned_by_what_counts_up() -> None:
    """One unit is a hundred times as wide as the other and tells the kinds apart no better."""
    from textgen.probing.direction import _difference

    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 2 == 0
    values = rng.normal(size=(2000, 2)) + labels[:, None]
    values[:, 1] *= 100.0
    read, write = _difference(values, labels)
    assert read @ write == pytest.approx(1.0)
    step = values[labels].mean(axis=0) - values[~labels].mean(axis=0)
    np.testing.assert_allclose(write / write[0], step / step[0])
    shares = read * step
    assert 0.3 < shares[0] / shares.sum() < 0.7


def test_nothing_found_is_not_kept(switched_model: SavedModel) -> None:
    task = text_task()
    rng = np.random.default_rng(0)
    mixed = LabelledTexts(
        texts=task.texts,
        labels=tuple(rng.permutation(task.labels).tolist()),
        positive="on",
        negative="off",
        source="made up",
    )
    nothing = find(switched_model, mixed, options())
    assert nothing.neurons == ()
    with pytest.raises(InspectionError, match="direction='difference'"):
        neuron_target(nothing, "cue")


def test_of_those_found_the_best_on_training_is_kept(report: FindReport) -> None:
    """Where held-out text did not confirm the best one of all."""
    assert report.chosen in report.neurons
    assert report.kept == report.chosen
    others = tuple(neuron for neuron in report.neurons if not neuron.chosen)
    assert len(others) > 1
    units = [replace(unit, found=unit.found and not unit.chosen) for unit in report.units]
    refuted = replace(report, units=tuple(units))
    assert refuted.neurons == others
    kept = max(others, key=lambda neuron: neuron.train_auc)
    assert neuron_target(refuted, "cue").unit == kept.unit
    assert refuted.to_json()["best_on_training"]["unit"] == report.chosen.unit


def test_too_few_independent_examples_are_told_of(switched_model: SavedModel) -> None:
    """A property that changes twice in the whole corpus cannot be told from luck."""
    task = PositionTask(
        ids=switched_model.vocabulary.encode(switched_text(30_000, seed=6)),
        holds=lambda text: np.arange(len(text)) // 10_000 == 1,
        name="chapter",
        source="made up",
    )
    few = find(switched_model, task, options())
    assert few.neurons == ()
    assert few.data["split"]["independent"] == {"positive": 1, "negative": 2}
    assert any("too few independent examples for any neuron" in note for note in few.data["notes"])
    enough = find(switched_model, position_task(switched_model), options())
    assert enough.data["notes"] == []


def test_one_neuron_is_tested_where_it_is_asked_for(
    switched_model: SavedModel, report: FindReport
) -> None:
    """Its figures are those it has among all; the controls are of it, and it is what is kept."""
    other = next(unit for unit in report.units if not unit.chosen)
    asked = find(switched_model, text_task(), options(protocol="final", neuron=f"{other.name}.c"))
    assert asked.subject == other == asked.kept
    record = asked.to_json()
    assert record["asked"]["unit"] == record["controls"]["ablation"]["neuron"]["unit"] == other.unit
    assert record["best_on_training"]["unit"] == report.chosen.unit
    assert neuron_target(asked, "other").unit == other.unit
    assert "asked about" in asked.best().to_markdown()
    with pytest.raises(InspectionError, match="0:48"):
        find(switched_model, text_task(), options(neuron="0:48"))


def test_what_was_saved_is_tested_by_its_name(switched_model: SavedModel) -> None:
    """A direction has the figures that it was found with, and is held at its mean."""
    found = find(switched_model, text_task(), options(protocol="final", direction="difference"))
    direction, target = found.direction, direction_target(found, "cue")
    assert direction is not None
    asked = find(
        switched_model,
        text_task(),
        options(protocol="final", neuron="cue"),
        targets={"cue": target}.__getitem__,
    )
    own = asked.subject
    assert (own.name, own.unit, own.found) == ("cue", None, True)
    assert own.auc == pytest.approx(direction.score.auc, abs=1e-6)
    assert own.accuracy == pytest.approx(direction.score.accuracy, abs=1e-6)
    assert (own.mean, own.sd) == pytest.approx((direction.mean, direction.sd), rel=1e-4)
    ablation = asked.to_json()["controls"]["ablation"]
    assert ablation["probe_accuracy"]["ablated"] < ablation["probe_accuracy"]["other_ablated"] - 0.1
    assert "with 'cue' held at its mean" in ablation["meaning"]
    assert asked.kept is None
    with pytest.raises(InspectionError, match=r"cell state; leave quantity='hidden' out"):
        find(
            switched_model,
            text_task(),
            options(neuron="cue", quantity="hidden"),
            targets={"cue": target}.__getitem__,
        )
