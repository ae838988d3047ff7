"""`textgen compress`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.parameters import ModelOptions, OutputOptions, with_options
from textgen.cli.records import print_json
from textgen.errors import ConfigError, StorageError, named
from textgen.options import ComputeOptions
from textgen.settings import setting, setting_like
from textgen.terminal.text import quote_path

#: What the name of a compressed file ends with.
ENDING = ".textgen"


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """The file that is written."""

    out: Path | None = setting(
        None,
        help="The file to write.",
        metavar="FILE",
        by_default=f"FILE{ENDING}",
    )
    force: bool = setting(False, help="Replace the file if it exists.")


@dataclass(frozen=True, kw_only=True)
class CompressOptions(TargetOptions):
    """How a file is compressed."""

    mix: bool = setting(
        False,
        help="Mix the model with counts of its training text, which go on to count FILE. "
        "The training text must be there, now and when the file is decompressed.",
    )
    adapt: bool = setting(
        False,
        help="Let the model learn from FILE while it reads it, as eval does with this option. "
        "The file of the model stays as it is.",
    )
    threads: int | None = setting_like(ComputeOptions, "threads")


@guarded
@with_options
def compress_command(
    used: ModelOptions,
    asked: CompressOptions,
    output: OutputOptions,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The file to compress.", show_default=False)
    ],
) -> None:
    """Compress a file with a model that predicts its text.

    The file becomes as small as textgen eval says of its text, and about 60 bytes larger. With
    --mix and --adapt it becomes smaller and takes longer. It may hold any bytes: what the model
    does not know is spelled out, and where nothing is gained the bytes are stored as they are. To
    decompress the file, the same model is needed, and a machine that computes the same numbers, as
    this one does. This command needs constriction: pip install constriction

    textgen compress novel.txt

    textgen compress novel.txt --checkpoint mine --out novel.small
    """
    source = Path(file)
    target = settle_target(source, Path(f"{file}{ENDING}"), asked)
    data = read_bytes(source)
    model = used.load(quiet=output.quiet)
    small = model.compress(data, mix=asked.mix, adapt=asked.adapt, threads=asked.threads)
    write_target(source, data, target, small, output)


def settle_target(source: Path, usual: Path, asked: TargetOptions) -> Path:
    """The file to write; it is known that it can be.

    Raises:
        ConfigError: It exists, and is not to be replaced; or it is the source.
        StorageError: It cannot be written.
    """
    from textgen.files import check_writable

    target = usual if asked.out is None else asked.out
    if os.path.exists(target) and os.path.exists(source) and os.path.samefile(target, source):
        raise ConfigError(f"{target} is the file itself; name another one: {named('out', 'FILE')}")
    refuse_replacing(target, force=asked.force)
    check_writable(target)
    return target


def refuse_replacing(target: Path, *, force: bool) -> None:
    """Make sure that no file is replaced unasked.

    Raises:
        ConfigError: There is one, and `force` was not given.
    """
    if os.path.lexists(target) and not force:
        raise ConfigError(
            f"{target} exists; replace it with {named('force')}, or write another file with "
            f"{named('out', 'FILE')}"
        )


def read_bytes(source: Path) -> bytes:
    """All bytes of a file.

    Raises:
        StorageError: It is missing or cannot be read.
    """
    from textgen.files import os_reason

    try:
        return source.read_bytes()
    except (OSError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise StorageError(f"cannot read {source}: {reason}") from error


def write_target(
    source: Path, data: bytes, target: Path, made: bytes, output: OutputOptions
) -> None:
    """Write what was made, and say how large it is."""
    from textgen.files import atomic_write_bytes
    from textgen.terminal.humanize import percent

    atomic_write_bytes(target, made, follow=True)
    if output.json_output:
        sizes = {"bytes_read": len(data), "bytes_written": len(made)}
        print_json({"read": str(source), "written": str(target), **sizes})
    elif not output.quiet:
        share = f" ({percent(len(made) / len(data))})" if data else ""
        print(
            f"{quote_path(target)}: {len(made):,} bytes from {len(data):,}{share}",
            file=sys.stderr,
        )
