"""The LSTM that forgets exactly as much as it takes in."""

from __future__ import annotations

from textgen.cells.cell import Cell, Outcome, RecurrentProduct, StepInputs, sigmoid, split


class CoupledLSTMCell(Cell):
    """Long short-term memory with one decision for input and forgetting (CIFG).

        i_t = sigma(W_i x_t + U_i h_{t-1} + b_i)
        f_t = 1 - i_t
        g_t = tanh (W_c x_t + U_c h_{t-1} + b_c)
        o_t = sigma(W_o x_t + U_o h_{t-1} + b_o)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Row blocks in the order i, g, o; the forget gate has no weights, but it can be looked at. The
    cell state is a weighted mean of candidates and never leaves (-1, 1).
    Source: Greff et al. 2017, arXiv:1503.04069, section 3 (variant CIFG).
    """

    name = "coupled"
    gate_names = ("input", "forget", "candidate", "output")
    state_names = ("h", "c")
    input_names = ("input", "candidate", "output")
    products = (RecurrentProduct("weight_hh", 3),)

    def equations(self, inputs: StepInputs) -> Outcome:
        xp, state, edit = inputs.xp, inputs.state, inputs.edit
        (recurrent,) = inputs.products
        a_i, a_g, a_o = split(inputs.pre_BGH + recurrent(state["h"]), 3)
        i = sigmoid(xp, a_i)
        f = 1.0 - i
        g = xp.tanh(a_g)
        o = sigmoid(xp, a_o)
        c = edit("c", f * state["c"] + i * g)
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}
