"""Which units are dropped in a window: drawn on the host, the same on every path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig


@dataclass(frozen=True)
class Masks:
    """Factors of one window, each 0 or `1 / (1 - dropout)`.

    They hold for all its time steps (Gal and Ghahramani 2016, arXiv:1512.05287, section 4).

    Args:
        embedding_E: On the symbols' vectors, `(E,)`: one for all streams, so that the first
            layer's input stays a table of one row a symbol.
        layers_LBH: On each layer's output, `(L, B, H)`: into the next layer and the head.
    """

    embedding_E: NDArray[np.float32]
    layers_LBH: NDArray[np.float32]


def draw_masks(config: ModelConfig, batch_size: int, seed: int) -> Masks | None:
    """The masks of one window: a pure function of its arguments.

    Args:
        config: Dropout rate and sizes.
        batch_size: Streams.
        seed: In `[0, 2**64)`.
    Returns:
        None where nothing is dropped.
    """
    rate = config.dropout
    if rate == 0.0:
        return None
    generator = np.random.Generator(np.random.SFC64(seed))
    scale = np.float32(1.0 / (1.0 - rate))

    def mask(*shape: int) -> NDArray[np.float32]:
        kept = generator.random(shape, dtype=np.float32) >= rate
        return kept.astype(np.float32) * scale

    return Masks(
        mask(config.embedding_size),
        mask(config.num_layers, batch_size, config.hidden_size),
    )
