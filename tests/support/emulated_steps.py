"""A few updates of each cell on the best instruction set of this CPU.

`qemu.sh` and `arm.sh` run it. Prints the losses. NumPy and the native library alone.
"""

from __future__ import annotations

import numpy as np

from textgen.model.config import ModelConfig
from textgen.model.native_network import native_shape
from textgen.model.network import Engine
from textgen.native.library import BF16_ISAS, supported_isas
from textgen.native.net import AdamW, Net, weights_of

#: Awkward on purpose: no multiple of any vector's length.
T, B, STEPS = 9, 7, 8
SIZES = {"vocab_size": 31, "embedding_size": 19, "hidden_size": 33, "num_layers": 2}


def losses(cell: str, isa: str) -> list[float]:
    """The losses of a few updates on one window, in nats."""
    rng = np.random.default_rng(1)
    config = ModelConfig(cell=cell, **SIZES)
    shapes = config.tensor_shapes()
    size = sum(int(np.prod(shape)) for shape in shapes.values())
    parameters = rng.normal(0, 0.2, size).astype(np.float32)
    gradient = np.full(size, np.nan, np.float32)

    def views(flat: np.ndarray) -> dict[str, np.ndarray]:
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
        parts = np.split(flat, ends[:-1])
        return {n: p.reshape(s) for p, (n, s) in zip(parts, shapes.items(), strict=True)}

    layers, hidden = config.num_layers, config.hidden_size
    weights, gradients = weights_of(views(parameters), layers), weights_of(views(gradient), layers)
    net = Net(native_shape(config, Engine("native", "", "", "cpu", isa, 2)))
    settings = {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01, "clip_norm": 1.0}
    update = AdamW(parameters, gradient, 0, isa=isa, threads=2, **settings)
    ids = rng.integers(config.vocab_size, size=(T + 1, B), dtype=np.int32)
    found = []
    for _ in range(STEPS):
        states = [[np.zeros((B, hidden), np.float32) for _ in range(layers)] for _ in range(2)]
        net.pack(weights, backward=True)
        net.forward(ids[:-1], states[0], states[1] if cell == "lstm" else [], save=True)
        loss = float(net.loss(ids[1:], gradients).mean())
        net.backward(gradients)
        masked, _ = update.step(loss, 0.02)
        assert not masked
        found.append(loss)
    return found


if __name__ == "__main__":
    best = supported_isas()[0]
    for cell in ("lstm", "gru", "rnn"):
        found = losses(cell, best)
        assert found[-1] < 0.9 * found[0], f"{cell}: nothing is learned: {found}"
        plain = losses(cell, "generic")
        # Sums in another order, through eight updates of a chaotic system; in bf16 of numbers
        # that are rounded to 8 bits before.
        bound = 1e-2 if best in BF16_ISAS else 1e-3
        assert np.allclose(found, plain, rtol=bound), f"{cell}: {found} is not {plain}"
        print(f"{best} {cell}: {found[0]:.4f} -> {found[-1]:.4f} nats, as without it")
