"""A trained network of numbers in a file, and the numbers that it goes on with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import MODEL_NAME, list_runs, locate_model
from textgen.checkpoint.format import (
    Layout,
    naming,
    read_file,
    read_layout,
    require_finite,
    require_tensors,
    write_file,
)
from textgen.errors import (
    CheckpointCorruptError,
    SamplingError,
    StorageError,
    TextgenError,
    named,
)
from textgen.messages import call
from textgen.model.config import ModelConfig
from textgen.notebook import Part, Shown
from textgen.plain_data import Count, Figure, Some, from_plain
from textgen.progress import task
from textgen.runtime import ChoiceRecord, require_torch
from textgen.series.number_file import parse_numbers
from textgen.series.number_shape import NumberShape, weight_shapes
from textgen.series.scaling import Scaling

if TYPE_CHECKING:
    from textgen.series.number_network import NumberNetwork

#: Of files, beside `model` and `resume`.
KIND = "numbers"


class SeriesRecord(TypedDict):
    """The series that a model was trained on."""

    path: str | None
    numbers: Count


class NumbersMetrics(TypedDict, total=False):
    """Root mean squared errors."""

    train_rmse: Figure | None
    val_rmse: Figure | None
    naive_train_rmse: Figure | None
    naive_val_rmse: Figure | None


class NumbersInfo(TypedDict, total=False):
    """What the file of a model of numbers may tell of its making."""

    series: SeriesRecord
    metrics: NumbersMetrics
    choices: list[ChoiceRecord]
    command: str
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class _NumbersHeader:
    """Everything but the weights, as a file has it."""

    shape: NumberShape
    history: Some
    scaling: Scaling
    last: tuple[float, ...]
    info: NumbersInfo


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NumbersModel(Shown):
    """A trained network of numbers.

    Args:
        config: Its shape, see `textgen.series.number_shape.number_config`.
        history: How many numbers it reads before each prediction.
        scaling: Between the series and the network.
        last: The last numbers of the series that it was trained on, `history` of them.
        weights: Float64 arrays by name, all finite.
        info: Plain JSON data about its making: series, choices, errors, versions.
        path: The file that it was loaded from.
    Example:
        >>> model = textgen.load_numbers("checkpoints/fibonacci")
        >>> model.next_numbers([1, 1, 2, 3, 5], length=3)
        [8.0, 13.0, 21.0]
    """

    config: ModelConfig
    history: int
    scaling: Scaling
    last: tuple[float, ...]
    weights: dict[str, NDArray[np.float64]]
    info: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def __post_init__(self) -> None:
        if type(self.history) is not int or self.history < 1 or len(self.last) != self.history:
            raise CheckpointCorruptError(
                f"its history is {self.history!r:.20}, and {len(self.last)} last numbers are there"
            )
        numbers = (self.scaling.shift, self.scaling.divisor, *self.last)
        if not all(map(math.isfinite, numbers)) or self.scaling.divisor <= 0:
            raise CheckpointCorruptError("its scaling or its last numbers are not finite")
        require_finite(self.weights)

    @property
    def headline(self) -> str:
        """The file, the shape and the history."""
        config = self.config
        layers = "1 layer" if config.num_layers == 1 else f"{config.num_layers} layers"
        units = "1 unit" if config.hidden_size == 1 else f"{config.hidden_size} units"
        return f"{self.path}: {self.cell_words}, {layers} of {units}, history {self.history}"

    def parts(self) -> Iterable[Part]:
        """How good it is; of one unit what it computes."""
        return filter(None, (self.summary, self.equation))

    @property
    def cell_words(self) -> str:
        """The cell, with its nonlinearity where there was a choice."""
        config = self.config
        return f"{config.cell} ({config.nonlinearity})" if config.cell == "rnn" else config.cell

    @property
    def summary(self) -> str:
        """The model in a line: its shape, its history, and its error beside the naive guess's."""
        config, metrics = self.config, self.info.get("metrics", {})
        told = f"{self.cell_words} {config.num_layers} x {config.hidden_size}, numbers"
        told += f", history {self.history}"
        for part in ("val", "train"):
            rmse, naive = (metrics.get(f"{which}{part}_rmse") for which in ("", "naive_"))
            if rmse is not None and naive is not None:
                return f"{told}; RMSE {rmse:.3g}, naive guess {naive:.3g}"
        return told

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return sum(array.size for array in self.weights.values())

    @property
    def own_weights(self) -> dict[str, float]:
        """w, b and v of the network of one unit without a readout, in the units of the series.

        Empty for other networks. `equation` says what they do.
        """
        if "head.weight" in self.weights:
            return {}
        w, b, v = (
            float(self.weights[f"layers.0.{name}"].item())
            for name in ("weight_ih", "bias", "weight_hh")
        )
        shift, divisor = self.scaling.shift, self.scaling.divisor
        if self.config.nonlinearity == "tanh":
            return {"w": w / divisor, "b": b - w * shift / divisor, "v": v}
        # f(k a) = k f(a) for k > 0, and the series is not shifted.
        return {"w": w, "b": b * divisor, "v": v}

    @property
    def equation(self) -> str:
        """What the network of one unit without a readout computes; "" for other networks."""
        if not self.own_weights:
            return ""
        inner = "x w + b + v F(before)"
        if self.config.nonlinearity == "identity":
            return f"F(x) = {inner}"
        told = f"F(x) = {self.config.nonlinearity}({inner})"
        if self.config.nonlinearity == "tanh":
            told += f"; the next number is {self.scaling.divisor:.6g} F"
            told += f" + {self.scaling.shift:.6g}" if self.scaling.shift else ""
        return told

    def next_numbers(
        self, seed: str | Sequence[float] | NDArray[np.floating] | None = None, length: int = 10
    ) -> list[float]:
        """The numbers that follow, each computed from the last ones, those before included.

        Args:
            seed: Numbers to go on from, at least `history` of them, as numbers or as a text such as
                `"1,1,2,3,5"`; None is the end of the series that the model was trained on.
            length: How many.
        Raises:
            SamplingError: The seed has too few numbers or something else among them, or a number
                is too large to be written.
        """
        return list(self.stream(seed, length))

    def stream(
        self, seed: str | Sequence[float] | NDArray[np.floating] | None = None, length: int = 10
    ) -> Iterator[float]:
        """As `next_numbers`, one by one as they are made."""
        if type(length) is not int or length < 0:
            raise SamplingError(
                f"{named('length')} is {length!r:.40}; it must be a whole number, 0 or more"
            )
        return self._stream(self._fitted(seed), length)

    def _fitted(self, seed: str | Sequence[float] | NDArray[np.floating] | None) -> list[float]:
        """The last numbers of a seed, as many as the network reads."""
        if isinstance(seed, str):
            seed = parse_numbers(seed) if seed.strip() else None
        if seed is None:
            return list(self.last)
        try:
            numbers = [float(number) for number in seed]
        except (TypeError, ValueError, OverflowError) as error:
            raise SamplingError(
                f"{named('seed')} is {seed!r:.60}; numbers are expected, such as [1, 1, 2]"
            ) from error
        if not all(map(math.isfinite, numbers)):
            raise SamplingError(f"{named('seed')} has a number that is not finite")
        if len(numbers) < self.history:
            many = "1 number" if len(numbers) == 1 else f"{len(numbers)} numbers"
            raise SamplingError(
                f"{named('seed')} has {many}, and this model reads {self.history} before each "
                f"prediction; give {self.history} or more"
            )
        return numbers[-self.history :]

    def _stream(self, window: list[float], length: int) -> Iterator[float]:
        network = self.network()
        import torch

        for count in range(1, length + 1):
            scaled_T = torch.tensor([self.scaling.apply(x) for x in window], dtype=torch.float64)
            with torch.no_grad():
                number = self.scaling.undo(float(network.predict(scaled_T[None])[0]))
            if not math.isfinite(number):
                raise SamplingError(
                    f"number {count} is too large to be written (above 1.8e308); "
                    f"{named('length', count - 1)} ends before it"
                )
            yield number
            window = [*window[1:], number]

    def network(self) -> NumberNetwork:
        """The network itself, which reads scaled numbers.

        Raises:
            BackendError: torch is not installed.
        """
        require_torch("a network of numbers")
        from textgen.series.number_network import NumberNetwork

        return NumberNetwork(self.config, self.weights)

    @task("saving the model")
    def save(self, path: Path) -> None:
        """Write the model atomically.

        Raises:
            StorageError: It could not be written; what was there before is untouched.
        """
        config = self.config
        header = {
            "shape": {
                "cell": config.cell,
                "nonlinearity": config.nonlinearity,
                "hidden_size": config.hidden_size,
                "num_layers": config.num_layers,
            },
            "history": self.history,
            "scaling": {
                "shift": self.scaling.shift,
                "divisor": self.scaling.divisor,
                "reason": self.scaling.reason,
            },
            "last": list(self.last),
            "info": self.info,
        }
        write_file(path, kind=KIND, header=header, tensors=self.weights)

    @classmethod
    @task("loading the model")
    def load(cls, path: Path) -> NumbersModel:
        """Read a model. Runs no code.

        Raises:
            CheckpointFormatError: The file is no model of numbers, or a newer version's.
            CheckpointCorruptError: It is truncated or damaged, or its parts contradict each other.
            StorageError: It is missing or cannot be read.
        """
        path = Path(path)
        parts: dict[str, Any] = {}
        _, weights = read_file(path, kind=KIND, check=lambda layout: parts.update(_parts(layout)))
        with naming(path):
            return cls(**parts, weights=weights, path=path)


