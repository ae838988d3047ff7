"""Named targets and calibrations beside a model: kept exactly, refused when damaged."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.made_up_targets import direction, latent, neuron

from textgen.errors import (
    CheckpointCorruptError,
    CheckpointFormatError,
    ConfigError,
    StorageError,
)
from textgen.files import _temporary_name
from textgen.model.config import ModelConfig
from textgen.steering import (
    Calibration,
    Target,
    load_target,
    save_target,
    target_names,
    targets_folder,
)
from textgen.steering.target import check_name
from textgen.table import Table


def test_a_target_is_kept_to_the_last_bit(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    for target in (
        neuron(7, name="sentiment", sign=-1, mean=0.1, sd=1 / 3, model="abc", info={"auc": 0.75}),
        direction("настроение", mean=1e-17),
        replace(latent(), name="joy"),
    ):
        path = save_target(model, target)
        assert path == tmp_path / "neurons" / f"{target.name}.json"
        found = load_target(model, target.name)
        assert found.to_dict() == target.to_dict()
        # What earlier versions wrote and read.
        assert json.loads(path.read_text("utf-8"))["format"] == 1
        if target.read is not None:
            assert found.read is not None and (found.read == target.read).all()
            assert found.read.dtype == np.float32
        assert (found.bias, found.threshold) == (target.bias, target.threshold)
    assert target_names(model) == ["joy", "sentiment", "настроение"]
    # Another model in the same folder has a folder of its own.
    assert targets_folder(tmp_path / "other.safetensors") != targets_folder(model)


def test_what_is_known_of_a_target_is_shown_as_numbers_and_words() -> None:
    shown = neuron(7, name="mood", info={"auc": 0.75, "texts": 30, "labels": ["a", "b"]})
    _, table = shown.parts()
    assert isinstance(table, Table)
    assert [row[1] for row in table.rows] == [0.75, 30, "['a', 'b']"]
    assert len(list(neuron(7, name="mood", info={}).parts())) == 1


def test_a_name_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    with pytest.raises(ConfigError, match="none was saved yet"):
        load_target(model, "mood")
    save_target(model, direction("mood"))
    with pytest.raises(ConfigError, match="known are: mood"):
        load_target(model, "sentiment")


def test_a_neuron_that_is_written_otherwise_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'L0,75' is not a neuron; write .* for example 0:75"):
        load_target(tmp_path / "model.safetensors", "L0,75")
    # What can be a name is one that was not saved, whatever its digits say.
    with pytest.raises(ConfigError, match="no neuron or direction called 'L0'"):
        load_target(tmp_path / "model.safetensors", "L0")


@pytest.mark.parametrize("name", ["", "0x", "../mood", "a b", "_calibration", "a=b", "x" * 70])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be the name"):
        save_target(tmp_path / "model.safetensors", direction(name))
    with pytest.raises(ConfigError):
        load_target(tmp_path / "model.safetensors", name)


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "3"},
        {"unit": None},
        {"state": "forget-gate"},
        {"sd": -1.0},
        {"sd": "many"},
        {"mean": None},
        {"sign": 0},
        {"layer": True},
        {"layer": None},
        {"sign": None},
        {"read": [1.0, 2.0]},
    ],
)
def test_a_damaged_file_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    path = save_target(model, neuron(name="mood"))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointCorruptError, match=r"mood\.json is damaged"):
        load_target(model, "mood")


def test_other_files_that_are_none(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    path = save_target(model, neuron(name="mood"))
    for content in (b"", b"[1", b"[]", b"\xff\xfe", b"[" * 100_000, b'"x"'):
        path.write_bytes(content)
        with pytest.raises(CheckpointCorruptError):
            load_target(model, "mood")
    path.write_text(json.dumps(neuron().to_dict() | {"format": 99}))
    with pytest.raises(CheckpointFormatError, match="install a newer textgen"):
        load_target(model, "mood")
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError):
        load_target(model, "mood")


def test_a_file_of_eight_mebibytes_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    path = save_target(model, neuron(name="mood"))
    content = path.read_bytes()
    path.write_bytes(content.rjust(8 * 2**20))
    assert load_target(model, "mood").to_dict() == neuron(name="mood").to_dict()
    path.write_bytes(content.rjust(8 * 2**20 + 1))
    with pytest.raises(CheckpointCorruptError, match="more than 8,388,608 bytes"):
        load_target(model, "mood")


def test_a_neuron_may_have_no_spread_but_not_less_than_none() -> None:
    assert neuron(sd=0.0).sd == 0.0
    with pytest.raises(ConfigError, match="the second not negative"):
        neuron(sd=-1e-9)


@pytest.mark.parametrize("name", ["bias", "threshold"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_where_a_target_reads_something_is_a_number(name: str, value: float) -> None:
    latent()
    with pytest.raises(ConfigError, match=r"has bias .* both must be finite"):
        latent(**{name: value})


def test_the_value_is_that_of_the_row_that_is_asked_for() -> None:
    x = np.arange(40, dtype=np.float32).reshape(2, 20)
    assert neuron(3).value({"c": x}) == 3.0
    assert neuron(3).value({"c": x}, 1) == 23.0
    assert neuron(3).readings(x).tolist() == [3.0, 23.0]


def test_a_direction_must_reach_what_it_reads() -> None:
    good = direction()
    with pytest.raises(ConfigError, match="must be 1"):
        direction(write=2.0 * good.write)  # type: ignore[operator]


def test_a_target_of_another_shape_is_refused() -> None:
    gru = ModelConfig(vocab_size=5, embedding_size=2, hidden_size=20, cell="gru")
    lstm = ModelConfig(vocab_size=5, embedding_size=2, hidden_size=8)
    for target, config in ((neuron(), gru), (neuron(11), lstm), (direction(), lstm)):
        with pytest.raises(ConfigError):
            target.check(config)


def calibration(model: str = "sum") -> Calibration:
    rng = np.random.default_rng(0)
    places = [(layer, state) for layer in (0, 1) for state in ("h", "c")]
    return Calibration(
        mean={place: rng.normal(size=3) for place in places},  # type: ignore[misc]
        sd={place: rng.random(3) for place in places},  # type: ignore[misc]
        model=model,
        source="the training text",
        tokens=100,
    )


def test_a_calibration_is_kept_with_the_weights_it_belongs_to(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    assert Calibration.load(model, "sum") is None
    made = calibration()
    made.save(model)
    found = Calibration.load(model, "sum")
    assert found is not None and found.source == "the training text"
    for place, values in made.mean.items():
        assert (found.mean[place] == values).all() and (found.sd[place] == made.sd[place]).all()
    target = found.target(1, 2, "h")
    assert isinstance(target, Target)
    assert (target.name, target.mean) == ("1:2.h", made.mean[1, "h"][2])
    assert Calibration.load(model, "other weights") is None
    assert target_names(model) == []
    file = targets_folder(model) / "_calibration.json"
    record = json.loads(file.read_text("utf-8"))
    assert record["format"] == 1
    file.write_text(json.dumps({**record, "format": 2}))
    assert Calibration.load(model, "sum") is None
    (targets_folder(model) / "_calibration.json").write_text("{")
    assert Calibration.load(model, "sum") is None


def test_a_calibration_says_what_was_measured() -> None:
    assert calibration().headline == "4 states over 100 tokens of the training text"


def test_a_calibration_shows_the_range_of_each_state() -> None:
    made = Calibration(
        mean={(0, "h"): np.array([0.5, -1.0, 2.0]), (1, "c"): np.array([3.0, 4.0, 3.5])},
        sd={(0, "h"): np.array([0.2, 0.1, 0.3]), (1, "c"): np.array([0.0, 0.7, 0.6])},
        model="sum",
        source="the training text",
        tokens=100,
    )
    [table] = made.parts()
    assert isinstance(table, Table)
    (layer, *first), (above, *second) = table.rows
    assert (layer, above) == (0, 1)
    assert (first[1:], second[1:]) == ([-1.0, 2.0, 0.1, 0.3], [3.0, 4.0, 0.0, 0.7])


def test_a_link_in_place_of_the_folder_or_of_a_file_is_not_followed(tmp_path: Path) -> None:
    """The run may come from somebody else."""
    outside, run = tmp_path / "outside", tmp_path / "run"
    for folder in (outside, run):
        folder.mkdir()
    victim = outside / "mood.json"
    victim.write_text("{}")
    model = run / "model.safetensors"
    calibration = Calibration(mean={}, sd={}, model="abc", source="a text", tokens=1)
    targets_folder(model).symlink_to(outside)
    for save in (
        lambda: save_target(model, direction("mood")),
        lambda: save_target(model, direction("new")),
        lambda: calibration.save(model),
        lambda: load_target(model, "mood"),
    ):
        with pytest.raises(StorageError, match="the folder neurons is a symbolic link"):
            save()
    assert Calibration.load(model, "abc") is None
    targets_folder(model).unlink()
    targets_folder(model).mkdir()
    (targets_folder(model) / "mood.json").symlink_to(victim)
    for save in (
        lambda: save_target(model, direction("mood")),
        lambda: load_target(model, "mood"),
    ):
        with pytest.raises(StorageError, match=r"mood\.json: it is a symbolic link"):
            save()
    assert sorted(os.listdir(outside)) == ["mood.json"] and victim.read_text() == "{}"


def test_a_folder_that_becomes_a_link_just_before_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    for folder in (outside, run):
        folder.mkdir()
    left = _temporary_name("a.json")
    (outside / left).touch()
    monkeypatch.setattr(
        "textgen.steering.target.make_folder", lambda path, within: path.symlink_to(outside)
    )
    with pytest.raises(StorageError, match="the folder neurons is a symbolic link"):
        save_target(run / "model.safetensors", direction("mood"))
    assert os.listdir(outside) == [left]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    save_target(model, direction("mood"))
    (targets_folder(model) / _temporary_name("other.json")).touch()
    save_target(model, direction("mood"))
    assert os.listdir(targets_folder(model)) == ["mood.json"]


def test_a_target_says_what_it_is() -> None:
    assert neuron(7, name="joy").headline == "joy: neuron 0:7 of layer 0, cell state"
    assert direction("joy").what == "a direction" and latent().what == "a latent"


def test_a_latent_reads_nothing_up_to_its_threshold() -> None:
    """At the threshold, too; its bias is added before."""
    own = latent()
    assert own.read is not None and own.threshold is not None
    unit_H = own.read / np.square(own.read).sum()
    at = replace(own, bias=0.0, threshold=0.5)
    states = np.stack([0.4 * unit_H, 0.6 * unit_H]).astype(np.float32)
    assert at.readings(states) == pytest.approx([0.0, 0.6], abs=1e-6)
    exact = replace(at, threshold=float(at.values({at.state: states})[1]))
    assert exact.readings(states).tolist() == [0.0, 0.0]
    # One that was given no bias has none.
    bare = direction(threshold=0.5)
    assert bare.readings(states) == pytest.approx([0.0, 0.6], abs=1e-6)


def test_a_file_without_a_bias_has_none(tmp_path: Path) -> None:
    """As those of earlier versions."""
    data = direction("joy").to_dict()
    data.pop("bias", None)
    assert Target.from_dict(data).bias == 0.0


def test_a_name_that_no_file_can_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.steering.target.name_fault", lambda name: "it is a device")
    with pytest.raises(ConfigError, match=r"'aux' cannot be the name .*: it is a device"):
        check_name("aux")
