"""What turns the last layer's output into a distribution over the symbols, with NumPy.

Two kinds. The usual head gives every symbol a score, its logit. The lectures' other reading gives a
vector F of the embedding's width, which says where in the space of the words the next one is
expected; the nearer the vector v of a symbol is, the more likely the symbol:

    loss of a window: the mean of d(F_t, v_{t+1}) over its tokens
    p(v | F) = exp(-d(F, v) / s) / sum over all symbols w of exp(-d(F, w) / s)

So `-d / s` are logits like any others, over the whole vocabulary: top-k sampling keeps the k
nearest symbols.
`d` is the Euclidean norm of the difference, or 1 less the cosine. The loss does not depend on s,
which is not trained but fitted, see `fit_scale`.

Shape suffixes: `N` positions, `V` vocabulary, `E` embedding, `H` hidden.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig

Floats = NDArray[np.float32]

#: Lengths are not taken for less, where something is divided by them.
LEAST_NORM = 1e-8
#: The scale stays within this factor of the mean distance, where a slice of text would have it
#: beyond: each of its targets the nearest of all, or farther off than the others.
SCALE_RANGE = 1e3


def open_head(config: ModelConfig, weights: Mapping[str, Floats]) -> ScoreHead | DistanceHead:
    """Open the head of a model.

    Args:
        config: The model's shape.
        weights: Arrays as `config.tensor_shapes()` names them, the head's among them.
    """
    if config.has_vector_output:
        return DistanceHead(config, weights)
    name = "embedding.weight" if config.tie else "head.weight"
    return ScoreHead(weights[name], weights["head.bias"])


class ScoreHead:
    """A row of weights for each symbol.

    Args:
        weight_VH: The rows.
        bias_V: Added to the scores.
    """

    def __init__(self, weight_VH: Floats, bias_V: Floats) -> None:
        # A product with the transposed weight kept contiguous is what BLAS does fastest.
        self._weight_HV = np.ascontiguousarray(weight_VH.T)
        self._bias_V = bias_V

    def logits(self, h_NH: Floats) -> Floats:
        """Return the logits `(N, V)` of the next token, from the last layer's outputs `(N, H)`."""
        with np.errstate(over="ignore", invalid="ignore"):
            result: Floats = h_NH @ self._weight_HV + self._bias_V
        return result


