"""The way from the LSTM to the GRU, and what a peephole sees."""

from __future__ import annotations

import itertools
import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node


def draw(lesson: Lesson) -> dict[str, Diagram | Bars]:
    """The pictures by their names."""
    return {"14_joins": joins(lesson.outputs), "14_peephole": peephole(lesson.outputs)}


def joins(outputs: str) -> Diagram:
    """A row for each cell: its name with the weights of one neuron, and the way of its state."""
    counts = re.findall(r"^(?:LSTM|coupled|r_t = 1|GRU): (\d+) \d+$", outputs, re.M)
    out = ("C_t", "o_t×tanh", "h_t")
    rows = (
        ("LSTM", "C_{t-1}", "× f_t", "+ i_t×C̃_t", *out),
        ("coupled", "C_{t-1}", "× (1-i_t)", "+ i_t×C̃_t", *out),
        ("r_t = 1", "h_{t-1}", "× z_t", "+ (1-z_t)×h̃_t", "h_t"),
        ("GRU", "h_{t-1}", "× z_t", "+ (1-z_t)×h̃_t", "h_t"),
    )
    nodes: list[Node] = []
    arrows: list[Arrow] = []
    for row, ((name, *labels), count) in enumerate(zip(rows, counts, strict=True)):
        nodes.append(Node((0, row), name, count, "text"))
        parts = [
            Node((column, row), label, kind="text" if column in (1, 4, 6) else "box")
            for column, label in enumerate(labels, start=1)
        ]
        nodes += parts
        kinds = ["strong"] * 3 + ["line"] * 2
        arrows += [
            Arrow((one.at, other.at), kind=kind)  # type: ignore[arg-type]
            for (one, other), kind in zip(itertools.pairwise(parts), kinds, strict=False)
        ]
    last = len(rows)
    nodes += [Node((2, last), "× r_t"), Node((3, last), "h̃_t = tanh", kind="layer")]
    arrows += [
        Arrow(((1, last - 1), (1, last), (2, last))),
        Arrow(((2, last), (3, last))),
        Arrow(((3, last), (3, last - 1))),
    ]
    return Diagram(nodes, arrows)


def peephole(outputs: str) -> Diagram:
    """The memory behind a shut output gate; below, the forget gate reads it."""
    ((c, lstm, eye),) = re.findall(r"^C (5\.0): lstm ([\d.]+), peephole ([\d.]+)$", outputs, re.M)
    nodes: list[Node] = []
    arrows: list[Arrow] = []
    for row, gate in ((0, lstm), (1, eye)):
        nodes += [
            Node((0, row), "C_{t-1}", c, "text"),
            Node((1, row), "o_{t-1}×tanh", "0", "off"),
            Node((2, row), "h_{t-1}", "0", "text"),
            Node((3, row), "f_t = σ", gate, "layer"),
        ]
        arrows.append(Arrow(((0, row), (1, row))))
        arrows += [Arrow(((column, row), (column + 1, row)), kind="faint") for column in (1, 2)]
    arrows.append(Arrow(((0, 1), (0, 2), (3, 2), (3, 1)), "w_f", "strong"))
    return Diagram(nodes, arrows)
