"""Fixtures of every test: a home of its own, the shared texts where they are present."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

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


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the homes of tests that have no folder of their own."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def own_home(request: pytest.FixtureRequest, homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the caches and settings of the person who runs it."""
    if "tmp_path" in request.fixturenames:
        home = request.getfixturevalue("tmp_path")
    else:  # Most tests. A folder of pytest's own, with its link and its removal, takes longer.
        home = mkdtemp(dir=homes)
    monkeypatch.setenv("TEXTGEN_CACHE", os.path.join(home, "textgen-cache"))
    monkeypatch.setenv("HOME", str(home))
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)
    # rich keeps a style for the whole process, with the escape codes that it was first written in;
    # a terminal has one number of colours, tests have several.
    Style._add.cache_clear()


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Compute with one thread: tests run side by side, on arrays too small for a second one."""
    with computing_threads(1, torch=HAS_TORCH):
        yield


@pytest.fixture
def quick_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neurons are measured on an eighth of the text: small models take seconds for all of it."""
    from textgen.inspection import steerable

    monkeypatch.setattr(steerable, "CALIBRATION_TOKENS", steerable.CALIBRATION_TOKENS // 8)


@pytest.fixture
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


#: The files that take longest, the longest first: none of them is left to one worker at the end.
LONGEST = (
    *("sampling/test_forms.py", "training/test_resume.py", "cli/test_live_cli.py"),
    *("training/test_trainer.py", "corpus/test_encoding.py", "cli/test_boundary.py"),
    *("compression/test_round_trips.py", "native/test_sampler.py"),
    *("sampling/test_writing_documents.py", "cli/test_train_cli.py", "cli/test_first_words.py"),
    *("test_architecture.py", "cli/test_compare_cli.py", "checkpoint/test_hostile_files.py"),
    *("cli/test_adapt_cli.py", "training/test_distance.py", "sampling/test_native_step.py"),
    *("compression/test_learning.py", "serving/test_settings_of_sample.py"),
    *("cli/test_sample_cli.py", "comparison/test_compare_cells.py", "training/test_run.py"),
    *("inspection/test_memory.py", "probing/test_find.py", "training/test_pairs_training.py"),
    *("test_promises.py", "test_steering_api.py", "serving/test_completions.py"),
    *("training/test_more.py", "test_api_edges.py", "sampling/test_choosers.py"),
    *("cli/test_moving.py", "comparison/test_equal_time.py", "export/test_onnx_file.py"),
    # These are long in `make test-long` alone.
    *("test_docs.py", "page/test_live_page.py", "native/test_amx.py", "native/test_installing.py"),
    *("native/test_build.py", "native/test_bridge.py", "test_output_names.py"),
    *("test_on_windows.py", "test_lessons.py", "export/test_torch_folder.py"),
    "test_seeded_faults.py",
)


def pytest_configure() -> None:
    """Listen to signals that whoever starts the tests has ignored.

    A shell ignores Ctrl-C for what it starts in the background, `nohup` SIGHUP. The programs that
    tests start and interrupt would ignore them, too.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


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
