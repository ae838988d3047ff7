"""Steering through the library: `steer=`, `with model.steered(...)`, targets and calibration."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import russian_text

import textgen
from textgen.errors import ConfigError, SamplingError
from textgen.native.library import supported_isas
from textgen.sampling import Generation
from textgen.steering import Target, save_target


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one layer, to be copied."""
    base = tmp_path_factory.mktemp("steered")
    (base / "corpus.txt").write_text(russian_text(6000), "utf-8")
    textgen.train(
        base / "corpus.txt",
        out=base / "run",
        steps=60,
        hidden_size=24,
        batch_size=8,
        seq_len=32,
        threads=1,
        learning_rate=0.02,
    )
    return base / "run"


@pytest.fixture
def model(folder: Path, tmp_path: Path, quick_calibration: None) -> textgen.Model:
    shutil.copytree(folder, tmp_path / "run")
    return textgen.load(tmp_path / "run")


def test_a_context_leaves_no_trace(model: textgen.Model) -> None:
    plain = model.generate("дом", length=60)
    traced = model.trace("дом стоит", quantities=["cell"]).arrays["layers.0.cell"]
    with model.steered("0:5=+3") as plan:
        steered = model.generate("дом", length=60)
        held = model.trace("дом стоит", quantities=["cell"]).values(0, 5)
        wanted = plan.interventions[0].target
        np.testing.assert_allclose(held, wanted.mean + 3 * wanted.sd, rtol=1e-5)
    assert steered != plain
    assert model.generate("дом", length=60) == plain
    assert (model.trace("дом стоит", quantities=["cell"]).arrays["layers.0.cell"] == traced).all()
    with pytest.raises(ZeroDivisionError), model.steered("0:5=+3"):
        raise ZeroDivisionError
    assert model.generate("дом", length=60) == plain
    assert model.generate("дом", length=60, steer="0:5=+3") == steered


def test_contexts_stand_in_one_another_and_with_what_is_given(model: textgen.Model) -> None:
    with model.steered("0:5=+3"):
        outer = model.generate("дом", length=60)
        with model.steered("0:7=-3"):
            both = model.generate("дом", length=60)
        assert model.generate("дом", length=60) == outer
        assert model.generate("дом", length=60, steer="0:7=-3") == both
        with pytest.raises(ConfigError, match="at two values"), model.steered("0:5=+1"):
            pass
        with pytest.raises(ConfigError, match="at two values"):
            model.generate("дом", length=60, steer="0:5=+1")
    assert model.generate("дом", length=60, steer=["0:5=+3", "0:7=-3"]) == both


def test_evaluation_feels_an_intervention(model: textgen.Model, tmp_path: Path) -> None:
    if not supported_isas():
        pytest.skip("the native library is not built")
    text = tmp_path / "text.txt"
    text.write_text(russian_text(3000, seed=5), "utf-8")
    plain = model.evaluate(text)
    with model.steered("0:5=+3", "0:7=off"):
        for streams in (1, 4):
            steered = model.evaluate(text, streams=streams)
            assert steered.bits_per_char > plain.bits_per_char
    with model.steered("0:5=1:scale"):
        assert model.evaluate(text).nats == plain.nats
    assert model.evaluate(text).nats == plain.nats
    with model.steered("0:5=+3@7.."):
        for read in (lambda: model.evaluate(text), lambda: model.trace("дом")):
            with pytest.raises(ConfigError, match="has a schedule"):
                read()


def test_a_survey_feels_an_intervention(model: textgen.Model) -> None:
    ids = model.encode(russian_text(2000, seed=2))
    with model.steered("0:5=+3") as plan:
        wanted = plan.interventions[0].target
        for chunk in model.survey(ids, ["cell"]):
            held = chunk.arrays["layers.0.cell"][:, 5]
            np.testing.assert_allclose(held, wanted.mean + 3 * wanted.sd, rtol=1e-5)


def test_a_calibration_is_measured_once_and_kept(model: textgen.Model) -> None:
    target = model.target("0:5")
    kept = model.path.with_name("neurons") / "_calibration.json"
    assert kept.exists()
    data = json.loads(kept.read_text("utf-8"))
    assert data["source"] in ("the training text", "text that the model wrote")
    # What is kept counts, not what would be measured now.
    data["units"][0]["mean"][5] = data["units"][1]["mean"][5] = 7.5
    kept.write_text(json.dumps(data))
    again = textgen.load(model.path)
    assert again.target("0:5").mean == 7.5
    assert target.mean != 7.5
    # Another state of the weights is measured anew.
    data["model"] = "0" * 64
    kept.write_text(json.dumps(data))
    assert textgen.load(model.path).target("0:5").mean == pytest.approx(target.mean, abs=0.2)


