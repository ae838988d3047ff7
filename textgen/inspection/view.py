"""A text and the values that colour it, as plain data: neurons, or the surprise of each character.

The surprise of a token is `-log2 p(token | all before)`, in bits. A character outside the
vocabulary costs the escape of `textgen.evaluation.nll` on top. The sum is the length of the text in
an ideal code made by the model, and equals what `eval` reports.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.corpus.words import split_words
from textgen.evaluation.nll import ESCAPE_NATS, charge_escapes, letter_nats
from textgen.heat import HeatRow, heat_row
from textgen.inspection.heat_view import HeatView
from textgen.inspection.influence import find_target, influence_view
from textgen.inspection.neuron_stats import most_varying, neuron_name
from textgen.inspection.reading import find_reading
from textgen.inspection.subject import Subject, encoded
from textgen.inspection.trace import (
    Neuron,
    Trace,
    as_chunks,
    join_chunks,
    trace,
)
from textgen.model.edit import NO_EDITS, Edits
from textgen.view_options import MEASURES, ViewOptions

Bits = NDArray[np.float64]

#: Up to this many values (80 MB), all neurons are kept until those to show are chosen. For more,
#: the text is read twice.
WHOLE_TRACE_VALUES = 20_000_000


@dataclass(frozen=True)
class Surprise:
    """The cost of a text.

    At byte level the cost of a character is that of all its bytes, at word level that of a token
    is the whole token's, so `pieces` are what is printed at once.

    Args:
        pieces: The text of each entry; "" for an end mark.
        bits: The cost of each entry, `(len(pieces),)`.
        token_bits: The cost of each token, `(T,)`.
        unknown: How many tokens stand for a character outside the vocabulary.
    """

    pieces: tuple[str, ...]
    bits: Bits
    token_bits: Bits
    unknown: int

    @property
    def total_bits(self) -> float:
        """The cost of the whole text in bits, end marks included."""
        return float(self.token_bits.sum())

    @property
    def chars(self) -> int:
        """Characters of the text; end marks are none."""
        return sum(map(len, self.pieces))

    @property
    def bits_per_char(self) -> float:
        """Mean cost of a character; not a number for a text without any."""
        return self.total_bits / self.chars if self.chars else math.nan


def token_bits(traced: Trace, letter: float = ESCAPE_NATS) -> Bits:
    """The cost of each token in bits, escapes included, `(T,)`.

    `letter` is what each character of an unknown token costs; see `letter_nats`.
    """
    nats = charge_escapes(traced.nats, traced.ids, letter)
    if letter != ESCAPE_NATS:  # Unknown words: the first character is charged.
        more = [max(len(piece) - 1, 0) for piece in traced.pieces]
        nats += letter * np.array(more) * (traced.ids == UNKNOWN_ID)
    return nats / math.log(2.0)


def surprise(traced: Trace, letter: float = ESCAPE_NATS) -> Surprise:
    """The cost of the traced text.

    Args:
        traced: A trace made with a vocabulary (its `pieces` say which tokens print together).
        letter: As for `token_bits`.
    """
    bits = token_bits(traced, letter)
    count = len(traced.ids)
    marks = traced.ids == END_ID
    printing = np.fromiter(map(bool, traced.pieces), np.bool_, count)
    # Bytes print nothing until the last of their character, so their cost goes to it; that of
    # bytes at the end which never print goes to an entry of its own.
    places = np.arange(count)
    carriers = np.append(np.flatnonzero(printing & ~marks), count)
    receivers = np.where(marks, places, carriers[np.searchsorted(carriers, places)])
    entries = np.flatnonzero(printing | marks)
    numbers = np.searchsorted(entries, receivers)
    costs = np.bincount(numbers, weights=bits, minlength=len(entries)).astype(np.float64)
    pieces = [traced.pieces[place] for place in entries.tolist()]
    if len(costs) > len(pieces):
        pieces.append("")
    return Surprise(tuple(pieces), costs, bits, int(np.count_nonzero(traced.ids == UNKNOWN_ID)))


def source_pieces(
    text: str,
    pieces: Sequence[str],
    ids: NDArray[np.integer] | Sequence[int],
    vocabulary: Vocabulary | None = None,
) -> tuple[str, ...]:
    """`pieces` with the real character, or word, wherever a token stands for an unknown one.

    Where rare words are not spelled, each token is one of the words of the text. Otherwise an
    `UNKNOWN_ID` stands for exactly one character, except for the space that a folded word
    vocabulary puts before the first word of a text and may lack: it stands for nothing, and its
    piece becomes "".

    Args:
        text: What was encoded, normalised as it was for that.
        pieces: The text of each token as the vocabulary prints it, `T` of them.
        ids: The tokens, `(T,)`.
        vocabulary: What they mean; None: one that spells rare words.
    Returns:
        `T` pieces.
    Raises:
        ValueError: The pieces are not those of this text.
    """
    places = np.flatnonzero(np.asarray(ids) == UNKNOWN_ID)
    if len(pieces) != len(ids):
        raise ValueError(f"{len(pieces)} pieces but {len(ids)} tokens")
    result = list(pieces)
    if not places.size:
        return tuple(result)
    if vocabulary is not None and not vocabulary.spelled:
        words = split_words(f" {text}" if vocabulary.folded else text)
        if len(words) != len(ids):
            raise ValueError(f"{len(words)} words but {len(ids)} tokens")
        for place in places.tolist():
            result[place] = words[place]
        result[0] = result[0][1:] if vocabulary.folded and places[0] == 0 else result[0]
        return tuple(result)
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    lengths[places] = 1
    if places[0] == 0 and int(lengths.sum()) == len(text) + 1:
        lengths[0] = 0
    if int(lengths.sum()) != len(text):
        raise ValueError(f"the pieces have {int(lengths.sum())} characters, the text {len(text)}")
    starts = np.cumsum(lengths) - lengths
    # One string for each character, not for each place: a text may be unknown throughout.
    shared: dict[str, str] = {}
    for place, start, length in zip(
        places.tolist(), starts[places].tolist(), lengths[places].tolist(), strict=True
    ):
        char = text[start : start + length]
        result[place] = shared.setdefault(char, char)
    return tuple(result)


def neuron_view(
    traced: Trace,
    neurons: Iterable[Neuron],
    *,
    quantity: str | None = None,
    saved_name: str | None = None,
) -> HeatView:
    """The text coloured by each of `neurons`.

    Args:
        traced: Has them.
        neurons: Such as `(0, 137)`.
        quantity: Which of the quantities traced; may be left out where there is one.
        saved_name: What the rows are called, where it is something that was saved by a name.
    Raises:
        InspectionError: A neuron or the quantity was not traced, or the states grow without
            limit.
    """
    (traced,) = as_chunks(traced)
    name = traced.only_quantity(quantity)
    rows = tuple(
        neuron_row(neuron, name, traced.values(*neuron, name), saved_name) for neuron in neurons
    )
    return HeatView(quantity=name, pieces=traced.pieces, rows=rows, totals={})


def neuron_row(
    neuron: Neuron, quantity: str, values: NDArray[np.floating], saved_name: str | None = None
) -> HeatRow:
    """The values of one quantity of a neuron, `(T,)`, as a row of colours.

    It is called by its place, or by `saved_name`.
    """
    if saved_name is not None:
        return heat_row(saved_name, values, quantity, quantity=quantity)
    layer, unit = neuron
    name = neuron_name(layer, unit, quantity)
    return heat_row(name, values, quantity, layer=layer, unit=unit, quantity=quantity)


def surprise_view(traced: Trace, letter: float = ESCAPE_NATS) -> HeatView:
    """The text coloured by the cost of each character in bits; the totals carry the sum.

    Args:
        traced: Made with a vocabulary.
        letter: As for `token_bits`.
    Raises:
        InspectionError: The states grow without limit.
    """
    (traced,) = as_chunks(traced)
    cost = surprise(traced, letter)
    totals: dict[str, float | int | str] = {
        "bits": cost.total_bits,
        "chars": cost.chars,
        "unknown_chars": cost.unknown,
    }
    if cost.chars:
        totals["bits_per_char"] = cost.bits_per_char
    row = surprise_row(cost)
    return HeatView(quantity="surprise", pieces=cost.pieces, rows=(row,), totals=totals)


def surprise_row(cost: Surprise) -> HeatRow:
    """The cost of each piece of a text in bits, as a row of colours."""
    note = f"{cost.total_bits:,.1f} bits in all"
    if cost.chars:
        note += f", {cost.bits_per_char:.3f} bits/char"
    if cost.unknown:
        note += f"; {cost.unknown:,} outside the vocabulary, charged an escape"
    return heat_row("surprise", cost.bits, "surprise", measure="bits", note=note)


def view_text(
    model: Subject, text: str, options: ViewOptions, *, edits: Edits = NO_EDITS
) -> HeatView:
    """A text, as it was written, and the values that colour it.

    Raises:
        InspectionError: The text is empty or too long, or the model has no such quantity or neuron.
        BackendError: A gradient is asked for and torch is not installed.
    """
    saved, network, vocabulary = model.saved, model.network, model.saved.vocabulary
    whole, ids = encoded(saved, text)
    if options.show == "influence":
        return influence_view(
            network,
            saved.weights,
            ids,
            source_pieces(whole, vocabulary.pieces(ids), ids, vocabulary),
            vocabulary,
            by=MEASURES if options.by is None else (options.by,),
            target=None if options.target is None else find_target(vocabulary, options.target),
            asked=options.target or "",
        )
    wanted: dict[str, Any] = {"vocabulary": vocabulary, "edits": edits}
    if options.show == "surprise":
        traced = trace(network, ids, quantities=(), **wanted)
        return surprise_view(with_source(traced, whole, vocabulary), letter_nats(vocabulary))
    reading, chosen = find_reading(model, options.show, options.neurons)
    quantity, layers = reading.quantity, reading.layers
    if not chosen and len(ids) * reading.size <= WHOLE_TRACE_VALUES:
        parts = list(reading.trace(network, ids, **wanted))
        stats = most_varying(parts, options.top, quantity=quantity, layers=layers)
        chosen = [each.neuron for each in stats]
        traced = join_chunks(part.select(chosen) for part in parts)
    else:
        # All neurons of a long text would fill the memory: one pass chooses, another keeps.
        if not chosen:
            chunks = reading.survey(model, ids)
            stats = most_varying(chunks, options.top, quantity=quantity, layers=layers)
            chosen = [each.neuron for each in stats]
        traced = join_chunks(reading.trace(network, ids, units=chosen, **wanted))
    traced = with_source(traced, whole, vocabulary)
    return neuron_view(traced, chosen, quantity=quantity, saved_name=reading.saved_name)


def with_source(traced: Trace, text: str, vocabulary: Vocabulary) -> Trace:
    """A trace whose pieces are those of `text`, unknown ones too; see `source_pieces`."""
    return replace(traced, pieces=source_pieces(text, traced.pieces, traced.ids, vocabulary))
