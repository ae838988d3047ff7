"""A value becomes a background colour, with a foreground that can be read on it.

Two palettes, both safe for the common kinds of colour blindness and both light where there is
little to see, so that a text stays a text: `DIVERGING` from blue by white to red-orange, for
values whose sign matters (blue and orange stay apart without red or green receptors, and lightness
falls to both sides); `SEQUENTIAL` from pale yellow to deep violet, whose lightness falls all the
way, so that it reads even in grey.

Colours are mixed in OKLab, where equal steps look equal.
Source: Ottosson 2020, "A perceptual color space for image processing".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from rich.color import Color
from rich.style import Style

from textgen.terminal.console import ColorDepth

RGB = tuple[int, int, int]
_Lab = tuple[float, float, float]

#: A palette is cut into this many colours; odd, so that the middle is one of them.
STEPS = 255

_BLACK: RGB = (0, 0, 0)
_WHITE: RGB = (255, 255, 255)


@dataclass(frozen=True)
class Palette:
    """Colours for positions from 0 to 1.

    Args:
        name: For messages and tests.
        anchors: Colours to mix between, evenly spaced, as lightness 0..1, chroma, hue in degrees.
        eight_bit: The same by hand where there are 256 colours: the nearest ones would jump
            between hues. Background numbers, from 0 to 1.
        standard: Background and foreground numbers where there are only 16 colours, from 0 to 1.
    """

    name: str
    anchors: tuple[tuple[float, float, float], ...]
    eight_bit: tuple[int, ...]
    standard: tuple[tuple[int, int], ...]

    def rgb(self, position: float) -> RGB:
        """The 24-bit colour at `position`, clipped to 0..1."""
        place = min(max(position, 0.0), 1.0) * (len(self.anchors) - 1)
        index = min(int(place), len(self.anchors) - 2)
        share = place - index
        first, second = (_lab(*anchor) for anchor in self.anchors[index : index + 2])
        return _rgb(_mix(first, second, share))

    def style(self, position: float, depth: ColorDepth) -> Style:
        """Background and foreground at `position` in a terminal of that many colours.

        Args:
            position: From 0 to 1, clipped; `nan` has no colour.
            depth: The colours of the terminal; without any the style is empty.
        """
        if depth is ColorDepth.NONE or math.isnan(position):
            return Style.null()
        step = round(min(max(position, 0.0), 1.0) * (STEPS - 1))
        return _styles(self, depth)[step]


DIVERGING = Palette(
    "diverging",
    ((0.42, 0.15, 258.0), (0.68, 0.12, 250.0), (0.97, 0.0, 0.0), (0.76, 0.13, 58.0),
     (0.50, 0.18, 34.0)),
    (25, 32, 74, 117, 195, 231, 223, 215, 208, 166, 124),
    ((4, 15), (14, 0), (15, 0), (11, 0), (1, 15)),
)  # fmt: skip

SEQUENTIAL = Palette(
    "sequential",
    ((0.98, 0.03, 100.0), (0.85, 0.12, 75.0), (0.65, 0.19, 25.0), (0.47, 0.18, 340.0),
     (0.30, 0.13, 300.0)),
    (230, 222, 215, 209, 203, 162, 126, 90, 54),
    ((15, 0), (11, 0), (3, 0), (5, 15), (4, 15)),
)  # fmt: skip


def palette_for(low: float, high: float) -> Palette:
    """The palette of a scale: diverging where it has both signs, else sequential."""
    return DIVERGING if low < 0.0 < high else SEQUENTIAL


def position(value: float, low: float, high: float) -> float:
    """Where `value` lies between the ends of a scale, clipped to 0..1; `nan` stays `nan`."""
    if math.isnan(value):
        return value
    return min(max((value - low) / (high - low), 0.0), 1.0)


def luminance(color: RGB) -> float:
    """Relative luminance, 0 for black to 1 for white. Source: WCAG 2.1, "relative luminance"."""
    red, green, blue = (_linear(channel / 255) for channel in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: RGB, second: RGB) -> float:
    """Contrast ratio of two colours, 1 to 21. Source: WCAG 2.1, "contrast ratio"."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def foreground(background: RGB) -> RGB:
    """Black or white, whichever reads better on `background`."""
    return max(_BLACK, _WHITE, key=lambda color: contrast(color, background))


@lru_cache(maxsize=8)
def _styles(palette: Palette, depth: ColorDepth) -> tuple[Style, ...]:
    return tuple(_style(palette, step / (STEPS - 1), depth) for step in range(STEPS))


def _style(palette: Palette, place: float, depth: ColorDepth) -> Style:
    if depth is ColorDepth.STANDARD:
        back, fore = _entry(palette.standard, place)
        return Style(bgcolor=Color.from_ansi(back), color=Color.from_ansi(fore))
    if depth is ColorDepth.EIGHT_BIT:
        back = _entry(palette.eight_bit, place)
        fore = 16 if foreground(eight_bit_rgb(back)) == _BLACK else 231
        return Style(bgcolor=Color.from_ansi(back), color=Color.from_ansi(fore))
    color = palette.rgb(place)
    return Style(bgcolor=Color.from_rgb(*color), color=Color.from_rgb(*foreground(color)))


def eight_bit_rgb(number: int) -> RGB:
    """What xterm shows for colour `number`, 16 to 255: a cube of 216 and 24 greys."""
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return grey, grey, grey
    red, rest = divmod(number - 16, 36)
    green, blue = divmod(rest, 6)
    return _CUBE[red], _CUBE[green], _CUBE[blue]


_CUBE = (0, 95, 135, 175, 215, 255)
_Entry = TypeVar("_Entry")


def _entry(entries: Sequence[_Entry], place: float) -> _Entry:
    return entries[min(int(place * len(entries)), len(entries) - 1)]


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _gamma(channel: float) -> float:
    return 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055


def _lab(lightness: float, chroma: float, hue: float) -> _Lab:
    angle = math.radians(hue)
    return lightness, chroma * math.cos(angle), chroma * math.sin(angle)


def _mix(first: _Lab, second: _Lab, share: float) -> _Lab:
    lightness, a, b = (x + (y - x) * share for x, y in zip(first, second, strict=True))
    return lightness, a, b


def _rgb(lab: _Lab) -> RGB:
    lightness, a, b = lab
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (round(255 * _gamma(min(max(c, 0.0), 1.0))) for c in linear)
    return red, green, blue
