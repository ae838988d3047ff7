"""A task with a known answer: what it asks, and how often a guess is right.

What a network has to keep stands at the beginning of the prompt; filler of an exact length, the
lag, separates it from the question. The filler's words are drawn anew for each example, from the
same letters as the rest, so it cannot be told by its letters nor be learned by heart; the answer is
never in it.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from textgen.errors import ConfigError

_WORDS = (
    *("the", "road", "was", "long", "and", "old", "men", "went", "by", "with", "carts", "full"),
    *("of", "hay", "some", "rain", "fell", "on", "a", "grey", "field", "near", "mill", "where"),
    *("dogs", "barked", "at", "us", "under", "trees", "we", "sat", "down", "to", "eat", "bread"),
    *("from", "town", "came", "songs", "her", "house", "had", "blue", "doors", "no", "lamp"),
)


@dataclass(frozen=True)
class Example:
    """One question and its answer; neither holds a tab or a line's end."""

    prompt: str
    answer: str


class Task(ABC):
    """A kind of question. Stateless."""

    #: By which `--task` calls it.
    name: str
    #: What is asked, in a sentence.
    description: str
    #: Share of the questions that the best constant answer gets right.
    chance: float

    @abstractmethod
    def example(self, rng: random.Random, lag: int) -> Example:
        """Draw a question.

        Args:
            rng: What is drawn from.
            lag: Characters of filler, at least 1.
        """

    def examples(
        self, count: int, lags: range, *, seed: str, unlike: frozenset[str] = frozenset()
    ) -> Iterator[Example]:
        """Draw questions whose lags are spread evenly over a range.

        Args:
            count: How many.
            lags: What each one's lag is drawn from, each as likely.
            seed: Decides all of them.
            unlike: Prompts that are not to come; where a lag is so short that nothing else is
                found, they come all the same.
        Raises:
            ConfigError: A lag is below 1.
        """
        if not len(lags) or lags[0] < 1:
            raise ConfigError(f"the lags {lags} of a task must be at least 1")
        rng = random.Random(f"{self.name} {seed}")
        for _ in range(count):
            lag = rng.choice(lags)
            for _ in range(20):
                drawn = self.example(rng, lag)
                if drawn.prompt not in unlike:
                    break
            yield drawn


def filler(rng: random.Random, length: int) -> str:
    """Random words, exactly `length` characters with the space before the first; the last word may
    be cut."""
    text = ""
    while len(text) < length:
        text += " " + rng.choice(_WORDS)
    return text[:length]
