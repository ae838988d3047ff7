"""The long short-term memory cell, as in the lecture."""

from __future__ import annotations

from textgen.cells.cell import Cell, Outcome, StepInputs, sigmoid, split


class LSTMCell(Cell):
    """Long short-term memory with a forget gate, without peepholes.

        i_t = sigma(W_i x_t + U_i h_{t-1} + b_i)
        f_t = sigma(W_f x_t + U_f h_{t-1} + b_f)
        g_t = tanh (W_c x_t + U_c h_{t-1} + b_c)
        o_t = sigma(W_o x_t + U_o h_{t-1} + b_o)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    The row blocks of `weight_ih`, `weight_hh` and `bias` have the order of torch: i, f, g, o. The
    bias is the sum of torch's two biases.
    Source: Hochreiter and Schmidhuber 1997; forget gate: Gers, Schmidhuber and Cummins 2000.
    """

    name = "lstm"
    gate_names = ("input", "forget", "candidate", "output")
    state_names = ("h", "c")

    def equations(self, inputs: StepInputs) -> Outcome:
        xp, state, edit = inputs.xp, inputs.state, inputs.edit
        (recurrent,) = inputs.products
        a_i, a_f, a_g, a_o = split(inputs.pre_BGH + recurrent(state["h"]), 4)
        i = sigmoid(xp, a_i)
        f = sigmoid(xp, a_f)
        g = xp.tanh(a_g)
        o = sigmoid(xp, a_o)
        c = edit("c", f * state["c"] + i * g)
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}
