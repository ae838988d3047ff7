"""What is loaded, what is refused, and what is said about it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from textgen.errors import ConfigError
from textgen.native import library
from textgen.native.build import build_library
from textgen.native.library import INSTRUCTION_SETS, signature

REPORT = """
import json, sys
from textgen.native import library
loaded = library.load() is not None
print(json.dumps({
    "loaded": loaded,
    "isas": library.supported_isas(),
    "reason": library.missing_reason(),
    "line": library.describe(),
    "heavy": sorted({"numpy", "torch", "subprocess", "textgen.native.build"} & set(sys.modules)),
}))
"""


def report(tree: Path, **extra: str) -> dict:
    """What the textgen in `tree` says in a process of its own."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", library.LIBRARY_VARIABLE)}
    done = subprocess.run(
        [sys.executable, "-c", REPORT],
        capture_output=True,
        text=True,
        cwd=tree,  # Python looks there first.
        env={**env, **extra},
        check=True,
    )
    return json.loads(done.stdout)


def native(tree: Path) -> Path:
    return tree / "textgen" / "native"


#: What the compiler made of sources, by their signature: several trees have the same.
BUILT: dict[str, bytes] = {}


def build(tree: Path) -> Path:
    """Build the library of `tree` where it is looked for."""
    output = native(tree) / library.LIBRARY.name
    sources = native(tree) / "src"
    mark = signature(sources)
    if mark in BUILT:
        output.write_bytes(BUILT[mark])
    else:
        build_library(output, sources=sources)
        BUILT[mark] = output.read_bytes()
    return output


def refusal(tree: Path) -> str:
    """The reason why `tree` has no library; it always says what that costs and what to type."""
    said = report(tree)
    assert not said["loaded"]
    assert said["isas"] == []
    assert said["line"] == said["reason"]
    assert said["reason"].endswith(
        "; without it training and sampling on a CPU are many times slower; with a C compiler "
        "(gcc or clang) installed, type: python -m textgen.native.build"
    )
    assert "\n" not in said["reason"]
    return said["reason"].split("; without")[0]


@pytest.mark.usefixtures("compiler")
def test_a_library_is_loaded_and_says_what_it_runs_on(small_tree: Path) -> None:
    build(small_tree)
    said = report(small_tree)
    assert said["loaded"]
    assert said["reason"] == ""
    expected = list(library.isas_of_this_machine())
    assert said["isas"] == expected
    assert said["line"] == f"native engine: {', '.join(expected)}"
    assert said["heavy"] == []


def test_where_nothing_is_built(small_tree: Path) -> None:
    assert refusal(small_tree) == "the native engine is not built here"


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("name", ["kernels.c", "new.h"])
def test_a_library_of_other_sources_is_not_loaded(small_tree: Path, name: str) -> None:
    build(small_tree)
    with (native(small_tree) / "src" / name).open("a") as file:
        file.write("/* changed */\n")
    assert "was built from other sources" in refusal(small_tree)


@pytest.mark.usefixtures("compiler")
def test_times_of_files_do_not_matter(small_tree: Path) -> None:
    built = build(small_tree)
    os.utime(built, (1, 1))
    assert report(small_tree)["loaded"]


@pytest.mark.usefixtures("compiler")
def test_a_library_of_another_version_is_not_called(small_tree: Path) -> None:
    source = native(small_tree) / "src" / "textgen.c"
    source.write_text(source.read_text().replace("return ABI; }", "return 41; }", 1))
    build(small_tree)
    calls = f"is of version 41, where this textgen calls version {library.ABI_VERSION}"
    assert calls in refusal(small_tree)


@pytest.mark.usefixtures("compiler")
def test_a_library_that_is_something_else(small_tree: Path) -> None:
    (native(small_tree) / "src" / "textgen.c").write_text("int nothing;\n")
    build(small_tree)
    assert "is another library" in refusal(small_tree)


def test_a_damaged_library(small_tree: Path) -> None:
    mark = signature(native(small_tree) / "src")
    (native(small_tree) / library.LIBRARY.name).write_text(f"{mark} and no more")
    assert "cannot be loaded" in refusal(small_tree)


@pytest.mark.usefixtures("compiler")
def test_another_file_can_be_named(small_tree: Path, tmp_path: Path) -> None:
    """It is loaded whatever it was built from: a sanitised build, say."""
    built = build(small_tree).rename(tmp_path / "named.so")
    (native(small_tree) / "src" / "textgen.c").write_text("")
    assert report(small_tree, **{library.LIBRARY_VARIABLE: str(built)})["loaded"]


def test_a_named_file_that_is_missing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for is not silently done without."""
    monkeypatch.setenv(library.LIBRARY_VARIABLE, str(tmp_path / "absent.so"))
    library._loaded.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"TEXTGEN_NATIVE_LIBRARY=.*absent\.so: is no file"):
            library.load()
    finally:
        library._loaded.cache_clear()


def test_the_c_side_has_the_same_names_and_version() -> None:
    header = (Path(library.__file__).parent / "src" / "textgen.h").read_text()
    assert int(re.findall(r"#define TG_ABI_VERSION (\d+)", header)[0]) == library.ABI_VERSION
    order = re.findall(r"enum \{ (TG_AMX.*?), TG_ISA_COUNT \}", header)[0]
    assert tuple(order.lower().replace("tg_", "").split(", ")) == library.ISA_NAMES
    assert set(library.BF16_ISAS) <= set(library.ISA_NAMES)


@pytest.mark.usefixtures("compiler")
def test_the_engine_is_built_where_there_is_a_compiler() -> None:
    """Else every other test of it would be left out, and nobody would know."""
    assert library.load() is not None, library.missing_reason()
    assert "generic" in library.supported_isas()


#: As `/proc/cpuinfo` names them, among its flags or features.
FLAGS = {
    "amx": {"amx_tile", "amx_bf16", "avx512_bf16"},
    "avx512bf16": {"avx512_bf16"},
    "avx512": {"avx512f", "avx512bw", "avx512vl", "avx512dq"},
    "avx2": {"avx2", "fma"},
    "bf16mmla": {"bf16"},
    "neon": {"asimd"},
    "generic": set(),
}


@pytest.mark.usefixtures("compiler")
def test_what_this_cpu_runs_is_what_linux_says_of_it() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    word = {"x86_64": "flags", "aarch64": "Features"}.get(platform.machine(), "")
    lines = []
    if word and cpuinfo.is_file():
        lines = re.findall(rf"^{word}\s*: (.*)$", cpuinfo.read_text(), re.M)
    if not lines:  # An emulator shows the file of the machine that it runs on.
        pytest.skip("no /proc/cpuinfo of this kind of CPU to compare with")
    if os.environ.get(library.LIBRARY_VARIABLE):
        pytest.skip("another library is named, which may emulate what this CPU lacks")
    has = set(lines[0].split())
    assert set(FLAGS) == set(INSTRUCTION_SETS)
    expected = [name for name in library.isas_of_this_machine() if has >= FLAGS[name]]
    assert list(library.supported_isas()) == expected
