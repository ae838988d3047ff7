"""Writing files as a whole, and keeping two runs out of one folder.

A reader of a file written by `atomic_write` sees the old bytes or the new ones, never a mixture,
whatever interrupts the writer: an error, a signal, `kill -9`, loss of power.
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
from typing import BinaryIO

from textgen.errors import RunFolderError, StorageError, TextgenError, named

if sys.platform != "win32":
    import fcntl

#: The file in a run's folder that names the process that writes there.
LOCK_NAME = ".lock"

#: How often to try again after losing a race for a file name.
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
    """Return why the system refused, for a message: "the disk is full; free some space"."""
    if error.errno in _REASONS:
        return _REASONS[error.errno]
    return error.strerror or str(error) or type(error).__name__


def project_folder(installed: str, in_clone: str) -> Path | None:
    """A folder that comes with textgen and holds no modules.

    Args:
        installed: Where an installed package has it, below the package.
        in_clone: Where it stands in a clone, below the root.
    Returns:
        The folder; None where it is in neither place.
    """
    package = Path(__file__).resolve().parent
    folders = (package / installed, package.parent / in_clone)
    return next((folder for folder in folders if folder.is_dir()), None)


def make_folder(path: Path) -> None:
    """Create a folder and the folders above it, unless they exist.

    Raises:
        StorageError: The folder cannot be created, or a file has its name.
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


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace a file as a whole: its readers see the old bytes or the new ones.

    The bytes go to a temporary file in the same folder (its name starts with "." and ends with
    ".tmp"). It is synchronised and renamed to `path`, and then the folder is synchronised. The
    permissions are those of a new file: `0o666` less the umask. If `path` is a symbolic link, the
    file that it points to is replaced. Temporary files of killed writers of `path` are removed.

    Args:
        path: The file to replace or create.
        write: Writes the whole content to the binary file it is given.
    Raises:
        StorageError: The file could not be written; an old file is unchanged and no temporary file
            is left. If only the last step failed, synchronising the folder, the new file is in
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
    """Write bytes with `atomic_write`."""
    atomic_write(path, lambda file: file.write(data))


def atomic_write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with `atomic_write`; line ends stay as they are.

    Lone surrogates, which Python uses for file names that are not text, are written as JSON escapes
    them: `\\udcff`.
    """
    atomic_write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def check_writable(path: Path) -> None:
    """Check before long work that a file can be written after it.

    Raises:
        StorageError: `atomic_write` would fail now, with the same message.
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
    """Append one line, such as a JSON object, as UTF-8; a missing file is created.

    If writing fails, nothing of the line stays. If a killed writer left a line unfinished, it is
    ended first.

    Args:
        path: The file.
        line: The text without its line end. Lone surrogates are written as `\\udcff`.
    Raises:
        StorageError: The line could not be written.
    """
    if "\n" in line:
        raise ValueError("a line must not hold a line end")
    data = line.encode("utf-8", errors="backslashreplace") + b"\n"
    try:
        # Unbuffered: one system call for a line, so that the lines of two writers do not mix.
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
                # If this fails too, the first error counts.
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {os_reason(error)}") from error


class FolderLock:
    """A context in which no other process, and no second lock in this one, enters the folder.

    It is a lock of the kernel (`flock` on the file `.lock` in the folder). So it ends with the
    process, however that ends, and a file that is left behind never blocks. On Windows and some
    network disks, which have no such lock, `.lock` is created exclusively and the process in it is
    checked: a dead one on this host does not block, one on another host blocks until the file is
    deleted.

    Args:
        folder: An existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        # Absolute: the process may change its working folder while it has the lock.
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

    def __exit__(self, *_: object) -> None:
        """Release the lock and remove its file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if sys.platform == "win32":
            os.close(descriptor)  # an open file cannot be removed there
        # Removed before it is unlocked, so that the next process that locks it sees that it is
        # gone. A file that cannot be removed blocks nobody: it is no longer locked.
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        if sys.platform != "win32":
            os.close(descriptor)

    def _try_to_take(self) -> int | None:
        """The descriptor of the locked file; None after losing a race."""
        if sys.platform == "win32":
            return self._try_to_create()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
        try:
            taken = _try_lock(descriptor)
            if taken is None and os.fstat(descriptor).st_size == 0:
                os.unlink(self._path)  # probably created just now
            # A process that released the lock between our opening and locking removed the file.
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
        """Take the lock without the kernel: the process that creates the file has it."""
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
            os.unlink(self._path)  # it names no process
            raise
        return descriptor

    def _sign(self, descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())

    def _owner(self) -> tuple[int, str] | None:
        """Process id and host of the holder; None if they cannot be read."""
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
    """The file that writing to `path` replaces, after links; anything but a file is refused."""
    target = Path(os.path.realpath(path))
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return target
    if stat.S_ISDIR(mode):
        raise StorageError(f"cannot write {path}: it is a folder")
    if not stat.S_ISREG(mode):
        # A rename would destroy a device, a pipe or a loop of links.
        raise StorageError(f"cannot write {path}: it is not a regular file")
    return target


def _create_temp(target: Path) -> tuple[Path, int]:
    """Make a new, empty, locked file beside `target`; return its path and descriptor."""
    for _ in range(_ATTEMPTS):
        temp = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        # The kernel applies the umask and the folder's default access list to 0o666.
        descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        kept = False
        try:
            taken = _try_lock(descriptor)
            # Otherwise another writer took it for a leftover before it was locked.
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
    """Remove the temporary files of killed writers of `target`; a live writer has a lock on his."""
    prefix = f".{target.name}."
    # A failure here must not make a save fail; the next save tries again.
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
    """Make the names in a folder survive a loss of power."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _BINARY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # "not possible here", on some network file systems
            raise
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool | None:
    """Lock an open file; False if another process has it, None if the disk has no locks."""
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
    """Whether a process runs on this host."""
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
        return False  # a group of processes
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # it runs for another user
    return True
