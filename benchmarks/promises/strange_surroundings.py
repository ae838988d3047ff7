"""Part 16: whatever the surroundings are, a command ends as it should and writes no escapes."""

from __future__ import annotations

import os
import random
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from campaign import ROOT, Effort, Figure, Part, repeat
from measuring import environment

MODEL = str(ROOT / "checkpoints" / "shakespeare")
COMMANDS: dict[str, tuple[str, ...]] = {
    "version": ("--version",),
    "help": ("--help",),
    "help of train": ("train", "--help"),
    "list": ("list",),
    "lessons": ("lessons",),
    "lesson": ("lessons", "2", "--all"),
    "cell": ("inspect", "cell", "lstm"),
    "sample": ("sample", "--checkpoint", MODEL, "--length", "60", "--seed", "To be"),
    "sample JSON": ("sample", "--checkpoint", MODEL, "--length", "30", "--json"),
    "inspect": ("inspect", "--checkpoint", MODEL, "--text", "To be, or not to be: café ☕ ж"),
    "eval": ("eval", str(ROOT / "corpora" / "tunes.abc.txt"), "--checkpoint", MODEL),
    "occurrences": ("inspect", "occurrences", "th*", str(ROOT / "corpora" / "english.txt")),
    "train": ("train", str(ROOT / "corpora/tunes.abc.txt"), "--steps", "2", "--hidden", "8"),
    "no such command": ("inspekt",),
    "no such file": ("train", "нет.txt"),
    "no such model": ("sample", "--checkpoint", "none"),
}
#: They write nothing on stdout that could fail.
SILENT = ("train",)
#: Variables by the name of the surroundings; None takes one away.
VARIABLES: dict[str, dict[str, str | None]] = {
    "usual": {},
    "no HOME": {"HOME": None},
    "HOME is missing": {"HOME": "/nonexistent/home"},
    "HOME is a file": {"HOME": "/dev/null"},
    "cache cannot be written": {"TEXTGEN_CACHE": "/proc/nothing"},
    "20 columns": {"COLUMNS": "20"},
    "1 column": {"COLUMNS": "1"},
    "columns are a word": {"COLUMNS": "wide"},
    "no colour": {"NO_COLOR": "1"},
    "dumb": {"TERM": "dumb"},
    "no TERM": {"TERM": None},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONIOENCODING": None, "PYTHONUTF8": "0"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "no such locale": {"LC_ALL": "xx_YY.UTF-8", "LANG": "xx"},
    "no PATH": {"PATH": ""},
    "no TMPDIR": {"TMPDIR": "/nonexistent"},
}
FOLDERS = ("empty", "deleted")
#: Where the two streams go.
STREAMS = ("pipe", "file", "head", "closed", "no errors", "full", "no input", "terminal")
#: The documented exit codes; 141: a pipe that nobody reads any more.
CODES = {0, 1, 2, 3, 4, 5, 6, 141}
_ESCAPE = re.compile(rb"\x1b|\x9b(?![\x80-\xbf])")
_COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
#: A command that has not ended by then never ends.
PATIENCE = 180.0


def _on_a_terminal(words: list[str], folder: Path, env: Mapping[str, str]) -> tuple[int, bytes]:
    import pty

    person, program = pty.openpty()
    running = subprocess.Popen(
        words, cwd=folder, env=env, stdin=program, stdout=program, stderr=program
    )
    os.close(program)
    parts = []
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if not select.select([person], [], [], 1.0)[0]:
            continue
        try:
            part = os.read(person, 65536)
        except OSError:  # it has ended, and the terminal with it
            break
        if not part:
            break
        parts.append(part)
    else:
        running.kill()
    os.close(person)
    return running.wait(), b"".join(parts)


