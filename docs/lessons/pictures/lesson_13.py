"""The four layers of an LSTM with the numbers of one step; the memory goes down in the middle."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node

#: What the page's code gives to the cell.
HX, C = "0.2, -0.4, 1.5", "0.7, -1.0"
LAYERS = (("f_t", "σ"), ("i_t", "σ"), ("C̃_t", "tanh"), ("o_t", "σ"))


def draw(lesson: Lesson) -> dict[str, Diagram | Bars]:
    """The picture by its name."""
    found = re.findall(r"\b(f_t|i_t|candidate|C_t|o_t|h_t) \[([^\]]+)\]", lesson.outputs)
    numbers = {name: ", ".join(f"{float(part):.3f}" for part in own.split()) for name, own in found}
    numbers["C̃_t"] = numbers["candidate"]
    nodes = [
        Node((0, 0), "[h_{t-1}, x_t]", HX, "text"),
        Node((2, 0), "C_{t-1}", C, "text"),
        Node((2, 1), "× f_t"),
        Node((2, 2), "+ i_t×C̃_t"),
        Node((2, 3), "C_t", numbers["C_t"], "text"),
        Node((2, 4), "o_t×tanh(C_t)"),
        Node((3, 4), "h_t", numbers["h_t"], "text"),
    ]
    arrows = [Arrow(((2, row), (2, row + 1)), kind="strong") for row in (0, 1, 2)]
    arrows += [Arrow(((2, 3), (2, 4))), Arrow(((2, 4), (3, 4)))]
    for row, (name, function) in enumerate(LAYERS, start=1):
        label = f"{name} = {function}"
        nodes.append(Node((1, row), label, numbers[name], "layer"))
        arrows.append(Arrow(((0, 0), (0, row), (1, row))))
        if row != 3:
            arrows.append(Arrow(((1, row), (2, row))))
    arrows.append(Arrow(((1, 3), (1.5, 3), (1.5, 2)), head=False))
    return {"13_layers": Diagram(nodes, arrows)}
