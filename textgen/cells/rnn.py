"""The plain recurrent cell."""

from __future__ import annotations

from textgen.cells.cell import Cell, Outcome, RecurrentProduct, StepInputs

NONLINEARITIES = ("tanh", "relu", "identity")


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
            # Zero itself passes no gradient, as in torch: every unit is zero at the start of a
            # document. A NaN stays one.
            a = xp.where(a <= 0.0, xp.zeros_like(a), a)
        return {"h": edit("h", a)}, {}
