"""The processes that train one network together, and all that they say to one another.

`torchrun` starts them, each with a rank. A process reads a share of the streams; stream `g` owns
its text, its state and its random choices, whoever reads it. Two things are exchanged:

- in each step one flat array, by `Wires`: the gradient, summed in the order of the ranks, so that
  the same number of processes always gives the same bits;
- between steps small messages, by the `Store` through which the processes found one another. Who
  waits for one looks at the other's heartbeat as well, and tells a slow process from a lost one.

For `Alone`, the one process of a usual run, all of this is nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.windows import ALL, Portion
from textgen.errors import ConfigError, RankError, TextgenError, named
from textgen.files import FolderLock

Floats = NDArray[np.float32]
T = TypeVar("T")

#: Seconds without a sign of life after which a process is lost; between two signs; and until all
#: have come at the beginning.
STALLED, BEAT, JOINING = 25.0, 1.0, 600.0
#: Seconds that another rank leaves the first one to tell of an error that both have, and in which a
#: store answers.
TELLING, ANSWERING = 3.0, 15.0


class Stopped(Exception):
    """A process of a run was asked to stop, and what they were at was given up by all of them."""


class Crew(Protocol):
    """The processes of a run, as one of them sees them.

    All of them make the same calls in the same order.
    """

    rank: int
    world: int

    @property
    def share(self) -> Portion:
        """The part of the streams that this process reads."""

    def padded(self, size: int) -> int:
        """The length of an array that `sum_` takes and that has room for `size` numbers."""

    def sum_(self, flat: Any) -> None:
        """Replace an array or tensor of all processes by its sum, in the order of the ranks."""

    def any(self, flag: bool) -> bool:
        """Whether one of them says so."""

    def gather(self, value: Any) -> list[Any] | None:
        """The values of all, plain data or arrays of float32: on the first rank, else None."""

    def broadcast(self, value: Any) -> Any:
        """The first rank's value, plain data."""

    def alone(self, work: Callable[[], T]) -> T | None:
        """Let the first rank work while the others wait; what it found, there alone."""

    def alone_unless(
        self, stop: Callable[[], bool], work: Callable[[Callable[[], None]], T]
    ) -> T | None:
        """`alone`, unless a process is to stop meanwhile.

        Args:
            stop: Asked by each process again and again: whether it is to stop.
            work: It calls what it is given now and then in its course.
        Raises:
            Stopped: On all ranks, where one of them is to stop and the work was not over.
        """

    def in_turn(self, work: Callable[[], T]) -> T:
        """Let the first rank work, then all others: they find what it has left on the disk."""

    def locked(self, folder: Path) -> Any:
        """A context in which the first rank has the lock of a folder for all."""


class Alone:
    """A run of one process; see `Crew`."""

    rank, world, share = 0, 1, ALL

    def padded(self, size: int) -> int:
        """`size`."""
        return size

    def sum_(self, flat: Any) -> None:
        """Nothing: it is the sum."""

    def any(self, flag: bool) -> bool:
        """`flag`."""
        return flag

    def gather(self, value: Any) -> list[Any]:
        """A list of `value`."""
        return [value]

    def broadcast(self, value: Any) -> Any:
        """`value`."""
        return value

    def alone(self, work: Callable[[], T]) -> T:
        """What `work` finds."""
        return work()

    def alone_unless(self, stop: Callable[[], bool], work: Callable[[Callable[[], None]], T]) -> T:
        """What `work` finds, unless it is given up."""

        def poll() -> None:
            if stop():
                raise Stopped

        return work(poll)

    def in_turn(self, work: Callable[[], T]) -> T:
        """What `work` finds."""
        return work()

    def locked(self, folder: Path) -> FolderLock:
        """The lock of the folder."""
        return FolderLock(folder)


#: A run of one process.
ALONE = Alone()


class Store(Protocol):
    """Keeps values for all processes by their keys: a part of torch's `Store`."""

    def set(self, key: str, value: bytes) -> object: ...
    def get(self, key: str) -> bytes: ...
    def check(self, keys: list[str]) -> bool: ...
    def delete_key(self, key: str) -> bool: ...


