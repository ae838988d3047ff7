"""How runs are sized: repeatably, with a reason for everything, and for any text."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.models import make_plan

from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.windows import Windows
from textgen.errors import CheckpointCorruptError, ConfigError, EmptyCorpusError
from textgen.model.config import ModelConfig
from textgen.model.network import Engine
from textgen.options import TrainOptions
from textgen.training.plan import Plan
from textgen.training.sizing import (
    CELL_RATES,
    DEFAULT_BUDGET,
    EVALUATION_SHARE,
    EVALUATIONS,
    MEMBER_LEAST,
    MEMBERS_WIDTH,
    MOST_DROPOUT,
    MOST_RECURRENT_DROPOUT,
    SECONDS_BETWEEN_SAVES,
    SHORT_TEXT,
    TextFacts,
    Timing,
    draft,
    duration_words,
    evaluation_tokens,
    finish,
    flops_per_token,
    memory_needed,
    refuse_beyond_memory,
    steps_within,
    usual_cell,
)

BOOK = TextFacts(train_tokens=1_000_000, val_tokens=110_000, vocab_size=110)
TIMING = Timing(step=0.02, evaluation=0.3, save=0.1)
SPEED = 1e11


def resolved(
    options: TrainOptions, facts: TextFacts = BOOK, timing: Timing = TIMING
) -> tuple[Plan, dict[str, Any]]:
    """The plan, and every choice by name."""
    budgeted = options.steps is None and options.epochs is None
    drafted = draft(options, facts, SPEED if budgeted else None)
    plan, choices = finish(drafted, options, facts, timing)
    return plan, {choice.name: choice for choice in (*drafted.choices, *choices)}


@pytest.mark.parametrize(
    ("engine", "asked", "tokens", "cell"),
    [
        ("native", {}, 1_000_000, "coupled"),
        ("native", {}, SHORT_TEXT, "coupled"),
        ("native", {}, SHORT_TEXT - 1, "lstm"),
        ("reference", {}, 1_000_000, "coupled"),
        ("torch", {}, 1_000_000, "lstm"),
        ("native", {"pairs": True}, 1_000_000, "lstm"),
        ("native", {"cell": "lstm"}, 1_000_000, "lstm"),
        ("torch", {"cell": "gru"}, 10_000, "gru"),
    ],
)
def test_the_usual_cell_suits_the_engine_and_the_text(
    engine: str, asked: dict[str, Any], tokens: int, cell: str
) -> None:
    facts = TextFacts(train_tokens=tokens, val_tokens=tokens // 9, vocab_size=90)
    choice = usual_cell(TrainOptions(**asked), facts, Engine(engine, "fp32", ""))
    assert choice.name == "cell"
    assert choice.value == cell
    assert (choice.reason == "asked for") == ("cell" in asked)


def test_what_is_drafted_without_a_cell_has_the_usual_one() -> None:
    assert resolved(TrainOptions())[0].model.cell == "coupled"


def spelled_out(plan: Plan, **more: Any) -> TrainOptions:
    """The options that the printed command gives."""
    return TrainOptions(
        steps=plan.steps,
        hidden_size=plan.model.hidden_size,
        num_layers=plan.model.num_layers,
        embedding_size=plan.model.embedding_size,
        dropout=plan.model.dropout,
        recurrent_dropout=plan.recurrent_dropout,
        members=plan.members,
        tie=plan.model.tie,
        batch_size=plan.batch_size,
        learning_rate=plan.optimizer.learning_rate,
        weight_decay=plan.optimizer.weight_decay,
        rng=plan.rng,
        **({"history": plan.seq_len} if plan.sliding else {"seq_len": plan.seq_len}),
        **more,
    )


REQUESTS = {
    "default": {},
    "budget": {"budget": 60.0},
    "long": {"budget": 7200.0, "patience": 3},
    "epochs": {"epochs": 2.5},
    "steps": {"steps": 700},
    "history": {"history": 30},
    "tied": {"tie": True, "num_layers": 2},
    "own": {"hidden_size": 77, "dropout": 0.33, "learning_rate": 0.004, "eval_every": 50},
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_the_same_question_has_the_same_answer(request_: dict) -> None:
    options = TrainOptions(**request_)
    assert resolved(options) == resolved(options)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_the_steps_of_a_budget_repeat_its_plan(request_: dict) -> None:
    """On any machine: speed decides only how often a run reports and saves."""
    options = TrainOptions(**request_)
    plan, _ = resolved(options)
    more = {name: request_[name] for name in ("eval_every", "patience") if name in request_}
    slow = Timing(step=0.7, evaluation=9.0, save=3.0)
    again, _ = resolved(spelled_out(plan, **more), timing=slow)
    assert replace(again, report_every=plan.report_every, save_every=plan.save_every) == plan


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_every_choice_has_a_reason(request_: dict) -> None:
    plan, choices = resolved(TrainOptions(**request_))
    values = {**asdict(plan), **asdict(plan.model), **asdict(plan.optimizer)}
    decided = {
        "hidden_size",
        "num_layers",
        "embedding_size",
        "dropout",
        "recurrent_dropout",
        "learning_rate",
        "history" if "history" in request_ else "seq_len",
        "batch_size",
        "steps",
        "save_every",
    }
    values["history"] = plan.seq_len
    assert decided <= set(choices)
    for name, choice in choices.items():
        assert choice.value == values[name], name
        assert len(choice.reason) > 4, name
        # An unset request is never said to have been asked for, and the other way round.
        if name not in ("seq_len", "history", "steps"):
            assert (choice.reason == "asked for") == (request_.get(name) is not None), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 50),
        ("num_layers", 3),
        ("embedding_size", 21),
        ("dropout", 0.0),
        ("dropout", 0.45),
        ("recurrent_dropout", 0.0),
        ("recurrent_dropout", 0.35),
        ("seq_len", 9),
        ("batch_size", 5),
        ("learning_rate", 0.00123),
        ("weight_decay", 0.0),
        ("clip_norm", 7.0),
        ("eval_every", 123),
        ("save_every", 321),
        ("patience", 4),
        ("rng", 99),
    ],
)
def test_what_is_asked_for_is_given(name: str, value: Any) -> None:
    plan, _ = resolved(TrainOptions(**{name: value}))
    values = {**asdict(plan), **asdict(plan.model), **asdict(plan.optimizer)}
    assert values[name] == value


def test_a_budget_becomes_as_many_steps_as_fit() -> None:
    for budget in (None, 60.0, 3600.0):
        plan, choices = resolved(TrainOptions(budget=budget))
        seconds = budget or DEFAULT_BUDGET
        spent = plan.steps * TIMING.step
        assert 0.8 * seconds < spent < seconds
        # What is left pays for evaluations and saves.
        assert spent + EVALUATIONS * TIMING.evaluation + seconds / 30 * TIMING.save < seconds
        assert "one takes 20 ms" in choices["steps"].reason
        assert f"fit into {duration_words(seconds)}:" in choices["steps"].reason


def test_a_budget_too_small_for_anything_is_one_step() -> None:
    assert resolved(TrainOptions(budget=0.001))[0].steps == 1


def test_more_time_never_buys_a_smaller_model() -> None:
    sizes = [
        resolved(TrainOptions(budget=seconds))[0].model.hidden_size
        for seconds in (1.0, 10.0, 60.0, 180.0, 1800.0, 36_000.0)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_small_text_holds_the_model_back() -> None:
    small = TextFacts(train_tokens=2000, val_tokens=200, vocab_size=60)
    options = TrainOptions(budget=36_000.0, members=1)
    plan, choices = resolved(options, small)
    large, of_large = resolved(options)
    assert plan.model.hidden_size < large.model.hidden_size
    assert "2,000 characters" in choices["hidden_size"].reason
    assert "memorize" in choices["hidden_size"].reason
    assert "1,000,000 characters" in of_large["hidden_size"].reason
    assert "learn most in 3 minutes" in resolved(TrainOptions())[1]["hidden_size"].reason
    short = resolved(TrainOptions(budget=0.01))[1]["hidden_size"]
    assert "little time (0.01 seconds)" in short.reason


def test_epochs_are_passes_over_the_text() -> None:
    plan, choices = resolved(TrainOptions(epochs=3.0))
    assert plan.steps == pytest.approx(3 * BOOK.train_tokens / plan.tokens_per_step, abs=1)
    assert choices["steps"].reason == "the text is read 3 times"
    # With the lecture's windows an epoch is one of each.
    plan, _ = resolved(TrainOptions(epochs=2.0, history=20, batch_size=100))
    assert plan.sliding and plan.seq_len == 20
    assert plan.steps == pytest.approx(2 * (BOOK.train_tokens - 20) / 100, abs=1)


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 99, 5000])
def test_the_rhythm_of_a_run(steps: int) -> None:
    plan, _ = resolved(TrainOptions(steps=steps))
    assert plan.steps == steps
    assert 0 <= plan.warmup_steps < steps or steps == 1
    for every in (plan.report_every, plan.eval_every, plan.save_every, plan.sample_every):
        assert 1 <= every <= steps
    assert plan.report_every <= plan.eval_every
    # The last step is evaluated anyway: no more than planned, whatever the remainder.
    assert -(-steps // plan.eval_every) <= EVALUATIONS


@given(step=st.floats(1e-4, 60.0), save=st.floats(0.0, 30.0))
def test_at_most_so_much_work_is_lost(step: float, save: float) -> None:
    plan, _ = resolved(
        TrainOptions(steps=10_000), timing=Timing(step=step, evaluation=1, save=save)
    )
    assert plan.save_every * step <= SECONDS_BETWEEN_SAVES or plan.save_every == 1


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        # Of 100 s: 3 evaluations at the end, a save; 10 evaluations, and a save every 25 s.
        ({}, (100 - 0.9 - 0.1 - 3.0 - 0.4) / 0.02),
        ({"eval_every": 10}, (100 - 0.9 - 0.1 - 0.4) / (0.02 + 0.3 / 10)),
        ({"save_every": 5}, (100 - 0.9 - 0.1 - 3.0) / (0.02 + 0.1 / 5)),
        ({"eval_every": 1, "save_every": 1}, (100 - 0.9 - 0.1) / (0.02 + 0.3 + 0.1)),
    ],
)
def test_a_budget_pays_for_the_evaluations_and_saves_that_are_asked_for(
    asked: dict[str, int], steps: float
) -> None:
    assert steps_within(100.0, TIMING, TrainOptions(**asked)) == int(steps)
    plan, _ = resolved(TrainOptions(budget=100.0, **asked))
    for name, every in asked.items():
        assert getattr(plan, name) == every


@given(
    train=st.integers(3, 400),
    val=st.integers(1, 50),
    vocab=st.integers(3, 300),
    budget=st.sampled_from([0.01, 10.0, 180.0]),
    history=st.one_of(st.none(), st.integers(1, 10)),
)
@settings(max_examples=60)
def test_the_smallest_text_gets_a_plan_that_works(
    train: int, val: int, vocab: int, budget: float, history: int | None
) -> None:
    if history is not None:
        history = min(history, train - 1)
    facts = TextFacts(train_tokens=train, val_tokens=val, vocab_size=vocab)
    for length in ({"budget": budget}, {"epochs": 0.01}, {"steps": 1}):
        plan, choices = resolved(TrainOptions(history=history, **length), facts)
        windows = Windows(
            np.zeros(train, np.uint8),
            seq_len=plan.seq_len,
            batch_size=plan.batch_size,
            sliding=plan.sliding,
        )
        assert windows.batch(plan.steps - 1).inputs_TB.shape == (plan.seq_len, plan.batch_size)
        assert 1 <= plan.eval_tokens <= val
        assert all(choice.reason for choice in choices.values())
        # A step does not read a small text over and over.
        assert history is not None or plan.tokens_per_step <= 8 * train


@pytest.mark.parametrize("train", [3, 50, 2400, 10**6])
@pytest.mark.parametrize("seq_len", [None, 1, 7, 200, 10**9])
@pytest.mark.parametrize("history", [None, 2])
def test_a_batch_is_no_larger_than_the_text(
    train: int, seq_len: int | None, history: int | None
) -> None:
    facts = TextFacts(train_tokens=train, val_tokens=9, vocab_size=30)
    length: dict[str, Any] = {"seq_len": seq_len} if history is None else {"history": history}
    options = TrainOptions(steps=1, batch_size=10**7, hidden_size=8, **length)
    plan, choices = resolved(options, facts)
    assert plan.tokens_per_step <= 8 * train or history
    assert plan.batch_size <= train and plan.seq_len <= train - 1
    choice = choices["batch_size"]
    assert choice.changed and choice.value == plan.batch_size
    assert choice.reason.startswith("10,000,000 were asked for")
    length_choice = choices["seq_len" if history is None else "history"]
    assert length_choice.changed == (history is None and (seq_len or 0) > train - 1)
    # What is planned and printed is planned again, and no longer said to be changed.
    again, of_again = resolved(spelled_out(plan), facts)
    assert again == plan and not of_again["batch_size"].changed
    # What is usual is never beyond the bound.
    usual, _ = resolved(replace(options, batch_size=None), facts)
    assert usual.batch_size <= plan.batch_size


def test_a_history_longer_than_the_text_is_refused() -> None:
    facts = TextFacts(train_tokens=100, val_tokens=9, vocab_size=30)
    assert resolved(TrainOptions(steps=1, history=99), facts)[0].batch_size == 1
    with pytest.raises(EmptyCorpusError, match=r"history=100 .* 100 characters .* at most 99"):
        draft(TrainOptions(steps=1, history=100), facts, None)


def test_too_many_layers_are_refused_before_they_are_counted() -> None:
    with pytest.raises(ConfigError, match=r"num_layers is 1000000000; at most 100"):
        draft(TrainOptions(steps=1, num_layers=10**9), BOOK, None)


@pytest.mark.parametrize(
    ("asked", "flag"),
    [
        ({"hidden_size": 10**6}, "hidden_size (it is 1,000,000)"),
        ({"hidden_size": 10**12}, "hidden_size"),
        ({"embedding_size": 10**10, "hidden_size": 9}, "embedding_size"),
        ({"num_layers": 100, "hidden_size": 8000}, "num_layers (it is 100)"),
        ({"batch_size": 200_000, "hidden_size": 512}, "batch_size"),
        ({"seq_len": 400_000, "batch_size": 4, "hidden_size": 512}, "seq_len"),
        ({"history": 900_000, "batch_size": 40, "hidden_size": 512}, "history"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_make_smaller(
    asked: dict[str, Any], flag: str
) -> None:
    plan, _ = resolved(TrainOptions(steps=1, **asked))
    with pytest.raises(ConfigError) as caught:
        refuse_beyond_memory(plan, 16 * 10**9)
    assert f"give a smaller {flag}" in str(caught.value)
    assert "16 GB are free" in str(caught.value)
    refuse_beyond_memory(plan, None)  # A system that does not tell is believed to have it.
    refuse_beyond_memory(plan, sum(memory_needed(plan)))


def test_the_memory_of_a_run_is_about_what_was_measured() -> None:
    """Resident memory of `textgen train` less that of a run of 8 units, see docs/log.md."""
    for measured, asked in (
        (2.63e9, {"hidden_size": 3000, "batch_size": 4, "seq_len": 8}),
        (0.61e9, {"hidden_size": 256, "batch_size": 1024, "seq_len": 64}),
        (1.21e9, {"hidden_size": 256, "batch_size": 1024, "seq_len": 64, "num_layers": 2}),
        (0.13e9, {"hidden_size": 256, "batch_size": 512, "seq_len": 64, "cell": "rnn"}),
        (0.43e9, {"hidden_size": 256, "batch_size": 512, "seq_len": 64, "cell": "mlstm"}),
    ):
        plan, _ = resolved(TrainOptions(steps=1, **asked), replace(BOOK, vocab_size=31))
        assert sum(memory_needed(plan)) == pytest.approx(measured, rel=0.25), asked
    assert sum(memory_needed(plan, device="cuda")) < sum(memory_needed(plan))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.0, "1 second"),
        (90.0, "90 seconds"),
        (60.0, "1 minute"),
        (180.0, "3 minutes"),
        (3600.0, "1 hour"),
        (5400.0, "90 minutes"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_reasons_say_why_in_words() -> None:
    """No powers of ten, no names of variables, and each begins with what the number is."""
    small = TextFacts(train_tokens=2000, val_tokens=200, vocab_size=60)
    for request_ in REQUESTS.values():
        for facts in (BOOK, small):
            for level in ("char", "byte", "word"):
                options = TrainOptions(corpus=CorpusOptions(level=level), **request_)
                for choice in resolved(options, facts)[1].values():
                    assert not re.search(r"e[+-]\d|[a-z]_[a-z]|operations", choice.reason), choice
    _, choices = resolved(TrainOptions(budget=36_000.0), small)
    assert "is not memorized" in choices["dropout"].reason
    _, choices = resolved(TrainOptions(steps=100))
    assert "none, because a text read in part" in choices["dropout"].reason
    assert choices["dropout"].value == 0


def test_recurrent_dropout_takes_over_from_dropout() -> None:
    """From thirty readings on; who gives the dropout gets that and nothing beside."""
    times = (1.0, 5.0, 30.0, 31.0, 40.0, 80.0, 10_000.0)

    def rates(facts: TextFacts = BOOK, **settings: Any) -> list[tuple[float, float]]:
        plans = [
            resolved(TrainOptions(epochs=epochs, hidden_size=1024, **settings), facts)[0]
            for epochs in times
        ]
        return [(plan.recurrent_dropout, plan.model.dropout) for plan in plans]

    both, alone = rates(), rates(recurrent_dropout=0.0)
    assert both == sorted(both)
    assert both[:3] == alone[:3]
    assert both[0] == both[1] == (0.0, 0.0)
    # There is no jump where it begins.
    assert both[3][0] < 0.03 and both[3][1] - both[2][1] < 0.02
    for (recurrent, dropout), (none, more) in zip(both[4:], alone[4:], strict=True):
        assert recurrent > 0.0 == none
        assert dropout < more or more == MOST_DROPOUT
    assert both[-1][0] == MOST_RECURRENT_DROPOUT
    # Not tried with pairs or thousands of words; a few words are as characters are.
    assert rates(pairs=True) == alone
    words = CorpusOptions(level="word")
    assert rates(corpus=words) == both
    rare = rates(replace(BOOK, vocab_size=12_000), corpus=words)
    assert {recurrent for recurrent, _ in rare} == {0.0}
    plan, choices = resolved(TrainOptions(epochs=60.0, hidden_size=64, dropout=0.2))
    assert plan.recurrent_dropout == 0.0
    assert "because the dropout was asked for" in choices["recurrent_dropout"].reason


def test_a_network_that_cannot_keep_the_text_has_decay_in_place_of_dropout() -> None:
    """Of dropout none up to 6 parameters a token and reading, all from 9 on. The stronger decay is
    for networks of 0.3 to 0.45 parameters a token and more, and for less as there is dropout."""

    def drafted(hidden_size: int, epochs: float = 12.0, **more: Any) -> tuple[float, Any, Any, str]:
        options = TrainOptions(
            epochs=epochs, hidden_size=hidden_size, embedding_size=64, cell="coupled", **more
        )
        plan, choices = resolved(options)
        size = plan.model.num_parameters() / BOOK.train_tokens
        return size, plan.model.dropout, plan.optimizer.weight_decay, choices["dropout"].reason

    found = [drafted(width) for width in (64, 192, 272, 288, 320, 384, 400, 448, 1024)]
    for size, dropout, decay, _ in found:
        share = min(max((12 * size - 6) / 3, 0), 1)
        assert dropout == pytest.approx(0.1744 * share, abs=0.006)
        stronger = (1 - share) * min(max((size - 0.3) / 0.15, 0), 1)
        assert decay == pytest.approx(0.1 + 0.15 * stronger, abs=0.006)
    decays = [decay for _, _, decay, _ in found]
    assert decays[0] == decays[-1] == 0.1
    assert decays[1] == 0.1 < decays[2] < decays[3] < decays[4] > decays[6] > 0.1
    assert len({dropout for _, dropout, _, _ in found}) > 3
    assert "a network of this size does not memorize the text" in found[0][3]
    assert "a text read about 12 times is not memorized" in found[-1][3]
    # A text that is read a few times needs neither, and with pairs it was not tried.
    assert drafted(320, epochs=6.0)[1:3] == (0.0, 0.1)
    assert drafted(192, pairs=True)[1:3] == (0.17, 0.1)
    # What is asked for is taken.
    assert drafted(320, dropout=0.5, weight_decay=0.3)[1:3] == (0.5, 0.3)


def test_a_text_read_many_times_has_several_networks() -> None:
    """More of them the shorter the text is; together no wider than what writes quickly."""
    plans = {
        tokens: resolved(
            TrainOptions(budget=600.0),
            TextFacts(train_tokens=tokens, val_tokens=tokens // 9, vocab_size=90),
        )
        for tokens in (10_000, 100_000, 400_000, 1_000_000, 10_000_000)
    }
    members = [plan.members for plan, _ in plans.values()]
    assert members == sorted(members, reverse=True)
    assert members[0] == 4 and members[-1] == 1
    for plan, choices in plans.values():
        own = plan.member
        assert own.hidden_size * plan.members == plan.model.hidden_size <= MEMBERS_WIDTH
        assert own.embedding_size * plan.members == plan.model.embedding_size
        assert ("members" in choices) == (plan.members > 1)
        assert plan.members == 1 or own.hidden_size >= MEMBER_LEAST
    assert "one alone would read the text" in plans[10_000][1]["members"].reason
    # Two from 8 readings by one on, without dropout: they are too narrow to keep the text.
    play = TextFacts(train_tokens=900_000, val_tokens=100_000, vocab_size=65)
    for flops, members, neurons, dropout in ((2.5e10, 1, 320, 0.0), (8.4e10, 2, 768, 0.0)):
        plan = draft(TrainOptions(budget=600.0, cell="coupled"), play, flops).plan
        shape = (plan.members, plan.model.hidden_size, plan.model.dropout)
        assert shape == (members, neurons, dropout)
    # A slow machine has no time for several wide ones, and narrow ones learn less than one network.
    short = TextFacts(train_tokens=44_000, val_tokens=4400, vocab_size=84)
    slow = draft(TrainOptions(budget=60.0), short, 2e10)
    assert slow.plan.members == 1
    # Where a person has decided on the size or the length, there is one, and nothing is tried that
    # was not measured.
    few = TextFacts(train_tokens=10_000, val_tokens=1000, vocab_size=90)
    for asked in (
        {"hidden_size": 64},
        {"steps": 5000},
        {"epochs": 500.0},
        {"pairs": True},
        {"history": 20},
        {"tie": True},
        {"embedding_size": 7},
        {"members": 1},
    ):
        assert resolved(TrainOptions(**asked), few)[0].members == 1, asked
    plan, choices = resolved(TrainOptions(members=3, hidden_size=96, steps=10), few)
    assert (plan.member.hidden_size, plan.member.embedding_size) == (32, 32)
    assert choices["members"].reason == "asked for"
    # Each is trained as one of its size is, on its share of the time.
    alone, _ = resolved(TrainOptions(hidden_size=32, steps=10), few)
    assert plan.optimizer == alone.optimizer


def test_many_words_have_fewer_neurons_and_more_dropout() -> None:
    """Half the neurons that a run of characters with as large an output has; see docs/log.md."""
    words = TextFacts(train_tokens=180_000, val_tokens=20_000, vocab_size=12_000)
    by_level = {
        level: resolved(TrainOptions(corpus=CorpusOptions(level=level)), words)
        for level in ("char", "word")
    }
    (of_chars, told_chars), (of_words, told_words) = by_level["char"], by_level["word"]
    assert of_words.model.hidden_size <= 0.6 * of_chars.model.hidden_size
    assert of_words.model.dropout > of_chars.model.dropout
    assert "half as many as for characters" in told_words["hidden_size"].reason
    assert "the output of 12,000 words takes most" in told_words["hidden_size"].reason
    assert "rare words are soon memorized" in told_words["dropout"].reason
    assert "rare" not in told_chars["dropout"].reason
    # The text is read in part, once, twice, eight times and a thousand times.
    for epochs, dropout in ((0.5, 0.0), (1.0, 0.0), (2.0, 0.15), (8.0, 0.45), (1000.0, 0.65)):
        options = TrainOptions(corpus=CorpusOptions(level="word"), epochs=epochs)
        assert resolved(options, words)[1]["dropout"].value == dropout
    # A few words are as characters are.
    few = replace(words, vocab_size=900)
    plans = [
        resolved(TrainOptions(corpus=CorpusOptions(level=level)), few)[0]
        for level in ("char", "word")
    ]
    assert plans[0] == plans[1]


def test_evaluations_take_their_share_of_the_run() -> None:
    facts = replace(BOOK, val_tokens=10**9)
    seen = 10**8
    tokens = evaluation_tokens(facts.val_tokens, seen)
    # A pass forward costs a third of a step's arithmetic.
    assert EVALUATIONS * tokens / 3 == pytest.approx(EVALUATION_SHARE * seen, rel=0.01)
    assert evaluation_tokens(BOOK.val_tokens, seen) == BOOK.val_tokens
    assert evaluation_tokens(facts.val_tokens, 1.0) == 4096
    assert evaluation_tokens(1, 1.0) == 1


def test_flops_are_those_of_the_matrices() -> None:
    config = ModelConfig(vocab_size=11, embedding_size=3, hidden_size=5, num_layers=2)
    matrices = 20 * 3 + 20 * 5 + 20 * 5 + 20 * 5 + 11 * 5
    assert flops_per_token(config) == 6 * matrices  # 2 a weight forward, 4 backward
    tied = ModelConfig(vocab_size=11, embedding_size=5, hidden_size=5, tie=True)
    assert flops_per_token(tied) == 6 * (20 * 5 + 20 * 5 + 11 * 5)


def test_a_model_that_is_trained_further_learns_in_smaller_steps() -> None:
    """Half of the usual rate for a text read up to five times, a tenth for one read 25 times."""
    for epochs, share in ((1, 0.5), (5, 0.5), (25, 0.1), (250, 0.01)):
        usual, further = (
            draft(TrainOptions(epochs=epochs, hidden_size=256), BOOK, None, further=own)
            for own in (False, True)
        )
        rates = [drafted.plan.optimizer.learning_rate for drafted in (usual, further)]
        assert rates[1] / rates[0] == pytest.approx(share, rel=0.05)  # two digits are kept
        reasons = {choice.name: choice.reason for choice in further.choices}
        assert f"; {share:.0%} of the usual" in reasons["learning_rate"]
        asked = draft(
            TrainOptions(epochs=epochs, learning_rate=0.01), BOOK, None, further=True
        ).plan
        assert asked.optimizer.learning_rate == 0.01


def test_a_budget_needs_the_machines_speed() -> None:
    with pytest.raises(ValueError, match="needs the machine's speed"):
        draft(TrainOptions(), BOOK, None)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_plan_comes_back_from_json(request_: dict) -> None:
    plan, _ = resolved(TrainOptions(**request_))
    assert Plan.from_dict(json.loads(json.dumps(asdict(plan)))) == plan


def good() -> dict[str, Any]:
    return asdict(make_plan(ModelConfig(vocab_size=9, embedding_size=3, hidden_size=4)))


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"steps": "20"},
        {"batch_size": -1},
        {"seq_len": 2.5},
        {"rng": -1},
        {"sliding": 1},
        {"patience": True},
        {"recurrent_dropout": 1.0},
        {"recurrent_dropout": -0.1},
        {"recurrent_dropout": True},
        {"recurrent_dropout": "0.1"},
        {"members": 0},
        {"members": 5},
        {"members": 2.0},
        {"momentum": 0.9},
        {"model": {"vocab_size": 0, "embedding_size": 3, "hidden_size": 4}},
        {"model": None},
        {"optimizer": {"learning_rate": 0.1}},
        {"optimizer": dict.fromkeys(["learning_rate", "beta2", "weight_decay", "clip_norm"], "x")},
    ],
    ids=repr,
)
def test_a_damaged_plan_is_refused(change: dict) -> None:
    assert Plan.from_dict(good())
    (name,) = change
    with pytest.raises(
        CheckpointCorruptError, match=rf"^{name}\b.* (must be|is missing|not known|cannot)"
    ):
        Plan.from_dict({**good(), **change})


def test_a_plan_of_version_0_1_is_what_it_was() -> None:
    """Its runs knew none of these settings, and must go on as they began."""
    data = good()
    del data["reset_every"], data["first_step"], data["recurrent_dropout"], data["members"]
    del data["accumulate"]
    del data["optimizer"]["beta1"]
    plan = Plan.from_dict(data)
    assert (plan.reset_every, plan.optimizer.beta1, plan.first_step) == (0, 0.9, 0)
    assert plan.recurrent_dropout == 0.0
    assert plan.members == 1
    assert plan.accumulate == 1


def test_an_incomplete_plan_is_refused() -> None:
    later = {"reset_every", "first_step", "recurrent_dropout", "members", "accumulate"}
    for name in good().keys() - later:
        data = good()
        del data[name]
        with pytest.raises(CheckpointCorruptError, match=f"^{name} is missing"):
            Plan.from_dict(data)


def test_some_cells_are_trained_more_slowly() -> None:
    """At the LSTM's rate a plain network and an mLSTM diverge."""
    rates = {
        cell: resolved(TrainOptions(cell=cell, hidden_size=256, num_layers=1, steps=500))[0]
        for cell in ("lstm", "peephole", *CELL_RATES)
    }
    of = {cell: plan.optimizer.learning_rate for cell, plan in rates.items()}
    assert of["peephole"] == of["lstm"]
    for cell, share in CELL_RATES.items():
        assert share < 0.5
        assert of[cell] == pytest.approx(share * of["lstm"], rel=0.05)  # two digits are kept


