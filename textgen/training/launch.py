"""How a process finds the others with which `torchrun` has started it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from textgen.errors import ConfigError, named
from textgen.runtime import process_rank, require_torch
from textgen.terminal.humanize import plural
from textgen.training.ranks import ALONE, Crew


@contextmanager
def open_ranks() -> Iterator[Crew]:
    """The processes that `torchrun` has started with this one; alone where it has not, or no other.

    Raises:
        ConfigError: What the environment says of them is no number.
        RankError: Not all of them have come.
    """
    rank = process_rank()
    if rank is None or rank.world == 1:
        yield ALONE
        return
    if sys.platform == "win32":
        raise ConfigError("torchrun starts several processes on Linux and macOS alone; start one")
    else:
        # Where a process is lost torch writes pages of addresses; what it means is said below.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        require_torch("a run of several processes")
        from textgen.training.torch_ranks import open_group

        with open_group(rank.rank, rank.world) as group:
            yield group


def check_gpus(device: str, ranks: Crew) -> None:
    """Refuse more processes on this machine than it has GPUs, where each takes one.

    Raises:
        ConfigError: There are more, or they are Apple's, which exchange nothing.
    """
    rank = process_rank()
    if ranks.world > 1 and device == "mps":
        raise ConfigError(
            "several processes cannot train on Apple's GPU: start one, or add "
            + named("device", "cpu")
        )
    if ranks.world == 1 or device != "cuda" or rank is None:
        return
    from textgen.training.torch_ranks import gpus

    if rank.here > (count := gpus()):
        raise ConfigError(
            f"{rank.here} processes were started on a machine with {plural(count, 'GPU')}, and "
            f"each takes one; start at most {count} here, or add {named('device', 'cpu')}"
        )


def may_be_restarted() -> bool:
    """Whether `torchrun` was told to start these processes anew after a loss."""
    return os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") not in ("", "0")


def was_restarted() -> bool:
    """Whether `torchrun` has started these processes anew, after one of them was lost."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") not in ("", "0")
