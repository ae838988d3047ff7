"""What several benchmarks share: times, what is shown, made-up text, the command in a child."""

from __future__ import annotations

import os
import pty
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textgen.cli.moving import is_live, moving

if TYPE_CHECKING:
    from textgen.model.config import ModelConfig
    from textgen.model.network import Engine
    from textgen.training.ranks import Crew
    from textgen.training.trainer import Trainer

CHECKOUT = Path(__file__).resolve().parents[1]


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Clock:
    """A time that runs from now on.

    Args:
        seconds: How long it is.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; below zero when it is over."""
        return self._end - time.monotonic()


def rounds_within(most: int, clock: Clock) -> Iterator[int]:
    """Count rounds: one at least, then as many as fit, if each takes as long as the longest."""
    longest = 0.0
    for i in range(most):
        if i and clock.left() < longest:
            return
        began = clock.left()
        yield i
        longest = max(longest, began - clock.left())


@contextmanager
def shown_while() -> Iterator[Callable[[str], None]]:
    """On a terminal a line moves that names the task at work; gives what prints a line above it."""
    with moving(live=is_live(quiet=False, json_output=False)) as line:

        def say(text: str) -> None:
            with line.hidden():
                print(text, flush=True)

        yield say


def made_up_text(length: int) -> str:
    """Sentences of made-up words: enough letters to fill a vocabulary, no corpus needed."""
    rng = random.Random(0)
    syllables = [c + v for c in "бвгджзклмнпрстфхцчш" for v in "аеиоуыя"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(5000)]
    parts: list[str] = []
    size = 0
    while size < length:
        sentence = " ".join(rng.choices(words, k=rng.randint(4, 14))).capitalize() + ". "
        parts.append(sentence)
        size += len(sentence)
    return "".join(parts)


def trainer_of(
    model: ModelConfig,
    engine: Engine,
    tokens: NDArray[np.uint8],
    *,
    batch_size: int,
    seq_len: int,
    ranks: Crew | None = None,
) -> Trainer:
    """A trainer as a run would have it, without a run: for the time of its steps.

    Args:
        ranks: The processes that take them; None is this one alone.
    """
    from textgen.training.plan import OptimizerPlan, Plan
    from textgen.training.ranks import ALONE
    from textgen.training.trainer import first_weights, open_trainer

    ranks, never = ranks or ALONE, 10**6
    plan = Plan(
        model=model,
        optimizer=OptimizerPlan(
            learning_rate=0.002, beta1=0.4, beta2=0.97, weight_decay=0.1, clip_norm=1.0
        ),
        batch_size=batch_size,
        seq_len=seq_len,
        sliding=False,
        steps=never,
        warmup_steps=0,
        report_every=never,
        eval_every=never,
        eval_tokens=1,
        save_every=never,
        sample_every=never,
        patience=0,
        rng=1,
    )
    windows = plan.windows(tokens, share=ranks.share)
    return open_trainer(plan, engine, windows, first_weights(plan), ranks)


def environment(checkout: Path = CHECKOUT) -> dict[str, str]:
    """The variables of a child process that takes the package from `checkout`."""
    path = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}


def sample_command(model: Path, length: int) -> list[str]:
    """The words of `textgen sample`."""
    words = [sys.executable, "-m", "textgen", "sample", "--checkpoint", str(model)]
    return [*words, "--length", str(length), "--quiet"]


def first_character_seconds(model: Path, checkout: Path = CHECKOUT) -> float:
    """Time from the start of `textgen sample` to the first byte on its terminal."""
    ours, theirs = pty.openpty()
    began = time.perf_counter()
    running = subprocess.Popen(
        sample_command(model, 20), cwd=model.parent, env=environment(checkout), stdout=theirs
    )
    os.close(theirs)
    os.read(ours, 1)
    seconds = time.perf_counter() - began
    running.wait()
    os.close(ours)
    return seconds
