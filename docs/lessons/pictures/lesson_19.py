"""A question read by a network that sees all of it, and by one that sees three words."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Diagram, Node

NUMBERS = {"один": 1, "четыре": 4, "девять": 9}


def draw(lesson: Lesson) -> dict[str, Diagram]:
    """The question in the middle, the networks above and below it."""
    found = re.search(
        r"^шёл отряд (\w+) мальчиков подряд (.+)\n{'memory': '(\w+)', 'three': '(\w+)'}$",
        lesson.outputs,
        re.M,
    )
    assert found
    words = [found[1], "…", *found[2].split()]
    last = len(words) - 1
    nodes = [
        Node((last, 0), found[3], f"= {NUMBERS[found[3]]}", "text"),
        Node((last, 4), found[4], "", "text"),
    ]
    arrows = [Arrow(((last, 1), (last, 0)), kind="strong"), Arrow(((last, 3), (last, 4)))]
    for column, word in enumerate(words):
        sign = "− " if column else ""
        counted = f"{sign}{NUMBERS[word]}" if word in NUMBERS else ""
        nodes += [Node((column, 2), word, counted, "text"), Node((column, 1), "h", kind="layer")]
        arrows.append(Arrow(((column, 2), (column, 1))))
        if column:
            arrows.append(Arrow(((column - 1, 1), (column, 1)), kind="strong"))
        if column > last - 3:
            nodes.append(Node((column, 3), "h", kind="layer"))
            arrows.append(Arrow(((column, 2), (column, 3))))
        if column > last - 2:
            arrows.append(Arrow(((column - 1, 3), (column, 3))))
    return {"19_question": Diagram(nodes, arrows)}
