"""What a view reads of each neuron: a quantity of the cell, or what is made of a state.

A quantity of the cell is a state or a gate: `cell`, `hidden`, `forget-gate`. What is made of a
state is `latent`, the activations of the model's dictionary, or a direction that was saved, by its
name. Every view that shows neurons asks `find_reading` for what it shows, and reads its chunks
through it; so whatever a name can stand for, each of them can show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.cells import Cell
from textgen.cells.equations import RNNCell
from textgen.errors import InspectionError, named
from textgen.heat import LATENT
from textgen.inspection.association import Scale
from textgen.inspection.dictionary import Dictionary
from textgen.inspection.neuron_stats import parse_neurons
from textgen.inspection.subject import Subject, Surveyed
from textgen.inspection.trace import (
    Neuron,
    Trace,
    acting_layers,
    chosen_quantity,
    quantities,
    trace_chunks,
)
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.numpy_network import NumpyNetwork
from textgen.steering import Target

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Readout(Protocol):
    """Columns that are made of one layer's state."""

    @property
    def layer(self) -> int:
        """The layer, from 0."""
        ...

    @property
    def name(self) -> str:
        """What the columns are as a quantity."""
        ...

    @property
    def source(self) -> str:
        """The quantity that they are made of: `hidden` or `cell`."""
        ...

    @property
    def size(self) -> int:
        """How many columns there are."""
        ...

    def encode(self, x_TH: Floats, columns: Sequence[int] | Ints | None = None) -> Floats:
        """The columns in some states, `(T, columns)`."""
        ...


@dataclass(frozen=True)
class SavedDirection:
    """A direction or a latent that was saved by name, as a `Readout` of one column."""

    target: Target

    @property
    def layer(self) -> int:
        """The layer, from 0."""
        return self.target.layer

    @property
    def name(self) -> str:
        """Its name."""
        return self.target.name

    @property
    def source(self) -> str:
        """The quantity that it is made of."""
        return self.target.quantity

    @property
    def size(self) -> int:
        """One column."""
        return 1

    def encode(self, x_TH: Floats, columns: Sequence[int] | Ints | None = None) -> Floats:
        """What it reads in some states, `(T, 1)`."""
        return self.target.readings(x_TH)[:, None]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a view reads of the neurons of a model.

    Args:
        config: The model's shape.
        quantity: What it is called: a quantity of the cell, `latent`, or a name that was saved.
        readout: What makes it of a state; None: the network shows it itself.
    """

    config: ModelConfig
    quantity: str
    readout: Readout | None = None

    @property
    def layers(self) -> Sequence[int]:
        """The layers in which it does something."""
        if self.readout is not None:
            return [self.readout.layer]
        return acting_layers(self.config, self.quantity)

    @property
    def size(self) -> int:
        """How many neurons there are in all, or latents."""
        if self.readout is not None:
            return self.readout.size
        return self.config.num_layers * self.config.hidden_size

    @property
    def noun(self) -> str:
        """What they are."""
        return "latent" if self.quantity == LATENT else "neuron"

    @property
    def scale(self) -> Scale:
        """The range of its values; what is made of a state has none."""
        if self.readout is not None:
            return Scale(-1.0, 1.0, squeezed=True)
        return scale_of(self.config.cell_spec, self.quantity)

    def neurons(self, names: Iterable[str | Neuron]) -> list[Neuron]:
        """The neurons that some names stand for, each once.

        Raises:
            InspectionError: One of them is something else, or is not there.
        """
        if self.readout is None:
            return parse_neurons(names, self.config, self.quantity)
        found = []
        for name in names:
            unit = latent_number(name) if isinstance(name, str) else int(name[1])
            if self.quantity != LATENT:
                if name != self.quantity:
                    raise InspectionError(
                        f"'{name}' and '{self.quantity}' cannot be shown at once; name one of them"
                    )
                unit = 0
            elif unit is None:
                raise InspectionError(
                    f"'{name}' is no latent, and latents are shown; write {LATENT}:17, or name "
                    "neurons alone"
                )
            if isinstance(self.readout, Dictionary):
                self.readout.check_latent(unit or 0)
            found.append((self.readout.layer, unit or 0))
        return list(dict.fromkeys(found))

    @property
    def saved_name(self) -> str | None:
        """The name of what was saved; None where neurons are named by their places."""
        return None if self.readout is None or self.quantity == LATENT else self.quantity

    def of(self, chunks: Iterable[Trace], units: Sequence[Neuron] | None = None) -> Iterator[Trace]:
        """The chunks of a trace of the readout's state, with the readout in its place."""
        readout = self.readout
        assert readout is not None
        columns = None if units is None else np.array([unit for _, unit in units], np.int64)
        shown = np.arange(readout.size) if columns is None else columns
        for chunk in chunks:
            state_TH = chunk.arrays[f"layers.{readout.layer}.{readout.source}"]
            yield replace(
                chunk,
                arrays={
                    f"layers.{readout.layer}.{self.quantity}": readout.encode(state_TH, columns)
                },
                units={readout.layer: shown},
            )

    def survey(self, model: Surveyed, ids: NDArray[np.integer[Any]]) -> Iterator[Trace]:
        """As `model.survey`, of all neurons or latents."""
        if self.readout is None:
            return model.survey(ids, [self.quantity])
        return self.of(model.survey(ids, [self.readout.source]))

    def trace(
        self,
        network: NumpyNetwork,
        ids: NDArray[np.integer[Any]],
        *,
        units: Sequence[Neuron] | None = None,
        edits: Edits = NO_EDITS,
        **settings: Any,
    ) -> Iterator[Trace]:
        """As `trace_chunks`, of `units` or of all."""
        given: dict[str, Any] = {"edits": edits, **settings}
        if self.readout is None:
            return trace_chunks(network, ids, quantities=[self.quantity], units=units, **given)
        chunks = trace_chunks(
            network, ids, quantities=[self.readout.source], layers=[self.readout.layer], **given
        )
        return self.of(chunks, units)


