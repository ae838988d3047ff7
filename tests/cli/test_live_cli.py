"""`textgen sample --live`: keys, gauge, and the command that writes the same bytes again."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.form_checks import keeps
from support.small_runs import environment, process, textgen_cli
from support.trained import Trained

from textgen.cli import live
from textgen.cli.live import ALWAYS_SAID, check_terminal, write_live
from textgen.cli.parameters import OutputOptions
from textgen.cli.sample import WritingOptions
from textgen.errors import ConfigError, SamplingError
from textgen.options import SampleOptions, command_text
from textgen.sampling import LiveSymbol
from textgen.steering import LiveSteering
from textgen.terminal.console import ColorMode
from textgen.terminal.text import quote

termios = pytest.importorskip("termios", reason="this system has no terminals that are files")

from support.live_terminal import LiveTerminal  # noqa: E402

SEED = ("--seed", "Утром")


def again(line: str) -> str:
    """What a command writes."""
    program, *words = shlex.split(line)
    assert program == "textgen"
    result = textgen_cli(*words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def pasted(line: str, cwd: Path) -> bytes:
    """The same in a shell."""
    folder = cwd / "bin"
    folder.mkdir(exist_ok=True)
    script = folder / "textgen"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m textgen "$@"\n')
    script.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=cwd,
        env=environment(PATH=f"{folder}:{os.environ['PATH']}"),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command_in(text: str) -> str:
    """The command that is printed at the end."""
    return text.rstrip("\n").rpartition("the same text again:\n")[2]


def test_a_hand_steers_and_its_schedule_writes_the_same_bytes(home: Path) -> None:
    """On an ordinary terminal, all keys."""
    words = (*SEED, "--rng", "5", "--steer", "1:4.h=+1:add@10..40", "--transcript", "t.json")
    with LiveTerminal("sample", "--live", "0:3", *words, cwd=home) as terminal:
        terminal.until(lambda: "0:3.c  free -3 ───" in terminal.gauge, "the gauge")
        terminal.until_written(20)
        assert terminal.text.startswith("Утром")
        assert "q end" in terminal.gauge and "30/s" in terminal.gauge
        terminal.press("\x1b[A+\x1bOA")
        terminal.until(lambda: "0:3.c  +1.5" in terminal.gauge, "three steps up")
        terminal.until(lambda: "+1.50" in terminal.gauge, "the neuron held there")
        assert "◆" in terminal.gauge
        terminal.until_written(20)
        terminal.press("\x1b[B-")
        terminal.until(lambda: "0:3.c  +0.5" in terminal.gauge, "two steps down")
        terminal.until_written(15)
        terminal.press(" ")
        terminal.until(lambda: "paused" in terminal.gauge, "a pause")
        waits = terminal.text
        terminal.press("]")
        terminal.until(lambda: terminal.text == waits, "the same text")
        terminal.press(" ")
        terminal.until(lambda: "45/s" in terminal.gauge, "another speed")
        assert terminal.text.startswith(waits)
        terminal.press("0")
        terminal.until(lambda: "0:3.c    +0" in terminal.gauge, "the mean")
        terminal.until_written(20)
        terminal.press("r")
        terminal.until(lambda: "free" in terminal.gauge, "a release")
        terminal.until_written(20)
        assert terminal.settings != terminal.before
        terminal.press("q")
        assert terminal.finish() == 0
        assert terminal.settings == terminal.before
        assert terminal.sent.count(b"\x1b[?1049h") == terminal.sent.count(b"\x1b[?1049l") == 1
        after = terminal.after
    record = json.loads(Path("t.json").read_text(encoding="utf-8"))
    line = command_in(after)
    assert after == f"{record['text']}\nthe same text again:\n{line}\n"
    assert record["command"] == line
    assert pasted(line, home) == record["text"].encode()
    spec = record["schedule"]
    assert re.fullmatch(r"0:3\.c=[^ ]*\+1\.5@\d+\.\.\d+,[^ ]*\+0\.5@[^ ]*,\+0@\d+\.\.\d+", spec)
    assert f"--steer 1:4.h=+1:add@10..40 --steer {spec} " in line
    # The neuron's name, its scale, every character's dose.
    assert record["target"]["name"] == "0:3.c" and record["target"]["sd"] > 0
    assert record["finish_reason"] == "hand"
    assert len(record["doses"]) == len(record["generated"]) == record["settings"]["length"]
    for dose, start, stop in re.findall(r"([-+][\d.]+)@(\d+)\.\.(\d+)", spec):
        assert set(record["doses"][int(start) : int(stop)]) == {float(dose)}
    assert record["doses"][0] is None and record["doses"][-1] is None
    # It steered: without it the text is another one.
    plain = process("sample", *SEED, "--rng", "5", "-n", str(len(record["doses"])), cwd=home)
    assert plain.stdout != record["text"].encode()


def test_the_library_without_a_terminal(trained: object, home: Path) -> None:
    """A dose that follows the text by a rule; model, stream and command write the same again."""
    model = trained.load()
    hand = LiveSteering(model.target("1:4.h"), base=model.steering("0:3=off@s2"))
    written, values = "", []
    for symbol in model.live_stream("Утром", steer=hand, length=150, rng=3):
        written += symbol.text
        values.append(symbol.value)
        hand.dose = 3.0 if symbol.text == " " else None if symbol.text == "о" else hand.dose
    spec = hand.spec(150)
    assert spec is not None and spec.count("=") == 1 and spec.count(",") >= 2
    settings = {"length": 150, "rng": 3, "steer": ["0:3=off@s2", spec]}
    assert model.generate("Утром", **settings) == "Утром" + written
    asked = WritingOptions(checkpoint=("small",), seed="Утром", steer=("0:3=off@s2", spec))
    line = command_text("sample", [], asked, SampleOptions(length=150, rng=3))
    assert again(line) == "Утром" + written
    assert any(abs(value - 3.0) < 1e-4 for value in values)


def test_a_narrow_terminal_and_another_size(home: Path) -> None:
    words = ("sample", "--live", "0:3=-1", *SEED, "--speed", "60")
    with LiveTerminal(*words, cwd=home, columns=30, lines=6) as terminal:
        terminal.until_written(60)
        assert terminal.gauge.startswith("0:3.c    -1 ") and len(terminal.gauge) <= 30
        terminal.press("\x1b[B")
        terminal.until(lambda: "-1.5" in terminal.gauge, "a step down")
        # pyte keeps what it showed; what is drawn anew covers it.
        terminal.resize(90, 12)
        terminal.until(lambda: "q end" in terminal.gauge, "the wide gauge")
        terminal.resize(40, 4)
        terminal.until(lambda: terminal.gauge.startswith("0:3.c  -1.5 "), "the narrow gauge")
        terminal.press("й")
        assert terminal.finish() == 0
        text, _, line = terminal.after.rpartition("\nthe same text again:\n")
    assert again(line) == text


@pytest.mark.parametrize(
    ("keys", "signum", "code"),
    [
        pytest.param("\x03", None, 130, marks=pytest.mark.slow, id="ctrl-c"),
        pytest.param(" \x03", None, 130, id="ctrl-c in a pause"),
        pytest.param("", signal.SIGTERM, 143, id="sigterm"),
        pytest.param("\x1b", None, 0, marks=pytest.mark.slow, id="escape"),
    ],
)
def test_however_it_is_ended_nothing_is_lost(
    home: Path, keys: str, signum: signal.Signals | None, code: int
) -> None:
    words = ("sample", "--live", "0:3=+1", *SEED, "--transcript", "t.json", "--speed", "60")
    with LiveTerminal(*words, cwd=home, columns=60, lines=8) as terminal:
        terminal.until_written(30)
        for key in keys:
            terminal.press(key)
            if key == " ":
                terminal.until(lambda: "paused" in terminal.gauge, "a pause")
        if signum is not None:
            terminal.kill(signum)
        assert terminal.finish() == code
        assert terminal.settings == terminal.before
        text, _, line = terminal.after.rpartition("\nthe same text again:\n")
    assert again(line) == text
    assert json.loads(Path("t.json").read_text(encoding="utf-8"))["text"] == text


def test_a_text_that_ends_by_itself_and_no_key(home: Path) -> None:
    """As fast as it goes; it is the text without --live, and the command has no --steer."""
    words = ("sample", *SEED, "-n", "300", "--rng", "2")
    plain = process(*words, "--no-mix", cwd=home).stdout.decode()
    with LiveTerminal(*words, "--live", "0:3", "--speed", "0", cwd=home) as terminal:
        assert terminal.finish() == 0
        text, _, line = terminal.after.rpartition("\nthe same text again:\n")
    assert text == plain
    assert "--steer" not in line and "--length 300" in line and "--no-mix" in line
    assert again(line) == plain


def test_the_text_alone_goes_into_a_file(home: Path) -> None:
    """The screen is drawn on stderr's terminal then; --quiet leaves the command out."""
    words = ("sample", *SEED, "--live", "0:3=+1", "-q", "-n", "80", "--speed", "0")
    with (
        Path("text.txt").open("wb") as file,
        LiveTerminal(*words, cwd=home, stdout=file) as terminal,
    ):
        assert terminal.finish() == 0
        assert terminal.after == ""
        assert b"\x1b[?1049h" in terminal.sent
    plain = process("sample", *SEED, "--steer", "0:3=+1", "-n", "80", cwd=home)
    assert Path("text.txt").read_bytes() == plain.stdout


