"""Devices, threads and durations, each with a reason or a clear refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.small_runs import environment

from textgen import runtime
from textgen.errors import BackendError, ConfigError
from textgen.runtime import (
    MOST_THREADS,
    Choice,
    available_memory,
    choose_device,
    choose_threads,
    computing_threads,
    parse_duration,
)


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch):
    """Pretends that torch sees the devices named, and that the driver of a GPU is there or not."""

    def pretend(*names: str, sign: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)
        found = "/dev/nvidia0" if sign is None and names else sign or ""
        monkeypatch.setattr(runtime, "_sign_of_gpu", lambda: found)

    return pretend


@pytest.mark.parametrize(
    ("present", "expected"),
    [((), "cpu"), (("cuda",), "cuda"), (("mps",), "mps"), (("cuda", "mps"), "cuda")],
)
def test_auto_prefers_a_gpu(hardware, present: tuple, expected: str) -> None:
    hardware(*present)
    device, choice = choose_device()
    assert device == expected
    assert (choice.name, choice.value) == ("device", expected)
    assert choice.reason.startswith("a GPU was found" if present else "no GPU was found")


def test_a_gpu_that_torch_cannot_use_is_said(hardware) -> None:
    hardware(sign="/dev/nvidia0")
    device, choice = choose_device()
    assert device == "cpu"
    assert f"torch {torch.__version__} finds no GPU" in choice.reason
    assert "/dev/nvidia0" in choice.reason


def test_a_device_may_be_named(hardware) -> None:
    hardware("cuda")
    device, choice = choose_device("cpu")
    assert (device, choice.reason) == ("cpu", "asked for")
    assert choose_device("cuda")[0] == "cuda"


def test_a_device_that_is_not_there_is_refused(hardware) -> None:
    hardware()
    for name in ("cuda", "mps"):
        with pytest.raises(BackendError, match=f"'{name}' was asked for.*use cpu"):
            choose_device(name)


def test_a_gpu_needs_torch(hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a CPU computes, and the reason says what to type."""
    hardware(sign="/dev/nvidia0")
    monkeypatch.setitem(sys.modules, "torch", None)
    device, choice = runtime.choose_device("auto")
    typed = "type: pip install torch"
    assert device == "cpu"
    assert choice.reason.startswith("there is /dev/nvidia0; ") and choice.reason.endswith(typed)
    with pytest.raises(BackendError, match="device 'cuda' needs torch") as error:
        runtime.choose_device("cuda")
    assert str(error.value).endswith(typed)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="device 'tpu' is not known; choose one of: auto, cpu"):
        choose_device("tpu")


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A Linux machine without any sign of a GPU."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(runtime, "glob", lambda pattern: [])
    monkeypatch.setattr(runtime.shutil, "which", lambda program: None)

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(runtime.ctypes, "CDLL", missing)
    return monkeypatch


def test_signs_of_a_gpu(bare_machine: pytest.MonkeyPatch) -> None:
    assert runtime._sign_of_gpu() == ""
    with bare_machine.context() as patch:
        patch.setattr(runtime, "glob", lambda p: ["/dev/nvidia3"] if "nvidia" in p else [])
        assert runtime._sign_of_gpu() == "/dev/nvidia3"
        for hidden in ("", "-1"):
            patch.setenv("CUDA_VISIBLE_DEVICES", hidden)
            assert runtime._sign_of_gpu() == ""
        patch.setenv("CUDA_VISIBLE_DEVICES", "0")
        assert runtime._sign_of_gpu() == "/dev/nvidia3"
    with bare_machine.context() as patch:
        patch.setattr(runtime.shutil, "which", lambda program: f"/usr/bin/{program}")
        assert runtime._sign_of_gpu() == "/usr/bin/nvidia-smi"
    with bare_machine.context() as patch:
        patch.setattr(runtime.ctypes, "CDLL", lambda name: object())
        assert runtime._sign_of_gpu() == "libcuda.so.1"
    with bare_machine.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        patch.setattr(runtime.platform, "machine", lambda: "arm64")
        assert runtime._sign_of_gpu()
        patch.setattr(runtime.platform, "machine", lambda: "x86_64")
        assert runtime._sign_of_gpu() == ""


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_torch_is_not_asked_where_there_is_no_gpu(name: str) -> None:
    code = (
        "import sys; from textgen import runtime; runtime._sign_of_gpu = lambda: ''; "
        f"device, _ = runtime.choose_device({name!r}); runtime.choose_threads();\n"
        "with runtime.computing_threads(1, torch=False): print(device, 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
    )
    assert result.stdout.split() == ["cpu", "False"]


