"""Pictures of the lessons: drawn by their scripts from the pages' numbers, and shown everywhere."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import pytest

from textgen.lessons.lesson_page import list_lessons, with_drawn_pictures

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/lessons"
FOLDER = PAGES / "pictures"
sys.path.insert(0, str(ROOT / "scripts"))

from draw_pictures import pictures  # noqa: E402

DRAWN = dict(pictures())
SHOWN = {
    page.name: re.findall(r"^!\[(.+)\]\(pictures/(\w+)\.svg\)$", page.read_text("utf-8"), re.M)
    for page in PAGES.glob("[0-9]*.md")
}


def test_every_picture_is_drawn_anew_and_shown() -> None:
    """No file is older than its script or the numbers of its page, and none is left over."""
    for name, picture in DRAWN.items():
        message = f"{name} is not as its script draws it: make pictures"
        assert (FOLDER / f"{name}.svg").read_text("utf-8") == picture.svg(), message
        assert (FOLDER / f"{name}.txt").read_text("utf-8").splitlines() == picture.text(), message
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(DRAWN)
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(DRAWN)
    shown = [(name, page) for page, found in SHOWN.items() for _, name in found]
    assert sorted(name for name, _ in shown) == sorted(DRAWN)
    assert all(name[:3] == page[:3] for name, page in shown)


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_in_letters_fits_into_a_terminal(name: str) -> None:
    lines = (FOLDER / f"{name}.txt").read_text("utf-8").splitlines()
    assert max(map(len, lines)) <= 76  # Four more stand before it.


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_needs_no_translation(name: str) -> None:
    """Its labels are short: symbols, numbers, single words."""
    texts = re.findall(r"<text[^>]*>(.*?)</text>", DRAWN[name].svg())
    assert texts and all(len(re.sub(r"<[^>]*>|&#8203;", "", text)) <= 24 for text in texts)


def test_pictures_of_a_page_in_the_terminal_and_in_a_notebook() -> None:
    for lesson in list_lessons():
        found = re.findall(r"!\[(.+)\]\(pictures/(\w+)\.svg\)", lesson.text)
        cells = lesson.to_notebook()["cells"]
        inside = {name: own for cell in cells for name, own in cell.get("attachments", {}).items()}
        assert set(inside) == {f"{name}.svg" for _, name in found}
        for says, name in found:
            drawn = (FOLDER / f"{name}.txt").read_text("utf-8").splitlines()
            shown = with_drawn_pictures(lesson.text)
            lines = [f"{says.rstrip('.')}:\n", *(f"    {line}" for line in drawn)]
            assert "\n".join(lines) in shown
            svg = base64.b64decode(inside[f"{name}.svg"]["image/svg+xml"]).decode("utf-8")
            assert svg == DRAWN[name].svg()
            assert any(f"![{says}](attachment:{name}.svg)" in str(cell["source"]) for cell in cells)
