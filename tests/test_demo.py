"""What `make demo` shows: its commands can be pasted, and something moves while it installs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return path


def test_commands_are_shown_as_they_are_run(tmp_path: Path) -> None:
    """With their quotes: a line that is pasted is the same command."""
    fake = script(tmp_path / "it's textgen", 'printf "%s\\0" "$@" >> ran; echo >> ran\n')
    result = subprocess.run(
        ["sh", str(ROOT / "scripts/demo.sh")],
        cwd=tmp_path,
        env={**os.environ, "TEXTGEN": str(fake)},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = [shlex.split(line[2:]) for line in result.stdout.splitlines() if line[:2] == "$ "]
    ran = [line.split("\0")[:-1] for line in (tmp_path / "ran").read_text().splitlines()]
    assert [words[0] for words in shown] == [str(fake)] * len(ran)
    assert [words[1:] for words in shown] == ran
    look = ["sample", "inspect"]
    assert [words[0] for words in ran] == [*look, "train", *look]
    assert all("«Это вы?» — спросила старуха и замолчала." in ran[place] for place in (1, 4))
    # The first model is there before anything is trained.
    assert all("dostoevsky" in words for words in ran[:2])
    assert "\x1b" not in result.stdout  # Nobody looks: it is no terminal.


def on_terminal(words: list[str], cwd: Path) -> tuple[str, int]:
    """What a command writes on a terminal of 60 columns, and its code."""
    import fcntl
    import struct
    import termios

    person, program = os.openpty()
    fcntl.ioctl(person, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    env = {**os.environ, "TERM": "xterm"}
    running = subprocess.Popen(
        words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=program, stderr=program
    )
    os.close(program)
    sent = b""
    while True:
        try:
            part = os.read(person, 4096)
        except OSError:
            break
        if not part:
            break
        sent += part
    os.close(person)
    return sent.decode(), running.wait()


@pytest.mark.parametrize("code", [0, 3])
def test_a_line_moves_while_a_command_is_silent(tmp_path: Path, code: int) -> None:
    work = script(tmp_path / "work", f"echo collecting torch; sleep 3; echo broken; exit {code}\n")
    words = ["sh", str(ROOT / "scripts/moving.sh"), "installing", str(work)]
    sent, ended = on_terminal(words, tmp_path)
    assert ended == code
    drawn = re.findall(r"\r\x1b\[K([^\r\n]+)", sent)
    assert len({line for line in drawn if line.startswith("installing ... ")}) >= 3
    assert any("collecting torch" in line for line in drawn)
    assert all(len(line) < 60 for line in drawn)
    last = sent.rpartition("\r\x1b[K")[2]
    assert ("broken" in last) == bool(code)  # All that it said, where it failed.
    assert ("installing: done in" in last) == (code == 0)


def test_elsewhere_what_a_command_says_is_passed_on(tmp_path: Path) -> None:
    result = subprocess.run(
        ["sh", str(ROOT / "scripts/moving.sh"), "installing", "sh", "-c", "echo one; exit 5"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (5, "one\n", "installing ...\n")


def test_the_base_installation_has_what_the_readme_needs() -> None:
    """scikit-learn, for `inspect find` and two lessons."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert '--constraint constraints.txt --editable ".[probe]"' in makefile
