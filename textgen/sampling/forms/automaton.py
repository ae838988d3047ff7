"""Deterministic automata over a finite alphabet, their product, and how far each state is from the
end: a text goes on only where the end can still be reached.

A rule is one automaton. Its table is small, for characters that it does not tell apart are one
kind. The product of several rules is explored from its start, state by state.

Shape suffixes: `S` states, `K` kinds of characters, `N` characters of the alphabet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from textgen.errors import SamplingError
from textgen.progress import task

Ints = NDArray[np.int32]

#: The next state where there is none.
NONE = -1
#: The distance of a state that no end can be reached from.
FAR = 2**30
#: A product of rules may have so many states before it is explored, and so many transitions after.
MOST_STATES = 2**25
MOST_TRANSITIONS = 2**25


@dataclass(frozen=True, eq=False)
class Rule:
    """One automaton; it starts in state 0.

    Args:
        name: What a person asked for, as a message says it.
        kinds_N: The kind of each character.
        table_SK: The next state after a character of each kind, or `NONE`.
        ends_S: In which states the text may end.
    """

    name: str
    kinds_N: Ints
    table_SK: Ints
    ends_S: NDArray[np.bool_]

    @cached_property
    def distances_S(self) -> Ints:
        """The fewest characters to where the text may end; `FAR` where it never may."""
        size = len(self.table_SK)
        sources, kinds = np.nonzero(self.table_SK >= 0)
        targets = self.table_SK[sources, kinds]
        order = np.argsort(targets, kind="stable")
        sources = sources[order]
        first_S = np.searchsorted(targets[order], np.arange(size + 1))
        distances_S = np.full(size, FAR, np.int32)
        border, steps = np.flatnonzero(self.ends_S), 0
        while border.size:
            distances_S[border] = steps
            steps += 1
            counts = first_S[border + 1] - first_S[border]
            offsets = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
            before = sources[np.repeat(first_S[border], counts) + offsets]
            border = np.unique(before[distances_S[before] == FAR])
        return distances_S

    @property
    def is_open_S(self) -> NDArray[np.bool_]:
        """From which states an end can be reached."""
        return self.distances_S < FAR

    @property
    def can_be_kept(self) -> bool:
        """Whether any text keeps to it."""
        return bool(self.is_open_S[0])

    def minimal(self) -> Rule:
        """The same rule with the fewest states.

        One that cannot be kept stays as it is, and of one that would take long only the states go
        that lead nowhere.
        """
        if not self.can_be_kept:
            return self
        alive_S = self.is_open_S
        table_SK = np.where((self.table_SK >= 0) & alive_S[self.table_SK], self.table_SK, NONE)
        weights_K = _random(table_SK.shape[1])
        # States that are as far from an end may be one.
        _, blocks_S = np.unique(self.distances_S, return_inverse=True)
        count, rounds = 0, _MOST_WORK // table_SK.size
        with task("making an automaton", len(table_SK)) as making:
            while True:
                if (rounds := rounds - 1) < 0:
                    blocks_S, count = np.arange(len(table_SK)), len(table_SK)
                    break
                # States stay together whose successors are together: equal sums, all but certainly.
                after_SK = np.where(table_SK >= 0, blocks_S[table_SK] + 1, 0).astype(np.uint64)
                sums_S = (after_SK * weights_K).sum(axis=1) + blocks_S.astype(np.uint64) * _ODD
                _, blocks_S = np.unique(sums_S, return_inverse=True)
                if (found := int(blocks_S.max()) + 1) == count:
                    break
                count = found
                making.reach(count)
        _, some = np.unique(blocks_S, return_index=True)
        merged_SK = np.where(table_SK[some] >= 0, blocks_S[table_SK[some]], NONE)
        # The start comes first, and what nothing leads to goes.
        kept = reached(merged_SK, blocks_S[:1])
        number = np.full(count + 1, NONE, np.int32)
        number[kept] = np.arange(len(kept))
        return replace(
            self,
            table_SK=number[merged_SK[kept]].astype(np.int32),
            ends_S=self.ends_S[some][kept],
        )


_ODD = np.uint64(0x9E3779B97F4A7C15)
#: Transitions that are looked at for the fewest states: about two seconds.
_MOST_WORK = 2**27


def _random(count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(0).integers(1, 2**63, count, np.uint64) | np.uint64(1)


def reached(table_SK: NDArray[np.integer], starts: NDArray[np.integer]) -> NDArray[np.intp]:
    """The states that can be reached from some, in the order in which they are found: these first.

    Args:
        table_SK: As in `Rule`.
        starts: States, each once.
    """
    seen_S = np.zeros(len(table_SK), np.bool_)
    seen_S[starts] = True
    border = starts.astype(np.intp)
    found = [border]
    while border.size:
        after = np.unique(table_SK[border])
        border = after[(after >= 0) & ~seen_S[after]]
        seen_S[border] = True
        found.append(border)
    return np.concatenate(found)


def joint_kinds(rules: Sequence[Rule]) -> tuple[Ints, NDArray[np.int64]]:
    """The kinds that all rules together tell apart, `(N,)`; and each one's kind in each rule."""
    rows_NR = np.stack([rule.kinds_N for rule in rules], axis=1).astype(np.int64)
    of_rules, kinds_N = np.unique(rows_NR, axis=0, return_inverse=True)
    return kinds_N.reshape(-1).astype(np.int32), of_rules


