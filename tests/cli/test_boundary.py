"""Errors become one line and an exit code; signals become requests."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import typer
from support.silence import watch
from support.small_runs import command, environment, russian_text

from textgen import errors
from textgen.cli.boundary import guarded
from textgen.cli.interruption import Interrupted, StopSignals
from textgen.cli.records import json_text


def ended(error: BaseException, **kwargs: Any) -> int:
    """The exit code of a command that raises `error`."""

    @guarded
    def command(**kwargs: Any) -> None:
        raise error

    with pytest.raises(typer.Exit) as caught:
        command(**kwargs)
    return caught.value.exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.SamplingError("x"), 2),
        (errors.InspectionError("x"), 2),
        (errors.CorpusError("x"), 3),
        (errors.EmptyCorpusError("x"), 3),
        (errors.EncodingError("x"), 3),
        (errors.BinaryFileError("x"), 3),
        (errors.CheckpointFormatError("x"), 4),
        (errors.CheckpointCorruptError("x"), 4),
        (errors.TrainingDivergedError("x"), 5),
        (errors.StorageError("x"), 6),
        (errors.RunFolderError("x"), 7),
        (errors.BackendError("x"), 8),
        (errors.TextgenError("x"), 1),
        (OSError(errno.ENOSPC, "no space", "file"), 6),
        (MemoryError(), 1),
        (ZeroDivisionError("division"), 1),
        (KeyboardInterrupt(), 130),
        (Interrupted(signal.SIGTERM), 143),
        (Interrupted(signal.SIGINT), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(error) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("textgen: ")
    assert printed.err.count("\n") == 1


def test_every_error_has_a_code() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.TextgenError)
    ]
    assert len(classes) > 10
    for cls in classes:
        assert (errors.exit_code(cls("x")) == 1) == (cls is errors.TextgenError), cls


def test_json_error_goes_to_stdout_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(errors.StorageError("нет файла"), json_output=True) == 6
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "event": "error",
        "class": "StorageError",
        "message": "нет файла",
        "exit_code": 6,
    }
    assert printed.err == "textgen: нет файла\n"


def test_message_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    ended(errors.StorageError("file \x1b]0;title\x07\nsecond line"))
    assert capsys.readouterr().err == "textgen: file \\x1b]0;title\\x07\\nsecond line\n"


def test_debugging_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTGEN_DEBUG", "1")

    @guarded
    def command() -> None:
        raise errors.ConfigError("x")

    with pytest.raises(errors.ConfigError):
        command()


def test_json_has_no_nan() -> None:
    record = {"a": float("nan"), "b": [1.5, float("inf"), {"c": (-float("inf"), "я")}], "d": 1}
    text = json_text(record)
    assert json.loads(text) == {"a": None, "b": [1.5, None, {"c": [None, "я"]}], "d": 1}
    assert "я" in text and "NaN" not in text


@pytest.mark.parametrize(
    "words",
    [("inspect", "--text", "x"), ("sample",), ("eval", "corpus.txt"), ("--help",), ("--version",)],
    ids=lambda words: words[0],
)
def test_closed_standard_output(words: tuple[str, ...], home: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command(*words)],
        cwd=home,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (6, "textgen: standard output is closed\n")


def test_closed_error_output_and_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdin", None)

    @guarded
    def run() -> str:
        print("talk", file=sys.stderr)
        return sys.stdin.read()

    assert run() == ""
    sys.stdin.close()
    sys.stderr.close()


def test_result_and_help_pass_through() -> None:
    @guarded
    def command(leave: bool) -> int:
        if leave:
            raise typer.Exit(3)
        return 7

    assert command(False) == 7
    with pytest.raises(typer.Exit) as caught:
        command(True)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("words", [(), ("train",), ("inspect",), ("lessons",)], ids=str)
def test_a_full_disk_for_the_help(words: tuple[str, ...]) -> None:
    """It fails as any other output does, and not with what Python says at its end."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(*words, "--help"),
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        6,
        f"textgen: the output: {os.strerror(errno.ENOSPC)}\n",
    )


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_asks_and_second_ends(signum: int) -> None:
    before = signal.getsignal(signum)
    with StopSignals() as stop:
        stop.armed = True
        os.kill(os.getpid(), signum)
        assert stop.requested()
        assert stop.signum == signum
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signum)
            for _ in range(1000):
                pass  # The handler runs between two instructions.
        assert caught.value.signum == signum
    assert signal.getsignal(signum) == before


