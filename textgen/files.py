"""Writing files as a whole, and keeping two runs out of one folder.

A reader of a file written by `atomic_write` sees the old bytes or the new ones, never a mixture,
whatever interrupts the writer: an error, a signal, `kill -9`, loss of power.

A folder may come from somebody else, who put links into it. So nothing here opens a file through a
symbolic link, and nothing is written into what is not a plain file, or has a second name elsewhere.
What is checked is the open file, not its name, which could be changed in between. The folder that a
person names may be a link itself; and a file that a person names for a result (`follow=True`) may
be one, for then it is his own.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from textgen.errors import FolderInUseError, StorageError, TextgenError, named
from textgen.systems import (
    BINARY,
    DIRECTORY,
    NO_FOLLOW,
    NO_WAIT,
    flush,
    is_link,
    patiently,
    remove_open,
    replace,
    try_lock,
    windows_fault,
    windows_reason,
)

#: The file in a run's folder that names the process that writes there.
LOCK_NAME = ".lock"
#: The other files of a run: its best model, where it stands, its reports, and a picture of them.
MODEL_NAME = "model.safetensors"
RESUME_NAME = "resume.safetensors"
METRICS_NAME = "metrics.jsonl"
CURVE_NAME = "loss.svg"

#: How often to try again after losing a race for a file name.
_ATTEMPTS = 100
#: Windows renames closed files only: a temporary file that was written to so many seconds ago may
#: be about to get its name, and is no leftover.
_FRESH_SECONDS = 60.0
#: A network disk may keep the locks of one machine from another, so that a temporary file of
#: another one is no leftover before so many seconds.
_ELSEWHERE_SECONDS = 86_400.0

_A_LINK = (
    "it is a symbolic link, which may lead anywhere and is not followed; delete it, or put the "
    "thing itself in its place (the run's folder as a whole may be a link)"
)
_A_DEVICE = "it is a pipe, a socket or a device, not a plain file"
#: What a disk says whose files have one name each.
_NO_SECOND_NAMES = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_TEMPORARY = re.compile(r"\.(.+)\.([0-9a-f]{6})[0-9a-f]{10}\.tmp")
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
    told = windows_reason(error) or _REASONS.get(error.errno or 0)
    return told or error.strerror or str(error) or type(error).__name__


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


def make_folder(path: Path, *, within: Path | None = None) -> None:
    """Create a folder and the folders above it, unless they exist.

    Args:
        path: The folder.
        within: As for `atomic_write`.
    Raises:
        StorageError: The folder cannot be created, a file has its name, or a part below `within`
            is a link; on Windows, its name can be none.
    """
    path = Path(path)
    _require_name(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for folder in reversed(missing):
            _sync_folder(folder.parent)
        if within is not None:
            _Folder(path, within).close()
    except FileExistsError as error:
        raise StorageError(
            f"cannot create the folder {path}: a file of that name exists; choose another name"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot create the folder {path}: {os_reason(error)}") from error


def atomic_write(
    path: Path,
    write: Callable[[BinaryIO], object],
    *,
    follow: bool = False,
    within: Path | None = None,
) -> None:
    """Replace a file as a whole: its readers see the old bytes or the new ones.

    The bytes go to a temporary file in the same folder (its name starts with "." and ends with
    ".tmp"). It is synchronised and renamed to `path`, and then the folder is synchronised. The
    permissions are those of a new file: `0o666` less the umask. Other names of an old file (hard
    links) keep its content. Temporary files of killed writers of `path` are removed.

    Args:
        path: The file to replace or create.
        write: Writes the whole content to the binary file it is given.
        follow: Whether a symbolic link at `path` is followed, to replace the file that it points
            to: for a result, whose place a person has named. A link that lies in a run's folder is
            not followed even then.
        within: The folder that a person has named, above that of `path`: no folder below it may be
            a link. None: the folder of `path`.
    Raises:
        StorageError: The file could not be written; an old file is unchanged and no temporary file
            is left. If only the last step failed, synchronising the folder, the new file is in
            place and the message says that a loss of power could still undo it.
    """
    path = Path(path)
    _require_name(path)
    replaced = False
    temp: str | None = None
    folder: _Folder | None = None
    try:
        target = _target(path, follow)
        folder = _Folder(target.parent, within)
        name = target.name or "."
        _require_replaceable(folder, name)
        _remove_temporary(folder, name)
        temp, descriptor = _create_temp(folder, name)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            flush(file.fileno())
            if sys.platform != "win32":
                # Still open, and so locked: no other writer takes it for a leftover.
                folder.replace(temp, name)
                replaced = True
        if not replaced:
            folder.replace(temp, name)  # Windows renames closed files only
            replaced = True
        folder.sync()
    except BaseException as error:
        if folder is not None and temp is not None and not replaced:
            # Where even this fails, the next write of the same file removes it.
            with contextlib.suppress(OSError):
                folder.unlink(temp)
        if not isinstance(error, OSError) or isinstance(error, TextgenError):
            raise
        if replaced:
            raise StorageError(
                f"{path} is written, but the disk did not confirm it ({os_reason(error)}): "
                "a loss of power could still undo it"
            ) from error
        raise StorageError(f"cannot write {path}: {os_reason(error)}") from error
    finally:
        if folder is not None:
            folder.close()


def atomic_write_bytes(
    path: Path, data: bytes, *, follow: bool = False, within: Path | None = None
) -> None:
    """Write bytes with `atomic_write`."""
    atomic_write(path, lambda file: file.write(data), follow=follow, within=within)


def atomic_write_text(
    path: Path, text: str, *, follow: bool = False, within: Path | None = None
) -> None:
    """Write text as UTF-8 with `atomic_write`; line ends stay as they are.

    Lone surrogates, which Python uses for file names that are not text, are written as JSON escapes
    them: `\\udcff`.
    """
    data = text.encode("utf-8", errors="backslashreplace")
    atomic_write_bytes(path, data, follow=follow, within=within)


def create_once(path: Path, data: bytes) -> bool:
    """Write a whole file under a name that is free; False where a file has it.

    Of several processes that try, on one machine or on several that share a disk, one gets True,
    and nobody sees a part of the file. It needs no lock: the bytes go to a temporary file, which
    then gets `path` as a second name (`link`), an operation that network disks do as a whole. Where
    there are no second names, the file is created exclusively and then written, so that for a
    moment it may be seen empty.

    Raises:
        StorageError: It could not be written.
    """
    path = Path(path)
    _require_name(path)
    folder: _Folder | None = None
    temp: str | None = None
    try:
        folder = _Folder(path.parent)
        temp, descriptor = _create_temp(folder, path.name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            flush(file.fileno())
        made = folder.rename_once(temp, path.name, data)
        folder.sync()
        return made
    except OSError as error:
        raise StorageError(f"cannot write {path}: {os_reason(error)}") from error
    finally:
        if folder is not None:
            if temp is not None:
                with contextlib.suppress(OSError):
                    folder.unlink(temp)
            folder.close()


def check_writable(path: Path) -> None:
    """Check before long work that a result can be written after it, where a person named its place.

    Raises:
        StorageError: `atomic_write` with `follow` would fail now, with the same message.
    """
    path = Path(path)
    _require_name(path)
    try:
        target = _target(path, True)
        with contextlib.closing(_Folder(target.parent)) as folder:
            name = target.name or "."
            _require_replaceable(folder, name)
            temp, descriptor = _create_temp(folder, name)
            os.close(descriptor)
            folder.unlink(temp)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {os_reason(error)}") from error


def name_fault(path: str | Path) -> str | None:
    """Why this system cannot have a file of that name, in words; None where it can.

    Windows gives names such as `aux` to devices, and makes another of a name with a dot at its end.
    """
    return windows_fault(path) if sys.platform == "win32" else None


def is_link_at(path: Path) -> bool:
    """Whether a path names a symbolic link or a junction; not, if it names nothing."""
    try:
        return is_link(os.lstat(path))
    except OSError:
        return False


def _require_name(path: Path) -> None:
    if fault := name_fault(path):
        raise StorageError(f"cannot write {path}: {fault}")


def read_plain(path: Path, limit: int | None = None, *, within: Path | None = None) -> bytes:
    """Return the bytes of a plain file; a link is not followed.

    Args:
        path: The file.
        limit: At most so many bytes are read; None: all.
        within: As for `atomic_write`.
    Raises:
        OSError: It cannot be read, or is a link, a pipe or a device.
    """
    with contextlib.closing(_Folder(path.parent, within)) as folder:
        descriptor = folder.open(path.name, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        return file.read() if limit is None else file.read(limit)


def open_plain(path: Path, *, write: bool = False) -> BinaryIO:
    """Open a plain file to read, and to write if asked; a link is not followed.

    Raises:
        OSError: It cannot be read, or is a link, a pipe or a device.
    """
    if write:
        return os.fdopen(_open_plain(path, os.O_RDWR), "r+b")
    return os.fdopen(_open_plain(path, os.O_RDONLY), "rb")


def create_private(path: Path) -> BinaryIO:
    """Create a file that only this user may read and write; open for both.

    Raises:
        OSError: It exists, if only as a link; or it cannot be created.
    """

    def create(name: str, flags: int) -> int:
        return os.open(name, flags | BINARY, 0o600)

    return open(path, "x+b", buffering=1 << 20, opener=create)


def open_private(path: Path) -> BinaryIO:
    """Open a plain file, to read, that no other user can have written; see `require_private`.

    Raises:
        OSError: It cannot be read, or is a link, a pipe or a device; or another user may write it.
    """
    file = open_plain(path)
    try:
        within = os.stat(path.parent)
        # Nobody else reaches a file in a folder that lets nobody in.
        require_private(os.fstat(file.fileno()), reachable=bool(within.st_mode & 0o011))
    except BaseException:
        file.close()
        raise
    return file


def require_private(status: os.stat_result, *, reachable: bool = True) -> None:
    """Refuse a file or folder that another user may write to, but for the administrator.

    On Windows, which says it otherwise, nothing is refused.

    Args:
        status: Of the open file, or of the folder.
        reachable: Whether other users can get at it, so that its permissions matter.
    Raises:
        OSError: They may, or it belongs to one of them.
    """
    if sys.platform != "win32":
        if status.st_uid not in (os.geteuid(), 0):
            raise OSError("it belongs to another user")
        if reachable and status.st_mode & 0o022:
            raise OSError("other users may write to it; chmod go-w forbids it")


def append_line(path: Path, line: str) -> None:
    """Append one line, such as a JSON object, as UTF-8; a missing file is created.

    If writing fails, nothing of the line stays. If a killed writer left a line unfinished, it is
    ended first. A file that has another name elsewhere (a hard link, as snapshots of a folder make
    them) is copied first, so that the other one stays as it is.

    Args:
        path: The file; a link is not followed.
        line: The text without its line end. Lone surrogates are written as `\\udcff`.
    Raises:
        StorageError: The line could not be written.
    """
    if "\n" in line:
        raise ValueError("a line must not hold a line end")
    data = line.encode("utf-8", errors="backslashreplace") + b"\n"
    path = Path(path)
    try:
        # Unbuffered: one system call for a line, so that the lines of two writers do not mix.
        with os.fdopen(_open_to_append(path), "ab+", buffering=0) as file:
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
    except TextgenError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {os_reason(error)}") from error


def sync_lines(path: Path) -> None:
    """Return when the lines of a file would survive a loss of power; a missing file is left out.

    Raises:
        StorageError: They could not be written.
    """
    try:
        descriptor = _open_plain(path, os.O_RDWR)
        try:
            flush(descriptor)
        finally:
            os.close(descriptor)
        _sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot write {path}: {os_reason(error)}") from error


def replace_file(source: Path, target: Path) -> None:
    """Rename a file in place of another; on Windows wait a moment while somebody has it open.

    Raises:
        OSError: It cannot be renamed.
    """
    replace(source, target)


def remove_quietly(path: Path) -> None:
    """Remove a file where that is possible: what is left of it harms nobody."""
    with contextlib.suppress(OSError):
        path.unlink()


def remove_leftovers(path: Path, *, within: Path | None = None) -> None:
    """Remove the temporary files that killed writers left in a folder; those of live ones stay.

    A failure is passed over: the next one who opens the folder tries again.

    Args:
        path: A folder in which textgen alone makes files of such names, as that of a run.
        within: As for `atomic_write`.
    """
    with contextlib.suppress(OSError), contextlib.closing(_Folder(path, within)) as folder:
        _remove_temporary(folder, None)


def remove_lock_of(folder: Path, process: int, host: str) -> None:
    """Remove the lock of a process that is known to be dead, on whatever machine it ran.

    Only a disk without locks needs that: elsewhere the system has freed it, and `FolderLock` takes
    no notice of the file. Nothing is done where another process has the lock.
    """
    path = folder / LOCK_NAME
    with contextlib.suppress(OSError):
        if read_plain(path, 512).decode("utf-8", "replace").strip() == f"{process} {host}":
            descriptor = _open_plain(path, os.O_RDWR)
            if try_lock(descriptor) is False:
                os.close(descriptor)
            else:
                remove_open(descriptor, path)


def is_running(process: int) -> bool:
    """Whether a process runs on this host; not on Windows, where `os.kill` would end it."""
    if process <= 0:
        return False  # a group of processes
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # it runs for another user
    return True


class FolderLock:
    """A context in which no other process, and no second lock in this one, enters a run's folder.

    It is a lock of the kernel on the file `.lock` in the folder (`flock`; on Windows that of
    `msvcrt.locking`). So it ends with the process, however that ends, and a file left behind never
    blocks. On network disks that have no such lock, `.lock` is created exclusively and the
    process in it is checked: a dead one on this host does not block, one on another host blocks
    until the file is deleted. Temporary files of killed writers are removed from the folder.

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
            FolderInUseError: A live process holds it; the message names the process.
            StorageError: The lock file cannot be created; or a file of the run is a link or
                something else that no save would replace.
        """
        for name in (MODEL_NAME, RESUME_NAME, METRICS_NAME, CURVE_NAME):
            self._require_own(name)
        try:
            for _ in range(_ATTEMPTS):
                descriptor = self._try_to_take()
                if descriptor is not None:
                    self._descriptor = descriptor
                    remove_leftovers(self._path.parent)
                    return self
        except OSError as error:
            what = f"cannot lock the folder {self.folder} with {LOCK_NAME}"
            raise StorageError(f"{what}: {os_reason(error)}") from error
        raise self._held()

    def __exit__(self, *_: object) -> None:
        """Release the lock and remove its file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        # A file that cannot be removed blocks nobody: it is no longer locked.
        with contextlib.suppress(OSError):
            remove_open(descriptor, self._path)

    def _require_own(self, name: str) -> None:
        """Refuse before the work what could not be saved after it."""
        try:
            with contextlib.closing(_Folder(self.folder)) as folder:
                _require_replaceable(folder, name)
        except FileNotFoundError:
            pass  # The lock says so.
        except OSError as error:
            raise StorageError(f"cannot use {self.folder / name}: {os_reason(error)}") from error

    def _try_to_take(self) -> int | None:
        """The descriptor of the locked file; None after losing a race."""
        # Windows opens no file that is being removed: the one who had the lock is at that.
        descriptor = patiently(lambda: _open_plain(self._path, os.O_RDWR | os.O_CREAT))
        try:
            taken = try_lock(descriptor)
            status = os.fstat(descriptor)
            # Without locks: probably created just now. With them: a file with another name
            # elsewhere, which must not change.
            if (taken is None and status.st_size == 0) or (taken and status.st_nlink > 1):
                removed, descriptor = descriptor, -1
                remove_open(removed, self._path)
            # A process that released the lock between our opening and locking removed the file.
            elif taken and _is_named(descriptor, self._path):
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
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY, 0o666)
        except FileExistsError:
            self._remove_left_behind()
            return None
        try:
            self._sign(descriptor)
        except OSError:
            os.close(descriptor)
            os.unlink(self._path)  # it names no process
            raise
        return descriptor

    def _remove_left_behind(self) -> None:
        """Remove the lock of a process that does not run any more."""
        if sys.platform == "win32":
            try:
                os.unlink(self._path)  # which fails where a process has it open
            except PermissionError:
                raise self._held() from None
        else:
            owner = self._owner()
            if owner is None or owner[1] != socket.gethostname() or is_running(owner[0]):
                raise self._held() from None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    def _sign(self, descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())

    def _owner(self) -> tuple[int, str] | None:
        """Process id and host of the holder; None if they cannot be read."""
        try:
            text = read_plain(self._path, 512).decode("utf-8", "replace")
            process, _, host = text.strip().partition(" ")
            return int(process), host
        except (OSError, ValueError):
            return None

    def _held(self) -> FolderInUseError:
        owner = self._owner()
        who = "another process" if owner is None else f"process {owner[0]} on {owner[1]}"
        return FolderInUseError(
            f"{self.folder} is in use by {who}; wait until it ends, stop it, or choose another "
            f"folder, {named('out', 'FOLDER')} (if no such process runs, delete "
            f"{self.folder / LOCK_NAME})"
        )