#: By its name, a line for `sh` that has the command in "$@".
SHELL = {
    "pipe": '"$@" 2>err | cat >out; true',
    "file": '"$@" >out 2>err; echo $? >code',
    "head": '{ "$@" 2>err; echo $? >code; } | head -c 1 >out',
    "closed": '"$@" >&- 2>err; echo $? >code',
    "no errors": '"$@" >out 2>&-; echo $? >code',
    "full": '"$@" >/dev/full 2>err; echo $? >code',
    "no input": '"$@" >out 2>err <&-; echo $? >code',
}


def tried(name: str, surroundings: str, folder_kind: str, streams: str, place: Path) -> str:
    """Run one command; what is wrong, or ""."""
    place.mkdir()
    folder = place / "folder"
    folder.mkdir()
    env = {**environment(), "HOME": str(place), "TEXTGEN_CACHE": str(place / "cache")}
    env["TERM"] = "xterm-256color"
    for key, value in VARIABLES[surroundings].items():
        env.pop(key, None)
        if value is not None:
            env[key] = value
    words = [sys.executable, "-m", "textgen", *COMMANDS[name]]
    if folder_kind == "deleted":
        # The shell goes into the folder and deletes it; `sh` and `rm` are there without PATH, too.
        words = ["/bin/sh", "-c", '/bin/rmdir "$PWD"; exec "$@"', "sh", *words]
    code = 0
    if streams == "terminal":
        code, said = _on_a_terminal(words, folder, env)
        if surroundings == "no colour" and _COLOUR.search(said):
            return f"colours in spite of NO_COLOR: {said[-200:]!r}"
    else:
        begin = f'cd "{folder}"; P="{place}"; '
        line = SHELL[streams]
        for file in ("out", "err", "code"):
            line = line.replace(f">{file}", f'>"$P/{file}"')
        line = line.replace("cat ", "/bin/cat ").replace("head ", "/usr/bin/head ")
        subprocess.run(
            ["/bin/sh", "-c", begin + line, "sh", *words],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        files = [place / file for file in ("out", "err")]
        said = b"".join(path.read_bytes() for path in files if path.exists())
        if (place / "code").exists():
            code = int((place / "code").read_text())
        if _ESCAPE.search(said):
            return f"an escape in what is no terminal: {said[-200:]!r}"
    if b"Traceback" in said or b"Exception ignored" in said or b"defect of textgen" in said:
        return f"a traceback: {said[-400:]!r}"
    if code not in CODES:
        return f"the exit code {code}: {said[-300:]!r}"
    if streams == "full" and code == 0 and name not in SILENT:
        return "the exit code 0, though nothing could be written"
    return ""


def try_promise(effort: Effort) -> Figure:
    """Part 16 of the campaign."""
    failures = []
    done = 0
    streams = [name for name in STREAMS if name != "full" or Path("/dev/full").exists()]
    soon = ("version", "help", "list")
    for number in effort.tries(least=2):
        rng = random.Random(f"{effort.seed} {number}")
        name = rng.choice(soon if effort.is_quick else list(COMMANDS))
        case = (
            rng.choice(list(VARIABLES)),
            rng.choice(FOLDERS) if rng.random() < 0.3 else "empty",
            rng.choice(streams),
        )
        if wrong := tried(name, *case, Path(f"case{number}").resolve()):
            failures.append(f"{name}, {', '.join(case)}: {wrong} {repeat(16, effort, number)}")
        done += 1
    cases = len(COMMANDS) * len(VARIABLES) * len(FOLDERS) * len(streams)
    return Figure(
        tried=done,
        failures=tuple(failures),
        text=f"Drawn out of {cases:,}: {len(COMMANDS)} commands, {len(VARIABLES)} sets of "
        f"variables, a folder that is there or deleted, and {len(streams)} ways of the output. No "
        "traceback, no escape in what is no terminal, no colour with `NO_COLOR`, and a documented "
        "exit code.",
    )


PARTS = (
    Part(
        number=16,
        promise="A pipe, a closed or full output, a narrow terminal, another locale or a missing "
        "folder give no traceback and no escapes.",
        not_promised="a nice layout below 40 columns.",
        seconds=200,
        run=try_promise,
        needs=("linux",),
    ),
)
