"""One training step after another: windows, dropout, learning rate. No files, clock or device.

A `Learner` takes an update, a `Trainer` takes the steps of a plan, a `Run` keeps, measures and
reports them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.windows import Windows
from textgen.model.engine import open_network
from textgen.model.initialise import draw_masks
from textgen.model.network import Engine, Network
from textgen.sampling.choice import splitmix64
from textgen.training.learner import Learner, NativeLearner, open_optimizer
from textgen.training.plan import Plan


@dataclass(frozen=True)
class StepFigures:
    """What happened since the figures were read last.

    Args:
        steps: Steps taken.
        nats_per_token: Mean training loss of the updates that were applied.
        grad_norm: Mean norm of their gradients, before clipping.
        skipped: Updates masked because the loss or the gradient was not finite.
        skipped_in_a_row: Longest run of them, runs begun earlier included.
    """

    steps: int
    nats_per_token: float
    grad_norm: float
    skipped: int
    skipped_in_a_row: int


class Trainer:
    """Takes the steps of a plan; `tensors` and `step` are everything it needs to go on."""

    def __init__(self, learner: Learner, windows: Windows, plan: Plan) -> None:
        self.step = 0
        #: Steps since the figures were read last.
        self.steps_counted = 0
        self._learner = learner
        self._windows = windows
        self._plan = plan

    @property
    def network(self) -> Network:
        """The network that is trained."""
        return self._learner.network

    def advance(self) -> None:
        """Take one step. Does not wait for the device."""
        plan = self._plan
        # The masks depend on the seed of the run and the number of the step alone, so a resumed
        # run draws the same ones, on whichever path.
        seed = splitmix64(plan.rng, self.step)
        masks = draw_masks(plan.model, plan.batch_size, seed, plan.recurrent_dropout)
        batch = self._windows.batch(self.step)
        self._learner.update(batch, masks, plan.learning_rate(self.step))
        self.step += 1
        # A batch in which no target counts has no loss for the mean to take in.
        self.steps_counted += bool((batch.targets_TB >= 0).any())

    def wait(self) -> None:
        """Return once all steps taken are computed."""
        self._learner.wait()

    def read_figures(self) -> StepFigures:
        """What happened since the last call. Waits for the device."""
        counters = self._learner.take_counters()
        skipped = int(counters.masked)
        applied = self.steps_counted - skipped
        figures = StepFigures(
            steps=self.steps_counted,
            nats_per_token=float(counters.loss) / applied if applied else float("nan"),
            grad_norm=float(counters.grad_norm) / applied if applied else float("nan"),
            skipped=skipped,
            skipped_in_a_row=int(counters.longest_run),
        )
        self.steps_counted = 0
        return figures

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Everything that changes from step to step, copied: weights, moments, carried state."""
        return self._learner.tensors()

    def load(self, step: int, steps_counted: int, tensors: dict[str, NDArray[np.floating]]) -> None:
        """Go on from what `tensors` returned after `step` steps."""
        self._learner.load(tensors)
        self.step = step
        self.steps_counted = steps_counted


def open_trainer(
    plan: Plan, path: Engine, windows: Windows, weights: Mapping[str, NDArray[np.float32]] | None
) -> Trainer:
    """A trainer at the beginning of a run; weights of None are left for `Trainer.load`."""
    return Trainer(open_learner(open_network(plan.model, path, weights), plan), windows, plan)


def open_learner(network: Network, plan: Plan) -> Learner:
    """A learner for `network`, whose path decides what computes."""
    if network.engine.name == "native":
        from textgen.model.native_network import NativeNetwork

        assert isinstance(network, NativeNetwork)
        return NativeLearner(network, open_optimizer(network, plan.optimizer), plan)
    from textgen.model.torch_network import TorchNetwork
    from textgen.training.torch_learner import TorchLearner

    assert isinstance(network, TorchNetwork)
    return TorchLearner(network, plan)


def path_name(path: Engine) -> str:
    """The path with everything that its numbers depend on, in words: `native (avx512)`."""
    return f"{path.name} ({path.isa})" if path.isa else path.name