def holds_numbers(path: Path) -> bool:
    """Whether a file is a model of numbers; it is not, where it cannot be read as one of textgen's.

    Raises:
        CheckpointError, StorageError: The file cannot be read at all.
    """
    return read_layout(path, kind=None).kind == KIND


def locate_numbers(checkpoint: str | Path | None = None) -> Path:
    """The file that a person means who names a model of numbers; None is the newest one.

    Raises:
        StorageError: There is none.
    """
    if checkpoint is not None:
        return locate_model(checkpoint)
    for run in list_runs():
        # What is wrong with one of them must not hide the others.
        with suppress(TextgenError):
            if run.has_model and holds_numbers(run.path / MODEL_NAME):
                return run.path / MODEL_NAME
    raise StorageError(
        "there is no model of numbers in checkpoints yet; train one first: "
        f"{call('train_numbers', 'numbers.csv')}"
    )


def locate_text(checkpoint: str | Path | None = None, *, text: str = "") -> Path:
    """The file that a person means who names a model of text; None is the newest one.

    Args:
        checkpoint: As for `locate_model`; what is named is taken, whatever it is.
        text: What it is to continue.
    Raises:
        StorageError: There is none.
    """

    def fits(path: Path) -> bool:
        # What is wrong with the newest one is told when it is loaded.
        with suppress(TextgenError):
            return not holds_numbers(path)
        return True

    return locate_model(checkpoint, text=text, fits=fits)


def _parts(layout: Layout) -> dict[str, Any]:
    """The fields of a model but its weights, compared with the tensors announced."""
    header = from_plain(_NumbersHeader, layout.header)
    config = header.shape.config()
    require_tensors(layout.tensors, weight_shapes(config), "float64")
    return {
        "config": config,
        "history": header.history,
        "scaling": header.scaling,
        "last": tuple(map(float, header.last)),
        "info": dict(header.info),
    }
