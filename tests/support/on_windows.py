"""Runs textgen as if on Windows, as far as that can be done on another system.

    python -m support.on_windows --import-all          import every module of the package
    python -m support.on_windows --each                a command a line of stdin, as a JSON list
    python -m support.on_windows WORDS                 one command, as `python -m textgen`

The modules of textgen, and they alone, get stand-ins for what they import: `sys` says "win32",
`os`, `signal`, `time`, `select` and `socket` have only what Python's documentation gives them on
Windows, and modules that are not there cannot be imported. `msvcrt` is a stand-in whose locks
exclude. The standard library and the packages that textgen uses go on as they are.

For the whole process, a file that is open here, or mapped, can neither be removed nor replaced; for
textgen no folder can be opened. The standard streams begin as in a pipe of a western Windows:
cp1252, and two characters at a line end.
"""

from __future__ import annotations

import builtins
import ctypes
import errno
import fcntl
import importlib
import json
import os
import pkgutil
import stat
import struct
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


#: Modules of the standard library that Windows does not have.
ABSENT = names(
    """
    _curses _posixsubprocess crypt curses fcntl grp nis ossaudiodev posix pty pwd readline resource
    spwd syslog termios tty
    """
)
#: All that `os` has on Windows in Python 3.11; 3.12 and 3.13 add little of what is missing here.
OS_NAMES = names(
    """
    DirEntry EX_OK F_OK GenericAlias Mapping MutableMapping O_APPEND O_CREAT O_EXCL O_RDONLY O_RDWR
    O_TRUNC O_WRONLY P_NOWAIT P_NOWAITO P_WAIT PathLike R_OK SEEK_CUR SEEK_END SEEK_SET TMP_MAX W_OK
    X_OK abc abort access altsep chdir chmod close closerange cpu_count curdir defpath
    device_encoding devnull dup dup2 environ error execl execle execlp execlpe execv execve execvp
    execvpe extsep fdopen fsdecode fsencode fspath fstat fsync ftruncate get_exec_path
    get_inheritable get_terminal_size getcwd getcwdb getenv getlogin getpid getppid isatty kill
    linesep link listdir lseek lstat makedirs mkdir name open pardir path pathsep pipe popen putenv
    read readlink remove removedirs rename renames replace rmdir scandir sep set_inheritable spawnl
    spawnle spawnv spawnve stat stat_result statvfs_result strerror supports_bytes_environ
    supports_dir_fd supports_effective_ids supports_fd supports_follow_symlinks symlink system
    terminal_size times times_result truncate umask uname_result unlink unsetenv urandom utime
    waitpid waitstatus_to_exitcode walk write _exit
    """
)
#: Ctrl-Break; its number is that of a signal which is there on Linux, too.
SIGBREAK = 21
SIGNAL_NAMES = names(
    """
    Handlers NSIG SIGABRT SIGFPE SIGILL SIGINT SIGSEGV SIGTERM SIG_DFL SIG_IGN Signals
    default_int_handler getsignal raise_signal set_wakeup_fd signal strsignal valid_signals
    """
)
#: Of these modules what is missing is listed: the rest is there.
MISSING = {
    "time": "clock_getres clock_gettime clock_gettime_ns clock_settime clock_settime_ns "
    "pthread_getcpuclockid tzset",
    "select": "poll epoll kqueue kevent devpoll PIPE_BUF",
    "socket": "AF_UNIX AF_NETLINK AF_PACKET sethostname send_fds recv_fds CMSG_LEN CMSG_SPACE",
    "shutil": "chown",
    "locale": "nl_langinfo LC_MESSAGES",
    "mmap": "MAP_SHARED MAP_PRIVATE MAP_ANON MAP_ANONYMOUS PROT_READ PROT_WRITE PROT_EXEC",
}


class SharingViolation(PermissionError):
    """What `os` raises on Windows for a file that is open."""

    winerror = 32


class MuteLibrary:
    """A library of Windows each call of which fails."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *_: 0


class WindowsModule(ModuleType):
    """A module as Windows has it.

    Args:
        real: The module.
        is_there: Whether it has a name there.
        own: Names that are others there.
    """

    def __init__(self, real: ModuleType, is_there: Callable[[str], bool], **own: Any) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(own, _real=real, _is_there=is_there, _own=frozenset(own))

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_real", "_is_there", "_own") or name in self._own:
            return super().__getattribute__(name)
        if not self._is_there(name):
            raise AttributeError(f"on Windows {self._real.__name__} has no {name}", name=name)
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)


def _refuse_folders(call: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `os` without descriptors of folders, which Windows does not have."""

    def wrapped(path: Any, *args: Any, **named: Any) -> Any:
        if any(named.get(key) is not None for key in ("dir_fd", "src_dir_fd", "dst_dir_fd")):
            raise NotImplementedError("dir_fd unavailable on this platform")
        if isinstance(path, int) and call.__name__ in ("scandir", "listdir"):
            raise TypeError(f"{call.__name__} on Windows takes no descriptor")
        if call.__name__ == "open" and os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return call(path, *args, **named)

    return wrapped


def _known_signals(call: Callable[..., Any]) -> Callable[..., Any]:
    """`signal.signal` with the signals of Windows only."""

    def wrapped(signum: int, handler: Any) -> Any:
        if signum not in (2, 4, 6, 8, 11, 15, SIGBREAK):
            raise ValueError("invalid signal value")
        return call(signum, handler)

    return wrapped


