"""What Windows and macOS have instead, with stand-ins for their calls; see `test_on_windows.py`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.on_windows import MuteLibrary, SharingViolation, msvcrt
from support.small_runs import environment

from textgen import files, runtime, systems
from textgen.checkpoint import free_folder, is_path
from textgen.cli.boundary import has_no_reader
from textgen.errors import ConfigError, RunFolderError, StorageError
from textgen.files import LOCK_NAME, FolderLock, atomic_write_bytes, check_writable, make_folder
from textgen.steering.target import check_name


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions that ask when they are called find Windows, and its locks."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(systems, "msvcrt", msvcrt(), raising=False)
    monkeypatch.setattr(systems, "_PAUSES", (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        *((name, "names a device") for name in ("aux", "CON", "nul.txt", "com1", "LPT².gz")),
        ("aux .x", "names a device"),
        *((name, "names a device") for name in ("runs/Aux/model", r"C:\x\prn", r"..\con.tar.gz")),
        *((name, "names a device") for name in (r"C:\aux", r"\nul\x", "C:com1")),
        *((name, "drops the dot") for name in ("name.", "name./x", r"C:\a\b...")),
        *((name, "drops the space") for name in ("name ", r"runs \x")),
        *((f"old{char}b", f"has {char!r}") for char in '<>:"|?*\x01\x1f'),
        *((name, None) for name in ("auxiliary", "com10", "a.aux", ".lock", "старик", "a b")),
        *((name, None) for name in (r"C:\x\y", "C:model", "../x", r".\x", "/a/b/", "x:/y", "a..b")),
        *((name, None) for name in (r"\\server\share\x", "checkpoints/compare-corpus")),
    ],
)  # fmt: skip
def test_names_that_windows_does_not_have(path: str, says: str | None) -> None:
    fault = systems.windows_fault(path)
    assert (fault is None) if says is None else (fault is not None and says in fault)


def write_nothing(path: Path) -> None:
    atomic_write_bytes(path, b"")


def create_nothing(path: Path) -> None:
    files.create_once(path, b"")


@pytest.mark.parametrize("make", [make_folder, check_writable, write_nothing, create_nothing])
def test_such_a_name_is_refused_there_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        with pytest.raises(StorageError, match=r"'aux\.csv' names a device on Windows"):
            make(tmp_path / "aux.csv")
    assert os.listdir(tmp_path) == []
    make(tmp_path / "aux.csv")


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_file_is_replaced_when_its_reader_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, windows: None
) -> None:
    real, calls = os.replace, []

    def held(source: Any, target: Any, **named: Any) -> None:
        calls.append(target)
        if len(calls) <= times:
            raise SharingViolation(errno.EACCES, "it is open", str(target))
        real(source, target, **named)

    monkeypatch.setattr(os, "replace", held)
    atomic_write_bytes(tmp_path / "model", b"new")
    assert (tmp_path / "model").read_bytes() == b"new" and len(calls) == times + 1
    assert os.listdir(tmp_path) == ["model"]


def test_a_file_that_stays_open_is_told_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: None
) -> None:
    (tmp_path / "model").write_bytes(b"old")

    def held(source: Any, target: Any, **named: Any) -> None:
        raise SharingViolation(errno.EACCES, "it is open", str(target))

    monkeypatch.setattr(os, "replace", held)
    with pytest.raises(StorageError, match="another program has it open"):
        atomic_write_bytes(tmp_path / "model", b"new")
    assert (tmp_path / "model").read_bytes() == b"old" and os.listdir(tmp_path) == ["model"]


def test_what_may_not_be_replaced_at_all_is_not_tried_again() -> None:
    calls = []

    def forbidden() -> None:
        calls.append(1)
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        systems.patiently(forbidden)
    assert len(calls) == 1


@pytest.mark.parametrize("code", [5, 32])
def test_what_somebody_has_open_is_tried_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """For two seconds at most; both numbers say that it may be open."""
    error = PermissionError(errno.EACCES, "it is open")
    error.winerror = code  # type: ignore[attr-defined]
    calls: list[int] = []
    pauses: list[float] = []

    def held() -> None:
        calls.append(len(pauses))
        raise error

    monkeypatch.setattr(systems, "time", types.SimpleNamespace(sleep=pauses.append))
    with pytest.raises(PermissionError):
        systems.patiently(held)
    assert pauses and calls == list(range(len(pauses) + 1))
    assert min(pauses) > 0 and sum(pauses) <= 2


def test_a_file_is_closed_there_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: None
) -> None:
    before, real = len(os.listdir("/dev/fd")), os.replace

    def only_closed(source: Path, target: Path, **named: Any) -> None:
        assert len(os.listdir("/dev/fd")) == before
        real(source, target, **named)

    monkeypatch.setattr(os, "replace", only_closed)
    atomic_write_bytes(tmp_path / "model", b"new")
    assert (tmp_path / "model").read_bytes() == b"new"


def test_the_lock_excludes_and_ends_with_its_process(tmp_path: Path, windows: None) -> None:
    second = pytest.raises(RunFolderError, match=f"process {os.getpid()} on")
    with FolderLock(tmp_path), second, FolderLock(tmp_path):
        pass
    assert os.listdir(tmp_path) == []
    holder = (
        "import sys, time\nfrom pathlib import Path\nfrom support import on_windows\n"
        "on_windows.install()\nfrom textgen.files import FolderLock\n"
        "FolderLock(Path(sys.argv[1])).__enter__()\nprint('locked', flush=True)\ntime.sleep(60)\n"
    )
    tests = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=environment() | {"PYTHONPATH": f"{tests}{os.pathsep}{Path(tests).parent}"},
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"locked\n"
        with pytest.raises(RunFolderError, match=f"process {process.pid} on"), FolderLock(tmp_path):
            pass
        process.kill()
        process.wait()
    assert os.listdir(tmp_path) == [LOCK_NAME]
    with FolderLock(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text().startswith(f"{os.getpid()} ")
    assert os.listdir(tmp_path) == []


def test_many_threads_and_the_lock(tmp_path: Path, windows: None) -> None:
    inside, entered, errors = [], [], []

    def work() -> None:
        for _ in range(50):
            try:
                with FolderLock(tmp_path):
                    inside.append(1)
                    entered.append(len(inside))
                    inside.pop()
            except RunFolderError:
                pass
            except StorageError as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(entered) == {1} and errors == []


def test_without_such_locks_an_open_file_is_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: None
) -> None:
    """As on a disk of the network: what can be removed belongs to nobody."""

    def locking(descriptor: int, mode: int, count: int) -> None:
        raise OSError(errno.EINVAL, "no such function")

    monkeypatch.setattr(systems.msvcrt, "locking", locking)
    (tmp_path / LOCK_NAME).write_text("1 here")
    with FolderLock(tmp_path):
        text = (tmp_path / LOCK_NAME).read_text()
        assert text.startswith(f"{os.getpid()} ")

        def held(path: Any, **_: Any) -> None:
            raise SharingViolation(errno.EACCES, "it is open", str(path))

        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", held)
            with pytest.raises(RunFolderError, match="in use"), FolderLock(tmp_path):
                pass
        assert (tmp_path / LOCK_NAME).read_text() == text
    assert os.listdir(tmp_path) == []


def test_the_temporary_file_of_a_writer_who_is_about_to_rename_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: None
) -> None:
    """He has a minute for it."""
    now = int(time.time())
    clock = types.SimpleNamespace(time=lambda: float(now))
    monkeypatch.setattr(files, "time", clock)
    fresh, old = (tmp_path / f".model.{digit * 16}.tmp" for digit in "01")
    for path, age in ((fresh, 60), (old, 61)):
        path.touch()
        os.utime(path, (now - age, now - age))
    atomic_write_bytes(tmp_path / "model", b"new")
    assert sorted(os.listdir(tmp_path)) == [fresh.name, "model"]


def test_a_long_path_is_told_as_one(windows: None) -> None:
    error = FileNotFoundError(errno.ENOENT, "the system cannot find the path", "x" * 300)
    assert files.os_reason(error) == "there is no such file or folder"
    error.winerror = 3  # type: ignore[attr-defined]
    assert "LongPathsEnabled" in files.os_reason(error)
    # Windows takes 260 characters, the last of which is the zero that ends each path.
    for length in (259, 260):
        name = os.path.abspath("/").ljust(length, "x")
        error = FileNotFoundError(errno.ENOENT, "the system cannot find the path", name)
        error.winerror = 3  # type: ignore[attr-defined]
        is_told = f"the path has {length} characters" in files.os_reason(error)
        assert is_told == (length == 260)
    error = FileNotFoundError(errno.ENOENT, "the system cannot find the path", "x")
    error.winerror = 3  # type: ignore[attr-defined]
    assert files.os_reason(error) == "there is no such file or folder"


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (errno.EACCES, 5, "permission denied"),
        (errno.EACCES, 32, "another program has it open; close it there"),
        (errno.EACCES, 33, "another program has locked it; close it there"),
        (errno.ENOENT, 206, "the path is too long for Windows; choose a shorter one"),
    ],
)
def test_what_windows_means_is_told(number: int, code: int, says: str) -> None:
    """Its own number says more than that of the error elsewhere."""
    error = OSError(number, "what it is elsewhere")
    error.winerror = code  # type: ignore[attr-defined]
    assert files.os_reason(error) == says


@pytest.mark.parametrize("works", [True, False])
def test_macos_writes_through_the_memory_of_the_disk(
    monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    calls: list[tuple[str, int]] = []

    def full(descriptor: int, command: int) -> None:
        calls.append(("full", command))
        if not works:
            raise OSError(errno.ENOTSUP, "not on this disk")

    stand_in = types.SimpleNamespace(fcntl=full, F_FULLFSYNC=51)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(systems, "fcntl", stand_in)
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append(("fsync", descriptor)))
    systems.flush(7)
    assert calls == [("full", 51)] + ([] if works else [("fsync", 7)])


@pytest.mark.parametrize("tag", [0xA0000003, 0xA000000C])
def test_a_junction_is_a_link(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tag: int) -> None:
    plain = types.SimpleNamespace(st_mode=0o40755, st_reparse_tag=0)
    assert not systems.is_link(plain)  # type: ignore[arg-type]
    plain.st_reparse_tag = tag
    monkeypatch.setattr(os, "lstat", lambda path: plain)
    assert files.is_link_at(tmp_path)


def test_a_direction_is_not_called_as_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_name("aux") == "aux"
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="names a device on Windows"):
        check_name("aux")
    assert check_name("sentiment") == "sentiment"


def test_what_says_where_something_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for word, expected in (("a/b", True), ("a/", True), ("a", False), ("", False), (r"a\b", False)):
        assert is_path(word) is expected
    import ntpath

    with monkeypatch.context() as patch:
        patch.setattr(os, "path", ntpath)
        for word in (r"a\b", "a/b", r"C:\x", "C:model", r"..\x"):
            assert is_path(word), word
        assert not is_path("model")
    assert free_folder("mine", tmp_path) == tmp_path / "mine"


@pytest.mark.usefixtures("windows")
def test_below_the_folder_that_was_named_no_folder_is_a_link_there(tmp_path: Path) -> None:
    """It cannot open a folder, so each part of the way is looked at."""
    deep = tmp_path / "run" / "inner" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "run" / "other").symlink_to(deep.parent)
    (deep.parent / "last").symlink_to(deep)
    (tmp_path / "named").symlink_to(tmp_path / "run")
    files._Folder(deep, tmp_path / "run").close()
    files._Folder(tmp_path / "named" / "inner" / "deep", tmp_path / "named").close()
    for linked in (tmp_path / "run/other/deep", deep.parent / "last", tmp_path / "run/other"):
        with pytest.raises(OSError, match="is a symbolic link"):
            files._Folder(linked, tmp_path / "run")


@pytest.mark.usefixtures("windows")
def test_a_lock_that_a_process_has_open_there_is_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing tells who it is but that the file cannot be removed; it is tried once."""
    path = tmp_path / LOCK_NAME
    path.write_text("7 elsewhere\n")
    lock = FolderLock(tmp_path)
    lock._remove_left_behind()
    assert not path.exists()

    def is_open(path: object) -> None:
        raise PermissionError(errno.EACCES, "it is open")

    monkeypatch.setattr(os, "unlink", is_open)
    with pytest.raises(RunFolderError, match="is in use by"):
        lock._remove_left_behind()


