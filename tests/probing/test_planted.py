"""What was planted in a corpus is found in a model of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.planted import (
    GENDERED,
    MEN,
    SWITCHED,
    WOMEN,
    enclosed_text,
    gendered_text,
    late_cue_texts,
    masculine,
    switched_text,
)

from textgen.checkpoint import SavedModel
from textgen.probing import (
    FindOptions,
    FindReport,
    LabelledTexts,
    PositionTask,
    feature_property,
    find,
    regex_property,
)
from textgen.probing.examples import Property


def find_in(model: SavedModel, text: str, holds: Property, **options: object) -> FindReport:
    task = PositionTask(
        ids=model.vocabulary.encode(text), holds=holds, name="planted", source="made up"
    )
    settings: dict[str, object] = {"positions": 2000, "threads": 1, **options}
    return find(model, task, FindOptions(**settings))  # type: ignore[arg-type]


PLANTED: dict[str, tuple[str, Callable[..., str], Property]] = {
    "hidden state": ("switched_model", switched_text, regex_property(SWITCHED)),
    "quotes": ("enclosed_model", enclosed_text, feature_property("inside-quotes")[0]),
    "bracket depth": ("enclosed_model", enclosed_text, feature_property("bracket-depth")[0]),
    "gender": ("gendered_model", gendered_text, masculine),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_a_neuron_that_carries_it_is_found(name: str, request: pytest.FixtureRequest) -> None:
    """On text that no model was trained on."""
    fixture, text, holds = PLANTED[name]
    report = find_in(request.getfixturevalue(fixture), text(60_000, seed=9), holds)
    assert report.chosen in report.neurons
    assert report.chosen.auc >= 0.95
    assert report.neurons[0].auc >= report.neurons[-1].auc
    assert all(neuron.p_corrected <= report.alpha for neuron in report.neurons)
    assert report.probe_score.auc >= 0.95
    # Each control, of these neurons, with something to tell.
    controls = report.to_json()["controls"]
    assert controls["permuted"]["unit"]["accuracy"]["mean"] < 0.62
    assert controls["permuted"]["reported"] <= 4
    assert controls["chance_positions"]["accuracy"]["mean"] < 0.65
    assert controls["chance_positions"]["auc_at_its_place"] == report.chosen.auc
    assert controls["ablation"]["probe_accuracy"]["intact"] == report.probe_score.accuracy
    assert controls["ablation"]["probe_accuracy"]["ablated"] < report.probe_score.accuracy - 0.1
    bits = controls["ablation"]["bits_per_char"]
    assert bits["ablated"] > bits["intact"]
    # Gender is spread over many neurons: the others still know it while one of them is clamped.
    if name != "gender":
        assert bits["ablated"] > bits["other_ablated"] + 0.05


def test_the_pattern_of_a_name_is_the_gender() -> None:
    """Two ways to say where a man is spoken of; they part only within names."""
    text = gendered_text(3000)
    inside = regex_property(GENDERED)(text)
    between = ~regex_property("|".join(MEN + WOMEN))(text)
    assert (inside == masculine(text))[between].all()
    assert 0.3 < inside.mean() < 0.7


def test_texts_with_a_late_cue(switched_model: SavedModel) -> None:
    """Their end knows it, their middle does not, and only the last words do."""
    texts, labels = late_cue_texts(400, seed=3)
    task = LabelledTexts(
        texts=tuple(texts), labels=tuple(labels), positive="on", negative="off", source="made up"
    )
    final = find(switched_model, task, FindOptions(protocol="final", threads=1))
    assert final.data["protocol"] == "final"
    assert final.chosen.auc >= 0.95
    controls = final.to_json()["controls"]
    assert controls["chance_positions"]["auc"]["mean"] < final.chosen.auc - 0.3
    assert controls["chance_positions"]["holds"]
    mean = find(switched_model, task, FindOptions(protocol="mean", threads=1))
    assert mean.data["protocol"] == "mean"
    assert mean.chosen.auc < final.chosen.auc - 0.05


@pytest.mark.parametrize("quantity", ["cell", "hidden"])
def test_either_state_can_be_searched(switched_model: SavedModel, quantity: str) -> None:
    report = find_in(
        switched_model, switched_text(30_000, seed=8), regex_property(SWITCHED), quantity=quantity
    )
    assert {neuron.quantity for neuron in report.neurons} == {quantity}
    assert quantity.split()[0] in str(report.data["features"])
