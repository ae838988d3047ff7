"""Several processes that train one network: what they compute together, and how they end.

Here they are threads (`support.together`); `test_torchrun.py` starts true ones.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from support.learners import make_learner
from support.models import make_plan
from support.small_runs import outcome, russian_text
from support.together import MemoryStore, together

import textgen
from textgen.corpus.windows import ALL, Portion, Windows
from textgen.errors import ConfigError, RankError, StorageError
from textgen.model.config import ModelConfig
from textgen.options import TrainOptions
from textgen.training import ranks as ranks_module
from textgen.training import run as run_module
from textgen.training import torch_ranks
from textgen.training.events import Ended, Event, Started
from textgen.training.folder import RunState
from textgen.training.plan import Plan
from textgen.training.ranks import ALONE, Crew, ManyRanks, Stopped, require_streams
from textgen.training.resume import resumed_run
from textgen.training.start import new_run
from textgen.training.trainer import Trainer

CONFIG = ModelConfig(vocab_size=12, embedding_size=5, hidden_size=8, dropout=0.3)
PLAN = replace(make_plan(CONFIG), batch_size=7, seq_len=5, reset_every=3, recurrent_dropout=0.25)
PAIRS_SEPARATOR = 3
#: After eight steps; AdamW makes of a rounding a small share of the learning rate.
NEAR = {"atol": 2e-4, "rtol": 0.0}


def tokens() -> np.ndarray:
    text = np.random.default_rng(2).integers(1, 12, 300).astype(np.uint8)
    text[[0, 20, 21, 60, 299]] = 0
    return text


def trainer_of(
    plan: Plan, ranks: Crew = ALONE, kind: str = "native", separator: int | None = None
) -> Trainer:
    windows = plan.windows(tokens(), separator, share=ranks.share)
    return Trainer([make_learner(kind, plan, ranks=ranks)], windows, plan, ranks)


def trained(
    plan: Plan, ranks: Crew = ALONE, kind: str = "native", separator: int | None = None
) -> tuple[float, dict[str, np.ndarray]]:
    """The mean loss of eight steps, and what the first rank would save after them."""
    trainer = trainer_of(plan, ranks, kind, separator)
    for _ in range(8):
        assert trainer.advance()
    loss = trainer.read_figures().nats_per_token
    return loss, trainer.tensors()


def assert_near(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        if "exp_avg" not in name and name != "counters":
            np.testing.assert_allclose(array, other[name], err_msg=name, **NEAR)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("sliding", [False, True])
def test_shares_of_a_batch_are_the_streams_of_the_whole(count: int, sliding: bool) -> None:
    settings: dict[str, Any] = {"seq_len": 5, "batch_size": 7, "sliding": sliding, "rng": 3}
    settings |= {"reset_every": 0 if sliding else 3}
    whole = Windows(tokens(), **settings).batch(11)
    shares = [Portion(index, count) for index in range(count)]
    parts = [Windows(tokens(), **settings, share=share).batch(11) for share in shares]
    for name in ("inputs_TB", "targets_TB", "resets_TB"):
        joined = np.concatenate([getattr(part, name) for part in parts], axis=1)
        np.testing.assert_array_equal(joined, getattr(whole, name))
        cut = np.concatenate([getattr(whole.part(s.of(7)), name) for s in shares], axis=1)
        np.testing.assert_array_equal(cut, getattr(whole, name))


@pytest.mark.parametrize("kind", ["native", "torch"])
@pytest.mark.parametrize("separator", [None, PAIRS_SEPARATOR])
def test_processes_train_as_one_does(kind: str, separator: int | None) -> None:
    loss, expected = trained(PLAN, kind=kind, separator=separator)

    def work(group: ManyRanks) -> Any:
        return trained(PLAN, group, kind, separator)

    first, second, third = together(3, work)
    assert [first[0], second[0], third[0]] == pytest.approx([loss] * 3, rel=1e-5)
    assert_near(first[1], expected)
    for name, array in first[1].items():
        if ".state." not in f".{name}":  # The states of all streams lie on the first rank alone.
            np.testing.assert_array_equal(array, second[1][name], err_msg=name)
            np.testing.assert_array_equal(array, third[1][name], err_msg=name)
    _, again, _ = together(3, work)
    np.testing.assert_array_equal(second[1]["model.head.weight"], again[1]["model.head.weight"])


@pytest.mark.parametrize("kind", ["native", "torch"])
@pytest.mark.parametrize("accumulate", [2, 7])
def test_a_step_in_parts_is_the_step_of_the_whole(kind: str, accumulate: int) -> None:
    loss, expected = trained(PLAN, kind=kind, separator=PAIRS_SEPARATOR)
    plan = replace(PLAN, accumulate=accumulate)
    in_parts, found = trained(plan, kind=kind, separator=PAIRS_SEPARATOR)
    assert in_parts == pytest.approx(loss, rel=1e-5)
    assert_near(found, expected)


def test_the_gradient_in_parts_is_that_of_the_whole() -> None:
    plan = replace(PLAN, recurrent_dropout=0.0)
    whole, parts = (
        trainer_of(p, separator=PAIRS_SEPARATOR) for p in (plan, replace(plan, accumulate=3))
    )
    whole.advance()
    parts.advance()
    expected, found = whole.network.gradient, parts.network.gradient  # type: ignore[attr-defined]
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()
    assert np.abs(expected).max() > 0


def test_a_run_goes_on_with_any_number_of_processes() -> None:
    half, (_, whole) = trainer_of(PLAN), trained(PLAN)
    for _ in range(4):
        half.advance()
    saved = half.tensors()

    def go_on(group: Crew) -> dict[str, np.ndarray]:
        trainer = trainer_of(PLAN, group)
        trainer.load(4, 4, saved)
        for _ in range(4):
            trainer.advance()
        return trainer.tensors()

    for world in (2, 5):
        assert_near(together(world, go_on)[0], whole)
    for name, array in go_on(ALONE).items():
        if name != "counters":  # Those of `trained` were read.
            np.testing.assert_array_equal(array, whole[name], err_msg=name)


def test_saved_and_gone_on_with_by_as_many_it_ends_with_the_same_bits() -> None:
    def halves(group: ManyRanks) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        trainer = trainer_of(PLAN, group)
        for _ in range(3):
            trainer.advance()
        # The file is on a disk that all processes see.
        saved = trainer.tensors()
        shared.setdefault("saved", saved) if group.rank == 0 else None
        group.broadcast(None)
        for _ in range(5):
            trainer.advance()
        other = trainer_of(PLAN, group)
        other.load(3, 3, shared["saved"])
        for _ in range(5):
            other.advance()
        return trainer.tensors(), other.tensors()

    shared: dict[str, Any] = {}
    for one, other in together(2, halves):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_loss_that_is_no_number_on_one_rank_masks_the_step_on_all() -> None:
    def work(group: ManyRanks) -> list[Any]:
        trainer = trainer_of(replace(PLAN, recurrent_dropout=0.0), group)
        before = trainer.network.arrays()
        if group.rank == 1:
            learner = trainer._learners[0]
            learner._state[0]["h"][...] = np.inf  # type: ignore[attr-defined]
        trainer.advance()
        same = all((before[n] == a).all() for n, a in trainer.network.arrays().items())
        state = trainer.tensors()["state.0.h"]
        return [same, trainer.read_figures().skipped, float(np.abs(state).max())]

    # No process carries a state on from there.
    assert together(2, work) == [[True, 1, 0.0]] * 2


def test_weights_that_have_come_apart_are_not_saved() -> None:
    def work(group: ManyRanks) -> Any:
        trainer = trainer_of(PLAN, group)
        trainer.advance()
        if group.rank == 2:
            trainer.network.weights["head.bias"][0] += 1e-6  # type: ignore[attr-defined]
        return trainer.tensors()

    errors = together(3, work)
    assert isinstance(errors[0], RankError)
    assert "weights of rank 2 are not those of rank 0" in str(errors[0])
    assert all(isinstance(error, RankError) for error in errors)


def test_what_is_said_between_steps() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)

    def work(group: ManyRanks) -> list[Any]:
        rank = group.rank
        gathered = group.gather([rank, float("nan")])
        arrays = group.gather(array * rank)
        return [
            group.any(rank == 1),
            group.any(False),
            group.broadcast({"from": rank}),
            group.alone(lambda: f"found by {rank}"),
            group.in_turn(lambda: f"read by {rank}"),
            None if gathered is None else [own[0] for own in gathered],
            None if arrays is None else float(sum(own.sum() for own in arrays)),
        ]

    first, second, third = together(3, work)
    assert first == [True, False, {"from": 0}, "found by 0", "read by 0", [0, 1, 2], 45.0]
    assert second == [True, False, {"from": 0}, None, "read by 1", None, None]
    assert third[4] == "read by 2"


def test_the_sum_is_in_the_order_of_the_ranks() -> None:
    numbers = np.float32([1e8, 1.0, -1e8, 0.125])  # In another order the sum is another number.

    def work(group: ManyRanks) -> np.ndarray:
        flat = np.full(group.padded(5), numbers[group.rank], np.float32)
        group.sum_(flat)
        return flat

    expected = np.float32(0)
    for number in numbers:
        expected = np.float32(expected + number)
    for flat in together(4, work):
        np.testing.assert_array_equal(flat, np.full(8, expected, np.float32))


def test_an_error_of_the_first_rank_ends_the_others_silently() -> None:
    def work(group: ManyRanks) -> None:
        def fail() -> None:
            raise StorageError("no room on the disk")

        group.alone(fail)

    first, second, third = together(3, work)
    assert isinstance(first, StorageError)
    for other in (second, third):
        assert str(other) == "rank 0 of 3 has ended: no room on the disk"
        assert other.rank is None and other.is_told


def test_what_a_rank_wrote_before_it_ended_counts() -> None:
    """It does both between two looks of the one that waits."""

    class Late(MemoryStore):
        def check(self, keys: list[str]) -> bool:
            found = super().check(keys)
            if keys == ["answer"] and not found:
                self.values |= {"answer": b"yes", "ended/0": b"no room on the disk"}
            return found

    group = ManyRanks(1, 2, Late(), lambda: pytest.fail("nothing is connected"))
    assert group._wait("answer", 0) == b"yes"


def test_an_error_of_another_rank_is_told_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks_module, "TELLING", 0.1)

    def work(group: ManyRanks) -> None:
        if group.rank == 1:
            raise StorageError("no room on the disk")
        group.gather(None)

    first, second = together(2, work)
    assert str(first) == "rank 1 of 2 has ended: no room on the disk"
    assert second.rank == 1  # type: ignore[union-attr]


def test_a_slow_rank_is_waited_for_and_a_lost_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranks_module, "BEAT", 0.05)
    monkeypatch.setattr(ranks_module, "STALLED", 0.4)
    monkeypatch.setattr(ranks_module, "TELLING", 0.1)
    store, over = MemoryStore(), threading.Event()

    def work(group: ManyRanks) -> float:
        begun = time.monotonic()
        if group.rank == 1:
            time.sleep(1.0)  # Its heart beats.
        group.gather(None)
        waited = time.monotonic() - begun
        if group.rank == 1:
            group._over.set()  # It beats no more, as after a kill.
            over.wait(10)
            raise SystemExit
        try:
            group.gather(None)
        finally:
            over.set()
        return waited

    error, _ = together(2, work, store)
    assert isinstance(error, RankError)
    assert "rank 1 of 2 is not there any more" in str(error)


def test_a_rank_that_lives_and_takes_no_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks_module, "BEAT", 0.05)
    monkeypatch.setattr(ranks_module, "TELLING", 0.1)
    over = threading.Event()

    def work(group: ManyRanks) -> None:
        if group.rank == 1:
            over.wait(10)
            raise SystemExit
        try:
            group.any(False)
        finally:
            over.set()

    error, _ = together(2, work, seconds=0.1)
    assert str(error).startswith("rank 1 of 2 is there, but has taken no step for 25 seconds, so")


def test_a_store_that_stands_still_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes with the process, or the machine, that has it."""
    monkeypatch.setattr(ranks_module, "ANSWERING", 0.2)
    over = threading.Event()

    class Still(MemoryStore):
        def check(self, keys: list[str]) -> bool:
            return over.wait(20)

    def work(group: ManyRanks) -> None:
        group._store._store = Still()  # type: ignore[attr-defined]
        begun = time.monotonic()
        try:
            group.gather(None)
        finally:
            assert time.monotonic() - begun < 5

    first, _ = together(2, work, seconds=0.5)
    over.set()
    assert isinstance(first, RankError)
    assert str(first).startswith("another process of this run is not there any more")


