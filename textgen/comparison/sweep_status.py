"""Where the runs stand that several workers share out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textgen.arguments import checked
from textgen.comparison.claims import ALIVE, BEAT, GONE, SILENT, Claim, Claims
from textgen.comparison.submission import JobStatus, job_states
from textgen.comparison.sweep import Sweep
from textgen.errors import StorageError
from textgen.messages import Call, Named, in_python, marks_of, told
from textgen.table import Column, Table
from textgen.training.folder import read_reports

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """Where a run of a sweep stands.

    Args:
        name: Of the run, and of its folder.
        state: `done`, `running`, `left` (by a worker that ended or died: the next one goes on with
            it), `silent` (nothing was heard of its worker while this was looked up), `failed`, or
            `waiting`.
        host: The machine of its worker.
        process: The worker there.
        times: How often it was claimed.
        step: Steps reported.
        steps: Of how many.
        val_bits_per_char: The last evaluation's.
        reason: Why it failed.
    """

    name: str
    state: str
    host: str | None = None
    process: int | None = None
    times: int = 0
    step: int | None = None
    steps: int | None = None
    val_bits_per_char: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class SweepStatus:
    """Where all runs of a sweep stand.

    Args:
        folder: That of the comparison.
        runs: In the order in which they are taken.
        jobs: The workers that were submitted.
    """

    folder: Path
    runs: tuple[RunStatus, ...]
    jobs: tuple[JobStatus, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data: `textgen.compare.status`, version 1."""
        return {
            "schema": "textgen.compare.status",
            "version": 1,
            "folder": str(self.folder),
            "counts": self.counts,
            "runs": [asdict(run) for run in self.runs],
            "jobs": [asdict(job) for job in self.jobs],
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        states = [run.state for run in self.runs]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    def table(self) -> Table:
        """A row for each run."""
        columns = (
            *("name", "state", Column("host", "machine"), Column("process", format="d")),
            *(Column("times", "begun"), "step", "steps"),
            Column("val_bits_per_char", "val, bits/char", ".3f"),
            Column("reason", "why"),
        )
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        return Table.from_records(
            columns,
            [asdict(run) for run in self.runs],
            notes=(f"{len(self.runs)} runs in {self.folder}: {counts}.",),
        )

    def job_table(self) -> Table:
        """A row for each worker that was submitted."""
        columns = (Column("id", "job"), "where", "state", Column("reason", "why"))
        return Table.from_records(columns, [asdict(job) for job in self.jobs])

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """The table, column by column."""
        return self.table().to_arrays()


@checked()
def sweep_status(
    folder: str | Path, words: Callable[[Named | Call], str] = in_python
) -> SweepStatus:
    """Where each run of a comparison stands that workers share out, and each job submitted for it.

    It takes some seconds where workers on other machines are at work, for whoever lives is known by
    a beat of the heart.

    Args:
        folder: That of the comparison.
        words: In what words a reason names a setting: see `textgen.messages`.
    Raises:
        RunFolderError: No worker has begun there.
    """
    folder = Path(folder)
    sweep: Sweep[Any] = Sweep(folder, object)
    names = sweep.planned()
    claims = Claims(sweep.path)
    latest = claims.latest()
    states = {claim.name: "failed" for claim in latest.values() if claim.failed}
    states |= dict.fromkeys(sweep.done(), "done")
    open_ = [latest[name] for name in names if name in latest and name not in states]
    told_of = {ALIVE: "running", GONE: "left", SILENT: "silent"}
    found = claims.settle(open_, 2 * BEAT)
    states |= {claim.name: told_of[state] for claim, state in found.items()}
    runs = (_status(folder, name, states.get(name, "waiting"), latest.get(name)) for name in names)
    told_runs = (replace(run, reason=told(marks_of(run.reason), words)) for run in runs)
    return SweepStatus(folder=folder, runs=tuple(told_runs), jobs=job_states(folder))


def _status(folder: Path, name: str, state: str, claim: Claim | None) -> RunStatus:
    if claim is None:
        return RunStatus(name=name, state=state)
    try:
        reports = read_reports(folder / name)
    except StorageError:
        reports = []
    step, steps, bits = None, None, None
    if reports:
        step, steps, bits = reports[-1].step, reports[-1].steps, reports[-1].val_bits_per_char
    owner = claim.owner
    return RunStatus(
        name=name,
        state=state,
        host=None if owner is None else owner.host,
        process=None if owner is None else owner.process,
        times=claim.number,
        step=step,
        steps=steps,
        val_bits_per_char=bits,
        reason=claim.failed,
    )
