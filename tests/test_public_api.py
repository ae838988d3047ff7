"""What `import textgen` offers, and what it does not load."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import environment

import textgen

NAMES = {
    *("Model", "TextgenError", "TrainResult", "__version__", "load", "train"),
    *("compare_cells", "compare_history", "compare_task"),
    *("Evaluation", "Generation", "PairsEvaluation", "Trace"),
}


def test_all_is_what_is_exported() -> None:
    assert set(textgen.__all__) == NAMES
    assert len(textgen.__all__) == len(NAMES)
    for name in textgen.__all__:
        assert getattr(textgen, name) is not None
    assert set(textgen.__all__) <= set(dir(textgen))


def test_type_checkers_see_the_same_names() -> None:
    """The names imported for them are those that are loaded when used."""
    tree = ast.parse(Path(str(textgen.__file__)).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == textgen._HOMES
    assert set(declared) | {"__version__"} == NAMES


def test_everything_public_has_a_docstring() -> None:
    for name in NAMES - {"__version__"}:
        value = getattr(textgen, name)
        assert inspect.getdoc(value), name
        if not inspect.isclass(value) or issubclass(value, Exception):
            continue
        for member, function in vars(value).items():
            if not member.startswith("_") and callable(function):
                assert inspect.getdoc(function), f"{name}.{member}"


def test_every_public_signature_is_typed() -> None:
    for function in (
        *(textgen.train, textgen.load, textgen.Model.generate, textgen.Model.trace),
        *(textgen.compare_cells, textgen.compare_history, textgen.compare_task),
    ):
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty
        for parameter in signature.parameters.values():
            if parameter.name != "self":
                assert parameter.annotation is not inspect.Parameter.empty, parameter


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = textgen.trian


_HEAVY = ("torch", "typer", "rich", "tqdm", "matplotlib", "plotext", "numpy")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import textgen", _HEAVY),
        ("import textgen; textgen.load", ("torch", "typer", "rich", "tqdm")),
        # torch itself loads tqdm.
        ("import textgen.training.run", ("typer", "rich", "matplotlib", "plotext")),
    ],
)
def test_import_is_light(code: str, absent: tuple[str, ...]) -> None:
    script = f"{code}\nimport sys\nprint([name for name in {absent!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    assert result.stdout.strip() == "[]"
    assert result.stderr == ""
