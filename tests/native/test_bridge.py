"""The bridge of `make test-windows`, between two programs of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.bridge import build_bridge, build_system_trial, variables
from support.small_runs import ROOT

from textgen.native import library

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shares memory so"),
    pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="another library takes its place"),
]

#: Something of every header, several threads of Python at once, and several of the engine.
CHOSEN = {
    "tests/native/test_net.py": "share_a_network or memory_is_given_back or no_symbol",
    "tests/native/test_update.py": "first_step or pulled_back",
    "tests/native/test_sampler.py": "writing_is_choosing or junctions or divided_among_threads",
    "tests/mixing/test_counts.py": "",
}


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both ends of the bridge."""
    if not library.supported_isas():
        pytest.skip("the native library is not built")
    return build_bridge(tmp_path_factory.mktemp("bridge"))


def through(
    here: Path, command: list[str], *words: str, **changed: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with the engine behind the bridge."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    env = {**os.environ, **variables(here, command), "PYTHONPATH": path, **changed}
    return subprocess.run(
        [sys.executable, *words], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )


def engine() -> str:
    """The file of the engine that the tests use."""
    return os.environ.get(library.LIBRARY_VARIABLE, str(library.LIBRARY))


@pytest.mark.slow
def test_tests_of_the_engine_pass_over_the_bridge(ends: tuple[Path, Path]) -> None:
    here, there = ends
    names = " or ".join(filter(None, CHOSEN.values()))
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"test_counts or {names}")
    done = through(here, [str(there), engine()], *words, *CHOSEN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_an_engine_that_ends_is_named_with_its_call(ends: tuple[Path, Path]) -> None:
    """Nothing goes on with numbers that nobody has computed."""
    here, there = ends
    bad = """
import ctypes
from textgen.native import library
call = library.load().tg_net_bytes
call.argtypes = [ctypes.c_void_p]
call(8)
print("went on")
"""
    done = through(here, [str(there), engine()], "-c", bad)
    assert done.returncode == 70
    assert "the program with the engine has ended in tg_net_bytes" in done.stderr
    assert "went on" not in done.stdout


@pytest.mark.parametrize(
    ("command", "memory", "said"),
    [
        ("false", "malloc", "the program with the engine has ended"),
        ("{there} /nowhere.so", "malloc", "/nowhere.so: cannot open"),
        ("{there} {engine}", "default", "PYTHONMALLOC is to be malloc"),
    ],
)
def test_a_bridge_that_cannot_be_built_says_why(
    ends: tuple[Path, Path], command: str, memory: str, said: str
) -> None:
    here, there = ends
    words = command.format(there=there, engine=engine()).split()
    asks = "from textgen.native import library; library.load()"
    done = through(here, words, "-c", asks, PYTHONMALLOC=memory)
    assert done.returncode == 70
    assert said in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("-U__linux__",)], ids=["a futex", "a lock and a bed"])
def test_the_system_keeps_what_is_asked_of_it(flags: tuple[str, ...], tmp_path: Path) -> None:
    """The second as on macOS; `make test-windows` runs the same on Windows."""
    build_system_trial(tmp_path / "try_system", flags=flags)
    done = subprocess.run(
        [tmp_path / "try_system"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("\n") == 5


def test_a_missing_wine_is_said_in_a_line() -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "tests/native/windows.sh"), sys.executable],
        env={**os.environ, "WINE": "/nowhere/wine64"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == (
        "/nowhere/wine64 is not found: this needs x86-64 and Debian or Ubuntu, and "
        "apt-get install wine64\n"
    )
