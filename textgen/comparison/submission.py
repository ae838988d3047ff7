"""Workers that a cluster starts, or this machine, without a terminal: through submitit.

A job is one worker: the command of a person with what makes it join, in a process of its own. What
jobs there are stands in the folder `sweep/jobs`, beside their output, so that any process can say
later what became of them. submitit keeps there what a job is to do as a pickle; this module reads
none, and only the job itself does.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from textgen.arguments import checked
from textgen.comparison.claims import this_machine
from textgen.comparison.sweep import SWEEP_NAME
from textgen.errors import BackendError, ConfigError, StorageError, TextgenError, named
from textgen.extras import install_hint
from textgen.files import atomic_write_text, is_running, make_folder, read_plain
from textgen.plain_data import from_plain

SLURM, LOCAL = "slurm", "local"
PLACES = (SLURM, LOCAL)
_JOBS = "jobs"
#: How long a job may take, in minutes. A worker at its limit is started again by Slurm as often as
#: it takes; one of this machine has a year.
SLURM_MINUTES, LOCAL_MINUTES, MOST_RESTARTS = 240, 525_600, 1000
#: Seconds that a worker has to save its run before its job ends.
SAVE_SECONDS = 60
#: Jobs of this machine: Python complains of a process that has not ended and that nobody holds.
_STARTED: list[Any] = []
#: What is shown of the output of a job that failed, in characters.
_TAIL = 300


@dataclass(frozen=True, kw_only=True)
class SubmittedJob:
    """A worker that was submitted.

    Args:
        id: As Slurm calls it; on this machine the number of the process.
        where: `slurm` or `local`.
        machine: What tells the running system on which it was submitted from all others.
        mark: What tells it from all other jobs: a number of a process comes again.
    """

    id: str
    where: str
    machine: str
    mark: str


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """What became of a worker that was submitted.

    Args:
        id: As in `SubmittedJob`.
        where: Likewise.
        state: `ended`, `failed`, or what Slurm says of it, in small letters; of this machine's,
            `running`; `unknown` where neither is known.
        reason: The end of what a failed one said.
    """

    id: str
    where: str
    state: str
    reason: str = ""


class Work:
    """What a job does. It is called where the job runs.

    Args:
        words: The command of the worker, after `textgen`.
        mark: As in `SubmittedJob`.
    """

    def __init__(self, words: Sequence[str], mark: str) -> None:
        self.words = list(words)
        self.mark = mark
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Work until nothing is left, and write down how that ended."""
        # Ctrl-C at the terminal that a worker of this machine was started from is not for it.
        alone = os.environ.get("SUBMITIT_EXECUTOR") == LOCAL
        # Slurm tells all processes of a job that its time is nearly up. What follows from that is
        # decided here: a worker whom that signal reached would end without saving its run.
        with _ignored("SIGUSR1", "SIGUSR2"):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "textgen", *self.words],
                start_new_session=alone and sys.platform != "win32",
            )
        code = self._process.wait()
        folder = Path(os.environ["SUBMITIT_FOLDER"])
        atomic_write_text(folder / f"{self.mark}.ended", f"{code}\n")
        return code

    def checkpoint(self) -> Any:
        """End the worker, which saves its run, and say what is to be done when the job is run
        again: the same. submitit calls it at the end of a job's time."""
        from submitit.core.utils import DelayedSubmission

        if (process := self._process) is not None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SAVE_SECONDS)
        return DelayedSubmission(Work(self.words, self.mark))


