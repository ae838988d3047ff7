"""The text of a run: encoded, split for validation, ready for windows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.corpus import Corpus, CorpusRecord
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.documents import DOCUMENTS_SYNTAX, documents_in_words
from textgen.corpus.normalization import Normalization
from textgen.corpus.pairs import SEPARATOR, PairIndex, find_pairs, index_pairs, separator_id
from textgen.corpus.spans import (
    DocumentLengths,
    Spans,
    document_lengths,
    find_documents,
    span_chars,
    span_hashes,
)
from textgen.corpus.split import (
    Split,
    drawn_documents,
    split_documents,
    split_pairs,
    strange_from,
    unseen_symbols,
)
from textgen.corpus.vocabulary import UNKNOWN_ID, Vocabulary
from textgen.corpus.windows import ALL, DocumentLabels, Portion, Tokens, Windows, count_of
from textgen.errors import ConfigError, EmptyCorpusError, RunFolderError, named
from textgen.evaluation.nll import escape_nats
from textgen.messages import Message
from textgen.options import TrainOptions, validation_share
from textgen.terminal.humanize import listed, plural, quoted, times
from textgen.training.plan import Plan
from textgen.training.run_record import RunRecord
from textgen.training.sizing import TextFacts

#: How much of a text's beginning is looked at to learn how its paragraphs are separated.
_LOOK_TOKENS = 200_000
#: `TrainingData.split` where the end of the text validates, as it did of all texts in runs whose
#: record names no way, those begun by version 0.1.
TAIL = "tail"
#: Fewer different documents than these are told of; more documents in all are not compared.
_FEW, _MOST_COUNTED = 10, 20_000
#: Labels of a model at most, for each has weights; so few rows may have a label each.
_MOST_LABELS, _FEW_LABELS = 1000, 10
#: Characters of a label that a message shows.
_SHOWN_LABEL = 30
#: Symbols that a note shows.
_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """A corpus split in two.

    Args:
        corpus: The corpus trained on, as it was opened.
        train: Token ids to train on, `(N,)`.
        val: Token ids to validate on.
        train_chars_per_token: Characters a token, to turn nats a token into bits a character.
        val_chars_per_token: The same of the validation text.
        primer: Ids read before a sample without seed, after the end mark.
        val_source: Where the validation text comes from, in words.
        keys: Cache entries of the corpus and, if it is another file, of the validation text.
        val_corpus: The validation text, if it is another file.
        separator: Of a corpus of pairs, what stands between source and target; None for a text.
            Characters a token are then those of the targets, a counted token.
        val_pairs: Where the pairs to validate on lie in `val`.
        lengths: Of the documents, where there are several.
        split: How they were split, for the run's record: `drawn`, `ends` or `whole` (see
            `textgen.corpus.split`); `tail` where the end of the text validates, or another file.
        train_chars: Characters to train on, sources included.
        labels: Those of the model, one that is trained further among them.
        train_labels, val_labels: Of the documents in `train` and `val`; None where the text is read
            without labels.
        notes: What a person should know about how it was split; usually nothing.
    """

    corpus: Corpus
    train: Tokens
    val: Tokens
    train_chars_per_token: float
    val_chars_per_token: float
    primer: tuple[int, ...]
    val_source: str
    keys: tuple[str, str | None]
    val_corpus: Corpus | None = None
    separator: int | None = None
    val_pairs: PairIndex | None = None
    lengths: DocumentLengths | None = None
    split: str = TAIL
    train_chars: int
    labels: tuple[str, ...] = ()
    train_labels: DocumentLabels | None = None
    val_labels: DocumentLabels | None = None
    notes: tuple[str, ...] = ()

    @property
    def train_chars_read(self) -> float:
        """Characters that a token of the training text has, whether it counts or not."""
        return self.train_chars / len(self.train)

    @property
    def escape(self) -> float:
        """What an unknown token of the validation text costs beside its probability, in nats."""
        return escape_nats(self.val_corpus or self.corpus)

    @property
    def unknown_share(self) -> float:
        """The share of unknown words in the text; 0 where every word can be written."""
        if self.corpus.vocabulary.spelled:
            return 0.0
        return self.corpus.unknown_tokens / len(self.corpus.tokens)

    @cached_property
    def train_spelling(self) -> float:
        """What the letters of unknown words cost, a token of the training text, in nats.

        It makes the training loss a figure of the same kind as the validation cost.
        """
        return self._spelling(self.train, escape_nats(self.corpus))

    @cached_property
    def val_spelling(self) -> float:
        """The same of the validation text."""
        return self._spelling(self.val, self.escape)

    def _spelling(self, tokens: Tokens, escape: float) -> float:
        if self.corpus.vocabulary.spelled:
            return 0.0
        return escape * (count_of(tokens, UNKNOWN_ID) / len(tokens))

    @property
    def facts(self) -> TextFacts:
        """What sizing a run needs to know."""
        return TextFacts(
            train_tokens=len(self.train),
            val_tokens=len(self.val),
            vocab_size=len(self.corpus.vocabulary),
            labels=self.labels,
        )

    def windows(self, plan: Plan, share: Portion = ALL) -> Windows:
        """The windows that a plan reads the training text in, or a share of the streams."""
        return plan.windows(self.train, self.separator, self.train_labels, share)


def open_data(
    paths: Sequence[str | Path],
    options: TrainOptions,
    *,
    parent: Vocabulary | None = None,
    labels: tuple[str, ...] = (),
    extend: bool = True,
    cache: Path | None = None,
    stdin: BinaryIO | None = None,
) -> TrainingData:
    """Read and encode the text of a new run.

    Args:
        paths: Files, folders, or `-`.
        options: How to read and split it.
        parent: Vocabulary of the model that is fine-tuned: its symbols keep their ids, new ones
            are added.
        labels: Those of that model, which keep their numbers; new ones are added.
        extend: Whether they are; without, the text is spelled in the parent's symbols alone.
        cache: The folder of encoded corpora; None is the user's.
        stdin: What `-` reads.
    """
    asked = corpus_options(options)
    if options.pairs and not extend and parent is not None and SEPARATOR not in parent.symbols:
        raise ConfigError(
            f"the model given by {named('from_')} has no vector of the TAB between source and "
            f"target, and a frozen embedding learns no new one; add "
            f"{named('freeze_embedding', False)}"
        )
    if parent is None or not extend:
        corpus = Corpus.open(paths, asked, vocabulary=parent, lists=True, cache=cache, stdin=stdin)
    else:
        if stdin is not None and any(str(path) == "-" for path in paths):
            raise ConfigError(
                f"{named('from_')} reads the text twice; give a file, not standard input"
            )
        first = Corpus.open(paths, asked, lists=True, cache=cache, stdin=stdin)
        vocabulary, _ = parent.extend(first.vocabulary)
        corpus = Corpus.open(
            paths, asked, vocabulary=vocabulary, lists=True, cache=cache, stdin=stdin
        )
    corpus.require_borders()
    val_corpus = None
    if validation_share(options.val) is None:
        val_corpus = _open_validation(options, corpus, cache)
    known = (*labels, *(name for name in corpus.labels if name not in labels))
    if options.corpus.label_from is not None:
        if len(known) < 2:
            raise ConfigError(_too_few_labels(corpus, options.corpus.label_from))
        _refuse_too_many_labels(corpus, known, options.corpus.label_from)
    return _with_labels(_split(corpus, paths, val_corpus, options, cache), options, known)


def corpus_options(options: TrainOptions) -> CorpusOptions:
    """How a run reads its text: of pairs, each line is a document."""
    return replace(options.corpus, documents="line") if options.pairs else options.corpus


def reopen_data(
    record: RunRecord,
    options: TrainOptions,
    vocabulary: Vocabulary,
    normalization: Normalization,
    *,
    labels: tuple[str, ...] = (),
    cache: Path | None = None,
) -> TrainingData:
    """Open the text of a run again, from the cache where it is still there.

    Args:
        record: The record of the run.
        options: The options of the run.
        vocabulary, normalization: Of the run, to encode with where the cache was emptied.
        labels: Of the run's model.
        cache: The folder of encoded corpora; None is that of the user.
    Raises:
        RunFolderError: The text is not the one that the run was started with.
    """
    paths, text, val = record["paths"], record["corpus"], options.val
    key, val_key = text.get("keys", ("", None))
    # Runs of older versions do not say what the hashes of their tokens were.
    sha256, val_sha256 = text.get("tokens_sha256", (None, None))
    corpus = Corpus.from_cache(key, cache, tokens_sha256=sha256)
    if corpus is None or not _is_of_run(corpus, vocabulary, text):
        if "-" in paths:
            raise RunFolderError(
                "this run read standard input and the encoded text is no longer in the cache; "
                f"start again with {named('force')}, reading the text from a file"
            )
        asked = replace(
            corpus_options(options),
            # Of a list they were not asked for.
            documents=text.get("options", {}).get("documents"),
            level=vocabulary.level,
            **normalization.to_dict(),
        )
        corpus = _read_again(paths, asked, vocabulary, text, cache)
    val_corpus = None
    if validation_share(val) is None:
        val_corpus = (
            Corpus.from_cache(val_key, cache, tokens_sha256=val_sha256) if val_key else None
        )
        if val_corpus is None or val_corpus.vocabulary != vocabulary:
            val_corpus = _open_validation(options, corpus, cache)
        if val_corpus.cache_key != val_key:
            raise RunFolderError(f"the validation text {val} has changed since the run was started")
    # Runs of older versions do not say: the end of the text validates.
    data = _split(corpus, paths, val_corpus, options, cache, way=text.get("split", TAIL))
    return _with_labels(data, options, labels)


def _is_of_run(corpus: Corpus, vocabulary: Vocabulary, text: CorpusRecord) -> bool:
    """Whether a text is the one that a run was started with, in the run's symbols."""
    return (
        corpus.sha256 == text["sha256"]
        and _has_labels_of_run(corpus, text)
        and corpus.vocabulary == vocabulary
        and len(corpus.tokens) == text["tokens"]
    )


