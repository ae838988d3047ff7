"""The gated recurrent unit, in torch's variant."""

from __future__ import annotations

from textgen.cells.cell import Cell, Outcome, StepInputs, sigmoid, split


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
        r = sigmoid(xp, x_r + h_r)
        z = sigmoid(xp, x_z + h_z)
        n = xp.tanh(x_n + r * (h_n + inputs.vectors["bias_hn"]))
        h = edit("h", (1.0 - z) * n + z * state["h"])
        return {"h": h}, {"reset": r, "update": z, "candidate": n}
