"""Where and with how many threads to compute: each choice comes with its reason."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from glob import glob
from importlib.util import find_spec
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

from textgen.errors import BackendError, ConfigError, named
from textgen.extras import install_hint
from textgen.progress import task

#: Forces an engine, or an instruction set of the native one, for tests and comparisons.
PATH_VARIABLE = "TEXTGEN_PATH"
DEVICES = ("auto", "cpu", "cuda", "mps")
#: Threads at most on a machine with fewer cores.
MOST_THREADS = 256


class ChoiceRecord(TypedDict):
    """A `Choice` as plain data."""

    name: str
    value: Any
    reason: str
    changed: NotRequired[bool]


@dataclass(frozen=True)
class Choice:
    """A setting that was decided, and why; printed once and stored in the checkpoint.

    Args:
        name: Of the setting.
        value: What it is.
        reason: Why, in words that a beginner understands.
        changed: Whether something else was asked for, which cannot be.
    """

    name: str
    value: Any
    reason: str
    changed: bool = False

    def to_dict(self) -> ChoiceRecord:
        """As plain data."""
        return cast(ChoiceRecord, asdict(self))

    @classmethod
    def from_dict(cls, data: ChoiceRecord) -> Choice:
        """From plain data."""
        return cls(data["name"], data["value"], data["reason"], data.get("changed", False))


class ProcessRank(NamedTuple):
    """Which of several processes this one is, as `torchrun` says it in the environment.

    Args:
        rank: Its number, from 0; the first one writes and speaks.
        world: How many they are.
        here: How many of them share this machine.
    """

    rank: int
    world: int
    here: int


def process_rank() -> ProcessRank | None:
    """Which of several processes this one is; None where it was not started as one of them.

    Raises:
        ConfigError: What the environment says is no number, or contradicts itself.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    if not all(name in os.environ for name in names[:2]):
        return None
    values = [os.environ["RANK"], os.environ["WORLD_SIZE"]]
    values.append(os.environ.get("LOCAL_WORLD_SIZE", values[1]))
    if not all(value.isdecimal() for value in values):
        told = ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
        raise ConfigError(
            f"the environment says {told}, which torchrun sets to numbers; unset them to train "
            "with one process"
        )
    rank, world, here = map(int, values)
    if not (rank < world and 1 <= here <= world):
        raise ConfigError(
            f"the environment says RANK={rank} of WORLD_SIZE={world}, LOCAL_WORLD_SIZE={here} of "
            "them here; unset these variables to train with one process"
        )
    return ProcessRank(rank, world, here)


def _processes_here() -> int:
    """How many processes of one run share this machine.

    Who trains with several is told what is wrong with the environment; nobody else needs it.
    """
    with suppress(ConfigError):
        if (found := process_rank()) is not None:
            return found.here
    return 1


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
        raise ConfigError(
            f"{named('device')} '{name}' is not known; choose one of: {', '.join(DEVICES)}"
        )
    if name == "cpu":
        return name, Choice("device", name, "asked for")
    sign = _sign_of_gpu()
    if name == "auto" and not sign:
        return "cpu", Choice("device", "cpu", "no GPU was found in this machine")
    if name == "auto" and find_spec("torch") is None:
        reason = f"there is {sign}; to use it, torch must be installed; {install_hint('torch')}"
        return "cpu", Choice("device", "cpu", reason)
    require_torch(f"{named('device')} '{name}'")
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
            f"{named('device')} '{name}' was asked for, but torch {torch.__version__} sees none "
            "here; use cpu, or install a torch build for your GPU"
        )
    return name, Choice("device", name, "asked for")


def require_torch(what: str) -> None:
    """Load torch, which textgen runs without on most CPUs.

    Args:
        what: What needs it, for the message.
    Raises:
        BackendError: It cannot be loaded; the message says what to type.
    """
    try:
        with task("loading torch"):
            import torch  # noqa: F401
    except ImportError as error:
        raise BackendError(
            f"{what} needs torch, which cannot be loaded here ({error}); {install_hint('torch')}"
        ) from error


def _sign_of_gpu() -> str:
    """What speaks for a GPU that torch could use, in words; "" where nothing does."""
    return _sign_of_apple() if sys.platform == "darwin" else _sign_of_driver()


def _sign_of_apple() -> str:
    return "an Apple processor" if platform.machine() == "arm64" else ""


