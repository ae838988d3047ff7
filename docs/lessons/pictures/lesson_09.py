"""A sentence in which the name fixes the ending, with one neuron and its forget gate."""

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Bars


def draw(lesson: Lesson) -> dict[str, Bars]:
    """The pictures of lesson 9."""
    found = re.search(r"^ {4}word (.*)\n {4}c (.*)\n {4}f (.*)$", lesson.text, re.M)
    assert found
    words, *values = (line.split() for line in found.groups())
    memory, forget = ([float(value) for value in row] for row in values)
    return {"09_sentence": Bars(words, [("c", memory), ("f", forget)])}