def _only_sockets(*_: Any) -> Any:
    raise OSError(10038, "An operation was attempted on something that is not a socket")


def msvcrt(keys: Iterable[str] = ()) -> ModuleType:
    """The module: locks of bytes that belong to an open file, and a console in which keys wait."""
    waiting = list(keys)

    def locking(descriptor: int, mode: int, count: int) -> None:
        kind = fcntl.F_UNLCK if mode == made.LK_UNLCK else fcntl.F_WRLCK
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
        asked = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, count, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, asked)
        except OSError as error:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from error

    made = ModuleType("msvcrt")
    made.LK_UNLCK, made.LK_LOCK, made.LK_NBLCK, made.LK_RLCK, made.LK_NBRLCK = range(5)
    made.locking = locking
    made.kbhit = lambda: bool(waiting)
    made.getwch = lambda: waiting.pop(0)
    made.get_osfhandle = lambda descriptor: descriptor
    made.setmode = lambda descriptor, flags: 0
    return made


def modules() -> dict[str, ModuleType]:
    """What a module of textgen gets for each name."""
    folders = {name: _refuse_folders(getattr(os, name)) for name in (
        "open", "stat", "lstat", "unlink", "remove", "mkdir", "rmdir", "replace", "rename",
        "scandir", "listdir", "access", "chmod", "utime", "link", "symlink", "readlink",
    )}  # fmt: skip
    own = {"name": "nt", "linesep": "\r\n", "O_BINARY": 0, "O_NOINHERIT": os.O_CLOEXEC, **folders}
    made = {
        "sys": WindowsModule(sys, lambda name: name != "abiflags", platform="win32"),
        "os": WindowsModule(os, OS_NAMES.__contains__, **own),
        "msvcrt": msvcrt(),
        "ctypes": WindowsModule(ctypes, lambda _: True, WinDLL=lambda _: MuteLibrary()),
    }
    for name in ("signal", "_signal"):
        real = importlib.import_module(name)
        made[name] = WindowsModule(
            real,
            SIGNAL_NAMES.__contains__,
            SIGBREAK=SIGBREAK,
            CTRL_C_EVENT=0,
            CTRL_BREAK_EVENT=1,
            signal=_known_signals(real.signal),
        )
    for name, missing in MISSING.items():
        absent = names(missing)
        more = {"select": _only_sockets} if name == "select" else {}
        made[name] = WindowsModule(
            importlib.import_module(name), lambda one, absent=absent: one not in absent, **more
        )
    return made


def install() -> None:
    """From now on the modules of textgen, none of which may be loaded, find Windows."""
    assert not any(name.split(".")[0] == "textgen" for name in sys.modules)
    _keep_open_files()
    made, real = modules(), builtins.__import__

    def windows_import(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        importer = str((globals or {}).get("__name__", "")).partition(".")[0]
        first = name.partition(".")[0]
        if importer == "textgen" and level == 0:
            if first in ABSENT:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if first in made and (name == first or not fromlist):
                return made[first]
        return real(name, globals, locals, fromlist, level)

    builtins.__import__ = windows_import


def _keep_open_files() -> None:
    """Let nothing in this process remove or replace a file that is open in it."""
    for name in ("unlink", "remove", "replace", "rename"):
        setattr(os, name, _unless_open(getattr(os, name)))


def _unless_open(call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **named: Any) -> Any:
        folders = [named.get(key) for key in ("src_dir_fd", "dst_dir_fd", "dir_fd")]
        if not any(folder is not None for folder in folders):
            for path in args[:2]:
                if _is_open(path):
                    raise SharingViolation(errno.EACCES, "it is open", os.fspath(path))
        return call(*args, **named)

    wrapped.__name__ = call.__name__
    return wrapped


def _is_open(path: Any) -> bool:
    try:
        wanted = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISREG(wanted.st_mode):
        return False
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            if os.path.samestat(os.fstat(descriptor), wanted):
                return True
        except OSError:
            continue
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        return any(line.rstrip("\n").endswith(f" {os.path.abspath(path)}") for line in maps)


def import_all() -> list[str]:
    """Import every module of the package, and name them."""
    import textgen

    found = [module.name for module in pkgutil.walk_packages(textgen.__path__, "textgen.")]
    found.remove("textgen.native._textgen")  # no module of Python
    for name in found:
        importlib.import_module(name)
    return found


def run_each(commands: Iterable[str]) -> None:
    """Run commands in this process, and print a JSON object for each."""
    from typer.testing import CliRunner

    from textgen.cli.app import app

    for line in commands:
        result = CliRunner().invoke(app, json.loads(line))
        told = {"code": result.exit_code, "stdout": result.stdout, "stderr": result.stderr}
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            told["error"] = repr(result.exception)
        print(json.dumps(told), flush=True)


def main(words: list[str]) -> None:
    """Do what the command line says."""
    install()
    if words == ["--import-all"]:
        print("\n".join(import_all()))
        return
    if words == ["--each"]:
        run_each(sys.stdin)
        return
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.reconfigure(encoding="cp1252", errors="strict", newline="\r\n")
    from textgen.cli import main as run

    sys.argv = ["textgen", *words]
    run()


if __name__ == "__main__":
    main(sys.argv[1:])
