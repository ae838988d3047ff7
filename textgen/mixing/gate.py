"""The gate: how much of the network and how much of the counts is in a mixture, and how it learns.

The mixture is geometric. With n(x) of the network and c(x) of the counts,

    log p(x) = a log n(x) + b log c(x) - log(sum over all symbols of n^a c^b)

so it is a distribution over all symbols. The weights a and b are each the sum of four entries of a
table: one that is always the same, one of the entropy of n, one of the entropy of c (classes of
both), and one of the length of the longest context that the counts know. They begin at 0.7 and
0.25.

After each token that was predicted, the entries that took part move against the gradient of its
cost, which for a is `E[log n] - log n(x)` with the expectation under p. Every entry has a rate of
its own, 0.02 divided by the root of the sum of its squared gradients so far (Duchi, Hazan and
Singer 2011, AdaGrad). So what a token costs never depends on the tokens after it. The gate that
writes was fitted on validation text in the same way, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.model.head import nats_of, open_head
from textgen.model.network import Floats, Network, Predicted, TokenReader
from textgen.native.counts import Blend, Counts, sets_of

#: The weights of the network and of the counts before anything was read.
FIRST_WEIGHTS = 0.7, 0.25
RATE = 0.02
#: Tokens that are read at once, and the most logits.
_CHUNK, _LOGITS = 2048, 1 << 24

Tokens = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class CountMixture:
    """Counts and the weights of a gate.

    Args:
        counts: The counts of the training text.
        weights_S2: The weights of the network and of the counts, for each set.
        tokens: Tokens that were counted.
        fitted: Tokens that the weights learned from.
        gain: How much less these cost by the mixture than by the network alone, in nats a token;
            the weights learned from each after it was predicted.
    """

    counts: Counts
    weights_S2: NDArray[np.float64]
    tokens: int
    fitted: int = 0
    gain: float = 0.0

    @classmethod
    def of(cls, counts: Counts, tokens: int) -> CountMixture:
        """Counts with the gate as it begins."""
        weights_S2 = np.zeros((sets_of(counts), 2))
        weights_S2[0] = FIRST_WEIGHTS
        return cls(counts, weights_S2, tokens)

    def fit(self, network: Network, tokens: Tokens) -> CountMixture:
        """The same with a gate that has learned from a text."""
        reader, gain = MixtureReader(self, learn=False), 0.0
        for part, logits_NV in predictions(network, tokens):
            alone = float(nats_of(logits_NV, part).sum(dtype=np.float64))
            gain += alone - float(reader.read(part, logits_NV).sum())
        gain /= max(len(tokens), 1)
        return CountMixture(self.counts, reader.weights_S2, self.tokens, len(tokens), gain)

    def nats(
        self, network: Network, tokens: Tokens, *, learn: bool
    ) -> Iterator[NDArray[np.float64]]:
        """Read a text from its beginning; the gate, a copy of its own, learns on the way.

        Args:
            network: The model.
            tokens: The text.
            learn: Whether the counts learn too: they have this text in them afterwards.
        Yields:
            What the next tokens cost, in nats, without escapes.
        """
        return self.nats_of(predictions(network, tokens), learn=learn)

    def nats_of(
        self, predicted: Iterable[Predicted], *, learn: bool
    ) -> Iterator[NDArray[np.float64]]:
        """The same of a text that somebody else predicts.

        Args:
            predicted: The text in parts, each with the logits before its tokens, which are
                overwritten with those of the mixture.
            learn: As for `nats`.
        """
        reader = MixtureReader(self, learn=learn)
        for part, logits_NV in predicted:
            yield reader.read(part, logits_NV)

    def to_json(self) -> dict[str, Any]:
        """What is mixed, as plain data."""
        return {
            "order": self.counts.order,
            "counted_tokens": self.tokens,
            "fitted_tokens": self.fitted,
            "gain_nats_per_token": self.gain,
        }


class MixtureReader:
    """Reads one text from its beginning by a mixture, whose gate learns on the way.

    Args:
        mixture: The counts and the gate as it begins, which stays as it is.
        learn: Whether the counts learn too: they have the text in them afterwards.
    """

    def __init__(self, mixture: CountMixture, *, learn: bool) -> None:
        #: The weights of the gate as they are now.
        self.weights_S2 = mixture.weights_S2.copy()
        self._blend = Blend(mixture.counts, self.weights_S2, RATE)
        self._learn = learn
        self._context = mixture.counts.no_context()
        # The text follows an end mark, as the first token of a document does.
        mixture.counts.move(self._context, END_ID)

    def read(self, part: Tokens, logits_NV: NDArray[np.float32]) -> NDArray[np.float64]:
        """Read the tokens of a part, each of which is predicted and then learned from.

        Args:
            part: The tokens.
            logits_NV: The network's before each; overwritten with the mixture's.
        Returns:
            What each token costs, in nats, without escapes.
        """
        return self._blend.read(part, logits_NV, self._context, learn=self._learn)

    def predict(self, logits_V: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mixture's logits of the next token, by the network's: as `read` mixes them."""
        mixed_V = logits_V.copy()
        self._blend.mix(mixed_V, self._context)
        return mixed_V


class MixedTokenReader:
    """Reads as `MixtureReader` does, but token by token: for whom the next one is not known yet.

    Args:
        network: What is mixed with the counts.
        mixture: The mixture, before its text.
    """

    def __init__(self, network: TokenReader, mixture: MixtureReader) -> None:
        self._network, self._mixture = network, mixture
        self._logits_1V = np.zeros((0, 0), np.float32)  # The network's of the next token.

    def read(self, token: int) -> Floats:
        """Read one token; see `TokenReader.read`."""
        if len(self._logits_1V):
            self._mixture.read(np.array([token]), self._logits_1V)
        logits_V = self._network.read(token)
        self._logits_1V = np.array(logits_V[None, :], np.float32, order="C")
        return self._mixture.predict(self._logits_1V[0])


def predictions(network: Network, tokens: Tokens) -> Iterator[Predicted]:
    """The tokens of a text, and the logits before each of them `(N, V)`, in parts."""
    head = open_head(network.config, network.arrays())
    state, previous = network.zero_state(1), END_ID
    chunk = max(1, min(_CHUNK, _LOGITS // network.config.vocab_size))
    for first in range(0, len(tokens), chunk):
        part = np.asarray(tokens[first : first + chunk], np.int64)
        inputs_T1 = np.concatenate(([previous], part[:-1]))[:, None]
        resets_T1 = inputs_T1 == END_ID
        outputs_T1H, state = network.outputs(
            inputs_T1, state, resets_T1 if resets_T1.any() else None
        )
        logits_NV = head.logits(outputs_T1H[:, 0])
        yield part, np.ascontiguousarray(logits_NV, np.float32)
        previous = int(part[-1])
