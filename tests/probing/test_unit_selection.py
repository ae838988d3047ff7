"""Units are chosen on the training part, confirmed on the rest, and rarely found in noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from support.labelled import labelled_examples
from support.planted import SWITCHED, switched_text

from textgen.checkpoint import SavedModel
from textgen.model.engine import open_reader
from textgen.probing import FindOptions, PositionTask, regex_property
from textgen.probing.activations import read_features
from textgen.probing.examples import FIT, HELD_OUT, VALIDATION, Examples
from textgen.probing.search import make_examples
from textgen.probing.unit_selection import Selector
from textgen.view_options import ALPHA


@pytest.fixture
def noise() -> tuple[np.ndarray, Examples]:
    """Three hundred examples, fifty units that know nothing."""
    rng = np.random.default_rng(0)
    part = np.repeat([FIT, VALIDATION, HELD_OUT], 100)
    labels = rng.permuted(np.tile([True, False], (3, 50)), axis=1).ravel()
    return rng.normal(size=(300, 50)).astype(np.float32), labelled_examples(labels, part)


def test_a_unit_that_knows_is_found_with_its_sign(noise: tuple[np.ndarray, Examples]) -> None:
    values, examples = noise
    values[:, 7] -= 2.5 * examples.labels_N
    table = Selector(values, examples).find(examples.labels_N)
    assert np.flatnonzero(table.found_U).tolist() == [7]
    assert (table.chosen, table.sign_U[7]) == (7, -1)
    assert table.auc_U[7] > 0.9
    assert table.train_auc_U[7] < 0.1
    assert table.accuracy_U[7] > 0.8
    assert -2.0 < table.threshold_U[7] < -0.5


@pytest.mark.parametrize("where", ["held out", "training"])
def test_a_unit_that_knows_one_part_alone_is_not_reported(
    noise: tuple[np.ndarray, Examples], where: str
) -> None:
    """Perfect on what is measured but not on what was chosen on, or the other way round."""
    values, examples = noise
    rows = examples.held_out_N if where == "held out" else examples.train_N
    values[:, 8] = values[:, 7]
    values[rows, 7] = 5.0 * examples.labels_N[rows]
    values[rows, 8] = -5.0 * examples.labels_N[rows]
    table = Selector(values, examples).find(examples.labels_N)
    assert not table.found_U.any()
    if where == "held out":
        # One of the two lies the way that its sign, taken from noise, says.
        assert sorted(table.auc_U[[7, 8]]) == [0.0, 1.0]
        assert (table.p_value_U[[7, 8]] < 1e-10).all()
        assert table.chosen not in (7, 8)
    else:
        assert table.chosen in (7, 8)
        assert 0.3 < table.auc_U[7] < 0.7


def test_a_unit_that_turns_round_is_not_reported(noise: tuple[np.ndarray, Examples]) -> None:
    """High for the positive kind in training and low for it in what is measured."""
    values, examples = noise
    values[:, 7] = np.where(examples.held_out_N, -5.0, 5.0) * examples.labels_N
    table = Selector(values, examples).find(examples.labels_N)
    assert table.p_value_U[7] < 1e-10
    assert table.auc_U[7] == 0.0
    assert not table.found_U[7]


def test_figures_are_of_the_held_out_part(noise: tuple[np.ndarray, Examples]) -> None:
    """Nothing that is reported of held-out text changes what is chosen."""
    values, examples = noise
    values[:, 7] += 2.0 * examples.labels_N
    before = Selector(values, examples).find(examples.labels_N)
    rows = np.flatnonzero(examples.held_out_N)
    mixed = values.copy()
    mixed[rows] = values[np.random.default_rng(1).permutation(rows)]
    after = Selector(mixed, examples).find(examples.labels_N)
    np.testing.assert_array_equal(before.threshold_U, after.threshold_U)
    np.testing.assert_array_equal(before.train_auc_U, after.train_auc_U)
    assert after.auc_U[7] < 0.7 < before.auc_U[7]


def test_the_best_on_training_is_that_whatever_is_measured(
    noise: tuple[np.ndarray, Examples],
) -> None:
    """Unit 7 is the best on training and 8 the only one that held-out text confirms."""
    values, examples = noise
    values[examples.train_N, 7] += 4.0 * examples.labels_N[examples.train_N]
    values[:, 8] += 2.0 * examples.labels_N
    table = Selector(values, examples).find(examples.labels_N)
    assert np.flatnonzero(table.found_U).tolist() == [8]
    assert table.chosen == 7


@pytest.mark.parametrize("part", ["training", "held out"])
def test_too_few_to_find_anything(noise: tuple[np.ndarray, Examples], part: str) -> None:
    """Not even a unit that is the label itself could be found."""
    values, examples = noise
    assert Selector(values, examples).can_find(examples.labels_N)
    few = examples.train_N if part == "training" else examples.held_out_N
    examples.independent_N[np.flatnonzero(few)[6:]] = False
    values[:, 0] = examples.labels_N
    selector = Selector(values, examples)
    assert not selector.can_find(examples.labels_N)
    assert not selector.finds_any(examples.labels_N)


def test_examples_that_depend_on_each_other_are_counted_once() -> None:
    """Ten copies of each example give no smaller a p-value."""
    rng = np.random.default_rng(2)
    labels = rng.random(120) < 0.5
    part = np.where(np.arange(120) < 60, FIT, HELD_OUT)
    part[40:60] = VALIDATION
    values = rng.normal(size=(120, 4)).astype(np.float32) + 0.5 * labels[:, None]
    once = Selector(values, labelled_examples(labels, part)).find(labels)
    copied = labelled_examples(np.repeat(labels, 10), np.repeat(part, 10))
    first = np.arange(1200) % 10 == 0
    object.__setattr__(copied, "independent_N", first)
    many = Selector(np.repeat(values, 10, axis=0), copied).find(copied.labels_N)
    np.testing.assert_allclose(once.p_value_U, many.p_value_U)
    np.testing.assert_allclose(once.auc_U, many.auc_U)


def test_the_correction_is_for_the_number_of_units() -> None:
    """Of 1,000 units that know nothing some look good by luck, in both parts."""
    rng = np.random.default_rng(3)
    examples = labelled_examples(
        rng.permuted(np.tile([True, False], (3, 50)), axis=1).ravel(),
        np.repeat([FIT, VALIDATION, HELD_OUT], 100),
    )
    found = 0
    for _ in range(20):
        selector = Selector(rng.normal(size=(300, 1000)).astype(np.float32), examples)
        found += selector.finds_any(examples.labels_N)
    assert found <= stats.binom.ppf(0.999, 20, ALPHA)


def test_nothing_is_found_in_shuffled_labels(switched_model: SavedModel) -> None:
    """On 50 shuffles of one model's labels any finding is as rare as stated.

    If each had a chance of `ALPHA`, more findings than the bound would come once in 1,000 times.
    """
    task = PositionTask(
        ids=switched_model.vocabulary.encode(switched_text(60_000, seed=5)),
        holds=regex_property(SWITCHED),
        name="on",
        source="made up",
    )
    rng = np.random.default_rng(0)
    examples = make_examples(switched_model, task, FindOptions(positions=1500), rng)
    network = open_reader(switched_model.config, switched_model.weights, 1)
    selector = Selector(read_features(network, examples, "cell").seen_NU, examples)
    assert selector.finds_any(examples.labels_N)
    shuffles = 50
    found = sum(
        bool(selector.find(rng.permutation(examples.labels_N)).found_U.any())
        for _ in range(shuffles)
    )
    assert found <= stats.binom.ppf(0.999, shuffles, ALPHA)
    # Quick and full search agree on what is found.
    mixed = rng.permutation(examples.labels_N)
    assert selector.finds_any(mixed) == bool(selector.find(mixed).found_U.any())
