r"""Line ends and tabs in an option's text, where a shell hands on `\n` as two characters."""

from __future__ import annotations

import re

_MEANING = {"n": "\n", "t": "\t", "\\": "\\"}
_WRITTEN = {char: f"\\{name}" for name, char in _MEANING.items()}


def unescape(typed: str) -> str:
    r"""What was meant: `\n` is a line end, `\t` a tab, `\\` a backslash; all else is as typed."""
    return re.sub(r"\\([nt\\])", lambda match: _MEANING[match[1]], typed)


def escape(text: str) -> str:
    """What is typed for it: the inverse of `unescape`."""
    return re.sub(r"[\n\t\\]", lambda match: _WRITTEN[match[0]], text)
