"""The calls of `sample_api.h`, for NumPy arrays: one stream, and the choice of tokens.

Shape suffixes: `B` streams, `V` vocabulary, `N` recent tokens.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from ctypes import (
    POINTER,
    Structure,
    addressof,
    byref,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.errors import BackendError, SamplingError
from textgen.native.library import ISA_NAMES, bind
from textgen.native.net import Config, EditLike, EditList, PackedEdits, Shape, Weights, weights_of

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

#: No token: nothing ends the text.
NO_ID = -1
_MOST = 2**62
#: Settings whose structures are kept.
_SETTINGS = 64
#: This many logits keep a thread busy for about 0.3 ms, longer than it takes to wake another.
_MANY_LOGITS = 2**16


@dataclass(frozen=True, kw_only=True)
class ChoiceSettings:
    """How tokens are chosen; `textgen.sampling` says what each setting means.

    Args:
        key: Of the random generator: `SymbolGenerator.key`.
        banned: Ids that are never chosen.
        junctions: Which tokens may follow each other: `Vocabulary.junctions`; b"": all.
        turns: Temperatures that take turns, by the number of the draw; (): there are none.
        surprise: Mirostat's bound for the first token, in bits.
        biases: Tokens, each once, and what is added to the logit of each.
        starts: For each token whether what follows is chosen freely, else by temperature 0; b"":
            after all.
    """

    key: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    repetition_window: int = 64
    banned: tuple[int, ...] = ()
    junctions: bytes = b""
    typical: float = 1.0
    mirostat: float = 0.0
    mirostat_rate: float = 0.1
    surprise: float = 0.0
    no_repeat: int = 0
    turns: tuple[float, ...] = ()
    biases: tuple[tuple[int, float], ...] = ()
    starts: bytes = b""

    @property
    def looks_back(self) -> bool:
        """Whether a choice depends on the tokens before."""
        return self.repetition_penalty != 1.0 or self.no_repeat > 0

    @property
    def asks_previous(self) -> bool:
        """Whether a choice depends on the token before."""
        return bool(self.junctions or self.starts)


class Chosen(NamedTuple):
    """Tokens that were chosen.

    Args:
        ids: The tokens.
        probabilities: After the filters.
        logprobs: Natural, before them.
        prices: The bits that a form cost; 0 without one.
    """

    ids: NDArray[np.int32]
    probabilities: Doubles
    logprobs: Doubles
    prices: Doubles


class _Form(Structure):
    """`tg_form`."""

    _fields_ = (
        ("table", c_void_p),
        ("kinds", c_void_p),
        ("distances", c_void_p),
        ("ends", c_void_p),
        ("kind_count", c_int32),
        ("whole", c_int32),
        ("end", c_int32),
    )


class _Place(Structure):
    """`tg_place`."""

    _fields_ = (("form", c_void_p), ("left", c_int64), ("state", c_int32))


class Automaton:
    """An automaton over symbols, which the engine follows while it writes.

    Shape suffixes: `S` states, `K` kinds of symbols.

    Args:
        table_SK: The next state after a symbol of each kind; negative: there is none.
        kinds_V: The kind of each symbol; negative: it is never allowed.
        distances_S: The fewest characters from each state to an end; where there is none, more than
            any text has.
        ends_S: In which states the text may end.
        end: The symbol for that.
        whole: States from this one on stand within a character.
    """

    def __init__(
        self,
        table_SK: NDArray[np.integer[Any]],
        kinds_V: NDArray[np.integer[Any]],
        distances_S: NDArray[np.integer[Any]],
        ends_S: NDArray[np.bool_],
        end: int,
        whole: int,
    ) -> None:
        whole_numbers = (table_SK, kinds_V, distances_S)
        self._arrays: list[NDArray[np.integer[Any]]] = [
            *(np.ascontiguousarray(array, np.int32) for array in whole_numbers),
            np.ascontiguousarray(ends_S, np.uint8),
        ]
        pointers = (array.ctypes.data for array in self._arrays)
        self._form = _Form(*pointers, table_SK.shape[1], whole, end)
        #: What the library knows it by.
        self.address = addressof(self._form)


class Standing(NamedTuple):
    """Where a text stands in an automaton.

    Args:
        automaton: The automaton.
        state: The state.
        left: Characters that the text may still have.
        is_whole: Whether the automaton is that of all that is left of the text; another one holds
            up to where it allows nothing more.
    """

    automaton: Automaton
    state: int
    left: int
    is_whole: bool


class Places:
    """Where some texts stand; each token that is chosen moves them on.

    Args:
        standings: Where they begin.
    """

    def __init__(self, standings: Sequence[Standing]) -> None:
        self._standings = standings
        self._array = (_Place * len(standings))(
            *(_Place(place.automaton.address, place.left, place.state) for place in standings)
        )
        #: What the library knows them by.
        self.address = addressof(self._array)

    def at(self, row: int) -> tuple[int, int]:
        """Where a text stands now: the characters left, and the state."""
        place = self._array[row]
        return place.left, place.state


class _Choice(Structure):
    """`tg_choice`."""

    #: What its pointers point to.
    kept: tuple[Any, ...]

    _fields_ = (
        ("repetition_penalty", c_double),
        ("temperature", c_double),
        ("top_k", c_int64),
        ("top_p", c_double),
        ("min_p", c_double),
        ("repetition_window", c_int64),
        ("banned", c_void_p),
        ("banned_count", c_int64),
        ("junctions", c_void_p),
        ("key", c_uint64),
        ("places", c_void_p),
        ("typical", c_double),
        ("mirostat", c_double),
        ("mirostat_rate", c_double),
        ("surprise", c_double),
        ("no_repeat", c_int64),
        ("turns", c_void_p),
        ("turn_count", c_int64),
        ("biased", c_void_p),
        ("biases", c_void_p),
        ("bias_count", c_int64),
        ("starts", c_void_p),
    )


class _Chosen(Structure):
    """`tg_chosen`."""

    _fields_ = tuple((name, c_void_p) for name in Chosen._fields)


@cache
def functions() -> ctypes.CDLL:
    """The library with the types of its calls set.

    Raises:
        BackendError: There is no library.
    """
    p, i64 = c_void_p, c_int64
    return bind(
        {
            "tg_choose": (i64, [c_int, c_int, p, c_int32, i64, p, p, i64, p, p, p]),
            "tg_sampler_new": (p, [POINTER(Config), POINTER(Weights)]),
            "tg_sampler_free": (None, [p]),
            "tg_sampler_threads": (c_int, [p]),
            "tg_sampler_read": (None, [p, p, i64, EditList, p, p]),
            "tg_sampler_write": (
                i64,
                [p, p, i64, c_int32, c_int32, c_uint64, p, i64, EditList, p, p, p],
            ),
        }
    )


@lru_cache(_SETTINGS)
def _choice_of(settings: ChoiceSettings) -> _Choice:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    for name in ("top_k", "repetition_window", "no_repeat"):
        values[name] = min(values[name], _MOST)
    biased = [token for token, _ in settings.biases]
    arrays: dict[str, NDArray[Any]] = {
        "banned": np.array(settings.banned, np.int32),
        "junctions": np.frombuffer(settings.junctions, np.uint8),
        "turns": np.array(settings.turns, np.float64),
        "biased": np.array(biased, np.int32),
        "biases": np.array([value for _, value in settings.biases], np.float32),
        "starts": np.frombuffer(settings.starts, np.uint8),
    }
    values |= {name: array.ctypes.data if len(array) else None for name, array in arrays.items()}
    values |= {"banned_count": len(settings.banned), "turn_count": len(settings.turns)}
    values["bias_count"] = len(biased)
    # By name: the structure refuses one that it has not.
    choice = _Choice(**values)
    choice.kept = tuple(arrays.values())
    return choice


def _choice_at(settings: ChoiceSettings, places: Places | None) -> _Choice:
    """The structure, for texts that stand there."""
    choice = _choice_of(settings)
    if places is None:
        return choice
    own = _Choice.from_buffer_copy(choice)
    own.places, own.kept = places.address, (choice, places)
    return own


def choose(
    isa: str,
    settings: ChoiceSettings,
    logits_BV: Floats,
    counters_B: NDArray[np.uint64],
    recent_BN: NDArray[np.integer[Any]] | None = None,
    threads: int = 1,
    previous_B: NDArray[np.integer[Any]] | None = None,
    places: Places | None = None,
) -> Chosen:
    """Choose one token a row.

    Args:
        isa: One of `supported_isas()`.
        settings: Filters and generator.
        logits_BV: Of the model, finite; not modified.
        counters_B: Number of each row's draw.
        recent_BN: The tokens that choices look back at; None: none.
        threads: Computing threads at most; the result does not depend on their number.
        previous_B: The token before each, which junctions and starts ask for; -1 where there is
            none, `None`: nowhere.
        places: Where each text stands in its form; None: there is none. A text whose form allows
            nothing more gets the end.
    Returns:
        Arrays `(B,)`. They end before the first row whose logits are not finite, for which nothing
        can be chosen.
    Raises:
        BackendError: There is no library, or no memory.
    """
    logits = np.ascontiguousarray(logits_BV, np.float32)
    rows, vocab = logits.shape
    chosen = _room(rows)
    recent = np.empty((rows, 0), np.int32)
    if recent_BN is not None and settings.looks_back:
        recent = np.ascontiguousarray(recent_BN, np.int32)
    previous = None
    if previous_B is not None and settings.asks_previous:
        previous = np.ascontiguousarray(previous_B, np.int32)
    choice = _choice_at(settings, places)
    done = functions().tg_choose(
        ISA_NAMES.index(isa),
        min(threads, rows) if logits.size >= _MANY_LOGITS else 1,
        byref(choice),
        vocab,
        rows,
        logits.ctypes.data,
        recent.ctypes.data,
        recent.shape[1],
        None if previous is None else previous.ctypes.data,
        np.ascontiguousarray(counters_B, np.uint64).ctypes.data,
        byref(_pointers(chosen)),
    )
    if done < 0:
        raise BackendError(f"the native engine finds no memory to choose, or has no '{isa}'")
    return _first(chosen, done)


class Sampler:
    """One stream through a network.

    Args:
        shape: Its shape, with the most threads to use. It uses no more than make it faster, and the
            result does not depend on their number.
        weights: Float32 arrays named as in `ModelConfig.tensor_shapes`. Some are used in place and
            must not be written to.
    Raises:
        BackendError: There is no library, or no memory.
    """

    def __init__(self, shape: Shape, weights: Mapping[str, Floats]) -> None:
        self._library = functions()
        self._handle: int | None = None
        self._weights = {name: np.ascontiguousarray(array) for name, array in weights.items()}
        self._vocab = shape.vocab
        #: h and c, or h alone.
        self.state_shape = (shape.layers, shape.num_states, shape.hidden)
        config = shape.structure()
        handle = self._library.tg_sampler_new(
            byref(config), byref(weights_of(self._weights, shape.layers))
        )
        if not handle:
            raise BackendError(
                f"the native engine finds no memory to sample, or has no '{shape.isa}'"
            )
        self._handle = handle
        self._lock = Lock()  # It has working memory of its own.
        self._edits: Sequence[EditLike] = ()
        self._edit_list = PackedEdits([()])
        #: How many threads it computes with.
        self.threads = int(self._library.tg_sampler_threads(handle))

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.tg_sampler_free(self._handle)
            self._handle = None

    def read(self, ids: Sequence[int], state: Floats, edits: Sequence[EditLike] = ()) -> Floats:
        """Read tokens.

        Args:
            ids: Each in `[0, V)`.
            state: Of `state_shape`; overwritten with that after them.
            edits: Changes of the states at each of them.
        Returns:
            Logits of the next token, `(V,)`.
        """
        tokens = np.array(ids, np.int32)
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < self._vocab:
            raise SamplingError(
                f"tokens {tokens.min()}..{tokens.max()} are read; the model's symbols are "
                f"0..{self._vocab - 1}"
            )
        logits = np.empty(self._vocab, np.float32)
        with self._lock:
            self._library.tg_sampler_read(
                *(self._handle, tokens.ctypes.data, len(tokens), self._packed(edits)),
                *(self._state(state), logits.ctypes.data),
            )
        return logits

    def write(
        self,
        count: int,
        settings: ChoiceSettings,
        counter: int,
        logits: Floats,
        state: Floats,
        recent: Sequence[int] = (),
        end: int = NO_ID,
        edits: Sequence[EditLike] = (),
        previous: int = NO_ID,
        standing: Standing | None = None,
        *,
        by: Callable[..., int] | None = None,
    ) -> Chosen:
        """Choose and read tokens.

        Args:
            count: How many at most.
            settings: Filters and generator.
            counter: Number of the first draw.
            logits: Of the first token, `(V,)`; overwritten with those of the next after the last.
            state: Before the first; overwritten with that after the last.
            recent: Tokens before, which choices look back at.
            end: The id after which no more is chosen.
            edits: Changes of the states at each token that is read.
            previous: The token before the first, which junctions and starts ask for.
            standing: Where the text stands in its form; None: there is none.
            by: Another call of the library, which takes what `tg_sampler_write` takes.
        Returns:
            What was chosen: fewer than `count` where the last is `end`, where the form allows
            nothing more, or where the next logits are not finite.
        """
        recent = recent if settings.looks_back else ()
        history = np.empty(len(recent) + count, np.int32)
        history[: len(recent)] = recent
        room = _room(count)
        choice = _choice_at(settings, None if standing is None else Places([standing]))
        with self._lock:
            done = (by or self._library.tg_sampler_write)(
                self._handle,
                byref(choice),
                count,
                end,
                previous,
                counter,
                history.ctypes.data,
                len(recent),
                self._packed(edits),
                self._state(state),
                logits.ctypes.data,
                byref(_pointers(room)),
            )
        return _first(room._replace(ids=history[len(recent) :]), done)

    def _packed(self, edits: Sequence[EditLike]) -> EditList:
        if self._edits is not edits:
            self._edits, self._edit_list = edits, PackedEdits([edits])
        return self._edit_list.of_one()

    def _state(self, state: Floats) -> int:
        assert state.shape == self.state_shape
        assert state.dtype == np.float32 and state.flags.c_contiguous
        return int(state.ctypes.data)


def _first(chosen: Chosen, count: int) -> Chosen:
    ids, probabilities, logprobs, prices = chosen
    return Chosen(ids[:count], probabilities[:count], logprobs[:count], prices[:count])


def _room(count: int) -> Chosen:
    return Chosen(np.empty(count, np.int32), np.empty(count), np.empty(count), np.zeros(count))


def _pointers(chosen: Chosen) -> _Chosen:
    return _Chosen(*(array.ctypes.data for array in chosen))
