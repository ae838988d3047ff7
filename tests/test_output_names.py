"""The names that scripts of users rely on: keys of JSON, columns of CSV, arrays of NPZ, options.

`old_files/output_names.json` has them as they were on 2026-11-29. A name may come; none may go.

    python tests/test_output_names.py tests/old_files/output_names.json

writes the list anew, with what has come; look at the difference before you commit it.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from textgen.cli.app import app

FILES = Path(__file__).parent / "old_files"
BEFORE = FILES / "output_names.json"
SMALL = ("--hidden", "6", "--steps", "20", "--seq-len", "16", "--batch-size", "8")
LSTM = ("--checkpoint", "lstm.safetensors")
CORPUS = ("text.txt", *LSTM)
COMPARE = ("compare", "text.txt", "--params", "1k", "--steps", "4", "--rng", "1", "--rng", "2")
LOOK = ("inspect", "--text", "кот спит", *LSTM)
NEURON = ("--neuron", "0:1")

#: A command -> the kinds of output that are looked at.
COMMANDS: dict[tuple[str, ...], str] = {
    ("train", "text.txt", "--out", "new", *SMALL): "json",
    ("train", "missing.txt"): "json",
    ("sample", *LSTM, "--seed", "кот", "--length", "20", "--count", "2"): "json",
    ("sample", *LSTM, "--length", "40", "--novelty-corpus", "text.txt"): "json",
    ("sample", "--checkpoint", "new", "--length", "20", "--mix"): "json",
    ("sample", *LSTM, *LSTM, "--weights", "1,2", "--length", "20"): "json",
    ("sample", "--checkpoint", "new", "--length", "20", "--adapt", "text.txt"): "json",
    ("sample", *LSTM, "--length", "20", "--steer", "0:1=+2"): "json",
    ("sample", "--checkpoint", "documents.safetensors", "--items", "3", "--no-new"): "json",
    ("sample", "--checkpoint", "pairs.safetensors", "--seed", "ab"): "json",
    (
        *("train", "numbers.txt", "--numbers", "--cell", "rnn", "--hidden", "1", "--history", "2"),
        *("--steps", "3", "--out", "series"),
    ): "json",
    ("sample", "--numbers", "--checkpoint", "series", "--length", "2"): "json",
    ("inspect", "checkpoint", "series"): "json",
    ("eval", "text.txt", *LSTM, "--window", "20"): "json",
    ("eval", "text.txt", "--checkpoint", "new", "--mix"): "json",
    ("eval", "text.txt", "--checkpoint", "new", "--mix", "--adapt"): "json",
    ("eval", "text.txt", "--checkpoint", "word.safetensors", "--history", "3"): "json",
    ("eval", "pairs.tsv", "--pairs", "--checkpoint", "pairs.safetensors"): "json",
    ("corpus", "text.txt", "chat.txt", "--out", "clean.txt"): "json",
    ("compress", "text.txt", *LSTM): "json",
    ("decompress", "text.txt.textgen", *LSTM, "--out", "again.txt"): "json",
    (*COMPARE, "--cells", "rnn,lstm", "--out", "cells"): "json csv",
    (*COMPARE, "--history", "2,4", "--out", "history"): "json csv",
    (
        *("compare", "--task", "recall", "--lag", "2,4", "--cells", "rnn,lstm", "--params", "1k"),
        *("--steps", "4", "--out", "task"),
    ): "json csv",
    (
        *("compare", "text.txt", "--search", "hidden=2..4,cell=gru", "--trials", "2"),
        *("--steps", "4", "--out", "found"),
    ): "json csv",
    ("compare", "--status", "--out", "found"): "json",
    ("inspect", "checkpoint"): "json",
    ("inspect", "checkpoint", "finished"): "json",
    (*LOOK, *NEURON): "json csv npz",
    (*LOOK, *NEURON, "--show", "forget-gate"): "json csv npz",
    (*LOOK, "--show", "surprise"): "json csv npz",
    (*LOOK, "--show", "influence"): "json csv npz",
    ("inspect", "neurons", *CORPUS): "json csv npz",
    ("inspect", "neurons", *CORPUS, *NEURON): "json csv npz",
    (*("inspect", "features", *CORPUS), *("--latents", "16", "--states", "2000")): "json csv npz",
    ("inspect", "gates", *CORPUS): "json csv npz",
    ("inspect", "find", *CORPUS, "--feature", "vowel"): "json csv npz",
    ("inspect", "similar", "кот", *CORPUS): "json csv npz",
    ("inspect", "memory", "lstm.safetensors", "--file", "text.txt", "--max-lag", "10"): (
        "json csv npz"
    ),
    ("inspect", "cell", "lstm"): "json csv npz",
    ("inspect", "cell", "--text", "кот", *LSTM): "json csv npz",
    ("inspect", "occurrences", "дом*", "text.txt"): "json csv npz",
    ("inspect", "windows", "text.txt", "--limit", "3"): "json",
    ("lessons",): "json",
    ("lessons", "4"): "json",
    ("lessons", "4", "--notebook", "lesson.ipynb"): "json",
}

VIEWS = get_command(app).commands["inspect"].commands  # type: ignore[attr-defined]
HELP = (
    "train",
    "sample",
    "eval",
    "corpus",
    "compress",
    "decompress",
    "compare",
    "lessons",
    "inspect",
    *(f"inspect {name}" for name in VIEWS),
)
_OPTION = re.compile(r"--?[a-z][a-z-]*")


def _paths(value: Any, before: str = "") -> Iterator[str]:
    """Every key in a value of JSON; an item of a list is `[]`."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _paths(part, f"{before}.{key}")
    elif isinstance(value, list):
        for part in value:
            yield from _paths(part, f"{before}[]")
    yield before


