"""Random choice that any implementation can repeat: a counter-based generator and one rule.

The primitive is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators"): output `n` (from 0) of the generator seeded with `s` is

    splitmix64(s, n) = mix(s + (n + 1) * 0x9E3779B97F4A7C15)
    mix(z) = (z ^= z >> 30; z *= 0xBF58476D1CE4E5B9;
              z ^= z >> 27; z *= 0x94D049BB133111EB;  z ^ (z >> 31))

all modulo 2**64. It has no state but a counter, so draw `n` of sample `k` under seed `rng` is

    key     = splitmix64(rng, 0)
    counter = k * 2**40 + n
    bits    = splitmix64(key, splitmix64(0, counter))
    uniform = (bits >> 11) * 2**-53                          a double in [0, 1)

that is, the outputs of the generator seeded with `key`, taken in scrambled order. Each of these
maps is a bijection of 64 bits. Hence under one `rng` no two draws of any two samples share their
bits, and under different `rng` draws of equal counter always differ: no two samples run through
the same stream. Scrambling the order keeps two of them from running through it shifted, since
plain SplitMix64 generators all go round one circle.

`Chooser` applies the filters of `SampleOptions` and the rule, in NumPy or in the native engine.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.corpus.windows import mix
from textgen.errors import SamplingError, named
from textgen.model.head import log_softmax
from textgen.model.network import Engine
from textgen.native.sampler import ChoiceSettings, Chosen, Places, choose
from textgen.options import RNG_LIMIT, SampleOptions, parse_bias
from textgen.sampling.course import Course
from textgen.sampling.filters import FILTERS, filter_logits
from textgen.settings import quoted

#: Samples under one seed, and draws of one sample.
INDEX_LIMIT = 2**24
DRAW_LIMIT = 2**40

NOT_FINITE = (
    "the model's output is not finite, so no token can be chosen; "
    "check the model with `textgen inspect checkpoint`"
)

_MASK = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15
_MULTIPLIER_1 = 0xBF58476D1CE4E5B9
_MULTIPLIER_2 = 0x94D049BB133111EB


def splitmix64(seed: int, n: int) -> int:
    """Output `n`, from 0, of SplitMix64 seeded with `seed`: a whole number below `2**64`."""
    z = (seed + (n + 1) * _GAMMA) & _MASK
    z = ((z ^ (z >> 30)) * _MULTIPLIER_1) & _MASK
    z = ((z ^ (z >> 27)) * _MULTIPLIER_2) & _MASK
    return z ^ (z >> 31)


class SymbolGenerator:
    """The random stream of one sample.

    Args:
        rng: Seed, in `[0, 2**64)`.
        index: Number of the sample under that seed, in `[0, 2**24)`.
    Raises:
        SamplingError: One of them lies outside its range.
    """

    def __init__(self, rng: int, index: int = 0) -> None:
        if not 0 <= rng < RNG_LIMIT:
            raise SamplingError(f"{named('rng')} is {rng}; it must lie in 0..2**64 - 1")
        if not 0 <= index < INDEX_LIMIT:
            raise SamplingError(f"sample {index} is asked for; one seed has 0..{INDEX_LIMIT - 1}")
        self._key = splitmix64(rng, 0)
        self._counter = index * DRAW_LIMIT

    @property
    def key(self) -> int:
        """What the seed became: the same for all samples under it."""
        return self._key

    @property
    def counter(self) -> int:
        """Number of the next draw."""
        return self._counter

    def skip(self, count: int) -> None:
        """Skip `count` draws, which were made elsewhere."""
        self._counter += count

    def uniform(self) -> float:
        """The next draw, a double in `[0, 1)`."""
        bits = splitmix64(self._key, splitmix64(0, self._counter))
        self._counter += 1
        return (bits >> 11) * 2.0**-53

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """The next `count` draws, `(count,)`: what `count` calls of `uniform` would return."""
        counters = np.arange(count, dtype=np.uint64) + np.uint64(self._counter)
        self._counter += count
        return uniforms_at(self._key, counters)

    def choose(self, logits: NDArray[np.floating]) -> int:
        """Draw a token from `softmax(logits)`, `(V,)`; see `choose_symbols`."""
        ids, _ = choose_symbols(logits[None, :], [self.uniform()])
        return int(ids[0])


def uniforms_at(key: int, counters: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The draws of these numbers under a generator's key: doubles in `[0, 1)`, the same shape."""
    gamma, one = np.uint64(_GAMMA), np.uint64(1)
    places = mix((counters + one) * gamma)
    bits = mix(np.uint64(key) + (places + one) * gamma)
    uniforms: NDArray[np.float64] = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniforms


