"""Which words a line can end with, from each of its beginnings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from textgen.sampling.forms.alphabet import Alphabet, is_letter
from textgen.sampling.forms.automaton import NONE, Ints, reached
from textgen.sampling.forms.lines import Line, Mask

#: Words times beginnings of words that are looked at, the most frequent words first: 64 MB.
_MOST_WAYS = 2**24


class LineEnds:
    """The words that a line can end with.

    Args:
        line: The line.
        words: The words in question, in lower case, the most frequent first.
        alphabet: The characters of texts.
    """

    def __init__(self, line: Line, words: Sequence[str], alphabet: Alphabet) -> None:
        self._line = line
        self._alphabet = alphabet
        rule = line.rule
        # Where a word may begin: at the line's start, and after white space.
        begun = rule.table_SK[:, np.unique(rule.kinds_N[alphabet.are(str.isspace)])]
        self._begins_B = np.unique(np.append(begun[begun >= 0], line.starts_Q)).astype(np.int32)
        ways = dict(self._ways(words[: max(_MOST_WAYS // len(self._begins_B), 1)]))
        #: In which state each word leaves each beginning of a word, small and with a capital.
        self._after = {word: np.stack(ways[word]) for word in words if word in ways}
        self._found: dict[bytes, dict[str, Mask]] = {}
        self._ends: dict[bytes, Mask] = {}
        can_QW = self.can_end(None, list(self._after))
        #: The words that it can end with from any beginning, the most frequent first.
        self.words = [word for word, own in zip(self._after, can_QW.T, strict=True) if own.any()]

    def can_end(self, starts_Q: Mask | None, words: Sequence[str]) -> Mask:
        """Whether it can end with a word, and the next line begin in one of some states, `(Q, W)`.

        Args:
            starts_Q: Beginnings of the next line; None: all, and the end of a last line.
            words: Words, of those that it was made with.
        """
        key = b"" if starts_Q is None or starts_Q.all() else starts_Q.tobytes()
        known = self._found.setdefault(key, {})
        if new := [word for word in words if word not in known]:
            if key not in self._ends:
                self._ends[key] = self._closing(self._line.leading_to(starts_Q))
            closes_S = np.append(self._ends[key], False)  # For NONE, the last one.
            can_BW = np.stack([closes_S[self._after[word]].any(axis=0) for word in new], axis=1)
            can_QW = self._reach_QB @ can_BW.astype(np.float32) > 0
            known.update(zip(new, can_QW.T, strict=True))
        if not words:
            return np.zeros((len(self._line.starts_Q), 0), np.bool_)
        return np.stack([known[word] for word in words], axis=1)

    @cached_property
    def _reach_QB(self) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """Which beginnings of words can be reached from each beginning of the line."""
        rule, starts_Q = self._line.rule, self._line.starts_Q
        spaces = np.unique(rule.kinds_N[self._alphabet.are(str.isspace)])
        reach_QB = np.zeros((len(starts_Q), len(self._begins_B)), np.float32)
        for row, start in enumerate(starts_Q):
            begun = rule.table_SK[np.ix_(reached(rule.table_SK, starts_Q[[row]]), spaces)]
            own = np.append(begun[begun >= 0], start)
            reach_QB[row, np.searchsorted(self._begins_B, own)] = 1.0
        return reach_QB

    def _closing(self, leads_S: Mask) -> Mask:
        """From which states what is no letter leads to one of these, `(S,)`."""
        rule = self._line.rule
        others = np.unique(rule.kinds_N[~self._alphabet.letters_N])
        only_SK = np.full_like(rule.table_SK, NONE)
        only_SK[:, others] = rule.table_SK[:, others]
        return replace(rule, table_SK=only_SK, ends_S=leads_S).is_open_S

    def _ways(self, words: Sequence[str]) -> Iterator[tuple[str, list[Ints]]]:
        """Words, and in which state each leaves each beginning of a word, in each of its cases."""
        table_SK, kinds_N = self._line.rule.table_SK, self._line.rule.kinds_N
        # A row for NONE, the last one.
        table_SK = np.vstack([table_SK, np.full((1, table_SK.shape[1]), NONE, np.int32)])
        numbers, alphabet = self._alphabet.numbers, self._alphabet
        letters = {letter.lower() for letter in alphabet.chars if is_letter(letter)}
        cases = {letter: alphabet.cases(letter) for letter in letters}
        # As `end_words_rule` has them: capitals only in front, where there is a small letter.
        later = {char: char if char in numbers else cases[char] for char in cases}
        whole = {word for word in words if all(letter in cases for letter in word)}
        children: dict[str, list[str]] = defaultdict(list)
        for node in sorted({word[:size] for word in whole for size in range(1, len(word) + 1)}):
            children[node[:-1]].append(node)
        found: dict[str, list[Ints]] = defaultdict(list)
        waiting = [("", self._begins_B)]
        while waiting:
            node, states_B = waiting.pop()
            for child in children[node]:
                for form in (later if node else cases)[child[-1]]:
                    after_B = table_SK[states_B, kinds_N[numbers[form]]]
                    if (after_B >= 0).any():
                        if child in whole:
                            found[child].append(after_B)
                        waiting.append((child, after_B))
        yield from found.items()
