"""What of some texts is copied from the text that their model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textgen.checkpoint import ModelHeader
from textgen.corpus.corpus import Corpus
from textgen.corpus.vocabulary import END_ID
from textgen.errors import ConfigError, named
from textgen.sampling.generate import Generation
from textgen.sampling.novelty import CopiedRun, count_documents, find_copies_in_each, least_run
from textgen.sampling.seed import FittedSeed
from textgen.terminal.text import visible

#: The most known documents that are listed for a person; the others are only counted.
_LISTED = 20


class NoveltyReport:
    """What of some texts stands in the training text.

    Args:
        model: What wrote the texts.
        corpus: The training text; see `training_text`.
        texts: What was written.
        seed: What the texts begin with.
        end: What an end mark inside a text is written as.
    """

    def __init__(
        self,
        model: ModelHeader,
        corpus: Corpus,
        texts: Sequence[Generation],
        seed: FittedSeed,
        end: str = "",
    ) -> None:
        self._vocabulary = model.vocabulary
        self._seed, self._texts, self._end = seed, texts, end
        min_run = least_run(corpus.tokens)
        #: The copied runs of each text.
        self.found = find_copies_in_each([t.ids for t in texts], corpus.tokens, min_run=min_run)
        #: Whether whole documents were looked for, too.
        self.is_of_documents = model.writes_documents
        parts = [self._split(text) if self.is_of_documents else [] for text in texts]
        ids = [model.vocabulary.encode(model.normalization.apply(p)) for row in parts for p in row]
        counts = iter(count_documents(ids, corpus.tokens) if ids else [])
        #: The documents of each text, and how often each stands in the training text.
        self.documents = [[(part, next(counts)) for part in row] for row in parts]

    @property
    def copied_share(self) -> float:
        """Share of all texts inside copied runs, 0 to 1."""
        length = sum(found.length for found in self.found)
        return sum(found.copied for found in self.found) / length if length else 0.0

    @property
    def longest(self) -> int:
        """Tokens of the longest copied run of all texts."""
        return max((found.longest for found in self.found), default=0)

    def text_to_json(self, place: int) -> dict[str, Any]:
        """One text's figures as plain data."""
        found = self.found[place]
        record: dict[str, Any] = {
            "copied_share": found.copied_share,
            "longest": found.longest,
            "min_run": found.min_run,
            "runs": [
                {
                    "start": run.start,
                    "length": run.length,
                    "source": run.source,
                    "text": self._quote(place, run),
                }
                for run in found.runs
            ],
        }
        if self.is_of_documents:
            counts = [count for _, count in self.documents[place]]
            record["in_training_text"] = any(counts)
            record["matching_documents"] = sum(counts)
            record["documents"] = [
                {"text": text, "in_training_text": count > 0, "matching_documents": count}
                for text, count in self.documents[place]
            ]
        return record

    def to_json(self) -> dict[str, Any]:
        """All texts' figures as plain data."""
        record: dict[str, Any] = {"copied_share": self.copied_share, "longest": self.longest}
        if self.is_of_documents:
            counts = [count for row in self.documents for _, count in row]
            record["documents"] = len(counts)
            record["in_training_text"] = sum(count > 0 for count in counts)
        return record

    def pieces(self, place: int) -> list[tuple[str, bool]]:
        """One text, without its seed, in pieces, and whether each is copied."""
        text = self._texts[place]
        copied = {
            token
            for run in self.found[place].runs
            for token in range(run.start, run.start + run.length)
        }
        pieces = self._vocabulary.pieces(text.ids, at_start=not self._seed.ids, end=self._end)
        left, shown = len(text.text), []  # A stop text stands among the tokens and is not shown.
        for token, piece in enumerate(pieces):
            shown.append((piece[:left], token in copied))
            left -= len(piece[:left])
        return shown

    def describe_text(self, place: int) -> list[str]:
        """One text's figures for a person, a line each."""
        found = self.found[place]
        return [
            f"copied: {found.copied_share:.1%} of the text in runs of at least {found.min_run} "
            f"tokens; the longest run has {found.longest}",
            *(f"  {run.length} tokens: {visible(self._quote(place, run))}" for run in found.runs),
        ]

    def describe(self) -> list[str]:
        """The figures of texts that are documents, for a person, a line each."""
        documents = [entry for row in self.documents for entry in row]
        known = {text: count for text, count in documents if count}
        number = sum(count > 0 for _, count in documents)
        what = "text stands" if len(documents) == 1 else "texts stand"
        lines = [
            f"known: {number} of {len(documents)} {what} in the training text as a whole document"
        ]
        for text, count in list(known.items())[:_LISTED]:
            shown = visible(text)
            shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
            lines.append(f"  {shown}" + (f" ({count} times)" if count > 1 else ""))
        if len(known) > _LISTED:
            lines.append(f"  and {len(known) - _LISTED} more")
        lines.append(
            f"copied: {self.copied_share:.1%} of what was written in runs of at least "
            f"{self.found[0].min_run} tokens; the longest run has {self.longest}"
        )
        return lines

    def _quote(self, place: int, run: CopiedRun) -> str:
        ids = self._texts[place].ids[run.start : run.start + run.length]
        return self._vocabulary.decode(ids, end=self._end)

    def _split(self, text: Generation) -> list[str]:
        """The documents that a text holds, the seed a part of the first."""
        parts: list[list[int]] = [[]]
        for token in text.ids:
            if token == END_ID:
                parts.append([])
            else:
                parts[-1].append(token)
        rest = self._seed.text + text.text
        documents = []
        for number, part in enumerate(parts[:-1]):
            whole = self._vocabulary.decode(part, at_start=bool(number or not self._seed.ids))
            if not number:
                whole = self._seed.text + whole
            documents.append(whole)
            rest = rest[len(whole) + len(self._end) :]
        return [part for part in (*documents, rest) if part]


def training_text(model: ModelHeader, path: str | None = None) -> Corpus:
    """The training text of a model, from the cache or from files.

    Args:
        model: The model.
        path: The file or folder of the text; None takes it from the cache.
    Raises:
        ConfigError: It is no longer in the cache.
        TextgenError: It cannot be read.
    """
    record = model.info.get("corpus")
    record = record if isinstance(record, dict) else {}
    if path is not None:
        trained = record.get("options")
        given = (
            {"ending": trained["ending"]}
            if isinstance(trained, dict) and "ending" in trained
            else {}
        )
        return Corpus.open(
            [path],
            # Of a folder it reads the files that were trained on; a file that is not text was none.
            model.corpus_options(skip_bad=True, **given),
            vocabulary=model.vocabulary,
            normalization=model.normalization,
        )
    keys = record.get("keys") or [None]
    corpus = Corpus.from_cache(keys[0]) if keys[0] else None
    if corpus is None:
        files = record.get("files")
        first = files[0] if isinstance(files, list) and len(files) == 1 else None
        path = first.get("path") if isinstance(first, dict) else None
        known = path if isinstance(path, str) and path != "-" else "PATH"
        raise ConfigError(
            f"the training text is no longer in the cache; give {named('novelty_corpus', known)}"
        )
    return corpus