def _has_labels_of_run(corpus: Corpus, text: CorpusRecord) -> bool:
    """Whether its documents have the labels of then; runs of older versions do not tell."""
    return text.get("labels_sha256") in (None, corpus.labels_sha256)


def _open_validation(options: TrainOptions, corpus: Corpus, cache: Path | None) -> Corpus:
    """The file that validates, in the symbols of the text that is trained on."""
    return Corpus.open(
        [options.val],
        replace(corpus_options(options), documents=corpus.options.documents, encoding=None),
        vocabulary=corpus.vocabulary,
        normalization=corpus.normalization,
        cache=cache,
    )


def _read_again(
    paths: Sequence[str],
    asked: CorpusOptions,
    vocabulary: Vocabulary,
    text: CorpusRecord,
    cache: Path | None,
) -> Corpus:
    """Encode the text of a run anew: the same tokens as before.

    Raises:
        RunFolderError: It has changed, or this version reads it in another way.
    """
    ways = [asked]
    encodings = {file.get("encoding") for file in text["files"]}
    if asked.encoding is None and len(encodings) == 1:
        ways.append(replace(asked, encoding=encodings.pop()))  # Found again, it may be another.
    for options in ways:
        # A fine-tuned model's text was encoded with a vocabulary that was there before.
        for known in (None, vocabulary):
            corpus = Corpus.open(paths, options, vocabulary=known, cache=cache)
            # Files are read by their names, so that another name may change the order as well.
            if list(corpus.labels) != text.get("labels", list(corpus.labels)):
                raise RunFolderError(_other_labels(corpus, text))
            if corpus.sha256 != text["sha256"]:
                raise RunFolderError(
                    f"{paths[0]} has changed since this run was started, so the run cannot "
                    "be continued exactly; put the old text back, or start a new run with another "
                    f"{named('out')}"
                )
            if not _has_labels_of_run(corpus, text):
                raise RunFolderError(_other_labels(corpus, text))
            if _is_of_run(corpus, vocabulary, text):
                return corpus
    raise RunFolderError(
        f"this version of textgen reads {paths[0]} in another way than the one that began the run, "
        f"so it cannot be continued exactly; start a new run with another {named('out')}"
    )


