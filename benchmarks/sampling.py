"""How fast `textgen sample` writes, against torch's LSTM stepped token by token.

    python benchmarks/sampling.py [--rounds 5] [--only one|many|first|wide|steered] [--json]

Models of random weights in a temporary folder; no training, no corpus. Everything that is compared
alternates within one run, and the medians and their ratios are printed:

- one text: characters per second through the whole command into a pipe (a long text's wall time
  less a one-character text's), against `nn.Embedding`, `nn.LSTM` and `nn.Linear` one token at a
  time with a softmax and a draw, at batch 1 in the process of the benchmark;
- 64 texts together: `generate`, against the same torch loop in bf16 with 64 streams;
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
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from measuring import environment, first_character_seconds, sample_command, seconds_of
from torch import nn

from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.model.config import ModelConfig
from textgen.runtime import choose_threads
from textgen.sampling import SampleOptions, SamplingNetworks, generate, stream_text
from textgen.steering import SteeringPlan, Target, parse_spec

#: Of tinyshakespeare, the two marks included.
SYMBOLS = 67
STREAMS = 64


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


class TorchLoop:
    """Generation as the peers do it: one call of `nn.LSTM` a token."""

    def __init__(self, config: ModelConfig, dtype: torch.dtype) -> None:
        H = config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, H).to(dtype)
        self.lstm = nn.LSTM(H, H, config.num_layers).to(dtype)
        self.head = nn.Linear(H, config.vocab_size).to(dtype)

    @torch.inference_mode()
    def write(self, steps: int, streams: int) -> None:
        """So many tokens in each of so many streams."""
        ids = torch.zeros(1, streams, dtype=torch.long)
        state = None
        for _ in range(steps):
            y, state = self.lstm(self.embedding(ids), state)
            logits = self.head(y[-1]).float() / 0.8
            ids = torch.multinomial(torch.softmax(logits, dim=-1), 1).T


def piped_seconds(model: Path, length: int) -> float:
    """Wall time of a whole command that writes into a pipe."""
    return seconds_of(
        lambda: subprocess.run(
            sample_command(model, length), env=environment(), stdout=subprocess.PIPE, check=True
        )
    )


def write_one(folder: Path, hidden: int, layers: int, rounds: int) -> dict[str, Any]:
    """One text through the command against torch's loop at batch 1."""
    saved = made_up_model(hidden, layers)
    model = folder / f"{layers}x{hidden}.safetensors"
    saved.save(model)
    loop = TorchLoop(saved.config, torch.float32)
    networks = SamplingNetworks(saved.config, saved.weights, choose_threads().value)
    length = 4000
    while length < 400_000 and piped_seconds(model, length) < 1.0:
        length *= 2
    loop.write(50, 1)
    rates: dict[str, list[float]] = {"command": [], "library": [], "torch": []}
    for _ in range(rounds):
        spent = piped_seconds(model, length) - piped_seconds(model, 1)
        rates["command"].append(length / spent)
        options = SampleOptions(length=length)
        spent = seconds_of(lambda: list(stream_text(networks.one, saved.vocabulary, options)))  # noqa: B023
        rates["library"].append(length / spent)
        rates["torch"].append(400 / seconds_of(lambda: loop.write(400, 1)))
    return {
        "case": f"one text, {layers}x{hidden}",
        "path": networks.describe(),
        **{f"{name}_chars_per_second": median(values) for name, values in rates.items()},
        "ratio": median(a / b for a, b in zip(rates["command"], rates["torch"], strict=True)),
        "target": 22 if (layers, hidden) == (1, 512) else None,
    }


def write_many(hidden: int, rounds: int) -> dict[str, Any]:
    """64 texts together against torch's loop in bf16 with 64 streams."""
    saved = made_up_model(hidden, 1)
    loop = TorchLoop(saved.config, torch.bfloat16)
    networks = SamplingNetworks(saved.config, saved.weights, choose_threads().value)

    def ours(length: int) -> None:
        options = SampleOptions(length=length)
        generate(networks.many, saved.vocabulary, [()] * STREAMS, options)

    ours(20)
    loop.write(20, STREAMS)
    rates: dict[str, list[float]] = {"library": [], "torch": []}
    for _ in range(rounds):
        rates["library"].append(STREAMS * 600 / seconds_of(lambda: ours(600)))
        rates["torch"].append(STREAMS * 150 / seconds_of(lambda: loop.write(150, STREAMS)))
    return {
        "case": f"{STREAMS} texts together, 1x{hidden}",
        "path": networks.describe(STREAMS),
        **{f"{name}_chars_per_second": median(values) for name, values in rates.items()},
        "ratio": median(a / b for a, b in zip(rates["library"], rates["torch"], strict=True)),
        "target": 5,
    }


def first_character(folder: Path, rounds: int) -> dict[str, Any]:
    """The first character against `import torch`."""
    model = folder / "first.safetensors"
    made_up_model(512, 1).save(model)
    first_character_seconds(model)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(first_character_seconds(model))
        theirs.append(
            seconds_of(lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True))
        )
    return {
        "case": "first character, 1x512",
        "seconds": median(ours),
        "import_torch_seconds": median(theirs),
        "ratio": median(b / a for a, b in zip(ours, theirs, strict=True)),
        # 0.6 s where `import torch` takes 2.1 s.
        "target": 3.5,
    }


def write_wide(rounds: int) -> dict[str, Any]:
    """One text of a vocabulary as large as that of words."""
    saved = made_up_model(512, 1, 20_000)
    networks = SamplingNetworks(saved.config, saved.weights, choose_threads().value)
    options = SampleOptions(length=1000)
    network = networks.one
    spent = [
        seconds_of(lambda: list(stream_text(network, saved.vocabulary, options)))
        for _ in range(rounds)
    ]
    return {
        "case": "one text, 1x512, 20,000 symbols",
        "path": networks.describe(),
        "library_chars_per_second": 1000 / median(spent),
        "target": None,
    }


def write_steered(hidden: int, count: int, rounds: int) -> list[dict[str, Any]]:
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
    for _ in range(rounds):
        spent["nothing"].append(seconds_of(lambda: write(None)))
        for name, plan in ready.items():
            spent[name].append(seconds_of(lambda plan=plan: write(plan)))
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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("one", "many", "first", "wide", "steered"))
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    threads = choose_threads().value
    torch.set_num_threads(threads)
    rounds = arguments.rounds
    if not arguments.json:
        print(f"torch {torch.__version__}, numpy {np.__version__}, {threads} threads")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases: list[tuple[str, Callable[[], dict[str, Any]]]] = [
            ("first", lambda: first_character(folder, rounds)),
            ("one", lambda: write_one(folder, 512, 1, rounds)),
            ("one", lambda: write_one(folder, 128, 2, rounds)),
            ("one", lambda: write_one(folder, 512, 2, rounds)),
            ("one", lambda: write_one(folder, 1024, 1, rounds)),
            ("many", lambda: write_many(512, rounds)),
            ("wide", lambda: write_wide(rounds)),
        ]
        for kind, measure in cases:
            if arguments.only in (None, kind):
                row = measure()
                print(json.dumps(row) if arguments.json else shown(row), flush=True)
        for count in (1, STREAMS) if arguments.only in (None, "steered") else ():
            for row in write_steered(512, count, rounds):
                print(json.dumps(row) if arguments.json else shown(row), flush=True)


if __name__ == "__main__":
    main()
