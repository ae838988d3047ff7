"""`textgen inspect find`: which neurons carry a property."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.finding import finding_of
from textgen.cli.inspect.output import CsvOption, NpzOption, deliver
from textgen.cli.inspect.source import (
    DEFAULT_CHARS,
    SourcesArgument,
    open_tokens,
    say_what_is_read,
)
from textgen.cli.options import (
    CheckpointOption,
    ColorOption,
    EncodingOption,
    JsonOption,
    QuietOption,
    RngOption,
    ThreadsOption,
)
from textgen.cli.records import check_outputs
from textgen.terminal.color import ColorMode

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.probing import FindReport, LabelledTexts, PositionTask


@guarded
def find_command(
    paths: SourcesArgument = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Texts with two labels: a row each of label and text, separated by a tab, or by "
            "a comma in a .csv file (.gz too).",
            show_default=False,
        ),
    ] = None,
    positive_label: Annotated[
        str | None,
        typer.Option(
            "--positive-label",
            metavar="LABEL",
            help="The label to look for. Default: of the two the one that sorts last.",
            show_default=False,
        ),
    ] = None,
    positive: Annotated[
        Path | None,
        typer.Option("--positive", metavar="FILE", help="Texts of one kind.", show_default=False),
    ] = None,
    negative: Annotated[
        Path | None,
        typer.Option("--negative", metavar="FILE", help="Texts of the other.", show_default=False),
    ] = None,
    texts: Annotated[
        str,
        typer.Option(
            "--texts",
            metavar="blank|line",
            help="What separates the texts of --positive and --negative.",
        ),
    ] = "blank",
    regex: Annotated[
        str | None,
        typer.Option(
            "--regex",
            metavar="PATTERN",
            help="Characters of PATH inside a match of this regular expression.",
            show_default=False,
        ),
    ] = None,
    feature: Annotated[
        str | None,
        typer.Option(
            "--feature",
            metavar="NAME",
            help="Characters of PATH with a built-in feature: inside-quotes, inside-brackets, "
            "capital, vowel, word-start, ...; an unknown name lists all.",
            show_default=False,
        ),
    ] = None,
    state: Annotated[
        str,
        typer.Option(
            "--state",
            metavar="mean|final",
            help="Of texts: the mean over the text, or the state after its end.",
        ),
    ] = "mean",
    show: Annotated[
        str | None,
        typer.Option(
            "--show",
            metavar="WHAT",
            help="cell or hidden. Default: the cell state where there is one.",
            show_default=False,
        ),
    ] = None,
    held_out: Annotated[
        float, typer.Option("--held-out", metavar="SHARE", help="Share that is only measured on.")
    ] = 0.3,
    texts_limit: Annotated[
        int | None,
        typer.Option(
            "--texts-limit",
            metavar="N",
            help="Use so many texts, drawn at random. Default: all.",
            show_default=False,
        ),
    ] = None,
    chars: Annotated[
        int | None,
        typer.Option(
            "--chars",
            metavar="N",
            help="Read so many characters from the start: of each text (default: all), or of "
            f"PATH (default: {DEFAULT_CHARS:,}); 0 is all.",
            show_default=False,
        ),
    ] = None,
    positions: Annotated[
        int, typer.Option("--positions", metavar="N", help="Positions of PATH to look at.")
    ] = 8000,
    top: Annotated[int, typer.Option("--top", help="Show so many neurons.")] = 5,
    save: Annotated[
        str | None,
        typer.Option(
            "--save",
            metavar="NAME",
            help="Keep a neuron beside the model, for steering: of those found the best on the "
            "training part.",
            show_default=False,
        ),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            "--direction",
            metavar="probe|difference",
            help="Keep a direction of many units instead: the probe's, or that of the difference "
            "between the kinds' means.",
            show_default=False,
        ),
    ] = None,
    rng: RngOption = 0,
    threads: ThreadsOption = None,
    encoding: EncodingOption = None,
    checkpoint: CheckpointOption = None,
    json_output: JsonOption = False,
    csv: CsvOption = None,
    npz: NpzOption = None,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Find the neurons that carry a property, with the controls that such a claim needs.

    Neurons are chosen on one part of the examples and measured on the rest; named are those
    significant after correction for the number of all units. The controls are of the one that is
    best on the first part. Needs scikit-learn, which comes with the extra "probe" of this package.

    textgen inspect find --labels reviews.tsv --save sentiment

    textgen inspect find --labels reviews.tsv --state final --save sentiment --direction difference

    textgen inspect find corpus.txt --feature vowel

    textgen inspect find corpus.txt --regex "the "
    """
    from textgen.api import load
    from textgen.errors import ConfigError, StorageError
    from textgen.files import make_folder
    from textgen.probing import FindOptions, find
    from textgen.probing.probe import require_sklearn
    from textgen.steering.target import check_name, targets_folder

    check_outputs(npz, csv=csv, json_output=json_output)
    require_sklearn()
    if top < 1:
        raise ConfigError(f"--top is {top}; it must be at least 1")
    if save is not None:
        check_name(save)
    elif direction is not None:
        raise ConfigError("--direction says what to keep; give it a name: --save sentiment")
    by_text = labels is not None or positive is not None or negative is not None
    options = FindOptions(
        quantity=show,
        protocol=state,
        held_out=held_out,
        rng=rng,
        positions=positions,
        texts_limit=texts_limit,
        chars=(chars or None) if by_text else None,
        direction=direction,
        threads=threads,
    )
    model = load(checkpoint)
    given = (labels is not None, positive is not None or negative is not None)
    if sum((*given, regex is not None, feature is not None)) != 1:
        raise ConfigError(
            "say what to look for, in one way: --labels FILE, --positive FILE and --negative "
            "FILE, or --regex PATTERN or --feature NAME with a PATH"
        )
    if save is not None:
        # So that what cannot be kept is told before all the reading and not after it.
        make_folder(targets_folder(model.path))
    task: LabelledTexts | PositionTask
    if by_text:
        task = _texts(paths, labels, positive_label, positive, negative, texts, encoding)
    else:
        task = _positions(model, paths, regex, feature, encoding, chars, quiet)
    report = find(model.saved, task, options)
    head: dict[str, object] = {"checkpoint": str(model.path)}
    failure: StorageError | None = None
    if save is not None:
        try:
            head["saved"] = _save(model, report, save, quiet)
        except StorageError as error:
            # The report is given all the same: it took long.
            head["saved"], failure = None, error
    if not deliver(report, head, json_output=json_output, csv=csv, npz=npz, quiet=quiet):
        from textgen.terminal.console import make_consoles
        from textgen.terminal.finding import draw_finding

        make_consoles(color).out.print(draw_finding(finding_of(report, str(model.path), top)))
    if failure is not None:
        raise failure


