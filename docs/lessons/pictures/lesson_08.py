"""The neuron's value along a text, and the place where it is held."""

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Bars, Diagram, Node


def draw(lesson: Lesson) -> dict[str, Bars | Diagram]:
    """The pictures of lesson 8."""
    line = re.search(r"^ {4}(the -.*)$", lesson.text, re.M)
    assert line
    words, values = line[1].split()[::2], [float(value) for value in line[1].split()[1::2]]
    held = Diagram(
        (
            Node((0, 0), "c_{t-1}", kind="text"),
            Node((1, 0), "f_t c_{t-1} + i_t C̃_t"),
            Node((2, 0), "c_t = m + 2 s", kind="layer"),
            Node((3, 0), "c_t", kind="text"),
            Node((0, 1), "x_t, h_{t-1}", kind="text"),
            Node((2, 1), "o_t tanh(c_t)"),
            Node((3, 1), "h_t", kind="text"),
        ),
        (
            Arrow(((0, 0), (1, 0))),
            Arrow(((0, 1), (1, 1), (1, 0))),
            Arrow(((1, 0), (2, 0)), kind="faint"),
            Arrow(((2, 0), (3, 0)), kind="strong"),
            Arrow(((2, 0), (2, 1)), kind="strong"),
            Arrow(((2, 1), (3, 1))),
        ),
    )
    return {"08_values": Bars(words, [("c_t", values)]), "08_held": held}
