"""Logistic regression on many neurons and on character n-grams.

The strength of the penalty is chosen on the
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
#: How many n-grams are the most telling ones.
TELLING = 100
#: Parts of the training part, of which each is told by a model of the others.
FOLDS = 5


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


class NgramCounts:
    """How often each character n-gram stands in each example: tf-idf of the most frequent ones.

    Rows of what `of` gives are examples, columns are n-grams.

    Args:
        examples: The labelled examples; n-grams are those of the training part.
    """

    def __init__(self, examples: Examples) -> None:
        require_sklearn()
        with task("loading scikit-learn"):
            from sklearn.feature_extraction.text import TfidfVectorizer

        self._train = np.flatnonzero(examples.train_N)
        self._test = np.flatnonzero(examples.held_out_N)
        vectorizer = TfidfVectorizer(
            analyzer="char",
            ngram_range=NGRAM_RANGE,
            min_df=2,
            max_features=NGRAM_FEATURES,
            sublinear_tf=True,
            lowercase=False,
            dtype=np.float32,
        )
        with task("counting n-grams"):
            texts = [
                [text[:NGRAM_CHARS] for text in examples.contexts(rows)]
                for rows in (self._train, self._test)
            ]
            # Counting takes long: each text is counted once.
            self._of_train = vectorizer.fit_transform(texts[0])
            #: The figures of the held-out examples, sparse.
            self.of_test = vectorizer.transform(texts[1])
        self._names = vectorizer.get_feature_names_out()
        self._labels_N = examples.labels_N

    @property
    def size(self) -> int:
        """The number of n-grams."""
        return len(self._names)

    def of(self, rows: Ints) -> Any:
        """The figures of some examples of the training part, sparse."""
        return self._of_train[np.searchsorted(self._train, rows)]

    def telling(self, rows: Ints) -> list[str]:
        """The n-grams that tell the kinds of these examples apart best, the best one first."""
        names: list[str] = self._names[self._telling(rows)].tolist()
        return names

    def fit_telling(self, rows: Ints) -> Callable[[Ints], Doubles]:
        """Log-odds by logistic regression on the n-grams that tell these examples apart best."""
        columns = self._telling(rows)
        values_NF = np.empty((len(self._labels_N), len(columns)), np.float32)
        values_NF[self._train] = self._of_train[:, columns].toarray()
        values_NF[self._test] = self.of_test[:, columns].toarray()
        return fit_columns(values_NF, self._labels_N)(rows)

    def _telling(self, rows: Ints) -> Ints:
        """The columns that go with the labels of these examples most (Pearson's r), best first."""
        own, labels = self.of(rows), self._labels_N[rows]
        sign_N = labels / labels.mean() - (~labels) / (~labels).mean()
        means_G = np.asarray(own.mean(axis=0)).ravel()
        squares_G = np.asarray(own.multiply(own).mean(axis=0)).ravel() - means_G**2
        with_label_G = np.abs(own.T @ sign_N) / np.sqrt(np.maximum(squares_G, 1e-12))
        best: Ints = np.argsort(-with_label_G, kind="stable")[:TELLING]
        return best


def ngram_score(examples: Examples, counts: NgramCounts) -> Score:
    """The score of logistic regression on character n-grams."""
    from sklearn.linear_model import LogisticRegression

    test = np.flatnonzero(examples.held_out_N)

    def model(strength: float) -> Any:
        return LogisticRegression(
            C=strength, solver="liblinear", class_weight="balanced", random_state=0
        )

    fitted, _, _ = _choose(model, NGRAM_STRENGTHS, counts.of, examples.labels_N, examples.part_N)
    return score_of(fitted.decision_function(counts.of_test), examples.labels_N[test])


def fit_columns(
    values_NF: NDArray[np.floating], labels_N: Bools
) -> Callable[[Ints], Callable[[Ints], Doubles]]:
    """What fits a logistic regression on some columns to given rows, for `cross_fitted`."""
    require_sklearn()
    from sklearn.linear_model import LogisticRegression

    def fit(rows: Ints) -> Callable[[Ints], Doubles]:
        center_F, scale_F = values_NF[rows].mean(axis=0), values_NF[rows].std(axis=0)
        ready_NF = (values_NF - center_F) / np.where(scale_F > 1e-9, scale_F, 1.0)
        model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=300)
        model.fit(ready_NF[rows], labels_N[rows])
        return lambda others: np.asarray(model.decision_function(ready_NF[others]), np.float64)

    return fit


def cross_fitted(examples: Examples, fit: Callable[[Ints], Callable[[Ints], Doubles]]) -> Doubles:
    """Log-odds `(N,)` of each example by a model that was not fitted to it.

    The documents of the training part are dealt into `FOLDS`, equal texts into one; each fold is
    told by a model of the others, and the held-out part by one of the whole training part.

    Args:
        examples: The labelled examples.
        fit: Fits a model to the rows that it is given, and returns what tells other rows.
    """
    scores_N = np.zeros(len(examples.labels_N))
    train = np.flatnonzero(examples.train_N)
    groups = np.unique(examples.group_N[train], return_inverse=True)[1]
    for fold in range(FOLDS):
        own = groups % FOLDS == fold
        kinds = np.unique(examples.labels_N[train[~own]])
        if own.any() and len(kinds) == 2:  # Of one kind alone nothing can be learned.
            scores_N[train[own]] = fit(train[~own])(train[own])
    test = np.flatnonzero(examples.held_out_N)
    scores_N[test] = fit(train)(test)
    return scores_N


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
