"""What the commands of `textgen export` have in common."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textgen.cli.parameters import OutputOptions
from textgen.cli.records import print_json
from textgen.settings import setting

if TYPE_CHECKING:
    from textgen.export import Exported


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How what exists is treated."""

    force: bool = setting(False, help="Replace the files if they exist.")


def tell(made: Exported, output: OutputOptions) -> None:
    """Say what was written, and how it was compared with the model."""
    if output.json_output:
        print_json(made.to_json())
    elif not output.quiet:
        from textgen.terminal.humanize import listed
        from textgen.terminal.text import quote_path

        sizes = listed([f"{name} ({size:,} bytes)" for name, size in made.files.items()], 9)
        print(
            f"{quote_path(made.path)}: {sizes}; {made.steps} steps agree with textgen, the logits "
            f"within {made.difference:.1g}",
            file=sys.stderr,
        )
        for notice in made.notices:
            print(notice, file=sys.stderr)
