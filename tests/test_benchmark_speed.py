"""The benchmarks of speed measure what a CPU has instructions for, and keep their time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
from support.small_runs import ROOT

from textgen.native.library import isas_of

X86, ARM = isas_of("x86-64"), isas_of("aarch64")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType, ModuleType]]:
    """The modules speed_rows, speed and measuring, which find one another by their folder."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import measuring
    import speed
    import speed_rows

    yield speed_rows, speed, measuring
    for name in ("speed_rows", "speed", "measuring"):
        del sys.modules[name]


@pytest.mark.parametrize(
    ("isas", "known", "first", "against", "some", "left_out"),
    [
        (
            ("avx2", "generic"),
            X86,
            "LSTM 1x512 B64, avx2 : fp32",
            {"fp32", "reference loop"},
            {
                "LSTM 1x512 B64, generic : fp32",
                "training step 1x512 B64, 67 symbols, avx2 : fp32",
                "64 streams 1x512, avx2 : fp32",
                "evaluation 1x512 B64, avx2 : fp32",
            },
            ["amx", "avx512bf16", "avx512", "torch in bf16 (autocast, bf16 weights)"],
        ),
        (
            ("avx512", "avx2", "generic"),
            X86,
            "LSTM 1x512 B64, avx512 : fp32",
            {"fp32", "reference loop"},
            {"LSTM 1x512 B64, avx2 : fp32", "LSTM 1x512 B64, generic : fp32"},
            ["amx", "avx512bf16", "torch in bf16 (autocast, bf16 weights)"],
        ),
        (
            ("avx512bf16", "avx512", "avx2", "generic"),
            X86,
            "LSTM 1x512 B64, avx512bf16 : autocast",
            {"autocast", "fp32", "bf16", "reference loop"},
            {
                "LSTM 1x512 B64, avx512bf16 : fp32",
                "LSTM 1x512 B64, avx512 : fp32",
                "64 streams 1x512, avx512bf16 : bf16",
            },
            ["amx"],
        ),
        (
            X86,
            X86,
            "LSTM 1x512 B64, amx : autocast",
            {"autocast", "fp32", "bf16", "reference loop"},
            {
                "LSTM 1x512 B64, amx : fp32",
                "LSTM 1x512 B64, avx512 : fp32",
                "LSTM 1x512 B64, avx2 : fp32",
                "mlstm 1x512 B64, avx2 : reference loop",
            },
            [],
        ),
        (
            ("neon", "generic"),
            ARM,
            "LSTM 1x512 B64, neon : fp32",
            {"fp32", "reference loop"},
            {"LSTM 1x512 B64, generic : fp32", "64 streams 1x512, neon : fp32"},
            ["bf16mmla", "torch in bf16 (autocast, bf16 weights)"],
        ),
        (
            ARM,
            ARM,
            "LSTM 1x512 B64, bf16mmla : autocast",
            {"autocast", "fp32", "bf16", "reference loop"},
            {"LSTM 1x512 B64, bf16mmla : fp32", "LSTM 1x512 B64, neon : fp32"},
            [],
        ),
    ],
    ids=["avx2", "avx512", "avx512bf16", "amx", "neon", "bf16mmla"],
)
def test_rows_are_those_that_the_cpu_has_instructions_for(
    modules: tuple[ModuleType, ...],
    isas: tuple[str, ...],
    known: tuple[str, ...],
    first: str,
    against: set[str],
    some: set[str],
    left_out: list[str],
) -> None:
    rows, reasons = modules[0].choose_rows(isas, known)
    names = [row.name for row in rows]
    assert names[0] == first
    assert len(set(names)) == len(names)
    assert some <= set(names)
    assert {row.against for row in rows} == against
    assert {row.isa for row in rows} <= set(isas)
    assert [line.partition(":")[0] for line in reasons] == left_out


def test_every_target_is_of_a_row_of_some_cpu(modules: tuple[ModuleType, ...]) -> None:
    rows_of, all_rows = modules[0].choose_rows, set[str]()
    for known in (X86, ARM):
        for i in range(len(known)):
            all_rows |= {row.name for row in rows_of(known[i:], known)[0]}
    assert set(modules[0].TARGETS) <= all_rows


