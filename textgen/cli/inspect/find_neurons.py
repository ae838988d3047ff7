"""`textgen inspect find`: which neurons carry a property."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import (
    CsvOption,
    NpzOption,
    SourcesArgument,
    deliver,
    read_for,
)
from textgen.cli.parameters import (
    CheckpointOption,
    ColorOption,
    EncodingErrorsOption,
    EncodingOption,
    EndingOption,
    JsonOption,
    QuietOption,
    RngOption,
    SkipBadOption,
    ThreadsOption,
    lower,
)
from textgen.cli.records import check_outputs
from textgen.corpus.corpus_options import DEFAULT_ENDING
from textgen.settings import ADVANCED, TEXT
from textgen.terminal.console import ColorMode
from textgen.terminal.text import quote
from textgen.view_options import DEFAULT_CHARS

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.probing import FindReport, FoundNeuron, LabelledTexts, PositionTask
    from textgen.terminal.finding import Finding, FindingRow


@guarded
def find_command(
    paths: SourcesArgument = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="A table of texts with two labels: in each row a label, a tab, a text; in a "
            ".csv file a comma instead of the tab (.gz too).",
            show_default=False,
        ),
    ] = None,
    positive_label: Annotated[
        str | None,
        typer.Option(
            "--positive-label",
            metavar="LABEL",
            help="With --labels: the label to look for. Default: the one that comes last in the "
            "alphabet.",
            show_default=False,
        ),
    ] = None,
    positive: Annotated[
        Path | None,
        typer.Option(
            "--positive",
            metavar="FILE",
            help="A file of texts that have the property.",
            show_default=False,
        ),
    ] = None,
    negative: Annotated[
        Path | None,
        typer.Option(
            "--negative",
            metavar="FILE",
            help="A file of texts that do not have it.",
            show_default=False,
        ),
    ] = None,
    texts: Annotated[
        str,
        typer.Option(
            "--texts",
            metavar="blank|line",
            help="What separates the texts in --positive and --negative.",
        ),
    ] = "blank",
    regex: Annotated[
        str | None,
        typer.Option(
            "--regex",
            metavar="PATTERN",
            help="Look for characters of PATH that lie in a match of this regular expression.",
            show_default=False,
        ),
    ] = None,
    feature: Annotated[
        str | None,
        typer.Option(
            "--feature",
            metavar="NAME",
            help="Look for characters of PATH with a built-in feature, such as inside-quotes, "
            "inside-brackets, capital, vowel or word-start; an unknown name lists all.",
            show_default=False,
            parser=lower,
        ),
    ] = None,
    state: Annotated[
        str,
        typer.Option(
            "--state",
            metavar="mean|final",
            help="What stands for each text: the mean of its states, or the state after its end.",
        ),
    ] = "mean",
    show: Annotated[
        str | None,
        typer.Option(
            "--show",
            metavar="WHAT",
            help="Which state is looked at: cell or hidden. Default: cell, or hidden where the "
            "network has no cell state.",
            show_default=False,
            parser=lower,
        ),
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(
            "--held-out",
            metavar="SHARE",
            help="The share of the examples that is only measured on.",
            rich_help_panel=ADVANCED,
        ),
    ] = 0.3,
    texts_limit: Annotated[
        int | None,
        typer.Option(
            "--texts-limit",
            metavar="N",
            help="Use only N texts, drawn at random. Default: all.",
            show_default=False,
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    chars: Annotated[
        int | None,
        typer.Option(
            "--chars",
            metavar="N",
            help="Read only the first N characters of PATH (Default: "
            f"{DEFAULT_CHARS:,}) or of each text (Default: all); 0 reads all.",
            show_default=False,
            rich_help_panel=TEXT,
        ),
    ] = None,
    positions: Annotated[
        int,
        typer.Option(
            "--positions",
            metavar="N",
            help="Look at N characters of PATH, drawn at random.",
            rich_help_panel=ADVANCED,
        ),
    ] = 8000,
    top: Annotated[int, typer.Option("--top", metavar="N", help="Show the N best neurons.")] = 5,
    save: Annotated[
        str | None,
        typer.Option(
            "--save",
            metavar="NAME",
            help="Save the best neuron under this name beside the model; sample --steer takes it.",
            show_default=False,
        ),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            "--direction",
            metavar="probe|difference",
            help="With --save: keep a direction of many units instead of one neuron, that of the "
            "probe or that of the difference between the means of the two kinds.",
            show_default=False,
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    rng: RngOption = 0,
    threads: ThreadsOption = None,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    ending: EndingOption = DEFAULT_ENDING,
    skip_bad: SkipBadOption = False,
    checkpoint: CheckpointOption = None,
    json_output: JsonOption = False,
    csv: CsvOption = None,
    npz: NpzOption = None,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Find the neurons that carry a property, with the controls that such a claim needs.

    Neurons are chosen on one part of the examples and measured on the rest. A neuron is shown
    where it is significant after a correction for the number of all units. The controls are made
    for the neuron that is best on the first part. This command needs scikit-learn, which is
    installed by the extra "probe" of this package.

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
        task = _texts(
            paths, labels, positive_label, positive, negative, texts, encoding, encoding_errors
        )
    else:
        choosing: dict[str, Any] = {
            "encoding": encoding,
            "encoding_errors": encoding_errors,
            "ending": ending,
            "skip_bad": skip_bad,
        }
        task = _positions(model, paths, regex, feature, chars, choosing, quiet=quiet)
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
    encoding_errors: str,
) -> LabelledTexts:
    from textgen.errors import ConfigError
    from textgen.probing import read_labels, read_two_files

    if paths:
        raise ConfigError(
            f"{paths[0]} would not be read: a PATH goes with --regex and --feature, labelled texts "
            "come by --labels, or by --positive and --negative"
        )
    if labels is not None:
        return read_labels(
            labels, positive=positive_label, encoding=encoding, encoding_errors=encoding_errors
        )
    if positive is None or negative is None:
        raise ConfigError("--positive and --negative go together: a file of each kind of text")
    if positive_label is not None:
        raise ConfigError("--positive-label goes with --labels; of two files --positive says it")
    return read_two_files(
        positive, negative, mode=mode, encoding=encoding, encoding_errors=encoding_errors
    )


def _positions(
    model: Model,
    paths: list[str] | None,
    regex: str | None,
    feature: str | None,
    chars: int | None,
    choosing: dict[str, Any],
    *,
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
    read = read_for(
        model, paths, chars=DEFAULT_CHARS if chars is None else chars, quiet=quiet, **choosing
    )
    return PositionTask(ids=read.ids, holds=holds, name=name, source=read.name)


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
        model_name = quote(str(model.path))
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


def finding_of(report: FindReport, model: str, top: int) -> Finding:
    """What is drawn of a report.

    Args:
        report: The outcome of a search.
        model: Where the model is.
        top: Neurons to show.
    """
    from textgen.terminal.finding import ControlRow, Finding, FindingRow

    data, shown = report.data, report.neurons[:top]
    counts = data["counts"]
    noun = data["task"]
    held, train = counts["held_out"], counts["train"]
    alone = data["split"]["independent"]
    rows = [_neuron_row(neuron) for neuron in shown]
    if report.chosen not in shown:
        rows.append(_neuron_row(report.chosen, "best on training"))
    score = report.probe_score
    units = len(report.units.auc_U)
    rows.append(
        FindingRow(
            name=f"L1 probe, {report.probe.nonzero:,} of {units:,} units",
            accuracy=score.accuracy,
            auc=score.auc,
        )
    )
    if report.direction is not None:
        rows.append(
            FindingRow(
                name=f"direction, layer {report.direction.layer}",
                accuracy=report.direction.score.accuracy,
                auc=report.direction.score.auc,
                note=report.direction.kind,
            )
        )
    found = len(report.neurons)
    of = f"of {units:,} units carry it beyond chance at {report.alpha:.0%}, corrected for all units"
    verdict = f"{found:,} {of}." if found else f"None {of}."
    return Finding(
        question=[
            f"{model}: which units tell '{data['positive']}' (+) from '{data['negative']}' (-)?",
            f"{data['source']}: {sum(train.values()):,} {noun} to choose on, "
            f"{sum(held.values()):,} to measure on ({held['positive']:,} + and "
            f"{held['negative']:,} -), {data['tokens']:,} tokens read",
            *(
                [
                    f"of those measured on {alone['positive']:,} + and {alone['negative']:,} - are "
                    "independent of each other, and count in the tests"
                ]
                if alone != held
                else []
            ),
            f"compared is {data['features']}; accuracy is the mean of both kinds', "
            "chance is 0.5 for it and for AUC",
            *data["notes"],
        ],
        rows=rows,
        left_out=found - len(shown),
        verdict=verdict,
        controls=[
            ControlRow(
                name=control.name.replace("_", " "),
                figure=control.shown,
                holds=control.holds,
                meaning=control.meaning,
            )
            for control in report.controls
        ],
        subject=f"neuron {report.chosen.name}",
    )


def _neuron_row(neuron: FoundNeuron, note: str = "") -> FindingRow:
    from textgen.terminal.finding import FindingRow

    return FindingRow(
        name=f"neuron {neuron.name} {neuron.quantity}",
        sign="+" if neuron.sign > 0 else "-",
        accuracy=neuron.accuracy,
        auc=neuron.auc,
        p_value=neuron.p_corrected,
        note=note or ("best on training" if neuron.chosen else ""),
    )
