"""Text from a model: one as a stream of tokens, or several at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import SamplingError, named
from textgen.model.edit import NO_EDITS
from textgen.model.head import log_softmax
from textgen.model.network import Floats, StepNetwork
from textgen.notebook import Part, Prose, Shown, quoted
from textgen.options import SampleOptions
from textgen.progress import track
from textgen.sampling.beam import BeamWriter
from textgen.sampling.choice import INDEX_LIMIT, SymbolGenerator
from textgen.sampling.forms.form import Form
from textgen.sampling.networks import Position, no_steering, read, seen_by, start, start_many
from textgen.sampling.seed import refuse_beside
from textgen.sampling.stream import (
    Cursor,
    FinishReason,
    GeneratedSymbol,
    Piece,
    Stream,
    bits,
    decoder_after,
)
from textgen.sampling.writing import StreamGroup, StreamWriter
from textgen.steering import LiveSteering, Steering, Target
from textgen.terminal.humanize import plural

#: Texts that step through the network together at most. With more it gets no faster, and their
#: states would take memory without bound.
MOST_TOGETHER = 1024
#: Texts that a view of several shows.
MOST_SHOWN = 10


class WrittenText(str, Shown):
    """A text that a model has written, after the seed that it was given; to a program, a `str`.

    Args:
        text: The seed and what was written after it.
        seed: How many characters of it are the seed.
    """

    seed: int

    def __new__(cls, text: str, seed: int = 0) -> WrittenText:
        made = super().__new__(cls, text)
        made.seed = seed
        return made

    def __reduce__(self) -> tuple[type[WrittenText], tuple[str, int]]:
        return WrittenText, (str(self), self.seed)

    @property
    def headline(self) -> str:
        """How much was written."""
        return f"{plural(len(self) - self.seed, 'character')} written"

    def parts(self) -> Iterable[Part]:
        """The text, in which the seed is set off."""
        seed, written = self[: self.seed], self[self.seed :]
        yield Prose([(seed, True), (written, False)], "the seed" if seed else "")


class Generations(list["Generation"], Shown):
    """Several texts of a model; to a program, a `list`."""

    @property
    def headline(self) -> str:
        """How many texts."""
        return f"{plural(len(self), 'text')} written"

    def parts(self) -> Iterable[Part]:
        """Each with its figures."""
        for number, text in enumerate(self[:MOST_SHOWN]):
            yield f"{number}: {text.figures}"
            yield from text.parts()
        if len(self) > MOST_SHOWN:
            yield f"… and {plural(len(self) - MOST_SHOWN, 'text')} more"


@dataclass(frozen=True, repr=False)
class Generation(Shown):
    """A generated text.

    Args:
        text: What is printed: neither the seed nor a stop text.
        ids: Every token that was chosen, those of a stop text and an end mark included.
        finish_reason: As in `GeneratedSymbol`.
        bits_per_char: Negative log-likelihood of `ids` under the model as it is, without the
            filters, in bits per character; `nan` where they hold no character.
        form_bits: What the form of the text cost: the bits by which it is less likely than freely
            written, for the choices that the form took from the model; 0 without a form.
    """

    text: str
    ids: tuple[int, ...]
    finish_reason: FinishReason
    bits_per_char: float
    form_bits: float = 0.0

    @property
    def headline(self) -> str:
        """How it begins, and its figures."""
        return f"{quoted(self.text)}: {self.figures}"

    @property
    def figures(self) -> str:
        """How long it is, what it costs and why it ended, in words."""
        cost = "" if math.isnan(self.bits_per_char) else f", {self.bits_per_char:.3f} bits/char"
        return f"{plural(len(self.text), 'character')}{cost}, ended by {self.finish_reason}"

    def parts(self) -> Iterable[Part]:
        """The text."""
        yield Prose([(self.text, False)])

    @classmethod
    def from_symbols(cls, symbols: Iterable[GeneratedSymbol]) -> Generation:
        """Put together what `stream_text` yields."""
        pieces = (([s.id], s.text, s.chars, [s.logprob], s.finish_reason, s.price) for s in symbols)
        return cls.from_pieces([Piece(*piece) for piece in pieces])

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
            form_bits=math.fsum(piece.price for piece in pieces),
        )


def stream_text(
    network: StepNetwork,
    vocabulary: Vocabulary,
    options: SampleOptions | None = None,
    *,
    seed_ids: Iterable[int] = (),
    primer_ids: Iterable[int] = (),
    index: int = 0,
    steering: Steering | None = None,
    form: Form | None = None,
) -> Iterator[GeneratedSymbol]:
    """Generate one text token by token.

    The network starts with a zero state, reads the end-of-document mark and then the seed, or
    the primer where there is no seed. Neither is printed. The unknown character is never
    generated, the end mark only with `until_end` or `keep_going`.

    Args:
        network: The model.
        vocabulary: Its symbols.
        options: The settings; `None` is the defaults.
        seed_ids: What the text goes on from, as `fit_seed` gives it.
        primer_ids: What the texts of the model's corpus start with, stored beside the model.
        index: The number of the sample; each draws its own random numbers under one `rng`.
        steering: What changes the states while the text is written, its first character included;
            the seed is read without it. None changes nothing.
        form: What the text is held to, the seed included. None: nothing.
    Yields:
        The tokens; the last one says why the text ended. None at all for a length of 0.
    Raises:
        SamplingError: An id is outside the vocabulary, the model's output is not finite, or no
            text with this seed and length keeps to the form.
    """
    texts = _Texts(network, vocabulary, options or SampleOptions(), primer_ids, steering, form)
    seed = list(map(int, seed_ids))
    yield from texts.writer(seed, index, texts.begin([seed])).symbols()


def generate(
    network: StepNetwork,
    vocabulary: Vocabulary,
    seeds: Sequence[Sequence[int]],
    options: SampleOptions | None = None,
    *,
    primer_ids: Iterable[int] = (),
    first_index: int = 0,
    steering: Steering | None = None,
    form: Form | None = None,
    together: bool = True,
) -> list[Generation]:
    """Generate a text after each of some seeds, equal ones or others.

    Text k is what `stream_text` writes after seed k with `index=first_index + k`. Texts that are
    written together are so as far as the network's arithmetic for many rows rounds as it does for
    one; where two tokens are almost equally likely, that can differ.

    Args:
        network: The model.
        vocabulary: Its symbols.
        seeds: What each text goes on from, of any lengths; at least one.
        options: The settings of all texts; `None` is the defaults.
        primer_ids: As for `stream_text`.
        first_index: Number of the first sample.
        steering: As for `stream_text`; each text follows it for itself.
        form: As for `stream_text`.
        together: Whether the texts step through the network together, which is faster. Otherwise
            they are written one after another, as texts are that are searched for.
    Returns:
        One text for each seed, in order.
    Raises:
        SamplingError: There is no seed or there are too many, or as for `stream_text`.
    """
    limit = INDEX_LIMIT - first_index
    if not 1 <= len(seeds) <= limit:
        raise SamplingError(f"{named('count')} is {len(seeds)}; it must lie in 1..{limit}")
    texts = _Texts(network, vocabulary, options or SampleOptions(), primer_ids, steering, form)
    rows = [np.asarray(seed).tolist() if hasattr(seed, "dtype") else seed for seed in seeds]
    if not together or texts.are_searched:
        return [
            Generation.from_symbols(
                texts.writer(seed, first_index + k, texts.begin([seed])).symbols()
            )
            for k, seed in track(enumerate(rows), "writing", len(rows))
        ]
    written = []
    for first in range(0, len(rows), MOST_TOGETHER):
        part = rows[first : first + MOST_TOGETHER]
        written += texts.write_together(part, first_index + first, texts.begin(part))
    return written


class _Texts:
    """What the texts of one call have in common; the arguments are those of `generate`."""

    def __init__(
        self,
        network: StepNetwork,
        vocabulary: Vocabulary,
        options: SampleOptions,
        primer_ids: Iterable[int],
        steering: Steering | None,
        form: Form | None,
    ) -> None:
        self._network = seen_by(network, options)
        if steering is not None:
            refuse_beside("steer", options)
        self._vocabulary = vocabulary
        self._options = options
        self._primer = list(map(int, primer_ids))
        self._steering = steering
        self._form = form
        self._begun: tuple[Sequence[int], Position] | None = None

    @property
    def are_searched(self) -> bool:
        """Whether a search writes them."""
        return self._options.beam > 0

    def begin(self, seeds: Sequence[Sequence[int]]) -> Position:
        """Where the network stands after each of some seeds; equal ones are read once."""
        # What acts on the state that the first character is chosen from.
        edits = NO_EDITS if self._steering is None else self._steering.edits_at(0, 1)
        first = seeds[0]
        if any(seed is not first and seed != first for seed in seeds):
            ids = [seed or self._primer for seed in seeds]
            return start_many(self._network, ids, [edits] * len(seeds))
        if self._begun is None or self._begun[0] != first:
            self._begun = first, start(self._network, first or self._primer, edits)
        return self._begun[1].repeat(np.zeros(len(seeds), np.intp))

    def writer(
        self, seed: Sequence[int], index: int, position: Position
    ) -> StreamWriter | BeamWriter:
        """What writes one text."""
        stream, cursor = self._stream(seed, index), self._cursor(seed)
        if self._options.beam:
            return BeamWriter(self._network, self._options, stream, position)
        return StreamWriter(self._network, self._options, stream, position, cursor)

    def write_together(
        self, seeds: Sequence[Sequence[int]], first_index: int, position: Position
    ) -> list[Generation]:
        streams = [self._stream(seed, first_index + k) for k, seed in enumerate(seeds)]
        cursors = [cursor for cursor in map(self._cursor, seeds) if cursor is not None]
        group = StreamGroup(self._network, self._options, streams, position, cursors or None)
        pieces: list[list[Piece]] = [[] for _ in seeds]
        total = len(seeds) * self._options.length
        for number, piece in track(group.pieces(), "writing", total, lambda item: item[1].chars):
            pieces[number].append(piece)
        return [Generation.from_pieces(row) for row in pieces]

    def _stream(self, seed: Sequence[int], index: int) -> Stream:
        generator = SymbolGenerator(self._options.rng, index)
        return Stream(self._vocabulary, self._options, generator, seed, self._form)

    def _cursor(self, seed: Sequence[int]) -> Cursor | None:
        if self._steering is None:
            return None
        return Cursor(self._steering, self._vocabulary, seed, self._options.end_text)


class LiveSymbol(NamedTuple):
    """One token of a text that is steered by hand.

    Args:
        id: The token.
        text: What may be printed now, as in `GeneratedSymbol`.
        held: What is complete and not printed yet, for a stop text may begin there; it belongs to
            the text if that ends here.
        char: Number of the character that it completes or works at, counted from 0.
        chars: Characters of the text that it completes, those between two documents included.
        dose: The dose of the target when the token was chosen; None: it was free.
        value: The target after the token, in standard deviations from its mean, times its sign: a
            clamped target has its dose here. `nan` where the target never varies.
        finish_reason: Why the text ends with this token; None before.
        price: As in `GeneratedSymbol`.
    """

    id: int
    text: str
    held: str
    char: int
    chars: int
    dose: float | None
    value: float
    finish_reason: FinishReason | None
    price: float


def generate_live(
    network: StepNetwork,
    vocabulary: Vocabulary,
    options: SampleOptions,
    steering: LiveSteering,
    *,
    seed_ids: Iterable[int] = (),
    primer_ids: Iterable[int] = (),
    index: int = 0,
    form: Form | None = None,
) -> Iterator[LiveSymbol]:
    """Generate one text token by token, none before it is asked for.

    A dose that is set after a token was handed out acts from the second one after it: the state
    that the next one is chosen from is computed already.

    Args:
        network: The model.
        vocabulary: Its symbols.
        options: The settings.
        steering: Of this text alone; its dose may be changed between any two tokens.
        seed_ids: As for `stream_text`.
        primer_ids: As for `stream_text`.
        index: As for `stream_text`.
        form: As for `stream_text`.
    Yields:
        The tokens. `stream_text` writes the same text when it is steered by what
        `steering.schedule` says in the end.
    Raises:
        SamplingError: As `stream_text`, or there is a history.
    """
    if options.history:
        raise no_steering(options.history)
    seed = list(map(int, seed_ids))
    cursor = Cursor(steering, vocabulary, seed, options.end_text)
    position = start(network, seed or primer_ids, cursor.edits)
    stream = Stream(vocabulary, options, SymbolGenerator(options.rng, index), seed, form)
    writer = StreamWriter(network, options, stream, position, cursor, block_size=1)
    decoder = decoder_after(vocabulary, seed, options.end_text)
    target = steering.target
    char, held = 0, ""
    for symbol in writer.symbols():
        after = options.length - stream.room
        held = (held + decoder.feed(symbol.id))[len(symbol.text) :]
        if symbol.finish_reason is not None:
            held = ""
        dose = steering.dose_at(char)
        value = _deviation(target, writer.position.state[target.layer])
        yield LiveSymbol(
            *(symbol.id, symbol.text, held, char, after - char, dose, value),
            *(symbol.finish_reason, symbol.price),
        )
        char = after


def _deviation(target: Target, state: Mapping[str, Floats]) -> float:
    """How far a target is from its mean, in standard deviations, times its sign."""
    if target.sd == 0.0:
        return math.nan
    return target.sign * (target.value(state) - target.mean) / target.sd


def bits_per_char(
    network: StepNetwork,
    vocabulary: Vocabulary,
    ids: Sequence[int],
    context_ids: Iterable[int] = (),
) -> float:
    """The negative log-likelihood of a text, in bits per character; `nan` without a character.

    A network that did not write the text, or wrote it while it was steered, says by this what it
    makes of it. `Generation.bits_per_char` is the same of a text as it was written.

    Args:
        network: The model.
        vocabulary: Its symbols.
        ids: The text.
        context_ids: What stands before it and is not counted.
    """
    position = start(network, context_ids)
    logprobs = []
    for token in ids:
        logprobs.append(float(log_softmax(position.logits_BV[0])[token]))
        position = read(network, position, [token])
    chars = len(vocabulary.decode(ids))
    return bits(logprobs) / chars if chars else float("nan")
