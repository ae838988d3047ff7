"""Speed of the native engine beside torch's own, in one run: `make bench`.

The rows are those that this CPU has instructions for; what is left out is said. Each row is
measured in rounds, its contenders and torch's own product one after another in every round; a ratio
is the median of the rounds' ratios, with the smallest and the largest. "Of peak" is the engine's
share of what that product reaches, in the numbers that the engine multiplies. The engine's tests
run first: a set whose tests fail has no row. A row has as many rounds as its share of the time
allows.

    python benchmarks/speed.py [--rounds 5] [--minutes 9] [--threads N] [--only TEXT]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import NamedTuple

from measuring import CHECKOUT, Clock, rounds_within, seconds_of, shown_while
from speed_rows import TARGETS, Case, choose_rows

from textgen.native.library import (
    BF16_ISAS,
    isas_of_this_machine,
    missing_reason,
    supported_isas,
)
from textgen.progress import task
from textgen.runtime import choose_threads

#: Of the whole time, what the engine's own tests may take.
TESTS_SHARE = 0.2
#: `pytest` ends so where tests ran and failed; other codes than 0 say that they did not run.
TESTS_FAILED = 1

Run = Callable[[], object]
Say = Callable[[str], None]


class Figures(NamedTuple):
    """Seconds of one round: the engine's, torch's, and those of torch's product."""

    ours: float
    theirs: float
    product: float


def typical(run: Run, at_least: float = 0.25) -> float:
    """The median seconds of calls that take `at_least` seconds together."""
    times: list[float] = []
    while sum(times) < at_least:
        times.append(seconds_of(run))
    return statistics.median(times)


def tests_of(isa: str, seconds: float) -> tuple[bool, str]:
    """Whether the figures of an instruction set count, and a remark where its tests say nothing.

    Args:
        isa: The instruction set.
        seconds: How long its tests may take.
    """
    if find_spec("pytest") is None:
        return True, "not tested here, for pytest is not installed (pip install pytest)"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += ["tests/native/test_net.py", "-k", f"[{isa}-"]
    try:
        done = subprocess.run(
            command, cwd=CHECKOUT, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return True, f"not tested here: its tests did not end within {seconds:.0f} s"
    last = (done.stdout + done.stderr).strip().splitlines()[-1:]
    if done.returncode == TESTS_FAILED:
        return False, f"no figures, for its tests fail: {''.join(last)}"
    if done.returncode:
        return True, f"not tested here: pytest ended with code {done.returncode}: {''.join(last)}"
    return True, ""


def tested_rows(only: str, seconds: float, say: Say) -> list[Case]:
    """The rows whose instruction sets do not fail their tests.

    Args:
        only: What a row's name holds.
        seconds: How long all tests may take.
        say: Called with a line about what is left out, or is not tested.
    """
    isas, known = list(supported_isas()), isas_of_this_machine()
    clock = Clock(seconds)
    tried: set[str] = set()
    while isas:
        rows, left_out = choose_rows(isas, known)
        rows = [row for row in rows if only in row.name]
        waiting = [isa for isa in isas if isa not in tried and any(r.isa == isa for r in rows)]
        if not waiting:
            for line in left_out:
                say(f"left out: {line}")
            return rows
        tried.add(waiting[0])
        with task(f"the engine's tests on {waiting[0]}"):
            counts, remark = tests_of(waiting[0], clock.left() / len(waiting))
        if remark:
            say(f"{waiting[0]}: {remark}")
        if not counts:
            isas.remove(waiting[0])
            known = tuple(isa for isa in known if isa != waiting[0])
    return []


def numbers(case: Case) -> str:
    """What the engine multiplies there, as torch calls it."""
    return "bfloat16" if case.isa in BF16_ISAS else "float32"


def shown(case: Case, rounds: Sequence[Figures], product_flops: float) -> str:
    """A row in one line."""
    ours = statistics.median(one.ours for one in rounds)
    theirs = statistics.median(one.theirs for one in rounds)
    ratios = sorted(one.theirs / one.ours for one in rounds)
    share = ""
    if case.flops:
        of_peak = (case.flops / one.ours * one.product / product_flops for one in rounds)
        share = f"{statistics.median(of_peak):.0%}"
    target = TARGETS.get(case.name, "-")
    return (
        f"{case.name:56} {case.tokens / ours / 1e3:7.1f} k {case.tokens / theirs / 1e3:7.1f} k"
        f"  {statistics.median(ratios):5.2f} ({ratios[0]:.2f}..{ratios[-1]:.2f})"
        f"  {target:>6}  {share:>6}  {len(rounds):>3}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each row, at most")
    parser.add_argument("--minutes", type=float, default=9.0, help="for everything")
    parser.add_argument("--threads", type=int, default=0, help="0: as `textgen train` chooses")
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    arguments = parser.parse_args()
    if not supported_isas():
        sys.exit(missing_reason())
    clock = Clock(60 * arguments.minutes)
    threads = arguments.threads or int(choose_threads().value)
    with shown_while() as say:
        cases = tested_rows(arguments.only, TESTS_SHARE * clock.left(), say)
        with task("loading torch"):
            import torch
            from contenders import best_product, contenders

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        say(f"torch {torch.__version__}, {threads} threads, load {os.getloadavg()[0]:.2f}")
        products: dict[str, tuple[Run, float]] = {}
        for kind in sorted({numbers(case) for case in cases}):
            with task(f"torch's own product, {kind}"):
                product, flops = products[kind] = best_product(getattr(torch, kind))
                say(f"torch's product, {kind}: {flops / typical(product) / 1e9:,.0f} GFLOP/s")
        say(
            f"\n{'what : against':56} {'ours':>9} {'torch':>9}  ratio (range)       target"
            f"  of peak  rounds"
        )
        with task("measuring", len(cases)) as all_rows:
            slowest = 0.0
            for i, case in enumerate(cases):
                # A row takes as long as it takes: it is not begun where the time might not do.
                if clock.left() < slowest:
                    say(f"{case.name:56} left out: the {arguments.minutes:g} minutes are over")
                    continue
                with task(case.name):
                    row_clock, began = Clock(clock.left() / (len(cases) - i)), clock.left()
                    runs = contenders(case, threads)
                    product, flops = products[numbers(case)]
                    rounds: list[Figures] = []
                    for _ in rounds_within(arguments.rounds, row_clock):
                        rounds.append(Figures(*(typical(run) for run in (*runs, product))))
                        if len(rounds) == 1:
                            slowest = max(slowest, began - clock.left())
                say(shown(case, rounds, flops))
                all_rows.advance()


if __name__ == "__main__":
    main()
