"""When does the sentiment neuron appear? How well single units tell sentiment, against bits/char.

    python benchmarks/emergence.py run REVIEWS.txt.gz LABELLED.tsv --out DIR --minutes 25
    python benchmarks/emergence.py show DIR --picture docs/pictures/emergence.svg

`run` trains a network for each cell, width and seed, the smallest first, and keeps its model at an
eighth, a quarter, a half and all of its steps. Each of these models reads labelled texts. The best
unit is chosen on one half of them and measured on the other, beside a probe on all units, probes on
100 random others, and the same in the network as it was before its first step. The marks by which
reviews say their label («8 из 10») are taken out before.

All steps of a run have one schedule, whose learning rate falls to zero at its last step. So the
first three models of a run are from the midst of a training, and a whole training of as many steps
would come lower. That moves a point along the curve, and not off it: both of its figures are those
of the model as it was then. A run keeps its best model only: where one of the four was worse than
an earlier one, its point is missing, and `show` says so.

The same command goes on where it was stopped, or where `--minutes` were over. Two processes may
work at one folder where their `--rng` differ. The whole takes days on two cores: `show` draws
what is there. Neither the reviews nor a model of them belong into the repository.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from sentiment import RATING

from textgen.checkpoint import MODEL_NAME, SavedModel
from textgen.comparison.runs import (
    Comparison,
    Halted,
    Job,
    Measured,
    MeasuredRun,
    RunEvent,
    RunFigures,
    Runs,
    record_head,
)
from textgen.comparison.variants import Variant, parse_numbers, parse_variants
from textgen.corpus.corpus_options import CorpusOptions
from textgen.files import atomic_write_text
from textgen.model.engine import open_reader
from textgen.model.initialise import initial_weights
from textgen.options import TrainOptions
from textgen.probing.activations import read_features
from textgen.probing.controls import GROUP
from textgen.probing.examples import Examples, text_examples
from textgen.probing.labels import LabelledTexts, read_labels
from textgen.probing.probe import fit_probe
from textgen.probing.unit_selection import Selector
from textgen.table import Table
from textgen.terminal.chart import Chart, Series, save_charts
from textgen.training.events import Report

#: Of the steps of a run, where its model is kept: one in so many.
KEPT = (8, 4, 2, 1)
#: What is kept of the points of a run, beside its models.
POINTS_NAME = "points.json"
#: Random groups of units that a probe is fitted on.
GROUPS = 3
#: The reproduction in github.com/NVIDIA/sentiment-discovery, an mLSTM of 4,096 units on 38 GB of
#: Amazon reviews, judged on SST: bits/char, all units, one unit. Read by eye off its graph.
PUBLISHED = ((1.39, 0.71, 0.62), (1.29, 0.79, 0.76), (1.23, 0.85, 0.82), (1.19, 0.875, 0.86))
#: Whole reviews of the same labels, LSTM of 512, 768 and 1,024 units (docs/log.md, 2026-11-24).
EARLIER = ((1.896, 0.664), (1.805, 0.664), (1.726, 0.686))


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model on its way, and what its units tell of labelled texts.

    Args:
        step: The steps that it had taken; 0 is the untrained network.
        chars: The characters that it had read.
        bits_per_char: On the validation text; None where it was not measured.
        unit: Accuracy of the unit that is best on the training half, on the other.
        probe: Of an L1 probe on all units.
        random_100: Of a probe on 100 random others, the mean over `GROUPS` groups.
    """

    step: int
    chars: int
    bits_per_char: float | None
    unit: float
    probe: float
    random_100: float


def points_of(data: Any) -> tuple[Point, ...]:
    """The points of a record."""
    return tuple(Point(**point) for point in data["points"])