class _Folder:
    """An open folder: whatever is put in its place meanwhile, the files named here are in it.

    Args:
        path: The folder; its last part may be a link if `within` is None.
        within: A folder above it, below which no part may be a link.
    Raises:
        OSError: It is missing, or a part is a link.
    """

    def __init__(self, path: Path, within: Path | None = None) -> None:
        self._path = path
        self._at: dict[str, int] = {}
        parts = () if within is None else path.relative_to(within).parts
        if sys.platform == "win32":  # which cannot open a folder
            for count in range(len(parts)):
                above = path.parents[count - 1] if count else path
                if is_link(os.lstat(above)):
                    raise OSError(errno.ELOOP, _A_LINK)
        else:
            self._at = {"dir_fd": self._opened(path if within is None else within, parts)}

    @staticmethod
    def _opened(folder: Path, parts: tuple[str, ...]) -> int:
        """The descriptor of the folder that `parts` lead to from `folder`."""
        flags = os.O_RDONLY | DIRECTORY | BINARY
        descriptor = os.open(folder, flags)
        for part in parts:
            try:
                inner = os.open(part, flags | NO_FOLLOW, dir_fd=descriptor)
            except OSError as error:
                if is_link(os.lstat(part, dir_fd=descriptor)):
                    told = f"the folder {part}{_A_LINK.removeprefix('it')}"
                    raise OSError(errno.ELOOP, told) from error
                raise
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor

    def close(self) -> None:
        """Close it."""
        descriptor = self._at.pop("dir_fd", None)
        if descriptor is not None:
            os.close(descriptor)

    def open(self, name: str, flags: int) -> int:
        """Open a plain file; see `_open_plain`."""
        return _open_plain(self._named(name), flags, **self._at)

    def create(self, name: str) -> int:
        """Create a file to write to; one that exists, if only as a link, is an error."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY
        # The kernel applies the umask and the folder's default access list to 0o666.
        return os.open(self._named(name), flags, 0o666, **self._at)

    def status(self, name: str) -> os.stat_result:
        """What a file is; a link is told as one."""
        return os.lstat(self._named(name), **self._at)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        os.unlink(self._named(name), **self._at)

    def replace(self, name: str, other: str) -> None:
        """Rename a file, in place of another."""
        replace(self._named(name), self._named(other), self._at.get("dir_fd"))

    def rename_once(self, name: str, other: str, data: bytes) -> bool:
        """Give a file that holds `data` another name, unless a file has that; whether it was so."""
        if sys.platform == "win32":
            try:
                os.rename(self._named(name), self._named(other))
            except FileExistsError:
                return False
        else:
            at = self._at.get("dir_fd")
            try:
                os.link(name, other, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
            except FileExistsError:
                # A network disk may do it, lose the answer, and be asked again.
                return self.status(name).st_nlink > 1
            except OSError as error:
                if error.errno not in _NO_SECOND_NAMES:
                    raise
                try:
                    descriptor = self.create(other)
                except FileExistsError:
                    return False
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
        return True

    def plain_files(self) -> Iterator[str]:
        """The names of the plain files in it."""
        with os.scandir(self._at.get("dir_fd", self._path)) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        yield entry.name

    def sync(self) -> None:
        """Make the names in it survive a loss of power."""
        if self._at:
            _sync(self._at["dir_fd"])

    def _named(self, name: str) -> str | Path:
        return name if self._at else self._path / name


def _open_plain(path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
    """Open a plain file and return its descriptor; never through a link, never to truncate it.

    Raises:
        OSError: It cannot be opened, or is a link, a folder, a pipe or a device.
    """
    if not NO_FOLLOW:  # Windows follows links, and says "permission denied" of a folder
        with contextlib.suppress(FileNotFoundError):
            _require_plain(os.lstat(path, dir_fd=dir_fd))
    try:
        descriptor = os.open(path, flags | NO_FOLLOW | NO_WAIT | BINARY, 0o666, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise OSError(errno.ELOOP, _A_LINK) from error
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, _A_DEVICE) from error
        raise
    try:
        status = os.fstat(descriptor)
        _require_plain(status)
        # What has the name is another file only where a link led away from it: on Windows a file
        # keeps its name while it is open.
        if not NO_FOLLOW and not os.path.samestat(status, os.lstat(path, dir_fd=dir_fd)):
            raise OSError(errno.ELOOP, _A_LINK)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_plain(status: os.stat_result) -> None:
    """An OSError for anything but a plain file."""
    if is_link(status):
        raise OSError(errno.ELOOP, _A_LINK)
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ENXIO, _A_DEVICE)


def _open_to_append(path: Path) -> int:
    """The descriptor of a plain file, or a new one, with no name but this."""
    for _ in range(_ATTEMPTS):
        descriptor = _open_plain(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        status = os.fstat(descriptor)
        if status.st_nlink <= 1:
            return descriptor
        with os.fdopen(descriptor, "rb") as old:
            lines = old.read()

        def copy(file: BinaryIO, lines: bytes = lines, mode: int = status.st_mode) -> None:
            if sys.platform != "win32":  # Nobody may read more than before.
                os.fchmod(file.fileno(), stat.S_IMODE(mode) & 0o666)
            file.write(lines)

        atomic_write(path, copy)
    raise OSError(errno.EBUSY, "another process keeps giving it a second name")


def _target(path: Path, follow: bool) -> Path:
    """The file that writing to `path` replaces: after links, where they are followed."""
    if not follow or _is_run(path.parent):
        return path
    return Path(os.path.realpath(path))


def _is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, which may come from somebody else."""
    return any(os.path.lexists(folder / name) for name in (MODEL_NAME, RESUME_NAME))


