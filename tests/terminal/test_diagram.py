"""Diagrams and bars: the text is drawn as it stands here, and the SVG has the same things in it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from textgen.terminal.diagram import Arrow, Bars, Diagram, Node

SVG = "{http://www.w3.org/2000/svg}"
UNROLLED = Diagram(
    [
        *(Node((i, 1), "f", kind="layer") for i in range(3)),
        *(Node((i, 2), f"x_{i + 1}", kind="text") for i in range(3)),
    ],
    [
        *(Arrow(((i, 2), (i, 1)), "w") for i in range(3)),
        *(Arrow(((i, 1), (i + 1, 1)), "v", kind="strong") for i in range(2)),
        Arrow(((2, 1), (2.5, 1), (2.5, 2)), head=False),
    ],
)


def test_a_diagram_in_the_terminal() -> None:
    assert UNROLLED.text() == [
        "┌─────┐ v ┌─────┐ v ┌─────┐",
        "│  f  │──▶│  f  │──▶│  f  │─┐",
        "└─────┘   └─────┘   └─────┘ │",
        "   ▲ w       ▲ w       ▲ w  │",
        "   │         │         │    │",
        "                            │",
        "  x_1       x_2       x_3   │",
    ]


def test_narrow_boxes_where_there_is_little_room() -> None:
    wide = max(map(len, UNROLLED.text()))
    assert max(map(len, UNROLLED.text(wide - 1))) < wide


def test_a_value_stands_below_its_label() -> None:
    diagram = Diagram([Node((0, 0), "f_t", "0.17", "off")])
    assert diagram.text() == ["┌╌╌╌╌╌╌╌┐", "│  f_t  │", "│ 0.17  │", "└╌╌╌╌╌╌╌┘"]
    texts = [
        "".join(own.itertext()) for own in ElementTree.fromstring(diagram.svg()).iter(f"{SVG}text")
    ]
    assert texts == ["ft\u200b", "0.17"]


def test_a_diagram_as_a_picture() -> None:
    """Everything lies within the picture, and the page may be light or dark."""
    root = ElementTree.fromstring(UNROLLED.svg())
    _, _, width, height = map(float, (root.get("viewBox") or "").split())
    boxes = list(root.iter(f"{SVG}rect"))
    assert [box.get("class") for box in boxes] == ["layer"] * 3
    for box in boxes:
        assert 0 < float(box.get("x", 0)) < width - float(box.get("width", 0))
        assert 0 < float(box.get("y", 0)) < height - float(box.get("height", 0))
    kinds = [path.get("class") for path in root.iter(f"{SVG}path")]
    assert (kinds.count("line"), kinds.count("strong"), kinds.count("strong-head")) == (4, 2, 2)
    assert "prefers-color-scheme: dark" in UNROLLED.svg()


BARS = Bars(("What", "time", "?"), (("f_t", (0.1, 0.25, 1.0)), ("h_t", (-0.5, 0.5, 0.0))))


def test_a_label_at_the_right_edge_has_room() -> None:
    nodes = [Node((0, 0), "a"), Node((0, 1), "b")]
    arrow = ((0.0, 0.0), (0.0, 1.0))
    plain, labelled = (
        Diagram(nodes, [Arrow(arrow, label)]).svg() for label in ("", "w_{t-1} = 0.5")
    )
    widths = [float(ElementTree.fromstring(svg).get("width", 0)) for svg in (plain, labelled)]
    assert widths[1] > widths[0] + 50


def test_bars_in_the_terminal() -> None:
    assert BARS.text() == [
        "        f_t             h_t",
        "What   0.10 ▆         -0.50",
        "time   0.25 ██         0.50 ████████",
        "?      1.00 ████████   0.00",
    ]


def test_bars_as_a_picture() -> None:
    """As high as their numbers, which stand beside them; below 0 on the other side."""
    root = ElementTree.fromstring(BARS.svg())
    bars = list(root.iter(f"{SVG}rect"))
    heights = [float(bar.get("height", 0)) for bar in bars]
    assert heights[:3] == pytest.approx([5.6, 14.0, 56.0], abs=0.06)
    assert heights[3:] == pytest.approx([28.0, 28.0, 0.0], abs=0.06)
    assert [bar.get("class") for bar in bars] == ["bar"] * 3 + ["below", "bar", "bar"]
    texts = ["".join(own.itertext()) for own in root.iter(f"{SVG}text")]
    assert texts[:3] == ["What", "time", "?"] and texts[4:7] == ["0.10", "0.25", "1.00"]
    zero = [float(bar.get("y", 0)) for bar in bars[3:5]]
    assert zero[0] == pytest.approx(zero[1] + 28.0, abs=0.1)


def test_bars_of_one_scale() -> None:
    """Equal numbers of different rows are equally high; else each row fills its own height."""
    both = Bars(("a", "b"), (("one", (1.0, 0.5)), ("two", (0.25, -0.5))), one_scale=True)
    root = ElementTree.fromstring(both.svg())
    heights = [float(bar.get("height", 0)) for bar in root.iter(f"{SVG}rect")]
    assert heights == pytest.approx([56.0, 28.0, 14.0, 28.0], abs=0.06)
    assert both.text()[1] == "a   1.00 ████████   0.25 ██"
