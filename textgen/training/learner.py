"""What takes one update: the weights, their optimiser and the carried state, on one path.

`NativeLearner` trains by the engine, without torch, `TorchLearner` by torch; a `Trainer` gives them
their batches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.corpus.windows import Batch, Portion, Tokens
from textgen.model.head import DistanceHead, fit_scale
from textgen.model.initialise import Masks
from textgen.model.network import Network, State
from textgen.training.plan import OptimizerPlan, Plan
from textgen.training.ranks import ALONE, Crew

if TYPE_CHECKING:
    from textgen.model.native_network import NativeNetwork
    from textgen.native.net import AdamW

Floats = NDArray[np.float32]
T = TypeVar("T")

#: A step of more products of a token and a weight is a long one: a tenth of a second or more, which
#: who stops a run does not wait for. Seconds between two questions whether it is to be given up.
LONG, LOOK = 10**9, 0.02

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

    def update(
        self,
        batch: Batch,
        masks: Masks | None,
        learning_rate: float,
        stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Take one step; does not wait for a device.

        An update is masked where the loss or its gradient is not finite: then weights and moments
        stay as they are. The carried state then starts from zero, as it does where it is not
        finite itself.

        Args:
            batch: The windows, and where documents begin in them.
            masks: What dropout leaves of the embedding, of the outputs of the layers and of the
                recurrent weights; None leaves everything.
            learning_rate: Of this step.
            stop: Asked again and again in the course of a long step whether to give it up; None:
                it is taken in any case.
        Returns:
            Whether it was taken. One that is given up has changed nothing.
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
    for name, shape in plan.member.tensor_shapes().items():
        shapes[f"model.{name}"] = shape
        if name in plan.model.untrained:
            continue
        shapes[f"optimizer.{name}.step"] = ()
        shapes[f"optimizer.{name}.exp_avg"] = shape
        shapes[f"optimizer.{name}.exp_avg_sq"] = shape
    for index in range(plan.model.num_layers):
        for name in plan.model.cell_spec.state_names:
            shapes[f"state.{index}.{name}"] = (plan.batch_size, plan.member.hidden_size)
    return shapes


def fit_head_scale(network: Network, tokens: Tokens) -> None:
    """Fit the scale of a distance head on a slice of the training text; nothing for other heads.

    The loss does not depend on the scale, so no gradient trains it. It is fitted whenever the
    weights are about to be evaluated, sampled from or kept, as a function of the weights and the
    text alone.
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


def parts_of(plan: Plan, ranks: Crew) -> list[slice]:
    """The streams of this process that are computed together, counted from its first: all of them,
    or in so many parts as the plan says. One part of one process has the gradient of all."""
    own = ranks.share.of(plan.batch_size)
    count = own.stop - own.start
    parts = [Portion(index, plan.accumulate).of(count) for index in range(plan.accumulate)]
    return [part for part in parts if part.stop > part.start]


