"""The contract of a recurrent cell: one step, written like its equations, for any array library.

Shape suffixes used in this package: `T` time, `B` streams, `I` input size, `H` hidden size,
`G` row blocks, so `pre_BGH` is an array of `(B, G * H)`.

Whatever runs a cell (the reference loop in `textgen.model`, a fused kernel, the NumPy sampler, the
trace) takes from it only what it declares. The README beside this file explains the contract with
the two cells that need most of it.

The input's share of every pre-activation, `x_t W_ih^T + bias`, does not depend on the state. So the
caller computes it, for all time steps at once or as a table look-up, and hands it in.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

#: An array of numpy or torch. A cell uses only operations that both write alike.
Array = Any
#: The array library itself: `numpy` or `torch`.
Namespace = Any
#: Multiplies `(B, H)` by one recurrent weight: `h_BH -> h_BH @ weight_hh.T`.
Product = Callable[[Array], Array]
#: Called with the name and the value of a new state or a gate; returns what takes its place.
Editor = Callable[[str, Array], Array]
#: The new state, and the activated gates by name, each `(B, H)`.
Outcome = tuple[dict[str, Array], dict[str, Array]]


def unchanged(name: str, value: Array) -> Array:
    """The editor that changes nothing."""
    return value


class StepInputs(NamedTuple):
    """What a cell reads in one step.

    Args:
        xp: `numpy` or `torch`.
        pre_BGH: The input's share of the pre-activations, bias included, `(B, G * H)` with a block
            for each of `input_names`.
        state: The previous state, each array `(B, H)`, by name. Not modified.
        products: One function for each of `Cell.products`. They may be called in any order, on any
            `(B, H)` that the equations need.
        vectors: The learned vectors `(H,)` by name.
        below: The new states `(B, H)` of the layer below, for each of `below_names`; zeros in the
            first layer.
        edit: Called with the name and value of each new state. What it returns takes the state's
            place for the rest of this step too: `h` is made from an edited `c`. The cells of
            textgen hand it each gate, too, before anything reads it.
    """

    xp: Namespace
    pre_BGH: Array
    state: Mapping[str, Array]
    products: tuple[Product, ...]
    vectors: Mapping[str, Array]
    below: Mapping[str, Array]
    edit: Editor = unchanged


@dataclass(frozen=True)
class RecurrentProduct:
    """A product with the state, or with the result of another product.

    Args:
        name: The name of its weight.
        blocks: Row blocks: the weight is `(blocks * H, H)`, the result `(B, blocks * H)`.
    """

    name: str
    blocks: int


class Cell(ABC):
    """One recurrent step. Stateless: weights and state are handed in."""

    #: The name of the cell in settings and checkpoints.
    name: str
    #: The activated gates that the equations return, for whoever looks at them.
    gate_names: tuple[str, ...]
    #: What is carried from step to step; `h`, the output, is first.
    state_names: tuple[str, ...]
    #: Further learned vectors, `(H,)` each.
    vector_names: tuple[str, ...] = ()
    #: States of the layer below, at the same step, that the equations read.
    below_names: tuple[str, ...] = ()
    #: Gates that do nothing but let states of the layer below in: in the first layer, which has
    #: zeros below it, they act on nothing.
    below_gate_names: tuple[str, ...] = ()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The row blocks of `weight_ih` and `bias`, in their order; by default the gates."""
        return self.gate_names

    @property
    def products(self) -> tuple[RecurrentProduct, ...]:
        """The recurrent products; by default one, with a block for each gate."""
        return (RecurrentProduct("weight_hh", len(self.gate_names)),)

    def equations(self, inputs: StepInputs) -> Outcome:
        """Advance by one token; every cell defines this."""
        raise NotImplementedError(f"the cell '{self.name}' has no equations")

    def step(
        self,
        xp: Namespace,
        pre_BGH: Array,
        state: Mapping[str, Array],
        products: tuple[Product, ...],
        vectors: Mapping[str, Array],
        below: Mapping[str, Array],
        edit: Editor = unchanged,
    ) -> Outcome:
        """Advance by one token: `equations` of `StepInputs` with these fields.

        Whatever runs a cell calls this. A cell may also define it instead of `equations`.
        """
        return self.equations(StepInputs(xp, pre_BGH, state, products, vectors, below, edit))


def sigmoid(xp: Namespace, a: Array) -> Array:
    """The logistic function, by `tanh`, which neither overflows nor differs between libraries."""
    return 0.5 * xp.tanh(0.5 * a) + 0.5


def split(a_BGH: Array, blocks: int) -> tuple[Array, ...]:
    """The row blocks of pre-activations: views `(B, H)`."""
    size = a_BGH.shape[-1] // blocks
    return tuple(a_BGH[..., k * size : (k + 1) * size] for k in range(blocks))
