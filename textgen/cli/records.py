"""What a command hands over beside what it shows: JSON on stdout, files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from textgen.cli.parameters import in_flags
from textgen.errors import ConfigError
from textgen.messages import Message
from textgen.table import finite
from textgen.terminal.text import is_control, visible


def json_text(record: Any) -> str:
    """`record` as JSON that stdout can take: as it reads, or escaped where it cannot be written.

    A file's name may hold bytes that are no text (lone surrogates here), and a stream's encoding
    may lack the letters of the corpus. JSON has no NaN and no infinity: they become null. What
    could steer a terminal is escaped, as JSON itself does it with the controls of ASCII.
    """
    record = _in_flags(record)
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError:
        record = finite(record)
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(record)
    return _harmless(text)


def _harmless(text: str) -> str:
    """The same JSON with what a terminal does not show escaped: DEL, C1, marks of direction."""
    if text.isprintable():
        return text
    # JSON has its own escapes: a code beyond 16 bits becomes two of them.
    return text.translate(
        {ord(char): json.dumps(char)[1:-1] for char in set(text) if is_control(char)}
    )


def print_notes(notes: Iterable[str]) -> None:
    """Notes on the text that was read, a line each, on stderr."""
    from textgen.terminal.text import note_line

    for note in notes:
        print(note_line(in_flags(note)), file=sys.stderr, flush=True)


def _in_flags(value: Any) -> Any:
    """The same with every `Message` in the words of the prompt."""
    if isinstance(value, dict):
        return {key: _in_flags(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        are_numbers = bool(value) and isinstance(value[0], (int, float))
        return value if are_numbers else [_in_flags(entry) for entry in value]
    return in_flags(value) if isinstance(value, Message) else value


def form_price(bits: Sequence[float], chars: int) -> str:
    """What a form cost, for a person."""
    each = f"{sum(bits) / max(chars, 1):.3f} bits/char"
    if len(bits) == 1:
        return f"form: {bits[0]:.1f} bits less likely than free writing, {each}"
    mean = sum(bits) / len(bits)
    return f"form: {mean:.1f} bits a text less likely than free writing on average, {each}"


def check_outputs(
    *paths: Path | None, picture: Path | None = None, csv: Path | None = None, json_output: bool
) -> None:
    """Refuse before the work what could not be handed over after it.

    Args:
        paths: Files that will be written, where they were asked for.
        picture: Another, whose name says its kind.
        csv: Another; `-` is stdout.
        json_output: Whether JSON goes to stdout.
    Raises:
        ConfigError: Two forms would go to stdout, or the picture is of no known kind.
        StorageError: A file cannot be written.
    """
    from textgen.files import check_writable

    to_stdout = csv is not None and str(csv) == "-"
    if json_output and to_stdout:
        raise ConfigError("--json and --csv - both go to standard output; give --csv a file")
    if picture is not None:
        from textgen.terminal.chart import picture_kind

        picture_kind(picture)
    for path in (picture, None if to_stdout else csv, *paths):
        if path is not None:
            check_writable(path)


def print_csv(text: str) -> None:
    """Print a table on stdout; on a terminal with everything escaped that could steer it."""
    if sys.stdout.isatty():
        text = visible(text, keep_newlines=True, encoding=sys.stdout.encoding or "utf-8")
    sys.stdout.write(text)


def say_written(path: Path) -> None:
    """Say on stderr where something was saved."""
    print(f"written: {visible(str(path))}", file=sys.stderr)


def print_json(record: Any) -> None:
    """Print one object on a line of its own, at once."""
    print(json_text(record), flush=True)
