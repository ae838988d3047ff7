"""A network whose predictions are mixed with counts: it reads and writes as any other.

Its state is the network's, with one more entry: the contexts after what was read. All zeros, as at
the beginning of a document, are those of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.mixing.gate import CountMixture
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.native_network import NativeStep, Written
from textgen.model.network import Floats, Ids, State, StepNetwork, one_a_stream
from textgen.native.counts import Blend
from textgen.native.sampler import NO_ID, ChoiceSettings, Standing

_CONTEXTS = "contexts"


class MixedNetwork(StepNetwork):
    """Predicts by a mixture.

    Args:
        network: The model.
        mixture: The counts and the gate, which stay as they are.
    """

    has_counts = True

    def __init__(self, network: StepNetwork, mixture: CountMixture) -> None:
        self._network = network
        self._counts = mixture.counts
        self._blend = Blend(mixture.counts, mixture.weights_S2)
        self.engine = network.engine

    def zero_state(self, batch_size: int = 1) -> State:
        """Return the state at the start of a document, for `batch_size` streams."""
        contexts_BK = np.zeros((batch_size, self._counts.order), np.int32)
        return [*self._network.zero_state(batch_size), {_CONTEXTS: contexts_BK}]

    def step(
        self, ids_B: Ids | int, state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream; the logits are the logarithms of the mixed distribution."""
        ids_B = one_a_stream(ids_B, state)
        edits = () if edits_B is None else (edits_B,)
        logits_BV, after = self._network.step(ids_B, state[:-1], *edits)
        contexts_BK = self._contexts(state)
        mixed_BV = np.array(logits_BV, np.float32, order="C")
        for token, context_K, logits_V in zip(ids_B.tolist(), contexts_BK, mixed_BV, strict=True):
            self._counts.move(context_K, token)
            self._blend.mix(logits_V, context_K)
        return mixed_BV, [*after, {_CONTEXTS: contexts_BK}]

    def read(
        self, ids: Sequence[int], state: State, edits: Edits = NO_EDITS
    ) -> tuple[Floats, State]:
        """Read the tokens of one stream; see `StepNetwork.read`."""
        logits_1V, after = self._network.read(ids, state[:-1], *([edits] if edits else []))
        contexts_1K = self._contexts(state)
        for token in ids:
            self._counts.move(contexts_1K[0], int(token))
        mixed_1V = np.array(logits_1V, np.float32, order="C")
        self._blend.mix(mixed_1V[0], contexts_1K[0])
        return mixed_1V, [*after, {_CONTEXTS: contexts_1K}]

    def _contexts(self, state: State) -> NDArray[np.int32]:
        """The contexts of a state: a copy, `(B, K)`."""
        return np.array(state[-1][_CONTEXTS], np.int32, order="C")


class MixedStep(MixedNetwork):
    """The same on the native engine, one stream at a time: it writes many tokens in a call."""

    def __init__(self, network: NativeStep, mixture: CountMixture) -> None:
        super().__init__(network, mixture)
        self._native = network

    def write(
        self,
        count: int,
        logits_BV: Floats,
        state: State,
        settings: ChoiceSettings,
        counter: int,
        recent: Sequence[int],
        end: int,
        edits: Edits = NO_EDITS,
        previous: int = NO_ID,
        standing: Standing | None = None,
    ) -> Written:
        """Choose and read up to `count` tokens of one stream: as `NativeStep.write`."""
        contexts_1K = self._contexts(state)
        written = self._native.write(
            *(count, logits_BV, state[:-1], settings, counter, recent, end, edits, previous),
            standing,
            blend=self._blend,
            context=contexts_1K[0],
        )
        return Written(
            written.chosen, written.logits_BV, [*written.state, {_CONTEXTS: contexts_1K}]
        )


def mixed(network: StepNetwork, mixture: CountMixture) -> MixedNetwork:
    """A network mixed with counts, on the path that is fastest for it."""
    if isinstance(network, NativeStep):
        return MixedStep(network, mixture)
    return MixedNetwork(network, mixture)
