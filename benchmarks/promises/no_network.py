"""Part 14: textgen asks nothing of the network."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

from campaign import NEEDS, Effort, Figure, Part, repeat
from signals import COMMANDS, WITHOUT_PROJECT, child_environment, make_project

#: Runs textgen and writes down what it asks of sockets: Python tells its auditors.
WATCHED = """
import os, runpy, sys

def heard(event, args):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        with open({notes!r}, "a") as file:
            file.write(f"{{event}} {{args!r}}\\n")

sys.addaudithook(heard)
runpy.run_module("textgen", run_name="__main__", alter_sys=True)
"""


def try_promise(effort: Effort) -> Figure:
    """Part 14 of the campaign."""
    notes, script = Path("notes").resolve(), Path("watched.py").resolve()
    script.write_text(WATCHED.format(notes=str(notes)))
    program = [sys.executable, str(script)]
    # Libraries in C, and programs that textgen starts, are heard by no auditor: strace hears them,
    # and without a network they have no way.
    alone, not_run = _without_network()
    heard, calls = _heard_by_strace(Path("calls").resolve())
    not_run += () if heard else ("what libraries in C ask: " + NEEDS["strace"][1],)
    names = list(WITHOUT_PROJECT) if effort.is_quick else list(COMMANDS)
    project = Path("project")
    project.mkdir()
    if not effort.is_quick:
        make_project(project, program)
    failures = []
    done = 0
    for number in effort.tries(len(names), least=1):
        name = names[number]
        folder = Path("copy").resolve()
        shutil.copytree(project, folder)
        ended = subprocess.run(
            [*alone, *heard, *program, *COMMANDS[name]],
            cwd=folder,
            env=child_environment(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if ended.returncode:
            said = ended.stderr.decode("utf-8", "replace")[-300:]
            failures.append(f"{name} failed without a network: {said} {repeat(14, effort, number)}")
        if notes.exists():
            failures.append(f"{name}: {notes.read_text()[:300]} {repeat(14, effort, number)}")
            notes.unlink()
        if calls.exists():
            asked = [line for line in calls.read_text().splitlines() if "AF_INET" in line]
            if asked:
                failures.append(f"{name}: {asked[0][:300]} {repeat(14, effort, number)}")
            calls.unlink()
        shutil.rmtree(folder)
        done += 1
    if done < len(names):
        not_run = (*not_run, f"{len(names) - done} of {len(names)} commands: the time was over")
    return Figure(
        tried=done,
        failures=tuple(failures),
        text=f"{done} commands asked nothing of a socket"
        + (", each in a namespace without a network." if alone else "."),
        is_drawn=False,
        not_run=not_run,
    )


def _heard_by_strace(calls: Path) -> tuple[list[str], Path]:
    """The words that start a program and note each socket of it and of its children, and where."""
    if not NEEDS["strace"][0]():
        return [], calls
    return ["strace", "-f", "-qq", "-e", "trace=socket", "-o", str(calls)], calls


def _without_network() -> tuple[list[str], tuple[str, ...]]:
    """The words that start a program without a network, and what cannot be tried."""
    for words in (["unshare", "--net"], ["unshare", "-rn"]):
        with contextlib.suppress(OSError):
            if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
                return words, ()
    return [], ("a namespace without a network: " + NEEDS["unshare"][1],)


PARTS = (
    Part(
        number=14,
        promise="No command asks anything of the network, and nothing is reported to anybody.",
        not_promised="the same of `pip` and `make`, which fetch packages.",
        seconds=150,
        run=try_promise,
    ),
)
