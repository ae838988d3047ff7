"""The contract of a recurrent cell: one step, written like its equations, for any array library.

Shape suffixes used in this package: `T` time, `B` streams, `I` input size, `H` hidden size,
`G` gates, so `pre_BGH` is an array of `(B, G * H)`.

What a cell declares is all that a driver needs, be it the reference loop in `textgen.ops`, a
fused kernel, the NumPy sampler or the trace:

- `gate_names`, in the order of the row blocks of its weights;
- `state_names`, what it carries from step to step (`h` first: the output);
- `recurrent_names`, its recurrent products: one for most cells. A step is handed a function for
  each and calls them in its own order, the second on the outcome of the first if need be;
- `step`, its gate arithmetic.

The input's share of every pre-activation, `x_t W_ih^T + bias`, does not depend on the state, so
the driver computes it (for all time steps at once, or as a table look-up) and hands it in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

#: An array of numpy or torch: the arithmetic of a cell uses only what both spell alike.
Array = Any
#: The array library itself: `numpy` or `torch`.
Namespace = Any
#: Multiplies `(B, H)` by one recurrent weight: `h_BH -> h_BH @ weight_hh.T`.
Product = Callable[[Array], Array]


class Cell(ABC):
    """One recurrent step. Stateless: weights and state are handed in."""

    name: ClassVar[str]
    gate_names: ClassVar[tuple[str, ...]]
    state_names: ClassVar[tuple[str, ...]]
    recurrent_names: ClassVar[tuple[str, ...]] = ("weight_hh",)

    @abstractmethod
    def step(
        self,
        xp: Namespace,
        pre_BGH: Array,
        state: Mapping[str, Array],
        products: tuple[Product, ...],
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Advance by one token.

        Args:
            xp: `numpy` or `torch`.
            pre_BGH: The input's share of the pre-activations, bias included, `(B, G * H)`.
            state: The previous state, each array `(B, H)`, by name.
            products: One function for each of `recurrent_names`.
        Returns:
            The new state, and the activated gates by name, each `(B, H)`.
        """


def sigmoid(xp: Namespace, a: Array) -> Array:
    """The logistic function, by `tanh`, which neither overflows nor differs between libraries."""
    return 0.5 * xp.tanh(0.5 * a) + 0.5