def test_a_calibration_is_of_the_model_as_it_is(model: textgen.Model) -> None:
    """Whatever is held while it is first asked for."""
    save_target(model.path, Target(name="x", layer=0, state="c", mean=0.0, sd=1.0, unit=3))
    other = textgen.load(model.path)
    with model.steered("x=+7"):
        held = model.target("0:3")
    assert held.sd > 0 and held.mean != 7.0
    assert other.target("0:3").to_dict() == held.to_dict()
    model.path.with_name("neurons").joinpath("_calibration.json").unlink()
    fresh = textgen.load(model.path)
    with fresh.steered("x=+7@3.."):
        assert fresh.target("0:3").mean == pytest.approx(held.mean, abs=0.2)


def test_a_calibration_is_that_of_the_training_text(model: textgen.Model) -> None:
    """Where the cache no longer has it, of text that the model wrote, which is like it."""
    ids = model.encode(russian_text(6000))
    values = np.concatenate([c.arrays["layers.0.hidden"] for c in model.survey(ids, ["hidden"])])
    found = model.calibration
    spread = values.std(axis=0)
    assert np.corrcoef(found.sd[0, "h"], spread)[0, 1] > 0.9
    assert np.corrcoef(found.mean[0, "h"], values.mean(axis=0))[0, 1] > 0.9


def test_a_named_target_steers_and_belongs_to_its_weights(model: textgen.Model) -> None:
    made = Target(name="mood", layer=0, state="c", mean=0.5, sd=1.0, unit=5, sign=-1)
    save_target(model.path, made)
    by_number = Target(name="x", layer=0, state="c", mean=0.5, sd=1.0, unit=5)
    assert model.target("mood").sign == -1
    save_target(model.path, by_number)
    assert model.generate("дом", length=50, steer="mood=+2") == model.generate(
        "дом", length=50, steer="x=-2"
    )
    save_target(
        model.path, Target(name="old", layer=0, state="c", mean=0, sd=1, unit=5, model="other")
    )
    with pytest.raises(ConfigError, match="trained since"):
        model.target("old")
    save_target(model.path, Target(name="wide", layer=0, state="c", mean=0, sd=1, unit=500))
    with pytest.raises(ConfigError, match="no neuron 500"):
        model.target("wide")


@pytest.mark.parametrize("name", ["0:99", "7:0", "0:1.q", "0:x", "mood"])
def test_what_a_model_does_not_have(model: textgen.Model, name: str) -> None:
    with pytest.raises(ConfigError):
        model.target(name)


def test_the_price_of_a_text_is_its_cost_when_nobody_steers(model: textgen.Model) -> None:
    (plain,) = model.generate_many(1, "дом", length=80, exact=True)
    assert model.bits_per_char(plain.ids, seed="дом") == pytest.approx(plain.bits_per_char)
    # A third of the neurons: what a single one does depends on how its training was rounded.
    steer = [f"0:{unit}=+4" for unit in range(8)]
    (steered,) = model.generate_many(1, "дом", length=80, exact=True, steer=steer)
    assert isinstance(steered, Generation)
    price = model.bits_per_char(steered.ids, seed="дом")
    assert price != pytest.approx(steered.bits_per_char, rel=1e-3)


def test_what_cannot_be_steered_is_refused_as_at_the_prompt(model: textgen.Model) -> None:
    saved = model.saved
    pairs = textgen.Model(replace(saved, info={**saved.info, "pairs": True}), model.path)
    for call in (model.stream, model.generate, partial(model.generate_many, 2)):
        with pytest.raises(SamplingError, match=r"history of 3 tokens .*; add history=0"):
            call("дом", steer="0:5=+4", history=3)
    with pytest.raises(SamplingError, match="only a model of text can be steered"):
        pairs.stream("дом", steer="0:5=+4")
    with pytest.raises(SamplingError, match="history=3 would make it forget the source"):
        pairs.stream("дом", history=3)


def test_turns_take_no_schedule(model: textgen.Model) -> None:
    writer = model.writer(steer="0:5=+3", length=30)
    writer.feed("дом")
    assert "".join(s.text for s in writer.write())
    with pytest.raises(ConfigError, match="by turns takes none"):
        model.writer(steer="0:5=+3@7..")
