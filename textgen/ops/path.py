"""A way to compute a network, and why it was taken. Knows no library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Path:
    """What computes the recurrence and the products around it.

    Args:
        name: `native` (the C engine), `torch` (its fused kernels) or `reference` (the cell looped
            over time).
        precision: `fp32` or `bf16`, of the products; weights, cell state and sums are float32.
        reason: Why this one, in words for a person.
        device: `cpu`, `cuda` or `mps`.
        isa: The instruction set of the native path, "" elsewhere.
        threads: Computing threads.
    """

    name: str
    precision: str
    reason: str
    device: str = "cpu"
    isa: str = ""
    threads: int = 1
