"""`eval --mix` and `sample --mix`, from the command to the figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.measured import measured, refused
from support.small_runs import russian_text, textgen_cli
from support.trained import Trained

import textgen
from textgen.errors import ConfigError, SamplingError, StorageError
from textgen.native.library import missing_reason
from textgen.sampling import counted

pytestmark = pytest.mark.skipif(bool(missing_reason()), reason=missing_reason() or "it is there")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another text of the same kind, with a character that the model has never seen."""
    path = tmp_path / "other.txt"
    path.write_text(russian_text(1500, seed=9) + "%")
    return path


def test_eval_gives_both_figures_beside_the_network_alone(
    trained: Trained, cache: None, other: Path
) -> None:
    alone, found = measured(trained, other), measured(trained, other, "--mix")
    assert {name: found[name] for name in alone} == alone
    assert found["mix_frozen_bits_per_char"] < alone["bits_per_char"] - 0.05
    assert found["mix_learning_bits_per_char"] < found["mix_frozen_bits_per_char"]
    whole = trained.load().info["corpus"]["tokens"]
    assert 0.85 * whole < found["mix_counted_tokens"] < 0.95 * whole
    low = measured(trained, other, "--mix", "--mix-order", "1")
    assert (found["mix_order"] > 2, low["mix_order"]) == (True, 1)
    assert low["mix_frozen_bits_per_char"] > found["mix_frozen_bits_per_char"]


def test_an_unknown_character_pays_its_escape_in_the_mixture_too(
    trained: Trained, cache: None, other: Path, tmp_path: Path
) -> None:
    known = tmp_path / "known.txt"
    known.write_text(other.read_text()[:-1])
    model = trained.load()
    with_it, without = model.evaluate(other, mix=True), model.evaluate(known, mix=True)
    assert with_it.mixed is not None
    assert without.mixed is not None
    assert with_it.mixed.frozen_nats - without.mixed.frozen_nats > 13.9  # log(1,112,064)
    assert with_it.mixed.learning_nats - without.mixed.learning_nats > 13.9
    assert "mixed" in repr(with_it)


