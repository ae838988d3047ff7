"""LSTM, GRU and plain RNN by torch's own kernels: oneDNN or ATen on a CPU, cuDNN on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from textgen.cells import Cell
from textgen.model.network import Engine
from textgen.model.recurrence import (
    LayerWeights,
    Recurrence,
    Resets,
    Sequences,
    TorchState,
    run_reference,
    segments,
)


class TorchRecurrence:
    """One of torch's kernels behind the common signature.

    The kernels know no resets, so a window is cut where documents begin. They take two biases: the
    second is zero but for what the GRU adds inside its reset gate.

    Args:
        kernel: `lstm`, `gru`, `rnn_tanh` or `rnn_relu`, the functions' names in torch.
        autocast: Compute the products in this type, with float32 weights and gradients, and a
            float32 state carried between windows; None computes all in the type of the inputs.
    """

    def __init__(self, kernel: str, autocast: torch.dtype | None = None) -> None:
        self._kernel = kernel
        self._autocast = autocast

    def __call__(
        self,
        cell: Cell,
        x_TBI: Tensor,
        state: TorchState,
        weights: LayerWeights,
        resets: Resets | None = None,
        below: Sequences | None = None,
    ) -> tuple[dict[str, Tensor], TorchState]:
        """Run one layer; see `Recurrence` for shapes."""
        if cell.name != self._kernel.split("_")[0]:
            raise ValueError(f"torch's kernel '{self._kernel}' does not compute '{cell.name}'")
        (weight_hh,) = weights.recurrent
        parameters = [weights.weight_ih, weight_hh, weights.bias, _second_bias(weights)]
        outputs = []
        device = x_TBI.device.type
        with torch.autocast(device, dtype=self._autocast, enabled=self._autocast is not None):
            for start, stop, reset in segments(len(x_TBI), resets):
                if resets is not None and reset is not None:
                    state = resets.apply(reset, state)
                y_TBH, last = _run(self._kernel, x_TBI[start:stop], state, parameters)
                outputs.append(y_TBH)
                # Under autocast a kernel may hand back bf16, and so may the layer below; what is
                # carried on keeps the type it was given in.
                state = {name: last[name].to(value.dtype) for name, value in state.items()}
        return {"h": outputs[0] if len(outputs) == 1 else torch.cat(outputs)}, state


def recurrence_for(engine: Engine, cell: Cell) -> Recurrence:
    """What runs one layer of `cell` on `engine`.

    Args:
        engine: `torch` or `reference`; the native engine computes whole networks instead.
        cell: The cell.
    Raises:
        ValueError: torch has no kernel for the cell, or the engine is another.
    """
    if engine.name == "reference":
        return run_reference
    kernel = kernel_of(cell)
    if engine.name != "torch" or not kernel:
        raise ValueError(f"the engine '{engine.name}' has no recurrence for the cell '{cell.name}'")
    if engine.device == "cuda":
        # cuDNN rounds float32 factors to TF32, 10 bits, unless told otherwise. This holds for the
        # process, but of what textgen computes only this engine asks cuDNN for float32.
        torch.backends.cudnn.allow_tf32 = False
    return TorchRecurrence(kernel, autocast_type(engine))


def autocast_type(engine: Engine) -> torch.dtype | None:
    """The type that products are computed in; None is that of their factors."""
    return torch.bfloat16 if engine.precision == "bf16" else None


def kernel_of(cell: Cell) -> str:
    """The name of torch's function for `cell`; "" where it has none."""
    if cell.name in ("lstm", "gru"):
        return cell.name
    if cell.name == "rnn":
        return {"tanh": "rnn_tanh", "relu": "rnn_relu"}.get(getattr(cell, "nonlinearity", ""), "")
    return ""


def bf16_works(kernel: str, device: torch.device) -> bool:
    """Try it: on some builds a tiny forward and backward pass in bf16 raises (pytorch#187334)."""
    rows = {"lstm": 16, "gru": 12}.get(kernel, 4)
    try:
        x = torch.zeros(2, 2, 4, device=device, requires_grad=True)
        state = {name: torch.zeros(2, 4, device=device) for name in ("h", "c")}
        parameters = [
            torch.zeros(shape, device=device, requires_grad=True)
            for shape in ((rows, 4), (rows, 4), (rows,), (rows,))
        ]
        with torch.enable_grad():
            with torch.autocast(device.type, dtype=torch.bfloat16):
                y, _ = _run(kernel, x, state, parameters)
            torch.autograd.grad(y.float().sum(), x)
    except RuntimeError:
        return False
    return True


def _run(
    kernel: str, x_TBI: Tensor, state: TorchState, parameters: list[Tensor]
) -> tuple[Tensor, TorchState]:
    """One layer without resets: outputs `(T, B, H)` and the final state `(B, H)`."""
    names = ("h", "c") if kernel == "lstm" else ("h",)
    first: Any = [state[name][None] for name in names]
    y_TBH, *last = getattr(torch, kernel)(
        x_TBI,
        first if kernel == "lstm" else first[0],
        parameters,
        True,  # has_biases
        1,  # num_layers
        0.0,  # dropout: between layers, and this is one
        torch.is_grad_enabled(),  # keeps what the backward pass needs
        False,  # bidirectional
        False,  # batch_first
    )
    return y_TBH, {name: value[0] for name, value in zip(names, last, strict=True)}


def _second_bias(weights: LayerWeights) -> Tensor:
    zeros = torch.zeros_like(weights.bias)
    if "bias_hn" not in weights.vectors:
        return zeros
    bias_hn = weights.vectors["bias_hn"]
    return torch.cat([zeros[: -len(bias_hn)], bias_hn])
