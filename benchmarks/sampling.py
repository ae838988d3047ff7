"""How fast `textgen sample` writes, against torch's LSTM stepped token by token.

    python benchmarks/sampling.py [--rounds 5] [--minutes 15]
        [--only one|memory|many|first|wide|steered] [--json]

Models of random weights in a temporary folder; no training, no corpus. Everything that is compared
alternates within one run, and the medians and their ratios are printed:

- one text: characters per second through the whole command into a pipe (a long text's wall time
  less a one-character text's), against `nn.Embedding`, `nn.LSTM` and `nn.Linear` one token at a
  time with a softmax and a draw, at batch 1 in the process of the benchmark;
- one text on one thread: the bytes of weights that it reads in a second, against a copy of them
  (bytes read and bytes written) and against reading them;
- 64 texts together: `generate`, against the same torch loop with 64 streams, in bf16 where this CPU
  has instructions for that, else in fp32;
- the first character on a terminal after the start of the process, against `import torch`;
- one text of a vocabulary of 20,000 symbols, about as many as a word model has;
- steered texts against unsteered ones.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import (
    Clock,
    environment,
    first_character_seconds,
    rounds_within,
    sample_command,
    seconds_of,
    shown_while,
)

from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.model.config import ModelConfig
from textgen.native.library import BF16_ISAS, supported_isas
from textgen.progress import task
from textgen.runtime import choose_threads
from textgen.sampling import SampleOptions, SamplingNetworks, generate, stream_text
from textgen.steering import SteeringPlan, Target, parse_spec

if TYPE_CHECKING:
    from contenders import TorchLoop

#: Of tinyshakespeare, the two marks included.
SYMBOLS = 67
STREAMS = 64
#: Of what takes some hundred microseconds.
REPEATS = 200

#: Is gone through as often as there is to be a round.
Rounds = Iterable[int]


def made_up_model(hidden: int, layers: int, symbols: int = SYMBOLS) -> SavedModel:
    """Random weights that keep every pre-activation of order one."""
    config = ModelConfig(
        vocab_size=symbols, embedding_size=hidden, hidden_size=hidden, num_layers=layers
    )
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_normal(shape, np.float32) * shape[-1] ** -0.5).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + symbols - 2)))
    return SavedModel(
        config=config,
        vocabulary=Vocabulary.from_characters(letters),
        normalization=Normalization(),
        weights=weights,
    )


def has_bf16() -> bool:
    """Whether this CPU multiplies bf16 numbers: torch would emulate that elsewhere."""
    return any(isa in BF16_ISAS for isa in supported_isas())


def torch_loop(config: ModelConfig, dtype: str) -> TorchLoop:
    """torch's loop of a model's size, in numbers that torch calls `dtype`."""
    import torch
    from contenders import TorchLoop

    torch.set_num_threads(choose_threads().value)
    return TorchLoop(
        config.embedding_size,
        config.hidden_size,
        config.num_layers,
        config.vocab_size,
        getattr(torch, dtype),
    )


def piped_seconds(model: Path, length: int) -> float:
    """Wall time of a whole command that writes into a pipe."""
    return seconds_of(
        lambda: subprocess.run(
            sample_command(model, length), env=environment(), stdout=subprocess.PIPE, check=True
        )
    )


def write_one(folder: Path, hidden: int, layers: int, rounds: Rounds) -> list[dict[str, Any]]:
    """One text through the command against torch's loop at batch 1."""
    saved = made_up_model(hidden, layers)
    model = folder / f"{layers}x{hidden}.safetensors"
    saved.save(model)
    loop = torch_loop(saved.config, "float32")
    networks = SamplingNetworks(saved.config, saved.weights, choose_threads().value)
    length = 4000
    while length < 400_000 and piped_seconds(model, length) < 1.0:
        length *= 2
    loop.write(50, 1)
    rates: dict[str, list[float]] = {"command": [], "library": [], "torch": []}
    for _ in rounds:
        spent = piped_seconds(model, length) - piped_seconds(model, 1)
        rates["command"].append(length / spent)
        options = SampleOptions(length=length)
        spent = seconds_of(lambda: list(stream_text(networks.one, saved.vocabulary, options)))  # noqa: B023
        rates["library"].append(length / spent)
        rates["torch"].append(400 / seconds_of(lambda: loop.write(400, 1)))
    return [
        {
            "case": f"one text, {layers}x{hidden}",
            "path": networks.describe(),
            **{f"{name}_chars_per_second": median(values) for name, values in rates.items()},
            "ratio": median(a / b for a, b in zip(rates["command"], rates["torch"], strict=True)),
            "target": 22 if (layers, hidden) == (1, 512) else None,
        }
    ]


