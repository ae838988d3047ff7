"""Numbers that are not finite, put into trainings: none of them is ever saved.

    python benchmarks/promises --only 8

Half of the tries put NaN or an infinity into the loss, the gradient, the carried state, the
weights or the moments of a training, at a random place and step, once or from then on. The other
half train with extreme values of learning rate, weight decay and gradient norm, drawn evenly in
their exponents over all that the options take.

The promise (8): no saved file holds a number that is not finite, whatever happens, and each opens.
The training ends well, or with the code 5 and a line that says what to try, or refuses the value
with the code 2; nothing else, and no traceback or warning of a library. The model that was the best
before stays. After 0 failures in n tries the true share is below 3/n with 95 % confidence.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from campaign import Effort, Figure, Part, repeat
from forked import Finished, Server
from measuring import made_up_text

from textgen.cells import CELLS
from textgen.checkpoint.format import read_file
from textgen.errors import TextgenError
from textgen.native.library import load, missing_reason

_STEPS = 30
_OUT = "run"
_COMMAND = (
    *("train", "text.txt", "--hidden", "8", "--batch-size", "2", "--seq-len", "8", "--threads"),
    *("1", "--steps", str(_STEPS), "--eval-every", "6", "--save-every", "1", "-q", "--out", _OUT),
)
PLACES = ("loss", "gradient", "state", "weights", "moments")
VALUES = ("nan", "inf", "-inf")
#: The options with the least and the largest exponent of ten that is tried.
EXTREMES = {"--learning-rate": (-320, 308), "--weight-decay": (-320, 308), "--clip": (-320, 308)}
#: A training that ends well; a value that is refused; one that diverges.
CODES = (0, 2, 5)


@dataclass(frozen=True)
class FiniteTry:
    """One training with a number that is not finite, or with extreme options.

    Args:
        words: The options beside those that all have.
        put: Where a number was put, at which step, which one, and whether from then on; None:
            nowhere.
        code: The exit code.
        err: What it said on stderr.
        wrong: What was not kept, in words.
    """

    words: tuple[str, ...]
    put: dict[str, Any] | None
    code: int
    err: str
    wrong: tuple[str, ...] = ()


def put_number(place: str, step: int, value: str, lasts: bool, seed: int) -> None:
    """Let the training of this process meet a number that is not finite.

    Args:
        place: One of `PLACES`.
        step: At which update, counted from 1.
        value: One of `VALUES`.
        lasts: Whether at all later updates, too.
        seed: Of the place in an array.
    """
    from textgen.model.native_network import NativeNetwork
    from textgen.native.net import AdamW

    rng = random.Random(seed)
    number = float(value)
    compute, descend = NativeNetwork.differentiate, AdamW.step
    taken = 0

    def is_now() -> bool:
        return taken == step or (lasts and taken > step)

    def differentiate(self: NativeNetwork, *arguments: Any, **more: Any) -> Any:
        nonlocal taken
        taken += 1
        if place == "weights" and is_now():
            self.parameters[rng.randrange(self.parameters.size)] = number
            self.weights_changed()
        loss, state = compute(self, *arguments, **more)
        if place == "loss" and is_now():
            loss = number
        if place == "gradient" and is_now():
            self.gradient[rng.randrange(self.gradient.size)] = number
        if place == "state" and is_now():
            array = rng.choice(list(rng.choice(state).values()))
            array[rng.randrange(array.shape[0]), rng.randrange(array.shape[1])] = number
        return loss, state

    def step_of(self: AdamW, *arguments: Any, **more: Any) -> Any:
        if place == "moments" and is_now():
            array = rng.choice([self.exp_avg, self.exp_avg_sq])
            array[rng.randrange(array.size)] = number
        return descend(self, *arguments, **more)

    NativeNetwork.differentiate = differentiate  # type: ignore[method-assign,assignment]
    AdamW.step = step_of  # type: ignore[method-assign,assignment]


def not_finite_in(folder: Path) -> list[str]:
    """What is wrong with the files of a run: numbers that are not finite; it does not open."""
    wrong = []
    for name in ("model", "resume"):
        path = folder / f"{name}.safetensors"
        if not path.exists():
            continue
        try:
            _, tensors = read_file(path, kind=name)
        except TextgenError as error:
            wrong.append(f"{path.name} does not open: {error}")
            continue
        for key, array in tensors.items():
            if array.dtype.kind == "f" and key != "train.counters" and not np.isfinite(array).all():
                wrong.append(f"{path.name} holds {key}, which is not finite")
                break
    return wrong


def check(project: Path, server: Server, ended: Finished) -> list[str]:
    """What is wrong with a training that ended, and with the run that it leaves."""
    wrong = []
    if ended.code not in CODES:
        wrong.append(f"the exit code {ended.code}")
    if "Traceback" in ended.err or "Warning" in ended.err:
        wrong.append("a traceback or a warning of a library")
    lines = [line for line in ended.err.splitlines() if line.startswith("textgen: ")]
    if ended.code and len(lines) != 1:
        wrong.append(f"{len(lines)} messages")
    out = project / _OUT
    wrong += not_finite_in(out)
    if ended.code == 5 and not (out / "model.safetensors").exists():
        has_best = any(
            json.loads(line)["evaluated"]
            for line in (out / "metrics.jsonl").read_text("utf-8").splitlines()
        )
        if has_best or "no model is left" not in ended.err:
            wrong.append("no model is left")
    if ended.code != 2:
        again = server.run(["train", _OUT, "--resume", "-q"])
        if again.code not in CODES or "Traceback" in again.err:
            wrong.append(f"resumed: code {again.code}: {again.err.strip()}")
        wrong += [f"resumed: {what}" for what in not_finite_in(out)]
    return wrong


def _draw(rng: random.Random, number: int) -> tuple[tuple[str, ...], dict[str, Any] | None]:
    """The options of a try, and what is put where."""
    cell = ("--cell", rng.choice(list(CELLS)), "--layers", str(rng.choice((2, 3))))
    if number % 2 == 0:
        put = {
            "place": rng.choice(PLACES),
            "step": rng.randint(1, _STEPS),
            "value": rng.choice(VALUES),
            "lasts": rng.random() < 0.3,
            "seed": rng.randrange(2**31),
        }
        return cell, put
    words: list[str] = []
    for option, (least, largest) in EXTREMES.items():
        if rng.random() < 0.6:
            words += [option, f"{rng.uniform(1, 10):.3f}e{rng.randint(least, largest)}"]
    if rng.random() < 0.3:
        return ("--cell", "rnn", "--nonlinearity", rng.choice(("relu", "identity")), *words), None
    return (*cell, *words), None


def run(tries: int, *, seed: int = 0) -> Iterator[FiniteTry]:
    """Train with numbers that are not finite, or nearly so.

    Args:
        tries: How many trainings.
        seed: Of all that is drawn.
    Yields:
        A record a training.
    Raises:
        RuntimeError: The native engine is missing, into whose arrays the numbers are put.
    """
    if load() is None:
        raise RuntimeError(missing_reason())
    with tempfile.TemporaryDirectory(prefix="textgen-finite-") as place:
        project = Path(place).resolve()
        (project / "text.txt").write_text(made_up_text(1_500), "utf-8")
        with Server(project) as server:
            for number in range(tries):
                words, put = _draw(random.Random(f"{seed} {number}"), number)
                shutil.rmtree(project / _OUT, ignore_errors=True)
                prepare = None if put is None else ("not_finite", "put_number", put)
                ended = server.run([*_COMMAND, *words], prepare=prepare)
                wrong = check(project, server, ended)
                yield FiniteTry(words, put, ended.code, ended.err[-1000:], tuple(wrong))


def summary(tries: Sequence[FiniteTry]) -> str:
    """Figures, in a sentence."""
    codes = Counter(one.code for one in tries)
    places = Counter(one.put["place"] if one.put else "extreme options" for one in tries)
    put = ", ".join(f"{place} {count}" for place, count in sorted(places.items()))
    ends = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    return f"{len(tries)} trainings: {put}; exit codes: {ends}."


def try_promise(effort: Effort) -> Figure:
    """Part 8 of the campaign."""
    if load() is None:  # The numbers are put into the engine's arrays.
        return Figure(tried=0, not_run=(f"needs the native engine: {missing_reason()}",))
    tries = [one for _, one in zip(effort.tries(), run(1_000_000, seed=effort.seed), strict=False)]
    failed = tuple(
        f"{' '.join(one.words)}, put: {one.put}: code {one.code}, {'; '.join(one.wrong)} "
        f"{repeat(8, effort, number)}"
        for number, one in enumerate(tries)
        if one.wrong
    )
    return Figure(tried=len(tries), failures=failed, text=summary(tries))


PARTS = (
    Part(
        number=8,
        promise="No saved file holds a number that is not finite, whatever the options are and "
        "wherever one comes up in a training; the best model before it stays.",
        not_promised="that a training with absurd options learns anything.",
        seconds=200,
        run=try_promise,
        needs=("linux",),
    ),
)
