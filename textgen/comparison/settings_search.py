"""A search for good settings: runs whose values Optuna chooses, shared out among workers.

Each trial is an ordinary run in a folder of its own, and the best one is a model like any other.
A run that at an evaluation is worse than the median of those before it is given up there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textgen.arguments import StrPath, checked, path_names
from textgen.checkpoint import MODEL_NAME, SavedModel, has_checkpoint
from textgen.comparison.claims import Worker
from textgen.comparison.happening import Compared, Happening, Note, RunEvent
from textgen.comparison.runs import (
    Job,
    RunFigures,
    comparison_folder,
    figures_of,
    length_of,
    record_head,
    save_record,
    train_run,
)
from textgen.comparison.search_space import (
    MOST_TRIALS,
    Searched,
    Value,
    options_of_trial,
    parse_space,
)
from textgen.comparison.study import SharedStudy
from textgen.comparison.sweep import Sweep, agreed
from textgen.comparison.variants import Variant, check_base
from textgen.errors import ConfigError, RunFolderError, named
from textgen.files import make_folder
from textgen.notebook import Part, Shown
from textgen.options import TrainOptions
from textgen.progress import task
from textgen.runtime import choose_threads
from textgen.table import Column, Entry, Table
from textgen.training.data import open_data
from textgen.training.events import Report
from textgen.training.folder import read_reports
from textgen.training.resume import absolute
from textgen.training.run import Stop
from textgen.training.start import check_request

if TYPE_CHECKING:
    from textgen.terminal.chart import Chart

#: How many runs a search makes where nothing is asked.
TRIALS = 40
#: The best so many runs are shown.
_SHOWN = 10
FINISHED, GIVEN_UP, DIVERGED, REFUSED = "finished", "given up", "diverged", "refused"


@dataclass(frozen=True, kw_only=True)
class TrialRun:
    """A run of a search.

    Args:
        number: Which it is, from 1.
        values: What was searched, by the names of the settings.
        state: `finished`, `given up`, `diverged`, or `refused`: the values do not go together.
        figures: What it came to, up to where it was given up; None where it was refused.
        reason: Why it was refused.
    """

    number: int
    values: dict[str, Value]
    state: str
    figures: RunFigures | None = None
    reason: str = ""

    @property
    def bits_per_char(self) -> float | None:
        """Of its best model; None where it has none."""
        return None if self.figures is None else self.figures.bits_per_char

    @property
    def summary(self) -> str:
        """Its values and figures in a few words."""
        values = ", ".join(f"{name} {_shown(value)}" for name, value in self.values.items())
        if self.figures is None:
            return f"{values}: refused, {self.reason}"
        given_up = " (given up)" if self.state == GIVEN_UP else ""
        return f"{values}: {self.figures.summary}{given_up}"


@dataclass(frozen=True, kw_only=True, repr=False)
class SearchResult(Shown):
    """The outcome of `search_settings`.

    Args:
        folder: Where the runs are kept.
        paths: The texts.
        space: What was searched.
        length: How long each run was, in words.
        runs: In the order in which they were begun.
    """

    folder: Path
    paths: tuple[str, ...]
    space: tuple[Searched, ...]
    length: str
    runs: tuple[TrialRun, ...] = field(default=())

    @property
    def ranked(self) -> tuple[TrialRun, ...]:
        """The runs that came to their end, the best first."""
        ended = [run for run in self.runs if run.state == FINISHED]
        return tuple(sorted(ended, key=lambda run: (run.bits_per_char or 0.0, run.number)))

    @property
    def best(self) -> TrialRun | None:
        """The best run; None where all diverged."""
        return next(iter(self.ranked), None)

    @property
    def headline(self) -> str:
        """What was searched, and what was found."""
        names = ", ".join(own.typed for own in self.space)
        found = "nothing that trains" if self.best is None else self.best.summary
        return f"{names} in {len(self.runs)} runs of {self.length}; the best: {found}"

    def parts(self) -> Iterable[Part]:
        """The chart, then the tables."""
        yield self.chart()
        yield from self.summary()

    def to_json(self) -> dict[str, Any]:
        """As plain data: `textgen.compare.search`, version 1."""
        return {
            **record_head("search"),
            "paths": list(self.paths),
            "folder": str(self.folder),
            "length": self.length,
            "search": [own.to_json() for own in self.space],
            "best": None if self.best is None else self.best.number,
            "runs": [asdict(run) for run in self.runs],
        }

    def table(self) -> Table:
        """A row for each run."""
        figures = ("bits_per_char", "hidden_size", "parameters", "learning_rate", "steps")
        times = ("seconds", "chars_per_second", "chars_seen")
        columns = ["number", "state", *(own.name for own in self.space)]
        columns += [name for name in (*figures, *times) if name not in columns]
        records = [
            {
                "number": run.number,
                "state": run.state,
                **({} if run.figures is None else asdict(run.figures)),
                **run.values,
            }
            for run in self.runs
        ]
        return Table.from_records(columns, records)

    def chart(self) -> Chart:
        """A point for each run in the order in which they were begun, and the best so far."""
        from textgen.terminal.chart import Chart, Series

        def points(*states: str) -> tuple[tuple[float, float], ...]:
            return tuple(
                (float(run.number), run.bits_per_char)
                for run in self.runs
                if run.state in states and run.bits_per_char is not None
            )

        ended, best = points(FINISHED), list[tuple[float, float]]()
        for number, bits in ended:
            best.append((number, min(bits, best[-1][1] if best else bits)))
        return Chart(
            series=(
                Series(name="to the end", points=ended, joined=False),
                Series(name="given up", points=points(GIVEN_UP), joined=False),
                Series(name="the best so far", points=tuple(best), marked=False),
            ),
            x_label=f"run, {self.length} each",
            y_label="bits/char",
        )

    def summary(self) -> tuple[Table, ...]:
        """The best runs, with notes."""
        columns: tuple[Column | str, ...] = (
            *("run", Column("bits_per_char", "bits/char", ".3f")),
            *(Column(own.name, own.typed, _shown) for own in self.space),
            *("parameters", Column("chars_per_second", "chars/s")),
        )
        rows: list[Sequence[Entry]] = [
            (
                run.number,
                run.bits_per_char,
                *(run.values.get(own.name) for own in self.space),
                run.figures.parameters,
                round(run.figures.chars_per_second),
            )
            for run in self.ranked[:_SHOWN]
            if run.figures is not None
        ]
        return (Table(columns, rows, notes=self._notes()),)

    def _notes(self) -> tuple[str, ...]:
        states = [run.state for run in self.runs]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        notes = [f"{len(self.runs)} runs of {self.length}: {counts}."]
        if self.best is not None and self.best.figures is not None:
            notes.append(f"The best model: {self.best.figures.folder}.")
        if reasons := {run.reason for run in self.runs} - {""}:
            notes.append(f"Refused: {'; '.join(sorted(reasons))}.")
        return tuple(notes)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@checked()
def search_settings(
    paths: StrPath | Iterable[StrPath],
    search: str,
    base: TrainOptions,
    *,
    trials: int = TRIALS,
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    join: bool = False,
    stop: Stop = lambda: False,
) -> Iterator[Happening | Compared[SearchResult]]:
    """Look for settings with which a network learns a text best.

    Args:
        paths: The text, split alike for all runs: a path, or several.
        search: The settings and where they are looked for; see
            `textgen.comparison.search_space.parse_space`.
        base: Everything else that is asked of the runs. `rng` is the seed of each, and of what is
            drawn.
        trials: Runs.
        out: Folder of the runs; None is `checkpoints/compare-search-NAME` after the first text.
        resume, force, join, stop: As in `compare_cells`.
    Yields:
        What happens in the runs, and as the last record the result, or `Halted`.
    Raises:
        TextgenError: The text or an option is unusable, or runs are there already.
        BackendError: The library optuna is not installed.
    """
    check_base(base)
    paths = path_names([paths], "search_settings")
    space = parse_space(search)
    if not 1 <= trials <= MOST_TRIALS:
        raise ConfigError(f"{named('trials')} is {trials:,}; it must be 1 to {MOST_TRIALS:,}")
    for own in space:
        typed = getattr(base, own.name)
        if typed != getattr(TrainOptions(), own.name):
            raise ConfigError(
                f"{named(own.name)} is {typed} and is searched, too; leave one of the two out"
            )
    check_request([], base)
    folder = comparison_folder(paths, out, "search-")
    sweep = Sweep(folder, TrialRun)
    if force:
        if join or resume:
            other = named("join" if join else "resume", True)
            raise ConfigError(
                f"{other} goes on with a search, {named('force', True)} replaces it; give one"
            )
        sweep.clear()
    elif sweep.is_begun and not (join or resume):
        raise RunFolderError(
            f"{folder} already contains runs that workers share out; go on with them: "
            f"{named('join', True)}, replace them: {named('force', True)}, or use another folder: "
            f"{named('out', 'DIR')}"
        )
    searching = _SearchWorker(folder, paths, space, base, trials, sweep, force, stop)
    yield from searching.events()


@dataclass
class _SearchWorker:
    """A worker of a search."""

    folder: Path
    paths: Sequence[str]
    space: tuple[Searched, ...]
    base: TrainOptions
    trials: int
    sweep: Sweep[TrialRun]
    force: bool
    stop: Stop

    def events(self) -> Iterator[Happening | Compared[SearchResult]]:
        """Take one run after the other; whoever is last draws the table."""
        digits = len(str(self.trials))
        names = [f"run-{number:0{digits}}" for number in range(1, self.trials + 1)]
        if not self.sweep.is_begun and not self.force:
            taken = next((name for name in names if has_checkpoint(self.folder / name)), None)
            if taken is not None:
                raise RunFolderError(
                    f"{self.folder / taken} contains a run of something else; use another folder: "
                    f"{named('out', 'DIR')}"
                )
        corpus = open_data(self.paths, self.base).corpus
        make_folder(self.folder)
        asked = agreed(
            [absolute(path) for path in self.paths],
            corpus.sha256,
            dict.fromkeys(names, self.base),
            search=[own.to_json() for own in self.space],
            trials=self.trials,
        )
        plan = self.sweep.agree(asked, choose_threads(None).value)
        base = replace(self.base, threads=plan["settings"]["threads"])
        length = length_of(base)
        searched = ", ".join(own.typed for own in self.space)
        yield Note(text=f"{self.trials} runs of {length}, to look for: {searched}")
        study = SharedStudy(self.sweep.path, self.space, base.rng)

        def perform(
            name: str, place: Mapping[str, Any], worker: Worker
        ) -> Generator[RunEvent, None, TrialRun | None]:
            run = yield from self._trial(study, base, name, place, worker)
            return run

        labels = {name: f"run {number}" for number, name in enumerate(names, 1)}
        done = yield from self.sweep.work(labels, perform, self.stop)
        if done is None:
            return
        runs = [self._here(run, name) for name, run in done.items()]
        result = SearchResult(
            folder=self.folder,
            paths=tuple(self.paths),
            space=self.space,
            length=length,
            runs=tuple(runs),
        )
        save_record(self.folder, result.to_json())
        yield Compared(result)

    def _here(self, run: TrialRun, name: str) -> TrialRun:
        """A run in the folder as this worker calls it."""
        if run.figures is None:
            return run
        return replace(run, figures=replace(run.figures, folder=str(self.folder / name)))

    def _trial(
        self,
        study: SharedStudy,
        base: TrainOptions,
        name: str,
        place: Mapping[str, Any],
        worker: Worker,
    ) -> Generator[RunEvent, None, TrialRun | None]:
        """Train a run to its end, or as long as it is worth it; None where it was stopped."""

        def stop() -> bool:
            worker.check()
            return self.stop()

        number = int(place["number"])
        values = study.values(number)
        folder = self.folder / name
        try:
            options = options_of_trial(base, values)
            variant = Variant(options.cell or "lstm", options.nonlinearity)
            check_request([], options)
        except ConfigError as error:
            study.finish(number, None)
            return TrialRun(number=number, values=values, state=REFUSED, reason=str(error))
        job = Job(variant=variant, label=place["label"], folder=folder, options=options)
        # What lies there when a run is begun is of a search that is replaced.
        given_up = None if worker.is_first else self._given_up(study, number, folder)
        with task(f"{number}/{self.trials} {job.label}"):
            figures: RunFigures | None = None
            fresh = worker.is_first
            # Closed whatever happens: it has the lock of the run's folder.
            training = train_run(self.paths, job, place, stop, resume=not fresh, force=fresh)
            with closing(training):
                while given_up is None:
                    try:
                        event = next(training)
                    except StopIteration as ended:
                        if ended.value is None:
                            return None
                        figures, _ = ended.value
                        break
                    except ConfigError as error:  # Such as a network beyond the memory.
                        study.finish(number, None)
                        return TrialRun(
                            number=number, values=values, state=REFUSED, reason=str(error)
                        )
                    if isinstance(event.event, Report) and event.event.evaluated:
                        given_up = study.is_hopeless(number, [event.event])
                    yield event
        if given_up is not None:
            figures = _up_to(job, given_up)
            study.finish(number, None)
            return TrialRun(number=number, values=values, state=GIVEN_UP, figures=figures)
        assert figures is not None
        study.finish(number, figures.bits_per_char)
        state = DIVERGED if figures.bits_per_char is None else FINISHED
        return TrialRun(number=number, values=values, state=state, figures=figures)

    def _given_up(self, study: SharedStudy, number: int, folder: Path) -> Report | None:
        """The evaluation after which another worker gave a run up, and died before it said so."""
        reports = [
            report
            for report in (read_reports(folder) if has_checkpoint(folder) else ())
            if report.evaluated
        ]
        if not reports or not (folder / MODEL_NAME).exists():
            return None
        if study.was_stopped(number):
            return reports[-1]
        return study.is_hopeless(number, reports[-1:])


def _up_to(job: Job, last: Report) -> RunFigures:
    """What a run came to by an evaluation."""
    saved = SavedModel.load(job.folder / MODEL_NAME)
    metrics = saved.info["metrics"]
    return replace(
        figures_of(job, None, saved),
        steps=last.step,
        seconds=last.seconds,
        chars_per_second=last.chars_per_second,
        chars_seen=int(metrics["chars_seen"]),
        bits_per_char=last.best_bits_per_char,
        val_tokens=int(metrics["val_tokens"]),
    )
