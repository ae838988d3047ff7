"""Each control measures what it is named after: it changes when that thing changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.labelled import labelled_examples
from support.made_up_targets import latent
from support.planted import SWITCHED, switched_text

from textgen.checkpoint import SavedModel
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit
from textgen.probing import FindOptions, FindReport, PositionTask, controls, find, regex_property
from textgen.probing.activations import Features
from textgen.probing.controls import ControlInput
from textgen.probing.examples import FIT, HELD_OUT, VALIDATION, Examples, Property
from textgen.probing.find_report import all_neurons
from textgen.probing.probe import NgramCounts, Probe, fit_probe
from textgen.probing.statistics import Score, accuracy_error, auc_error, score_of
from textgen.probing.unit_selection import Selector

KEYS = {
    *("permuted", "random_100_probe", "random_100_best", "untrained", "ngram"),
    *("telling_ngrams", "length", "chance_positions", "ablation"),
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
    values: np.ndarray,
    labels: np.ndarray,
    chance: np.ndarray | None = None,
    texts: Sequence[str] | None = None,
) -> ControlInput:
    """A case without a network: for the controls that look at features alone."""
    count = len(labels)
    part = np.resize([FIT, FIT, VALIDATION, HELD_OUT, HELD_OUT], count)
    values = values.astype(np.float32)
    test = np.flatnonzero(part == HELD_OUT)
    examples = labelled_examples(labels, part, texts)
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
        assert "neuron 0:5 " in control.meaning


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

    def read_features(
        *given: Any, coordinates: None, edits: tuple[Edit, ...], only_N: np.ndarray
    ) -> Features:
        assert coordinates is None
        assert given[2] == quantity and (only_N == one_of_many.examples.held_out_N).all()
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
    # What it is held at, and not its mean reading: for a latent these are two numbers.
    assert figures["clamped_to"] == means[5] != given.neuron.mean
    assert figures["other"] == {"layer": other.layer, "unit": other.unit}
    assert figures["bits_per_char"] == {"intact": 2.0, "ablated": 3.0, "other_ablated": 4.0}
    assert "the loss on the text is 3.000 bits/char instead of 2.000 (4.000)" in control.meaning
    # Nothing that is read differs, so the probe does not need the neuron.
    accuracy = given.probe_score.accuracy
    assert figures["probe_accuracy"] == dict.fromkeys(figures["probe_accuracy"], accuracy)
    assert not control.holds and control.meaning.endswith("the probe does not need it")


def bounded(case: ControlInput, monkeypatch: pytest.MonkeyPatch, margin: float) -> ControlInput:
    """The case with a neuron and a probe of 0.75, and that margin of each figure."""
    for name in ("margin", "probe_margin", "auc_margin"):
        monkeypatch.setattr(ControlInput, name, property(lambda _: margin))
    neuron = replace(case.neuron, accuracy=0.75, auc=0.75)
    return replace(case, neuron=neuron, probe_score=Score(0.75, 0.75))


@pytest.mark.parametrize(
    ("others", "holds", "sentence"),
    [(0.25, True, "less than"), (0.5, False, "as much as"), (1.0, False, "more than")],
)
def test_a_probe_on_others_within_the_margin_is_as_good(
    one_of_many: ControlInput,
    monkeypatch: pytest.MonkeyPatch,
    others: float,
    holds: bool,
    sentence: str,
) -> None:
    """A margin apart is not above; and below it by a margin is more than the neuron."""
    given = bounded(one_of_many, monkeypatch, 0.25)
    monkeypatch.setattr(Probe, "score", lambda probe, values, labels: Score(others, others))
    control = controls.random_100_probe(given)
    assert (control.holds, sentence in control.meaning) == (holds, True)
    assert control.figures["accuracy"] == {"mean": others, "max": others}
    assert control.shown == f"{others:.3f}"


@pytest.mark.parametrize(("others", "holds"), [(0.25, True), (0.5, False), (0.75, False)])
def test_the_best_of_others_within_the_margin_is_as_good(
    one_of_many: ControlInput, monkeypatch: pytest.MonkeyPatch, others: float, holds: bool
) -> None:
    """The best of all groups counts; their mean is only told."""
    given, scores = bounded(one_of_many, monkeypatch, 0.25), iter([0.0, others, 0.0, 0.0, 0.0])
    monkeypatch.setattr(
        Selector, "best_of", lambda own, labels, units: (0, Score(next(scores), 0.5))
    )
    control = controls.random_100_best(given)
    assert control.holds == holds
    assert control.figures["accuracy"] == {"mean": others / 5, "max": others}
    reached = f"reaches {others / 5:.2f} on average and {others:.2f} at most"
    assert reached in control.meaning and control.shown == f"{others / 5:.3f}"


@pytest.mark.parametrize(
    ("ngrams", "probe", "holds", "sentence"),
    [
        (0.5, 0.75, True, "knows more than short pieces of text show"),
        (0.625, 0.75, False, "show as much as the neuron"),
        (0.875, 0.75, False, "show as much as the neuron"),
        (1.0, 0.875, False, "no more than the probe"),
        (1.0, 0.75, False, "more than the network's states"),
    ],
)
def test_n_grams_within_the_margin_show_as_much(
    one_of_many: ControlInput,
    monkeypatch: pytest.MonkeyPatch,
    ngrams: float,
    probe: float,
    holds: bool,
    sentence: str,
) -> None:
    given = bounded(one_of_many, monkeypatch, 0.125)
    monkeypatch.setattr(controls, "ngram_score", lambda *_: Score(ngrams, 0.5))
    counts: Any = SimpleNamespace(size=1234)
    control = controls.ngram(replace(given, probe_score=Score(probe, probe)), counts)
    assert (control.holds, sentence in control.meaning) == (holds, True)
    assert control.figures == {"accuracy": ngrams, "auc": 0.5, "ngrams": 1234, "lengths": [1, 4]}
    assert "on 1,234 character n-grams of 1 to 4 reaches" in control.meaning


@pytest.mark.parametrize(
    ("best", "probe", "holds", "sentence"),
    [
        (0.25, 0.25, True, "training made the difference"),
        (0.25, 0.5, True, "for the neuron, but not for the probe"),
        (0.5, 0.25, False, "the neuron needs no training"),
    ],
)
def test_an_untrained_network_within_the_margin_is_as_good(
    one_of_many: ControlInput,
    monkeypatch: pytest.MonkeyPatch,
    best: float,
    probe: float,
    holds: bool,
    sentence: str,
) -> None:
    """Its best neuron is column 205: unit 5 of layer 2, where a layer has a hundred."""
    assert controls.UNTRAINED_UNITS > 100
    config = ModelConfig(vocab_size=9, embedding_size=3, hidden_size=100, num_layers=3)
    network: Any = SimpleNamespace(config=config)
    given = replace(bounded(one_of_many, monkeypatch, 0.25), network=network)
    opened: list[Any] = []

    def open_reader(*asked: Any) -> Any:
        opened.extend(asked)
        return network

    monkeypatch.setattr(controls, "open_reader", open_reader)
    monkeypatch.setattr(controls, "initial_weights", lambda config, seed: (config, seed))
    monkeypatch.setattr(controls, "read_features", lambda *_: given.features)
    monkeypatch.setattr(Selector, "best_of", lambda own, labels: (205, Score(best, 0.5)))
    monkeypatch.setattr(Probe, "score", lambda *_: Score(probe, 0.5))
    control = controls.untrained(given, 7, 2)
    assert opened == [config, (config, 7), 2]
    assert control.holds == holds and control.meaning.endswith(sentence)
    assert control.figures["unit"] == {"layer": 2, "unit": 5, "accuracy": best, "auc": 0.5}
    assert control.figures["probe"]["accuracy"] == probe
    assert control.figures["probe"]["nonzero"] >= 1


@pytest.mark.parametrize(("there", "holds"), [(0.25, True), (0.5, False)])
@pytest.mark.parametrize(
    ("protocol", "place"), [("position", "random positions"), ("final", "a random place")]
)
def test_a_place_within_the_margin_makes_no_difference(
    one_of_many: ControlInput,
    monkeypatch: pytest.MonkeyPatch,
    there: float,
    holds: bool,
    protocol: str,
    place: str,
) -> None:
    given = bounded(one_of_many, monkeypatch, 0.25)
    given = replace(given, examples=replace(given.examples, protocol=protocol))
    monkeypatch.setattr(controls, "score_of", lambda *_: Score(0.5, there))
    control = controls.chance_positions(given)
    assert control.holds == holds
    assert f"read at {place} " in control.meaning
    assert control.meaning.endswith("the place counts" if holds else "makes no difference")
    assert control.figures["auc_at_its_place"] == 0.75 and control.figures["draws"] == 1


@pytest.mark.parametrize(("reached", "holds"), [(0.625, True), (0.75, False)])
def test_permutations_that_do_as_well_are_told(
    one_of_many: ControlInput, monkeypatch: pytest.MonkeyPatch, reached: float, holds: bool
) -> None:
    """The best of twenty counts. In each of both parts the labels stay what they are in number."""
    given = bounded(one_of_many, monkeypatch, 0.25)
    labels, test, train = given.examples.labels_N, given.selector.test, given.selector.train
    mixed, fitted = [], []

    def best_of(own: Selector, labels_N: np.ndarray) -> tuple[int, Score]:
        mixed.append(labels_N)
        return 0, Score(reached if len(mixed) == 9 else 0.5, 0.5)

    def fit(values: Any, labels_N: np.ndarray, part: Any, *, strengths: Any) -> Probe:
        fitted.append(labels_N)
        assert strengths == (given.probe.strength,)
        return given.probe

    monkeypatch.setattr(Selector, "best_of", best_of)
    monkeypatch.setattr(Selector, "finds_any", lambda own, *_: len(mixed) % 4 == 0)
    monkeypatch.setattr(controls, "fit_probe", fit)
    control = controls.permuted(given)
    assert (len(mixed), len(fitted)) == (20, 5)
    assert all(np.array_equal(one, other) for one, other in zip(mixed, fitted, strict=False))
    for own in mixed:
        assert not np.array_equal(own[train], labels[train])
        assert not np.array_equal(own[test], labels[test])
        assert own[train].sum() == labels[train].sum() and own[test].sum() == labels[test].sum()
    assert control.holds == holds
    figures = control.figures
    assert figures["unit"]["accuracy"]["max"] == reached
    assert (figures["unit"]["permutations"], figures["probe"]["permutations"]) == (20, 5)
    assert figures["reported"] == 5 and "reported in 5 of 20 permutations" in control.meaning
    assert control.meaning.endswith("does not explain it" if holds else "would do as well")


@pytest.mark.parametrize(("without", "holds"), [(0.25, True), (0.5, False)])
def test_an_ablation_within_the_margin_takes_nothing(
    one_of_many: ControlInput, monkeypatch: pytest.MonkeyPatch, without: float, holds: bool
) -> None:
    """What is lost is measured against another neuron that is held, not against none."""
    config = ModelConfig(vocab_size=9, embedding_size=3, hidden_size=300)
    network: Any = SimpleNamespace(config=config)
    given = replace(bounded(one_of_many, monkeypatch, 0.25), network=network)
    scores = iter([Score(0.75, 0.75), Score(without, 0.5), Score(0.75, 0.5)])
    monkeypatch.setattr(controls, "read_features", lambda *_, **__: given.features)
    monkeypatch.setattr(controls, "bits_per_char", lambda *_, **__: 1.0)
    monkeypatch.setattr(Probe, "score", lambda *_: next(scores))
    control = controls.ablation(given)
    assert control.holds == holds
    intact = {"intact": 0.75, "ablated": without, "other_ablated": 0.75}
    assert control.figures["probe_accuracy"] == intact
    assert control.figures["probe_auc"] == {"intact": 0.75, "ablated": 0.5, "other_ablated": 0.5}
    assert control.shown == f"{without:.3f}"


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_margins_are_of_what_is_said_of_independent_examples(sign: float) -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(400) < 0.5
    values = rng.normal(size=(400, 30))
    values[:, 5] += sign * 1.5 * labels
    case = case_of(values, labels)
    independent = np.arange(400) % 3 > 0
    given = replace(case, examples=replace(case.examples, independent_N=independent))
    assert given.column == 5 and given.neuron.sign == sign
    test = given.selector.test
    own, true, counted = given.features.seen_NU[test], labels[test], independent[test]
    said = own[:, 5] > given.threshold if sign > 0 else own[:, 5] < given.threshold
    assert given.margin == accuracy_error(said, true, counted)
    said = given.probe.scores(own) > 0.0
    assert given.probe_margin == accuracy_error(said, true, counted)
    assert given.auc_margin == auc_error(given.neuron.auc, true[counted])
    # A value of just the threshold says no.
    cut = float(own[np.flatnonzero(counted)[0], 5])
    said = own[:, 5] > cut if sign > 0 else own[:, 5] < cut
    assert replace(given, threshold=cut).margin == accuracy_error(said, true, counted)


@pytest.mark.parametrize(("units", "groups", "size"), [(101, 1, 100), (102, 5, 100), (2, 1, 1)])
def test_groups_are_of_other_neurons_each_once(units: int, groups: int, size: int) -> None:
    rng = np.random.default_rng(1)
    labels = rng.random(200) < 0.5
    values = rng.normal(size=(200, units))
    values[:, 1] += 4.0 * labels
    drawn = controls._groups(case_of(values, labels))
    assert [len(group) for group in drawn] == [size] * groups
    assert all(len(set(group.tolist()) - {1}) == size for group in drawn)


def test_a_network_of_one_neuron_is_compared_with_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is no other one to hold, so holding it can make no difference."""
    rng = np.random.default_rng(1)
    labels = rng.random(200) < 0.5
    case = case_of(rng.normal(size=(200, 1)) + 4.0 * labels[:, None], labels)
    config = ModelConfig(vocab_size=9, embedding_size=3, hidden_size=1)
    network: Any = SimpleNamespace(config=config)
    monkeypatch.setattr(controls, "read_features", lambda *_, **__: case.features)
    monkeypatch.setattr(controls, "bits_per_char", lambda *_, **__: 1.0)
    control = controls.ablation(replace(case, network=network))
    assert control.figures["other"] == control.figures["neuron"] == {"layer": 0, "unit": 0}
    assert not control.holds