def test_a_step_learns_from_all_its_streams() -> None:
    plan = make_plan(ModelConfig(vocab_size=9, embedding_size=3, hidden_size=4))
    assert (plan.batch_size, plan.seq_len, plan.tokens_per_step) == (3, 4, 12)


@pytest.mark.parametrize("sliding", [False, True])
def test_the_windows_of_a_plan_have_its_settings(sliding: bool) -> None:
    config = ModelConfig(vocab_size=90, embedding_size=3, hidden_size=4)
    plan = make_plan(config, sliding=sliding, reset_every=3, rng=5)
    tokens = np.arange(2, 80, dtype=np.uint8)
    settings: dict[str, Any] = {"seq_len": 4, "batch_size": 3, "reset_every": 3, "rng": 5}
    own = Windows(tokens, sliding=sliding, separator=7, **settings)
    for step in (0, 2, 9):
        found, wanted = plan.windows(tokens, 7).batch(step), own.batch(step)
        for name in ("inputs_TB", "targets_TB", "resets_TB"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert plan.windows(tokens).batch(1).targets_TB.min() > 0  # No separator: every target counts.


def test_a_run_has_at_most_so_many_steps() -> None:
    plan = make_plan(ModelConfig(vocab_size=9, embedding_size=3, hidden_size=4))
    assert replace(plan, steps=10**12).steps == 10**12
    with pytest.raises(ConfigError, match=r"take 1,000,000,000,001 steps, and at most 1,000"):
        replace(plan, steps=10**12 + 1)
