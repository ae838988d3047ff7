"""Files are whole or not there, whatever fails; a folder belongs to one run at a time."""

from __future__ import annotations

import errno
import fcntl
import io
import itertools
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from textgen import files
from textgen.checkpoint import read_file, write_file
from textgen.errors import RunFolderError, StorageError, TextgenError
from textgen.files import (
    CURVE_NAME,
    LOCK_NAME,
    METRICS_NAME,
    MODEL_NAME,
    RESUME_NAME,
    FolderLock,
    append_line,
    atomic_write,
    atomic_write_bytes,
    atomic_write_text,
    check_writable,
    create_private,
    make_folder,
    open_plain,
    open_private,
    read_plain,
    remove_leftovers,
    require_private,
)

OLD = b"old" * 1000
#: Larger than a file's buffer, so that several writes reach the system.
NEW = bytes(range(256)) * 256


def write_new(file: BinaryIO) -> None:
    for start in range(0, len(NEW), 9000):
        file.write(NEW[start : start + 9000])


def hidden(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".")]


# --- what atomic_write does when nothing fails


def test_new_file_and_replaced_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_write(path, write_new)
    assert path.read_bytes() == NEW
    atomic_write_bytes(path, b"short")
    assert path.read_bytes() == b"short"
    atomic_write_text(path, "ёжик\r\n\U0001f600")
    assert path.read_bytes() == "ёжик\r\n\U0001f600".encode()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    path = tmp_path / "file"
    before = os.umask(mask)
    try:
        atomic_write_bytes(path, b"1")
        atomic_write_bytes(path, b"2")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_readers_of_the_old_file_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with open(path, "rb") as reader:
        atomic_write(path, write_new)
        assert reader.read() == OLD


