"""Three words in and three out; and a network that reads what it wrote."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node


def draw(lesson: Lesson) -> dict[str, Diagram | Bars]:
    """The pictures by their names."""
    return {"03_triple": triple(lesson.outputs), "03_writing": writing(lesson.outputs)}


def triple(outputs: str) -> Diagram:
    """The first row of the table: an answer after each word."""
    inputs, targets = re.findall(r"^(\w+ \w+ \w+) -> (\w+ \w+ \w+)$", outputs, re.M)[0]
    nodes, arrows = copies(inputs.split())
    for column, word in enumerate(targets.split(), start=1):
        nodes.append(Node((column, 0), word, kind="text"))
        arrows.append(Arrow(((column, 1), (column, 0))))
    return Diagram(nodes, arrows)


def writing(outputs: str) -> Diagram:
    """Two words are given; each next one comes out on top and goes in at the bottom."""
    words = re.findall(r"^это я убил [\w ]+$", outputs, re.M)[0].split()[:5]
    nodes, arrows = copies(words[:-1])
    for column, word in enumerate(words[2:], start=2):
        nodes.append(Node((column, 0), word, kind="text"))
        arrows.append(Arrow(((column, 1), (column, 0))))
        if column < len(words) - 1:
            turn = column + 0.5
            around = (column, 0), (turn, 0), (turn, 2), (column + 1, 2)
            arrows.append(Arrow(around, kind="strong"))
    return Diagram(nodes, arrows)


def copies(words: list[str]) -> tuple[list[Node], list[Arrow]]:
    """A copy of the network for each word, in a chain that begins with a state of zero."""
    nodes = [Node((0, 1), "0", kind="text")]
    arrows: list[Arrow] = []
    for column, word in enumerate(words, start=1):
        nodes += [Node((column, 1), "LSTM", kind="layer"), Node((column, 2), word, kind="text")]
        arrows += [
            Arrow(((column, 2), (column, 1))),
            Arrow(((column - 1, 1), (column, 1))),
        ]
    return nodes, arrows
