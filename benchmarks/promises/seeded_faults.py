"""Part 19: faults that the tests of their own package must catch, one at a time in a copy.

    python benchmarks/promises/seeded_faults.py [--only WORD ...] [--list]

`seeded_faults.toml` is the list. A fault is caught where its tests fail with it; the same tests
pass in the copy as it is, or they tell nothing. `--only` takes those whose name or file has one
of the words in it. The exit code is 1 where one was not caught.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from campaign import ROOT, Effort, Figure, Part, repeat

from textgen.native.library import BF16_ISAS, LIBRARY, supported_isas

LIST = Path(__file__).with_suffix(".toml")
#: Seconds after which tests hang: with a fault in it, a program may wait for ever.
PATIENCE = 900.0
#: With it, all that is loaded is compiled anew: most of the time that a short test takes.
_LEFT_OUT = ("PYTHONDONTWRITEBYTECODE",)
#: Exit codes of pytest: all passed, some failed.
_PASSED, _FAILED = 0, 1
#: Compiles the engine of the copy: for one instruction set, as all are made of the same text, and
#: without the optimisations that take most of the time.
_BUILD = """
import sys
from textgen.native import build
build.FAST_FLAGS = ("-O1", *build.FAST_FLAGS[1:])
build.build_library(only=sys.argv[1:])
"""
#: Added to the engine: which fault is on.
_SWITCH = """
#include <stdlib.h>
static inline int tg_fault(int number) {
    static int on = -1;
    if (on < 0) on = getenv("TG_FAULT") ? atoi(getenv("TG_FAULT")) : 0;
    return on == number;
}
"""
#: Runs tests, one line of words after the other, each in a fork that finds the libraries loaded. It
#: has loaded nothing of textgen, so a fork sees the files as they are. Answers with the exit code.
_SERVE = """
import contextlib, gc, json, os, signal, sys, time
import hypothesis, numpy, pytest, safetensors.numpy, torch, typer
with contextlib.suppress(ImportError):
    import sklearn.linear_model
# A slow machine, or one that others use, is no fault.
every = list(hypothesis.HealthCheck)
hypothesis.settings.register_profile("copy", deadline=None, suppress_health_check=every)
hypothesis.settings.load_profile("copy")
gc.freeze()
for line in sys.stdin:
    os.environ["TG_FAULT"], words = json.loads(line)
    if not (child := os.fork()):
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        os._exit(pytest.main(words))
    end = time.monotonic() + float(sys.argv[1])
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        time.sleep(0.05)
        if time.monotonic() > end:  # It hangs in the engine, where no test's limit ends it.
            os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(ended[1]), flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A change of one place that makes the program wrong.

    Args:
        name: Its name.
        what: What is then wrong.
        file: The file, from the root of the checkout.
        right: The text that stands there exactly once.
        wrong: What takes its place.
        tests: Files or folders of tests, one of which must fail.
    """

    name: str
    what: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]

    @property
    def is_of_engine(self) -> bool:
        """Whether it is one of the C engine."""
        return self.file.startswith("textgen/native/src/")

    def text_with(self, root: Path, instead: str | None = None) -> str:
        """The text of the file with the fault in it, or with something else `instead`.

        Raises:
            ValueError: The right text does not stand there exactly once.
        """
        text = (root / self.file).read_text("utf-8")
        if (count := text.count(self.right)) != 1:
            raise ValueError(f"{self.name}: the right text stands {count} times in {self.file}")
        return text.replace(self.right, self.wrong if instead is None else instead)

    def switched(self, number: int) -> str:
        """C that is wrong where the fault of that number is on, and right where it is not."""
        if self.right.endswith(";"):
            return f"{{ if (tg_fault({number})) {{ {self.wrong} }} else {{ {self.right} }} }}"
        return f"(tg_fault({number}) ? ({self.wrong}) : ({self.right}))"


def all_faults(path: Path = LIST) -> list[Fault]:
    """The faults of the list, in its order."""
    entries = tomllib.loads(path.read_text("utf-8"))["fault"]
    return [Fault(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


class Copy:
    """A copy of the checkout, in which tests are run.

    Args:
        root: Its folder.
        faults: Those of the engine among them are compiled into its library.
    """

    def __init__(self, root: Path, faults: Iterable[Fault] = ()) -> None:
        self.root = root
        self._env = {
            **{name: value for name, value in os.environ.items() if name not in _LEFT_OUT},
            "PYTHONPATH": str(root),
            "OPENBLAS_NUM_THREADS": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        # Whether tests pass here without a fault.
        self._sound: dict[tuple[str, ...], bool] = {}
        # The numbers of the faults in the library.
        self._numbers: dict[str, int] = {}
        self._switch(fault for fault in faults if fault.is_of_engine)
        if self._numbers:
            self.build()
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(PATIENCE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
            env=self._env,
            text=True,
        )

    def _switch(self, faults: Iterable[Fault]) -> None:
        """Put faults into the sources of the engine, each behind a switch."""
        for number, fault in enumerate(faults, start=1):
            with contextlib.suppress(ValueError):  # `tells` says of that one that it is gone.
                text = fault.text_with(self.root, fault.switched(number))
                self._put(self.root / fault.file, text)
                self._numbers[fault.name] = number
        if self._numbers:
            header = self.root / "textgen/native/src/textgen.h"
            before, end, after = header.read_text("utf-8").rpartition("#endif")
            self._put(header, f"{before}{_SWITCH}{end}{after}")

    def close(self) -> None:
        """Let the process end that runs the tests."""
        self._server.communicate()

    def tells(self, fault: Fault) -> str:
        """ "" where the tests of a fault catch it; else why they do not, in words."""
        number = self._numbers.get(fault.name, 0)
        try:
            wrong = fault.text_with(self.root)
        except ValueError as error:
            return str(error)
        if not self._pass(fault.tests):
            return f"{fault.name}: {' '.join(fault.tests)} do not pass without a fault either"
        with contextlib.nullcontext() if number else self._holding(fault.file, wrong):
            code = self._run_tests(fault.tests, number)
        if code == _FAILED or code < 0:  # What crashes or hangs is noticed.
            return ""
        ended = "pass with it" if code == _PASSED else f"end with code {code}"
        return f"{fault.name}: {fault.what}, and {' '.join(fault.tests)} {ended}"

    def _pass(self, tests: tuple[str, ...]) -> bool:
        if tests not in self._sound:
            self._sound[tests] = self._run_tests(tests) == _PASSED
        return self._sound[tests]

    @contextmanager
    def _holding(self, name: str, text: str) -> Iterator[None]:
        path = self.root / name
        before = path.read_text("utf-8")
        try:
            self._put(path, text)
            yield
        finally:
            self._put(path, before)

    def _put(self, path: Path, text: str) -> None:
        path.write_text(text, "utf-8")
        # What Python has compiled is told by second and size, which may both be the same again.
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def build(self) -> None:
        """Compile the engine of the copy for one instruction set of this CPU."""
        exact = [name for name in supported_isas() if name not in BF16_ISAS]
        words = [sys.executable, "-c", _BUILD, exact[0]]
        subprocess.run(words, cwd=self.root, env=self._env, check=True)

    def _run_tests(self, tests: Sequence[str], number: int = 0) -> int:
        """The exit code of pytest; negative: the signal that ended it.

        Args:
            tests: What to run.
            number: Of the fault of the engine that is on; 0 is none.
        """
        words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", *tests]
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps([str(number), words]) + "\n")
        stdin.flush()
        return int(stdout.readline())


@contextmanager
def a_copy(faults: Iterable[Fault]) -> Iterator[Copy]:
    """A copy of the files that git knows or would take, with an engine that has some faults."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    with tempfile.TemporaryDirectory(prefix="textgen-faults-") as folder:
        root = Path(folder)
        for name in (*names, *((str(LIBRARY.relative_to(ROOT)),) if LIBRARY.exists() else ())):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
        with contextlib.closing(Copy(root, faults)) as copy:
            yield copy


