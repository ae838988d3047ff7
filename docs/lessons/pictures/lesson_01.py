"""The recurrent network of one neuron with a history of two, with the weights that were found."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node


def draw(lesson: Lesson) -> dict[str, Diagram | Bars]:
    """The pictures by their names."""
    return {"01_history": history(lesson.outputs)}


def history(outputs: str) -> Diagram:
    """Two members go in from below, and the next one comes out on top."""
    found = re.findall(r"^w = ([\d.]+), b = ([\d.]+), v = ([\d.]+)$", outputs, re.M)[0]
    w, b, v = (round(float(each)) for each in found)
    sequence = re.findall(r"^\[(3, 5, 8, 13, [\d, ]+)\]$", outputs, re.M)[0]
    x1, x2, after = map(int, sequence.split(", ")[:3])
    first = w * x1 + b
    second = w * x2 + b + v * first
    assert second == after
    nodes: list[Node] = []
    arrows: list[Arrow] = []
    for column, (x, answer) in enumerate(((x1, first), (x2, second))):
        nodes += [
            Node((column, 0), f"F(x{column + 1})", str(answer), "text"),
            Node((column, 1), "f(x) = x", f"b = {b}", "layer"),
            Node((column, 2), f"x{column + 1}", str(x), "text"),
        ]
        arrows += [
            Arrow(((column, 2), (column, 1)), f"w = {w}"),
            Arrow(((column, 1), (column, 0))),
        ]
    arrows.append(Arrow(((0, 1), (1, 1)), f"v = {v}", "strong"))
    return Diagram(nodes, arrows, rooms=2.5)
