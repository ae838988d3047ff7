"""`textgen train --numbers` and `textgen sample --numbers`, as they are typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.small_runs import environment, events, textgen_cli
from support.trained import Trained

import textgen
from textgen.cli.numbers import weights_in_words

LINEAR = ("--cell", "rnn", "--nonlinearity", "identity", "--hidden", "1", "--history", "2")
SMALL = ("--hidden", "1", "--history", "2", "--steps", "3")


#: A training on numbers that is sent Ctrl-C in its first step, which would take a minute.
FIRST_STEP = """
import signal, sys, time, textgen.cli
from textgen.series import number_training

def learner(*_):
    signal.raise_signal(signal.SIGINT)
    time.sleep(60)
    yield 0.0

number_training._lbfgs = number_training._adamw = learner
sys.argv = ["textgen", "train", "fib.csv", "--numbers", "--history", "2", "--out", "run"]
textgen.cli.main()
"""


#: One that says when its first step is over.
STEP_BY_STEP = """
import sys, textgen.cli
from textgen.series import number_training

def learner(*given):
    for number, loss in enumerate(own(*given)):
        yield loss
        if number == 0:
            print("the first step is over", file=sys.stderr, flush=True)

own, number_training._adamw = number_training._adamw, learner
sys.argv = ["textgen", *sys.argv[1:]]
textgen.cli.main()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a file of Fibonacci's numbers and a table."""
    monkeypatch.chdir(tmp_path)
    write_tables(tmp_path)
    return tmp_path


def write_tables(folder: Path) -> None:
    numbers = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
    (folder / "fib.csv").write_text("".join(f"{number}\n" for number in numbers))
    rows = (f"{day},{number},{number}" for day, number in enumerate(numbers))
    (folder / "table.csv").write_text("\n".join(["day,rabbits,pairs", *rows]) + "\n")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a model of Fibonacci's numbers is, to be copied."""
    trained = tmp_path_factory.mktemp("fibonacci")
    write_tables(trained)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        assert textgen_cli("train", "fib.csv", "--numbers", *LINEAR, "-q").exit_code == 0
    return trained / "checkpoints"


@pytest.fixture
def fibonacci(folder: Path, checkpoints: Path) -> Path:
    """The same with a trained model."""
    shutil.copytree(checkpoints, "checkpoints")
    return folder


def test_fibonacci_as_it_is_typed(folder: Path) -> None:
    result = textgen_cli("train", "fib.csv", "--numbers", *LINEAR)
    assert (result.exit_code, result.stdout) == (0, "")
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr).split())
    for part in (
        "series 10 numbers in fib.csv, one on each line",
        "--history 2 asked for",
        "scaling x / 34",
        "optimizer L-BFGS",
        "naive guess 21",
        "F(x) = x w + b + v F(before)",
        "w = 1, b = 0, v = 1",
        "RMSE on the last number",
        "checkpoint checkpoints/fib",
        "textgen sample --numbers --checkpoint checkpoints/fib --seed 34,55",
    ):
        assert part in shown, part
    written = textgen_cli("sample", "--numbers", "--seed", "1,1,2,3,5")
    assert written.stdout.split() == ["8", "13", "21", "34", "55", "89", "144", "233", "377", "610"]
    path = "checkpoints/fib/model.safetensors"
    told = f"{path}: rnn (identity), history 2; the next 10 after the numbers given\n"
    assert written.stderr == told
    # The model says what it is, and its words may be said otherwise.
    for words in (
        ("--seed", "3,5", "-n", "2", "-q"),
        ("3,5", "--length", "2", "-q"),
        ("--checkpoint", "fib", "3 5", "--length", "2", "-q"),
    ):
        again = textgen_cli("sample", *words)
        assert (again.stdout.split(), again.stderr) == (["8", "13"], ""), words
    shown = textgen_cli("sample", "fib", "-n", "1")
    assert shown.stdout == "89\n"
    assert "'fib' is taken as the name of a model" in shown.stderr
    assert f"the newest model is one of numbers: {path}" in textgen_cli("sample", "3,5").stderr


