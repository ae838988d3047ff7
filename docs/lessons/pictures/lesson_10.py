"""The words of «What time is it?» by two measures: the gradient, and the exchange of each."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Bars


def draw(lesson: Lesson) -> dict[str, Bars]:
    """The picture by its name."""
    rows = []
    for sign in "∂⇄":
        found = re.search(rf"\({sign}\) \| (.+) \|$", lesson.text, re.M)
        assert found
        rows.append((sign, [float(value) for value in found[1].split(" | ")]))
    return {"10_words": Bars(["What", "time", "is", "it", "?"], rows, one_scale=True)}
