"""One training step after another: windows, masks, learning rate. No files, no clock, no device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.windows import Windows
from textgen.model.base import Network
from textgen.model.dropout import draw_masks
from textgen.sampling.choice import splitmix64
from textgen.training.learner import Learner
from textgen.training.plan import Plan


@dataclass(frozen=True)
class Counters:
    """What happened since they were read last.

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
    """Takes steps of a planned run; everything it needs to go on is in `tensors` and `step`.

    Args:
        learner: What is updated, on whichever path.
        windows: Where the steps' batches come from.
        plan: The run's settings, its length in steps included.
    """

    def __init__(self, learner: Learner, windows: Windows, plan: Plan) -> None:
        self.step = 0
        self._learner = learner
        self._windows = windows
        self._plan = plan
        self._steps_counted = 0

    @property
    def network(self) -> Network:
        """What is trained."""
        return self._learner.network

    def advance(self) -> None:
        """Take one step. Does not wait for the device."""
        plan = self._plan
        # The masks depend on the run's seed and the step's number alone, so a resumed run draws
        # the same ones, on whichever path.
        masks = draw_masks(plan.model, plan.batch_size, splitmix64(plan.rng, self.step))
        batch = self._windows.batch(self.step)
        self._learner.update(batch, masks, plan.learning_rate(self.step))
        self.step += 1
        # A batch in which no target counts has no loss for the mean to take in.
        self._steps_counted += bool((batch.targets_TB >= 0).any())

    def wait(self) -> None:
        """Return once all steps taken are computed."""
        self._learner.wait()

    def read_counters(self) -> Counters:
        """What happened since the last call. Waits for the device."""
        loss, norm, skipped, _present, longest = self._learner.take_counters().tolist()
        applied = self._steps_counted - int(skipped)
        counters = Counters(
            steps=self._steps_counted,
            nats_per_token=loss / applied if applied else float("nan"),
            grad_norm=norm / applied if applied else float("nan"),
            skipped=int(skipped),
            skipped_in_a_row=int(longest),
        )
        self._steps_counted = 0
        return counters

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Everything that changes from step to step, copied: weights, moments, carried state."""
        return self._learner.tensors()

    def load(self, step: int, steps_counted: int, tensors: dict[str, NDArray[np.floating]]) -> None:
        """Go on from what `tensors` returned after `step` steps."""
        self._learner.load(tensors)
        self.step = step
        self._steps_counted = steps_counted

    @property
    def steps_counted(self) -> int:
        """Steps since the counters were read last."""
        return self._steps_counted