def choose_symbols(
    logits_BV: NDArray[np.floating], uniforms: Sequence[float] | NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Choose one token a row by inversion of the cumulative distribution.

    With `w = exp(logits - max)` in float64 and its running sum in id order, the choice is the
    first id whose sum exceeds `u * total`. A token of probability 0 is never chosen: the sum
    does not grow there, and `u * total` is below `total`.

    Args:
        logits_BV: Filtered logits, `(B, V)`.
        uniforms: One draw a row, each in `[0, 1)`.
    Returns:
        The chosen ids `(B,)` and the probability that each had `(B,)`.
    Raises:
        SamplingError: A row holds NaN or `+inf`, or nothing but `-inf`.
    """
    wide = logits_BV.astype(np.float64)
    top = wide.max(axis=-1, keepdims=True)
    if not np.isfinite(top).all():
        raise SamplingError(NOT_FINITE)
    weights = np.exp(wide - top)
    sums = weights.cumsum(axis=-1)
    targets = np.asarray(uniforms, np.float64)[:, None] * sums[:, -1:]
    ids = (sums > targets).argmax(axis=-1)
    return ids, weights[np.arange(len(ids)), ids] / sums[:, -1]


@dataclass(frozen=True)
class SymbolRules:
    """What the symbols of a model, and settings that name some of them, say of each choice.

    Args:
        junctions: Which tokens may follow each other: `Vocabulary.junctions`.
        biases: Tokens, and what is added to the logit of each.
        starts: For each token whether a word may begin after it; b"" where that is not asked.
    """

    junctions: bytes = b""
    biases: tuple[tuple[int, float], ...] = ()
    starts: bytes = b""


def symbol_rules(vocabulary: Vocabulary, options: SampleOptions) -> SymbolRules:
    """What a model's symbols say of the choices that options ask for.

    Raises:
        SamplingError: A bias names what is no symbol, or a model of words is asked for word starts.
    """
    starts = b""
    if options.word_starts:
        if vocabulary.level == "word":
            raise SamplingError(
                f"{named('word_starts')} is for models of characters or bytes; each token of this "
                "model begins a word"
            )
        starts = _starts(vocabulary)
    biases = []
    for text, value in parse_bias(options.bias).items() if options.bias is not None else ():
        token = vocabulary.symbol_index().get(text)
        # What a byte above ASCII stands for alone is no character.
        if token is None or (vocabulary.level == "byte" and not text.isascii()):
            level = {"char": "characters", "byte": "ASCII characters"}.get(
                vocabulary.level, "words"
            )
            raise SamplingError(
                f"{named('bias')} names {quoted(text)}, which this model does not write as one "
                f"token; leave it out. It has {len(vocabulary)} tokens, and a bias names {level}"
            )
        biases.append((token, value))
    return SymbolRules(vocabulary.junctions, tuple(biases), starts)


@lru_cache(8)
def _starts(vocabulary: Vocabulary) -> bytes:
    """For each token whether a word may begin after it: no letter, digit or mark, nor a part of
    one."""
    within = (
        symbol >= "\x80" or symbol.isalnum()
        if vocabulary.level == "byte"
        else symbol.isalnum() or unicodedata.category(symbol or " ").startswith("M")
        for symbol in vocabulary.symbols
    )
    # The mark of a document's end has no sign at all.
    return bytes(not is_within for is_within in within)


def choice_settings(options: SampleOptions, rules: SymbolRules | None = None) -> ChoiceSettings:
    """The settings of `options` for the native engine: those whose names it has.

    The unknown token is never chosen, the end mark only where a document may end, and no token
    after one that it never follows: `Vocabulary.junctions`. Mirostat's bound is the text's own:
    `Chooser.settings`.
    """
    own = {field.name for field in fields(ChoiceSettings)}
    rules = rules or SymbolRules()
    values = {
        field.name: getattr(options, field.name) for field in fields(options) if field.name in own
    }
    values["temperature"] = options.first_temperature
    return ChoiceSettings(
        key=SymbolGenerator(options.rng).key,
        turns=() if options.temperatures is None else options.temperatures.turns,
        junctions=rules.junctions,
        biases=rules.biases,
        starts=rules.starts,
        banned=(UNKNOWN_ID,) if options.may_end else (END_ID, UNKNOWN_ID),
        **values,
    )


def _engine_knows(options: SampleOptions) -> bool:
    """Whether the native engine has every filter that is on."""
    usual = SampleOptions()
    known = {field.name for field in fields(ChoiceSettings)}
    return all(
        name in known or getattr(options, name) == getattr(usual, name) for _, name in FILTERS
    )


class Chooser:
    """Chooses one token a row.

    Args:
        options: Filters, seed and what may be chosen.
        engine: What computes the logits; the native engine chooses too, unless it lacks a filter.
            `None` is NumPy.
        rules: What the model's symbols say of it.
    """

    def __init__(
        self,
        options: SampleOptions,
        engine: Engine | None = None,
        rules: SymbolRules | None = None,
    ) -> None:
        rules = rules or SymbolRules()
        self._settings = choice_settings(options, rules)
        self._junctions_V = np.frombuffer(rules.junctions, np.uint8)
        self._starts_V = np.frombuffer(rules.starts, np.bool_)
        self._options = options
        #: Whether the native engine may choose.
        self.is_known = _engine_knows(options)
        is_native = self.is_known and engine is not None and engine.name == "native"
        self._engine = engine if is_native else None

    @property
    def is_native(self) -> bool:
        """Whether the native engine chooses in `choose`."""
        return self._engine is not None

    def settings(self, course: Course) -> ChoiceSettings:
        """How the native engine chooses the next tokens of a text.

        Args:
            course: Of the text.
        """
        if not course.moves:
            return self._settings
        return replace(self._settings, temperature=course.temperature, surprise=course.surprise)

    def choose(
        self,
        logits_BV: NDArray[np.float32],
        counters_B: NDArray[np.uint64],
        recent_BN: NDArray[np.intp] | None,
        previous_B: NDArray[np.integer] | None = None,
        places: Places | None = None,
        courses: Sequence[Course] = (),
    ) -> Chosen:
        """Choose.

        Args:
            logits_BV: The logits of the model before the filters; not modified.
            counters_B: The number of each row's random draw.
            recent_BN: The tokens before, as `filter_logits` asks for them; `None` is none.
            previous_B: The token before each, -1 where there is none; `None` is none at all.
            places: Where each text stands in its form, for the native engine alone: so it chooses
                what `choose_in_form` chooses. `None` is no form.
            courses: Of each row, where they move: then NumPy chooses. They are left as they are.
        Raises:
            SamplingError: The logits are not finite.
        """
        if self._engine is None or courses:
            assert places is None
            free_BV = self.free(logits_BV, previous_B)
            return self._chosen(logits_BV, free_BV, counters_B, recent_BN, previous_B, courses)
        chosen = choose(
            self._engine.isa,
            self._settings,
            logits_BV,
            counters_B,
            recent_BN,
            self._engine.threads,
            previous_B,
            places,
        )
        if len(chosen.ids) < len(logits_BV):
            raise SamplingError(NOT_FINITE)
        return chosen

    def choose_in_form(
        self,
        logits_BV: NDArray[np.float32],
        counters_B: NDArray[np.uint64],
        recent_BN: NDArray[np.intp] | None,
        previous_B: NDArray[np.integer],
        allowed_BV: NDArray[np.bool_],
        courses: Sequence[Course] = (),
    ) -> Chosen:
        """Choose among what the form of each text allows, which the filters see alone.

        Args:
            logits_BV: As for `choose`, and so are the next three.
            allowed_BV: What each form allows.
            courses: As for `choose`.
        Returns:
            As `choose`. A form costs minus log2 of the probability of all that it allows, among all
            that is written freely.
        Raises:
            SamplingError: The logits are not finite.
        """
        free_BV = self.free(logits_BV, previous_B)
        prices_B = hold_to(free_BV, allowed_BV)
        chosen = self._chosen(logits_BV, free_BV, counters_B, recent_BN, previous_B, courses)
        return chosen._replace(prices=prices_B)

    def free(
        self, logits_BV: NDArray[np.float32], previous_B: NDArray[np.integer] | None
    ) -> NDArray[np.float32]:
        """The logits of what is written freely, `(B, V)`; those of the rest are `-inf`.

        Args:
            logits_BV: As for `choose`.
            previous_B: As for `choose`.
        """
        free_BV = logits_BV.copy()
        free_BV[:, list(self._settings.banned)] = -np.inf
        if previous_B is not None and self._junctions_V.size:
            strict_B = np.where(previous_B < 0, 0, self._junctions_V[previous_B] >> 4)
            free_BV[strict_B[:, None] + (self._junctions_V & 15) > 2] = -np.inf
        return free_BV

    def _chosen(
        self,
        logits_BV: NDArray[np.float32],
        allowed_BV: NDArray[np.float32],
        counters_B: NDArray[np.uint64],
        recent_BN: NDArray[np.intp] | None,
        previous_B: NDArray[np.integer] | None,
        courses: Sequence[Course],
    ) -> Chosen:
        filtered_BV = filter_logits(
            allowed_BV,
            self._options,
            recent_BN,
            biases=self._settings.biases,
            temperatures=self._temperatures(counters_B, previous_B, courses),
            surprises=np.array([course.surprise for course in courses]) if courses else None,
        )
        uniforms = uniforms_at(self._settings.key, counters_B)
        ids, probabilities = choose_symbols(filtered_BV, uniforms)
        logprobs = log_softmax(logits_BV)[np.arange(len(ids)), ids]
        return Chosen(ids.astype(np.int32), probabilities, logprobs, np.zeros(len(ids)))

    def _temperatures(
        self,
        counters_B: NDArray[np.uint64],
        previous_B: NDArray[np.integer] | None,
        courses: Sequence[Course],
    ) -> NDArray[np.float64] | None:
        """That of each row; None where it is always the same."""
        temperatures_B = np.full(len(counters_B), self._options.first_temperature)
        if turns := self._settings.turns:
            places_B = (counters_B % np.uint64(DRAW_LIMIT)) % np.uint64(len(turns))
            temperatures_B = np.array(turns)[places_B.astype(np.intp)]
        elif courses:
            temperatures_B = np.array([course.temperature for course in courses])
        elif not self._starts_V.size:
            return None
        if self._starts_V.size and previous_B is not None:
            is_within_B = (previous_B >= 0) & ~self._starts_V[previous_B]
            temperatures_B = np.where(is_within_B, 0.0, temperatures_B)
        return temperatures_B


def hold_to(free_BV: NDArray[np.float32], allowed_BV: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Drop what a form does not allow, in place; what that costs in bits, `(B,)`.

    Raises:
        SamplingError: The logits are not finite.
    """
    free_B = _log_sums(free_BV)
    free_BV[~allowed_BV] = -np.inf
    prices_B: NDArray[np.float64] = (free_B - _log_sums(free_BV)) / math.log(2)
    return prices_B


def _log_sums(logits_BV: NDArray[np.floating]) -> NDArray[np.float64]:
    """The natural logarithm of each row's unnormalised probability, `(B,)`."""
    wide = logits_BV.astype(np.float64)
    top_B = wide.max(axis=-1)
    if not np.isfinite(top_B).all():
        raise SamplingError(NOT_FINITE)
    sums_B: NDArray[np.float64] = top_B + np.log(np.exp(wide - top_B[:, None]).sum(axis=-1))
    return sums_B
