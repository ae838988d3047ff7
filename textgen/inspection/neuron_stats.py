"""Mean, spread and range of neurons over a text; which neurons to look at; doses of steering."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.errors import InspectionError, named
from textgen.heat import neuron_place, neuron_title
from textgen.inspection.trace import STATES, Neuron, Trace, as_chunks, check_neuron
from textgen.model.config import ModelConfig
from textgen.model.edit import neuron_guess, split_neuron
from textgen.steering import Calibration

#: Rows of values that are summed at once: they stay in the cache.
_ROWS = 128


class Moments:
    """Running mean, variance and range of columns.

    The spread is gathered by pairwise merging, which keeps its precision where a sum of squares
    would lose it. Source: Chan, Golub and LeVeque 1983, equation 2.1.
    """

    def __init__(self, columns: int) -> None:
        self.count = 0
        self._mean = np.zeros(columns)
        self._squares = np.zeros(columns)
        self._minimum = np.full(columns, np.inf)
        self._maximum = np.full(columns, -np.inf)

    def add(self, values_TN: NDArray[np.float32]) -> None:
        count = len(values_TN)
        if not count:
            return
        mean, squares = _spread(values_TN)
        delta = mean - self._mean
        total = self.count + count
        self._mean += delta * (count / total)
        self._squares += squares + delta**2 * (self.count * count / total)
        self._minimum = np.minimum(self._minimum, values_TN.min(axis=0))
        self._maximum = np.maximum(self._maximum, values_TN.max(axis=0))
        self.count = total

    def summary(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean, standard deviation, minimum, maximum."""
        return self._mean, np.sqrt(self._squares / self.count), self._minimum, self._maximum

    def stats(
        self, layer: int, units: NDArray[np.int64], quantity: str, effect: NDArray[np.float64]
    ) -> list[NeuronStats]:
        """The figures of a layer's neurons, which are the columns; see `NeuronStats.effect`."""
        figures = np.stack([*self.summary(), effect], axis=1).tolist()
        return [
            NeuronStats(layer, unit, quantity, *row)
            for unit, row in zip(units.tolist(), figures, strict=True)
        ]


