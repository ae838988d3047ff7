"""Training on pairs: the targets alone count, and are written; the run goes on bit for bit."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.learners import make_learner, path_of
from support.models import lecture_nats, make_plan, random_weights
from support.small_runs import outcome

import textgen
from textgen.checkpoint import SavedModel, read_layout
from textgen.corpus.pairs import index_pairs
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.corpus.windows import Batch
from textgen.errors import ConfigError, CorpusError, RunFolderError, SamplingError
from textgen.evaluation import exact_match
from textgen.evaluation import nll as nll_module
from textgen.evaluation.exact_match import PairsEvaluation, edit_similarity, target_nll
from textgen.model.config import ModelConfig
from textgen.model.engine import open_network
from textgen.options import TrainOptions
from textgen.training.events import Ended, Event, Sampled, Started
from textgen.training.trainer import Trainer

CONFIG = ModelConfig(vocab_size=9, embedding_size=4, hidden_size=6, num_layers=2)
TAB = 2
KINDS = ("reference", "torch", "native")


def words(letters: str, longest: int) -> list[str]:
    """Every word of these letters, two letters and more."""
    return [
        "".join(word)
        for size in range(2, longest + 1)
        for word in itertools.product(letters, repeat=size)
    ]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Reversed words of three letters, two to five long."""
    made = words("абв", 5)
    random.Random(0).shuffle(made)
    return [f"{word}\t{word[::-1]}" for word in made]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


SETTINGS = {
    "pairs": True,
    "hidden_size": 48,
    "batch_size": 16,
    "seq_len": 24,
    "dropout": 0.0,
    "learning_rate": 0.02,
    "precision": "fp32",
    "threads": 1,
}


def train(path: Path, out: Path, **settings: object) -> list[Event]:
    seen: list[Event] = []
    textgen.train(path, out=out, on_event=seen.append, **{**SETTINGS, "steps": 30, **settings})
    return seen


