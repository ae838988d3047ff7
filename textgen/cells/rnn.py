"""The plain recurrent cell."""

from __future__ import annotations

from collections.abc import Mapping

from textgen.cells.cell import Array, Cell, Editor, Namespace, Product, RecurrentProduct, unchanged

NONLINEARITIES = ("tanh", "relu", "identity")


class RNNCell(Cell):
    """A layer whose output is its state.

        h_t = f(W x_t + U h_{t-1} + b)

    Torch's two biases are one here (their sum). It has no gates: what it does is its output.
    Source: Elman 1990; rectified: Le, Jaitly and Hinton 2015, arXiv:1504.00941.

    Args:
        nonlinearity: f, one of `NONLINEARITIES`.
    """

    name = "rnn"
    gate_names = ()
    input_names = ("hidden",)
    state_names = ("h",)
    products = (RecurrentProduct("weight_hh", 1),)

    def __init__(self, nonlinearity: str = "tanh") -> None:
        self.nonlinearity = nonlinearity

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
        (recurrent,) = products
        a = pre_BGH + recurrent(state["h"])
        if self.nonlinearity == "tanh":
            a = xp.tanh(a)
        elif self.nonlinearity == "relu":
            # Zero itself passes no gradient, as in torch's: every unit stands there at the start of
            # a document. A NaN stays one.
            a = xp.where(a <= 0.0, xp.zeros_like(a), a)
        return {"h": edit("h", a)}, {}
