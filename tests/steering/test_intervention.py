"""What an intervention does to the value of its target: the algebra of steering."""

from __future__ import annotations

import numpy as np
import pytest
from support.made_up_targets import direction, latent, neuron

from textgen.errors import ConfigError
from textgen.steering import Intervention, SteeringPlan, Target

X = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)


def value(target: Target, x: np.ndarray) -> np.ndarray:
    """The target's coordinate in each row."""
    return np.array([target.value({"c": x}, row) for row in range(len(x))])


def done(target: Target, dose: float, mode: str, x: np.ndarray = X) -> np.ndarray:
    return Intervention(target=target, dose=dose, mode=mode).edit.apply(x)  # type: ignore[arg-type]


TARGETS = [neuron(), direction()]


@pytest.mark.parametrize("target", TARGETS, ids=["neuron", "direction"])
def test_doses_are_measured_in_standard_deviations(target: Target) -> None:
    close = {"rtol": 1e-5, "atol": 1e-5}
    for dose in (-2.0, 0.0, 1.5):
        held = value(target, done(target, dose, "clamp"))
        np.testing.assert_allclose(held, target.mean + dose * target.sd, **close)
        added = value(target, done(target, dose, "add"))
        np.testing.assert_allclose(added, value(target, X) + dose * target.sd, **close)
        scaled = value(target, done(target, dose, "scale"))
        np.testing.assert_allclose(scaled, dose * value(target, X), **close)


@pytest.mark.parametrize("target", TARGETS, ids=["neuron", "direction"])
def test_the_algebra_holds(target: Target) -> None:
    twice = done(target, 1.0, "add", done(target, 1.0, "add"))
    np.testing.assert_allclose(twice, done(target, 2.0, "add"), rtol=1e-5, atol=1e-5)
    back = done(target, -1.5, "add", done(target, 1.5, "add"))
    np.testing.assert_allclose(back, X, rtol=1e-5, atol=1e-5)
    assert (done(target, 1.0, "scale") == X).all()
    assert (done(target, 0.0, "add") == X).all()
    assert (done(target, 0.0, "off") == done(target, 0.0, "scale")).all()
    held = done(target, 2.0, "clamp")
    np.testing.assert_allclose(done(target, 2.0, "clamp", held), held, rtol=1e-5, atol=1e-5)


def test_a_negative_sign_turns_doses_and_nothing_else() -> None:
    falling, rising = neuron(sign=-1), neuron()
    for mode in ("clamp", "add"):
        assert (done(falling, 2.0, mode) == done(rising, -2.0, mode)).all()
    assert (done(falling, 2.0, "scale") == done(rising, 2.0, "scale")).all()


def test_it_says_what_it_does_on_which_scale() -> None:
    part = Intervention(target=neuron(info={"calibrated_on": "the training text"}), dose=2.0)
    assert part.describe() == (
        "0:2.c=+2: neuron 0:2 cell; mean 1, standard deviation 0.5 on the training text"
    )
    assert part.to_json()["span"] == "0.."


def test_a_cell_that_is_held_where_nobody_feels_it_is_said_to_be() -> None:
    """A cell may count far up, where the network, which sees tanh of it, tells nothing apart."""
    far = {"mean": 27.7, "sd": 9.0}
    for dose, mode, unfelt in ((2.0, "clamp", True), (-2.5, "add", True), (-3.0, "clamp", False)):
        part = Intervention(target=neuron(**far), dose=dose, mode=mode)  # type: ignore[arg-type]
        assert part.is_unfelt == unfelt
        assert ("steer the output: 0:2.h" in part.describe()) == unfelt
    assert not Intervention(target=neuron(), dose=2.0).is_unfelt
    assert not Intervention(target=neuron(state="h", **far), dose=2.0).is_unfelt
    assert Intervention(target=neuron(mean=-27.7, sd=9.0), dose=2.0).is_unfelt


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(
    ("mean", "sd", "dose", "unfelt"),
    [
        # It usually lies within two standard deviations of the mean.
        *((5.5, 1.0, 1.0, True), (5.0, 1.0, 1.0, False), (4.0, 1.0, 2.0, False)),
        (6.0, 2.0, 1.0, False),
        # Beyond 3 as a rule, and moved back to where tanh is steep.
        (5.5, 1.0, -4.0, False),
    ],
)
def test_a_cell_is_unfelt_where_all_its_usual_values_are_beyond_three(
    side: float, mean: float, sd: float, dose: float, unfelt: bool
) -> None:
    target = neuron(mean=side * mean, sd=sd)
    assert Intervention(target=target, dose=side * dose).is_unfelt == unfelt
    falling = neuron(mean=side * mean, sd=sd, sign=-1)
    assert Intervention(target=falling, dose=-side * dose).is_unfelt == unfelt


def test_without_a_dose_a_target_is_held_at_its_mean() -> None:
    target = neuron()
    part = Intervention(target=target)
    np.testing.assert_allclose(value(target, part.edit.apply(X)), target.mean)
    assert str(part) == "0:2.c=+0"


@pytest.mark.parametrize("mean", [-1.5, 2.0], ids=["mostly silent", "mostly on"])
def test_a_latent_is_off_where_it_reads_nothing(mean: float) -> None:
    target = latent(mean=mean)
    zero = X - value(target, X)[:, None] * target.write
    assert (target.readings(zero) > 0.5).all()
    assert (target.readings(done(target, 0.0, "off")) == 0.0).all()
    assert (target.readings(done(target, 0.0, "scale")) == 0.0).all()
    doubled = done(target, 2.0, "scale", zero)
    np.testing.assert_allclose(target.readings(doubled), 2 * target.readings(zero), rtol=1e-4)
    assert (done(target, 1.0, "scale") == X).all()


def test_a_dose_of_a_latent_is_added_where_nothing_is_said() -> None:
    assert Intervention(target=latent(), dose=2.0).mode == "add"
    assert Intervention(target=direction(), dose=2.0).mode == "clamp"


@pytest.mark.parametrize("wrong", [{"dose": float("nan")}, {"mode": "push"}])
def test_what_is_no_intervention_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Intervention(target=neuron(), **wrong)  # type: ignore[arg-type]


def test_a_plan_is_shown_as_it_is_described() -> None:
    plan = SteeringPlan([Intervention(target=neuron(), dose=2.0)])
    assert list(plan.parts()) == plan.describe() != []
