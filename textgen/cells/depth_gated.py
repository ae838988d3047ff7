"""The LSTM with a gate between the cells of neighbouring layers."""

from __future__ import annotations

from textgen.cells.cell import Cell, Outcome, RecurrentProduct, StepInputs, sigmoid, split


class DepthGatedLSTMCell(Cell):
    """Long short-term memory whose layers' cells are linked by a gate.

        i_t = sigma(W_i x_t + U_i h_{t-1} + w_i * c_{t-1} + b_i)
        f_t = sigma(W_f x_t + U_f h_{t-1} + w_f * c_{t-1} + b_f)
        g_t = tanh (W_c x_t + U_c h_{t-1} + b_c)
        d_t = sigma(W_d x_t + w_d * c_{t-1} + v_d * c^b_t + b_d)
        c_t = d_t * c^b_t + f_t * c_{t-1} + i_t * g_t
        o_t = sigma(W_o x_t + U_o h_{t-1} + w_o * c_t + b_o)
        h_t = o_t * tanh(c_t)

    `c^b` is the cell state of the layer below at the same step. It is zero for the first layer,
    which has no layer below: so the first layer is a peephole LSTM with unused weights. Row blocks
    in the order i, f, g, o, d; the depth gate has no recurrent product.
    Source: Yao, Cohn, Vylomova, Duh and Dyer 2015, arXiv:1508.03790, section 3.
    """

    name = "depth-gated"
    gate_names = ("input", "forget", "candidate", "output", "depth")
    state_names = ("h", "c")
    vector_names = ("weight_ci", "weight_cf", "weight_co", "weight_cd", "weight_ld")
    below_names = ("c",)
    products = (RecurrentProduct("weight_hh", 4),)

    def equations(self, inputs: StepInputs) -> Outcome:
        xp, state, edit = inputs.xp, inputs.state, inputs.edit
        v, below = inputs.vectors, inputs.below
        (recurrent,) = inputs.products
        x_i, x_f, x_g, x_o, x_d = split(inputs.pre_BGH, 5)
        h_i, h_f, h_g, h_o = split(recurrent(state["h"]), 4)
        old = state["c"]
        i = sigmoid(xp, x_i + h_i + v["weight_ci"] * old)
        f = sigmoid(xp, x_f + h_f + v["weight_cf"] * old)
        g = xp.tanh(x_g + h_g)
        d = sigmoid(xp, x_d + v["weight_cd"] * old + v["weight_ld"] * below["c"])
        c = edit("c", d * below["c"] + f * old + i * g)
        o = sigmoid(xp, x_o + h_o + v["weight_co"] * c)
        h = edit("h", o * xp.tanh(c))
        gates = {"input": i, "forget": f, "candidate": g, "output": o, "depth": d}
        return {"h": h, "c": c}, gates
