"""Runs of several processes, started as a person does: by `torchrun`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from support.small_runs import environment
from textgen.checkpoint.format import read_layout
from textgen.errors import CheckpointError, StorageError

#: A network and a text of a few seconds.
SMALL = {
    "hidden": 16,
    "batch-size": 8,
    "seq-len": 8,
    "threads": 1,
    "dropout": 0.1,
    "precision": "fp32",
    "learning-rate": 0.003,
}


class Launched:
    """A run of several processes on its way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def worker(self, rank: int) -> int:
        """The process id of a rank, once it is there; of the last one, after a restart."""
        until = time.monotonic() + 300
        while time.monotonic() < until and self.process.poll() is None:
            for pid in _children(self.process.pid):
                with suppress(OSError):
                    said = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                    if f"RANK={rank}".encode() in said:
                        return pid
            time.sleep(0.05)
        raise AssertionError(f"no rank {rank} was seen")

    def end(self, seconds: float = 900) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err


def _children(parent: int) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError):
                if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    yield int(folder.name)


@contextmanager
def launched(
    processes: int, text: Path, out: Path, *more: object, restarts: int = 0, **settings: object
) -> Iterator[Launched]:
    """Start `textgen train` with so many processes; they are ended with the block."""
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", processes]
    words += ["--max-restarts", restarts, "--monitor-interval", 0.1, "--standalone"]
    words += ["-m", "textgen", *_train(text, out, *more, **settings), "--quiet"]
    with subprocess.Popen(
        list(map(str, words)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    ) as process:
        try:
            yield Launched(process)
        finally:
            for pid in [*_children(process.pid), process.pid]:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


@contextmanager
def by_hand(
    text: Path,
    out: Path,
    *more: object,
    world: int = 2,
    before: Mapping[int, str] | None = None,
    **settings: object,
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start the processes of `textgen train` without torchrun, so that each ends by itself.

    Args:
        before: Python that a rank runs at its beginning.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(probe.getsockname()[1])}
    started = []
    for rank in range(world):
        code = f"{(before or {}).get(rank, '')}\nimport textgen.cli\ntextgen.cli.main()"
        own = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *map(str, _train(text, out, *more, **settings))],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(**meeting, **{name: str(value) for name, value in own.items()}),
            )
        )
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _train(text: Path, out: Path, *more: object, **settings: object) -> list[object]:
    options = [w for name, value in (SMALL | settings).items() for w in ("--" + name, value)]
    return ["train", text, "--out", out, *options, *more]


def saved_step(out: Path) -> int:
    """The step after which a run was saved last; -1 where it was not."""
    try:
        return int(
            read_layout(out / "resume.safetensors", kind="resume").header["progress"]["step"]
        )
    except (StorageError, CheckpointError):
        return -1


def wait_until(found: Callable[[], bool], seconds: float = 900) -> None:
    """Until something holds."""
    until = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
