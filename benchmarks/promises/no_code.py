"""Part 1: no file that textgen opens can make it run code."""

from __future__ import annotations

import ast
import contextlib
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign import ROOT, Effort, Figure, Part, repeat
from checkpoint.test_hostile_files import ATTACKS, findings, small_model

import textgen
from textgen.errors import TextgenError

#: What Python tells its auditors when a pickle or a program gets a chance.
CODE = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "exec")
_NAMES = ("os.system", "os.popen", "torch.load", "torch.save", "pickle", "runpy.run_path")


class Payload:
    """Unpickled, it makes the folder `ran`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def gates(tree: ast.AST) -> list[str]:
    """Everything in a module by which a file could run code."""
    found = findings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found += [
                "shell=True"
                for word in node.keywords
                if word.arg == "shell" and ast.unparse(word.value) != "False"
            ]
            if ast.unparse(node.func) in _NAMES:
                found.append(ast.unparse(node.func))
    return found


def hostile_files(sound: bytes) -> dict[str, bytes]:
    """Files by name, each of which is to be refused."""
    files = {name: make(sound) for name, (make, _, _) in ATTACKS.items()}
    length = int.from_bytes(sound[:8], "little")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps(Payload(), protocol)
        files[f"pickle {protocol}"] = pickled
        files[f"model and pickle {protocol}"] = sound + pickled
        files[f"pickle {protocol} and model"] = pickled + sound
        files[f"pickle {protocol} as tensors"] = sound[: 8 + length] + pickled
    for name, start in (
        ("script", b"#!/bin/sh\nmkdir ran\n"),
        ("Python", b"import os; os.mkdir('ran')\n"),
        ("YAML", b"!!python/object/apply:os.mkdir ['ran']\n"),
        ("zip", b"PK\x03\x04"),
        ("HTML", b"<script>alert(1)</script>"),
    ):
        files[name] = start
        files[f"{name} and model"] = start + sound
        files[f"model and {name}"] = sound + start
    for share in range(1, 20):
        files[f"cut at {share}/20"] = sound[: len(sound) * share // 20]
    return files


def doors() -> dict[str, Callable[[Path], object]]:
    """The ways by which a stranger's file comes in."""

    def resume(path: Path) -> object:
        Path("run").mkdir(exist_ok=True)
        os.replace(path, "run/resume.safetensors")
        return textgen.train("run", resume=True)

    return {
        "load": textgen.load,
        "load_numbers": textgen.load_numbers,
        "resume": resume,
        "from": lambda path: textgen.train(text="abc " * 200, from_=path, steps=1, out="o"),
        "decompress": lambda path: textgen.decompress(path.read_bytes(), "sound.safetensors"),
    }


def try_promise(effort: Effort) -> Figure:
    """Part 1 of the campaign."""
    failures = []
    modules = sorted((ROOT / "textgen").rglob("*.py"))
    for path in modules:
        if found := gates(ast.parse(path.read_text("utf-8"))):
            failures.append(f"{path.relative_to(ROOT)} has {found} {repeat(1, effort, 'source')}")
    small_model().save(Path("sound.safetensors"))
    sound = Path("sound.safetensors").read_bytes()
    cases = [(n, d, w) for n, d in hostile_files(sound).items() for w in doors().items()]
    for opened in doors().values():  # imports what it needs, which runs the code of modules
        Path("x.safetensors").write_bytes(b"x")
        with contextlib.suppress(TextgenError):
            opened(Path("x.safetensors"))
    heard: list[str] = []
    sys.addaudithook(lambda event, args: heard.append(event) if event in CODE else None)
    # A quick one takes every so many cases, so that each door and many files are among them.
    chosen = cases[:: 37 if effort.is_quick else 1]
    longest = ""
    done = 0
    for number in effort.tries(len(chosen), least=5):
        name, data, (door, opened) = chosen[number]
        path = Path("x.safetensors")
        path.write_bytes(data)
        heard.clear()
        wrong = ""
        try:
            opened(path)
        except TextgenError as error:
            longest = max(longest, str(error), key=len)
            if "\n" in str(error) or len(str(error)) > 2000:
                wrong = f"a message of {len(str(error))} characters"
        except BaseException as error:
            wrong = f"{type(error).__name__}: {error}"
        else:
            wrong = "it was taken"
        if heard and "exec" not in heard:  # a module that a message needs is code of ours
            wrong = f"it ran {heard}"
        if Path("ran").exists():
            os.rmdir("ran")
            wrong = "its code was run"
        if wrong:
            failures.append(f"'{name}' given to {door}: {wrong} {repeat(1, effort, number)}")
        done += 1
    left = f"{len(chosen) - done} of {len(chosen)} files and doors: the time was over"
    return Figure(
        tried=len(modules) + done,
        failures=tuple(failures),
        text=f"{len(modules)} modules were searched for what could run a file's code; "
        f"{len(hostile_files(sound))} hostile files were given to {len(doors())} doors, {done} "
        "trials, and each was to be refused with one error of textgen.",
        worst=f"the longest message has {len(longest)} characters",
        is_drawn=False,
        not_run=(left,) if done < len(chosen) else (),
    )


PARTS = (
    Part(
        number=1,
        promise="Opening a model, a run or a compressed file runs no code that is in it.",
        not_promised="the same of other files of a Python environment: whoever can change the "
        "installed package, the library of the engine or `TEXTGEN_NATIVE_LIBRARY` runs what he "
        "wants.",
        seconds=60,
        run=try_promise,
    ),
)