@checked()
def submit_workers(
    folder: str | Path,
    words: Sequence[str],
    *,
    where: str,
    workers: int,
    settings: str = "",
) -> tuple[SubmittedJob, ...]:
    """Start workers, as an array of jobs.

    Args:
        folder: That of the comparison.
        words: The command of a worker, after `textgen`, with the flag that makes it join and this
            folder: docs/many_machines.md shows one.
        where: `slurm` or `local`.
        workers: How many.
        settings: For Slurm, as for `sbatch`, such as `partition=cpu,time=120`.
    Returns:
        The jobs. `sweep_status` tells what becomes of them.
    Raises:
        BackendError: submitit is missing, or there is no Slurm here, or it refused.
        ConfigError: A setting is none of Slurm's, or `words` is a text.
    """
    folder = Path(folder)
    if isinstance(words, str):
        raise ConfigError("words is one text; give the words of the command as a list")
    if where not in PLACES:
        raise ConfigError(f"{named('submit')} is '{where}'; it must be one of {', '.join(PLACES)}")
    if workers < 1:
        raise ConfigError(f"{named('workers')} is {workers}; it must be at least 1")
    asked = slurm_settings(settings)
    if asked and where != SLURM:
        raise ConfigError(
            f"{named('slurm')} belongs to {named('submit', SLURM)}; give it, or leave it out"
        )
    try:
        import submitit
    except ImportError as error:
        raise BackendError(
            "submitting workers needs the library submitit, which is not installed; "
            f"{install_hint('submitit')}"
        ) from error
    jobs = folder / SWEEP_NAME / _JOBS
    make_folder(jobs, within=folder)
    if where == SLURM and shutil.which("srun") is None:
        raise BackendError(
            "there is no Slurm here (no program srun); do this where jobs are submitted, or start "
            f"the workers on this machine: {named('submit', LOCAL)}"
        )
    try:
        executor: Any
        if where == SLURM:
            executor = submitit.SlurmExecutor(folder=jobs, max_num_timeout=MOST_RESTARTS)
            executor.update_parameters(
                **{"job_name": "textgen", "time": SLURM_MINUTES, **asked},
                signal_delay_s=2 * SAVE_SECONDS,
                array_parallelism=workers,
            )
        else:
            executor = submitit.LocalExecutor(folder=jobs)
            executor.update_parameters(timeout_min=LOCAL_MINUTES)
        marks = [secrets.token_hex(8) for _ in range(workers)]
        # What is started goes on when the terminal is closed, as `nohup` has it.
        with _ignored("SIGHUP"):
            made = executor.submit_array([Work(words, mark) for mark in marks])
        _STARTED.extend(made)
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"{named('slurm', settings)}: {first}") from error
    except Exception as error:
        if isinstance(error, TextgenError):
            raise
        raise BackendError(f"the jobs were not submitted: {error}") from error
    found = tuple(
        SubmittedJob(id=job.job_id, where=where, machine=this_machine(), mark=mark)
        for job, mark in zip(made, marks, strict=True)
    )
    text = "".join(f"{json.dumps(asdict(job))}\n" for job in found)
    # By the time, so that they are told in order.
    atomic_write_text(jobs / f"{time.time_ns():020}-{marks[0]}.jobs", text)
    return found


@contextlib.contextmanager
def _ignored(*names: str) -> Iterator[None]:
    """What is started inside the block ignores some signals, where the system has them."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        signums = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def slurm_settings(text: str) -> dict[str, str | int]:
    """The settings in a text such as `partition=cpu,time=120`; minutes and counts as numbers.

    Raises:
        ConfigError: A part of it is no setting.
    """
    found: dict[str, str | int] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(
                f"{named('slurm')}: '{part}' is no setting; type them like partition=cpu,time=120"
            )
        key = name.strip().removeprefix("-" * 2).replace("-", "_")
        found[key] = int(value) if value.strip().isdecimal() else value.strip()
    return found


def job_states(folder: Path) -> tuple[JobStatus, ...]:
    """What became of the workers that were submitted for a comparison, in order.

    Args:
        folder: That of the comparison.
    """
    place = folder / SWEEP_NAME / _JOBS
    jobs = list(_submitted(place))
    asked = [job for job in jobs if job.where == SLURM and _code(place, job) is None]
    told = _slurm_states(asked)
    return tuple(_state(place, job, told) for job in jobs)


def _submitted(place: Path) -> Iterable[SubmittedJob]:
    for path in sorted(place.glob("*.jobs")):
        try:
            for line in read_plain(path).splitlines():
                job = from_plain(SubmittedJob, json.loads(line))
                for name in (job.id, job.mark):
                    if not name.replace("_", "").isalnum():
                        raise ValueError(f"'{name}' names no job")
                yield job
        except (OSError, ValueError) as error:
            raise StorageError(f"cannot read {path}: {error}") from error


def _state(place: Path, job: SubmittedJob, told: Mapping[str, str]) -> JobStatus:
    code = _code(place, job)
    if code is None and job.where == LOCAL:
        here = job.machine == this_machine() and sys.platform != "win32"
        runs = here and job.id.isdecimal() and is_running(int(job.id))
        state = "running" if runs else "unknown"
    elif code is None:
        state = told.get(job.id, "unknown")
    else:
        state = "failed" if code else "ended"
    reason = _last_words(place, job) if state not in ("ended", "running", "pending") else ""
    return JobStatus(id=job.id, where=job.where, state=state, reason=reason)


def _code(place: Path, job: SubmittedJob) -> int | None:
    """How the worker of a job ended; None where it has not, or could not say so."""
    with contextlib.suppress(OSError, ValueError):
        return int(read_plain(place / f"{job.mark}.ended"))
    return None


def _last_words(place: Path, job: SubmittedJob) -> str:
    """The last line that a worker said."""
    with contextlib.suppress(OSError):
        text = read_plain(place / f"{job.id}_0_log.err").decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.startswith("textgen: ")]
        return (lines or text.splitlines() or [""])[-1][-_TAIL:].removeprefix("textgen: ")
    return ""


def _slurm_states(jobs: Sequence[SubmittedJob]) -> dict[str, str]:
    """What Slurm says of jobs; nothing where it is not here."""
    if not jobs:
        return {}
    try:
        from submitit.slurm.slurm import SlurmInfoWatcher
    except ImportError:
        return {}
    watcher = SlurmInfoWatcher()
    states = {}
    for job in jobs:
        watcher.register_job(job.id)
    for number, job in enumerate(jobs):
        told = watcher.get_state(job.id, mode="cache" if number else "force")
        # Such as `CANCELLED by 1000`.
        states[job.id] = told.split()[0].lower()
    return states
