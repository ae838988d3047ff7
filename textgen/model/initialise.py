"""What is drawn at random with NumPy, the same on every engine.

The first weights of a model, and what dropout leaves out of a window: neurons and weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig

Floats = NDArray[np.float32]

#: Of the drawn length of the symbols' vectors, where most symbols are rare.
RARE_SCALE = 0.1

#: Of the identity that a rectified or linear network starts from. At 1 a neuron adds up all it ever
#: read, which a text without end lets grow without bound; at 0.9 it forgets within some ten tokens.
IDENTITY_SCALE = 0.9


def initial_weights(config: ModelConfig, rng: int) -> dict[str, Floats]:
    """Return the first weights.

    Symbol vectors are standard normal; the input weights keep the pre-activations at unit
    variance; the recurrent weights are uniform within `1 / sqrt(H)`, torch's own choice, but those
    of a rectified or linear network are the identity, scaled (Le, Jaitly and Hinton 2015,
    arXiv:1504.00941, section 3; `IDENTITY_SCALE`). The forget gate starts open (bias 1: Jozefowicz,
    Zaremba and Sutskever 2015, section 3.2); where one gate is both, the input gate starts as
    far closed. Other biases and vectors start at zero. The output starts at zero, so that the first
    prediction is uniform, but one that is a vector is drawn: the cosine of zero has no gradient.
    The vectors of the two marks start at zero: in a corpus of one document nothing trains them,
    and zero adds nothing. So do those of labels: until its gradient has moved it, a label adds
    nothing, and all other weights are those of a model without labels.

    Args:
        config: The model's shape.
        rng: Seed, in `[0, 2**64)`.
    Returns:
        Float32 arrays, named and shaped as `config.tensor_shapes()` says.
    """
    generator = np.random.Generator(np.random.PCG64(rng))
    size, cell = config.hidden_size, config.cell_spec
    # A tied embedding is also the output's weight, which must start small.
    scale = 1.0 / math.sqrt(size) if config.tie else 1.0
    recurrent = {product.name for product in cell.products}
    weights: dict[str, Floats] = {}
    for name, shape in config.tensor_shapes().items():
        kind = name.rsplit(".", 1)[-1] if name.startswith("layers.") else name
        weight = np.zeros(shape, np.float32)
        if kind == "embedding.weight":
            weight[2:] = scale * generator.standard_normal(weight[2:].shape, np.float32)
        elif kind == "weight_ih":
            first = name.startswith("layers.0.")
            gain = 1.0 / ((scale if first else 1.0) * math.sqrt(shape[1]))
            weight[...] = gain * generator.standard_normal(shape, np.float32)
        elif kind in recurrent:
            if config.cell == "rnn" and config.nonlinearity != "tanh":
                np.fill_diagonal(weight, IDENTITY_SCALE)
            else:
                weight[...] = (2.0 * generator.random(shape, np.float32) - 1.0) / math.sqrt(size)
        elif kind == "bias" and "forget" in cell.gate_names:
            # Where one decision is both, it is the input gate that has the bias.
            open_, bias = ("forget", 1.0) if "forget" in cell.input_names else ("input", -1.0)
            start = cell.input_names.index(open_) * size
            weight[start : start + size] = bias
        elif kind == "head.weight" and config.has_vector_output:
            weight[...] = generator.standard_normal(shape, np.float32) / math.sqrt(size)
        elif kind == "head.scale":
            weight[...] = 1.0
        weights[name] = weight
    return weights


def start_from_counts(
    weights: Mapping[str, Floats], counts_V: NDArray[np.integer], *, shorten: bool
) -> dict[str, Floats]:
    """First weights for a text of which most symbols are rare, such as words.

    The output's biases are the logarithms of the symbols' shares in the text, so the first
    prediction is by frequency; steps are not spent on learning that. Each symbol counts half a
    time more, so that one which never occurs has a logarithm too.

    Args:
        weights: The drawn ones; not modified.
        counts_V: How often each symbol occurs.
        shorten: Make the symbols' vectors `RARE_SCALE` as long. The vector of a symbol that was
            read once or twice is nearly the drawn one, which tells the network nothing; a short
            one disturbs it less.
    """
    counts = counts_V + 0.5
    started = {**weights, "head.bias": np.log(counts / counts.max()).astype(np.float32)}
    if shorten:
        started["embedding.weight"] = weights["embedding.weight"] * np.float32(RARE_SCALE)
    return started


@dataclass(frozen=True)
class Masks:
    """Factors of one window, each 0 or one over the share that is kept.

    They hold for all its time steps (Gal and Ghahramani 2016, arXiv:1512.05287, section 4).

    Args:
        embedding_E: On the symbols' vectors, `(E,)`: one for all streams, so that the first
            layer's input stays a table of one row a symbol. None: nothing is dropped.
        layers_LBH: On each layer's output, `(L, B, H)`: into the next layer and the head. None:
            nothing is dropped.
        recurrent: On the recurrent weights, by the weight's name and with its shape: one for all
            streams (DropConnect; Merity, Keskar and Socher 2018, arXiv:1708.02182, section 2).
            Empty: nothing is dropped.
    """

    embedding_E: Floats | None
    layers_LBH: Floats | None
    recurrent: Mapping[str, Floats] = field(default_factory=dict)

    def part(self, streams: slice) -> Masks:
        """Those of some streams."""
        if self.layers_LBH is None:
            return self
        layers_LBH = np.ascontiguousarray(self.layers_LBH[:, streams])
        return Masks(self.embedding_E, layers_LBH, self.recurrent)


def recurrent_weights(config: ModelConfig) -> tuple[str, ...]:
    """Return the names of the weights by which the layers multiply their own states."""
    return tuple(
        f"layers.{layer}.{product.name}"
        for layer in range(config.num_layers)
        for product in config.cell_spec.products
    )


def draw_masks(
    config: ModelConfig, batch_size: int, seed: int, recurrent: float = 0.0
) -> Masks | None:
    """Return the dropout masks of one window: a pure function of its arguments.

    Args:
        config: Dropout rate and sizes.
        batch_size: Streams.
        seed: In `[0, 2**64)`.
        recurrent: The share of the recurrent weights that is dropped, in `[0, 1)`. It is rounded
            to 256ths: there are so many of them that one random byte decides on each.
    Returns:
        None where nothing is dropped.
    """
    weights = _draw_recurrent(config, seed, recurrent)
    rate = config.dropout
    if rate == 0.0:
        return Masks(None, None, weights) if weights else None
    generator = np.random.Generator(np.random.SFC64(seed))
    scale = np.float32(1.0 / (1.0 - rate))

    def mask(*shape: int) -> Floats:
        kept = generator.random(shape, dtype=np.float32) >= rate
        return kept.astype(np.float32) * scale

    return Masks(
        mask(config.embedding_size),
        mask(config.num_layers, batch_size, config.hidden_size),
        weights,
    )


def _draw_recurrent(config: ModelConfig, seed: int, rate: float) -> dict[str, Floats]:
    """Masks on the recurrent weights; of a generator of their own, so that the others stay."""
    dropped = min(255, round(256 * rate))
    if dropped == 0:
        return {}
    scale = np.float32(256 / (256 - dropped))
    shapes = config.tensor_shapes()
    bits = np.random.SFC64((seed, 1))
    masks = {}
    for name in recurrent_weights(config):
        count = math.prod(shapes[name])
        drawn = bits.random_raw(-(-count // 8)).astype("<u8", copy=False).view(np.uint8)[:count]
        masks[name] = np.multiply(drawn >= dropped, scale, dtype=np.float32).reshape(shapes[name])
    return masks
