"""Where in a corpus the network's state is nearest to its state after a given text.

States are compared by their cosine, each neuron standardised over the corpus, so that none counts
for more because it is large; a cell state enters as its tanh.

A network that has read nothing but a short text is in a state that hardly any place of the corpus
has: the first letters of each document are nearest to it, whatever the text is. So the text is read
after other text, at several places of the corpus, and the mean of the states after it is looked
for.

Two places after the same twelve characters have nearly the same state, so each match says how many
of its last tokens are those of the query. Source: the question of Strobelt, Gehrmann, Pfister and
Rush 2018, arXiv:1606.07461 (there places are matched by which neurons are on).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import InspectionError, named
from textgen.inspection.memory import spread_places, windows
from textgen.inspection.neuron_stats import Moments
from textgen.inspection.passages import Passage, distinct, passage_at
from textgen.inspection.subject import LongText, Subject, encoded
from textgen.inspection.trace import (
    Trace,
    as_chunks,
    check_numbers,
    chosen_quantity,
    own_name,
    trace,
)
from textgen.inspection.view import with_source
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits, for_all
from textgen.notebook import Excerpts, Part, Shown, quoted
from textgen.progress import task, track
from textgen.table import Table
from textgen.terminal.humanize import plural
from textgen.view_options import SimilarOptions

Reals = NDArray[np.float64]
Places = NDArray[np.int64]

#: How many times more candidates than matches are kept, because some are repetitions.
_SPARE = 4
#: After how many other texts a short one is read, and how far back its word may begin.
_CONTEXTS, _WORD = 16, 64


@dataclass(frozen=True, eq=False)
class Match:
    """A place whose state is like the query's.

    Args:
        similarity: Cosine of the standardised states, from -1 to 1.
        same: How many tokens up to the place are those of the query, counted backwards.
        passage: The place, and the text before and after it.
    """

    similarity: float
    same: int
    passage: Passage

    @property
    def before(self) -> str:
        """The text up to the place; the state is that after its last character."""
        return self.passage.before + self.passage.at

    @property
    def after(self) -> str:
        """What comes next there."""
        return self.passage.after


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SimilarPlaces(Shown):
    """The places of a corpus nearest to a query.

    Args:
        query: Its text.
        quantity: What was compared, such as `cell`.
        layers: Of which layers.
        units: How many neurons in all.
        tokens: How many places were compared: ends of characters.
        left_out: How many more share too much of the query's end and were not.
        mean: Mean similarity over all places compared: what chance gives.
        sd: Its standard deviation.
        matches: The nearest first.
        contexts: After how many other stretches of text the query was read; 0: it was read as the
            beginning of a document.
        warm_up: Tokens of each of these stretches.
        agreement: Mean similarity between the state after the query in one of them and the mean of
            these states, which was looked for: near 1 where the query alone makes the state.
    """

    query: str
    quantity: str
    layers: tuple[int, ...]
    units: int
    tokens: int
    left_out: int
    mean: float
    sd: float
    matches: tuple[Match, ...]
    contexts: int = 0
    warm_up: int = 0
    agreement: float = 1.0

    @property
    def headline(self) -> str:
        """How many places, and how near they are."""
        told = f"{plural(len(self.matches), 'place')} like the end of {quoted(self.query)}"
        if self.matches:
            first, last = self.matches[0].similarity, self.matches[-1].similarity
            told += f": similarity {first:.3f} to {last:.3f}"
        return f"{told}; a random place has {self.mean:.3f} (sd {self.sd:.3f})"

    def parts(self) -> Iterable[Part]:
        """The query and the places below it; what they share at their ends is set off."""
        yield self.excerpts()

    def excerpts(self) -> Excerpts:
        """The query, and below it the places, the nearest first."""
        from textgen.terminal.excerpt import ContextLine

        lines = [ContextLine(("", "", "text"), self.query, "")]
        for match in self.matches:
            labels = (f"{match.similarity:.3f}", str(match.same), f"{match.passage.place:,}")
            shared = _shared_end(match.before, self.query)
            lines.append(ContextLine(labels, match.before, match.after, marked=shared))
        return Excerpts(("similarity", "same", "place"), lines)

    def to_json(self) -> dict[str, Any]:
        """The places as plain data, ready for `json.dumps`."""
        return {
            "query": self.query,
            "quantity": self.quantity,
            "layers": list(self.layers),
            "units": self.units,
            "places": self.tokens,
            "left_out": self.left_out,
            "mean_similarity": self.mean,
            "sd_similarity": self.sd,
            "contexts": self.contexts,
            "warm_up": self.warm_up,
            "agreement": self.agreement,
            "matches": self.table().records(),
        }

    def table(self) -> Table:
        """A row for each match."""
        return Table(
            ("similarity", "same", "place", "before", "after"),
            (
                (match.similarity, match.same, match.passage.place, match.before, match.after)
                for match in self.matches
            ),
        )

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """The columns of the table, `(matches,)` each."""
        return self.table().to_arrays()


def _shared_end(first: str, second: str) -> int:
    """How many characters at their ends are the same."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count


