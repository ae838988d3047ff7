"""The printed command: typed, it asks for exactly the run that was planned."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from support.other_values import BESIDE, other_value
from typer.testing import CliRunner

from textgen.corpus.corpus_options import CorpusOptions
from textgen.options import TrainOptions
from textgen.settings import Option, settings_of, typed_words, with_values
from textgen.training.folder import again_folder
from textgen.training.plan import (
    Plan,
    more_command,
    planned_options,
    repeat_command,
    resume_command,
)
from textgen.training.sizing import TextFacts, Timing, draft, finish

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

    monkeypatch.setattr("textgen.training.start.open_run", take)
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
    assert options_typed == planned_options(options, plan)
    assert plan_of(options_typed) == plan


@pytest.mark.parametrize("setting", list(settings_of(TrainOptions)), ids=lambda item: item.name)
def test_every_setting_is_in_the_command_and_comes_back(
    setting: Option, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, beside = other_value(setting), dict(BESIDE.get(setting.name, {}))
    if setting.name == "residual":
        beside["num_layers"] = 2
    assert value != setting.default
    options = with_values(TrainOptions, {**beside, setting.name: value})
    # As it was asked for.
    words = typed_words(options)
    assert setting.flag in words
    _, back = typed(shlex.join(["textgen", "train", "a.txt", *words]), monkeypatch)
    assert back == options
    # As it was planned: budget and epochs have become steps.
    plan = plan_of(options)
    line = repeat_command(["a.txt"], options, plan)
    assert ("--steps" if setting.name in ("budget", "epochs") else setting.flag) in line.split()
    _, back = typed(line, monkeypatch)
    assert back == planned_options(options, plan)
    assert plan_of(back) == plan


def test_every_setting_can_be_typed() -> None:
    """Each has a parameter of `textgen train`, under the flag that it is declared with."""
    command = typer.main.get_command(import_module("textgen.cli.app").app).commands["train"]
    flags = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
    for item in settings_of(TrainOptions):
        assert item.flag in flags, item.name
        assert item.off is None or item.off in flags, item.name


@pytest.mark.parametrize(
    "settings",
    [
        {"freeze_embedding": False},
        {"vectors": "word2vec", "embedding_size": 30},
        {"vectors": "100"},
        {"vectors": "word2vec:x.vec"},
        {"vectors": "-vectors.bin"},
        {"val": "-held.txt"},
        {"encoding": "utf-8"},
    ],
    ids=str,
)
def test_values_that_look_like_something_else(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TrainOptions(
        corpus=CorpusOptions(encoding=settings.pop("encoding", None)), steps=5, **settings
    )
    _, back = typed(repeat_command(["a.txt"], options, plan_of(options)), monkeypatch)
    vectors = options.vectors
    if vectors in ("100", "word2vec:x.vec"):
        vectors = f"./{vectors}"
    assert back.vectors == vectors
    assert (back.freeze_embedding, back.val) == (options.freeze_embedding, options.val)
    if options.embedding_size:
        assert back.embedding_size == options.embedding_size


@pytest.mark.parametrize(
    "name",
    ["a.txt", "-a.txt", "it's.txt", "a b.txt", "[b]x[/b].txt", "$HOME.txt", "x;y&z.txt", "-"],
)
def test_paths_are_as_they_were_typed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = TrainOptions(steps=5)
    paths, _ = typed(repeat_command([name], options, plan_of(options)), monkeypatch)
    assert paths == ["./-a.txt" if name == "-a.txt" else name]


def test_a_name_that_could_steer_a_terminal_is_written_for_the_shell() -> None:
    options = TrainOptions(steps=5)
    line = repeat_command(["a\x1b[31m.txt"], options, plan_of(options))
    assert "\x1b" not in line
    word = line.split()[2]
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert done.stdout == b"a\x1b[31m.txt"


def test_the_folder_is_a_free_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "novel"
    assert again_folder(folder).name == "novel-2"
    (tmp_path / "novel-2").mkdir()
    assert again_folder(folder).name == "novel-3"
    assert again_folder(tmp_path / "novel-2").name == "novel-3"
    assert again_folder(tmp_path / "-5").name == "-5-2"
    monkeypatch.chdir(tmp_path)
    assert again_folder(Path(".")) == tmp_path.with_name(f"{tmp_path.name}-2")
    assert again_folder(Path("/")) == Path("/run-2")
    options = TrainOptions(steps=5)
    line = repeat_command(
        ["a.txt"], options, plan_of(options), folder=tmp_path / "my novel-3", parent="my model"
    )
    words = shlex.split(line)
    assert words[-4:] == ["--out", str(tmp_path / "my novel-3"), "--from", "my model"]


def test_the_path_that_is_forced_stands_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTGEN_PATH", "reference")
    options = TrainOptions(steps=5)
    for line in (
        repeat_command(["a.txt"], options, plan_of(options)),
        resume_command("run"),
        more_command("run", "3epochs"),
    ):
        assert line.startswith("TEXTGEN_PATH=reference textgen train ")


def test_it_is_one_line_that_a_person_can_read() -> None:
    options = TrainOptions(budget=20.0)
    plan = replace(plan_of(options), steps=5)
    line = repeat_command(["corpus.txt"], options, plan)
    assert line.startswith("textgen train corpus.txt --steps 5 --cell coupled --hidden ")
    # What is everyone's default stays out of it.
    for flag in (
        *("--level", "--val", "--tie", "--clip"),
        *("--patience", "--device", "--budget", "--rng"),
    ):
        assert flag not in line.split()


def test_commands_that_go_on_with_a_run_name_it_and_no_more() -> None:
    assert resume_command("runs/a b") == "textgen train 'runs/a b' --resume"
    assert more_command("run") == "textgen train run --more 2m"
    assert more_command("run", "500steps") == "textgen train run --more 500steps"


def test_a_command_names_a_parent_and_a_folder_only_where_there_are_any() -> None:
    options = TrainOptions(steps=9)
    plan = plan_of(options)
    alone = repeat_command(["text.txt"], options, plan)
    assert "--from" not in alone and "--out" not in alone
    named = repeat_command(["text.txt"], options, plan, folder="runs/new", parent="war")
    assert " --from war" in named and " --out runs/new" in named
