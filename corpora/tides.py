"""Writes tides.csv: the height of the sea at a place that does not exist, each hour of 60 days.

    python corpora/tides.py > corpora/tides.csv

The periods of the five waves are those of the moon and the sun; the heights of the waves, and the
weather, are made up.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

#: Of each wave the period in hours, the height in metres, and where it begins, as a share of it.
WAVES = {
    "M2": (12.4206, 1.20, 0.10),
    "S2": (12.0000, 0.45, 0.35),
    "N2": (12.6583, 0.25, 0.60),
    "K1": (23.9345, 0.20, 0.80),
    "O1": (25.8193, 0.15, 0.05),
}
HOURS, MEAN = 60 * 24, 3.0
#: What the wind does in an hour, in metres, and how much of it is left an hour later.
GUST, LEFT = 0.04, 0.9


def heights() -> Iterator[float]:
    """Metres, one each hour."""
    drawn = random.Random(4)
    weather = 0.0
    for hour in range(HOURS):
        weather = LEFT * weather + drawn.gauss(0.0, GUST)
        waves = (
            height * math.sin(2.0 * math.pi * (hour / period + start))
            for period, height, start in WAVES.values()
        )
        yield MEAN + weather + sum(waves)


def text() -> str:
    """The table."""
    lines = [f"{hour},{height:.2f}" for hour, height in enumerate(heights())]
    return "\n".join(["hour,height", *lines]) + "\n"


if __name__ == "__main__":
    print(text(), end="")
