"""Workers as jobs: on this machine for real, and as an array of a Slurm that is a few scripts."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.small_runs import ROOT, textgen_cli
from support.sweeps import timeless

import textgen.cli.compare
import textgen.comparison
import textgen.runtime
from textgen.comparison import compare_cells, submit_workers, sweep_status
from textgen.comparison.claims import this_machine
from textgen.comparison.submission import Work, job_states
from textgen.errors import BackendError, ConfigError, StorageError, TextgenError
from textgen.options import TrainOptions

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="submitit knows no Windows")

SMALL = ["--params", "2k", "--steps", "3", "--batch-size", "4", "--seq-len", "16"]
WORDS = ["compare", "text.txt", "--cells", "gru,rnn", *SMALL, "--out", "shared"]

#: A Slurm that starts each task of an array at once, as a process of its own.
SBATCH = """#!/bin/bash
[ -e "$SLURM_HERE/refuses" ] && { echo "sbatch: error: invalid partition" >&2; exit 1; }
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
cp "$1" "$SLURM_HERE/asked"
echo "${last:-none}" > "$SLURM_HERE/array"
for task in $(seq 0 "${last:-0}"); do
  ( export SLURM_JOB_ID=$((4000 + task)) SLURM_NTASKS=1 SLURM_PROCID=0
    [ -n "$last" ] && export SLURM_ARRAY_JOB_ID=4000 SLURM_ARRAY_TASK_ID=$task
    sleep 1; setsid bash "$1" ) > /dev/null 2>&1 &
done
echo "Submitted batch job 4000"
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do
  case $1 in
    --output) out=$2; shift;;
    --error) err=$2; shift;;
  esac
  shift
done
name() { echo "$1" | sed -e "s/%A/$SLURM_ARRAY_JOB_ID/" -e "s/%a/$SLURM_ARRAY_TASK_ID/" \\
  -e "s/%j/$SLURM_JOB_ID/" -e "s/%t/0/"; }
exec "$@" > "$(name "$out")" 2> "$(name "$err")"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
cat "$SLURM_HERE/states"
"""


@pytest.fixture
def place(corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a text, for jobs that are processes of their own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def slurm(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = place / "slurm"
    here.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (here / name).write_text(text)
        (here / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_HERE", str(here))
    return here


def record() -> Any:
    return json.loads(Path("shared/comparison.json").read_text("utf-8"))


def wait(states: set[str], seconds: float = 120) -> None:
    """Until all jobs are in one of some states."""
    until = time.monotonic() + seconds
    while {job.state for job in job_states(Path("shared"))} - states:
        assert time.monotonic() < until, job_states(Path("shared"))
        time.sleep(0.2)


def alone() -> Any:
    base = TrainOptions(steps=3, batch_size=4, seq_len=16, threads=1)
    list(compare_cells(["text.txt"], "gru,rnn", base, params=2000, out="alone"))
    return timeless(json.loads(Path("alone/comparison.json").read_text("utf-8")))


@pytest.mark.slow
def test_workers_of_this_machine(place: Path) -> None:
    """The command returns at once, the workers draw the table, and the state is told."""
    result = textgen_cli(*WORDS, "--submit", "local", "--workers", "2", "--threads", "1")
    assert result.exit_code == 0, result.stderr
    assert "2 workers were started" in result.stdout
    assert result.stdout.splitlines()[-1] == "textgen compare --status --out shared"
    wait({"ended"})
    assert timeless(record()) == alone()
    told = textgen_cli("compare", "--status", "--out", "shared", COLUMNS="100").stdout
    assert "2 runs in shared: 2 done" in " ".join(told.split())
    status = json.loads(textgen_cli("compare", "--status", "--out", "shared", "--json").stdout)
    assert [job["where"] for job in status["jobs"]] == ["local", "local"]
    assert status["counts"] == {"done": 2}


def end_all(folder: Path) -> None:
    """End the workers that still have a run, whatever became of the test."""
    for run in sweep_status(folder).runs:
        if run.state == "running" and run.process is not None:
            os.kill(run.process, signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_that_fails_says_why(place: Path, request: pytest.FixtureRequest) -> None:
    """Also one that was killed. A terminal that is closed ends none of them."""
    wrong = ["compare", "text.txt", "--cells", "gru", "--steps", "3", "--params", "2", "--join"]
    submit_workers(Path("shared"), [*wrong, "--out", "shared"], where="local", workers=1)
    long = [*WORDS, "--steps", "1000000", "--threads", "1", "--join"]
    wait({"failed"})
    (job,) = submit_workers(Path("shared"), long, where="local", workers=1)
    wait({"failed", "running"})
    request.addfinalizer(lambda: end_all(Path("shared").absolute()))
    while not list(Path("shared").glob("*/resume.safetensors")):
        time.sleep(0.05)
    first, second = job_states(Path("shared"))
    assert (first.state, second.state) == ("failed", "running")
    assert "2 parameters are too few" in first.reason and "raise --params" in first.reason
    os.kill(int(job.id), signal.SIGHUP)
    (running,) = [run for run in sweep_status(Path("shared")).runs if run.state == "running"]
    assert running.process is not None
    os.kill(running.process, signal.SIGHUP)
    time.sleep(0.3)
    assert sweep_status(Path("shared")).counts["running"] == 1
    os.kill(running.process, signal.SIGKILL)
    wait({"failed"})
    assert sweep_status(Path("shared")).counts == {"left": 1, "waiting": 1}


@pytest.mark.slow
def test_an_array_of_slurm(slurm: Path) -> None:
    words = [*WORDS, "--threads", "1", "--submit", "slurm", "--workers", "2"]
    result = textgen_cli(*words, "--slurm", "partition=cpu,time=90,cpus-per-task=1")
    assert result.exit_code == 0, result.stderr
    assert "2 workers were started: 4000_0, 4000_1" in result.stdout
    asked = (slurm / "asked").read_text()
    for line in ("--partition=cpu", "--time=90", "--cpus-per-task=1", "--array=0-1%2"):
        assert f"#SBATCH {line}" in asked
    (slurm / "states").write_text("4000_[0-1]|PENDING|\n")
    assert [job.state for job in job_states(Path("shared"))] == ["pending"] * 2
    wait({"ended"})
    assert timeless(record()) == alone()


def test_what_slurm_says_of_jobs_that_could_not(slurm: Path) -> None:
    """A job that was taken away cannot say why it ended; and one that Slurm does not know."""
    submit_workers(Path("shared"), ["compare"], where="slurm", workers=3)
    (slurm / "states").write_text("4000_0|CANCELLED by 17|\n4000_1|OUT_OF_MEMORY|a\n")
    jobs = Path("shared/sweep/jobs")
    for place in jobs.glob("*.ended"):
        place.unlink()
    (jobs / "4000_1_0_log.err").write_text("slurmstepd: killed\n")
    states = [(job.state, job.reason) for job in job_states(Path("shared"))]
    assert states[0][0] == "cancelled"
    assert states[1] == ("out_of_memory", "slurmstepd: killed")
    assert states[2][0] == "unknown"


#: What a worker does in place of its work: it notes which signal ends it.
NOTES = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(flush=True)
signal.pause()
"""


