"""Training by torch: automatic differentiation and a fused optimiser, on a CPU or a GPU.

A step never waits for the device: batches travel through page-locked memory, and what decides
whether an update is masked stays on the device, as do state and counters.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from textgen.corpus.windows import Batch
from textgen.model.dropout import Masks
from textgen.model.torch_network import TorchNetwork
from textgen.ops.recurrence import make_resets, to_device
from textgen.training.learner import COUNTERS
from textgen.training.plan import Plan
from textgen.training.torch_optimizer import MaskedAdamW


class TorchLearner:
    """Updates a torch module; see `Learner`.

    Args:
        network: What is trained, on its device.
        plan: The run's settings.
    """

    def __init__(self, network: TorchNetwork, plan: Plan) -> None:
        self.network = network
        self._model = network.model
        self._device = torch.device(network.path.device)
        self._carries_state = not plan.sliding
        trained = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self._optimizer = MaskedAdamW(trained, plan.optimizer)
        self._state = self._model.zero_state(plan.batch_size)
        self._counters = torch.zeros(COUNTERS, device=self._device, dtype=torch.float32)

    def update(self, batch: Batch, masks: Masks | None, learning_rate: float) -> None:
        """Take one step. Does not wait for the device."""
        inputs_TB = to_device(torch.from_numpy(batch.inputs_TB), self._device)
        targets_TB = to_device(torch.from_numpy(batch.targets_TB), self._device)
        resets = make_resets(batch.resets_TB, self._device)
        outputs_TBH, state = self._model.read(inputs_TB, self._state, resets, masks)
        scores = self._model.project(outputs_TBH)
        if self._model.config.has_vector_output:
            loss = self._model.distance_loss(scores, targets_TB)
        elif (batch.targets_TB >= 0).any():
            loss = F.cross_entropy(scores.flatten(0, 1), targets_TB.flatten(), ignore_index=-1)
        else:  # Nothing counts here, of which the mean would not be a number.
            loss = 0.0 * scores.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        loss = loss.detach()
        bad, norm = self._optimizer.step(loss, learning_rate)
        if self._carries_state:
            # A state from which a loss overflowed is not carried on either.
            self._state = [
                {name: value.detach().masked_fill(bad, 0.0) for name, value in layer.items()}
                for layer in state
            ]
        # Filled, not chosen by `where`, which would copy its number from the host and wait.
        counters = self._counters
        counters[0] += loss.masked_fill(bad, 0.0)
        counters[1] += norm.masked_fill(bad, 0.0)
        counters[2] += bad
        counters[3] = (counters[3] + 1).masked_fill(~bad, 0.0)
        counters[4] = torch.maximum(counters[4], counters[3])

    def wait(self) -> None:
        """Return once the device has done all it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()

    def take_counters(self) -> NDArray[np.float32]:
        """The counters since they were taken last, `(5,)`. Waits for the device."""
        taken: NDArray[np.float32] = self._counters.to("cpu", copy=True).numpy()
        self._counters[:3] = 0.0
        self._counters[4] = self._counters[3]
        return taken

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Everything that changes from step to step, copied."""
        return {
            name: tensor.detach().to("cpu", copy=True).numpy()
            for name, tensor in self._live_tensors().items()
        }

    @torch.no_grad()
    def load(self, tensors: dict[str, NDArray[np.floating]]) -> None:
        """Go on from what `tensors` returned, on whichever path that was."""
        for name, tensor in self._live_tensors().items():
            tensor.copy_(torch.from_numpy(np.array(tensors[name])))

    def _live_tensors(self) -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = {
            f"model.{name}": p for name, p in self._model.named_parameters()
        }
        tensors |= {f"optimizer.{name}": t for name, t in self._optimizer.tensors().items()}
        for index, layer in enumerate(self._state):
            tensors |= {f"state.{index}.{name}": t for name, t in layer.items()}
        tensors["counters"] = self._counters
        return tensors
