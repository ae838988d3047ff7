"""Part 17: a defect in the code is noticed by its tests, by mutants of the code.

    python benchmarks/promises/tests_can_fail.py [GROUP ...] [--one-in N] [--again] [--module PATH]

tries mutants of the modules of a group (see `GROUPS`; all without a name), each by the tests of its
own package. What was found is kept in build/mutants: the same command after a stop goes on, a
killed mutant stays killed until its module is edited, and one that survived is tried again when the
tests are. `--report` prints what was found and tries nothing.

The survivors that are known are in `survivors/`, one file for each group: `[[equivalent]]`, which
behave as the code does, and `[[left]]`, which could be noticed and are not; each with the line and
the reason, and with `change` where other changes of the line are not meant. `--again` tries these
alone, and names the entries that tests notice by now.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign import FOLDER, ROOT, Effort, Figure, Part, repeat
from changed_code import Mutant, mutants
from mutant_trials import KEPT, SURVIVED, Trials, sum_of

#: Tests of `textgen/sampling/forms`, which is in no group; they take longer than all others.
_OF_FORMS = ("test_form_combinations.py", "test_forms.py", "test_unused.py")
#: Modules that belong together, and the tests of their package.
GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cells": (("textgen/cells/*.py",), ("tests/cells",)),
    # What NumPy computes of a step beside the cells' equations: the reference of the engines.
    "numpy": (
        ("textgen/model/numpy_network.py", "textgen/model/edit.py", "textgen/model/head.py"),
        ("tests/model",),
    ),
    "sampling": (
        ("textgen/sampling/*.py",),
        tuple(
            f"tests/sampling/{path.name}"
            for path in sorted((ROOT / "tests/sampling").glob("test_*.py"))
            if path.name not in _OF_FORMS
        ),
    ),
    "steering": (("textgen/steering/*.py",), ("tests/steering",)),
    "checkpoint": (("textgen/checkpoint/*.py",), ("tests/checkpoint",)),
    "files": (
        ("textgen/files.py", "textgen/systems.py"),
        ("tests/test_files.py", "tests/test_systems.py"),
    ),
    "plan": (
        ("textgen/training/plan.py",),
        tuple(f"tests/training/test_{name}.py" for name in ("plan", "learning_rate", "command")),
    ),
    "windows": (
        ("textgen/corpus/windows.py",),
        ("tests/corpus/test_windows.py", "tests/corpus/test_pairs.py"),
    ),
    # The other tests of probing train for minutes, and look at the whole search.
    "controls": (("textgen/probing/controls.py",), ("tests/probing/test_controls.py",)),
}
#: Seconds of tests after which a mutant that no test has seen has survived.
PATIENCE = 60.0
#: In less no group is begun.
START = 20.0
#: The share of the mutants that tests are to notice.
LEAST = 0.9


@dataclass(frozen=True)
class Known:
    """A survivor that is known.

    Args:
        module: Its path.
        line: The text of the line.
        change: The change; "": any on this line.
        reason: Why it survives.
        is_equivalent: Whether it behaves as the code does.
    """

    module: str
    line: str
    reason: str
    is_equivalent: bool
    change: str = ""

    def is_of(self, mutant: Mutant) -> bool:
        """Whether a mutant is meant."""
        return (self.module, self.line) == (mutant.module, mutant.text) and (
            self.change in ("", mutant.change)
        )


@dataclass
class Found:
    """What was found of a module."""

    made: int = 0
    equivalent: int = 0
    killed: int = 0
    left: int = 0
    survivors: list[Mutant] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How many were tried, those apart that are listed as equivalent."""
        return self.killed + self.left + len(self.survivors)


def known_survivors(group: str, folder: Path = FOLDER / "survivors") -> list[Known]:
    """The survivors of a group that are known."""
    path = folder / f"{group}.toml"
    listed = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    return [
        Known(is_equivalent=kind == "equivalent", **one)
        for kind in ("equivalent", "left")
        for one in listed.get(kind, ())
    ]


def modules_of(group: str) -> list[str]:
    """The modules of a group."""
    paths = [path for pattern in GROUPS[group][0] for path in sorted(ROOT.glob(pattern))]
    return [path.relative_to(ROOT).as_posix() for path in paths]


def is_drawn(mutant: Mutant, one_in: int, seed: int) -> bool:
    """Whether a mutant is in the share of one in so many."""
    return _random(f"{seed} {mutant.key}") % one_in == 0