def similar_places(
    query: Trace,
    ids: NDArray[np.integer],
    read: Callable[[], Iterable[Trace]],
    vocabulary: Vocabulary,
    options: SimilarOptions,
    *,
    quantity: str | None = None,
    layers: Sequence[int] | None = None,
    contexts: Mapping[str, NDArray[np.float32]] | None = None,
) -> SimilarPlaces:
    """Search a corpus for the state after a text.

    The corpus is read twice: for the usual values of each neuron, then for the nearest places.
    Memory does not grow with it.

    Args:
        query: A trace of the text; its last row is looked for, unless there are `contexts`.
        ids: The corpus, `(N,)`; may be memory-mapped.
        read: Gives the chunks of a trace or survey of `ids`, in any order, each time from the
            start.
        vocabulary: Of both.
        options: How many neurons and places, and which; `quantity` and `layers` say the rest.
        quantity: Which of the quantities traced; may be left out where there is one.
        layers: Whose neurons are compared; None: those of the last layer traced.
        contexts: The states after the text where it was read after other text, as in
            `Trace.arrays`, a row for each of these texts; their mean is looked for.
    Raises:
        InspectionError: The query or the corpus is empty, a layer was not traced, or the states
            grow without limit.
    """
    top, min_apart, not_same = options.top, options.min_apart, options.not_same
    if not len(query) or not len(ids):
        what = "corpus" if len(query) else "text whose state is looked for"
        raise InspectionError(f"the {what} is empty; give at least one character")
    name = query.only_quantity(quantity)
    chosen = tuple(layers) if layers is not None else (max(query.units),)
    if missing := [layer for layer in chosen if layer not in query.units]:
        known = ", ".join(map(str, sorted(query.units)))
        raise InspectionError(f"layer {missing[0]} is not in the trace; it has: {known}")
    check_numbers(*query.arrays.values(), *(contexts or {}).values())
    moments: Moments | None = None
    usual = track(as_chunks(read()), "measuring the usual values of each neuron", len(ids), len)
    for chunk in usual:
        values_TU = _values(chunk.arrays, chosen, name)
        moments = moments or Moments(values_TU.shape[1])
        moments.add(values_TU)
    assert moments is not None and moments.count == len(ids)
    mean_U, sd_U, _, _ = moments.summary()
    scale_U = np.divide(1.0, sd_U, out=np.zeros_like(sd_U), where=sd_U > 0.0)
    ends = contexts or {key: values[-1:] for key, values in query.arrays.items()}
    asked_NU = (_values(ends, chosen, name) - mean_U) * scale_U
    asked_U = asked_NU.mean(axis=0)
    if options.units:
        usual_units = np.argsort(-np.abs(asked_U), kind="stable")[options.units :]
        scale_U[usual_units] = asked_U[usual_units] = 0.0
    asked_U /= np.linalg.norm(asked_U) or 1.0
    asked_NU *= scale_U > 0.0
    agreement_N = asked_NU @ asked_U / np.maximum(np.linalg.norm(asked_NU, axis=1), 1e-12)
    nearest = _Nearest(_SPARE * top * (2 * min_apart - 1))
    overall = Moments(1)
    left_out = 0
    # Tokens that continue a character, which only bytes do.
    goes_on_V = vocabulary.symbol_lengths() == 0
    goes_on_V[END_ID] = False
    looking = track(as_chunks(read()), "looking for the nearest places", len(ids), len)
    for chunk in looking:
        likeness_T = _cosines(_values(chunk.arrays, chosen, name), mean_U, scale_U, asked_U)
        kept = _is_place(ids, chunk.places, goes_on_V)
        if not_same and not_same <= len(query):
            alike = _ends_alike(ids, chunk.places, query.ids, not_same)
            left_out += int(np.count_nonzero(alike))
            kept &= ~alike
        likeness_T, places_T = likeness_T[kept], chunk.places[kept]
        overall.add(likeness_T[:, None].astype(np.float32))
        nearest.add(likeness_T, places_T)
    mean, sd = (float(figure[0]) for figure in overall.summary()[:2]) if overall.count else (0, 0)
    return SimilarPlaces(
        query="".join(query.pieces),
        quantity=name,
        layers=chosen,
        units=int(np.count_nonzero(scale_U)),
        tokens=overall.count,
        left_out=left_out,
        mean=mean,
        sd=sd,
        matches=tuple(
            Match(passage.value, _count_same(ids, passage.place, query.ids), passage)
            for passage in distinct(
                nearest,
                lambda place, likeness: passage_at(place, likeness, ids, vocabulary),
                top,
                min_apart,
            )
        ),
        contexts=len(asked_NU) if contexts else 0,
        warm_up=options.warm_up if contexts else 0,
        agreement=float(agreement_N.mean()),
    )


