"""The choice of a path, with its reason."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import torch

from textgen.cells import Cell
from textgen.errors import BackendError, ConfigError
from textgen.ops.recurrence import Recurrence
from textgen.ops.reference import run_reference
from textgen.ops.torch_lstm import TorchLSTM

#: Forces a path by name, for tests and comparisons.
PATH_VARIABLE = "TEXTGEN_PATH"
PATH_NAMES = ("reference", "torch")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Path:
    """A way to compute the recurrence.

    Args:
        name: One of `PATH_NAMES`.
        precision: `fp32` or `bf16`, of the products; weights, cell state and sums are float32.
        reason: Why this one, in words for a person.
        run: The function itself.
    """

    name: str
    precision: str
    reason: str
    run: Recurrence

    @property
    def autocast(self) -> torch.dtype | None:
        """The type the products around the recurrence are computed in; None is float32."""
        return torch.bfloat16 if self.precision == "bf16" else None


def select(cell: Cell, device: torch.device, precision: str = "auto") -> Path:
    """Choose how to compute `cell` on `device`.

    Args:
        cell: The cell.
        device: Where the weights are.
        precision: `auto` takes bf16 where the hardware multiplies it faster than fp32.
    Returns:
        The path and why it was taken.
    Raises:
        ConfigError: The precision, or the path that `TEXTGEN_PATH` names, is not known.
        BackendError: bf16 was asked for and does not work here.
    """
    if precision not in PRECISIONS:
        raise ConfigError(
            f"precision '{precision}' is not known; choose one of: {', '.join(PRECISIONS)}"
        )
    forced = os.environ.get(PATH_VARIABLE, "")
    if forced and forced not in PATH_NAMES:
        raise ConfigError(
            f"{PATH_VARIABLE}={forced} names no path; choose one of: {', '.join(PATH_NAMES)}"
        )
    if forced == "reference" or cell.name != "lstm":
        why = f"{PATH_VARIABLE} asks for it" if forced else f"torch has no kernel for '{cell.name}'"
        if precision == "bf16":
            raise BackendError(f"the loop over time steps ({why}) knows no bf16; leave it out")
        return Path("reference", "fp32", f"a loop over time steps: {why}", run_reference)
    fast, why = _bf16_support(device)
    if precision == "bf16" and not _bf16_works(device):
        raise BackendError(f"bf16 does not work on this {device.type} device; use --precision fp32")
    if precision == "auto" and fast and not _bf16_works(device):
        fast, why = False, f"{why}, but torch's LSTM does not work with it here"
    if precision == "bf16" or (precision == "auto" and fast):
        reason = "asked for" if precision == "bf16" else why
        return Path("torch", "bf16", f"torch's LSTM; bf16: {reason}", TorchLSTM(torch.bfloat16))
    reason = "asked for" if precision == "fp32" else why
    return Path("torch", "fp32", f"torch's LSTM; fp32: {reason}", TorchLSTM())


def _bf16_support(device: torch.device) -> tuple[bool, str]:
    """Whether `device` multiplies bf16 faster than fp32, and how that is known."""
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return True, f"{torch.cuda.get_device_name(device)} computes it natively"
        return False, f"{torch.cuda.get_device_name(device)} has no native bf16"
    if device.type != "cpu":
        return False, f"the {device.type} device is run in float32"
    capabilities = torch.cpu.get_capabilities()
    for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512")):
        if capabilities.get(flag, False):
            return True, f"this CPU multiplies it in {name} instructions"
    return False, f"this CPU ({platform.machine()}) has no bf16 instructions"


def _bf16_works(device: torch.device) -> bool:
    """Try it: on some builds a tiny forward and backward pass in bf16 raises (pytorch#187334)."""
    try:
        x = torch.zeros(2, 2, 4, device=device, requires_grad=True)
        zeros = torch.zeros(1, 2, 4, device=device)
        parameters = [
            torch.zeros(shape, device=device, requires_grad=True)
            for shape in ((16, 4), (16, 4), (16,), (16,))
        ]
        with torch.enable_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            y, _, _ = torch.lstm(x, [zeros, zeros], parameters, True, 1, 0.0, True, False, False)
        torch.autograd.grad(y.float().sum(), x)
    except RuntimeError:
        return False
    return True