class NativeLearner:
    """Updates a network in place by the native engine; see `Learner`.

    The moments lie in flat arrays as the weights do in `network.parameters`, so that `optimizer`
    goes over everything in one pass; their names are those of the weights.

    Args:
        network: What is trained.
        optimizer: Goes over its weights.
        plan: The run's settings.
        ranks: The processes that read the streams of a step.
    """

    def __init__(
        self, network: NativeNetwork, optimizer: AdamW, plan: Plan, ranks: Crew = ALONE
    ) -> None:
        self.network = network
        self._optimizer = optimizer
        self._ranks = ranks
        self._parts = parts_of(plan, ranks)
        self._batch_size = self._parts[-1].stop
        self._carries_state = not plan.sliding
        # Several processes take every step together, and none of them gives one up.
        is_alone = ranks.world == 1
        products = plan.tokens_per_step * plan.member.num_parameters()
        self._is_long = is_alone and products > LONG
        # The gradient of all parts and processes, then the sum of the losses, the targets that they
        # are of, and how many parts have a state that is not finite.
        self._sums: Floats | None = None
        if len(self._parts) > 1 or not is_alone:
            self._sums = np.zeros(ranks.padded(network.num_trained + 3), np.float32)
        self._state = network.zero_state(self._batch_size)
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

    def update(
        self,
        batch: Batch,
        masks: Masks | None,
        learning_rate: float,
        stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Take one step, unless `stop` says so before anything is changed; whether it was taken."""

        def differentiate() -> tuple[float, State, bool]:
            return self._differentiate(batch, masks)

        if stop is None or not self._is_long:
            loss, state, lost = differentiate()
        elif (found := unless(stop, differentiate)) is not None:
            loss, state, lost = found
        else:
            return False
        masked, norm = self._optimizer.step(loss, learning_rate)
        if not masked:
            self.network.weights_changed()
        if self._carries_state:
            # A state from which a loss overflowed is not carried on either, nor one from which the
            # next loss would.
            lost = masked or lost
            self._state = self.network.zero_state(self._batch_size) if lost else state
        seen = self._counters
        if masked:
            run = seen.run + 1
            self._counters = seen._replace(
                masked=seen.masked + 1, run=run, longest_run=max(seen.longest_run, run)
            )
        else:
            # Finite losses may have a sum that is not; the report then says so.
            with np.errstate(over="ignore"):
                self._counters = seen._replace(
                    loss=seen.loss + np.float32(loss),
                    grad_norm=seen.grad_norm + np.float32(norm),
                    run=np.float32(0),
                )
        return True

    def _differentiate(self, batch: Batch, masks: Masks | None) -> tuple[float, State, bool]:
        """The mean loss over all streams, whose gradient the network then has; the state of the own
        ones after the window; and whether any is not finite."""
        sums = self._sums
        if sums is None:
            loss, state = self._read(batch, masks, self._state)
            return loss, state, self._carries_state and not _is_finite(state)
        size = self.network.num_trained
        gradient, states = self.network.gradient[:size], []
        sums[...] = 0.0
        for number, part in enumerate(self._parts):
            own = batch.part(part)
            before = [{n: v[part] for n, v in layer.items()} for layer in self._state]
            loss, after = self._read(own, None if masks is None else masks.part(part), before)
            counted = own.counted
            # The means become sums, and the sum of all a mean again: parts differ in their targets.
            if number == 0:
                np.multiply(gradient, np.float32(counted), out=sums[:size])
            else:
                gradient *= np.float32(counted)
                sums[:size] += gradient
            with np.errstate(over="ignore"):
                lost = self._carries_state and not _is_finite(after)
                sums[size : size + 3] += (loss * counted, counted, lost)
            states.append(after)
        self._ranks.sum_(sums)
        counted = max(1.0, sums[size + 1])
        np.divide(sums[:size], np.float32(counted), out=gradient)
        state = [
            {name: np.concatenate([part[layer][name] for part in states]) for name in values}
            for layer, values in enumerate(states[0])
        ]
        return float(sums[size]) / counted, state, bool(sums[size + 2])

    def _read(self, batch: Batch, masks: Masks | None, state: State) -> tuple[float, State]:
        return self.network.differentiate(
            *(batch.inputs_TB, batch.targets_TB, state, batch.resets_TB, masks),
            labels_TB=batch.labels_TB,
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


def _is_finite(state: State) -> bool:
    return all(bool(np.isfinite(v).all()) for layer in state for v in layer.values())


def unless(stop: Callable[[], bool], work: Callable[[], T]) -> T | None:
    """What `work` returns, computed by a thread of its own; None as soon as `stop` says so.

    Python answers no signal while its first thread is in a call of the engine. The thread that is
    given up computes on until its call ends, or the program does.
    """
    found: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="step", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK)
        if thread.is_alive() and stop():
            return None
    if errors:
        raise errors[0]
    return found[0]


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
