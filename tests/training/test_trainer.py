"""The training step: what it learns, carries, masks, counts, and how it goes on, on every path."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.learners import KINDS, break_steps, make_trainer, path_of
from support.models import make_model, make_plan
from torch.nn import functional as F

from textgen.cells import LSTMCell
from textgen.corpus.windows import Windows
from textgen.errors import BackendError
from textgen.model.config import ModelConfig
from textgen.model.engine import choose_engine, open_network
from textgen.model.initialise import draw_masks
from textgen.model.members import join
from textgen.runtime import computing_threads
from textgen.sampling.choice import splitmix64
from textgen.training.learner import tensor_shapes
from textgen.training.plan import Plan, learning_rate_factor
from textgen.training.trainer import (
    Trainer,
    first_weights,
    member_seeds,
    open_learner,
    open_trainer,
)

CONFIG = ModelConfig(vocab_size=12, embedding_size=5, hidden_size=8, dropout=0.3)

on_every_path = pytest.mark.parametrize("kind", KINDS)
#: Where the numbers are not the point: the plainest path, and the native learner.
on_both_learners = pytest.mark.parametrize("kind", ["reference", "fake", "native"])


def tokens() -> np.ndarray:
    """Random text of several documents."""
    text = np.random.default_rng(2).integers(1, 12, 100).astype(np.uint8)
    text[[20, 21, 60]] = 0
    return text


def make(kind: str, plan: Plan, text: np.ndarray | None = None, threads: int = 1) -> Trainer:
    return make_trainer(kind, plan, tokens() if text is None else text, threads)


def advance(trainer: Trainer, steps: int) -> None:
    for _ in range(steps):
        trainer.advance()


def assert_bits_equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)


def assert_trained_alike(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    """Weights and states after a dozen steps at a learning rate of 0.01."""
    assert a.keys() == b.keys()
    for name in a:
        if name.startswith(("model.", "state.")):
            # AdamW normalises each step: roundings move a weight by a small share of the
            # learning rate.
            np.testing.assert_allclose(a[name], b[name], atol=2e-4, rtol=0, err_msg=name)


def train_alike(kind: str, plan: Plan) -> tuple[Trainer, Trainer]:
    """A trainer and that of the specification, after a dozen steps in which both were the same."""
    trainer, reference = make(kind, plan), make("reference", plan)
    for _ in range(12):
        advance(trainer, 1)
        advance(reference, 1)
        expected = reference.read_figures()
        assert trainer.read_figures().nats_per_token == pytest.approx(
            expected.nats_per_token, rel=1e-4
        )
    assert_trained_alike(trainer.tensors(), reference.tensors())
    return trainer, reference


@on_every_path
@pytest.mark.parametrize("sliding", [False, True])
def test_a_step_is_what_one_would_write_by_hand(sliding: bool, kind: str) -> None:
    plan = make_plan(replace(CONFIG, dropout=0.0), sliding=sliding, rng=5)
    trainer = make(kind, plan)
    model = make_model(plan.model)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.01},
            {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
        ],
        betas=(plan.optimizer.beta1, plan.optimizer.beta2),
    )
    windows = Windows(tokens(), seq_len=4, batch_size=3, sliding=sliding, rng=5)
    state = model.zero_state(3)
    for step in range(12):
        batch = windows.batch(step)
        if sliding:
            state = model.zero_state(3)
        logits = []
        # Token by token, so that the resets are plain assignments.
        for ids_B, resets_B in zip(batch.inputs_TB, batch.resets_TB, strict=True):
            keep = torch.from_numpy(~resets_B)[:, None]
            state = [{n: torch.where(keep, v, 0.0) for n, v in layer.items()} for layer in state]
            logits_TBV, state = model(torch.from_numpy(ids_B)[None], state)
            logits.append(logits_TBV)
        targets = torch.from_numpy(batch.targets_TB)
        loss = F.cross_entropy(torch.cat(logits).flatten(0, 1), targets.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), plan.optimizer.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * learning_rate_factor(step, plan.steps, plan.warmup_steps)
        optimizer.step()
        optimizer.zero_grad()
        state = [{name: value.detach() for name, value in layer.items()} for layer in state]

        trainer.advance()
        counters = trainer.read_figures()
        assert counters.nats_per_token == pytest.approx(loss.item(), rel=1e-5)
        assert counters.grad_norm == pytest.approx(norm.item(), rel=1e-4)
    for name, expected in model.arrays().items():
        # Twelve steps, each of which AdamW normalises: roundings move a weight by a small share
        # of the learning rate, 0.01.
        np.testing.assert_allclose(trainer.network.arrays()[name], expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, num_layers=2),
        replace(CONFIG, embedding_size=8, tie=True),
        replace(CONFIG, cell="gru"),
        replace(CONFIG, cell="rnn", nonlinearity="relu", num_layers=2),
    ],
    ids=["two layers", "tied", "gru", "rnn"],
)
def test_every_path_trains_alike(kind: str, config: ModelConfig) -> None:
    """Dropout, ends of documents, clipping and decay included."""
    train_alike(kind, make_plan(config))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_run_goes_on_upon_another_path(kind: str) -> None:
    plan = make_plan(replace(CONFIG, num_layers=2))
    whole = make("reference", plan)
    advance(whole, 12)
    for first, second in (("reference", kind), (kind, "reference")):
        begun, going_on = make(first, plan), make(second, plan)
        advance(begun, 6)
        going_on.load(6, begun.steps_counted, begun.tensors())
        assert_bits_equal(going_on.tensors(), begun.tensors())
        advance(going_on, 6)
        assert_trained_alike(going_on.tensors(), whole.tensors())
        assert going_on.tensors()["optimizer.head.bias.step"] == 12


@on_every_path
def test_training_learns(kind: str) -> None:
    text = np.tile(np.array([2, 3, 4, 5, 6], np.uint8), 40)
    plan = make_plan(replace(CONFIG, dropout=0.0), steps=100)
    plan = replace(plan, optimizer=replace(plan.optimizer, learning_rate=0.03))
    trainer = make(kind, plan, text)
    advance(trainer, 90)
    trainer.read_figures()
    advance(trainer, 10)
    # Each symbol follows from the one before it; chance would cost log(5) = 1.6.
    assert trainer.read_figures().nats_per_token < 0.2


@on_both_learners
def test_streams_carry_their_state_and_windows_do_not(kind: str) -> None:
    for sliding in (False, True):
        trainer = make(kind, make_plan(CONFIG, sliding=sliding))
        trainer.advance()
        arrays = trainer.tensors()
        assert bool(arrays["state.0.h"].any()) != sliding
        assert bool(arrays["state.0.c"].any()) != sliding


@pytest.mark.parametrize("threads", [1, 2])
@on_every_path
def test_a_run_goes_on_bit_for_bit(kind: str, threads: int) -> None:
    plan = make_plan(replace(CONFIG, num_layers=2))
    with computing_threads(threads):
        whole = make(kind, plan, threads=threads)
        advance(whole, 6)
        stored, counted = whole.tensors(), whole.steps_counted
        kept = {name: array.copy() for name, array in stored.items()}
        advance(whole, 6)
        assert_bits_equal(stored, kept)  # copies: what is stored does not change any more
        resumed = make(kind, plan, threads=threads)
        resumed.load(6, counted, stored)
        advance(resumed, 6)
        assert_bits_equal(resumed.tensors(), whole.tensors())
        assert resumed.read_figures() == whole.read_figures()
        assert resumed.step == whole.step == 12
    assert_bits_equal(stored, kept)


@on_both_learners
def test_the_shapes_of_what_is_stored_are_known_beforehand(kind: str) -> None:
    for config in (
        replace(CONFIG, num_layers=2),
        replace(CONFIG, embedding_size=8, tie=True),
        replace(CONFIG, cell="gru"),
        replace(CONFIG, cell="rnn"),
    ):
        plan = make_plan(config)
        arrays = make(kind, plan).tensors()
        assert {name: array.shape for name, array in arrays.items()} == tensor_shapes(plan)
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_everything_stored_is_float32_in_bf16_too() -> None:
    plan = make_plan(replace(CONFIG, num_layers=2))
    try:
        path = choose_engine(LSTMCell(), "cpu", "bf16")
    except BackendError as error:
        pytest.skip(str(error))
    windows = Windows(tokens(), seq_len=4, batch_size=3)
    trainer = Trainer([open_learner(open_network(CONFIG, path, None), plan)], windows, plan)
    trainer.load(0, 0, make("reference", plan).tensors())
    trainer.advance()
    assert {array.dtype for array in trainer.tensors().values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("kind", "cell"),
    # torch has no kernel of an mLSTM.
    [*((kind, cell) for kind in KINDS[1:] for cell in ("lstm", "gru")), ("native", "mlstm")],
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_every_path_drops_the_same_recurrent_weights(kind: str, dropout: float, cell: str) -> None:
    """In the loss and in the gradient; and what is evaluated has all its weights."""
    config = replace(CONFIG, dropout=dropout, num_layers=2, cell=cell)
    plan = replace(make_plan(config), recurrent_dropout=0.4)
    trainer, reference = train_alike(kind, plan)
    ids_TB = np.arange(12).reshape(6, 2)
    nats, exact = (
        made.network.nll(ids_TB, ids_TB, made.network.zero_state(2), None)[0]
        for made in (trainer, reference)
    )
    np.testing.assert_allclose(nats, exact, rtol=1e-3)
    whole = make(kind, replace(plan, recurrent_dropout=0.0))
    advance(whole, 1)
    first = make(kind, plan)
    advance(first, 1)
    assert abs(whole.read_figures().nats_per_token - first.read_figures().nats_per_token) > 1e-4


def test_a_dropped_weight_has_no_gradient() -> None:
    """What stands at zero in the mask moves by the weight decay alone."""
    plan = replace(make_plan(replace(CONFIG, dropout=0.0)), recurrent_dropout=0.5)
    for kind in ("reference", "native"):
        trainer = make(kind, plan)
        before = trainer.network.arrays()["layers.0.weight_hh"]
        masks = draw_masks(plan.model, plan.batch_size, splitmix64(plan.rng, 0), 0.5)
        assert masks is not None
        dropped = masks.recurrent["layers.0.weight_hh"] == 0.0
        advance(trainer, 1)
        after = trainer.network.arrays()["layers.0.weight_hh"]
        decay = 1.0 - plan.learning_rate(0) * plan.optimizer.weight_decay
        # One product in float32.
        np.testing.assert_allclose(after[dropped], before[dropped] * decay, rtol=1e-6)
        assert (np.abs(after - before * decay)[~dropped] > 1e-4).all()


def masks_of(plan: Plan, steps: range, kind: str) -> list[np.ndarray]:
    """The masks that the learner is handed in each of `steps`, flat."""
    trainer = make(kind, plan)
    trainer.step = steps.start
    seen = []
    update = trainer._learners[0].update

    def spy(batch, masks, learning_rate, stop) -> bool:
        weights = [mask.ravel() for mask in masks.recurrent.values()]
        seen.append(np.concatenate([masks.embedding_E, masks.layers_LBH.ravel(), *weights]))
        return update(batch, masks, learning_rate, stop)

    trainer._learners[0].update = spy  # type: ignore[method-assign]
    advance(trainer, len(steps))
    return seen


@on_both_learners
def test_dropout_depends_on_the_seed_and_the_step_alone(kind: str) -> None:
    plan = replace(make_plan(CONFIG), recurrent_dropout=0.2)
    masks = masks_of(plan, range(8), kind)
    np.testing.assert_array_equal(masks_of(plan, range(5, 8), kind), masks[5:])
    other = masks_of(replace(plan, rng=2), range(8), kind)
    distinct = {tuple(mask.tolist()) for mask in masks + other}
    assert len(distinct) == 16, "every step of every run has masks of its own"


@pytest.mark.parametrize("kind", ["reference", "native"])
def test_members_are_trained_as_runs_of_their_own(kind: str) -> None:
    """Side by side, each with the weights and the masks of its seed."""
    config = replace(CONFIG, hidden_size=3 * 8, embedding_size=3 * 4, dropout=0.3)
    plan = replace(make_plan(config), members=3, recurrent_dropout=0.2)
    seeds = member_seeds(plan)
    assert seeds[0] == plan.rng and len(set(seeds)) == 3

    def trained(plan: Plan) -> Trainer:
        windows = plan.windows(tokens())
        trainer = open_trainer(plan, path_of(kind, plan), windows, first_weights(plan))
        advance(trainer, 5)
        return trainer

    together = trained(plan)
    joined = together.network.arrays()
    alone = [trained(replace(plan, model=plan.member, members=1, rng=rng)) for rng in seeds]
    own = [trainer.network.arrays() for trainer in alone]
    for name, weight in join(own, config).items():
        np.testing.assert_array_equal(joined[name], weight, err_msg=name)
    assert len({weights["layers.0.weight_hh"].tobytes() for weights in own}) == 3
    seen = [trainer.read_figures() for trainer in alone]
    figures = together.read_figures()
    assert figures.steps == 5
    mean = np.mean([one.nats_per_token for one in seen])
    assert figures.nats_per_token == pytest.approx(mean, rel=1e-6)
    assert figures.grad_norm == pytest.approx(np.mean([one.grad_norm for one in seen]), rel=1e-6)
    # What was read before a step is not what is read after it.
    advance(together, 1)
    assert (together.network.arrays()["head.weight"] != joined["head.weight"]).any()


@on_both_learners
def test_without_dropout_nothing_is_drawn(kind: str) -> None:
    """The seed of a run without dropout and shuffling has no say after the first weights."""
    plan = make_plan(replace(CONFIG, dropout=0.0))
    arrays = []
    for rng in (1, 2):
        trainer = make(kind, replace(plan, rng=rng))
        advance(trainer, 3)
        arrays.append(trainer.tensors())
    assert_bits_equal(*arrays)


@pytest.fixture
def broken_steps(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Steps (by number of the call) whose loss is made NaN."""
    broken: set[int] = set()
    break_steps(monkeypatch, lambda step: step in broken)
    return broken


