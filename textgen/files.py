"""Writing to disk so that a file is whole or not there, and keeping two runs out of one folder.

A reader of a path written by `atomic_write` meets the old bytes or the new ones, never a mixture,
whatever interrupts the writer: an error, a signal, `kill -9`, loss of power. Nothing here knows
what the bytes mean.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from textgen.errors import RunFolderError, StorageError, TextgenError, named

if sys.platform != "win32":
    import fcntl

#: The file in a run's folder that tells who writes there.
LOCK_NAME = ".lock"

#: How often a race with another process over one file name is retried.
_ATTEMPTS = 100

_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "your disk quota is used up; free some space",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the disk is mounted read-only",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long for this disk",
    errno.EIO: "the disk reports an input/output error",
}


def os_reason(error: OSError) -> str:
    """Why the system refused, in words for a message: "the disk is full; free some space"."""
    if error.errno in _REASONS:
        return _REASONS[error.errno]
    return error.strerror or str(error) or type(error).__name__


def make_folder(path: Path) -> None:
    """Create a folder and the folders above it; one that exists already is fine.

    Raises:
        StorageError: It cannot be created, or a file of that name exists.
    """
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for folder in reversed(missing):
            _sync_folder(folder.parent)
    except FileExistsError as error:
        raise StorageError(
            f"cannot create the folder {path}: a file of that name exists; choose another name"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot create the folder {path}: {os_reason(error)}") from error


def atomic_write(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Replace a file as a whole: its readers see the old bytes or the new ones.

    The bytes go to a temporary file in the same folder (its name starts with "." and ends with
    ".tmp"), which is synchronised, renamed over `path`, and the folder synchronised. Permissions
    are those of any new file: `0o666` less the umask. A symbolic link stays one: the file that it
    points to is replaced. Temporary files that killed writers of the same path left are removed.

    Args:
        path: The file to replace or create.
        write: Writes the whole content to the binary file it is handed.
    Raises:
        StorageError: It could not be written; an old file is as it was and no temporary file is
            left. If only the last step failed, synchronising the folder, the new file is in
            place and the message says that a loss of power could still undo it.
    """
    path = Path(path)
    replaced = False
    temp: Path | None = None
    try:
        target = _replaceable(path)
        _remove_leftovers(target)
        temp, descriptor = _create_temp(target)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":
                # Still open, and so locked: no other writer takes it for a leftover.
                os.replace(temp, target)
                replaced = True
        if not replaced:
            os.replace(temp, target)  # Windows renames closed files only
            replaced = True
        _sync_folder(target.parent)
    except BaseException as error:
        if temp is not None and not replaced:
            # Where even this fails, the next write of the same file removes it.
            with contextlib.suppress(OSError):
                os.unlink(temp)
        if not isinstance(error, OSError) or isinstance(error, TextgenError):
            raise
        if replaced:
            raise StorageError(
                f"{path} is written, but the disk did not confirm it ({os_reason(error)}): "
                "a loss of power could still undo it"
            ) from error
        raise StorageError(f"cannot write {path}: {os_reason(error)}") from error


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """`atomic_write` of bytes."""

    def write(file: BinaryIO) -> None:
        file.write(data)

    atomic_write(path, write)


def atomic_write_text(path: Path, text: str) -> None:
    """`atomic_write` of text as UTF-8; line ends are written as they stand.

    The bytes of a file's name that are no text arrive here as lone surrogates. They are written as
    JSON escapes them, `\\udcff`.
    """
    atomic_write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def check_writable(path: Path) -> None:
    """Refuse before some long work a file that could not be written after it.

    Raises:
        StorageError: `atomic_write` would fail now; its message.
    """
    path = Path(path)
    try:
        temp, descriptor = _create_temp(_replaceable(path))
        os.close(descriptor)
        os.unlink(temp)
    except TextgenError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {os_reason(error)}") from error


