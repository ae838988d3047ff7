"""Draw the pictures of README.md and docs anew, as textgen shows itself on a screen and in a page.

python scripts/screen_pictures.py [NAME]...

Each command runs in a pseudo terminal; its screen becomes an SVG with a ground of its own, to be
read on light and dark pages. The numbers are those of models that come with textgen, and of
trainings of a minute, so no two runs draw the same curve. The page needs Chromium: where there is
none, its picture stays as it is, and a line says so.
"""

from __future__ import annotations

import fcntl
import html
import os
import select
import shlex
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyte

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/pictures"
#: A picture is smaller than this.
MOST_BYTES = 1_000_000

#: Of a character on a picture.
_WIDE, _HIGH, _SIZE, _MARGIN = 8.4, 18, 14, 14
_GROUND, _INK = "#16171a", "#ecebe8"
_COLORS = {
    "black": "#3b3c42",
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": _INK,
    "brightblack": "#8b8d96",
    "brightred": "#ffa198",
    "brightgreen": "#aff5b4",
    "brightbrown": "#f8e3a1",
    "brightblue": "#a5d6ff",
    "brightmagenta": "#e2c5ff",
    "brightcyan": "#b3f0ff",
    "brightwhite": "#ffffff",
}
#: Frames of an animation, a second.
_FRAMES = 5


@dataclass(frozen=True)
class Run:
    """Characters of one style, side by side on a line.

    Args:
        column: Where they begin.
        text: The characters.
        ink: Their colour.
        ground: What they stand on; "" for that of the picture.
        bold: Whether they are bold.
    """

    column: int
    text: str
    ink: str
    ground: str
    bold: bool


#: A screen: its lines from top to bottom.
Screen = tuple[tuple[Run, ...], ...]


