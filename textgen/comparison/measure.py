"""What a trained network is compared by besides its cost: how saturated its gates are, and how far
back it remembers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import SavedModel
from textgen.errors import BackendError, InspectionError
from textgen.inspection import quantities, survey_model
from textgen.inspection.gates import gate_report
from textgen.inspection.memory import memory_curves
from textgen.options import TrainOptions
from textgen.runtime import choose_threads
from textgen.view_options import MemoryOptions

#: Validation tokens that the gates are watched on, and those that memory is measured on.
GATE_TOKENS, MEMORY_TOKENS = 16_384, 131_072


@dataclass(frozen=True, kw_only=True)
class GateShare:
    """How saturated one gate of one layer is: means over its units.

    Args:
        layer: The layer, from 0.
        gate: Its name, such as `forget-gate`.
        below: Share of the time below 0.1: shut.
        above: Share of the time above 0.9: open.
    """

    layer: int
    gate: str
    below: float
    above: float


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """How far back a network remembers, in tokens; see `textgen.inspection.memory`.

    Args:
        gradient_lag: Where the gradient has fallen to 1 %; None: not within `max_lag`.
        replacement_lag: Before which all can be replaced by other text; None: the same.
        max_lag: The largest lag that was looked at; 0: nothing could be measured, for `reason`.
        reason: Why.
    """

    gradient_lag: int | None
    replacement_lag: int | None
    max_lag: int
    reason: str = ""


def memory_horizon(saved: SavedModel, ids: NDArray[np.integer], options: TrainOptions) -> Horizon:
    """How far back a model remembers on a text.

    Args:
        saved: The model.
        ids: The text, `(N,)`.
        options: How many threads compute.
    """
    read = np.asarray(ids[:MEMORY_TOKENS], dtype=np.int64)
    # A past is replaced by another one as long, from elsewhere in the text.
    max_lag = max(1, min(MemoryOptions.max_lag, (len(read) - 2) // 4))
    try:
        report = memory_curves(
            saved.config, saved.weights, read, max_lag=max_lag, threads=options.threads
        )
    except (InspectionError, BackendError) as error:
        return Horizon(gradient_lag=None, replacement_lag=None, max_lag=0, reason=str(error))
    return Horizon(
        gradient_lag=report.gradient_lag, replacement_lag=report.replacement_lag, max_lag=max_lag
    )


def gate_shares(
    saved: SavedModel, ids: NDArray[np.integer], options: TrainOptions
) -> tuple[GateShare, ...]:
    """The gates of a model over a text, layer by layer; none where its cell has none.

    Args:
        saved: The model.
        ids: The text, `(N,)`; its first `GATE_TOKENS` are read.
        options: How many threads compute, where the native engine does.
    """
    names = [name for name in quantities(saved.config.cell_spec) if name.endswith("-gate")]
    if not names:
        return ()
    read = np.asarray(ids[:GATE_TOKENS], dtype=np.int64)
    chunks = survey_model(
        saved.config,
        saved.weights,
        read,
        quantities=names,
        threads=choose_threads(options.threads).value,
    )
    report = gate_report(chunks)
    return tuple(
        GateShare(layer=gate.layer, gate=gate.gate, below=gate.mean_left, above=gate.mean_right)
        for gate in report.gates
    )
