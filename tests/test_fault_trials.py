"""The parts of `benchmarks/promises` that break things see a promise that was not kept."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.small_runs import ROOT, SMALL, environment, russian_text

import textgen
from textgen.checkpoint import read_file, write_file
from textgen.errors import TrainingDivergedError
from textgen.model.native_network import NativeNetwork
from textgen.native.library import load, missing_reason
from textgen.native.net import AdamW


@pytest.fixture(scope="module")
def parts() -> Iterator[Any]:
    """The modules of the folder, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        patch.syspath_prepend(str(ROOT / "benchmarks/promises"))
        import failing_calls
        import forked
        import not_finite
        import power_cut
        import races
        import run_files

        modules = (failing_calls, forked, not_finite, power_cut, races, run_files)
        yield SimpleNamespace(**{module.__name__: module for module in modules})


def calls_of_a_save(Call: Any, *, syncs: bool, syncs_folder: bool = True) -> list[Any]:
    """A file that is replaced by a temporary one."""
    calls = [
        Call("create", 1, "run/.model.tmp"),
        Call("write", 1, data=b"new" * 1000),
        Call("sync", 1),
        Call("rename", path="run/model", old="run/.model.tmp"),
        Call("syncdir", path="run"),
    ]
    return [
        call
        for call in calls
        if (syncs or call.what != "sync") and (syncs_folder or call.what != "syncdir")
    ]


def states(power_cut: ModuleType, calls: list[Any], count: int) -> set[bytes | None]:
    """What the file may be after so many calls."""
    course = power_cut.Course({"run/model": b"old"}, ["run"], calls)
    found = set()
    for seed in range(60):
        rng = random.Random(seed)
        names = course.names(count, lambda rng=rng: rng.random() < 0.5)
        file = names.get("run/model")
        draw = lambda rng=rng: rng.choice(power_cut.FATES)  # noqa: E731
        found.add(None if file is None else course.content(file, count, draw))
    return found


def test_a_power_cut_leaves_what_was_synchronised(parts: Any) -> None:
    old, new = b"old", b"new" * 1000
    calls = calls_of_a_save(parts.power_cut.Call, syncs=True)
    for count in range(1, 4):
        assert states(parts.power_cut, calls, count) == {old}
    assert states(parts.power_cut, calls, 4) == {old, new}
    assert states(parts.power_cut, calls, 5) == {new}


def test_a_power_cut_finds_a_save_that_is_not_synchronised(parts: Any) -> None:
    calls = calls_of_a_save(parts.power_cut.Call, syncs=False)
    spoiled = states(parts.power_cut, calls, len(calls)) - {b"new" * 1000}
    assert {b"", bytes(3000)} < spoiled, "empty, zeros, torn"
    calls = calls_of_a_save(parts.power_cut.Call, syncs=True, syncs_folder=False)
    assert b"old" in states(parts.power_cut, calls, len(calls))


def test_a_folder_that_was_not_synchronised_takes_its_files_with_it(parts: Any) -> None:
    Call = parts.power_cut.Call
    calls = [
        Call("mkdir", path="run"),
        Call("create", 2, "run/file"),
        Call("sync", 2),
        Call("syncdir", path="run"),
    ]
    course = parts.power_cut.Course({}, [], calls)
    assert course.names(4, lambda: False) == {}
    assert course.names(4) == {"run/file": 2}


SAVE = """
import ctypes, sys
from pathlib import Path
from textgen.files import atomic_write_bytes
sys.path[:0] = sys.argv[1:3]
from forked import FailurePlan
library = ctypes.CDLL(sys.argv[3])
library.shared_plan.restype = ctypes.POINTER(FailurePlan)
plan = library.shared_plan().contents
plan.kinds, plan.at, plan.error = 511, int(sys.argv[6]), 28
library.arm(sys.argv[4].encode(), sys.argv[5].encode())
try:
    atomic_write_bytes(Path(sys.argv[4], "file"), b"after" * 100)
except OSError as error:
    print(error)
library.arm(b"", b"")
print([list(plan.kinds_of[: plan.count]), plan.path.decode()])
"""


