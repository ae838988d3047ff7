"""From a model and a text to the data of a page: which neurons it has room for, and their values.

A page holds 8 bits for every neuron and character, and less than 15 MB in all: 500 neurons of
20,000 characters, fewer of a longer text. Of more, those that vary most are kept; then the text is
read twice, so that memory is bounded by the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Ids, Vocabulary
from textgen.errors import InspectionError, named
from textgen.evaluation.nll import letter_nats
from textgen.inspection.neuron_stats import most_varying, neuron_stats
from textgen.inspection.reading import Reading, find_reading
from textgen.inspection.subject import Subject
from textgen.inspection.trace import (
    Neuron,
    as_chunks,
    join_chunks,
    trace_chunks,
)
from textgen.inspection.view import Surprise, neuron_row, surprise, surprise_row, with_source
from textgen.model.edit import NO_EDITS, Edits
from textgen.progress import task
from textgen.terminal.humanize import plural

if TYPE_CHECKING:
    from textgen.page.render import Page

#: A longer text is cut. A browser colours this many characters anew in a quarter of a second.
MAX_CHARS = 100_000
#: What a page has room for: this many neurons of this many tokens ...
FULL_TOKENS = 20_000
FULL_NEURONS = 500
#: The room that a token takes in addition, in values.
TOKEN_ROOM = 32
#: Most likely next tokens that are kept.
TOP = 5


@task("preparing the page")
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
    """What a page shows of a text as it was written.

    Args:
        model: Reads the text.
        text: From `MAX_CHARS` on it is cut, and the page's notice says so.
        title: The heading.
        show: Which quantity of the neurons; None: the default one; `surprise`: no neurons.
        neurons: These neurons; none: those that vary most.
        top: The most neurons where none are named; None: as many as there is room for.
        edits: Changes of the states at every token.
    Returns:
        First the row of the surprise, then those of the neurons, the most varying first.
    Raises:
        InspectionError: The text is empty, there is no such neuron or quantity, there is no
            room for so many neurons as were named, `influence` is asked for, which no page shows,
            or the states grow without limit.
    """
    from textgen.page.render import Page

    if show == "influence":
        raise InspectionError(
            f"a page shows neurons and surprise, not influence; leave {named('show', 'influence')} "
            "out"
        )
    if top is not None and top < 1:
        raise InspectionError(f"{named('top')} is {top}; it must be at least 1")
    config, vocabulary = model.saved.config, model.saved.vocabulary
    whole_text = model.saved.normalization.apply(text)
    text = whole_text[:MAX_CHARS]
    if not text:
        raise InspectionError("the text is empty; give at least one character")
    ids = vocabulary.encode(text)
    settings: dict[str, Any] = {
        "vocabulary": vocabulary,
        "top": min(TOP, config.vocab_size),
        "edits": edits,
    }
    reading, named_ones = find_reading(model, None if show == "surprise" else show or None, neurons)
    in_all, name = reading.size, None if show == "surprise" else reading.quantity
    if name is None:
        parts = list(trace_chunks(model.network, ids, quantities=(), units=(), **settings))
    else:
        units = _chosen(model, ids, reading, named_ones, top)
        parts = list(reading.trace(model.network, ids, units=units, **settings))
    traced = with_source(join_chunks(as_chunks(parts)), text, vocabulary)
    cost = surprise(traced, letter_nats(vocabulary))
    # Bytes within a character print nothing: the page shows the character, with the values after
    # its last byte.
    printing = np.fromiter(map(bool, traced.pieces), np.bool_, len(ids))
    places = np.flatnonzero(printing | (traced.ids == END_ID))
    labels, next_labels = _labels(vocabulary, traced.next_ids[places])
    stats = [] if name is None else neuron_stats(parts, quantity=name)
    if not neurons:
        stats.sort(key=lambda found: -found.effect)
    rows = [surprise_row(cost)]
    for found in stats:
        column = traced.values(*found.neuron, found.quantity)[places]
        # Mean and spread are those of all tokens, of the bytes within a character, too.
        row = neuron_row(found.neuron, found.quantity, column, reading.saved_name)
        rows.append(replace(row, mean=found.mean, sd=found.sd))
    shape = f"{config.cell.upper()} {config.num_layers} × {config.hidden_size}"
    return Page(
        title=title,
        facts=(
            *(model.name, shape),
            *_facts(cost, reading, name, len(stats), named=bool(neurons)),
        ),
        noun="token" if vocabulary.level == "word" else "character",
        pieces=cost.pieces,
        rows=tuple(rows),
        spreads=(rows[0].sd, *(found.effect for found in stats)),
        bits=cost.bits,
        labels=labels,
        next_labels=next_labels,
        next_probabilities=traced.next_probabilities[places],
        neurons_in_all=in_all,
        notice=""
        if text == whole_text
        else f"These are the first {len(text):,} of the text's {len(whole_text):,} characters.",
    )


def _chosen(
    model: Subject, ids: Ids, reading: Reading, neurons: Sequence[Neuron], top: int | None
) -> Sequence[Neuron] | None:
    """The neurons of a page; None: all that there are."""
    room, in_all = room_for(len(ids)), reading.size
    if len(neurons) > room:
        raise InspectionError(
            f"a page of {len(ids):,} tokens has room for {room} neurons, but {len(neurons)} "
            "were named; name fewer, or take a shorter text"
        )
    count = min(room, in_all if top is None else top)
    if neurons or count >= in_all:
        return neurons or None
    chunks = reading.survey(model, ids)
    stats = most_varying(chunks, count, quantity=reading.quantity, layers=reading.layers)
    return [each.neuron for each in stats]


def room_for(tokens: int) -> int:
    """How many neurons a page has room for, at least one, with a text of this many tokens."""
    room = FULL_TOKENS * (FULL_NEURONS + TOKEN_ROOM)
    return max(room // max(tokens, 1) - TOKEN_ROOM, 1)


def _labels(
    vocabulary: Vocabulary, next_ids: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The tokens that occur among the most likely, and which of them is where."""
    found, numbers = np.unique(next_ids, return_inverse=True)

    names = tuple(label_of(vocabulary, token) for token in found.tolist())
    return names, numbers.reshape(next_ids.shape)


def label_of(vocabulary: Vocabulary, token: int) -> str:
    """A token as a page names it: marks, and bytes beyond ASCII, in words or numbers."""
    if token == END_ID:
        return "‹end›"
    if token == UNKNOWN_ID:
        return "‹unknown›"
    symbol = vocabulary.symbols[token]
    if vocabulary.level == "byte" and ord(symbol) >= 0x80:
        return f"‹{ord(symbol):02X}›"
    return symbol


def _facts(
    cost: Surprise, reading: Reading, quantity: str | None, kept: int, *, named: bool
) -> list[str]:
    facts = [f"{cost.chars:,} characters"]
    if math.isfinite(cost.bits_per_char):
        facts.append(f"{cost.bits_per_char:.3f} bits/char")
    if quantity is None:
        return facts
    facts.append(f"{quantity} after each character")
    in_all, noun = reading.size, reading.noun
    if kept == in_all:
        facts.append(f"all {plural(in_all, noun)}" if in_all > 1 else plural(in_all, noun))
    else:
        which = "those named" if named else "those that vary most"
        facts.append(f"{kept:,} of {plural(in_all, noun)}, {which}")
    return facts
