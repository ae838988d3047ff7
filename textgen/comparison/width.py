"""How wide a network is that has so many parameters."""

from __future__ import annotations

import re
from dataclasses import replace

from textgen.errors import ConfigError, named
from textgen.model.config import ModelConfig
from textgen.training.sizing import embedding_width

_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kM]?)", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}


def parse_count(text: str) -> int:
    """The number in `text`: `250000`, `250k`, `1.5M`.

    Raises:
        ConfigError: It is no number, or less than one.
    """
    match = _COUNT.fullmatch(text.strip().replace(",", ""))
    value = 0 if match is None else round(float(match[1]) * _FACTORS[match[2].lower()])
    if value < 1:
        raise ConfigError(f"'{text}' is no number of parameters; type it like 250k or 1M")
    return value


def width_for(params: int, config: ModelConfig, *, embedding_size: int | None = None) -> int:
    """The largest width of a layer with which a model has at most `params` parameters.

    Args:
        params: Numbers that the model may learn.
        config: The rest of its shape: vocabulary, cell, layers, `tie`. Its `hidden_size` and
            `embedding_size` do not matter.
        embedding_size: Width of a symbol's vector; None: as `textgen train` chooses it for each
            width.
    Returns:
        The width; `shaped(config, width).num_parameters()` is what it comes to.
    Raises:
        ConfigError: Even one unit has more.
    """

    def count(width: int) -> int:
        return shaped(config, width, embedding_size=embedding_size).num_parameters()

    if count(1) > params:
        raise ConfigError(
            f"{params:,} parameters are too few: one unit of cell '{config.cell}' with "
            f"{config.vocab_size:,} symbols has {count(1):,}; raise {named('params')}"
        )
    low, high = 1, 2
    while count(high) <= params:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= params else (low, middle)
    return low


def shaped(config: ModelConfig, width: int, *, embedding_size: int | None = None) -> ModelConfig:
    """`config` with layers of that width, and a symbol's vector as `textgen train` makes it."""
    embedding = embedding_size or embedding_width(width, tie=config.tie)
    return replace(config, hidden_size=width, embedding_size=embedding)
