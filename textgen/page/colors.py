"""The colours behind the characters of a page, light and dark.

The hues are those of the terminal, blue against orange and yellow to red, which the common kinds
of colour blindness keep apart. Here the middle, or the low end, is the page itself, and the far
ends are only as dark (on a dark page: as light) as lets one ink be read on all of them: a text
whose letters change from black to white and back is no text to read.
"""

from __future__ import annotations

from dataclasses import dataclass

from textgen.terminal.palette import RGB, Palette

#: Each palette is cut into this many colours; odd, so that the middle is one of them.
COLORS = 65


@dataclass(frozen=True)
class Theme:
    """The colours of one theme.

    Args:
        ink: Of the text.
        diverging: For values whose sign matters.
        sequential: For gates and costs.
    """

    ink: RGB
    diverging: Palette
    sequential: Palette


def _palette(name: str, *anchors: tuple[float, float, float]) -> Palette:
    return Palette(name, anchors, eight_bit=(), standard=())  # a browser has all colours


_PAPER = (0.99, 0.003, 90.0)
_NIGHT = (0.205, 0.006, 270.0)

LIGHT = Theme(
    ink=(0x1D, 0x1D, 0x1F),
    diverging=_palette(
        "light diverging",
        (0.67, 0.145, 256.0), (0.83, 0.085, 250.0), _PAPER, (0.86, 0.095, 62.0),
        (0.70, 0.175, 45.0),
    ),
    sequential=_palette(
        "light sequential",
        _PAPER, (0.95, 0.06, 95.0), (0.88, 0.11, 78.0), (0.79, 0.14, 56.0), (0.69, 0.16, 36.0),
    ),
)  # fmt: skip
DARK = Theme(
    ink=(0xEC, 0xEB, 0xE8),
    diverging=_palette(
        "dark diverging",
        (0.52, 0.155, 256.0), (0.37, 0.09, 256.0), _NIGHT, (0.37, 0.085, 50.0),
        (0.51, 0.145, 42.0),
    ),
    sequential=_palette(
        "dark sequential",
        _NIGHT, (0.29, 0.08, 305.0), (0.38, 0.13, 345.0), (0.455, 0.15, 15.0), (0.51, 0.145, 40.0),
    ),
)  # fmt: skip


def color_rules() -> str:
    """The style of the classes `d0` to `d64` (diverging) and `q0` to `q64` (sequential)."""
    return "\n".join(
        [
            f":root{{--ink:light-dark({_hex(LIGHT.ink)},{_hex(DARK.ink)});"
            f"--paper:light-dark({_hex(LIGHT.diverging.rgb(0.5))},{_hex(DARK.diverging.rgb(0.5))})}}",
            *(
                f".{letter}{step}{{background:light-dark({_hex(light.rgb(step / (COLORS - 1)))},"
                f"{_hex(dark.rgb(step / (COLORS - 1)))})}}"
                for letter, light, dark in (
                    ("d", LIGHT.diverging, DARK.diverging),
                    ("q", LIGHT.sequential, DARK.sequential),
                )
                for step in range(COLORS)
            ),
        ]
    )


def _hex(color: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