def product(rules: Sequence[Rule], starts_QR: NDArray[np.integer] | None = None) -> Rule:
    """What keeps to all of some rules, with the states that a text can get into.

    Args:
        rules: The rules.
        starts_QR: The states of each in which texts begin, each row once; their states in the
            product are 0, 1 and so on. None: in their first states.
    Raises:
        SamplingError: It could have too many states, which is said before any is made.
    """
    if len(rules) == 1 and starts_QR is None:
        return rules[0]
    if len(rules) > 2 and math.prod(len(rule.table_SK) for rule in rules) > MOST_STATES:
        # Few of the states that are possible are reached, and of these many are one.
        joint, *others = sorted(rules, key=lambda rule: len(rule.table_SK))
        for rule in others:
            joint = product([joint, rule]).minimal()
        return joint
    kinds_N, of_rules = joint_kinds(rules)
    tables = [rule.table_SK[:, of_rules[:, r]] for r, rule in enumerate(rules)]
    sizes = [len(rule.table_SK) for rule in rules]
    strides = np.cumprod([1, *sizes[:-1]]).tolist()
    possible = strides[-1] * sizes[-1]
    if possible > MOST_STATES:
        raise too_large(rules, f"{possible:,} states", MOST_STATES)
    number = np.full(possible, NONE, np.int32)
    first = np.zeros(1, np.int64) if starts_QR is None else starts_QR @ np.array(strides, np.int64)
    number[first] = np.arange(len(first))
    states, rows, count = [first], [], len(first)
    while states[-1].size:
        border = states[-1]
        codes_SK = np.zeros((len(border), len(of_rules)), np.int64)
        open_SK = np.ones(codes_SK.shape, np.bool_)
        for table, stride, size in zip(tables, strides, sizes, strict=True):
            after_SK = table[border // stride % size]
            open_SK &= after_SK >= 0
            codes_SK += after_SK.astype(np.int64) * stride
        new = np.unique(codes_SK[open_SK])
        new = new[number[new] == NONE]
        number[new] = np.arange(count, count + len(new))
        count += len(new)
        if count * len(of_rules) > MOST_TRANSITIONS:
            raise too_large(rules, f"more than {count:,} states", MOST_TRANSITIONS // len(of_rules))
        rows.append(np.where(open_SK, number[np.where(open_SK, codes_SK, 0)], NONE))
        states.append(new)
    codes = np.concatenate(states)
    ends_S = np.ones(len(codes), np.bool_)
    for rule, stride, size in zip(rules, strides, sizes, strict=True):
        ends_S &= rule.ends_S[codes // stride % size]
    name = " and ".join(dict.fromkeys(rule.name for rule in rules))
    return Rule(name, kinds_N, np.concatenate(rows).astype(np.int32), ends_S)


def too_large(rules: Sequence[Rule], found: str, most: int) -> SamplingError:
    names = " and ".join(dict.fromkeys(rule.name for rule in rules))
    return SamplingError(
        f"{names} make an automaton of {found}, and {most:,} are the most; ask for less at once: "
        "shorter ranges, fewer words, or a simpler expression"
    )


def by_lines(lines: Sequence[Rule], newline: int, after: str) -> Rule:
    """A rule of texts from rules of lines.

    A text may end with a line end, or without one. Its first line is always there; with `"end"`
    all lines are.

    Args:
        lines: The rules of the first lines.
        newline: The number of the line end in the alphabet.
        after: What comes after them: `"again"` the first once more, `"last"` all as the last, and
            `"end"` nothing.
    """
    kinds_N, of_rules = joint_kinds(lines)
    kinds_N = kinds_N.copy()
    kinds_N[newline] = line_end = len(of_rules)
    # Each line has its states, and one more for its beginning after a line end: there the text may
    # end. After the last line of "end" there is one that leads nowhere.
    firsts = np.cumsum([0, *(len(rule.table_SK) + 1 for rule in lines)]).tolist()
    full = firsts[-1]
    table_SK = np.full((full + 1, line_end + 1), NONE, np.int32)
    ends_S = np.ones(full + 1, np.bool_)
    for place, rule in enumerate(lines):
        first, size = firsts[place], len(rule.table_SK)
        own_SK = rule.table_SK[:, of_rules[:, place]]
        table_SK[first : first + size, :line_end] = np.where(own_SK >= 0, own_SK + first, NONE)
        following = place + 1
        if following == len(lines) and after != "end":
            following = 0 if after == "again" else place
        begun = full if following == len(lines) else firsts[following + 1] - 1
        table_SK[first : first + size, line_end] = np.where(rule.ends_S, begun, NONE)
        is_missing = after == "end" and place + 1 < len(lines)
        ends_S[first : first + size] = rule.ends_S & (not is_missing)
        # A copy of the line's start, where the text may end.
        table_SK[first + size] = table_SK[first]
        ends_S[first + size] = after != "end"
    _drop_unused(table_SK, kinds_N)
    return Rule(lines[0].name, kinds_N, table_SK, ends_S)


def _drop_unused(table_SK: Ints, kinds_N: Ints) -> None:
    """Drop what follows kinds that no character has any more, since the line end has its own."""
    table_SK[:, np.setdiff1d(np.arange(table_SK.shape[1]), kinds_N)] = NONE


def one_after_another(lines: Sequence[Rule], newline: int) -> Rule:
    """The rule of a text from those of its lines, as `as_line` makes them.

    Args:
        lines: The rules, each with the line end after it.
        newline: The number of the line end in the alphabet.
    """
    kinds_N, of_rules = joint_kinds(lines)
    firsts = np.cumsum([0, *(len(rule.table_SK) for rule in lines)]).tolist()
    tables, ends = [], []
    for place, rule in enumerate(lines):
        own_SK = rule.table_SK[:, of_rules[:, place]]
        table_SK = np.where(own_SK >= 0, own_SK + firsts[place], NONE)
        is_last = place == len(lines) - 1
        if not is_last:
            column_S = table_SK[:, kinds_N[newline]]
            column_S[column_S >= 0] = firsts[place + 1]
        tables.append(table_SK)
        ends.append(rule.ends_S & is_last)
    name = " and ".join(dict.fromkeys(rule.name for rule in lines))
    return Rule(name, kinds_N, np.concatenate(tables).astype(np.int32), np.concatenate(ends))


def as_line(rule: Rule, newline: int, *, is_last: bool) -> Rule:
    """A rule of one line with the line end after it, which a last line may do without."""
    kinds_N = rule.kinds_N.copy()
    kinds_N[newline] = line_end = rule.table_SK.shape[1]
    size = len(rule.table_SK)
    table_SK = np.full((size + 1, line_end + 1), NONE, np.int32)
    table_SK[:size, :line_end] = rule.table_SK
    table_SK[:size, line_end] = np.where(rule.ends_S, size, NONE)
    ends_S = np.append(rule.ends_S & is_last, True)
    _drop_unused(table_SK, kinds_N)
    return Rule(rule.name, kinds_N, table_SK, ends_S)
