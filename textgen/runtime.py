"""Where and with how many threads to compute: each choice comes with its reason."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textgen.errors import BackendError, ConfigError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Choice:
    """A setting that was decided, and why; printed once and stored in the checkpoint."""

    name: str
    value: Any
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"name": self.name, "value": self.value, "reason": self.reason}


def choose_device(name: str = "auto") -> tuple[torch.device, Choice]:
    """The device to train on.

    Args:
        name: `auto` prefers a GPU, else names one.
    Raises:
        ConfigError: The name is not known.
        BackendError: This machine, or this build of torch, has no such device.
    """
    import torch

    if name not in DEVICES:
        raise ConfigError(f"device '{name}' is not known; choose one of: {', '.join(DEVICES)}")
    has = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        found = next(kind for kind in ("cuda", "mps", "cpu") if has[kind])
        reason = "no GPU was found" if found == "cpu" else "a GPU was found"
        return torch.device(found), Choice("device", found, reason)
    if not has[name]:
        raise BackendError(
            f"device '{name}' was asked for, but torch {torch.__version__} sees none here; "
            "use --device cpu, or install a torch build for your GPU"
        )
    return torch.device(name), Choice("device", name, "asked for")


def choose_threads(asked: int | None = None) -> Choice:
    """How many threads compute: as many as this process may use cores.

    Raises:
        ConfigError: `asked` is not positive.
    """
    if asked is not None:
        if asked < 1:
            raise ConfigError(f"--threads is {asked}; it must be at least 1")
        return Choice("threads", asked, "asked for")
    if hasattr(os, "sched_getaffinity"):
        return Choice("threads", len(os.sched_getaffinity(0)), "cores this process may use")
    return Choice("threads", os.cpu_count() or 1, "cores of this machine")


@contextmanager
def computing_threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads inside the block, as before after it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def parse_duration(text: str) -> float:
    """Seconds in `text`: `90`, `90s`, `3m`, `1m30s`, `1.5h`.

    Raises:
        ConfigError: It is no duration, or not above zero.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise ConfigError(f"'{text}' is no duration; type it like 90s, 3m, 1m30s or 1h")
    hours, minutes, seconds = (float(group or 0) for group in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0:
        raise ConfigError(f"'{text}' is no time at all; type a duration like 90s or 3m")
    return total
