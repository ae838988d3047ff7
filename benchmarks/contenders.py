"""What the benchmarks of speed time: the native engine's work, and the same by torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from measuring import seconds_of
from speed_rows import AUTOCAST, FP32, LOOP, TIME, VOCABULARY, Case
from torch import nn

from textgen.model.config import ModelConfig
from textgen.model.initialise import draw_masks, initial_weights
from textgen.model.native_network import NativeNetwork, native_shape
from textgen.model.network import Engine
from textgen.model.torch_network import LanguageModel
from textgen.native.net import AdamW, Net, weights_of

Run = Callable[[], object]


def contenders(case: Case, threads: int) -> tuple[Run, Run]:
    """The engine's and torch's side of a row; each has run once."""
    autocast = case.against == AUTOCAST
    if case.kind == "step":
        ours = native_step(case.isa, case.hidden, case.symbols, threads)
        return ours, torch_step(case.hidden, case.symbols, autocast)
    if case.kind == "many":
        dtype = torch.float32 if case.against == FP32 else torch.bfloat16
        return native_many(case, threads), torch_many(case, dtype)
    forward, both = native_layers(case, threads)
    if case.against == LOOP:
        return both, reference_layers(case)
    their_forward, their_both = torch_layers(case, autocast)
    return (forward, their_forward) if case.kind == "evaluation" else (both, their_both)


def best_product(dtype: torch.dtype) -> tuple[Run, float]:
    """The fastest of torch's products of some shapes, and its floating-point operations.

    Each is tried in two layouts of the weights: torch does not let a weight be packed beforehand,
    so its product packs each time.
    """
    found: list[tuple[float, Run, float]] = []
    for rows, depth, columns in ((2048, 2048, 2048), (4096, 512, 2048)):
        a = torch.randn(rows, depth, dtype=dtype)
        weight = torch.randn(columns, depth, dtype=dtype)
        flops = 2.0 * rows * depth * columns
        for operand in (weight.T, weight.T.contiguous()):

            def product(a: torch.Tensor = a, operand: torch.Tensor = operand) -> torch.Tensor:
                return torch.matmul(a, operand)

            product()
            found.append((flops / min(seconds_of(product) for _ in range(5)), product, flops))
    _, product, flops = max(found, key=lambda one: one[0])
    return product, flops


def layers_config(case: Case) -> ModelConfig:
    """The network of a row that has no head."""
    return ModelConfig(
        vocab_size=VOCABULARY,
        embedding_size=case.hidden,
        hidden_size=case.hidden,
        num_layers=case.layers,
        cell=case.cell,
    )


def native_layers(case: Case, threads: int) -> tuple[Run, Run]:
    """Forward, and forward with backward, of embedding and layers; all weight gradients."""
    B, hidden, layers = case.batch, case.hidden, case.layers
    config = layers_config(case)
    weights = initial_weights(config, 0)
    gradients = {name: np.zeros_like(weight) for name, weight in weights.items()}
    net = Net(native_shape(config, Engine("native", "", "", "cpu", case.isa, threads)))
    ids = np.random.default_rng(0).integers(2, VOCABULARY, (TIME, B)).astype(np.int32)
    state = [np.zeros((B, hidden), np.float32) for _ in range(2 * layers)]
    h, c = state[:layers], state[layers:] if "c" in config.cell_spec.state_names else []
    ones = np.full((TIME, B, hidden), 1.0 / (TIME * B), np.float32)
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


def torch_layers(case: Case, autocast: bool) -> tuple[Run, Run]:
    """The same of nn.Embedding and nn.LSTM, nn.GRU or nn.RNN."""
    B, hidden = case.batch, case.hidden
    embedding = nn.Embedding(VOCABULARY, hidden)
    kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[case.cell]
    module = kind(hidden, hidden, case.layers)
    parameters = [*embedding.parameters(), *module.parameters()]
    ids = torch.randint(2, VOCABULARY, (TIME, B))
    ones = torch.full((TIME, B, hidden), 1.0 / (TIME * B))

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


def reference_layers(case: Case) -> Run:
    """The same by the cell's specification, looped over time, differentiated by torch, in fp32."""
    B, hidden, config = case.batch, case.hidden, layers_config(case)
    model = LanguageModel(config, Engine("reference", "fp32", "the specification"))
    model.load_arrays(initial_weights(config, 0))
    # Of the whole model the last layer's output is wanted, not what the head makes of it.
    model.head = nn.Identity()  # type: ignore[assignment]
    ids = torch.randint(2, VOCABULARY, (TIME, B))
    ones = torch.full((TIME, B, hidden), 1.0 / (TIME * B))

    def both() -> None:
        for parameter in model.parameters():
            parameter.grad = None
        out, _ = model(ids, model.zero_state(B))
        out.backward(ones)

    both()
    return both


def native_step(isa: str, hidden: int, vocab: int, threads: int) -> Run:
    """A whole training step: dropout, loss, clipping, AdamW."""
    B = 64
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
    ids, targets = rng.integers(2, vocab, (2, TIME, B))
    state = network.zero_state(B)

    def run() -> None:
        nonlocal state
        masks = draw_masks(config, B, optimizer.steps)
        loss, state = network.differentiate(ids, targets, state, None, masks)
        optimizer.step(loss, 1e-3)
        network.weights_changed()

    run()
    return run


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
    ids, targets = torch.randint(2, vocab, (2, TIME, 64))
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


def native_many(case: Case, threads: int) -> Run:
    """A step of many streams, logits included."""
    config = ModelConfig(
        vocab_size=case.symbols, embedding_size=64, hidden_size=case.hidden, num_layers=case.layers
    )
    network = NativeNetwork(config, Engine("native", "", "", "cpu", case.isa, threads))
    network.load_arrays(initial_weights(config, 0))
    ids, state = np.full(case.batch, 5), network.zero_state(case.batch)

    def run() -> None:
        nonlocal state
        _, state = network.step(ids, state)

    run()
    return run


def torch_many(case: Case, dtype: torch.dtype) -> Run:
    """The same of nn.LSTM."""
    loop = TorchLoop(64, case.hidden, case.layers, case.symbols, dtype)
    ids, state = torch.full((1, case.batch), 5), None

    @torch.inference_mode()
    def run() -> None:
        nonlocal state
        _, state = loop.step(ids, state)

    run()
    return run


class TorchLoop:
    """Generation as the peers do it: one call of `nn.LSTM` a token."""

    def __init__(
        self, embedding: int, hidden: int, layers: int, symbols: int, dtype: torch.dtype
    ) -> None:
        self.embedding = nn.Embedding(symbols, embedding).to(dtype)
        self.lstm = nn.LSTM(embedding, hidden, layers).to(dtype)
        self.head = nn.Linear(hidden, symbols).to(dtype)

    def step(self, ids: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
        """The logits of a token in each stream, and the state after it."""
        y, state = self.lstm(self.embedding(ids), state)
        return self.head(y[-1]), state

    @torch.inference_mode()
    def write(self, steps: int, streams: int) -> None:
        """So many tokens in each of so many streams."""
        ids = torch.zeros(1, streams, dtype=torch.long)
        state: object = None
        for _ in range(steps):
            logits, state = self.step(ids, state)
            ids = torch.multinomial(torch.softmax(logits.float() / 0.8, dim=-1), 1).T
