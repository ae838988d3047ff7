"""The two roads of the cell with the bridge between them, and ResNet beside a plain stack."""

from __future__ import annotations

import itertools
import re

from textgen.lessons.lesson_page import Lesson
from textgen.terminal.diagram import Arrow, Diagram, Node


def draw(lesson: Lesson) -> dict[str, Diagram]:
    """The pictures by their names."""
    return {"15_roads": roads(lesson.outputs), "15_resnet": resnet(lesson.outputs)}


def roads(outputs: str) -> Diagram:
    """The gradient on the upper road with the bridge, and on the lower one without it."""
    found = re.findall(r"^ +(\d+) steps back: by h (\S+), by C (\S+)$", outputs, re.M)
    half = len(found) // 2
    upper = {int(k): by_c for k, _, by_c in found[:half]}
    lower = {int(k): by_h for k, by_h, _ in found[half:]}
    nodes, arrows = [], []
    for row, letter, factor, slopes in (0, "C", "f", upper), (3, "h", "σ", lower):
        places: list[tuple[float, float]] = []
        for k in 50, 20, 5:
            nodes.append(Node((len(places), row), f"{letter}_{{t-{k}}}", slopes[k], "text"))
            nodes.append(Node((len(places) + 1, row), factor, kind="box" if row == 0 else "off"))
            places += [nodes[-2].at, nodes[-1].at]
        nodes.append(Node((len(places), row), f"{letter}_t", kind="text"))
        places.append(nodes[-1].at)
        kind = "strong" if row == 0 else "faint"
        arrows += [Arrow(pair, kind=kind) for pair in itertools.pairwise(places)]
    bridge, end = Node((6, 1), "tanh"), Node((6, 2), "h_t", kind="text")
    nodes += [bridge, end]
    arrows += [Arrow(((6, 0), bridge.at), kind="strong"), Arrow((bridge.at, end.at), kind="strong")]
    return Diagram(nodes, arrows, rooms=0.8)


def resnet(outputs: str) -> Diagram:
    """The gradient on ResNet's road, and through the same layers without it."""
    left = {}
    for kind in "residual", "plain":
        found = re.search(rf"^0\.5 rnn +{kind} +(.+)$", outputs, re.M)
        assert found
        left[kind] = dict(zip((1, 10, 20, 50), found[1].split(), strict=True))
    nodes, arrows = [], []
    for number, k in enumerate((50, 20, 10)):
        x, plus, end = 2 * number, 2 * number + 1, 2 * number + 2
        for row, kind in (0, "residual"), (2, "plain"):
            nodes.append(Node((x, row), f"x_{{{50 - k}}}", left[kind][k], "text"))
            nodes.append(
                Node((plus, row), "+" if row == 0 else "F", kind="box" if row == 0 else "layer")
            )
            road = "strong" if row == 0 else "line"
            arrows += [
                Arrow(((x, row), (plus, row)), kind=road),
                Arrow(((plus, row), (end, row)), kind=road),
            ]
        nodes.append(Node((plus, 1), "F", kind="layer"))
        arrows += [Arrow(((x, 0), (x, 1), (plus, 1))), Arrow(((plus, 1), (plus, 0)))]
    nodes += [Node((6, row), "x_{50}", kind="text") for row in (0, 2)]
    return Diagram(nodes, arrows)
