"""What the commands of `inspect` share: the text they read, and the files they write."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.records import print_json
from textgen.corpus.corpus_options import DEFAULT_ENDING
from textgen.errors import ConfigError
from textgen.progress import task
from textgen.settings import ADVANCED, TEXT
from textgen.terminal.text import quote, quote_path

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.corpus.corpus import Corpus
    from textgen.corpus.vocabulary import Ids
    from textgen.table import Report


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
    from textgen.inspection.view import unknown_note

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
    from textgen.inspection.view import unknown_note
    from textgen.terminal.text import visible

    whole = model.saved.normalization.apply(text)
    note = unknown_note(model.vocabulary, model.vocabulary.encode(whole), whole)
    if note:
        print(visible(note), file=sys.stderr, flush=True)


def _open_paths(model: Model, paths: Sequence[str], choosing: dict[str, Any]) -> Corpus:
    from textgen.corpus.corpus import Corpus
    from textgen.corpus.corpus_options import CorpusOptions

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


CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Write the figures as a table into a file; - is standard output.",
        show_default=False,
        rich_help_panel=ADVANCED,
    ),
]
NpzOption = Annotated[
    Path | None,
    typer.Option(
        "--npz",
        metavar="FILE",
        help="Write the figures as NumPy arrays into a file, for numpy.load.",
        show_default=False,
        rich_help_panel=ADVANCED,
    ),
]


def deliver(
    report: Report,
    head: Mapping[str, Any],
    *,
    json_output: bool = False,
    csv: Path | None = None,
    npz: Path | None = None,
    quiet: bool = False,
) -> bool:
    """Write the forms asked for; `check_outputs` has looked at them before the work.

    Args:
        report: The outcome of a view.
        head: What stands before it in the JSON: the checkpoint, the text.
        json_output: Print it as JSON on stdout.
        csv: Where to write it as a table; `-` is stdout.
        npz: Where to write its arrays.
        quiet: Say nothing of what was written.
    Returns:
        Whether any form was asked for, so that nothing is to be drawn.
    Raises:
        StorageError: A file cannot be written; what was there before is left as it was.
    """
    if csv is not None:
        with task("writing the figures"):
            text = report.table().to_csv()
        if str(csv) == "-":
            sys.stdout.write(text)
        else:
            _save(csv, text.encode("utf-8"), quiet=quiet)
    if npz is not None:
        _save(npz, npz_bytes(report), quiet=quiet)
    if json_output:
        print_json({**head, **report.to_json()})
    return json_output or csv is not None or npz is not None


@task("writing the figures")
def npz_bytes(report: Report) -> bytes:
    """The report's arrays as `numpy.savez_compressed` writes them."""
    import numpy as np

    out = io.BytesIO()
    arrays: dict[str, Any] = dict(report.to_arrays())
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def _save(path: Path, data: bytes, *, quiet: bool) -> None:
    from textgen.files import atomic_write_bytes

    atomic_write_bytes(path, data)
    if not quiet:
        print(f"written: {path}", file=sys.stderr)


_FILE_NAME = re.compile(r"\S+[/\\]\S*|\S+\.(txt|text|md|gz|csv|tsv|html?|srt|json|pdf|docx?|rtf)")


def what_is(word: str, commands: Iterable[str]) -> str:
    """The option that takes a word which was typed without one: `--text` or `--file`.

    Args:
        word: What was typed.
        commands: The commands below `textgen inspect`.
    Raises:
        ConfigError: It is a command with a slip in it, or a model, or a file that is not there.
    """
    as_text = f"to colour these letters type: textgen inspect --text {quote(word)}"
    if os.path.isfile(word) and not word.endswith(".safetensors"):
        return "--file"
    model = word if os.path.exists(word) else os.path.join("checkpoints", word)
    if word and os.path.exists(model):
        raise ConfigError(
            f"{word} is a model or a folder; what is in a model shows: textgen inspect checkpoint "
            f"{quote_path(word)}; {as_text}"
        )
    near = get_close_matches(word.lower(), list(commands), n=1, cutoff=0.75)
    if near:
        raise ConfigError(f"did you mean: textgen inspect {near[0]}; {as_text}")
    if _FILE_NAME.fullmatch(word):
        raise ConfigError(f"there is no file {quote(word)} here; {as_text}")
    return "--text"