class Prompt:
    """A store that answers in time, or never again: torch's waits for ever where the process that
    has it stands still.

    Args:
        store: What is asked, by a thread of its own.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._questions: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._is_mute = False
        threading.Thread(target=self._answer, name="store", daemon=True).start()

    def set(self, key: str, value: bytes) -> object:
        """Write a value."""
        return self._ask(lambda: self._store.set(key, value))

    def get(self, key: str) -> bytes:
        """Read one that is there."""
        return cast(bytes, self._ask(lambda: self._store.get(key)))

    def check(self, keys: list[str]) -> bool:
        """Whether all are there."""
        return cast(bool, self._ask(lambda: self._store.check(keys)))

    def delete_key(self, key: str) -> bool:
        """Delete one."""
        return cast(bool, self._ask(lambda: self._store.delete_key(key)))

    def _ask(self, question: Callable[[], Any]) -> Any:
        if not self._is_mute:
            self._questions.put(question)
            try:
                found, error = self._answers.get(timeout=ANSWERING)
            except Empty:
                self._is_mute = True
            else:
                if error is not None:
                    raise error
                return found
        raise RuntimeError(f"the store has said nothing for {ANSWERING:.0f} seconds")

    def _answer(self) -> None:
        while True:
            question = self._questions.get()
            try:
                self._answers.put((question(), None))
            except BaseException as error:
                self._answers.put((None, error))


class Wires(Protocol):
    """Moves arrays, or tensors, between the processes; computes nothing that could round.

    Raises:
        RuntimeError: Another process is not there, or has said nothing for `STALLED` seconds.
    """

    def exchange(self, flat: Any) -> Any:
        """Cut `flat` into a part for each rank; what all have for this one, a row each."""

    def assemble(self, part: Any, flat: Any) -> None:
        """Fill `flat` with the parts of all ranks, in their order."""

    def largest(self, number: int) -> int:
        """The largest number of all processes."""


class ManyRanks:
    """Several processes; see `Crew`. A context that says how this one ended.

    Args:
        rank, world: The number of this process, from 0, and how many they are.
        store: What all of them reach.
        connect: Makes the wires, once all processes are there.
    """

    def __init__(self, rank: int, world: int, store: Store, connect: Callable[[], Wires]) -> None:
        self.rank, self.world = rank, world
        self._store = Prompt(store)
        self._beating = store
        self._connect = connect
        self._wires: Wires
        self._said = 0
        self._over = threading.Event()

    def __enter__(self) -> ManyRanks:
        self._beating.set(f"beat/{self.rank}", b"0")
        threading.Thread(target=self._live, name="heartbeat", daemon=True).start()
        self.gather(None)
        self.broadcast(None)
        self._wires = self._connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.gather(None)
                self.broadcast(None)
            elif self.rank == 0 or not self._is_told_by_the_first(error):
                said = error.marked if isinstance(error, TextgenError) else kind.__name__  # type: ignore[union-attr]
                with suppress(RuntimeError):
                    self._store.set(f"ended/{self.rank}", said.encode())
        finally:
            self._over.set()

    @property
    def share(self) -> Portion:
        """The part of the streams that this process reads."""
        return Portion(self.rank, self.world)

    def padded(self, size: int) -> int:
        """The least multiple of `world` that has room."""
        return -(-size // self.world) * self.world

    def sum_(self, flat: Any) -> None:
        """The sum of all processes in the order of the ranks, whatever the network does."""
        with self._naming_the_lost():
            parts = self._wires.exchange(flat)
            total = parts[0]
            for rank in range(1, self.world):
                total += parts[rank]
            self._wires.assemble(total, flat)

    def any(self, flag: bool) -> bool:
        """Whether one of them says so."""
        with self._naming_the_lost():
            return self._wires.largest(int(flag)) > 0

    def gather(self, value: Any) -> list[Any] | None:
        """The values of all, on the first rank."""
        self._said += 1
        if self.rank:
            with self._naming_the_lost():
                self._store.set(f"{self._said}/{self.rank}", _packed(value))
            return None
        found = [value]
        for rank in range(1, self.world):
            key = f"{self._said}/{rank}"
            found.append(_unpacked(self._wait(key, rank)))
            self._store.delete_key(key)
        return found

    def broadcast(self, value: Any, meanwhile: Callable[[], None] = lambda: None) -> Any:
        """The first rank's value; who waits for it calls `meanwhile` again and again."""
        self._said += 1
        if self.rank == 0:
            with self._naming_the_lost():
                self._store.set(f"{self._said}", _packed(value))
            return value
        return _unpacked(self._wait(f"{self._said}", 0, meanwhile))

    def alone(self, work: Callable[[], T]) -> T | None:
        """Let the first rank work while the others wait."""
        found = work() if self.rank == 0 else None
        self.broadcast(None)
        return found

    def alone_unless(
        self, stop: Callable[[], bool], work: Callable[[Callable[[], None]], T]
    ) -> T | None:
        """Let the first rank work while the others wait, unless a process is to stop meanwhile."""
        found, key = None, f"stop/{self._said + 1}"

        def poll() -> None:
            if stop() or self._store.check([key]):
                raise Stopped

        def tell() -> None:
            if stop():
                self._store.set(key, b"")

        is_stopped = False
        if self.rank == 0:
            try:
                found = work(poll)
            except Stopped:
                is_stopped = True
        if self.broadcast(is_stopped, tell):
            raise Stopped
        return found

    def in_turn(self, work: Callable[[], T]) -> T:
        """Let the first rank work, then all others."""
        first = self.alone(work)
        found = work() if first is None else first
        self.gather(None)
        self.broadcast(None)
        return found

    @contextmanager
    def locked(self, folder: Path) -> Iterator[None]:
        """A context in which the first rank has the lock of a folder for all."""
        if self.rank:
            self.broadcast(None)
            yield
            return
        with FolderLock(folder):
            self.broadcast(None)
            yield

    def _live(self) -> None:
        """Give a sign of life again and again, until the run is over or nobody takes it."""
        beat = 0
        with suppress(RuntimeError):
            while not self._over.wait(BEAT):
                beat += 1
                self._beating.set(f"beat/{self.rank}", str(beat).encode())

    def _wait(self, key: str, rank: int, meanwhile: Callable[[], None] = lambda: None) -> bytes:
        """What stands under a key, once another rank has written it.

        Raises:
            RankError: That rank has ended, or is lost.
        """
        pause, seen, heard = 0.0002, b"", time.monotonic()
        looked = heard - BEAT
        # One store answers all that wait: a thousand ask it 6,000 times a second.
        longest = max(0.05, self.world / 2000)
        with self._naming_the_lost():
            while not self._store.check([key]):
                # It may have written, and ended, since the first look.
                if self._store.check([f"ended/{rank}"]) and not self._store.check([key]):
                    raise self._ended(rank)
                meanwhile()
                now = time.monotonic()
                if now - looked >= BEAT:
                    looked = now
                    beat = b""
                    if self._store.check([f"beat/{rank}"]):
                        beat = self._store.get(f"beat/{rank}")
                    if beat != seen:
                        seen, heard = beat, now
                    elif now - heard > (STALLED if beat else JOINING):
                        raise RankError(_lost([rank], self.world))
                time.sleep(pause)
                pause = min(2 * pause, longest)
            return self._store.get(key)

    @contextmanager
    def _naming_the_lost(self) -> Iterator[None]:
        """Turn what torch says of a connection into a sentence that names who is not there."""
        try:
            yield
        except RuntimeError as error:
            raise self._why() from error

    def _why(self) -> RankError:
        """Who is lost: whoever says so, and else whose heart beats no more."""
        try:
            before = self._beats()
            time.sleep(2.5 * BEAT)
            for rank in range(self.world):
                if rank != self.rank and self._store.check([f"ended/{rank}"]):
                    return self._ended(rank)
            after = self._beats()
        except RuntimeError:  # The store is gone with the process that had it.
            return RankError(_lost([], self.world))
        own = self.rank
        still = [r for r in range(self.world) if r != own and before[r] == after[r]]
        return RankError(_lost(still, self.world) if still else _stuck(own, self.world))

    def _beats(self) -> list[bytes]:
        return [
            self._store.get(f"beat/{rank}") if self._store.check([f"beat/{rank}"]) else b""
            for rank in range(self.world)
        ]

    def _ended(self, rank: int) -> RankError:
        said = self._store.get(f"ended/{rank}").decode()
        return RankError(f"rank {rank} of {self.world} has ended: {said}")

    def _is_told_by_the_first(self, error: BaseException) -> bool:
        """Whether the first rank tells of the same error; who has it alone tells of it."""
        until = time.monotonic() + TELLING
        with suppress(RuntimeError):
            while not self._store.check(["ended/0"]):
                if time.monotonic() >= until:
                    break
                time.sleep(0.05)
            else:
                if isinstance(error, TextgenError):
                    error.is_told = True
                return True
        if isinstance(error, TextgenError):
            error.rank = self.rank
        return False


