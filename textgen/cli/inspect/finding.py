"""A report of `textgen inspect find` as what the terminal draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textgen.probing import FindReport, FoundNeuron
    from textgen.terminal.finding import Finding, FindingRow


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