def test_numbers_take_the_newest_model_of_numbers(fibonacci: Path, trained: Trained) -> None:
    newer = Path("checkpoints/newer")
    shutil.copytree(trained.folder, newer)
    for file in newer.iterdir():
        os.utime(file, (time.time() + 60, time.time() + 60))
    written = textgen_cli("sample", "--numbers", "-n", "1")
    assert written.stdout == "89\n"
    assert textgen.load_numbers().path == Path("checkpoints/fib/model.safetensors")
    shutil.rmtree("checkpoints/fib")
    none = textgen_cli("sample", "--numbers")
    assert none.exit_code == 6
    assert "there is no model of numbers" in none.stderr
    assert "textgen train numbers.csv --numbers" in none.stderr


def test_a_newer_model_of_numbers_is_passed_over(fibonacci: Path, trained: Trained) -> None:
    """By what needs a model of text: the newest one of these is taken, and it is said."""
    older = Path("checkpoints/older")
    shutil.copytree(trained.folder, older)
    for file in older.iterdir():
        os.utime(file, (time.time() - 3600, time.time() - 3600))
    Path("text.txt").write_text("Утром кот молчал.\n", "utf-8")
    told = "the newest model of text: checkpoints/older/model.safetensors; "
    told += "checkpoints/fib/model.safetensors is of numbers"
    for words in (("sample", "Утром", "-n", "5"), ("sample", "--top-k", "3"), ("eval", "text.txt")):
        result = textgen_cli(*words)
        assert result.exit_code == 0 and told in result.stderr.splitlines(), result.stderr
        assert "numbers" not in textgen_cli(*words, "-q").stderr
    # Where there is no other, the one that comes along is taken.
    shutil.rmtree(older)
    told = "checkpoints/fib/model.safetensors is a model of numbers, and another one is taken"
    assert told in textgen_cli("sample", "Once", "-n", "5").stderr
    # Numbers are still continued by the newest model, and so is nothing.
    assert textgen_cli("sample", "-q", "3,5", "-n", "1").stdout == "8\n"
    assert textgen_cli("sample", "-q", "-n", "1").stdout == "89\n"


def test_json(fibonacci: Path) -> None:
    record = json.loads(textgen_cli("sample", "--json", "--seed", "3,5", "-n", "2").stdout)
    assert record["numbers"] == pytest.approx([8, 13], abs=1e-6)
    assert record["seed"] == [3, 5] and record["history"] == 2
    lines = events(textgen_cli("train", "fib.csv", "--numbers", *LINEAR, "--force", "--json"))
    assert lines[0]["event"] == "start" and lines[-1]["event"] == "end"
    assert {line["event"] for line in lines[1:-1]} == {"report"}
    end = lines[-1]
    assert end["weights"] == pytest.approx({"w": 1, "b": 0, "v": 1}, abs=1e-6)
    assert end["val_rmse"] < 1e-6 < end["naive_val_rmse"]


def test_the_printed_command_trains_the_same_model(folder: Path) -> None:
    for words in (("--steps", "40"), ("--learning-rate", "0.02", "--steps", "30", "--cell", "gru")):
        settings = ("--column", "rabbits", "--hidden", "2", "--rng", "7", "--force", *words)
        textgen_cli("train", "table.csv", "--numbers", *settings)
        info = textgen.load_numbers("checkpoints/table").info
        typed = shlex.split(info["command"])
        assert typed[:3] == ["textgen", "train", "table.csv"]
        assert textgen_cli(*typed[1:]).exit_code == 0
        first, second = map(textgen.load_numbers, ("table", typed[typed.index("--out") + 1]))
        assert first.next_numbers(length=3) == second.next_numbers(length=3)


