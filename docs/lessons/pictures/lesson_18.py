"""The neuron of the mood along the lecture's text, and along a text in which it is turned."""

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Bars


def draw(lesson: Lesson) -> dict[str, Bars]:
    """The pictures of lesson 18."""
    read = re.search(r"^ {4}(Дураки -.*\n.*)$", lesson.text, re.M)
    turned = re.search(r"^ {4}word (.*)\n {4}free (.*)\n {4}held (.*)$", lesson.text, re.M)
    assert read and turned
    words, values = read[1].split()[::2], [float(value) for value in read[1].split()[1::2]]
    heads, free, held = (line.split() for line in turned.groups())
    rows = [("mood", list(map(float, free))), ("±2", list(map(float, held)))]
    return {
        "18_reading": Bars(words, [("mood", values)]),
        "18_turned": Bars(heads, rows, one_scale=True),
    }
