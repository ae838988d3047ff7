"""Rank statistics against SciPy and against counting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from textgen.probing import statistics
from textgen.probing.statistics import Ranks, accuracy, holm, thresholds


@pytest.fixture(params=[3, 256])
def data(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[np.ndarray, np.ndarray]:
    """Columns with few ties, many, and nothing but one value; labels."""
    monkeypatch.setattr(statistics, "_COLUMNS", request.param)
    rng = np.random.default_rng(0)
    labels = rng.random(80) < 0.4
    values = rng.normal(size=(80, 7)).astype(np.float32)
    values[:, 0] += 2 * labels
    values[:, 1] -= 3 * labels
    values[:, 2] = np.round(values[:, 2])
    values[:, 3] = labels
    values[:, 6] = 4.0
    return values, labels


def test_auc_and_p_value_are_scipys(data: tuple[np.ndarray, np.ndarray]) -> None:
    values, labels = data
    ranks = Ranks(values)
    for column in range(6):
        test = stats.mannwhitneyu(
            values[labels, column], values[~labels, column], method="asymptotic",
            use_continuity=False,
        )  # fmt: skip
        pairs = labels.sum() * (~labels).sum()
        assert ranks.auc(labels)[column] == pytest.approx(test.statistic / pairs)
        assert ranks.p_values(labels)[column] == pytest.approx(test.pvalue, rel=1e-6)
    assert ranks.auc(labels)[6] == 0.5
    assert ranks.p_values(labels)[6] == 1.0


def test_one_kind_alone_tells_nothing() -> None:
    values = np.arange(3.0)[:, None]
    for count in range(4):
        assert Ranks(values[:count]).p_values(np.ones(count, bool)).tolist() == [1.0]


def test_thresholds_are_the_best_cuts(data: tuple[np.ndarray, np.ndarray]) -> None:
    """No other cut tells the kinds apart better; the cut never hits a value."""
    values, labels = data
    signs = np.where(Ranks(values).auc(labels) >= 0.5, 1, -1)
    cuts = thresholds(values, labels, signs)
    for column in range(6):
        own, sign = values[:, column].astype(float), signs[column]
        reached = accuracy(own * sign > cuts[column] * sign, labels)
        tried = np.unique(own)
        best = max(accuracy(own * sign > cut * sign, labels) for cut in tried)
        assert reached == pytest.approx(best)
        assert cuts[column] not in own
    assert cuts[6] == 4.0


def test_holm_steps_down_among_all() -> None:
    corrected = holm(np.array([0.02, 0.001, 0.9]), among=10)
    np.testing.assert_allclose(corrected, [0.18, 0.01, 1.0])


def test_a_larger_p_value_is_never_corrected_to_a_smaller_one() -> None:
    """0.021 alone would stay; but 0.02, which is smaller, becomes 0.04."""
    corrected = holm(np.array([0.001, 0.021, 0.02]), among=3)
    np.testing.assert_allclose(corrected, [0.003, 0.04, 0.04])


def test_accuracy_of_guessing_is_a_half_however_rare_a_kind_is() -> None:
    labels = np.array([True] + [False] * 9)
    assert accuracy(np.zeros(10, bool), labels) == 0.5
    assert accuracy(labels, labels) == 1.0
