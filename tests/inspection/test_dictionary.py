"""A dictionary of latents: what it finds in made-up states, what it says of a network."""

from __future__ import annotations

import itertools
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.planted import switched_text
from support.trained import Trained, train_once

import textgen
from textgen.errors import (
    BackendError,
    CheckpointCorruptError,
    ConfigError,
    InspectionError,
    StorageError,
)
from textgen.inspection import dictionary_learning
from textgen.inspection.dictionary import Dictionary, dictionary_path, load_dictionary
from textgen.inspection.dictionary_learning import LearningPlan, _Learner, learn_dictionary
from textgen.model.config import ModelConfig
from textgen.view_options import DictionaryOptions

#: What a small dictionary of the small model is learned with.
SMALL = {"latents": 64, "active": 4, "states": 15_000, "threads": 1}


def superposed(seed: int = 0, draw: int = 0):
    """Endless states of 32 neurons in which few of 24 known directions act, each spread over all
    neurons: the states, which directions act, and the directions."""
    spread = np.random.default_rng(seed).choice([-1.0, 1.0], size=(24, 32)) / np.sqrt(32)
    rng = np.random.default_rng([seed, draw])
    while True:
        on = rng.random((4096, 24)) < 0.08
        strength = on * rng.uniform(0.5, 1.5, on.shape)
        yield (strength @ spread + 0.3).astype(np.float32), on, spread


@pytest.fixture(scope="module")
def learned() -> Dictionary:
    plan = LearningPlan(latents=48, active=3, states=30_000)
    states = (chunk for chunk, _, _ in superposed())
    return learn_dictionary(states, plan, layer=0, state="h")


def aucs(values_TK: np.ndarray, holds_T: np.ndarray) -> np.ndarray:
    """The AUC of each column, ties counting half."""
    from scipy.stats import rankdata

    true, ranks = int(holds_T.sum()), rankdata(values_TK, axis=0)
    sums = ranks[holds_T].sum(axis=0) - true * (true + 1) / 2
    return sums / (true * (len(holds_T) - true))


def test_what_no_neuron_has_is_one_latent(learned: Dictionary) -> None:
    """Chosen on one draw of the states, measured on another."""
    (x, on, spread), (y, later, _) = (next(superposed(draw=draw)) for draw in (1, 2))
    latent, neuron = [], []
    for place in range(24):
        best = int(aucs(learned.encode(x), on[:, place]).argmax())
        latent.append(float(aucs(learned.encode(y, [best]), later[:, place])[0]))
        best = int(np.abs(aucs(x, on[:, place]) - 0.5).argmax())
        neuron.append(float(abs(aucs(y[:, [best]], later[:, place])[0] - 0.5)) + 0.5)
    assert np.median(latent) >= 0.95 and min(latent) > 0.9
    assert max(neuron) < 0.8
    assert np.median((learned.decoder_KH @ spread.T).max(axis=0)) > 0.8


def test_a_threshold_stands_for_the_largest_few(learned: Dictionary) -> None:
    found = learned
    x = next(superposed(draw=3))[0]
    a = found.encode(x)
    assert 2.4 < np.count_nonzero(a, axis=1).mean() < 3.6
    assert a.min() == 0.0 and a[a > 0].min() > found.threshold
    error = np.square(found.decode(a) - x).sum() / np.square(x - x.mean(axis=0)).sum()
    assert error < 0.25
    assert np.allclose(np.linalg.norm(found.decoder_KH, axis=1), 1.0, atol=1e-5)
    assert np.allclose(found.encode(x, [3, 1]), a[:, [3, 1]], atol=1e-5)


