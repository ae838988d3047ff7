"""Generated tasks with a known answer: what they ask, and how often a guess is right.

The beginning of the prompt holds what a network has to remember. Filler of an exact length, the
lag, separates it from the question. The words of the filler are drawn anew for each example, from
the same letters as the rest, so a network can neither recognise nor memorise it. The filler never
contains the answer.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from textgen.errors import ConfigError

_WORDS = (
    *("the", "road", "was", "long", "and", "old", "men", "went", "by", "with", "carts", "full"),
    *("of", "hay", "some", "rain", "fell", "on", "a", "grey", "field", "near", "mill", "where"),
    *("dogs", "barked", "at", "us", "under", "trees", "we", "sat", "down", "to", "eat", "bread"),
    *("from", "town", "came", "songs", "her", "house", "had", "blue", "doors", "no", "lamp"),
)
#: The names of `recall`: all have the same length, no two begin with the same two letters, and none
#: occurs in the words of the filler.
NAMES = (
    *("anna", "olga", "ivan", "egor", "nina", "vera", "lena", "igor"),
    *("yuri", "kira", "mila", "zoya", "sima", "dina", "fima", "rosa"),
)
#: The parts that `count` takes away: each is a number up to `LARGEST`, or a product of two.
PARTS, LARGEST = 3, 4
#: The rest that `count` asks for is one digit; all are equally likely.
RESTS = 10
#: The letters of `copy`, and how many of them are to be repeated.
LETTERS = "abdeorst"
LENGTH = 4


@dataclass(frozen=True)
class Example:
    """A question and its answer; neither contains a tab or a line end."""

    prompt: str
    answer: str


class GeneratedTask(ABC):
    """A kind of question. Stateless."""

    #: Its key in `TASKS`.
    name: str
    #: What is asked, in a sentence.
    description: str
    #: The share of questions that the best constant answer gets right.
    chance: float

    @abstractmethod
    def example(self, rng: random.Random, lag: int) -> Example:
        """Draw a question whose filler has `lag` characters, at least 1."""

    def examples(
        self, count: int, lags: range, *, seed: str, unlike: frozenset[str] = frozenset()
    ) -> Iterator[Example]:
        """Draw questions whose lags are spread evenly over a range.

        Args:
            count: How many.
            lags: The lags to draw from; all are equally likely.
            seed: Determines all of them.
            unlike: Prompts to avoid. If the lag is so short that no other prompt is found, they are
                used all the same.
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


class RecallTask(GeneratedTask):
    """A name is said once and asked for after other text: `vera the road was lo?` -> `vera`."""

    name = "recall"
    description = f"which of {len(NAMES)} names stood at the beginning, the lag's characters before"
    chance = 1 / len(NAMES)

    def example(self, rng: random.Random, lag: int) -> Example:
        """Draw a question; all names are equally likely."""
        name = rng.choice(NAMES)
        return Example(f"{name}{filler(rng, lag)}?", name)


class CountTask(GeneratedTask):
    """Parts of a number are taken away: `40 the r -4 men we -4*4 old -4*4 lo?` -> `4`.

    The example is that of the lecture's forty boys: 40 - (4 + 4*4 + 4*4) = 4.
    """

    name = "count"
    description = f"what is left of a number when {PARTS} parts have been taken away on the way"
    chance = 1 / RESTS

    def example(self, rng: random.Random, lag: int) -> Example:
        """Draw a question; all rests are equally likely, and the filler is split at random."""
        rest = rng.randrange(RESTS)
        parts, taken = [], 0
        for _ in range(PARTS):
            number, times = rng.randint(1, LARGEST), rng.choice((1, rng.randint(2, LARGEST)))
            parts.append(str(number) if times == 1 else f"{times}*{number}")
            taken += times * number
        cuts = sorted(rng.choices(range(lag + 1), k=PARTS))
        sizes = [end - start for start, end in pairwise([0, *cuts, lag])]
        between = [filler(rng, size) for size in sizes]
        return Example(count_prompt(rest + taken, parts, between), str(rest))


class CopyTask(GeneratedTask):
    """A string is to be repeated after a delay: `sbed the road was lo?` -> `sbed`.

    Source: Hochreiter and Schmidhuber 1997, "Long short-term memory", Neural Computation 9(8). Its
    time lag problems hide what counts among distractors of the same kind.
    """

    name = "copy"
    description = f"the {LENGTH} letters, out of {len(LETTERS)}, that stood at the beginning"
    chance = len(LETTERS) ** -LENGTH

    def example(self, rng: random.Random, lag: int) -> Example:
        """Draw a question; all strings are equally likely."""
        while True:
            text = "".join(rng.choices(LETTERS, k=LENGTH))
            between = filler(rng, lag)
            if text not in between:
                return Example(f"{text}{between}?", text)


#: Every task by its name.
TASKS: dict[str, GeneratedTask] = {
    task.name: task for task in (RecallTask(), CountTask(), CopyTask())
}


def get_task(name: str) -> GeneratedTask:
    """Return the task called `name`; raise `ConfigError` if there is none."""
    if name not in TASKS:
        raise ConfigError(f"task '{name}' is not known; choose one of: {', '.join(TASKS)}")
    return TASKS[name]


def filler(rng: random.Random, length: int) -> str:
    """Random words of exactly `length` characters, starting with a space; the last may be cut."""
    text = ""
    while len(text) < length:
        text += " " + rng.choice(_WORDS)
    return text[:length]


def count_prompt(total: int, parts: Sequence[str], between: Sequence[str]) -> str:
    """The prompt of `count`: the number, then filler and a part in turns, then the last filler."""
    pieces = [str(total), between[0]]
    for part, text in zip(parts, between[1:], strict=True):
        pieces += [f" -{part}", text]
    return "".join(pieces) + "?"