def _other_labels(corpus: Corpus, text: CorpusRecord) -> str:
    before, now = text.get("labels", []), list(corpus.labels)
    which = f"they were {quoted(before)} and are {quoted(now)}"
    if before == now:
        which = f"documents have others of {quoted(now)} than they had"
    return (
        f"the labels have changed since this run was started: {which}, so the run cannot be "
        "continued exactly; give folders, files or lines their old labels, or start a new run with "
        f"another {named('out')}"
    )


def _split(
    corpus: Corpus,
    paths: Sequence[str | Path],
    val_corpus: Corpus | None,
    options: TrainOptions,
    cache: Path | None,
    *,
    way: str | None = None,
) -> TrainingData:
    """A text, split as its documents allow.

    Args:
        way: `TrainingData.split` of a run that continues; None for a new one.
    """
    val, share = options.val, validation_share(options.val)
    if options.pairs:
        return _pairs(corpus, paths, val_corpus, val, share, cache)
    split = None if way == TAIL else split_documents(corpus, share, cache=cache)
    if split is not None:
        train, train_chars = split.train, split.train_side.chars
        held_out, val_chars = split.val, split.val_side.chars
        source = _in_words(corpus, split, share or 0.0)
    elif share is not None:
        position = int((1.0 - share) * corpus.chars)
        cut = corpus.token_at_char(position)
        train, held_out = corpus.tokens[:cut], corpus.tokens[cut:]
        train_chars, val_chars = position, corpus.chars - position
        source = f"the text from character {position:,} on"
    else:
        train, train_chars = corpus.tokens, corpus.chars
    if split is not None and not corpus.vocabulary.spelled:
        # Documents are measured decoded; their unknown words are as long as they are on average.
        longer = corpus.chars / max(corpus.decoded_chars, 1)
        train_chars, val_chars = round(train_chars * longer), round(val_chars * longer)
    if val_corpus is not None:
        held_out, val_chars = val_corpus.tokens, val_corpus.chars
        source = f"the file {val}"
    if len(train) < 3 or len(held_out) < 1:
        raise EmptyCorpusError(
            f"{plural(len(train), 'token')} to train on and {len(held_out):,} to validate on are "
            "too few; at least 3 and 1 are needed: give more text"
        )
    lengths = None
    if corpus.documents > 1:
        documents = find_documents(corpus.tokens)
        lengths = document_lengths(span_chars(corpus.tokens, documents, corpus.vocabulary))
    return TrainingData(
        corpus=corpus,
        train=train,
        val=held_out,
        train_chars_per_token=train_chars / len(train),
        val_chars_per_token=val_chars / len(held_out),
        primer=_primer(corpus),
        val_source=source,
        keys=(corpus.cache_key, val_corpus.cache_key if val_corpus is not None else None),
        val_corpus=val_corpus,
        lengths=lengths,
        split=TAIL if split is None else split.way,
        train_chars=train_chars,
        notes=tuple(_notes(corpus, val_corpus, train, held_out, split)),
    )