def test_the_calls_of_a_save_are_counted_fail_and_are_written_down(
    parts: Any, tmp_path: Path
) -> None:
    library = parts.forked.build(tmp_path)
    if library is None:
        pytest.skip("needs Linux and a C compiler")
    home = (tmp_path / "home").resolve()
    home.mkdir()
    (home / "file").write_bytes(b"before")
    folders = [str(ROOT / "benchmarks"), str(ROOT / "benchmarks/promises")]

    def save(at: int) -> list[str]:
        words = [sys.executable, "-c", SAVE, *folders, library, home, tmp_path / "log", at]
        done = subprocess.run(
            [str(word) for word in words],
            env=environment(LD_PRELOAD=str(library)),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    names = [name for name, _ in parts.failing_calls.CALLS]
    (last,) = save(at=0)
    kinds = [names[kind] for kind in ast.literal_eval(last)[0]]
    wanted = ["open to write", "write", "fsync", "rename", "fsync"]
    assert [kind for kind in kinds if kind in wanted] == wanted
    calls = parts.power_cut.read_log(tmp_path / "log", home, {}, ["file"])
    course = parts.power_cut.Course({"file": b"before"}, [], calls)
    assert [call.what for call in calls] == ["create", "write", "sync", "rename", "syncdir"]
    assert course.names(5) == {"file": 1} and course.content(1, 5) == b"after" * 100
    (home / "file").write_bytes(b"before")
    message, last = save(at=kinds.index("fsync") + 1)
    assert "cannot write" in message and "the disk is full" in message
    assert ".tmp" in ast.literal_eval(last)[1]
    assert {p.name: p.read_bytes() for p in home.iterdir()} == {"file": b"before"}


@pytest.mark.parametrize("place", ["loss", "gradient", "state", "weights", "moments"])
def test_a_number_that_is_put_into_a_training_reaches_no_file(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The training skips the step or diverges, and ends in no other way."""
    if load() is None:
        pytest.skip(missing_reason())
    given: Any = {"text": russian_text(2000), "steps": 9, **SMALL}
    textgen.train(out=tmp_path / "sound", **given)
    for owner, name in ((NativeNetwork, "differentiate"), (AdamW, "step")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # It is put back after the test.
    parts.not_finite.put_number(place, step=2, value="nan", lasts=True, seed=0)
    with suppress(TrainingDivergedError):
        textgen.train(out=tmp_path / "run", **given)
    assert parts.not_finite.not_finite_in(tmp_path / "run") == []
    sound, run = (textgen.load(tmp_path / name).saved.weights for name in ("sound", "run"))
    assert not all(np.array_equal(sound[name], run[name]) for name in sound)


def test_numbers_that_are_not_finite_are_found(parts: Any, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(russian_text(2000), encoding="utf-8")
    textgen.train(text, out=tmp_path / "run", steps=3, **SMALL)
    assert parts.not_finite.not_finite_in(tmp_path / "run") == []
    before = parts.run_files.tree_of(tmp_path / "run")
    path = tmp_path / "run/resume.safetensors"
    header, tensors = read_file(path, kind="resume")
    name = next(name for name in tensors if name.endswith("exp_avg"))
    tensors[name] = tensors[name].copy()
    tensors[name].flat[0] = np.nan
    write_file(path, kind="resume", header=header, tensors=tensors)
    assert "which is not finite" in parts.not_finite.not_finite_in(tmp_path / "run")[0]
    after = parts.run_files.tree_of(tmp_path / "run")
    assert [key for key in before if before[key] != after[key]] == ["resume.safetensors"]
    path.write_bytes(path.read_bytes()[:-1])
    assert "does not open" in parts.not_finite.not_finite_in(tmp_path / "run")[0]
    assert parts.run_files.hash_of(path) == "broken"


class FakeCommand:
    """A training that ends at once, as it is told to."""

    def __init__(self, ended: Any) -> None:
        self.ended = ended

    def kill(self) -> None:
        pass

    def wait(self) -> Any:
        return self.ended


def meeting(parts: Any, tmp_path: Path, *, code: int, err: str, learned: bytes) -> list[str]:
    """What is wrong with trainings on a cache that is changed, if they all end so."""
    races = object.__new__(parts.races._Races)
    races.folder, races.cache, races.seconds = tmp_path, tmp_path / "cache", 0.0
    ended = parts.forked.Finished(code, "", err)

    def run(words: list[str]) -> Any:
        out = tmp_path / words[words.index("--out") + 1]
        out.mkdir(exist_ok=True)
        (out / "model").write_bytes(learned)
        races.cache.mkdir(exist_ok=True)
        for name in ("a.json", "a.tokens"):
            (races.cache / name).write_bytes(b"encoded")
        return ended

    def start(words: list[str]) -> FakeCommand:
        return FakeCommand(run(words))

    races.server = SimpleNamespace(run=run, start=start)
    (tmp_path / "alone").mkdir(exist_ok=True)
    (tmp_path / "alone/model").write_bytes(b"right")
    races.alone = parts.run_files.tree_of(tmp_path / "alone")
    found = races.one("changing cache", random.Random(0))
    assert len(found.codes) > parts.races.MANY and "the cache is changed: " in found.what
    return list(found.wrong)


def test_wrong_data_out_of_a_changed_cache_are_seen(parts: Any, tmp_path: Path) -> None:
    right = {"code": 0, "err": "", "learned": b"right"}
    refused = {"code": 6, "err": "textgen: the cached text has changed\n"}
    assert meeting(parts, tmp_path, **right) == []
    assert meeting(parts, tmp_path, **{**right, **refused}) == []
    assert "differs" in meeting(parts, tmp_path, **{**right, "learned": b"wrong"})[0]
    told = meeting(parts, tmp_path, **{**right, "code": 1, "err": "Traceback"})
    assert any("ended with 1" in one for one in told) and "a traceback" in told
