"""The network with its loop, and beside it the network written out three times."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node

#: What the page's code gives to the network.
W, B, V = 0.5, 0.1, -0.8
INPUTS = 1.0, 2.0, 1.0


def draw(lesson: Lesson) -> dict[str, Diagram | Bars]:
    """The pictures by their names."""
    return {"02_unrolled": unrolled(lesson.outputs)}


def unrolled(outputs: str) -> Diagram:
    """Left the loop; right three copies, with the inputs and the answers of the page."""
    said = re.findall(r"^\['([\d.]+)', '([\d.]+)', '([\d.]+)'\]$", outputs, re.M)[0]
    answers = [f"{float(each):.3f}" for each in said]
    copies = [(0, "x", "", "F(x)", "")]
    copies += [
        (place + 1, f"x{place}", f"{x:g}", f"F(x{place})", answer)
        for place, (x, answer) in enumerate(zip(INPUTS, answers, strict=True), start=1)
    ]
    nodes: list[Node] = []
    arrows: list[Arrow] = []
    for column, x, value, F, answer in copies:
        nodes += [
            Node((column, 0), F, answer, "text"),
            Node((column, 2), "tanh", f"b={B}", "layer"),
            Node((column, 3), x, value, "text"),
        ]
        arrows += [
            Arrow(((column, 3), (column, 2)), f"w={W}"),
            Arrow(((column, 2), (column, 0))),
        ]
    arrows.append(Arrow(((0, 1), (0.5, 1), (0.5, 2), (0, 2)), f"v={V}", "strong"))
    nodes.append(Node((1, 2), "0", kind="text"))
    arrows.append(Arrow(((1, 2), (2, 2)), kind="strong"))
    arrows += [Arrow(((column, 2), (column + 1, 2)), f"v={V}", "strong") for column in (2, 3)]
    return Diagram(nodes, arrows, rooms=2.6)