def append_line(path: Path, line: str) -> None:
    """Append one line (a JSON object, say) as UTF-8; created where there is no such file.

    The line is there whole or not at all if writing fails. A line that a killed writer left
    unfinished is ended first, so that it spoils no other.

    Args:
        path: The file.
        line: The text without its line end. A lone surrogate, which UTF-8 cannot hold, is written
            as `\\udcff`, which is how JSON spells it.
    Raises:
        StorageError: It could not be written.
    """
    if "\n" in line:
        raise ValueError("a line must not hold a line end")
    data = line.encode("utf-8", errors="backslashreplace") + b"\n"
    try:
        # Unbuffered: one system call a line, so that two writers do not mix theirs.
        with open(path, "ab+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    data = b"\n" + data
            try:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
            except OSError:
                # Best effort: the error that counts is the one being raised.
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {os_reason(error)}") from error


class FolderLock:
    """While entered, no other process (and no second lock in this one) enters the same folder.

    The lock is the kernel's (`flock` on the file `.lock` in the folder), so it ends with the
    process, however that ends, and a lock left behind never blocks. Where there is none (Windows,
    some network disks) `.lock` is created exclusively and its owner's process id is checked: a
    dead owner on this host does not block, one on another host does until the file is deleted.

    Args:
        folder: An existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        # Absolute: the process may change its folder before the lock is released.
        self._path = Path(os.path.abspath(folder)) / LOCK_NAME
        self._descriptor: int | None = None

    def __enter__(self) -> FolderLock:
        """Take the lock.

        Raises:
            RunFolderError: A live process holds it; the message names the process.
            StorageError: The lock file cannot be created.
        """
        try:
            for _ in range(_ATTEMPTS):
                descriptor = self._try_to_take()
                if descriptor is not None:
                    self._descriptor = descriptor
                    return self
        except OSError as error:
            reason = os_reason(error)
            raise StorageError(f"cannot lock the folder {self.folder}: {reason}") from error
        raise self._held()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release the lock and remove its file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if sys.platform == "win32":
            os.close(descriptor)  # an open file cannot be removed there
        # Else removed before it is unlocked, so that whoever locks it next sees that it is gone. A
        # lock file that cannot be removed blocks nobody: its owner does not hold it any more.
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        if sys.platform != "win32":
            os.close(descriptor)

    def _try_to_take(self) -> int | None:
        """The locked file's descriptor, or None where a race was lost and must be run again."""
        if sys.platform == "win32":
            return self._try_to_create()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
        try:
            taken = _try_lock(descriptor)
            if taken is None and os.fstat(descriptor).st_size == 0:
                os.unlink(self._path)  # most likely created by the line above
            # A holder that ended between our opening and our locking has removed the file.
            if taken and _is_named(descriptor, self._path):
                self._sign(descriptor)
                kept, descriptor = descriptor, -1
                return kept
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        if taken is None:
            return self._try_to_create()
        if not taken:
            raise self._held()
        return None

    def _try_to_create(self) -> int | None:
        """The way without a lock of the kernel: whoever creates the file has the lock."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        except FileExistsError:
            owner = self._owner()
            if owner is None or owner[1] != socket.gethostname() or _is_alive(owner[0]):
                raise self._held() from None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            return None
        try:
            self._sign(descriptor)
        except OSError:
            os.close(descriptor)
            os.unlink(self._path)  # nobody could tell whose it is
            raise
        return descriptor

    def _sign(self, descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())

    def _owner(self) -> tuple[int, str] | None:
        """Process id and host of who holds the lock, or None if that cannot be read."""
        try:
            with open(self._path, "rb") as file:
                process, _, host = file.read(512).decode("utf-8", "replace").strip().partition(" ")
            return int(process), host
        except (OSError, ValueError):
            return None

    def _held(self) -> RunFolderError:
        owner = self._owner()
        who = "another process" if owner is None else f"process {owner[0]} on {owner[1]}"
        return RunFolderError(
            f"{self.folder} is in use by {who}; wait until it ends, stop it, or choose another "
            f"folder, {named('out', 'FOLDER')} (if no such process runs, delete "
            f"{self.folder / LOCK_NAME})"
        )


def _replaceable(path: Path) -> Path:
    """The file that writing to `path` replaces: links followed, anything but a file refused."""
    target = Path(os.path.realpath(path))
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return target
    if stat.S_ISDIR(mode):
        raise StorageError(f"cannot write {path}: it is a folder")
    if not stat.S_ISREG(mode):
        # A device, a pipe, a loop of links: renaming a file over it would destroy it.
        raise StorageError(f"cannot write {path}: it is not a regular file")
    return target


def _create_temp(target: Path) -> tuple[Path, int]:
    """A new, empty, locked file beside `target`: its path and descriptor."""
    for _ in range(_ATTEMPTS):
        temp = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        # The kernel takes the umask (and a folder's default access list) off 0o666 by itself.
        descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        kept = False
        try:
            taken = _try_lock(descriptor)
            # Else another writer took it for a leftover before it was locked, and removes it.
            kept = taken is None or (taken and _is_named(descriptor, temp))
        finally:
            if not kept:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    os.unlink(temp)
        if kept:
            return temp, descriptor
    raise OSError(errno.EBUSY, "other processes keep removing its temporary file")


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files that killed writers of `target` left.

    A live writer holds a lock on its temporary file, so two writers do not disturb each other. On
    Windows an open file cannot be removed in the first place; on a disk without locks leftovers
    stay.
    """
    prefix = f".{target.name}."
    # Tidying up must never make a save fail: what cannot be removed now is tried again next time.
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if not (entry.name.startswith(prefix) and entry.name.endswith(".tmp")):
                continue
            with contextlib.suppress(OSError):
                if not entry.is_file(follow_symlinks=False):
                    continue
                if sys.platform == "win32":
                    os.unlink(entry.path)
                    continue
                descriptor = os.open(entry.path, os.O_RDWR | _BINARY)
                try:
                    if _try_lock(descriptor):
                        os.unlink(entry.path)
                finally:
                    os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power.

    Some file systems (network and FUSE ones) answer EINVAL, "not possible here": tolerated, as
    nothing more can be done there. Windows has no such call.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _BINARY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool | None:
    """Lock an open file: True if taken, False if another holds it, None where there is no lock."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in _NO_LOCKS_HERE:
            return None
        raise
    return True


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _is_alive(process: int) -> bool:
    """Whether a process of this host runs."""
    if sys.platform == "win32":
        # Not os.kill: on Windows it ends the process, whatever the signal.
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, process)
        if not handle:
            return False
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return code.value == 259  # STILL_ACTIVE
    if process <= 0:
        return False  # no process, but the name of a group of them
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # it runs, for somebody else
    return True
