"""Which worker has which run: claims and heartbeats, as files in a folder that machines share.

A **claim** is a file `NAME.1` that one worker creates and all others then find there: see
`textgen.files.create_once`. It is never changed, and is not taken back. Who takes a run over
from a worker that is gone creates `NAME.2`, so that of several who want it one gets it; the claim
with the highest number counts.

A **heartbeat** is a file of a worker, whose number it raises every few seconds. Others compare that
number with the one that they saw before, and the time between with their own clock, so that clocks
need not agree. A worker is gone if its file is, or if the number stands still for long. Two things
are known at once, by a lock of the kernel on that file: on the same machine, that a worker is dead;
and anywhere, that one whose number stands still is only slow. No lock is needed for the rest.

What a worker does that was taken for dead and was not: before it writes anything after a pause, it
looks whether its run was taken over (`Worker.check`), and leaves it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from textgen.errors import RunFolderError, StorageError
from textgen.files import create_once, make_folder, open_plain, os_reason, read_plain
from textgen.plain_data import from_plain
from textgen.systems import BINARY, remove_open, try_lock

#: Seconds between two beats of a heart, and after how many without one a worker is gone. A network
#: disk may show a file as it was up to a minute ago.
BEAT, PATIENCE = 5.0, 90.0
#: Seconds between two looks of one who waits to know.
_LOOK = 0.2
#: What is known of a worker.
ALIVE, GONE, SILENT = "alive", "gone", "silent"
_BEATS, _CLAIMS = "beats", "claims"
_FAILED = ".failed"
#: What tells one running system from another, also where two have one name.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ClaimLostError(RunFolderError):
    """A worker that was taken for dead has lost its run to another one."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A worker, as its claims name it.

    Args:
        worker: Its name, the only one.
        host: The machine, for people.
        process: The process there.
        machine: What tells the running system from all others.
    """

    worker: str
    host: str
    process: int
    machine: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim that counts.

    Args:
        name: What is claimed.
        number: How often it has been claimed.
        owner: By whom; None where that cannot be read.
        failed: Why it came to nothing; "" where it did not.
    """

    name: str
    number: int
    owner: Owner | None
    failed: str = ""


@dataclass
class _Heard:
    """What was last heard of a worker, and when by the own clock."""

    beat: bytes
    since: float


def make_claims(folder: Path) -> None:
    """Make the folder in which claims and heartbeats are kept."""
    make_folder(folder.parent)
    for part in (folder, folder / _BEATS, folder / _CLAIMS):
        make_folder(part, within=folder.parent)


class Claims:
    """The claims in a folder, looked at.

    Args:
        folder: What `make_claims` made.
        patience: Seconds without a beat after which a worker of another machine is gone.
    """

    def __init__(self, folder: Path, *, patience: float = PATIENCE) -> None:
        self.folder = folder
        self.patience = patience
        self._owners: dict[str, Owner | None] = {}
        self._heard: dict[str, _Heard] = {}

    def latest(self) -> dict[str, Claim]:
        """The claim that counts, by the name of what is claimed."""
        try:
            files = set(os.listdir(self.folder / _CLAIMS))
        except FileNotFoundError:
            return {}  # Whoever deleted the folder was interrupted.
        except OSError as error:
            raise StorageError(f"cannot read {self.folder}: {os_reason(error)}") from error
        numbers: dict[str, int] = {}
        for file in files:
            name, _, number = file.rpartition(".")
            if name and not name.startswith(".") and number.isdecimal():
                numbers[name] = max(numbers.get(name, 0), int(number))
        return {
            name: Claim(
                name=name,
                number=number,
                owner=self._owner_of(f"{name}.{number}"),
                failed=self._reason(f"{name}.{number}{_FAILED}", files),
            )
            for name, number in numbers.items()
        }

    def is_gone(self, claim: Claim) -> bool:
        """Whether the worker that has a claim has ended, or is taken to be dead."""
        return self.look(claim) == GONE

    def settle(self, claims: Iterable[Claim], seconds: float) -> dict[Claim, str]:
        """What is known of the workers that have claims, after several looks.

        Args:
            claims: The claims.
            seconds: After so long those of whom nothing was heard are `SILENT`.
        """
        found = dict.fromkeys(claims, SILENT)
        until = clock() + seconds
        while True:
            is_last = clock() > until
            found |= {claim: self.look(claim) for claim in found if found[claim] == SILENT}
            if is_last or SILENT not in found.values():
                return found
            time.sleep(_LOOK)

    def look(self, claim: Claim) -> str:
        """What is known of the worker that has a claim: `ALIVE`, `GONE` or `SILENT`.

        Of a worker on another machine nothing is known at the first look.
        """
        if (owner := claim.owner) is None:
            # It is just being written, or whoever was at that is dead.
            return self._pulse(f"{claim.name}.{claim.number}", b"", None)
        free: bool | None = None
        try:
            with self._opened_beat(owner) as file:
                beat = file.read()
                with contextlib.suppress(OSError):
                    free = try_lock(file.fileno())
        except FileNotFoundError:
            return GONE
        except OSError:
            return SILENT
        if free is not None and owner.machine == this_machine():
            return GONE if free else ALIVE
        return self._pulse(owner.worker, beat, free)

    def _pulse(self, name: str, beat: bytes, free: bool | None) -> str:
        """Whether a heart beats, has stood still for long, or is to be looked at again.

        Args:
            name: Of the worker.
            beat: What is read there now.
            free: Whether nobody has the lock; None where that is not known.
        """
        now, before = clock(), self._heard.get(name)
        if before is None or before.beat != beat:
            self._heard[name] = _Heard(beat, now)
            return SILENT if before is None else ALIVE
        return GONE if now - before.since > self.patience and free is not False else SILENT

    def _opened_beat(self, owner: Owner) -> BinaryIO:
        path = self._beat_of(owner)
        try:
            # Some network disks lock only what is open for writing.
            return open_plain(path, write=True)
        except PermissionError:
            return open_plain(path)  # Another user's.

    def _beat_of(self, owner: Owner) -> Path:
        return self.folder / _BEATS / owner.worker

    def _owner_of(self, file: str) -> Owner | None:
        """Who made a claim, which never changes; None while it is being written."""
        if self._owners.get(file) is None:
            owner = None
            with contextlib.suppress(OSError, ValueError):
                owner = from_plain(Owner, json.loads(read_plain(self.folder / _CLAIMS / file)))
                if os.path.basename(owner.worker) != owner.worker:
                    owner = None
            self._owners[file] = owner
        return self._owners[file]

    def _reason(self, file: str, files: set[str]) -> str:
        if file not in files:
            return ""
        with contextlib.suppress(OSError, ValueError):
            return str(json.loads(read_plain(self.folder / _CLAIMS / file))) or "?"
        return "?"


