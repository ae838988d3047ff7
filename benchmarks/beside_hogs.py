"""What the engine keeps of its speed beside programs that take a core each.

Steps of training by one thread and by as many as there are cores, beside none, one, two ...
programs that never rest, in turns. Where c cores are shared fairly by t threads and h such
programs, the threads get t c / (t + h) cores, and a core each at most: "fair" is that over what
they have alone. The last column is the processor time that they had in a second: beside no hog it
is less than their number where the machine has other work.

    python benchmarks/beside_hogs.py [--rounds 5] [--seconds 2] [--hogs 2]
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from measuring import shown_while

from textgen.native.library import missing_reason, supported_isas
from textgen.progress import task
from textgen.runtime import choose_threads

HOG = [sys.executable, "-c", "while True: pass"]


@contextmanager
def running(hogs: Sequence[subprocess.Popen[bytes]], count: int) -> Iterator[None]:
    """`count` of the hogs run inside the block; outside all stand still."""
    for hog in hogs[:count]:
        hog.send_signal(signal.SIGCONT)
    try:
        yield
    finally:
        for hog in hogs[:count]:
            hog.send_signal(signal.SIGSTOP)


def fair_share(threads: int, hogs: int, cores: int) -> float:
    """What `threads` have beside `hogs`, of what they have alone, if cores are shared fairly."""
    return min(1.0, cores / (threads + hogs)) / min(1.0, cores / threads)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--hogs", type=int, default=2, help="at most so many")
    arguments = parser.parse_args()
    if not (isas := supported_isas()):
        sys.exit(missing_reason())
    cores = int(choose_threads().value)
    with shown_while() as say:
        with task("loading torch"):
            from contenders import native_step
        runs = {n: native_step(isas[0], 512, 67, n) for n in (1, cores)}
        hogs = [subprocess.Popen(HOG) for _ in range(arguments.hogs)]
        try:
            for hog in hogs:
                hog.send_signal(signal.SIGSTOP)
            found: dict[tuple[int, int], list[tuple[float, float]]] = {}
            combinations = [(n, h) for n in runs for h in range(arguments.hogs + 1)]
            with task("measuring", arguments.rounds * len(combinations)) as measuring:
                for _ in range(arguments.rounds):
                    for threads, count in combinations:
                        with running(hogs, count), task(f"{threads} threads beside {count} hogs"):
                            began, cpu, steps = time.monotonic(), time.process_time(), 0
                            while time.monotonic() - began < arguments.seconds:
                                runs[threads]()
                                steps += 1
                            seconds = time.monotonic() - began
                            got = (time.process_time() - cpu) / seconds
                        found.setdefault((threads, count), []).append((steps / seconds, got))
                        measuring.advance()
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
        say(f"{isas[0]}, {cores} cores, steps of 64 x 64 tokens by 1x512")
        say(f"{'threads':>7} {'hogs':>4} {'steps/s':>8}  of alone (range)     fair  cores had")
        for (threads, count), figures in found.items():
            alone = found[threads, 0]
            shares = sorted(one[0] / other[0] for one, other in zip(figures, alone, strict=True))
            say(
                f"{threads:>7} {count:>4} {statistics.median(f[0] for f in figures):>8.2f}"
                f"  {statistics.median(shares):>6.0%} ({shares[0]:.0%} to {shares[-1]:.0%})"
                f"  {fair_share(threads, count, cores):>8.0%}"
                f"  {statistics.median(f[1] for f in figures):>8.2f}"
            )


if __name__ == "__main__":
    main()
