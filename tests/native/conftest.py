"""Copies of the project, with a stand-in for the engine, and a place to install them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.environments import Environment

from textgen.checkpoint import SHIPPED
from textgen.errors import BackendError
from textgen.native.build import find_compiler
from textgen.native.library import ABI_VERSION

#: Compiles in a moment, and supports every instruction set that it was built with.
STAND_IN = {
    "textgen.c": f"#define ABI {ABI_VERSION}\n"
    """
        #define API __attribute__((visibility("default")))
        API int tg_abi_version(void) { return ABI; }
        API int tg_isa_supported(int isa) {
            switch (isa) {
        #ifdef TG_HAVE_AMX
                case 0: return 1;
        #endif
        #ifdef TG_HAVE_AVX512BF16
                case 1: return 1;
        #endif
        #ifdef TG_HAVE_AVX512
                case 2: return 1;
        #endif
        #ifdef TG_HAVE_AVX2
                case 3: return 1;
        #endif
        #ifdef TG_HAVE_BF16MMLA
                case 4: return 1;
        #endif
        #ifdef TG_HAVE_NEON
                case 5: return 1;
        #endif
        #ifdef TG_HAVE_GENERIC
                case 6: return 1;
        #endif
            }
            return 0;
        }
        API int overrun(void) { volatile int a[4] = {0}; volatile int i = 4; return a[i]; }
    """,
    # Two of these in one library would not link.
    "kernels.c": """
        #if defined(TG_ISA_AMX)
        int kernels_amx;
        #elif defined(TG_ISA_AVX512BF16)
        int kernels_avx512bf16;
        #elif defined(TG_ISA_AVX512)
        int kernels_avx512;
        #elif defined(TG_ISA_AVX2)
        int kernels_avx2;
        #elif defined(TG_ISA_BF16MMLA)
        int kernels_bf16mmla;
        #elif defined(TG_ISA_NEON)
        int kernels_neon;
        #elif defined(TG_ISA_GENERIC)
        int kernels_generic;
        #endif
    """,
}


@pytest.fixture
def compiler() -> list[str]:
    """The C compiler; the test is skipped where there is none."""
    try:
        return find_compiler()
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder of sources that take the engine's place."""
    folder = tmp_path / "src"
    folder.mkdir()
    for name, text in STAND_IN.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def tree(tmp_path: Path, repository: Path) -> Path:
    """A copy of what is installed, the engine's sources included, without anything built."""
    copy = tmp_path / "tree"
    built = shutil.ignore_patterns("__pycache__", "_textgen.*", ".build-*")
    models = (f"checkpoints/{model.name}" for model in SHIPPED)
    for name in ("textgen", "docs/lessons", "corpora", *models):
        shutil.copytree(repository / name, copy / name, ignore=built)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(repository / name, copy / name)
    return copy


@pytest.fixture
def small_tree(tree: Path, stand_in: Path) -> Path:
    """The same with the stand-in instead of the engine."""
    shutil.rmtree(tree / "textgen" / "native" / "src")
    stand_in.rename(tree / "textgen" / "native" / "src")
    return tree


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A fresh one."""
    return Environment(tmp_path / "environment")
