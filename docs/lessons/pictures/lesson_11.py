"""Writing in a loop: what is written is read next; the eighths of a bar are counted."""

from __future__ import annotations

import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Diagram, Node


def draw(lesson: Lesson) -> dict[str, Diagram]:
    """The first bar of the tune that the page's network wrote."""
    found = re.search(r"^    M:(\d/\d)\n.*?\|:([^|]+\|)", lesson.text, re.S | re.M)
    assert found
    signs = [*found[1], "…", *found[2]]
    nodes, arrows = [], []
    counts = eighths(signs)
    for column, sign in enumerate(signs):
        if sign == "…":
            nodes.append(Node((column, 1), sign, kind="text"))
        else:
            nodes += [
                Node((column, 2), sign, counts[column], "text"),
                Node((column, 1), "h", kind="layer"),
            ]
            arrows.append(Arrow(((column, 2), (column, 1))))
        if column:
            arrows.append(Arrow(((column - 1, 1), (column, 1))))
        if column and "…" not in signs[column - 1 : column + 1]:
            nodes.append(Node((column - 1, 0), sign, kind="text"))
            arrows += [
                Arrow(((column - 1, 1), (column - 1, 0))),
                Arrow(
                    (
                        (column - 1, 0),
                        (column - 0.5, 0),
                        (column - 0.5, 2),
                        (column, 2),
                    ),
                    kind="faint",
                ),
            ]
    return {"11_written_and_read": Diagram(nodes, arrows)}


def eighths(signs: list[str]) -> list[str]:
    """How many eighths of the bar have been read after each sign."""
    counts, so_far, bar = [], 0, False
    for sign in signs:
        if bar and sign != "|":
            so_far += int(sign) - 1 if sign.isdigit() else 1
        counts.append(str(so_far) if bar and sign != "|" else "")
        bar = bar or sign == "…"
    return counts
