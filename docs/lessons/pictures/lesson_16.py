"""Four numbers on their way through three steps; an answer at each step, or reading first."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node

#: What goes in at the last three steps.
INPUTS = 5, 2, 8


def draw(lesson: Lesson) -> dict[str, Diagram | Bars]:
    """The pictures by their names."""
    return {"16_vector": vector(lesson.outputs), "16_reading_first": reading_first(lesson.outputs)}


def vector(outputs: str) -> Diagram:
    """The state after three, four and five inputs; each coordinate moves one place down."""
    rows = re.findall(r"^\[(\d), (\d), (\d), (\d)\]$", outputs, re.M)[2:]
    nodes: list[Node] = []
    arrows: list[Arrow] = []
    for step, (x, state) in enumerate(zip(INPUTS, rows, strict=True)):
        column = 2 * step
        assert state[0] == str(x)
        nodes.append(Node((column, 0), f"x_{step + 3} = {x}", kind="text"))
        nodes += [Node((column, row), own) for row, own in enumerate(state, start=1)]
        nodes.append(Node((column, 5), f"h_{step + 3}", kind="text"))
        arrows.append(Arrow(((column, 0), (column, 1)), "w"))
        if step < len(rows) - 1:
            for row in (1, 2, 3):
                turn = column + 1.3 - 0.15 * row
                way = (column, row), (turn, row), (turn, row + 1), (column + 2, row + 1)
                arrows.append(Arrow(way, kind="strong"))
    return Diagram(nodes, arrows)


def reading_first(outputs: str) -> Diagram:
    """Above, an output at each step; below, a word is read, and then it is written backwards."""
    written = re.findall(r"^\['(\w+)',", outputs, re.M)[0]
    read = [*reversed(written), "\\t"]
    nodes: list[Node] = []
    arrows: list[Arrow] = []
    for column in range(len(written)):
        add_copy(nodes, arrows, (column, 1), f"x_{column + 1}", f"h_{column + 1}")
    for column, letter in enumerate([*read, *written[:-1]]):
        out = written[column - len(written)] if column >= len(written) else ""
        add_copy(nodes, arrows, (column, 4), letter, out)
        if column >= len(read):
            turn = column - 0.5
            around = (column - 1, 3), (turn, 3), (turn, 5), (column, 5)
            arrows.append(Arrow(around, kind="strong"))
    return Diagram(nodes, arrows, rooms=1.3)


def add_copy(
    nodes: list[Node], arrows: list[Arrow], at: tuple[int, int], below: str, above: str
) -> None:
    """A copy of the network: what goes in, what comes out if anything does, and the copy before."""
    column, row = at
    nodes += [Node(at, "A", kind="layer"), Node((column, row + 1), below, kind="text")]
    arrows.append(Arrow(((column, row + 1), at)))
    if above:
        nodes.append(Node((column, row - 1), above, kind="text"))
        arrows.append(Arrow((at, (column, row - 1))))
    if column:
        arrows.append(Arrow(((column - 1, row), at)))
