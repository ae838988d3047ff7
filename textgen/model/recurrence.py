"""The recurrence of one layer over many time steps, in torch.

`run_reference` is the specification: it loops a cell over time and is differentiated by autograd.
`run_kernel` calls torch's own kernels (oneDNN or ATen on a CPU, cuDNN on a GPU), which agree with
it in outputs, final state and every gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textgen.cells import Cell
from textgen.model.network import Engine

#: One layer's state: each of the cell's states by name, `(B, H)`.
TorchState = dict[str, Tensor]
#: Devices on which autocast is not left to torch: its wrapper of cuDNN computes in float16,
#: whatever type is asked for, and small gradients become 0 there.
CAST_HERE = frozenset({"cuda"})
#: States over a window by name, `(T, B, H)`.
Sequences = Mapping[str, Tensor]


@dataclass(frozen=True)
class LayerWeights:
    """One layer's weights, row blocks in the order of `cell.input_names`.

    Args:
        weight_ih: `(G * H, I)`.
        recurrent: One `(blocks * H, H)` for each of `cell.products`.
        bias: `(G * H,)`.
        vectors: One `(H,)` for each of `cell.vector_names`.
    """

    weight_ih: Tensor
    recurrent: tuple[Tensor, ...]
    bias: Tensor
    vectors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Resets:
    """Where within a window a document begins: the state is zeroed before that token is read.

    Args:
        times: The time steps at which at least one stream is reset, rising; known on the host, so
            that no path has to ask a device.
        reset_RB1: For each of `times`, which streams are reset, `(len(times), B, 1)`, bool.
    """

    times: tuple[int, ...]
    reset_RB1: Tensor

    def apply(self, index: int, state: TorchState) -> TorchState:
        """The state with the streams reset at `times[index]` set to zero."""
        reset_B1 = self.reset_RB1[index]
        # A product with zero would keep a NaN alive; filling does not.
        return {name: value.masked_fill(reset_B1, 0.0) for name, value in state.items()}


def make_resets(resets_TB: NDArray[np.bool_], device: torch.device) -> Resets | None:
    """Bring the resets of a window to a device, without waiting for it.

    Args:
        resets_TB: True where the state is zeroed before the token is read, `(T, B)`.
        device: Where the state is.
    Returns:
        None where nothing is reset.
    """
    times = np.flatnonzero(resets_TB.any(axis=1))
    if not len(times):
        return None
    reset_RB1 = to_device(torch.from_numpy(resets_TB[times][:, :, None]), device)
    return Resets(tuple(times.tolist()), reset_RB1)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy from the host without waiting for the device."""
    if device.type == "cuda":
        # From pageable memory CUDA would first wait for all that was given to the device.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class Recurrence(Protocol):
    """What runs one layer over a window."""

    def __call__(
        self,
        cell: Cell,
        x_TBI: Tensor,
        state: TorchState,
        weights: LayerWeights,
        resets: Resets | None = None,
        below: Sequences | None = None,
    ) -> tuple[dict[str, Tensor], TorchState]:
        """Run one layer over `T` steps.

        Args:
            cell: The cell.
            x_TBI: Inputs, `(T, B, I)`.
            state: The state before the window, each `(B, H)`.
            weights: The layer's weights.
            resets: Where documents begin; None is nowhere.
            below: The layer below's states `(T, B, H)` for each of `cell.below_names`; None for a
                cell that reads none.
        Returns:
            States over the window `(T, B, H)`, `h` (the output) and each of `cell.below_names`,
            and the state after it.
        """


def run_reference(
    cell: Cell,
    x_TBI: Tensor,
    state: TorchState,
    weights: LayerWeights,
    resets: Resets | None = None,
    below: Sequences | None = None,
) -> tuple[dict[str, Tensor], TorchState]:
    """Run one layer step by step; any float type. See `Recurrence` for shapes."""
    below = below or {}
    products = tuple(partial(_multiply, weight) for weight in weights.recurrent)
    reset_at = {time: index for index, time in enumerate(resets.times)} if resets else {}
    read_above = ("h", *(name for name in cell.below_names if name != "h"))
    steps: dict[str, list[Tensor]] = {name: [] for name in read_above}
    for t, x_BI in enumerate(x_TBI):
        if resets is not None and t in reset_at:
            state = resets.apply(reset_at[t], state)
        pre_BGH = x_BI @ weights.weight_ih.T + weights.bias
        below_t = {name: below[name][t] for name in cell.below_names}
        state, _gates = cell.step(torch, pre_BGH, state, products, weights.vectors, below_t)
        for name, values in steps.items():
            values.append(state[name])
    return {name: torch.stack(values) for name, values in steps.items()}, state


def _multiply(weight: Tensor, h_BH: Tensor) -> Tensor:
    return h_BH @ weight.T


def run_kernel(
    kernel: str,
    autocast: torch.dtype | None,
    cell: Cell,
    x_TBI: Tensor,
    state: TorchState,
    weights: LayerWeights,
    resets: Resets | None = None,
    below: Sequences | None = None,
) -> tuple[dict[str, Tensor], TorchState]:
    """Run one layer by one of torch's kernels. See `Recurrence` for shapes.

    The kernels know no resets, so a window is cut where documents begin. They take two biases: the
    second is zero but for what the GRU adds inside its reset gate.

    Args:
        kernel: `lstm`, `gru`, `rnn_tanh` or `rnn_relu`, the functions' names in torch.
        autocast: Compute the products in this type, with float32 weights and gradients, and a
            float32 state carried between windows; None computes all in the type of the inputs.
    """
    if cell.name != kernel.split("_")[0]:
        raise ValueError(f"torch's kernel '{kernel}' does not compute '{cell.name}'")
    (weight_hh,) = weights.recurrent
    parameters = [weights.weight_ih, weight_hh, weights.bias, _second_bias(weights)]
    outputs = []
    device = x_TBI.device.type
    own = autocast if device in CAST_HERE else None
    if own is not None:
        autocast, x_TBI = None, x_TBI.to(own)
        parameters = [parameter.to(own) for parameter in parameters]
    with torch.autocast(device, dtype=autocast, enabled=autocast is not None):
        for start, stop, reset in segments(len(x_TBI), resets):
            if resets is not None and reset is not None:
                state = resets.apply(reset, state)
            first = state if own is None else {name: v.to(own) for name, v in state.items()}
            y_TBH, last = _run(kernel, x_TBI[start:stop], first, parameters)
            outputs.append(y_TBH)
            # Under autocast a kernel may hand back bf16, and so may the layer below; what is
            # carried on keeps the type it was given in.
            state = {name: last[name].to(value.dtype) for name, value in state.items()}
    return {"h": outputs[0] if len(outputs) == 1 else torch.cat(outputs)}, state


def segments(num_steps: int, resets: Resets | None) -> Iterator[tuple[int, int, int | None]]:
    """Cut a window where documents begin: `(start, stop, index into resets or None)`."""
    if resets is None or not resets.times:
        yield 0, num_steps, None
        return
    times = resets.times
    if times[0] > 0:
        yield 0, times[0], None
    for index, start in enumerate(times):
        stop = times[index + 1] if index + 1 < len(times) else num_steps
        yield start, stop, index


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
    return partial(run_kernel, kernel, autocast_type(engine))


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
            if device.type in CAST_HERE:
                own = torch.bfloat16
                state = {name: value.to(own) for name, value in state.items()}
                y, _ = _run(kernel, x.to(own), state, [p.to(own) for p in parameters])
            else:
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
