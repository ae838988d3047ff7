"""A recurrent cell as a picture in SVG, for light and dark pages.

It takes plain data: what happens on the road of the memory from left to right, and the layers that
read the input.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

#: Size of a box, the room between two, and of the margin, in pixels.
_WIDE, _HIGH, _GAP, _MARGIN = 136, 56, 28, 16
#: Room for what stands at the ends of a line.
_ENDS = 132
_STYLE = """
svg { background: #ffffff; font: 15px system-ui, sans-serif; }
.line { stroke: #57606a; stroke-width: 2; fill: none; }
.box { stroke: #57606a; stroke-width: 1.5; fill: #ddf4ff; }
.layer { stroke: #57606a; stroke-width: 1.5; fill: #fff1c9; }
text { fill: #1f2328; text-anchor: middle; }
.value { fill: #0a5a9c; font-weight: 600; font-size: 14px; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; }
  .line, .box, .layer { stroke: #9198a1; }
  .box { fill: #12324f; }
  .layer { fill: #4a3a12; }
  text { fill: #f0f6fc; }
  .value { fill: #79c0ff; }
}
"""


@dataclass(frozen=True)
class Box:
    """One thing in the picture.

    Args:
        label: What stands in it.
        value: A number below that; "" for none.
    """

    label: str
    value: str = ""


def cell_svg(
    ends: tuple[Box, Box] | None,
    road: Sequence[Box],
    way_out: Sequence[Box],
    layers: Sequence[Box],
    reads: str,
) -> str:
    """The picture as the text of an SVG file.

    Args:
        ends: What the road begins and ends with; None where the cell has no road: the only layer is
            its output.
        road: What is done to the memory, from left to right.
        way_out: What leads from the end of the road to the output, the output the last; for a cell
            without a road the output alone.
        layers: The layers that read the input.
        reads: What they read.
    """
    columns = max(len(road) + (len(way_out) if ends else 0), len(layers) + (0 if ends else 1))
    step = _WIDE + _GAP
    width = 2 * (_MARGIN + _ENDS) + columns * step
    parts: list[str] = []
    left = _MARGIN + _ENDS
    middle = _MARGIN + _HIGH // 2
    if ends:
        parts += [_line(left - _GAP, middle, width - _MARGIN - _ENDS + _GAP, middle)]
        parts += _text(_MARGIN + _ENDS // 2 - 8, middle, ends[0])
        parts += _text(width - _MARGIN - _ENDS // 2 + 8, middle, ends[1])
        for number, box in enumerate(road):
            parts += _box("box", left + number * step, middle, box)
        if way_out:
            low = middle + _HIGH + _GAP
            fork = left + len(road) * step
            stop = width - _MARGIN - _ENDS + _GAP
            parts += [_line(fork, middle, fork, low), _line(fork, low, stop, low)]
            for number, box in enumerate(way_out[:-1]):
                parts += _box("box", fork + _GAP + number * step, low, box)
            parts += _text(width - _MARGIN - _ENDS // 2 + 8, low, way_out[-1])
            middle = low
        middle += _HIGH + 2 * _GAP
    for number, box in enumerate(layers):
        x = left + number * step
        parts += [_line(x + _WIDE // 2, middle, x + _WIDE // 2, middle + _HIGH)]
        parts += _box("layer", x, middle, box)
    last = left + (len(layers) - 1) * step
    if not ends:
        parts += [_line(last + _WIDE, middle, last + _WIDE + _GAP, middle)]
        parts += _text(last + _WIDE + _GAP + _ENDS // 2, middle, way_out[-1])
    bus = middle + _HIGH
    parts += [_line(left - _GAP, bus, last + _WIDE // 2, bus)]
    parts += _text(left - _GAP - _ENDS // 2 + 4, bus, Box(reads))
    height = bus + _MARGIN + 12
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img">',
            f"<style>{_STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def _line(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<path class="line" d="M{x1} {y1} L{x2} {y2}"/>'


def _box(kind: str, left: int, middle: int, box: Box) -> list[str]:
    top = middle - _HIGH // 2
    shape = f'<rect class="{kind}" x="{left}" y="{top}" width="{_WIDE}" height="{_HIGH}" rx="9"/>'
    return [shape, *_text(left + _WIDE // 2, middle, box)]


def _text(x: int, middle: int, box: Box) -> list[str]:
    up = 5 if not box.value else -5
    lines = [f'<text x="{x}" y="{middle + up}">{_lowered(box.label)}</text>']
    if box.value:
        lines.append(f'<text class="value" x="{x}" y="{middle + 17}">{escape(box.value)}</text>')
    return lines


def _lowered(label: str) -> str:
    """A label whose indices stand lower: `f_t`, `h_{t-1}`."""
    low = r'<tspan dy="4" font-size="11">\1\2</tspan><tspan dy="-4">&#8203;</tspan>'
    return re.sub(r"_(?:\{([^}]*)\}|(\w))", low, escape(label))