def find_reading(
    model: Subject, show: str | None, names: Sequence[str | Neuron] = ()
) -> tuple[Reading, list[Neuron]]:
    """What is shown of a model, and the neurons that are named.

    Args:
        model: The model.
        show: A quantity of its cell, `latent`, or a name that was saved; None: what the names ask
            for, or the default quantity.
        names: Neurons as `0:75`, latents as `latent:12`, or one name that was saved.
    Raises:
        InspectionError: The model has no such quantity or neuron, or several things are asked for
            at once.
        ConfigError: There is no dictionary, or nothing was saved by that name.
    """
    config, cell = model.saved.config, model.saved.config.cell_spec
    shown, rest = show, list(names)
    words = [name for name in rest if isinstance(name, str)]
    if any(latent_number(word) is not None for word in words):
        if shown not in (None, LATENT):
            raise InspectionError(
                f"{words[0]} is a latent, but {shown} is shown; leave {named('show')} out"
            )
        shown = LATENT
    saved = None
    if shown is None and words and words[0] in model.saved_names:
        saved = words[0]
    elif shown is not None and shown not in (LATENT, *quantities(cell)):
        # A quantity is meant by its name, whatever was saved; and options are in small letters.
        saved = next((one for one in model.saved_names if one.lower() == shown.lower()), None)
    if shown == LATENT:
        reading = Reading(config=config, quantity=LATENT, readout=model.dictionary)
    elif saved is not None:
        target = model.target(saved)
        if target.unit is not None:
            reading = Reading(config=config, quantity=target.quantity)
            rest = [name for name in rest if name != saved] or [(target.layer, target.unit)]
        else:
            reading = Reading(config=config, quantity=saved, readout=SavedDirection(target))
            rest = rest or [saved]
    else:
        reading = Reading(config=config, quantity=chosen_quantity(cell, show))
    return reading, reading.neurons(rest)


def latent_number(name: str) -> int | None:
    """The number of `latent:12`; None where it is something else.

    Raises:
        InspectionError: It begins so, and no number follows.
    """
    kind, colon, number = name.strip().partition(":")
    if kind.strip().lower() != LATENT or not colon:
        return None
    if not number.strip().isascii() or not number.strip().isdigit():
        raise InspectionError(f"'{name}' is no latent; write {LATENT}:NUMBER, such as {LATENT}:12")
    return int(number)


def scale_of(cell: Cell, quantity: str) -> Scale:
    """The range of a quantity of a cell: only a state without tanh has none."""
    if quantity.endswith("-gate"):
        return Scale(0.0, 1.0)
    unbounded = isinstance(cell, RNNCell) and cell.nonlinearity != "tanh"
    return Scale(-1.0, 1.0, squeezed=unbounded)