def test_stdin_gz_and_a_file_of_seeds(folder: Path) -> None:
    given = textgen_cli("train", "-", "--numbers", *SMALL, input=b"1 2 3 4 5 6 7 8 9 10\n")
    assert given.exit_code == 0 and Path("checkpoints/stdin/model.safetensors").exists()
    Path("seed.txt").write_text("1\n2\n3\n")
    by_file = textgen_cli("sample", "--numbers", "--seed-file", "seed.txt", "-n", "2", "-q")
    by_input = textgen_cli("sample", "--numbers", "--seed", "-", "-n", "2", "-q", input="1 2 3")
    by_words = textgen_cli("sample", "--numbers", "--seed", "1,2,3", "-n", "2", "-q")
    assert by_file.stdout == by_words.stdout == by_input.stdout != ""


def test_list_and_inspect_say_what_it_is(fibonacci: Path) -> None:
    listed = " ".join(textgen_cli("list", COLUMNS="200").stdout.split())
    assert "rnn (identity) 1 x 1, numbers, history 2; RMSE" in listed
    record, *_ = json.loads(textgen_cli("list", "--json").stdout)["checkpoints"]
    assert record["parameters"] == 3 and "numbers" in record["model"]
    shown = textgen_cli("inspect", "checkpoint", "fib", COLUMNS="120").stdout
    assert "w = 1, b = 0, v = 1" in shown and "10 numbers in fib.csv" in shown
    record = json.loads(textgen_cli("inspect", "checkpoint", "fib", "--json").stdout)
    assert record["own_weights"] == pytest.approx({"w": 1, "b": 0, "v": 1}, abs=1e-6)
    assert record["last"] == [34, 55]


@pytest.mark.parametrize(
    "words",
    [
        ("eval", "fib.csv"),
        ("inspect", "--text", "abc"),
        ("inspect", "neurons", "fib.csv"),
        ("inspect", "gates", "fib.csv"),
        ("inspect", "memory"),
        ("train", "fib.csv", "--out", "further", "--from", "fib"),
    ],
    ids=" ".join,
)
def test_commands_of_text_refuse_it(fibonacci: Path, words: tuple[str, ...]) -> None:
    model = () if words[0] == "train" else ("fib",) if "memory" in words else ("-c", "fib")
    result = textgen_cli(*words, *model)
    assert result.exit_code == 4
    assert "holds a model of a series of numbers, but a model of text is needed" in result.stderr
    command = "textgen sample checkpoints/fib/model.safetensors --numbers"
    assert command in result.stderr
    assert textgen_cli(*shlex.split(command)[1:]).exit_code == 0


def test_a_model_of_text_is_no_model_of_numbers(trained: Trained) -> None:
    result = textgen_cli("sample", "--numbers", "-c", trained.folder)
    assert result.exit_code == 4
    assert "holds a model of text, but a model of a series of numbers is needed" in result.stderr
    assert "textgen train numbers.csv --numbers" in result.stderr