def test_a_closed_pipe_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    mute = OSError(errno.EINVAL, "Invalid argument")
    assert has_no_reader(BrokenPipeError()) and not has_no_reader(mute)
    monkeypatch.setattr(sys, "platform", "win32")
    assert has_no_reader(mute)
    assert not has_no_reader(OSError(errno.EINVAL, "Invalid argument", "a?b"))
    assert not has_no_reader(OSError(errno.ENOSPC, "full"))


def test_the_memory_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kernel(MuteLibrary):
        def GlobalMemoryStatusEx(self, status: Any) -> int:
            assert status._obj.length == 64
            status._obj.free = 12345
            return 1

    def absent(path: str, **_: Any) -> Any:
        raise FileNotFoundError(path)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("builtins.open", absent)
    for library, expected in ((Kernel(), 12345), (MuteLibrary(), None)):
        with monkeypatch.context() as patch:
            patch.setattr(runtime.ctypes, "WinDLL", lambda _, own=library: own, raising=False)
            assert runtime._free_memory() == expected


def test_a_file_is_created_once_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: None
) -> None:
    """A rename refuses a name that is taken, and needs no second names."""
    real = os.rename

    def rename(source: Path, target: Path) -> None:
        if target.exists():
            raise FileExistsError(errno.EEXIST, "it is taken")
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.delattr(os, "link")
    path = tmp_path / "one"
    assert files.create_once(path, b"mine") and not files.create_once(path, b"yours")
    assert path.read_bytes() == b"mine" and os.listdir(tmp_path) == ["one"]


