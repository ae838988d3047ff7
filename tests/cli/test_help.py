"""Help and version: complete, and quick because nothing heavy is loaded for them."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import ROOT, SMALL_OPTIONS, environment, russian_text, textgen_cli
from typer.main import get_command

from textgen import __version__
from textgen.cli.app import app
from textgen.native.library import describe, supported_isas


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """The words of every command, and of the program itself."""
    yield list(words)
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


COMMANDS = list(commands(get_command(app)))
#: Libraries that take longer to load than the answer may.
HEAVY = ("torch", "matplotlib", "plotext", "tqdm", "transformers")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help(words: list[str]) -> None:
    result = textgen_cli(*words, "--help", COLUMNS="100")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "Usage: " in result.stdout
    assert textgen_cli(*words, "-h", COLUMNS="100").stdout == result.stdout


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_is_explained(words: list[str]) -> None:
    command = get_command(app)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    assert command.help
    for parameter in command.params:
        if "--install-completion" in parameter.opts or "--show-completion" in parameter.opts:
            continue
        assert getattr(parameter, "help", None), parameter.name


def test_every_help_text_is_a_sentence_of_its_own() -> None:
    """It does not go on from the option's name: `Of the cell rnn.`, `Its peak.`"""
    commands = [get_command(app)]
    for command in commands:
        commands += getattr(command, "commands", {}).values()
        for parameter in command.params:
            text = getattr(parameter, "help", None) or ""
            assert text[:1].isupper() and not text.startswith(("Of ", "Its ")), parameter.name
    assert len(commands) > 10


def test_the_page_of_train_begins_with_what_a_beginner_needs() -> None:
    first, advanced = textgen_cli("train", "--help", COLUMNS="80").stdout.split("\nAdvanced\n")
    flags = ("budget", "epochs", "steps", "resume", "more", "out", "val", "cell", "hidden", "rng")
    rare = ("min-count", "clip", "seq-len", "batch-size", "precision", "eval-every", "tie")
    for part, own, other in ((first, flags, rare), (advanced, rare, flags)):
        listed = re.findall(r"^  (?:-\w, )?--([a-z-]+)", part, re.MULTILINE)
        assert set(own) <= set(listed) and not set(other) & set(listed)
    titles = [line for line in first.splitlines() if line and line[0] != " "]
    assert titles[-6:] == [
        *("Arguments", "How long", "The run", "The text", "The model", "Options"),
    ]
    assert "--budget TIME " in first


def test_the_summary_of_a_command_begins_its_help() -> None:
    """It is told without loading the command."""
    from typer.main import get_command

    from textgen.cli.app import app

    program: Any = get_command(app)
    for group in (program, program.commands["inspect"]):
        for name, summary in group.summaries.items():
            first = inspect.cleandoc(group.commands[name].help).split("\n\n")[0]
            assert " ".join(first.split()) == summary


def test_version() -> None:
    result = textgen_cli("--version")
    assert (result.exit_code, result.stdout) == (0, f"textgen {__version__}\n{describe()}\n")


def test_no_command_and_a_wrong_one() -> None:
    assert "Usage: " in textgen_cli().output
    wrong = textgen_cli("trian")
    assert wrong.exit_code == 2
    assert "trian" in wrong.stderr


_LOADED = """
import json, sys
sys.argv = ["textgen", *{words!r}]
try:
    from textgen.cli import main
    main()
except SystemExit:
    pass
print(json.dumps(sorted(name for name in sys.modules if "." not in name)), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"]], ids=" ".join)
def test_nothing_heavy_is_loaded(words: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _LOADED.format(words=words)],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    loaded = set(json.loads(result.stderr.decode().splitlines()[-1]))
    assert "typer" in loaded
    assert not loaded & set(HEAVY)


def test_sampling_and_inspecting_load_no_torch(trained: object) -> None:
    """They start at once, on machines without it too."""
    words = ["inspect", "--text", "дом", "-c", str(trained.folder)]
    for command in (words, ["sample", "-n", "5", "-c", str(trained.folder)]):
        result = subprocess.run(
            [sys.executable, "-c", _LOADED.format(words=command)],
            capture_output=True,
            env=environment(),
            timeout=60,
            check=True,
            cwd=ROOT,
        )
        loaded = set(json.loads(result.stderr.decode().splitlines()[-1]))
        assert "numpy" in loaded
        assert not loaded & {"torch", "matplotlib", "plotext"}


_ORDER = """
import sys
seen = []

def note(event, values):
    if event == "import":
        seen.append(values[0].partition(".")[0])
    elif event == "open" and "model.safetensors" in str(values[0]):
        seen.append("the model's file")

sys.addaudithook(note)
sys.argv = ["textgen", "train", "text.txt", "--out", "run", "--steps", "3", *{size!r}]
try:
    from textgen.cli import main
    main()
finally:
    print(*dict.fromkeys(seen), sep="\\n", file=sys.stderr)
"""


@pytest.mark.skipif(not supported_isas(), reason="there is no native engine here")
def test_training_loads_no_torch_and_draws_at_its_end(tmp_path: Path) -> None:
    """What draws the picture of the loss is loaded when the model is there."""
    (tmp_path / "text.txt").write_text(russian_text(3000), "utf-8")
    result = subprocess.run(
        [sys.executable, "-c", _ORDER.format(size=SMALL_OPTIONS)],
        capture_output=True,
        env={**environment(), "TEXTGEN_PATH": "native"},
        timeout=280,
        check=True,
        cwd=tmp_path,
    )
    order = result.stderr.decode().splitlines()
    assert "torch" not in order
    assert order.index("matplotlib") > order.index("the model's file")
