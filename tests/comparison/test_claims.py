"""Claims and heartbeats: one worker has a run, a dead one's is taken over, a slow one's is not."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from textgen.comparison import claims
from textgen.comparison.claims import (
    ALIVE,
    GONE,
    SILENT,
    Claim,
    ClaimLostError,
    Claims,
    Worker,
    make_claims,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_claims(tmp_path / "sweep")
    return tmp_path / "sweep"


class Time:
    """A clock that stands still."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(claims, "clock", made)
    return made


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that are made after this are on another machine than who looks, without locks."""
    real = claims.this_machine
    machines: Iterator[str] = iter(["another"])
    monkeypatch.setattr(claims, "this_machine", lambda: next(machines, real()))
    monkeypatch.setattr(claims, "try_lock", lambda _: None)


def test_a_claim_has_one_owner_who_is_alive(folder: Path) -> None:
    with Worker(folder) as one, Worker(folder) as other:
        assert one.take("run", None)
        assert not other.take("run", None)
        claim = other.latest()["run"]
        assert claim.owner == one.owner and claim.number == 1
        assert other.look(claim) == ALIVE
    assert Claims(folder).look(claim) == GONE  # It ended as it should, and its file is gone.


def test_one_takes_over_from_the_dead(folder: Path) -> None:
    """Of several who want it."""
    with Worker(folder) as dead:
        dead.take("run", None)
    with Worker(folder) as one, Worker(folder) as other:
        before = other.latest()["run"]
        assert one.take("run", before) and not other.take("run", before)
        assert other.latest()["run"].number == 2 and other.latest()["run"].owner == one.owner


@pytest.mark.usefixtures("elsewhere")
def test_a_heart_that_stands_still_for_long(folder: Path, time: Time) -> None:
    """Where nothing but the number can be seen, on another machine with any clock."""
    worker = Worker(folder, beat=1000)
    with worker:
        worker.take("run", None)
        look = Claims(folder, patience=60)
        claim = look.latest()["run"]
        assert look.look(claim) == SILENT  # The first look says nothing.
        time.now += 59
        assert look.look(claim) == SILENT
        worker._beat(1)
        assert look.look(claim) == ALIVE
        time.now += 59
        assert look.look(claim) == SILENT
        time.now += 2
        assert look.look(claim) == GONE


def test_who_has_a_lock_is_slow_and_not_dead(
    folder: Path, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was stopped for an hour, on another machine with a disk that has locks."""
    with Worker(folder, beat=1000) as worker:
        worker.take("run", None)
        monkeypatch.setattr(claims, "this_machine", lambda: "another")
        look = Claims(folder, patience=60)
        claim = look.latest()["run"]
        look.look(claim)
        time.now += 3600
        assert look.look(claim) == SILENT


def test_a_heart_that_another_user_owns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file may be read and not written; whether it is locked can be seen all the same."""
    real = claims.open_plain

    def refused(path: Path, *, write: bool = False) -> BinaryIO:
        if write:
            raise PermissionError(errno.EACCES, "permission denied")
        return real(path)

    monkeypatch.setattr(claims, "open_plain", refused)
    with Worker(folder) as worker:
        worker.take("run", None)
        (claim,) = Claims(folder).latest().values()
        assert Claims(folder).look(claim) == ALIVE


@pytest.mark.usefixtures("elsewhere")
def test_what_is_known_after_several_looks(
    folder: Path, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many hearts that stand still take no longer than one, and none is dead before its time."""
    looks: list[float] = []
    monkeypatch.setattr(claims, "_LOOK", 0)
    monkeypatch.setattr(Claims, "_pulse", passing(Claims._pulse, time, looks))
    with Worker(folder, beat=1000) as worker:
        worker.take("one", None)
        worker.take("two", None)
        look = Claims(folder, patience=60)
        assert set(look.settle(look.latest().values(), 30).values()) == {SILENT}
        assert set(look.settle(look.latest().values(), 65).values()) == {GONE}
    assert len(looks) < 50


def passing(real: Any, time: Time, looks: list[float]) -> Any:
    """Each look takes two seconds."""

    def pulse(self: Claims, name: str, beat: bytes, free: bool | None) -> str:
        looks.append(time.now)
        time.now += 2
        found: str = real(self, name, beat, free)
        return found

    return pulse


def test_a_claim_that_nobody_came_to_write(folder: Path, time: Time) -> None:
    (folder / "claims/run.1").touch()
    look = Claims(folder, patience=60)
    claim = look.latest()["run"]
    assert claim == Claim(name="run", number=1, owner=None)
    assert look.look(claim) == SILENT
    time.now += 61
    assert look.look(look.latest()["run"]) == GONE


def test_who_was_taken_for_dead_writes_nothing_more(folder: Path, time: Time) -> None:
    with Worker(folder, beat=1000) as slow, Worker(folder) as other:
        slow.take("run", None)
        slow.check()
        assert other.take("run", other.latest()["run"])
        time.now += 1001
        with pytest.raises(ClaimLostError, match="for dead"):
            slow.check()
        slow.check()  # It has nothing any more.
        other.check()


def test_what_failed_says_why(folder: Path) -> None:
    with Worker(folder) as worker:
        worker.take("run", None)
        worker.fail("the disk is full")
        assert worker.latest()["run"].failed == "the disk is full"
        assert worker.take("run", worker.latest()["run"])
        assert not worker.latest()["run"].failed


def test_the_claim_with_the_highest_number_counts(folder: Path) -> None:
    """By its number, not by its name, in whatever order the disk lists them."""
    for number in (2, 10, *range(12, 40), 11, 9):
        (folder / f"claims/run.{number}").write_bytes(b"")
    assert Claims(folder).latest()["run"].number == 39


def test_one_does_it_for_all(folder: Path) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        with Worker(folder, beat=0.05) as worker:
            worker.alone("plan", lambda: bool(done), lambda: done.append(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(done) == 1
