"""What people type first: it is done, or one line says what to type."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import command, environment, process, textgen_cli
from typer.main import get_command

from textgen.cli import main
from textgen.cli.app import ALIASES, app
from textgen.cli.commands import SETTINGS
from textgen.cli.help_page import choices_of, value_kind, value_name
from textgen.cli.mistakes import COMMANDS, options

PROGRAM: Any = get_command(app)
TEXT = "Утром доктор нашёл мёд"


def commands(group: Any = PROGRAM, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command by its path: `inspect neurons`."""
    yield " ".join(path), group
    for name, own in getattr(group, "commands", {}).items():
        yield from commands(own, (*path, name))


ALL = dict(commands())


def answer(*words: str, code: int = 2, **env: str) -> str:
    """The one line that is said to a mistake; nothing is written to stdout."""
    result = textgen_cli(*words, **env)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("textgen: ") and result.stderr.count("\n") == 1
    return result.stderr.removeprefix("textgen: ").rstrip("\n")


def parsed(path: str, *words: str) -> dict[str, Any]:
    """The values that a command would get; it is not run."""
    own = ALL[path]
    context = own.context_class(own, info_name=path, **SETTINGS)
    with context.scope(cleanup=False):
        own.read(context, list(words))
    values: dict[str, Any] = context.params
    return values


