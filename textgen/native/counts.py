"""The calls of `count_api.h`, for NumPy arrays: counts of a text, and their mixture with a network.

Shape suffixes: `N` tokens, `V` vocabulary, `K` the order, `S` sets of weights.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
)
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import BackendError
from textgen.native.library import ISA_NAMES, bind
from textgen.native.net import EditLike, EditList
from textgen.native.sampler import NO_ID, ChoiceSettings, Chosen, Sampler, Standing

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Context = NDArray[np.int32]

#: Tokens that one call adds.
_CHUNK = 1 << 20
_NO_MEMORY = "there is no memory for the counts of so long a text; give a lower order"


class _Mixer(Structure):
    """`tg_mixer`."""

    _fields_ = (
        ("counts", c_void_p),
        ("weights", c_void_p),
        ("squares", c_void_p),
        ("rate", c_double),
        ("room", c_void_p),
        ("context", c_void_p),
    )


@cache
def functions() -> ctypes.CDLL:
    """The library with the types of its calls set.

    Raises:
        BackendError: There is no library.
    """
    p, i32, i64, mixer = c_void_p, c_int32, c_int64, POINTER(_Mixer)
    return bind(
        {
            "tg_counts_new": (p, [i32, i32, i32]),
            "tg_counts_free": (None, [p]),
            "tg_counts_add": (i64, [p, p, i64]),
            "tg_counts_restart": (c_int, [p]),
            "tg_counts_settle": (None, [p]),
            "tg_counts_discounts": (None, [p, p]),
            "tg_counts_bytes": (c_size_t, [p]),
            "tg_counts_here": (None, [p, p]),
            "tg_counts_move": (None, [p, p, i32]),
            "tg_counts_predict": (i32, [p, p, p]),
            "tg_mix_sets": (i32, [p]),
            "tg_mix": (None, [mixer, p]),
            "tg_mix_read": (i64, [mixer, p, p, i64, p, p]),
            "tg_mix_write": (
                i64,
                [mixer, p, c_int, p, i64, i32, i32, c_uint64, p, i64, EditList, p, p, p],
            ),
        }
    )


class Counts:
    """How often each symbol followed each context of a text; `textgen.mixing` says how it is used.

    Args:
        vocab: Symbols.
        order: The longest context, in symbols.
        end: The symbol before which nothing is seen.
    Raises:
        BackendError: There is no library, or no memory.
    """

    def __init__(self, vocab: int, order: int, end: int) -> None:
        self._library = functions()
        self._handle: int | None = None
        self.vocab, self.order = vocab, order
        handle = self._library.tg_counts_new(vocab, order, end)
        if not handle:
            raise BackendError(_NO_MEMORY)
        self._handle = handle

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.tg_counts_free(self._handle)
            self._handle = None

    @property
    def handle(self) -> int:
        """What the library knows it by."""
        assert self._handle is not None
        return self._handle

    @property
    def nbytes(self) -> int:
        """Its memory."""
        return int(self._library.tg_counts_bytes(self._handle))

    def add(self, tokens_N: NDArray[np.integer[Any]]) -> None:
        """Read and count more of the text.

        Raises:
            BackendError: There is no memory.
        """
        for first in range(0, len(tokens_N), _CHUNK):
            part = np.ascontiguousarray(tokens_N[first : first + _CHUNK], np.int32)
            assert part.min() >= 0
            assert part.max() < self.vocab
            if self._library.tg_counts_add(self._handle, part.ctypes.data, len(part)) < len(part):
                raise BackendError(_NO_MEMORY)

    def restart(self) -> None:
        """What is added next begins another text: it follows nothing."""
        if self._library.tg_counts_restart(self._handle):
            raise BackendError(_NO_MEMORY)

    def settle(self) -> None:
        """Take the discounts from the counts as they are now, and put them in order.

        What is read of them then lies together. Contexts from before cannot be used any more.
        """
        self._library.tg_counts_settle(self._handle)

    @property
    def discounts(self) -> Doubles:
        """The discounts of counts of 1, 2, and 3 or more, `(K + 1, 3)`."""
        discounts = np.empty((self.order + 1, 3))
        self._library.tg_counts_discounts(self._handle, discounts.ctypes.data)
        return discounts

    def no_context(self) -> Context:
        """The contexts after nothing, `(K,)`."""
        return np.zeros(self.order, np.int32)

    def here(self) -> Context:
        """The contexts after all that was added, `(K,)`."""
        context = self.no_context()
        self._library.tg_counts_here(self._handle, context.ctypes.data)
        return context

    def move(self, context: Context, token: int) -> None:
        """Change contexts into those after one more token."""
        assert 0 <= token < self.vocab
        self._library.tg_counts_move(self._handle, _pointer(context, self.order), token)

    def predict(self, context: Context) -> tuple[Doubles, int]:
        """The distribution of the next token, `(V,)`; the length of the longest known context."""
        next_V = np.empty(self.vocab)
        longest = self._library.tg_counts_predict(
            self._handle, _pointer(context, self.order), next_V.ctypes.data
        )
        return next_V, int(longest)


class Blend:
    """A mixture of counts with a network: the calls. One text at a time.

    Args:
        counts: The counts.
        weights_S2: Of the network and of the counts, for each set; changed where it learns.
        rate: How fast the weights learn; 0: not at all.
    """

    def __init__(self, counts: Counts, weights_S2: Doubles, rate: float = 0.0) -> None:
        self._library = functions()
        self.counts, self.weights_S2 = counts, weights_S2
        assert weights_S2.shape == (sets_of(counts), 2)
        assert weights_S2.dtype == np.float64
        assert weights_S2.flags.c_contiguous
        # A first gradient moves a weight less than by the rate.
        self._squares = np.ones_like(weights_S2)
        self._room = np.empty((4, counts.vocab))
        self._rate = rate
        self._lock = Lock()

    def _mixer(self, context: Context) -> _Mixer:
        return _Mixer(
            self.counts.handle,
            self.weights_S2.ctypes.data,
            self._squares.ctypes.data,
            self._rate,
            self._room.ctypes.data,
            _pointer(context, self.counts.order),
        )

    def mix(self, logits_V: Floats, context: Context) -> None:
        """Change a network's logits into the logarithms of the mixed distribution."""
        assert logits_V.shape == (self.counts.vocab,)
        with self._lock:
            self._library.tg_mix(byref(self._mixer(context)), _floats(logits_V))

    def read(
        self,
        tokens_N: NDArray[np.integer[Any]],
        logits_NV: Floats,
        context: Context,
        *,
        learn: bool = False,
    ) -> Doubles:
        """Read tokens: each is predicted first, then the weights and, if asked, the counts learn.

        Args:
            tokens_N: The tokens.
            logits_NV: The network's before each; overwritten with the mixture's.
            context: Before the first; overwritten with that after the last.
            learn: Whether the counts count them.
        Returns:
            What each cost, in nats, `(N,)`.
        Raises:
            BackendError: There is no memory.
        """
        tokens = np.ascontiguousarray(tokens_N, np.int32)
        assert logits_NV.shape == (len(tokens), self.counts.vocab)
        assert not len(tokens) or 0 <= tokens.min() <= tokens.max() < self.counts.vocab
        nats = np.empty(len(tokens))
        with self._lock:
            done = self._library.tg_mix_read(
                byref(self._mixer(context)),
                self.counts.handle if learn else None,
                tokens.ctypes.data,
                len(tokens),
                _floats(logits_NV),
                nats.ctypes.data,
            )
        if done < len(tokens):
            raise BackendError(_NO_MEMORY)
        return nats

    def write(
        self,
        sampler: Sampler,
        isa: str,
        context: Context,
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
    ) -> Chosen:
        """Choose and read tokens: as `Sampler.write`, by the mixture.

        Args:
            sampler: The network, on the instruction set `isa`.
            context: Before the first token; overwritten with that after the last.
            count, settings, counter, logits, state, recent, end, edits, previous, standing: As
                there; the logits are the mixture's.
        """
        with self._lock:
            mixer = self._mixer(context)

            def call(handle: int, choice: Any, *arguments: Any) -> int:
                return int(
                    self._library.tg_mix_write(
                        byref(mixer), handle, ISA_NAMES.index(isa), choice, *arguments
                    )
                )

            asked = (count, settings, counter, logits, state, recent, end, edits, previous)
            return sampler.write(*asked, standing, by=call)


def sets_of(counts: Counts) -> int:
    """How many sets of weights a mixture with these counts has."""
    return int(functions().tg_mix_sets(counts.handle))


def _pointer(context: Context, order: int) -> int:
    assert context.shape == (order,)
    assert context.dtype == np.int32
    assert context.flags.c_contiguous
    return int(context.ctypes.data)


def _floats(array: Floats) -> int:
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    return int(array.ctypes.data)
