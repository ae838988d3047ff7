"""Whatever an option is, a number that is not finite reaches no file, and the run says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import SMALL, russian_text, textgen_cli

import textgen
from textgen.checkpoint import SavedModel
from textgen.errors import ConfigError, TrainingDivergedError
from textgen.training.folder import RunState
from textgen.training.learner import NativeLearner
from textgen.training.resume import parse_more

#: The ends of the range of each option that an update computes with.
EXTREMES: dict[str, tuple[float, ...]] = {
    "learning_rate": (1e-300, 1e6, 1e30, 1e300),
    "weight_decay": (1e10, 1e30, 1e300),
    "clip_norm": (1e-300, 1e-45, 1e300),
    "dropout": (0.9999999,),
    "recurrent_dropout": (0.9999999,),
}
EACH = [(name, value) for name, values in EXTREMES.items() for value in values]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(russian_text(2000), encoding="utf-8")
    return path


def is_sound(folder: Path) -> bool:
    """Whether the state and the model of a run can be read: what is not finite cannot."""
    RunState.load(folder / "resume.safetensors")
    SavedModel.load(folder / "model.safetensors")
    return len(textgen.load(folder).generate(length=3)) == 3


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        *((*each, "") for each in EACH),
        ("weight_decay", 1e30, "torch"),
        ("clip_norm", 1e300, "torch"),
    ],
)
def test_no_number_that_is_not_finite_reaches_a_file(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float, path: str
) -> None:
    if path:
        monkeypatch.setenv("TEXTGEN_PATH", path)
    settings: dict[str, Any] = {**SMALL, "hidden_size": 8, "steps": 8, "save_every": 1}
    try:
        textgen.train(text, out=tmp_path / "run", **{**settings, name: value})
    except TrainingDivergedError as error:
        assert name in ("learning_rate", "weight_decay")
        assert f"smaller {name} (it was {value:g}" in str(error)
    assert is_sound(tmp_path / "run")


def test_the_exit_code_says_that_it_diverged(text: Path, tmp_path: Path) -> None:
    words = ["train", text, "--out", tmp_path / "run", "--hidden", "8", "--steps", "8", "--quiet"]
    result = textgen_cli(*words, "--threads", "1", "--weight-decay", "1e30")
    assert result.exit_code == 5, result.stderr
    assert is_sound(tmp_path / "run")
    # It can be gone on with, to the same end.
    assert textgen_cli("train", tmp_path / "run", "--resume", "--quiet").exit_code == 5
    assert is_sound(tmp_path / "run")


@pytest.mark.parametrize("where", ["weights", "moments"])
def test_a_good_state_is_never_replaced_by_one_that_is_not_finite(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    usual = NativeLearner.update

    def update(learner: NativeLearner, *given: Any) -> bool:
        taken = usual(learner, *given)
        if learner._optimizer.steps == 7:
            flat = learner.network.parameters
            (flat if where == "weights" else learner._optimizer.exp_avg)[-1] = np.inf
        return taken

    monkeypatch.setattr(NativeLearner, "update", update)
    monkeypatch.setattr("textgen.training.speed.measure_step", lambda *_, **__: 0.001)
    settings: dict[str, Any] = {**SMALL, "steps": 12, "save_every": 2, "eval_every": 4}
    with pytest.raises(TrainingDivergedError, match="too large to go on with; the best model"):
        textgen.train(text, out=tmp_path / "run", **settings)
    state = RunState.load(tmp_path / "run" / "resume.safetensors")
    assert state.progress.step == 6 and not state.progress.finished
    assert SavedModel.load(tmp_path / "run" / "model.safetensors").info["metrics"]["step"] == 4


@pytest.mark.parametrize(
    "settings", [{"steps": 10**13}, {"epochs": 1e300}, {"epochs": 1e9}, {"budget": 1e300}], ids=repr
)
def test_a_run_without_end_is_refused(
    text: Path, tmp_path: Path, settings: dict[str, float]
) -> None:
    if settings == {"epochs": 1e9}:
        settings = {**settings, "batch_size": 1, "seq_len": 1}
    given: dict[str, Any] = {"hidden_size": 4, "threads": 1, **settings}
    with pytest.raises(ConfigError, match=r"at most 10{9,12}\b|at most 1,000,000,000,000"):
        textgen.train(text, out=tmp_path / "run", **given)


@pytest.mark.parametrize("more", ["9" * 400 + "epochs", "10000000000000steps"])
def test_nor_is_one_trained_longer_without_end(more: str) -> None:
    with pytest.raises(ConfigError, match="is too long"):
        parse_more(more)
