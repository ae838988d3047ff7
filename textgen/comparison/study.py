"""Optuna's part of a search: which values are tried next, and which runs are not worth their end.

The study is Optuna's, in its journal `sweep/study.log`, which several machines write to behind the
lock of a file. A trial is one line there, with all its values, and belongs to a run by the run's
number. Its values follow from that number, the seed, and what is known of the trials before it. So
one worker that was killed and began again tries the same values.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textgen.comparison.search_space import Searched, Value
from textgen.errors import BackendError, StorageError, named
from textgen.extras import install_hint
from textgen.files import is_link_at, open_plain, os_reason
from textgen.training.events import Report

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STUDY_LOG = "study.log"
#: What Optuna puts after the name of its journal for the file that is its lock.
_LOCK_ENDING = ".lock"
_RUN = "run"
#: A run is compared with the others at each of its evaluations, but not in the first share of its
#: length, and not before so many others have come to their end.
WARM_UP, FIRST_TRIALS = 0.2, 5


class SharedStudy:
    """A study in a folder that workers share.

    Args:
        folder: The folder `sweep`.
        space: What is searched.
        seed: Of what is drawn.
    Raises:
        BackendError: Optuna is missing.
        StorageError: The journal cannot be read or written.
    """

    def __init__(self, folder: Path, space: Sequence[Searched], seed: int) -> None:
        try:
            import optuna
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
        except ImportError as error:
            raise BackendError(
                "a search needs the library optuna, which is not installed; "
                f"{install_hint('optuna')}"
            ) from error
        optuna.logging.disable_default_handler()
        path = self._path = folder / STUDY_LOG
        for own in (path, Path(f"{path}{_LOCK_ENDING}")):
            if is_link_at(own):
                raise StorageError(
                    f"{own} is a symbolic link, and none is followed in the folder of a "
                    "comparison; delete it"
                )

        class Lock(JournalFileOpenLock):
            def acquire(self) -> bool:
                taken = super().acquire()
                try:
                    _mend(path)
                except BaseException:
                    self.release()
                    raise
                return taken

        with self._told():
            self._storage = JournalStorage(JournalFileBackend(str(path), lock_obj=Lock(str(path))))
            self._study = optuna.create_study(
                storage=self._storage,
                study_name="textgen",
                load_if_exists=True,
                direction="minimize",
                pruner=optuna.pruners.MedianPruner(
                    n_startup_trials=FIRST_TRIALS, n_warmup_steps=round(100 * WARM_UP)
                ),
            )
        self._optuna = optuna
        self._space = {own.name: own for own in space}
        self._seed = seed

    def values(self, run: int) -> dict[str, Value]:
        """The values of a run: those that it has, or new ones."""
        with self._told():
            known = self._trials()
            if (trial := known.get(run)) is None:
                drawn = self._drawn([known[number] for number in sorted(known)], run)
                self._study.add_trial(
                    self._optuna.trial.create_trial(
                        state=self._optuna.trial.TrialState.RUNNING,
                        params=drawn,
                        distributions=self._distributions(),
                        user_attrs={_RUN: run},
                    )
                )
                trial = self._trials()[run]
            return {name: trial.params[name] for name in self._space}

    def is_hopeless(self, run: int, reports: Iterable[Report]) -> Report | None:
        """Tell the evaluations of a run; the one after which it is not worth its end, or None."""
        last: Report | None = None
        with self._told():
            trial = self._trials()[run]
            if trial.state.is_finished():
                return None  # Its worker died after it had told what the run came to.
            for report in reports:
                if report.evaluated and report.val_bits_per_char is not None:
                    self._storage.set_trial_intermediate_value(
                        trial._trial_id,
                        round(100 * report.step / report.steps),
                        report.val_bits_per_char,
                    )
                    last = report
            if last is None or last.step == last.steps:
                return None
            return last if self._study.pruner.prune(self._study, self._trials()[run]) else None

    def was_stopped(self, run: int) -> bool:
        """Whether a run was given up."""
        with self._told():
            state = self._trials()[run].state
        return bool(state == self._optuna.trial.TrialState.PRUNED)

    def finish(self, run: int, bits_per_char: float | None) -> None:
        """Tell what a run came to; None: it was given up, or is none to learn from."""
        states = self._optuna.trial.TrialState
        with self._told():
            trial = self._trials()[run]
            if trial.state.is_finished():
                return
            if bits_per_char is None:
                self._study.tell(trial.number, state=states.PRUNED)
            else:
                self._study.tell(trial.number, bits_per_char)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What Optuna and the disk say is told as `StorageError`."""
        try:
            yield
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"cannot use {self._path}: {os_reason(error)}") from error
        except Exception as error:  # Of a damaged journal Optuna says anything.
            raise StorageError(
                f"cannot use {self._path}: {error!r}; if it is damaged, search in another folder: "
                f"{named('out', 'DIR')}, or start again: {named('force', True)}"
            ) from error

    def _trials(self) -> dict[int, FrozenTrial]:
        """The trials by the numbers of their runs."""
        found: dict[int, FrozenTrial] = {}
        for trial in self._study.get_trials(deepcopy=False):
            found.setdefault(trial.user_attrs[_RUN], trial)
        return found

    def _drawn(self, known: Sequence[FrozenTrial], run: int) -> dict[str, Any]:
        """New values, as a sampler draws them that knows these trials and nothing else."""
        sampler = self._optuna.samplers.TPESampler(seed=self._seed * 10_007 + run)
        rehearsal = self._optuna.create_study(direction="minimize", sampler=sampler)
        rehearsal.add_trials(known)
        params: dict[str, Any] = rehearsal.ask(self._distributions()).params
        return params

    def _distributions(self) -> dict[str, BaseDistribution]:
        kinds = self._optuna.distributions
        made: dict[str, BaseDistribution] = {}
        for own in self._space.values():
            if own.choices:
                made[own.name] = kinds.CategoricalDistribution(own.choices)
            elif isinstance(own.low, int) and isinstance(own.high, int):
                step = int(own.step or 1)
                made[own.name] = kinds.IntDistribution(own.low, own.high, own.log, step)
            else:
                made[own.name] = kinds.FloatDistribution(own.low, own.high, own.log, own.step)
        return made


def _mend(path: Path) -> None:
    """Take away a line that a killed worker left unfinished: nobody could read on behind it."""
    try:
        with open_plain(path, write=True) as file:
            if not file.seek(0, os.SEEK_END):
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot read {path}: {os_reason(error)}") from error