# --- commands ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["list"], ["inspect", "checkpoint"]),
        (["LS"], ["inspect", "checkpoint"]),
        (["list", "--json"], ["inspect", "checkpoint", "--json"]),
        (["-V"], ["--version"]),
        (["version"], ["--version"]),
        ([], ["--help"]),
        (["help"], ["--help"]),
        (["help", "train"], ["train", "--help"]),
        (["TRAIN", "--help"], ["train", "--help"]),
        (["help", "inspect", "neurons"], ["inspect", "neurons", "--help"]),
        (["inspect", "help"], ["inspect", "--help"]),
        (["inspect"], ["inspect", "--help"]),
        (["inspect", "help", "find"], ["inspect", "find", "--help"]),
        (["inspect", TEXT], ["inspect", "--text", TEXT]),
        (["inspect", TEXT, "--top", "1"], ["inspect", "--text", TEXT, "--top", "1"]),
        (["inspect", "--top", "1", TEXT], ["inspect", "--text", TEXT, "--top", "1"]),
        (["inspect", "--", "-а"], ["inspect", "--text", "-а"]),
        (["inspect", "--TEXT", TEXT], ["inspect", "--text", TEXT]),
        (["inspect", TEXT, "--show", "Cell"], ["inspect", "--text", TEXT]),
        (["inspect", "page.txt"], ["inspect", "--file", "page.txt"]),
        (["inspect", TEXT, "--color", "NEVER"], ["inspect", "--text", TEXT]),
    ],
    ids=lambda words: " ".join(words) or "nothing",
)
def test_what_is_meant_is_done(words: list[str], same: list[str], home: Path) -> None:
    (home / "page.txt").write_text(TEXT, encoding="utf-8")
    one, other = textgen_cli(*words), textgen_cli(*same)
    assert one.exit_code == other.exit_code == 0, one.output
    assert (one.stdout, one.stderr) == (other.stdout, other.stderr)
    assert one.stdout


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generate"], "textgen sample"),
        (["write", "--seed", "дом"], "type: textgen sample --seed 'дом'"),
        (["predict", "--no-such"], "type: textgen sample --help"),
        (["trian", "corpus.txt"], "did you mean: textgen train corpus.txt"),
        (["neurons"], "type: textgen inspect neurons"),
        (["evaluate", "page.txt"], "type: textgen eval page.txt"),
        (["page.txt"], "type: textgen train page.txt"),
        (["two words.txt"], "type: textgen train 'two words.txt'"),
        (["checkpoints/small"], "type: textgen sample --checkpoint checkpoints/small"),
        (["small"], "type: textgen sample --checkpoint checkpoints/small"),
        (["Это", "я"], "textgen sample --seed 'Это я'"),
        ([""], "there are: train"),
        (["help", "xyzzy"], "there are: train"),
        (["help", "xyzzy", "foo"], "there is no command xyzzy; there are: train"),
        (["help", "inspect", "foo"], "there is no command foo in textgen inspect; there are: ch"),
        (["inspect", "help", "foo"], "there is no command foo in textgen inspect; there are: ch"),
        (["help", "inspect", "neurn"], "did you mean: textgen inspect neurons --help"),
        (["help", "train", "foo"], "textgen train has no command foo nor any other; type: textg"),
        (
            ["xyzzy"],
            "there are: train, sample, eval, corpus, compress, decompress, compare, inspect",
        ),
        (["inspect", "neuron"], "did you mean: textgen inspect neurons;"),
        (["inspect", "neuron"], "textgen inspect --text neuron"),
        (["inspect", "small"], "textgen inspect checkpoint small"),
        (["inspect", "checkpoints/small"], "textgen inspect checkpoint checkpoints/small"),
        (["inspect", "none.txt"], "there is no file none.txt here"),
        (["inspect", "Это", "я"], "textgen inspect 'Это я'"),
        (["inspect", "- Это"], '--text "- text"'),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_to_type_instead_of_a_wrong_command(words: list[str], said: str, home: Path) -> None:
    for name in ("page.txt", "two words.txt"):
        (home / name).write_text(TEXT, encoding="utf-8")
    assert said in answer(*words)


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "a.txt", "--rnn_size", "64"], "here it is --hidden "),
        (["train", "a.txt", "--max_epochs", "3"], "here it is --epochs "),
        (["train", "--data", "a.txt"], "textgen train a.txt"),
        (["train", "a.txt", "--out_dir", "x"], "here it is --out "),
        (["train", "a.txt", "-eta", "0.1"], "here it is --learning-rate "),
        (["train", "a.txt", "--gpu"], "here it is --device cuda"),
        (["train", "a.txt", "—steps", "3"], "type two hyphens: --steps"),
        (["train", "a.txt", "-hidden", "3"], "type two hyphens: --hidden"),
        (["train", "a.txt", "-out", "x"], "type two hyphens: --out"),
        (["sample", "-seed", "x"], "-seed begins with one dash; type two hyphens: --seed"),
        (["train", "a.txt", "--cells", "lstm"], "did you mean --cell "),
        (["sample", "--temp", "1"], "here it is --temperature "),
        (["sample", "-temp", "1"], "here it is --temperature "),
        (["sample", "--primetext", "x"], "here it is --seed "),
        (["sample", "--max-tokens", "9"], "here it is --length "),
        (["sample", "--num_samples", "9"], "here it is --count "),
        (["sample", "--hidden", "9"], "it is an option of textgen train"),
        (["sample", "--num_steps", "9"], "--steps is an option of textgen train and of textgen co"),
        (["train", "a.txt", "--time-limit", "1m"], "here it is --budget TIME"),
        (["compare", "a.txt", "--hidden_layers", "2"], "here it is --layers N"),
        (["sample", "--checkpoint-dir", "x"], "here it is --checkpoint MODEL"),
        (["inspect", "--input-text", "x"], "here it is --text TEXT"),
        (["eval", "a.txt", "--batch_size", "9"], "here it is --streams N"),
        (["eval", "a.txt", "--model", "x"], "here it is --checkpoint MODEL"),
        (["eval", "a.txt", "--windw", "3"], "did you mean --window N?"),
        (["eval", "a.txt", "--xyzzy"], "textgen eval --help lists its options"),
        (["eval"], "eval needs PATH... ("),
        (["eval"], "type for example: textgen eval novel.txt"),
        (["inspect", "--top", "x", "а"], "--top is 'x'; it must be a whole number, like --top 3"),
        (["eval", "a.txt", "--window", "1,000"], "a whole number; type --window 1000"),
        (["eval", "a.txt", "--window", "10k"], "a whole number; type --window 10000"),
        (["inspect", "gates", "--chars", "x"], "a whole number, like --chars 1000000"),
        (["inspect", "а", "--color", "red"], "it must be one of: auto, always, never"),
        (["inspect", "--text"], "--text needs a value after it"),
        (["inspect", "checkpoint", "a", "b"], "leave out: b"),
        (["inspect", "neurons", "--quiet=3"], "--quiet takes no value"),
        (["compare", "a.txt", "--dropout", "x"], "--dropout is 'x'; it must be a number"),
        (["--seed", "x"], "it is an option of textgen sample"),
        (["-v"], "here it is --version"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_to_type_instead_of_a_wrong_option(words: list[str], said: str) -> None:
    # One line for the terminal to break, however narrow it is.
    assert said in answer(*words, COLUMNS="40")


def test_a_mistake_is_an_object_for_programs_too() -> None:
    result = textgen_cli("eval", "a.txt", "--xyzzy", "--json")
    record = json.loads(result.stdout)
    assert (record["class"], record["exit_code"], result.exit_code) == ("ConfigError", 2, 2)
    assert record["message"] in result.stderr


def test_the_tables_of_foreign_names_lead_to_what_there_is() -> None:
    own = {name for path in ALL for param in ALL[path].params for name in param.opts}
    python_only = {"--progress"}
    for foreign, targets in options().items():
        assert foreign == foreign.lower() and "_" not in foreign and not foreign.startswith("-")
        for target in targets:
            there = target == "PATH" or target.partition(" ")[0] in own | python_only
            assert there, (foreign, target)
    for name, words in {**COMMANDS, **ALIASES}.items():
        assert name not in PROGRAM.commands
        assert words == ("--version",) or " ".join(words) in ALL, name


@pytest.mark.parametrize("path", [path for path in ALL if path])
def test_values_are_taken_as_they_are_meant(path: str) -> None:
    """Each option of each command: underscores, capitals, a decimal comma."""
    own = ALL[path]
    for param in own.params:
        long = next((name for name in param.opts if name.startswith("--")), None)
        if long is None or getattr(param, "is_flag", False):
            continue
        for choice in choices_of(param):
            typed = long.upper().replace("-", "_").replace("__", "--", 1)
            value = parsed_option(path, param, typed, choice.upper())
            assert value == choice, (path, long)
        if value_kind(param) is float:
            assert parsed_option(path, param, long, "0,25") == 0.25, (path, long)


def parsed_option(path: str, param: Any, *words: str) -> Any:
    needed = ["x" for p in ALL[path].params if p.param_type_name == "argument" and p.required]
    value = parsed(path, *needed, *words)[param.name]
    return value.value if hasattr(value, "value") else value


@pytest.mark.usefixtures("home")
def test_names_in_any_case() -> None:
    upper = textgen_cli("inspect", TEXT, "--show", "FORGET-GATE", "--neuron", "0:3")
    assert upper.exit_code == 0 and "neuron 0:3 forget-gate" in upper.stdout
    listed = textgen_cli("inspect", "neurons", "--text", TEXT * 4, "--sort", "Mean", "--top", "1")
    assert "ordered by mean" in " ".join(listed.stdout.split())


# --- neurons and settings have one name ----------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_a_neuron_has_one_name_everywhere(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shown = [
        textgen_cli("inspect", TEXT, "--neuron", "1:5").stdout,
        textgen_cli("inspect", "neurons", "--text", TEXT * 30, "--neuron", "1:5").stdout,
        textgen_cli("sample", "-n", "3", "--steer", "1:5=+1").stderr,
    ]
    assert all("neuron 1:5 cell" in text and "layers." not in text for text in shown)
    assert textgen_cli("inspect", TEXT, "--neuron", "1:5", "--html", str(page)).exit_code == 0
    html = page.read_text(encoding="utf-8")
    assert "neuron 1:5 cell" in html and "layers.1" not in html
    # What steering prints can be typed here.
    assert textgen_cli("inspect", TEXT, "--neuron", "1:5.c").stdout == shown[0]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "typed", ["5", "L0:5", "0,5", "0/5", "0-5", "layers.0.cell[5]", "cell 0:5"]
)
def test_another_name_of_a_neuron_is_answered_with_its_name(typed: str) -> None:
    for words in (
        ("inspect", TEXT, "--neuron", typed),
        ("inspect", "neurons", "--text", TEXT, "--neuron", typed),
        ("sample", "--steer", f"{typed}=+1"),
    ):
        line = answer(*words)
        assert f"'{typed}' is not a neuron; write LAYER:UNIT" in line and "for example 0:5" in line


