"""A text that a person and a model write in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import SamplingError, named
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.head import log_softmax
from textgen.model.network import StepNetwork
from textgen.options import SampleOptions
from textgen.sampling.choice import SymbolGenerator
from textgen.sampling.forms.form import Form
from textgen.sampling.likely_words import LikelyWord, WordSearch
from textgen.sampling.networks import Position, read, seen_by, start
from textgen.sampling.seed import FittedSeed, fit_seed
from textgen.sampling.stream import GeneratedSymbol, Stream, decoder_after
from textgen.sampling.writing import StreamWriter


@dataclass(frozen=True)
class _Snapshot:
    """Where the text stood before an action."""

    position: Position
    size: int
    after_word: bool
    surprise: float | None


class Writer:
    """A growing text and the model's state after it.

    Every call of `feed`, `choose`, `take`, `step` and `write` is one action, which `undo` takes
    back. After an end mark the text goes on as another document.

    Reading never changes a state in place, so remembering one costs no copy.

    Args:
        network: The model.
        vocabulary: Its symbols.
        normalization: What its texts went through, for typed text.
        options: The settings of what is written; `None` is the defaults.
        primer_ids: What is read in front where the model writes the first word.
        index: The number of the sample; each draws its own random numbers under one `rng`.
        edits: What is done to the states at every token, read or written.
        form: What each turn of the model is held to, by itself; None: nothing.
        open_many: Opens what reads many continuations at once, for `words`; None: the network does.
    """

    def __init__(
        self,
        network: StepNetwork,
        vocabulary: Vocabulary,
        normalization: Normalization,
        options: SampleOptions | None = None,
        *,
        primer_ids: Iterable[int] = (),
        index: int = 0,
        edits: Edits = NO_EDITS,
        form: Form | None = None,
        open_many: Callable[[], StepNetwork] | None = None,
    ) -> None:
        self.options = options or SampleOptions()
        self.ids: list[int] = []
        self._network = network = seen_by(network, self.options)
        self._vocabulary = vocabulary
        self._normalization = normalization
        self._generator = SymbolGenerator(self.options.rng, index)
        self._edits = edits
        self._form = form
        self._open_many = open_many
        self._bare = start(network, edits=edits)
        self._settled = read(network, self._bare, primer_ids, edits)
        # What has written since then; where that stands is asked only when it matters.
        self._writing: StreamWriter | None = None
        self._undo: list[_Snapshot] = []
        # Mirostat's bound, which goes on from turn to turn; None until the model writes.
        self._surprise: float | None = None
        # Whether the last action was a word that was taken, so that it has ended.
        self._after_word = False

    @property
    def _position(self) -> Position:
        """Where the text stands."""
        if self._writing is not None:
            self._position = self._writing.position
        return self._settled

    @_position.setter
    def _position(self, position: Position) -> None:
        self._settled, self._writing = position, None

    @property
    def text(self) -> str:
        """Everything read and written, stop texts and what stands between documents included."""
        ids = self.ids[:-1] if self.ids[-1:] == [END_ID] else self.ids
        return self._vocabulary.decode(ids, end=self.options.separator)

    def feed(self, text: str) -> FittedSeed:
        """Read typed text, fitted to the vocabulary like a seed.

        Returns:
            What was read, with the notice about it if there is one.
        """
        fitted = fit_seed(text, self._vocabulary, self._normalization)
        self.feed_ids(fitted.ids)
        return fitted

    def feed_ids(self, ids: Iterable[int]) -> None:
        """Read tokens.

        Raises:
            SamplingError: One of them is outside the vocabulary; then nothing is read.
        """
        tokens = list(map(int, ids))
        first = self._position if self.ids or not tokens else self._bare
        position = read(self._network, first, tokens, self._edits)
        self._remember()
        self._position = position
        self.ids.extend(tokens)

    def choose(self, token: int) -> str:
        """Write the given token, as if the model had chosen it, and return its text.

        Raises:
            SamplingError: It is outside the vocabulary.
        """
        return self._take([token])

    def take(self, word: LikelyWord) -> str:
        """Write a word that `words` offers, and return its text; the next ones stand after it.

        Raises:
            SamplingError: A symbol is outside the vocabulary.
        """
        text = self._take(word.ids)
        self._after_word = True
        return text

    def _take(self, tokens: Sequence[int]) -> str:
        position = read(self._network, self._position, tokens, self._edits)
        decoder = decoder_after(self._vocabulary, self.ids, self.options.separator)
        self._remember()
        self._position = position
        self.ids.extend(tokens)
        return "".join(map(decoder.feed, tokens))

    def step(self) -> GeneratedSymbol:
        """Let the model write one token; stops, length and form do not count.

        Raises:
            SamplingError: Whatever followed would be repeated.
        """
        options = replace(self.options, length=1, stop=(), until_sentence=False)
        symbol = next(self._write(options, None), None)
        if symbol is None:
            self._undo.pop()
            raise SamplingError(
                f"{named('no_repeat', options.no_repeat)} leaves nothing that could follow; give a "
                "larger number"
            )
        return symbol

    def write(self, length: int | None = None) -> Iterator[GeneratedSymbol]:
        """Let the model go on, as `generate` does, until the length, a stop or the form's end.

        Args:
            length: Characters at most; `None` is that of the options.
        Yields:
            The tokens. Whoever stops listening stops the writing there.
        Raises:
            SamplingError: No text of this length keeps to the form.
        """
        options = self.options if length is None else replace(self.options, length=length)
        return self._write(options, self._form)

    def likeliest(self, count: int = 5) -> list[tuple[int, str, float]]:
        """The most likely next tokens under the model as it is, in order; ties by id.

        The unknown character is left out, and so is the end mark unless a document may end.

        Returns:
            Id, text and probability of each; the end mark's text is "", and that of a byte which
            alone is no character is written as `\\xd0`.
        """
        logprobs = log_softmax(self._position.logits_BV[0])
        order = np.argsort(-logprobs, kind="stable").tolist()
        banned = {UNKNOWN_ID} if self.options.may_end else {UNKNOWN_ID, END_ID}
        likely = [token for token in order if token not in banned][: max(count, 0)]
        return [(token, self._shown(token), float(np.exp(logprobs[token]))) for token in likely]

    def words(self, count: int = 5) -> list[LikelyWord]:
        """The likeliest continuations up to the end of a word, under the model as it is, in order.

        What is searched is a beam: a continuation that begins with unlikely symbols may be missed.

        Args:
            count: How many at most.
        """
        is_inside = self._after_word and self.ids[-1:] != [END_ID]
        return self._search.likeliest(self._position, self.ids, count, after_word=is_inside)

    @cached_property
    def _search(self) -> WordSearch:
        network = self._network if self._open_many is None else self._open_many()
        return WordSearch(
            seen_by(network, self.options) if network is not self._network else network,
            self._vocabulary,
            may_end=self.options.may_end,
            edits=self._edits,
        )

    def undo(self) -> bool:
        """Take back the last action; False where there is none.

        Random choices go on: what is written next is another text.
        """
        if not self._undo:
            return False
        snapshot = self._undo.pop()
        self._position = snapshot.position
        self._after_word = snapshot.after_word
        self._surprise = snapshot.surprise
        del self.ids[snapshot.size :]
        return True

    def _remember(self) -> None:
        here = _Snapshot(self._position, len(self.ids), self._after_word, self._surprise)
        self._undo.append(here)
        self._after_word = False

    def _write(self, options: SampleOptions, form: Form | None) -> Iterator[GeneratedSymbol]:
        context = self.ids[:]
        stream = Stream(
            *(self._vocabulary, options, self._generator, context, form),
            is_turn=True,
            surprise=self._surprise,
        )
        self._remember()
        writing = StreamWriter(self._network, options, stream, self._position, edits=self._edits)
        for symbol in writing.symbols():
            self.ids.append(symbol.id)
            self._writing = writing
            self._surprise = stream.course.surprise
            yield symbol

    def _shown(self, token: int) -> str:
        symbol = self._vocabulary.symbols[token]
        if self._vocabulary.level == "byte" and symbol >= "\x80":
            return f"\\x{ord(symbol):02x}"
        return symbol