@on_every_path
def test_a_masked_step_changes_no_weight_and_drops_the_carried_state(
    kind: str, broken_steps: set[int]
) -> None:
    trainer = make(kind, make_plan(CONFIG))
    advance(trainer, 4)
    before = trainer.tensors()
    assert before["state.0.h"].any()
    broken_steps.add(4)
    trainer.advance()
    after = trainer.tensors()
    for name, array in after.items():
        if name.startswith(("model.", "optimizer.")):
            np.testing.assert_array_equal(array, before[name], err_msg=name)
        if name.startswith("state."):
            assert not array.any(), name
    assert trainer.step == 5
    trainer.advance()
    assert not np.array_equal(trainer.tensors()["model.head.bias"], before["model.head.bias"])
    assert trainer.tensors()["state.0.h"].any()
    assert trainer.tensors()["optimizer.head.bias.step"] == 5


@on_every_path
def test_a_state_that_overflowed_is_not_carried_on(kind: str) -> None:
    trainer = make(kind, make_plan(CONFIG))
    trainer.advance()
    tensors = trainer.tensors()
    tensors["state.0.c"].fill(math.nan)
    trainer.load(trainer.step, trainer.steps_counted, tensors)
    weights = trainer.network.arrays()
    trainer.advance()
    assert_bits_equal(trainer.network.arrays(), weights)
    assert trainer.read_figures().skipped == 1
    trainer.advance()
    counters = trainer.read_figures()
    assert counters.skipped == 0 and math.isfinite(counters.nats_per_token)