@pytest.mark.parametrize(
    ("number", "taken"),
    [
        *((number, False) for number in (errno.EWOULDBLOCK, errno.EACCES)),
        *((number, None) for number in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)),
    ],
)
def test_a_lock_that_is_held_is_not_one_that_the_disk_does_not_have(
    monkeypatch: pytest.MonkeyPatch, number: int, taken: bool | None
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert systems.try_lock(1) is taken
    number = errno.EIO
    with pytest.raises(OSError, match="no"):
        systems.try_lock(1)


def test_an_open_file_is_removed_before_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for its lock sees then that it is gone; and it is closed in any case."""
    path = tmp_path / "file"
    unlink = os.unlink
    for exists in (True, False):
        descriptor = os.open(path, os.O_CREAT)

        def note(path: Path, descriptor: int = descriptor) -> None:
            os.fstat(descriptor)
            unlink(path)

        with monkeypatch.context() as patch, contextlib.ExitStack() as refused:
            patch.setattr(os, "unlink", note)
            if not exists:
                path.unlink()
                refused.enter_context(pytest.raises(FileNotFoundError))
            systems.remove_open(descriptor, path)
        assert not path.exists()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_an_open_file_is_closed_there_before_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: None
) -> None:
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_CREAT)
    unlink = os.unlink

    def only_closed(path: Path) -> None:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
        unlink(path)

    monkeypatch.setattr(os, "unlink", only_closed)
    systems.remove_open(descriptor, path)
    assert not path.exists()
