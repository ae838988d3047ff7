"""The multiplicative LSTM, the network of the sentiment neuron."""

from __future__ import annotations

from textgen.cells.cell import Cell, Outcome, RecurrentProduct, StepInputs, sigmoid, split


class MultiplicativeLSTMCell(Cell):
    """Multiplicative long short-term memory: each symbol chooses how the state is read.

        m_t = (W_m x_t + b_m) * (U_m h_{t-1})
        i_t = sigma(W_i x_t + U_i m_t + b_i)
        f_t = sigma(W_f x_t + U_f m_t + b_f)
        g_t = tanh (W_c x_t + U_c m_t + b_c)
        o_t = sigma(W_o x_t + U_o m_t + b_o)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    `weight_mh` is U_m; `weight_hm` has the blocks i, f, g, o. The input's row blocks are the factor
    m, then i, f, g, o, each with a bias. Not xLSTM's matrix memory of the same name.
    Source: Krause, Lu, Murray and Renals 2016, arXiv:1609.07959, section 3; the network of Radford,
    Jozefowicz and Sutskever 2017, arXiv:1704.01444.
    """

    name = "mlstm"
    gate_names = ("input", "forget", "candidate", "output")
    state_names = ("h", "c")
    input_names = ("factor", *gate_names)
    products = (RecurrentProduct("weight_mh", 1), RecurrentProduct("weight_hm", 4))

    def equations(self, inputs: StepInputs) -> Outcome:
        xp, state, edit = inputs.xp, inputs.state, inputs.edit
        factor, of_factor = inputs.products
        x_m, x_i, x_f, x_g, x_o = split(inputs.pre_BGH, 5)
        m_i, m_f, m_g, m_o = split(of_factor(x_m * factor(state["h"])), 4)
        i = sigmoid(xp, x_i + m_i)
        f = sigmoid(xp, x_f + m_f)
        g = xp.tanh(x_g + m_g)
        o = sigmoid(xp, x_o + m_o)
        c = edit("c", f * state["c"] + i * g)
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}