@dataclass(frozen=True, kw_only=True)
class EmergenceRun(MeasuredRun):
    """A run with the points on its way, the untrained network first."""

    points: tuple[Point, ...]

    @property
    def summary(self) -> str:
        """Its figures in a few words."""
        last = self.points[-1]
        return f"{self.figures.summary}; best unit {last.unit:.3f}, all {last.probe:.3f}"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "cell": self.variant.cell,
            "rng": self.figures.rng,
            "hidden_size": self.figures.hidden_size,
            "seconds": self.figures.seconds,
            "points": [asdict(point) for point in self.points],
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class Emergence(Comparison[EmergenceRun]):
    """All runs."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**record_head("emergence"), "runs": [run.to_json() for run in self.runs]}

    def table(self) -> Table:
        """A row for each point."""
        return table_of([run.to_json() for run in self.runs])

    def chart(self) -> Chart:
        """Accuracy against bits per character."""
        return chart_of([run.to_json() for run in self.runs])

    def summary(self) -> tuple[Table, ...]:
        """The same as `table`."""
        return (self.table(),)


@dataclass(frozen=True, kw_only=True)
class WidthRuns(Runs):
    """Runs whose widths are asked for, where those of a comparison follow from its parameters."""

    @cached_property
    def planned(self) -> Sequence[Job]:
        """The runs as they are."""
        return self.jobs


def honest(texts: LabelledTexts) -> LabelledTexts:
    """The texts without the marks by which they say their label."""
    return replace(texts, texts=tuple(RATING.sub(" ", text) for text in texts.texts))


def examples_of(texts: LabelledTexts, saved: SavedModel, count: int, chars: int) -> Examples:
    """The labelled texts, half of them held out: the same texts and halves for every model."""
    return text_examples(
        texts,
        saved.vocabulary,
        saved.normalization,
        protocol="mean",
        held_out=0.5,
        rng=np.random.default_rng(0),
        limit=count,
        chars=chars or None,
    )


def accuracies(
    saved: SavedModel, weights: Mapping[str, Any], examples: Examples
) -> dict[str, float]:
    """What the means of the outputs h over each text tell: the three accuracies of a `Point`."""
    network = open_reader(saved.config, weights, 1)
    values_NU = read_features(network, examples, "hidden").seen_NU
    labels_N, selector = examples.labels_N, Selector(values_NU, examples)
    test, rng = selector.test, np.random.default_rng(0)
    best, score = selector.best_of(labels_N)
    others = np.delete(np.arange(selector.units), best)

    def probe(units: np.ndarray) -> float:
        own_NU = values_NU[:, units]
        fitted = fit_probe(own_NU, labels_N, examples.part_N)
        return fitted.score(own_NU[test], labels_N[test]).accuracy

    groups = [rng.choice(others, min(GROUP, len(others)), replace=False) for _ in range(GROUPS)]
    return {
        "unit": score.accuracy,
        "probe": probe(np.arange(selector.units)),
        "random_100": float(np.mean([probe(group) for group in groups])),
    }


def kept_path(folder: Path, step: int) -> Path:
    """Where the model of a step is kept."""
    return folder / f"at-{step}.safetensors"


def keep(folder: Path, report: Report) -> str:
    """Keep the model of a report, where it is one of those that are measured.

    Only the best model so far is in the folder. Where an earlier one is better, nothing is kept:
    it is not the model as it was at this step.

    Returns:
        What is to be said of it; "" is nothing.
    """
    if report.evaluated and any(report.step * part == report.steps for part in KEPT):
        if report.val_bits_per_char != report.best_bits_per_char:
            return f"step {report.step} is left out: an earlier model is better"
        path = kept_path(folder, report.step)
        shutil.copyfile(folder / MODEL_NAME, path)
        record = {"bits_per_char": report.best_bits_per_char}
        atomic_write_text(path.with_suffix(".json"), json.dumps(record) + "\n")
    return ""


def measured_on(texts: LabelledTexts, count: int, chars: int) -> dict[str, Any]:
    """What points were measured on; those of anything else are measured again."""
    content = json.dumps([texts.texts, texts.labels]).encode()
    return {"texts": count, "chars": chars, "labels": hashlib.sha256(content).hexdigest()}


def points_on_the_way(
    job: Job, saved: SavedModel, texts: LabelledTexts, count: int, chars: int
) -> tuple[Point, ...]:
    """The points of a run that is over; those measured before on the same texts are read."""
    path = job.folder / POINTS_NAME
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    asked = measured_on(texts, count, chars)
    same = known.get("measured_on") == asked
    points = {point.step: point for point in points_of(known)} if same else {}
    examples = examples_of(texts, saved, count, chars)
    steps = job.options.steps or 0
    for step in (0, *(steps // part for part in KEPT)):
        if step in points:
            continue
        bits: float | None = None
        weights: Mapping[str, Any] = initial_weights(saved.config, job.options.rng)
        if step:
            own = kept_path(job.folder, step)
            if not own.exists():
                continue
            weights = SavedModel.load(own).weights
            bits = json.loads(own.with_suffix(".json").read_text("utf-8"))["bits_per_char"]
        tokens = step * (job.options.batch_size or 0) * (job.options.seq_len or 0)
        points[step] = Point(
            step=step,
            chars=tokens,
            bits_per_char=bits,
            **accuracies(saved, weights, examples),
        )
        record = {
            "cell": job.variant.cell,
            "rng": job.options.rng,
            "hidden_size": job.options.hidden_size,
            "texts": len(examples.labels_N),
            "measured_on": asked,
            "steps": steps,
            "points": [asdict(points[number]) for number in sorted(points)],
        }
        atomic_write_text(path, json.dumps(record, indent=1) + "\n")
    return tuple(points[step] for step in sorted(points))


def job_of(variant: Variant, width: int, rng: int, steps: int, folder: Path) -> Job:
    """One run."""
    return Job(
        variant=variant,
        label=f"{variant.name} 1x{width}, rng {rng}",
        folder=folder / f"{variant.folder}-{width}-{rng}",
        options=TrainOptions(
            cell=variant.cell,
            hidden_size=width,
            num_layers=1,
            corpus=CorpusOptions(documents="blank", min_count=50),
            val=0.02,
            batch_size=64,
            seq_len=64,
            steps=steps,
            eval_every=steps // KEPT[0],
            threads=1,
            rng=rng,
        ),
    )


def run(options: argparse.Namespace) -> None:
    """Train and measure, as far as the time allows."""
    if options.steps % KEPT[0]:
        raise SystemExit(f"--steps is {options.steps}; it must be a multiple of {KEPT[0]}")
    deadline = time.monotonic() + 60.0 * options.minutes
    texts = honest(read_labels(options.labelled))
    widths = sorted(parse_numbers(options.widths, "widths"))
    jobs = [
        job_of(variant, width, rng, options.steps, options.out)
        for width in widths
        for rng in parse_numbers(options.rng, "rng")
        for variant in parse_variants(options.cells)
    ]
    runs = WidthRuns(
        folder=options.out,
        paths=[str(options.reviews)],
        jobs=jobs,
        params=0,
        resume=True,
        force=False,
        stop=lambda: time.monotonic() > deadline,
    )

    def measure(job: Job, figures: RunFigures, saved: SavedModel) -> EmergenceRun:
        points = points_on_the_way(job, saved, texts, options.texts, options.chars)
        return EmergenceRun(variant=job.variant, figures=figures, points=points)

    for happening in runs.events(measure, Emergence, EmergenceRun):
        if isinstance(happening, RunEvent) and isinstance(happening.event, Report):
            report = happening.event
            left_out = keep(jobs[happening.number - 1].folder, report)
            if report.evaluated:
                print(f"{happening.label}: step {report.step}, {', '.join(report.figures())}")
            if left_out:
                print(f"{happening.label}: {left_out}")
        elif isinstance(happening, Measured):
            print(f"{happening.label}: {happening.summary}")
        elif isinstance(happening, Halted):
            print(f"stopped in {happening.label}; the same command goes on")
        sys.stdout.flush()


def table_of(records: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each point of all records."""
    columns = ("cell", "hidden_size", "rng", *Point.__dataclass_fields__)
    rows = [
        {**{name: record[name] for name in columns[:3]}, **asdict(point)}
        for record in records
        for point in points_of(record)
    ]
    return Table.from_records(columns, rows)


