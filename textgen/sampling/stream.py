"""A text while it is written: what it has come to, where it ends, and what steers it next."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Decoder, Vocabulary
from textgen.errors import SamplingError, named
from textgen.model.edit import Edits
from textgen.native.sampler import Standing
from textgen.options import SampleOptions
from textgen.sampling.choice import SymbolGenerator, symbol_rules
from textgen.sampling.course import Course, Follower, SentenceEnds
from textgen.sampling.forms.form import UNBOUNDED, Form, State, may_only_end, one_step
from textgen.settings import quoted
from textgen.steering import Steering

StopReason = Literal["stop", "sentence"]
FinishReason = Literal["length", "stop", "sentence", "end", "form", "repeat"]


class GeneratedSymbol(NamedTuple):
    """One token of a generated text. A tuple, for one is made per character.

    Args:
        id: The token.
        text: What may be printed now. "" within a character of several bytes, and where text is
            held back because it may be the beginning of a stop text; what stands between two
            documents for an end mark after which another one is written.
        chars: Characters that the token completes, printed or not; an end mark completes none.
        probability: Of the choice, after the filters.
        logprob: Natural logarithm of the token's probability under the model as it is.
        finish_reason: Why the text ends with this token: `"length"`, `"stop"` (a stop text),
            `"sentence"`, `"end"` (the end-of-document mark), `"form"` (nothing may follow) or
            `"repeat"` (whatever followed would be repeated); `None` before.
        price: Bits that the form of the text cost here: minus log2 of the probability of all that
            it allowed, among all that is written freely.
    """

    id: int
    text: str
    chars: int
    probability: float
    logprob: float
    finish_reason: FinishReason | None
    price: float = 0.0


class Piece(NamedTuple):
    """Consecutive tokens of a generated text; the fields as in `GeneratedSymbol`."""

    ids: list[int]
    text: str
    chars: int
    logprobs: list[float]
    finish_reason: FinishReason | None
    price: float = 0.0


class StopMatcher:
    """Reads the generated text piece by piece and says what may be printed.

    Text is held back while it could still be the beginning of a stop text, so that what is
    printed at once and what is printed at the end are the same.

    Args:
        stop: Texts that end the generation and are not printed. The one that is complete first
            counts, of several the longest.
        until_sentence: Whether the white space after a sentence ends it too; see `SampleOptions`.
    """

    def __init__(self, stop: Sequence[str] = (), until_sentence: bool = False) -> None:
        self._stop = sorted(stop, key=len, reverse=True)
        self._until_sentence = until_sentence
        self._held = ""
        self._sentences = SentenceEnds()

    def feed(self, text: str) -> tuple[str, StopReason | None]:
        """Read the next piece.

        Returns:
            What may be printed now, and why the text ends here, or `None`. After an end nothing
            is held back: `flush` has nothing to add.
        """
        if not self._stop and not self._until_sentence:
            return text, None
        printed: list[str] = []
        for char in text:
            if self._until_sentence and self._sentences.ends_before(char):
                return "".join(printed) + self.flush(), "sentence"
            self._held += char
            for stop in self._stop:
                if self._held.endswith(stop):
                    printed.append(self._held.removesuffix(stop))
                    self._held = ""
                    return "".join(printed), "stop"
            keep = self._prefix_length()
            printed.append(self._held[: len(self._held) - keep])
            self._held = self._held[len(self._held) - keep :]
        return "".join(printed), None

    def fork(self) -> StopMatcher:
        """One that goes on from here on its own."""
        other = copy.copy(self)
        other._sentences = copy.copy(self._sentences)
        return other

    def flush(self) -> str:
        """The text still held back: to be printed where the generation ends otherwise."""
        text, self._held = self._held, ""
        return text

    def _prefix_length(self) -> int:
        """Length of the longest end of the held text that begins a stop text."""
        for length in range(len(self._held), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stop):
                return length
        return 0


class Stream:
    """One text on its way: what it has come to and where it ends.

    Args:
        vocabulary: The model's symbols.
        options: Length and stops.
        generator: Its random choices.
        context_ids: What stands before it and is not generated: the seed.
        form: What the text is held to; the seed belongs to the text. None: nothing.
        tokens: How many may be chosen; None: as many as the length allows.
        is_turn: Whether the form is that of what is written alone, and what stands before it is
            none of its business.
        surprise: Mirostat's bound where the text goes on; None: it begins.
    Raises:
        SamplingError: No text of this length, or none that begins with this seed, keeps to the
            form.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        options: SampleOptions,
        generator: SymbolGenerator,
        context_ids: Sequence[int] = (),
        form: Form | None = None,
        tokens: int | None = None,
        *,
        is_turn: bool = False,
        surprise: float | None = None,
    ) -> None:
        self.generator = generator
        #: What a writer that begins now goes on from.
        self.context_ids = context_ids
        self._tokens = tokens
        self.rules = symbol_rules(vocabulary, options)
        changing = options.temperatures
        follower = None
        if changing is not None and changing.parts:
            follower = Follower(changing, changing.at, vocabulary, context_ids, options.end_text)
        #: What moves with the text.
        self.course = Course(options, follower, surprise)
        self._followers = _Followers(len(vocabulary), options, context_ids, self.rules.junctions)
        self._symbols = vocabulary.symbols
        self._decoder = decoder_after(vocabulary, context_ids)
        self._end_text = options.end_text
        self._matcher = StopMatcher(options.stop, options.until_sentence)
        self._room = options.length
        # A word is not cut; broken bytes can give two characters at once, of which one may go.
        self._is_cut = vocabulary.level != "word"
        # Each token is one character, and nothing but the length ends the text.
        self._is_plain = (
            vocabulary.level == "char"
            and tokens is None
            and not (options.stop or options.until_sentence or options.may_end or form)
            and not options.no_repeat
        )
        self._form = form
        self._may_end = options.may_end
        #: The symbols that the form allows next, `(V,)`; None: there is no form.
        self.allowed: NDArray[np.bool_] | None = None
        if form is not None:
            self._state = form.start() if is_turn else self._after_seed(form, vocabulary)
            if self._room < form.least(self._state):
                raise SamplingError(
                    f"{named('length')} is {self._room}, and the shortest text that keeps to the "
                    f"form has {form.least(self._state)} more characters; give "
                    f"{named('length', form.least(self._state))}, or more"
                )
            self.allowed = form.allowed(self._state, self._room)

    @property
    def room(self) -> int:
        """Characters that the length still allows: no fewer tokens than blocks of it need."""
        return self._room if self._tokens is None else min(self._room, self._tokens)

    @property
    def standing(self) -> Standing | None:
        """Where the text stands in its form, as the native engine follows it; None: no form."""
        if self._form is None or self.allowed is None:
            return None
        return self._form.standing(self._state, self._room) or one_step(self.allowed)

    @property
    def is_over(self) -> bool:
        """Whether the text is at its end before its next token: no room, or a form that is full."""
        is_full = self.allowed is not None and not self._may_end and may_only_end(self.allowed)
        return self.room <= 0 or is_full or self._followers.are_exhausted

    @property
    def repeated(self) -> frozenset[int]:
        """The tokens with which something would stand in it twice, where that is forbidden."""
        return self._followers.repeated

    def _after_seed(self, form: Form, vocabulary: Vocabulary) -> State:
        """Where the seed leads to in the form."""
        state = form.start()
        for place, token in enumerate(self.context_ids, start=1):
            if not form.allowed(state, UNBOUNDED)[token]:
                before = vocabulary.decode(self.context_ids[:place])
                raise SamplingError(
                    f"no text that begins {quoted(before)} keeps to the form, and the beginning is "
                    "a part of the text; give another beginning, or none"
                )
            state = form.next(state, token)
        return state

    def fork(self) -> Stream:
        """The same text, which goes on from here on its own; what moves with it is not forked."""
        other = copy.copy(self)
        other._decoder, other._matcher = self._decoder.fork(), self._matcher.fork()
        other._followers = copy.copy(self._followers)
        return other

    def rest(self) -> str:
        """What is held back: it belongs to the text if that ends here."""
        return self._matcher.flush()

    def accept(
        self, token: int, probability: float, logprob: float, price: float
    ) -> GeneratedSymbol:
        """Add the chosen token."""
        if self._is_plain:
            self._room -= 1
            finish: FinishReason | None = None if self._room > 0 else "length"
            return GeneratedSymbol(token, self._symbols[token], 1, probability, logprob, finish)
        text = self._decoder.feed(token)
        chars = len(text) if not self._is_cut else min(len(text), self._room)
        if token == END_ID:
            text += self._end_text
        if self._is_cut:
            text = text[: self._room]
        self._room -= len(text)
        printed, finish = self._matcher.feed(text)
        if finish is None and token == END_ID and not self._end_text:
            finish = "end"
        if self._tokens is not None:
            self._tokens -= 1
        if finish is None and self.room <= 0:
            finish = "length"
        if finish is None and self._followers.add(token):
            finish = "repeat"
        if finish is None and self._form is not None:
            self._state = self._form.next(self._state, token)
            self.allowed = self._form.allowed(self._state, self._room)
            if self.is_over:
                finish = "form"
        if finish is not None:
            printed += self._matcher.flush()
        return GeneratedSymbol(token, printed, chars, probability, logprob, finish, price)

    def accept_many(self, ids: list[int], logprobs: list[float], prices: list[float]) -> Piece:
        """Add chosen tokens, up to the one that ends the text."""
        if self._is_plain:
            taken = ids[: self._room]
            self._room -= len(taken)
            text = "".join([self._symbols[token] for token in taken])
            finish: FinishReason | None = None if self._room > 0 else "length"
            return Piece(taken, text, len(taken), logprobs[: len(taken)], finish)
        symbols = []
        for token, logprob, price in zip(ids, logprobs, prices, strict=True):
            symbols.append(self.accept(token, 0.0, logprob, price))
            if symbols[-1].finish_reason is not None:
                break
        return Piece(
            ids[: len(symbols)],
            "".join(symbol.text for symbol in symbols),
            sum(symbol.chars for symbol in symbols),
            logprobs[: len(symbols)],
            symbols[-1].finish_reason,
            math.fsum(symbol.price for symbol in symbols),
        )


