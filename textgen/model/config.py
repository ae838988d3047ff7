"""The shape of a language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from textgen.cells import Cell, get_cell
from textgen.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of a language model; everything needed to allocate one.

    Args:
        vocab_size: Symbols, the two marks (end of document, unknown) included.
        embedding_size: Width of a symbol's vector, the first layer's input size.
        hidden_size: Units of each recurrent layer.
        num_layers: Recurrent layers.
        cell: Name of the cell, one of `textgen.cells.CELLS`.
        dropout: Share of the embedding's and each layer's outputs dropped in training, `[0, 1)`;
            0 is off.
        tie: Whether the output's weight is the embedding (then `embedding_size` must equal
            `hidden_size`).
        nonlinearity: Of the cell `rnn`: one of `textgen.cells.NONLINEARITIES`. The others have no
            choice and keep the default.
    Raises:
        ConfigError: A value is out of range or of another type, or two of them contradict each
            other.
    """

    vocab_size: int
    embedding_size: int
    hidden_size: int
    num_layers: int = 1
    cell: str = "lstm"
    dropout: float = 0.0
    tie: bool = False
    nonlinearity: str = "tanh"

    def __post_init__(self) -> None:
        get_cell(self.cell, self.nonlinearity)
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_layers"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name} is {value!r}; it must be a positive whole number")
        if type(self.dropout) is bool or not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout is {self.dropout}; it must lie in [0, 1)")
        if type(self.tie) is not bool:
            raise ConfigError(f"tie is {self.tie!r}; it must be true or false")
        if self.tie and self.embedding_size != self.hidden_size:
            raise ConfigError(
                f"a tied output needs embedding_size ({self.embedding_size}) "
                f"equal to hidden_size ({self.hidden_size})"
            )

    @property
    def cell_spec(self) -> Cell:
        """The cell itself."""
        return get_cell(self.cell, self.nonlinearity)

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, in the order they are stored."""
        cell = self.cell_spec
        rows = len(cell.input_names) * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocab_size, self.embedding_size)
        }
        for layer in range(self.num_layers):
            width = self.embedding_size if layer == 0 else self.hidden_size
            shapes[f"layers.{layer}.weight_ih"] = (rows, width)
            for product in cell.products:
                outcome = product.blocks * self.hidden_size
                shapes[f"layers.{layer}.{product.name}"] = (outcome, self.hidden_size)
            shapes[f"layers.{layer}.bias"] = (rows,)
            for name in cell.vector_names:
                shapes[f"layers.{layer}.{name}"] = (self.hidden_size,)
        if not self.tie:
            shapes["head.weight"] = (self.vocab_size, self.hidden_size)
        shapes["head.bias"] = (self.vocab_size,)
        return shapes

    def num_parameters(self) -> int:
        """How many numbers the model learns."""
        total = 0
        for shape in self.tensor_shapes().values():
            size = 1
            for length in shape:
                size *= length
            total += size
        return total

    def to_dict(self) -> dict[str, Any]:
        """As plain data for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelConfig:
        """From plain data.

        Raises:
            ConfigError: A key is unknown or missing, or a value is out of range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ConfigError(f"unknown model settings: {', '.join(unknown)}")
        try:
            return cls(**data)
        except TypeError as error:
            raise ConfigError(f"incomplete model settings: {error}") from error
