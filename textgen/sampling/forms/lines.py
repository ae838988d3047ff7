"""A text of a known number of lines, cut into them: what each is held to, and where it may begin.

Where a whole text is held to something, such as an expression, a line begins in one of several
states: what stands above it decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from textgen.sampling.forms.automaton import NONE, Ints, Rule, reached

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Line:
    """What one line is held to.

    Args:
        rule: Its automaton. In a last line a line end is a character as any other; in another one
            none leads anywhere.
        starts_Q: The states in which the line may begin.
        begun_S: The beginning of the next line, as its number among that line's `starts_Q`, after a
            line end that is read in each state; `NONE`: none may be read there.
        is_last: Whether the text ends with it.
    """

    rule: Rule
    starts_Q: Ints
    begun_S: Ints
    is_last: bool

    def leading_to(self, starts_Q: Mask | None) -> Mask:
        """In which states it may end, so that the next line begins in one of these, `(S,)`.

        Args:
            starts_Q: Beginnings of the next line; None: all, and the end of a last line.
        """
        if self.is_last:
            return self.rule.ends_S
        if starts_Q is None:
            return self.begun_S >= 0
        return (self.begun_S >= 0) & starts_Q[np.maximum(self.begun_S, 0)]

    def can_end(self, ends_S: Mask) -> Mask:
        """From which beginnings a way leads to one of some states, `(Q,)`."""
        return replace(self.rule, ends_S=ends_S).is_open_S[self.starts_Q]

    @cached_property
    def least(self) -> int:
        """The fewest characters that it can have, its line end included."""
        ends = replace(self.rule, ends_S=self.leading_to(None))
        return int(ends.distances_S[self.starts_Q].min()) + (not self.is_last)


def lines_of_their_own(rules: Sequence[Rule], newline: int) -> list[Line]:
    """Lines of which none depends on another; equal ones are one.

    Args:
        rules: The automaton of each, as `as_line` makes them.
        newline: The number of the line end in the alphabet.
    """
    start = np.zeros(1, np.int32)
    made: dict[tuple[int, bool], Line] = {}
    for place, rule in enumerate(rules):
        is_last = place == len(rules) - 1
        key = (id(rule), is_last)
        if key not in made:
            begun_S = np.full(len(rule.table_SK), NONE, np.int32)
            if not is_last:
                begun_S[rule.table_SK[:, rule.kinds_N[newline]] >= 0] = 0
                rule = _without_line_end(rule, newline)
            made[key] = Line(rule, start, begun_S, is_last)
    keys = [(id(rule), place == len(rules) - 1) for place, rule in enumerate(rules)]
    return [made[key] for key in keys]


def lines_of_text(whole: Rule, count: int, newline: int) -> list[Line]:
    """The lines of a text that one automaton holds as a whole, and holds to so many lines.

    Args:
        whole: The automaton.
        count: How many lines each of its texts has.
        newline: The number of the line end in the alphabet.
    """
    kind = whole.kinds_N[newline]
    within_SK = whole.table_SK.copy()
    within_SK[:, kind] = NONE
    starts, lines = np.zeros(1, np.int32), []
    for place in range(count):
        is_last = place == count - 1
        table_SK = whole.table_SK if is_last else within_SK
        own = reached(table_SK, starts)
        number = np.full(len(table_SK) + 1, NONE, np.int32)
        number[own] = np.arange(len(own))
        begun_S = np.full(len(own), NONE, np.int32)
        following = starts
        if not is_last:
            after_S = whole.table_SK[own, kind]
            following = np.unique(after_S[after_S >= 0])
            begun_S[after_S >= 0] = np.searchsorted(following, after_S[after_S >= 0])
        # A state of -1 is the last number, which is NONE.
        rule = replace(whole, table_SK=number[table_SK[own]], ends_S=whole.ends_S[own])
        lines.append(Line(rule, number[starts], begun_S, is_last))
        starts = following
    return lines


def _without_line_end(rule: Rule, newline: int) -> Rule:
    table_SK = rule.table_SK.copy()
    table_SK[:, rule.kinds_N[newline]] = NONE
    return replace(rule, table_SK=table_SK, ends_S=np.zeros_like(rule.ends_S))
