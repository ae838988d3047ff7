"""A name said once and asked for after some other text."""

from __future__ import annotations

import random

from textgen.tasks.base import Example, Task, filler

#: All as long, no two with the same beginning of two letters, none within the filler's words.
NAMES = (
    *("anna", "olga", "ivan", "egor", "nina", "vera", "lena", "igor"),
    *("yuri", "kira", "mila", "zoya", "sima", "dina", "fima", "rosa"),
)


class RecallTask(Task):
    """`vera the road was lo?` asks for `vera`."""

    name = "recall"
    description = f"which of {len(NAMES)} names stood at the beginning, the lag's characters before"
    chance = 1 / len(NAMES)

    def example(self, rng: random.Random, lag: int) -> Example:
        """Each name is as likely."""
        name = rng.choice(NAMES)
        return Example(f"{name}{filler(rng, lag)}?", name)
