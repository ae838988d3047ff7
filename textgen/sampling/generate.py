"""Text from a model: one as a stream of symbols, or many at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import numpy as np

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import SamplingError
from textgen.model.edit import NO_EDITS, Edits
from textgen.progress import track
from textgen.sampling.choice import INDEX_LIMIT, SymbolGenerator, log_softmax
from textgen.sampling.cursor import Cursor
from textgen.sampling.history import HistoryNetwork
from textgen.sampling.options import SampleOptions
from textgen.sampling.stream import (
    FinishReason,
    Floats,
    GeneratedSymbol,
    Network,
    Piece,
    Position,
    Stream,
    bits,
    decoder_after,
    read,
    start,
    start_many,
)
from textgen.sampling.writing import StreamGroup, StreamWriter
from textgen.steering import LiveSteering, Steering, Target

#: Texts that step through the network together at most: more are no faster, and their states would
#: take memory without bound.
MOST_TOGETHER = 1024


@dataclass(frozen=True)
class Generation:
    """A generated text.

    Args:
        text: What is printed: neither the seed nor a stop text.
        ids: Every token that was chosen, those of a stop text and an end mark included.
        finish_reason: As in `GeneratedSymbol`.
        bits_per_char: Cost of `ids` under the model as it is, without the filters; `nan` where
            they hold no character.
    """

    text: str
    ids: tuple[int, ...]
    finish_reason: FinishReason
    bits_per_char: float

    @classmethod
    def from_symbols(cls, symbols: Iterable[GeneratedSymbol]) -> Generation:
        """Put together what `generate` yields."""
        symbols = list(symbols)
        whole = Piece(
            [symbol.id for symbol in symbols],
            "".join([symbol.text for symbol in symbols]),
            sum(symbol.chars for symbol in symbols),
            [symbol.logprob for symbol in symbols],
            symbols[-1].finish_reason if symbols else None,
        )
        return cls.from_pieces([whole])

    @classmethod
    def from_pieces(cls, pieces: Sequence[Piece]) -> Generation:
        """Put together the pieces of a text."""
        chars = sum(piece.chars for piece in pieces)
        cost = bits(logprob for piece in pieces for logprob in piece.logprobs)
        return cls(
            text="".join(piece.text for piece in pieces),
            ids=tuple(token for piece in pieces for token in piece.ids),
            finish_reason=(pieces[-1].finish_reason if pieces else None) or "length",
            bits_per_char=cost / chars if chars else float("nan"),
        )


def generate(
    network: Network,
    vocabulary: Vocabulary,
    options: SampleOptions | None = None,
    *,
    seed_ids: Iterable[int] = (),
    primer_ids: Iterable[int] = (),
    index: int = 0,
    steering: Steering | None = None,
) -> Iterator[GeneratedSymbol]:
    """Generate one text symbol by symbol.

    The network starts with a zero state, reads the end-of-document mark and then the seed, or
    the primer where there is no seed. Neither is printed. The unknown character is never
    generated, the end mark only with `until_end` or `keep_going`.

    Args:
        network: The model.
        vocabulary: Its symbols.
        options: The settings; `None` is the defaults.
        seed_ids: What the text goes on from, as `fit_seed` gives it.
        primer_ids: What the texts of the model's corpus start with, stored beside the model.
        index: Number of the sample: each has random choices of its own under one `rng`.
        steering: What is done to the states while the text is written, its first character
            included; the seed is read without. None: nothing.
    Yields:
        The symbols; the last one says why the text ended. None at all for a length of 0.
    Raises:
        SamplingError: An id is no symbol, or the model's output is not finite.
    """
    options = options or SampleOptions()
    network = seen_by(network, options)
    seed = list(map(int, seed_ids))
    cursor = _cursor(steering, vocabulary, seed, options)
    position = start(network, seed or primer_ids, _first_edits(cursor))
    stream = Stream(vocabulary, options, SymbolGenerator(options.rng, index), seed)
    yield from StreamWriter(network, options, stream, position, cursor).symbols()


def generate_text(
    network: Network,
    vocabulary: Vocabulary,
    options: SampleOptions | None = None,
    *,
    seed_ids: Iterable[int] = (),
    primer_ids: Iterable[int] = (),
    index: int = 0,
    steering: Steering | None = None,
) -> str:
    """The text that `generate` yields, without the seed; the same arguments."""
    symbols = generate(
        network,
        vocabulary,
        options,
        seed_ids=seed_ids,
        primer_ids=primer_ids,
        index=index,
        steering=steering,
    )
    return "".join(symbol.text for symbol in symbols)


def generate_batch(
    network: Network,
    vocabulary: Vocabulary,
    options: SampleOptions | None = None,
    *,
    count: int,
    seed_ids: Iterable[int] = (),
    primer_ids: Iterable[int] = (),
    first_index: int = 0,
    steering: Steering | None = None,
) -> list[Generation]:
    """Generate `count` texts that step through the network together, which is faster.

    Text k is what `generate` writes with `index=first_index + k` as far as the network's
    arithmetic for many rows rounds as it does for one; where two symbols are almost equally
    likely, that can differ.

    Args:
        network: The model.
        vocabulary: Its symbols.
        options: The settings of all of them; `None` is the defaults.
        count: How many, at least 1.
        seed_ids: As for `generate`.
        primer_ids: As for `generate`.
        first_index: Number of the first sample.
        steering: As for `generate`; each text follows it for itself.
    Returns:
        One text for each, in order.
    Raises:
        SamplingError: `count` is out of range, an id is no symbol, or the model's output is not
            finite.
    """
    _check_count(count, first_index)
    options = options or SampleOptions()
    network = seen_by(network, options)
    seed = list(map(int, seed_ids))
    # All rows read the same seed, so it is read once.
    edits = _first_edits(_cursor(steering, vocabulary, seed, options))
    first = start(network, seed or primer_ids, edits)
    texts = []
    for begin in range(0, count, MOST_TOGETHER):
        numbers = range(begin, min(begin + MOST_TOGETHER, count))
        streams = [
            Stream(vocabulary, options, SymbolGenerator(options.rng, first_index + k), seed)
            for k in numbers
        ]
        cursors = [_cursor(steering, vocabulary, seed, options) for _ in numbers]
        position = first.repeat(np.zeros(len(numbers), np.intp))
        texts += _write_together(network, options, streams, position, cursors)
    return texts


def generate_after(
    network: Network,
    vocabulary: Vocabulary,
    seeds: Sequence[Sequence[int]],
    options: SampleOptions | None = None,
    *,
    first_index: int = 0,
    steering: Steering | None = None,
) -> list[Generation]:
    """Generate a text after each of many seeds, all read and written together.

    Text k is what `generate` writes after seed k with `index=first_index + k`, as far as in
    `generate_batch`.

    Args:
        network: The model.
        vocabulary: Its symbols.
        seeds: What each text goes on from, of any lengths; at least one.
        options: The settings of all of them; `None` is the defaults.
        first_index: Number of the first sample.
        steering: As for `generate`; each text follows it for itself.
    Returns:
        One text for each, in order.
    Raises:
        SamplingError: As `generate_batch`.
    """
    _check_count(len(seeds), first_index)
    options = options or SampleOptions()
    network = seen_by(network, options)
    cursors = [_cursor(steering, vocabulary, seed, options) for seed in seeds]
    position = start_many(network, seeds, [_first_edits(cursor) for cursor in cursors])
    streams = [
        Stream(vocabulary, options, SymbolGenerator(options.rng, first_index + k), seed)
        for k, seed in enumerate(seeds)
    ]
    return _write_together(network, options, streams, position, cursors)


def generate_each(
    network: Network,
    vocabulary: Vocabulary,
    options: SampleOptions | None = None,
    *,
    count: int,
    seed_ids: Iterable[int] = (),
    primer_ids: Iterable[int] = (),
    first_index: int = 0,
    steering: Steering | None = None,
) -> list[Generation]:
    """Generate `count` texts one after another: text k is exactly what `generate` writes.

    The arguments, the outcome and the errors are those of `generate_batch`.
    """
    _check_count(count, first_index)
    options = options or SampleOptions()
    network = seen_by(network, options)
    seed = list(map(int, seed_ids))
    position = start(
        network, seed or primer_ids, _first_edits(_cursor(steering, vocabulary, seed, options))
    )
    texts = []
    for k in track(range(count), "writing", count):
        cursor = _cursor(steering, vocabulary, seed, options)
        stream = Stream(vocabulary, options, SymbolGenerator(options.rng, first_index + k), seed)
        writer = StreamWriter(network, options, stream, position, cursor)
        texts.append(Generation.from_symbols(writer.symbols()))
    return texts


def seen_by(network: Network, options: SampleOptions) -> Network:
    """The network as the options have it see the text."""
    return HistoryNetwork(network, options.history) if options.history else network


def _write_together(
    network: Network,
    options: SampleOptions,
    streams: Sequence[Stream],
    position: Position,
    cursors: Sequence[Cursor | None],
) -> list[Generation]:
    pieces: list[list[Piece]] = [[] for _ in streams]
    steered = [cursor for cursor in cursors if cursor is not None]
    group = StreamGroup(network, options, streams, position, steered or None)
    total = len(streams) * options.length
    for number, piece in track(group.pieces(), "writing", total, _chars_of):
        pieces[number].append(piece)
    return [Generation.from_pieces(row) for row in pieces]


def _chars_of(written: tuple[int, Piece]) -> int:
    return written[1].chars


def _cursor(
    steering: Steering | None,
    vocabulary: Vocabulary,
    seed: Sequence[int],
    options: SampleOptions,
) -> Cursor | None:
    return None if steering is None else Cursor(steering, vocabulary, seed, options.end_text)


def _first_edits(cursor: Cursor | None) -> Edits:
    """What acts on the state that the first character is chosen from."""
    return NO_EDITS if cursor is None else cursor.edits


def _check_count(count: int, first_index: int) -> None:
    if not 1 <= count <= INDEX_LIMIT - first_index:
        raise SamplingError(f"--count is {count}; it must lie in 1..{INDEX_LIMIT - first_index}")


class LiveSymbol(NamedTuple):
    """One token of a text that is steered by hand.

    Args:
        id: The token.
        text: What may be printed now, as in `GeneratedSymbol`.
        held: What is complete and not printed yet, for a stop text may begin there; it belongs to
            the text if that ends here.
        char: Number of the character that it completes or works at, counted from 0.
        chars: Characters of the text that it completes, those between two documents included.
        dose: What the target was held at when the token was chosen; None: nothing held it.
        value: Of the target after the token, in standard deviations from its mean, by its sign:
            where it is held at a dose, that dose. Not a number where it never varies.
        finish_reason: Why the text ends with this token; None before.
    """

    id: int
    text: str
    held: str
    char: int
    chars: int
    dose: float | None
    value: float
    finish_reason: FinishReason | None


def generate_live(
    network: Network,
    vocabulary: Vocabulary,
    options: SampleOptions,
    steering: LiveSteering,
    *,
    seed_ids: Iterable[int] = (),
    primer_ids: Iterable[int] = (),
    index: int = 0,
) -> Iterator[LiveSymbol]:
    """Generate one text symbol by symbol, none before it is asked for.

    A dose that is set after a symbol was handed out acts from the second one after it: the state
    that the next one is chosen from is computed already.

    Args:
        network: The model.
        vocabulary: Its symbols.
        options: The settings.
        steering: Of this text alone; its dose may be changed between any two symbols.
        seed_ids: As for `generate`.
        primer_ids: As for `generate`.
        index: As for `generate`.
    Yields:
        The symbols. `generate` writes the same text when it is steered by what `steering.schedule`
        says in the end.
    Raises:
        SamplingError: As `generate`, or there is a history.
    """
    if options.history:
        raise SamplingError(
            "a text is steered by the state that it carries on, and with --history nothing is; "
            "give --history 0"
        )
    seed = list(map(int, seed_ids))
    cursor = Cursor(steering, vocabulary, seed, options.end_text)
    position = start(network, seed or primer_ids, cursor.edits)
    stream = Stream(vocabulary, options, SymbolGenerator(options.rng, index), seed)
    writer = StreamWriter(network, options, stream, position, cursor, block_size=1)
    decoder = decoder_after(vocabulary, seed, options.end_text)
    target = steering.target
    char, held = 0, ""
    for symbol in writer.symbols():
        after = options.length - stream.room
        held = (held + decoder.feed(symbol.id))[len(symbol.text) :]
        if symbol.finish_reason is not None:
            held = ""
        yield LiveSymbol(
            symbol.id,
            symbol.text,
            held,
            char,
            after - char,
            steering.dose_at(char),
            _deviation(target, writer.position.state[target.layer]),
            symbol.finish_reason,
        )
        char = after


def _deviation(target: Target, state: Mapping[str, Floats]) -> float:
    """How far a target is from its mean, in standard deviations, by its sign."""
    if target.sd == 0.0:
        return nan
    return target.sign * (target.value(state) - target.mean) / target.sd


def bits_per_char(
    network: Network, vocabulary: Vocabulary, ids: Sequence[int], context_ids: Iterable[int] = ()
) -> float:
    """The cost of a text's tokens, a character; not a number where it has none.

    As `Generation.bits_per_char`, which says the same of a text as it was written.

    Args:
        network: The model.
        vocabulary: Its symbols.
        ids: The text.
        context_ids: What stands before it and is not charged.
    """
    position = start(network, context_ids)
    logprobs = []
    for token in ids:
        logprobs.append(float(log_softmax(position.logits_BV[0])[token]))
        position = read(network, position, [token])
    chars = len(vocabulary.decode(ids))
    return bits(logprobs) / chars if chars else float("nan")
