"""Where and with how many threads to compute: each choice comes with its reason."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from typing import Any

from textgen.errors import BackendError, ConfigError
from textgen.progress import task

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


def choose_device(name: str = "auto") -> tuple[str, Choice]:
    """The device to compute on.

    torch, which takes seconds to load, is asked only where there may be a GPU: a driver is seen,
    or one was asked for by name.

    Args:
        name: `auto` prefers a GPU, else names one.
    Returns:
        `cpu`, `cuda` or `mps`, and the choice with its reason.
    Raises:
        ConfigError: The name is not known.
        BackendError: This machine, or this build of torch, has no such device.
    """
    if name not in DEVICES:
        raise ConfigError(f"device '{name}' is not known; choose one of: {', '.join(DEVICES)}")
    if name == "cpu":
        return name, Choice("device", name, "asked for")
    sign = _sign_of_gpu()
    if name == "auto" and not sign:
        return "cpu", Choice("device", "cpu", "no GPU was found: there is no driver of one")
    with task("loading torch"):
        import torch

    seen = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        for device, present in seen.items():
            if present:
                return device, Choice("device", device, "a GPU was found")
        reason = f"torch {torch.__version__} finds no GPU that it can use, though there is {sign}"
        return "cpu", Choice("device", "cpu", reason)
    if not seen[name]:
        raise BackendError(
            f"device '{name}' was asked for, but torch {torch.__version__} sees none here; "
            "use --device cpu, or install a torch build for your GPU"
        )
    return name, Choice("device", name, "asked for")


def _sign_of_gpu() -> str:
    """What speaks for a GPU that torch could use, in words; "" where nothing does."""
    if sys.platform == "darwin":
        return "an Apple processor" if platform.machine() == "arm64" else ""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return ""  # The usual way to hide them all.
    # Of NVIDIA, of Windows' GPU in its Linux, of AMD.
    for pattern in ("/dev/nvidia[0-9]*", "/dev/dxg", "/dev/kfd"):
        if found := glob(pattern):
            return found[0]
    if program := shutil.which("nvidia-smi"):
        return program
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError:
        return ""
    return driver


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
def computing_threads(count: int, *, torch: bool = True) -> Iterator[None]:
    """Let torch compute with `count` threads inside the block, as before after it.

    Args:
        count: Threads.
        torch: Whether torch computes at all. The native engine is told its threads by its path,
            and torch is not loaded on its account.
    """
    if not torch:
        yield
        return
    from torch import get_num_threads, set_num_threads

    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)


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
