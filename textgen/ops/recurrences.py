"""From a path that was chosen to the function that computes it, in torch."""

from __future__ import annotations

import torch

from textgen.cells import Cell
from textgen.ops.path import Path
from textgen.ops.recurrence import Recurrence
from textgen.ops.reference import run_reference
from textgen.ops.torch_recurrence import TorchRecurrence, kernel_of


def recurrence_for(path: Path, cell: Cell) -> Recurrence:
    """What runs one layer of `cell` on `path`.

    Args:
        path: `torch` or `reference`; the native engine computes whole networks instead.
        cell: The cell.
    Raises:
        ValueError: torch has no kernel for the cell, or the path is another.
    """
    if path.name == "reference":
        return run_reference
    kernel = kernel_of(cell)
    if path.name != "torch" or not kernel:
        raise ValueError(f"the path '{path.name}' has no recurrence for the cell '{cell.name}'")
    if path.device == "cuda":
        # cuDNN rounds float32 factors to TF32, 10 bits, unless told otherwise. This holds for the
        # process, but of what textgen computes only this path asks cuDNN for float32.
        torch.backends.cudnn.allow_tf32 = False
    return TorchRecurrence(kernel, autocast_type(path))


def autocast_type(path: Path) -> torch.dtype | None:
    """The type that products are computed in; None is that of their factors."""
    return torch.bfloat16 if path.precision == "bf16" else None
