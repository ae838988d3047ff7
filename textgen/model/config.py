"""The shape of a language model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from textgen.cells import CELLS, Cell, get_cell, missing_cell
from textgen.errors import CheckpointFormatError, ConfigError, named
from textgen.options import COLLAPSE, DISTANCES
from textgen.plain_data import Share, Some, fields_from_plain
from textgen.settings import Setting

#: Layers at most, in training and in files: each has a gradient through all those above it, which
#: is soon lost.
MOST_LAYERS = 100
HEADS = ("softmax", *DISTANCES)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of a language model; everything needed to allocate one.

    Args:
        vocab_size: Symbols, the two marks (end of document, unknown) included.
        embedding_size: Width of a symbol's vector, the first layer's input size.
        hidden_size: Neurons of each recurrent layer.
        num_layers: Recurrent layers.
        cell: Name of the cell, one of `textgen.cells.CELLS`.
        dropout: Share of the embedding's and each layer's outputs dropped in training, `[0, 1)`;
            0 is off.
        tie: Whether the output's weight is the embedding (then `embedding_size` must equal
            `hidden_size`).
        nonlinearity: The function of the cell `rnn`, one of `textgen.cells.NONLINEARITIES`. Other
            cells keep the default.
        residual: Whether each layer above the first adds its input to its output. Dropout acts on
            the layer's own share.
        head: What the network's output is: `softmax`, a score of every symbol; or `euclidean` or
            `cosine`, a vector of the embedding's width whose distance to each symbol's vector says
            how likely the symbol is (`textgen.model.head`).
        frozen_embedding: Whether training leaves the symbols' vectors as they are.
        labels: Names of the labels that its texts had, such as authors. Each is an input of the
            first layer at every step (`textgen.model.label_vectors`).
    Raises:
        ConfigError: A value is out of range or of another type, or two of them contradict each
            other.
    """

    vocab_size: Some
    embedding_size: Some
    hidden_size: Some
    num_layers: Annotated[int, Setting(at_least=1, at_most=MOST_LAYERS)] = 1
    cell: str = "lstm"
    dropout: Share = 0.0
    tie: bool = False
    nonlinearity: str = "tanh"
    residual: bool = False
    head: str = "softmax"
    frozen_embedding: bool = False
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        get_cell(self.cell, self.nonlinearity)
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_layers"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{named(name)} is {value!r}; it must be a positive whole number")
        if type(self.dropout) is bool or not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout is {self.dropout}; it must lie in [0, 1)")
        for name in ("tie", "residual", "frozen_embedding"):
            if type(getattr(self, name)) is not bool:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it must be true or false")
        if self.residual and self.num_layers < 2:
            raise ConfigError(
                "residual adds a layer's input to its output from the second layer on, and this "
                f"model has one; give it more ({named('num_layers')} 2), or leave "
                f"{named('residual')} out"
            )
        if self.tie and self.embedding_size != self.hidden_size:
            raise ConfigError(
                f"a tied output needs {named('embedding_size')} ({self.embedding_size}) "
                f"equal to {named('hidden_size')} ({self.hidden_size})"
            )
        self._check_head()
        if len(set(self.labels)) < len(self.labels) or "" in self.labels:
            raise ConfigError(f"labels are {self.labels!r:.100}; each needs a name of its own")

    def _check_head(self) -> None:
        if self.head not in HEADS:
            raise ConfigError(f"head is {self.head!r}; it must be one of {', '.join(HEADS)}")
        if self.tie and self.has_vector_output:
            raise ConfigError(
                "a network whose output is a vector has no weight of a row a symbol that could be "
                f"the embedding; leave {named('tie')} out"
            )
        if self.tie and self.frozen_embedding:
            raise ConfigError(
                "a tied embedding is the output's weight too, which must learn; leave out "
                f"{named('tie')} or {named('freeze_embedding')}"
            )
        if self.has_vector_output and not self.frozen_embedding:
            raise ConfigError(f"{COLLAPSE}; keep the vectors frozen: {named('freeze_embedding')}")

    @property
    def cell_spec(self) -> Cell:
        """The cell itself."""
        return get_cell(self.cell, self.nonlinearity)

    @property
    def has_vector_output(self) -> bool:
        """Whether the output is a vector, to be compared with the symbols' vectors."""
        return self.head != "softmax"

    @property
    def untrained(self) -> frozenset[str]:
        """The tensors that gradients leave alone: they have no moments and do not decay."""
        names = {"embedding.weight"} if self.frozen_embedding else set()
        return frozenset(names | ({"head.scale"} if self.has_vector_output else set()))

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every weight, in the order they are stored."""
        cell = self.cell_spec
        rows = len(cell.input_names) * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocab_size, self.embedding_size)
        }
        if self.labels:
            shapes["labels.weight"] = (len(self.labels), rows)
        for layer in range(self.num_layers):
            width = self.embedding_size if layer == 0 else self.hidden_size
            shapes[f"layers.{layer}.weight_ih"] = (rows, width)
            for product in cell.products:
                outcome = product.blocks * self.hidden_size
                shapes[f"layers.{layer}.{product.name}"] = (outcome, self.hidden_size)
            shapes[f"layers.{layer}.bias"] = (rows,)
            for name in cell.vector_names:
                shapes[f"layers.{layer}.{name}"] = (self.hidden_size,)
        outputs = self.embedding_size if self.has_vector_output else self.vocab_size
        if not self.tie:
            shapes["head.weight"] = (outputs, self.hidden_size)
        shapes["head.bias"] = (outputs,)
        if self.has_vector_output:
            shapes["head.scale"] = (1,)
        return shapes

    def num_parameters(self) -> int:
        """Return how many numbers training changes; frozen vectors do not count."""
        shapes = self.tensor_shapes().items()
        return sum(math.prod(shape) for name, shape in shapes if name not in self.untrained)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint's header.

        A model without labels says nothing of them, so that older versions read it.
        """
        data = asdict(self)
        if not self.labels:
            del data["labels"]
        return data

    @classmethod
    def from_dict(cls, data: object) -> ModelConfig:
        """Return the shape that plain data describes.

        Raises:
            CheckpointFormatError: Its cell is not known.
            CheckpointCorruptError: A key is unknown or missing, or a value is out of range.
        """
        check_cell(data)
        return fields_from_plain(cls, data)


def check_cell(shape: object) -> None:
    """Raise `CheckpointFormatError` where a shape in plain data has a cell that is not known."""
    cell = shape.get("cell") if isinstance(shape, dict) else None
    if isinstance(cell, str) and cell not in CELLS:
        raise CheckpointFormatError(missing_cell(cell))
