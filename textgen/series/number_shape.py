"""The shape of a network of numbers, and of its weights. Without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from textgen.model.config import MOST_LAYERS, ModelConfig, check_cell
from textgen.plain_data import Some, fields_from_plain
from textgen.settings import Setting


@dataclass(frozen=True, kw_only=True)
class NumberShape:
    """What a file says of the shape of a network of numbers."""

    cell: str
    nonlinearity: str
    hidden_size: Some
    num_layers: Annotated[int, Setting(at_least=1, at_most=MOST_LAYERS)]

    @classmethod
    def from_dict(cls, data: object) -> NumberShape:
        """From plain data."""
        check_cell(data)
        return fields_from_plain(cls, data)

    def config(self) -> ModelConfig:
        """As `number_config` makes it."""
        return number_config(self.cell, self.nonlinearity, self.hidden_size, self.num_layers)


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