def _spread(
    values_TN: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean of each column, and the sum of the squares of what differs from it.

    Three times as fast as `(values - mean) ** 2` in float64: a few rows at once stay in the cache,
    and what differs from the mean loses 6e-8 of itself in float32. Sums of more rows are float64.
    """
    sums, squares = np.zeros(values_TN.shape[1]), np.zeros(values_TN.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        near_N = values_TN.mean(axis=0)
        for start in range(0, len(values_TN), _ROWS):
            moved_TN = values_TN[start : start + _ROWS] - near_N
            sums += moved_TN.sum(axis=0)
            squares += np.einsum("tn,tn->n", moved_TN, moved_TN)
    if not np.isfinite(squares).all():  # The square of a large state may be none in float32.
        mean = values_TN.mean(axis=0, dtype=np.float64)
        return mean, ((values_TN - mean) ** 2).sum(axis=0)
    off = sums / len(values_TN)
    return near_N + off, np.maximum(squares - off * sums, 0.0)


@dataclass(frozen=True)
class NeuronStats:
    """How one quantity of one neuron was distributed over a text.

    Args:
        layer: Layer, from 0.
        unit: Unit within the layer, from 0.
        quantity: What was traced, such as `cell`.
        mean: Mean over the tokens.
        sd: Standard deviation over the tokens (of the text itself, so divided by their number).
        minimum: Lowest value.
        maximum: Highest value.
        effect: Standard deviation of what the rest of the network sees of it: of `tanh(c)` for a
            cell state, which may count far beyond the range where tanh distinguishes values; of the
            value itself for everything else.
    """

    layer: int
    unit: int
    quantity: str
    mean: float
    sd: float
    minimum: float
    maximum: float
    effect: float

    @property
    def neuron(self) -> Neuron:
        """`(layer, unit)`."""
        return self.layer, self.unit

    @property
    def name(self) -> str:
        """The name as in a trace: `layers.0.cell[137]`."""
        return neuron_name(self.layer, self.unit, self.quantity)

    @property
    def place(self) -> str:
        """As it is typed: `0:137`, or `latent:12`."""
        return neuron_place(self.layer, self.unit, self.quantity)

    @property
    def title(self) -> str:
        """The name for people: `neuron 0:137 cell`."""
        return neuron_title(self.layer, self.unit, self.quantity)


def neuron_name(layer: int, unit: int, quantity: str) -> str:
    """The name of one quantity of one neuron: `layers.0.cell[137]`."""
    return f"layers.{layer}.{quantity}[{unit}]"


def parse_neuron(
    text: str, *, num_layers: int, hidden_size: int, quantity: str | None = None
) -> Neuron:
    """Read a neuron as users type it: `LAYER:UNIT`, both counted from 0.

    Args:
        text: Such as `0:137`; `0:137.c`, as steering prints it, where its cell state is shown.
        num_layers: Layers of the model.
        hidden_size: Neurons of each layer.
        quantity: What is shown; None: anything.
    Returns:
        `(layer, unit)`.
    Raises:
        InspectionError: The form is wrong, or the model has no such neuron.
    """
    found = split_neuron(text)
    if found is None:
        example = neuron_guess(text)
        guess = split_neuron(example)
        if guess is None or guess[0] >= num_layers or guess[1] >= hidden_size:
            example = f"0:{min(3, hidden_size - 1)}"
        raise InspectionError(
            f"'{text}' is not a neuron; write LAYER:UNIT with layer 0..{num_layers - 1} "
            f"and unit 0..{hidden_size - 1}, for example {example}"
        )
    layer, unit, state = found
    if state is not None and quantity is not None and state != quantity:
        raise InspectionError(
            f"'{text}' is the {state} state, but {quantity} is shown; write {layer}:{unit}, or "
            f"show the {state} state: {named('show', state)}"
        )
    return check_neuron((layer, unit), num_layers, hidden_size)


def parse_neurons(
    names: Iterable[str | Neuron], config: ModelConfig, quantity: str | None = None
) -> list[Neuron]:
    """Several neurons of a model, each as `"0:75"` or as `(0, 75)`; each is taken once.

    Raises:
        InspectionError: As `parse_neuron`.
    """
    shape = (config.num_layers, config.hidden_size)
    found = []
    for name in names:
        if isinstance(name, str):
            found.append(
                parse_neuron(name, num_layers=shape[0], hidden_size=shape[1], quantity=quantity)
            )
            continue
        try:
            layer, unit = name
            neuron = int(layer), int(unit)
        except (TypeError, ValueError):
            raise InspectionError(
                f'{name!r:.60} is not a neuron; name it by layer and unit: (0, 75) or "0:75"'
            ) from None
        found.append(check_neuron(neuron, *shape))
    return list(dict.fromkeys(found))


def neuron_stats(
    source: Trace | Iterable[Trace], *, quantity: str | None = None
) -> list[NeuronStats]:
    """Mean, spread and range of every neuron traced, layer by layer in column order.

    Args:
        source: A trace, or the chunks of one: each is dropped before the next is asked for.
        quantity: Which of the quantities traced; may be left out where there is one.
    Raises:
        InspectionError: The quantity was not traced, or there is no token.
    """
    moments: dict[int, Moments] = {}
    seen: dict[int, Moments] = {}
    units: dict[int, NDArray[np.int64]] = {}
    name = quantity
    for chunk in as_chunks(source):
        name = chunk.only_quantity(quantity)
        for layer, columns in chunk.units.items():
            units[layer] = columns
            values = chunk.arrays[f"layers.{layer}.{name}"]
            moments.setdefault(layer, Moments(len(columns))).add(values)
            if name == "cell":
                seen.setdefault(layer, Moments(len(columns))).add(np.tanh(values))
    if name is None or not any(m.count for m in moments.values()):
        raise InspectionError("the text is empty; give at least one character to trace")
    return [
        stats
        for layer in sorted(units)
        for effect in [seen.get(layer, moments[layer]).summary()[1]]
        for stats in moments[layer].stats(layer, units[layer], name, effect)
    ]


def most_varying(
    source: Trace | Iterable[Trace],
    top: int,
    *,
    quantity: str | None = None,
    layers: Container[int] | None = None,
) -> list[NeuronStats]:
    """The `top` neurons whose values vary most over the text, the most varying first.

    Ranked by `NeuronStats.effect`: a cell that only counts up, far beyond what tanh distinguishes,
    has a large spread and no meaning. Ties are in order of layer and unit.

    Args:
        source: A trace, or the chunks of one.
        top: How many; all where there are fewer.
        quantity: Which of the quantities traced; may be left out where there is one.
        layers: Of these layers only, such as `acting_layers`; None: of all traced.
    Raises:
        InspectionError: `top` is below 1, the quantity was not traced, or the text is empty.
    """
    if top < 1:
        raise InspectionError(f"{named('top')} is {top}; it must be at least 1")
    stats = neuron_stats(source, quantity=quantity)
    kept = [each for each in stats if layers is None or each.layer in layers]
    return sorted(kept, key=lambda each: -each.effect)[:top]


def calibrate(chunks: Iterable[Trace], *, model: str, source: str) -> Calibration:
    """Measure how the states of all neurons are distributed.

    The chunks are those of a text that is not empty, in any order, with the quantities `hidden`
    and, where the cell has one, `cell`. Each is dropped before the next is asked for.
    """
    moments: dict[str, Moments] = {}
    tokens = 0
    for chunk in chunks:
        tokens += len(chunk)
        for name, values in chunk.arrays.items():
            moments.setdefault(name, Moments(values.shape[1])).add(values)
    figures = {
        (int(layer), STATES[quantity]): moments[name].summary()
        for name in moments
        for _, layer, quantity in [name.split(".")]
    }
    return Calibration(
        mean={place: mean for place, (mean, _, _, _) in figures.items()},
        sd={place: sd for place, (_, sd, _, _) in figures.items()},
        model=model,
        source=source,
        tokens=tokens,
    )
