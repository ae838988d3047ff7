"""`textgen inspect features`: a dictionary of latents."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import SavingOptions, SourcesArgument, deliver, read_for
from textgen.cli.parameters import ModelOptions, with_options
from textgen.settings import SAVED, setting
from textgen.terminal.text import quote, visible
from textgen.view_options import DictionaryOptions, ReadOptions

if TYPE_CHECKING:
    from rich.console import Console

    from textgen.inspection.dictionary_report import DictionaryReport


@dataclass(frozen=True, kw_only=True)
class LearnOptions:
    """Whether a dictionary is learned again."""

    force: bool = setting(
        False,
        help="Learn another dictionary in the place of the one that lies beside the model.",
        panel=SAVED,
    )


@guarded
@with_options
def features_command(
    options: DictionaryOptions,
    learning: LearnOptions,
    reading: ReadOptions,
    model: ModelOptions,
    output: SavingOptions,
    paths: SourcesArgument = None,
) -> None:
    """Learn a dictionary of latents, and show what each latent does.

    A latent is a direction across all neurons of a layer that acts at few places. The dictionary
    puts each state together from a few of its latents. It is learned once, which takes minutes,
    or an hour of one core for 4,096 latents of 1,024 neurons, and lies beside the model. Then
    latent:12 is named wherever a neuron is. The feature of a latent is chosen on one half of the
    text; r is their correlation on the other half.

    textgen inspect features corpus.txt --latents 512 --states 100000

    textgen inspect features

    textgen inspect features corpus.txt --controls --json

    textgen inspect neurons corpus.txt --neuron latent:12
    """
    output.check()
    loaded = model.load(quiet=output.quiet)
    text = read_for(loaded, paths, reading, quiet=output.quiet)
    report = loaded.features(text, force=learning.force, **vars(options))
    if report.learned and not output.quiet:
        from textgen.inspection.dictionary import dictionary_path

        where = visible(str(dictionary_path(loaded.path)))
        first = report.latents[0].name
        print(
            f"written: {where}; look at a latent: textgen inspect neurons --neuron {first}; steer "
            f"with it: textgen sample --checkpoint {quote(str(loaded.path))} --steer {first}=+2",
            file=sys.stderr,
        )
    head = {"checkpoint": str(loaded.path), "text": text.name, "chars": text.chars}
    out = deliver(report, head, output)
    if out is not None:
        _draw(report, out)


def _draw(report: DictionaryReport, out: Console) -> None:
    from rich.text import Text

    from textgen.terminal.excerpt import Excerpt
    from textgen.terminal.tables import NeuronTable, draw_table

    for fact in report.facts():
        out.print(Text(visible(fact)))
    out.print()
    firsts = [p.profile.highest[0] if p.profile.highest else None for p in report.latents]
    places = [None if p is None else Excerpt(p.before, p.at, p.after) for p in firsts]
    out.print(NeuronTable(report.overview(), places))
    if len(report.counts) > 1:
        out.print()
        out.print(draw_table(report.controls()))
