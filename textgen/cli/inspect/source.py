"""Where a view gets a long text from: files, `--text`, or what the model was trained on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.corpus.corpus import Corpus
    from textgen.corpus.vocabulary import Ids

#: `--chars` of the views that read a corpus: 10 to 30 seconds for 1 x 512 units on one core.
DEFAULT_CHARS = 1_000_000

SourcesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH]...",
        help="Files (.gz too), folders of .txt files, or - for stdin. "
        "Default: what the model was trained on, from the cache.",
        show_default=False,
    ),
]
CharsOption = Annotated[
    int,
    typer.Option(
        "--chars", metavar="N", help="Read so many characters from the start; 0 is all of them."
    ),
]


@dataclass(frozen=True)
class Tokens:
    """A long text in the symbols of a model.

    Args:
        ids: Its tokens, `(N,)`, at least one; mapped from the disk where they come from a corpus.
        decode: `decode(start, stop)`, the text of the tokens from `start` up to `stop`, in
            bounded memory.
        name: What it is, for people: a path, "the training text", "--text".
        chars: Characters in `ids`.
        note: What a person should know: how much of it is read, what is unknown; "" for nothing.
    """

    ids: Ids
    decode: Callable[[int, int], str]
    name: str
    chars: int
    note: str = ""

    def __len__(self) -> int:
        return len(self.ids)


def open_tokens(
    model: Model,
    paths: Sequence[str] | None = None,
    text: str | None = None,
    encoding: str | None = None,
    chars: int = 0,
    encoding_errors: str = "strict",
) -> Tokens:
    """The text that a view reads, encoded as the model's own were.

    Args:
        model: Whose symbols to use.
        paths: Files and folders; None or none: the text the model was trained on, from the cache.
        text: The text itself instead.
        encoding: Of the files; None detects it.
        chars: At most so many characters from the start; 0 is all.
        encoding_errors: `"replace"` reads what cannot be decoded as U+FFFD.
    Raises:
        ConfigError: Both a path and a text were given, `chars` is negative, or the training text
            is no longer in the cache.
        CorpusError: There is no text in it.
        StorageError: A file is missing or unreadable.
    """
    from textgen.errors import ConfigError, EmptyCorpusError

    if chars < 0:
        raise ConfigError(f"--chars is {chars}; it must be 0 (all) or more")
    if text is not None and paths:
        raise ConfigError("both a PATH and --text were given; give one of them")
    if text is not None:
        whole = model.saved.normalization.apply(text)
        part = whole[:chars] if chars else whole
        ids = model.vocabulary.encode(part)
        if not len(ids):
            raise EmptyCorpusError("the text is empty; give at least one character")

        def decode(start: int, stop: int) -> str:
            return model.vocabulary.decode(ids[start:stop], at_start=start == 0)

        return Tokens(ids, decode, "--text", len(part), _note(len(part), len(whole)))
    corpus = (
        _open_paths(model, paths, encoding, encoding_errors) if paths else _training_text(model)
    )
    stop = corpus.token_at_char(chars) if chars else len(corpus)
    # The first document may begin with an end mark, or a character with many bytes.
    stop = max(stop, min(len(corpus), 1))
    shown = "the training text" if not paths else ", ".join(file.path for file in corpus.files[:3])
    if paths and len(corpus.files) > 3:
        shown += f" and {len(corpus.files) - 3} more"
    read = min(chars, corpus.chars) if chars else corpus.chars
    return Tokens(
        corpus.tokens[:stop], corpus.decode, shown, read, _note(read, corpus.chars, corpus.notes)
    )


def say_what_is_read(tokens: Tokens) -> None:
    """One line on stderr: the text, and how much of it."""
    from textgen.terminal.text import visible

    read = tokens.note or f"all its {tokens.chars:,} characters"
    print(f"reading {visible(tokens.name)}: {read}", file=sys.stderr, flush=True)


def _open_paths(
    model: Model, paths: Sequence[str], encoding: str | None, encoding_errors: str
) -> Corpus:
    from textgen.corpus.corpus import Corpus, CorpusOptions

    normalization = model.saved.normalization
    # Documents are separated as they were in training: the state is zeroed between them.
    trained = model.info.get("corpus", {}).get("options", {})
    options = CorpusOptions(
        level=model.vocabulary.level,
        fold=normalization.fold,
        newlines=normalization.newlines,
        nfc=normalization.nfc,
        documents=trained.get("documents"),
        encoding=encoding,
        encoding_errors=encoding_errors,
    )
    return Corpus.open(
        list(paths), options, vocabulary=model.vocabulary, normalization=normalization
    )


def _training_text(model: Model) -> Corpus:
    from textgen.corpus.corpus import Corpus
    from textgen.errors import ConfigError

    trained = model.info.get("corpus", {})
    keys = trained.get("keys") or [None]
    corpus = Corpus.from_cache(keys[0]) if keys[0] else None
    # An entry of that name with other symbols would be read as another text.
    if corpus is None or corpus.vocabulary != model.vocabulary:
        names = [file["path"] for file in trained.get("files", [])[:1]] or ["corpus.txt"]
        raise ConfigError(
            "what the model was trained on is no longer in the cache; name a text to read, "
            f"for example {names[0]}"
        )
    return corpus


def _note(read: int, whole: int, notes: Sequence[str] = ()) -> str:
    parts = [f"the first {read:,} of its {whole:,} characters"] if read < whole else []
    return "; ".join([*parts, *notes])
