"""Fixtures of every test: a home of its own, the shared texts where they are present."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.style import Style

from textgen.runtime import computing_threads

# Read when NumPy is loaded, here and in the processes that tests start. Its threads wait for each
# other by computing: where every core has a test of its own, small products take ten times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Without it onnxruntime writes a number for this computer and sends reports.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

#: An emulated Python has none: see `native/arm.sh`.
HAS_TORCH = importlib.util.find_spec("torch") is not None
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real texts beside the checkout; the test is skipped where it is absent."""
    if not (SHARED / "corpora").is_dir():
        pytest.skip("the real texts in ../shared are not here")
    return SHARED


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the caches and settings of the person who runs it."""
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "textgen-cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)
    # rich keeps a style for the whole process, with the escape codes that it was first written in;
    # a terminal has one number of colours, tests have several.
    Style._add.cache_clear()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread: tests run side by side, on arrays too small for a second one."""
    with computing_threads(1, torch=HAS_TORCH):
        yield


@pytest.fixture
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


#: The files that take longest, the longest first: none of them is left to one worker at the end.
LONGEST = (
    *("test_docs.py", "page/test_live_page.py", "native/test_amx.py", "test_on_windows.py"),
    *("test_lessons.py", "export/test_torch_folder.py", "test_promises.py", "cli/test_live_cli.py"),
    *("cli/test_moving.py", "page/test_live_network.py", "training/test_trainer.py"),
    *("training/test_distance.py", "training/test_resume.py", "export/test_onnx_file.py"),
    *("native/test_sampler.py", "native/test_bridge.py", "cli/test_train_cli.py"),
    *("corpus/test_encoding.py", "test_output_names.py", "native/test_installing.py"),
    *("compression/test_round_trips.py", "compression/test_learning.py", "training/test_more.py"),
    *("comparison/test_equal_time.py", "comparison/test_compare_cells.py", "test_seeded_faults.py"),
    *("test_every_cell.py", "native/test_edits.py", "native/test_build.py"),
)


def pytest_configure() -> None:
    """Listen to Ctrl-C, though a shell that starts the tests in the background has it ignored.

    The programs that tests start and interrupt would ignore it, too.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files begin: whoever is free takes the next file."""
    place = {Path(__file__).parent / name: order for order, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


def pytest_report_header() -> str:
    """What the numbers depend on."""
    import numpy

    from textgen.native import library

    found = [f"numpy {numpy.__version__}, cores {os.cpu_count()}"]
    if HAS_TORCH:
        import torch

        found.append(f"torch {torch.__version__}, cpu {torch.backends.cpu.get_cpu_capability()}")
    return "\n".join((", ".join(found), library.describe()))
