"""Workers that share out the runs of a comparison: how fast, and what a kill costs.

    python benchmarks/workers.py speed             24 short runs by two workers against one
    python benchmarks/workers.py kills --kills 50  kill -9 at random moments

`speed` says something only where nothing else runs: two workers of one thread need two free cores.
It takes the two ways in turns, and gives the median of the ratios. `kills` starts workers and kills
one after the other at random moments; in the end it compares the record with that of one worker
that nobody disturbed: no run may be lost, none trained twice, no figure other than those of the
clock. Its workers are forks of one process that has the libraries loaded, for otherwise most kills
would meet an import.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TIMES = ("seconds", "chars_per_second", "speed_moved", "folder")
COMMON = ("--threads", "1", "--batch-size", "8", "--seq-len", "32", "-q")


def command(folder: Path, *words: str) -> list[str]:
    """A worker on a text in the working folder."""
    typed = ["compare", "text.txt", "--out", str(folder), "--join", *COMMON, *words]
    return [sys.executable, "-m", "textgen", *typed]


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(folder, *words),
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TEXTGEN_CACHE": "cache",
        },
        stdout=subprocess.DEVNULL,
        stderr=open(folder.parent / "said.txt", "ab"),
    )


def seconds(folder: Path, workers: int, words: tuple[str, ...]) -> float:
    """How long so many workers take, from their start to the end of the last."""
    began = time.perf_counter()
    started = [start(folder, *words) for _ in range(workers)]
    codes = [worker.wait() for worker in started]
    assert not any(codes), Path("said.txt").read_text()
    return time.perf_counter() - began


def speed(options: argparse.Namespace) -> None:
    runs = options.runs // 2
    words = ("--cells", "gru,lstm", "--rng", f"1..{runs}", "--params", options.params)
    words += ("--steps", str(options.steps))
    # The text is read and kept before anything is timed.
    seconds(
        Path("first").absolute(), 1, (*words[:2], "--rng", "1", "--params", "2k", "--steps", "1")
    )
    ratios = []
    for turn in range(options.turns):
        load = os.getloadavg()[0]
        one = seconds(Path(f"one-{turn}").absolute(), 1, words)
        two = seconds(Path(f"two-{turn}").absolute(), 2, words)
        ratios.append(two / one)
        print(
            f"{2 * runs} runs: one worker {one:.1f} s, two {two:.1f} s, ratio {two / one:.3f} "
            f"(load before {load:.1f})",
            flush=True,
        )
        for name in (f"one-{turn}", f"two-{turn}"):
            shutil.rmtree(name)
    print(f"median ratio {statistics.median(ratios):.3f}; 0.55 is the aim")


def timeless(value: Any) -> Any:
    """A record without the figures of the clock."""
    if isinstance(value, dict):
        return {key: timeless(part) for key, part in value.items() if key not in TIMES}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def record(folder: Path) -> bytes:
    """What is compared, byte for byte."""
    text = (folder / "comparison.json").read_text("utf-8")
    return json.dumps(timeless(json.loads(text)), indent=1).encode()


def trained_twice(folder: Path) -> list[str]:
    """Runs whose reports name a step twice, or leave one out that another has."""
    found = []
    for path in sorted(folder.glob("*/metrics.jsonl")):
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
        if steps != sorted(set(steps)):
            found.append(path.parent.name)
    return found


def work(folder: Path, options: argparse.Namespace) -> None:
    """A worker, in a process of its own."""
    from textgen.comparison import Compared, compare_cells, search_settings
    from textgen.options import TrainOptions

    base = TrainOptions(steps=options.steps, batch_size=4, seq_len=16, threads=1, save_every=3)
    if options.search:
        space = "hidden=4..16:log,dropout=0..0.5"
        events = search_settings(
            "text.txt", space, base, trials=options.runs, out=folder, join=True
        )
    else:
        rngs = range(1, options.runs // 2 + 1)
        events = compare_cells(
            "text.txt", "gru,rnn", base, params=3000, rngs=rngs, out=folder, join=True
        )
    *_, last = events
    os._exit(0 if isinstance(last, Compared) else 1)


def kills(options: argparse.Namespace) -> None:
    sys.path.insert(0, str(ROOT))
    os.environ["TEXTGEN_CACHE"] = str(Path("cache").absolute())
    for name in ("textgen.api", "textgen.comparison", *(["optuna"] if options.search else [])):
        importlib.import_module(name)
    fork = multiprocessing.get_context("fork")
    rng = random.Random(options.seed)

    def begin(folder: Path) -> Any:
        worker = fork.Process(target=work, args=(folder, options))
        worker.start()
        return worker

    calm = Path("calm").absolute()
    began = time.perf_counter()
    first = begin(calm)
    first.join()
    assert first.exitcode == 0
    whole = time.perf_counter() - began
    print(f"one worker alone: {whole:.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    done, rounds, taken_over = 0, 0, 0
    while done < options.kills:
        folder = Path(f"killed-{rounds}").absolute()
        workers = [begin(folder) for _ in range(options.workers)]
        while any(worker.is_alive() for worker in workers):
            time.sleep(rng.uniform(0, options.every * whole))
            place = rng.randrange(len(workers))
            if workers[place].is_alive() and done < options.kills:
                os.kill(workers[place].pid, signal.SIGKILL)
                workers[place].join()
                done += 1
                workers[place] = begin(folder)
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0, worker.exitcode
        claims = os.listdir(folder / "sweep/claims")
        times = Counter(re.sub(r"\.\d+(\.failed)?$", "", name) for name in claims)
        runs = {name for name in times if name != "planning"}
        results = {path.stem for path in (folder / "sweep/results").glob("*.json")}
        taken_over += sum(times[name] - 1 for name in runs)
        assert runs == results and len(results) == options.runs, (runs, results)
        assert not any(name.endswith(".failed") for name in claims), claims
        assert not trained_twice(folder), trained_twice(folder)
        if not options.search or options.workers == 1:
            assert record(folder) == record(calm), f"{folder} differs from {calm}"
        shutil.rmtree(folder)
        rounds += 1
        print(f"{done} kills, {rounds} comparisons, {taken_over} runs taken over", flush=True)
    print(f"{done} kills: nothing lost, nothing twice, the record the same byte for byte")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "kills"))
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--steps", type=int, help="of a run; 500 for speed, 150 for kills")
    parser.add_argument("--params", default="60k", help="of each network, for speed")
    parser.add_argument("--turns", type=int, default=3, help="for speed")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2, help="for kills")
    parser.add_argument(
        "--every", type=float, default=0.3, help="mean gap of kills, of a whole run"
    )
    parser.add_argument("--search", action="store_true", help="kill workers of a search")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.steps = options.steps or (500 if options.what == "speed" else 150)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        text = (ROOT / "corpora/english.txt").read_text("utf-8")
        Path("text.txt").write_text(text[:60_000], "utf-8")
        (speed if options.what == "speed" else kills)(options)
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
