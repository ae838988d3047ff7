"""A trained model in a file: all that sampling, tracing and evaluating need, and its history.

Knows the format and the model's shape, neither training nor where runs are kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from textgen.cells import CELLS, missing_cell
from textgen.checkpoint.format import Layout, TensorEntry, read_file, read_layout, write_file
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.documents import document_separator
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import CheckpointCorruptError, CheckpointFormatError
from textgen.model.config import ModelConfig
from textgen.model.network import Floats
from textgen.model.numpy_network import NumpyNetwork
from textgen.progress import task
from textgen.terminal.humanize import listed

T = TypeVar("T")

_KEYS = {"config", "vocabulary", "normalization", "primer", "info"}
#: What a weight is kept as.
_WEIGHT_TYPES = ("float32", "float16")
#: What wrong data can raise when a class is built from it, subclasses included.
_BAD_DATA = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelHeader:
    """Everything about a trained model but its weights.

    Args:
        config: Its shape.
        vocabulary: Its symbols.
        normalization: How its text was normalised; seeds and evaluated texts are treated alike.
        primer: Token ids to be read after the end mark where a sample has no seed, so that it
            starts as texts of the corpus start. Empty: the end mark alone.
        info: Plain JSON data about its making: corpus, versions, choices with reasons, metrics.
    Raises:
        CheckpointCorruptError: The parts contradict each other.
    """

    config: ModelConfig
    vocabulary: Vocabulary
    normalization: Normalization
    primer: tuple[int, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def reads_pairs(self) -> bool:
        """Whether it was trained on pairs: it reads a source and a TAB, and writes the target."""
        return self.info.get("pairs") is True

    @property
    def writes_documents(self) -> bool:
        """Whether it was trained on several documents: it knows where a text ends."""
        count = self._info("corpus").get("documents")
        return not self.reads_pairs and type(count) is int and count > 1

    @property
    def documents(self) -> str | None:
        """How the documents of its texts were separated, as in `CorpusOptions`."""
        mode = self._info("corpus", "options").get("documents")
        return mode if isinstance(mode, str) else None

    @property
    def document_separator(self) -> str:
        """What stands between two documents that it writes one after another."""
        told = self._info("corpus").get("separator")
        return told if isinstance(told, str) and told else document_separator(self.documents)

    @property
    def history(self) -> int | None:
        """Tokens that it was trained to predict from, the state from zero before them.

        None where its state was carried on, or where an older version does not tell.
        """
        history = self.info.get("history")
        return history if type(history) is int and history > 0 else None

    @property
    def bits_per_char(self) -> float | None:
        """Its bits per character in validation, where the file tells."""
        bits = self._info("metrics").get("val_bits_per_char")
        return bits if isinstance(bits, float) else None

    @property
    def trained_on(self) -> str:
        """The names of the first texts that it was trained on; "" where the file does not tell."""
        files = self._info("corpus").get("files")
        names = [
            os.path.basename(str(file["path"]))
            for file in (files if isinstance(files, list) else [])
            if isinstance(file, dict) and "path" in file
        ]
        return listed(names, 3 if len(names) == 3 else 2)

    def corpus_options(self, **given: Any) -> CorpusOptions:
        """Return how texts are read for this model: as in training, but for what is given.

        Args:
            given: Fields of `CorpusOptions`; `documents=None` is as in training.
        """
        if given.get("documents") is None:
            given["documents"] = self._info("corpus", "options").get("documents")
        return CorpusOptions(level=self.vocabulary.level, **self.normalization.to_dict(), **given)

    def _info(self, *keys: str) -> Mapping[str, Any]:
        """Return a part of `info`, whatever is in the file."""
        part: Any = self.info
        for key in keys:
            part = part.get(key) if isinstance(part, dict) else None
        return part if isinstance(part, dict) else {}

    def __post_init__(self) -> None:
        if len(self.vocabulary) != self.config.vocab_size:
            raise CheckpointCorruptError(
                f"the vocabulary has {len(self.vocabulary)} symbols, the model "
                f"{self.config.vocab_size}"
            )
        for token in self.primer:
            if type(token) is not int or not 0 <= token < self.config.vocab_size:
                raise CheckpointCorruptError(
                    f"the primer holds {token!r}, no id of a vocabulary of {len(self.vocabulary)}"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedModel(ModelHeader):
    """A trained model as it is kept in a file.

    Args:
        weights: Float32 arrays as `config.tensor_shapes()` names them, all finite.
    Raises:
        CheckpointCorruptError: The parts contradict each other, or a weight is not finite: such a
            model is neither written nor loaded.

    Example:
        >>> model = SavedModel.load(Path("checkpoints/war/model.safetensors"))
        >>> network = model.network()
        >>> logits, state = network.step(np.array([END_ID]), network.zero_state())
    """

    weights: dict[str, Floats]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_tensors(
            self.config,
            {
                name: TensorEntry(array.dtype.name, array.shape)
                for name, array in self.weights.items()
            },
        )
        _check_finite(self.weights)

    def network(self) -> NumpyNetwork:
        """The model as a step function for sampling and tracing."""
        return NumpyNetwork(self.config, self.weights)

    @task("saving the model")
    def save(self, path: Path, *, half: bool = False) -> None:
        """Write the model atomically.

        Args:
            path: The file.
            half: Round each weight to 16 bits (IEEE half precision), in half the space: 11 bits of
                each number are kept. The model that is loaded then computes in 32 bits as ever.
        Raises:
            ConfigError: The vocabulary is larger than a file may hold.
            StorageError: It could not be written; what was there before is untouched.
        """
        header = {
            "config": self.config.to_dict(),
            "vocabulary": self.vocabulary.to_dict(),
            "normalization": self.normalization.to_dict(),
            "primer": list(self.primer),
            "info": self.info,
        }
        weights = self.weights
        if half:
            # Beyond 65,504 there is no half-precision number, only an infinite one.
            with np.errstate(over="ignore"):
                weights = {name: array.astype(np.float16) for name, array in weights.items()}
            _check_finite(weights)
        write_file(path, kind="model", header=header, tensors=weights)

    @classmethod
    @task("loading the model")
    def load(cls, path: Path) -> SavedModel:
        """Read a model. Runs no code; takes no memory before the sizes are known to agree.

        Raises:
            CheckpointFormatError: The file is no model, or a newer version's.
            CheckpointCorruptError: It is truncated or damaged, or its parts contradict each other.
            StorageError: It is missing or cannot be read.
        """
        path = Path(path)
        parts: dict[str, Any] = {}
        _, weights = read_file(
            path, kind="model", check=lambda layout: parts.update(_parts(layout))
        )
        # What is kept in half the space is computed with like any other model.
        weights = {name: array.astype(np.float32, copy=False) for name, array in weights.items()}
        try:
            return cls(**parts, weights=weights)
        except CheckpointCorruptError as error:
            raise CheckpointCorruptError(f"{path} is damaged: {error}") from error

    @staticmethod
    def load_header(path: Path) -> ModelHeader:
        """Read everything but the weights.

        Their names, types and shapes are checked, their bytes are not read.

        Raises:
            As `load`.
        """
        return ModelHeader(**_parts(read_layout(Path(path), kind="model")))


def _parts(layout: Layout) -> dict[str, Any]:
    """The fields of a `ModelHeader`, checked against each other and the tensors announced."""
    header = layout.header
    if set(header) != _KEYS:
        raise CheckpointCorruptError(
            f"{layout.path} is damaged: its header should hold {', '.join(sorted(_KEYS))}"
        )
    config = _build(layout, "model settings", _config, header["config"], len(layout.tensors))
    _build(layout, "weights", _check_tensors, config, layout.tensors)
    parts = {
        "config": config,
        "vocabulary": _build(layout, "vocabulary", Vocabulary.from_dict, header["vocabulary"]),
        "normalization": _build(
            layout, "normalisation", Normalization.from_dict, header["normalization"]
        ),
        "primer": _build(layout, "primer", tuple, header["primer"]),
        "info": _build(layout, "information", _info, header["info"]),
    }
    _build(layout, "parts", ModelHeader, **parts)
    return parts


def _build(layout: Layout, what: str, make: Callable[..., T], *args: Any, **named: Any) -> T:
    """`make(...)`, any complaint about the data turned into one about the file."""
    try:
        return make(*args, **named)
    except CheckpointFormatError as error:
        raise CheckpointFormatError(f"{layout.path} {error}") from error
    except _BAD_DATA as error:
        raise CheckpointCorruptError(
            f"{layout.path} is damaged: its {what} cannot be right: {error!s:.300}"
        ) from error


def _config(data: Any, tensor_count: int) -> ModelConfig:
    if not isinstance(data, dict):
        raise TypeError("they are not a JSON object")
    cell = data.get("cell")
    if isinstance(cell, str) and cell not in CELLS:
        raise CheckpointFormatError(missing_cell(cell))
    config = ModelConfig.from_dict(data)
    # Before anything is done for each layer: a number alone must not keep the machine busy.
    if config.num_layers > tensor_count:
        raise ValueError(f"{config.num_layers} layers in a file of {tensor_count} tensors")
    return config


def _check_tensors(config: ModelConfig, tensors: Mapping[str, TensorEntry]) -> None:
    """Compare names, types and shapes with those that the model's shape asks for."""
    expected = config.tensor_shapes()
    for name, shape in expected.items():
        if name not in tensors:
            raise CheckpointCorruptError(f"weight '{name}' is missing")
        found = tensors[name]
        if found.dtype not in _WEIGHT_TYPES or found.shape != shape:
            raise CheckpointCorruptError(
                f"weight '{name}' is {found.dtype} of shape {found.shape}, not "
                f"{' or '.join(_WEIGHT_TYPES)} of {shape}"
            )
    for name in tensors:
        if name not in expected:
            raise CheckpointCorruptError(f"weight {name!r:.80} belongs to no part of the model")


def _check_finite(weights: Mapping[str, NDArray[Any]]) -> None:
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise CheckpointCorruptError(f"weight '{name}' holds numbers that are not finite")


def _info(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise TypeError("it is not a JSON object")
    return data