def test_a_signal_that_is_ignored_stays_ignored_in_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`nohup textgen train` goes on when the terminal is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            stop.armed = True
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert not stop.requested()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signal_before_the_first_step_ends_at_once() -> None:
    with StopSignals() as stop, pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass
    assert not stop.requested()


def run_program(script: str) -> subprocess.CompletedProcess[str]:
    """Run a program that calls parts of the command line."""
    words = [sys.executable, "-c", script]
    return subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=30)


#: A command that gets a signal inside a finalizer, and then works on for a minute.
IN_A_FINALIZER = """
import signal, time, typer
from textgen.cli import app, boundary, interruption
import textgen.cli

class Released:
    def __del__(self):
        signal.raise_signal(signal.{signum})

app.app = typer.Typer()

@app.app.command()
@boundary.guarded
def work():
    with interruption.StopSignals():
        Released()
        time.sleep(60)

textgen.cli.main()
"""


SIGNALS = [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)]


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_signal_in_a_finalizer_is_not_lost(signum: str, code: int) -> None:
    """Python drops the exception there; the program would go on as if nobody had pressed Ctrl-C."""
    script = IN_A_FINALIZER.format(signum=signum)
    ended = run_program(script)
    assert ended.stderr == "textgen: interrupted\n"
    assert ended.returncode == code


#: A program that gets a signal at a place, where it would work on for a minute.
AT_A_PLACE = """
import signal, time, typer
import textgen.cli
from textgen.cli import app, boundary

def signalled():
    signal.raise_signal(signal.{signum})
    time.sleep(60)

def masking():
    try:
        signalled()
    except BaseException as error:
        raise ImportError("a broken module") from error

def reading_words(words=None):
    if {place!r} == "parsing":
        signalled()
    if {place!r} == "dropped while parsing":
        try:
            signal.raise_signal(signal.{signum})
        except BaseException:
            pass
    return words

app.app = typer.Typer()

@app.app.command()
@boundary.guarded
def work(words: str = typer.Argument("a", callback=reading_words)):
    if {place!r} == "an import":
        masking()
    if {place!r} == "a bare except":
        try:
            signalled()
        except BaseException:
            pass
    time.sleep(60)

textgen.cli.main()
"""


@pytest.mark.parametrize(
    ("place", "signum", "code"),
    [
        pytest.param(
            *(place, signum, code),
            # A signal is the same wherever it comes, but for its code.
            marks=pytest.mark.slow if number and place != "parsing" else (),
        )
        for place in ("parsing", "dropped while parsing", "an import", "a bare except")
        for number, (signum, code) in enumerate(SIGNALS)
    ],
)
def test_signal_ends_with_one_line_wherever_it_comes(place: str, signum: str, code: int) -> None:
    """typer ends without a word, and an extension in C says that it cannot be imported; another
    one drops the exception, and so would the command be done to its end."""
    ended = run_program(AT_A_PLACE.format(place=place, signum=signum))
    assert ended.stderr == "textgen: interrupted\n"
    assert ended.returncode == code


def test_nothing_that_takes_time_is_loaded_before_signals_are_answered() -> None:
    """Until then Python answers Ctrl-C with a traceback."""
    done = run_program(
        "import sys; before = set(sys.modules); import textgen.cli; "
        "print(*sorted(set(sys.modules) - before))"
    )
    assert done.stdout.split() == ["textgen", "textgen.cli", "textgen.cli.first_signals"]


def test_a_signal_that_python_has_dropped_before_is_obeyed() -> None:
    """It leaves what it has printed in `sys.last_value`, and goes on with the program."""
    ended = run_program(
        "import sys, textgen.cli; sys.last_value = KeyboardInterrupt(); "
        "sys.argv = ['textgen', '--version']; textgen.cli.main()"
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "textgen: interrupted\n")


#: The program gets a signal while it loads a module of its own, and would load it for a minute.
WHILE_LOADING = """
import signal, sys, time, textgen.cli

class Dropping:
    def __del__(self):
        signal.raise_signal(signal.{signum})

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            if {dropped}:
                Dropping()
            else:
                signal.raise_signal(signal.{signum})
            time.sleep(60)

sys.meta_path.insert(0, Finder())
sys.argv = ["textgen", "--version"]
textgen.cli.main()
"""


