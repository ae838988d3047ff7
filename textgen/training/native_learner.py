"""Training by the native engine: the whole step in its calls, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.windows import Batch
from textgen.model.initialise import Masks
from textgen.training.learner import Counters
from textgen.training.plan import OptimizerPlan, Plan

if TYPE_CHECKING:
    from textgen.model.native_network import NativeNetwork
    from textgen.native.net import AdamW

Floats = NDArray[np.float32]


class NativeLearner:
    """Updates a network in place; see `Learner`.

    The moments lie in flat arrays as the weights do in `network.parameters`, so that the optimiser
    goes over everything in one pass; their names are those of the weights.

    Args:
        network: What is trained.
        optimizer: Updates `network.parameters` from `network.gradient`.
        plan: The run's settings.
    """

    def __init__(self, network: NativeNetwork, optimizer: AdamW, plan: Plan) -> None:
        self.network = network
        self._optimizer = optimizer
        self._batch_size = plan.batch_size
        self._carries_state = not plan.sliding
        self._state = network.zero_state(plan.batch_size)
        self._counters = Counters(*np.zeros(len(Counters._fields), np.float32))
        untrained = network.config.untrained
        self._trained = [name for name in network.weights if name not in untrained]
        self._moments = {
            f"{name}.{key}": view
            for key, flat in (
                ("exp_avg", optimizer.exp_avg),
                ("exp_avg_sq", optimizer.exp_avg_sq),
            )
            for name, view in _views(
                flat, network.parameters, {name: network.weights[name] for name in self._trained}
            ).items()
        }

    def update(self, batch: Batch, masks: Masks | None, learning_rate: float) -> None:
        """Take one step."""
        loss, state = self.network.differentiate(
            batch.inputs_TB, batch.targets_TB, self._state, batch.resets_TB, masks
        )
        masked, norm = self._optimizer.step(loss, learning_rate)
        if not masked:
            self.network.weights_changed()
        if self._carries_state:
            # A state from which a loss overflowed is not carried on either.
            self._state = self.network.zero_state(self._batch_size) if masked else state
        seen = self._counters
        if masked:
            run = seen.run + 1
            self._counters = seen._replace(
                masked=seen.masked + 1, run=run, longest_run=max(seen.longest_run, run)
            )
        else:
            self._counters = seen._replace(
                loss=seen.loss + np.float32(loss),
                grad_norm=seen.grad_norm + np.float32(norm),
                run=np.float32(0),
            )

    def wait(self) -> None:
        """Return at once: the engine's calls end when they are done."""

    def take_counters(self) -> Counters:
        """The counters since they were taken last."""
        taken, zero = self._counters, np.float32(0)
        self._counters = Counters(zero, zero, zero, taken.run, taken.run)
        return taken

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Everything that changes from step to step, copied."""
        tensors: dict[str, NDArray[np.floating]] = {
            name: array.copy() for name, array in self._live_tensors().items()
        }
        for name in self._trained:
            # As other optimisers do, each tensor keeps the number for itself; here they are one.
            tensors[f"optimizer.{name}.step"] = np.array(self._optimizer.steps, np.float32)
        tensors["counters"] = np.array(self._counters, np.float32)
        return tensors

    def load(self, tensors: dict[str, NDArray[np.floating]]) -> None:
        """Go on from what `tensors` returned, on whichever path that was."""
        for name, array in self._live_tensors().items():
            array[...] = tensors[name]
        self._counters = Counters(*tensors["counters"].astype(np.float32))
        self._optimizer.steps = int(tensors[f"optimizer.{self._trained[0]}.step"])
        self.network.weights_changed()

    def _live_tensors(self) -> dict[str, Floats]:
        live = {f"model.{name}": weight for name, weight in self.network.weights.items()}
        live |= {f"optimizer.{name}": moment for name, moment in self._moments.items()}
        for index, layer in enumerate(self._state):
            live |= {f"state.{index}.{name}": value for name, value in layer.items()}
        return live


def open_optimizer(network: NativeNetwork, settings: OptimizerPlan) -> AdamW:
    """The optimiser of the engine, over all weights of `network` that are trained."""
    from textgen.native.net import AdamW

    return AdamW(
        network.parameters[: network.num_trained],
        network.gradient[: network.num_trained],
        network.num_decayed,
        isa=network.engine.isa,
        threads=network.engine.threads,
        beta1=settings.beta1,
        beta2=settings.beta2,
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
    )


def _views(flat: Floats, parameters: Floats, weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """Parts of `flat`, each where a weight of the same name and shape lies in `parameters`."""
    views = {}
    for name, weight in weights.items():
        start = (weight.ctypes.data - parameters.ctypes.data) // parameters.itemsize
        views[name] = flat[start : start + weight.size].reshape(weight.shape)
    return views
