"""From a model and a text to the data of a page: which neurons it has room for, and their values.

A page holds 8 bits for every neuron and character, and less than 15 MB in all: 500 neurons of
20,000 characters, fewer of a longer text. Of more, those that vary most are kept; then the text is
read twice, so that memory is bounded by the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Ids, Vocabulary
from textgen.errors import InspectionError, named
from textgen.inspection.neuron_stats import most_varying, neuron_stats, parse_neurons
from textgen.inspection.subject import Subject
from textgen.inspection.trace import (
    Neuron,
    Trace,
    as_chunks,
    chosen_quantity,
    default_quantity,
    trace_chunks,
)
from textgen.inspection.view import (
    Surprise,
    neuron_row,
    source_pieces,
    surprise,
    surprise_row,
)
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.numpy_network import NumpyNetwork
from textgen.progress import task

if TYPE_CHECKING:
    from textgen.page.render import Page

#: A longer text is cut. A browser colours this many characters anew in a quarter of a second.
MAX_CHARS = 100_000
#: What a page has room for: this many neurons of this many tokens ...
FULL_TOKENS = 20_000
FULL_NEURONS = 500
#: The room that a token takes besides, in values.
TOKEN_ROOM = 32
#: Likeliest next symbols that are kept.
TOP = 5

#: Reads a text in chunks as `textgen.inspection.trace` does.
Survey = Callable[[Ids, Sequence[str]], Iterable[Trace]]


@task("preparing the page")
def page_data(
    network: NumpyNetwork,
    vocabulary: Vocabulary,
    text: str,
    *,
    quantity: str | None = None,
    neurons: Sequence[Neuron] | None = None,
    top: int | None = None,
    survey: Survey | None = None,
    title: str = "",
    facts: Sequence[str] = (),
    edits: Edits = NO_EDITS,
) -> Page:
    """What a page shows of a text.

    Args:
        text: The text, normalised as the model's texts were; from `MAX_CHARS` on it is cut, and
            the page's notice says so.
        quantity: Which quantity of the neurons; None: the default one; `surprise`: no neurons.
        neurons: These neurons; None: those that vary most.
        top: The most neurons without `neurons`; None: as many as there is room for.
        survey: Reads all neurons of a long text where they are chosen, faster than `trace_chunks`.
        facts: Short facts on the model; the text's own are added.
    Returns:
        First the row of the surprise, then those of the neurons, the most varying first.
    Raises:
        InspectionError: The text is empty, there is no such neuron or quantity, there is no
            room for so many neurons as were named, or the states grow beyond all numbers.
    """
    from textgen.page.render import Page

    if not text:
        raise InspectionError("the text is empty; give at least one character")
    if top is not None and top < 1:
        raise InspectionError(f"{named('top')} is {top}; it must be at least 1")
    whole, text = len(text), text[:MAX_CHARS]
    ids = vocabulary.encode(text)
    config = network.config
    in_all = config.num_layers * config.hidden_size
    name: str | None = None
    chosen: Sequence[Neuron] | None = ()
    if quantity != "surprise":
        name = chosen_quantity(config.cell_spec, quantity or None)
        room = room_for(len(ids))
        if neurons is not None and len(neurons) > room:
            raise InspectionError(
                f"a page of {len(ids):,} tokens has room for {room} neurons, but {len(neurons)} "
                "were named; name fewer, or take a shorter text"
            )
        count = min(room, in_all if top is None else top)
        chosen = neurons
        if chosen is None and count < in_all:
            reading = trace_chunks(network, ids, quantities=[name], edits=edits)
            chunks = reading if survey is None else survey(ids, [name])
            chosen = [stats.neuron for stats in most_varying(chunks, count, quantity=name)]
    reading = trace_chunks(
        network,
        ids,
        vocabulary=vocabulary,
        quantities=() if name is None else [name],
        units=chosen,
        top=min(TOP, config.vocab_size),
        edits=edits,
    )
    parts = list(as_chunks(reading))
    places, cost = _entries(parts, text)
    labels, next_labels = _labels(vocabulary, np.concatenate([p.next_ids for p in parts])[places])
    stats = [] if name is None else neuron_stats(parts, quantity=name)
    if neurons is None:
        stats.sort(key=lambda found: -found.effect)
    rows = [surprise_row(cost)]
    for found in stats:
        column = np.concatenate([p.values(*found.neuron, found.quantity) for p in parts])[places]
        # Mean and spread are those of all tokens, of the bytes within a character, too.
        row = neuron_row(found.neuron, found.quantity, column)
        rows.append(replace(row, mean=found.mean, sd=found.sd))
    return Page(
        title=title,
        facts=(*facts, *_facts(cost, name, len(stats), in_all, named=neurons is not None)),
        noun="token" if vocabulary.level == "word" else "character",
        pieces=cost.pieces,
        rows=tuple(rows),
        spreads=(rows[0].sd, *(found.effect for found in stats)),
        bits=cost.bits,
        labels=labels,
        next_labels=next_labels,
        next_probabilities=np.concatenate([p.next_probabilities for p in parts])[places],
        neurons_in_all=in_all,
        notice=""
        if whole == len(text)
        else f"These are the first {len(text):,} of the text's {whole:,} characters.",
    )


def room_for(tokens: int) -> int:
    """How many neurons a page has room for, at least one, with a text of this many tokens."""
    room = FULL_TOKENS * (FULL_NEURONS + TOKEN_ROOM)
    return max(room // max(tokens, 1) - TOKEN_ROOM, 1)


def _entries(parts: Sequence[Trace], text: str) -> tuple[NDArray[np.int64], Surprise]:
    """The number of the token that prints each piece, and what each piece cost.

    Bytes within a character print nothing: the page shows the character, with the values after
    its last byte.
    """
    ids = np.concatenate([part.ids for part in parts])
    pieces = [piece for part in parts for piece in part.pieces]
    whole = replace(
        parts[0],
        ids=ids,
        pieces=source_pieces(text, pieces, ids),
        nats=np.concatenate([part.nats for part in parts]),
    )
    cost = surprise(whole)
    printing = np.fromiter(map(bool, whole.pieces), np.bool_, len(ids))
    return np.flatnonzero(printing | (ids == END_ID)), cost


def _labels(
    vocabulary: Vocabulary, next_ids: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The symbols that occur among the likeliest, and which of them stands where."""
    found, numbers = np.unique(next_ids, return_inverse=True)

    def label(token: int) -> str:
        if token == END_ID:
            return "‹end›"
        if token == UNKNOWN_ID:
            return "‹unknown›"
        symbol = vocabulary.symbols[token]
        if vocabulary.level == "byte" and ord(symbol) >= 0x80:
            return f"‹{ord(symbol):02X}›"
        return symbol

    return tuple(map(label, found.tolist())), numbers.reshape(next_ids.shape)