@pytest.mark.parametrize("rank", [0, 2])
def test_a_stop_of_any_rank_gives_up_what_the_first_does_alone(rank: int) -> None:
    def work(group: ManyRanks) -> list[Any]:
        def long(poll: Callable[[], None]) -> None:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                poll()
                time.sleep(0.001)

        with pytest.raises(Stopped):
            group.alone_unless(lambda: group.rank == rank, long)
        # All of them are at the same place again, and an old stop holds nothing up.
        return [group.alone_unless(lambda: False, lambda poll: [poll(), 7]), group.any(False)]

    assert together(3, work) == [[[None, 7], False], [None, False], [None, False]]
    with pytest.raises(Stopped):
        ALONE.alone_unless(lambda: True, lambda poll: poll())


def run_together(
    text: Path, folder: Path, shown: Callable[[int, Event], object], **how: Any
) -> list[Any]:
    """What a run of two threads ends with on each; `shown` is what looks at its events."""
    stop = how.pop("stop", lambda rank: False)

    def work(group: ManyRanks) -> Ended:
        with new_run([text], TrainOptions(**TINY), folder, ranks=group) as run:
            for event in run.events(lambda: stop(group.rank)):
                shown(group.rank, event)
        assert isinstance(event, Ended)
        return event

    return together(2, work, **how)


