"""Several processes that train one network: what they compute together, and how they end.

Here they are threads (`support.together`); `test_torchrun.py` starts true ones.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.learners import make_learner
from support.models import make_plan
from support.together import MemoryStore, together

from textgen.corpus.windows import ALL, Portion, Windows
from textgen.errors import ConfigError, RankError, StorageError
from textgen.model.config import ModelConfig
from textgen.training import ranks as ranks_module
from textgen.training.plan import Plan
from textgen.training.ranks import ALONE, Crew, ManyRanks, require_streams
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


def test_each_process_has_a_stream() -> None:
    class Many:
        world = 9

    require_streams(ALONE, 1)
    with pytest.raises(ConfigError, match="9 processes share out 8 sequences"):
        require_streams(Many(), 8)  # type: ignore[arg-type]
    assert ALL.of(5) == slice(0, 5)