def _names(arguments: tuple[str, ...], kinds: str, folder: Path) -> dict[str, list[str]]:
    """The names in each output of a command, which runs in `folder`."""
    given = {"json": ["--json"], "csv": ["--csv", "out.csv"], "npz": ["--npz", "out.npz"]}
    words = [*arguments, *(word for kind in kinds.split() for word in given[kind])]
    result = CliRunner().invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), words
    names = {"json": _json_names(result.stdout)}
    if "csv" in kinds:
        lines = (folder / "out.csv").read_text("utf-8").splitlines()
        names["csv"] = next(csv.reader(lines))
    if "npz" in kinds:
        names["npz"] = sorted(np.load(folder / "out.npz").files)
    return names


def _json_names(output: str) -> list[str]:
    """The keys in one value of JSON, or in one on each line; an event's begin with its name."""
    try:
        values = [json.loads(output)]
    except json.JSONDecodeError:
        values = [json.loads(line) for line in output.splitlines()]
    return sorted(
        {
            f"{value.get('event', '') if isinstance(value, dict) else ''}{path}"
            for value in values
            for path in _paths(value)
        }
        - {""}
    )


def found_names(base: Path) -> dict[str, list[str]]:
    """What every command prints and writes today, by the command and the kind of output."""
    here = base / "files"
    shutil.copytree(FILES, here)
    (here / "numbers.txt").write_text("1 1 2 3 5 8 13 21 34 55\n")
    said = "A message that is long enough to be compared with the others of the same chat, of which"
    (here / "chat.txt").write_text(
        "".join(f"05.03.21, 14:0{n} - Anna: {said} there are {n}\n" for n in range(4))
    )
    (here / "checkpoints" / "mine").mkdir(parents=True)
    shutil.copy(here / "lstm.safetensors", here / "checkpoints" / "mine" / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("TEXTGEN_CACHE", str(base / "cache"))
        names = {
            f"{' '.join(arguments)}: {kind}": found
            for arguments, kinds in COMMANDS.items()
            for kind, found in _names(arguments, kinds, here).items()
        }
        for command in HELP:
            names[f"{command}: options"] = _options(command)
        return names


def _options(command: str) -> list[str]:
    """The options that the help page of a command lists."""
    page = CliRunner().invoke(app, [*command.split(), "--help"]).stdout
    listed = [line for line in page.splitlines() if line.startswith("  -")]
    return sorted({name for line in listed for name in _OPTION.findall(line.split("   ")[0])})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return found_names(tmp_path_factory.mktemp("output"))


@pytest.mark.slow
def test_every_command_is_in_the_list(found: dict[str, list[str]]) -> None:
    before = json.loads(BEFORE.read_text("utf-8"))
    new = sorted(set(found) - set(before))
    assert not new, f"{new} are not held; the first lines of this file say how they come to be"
    tried = {" ".join(arguments) for arguments in COMMANDS}
    for name in VIEWS:
        assert any(words.startswith(f"inspect {name}") for words in tried), (
            f"inspect {name} is missing in COMMANDS"
        )


def test_no_name_is_lost(found: dict[str, list[str]]) -> None:
    before: dict[str, list[str]] = json.loads(BEFORE.read_text("utf-8"))
    assert set(before) <= set(found)
    lost = {label: sorted(set(names) - set(found[label])) for label, names in before.items()}
    assert not {label: names for label, names in lost.items() if names}


def test_the_columns_of_csv_keep_their_order(found: dict[str, list[str]]) -> None:
    before: dict[str, list[str]] = json.loads(BEFORE.read_text("utf-8"))
    for label, names in before.items():
        if label.endswith(": csv"):
            assert [name for name in found[label] if name in names] == names, label


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as base:
        text = json.dumps(found_names(Path(base)), ensure_ascii=False, indent=1)
    Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")