class _Followers:
    """What has followed the same tokens before in this document: it would be repeated.

    Texts that go on from one another share what they have in common: it lies in layers that are
    never changed. A token is a layer of its own, and layers of equal size become one. So a text of
    N tokens has about log2(N) layers, and whoever forks it copies none of them.

    Args:
        size: Symbols of the model.
        options: How many tokens may not be repeated, and whether a document may end.
        ids: What stands before the text.
        junctions: Which tokens may follow each other; b"": all may.
    """

    def __init__(
        self, size: int, options: SampleOptions, ids: Sequence[int], junctions: bytes = b""
    ) -> None:
        self._size = options.no_repeat
        # An end mark that may follow is never repeated within its document.
        self._may_end = options.may_end
        self._symbols = frozenset(range(size)) - {END_ID, UNKNOWN_ID}
        self._junctions = junctions
        # What may follow tokens of each strictness, as it is found.
        self._free: dict[int, frozenset[int]] = {}
        self._layers: tuple[dict[tuple[int, ...], frozenset[int]], ...] = ()
        self._last: tuple[int, ...] = ()
        self._previous = END_ID
        if self._size:
            for token in after_last_end(ids):
                self.add(token)

    @property
    def _allowed(self) -> frozenset[int]:
        """What may follow the last token, repeated or not."""
        if not self._junctions:
            return self._symbols
        strict = self._junctions[self._previous] >> 4
        if strict not in self._free:
            self._free[strict] = frozenset(
                token for token in self._symbols if strict + (self._junctions[token] & 15) <= 2
            )
        return self._free[strict]

    @property
    def repeated(self) -> frozenset[int]:
        """The tokens that would be repeated now."""
        return frozenset().union(*(layer.get(self._last, ()) for layer in self._layers))

    @property
    def are_exhausted(self) -> bool:
        """Whether whatever followed now would be repeated."""
        if not self._layers or self._may_end:
            return False
        repeated = self.repeated
        return len(repeated) >= len(self._allowed) and self._allowed <= repeated

    def add(self, token: int) -> bool:
        """Go past a token; returns `are_exhausted`."""
        if not self._size:
            return False
        self._previous = token
        if token == END_ID:
            self._layers, self._last = (), ()
            return False
        if len(self._last) == self._size - 1:
            layers, newest = self._layers, {self._last: frozenset((token,))}
            while layers and len(layers[-1]) <= len(newest):
                newest = _joined(layers[-1], newest)
                layers = layers[:-1]
            self._layers = (*layers, newest)
        self._last = (*self._last, token)[max(len(self._last) + 2 - self._size, 0) :]
        return self.are_exhausted