@pytest.mark.usefixtures("home")
def test_another_state_or_a_neuron_that_is_not_there() -> None:
    assert "write 0:5, or show the hidden state" in answer("inspect", TEXT, "--neuron", "0:5.h")
    assert "for example 0:3" in answer("inspect", TEXT, "--neuron", "75")  # there is no 0:75
    assert "layers 0..1 and units 0..31" in answer("inspect", TEXT, "--neuron", "0:75")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inspect", TEXT, "--top", "0"], "--top is 0"),
        (["inspect", "similar", TEXT, "--min-apart", "0"], "--min-apart is 0"),
        (["inspect", "memory", "--max-lag", "0", "-q"], "--max-lag is 0"),
        (["eval", "page.txt", "--window", "0"], "--window is 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-2],
)
def test_the_prompt_reads_the_flag(words: list[str], said: str, home: Path) -> None:
    (home / "page.txt").write_text(TEXT * 20, encoding="utf-8")
    assert said in textgen_cli(*words).stderr


# --- unknown characters --------------------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_inspect_says_what_the_model_does_not_know(home: Path) -> None:
    (home / "page.txt").write_text("дом Ωx\n" * 80, encoding="utf-8")
    one = "2 characters are unknown to the model, which reads each as the unknown symbol: 'Ω', 'x'"
    assert one in textgen_cli("inspect", "дом Ωx").stderr
    assert one in textgen_cli("inspect", "similar", "дом Ωx", "page.txt").stderr
    assert one in textgen_cli("inspect", "neurons", "--text", "дом Ωx").stderr
    assert "160 characters are unknown" in textgen_cli("inspect", "--file", "page.txt").stderr
    assert "160 characters are unknown" in textgen_cli("inspect", "neurons", "page.txt").stderr
    single = textgen_cli("inspect", "дом Ω").stderr
    assert "1 character is unknown to the model, which reads it as" in single
    for quiet in (("дом Ωx", "-q"), ("дом",)):
        assert "unknown" not in textgen_cli("inspect", *quiet).stderr


