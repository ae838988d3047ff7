"""What a server counts, as the text that Prometheus reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

#: Upper ends of the classes of waiting times, in seconds.
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class _Times:
    """How often something took how long."""

    def __init__(self) -> None:
        self.count, self.sum = 0, 0.0
        self.within = [0] * len(BUCKETS)

    def add(self, seconds: float) -> None:
        self.count += 1
        self.sum += seconds
        for place, bound in enumerate(BUCKETS):
            self.within[place] += seconds <= bound


class Measures:
    """Counters of a server."""

    def __init__(self) -> None:
        #: Requests by path and status.
        self.requests: Counter[tuple[str, int]] = Counter()
        #: Texts that nobody waited for any more.
        self.cancelled = 0
        #: Seconds from a request to the first character of its first text.
        self.first = _Times()
        self._tokens = {"alone": 0, "together": 0}
        self._seconds = {"alone": 0.0, "together": 0.0}

    def wrote(self, tokens: int, seconds: float, *, together: bool) -> None:
        """Count tokens that were read or written."""
        way = "together" if together else "alone"
        self._tokens[way] += tokens
        self._seconds[way] += seconds

    @property
    def tokens_a_second(self) -> float:
        """How fast texts are read and written, all together; 0 before the first."""
        seconds = sum(self._seconds.values())
        return sum(self._tokens.values()) / seconds if seconds else 0.0

    def text(self, waiting: int) -> str:
        """All counters in the format of Prometheus.

        Args:
            waiting: Texts that are not done.
        """
        return "".join(f"{line}\n" for line in self._lines(waiting))

    def _lines(self, waiting: int) -> Iterator[str]:
        yield "# HELP textgen_requests_total Requests that were answered."
        yield "# TYPE textgen_requests_total counter"
        for (path, status), count in sorted(self.requests.items()):
            yield f'textgen_requests_total{{path="{path}",status="{status}"}} {count}'
        yield "# HELP textgen_tokens_total Tokens that were read or written for completions."
        yield "# TYPE textgen_tokens_total counter"
        for way, count in self._tokens.items():
            yield f'textgen_tokens_total{{way="{way}"}} {count}'
        yield "# HELP textgen_writing_seconds_total Seconds in which they were read or written."
        yield "# TYPE textgen_writing_seconds_total counter"
        for way, seconds in self._seconds.items():
            yield f'textgen_writing_seconds_total{{way="{way}"}} {seconds:.6f}'
        yield "# HELP textgen_cancelled_texts_total Texts whose client went away."
        yield "# TYPE textgen_cancelled_texts_total counter"
        yield f"textgen_cancelled_texts_total {self.cancelled}"
        yield "# HELP textgen_texts Texts that are being written or wait."
        yield "# TYPE textgen_texts gauge"
        yield f"textgen_texts {waiting}"
        yield "# HELP textgen_first_character_seconds From a request to its first character."
        yield "# TYPE textgen_first_character_seconds histogram"
        first = self.first
        for bound, count in zip((*BUCKETS, "+Inf"), (*first.within, first.count), strict=True):
            yield f'textgen_first_character_seconds_bucket{{le="{bound}"}} {count}'
        yield f"textgen_first_character_seconds_sum {first.sum:.6f}"
        yield f"textgen_first_character_seconds_count {first.count}"