def test_a_latent_reads_and_moves_as_the_dictionary_does(
    learned: Dictionary,
) -> None:
    found = learned
    x = next(superposed(draw=3))[0]
    number = int(np.count_nonzero(found.encode(x), axis=0).argmax())
    target = found.target(number)
    assert np.allclose(target.readings(x), found.encode(x)[:, number], atol=1e-5)
    projection = x @ found.encoder_KH[number]
    assert target.mean == pytest.approx(projection.mean(), abs=0.03)
    assert target.sd == pytest.approx(projection.std(), rel=0.05)
    moved = target.edit(1.0, 2.0 * target.sd).apply(x) - x
    assert np.allclose(moved @ found.encoder_KH[number], 2.0 * target.sd, atol=1e-4)
    cosine = moved[0] @ found.decoder_KH[number] / np.linalg.norm(moved[0])
    assert cosine == pytest.approx(1.0, abs=1e-4)


def test_the_same_seed_gives_the_same_dictionary() -> None:
    plan = LearningPlan(latents=12, active=2, states=2000)
    one, two = (
        learn_dictionary((x for x, _, _ in superposed()), plan, layer=0, state="c")
        for _ in range(2)
    )
    assert np.array_equal(one.encoder_KH, two.encoder_KH) and one.threshold == two.threshold


def test_the_gradient_is_that_of_the_error_of_each_nested_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sparse products beside the dense ones, through which torch differentiates."""
    import torch

    monkeypatch.setattr(dictionary_learning, "_SAMPLED", 1)
    taken: list[Any] = []
    monkeypatch.setattr(_Learner, "_adam", lambda self, gradients: taken.extend(gradients))
    states = next(superposed())[0][:64]
    learner = _Learner(states, LearningPlan(latents=32, active=3, states=64))
    x = (torch.from_numpy(states) - learner.center_H) / learner.length
    weights = [weight.clone().requires_grad_() for weight in learner.weights]
    encoder, decoder, bias = weights
    a = x @ encoder.T + bias
    a = torch.where(a > a.detach().flatten().sort().values[-64 * 3 - 1], a, 0.0)
    assert int((a > 0).sum()) == 64 * 3
    parts = [a[:, :size] @ decoder[:size] for size in (2, 8, 32)]
    loss = sum(0.5 * (part - x).square().sum(dim=1).mean() for part in parts) / 3
    expected = torch.autograd.grad(loss, weights)
    with torch.no_grad(), dictionary_learning._quiet():
        learner._step(x)
    for found, right in zip(taken, expected, strict=True):
        assert torch.allclose(found, right, atol=1e-6) and float(right.abs().max()) > 1e-3


def test_learning_ends_with_small_steps_and_without_new_beginnings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one pool, as where the states are few."""
    moved, begun = [], []
    step, begin = _Learner._adam, _Learner._begin_again

    def adam(self: _Learner, gradients: Any) -> None:
        before = self.encoder_KH.clone()
        step(self, gradients)
        moved.append(float((self.encoder_KH - before).norm()))

    def begin_again(self: _Learner, *given: Any) -> None:
        begun.append(self.done)
        begin(self, *given)

    monkeypatch.setattr(_Learner, "_adam", adam)
    monkeypatch.setattr(_Learner, "_begin_again", begin_again)
    plan = LearningPlan(latents=48, active=3, states=20_000)
    learn_dictionary((x for x, _, _ in superposed()), plan, layer=0, state="h")
    assert moved[-1] < 0.1 * moved[len(moved) // 2]
    assert 13_000 < max(begun) < 13_400


@pytest.mark.parametrize("rest", [1, 40])
def test_a_few_last_states_do_not_say_how_all_are_distributed(
    monkeypatch: pytest.MonkeyPatch, rest: int
) -> None:
    monkeypatch.setattr(dictionary_learning, "POOL_STATES", 4096)

    def found(states: int) -> Dictionary:
        plan = LearningPlan(latents=12, active=2, states=states)
        return learn_dictionary((x for x, _, _ in superposed()), plan, layer=0, state="h")

    whole, more = found(8192), found(8192 + rest)
    assert np.allclose(more.sd_K, whole.sd_K, rtol=0.2)
    assert more.threshold == pytest.approx(whole.threshold, rel=0.1)


def test_states_that_do_not_vary_have_no_dictionary() -> None:
    plan = LearningPlan(latents=4, active=1, states=100)
    with pytest.raises(InspectionError, match="do not vary"):
        learn_dictionary([np.ones((100, 3), np.float32)], plan, layer=0, state="h")


def test_it_comes_back_from_its_file(learned: Dictionary, tmp_path: Path) -> None:
    found = replace(learned, model="abc", info={"text": "made up"})
    path = found.save(tmp_path / "model.safetensors")
    config = ModelConfig(vocab_size=9, embedding_size=4, hidden_size=32, num_layers=1, cell="lstm")
    again = load_dictionary(tmp_path / "model.safetensors", "abc", config)
    for name, value in vars(found).items():
        assert np.array_equal(vars(again)[name], value), name
    with pytest.raises(ConfigError, match="other weights"):
        load_dictionary(tmp_path / "model.safetensors", "xyz", config)
    with pytest.raises(ConfigError, match="32 neurons, which the model does not have"):
        load_dictionary(tmp_path / "model.safetensors", "abc", replace(config, hidden_size=31))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointCorruptError):
        load_dictionary(tmp_path / "model.safetensors", "abc", config)