def test_bytes_are_on_the_disk_before_the_name_is_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("folder" if is_folder else f"file of {os.fstat(descriptor).st_size}")
        fsync(descriptor)

    def note_replace(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        assert src_dir_fd == dst_dir_fd
        assert source.startswith(".") and source.endswith(".tmp")
        steps.append("rename")
        replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    atomic_write(path, write_new)
    assert steps == [f"file of {len(NEW)}", "rename", "folder"]


def test_a_link_of_a_person_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    real, link = tmp_path / "disk" / "real", tmp_path / "link"
    real.write_bytes(OLD)
    link.symlink_to(Path("disk") / "real")
    atomic_write(link, write_new, follow=True)
    assert link.is_symlink() and real.read_bytes() == NEW
    real.unlink()
    atomic_write(link, write_new, follow=True)  # a link to nothing yet
    assert link.is_symlink() and real.read_bytes() == NEW
    assert os.listdir(tmp_path / "disk") == ["real"]


@pytest.mark.parametrize("known_by", [MODEL_NAME, RESUME_NAME])
def test_a_link_in_the_folder_of_a_run_is_nobodys_own(tmp_path: Path, known_by: str) -> None:
    """The folder may come from somebody else, together with the link."""
    real, run = tmp_path / "real", tmp_path / "run"
    real.write_bytes(OLD)
    run.mkdir()
    (run / "page.html").symlink_to(real)
    check_writable(run / "page.html")
    (run / known_by).touch()
    for write in (check_writable, lambda path: atomic_write(path, write_new, follow=True)):
        with pytest.raises(StorageError, match=r"cannot write .*page\.html: it is a symbolic link"):
            write(run / "page.html")
    assert real.read_bytes() == OLD and hidden(run) == []
    atomic_write(run / "other.html", write_new, follow=True)


def test_only_files_are_replaced(tmp_path: Path) -> None:
    folder, pipe, loop = tmp_path / "folder", tmp_path / "pipe", tmp_path / "loop"
    folder.mkdir()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path in (folder, pipe, loop):
        with pytest.raises(StorageError, match=rf"cannot write .*{path.name}"):
            atomic_write_bytes(path, b"")
    assert folder.is_dir() and stat.S_ISFIFO(pipe.stat().st_mode) and loop.is_symlink()
    assert hidden(tmp_path) == []


def test_reasons_are_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no such file or folder"):
        atomic_write_bytes(tmp_path / "missing" / "file", b"")
    with pytest.raises(StorageError, match="the name is too long"):
        atomic_write_bytes(tmp_path / ("x" * 300), b"")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a part of the path is a file"):
        atomic_write_bytes(tmp_path / "file" / "file", b"")


def test_an_error_without_a_number_is_told_in_its_own_words() -> None:
    assert files.os_reason(OSError("the cable is out")) == "the cable is out"
    assert files.os_reason(OSError()) == "OSError"


def test_a_pipe_in_place_of_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    """To open one waits for its other end, perhaps for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    told: list[str] = []

    def write() -> None:
        try:
            atomic_write_bytes(pipe / "file", b"")
        except StorageError as error:
            told.append(str(error))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(timeout=20)
    waits = writer.is_alive()
    if waits:  # The other end, so that it goes on.
        os.close(os.open(pipe, os.O_RDWR))
        writer.join()
    assert not waits
    assert len(told) == 1 and "a part of the path is a file, not a folder" in told[0]


def test_what_could_not_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    """With the reason of the write itself, and nothing is left or touched."""
    old = tmp_path / "old"
    old.write_bytes(OLD)
    for path in (old, tmp_path / "new"):
        check_writable(path)
    assert old.read_bytes() == OLD and os.listdir(tmp_path) == ["old"]
    for path in (tmp_path, tmp_path / "missing" / "file", old / "file"):
        with pytest.raises(StorageError) as written:
            atomic_write_bytes(path, b"")
        with pytest.raises(StorageError) as checked:
            check_writable(path)
        assert str(checked.value) == str(written.value)


@pytest.mark.parametrize("error", [ValueError("a defect"), KeyboardInterrupt(), MemoryError()])
def test_other_errors_of_the_writer_pass_and_leave_nothing(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def write(file: BinaryIO) -> None:
        write_new(file)
        raise error

    with pytest.raises(type(error)):
        atomic_write(path, write)
    assert path.read_bytes() == OLD and hidden(tmp_path) == []


# --- every call of the system fails once


class FaultyDisk:
    """Counts the calls that a save makes and lets one of them fail.

    Args:
        fail_at: Number of the call that fails, from 1; 0 for none.
        error: The error it fails with; for a write, `SHORT` writes half of the bytes and goes on,
            `SHORT_THEN_FULL` writes half and has no room for the rest.
    """

    SHORT = -1
    SHORT_THEN_FULL = -2

    def __init__(self, fail_at: int = 0, error: int = 0) -> None:
        self.fail_at = fail_at
        self.error = error
        self.calls: list[str] = []
        self.full = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("open", "fsync", "replace", "lstat", "fstat", "scandir"):
                patch.setattr(os, name, self._wrap(name, getattr(os, name)))
            patch.setattr(fcntl, "flock", self._wrap("flock", fcntl.flock))
            patch.setattr(os, "fdopen", self._fdopen)
            yield

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) == self.fail_at and self.error > 0:
                raise OSError(self.error, os.strerror(self.error))
            return call(*args, **named)

        return wrapped

    def _fdopen(self, descriptor: int, mode: str) -> BinaryIO:
        assert mode == "wb"
        return io.BufferedWriter(FaultyRaw(descriptor, self))


class FaultyRaw(io.FileIO):
    def __init__(self, descriptor: int, disk: FaultyDisk) -> None:
        super().__init__(descriptor, "wb")
        self._disk = disk

    def write(self, data: Any) -> int:
        disk = self._disk
        disk.calls.append("write")
        if disk.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if len(disk.calls) == disk.fail_at:
            if disk.error > 0:
                raise OSError(disk.error, os.strerror(disk.error))
            disk.full = disk.error == FaultyDisk.SHORT_THEN_FULL
            return super().write(memoryview(data).cast("B")[: (len(data) + 1) // 2]) or 0
        return super().write(data) or 0


def save_bytes(path: Path, version: int) -> None:
    data = OLD if version == 0 else NEW

    def write(file: BinaryIO) -> None:
        for start in range(0, len(data), 9000):
            file.write(data[start : start + 9000])

    atomic_write(path, write)


def load_bytes(path: Path) -> int:
    return {OLD: 0, NEW: 1}[path.read_bytes()]


def save_checkpoint(path: Path, version: int) -> None:
    tensors = {f"t{i}": np.full((40, 41), version + i, np.float32) for i in range(3)}
    write_file(path, kind="resume", header={"version": version}, tensors=tensors)


def load_checkpoint(path: Path) -> int:
    header, tensors = read_file(path, kind="resume")
    assert [int(tensors[f"t{i}"].min()) - i for i in range(3)] == [header["version"]] * 3
    return int(header["version"])


FAULTS = [
    errno.EIO,
    errno.ENOSPC,
    errno.EACCES,
    errno.EXDEV,
    errno.EROFS,
    FaultyDisk.SHORT,
    FaultyDisk.SHORT_THEN_FULL,
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("had_old", [True, False], ids=["replaces", "creates"])
@pytest.mark.parametrize(
    ("save", "load"),
    [(save_bytes, load_bytes), (save_checkpoint, load_checkpoint)],
    ids=["bytes", "checkpoint"],
)
def test_a_save_is_all_or_nothing_whichever_call_fails(
    tmp_path: Path,
    save: Callable[[Path, int], None],
    load: Callable[[Path], int],
    had_old: bool,
    fault: int,
) -> None:
    outcomes = set()
    for number in itertools.count(1):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "file"
        if had_old:
            save(path, 0)
        disk = FaultyDisk(number, fault)
        told = None
        with disk.installed():
            try:
                save(path, 1)
            except StorageError as error:
                told = str(error)
        if len(disk.calls) < number:
            break  # every call has had its turn
        call = disk.calls[number - 1]
        assert hidden(folder) == [], (number, call)
        if told is None or "is written" in told:
            assert load(path) == 1, (number, call)
        else:
            assert str(path) in told
            assert load(path) == 0 if had_old else not path.exists(), (number, call)
        outcomes.add((call, told is None))
    assert {call for call, _ in outcomes} >= {"open", "write", "fsync", "replace", "flock"}
    if fault > 0:
        # A failure is never silent where it matters. Tidying up is not worth failing for, and a
        # temporary file that another seems to have locked is made again.
        assert {call for call, silent in outcomes if silent} <= {"scandir", "lstat", "flock"}
        assert ("fsync", False) in outcomes and ("write", False) in outcomes
    elif fault == FaultyDisk.SHORT:
        assert all(silent for _, silent in outcomes)
    else:
        assert ("write", False) in outcomes


def test_a_full_disk(tmp_path: Path) -> None:
    """A limit of the kernel on the size of files: the writes themselves come out short."""
    path = tmp_path / "file"
    path.write_bytes(OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StorageError, match="cannot write"):
            atomic_write(path, write_new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == OLD and hidden(tmp_path) == []


@pytest.mark.parametrize(("code", "is_fatal"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_synchronised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_fatal: bool
) -> None:
    path = tmp_path / "file"
    fsync = os.fsync

    def fail_on_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_on_folders)
    if is_fatal:
        with pytest.raises(StorageError, match="is written, but the disk did not confirm"):
            atomic_write(path, write_new)
    else:
        atomic_write(path, write_new)
    assert path.read_bytes() == NEW


# --- what killed writers leave


def test_leftovers_of_killed_writers_go_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "file"
    keep = [".file", ".file.0.tmp", ".file.0123456789ABCDEF.tmp", ".file.0123456789abcdef.tmp2"]
    keep += [".files.0123456789abcdef.tmp", "file.0123456789abcdef.tmp"]
    for name in [files._temporary_name("file"), files._temporary_name("file"), *keep]:
        (tmp_path / name).touch()
    folder = ".file.0000000000000000.tmp"
    (tmp_path / folder).mkdir()
    atomic_write_bytes(path, b"x")
    assert sorted(os.listdir(tmp_path)) == sorted(["file", folder, *keep])


def test_what_another_machine_writes_is_no_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network disk may keep its lock from this machine. After a day nobody writes there."""
    now, day = int(time.time()), 24 * 60 * 60
    clock = types.SimpleNamespace(time=lambda: float(now))
    monkeypatch.setattr(files, "time", clock)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "another")
        fresh, old = (tmp_path / files._temporary_name("file") for _ in range(2))
    for path, age in ((fresh, day), (old, day + 1)):
        path.touch()
        os.utime(path, (now - age, now - age))
    atomic_write_bytes(tmp_path / "file", b"x")
    assert sorted(os.listdir(tmp_path)) == [fresh.name, "file"]


