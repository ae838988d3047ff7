"""What is left of the gradient after k steps back."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Bars


def draw(lesson: Lesson) -> dict[str, Bars]:
    """The picture by its name."""
    head = re.search(r"^\| gradient by \| ([\d |]+) \| lag", lesson.text, re.M)
    assert head
    words = head[1].split(" | ")
    rows = []
    for cell, state, name in (
        ("rnn", "h", "RNN h"),
        ("lstm", "c", "LSTM c"),
        ("lstm", "h", "LSTM h"),
    ):
        found = re.search(rf"^\| `{cell}`, {state} \| ([\d. |]+)", lesson.text, re.M)
        assert found
        rows.append((name, [float(value) for value in found[1].split(" | ")[: len(words)]]))
    return {"06_left": Bars(words, rows, digits=3, one_scale=True)}