@pytest.mark.parametrize("dropped", [False, True], ids=["raised", "dropped"])
@pytest.mark.parametrize("module", ["textgen.cli.interruption", "textgen.cli.app"])
@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_signal_while_the_command_line_is_loaded(
    signum: str, code: int, module: str, dropped: bool
) -> None:
    """Also where Python would drop what a handler raises: it does so at every import, in the
    function that frees the lock of a module."""
    ended = run_program(WHILE_LOADING.format(signum=signum, module=module, dropped=dropped))
    assert (ended.returncode, ended.stderr) == (code, "textgen: interrupted\n")


#: A command line of one command.
COMMAND = """
import signal, sys, tempfile, time, typer
import textgen.cli
from textgen.cli import app, boundary

app.app = typer.Typer()

@app.app.command()
@boundary.guarded
def work():
{body}

textgen.cli.main()
"""


def run_command(body: str) -> subprocess.CompletedProcess[str]:
    """Run a command that does this."""
    return run_program(COMMAND.format(body=indent(body, "    ")))


#: It is given a signal, and another one while it tidies up.
TWICE = """
try:
    signal.raise_signal(signal.SIGINT)
finally:
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException:
        pass
    print("still tidying up", flush=True)
"""


def test_second_signal_ends_what_tidies_up() -> None:
    ended = run_command(TWICE)
    assert (ended.returncode, ended.stdout) == (143, "")
    assert ended.stderr == "textgen: interrupted\n"


#: It has a folder for a while, in which a library works whose compiled code lets nothing out.
IN_LIBRARY = """
sys.path.insert(0, {place!r})
with tempfile.TemporaryDirectory(dir={place!r}):
{statements}
"""


def run_in_library(place: Path, statements: str) -> subprocess.CompletedProcess[str]:
    """Run a command that does this while it has a folder in `place`, where modules may lie."""
    return run_command(IN_LIBRARY.format(place=str(place), statements=indent(statements, "    ")))


def signalled(function: str = "") -> str:
    """A module that a signal meets while it is loaded, or in a function of it."""
    lines = "try:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n    os.abort()\n"
    if function:
        lines = f"def {function}():\n" + indent(lines, "    ")
    return f"import os, signal\n{lines}"


