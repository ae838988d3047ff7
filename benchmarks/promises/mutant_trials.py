"""Trials of mutants: the tests that run the changed lines, in a process that was forked for it.

cosmic-ray starts the tests anew for each mutant, where torch alone takes two seconds to load;
mutmut forks, but changes functions alone, not constants and fields. Here a mutant is to cost a
second, and only the tests that run the changed line are of use. So:

- One process loads the libraries that the tests need, but not textgen. Its child, the server of a
  group, loads textgen and collects the tests of the group.
- For a change within a function the server forks, the child gives the function its changed code,
  and runs the tests. For a change of code that runs when textgen is loaded, the first process
  forks, and the child loads textgen with the changed module.
- Which tests run which lines is found by one run of each file of tests, in which functions note
  what they run. It is kept by the content of the files. The tests of a mutant begin with the
  fastest one of each function, and end with the first failure. A test that takes many times as
  long as before is a failure, too.

Fixtures that a test session trains once (`tests/support/trained.py`) are trained without a change.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import hashlib
import importlib
import importlib.machinery
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FunctionType, TracebackType
from typing import Any

import pytest
from campaign import ROOT
from changed_code import Mutant, Place, noting

KEPT = ROOT / "build" / "mutants"
#: A test may take so many times as long as without a change, and so many seconds more: of
#: computing, and of the clock, for others may use the machine, too.
SLOWER, MORE = 10.0, (2.0, 60.0)
_TIMERS = ((signal.ITIMER_PROF, signal.SIGPROF), (signal.ITIMER_REAL, signal.SIGALRM))
#: Seconds of the clock for a child; bytes of addresses that it may have beyond what it begins with:
#: a test maps a file of 8 GiB that takes no memory.
FILE_SECONDS, BYTES = 1800.0, 16 * 2**30
#: How a trial ends.
KILLED, SURVIVED, OVERTIME = "killed", "survived", "overtime"

#: What one run of a test told: whether it failed, its seconds, the lines of each module.
Told = dict[str, Any]
#: Seconds of computing and of the clock that each test may take, by its name.
Limits = dict[str, tuple[float, float]]


class _Watch:
    """A plugin of pytest that runs some of the collected tests, and tells what they did.

    Args:
        modules: Paths of the modules whose lines are looked at, from the root of the checkout.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._names = {str(ROOT / module): module for module in modules}
        #: The packages, or single modules, that they are in.
        self._tops = {module.partition("/")[0].removesuffix(".py") for module in modules}
        #: Functions that ran while textgen and the tests were loaded.
        self.loaded: set[tuple[str, Place]] = set()
        self._stack: list[tuple[set[tuple[str, int]], list[float]]] = []
        self._shared: dict[int, tuple[set[tuple[str, int]], float]] = {}
        #: Of each module a byte for each of its lines: whether it ran since this was last asked.
        self._ran: dict[str, bytearray] = {}
        self._has_failed = False

    def note_call(self, frame: Any, event: str, argument: object) -> None:
        """A trace function: the functions of the modules that are called."""
        code = frame.f_code
        if code.co_filename in self._names:
            place = (code.co_qualname, code.co_firstlineno)
            self.loaded.add((self._names[code.co_filename], place))

    def note_lines(self) -> None:
        """From now on, have the functions of the modules note which lines they run."""
        codes = {}
        for number, (path, module) in enumerate(self._names.items()):
            self._ran[module] = bytearray(len(Path(path).read_bytes().splitlines()) + 1)
            name = f"__ran_{number}__"
            setattr(builtins, name, self._ran[module])
            codes[path] = noting(module, name)
        _load_with(codes)
        for (module, place), functions in self.functions().items():
            # A lambda has no statement; two of them may stand on one line.
            if not place[0].endswith("<lambda>"):
                code = _code_at(codes[str(ROOT / module)], place)
                for function in functions:
                    function.__code__ = code

    def functions(self) -> dict[tuple[str, Place], list[FunctionType]]:
        """The functions of the modules that are loaded, by where they stand."""
        found: dict[tuple[str, Place], list[FunctionType]] = {}
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename in self._names:
                code = one.__code__
                place = (code.co_qualname, code.co_firstlineno)
                found.setdefault((self._names[code.co_filename], place), []).append(one)
        return found

    def _take_lines(self) -> None:
        """Put the lines that ran since the last call on the top of the stack."""
        for module, ran in self._ran.items():
            self._stack[-1][0].update((module, line) for line, did in enumerate(ran) if did)
            ran[:] = bytes(len(ran))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        """What a fixture of several tests takes counts for each of them."""
        if fixturedef.scope == "function":
            return (yield)
        began, inner = time.process_time(), [0.0]
        self._take_lines()
        self._stack.append((set(), inner))
        try:
            return (yield)
        finally:
            self._take_lines()
            lines, _ = self._stack.pop()
            seconds = time.process_time() - began
            self._shared[id(fixturedef)] = (lines, seconds - inner[0])
            self._stack[-1][1][0] += seconds

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Whether a test, or what it needs, has failed."""
        self._has_failed |= report.failed

    def run(self, items: Sequence[Any]) -> dict[str, Told]:
        """Run tests of one file, and tell what each took and which lines it ran."""
        told = {}
        for item, following in zip(items, [*items[1:], None], strict=True):
            self._has_failed = False
            began, inner = time.process_time(), [0.0]
            began_real = time.monotonic()
            self._stack = [(set(), inner)]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._take_lines()
            lines, seconds = self._stack[0][0], time.process_time() - began - inner[0]
            for definitions in item._fixtureinfo.name2fixturedefs.values():
                for definition in definitions:
                    more, longer = self._shared.get(id(definition), (set(), 0.0))
                    lines, seconds = lines | more, seconds + longer
            by_module: dict[str, list[int]] = {}
            for module, line in sorted(lines):
                by_module.setdefault(module, []).append(line)
            told[item.nodeid] = {
                "has_failed": self._has_failed,
                "seconds": seconds,
                "waited": time.monotonic() - began_real,
                "lines": by_module,
            }
        return told

    def first_failure(self, items: Sequence[Any], limits: Limits, patience: float) -> str:
        """The first of these tests that fails; "" for none within the time."""
        end = time.process_time() + patience
        for item, following in zip(items, [*items[1:], None], strict=True):
            if time.process_time() > end:
                break
            self._has_failed = False
            self._stack = [(set(), [0.0])]
            # The default of the signals is to end the process, whatever it does.
            for (timer, number), seconds in zip(_TIMERS, limits[item.nodeid], strict=True):
                signal.signal(number, signal.SIG_DFL)
                signal.setitimer(timer, seconds)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            for timer, _ in _TIMERS:
                signal.setitimer(timer, 0)
            if self._has_failed:
                return str(item.nodeid)
        return ""


def _pytest(paths: Sequence[str], plugin: object, base: Path) -> int:
    words = [*paths, "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "--timeout", "0"]
    words += ["-m", "not slow", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    words += ["-p", "no:faulthandler"]  # What a mutant does to the engine is no news.
    words += ["--basetemp", str(base), "-o", "tmp_path_retention_policy=failed", "-o", "addopts="]
    # The libraries are loaded already.
    words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    os.chdir(ROOT)
    # Another checkout may be the installed one.
    sys.path.insert(0, str(ROOT))
    return int(pytest.main(words, plugins=[plugin]))


def _without_chance() -> None:
    """Have hypothesis draw the same examples each time, and not look for smaller ones."""
    from hypothesis import HealthCheck, Phase, settings

    phases = (Phase.explicit, Phase.generate)
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")


class OwnError(RuntimeError):
    """What went wrong in a trial, and not in the tests of it."""


def _forked(work: Callable[[], Any], seconds: float) -> tuple[Any, int]:
    """What a function returns in a process of its own, and how the process ended.

    None where it returned nothing; the second is negative for the signal that ended it.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(nothing, number)
            theirs.send(work())
            code = 0
        except BaseException:
            theirs.send(OwnError(traceback.format_exc()))
        finally:
            os._exit(code)
    theirs.close()
    told = None
    with contextlib.suppress(EOFError):
        if ours.poll(seconds):
            told = ours.recv()
    ours.close()
    # What the child started is in its group, and ends with it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if told is None and _is_running(pid, 1.0):
            os.kill(pid, signal.SIGALRM)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if isinstance(told, OwnError):
        raise told
    return told, os.waitstatus_to_exitcode(status)


