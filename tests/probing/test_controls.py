"""Each control measures what it is named after: it changes when that thing changes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.planted import SWITCHED, switched_text

from textgen.checkpoint import SavedModel
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit
from textgen.probing import FindOptions, FindReport, PositionTask, controls, find, regex_property
from textgen.probing.activations import Features
from textgen.probing.controls import ControlInput
from textgen.probing.examples import FIT, HELD_OUT, VALIDATION, Examples, Property
from textgen.probing.find_report import all_neurons
from textgen.probing.probe import Probe, fit_probe
from textgen.probing.statistics import Score, accuracy_error, auc_error, score_of
from textgen.probing.unit_selection import Selector

KEYS = {
    *("permuted", "random_100_probe", "random_100_best", "untrained", "ngram"),
    *("chance_positions", "ablation"),
}


def report_of(model: SavedModel, holds: Property, seed: int = 6, **options: object) -> FindReport:
    task = PositionTask(
        ids=model.vocabulary.encode(switched_text(30_000, seed=seed)),
        holds=holds,
        name="planted",
        source="made up",
    )
    settings: dict[str, object] = {"positions": 1000, "threads": 1, **options}
    return find(model, task, FindOptions(**settings))  # type: ignore[arg-type]


def at_random(text: str) -> np.ndarray:
    """A property that no text tells of."""
    return np.random.default_rng(4).random(len(text)) < 0.5


@pytest.fixture(scope="module")
def true_report(switched_model: SavedModel) -> FindReport:
    """Of the state that was planted."""
    return report_of(switched_model, regex_property(SWITCHED))


@pytest.fixture(scope="module")
def random_report(switched_model: SavedModel) -> FindReport:
    """Of nothing."""
    return report_of(switched_model, at_random)


def figures(report: FindReport, name: str) -> dict[str, object]:
    found: dict[str, object] = report.to_json()["controls"][name]
    return found


def test_every_control_is_there(true_report: FindReport) -> None:
    """Under its key, with figures, a verdict and a sentence."""
    record = true_report.to_json()
    assert set(record["controls"]) == KEYS
    for control in record["controls"].values():
        assert control["holds"] in (True, False)
        assert len(control["meaning"]) > 40
        assert len(control) > 3


def test_of_nothing_nothing_is_reported(random_report: FindReport) -> None:
    """And no control reaches more than chance gives."""
    record = random_report.to_json()
    assert record["neurons"] == []
    assert record["best_on_training"]["chosen"]
    assert record["probe"]["accuracy"] < 0.65
    assert record["controls"]["ngram"]["accuracy"] < 0.65
    assert record["controls"]["untrained"]["probe"]["accuracy"] < 0.65
    assert record["controls"]["random_100_probe"]["accuracy"]["mean"] < 0.65
    assert not record["controls"]["ablation"]["holds"]


def test_permuted_labels_stay_at_chance(true_report: FindReport) -> None:
    """Where the true ones are told without a fault."""
    permuted = true_report.to_json()["controls"]["permuted"]
    assert true_report.chosen.accuracy > 0.95
    assert 0.4 < permuted["unit"]["accuracy"]["mean"] < 0.6
    assert 0.4 < permuted["probe"]["accuracy"]["mean"] < 0.6
    assert permuted["unit"]["accuracy"]["max"] > permuted["unit"]["accuracy"]["mean"]
    assert permuted["unit"]["permutations"] == 20
    assert permuted["reported"] <= 4


def test_n_grams_tell_what_stands_in_the_text(
    true_report: FindReport, switched_model: SavedModel
) -> None:
    """A vowel is visible, and no training is needed to see it."""
    vowels = report_of(switched_model, regex_property("[aeiou]"))
    visible = vowels.to_json()["controls"]
    assert visible["ngram"]["accuracy"] > 0.97
    assert visible["untrained"]["probe"]["accuracy"] > 0.97


def test_the_untrained_network_has_not_the_trained_weights(
    true_report: FindReport, switched_model: SavedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained = true_report.to_json()["controls"]["untrained"]
    assert untrained["unit"]["accuracy"] < true_report.chosen.accuracy - 0.05
    monkeypatch.setattr(controls, "initial_weights", lambda config, rng: switched_model.weights)
    same = report_of(switched_model, regex_property(SWITCHED)).to_json()["controls"]["untrained"]
    assert same["unit"]["unit"] == true_report.chosen.unit
    assert same["unit"]["accuracy"] == true_report.chosen.accuracy
    assert same["probe"]["accuracy"] == pytest.approx(true_report.probe_score.accuracy, abs=0.01)
    assert not same["holds"]


def test_ablation_holds_the_neuron_that_was_chosen(true_report: FindReport) -> None:
    ablation = true_report.to_json()["controls"]["ablation"]
    assert ablation["neuron"] == {"layer": 0, "unit": true_report.chosen.unit}
    assert ablation["other"] != ablation["neuron"]
    assert ablation["clamped_to"] == true_report.chosen.mean
    accuracy = ablation["probe_accuracy"]
    assert accuracy["ablated"] < 0.8 < 0.95 < accuracy["other_ablated"]
    assert accuracy["intact"] == true_report.probe_score.accuracy
    bits = ablation["bits_per_char"]
    assert bits["intact"] < bits["other_ablated"] + 0.001 < bits["ablated"]
    assert ablation["holds"]


def case_of(
    values: np.ndarray, labels: np.ndarray, chance: np.ndarray | None = None
) -> ControlInput:
    """A case without a network: for the controls that look at features alone."""
    count = len(labels)
    part = np.resize([FIT, FIT, VALIDATION, HELD_OUT, HELD_OUT], count)
    values = values.astype(np.float32)
    test = np.flatnonzero(part == HELD_OUT)
    examples = Examples(
        documents=[np.array([2])] * count,
        skip_D=np.zeros(count, np.int64),
        document_N=np.arange(count),
        place_N=np.zeros(count, np.int64),
        chance_NK=np.zeros((count, 1), np.int64),
        labels_N=labels,
        part_N=part,
        independent_N=np.ones(count, bool),
        protocol="final",
        contexts=lambda numbers: [""] * len(numbers),
        positive="p",
        negative="n",
        notes=(),
    )
    zeros = np.zeros(values.shape[1])
    features = Features(
        raw_NU=values,
        seen_NU=values,
        chance_MKU=values[test, None] if chance is None else chance.astype(np.float32),
        mean_U=zeros,
        sd_U=zeros + 1.0,
        tokens=count,
    )
    selector = Selector(values, examples)
    table = selector.find(labels)
    probe = fit_probe(values, labels, part)
    return ControlInput(
        examples=examples,
        features=features,
        selector=selector,
        probe=probe,
        probe_score=probe.score(values[test], labels[test]),
        neuron=all_neurons(table, features, values.shape[1], "hidden")[table.chosen],
        column=table.chosen,
        threshold=float(table.threshold_U[table.chosen]),
        quantity="hidden",
        network=None,  # type: ignore[arg-type]
        vocabulary=None,  # type: ignore[arg-type]
        rng=np.random.default_rng(0),
    )


@pytest.fixture
def one_of_many() -> ControlInput:
    """One of 300 units knows; the others do not."""
    rng = np.random.default_rng(1)
    labels = rng.random(500) < 0.5
    values = rng.normal(size=(500, 300))
    values[:, 5] += 4.0 * labels
    return case_of(values, labels)


@pytest.fixture
def all_alike() -> ControlInput:
    """Each of 300 units knows a little, and one more of it."""
    rng = np.random.default_rng(1)
    labels = rng.random(500) < 0.5
    values = rng.normal(size=(500, 300)) + 0.8 * labels[:, None]
    values[:, 5] += 0.3 * labels
    return case_of(values, labels)


def test_random_units_do_not_include_the_neuron(one_of_many: ControlInput) -> None:
    """It alone knows, so they know nothing."""
    assert one_of_many.column == 5
    for control in (controls.random_100_probe(one_of_many), controls.random_100_best(one_of_many)):
        assert control.figures["units"] == 100
        assert control.figures["draws"] == 5
        assert control.figures["accuracy"]["max"] < 0.65
        assert control.holds


def test_random_units_that_know_as_much_are_told_of(all_alike: ControlInput) -> None:
    """A probe on a hundred of them does better than the neuron."""
    probe = controls.random_100_probe(all_alike)
    assert probe.figures["accuracy"]["mean"] > all_alike.neuron.accuracy + 0.1
    assert not probe.holds
    assert "most of the property is elsewhere" in probe.meaning
    assert "on 100 random other neurons" in probe.meaning
    best = controls.random_100_best(all_alike)
    assert best.figures["accuracy"]["max"] > 0.6
    assert not best.holds
    assert "others do as well" in best.meaning


def test_chance_positions_read_the_neuron_elsewhere(one_of_many: ControlInput) -> None:
    """At the same place they are the neuron itself; elsewhere they are what is there."""
    same = controls.chance_positions(one_of_many)
    assert same.figures["auc"]["mean"] == pytest.approx(one_of_many.neuron.auc)
    assert same.figures["accuracy"]["mean"] == pytest.approx(one_of_many.neuron.accuracy)
    assert not same.holds
    test = one_of_many.selector.test
    noise = np.random.default_rng(0).normal(size=(len(test), 3, 300)).astype(np.float32)
    features = replace(one_of_many.features, chance_MKU=noise)
    other = controls.chance_positions(replace(one_of_many, features=features))
    assert 0.4 < other.figures["auc"]["mean"] < 0.6
    assert other.figures["draws"] == 3
    assert other.holds


def test_permutations_are_of_the_labels(one_of_many: ControlInput) -> None:
    """With permuted labels the unit that knows is not the best any more."""
    permuted = controls.permuted(one_of_many)
    assert permuted.figures["unit"]["accuracy"]["mean"] < 0.6 < one_of_many.neuron.accuracy
    assert permuted.holds


@pytest.mark.parametrize("seed", range(4))
def test_luck_is_no_better_where_all_units_know(seed: int) -> None:
    """Any unit that permuted labels pick would do well if it were scored on the true ones."""
    rng = np.random.default_rng(seed)
    labels = rng.random(500) < 0.5
    permuted = controls.permuted(
        case_of(rng.normal(size=(500, 64)) + 2.0 * labels[:, None], labels)
    )
    assert 0.45 < permuted.figures["unit"]["accuracy"]["mean"] < 0.55
    assert 0.45 < permuted.figures["probe"]["accuracy"]["mean"] < 0.55
    assert permuted.figures["unit"]["accuracy"]["max"] < 0.7
    assert permuted.holds


@pytest.mark.parametrize(
    ("ngrams", "holds", "sentence"),
    [
        (0.55, True, "the neuron knows more than short pieces of text show"),
        (None, False, "short pieces of text show as much as the neuron"),
        (0.999, False, "more than the neuron alone, but no more than the probe"),
    ],
)
def test_n_grams_tell_less_as_much_or_more(
    all_alike: ControlInput,
    monkeypatch: pytest.MonkeyPatch,
    ngrams: float | None,
    holds: bool,
    sentence: str,
) -> None:
    """Only where they tell less does the neuron know more than they."""
    figure = all_alike.neuron.accuracy if ngrams is None else ngrams
    monkeypatch.setattr(controls, "ngram_score", lambda examples: (Score(figure, figure), 9))
    control = controls.ngram(all_alike)
    assert (control.holds, sentence in control.meaning) == (holds, True)
    surface = controls.ngram(replace(all_alike, probe_score=Score(0.7, 0.7)))
    assert ("than the network's states" in surface.meaning) == (ngrams == 0.999)


@pytest.mark.parametrize(
    ("more", "holds", "sentence"),
    [
        (0.2, True, "less than neuron"),
        (0.0, False, "as much as"),
        (-0.2, False, "more than neuron"),
    ],
)
def test_a_probe_on_others_that_does_as_well_is_against_it(
    all_alike: ControlInput,
    monkeypatch: pytest.MonkeyPatch,
    more: float,
    holds: bool,
    sentence: str,
) -> None:
    """The mark and the sentence say the same."""
    figure = all_alike.neuron.accuracy - more
    monkeypatch.setattr(Probe, "score", lambda probe, values, labels: Score(figure, figure))
    control = controls.random_100_probe(all_alike)
    assert (control.holds, sentence in control.meaning) == (holds, True)


def test_few_others_are_all_taken_once() -> None:
    """A hundred out of a hundred are the same ones in each draw."""
    rng = np.random.default_rng(1)
    labels = rng.random(300) < 0.5
    values = rng.normal(size=(300, 101))
    values[:, 5] += 4.0 * labels
    case = case_of(values, labels)
    for control in (controls.random_100_probe(case), controls.random_100_best(case)):
        assert (control.figures["units"], control.figures["draws"]) == (100, 1)
        assert "all 100 others" in control.meaning
        assert "on average" not in control.meaning


def test_margins_are_the_spread_of_the_figures() -> None:
    """Of many draws, with ten times as many of one kind as of the other."""
    rng = np.random.default_rng(0)
    labels = np.arange(330) % 11 == 0
    every = np.ones(330, bool)
    figures, errors = [], []
    for _ in range(400):
        values = rng.normal(size=330) + 1.0 * labels
        score = score_of(values, labels, 0.5)
        figures.append((score.accuracy, score.auc))
        errors.append((accuracy_error(values > 0.5, labels, every), auc_error(score.auc, labels)))
    spread, error = np.std(figures, axis=0), np.mean(errors, axis=0)
    # The rule for AUC takes the kinds for unlike in shape, which is on the safe side here.
    np.testing.assert_allclose(error, spread, rtol=0.2)
    # A figure without a fault has an error all the same, and fewer that count have a larger one.
    assert accuracy_error(labels, labels, every) > 0.0
    assert auc_error(1.0, labels) > 0.0
    tenth = np.arange(330) % 121 < 12
    assert accuracy_error(values > 0.5, labels, tenth) > 2.0 * error[0]


def test_each_figure_has_a_margin_of_its_own(all_alike: ControlInput) -> None:
    margins = {all_alike.margin, all_alike.probe_margin, all_alike.auc_margin}
    assert len(margins) == 3
    assert all(0.005 < margin < 0.06 for margin in margins)


@pytest.mark.parametrize("quantity", ["hidden", "cell"])
def test_the_clamped_neuron_is_held_at_its_mean(
    one_of_many: ControlInput, monkeypatch: pytest.MonkeyPatch, quantity: str
) -> None:
    """And the other one at its own; both while the probe is measured, and while the cost is."""
    means = np.arange(300) / 64.0  # Exact in float32.
    features = replace(one_of_many.features, mean_U=means)
    read: list[tuple[Edit, ...]] = []
    cost: list[tuple[Edit, ...]] = []

    def read_features(*given: Any, edits: tuple[Edit, ...], held_out_only: bool) -> Features:
        assert given[2] == quantity and held_out_only
        read.append(edits)
        return features

    def bits(*_: Any, edits: tuple[Edit, ...], limit: int) -> float:
        assert limit == 200_000
        cost.append(edits)
        return 1.0 + len(cost)

    monkeypatch.setattr(controls, "read_features", read_features)
    monkeypatch.setattr(controls, "bits_per_char", bits)
    config = ModelConfig(vocab_size=9, embedding_size=3, hidden_size=100, num_layers=3)
    network: Any = SimpleNamespace(config=config)
    given = replace(one_of_many, features=features, network=network, quantity=quantity)
    control = controls.ablation(given)
    state = {"hidden": "h", "cell": "c"}[quantity]
    own, other = (edits[0] for edits in read)
    assert (own.layer, own.unit, own.state) == (0, 5, state)
    assert (own.scale, own.shift) == (0.0, means[5])
    assert other.unit is not None and other.state == state
    place = 100 * other.layer + other.unit
    assert place != 5
    assert (other.scale, other.shift) == (0.0, means[place])
    assert cost == [(), (own,), (other,)]
    figures = control.figures
    assert figures["other"] == {"layer": other.layer, "unit": other.unit}
    assert figures["bits_per_char"] == {"intact": 2.0, "ablated": 3.0, "other_ablated": 4.0}
    assert "the loss on the text is 3.000 bits/char instead of 2.000 (4.000)" in control.meaning
    # Nothing that is read differs, so the probe does not need the neuron.
    accuracy = given.probe_score.accuracy
    assert figures["probe_accuracy"] == dict.fromkeys(figures["probe_accuracy"], accuracy)
    assert not control.holds and control.meaning.endswith("the probe does not need it")