def try_promise(effort: Effort) -> Figure:
    """Part 19 of the campaign: faults of the list, as many as there is time for."""
    faults = all_faults()
    random.Random(effort.seed).shuffle(faults)
    if effort.is_quick:  # One whose tests take a moment, and without a compiler.
        faults = [fault for fault in faults if fault.file == "textgen/probing/statistics.py"][:1]
    with a_copy(faults) as copy:
        told = {
            faults[number].name: copy.tells(faults[number]) for number in effort.tries(len(faults))
        }
    return Figure(
        tried=len(told),
        failures=tuple(f"{said} {repeat(19, effort, name)}" for name, said in told.items() if said),
        text=f"The list has {len(all_faults())} faults; they are put into a copy, one at a time.",
        is_drawn=len(told) < len(faults),
    )


PARTS = (
    Part(
        number=19,
        promise="Faults that are put into the C engine, the corpus, training, sampling, probing, "
        "checkpoints and the command line are each caught by the tests of the same package.",
        not_promised="that the tests catch every fault: the list has those that somebody thought "
        "of.",
        seconds=700,
        run=try_promise,
        needs=("linux",),
    ),
)


def main(words: Iterable[str] | None = None) -> int:
    """Try the faults; 1 where one was not caught."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD")
    parser.add_argument("--list", action="store_true", help="print the faults and end")
    asked = parser.parse_args(None if words is None else list(words))
    faults = [
        fault
        for fault in all_faults()
        if any(word in fault.name or word in fault.file for word in asked.only)
    ]
    if asked.list:
        for fault in faults:
            print(f"{fault.name}: {fault.what} ({fault.file})")
        return 0
    missed = 0
    with a_copy(faults) as copy:
        for fault in faults:
            began = time.monotonic()
            told = copy.tells(fault)
            missed += bool(told)
            print(
                f"{time.monotonic() - began:5.0f} s  {told or f'{fault.name}: caught'}", flush=True
            )
    print(f"{len(faults) - missed} of {len(faults)} seeded faults are caught")
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
