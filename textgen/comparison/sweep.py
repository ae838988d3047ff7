"""Runs that several workers share out: what is asked of them, who has which, what each came to.

All of it stands in the folder `sweep` beside the runs, which are ordinary ones:

    sweep/plan.json     what is asked of the runs: a worker that is asked for something else ends
    sweep/claims        who has which run: see `textgen.comparison.claims`
    sweep/beats         the heartbeats of the workers
    sweep/results       what each run that is over came to, written once
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

from textgen.comparison.claims import (
    BEAT,
    GONE,
    Claim,
    ClaimLostError,
    Claims,
    Worker,
    make_claims,
)
from textgen.comparison.happening import Failed, Halted, Happening, Measured, RunEvent
from textgen.errors import FolderInUseError, RunFolderError, StorageError, TextgenError, named
from textgen.files import (
    create_once,
    is_link_at,
    make_folder,
    os_reason,
    read_plain,
    remove_lock_of,
)
from textgen.options import TrainOptions
from textgen.plain_data import from_plain
from textgen.progress import task
from textgen.table import finite
from textgen.training.resume import request_of
from textgen.training.run import Stop

Result = TypeVar("Result")

#: Trains and measures a run by its name, its place among the others, and the worker that has it.
Perform = Callable[[str, Mapping[str, Any], Worker], Generator[RunEvent, None, Result | None]]

#: The result of a comparison, beside its runs.
RECORD_NAME = "comparison.json"
#: The folder of all that workers share, in the folder of the comparison.
SWEEP_NAME = "sweep"
_PLAN, _RESULTS = "plan.json", "results"
#: How it went with a run.
_OVER, _STOPPED, _BUSY = "over", "stopped", "busy"
#: The claim that is not of a run: who has it measures how many steps a time comes to.
PLANNING = "planning"
#: Seconds between two looks at what the others do: at first, then twice as many each time up to
#: `LOOK`, which is more where many are at work.
FIRST_LOOK, LOOK, LOOK_FOR_EACH = 0.05, 1.0, 0.05


class Sweep(Generic[Result]):
    """The runs that workers share out in the folder of a comparison.

    Args:
        folder: That of the comparison.
        kind: What a run comes to: a dataclass that `from_plain` reads back.
    """

    def __init__(self, folder: Path, kind: type[Result]) -> None:
        self.folder = folder
        self._kind = kind
        self.path = folder / SWEEP_NAME
        if is_link_at(self.path):
            raise StorageError(
                f"{self.path} is a symbolic link, and none is followed in the folder of a "
                "comparison; delete it"
            )

    @property
    def is_begun(self) -> bool:
        """Whether workers have shared out runs here."""
        return os.path.lexists(self.path / _PLAN)

    def worker(self) -> Worker:
        """A worker, to be entered."""
        make_claims(self.path)
        make_folder(self.path / _RESULTS, within=self.folder)
        return Worker(self.path)

    def agree(self, asked: Mapping[str, Any], threads: int) -> dict[str, Any]:
        """Write down what is asked of the runs, or compare it with what stands there.

        Args:
            asked: By name; what `agreed` made.
            threads: How many threads all runs compute with, where nothing is asked.
        Returns:
            What stands there now.
        Raises:
            RunFolderError: The runs were begun with other settings.
        """
        make_claims(self.path)
        path = self.path / _PLAN
        own = asked["settings"]
        settings = {**own, "threads": own["threads"] or threads}
        text = json.dumps(finite({**asked, "settings": settings}), indent=1, allow_nan=False)
        create_once(path, f"{text}\n".encode())
        there: dict[str, Any] = _read(path)
        # As it comes back from a file.
        refuse_other(self.folder, there, json.loads(json.dumps(finite(asked))))
        return there

    def work(
        self,
        labels: Mapping[str, str],
        perform: Perform[Result],
        stop: Stop,
    ) -> Generator[Happening, None, dict[str, Result] | None]:
        """Take one run after the other, as long as there is one that nobody has, and wait for those
        of the others.

        Args:
            labels: The names of the runs, in order, and what people call each.
            perform: Trains and measures a run that this worker has; None where it was stopped.
            stop: Whether to stop.
        Returns:
            What each run came to, in order; None where the worker was stopped.
        Raises:
            RunFolderError: All that is left has failed.
        """
        names = list(labels)

        def place(name: str) -> dict[str, Any]:
            number = names.index(name) + 1
            return {"label": labels[name], "number": number, "runs": len(names)}

        with self.worker() as worker:
            # What failed before this worker came is tried once more.
            again = {claim for claim in worker.latest().values() if claim.failed}
            lost, busy, done, pause = 0, set[str](), self.done(), FIRST_LOOK
            while True:
                claims = worker.latest()
                free = [
                    name
                    for name in names
                    if name not in done and self._is_free(worker, claims.get(name), again)
                ]
                # Read last: whoever is gone may have brought its run to an end before.
                done = self.done()
                free = [name for name in free if name not in done]
                left = [name for name in names if name not in done]
                if not free:
                    failed = {name: claims[name].failed for name in left if name in claims}
                    if all(failed.get(name) for name in left):
                        break
                    with task("waiting for the runs of other workers"):
                        time.sleep(pause)
                    pause = min(2 * pause, max(LOOK, LOOK_FOR_EACH * len(left)))
                    if stop():
                        yield Halted(**place(left[0]))
                        return None
                    continue
                pause = FIRST_LOOK
                # Where many come at once, they do not all want the next one.
                free = [name for name in free if name not in busy] or free
                name = random.choice(free) if lost else free[0]
                before = claims.get(name)
                if not worker.take(name, before):
                    lost += 1
                    continue
                lost = 0
                went = yield from self._perform(name, before, place(name), perform, worker)
                if went == _BUSY:
                    # What else is free comes first.
                    busy.add(name)
                    time.sleep(LOOK)
                if went == _STOPPED or (stop() and len(self.done()) < len(names)):
                    yield Halted(**place(name))
                    return None
            if left:
                raise RunFolderError(_failures(self.folder, failed))
            results = {name: self.result(name) for name in names}
        return results

    def result(self, name: str) -> Result:
        """What a run that is over came to."""
        path = self.path / _RESULTS / f"{name}.json"
        return from_plain(self._kind, _read(path))

    def clear(self) -> None:
        """Remove what workers have shared out, to begin again.

        Raises:
            FolderInUseError: A worker lives, or may live.
        """
        if not os.path.lexists(self.path):
            return
        claims, done = Claims(self.path), self.done()
        latest = claims.latest().values() if self.is_begun else ()
        open_ = [claim for claim in latest if not claim.failed and claim.name not in done]
        # Of a worker on another machine, or from before a restart, a first look says nothing.
        with task("looking whether the workers live"):
            found = claims.settle(open_, claims.patience + BEAT)
        alive = [claim for claim in open_ if found[claim] != GONE]
        if alive:
            claim = min(alive, key=lambda claim: claim.name)
            owner = claim.owner
            who = "a worker" if owner is None else f"process {owner.process} on {owner.host}"
            raise FolderInUseError(
                f"{who} has the run {claim.name} of {self.folder}; stop it, or choose another "
                f"folder: {named('out', 'DIR')} (if no such process runs, delete {self.path})"
            )
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            raise StorageError(f"cannot delete {self.path}: {os_reason(error)}") from error

    def planned(self) -> list[str]:
        """The names of the runs.

        Raises:
            RunFolderError: No worker has begun here.
        """
        if not self.is_begun:
            raise RunFolderError(
                f"no workers have shared out runs in {self.folder}; start one there: "
                f"{named('join', True)}, or name the folder of a comparison: {named('out', 'DIR')}"
            )
        return list(_read(self.path / _PLAN)["runs"])

    def done(self) -> set[str]:
        """The names of the runs that are over."""
        try:
            files = os.listdir(self.path / _RESULTS)
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {os_reason(error)}") from error
        return {file.removesuffix(".json") for file in files if not file.startswith(".")}

    @staticmethod
    def _is_free(worker: Worker, claim: Claim | None, again: set[Claim]) -> bool:
        if claim is None:
            return True
        if claim.failed:
            return claim in again
        # Its own claim is of a folder in which somebody else was at work.
        return claim.owner == worker.owner or worker.is_gone(claim)

    def _perform(
        self,
        name: str,
        before: Claim | None,
        place: Mapping[str, Any],
        perform: Perform[Result],
        worker: Worker,
    ) -> Generator[Happening, None, str]:
        """Train and measure a run; how that went."""
        if before is not None and before.owner is not None and not before.failed:
            remove_lock_of(self.folder / name, before.owner.process, before.owner.host)
        try:
            result = yield from perform(name, place, worker)
            if result is None:
                return _STOPPED
            worker.check()
            self._save(name, result)
            worker.let_go()
            yield Measured(**place, summary=result.summary)  # type: ignore[attr-defined]
        except (ClaimLostError, FolderInUseError):
            # Somebody is at it who was taken for dead: he, or who has it now, brings it to an end.
            worker.let_go()
            return _BUSY
        except (TextgenError, MemoryError) as error:
            reason = getattr(error, "marked", str(error)) or type(error).__name__
            worker.fail(reason)
            yield Failed(**place, reason=reason)
        return _OVER

    def _save(self, name: str, result: Result) -> None:
        data = json.dumps(asdict(result), ensure_ascii=True)  # type: ignore[call-overload]
        create_once(self.path / _RESULTS / f"{name}.json", data.encode())


def agreed(
    paths: Sequence[str], text: str, options: Mapping[str, TrainOptions], **more: Any
) -> dict[str, Any]:
    """What is asked of runs, as it is written down.

    Args:
        paths: Of the text, absolute.
        text: The hash of its content.
        options: What is asked of each run, by its name.
        more: What else all workers must be asked for.
    """
    requests = {name: _flat(asked) for name, asked in options.items()}
    first = next(iter(requests.values()))
    own = {
        name: {key: value for key, value in asked.items() if value != first[key]}
        for name, asked in requests.items()
    }
    return {"paths": list(paths), "sha256": text, **more, "settings": first, "runs": own}


def _flat(options: TrainOptions) -> dict[str, Any]:
    request = dict(request_of(options, ""))
    corpus: Any = request.pop("corpus")
    return {**request, **corpus}


def refuse_other(folder: Path, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise `RunFolderError` where runs were begun with other settings than a worker's."""
    start_again = (
        f"ask for the same, or share out other runs in another folder: {named('out', 'DIR')}"
    )
    if there.get("sha256") != asked["sha256"]:
        shown = ", ".join(asked["paths"])
        raise RunFolderError(
            f"the runs in {folder} are trained on another text than what is in {shown} here; give "
            f"all workers the same text, or {start_again}"
        )
    for name, value in _compared(asked).items():
        began = _compared(there).get(name)
        if name == "threads" and value is None:
            continue  # Which is then as the first worker had it.
        if name == "runs" and began != value:
            missing = sorted(set(began or ()) ^ set(value))
            what = f"without {missing[0]}" if missing and missing[0] in value else "with other runs"
            if missing and missing[0] in (began or ()):
                what = f"with {missing[0]} too"
            raise RunFolderError(f"the runs in {folder} were begun {what}; {start_again}")
        if began != value:
            raise RunFolderError(
                f"the runs in {folder} were begun with {named(name)} = {began}, not {value}; "
                f"{start_again}"
            )


def _compared(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What two plans are compared by: what much follows from comes first."""
    apart = ("settings", "sha256", "runs")
    rest = {name: value for name, value in plan.items() if name not in apart}
    return {**rest, **plan.get("settings", {}), "runs": plan.get("runs")}


def _failures(folder: Path, failed: Mapping[str, str]) -> str:
    name, reason = next((name, why) for name, why in failed.items() if why)
    count = sum(map(bool, failed.values()))
    more = f", and {count - 1} more" if count > 1 else ""
    return (
        f"{name} failed: {reason}{more}; the other runs in {folder} are done. A worker that comes "
        "now tries again what failed"
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(read_plain(path))
    except OSError as error:
        raise StorageError(f"cannot read {path}: {os_reason(error)}") from error
    except ValueError as error:
        raise RunFolderError(
            f"{path} is damaged; share out the runs in another folder: {named('out', 'DIR')}, or "
            f"start again: {named('force', True)}"
        ) from error
