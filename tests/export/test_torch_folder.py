"""Models as folders for torch: they open, compute and write without textgen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.every_kind import model_of
from support.models import random_weights

from textgen.cells import CELLS, Cell, RecurrentProduct, StepInputs, sigmoid
from textgen.cells.cell import Outcome
from textgen.checkpoint import SavedModel
from textgen.errors import BackendError, ConfigError
from textgen.export import exported, torch_folder, write_torch
from textgen.model.config import ModelConfig

#: The plain cells; then another level, tied weights, pairs and a fixed history each.
KINDS = ("lstm", "gru", "rnn", "relu", "peephole", "coupled", "depth-gated", "mlstm")
#: Of levels and other models the seeds: a model of words knows most with the space before them.
LEVELS = {
    **dict.fromkeys(("byte", "word", "folded", "history", "tied", "documents"), "Рыжий кот"),
    "words": " Рыжий кот",
    "words-folded": "кот",
    "pairs": "bdc",
}
#: Runs the scripts of folders, in which no textgen can be imported; one process for all, for torch
#: is slow to load. A line is what one is called with.
WRITE = """
import json, os, runpy, sys
sys.modules["textgen"] = None
sys.path.insert(0, "")
for folder, *words in json.load(sys.stdin):
    os.chdir(folder)
    for name in ("model", "cell", "equations"):
        sys.modules.pop(name, None)
    sys.argv = ["write.py", *words]
    runpy.run_path("write.py", run_name="__main__")
    print(end="\\0", flush=True)
"""


def written(*calls: tuple[str | Path, ...]) -> list[str]:
    """What the scripts of folders print, each called with some words."""
    ran = subprocess.run(
        [sys.executable, "-X", "utf8", "-I", "-c", WRITE],
        input=json.dumps([[str(word) for word in call] for call in calls]).encode(),
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode().split("\0")[:-1]


def two_layers(name: str) -> SavedModel:
    """A model with two residual layers of random weights."""
    saved = model_of(name)
    config = replace(saved.config, num_layers=2, residual=True)
    return replace(saved, config=config, weights=random_weights(config))


@pytest.fixture
def uncompared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compared, which takes a process with torch each time."""
    monkeypatch.setattr(torch_folder, "_logits_of", lambda files, ids, cell: np.float32(0.0))
    monkeypatch.setattr(torch_folder, "compare", lambda expected, found: 0.0)


#: A process with torch each; the likeliest texts below are those of every cell in one process.
@pytest.mark.parametrize(
    "name",
    [name if name == "gru" else pytest.param(name, marks=pytest.mark.slow) for name in KINDS],
)
def test_every_cell_computes_the_same(name: str, tmp_path: Path) -> None:
    made = write_torch(two_layers(name), tmp_path / "folder")
    assert made.steps == 200 and made.difference < 1e-4
    assert set(made.files) == {path.name for path in (tmp_path / "folder").iterdir()}
    assert ("equations.py" in made.files) == (name not in ("lstm", "gru", "rnn", "relu"))


@pytest.mark.slow
@pytest.mark.usefixtures("uncompared")
def test_the_script_writes_at_every_level(tmp_path: Path) -> None:
    calls, seeds = [], []
    for name, seed in LEVELS.items():
        saved = model_of(name)
        write_torch(saved, tmp_path / name)
        calls.append((tmp_path / name, "--seed", seed, "--length", "40", "--rng", "3"))
        folds = saved.normalization.fold
        seeds.append("" if saved.reads_pairs else seed.lower() if folds else seed)
    texts = written(*calls, *calls[:2])
    for name, seed, text in zip(LEVELS, seeds, texts, strict=False):
        assert text.startswith(seed) and len(text) > len(seed) + 1, name
    assert texts[-2:] == texts[:2]


