"""Speed of the native engine beside torch's own, in one run: `make bench`.

Each row is measured in rounds, its contenders one after another in every round; a ratio is the
median of the rounds' ratios, with the smallest and the largest. A path whose tests fail has no row.

    python benchmarks/speed.py [--rounds 5] [--only TEXT]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from textgen.model.config import ModelConfig
from textgen.model.initialise import draw_masks, initial_weights
from textgen.model.native_network import NativeNetwork, native_shape
from textgen.model.network import Engine
from textgen.model.torch_network import LanguageModel
from textgen.native.library import BF16_ISAS, missing_reason, supported_isas
from textgen.native.net import AdamW, Net, weights_of
from textgen.runtime import choose_threads

ROOT = Path(__file__).resolve().parents[1]
VOCABULARY = 67  # tinyshakespeare's 65 characters and two marks
Run = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """Something timed, ours against torch's.

    Args:
        name: What.
        target: The ratio it should reach on a 2-core Xeon with AMX; 0: none.
        tokens: Tokens that one call computes.
        ours: The native engine.
        theirs: torch.
        flops: Floating-point operations of one call; 0: not counted.
    """

    name: str
    target: float
    tokens: int
    ours: Run
    theirs: Run
    flops: float = 0.0


def seconds(run: Run, at_least: float = 0.25) -> float:
    """The median of calls that take `at_least` seconds together, at least three of them."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < at_least:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def bf16_peak() -> float:
    """FLOP/s of the better of two products, each in the better of two layouts of the weights.

    This build of torch does not let a weight be packed beforehand, so its product packs each time.
    """
    best = 0.0
    for rows, depth, columns in ((2048, 2048, 2048), (6400, 512, 2048)):
        a = torch.randn(rows, depth, dtype=torch.bfloat16)
        weight = torch.randn(columns, depth, dtype=torch.bfloat16)
        for operand in (weight.T, weight.T.contiguous()):
            operand_run = partial(torch.matmul, a, operand)
            operand_run()
            took = statistics.median(seconds(operand_run) for _ in range(5))
            best = max(best, 2.0 * rows * depth * columns / took)
    return best


def native_layer(
    isa: str, cell: str, hidden: int, layers: int, B: int, T: int, threads: int
) -> tuple[Run, Run]:
    """Forward, and forward with backward, of embedding and layers; all weight gradients."""
    config = ModelConfig(
        vocab_size=VOCABULARY,
        embedding_size=hidden,
        hidden_size=hidden,
        num_layers=layers,
        cell=cell,
    )
    weights = initial_weights(config, 0)
    gradients = {name: np.zeros_like(weight) for name, weight in weights.items()}
    net = Net(native_shape(config, Engine("native", "", "", "cpu", isa, threads)))
    ids = np.random.default_rng(0).integers(2, VOCABULARY, (T, B)).astype(np.int32)
    state = [np.zeros((B, hidden), np.float32) for _ in range(2 * layers)]
    h, c = state[:layers], state[layers:] if "c" in config.cell_spec.state_names else []
    ones = np.full((T, B, hidden), 1.0 / (T * B), np.float32)
    of, into = weights_of(weights, layers), weights_of(gradients, layers)

    def both() -> None:
        net.pack(of, backward=True)
        net.forward(ids, h, c, save=True)
        net.seed(ones)
        net.backward(into)

    def forward() -> None:
        net.forward(ids, h, c)

    both()
    return forward, both


def torch_layer(
    cell: str, hidden: int, layers: int, B: int, T: int, autocast: bool
) -> tuple[Run, Run]:
    """The same of nn.Embedding and nn.LSTM, nn.GRU or nn.RNN."""
    embedding = nn.Embedding(VOCABULARY, hidden)
    module = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell](hidden, hidden, layers)
    parameters = [*embedding.parameters(), *module.parameters()]
    ids = torch.randint(2, VOCABULARY, (T, B))
    ones = torch.full((T, B, hidden), 1.0 / (T * B))

    def both() -> None:
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out, _ = module(embedding(ids))
        out.backward(ones.to(out.dtype))

    @torch.no_grad()
    def forward() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            module(embedding(ids))

    both()
    return forward, both


