"""The AMX path on any CPU with AVX-512 and bf16: its tiles emulated in C, memory poisoned."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from textgen.native import build
from textgen.native.library import isas_of, supported_isas


@pytest.mark.parametrize(
    ("sets", "optimization"),
    [
        # The compiler takes a minute for the code of all sets as it is built for users.
        pytest.param(("amx", "generic"), ["-O1"], id="tiles and plain code"),
        pytest.param(
            isas_of("x86-64"),
            [],
            id="all",
            marks=[pytest.mark.slow, pytest.mark.timeout(1800)],
        ),
    ],
)
def test_amx_path_passes_the_engines_tests_with_emulated_tiles(
    sets: tuple[str, ...],
    optimization: list[str],
    tmp_path: Path,
    repository: Path,
    compiler: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Same code, same indexing; only the tile instructions are replaced.

    Fresh memory is NaN there (`TG_POISON`), so that a read before a write shows in a result: in the
    code for bf16, which the tiles share, and in that for fp32.
    """
    if "avx512bf16" not in supported_isas():
        pytest.skip("the AMX path's other instructions need a CPU with AVX-512 and bf16")
    monkeypatch.setenv("CC", shlex.join([*compiler, "-DTG_AMX_EMULATED", "-DTG_POISON"]))
    monkeypatch.setattr(build, "FAST_FLAGS", [*build.FAST_FLAGS, *optimization])
    library = tmp_path / "emulated.so"
    build.build_library(library, only=sets)
    found = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
            "tests/native/test_net.py",
        ],
        cwd=repository,
        env={**os.environ, "TEXTGEN_NATIVE_LIBRARY": str(library)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-3000:]
    for isa in sets:
        assert f"[{isa}-lstm-tanh-512] PASSED" in found.stdout