@pytest.mark.slow
@pytest.mark.usefixtures("uncompared")
def test_the_likeliest_text_is_ours(tmp_path: Path) -> None:
    """At a temperature near 0 the script writes what the model writes."""
    calls, expected = [], []
    for name in (*KINDS, "tied", "word", "folded"):
        saved = model_of(name)
        write_torch(saved, tmp_path / name)
        network, vocabulary = saved.network(), saved.vocabulary
        seed = "рыжий" if saved.normalization.fold else "Рыжий"
        state, ids = network.zero_state(), [0, *vocabulary.encode(seed).tolist()]
        for token in ids:
            logits, state = network.step(np.array([token]), state)
        for _ in range(60):
            logits[0, 1] = -np.inf
            ids.append(int(logits[0].argmax()))
            if ids[-1] == 0:
                break
            logits, state = network.step(np.array([ids[-1]]), state)
        expected.append(vocabulary.decode(ids[1:]) + "\n")
        calls.append((tmp_path / name, "--seed", seed, "--length", "60", "--temperature", "1e-4"))
    assert written(*calls) == expected


@pytest.mark.usefixtures("uncompared")
def test_the_files_read_well(tmp_path: Path) -> None:
    """By the linter of this project, but for the order of imports, which differs in a folder."""
    write_torch(model_of("coupled"), tmp_path)
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "ruff", "check", "--config", root / "pyproject.toml"),
            *("--extend-ignore", "I001", "--no-cache", tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    told = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert told["symbols"] == list(model_of("coupled").vocabulary.symbols)


def test_nothing_is_replaced_unasked_and_vectors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("mine")
    with pytest.raises(ConfigError, match="exists; replace it with force"):
        write_torch(model_of("gru"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.py"]
    assert (tmp_path / "model.py").read_text() == "mine"
    with pytest.raises(ConfigError, match="type: textgen export onnx"):
        write_torch(model_of("cosine"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_without_torch_nothing_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_folder, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match="export torch needs torch, to compare; type: pip"):
        write_torch(model_of("gru"), tmp_path / "folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_other_numbers_are_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = torch_folder._torch_names

    def wrong(config: ModelConfig, weights: dict) -> dict:
        made = names(config, weights)
        made["layers.0.bias_hh_l0"] = made["layers.0.bias_hh_l0"] + 0.01
        return made

    monkeypatch.setattr(torch_folder, "_torch_names", wrong)
    with pytest.raises(BackendError, match="computes other numbers than textgen"):
        write_torch(model_of("gru"), tmp_path / "folder")
    assert not list(tmp_path.iterdir())
    expected = np.ones((2, 3), np.float32)
    with pytest.raises(BackendError):
        exported.compare(expected, np.full_like(expected, np.nan))
    assert exported.compare(expected, expected) == 0.0


class ForgettingCell(Cell):
    """A cell of a user: one gate that forgets."""

    name = "forgetting"
    gate_names = ("forget", "candidate")
    state_names = ("h",)
    products = (RecurrentProduct("weight_hh", 1),)

    def equations(self, inputs: StepInputs) -> Outcome:
        (recurrent,) = inputs.products
        half = inputs.pre_BGH.shape[-1] // 2
        f = sigmoid(inputs.xp, inputs.pre_BGH[..., :half] + recurrent(inputs.state["h"]))
        g = inputs.xp.tanh(inputs.pre_BGH[..., half:])
        h = inputs.edit("h", f * inputs.state["h"] + (1.0 - f) * g)
        return {"h": h}, {"forget": f, "candidate": g}


class LeaningCell(ForgettingCell):
    """One that uses what stands beside it."""

    name = "leaning"


@pytest.fixture
def own_cells() -> Iterator[None]:
    CELLS.update(forgetting=ForgettingCell(), leaning=LeaningCell())
    yield
    del CELLS["forgetting"], CELLS["leaning"]


@pytest.mark.slow
@pytest.mark.usefixtures("own_cells")
def test_a_cell_of_ones_own_is_copied_where_it_stands_by_itself(tmp_path: Path) -> None:
    def of_cell(name: str) -> SavedModel:
        saved = model_of("gru")
        config = replace(saved.config, cell=name)
        return replace(saved, config=config, weights=random_weights(config))

    write_torch(of_cell("forgetting"), tmp_path)
    assert "CELL = ForgettingCell()" in (tmp_path / "equations.py").read_text("utf-8")
    with pytest.raises(ConfigError, match="does not stand by itself: NameError: name 'Forgetting"):
        write_torch(of_cell("leaning"), tmp_path, force=True)
