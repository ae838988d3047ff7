"""What may be chosen next: pure functions from logits to logits, a dropped token at `-inf`.

They mean what the logits processors of the `transformers` library mean, whose names users know,
and are tested against them. `filter_logits` applies them in that library's order; mirostat, which
it does not have, comes last. Two things differ: a tie at the border of top-k or top-p is broken in
id order, lowest first, so that top-k keeps exactly k tokens; and temperature 0 is allowed, which
keeps the most likely token alone.

Decisions are taken in float64 whatever the type of the logits, and the result has the type of
the logits. None modifies its argument; a filter that is off may return it. A token that is at
`-inf` stays there, and at least one of the others survives every filter but `apply_no_repeat`: a
text in which every token would repeat ends.

Shape suffixes of this package: `B` streams, `V` symbols, `N` recent tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from textgen.errors import SamplingError
from textgen.options import SampleOptions

Logit = TypeVar("Logit", bound=np.floating)

#: Below this temperature the quotient could overflow, so the maximum is subtracted first.
_SMALL_TEMPERATURE = 1e-3


def filter_logits(
    logits: NDArray[Logit],
    options: SampleOptions,
    recent_ids: NDArray[np.integer] | None = None,
    *,
    biases: Sequence[tuple[int, float]] = (),
    temperatures: NDArray[np.float64] | None = None,
    surprises: NDArray[np.float64] | None = None,
) -> NDArray[Logit]:
    """Apply biases, the repetition penalty and the ban of repeated tokens, then all `FILTERS`.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        options: The settings; those that are off cost nothing.
        recent_ids: The tokens before, `(..., N)`: all of the document for `no_repeat`, of which
            the repetition penalty looks at the last ones; `None` is none.
        biases: Tokens, and what is added to the logit of each, in nats.
        temperatures: The temperature of each row, `(...)`; `None`: that of the first token.
        surprises: Mirostat's bound for each row, in bits, `(...)`; `None`: that of the first token.
    Returns:
        An array like `logits`.
    Raises:
        SamplingError: A recent id is outside the vocabulary.
    """
    logits = apply_biases(logits, biases)
    if recent_ids is not None:
        window = recent_ids[..., -options.repetition_window :]
        logits = apply_repetition_penalty(logits, window, options.repetition_penalty)
        logits = apply_no_repeat(logits, recent_ids, options.no_repeat)
    values: dict[str, Any] = {
        "temperature": options.first_temperature if temperatures is None else temperatures,
        "mirostat": first_surprise(options) if surprises is None else surprises,
    }
    for apply, name in FILTERS:
        logits = apply(logits, values.get(name, getattr(options, name)))
    return logits


def first_surprise(options: SampleOptions) -> float:
    """Mirostat's bound at the beginning of a text, in bits; infinite where it is off."""
    return 2.0 * options.mirostat if options.mirostat else math.inf


def next_surprise(surprise: float, probability: float, options: SampleOptions) -> float:
    """Mirostat's bound after a token.

    Args:
        surprise: The bound before it, in bits.
        probability: What the token had after the filters.
        options: Where mirostat is on.
    """
    return surprise - options.mirostat_rate * (-math.log2(probability) - options.mirostat)


def apply_biases(logits: NDArray[Logit], biases: Sequence[tuple[int, float]]) -> NDArray[Logit]:
    """Add to the logits of some tokens.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        biases: Tokens, each once, and what is added to the logit of each, in nats.
    Returns:
        An array like `logits`.
    """
    if not biases:
        return logits
    ids, values = zip(*biases, strict=True)
    result = logits.copy()
    result[..., list(ids)] += np.array(values, logits.dtype)
    return result


def apply_no_repeat(logits: NDArray[Logit], ids: NDArray[np.integer], size: int) -> NDArray[Logit]:
    """Drop every token with which some `size` tokens would stand in the text a second time.

    Source: Paulus, Xiong and Socher 2017, arXiv:1705.04304, section 2.5.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        ids: The text so far, `(..., N)`, with the leading axes of `logits`.
        size: How many tokens; `0` is off.
    Returns:
        An array like `logits`. Of a row in which every token would repeat all are dropped.
    Raises:
        SamplingError: `size` is negative.
    """
    if size < 0:
        raise SamplingError(f"no_repeat is {size}; it must be 0 (off) or a positive whole number")
    if size == 0 or ids.shape[-1] < size:
        return logits
    grams = np.lib.stride_tricks.sliding_window_view(ids, size, axis=-1)
    last = ids[..., None, ids.shape[-1] - size + 1 :]
    found = np.nonzero((grams[..., :-1] == last).all(axis=-1))
    result = logits.copy()
    result[(*found[:-1], grams[..., -1][found])] = -np.inf
    return result


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


