"""The shape of a network of numbers, and of its weights. Without torch."""

from __future__ import annotations

from textgen.model.config import ModelConfig


def number_config(cell: str, nonlinearity: str, hidden_size: int, num_layers: int) -> ModelConfig:
    """The shape of a network of numbers: that of a language model of a single symbol.

    Its one input is the number instead of the symbol's vector, its one score the prediction.

    Raises:
        ConfigError: A value is out of range, or the cell is not known.
    """
    return ModelConfig(
        vocab_size=1,
        embedding_size=1,
        hidden_size=hidden_size,
        num_layers=num_layers,
        cell=cell,
        nonlinearity=nonlinearity,
    )


def has_readout(config: ModelConfig) -> bool:
    """Whether a linear readout makes the prediction of the last layer's output.

    The plain cell of one unit in one layer has none, as in the lecture: F is the prediction.
    """
    return (config.cell, config.hidden_size, config.num_layers) != ("rnn", 1, 1)


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight: those of a language model, less the symbols' vectors."""
    left_out = {"embedding.weight"} | (
        set() if has_readout(config) else {"head.weight", "head.bias"}
    )
    return {name: shape for name, shape in config.tensor_shapes().items() if name not in left_out}
