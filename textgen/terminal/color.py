"""What colours the terminal can show, by the wish of the user and the signs of the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import IntEnum, StrEnum


class ColorMode(StrEnum):
    """The values of `--color`."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class ColorDepth(IntEnum):
    """How many colours there are; the greater the more."""

    NONE = 0
    STANDARD = 4
    EIGHT_BIT = 8
    TRUECOLOR = 24

    @property
    def rich_name(self) -> str | None:
        """What rich calls it: the value of a console's `color_system`."""
        return _RICH_NAMES[self]

    @classmethod
    def of_rich(cls, color_system: str | None) -> ColorDepth:
        """The depth of a rich console by its `color_system`; the old Windows console has 16."""
        return _DEPTHS.get(color_system, cls.STANDARD)


_RICH_NAMES: dict[ColorDepth, str | None] = {
    ColorDepth.NONE: None,
    ColorDepth.STANDARD: "standard",
    ColorDepth.EIGHT_BIT: "256",
    ColorDepth.TRUECOLOR: "truecolor",
}
_DEPTHS = {name: depth for depth, name in _RICH_NAMES.items()}

#: Terminals that show 24-bit colours without saying so in COLORTERM, by the start of TERM.
_TRUECOLOR_TERMS = ("xterm-kitty", "alacritty", "wezterm", "foot", "xterm-ghostty", "iterm2")
#: The same by TERM_PROGRAM.
_TRUECOLOR_PROGRAMS = ("iTerm.app", "WezTerm", "vscode", "ghostty", "mintty")
_NO_TERMS = ("dumb", "unknown")
_FORCED = {
    "0": ColorDepth.NONE,
    "false": ColorDepth.NONE,
    "1": ColorDepth.STANDARD,
    "2": ColorDepth.EIGHT_BIT,
    "3": ColorDepth.TRUECOLOR,
}


def color_depth(
    mode: ColorMode,
    *,
    is_terminal: bool,
    environ: Mapping[str, str] | None = None,
    platform: str = sys.platform,
) -> ColorDepth:
    """How many colours to use on a stream.

    `always` and `never` are obeyed whatever the environment says. With `auto`, in this order:
    NO_COLOR (not empty) means none, as https://no-color.org has it; FORCE_COLOR (not empty) means
    colours even into a file, `1`, `2` and `3` for 16, 256 and 24-bit, `0` for none; a stream that
    is no terminal, or TERM=dumb, gets none; else COLORTERM, TERM and TERM_PROGRAM tell how many.

    Args:
        mode: The user's wish.
        is_terminal: Whether the stream is one.
        environ: Environment variables; None: those of this process.
        platform: As `sys.platform`.
    """
    environ = os.environ if environ is None else environ
    if mode is ColorMode.NEVER:
        return ColorDepth.NONE
    capable = _capability(environ, platform)
    if mode is ColorMode.ALWAYS:
        return max(capable, ColorDepth.STANDARD)
    if environ.get("NO_COLOR"):
        return ColorDepth.NONE
    forced = environ.get("FORCE_COLOR", "").lower()
    if forced:
        return _FORCED.get(forced, max(capable, ColorDepth.STANDARD))
    return capable if is_terminal else ColorDepth.NONE


def _capability(environ: Mapping[str, str], platform: str) -> ColorDepth:
    """What the terminal can do, by what it says of itself."""
    term = environ.get("TERM", "").strip().lower()
    if term in _NO_TERMS:
        return ColorDepth.NONE
    if (
        environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit")
        or term.endswith(("-direct", "-truecolor"))
        or term.startswith(_TRUECOLOR_TERMS)
        or environ.get("TERM_PROGRAM", "") in _TRUECOLOR_PROGRAMS
        or environ.get("WT_SESSION")
    ):
        return ColorDepth.TRUECOLOR
    if "256color" in term or environ.get("TERM_PROGRAM") == "Apple_Terminal":
        return ColorDepth.EIGHT_BIT
    if not term and platform != "win32":
        return ColorDepth.NONE
    return ColorDepth.STANDARD