REFUSED = [
    ("train fib.csv --numbers --tie", 2, "--tie: this setting is for text; leave it out"),
    ("train fib.csv --numbers --fold --seq-len 8", 2, "--fold, --seq-len: these settings are for"),
    ("train fib.csv --numbers --resume", 2, "--resume goes on from a saved state"),
    ("train fib.csv --numbers --more 2m", 2, "--more goes on from a saved state"),
    ("train fib.csv --numbers --from fib", 2, "--from goes on from a saved state"),
    ("train checkpoints/fib --resume", 2, "a run of numbers keeps none"),
    ("train fib --more 2m", 2, "a run of numbers keeps none"),
    ("train fib.csv --out checkpoints/fib --resume", 2, "a run of numbers keeps none"),
    ("train fib.csv --column 1", 2, "--column needs --numbers"),
    ("train --numbers", 2, "no file was named"),
    ("train fib.csv table.csv --numbers", 2, "2 paths were given"),
    ("train . --numbers", 2, "texts"),
    ("train fib.csv --numbers", 7, "replace it: --force, or use another folder: --out DIR"),
    ("train table.csv --numbers", 2, "'pairs'; choose one: --column pairs"),
    ("train fib.csv --numbers --force --history 12", 2, "give at most --history 8"),
    ("train fib.csv --numbers --force --val other", 2, "give its share, such as --val 0.1"),
    ("train none.csv --numbers", 6, "none.csv"),
    ("sample --checkpoint fib --temperature 0.5", 2, "--temperature: this setting is for text"),
    (
        "sample --checkpoint fib --count 2 --novelty",
        2,
        "--count, --novelty: these settings are for text",
    ),
    ("sample --numbers --seed 1", 2, "--seed has 1 number, and this model reads 2"),
    ("sample --numbers --seed 1,x", 2, "'x' among the numbers"),
]


@pytest.mark.parametrize(("words", "code", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_refused(fibonacci: Path, words: str, code: int, message: str) -> None:
    before = Path("checkpoints/fib/model.safetensors").read_bytes()
    Path("more.txt").write_text("1\n2\n")
    Path("other.txt").write_text("1\n2\n")
    result = textgen_cli(*shlex.split(words))
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert Path("checkpoints/fib/model.safetensors").read_bytes() == before


@pytest.mark.slow
def test_ctrl_c_saves_the_best_model_and_says_that_the_run_cannot_go_on(folder: Path) -> None:
    words = ["train", "fib.csv", "--numbers", "--learning-rate", "0.001", "--steps", "1000000"]
    process = subprocess.Popen(
        [sys.executable, "-c", STEP_BY_STEP, *words, "--out", "run"],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == "the first step is over\n":
            break
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the best model so far is saved, and the run cannot be resumed" in errors
    command = errors.strip().splitlines()[-1]
    assert command.startswith("textgen train fib.csv --numbers --steps 1000000")
    assert len(textgen.load_numbers(folder / "run").next_numbers(length=2)) == 2


def test_the_steps_of_a_run_are_told_on_the_way(folder: Path) -> None:
    result = textgen_cli("train", "fib.csv", "--numbers", *SMALL[:-1], "30", "--lr", "0.01")
    told = re.findall(r"^step (\d+)/30  val [\d.e+-]+  train ", result.stderr, re.MULTILINE)
    assert told == ["3", "6", "9", "12", "15", "18", "21", "24", "27", "30"]
    assert textgen_cli("train", "fib.csv", "--numbers", *SMALL, "--force", "-q").stderr == ""
    explained = textgen_cli("train", "fib.csv", "--numbers", *SMALL, "--force", "--explain").stderr
    assert "squared error" in explained and "float64" in explained


def test_weights_are_rounded_to_what_the_series_can_tell_apart() -> None:
    exact = {"w": 0.9999999999, "b": -3e-13, "v": 1.0}
    assert weights_in_words(exact, "F(x) = x w", [34.0, 55.0]) == "w = 1, b = 0, v = 1"
    small = {"w": 1.0, "b": 2e-9, "v": 1.0}
    assert weights_in_words(small, "F(x) = x w", [1e-9, 3e-9]) == "w = 1, b = 2e-09, v = 1"
    large = {"w": 2e-9, "b": 0.5, "v": 1.0}
    assert weights_in_words(large, "F(x) = tanh(x w)", [1e9]) == "w = 2e-09, b = 0.5, v = 1"


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_before_its_first_step_is_over_nothing_is_waited_for() -> None:
    """There is no model to save, and torch loads much for the step."""
    words = [sys.executable, "-c", FIRST_STEP]
    ended = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.endswith("\ntextgen: interrupted\n")
    assert "stopping after this step" not in ended.stderr
    assert not Path("run/model.safetensors").exists()
