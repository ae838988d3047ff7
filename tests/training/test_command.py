"""The printed command: typed, it asks for exactly the run that was planned."""

from __future__ import annotations

import shlex
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from textgen.corpus.corpus import CorpusOptions
from textgen.training.command import repeat_command
from textgen.training.options import TrainOptions
from textgen.training.plan import Plan, TextFacts, Timing, draft, finish

FACTS = TextFacts(train_tokens=100_000, val_tokens=10_000, vocab_size=80)
TIMING = Timing(step=0.01, evaluation=0.1, save=0.1)

REQUESTS = {
    "default": {},
    "budget": {"budget": 20.0},
    "text": {
        "corpus": CorpusOptions(
            level="word",
            fold=True,
            min_count=2,
            min_word_count=5,
            max_words=999,
            documents="blank",
            encoding="cp1251",
            newlines=False,
            nfc=False,
        ),
        "val": "held out.txt",
    },
    "model": {"tie": True, "num_layers": 2, "hidden_size": 48, "dropout": 0.125},
    "cell": {"cell": "rnn", "nonlinearity": "relu", "steps": 9},
    "windows": {"history": 12, "epochs": 3.0},
    "steps": {
        "steps": 321,
        "learning_rate": 0.00123456789,
        "weight_decay": 0.0,
        "clip_norm": 0.3,
        "eval_every": 17,
        "patience": 4,
        "rng": 77,
        "device": "cpu",
        "precision": "fp32",
        "threads": 2,
        "val": "0.25",
    },
}


def plan_of(options: TrainOptions) -> Plan:
    budgeted = options.steps is None and options.epochs is None
    drafted = draft(options, FACTS, 1e10 if budgeted else None)
    return finish(drafted, options, FACTS, TIMING)[0]


def typed(command: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], TrainOptions]:
    """What the command line makes of `command`: the paths and the options."""
    taken: dict[str, Any] = {}

    def take(paths: list[str], options: TrainOptions, *_: object, **__: object) -> None:
        taken.update(paths=paths, options=options)
        raise typer.Exit

    monkeypatch.setattr("textgen.training.opening.open_run", take)
    words = shlex.split(command)
    assert words[0] == "textgen"
    app = import_module("textgen.cli.app").app
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    return taken["paths"], taken["options"]


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_typed_again_it_is_the_same_plan(request_: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    options = TrainOptions(**request_)
    plan = plan_of(options)
    paths = ["my letters/старуха's.txt", "-", "b.txt.gz"]
    paths_typed, options_typed = typed(repeat_command(paths, options, plan), monkeypatch)
    assert paths_typed == paths
    assert options_typed.corpus == options.corpus
    for name in ("val", "device", "precision", "threads", "rng", "patience", "eval_every"):
        assert getattr(options_typed, name) == getattr(options, name), name
    assert (options_typed.budget, options_typed.epochs) == (None, None)
    assert plan_of(options_typed) == plan


def test_it_is_one_line_that_a_person_can_read() -> None:
    options = TrainOptions(budget=20.0)
    plan = replace(plan_of(options), steps=5)
    line = repeat_command(["corpus.txt"], options, plan)
    assert line.startswith("textgen train corpus.txt --steps 5 --hidden ")
    assert line.endswith(" --rng 1")
    # What is everyone's default stays out of it.
    for flag in (
        "--level",
        "--val",
        "--tie",
        "--clip",
        "--patience",
        "--device",
        "--budget",
        "--cell",
    ):
        assert flag not in line
