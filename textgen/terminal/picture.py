"""Pictures as files, by matplotlib: SVG or PNG, the same bytes for the same data.

Drawn without pyplot, so neither a display nor another program's figures are touched; in a font
that comes with matplotlib and has Cyrillic and Greek. It is slow to import, so it is imported
where used.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textgen.errors import ConfigError
from textgen.progress import task

KINDS = ("svg", "png")


def picture_kind(path: Path, what: str = "a picture") -> str:
    """`svg` or `png`, by the name.

    Args:
        path: The file's name.
        what: What is saved, for the message.
    Raises:
        ConfigError: It ends in neither.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise ConfigError(f"{what} is saved as .svg or .png, not as '{path.name}'")
    return kind


def draw_picture(
    draw: Callable[[Any], None], kind: str, *, size: tuple[float, float], font_size: float
) -> bytes:
    """A picture's bytes.

    Args:
        draw: Fills the `matplotlib.figure.Figure` that it is given.
        kind: `svg` or `png`.
        size: Width and height in inches, 120 pixels each in a PNG.
        font_size: In points.
    """
    with task("loading matplotlib"):
        import matplotlib.style
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

    stream = io.BytesIO()
    settings = {"svg.hashsalt": "textgen", "font.family": "DejaVu Sans", "font.size": font_size}
    # "default" undoes the settings file of whoever runs this.
    with (
        task("drawing the picture"),
        rc_context(),
        matplotlib.style.context(["default", settings]),
    ):
        figure = Figure(figsize=size, layout="constrained")
        canvas = (FigureCanvasSVG if kind == "svg" else FigureCanvasAgg)(figure)
        draw(figure)
        metadata = {"Date": None, "Creator": "textgen"} if kind == "svg" else {"Software": None}
        canvas.print_figure(stream, format=kind, dpi=120, metadata=metadata)
    return stream.getvalue()


def plain(text: str) -> str:
    """`text` without matplotlib's own notation for formulas, and with what is no text escaped."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8").replace("$", r"\$")
