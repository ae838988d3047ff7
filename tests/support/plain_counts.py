"""Counts in dictionaries and their mixture in NumPy: the definitions of what the engine does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from textgen.corpus.vocabulary import END_ID
from textgen.mixing import CountMixture, MixedNetwork
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.head import log_softmax
from textgen.model.network import Floats, Ids, State, StepNetwork, one_a_stream

#: Where one class of an entropy ends and the next begins, in nats.
BOUNDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.4, 1.9, 2.5, 3.5)


class PlainCounts:
    """Counts by their definition: a dictionary of contexts, all of them, each a tuple."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.followed: dict[tuple[int, ...], dict[int, int]] = defaultdict(dict)
        self.context: tuple[int, ...] = ()

    def after(self, context: tuple[int, ...], token: int) -> tuple[int, ...]:
        return (END_ID,) if token == END_ID else (*context, token)[-self.order :]

    def add(self, token: int) -> None:
        for length in range(len(self.context), -1, -1):
            found = self.followed[self.context[len(self.context) - length :]]
            found[token] = found.get(token, 0) + 1
            if found[token] > 1:  # Not new here: the shorter contexts do not count it.
                break
        self.context = self.after(self.context, token)

    def discounts(self) -> np.ndarray:
        kinds = np.zeros((self.order + 1, 5))
        for context, found in self.followed.items():
            for count in found.values():
                kinds[len(context), min(count, 5) - 1] += 1
        rows = []
        for one, two, three, four, _ in kinds:
            share = one / (one + 2 * two) if one + two else 0.5
            first = 1 - 2 * share * two / one if one else 0.5
            second = 2 - 3 * share * three / two if two else 1.0
            third = 3 - 4 * share * four / three if three else 1.5
            rows.append(
                [np.clip(d, 0.05, m - 0.05) for m, d in enumerate((first, second, third), 1)]
            )
        return np.array(rows)

    def predict(self, context: tuple[int, ...], vocab: int) -> tuple[np.ndarray, int]:
        discounts, longest = self.discounts(), 0
        p_V = np.full(vocab, 1 / vocab)
        for length in range(len(context) + 1):
            found = self.followed.get(context[len(context) - length :])
            if not found:
                break
            longest, total, left, own_V = length, sum(found.values()), 0.0, np.zeros(vocab)
            for token, count in found.items():
                discount = discounts[length, min(count, 3) - 1]
                own_V[token] = (count - discount) / total
                left += discount / total
            p_V = own_V + left * p_V
        return p_V, longest


class PlainMixed(MixedNetwork):
    """A network mixed with counts, one row: the formula of `textgen.mixing.gate` at each token.

    Args:
        network: The network.
        counts: The counts.
        mixture: The gate of the same counts.
    """

    def __init__(self, network: StepNetwork, counts: PlainCounts, mixture: CountMixture) -> None:
        super().__init__(network, mixture)
        self._plain, self._weights_S2 = counts, mixture.weights_S2

    def zero_state(self, batch_size: int = 1) -> State:
        """Before anything: no tokens were read, which stand for the contexts."""
        tokens_B0 = np.zeros((batch_size, 0), np.int32)
        return [*self._network.zero_state(batch_size), {"tokens": tokens_B0}]

    def step(
        self, ids_B: Ids | int, state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token."""
        (token,) = one_a_stream(ids_B, state).tolist()
        logits_BV, after = self._network.step(np.array([token]), state[:-1])
        context = self._plain.after(tuple(state[-1]["tokens"][0].tolist()), token)
        return self._mixed(logits_BV[0], context)[None], [
            *after,
            {"tokens": np.array([context], np.int32)},
        ]

    def read(
        self, ids: Sequence[int], state: State, edits: Edits = NO_EDITS
    ) -> tuple[Floats, State]:
        """Read tokens, one after the other."""
        return StepNetwork.read(self, ids, state, edits)

    def _mixed(self, logits_V: Floats, context: tuple[int, ...]) -> Floats:
        network_V = log_softmax(logits_V.astype(np.float64))
        counts_V, longest = self._plain.predict(context, len(logits_V))
        unsure = [-(np.exp(network_V) * network_V).sum(), -(counts_V * np.log(counts_V)).sum()]
        classes = [int(np.searchsorted(BOUNDS, entropy)) for entropy in unsure]
        most = len(BOUNDS) + 1
        sets = [0, 1 + classes[0], 1 + most + classes[1], 1 + 2 * most + longest]
        of_network, of_counts = self._weights_S2[sets].sum(axis=0)
        mixed_V = log_softmax(of_network * network_V + of_counts * np.log(counts_V))
        return mixed_V.astype(np.float32)
