"""Training by torch: automatic differentiation and a fused optimiser, on a CPU or a GPU.

A step never waits for the device. Batches travel through page-locked memory; state, counters and
what decides whether an update is masked stay on the device. The fused kernel of torch divides the
gradient by a factor and skips the update by a flag, and both stay there too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from textgen.corpus.windows import Batch
from textgen.model.initialise import Masks
from textgen.model.recurrence import TorchState, make_resets, to_device
from textgen.model.torch_network import TorchNetwork
from textgen.training.learner import Counters, parts_of
from textgen.training.plan import OptimizerPlan, Plan
from textgen.training.ranks import ALONE, Crew


class TorchLearner:
    """Updates a torch module; see `Learner`.

    Args:
        network: What is trained, on its device.
        plan: The run's settings.
        ranks: The processes that read the streams of a step.
    """

    def __init__(self, network: TorchNetwork, plan: Plan, ranks: Crew = ALONE) -> None:
        self.network = network
        self._model = network.model
        self._device = torch.device(network.engine.device)
        self._carries_state = not plan.sliding
        trained = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self._optimizer = MaskedAdamW(trained, plan.optimizer)
        self._ranks = ranks
        self._parts = parts_of(plan, ranks)
        self._gradients: _Gradients | None = None
        if len(self._parts) > 1 or ranks.world > 1:
            self._gradients = _Gradients(list(trained.values()), ranks)
        self._state = self._model.zero_state(self._parts[-1].stop)
        self._zero = torch.zeros((), device=self._device)
        self._counters = Counters(*[self._zero] * len(Counters._fields))

    def update(
        self,
        batch: Batch,
        masks: Masks | None,
        learning_rate: float,
        stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Take one step, whatever `stop` says. Does not wait for the device."""
        loss, state, lost = self._differentiate(batch, masks)
        bad, norm = self._optimizer.step(loss, learning_rate)
        if self._carries_state:
            # A state from which a loss overflowed is not carried on either, nor one from which the
            # next loss would.
            lost = bad | lost
            self._state = [
                {name: value.detach().masked_fill(lost, 0.0) for name, value in layer.items()}
                for layer in state
            ]
        # Filled, not chosen by `where`, which would copy its number from the host and wait.
        seen = self._counters
        run = (seen.run + 1).masked_fill(~bad, 0.0)
        self._counters = Counters(
            loss=seen.loss + loss.masked_fill(bad, 0.0),
            grad_norm=seen.grad_norm + norm.masked_fill(bad, 0.0),
            masked=seen.masked + bad,
            run=run,
            longest_run=torch.maximum(seen.longest_run, run),
        )
        return True

    def _differentiate(
        self, batch: Batch, masks: Masks | None
    ) -> tuple[Tensor, list[TorchState], Tensor]:
        """The mean loss over all streams, whose gradient the weights then have; the state of the
        own ones after the window; and whether any is not finite."""
        sums = self._gradients
        if sums is None:
            loss, state = self._read(batch, masks, self._state)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach(), state, _is_lost(state)
        sums.begin()
        states = []
        for part in self._parts:
            own = batch.part(part)
            before = [{n: v[part] for n, v in layer.items()} for layer in self._state]
            loss, after = self._read(own, None if masks is None else masks.part(part), before)
            # The means become sums, and the sum of all a mean again: parts differ in their targets.
            loss = loss * own.counted
            loss.backward()  # type: ignore[no-untyped-call]
            sums.add(loss.detach(), own.counted, _is_lost(after))
            states.append(after)
        state = [
            {name: torch.cat([part[layer][name] for part in states]) for name in values}
            for layer, values in enumerate(states[0])
        ]
        loss, lost = sums.end()
        return loss, state, lost

    def _read(
        self, batch: Batch, masks: Masks | None, state: list[TorchState]
    ) -> tuple[Tensor, list[TorchState]]:
        """The mean loss of some streams, and their state after the window."""
        # Of a part of the streams they are no whole arrays, which the copy would wait to become.
        inputs_TB, targets_TB = (
            to_device(torch.from_numpy(np.ascontiguousarray(ids_TB)), self._device)
            for ids_TB in (batch.inputs_TB, batch.targets_TB)
        )
        resets = make_resets(batch.resets_TB, self._device)
        labels_TB = None
        if batch.labels_TB is not None:
            labels = torch.from_numpy(np.ascontiguousarray(batch.labels_TB))
            labels_TB = to_device(labels, self._device)
        outputs_TBH, after = self._model.read(inputs_TB, state, resets, masks, labels_TB)
        scores = self._model.project(outputs_TBH)
        if self._model.config.has_vector_output:
            return self._model.distance_loss(scores, targets_TB), after
        if batch.counted:
            scores_NV, targets_N = scores.flatten(0, 1), targets_TB.flatten()
            return F.cross_entropy(scores_NV, targets_N, ignore_index=-1), after
        # Nothing counts here, and the mean of nothing is not a number.
        return 0.0 * scores.sum(), after

    def wait(self) -> None:
        """Return once the device has done all it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()

    def take_counters(self) -> Counters:
        """The counters since they were taken last. Waits for the device."""
        taken = Counters(*torch.stack(self._counters).tolist())
        run = self._counters.run
        self._counters = Counters(self._zero, self._zero, self._zero, run, run)
        return taken

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Everything that changes from step to step, copied."""
        live = {**self._live_tensors(), "counters": torch.stack(self._counters)}
        return {name: tensor.detach().to("cpu", copy=True).numpy() for name, tensor in live.items()}

    @torch.no_grad()
    def load(self, tensors: dict[str, NDArray[np.floating]]) -> None:
        """Go on from what `tensors` returned, on whichever path that was."""
        for name, tensor in self._live_tensors().items():
            tensor.copy_(torch.from_numpy(np.array(tensors[name])))
        counters = torch.from_numpy(np.array(tensors["counters"], np.float32))
        self._counters = Counters(*counters.to(self._device))

    def _live_tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {
            f"model.{name}": p for name, p in self._model.named_parameters()
        }
        tensors |= {f"optimizer.{name}": t for name, t in self._optimizer.tensors().items()}
        for index, layer in enumerate(self._state):
            tensors |= {f"state.{index}.{name}": t for name, t in layer.items()}
        return tensors