def _texts(
    paths: list[str] | None,
    labels: Path | None,
    positive_label: str | None,
    positive: Path | None,
    negative: Path | None,
    mode: str,
    encoding: str | None,
) -> LabelledTexts:
    from textgen.errors import ConfigError
    from textgen.probing import read_labels, read_two_files

    if paths:
        raise ConfigError(
            f"{paths[0]} would not be read: a PATH goes with --regex and --feature, labelled texts "
            "come by --labels, or by --positive and --negative"
        )
    if labels is not None:
        return read_labels(labels, positive=positive_label, encoding=encoding)
    if positive is None or negative is None:
        raise ConfigError("--positive and --negative go together: a file of each kind of text")
    if positive_label is not None:
        raise ConfigError("--positive-label goes with --labels; of two files --positive says it")
    return read_two_files(positive, negative, mode=mode, encoding=encoding)


def _positions(
    model: Model,
    paths: list[str] | None,
    regex: str | None,
    feature: str | None,
    encoding: str | None,
    chars: int | None,
    quiet: bool,
) -> PositionTask:
    from textgen.probing import PositionTask, feature_property, regex_property

    if feature is not None:
        holds, name = feature_property(feature)
    else:
        assert regex is not None
        # A broken pattern is told before anything is read.
        holds, name = regex_property(regex), f"inside {regex}"
        holds("")
    tokens = open_tokens(
        model, paths, encoding=encoding, chars=DEFAULT_CHARS if chars is None else chars
    )
    if not quiet:
        say_what_is_read(tokens)
    return PositionTask(ids=tokens.ids, holds=holds, name=name, source=tokens.name)


def _save(model: Model, report: FindReport, name: str, quiet: bool) -> str | None:
    """Keep what was found; None where nothing was."""
    from textgen.probing import direction_target, neuron_target
    from textgen.steering import Intervention, save_target

    kept = report.kept
    if report.direction is None and kept is None:
        print(
            f"nothing saved: no neuron was found; a direction may do: --save {name} "
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
            which += f", which reads {share:.2f} of the held-out part right"
        elif kept is not None:
            which = f"neuron {kept.name}"
            if not kept.chosen:
                which += f"; {report.chosen.name}, best on training, was not confirmed"
        model_name = shlex.quote(str(model.path))
        print(
            f"written: {path} ({which}); steer with it: textgen sample --checkpoint {model_name} "
            f"--steer {name}=+2",
            file=sys.stderr,
        )
        if Intervention(target=target, dose=2.0).is_unfelt:
            print(
                "its values lie where the rest of the network, which sees tanh(c), hardly tells "
                "them apart: steering it will do little; look in the output: --show hidden",
                file=sys.stderr,
            )
    return str(path)