def test_a_file_that_no_learning_made_is_refused(learned: Dictionary, tmp_path: Path) -> None:
    config = ModelConfig(vocab_size=9, embedding_size=4, hidden_size=32, num_layers=1, cell="lstm")
    wrong = {
        "threshold": {"threshold": float("nan")},
        "standard deviation": {"sd_K": -learned.sd_K},
        "length": {"decoder_KH": 2 * learned.decoder_KH},
    }
    for words, changed in wrong.items():
        replace(learned, **changed).save(tmp_path / "model.safetensors")
        with pytest.raises(CheckpointCorruptError, match=words):
            load_dictionary(tmp_path / "model.safetensors", "", config)
    path = learned.save(tmp_path / "model.safetensors")
    (tmp_path / "elsewhere").symlink_to(path.rename(tmp_path / "moved"))
    (tmp_path / "elsewhere").rename(path)
    with pytest.raises(StorageError, match="is a link"):
        load_dictionary(tmp_path / "model.safetensors", "", config)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_once(
        tmp_path_factory,
        "latents",
        switched_text(60_000),
        cell="lstm",
        steps=60,
        hidden_size=24,
        num_layers=1,
        batch_size=32,
        seq_len=48,
        learning_rate=0.02,
        dropout=0.0,
        rng=1,
    )


@pytest.fixture
def model(trained: Trained, tmp_path: Path) -> textgen.Model:
    """With a folder of its own, in which a dictionary may lie."""
    folder = tmp_path / "small"
    shutil.copytree(trained.folder, folder)
    return textgen.load(folder)


def test_a_latent_stands_wherever_a_neuron_does(model: textgen.Model) -> None:
    """Learned, reported, read, found by name and steered, all by one model."""
    text = switched_text(8_000, seed=9)
    report = model.features(switched_text(20_000, seed=3), **SMALL)
    assert report.learned and report.reconstruction.variance_explained > 0.6
    own = report.reconstruction
    assert own.bits <= own.bits_reconstructed < own.bits_mean
    assert 2.0 < own.active < 8.0
    shares = np.count_nonzero(
        model.dictionary.encode(
            model.trace(switched_text(20_000, seed=3), quantities="hidden")["hidden"]
        ),
        axis=0,
    )
    assert report.dead == np.count_nonzero(shares == 0) < 32 and report.latents[0].likelier
    # It is not learned again, and another one is not given for it.
    assert not model.features(text).learned
    for other in ({"latents": 32}, {"rng": 1}, {"device": "cpu"}):
        with pytest.raises(ConfigError, match="force"):
            model.features(text, **other)

    # Every latent that has a neuron's place is read as the dictionary reads it.
    number = report.latents[0].number
    name = f"latent:{number}"
    hidden = model.trace(text[:300], quantities="hidden")["hidden"]
    expected = model.dictionary.encode(hidden)[:, number]
    row = model.view(text[:300], neurons=[name]).rows[0]
    assert row.title == name and np.allclose(row.values, expected, atol=1e-5)
    top = model.view(text[:300], show="latent", top=2)
    assert top.quantity == "latent" and len(top.rows) == 2
    profile = model.neurons(text, neurons=[name]).profiles[0]
    assert profile.stats.place == name
    hidden_TH = model.trace(text, quantities="hidden")["hidden"]
    mean = model.dictionary.encode(hidden_TH)[:, number].mean()
    assert profile.stats.mean == pytest.approx(float(mean), rel=0.01)
    assert name in model.html(text[:300], neurons=[name])
    with pytest.raises(InspectionError, match="latent:64"):
        model.view(text[:300], neurons=["latent:64"])
    with pytest.raises(InspectionError, match="latent"):
        model.view(text[:300], show="cell", neurons=[name])

    # It steers by being added.
    plan = model.steering(f"{name}=+2")
    assert plan.interventions[0].mode == "add" and str(plan) == f"{name}=+2"
    assert str(model.steering(f"{name}=+2:clamp")) == f"{name}=+2:clamp"
    with model.steered(plan):
        moved = model.trace(text[:50], quantities="hidden")["hidden"]
    assert not np.allclose(moved, hidden[:50])


