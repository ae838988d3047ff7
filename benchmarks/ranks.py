"""Two processes of one thread beside one process of two threads, and what a step exchanges.

All take the same steps of the same network, in turns, so that a noisy machine slows each of them;
the ratio is of the medians of the rounds. Needs torch and two cores.

    python benchmarks/ranks.py [--hidden 512] [--batch-size 64] [--rounds 5] [--steps 40]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from statistics import median
from typing import Any

import numpy as np
from measuring import seconds_of, trainer_of

from textgen.model.config import ModelConfig
from textgen.model.engine import choose_engine
from textgen.training.launch import open_ranks
from textgen.training.ranks import Crew

VOCABULARY = 96


def measure(arguments: argparse.Namespace, threads: int, ranks: Crew) -> list[dict[str, Any]]:
    """Seconds of a step and of its exchange, in each round; a line on stdin begins a round."""
    model = ModelConfig(
        vocab_size=VOCABULARY, embedding_size=64, hidden_size=arguments.hidden, cell="coupled"
    )
    tokens = np.random.default_rng(0).integers(2, VOCABULARY, 10**6, dtype=np.uint8)
    path = choose_engine(model.cell_spec, "cpu", arguments.precision, threads)
    trainer = trainer_of(
        model, path, tokens, batch_size=arguments.batch_size, seq_len=64, ranks=ranks
    )
    flat = np.zeros(ranks.padded(model.num_parameters() + 3), np.float32)
    for _ in range(3):
        trainer.advance()
    found = []
    if ranks.rank == 0:
        print("ready", flush=True)
    while ranks.broadcast(ranks.alone(sys.stdin.readline)):
        seconds = seconds_of(lambda: [trainer.advance() for _ in range(arguments.steps)])
        exchange = seconds_of(lambda: [ranks.sum_(flat) for _ in range(arguments.steps)])
        found.append([seconds / arguments.steps, exchange / arguments.steps])
        if ranks.rank == 0:
            print(json.dumps(found[-1]), flush=True)
    return []


class Contender:
    """Some processes that wait for a round."""

    def __init__(self, processes: int, threads: int, settings: list[str]) -> None:
        own = [*sys.argv[:1], "--worker", str(threads), *settings]
        words = [sys.executable, *own]
        if processes > 1:
            launcher = ["-m", "torch.distributed.run", "--standalone"]
            words = [sys.executable, *launcher, "--nproc-per-node", str(processes), *own]
        self.name = f"{processes} x {threads}"
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )
        self.figures: list[list[float]] = []
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready"

    def round(self) -> None:
        """Take the steps of a round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.figures.append(json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        """End the processes."""
        self._process.communicate(timeout=60)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        with open_ranks() as ranks:
            measure(arguments, arguments.worker, ranks)
        return
    shared = ("hidden", "batch_size", "precision", "steps")
    settings = [
        word
        for name in shared
        for word in ("--" + name.replace("_", "-"), str(getattr(arguments, name)))
    ]
    print(f"load {os.getloadavg()[0]:.2f} at the beginning")
    contenders = [Contender(1, 2, settings), Contender(2, 1, settings), Contender(1, 1, settings)]
    for _ in range(arguments.rounds):
        for contender in contenders:
            contender.round()
    for contender in contenders:
        contender.end()
    whole = median(step for step, _ in contenders[0].figures)
    for contender in contenders:
        step, exchange = (median(column) for column in zip(*contender.figures, strict=True))
        print(
            f"{contender.name} threads: {step * 1e3:7.2f} ms a step, {exchange * 1e3:6.2f} ms "
            f"of it for the sum; speed {whole / step:.3f} of 1 x 2"
        )
    print(f"load {os.getloadavg()[0]:.2f} at the end")


if __name__ == "__main__":
    main()