class Recording:
    """A command in a terminal of its own, whose screen is read.

    Args:
        typed: The command as a reader types it, which stands above what it shows.
        folder: Where it runs.
        columns: Of the terminal.
        lines: Of the terminal.
        words: What runs, if it is another command than was typed.
    """

    def __init__(
        self, typed: str, folder: Path, *, columns: int, lines: int, words: str = ""
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._stream.feed(f"\x1b[1m$ {typed}\x1b[0m\r\n".encode())
        self._person, program = os.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LINES": str(lines)}
        self._running = subprocess.Popen(
            [sys.executable, "-m", *shlex.split(words or typed)],
            stdin=program,
            stdout=program,
            stderr=program,
            cwd=folder,
            env={**os.environ, **terminal, "COLUMNS": str(columns), "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        os.close(program)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._person, keys.encode())

    def read(self, seconds: float) -> bool:
        """Take what is shown for some time; whether it still runs."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._person], [], [], left)[0]:
                return True
            try:
                part = os.read(self._person, 65536)
            except OSError:  # It has ended.
                return False
            self._stream.feed(part)
        return True

    def finish(self) -> Screen:
        """What is shown at its end.

        Raises:
            SystemExit: It failed.
        """
        while self.read(1.0):
            pass
        if self._running.wait():
            sys.exit("\n".join(["a command failed:", *self._screen.display]))
        return self.screen()

    def close(self) -> None:
        """Leave nothing behind."""
        if self._running.poll() is None:
            self._running.kill()
        self._running.wait()
        os.close(self._person)

    def screen(self) -> Screen:
        """The lines that are shown, without the empty ones at the end."""
        lines = [self._line(number) for number in range(self._screen.lines)]
        while lines and not lines[-1]:
            lines.pop()
        return tuple(lines)

    def _line(self, number: int) -> tuple[Run, ...]:
        cells = self._screen.buffer[number]
        runs, column = [], 0

        def style(place: int) -> tuple[str, str, bool]:
            cell = cells[place]
            ink, ground = _color(cell.fg, _INK), _color(cell.bg, "")
            return (ground or _GROUND, ink, cell.bold) if cell.reverse else (ink, ground, cell.bold)

        for (ink, ground, bold), places in groupby(range(self._screen.columns), style):
            text = "".join(cells[place].data for place in places)
            runs.append(Run(column, text, ink, ground, bold))
            column += len(text)
        return tuple(run for run in runs if run.text.strip() or run.ground)


def _color(name: str, default: str) -> str:
    if name == "default":
        return default
    return _COLORS.get(name) or f"#{name}"


def screen_svg(frames: Sequence[Screen], columns: int) -> bytes:
    """A screen as an SVG; of several, an animation that repeats.

    Whoever wants no motion sees the last one.

    Args:
        frames: The screens, one after the other, all equally long.
        columns: How wide they are.
    """
    lines = max(map(len, frames))
    width, height = columns * _WIDE + 2 * _MARGIN, lines * _HIGH + 2 * _MARGIN
    style = (
        f"text{{font:{_SIZE}px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        "white-space:pre}.b{font-weight:700}g rect{shape-rendering:crispEdges}"
    )
    if len(frames) > 1:
        shown = 100 / len(frames)
        style += (
            f"@keyframes f{{0%{{visibility:visible}}{shown:.3f}%{{visibility:hidden}}}}"
            f".f{{visibility:hidden;animation:f {len(frames) / _FRAMES:g}s step-end infinite}}"
            "@media(prefers-reduced-motion:reduce){.f{animation:none}.f:last-child"
            "{visibility:visible}}"
        )
    drawn = []
    for number, frame in enumerate(frames):
        lines_drawn = "".join(_line_svg(row, line) for row, line in enumerate(frame))
        delay = f' class="f" style="animation-delay:{number / _FRAMES:g}s"'
        drawn.append(f"<g{delay if len(frames) > 1 else ''}>{lines_drawn}</g>")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}"><style>{style}</style>'
        f'<rect width="100%" height="100%" rx="8" fill="{_GROUND}"/>{"".join(drawn)}</svg>\n'
    ).encode()


def _line_svg(row: int, line: Sequence[Run]) -> str:
    drawn = []
    top = _MARGIN + row * _HIGH
    for run in line:
        left, wide = _MARGIN + run.column * _WIDE, len(run.text) * _WIDE
        if run.ground:
            drawn.append(f'<rect x="{left:g}" y="{top}" width="{wide:g}" height="{_HIGH}" '
                         f'fill="{run.ground}"/>')  # fmt: skip
        if run.text.strip():
            # Where it is cut into words, a font of another width moves none of them.
            bold = ' class="b"' if run.bold else ""
            drawn.append(
                f'<text x="{left:g}" y="{top + _SIZE}" fill="{run.ink}"{bold} '
                f'textLength="{wide:g}" xml:space="preserve">{html.escape(run.text)}</text>'
            )
    return "".join(drawn)


def recorded(typed: str, folder: Path, *, columns: int, lines: int, words: str = "") -> bytes:
    """The picture of a command when it has ended; the arguments are those of `Recording`."""
    recording = Recording(typed, folder, columns=columns, lines=lines, words=words)
    try:
        return screen_svg([recording.finish()], columns)
    finally:
        recording.close()


def training(folder: Path) -> bytes:
    """The screen of a training of a minute, from the table of choices to the panel at the end."""
    shutil.copy(ROOT / "corpora/english.txt", folder / "novel.txt")
    return recorded("textgen train novel.txt --budget 1m", folder, columns=92, lines=60)


def heat_map(folder: Path) -> bytes:
    """A sentence on the colours of two neurons."""
    typed = "textgen inspect --text 'O Romeo, Romeo! wherefore art thou Romeo?' --top 2"
    # Without the line that says which model was chosen.
    words = f"{typed} --checkpoint shakespeare --quiet"
    return recorded(typed, folder, columns=80, lines=24, words=words)


def comparison(folder: Path) -> bytes:
    """Three cells, equally large, 80 steps each."""
    shutil.copy(ROOT / "corpora/english.txt", folder / "novel.txt")
    typed = "textgen compare novel.txt --cells rnn,gru,lstm --params 30k --steps 80"
    return recorded(typed, folder, columns=92, lines=70, words=f"{typed} --quiet")


def steering_live(folder: Path) -> bytes:
    """A text while it is written, and a neuron that keys hold higher and higher."""
    typed = "textgen sample --checkpoint shakespeare --seed ROMEO: --live 0:438"
    columns, frames = 72, []
    recording = Recording(typed, folder, columns=columns, lines=16)
    try:
        while not frames or len(frames[-1]) < 3:  # Until the model has been loaded.
            recording.read(0.2)
            frames[:] = [recording.screen()]
        for number in range(16 * _FRAMES):
            if number in (4 * _FRAMES, *range(8 * _FRAMES, 8 * _FRAMES + 12, 2)):
                recording.press("+" if number > 4 * _FRAMES else "0")
            recording.read(1 / _FRAMES)
            frames.append(recording.screen())
        recording.press("q")
        recording.finish()
    finally:
        recording.close()
    return screen_svg([*frames, *frames[-1:] * 2 * _FRAMES], columns)


def page(folder: Path) -> bytes | None:
    """The page of `export html` as a browser opens it; None where there is no browser."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        return None
    words = ["-m", "textgen", "export", "html", "page.html", "--checkpoint", "shakespeare"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True, **quiet)
    switches = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=en"]
    switches += [f"--user-data-dir={folder / 'profile'}", "--window-size=1280,800"]
    # The page has time to read its first text.
    switches += ["--virtual-time-budget=12000", f"--screenshot={folder / 'page.png'}"]
    subprocess.run([browser, *switches, (folder / "page.html").as_uri()], check=True, **quiet)
    return (folder / "page.png").read_bytes()


#: Every picture: its file, and what draws it in a folder of its own.
PICTURES: dict[str, Callable[[Path], bytes | None]] = {
    "training.svg": training,
    "heat_map.svg": heat_map,
    "comparison.svg": comparison,
    "live.svg": steering_live,
    "page.png": page,
}


def draw(folder: Path, names: Sequence[str] = ()) -> None:
    """Write the pictures of these names into a folder; of all where there are none.

    Raises:
        SystemExit: One is too large, or a command failed.
    """
    for name in names or PICTURES:
        with TemporaryDirectory(prefix="textgen-picture-", ignore_cleanup_errors=True) as own:
            drawn = PICTURES[name](Path(own))
        if drawn is None:
            print(f"{name} is left as it is: there is no Chromium")
            continue
        if len(drawn) >= MOST_BYTES:
            sys.exit(f"{name} has {len(drawn):,} bytes, and a picture has less than {MOST_BYTES:,}")
        (folder / name).write_bytes(drawn)
        print(f"{name}: {len(drawn):,} bytes", flush=True)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    draw(FOLDER, sys.argv[1:])
