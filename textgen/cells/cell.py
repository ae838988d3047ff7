"""The contract of a recurrent cell: one step, written like its equations, for any array library.

Shape suffixes used in this package: `T` time, `B` streams, `I` input size, `H` hidden size,
`G` row blocks, so `pre_BGH` is an array of `(B, G * H)`.

What a cell declares is all that a driver needs, be it the reference loop in `textgen.ops`, a
fused kernel, the NumPy sampler or the trace. The README beside this file goes through it with the
two cells that ask most of it.

The input's share of every pre-activation, `x_t W_ih^T + bias`, does not depend on the state, so
the driver computes it (for all time steps at once, or as a table look-up) and hands it in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: An array of numpy or torch: the arithmetic of a cell uses only what both spell alike.
Array = Any
#: The array library itself: `numpy` or `torch`.
Namespace = Any
#: Multiplies `(B, H)` by one recurrent weight: `h_BH -> h_BH @ weight_hh.T`.
Product = Callable[[Array], Array]
#: What a new state passes through, by its name, when it stands and before anything reads it.
Editor = Callable[[str, Array], Array]


def unchanged(name: str, value: Array) -> Array:
    """The editor that changes nothing."""
    return value


@dataclass(frozen=True)
class RecurrentProduct:
    """A product with the state, or with what another product came to.

    Args:
        name: Of its weight.
        blocks: Row blocks: the weight is `(blocks * H, H)`, the outcome `(B, blocks * H)`.
    """

    name: str
    blocks: int


class Cell(ABC):
    """One recurrent step. Stateless: weights and state are handed in."""

    #: By which `--cell` and a checkpoint call it.
    name: str
    #: The activated gates that `step` returns, for whoever looks at them.
    gate_names: tuple[str, ...]
    #: What is carried from step to step; `h`, the output, first.
    state_names: tuple[str, ...]
    #: Further learned vectors, `(H,)` each.
    vector_names: tuple[str, ...] = ()
    #: States of the layer below, at the same step, that `step` reads and gives a gradient to.
    below_names: tuple[str, ...] = ()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The row blocks of `weight_ih` and `bias`, in their order; by default the gates."""
        return self.gate_names

    @property
    def products(self) -> tuple[RecurrentProduct, ...]:
        """The recurrent products; by default one, with a block for each gate."""
        return (RecurrentProduct("weight_hh", len(self.gate_names)),)

    @abstractmethod
    def step(
        self,
        xp: Namespace,
        pre_BGH: Array,
        state: Mapping[str, Array],
        products: tuple[Product, ...],
        vectors: Mapping[str, Array],
        below: Mapping[str, Array],
        edit: Editor = unchanged,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Advance by one token.

        Args:
            xp: `numpy` or `torch`.
            pre_BGH: The input's share of the pre-activations, bias included, `(B, G * H)` with a
                block for each of `input_names`.
            state: The previous state, each array `(B, H)`, by name. Not modified.
            products: One function for each of `self.products`, to be called in any order, each
                on whatever `(B, H)` the equations say.
            vectors: The learned vectors `(H,)` by name.
            below: The layer below's new states `(B, H)`, for each of `below_names`; zeros in the
                first layer.
            edit: Called with each new state by name; what it returns takes the state's place, for
                the rest of this step too: an edited `c` is what `h` is made of.
        Returns:
            The new state, and the activated gates by name, each `(B, H)`.
        """


def sigmoid(xp: Namespace, a: Array) -> Array:
    """The logistic function, by `tanh`, which neither overflows nor differs between libraries."""
    return 0.5 * xp.tanh(0.5 * a) + 0.5


def split(a_BGH: Array, blocks: int) -> tuple[Array, ...]:
    """The row blocks of pre-activations: views `(B, H)`."""
    size = a_BGH.shape[-1] // blocks
    return tuple(a_BGH[..., k * size : (k + 1) * size] for k in range(blocks))
