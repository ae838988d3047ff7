"""The list of seeded faults: each still stands in the code, and the trial tells a caught one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.small_runs import ROOT

#: Parts of the package that at least so many faults are seeded in.
LEAST = {
    "native": 30,
    "corpus": 15,
    "training": 15,
    "sampling": 10,
    "probing": 10,
    "checkpoint": 8,
    "cli": 8,
    "steering": 3,
}


@pytest.fixture(scope="module")
def seeded() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks/promises"))
        import seeded_faults

        yield seeded_faults


def test_each_fault_still_stands_in_the_code(seeded: ModuleType) -> None:
    """Where the code has changed, the list changes too: it is a list of what is there."""
    faults = seeded.all_faults()
    for fault in faults:
        assert fault.text_with(ROOT) != (ROOT / fault.file).read_text("utf-8"), fault.name
    names = Counter(fault.name for fault in faults)
    assert max(names.values()) == 1, names.most_common(1)


def test_each_fault_is_for_the_tests_of_its_own_package(seeded: ModuleType) -> None:
    for fault in seeded.all_faults():
        part = Path(fault.file).parts[1]
        own = f"tests/test_{part}" if part.endswith(".py") else f"tests/{part}"
        assert fault.tests, fault.name
        for test in fault.tests:
            path, _, function = test.partition("::")
            assert (ROOT / path).exists(), fault.name
            assert not function or f"def {function}(" in (ROOT / path).read_text("utf-8"), test
            assert test == own or test.startswith((f"{own}/", f"{own}::")), fault.name


def test_a_fault_of_the_engine_is_a_statement_or_an_expression(seeded: ModuleType) -> None:
    """Or there is no switch between the right and the wrong one."""
    for fault in seeded.all_faults():
        if fault.is_of_engine:
            ends = {text.strip().endswith(";") for text in (fault.right, fault.wrong)}
            assert len(ends) == 1, fault.name
            assert fault.right == fault.right.rstrip(), fault.name


def test_faults_are_spread_over_the_package(seeded: ModuleType) -> None:
    parts = Counter(Path(fault.file).parts[1] for fault in seeded.all_faults())
    assert {part: count for part, count in LEAST.items() if parts[part] < count} == {}


@pytest.fixture
def copy(seeded: ModuleType, tmp_path: Path) -> Iterator[Any]:
    """A copy with a package of one function and its tests, of which one fails without a fault."""
    (tmp_path / "adding.py").write_text("def total(a, b):\n    return a + b\n")
    (tmp_path / "test_adding.py").write_text(
        "import adding\n\ndef test_total():\n    assert adding.total(2, 2) == 4\n"
    )
    (tmp_path / "test_broken.py").write_text("def test_nothing():\n    assert False\n")
    copy = seeded.Copy(tmp_path)
    yield copy
    copy.close()


@pytest.mark.slow
def test_a_fault_is_caught_or_not(seeded: ModuleType, copy: Any) -> None:
    fault = seeded.Fault(
        name="subtracts",
        what="a total is a difference",
        file="adding.py",
        right="a + b",
        wrong="a - b",
        tests=("test_adding.py",),
    )
    assert copy.tells(fault) == ""
    unseen = replace(fault, name="multiplies", wrong="a * b")
    assert copy.tells(unseen) == (
        "multiplies: a total is a difference, and test_adding.py pass with it"
    )
    assert copy.tells(fault) == "", "the fault before it was taken out"
    assert (copy.root / "adding.py").read_text() == "def total(a, b):\n    return a + b\n"
    assert "stands 0 times in adding.py" in copy.tells(replace(fault, right="a+b"))
    assert "stands 2 times in test_adding.py" in copy.tells(
        replace(fault, right="total", file="test_adding.py")
    )
    assert "do not pass without a fault" in copy.tells(replace(fault, tests=("test_broken.py",)))
    assert "end with code 2" in copy.tells(replace(fault, wrong="a +")), "nothing is tested then"
    crashes = replace(fault, right="return a + b", wrong="import os; os.abort()")
    assert copy.tells(crashes) == ""
