"""One training step after another: weights, optimiser, carried state. No files, no clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from textgen.corpus.windows import Windows
from textgen.model.network import LanguageModel
from textgen.sampling.choice import splitmix64
from textgen.training.evaluate import make_resets
from textgen.training.optimizer import MaskedAdamW
from textgen.training.plan import Plan
from textgen.training.schedule import learning_rate_factor


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
        model: The model, on its device.
        windows: Where the steps' batches come from.
        plan: The run's settings, its length in steps included.
    """

    def __init__(self, model: LanguageModel, windows: Windows, plan: Plan) -> None:
        self.model = model
        self.step = 0
        self._windows = windows
        self._plan = plan
        self._device = model.embedding.weight.device
        self._optimizer = MaskedAdamW(dict(model.named_parameters()), plan.optimizer)
        self._state = model.zero_state(plan.batch_size)
        self._dropout = torch.Generator(device=self._device)
        #: Sum of losses, sum of gradient norms, masked updates, the present run, the longest run.
        self._counters = torch.zeros(5, device=self._device, dtype=torch.float32)
        self._steps_counted = 0

    def advance(self) -> None:
        """Take one step. Does not wait for the device."""
        plan = self._plan
        batch = self._windows.batch(self.step)
        # The masks depend on the run's seed and the step's number alone, so a resumed run draws
        # the same ones. The two are mixed, for torch's generator of a CPU reads 32 bits of a seed.
        self._dropout.manual_seed(splitmix64(plan.rng, self.step))
        inputs_TB = torch.from_numpy(batch.inputs_TB).to(self._device, non_blocking=True)
        targets_TB = torch.from_numpy(batch.targets_TB).to(self._device, non_blocking=True)
        resets = make_resets(batch.resets_TB, self._device)
        logits_TBV, state = self.model(inputs_TB, self._state, resets, self._dropout)
        loss = F.cross_entropy(logits_TBV.flatten(0, 1), targets_TB.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        factor = learning_rate_factor(self.step, plan.steps, plan.warmup_steps)
        bad, norm = self._optimizer.step(loss.detach(), factor)
        if self._windows.carries_state:
            # A state from which a loss overflowed is not carried on either.
            self._state = [
                {name: value.detach().masked_fill(bad, 0.0) for name, value in layer.items()}
                for layer in state
            ]
        self._count(loss.detach(), norm, bad)
        self.step += 1

    def _count(self, loss: torch.Tensor, norm: torch.Tensor, bad: torch.Tensor) -> None:
        counters = self._counters
        counters[0] += torch.where(bad, 0.0, loss)
        counters[1] += torch.where(bad, 0.0, norm)
        counters[2] += bad
        counters[3] = torch.where(bad, counters[3] + 1, 0.0)
        counters[4] = torch.maximum(counters[4], counters[3])
        self._steps_counted += 1

    def read_counters(self) -> Counters:
        """What happened since the last call. Waits for the device."""
        loss, norm, skipped, _present, longest = self._counters.tolist()
        applied = self._steps_counted - int(skipped)
        counters = Counters(
            steps=self._steps_counted,
            nats_per_token=loss / applied if applied else float("nan"),
            grad_norm=norm / applied if applied else float("nan"),
            skipped=int(skipped),
            skipped_in_a_row=int(longest),
        )
        self._counters[:3] = 0.0
        self._counters[4] = self._counters[3]
        self._steps_counted = 0
        return counters

    def _live_tensors(self) -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = {
            f"model.{name}": p for name, p in self.model.named_parameters()
        }
        tensors |= {f"optimizer.{name}": t for name, t in self._optimizer.tensors().items()}
        for index, layer in enumerate(self._state):
            tensors |= {f"state.{index}.{name}": t for name, t in layer.items()}
        tensors["counters"] = self._counters
        return tensors

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Everything that changes from step to step, copied: weights, moments, carried state."""
        return {
            name: tensor.detach().to("cpu", copy=True).numpy()
            for name, tensor in self._live_tensors().items()
        }

    @torch.no_grad()
    def load(self, step: int, steps_counted: int, tensors: dict[str, NDArray[np.floating]]) -> None:
        """Go on from what `tensors` returned after `step` steps."""
        for name, tensor in self._live_tensors().items():
            tensor.copy_(torch.from_numpy(np.array(tensors[name])))
        self.step = step
        self._steps_counted = steps_counted

    @property
    def steps_counted(self) -> int:
        """Steps since the counters were read last."""
        return self._steps_counted


def tensor_shapes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Name and shape of everything that `Trainer.tensors` holds under `plan`: to check a file."""
    shapes: dict[str, tuple[int, ...]] = {"counters": (5,)}
    for name, shape in plan.model.tensor_shapes().items():
        shapes[f"model.{name}"] = shape
        shapes[f"optimizer.{name}.step"] = ()
        shapes[f"optimizer.{name}.exp_avg"] = shape
        shapes[f"optimizer.{name}.exp_avg_sq"] = shape
    for index in range(plan.model.num_layers):
        for name in plan.model.cell_spec.state_names:
            shapes[f"state.{index}.{name}"] = (plan.batch_size, plan.model.hidden_size)
    return shapes
