"""Every command in the README, the pages and the help texts runs; every Python block too."""

from __future__ import annotations

import gzip
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.made_files import docx_of, epub_of, paragraph
from support.serving import serve_running
from support.small_runs import names
from typer.main import get_command
from typer.testing import CliRunner

from textgen.cells import CELLS
from textgen.cli.app import app
from textgen.export import exported

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    "README.md",
    *(
        f"docs/{name}.md"
        for name in ("guide", "neurons", "networks", "class", "writers", "many_machines")
    ),
]
#: Those whose commands take few seconds; `make test-pages` runs the others.
QUICK = ("README.md", "docs/class.md")
#: Their commands are those of `PAGES`: `test_guides.py` compares them; or they have none.
GUIDES = [
    *("README.ru.md", "README.mk.md"),
    *(
        f"docs/{name}.md"
        for name in (
            "guide_ru",
            "guide_mk",
            "glossary",
            "installation",
            "machines",
        )
    ),
]
#: Their commands are run by `test_lessons.py`.
LESSONS = [f"docs/lessons/{path.name}" for path in sorted((ROOT / "docs/lessons").glob("*.md"))]


def commands(group: Any) -> Iterator[Any]:
    """Every command of the program; a group that does something by itself is one, too."""
    if group.callback is not None:
        yield group
    for command in getattr(group, "commands", {}).values():
        yield from commands(command)


COMMANDS = list(commands(get_command(app)))


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S)


def shell_commands(page: str) -> list[str]:
    """Every `textgen` command on a page."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("textgen ")]


def help_commands() -> list[str]:
    """Every example in a command's help."""
    return [
        line.strip()
        for command in COMMANDS
        for line in command.help.splitlines()
        if line.strip().startswith("textgen ")
    ]


#: Of a run whose size does not matter.
SMALL = {"--hidden": "32", "--batch-size": "8", "--threads": "1"}


def shortened(command: str) -> list[str]:
    """The command's words; a run is cut to fifteen steps of a small network at most."""
    words = shlex.split(command)[1:]
    if "--more" in words:
        words[words.index("--more") + 1] = "5steps"
    elif words[0] == "train" and "--resume" not in words:
        for flag in ("--budget", "--steps"):
            if flag in words:
                place = words.index(flag)
                del words[place : place + 2]
        # A model that is trained further has its own size, which may be large.
        goes_on = "--from" in words
        words += ["--steps", "3" if goes_on else "15", "--force"]
        for flag, value in SMALL.items():
            if flag in words:
                place = words.index(flag) + 1
                words[place] = min(words[place], value, key=int)
            elif not (goes_on and flag == "--hidden"):
                words += [flag, value]
    if words[0] == "compare":
        if "--steps" in words:
            words[words.index("--steps") + 1] = "8"
        if "--status" not in words:
            words += ["--threads", "1"]
        if not {"--join", "--status"} & set(words):
            words += ["--force"]  # Two pages may compare on the same text.
    return words


@pytest.fixture(autouse=True)
def few_steps_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is exported: ONNX's own program is slow."""
    monkeypatch.setattr(exported, "STEPS", 20)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp("docs")
    text = (ROOT / "corpora/english.txt").read_text("utf-8")[:6000]
    for name in ("corpus.txt", "novel.txt", "page.txt", "text.txt"):
        (folder / name).write_text(text[:300] if name in ("page.txt", "text.txt") else text)
    tunes = (ROOT / "corpora/tunes.abc.txt").read_text("utf-8")
    (folder / "tunes.abc.txt").write_text(tunes[:4000])
    asked = [
        f"What {kind} is it ? {answer}\n" for kind, answer in (("time", "Noon"), ("day", "Monday"))
    ]
    (folder / "questions.txt").write_text("".join(asked * 200))
    (folder / "numbers.csv").write_text("1\n1\n2\n3\n5\n8\n13\n21\n34\n55\n")
    (folder / "letters").mkdir()
    (folder / "letters/one.txt").write_text(text[:2000])
    for label, part in (("Austen", text[:2500]), ("Conan Doyle", text[2500:5000])):
        (folder / "voices" / label).mkdir(parents=True)
        (folder / "voices" / label / "text.txt").write_text(part)
    sentences = [" ".join(part.split()) for part in text.split(".") if part.strip()]
    rows = [f"{number % 2}\t{sentence}\n" for number, sentence in enumerate(sentences)]
    for name in ("reviews.tsv", "other_reviews.tsv"):
        (folder / name).write_text("".join(rows))
    numbers = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    pairs = [f"{word}\t{number}\n" for number, word in enumerate(numbers, 1)]
    (folder / "pairs.tsv").write_text("".join(pairs))
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in names(200)))
    (folder / "chat.txt").write_text(
        "".join(f"05.03.21, 14:{n:02} - Anna: {line}\n" for n, line in enumerate(sentences[:40]))
    )
    cues = [
        f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{line}\n\n"
        for n, line in enumerate(sentences[1:40], 1)
    ]
    (folder / "film.srt").write_text("".join(cues))
    (folder / "page.html").write_text(f"<html><nav>Home</nav><p>{text[:2000]}</html>")
    (folder / "book.epub").write_bytes(epub_of(f"<p>{text[:3000]}</p>", "<p>The end.</p>"))
    (folder / "letter.docx").write_bytes(docx_of("".join(map(paragraph, sentences))))
    (folder / "diary.txt.gz").write_bytes(gzip.compress(text[2000:4000].encode()))
    return folder


