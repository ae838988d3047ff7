"""Where a view gets a long text from: files, `--text`, or what the model was trained on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.help_page import TEXT
from textgen.corpus.source import DEFAULT_ENDING

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
        help="The text to read: files (.gz too), folders of .txt files, or - for stdin. "
        "Default: what the model was trained on.",
        show_default=False,
    ),
]
TextOption = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="Read this text instead of a file.",
        show_default=False,
        rich_help_panel=TEXT,
    ),
]
CharsOption = Annotated[
    int,
    typer.Option(
        "--chars",
        metavar="N",
        help="Read only the first N characters; 0 reads all.",
        rich_help_panel=TEXT,
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
        note: How much of it is read; "" for all of it.
        notes: What else a person should know of how the files were read.
        unknown: What the model does not know of it; "" for nothing.
    """

    ids: Ids
    decode: Callable[[int, int], str]
    name: str
    chars: int
    note: str = ""
    notes: tuple[str, ...] = ()
    unknown: str = ""

    def __len__(self) -> int:
        return len(self.ids)


def open_tokens(
    model: Model,
    paths: Sequence[str] | None = None,
    text: str | None = None,
    chars: int = 0,
    *,
    encoding: str | None = None,
    encoding_errors: str = "strict",
    ending: str = DEFAULT_ENDING,
    skip_bad: bool = False,
) -> Tokens:
    """The text that a view reads, encoded as the model's own were.

    Args:
        model: Whose symbols to use.
        paths: Files and folders; None or none: the text the model was trained on, from the cache.
        text: The text itself instead.
        chars: At most so many characters from the start; 0 is all.
        encoding: Of the files; None detects it.
        encoding_errors: `"replace"` reads what cannot be decoded as U+FFFD.
        ending: Of the files of a folder that are read.
        skip_bad: Whether files that cannot be read as text are left out.
    Raises:
        ConfigError: Both a path and a text were given, `chars` is negative, or the training text
            is no longer in the cache.
        CorpusError: There is no text in it.
        StorageError: A file is missing or unreadable.
    """
    from textgen.errors import ConfigError, EmptyCorpusError
    from textgen.inspection.unknown import unknown_note

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

        return Tokens(
            ids,
            decode,
            "--text",
            len(part),
            note=_note(len(part), len(whole)),
            unknown=unknown_note(model.vocabulary, ids, part),
        )
    if paths:
        choosing = {
            "encoding": encoding,
            "encoding_errors": encoding_errors,
            "ending": ending,
            "skip_bad": skip_bad,
        }
        corpus = _open_paths(model, paths, choosing)
    else:
        corpus = _training_text(model)
    stop = corpus.token_at_char(chars) if chars else len(corpus)
    # The first document may begin with an end mark, or a character with many bytes.
    stop = max(stop, min(len(corpus), 1))
    shown = "the training text" if not paths else ", ".join(file.path for file in corpus.files[:3])
    if paths and len(corpus.files) > 3:
        shown += f" and {len(corpus.files) - 3} more"
    read = min(chars, corpus.chars) if chars else corpus.chars
    ids = corpus.tokens[:stop]
    return Tokens(
        ids,
        corpus.decode,
        shown,
        read,
        note=_note(read, corpus.chars),
        notes=corpus.notes if paths else (),
        # Of the training text the model knows what it was to know.
        unknown=unknown_note(model.vocabulary, ids) if paths else "",
    )


def say_what_is_read(tokens: Tokens) -> None:
    """One line on stderr: the text, and how much of it."""
    from textgen.cli.records import print_notes
    from textgen.terminal.text import visible

    print_notes(tokens.notes)
    read = tokens.note or f"all its {tokens.chars:,} characters"
    print(f"reading {visible(tokens.name)}: {read}", file=sys.stderr, flush=True)
    if tokens.unknown:
        print(visible(tokens.unknown), file=sys.stderr, flush=True)


def say_what_is_unknown(model: Model, text: str) -> None:
    """One line on stderr where the model does not know a character of `text`."""
    from textgen.inspection.unknown import unknown_note
    from textgen.terminal.text import visible

    whole = model.saved.normalization.apply(text)
    note = unknown_note(model.vocabulary, model.vocabulary.encode(whole), whole)
    if note:
        print(visible(note), file=sys.stderr, flush=True)


def _open_paths(model: Model, paths: Sequence[str], choosing: dict[str, Any]) -> Corpus:
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
        **choosing,
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


def _note(read: int, whole: int) -> str:
    return f"the first {read:,} of its {whole:,} characters" if read < whole else ""
