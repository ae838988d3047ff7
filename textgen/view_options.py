"""The options of what `inspect` shows, for Python and for the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textgen.errors import InspectionError, named

#: Characters of a corpus that are read unless more are asked for: 10 to 30 seconds for 1 x 512
#: units on one core.
DEFAULT_CHARS = 1_000_000
#: Neurons that a report has where no number is asked for, and passages that it has of each.
TOP, PASSAGES = 20, 5


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """What colours a text.

    Args:
        show: A quantity of the neurons, such as `cell`, `hidden` or `forget-gate`; or, of the
            network, `surprise` (the cost of each character in bits) or `influence` (how much each
            character changes the prediction after the text). None: `cell`, or `hidden` where the
            network has no cell state.
        neurons: The neurons that colour the text, such as `"0:17"` or `(0, 17)`; none: those that
            vary most on it.
        top: How many neurons, where none are named.
        by: With `influence`: `gradient` or `omission`; None: both.
        target: With `influence`: the next character that is asked about; None: the likeliest one.
    Raises:
        InspectionError: A value is out of range, or two do not go together.
    """

    show: str | None = None
    neurons: Sequence[str | tuple[int, int]] = ()
    top: int = 3
    by: str | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise InspectionError(f"{named('top')} is {self.top}; it must be at least 1")
        if self.show in ("surprise", "influence") and self.neurons:
            raise InspectionError(
                f"{self.show} is of the whole network; leave {named('neurons')} out"
            )
        if self.show != "influence" and (self.by is not None or self.target is not None):
            name = named("by" if self.by is not None else "target")
            raise InspectionError(f"{name} asks about influence; add {named('show', 'influence')}")


@dataclass(frozen=True, kw_only=True)
class NeuronOptions:
    """Which neurons are reported.

    Args:
        show: What is shown of each neuron, such as `forget-gate`; None: `cell`, or `hidden` where
            the network has no cell state.
        layers: Only the neurons of these layers, from 0; none: of all layers.
        top: The first so many neurons; 0: all; None: `TOP`.
        sort: Their order, one of `SORTS`; None: `effect`, how much the rest of the network sees
            each vary.
        neurons: These neurons in depth, such as `"0:17"` or `(0, 17)`, instead of the first ones.
    Raises:
        InspectionError: A value is out of range, or two do not go together.
    """

    show: str | None = None
    layers: Sequence[int] = ()
    top: int | None = None
    sort: str | None = None
    neurons: Sequence[str | tuple[int, int]] = ()

    def __post_init__(self) -> None:
        if self.neurons and (self.top is not None or self.sort is not None):
            raise InspectionError(
                f"{named('neurons')} names what is shown; leave {named('top')} and "
                f"{named('sort')} out"
            )
        if self.top is not None and self.top < 0:
            raise InspectionError(f"{named('top')} is {self.top}; it must be 0 (all) or more")


@dataclass(frozen=True, kw_only=True)
class SimilarOptions:
    """What is compared, and which places are shown.

    Args:
        show: What is compared: `cell`, `hidden`, or a gate such as `forget-gate`; None: `cell`, or
            `hidden` where the network has no cell state.
        layer: Compare the units of this layer, from 0, or of `"all"`; None: of the last layer.
        units: Compare only so many units, those whose values are most unusual; 0: all.
        top: How many places; fewer where there are not so many.
        min_apart: Places lie at least so many symbols apart.
        not_same: Leave out places whose last `not_same` symbols are the text's, for they are alike
            for no other reason; 0 leaves out none. For a model of bytes a Cyrillic letter is two.
    """

    show: str | None = None
    layer: int | str | None = None
    units: int = 0
    top: int = 10
    min_apart: int = 64
    not_same: int = 12