def run_server(words: list[str]) -> None:
    """Start a server as a reader would, but at a free port; ask it for a text, and end it."""
    for flag in ("--port", "-p"):
        if flag in words:
            del words[words.index(flag) : words.index(flag) + 2]
    token = words[words.index("--token") + 1] if "--token" in words else "none"
    with serve_running(*words[1:]) as (process, served):
        answer = served.ask("/v1/completions", {"max_tokens": 20}, Authorization=f"Bearer {token}")
        assert answer.status == 200, answer.body
        process.terminate()
        assert process.wait(30) in (143, 1)  # 1: on Windows, where it is ended from outside.


#: Options of another program.
TORCHRUN = {"--max-restarts", "--nproc-per-node"}
#: What is only read: a test of its own starts such workers.
SUBMITTED = "--submit"
#: Each is a process of its own, or translated by torch for seconds.
COSTLY = ("textgen serve", "textgen export torch", "textgen export onnx")


def read(words: list[str]) -> None:
    """Read a command line as the program does, and run nothing."""
    command: Any = get_command(app)
    while words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    context = command.context_class(command, info_name="textgen")
    with context.scope(cleanup=False):
        command.read(context, words)


def run_all(commands: list[str]) -> None:
    """Run commands one after the other, as a reader would; of the costly ones one of each kind."""
    seen: set[str] = set()
    for command in commands:
        kind = next((own for own in COSTLY if command.startswith(own)), "")
        if kind in seen or SUBMITTED in command:
            read(shlex.split(command)[1:])
            continue
        seen |= {kind} - {""}
        if kind == "textgen serve":
            run_server(shlex.split(command)[1:])
            continue
        result = CliRunner().invoke(app, shortened(command), catch_exceptions=False)
        assert result.exit_code == 0, f"{command}\n{result.stderr}"


@pytest.mark.parametrize(
    "page",
    [page if page in QUICK else pytest.param(page, marks=pytest.mark.slow) for page in PAGES],
)
def test_commands_of_a_page_run(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of a page, in order, in a folder that holds `corpus.txt`."""
    monkeypatch.chdir(place)
    commands = shell_commands(page)
    assert len(commands) >= 3
    run_all(commands)


@pytest.mark.slow
def test_commands_of_the_help_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example in the help texts; every command has one."""
    monkeypatch.chdir(place)
    for command in COMMANDS:
        assert "textgen " in command.help, f"{command.name} has no example"
    assert len(COMMANDS) > 12
    run_all(["textgen train corpus.txt --out checkpoints/mine", *help_commands()])


@pytest.mark.parametrize("page", ["docs/python.md", "docs/neurons.md", "docs/networks.md"])
def test_python_of_a_page_runs(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's example, as printed."""
    monkeypatch.chdir(place)
    (place / "corpora").mkdir(exist_ok=True)
    (place / "corpora/russian.txt").write_text(
        (ROOT / "corpora/russian.txt").read_text("utf-8")[:6000], "utf-8"
    )
    if not (place / "checkpoints/mine").exists():
        run_all(["textgen train corpus.txt --out checkpoints/mine"])
    found = blocks(page, "python")
    assert found
    before = dict(CELLS)
    try:
        for block in found:
            exec(compile(block, page, "exec"), {})
    finally:
        CELLS.clear()  # A page may register a cell.
        CELLS.update(before)


def test_every_option_that_the_pages_name_exists() -> None:
    """A flag that is no longer there is no longer written about."""
    parameters = [own for command in [get_command(app), *COMMANDS] for own in command.params]
    flags = {flag for own in parameters for flag in (*own.opts, *own.secondary_opts)} | {"--help"}
    flags |= TORCHRUN
    for page in [*PAGES, *GUIDES, *LESSONS]:
        for flag in set(re.findall(r"`(--[a-z-]+)", (ROOT / page).read_text("utf-8"))):
            assert flag in flags, f"{page} names {flag}"
    assert "--cell" in flags and "--no-nfc" in flags
