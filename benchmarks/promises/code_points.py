"""Part 10: no character of a text or a name steers a terminal or breaks a file."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import select
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser

from campaign import ROOT, Effort, Figure, Part, repeat
from measuring import environment
from rich.console import Console
from support.small_runs import textgen_cli

import textgen
from textgen.cli.records import json_text
from textgen.table import Column, Table
from textgen.terminal.tables import draw_table
from textgen.terminal.text import visible

#: A model of bytes: it reads and writes every character.
MODEL = ROOT / "tests" / "old_files" / "byte.safetensors"
#: All code points below, and so many drawn from the others.
BELOW, OTHERS = 0x3000, 10_000
#: Code points that are tried together.
GROUP = 60
_DIRECTION = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def harm(text: str) -> str:
    """The characters in a text that steer a terminal, newlines left out."""
    found = {
        char
        for char in text
        if (unicodedata.category(char) in ("Cc", "Zl", "Zp") and char != "\n")
        or ord(char) in _DIRECTION
        or "\ud800" <= char <= "\udfff"
    }
    return " ".join(f"U+{ord(char):04X}" for char in sorted(found))


def groups(seed: int) -> list[str]:
    """All code points to be tried, in groups."""
    rng = random.Random(seed)
    points = [*range(BELOW), *rng.sample(range(BELOW, 0x110000), OTHERS)]
    return ["".join(map(chr, points[n : n + GROUP])) for n in range(0, len(points), GROUP)]


def _table(text: str) -> Table:
    return Table([Column("text")], [(text,), *((char,) for char in text)], title=text, notes=[text])


def _drawn(text: str) -> str:
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None, width=100).print(
        draw_table(_table(text))
    )
    return harm(out.getvalue())


def _csv(text: str) -> str:
    written = _table(text).to_csv()
    read = list(csv.reader(io.StringIO(written, newline="")))
    return "" if [row[0] for row in read[1:]] == [text, *text] else "the CSV reads otherwise"


def _json(text: str) -> str:
    written = json_text({"text": text, text: 1})
    if json.loads(written) != {"text": text, text: 1}:
        return "the JSON reads otherwise"
    return harm(written)


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


def _html(text: str) -> str:
    """A page of a text has the elements that one of plain letters has."""
    model = textgen.load(MODEL)
    sound = text.encode("utf-8", "replace").decode("utf-8") + "</script><b>&amp;'\""
    page = model.html("a" + sound, title=sound)
    page.encode("utf-8")
    plain = model.html("abc", title="abc")
    found = set(_Tags(page).tags) - set(_Tags(plain).tags)
    return f"elements {found} are the text's" if found else ""


def _name(text: str) -> str:
    """An error about a file of this name."""
    result = textgen_cli("eval", "--checkpoint", str(MODEL), "--", f"./{text}.txt")
    return harm(result.stderr) if result.exit_code else "it was read"


def _terminal(text: str) -> str:
    """What `sample` writes on a terminal after a seed of these characters."""
    seed = "".join(char for char in text if char != "\0" and not "\ud800" <= char <= "\udfff")
    person, program = os.openpty()
    words = [sys.executable, "-m", "textgen", "sample", "--checkpoint", str(MODEL), "--length", "1"]
    running = subprocess.Popen(
        [*words, "--seed", f"a{seed}"],
        stdin=subprocess.DEVNULL,
        stdout=program,
        stderr=subprocess.DEVNULL,
        env={**environment(), "TERM": "dumb", "LC_ALL": "C.UTF-8"},
    )
    os.close(program)
    parts = []
    while select.select([person], [], [], 120.0)[0]:
        try:
            part = os.read(person, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    os.close(person)
    if running.wait():
        return f"exit code {running.returncode}"
    # A terminal's own end of a line is two characters.
    return harm(b"".join(parts).decode("utf-8", "strict").replace("\r\n", "\n"))


#: Every way out by its name: what is wrong with the text that it gives, or "".
WAYS: dict[str, Callable[[str], str]] = {
    "escaped": lambda text: harm(visible(text)),
    "table on a terminal": _drawn,
    "CSV": _csv,
    "JSON": _json,
    "HTML": _html,
    "file name": _name,
}


def try_promise(effort: Effort) -> Figure:
    """Part 10 of the campaign."""
    everything = groups(effort.seed)
    failures = []
    done = 0
    order = list(range(len(everything)))
    random.Random(effort.seed).shuffle(order)
    for number in effort.tries(len(everything), least=3):
        group = everything[order[number]]
        ways = dict(WAYS)
        if number % 10 == 0:
            ways["sample on a terminal"] = _terminal
        for way, wrong_with in ways.items():
            try:
                wrong = wrong_with(group)
            except BaseException as error:
                wrong = f"{type(error).__name__}: {error!s:.200}"
            if wrong:
                first = re.sub(r"\s", " ", f"U+{ord(group[0]):04X}")
                failures.append(f"{way}, from {first}: {wrong} {repeat(10, effort, number)}")
        done += 1
    left = f"{len(everything) - done} of {len(everything)} groups: the time was over"
    return Figure(
        tried=done * GROUP,
        failures=tuple(failures),
        text=f"Out of all code points below U+{BELOW:04X} and {OTHERS:,} that were drawn above, in "
        f"groups of {GROUP}, through {', '.join(WAYS)}; every tenth group through `sample` on a "
        "terminal.",
        not_run=(left,) if done < len(everything) else (),
    )


PARTS = (
    Part(
        number=10,
        promise="No character of a text, a model or a file's name steers the terminal, and tables, "
        "JSON and pages hold it as it is.",
        not_promised="the same of what is sent into a pipe or a file: `sample` writes there what "
        "the model writes.",
        seconds=120,
        run=try_promise,
        needs=("linux",),
    ),
)
