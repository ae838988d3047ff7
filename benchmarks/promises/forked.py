"""Commands of textgen in processes that start at once: children of one that has loaded it all.

A trial of thousands of commands would mostly wait for Python to load. Here a server loads it, and
each command is a fork of the server: a process of its own, which can be killed, and which ends as a
command does. A module that a command loads is loaded by the server too, for the next ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measuring import environment

#: Seconds after which a command that has not ended is killed.
PATIENCE = 300.0
#: In the folder of a server: what a command says, and which modules it loaded.
_OUT, _ERR, _LOADED = "stdout", "stderr", "loaded"


def build(folder: Path) -> Path | None:
    """Compile system_calls.c; None: not Linux, or no compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if sys.platform != "linux" or compiler is None:
        return None
    library = folder / "system_calls.so"
    source = Path(__file__).with_name("system_calls.c")
    words = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return library if done.returncode == 0 else None


class FailurePlan(ctypes.Structure):
    """Which call fails, and which one did: `struct plan` of system_calls.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("kinds", "at", "error", "later", "count", "kind")),
        ("path", ctypes.c_char * 4096),
        ("kinds_of", ctypes.c_ubyte * 8192),
    )


@dataclass(frozen=True)
class Finished:
    """A command that ended.

    Args:
        code: Its exit code; negative: the signal that ended it.
        out: What it wrote on stdout.
        err: The same of stderr.
        count: How many calls were counted, where calls were to fail.
        kind: The number of the kind of the call that failed.
        path: The file of that call; empty: none failed.
        kinds: The numbers of the kinds of all counted calls, in their order.
    """

    code: int
    out: str
    err: str
    count: int = 0
    kind: int = 0
    path: str = ""
    kinds: tuple[int, ...] = ()


class Server:
    """A process that has loaded textgen and starts commands; a context, which ends it.

    Args:
        home: The folder in which the commands run; their cache and home are in it.
        preload: A library that is loaded before the C library; see system_calls.c.
        draws: Whether loss curves are drawn, which takes longer than all the rest of a small run;
            otherwise the file is written with a picture that is always the same.
    """

    def __init__(self, home: Path, preload: Path | None = None, *, draws: bool = False) -> None:
        self.home = home
        self._place = tempfile.TemporaryDirectory(prefix="textgen-forked-")
        variables = {
            **environment(),
            "HOME": str(home),
            "TEXTGEN_CACHE": str(home / "cache"),
            "OPENBLAS_NUM_THREADS": "1",
        }
        if preload is not None:
            variables["LD_PRELOAD"] = str(preload)
        self._process = subprocess.Popen(
            [
                *(sys.executable, __file__, str(home), self._place.name),
                *(str(preload or ""), str(draws)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=variables,
            text=True,
        )
        self._number = 0

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]
        self._place.cleanup()

    def start(
        self,
        words: Sequence[str],
        fail: dict[str, int] | None = None,
        prepare: tuple[str, str, dict[str, Any]] | None = None,
        log: Path | None = None,
    ) -> Running:
        """Start a command.

        Args:
            words: Its words after `textgen`.
            fail: Which call fails: fields of `FailurePlan`.
            prepare: A module of this folder, a function in it and its arguments, plain data: called
                in the process before the command.
            log: Where the calls of the command are written down; `fail` must be given, too.
        """
        self._number += 1
        files = Path(self._place.name) / str(self._number)
        asked = {"words": list(words), "files": str(files), "fail": fail}
        asked |= {"prepare": prepare, "log": str(log or "")}
        pid = self._ask(asked)
        return Running(self, pid, files)

    def run(
        self,
        words: Sequence[str],
        fail: dict[str, int] | None = None,
        prepare: tuple[str, str, dict[str, Any]] | None = None,
    ) -> Finished:
        """Start a command and wait for its end."""
        return self.start(words, fail, prepare).wait()

    def _ask(self, request: dict[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError("the server of commands has ended")
        return json.loads(answer)


class Running:
    """A command that was started."""

    def __init__(self, server: Server, pid: int, files: Path) -> None:
        self.pid = pid
        self._server = server
        self._files = files

    def kill(self) -> None:
        """Send SIGKILL. Its process is not waited for yet, so the number is still its own."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float | None = None) -> Finished:
        """Wait for the end.

        Args:
            seconds: Kill it after so many; None: after `PATIENCE`.
        """
        ended = self._server._ask({"wait": self.pid, "seconds": seconds or PATIENCE})
        # One that was killed in its first moments has opened no files yet.
        said = [self._files.with_suffix(f".{name}") for name in (_OUT, _ERR)]
        texts = [path.read_text("utf-8", "replace") if path.exists() else "" for path in said]
        for name in (_OUT, _ERR, _LOADED):
            self._files.with_suffix(f".{name}").unlink(missing_ok=True)
        failed = [ended[name] for name in ("count", "kind", "path")]
        return Finished(ended["code"], *texts, *failed, tuple(ended["kinds"]))