def apply_temperature(
    logits: NDArray[Logit], temperature: float | NDArray[np.float64]
) -> NDArray[Logit]:
    """Sharpen (below 1) or flatten (above 1) the distribution.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        temperature: What the logits are divided by, at least 0; `1.0` is off, `0.0` keeps only
            the most likely token (of several, the lowest id). An array `(...)` has one a row.
    Returns:
        An array like `logits`.
    Raises:
        SamplingError: `temperature` is negative or not finite.
    """
    if isinstance(temperature, np.ndarray):
        result = logits.copy()
        for value in np.unique(temperature).tolist():
            rows = temperature == value
            result[rows] = apply_temperature(logits[rows], value)
        return result
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
            return cast("NDArray[Logit]", shifted.astype(logits.dtype))
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


def apply_typical(logits: NDArray[Logit], typical: float) -> NDArray[Logit]:
    """Keep the tokens that are about as surprising as is to be expected.

    Ordered by how far the surprise of each is from the entropy, the nearest first, the fewest are
    kept whose probability reaches `typical`, and all that are as near as the last of them. The most
    likely token may be dropped.
    Source: Meister, Pimentel, Wiher and Cotterell 2022, arXiv:2202.00666, section 3.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        typical: Probability mass to keep, in `(0, 1]`; `1.0` is off.
    Returns:
        An array like `logits`.
    Raises:
        SamplingError: `typical` lies outside `(0, 1]`.
    """
    if not 0.0 < typical <= 1.0:
        raise SamplingError(f"typical is {typical}; it must lie in (0, 1] (1 is off)")
    if typical == 1.0:
        return logits
    wide = logits.astype(np.float64)
    below = wide - wide.max(axis=-1, keepdims=True)
    weights = np.exp(below)
    # Surprise minus entropy is the mean of `below` minus `below`: the normaliser is in both.
    mean = (weights * np.where(weights > 0.0, below, 0.0)).sum(axis=-1, keepdims=True)
    mean /= weights.sum(axis=-1, keepdims=True)
    distance = np.abs(below - mean)
    order = np.argsort(distance, axis=-1, kind="stable")
    sums = np.take_along_axis(weights, order, axis=-1).cumsum(axis=-1)
    last = (sums < typical * sums[..., -1:]).sum(axis=-1, keepdims=True)
    border = np.take_along_axis(distance, np.take_along_axis(order, last, axis=-1), axis=-1)
    return _drop(logits, distance > border)


def apply_mirostat(logits: NDArray[Logit], surprise: float | NDArray[np.float64]) -> NDArray[Logit]:
    """Drop the tokens that are more surprising than a bound, but for the most likely one.

    Source: Basu, Ramachandran, Keskar and Varshney 2021, arXiv:2007.14966, algorithm 2 as its
    authors' code simplifies it ("mirostat 2.0"): the bound goes from token to token by
    `next_surprise`, so that the surprise of the tokens comes to the target on average. Weights are
    compared, not their logarithms, so a token whose surprise is the bound to the last bit may fall
    on either side.

    Args:
        logits: Unnormalised log-probabilities, `(..., V)`.
        surprise: The bound in bits; infinite is off. An array `(...)` has one a row.
    Returns:
        An array like `logits`.
    """
    bound = np.asarray(surprise, np.float64)[..., None]
    if np.isposinf(bound).all():
        return logits
    weights = _relative(logits)
    dropped = weights < weights.sum(axis=-1, keepdims=True) * np.exp2(-bound)
    np.put_along_axis(dropped, logits.argmax(axis=-1, keepdims=True), False, axis=-1)
    return _drop(logits, dropped)


#: The filters in the order in which they act, each with the setting that it takes; of mirostat's a
#: bound is made. Where one is on that the native engine does not know, NumPy chooses.
FILTERS: tuple[tuple[Callable[[NDArray[Any], Any], NDArray[Any]], str], ...] = (
    (apply_temperature, "temperature"),
    (apply_top_k, "top_k"),
    (apply_top_p, "top_p"),
    (apply_min_p, "min_p"),
    (apply_typical, "typical"),
    (apply_mirostat, "mirostat"),
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