def repeated(work: Callable[[], object]) -> None:
    """The work `REPEATS` times."""
    for _ in range(REPEATS):
        work()


def write_from_memory(hidden: int, rounds: Rounds) -> list[dict[str, Any]]:
    """The weights that one text on one thread reads, against copying and reading as many bytes."""
    saved = made_up_model(hidden, 1)
    networks = SamplingNetworks(saved.config, saved.weights, 1)
    options = SampleOptions(length=2000)
    each = 2 if has_bf16() else 4
    size = each * hidden * (4 * hidden + SYMBOLS)
    weights = np.ones(size // 4, np.float32)
    place = np.empty_like(weights)
    works: dict[str, tuple[Callable[[], object], float]] = {
        "library": (
            lambda: list(stream_text(networks.one, saved.vocabulary, options)),
            options.length * size,
        ),
        "copy": (partial(repeated, partial(np.copyto, place, weights)), REPEATS * 2 * size),
        "read": (partial(repeated, partial(np.dot, weights, weights)), REPEATS * size),
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in rounds:
        for name, (work, moved) in works.items():
            rates[name].append(moved / seconds_of(work))
    return [
        {
            "case": f"one text, 1x{hidden}, {size / 1e6:.1f} MB of weights",
            "path": networks.describe(),
            "library_chars_per_second": median(rates["library"]) / size,
            **{f"{name}_bytes_per_second": median(values) for name, values in rates.items()},
            "ratio": median(a / b for a, b in zip(rates["library"], rates["copy"], strict=True)),
            # Weights come as fast as a copy of them reads and writes.
            "target": 1,
        }
    ]


def write_many(hidden: int, rounds: Rounds) -> list[dict[str, Any]]:
    """64 texts together against torch's loop with 64 streams: in bf16, where the CPU has that."""
    saved = made_up_model(hidden, 1)
    loop = torch_loop(saved.config, "bfloat16" if has_bf16() else "float32")
    networks = SamplingNetworks(saved.config, saved.weights, choose_threads().value)

    def ours(length: int) -> None:
        options = SampleOptions(length=length)
        generate(networks.many, saved.vocabulary, [()] * STREAMS, options)

    ours(20)
    loop.write(20, STREAMS)
    rates: dict[str, list[float]] = {"library": [], "torch": []}
    for _ in rounds:
        rates["library"].append(STREAMS * 600 / seconds_of(lambda: ours(600)))
        rates["torch"].append(STREAMS * 150 / seconds_of(lambda: loop.write(150, STREAMS)))
    return [
        {
            "case": f"{STREAMS} texts together, 1x{hidden} : {'bf16' if has_bf16() else 'fp32'}",
            "path": networks.describe(STREAMS),
            **{f"{name}_chars_per_second": median(values) for name, values in rates.items()},
            "ratio": median(a / b for a, b in zip(rates["library"], rates["torch"], strict=True)),
            "target": 5 if has_bf16() else None,
        }
    ]


def first_character(folder: Path, rounds: Rounds) -> list[dict[str, Any]]:
    """The first character against `import torch`."""
    model = folder / "first.safetensors"
    made_up_model(512, 1).save(model)
    first_character_seconds(model)
    ours, theirs = [], []
    for _ in rounds:
        ours.append(first_character_seconds(model))
        theirs.append(
            seconds_of(lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True))
        )
    return [
        {
            "case": "first character, 1x512",
            "seconds": median(ours),
            "import_torch_seconds": median(theirs),
            "ratio": median(b / a for a, b in zip(ours, theirs, strict=True)),
            # 0.6 s where `import torch` takes 2.1 s.
            "target": 3.5,
        }
    ]


def write_wide(rounds: Rounds) -> list[dict[str, Any]]:
    """One text of a vocabulary as large as that of words."""
    saved = made_up_model(512, 1, 20_000)
    networks = SamplingNetworks(saved.config, saved.weights, choose_threads().value)
    options = SampleOptions(length=1000)
    network = networks.one
    spent = [
        seconds_of(lambda: list(stream_text(network, saved.vocabulary, options))) for _ in rounds
    ]
    return [
        {
            "case": "one text, 1x512, 20,000 symbols",
            "path": networks.describe(),
            "library_chars_per_second": 1000 / median(spent),
            "target": None,
        }
    ]


def write_steered(hidden: int, count: int, rounds: Rounds) -> list[dict[str, Any]]:
    """Steered against unsteered: a neuron held, a direction held, a schedule by sentences."""
    saved = made_up_model(hidden, 1)
    networks = SamplingNetworks(saved.config, saved.weights, choose_threads().value)
    read = np.full(hidden, hidden**-0.5, np.float32)
    common: dict[str, Any] = {"layer": 0, "state": "c", "mean": 0.0, "sd": 0.5}
    neuron = Target(name="0:1.c", unit=1, **common)
    direction = Target(name="direction", read=read, write=read, **common)
    plans = {
        "a neuron": parse_spec("0:1.c=+1", lambda name: neuron),
        "a direction": parse_spec("direction=+1", lambda name: direction),
        "a direction by characters": parse_spec("d=+1@99..999,-1@999..", lambda name: direction),
        "a direction by sentences": parse_spec("d=+1@s1,-1@s2..", lambda name: direction),
    }
    length = 8000 if count == 1 else 600

    def write(plan: SteeringPlan | None) -> None:
        options = SampleOptions(length=length)
        if count == 1:
            list(stream_text(networks.one, saved.vocabulary, options, steering=plan))
        else:
            generate(networks.many, saved.vocabulary, [()] * count, options, steering=plan)

    ready = {name: SteeringPlan(parts) for name, parts in plans.items()}
    write(None)
    spent: dict[str, list[float]] = {name: [] for name in ("nothing", *ready)}
    for _ in rounds:
        spent["nothing"].append(seconds_of(lambda: write(None)))
        for name, plan in ready.items():
            spent[name].append(seconds_of(partial(write, plan)))
    texts = "one text" if count == 1 else f"{count} texts"
    return [
        {
            "case": f"{texts}, 1x{hidden}: {name}",
            "library_chars_per_second": count * length / median(seconds),
            "ratio": median(a / b for a, b in zip(spent["nothing"], seconds, strict=True)),
            # At most a tenth slower than unsteered.
            "target": None if name == "nothing" else 0.9,
        }
        for name, seconds in spent.items()
    ]


def shown(row: dict[str, Any]) -> str:
    """A row in one line."""
    parts = [f"{row['case']:44}"]
    for name in ("command", "library", "torch"):
        if f"{name}_chars_per_second" in row:
            parts.append(f"{name} {row[f'{name}_chars_per_second']:,.0f} chars/s")
    for name in ("library", "copy", "read"):
        if f"{name}_bytes_per_second" in row:
            parts.append(f"{name} {row[f'{name}_bytes_per_second'] / 1e9:.1f} GB/s")
    if "seconds" in row:
        parts.append(f"{row['seconds']:.2f} s, import torch {row['import_torch_seconds']:.2f} s")
    if "ratio" in row:
        parts.append(f"{row['ratio']:.2f} x")
    if row["target"] is not None:
        parts.append(f"target {row['target']} x")
    return "  ".join(parts) + (f"\n{'':46}{row['path']}" if "path" in row else "")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each case, at most")
    parser.add_argument("--minutes", type=float, default=15.0, help="for everything")
    parser.add_argument("--only", choices=("one", "memory", "many", "first", "wide", "steered"))
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    clock = Clock(60 * arguments.minutes)
    with tempfile.TemporaryDirectory() as name, shown_while() as say:
        folder = Path(name)
        cases: list[tuple[str, str, Callable[[Rounds], list[dict[str, Any]]]]] = [
            ("first", "the first character", partial(first_character, folder)),
            *(
                ("one", f"one text, {L}x{H}", partial(write_one, folder, H, L))
                for H, L in ((512, 1), (128, 2), (512, 2), (1024, 1))
            ),
            ("memory", "one text and memory, 1x512", partial(write_from_memory, 512)),
            ("many", f"{STREAMS} texts together, 1x512", partial(write_many, 512)),
            ("wide", "one text, 20,000 symbols", write_wide),
            ("steered", "one text, steered", partial(write_steered, 512, 1)),
            ("steered", f"{STREAMS} texts, steered", partial(write_steered, 512, STREAMS)),
        ]
        cases = [case for case in cases if arguments.only in (None, case[0])]
        if not arguments.json:
            say(f"numpy {np.__version__}, {choose_threads().value} threads")
        slowest = 0.0
        with task("measuring", len(cases)) as all_cases:
            for i, (_, what, measure) in enumerate(cases):
                if clock.left() < slowest:
                    if not arguments.json:
                        say(f"{what:44}left out: the {arguments.minutes:g} minutes are over")
                    continue
                began = clock.left()
                with task(what):
                    rounds = rounds_within(arguments.rounds, Clock(began / (len(cases) - i)))
                    found = measure(rounds)
                # A case takes as long as it takes: none is begun where the time might not do.
                slowest = max(slowest, (began - clock.left()) / 2)
                for row in found:
                    say(json.dumps(row) if arguments.json else shown(row))
                all_cases.advance()


if __name__ == "__main__":
    main()
