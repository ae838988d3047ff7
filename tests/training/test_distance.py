"""Training by distance and with frozen vectors: every path, resuming, what is stored and told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.learners import make_learner, make_trainer, path_of
from support.models import make_plan, random_weights
from support.small_runs import SMALL, SMALL_OPTIONS, events, outcome, russian_text, textgen_cli

import textgen
from textgen.checkpoint import SavedModel
from textgen.checkpoint.format import read_file, write_file
from textgen.corpus.windows import Batch
from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.model.engine import open_network
from textgen.model.head import DistanceHead, fit_scale
from textgen.training.events import Ended, Event, Report
from textgen.training.folder import RunState
from textgen.training.learner import fit_head_scale, tensor_shapes

CONFIG = ModelConfig(
    vocab_size=12,
    embedding_size=5,
    hidden_size=8,
    dropout=0.3,
    head="euclidean",
    frozen_embedding=True,
)
FROZEN = replace(CONFIG, head="softmax")
PATHS = ("reference", "torch", "native")
on_every_path = pytest.mark.parametrize("kind", PATHS)
of_each_head = pytest.mark.parametrize("head", ["softmax", "euclidean", "cosine"])
#: Long enough to learn something of a small text.
LONGER = {"steps": 150, "eval_every": 50, "learning_rate": 0.02}
WORDS = {**SMALL, "level": "word", "fold": True, "vectors": "word2vec", "embedding_size": 16}


def tokens() -> np.ndarray:
    """Random text of several documents."""
    ids = np.random.default_rng(2).integers(1, 12, 100).astype(np.uint8)
    ids[[20, 21, 60]] = 0
    return ids


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(russian_text(4000), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", PATHS[1:])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@of_each_head
def test_every_path_learns_the_same(head: str, cell: str, kind: str) -> None:
    config = replace(CONFIG, head=head, cell=cell, num_layers=2)
    plan = make_plan(config)
    ours, theirs = (make_trainer(k, plan, tokens()) for k in ("reference", kind))
    for trainer in (ours, theirs):
        for _ in range(12):
            trainer.advance()
    a, b = ours.tensors(), theirs.tensors()
    assert a.keys() == b.keys() == tensor_shapes(plan).keys()
    for name, shape in tensor_shapes(plan).items():
        assert b[name].shape == shape
        if name.startswith(("model.", "state.")):
            np.testing.assert_allclose(b[name], a[name], atol=2e-4, rtol=0, err_msg=name)
    one, other = ours.read_figures(), theirs.read_figures()
    assert other.nats_per_token == pytest.approx(one.nats_per_token, rel=1e-4)
    assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-4)


@on_every_path
@of_each_head
def test_frozen_vectors_neither_learn_nor_decay(head: str, kind: str) -> None:
    plan = make_plan(replace(CONFIG, head=head))
    plan = replace(plan, optimizer=replace(plan.optimizer, weight_decay=0.5))
    before = random_weights(plan.model)
    trainer = make_trainer(kind, plan, tokens())
    for _ in range(6):
        trainer.advance()
    after = trainer.network.arrays()
    np.testing.assert_array_equal(after["embedding.weight"], before["embedding.weight"])
    for name, array in before.items():
        if name not in plan.model.untrained:
            assert (after[name] != array).any(), name
    stored = trainer.tensors()
    assert not [name for name in stored if name.startswith("optimizer.embedding")]
    assert not [name for name in stored if name.startswith("optimizer.head.scale")]
    assert "model.embedding.weight" in stored
    # Without the flag the same run moves them.
    if head == "softmax":
        loose = replace(plan, model=replace(plan.model, frozen_embedding=False))
        other = make_trainer(kind, loose, tokens())
        other.advance()
        assert (other.network.arrays()["embedding.weight"] != before["embedding.weight"]).any()


@on_every_path
@pytest.mark.parametrize("head", ["euclidean", "cosine"])
def test_a_target_that_does_not_count_has_no_share(head: str, kind: str) -> None:
    """The state is read on through it: what follows is learned as if it were given."""
    plan = make_plan(replace(CONFIG, head=head, dropout=0.0), batch_size=2, seq_len=3)
    ids = np.array([[3, 4], [5, 6], [7, 8]])
    targets = np.array([[5, -1], [-1, -1], [9, 10]])
    learner = make_learner(kind, plan)
    learner.update(Batch(ids, targets, np.zeros((3, 2), np.bool_)), None, 0.01)
    loss = learner.take_counters().loss
    network = open_network(plan.model, path_of(kind, plan), random_weights(plan.model))
    outputs, _ = network.outputs(ids, network.zero_state(2))  # type: ignore[attr-defined]
    distances = DistanceHead(plan.model, network.arrays()).distances(outputs.reshape(6, 8))
    expected = np.mean([distances[0, 5], distances[4, 9], distances[5, 10]])
    assert loss == pytest.approx(float(expected), rel=1e-4)
    nothing = make_learner(kind, plan)
    nothing.update(Batch(ids, np.full((3, 2), -1), np.zeros((3, 2), np.bool_)), None, 0.01)
    assert nothing.take_counters()[:3] == (0.0, 0.0, 0.0)


@on_every_path
def test_the_scale_is_fitted_to_the_text(kind: str) -> None:
    """The cost under it is the least, on the very tokens that it is fitted to."""
    plan = make_plan(replace(CONFIG, dropout=0.0))
    weights = random_weights(plan.model)
    weights["head.scale"][:] = 1.0
    network = open_network(plan.model, path_of(kind, plan), weights)
    ids = tokens()
    fit_head_scale(network, ids)
    fitted = float(network.arrays()["head.scale"][0])
    streams = 8
    steps = (len(ids) - 1) // streams
    places = np.arange(streams) * (len(ids) - 1) // streams + np.arange(steps)[:, None]
    inputs, targets = ids[places].astype(np.int64), ids[places + 1].astype(np.int64)

    def cost(scale: float) -> float:
        network.set_scale(scale)  # type: ignore[attr-defined]
        nats, _ = network.nll(inputs, targets, network.zero_state(streams), inputs == 0)
        return float(nats[steps // 2 :].mean())

    assert cost(fitted) <= min(cost(fitted * 1.1), cost(fitted / 1.1))


def run(text: Path, out: Path, **settings: object) -> list[Event]:
    seen: list[Event] = []
    settings = {"steps": 24, "eval_every": 6, "save_every": 7, **WORDS, **settings}
    textgen.train(text, out=out, on_event=seen.append, **settings)
    return seen


@pytest.mark.parametrize(
    "path",
    ["", *(pytest.param(path, marks=pytest.mark.slow) for path in ("torch", "reference"))],
)
@pytest.mark.parametrize(
    "settings",
    [
        {"freeze_embedding": True, "dropout": 0.2},
        {"freeze_embedding": True, "cell": "gru"},
        {"loss": "distance"},
        pytest.param(
            {"loss": "distance", "distance": "cosine", "dropout": 0.2, "num_layers": 2},
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_a_resumed_run_ends_as_one_that_was_never_stopped(
    settings: dict[str, object],
    path: str,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if path:
        monkeypatch.setenv("TEXTGEN_PATH", path)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(text, whole, **settings)
    asked = iter(range(1, 1000))
    run(text, parts, stop=lambda: next(asked) == 10, **settings)
    assert RunState.load(parts / "resume.safetensors").progress.step == 10
    textgen.train(parts, resume=True)
    assert outcome(parts, evaluations_only=True) == outcome(whole, evaluations_only=True)


def test_a_distance_is_told_as_one_and_bits_come_from_evaluations(
    text: Path, tmp_path: Path
) -> None:
    seen = run(text, tmp_path / "run", loss="distance", **LONGER)
    reports = [event for event in seen if isinstance(event, Report)]
    assert all(report.train_bits_per_char is None for report in reports)
    assert all(report.train_distance is not None for report in reports)
    assert reports[-1].train_distance < reports[0].train_distance  # type: ignore[operator]
    assert reports[-1].val_bits_per_char is not None
    (ended,) = [event for event in seen if isinstance(event, Ended)]
    assert ended.best_bits_per_char < ended.uniform_bits_per_char
    assert ended.best_bits_per_word is not None
    plain = [event for event in run(text, tmp_path / "plain") if isinstance(event, Report)]
    assert all(report.train_distance is None for report in plain)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_a_model_of_distances_does_all_that_a_model_does(
    distance: str, text: Path, tmp_path: Path
) -> None:
    run(text, tmp_path / "run", loss="distance", distance=distance)
    model = textgen.load(tmp_path / "run")
    assert model.config.head == distance
    assert model.generate("Старик", length=60, top_k=5) == model.generate(
        "Старик", length=60, top_k=5
    )
    assert model.generate("Старик", length=30, temperature=0.0).startswith("старик")
    assert len(model.generate_many(5, "старик", length=20)) == 5
    assert "computed with NumPy" in model.networks.describe()
    whole = model.evaluate(text)
    assert whole.words == len(text.read_text().split())
    assert whole.bits_per_word == pytest.approx(whole.bits_per_char * whole.chars / whole.words)
    parts = model.evaluate(text, streams=4)
    assert parts.bits_per_char == pytest.approx(whole.bits_per_char, rel=0.05)
    trace = model.trace("Вчера старик купил дом")
    assert trace.values(layer=0, unit=3, quantity="forget-gate").shape == (4,)
    with model.steered("0:3=+2"):
        assert model.generate("старик", length=30)


def test_costs_of_a_text_agree_on_every_path(text: Path, tmp_path: Path) -> None:
    """Trained in one, evaluated in three; traced by the fourth."""
    run(text, tmp_path / "run", loss="distance", precision="fp32")
    model = textgen.load(tmp_path / "run")
    found = []
    for path in ("native", "torch", "reference"):
        with pytest.MonkeyPatch.context() as patch:
            if path != "native":
                patch.setenv("TEXTGEN_PATH", path)
            found.append(model.evaluate(text).nats)
    np.testing.assert_allclose(found, found[0], rtol=1e-4)
    trace = model.trace(text.read_text())
    assert trace.nats is not None
    assert trace.nats.sum() == pytest.approx(found[0], rel=1e-3)


def test_the_scale_that_is_kept_belongs_to_the_weights(text: Path, tmp_path: Path) -> None:
    run(text, tmp_path / "run", loss="distance", **LONGER)
    saved = SavedModel.load(tmp_path / "run/model.safetensors")
    network = open_network(
        saved.config, path_of("reference", make_plan(saved.config)), saved.weights
    )
    ids = saved.vocabulary.encode(saved.normalization.apply(text.read_text()))
    network.set_scale(123.0)  # type: ignore[attr-defined]
    fit_head_scale(network, ids[: int(0.9 * len(ids))])
    again = float(network.arrays()["head.scale"][0])
    assert float(saved.weights["head.scale"][0]) == pytest.approx(again, rel=0.1)


@pytest.mark.parametrize("settings", [{"loss": "distance"}, {"freeze_embedding": True}])
def test_training_further_keeps_head_and_vectors(
    settings: dict[str, object], text: Path, tmp_path: Path
) -> None:
    """Another text is spelled in the parent's symbols: what is frozen learns no new one."""
    run(text, tmp_path / "parent", **settings)
    parent = textgen.load(tmp_path / "parent")
    other = tmp_path / "other.txt"
    other.write_text("Доктор съел щуку и Zander. " * 60, encoding="utf-8")
    result = textgen.train(
        other, out=tmp_path / "child", from_=tmp_path / "parent", steps=4, threads=1
    )
    child = result.load()
    assert child.vocabulary == parent.vocabulary
    assert child.config == replace(parent.config, dropout=child.config.dropout)
    for name, array in parent.saved.weights.items():
        same = bool((child.saved.weights[name] == array).all())
        assert same == (name == "embedding.weight"), name
    for wrong, message in (
        ({"vectors": "word2vec"}, "vectors of its own"),
        ({"loss": "distance", "distance": "cosine"}, "is: (euclidean|softmax)"),
    ):
        with pytest.raises(ConfigError, match=message):
            textgen.train(other, out=tmp_path / "no", from_=tmp_path / "parent", steps=4, **wrong)