def _require_replaceable(folder: _Folder, name: str) -> None:
    """An OSError if there is something else than a plain file: a rename would destroy it."""
    with contextlib.suppress(FileNotFoundError):
        _require_plain(folder.status(name))


def _create_temp(folder: _Folder, target: str) -> tuple[str, int]:
    """Make a new, empty, locked file for `target`; return its name and descriptor."""
    for _ in range(_ATTEMPTS):
        temp = _temporary_name(target)
        descriptor = folder.create(temp)
        kept = False
        try:
            taken = try_lock(descriptor)
            # Otherwise another writer took it for a leftover before it was locked.
            kept = taken is None or (taken and _is_still(descriptor, folder, temp))
        finally:
            if not kept:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    folder.unlink(temp)
        if kept:
            return temp, descriptor
    raise OSError(errno.EBUSY, "other processes keep removing its temporary file")


def _temporary_name(target: str) -> str:
    """A new name of a temporary file for `target`, which tells the machine that writes it."""
    return f".{target}.{_machine_digits()}{secrets.token_hex(5)}.tmp"


def _machine_digits() -> str:
    """Six digits by which the temporary files of this machine are known."""
    host = socket.gethostname().encode("utf-8", "replace")
    return hashlib.blake2s(host, digest_size=3).hexdigest()


def _remove_temporary(folder: _Folder, target: str | None) -> None:
    """Remove temporary files of killed writers of `target`, or of any file: live ones lock theirs.

    A failure here must not make a save fail; the next save tries again.
    """
    own = _machine_digits()
    with contextlib.suppress(OSError):
        for name in folder.plain_files():
            match = _TEMPORARY.fullmatch(name)
            if match is None or target not in (None, match[1]):
                continue
            with contextlib.suppress(OSError):
                age = time.time() - folder.status(name).st_mtime
                if sys.platform == "win32":
                    if age > _FRESH_SECONDS:
                        folder.unlink(name)  # which fails for a file that is open
                elif match[2] == own or age > _ELSEWHERE_SECONDS:
                    descriptor = folder.open(name, os.O_RDWR)
                    try:
                        if try_lock(descriptor):
                            folder.unlink(name)
                    finally:
                        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY | DIRECTORY | BINARY)
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)


def _sync(folder: int) -> None:
    """Make the names in an open folder survive a loss of power."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # "not possible here", on some network file systems
            raise


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _is_still(descriptor: int, folder: _Folder, name: str) -> bool:
    """Whether `name` still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.status(name))
    except FileNotFoundError:
        return False
