"""What Windows and all else differ in, for files: locks, links, names, a rename that has to wait.

Windows neither removes nor replaces a file that is open, locks bytes and not files, cannot open a
folder, and gives some names to devices. What is here says so once; `files.py` builds on it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import TypeVar

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

T = TypeVar("T")

BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
#: Windows has none of these.
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
DIRECTORY = getattr(os, "O_DIRECTORY", 0)
#: To open a pipe does not wait for its other end, and a terminal does not become ours.
NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

#: What Windows calls a symbolic link and a junction.
_WINDOWS_LINKS = (0xA000000C, 0xA0000003)
#: Which byte of a file is locked on Windows, where nobody else can read a locked byte: one behind
#: all that is read of a lock file.
_LOCKED_BYTE = 0x7FFFFFFE
#: "Access denied" and "sharing violation": Windows says either where somebody has the file open.
_OPEN_ELSEWHERE = (5, 32)
#: Seconds between the attempts to replace such a file: a reader or a virus scanner lets it go.
_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
#: What of Windows is told in other words than its own.
_WINDOWS_REASONS = {
    32: "another program has it open; close it there",
    33: "another program has locked it; close it there",
    206: "the path is too long for Windows; choose a shorter one",
}
#: The longest path where Windows was not told to take longer ones.
_LONGEST_PATH = 259
_PORTS = tuple(f"{port}{number}" for port in ("COM", "LPT") for number in "123456789¹²³")
_DEVICES = frozenset(("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *_PORTS))
_NEVER_IN_NAMES = frozenset('<>:"|?*') | frozenset(map(chr, range(32)))


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file; False if somebody else has it, None if the disk has no locks.

    The system frees it when the file is closed, and so when the process ends, however that ends.
    """
    if sys.platform == "win32":
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return _without_lock(error, (errno.EACCES, errno.EDEADLK), (errno.EINVAL,))
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)
    else:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            unknown = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
            return _without_lock(error, (errno.EWOULDBLOCK, errno.EACCES), unknown)
    return True


def _without_lock(error: OSError, held: tuple[int, ...], unknown: tuple[int, ...]) -> bool | None:
    if error.errno in held:
        return False
    if error.errno in unknown:
        return None
    raise error


def remove_open(descriptor: int, path: Path) -> None:
    """Remove a file that is open here, and close it; it never removes another one.

    Elsewhere the file is removed first: who waits for its lock sees then that it is gone. Windows
    removes no open file; so what has the name after it was closed is removed if nobody uses it.
    """
    if sys.platform == "win32":
        os.close(descriptor)
        os.unlink(path)
    else:
        try:
            os.unlink(path)
        finally:
            os.close(descriptor)


def replace(source: str | Path, target: str | Path, folder: int | None = None) -> None:
    """Rename a file in place of another, as `os.replace`; on Windows wait while it is open.

    Args:
        source: Its name.
        target: Its new name.
        folder: The descriptor of an open folder, which both names are in; None: they are paths.
    """
    patiently(lambda: os.replace(source, target, src_dir_fd=folder, dst_dir_fd=folder))


def patiently(act: Callable[[], T]) -> T:
    """What `act` gives; on Windows, while somebody has its file open, for two seconds at most."""
    for pause in _PAUSES:
        try:
            return act()
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _OPEN_ELSEWHERE:
                raise
            time.sleep(pause)
    return act()


def flush(descriptor: int) -> None:
    """Return when what was written to a file would survive a loss of power."""
    if sys.platform == "darwin":
        try:  # There `fsync` leaves it in the memory of the disk.
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError:
            pass  # not on every disk
    os.fsync(descriptor)


def is_link(status: os.stat_result) -> bool:
    """Whether a file is a symbolic link, or a junction of Windows."""
    return stat.S_ISLNK(status.st_mode) or (getattr(status, "st_reparse_tag", 0) in _WINDOWS_LINKS)


def windows_reason(error: OSError) -> str | None:
    """Why Windows refused, where its own words, or those of its number elsewhere, mislead."""
    code = getattr(error, "winerror", None)
    path = os.path.abspath(error.filename) if isinstance(error.filename, str) else ""
    if code is not None and error.errno == errno.ENOENT and len(path) > _LONGEST_PATH:
        return (
            f"the path has {len(path)} characters, and Windows takes {_LONGEST_PATH} unless long "
            "paths are switched on (LongPathsEnabled); choose a shorter one"
        )
    return _WINDOWS_REASONS.get(code or 0)


def windows_fault(path: str | Path) -> str | None:
    """Why no file on Windows can have a path, in words; None where one can.

    Args:
        path: As a person types it: a drive, both slashes and `..` are no fault.
    """
    whole = PureWindowsPath(path)
    for name in whole.parts[1 if whole.anchor else 0 :]:
        if name == "..":
            continue
        if found := sorted(_NEVER_IN_NAMES.intersection(name)):
            return f"on Windows no name has {found[0]!r} in it; choose another for {name!r}"
        if name.endswith((".", " ")):
            last = "dot" if name.endswith(".") else "space"
            return f"Windows drops the {last} at the end of {name!r}; choose a name without it"
        if name.partition(".")[0].rstrip(" ").upper() in _DEVICES:
            return f"{name!r} names a device on Windows, with any ending; choose another name"
    return None
