"""Runs of several processes that `torchrun` starts: results, restarts, and how they end."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.small_runs import ROOT, environment, outcome, russian_text, textgen_cli
from support.torchrun import SMALL, by_hand, launched, saved_step, wait_until

import textgen
from textgen.checkpoint.format import read_layout
from textgen.errors import ConfigError, RankError, RunFolderError
from textgen.training.launch import check_gpus
from textgen.training.ranks import ALONE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torchrun is not there")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(russian_text(20_000), "utf-8")
    return path


def losses(out: Path) -> list[float]:
    """The evaluations of a run. Its reports fall on steps that depend on its speed."""
    reports = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [report["val_bits_per_char"] for report in reports if report["evaluated"]]


def alone(text: Path, out: Path, **settings: Any) -> None:
    """The same run by one process."""
    names = {"hidden": "hidden_size"}
    plain = {names.get(n, n.replace("-", "_")): v for n, v in (SMALL | settings).items()}
    textgen.train(text, out=out, **plain)


def finish(processes: int, text: Path, out: Path, *more: object, **settings: object) -> str:
    """A run that comes to its end; what it said on stderr."""
    with launched(processes, text, out, *more, **settings) as run:
        code, said, err = run.end(600)
    assert code == 0, err
    assert said == ""
    return err


def test_a_killed_worker_changes_nothing(text: Path, tmp_path: Path) -> None:
    """Two processes, one of which is killed: torchrun starts both anew, and they resume."""
    length = {"steps": 400, "eval-every": 200, "save-every": 50}
    killed, one = tmp_path / "killed", tmp_path / "one"
    with launched(2, text, killed, "--force", restarts=1, **length) as run:
        wait_until(lambda: saved_step(killed) >= 100)
        os.kill(run.worker(1), signal.SIGKILL)
        code, said, err = run.end()
    assert (code, said) == (0, ""), err
    assert saved_step(killed) == 400
    alone(text, one, **length)
    assert losses(killed)[-1] == pytest.approx(losses(one)[-1], rel=1e-5)
    # One process goes on with what two have saved, and is at its end.
    assert "finished" in textgen.train(out=killed, resume=True).ended.reason


def test_a_process_of_one_goes_on_unasked(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchrun's contract: the same words, after a failure, go on from what was saved."""
    out = tmp_path / "run"
    small: dict[str, Any] = {"hidden_size": 8, "batch_size": 2, "seq_len": 8, "threads": 1}
    calls = iter(range(100))
    textgen.train(text, out=out, steps=20, **small, stop=lambda: next(calls) >= 7)
    assert 0 < saved_step(out) < 20
    with pytest.raises(RunFolderError):
        textgen.train(text, out=out, steps=20, **small)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    # Not even `force` begins anew what it has begun.
    textgen.train(text, out=out, steps=20, **small, force=True)
    assert saved_step(out) == 20
    more = textgen.train(out=out, more="5steps")
    assert more.ended.step == 25
    # Started again after its end, it is not trained longer once more.
    assert textgen.train(out=out, more="5steps").ended.step == 25
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    textgen.train(text, out=out, steps=20, **small, force=True)
    assert saved_step(out) == 20


