"""Pictures of README.md and docs: each is there, small, self-contained, and drawn by the script."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from screen_pictures import FOLDER, MOST_BYTES, PICTURES, Run, draw, screen_svg  # noqa: E402

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
#: `benchmarks/emergence.py` draws it, for hours.
OTHERS = {"emergence.svg"}
SVG = "{http://www.w3.org/2000/svg}"


def named() -> dict[str, set[str]]:
    """The pictures that each page shows."""
    pattern = re.compile(r"(?:src=\"|\]\()(?:docs/)?pictures/([\w.]+)")
    return {
        str(page.relative_to(ROOT)): set(pattern.findall(page.read_text("utf-8"))) for page in PAGES
    }


def test_each_picture_that_a_page_names_is_there_and_made_by_the_script() -> None:
    shown = set().union(*named().values())
    assert shown == set(PICTURES) | OTHERS
    assert {path.name for path in FOLDER.iterdir()} == set(PICTURES) | OTHERS
    assert named()["README.md"] == named()["README.ru.md"] == named()["README.mk.md"]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_asks_for_nothing(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    assert 2000 < len(data) < MOST_BYTES
    if name.endswith(".png"):
        assert data.startswith(b"\x89PNG")
        return
    tree = ElementTree.fromstring(data)
    assert tree.tag == f"{SVG}svg"
    # A ground of its own: it is read on light and dark pages.
    ground = tree.find(f"{SVG}rect")
    assert ground is not None and ground.get("width") == ground.get("height") == "100%"
    assert {element.tag.removeprefix(SVG) for element in tree.iter()} <= {
        *("svg", "style", "rect", "g", "text"),
    }
    text = data.decode("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http" not in text and "url(" not in text and "@import" not in text
    words = "".join(tree.itertext())
    assert "/tmp" not in words and "Traceback" not in words


def test_a_screen_becomes_letters_at_their_places() -> None:
    line = (Run(0, "a<b&", "#ffffff", "", True), Run(10, "x", "#000000", "#ff0000", False))
    tree = ElementTree.fromstring(screen_svg([((), line)], 20))
    texts = list(tree.iter(f"{SVG}text"))
    assert [text.text for text in texts] == ["a<b&", "x"]
    assert float(texts[1].get("x", "")) - float(texts[0].get("x", "")) == pytest.approx(84)
    assert texts[0].get("class") == "b" and texts[0].get("textLength") == "33.6"
    _, behind = tree.iter(f"{SVG}rect")
    assert behind.get("fill") == "#ff0000" and behind.get("x") == texts[1].get("x")


def test_several_screens_become_an_animation_that_ends_where_nothing_moves() -> None:
    frames = [((Run(0, letter, "#fff", "", False),),) for letter in "abc"]
    svg = screen_svg(frames, 4).decode()
    assert svg.count('class="f"') == 3 and "prefers-reduced-motion" in svg
    assert re.findall(r"animation-delay:([\d.]+)s", svg) == ["0", "0.2", "0.4"]
    assert "animation:f 0.6s" in svg and "33.333%{visibility:hidden}" in svg
    assert "class=" not in screen_svg(frames[:1], 4).decode().split("</style>")[1]


def test_the_script_draws_what_textgen_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path, ["heat_map.svg"])
    assert "heat_map.svg: " in capsys.readouterr().out
    tree = ElementTree.parse(tmp_path / "heat_map.svg").getroot()
    words = "".join(tree.itertext())
    assert "$ textgen inspect --text" in words and words.count("neuron 0:") == 2
    assert len({rect.get("fill") for rect in tree.iter(f"{SVG}rect")}) > 20


def test_without_a_browser_its_picture_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    draw(tmp_path, ["page.png"])
    assert "left as it is" in capsys.readouterr().out and not list(tmp_path.iterdir())
