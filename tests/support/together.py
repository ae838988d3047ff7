"""Several ranks of one run as threads of this process: for tests that need no torchrun."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from textgen.training.ranks import ManyRanks

T = TypeVar("T")


class MemoryStore:
    """A store that all threads reach."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def set(self, key: str, value: bytes) -> None:
        self.values[key] = value

    def get(self, key: str) -> bytes:
        return self.values[key]

    def check(self, keys: list[str]) -> bool:
        return all(key in self.values for key in keys)

    def delete_key(self, key: str) -> bool:
        return self.values.pop(key, None) is not None


class Hub:
    """Where the wires of all threads meet. Nothing is waited for longer than `seconds`."""

    def __init__(self, world: int, seconds: float = 20.0) -> None:
        self.world, self.seconds = world, seconds
        self.barrier = threading.Barrier(world)
        self.given: list[Any] = [None] * world
        self.moved = 0

    def wires(self, rank: int) -> HubWires:
        return HubWires(self, rank)


class HubWires:
    """The wires of one thread."""

    def __init__(self, hub: Hub, rank: int) -> None:
        self._hub, self._rank = hub, rank

    def exchange(self, flat: Any) -> Any:
        rows = [np.split(own, self._hub.world)[self._rank] for own in self._all(flat)]
        return np.stack(rows)

    def assemble(self, part: Any, flat: Any) -> None:
        whole = np.concatenate(self._all(part))
        flat[...] = whole if isinstance(flat, np.ndarray) else torch.from_numpy(whole)

    def largest(self, number: int) -> int:
        return max(self._all(number))

    def _all(self, value: Any) -> list[Any]:
        try:
            own = value.numpy() if isinstance(value, torch.Tensor) else value
            self._hub.given[self._rank] = own.copy() if isinstance(own, np.ndarray) else own
            self._hub.barrier.wait(self._hub.seconds)
            found = list(self._hub.given)
            self._hub.barrier.wait(self._hub.seconds)
        except threading.BrokenBarrierError as error:
            raise RuntimeError("a peer is gone") from error
        return found


def together(
    world: int,
    work: Callable[[ManyRanks], T],
    store: MemoryStore | None = None,
    seconds: float = 20.0,
) -> list[T | BaseException]:
    """What `work` returns on each rank, or the error that it ends with there.

    A step waits `seconds` for the others, at most.
    """
    hub, store = Hub(world, seconds), store or MemoryStore()
    found: list[Any] = [None] * world

    def run(rank: int) -> None:
        try:
            with ManyRanks(rank, world, store, lambda: hub.wires(rank)) as group:
                found[rank] = work(group)
        except BaseException as error:
            hub.barrier.abort()
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found
