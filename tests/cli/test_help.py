"""Help and version: complete, and quick because nothing heavy is loaded for them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from small_runs import ROOT, environment, textgen_cli

from textgen import __version__
from textgen.native.library import describe

COMMANDS = [
    [],
    ["train"],
    ["sample"],
    ["eval"],
    ["compare"],
    ["inspect"],
    ["inspect", "neurons"],
    ["inspect", "gates"],
    ["inspect", "similar"],
    ["inspect", "memory"],
    ["inspect", "windows"],
    ["inspect", "checkpoint"],
    ["inspect", "find"],
]
#: Libraries that take longer to load than the answer may.
HEAVY = ("torch", "matplotlib", "plotext", "charset_normalizer", "tqdm", "transformers")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help(words: list[str]) -> None:
    result = textgen_cli(*words, "--help", COLUMNS="100")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "Usage: " in result.stdout
    assert textgen_cli(*words, "-h", COLUMNS="100").stdout == result.stdout


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_is_explained(words: list[str]) -> None:
    from typer.main import get_command

    from textgen.cli.app import app

    command = get_command(app)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    assert command.help
    for parameter in command.params:
        if "--install-completion" in parameter.opts or "--show-completion" in parameter.opts:
            continue
        assert getattr(parameter, "help", None), parameter.name


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
        assert "torch" not in loaded