@pytest.fixture(scope="module")
def trained(
    lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[textgen.Model, list[Event]]:
    """A model that has learned to reverse."""
    folder = tmp_path_factory.mktemp("reversed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        seen = train(write(folder / "pairs.tsv", lines), folder / "run", steps=700)
    return textgen.load(folder / "run"), seen


def random_pairs(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    for _ in range(12):
        left, right = rng.integers(1, 9, 2)
        source, target = rng.integers(3, 9, left), rng.integers(3, 9, right)
        target[rng.random(right) < 0.1] = UNKNOWN_ID
        parts += [source, np.array([TAB]), target, np.array([END_ID])]
    return np.concatenate(parts).astype(np.uint8)


def pairs_by_hand(tokens: np.ndarray) -> list[float]:
    """The cost of each counted token in float64, pair by pair, from the end mark on."""
    weights, nats = random_weights(CONFIG), []
    for pair in np.split(tokens.astype(int), np.flatnonzero(tokens == END_ID) + 1)[:-1]:
        costs = lecture_nats(CONFIG, weights, [END_ID, *pair[:-1]], pair, [0])
        costs = costs + math.log(1_112_064) * (pair == UNKNOWN_ID)
        nats += costs[pair.tolist().index(TAB) + 1 :].tolist()
    return nats


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("together", [1, 5, 256])
def test_targets_cost_what_the_equations_say(
    kind: str, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact_match, "TOGETHER", together)
    monkeypatch.setattr(nll_module, "steps_at_once", lambda network, streams, wanted: 3)
    plan, tokens = make_plan(CONFIG), random_pairs()
    network = open_network(CONFIG, path_of(kind, plan), random_weights(CONFIG))
    index = index_pairs(tokens, TAB)
    nll = target_nll(network, tokens, index)
    expected = pairs_by_hand(tokens)
    assert nll.tokens == len(expected) == index.counted
    assert nll.mean == pytest.approx(np.mean(expected), abs=3e-6)
    # Of a part of them in any order too.
    part = index.take(np.array([7, 2]))
    nll = target_nll(network, tokens, part)
    alone = [target_nll(network, tokens, index.take(np.array([n]))) for n in (7, 2)]
    assert nll.tokens == sum(one.tokens for one in alone)
    assert nll.total == pytest.approx(sum(one.total for one in alone))


def batch_of(targets_TB: np.ndarray) -> Batch:
    rng = np.random.default_rng(5)
    inputs_TB = rng.integers(3, 9, targets_TB.shape)
    return Batch(inputs_TB, targets_TB, np.zeros(targets_TB.shape, np.bool_))


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_the_mean_over_what_counts(kind: str) -> None:
    """And the weights after the update do not depend on what does not count."""
    plan = make_plan(CONFIG)
    targets_TB = np.random.default_rng(1).integers(3, 9, (4, 3))
    counted_TB = np.random.default_rng(2).random((4, 3)) < 0.5
    learner = make_learner(kind, plan)
    batch = batch_of(np.where(counted_TB, targets_TB, -1))
    learner.update(batch, None, 0.01)
    nats = [
        lecture_nats(CONFIG, random_weights(CONFIG), batch.inputs_TB[:, b], targets_TB[:, b])
        for b in range(3)
    ]
    expected = float(np.array(nats).T[counted_TB].mean())
    assert learner.take_counters().loss == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_counts_has_a_gradient(kind: str) -> None:
    """A batch of one counted target moves the head's bias up for that symbol and no other."""
    plan = make_plan(CONFIG)
    targets_TB = np.full((4, 3), -1)
    targets_TB[2, 1] = 5
    learner = make_learner(kind, plan)
    before = learner.tensors()["model.head.bias"]
    learner.update(batch_of(targets_TB), None, 0.01)
    moved = learner.tensors()["model.head.bias"] - before
    assert moved[5] > 0 and (np.delete(moved, 5) < 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_a_target_carries_its_state(kind: str) -> None:
    """It has no loss, is not left out as one that is not finite, and does not spoil the mean."""
    plan = make_plan(CONFIG)
    learner = make_learner(kind, plan)
    nothing = batch_of(np.full((4, 3), -1))
    before = learner.tensors()
    learner.update(nothing, None, 0.01)
    counters = learner.take_counters()
    assert counters.loss == 0.0 and counters.masked == 0
    after = learner.tensors()
    assert np.abs(after["state.0.h"] - before["state.0.h"]).max() > 0.01
    assert all(np.isfinite(value).all() for value in after.values())

    class Batches:
        carries_state = True
        counts_all = False

        def batch(self, step: int) -> Batch:
            return nothing if step % 2 else batch_of(np.full((4, 3), 5))

    trainer = Trainer([make_learner(kind, plan)], Batches(), plan)  # type: ignore[arg-type]
    trainer.advance()
    first = trainer.read_figures().nats_per_token
    trainer = Trainer([make_learner(kind, plan)], Batches(), plan)  # type: ignore[arg-type]
    trainer.advance()
    trainer.advance()
    assert trainer.read_figures().nats_per_token == pytest.approx(first, rel=1e-6)


def test_it_learns_to_reverse(trained: tuple[textgen.Model, list[Event]]) -> None:
    """Held-out sources of which none was trained on: most targets are written exactly."""
    model, seen = trained
    ended = seen[-1]
    assert isinstance(ended, Ended)
    assert ended.written_pairs == 36  # a tenth of 3**2 + ... + 3**5
    assert ended.exact_match is not None and ended.exact_match > 0.8
    assert ended.best_bits_per_char < 0.3
    assert model.saved.reads_pairs and model.saved.history is None
    metrics = model.info["metrics"]
    assert metrics["val_exact_match"] == [ended.exact_match, 36]
    assert metrics["val_bits_per_char"] == ended.best_bits_per_char


def test_samples_on_the_way_are_held_out_pairs(
    trained: tuple[textgen.Model, list[Event]],
) -> None:
    texts = [event.text for event in trained[1] if isinstance(event, Sampled)]
    assert len(set(texts)) > 1
    assert all(" -> " in text and "\t" not in text for text in texts)


def test_targets_are_written_and_end(
    trained: tuple[textgen.Model, list[Event]], lines: list[str]
) -> None:
    model, _ = trained
    # Some that were trained on too, for a model that is right most of the time.
    written = model.generate_targets([line.split("\t")[0] for line in lines], temperature=0.0)
    exact = sum(t.text == line.split("\t")[1] for t, line in zip(written, lines, strict=True))
    assert exact > 0.85 * len(lines)
    assert {text.finish_reason for text in written} == {"end"}
    source, target = next(
        line.split("\t")
        for text, line in zip(written, lines, strict=True)
        if text.text == line.split("\t")[1]
    )
    assert model.generate(source, temperature=0.0) == target
    (one,) = model.generate_many(1, source, temperature=0.0)
    assert one.text == target and one.finish_reason == "end"
    assert [s.text for s in model.stream(source, temperature=0.0)] == [*target, ""]
    assert model.generate(source, temperature=0.0, length=2) == target[:2]


def test_several_targets_of_a_source(trained: tuple[textgen.Model, list[Event]]) -> None:
    model, _ = trained
    sources = ["абв", "вба"]
    many = model.generate_targets(sources, count=3, temperature=3.0, rng=2)
    assert len(many) == 6 and len({text.ids for text in many[:3]}) > 1
    exact = model.generate_targets(sources, count=3, temperature=3.0, rng=2, exact=True)
    alone = model.generate_many(3, "абв", temperature=3.0, rng=2, exact=True)
    assert [text.ids for text in exact[:3]] == [text.ids for text in alone]


def test_what_is_no_source(trained: tuple[textgen.Model, list[Event]]) -> None:
    model, _ = trained
    with pytest.raises(SamplingError, match="and there is none; give one: seed=SOURCE"):
        model.generate("")
    with pytest.raises(SamplingError, match=r"and there is none: seed: .* dropped"):
        model.generate("xyz")
    with pytest.raises(SamplingError, match="has a TAB, which ends a source"):
        model.generate("аб\tба")
    with pytest.raises(ConfigError, match="writes targets, not a text by turns"):
        model.writer()
    with pytest.raises(ConfigError, match="measure it with evaluate_pairs"):
        model.evaluate("nothing")


def test_evaluation_agrees_with_what_is_written(
    trained: tuple[textgen.Model, list[Event]], lines: list[str], tmp_path: Path
) -> None:
    model, _ = trained
    wrong = [f"{line}а" if number % 4 == 0 else line for number, line in enumerate(lines)]
    path = write(tmp_path / "pairs.tsv", wrong)
    figures = model.evaluate_pairs(path, threads=1)
    sources, targets = zip(*(line.split("\t") for line in wrong), strict=True)
    written = [text.text for text in model.generate_targets(sources, temperature=0.0)]
    assert figures.pairs == len(lines)
    assert figures.exact == sum(a == b for a, b in zip(written, targets, strict=True))
    mean = np.mean([edit_similarity(a, b) for a, b in zip(written, targets, strict=True)])
    assert figures.similarity == pytest.approx(mean)
    assert figures.target_chars == sum(map(len, targets))
    assert 0.5 < figures.exact_match < 0.76 < figures.similarity
    assert figures.bits_per_char > 0.5
    some = model.evaluate_pairs(path, threads=1, limit=40)
    assert some.pairs == 40 and 0.5 < some.exact_match < 0.95


def test_an_output_without_end_is_cut(lines: list[str], tmp_path: Path) -> None:
    """Twice the longest target and some: an untrained model may never end."""
    train(write(tmp_path / "pairs.tsv", lines), tmp_path / "run", steps=1)
    model = textgen.load(tmp_path / "run")
    weights = {name: array.copy() for name, array in model.saved.weights.items()}
    weights["head.bias"][END_ID] = -50.0
    endless = textgen.Model(
        SavedModel(**{**vars(model.saved), "weights": weights}), tmp_path / "run"
    )
    figures = endless.evaluate_pairs(tmp_path / "pairs.tsv", threads=1)
    assert figures.exact == 0 and 0.0 <= figures.similarity < 0.4
    (text,) = endless.generate_targets(["аб"], length=30)
    assert (len(text.text), text.finish_reason) == (30, "length")


@pytest.mark.parametrize("level", [pytest.param("byte", marks=pytest.mark.slow), "word"])
def test_other_levels(level: str, tmp_path: Path) -> None:
    """One character several tokens, and one token several characters."""
    spelled = {"1": "один", "2": "два", "3": "три"}
    lines = [
        f"{' '.join(digits)}\t{' '.join(spelled[d] for d in digits)}"
        for size in (1, 2, 3, 4)
        for digits in itertools.product("123", repeat=size)
    ]
    path = write(tmp_path / "numbers.tsv", lines)
    seen = train(path, tmp_path / "run", level=level, steps=500, seq_len=48)
    ended = seen[-1]
    assert isinstance(ended, Ended) and ended.exact_match is not None
    model = textgen.load(tmp_path / "run")
    figures = model.evaluate_pairs(path, threads=1)
    assert figures.exact_match > 0.8
    assert figures.target_chars == sum(len(line.split("\t")[1]) for line in lines)
    assert model.generate("3 1", temperature=0.0) == "три один"


def test_a_run_resumes_bit_for_bit(lines: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.tsv", lines)
    settings = {"steps": 24, "eval_every": 6, "save_every": 7, "dropout": 0.2}
    train(path, tmp_path / "whole", **settings)
    taken = 0

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken == 10

    textgen.train(path, out=tmp_path / "cut", stop=stop, **{**SETTINGS, **settings})
    # Even where the encoded and the shuffled pairs are gone from the cache.
    shutil.rmtree(os.environ["TEXTGEN_CACHE"])
    textgen.train(tmp_path / "cut", resume=True)
    assert outcome(tmp_path / "whole", evaluations_only=True) == outcome(
        tmp_path / "cut", evaluations_only=True
    )
    seen: list[Event] = []
    textgen.train(tmp_path / "cut", resume=True, on_event=seen.append)
    ended = seen[-1]
    assert isinstance(ended, Ended) and ended.reason == "already finished"
    assert ended.written_pairs == 36
    with pytest.raises(RunFolderError, match="was started with hidden_size = 48"):
        textgen.train(path, out=tmp_path / "cut", resume=True, hidden_size=32)


def test_resuming_as_text_is_refused(lines: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.tsv", lines)
    settings = {name: value for name, value in SETTINGS.items() if name != "pairs"}
    textgen.train(path, out=tmp_path / "run", steps=3, **settings)
    with pytest.raises(RunFolderError, match="was started with pairs = False, not True"):
        textgen.train(path, out=tmp_path / "run", resume=True, pairs=True)


def test_the_command_repeats_the_run(lines: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.tsv", lines)
    started = train(path, tmp_path / "run", steps=5)[0]
    assert isinstance(started, Started)
    assert started.command.startswith(f"textgen train {path} ")
    assert " --steps 5 " in started.command and " --pairs" in started.command
    choice = {choice.name: choice for choice in started.choices}
    assert choice["pairs"].value == len(lines)
    assert "36 pairs drawn by their source" in choice["validation"].reason


def test_a_file_to_validate_on(lines: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.tsv", lines[:300])
    other = write(tmp_path / "other.tsv", lines[300:])
    seen = train(path, tmp_path / "run", val=str(other))
    ended = seen[-1]
    assert isinstance(ended, Ended) and ended.written_pairs == len(lines) - 300
    with pytest.raises(CorpusError, match=r"other.tsv line 2 has no TAB"):
        train(
            path,
            tmp_path / "another",
            val=str(write(tmp_path / "other.tsv", ["а\tб", "в"])),
        )


def test_the_report_is_of_the_targets(lines: list[str], tmp_path: Path) -> None:
    """An untrained model charges a uniform guess for each target's character and the end mark."""
    train(write(tmp_path / "pairs.tsv", lines), tmp_path / "run", steps=1, learning_rate=1e-9)
    report = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[0])
    lengths = np.array([len(line) // 2 for line in lines])
    uniform = math.log2(6) * (lengths + 1).sum() / lengths.sum()
    assert report["val_bits_per_char"] == pytest.approx(uniform, rel=0.05)
    assert report["train_bits_per_char"] == pytest.approx(uniform, rel=0.05)


def test_nothing_is_learned_of_the_sources(tmp_path: Path) -> None:
    """They are noise here, whose cost could not fall; the target is always the same."""
    rng = random.Random(0)
    lines = ["".join(rng.choices("бвгд", k=6)) + "\tааа" for _ in range(400)]
    train(write(tmp_path / "pairs.tsv", lines), tmp_path / "run", steps=100)
    report = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert report["train_bits_per_char"] < 0.1
    header = read_layout(tmp_path / "run/resume.safetensors", kind="resume").header
    # No state is zeroed between a source and its target.
    assert header["plan"]["reset_every"] == 0


def test_a_model_of_text_is_trained_further_on_pairs(lines: list[str], tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("абв вба баб " * 100, encoding="utf-8")
    settings = {name: value for name, value in SETTINGS.items() if name != "pairs"}
    textgen.train(text, out=tmp_path / "text", steps=10, **settings)
    path = write(tmp_path / "pairs.tsv", lines)
    own = {"batch_size": 16, "seq_len": 24, "threads": 1}
    textgen.train(path, out=tmp_path / "run", from_=tmp_path / "text", steps=10, pairs=True, **own)
    model = textgen.load(tmp_path / "run")
    assert model.saved.reads_pairs and "\t" in model.vocabulary.symbols
    assert not textgen.load(tmp_path / "text").saved.reads_pairs
    # And the other way, which is said.
    seen: list[Event] = []
    textgen.train(
        text,
        out=tmp_path / "back",
        from_=tmp_path / "run",
        steps=3,
        on_event=seen.append,
        **own,
    )
    assert isinstance(seen[0], Started)
    assert any("for more pairs add pairs=True" in note for note in seen[0].notes)
    assert not textgen.load(tmp_path / "back").saved.reads_pairs


def test_a_model_of_text_writes_no_targets(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("абв вба баб " * 100, encoding="utf-8")
    settings = {name: value for name, value in SETTINGS.items() if name != "pairs"}
    model = textgen.train(text, out=tmp_path / "text", steps=3, **settings).load()
    for write_or_measure in (model.generate_targets, model.evaluate_pairs):
        with pytest.raises(ConfigError, match=r"textgen\.train\(FILE\.tsv, pairs=True\)"):
            write_or_measure(["а"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"documents": "blank"}, "leave documents out"),
        ({"fold": True}, "fold takes away the TAB"),
        ({"history": 3}, "history limits how many tokens the network sees"),
    ],
)
def test_options_that_contradict_pairs(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        textgen.train(tmp_path / "none", pairs=True, **settings)


def test_loss_distance_contradicts_pairs() -> None:
    with pytest.raises(ConfigError, match="leave one of them out"):
        TrainOptions(pairs=True, loss="distance", vectors="word2vec")


def levenshtein(a: str, b: str) -> int:
    """By the recurrence itself."""
    if not a or not b:
        return len(a) + len(b)
    return min(
        levenshtein(a[:-1], b) + 1,
        levenshtein(a, b[:-1]) + 1,
        levenshtein(a[:-1], b[:-1]) + (a[-1] != b[-1]),
    )


@given(a=st.text("аб😀", max_size=5), b=st.text("аб😀", max_size=5))
def test_edit_similarity(a: str, b: str) -> None:
    longer = max(len(a), len(b))
    expected = 1.0 if not longer else 1.0 - levenshtein(a, b) / longer
    assert edit_similarity(a, b) == pytest.approx(expected)


def test_figures() -> None:
    figures = PairsEvaluation(pairs=8, exact=6, similarity=0.9, nats=10.0, target_chars=40)
    assert figures.to_dict() == {
        "exact_match": 0.75,
        "edit_similarity": 0.9,
        "bits_per_target_char": pytest.approx(0.25 / math.log(2)),
        "pairs": 8,
        "exact": 6,
        "target_chars": 40,
    }


def test_a_frozen_embedding_cannot_learn_the_separator(tmp_path: Path) -> None:
    """The model of a text has no TAB; what is to be done is said, not that a line lacks one."""
    text = tmp_path / "text.txt"
    text.write_text("abc cba bca " * 100)
    textgen.train(text, out=tmp_path / "text", steps=2, hidden_size=8, threads=1)
    pairs = write(tmp_path / "pairs.tsv", [f"{a}{b}\t{b}{a}" for a in "abc" for b in "abc"] * 9)
    settings = {"pairs": True, "steps": 2, "threads": 1, "from_": str(tmp_path / "text")}
    with pytest.raises(ConfigError, match=r"no vector of the TAB.*add freeze_embedding=False"):
        textgen.train(pairs, out=tmp_path / "frozen", freeze_embedding=True, **settings)
    textgen.train(pairs, out=tmp_path / "free", freeze_embedding=False, **settings)
