"""What h and the next forget gate are with the bridge (left) and without it (right)."""

from __future__ import annotations

import itertools
import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node


def draw(lesson: Lesson) -> dict[str, Diagram | Bars]:
    """The picture by its name."""
    rows = re.findall(
        r"^c +(\d+), h +([\d.]+), gate ([\d.]+), slope ([\d.]+)$", lesson.outputs, re.M
    )
    nodes: list[Node] = []
    arrows: list[Arrow] = []
    for number, (c, h, gate, slope) in enumerate(rows):
        column, row = 4 * (number // 3), number % 3
        bridged = column == 0
        parts = [Node((column, row), "c_t", c, "text")]
        if bridged:
            parts.append(Node((1, row), "tanh"))
        parts.append(Node((column + 1 + bridged, row), "h_t", h, "text"))
        kind = "layer" if float(slope) else "off"
        parts.append(Node((column + 2 + bridged, row), "f_{t+1} = σ", gate, kind))
        nodes += parts
        arrows += [Arrow((one.at, other.at)) for one, other in itertools.pairwise(parts)]
    return {"05_bridge": Diagram(nodes, arrows)}
