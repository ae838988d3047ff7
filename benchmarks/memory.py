"""Anonymous memory of training on a large text, above what the imports take.

Makes a text of made-up words in a temporary folder, of one file or of many, trains on it for some
seconds, and samples RssAnon of this process from a second thread. With `--processes` torchrun
starts so many, and each is sampled from outside: what it takes in all, and how much of its maps of
files is resident. Linux only. 10 GB take 22 GB of disk, which are given back.

    python benchmarks/memory.py [--size MB] [--files 1] [--seconds 20] [--processes 1]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from overhead import made_up_text

import textgen


def resident_mb(kind: str, process: str = "self") -> float:
    """Resident memory of a process in MB: `RssAnon`, or `RssFile` for what it maps of files."""
    for line in Path(f"/proc/{process}/status").read_text("ascii").splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1000
    raise SystemExit(f"this system does not report {kind}")


def write_text(folder: Path, megabytes: int, files: int) -> None:
    """A text of so many files in a folder."""
    folder.mkdir()
    block = made_up_text(1_000_000).encode()
    for number in range(files):
        with (folder / f"{number:04}.txt").open("wb") as file:
            for _ in range(megabytes * 1_000_000 // len(block) // files):
                file.write(block)


def watched(look: Callable[[], None], work: Callable[[], None], every: float = 0.05) -> float:
    """Look every so many seconds while something is done; its seconds."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(every):
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text(folder / "texts", arguments.size, arguments.files)
        os.environ["TEXTGEN_CACHE"] = str(folder / "cache")
        what = f"{arguments.size} MB of text in {arguments.files} files"
        if arguments.processes > 1:
            several(folder, what, arguments.seconds, arguments.processes)
        else:
            one(folder, what, arguments.seconds)


def one(folder: Path, what: str, budget: float) -> None:
    """Train in this process."""
    start = resident_mb("RssAnon")
    peak = [start]

    def look() -> None:
        peak[0] = max(peak[0], resident_mb("RssAnon"))

    ends = []

    def work() -> None:
        ends.append(textgen.train(folder / "texts", out=folder / "run", budget=budget).ended)

    seconds = watched(look, work)
    print(
        f"{what}: peak {peak[0] - start:.0f} MB anonymous above the {start:.0f} MB after importing "
        f"torch; {seconds:.0f} s in all, {ends[0].chars_per_second:,.0f} chars/s in training"
    )


def several(folder: Path, what: str, budget: float, processes: int) -> None:
    """Train in processes that torchrun starts."""
    peaks: dict[str, dict[str, float]] = {}
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    words += ["--nproc-per-node", str(processes), "-m", "textgen", "train", str(folder / "texts")]
    words += ["--out", str(folder / "run"), "--budget", f"{budget:g}s"]

    def look() -> None:
        for process in Path("/proc").iterdir():
            with suppress(OSError, SystemExit):
                said = (process / "environ").read_bytes().split(b"\0")
                cache = f"TEXTGEN_CACHE={folder / 'cache'}".encode()
                rank = next((x for x in said if x.startswith(b"RANK=")), None)
                if rank is None or cache not in said:
                    continue
                own = peaks.setdefault(rank.decode(), {"RssAnon": 0.0, "RssFile": 0.0})
                for kind in own:
                    own[kind] = max(own[kind], resident_mb(kind, process.name))

    # Looking goes through all processes of the machine.
    seconds = watched(look, lambda: subprocess.run(words, check=True) and None, every=0.5)
    for rank, own in sorted(peaks.items()):
        print(
            f"{what}, {rank}: peak {own['RssAnon']:.0f} MB anonymous, {own['RssFile']:.0f} MB "
            "of mapped files"
        )
    print(f"{seconds:.0f} s in all")


if __name__ == "__main__":
    main()
