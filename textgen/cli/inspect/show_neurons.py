"""`textgen inspect neurons`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import SavingOptions, SourcesArgument, deliver, read_for
from textgen.cli.parameters import ModelOptions, with_options
from textgen.terminal.text import visible
from textgen.view_options import NeuronOptions, ReadOptions

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from textgen.inspection.neuron_report import NeuronProfile, NeuronReport


@guarded
@with_options
def neurons_command(
    options: NeuronOptions,
    source: ReadOptions,
    model: ModelOptions,
    output: SavingOptions,
    paths: SourcesArgument = None,
) -> None:
    """List what each neuron does on a text: how much it varies, which feature it follows, and where
    it is highest.

    The features are built in: word-start, inside-quotes, vowel and so on. The feature that a neuron
    follows is chosen on one half of the text; r is their correlation on the other half. If r is
    below 0.3, the neuron follows nothing. A text of fewer than 300 tokens is too short for this.
    The rest of the network sees only tanh(c) of a cell state c, so r is the correlation with
    tanh(c).

    textgen inspect neurons

    textgen inspect neurons novel.txt --show forget-gate --sort saturation --top 10

    textgen inspect neurons page.txt --neuron 0:3
    """
    from textgen.inspection.neurons import resolve_neurons

    output.check()
    loaded = model.load(quiet=output.quiet)
    reading, chosen = resolve_neurons(options, loaded)
    text = read_for(loaded, paths, source, quiet=output.quiet)
    report = loaded.neurons(text, **vars(options))
    head = {"checkpoint": str(loaded.path), "text": text.name, "chars": text.chars}
    out = deliver(report, head, output)
    if out is None:
        return
    if not output.quiet:
        units = f"{loaded.config.num_layers} x {loaded.config.hidden_size} neurons"
        if reading.readout is not None:
            units = f"layer {reading.readout.layer}, made of its {reading.readout.source} state"
        shown = visible(reading.quantity)
        print(f"{visible(str(loaded.path))}: {shown} of {units}", file=sys.stderr)
    _draw(report, options.sort or "effect", out, in_depth=bool(chosen))


def _draw(report: NeuronReport, sort: str, out: Console, *, in_depth: bool) -> None:
    from rich.text import Text

    from textgen.terminal.excerpt import Excerpt
    from textgen.terminal.tables import NeuronTable

    if in_depth:
        for index, profile in enumerate(report.profiles):
            if index:
                out.print()
            for part in sheet(report, profile, out.encoding):
                out.print(part)
        return
    firsts = [profile.highest[0] if profile.highest else None for profile in report.profiles]
    places = [None if p is None else Excerpt(p.before, p.at, p.after) for p in firsts]
    out.print(NeuronTable(report.overview(), places))
    out.print()
    out.print(Text(_note(report, sort)))


def _note(report: NeuronReport, sort: str) -> str:
    shown = len(report.profiles)
    parts = [
        f"{shown} of {report.total} neurons, ordered by {sort}"
        + (f" (the spread of {report.seen})" if sort == "effect" else "")
        + ("; --top 0 shows all." if shown < report.total else "."),
        f"A text below {report.enough} tokens is too short to say what a neuron follows."
        if report.too_short
        else f"r is the correlation of {report.seen} with the feature, on {report.scored_on:,} "
        "tokens that were not used to choose the feature; below "
        f"{report.threshold:g} the neuron follows nothing.",
        f"In detail: --neuron {report.profiles[0].stats.place}",
    ]
    return " ".join(parts)


def sheet(
    report: NeuronReport, profile: NeuronProfile, encoding: str = "utf-8"
) -> Iterator[RenderableType]:
    """One neuron in detail: figures, scores, histogram, and where it is highest and lowest."""
    import numpy as np
    from rich.text import Text

    from textgen.heat import HeatRow, scale_limits
    from textgen.terminal.strip import HeatStrip, marked_strip
    from textgen.terminal.tables import Histogram, score_table

    stats, none = profile.stats, np.empty(0, np.float32)
    passages = [*profile.highest, *profile.lowest]
    values = [p.values[np.isfinite(p.values)] for p in passages if p.values is not None]
    low, high = scale_limits(np.concatenate([none, *values]), report.quantity)
    figures = {name: value for name, value in vars(stats).items() if name != "effect"}
    row = HeatRow(name=stats.name, values=none, low=low, high=high, **figures)
    yield HeatStrip((), row)
    for fact in report.facts(profile):
        yield Text(visible(fact, encoding=encoding))
    yield Text()
    yield score_table(*profile.ranked())
    yield Text()
    yield Text(f"values of {report.seen}", "bold")
    yield Histogram(profile.histogram, report.edges)
    for side, own in (("highest", profile.highest), ("lowest", profile.lowest)):
        for number, passage in enumerate(own, start=1):
            yield Text()
            title = f"{side} {number}: {passage.value:.3g} after token {passage.place:,}"
            yield Text(title, "bold")
            known = passage.values
            shown = np.full(len(passage.pieces), np.nan) if known is None else known
            yield marked_strip(passage.pieces, passage.mark, shown, row, encoding)
