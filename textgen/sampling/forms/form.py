"""What a form is: an automaton over a model's symbols, which says how a text may go on.

The protocol is all that choosing a symbol needs. A form looks ahead: it never allows a symbol after
which the text could not be finished any more.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.native.sampler import Automaton, Standing

#: More characters than any text has: its length is no bound.
UNBOUNDED = 2**40
#: Where a text stands in a form. Nothing but its form looks into it.
State: TypeAlias = Hashable


class Form(Protocol):
    """What texts are held to. It is shared by all texts of a call, so it keeps nothing of one."""

    def start(self) -> State:
        """Where a text begins."""

    def allowed(self, state: State, left: int) -> NDArray[np.bool_]:
        """Which symbols may come next, `(V,)`; `END_ID` stands for the end of the text.

        At least one is, in every state that `next` has led to by allowed symbols, where `left` was
        at least `least` at the beginning.

        Args:
            state: Where the text stands.
            left: Characters that the text may still have; a character of several bytes counts at
                its last one.
        Returns:
            An array that is not to be written to.
        """

    def least(self, state: State) -> int:
        """The fewest characters that finish the text from here."""

    def next(self, state: State, token: int) -> State:
        """Where the text stands after an allowed symbol; `END_ID` leaves it where it is."""

    def standing(self, state: State, left: int) -> Standing | None:
        """Where the text stands in an automaton that the native engine can follow by itself.

        It allows what `allowed` does, up to where it allows nothing more. None: there is none, and
        the form is asked at each symbol.

        Args:
            state: Where the text stands.
            left: Characters that the text may still have.
        """


def one_step(allowed_V: NDArray[np.bool_]) -> Standing:
    """An automaton of one symbol: from state 0 each that is allowed leads to 1, and none on."""
    kinds_V = np.where(allowed_V, 0, -1).astype(np.int32)
    automaton = Automaton(
        np.array([[1], [-1]], np.int32),
        kinds_V,
        np.zeros(2, np.int32),
        np.array([allowed_V[END_ID], False]),
        END_ID,
        whole=2,
    )
    return Standing(automaton, 0, UNBOUNDED, is_whole=False)


def may_only_end(allowed_V: NDArray[np.bool_]) -> bool:
    """Whether nothing but the end of the text may come next."""
    return bool(allowed_V[END_ID]) and int(np.count_nonzero(allowed_V)) == 1
