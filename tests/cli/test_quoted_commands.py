"""A command that a message, a help text or a document quotes is one that can be pasted."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from support.small_runs import ROOT, textgen_cli
from typer.main import get_command

from textgen.cli.app import app
from textgen.cli.commands import SETTINGS
from textgen.cli.help_page import UsageError
from textgen.cli.parameters import at_prompt
from textgen.errors import TextgenError
from textgen.messages import Call
from textgen.terminal.text import command_line, quote, quote_path, visible

PACKAGE = ROOT / "textgen"
PROGRAM = get_command(app)
#: Stands for a value that is only known when the message is made.
BLANK = "\x00"
#: A command begins with the program and one of its commands, or an option of the program.
BEGINNING = re.compile(rf"\btextgen (?=(?:{'|'.join(PROGRAM.commands)}|--)\b|--)")  # type: ignore[attr-defined]
#: It ends where the sentence around it goes on. Inside quotes of its own nothing ends it.
ENDING = re.compile(r"""[;)`\n]|, |(?<!\.)\. |(?<!\.)\.$|'(?=\s|$)|: |" """)


def text_of(node: ast.AST) -> str | None:
    """The text of an expression, with `BLANK` where a value is put in; None where it is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = (text_of(part) or BLANK for part in node.values)
        return "".join(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = (text_of(node.left), text_of(node.right))
        return None if sides == (None, None) else "".join(side or BLANK for side in sides)
    return None


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text below a node that is no docstring, with its line."""
    text = text_of(node)
    if text is not None:
        yield node.lineno, text  # type: ignore[attr-defined]
        return
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from texts(child)


def commands_in(text: str) -> Iterator[str]:
    """The commands that a text quotes."""
    for match in BEGINNING.finditer(text):
        rest = text[match.start() :]
        end = ENDING.search(re.sub(r'"[^"]*"', lambda own: "_" * len(own[0]), rest))
        yield rest[: end.start() if end else None].strip()


def marked_call(node: ast.Call) -> Call:
    """What `textgen.messages.call` marks there; 3 stands for what is only known later."""

    def value(part: ast.expr) -> Any:
        return part.value if isinstance(part, ast.Constant) else "3"

    command, *paths = map(value, node.args)
    settings = {part.arg: value(part.value) for part in node.keywords if part.arg}
    return Call(command, paths, settings)


def quoted() -> list[tuple[str, str]]:
    """Where a command is quoted in the package, and the command."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = path.relative_to(ROOT)
        for line, text in texts(tree):
            found += [(f"{where}:{line}", command) for command in commands_in(text)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "call":
                found.append((f"{where}:{node.lineno}", at_prompt(marked_call(node))))
            if isinstance(node, ast.FunctionDef) and (help_text := ast.get_docstring(node)):
                found += [
                    (f"{where}:{node.lineno}", paragraph)
                    for paragraph in help_text.split("\n\n")
                    if paragraph.startswith("textgen ")
                ]
    return found


def complaint(line: str) -> str:
    """What is wrong with a command; "" where it would run. Nothing is run."""
    if "..." in line.replace("PATH...", ""):
        return "it is cut off"
    try:
        words = shlex.split(line.replace(BLANK, "3"))[1:]
    except ValueError as error:
        return str(error)
    command = PROGRAM
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    context = command.context_class(command, info_name="textgen", **SETTINGS)
    try:
        # As the parser of the library sees it, which neither guesses nor prints.
        command.read(context, words)  # type: ignore[attr-defined]
    except (UsageError, TextgenError) as error:
        return str(error) or type(error).__name__
    except typer.Exit as end:  # --help
        return "it is refused" if end.exit_code else ""
    return ""


def test_quoted_commands_can_be_pasted() -> None:
    found = quoted()
    assert len(found) > 40
    assert not [f"{where}: {line}: {fault}" for where, line in found if (fault := complaint(line))]


def test_the_search_finds_commands_and_their_faults() -> None:
    assert list(commands_in("go on: textgen train X --resume, or type `textgen eval`; no")) == [
        "textgen train X --resume",
        "textgen eval",
    ]
    assert list(commands_in('try "x": textgen sample --seed "a; b", or not')) == [
        'textgen sample --seed "a; b"'
    ]
    for line, fault in (
        ("textgen train corpus.txt --rnn-size 3", "rnn-size"),
        ("textgen train ... --out X", "cut off"),
        ("textgen eval", "Missing"),
        ("textgen sample --length", "requires"),
        ("textgen inspect windows a b", "unexpected"),
        ("textgen sample --seed 'a", "quotation"),
    ):
        assert fault in complaint(line), line
    assert complaint(f"textgen train {BLANK} --resume") == ""


NAMES = (
    *("with a blank.txt", "it's.txt", 'say "x".txt', "-n.txt", "повесть.txt", "two\nlines.txt"),
    *("$HOME.txt", "a;b.txt", "esc\x1b[31m.txt", "~.txt", "#x.txt", "back\\slash.txt"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_the_name_that_was_quoted(name: str) -> None:
    for word in (quote(name), visible(quote(name))):
        shown = subprocess.run(
            ["bash", "-c", f"printf %s {word}"], capture_output=True, check=True
        ).stdout
        assert shown == name.encode()
    path = quote_path(name)
    assert (path.startswith("./")) == name.startswith("-")
    assert command_line(["a", name]) == f"a {quote(name)}"


@pytest.mark.parametrize("name", NAMES)
def test_an_error_about_an_odd_name_quotes_what_can_be_pasted(name: str, home: Path) -> None:
    run = home / "checkpoints" / name
    run.mkdir()
    (run / "resume.safetensors").write_bytes(b"")
    found = textgen_cli("sample", "-c", str(run))
    assert found.exit_code == 6
    line = found.stderr.partition("continue it: ")[2].strip()
    words = (
        subprocess.run(
            ["bash", "-c", f"textgen() {{ printf '%s\\0' \"$@\"; }}; {line}"],
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .split("\0")[:-1]
    )
    assert words == ["train", str(run), "--resume"]
