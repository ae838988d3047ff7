"""The probe: what it is fitted on, and where its strength is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from support.labelled import labelled_examples

from textgen.probing.examples import FIT, HELD_OUT, VALIDATION
from textgen.probing.probe import (
    NGRAM_STRENGTHS,
    NgramCounts,
    Probe,
    cross_fitted,
    fit_probe,
    ngram_score,
)
from textgen.probing.statistics import accuracy

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
COUNT, UNITS = 240, 40


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of which two columns know a little, labels, and parts; far more columns than that."""
    rng = np.random.default_rng(3)
    labels = rng.random(COUNT) < 0.4
    values = rng.normal(size=(COUNT, UNITS)).astype(np.float32)
    values[:, 3] += 0.8 * labels
    values[:, 7] -= 0.8 * labels
    return values, labels, np.resize([FIT, FIT, FIT, VALIDATION, HELD_OUT], COUNT)


def same(one: Probe, other: Probe) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("center_U", "scale_U", "weight_U", "intercept", "strength")
    )


Change = Callable[[np.ndarray, np.ndarray], None]


def other_values(values: np.ndarray, labels: np.ndarray) -> None:
    values += 100.0


def other_labels(values: np.ndarray, labels: np.ndarray) -> None:
    labels[:] = ~labels


@pytest.mark.parametrize("change", [other_values, other_labels])
def test_nothing_of_the_held_out_part_is_learned(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], change: Change
) -> None:
    values, labels, part = case
    probe = fit_probe(values, labels, part, strengths=STRENGTHS)
    held_out, other = part == HELD_OUT, (values.copy(), labels.copy())
    changed = other[0][held_out], other[1][held_out]
    change(*changed)
    other[0][held_out], other[1][held_out] = changed
    assert same(fit_probe(*other, part, strengths=STRENGTHS), probe)
    # Both other parts are learned from.
    for own in (FIT, VALIDATION):
        other = values.copy(), labels.copy()
        other[0][part == own, 3] += 1.0
        assert not same(fit_probe(*other, part, strengths=STRENGTHS), probe)


def test_the_strength_is_the_one_that_does_best_on_the_validation_part(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    values, labels, part = case
    probe = fit_probe(values, labels, part, strengths=STRENGTHS)
    ready = (values - probe.center_U) / probe.scale_U
    fit, check = part == FIT, part == VALIDATION
    found, fitted = [], []
    for strength in STRENGTHS:
        model = LogisticRegression(
            l1_ratio=1.0,
            C=strength,
            solver="liblinear",
            class_weight="balanced",
            intercept_scaling=10.0,
            random_state=0,
            tol=1e-2,
        ).fit(ready[fit], labels[fit])
        found.append(accuracy(model.decision_function(ready[check]) > 0.0, labels[check]))
        fitted.append(accuracy(model.decision_function(ready[fit]) > 0.0, labels[fit]))
    best = int(np.argmax(found))
    assert best != int(np.argmax(fitted)), "the part that it is fitted on would choose another"
    assert probe.strength == STRENGTHS[best]
    assert probe.validation_accuracy == found[best]


def test_of_equal_strengths_the_first_is_taken_and_one_alone_is_not_tried(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    values, labels, part = case
    twice = fit_probe(values, labels, part, strengths=(0.5, 0.5000001))
    assert twice.strength == 0.5
    alone = fit_probe(values, labels, part, strengths=(0.5,))
    assert alone.validation_accuracy == -1.0
    assert np.array_equal(alone.weight_U, twice.weight_U)


def test_a_score_is_the_weighted_sum_of_standardised_values(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    values, labels, part = case
    values[:, 5] = 2.0  # A column that does not vary has no weight, and divides by nothing.
    probe = fit_probe(values, labels, part, strengths=STRENGTHS)
    train = values[part != HELD_OUT].astype(np.float64)
    np.testing.assert_allclose(probe.center_U, train.mean(axis=0), rtol=1e-9)
    spread = train.std(axis=0)
    spread[5] = 1.0
    np.testing.assert_allclose(probe.scale_U, spread, rtol=1e-9)
    assert probe.weight_U[5] == 0.0
    assert 0 < probe.nonzero == np.count_nonzero(probe.weight_U) < UNITS
    wanted = ((values - train.mean(axis=0)) / spread) @ probe.weight_U + probe.intercept
    np.testing.assert_allclose(probe.scores(values), wanted, rtol=1e-6, atol=1e-9)


def test_n_grams_are_those_of_the_training_part() -> None:
    """What only held-out texts show is no n-gram, and what they show is measured, not learned."""
    rng = np.random.default_rng(0)
    labels = rng.random(100) < 0.5
    part = np.resize([FIT, FIT, VALIDATION, HELD_OUT], 100)
    texts = ["yes" if label else "no" for label in labels.tolist()]
    examples = labelled_examples(labels, part, texts)
    counts = NgramCounts(examples)
    score = ngram_score(examples, counts)
    assert (score.accuracy, score.auc) == (1.0, 1.0)
    # y, e, s, ye, es, yes; n, o, no.
    assert counts.size == 9
    for number in np.flatnonzero(part == HELD_OUT).tolist():
        texts[number] = "other"
    examples = labelled_examples(labels, part, texts)
    counts = NgramCounts(examples)
    score = ngram_score(examples, counts)
    assert counts.size == 9
    assert (score.accuracy, score.auc) == (0.5, 0.5)
    assert len(NGRAM_STRENGTHS) > 1


def test_the_most_telling_n_grams_are_those_that_go_with_the_labels() -> None:
    """Chosen on the rows that are given; a rare one that tells all it can comes later."""
    rng = np.random.default_rng(0)
    labels = rng.random(300) < 0.5
    part = np.resize([FIT, FIT, VALIDATION, HELD_OUT], 300)
    kinds = np.where(rng.random(300) < 0.9, labels, ~labels)
    texts = [f"{'q' if kind else 'z'} {rng.choice(list('abcde'))}" for kind in kinds.tolist()]
    counts = NgramCounts(labelled_examples(labels, part, texts))
    train = np.flatnonzero(part != HELD_OUT)
    assert {name.strip() for name in counts.telling(train)[:4]} == {"q", "z"}
    own = train[~labels[train] | (kinds[train] != labels[train])]
    assert counts.telling(own) != counts.telling(train)


def test_no_example_is_told_by_a_model_that_was_fitted_to_it() -> None:
    labels = np.arange(60) % 2 == 0
    part = np.resize([FIT, VALIDATION, HELD_OUT], 60)
    examples = labelled_examples(labels, part)
    fitted: list[set[int]] = []

    def fit(rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        own = set(rows.tolist())
        fitted.append(own)
        assert not own & set(np.flatnonzero(part == HELD_OUT).tolist())

        def told(others: np.ndarray) -> np.ndarray:
            assert not own & set(others.tolist())
            return others + 1.0

        return told

    np.testing.assert_array_equal(cross_fitted(examples, fit), np.arange(60) + 1.0)
    assert [len(own) for own in fitted] == [32] * 5 + [40]


def test_no_copy_of_a_text_is_told_by_a_model_that_was_fitted_to_it() -> None:
    """Labels of no pattern: what learned them by heart tells its copies, and nothing else."""
    rng = np.random.default_rng(0)
    groups = np.tile(np.arange(60), 3)
    labels = (rng.random(60) < 0.5)[groups]
    part = np.where(groups < 50, FIT, HELD_OUT)
    examples = replace(labelled_examples(labels, part), group_N=groups)

    def fit(rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda others: np.isin(groups[others], groups[rows]).astype(float)

    assert not cross_fitted(examples, fit).any()