def test_operations_of_a_row(modules: tuple[ModuleType, ...]) -> None:
    case = modules[0].Case
    # Four gates of 3 units of 3 terms, two operations each, forwards and twice backwards.
    one = case(kind="layers", isa="avx2", against="fp32", hidden=3, batch=2)
    assert (one.tokens, one.flops) == (128, 128 * 4 * 3 * 3 * 2 * 3)
    # The second layer has a product of its input, too.
    two = case(kind="layers", isa="avx2", against="fp32", hidden=3, layers=2, batch=2)
    assert two.flops == 3 * one.flops
    step = case(kind="step", isa="avx2", against="fp32", hidden=3, batch=2, symbols=5)
    assert step.flops == one.flops + 128 * 5 * 3 * 2 * 3
    assert case(kind="many", isa="avx2", against="fp32", batch=7).tokens == 7


@pytest.mark.parametrize(
    ("code", "said", "counts", "remark"),
    [
        (0, "5 passed", True, ""),
        (1, "1 failed", False, "no figures, for its tests fail: 1 failed"),
        (4, "no such file", True, "not tested here: pytest ended with code 4: no such file"),
    ],
)
def test_a_set_has_no_row_only_where_its_tests_fail(
    modules: tuple[ModuleType, ...],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    said: str,
    counts: bool,
    remark: str,
) -> None:
    speed = modules[1]
    done = subprocess.CompletedProcess([], code, f"...\n{said}\n", "")
    monkeypatch.setattr(speed.subprocess, "run", lambda *args, **options: done)
    assert speed.tests_of("avx2", 60) == (counts, remark)


def test_without_pytest_it_says_that_nothing_was_tested(
    modules: tuple[ModuleType, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules[1], "find_spec", lambda name: None)
    counts, remark = modules[1].tests_of("avx2", 60)
    assert counts
    assert remark == "not tested here, for pytest is not installed (pip install pytest)"


def test_tests_that_do_not_end_are_left(
    modules: tuple[ModuleType, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], timeout: float, **options: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(modules[1].subprocess, "run", run)
    assert modules[1].tests_of("avx2", 7) == (
        True,
        "not tested here: its tests did not end within 7 s",
    )


def test_the_next_best_set_is_measured_where_tests_of_the_best_fail(
    modules: tuple[ModuleType, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    speed, said = modules[1], list[str]()
    monkeypatch.setattr(speed, "supported_isas", lambda: ("avx512bf16", "avx2", "generic"))
    monkeypatch.setattr(speed, "isas_of_this_machine", lambda: X86)
    monkeypatch.setattr(
        speed, "tests_of", lambda isa, seconds: (isa != "avx512bf16", "" if isa == "avx2" else "hm")
    )
    rows = speed.tested_rows("", 60, said.append)
    assert rows[0].name == "LSTM 1x512 B64, avx2 : fp32"
    assert said[:2] == ["avx512bf16: hm", "generic: hm"]
    assert [line.split(":")[1].strip() for line in said[2:]] == [
        "amx",
        "avx512",
        "torch in bf16 (autocast, bf16 weights)",
    ]


@pytest.mark.parametrize(
    ("each", "left", "rounds"), [(1.0, 10.0, 5), (3.0, 10.0, 3), (20.0, 10.0, 1), (3.0, -1.0, 1)]
)
def test_there_are_as_many_rounds_as_fit_and_one_at_least(
    modules: tuple[ModuleType, ...],
    monkeypatch: pytest.MonkeyPatch,
    each: float,
    left: float,
    rounds: int,
) -> None:
    measuring, now = modules[2], [0.0]
    monkeypatch.setattr(measuring, "time", SimpleNamespace(monotonic=lambda: now[0]))
    count = 0
    for _ in measuring.rounds_within(5, measuring.Clock(left)):
        count += 1
        now[0] += each
    assert count == rounds


@pytest.mark.parametrize(
    ("threads", "hogs", "share"), [(1, 0, 1), (1, 1, 1), (1, 2, 2 / 3), (2, 1, 2 / 3), (2, 2, 0.5)]
)
def test_the_fair_share_of_two_cores(
    modules: tuple[ModuleType, ...], threads: int, hogs: int, share: float
) -> None:
    import beside_hogs

    assert beside_hogs.fair_share(threads, hogs, 2) == pytest.approx(share)
    del sys.modules["beside_hogs"]