_ENDING = "so this process ends too; the same command goes on from what was saved last"


def _lost(ranks: list[int], world: int) -> str:
    who = "another process of this run is"
    if ranks:
        names = ", ".join(map(str, ranks))
        who = f"rank {names} of {world} is" if len(ranks) == 1 else f"ranks {names} of {world} are"
    return f"{who} not there any more, or has said nothing for {STALLED:.0f} seconds, {_ENDING}"


def _stuck(own: int, world: int) -> str:
    who = f"rank {1 - own} of 2" if world == 2 else f"another one of the {world} processes"
    return f"{who} is there, but has taken no step for {STALLED:.0f} seconds, {_ENDING}"


def _packed(value: Any) -> bytes:
    """Plain data, or an array of float32, as bytes."""
    if isinstance(value, np.ndarray):
        shape = json.dumps(value.shape).encode()
        return b"A" + shape + b"\n" + np.ascontiguousarray(value, np.float32).tobytes()
    return b"J" + json.dumps(value).encode()


def _unpacked(data: bytes) -> Any:
    if data[:1] == b"J":
        return json.loads(data[1:])
    shape, _, numbers = data[1:].partition(b"\n")
    return np.frombuffer(numbers, np.float32).reshape(json.loads(shape))


def require_streams(ranks: Crew, batch_size: int) -> None:
    """Refuse more processes than there are streams to read.

    Raises:
        ConfigError: There are.
    """
    if ranks.world > batch_size:
        raise ConfigError(
            f"{ranks.world} processes share out {batch_size} sequences, and each needs one: start "
            f"at most {batch_size} processes, or give a larger {named('batch_size')}"
        )
