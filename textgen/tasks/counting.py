"""The forty boys: a number stated at the start, parts taken away on the way, the rest asked for.

The lecture's own is 40 - (4 + 4*4 + 4*4) = 4.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from textgen.tasks.base import Example, Task, filler

#: Parts taken away: each is a number up to `LARGEST`, or as often that number times another.
PARTS, LARGEST = 3, 4
#: What is left is one digit: each as likely.
RESTS = 10


def question(total: int, parts: Sequence[str], between: Sequence[str]) -> str:
    """The prompt: the number, then each part after its filler, then the last filler."""
    pieces = [str(total), between[0]]
    for part, text in zip(parts, between[1:], strict=True):
        pieces += [f" -{part}", text]
    return "".join(pieces) + "?"


class CountTask(Task):
    """`40 the r -4 men we -4*4 old -4*4 lo?` asks for `4`."""

    name = "count"
    description = f"what is left of a number when {PARTS} parts have been taken away on the way"
    chance = 1 / RESTS

    def example(self, rng: random.Random, lag: int) -> Example:
        """Each rest from 0 to 9 is as likely; the filler is split at random."""
        rest = rng.randrange(RESTS)
        parts, taken = [], 0
        for _ in range(PARTS):
            number, times = rng.randint(1, LARGEST), rng.choice((1, rng.randint(2, LARGEST)))
            parts.append(str(number) if times == 1 else f"{times}*{number}")
            taken += times * number
        cuts = sorted(rng.choices(range(lag + 1), k=PARTS))
        sizes = [end - start for start, end in pairwise([0, *cuts, lag])]
        between = [filler(rng, size) for size in sizes]
        return Example(question(rest + taken, parts, between), str(rest))