@pytest.mark.parametrize("kind", ["fake", "torch"])
def test_a_state_that_is_not_finite_is_not_carried_on_after_a_finite_loss(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come of tokens whose prediction does not count; no file may hold it."""
    trainer = make(kind, make_plan(CONFIG))
    network: Any = trainer.network
    owner, name = (network, "differentiate") if kind == "fake" else (network.model, "read")
    usual = getattr(owner, name)

    def overflow(*given: Any, **more: Any) -> Any:
        result, state = usual(*given, **more)
        state[0]["c"][0, 0] = math.inf
        return result, state

    monkeypatch.setattr(owner, name, overflow)
    before = trainer.network.arrays()
    trainer.advance()
    assert trainer.read_figures().skipped == 0
    assert not np.array_equal(trainer.network.arrays()["head.bias"], before["head.bias"])
    for key, array in trainer.tensors().items():
        if key.startswith("state."):
            assert not array.any(), key


@on_both_learners
def test_counters(kind: str, broken_steps: set[int]) -> None:
    trainer = make(kind, make_plan(CONFIG))
    broken_steps.update({1, 2, 5, 6, 7, 8})
    advance(trainer, 7)
    first = trainer.read_figures()
    assert (first.steps, first.skipped, first.skipped_in_a_row) == (7, 4, 2)
    assert 0 < first.nats_per_token < 10 and 0 < first.grad_norm < 100
    trainer.advance()
    second = trainer.read_figures()
    # The run began before the last reading and goes on.
    assert (second.steps, second.skipped, second.skipped_in_a_row) == (1, 1, 3)
    assert math.isnan(second.nats_per_token) and math.isnan(second.grad_norm)
    advance(trainer, 2)
    third = trainer.read_figures()
    assert (third.steps, third.skipped, third.skipped_in_a_row) == (2, 1, 4)
    trainer.advance()
    fourth = trainer.read_figures()
    assert (fourth.steps, fourth.skipped, fourth.skipped_in_a_row) == (1, 0, 0)


def test_losses_with_a_sum_too_large_for_a_number_are_told_as_infinite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is finite, so no step is masked, and nobody reads a warning of numpy."""
    trainer = make("fake", make_plan(CONFIG))
    network = trainer.network
    differentiate = network.differentiate  # type: ignore[attr-defined]
    huge = float(np.finfo(np.float32).max)
    monkeypatch.setattr(
        network, "differentiate", lambda *args, **more: (huge, differentiate(*args, **more)[1])
    )
    advance(trainer, 2)
    figures = trainer.read_figures()
    assert figures.skipped == 0
    assert figures.nats_per_token == float("inf")


@on_both_learners
def test_a_run_of_masked_steps_is_counted_across_a_resume(
    kind: str, broken_steps: set[int]
) -> None:
    plan = make_plan(CONFIG)
    trainer = make(kind, plan)
    broken_steps.update(range(2, 10))
    advance(trainer, 4)
    resumed = make(kind, plan)
    resumed.load(4, trainer.steps_counted, trainer.tensors())
    resumed.advance()
    counters = resumed.read_figures()
    assert (counters.steps, counters.skipped, counters.skipped_in_a_row) == (5, 3, 3)


@on_both_learners
def test_an_evaluation_between_two_steps_changes_nothing(kind: str) -> None:
    """It reads another text from another state, with a batch of another size."""
    plan = make_plan(CONFIG)
    with_evaluation, without = make(kind, plan), make(kind, plan)
    for _ in range(3):
        advance(with_evaluation, 1)
        advance(without, 1)
        network = with_evaluation.network
        ids_TB = np.full((7, 5), 3, np.int64)
        network.nll(ids_TB, ids_TB, network.zero_state(5), None)
    assert_bits_equal(with_evaluation.tensors(), without.tensors())


def test_a_step_on_a_gpu_does_not_wait_for_it() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use is here")
    plan = make_plan(CONFIG)
    path = choose_engine(LSTMCell(), "cuda")
    windows = Windows(tokens(), seq_len=4, batch_size=3)
    trainer = Trainer([open_learner(open_network(CONFIG, path, None), plan)], windows, plan)
    trainer.load(0, 0, make("reference", plan).tensors())
    advance(trainer, 2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        advance(trainer, 3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.read_figures().skipped == 0