class DistanceHead:
    """A vector, and its distance to every symbol's.

    Args:
        config: The model's shape, its head `euclidean` or `cosine`.
        weights: The embedding and the head, as `config.tensor_shapes()` names them.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats]) -> None:
        self._kind = config.head
        self._weight_HE = np.ascontiguousarray(weights["head.weight"].T)
        self._bias_E = weights["head.bias"]
        self._scale = weights["head.scale"]
        vectors_VE = weights["embedding.weight"]
        if self._kind == "cosine":
            vectors_VE = _unit(vectors_VE)
        self._vectors_EV = np.ascontiguousarray(vectors_VE.T)
        self._squares_V = np.einsum("ev,ev->v", self._vectors_EV, self._vectors_EV)

    def vectors(self, h_NH: Floats) -> Floats:
        """Return the network's output F `(N, E)`, from the last layer's outputs `(N, H)`."""
        result: Floats = h_NH @ self._weight_HE + self._bias_E
        return result

    def distances(self, h_NH: Floats) -> Floats:
        """Return the distance of F to every symbol's vector, `(N, V)`."""
        F_NE = self.vectors(h_NH)
        if self._kind == "cosine":
            return np.float32(1.0) - _unit(F_NE) @ self._vectors_EV
        squares_NV: Floats = F_NE @ self._vectors_EV
        squares_NV *= -2.0
        squares_NV += self._squares_V
        squares_NV += np.einsum("ne,ne->n", F_NE, F_NE)[:, None]
        # Of two vectors that coincide, rounding may leave less than nothing.
        distances: Floats = np.sqrt(np.maximum(squares_NV, 0.0, out=squares_NV), out=squares_NV)
        return distances

    def logits(self, h_NH: Floats) -> Floats:
        """Return the logits `(N, V)` of the next token, from the last layer's outputs `(N, H)`."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            result = self.distances(h_NH)
            result *= np.float32(-1.0) / self._scale
        return result


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the natural log-probabilities `(..., V)` in float64; `logits` is not modified."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return result


def nats_of(logits_NV: Floats, targets_N: NDArray[np.integer]) -> Floats:
    """Return the negative log-likelihood of each target `(N,)`, 0 for one below 0, in float32."""
    top_N1 = logits_NV.max(axis=1, keepdims=True)
    sums_N = np.exp(logits_NV - top_N1).sum(axis=1, dtype=np.float32)
    own_N = logits_NV[np.arange(len(targets_N)), np.maximum(targets_N, 0)]
    nats_N: Floats = np.log(sums_N) + top_N1[:, 0] - own_N
    return np.where(targets_N < 0, np.float32(0.0), nats_N)


def score_loss(scores_NV: Floats, targets_N: NDArray[np.integer]) -> tuple[float, Floats]:
    """Return the mean negative log-likelihood of targets in nats, and its gradient by the scores.

    Args:
        scores_NV: The logits; overwritten with the gradient.
        targets_N: The token that follows each position; one below 0 does not count.
    """
    counted_N = targets_N >= 0
    places_N, own_N = np.arange(len(targets_N)), np.maximum(targets_N, 0)
    share = np.float32(1.0 / max(int(counted_N.sum()), 1))
    with np.errstate(over="ignore", invalid="ignore"):
        scores_NV -= scores_NV.max(axis=1, keepdims=True)
        of_target_N = scores_NV[places_N, own_N]
        np.exp(scores_NV, out=scores_NV)
        sums_N1 = scores_NV.sum(axis=1, keepdims=True)
        nats_N = np.log(sums_N1[:, 0]) - of_target_N
        scores_NV *= share / sums_N1
        scores_NV[places_N, own_N] -= share
    scores_NV[~counted_N] = 0.0
    return float(nats_N[counted_N].sum(dtype=np.float64)) * float(share), scores_NV


def distance_loss(
    kind: str, F_NE: Floats, targets_NE: Floats, counted_N: NDArray[np.bool_] | None = None
) -> tuple[float, Floats]:
    """Return the mean distance of outputs to their targets, and its gradient by the outputs.

    Args:
        kind: `euclidean` or `cosine`.
        F_NE: The network's outputs.
        targets_NE: The vector of the token that follows each.
        counted_N: Which positions count; None is all.
    Returns:
        The mean over the positions that count, and its gradient `(N, E)`. Where the distance has a
        corner (at the target itself, and the cosine at zero) the gradient is 0.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if kind == "cosine":
            lengths_N1 = np.maximum(_norms(F_NE), LEAST_NORM)
            units_NE, goals_NE = F_NE / lengths_N1, _unit(targets_NE)
            cosines_N1 = np.einsum("ne,ne->n", units_NE, goals_NE)[:, None]
            distances_N = 1.0 - cosines_N1[:, 0]
            gradient_NE = (cosines_N1 * units_NE - goals_NE) / lengths_N1
            gradient_NE *= lengths_N1 > LEAST_NORM
        else:
            gradient_NE = F_NE - targets_NE
            lengths_N1 = _norms(gradient_NE)
            distances_N = lengths_N1[:, 0]
            gradient_NE /= np.maximum(lengths_N1, LEAST_NORM)
        count = len(F_NE) if counted_N is None else int(counted_N.sum())
        if counted_N is not None:
            distances_N = np.where(counted_N, distances_N, np.float32(0.0))
            gradient_NE *= counted_N[:, None]
        gradient_NE *= np.float32(1.0 / max(count, 1))
        return float(distances_N.sum(dtype=np.float64)) / max(count, 1), gradient_NE


def fit_scale(distances_NV: Floats, targets_N: NDArray[np.integer]) -> float | None:
    """Return the scale s under which the targets are most likely.

    Newton's steps on 1 / s, in which the cost is convex: its slope is the target's distance less
    the mean distance under the distribution, its curvature the distance's variance there.

    Args:
        distances_NV: Distance of each output to every symbol's vector.
        targets_N: The symbol that followed.
    Returns:
        s, in the unit of the distances; None where they are not all finite.
    """
    mean = float(distances_NV.mean(dtype=np.float64))
    if not (np.isfinite(mean) and mean > 0.0):
        return None
    # In shares of the mean distance, and from the nearest symbol: sums of exponentials then
    # neither overflow nor vanish.
    shares_NV = distances_NV / np.float32(mean)
    shares_NV -= shares_NV.min(axis=1, keepdims=True)
    own_N = shares_NV[np.arange(len(targets_N)), targets_N].astype(np.float64)
    sharpness = 1.0
    for _ in range(50):
        weights_NV = np.exp(shares_NV * np.float32(-sharpness))
        sums_N = weights_NV.sum(axis=1, dtype=np.float64)
        weights_NV *= shares_NV
        first_N = weights_NV.sum(axis=1, dtype=np.float64) / sums_N
        weights_NV *= shares_NV
        second_N = weights_NV.sum(axis=1, dtype=np.float64) / sums_N
        slope = float((own_N - first_N).mean())
        curvature = float((second_N - first_N**2).mean())
        step = slope / max(curvature, 1e-12)
        # A Newton step may overshoot where the cost is flat.
        better = min(max(sharpness - step, sharpness / 4.0), sharpness * 4.0)
        better = min(max(better, 1.0 / SCALE_RANGE), SCALE_RANGE)
        done = abs(better - sharpness) <= 1e-5 * sharpness
        sharpness = better
        if done:
            break
    return mean / sharpness


def _norms(x_NE: Floats) -> Floats:
    norms: Floats = np.sqrt(np.einsum("ne,ne->n", x_NE, x_NE))[:, None]
    return norms


def _unit(x_NE: Floats) -> Floats:
    unit: Floats = np.divide(x_NE, np.maximum(_norms(x_NE), LEAST_NORM), dtype=np.float32)
    return unit
