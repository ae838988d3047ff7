"""What the memory keeps, throws away and takes in at each word of a sentence."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Bars

LINE = r"^(\S+) +kept (\d+)%, thrown away (\d+)%, added ([\d.]+)$"


def draw(lesson: Lesson) -> dict[str, Bars]:
    """The picture by its name."""
    words, *rows = zip(*re.findall(LINE, lesson.outputs, re.M), strict=True)
    names = "f C", "(1-f) C", "i C̃"
    values = [[float(value) for value in row] for row in rows]
    return {"17_sentence": Bars(words, list(zip(names, values, strict=True)), digits=0)}
