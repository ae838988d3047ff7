"""The most likely text, as far as a search finds it that keeps a few beginnings: beam search.

The text that the most likely token at each place gives is one of the candidates to the end, so what
is found is at least as likely. All beginnings are computed one by one, by the arithmetic of a text
that is written alone: likelihoods can be compared to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.errors import SamplingError
from textgen.model.head import log_softmax
from textgen.model.network import StepNetwork
from textgen.native.sampler import NO_ID
from textgen.options import SampleOptions
from textgen.sampling.choice import NOT_FINITE, Chooser, hold_to
from textgen.sampling.networks import Position, joined, start, step
from textgen.sampling.stream import GeneratedSymbol, Stream


@dataclass(frozen=True, eq=False)
class _Beginning:
    """How a text may begin.

    Args:
        stream: The text.
        likelihood: Of all its tokens, natural logarithm.
        last: Its last token; None: it has none.
        before: What it was without it.
        row: Where the network stands after `before`, among the rows of the search.
        is_greedy: Whether each of its tokens is the most likely one.
    """

    stream: Stream
    likelihood: float = 0.0
    last: GeneratedSymbol | None = None
    before: _Beginning | None = None
    row: int = 0
    is_greedy: bool = True

    def symbols(self) -> list[GeneratedSymbol]:
        """Its tokens."""
        found: list[GeneratedSymbol] = []
        here: _Beginning | None = self
        while here is not None and here.last is not None:
            found.append(here.last)
            here = here.before
        return found[::-1]


class BeamWriter:
    """Lets a network look for the most likely text.

    Of two texts that end at different places the shorter one is mostly more likely: the end mark is
    a token as any other.

    Args:
        network: The model; many rows are stepped as each alone.
        options: How many beginnings are kept, and where the text ends.
        stream: The text, not begun.
        position: Where the network stands, one row.
    """

    def __init__(
        self, network: StepNetwork, options: SampleOptions, stream: Stream, position: Position
    ) -> None:
        self._network = network
        self._options = options
        self._position = position
        self._chooser = Chooser(options, rules=stream.rules)
        previous = stream.context_ids[-1] if len(stream.context_ids) else NO_ID
        self._previous_B = np.array([previous])
        self._going = [] if stream.is_over else [_Beginning(stream)]
        self._best: _Beginning | None = None

    def symbols(self) -> Iterator[GeneratedSymbol]:
        """Search, then hand out the tokens of the most likely text.

        Raises:
            SamplingError: The model's output is not finite.
        """
        while self._going:
            self._going = self._next()
            # A text never becomes more likely by what follows.
            if (best := self._best) is not None:
                self._going = [b for b in self._going if b.likelihood > best.likelihood]
            if self._going:
                self._read()
        if self._best is not None:
            yield from self._best.symbols()

    def _next(self) -> list[_Beginning]:
        """The most likely beginnings with one token more, and the greedy one; those that end there
        are compared with the best."""
        allowed_BV, prices_B = self._allowed()
        logprobs_BV = log_softmax(self._position.logits_BV)
        likelihoods_B = np.array([beginning.likelihood for beginning in self._going])
        scores_BV = np.where(np.isneginf(allowed_BV), -np.inf, logprobs_BV + likelihoods_B[:, None])
        going: list[_Beginning] = []
        # Where one of them ends, none takes its place: what is less likely will not be the best.
        for row, token in _largest(scores_BV, self._options.beam):
            self._take(self._longer(row, token, allowed_BV, logprobs_BV, prices_B), going)
        if not any(beginning.is_greedy for beginning in going):
            for row, beginning in enumerate(self._going):
                if beginning.is_greedy:
                    token = int(allowed_BV[row].argmax())
                    self._take(self._longer(row, token, allowed_BV, logprobs_BV, prices_B), going)
        return going

    def _take(self, beginning: _Beginning, going: list[_Beginning]) -> None:
        """Let it go on, or compare it with the best where it has ended."""
        assert beginning.last is not None
        if beginning.last.finish_reason is None:
            going.append(beginning)
        elif self._best is None or beginning.likelihood > self._best.likelihood:
            self._best = beginning

    def _longer(
        self,
        row: int,
        token: int,
        allowed_BV: NDArray[np.float32],
        logprobs_BV: NDArray[np.float64],
        prices_B: NDArray[np.float64],
    ) -> _Beginning:
        """A beginning with one token more."""
        beginning = self._going[row]
        stream = beginning.stream.fork()
        logprob = float(logprobs_BV[row, token])
        symbol = stream.accept(token, 1.0, logprob, float(prices_B[row]))
        return _Beginning(
            stream,
            beginning.likelihood + logprob,
            symbol,
            beginning,
            row,
            beginning.is_greedy and token == int(allowed_BV[row].argmax()),
        )

    def _allowed(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The logits of what may come next, the rest at `-inf`; and the bits that forms cost."""
        logits_BV = self._position.logits_BV
        if not np.isfinite(logits_BV).all():
            raise SamplingError(NOT_FINITE)
        free_BV = self._chooser.free(logits_BV, self._previous_B)
        prices_B = np.zeros(len(free_BV))
        masks = [beginning.stream.allowed for beginning in self._going]
        if masks[0] is not None:
            prices_B = hold_to(free_BV, np.stack([mask for mask in masks if mask is not None]))
        for row, beginning in enumerate(self._going):
            free_BV[row, list(beginning.stream.repeated)] = -np.inf
        return free_BV, prices_B

    def _read(self) -> None:
        """Let the network read the last token of each beginning."""
        ids_B = np.array([b.last.id for b in self._going if b.last is not None])
        rows_B = np.array([beginning.row for beginning in self._going])
        position = step(self._network, ids_B, self._position.repeat(rows_B).state)
        if (ids_B == END_ID).any():
            # What comes after it is another document, which begins as the first did.
            first = start(self._network)
            each = [position.repeat(np.array([row])) for row in range(len(ids_B))]
            position = joined(
                [
                    first if is_end else own
                    for own, is_end in zip(each, ids_B == END_ID, strict=True)
                ]
            )
        self._position, self._previous_B = position, ids_B


def _largest(scores_BV: NDArray[np.float64], count: int) -> list[tuple[int, int]]:
    """Row and token of the largest scores, the largest first; of equal ones the first.

    Raises:
        SamplingError: Nothing may come next, as where no choice is possible in a text alone.
    """
    flat = scores_BV.ravel()
    count = min(count, int(np.count_nonzero(np.isfinite(flat))))
    if count == 0:
        raise SamplingError(NOT_FINITE)
    border = np.partition(flat, len(flat) - count)[len(flat) - count]
    places = np.flatnonzero(flat >= border)
    order = np.argsort(-flat[places], kind="stable")[:count]
    return [divmod(int(place), scores_BV.shape[1]) for place in places[order]]
