"""Texts that are not empty, and not too long; they may keep to another form as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.sampling.forms.form import Form, State

Mask = NDArray[np.bool_]


class Bounds:
    """A form of texts with one character or more, up to a most; see `Form`.

    Args:
        vocabulary: The model's symbols.
        most: The most characters.
        inner: What the texts keep to as well, which then looks ahead; None: nothing.
    """

    def __init__(self, vocabulary: Vocabulary, most: int, inner: Form | None = None) -> None:
        self._most, self._inner = most, inner
        self._size = len(vocabulary)
        self._is_bytes = vocabulary.level == "byte"
        self._lengths_V = vocabulary.symbol_lengths()
        self._folded = vocabulary.folded
        self._symbols = vocabulary.symbols
        junctions = vocabulary.junctions or bytes(self._size)
        self._begins_V = np.frombuffer(junctions, np.uint8) & 15
        self._strict = [junction >> 4 for junction in junctions]
        # Of each beginning of a character, the bytes that may follow and whether they complete it.
        self._bytes_after: dict[bytes, dict[int, bool]] = {}
        self._masks: dict[State, Mask] = {}

    def start(self) -> State:
        """Where a text begins."""
        within: bytes | int = b"" if self._is_bytes else 0
        return 0, within, None if self._inner is None else self._inner.start()

    def allowed(self, state: State, left: int) -> Mask:
        """Which symbols may come next, `(V,)`, however many characters are left."""
        mask_V = self._masks.get(state)
        if mask_V is None:
            chars, within, inner = _parts(state)
            if self._inner is not None:
                mask_V = self._inner.allowed(inner, self._most - chars).copy()
            else:
                mask_V = self._spelled(chars, within)
            mask_V[END_ID] &= chars > 0
            self._masks[state] = mask_V
        return mask_V

    def least(self, state: State) -> int:
        """The fewest characters that finish the text from here."""
        chars, _, inner = _parts(state)
        return max(int(chars == 0), 0 if self._inner is None else self._inner.least(inner))

    def standing(self, state: State, left: int) -> None:
        """It has no automaton that the engine could follow."""

    def next(self, state: State, token: int) -> State:
        """Where the text stands after an allowed symbol."""
        if token == END_ID:
            return state
        chars, within, inner = _parts(state)
        if self._inner is not None:
            inner = self._inner.next(inner, token)
        if isinstance(within, bytes):
            if self._following(within)[token]:
                return chars + 1, b"", inner
            return chars, within + self._symbols[token].encode("latin-1"), inner
        length = int(self._lengths_V[token]) - (self._folded and chars == 0)
        return chars + length, self._strict[token], inner

    def _spelled(self, chars: int, within: bytes | int) -> Mask:
        """What may come next where nothing but the length is asked for."""
        if isinstance(within, bytes):
            mask_V = np.zeros(self._size, np.bool_)
            mask_V[list(self._following(within))] = chars < self._most
            mask_V[END_ID] = not within
        else:
            # The first folded word has no space.
            after_V = chars + self._lengths_V - (self._folded and chars == 0)
            mask_V = (within + self._begins_V <= 2) & (after_V <= self._most)
            mask_V[END_ID] = True
        mask_V[UNKNOWN_ID] = False
        return mask_V

    def _following(self, within: bytes) -> dict[int, bool]:
        """The bytes that go on with a character, and whether they complete it."""
        if within not in self._bytes_after:
            whole = {
                token: _is_whole(within + symbol.encode("latin-1"))
                for token, symbol in enumerate(self._symbols)
                if symbol
            }
            self._bytes_after[within] = {
                token: is_whole for token, is_whole in whole.items() if is_whole is not None
            }
        return self._bytes_after[within]


def _is_whole(data: bytes) -> bool | None:
    """Whether bytes are a character, or the beginning of one; None: neither."""
    # Where only some bytes may follow, one of these two is among them.
    for following in (b"", *(byte * more for more in (1, 2, 3) for byte in (b"\x80", b"\xbf"))):
        try:
            if len((data + following).decode()) == 1:
                return not following
        except UnicodeDecodeError:
            continue
    return None


def _parts(state: State) -> tuple[int, bytes | int, State]:
    """Characters; the bytes of one that is begun, or how strict the word is; the inner state."""
    assert isinstance(state, tuple)
    return state[0], state[1], state[2]
