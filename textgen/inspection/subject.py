"""What a view reads: a model and a text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.corpus import Corpus
from textgen.corpus.vocabulary import UNKNOWN_ID, Ids, Vocabulary
from textgen.errors import ConfigError, EmptyCorpusError, InspectionError, named
from textgen.messages import Message
from textgen.notebook import Part, Shown
from textgen.sampling.training_part import cached_text, text_paths
from textgen.terminal.humanize import plural
from textgen.view_options import ReadOptions

if TYPE_CHECKING:
    from textgen.checkpoint import SavedModel
    from textgen.inspection.dictionary import Dictionary
    from textgen.inspection.trace import Trace
    from textgen.model.numpy_network import NumpyNetwork
    from textgen.steering import Target

#: How many unknown characters a note names: the first that stand in the text.
_NAMED = 6


class Surveyed(Protocol):
    """A network whose neurons can be seen over a long text."""

    @property
    def saved(self) -> SavedModel:
        """Its shape, its symbols, its weights."""
        ...

    def survey(self, ids: NDArray[np.integer[Any]], quantities: Sequence[str]) -> Iterator[Trace]:
        """The values of all neurons over a long text, in chunks that stand in no order."""
        ...


class Subject(Surveyed, Protocol):
    """A model that a view reads, such as `textgen.Model`."""

    @property
    def name(self) -> str:
        """The name of its run or its file."""
        ...

    @property
    def network(self) -> NumpyNetwork:
        """The model as a step function that shows every state and gate."""
        ...

    @property
    def dictionary(self) -> Dictionary:
        """The latents that were learned of it; `ConfigError` where none were."""
        ...

    @property
    def saved_names(self) -> list[str]:
        """The names of the neurons and directions that were saved beside it."""
        ...

    def target(self, name: str) -> Target:
        """What was saved under a name."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LongText(Shown):
    """A text in the tokens of a model.

    Args:
        ids: Its tokens, `(N,)`, at least one; mapped from the disk where they come from a corpus.
        name: What it is, for people: a path, "the training text", "text".
        chars: Characters in `ids`.
        note: How much of the whole text is read; "" for all of it.
        notes: What else a person should know of how the files were read.
        unknown: What the model does not know of it; "" for nothing.
    """

    ids: Ids
    name: str
    chars: int
    note: str = ""
    notes: tuple[str, ...] = ()
    unknown: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def headline(self) -> str:
        """Which text, and how long it is."""
        length = f"{plural(self.chars, 'character')}, {plural(len(self), 'token')}"
        return f"{self.name}: {length}{f'; {self.note}' if self.note else ''}"

    def parts(self) -> Iterable[Part]:
        """What a person should know of it."""
        return [note for note in (*self.notes, self.unknown) if note]


def open_text(
    saved: SavedModel, paths: Sequence[str] = (), options: ReadOptions | None = None
) -> LongText:
    """A text for a model to read, encoded as its own texts were.

    Args:
        paths: Files and folders; none: the text that the model was trained on, from the cache.
        options: The text itself instead, how much of it is read, and how files are.
    Raises:
        ConfigError: Both a path and a text were given, or the training text is no longer in the
            cache.
        CorpusError: There is no text in it.
        StorageError: A file is missing or unreadable.
    """
    reading = asdict(options or ReadOptions())
    text, chars = reading.pop("text"), reading.pop("chars")
    if text is not None and paths:
        raise ConfigError(f"both {named('paths')} and {named('text')} were given; give one of them")
    if text is not None:
        return _given_text(saved, text, chars)
    if paths:
        # Documents are separated as they were in training: the state is zeroed between them.
        corpus = Corpus.open(
            list(paths),
            saved.corpus_options(**reading),
            vocabulary=saved.vocabulary,
            normalization=saved.normalization,
            label_optional=True,
        )
    else:
        corpus = _training_text(saved)
    stop = corpus.token_at_char(chars) if chars else len(corpus)
    # The first document may begin with an end mark, or a character with many bytes.
    stop = max(stop, min(len(corpus), 1))
    name = "the training text" if not paths else ", ".join(file.path for file in corpus.files[:3])
    if paths and len(corpus.files) > 3:
        name += f" and {len(corpus.files) - 3} more"
    read = min(chars, corpus.chars) if chars else corpus.chars
    ids = corpus.tokens[:stop]
    return LongText(
        ids=ids,
        name=name,
        chars=read,
        note=_how_much(read, corpus.chars),
        notes=corpus.notes if paths else (),
        # The model knows all of its training text that it should know.
        unknown=unknown_note(saved.vocabulary, ids) if paths else "",
    )


def _given_text(saved: SavedModel, text: str, chars: int) -> LongText:
    whole = saved.normalization.apply(text)
    part = whole[:chars] if chars else whole
    ids = saved.vocabulary.encode(part)
    if not len(ids):
        raise EmptyCorpusError("the text is empty; give at least one character")
    return LongText(
        ids=ids,
        name=Message(named("text")),
        chars=len(part),
        note=_how_much(len(part), len(whole)),
        unknown=unknown_note(saved.vocabulary, ids, part),
    )


def _training_text(saved: SavedModel) -> Corpus:
    corpus = cached_text(saved)
    if corpus is None:
        # A model that comes with textgen knows the names of texts that were never here.
        there = [path for path in text_paths(saved) if os.path.exists(path)]
        raise ConfigError(
            "the text that the model was trained on is not in the cache; name a text to read, for "
            f"example {there[0] if there else 'corpus.txt'}"
        )
    return corpus


def _how_much(read: int, whole: int) -> str:
    return f"the first {read:,} of its {whole:,} characters" if read < whole else ""


def encoded(saved: SavedModel, text: str) -> tuple[str, Ids]:
    """A short text, normalised as the model's texts were, and its tokens.

    Raises:
        InspectionError: The text is empty.
    """
    whole = saved.normalization.apply(text)
    ids = saved.vocabulary.encode(whole)
    if not len(ids):
        raise InspectionError("the text is empty; give at least one character")
    return whole, ids


def unknown_note(vocabulary: Vocabulary, ids: Ids, text: str = "") -> str:
    """How many characters of a text the model does not know; "" where it knows all.

    It names them where `text`, normalised as the model's own was, is given.
    """
    count = int(np.count_nonzero(np.asarray(ids) == UNKNOWN_ID))
    if not count:
        return ""
    if not vocabulary.spelled:
        which = plural(count, "word is", "words are")
        return f"{which} unknown to the model, which reads each as the unknown word"
    known = vocabulary.symbol_index()
    lacking = list(dict.fromkeys(char for char in text if char not in known)) if text else []
    names = ", ".join(map(_shown, lacking[:_NAMED]))
    more = len(lacking) - _NAMED
    which = f": {names}{f' and {more} more' if more > 0 else ''}" if lacking else ""
    verb, it = ("character is", "it") if count == 1 else ("characters are", "each")
    return (
        f"{count:,} {verb} unknown to the model, which reads {it} as the unknown symbol{which} "
        f"(not in its vocabulary of {len(vocabulary)})"
    )


def _shown(char: str) -> str:
    """In quotes, or as a code point where it could not be seen."""
    return f"'{char}'" if char.isprintable() and not char.isspace() else f"U+{ord(char):04X}"