def test_a_run_of_an_older_version_goes_on(text: Path, tmp_path: Path) -> None:
    """Its file says nothing of heads, vectors or losses."""
    whole, old = tmp_path / "whole", tmp_path / "old"
    settings = {**SMALL, "steps": 20, "eval_every": 5, "save_every": 5}
    textgen.train(text, out=whole, **settings)
    asked = iter(range(1, 1000))
    textgen.train(text, out=old, stop=lambda: next(asked) == 8, **settings)
    path = old / "resume.safetensors"
    header, tensors = read_file(path, kind="resume")
    for name in ("head", "frozen_embedding"):
        del header["plan"]["model"][name]
    for name in ("vectors", "freeze_embedding", "loss", "distance"):
        del header["record"]["request"][name]
    write_file(path, kind="resume", header=header, tensors=tensors)
    textgen.train(text, resume=True, out=old, **settings)
    assert outcome(old, evaluations_only=True) == outcome(whole, evaluations_only=True)


def test_the_command_line(text: Path, tmp_path: Path) -> None:
    """Train, say it in words, resume only as it was begun, measure, inspect."""
    words = ["--level", "word", "--fold", "--embedding", "word2vec:16", "--loss", "distance"]
    out = tmp_path / "run"
    options = [*SMALL_OPTIONS, *words, "--steps", "20", "--out", out]
    told = textgen_cli("train", text, *options, "--explain")
    assert told.exit_code == 0, told.stderr
    for expected in ("euclidean distance", "word2vec", "bits/word", "distance ", "frozen"):
        assert expected in told.stderr
    assert "bits/word" in textgen_cli("inspect", "checkpoint", out).stdout
    shown = json.loads(textgen_cli("eval", text, "--checkpoint", out, "--json").stdout)
    assert {"bits_per_word", "words", "tokens", "bits_per_char"} <= set(shown)
    assert textgen_cli("train", text, *options, "--resume").exit_code == 0
    for other in (["--distance", "cosine"], ["--embedding", "word2vec:8"], ["--embedding", "16"]):
        refused = textgen_cli("train", out, "--resume", *other)
        assert refused.exit_code in (2, 7), refused.stderr
    json_run = events(textgen_cli("train", text, *options, "--force", "--json"))
    assert json_run[-1]["best_bits_per_word"] > json_run[-1]["best_bits_per_char"]


def test_the_scale_of_a_learned_model_is_no_accident() -> None:
    """Far from the start of 1: a search that did nothing would be seen."""
    rng = np.random.default_rng(0)
    distances = rng.uniform(40.0, 50.0, (50, 9)).astype(np.float32)
    scale = fit_scale(distances, distances.argmin(axis=1))
    assert scale is not None and scale != pytest.approx(1.0, rel=0.1)