def chart_of(records: Sequence[Mapping[str, Any]]) -> Chart:
    """Accuracy against bits per character: ours, the published points, and bands of controls."""
    points = [(record["cell"], point) for record in records for point in points_of(record)]
    trained = [(cell, point) for cell, point in points if point.bits_per_char is not None]
    untrained = [point for _, point in points if point.step == 0]

    def series(name: str, cell: str, figure: str) -> Series:
        own = sorted(
            (point.bits_per_char or 0.0, getattr(point, figure))
            for of, point in trained
            if of == cell
        )
        return Series(name=f"{name}, {what_of[figure]}", points=tuple(own), joined=False)

    def band(name: str, values: Sequence[float]) -> tuple[tuple[str, float, float], ...]:
        return ((name, min(values), max(values)),) if values else ()

    what_of = {"unit": "best unit", "probe": "all units"}
    names = {"lstm": "LSTM", "mlstm": "mLSTM"}
    cells = [cell for cell in names if any(of == cell for of, _ in trained)]
    ours = [series(names[cell], cell, figure) for figure in ("unit", "probe") for cell in cells]
    published = [
        Series(
            name=f"published, {what}", points=tuple((row[0], row[at]) for row in PUBLISHED[::-1])
        )
        for what, at in (("best unit", 2), ("all units", 1))
    ]
    earlier = Series(
        name="LSTM 512 to 1,024, whole reviews, best unit", points=EARLIER[::-1], joined=True
    )
    bits = [point.bits_per_char or 0.0 for _, point in trained]
    low, high = 1.1, max([2.0, *bits]) + 0.05
    return Chart(
        series=(*ours, earlier, *published),
        x_label="bits per character on text that was not trained on",
        y_label="accuracy on held-out texts",
        levels=(("chance", 0.5),),
        bands=(
            *band("untrained, best unit", [point.unit for point in untrained]),
            *band("untrained, all units", [point.probe for point in untrained]),
            *band("100 random units", [point.random_100 for _, point in trained]),
        ),
        ticks=tuple((x / 10, f"{x / 10:g}") for x in range(12, int(10 * high) + 1, 2)),
        x_limits=(low, high),
        y_limits=(0.45, 0.95),
    )