def test_a_saved_direction_is_shown_by_its_name(model: textgen.Model) -> None:
    from textgen.steering import Target, save_target

    rng = np.random.default_rng(0)
    read = rng.normal(size=24).astype(np.float32)
    target = Target(
        name="mood",
        layer=0,
        state="h",
        mean=0.0,
        sd=1.0,
        read=read,
        write=read / (read @ read),
        model=model.digest,
    )
    save_target(model.path, target)
    text = switched_text(400, seed=2)
    hidden = model.trace(text, quantities="hidden")["hidden"]
    row = model.view(text, neurons=["mood"]).rows[0]
    assert row.title == "mood" and np.allclose(row.values, hidden @ read, atol=1e-5)
    report = model.neurons(text, neurons=["mood"])
    assert report.quantity == "mood"
    with pytest.raises(InspectionError, match="at once"):
        model.view(text, neurons=["mood", "0:3"])


def test_a_quantity_is_meant_by_its_name_and_a_saved_name_in_any_letters(
    model: textgen.Model,
) -> None:
    from textgen.steering import save_target

    for name in ("hidden", "Радость"):
        save_target(model.path, replace(model.target("0:3"), name=name))
    text = switched_text(300, seed=2)
    assert len(model.view(text, show="hidden", top=2).rows) == 2
    assert [row.title for row in model.view(text, show="радость").rows] == ["neuron 0:3 cell"]


