"""The two cells that the contract was settled on; `textgen/cells/README.md` has their equations."""

from __future__ import annotations

from collections.abc import Mapping

from textgen.cells import Cell, RecurrentProduct
from textgen.cells.base import Array, Editor, Namespace, Product, sigmoid, split, unchanged


class MultiplicativeLSTMCell(Cell):
    """Krause, Lu, Murray and Renals 2016, arXiv:1609.07959, section 3."""

    name = "mlstm"
    input_names = ("factor", "input", "forget", "candidate", "output")
    gate_names = ("input", "forget", "candidate", "output")
    state_names = ("h", "c")
    products = (RecurrentProduct("weight_mh", 1), RecurrentProduct("weight_hm", 4))

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
        factor, of_factor = products
        x_m, x_i, x_f, x_g, x_o = split(pre_BGH, 5)
        m_i, m_f, m_g, m_o = split(of_factor(x_m * factor(state["h"])), 4)
        i = sigmoid(xp, x_i + m_i)
        f = sigmoid(xp, x_f + m_f)
        g = xp.tanh(x_g + m_g)
        o = sigmoid(xp, x_o + m_o)
        c = edit("c", f * state["c"] + i * g)
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}


class DepthGatedLSTMCell(Cell):
    """Yao, Cohn, Vylomova, Duh and Dyer 2015, arXiv:1508.03790, section 3."""

    name = "depth-gated"
    gate_names = ("input", "forget", "candidate", "output", "depth")
    state_names = ("h", "c")
    products = (RecurrentProduct("weight_hh", 4),)
    vector_names = ("weight_ci", "weight_cf", "weight_co", "weight_cd", "weight_ld")
    below_names = ("c",)

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
        x_i, x_f, x_g, x_o, x_d = split(pre_BGH, 5)
        h_i, h_f, h_g, h_o = split(recurrent(state["h"]), 4)
        old, v = state["c"], vectors
        i = sigmoid(xp, x_i + h_i + v["weight_ci"] * old)
        f = sigmoid(xp, x_f + h_f + v["weight_cf"] * old)
        g = xp.tanh(x_g + h_g)
        d = sigmoid(xp, x_d + v["weight_cd"] * old + v["weight_ld"] * below["c"])
        c = edit("c", d * below["c"] + f * old + i * g)
        o = sigmoid(xp, x_o + h_o + v["weight_co"] * c)
        h = edit("h", o * xp.tanh(c))
        gates = {"input": i, "forget": f, "candidate": g, "output": o, "depth": d}
        return {"h": h, "c": c}, gates


CONTRACT_CELLS: dict[str, Cell] = {
    cell.name: cell for cell in (MultiplicativeLSTMCell(), DepthGatedLSTMCell())
}
