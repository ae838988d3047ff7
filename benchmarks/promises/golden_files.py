"""Part 13: what earlier versions wrote is read, and means what it meant."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

from campaign import ROOT, Effort, Figure, Part, repeat

import textgen
from textgen.checkpoint.format import FORMAT_VERSION

OLD = ROOT / "tests" / "old_files"
#: Bits a character: another CPU rounds differently.
TOLERANCE = 1e-3


def _same(name: str, expected: dict[str, Any]) -> str:
    """What a model does otherwise than it did; "" for nothing."""
    model = textgen.load(f"{name}.safetensors")
    if model.saved.reads_pairs:
        found = model.evaluate_pairs("pairs.tsv").bits_per_char
        text = model.generate("ab", top_k=1)
    else:
        found = model.evaluate("text.txt").bits_per_char
        text = model.generate("кот ", length=30, top_k=1, keep_going=True)
    if abs(found - expected["nll"]) > TOLERANCE:
        return f"{found} bits/char, it was {expected['nll']}"
    return "" if text == expected["text"] else f"it writes {text!r}, it wrote {expected['text']!r}"


def _steered(steer: str, expected: dict[str, Any]) -> str:
    model = textgen.load("lstm.safetensors")
    text = model.generate("кот ", steer=steer, length=30, top_k=1, keep_going=True)
    return "" if text == expected["text"] else f"it writes {text!r}, it wrote {expected['text']!r}"


def try_promise(effort: Effort) -> Figure:
    """Part 13 of the campaign."""
    for path in OLD.iterdir():
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, path.name)
    expected = json.loads((OLD / "expected.json").read_text("utf-8"))
    cases: dict[str, Callable[[], str]] = {
        path.stem: lambda name=path.stem: _same(name, expected[name])
        for path in sorted(OLD.glob("*.safetensors"))
    }
    for steer in ("vowels=+3", "0:1=+2"):
        cases[f"steered {steer}"] = lambda steer=steer: _steered(
            steer, expected[f"steered {steer}"]
        )
    for run in ("stopped", "finished"):
        cases[f"model of the {run} run"] = lambda run=run: _loads(f"{run}/model.safetensors")
    cases["model of numbers"] = _numbers
    failures = []
    for name, differs in cases.items():
        if wrong := differs():
            failures.append(f"{name}: {wrong} {repeat(13, effort, name)}")
    return Figure(
        tried=len(cases),
        failures=tuple(failures),
        text=f"Files of version 0.1.0, format {FORMAT_VERSION}: the cost of a text within "
        f"{TOLERANCE} bits a character, and the same text at every cell, level and head. The "
        "tests of the project continue the stopped run and train the finished one longer, too.",
        is_drawn=False,
    )


def _loads(path: str) -> str:
    return "" if textgen.load(path).generate(length=5) else "it writes nothing"


def _numbers() -> str:
    model = textgen.load_numbers("numbers/model.safetensors")
    return "" if len(model.next_numbers(length=3)) == 3 else "it writes no numbers"


PARTS = (
    Part(
        number=13,
        promise="A model that an earlier version wrote is read by this one, and does the same.",
        not_promised="that an earlier version reads the files of a later one: it says that they "
        "are newer.",
        seconds=30,
        run=try_promise,
    ),
)