class Results:
    """What was found of a group before, and now."""

    def __init__(self, group: str, tests: Sequence[str] = ()) -> None:
        self.mutants = [one for module in modules_of(group) for one in mutants(module)]
        self.known = known_survivors(group)
        self._path = KEPT / f"{group}.jsonl"
        self._modules = {module: sum_of([ROOT / module]) for module in modules_of(group)}
        tests = [ROOT / path for path in GROUPS[group][1]]
        files = [
            one for path in tests for one in ([path] if path.is_file() else path.rglob("*.py"))
        ]
        self._tests = sum_of(sorted(files))
        self._kept: dict[str, Any] = {}
        if self._path.exists():
            for line in self._path.read_text("utf-8").splitlines():
                record = json.loads(line)
                self._kept[record["key"]] = record

    def of(self, mutant: Mutant) -> str | None:
        """How a mutant ended; None: it is to be tried."""
        record = self._kept.get(mutant.key)
        if record is None or record["module"] != self._modules[mutant.module]:
            return None
        if record["ended"] == SURVIVED and record["tests"] != self._tests:
            return None
        return str(record["ended"])

    def how(self, mutant: Mutant) -> str:
        """By what it was killed, or how it survived."""
        return str(self._kept[mutant.key]["how"])

    def add(self, mutant: Mutant, ended: str, how: str) -> None:
        """Keep how a mutant ended."""
        record = {"key": mutant.key, "module": self._modules[mutant.module], "tests": self._tests}
        record |= {"ended": ended, "how": how}
        self._kept[mutant.key] = record
        KEPT.mkdir(parents=True, exist_ok=True)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def is_equivalent(self, mutant: Mutant) -> bool:
        """Whether it is listed as one that behaves as the code does."""
        return any(one.is_equivalent and one.is_of(mutant) for one in self.known)

    def found(self) -> dict[str, Found]:
        """What was found of each module."""
        found: dict[str, Found] = {module: Found() for module in self._modules}
        for mutant in self.mutants:
            one, ended = found[mutant.module], self.of(mutant)
            one.made += 1
            if self.is_equivalent(mutant):
                one.equivalent += 1
            elif ended == SURVIVED and any(known.is_of(mutant) for known in self.known):
                one.left += 1
            elif ended == SURVIVED:
                one.survivors.append(mutant)
            elif ended is not None:
                one.killed += 1
        return {module: one for module, one in found.items() if one.made}

    def stale(self) -> list[Known]:
        """Entries of the list that mean no mutant."""
        return [one for one in self.known if not any(map(one.is_of, self.mutants))]

    def noticed(self) -> list[Known]:
        """Entries of the list that tests notice, whichever change of the line it is."""
        ends = [(one, [self.of(m) for m in self.mutants if one.is_of(m)]) for one in self.known]
        return [one for one, ended in ends if ended and not {None, SURVIVED} & set(ended)]


def try_group(
    group: str,
    *,
    one_in: int = 1,
    seed: int = 0,
    patience: float = PATIENCE,
    end: float = math.inf,
    seconds: float = math.inf,
    only: Sequence[str] = (),
    tests: Sequence[str] = (),
    again: bool = False,
) -> tuple[list[Mutant], list[str]]:
    """Try mutants of a group, in an order that follows from the seed.

    Args:
        group: Its name in `GROUPS`.
        one_in: Of so many mutants one is tried.
        seed: Of the share, and of the order.
        patience: See `PATIENCE`.
        end: Of `time.monotonic`.
        seconds: For the mutants, where their tests are found in time.
        only: These modules; () for all.
        tests: By these files of tests; () for all of the group.
        again: Those that are listed in `survivors/`, whatever was found of them, and no others.
    Returns:
        The mutants of this share that have ended, and the files of tests that there was no time
        for, or that fail without a change.
    """
    results = Results(group, tests)
    drawn = [one for one in results.mutants if is_drawn(one, one_in, seed)]
    drawn = [one for one in drawn if not only or one.module in only]
    if again:
        drawn = [one for one in drawn if any(known.is_of(one) for known in results.known)]
    else:
        drawn = [one for one in drawn if not results.is_equivalent(one)]
    drawn.sort(key=lambda one: _random(f"order {seed} {one.key}"))
    open_ = [one for one in drawn if again or results.of(one) is None]
    not_run: list[str] = []
    if open_ and time.monotonic() + START < end:
        with Trials(modules_of(group), tests or GROUPS[group][1], _moving) as trials:
            left = trials.map_tests(end)
            not_run = [f"no time to find which lines {test} runs" for test in left]
            not_run += [f"{test} fails without a change" for test in trials.failing]
            end = min(end, time.monotonic() + seconds)
            for number, mutant in enumerate([] if left else open_):
                if time.monotonic() > end:
                    break
                _moving(f"{group}: {number + 1} of {len(open_)}  {mutant.module}:{mutant.line}")
                results.add(mutant, *trials.run(mutant, patience))
        _moving("")
    return [one for one in drawn if results.of(one) is not None], not_run