def test_a_live_writer_is_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write_outer(file: BinaryIO) -> None:
        write_new(file)
        atomic_write_bytes(path, b"inner")
        assert path.read_bytes() == b"inner"

    atomic_write(path, write_outer)
    assert path.read_bytes() == NEW and hidden(tmp_path) == []


def test_a_file_that_is_about_to_get_its_name_is_no_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = files.replace

    def tidied_before(source: Path, target: Path, folder: int | None = None) -> None:
        remove_leftovers(tmp_path)
        replace(source, target, folder)

    monkeypatch.setattr(files, "replace", tidied_before)
    atomic_write(tmp_path / "file", write_new)
    assert (tmp_path / "file").read_bytes() == NEW and os.listdir(tmp_path) == ["file"]


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    """Each tidies up what it takes for leftovers; none may take another's file away."""
    path = tmp_path / "file"
    code = (
        "import sys; from pathlib import Path; from textgen.files import atomic_write_bytes\n"
        "for i in range(200): atomic_write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 5000)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "abc"
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            data = path.read_bytes()
            assert len(data) == 5000 and len(set(data)) == 1
            seen.add(data[:1])
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["file"] and seen


def test_a_temporary_file_taken_away_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    lock = files.try_lock
    taken_away: list[str] = []

    def lock_too_late(descriptor: int) -> bool | None:
        if len(taken_away) < 3:
            (name,) = hidden(tmp_path)
            os.unlink(tmp_path / name)
            taken_away.append(name)
        return lock(descriptor)

    monkeypatch.setattr(files, "try_lock", lock_too_late)
    before = len(os.listdir("/dev/fd"))
    atomic_write(path, write_new)
    assert path.read_bytes() == NEW and len(set(taken_away)) == 3 and hidden(tmp_path) == []
    assert len(os.listdir("/dev/fd")) == before


def test_a_temporary_file_that_is_always_taken_away_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def lock_too_late(descriptor: int) -> bool:
        (name,) = hidden(tmp_path)
        os.unlink(tmp_path / name)
        return True

    monkeypatch.setattr(files, "try_lock", lock_too_late)
    with pytest.raises(StorageError, match=r"cannot write .*file: other processes keep removing"):
        atomic_write(path, write_new)
    assert path.read_bytes() == OLD and os.listdir(tmp_path) == ["file"]


def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving works; leftovers stay, as nobody could tell whose they are."""

    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    left = files._temporary_name("file")
    (tmp_path / left).touch()
    atomic_write(tmp_path / "file", write_new)
    assert sorted(os.listdir(tmp_path)) == [left, "file"]


KILLS = 100
SAVE_AND_KILL = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from textgen.checkpoint import read_file, write_file
path, kills = Path(sys.argv[1]), int(sys.argv[2])

def save(step):
    tensors = {str(i): np.full(30_000, step, np.int32) for i in range(4)}
    write_file(path, kind="resume", header={"step": step}, tensors=tensors)

save(0)
last = hits = 0
for kill in range(kills):
    child = os.fork()
    if child == 0:
        while True:
            last += 1
            save(last)
    time.sleep(random.Random(kill).uniform(0.002, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    hits += any(name.endswith(".tmp") for name in os.listdir(path.parent))
    header, tensors = read_file(path, kind="resume")
    assert header["step"] >= last, (kill, header, last)
    last = header["step"]
    assert all((tensor == last).all() for tensor in tensors.values()), kill
save(last + 1)
assert os.listdir(path.parent) == [path.name], os.listdir(path.parent)
print(last, hits)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    """0 failures in 100 kills: fewer than 3 in 100 kills lose a file, with 95 % confidence."""
    folder = tmp_path / "run"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SAVE_AND_KILL, str(folder / "resume.safetensors"), str(KILLS)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # the script forks
    )
    assert done.returncode == 0, done.stderr
    saves, hits = map(int, done.stdout.split())
    assert saves > 0, "no save ever ended between two kills"
    assert hits >= KILLS // 10, f"only {hits} kills fell within a save"


# --- lines and folders


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_line(path, '{"a": "ё"}')
    append_line(path, '{"b": "\udcff"}')
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"a": "ё"}, {"b": "\udcff"}]
    with pytest.raises(ValueError):
        append_line(path, "two\nlines")


def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b":')
    append_line(path, '{"c": 3}')
    assert path.read_bytes() == b'{"a": 1}\n{"b":\n{"c": 3}\n'


def test_a_line_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_line(path, "x" * 15_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*metrics\.jsonl"):
            append_line(path, "y" * 15_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"x" * 15_000 + b"\n"
    with pytest.raises(StorageError, match="it is a folder"):
        append_line(tmp_path, "z")


def test_make_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a file of that name exists"):
        make_folder(tmp_path / "file")
    with pytest.raises(StorageError, match="a part of the path is a file"):
        make_folder(tmp_path / "file" / "folder")
    monkeypatch.chdir(tmp_path)
    make_folder(Path("relative") / "folder")
    assert (tmp_path / "relative" / "folder").is_dir()


# --- the lock

HOLD = """
import sys, time
from pathlib import Path
from textgen.files import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    return holder


def test_another_process_is_refused_and_a_killed_one_does_not_block(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    try:
        with pytest.raises(RunFolderError) as caught, FolderLock(tmp_path):
            pass
        for part in (
            str(tmp_path),
            f"process {holder.pid} on {socket.gethostname()}",
            "out=FOLDER",
        ):
            assert part in str(caught.value)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert hidden(tmp_path) == [LOCK_NAME], "kill -9 leaves the file"
    with FolderLock(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text().split() == [
            str(os.getpid()),
            socket.gethostname(),
        ]
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_second_lock_in_the_same_process_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: bool
) -> None:
    if not has_locks:
        monkeypatch.setattr(files, "try_lock", lambda descriptor: None)
    lock = FolderLock(tmp_path)
    with lock:
        for other in (FolderLock(tmp_path), FolderLock(tmp_path / "." / "x" / ".."), lock):
            with pytest.raises(RunFolderError, match=f"process {os.getpid()} on"), other:
                pass
        assert hidden(tmp_path) == [LOCK_NAME]
    for again in (lock, FolderLock(tmp_path)):
        with again:
            assert hidden(tmp_path) == [LOCK_NAME]
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("has_locks", [True, False])
def test_the_lock_is_released_by_an_error_and_after_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: bool
) -> None:
    if not has_locks:
        monkeypatch.setattr(files, "try_lock", lambda descriptor: None)
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyError), FolderLock(Path("run")):
        os.chdir("/")
        raise KeyError
    assert hidden(tmp_path / "run") == []
    with FolderLock(tmp_path / "run"):
        pass


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_folder_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: bool
) -> None:
    if not has_locks:
        monkeypatch.setattr(files, "try_lock", lambda descriptor: None)
    with pytest.raises(StorageError, match="cannot lock the folder"), FolderLock(tmp_path / "no"):
        pass


