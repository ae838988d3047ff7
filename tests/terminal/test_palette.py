"""The palettes: readable, ordered, safe for colour-blind readers, the same in every depth."""

from __future__ import annotations

import math

import pytest
from rich.style import Style

from textgen.terminal.console import ColorDepth
from textgen.terminal.palette import (
    DIVERGING,
    RGB,
    SEQUENTIAL,
    Palette,
    contrast,
    eight_bit_rgb,
    foreground,
    luminance,
    palette_for,
    position,
)

PALETTES = [DIVERGING, SEQUENTIAL]
PLACES = [n / 200 for n in range(201)]

#: What people without red, green or blue receptors see, on linear RGB.
#: Source: Machado, Oliveira and Fernandes 2009, table 1, severity 1.0.
BLINDNESS = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def backgrounds(palette: Palette, depth: ColorDepth) -> list[RGB]:
    found = []
    for place in PLACES:
        color = palette.style(place, depth).bgcolor
        assert color is not None
        if depth is ColorDepth.TRUECOLOR:
            assert color.triplet is not None
            found.append(tuple(color.triplet))
        else:
            assert color.number is not None and color.number >= 16
            found.append(eight_bit_rgb(color.number))
    return found


def seen(color: RGB, matrix: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    linear = [(c / 255) ** 2.2 for c in color]
    return tuple(
        min(max(sum(m * c for m, c in zip(row, linear, strict=True)), 0.0), 1.0) ** (1 / 2.2)
        for row in matrix
    )


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
@pytest.mark.parametrize("depth", [ColorDepth.TRUECOLOR, ColorDepth.EIGHT_BIT])
def test_text_can_be_read_everywhere(palette: Palette, depth: ColorDepth) -> None:
    for place, back in zip(PLACES, backgrounds(palette, depth), strict=True):
        color = palette.style(place, depth).color
        assert color is not None
        fore = tuple(color.triplet) if color.triplet else eight_bit_rgb(color.number or 0)
        # WCAG 2.1, level AA for text.
        assert contrast(fore, back) >= 4.5


@pytest.mark.parametrize("depth", [ColorDepth.TRUECOLOR, ColorDepth.EIGHT_BIT])
def test_lightness_tells_the_order(depth: ColorDepth) -> None:
    falling = [luminance(c) for c in backgrounds(SEQUENTIAL, depth)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 0.8 and falling[-1] < 0.1
    both = [luminance(c) for c in backgrounds(DIVERGING, depth)]
    assert both[:101] == sorted(both[:101])
    assert both[100:] == sorted(both[100:], reverse=True)
    assert max(both) > 0.8


@pytest.mark.parametrize("depth", [ColorDepth.TRUECOLOR, ColorDepth.EIGHT_BIT])
@pytest.mark.parametrize("kind", BLINDNESS)
def test_signs_stay_apart_for_colour_blind_readers(kind: str, depth: ColorDepth) -> None:
    colors = backgrounds(DIVERGING, depth)
    for step in (0, 30, 60):
        below = seen(colors[step], BLINDNESS[kind])
        above = seen(colors[-1 - step], BLINDNESS[kind])
        # Of a distance of about 1.7 between black and white; 0.2 is seen at a glance.
        assert math.dist(below, above) > 0.2


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
def test_sixteen_colours_are_distinct(palette: Palette) -> None:
    styles = [palette.style(place, ColorDepth.STANDARD) for place in PLACES]
    numbers = list(dict.fromkeys(s.bgcolor.number for s in styles if s.bgcolor))
    assert len(numbers) == 5
    for style in styles:
        assert style.bgcolor is not None and style.color is not None
        assert style.bgcolor.number != style.color.number


def test_the_middle_of_a_diverging_scale_has_no_hue() -> None:
    red, green, blue = DIVERGING.rgb(0.5)
    assert max(red, green, blue) - min(red, green, blue) <= 2
    low, high = DIVERGING.rgb(0.0), DIVERGING.rgb(1.0)
    assert low[2] > low[0] and high[0] > high[2]


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
def test_values_beyond_the_scale_take_its_ends(palette: Palette) -> None:
    for depth in ColorDepth:
        assert palette.style(-3.0, depth) == palette.style(0.0, depth)
        assert palette.style(9.0, depth) == palette.style(1.0, depth)
        assert palette.style(math.nan, depth) == Style.null()
    assert palette.style(0.5, ColorDepth.NONE) == Style.null()


def test_positions() -> None:
    assert [position(v, -2.0, 2.0) for v in (-5.0, -2.0, 0.0, 1.0, 7.0)] == [0, 0, 0.5, 0.75, 1]
    assert math.isnan(position(math.nan, 0.0, 1.0))
    assert palette_for(-1.0, 1.0) is DIVERGING
    assert palette_for(0.0, 1.0) is SEQUENTIAL


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.005)
    assert foreground((255, 255, 0)) == (0, 0, 0)
    assert foreground((0, 0, 128)) == (255, 255, 255)


def test_the_cube_and_the_greys() -> None:
    assert eight_bit_rgb(16) == (0, 0, 0)
    assert eight_bit_rgb(25) == (0, 95, 175)
    assert eight_bit_rgb(231) == (255, 255, 255)
    assert eight_bit_rgb(255) == (238, 238, 238)
