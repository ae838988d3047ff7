"""The LSTM that forgets just as much as it takes in."""

from __future__ import annotations

from collections.abc import Mapping

from textgen.cells.cell import (
    Array,
    Cell,
    Editor,
    Namespace,
    Product,
    RecurrentProduct,
    sigmoid,
    split,
    unchanged,
)


class CoupledLSTMCell(Cell):
    """Long short-term memory with one decision for input and forgetting (CIFG).

        i_t = sigma(W_i x_t + U_i h_{t-1} + b_i)
        f_t = 1 - i_t
        g_t = tanh (W_c x_t + U_c h_{t-1} + b_c)
        o_t = sigma(W_o x_t + U_o h_{t-1} + b_o)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Row blocks in the order i, g, o; the forget gate has no weights but is a gate to look at. The
    cell state is a weighted mean of candidates and never leaves (-1, 1).
    Source: Greff et al. 2017, arXiv:1503.04069, section 3 (variant CIFG).
    """

    name = "coupled"
    gate_names = ("input", "forget", "candidate", "output")
    state_names = ("h", "c")

    @property
    def input_names(self) -> tuple[str, ...]:
        """Three row blocks for four gates."""
        return ("input", "candidate", "output")

    @property
    def products(self) -> tuple[RecurrentProduct, ...]:
        """The same three."""
        return (RecurrentProduct("weight_hh", 3),)

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
        a_i, a_g, a_o = split(pre_BGH + recurrent(state["h"]), 3)
        i = sigmoid(xp, a_i)
        f = 1.0 - i
        g = xp.tanh(a_g)
        o = sigmoid(xp, a_o)
        c = edit("c", f * state["c"] + i * g)
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}
