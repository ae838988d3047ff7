"""`--steer` as it is typed, read and printed again; when it acts."""

from __future__ import annotations

import pytest
from support.made_up_targets import direction, neuron

from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS
from textgen.steering import SteeringPlan, Target, parse_spec, parse_specs


def target(name: str) -> Target:
    if name == "mood":
        return direction()
    return neuron(int(name.split(":")[1].split(".")[0]), name=name)


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("0:2=+2", "0:2=+2"),
        ("0:2=2", "0:2=+2"),
        (" mood = -1.5:add ", "mood=-1.5:add"),
        ("mood=−1.5", "mood=-1.5"),
        ("0:2.h=.5:scale", "0:2.h=+0.5:scale"),
        ("0:2=off", "0:2=off"),
        ("0:2=:off@5..", "0:2=off@5.."),
        ("mood=-2@0..60,+2@60..", "mood=-2@0..60 mood=+2@60.."),
        ("mood=-2@s1,+2@s2..", "mood=-2@s1 mood=+2@s2.."),
        ("mood=1@7", "mood=+1@7"),
        ("mood=0.1234567890123", "mood=+0.1234567890123"),
        ("mood=1e-07:add", "mood=+1e-07:add"),
    ],
)
def test_a_specification_is_read_and_printed(typed: str, printed: str) -> None:
    plan = SteeringPlan(parse_specs([typed], target))
    assert str(plan) == plan.headline == printed
    again = SteeringPlan(parse_specs(str(plan).split(" "), target))
    assert [p.dose for p in again.interventions] == [p.dose for p in plan.interventions]
    assert str(again) == printed


def test_a_plan_of_nothing_says_so() -> None:
    assert SteeringPlan([]).headline == "steers nothing"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("0:2", "does not say what to steer"),
        ("=2", "does not say what to steer"),
        ("0:2=", "does not say what to steer"),
        ("0:2=much", "is not a dose"),
        ("0:2=2,,3", "is not a dose"),
        ("0:2=1:push", "'push' in '0:2=1:push' is unknown; choose: clamp, add, scale, off"),
        ("0:2=1@", "not a part of a text"),
        ("0:2=1@5..s7", "not a part of a text"),
        ("0:2=1@s0", "counted from 1"),
        ("0:2=1@7..7", "is empty"),
        ("0:2=nan", "is not a dose"),
        ("0:2=2,5", "written with a point"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_type(typed: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_spec(typed, target)


def test_a_plan_says_what_acts_at_each_character() -> None:
    plan = SteeringPlan(parse_specs(["0:2=1@2..4", "0:3=1@3..", "mood=1@s2"], target))
    shifts = [[e.unit for e in plan.edits_at(char, 1)] for char in range(5)]
    assert shifts == [[], [], [2], [2, 3], [3]]
    assert plan.edits_at(0, 1) is NO_EDITS
    assert plan.edits_at(4, 1) is plan.edits_at(9, 1)
    assert [e.unit for e in plan.edits_at(4, 2)] == [3, None]
    assert [plan.next_change(char) for char in range(5)] == [2, 2, 3, 4, None]
    assert plan.counts_sentences and not plan.is_constant
    assert SteeringPlan(parse_specs(["0:2=1", "0:3=off"], target)).is_constant
    assert not SteeringPlan(parse_specs(["0:2=1", "0:3=off@3.."], target)).is_constant


def test_a_plan_tells_each_of_its_parts() -> None:
    plan = SteeringPlan(parse_specs(["0:2=1", "mood=off@3.."], target))
    first, second = plan.interventions
    assert plan.describe() == [first.describe(), second.describe()]
    assert plan.to_json() == [first.to_json(), second.to_json()]
    assert [part["spec"] for part in plan.to_json()] == ["0:2=+1", "mood=off@3.."]
    assert [part["dose"] for part in plan.to_json()] == [1.0, 0.0]


def test_what_a_model_lacks_is_refused_by_the_whole_plan() -> None:
    plan = SteeringPlan(parse_specs(["0:2=1", "0:19=1:add"], target))
    plan.check(ModelConfig(vocab_size=5, embedding_size=2, hidden_size=20))
    with pytest.raises(ConfigError, match="no neuron 19"):
        plan.check(ModelConfig(vocab_size=5, embedding_size=2, hidden_size=19))


@pytest.mark.parametrize(
    "specs",
    [
        ["0:2=1", "0:2=2"],
        ["0:2=1", "0:2=off@5.."],
        ["mood=1@0..9,2@8.."],
        ["mood=1@s1..3", "mood=2@s2"],
        ["0:2=1", "0:2=2@s1"],
    ],
)
def test_two_values_at_once_are_refused(specs: list[str]) -> None:
    with pytest.raises(ConfigError, match="at two values"):
        SteeringPlan(parse_specs(specs, target))


def test_two_names_of_one_neuron_are_one_target() -> None:
    def known_by_two(name: str) -> Target:
        return neuron(2, name=name)

    with pytest.raises(ConfigError, match="at two values"):
        SteeringPlan(parse_specs(["0:2=1", "praise=2"], known_by_two))


@pytest.mark.parametrize(
    "specs",
    [
        ["0:2=1", "0:3=2"],
        ["0:2=1@0..5", "0:2=2@5.."],
        ["0:2=1:add", "0:2=1:add"],
        ["0:2=1", "mood=1"],
        # Whether the second sentence begins before character 60, nobody knows.
        ["0:2=1@0..60", "0:2=2@s2"],
    ],
)
def test_what_can_go_together_may(specs: list[str]) -> None:
    assert SteeringPlan(parse_specs(specs, target)).interventions
