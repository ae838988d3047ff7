"""What takes one update: the weights, their optimiser and the carried state, on one path.

`NativeLearner` and `TorchLearner` are the two learners; a `Trainer` gives them their batches.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.corpus.windows import Batch, Tokens
from textgen.model.head import DistanceHead, fit_scale
from textgen.model.initialise import Masks
from textgen.model.network import Network
from textgen.training.plan import Plan

#: `fit_head_scale` reads this many streams, whose first tokens are context only, and fits at most
#: this many targets; fewer where the distances to all symbols would take more than 16 MiB.
STREAMS, CONTEXT, TARGETS, DISTANCES = 8, 32, 1024, 2**22


class Counters(NamedTuple):
    """What a learner counts: numbers in float32, or tensors of one number.

    Args:
        loss: Sum of the losses of the updates that were applied.
        grad_norm: Sum of the norms of their gradients.
        masked: Updates that were masked.
        run: Masked updates in a row that the last update belongs to; 0 if it was applied.
        longest_run: The longest such run.
    """

    loss: Any
    grad_norm: Any
    masked: Any
    run: Any
    longest_run: Any


class Learner(Protocol):
    """Learns from one batch after another. Knows no schedule, no clock and no files.

    The names and shapes in `tensors` do not depend on the path, so neither does what is stored.
    """

    @property
    def network(self) -> Network:
        """The network that is trained; every update changes it at once."""

    def update(self, batch: Batch, masks: Masks | None, learning_rate: float) -> None:
        """Take one step; does not wait for a device.

        An update is masked where the loss or its gradient is not finite: then weights and moments
        stay as they are and the carried state starts from zero.

        Args:
            batch: The windows, and where documents begin in them.
            masks: What dropout leaves of the embedding and of the outputs of the layers; None
                leaves everything.
            learning_rate: Of this step.
        """

    def wait(self) -> None:
        """Return once the device has done all it was given."""

    def take_counters(self) -> Counters:
        """The counters since they were taken last. Waits for the device.

        The sums begin again at zero; the present run of masked updates goes on.
        """

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Everything that changes from step to step, copied, as `tensor_shapes` names it."""

    def load(self, tensors: dict[str, NDArray[np.floating]]) -> None:
        """Go on from what `tensors` returned, on whichever path that was."""


def tensor_shapes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Name and shape of everything that `Learner.tensors` holds under `plan`: to check a file."""
    shapes: dict[str, tuple[int, ...]] = {"counters": (len(Counters._fields),)}
    for name, shape in plan.model.tensor_shapes().items():
        shapes[f"model.{name}"] = shape
        if name in plan.model.untrained:
            continue
        shapes[f"optimizer.{name}.step"] = ()
        shapes[f"optimizer.{name}.exp_avg"] = shape
        shapes[f"optimizer.{name}.exp_avg_sq"] = shape
    for index in range(plan.model.num_layers):
        for name in plan.model.cell_spec.state_names:
            shapes[f"state.{index}.{name}"] = (plan.batch_size, plan.model.hidden_size)
    return shapes


def fit_head_scale(network: Network, tokens: Tokens) -> None:
    """Fit the scale of a distance head on a slice of the training text; nothing for other heads.

    The loss does not depend on the scale, so no gradient trains it. It is fitted whenever the
    weights are about to be evaluated, sampled from or kept, as a function of the weights and the
    text alone.

    Args:
        network: The model.
        tokens: The training text, of which evenly spread parts are read.
    """
    if not network.config.has_vector_output:
        return
    targets = min(TARGETS, DISTANCES // network.config.vocab_size)
    streams = max(1, min(STREAMS, targets, (len(tokens) - 1) // 2))
    steps = min(CONTEXT + max(1, targets // streams), (len(tokens) - 1) // streams)
    skipped = min(CONTEXT, steps // 2)
    starts_B = np.arange(streams) * (len(tokens) - 1) // streams
    place_TB = starts_B[None, :] + np.arange(steps)[:, None]
    inputs_TB = np.asarray(tokens[place_TB], np.int64)
    targets_TB = np.asarray(tokens[place_TB + 1], np.int64)
    resets_TB = inputs_TB == END_ID
    outputs_TBH, _ = network.outputs(
        inputs_TB, network.zero_state(streams), resets_TB if resets_TB.any() else None
    )
    outputs_NH = outputs_TBH[skipped:].reshape(-1, network.config.hidden_size)
    with np.errstate(over="ignore", invalid="ignore"):
        distances_NV = DistanceHead(network.config, network.arrays()).distances(outputs_NH)
    scale = fit_scale(distances_NV, targets_TB[skipped:].ravel())
    if scale is not None:  # Otherwise training has diverged, and the loss will say so.
        network.set_scale(scale)
