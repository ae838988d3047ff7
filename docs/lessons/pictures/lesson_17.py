"""What the memory keeps, throws away and takes in at each word of a sentence."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Bars


def draw(lesson: Lesson) -> dict[str, Bars]:
    """The picture by its name."""
    head = re.search(r"^\| \| (.+) \|$", lesson.text, re.M)
    assert head
    rows = []
    for start, name in ("kept, %", "f C"), ("thrown away, %", "(1-f) C"), ("added", "i C̃"):
        found = re.search(rf"^\| {start} \| (.+) \|$", lesson.text, re.M)
        assert found
        rows.append((name, [float(value) for value in found[1].split(" | ")]))
    return {"17_sentence": Bars(head[1].split(" | "), rows, digits=0)}
