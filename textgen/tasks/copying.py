"""A string to be repeated after a delay.

Source: Hochreiter and Schmidhuber 1997, "Long short-term memory", Neural Computation 9(8), whose
time lag problems hide what counts among distractors of the same kind.
"""

from __future__ import annotations

import random

from textgen.tasks.base import Example, Task, filler

LETTERS = "abdeorst"
LENGTH = 4


class CopyTask(Task):
    """`sbed the road was lo?` asks for `sbed`."""

    name = "copy"
    description = f"the {LENGTH} letters, out of {len(LETTERS)}, that stood at the beginning"
    chance = len(LETTERS) ** -LENGTH

    def example(self, rng: random.Random, lag: int) -> Example:
        """Each string is as likely."""
        while True:
            text = "".join(rng.choices(LETTERS, k=LENGTH))
            between = filler(rng, lag)
            if text not in between:
                return Example(f"{text}{between}?", text)