def test_a_job_whose_time_is_up_is_begun_again() -> None:
    """Its worker is told to end first, and saves its run."""
    work = Work(["compare"], "mark")
    with subprocess.Popen([sys.executable, "-c", NOTES], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        work._process = worker
        again = work.checkpoint()
    assert worker.returncode == 7
    assert isinstance(again.function, Work)
    assert (again.function.words, again.function.mark) == (["compare"], "mark")


def test_a_worker_hears_nothing_of_the_signal_that_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm sends it to all processes of a job; what follows from it is decided in `checkpoint`."""
    monkeypatch.chdir(tmp_path)
    Path("textgen").mkdir()
    kills = "import os, signal; os.kill(os.getpid(), signal.SIGUSR2); raise SystemExit(3)"
    Path("textgen/__init__.py").touch()
    Path("textgen/__main__.py").write_text(kills)
    monkeypatch.setenv("SUBMITIT_FOLDER", str(tmp_path))
    assert Work([], "mark")() == 3
    assert Path("mark.ended").read_text() == "3\n"
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL


def jobs_file(name: str, **job: str) -> None:
    """Write down a job that was submitted here."""
    jobs = Path("shared/sweep/jobs")
    jobs.mkdir(parents=True, exist_ok=True)
    (jobs / f"{name}.jobs").write_text(json.dumps({"machine": this_machine(), **job}) + "\n")


def test_a_number_of_a_process_that_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that runs is not taken for one of the same number that has ended."""
    monkeypatch.chdir(tmp_path)
    jobs_file("1", id=str(os.getpid()), where="local", mark="aa")
    Path("shared/sweep/jobs/aa.ended").write_text("0\n")
    jobs_file("2", id=str(os.getpid()), where="local", mark="bb")
    assert [job.state for job in job_states(Path("shared"))] == ["ended", "running"]
    for wrong in ({"id": "../1", "mark": "cc"}, {"id": "1", "mark": "../cc"}):
        jobs_file("3", where="local", **wrong)
        with pytest.raises(StorageError, match=r"cannot read .*3\.jobs: '\.\./\w+' names no job"):
            job_states(Path("shared"))


@pytest.fixture
def commands(place: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of the workers, which nobody starts. This machine has 16 cores."""
    found: list[list[str]] = []

    def submit(folder: Path, words: list[str], **_: Any) -> tuple[()]:
        found.append(words)
        return ()

    monkeypatch.setattr(textgen.comparison, "submit_workers", submit)
    monkeypatch.setattr(textgen.runtime, "choose_threads", lambda _: SimpleNamespace(value=16))
    return found


def said(words: list[str], flag: str) -> str | None:
    """What a command gives an option."""
    return words[words.index(flag) + 1] if flag in words else None


def asked() -> Any:
    """What all workers must ask for."""
    return json.loads(Path("shared/sweep/plan.json").read_text("utf-8"))["settings"]


@pytest.mark.parametrize(("typed", "val"), [([], "0.02"), (["--val", "0.1"], "0.1")])
def test_workers_of_a_task_ask_for_what_was_written_down(
    commands: list[list[str]], typed: list[str], val: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task has another share of validation than other comparisons, and may be given theirs."""
    begun: list[TrainOptions] = []

    def begin(_: object, base: TrainOptions, *__: object) -> Iterator[None]:
        begun.append(base)
        yield

    monkeypatch.setattr(textgen.cli.compare, "_begin", begin)
    result = textgen_cli("compare", "--task", "copy", *typed, "--submit", "local")
    assert result.exit_code == 0, result.stderr
    assert said(commands[0], "--val") == begun[0].val == val


@pytest.mark.parametrize(
    ("typed", "threads"),
    [
        (["slurm"], 1),
        (["slurm", "--slurm", "time=5,cpus-per-task=3"], 3),
        (["local", "--workers", "3"], 5),
    ],
)
def test_threads_of_workers_that_are_submitted(
    commands: list[list[str]], typed: list[str], threads: int
) -> None:
    """Those of the machines that compute. Who comes later goes on with what was begun."""
    for words in (typed, ["local", "--workers", "7"]):
        result = textgen_cli(*WORDS, "--submit", *words)
        assert result.exit_code == 0, result.stderr
    assert [said(words, "--threads") for words in commands] == [str(threads), None]
    assert asked()["threads"] == threads


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"where": "cloud"}, ConfigError, "must be one of slurm, local"),
        ({"where": "local", "settings": "time=3"}, ConfigError, "belongs to submit='slurm'"),
        ({"where": "slurm", "settings": "time"}, ConfigError, "type them like partition=cpu"),
        ({"where": "slurm", "settings": "tyme=3"}, ConfigError, "tyme"),
        ({"where": "local", "workers": 0}, ConfigError, "workers is 0"),
        ({"where": "local", "words": "compare"}, ConfigError, "as a list"),
    ],
)
@pytest.mark.usefixtures("slurm")
def test_what_is_refused(more: dict[str, Any], error: type[TextgenError], said: str) -> None:
    with pytest.raises(error, match=said):
        submit_workers(Path("shared"), **{"words": ["compare"], "workers": 2, **more})


