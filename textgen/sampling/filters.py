"""What may be chosen next: pure functions from logits to logits, a dropped token at `-inf`.

They mean what the logits processors of the `transformers` library mean, whose names users know,
and are tested against them. `filter_logits` applies them in that library's order. Two things
differ: a tie at the border of top-k or top-p is broken in id order, lowest first, so that top-k
keeps exactly k tokens; and temperature 0 is allowed, which keeps the most likely token alone.

Decisions are taken in float64 whatever the type of the logits, and the result has the type of
the logits. None modifies its argument; a filter that is off may return it. A token that is at
`-inf` stays there, and at least one of the others survives every filter.

Shape suffixes of this package: `B` streams, `V` symbols, `N` recent tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from textgen.errors import SamplingError
from textgen.options import SampleOptions

Logit = TypeVar("Logit", bound=np.floating)

#: Below this temperature the quotient could overflow, so the maximum is subtracted first.
_SMALL_TEMPERATURE = 1e-3


def filter_logits(
    logits: NDArray[Logit], options: SampleOptions, recent_ids: NDArray[np.integer] | None = None
) -> NDArray[Logit]:
    """Apply the repetition penalty of `options`, then all `FILTERS`.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        options: The settings; those that are off cost nothing.
        recent_ids: The tokens that the repetition penalty looks at, `(..., N)`; `None` is none.
    Returns:
        An array like `logits`.
    Raises:
        SamplingError: A recent id is outside the vocabulary.
    """
    if recent_ids is not None:
        logits = apply_repetition_penalty(logits, recent_ids, options.repetition_penalty)
    for apply, name in FILTERS:
        logits = apply(logits, getattr(options, name))
    return logits


def apply_repetition_penalty(
    logits: NDArray[Logit], recent_ids: NDArray[np.integer], penalty: float
) -> NDArray[Logit]:
    """Make tokens that occur in `recent_ids` less likely.

    A positive logit is divided by the penalty and a negative one multiplied, once for each token
    however often it occurs. Not invariant under a shift of all logits.
    Source: Keskar et al. 2019, arXiv:1909.05858, section 4.1.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        recent_ids: Token ids, `(..., N)`, with the leading axes of `logits`.
        penalty: Above 0; `1.0` is off, below 1 it rewards repetition.
    Returns:
        An array like `logits`.
    Raises:
        SamplingError: `penalty` is not above 0, or an id is outside the vocabulary.
    """
    if not (penalty > 0.0 and math.isfinite(penalty)):
        raise SamplingError(f"repetition_penalty is {penalty}; it must be above 0 (1 is off)")
    ids = np.asarray(recent_ids)
    if penalty == 1.0 or ids.size == 0:
        return logits
    if ids.min() < 0 or ids.max() >= logits.shape[-1]:
        raise SamplingError(
            f"recent ids lie in {ids.min()}..{ids.max()}; "
            f"they must lie in 0..{logits.shape[-1] - 1}"
        )
    index = ids.astype(np.intp)
    seen = np.take_along_axis(logits, index, axis=-1)
    result = logits.copy()
    np.put_along_axis(result, index, np.where(seen < 0, seen * penalty, seen / penalty), axis=-1)
    return result


def apply_temperature(logits: NDArray[Logit], temperature: float) -> NDArray[Logit]:
    """Sharpen (below 1) or flatten (above 1) the distribution.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        temperature: What the logits are divided by, at least 0; `1.0` is off, `0.0` keeps only
            the most likely token (of several, the lowest id).
    Returns:
        An array like `logits`.
    Raises:
        SamplingError: `temperature` is negative or not finite.
    """
    if not (temperature >= 0.0 and math.isfinite(temperature)):
        raise SamplingError(f"temperature is {temperature}; it must be 0 (greedy) or above")
    if temperature == 1.0:
        return logits
    if temperature == 0.0:
        keep = np.zeros(logits.shape, np.bool_)
        np.put_along_axis(keep, logits.argmax(axis=-1, keepdims=True), True, axis=-1)
        return _drop(logits, ~keep)
    if temperature < _SMALL_TEMPERATURE:
        wide = logits.astype(np.float64)
        with np.errstate(over="ignore"):  # what overflows is -inf, which is its meaning
            shifted = (wide - wide.max(axis=-1, keepdims=True)) / temperature
            result: NDArray[Logit] = shifted.astype(logits.dtype)
        return result
    # A scalar of the same type: a bare Python float does the same under NumPy 2, not before.
    return cast("NDArray[Logit]", logits / logits.dtype.type(temperature))


def apply_top_k(logits: NDArray[Logit], top_k: int) -> NDArray[Logit]:
    """Keep the `top_k` most likely tokens; of equal ones at the border those of the lowest ids.

    Source: Fan, Lewis and Dauphin 2018, arXiv:1805.04833.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        top_k: How many to keep; `0` is off, and so is `V` or more.
    Returns:
        An array like `logits`.
    Raises:
        SamplingError: `top_k` is negative.
    """
    if top_k < 0:
        raise SamplingError(f"top_k is {top_k}; it must be 0 (off) or a positive whole number")
    size = logits.shape[-1]
    if top_k == 0 or top_k >= size:
        return logits
    border = np.partition(logits, size - top_k, axis=-1)[..., size - top_k, None]
    above = logits > border
    ties = logits == border
    room = top_k - above.sum(axis=-1, keepdims=True)
    return _drop(logits, ~(above | (ties & (ties.cumsum(axis=-1) <= room))))


def apply_top_p(logits: NDArray[Logit], top_p: float) -> NDArray[Logit]:
    """Keep the smallest set of tokens whose probability reaches `top_p`.

    The most likely token is always kept; ties are kept in id order.
    Source: Holtzman et al. 2020, arXiv:1904.09751, section 3.1.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        top_p: Probability mass to keep, in `(0, 1]`; `1.0` is off.
    Returns:
        An array like `logits`.
    Raises:
        SamplingError: `top_p` lies outside `(0, 1]`.
    """
    if not 0.0 < top_p <= 1.0:
        raise SamplingError(f"top_p is {top_p}; it must lie in (0, 1] (1 is off)")
    if top_p == 1.0:
        return logits
    order = np.argsort(-logits, axis=-1, kind="stable")
    weights = np.take_along_axis(_relative(logits), order, axis=-1)
    # Summed from the least likely up, so that small terms are not lost beside large ones.
    tail = weights[..., ::-1].cumsum(axis=-1)[..., ::-1]
    dropped = tail <= (1.0 - top_p) * tail[..., :1]
    dropped[..., 0] = False
    result = np.empty_like(dropped)
    np.put_along_axis(result, order, dropped, axis=-1)
    return _drop(logits, result)


def apply_min_p(logits: NDArray[Logit], min_p: float) -> NDArray[Logit]:
    """Drop tokens less likely than `min_p` times the most likely one.

    Source: Nguyen et al. 2024, arXiv:2407.01082.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        min_p: Share of the most likely token's probability, in `[0, 1]`; `0.0` is off.
    Returns:
        An array like `logits`.
    Raises:
        SamplingError: `min_p` lies outside `[0, 1]`.
    """
    if not 0.0 <= min_p <= 1.0:
        raise SamplingError(f"min_p is {min_p}; it must lie in [0, 1] (0 is off)")
    if min_p == 0.0:
        return logits
    return _drop(logits, _relative(logits) < min_p)


#: The filters in the order in which they act, each with the setting that it takes. Where one is on
#: that the native engine does not know, NumPy chooses.
FILTERS: tuple[tuple[Callable[[NDArray[Any], Any], NDArray[Any]], str], ...] = (
    (apply_temperature, "temperature"),
    (apply_top_k, "top_k"),
    (apply_top_p, "top_p"),
    (apply_min_p, "min_p"),
)


def _relative(logits: NDArray[Logit]) -> NDArray[np.float64]:
    """Probabilities as shares of that of the most likely token, `(..., V)`."""
    wide = logits.astype(np.float64)
    result: NDArray[np.float64] = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return result


def _drop(logits: NDArray[Logit], dropped: NDArray[np.bool_]) -> NDArray[Logit]:
    """A copy of `logits` with the tokens in `dropped` at `-inf`."""
    result = logits.copy()
    result[dropped] = -np.inf
    return result
