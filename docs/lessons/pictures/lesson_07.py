"""The same five chances at three temperatures."""

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Bars


def draw(lesson: Lesson) -> dict[str, Bars]:
    """The pictures of lesson 7."""
    rows = []
    for name in "0.5", "1", "2":
        line = re.search(rf"^ +{re.escape(name)}: ([\d. ]+) +[\d.]+ bits$", lesson.outputs, re.M)
        assert line
        rows.append((f"T = {name}", [float(share) for share in line[1].split()]))
    return {"07_temperature": Bars("eaiou", rows, digits=3, one_scale=True)}