def test_what_a_corpus_holds_steers_no_terminal(
    trained_on_lines: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a seed in the command, which a shell reads as it was."""
    # Where the text is at hand, a neuron is measured on it at once.
    monkeypatch.setenv("TEXTGEN_CACHE", str(trained_on_lines.cache))
    seed = "\x1b[31mкрасный it's\n"
    words = ("-c", trained_on_lines.folder, "--seed", seed, "-n", "60", "-t", "0.5")
    more = ("--live", "0:3=+2", "--speed", "90")
    with LiveTerminal("sample", *words, *more, cwd=tmp_path) as terminal:
        terminal.until(lambda: "\\x1b[31mкрасный" in terminal.text, "the escape shown")
        assert terminal.finish() == 0
        after = terminal.after
    assert "\x1b" not in after
    line = command_in(after)
    assert f"--seed {quote(seed)} " in line
    steered = process("sample", *words, "--steer", "0:3=+2", cwd=tmp_path)
    assert pasted(line, tmp_path) == steered.stdout


@pytest.mark.slow
def test_colours_are_the_users_choice(home: Path) -> None:
    words = ("sample", *SEED, "--live", "0:3=+1", "-n", "30", "--speed", "90")
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        with LiveTerminal(*words, cwd=home, **env) as terminal:
            assert terminal.finish() == 0
            assert (b"\x1b[1;38;5;" in terminal.sent) == coloured


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--live", "0:3", "--json"), "--live does not go with --json"),
        (("--live", "0:3"), "--steer TARGET=-2@0..60,+2@60.."),
        (("--speed", "5"), "--speed needs --live"),
        (("--transcript", "t.json"), "--transcript needs --live"),
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_or_without_a_terminal(words: tuple[str, ...], says: str) -> None:
    result = textgen_cli("sample", *words)
    assert result.exit_code == 2
    assert result.stdout == "" or "--json" in words
    assert says in result.stderr


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (("--live", "0:99"), "99", 2),
        (("--live", "mood"), "called 'mood'", 2),
        (("--live", "0:3=+1@5.."), "TARGET=DOSE", 2),
        (("--live", "0:3=off"), "TARGET=DOSE", 2),
        (("--live", "0:3", "--steer", "0:3=+1"), "steered by hand and by '0:3.c=+1'", 2),
        (("--live", "0:3", "--speed", "-1"), "--speed is -1.0", 2),
        (("--live", "0:3", "--transcript", "nowhere/t.json"), "no such folder", 6),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
@pytest.mark.usefixtures("home")
def test_what_is_refused_before_the_screen_is_taken(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str, code: int
) -> None:
    """As if there were a terminal: the pipe that the test has would fail otherwise."""
    monkeypatch.setattr(live, "check_terminal", lambda: None)
    result = textgen_cli("sample", *words)
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stdout == ""


def test_a_terminal_without_a_screen(home: Path) -> None:
    with LiveTerminal("sample", "--live", "0:3", cwd=home, TERM="dumb") as terminal:
        assert terminal.finish() == 2
        assert "TERM=dumb" in terminal.sent.decode()


def test_a_console_before_windows_10_has_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(live, "obeys_escapes", lambda stream: False)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    with pytest.raises(ConfigError, match="Windows Terminal"):
        check_terminal()
    monkeypatch.setattr(live, "obeys_escapes", lambda stream: True)
    check_terminal()


@pytest.mark.parametrize("error", [SamplingError("not finite"), RuntimeError("a defect")])
def test_an_error_in_between_leaves_the_terminal_as_it_was(
    trained: object, home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """And where it is the model's, the text so far is not lost."""
    person, program = os.openpty()
    model = trained.load()

    def broken(*args: object, **settings: object) -> Iterator[LiveSymbol]:
        yield LiveSymbol(2, "abc", "de", 0, 5, None, 0.0, None, 0.0)  # "de" is held back
        raise error

    monkeypatch.setattr(model, "live_stream", broken)
    before = termios.tcgetattr(program)
    with (
        open(os.dup(program), encoding="utf-8") as keys,
        open(os.dup(program), "w", encoding="utf-8") as shown,
    ):
        for name, stream in (("stdin", keys), ("stdout", shown), ("stderr", io.StringIO())):
            monkeypatch.setattr(sys, name, stream)
        with pytest.raises(type(error)):
            write_live(
                model,
                model.fit_seed("дом"),
                SampleOptions(length=10),
                LiveSteering(model.target("0:3")),
                "дом",
                WritingOptions(live="0:3", speed=0.0),
                OutputOptions(color=ColorMode.NEVER, quiet=True),
            )
        monkeypatch.undo()
    assert termios.tcgetattr(program) == before
    sent = b""
    while select.select([person], [], [], 0.1)[0]:
        sent += os.read(person, 65536)
    assert b"\x1b[?1049l" in sent
    assert ("домabcde\r\n".encode() in sent) == isinstance(error, SamplingError)
    os.close(person)
    os.close(program)


@pytest.mark.parametrize(
    "word",
    [
        "дом",
        "",
        "it's",
        "a b",
        "$x `y` \\",
        "tab\tline\n",
        "\x1b[2J",
        "\u202e\x85\U0001f1e6",
        "'\n'",
    ],
    ids=ascii,
)
def test_a_shell_reads_what_was_quoted(word: str) -> None:
    quoted = quote(word)
    assert quoted.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf %s {quoted}"],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        check=True,
    )
    assert done.stdout.decode() == word


