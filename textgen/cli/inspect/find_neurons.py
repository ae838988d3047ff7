"""`textgen inspect find`: which neurons carry a property."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import SavingOptions, SourcesArgument, deliver, read_for
from textgen.cli.parameters import ModelOptions, Only, in_flags, with_options
from textgen.corpus.corpus_options import FileOptions
from textgen.settings import check, setting
from textgen.terminal.text import quote, visible
from textgen.view_options import DEFAULT_CHARS, FindOptions, PropertyOptions, ReadOptions

if TYPE_CHECKING:
    from rich.console import RenderableType

    from textgen.api import Model
    from textgen.inspection.subject import LongText
    from textgen.probing import FindReport

_SIGNS = {True: "✓", False: "✗", None: "·"}


@dataclass(frozen=True, kw_only=True)
class KeepOptions:
    """What is shown and kept of what was found.

    Raises:
        ConfigError: A value is out of range.
    """

    top: int = setting(5, help="Show the N best neurons.", at_least=1)
    save: str | None = setting(
        None,
        help="Save the best neuron under this name next to the model, for sample --steer.",
        metavar="NAME",
    )

    def __post_init__(self) -> None:
        check(self)


@guarded
@with_options
def find_command(
    asked: PropertyOptions,
    options: Annotated[
        FindOptions,
        Only(
            *("protocol", "quantity", "held_out", "texts_limit", "chars", "positions"),
            *("direction", "neuron", "rng", "threads"),
        ),
    ],
    keep: KeepOptions,
    files: FileOptions,
    model: ModelOptions,
    output: SavingOptions,
    paths: SourcesArgument = None,
) -> None:
    """Find neurons that carry a property of the text, and test this with controls.

    Neurons are chosen on one part of the examples and measured on the rest. A neuron is shown if
    it is significant after a correction for the number of all neurons. The controls are made for
    the neuron that is best on the first part, or for the one that --neuron names. With --show
    latent all this is done with the latents of the dictionary that inspect features has learned.
    This command needs scikit-learn: pip install scikit-learn.

    textgen inspect find --labels reviews.tsv --save sentiment

    textgen inspect find --labels reviews.tsv --state final --save sentiment --direction difference

    textgen inspect find corpus.txt --feature vowel

    textgen inspect find corpus.txt --regex "the "

    textgen inspect find --labels other_reviews.tsv --neuron sentiment

    textgen inspect find --labels reviews.tsv --show latent --save sentiment
    """
    from textgen.errors import ConfigError, StorageError
    from textgen.files import make_folder
    from textgen.inspection.reading import latent_number
    from textgen.model.edit import split_neuron
    from textgen.probing import find, open_task
    from textgen.probing.probe import require_sklearn
    from textgen.steering.target import check_name, targets_folder

    output.check()
    require_sklearn()
    if keep.save is not None:
        check_name(keep.save)
    elif options.direction is not None:
        raise ConfigError("--direction says what to keep; give it a name: --save sentiment")
    if keep.save is not None and options.neuron is not None:
        if options.direction is not None:
            raise ConfigError("--neuron and --direction name two things to save; give one of them")
        if split_neuron(options.neuron) is None and latent_number(options.neuron) is None:
            raise ConfigError(
                f"--save keeps a neuron under a name, and '{options.neuron}' has one; leave it out"
            )
    if paths and asked.by_text:
        raise ConfigError(
            f"{paths[0]} would not be read: a PATH is for --regex and --feature; labelled texts "
            "are given by --labels, or by --positive and --negative"
        )
    loaded = model.load(quiet=output.quiet)
    if keep.save is not None:
        # What cannot be kept is refused before all the reading and not after it.
        make_folder(targets_folder(loaded.path), within=loaded.path.parent)

    def read() -> LongText:
        chars = DEFAULT_CHARS if options.chars is None else options.chars
        return read_for(loaded, paths, ReadOptions(chars=chars, **vars(files)), quiet=output.quiet)

    task = open_task(asked, read, encoding=files.encoding, encoding_errors=files.encoding_errors)
    report = find(
        loaded.saved, task, options, targets=loaded.target, dictionary=lambda: loaded.dictionary
    )
    head: dict[str, object] = {"checkpoint": str(loaded.path)}
    failure: StorageError | None = None
    if keep.save is not None:
        try:
            head["saved"] = _save(loaded, report, keep.save, output.quiet)
        except StorageError as error:
            # The report is given all the same: it took long.
            head["saved"], failure = None, error
    out = deliver(report, head, output)
    if out is not None:
        out.print(drawn(report, str(loaded.path), keep.top, out.width))
    if failure is not None:
        raise failure


def _save(model: Model, report: FindReport, name: str, quiet: bool) -> str | None:
    """Keep what was found; None where nothing was."""
    from textgen.probing import direction_target, neuron_target
    from textgen.steering import Intervention, save_target

    kept = report.kept
    if report.direction is None and kept is None:
        print(
            f"nothing saved: no {report.kind} was found; a direction may work: --save {name} "
            "--direction difference",
            file=sys.stderr,
        )
        return None
    make = neuron_target if report.direction is None else direction_target
    target = make(report, name, model=model.digest)
    path = save_target(model.path, target)
    if not quiet:
        which = "a direction"
        if report.direction is not None:
            share = report.direction.score.accuracy
            which += f", whose accuracy on the held-out part is {share:.2f}"
        elif kept is not None:
            which = kept.name if report.latent is not None else f"neuron {kept.name}"
            if not kept.chosen and report.asked is None:
                which += f"; {report.chosen.name}, best on training, was not confirmed"
        model_name = quote(str(model.path))
        print(
            f"written: {visible(str(path))} ({which}); steer with it: textgen sample "
            f"--checkpoint {model_name} --steer {name}=+2",
            file=sys.stderr,
        )
        if Intervention(target=target, dose=2.0).is_unfelt:
            print(
                "its values lie where tanh(c), which the rest of the network reads, is nearly "
                "constant: steering it will have little effect; search the output: --show hidden",
                file=sys.stderr,
            )
    return str(path)


def drawn(report: FindReport, model: str, top: int, width: int) -> RenderableType:
    """What was asked, what came out, and the controls, in this order."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from textgen.terminal.tables import NARROW, draw_table, stacked_table

    def text(line: str) -> Text:
        return Text(visible(in_flags(line), keep_newlines=True))

    question, *more = report.question()
    left_out = len(report.neurons) - top
    widest = max((len(control.name) for control in report.controls), default=0)
    controls: list[RenderableType] = []
    for control in report.controls:
        name = control.name.replace("_", " ").ljust(widest)
        controls.append(text(f"{_SIGNS[control.holds]} {name}  {control.shown}"))
        controls.append(Padding(text(control.meaning), (0, 0, 0, 2)))
    return Group(
        *map(text, (f"{model}: {question}", *more)),
        Text(),
        draw_table(report.best(top)) if width > NARROW else stacked_table(report.best(top), width),
        *([text(f"and {left_out:,} more; --json has all")] if left_out > 0 else []),
        Text(),
        text(report.verdict),
        Text(),
        text(f"controls (accuracy) of the claim that {report.subject.called} carries it:"),
        *controls,
    )