def test_a_run_is_not_taken_for_ones_own_by_a_process_started_anew(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there before is refused at the first start, where a second one could not tell."""
    out = tmp_path / "run"
    small: dict[str, Any] = {"hidden_size": 8, "batch_size": 2, "seq_len": 8, "threads": 1}
    textgen.train(text, out=out, steps=4, **small)
    textgen.train(out=out, more="2steps")
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "TORCHELASTIC_MAX_RESTARTS": 3}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(RunFolderError, match="would take it for its own"):
        textgen.train(text, out=out, steps=4, **small, force=True)
    with pytest.raises(RunFolderError, match="would take it for its own"):
        textgen.train(out=out, more="2steps")
    assert textgen.train(out=out, more="3steps").ended.step == 9


@pytest.mark.parametrize(("rank", "world"), [("1", "2"), ("1", "1"), ("x", "2"), ("0", "")])
def test_other_commands_know_nothing_of_ranks(
    rank: str, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are started by others who set these variables, and write and fail as always."""
    words = ("sample", "--checkpoint", "shakespeare", "--length", "5", "--rng", "1")
    usual = textgen_cli(*words)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    assert textgen_cli(*words).stdout == usual.stdout != ""
    assert "no-such-model" in textgen_cli("sample", "--checkpoint", "no-such-model").stderr


@pytest.mark.parametrize(
    ("rank", "world", "said"),
    [("1", "1", "RANK=1 of WORLD_SIZE=1"), ("x", "2", "RANK=x"), ("1", "2", "MASTER_ADDR")],
)
def test_who_cannot_join_is_told_why(
    rank: str, world: str, said: str, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises((ConfigError, RankError), match=said):
        textgen.train(text, out=tmp_path / "run", steps=2)
    shown = textgen_cli("train", text, "--out", tmp_path / "run", "--steps", "2")
    assert said in shown.stderr and shown.exit_code in (2, 10)
    shown = textgen_cli("train", text, "--numbers")
    assert ("without torchrun" if (rank, world) == ("1", "2") else said) in shown.stderr


def test_each_process_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in {"RANK": 0, "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    crew: Any = SimpleNamespace(world=4)
    check_gpus("cpu", crew)
    check_gpus("cuda", ALONE)
    with pytest.raises(ConfigError, match=r"2 processes .* 1 GPU, .* start at most 1 here"):
        check_gpus("cuda", crew)
    with pytest.raises(ConfigError, match="Apple"):
        check_gpus("mps", crew)


def page_commands() -> list[str]:
    lines = (ROOT / "docs/many_machines.md").read_text("utf-8").splitlines()
    return [line for line in lines if line.startswith(("torchrun ", "textgen train "))]


@pytest.mark.slow
@pytest.mark.parametrize("line", page_commands())
def test_each_command_of_the_page_runs(line: str, tmp_path: Path) -> None:
    """Of two machines both on this one."""
    (tmp_path / "corpus.txt").write_text(russian_text(6000), "utf-8")
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        line = line.replace("first:29400", f"localhost:{probe.getsockname()[1]}")
    program, *words = shlex.split(line)
    module = "textgen" if program == "textgen" else "torch.distributed.run"
    words = [sys.executable, "-m", module, *words]
    words += ["--steps", "6", "--hidden", "8", "--batch-size", "4", "--threads", "1", "--quiet"]
    machines = [
        subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
        for _ in range(2 if "--nnodes" in words else 1)
    ]
    for machine in machines:
        _, err = machine.communicate(timeout=120)
        assert machine.returncode == 0, err
    out = words[words.index("--out") + 1] if "--out" in words else "checkpoints/corpus"
    assert saved_step(tmp_path / out) == 6


@pytest.mark.slow
def test_without_a_gpu_the_trial_of_one_ends_with_a_line() -> None:
    """What `make test-gpu` runs."""
    ran = subprocess.run(
        [sys.executable, "benchmarks/gpu.py"],
        cwd=ROOT,
        env=environment(CUDA_VISIBLE_DEVICES=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 8
    assert "finds no GPU here" in ran.stderr and len(ran.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("processes", [2, 4])
def test_a_thousand_steps_are_those_of_one_process(
    text: Path, tmp_path: Path, processes: int
) -> None:
    length = {"steps": 1000, "eval-every": 100, "save-every": 100}
    finish(processes, text, tmp_path / "several", **length)
    alone(text, tmp_path / "one", **length)
    ours, theirs = losses(tmp_path / "several"), losses(tmp_path / "one")
    assert len(ours) == 10
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


#: A run of some seconds.
LONG: dict[str, Any] = {"steps": 600, "eval-every": 200, "save-every": 20}


@pytest.fixture(scope="module")
def undisturbed(text: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `LONG` comes to with two processes."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(2, text, out, **LONG)
    return outcome(out, evaluations_only=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_of_any_process(
    text: Path, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    """`kill -9` of a random rank, or of all of them; as many go on, or another number."""
    rng, resumed, others = random.Random(7), [], []
    for number in range(100):
        if len(resumed) == 20:
            break
        out = tmp_path / f"killed{number}"
        with launched(2, text, out, **LONG) as run:
            step = rng.randrange(20, LONG["steps"] - 100)
            wait_until(lambda out=out, step=step: saved_step(out) >= step)
            time.sleep(rng.random() * 0.2)
            ranks = [0, 1] if rng.random() < 0.25 else [rng.randrange(2)]
            for process in [run.worker(rank) for rank in ranks]:
                os.kill(process, signal.SIGKILL)
            code, _, err = run.end()
        if code == 0:
            continue  # It was at its end already.
        step = saved_step(out)
        if number % 5 == 4:  # One process has other bits, and the same loss.
            alone(text, out, **LONG, resume=True)
            one, two = losses(out)[-1], undisturbed["reports"][-1]["val_bits_per_char"]
            assert one == pytest.approx(two, rel=1e-5)
            others.append(abs(one / two - 1))
        else:
            finish(2, text, out, **LONG)
            found = outcome(out, evaluations_only=True)
            assert found == undisturbed, f"kill {number} at {step}: {err}"
            resumed.append(step)
        print(f"killed {ranks}, resumed from {step}; {len(resumed)} bit for bit, {others}")
        shutil.rmtree(out)
    assert len(resumed) == 20


#: Raises an error in the 150th step of a rank.
FAILS = """
from textgen.errors import StorageError
from textgen.training.trainer import Trainer
advance = Trainer.advance
def fail(self, *asked):
    if self.step >= 150:
        raise StorageError("no room on the disk")
    return advance(self, *asked)
Trainer.advance = fail
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("how", ["killed", "stands still", "fails"])
def test_who_is_lost_ends_the_run_within_a_minute(
    how: str, lost: int, text: Path, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    """With a message and the exit code 10, and the same command loses nothing.

    By hand the first process also keeps what they say to one another; under torchrun a process of
    torchrun's does.
    """
    out = tmp_path / "run"
    before = {lost: FAILS} if how == "fails" else {}
    with by_hand(text, out, "--quiet", before=before, **LONG) as ranks:
        gone, left = ranks[lost], ranks[1 - lost]
        wait_until(lambda: saved_step(out) >= 100)
        begun = time.monotonic()
        if how != "fails":
            gone.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        _, err = left.communicate(timeout=120)
        took = time.monotonic() - begun
        gone.send_signal(signal.SIGCONT)
        gone.kill()
    assert took < 60
    assert left.returncode == 10, err
    # With the first process goes what would say who it was, and why.
    who = "another process of this run is" if lost == 0 else "rank 1 of 2 is"
    if (how, lost) == ("fails", 1):
        assert "rank 1 of 2 has ended: no room on the disk" in err
    else:
        assert f"{who} not there any more, or has said nothing for 25 seconds" in err
    assert "Traceback" not in err
    assert 100 <= saved_step(out) < LONG["steps"]
    finish(2, text, out, **LONG)
    assert outcome(out, evaluations_only=True) == undisturbed
    print(f"{how}, rank {lost}: the other one ended after {took:.1f} s; {err.strip()}")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="pipes cannot be made small")
def test_a_first_process_whose_output_is_not_read_is_waited_for(text: Path, tmp_path: Path) -> None:
    """It goes on as soon as somebody reads, however long that takes: here twice `STALLED`."""
    import fcntl

    out = tmp_path / "run"
    quick = "from textgen.training import ranks\nranks.STALLED = 3.0"
    length = {"steps": 300, "eval-every": 1}
    with by_hand(text, out, "--json", before={0: quick, 1: quick}, **length) as ranks:
        assert ranks[0].stdout is not None
        fcntl.fcntl(ranks[0].stdout, fcntl.F_SETPIPE_SZ, 4096)
        wait_until((out / "metrics.jsonl").exists)
        time.sleep(6)
        shown = len((out / "metrics.jsonl").read_text().splitlines())
        assert shown < 300
        assert [process.poll() for process in ranks] == [None, None]
        said, err = ranks[0].communicate(timeout=120)
        _, other = ranks[1].communicate(timeout=120)
    assert [process.returncode for process in ranks] == [0, 0], err + other
    assert json.loads(said.splitlines()[-1])["reason"] == "finished"


@pytest.mark.parametrize(
    ("engine", "settings"),
    [("", {"RANK": "0", "WORLD_SIZE": "1"}), pytest.param("torch", {}, marks=pytest.mark.slow)],
)
def test_a_run_alone_loads_nothing_of_several_processes(
    engine: str, settings: dict[str, str], text: Path, tmp_path: Path
) -> None:
    """The native engine not even torch, which has all of that."""
    code = f"""
import sys, textgen
textgen.train({str(text)!r}, out={str(tmp_path / "run")!r}, steps=2, hidden_size=8, threads=1)
assert ("torch" in sys.modules) == {bool(engine)}
assert "textgen.training.torch_ranks" not in sys.modules
if {bool(engine)}:
    assert not sys.modules["torch"].distributed.is_initialized()
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(TEXTGEN_PATH=engine, **settings),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_one_process_of_torchrun_is_a_run_alone(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, times aside."""
    length = {"steps": 60, "eval-every": 20, "save-every": 10}
    alone(text, tmp_path / "alone", **length)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    alone(text, tmp_path / "of-one", **length)
    assert file_of(tmp_path / "of-one") == file_of(tmp_path / "alone")


@pytest.mark.slow
def test_torchrun_with_one_process_is_a_run_alone(text: Path, tmp_path: Path) -> None:
    length = {"steps": 60, "eval-every": 20, "save-every": 10}
    alone(text, tmp_path / "alone", **length)
    finish(1, text, tmp_path / "of-one", **length)
    assert file_of(tmp_path / "of-one") == file_of(tmp_path / "alone")


def file_of(out: Path) -> dict[str, Any]:
    """All of a run but its times, and what names its folder or follows from its speed."""
    header = read_layout(out / "resume.safetensors", kind="resume").header
    for name in ("again", "command", "versions"):
        del header["record"][name]
    for name in ("report_every", "sample_every"):
        del header["plan"][name]
    choices = [own for own in header["record"].pop("choices") if own["name"] != "save_every"]
    found = outcome(out, evaluations_only=True)
    return found | {"record": header["record"], "plan": header["plan"], "choices": choices}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_all_after_the_same_step(
    text: Path, tmp_path: Path, rank: int
) -> None:
    out = tmp_path / "run"
    with launched(2, text, out, steps=10**6, **{"save-every": 10**6}) as run:
        wait_until(lambda: (out / "metrics.jsonl").exists())
        os.kill(run.worker(rank), signal.SIGTERM)
        code, _, err = run.end()
    assert code == 1  # torchrun's own, of workers that ended with 143
    assert err.count("stopped after step") == 1
    header = read_layout(out / "resume.safetensors", kind="resume").header
    assert header["progress"]["step"] > 0
    assert f"exitcode  : {128 + signal.SIGTERM}" in err