def _values(
    arrays: Mapping[str, NDArray[np.float32]], layers: Sequence[int], quantity: str
) -> NDArray[np.float32]:
    """What is compared, `(T, U)`."""
    parts = [arrays[f"layers.{layer}.{quantity}"] for layer in layers]
    values_TU = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    result: NDArray[np.float32] = np.tanh(values_TU) if quantity == "cell" else values_TU
    return result


def _cosines(
    values_TU: NDArray[np.float32], mean_U: Reals, scale_U: Reals, asked_U: Reals
) -> NDArray[np.float32]:
    """The cosine of each row, standardised, with a query of length 1, `(T,)`."""
    standard_TU = (values_TU - mean_U.astype(np.float32)) * scale_U.astype(np.float32)
    sizes_T = np.linalg.norm(standard_TU, axis=1)
    products_T = standard_TU @ asked_U.astype(np.float32)
    result: NDArray[np.float32] = products_T / np.maximum(sizes_T, 1e-12)
    return result


def _is_place(
    ids: NDArray[np.integer], places_T: Places, goes_on_V: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether a character ends at each place, `(T,)`: an end mark is none, nor half of one."""
    result: NDArray[np.bool_] = np.asarray(ids[places_T]) != END_ID
    if goes_on_V.any():
        next_T = np.asarray(ids[np.minimum(places_T + 1, len(ids) - 1)])
        result &= ~goes_on_V[next_T] | (places_T == len(ids) - 1)
    return result


def _ends_alike(
    ids: NDArray[np.integer], places_T: Places, query: NDArray[np.integer], count: int
) -> NDArray[np.bool_]:
    """Whether the `count` tokens up to each place are the last of the query, `(T,)`."""
    alike = places_T >= count - 1
    for back in range(count):
        # Few places are left after a token or two.
        rows = np.flatnonzero(alike)
        alike[rows] = np.asarray(ids[places_T[rows] - back]) == query[len(query) - 1 - back]
    return alike


def _count_same(ids: NDArray[np.integer], place: int, query: NDArray[np.integer]) -> int:
    """How many tokens up to a place are the query's, counted backwards."""
    count = min(place + 1, len(query))
    alike = np.asarray(ids[place + 1 - count : place + 1]) == query[len(query) - count :]
    different = np.flatnonzero(~alike)
    return count - 1 - int(different[-1]) if different.size else count


class _Nearest:
    """The most similar places so far, a bounded number of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._likeness = np.empty(0, np.float32)
        self._places: Places = np.empty(0, np.int64)

    def add(self, likeness_T: NDArray[np.float32], places_T: Places) -> None:
        if len(self._places) == self._size:
            better = likeness_T >= self._likeness[-1]
            likeness_T, places_T = likeness_T[better], places_T[better]
        likeness = np.concatenate([self._likeness, likeness_T])
        places = np.concatenate([self._places, places_T])
        # Of equals the first in the corpus, in whatever order they come.
        best = np.lexsort((places, -likeness))[: self._size]
        self._likeness, self._places = likeness[best], places[best]

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Places and similarities, the most similar first."""
        return zip(self._places.tolist(), self._likeness.tolist(), strict=True)


def resolve_similar(options: SimilarOptions, config: ModelConfig) -> tuple[str, list[int]]:
    """The quantity and the layers that are compared, of a model of this shape.

    Raises:
        InspectionError: The model has no such quantity or layer.
    """
    quantity, count = chosen_quantity(config.cell_spec, options.show), config.num_layers
    if options.layer is None:
        return quantity, [count - 1]
    if options.layer == "all":
        return quantity, list(range(count))
    number = str(options.layer)
    if not number.isascii() or not number.isdigit() or int(number) >= count:
        raise InspectionError(
            f"{named('layer')} {number} is not in this model; give 0..{count - 1}, or all"
        )
    return quantity, [int(number)]


def read_after_others(
    model: Subject,
    query: NDArray[np.integer],
    ids: NDArray[np.integer],
    quantity: str,
    warm_up: int,
    *,
    edits: Edits = NO_EDITS,
) -> dict[str, NDArray[np.float32]]:
    """What the network does at the end of a short text that it reads after other texts.

    Args:
        query: The tokens of the short text.
        ids: The corpus that the other texts are taken from, `(N,)`.
        quantity: What is kept, as in `textgen.inspection.trace`.
        warm_up: Tokens of each of the other texts.
        edits: Changes of the states at every token.
    Returns:
        `layers.<layer>.<quantity>` -> a row for each of the other texts, `(N, H)`. Where no
        document is long enough to take one from, there is nothing.
    """
    try:
        # A place may move back to the beginning of a word.
        places_N = spread_places(ids, max_lag=warm_up + _WORD, count=_CONTEXTS, rng=0)
    except InspectionError:
        return {}
    vocabulary = model.saved.vocabulary
    if vocabulary.decode(query)[:1].isalnum():
        before_TN = windows(ids, places_N, _WORD)
        spaces = np.isin(before_TN, vocabulary.encode(" \n"))
        # After the last white space there, if there is any.
        back_N = np.where(spaces.any(axis=0), np.argmax(spaces[::-1], axis=0), 0)
        places_N = places_N - back_N
    network, count = model.network, len(places_N)
    read_TN = np.concatenate(
        [windows(ids, places_N, warm_up), np.repeat(np.asarray(query)[:, None], count, axis=1)]
    )
    edits_B, state = for_all(edits, count), network.zero_state(count)
    for ids_N in read_TN:
        records = network.step_traced(ids_N, state, edits_B)
        state = [record.state for record in records]
    ends = [{**record.gates, **record.state} for record in records]
    return {f"layers.{layer}.{quantity}": end[own_name(quantity)] for layer, end in enumerate(ends)}


def find_similar(
    model: Subject,
    query: str,
    text: LongText,
    options: SimilarOptions,
    *,
    edits: Edits = NO_EDITS,
) -> SimilarPlaces:
    """The places of a long text where a model is in nearly the same state as after a short one.

    Raises:
        InspectionError: The short text is empty, the model has no such quantity or layer, or a
            number is out of range.
    """
    saved = model.saved
    quantity, layers = resolve_similar(options, saved.config)
    whole, ids = encoded(saved, query)
    with task("reading the query"):
        traced = trace(
            model.network, ids, vocabulary=saved.vocabulary, quantities=[quantity], edits=edits
        )
        contexts = (
            read_after_others(model, ids, text.ids, quantity, options.warm_up, edits=edits)
            if options.warm_up
            else {}
        )
    return similar_places(
        with_source(traced, whole, saved.vocabulary),
        text.ids,
        lambda: model.survey(text.ids, [quantity]),
        saved.vocabulary,
        options,
        layers=layers,
        contexts=contexts,
    )