def reference_layer(cell: str, hidden: int, layers: int, B: int, T: int) -> Run:
    """The same by the cell's specification, looped over time, differentiated by torch, in fp32."""
    config = ModelConfig(
        vocab_size=VOCABULARY,
        embedding_size=hidden,
        hidden_size=hidden,
        num_layers=layers,
        cell=cell,
    )
    model = LanguageModel(config, Engine("reference", "fp32", "the specification"))
    model.load_arrays(initial_weights(config, 0))
    # Of the whole model the last layer's output is wanted, not what the head makes of it.
    model.head = nn.Identity()  # type: ignore[assignment]
    ids = torch.randint(2, VOCABULARY, (T, B))
    ones = torch.full((T, B, hidden), 1.0 / (T * B))

    def both() -> None:
        for parameter in model.parameters():
            parameter.grad = None
        out, _ = model(ids, model.zero_state(B))
        out.backward(ones)

    both()
    return both


def native_step(isa: str, hidden: int, vocab: int, threads: int) -> tuple[NativeNetwork, Run]:
    """A whole training step: dropout, loss, clipping, AdamW."""
    B = T = 64
    config = ModelConfig(vocab_size=vocab, embedding_size=64, hidden_size=hidden, dropout=0.1)
    network = NativeNetwork(config, Engine("native", "", "", "cpu", isa, threads))
    network.load_arrays(initial_weights(config, 0))
    optimizer = AdamW(
        network.parameters,
        network.gradient,
        network.num_decayed,
        isa=isa,
        threads=threads,
        beta1=0.9,
        beta2=0.99,
        weight_decay=0.01,
        clip_norm=1.0,
    )
    rng = np.random.default_rng(0)
    ids, targets = rng.integers(2, vocab, (2, T, B))
    state = network.zero_state(B)

    def run() -> None:
        nonlocal state
        masks = draw_masks(config, B, optimizer.steps)
        loss, state = network.differentiate(ids, targets, state, None, masks)
        optimizer.step(loss, 1e-3)
        network.weights_changed()

    run()
    return network, run


