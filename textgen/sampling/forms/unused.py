"""Texts that are none of some others: those that were written, or that stand in a training text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.spans import find_documents, gather
from textgen.corpus.vocabulary import END_ID
from textgen.corpus.windows import Tokens
from textgen.sampling.forms.form import UNBOUNDED, Form, State

Mask = NDArray[np.bool_]


class _Node:
    """A beginning of texts; what follows it is found when it is asked for.

    Args:
        rows: The texts that begin so, as a range of all, and the tokens of the beginning.
    """

    __slots__ = ("children", "is_spent", "mask_V", "rows")

    def __init__(self, rows: tuple[int, int, int] | None = None) -> None:
        self.rows = rows
        self.children: dict[int, _Node] = {}
        #: Whether no text but those of the tree goes on from here.
        self.is_spent = False
        self.mask_V: Mask | None = None


class UsedTexts:
    """Texts by their beginnings: a tree whose branches grow where they are looked at.

    Args:
        tokens: A text whose documents are separated by end marks, `(N,)`; of none they are used.
        longest: Documents with more tokens are left out.
    """

    def __init__(self, tokens: Tokens, longest: int) -> None:
        self._dtype = np.dtype(np.uint32)
        documents = find_documents(tokens)
        documents = documents.take(documents.stops - documents.starts <= longest)
        self._rows: list[bytes] = []
        if len(documents):
            joined = np.concatenate(list(gather(tokens, documents))).astype(self._dtype).tobytes()
            width = self._dtype.itemsize
            ends = np.cumsum(documents.stops - documents.starts + 1) * width
            borders = [0, *ends.tolist()]
            every = {joined[a:b] for a, b in pairwise(borders)}
            # Any order will do in which equal beginnings stand together.
            self._rows = sorted(every)
        self.root = _Node((0, len(self._rows), 0))

    def following(self, node: _Node) -> dict[int, _Node]:
        """What comes after a beginning; an end mark after a whole text."""
        if node.rows is not None:
            start, stop, depth = node.rows
            width = self._dtype.itemsize
            at, node.rows = depth * width, None
            while start < stop:
                beginning = self._rows[start][: at + width]
                token = int(np.frombuffer(beginning[at:], self._dtype)[0])
                end = bisect_left(self._rows, beginning + b"\xff" * width, start, stop)
                node.children[token] = _Node((start, end, depth + 1))
                start = end
        return node.children

    def add(self, ids: Sequence[int]) -> None:
        """Add a text, its end mark included."""
        node = self.root
        node.mask_V = None
        for token in ids:
            node = self.following(node).setdefault(token, _Node())
            node.mask_V = None

    def __contains__(self, ids: Sequence[int]) -> bool:
        node = self.root
        for token in ids:
            found = self.following(node).get(token)
            if found is None:
                return False
            node = found
        return True


class Unused:
    """A form of texts that keep to another form and are none of some others; see `Form`.

    It looks ahead: what only leads to those others is not allowed. So nothing is written in vain,
    and where nothing is allowed at the beginning, there is no other text.

    Args:
        inner: What the texts keep to. It bounds their length itself.
        used: The others; more may be added between two texts.
    """

    def __init__(self, inner: Form, used: UsedTexts) -> None:
        self._inner, self._used = inner, used

    def start(self) -> State:
        """Where a text begins."""
        return self._inner.start(), self._used.root

    def allowed(self, state: State, left: int) -> Mask:
        """Which symbols may come next, `(V,)`."""
        inner, node = _parts(state)
        if node is None:
            return self._inner.allowed(inner, left)
        if node.mask_V is None:
            mask_V = self._inner.allowed(inner, UNBOUNDED).copy()
            for token, after, child in self._known(inner, node):
                mask_V[token] = self._goes_on(after, child)
            if END_ID in node.children:
                mask_V[END_ID] = False
            node.mask_V = mask_V
        return node.mask_V

    def least(self, state: State) -> int:
        """The fewest characters that finish the text from here, or fewer."""
        return self._inner.least(_parts(state)[0])

    def standing(self, state: State, left: int) -> None:
        """It has no automaton that the engine could follow."""

    def next(self, state: State, token: int) -> State:
        """Where the text stands after an allowed symbol."""
        if token == END_ID:
            return state
        inner, node = _parts(state)
        child = None if node is None else self._used.following(node).get(token)
        return self._inner.next(inner, token), child

    def count_used(self, state: State) -> int:
        """How many of the others keep to the inner form, and go on from here."""
        inner, node = _parts(state)
        count, waiting = 0, [] if node is None else [(inner, node)]
        while waiting:
            inner, node = waiting.pop()
            waiting += [(after, child) for _, after, child in self._known(inner, node)]
            ends = END_ID in self._used.following(node)
            count += ends and bool(self._inner.allowed(inner, UNBOUNDED)[END_ID])
        return count

    def _known(self, inner: State, node: _Node) -> Iterator[tuple[int, State, _Node]]:
        """The allowed symbols that begin other texts, too, and where they lead."""
        allowed_V = self._inner.allowed(inner, UNBOUNDED)
        for token, child in self._used.following(node).items():
            if token != END_ID and allowed_V[token]:
                yield token, self._inner.next(inner, token), child

    def _goes_on(self, inner: State, node: _Node) -> bool:
        """Whether a text that is none of the others goes on from here.

        Branches that are spent are marked, for they stay so.
        """
        path = [(node, self._known(inner, node))] if self._is_full(inner, node) else []
        if not path:
            return not node.is_spent
        while path:
            top, known = path[-1]
            for _, after, child in known:
                if not self._is_full(after, child):
                    if child.is_spent:
                        continue
                    return True
                path.append((child, self._known(after, child)))
                break
            else:
                top.is_spent = True
                path.pop()
        return False

    def _is_full(self, inner: State, node: _Node) -> bool:
        """Whether all that is allowed here begins other texts, and it is not known to be spent."""
        if node.is_spent:
            return False
        following = self._used.following(node)
        allowed_V = self._inner.allowed(inner, UNBOUNDED)
        if np.count_nonzero(allowed_V) > len(following):
            return False
        return all(token in following for token in np.flatnonzero(allowed_V).tolist())


def _parts(state: State) -> tuple[State, _Node | None]:
    assert isinstance(state, tuple)
    return state[0], state[1]