def test_one_of_many_gets_the_lock_and_releasing_races_with_nobody(tmp_path: Path) -> None:
    inside = 0
    entered = 0
    errors: list[BaseException] = []

    def work() -> None:
        nonlocal inside, entered
        for _ in range(200):
            try:
                with FolderLock(tmp_path):
                    inside += 1
                    if inside != 1:
                        errors.append(AssertionError(f"{inside} in one folder"))
                    entered += 1
                    inside -= 1
            except RunFolderError:
                pass  # held by another thread just now: what the lock is for
            except TextgenError as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and entered > 0 and hidden(tmp_path) == []


def test_without_locks_of_the_kernel_the_owner_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "try_lock", lambda descriptor: None)
    path = tmp_path / LOCK_NAME
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for dead in (ended.pid, 0, -1, 10**30):
        path.write_text(f"{dead} {socket.gethostname()}\n")
        with FolderLock(tmp_path):
            assert path.read_text().startswith(f"{os.getpid()} ")
    path.write_text(f"{ended.pid} elsewhere\n")
    with (
        pytest.raises(RunFolderError, match=f"process {ended.pid} on elsewhere.*delete .*lock"),
        FolderLock(tmp_path),
    ):
        pass
    path.write_text("1 " + socket.gethostname())  # runs, and may belong to somebody else
    with pytest.raises(RunFolderError, match="process 1 on"), FolderLock(tmp_path):
        pass
    path.write_bytes(b"\xff\0")
    with pytest.raises(RunFolderError, match="another process"), FolderLock(tmp_path):
        pass


