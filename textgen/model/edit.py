"""A change of a state at the moment when it stands and before anything has read it.

An edit is an affine map of one coordinate of one layer's state: of a single neuron, or of the
projection on a direction. Clamping, adding, scaling and ablating are all of this form, so every
path (NumPy, torch, native) knows nothing but this.

Where it acts is fixed by the cells (`textgen.cells.cell.Cell.step`): an edited cell state is what
the output of the same step is made of, and an edited output is what the next layer, the next step
and the prediction see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from textgen.cells.cell import Editor, unchanged
from textgen.errors import ConfigError
from textgen.model.config import ModelConfig

Floats = NDArray[np.float32]
StateName = Literal["h", "c"]

#: The two states that a neuron can be asked for by a letter after its place: `0:75.c`.
STATES = {"c": "cell", "h": "hidden"}

_TYPED = re.compile(r"\s*([0-9]{1,9})\s*:\s*([0-9]{1,9})\s*(?:\.([ch]))?\s*")
#: What a neuron may have looked like elsewhere: `L0:75`, `0,75`, `0/75`, `layers.0.cell[75]`.
_NUMBERS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Edit:
    """The coordinate `p` of a state becomes `scale * p + shift`.

    A neuron's coordinate is its value. A direction's is the projection `read . x`, and the state
    moves along `write`, with `read . write = 1`.

    Args:
        layer: Layer, from 0.
        state: `h`, the output, or `c`, the cell state.
        scale: Factor; 1 leaves the coordinate, 0 forgets it.
        shift: What is added, in the units of the coordinate.
        unit: The neuron, or None for a direction.
        read: What the state is projected on, `(H,)`; of a direction only.
        write: What it moves along, `(H,)`; of a direction only.
    Raises:
        ConfigError: It is neither a neuron nor a direction, or a number is not finite.
    """

    layer: int
    state: StateName
    scale: float
    shift: float
    unit: int | None = None
    read: Floats | None = None
    write: Floats | None = None

    def __post_init__(self) -> None:
        vectors = sum(vector is not None for vector in (self.read, self.write))
        if vectors != (2 if self.unit is None else 0):
            raise ConfigError("an edit is of a neuron, or of a direction to read and to write")
        # The engine computes with float32, in which a large number may be none.
        with np.errstate(over="ignore"):
            finite = np.isfinite(np.array([self.scale, self.shift], np.float32)).all()
        if not finite:
            raise ConfigError(
                f"the edit {self.scale} * x + {self.shift} is not finite; give a smaller dose"
            )

    def check(self, config: ModelConfig) -> None:
        """Check that a model has what is changed.

        Raises:
            ConfigError: It has no such layer, state or neuron, or its states have another width.
        """
        state_names = config.cell_spec.state_names
        if self.state not in state_names:
            raise ConfigError(
                f"this model's cells have no state '{self.state}'; they have: "
                f"{', '.join(state_names)}"
            )
        if not 0 <= self.layer < config.num_layers:
            last = config.num_layers - 1
            raise ConfigError(f"there is no layer {self.layer}; there are 0..{last}")
        size = config.hidden_size
        if self.unit is not None and not 0 <= self.unit < size:
            raise ConfigError(f"there is no neuron {self.unit}; there are 0..{size - 1}")
        for vector in (self.read, self.write):
            if vector is not None and vector.shape != (size,):
                raise ConfigError(
                    f"a direction of {vector.shape[-1]} neurons does not fit a layer of {size}"
                )

    def apply(self, x_BH: Floats) -> Floats:
        """Return the edited state; `x_BH` is not modified."""
        if self.unit is not None:
            edited = x_BH.copy()
            edited[:, self.unit] = self.scale * x_BH[:, self.unit] + self.shift
            return edited
        assert self.read is not None and self.write is not None
        p_B1 = (x_BH @ self.read)[:, None]
        moved: Floats = x_BH + ((self.scale - 1.0) * p_B1 + self.shift) * self.write
        return moved.astype(np.float32)


#: What happens to the states of one stream in one step, in this order.
Edits = tuple[Edit, ...]
NO_EDITS: Edits = ()


def check_edits(edits_B: Sequence[Edits], config: ModelConfig) -> None:
    """Check that a model has what the edits of its streams change, each edit once."""
    for edit in {id(edit): edit for edits in edits_B for edit in edits}.values():
        edit.check(config)


def editor(edits_B: Sequence[Edits] | None, layer: int) -> Editor:
    """Return what a cell calls with each new state of `layer`.

    Args:
        edits_B: The edits of each stream; None: of none.
        layer: The layer.
    """
    own_B = [tuple(e for e in edits if e.layer == layer) for edits in edits_B or ()]
    if not any(own_B):
        return unchanged

    def edit(state: str, x_BH: Floats) -> Floats:
        if own_B.count(own_B[0]) == len(own_B):
            return _apply_all(own_B[0], state, x_BH)
        return np.concatenate(
            [_apply_all(own, state, x_BH[row : row + 1]) for row, own in enumerate(own_B)]
        )

    return edit


def _apply_all(edits: Edits, state: str, x_BH: Floats) -> Floats:
    for edit in edits:
        if edit.state == state:
            x_BH = edit.apply(x_BH)
    return x_BH


def for_all(edits: Edits, batch_size: int) -> Sequence[Edits] | None:
    """Return the same edits for each of `batch_size` streams; None where there are none."""
    return [edits] * batch_size if edits else None


def split_neuron(text: str) -> tuple[int, int, str | None] | None:
    """Read `LAYER:UNIT`, with `.c` or `.h` after it for the state that is meant.

    Args:
        text: What was typed.
    Returns:
        Layer, unit, and `cell`, `hidden` or None; None where it does not have this form.
    """
    match = _TYPED.fullmatch(text)
    if match is None:
        return None
    return int(match[1]), int(match[2]), STATES.get(match[3] or "")


def neuron_guess(text: str) -> str:
    """What to type for a neuron that was written in another way; "" where nothing can be said."""
    numbers = [int(number) for number in _NUMBERS.findall(text)]
    if len(numbers) == 2:
        return f"{numbers[0]}:{numbers[1]}"
    return f"0:{numbers[0]}" if len(numbers) == 1 else ""