def test_a_command_says_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SampleOptions(length=30, top_p=0.9, stop=("a b", "."), until_sentence=True)
    asked = WritingOptions(checkpoint=("m",), seed_file=Path("s.txt"), steer=("0:3=+1",))
    line = command_text("sample", [], asked, settings, always=ALWAYS_SAID)
    assert line == (
        "textgen sample --checkpoint m --seed-file s.txt --steer 0:3=+1 --length 30 "
        "--temperature 0.8 --rng 0 --top-p 0.9 --stop 'a b' --stop . --until-sentence --no-mix"
    )
    monkeypatch.setenv("TEXTGEN_PATH", "reference")
    assert command_text("sample", [], asked).startswith("TEXTGEN_PATH=reference textgen sample ")


def test_a_form_ends_the_text_or_goes_on_where_a_person_ended_it(home: Path) -> None:
    form = ("--lines", "3", "--line-chars", "20..30", "--without", "о")
    words = ("sample", "--seed", "Утр", *form, "--live", "0:3=+1")
    held = {"lines": 3, "line_chars": "20..30", "without": "о"}
    with LiveTerminal(*words, "--speed", "0", cwd=home) as terminal:
        assert terminal.finish() == 0
        text, _, line = terminal.after.rpartition("\nform: ")
    whole = again(command_in(line))
    assert keeps(whole, **held) and whole.rstrip("\n") == text.rstrip("\n")
    with LiveTerminal(*words, "--speed", "60", cwd=home) as terminal:
        terminal.until_written(20)
        terminal.press("q")
        assert terminal.finish() == 0
        text, _, line = terminal.after.rpartition("\nform: ")
    said = "you ended it before its form did; this goes on to the end of the form:\n"
    whole = again(line.rstrip("\n").rpartition(said)[2])
    assert whole.startswith(text) and len(whole) > len(text) and keeps(whole, **held)