def test_threads_beyond_any_use_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert choose_threads(256) == Choice("threads", 256, "asked for")
    for many in (MOST_THREADS + 1, 100_000, 10**12):
        with pytest.raises(ConfigError, match=r"this machine has 8 cores.*at most 256"):
            choose_threads(many)
    monkeypatch.setattr(os, "cpu_count", lambda: 512)
    assert choose_threads(512).value == 512
    with pytest.raises(ConfigError, match=r"threads is 600; this machine has 512 cores"):
        choose_threads(600)


def test_the_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = available_memory()
    assert found is None or 10**6 < found < 10**15
    monkeypatch.setattr(runtime, "_free_memory", lambda: 5000)
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "_container_limits", list)
        assert available_memory() == 5000
        patch.setattr(runtime, "_free_memory", lambda: None)
        assert available_memory() is None
    # A container's limit, which only one version of control groups tells.
    numbers = {"memory.max": 3000}

    def read(path: str) -> int:
        if Path(path).name not in numbers:
            raise FileNotFoundError(path)
        return numbers[Path(path).name]

    monkeypatch.setattr(runtime, "_number_in", read)
    assert available_memory() == 3000
    numbers["memory.max"] = 9000
    assert available_memory() == 5000
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (700, 900))
    assert available_memory("cuda") == 700


def test_threads_default_to_the_cores_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    choice = choose_threads()
    assert (choice.name, choice.value) == ("threads", 3)
    # Not every system has affinities.
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert choose_threads().value == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert choose_threads().value == 1


def test_threads_asked_for() -> None:
    assert choose_threads(5) == Choice("threads", 5, "asked for")
    with pytest.raises(ConfigError, match="threads is 0; it must be at least 1"):
        choose_threads(0)


def test_threads_are_set_within_a_block_only() -> None:
    before = torch.get_num_threads()
    with computing_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(RuntimeError, match="inside"), computing_threads(before + 2):
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before
    with computing_threads(before + 1, torch=False):
        assert torch.get_num_threads() == before


def test_numpy_computes_with_no_more_threads_than_it_has() -> None:
    code = (
        "import numpy\nfrom threadpoolctl import threadpool_info\n"
        "from textgen.runtime import computing_threads\n"
        "def now(): return {one['num_threads'] for one in threadpool_info()}\n"
        "for count in (1, 2, 9):\n"
        "    with computing_threads(count, torch=False): print(now())\n"
        "print(now())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment() | {"OPENBLAS_NUM_THREADS": "2"},
        check=True,
    )
    limited, *others, as_before = result.stdout.splitlines()
    assert limited == "{1}" and set(others) == {as_before}


def test_a_choice_as_plain_data() -> None:
    choice = Choice("device", "cpu", "asked for")
    assert choice.to_dict() == {
        "name": "device",
        "value": "cpu",
        "reason": "asked for",
        "changed": False,
    }
    assert Choice(**choice.to_dict()) == choice


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("3m", 180.0),
        ("1m30s", 90.0),
        ("1m30", 90.0),
        ("1.5h", 5400.0),
        ("1h2m3s", 3723.0),
        (" 2M ", 120.0),
        ("0.5s", 0.5),
        ("3 m", 180),
        ("2 minutes", 120),
        ("1 Hour 1 min", 3660),
        ("90 sec", 90),
        (90, 90),
        (np.float32(0.5), 0.5),
        (timedelta(minutes=1.5), 90),
    ],
)
def test_durations(text: str | float | timedelta, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "-5", "1m-3s", "s", "3x", "1s2m", "nan", "inf", "1e3", "5mm"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a duration; type it like 90s, 3m, 1m30s or 1h"):
        parse_duration(text)


@pytest.mark.parametrize("value", [True, None, [3], float("nan"), float("inf"), 10**400])
def test_no_durations_of_other_types(value: object) -> None:
    with pytest.raises(ConfigError, match="is not a duration; type it like 90s, 3m, 1m30s or 1h"):
        parse_duration(value)


@pytest.mark.parametrize("text", ["0", "0s", "0h0m0.0s", 0, -1, timedelta(seconds=-5)])
def test_no_time_at_all(text: str) -> None:
    with pytest.raises(ConfigError, match="is not more than 0"):
        parse_duration(text)


@given(hours=st.integers(0, 99), minutes=st.integers(0, 99), seconds=st.integers(1, 99))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == total