def missing(record: Mapping[str, Any]) -> list[int]:
    """The steps that a record has no point of, though it should."""
    wanted = {0, *(record["steps"] // part for part in KEPT)} if "steps" in record else set()
    return sorted(wanted - {point.step for point in points_of(record)})


def show(options: argparse.Namespace) -> None:
    """Print the table of what is there, and draw the picture."""
    records = [
        json.loads(path.read_text("utf-8"))
        for path in sorted(options.folder.glob(f"*/{POINTS_NAME}"))
    ]
    if not records:
        raise SystemExit(f"{options.folder} has no points yet; make some with: run")
    records.sort(key=lambda record: (record["hidden_size"], record["cell"], record["rng"]))
    print(table_of(records).to_markdown())
    for record in records:
        if steps := missing(record):
            name = f"{record['cell']} 1x{record['hidden_size']}, rng {record['rng']}"
            print(f"{name}: no point at step {', '.join(map(str, steps))}")
    if options.picture is not None:
        save_charts(options.picture, [chart_of(records)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="train and measure")
    one.add_argument("reviews", type=Path)
    one.add_argument("labelled", type=Path)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--widths", default="128,256,512,1024")
    one.add_argument("--cells", default="lstm,mlstm")
    one.add_argument("--rng", default="1,2")
    one.add_argument("--steps", type=int, default=12_000, help="of each run, of 4,096 characters")
    one.add_argument("--minutes", type=float, default=600.0, help="stop after so many")
    one.add_argument("--texts", type=int, default=4370, help="labelled texts, drawn at random")
    one.add_argument("--chars", type=int, default=0, help="of each text; 0 is all")
    one.set_defaults(run=run)
    two = commands.add_parser("show", help="the table and the picture of what is there")
    two.add_argument("folder", type=Path)
    two.add_argument("--picture", type=Path, help="such as emergence.svg")
    two.set_defaults(run=show)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