def _is_lost(state: list[TorchState]) -> Tensor:
    """Whether something in it is not finite; on the device."""
    finite = [torch.isfinite(value).all() for layer in state for value in layer.values()]
    return ~torch.stack(finite).all()


class _Gradients:
    """The gradients of all weights in one flat tensor, summed over parts and over processes.

    After the gradients stand the sum of the losses, the targets that they are of, and how many
    parts have a state that is not finite.

    Args:
        parameters: Everything that learns.
        ranks: The processes that have parts.
    """

    def __init__(self, parameters: list[nn.Parameter], ranks: Crew) -> None:
        self._parameters, self._ranks = parameters, ranks
        self._size = sum(p.numel() for p in parameters)
        room = ranks.padded(self._size + 3)
        self._flat = torch.zeros(room, device=parameters[0].device)
        own = torch.split(self._flat[: self._size], [p.numel() for p in parameters])
        self._views = [part.view_as(p) for part, p in zip(own, parameters, strict=True)]

    def begin(self) -> None:
        """From here on the weights add up their gradients in the flat tensor."""
        self._flat.zero_()
        for parameter, view in zip(self._parameters, self._views, strict=True):
            parameter.grad = view

    def add(self, loss: Tensor, counted: int, lost: Tensor) -> None:
        """Take in a part whose gradients are added: the sum of its losses, and their number."""
        self._flat[self._size] += loss
        self._flat[self._size + 1] += counted
        self._flat[self._size + 2] += lost

    def end(self) -> tuple[Tensor, Tensor]:
        """Make the sums of all processes means; the mean loss, and whether a state is lost."""
        self._ranks.sum_(self._flat)
        total, counted, lost = self._flat[self._size : self._size + 3].clone()
        counted = counted.clamp(min=1.0)
        self._flat[: self._size] /= counted
        return total / counted, lost > 0


class MaskedAdamW:
    """AdamW that clips the gradient and lets no number that is not finite near the weights.

    Decoupled weight decay: Loshchilov and Hutter 2019, arXiv:1711.05101.

    Args:
        parameters: Name and tensor of everything that learns. Matrices decay, vectors do not.
        plan: Decay of the second moment and of the weights, and the gradient norm above which it
            is scaled down; the learning rate comes with each step.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], plan: OptimizerPlan) -> None:
        self._parameters = parameters
        matrices = [p for p in parameters.values() if p.dim() > 1]
        vectors = [p for p in parameters.values() if p.dim() <= 1]
        device = next(iter(parameters.values())).device
        self._adamw = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": plan.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=plan.learning_rate,
            betas=(plan.beta1, plan.beta2),
            fused=True,
        )
        self._clip = torch.tensor(plan.clip_norm, device=device)
        for parameter in parameters.values():
            self._adamw.state[parameter] = {
                "step": torch.zeros((), device=device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    @torch.no_grad()
    def step(self, loss: Tensor, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Update the weights from their gradients, which are freed.

        Args:
            loss: The loss that was differentiated; a non-finite one masks the update too.
            learning_rate: Of this step.
        Returns:
            Whether the update was masked (a boolean scalar), and the gradient's norm before
            clipping; both on the device.
        """
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        bad = ~torch.isfinite(norm + loss)
        for group in self._adamw.param_groups:
            group["lr"] = learning_rate
        # The attributes by which torch's gradient scaler talks to a fused optimiser.
        self._adamw.grad_scale = torch.clamp(norm / self._clip, min=1.0)  # type: ignore[attr-defined]
        self._adamw.found_inf = bad.to(torch.float32)  # type: ignore[attr-defined]
        self._adamw.step()
        self._adamw.zero_grad(set_to_none=True)
        return bad, norm

    def tensors(self) -> dict[str, Tensor]:
        """Its state by name, for a checkpoint: the tensors themselves."""
        return {
            f"{name}.{key}": value
            for name, parameter in self._parameters.items()
            for key, value in self._adamw.state[parameter].items()
        }