def test_a_wide_network_is_compared_with_several_narrow_ones(
    switched_model: SavedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other weights each, and as many units together, those of a layer side by side."""
    monkeypatch.setattr(controls, "UNTRAINED_UNITS", 20)
    seeds: list[int] = []

    def weights(config: ModelConfig, seed: int) -> Any:
        assert (config.hidden_size, config.num_layers) == (20, 2)
        seeds.append(seed)
        return seed

    def read(network: Any, *_: Any) -> Any:
        layers = [np.full((3, 20), 10 * network + layer) for layer in range(2)]
        return SimpleNamespace(seen_NU=np.concatenate(layers, axis=1))

    monkeypatch.setattr(controls, "initial_weights", weights)
    monkeypatch.setattr(controls, "open_reader", lambda config, weights, threads: weights)
    monkeypatch.setattr(controls, "read_features", read)
    config = replace(switched_model.config, hidden_size=50, num_layers=2)
    given: Any = SimpleNamespace(
        network=SimpleNamespace(config=config), examples=None, quantity="cell"
    )
    units = controls._untrained_units(given, 7, 1)
    assert seeds == [7, 8, 9]
    row = [70] * 20 + [80] * 20 + [90] * 10
    assert units.tolist() == [row + [value + 1 for value in row]] * 3


@pytest.mark.parametrize(("tie", "width", "embedding"), [(True, 50, 20), (False, 7, 7)])
def test_narrow_networks_have_vectors_that_fit(
    monkeypatch: pytest.MonkeyPatch, tie: bool, width: int, embedding: int
) -> None:
    """As wide as the states where the same vectors are read and written, else as in the model."""
    monkeypatch.setattr(controls, "UNTRAINED_UNITS", 20)
    config = ModelConfig(vocab_size=9, embedding_size=width, hidden_size=50, tie=tie)
    made: list[int] = []

    def weights(config: ModelConfig, seed: int) -> None:
        made.append(config.embedding_size)

    read = SimpleNamespace(seen_NU=np.zeros((3, 20)))
    monkeypatch.setattr(controls, "initial_weights", weights)
    monkeypatch.setattr(controls, "open_reader", lambda *_: None)
    monkeypatch.setattr(controls, "read_features", lambda *_: read)
    given: Any = SimpleNamespace(
        network=SimpleNamespace(config=config), examples=None, quantity="cell"
    )
    assert controls._untrained_units(given, 7, 1).shape == (3, 50)
    assert made == [embedding] * 3


def test_so_many_held_out_tokens_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole documents, up to the one in which the bound is reached; those of training are not."""
    part = np.array([HELD_OUT, FIT, HELD_OUT, HELD_OUT, HELD_OUT, HELD_OUT])
    examples = replace(
        labelled_examples(np.arange(6) % 2 == 0, part),
        documents=[np.zeros(size, np.int64) for size in (4, 100, 6, 5)],
        document_N=np.array([0, 1, 2, 0, 3, 3]),
    )
    for limit, rows in ((9, [0, 2, 3]), (10, [0, 2, 3]), (11, [0, 2, 3, 4, 5]), (4, [0, 3])):
        monkeypatch.setattr(controls, "ABLATED_TOKENS", limit)
        assert controls._first_held_out(examples).tolist() == rows


@pytest.mark.parametrize(("threshold", "held"), [(None, "mean of the neuron"), (0.5, "own mean")])
def test_what_is_no_single_neuron_is_read_and_clamped_by_itself(
    one_of_many: ControlInput, threshold: float | None, held: str
) -> None:
    rows, places = np.arange(500.0)[:, None], np.arange(12.0).reshape(4, 3, 1)
    read: Any = SimpleNamespace(seen_NU=rows, chance_MKU=places)
    clamped: list[tuple[float, float]] = []
    target: Any = SimpleNamespace(
        threshold=threshold, mean=9.0, edit=lambda *how: clamped.append(how)
    )
    given = replace(one_of_many, column=None, target=(target, read))
    assert given.values_N.tolist() == rows[:, 0].tolist()
    assert given.chance_MK.tolist() == places[:, :, 0].tolist()
    assert given.others.tolist() == list(range(300))
    controls._clamp(given)
    assert clamped == [(0.0, 9.0 if held == "own mean" else given.neuron.mean)]


def test_what_tells_the_same_of_all_takes_nothing_out(one_of_many: ControlInput) -> None:
    """Each place is at the beginning: its log-odds are one number, which has no slope."""
    examples = replace(one_of_many.examples, protocol="position")
    control = controls.length(replace(one_of_many, examples=examples))
    assert control.meaning.startswith("how much was read before alone reaches ")
    residual = control.figures["residual"]
    assert residual["accuracy"] == one_of_many.neuron.accuracy
    assert residual["auc"] == one_of_many.neuron.auc
    assert control.holds


def test_what_tells_the_training_part_nothing_takes_nothing_out(one_of_many: ControlInput) -> None:
    """The slope is learned there, whatever the log-odds of the held-out part are."""
    examples = one_of_many.examples
    log_odds = np.where(examples.held_out_N & examples.labels_N, -20.0, 0.0)
    control = controls._without(one_of_many, log_odds, name="none", figures={}, what="it")
    residual = control.figures["residual"]
    assert residual["accuracy"] == one_of_many.neuron.accuracy
    assert residual["auc"] == one_of_many.neuron.auc
    assert control.holds


def test_a_straight_line_of_log_odds_is_taken_out_wherever_their_mean_lies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.5
    log_odds = rng.normal(size=200) + labels + 5.0
    case = case_of(3.0 * log_odds[:, None] + 7.0, labels)
    looked_at = []

    def selector(rest_N1: np.ndarray, *words: Any) -> Selector:
        looked_at.append(rest_N1)
        return Selector(rest_N1, *words)

    monkeypatch.setattr(controls, "Selector", selector)
    controls._without(case, log_odds, name="line", figures={}, what="the line")
    [rest_N1] = looked_at
    assert rest_N1.shape == (200, 1)
    assert np.ptp(rest_N1) < 1e-4


def by_position(examples: Examples, runs: np.ndarray) -> Examples:
    """The same examples as positions of one text: in those runs, each in a block of its own."""
    return replace(examples, protocol="position", run_N=runs)


def test_runs_of_labels_are_permuted_whole() -> None:
    """As many, as long, at other places; one of each counts, whatever its label is now."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 90)
    runs = np.repeat(np.arange(90), lengths)
    labels = runs % 2 == 0
    part = np.array([FIT, VALIDATION, HELD_OUT])[runs * 3 // 90]
    examples = by_position(labelled_examples(labels, part), runs)
    mixed = examples.permuted(rng)
    for where in (FIT, VALIDATION, HELD_OUT):
        rows = part == where
        assert sorted(mixed.run_N[rows]) == sorted(runs[rows])
        assert mixed.labels_N[rows].sum() == labels[rows].sum()
        assert (mixed.labels_N[rows] != labels[rows]).any()
    # Examples of a run stand beside each other, and have its label.
    assert np.count_nonzero(np.diff(mixed.run_N)) == 89
    np.testing.assert_array_equal(mixed.labels_N, mixed.run_N % 2 == 0)
    counted = mixed.run_N[mixed.independent_N]
    assert len(set(counted.tolist())) == len(counted) == 90


def test_units_that_drift_are_lucky_more_often_than_single_positions_show() -> None:
    """Where neighbours are alike in label and in state, chance reaches more."""
    rng = np.random.default_rng(0)
    runs = np.arange(1200) // 60
    labels = runs % 2 == 0
    drifting = case_of(np.cumsum(rng.normal(size=(1200, 40)), axis=0), labels)
    part = np.array([FIT, VALIDATION, HELD_OUT])[np.arange(1200) * 3 // 1200]
    examples = by_position(replace(drifting.examples, part_N=part), runs)
    drifting = replace(
        drifting, examples=examples, selector=Selector(drifting.features.seen_NU, examples)
    )
    by_run = controls.permuted(drifting)
    alone = replace(drifting, examples=replace(examples, run_N=np.arange(1200)))
    one_by_one = controls.permuted(alone)
    assert by_run.figures["unit"]["accuracy"]["max"] > 0.7
    assert one_by_one.figures["unit"]["accuracy"]["max"] < 0.65
    assert by_run.figures["reported"] <= 4
    assert "permuted runs of labels" in by_run.meaning


@pytest.mark.parametrize(("knows", "left"), [("length", False), ("both", True)])
def test_what_the_length_tells_is_taken_out(knows: str, left: bool) -> None:
    """A unit that counts tokens knows nothing else; one that has the label beside it does."""
    rng = np.random.default_rng(3)
    labels = rng.random(600) < 0.5
    sizes = np.exp(5.0 + 0.8 * labels + rng.normal(size=600))
    values = rng.normal(size=(600, 4))
    values[:, 2] += 3.0 * np.log(sizes) + (1.5 * labels if knows == "both" else 0.0)
    case = case_of(values, labels)
    case = replace(case, examples=replace(case.examples, place_N=sizes.astype(np.int64)))
    assert case.column == 2 and case.neuron.accuracy > 0.6
    control = controls.length(case)
    assert control.holds == left
    residual = control.figures["residual"]["accuracy"]
    assert control.shown == f"{residual:.3f}"
    assert control.figures["accuracy"] == pytest.approx(0.65, abs=0.06)
    assert (residual > 0.6) == left and (residual < 0.58) == (not left)
    assert control.meaning.startswith("the length of the text alone reaches 0.")


def test_the_log_odds_of_lengths_follow_their_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the lengths of both kinds are log-normal, with one middle, they are known exactly."""
    rng, doublings = np.random.default_rng(1), np.arange(7)
    labels = np.arange(8000) % 2 == 0
    narrow, wide = (np.exp(-(((doublings - 3) / sd) ** 2) / 2) for sd in (1.0, 2.0))
    narrow, wide = narrow / narrow.sum(), wide / wide.sum()
    drawn = np.where(
        labels, rng.choice(doublings, 8000, p=narrow), rng.choice(doublings, 8000, p=wide)
    )
    part = np.resize([FIT, FIT, VALIDATION, HELD_OUT, HELD_OUT], 8000)
    # Each is read at the last of 1, 2, 4, ... 64 tokens, which are counted from 0.
    examples = replace(labelled_examples(labels, part), place_N=2**drawn - 1)
    monkeypatch.setattr(controls, "_without", lambda given, scores_N, **_: scores_N)
    given: Any = SimpleNamespace(examples=examples)
    scores_N: Any = controls.length(given)
    true_N, test = np.log(narrow / wide)[drawn], examples.held_out_N
    assert np.corrcoef(scores_N[test], true_N[test])[0, 1] > 0.999


@pytest.mark.parametrize("left", [False, True])
def test_what_n_grams_tell_is_taken_out(left: bool) -> None:
    """A unit that counts a word knows nothing else, though it tells the labels well."""
    rng = np.random.default_rng(4)
    labels = rng.random(600) < 0.5
    says = np.where(rng.random(600) < 0.85, labels, ~labels)
    texts = ["good" if own else "drab" for own in says.tolist()]
    values = rng.normal(size=(600, 4))
    values[:, 1] += 3.0 * says + (2.0 * labels if left else 0.0)
    case = case_of(values, labels, texts=texts)
    assert case.column == 1 and case.neuron.accuracy > 0.75
    control = controls.telling_ngrams(case, NgramCounts(case.examples))
    assert control.figures["accuracy"] == pytest.approx(0.85, abs=0.05)
    assert {"good", "drab"} <= set(control.figures["ngrams"])
    assert control.holds == left
    residual = control.figures["residual"]["accuracy"]
    assert (residual > 0.6) == left and (residual < 0.57) == (not left)
    end = "knows something else" if left else "nothing is left beyond chance"
    assert control.meaning.endswith(end)


def test_marks_and_spaces_among_n_grams_are_shown_by_signs() -> None:
    """A place ends with a mark of its own, which no terminal shows."""
    labels = np.arange(100) % 2 == 0
    texts = ["a b\x03" if label else "\0\nc\x03" for label in labels.tolist()]
    case = case_of(labels[:, None] + np.zeros((1, 2)), labels, texts=texts)
    meaning = controls.telling_ngrams(case, NgramCounts(case.examples)).meaning
    assert not set(meaning) & set("\x03\0\n")
    counts: Any = SimpleNamespace(
        fit_telling=lambda rows: lambda others: np.zeros(len(others)),
        telling=lambda rows: ["b\x03", "\0\nc", "x y"],
    )
    meaning = controls.telling_ngrams(case, counts).meaning
    assert "('b‹here›', '‹end›↵c', 'x␣y', ...)" in meaning
    counts.telling = lambda rows: list("abcdef")
    control = controls.telling_ngrams(case, counts)
    assert "the 6 most telling n-grams ('a', 'b', 'c', 'd', 'e', ...)" in control.meaning
    assert control.figures["ngrams"] == list("abcdef")


def test_permuted_labels_are_one_for_copies_of_a_text() -> None:
    """Their states are equal, so with two labels chance would look worse than it is."""
    labels = np.repeat(np.arange(90) % 2 == 0, 3)
    groups = np.tile(np.arange(90), 3)
    labels = labels.reshape(90, 3).T.ravel()
    part = np.resize([FIT, VALIDATION, HELD_OUT], 90)[groups]
    examples = replace(labelled_examples(labels, part), group_N=groups)
    mixed = examples.permuted(np.random.default_rng(0)).labels_N
    assert (mixed.reshape(3, 90) == mixed[:90]).all()
    for where in (FIT, VALIDATION, HELD_OUT):
        assert mixed[part == where].sum() == labels[part == where].sum()
        assert (mixed != labels)[part == where].any()


@pytest.mark.parametrize(
    ("auc", "chance", "holds"), [(0.75, 0.25, True), (0.75, 0.375, False), (0.5, 0.0, False)]
)
def test_what_is_left_is_more_than_chance_or_nothing(
    one_of_many: ControlInput,
    monkeypatch: pytest.MonkeyPatch,
    auc: float,
    chance: float,
    holds: bool,
) -> None:
    """A chance of just `alpha` is small enough; an AUC of just one half is none."""
    found = SimpleNamespace(accuracy_U=[0.625], auc_U=[auc], p_value_U=[chance])
    monkeypatch.setattr(Selector, "find", lambda *_: found)
    control = controls.length(replace(one_of_many, alpha=0.25))
    assert control.holds == holds
    assert control.figures["residual"] == {"accuracy": 0.625, "auc": auc, "p_value": chance}


def of_latents(case: ControlInput, neurons_NH: np.ndarray) -> ControlInput:
    """The columns of a case as latents, and the neurons that they are learned of."""
    dictionary: Any = SimpleNamespace(layer=1)
    return replace(case, latents=dictionary, neurons_NH=neurons_NH.astype(np.float32))


def test_a_latent_stands_beside_the_best_neuron(one_of_many: ControlInput) -> None:
    labels_N = one_of_many.examples.labels_N
    noise = np.random.default_rng(3).normal(size=(len(labels_N), 20))
    control = controls.best_neuron(of_latents(one_of_many, noise))
    assert control.holds and control.figures["unit"]["layer"] == 1
    assert control.meaning.endswith("the dictionary made the difference")
    noise[:, 7] += 4.0 * labels_N
    control = controls.best_neuron(of_latents(one_of_many, noise))
    assert not control.holds and control.figures["unit"]["unit"] == 7
    # A neuron that is as good within the error of the figure does as well.
    assert control.figures["unit"]["accuracy"] == pytest.approx(
        one_of_many.neuron.accuracy, abs=one_of_many.margin
    )
    assert control.shown == f"{control.figures['unit']['accuracy']:.3f}"
    assert "the best neuron, 1:7, reaches" in control.meaning


def test_a_latent_stands_beside_as_many_random_directions(one_of_many: ControlInput) -> None:
    labels_N = one_of_many.examples.labels_N
    noise = np.random.default_rng(3).normal(size=(len(labels_N), 20))
    control = controls.random_directions(of_latents(one_of_many, noise))
    assert control.holds and control.figures["directions"] == 300
    # One neuron that is far stronger than all others is in each direction.
    noise[:, 7] += 400.0 * labels_N
    control = controls.random_directions(of_latents(one_of_many, noise))
    assert not control.holds and control.figures["accuracy"] > 0.95
    assert control.meaning.endswith("others do as well")


@pytest.mark.parametrize("over", [-0.01, 0.0, 0.01])
def test_the_margin_decides_between_a_latent_and_its_rivals(
    one_of_many: ControlInput, monkeypatch: pytest.MonkeyPatch, over: float
) -> None:
    given = of_latents(one_of_many, np.random.default_rng(3).normal(size=(500, 20)))
    monkeypatch.setattr(ControlInput, "margin", property(lambda _: 0.1))
    for control in (controls.best_neuron, controls.random_directions):
        figures = control(replace(given, rng=np.random.default_rng(0))).figures
        rival = figures.get("unit", figures)["accuracy"]
        neuron = replace(given.neuron, accuracy=rival + 0.1 + over)  # Exactly the margin is none.
        again = control(replace(given, rng=np.random.default_rng(0), neuron=neuron))
        assert again.holds == (over > 0)


def test_a_latent_is_held_at_the_mean_of_what_its_encoder_reads(one_of_many: ControlInput) -> None:
    """It is silent at most places, so the mean of its activation is another number."""
    latents = {4: latent(mean=0.3), 5: latent(mean=0.4)}
    dictionary: Any = SimpleNamespace(layer=0, target=latents.__getitem__)
    given = replace(one_of_many, latents=dictionary)
    held = controls._clamp_column(given, 4)
    assert (held.scale, held.shift) == (0.0, pytest.approx(0.3))
    assert controls._clamp(given).shift == pytest.approx(0.4)


def test_a_latent_is_compared_with_another_latent_of_its_dictionary(
    one_of_many: ControlInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one can be held as well, and is named by its number in that layer."""
    movable = np.isin(np.arange(300), [5, 217])
    dictionary: Any = SimpleNamespace(layer=1, movable_K=movable, target=latent)
    held: list[Edit] = []

    def read_features(*_: Any, edits: tuple[Edit, ...], **__: Any) -> Features:
        held.extend(edits)
        return one_of_many.features

    monkeypatch.setattr(controls, "latents_and_neurons", lambda _: None)
    monkeypatch.setattr(controls, "read_features", read_features)
    monkeypatch.setattr(controls, "bits_per_char", lambda *_, **__: 1.0)
    neuron = replace(one_of_many.neuron, layer=1, quantity="latent")
    control = controls.ablation(replace(one_of_many, latents=dictionary, neuron=neuron))
    assert len(held) == 2
    assert control.figures["neuron"] == {"layer": 1, "unit": 5}
    assert control.figures["other"] == {"layer": 1, "unit": 217}
    assert control.meaning.startswith("with latent:5 held at its mean ")
    assert "(with latent:217, drawn at random, to " in control.meaning