def _command(request: dict[str, Any], library: Any, home: str) -> None:
    """What a child does: the command, with its streams in files."""
    files = request["files"]
    for number, (name, flags) in enumerate(
        [
            (os.devnull, os.O_RDONLY),
            (f"{files}.{_OUT}", os.O_WRONLY | os.O_CREAT),
            (f"{files}.{_ERR}", os.O_WRONLY | os.O_CREAT),
        ]
    ):
        os.dup2(os.open(name, flags, 0o600), number)
    os.chdir(home)
    sys.argv = ["textgen", *request["words"]]
    known = set(sys.modules)
    if request["prepare"] is not None:
        module, function, arguments = request["prepare"]
        getattr(importlib.import_module(module), function)(**arguments)
    if request["fail"] is not None:
        library.arm(home.encode(), request["log"].encode())
    code = 1
    try:
        from textgen.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    import atexit

    atexit._run_exitfuncs()
    if library is not None:
        library.arm(b"", b"")
    with open(f"{files}.{_LOADED}", "w", encoding="utf-8") as file:
        file.write("\n".join(name for name in sys.modules if name not in known))
    os._exit(code)


def _serve(home: str, preload: str, draws: bool) -> None:
    """The server: requests on stdin, answers on stdout."""
    if not draws:
        from textgen.cli import train_view

        train_view.charts_picture = lambda charts, kind: b"<svg>drawn elsewhere</svg>\n"
    library: Any = None
    plan: Any = FailurePlan()
    if preload:
        library = ctypes.CDLL(preload)
        library.shared_plan.restype = ctypes.POINTER(FailurePlan)
        plan = library.shared_plan().contents
    files: dict[int, str] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "words" in request:
            if library is not None:
                ctypes.memset(ctypes.byref(plan), 0, ctypes.sizeof(plan))
                for name, value in (request["fail"] or {}).items():
                    setattr(plan, name, value)
            pid = os.fork()
            if pid == 0:
                _command(request, library, home)
            files[pid] = request["files"]
            print(json.dumps(pid), flush=True)
            continue
        pid, until = request["wait"], time.monotonic() + request["seconds"]
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                break
            time.sleep(0.001)
        loaded = Path(f"{files.pop(pid)}.{_LOADED}")
        if loaded.exists():
            for name in loaded.read_text("utf-8").split():
                with contextlib.suppress(ImportError):  # A module that is made, not read.
                    importlib.import_module(name)
        code = os.waitstatus_to_exitcode(status)
        path = plan.path.decode("utf-8", "replace") if plan.path else ""
        told = {"code": code, "count": plan.count, "kind": plan.kind, "path": path}
        told["kinds"] = [] if plan.at else list(plan.kinds_of[: plan.count])
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[3], sys.argv[4] == "True")
