"""Drawings from plain data: boxes and arrows on a grid, and words with bars.

Each becomes SVG for light and dark pages, or text for the terminal. A label may have indices, as in
`f_t` and `h_{t-1}`; the SVG puts them lower.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar
from xml.sax.saxutils import escape

N = TypeVar("N", int, float)
#: A place on the grid: column and row, from 0; halves lie between.
Place = tuple[float, float]

#: A box; a layer, which has weights; one that lets nothing through; words without a frame.
Kind = Literal["box", "layer", "off", "text"]

#: Pixels of the SVG: a letter, a box, the gaps between boxes, the margin.
_LETTER, _HIGH, _ROOM, _MARGIN = 8.5, 30, 36, 14
#: The height that a value adds to a box.
_VALUE = 20
#: Pixels of a bar at its largest.
_BAR = 56
#: Characters of the text: in a box beside its label, and between two boxes; the widest first.
_SPACES = ((4, 3), (2, 2), (2, 1))
_STYLE = """
svg { background: #ffffff; font: 15px system-ui, sans-serif; }
.line { stroke: #57606a; stroke-width: 2; fill: none; }
.strong { stroke: #0a5a9c; stroke-width: 4; fill: none; }
.faint { stroke: #8c959f; stroke-width: 2; stroke-dasharray: 3 6; fill: none; }
.head { fill: #57606a; } .strong-head { fill: #0a5a9c; } .faint-head { fill: #8c959f; }
.box { stroke: #57606a; stroke-width: 1.5; fill: #ddf4ff; }
.layer { stroke: #57606a; stroke-width: 1.5; fill: #fff1c9; }
.off { stroke: #8c959f; stroke-width: 1.5; stroke-dasharray: 4 4; fill: #f6f8fa; }
.bar { fill: #0a5a9c; } .below { fill: #c4570a; } .zero { stroke: #8c959f; }
text { fill: #1f2328; text-anchor: middle; }
.value { fill: #0a5a9c; font-weight: 600; font-size: 14px; }
.name { text-anchor: end; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; }
  .line, .box, .layer { stroke: #9198a1; }
  .strong { stroke: #79c0ff; }
  .faint, .off, .zero { stroke: #656c76; }
  .head { fill: #9198a1; } .strong-head { fill: #79c0ff; } .faint-head { fill: #656c76; }
  .box { fill: #12324f; }
  .layer { fill: #4a3a12; }
  .off { fill: #151b23; }
  .bar { fill: #79c0ff; } .below { fill: #f0883e; }
  text { fill: #f0f6fc; }
  .value { fill: #79c0ff; }
}
"""
#: Directions in which a line leaves a character, and the character.
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = dict(enumerate(" │││─┘┐┤─└┌├─┴┬┼"))
_HEADS = {_UP: "▲", _DOWN: "▼", _LEFT: "◀", _RIGHT: "▶"}
_SHADES = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Node:
    """One thing of a diagram.

    Args:
        at: Its middle.
        label: What stands in it.
        value: A number below that; "" for none.
        kind: How it is drawn.
    """

    at: Place
    label: str
    value: str = ""
    kind: Kind = "box"


@dataclass(frozen=True)
class Arrow:
    """A line with a head at its end.

    Args:
        places: Where it begins, turns and ends. It starts and stops at the frames of the nodes
            that are there.
        label: What stands at the middle of its longest part.
        kind: A `line`; a `strong` or a `faint` one.
        head: Whether it has a head.
    """

    places: tuple[Place, ...]
    label: str = ""
    kind: Literal["line", "strong", "faint"] = "line"
    head: bool = True


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows.

    Args:
        nodes: In any order.
        arrows: In any order; they lie below the nodes.
        rooms: How many times wider than usual the room between two columns is.
    """

    nodes: Sequence[Node]
    arrows: Sequence[Arrow] = ()
    rooms: float = 1.0

    def svg(self) -> str:
        """The diagram as the text of an SVG file."""
        columns = self._columns(_LETTER, 28, _ROOM * self.rooms)
        high = _HIGH + _VALUE * any(node.value for node in self.nodes)
        rows = [place[1] for place in self._places()]

        def point(place: Place) -> Place:
            return (
                _MARGIN + _between(columns, place[0])[0],
                _MARGIN + high / 2 + (place[1] - min(rows)) * (high + _ROOM),
            )

        parts: list[str] = []
        last, wide = columns[max(columns)]
        right = _MARGIN + last + wide / 2
        for arrow in self.arrows:
            points = [point(place) for place in arrow.places]
            for end, way in ((0, 1), (-1, -1)):
                if node := self._node_at(arrow.places[end]):
                    size = _between(columns, node.at[0])[1], high
                    if node.kind == "text":
                        widest = max(_width(_plain(node.label)), _width(node.value))
                        size = _LETTER * widest + 8, high - 8
                    points[end] = _clipped(points[end], points[end + way], size)
            parts += _arrow_svg(arrow, points)
            (x, y), (_, other) = _longest(points)
            if arrow.label and y != other:
                right = max(right, x + 6 + _LETTER * _width(_plain(arrow.label)))
        for node in self.nodes:
            parts += _node_svg(node, point(node.at), (_between(columns, node.at[0])[1], high))
        return _file(right + _MARGIN, point((0, max(rows)))[1] + high / 2 + _MARGIN, parts)

    def text(self, width: int = 79) -> list[str]:
        """The diagram as lines of text; where they would be wider, boxes and gaps are narrower."""
        lines = self._text(*_SPACES[0])
        for frame, gap in _SPACES[1:]:
            if max(map(_width, lines)) <= width:
                break
            lines = self._text(frame, gap)
        return lines

    def _text(self, frame: int, gap: float) -> list[str]:
        columns = self._columns(1, frame, round(gap * self.rooms))
        high = 3 + any(node.value for node in self.nodes)
        top = min(place[1] for place in self._places())

        def place(at: Place) -> tuple[int, int]:
            row = round((at[1] - top) * (high + 2)) + high // 2
            return int(_between(columns, at[0])[0]), row

        lines: dict[tuple[int, int], int] = {}
        signs: dict[tuple[int, int], str] = {}
        for arrow in self.arrows:
            points = [place(at) for at in arrow.places]
            for end, way in ((0, 1), (-1, -1)):
                node = self._node_at(arrow.places[end])
                if node:
                    size: Place = (_between(columns, node.at[0])[1] + 1, high + 1)
                    if node.kind == "text":
                        size = max(_width(node.label), _width(node.value)) + 3, 3 + bool(node.value)
                    x, y = _clipped(points[end], points[end + way], size)
                    points[end] = round(x), round(y)
            for one, other in itertools.pairwise(points):
                _draw_line(lines, one, other)
            if arrow.head:
                (a, b), (c, d) = points[-2:]
                ahead = _RIGHT if c > a else _LEFT if c < a else _DOWN if d > b else _UP
                signs[points[-1]] = _HEADS[ahead]
            if arrow.label:
                (a, b), (c, d) = _longest(points)
                if b == d:
                    _write(signs, (a + c) // 2 - _width(arrow.label) // 2, b - 1, arrow.label)
                else:
                    _write(signs, a + 2, (b + d) // 2, arrow.label)
        signs = {at: _LINES[ways] for at, ways in lines.items()} | signs
        for node in self.nodes:
            middle, row = place(node.at)
            words = [node.label, node.value] if node.value else [node.label]
            if node.kind != "text":
                wide = int(_between(columns, node.at[0])[1])
                edge = ("╌" if node.kind == "off" else "─") * (wide - 2)
                inside = [f"│{' ' * (wide - 2)}│"] * (high - 2)
                for number, line in enumerate([f"┌{edge}┐", *inside, f"└{edge}┘"]):
                    _write(signs, middle - wide // 2, row - high // 2 + number, line)
            for number, word in enumerate(words):
                _write(signs, middle - _width(word) // 2, row - high // 2 + 1 + number, word)
        return _canvas(signs)

    def _places(self) -> list[Place]:
        places = [node.at for node in self.nodes]
        return places + [place for arrow in self.arrows for place in arrow.places]

    def _columns(self, letter: float, frame: float, room: float) -> dict[int, Place]:
        """The middle and the width of each whole column."""
        lines = [place[0] for place in self._places()]
        columns, left = {}, 0.0
        for column in range(math.floor(min(lines)), math.ceil(max(lines)) + 1):
            labels = [
                word
                for node in self.nodes
                if abs(node.at[0] - column) <= 0.5
                for word in (_plain(node.label) if letter > 1 else node.label, node.value)
            ]
            wide = letter * max(map(_width, labels), default=1) + frame
            wide += (1 - wide % 2) * (letter == 1)  # A frame of text has a middle.
            columns[column] = left + wide // 2, wide
            left += wide + room
        return columns

    def _node_at(self, place: Place) -> Node | None:
        return next((node for node in self.nodes if node.at == place), None)


@dataclass(frozen=True)
class Bars:
    """Words, or other things, with bars below them.

    Args:
        words: What stands above the bars.
        rows: Names, each with a number for every word.
        digits: Digits of the numbers after the point.
        one_scale: Whether the bars of all rows have the same scale; else each row fills its own.
    """

    words: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float]]]
    digits: int = 2
    one_scale: bool = False

    def svg(self) -> str:
        """The bars as the text of an SVG file."""
        names = [name for name, _ in self.rows]
        left = _MARGIN + _LETTER * max(map(_width, map(_plain, names))) + 12
        wide = max(52.0, _LETTER * max(map(_width, self.words)) + 12)
        parts = [
            f'<text x="{left + wide * (column + 0.5):g}" y="{_MARGIN + 14}">{escape(word)}</text>'
            for column, word in enumerate(self.words)
        ]
        y = float(_MARGIN + 28)
        for name, values in self.rows:
            most, least = max(0.0, *values), min(0.0, *values)
            scale = _BAR / (self._range(values) or 1.0)
            zero = y + 22 + most * scale
            low = zero - min(least * scale, 0.0)
            parts.append(
                f'<text class="name" x="{left - 10:g}" y="{zero:g}">{_lowered(name)}</text>'
            )
            parts.append(
                f'<path class="zero" d="M{left:g} {zero:g} H{left + wide * len(values):g}"/>'
            )
            for column, value in enumerate(values):
                x, size = left + wide * (column + 0.5), abs(value) * scale
                first, kind = (zero - size, "bar") if value >= 0 else (zero, "below")
                parts.append(
                    f'<rect class="{kind}" x="{x - 12:g}" y="{first:.1f}" width="24" '
                    f'height="{size:.1f}"/>'
                )
                at = first - 5 if value >= 0 else first + size + 15
                number = f"{value:.{self.digits}f}"
                parts.append(f'<text class="value" x="{x:g}" y="{at:.1f}">{number}</text>')
            y = low + (18 if least < 0 else 6)
        return _file(left + wide * len(self.words) + _MARGIN, y + _MARGIN, parts)

    def text(self) -> list[str]:
        """The bars as lines of text, a word on each; numbers below 0 have no bar."""
        head = max(map(_width, self.words))
        rows = []
        for number, word in enumerate(self.words):
            cells = []
            for _, values in self.rows:
                most = self._most(values) or 1.0
                eighths = round(max(values[number], 0.0) / most * 64)
                bar = "█" * (eighths // 8) + _SHADES[eighths % 8].strip()
                cells.append(f"{values[number]:{self.digits + 4}.{self.digits}f} {bar:8}")
            rows.append((word + " " * (head - _width(word)) + " " + " ".join(cells)).rstrip())
        names = "".join(f"{name:>{self.digits + 5}}{'':9}" for name, _ in self.rows)
        return [f"{'':{head}}{names}".rstrip(), *rows]

    def _most(self, values: Sequence[float]) -> float:
        """The largest value that the bars of a row have room for."""
        return max(0.0, *itertools.chain(*self._scaled_together(values)))

    def _range(self, values: Sequence[float]) -> float:
        """From the lowest end of a bar to the highest one."""
        return max(max(0.0, *row) - min(0.0, *row) for row in self._scaled_together(values))

    def _scaled_together(self, values: Sequence[float]) -> list[Sequence[float]]:
        return [own for _, own in self.rows] if self.one_scale else [values]


def _arrow_svg(arrow: Arrow, points: list[Place]) -> Iterator[str]:
    if arrow.head:
        (a, b), (c, d) = points[-2:]
        dx, dy = (c > a) - (c < a), (d > b) - (d < b)
        points[-1] = c - 8 * dx, d - 8 * dy
        wings = f"L{c - 10 * dx - 6 * dy:g} {d - 10 * dy - 6 * dx:g} "
        wings += f"L{c - 10 * dx + 6 * dy:g} {d - 10 * dy + 6 * dx:g}"
        name = "head" if arrow.kind == "line" else f"{arrow.kind}-head"
        yield f'<path class="{name}" d="M{c:g} {d:g} {wings} Z"/>'
    path = " L".join(f"{x:g} {y:g}" for x, y in points)
    yield f'<path class="{arrow.kind}" d="M{path}"/>'
    if arrow.label:
        (a, b), (c, d) = _longest(points)
        x, y = ((a + c) / 2, b - 8) if b == d else (a + 6, (b + d) / 2 + 5)
        anchor = "" if b == d else ' style="text-anchor:start"'
        yield f'<text x="{x:g}" y="{y:g}"{anchor}>{_lowered(arrow.label)}</text>'


def _node_svg(node: Node, middle: Place, size: tuple[float, float]) -> Iterator[str]:
    (x, y), (wide, high) = middle, size
    if node.kind != "text":
        yield (
            f'<rect class="{node.kind}" x="{x - wide / 2:g}" y="{y - high / 2:g}" '
            f'width="{wide:g}" height="{high:g}" rx="8"/>'
        )
    up = 5 if not node.value else 5 - _VALUE / 2
    yield f'<text x="{x:g}" y="{y + up:g}">{_lowered(node.label)}</text>'
    if node.value:
        yield f'<text class="value" x="{x:g}" y="{y + up + 20:g}">{escape(node.value)}</text>'


def _between(columns: dict[int, Place], at: float) -> Place:
    """The middle and the width of a column, or of a place between two."""
    (low, wide), (high, other) = columns[math.floor(at)], columns[math.ceil(at)]
    share = at - math.floor(at)
    if not share:
        return low, wide
    middle = (low + wide / 2 + high - other / 2) / 2  # of the room between the two
    first, last, part = (low, middle, share) if share < 0.5 else (middle, high, share - 0.5)
    return first + 2 * part * (last - first), max(wide, other)


def _clipped(end: Place, other: Place, size: tuple[float, float]) -> Place:
    """An end of a line, moved from the middle of a node to its edge."""
    (x, y), (a, b) = end, other
    if y == b:
        return x + (size[0] / 2 if a > x else -size[0] / 2), y
    return x, y + (size[1] / 2 if b > y else -size[1] / 2)


def _longest(points: Sequence[tuple[N, N]]) -> tuple[tuple[N, N], tuple[N, N]]:
    """The longest part of a line."""
    parts = itertools.pairwise(points)
    return max(parts, key=lambda part: sum(abs(a - b) for a, b in zip(*part, strict=True)))


def _draw_line(
    lines: dict[tuple[int, int], int], start: tuple[int, int], end: tuple[int, int]
) -> None:
    (x, y), (a, b) = start, end
    dx, dy = (a > x) - (a < x), (b > y) - (b < y)
    ways = {(1, 0): (_RIGHT, _LEFT), (-1, 0): (_LEFT, _RIGHT)}
    ways |= {(0, 1): (_DOWN, _UP), (0, -1): (_UP, _DOWN)}
    if (dx, dy) not in ways:
        return
    out, back = ways[dx, dy]
    while (x, y) != (a, b):
        lines[x, y] = lines.get((x, y), 0) | out
        x, y = x + dx, y + dy
        lines[x, y] = lines.get((x, y), 0) | back


def _write(signs: dict[tuple[int, int], str], x: int, y: int, text: str) -> None:
    for sign in text:
        if unicodedata.combining(sign):
            signs[x - 1, y] += sign
        else:
            signs[x, y] = sign
            x += 1


def _canvas(signs: dict[tuple[int, int], str]) -> list[str]:
    left = min(x for x, _ in signs)
    lines = []
    for y in range(min(y for _, y in signs), max(y for _, y in signs) + 1):
        last = max((x for x, row in signs if row == y), default=left)
        lines.append("".join(signs.get((x, y), " ") for x in range(left, last + 1)).rstrip())
    return lines


def _width(text: str) -> int:
    return sum(not unicodedata.combining(sign) for sign in text)


def _plain(label: str) -> str:
    """A label as wide as it is in the SVG."""
    return re.sub(r"_\{([^}]*)\}|_", r"\1", label)


def _lowered(label: str) -> str:
    """A label whose indices stand lower."""
    low = r'<tspan dy="4" font-size="11">\1\2</tspan><tspan dy="-4">&#8203;</tspan>'
    return re.sub(r"_(?:\{([^}]*)\}|(\w))", low, escape(label))


def _file(width: float, height: float, parts: Iterable[str]) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, "</svg>\n"])
