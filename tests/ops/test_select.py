"""The choice of a path: what is taken, why, and what is refused."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch

from textgen.cells import LSTMCell
from textgen.errors import BackendError, ConfigError
from textgen.ops import select
from textgen.ops.reference import run_reference
from textgen.ops.select import PATH_VARIABLE
from textgen.ops.torch_lstm import TorchLSTM

CPU = torch.device("cpu")
# The package's name `select` is the function, which hides the module.
MODULE = import_module("textgen.ops.select")


@pytest.fixture(autouse=True)
def no_forced_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)


def test_fp32_where_asked_for() -> None:
    path = select(LSTMCell(), CPU, "fp32")
    assert (path.name, path.precision, path.autocast) == ("torch", "fp32", None)
    assert path.reason == "torch's LSTM; fp32: asked for"
    assert isinstance(path.run, TorchLSTM)


@pytest.mark.parametrize(
    ("capabilities", "works", "precision", "why"),
    [
        ({"amx_bf16": True}, True, "bf16", "AMX"),
        ({"amx_bf16": False, "avx512_bf16": True}, True, "bf16", "AVX-512"),
        ({"avx512_bf16": True}, False, "fp32", ""),
        ({}, True, "fp32", "no bf16 instructions"),
    ],
)
def test_auto_takes_bf16_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict, works: bool, precision: str, why: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(MODULE, "_bf16_works", lambda device: works)
    path = select(LSTMCell(), CPU)
    assert path.precision == precision
    assert path.autocast == (torch.bfloat16 if precision == "bf16" else None)
    assert why in path.reason


def test_the_reason_never_contradicts_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instructions that are there but do not work are a reason for fp32, not for bf16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(MODULE, "_bf16_works", lambda device: False)
    path = select(LSTMCell(), CPU)
    assert path.precision == "fp32"
    assert "does not work" in path.reason


def test_bf16_that_does_not_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "_bf16_works", lambda device: False)
    with pytest.raises(BackendError, match=r"bf16 does not work on this cpu .*--precision fp32"):
        select(LSTMCell(), CPU, "bf16")


def test_bf16_is_tried_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(torch, "lstm", broken)
    assert not MODULE._bf16_works(CPU)


def test_a_path_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "reference")
    path = select(LSTMCell(), CPU)
    assert (path.name, path.run, path.precision) == ("reference", run_reference, "fp32")
    assert f"{PATH_VARIABLE} asks for it" in path.reason
    monkeypatch.setenv(PATH_VARIABLE, "torch")
    assert select(LSTMCell(), CPU).name == "torch"


def test_a_cell_without_a_kernel_is_looped() -> None:
    class Other(LSTMCell):
        name = "other"

    path = select(Other(), CPU)
    assert (path.name, path.run) == ("reference", run_reference)
    assert "torch has no kernel for 'other'" in path.reason


def test_unknown_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="precision 'fp8' is not known; choose one of: auto"):
        select(LSTMCell(), CPU, "fp8")
    monkeypatch.setenv(PATH_VARIABLE, "cobol")
    with pytest.raises(ConfigError, match=f"{PATH_VARIABLE}=cobol names no path"):
        select(LSTMCell(), CPU)
