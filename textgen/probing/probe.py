"""Logistic regression on many neurons and on character n-grams.

This is the only module that imports scikit-learn. The strength of the penalty is chosen on the
validation part; then the model is fitted on the whole training part.

Shape suffixes: `N` examples, `U` units.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import BackendError
from textgen.extras import install_hint
from textgen.probing.examples import FIT, HELD_OUT, VALIDATION, Examples
from textgen.probing.statistics import (
    Bools,
    Doubles,
    Floats,
    Ints,
    Score,
    accuracy,
    score_of,
)
from textgen.progress import task, track

#: Inverse strengths of the penalty, weakest last, as in the sentiment neuron's own code.
STRENGTHS = tuple(2.0**power for power in range(-8, 1))
#: Lengths of the character n-grams, how many are used, and the inverse strengths tried for them.
NGRAM_RANGE = (1, 4)
NGRAM_FEATURES = 100_000
NGRAM_STRENGTHS = (1.0, 10.0, 100.0)
#: Only the first characters of a longer text count for the n-grams.
NGRAM_CHARS = 3000


def require_sklearn() -> None:
    """Raise `BackendError`, which says how to install it, if scikit-learn is missing."""
    try:
        with task("loading scikit-learn"):
            import sklearn  # noqa: F401
    except ImportError as error:
        raise BackendError(
            "this search needs scikit-learn, which is not installed; "
            f"{install_hint('scikit-learn')}"
        ) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """A logistic regression on neurons.

    Args:
        center_U: Mean of each neuron over the training part.
        scale_U: Its standard deviation there; 1 for a neuron that does not vary.
        weight_U: Weight of each standardised neuron.
        intercept: Added to the weighted sum.
        strength: The inverse strength of the penalty that was chosen.
        validation_accuracy: Its accuracy on the validation part with that strength.
    """

    center_U: Doubles
    scale_U: Doubles
    weight_U: Doubles
    intercept: float
    strength: float
    validation_accuracy: float

    def scores(self, values_NU: NDArray[np.floating]) -> Doubles:
        """The log-odds of the positive kind, `(N,)`."""
        moved = (values_NU - self.center_U) / self.scale_U
        result: Doubles = moved @ self.weight_U + self.intercept
        return result

    def score(self, values_MU: Floats, labels_M: Bools) -> Score:
        """The figures of the probe on some examples."""
        return score_of(self.scores(values_MU), labels_M)

    @property
    def nonzero(self) -> int:
        """How many neurons have a weight."""
        return int(np.count_nonzero(self.weight_U))


def fit_probe(
    values_NU: Floats,
    labels_N: Bools,
    part_N: Ints,
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """Fit a logistic regression with an L1 penalty; both kinds have the same weight.

    Source: Radford, Jozefowicz and Sutskever 2017, arXiv:1704.01444, section 3.1.

    Args:
        values_NU: The neurons.
        labels_N: The labels; those of the held-out part are not used.
        part_N: The part of each example.
        strengths: Inverse strengths of the penalty to choose from, smallest first.
    """
    require_sklearn()
    with task("loading scikit-learn"):
        from sklearn.linear_model import LogisticRegression

    train_N = part_N != HELD_OUT
    center_U = values_NU[train_N].mean(axis=0, dtype=np.float64)
    scale_U = values_NU[train_N].std(axis=0, dtype=np.float64)
    # What hardly varies is rounding or a rare outlier; scaling must not turn it into a feature.
    scale_U = np.where(scale_U > 1e-3 * np.maximum(1.0, np.abs(center_U)), scale_U, np.inf)
    ready_NU = (values_NU - center_U) / scale_U

    def model(strength: float) -> Any:
        return LogisticRegression(
            l1_ratio=1.0,
            C=strength,
            solver="liblinear",
            class_weight="balanced",
            # liblinear penalises the intercept too; this makes it nearly free.
            intercept_scaling=10.0,
            random_state=0,
            tol=1e-2,
        )

    fitted, strength, reached = _choose(
        model, strengths, lambda rows: ready_NU[rows], labels_N, part_N
    )
    return Probe(
        center_U=center_U,
        scale_U=np.where(np.isinf(scale_U), 1.0, scale_U),
        weight_U=fitted.coef_[0].astype(np.float64),
        intercept=float(fitted.intercept_[0]),
        strength=strength,
        validation_accuracy=reached,
    )


def ngram_score(examples: Examples) -> tuple[Score, int]:
    """The score of logistic regression on character n-grams, and how many n-grams it uses."""
    require_sklearn()
    with task("loading scikit-learn"):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

    train = np.flatnonzero(examples.train_N)
    test = np.flatnonzero(examples.held_out_N)
    texts = [text[:NGRAM_CHARS] for text in examples.contexts(np.arange(len(examples.labels_N)))]
    vectorizer = TfidfVectorizer(
        analyzer="char",
        ngram_range=NGRAM_RANGE,
        min_df=2,
        max_features=NGRAM_FEATURES,
        sublinear_tf=True,
        lowercase=False,
        dtype=np.float32,
    )
    vectorizer.fit([texts[i] for i in train.tolist()])
    counts = vectorizer.transform(texts)

    def model(strength: float) -> Any:
        return LogisticRegression(
            C=strength, solver="liblinear", class_weight="balanced", random_state=0
        )

    fitted, _, _ = _choose(
        model, NGRAM_STRENGTHS, lambda rows: counts[rows], examples.labels_N, examples.part_N
    )
    score = score_of(fitted.decision_function(counts[test]), examples.labels_N[test])
    return score, len(vectorizer.vocabulary_)


def _choose(
    model: Callable[[float], Any],
    strengths: Sequence[float],
    rows: Callable[[Ints], Any],
    labels_N: Bools,
    part_N: Ints,
) -> tuple[Any, float, float]:
    """The model whose strength is best on the validation part, fitted on the training part.

    Returns:
        The model, its strength, and its accuracy on the validation part.
    """
    from sklearn.exceptions import ConvergenceWarning

    fit, check = np.flatnonzero(part_N == FIT), np.flatnonzero(part_N == VALIDATION)
    train = np.flatnonzero(part_N != HELD_OUT)
    best, reached = strengths[0], -1.0
    with warnings.catch_warnings():
        # A fit that stops early is good enough: the figures are measured on held-out text.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if len(strengths) > 1:
            for strength in track(strengths, "fitting a probe", len(strengths)):
                fitted = model(strength).fit(rows(fit), labels_N[fit])
                found = accuracy(fitted.decision_function(rows(check)) > 0.0, labels_N[check])
                if found > reached:
                    best, reached = strength, found
        return model(best).fit(rows(train), labels_N[train]), best, reached