class Worker(Claims):
    """A worker, as a context: its heart beats as long as that, in a thread of its own.

    Args:
        folder: What `make_claims` made.
        beat: Seconds between two beats.
        patience: As in `Claims`.
    """

    def __init__(self, folder: Path, *, beat: float = BEAT, patience: float = PATIENCE) -> None:
        super().__init__(folder, patience=patience)
        host = socket.gethostname()
        self.owner = Owner(
            worker=f"{_as_name(host)}-{os.getpid()}-{secrets.token_hex(4)}",
            host=host,
            process=os.getpid(),
            machine=this_machine(),
        )
        self._every = beat
        self._held: tuple[str, int] | None = None
        self._looked = clock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)
        self._descriptor: int | None = None

    def __enter__(self) -> Worker:
        path = self._beat_of(self.owner)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY
            self._descriptor = os.open(path, flags, 0o666)
            try_lock(self._descriptor)
            self._beat(0)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {os_reason(error)}") from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._descriptor is not None:
            # What is left of it is taken for a dead worker's.
            with contextlib.suppress(OSError):
                remove_open(self._descriptor, self._beat_of(self.owner))

    def take(self, name: str, before: Claim | None) -> bool:
        """Claim what nobody has, or who has it is gone; False where another one was faster.

        Args:
            name: What is claimed.
            before: The claim that counted up to now.
        """
        self._looked = clock()
        if before is not None and before.owner == self.owner and not before.failed:
            self._held = (name, before.number)  # Which it had let go.
            return True
        number = 1 if before is None else before.number + 1
        data = json.dumps(asdict(self.owner)).encode()
        if not create_once(self.folder / _CLAIMS / f"{name}.{number}", data):
            return False
        self._held = (name, number)
        return True

    @property
    def is_first(self) -> bool:
        """Whether nobody had before what this worker has."""
        return self._held is not None and self._held[1] == 1

    def let_go(self) -> None:
        """What was claimed is done."""
        self._held = None

    def fail(self, reason: str) -> None:
        """Say that what this worker has came to nothing, and let it go."""
        if self._held is not None:
            name, number = self._held
            path = self.folder / _CLAIMS / f"{name}.{number}{_FAILED}"
            create_once(path, json.dumps(reason).encode())
        self._held = None

    def check(self) -> None:
        """Before anything is written: look whether the claim still counts, once a beat.

        Raises:
            ClaimLostError: Another worker took this one for dead, and has its run.
        """
        if self._held is None or clock() - self._looked < self._every:
            return
        name, number = self._held
        if os.path.lexists(self.folder / _CLAIMS / f"{name}.{number + 1}"):
            self._held = None
            raise ClaimLostError(
                f"another worker took {self.owner.worker} for dead, which wrote nothing for long, "
                f"and goes on with {name}"
            )
        self._looked = clock()

    def alone(
        self,
        name: str,
        done: Callable[[], bool],
        act: Callable[[], object],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Do something that one worker does for all, or wait until another one has done it.

        Args:
            name: What is claimed for it.
            done: Whether it is done.
            act: Does it.
            stop: Whether to wait no longer.
        """
        while not done() and not stop():
            before = self.latest().get(name)
            if (before is None or self.is_gone(before)) and self.take(name, before):
                if not done():
                    act()
                self.let_go()
                return
            time.sleep(min(1.0, self._every))

    def _live(self) -> None:
        count = 1
        while not self._ended.wait(self._every):
            # A disk that is away for a moment is no reason to end: the next beat may reach it.
            with contextlib.suppress(OSError):
                self._beat(count)
            count += 1

    def _beat(self, count: int) -> None:
        assert self._descriptor is not None
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, b"%016d\n" % count)
        # A network disk hands on what is synchronised.
        os.fsync(self._descriptor)


def this_machine() -> str:
    """What tells this running system from all others: locks of its kernel hold within it."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        return socket.gethostname()


def clock() -> float:
    """Seconds that have passed, those in which the machine slept too."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    else:
        return time.monotonic()


def _as_name(text: str) -> str:
    """A text as a part of a file's name."""
    return "".join(char if char.isalnum() else "-" for char in text)[:40]