def test_what_would_fail_at_the_end_is_refused_before(
    model: textgen.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textgen.inspection import latents

    def learn(*_: object) -> None:
        raise AssertionError("it learns")

    monkeypatch.setattr(latents, "learn", learn)
    text = switched_text(300, seed=2)
    with pytest.raises(InspectionError, match="one of effect"):
        model.features(text, sort="nonsense")
    monkeypatch.setattr(latents, "choose_device", lambda name: ("mps", None))
    assert latents.plan_of(model.saved.config, 9, DictionaryOptions()).device == "cpu"
    with pytest.raises(InspectionError, match="not learned on mps"):
        latents.plan_of(model.saved.config, 9, DictionaryOptions(device="mps"))
    monkeypatch.undo()
    monkeypatch.setattr(latents, "available_memory", lambda device: 1_000_000)
    with pytest.raises(InspectionError, match=r"0[.]0 GB are free"):
        latents.plan_of(model.saved.config, 9, DictionaryOptions(latents=4096))
    monkeypatch.setattr(latents, "learn", learn)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(BackendError, match="scikit-learn"):
        model.features(text, controls=True)


def test_without_a_dictionary_the_message_says_how_to_learn_one(model: textgen.Model) -> None:
    assert not dictionary_path(model.path).exists()
    with pytest.raises(ConfigError, match="no dictionary of latents"):
        model.view("ta", neurons=["latent:3"])


def test_what_was_learned_from_is_not_called_unseen(model: textgen.Model) -> None:
    """Of the text it is measured beyond where learning stopped; where there is nothing, it says."""
    text = switched_text(6000, seed=3)
    settings = {"latents": 32, "states": 2000, "threads": 1}
    first = model.features(text, **settings).reconstruction
    assert (first.tokens, first.seen) == (600, False)
    longer = model.features(text + switched_text(2000, seed=4)).reconstruction
    assert (longer.tokens, longer.seen) == (2600, False)
    shorter = model.features(text[:3000])
    assert shorter.reconstruction.seen and "learned from this text" in shorter.facts()[1]
    assert not model.features(switched_text(3000, seed=5)).reconstruction.seen


def test_controls_stand_beside_the_latents(
    model: textgen.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans, seen = [], []
    learn = dictionary_learning.learn_dictionary

    def watched(states: Any, plan: LearningPlan, **given: Any) -> Dictionary:
        first = next(states)
        plans.append(plan)
        seen.append(first)
        return learn(itertools.chain([first], states), plan, **given)

    monkeypatch.setattr(dictionary_learning, "learn_dictionary", watched)
    settings = {**SMALL, "latents": 32, "states": 3000, "rng": 5}
    report = model.features(switched_text(4000, seed=3), controls=True, **settings)
    # The controls are learned as the dictionary was; each neuron keeps its values, not its company.
    assert plans[0] == plans[1] == plans[2] and plans[0].rng == 5
    own, shuffled, untrained = seen
    assert np.array_equal(np.sort(own, axis=0), np.sort(shuffled, axis=0))
    apart = np.corrcoef(shuffled.T) - np.eye(24)
    assert np.abs(apart).max() < 0.2 < np.abs(np.corrcoef(own.T) - np.eye(24)).max()
    assert not np.allclose(np.sort(own, axis=0), np.sort(untrained, axis=0), atol=0.01)
    counts = {count.what: count for count in report.counts}
    sizes = [count.directions for count in report.counts]
    # Latents; neurons, principal and independent components; random, shuffled, untrained.
    assert sizes == [32, 24, 24, 24, 32, 32, 32]
    assert counts["neurons"].named > counts["latents of an untrained network"].named
    assert len(report.controls().rows) == 7


def test_random_directions_act_as_seldom_as_latents(learned: Dictionary) -> None:
    from textgen.probing.dictionary_controls import random_directions

    x = next(superposed(draw=3))[0]
    control = random_directions(learned, x, seed=1)
    share = np.count_nonzero(learned.encode(x)) / (len(x) * learned.size)
    own = np.count_nonzero(control.encode(x), axis=0) / len(x)
    assert np.allclose(own, share, atol=1e-3)


def test_find_tests_a_latent_by_its_activation_and_keeps_it(model: textgen.Model) -> None:
    from textgen.probing import neuron_target
    from textgen.steering import save_target

    text = switched_text(8000, seed=3)
    model.features(text, **{**SMALL, "states": 4000})
    number = model.features(text, sort="feature-score", top=1).latents[0].number
    name = f"latent:{number}"
    report = model.find(text, regex=r"\+[^-]*", neuron=name, positions=500, threads=1)
    hidden = model.trace(text, quantities="hidden")["hidden"]
    values = model.dictionary.encode(hidden)[:, number]
    assert report.asked is not None
    assert report.asked.mean == pytest.approx(float(values.mean()), rel=0.1)
    holds = np.zeros(len(text), bool)
    for found in re.finditer(r"\+[^-]*", text):
        holds[slice(*found.span())] = True
    auc = float(aucs(values[-len(text) :, None], holds)[0])
    assert report.asked.auc == pytest.approx(max(auc, 1.0 - auc), abs=0.07)

    # It can be kept under a name, reads the same by it, and steers towards the positive kind.
    saved = neuron_target(report, "joy", model=model.digest)
    save_target(model.path, saved)
    again = model.target("joy")
    assert np.allclose(again.readings(hidden), values, atol=1e-5)
    assert again.sign == report.asked.sign and again.info["latent"] == number
    assert model.steering("joy=+2").interventions[0].mode == "add"


def test_find_looks_among_the_latents_as_among_neurons(model: textgen.Model) -> None:
    """Each column is what the dictionary reads, the best has its controls and can be kept."""
    from textgen.probing import neuron_target

    text, regex = switched_text(20_000, seed=3), r"\+[^-]*"
    with pytest.raises(ConfigError, match="no dictionary of latents"):
        model.find(text, regex=regex, quantity="latent")
    model.features(text, **SMALL)
    asked: dict[str, Any] = {"regex": regex, "positions": 1500, "threads": 1, "quantity": "latent"}
    report = model.find(text, **asked)
    assert len(report.units) == 64 and report.kind == "latent"
    chosen = report.chosen
    assert (chosen.layer, chosen.quantity) == (0, "latent")
    assert chosen.name == chosen.called == f"latent:{chosen.unit}"
    hidden = model.trace(text, quantities="hidden")["hidden"]
    values_TK = model.dictionary.encode(hidden)
    values_TK[:, ~model.dictionary.movable_K] = 0.0
    means = np.array([unit.mean for unit in report.units])
    assert np.allclose(means, values_TK.mean(axis=0), atol=0.02 * values_TK.max())
    # The same latent, asked for by its name alone, has the same figures.
    alone = model.find(text, regex=regex, neuron=chosen.name, positions=1500, threads=1).asked
    assert alone is not None and alone.auc == pytest.approx(chosen.auc, abs=1e-6)
    names = [control.name for control in report.controls]
    assert names[:3] == ["best_neuron", "random_directions", "permuted"]
    own = model.find(text, regex=regex, quantity="hidden", positions=1500, threads=1)
    best = report.controls[0].figures["unit"]
    assert (best["unit"], best["accuracy"]) == (own.chosen.unit, own.chosen.accuracy)
    assert report.controls[1].figures["directions"] == 64
    assert "random other latents" not in report.controls[3].meaning  # There are only 63.
    assert "latents distinguish" in report.question()[0] and "64 latents" in report.verdict
    assert report.to_arrays()["auc"].shape == (1, 64)

    kept = report.kept
    assert kept is not None and report.latent is not None
    saved = neuron_target(report, "joy", model=model.digest)
    assert saved.info["latent"] == kept.unit and saved.sign == kept.sign
    assert np.allclose(saved.readings(hidden), model.dictionary.encode(hidden)[:, kept.unit])

    # Another one than the best, and what is no latent.
    other = next(unit.unit for unit in report.units if unit.unit != chosen.unit and unit.sd > 0)
    asked_about = model.find(text, **asked, neuron=f"latent:{other}")
    assert asked_about.subject.unit == other and asked_about.latent is not None
    assert asked_about.latent.info["latent"] == other
    for wrong, said in (
        ({"neuron": "0:3"}, "'0:3' is none"),
        ({"neuron": "latent:64"}, "no latent:64"),
        ({"direction": "probe"}, "made of neurons"),
    ):
        with pytest.raises(InspectionError, match=said):
            model.find(text, **asked, **wrong)


def test_a_latent_that_cannot_be_held_is_not_found(model: textgen.Model) -> None:
    """Its encoder does not read its own direction, so its control by ablation has no meaning."""
    text, regex = switched_text(8000, seed=3), r"\+[^-]*"
    model.features(text, **{**SMALL, "states": 4000})
    asked: dict[str, Any] = {"regex": regex, "positions": 500, "threads": 1, "quantity": "latent"}
    best = model.find(text, **asked).chosen.unit
    whole = model.dictionary
    decoder_KH = whole.decoder_KH.copy()
    decoder_KH[best] *= -1.0
    model._dictionary = replace(whole, decoder_KH=decoder_KH)
    assert not model.dictionary.movable_K[best]
    report = model.find(text, **asked)
    assert report.chosen.unit != best and report.units[best].auc == 0.5
