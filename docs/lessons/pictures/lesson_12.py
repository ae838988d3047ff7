"""The output after each word and its distance from the next word; distances as chances."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node


def draw(lesson: Lesson) -> dict[str, Diagram | Bars]:
    """The pictures by their names."""
    return {"12_loss": loss(lesson.outputs), "12_chances": chances(lesson.outputs)}


def loss(outputs: str) -> Diagram:
    """The three terms of the loss, each between an output and the next word."""
    found = re.search(r"'(\w+ \w+ \w+ \w+)'\n([\d.]+) \+ ([\d.]+) \+ ([\d.]+) = ", outputs)
    assert found
    words, nodes, arrows = found[1].split(), [], []
    for column, term in enumerate(found.groups()[1:]):
        dashes = "'" * column
        nodes += [
            Node((column, 3), words[column], f"V{dashes}", "text"),
            Node((column, 2), "LSTM", kind="layer"),
            Node((column, 1), f"F(V{dashes})"),
            Node((column, 0), words[column + 1], f"V{dashes}'", "text"),
        ]
        arrows += [
            Arrow(((column, 3), (column, 2))),
            Arrow(((column, 2), (column, 1))),
            Arrow(((column, 1), (column, 0)), f"d = {term}", "strong", head=False),
        ]
        if column:
            arrows.append(Arrow(((column - 1, 2), (column, 2))))
    return Diagram(nodes, arrows, rooms=2)


def chances(outputs: str) -> Bars:
    """The distances of five words, and what a softmax makes of them."""
    found = re.search(r"^([^\W\d]+(?: [^\W\d]+){4})\nd: ([\d. ]+)\n", outputs, re.M)
    assert found
    rows = [("d", found[2])]
    for s in "0.5", "100.0":
        line = re.search(rf"^s = {re.escape(s)}: ([\d. ]+)$", outputs, re.M)
        assert line
        rows.append((f"p, s = {s}", line[1]))
    return Bars(found[1].split(), [(name, list(map(float, each.split()))) for name, each in rows])
