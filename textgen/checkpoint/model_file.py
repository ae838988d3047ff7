"""A trained model in a file: all that sampling, tracing and evaluating need, and its history.

Knows the format and the model's shape, neither training nor where runs are kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from textgen.checkpoint.format import (
    LABELLED,
    Layout,
    TensorEntry,
    naming,
    read_file,
    read_layout,
    require_finite,
    require_tensors,
    write_file,
)
from textgen.checkpoint.model_info import ModelInfo
from textgen.corpus.corpus import CorpusRecord
from textgen.corpus.corpus_options import IN_TEXT, CorpusOptions
from textgen.corpus.documents import document_separator
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import CheckpointCorruptError
from textgen.model.config import ModelConfig
from textgen.model.label_vectors import with_label
from textgen.model.network import Floats
from textgen.model.numpy_network import NumpyNetwork
from textgen.plain_data import from_plain
from textgen.progress import task
from textgen.terminal.humanize import listed

#: What a weight is kept as.
_WEIGHT_TYPES = ("float32", "float16")


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelHeader:
    """Everything about a trained model but its weights.

    Args:
        config: Its shape.
        vocabulary: Its symbols.
        normalization: How its text was normalised; seeds and evaluated texts are treated alike.
        primer: Token ids to be read after the end mark where a sample has no seed, so that it
            starts as texts of the corpus start. Empty: the end mark alone.
        info: Plain JSON data about its making: corpus, versions, choices with reasons, metrics. See
            `textgen.checkpoint.model_info.ModelInfo`.
    Raises:
        CheckpointCorruptError: The parts contradict each other, or a part of `info` that is known
            is something else than it must be.
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
        corpus = self.corpus
        return corpus is not None and corpus.get("documents", 1) > 1 and not self.reads_pairs

    @property
    def documents(self) -> str | None:
        """How the documents of its texts were separated, as in `CorpusOptions`."""
        mode: str | None = None
        if self.corpus is not None:
            mode = self.corpus.get("options", {}).get("documents")
        return mode

    @property
    def document_separator(self) -> str:
        """What stands between two documents that it writes one after another."""
        told = None if self.corpus is None else self.corpus.get("separator")
        return told or document_separator(self.documents)

    @property
    def history(self) -> int | None:
        """Tokens that it was trained to predict from, the state from zero before them.

        None where its state was carried on, or where an older version does not tell.
        """
        return self.told.get("history")

    @property
    def bits_per_char(self) -> float | None:
        """Its bits per character in validation, where the file tells."""
        return self.told.get("metrics", {}).get("val_bits_per_char")

    @property
    def trained_on(self) -> str:
        """The names of the first texts that it was trained on; "" where the file does not tell."""
        files = [] if self.corpus is None else self.corpus["files"]
        names = [os.path.basename(file["path"]) for file in files]
        return listed(names, 3 if len(names) == 3 else 2)

    def corpus_options(self, **given: Any) -> CorpusOptions:
        """Return how texts are read for this model: as in training, but for what is given.

        Args:
            given: Fields of `CorpusOptions`; `documents=None` is as in training, by the labels in
                the text too, if these began the documents there.
        """
        if given.get("documents") is None:
            told = {} if self.corpus is None else self.corpus.get("options", {})
            given["documents"] = self.documents
            if told.get("label_from") in IN_TEXT:
                given["label_from"] = told["label_from"]
        return CorpusOptions(level=self.vocabulary.level, **self.normalization.to_dict(), **given)

    @property
    def told(self) -> ModelInfo:
        """`info` with the types that its parts have."""
        return cast(ModelInfo, self.info)

    @property
    def corpus(self) -> CorpusRecord | None:
        """What the file says of its texts; None where it does not tell."""
        return self.told.get("corpus")

    def __post_init__(self) -> None:
        from_plain(ModelInfo, self.info, "info")
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
        entries = {
            name: TensorEntry(array.dtype.name, array.shape) for name, array in self.weights.items()
        }
        require_tensors(entries, self.config.tensor_shapes(), *_WEIGHT_TYPES)
        require_finite(self.weights)

    def labelled(self, shares: Mapping[str, float]) -> SavedModel:
        """The model under a mixture of its labels, as a model without labels.

        Args:
            shares: How much of each label's vector is added; empty: of none.
        """
        if not self.config.labels:
            return self
        config, weights = with_label(self.config, self.weights, shares)
        return replace(self, config=config, weights=weights)

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
            require_finite(weights)
        version = LABELLED if self.config.labels else 1
        write_file(path, kind="model", header=header, tensors=weights, version=version)

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
        headers: list[ModelHeader] = []
        _, weights = read_file(
            path, kind="model", check=lambda layout: headers.append(_header(layout))
        )
        parts = {item.name: getattr(headers[0], item.name) for item in fields(ModelHeader)}
        # What is kept in half the space is computed with like any other model.
        weights = {name: array.astype(np.float32, copy=False) for name, array in weights.items()}
        with naming(path):
            return cls(**parts, weights=weights)

    @staticmethod
    def load_header(path: Path) -> ModelHeader:
        """Read everything but the weights.

        Their names, types and shapes are checked, their bytes are not read.

        Raises:
            As `load`.
        """
        path = Path(path)
        layout = read_layout(path, kind="model")
        with naming(path):
            return _header(layout)


def _header(layout: Layout) -> ModelHeader:
    """Everything but the weights, compared with the tensors announced."""
    header = from_plain(ModelHeader, layout.header)
    require_tensors(layout.tensors, header.config.tensor_shapes(), *_WEIGHT_TYPES)
    return header