def _with_labels(
    data: TrainingData, options: TrainOptions, labels: tuple[str, ...]
) -> TrainingData:
    """The data of a model of these labels, with those of its documents."""
    corpus, val_corpus = data.corpus, data.val_corpus
    if corpus.label_D is None:
        return replace(data, labels=labels)
    drawn = None
    if data.split != TAIL:
        drawn = drawn_documents(corpus, validation_share(options.val))
    whole = find_documents(corpus.tokens)
    if drawn is None:
        train = _labels_at(corpus, labels, whole.starts - 1, whole)
        val = replace(train, starts_D=train.starts_D - len(data.train))
    else:
        # An end mark stands before the first document of `train`, and none before that of `val`.
        of_train, of_val = (
            _labels_at(corpus, labels, _places_in_order(side), side) for side in drawn[1]
        )
        train, val = of_train, replace(of_val, starts_D=of_val.starts_D - 1)
    val_labels: DocumentLabels | None = val
    notes = data.notes
    if val_corpus is not None:
        if set(val_corpus.labels) - set(labels):
            lacking = (
                f"the labels of {named('val', options.val)} are: {quoted(val_corpus.labels)}; the "
                f"model has: {quoted(labels)}. What has none of these is measured under no label"
            )
            notes = (*notes, Message(lacking))
        whole = find_documents(val_corpus.tokens)
        val_labels = _labels_at(val_corpus, labels, whole.starts - 1, whole)
    if not data.val.size or (val_labels is not None and not val_labels.labels_D.size):
        val_labels = None
    return replace(data, labels=labels, train_labels=train, val_labels=val_labels, notes=notes)


