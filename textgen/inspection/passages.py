"""Where in a text a neuron is highest, and what the text is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, Vocabulary

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

#: Tokens shown before and after the place.
BEFORE, AFTER = 120, 60

#: The fewest tokens between two passages of one neuron.
DISTANCE = 64

#: Rows of which only the highest can become a passage, and so many candidates are kept for each
#: passage asked for: enough to find that many apart from each other.
_GROUP = 64
_CANDIDATES = 7

#: Tokens of the longest character, and some.
_MARGIN = 4

#: Two passages are the same if this many characters up to the place are.
_SAME = 24


@dataclass(frozen=True, eq=False)
class Passage:
    """A place in a text with what stands around it.

    Args:
        place: Number of the token in the text, from 0.
        value: The neuron's value after it.
        pieces: The text around it, token by token, within one document.
        mark: Which of the pieces is that token.
        values: The neuron's values after each piece, not a number where unknown; None: not kept.
    """

    place: int
    value: float
    pieces: tuple[str, ...]
    mark: int
    values: Floats | None = None

    @property
    def before(self) -> str:
        """The text before the place."""
        return "".join(self.pieces[: self.mark])

    @property
    def at(self) -> str:
        """The token there."""
        return self.pieces[self.mark]

    @property
    def after(self) -> str:
        """The text after it."""
        return "".join(self.pieces[self.mark + 1 :])

    def to_dict(self) -> dict[str, Any]:
        """The passage as plain data."""
        record: dict[str, Any] = {
            "place": self.place,
            "value": self.value,
            "before": self.before,
            "at": self.at,
            "after": self.after,
        }
        if self.values is not None:
            known = np.isfinite(self.values)
            record["tokens"] = list(self.pieces)
            record["mark"] = self.mark
            record["values"] = [
                float(value) if there else None
                for value, there in zip(self.values, known, strict=True)
            ]
        return record


class Highest:
    """The highest (or lowest) places of each neuron, found chunk by chunk in bounded memory."""

    def __init__(self, units: int, passages: int, *, lowest: bool = False) -> None:
        size = _CANDIDATES * passages
        self._passages = passages
        self._sign = np.float32(-1 if lowest else 1)
        self._values = np.full((size, units), -np.inf, np.float32)
        self._places = np.full((size, units), -1, np.int64)

    def add(self, values_TN: Floats, places_T: Places) -> None:
        """Take in the rows of a chunk; rows of neighbouring places follow each other."""
        count = len(places_T)
        if not count:
            return
        groups = -(-count // _GROUP)
        padded = np.full((groups * _GROUP, values_TN.shape[1]), -np.inf, np.float32)
        padded[:count] = values_TN * self._sign
        blocks = padded.reshape(groups, _GROUP, -1)
        best_GN = blocks.max(axis=1)
        # Most chunks bring nothing new for most neurons.
        columns = np.flatnonzero((best_GN > self._values.min(axis=0)).any(axis=0))
        if not columns.size:
            return
        size = len(self._values)
        values = np.concatenate([self._values[:, columns], best_GN[:, columns]])
        kept = np.argpartition(-values, size - 1, axis=0)[:size]
        places = np.take_along_axis(self._places[:, columns], np.minimum(kept, size - 1), axis=0)
        row, column = np.nonzero(kept >= size)
        group = kept[row, column] - size
        within = blocks[group, :, columns[column]].argmax(axis=1)
        # A padded row is never the highest of a group that has a row of its own.
        places[row, column] = places_T[np.minimum(group * _GROUP + within, count - 1)]
        self._values[:, columns] = np.take_along_axis(values, kept, axis=0)
        self._places[:, columns] = places

    def found(self, unit: int) -> list[tuple[int, float]]:
        """All candidates of a neuron, `(place, value)`, the highest first, then by place."""
        pairs = [
            (int(place), float(value * self._sign))
            for place, value in zip(self._places[:, unit], self._values[:, unit], strict=True)
            if place >= 0
        ]
        return sorted(pairs, key=lambda pair: (-pair[1] * float(self._sign), pair[0]))

    def passages(
        self,
        unit: int,
        ids: NDArray[np.integer[Any]],
        vocabulary: Vocabulary,
        contexts: dict[int, Floats] | None = None,
    ) -> tuple[Passage, ...]:
        """The highest places of a neuron that lie apart and differ, the highest first.

        `contexts` are the values around each place, as `snapshots` keeps them.
        """

        def passage(place: int, value: float) -> Passage:
            around = None if contexts is None else contexts.get(place)
            return passage_at(place, value, ids, vocabulary, around)

        return tuple(distinct(self.found(unit), passage, self._passages, DISTANCE))


def distinct(
    found: Iterable[tuple[int, float]],
    passage: Callable[[int, float], Passage],
    most: int,
    distance: int,
) -> Iterator[Passage]:
    """The first passages that lie apart and differ.

    Args:
        found: Places and values, the best first.
        passage: Makes the passage of a place and its value.
        most: How many at most.
        distance: The fewest tokens between two of them.
    """
    taken: list[int] = []
    seen: set[str] = set()
    for place, value in found:
        if len(taken) == most:
            return
        if any(abs(place - other) < distance for other in taken):
            continue
        one = passage(place, value)
        same = (one.before + one.at)[-_SAME:]
        if same not in seen:
            seen.add(same)
            taken.append(place)
            yield one


def passage_at(
    place: int,
    value: float,
    ids: NDArray[np.integer[Any]],
    vocabulary: Vocabulary,
    around: Floats | None = None,
) -> Passage:
    """The passage around a place, cut where its document begins and ends.

    `around` are the neuron's values from `BEFORE` tokens before the place up to `AFTER` after it.
    """
    first, last = max(0, place - BEFORE), min(len(ids), place + AFTER + 1)
    # A little more is decoded than is shown, so that no character is cut in two.
    wide = max(0, first - _MARGIN)
    part = np.asarray(ids[wide : last + _MARGIN])
    ends = np.flatnonzero(part == END_ID) + wide
    begin = int(ends[ends < place].max(initial=wide - 1)) + 1
    end = int(ends[ends > place].min(initial=wide + len(part)))
    at_start = begin == 0 or begin > wide
    pieces = vocabulary.pieces(part[begin - wide : end - wide], at_start=at_start)
    start, stop = max(first, begin), min(last, end)
    shown = _moved(pieces, place - begin)[start - begin : stop - begin]
    values = None
    if around is not None:
        offset = BEFORE - place
        values = around[start + offset : stop + offset]
    return Passage(place, value, tuple(shown), place - start, values)


def snapshots(
    values_T: Floats, start: int, places: Iterable[int], known: dict[int, Floats]
) -> None:
    """Keep a neuron's values around its highest places while they are in memory.

    Args:
        values_T: Its values after consecutive tokens.
        start: Number of the first of these.
        places: Where it is highest so far; what is kept of other places is dropped.
        known: Place -> values, changed in place.
    """
    wanted = set(places)
    for place in list(known):
        if place not in wanted:
            del known[place]
    for place in wanted:
        if start <= place < start + len(values_T):
            around = np.full(BEFORE + 1 + AFTER, np.nan, np.float32)
            first = max(start, place - BEFORE)
            part = values_T[first - start : place + AFTER + 1 - start]
            around[first - place + BEFORE :][: len(part)] = part
            known[place] = around


def _moved(pieces: Sequence[str], mark: int) -> list[str]:
    """The character that the marked token is a part of, moved to it from the last of its tokens."""
    result = list(pieces)
    if not result[mark]:
        later = next((p for p in range(mark, min(mark + 4, len(result))) if result[p]), mark)
        result[mark], result[later] = result[later], result[mark]
    return result