def test_where_there_is_no_slurm(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (slurm / "refuses").touch()
    with pytest.raises(BackendError, match="invalid partition"):
        submit_workers(Path("shared"), ["compare"], where="slurm", workers=2)
    monkeypatch.setenv("PATH", "/usr/bin")
    with pytest.raises(BackendError, match="submit='local'"):
        submit_workers(Path("shared"), ["compare"], where="slurm", workers=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "3"], "--workers belongs to --submit"),
        (["--trials", "3"], "--trials belongs to --search"),
        (["--submit", "local", "--force"], "leave --force out"),
        (["--submit", "local", "--picture", "c.svg"], "give it with --join once all runs are done"),
        (["--submit", "cloud"], "it must be one of slurm, local"),
        (["--search", "hidden=4..8", "--cells", "gru"], "--search 'cell=lstm|gru'"),
        (["--search", "hidden=4..8", "--rng", "1,2"], "--search has one --rng"),
        (["--submit", "local", "--cells", "lsmt"], "'lsmt' is not known"),
        (["--join", "--resume"], "leave --resume out"),
        (["--status"], "no workers have shared out runs"),
        (["--status", "--join"], "leave --join out"),
        (["--status", "--submit", "local"], "leave --submit out"),
        (["--status", "--force"], "leave --force out"),
        (["--status", "--csv", "runs.csv"], "leave --csv out"),
        (["--status", "--picture", "runs.svg"], "leave --picture out"),
    ],
)
def test_errors_of_the_command_teach(place: Path, words: list[str], said: str) -> None:
    result = textgen_cli("compare", "text.txt", *words)
    assert result.exit_code in (2, 7) and said in result.stderr
    assert not Path("checkpoints").exists()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["local", "slurm"])
def test_the_line_of_the_page_runs(where: str, slurm: Path, corpus: str) -> None:
    """With two workers; the same line with `--join` then draws the table."""
    page = (ROOT / "docs/many_machines.md").read_text("utf-8").splitlines()
    (line,) = (line for line in page if line.startswith("textgen") and f"--submit {where}" in line)
    Path(corpus).rename("corpus.txt")
    _, command, *rest = shlex.split(line)
    words = [command, "--batch-size", "4", "--seq-len", "16", *rest]
    for flag, value in (("--params", "2k"), ("--steps", "3"), ("--out", "shared")):
        words[words.index(flag) + 1] = value
    words[words.index("--workers") + 1] = "2"
    assert textgen_cli(*words).exit_code == 0
    until = time.monotonic() + 300
    while len(list(Path("shared/sweep").glob("results/*"))) < 2:
        assert time.monotonic() < until
        time.sleep(0.2)
    asked = words[: words.index("--submit")]
    drawn = textgen_cli(*asked, "--join")
    assert drawn.exit_code == 0, drawn.stderr
    assert Path("shared/comparison.json").exists()
    assert [run.state for run in sweep_status(Path("shared")).runs] == ["done", "done"]