def _random(text: str) -> int:
    """A number that follows from a text as if it were drawn."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


def _moving(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def report(group: str, tests: Sequence[str] = ()) -> Iterator[str]:
    """What was found of a group, in lines."""
    results = Results(group, tests)
    for module, one in results.found().items():
        rest = one.made - one.equivalent - one.tried
        share = f"{one.killed / one.tried:6.1%}" if one.tried else "      "
        yield (
            f"{share}  {module}: {one.made} mutants, {one.equivalent} equivalent, {one.tried} "
            f"tried, {one.killed} killed, {one.left} left, {len(one.survivors)} survived, {rest} "
            "not tried with these tests"
        )
    for one in results.found().values():
        for mutant in one.survivors:
            yield f"  {mutant.module}:{mutant.line}: {mutant.change}  ({results.how(mutant)})"
    for known in results.noticed():
        yield f"  survivors/{group}.toml lists what tests notice: {known.module}: {known.line}"
    for known in results.stale():
        yield f"  survivors/{group}.toml names no mutant: {known.module}: {known.line}"


def try_promise(effort: Effort) -> Figure:
    """Part 17 of the campaign: a share of the mutants of each group, as far as there is time."""
    began = time.monotonic()
    order = sorted(GROUPS, key=lambda group: _random(f"{effort.seed} {group}"))
    tried, before, killed, left, failures, not_run = 0, 0, 0, 0, [], []
    end = began + effort.seconds
    for number, group in enumerate(order):
        seconds = (end - time.monotonic()) / (len(order) - number)
        kept = Results(group)
        ended, missing = try_group(group, seed=effort.seed, end=end, seconds=seconds)
        not_run += [f"{group}: {one}" for one in missing]
        if not (ended or missing):
            not_run.append(f"{group}: no time")
        results = Results(group)
        tried += len(ended)
        before += sum(kept.of(mutant) is not None for mutant in ended)
        for mutant in ended:
            if results.of(mutant) != SURVIVED:
                killed += 1
            elif any(one.is_of(mutant) for one in results.known):
                left += 1
            else:
                what = f"{mutant.module}:{mutant.line}: {mutant.change}"
                failures.append(f"no test noticed {what} {repeat(17, effort, mutant.number)}")
    text = f"Tests noticed {killed} of {tried} mutants that are not listed as equivalent; of the "
    text += f"others, {left} are listed with a reason. "
    if before:
        text += (
            f"{before} were tried by an earlier campaign, and their code has not changed since. "
        )
    text += "The modules are "
    text += f"{', '.join(path for paths, _ in GROUPS.values() for path in paths)}; what NumPy "
    text += "computes of a step stands in `textgen/cells` and the three of `textgen/model`."
    if tried and killed < LEAST * tried:
        failures.append(f"{text} That is less than {LEAST:.0%}. {repeat(17, effort, 'all')}")
    return Figure(
        tried=tried, failures=tuple(failures), text=text if tried else "", not_run=tuple(not_run)
    )


PARTS = (
    Part(
        number=17,
        promise="The tests can fail: of small defects put into the core, nine of ten or more are "
        "noticed by the tests of the same package, and the others are listed with a reason.",
        not_promised="the same of modules that are not named, of the C code, and of defects that "
        "are not one changed operator, bound, number, result or statement.",
        seconds=600,
        run=try_promise,
        needs=("linux",),
    ),
)


def main() -> None:
    """Try the mutants that are asked for, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], metavar="GROUP")
    parser.add_argument("--module", action="append", default=[], help="only this one, by its path")
    parser.add_argument("--tests", action="append", default=[], help="only these, by their path")
    parser.add_argument("--one-in", type=int, default=1, help="of so many mutants one is tried")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds for a mutant")
    parser.add_argument("--again", action="store_true", help="those that are listed, once more")
    parser.add_argument("--report", action="store_true", help="print what was found before")
    asked = parser.parse_args()
    for group in asked.groups or GROUPS:
        if not asked.report:
            settings = {"one_in": asked.one_in, "seed": asked.seed, "patience": asked.patience}
            settings |= {"only": asked.module, "tests": asked.tests, "again": asked.again}
            _, not_run = try_group(group, **settings)
            for line in not_run:
                print(f"  {line}")
        print("\n".join(report(group, asked.tests)), flush=True)


if __name__ == "__main__":
    main()