def test_a_lock_that_cannot_be_signed_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "try_lock", lambda descriptor: None)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = len(os.listdir("/dev/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StorageError, match="the disk is full"), FolderLock(tmp_path):
            pass
    assert len(os.listdir("/dev/fd")) == before
    assert hidden(tmp_path) == []
    with FolderLock(tmp_path):
        pass


def test_a_lock_file_removed_by_its_holder_before_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock on a file without a name would keep nobody out."""
    lock = files.try_lock
    calls = 0

    def lock_too_late(descriptor: int) -> bool | None:
        nonlocal calls
        calls += 1
        if calls == 1:
            os.unlink(tmp_path / LOCK_NAME)
        return lock(descriptor)

    monkeypatch.setattr(files, "try_lock", lock_too_late)
    with FolderLock(tmp_path):
        assert hidden(tmp_path) == [LOCK_NAME] and calls == 2
        with pytest.raises(RunFolderError), FolderLock(tmp_path):
            pass


def test_who_loses_every_race_for_a_lock_does_not_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock_too_late(descriptor: int) -> bool:
        os.unlink(tmp_path / LOCK_NAME)
        return True

    monkeypatch.setattr(files, "try_lock", lock_too_late)
    with pytest.raises(RunFolderError, match="in use by another process"), FolderLock(tmp_path):
        pass
    assert hidden(tmp_path) == []


def test_a_lock_that_is_held_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a race is tried again."""
    lock = files.try_lock
    found: list[bool | None] = []

    def noted(descriptor: int) -> bool | None:
        found.append(lock(descriptor))
        return found[-1]

    with FolderLock(tmp_path):
        monkeypatch.setattr(files, "try_lock", noted)
        with pytest.raises(RunFolderError, match=f"process {os.getpid()} on"), FolderLock(tmp_path):
            pass
    assert found == [False]


def test_a_lock_is_what_its_block_gets(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with lock as entered:
        assert entered is lock


# --- folders from somebody else


def lock_it(path: Path) -> None:
    with FolderLock(path.parent):
        pass


OPERATIONS: dict[str, Callable[[Path], object]] = {
    "write": lambda path: atomic_write(path, write_new),
    "append": lambda path: append_line(path, "line"),
    "read": read_plain,
    "open": open_plain,
    "create": create_private,
    "lock": lock_it,
}
#: What is put in place of a file: it gets the path and a file outside, whose content is OLD.
STRANGE: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda path, victim: path.symlink_to(victim),
    "link to a link": lambda path, victim: (
        (path.parent / "step").symlink_to(victim),
        path.symlink_to("step"),
    ),
    "link to nothing": lambda path, victim: path.symlink_to(victim.with_name("nothing")),
    "link to a folder": lambda path, victim: path.symlink_to(victim.parent),
    "pipe": lambda path, victim: os.mkfifo(path),
    "folder": lambda path, victim: path.mkdir(),
}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file outside the folder that came from somebody else."""
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / "victim"
    path.write_bytes(OLD)
    return path


def plant(folder: Path, operation: str) -> Path:
    """The path that an operation opens in a new folder."""
    folder.mkdir()
    return folder / (LOCK_NAME if operation == "lock" else "file")


@pytest.mark.parametrize("has_flag", [True, False], ids=["posix", "windows"])
@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_not_a_plain_file_is_neither_followed_nor_changed(
    tmp_path: Path,
    victim: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    strange: str,
    has_flag: bool,
) -> None:
    if not has_flag:
        monkeypatch.setattr(files, "NO_FOLLOW", 0)
    path = plant(tmp_path / "run", operation)
    STRANGE[strange](path, victim)
    before = sorted(os.listdir(path.parent))
    with pytest.raises(OSError) as caught:
        OPERATIONS[operation](path)
    if operation != "create":  # of which the name is drawn by chance
        reason = {"pipe": "it is a pipe", "folder": "folder|directory"}
        caught.match(reason.get(strange, "it is a symbolic link"))
    assert victim.read_bytes() == OLD and os.listdir(victim.parent) == ["victim"]
    assert sorted(os.listdir(path.parent)) == before, "it stays, and nothing is left"


class LinkAtCall:
    """Puts a link in place of a file just before the n-th call of the system."""

    def __init__(self, number: int, path: Path, victim: Path) -> None:
        self.number = number
        self.path = path
        self.victim = victim
        self.calls = 0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self.number:
                if os.path.exists(self.path):
                    os.rename(self.path, self.path.with_name("old"))
                self.path.symlink_to(self.victim)
            return call(*args, **named)

        return wrapped


@pytest.mark.parametrize("has_flag", [True, False], ids=["posix", "windows"])
@pytest.mark.parametrize("operation", ["write", "append", "read", "lock"])
def test_a_link_put_there_between_a_check_and_the_opening(
    tmp_path: Path,
    victim: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    has_flag: bool,
) -> None:
    """At whichever call: the file is a link from the n-th call of the system on."""
    for number in itertools.count(1):
        path = plant(tmp_path / f"run{number}", operation)
        path.write_bytes(OLD if operation != "lock" else b"")
        swap = LinkAtCall(number, path, victim)
        with monkeypatch.context() as patch:
            if not has_flag:
                patch.setattr(files, "NO_FOLLOW", 0)
            for name in ("open", "lstat", "fstat", "replace", "scandir"):
                patch.setattr(os, name, swap.wrap(getattr(os, name)))
            try:
                OPERATIONS[operation](path)
                ended = "done"
            except OSError as error:
                ended = str(error)
        assert victim.read_bytes() == OLD, (number, ended)
        assert os.listdir(victim.parent) == ["victim"]
        assert not [name for name in hidden(path.parent) if name.endswith(".tmp")]
        if swap.calls < number:
            assert ended == "done"
            break


def test_the_folder_as_a_whole_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "runs").symlink_to("disk")
    (tmp_path / "mine").symlink_to(Path("runs") / "run")
    for folder in (tmp_path / "runs" / "run", tmp_path / "mine"):
        make_folder(folder)
        with FolderLock(folder):
            atomic_write_bytes(folder / "file", NEW)
            append_line(folder / "lines", "{}")
            assert read_plain(folder / "file") == NEW
    assert (tmp_path / "disk" / "run" / "lines").read_bytes() == b"{}\n{}\n"


def test_below_the_folder_that_was_named_no_folder_is_a_link(tmp_path: Path, victim: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "link").symlink_to("run")
    for top in (run, tmp_path / "link"):
        make_folder(top / "inner" / "deep")
        atomic_write(top / "inner" / "deep" / "file", write_new, within=top)
        assert read_plain(top / "inner" / "deep" / "file", within=top) == NEW
    (run / "outer").symlink_to(victim.parent)
    (run / "both").mkdir()
    (run / "both" / "deep").symlink_to(victim.parent)
    left = victim.with_name(files._temporary_name("victim"))
    left.touch()
    for folder in (run / "outer", run / "both" / "deep"):
        with pytest.raises(StorageError, match=r"cannot write .* is a symbolic link"):
            atomic_write(folder / "victim", write_new, within=run)
        with pytest.raises(OSError, match=r"the folder .* is a symbolic link"):
            read_plain(folder / "victim", within=run)
        remove_leftovers(folder, within=run)
        with pytest.raises(StorageError, match=r"cannot create .* is a symbolic link"):
            make_folder(folder, within=run)
    assert victim.read_bytes() == OLD and left.exists()


def test_a_folder_that_becomes_a_link_while_it_is_open(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    (run / "neurons").mkdir(parents=True)

    def write(file: BinaryIO) -> None:
        os.rename(run / "neurons", run / "moved")
        (run / "neurons").symlink_to(victim.parent)
        write_new(file)

    atomic_write(run / "neurons" / "victim", write, within=run)
    assert victim.read_bytes() == OLD and os.listdir(victim.parent) == ["victim"]
    assert (run / "moved" / "victim").read_bytes() == NEW


def test_another_name_of_a_file_keeps_its_content(tmp_path: Path) -> None:
    """A hard link: a trap, or a snapshot of the run."""
    run, copy = tmp_path / "run", tmp_path / "copy"
    for folder in (run, copy):
        folder.mkdir()
    for name in ("file", "lines", LOCK_NAME):
        (run / name).write_bytes(b"old\n")
        os.link(run / name, copy / name)
    (run / "lines").chmod(0o600)
    atomic_write(run / "file", write_new)
    append_line(run / "lines", "new")
    append_line(run / "lines", "newer")
    with FolderLock(run):
        assert (run / LOCK_NAME).read_bytes() != b"old\n"
    for name in ("file", "lines", LOCK_NAME):
        assert (copy / name).read_bytes() == b"old\n"
    assert (run / "file").read_bytes() == NEW
    assert (run / "lines").read_bytes() == b"old\nnew\nnewer\n"
    assert stat.S_IMODE((run / "lines").stat().st_mode) == 0o600, "nobody may read more than before"


def test_another_name_of_a_lock_that_is_held_is_not_taken_away(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    try:
        os.link(tmp_path / LOCK_NAME, tmp_path / "copy")
        with pytest.raises(RunFolderError, match=f"process {holder.pid}"), FolderLock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("name", [MODEL_NAME, RESUME_NAME, METRICS_NAME, CURVE_NAME])
def test_what_could_not_be_saved_is_refused_where_a_run_begins(
    tmp_path: Path, victim: Path, name: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / name).symlink_to(victim)
    reason = f"cannot use .*{name}: it is a symbolic link"
    with pytest.raises(StorageError, match=reason), FolderLock(run):
        pass
    assert hidden(run) == [] and victim.read_bytes() == OLD


def test_whoever_opens_a_run_removes_what_killed_writers_left(tmp_path: Path) -> None:
    killed = [files._temporary_name(name) for name in (CURVE_NAME, RESUME_NAME)]
    keep = [".loss.svg.tmp", ".loss.svg.0123.tmp", "loss.svg.0123456789abcdef.tmp"]
    link = files._temporary_name("loss.svg")
    (tmp_path / link).symlink_to(killed[0])
    for name in killed + keep:
        (tmp_path / name).touch()

    def write(file: BinaryIO) -> None:
        (live,) = set(os.listdir(tmp_path)) - {link, *killed, *keep}
        with FolderLock(tmp_path):
            left = set(os.listdir(tmp_path))
        assert left == {LOCK_NAME, link, live, *keep}, "that of a live writer stays"
        write_new(file)

    atomic_write(tmp_path / "page.html", write)
    assert sorted(os.listdir(tmp_path)) == sorted(["page.html", link, *keep])


@pytest.mark.parametrize(
    ("write", "new", "own"),
    [(atomic_write_text, "new", "own"), (atomic_write_bytes, b"new", b"own")],
)
def test_a_text_is_written_through_a_link_only_where_that_is_asked_for(
    tmp_path: Path, write: Callable[..., None], new: str | bytes, own: str | bytes
) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write(link, new, follow=True)
    assert link.is_symlink() and target.read_text() == "new"
    with pytest.raises(StorageError, match="it is a symbolic link"):
        write(link, own)
    assert link.is_symlink() and target.read_text() == "new"


def test_what_is_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to("nothing")
    assert files.is_link_at(link)
    for path in (file, tmp_path, tmp_path / "nothing", file / "below"):
        assert not files.is_link_at(path)


def test_a_private_file_is_for_its_user_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        with create_private(tmp_path / "file") as file:
            file.write(b"mine")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == 0o600
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "file")
    with open_private(tmp_path / "file") as file:
        assert file.read() == b"mine"


@pytest.mark.parametrize(
    ("mode", "is_refused"), [(0o700, False), (0o755, False), (0o720, True), (0o702, True)]
)
def test_what_others_may_write_to_is_refused(tmp_path: Path, mode: int, is_refused: bool) -> None:
    """Where they reach it, that is."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    status = os.stat(folder)
    require_private(status, reachable=False)
    if not is_refused:
        require_private(status)
        return
    with pytest.raises(OSError, match="chmod go-w"):
        require_private(status)


def test_a_link_is_no_leftover(tmp_path: Path) -> None:
    link = tmp_path / files._temporary_name("file")
    (tmp_path / "other").write_text("kept")
    link.symlink_to(tmp_path / "other")
    remove_leftovers(tmp_path)
    assert link.is_symlink() and (tmp_path / "other").read_text() == "kept"
    link.unlink()
    link.write_text("left by a killed writer")
    remove_leftovers(tmp_path)
    assert not link.exists()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Without the bits of `mask`, inside the block."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """Neither after what was done nor after what was refused."""
    run, pipe = tmp_path / "run", tmp_path / "pipe"
    make_folder(run, within=tmp_path)
    os.mkfifo(pipe)

    def fail(file: BinaryIO) -> None:
        raise OSError(errno.EIO, "broken")

    before = len(os.listdir("/dev/fd"))
    check_writable(tmp_path / "page.html")
    atomic_write_bytes(run / MODEL_NAME, OLD)
    append_line(run / METRICS_NAME, "{}")
    files.sync_lines(run / METRICS_NAME)
    assert read_plain(run / MODEL_NAME, within=tmp_path) == OLD
    with FolderLock(run), pytest.raises(RunFolderError, match="in use"), FolderLock(run):
        pass
    with FolderLock(run):
        files.remove_lock_of(run, os.getpid(), socket.gethostname())
        assert (run / LOCK_NAME).exists()
    left = run / files._temporary_name(MODEL_NAME)
    left.touch()
    remove_leftovers(run)
    assert not left.exists()
    for refused in (
        lambda: atomic_write(run / MODEL_NAME, fail),
        lambda: open_plain(pipe),
        lambda: open_plain(run),
        lambda: read_plain(run / "no" / "file", within=tmp_path),
        lambda: make_folder(run / MODEL_NAME / "below", within=tmp_path),
    ):
        with pytest.raises((StorageError, OSError)):
            refused()
    assert len(os.listdir("/dev/fd")) == before


def test_a_new_folder_is_synchronised_with_those_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(files, "_sync", lambda folder: synced.append(os.fstat(folder).st_ino))
    make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_a_folder_of_the_project_is_found_in_a_clone() -> None:
    root = Path(files.__file__).parents[1]
    assert files.project_folder("no such folder", "textgen") == root / "textgen"
    assert files.project_folder("native", "textgen") == root / "textgen" / "native"
    assert files.project_folder("no such folder", "nor this") is None


def test_so_much_of_a_file_is_read_as_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert (read_plain(path), read_plain(path, 4)) == (b"0123456789", b"0123")


def test_who_may_have_written_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def opened(folder: int, file: int) -> bytes:
        path.chmod(file)
        tmp_path.chmod(folder)
        with open_private(path) as found:
            return found.read()

    assert opened(0o755, 0o644) == opened(0o700, 0o666) == OLD
    for folder in (0o701, 0o710, 0o755):
        with pytest.raises(OSError, match="other users may write to it"):
            opened(folder, 0o666)
    tmp_path.chmod(0o700)
    own = path.stat()
    monkeypatch.setattr(os, "geteuid", lambda: own.st_uid + 1)
    if own.st_uid:
        with pytest.raises(OSError, match="belongs to another user"):
            open_private(path)
    else:
        assert opened(0o700, 0o600) == OLD  # the administrator's
    values = list(own)
    values[stat.ST_UID] = own.st_uid + 2
    with pytest.raises(OSError, match="belongs to another user"):
        require_private(os.stat_result(values))


def test_lines_are_on_the_disk_when_they_are_synchronised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / METRICS_NAME
    files.sync_lines(path)  # There is none.
    append_line(path, "{}")
    flushed: list[bool] = []

    def flush(descriptor: int) -> None:
        flushed.append(os.path.samestat(os.fstat(descriptor), path.stat()))

    synced: list[int] = []
    monkeypatch.setattr(files, "flush", flush)
    monkeypatch.setattr(files, "_sync", lambda folder: synced.append(os.fstat(folder).st_ino))
    files.sync_lines(path)
    assert flushed == [True] and synced == [tmp_path.stat().st_ino]

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(files, "flush", fail)
    with pytest.raises(StorageError, match="cannot write"):
        files.sync_lines(path)


def test_what_harms_nobody_is_removed_where_that_is_possible(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    files.remove_quietly(path)
    assert not path.exists()
    files.remove_quietly(path)


def test_a_lock_names_its_process_alone(tmp_path: Path) -> None:
    """Whatever stood in the file before."""
    (tmp_path / LOCK_NAME).write_text("12345678901 another.host.with.a.long.name\n" * 9)
    with FolderLock(tmp_path):
        named = (tmp_path / LOCK_NAME).read_text()
    assert named == f"{os.getpid()} {socket.gethostname()}\n"


def test_a_file_is_for_whom_the_umask_says_and_is_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with umask(0):
        atomic_write_bytes(tmp_path / MODEL_NAME, OLD)
        append_line(tmp_path / METRICS_NAME, "{}")
        with FolderLock(tmp_path):
            assert mode_of(tmp_path / LOCK_NAME) == 0o666
        monkeypatch.setattr(files, "try_lock", lambda descriptor: None)
        with FolderLock(tmp_path):  # On a disk without locks.
            assert mode_of(tmp_path / LOCK_NAME) == 0o666
    assert mode_of(tmp_path / MODEL_NAME) == mode_of(tmp_path / METRICS_NAME) == 0o666
    # A copy of what has a second name keeps the permissions, but is no program either.
    (tmp_path / METRICS_NAME).chmod(0o757)
    os.link(tmp_path / METRICS_NAME, tmp_path / "second")
    append_line(tmp_path / METRICS_NAME, "{}")
    assert mode_of(tmp_path / METRICS_NAME) == 0o646
    assert (tmp_path / METRICS_NAME).read_text() == "{}\n{}\n"
    assert (tmp_path / "second").read_text() == "{}\n"


def test_a_line_that_cannot_be_copied_first_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / METRICS_NAME
    append_line(path, "{}")
    os.link(path, tmp_path / "second")
    with monkeypatch.context() as changed:
        changed.setattr(files, "atomic_write", lambda *what: None)
        with pytest.raises(StorageError, match="keeps giving it a second name"):
            append_line(path, "{}")

    def fail(*what: object, **more: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(files, "atomic_write", fail)
    with pytest.raises(StorageError, match="the disk is full"):
        append_line(path, "{}")
    assert path.read_text() == "{}\n"


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # The name of a socket may be short only.
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("here")
        with pytest.raises(OSError, match="a pipe, a socket or a device") as refused:
            open_plain(Path("here"))
    assert refused.value.errno == errno.ENXIO


def test_a_folder_that_is_a_file_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(NotADirectoryError):
        read_plain(tmp_path / "file" / "below" / "name", within=tmp_path)


@pytest.mark.parametrize("second_names", [True, False])
def test_one_of_many_creates_a_file(
    tmp_path: Path, second_names: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a disk whose files have one name each. Nothing else is left there."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no second names")

    if not second_names:
        monkeypatch.setattr(os, "link", refused)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: files.create_once(tmp_path / "one", b"%d" % n), range(40)))
    assert made.count(True) == 1
    assert (tmp_path / "one").read_bytes() == b"%d" % made.index(True)
    assert os.listdir(tmp_path) == ["one"]


def test_an_answer_that_was_lost_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network disk may make the second name, lose its answer, and refuse when asked again."""
    link = os.link

    def twice(*args: object, **more: object) -> None:
        link(*args, **more)  # type: ignore[arg-type]
        link(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", twice)
    assert files.create_once(tmp_path / "one", b"mine")
    monkeypatch.undo()
    assert not files.create_once(tmp_path / "one", b"yours")


def test_a_file_outside_gets_no_second_name(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a link takes the place of the temporary file just before that gets its name."""
    run = tmp_path / "run"
    run.mkdir()
    link = os.link

    def link_too_late(name: str, other: str, **more: Any) -> None:
        (run / name).unlink()
        (run / name).symlink_to(victim)
        link(name, other, **more)

    monkeypatch.setattr(os, "link", link_too_late)
    files.create_once(run / "one", b"mine")
    assert victim.stat().st_nlink == 1 and victim.read_bytes() == OLD


def test_a_file_that_is_created_once_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where that fails, neither a file nor an open one is left."""
    steps: list[str] = []
    link = os.link

    def note_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes")

    def note_link(*names: Any, **more: Any) -> None:
        steps.append("name")
        link(*names, **more)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "link", note_link)
    before = len(os.listdir("/dev/fd"))
    assert files.create_once(tmp_path / "one", OLD)
    assert steps == ["3000 bytes", "name", "folder"]
    for what in ("link", "fsync"):
        monkeypatch.setattr(os, what, fail)
        with pytest.raises(StorageError, match=r"cannot write .*other: the disk reports"):
            files.create_once(tmp_path / "other", OLD)
    assert os.listdir(tmp_path) == ["one"]
    assert len(os.listdir("/dev/fd")) == before


def test_the_lock_of_a_dead_process_is_removed_where_the_disk_has_none(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    lock.write_text("17 far-away\n")
    files.remove_lock_of(tmp_path, 18, "far-away")
    assert lock.exists()
    with files.FolderLock(tmp_path):
        process, _, host = lock.read_text().strip().partition(" ")
        files.remove_lock_of(tmp_path, int(process), host)
        assert lock.exists()  # Somebody has it.
    lock.write_text("17 far-away\n")
    files.remove_lock_of(tmp_path, 17, "far-away")
    assert not lock.exists()


def test_a_file_is_opened_to_write_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123")
    with open_plain(path, write=True) as file:
        assert file.read(2) == b"01"
        file.write(b"x")
    assert path.read_bytes() == b"01x3"
    with open_plain(path) as file, pytest.raises(OSError, match="write"):
        file.write(b"y")


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(NEW)
    (tmp_path / "old").write_bytes(OLD)
    files.replace_file(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == NEW and os.listdir(tmp_path) == ["old"]


def test_which_processes_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 and less are groups of processes, and a process of another user runs, too."""
    asked: list[tuple[int, int]] = []
    error: list[OSError] = [ProcessLookupError(errno.ESRCH, "no such process")]

    def kill(process: int, number: int) -> None:
        asked.append((process, number))
        raise error[0]

    assert files.is_running(os.getpid()) and not files.is_running(2**70)
    monkeypatch.setattr(os, "kill", kill)
    assert not files.is_running(1) and not files.is_running(0) and not files.is_running(-1)
    error[0] = PermissionError(errno.EPERM, "not yours")
    assert files.is_running(1)
    assert asked == [(1, 0), (1, 0)]
