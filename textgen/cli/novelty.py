"""What `textgen sample --novelty` says: what of the texts stands in the training text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.vocabulary import END_ID
from textgen.errors import ConfigError
from textgen.sampling import count_documents, find_copies_in_each, least_run
from textgen.terminal.text import quote, visible

if TYPE_CHECKING:
    from rich.text import Text

    from textgen.api import Model
    from textgen.sampling import FittedSeed, Generation

#: Options that say which files of a folder are read, and how they are cut into documents.
_HOW_READ = ("documents", "ending")
#: Known documents that are listed for a person; the others are only counted.
_LISTED = 20


class NoveltyReport:
    """Compares texts with the training text.

    Args:
        model: What writes them.
        path: The training text; None takes it from the cache.
    Raises:
        ConfigError: It is no longer in the cache.
        TextgenError: It cannot be read.
    """

    def __init__(self, model: Model, path: str | None = None) -> None:
        self._model = model
        corpus = _training_text(model, path)
        self._tokens = corpus.tokens
        #: What a person should know of how `path` was read.
        self.notes = corpus.notes if path is not None else ()
        #: Whether whole documents are looked for, too.
        self.is_of_documents = model.saved.writes_documents

    def read(
        self, fitted: FittedSeed, texts: Sequence[Generation], settings: dict[str, Any]
    ) -> None:
        """Compare what was written; all else tells of it.

        Args:
            fitted: What the texts begin with.
            texts: What was written after it.
            settings: Of `SampleOptions`.
        """
        self._fitted, self._texts = fitted, texts
        # What a text's last end mark is written as is cut off where the text is.
        self._end = settings["separator"] if settings["keep_going"] else ""
        min_run = least_run(self._tokens)
        self._found = find_copies_in_each([t.ids for t in texts], self._tokens, min_run=min_run)
        self._documents: list[list[str]] = [[] for _ in texts]
        counts: list[int] = []
        if self.is_of_documents:
            self._documents = [self._split(text) for text in texts]
            every = [self._model.encode(part) for parts in self._documents for part in parts]
            counts = count_documents(every, self._tokens)
        left = iter(counts)
        self._counts = [[next(left) for _ in parts] for parts in self._documents]

    def of_text(self, place: int) -> dict[str, Any]:
        """One text's figures as plain data."""
        found, ids = self._found[place], self._texts[place].ids
        record: dict[str, Any] = {
            "copied_share": found.copied_share,
            "longest": found.longest,
            "min_run": found.min_run,
            "runs": [
                {
                    "start": run.start,
                    "length": run.length,
                    "source": run.source,
                    "text": self._quote(ids[run.start : run.start + run.length]),
                }
                for run in found.runs
            ],
        }
        if self.is_of_documents:
            counts = self._counts[place]
            record["in_training_text"] = any(counts)
            record["matching_documents"] = sum(counts)
            record["documents"] = [
                {"text": text, "in_training_text": count > 0, "matching_documents": count}
                for text, count in zip(self._documents[place], counts, strict=True)
            ]
        return record

    def of_all(self) -> dict[str, Any]:
        """All texts' figures as plain data."""
        record: dict[str, Any] = {
            "copied_share": self._copied_share(),
            "longest": max((found.longest for found in self._found), default=0),
        }
        if self.is_of_documents:
            counts = [count for row in self._counts for count in row]
            record["documents"] = len(counts)
            record["in_training_text"] = sum(count > 0 for count in counts)
        return record

    def drawn(self, place: int) -> Text:
        """One text with its copied parts marked."""
        from rich.text import Text

        text, seed = self._texts[place], self._fitted
        runs = self._found[place].runs
        copied = {token for run in runs for token in range(run.start, run.start + run.length)}
        pieces = self._model.vocabulary.pieces(text.ids, at_start=not seed.ids, end=self._end)
        drawn = Text(visible(seed.text, keep_newlines=True))
        left = len(text.text)  # A stop text stands among the tokens and is not shown.
        for token, piece in enumerate(pieces):
            part = piece[:left]
            left -= len(part)
            drawn.append(visible(part, keep_newlines=True), "reverse" if token in copied else "")
        return drawn

    def describe(self, place: int) -> list[str]:
        """One text's figures for a person, a line each."""
        found, ids = self._found[place], self._texts[place].ids
        lines = [
            f"copied: {found.copied_share:.1%} of the text in runs of at least {found.min_run} "
            f"tokens; the longest run has {found.longest}"
        ]
        for run in found.runs:
            quote = self._quote(ids[run.start : run.start + run.length])
            lines.append(f"  {run.length} tokens: {visible(quote)}")
        return lines

    def describe_all(self) -> list[str]:
        """The figures of texts that are documents, for a person, a line each."""
        documents = [part for parts in self._documents for part in parts]
        counts = [count for row in self._counts for count in row]
        known = {text: n for text, n in zip(documents, counts, strict=True) if n}
        number = sum(count > 0 for count in counts)
        what = "text stands" if len(documents) == 1 else "texts stand"
        lines = [
            f"known: {number} of {len(documents)} {what} in the training text as a whole document"
        ]
        lines += [
            f"  {_shortened(text)}" + (f" ({count} times)" if count > 1 else "")
            for text, count in list(known.items())[:_LISTED]
        ]
        if len(known) > _LISTED:
            lines.append(f"  and {len(known) - _LISTED} more")
        longest = max((found.longest for found in self._found), default=0)
        least = self._found[0].min_run
        lines.append(
            f"copied: {self._copied_share():.1%} of what was written in runs of at least {least} "
            f"tokens; the longest run has {longest}"
        )
        return lines

    def _copied_share(self) -> float:
        length = sum(found.length for found in self._found)
        return sum(found.copied for found in self._found) / length if length else 0.0

    def _quote(self, ids: Sequence[int]) -> str:
        return self._model.vocabulary.decode(ids, end=self._end)

    def _split(self, text: Generation) -> list[str]:
        """The documents that a text holds, the seed a part of the first."""
        parts: list[list[int]] = [[]]
        for token in text.ids:
            if token == END_ID:
                parts.append([])
            else:
                parts[-1].append(token)
        rest = self._fitted.text + text.text
        documents = []
        for number, part in enumerate(parts[:-1]):
            whole = self._model.vocabulary.decode(
                part, at_start=bool(number or not self._fitted.ids)
            )
            if not number:
                whole = self._fitted.text + whole
            documents.append(whole)
            rest = rest[len(whole) + len(self._end) :]
        return [part for part in (*documents, rest) if part]