def _facts(
    cost: Surprise, quantity: str | None, kept: int, in_all: int, *, named: bool
) -> list[str]:
    facts = [f"{cost.chars:,} characters"]
    if math.isfinite(cost.bits_per_char):
        facts.append(f"{cost.bits_per_char:.3f} bits/char")
    if quantity is None:
        return facts
    facts.append(f"{quantity} after each character")
    if kept == in_all:
        facts.append(f"all {in_all:,} neurons")
    else:
        which = "those named" if named else "those that vary most"
        facts.append(f"{kept:,} of {in_all:,} neurons, {which}")
    return facts


def page_of(
    model: Subject,
    text: str,
    *,
    title: str = "",
    show: str | None = None,
    neurons: Sequence[str | Neuron] = (),
    top: int | None = None,
    edits: Edits = NO_EDITS,
) -> Page:
    """The page of a text as it was written; `show` is the quantity, the rest as in `page_data`.

    Raises:
        InspectionError: The text is empty, the model has no such neuron or quantity, or `influence`
            is asked for, which no page shows.
    """
    if show == "influence":
        raise InspectionError(
            f"a page shows neurons and surprise, not influence; leave {named('show', 'influence')} "
            "out"
        )
    config = model.saved.config
    quantity = default_quantity(config.cell_spec) if show in (None, "surprise") else show
    return page_data(
        model.network,
        model.saved.vocabulary,
        model.saved.normalization.apply(text),
        quantity=show,
        neurons=parse_neurons(neurons, config, quantity) or None,
        top=top,
        survey=model.survey,
        title=title,
        facts=(model.name, f"{config.cell.upper()} {config.num_layers} × {config.hidden_size}"),
        edits=edits,
    )
