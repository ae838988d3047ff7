"""The cells of textgen: each declares its parts and writes its equations."""

from __future__ import annotations

from textgen.cells.cell import Cell, Outcome, RecurrentProduct, StepInputs, sigmoid, split

NONLINEARITIES = ("tanh", "relu", "identity")


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
        i = edit("input", sigmoid(xp, a_i))
        f = edit("forget", sigmoid(xp, a_f))
        g = edit("candidate", xp.tanh(a_g))
        o = edit("output", sigmoid(xp, a_o))
        c = edit("c", f * state["c"] + i * g)
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}


class GRUCell(Cell):
    """Gated recurrent unit whose reset gate acts after the recurrent product.

        r_t = sigma(W_r x_t + U_r h_{t-1} + b_r)
        z_t = sigma(W_z x_t + U_z h_{t-1} + b_z)
        n_t = tanh (W_n x_t + b_n + r_t * (U_n h_{t-1} + b_hn))
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    The order of the row blocks, r, z, n, and the place of the reset gate are those of torch and
    cuDNN; the paper multiplies `h_{t-1}` by the reset gate before the product. Only the part `b_hn`
    of torch's second bias cannot be added to the first one: it is the vector `bias_hn`.
    Source: Cho et al. 2014, arXiv:1406.1078; `torch.nn.GRU`.
    """

    name = "gru"
    gate_names = ("reset", "update", "candidate")
    state_names = ("h",)
    vector_names = ("bias_hn",)

    def equations(self, inputs: StepInputs) -> Outcome:
        xp, state, edit = inputs.xp, inputs.state, inputs.edit
        (recurrent,) = inputs.products
        x_r, x_z, x_n = split(inputs.pre_BGH, 3)
        h_r, h_z, h_n = split(recurrent(state["h"]), 3)
        r = edit("reset", sigmoid(xp, x_r + h_r))
        z = edit("update", sigmoid(xp, x_z + h_z))
        n = edit("candidate", xp.tanh(x_n + r * (h_n + inputs.vectors["bias_hn"])))
        h = edit("h", (1.0 - z) * n + z * state["h"])
        return {"h": h}, {"reset": r, "update": z, "candidate": n}


class RNNCell(Cell):
    """A layer whose output is its state.

        h_t = f(W x_t + U h_{t-1} + b)

    The bias is the sum of torch's two biases. The cell has no gates.
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

    def equations(self, inputs: StepInputs) -> Outcome:
        xp, state, edit = inputs.xp, inputs.state, inputs.edit
        (recurrent,) = inputs.products
        a = inputs.pre_BGH + recurrent(state["h"])
        if self.nonlinearity == "tanh":
            a = xp.tanh(a)
        elif self.nonlinearity == "relu":
            # Zero itself passes no gradient, as in torch: every neuron is zero at the start of a
            # document. A NaN stays one.
            a = xp.where(a <= 0.0, xp.zeros_like(a), a)
        return {"h": edit("h", a)}, {}


class PeepholeLSTMCell(Cell):
    """Long short-term memory with peepholes: learned vectors from the cell state to the gates.

        i_t = sigma(W_i x_t + U_i h_{t-1} + w_i * c_{t-1} + b_i)
        f_t = sigma(W_f x_t + U_f h_{t-1} + w_f * c_{t-1} + b_f)
        g_t = tanh (W_c x_t + U_c h_{t-1} + b_c)
        c_t = f_t * c_{t-1} + i_t * g_t
        o_t = sigma(W_o x_t + U_o h_{t-1} + w_o * c_t + b_o)
        h_t = o_t * tanh(c_t)

    The input and the forget gate look at the state before the step, the output gate at the one
    after it; each neuron sees its own state alone (`weight_ci`, `weight_cf`, `weight_co` are the
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
        i = edit("input", sigmoid(xp, a_i + vectors["weight_ci"] * state["c"]))
        f = edit("forget", sigmoid(xp, a_f + vectors["weight_cf"] * state["c"]))
        g = edit("candidate", xp.tanh(a_g))
        c = edit("c", f * state["c"] + i * g)
        o = edit("output", sigmoid(xp, a_o + vectors["weight_co"] * c))
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}


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
        i = edit("input", sigmoid(xp, a_i))
        f = edit("forget", 1.0 - i)
        g = edit("candidate", xp.tanh(a_g))
        o = edit("output", sigmoid(xp, a_o))
        c = edit("c", f * state["c"] + i * g)
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}


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
    below_gate_names = ("depth",)
    products = (RecurrentProduct("weight_hh", 4),)

    def equations(self, inputs: StepInputs) -> Outcome:
        xp, state, edit = inputs.xp, inputs.state, inputs.edit
        v, below = inputs.vectors, inputs.below
        (recurrent,) = inputs.products
        x_i, x_f, x_g, x_o, x_d = split(inputs.pre_BGH, 5)
        h_i, h_f, h_g, h_o = split(recurrent(state["h"]), 4)
        old = state["c"]
        i = edit("input", sigmoid(xp, x_i + h_i + v["weight_ci"] * old))
        f = edit("forget", sigmoid(xp, x_f + h_f + v["weight_cf"] * old))
        g = edit("candidate", xp.tanh(x_g + h_g))
        d = edit("depth", sigmoid(xp, x_d + v["weight_cd"] * old + v["weight_ld"] * below["c"]))
        c = edit("c", d * below["c"] + f * old + i * g)
        o = edit("output", sigmoid(xp, x_o + h_o + v["weight_co"] * c))
        h = edit("h", o * xp.tanh(c))
        gates = {"input": i, "forget": f, "candidate": g, "output": o, "depth": d}
        return {"h": h, "c": c}, gates


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
        i = edit("input", sigmoid(xp, x_i + m_i))
        f = edit("forget", sigmoid(xp, x_f + m_f))
        g = edit("candidate", xp.tanh(x_g + m_g))
        o = edit("output", sigmoid(xp, x_o + m_o))
        c = edit("c", f * state["c"] + i * g)
        h = edit("h", o * xp.tanh(c))
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}
