"""What is to be tried on a machine with a GPU, in eight minutes at most: `make test-gpu`.

(a) Trains, resumes, samples, inspects and evaluates there; cuDNN beside the reference, in float32
    and bf16.
(b) Characters a second of training in bf16 at the best batch, beside bare cuDNN: a module of torch
    that reads, is differentiated and stepped, and nothing else. No step may wait for the GPU. What
    torch.compile and CUDA graphs would gain around head, loss and optimiser.
(c) Trains on tinyshakespeare and on a folder for a minute each, with defaults, and evaluates.
(d) Writes it all into a folder: `figures.json`, the runs, and a trace of the profiler.

    python benchmarks/gpu.py [--out build/gpu] [--device cuda] [--texts FILE FOLDER]

`--device cpu` runs every line of it with small sizes, where there is no GPU, to review it: in
float32, for many a CPU has no LSTM in bf16.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measuring import trainer_of

from textgen.checkpoint import RESUME_NAME
from textgen.model.config import ModelConfig
from textgen.model.network import Engine
from textgen.training.folder import RunState
from textgen.training.trainer import Trainer

TIME, VOCABULARY = 64, 96
#: Layers and neurons, and the batches that are tried, largest last; on a CPU much smaller.
SHAPES = ((1, 512), (1, 1024), (2, 1024), (1, 2048))
BATCHES = (64, 128, 256, 512)
SMALL_SHAPES, SMALL_BATCHES = ((1, 16), (2, 24)), (4,)
#: What a step may cost beside bare cuDNN.
RATIO = 0.9
#: Names by which the profiler shows that the program waits for the GPU.
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


class Trial:
    """What was tried, and what came out."""

    def __init__(self, out: Path, minutes: float) -> None:
        self.out = out
        self.until = time.monotonic() + 60 * minutes
        self.figures: dict[str, Any] = {}
        self.failed: list[str] = []

    @property
    def seconds_left(self) -> float:
        """Seconds until everything is to be over."""
        return self.until - time.monotonic()

    @contextmanager
    def part(self, name: str) -> Iterator[dict[str, Any]]:
        """A part of it: an error is noted, and the next part is tried."""
        print(f"== {name}", flush=True)
        found: dict[str, Any] = {}
        self.figures[name] = found
        began = time.monotonic()
        try:
            yield found
        except Exception as error:
            found["error"] = f"{type(error).__name__}: {error}"
            self.failed.append(f"{name}: {found['error']}")
        found["seconds"] = round(time.monotonic() - began, 1)
        print(json.dumps(found, indent=1), flush=True)
        (self.out / "figures.json").write_text(json.dumps(self.figures, indent=1) + "\n")

    def check(self, holds: bool, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.failed.append(what)
            print(f"!! {what}", flush=True)


def agreement(trial: Trial, device: str) -> None:
    """cuDNN, or torch's kernels, beside the step-by-step reference: losses and gradients."""
    import torch

    from textgen.model.initialise import initial_weights
    from textgen.model.recurrence import make_resets
    from textgen.model.torch_network import LanguageModel

    rng = np.random.default_rng(1)
    ids_TB = rng.integers(1, VOCABULARY, (TIME + 1, 16))
    resets_TB = np.zeros((TIME, 16), bool)
    resets_TB[7, 3] = resets_TB[30, ::2] = True

    def run(cell: str, engine: Engine) -> tuple[float, np.ndarray]:
        config = ModelConfig(
            vocab_size=VOCABULARY, embedding_size=32, hidden_size=64, num_layers=2, cell=cell
        )
        model = LanguageModel(config, engine)
        # The head begins at zero, where no gradient reaches the layers.
        weights = initial_weights(config, 0)
        weights["head.weight"] = (
            np.random.default_rng(2).normal(0, 0.1, weights["head.weight"].shape).astype(np.float32)
        )
        model.load_arrays(weights)
        where = torch.device(engine.device)
        ids = torch.from_numpy(ids_TB).to(where)
        logits, _ = model(ids[:-1], model.zero_state(16), make_resets(resets_TB, where))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        parts = [p.grad.float().flatten().cpu() for p in model.parameters() if p.grad is not None]
        return loss.item(), torch.cat(parts).numpy()

    with trial.part("cuDNN beside the reference") as found:
        for cell in ("lstm", "gru", "rnn"):
            loss, gradient = run(cell, Engine("reference", "fp32", "the specification"))
            for precision, most_loss, most in (("fp32", 1e-5, 1e-4), ("bf16", 5e-3, 5e-2)):
                if precision == "bf16" and device == "cpu":
                    continue
                own_loss, own = run(cell, Engine("torch", precision, "", device))
                error = float(np.linalg.norm(own - gradient) / np.linalg.norm(gradient))
                off = abs(own_loss - loss) / loss
                found[f"{cell} {precision}"] = {"loss": off, "gradient": error}
                trial.check(
                    off <= most_loss and error <= most,
                    f"{cell} in {precision} is off by {off:.1e} (loss), {error:.1e} (gradient)",
                )


