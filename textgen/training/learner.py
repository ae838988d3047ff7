"""What takes a step of training: weights, their optimiser and the carried state, on one path."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.windows import Batch
from textgen.model.base import Network
from textgen.model.dropout import Masks
from textgen.training.plan import Plan

#: What a learner counts, in the order of the numbers: the sums of the losses and of the gradient
#: norms of the updates that were applied, how many updates were masked, the run of masked updates
#: that the last one belongs to (0 where it was applied), and the longest such run.
COUNTERS = 5


class Learner(Protocol):
    """Learns from one batch after another. Knows no schedule, no clock and no files.

    The names and shapes in `tensors` do not depend on the path, so neither does what is stored.
    """

    @property
    def network(self) -> Network:
        """What is trained; it shows every update at once."""

    def update(self, batch: Batch, masks: Masks | None, learning_rate: float) -> None:
        """Take one step; does not wait for a device.

        An update is masked where the loss or its gradient is not finite: then weights and moments
        stay as they are and the carried state starts from zero.

        Args:
            batch: The windows, and where documents begin in them.
            masks: What dropout leaves of the embedding and of the layers' outputs; None is all.
            learning_rate: Of this step.
        """

    def wait(self) -> None:
        """Return once the device has done all it was given."""

    def take_counters(self) -> NDArray[np.float32]:
        """The `COUNTERS` since they were taken last, `(5,)`. Waits for the device.

        The sums begin again at zero; the present run of masked updates goes on.
        """

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Everything that changes from step to step, copied, as `tensor_shapes` names it."""

    def load(self, tensors: dict[str, NDArray[np.floating]]) -> None:
        """Go on from what `tensors` returned, on whichever path that was."""


def open_learner(network: Network, plan: Plan) -> Learner:
    """A learner for `network`, with moments, state and counters of a run that begins.

    Args:
        network: The network, with its first weights; its path decides what computes.
        plan: The run's settings.
    """
    if network.path.name == "native":
        from textgen.model.native_network import NativeNetwork
        from textgen.native.update import AdamW
        from textgen.training.native_learner import NativeLearner

        assert isinstance(network, NativeNetwork)
        settings = plan.optimizer
        optimizer = AdamW(
            network.parameters[: network.num_trained],
            network.gradient[: network.num_trained],
            network.num_decayed,
            isa=network.path.isa,
            threads=network.path.threads,
            beta1=settings.beta1,
            beta2=settings.beta2,
            weight_decay=settings.weight_decay,
            clip_norm=settings.clip_norm,
        )
        return NativeLearner(network, optimizer, plan)
    from textgen.model.torch_network import TorchNetwork
    from textgen.training.torch_learner import TorchLearner

    assert isinstance(network, TorchNetwork)
    return TorchLearner(network, plan)


def tensor_shapes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Name and shape of everything that `Learner.tensors` holds under `plan`: to check a file."""
    shapes: dict[str, tuple[int, ...]] = {"counters": (COUNTERS,)}
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
