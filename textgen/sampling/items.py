"""Items of a list: whole documents, each another one, such as a hundred new names.

Texts are written freely first, and those that are no item are left out: what is kept is distributed
as the model writes, under the condition that it is an item. Where few are kept, the rest is written
under a form that allows nothing else (`textgen.sampling.forms.unused`). That form tells for certain
when there are no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textgen.checkpoint import ModelHeader
from textgen.corpus.corpus import Corpus
from textgen.corpus.vocabulary import END_ID, Ids, Vocabulary
from textgen.errors import ConfigError, SamplingError, named
from textgen.messages import Message, call
from textgen.notebook import Part, Shown
from textgen.options import SampleOptions, span_of
from textgen.sampling.forms.bounds import Bounds
from textgen.sampling.forms.form import UNBOUNDED, Form, State
from textgen.sampling.forms.unused import Unused, UsedTexts
from textgen.sampling.generate import MOST_TOGETHER, Generation
from textgen.sampling.novelty import training_text
from textgen.sampling.seed import refuse_beside
from textgen.settings import quoted
from textgen.table import Column, Table
from textgen.terminal.humanize import plural

#: Freely written texts of which fewer are items are written under the form instead.
_LEAST_KEPT = 0.25
#: Texts that are written at least in a round, for they cost hardly more together.
LEAST_ROUND = 16
#: Tokens of a character at most: the bytes of UTF-8.
_MOST_BYTES = 4


@dataclass(frozen=True)
class Item:
    """One item.

    Args:
        text: All of it, the seed included.
        generation: What was written of it.
    """

    text: str
    generation: Generation

    @property
    def bits_per_char(self) -> float:
        """What the model makes of it, without filters: bits of the written characters and of the
        end, per character."""
        return self.generation.bits_per_char


@dataclass(frozen=True, repr=False)
class Items(Shown):
    """What was asked for, and what was found.

    Args:
        found: The items; with `rank` the likeliest first, else in the order in which they were
            written.
        asked: How many were asked for.
        written: Texts that were written for them.
        why_fewer: Why there are fewer than asked for; None where there are as many.
    """

    found: tuple[Item, ...]
    asked: int
    written: int
    why_fewer: str | None = None

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.found)

    def __getitem__(self, place: int) -> Item:
        return self.found[place]

    @property
    def headline(self) -> str:
        """How many were found, and why no more."""
        missing = "" if self.why_fewer is None else f"; {self.why_fewer}"
        return f"{plural(len(self), 'item')} of {plural(self.written, 'text')}{missing}"

    def parts(self) -> Iterable[Part]:
        """The items, each with its bits per character."""
        columns = (Column("item"), Column("bits_per_char", "bits/char", ".2f"))
        yield Table(columns, [(item.text, item.bits_per_char) for item in self])

    @property
    def texts(self) -> list[str]:
        """The items as plain texts."""
        return [item.text for item in self.found]

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data; the items themselves stand elsewhere."""
        return {
            "asked": self.asked,
            "found": len(self.found),
            "written": self.written,
            "why_fewer": self.why_fewer,
        }


def refuse_no_items(model: ModelHeader, options: SampleOptions) -> None:
    """Refuse items of a model that knows none, and settings under which none would be whole.

    Raises:
        SamplingError: The model knows no end of a document, or another setting ends the text.
    """
    if not model.writes_documents:
        what = "pairs" if model.reads_pairs else "one text"
        why = "" if model.reads_pairs else " and has seen no end of an item"
        raise SamplingError(
            f"this model was trained on {what}{why}; {named('items')} needs a model of a list or "
            "of several documents: "
            f"{call('train', 'FILE', documents='line')}, where each line is an item"
        )
    refuse_beside("items", options)


def longest_item(model: ModelHeader, options: SampleOptions, form: Form | None) -> int:
    """The most characters of an item where no `length` is given.

    It is the most that `chars` allows, else what the longest document of the training text has, or
    the shortest text of the form, if that is longer: an item that goes on and on is none.
    """
    if options.chars is not None:
        most = span_of("chars", options.chars)[1]
        return options.length if most is None else most
    lengths = None if model.corpus is None else model.corpus.get("document_lengths")
    longest = options.length if lengths is None else lengths["longest"]
    return longest if form is None else max(longest, form.least(form.start()))


def known_items(model: ModelHeader, path: str | None) -> Corpus:
    """The training text, of which no document is to be written.

    Args:
        model: The model.
        path: A file or folder with the text; None takes it from the cache.
    Raises:
        ConfigError: It is no longer in the cache.
    """
    try:
        return training_text(model, path)
    except ConfigError as error:
        if path is not None:
            raise
        raise ConfigError(
            f"{error.marked}, or {named('new', False)} to write items that stand in it, too"
        ) from error


