"""The AMX path on any CPU with AVX-512 and bf16: its tiles emulated in C, memory poisoned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from textgen.native.build import build_library
from textgen.native.library import supported_isas


def test_amx_path_passes_the_engines_tests_with_emulated_tiles(
    tmp_path: Path, repository: Path, compiler: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same code, same indexing; only the tile instructions are replaced.

    Fresh memory is NaN there (`TG_POISON`), so that a read before a write shows in a result.
    """
    if "avx512bf16" not in supported_isas():
        pytest.skip("the AMX path's other instructions need a CPU with AVX-512 and bf16")
    monkeypatch.setenv("CC", " ".join([*compiler, "-DTG_AMX_EMULATED", "-DTG_POISON"]))
    library = tmp_path / "emulated.so"
    build_library(library)
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
    assert "[amx-lstm-tanh-512] PASSED" in found.stdout
