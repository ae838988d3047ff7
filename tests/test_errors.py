"""The tree of errors as drawn, and the exit code of each."""

from __future__ import annotations

import inspect
import re

import pytest

from textgen import errors
from textgen.errors import EXIT_CODES, TextgenError, exit_code

CLASSES = {
    cls.__name__: cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == errors.__name__
}


def drawn() -> dict[str, str | None]:
    """Class and parent, as the module's docstring draws them."""
    parents: dict[str, str | None] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([ │├└─]*)(\w*Error)\b", line)
        if match is None:
            continue
        depth, name = len(match[1]), match[2]
        while stack and stack[-1][0] >= depth:
            stack.pop()
        parents[name] = stack[-1][1] if stack else None
        stack.append((depth, name))
    return parents


def test_the_tree_drawn_is_the_tree() -> None:
    tree = {
        name: None
        if cls is TextgenError
        else next(base.__name__ for base in cls.__bases__ if issubclass(base, TextgenError))
        for name, cls in CLASSES.items()
    }
    assert drawn() == tree
    assert len(tree) > 10


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("TextgenError", 1),
        ("ConfigError", 2),
        ("SamplingError", 2),
        ("InspectionError", 2),
        ("CorpusError", 3),
        ("EmptyCorpusError", 3),
        ("EncodingError", 3),
        ("BinaryFileError", 3),
        ("CheckpointError", 4),
        ("CheckpointFormatError", 4),
        ("CheckpointCorruptError", 4),
        ("TrainingDivergedError", 5),
        ("StorageError", 6),
        ("UnreadableFilesError", 6),
        ("RunFolderError", 7),
        ("BackendError", 8),
        ("CompressionError", 9),
        ("RankError", 10),
    ],
)
def test_exit_codes(name: str, code: int) -> None:
    assert exit_code(CLASSES[name]("what was wrong")) == code


def test_every_class_under_the_root_has_a_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(TextgenError.__subclasses__())
    codes = list(EXIT_CODES.values())
    assert len(set(codes)) == len(codes)
    # 0 is success, 1 a defect; from 126 on the shell speaks of signals and missing programs.
    assert all(1 < code < 126 for code in codes)


def test_other_errors_are_defects() -> None:
    assert exit_code(ValueError("no")) == 1
    assert exit_code(KeyboardInterrupt()) == 1


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ConfigError", ValueError),
        ("CorpusError", ValueError),
        ("CheckpointError", ValueError),
        ("TrainingDivergedError", ArithmeticError),
        ("StorageError", OSError),
    ],
)
def test_a_caller_may_expect_the_builtin(name: str, builtin: type) -> None:
    assert issubclass(CLASSES[name], builtin)


def test_messages_survive() -> None:
    """OSError treats two arguments in its own way; one message must come back as it was."""
    for cls in CLASSES.values():
        assert str(cls("found 3, expected 4; type --four")) == "found 3, expected 4; type --four"