def _places_in_order(spans: Spans) -> NDArray[np.int64]:
    """Where the end marks before stretches lie that are written one after the other."""
    places: NDArray[np.int64] = np.cumsum(spans.stops - spans.starts + 1)
    return np.concatenate([np.zeros(1, np.int64), places[:-1]])


def _labels_at(
    corpus: Corpus, labels: tuple[str, ...], starts_D: NDArray[np.int64], spans: Spans
) -> DocumentLabels:
    """The labels of stretches of a corpus by their numbers in `labels`; 0 where that lacks one."""
    assert corpus.label_D is not None
    numbers = [0, *(labels.index(name) + 1 if name in labels else 0 for name in corpus.labels)]
    documents = find_documents(corpus.tokens)
    own_D = np.searchsorted(documents.starts, spans.starts, side="right") - 1
    return DocumentLabels(starts_D, np.array(numbers, np.int64)[corpus.label_D[own_D]])


def _too_few_labels(corpus: Corpus, way: str) -> str:
    found = f"only the label '{corpus.labels[0]}'" if corpus.labels else "no label"
    where = {
        "folder": "put the texts of each into a folder of its own, and name these folders",
        "file": "name a file for each",
        "column": "write the label of each text into the first column",
        "tag": "put a line with the label in brackets before each document",
    }
    return (
        f"{named('label_from', way)} found {found}, and a model of several voices needs two or "
        f"more: {where[way]}"
    )


def _refuse_too_many_labels(corpus: Corpus, known: tuple[str, ...], way: str) -> None:
    """Refuse labels that are none: texts in the place of labels, or a name for each text."""
    count, documents = len(corpus.labels), corpus.documents
    if way == "column" and count > max(documents / 2, _FEW_LABELS):
        raise ConfigError(
            f"{named('label_from', way)} found {count:,} labels of {documents:,} documents, such "
            f"as {quoted([name[:_SHOWN_LABEL] for name in corpus.labels], 2)}: is the first column "
            "the text? Put the label into the first column, and the text behind it"
        )
    if len(known) > _MOST_LABELS:
        raise ConfigError(
            f"{named('label_from', way)} found {count:,} labels, and a model has "
            f"{_MOST_LABELS:,} at most; give the same label to all texts of a voice"
        )


def _notes(
    corpus: Corpus, val_corpus: Corpus | None, train: Tokens, val: Tokens, split: Split | None
) -> Iterator[str]:
    """What a person should know about how a text was split."""
    mode = corpus.options.documents
    if mode is not None and corpus.documents <= len(corpus.files):
        found = "one document" if corpus.documents == 1 else "one document in each file"
        yield Message(
            f"{named('documents', mode)} found only {found} ({documents_in_words(mode)}); where "
            f"there are more, name another way to cut: {DOCUMENTS_SYNTAX}"
        )
    if _FEW < corpus.documents <= _MOST_COUNTED:
        documents = find_documents(corpus.tokens)
        different = len(np.unique(span_hashes(corpus.tokens, documents, corpus.vocabulary)))
        if different < _FEW:  # Nearly all are copies of a few, of which no draw is fair.
            yield (
                f"the {corpus.documents:,} documents are {different:,} different ones, repeated: "
                "too few to train on some and to measure on others, so the validation figures say "
                "little"
            )
    if val_corpus is not None:
        trained = {os.path.realpath(file.path) for file in corpus.files}
        both = [file.path for file in val_corpus.files if os.path.realpath(file.path) in trained]
        if both:
            yield Message(
                f"{listed(both, 1)} validates and is trained on too, so the figure says little "
                f"about other texts; name texts without it, or leave out {named('val')}"
            )
        return
    if split is None and (place := strange_from(corpus.tokens, len(train), corpus.vocabulary)):
        spans = Spans(np.array([0]), np.array([place]))
        chars = int(span_chars(corpus.tokens, spans, corpus.vocabulary)[0])
        yield Message(
            "the end of the text, which validates, is of another kind than the rest, from about "
            f"character {chars:,} on: perhaps a licence, a list or another language. The figure "
            "says little about the rest: cut that part off, or validate on another text: "
            + named("val", "FILE")
        )
    level = corpus.vocabulary.level
    symbols, count = ([], 0) if level == "word" else unseen_symbols(train, val, corpus.vocabulary)
    if symbols:  # Words are too many for that.
        what = "byte" if level == "byte" else "character"
        if level == "byte":
            symbols = [f"0x{ord(symbol):02x}" for symbol in symbols]
        shown = " ".join(symbols[:_SHOWN]) + (" ..." if len(symbols) > _SHOWN else "")
        which = plural(len(symbols), f"{what} is", f"{what}s are")
        yield (
            f"{which} only in the validation text, never in the training text ({times(count)}): "
            f"{shown}. This makes the validation result worse than on text without them"
        )


