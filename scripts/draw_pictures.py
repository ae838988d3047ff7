"""Draw the pictures of the lessons anew: each as SVG, and in letters for the terminal.

python scripts/draw_pictures.py [FOLDER]

Each script `docs/lessons/pictures/lesson_NN.py` has a function `draw(lesson)`, which returns its
pictures by their names. It takes the numbers from the page, whose tests compute them.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

from textgen.lessons.lesson_page import list_lessons
from textgen.terminal.diagram import Bars, Diagram

FOLDER = Path(__file__).resolve().parents[1] / "docs/lessons/pictures"


def pictures() -> Iterator[tuple[str, Diagram | Bars]]:
    """Every picture with its name."""
    lessons = {lesson.number: lesson for lesson in list_lessons()}
    for script in sorted(FOLDER.glob("lesson_*.py")):
        lesson = lessons[int(script.stem.removeprefix("lesson_"))]
        yield from runpy.run_path(str(script))["draw"](lesson).items()


def main() -> None:
    """Write all pictures into the folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, picture in pictures():
        (folder / f"{name}.svg").write_text(picture.svg(), "utf-8")
        (folder / f"{name}.txt").write_text("\n".join(picture.text()) + "\n", "utf-8")


if __name__ == "__main__":
    main()
