"""`textgen sample` with a model of pairs: the targets of one source, or of many, one a line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textgen.cli.records import print_json

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.sampling import FittedSeed, Generation


def write_targets(
    model: Model,
    text: str,
    settings: dict[str, Any],
    *,
    count: int,
    exact: bool,
    json_output: bool,
    quiet: bool,
    hint: str = "",
) -> None:
    """Write the targets of the sources in `text`, one a line, to stdout.

    Args:
        model: A model of pairs.
        text: One source a line; blank lines are left out.
        settings: Of `SampleOptions`.
        count: Targets of each source, one after the other.
        exact: Compute each by itself.
        json_output: Print one object instead.
        quiet: Say nothing on stderr.
        hint: What the line on stderr that says what computes ends with.
    Raises:
        SamplingError: There is no source, or one has a TAB.
    """
    from textgen.terminal.console import make_console
    from textgen.terminal.text import visible

    # As files of pairs are cut: other separators of lines are characters of a source.
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    sources = [model.fit_seed(line) for line in lines or [""]]
    if not quiet:
        for notice in dict.fromkeys(source.notice for source in sources if source.notice):
            print(notice, file=sys.stderr)
        number = len(sources) * count
        print(model.networks.describe(number, exact=exact) + hint, file=sys.stderr, flush=True)
    written = model.generate_targets(sources, count=count, exact=exact, **settings)
    if json_output:
        print_json(_record(model, sources, written, settings, count, exact))
        return
    make_console(sys.stdout)  # a character that the stream lacks is escaped, never an error
    live = sys.stdout.isatty()
    for target in written:
        shown = visible(target.text, encoding=sys.stdout.encoding) if live else target.text
        sys.stdout.write(shown + "\n")
    cut = sum(target.finish_reason == "length" for target in written)
    if cut and not quiet:
        print(f"{cut} of {len(written)} targets did not end within --length", file=sys.stderr)


def _record(
    model: Model,
    sources: Sequence[FittedSeed],
    written: Sequence[Generation],
    settings: dict[str, Any],
    count: int,
    exact: bool,
) -> dict[str, Any]:
    return {
        "checkpoint": str(model.path),
        "settings": settings,
        "path": model.networks.record(len(written), exact=exact),
        "samples": [
            {
                "source": sources[number // count].text,
                "notice": sources[number // count].notice,
                "target": target.text,
                "finish_reason": target.finish_reason,
                "bits_per_char": None
                if target.bits_per_char != target.bits_per_char
                else target.bits_per_char,
            }
            for number, target in enumerate(written)
        ],
    }