def _in_words(corpus: Corpus, split: Split, share: float) -> str:
    """What validates."""
    what = "files" if corpus.options.documents is None else "documents"
    validates, trained = split.val_side.documents, split.train_side.documents
    if split.way == "ends":
        which = "each" if validates == trained else f"{validates:,}"
        return f"the last {share:.0%} of {which} of the {trained:,} {what}"
    return (
        f"{validates:,} of {validates + trained:,} {what}, drawn by their content; duplicates "
        "stay on one side"
    )


def _pairs(
    corpus: Corpus,
    paths: Sequence[str | Path],
    val_corpus: Corpus | None,
    val: str,
    share: float | None,
    cache: Path | None,
) -> TrainingData:
    """Pairs, shuffled and split; see `textgen.corpus.split`."""
    index = find_pairs(corpus, paths)
    split = split_pairs(corpus, index, share, cache=cache)
    held_out, side = split.val, split.val_side
    source = (
        f"{plural(side.documents, 'pair')} drawn by their source; these sources are not trained on"
    )
    if val_corpus is not None:
        others = split_pairs(val_corpus, find_pairs(val_corpus, [val]), None, cache=cache)
        held_out, side = others.train[1:], others.train_side
        source = f"{plural(side.documents, 'pair')} of the file {val}"
    separator = separator_id(corpus.vocabulary)
    return TrainingData(
        corpus=corpus,
        train=split.train,
        val=held_out,
        train_chars_per_token=split.train_side.counted_chars / split.train_side.counted,
        val_chars_per_token=side.counted_chars / side.counted,
        primer=(),
        val_source=source,
        keys=(corpus.cache_key, val_corpus.cache_key if val_corpus is not None else None),
        val_corpus=val_corpus,
        separator=separator,
        val_pairs=index_pairs(held_out, separator),
        split=split.way,
        train_chars=split.train_side.chars,
    )


#: A model of so many documents has learned how one begins. After six novels a text without a seed
#: began in the middle of a word.
_MANY_DOCUMENTS = 20


def _primer(corpus: Corpus) -> tuple[int, ...]:
    """What stands before a beginning: a paragraph's or line's end, where there are few documents.

    Many documents need none: there the end mark itself was seen before beginnings often enough.
    """
    if corpus.documents >= _MANY_DOCUMENTS:
        return ()
    head = corpus.tokens[:_LOOK_TOKENS]
    text = corpus.vocabulary.decode(np.asarray(head))
    for separator in ("\n\n", "\n"):
        if separator in text.strip("\n"):
            return tuple(int(i) for i in corpus.vocabulary.encode(separator))
    return ()


def corpus_record(data: TrainingData) -> CorpusRecord:
    """What the checkpoint says of the text: plain data."""
    record = dict(data.corpus.summary())
    record["validation"] = data.val_source
    record["keys"] = list(data.keys)
    record["tokens_sha256"] = [
        None if text is None else text.tokens_sha256 for text in (data.corpus, data.val_corpus)
    ]
    if (val := data.val_corpus) is not None:
        record["validation_text"] = {
            "sha256": val.sha256,
            "options": asdict(val.options),
            "files": [{"path": file.path, "bytes": file.bytes} for file in val.files],
        }
    if data.corpus.labels_sha256 is not None:
        record["labels"] = list(data.corpus.labels)
        record["labels_sha256"] = data.corpus.labels_sha256
    record["split"] = data.split
    record["document_lengths"] = None if data.lengths is None else asdict(data.lengths)
    return cast(CorpusRecord, record)
