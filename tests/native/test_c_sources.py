"""The C files include each other in one direction, and Python declares what they declare."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import pytest

from textgen.cells import BUILT_IN, NONLINEARITIES
from textgen.native import counts, net, sampler
from textgen.native.library import ISA_NAMES, SOURCES, signature

#: Structures of C: the class of each, and the names of fields that are an array there.
STRUCTURES: dict[str, type[ctypes.Structure]] = {
    "tg_config": net.Config,
    "tg_layer": net.Layer,
    "tg_weights": net.Weights,
    "tg_window": net.Window,
    "tg_adamw": net.AdamWStep,
    "tg_descent": net.DescentStep,
    "tg_edit": net._Edit,
    "tg_edits": net.EditList,
    "tg_form": sampler._Form,
    "tg_place": sampler._Place,
    "tg_choice": sampler._Choice,
    "tg_chosen": sampler._Chosen,
    "tg_mixer": counts._Mixer,
}
#: How C writes a field that has another name there.
IN_C = {
    f"tg_layer.weight_{name}": f"peepholes[{i}]"
    for i, name in enumerate(("ci", "cf", "co", "cd", "ld"))
}
CONSTANTS = {
    **{f"TG_{name.upper().replace('-', '_')}": i for i, name in enumerate(BUILT_IN)},
    **{f"TG_{name.upper()}": i for i, name in enumerate(NONLINEARITIES)},
    **{f"TG_{name.upper()}": i for i, name in enumerate(ISA_NAMES)},
    **{f"TG_STATE_{name.upper()}": i for i, name in enumerate(net.STATES)},
    "TG_CELL_COUNT": len(BUILT_IN),
    "TG_ISA_COUNT": len(ISA_NAMES),
    "TG_READ_CELL": net.READ_CELL,
    "TG_READ_HIDDEN": net.READ_HIDDEN,
    "TG_READ_OUTPUT": net.READ_OUTPUT,
}


def included(path: Path) -> list[str]:
    """The files of ours that a C file includes, in order."""
    return re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(), re.MULTILINE)


def test_no_file_includes_itself_on_any_way() -> None:
    files = {path.name: included(path) for path in SOURCES.iterdir()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle: {' -> '.join((*way, name))}"
        if name not in done:
            for other in files[name]:
                visit(other, (*way, name))
            done.add(name)

    for name in files:
        visit(name, ())


def test_implementation_is_listed_in_one_place() -> None:
    """A header has declarations and a guard; what computes is an `.inc`, named by `kernels.c`."""
    parts = sorted(SOURCES.glob("*.inc"))
    assert sorted(name for name in included(SOURCES / "kernels.c") if name.endswith(".inc")) == [
        path.name for path in parts
    ]
    for path in parts:
        assert not included(path)
    for path in SOURCES.glob("*.h"):
        guard = re.findall(r"^#ifndef (\w+_H)$", path.read_text(), re.MULTILINE)
        assert len(guard) == 1
        assert not re.search(r"^static \w", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["kernels.c", "textgen.h", "net.inc"])
def test_every_kind_of_file_is_in_the_signature(tmp_path: Path, name: str) -> None:
    for path in SOURCES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert signature(tmp_path) == signature()
    (tmp_path / name).write_text("/* changed */")
    assert signature(tmp_path) != signature()


def test_python_declares_what_c_declares(tmp_path: Path, compiler: list[str]) -> None:
    """Sizes and places of every field, the numbers of every name; the cells by name and order."""
    asked = {f"sizeof({name})": ctypes.sizeof(kind) for name, kind in STRUCTURES.items()}
    for name, kind in STRUCTURES.items():
        for field, *_ in kind._fields_:
            there = IN_C.get(f"{name}.{field}", field)
            asked[f"offsetof({name}, {there})"] = getattr(kind, field).offset
            asked[f"sizeof((({name} *)0)->{there})"] = getattr(kind, field).size
    asked |= CONSTANTS
    prints = "\n".join(f'    printf("%zu\\n", (size_t)({what}));' for what in asked)
    (tmp_path / "ask.c").write_text(
        '#include <stdio.h>\n#include "count_api.h"\n'
        "#define NAME(cell, name, with) puts(name);\n"
        f"int main(void) {{\n{prints}\n    TG_EACH_CELL(NAME, )\n    return 0;\n}}\n"
    )
    program = tmp_path / "ask"
    words = [*compiler, "-std=gnu11", f"-I{SOURCES}", str(tmp_path / "ask.c"), "-o", str(program)]
    subprocess.run(words, check=True)
    said = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    numbers, names = said[: len(asked)], said[len(asked) :]
    assert dict(zip(asked, map(int, numbers), strict=True)) == asked
    assert tuple(names) == BUILT_IN