@pytest.mark.parametrize(
    ("modules", "statement"),
    [
        ({"__init__": signalled()}, "import torch"),
        ({"nn": signalled()}, "import torch.nn"),
        ({"onnx": signalled("export")}, "import torch.onnx; torch.onnx.export()"),
        ({"export": signalled("export")}, "import torch.export; torch.export.export()"),
        # Whatever it calls on the way.
        (
            {"onnx": "from torch.ops import go\ndef export():\n    go()", "ops": signalled("go")},
            "import torch.onnx; torch.onnx.export()",
        ),
    ],
)
def test_signal_where_torch_lets_nothing_out(
    modules: dict[str, str], statement: str, tmp_path: Path
) -> None:
    """What is raised there may end the process with SIGABRT, and pages of text."""
    (tmp_path / "torch").mkdir()
    for name, text in ({"__init__": ""} | modules).items():
        (tmp_path / "torch" / f"{name}.py").write_text(text)
    ended = run_in_library(tmp_path, statement)
    assert (ended.returncode, ended.stderr) == (130, "textgen: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["torch"]


#: The library for compressing asks for NumPy's version at its first use, from compiled code.
FIRST_USE = """
import numpy
numpy.lib.NumpyVersion = lambda version: signal.raise_signal(signal.SIGINT)
from textgen.compression.range_coder import ChoiceWriter
ChoiceWriter().choose(numpy.ones((1, 2)), numpy.zeros(1, numpy.int32))
"""


def test_signal_at_the_first_use_of_the_coder(tmp_path: Path) -> None:
    """What is raised there is a panic of compiled code, with lines of its own."""
    ended = run_in_library(tmp_path, FIRST_USE)
    assert (ended.returncode, ended.stderr) == (130, "textgen: interrupted\n")
    assert not list(tmp_path.iterdir())


#: A library makes an error of its own of the interruption.
OTHER_ERROR = """
try:
    signal.raise_signal(signal.SIGHUP)
except BaseException:
    raise {kind}("something panicked")
"""


@pytest.mark.parametrize("kind", ["ImportError", "BaseException"])
def test_an_interruption_that_became_another_error_is_one(kind: str) -> None:
    ended = run_command(OTHER_ERROR.format(kind=kind))
    assert (ended.returncode, ended.stderr) == (129, "textgen: interrupted\n")


#: It drops whatever is raised in it.
DEAF = """
from textgen.cli import interruption
interruption._AGAIN_SECONDS = 0.01
while True:
    try:
        signal.raise_signal(signal.SIGINT)
        time.sleep(60)
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
"""


def test_what_drops_the_interruption_again_and_again_is_ended() -> None:
    ended = run_command(DEAF)
    assert (ended.returncode, ended.stderr) == (130, "textgen: interrupted\n")


def test_signal_after_the_end_leaves_no_traceback() -> None:
    script = """
import atexit, os, signal, sys, textgen.cli
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.argv = ["textgen", "--version"]
textgen.cli.main()
"""
    ended = run_program(script)
    assert ended.stdout.startswith("textgen ")
    assert ended.stderr == ""


def test_ignored_signal_stays_ignored() -> None:
    """`nohup`, and a shell that runs a command in the background, have signals ignored."""
    script = """
import signal, sys, textgen.cli
from textgen.cli import app
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.argv = ["textgen", "--version"]
app.app = lambda: (signal.raise_signal(signal.SIGTERM), print("went on"))
textgen.cli.main()
"""
    ended = run_program(script)
    assert (ended.returncode, ended.stdout) == (0, "went on\n")


def test_interruption_is_no_ordinary_error() -> None:
    """Code that handles `Exception` must not swallow it."""
    assert not issubclass(Interrupted, Exception)


def test_json_cannot_steer_the_terminal() -> None:
    """DEL, C1 (U+009B begins a sequence as ESC does) and the marks of direction."""
    text = "a\x1b\x7f\x9b31m\u202eb\u2066\u200f\u2028\ufeff\U000e0001\xa0ё😀"
    written = json_text({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert all(char.isprintable() or char == "\xa0" for char in written)
    assert "ё😀" in written and "\\u009b31m" in written and "\\u202e" in written


#: What a terminal obeys: ESC, DEL, U+009B as ESC with a bracket, a mark that turns the direction.
HOSTILE = "дом\x1b]0;x\x07\x7f\x9b31m\u202eтопор"


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "--text", HOSTILE),
        pytest.param(("inspect", "--text", HOSTILE, "--json"), marks=pytest.mark.slow),
        ("inspect", "occurrences", "дом*", "{text}"),
        pytest.param(
            ("inspect", "occurrences", "дом*", "{text}", "--json"), marks=pytest.mark.slow
        ),
        ("inspect", "occurrences", "дом*", "{text}", "--csv", "-"),
        pytest.param(("inspect", "windows", "{text}", "--json"), marks=pytest.mark.slow),
        ("sample", "--seed", HOSTILE, "--length", "5"),
        ("sample", "--seed", HOSTILE, "--length", "5", "--json"),
    ],
    ids=lambda words: " ".join(word for word in words if word.isascii()),
)
def test_no_output_steers_the_terminal(words: tuple[str, ...], home: Path) -> None:
    text = home / f"{HOSTILE}.txt"
    text.write_text(f"{HOSTILE} {russian_text(600)}", encoding="utf-8")
    if "{text}" in words:
        place = words.index("{text}")
        words = (*words[:place], str(text), *words[place + 1 :], "--encoding", "utf-8")
    shown = watch(words, home)
    assert shown.code == 0, shown.sent
    # The colours, and the line that moves, are our own.
    plain = re.sub(r"\x1b\[[\d;]*[mK]", "", shown.sent)
    assert not [char for char in plain if not char.isprintable() and char not in "\r\n\xa0"]
    # A model leaves out of a seed what it cannot read; windows are cut anywhere.
    assert "топор" in plain or words[0] == "sample" or words[1] == "windows"


def test_json_that_the_stream_cannot_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json_text({"a": "ё"}) == '{"a": "ё"}'
    assert json.loads(json_text({"a": "\udcff 😀"})) == {"a": "\udcff 😀"}
    assert json_text({"a": "\udcff"}).isascii()
    with open(os.devnull, "w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert json_text({"a": "ё"}).isascii()
