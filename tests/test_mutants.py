"""Mutants of the code: what is changed, what is left alone, and which tests notice it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.small_runs import ROOT

FOLDER = ROOT / "benchmarks/promises"


@pytest.fixture
def changed_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import changed_code

    yield changed_code


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("a is None", ["a is None -> a is not None"]),
        ("a @ b", []),
        ("a // b", ["a // b -> a * b"]),
        ("a and b", ["a and b -> a or b"]),
        ("not a", ["not a -> a"]),
        ("-3", ["-3 -> 3", "3 -> 4"]),
        ("True", ["True -> False"]),
        ("np.minimum(a, b)", ["np.minimum(a, b) -> np.maximum(a, b)"]),
        ("f(a) if a else b", ["a -> not a"]),
        ("path / 'name'", []),
        ("f'{a + 1}'", []),
        ("cast(int, 3)", []),
        ("zip(a, b, strict=True)", []),
    ],
)
def test_what_an_expression_is_changed_into(
    changed_code: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    changes: list[str],
) -> None:
    monkeypatch.setattr(changed_code, "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(f"x = {line}\n")
    assert [one.change for one in changed_code.mutants("module.py")] == changes


SOURCE = '''"""A module."""
__all__ = ["f" * 2]
class Counter:
    size: int = 3
    @cache(4)
    def add(self, by: "Literal[1]" = 5) -> int:
        """Add 6."""
        assert by > 7
        self.count = by
        for one in by:
            if one:
                break
            raise ValueError(f"{one + 8}")
        print(
            by,
        )
        return self.count
'''


def test_what_is_changed_of_a_module(
    changed_code: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changed_code, "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(SOURCE)
    found = changed_code.mutants("module.py")
    assert [(one.line, one.change) for one in found] == [
        (4, "3 -> 4"),
        (6, "5 -> 6"),
        (9, "self.count = by -> pass"),
        (11, "one -> not one"),
        (12, "break -> continue"),
        (13, "raise ValueError(f'{one + 8}') -> pass"),
        (14, "print(by) -> pass"),
        (17, "return self.count -> return None"),
    ]
    assert [one.function for one in found] == [None, None, *[("Counter.add", 5)] * 6]
    assert found[-2].lines == (14, 15, 16) and found[3].lines == (11,)
    assert found[3].text == "if one:"
    for one in found:
        one.code()


def test_equal_changes_of_equal_lines_have_names_of_their_own(
    changed_code: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changed_code, "ROOT", tmp_path)
    (tmp_path / "module.py").write_text("x = 1\nx = 1\n")
    first, second = changed_code.mutants("module.py")
    assert first.key != second.key
    space: dict[str, int] = {}
    exec(second.code(), space)
    assert space["x"] == 2


NOTED = '''
def first(value):
    """What it is."""
    for one in (
        value
    ):
        if one == 1:
            return "one"
        elif one == 2:
            def inner():
                return "two"
            return inner()
        try:
            1 / one
        except ZeroDivisionError:
            return "none"
        finally:
            one += 1
    match value:
        case [_, _]:
            return "both"
    return "else"
class Kind:
    def name(self):
        return "kind"
'''


@pytest.mark.parametrize(
    ("value", "lines", "end"),
    [
        ([1], {3, 4, 7, 8}, "one"),
        ([2], {3, 4, 7, 9, 10, 11, 12}, "two"),
        ([0], {3, 4, 7, 9, 13, 14, 16, 18}, "none"),
        ([3, 3], {3, 4, 7, 9, 13, 14, 18, 19, 21}, "both"),
        ([], {3, 4, 19, 22}, "else"),
    ],
)
def test_functions_note_the_statements_that_they_run(
    changed_code: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: list[int],
    lines: set[int],
    end: str,
) -> None:
    monkeypatch.setattr(changed_code, "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(NOTED)
    space: dict[str, Any] = {"ran": bytearray(30)}
    exec(changed_code.noting("module.py", "ran"), space)
    assert not any(space["ran"])
    assert space["first"](value) == end
    assert {line for line, did in enumerate(space["ran"]) if did} == lines
    assert space["Kind"]().name() == "kind" and space["ran"][25] and not space["ran"][24]


MODULE = """
LIMIT = 3

def bounded(value: int) -> int:
    if value < LIMIT:
        return value
    return LIMIT

def endless(count: int) -> int:
    while count > 0:
        count -= 1
    return count

def unseen() -> int:
    return 7
"""
TESTS = """
import pytest
from module import bounded, endless

@pytest.fixture(scope="module")
def five():
    return bounded(5)

def test_bound(five):
    assert five == 3

def test_below():
    assert bounded(1) == 1

def test_end():
    assert endless(2) == 0
"""
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import campaign, changed_code, mutant_trials, tests_can_fail
for module in (campaign, changed_code, mutant_trials, tests_can_fail):
    module.ROOT = Path({place!r})
mutant_trials.KEPT = tests_can_fail.KEPT = Path({place!r}) / "kept"
mutant_trials.MORE = (0.5, 5.0)
tests_can_fail.GROUPS = {{"own": (("module.py",), ("tests",))}}
ended, not_run = tests_can_fail.try_group("own")
assert not_run == [], not_run
results = tests_can_fail.Results("own")
for one in ended:
    print(one.line, one.change, results.of(one), results.how(one), sep=" | ")
assert {place!r} not in "".join(one.key for one in ended)
again, _ = tests_can_fail.try_group("own")
assert again == ended
print(*tests_can_fail.report("own"), sep="\\n")
known = [
    tests_can_fail.Known("module.py", "return 7", "nobody runs it", False),
    tests_can_fail.Known("module.py", "return LIMIT", "a test notices it", True),
]
tests_can_fail.known_survivors = lambda group: known
tried = []
run = mutant_trials.Trials.run
mutant_trials.Trials.run = lambda self, *words: (tried.append(words[0]), run(self, *words))[1]
listed, _ = tests_can_fail.try_group("own", again=True)
assert sorted(one.line for one in listed) == sorted(one.line for one in tried), tried
assert {{one.line for one in tried}} == {{7, 15}}, tried
print(*tests_can_fail.report("own"), sep="\\n")
"""


@pytest.mark.slow
def test_tests_notice_what_they_are_about_and_survivors_are_told(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_module.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    script = SCRIPT.format(folder=str(FOLDER), place=str(tmp_path))
    # Without the working folder among the places of modules.
    words = [sys.executable, "-P", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    found = {tuple(line.split(" | ")[:2]): line.split(" | ")[2:] for line in lines if " | " in line}
    test = "tests/test_module.py::test_"
    assert found["2", "3 -> 4"] == ["killed", f"{test}bound"]
    # A bound that is met or not gives the same: the mutant is equivalent.
    assert found["5", "value < LIMIT -> value <= LIMIT"] == ["survived", "of 2 tests"]
    assert found["5", "value < LIMIT -> value >= LIMIT"][0] == "killed"
    assert found["7", "return LIMIT -> return None"] == ["killed", f"{test}bound"]
    assert found["11", "count -= 1 -> pass"][0] == "overtime"
    assert found["15", "7 -> 8"] == ["survived", "no test runs the line"]
    assert "module.py:5: value < LIMIT -> value <= LIMIT  (of 2 tests)" in done.stdout
    assert "0 left, 3 survived" in done.stdout
    # Of those that are listed, one is noticed.
    said = [line for line in lines if "lists what tests notice" in line]
    assert said == ["  survivors/own.toml lists what tests notice: module.py: return LIMIT"]