def _sign_of_driver() -> str:
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
        ConfigError: `asked` is not positive; or it is more than `MOST_THREADS`, and there are not
            as many cores.
    """
    if asked is not None:
        if asked < 1:
            raise ConfigError(f"{named('threads')} is {asked}; it must be at least 1")
        cores = os.cpu_count() or 1
        most = max(cores, MOST_THREADS)
        if asked > most:
            raise ConfigError(
                f"{named('threads')} is {asked:,}; this machine has {cores:,} cores, and more "
                f"threads than cores wait for one another: give {cores} (at most {most}), or leave "
                f"{named('threads')} out"
            )
        return Choice("threads", asked, "asked for")
    count, reason = os.cpu_count() or 1, "one for each core of this machine"
    if hasattr(os, "sched_getaffinity"):
        count, reason = len(os.sched_getaffinity(0)), "one for each core that this program may use"
    if (here := _processes_here()) > 1:
        return Choice("threads", max(1, count // here), f"{reason}, shared by {here} processes")
    return Choice("threads", count, reason)


def available_memory(device: str = "cpu") -> int | None:
    """Bytes of memory that are free for this process; None where the system does not say.

    Args:
        device: `cuda` asks the GPU; all others share the machine's memory.
    """
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    limits = [_free_memory(), *_container_limits()]
    known = [limit for limit in limits if limit is not None]
    return min(known) // _processes_here() if known else None


def _free_memory() -> int | None:
    """What the machine could still give."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        if sys.platform == "win32":
            status = _WindowsMemory(length=ctypes.sizeof(_WindowsMemory))
            told = ctypes.WinDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status))
            return int(status.free) if told else None
        else:  # What there is at all, where it is not told how much is free.
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


class _WindowsMemory(ctypes.Structure):
    """What `GlobalMemoryStatusEx` fills in: MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 5),
    )


def _container_limits() -> Iterator[int]:
    """What a container may take in all, by either version of Linux's control groups.

    What it has taken is not subtracted: files that were read are part of that, and give way.
    """
    root = "/sys/fs/cgroup"
    for limit in (f"{root}/memory.max", f"{root}/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max" where there is no limit
            yield _number_in(limit)


def _number_in(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())


@contextmanager
def computing_threads(count: int, *, torch: bool = True) -> Iterator[None]:
    """Let torch and NumPy compute with `count` threads inside the block, as before after it.

    NumPy's threads wait for their next product on their cores, which somebody else may need.

    Args:
        count: Threads. NumPy is never given more than it has.
        torch: Whether torch computes at all. The native engine is told its threads by its path,
            and torch is not loaded on its account.
    """
    from threadpoolctl import ThreadpoolController

    blas = ThreadpoolController().select(user_api="blas")
    fewer = min([count, *(library["num_threads"] for library in blas.info())])
    with blas.limit(limits=fewer):
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


_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)h(?:ours?|rs?)?)?"
    r"(?:(\d+(?:\.\d+)?)m(?:in(?:ute)?s?)?)?"
    r"(?:(\d+(?:\.\d+)?)(?:s(?:ec(?:ond)?s?)?)?)?"
)


def parse_duration(duration: str | float | timedelta) -> float:
    """Seconds in `duration`.

    Args:
        duration: A text such as `90`, `90s`, `3m`, `2 minutes`, `1m30s`, `1.5h`; a number of
            seconds; or a `datetime.timedelta`.
    Raises:
        ConfigError: It is not a duration, or not above zero.
    """
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, str):
        match = _DURATION.fullmatch("".join(duration.lower().split()))
        if match is None or not any(match.groups()):
            raise _no_duration(duration)
        hours, minutes, rest = (float(group or 0) for group in match.groups())
        seconds = hours * 3600 + minutes * 60 + rest
    else:
        try:
            seconds = math.nan if isinstance(duration, bool) else float(duration)
        except (TypeError, ValueError, OverflowError):
            seconds = math.nan
    if not math.isfinite(seconds):
        raise _no_duration(duration)
    if seconds <= 0:
        raise ConfigError(f"'{duration}' is not more than 0; type a duration like 90s or 3m")
    return seconds


def _no_duration(duration: object) -> ConfigError:
    return ConfigError(f"'{duration}' is not a duration; type it like 90s, 3m, 1m30s or 1h")
