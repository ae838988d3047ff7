"""Imports go downward, heavy libraries stay where they belong, and nothing runs stored code."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "textgen"

#: A module imports from its own part and from parts of a lower level. Three details: `errors` lies
#: under its neighbours, for everything raises; `terminal` draws plain data and knows nothing else,
#: and lies so low that every message can quote a word as it is typed (`terminal.text`); and
#: training shows samples of the model, so it lies above `sampling`.
LEVELS = {
    "progress": -3,
    "messages": -3,
    "table": -3,
    "errors": -2,
    "files": -1,
    "terminal": 0,
    "other_names": 0,
    "runtime": 1,
    "settings": 1,
    "values": 1,
    "native": 2,
    "corpus": 2,
    "cells": 2,
    "tasks": 2,
    "arguments": 3,
    "ops": 3,
    "page": 3,
    "model": 4,
    "checkpoint": 5,
    "steering": 5,
    "sampling": 6,
    "evaluation": 7,
    "inspection": 8,
    "training": 8,
    "probing": 9,
    "comparison": 9,
    "keywords": 9,
    "api": 10,
    "cli": 11,
    "__main__": 12,
}

#: Where a library may be imported: the parts, or single modules, that may do it anywhere, and
#: those that may do it inside functions only, because it is slow to load or rarely needed.
LIBRARIES: dict[str, tuple[set[str], set[str]]] = {
    "torch": (
        {
            *("ops.recurrence", "ops.recurrences", "ops.reference", "ops.torch_recurrence"),
            *("model.network", "model.torch_network"),
            *("training.torch_learner", "training.torch_optimizer"),
        },
        {
            *("ops.select", "runtime", "model.torch_nn"),
            *("inspection.influence", "inspection.memory_gradient"),
        },
    ),
    "typer": ({"cli"}, set()),
    "tqdm": (set(), {"terminal.bar"}),
    "rich": ({"terminal", "cli"}, set()),
    "plotext": (set(), {"terminal.chart", "terminal.curve", "terminal.decay"}),
    "matplotlib": (set(), {"terminal.picture"}),
    "charset_normalizer": (set(), {"corpus.encoding"}),
    "safetensors": ({"checkpoint"}, {"checkpoint"}),
    "platformdirs": ({"corpus.cache"}, {"corpus.cache"}),
    "sklearn": (set(), {"probing.probe"}),
    "gensim": (set(), {"training.vectors"}),
    "pandas": (set(), {"inspection.trace"}),
    "wcwidth": (set(), {"terminal.text"}),
}
FREE = {"numpy"}


@dataclass(frozen=True)
class Import:
    """One import: `lazy` inside a function, `typing_only` under `if TYPE_CHECKING`."""

    module: str
    target: str
    lazy: bool
    typing_only: bool

    @property
    def part(self) -> str:
        return self.module.split(".")[0]

    def __str__(self) -> str:
        return f"textgen.{self.module} imports {self.target}"


def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): (
            ast.parse(path.read_text(encoding="utf-8"))
        )
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def walk(node: ast.AST, lazy: bool = False, typing_only: bool = False) -> Iterator[tuple]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, lazy, typing_only
        inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = typing_only or (
            isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        )
        yield from walk(child, inside, checking)


@cache
def imports() -> tuple[Import, ...]:
    found = []
    for module, tree in modules().items():
        for node, lazy, typing_only in walk(tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            else:
                assert node.level == 0, f"textgen.{module}: relative import"
                assert node.module is not None
                targets = [node.module]
                if node.module == "textgen":
                    targets = [f"textgen.{alias.name}" for alias in node.names]
            found += [Import(module, target, lazy, typing_only) for target in targets]
    return tuple(found)


def test_every_part_has_a_level() -> None:
    parts = {module.split(".")[0] for module in modules()} - {"__init__"}
    assert parts == set(LEVELS)


def test_imports_go_downward() -> None:
    upward = []
    for found in imports():
        if not found.target.startswith("textgen."):
            continue
        target = found.target.split(".")[1]
        if found.module == "__init__" or target == "__version__" or target == found.part:
            continue
        if LEVELS[target] >= LEVELS[found.part]:
            upward.append(str(found))
    assert not upward
    assert len(imports()) > 200  # the parser has found something


def test_the_package_itself_loads_its_names_when_they_are_used() -> None:
    for found in imports():
        if found.module == "__init__" and found.target.startswith("textgen."):
            assert found.typing_only, str(found)


def test_libraries_stay_where_they_belong() -> None:
    standard = sys.stdlib_module_names
    stray = []
    for found in imports():
        library = found.target.split(".")[0]
        if library in standard or library == "textgen" or library in FREE or found.typing_only:
            continue
        anywhere, inside = LIBRARIES[library]
        places = {found.part, found.module}
        if not places & anywhere and not (found.lazy and places & inside):
            stray.append(str(found))
    assert not stray


def test_nothing_stored_is_run() -> None:
    """No pickle and nothing that hides one, no code from data."""
    forbidden_modules = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
    assert not [str(i) for i in imports() if i.target.split(".")[0] in forbidden_modules]
    calls = []
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in {"eval", "exec", "compile", "__import__", "torch.load", "torch.save"}:
                    calls.append(f"textgen.{module}: {name}")
                if any(keyword.arg == "allow_pickle" for keyword in node.keywords):
                    calls.append(f"textgen.{module}: {name}(allow_pickle)")
    assert not calls


def test_only_the_command_line_prints_and_exits() -> None:
    calls = []
    for module, tree in modules().items():
        if module.split(".")[0] in ("cli", "__main__"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "sys.exit",
                "exit",
                "quit",
                "os._exit",
                "sys.stdout.write",
                "sys.stderr.write",
            ):
                calls.append(f"textgen.{module}: {ast.unparse(node.func)}")
    assert not calls


HEAVY = (
    *("torch", "typer", "rich", "tqdm", "matplotlib", "plotext", "charset_normalizer"),
    *("sklearn", "scipy", "gensim", "pandas"),
)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import textgen; textgen.__version__; dir(textgen)", (*HEAVY, "numpy")),
        (
            "import textgen.sampling, textgen.inspection, textgen.probing, textgen.api, "
            "textgen.corpus.corpus, textgen.corpus.windows; import textgen; textgen.load",
            HEAVY,
        ),
        (
            "import textgen.training.opening, textgen.evaluation, textgen.training.finetune,"
            "textgen.training.native_learner, textgen.model.opening, textgen.ops.select",
            HEAVY,
        ),
        ("import textgen.cli.app", ("torch", "matplotlib", "plotext", "charset_normalizer")),
        ("import textgen.terminal.curve, textgen.terminal.strip", ("torch", "typer", "tqdm")),
    ],
    ids=["textgen", "library", "training", "cli", "terminal"],
)
def test_importing_loads_nothing_heavy(statement: str, absent: tuple[str, ...]) -> None:
    code = f"{statement}; import sys; print(*sorted({{n.split('.')[0] for n in sys.modules}}))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not set(result.stdout.split()) & set(absent)


def test_names_of_the_package_are_all_there() -> None:
    import textgen

    for name in textgen.__all__:
        assert getattr(textgen, name) is not None
    assert set(textgen.__all__) <= set(dir(textgen))
    with pytest.raises(AttributeError, match="has no attribute 'tarin'"):
        _ = textgen.tarin