class StockModel(nn.Module):
    """What the peers train: embedding, nn.LSTM, a linear output, dropout."""

    def __init__(self, hidden: int, vocab: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, 64)
        self.lstm = nn.LSTM(64, hidden)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(hidden, vocab)

    def forward(
        self, ids: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        out, state = self.lstm(self.dropout(self.embedding(ids)), state)
        return self.head(self.dropout(out)), state


def torch_step(hidden: int, vocab: int, autocast: bool) -> Run:
    """The same step on nn.LSTM with torch's fused AdamW."""
    model = StockModel(hidden, vocab)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    ids, targets = torch.randint(2, vocab, (2, 64, 64))
    state: tuple[torch.Tensor, torch.Tensor] | None = None

    def run() -> None:
        nonlocal state
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits, after = model(ids, state)
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state = (after[0].detach().float(), after[1].detach().float())

    run()
    return run


def native_many(isa: str, threads: int) -> Run:
    """A step of 64 streams of 1x512, logits included."""
    config = ModelConfig(vocab_size=VOCABULARY, embedding_size=64, hidden_size=512)
    network = NativeNetwork(config, Engine("native", "", "", "cpu", isa, threads))
    network.load_arrays(initial_weights(config, 0))
    ids, state = np.full(64, 5), network.zero_state(64)

    def run() -> None:
        nonlocal state
        _, state = network.step(ids, state)

    run()
    return run


def torch_many() -> Run:
    """The same of nn.LSTM with bf16 weights."""
    embedding = nn.Embedding(VOCABULARY, 64).bfloat16()
    lstm, head = nn.LSTM(64, 512).bfloat16(), nn.Linear(512, VOCABULARY).bfloat16()
    ids = torch.full((1, 64), 5)
    state = (torch.zeros(1, 64, 512).bfloat16(), torch.zeros(1, 64, 512).bfloat16())

    @torch.inference_mode()
    def run() -> None:
        nonlocal state
        out, state = lstm(embedding(ids), state)
        head(out)

    run()
    return run


def rows(isas: tuple[str, ...], threads: int) -> list[Row]:
    """Everything that is timed with the instruction sets that passed their tests."""
    table: list[Row] = []
    best, T = isas[0], 64

    def layer(
        name: str, target: float, isa: str, cell: str, H: int, L: int, B: int, autocast: bool
    ) -> None:
        _, ours = native_layer(isa, cell, H, L, B, T, threads)
        _, theirs = torch_layer(cell, H, L, B, T, autocast)
        per_unit = {"lstm": 24, "gru": 18, "rnn": 6}[cell] * H * H
        table.append(Row(name, target, B * T, ours, theirs, per_unit * (2 * L - 1) * B * T))

    layer(f"LSTM 1x512 B64, {best} : autocast", 4.5, best, "lstm", 512, 1, 64, True)
    layer(f"LSTM 1x512 B64, {best} : fp32", 12.0, best, "lstm", 512, 1, 64, False)
    layer(f"LSTM 1x512 B32, {best} : autocast", 0, best, "lstm", 512, 1, 32, True)
    layer(f"LSTM 1x256 B32, {best} : autocast", 0, best, "lstm", 256, 1, 32, True)
    layer(f"LSTM 1x128 B64, {best} : autocast", 0, best, "lstm", 128, 1, 64, True)
    layer(f"LSTM 1x1024 B64, {best} : autocast", 4.0, best, "lstm", 1024, 1, 64, True)
    layer(f"LSTM 2x512 B64, {best} : autocast", 4.0, best, "lstm", 512, 2, 64, True)
    for isa, target in (("avx512", 2.0), ("avx2", 1.2), ("generic", 0)):
        if isa in isas:
            layer(f"LSTM 1x512 B64, {isa} : fp32", target, isa, "lstm", 512, 1, 64, False)
    layer(f"GRU 1x512 B64, {best} : autocast", 6.0, best, "gru", 512, 1, 64, True)
    layer(f"RNN 1x512 B64, {best} : autocast", 0, best, "rnn", 512, 1, 64, True)
    # What torch has no module for is measured against the specification, looped over time.
    for cell, L in (("peephole", 1), ("coupled", 1), ("mlstm", 1), ("depth-gated", 2)):
        for isa in dict.fromkeys((best, *(isa for isa in isas if isa == "avx2"))):
            _, ours = native_layer(isa, cell, 512, L, 64, T, threads)
            name = f"{cell} {L}x512 B64, {isa} : reference loop"
            target = 5.0 if isa == best else 0
            table.append(Row(name, target, 64 * T, ours, reference_layer(cell, 512, L, 64, T)))
    for vocab, target in ((VOCABULARY, 4.0), (5000, 0), (30000, 0)):
        _, ours = native_step(best, 512, vocab, threads)
        theirs = torch_step(512, vocab, True)
        name = f"training step 1x512 B64, {vocab} symbols : autocast"
        table.append(Row(name, target, 64 * T, ours, theirs))
    table.append(
        Row(f"64 streams 1x512, {best} : bf16", 5.0, 64, native_many(best, threads), torch_many())
    )
    forward, _ = native_layer(best, "lstm", 512, 1, 64, T, threads)
    stock, _ = torch_layer("lstm", 512, 1, 64, T, True)
    table.append(Row("evaluation 1x512 B64 : autocast", 0, 64 * T, forward, stock))
    return table


def tested(isas: tuple[str, ...]) -> tuple[str, ...]:
    """Those whose tests pass."""
    good = []
    for isa in isas:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        found = subprocess.run(
            [*command, "tests/native/test_net.py", "-k", f"[{isa}-"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if found.returncode == 0:
            good.append(isa)
        else:
            print(f"{isa}: its tests fail, so there are no figures\n{found.stdout[-500:]}")
    return tuple(good)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    arguments = parser.parse_args()
    isas = supported_isas()
    if not isas:
        sys.exit(missing_reason())
    isas = tested(isas)
    threads = int(choose_threads().value)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {threads} threads, native {', '.join(isas)}")
    peak = bf16_peak()
    print(f"bf16 peak of torch's product: {peak / 1e9:,.0f} GFLOP/s")
    print(f"load before the start: {os.getloadavg()[0]:.2f}\n")
    print(f"{'what : against':52} {'ours':>9} {'torch':>9}  ratio (range)       target   of peak")
    for row in rows(isas, threads):
        if arguments.only not in row.name:
            continue
        pairs = [(seconds(row.ours), seconds(row.theirs)) for _ in range(arguments.rounds)]
        ours = statistics.median(pair[0] for pair in pairs)
        theirs = statistics.median(pair[1] for pair in pairs)
        ratios = sorted(pair[1] / pair[0] for pair in pairs)
        share = (
            f"{row.flops / ours / peak:7.0%}"
            if row.flops and any(isa in row.name for isa in BF16_ISAS)
            else ""
        )
        print(
            f"{row.name:52} {row.tokens / ours / 1e3:7.1f} k {row.tokens / theirs / 1e3:7.1f} k"
            f"  {statistics.median(ratios):5.2f} ({ratios[0]:.2f}..{ratios[-1]:.2f})"
            f"   {row.target or '-':>6}  {share}",
            flush=True,
        )


if __name__ == "__main__":
    main()