TINY: dict[str, Any] = {
    "steps": 6,
    "hidden_size": 8,
    "batch_size": 4,
    "seq_len": 8,
    "threads": 1,
    "eval_every": 3,
    "rng": 5,
}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(russian_text(6000), "utf-8")
    return path


def test_a_signal_to_another_rank_ends_the_fit_at_the_end(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps are taken; whoever goes on only measures, and has what a run without a stop has."""
    folder, fitting, fit = tmp_path / "run", threading.Event(), run_module.fit_adaptation

    def slow(*args: Any, poll: Callable[[], object]) -> Any:
        fitting.set()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            poll()
            time.sleep(0.001)
        return fit(*args)

    monkeypatch.setattr(run_module, "adaptation_tokens", lambda plan, tokens: 200)
    monkeypatch.setattr(run_module, "fit_adaptation", slow)
    stop = {"stop": lambda rank: rank == 1 and fitting.is_set()}
    ended = run_together(text, folder, lambda rank, event: None, **stop)
    assert [(own.reason, own.step) for own in ended] == [("stopped", 6)] * 2
    assert not RunState.load(folder / "resume.safetensors").progress.finished
    monkeypatch.setattr(run_module, "fit_adaptation", fit)
    whole = run_together(text, tmp_path / "whole", lambda rank, event: None)
    assert textgen.train(out=folder, resume=True).ended.reason == "finished"
    assert whole[0].reason == "finished"
    assert outcome(folder)["model"] == outcome(tmp_path / "whole")["model"]


def test_steps_wait_for_whoever_shows_what_happened(text: Path, tmp_path: Path) -> None:
    """A pager, or Ctrl-S, may hold the first process up for longer than a step is waited for."""
    held = []

    def shown(rank: int, event: Event) -> None:
        if rank == 0 and type(event) not in map(type, held):
            held.append(event)
            time.sleep(0.6)

    ended = run_together(text, tmp_path / "run", shown, seconds=0.3)
    assert [getattr(own, "reason", own) for own in ended] == ["finished"] * 2
    assert {type(event).__name__ for event in held} == {
        *("Started", "Report", "Sampled", "Saved", "Ended")
    }


@pytest.mark.parametrize(
    ("typed", "began", "goes_on"), [(None, 8, 4), (3, 3, 3)], ids=["left open", "typed"]
)
def test_threads_are_shared_out_again_among_another_number_of_processes(
    typed: int | None,
    began: int,
    goes_on: int,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8), raising=False)
    folder = tmp_path / "run"
    calls = iter(range(100))
    options = {**TINY, "threads": typed}
    textgen.train(text, out=folder, **options, stop=lambda: next(calls) >= 2)
    state = RunState.load(folder / "resume.safetensors")
    assert (state.record["threads"], state.record["processes"]) == (began, 1)
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))

    def work(group: ManyRanks) -> tuple[int | None, str]:
        with resumed_run(folder, ranks=group) as run:
            started = next(iter(run.events()))
            group.broadcast(None)
            assert isinstance(started, Started)
            note = next(str(n) for n in started.notes if "sums round" in str(n))
            return run._trainer.network.engine.threads, note

    for threads, note in cast(list[tuple[int, str]], together(2, work)):
        assert threads == goes_on
        assert "began with 1 process and continues with 2" in note


def test_what_is_on_a_gpu_goes_by_nccl_which_waits_longer_than_gloo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NCCL ends a process without a word; gloo, which waits in each step too, is to be first."""
    made, used = [], []

    def new_group(**settings: Any) -> str:
        made.append(settings)
        return "by NCCL"

    monkeypatch.setattr(torch_ranks.dist, "new_group", new_group)
    for name in ("all_to_all_single", "all_gather"):
        monkeypatch.setattr(torch_ranks.dist, name, lambda *_, group: used.append(group))
    wires = torch_ranks.TorchWires(2)
    for device in ("cpu", "meta", "meta"):
        flat = torch.zeros(4, device=device)
        wires.assemble(wires.exchange(flat)[0], flat)
    assert used == [None, None, *["by NCCL"] * 4]
    (settings,) = made
    assert settings["backend"] == "nccl"
    assert settings["timeout"].total_seconds() >= 4 * ranks_module.STALLED


def test_each_process_has_a_stream() -> None:
    class Many:
        world = 9

    require_streams(ALONE, 1)
    with pytest.raises(ConfigError, match="9 processes share out 8 sequences"):
        require_streams(Many(), 8)  # type: ignore[arg-type]
    assert ALL.of(5) == slice(0, 5)