@dataclass(frozen=True)
class ItemRequest:
    """What an item is.

    Args:
        count: How many are asked for.
        vocabulary: The model's symbols.
        seed: What each begins with, in tokens.
        most: The most characters.
        form: What items keep to as well; None: nothing.
        asked: What asks for that form, as a message says it.
        training: The tokens of a text in which none of them is a document; None: they may stand
            there.
        is_unique: Whether no two are equal.
    """

    count: int
    vocabulary: Vocabulary
    seed: Sequence[int]
    most: int
    form: Form | None
    asked: Sequence[str]
    training: Ids | None
    is_unique: bool


#: Writes so many texts, from that number on; each keeps to the form, and has so many characters at
#: most.
Write = Callable[[int, int, Form | None, int], list[Generation]]


def find_items(request: ItemRequest, write: Write, *, rank: bool = False) -> Items:
    """Write items until there are as many as asked for, or no more.

    Args:
        request: What an item is.
        write: What writes texts.
        rank: Whether to order them, those with the fewest bits per character first.
    Raises:
        SamplingError: No item begins with the seed.
    """
    if request.count < 1:
        raise SamplingError(f"{named('items')} is {request.count}; it must be at least 1")
    search = _Search(request)
    form: Form | None = None
    written, size = 0, max(request.count, LEAST_ROUND)
    while len(search.found) < request.count and not search.is_exhausted():
        size = min(size, MOST_TOGETHER)
        # One more character, so that the end of an item of the greatest length is written.
        texts = write(size, written, form, request.most + 1)
        written += size
        kept = sum(map(search.take, texts))
        missing = request.count - len(search.found)
        if form is None and kept >= _LEAST_KEPT * size:
            # As many more as were left out of the last ones.
            size = max(missing * size // kept + 1, LEAST_ROUND)
        else:
            # Texts that are written together can be equal, above all those of temperature 0.
            size = max(1, min(missing, 2 * kept if form is not None else size))
            form = search.form
    found = search.found[: request.count]
    if rank:
        found = sorted(found, key=lambda item: item.bits_per_char)
    fewer = len(found) < request.count
    return Items(tuple(found), request.count, written, search.why() if fewer else None)


class _Search:
    """The items that were found, and the form of those that were not."""

    def __init__(self, request: ItemRequest) -> None:
        self._request = request
        vocabulary = request.vocabulary
        self._bounds = Bounds(vocabulary, request.most, request.form)
        longest = request.most * (_MOST_BYTES if vocabulary.level == "byte" else 1)
        known = np.zeros(0, np.uint8) if request.training is None else request.training
        self._used = UsedTexts(known, longest)
        self.form = Unused(self._bounds, self._used)
        self.found: list[Item] = []
        self._texts: set[str] = set()
        if (state := self._after_seed(self._bounds)) is None or not self._any(self._bounds, state):
            begins = vocabulary.decode(request.seed)
            raise SamplingError(
                f"no item that begins with {quoted(begins)} {self._conditions()}; give another "
                "beginning, or none"
                if request.seed
                else f"there is no text that {self._conditions()}; ask for less at once"
            )

    def take(self, text: Generation) -> bool:
        """Add a text, if it is an item that is not there yet."""
        request = self._request
        ids = [*request.seed, *text.ids]
        whole = request.vocabulary.decode(ids[:-1]) if ids and ids[-1] == END_ID else None
        if whole is None or ids in self._used or not self._is_in_bounds(ids):
            return False
        if request.is_unique:
            self._used.add(ids)
            # Different tokens can be the same text where tokens are words.
            if whole in self._texts:
                return False
            self._texts.add(whole)
        self.found.append(Item(whole, text))
        return True

    def is_exhausted(self) -> bool:
        """Whether there is no other item."""
        state = self._after_seed(self.form)
        return state is None or not self._any(self.form, state)

    def why(self) -> str:
        """Why there are no more items."""
        request = self._request
        others = "no other text" if self.found else "no text"
        why = f"{others} {self._conditions()}"
        state = self.form.start()
        for token in request.seed:
            state = self.form.next(state, token)
        # What was found is known by now, too.
        if known := self.form.count_used(state) - len(self._texts):
            why += f", but for {known:,} in the training text"
        return Message(f"{plural(len(self.found), 'item')}, not {request.count:,}: {why}")

    def _conditions(self) -> str:
        request = self._request
        size = plural(request.most, "character")
        keeps = f" and keeps to {' and '.join(request.asked)}" if request.asked else ""
        return f"of the model's symbols has at most {size}{keeps}"

    def _is_in_bounds(self, ids: Sequence[int]) -> bool:
        state = self._bounds.start()
        for token in ids:
            if not self._bounds.allowed(state, UNBOUNDED)[token]:
                return False
            state = self._bounds.next(state, token)
        return True

    def _after_seed(self, form: Form) -> State | None:
        state = form.start()
        for token in self._request.seed:
            if not form.allowed(state, UNBOUNDED)[token]:
                return None
            state = form.next(state, token)
        return state

    @staticmethod
    def _any(form: Form, state: State) -> bool:
        return bool(form.allowed(state, UNBOUNDED).any())