def commands(trial: Trial, device: str, text: Path) -> None:
    """Train, stop, resume, sample, inspect and evaluate on the device."""
    import textgen
    from textgen.training.events import Ended

    folder = trial.out / "small"
    settings: dict[str, Any] = {
        "steps": 60,
        "hidden_size": 128 if device == "cuda" else 8,
        "cell": "lstm",
        "device": device,
        "eval_every": 20,
    }
    with trial.part("train, resume, sample, inspect, evaluate") as found:
        whole = textgen.train(text, out=folder / "whole", **settings, force=True)
        calls = iter(range(10**6))
        textgen.train(
            text, out=folder / "run", **settings, force=True, stop=lambda: next(calls) >= 29
        )
        found["resumed from"] = RunState.load(folder / "run" / RESUME_NAME).progress.step
        resumed = textgen.train(out=folder / "run", resume=True)
        ends: list[Ended] = [whole.ended, resumed.ended]
        found["whole"], found["resumed"] = (end.best_bits_per_char for end in ends)
        trial.check(0 < found["resumed from"] < whole.ended.step, "it was not stopped on its way")
        trial.check(abs(found["whole"] - found["resumed"]) < 0.02, "a resumed run ended otherwise")
        model = resumed.load()
        found["sample"] = model.generate("The ", length=60)
        trial.check(len(found["sample"]) >= 60, "the sample is too short")
        part = folder / "part.txt"
        part.write_text(text.read_text("utf-8")[:20_000], "utf-8")
        view = model.gates("The quick brown fox")
        found["gates"] = len(view.to_json())
        scores = {
            where: model.evaluate(str(part), device=where).bits_per_char
            for where in {device, "cpu"}
        }
        found["evaluated"] = scores
        trial.check(
            max(scores.values()) - min(scores.values()) < 0.01,
            f"evaluations differ by device: {scores}",
        )


def precision_of(device: str) -> str:
    """What is measured there."""
    return "bf16" if device == "cuda" else "fp32"


def trainer_for(device: str, layers: int, hidden: int, batch: int, text: np.ndarray) -> Trainer:
    """A trainer in bf16, as a run would have it."""
    model = ModelConfig(
        vocab_size=VOCABULARY, embedding_size=64, hidden_size=hidden, num_layers=layers
    )
    engine = Engine("torch", precision_of(device), "measured", device)
    return trainer_of(model, engine, text, batch_size=batch, seq_len=TIME)


