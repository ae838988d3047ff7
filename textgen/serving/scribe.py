"""The thread in which all texts of a server are written, in turns of a block each."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Sequence
from threading import Condition, Thread
from typing import Any, cast

from textgen.sampling.networks import TOGETHER_FROM
from textgen.serving.fair_queue import FairQueue, Turning
from textgen.serving.measures import Measures
from textgen.serving.refusal import Refusal
from textgen.serving.served_text import Order, ServedText, is_late

#: Texts that are written together at most. With more it gets hardly faster, and each waits longer
#: for its next characters.
MOST_TOGETHER = 64
#: Of so many turns in which texts could be written together one takes the way that was slower the
#: last time: so both are known, whatever else the machine does.
TRIED_EVERY = 16
#: Seconds that somebody is told to wait for at most.
LONGEST_WAIT = 60


class Scribe:
    """Writes the texts of all requests.

    Args:
        most_waiting: Texts that are taken on at a time.
        measures: What is counted.
    """

    def __init__(self, most_waiting: int, measures: Measures) -> None:
        self._most = most_waiting
        self._measures = measures
        self._queue = FairQueue()
        self._changed = Condition()
        self._is_closed = False
        self._count = 0
        self._ends_at = math.inf
        # Tokens a second of the last turn, by the model's name and whether they were written
        # together. Small models are faster alone, and so is every model whose threads have to wait
        # for a core.
        self._rates: dict[tuple[Hashable, bool], float] = {}
        self._turns = 0
        self._thread = Thread(target=self._run, name="scribe", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def count(self) -> int:
        """Texts that are not done."""
        return self._count

    def submit(self, texts: Sequence[Turning]) -> None:
        """Take on the texts of a request.

        Raises:
            Refusal: There is no room for them, or the server ends.
        """
        with self._changed:
            if self._ends_at < math.inf:
                raise Refusal("the server is ending; ask another one", status=503)
            if self._count + len(texts) > self._most:
                raise Refusal(
                    f"{self._count} texts are being written or wait, and this server takes on "
                    f"{self._most} at a time; ask again later",
                    status=429,
                    code="rate_limit_exceeded",
                    retry_after=self._seconds_left(),
                )
            self._count += len(texts)
            self._queue.add(texts)
            self._changed.notify()

    def cancel(self, order: Order) -> None:
        """Stop writing the texts of a request: nobody waits for them."""
        order.is_cancelled = True

    def end(self, grace: float) -> None:
        """Take on nothing more, and end what is not done after so many seconds."""
        with self._changed:
            self._ends_at = min(self._ends_at, time.monotonic() + grace)
            self._changed.notify()

    def close(self) -> None:
        """Stop at once; what is not done is never sent."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _seconds_left(self) -> int:
        """About how long it takes until all that waits is written."""
        rate = self._measures.tokens_a_second
        tokens = sum(text.room for text in self._queue)
        return min(max(1, math.ceil(tokens / rate) if rate else 1), LONGEST_WAIT)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._queue or self._is_closed):
                    self._changed.wait()
                if self._is_closed:
                    return
                texts = [self._queue.take()]
                if texts[0].kind is not None and self._is_tried_together(texts[0]):
                    texts += self._queue.take_like(texts[0], MOST_TOGETHER - 1)
                    if len(texts) < TOGETHER_FROM:
                        for text in texts[1:]:
                            self._queue.put_back(text, 0)
                        del texts[1:]
            self._turn([text for text in texts if not self._is_over(text)])
            del texts  # Nothing of a text that is done is kept while nobody asks.

    def _is_tried_together(self, text: Turning) -> bool:
        """Whether a text that may be written with others is to be so in this turn."""
        self._turns += 1
        alone = self._rates.get((text.model, False), 0.0)
        together = self._rates.get((text.model, True), 0.0)
        return (together >= alone) != (self._turns % TRIED_EVERY == 0)

    def _is_over(self, text: Turning) -> bool:
        """Whether a text is not to be written on; if somebody waits for it, it is sent as it is."""
        order = text.order
        is_ending = time.monotonic() >= self._ends_at
        if not (order.is_cancelled or is_ending or is_late(order)):
            return False
        if order.is_cancelled:
            self._measures.cancelled += 1
        else:
            why = "the server is ending" if is_ending else "the time of a request was up"
            order.send(text.number, text.end(f"a text was cut off: {why}"))
        self._drop([text])
        return True

    def _turn(self, texts: list[Turning]) -> None:
        """Write a block of each text; what fails ends the texts concerned and nothing else."""
        if not texts:
            return
        is_choice = texts[0].kind is not None  # Both ways of writing it were possible.
        began = time.perf_counter()
        results: Sequence[tuple[int, Any]]
        try:
            if len(texts) >= TOGETHER_FROM:
                # Of no other class several have one kind.
                results = ServedText.advance_together(cast("list[ServedText]", texts))
            else:
                results = [text.advance() for text in texts]
        except Exception as error:
            # Whoever waits is told; the other texts go on.
            for text in texts:
                text.order.send(text.number, error)
            self._drop(texts)
            return
        tokens, seconds = sum(count for count, _ in results), time.perf_counter() - began
        is_together = len(texts) >= TOGETHER_FROM
        self._measures.wrote(tokens, seconds, together=is_together)
        if is_choice and tokens:
            self._rates[texts[0].model, is_together] = tokens / seconds
        left, ended = [], []
        for text, (count, progress) in zip(texts, results, strict=True):
            if progress is not None:
                text.order.send(text.number, progress)
            if progress is None or progress.finish is None:
                left.append((text, count))
            else:
                ended.append(text)
        self._drop(ended)
        with self._changed:
            for text, count in left:
                self._queue.put_back(text, count)

    def _drop(self, texts: Sequence[Turning]) -> None:
        """Forget texts that are done."""
        with self._changed:
            self._count -= len(texts)
            for text in texts:
                self._queue.drop(text)