def _is_running(pid: int, seconds: float) -> bool:
    """Whether a child still runs after so many seconds; it is not waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        time.sleep(0.005)
    return True


def _is_own(module: object) -> bool:
    """Whether a module belongs to the checkout; what is installed in it does not."""
    path = getattr(module, "__file__", None) or ""
    return path.startswith(f"{ROOT}{os.sep}") and "site-packages" not in path


def _load(names: Sequence[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):  # Some are made, not read.
            importlib.import_module(name)


class _Server(_Watch):
    """The process of a group: it has collected its tests, and forks for each trial."""

    def __init__(self, modules: Sequence[str], pipe: Connection) -> None:
        super().__init__(modules)
        self._pipe = pipe

    def pytest_runtestloop(self, session: Any) -> bool:
        """Answer what is asked for, until the other end is closed."""
        sys.settrace(None)
        files: dict[str, list[Any]] = {}
        for item in session.items:
            files.setdefault(str(item.path.relative_to(ROOT)), []).append(item)
        items = {item.nodeid: item for item in session.items}
        self._pipe.send(list(files))
        # Made here: each child would make it anew, and what was trained once would be lost.
        base = session.config._tmp_path_factory.getbasetemp()
        kept: set[Path] | None = None
        while True:
            try:
                what, *rest = self._pipe.recv()
            except EOFError:
                return True
            if what == "map":
                [name] = rest
                self._pipe.send(self._map(files[name]))
                continue
            if what == "load":
                self._load(*rest)
                self._functions = self.functions()
                gc.freeze()
                self._pipe.send(self.loaded)
                continue
            mutant, limits, patience = rest
            if kept is None:
                kept = set(base.iterdir())
            chosen = [items[name] for name in limits]
            work = self._trial(mutant, chosen, limits, patience)
            self._pipe.send(_forked(work, FILE_SECONDS))
            for path in set(base.iterdir()) - kept:
                shutil.rmtree(path, ignore_errors=True)

    def _map(self, items: Sequence[Any]) -> Any:
        """What each test of a file did, and what was loaded for them; None: they did not end."""

        def mapping() -> Any:
            self.note_lines()
            told = self.run(items)
            names = [name for name, one in sys.modules.items() if not _is_own(one)]
            return told, [*names, *(n for n in sys.modules if n.partition(".")[0] in self._tops)]

        found, _ = _forked(mapping, FILE_SECONDS)
        if found is not None:
            self._load(found[1])
        return found

    def _load(self, names: Sequence[str]) -> None:
        """Load what tests load while they run, so that no other process has to."""
        own = [name for name in names if name.partition(".")[0] in self._tops]
        # Libraries call nothing of the modules, and are loaded many times as fast without a trace.
        _load([name for name in names if name not in own])
        sys.settrace(self.note_call)
        _load(own)
        sys.settrace(None)

    def _trial(
        self, mutant: Mutant, items: Sequence[Any], limits: Limits, patience: float
    ) -> Callable[[], Any]:
        def trial() -> str:
            assert mutant.function is not None
            code = _code_at(mutant.code(), mutant.function)
            for function in self._functions[mutant.module, mutant.function]:
                own = code
                if not code.co_freevars:
                    # One that calls `super()` no more has no variable for its class.
                    own = code.replace(co_freevars=function.__code__.co_freevars)
                function.__code__ = own
            return self.first_failure(items, limits, patience)

        return trial


def _code_at(code: CodeType, place: Place) -> CodeType:
    """The code of a function within that of its module."""
    open_ = [code]
    for one in open_:
        if (one.co_qualname, one.co_firstlineno) == place:
            return one
        open_ += [inner for inner in one.co_consts if isinstance(inner, CodeType)]
    raise LookupError(place)


def _load_with(codes: dict[str, CodeType]) -> None:
    """Have modules that are loaded from now on run other code than their files hold.

    Args:
        codes: It, by the path of the file.
    """
    usual = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader: Any, name: str) -> Any:
        return codes.get(loader.path) or usual(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


class _Single(_Watch):
    """The process of a mutant that textgen is loaded with."""

    def __init__(self, module: str, limits: Limits, patience: float) -> None:
        super().__init__([module])
        self._limits, self._patience = limits, patience
        self.failure = "textgen or its tests cannot be loaded"

    def pytest_runtestloop(self, session: Any) -> bool:
        """Run the tests that are asked for."""
        items = {item.nodeid: item for item in session.items}
        if session.testsfailed:
            return True
        chosen = [items[name] for name in self._limits if name in items]
        self.failure = self.first_failure(chosen, self._limits, self._patience)
        return True


class Trials:
    """The trials of a group of modules; a context, which ends their processes.

    Args:
        modules: Paths of the modules, from the root of the checkout.
        tests: Paths of their tests.
        tell: Is called with what takes long.
    """

    def __init__(
        self, modules: Sequence[str], tests: Sequence[str], tell: Callable[[str], None]
    ) -> None:
        self._modules, self._paths, self._tell = modules, tests, tell
        self._place = tempfile.TemporaryDirectory(prefix="textgen-mutants-")
        self._said = Path(self._place.name) / "said"
        #: Tests that fail without a change: they are left out.
        self.failing: list[str] = []
        self._told: dict[str, Told] = {}

    def __enter__(self) -> Trials:
        _without_chance()
        self._pipe, theirs = multiprocessing.Pipe()
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            try:
                self._pipe.close()
                self._serve(theirs)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        theirs.close()
        self._files = self._ask()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._pipe.close()
        os.waitpid(self._pid, 0)
        self._place.cleanup()

    def _serve(self, pipe: Connection) -> None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(self._said, os.O_WRONLY | os.O_CREAT, 0o600), 1)
        server = _Server(self._modules, pipe)
        sys.settrace(server.note_call)
        _pytest(self._paths, server, Path(self._place.name) / "server")

    def _ask(self, *words: Any) -> Any:
        """What the server answers; without words, what it says first."""
        try:
            if words:
                self._pipe.send(words)
            return self._pipe.recv()
        except (EOFError, OSError):
            raise OwnError(self._said.read_text("utf-8", "replace")[-4000:]) from None

    def map_tests(self, end: float) -> list[str]:
        """Find which tests run which lines, as far as there is time.

        Args:
            end: Of `time.monotonic`.
        Returns:
            The files of tests that were left out.
        """
        left, names = [], {module[:-3].replace("/", ".") for module in self._modules}
        for name in self._files:
            path = KEPT / "lines" / f"{self._sum_of(name)}.json"
            if path.exists():
                told = json.loads(path.read_text("utf-8"))
            elif time.monotonic() > end:
                left.append(name)
                continue
            else:
                self._tell(f"which lines {name} runs")
                found = self._ask("map", name)
                if found is None:
                    raise OwnError(f"the tests of {name} did not end without a change")
                told = {"tests": found[0], "modules": sorted(found[1])}
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(told), "utf-8")
            names |= set(told["modules"])
            for test, one in told["tests"].items():
                if one["has_failed"]:
                    self.failing.append(test)
                else:
                    self._told[test] = one
        self._loaded = self._ask("load", sorted(names))
        tops = {module.partition("/")[0].removesuffix(".py") for module in self._modules}
        _load(sorted(name for name in names if name.partition(".")[0] not in tops))
        if loaded := tops & set(sys.modules):
            raise OwnError(f"{loaded} must be loaded by the trials themselves")
        return left

    def _sum_of(self, name: str) -> str:
        read = [ROOT / name, *sorted((ROOT / "tests").rglob("conftest.py"))]
        read += sorted((ROOT / "tests" / "support").rglob("*.py"))
        read += [ROOT / module for module in self._modules]
        return sum_of(read)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that run the changed statement, the fastest one of each function first."""
        by_function: dict[str, list[tuple[float, str]]] = {}
        # Types and numbers alone: no test runs a line of it, and any may use them.
        is_silent = not any(one["lines"].get(mutant.module) for one in self._told.values())
        for test, one in self._told.items():
            lines = one["lines"].get(mutant.module, ())
            # What is loaded is used by whatever runs the module.
            is_used = bool(lines) or is_silent
            if is_used if mutant.function is None else set(mutant.lines) & set(lines):
                by_function.setdefault(test.partition("[")[0], []).append((one["seconds"], test))
        ranked = [
            (rank, seconds, test)
            for tests in by_function.values()
            for rank, (seconds, test) in enumerate(sorted(tests))
        ]
        return [test for _, _, test in sorted(ranked)]

    def run(self, mutant: Mutant, patience: float) -> tuple[str, str]:
        """Try a mutant.

        Args:
            mutant: It.
            patience: Seconds of tests after which one that no test has seen has survived.
        Returns:
            How it ended, and the test that noticed the change.
        """
        limits = {
            name: tuple(
                self._told[name][usual] * SLOWER + more
                for usual, more in zip(("seconds", "waited"), MORE, strict=True)
            )
            for name in self.tests_of(mutant)
        }
        if not limits:
            return SURVIVED, "no test runs the line"
        is_loaded = mutant.function is None or (mutant.module, mutant.function) in self._loaded
        if not is_loaded:
            told, code = self._ask("trial", mutant, limits, patience)
        else:
            told, code = _forked(lambda: self._loading(mutant, limits, patience), FILE_SECONDS)
        if told is not None:
            return (KILLED, told) if told else (SURVIVED, f"of {len(limits)} tests")
        if code in (-signal.SIGALRM, -signal.SIGPROF):
            return OVERTIME, f"more than {SLOWER:.0f} times as long"
        return KILLED, f"the process ended with {code}"

    def _loading(self, mutant: Mutant, limits: Limits, patience: float) -> str:
        _load_with({str(ROOT / mutant.module): mutant.code()})
        plugin = _Single(mutant.module, limits, patience)
        with tempfile.TemporaryDirectory(dir=self._place.name) as place:
            files = sorted({test.partition("::")[0] for test in limits})
            _pytest(files, plugin, Path(place) / "base")
        return plugin.failure


def sum_of(paths: Sequence[Path]) -> str:
    """A hash of what files hold."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:24]
