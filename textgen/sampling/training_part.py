"""What of its text a model was trained on, and what it was only measured on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from textgen.checkpoint import ModelHeader
from textgen.corpus.corpus import Corpus, CorpusRecord
from textgen.corpus.split import split_documents
from textgen.corpus.windows import Tokens
from textgen.errors import ConfigError, StorageError, TextgenError
from textgen.options import TrainOptions, validation_share
from textgen.runtime import ChoiceRecord
from textgen.settings import settings_of


@dataclass(frozen=True)
class TrainingPart:
    """The tokens of a run.

    Args:
        train: Those that the network learned from, `(N,)`.
        val: Those that it was measured on; none where that text is not known any more.
    """

    train: Tokens
    val: Tokens


def training_part(model: ModelHeader) -> TrainingPart:
    """The tokens that a model was trained on, and those that validated.

    They are taken from the cache, or from the files, if these have the same content as then.

    Args:
        model: A model of text.
    Raises:
        ConfigError: It is a model of pairs, or the text is another one now.
        StorageError: The text is not there, or cannot be read.
    """
    if model.reads_pairs:
        raise ConfigError(
            "what is needed is the text of a model of text, and this one was trained on pairs"
        )
    record = model.corpus
    corpus = _corpus(model, record)
    asked = _asked_val(model.told.get("command", ""))
    share = validation_share(asked)
    if share is None:
        val = cached_text(model, 1)
        return TrainingPart(corpus.tokens, corpus.tokens[:0] if val is None else val.tokens)
    held_out = _held_out(model.told.get("choices", []))
    if record is None or record.get("split", "tail") == "tail":
        cut = len(corpus.tokens) - held_out
        part = TrainingPart(corpus.tokens[:cut], corpus.tokens[cut:])
    else:
        split = split_documents(corpus, share)
        if split is None:
            raise _unclear()
        part = TrainingPart(split.train, split.val)
    if len(part.val) != held_out or not len(part.train):
        raise _unclear()
    return part


def cached_text(model: ModelHeader, number: int = 0) -> Corpus | None:
    """A text of a model as the cache has it; None where it is not there any more.

    Args:
        model: The model.
        number: 0: the training text; 1: the text of its own that validated.
    """
    record = model.corpus
    key = None if record is None else record.get("keys", (None, None))[number]
    corpus = None if key is None else Corpus.from_cache(key)
    # An entry of that name with another vocabulary would be read as another text.
    return None if corpus is None or corpus.vocabulary != model.vocabulary else corpus


def text_paths(model: ModelHeader) -> list[str]:
    """The files that a model was trained on; `-` is the standard input."""
    return [] if model.corpus is None else [file["path"] for file in model.corpus["files"]]


def _corpus(model: ModelHeader, record: CorpusRecord | None) -> Corpus:
    """The whole text, validation text included."""
    corpus = cached_text(model)
    if corpus is None:
        paths = text_paths(model)
        corpus = _read_again(model, paths)
        if record is None or corpus.sha256 != record["sha256"]:
            raise ConfigError(
                f"{paths[0]} has changed since the model was trained on it, and what is needed is "
                "its training text; put the old text back"
            )
        if len(corpus.tokens) != record["tokens"]:
            raise ConfigError(
                f"this version of textgen reads {paths[0]} in another way than the one that "
                "trained the model, and what is needed is its training text; train the model again"
            )
    return corpus


def _read_again(model: ModelHeader, paths: Sequence[str]) -> Corpus:
    """The text from its files.

    Raises:
        ConfigError: They are not known, or are no text of the model.
        StorageError: They are not there, or cannot be read.
    """
    missing = "the training text is no longer in the cache, and cannot be read again: "
    if not paths or "-" in paths:
        raise ConfigError(f"{missing}it was no file; train on a file")
    try:
        return Corpus.open(
            paths,
            model.corpus_options(),
            vocabulary=model.vocabulary,
            normalization=model.normalization,
        )
    except StorageError as error:
        raise StorageError(f"{missing}{error.marked}") from error
    except TextgenError as error:
        raise ConfigError(f"{missing}{error.marked}") from error


def _asked_val(command: str) -> str:
    """What `val` was in the command that repeats the run."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    (flag,) = (item.flag for item in settings_of(TrainOptions) if item.name == "val")
    return words[words.index(flag) + 1] if flag in words[:-1] else TrainOptions().val


def _held_out(choices: Sequence[ChoiceRecord]) -> int:
    """How many tokens validated.

    Raises:
        ConfigError: The model does not tell.
    """
    for choice in choices:
        if choice["name"] == "validation":
            value = choice["value"]
            if type(value) is int and value > 0:
                return value
    raise _unclear()


def _unclear() -> ConfigError:
    return ConfigError(
        "the model's file does not tell which part of its text it was trained on, so that part "
        "cannot be read; train the model again with this version"
    )