def _joined(
    one: dict[tuple[int, ...], frozenset[int]], other: dict[tuple[int, ...], frozenset[int]]
) -> dict[tuple[int, ...], frozenset[int]]:
    """What either has."""
    result = one.copy()
    for before, tokens in other.items():
        result[before] = result.get(before, frozenset()) | tokens
    return result


def decoder_after(vocabulary: Vocabulary, ids: Sequence[int], end: str = "") -> Decoder:
    """A decoder that goes on where a text of these ids ends; `end` as for `Vocabulary.decode`."""
    decoder = vocabulary.decoder(end=end)
    # A character has four bytes at most, so no more can bear on what comes next.
    for token in ids[-4:]:
        decoder.feed(token)
    return decoder


def after_last_end(ids: Sequence[int]) -> list[int]:
    """The ids of the document that a text ends with: what stands before it is forgotten."""
    tokens = list(ids)
    if END_ID in tokens:
        del tokens[: len(tokens) - tokens[::-1].index(END_ID)]
    return tokens


def bits(logprobs: Iterable[float]) -> float:
    """The cost in bits of tokens of these natural log-probabilities."""
    return -math.fsum(logprobs) / math.log(2)


class Cursor(Follower[Edits]):
    """Follows a text that is steered.

    Character `n` is chosen from a state that `Steering.edits_at(n, ...)` changed, so what acts
    while a token is read is what is asked for the character after it. Within a character of
    several bytes that is the character itself.

    Args:
        steering: What the text is steered by.
        vocabulary: The model's symbols.
        context_ids: What stands before the text: the seed.
        end: What an end mark is written as.
    """

    def __init__(
        self,
        steering: Steering,
        vocabulary: Vocabulary,
        context_ids: Sequence[int] = (),
        end: str = "",
    ) -> None:
        super().__init__(steering, steering.edits_at, vocabulary, context_ids, end)

    @property
    def edits(self) -> Edits:
        """What acts on the next state."""
        return self.now