def test_documents_are_measured(named: Trained, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("Anbela\nCordana\nElfinor\nGarhola\n")
    found = measured(named, path, "--mix", TEXTGEN_CACHE=str(named.cache))
    assert found["mix_frozen_bits_per_char"] < found["bits_per_char"] + 0.3


def test_sample_tells_what_is_mixed(trained: Trained, cache: None) -> None:
    words = ("sample", "-c", trained.folder, "--length", "60", "--count", "2", "--json")
    alone = textgen_cli(*words, "--no-mix")
    plain = json.loads(alone.stdout)
    assert "mixing" not in alone.stderr
    result = textgen_cli(*words, "--mix", "--mix-order", "3", "--novelty")
    assert "mixing: counts of 7,2" in result.stderr
    assert "after up to 3 tokens" in result.stderr
    record = json.loads(result.stdout)
    assert record["settings"]["mix"] is True
    assert record["mix"]["order"] == 3
    assert record["mix"]["fitted_tokens"] > 700
    assert "mix" not in plain
    for sample, other in zip(record["samples"], plain["samples"], strict=True):
        assert sample["text"] != other["text"]
        assert sample["novelty"]["longest"] > 0


def test_a_longer_context_copies_more(trained: Trained, cache: None) -> None:
    model = trained.load()
    copied = [
        model.novelty(model.generate_many(4, length=400, mix=True, mix_order=order)).copied_share
        for order in (1, 12)
    ]
    assert copied[0] < copied[1]


def test_all_ways_of_writing_mix(trained: Trained, cache: None) -> None:
    model = trained.load()
    text = model.generate("Вчера", length=80, mix=True)
    assert "Вчера" + "".join(s.text for s in model.stream("Вчера", length=80, mix=True)) == text
    assert model.generate_many(1, "Вчера", length=80, mix=True)[0].text == text[5:]
    writer = model.writer(mix=True)
    writer.feed("Вчера")
    assert "".join(symbol.text for symbol in writer.write(80)) == text[5:]
    steered = model.generate("Вчера", length=80, mix=True, steer="0:1=+2")
    assert steered != text
    assert model.mixture() is model.mixture()


@pytest.mark.parametrize("settings", [{"level": "byte"}, {"level": "word"}, {"documents": "line"}])
def test_every_level_and_documents(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Counts make an untrained network better; what they write are tokens of the model."""
    path, other = tmp_path / "text.txt", tmp_path / "other.txt"
    path.write_text(russian_text(9000))
    other.write_text(russian_text(600, seed=3))
    size: dict[str, Any] = {"steps": 2, "hidden_size": 8, "batch_size": 4, "seq_len": 16}
    model = textgen.train(path, out=tmp_path / "run", **size, **settings).load()
    found = model.evaluate(other, mix=True)
    assert found.mixed is not None
    assert found.mixed.learning_nats < 0.8 * found.nats
    assert found.mixed.frozen_nats < 0.8 * found.nats
    texts = model.generate_many(5, length=60, mix=True, keep_going=True)
    alone = model.generate_many(5, length=60, mix=True, keep_going=True, exact=True)
    assert [text.text for text in texts] == [text.text for text in alone]
    assert model.novelty(texts).longest > 3


def test_what_does_not_go_together_is_refused(trained: Trained, cache: None, other: Path) -> None:
    run = ("eval", other, "-c", trained.folder, "--mix")
    for words in (("--window", "9"), ("--streams", "2"), ("--history", "3")):
        assert "--mix reads the text once" in refused(*run, *words)
    assert "--mix-order goes with --mix" in refused(*run[:-1], "--mix-order", "4")
    assert "--mix-order is 0" in refused(*run, "--mix-order", "0")
    model = trained.load()
    with model.steered("0:1=+2"), pytest.raises(ConfigError, match="without steering"):
        model.evaluate(other, mix=True)
    with pytest.raises(SamplingError, match="mix_order goes with mix"):
        model.generate(mix_order=3)
    both = ("sample", "-c", trained.folder, "--no-mix", "--mix-order", "3")
    assert "--mix-order goes with --mix" in refused(*both)


def test_without_the_training_text_nothing_is_mixed(trained: Trained, tmp_path: Path) -> None:
    """The cache of a test is empty, and here the file is gone too."""
    folder = tmp_path / "alone"
    shutil.copytree(trained.folder, folder)
    model = textgen.load(folder)
    model.info["corpus"]["files"][0]["path"] = str(tmp_path / "gone.txt")
    with pytest.raises(StorageError, match=r"no longer in the cache.*gone\.txt"):
        model.generate(mix=True)


def test_a_model_is_mixed_unasked_where_its_text_is_at_hand(trained: Trained, cache: None) -> None:
    words = ("sample", "-c", trained.folder, "--length", "60", "--json")
    usual, asked = textgen_cli(*words), textgen_cli(*words, "--mix")
    assert "tokens; --no-mix writes without them" in usual.stderr
    assert "--no-mix" not in asked.stderr
    record = json.loads(usual.stdout)
    assert record == json.loads(asked.stdout)
    assert record["settings"]["mix"]
    assert record["mix"]["gain_nats_per_token"] > 0
    model = trained.load()
    text = record["samples"][0]["text"]
    assert text == model.generate(length=60, mix=True) != model.generate(length=60)
    alone = textgen_cli("sample", "-c", trained.folder, "--length", "60", "--no-mix")
    assert alone.stdout == model.generate(length=60)
    assert "mixing" not in alone.stderr


def test_when_nothing_is_mixed_unasked(
    trained: Trained, cache: None, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(model: textgen.Model, **how: Any) -> str:
        chosen = model.choose_mix(**how)
        return "" if chosen.value else chosen.reason

    model = trained.load()
    assert reason(model, is_steered=True) == "the text is steered"
    assert reason(model, history=4) == "the network sees a fixed number of tokens"
    assert "learned from another text" in reason(model.adapt(other))
    assert not reason(model)
    words = ("sample", "-c", trained.folder, "--length", "40", "--steer", "0:1=+2")
    steered = textgen_cli(*words)
    assert "mixing: no counts, for the text is steered" in steered.stderr
    assert steered.stdout == model.generate(length=40, steer="0:1=+2")
    for name, value, why in (
        ("MOST_COUNTED", 5000, "its training text has 8,0"),
        ("FIT_TOKENS", 0, "do not help"),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(counted, name, value)
            assert why in reason(trained.load())
    with monkeypatch.context() as changed:
        changed.setenv("TEXTGEN_PATH", "reference")
        assert "the native engine counts" in reason(trained.load())
    assert model.saved.corpus is not None
    model.saved.corpus["files"][0]["path"] = "gone.txt"
    monkeypatch.setenv("TEXTGEN_CACHE", str(other.parent / "empty"))
    assert reason(model) == "its training text is not at hand"
