"""A native engine played by torch and numpy: the same interface, the reference's numbers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from textgen.model.config import ModelConfig
from textgen.model.initialise import Masks, initial_weights
from textgen.model.network import Engine
from textgen.model.recurrence import make_resets
from textgen.model.torch_network import TorchNetwork
from textgen.training.plan import OptimizerPlan

Floats = NDArray[np.float32]
State = list[dict[str, Floats]]


class FakeNetwork:
    """What `NativeLearner` asks of a network, matrices first in one flat array."""

    def __init__(self, config: ModelConfig, weights: dict[str, Floats] | None = None) -> None:
        self.config = config
        self.engine = Engine("native", "fp32", "played by a test", device="cpu", isa="generic")
        reference = Engine("reference", "fp32", "the specification")
        self._reference = TorchNetwork(config, reference)
        shapes = config.tensor_shapes()
        order = sorted(shapes, key=lambda name: len(shapes[name]) < 2)
        sizes = {name: int(np.prod(shapes[name])) for name in order}
        self.num_decayed = sum(sizes[name] for name in order if len(shapes[name]) > 1)
        self.parameters = np.zeros(sum(sizes.values()), np.float32)
        self.gradient = np.full_like(self.parameters, np.nan)
        self.weights, self._gradients = {}, {}
        start = 0
        for name in order:
            part = slice(start, start + sizes[name])
            self.weights[name] = self.parameters[part].reshape(shapes[name])
            self._gradients[name] = self.gradient[part].reshape(shapes[name])
            start = part.stop
        self.load_arrays(initial_weights(config, 0) if weights is None else weights)

    def zero_state(self, batch_size: int) -> State:
        return [
            {
                name: np.zeros((batch_size, self.config.hidden_size), np.float32)
                for name in self.config.cell_spec.state_names
            }
            for _ in range(self.config.num_layers)
        ]

    def differentiate(
        self,
        inputs_TB: NDArray[np.int64],
        targets_TB: NDArray[np.int64],
        state: State,
        resets_TB: NDArray[np.bool_] | None,
        masks: Masks | None,
        labels_TB: NDArray[np.int64] | None = None,
    ) -> tuple[float, State]:
        assert labels_TB is None, "plays an engine that knows no labels"
        model = self._reference.model
        first = _tensors(state)
        resets = None if resets_TB is None else make_resets(resets_TB, torch.device("cpu"))
        logits, last = model(torch.from_numpy(inputs_TB), first, resets, masks)
        loss = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets_TB).flatten())
        model.zero_grad()
        loss.backward()
        for name, parameter in model.named_parameters():
            self._gradients[name][...] = parameter.grad
        return loss.item(), _arrays(last)

    def nll(
        self,
        inputs_TB: NDArray[np.int64],
        targets_TB: NDArray[np.int64],
        state: State,
        resets_TB: NDArray[np.bool_] | None,
        labels_TB: NDArray[np.int64] | None = None,
    ) -> tuple[Floats, State]:
        assert labels_TB is None, "plays an engine that knows no labels"
        nats_TB, last = self._reference.nll(inputs_TB, targets_TB, _tensors(state), resets_TB)
        return nats_TB, _arrays(last)

    def weights_changed(self) -> None:
        self._reference.load_arrays(self.weights)

    def arrays(self) -> dict[str, Floats]:
        return {name: weight.copy() for name, weight in self.weights.items()}

    def load_arrays(self, arrays: dict[str, Floats]) -> None:
        for name, weight in self.weights.items():
            weight[...] = arrays[name]
        self.weights_changed()


def _tensors(state: State) -> list[dict[str, torch.Tensor]]:
    return [{name: torch.from_numpy(v.copy()) for name, v in layer.items()} for layer in state]


def _arrays(state: list[dict[str, torch.Tensor]]) -> State:
    return [{name: v.detach().numpy().copy() for name, v in layer.items()} for layer in state]


class FakeAdamW:
    """AdamW as in the paper (Loshchilov and Hutter 2019, algorithm 2), clipped and masked."""

    def __init__(self, network: FakeNetwork, plan: OptimizerPlan) -> None:
        self._network = network
        self._plan = plan
        self.exp_avg = np.zeros_like(network.parameters)
        self.exp_avg_sq = np.zeros_like(network.parameters)
        self.steps = 0

    def step(self, loss: float, learning_rate: float) -> tuple[bool, float]:
        gradient, parameters = self._network.gradient, self._network.parameters
        norm = float(np.sqrt((gradient.astype(np.float64) ** 2).sum()))
        if not np.isfinite(norm + loss):
            return True, norm
        gradient = gradient / max(norm / self._plan.clip_norm, 1.0)
        self.steps += 1
        parameters[: self._network.num_decayed] *= 1 - learning_rate * self._plan.weight_decay
        self.exp_avg += (1 - self._plan.beta1) * (gradient - self.exp_avg)
        self.exp_avg_sq += (1 - self._plan.beta2) * (gradient**2 - self.exp_avg_sq)
        mean = self.exp_avg / (1 - self._plan.beta1**self.steps)
        variance = self.exp_avg_sq / (1 - self._plan.beta2**self.steps)
        parameters -= learning_rate * mean / (np.sqrt(variance) + 1e-8)
        return False, norm
