"""`benchmarks/promises/signals.py` sees a promise that was not kept."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.small_runs import ROOT
from typer.main import get_command

from textgen.cli.app import app


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    path = ROOT / "benchmarks/promises/signals.py"
    spec = importlib.util.spec_from_file_location("promises_signals", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "promises_signals", module)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(module)
    yield module


def kept(trials: ModuleType, **changed: Any) -> Any:
    """A command that ended as it should, with some fields changed."""
    one = trials.SignalTry(
        command="eval",
        signals=("SIGINT",),
        moment=0.5,
        share=0.5,
        latency=0.1,
        answer=0.05,
        computed=0.02,
        code=130,
        traceback=False,
        is_pythons=False,
        broken=(),
        left_over=(),
        error_text="textgen: interrupted\n",
    )
    return replace(one, **changed)


@pytest.mark.parametrize(
    ("changed", "is_kept"),
    [
        ({}, True),
        ({"code": -2}, True),
        ({"code": 0}, True),
        ({"traceback": True, "is_pythons": True, "code": 1}, True),
        ({"signals": ("SIGINT", "SIGTERM"), "code": 143}, True),
        ({"signals": ("SIGHUP",), "code": 129}, True),
        ({"code": 143}, False),
        ({"code": 1}, False),
        ({"code": None}, False),
        ({"traceback": True}, False),
        ({"broken": ("run/model.safetensors",)}, False),
    ],
    ids=str,
)
def test_what_is_kept(trials: ModuleType, changed: dict[str, Any], is_kept: bool) -> None:
    assert kept(trials, **changed).is_kept == is_kept


@pytest.mark.parametrize(
    ("frames", "is_before"),
    [
        ([], True),
        ([("__main__.py", "from textgen.cli import main")], True),
        (
            [
                ("__main__.py", "from textgen.cli import main"),
                ("cli/__init__.py", "from textgen.cli.first_signals import answer_signals"),
                ("cli/first_signals.py", "from _signal import ("),
            ],
            True,
        ),
        ([("__main__.py", "main()"), ("cli/__init__.py", "import typer")], False),
        (
            [("cli/first_signals.py", "signal(signum, end_at_once)"), ("api.py", "import numpy")],
            False,
        ),
    ],
)
def test_what_comes_before_the_handlers(
    trials: ModuleType, frames: list[tuple[str, str]], is_before: bool
) -> None:
    lines = [
        f'  File "/a/textgen/{path}", line 3, in <module>\n    {code}' for path, code in frames
    ]
    text = "\n".join(["Traceback (most recent call last):", *lines, "KeyboardInterrupt"])
    assert trials.is_before_handlers(text) == is_before


def test_the_figures(trials: ModuleType) -> None:
    tries = [kept(trials, latency=number / 100) for number in range(1, 201)]
    tries.append(kept(trials, signals=(), code=0))
    tries.append(kept(trials, code=None, latency=30.0))
    lines = trials.summary(tries)
    assert lines[0] == "202 tries, 201 signalled, the others had ended before"
    assert "not ended after 30 s: 1" in lines
    assert "promise not kept: 1" in lines
    assert "one signal, 201: median 1.010 s, 99th percentile 1.990 s, most 30.000 s" in lines[-2]
    assert trials.summary([kept(trials)] * 100)[4] == (
        "promise not kept: 0 (below 3.00% with 95 % confidence)"
    )


@pytest.mark.parametrize(
    ("name", "content", "is_sound"),
    [
        ("comparison.json", "{}", True),
        ("comparison.json", "{", False),
        ("metrics.jsonl", '{"step": 1}\n', True),
        ("metrics.jsonl", '{"step": 1}\n{"st', False),
        ("model.safetensors", "half a file", False),
        ("loss.svg", "<svg>", False),
        (".lock", "", True),
    ],
)
def test_a_file_that_is_cut_is_seen(
    trials: ModuleType, tmp_path: Path, name: str, content: str, is_sound: bool
) -> None:
    (tmp_path / name).write_text(content)
    assert trials._is_sound(tmp_path / name) == is_sound


def test_a_try(trials: ModuleType, tmp_path: Path) -> None:
    """At whatever moment of the start the signal comes."""
    words = [sys.executable, "-m", "textgen", "--version"]
    whole = trials._Whole(1.0, {})
    one = trials.try_once("version", words, whole, tmp_path, {}, [signal.SIGINT], 0.0, 0.0)
    assert one.signals == ("SIGINT",)
    assert one.is_kept, one


def test_every_command_is_tried(trials: ModuleType) -> None:
    program: Any = get_command(app)
    endless = (words for words, _ in trials.ENDLESS.values())
    tried = {words[:2] for words in (*trials.COMMANDS.values(), *endless)}
    assert set(program.commands) <= {words[0] for words in tried}
    inspected = {words[1] for words in tried if words[0] == "inspect"}
    # `windows` and `checkpoint` read a file and print it, `find` needs a library of its own.
    assert set(program.commands["inspect"].commands) - inspected == {
        *("windows", "checkpoint", "find"),
    }
