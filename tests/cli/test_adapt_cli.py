"""`eval --adapt`, `sample --adapt` and `--save-as`, from the command to the figures."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.measured import measured, refused
from support.small_runs import names, russian_text, textgen_cli
from support.trained import Trained

import textgen
from textgen.adaptation import AdaptationRule
from textgen.api import Model
from textgen.errors import ConfigError, RunFolderError, StorageError
from textgen.native.library import missing_reason
from textgen.sampling import ADAPTATION

pytestmark = pytest.mark.skipif(bool(missing_reason()), reason=missing_reason() or "it is there")

TINY: dict[str, Any] = {"steps": 2, "hidden_size": 8, "batch_size": 4, "seq_len": 16}


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A text with habits of its own, which can be learned, and an unknown character."""
    path = tmp_path / "strange.txt"
    path.write_text("Вот дом. А вот и сад! " * 120 + "%")
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_eval_gives_the_figure_beside_the_network_alone(
    trained: Trained, cache: None, strange: Path
) -> None:
    alone, found = measured(trained, strange), measured(trained, strange, "--adapt")
    assert {name: found[name] for name in alone} == alone
    assert found["adapt_bits_per_char"] < alone["bits_per_char"] - 0.3
    assert found["adapt_rate"] > 0
    assert "adapt_mix_bits_per_char" not in found


def test_with_counts_both_learn(
    trained: Trained, cache: None, strange: Path, tmp_path: Path
) -> None:
    counts = measured(trained, strange, "--mix")
    both = measured(trained, strange, "--mix", "--adapt")
    assert {name: both[name] for name in counts} == counts
    assert (
        both["adapt_bits_per_char"] == measured(trained, strange, "--adapt")["adapt_bits_per_char"]
    )
    # The counts of the second mixture have not read the text before.
    text = tmp_path / "other.txt"
    text.write_text(russian_text(1500, seed=9))
    both = measured(trained, text, "--mix", "--adapt")
    assert 0.85 < both["adapt_mix_bits_per_char"] / both["mix_learning_bits_per_char"] < 1.05
    assert both["adapt_mix_bits_per_char"] < both["adapt_bits_per_char"]


def test_an_unknown_character_pays_its_escape(
    trained: Trained, cache: None, strange: Path, tmp_path: Path
) -> None:
    known = tmp_path / "known.txt"
    known.write_text(strange.read_text()[:-1])
    model = trained.load()
    with_it, without = (model.evaluate(path, adapt=True).adapted for path in (strange, known))
    assert with_it is not None
    assert without is not None
    assert with_it.nats - without.nats > 13.9  # log(1,112,064)
    assert "adapted" in repr(model.evaluate(strange, adapt=True))


def test_a_model_that_gains_nothing_is_measured_as_it_is(
    trained: Trained, cache: None, strange: Path
) -> None:
    model = trained.load()
    rule = AdaptationRule(0.0, 0.0, 64, 16, _scales(model))
    still = Model(_with_rule(model, rule), model.path)
    found = still.evaluate(strange, adapt=True, mix=True)
    assert found.adapted is not None
    assert found.mixed is not None
    assert found.adapted.nats == found.nats
    assert found.adapted.mixed_nats == found.mixed.learning_nats
    same = still.adapt(strange)
    assert same.info["adapted"][0]["rate"] == 0
    assert same.generate(length=30) == still.generate(length=30)


def _scales(model: Model) -> dict[str, Any]:
    import numpy as np

    from textgen.adaptation.adaptation_rule import scale_shapes

    shapes = scale_shapes(model.config)
    return {name: np.full(rows, 0.01, np.float32) for name, rows in shapes.items()}


def _with_rule(model: Model, rule: AdaptationRule) -> Any:
    return replace(model.saved, info={**model.info, ADAPTATION: rule.to_json()})


def test_sample_learns_first_and_leaves_the_file_as_it_is(
    trained: Trained, cache: None, strange: Path
) -> None:
    path = trained.folder / "model.safetensors"
    before = digest(path)
    words = ("sample", "-c", trained.folder, "--length", "60", "--temperature", "0", "--json")
    plain = json.loads(textgen_cli(*words).stdout)
    result = textgen_cli(*words, "--adapt", strange)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert digest(path) == before
    assert "learned from 2,641 characters" in result.stderr
    assert (plain["adapted"], len(found["adapted"])) == ([], 1)
    assert found["adapted"][0]["files"] == [str(strange)]
    assert found["samples"][0]["text"] != plain["samples"][0]["text"]
    twice = json.loads(textgen_cli(*words, "--adapt", strange, "--adapt", trained.text).stdout)
    assert twice["adapted"][0]["files"] == [str(strange), str(trained.text)]


def test_another_typography_is_learned_as_the_model_knows_it(
    trained: Trained, cache: None, strange: Path
) -> None:
    words = ("sample", "-c", trained.folder, "--length", "60", "--json", "--adapt", strange)
    before = json.loads(textgen_cli(*words).stdout)
    strange.write_text(strange.read_text().replace(" ", "\xa0", 5))
    result = textgen_cli(*words)
    assert "read as characters that the model knows: " in result.stderr
    assert "U+00A0 as ' ' 5 times (telling them apart: " in result.stderr
    found = json.loads(result.stdout)
    assert found["samples"] == before["samples"]
    assert found["adapted"][0]["read_as"][" "]["\xa0"] == 5
    assert " " not in before["adapted"][0]["read_as"]


