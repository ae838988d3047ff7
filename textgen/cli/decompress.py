"""`textgen decompress`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.compress import (
    ENDING,
    TargetOptions,
    read_bytes,
    settle_target,
    write_target,
)
from textgen.cli.parameters import ModelOptions, OutputOptions, with_options
from textgen.errors import CompressionError, ConfigError, named
from textgen.settings import setting_like


@dataclass(frozen=True, kw_only=True)
class DecompressOptions(TargetOptions):
    """The file that is made again."""

    out: Path | None = setting_like(TargetOptions, "out", by_default=f"FILE without {ENDING}")


@guarded
@with_options
def decompress_command(
    used: ModelOptions,
    asked: DecompressOptions,
    output: OutputOptions,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The file that textgen compress wrote.", show_default=False
        ),
    ],
) -> None:
    """Make the file that was compressed again, byte by byte.

    It is refused where other bytes would come out: with another model, in another version of
    textgen, on a machine that computes other numbers, or if the file is damaged. Nothing is
    written then. The file says how it was compressed, so no options are needed.

    textgen decompress novel.txt.textgen --force

    textgen decompress novel.small --checkpoint mine --out same.txt
    """
    source = Path(file)
    if asked.out is None and not file.endswith(ENDING):
        raise ConfigError(
            f"{file} does not end with {ENDING}, so the name of the new file is not known; give "
            f"it: {named('out', 'FILE')}"
        )
    target = settle_target(source, Path(file.removesuffix(ENDING)), asked)
    data = read_bytes(source)
    model = used.load(quiet=output.quiet)
    try:
        made = model.decompress(data)
    except CompressionError as error:
        raise CompressionError(f"{file} cannot be decompressed: {error.marked}") from error
    write_target(source, data, target, made, output)
