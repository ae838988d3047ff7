"""The connection between the processes of a run, by torch: gloo for CPUs, NCCL for GPUs.

Only copies are made here: `all_to_all_single` and `all_gather` move numbers and add none, so what
is computed from them depends on no algorithm of a library.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from textgen.errors import RankError
from textgen.training.ranks import JOINING, STALLED, ManyRanks, Store

#: Seconds after which NCCL ends a process that waits for another one, by SIGABRT and without a word
#: of ours. In each step `TorchWires.largest` waits by gloo as well, and is to be first.
NCCL_STALLED = 4 * STALLED


@contextmanager
def open_group(rank: int, world: int) -> Iterator[ManyRanks]:
    """Find the other processes, as `torchrun` has told where.

    Raises:
        RankError: Not all of them have come.
    """
    with _saying_what_to_do():
        found, _, _ = next(rendezvous("env://", timeout=timedelta(seconds=JOINING)))
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = PrefixStore(f"textgen/{restart}", found)

    def connect() -> TorchWires:
        # Each process has a GPU of its own; `check_gpus` refuses where there are too few of them.
        own = int(os.environ.get("LOCAL_RANK", "0"))
        if own < torch.cuda.device_count():
            torch.cuda.set_device(own)
        with _saying_what_to_do():
            dist.init_process_group(
                "gloo",
                store=PrefixStore("wires", store),
                rank=rank,
                world_size=world,
                timeout=timedelta(seconds=STALLED),
            )
        return TorchWires(world)

    with ManyRanks(rank, world, cast("Store", store), connect) as group:
        yield group
    # After an error the others may be gone, and nothing is waited for.
    dist.destroy_process_group()


@contextmanager
def _saying_what_to_do() -> Iterator[None]:
    """Turn what torch says of a connection that cannot be made into an error with what to do."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        said = str(error).partition("\n")[0]
        raise RankError(
            f"the other processes of this run cannot be reached: {said}; start all of them by "
            "torchrun, or unset RANK and WORLD_SIZE to train with one"
        ) from error


def gpus() -> int:
    """How many GPUs this machine has."""
    return torch.cuda.device_count()


class TorchWires:
    """Moves arrays and tensors between the processes; see `Wires`.

    What is on a CPU goes by gloo, what is on a GPU by NCCL.

    Args:
        world: How many processes there are.
    """

    def __init__(self, world: int) -> None:
        self._world = world
        self._number = torch.zeros(1, dtype=torch.int32)
        self._room: dict[tuple[torch.device, int], Tensor] = {}
        # Made by all processes at the first tensor of a GPU, for only their run knows its device.
        self._nccl: dist.ProcessGroup | None = None

    def exchange(self, flat: Any) -> Any:
        """What all ranks have for this one, a row each; overwritten by the next call."""
        tensor = _tensor(flat)
        place = tensor.device, len(tensor)
        if place not in self._room:
            self._room[place] = torch.empty_like(tensor)
        parts = self._room[place]
        dist.all_to_all_single(parts, tensor, group=self._group_of(tensor))
        rows = parts.view(self._world, -1)
        return rows.numpy() if isinstance(flat, np.ndarray) else rows

    def assemble(self, part: Any, flat: Any) -> None:
        """Fill `flat` with the parts of all ranks."""
        whole = _tensor(flat)
        parts = list(whole.chunk(self._world))
        dist.all_gather(parts, _tensor(part), group=self._group_of(whole))

    def largest(self, number: int) -> int:
        """The largest number of all processes; on the CPU, so that no GPU is waited for."""
        self._number.fill_(number)
        dist.all_reduce(self._number, dist.ReduceOp.MAX)
        return int(self._number)

    def _group_of(self, tensor: Tensor) -> dist.ProcessGroup | None:
        """By what a tensor goes; None is gloo."""
        if tensor.device.type == "cpu":
            return None
        if self._nccl is None:
            wait = timedelta(seconds=NCCL_STALLED)
            self._nccl = cast(dist.ProcessGroup, dist.new_group(backend="nccl", timeout=wait))
        return self._nccl


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(array) if isinstance(array, np.ndarray) else array
