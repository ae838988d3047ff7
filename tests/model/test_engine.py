"""The choice of a path: what is taken, why, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from textgen.cells import CELLS, Cell, LSTMCell, get_cell
from textgen.errors import BackendError, ConfigError
from textgen.model import engine as module
from textgen.model import recurrence
from textgen.model.engine import OWN_CELL, choose_engine
from textgen.model.network import Engine
from textgen.native import library
from textgen.runtime import PATH_VARIABLE

LSTM = get_cell("lstm")
EVERY_ISA = library.isas_of("x86-64")
WITHOUT_BF16 = ("avx512", "avx2", "generic")
ARM = library.isas_of("aarch64")


@pytest.fixture(autouse=True)
def no_forced_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)


def has_isas(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Let the native library be there with these instruction sets, or missing."""
    patch.setattr(library, "supported_isas", lambda: names)
    patch.setattr(library, "missing_reason", lambda: "" if names else "the engine is not built")


def torch_can(patch: pytest.MonkeyPatch, capabilities: dict, works: bool = True) -> None:
    """Let the library be missing and torch find this CPU."""
    has_isas(patch)
    patch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    patch.setattr(recurrence, "bf16_works", lambda kernel, device: works)


def test_neither_the_engine_nor_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to get one and how the other."""
    has_isas(monkeypatch)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendError, match=r"the engine is not built; .* needs torch") as error:
        choose_engine(LSTM)
    assert str(error.value).endswith("type: pip install torch")


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize(
    ("isas", "precision", "taken", "why"),
    [
        (EVERY_ISA, "auto", ("amx", "bf16"), "multiplies it faster than fp32"),
        (EVERY_ISA[1:], "auto", ("avx512bf16", "bf16"), "multiplies it faster than fp32"),
        (EVERY_ISA, "bf16", ("amx", "bf16"), "asked for"),
        (EVERY_ISA, "fp32", ("avx512", "fp32"), "asked for"),
        (WITHOUT_BF16, "auto", ("avx512", "fp32"), "no bf16 instructions"),
        (ARM, "auto", ("bf16mmla", "bf16"), "multiplies it faster than fp32"),
        (ARM, "fp32", ("neon", "fp32"), "asked for"),
        (ARM[1:], "auto", ("neon", "fp32"), "no bf16 instructions"),
        (("generic",), "auto", ("generic", "fp32"), "no bf16 instructions"),
    ],
)
def test_a_cpu_takes_the_native_engine_and_its_best_instructions(
    monkeypatch: pytest.MonkeyPatch,
    cell: Cell,
    isas: tuple,
    precision: str,
    taken: tuple,
    why: str,
) -> None:
    has_isas(monkeypatch, *isas)
    path = choose_engine(cell, "cpu", precision, threads=3)
    isa, own = taken
    assert (path.name, path.isa, path.precision) == ("native", isa, own)
    assert (path.device, path.threads) == ("cpu", 3)
    label = "the native engine"
    assert path.reason == f"{label}; {own}: {path.reason.split(': ')[1]}"
    assert why in path.reason


def test_bf16_without_instructions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    has_isas(monkeypatch, *WITHOUT_BF16)
    with pytest.raises(
        BackendError, match=r"no instructions for it, only: avx512.*precision='fp32'"
    ):
        choose_engine(LSTM, "cpu", "bf16")


def test_a_missing_library_is_said_in_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_can(monkeypatch, {})
    for name in ("lstm", "gru", "rnn"):
        path = choose_engine(get_cell(name), "cpu")
        assert (path.name, path.isa) == ("torch", "")
        assert path.reason.startswith(f"torch's {name.upper()}; fp32: ")
        assert path.reason.endswith("; the engine is not built")
    path = choose_engine(get_cell("rnn", "identity"), "cpu")
    assert path.name == "reference"
    assert path.reason == (
        "a loop over time steps: torch has no kernel for 'rnn' with the nonlinearity 'identity'; "
        "the engine is not built"
    )


class NewCell(LSTMCell):
    """One that nobody wrote a kernel for yet."""

    name = "new"


def test_a_cell_without_a_kernel_is_looped(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = NewCell()
    has_isas(monkeypatch, *EVERY_ISA)
    path = choose_engine(cell, "cpu", threads=2)
    assert path == Engine(
        "reference",
        "fp32",
        f"a loop over time steps: {OWN_CELL.format(name=cell.name)}",
        threads=2,
    )
    with pytest.raises(BackendError, match="knows no bf16"):
        choose_engine(cell, "cpu", "bf16")


def test_another_device_takes_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    has_isas(monkeypatch, *EVERY_ISA)
    path = choose_engine(LSTM, "mps")
    assert (path.name, path.precision, path.device) == ("torch", "fp32", "mps")
    assert "the mps device is run in float32" in path.reason
    assert "engine" not in path.reason


@pytest.mark.parametrize(
    ("capabilities", "works", "precision", "why"),
    [
        ({"amx_bf16": True}, True, "bf16", "AMX"),
        ({"amx_bf16": False, "avx512_bf16": True}, True, "bf16", "AVX-512"),
        ({"avx512_bf16": True}, False, "fp32", "does not work"),
        ({}, True, "fp32", "no bf16 instructions"),
    ],
)
def test_torch_takes_bf16_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict, works: bool, precision: str, why: str
) -> None:
    torch_can(monkeypatch, capabilities, works)
    path = choose_engine(LSTM, "cpu")
    assert (path.name, path.precision) == ("torch", precision)
    assert why in path.reason


def test_torch_computes_in_the_precision_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_can(monkeypatch, {"amx_bf16": True})
    assert choose_engine(LSTM, "cpu", "fp32").reason.startswith("torch's LSTM; fp32: asked for")
    torch_can(monkeypatch, {})
    assert choose_engine(LSTM, "cpu", "bf16").reason.startswith("torch's LSTM; bf16: asked for")


def test_bf16_that_does_not_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_can(monkeypatch, {"amx_bf16": True}, works=False)
    with pytest.raises(BackendError, match=r"bf16 does not work on this cpu .*precision='fp32'"):
        choose_engine(LSTM, "cpu", "bf16")


def test_bf16_is_tried_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(torch, "gru", broken)
    assert not recurrence.bf16_works("gru", torch.device("cpu"))


@pytest.mark.parametrize("kernel", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
def test_the_trial_does_not_depend_on_who_asks(kernel: str) -> None:
    with torch.no_grad():
        quiet = recurrence.bf16_works(kernel, torch.device("cpu"))
    assert quiet == recurrence.bf16_works(kernel, torch.device("cpu"))


def force(patch: pytest.MonkeyPatch, name: str, *isas: str) -> None:
    has_isas(patch, *isas)
    patch.setenv(PATH_VARIABLE, name)


def test_torch_and_the_reference_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, "reference", *EVERY_ISA)
    path = choose_engine(LSTM, "cpu")
    assert (path.name, path.precision) == ("reference", "fp32")
    assert path.reason == f"a loop over time steps: {PATH_VARIABLE} asks for it"
    force(monkeypatch, "torch", *EVERY_ISA)
    assert choose_engine(LSTM, "cpu").name == "torch"


@pytest.mark.parametrize(
    ("forced", "precision", "taken"),
    [
        ("native", "auto", ("amx", "bf16")),
        ("native", "fp32", ("avx512", "fp32")),
        ("avx512bf16", "auto", ("avx512bf16", "bf16")),
        ("avx2", "auto", ("avx2", "fp32")),
        ("generic", "fp32", ("generic", "fp32")),
    ],
)
def test_the_native_engine_and_its_instructions_can_be_forced(
    monkeypatch: pytest.MonkeyPatch, forced: str, precision: str, taken: tuple
) -> None:
    force(monkeypatch, forced, *EVERY_ISA)
    path = choose_engine(LSTM, "cpu", precision)
    assert (path.name, path.isa, path.precision) == ("native", *taken)
    assert f"{PATH_VARIABLE} asks" in path.reason


def test_what_is_forced_and_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, "native", *EVERY_ISA)
    with pytest.raises(BackendError, match="on a CPU, not on 'cuda'; use device='cpu'"):
        choose_engine(LSTM, "cuda")
    with pytest.raises(BackendError, match=r"lstm, gru, rnn, .*, mlstm, not 'new'"):
        choose_engine(NewCell(), "cpu")
    force(monkeypatch, "native")
    with pytest.raises(BackendError, match=f"{PATH_VARIABLE}=native: the engine is not built"):
        choose_engine(LSTM, "cpu")
    force(monkeypatch, "amx", *WITHOUT_BF16)
    with pytest.raises(BackendError, match=r"=amx asks .* lacks; it has: avx512, avx2, generic"):
        choose_engine(LSTM, "cpu")


def test_a_forced_instruction_set_of_another_precision_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    force(monkeypatch, "amx", *EVERY_ISA)
    with pytest.raises(ConfigError, match=r"in bf16, but fp32 is asked .*: avx512, avx2, generic"):
        choose_engine(LSTM, "cpu", "fp32")
    force(monkeypatch, "avx2", *EVERY_ISA)
    with pytest.raises(ConfigError, match=r"in fp32, but bf16 is asked .*: amx, avx512bf16"):
        choose_engine(LSTM, "cpu", "bf16")
    force(monkeypatch, "avx2", *WITHOUT_BF16)
    with pytest.raises(ConfigError, match="in fp32, but bf16 is asked for; use fp32"):
        choose_engine(LSTM, "cpu", "bf16")


def test_unknown_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="precision 'fp8' is not known; choose one of: auto"):
        choose_engine(LSTM, "cpu", "fp8")
    force(monkeypatch, "cobol")
    offered = ", ".join((*module.PATH_NAMES, *library.isas_of_this_machine()))
    with pytest.raises(ConfigError, match=f"{PATH_VARIABLE}=cobol names no path; .*: {offered}$"):
        choose_engine(LSTM, "cpu")


def test_every_reason_names_what_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for isas in (EVERY_ISA, WITHOUT_BF16):
        for precision in module.PRECISIONS[:2]:
            has_isas(monkeypatch, *isas)
            path = choose_engine(LSTM, "cpu", precision)
            assert f"{path.precision}: " in path.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("isas", "loaded"), [(("generic",), False), ((), True)], ids=["native", "missing"]
)
def test_torch_is_loaded_only_where_it_takes_part(isas: tuple, loaded: bool) -> None:
    """In a process of its own: the choice, and the modules around it."""
    code = f"""
import sys
import textgen.model.engine, textgen.model.initialise, textgen.model.numpy_network
from textgen.cells import get_cell
from textgen.native import library
from textgen.model.engine import choose_engine
library.supported_isas = lambda: {isas!r}
library.missing_reason = lambda: "missing"
assert "torch" not in sys.modules
choose_engine(get_cell("gru"), "cpu")
print("torch" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(loaded)