def _training_text(model: Model, path: str | None) -> Corpus:
    """The training text, from the cache or from `path`."""
    record = model.info.get("corpus")
    record = record if isinstance(record, dict) else {}
    if path is not None:
        options = record.get("options")
        options = options if isinstance(options, dict) else {}
        normalization = model.saved.normalization
        reading = CorpusOptions(
            level=model.vocabulary.level,
            fold=normalization.fold,
            newlines=normalization.newlines,
            nfc=normalization.nfc,
            # Of a folder the files that were trained on; one that is no text was none of them.
            skip_bad=True,
            **{name: options[name] for name in _HOW_READ if name in options},
        )
        return Corpus.open(
            [path], reading, vocabulary=model.vocabulary, normalization=normalization
        )
    keys = record.get("keys") or [None]
    corpus = Corpus.from_cache(keys[0]) if keys[0] else None
    if corpus is None:
        raise ConfigError(
            f"the training text is no longer in the cache; add --novelty-corpus {_named(record)}"
        )
    return corpus


def _named(record: dict[str, Any]) -> str:
    """The training text as it was called in training."""
    files = record.get("files")
    first = files[0] if isinstance(files, list) and files else None
    path = first.get("path") if isinstance(first, dict) else None
    is_one = isinstance(path, str) and path != "-" and len(files or ()) == 1
    return quote(str(path)) if is_one else "PATH"


def _shortened(text: str) -> str:
    """A document on one line."""
    shown = visible(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
