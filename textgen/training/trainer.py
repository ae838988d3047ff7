"""One training step after another: windows, dropout, learning rate. No files, clock or device.

A `Learner` takes an update, a `Trainer` takes the steps of a plan, a `Run` keeps, measures and
reports them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.windows import Windows
from textgen.errors import RankError
from textgen.model.engine import open_network
from textgen.model.initialise import draw_masks, initial_weights
from textgen.model.members import join, split
from textgen.model.network import Engine, Network
from textgen.sampling.choice import splitmix64
from textgen.training.learner import Learner, NativeLearner, open_optimizer, tensor_shapes
from textgen.training.plan import Plan
from textgen.training.ranks import ALONE, Crew

#: Where the seeds of further members are counted from: beyond the steps of any run.
OTHER_MEMBERS = 2**48


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
    """Takes the steps of a plan; `tensors` and `step` are everything it needs to go on.

    Args:
        learners: One for each member of the plan.
        windows: What they read: the same for all of them. Of several processes, the own share.
        plan: The plan.
        ranks: The processes that take the steps together.
    """

    def __init__(
        self, learners: Sequence[Learner], windows: Windows, plan: Plan, ranks: Crew = ALONE
    ) -> None:
        self.ranks = ranks
        self.step = 0
        #: Steps since the figures were read last.
        self.steps_counted = 0
        self._learners = learners
        self._windows = windows
        self._plan = plan
        # Several members as one, as they are now; None until it is asked for.
        self._joined: Network | None = None

    @property
    def network(self) -> Network:
        """The network that is trained: of several members, as they are now."""
        networks = [learner.network for learner in self._learners]
        if len(networks) == 1:
            return networks[0]
        if self._joined is None:
            model = self._plan.model
            weights = join([network.arrays() for network in networks], model)
            self._joined = open_network(model, networks[0].engine, weights)
        return self._joined

    def advance(self, stop: Callable[[], bool] | None = None) -> bool:
        """Take one step. Does not wait for the device.

        Args:
            stop: Asked in the course of a long step whether to give it up; None: it is taken in any
                case.
        Returns:
            Whether it was taken. After one that was given up all is as before it.
        """
        plan, rate = self._plan, self._plan.learning_rate(self.step)
        batch = self._windows.batch(self.step)
        own = self.ranks.share.of(plan.batch_size)
        # All members take a step, or none does: only the first one gives it up.
        asked = [stop, *[None] * (plan.members - 1)]
        for rng, learner, ask in zip(member_seeds(plan), self._learners, asked, strict=True):
            # The masks depend on the seed of the run and the number of the step alone, so a
            # resumed run draws the same ones, on whichever path.
            seed = splitmix64(rng, self.step)
            masks = draw_masks(plan.member, plan.batch_size, seed, plan.recurrent_dropout)
            if masks is not None and self.ranks.world > 1:
                masks = masks.part(own)
            if not learner.update(batch, masks, rate, ask):
                return False
        self._joined = None
        self.step += 1
        # A batch in which no target counts has no loss for the mean to take in.
        counts = bool((batch.targets_TB >= 0).any())
        self.steps_counted += counts if self._windows.counts_all else self.ranks.any(counts)
        return True

    def wait(self) -> None:
        """Return once all steps taken are computed."""
        for learner in self._learners:
            learner.wait()

    def read_figures(self) -> StepFigures:
        """What happened since the last call, the mean of the members. Waits for the device."""
        counters = [learner.take_counters() for learner in self._learners]
        skipped = sum(int(own.masked) for own in counters)
        applied = self.steps_counted * len(counters) - skipped
        loss, norm = (
            sum(float(getattr(own, name)) for own in counters) / applied if applied else math.nan
            for name in ("loss", "grad_norm")
        )
        figures = StepFigures(
            steps=self.steps_counted,
            nats_per_token=loss,
            grad_norm=norm,
            skipped=skipped,
            skipped_in_a_row=max(int(own.longest_run) for own in counters),
        )
        self.steps_counted = 0
        return figures

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Everything that changes from step to step, copied: weights, moments, carried state.

        The first rank has the states of all streams, others those of their own. All of them call
        it.

        Raises:
            RankError: The weights of the processes have come apart.
        """
        tensors = {
            prefix + name: tensor
            for prefix, learner in zip(_prefixes(self._plan), self._learners, strict=True)
            for name, tensor in learner.tensors().items()
        }
        if self.ranks.world > 1:
            self._require_alike(tensors)
            for name in filter(_is_of_streams, tensors):
                if (rows := self.ranks.gather(tensors[name])) is not None:
                    tensors[name] = np.concatenate(rows)
        return tensors

    def _require_alike(self, tensors: Mapping[str, NDArray[np.floating]]) -> None:
        digest = hashlib.sha256()
        for name, tensor in tensors.items():
            if not _is_of_streams(name):
                digest.update(tensor.tobytes())
        found = self.ranks.gather(digest.hexdigest())
        other = [] if found is None else [r for r, own in enumerate(found) if own != found[0]]
        if other:
            raise RankError(
                f"after step {self.step:,} the weights of rank {other[0]} are not those of rank 0, "
                "so nothing was saved: are all machines alike, with the same version of textgen? "
                "The same command goes on from what was saved last"
            )

    def load(self, step: int, steps_counted: int, tensors: dict[str, NDArray[np.floating]]) -> None:
        """Go on from what `tensors` returned on the first rank, of however many, after `step`."""
        own = self.ranks.share.of(self._plan.batch_size)
        for prefix, learner in zip(_prefixes(self._plan), self._learners, strict=True):
            learner.load(
                {
                    name.removeprefix(prefix): tensor[own] if _is_of_streams(name) else tensor
                    for name, tensor in tensors.items()
                    if name.startswith(prefix)
                }
            )
        self._joined = None
        self.step = step
        self.steps_counted = steps_counted


