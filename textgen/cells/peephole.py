"""The LSTM whose gates look at the cell state."""

from __future__ import annotations

from textgen.cells.cell import Cell, Outcome, StepInputs, sigmoid, split


class PeepholeLSTMCell(Cell):
    """Long short-term memory with peepholes: learned vectors from the cell state to the gates.

        i_t = sigma(W_i x_t + U_i h_{t-1} + w_i * c_{t-1} + b_i)
        f_t = sigma(W_f x_t + U_f h_{t-1} + w_f * c_{t-1} + b_f)
        g_t = tanh (W_c x_t + U_c h_{t-1} + b_c)
        c_t = f_t * c_{t-1} + i_t * g_t
        o_t = sigma(W_o x_t + U_o h_{t-1} + w_o * c_t + b_o)
        h_t = o_t * tanh(c_t)

    The input and the forget gate look at the state before the step, the output gate at the one
    after it; each unit sees its own state alone (`weight_ci`, `weight_cf`, `weight_co` are the
    diagonals). Row blocks in the order i, f, g, o.
    Source: Gers and Schmidhuber 2000, "Recurrent nets that time and count", section 3; in this
    notation Greff et al. 2017, arXiv:1503.04069, section 2.
    """

    name = "peephole"
    gate_names = ("input", "forget", "candidate", "output")
    state_names = ("h", "c")
    vector_names = ("weight_ci", "weight_cf", "weight_co")

    def equations(self, inputs: StepInputs) -> Outcome:
        xp, state, vectors, edit = inputs.xp, inputs.state, inputs.vectors, inputs.edit
        (recurrent,) = inputs.products
        a_i, a_f, a_g, a_o = split(inputs.pre_BGH + recurrent(state["h"]), 4)
        i = sigmoid(xp, a_i + vectors["weight_ci"] * state["c"])
        f = sigmoid(xp, a_f + vectors["weight_cf"] * state["c"])
        g = xp.tanh(a_g)
        c = edit("c", f * state["c"] + i * g)
        o = sigmoid(xp, a_o + vectors["weight_co"] * c)
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}