# --- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ALL, ids=lambda path: path or "textgen")
def test_help_can_be_read(path: str) -> None:
    for width in (80, 40):
        page = textgen_cli(*path.split(), "--help", COLUMNS=str(width)).stdout
        lines = page.splitlines()
        # An example is left whole, for copying, and so is the name of an option.
        long = [line for line in lines if len(line) > width and not line.startswith("  ")]
        assert not long
        assert "<" not in page and "x>=" not in page and "╭" not in page
        assert not [line for line in lines if line != line.rstrip()]
    assert lines[0].startswith("Usage: textgen")
    titles = [own.splitlines()[0] for own in page.split("\n\n") if own.strip()]
    # A group that only has commands has no options but --help.
    assert "Options" in titles and titles[-1] == ("Advanced" if ALL[path].params else "Options")
    for param in ALL[path].params:
        if param.param_type_name == "option" and not param.is_flag and not param.hidden:
            assert next(name for name in param.opts if name.startswith("--"))[:6] in page
            assert value_name(param).strip()


@pytest.mark.parametrize("words", ["--help", "inspect neurons --help", "--version", "list"])
def test_a_reader_that_leaves_is_no_failure(words: str, home: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {words} | true', "bash", *command()],
        cwd=home,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_is_a_failure(home: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("--help"),
            cwd=home,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (6, "textgen: the output: No space left on device\n")


# --- streams that lack characters ----------------------------------------------------------------


class Streams:
    """Standard output and error with an encoding and a handler; what was written to both."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, encoding: str, errors: str) -> None:
        self.raw = [io.BytesIO(), io.BytesIO()]
        for name, raw in zip(("stdout", "stderr"), self.raw, strict=True):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(raw, encoding, errors))

    def run(self, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, bytes, bytes]:
        monkeypatch.setattr(sys, "argv", ["textgen", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        code = ended.value.code
        out, err = (raw.getvalue() for raw in self.raw)
        return (code if isinstance(code, int) else 0), out, err


@pytest.mark.parametrize(
    "errors",
    ["surrogateescape", "strict", pytest.param("surrogatepass", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help", 0),
        ("inspect старуха", 0),
        ("inspect старуха --json", 0),
        ("inspect старуха --csv -", 0),
        ("inspect neurons --chars 2000 --top 2", 0),
        ("inspect gates --chars 2000", 0),
        ("inspect similar старуха --chars 3000 --top 2", 0),
        ("inspect windows page.txt --limit 2", 0),
        ("inspect checkpoint small", 0),
        ("sample --seed старуха -n 20", 0),
        ("sample -n 20 --count 2 --json", 0),
        ("eval page.txt", 0),
        ("train page.txt --steps 2 --hidden 16 --threads 1", 0),
        ("train page.txt --steps 2 --hidden 16 --threads 1 --out повесть --json", 0),
        ("старуха дом", 2),
        ("inspect нет.txt", 2),
        ("sample --seed-file нет.txt", 6),
    ],
    ids=str,
)
def test_no_stream_ends_a_command(
    words: str, code: int, errors: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if errors != "surrogateescape" and ("train" in words or "memory" in words):
        errors = "strict"
    (home / "page.txt").write_text((TEXT + ".\n") * 60, encoding="utf-8")
    streams = Streams(monkeypatch, "ascii", errors)
    ended, out, err = streams.run(monkeypatch, *words.split())
    assert ended == code, err
    assert (out + err).isascii() and out + err
    assert b"defect" not in err and b"Traceback" not in err


def test_a_posix_locale(home: Path) -> None:
    """The letters of the command line arrive as bytes; they are read as the text they are."""
    env = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        command("sample", "--seed", "дом", "-n", "5"),
        cwd=home,
        env={key: value for key, value in environment(**env).items() if key != "PYTHONIOENCODING"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("дом".encode("ascii", "backslashreplace"))
    assert b"dropped" not in done.stderr


def test_a_file_name_that_is_no_text(home: Path) -> None:
    name = os.fsdecode(b"\xff.txt")
    (home / name).write_text((TEXT + ".\n") * 40, encoding="utf-8")
    done = process("eval", name, cwd=home)
    assert done.returncode == 0, done.stderr
    for words in (
        ("train", name, "--steps", "2", "--hidden", "16", "--threads", "1"),
        ("inspect", "--file", name, "--html", "page.html"),
        ("inspect", "memory", os.fsdecode(b"\xff"), "--max-lag", "3", "--picture", "m.svg"),
    ):
        result = textgen_cli(*words)
        assert result.exit_code == 0, result.output