def bare_step(device: str, layers: int, hidden: int, batch: int) -> Callable[[], object]:
    """A step of torch's own modules on the same sizes: the least that a step can be."""
    import torch
    from torch import nn

    where = torch.device(device)
    embedding = nn.Embedding(VOCABULARY, 64, device=where)
    module, head = nn.LSTM(64, hidden, layers, device=where), nn.Linear(hidden, VOCABULARY)
    head = head.to(where)
    parameters = [*embedding.parameters(), *module.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
    ids = torch.randint(2, VOCABULARY, (TIME + 1, batch), device=where)
    zero = torch.zeros(layers, batch, hidden, device=where)
    state = [zero, zero.clone()]

    def step() -> None:
        with torch.autocast(where.type, torch.bfloat16, enabled=device == "cuda"):
            out, (h, c) = module(embedding(ids[:-1]), (state[0], state[1]))
            logits = head(out)
        state[:] = h.detach().float(), c.detach().float()
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def seconds_of(step: Callable[[], object], wait: Callable[[], object], seconds: float) -> float:
    """Seconds of a step, the device waited for once in ten of them; the median of turns."""
    for _ in range(3):
        step()
    wait()
    turns = []
    until = time.perf_counter() + seconds
    while not turns or time.perf_counter() < until:
        began = time.perf_counter()
        for _ in range(10):
            step()
        wait()
        turns.append((time.perf_counter() - began) / 10)
    return median(turns)


def speed(trial: Trial, device: str) -> None:
    """Characters a second beside bare cuDNN, at the best batch of each."""
    import torch

    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    small = device != "cuda"
    shapes, batches = (SMALL_SHAPES, SMALL_BATCHES) if small else (SHAPES, BATCHES)
    seconds = 0.1 if small else 1.0
    text = np.random.default_rng(0).integers(2, VOCABULARY, 2_000_000, dtype=np.uint8)
    for layers, hidden in shapes:
        with trial.part(f"speed of {layers}x{hidden} in {precision_of(device)}") as found:
            best: dict[str, float] = {"textgen": 0.0, "bare": 0.0}
            for batch in batches:
                trainer = trainer_for(device, layers, hidden, batch, text)
                bare = bare_step(device, layers, hidden, batch)
                chars = TIME * batch
                ours = chars / seconds_of(trainer.advance, wait, seconds)
                theirs = chars / seconds_of(bare, wait, seconds)
                found[f"batch {batch}"] = {"textgen": round(ours), "bare": round(theirs)}
                best = {"textgen": max(best["textgen"], ours), "bare": max(best["bare"], theirs)}
                del trainer, bare
            found["ratio"] = round(best["textgen"] / best["bare"], 3)
            # On a CPU the sizes are too small to say anything.
            if not small:
                trial.check(
                    found["ratio"] >= RATIO,
                    f"{layers}x{hidden}: {found['ratio']:.2f} of bare cuDNN, not {RATIO}",
                )


def waiting(trial: Trial, device: str) -> None:
    """No step waits for the GPU: torch would raise, and the profiler sees no such call."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    text = np.random.default_rng(0).integers(2, VOCABULARY, 200_000, dtype=np.uint8)
    text[::1000] = 0  # Documents begin within windows.
    with trial.part("no synchronisation inside a step") as found:
        layers, hidden, batch = (1, 512, 128) if device == "cuda" else (1, 16, 8)
        trainer = trainer_for(device, layers, hidden, batch, text)
        for _ in range(3):
            trainer.advance()
        trainer.wait()
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(5):
                trainer.advance()
        finally:
            if device == "cuda":
                torch.cuda.set_sync_debug_mode("default")
        trainer.wait()
        activities = [ProfilerActivity.CPU]
        if device == "cuda":
            activities.append(ProfilerActivity.CUDA)
        with profile(activities=activities) as profiled:
            for _ in range(5):
                trainer.advance()
        counts = {event.key: event.count for event in profiled.key_averages()}
        found["waits"] = {name: counts[name] for name in WAITS if name in counts}
        found["calls"] = len(counts)
        profiled.export_chrome_trace(str(trial.out / "trace.json"))
        # The profiler itself waits for the device once, when it ends.
        stream = {k: n for k, n in found["waits"].items() if k != "cudaDeviceSynchronize"}
        if device == "cuda":
            trial.check(not stream, f"a step waits for the GPU: {stream}")


def head_and_loss(trial: Trial, device: str) -> None:
    """What torch.compile, or a CUDA graph, would gain around head and loss, and around the
    optimiser: the speed of each beside torch as it is."""
    import torch
    from torch import nn

    where = torch.device(device)
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    hidden, batch, seconds = (1024, 256, 1.0) if device == "cuda" else (16, 4, 0.05)
    head = nn.Linear(hidden, VOCABULARY, device=where)
    outputs = torch.randn(TIME * batch, hidden, device=where, requires_grad=True)
    targets = torch.randint(0, VOCABULARY, (TIME * batch,), device=where)

    def loss_of(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast(where.type, torch.bfloat16, enabled=device == "cuda"):
            logits = head(outputs)
        return nn.functional.cross_entropy(logits.float(), targets)

    def stepped(function: Callable[..., torch.Tensor]) -> Callable[[], None]:
        def step() -> None:
            function(outputs, targets).backward()  # type: ignore[no-untyped-call]
            head.zero_grad(set_to_none=True)
            outputs.grad = None

        return step

    with trial.part("head and loss: as they are, and compiled") as found:
        found["plain ms"] = 1e3 * seconds_of(stepped(loss_of), wait, seconds)
        # On a CPU the compiler would take minutes.
        backend = "inductor" if device == "cuda" else "aot_eager"
        compiled = torch.compile(loss_of, backend=backend)
        found["compiled ms"] = 1e3 * seconds_of(stepped(compiled), wait, seconds)
    with trial.part("optimiser: as it is, and as a CUDA graph") as found:
        weights = [nn.Parameter(torch.randn(hidden, hidden, device=where)) for _ in range(8)]
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        graph_able = device == "cuda"
        adamw = torch.optim.AdamW(weights, lr=1e-3, fused=True, capturable=graph_able)
        found["plain ms"] = 1e3 * seconds_of(adamw.step, wait, seconds)
        if graph_able:
            # As torch's notes on CUDA graphs ask: a warm-up on another stream, then the capture.
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    adamw.step()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                adamw.step()
            found["graph ms"] = 1e3 * seconds_of(graph.replay, wait, seconds)


def texts(trial: Trial, device: str, paths: list[Path]) -> None:
    """A minute on each text with defaults, and its evaluation."""
    import textgen

    budget = 60.0 if device == "cuda" else 3.0
    for path in paths:
        with trial.part(f"{path.name}: {budget:.0f} seconds with defaults") as found:
            if trial.seconds_left < 1.5 * budget:
                raise TimeoutError(f"{trial.seconds_left:.0f} seconds are left, too few")
            run = textgen.train(
                path, out=trial.out / path.stem, device=device, budget=budget, force=True
            )
            found["bits per character"] = run.bits_per_char
            found["chars/s"] = round(run.ended.chars_per_second)
            found["evaluated"] = run.load().evaluate(str(path), device=device).bits_per_char
            if device == "cuda":  # In seconds on a CPU nothing is learned.
                trial.check(found["bits per character"] < 4.0, f"{path.name}: nothing was learned")


def main() -> None:
    """Try everything, print it, and end with 1 where something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--texts", type=Path, nargs="*")
    arguments = parser.parse_args()
    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} finds no GPU here; run this on a machine with one, or "
            "review it on the CPU: make test-gpu DEVICE=cpu",
            file=sys.stderr,
        )
        raise SystemExit(8)
    if arguments.device == "cpu":  # The path of a GPU, on the CPU.
        os.environ["TEXTGEN_PATH"] = "torch"
        torch.set_num_threads(1)
    root = Path(__file__).resolve().parents[1]
    small = root / "corpora" / "english.txt"
    paths = arguments.texts or [small, root / "corpora" / "russian.txt"]
    arguments.out.mkdir(parents=True, exist_ok=True)
    trial = Trial(arguments.out, arguments.minutes)
    trial.figures["machine"] = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu",
        "cudnn": torch.backends.cudnn.version() if arguments.device == "cuda" else None,
    }
    agreement(trial, arguments.device)
    commands(trial, arguments.device, small)
    waiting(trial, arguments.device)
    speed(trial, arguments.device)
    head_and_loss(trial, arguments.device)
    texts(trial, arguments.device, paths)
    for failure in trial.failed:
        print(f"FAILED {failure}")
    print(f"figures: {arguments.out / 'figures.json'}; {len(trial.failed)} failed")
    raise SystemExit(bool(trial.failed))


if __name__ == "__main__":
    main()
