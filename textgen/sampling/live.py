"""A text that a person steers while it is written: each symbol, with what the target did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import nan
from typing import NamedTuple

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import SamplingError
from textgen.sampling.choice import SymbolGenerator
from textgen.sampling.cursor import Cursor
from textgen.sampling.options import SampleOptions
from textgen.sampling.stream import FinishReason, Floats, Network, Stream, decoder_after, start
from textgen.sampling.writing import StreamWriter
from textgen.steering import LiveSteering, Target


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
