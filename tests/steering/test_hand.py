"""Steering by hand: what is set when, what of it acts, and the schedule that it comes to."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.made_up_targets import direction, latent, neuron

from textgen.cli.live import live_steering
from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.steering import Intervention, LiveSteering, SteeringPlan, parse_specs


def ask(steering: LiveSteering, *chars: int) -> list[float | None]:
    """The doses that act at characters, by what is done to the state."""
    doses: list[float | None] = []
    for char in chars:
        edits = steering.edits_at(char, 1)
        doses.append((edits[-1].shift - 1.0) / 0.5 if edits else None)
    return doses


def test_a_dose_acts_from_the_next_character_that_is_asked_for() -> None:
    steering = LiveSteering(neuron())
    assert ask(steering, 0, 1, 2) == [None, None, None]
    steering.dose = 1.5
    assert ask(steering, 3, 4) == [1.5, 1.5]
    steering.dose = -2
    assert ask(steering, 5) == [-2]
    steering.release()
    assert ask(steering, 6, 7) == [None, None]
    assert steering.spec(8) == "0:2.c=+1.5@3..5,-2@5"
    assert [steering.dose_at(char) for char in range(8)] == [
        *(None, None, None),
        *(1.5, 1.5),
        *(-2, None, None),
    ]


def test_keys() -> None:
    steering = LiveSteering(neuron())
    steering.raise_()
    assert steering.dose == 0.5
    steering.release()
    assert steering.dose is None
    steering.lower()
    steering.lower()
    assert steering.dose == -1.0
    steering.zero()
    assert steering.dose == 0.0
    for _ in range(100):
        steering.raise_()
    assert steering.dose == 10.0
    for _ in range(100):
        steering.lower()
    assert steering.dose == -10.0


def test_a_key_rounds_to_what_can_be_typed() -> None:
    steering = LiveSteering(neuron(), 1 / 3)
    steering.raise_()
    assert steering.dose == 0.833333


def test_what_a_model_lacks_is_refused_whether_by_hand_or_before() -> None:
    enough = ModelConfig(vocab_size=5, embedding_size=2, hidden_size=9)
    base = SteeringPlan(parse_specs(["0:8=1"], lambda name: neuron(8)))
    LiveSteering(neuron(2), base=base).check(enough)
    with pytest.raises(ConfigError, match="no neuron 8"):
        LiveSteering(neuron(2), base=base).check(replace(enough, hidden_size=8))
    with pytest.raises(ConfigError, match="no neuron 9"):
        LiveSteering(neuron(9), base=base).check(enough)


def test_what_is_changed_back_between_two_characters_leaves_no_trace() -> None:
    steering = LiveSteering(neuron(), 1.0)
    ask(steering, 0, 1)
    steering.raise_()
    steering.raise_()
    steering.zero()
    steering.dose = 1.0
    ask(steering, 2)
    steering.release()
    steering.dose = 1.0
    ask(steering, 3)
    assert steering.spec(4) == "0:2.c=+1@0..4"
    # Twice before the next one: the last counts, from there.
    steering.raise_()
    steering.raise_()
    ask(steering, 4, 5)
    assert steering.spec(6) == "0:2.c=+1@0..4,+2@4..6"


def test_the_schedule_ends_with_the_text() -> None:
    """What acts on the state after the last character has chosen none."""
    steering = LiveSteering(neuron(), 1.0)
    ask(steering, 0, 1, 2)
    steering.dose = 2.0
    ask(steering, 3)
    assert steering.spec(3) == "0:2.c=+1@0..3"
    assert steering.spec(2) == "0:2.c=+1@0..2"
    assert steering.spec(0) is None
    assert LiveSteering(neuron()).spec(5) is None


def test_released_and_taken_again() -> None:
    steering = LiveSteering(neuron(), 1.0)
    ask(steering, 0)
    steering.release()
    ask(steering, 1, 2)
    steering.dose = 1.0
    ask(steering, 3)
    assert steering.spec(4) == "0:2.c=+1@0,+1@3"


def test_dose_zero_is_no_release() -> None:
    steering = LiveSteering(neuron(), 0.0)
    assert ask(steering, 0) == [0.0]
    assert steering.spec(1) == "0:2.c=+0@0"


def test_whole_words_skip_characters() -> None:
    """Only the first character of a word is asked for."""
    steering = LiveSteering(neuron())
    ask(steering, 0)
    steering.dose = 1.0
    ask(steering, 5)
    assert steering.dose_at(4) is None
    assert steering.dose_at(5) == steering.dose_at(8) == 1.0
    assert steering.spec(9) == "0:2.c=+1@5..9"


def test_a_character_that_was_asked_for_keeps_its_dose() -> None:
    steering = LiveSteering(neuron())
    ask(steering, 0, 1)
    steering.dose = 1.0
    assert ask(steering, 1) == [None]
    assert ask(steering, 2) == [1.0]
    steering.dose = 2.0
    assert ask(steering, 0, 1, 2, 3) == [None, None, 1.0, 2.0]


def test_the_schedule_is_a_plan_that_acts_alike() -> None:
    mood = direction(mean=0.25, sd=0.75)
    base = SteeringPlan([Intervention(target=neuron(3), dose=1.0, mode="add")])
    steering = LiveSteering(mood, base=base)
    acted = []
    for char, dose in enumerate([None, 0.5, 0.5, -3.25, None, None, 0.1, 0.0, 0.0]):
        steering.dose = dose
        acted.append(steering.edits_at(char, 1))
    spec = steering.spec(9)
    assert spec == "mood=+0.5@1..3,-3.25@3,+0.1@6,+0@7..9"
    plan = SteeringPlan([*base.interventions, *parse_specs([spec], lambda name: mood)])
    for char, edits in enumerate(acted):
        again = plan.edits_at(char, 1)
        assert [(e.scale, e.shift, e.unit) for e in again] == [
            (e.scale, e.shift, e.unit) for e in edits
        ]
    # What stood before acts first, so that the hand has the last word.
    assert acted[1][0].unit == 3
    assert acted[0] == base.edits_at(0, 1)


def test_equal_doses_are_the_same_object() -> None:
    """So that whoever asks need not read a token again."""
    steering = LiveSteering(neuron(), 1.0)
    first = steering.edits_at(0, 1)
    assert steering.edits_at(1, 1) is first
    steering.dose = 2.0
    assert steering.edits_at(2, 1) is not first
    steering.dose = 1.0
    assert steering.edits_at(3, 1) is first


def test_what_it_tells_a_cursor() -> None:
    by_sentence = SteeringPlan(parse_specs(["0:3=1@s2.."], lambda name: neuron(3)))
    steering = LiveSteering(neuron(), base=by_sentence)
    assert steering.counts_sentences and not LiveSteering(neuron()).counts_sentences
    assert steering.edits_at(0, 1) == () and len(steering.edits_at(1, 2)) == 1
    assert [steering.next_change(char) for char in (0, 7)] == [1, 8]


@pytest.mark.parametrize("spec", ["0:2=+1", "0:2=off@40..", "0:2=-1@s2"])
def test_a_target_is_held_by_one_hand(spec: str) -> None:
    base = SteeringPlan(parse_specs([spec], lambda name: neuron()))
    with pytest.raises(ConfigError, match="steered by hand and by"):
        LiveSteering(neuron(), base=base)


def test_a_target_may_be_moved_before_it_is_held() -> None:
    base = SteeringPlan(parse_specs(["0:2=+1:add"], lambda name: neuron()))
    assert len(LiveSteering(neuron(), 1.0, base).edits_at(0, 1)) == 2


@pytest.mark.parametrize("dose", [float("nan"), float("inf")])
def test_a_dose_is_finite(dose: float) -> None:
    steering = LiveSteering(neuron(), 1.0)
    with pytest.raises(ConfigError, match="not finite"):
        steering.dose = dose
    assert steering.dose == 1.0


def test_a_latent_is_added_to_by_hand() -> None:
    model = SimpleNamespace(target=lambda name: latent())
    steering = live_steering(model, "latent:3=+1", None)  # type: ignore[arg-type]
    (edit,) = steering.edits_at(0, 1)
    assert (edit.scale, edit.shift) == (1.0, 2.0)
    assert steering.spec(1) == "latent:3=+1@0"
    (again,) = parse_specs([steering.spec(1) or ""], lambda name: latent())
    assert again.edit.shift == 2.0 and again.mode == "add"
    with pytest.raises(ConfigError, match="TARGET=DOSE"):
        live_steering(model, "latent:3=+1:clamp", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--lines", "a form is an option of its own, beside it: --live 0:137 --lines ..."),
        ("match-line=.+", "a form is an option of its own, beside it: --live 0:137 --match-line"),
        ("--temperature", "--temperature is an option of its own"),
    ],
)
def test_an_option_is_nothing_that_keys_steer(typed: str, told: str) -> None:
    model = SimpleNamespace(target=None, saved_names=[])
    with pytest.raises(ConfigError, match=f"it takes what the keys steer, and {told}"):
        live_steering(model, typed, None)  # type: ignore[arg-type]


def test_a_direction_may_have_the_name_of_an_option() -> None:
    mood = direction()
    model = SimpleNamespace(target={"match": mood}.__getitem__, saved_names=["match"])
    assert live_steering(model, "match", None).target is mood  # type: ignore[arg-type]
