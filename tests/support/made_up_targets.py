"""Targets for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from textgen.steering import Target


def neuron(unit: int = 2, **settings: Any) -> Target:
    """A neuron whose mean is 1 and whose standard deviation is 0.5."""
    values: dict[str, Any] = {"name": f"0:{unit}.c", "layer": 0, "state": "c"}
    return Target(**{**values, "mean": 1.0, "sd": 0.5, "unit": unit, **settings})


def latent(number: int = 3, **settings: Any) -> Target:
    """A latent that reads something at half of the places where its projection is 0."""
    values: dict[str, Any] = {"mean": -0.5, "bias": 0.7, "threshold": 0.4}
    return direction(f"latent:{number}", **{**values, **settings})


def direction(name: str = "mood", size: int = 20, **settings: Any) -> Target:
    """A direction across all units of a layer."""
    rng = np.random.default_rng(4)
    read = rng.normal(size=size).astype(np.float32)
    read /= np.linalg.norm(read)
    values: dict[str, Any] = {"name": name, "layer": 0, "state": "c", "mean": -0.5, "sd": 2.0}
    return Target(**{**values, "read": read, "write": read.copy(), **settings})
