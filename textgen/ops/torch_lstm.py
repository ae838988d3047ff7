"""The LSTM by torch's own kernel: oneDNN on a CPU, cuDNN on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from textgen.cells import Cell
from textgen.ops.recurrence import LayerWeights, Resets, TorchState, segments


class TorchLSTM:
    """torch's LSTM kernel behind the common signature.

    The kernel knows no resets, so a window is cut where documents begin. It takes two biases; the
    second is zero.

    Args:
        autocast: Compute the products in this type, with float32 weights, gradients and cell
            state; None computes all in the type of the inputs.
    """

    def __init__(self, autocast: torch.dtype | None = None) -> None:
        self._autocast = autocast

    def __call__(
        self,
        cell: Cell,
        x_TBI: Tensor,
        state: TorchState,
        weights: LayerWeights,
        resets: Resets | None = None,
    ) -> tuple[Tensor, TorchState]:
        """Run one layer; see `Recurrence` for shapes."""
        if cell.name != "lstm":
            raise ValueError(f"this path computes the cell 'lstm', not '{cell.name}'")
        (weight_hh,) = weights.recurrent
        parameters = [
            weights.weight_ih,
            weight_hh,
            weights.bias,
            torch.zeros_like(weights.bias),
        ]
        outputs = []
        with torch.autocast(
            x_TBI.device.type, dtype=self._autocast, enabled=self._autocast is not None
        ):
            for start, stop, reset in segments(len(x_TBI), resets):
                if resets is not None and reset is not None:
                    state = resets.apply(reset, state)
                y_TBH, h_1BH, c_1BH = torch.lstm(
                    x_TBI[start:stop],
                    [state["h"][None], state["c"][None]],
                    parameters,
                    True,  # has_biases
                    1,  # num_layers
                    0.0,  # dropout: between layers, and this is one
                    torch.is_grad_enabled(),  # keeps what the backward pass needs
                    False,  # bidirectional
                    False,  # batch_first
                )
                outputs.append(y_TBH)
                # Under autocast the kernel hands back bf16, and so are the inputs of every layer
                # but the first; what is carried on keeps the type it was given in.
                state = {
                    "h": h_1BH[0].to(state["h"].dtype),
                    "c": c_1BH[0].to(state["c"].dtype),
                }
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs), state
