"""A trained model, opened for sampling: for one text at a time, or for many together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from textgen.model.config import ModelConfig
from textgen.model.native_step import (
    TOGETHER_FROM,
    NativeStep,
    NativeStreams,
    open_step,
    open_streams,
    step_path,
)
from textgen.model.numpy_network import Floats, NumpyNetwork
from textgen.ops.path import Path


class SamplingNetworks:
    """Opens a model on the path that samples fastest here, when it is first needed.

    Args:
        config: The model's shape.
        weights: Float32 arrays as `config.tensor_shapes()` names them; not to be written to.
        threads: Computing threads at most.
    Raises:
        ConfigError: When used, if `TEXTGEN_PATH` names no path.
        BackendError: When used, if it names one that this machine does not have.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats], threads: int) -> None:
        self._config = config
        self._weights = weights
        self._threads = threads

    @cached_property
    def path(self) -> Path:
        """What computes, and why."""
        return step_path(self._config, self._threads)

    @cached_property
    def one(self) -> NativeStep | NumpyNetwork:
        """Writes one text at a time."""
        return open_step(self._config, self._weights, self.path)

    @cached_property
    def many(self) -> NativeStreams | NumpyNetwork:
        """Writes many texts together."""
        if isinstance(self.one, NumpyNetwork):
            return self.one
        return open_streams(self._config, self._weights, self.path)

    def are_together(self, count: int, *, exact: bool = False) -> bool:
        """Whether so many texts are written together.

        Args:
            count: How many.
            exact: Whether each must be what it is when it is written alone.
        """
        return count >= TOGETHER_FROM and not exact

    def record(self, count: int = 1, *, exact: bool = False) -> dict[str, Any]:
        """What writes so many texts, as plain data."""
        together = self.are_together(count, exact=exact)
        one = self.one.path if isinstance(self.one, NativeStep) else self.path
        path = self.path if together else one
        return {
            "name": path.name,
            "isa": path.isa,
            "precision": path.precision,
            "threads": path.threads,
            "together": together,
            "reason": path.reason,
        }

    def describe(self, count: int = 1, *, exact: bool = False) -> str:
        """What writes so many texts, in one line for a person."""
        record = self.record(count, exact=exact)
        way = f"{count} texts together" if record["together"] else "one text at a time"
        if record["name"] != "native":
            return f"sampling: numpy, fp32, {way}: {record['reason']}"
        threads = "1 thread" if record["threads"] == 1 else f"{record['threads']} threads"
        return f"sampling: native {record['isa']}, {record['precision']} weights, {threads}, {way}"
