"""The compilation: what is compiled, with what, and what happens when it fails."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textgen.errors import BackendError, StorageError
from textgen.native.build import ARCHITECTURE_MACROS, build_library, find_compiler, main
from textgen.native.library import ISA_NAMES, LIBRARY, is_current, isas_of, isas_of_this_machine

pytestmark = pytest.mark.usefixtures("compiler")

X86 = pytest.mark.skipif(
    "avx2" not in isas_of_this_machine(), reason="the compiler here is one for another machine"
)


def supported(library: Path) -> list[str]:
    loaded = ctypes.CDLL(str(library))
    return [name for i, name in enumerate(ISA_NAMES) if loaded.tg_isa_supported(i)]


def refusing(folder: Path, flag: str) -> Path:
    """A C compiler that does not know `flag`."""
    wrapper = folder / "cc-of-old"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *{flag}*) echo "unknown option {flag}" >&2; exit 1;; esac\n'
        f'exec {shutil.which(find_compiler()[0])} "$@"\n'
    )
    wrapper.chmod(0o755)
    return wrapper


def test_one_library_has_code_for_every_instruction_set(stand_in: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    output = tmp_path / "new folder" / "library.so"
    built = build_library(output, sources=stand_in, say=lines.append)
    assert built.path == output
    sets = isas_of_this_machine()
    assert built.instruction_sets == sets
    assert built.left_out == ()
    assert supported(output) == list(sets)
    assert is_current(output, stand_in)
    assert os.listdir(output.parent) == [output.name]
    assert f"for {', '.join(sets)} ..." in lines[0]
    assert lines[-1].startswith(f"built {output} (")
    assert lines[-1].endswith(" s")


@X86
def test_what_the_compiler_does_not_know_is_left_out(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", str(refusing(tmp_path, "-mamx-tile")))
    lines: list[str] = []
    built = build_library(tmp_path / "library.so", sources=stand_in, say=lines.append)
    assert built.left_out == ("amx",)
    assert built.instruction_sets == ("avx512bf16", "avx512", "avx2", "generic")
    assert supported(built.path) == ["avx512bf16", "avx512", "avx2", "generic"]
    assert "left out, because this compiler does not know them: amx" in lines


def test_a_compiler_for_another_machine_builds_for_that(stand_in: Path, tmp_path: Path) -> None:
    """Which it is says the compiler, not the machine that it runs on."""
    words = [*find_compiler(), *(f"-U{macro}" for macro in ARCHITECTURE_MACROS.values())]
    built = build_library(tmp_path / "library.so", compiler=words, sources=stand_in)
    assert built.instruction_sets == isas_of("") == ("generic",)
    assert built.left_out == ()
    assert supported(built.path) == ["generic"]


@X86
def test_the_instruction_sets_can_be_named(stand_in: Path, tmp_path: Path) -> None:
    sets = ["avx2", "generic"]
    built = build_library(tmp_path / "library.so", only=sets, sources=stand_in)
    assert built.instruction_sets == ("avx2", "generic")
    assert supported(built.path) == sets


def test_the_compiler_that_cc_names_is_taken(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its arguments, as `CC="ccache gcc"`."""
    lines: list[str] = []
    monkeypatch.setenv("CC", f"env {find_compiler()[0]} -DHERE")
    build_library(tmp_path / "library.so", sources=stand_in, say=lines.append)
    assert " -DHERE for " in lines[0]
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BackendError, match="CC=no-such-compiler is not found"):
        build_library(tmp_path / "library.so", sources=stand_in)


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match=r"no C compiler is found \(cc, gcc, clang\); install"):
        find_compiler()


@pytest.mark.slow
def test_what_does_not_compile_leaves_the_old_library_alone(stand_in: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "library.so"
    build_library(output, sources=stand_in)
    before = output.read_bytes()
    (stand_in / "kernels.c").write_text("int broken = ;\n")
    with pytest.raises(BackendError, match="the C compiler failed") as caught:
        build_library(output, sources=stand_in)
    assert "kernels.c:1" in str(caught.value)
    assert output.read_bytes() == before
    assert not is_current(output, stand_in)
    assert os.listdir(output.parent) == [output.name]


def test_an_output_that_cannot_be_written(stand_in: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="the library goes there"):
        build_library(tmp_path / "file" / "library.so", sources=stand_in)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_compilers_end_with_the_build(number: signal.Signals, tmp_path: Path) -> None:
    """And what they have started, however the build ends."""
    slow, started = tmp_path / "slow-cc", tmp_path / "started"
    slow.write_text(f'#!/bin/sh\nsleep 300 &\necho $$ $! >> "{started}"\nwait\n')
    slow.chmod(0o755)
    words = [sys.executable, "-m", "textgen.native.build", "--force"]
    building = subprocess.Popen(
        [*words, "--output", str(tmp_path / "library.so")],
        env={**os.environ, "CC": str(slow)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    processes = waited_for(lambda: started.is_file() and started.read_text("ascii").split())
    building.send_signal(number)
    assert building.wait(60) != 0
    assert len(processes) >= 2
    waited_for(lambda: not any(map(runs, processes)))


def runs(process: str) -> bool:
    """Whether a process runs; one that has ended and waits to be seen does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", process], capture_output=True, text=True)
    return shown.stdout.strip() != "" and not shown.stdout.strip().startswith("Z")


def waited_for(happens: Callable[[], Any]) -> Any:
    """What a function returns once that is true."""
    end = time.monotonic() + 60
    while not (result := happens()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return result


@pytest.mark.slow
def test_the_command_builds_what_is_not_up_to_date(small_tree: Path) -> None:
    """And says what it does, and how long that took."""

    def run(*words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "textgen.native.build", *words],
            capture_output=True,
            text=True,
            cwd=small_tree,  # Python looks there first.
            check=True,
        )
        assert done.stderr == ""
        return [line.split()[0] for line in done.stdout.splitlines()]

    library = str(small_tree / "textgen" / "native" / LIBRARY.name)
    assert run() == ["compiling", "built"]
    assert run() == [library]
    assert run("--force") == ["compiling", "built"]
    with (small_tree / "textgen" / "native" / "src" / "kernels.c").open("a") as file:
        file.write("/* changed */")
    assert run() == ["compiling", "built"]


def test_the_command_ends_with_the_code_of_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    lines: list[str] = []
    assert main(["--output", str(tmp_path / "library.so")], lines.append) == 8
    assert lines == [
        "textgen.native.build: CC=no-such-compiler is not found; set it to a C compiler"
    ]


@pytest.mark.slow
def test_a_sanitised_library_stops_at_a_wrong_address(stand_in: Path, tmp_path: Path) -> None:
    """The arrangement of `make test-native-asan`."""
    runtime = subprocess.run(
        [*find_compiler(), "-print-file-name=libasan.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not os.path.isabs(runtime):
        pytest.skip("this compiler brings no libasan.so")
    for sanitize in (False, True):
        library = build_library(
            tmp_path / f"{sanitize}.so", sanitize=sanitize, sources=stand_in
        ).path
        done = subprocess.run(
            [sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(library)!r}).overrun()"],
            capture_output=True,
            text=True,
            env={**os.environ, "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"},
            check=False,
        )
        assert (done.returncode != 0) == sanitize, done.stderr
        assert ("out of bounds" in done.stderr) == sanitize
