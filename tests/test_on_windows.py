"""textgen with nothing of the system but what Windows has; see `support/on_windows.py`.

This shows that no call which is not there is reached, that no open file is removed or replaced,
and what is written to a pipe. It cannot show what the real calls do: the locks, the console and the
keys are stand-ins; paths are those of POSIX, with its slash, its links and its case; a process of
Windows is ended otherwise than by a signal; and the libraries that textgen uses run as on this
system. Nobody has run it on Windows.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.on_windows import ABSENT, SIGBREAK
from support.small_runs import ROOT, environment, russian_text

from textgen.native.library import LIBRARY, LIBRARY_VARIABLE

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="what is open is looked up in Linux's /proc"
)

SMALL = ("--hidden", "16", "--layers", "1", "--threads", "1", "--seq-len", "16")
#: A run that is stopped: it has no end that a test would wait for.
LONG = (*SMALL, "--steps", "1000000", "--eval-every", "1000000", "--save-every", "1000000")

PROCESSES: list[subprocess.Popen[bytes]] = []


def started(*words: str, cwd: Path, **env: str) -> subprocess.Popen[bytes]:
    """A command that runs as if on Windows."""
    own = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", LIBRARY_VARIABLE: str(LIBRARY)}
    whole = environment(**own, **env)
    del whole["PYTHONIOENCODING"]  # The streams begin with a code page.
    process = subprocess.Popen(
        [sys.executable, "-m", "support.on_windows", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=whole,
    )
    PROCESSES.append(process)
    return process


def run(*words: str, cwd: Path, input: bytes = b"") -> tuple[int, str, str]:
    """Its exit code, and what it wrote, as UTF-8 and with its line ends."""
    process = started(*words, cwd=cwd)
    out, err = process.communicate(input, timeout=250)
    return process.returncode, out.decode(), err.decode()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a text and a model that was trained on it, as if on Windows."""
    folder = tmp_path_factory.mktemp("windows")
    (folder / "corpus.txt").write_text(russian_text(6000), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        code, out, err = run("train", "corpus.txt", *SMALL, "--steps", "20", cwd=folder)
        assert (code, out) == (0, ""), err
        assert err.count("\n") > 5 and "\r\n" not in err
        yield folder


@pytest.fixture(autouse=True)
def ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The cache of `home`; and no process is left."""
    monkeypatch.setenv("TEXTGEN_CACHE", str(home / "cache"))
    yield
    while PROCESSES:
        with PROCESSES.pop() as process:
            process.kill()


@pytest.mark.slow
def test_every_module_can_be_imported(tmp_path: Path) -> None:
    code, out, err = run("--import-all", cwd=tmp_path)
    assert code == 0, err
    modules = {path for path in (ROOT / "textgen").rglob("*.py") if path.name != "__init__.py"}
    assert len(out.splitlines()) >= len(modules)


def test_the_stand_ins_refuse_what_windows_does_not_have(tmp_path: Path) -> None:
    """What textgen could touch, touched in its name."""
    tries = """
        os.fork()
        os.pread(0, 1, 0)
        os.O_NOFOLLOW
        os.open(".", os.O_RDONLY)
        os.lstat("x", dir_fd=3)
        os.geteuid()
        signal.SIGHUP
        signal.setitimer(0, 1)
        signal.signal(1, None)
        time.tzset()
        select.select([0], [], [], 0)
        socket.AF_UNIX
        open("held"), os.remove("held")
        open("held"), __import__("pathlib").Path("held").replace("other")
    """
    (tmp_path / "held").touch()
    lines = [f"kept = ({line.strip()})" for line in tries.strip().splitlines()]
    lines += [f"import {name}" for name in sorted(ABSENT)]
    program = (
        "import sys\nfrom support import on_windows\non_windows.install()\n"
        "own = {'__name__': 'textgen.tried'}\n"
        "exec('import os, signal, time, select, socket, sys', own)\n"
        "assert own['sys'].platform == 'win32' and sys.platform != 'win32'\n"
        f"for line in {lines!r}:\n"
        "    try:\n"
        "        exec(line, own)\n"
        "    except Exception as error:\n"
        "        continue\n"
        "    raise SystemExit('not refused: ' + line)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT / "tests")),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.slow
def test_training_is_stopped_and_goes_on_and_is_alone(home: Path) -> None:
    """By Ctrl-C and by Ctrl-Break, after a kill, and never two in one folder."""

    def training(*words: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        process = started("train", *words, "--json", cwd=home)
        assert process.stdout is not None and process.stderr is not None
        first = process.stdout.readline()
        assert first, process.stderr.read().decode()
        return process, json.loads(first)

    def stopped(process: subprocess.Popen[bytes], signum: int) -> tuple[int, dict[str, Any]]:
        process.send_signal(signum)
        out, err = process.communicate(timeout=250)
        assert "Traceback" not in err.decode()
        return process.returncode, json.loads(out.splitlines()[-1])

    long = "checkpoints/long"
    process, begun = training("corpus.txt", *LONG, "--out", long)
    assert begun["resumed_from"] == 0
    assert (home / long / ".lock").read_text().startswith(f"{process.pid} ")
    code, _, err = run("train", "corpus.txt", *LONG, "--out", long, "--force", cwd=home)
    assert code == 7 and f"{long} is in use by process {process.pid} on " in err, err
    code, ended = stopped(process, signal.SIGINT)
    assert code == 130 and ended["event"] == "end" and ended["step"] > 0
    assert not (home / long / ".lock").exists()

    process, begun = training("--resume", long)
    assert begun["resumed_from"] == ended["step"]
    process.kill()
    process.communicate()
    assert (home / long / ".lock").exists()  # It holds nobody up.
    process, begun = training("--resume", long)
    assert begun["resumed_from"] == ended["step"]
    code, again = stopped(process, SIGBREAK)
    assert code == 128 + SIGBREAK and again["step"] > ended["step"]
    left = sorted(path.name for path in (home / long).iterdir())
    # A run that was stopped early has made no report yet.
    saved = [name for name in left if name != "metrics.jsonl"]
    assert saved == ["model.safetensors", "resume.safetensors"]


def test_a_pipe_gets_utf_8_and_single_line_ends(home: Path) -> None:
    words = ("sample", "--checkpoint", "corpus", "--length", "200", "--rng", "3")
    code, out, err = run(*words, "--seed", "-", cwd=home, input="Вчера\nутром".encode())
    assert code == 0, err
    assert out.startswith("Вчера\nутром") and "\r" not in out and len(out) > 200
    assert "\r" not in err


def test_the_reader_of_a_pipe_goes(home: Path) -> None:
    process = started("sample", "corpus", "--length", "1000000", cwd=home)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert (process.wait(timeout=250), "defect" in process.stderr.read().decode()) == (0, False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "corpus.txt", "--out", "runs/aux"), "'aux' names a device on Windows"),
        # All names, in this process: test_systems.py.
        pytest.param(
            *(("train", "corpus.txt", "--out", "mine."), "Windows drops the dot"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(("compress", "corpus.txt", "--out", "a?b"), "no name has '?' in it"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_names_of_devices(home: Path, words: tuple[str, ...], says: str) -> None:
    code, _, err = run(*words, *(SMALL if words[0] == "train" else ()), cwd=home)
    assert code == 6 and says in err, err
    assert not any((home / name).exists() for name in ("runs", "mine.", "a?b"))


#: A command, and a part of what it prints.
COMMANDS = (
    ("sample corpus --length 60 --rng 1", ""),
    ("eval corpus.txt --checkpoint corpus --json", '"bits_per_char": '),
    ("list", "corpus"),
    ("inspect --text топор --checkpoint corpus", "топор"),
    ("inspect gates --checkpoint corpus --csv gates.csv", ""),
    ("inspect neurons --checkpoint corpus --top 2 --json", '"quantity": "cell"'),
    ("inspect checkpoint corpus", "lstm, 1 x 16"),
    ("inspect cell lstm --checkpoint corpus", "C_{t-1}"),
    ("inspect windows corpus.txt --limit 3", ""),
    ("inspect occurrences топор corpus.txt", "топор"),
    ("inspect --text топор --checkpoint corpus --html page.html", ""),
    ("compress corpus.txt --checkpoint corpus --json", '"bytes_written": '),
    ("decompress corpus.txt.textgen --checkpoint corpus --out again.txt --json", '"written": '),
    (
        "compare corpus.txt --cells lstm --params 1k --steps 4 --out both --json",
        "textgen.compare.cells",
    ),
    ("lessons 2 --all", "Unrolling"),
    ("lessons 2 --notebook two.ipynb", ""),
)


@pytest.mark.slow
def test_commands(home: Path) -> None:
    process = started("--each", cwd=home)
    lines = "".join(f"{json.dumps(words.split())}\n" for words, _ in COMMANDS)
    out, err = process.communicate(lines.encode("ascii"), timeout=250)
    results = [json.loads(line) for line in out.splitlines()]
    assert len(results) == len(COMMANDS), err.decode()
    for (words, says), result in zip(COMMANDS, results, strict=True):
        assert result["code"] == 0 and "error" not in result, (words, result)
        assert says in result["stdout"], (words, result)
    assert (home / "again.txt").read_bytes() == (home / "corpus.txt").read_bytes()
    assert (home / "gates.csv").stat().st_size > 50 and (home / "two.ipynb").exists()