def test_what_it_learned_stays_and_can_be_kept(
    trained: Trained, cache: None, strange: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("sample", "-c", trained.folder, "--adapt", strange, "--length", "40")
    result = textgen_cli(*words, "--save-as", "habits")
    assert result.exit_code == 0, result.stderr
    model, kept = trained.load(), textgen.load("habits")
    assert kept.path == Path("checkpoints/habits/model.safetensors")
    assert textgen_cli("sample", "-c", "habits", "--length", "40").stdout == result.stdout
    habit = strange.read_text()[:400]
    assert kept.evaluate(text=habit).nats < 0.8 * model.evaluate(text=habit).nats
    (record,) = kept.info["adapted"]
    assert record["chars"] == 2641
    assert record["rate"] > 0
    assert kept.adapt(text="Вот и лес. " * 20).info["adapted"][0] == record
    assert len(kept.adapt(text="Вот и лес. " * 20).info["adapted"]) == 2
    taken = refused(*words, "--save-as", "habits")
    assert "already contains a model" in taken
    assert "learned from" not in taken
    with pytest.raises(RunFolderError, match="choose another name"):
        model.save("habits")
    assert "--save-as goes with --adapt" in refused("sample", "--save-as", "other")


def test_the_library_does_the_same(trained: Trained, cache: None, strange: Path) -> None:
    model = trained.load()
    adapted = model.adapt(strange)
    same = model.adapt(text=strange.read_text())
    assert adapted.generate(length=50) == same.generate(length=50)
    assert "adapted" not in model.info
    for name, weight in trained.load().saved.weights.items():
        assert (model.saved.weights[name] == weight).all()
    mixed = adapted.generate("Вот", length=50, mix=True)
    assert mixed != model.generate("Вот", length=50, mix=True)
    with model.steered("0:1=+2"):
        for read in (lambda: model.adapt(strange), lambda: model.evaluate(strange, adapt=True)):
            with pytest.raises(ConfigError, match="without steering"):
                read()


@pytest.mark.parametrize(
    "settings",
    [{"cell": "mlstm"}, {"level": "byte"}, {"level": "word"}, {"documents": "line"}],
    ids=str,
)
def test_every_level_and_documents(tmp_path: Path, settings: dict[str, Any]) -> None:
    path, other = tmp_path / "text.txt", tmp_path / "other.txt"
    path.write_text(russian_text(9000))
    other.write_text(russian_text(2000, seed=3))
    model = textgen.train(path, out=tmp_path / "run", **TINY, **settings).load()
    found = model.evaluate(other, adapt=True)
    assert found.adapted is not None
    assert found.adapted.nats < found.nats


def test_a_run_that_is_long_enough_keeps_how_it_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strange: Path
) -> None:
    """The text is not needed any more."""
    monkeypatch.setattr("textgen.training.sizing.LEAST_ADAPTATION", 1)
    monkeypatch.setattr("textgen.training.sizing.ADAPTATION_SHARE", 1000.0)
    path = tmp_path / "text.txt"
    path.write_text(russian_text(9000))
    textgen.train(path, out=tmp_path / "run", **{**TINY, "steps": 60})
    path.unlink()
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "empty"))
    model = textgen.load(tmp_path / "run")
    assert model.info[ADAPTATION]["fitted_tokens"] == 900
    assert model.info[ADAPTATION]["rate"] > 0
    found = model.evaluate(strange, adapt=True)
    assert found.adapted is not None
    assert found.adapted.nats < found.nats


def test_without_rule_and_text_it_says_so(
    trained: Trained, tmp_path: Path, strange: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of a test is empty, and here the file is gone too."""
    folder = tmp_path / "alone"
    shutil.copytree(trained.folder, folder)
    model = textgen.load(folder)
    model.info["corpus"]["files"][0]["path"] = str(tmp_path / "gone.txt")
    with pytest.raises(StorageError, match=r"does not say how it learns.*gone\.txt"):
        model.adapt(strange)


def test_what_cannot_be_adapted_is_refused(
    trained: Trained, cache: None, strange: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ("eval", strange, "-c", trained.folder, "--adapt")
    for words in (("--window", "9"), ("--streams", "2"), ("--history", "3")):
        assert "--adapt reads the text once" in refused(*run, *words)
    text, table = tmp_path / "text.txt", tmp_path / "pairs.tsv"
    text.write_text(russian_text(3000))
    table.write_text("".join(f"{name}\t{name.upper()}\n" for name in names(60)))
    textgen.train(table, pairs=True, out=tmp_path / "pairs", **TINY)
    sample = ("sample", "--adapt", strange, "-c")
    assert "was trained on pairs" in refused(*sample, tmp_path / "pairs", "--seed", "a")
    sliding = {name: value for name, value in TINY.items() if name != "seq_len"}
    textgen.train(text, history=5, out=tmp_path / "sliding", **sliding)
    assert "train one without --history" in refused(*sample, tmp_path / "sliding")
    assert "add --history 0" in refused("eval", strange, "-c", tmp_path / "sliding", "--adapt")
    words = sorted(set(re.findall(r"\w+", russian_text(3000).lower())))
    vectors = tmp_path / "vectors.vec"
    rows = "".join(f"{word} 0.{place} 0.5\n" for place, word in enumerate(words))
    vectors.write_text(f"{len(words)} 2\n{rows}")
    by_words: dict[str, Any] = {"level": "word", "fold": True, "vectors": str(vectors)}
    textgen.train(text, loss="distance", out=tmp_path / "far", **by_words, **TINY)
    assert "--loss cross-entropy" in refused(*sample, tmp_path / "far")
    assert "--loss cross-entropy" in refused("eval", strange, "-c", tmp_path / "far", "--adapt")
    monkeypatch.setenv("TEXTGEN_PATH", "reference")
    assert "needs the native engine" in refused(*sample, trained.folder)
