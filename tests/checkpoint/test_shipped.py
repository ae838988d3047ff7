"""The models that come with textgen: they are there, they write, and their cards say what is so."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import ROOT

import textgen
from textgen.checkpoint import (
    SHIPPED,
    SavedModel,
    list_runs,
    locate_model,
    read_layout,
    shipped_at,
)
from textgen.checkpoint.shipped import ShippedModel, shipped_for
from textgen.errors import CheckpointCorruptError, RunFolderError
from textgen.steering import Calibration

#: What each writes after a beginning where it always takes the likeliest symbol, and its
#: bits per character of a sentence: as the version that first brought it along did. Every later
#: version reads the same files.
WRITES = {
    "dostoevsky": ("старуха ", "и по крайней мере в самом деле подозревала в себе"),
    "shakespeare": ("ROMEO:\n", "I will not stay to the prince of the state,"),
}
SENTENCES = {
    "dostoevsky": ("Он вышел на улицу и долго смотрел на старый дом.", 1.5502),
    "shakespeare": ("The king is gone, and all his men are here.", 2.1363),
}

each = pytest.mark.parametrize("shipped", SHIPPED, ids=lambda model: model.name)


def path_of(shipped: ShippedModel) -> Path:
    assert shipped.path is not None
    return shipped.path


@each
def test_its_file_is_small_and_tells_no_path(shipped: ShippedModel) -> None:
    path = path_of(shipped)
    assert path.stat().st_size < 10_000_000
    layout = read_layout(path, kind="model")
    assert {tensor.dtype for tensor in layout.tensors.values()} == {"float16"}
    info = layout.header["info"]
    # A path from the root of the machine that trained it, and what its cache calls the text.
    assert not re.search(r"(?<!\w)[/~]\w|[A-Z]:\\\\", json.dumps(info, ensure_ascii=False))
    assert "keys" not in info["corpus"]
    assert "/" not in info["command"]


@each
def test_it_writes_and_measures_as_it_did(shipped: ShippedModel) -> None:
    model = textgen.load(shipped.name)
    beginning, text = WRITES[shipped.name]
    assert model.generate(beginning, length=len(text), temperature=0) == beginning + text
    sentence, bits = SENTENCES[shipped.name]
    # It is measured in 32 bits, which CPUs add up in their own order.
    assert model.evaluate(text=sentence).bits_per_char == pytest.approx(bits, abs=1e-3)


@each
def test_its_neurons_can_be_looked_at_and_held(shipped: ShippedModel) -> None:
    model = textgen.load(shipped.name)
    assert Calibration.load(path_of(shipped), model.digest) is not None
    assert model.calibration.source == "the training text"
    sentence, _ = SENTENCES[shipped.name]
    assert len(model.view(sentence, top=2).rows) == 2
    beginning, _ = WRITES[shipped.name]
    held = model.steering("0:3.h=+3")
    assert model.generate(beginning, length=20, steer=held) != model.generate(beginning, length=20)


@each
def test_its_card_says_what_is_so(shipped: ShippedModel) -> None:
    path = path_of(shipped)
    card = (path.parent / "README.md").read_text("utf-8")
    header = SavedModel.load_header(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert f"{header.config.num_parameters():,}" in card
    assert f"{header.config.num_layers} x {header.config.hidden_size}" in card
    assert header.info["command"] in card
    assert f"{header.bits_per_char:.3f}" in card
    for file in header.info["corpus"]["files"]:
        assert Path(file["path"]).name in card
    for word in ("licence", "novelty", "cannot"):
        assert word in card.lower()


def test_the_letters_of_a_text_choose() -> None:
    dostoevsky, shakespeare = map(path_of, SHIPPED)
    for text in ("", "старуха", "«Ah!» — сказал он", "1, 2, 3"):
        assert shipped_for(text) == dostoevsky
    assert shipped_for() == dostoevsky
    for text in ("ROMEO:", "naïve"):
        assert shipped_for(text) == shakespeare


def test_a_model_of_ones_own_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dostoevsky, shakespeare = map(path_of, SHIPPED)
    assert locate_model() == dostoevsky
    assert locate_model(text="Romeo") == shakespeare
    assert locate_model("shakespeare") == shakespeare
    for time, name in enumerate(("mine", "shakespeare")):
        own = Path("checkpoints", name, "model.safetensors")
        own.parent.mkdir(parents=True)
        own.write_bytes(b"")
        os.utime(own, (time, time))  # Two files of one moment have no order.
        assert locate_model(text="Romeo") == own
    assert locate_model("shakespeare") == own
    assert locate_model("dostoevsky") == dostoevsky
    Path("dostoevsky").mkdir()  # of texts, say
    assert locate_model("dostoevsky") == dostoevsky


def test_in_a_clone_they_are_no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert not {model.name for model in SHIPPED} & {run.name for run in list_runs()}
    for shipped in SHIPPED:
        assert shipped_at(Path("checkpoints", shipped.name)) == shipped
        assert shipped_at(Path("checkpoints", shipped.name, "model.safetensors")) == shipped
    assert shipped_at(Path("checkpoints")) is None


def test_none_is_replaced_by_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for force in (False, True):
        with pytest.raises(RunFolderError, match="comes with textgen; use another folder"):
            textgen.train(
                text="abc " * 100,
                out="checkpoints/shakespeare",
                force=force,
                steps=1,
                hidden_size=4,
            )


def test_one_is_trained_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("Thou art my friend, and I am thine.\n" * 40, "utf-8")
    settings = {"steps": 4, "learning_rate": 1e-4, "batch_size": 2, "seq_len": 16}
    result = textgen.train("mine.txt", from_="shakespeare", **settings)
    assert result.load().saved.info["parent"] == "shakespeare"
    fresh = textgen.train("mine.txt", hidden_size=32, out="fresh", **settings)
    assert result.load().evaluate("mine.txt").bits_per_char < 3
    assert fresh.load().evaluate("mine.txt").bits_per_char > 4


def test_half_precision_keeps_eleven_bits(tmp_path: Path) -> None:
    saved = textgen.load("shakespeare").saved
    rng = np.random.default_rng(1)
    weights = {
        name: rng.normal(0, 0.1, array.shape).astype(np.float32)
        for name, array in saved.weights.items()
    }
    path = tmp_path / "model.safetensors"
    made = SavedModel(**{**vars(saved), "weights": weights})
    made.save(path, half=True)
    loaded = SavedModel.load(path)
    for name, array in loaded.weights.items():
        assert array.dtype == np.float32
        # Half of the last of eleven bits; below 6e-5 numbers are further apart.
        np.testing.assert_allclose(array, weights[name], rtol=2**-11, atol=2**-25)
    whole = tmp_path / "whole.safetensors"
    made.save(whole)
    assert path.stat().st_size < 0.6 * whole.stat().st_size


def test_a_weight_beyond_half_precision_is_refused(tmp_path: Path) -> None:
    saved = textgen.load("shakespeare").saved
    weights = {name: array.copy() for name, array in saved.weights.items()}
    weights["head.bias"][0] = 1e5
    with pytest.raises(CheckpointCorruptError, match=r"'head.bias' holds numbers that are not fin"):
        SavedModel(**{**vars(saved), "weights": weights}).save(tmp_path / "m", half=True)
    assert not list(tmp_path.glob("m*"))