def _prefixes(plan: Plan) -> list[str]:
    """What the names of each member's tensors begin with: nothing where there is one."""
    return [""] if plan.members == 1 else [f"{index}." for index in range(plan.members)]


def _is_of_streams(name: str) -> bool:
    """Whether a tensor has a row for each stream."""
    return ".state." in f".{name}"


def trainer_shapes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Name and shape of everything that `Trainer.tensors` holds under `plan`: to check a file."""
    return {
        prefix + name: shape
        for prefix in _prefixes(plan)
        for name, shape in tensor_shapes(plan).items()
    }


def member_seeds(plan: Plan) -> list[int]:
    """The seeds of the members' first weights and masks; the first one's is that of the run."""
    others = (splitmix64(plan.rng, OTHER_MEMBERS + index) for index in range(1, plan.members))
    return [plan.rng, *others]


def first_weights(plan: Plan) -> dict[str, NDArray[np.float32]]:
    """The drawn weights of a run's model."""
    return join([initial_weights(plan.member, rng) for rng in member_seeds(plan)], plan.model)


def open_trainer(
    plan: Plan,
    path: Engine,
    windows: Windows,
    weights: Mapping[str, NDArray[np.float32]] | None,
    ranks: Crew = ALONE,
) -> Trainer:
    """A trainer at the beginning of a run; weights of None are left for `Trainer.load`."""
    own = [None] * plan.members if weights is None else split(weights, plan.model, plan.members)
    return Trainer(
        [open_learner(open_network(plan.member, path, member), plan, ranks) for member in own],
        windows,
        plan,
        ranks,
    )


def open_learner(network: Network, plan: Plan, ranks: Crew = ALONE) -> Learner:
    """A learner for `network`, whose path decides what computes."""
    if network.engine.name == "native":
        from textgen.model.native_network import NativeNetwork

        assert isinstance(network, NativeNetwork)
        return NativeLearner(network, open_optimizer(network, plan.optimizer), plan, ranks)
    from textgen.model.torch_network import TorchNetwork
    from textgen.training.torch_learner import TorchLearner

    assert isinstance(network, TorchNetwork)
    return TorchLearner(network, plan, ranks)


def path_name(path: Engine) -> str:
    """The path with everything that its numbers depend on, in words: `native (avx512)`."""
    return f"{path.name} ({path.isa})" if path.isa else path.name
