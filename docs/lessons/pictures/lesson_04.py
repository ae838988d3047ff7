"""The LSTM cell with the numbers of one step, and its memory with the gates open and shut."""

from __future__ import annotations

import re
from dataclasses import replace

import textgen
from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node

#: What the page's code gives to the cell.
X, H, C = 1.5, 0.2, 0.7
NAMES = {"i_t": "input", "f_t": "forget", "g_t": "candidate", "o_t": "output"}


def draw(lesson: Lesson) -> dict[str, Diagram | Bars]:
    """The pictures by their names."""
    return {"04_step": step(lesson.outputs), "04_open_and_shut": open_and_shut(lesson.outputs)}


def step(outputs: str) -> Diagram:
    """The cell; below it what it reads."""
    gates = {
        name: float(re.findall(rf"'{word}': '([\d.]+)'", outputs)[0])
        for name, word in NAMES.items()
    }
    c, h = map(float, re.findall(r"^c ([\d.]+), h ([\d.]+)$", outputs, re.M)[0])
    values = {**gates, "c_t": c, "h_t": h}
    cell = textgen.describe_cell("lstm")
    equations = tuple(replace(each, value=values[each.symbol]) for each in cell.equations)
    drawn = replace(cell, equations=equations, before={"c_{t-1}": C, "h_{t-1}": H}).diagram()
    read = f"{H}, {X}"
    nodes = [
        replace(
            node,
            label=node.label.replace("C_", "c_"),
            value=read if "x_t" in node.label else node.value,
        )
        for node in drawn.nodes
    ]
    return replace(drawn, nodes=nodes)


def open_and_shut(outputs: str) -> Diagram:
    """The memory on its road: kept in the first row, gone in the second."""
    kept = re.findall(r"^(1\.0) (0\.0) True$", outputs, re.M)[0]
    gone = re.findall(r"^0\.0$", outputs, re.M)
    nodes, arrows = [], []
    for row, (forget, end) in enumerate(((kept[0], str(C)), (gone[0], gone[0]))):
        nodes += [
            Node((0, row), "c_{t-1}", str(C), "text"),
            Node((1, row), "× f_t", forget, "box" if float(forget) else "off"),
            Node((2, row), "+ i_t * C̃_t", kept[1], "off"),
            Node((3, row), "c_t", end, "text"),
        ]
        kind = "strong" if float(end) else "faint"
        arrows += [
            Arrow(((0, row), (1, row)), kind="strong"),
            Arrow(((1, row), (2, row)), kind=kind),
            Arrow(((2, row), (3, row)), kind=kind),
        ]
    return Diagram(nodes, arrows)
