"""`inspect windows` shows what `train` reads, and models of words are measured honestly."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import textgen_cli

import textgen
from textgen.corpus.windows import Windows
from textgen.training.plan import Plan

TEXT = (
    "кот спит, пёс ест рыбу. Кот ест, а пёс спит: кот не ест рыбу!\n" * 3
    + "Слон ушёл далеко.\n" * 2
)
#: The words that occur four times or more.
KNOWN = {"кот", "спит", "ест", "пёс", "рыбу"}


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "text.txt"
    path.write_text(TEXT, "utf-8")
    return path


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--level", "word", "--fold"],
        ["--level", "word", "--min-word-count", "4"],
        ["--level", "word", "--min-word-count", "4", "--spell-rare", "--val", "0.3"],
        ["--level", "word", "--documents", "line", "--fold"],
    ],
    ids=" ".join,
)
def test_the_windows_shown_are_those_trained_on(
    text: Path, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = textgen_cli("inspect", "windows", text, *flags, "--history", "3", "--json")
    shown = json.loads(found.stdout)
    trained: list[Windows] = []
    windows_of = Plan.windows

    def spy(plan: Plan, *args: Any, **settings: Any) -> Windows:
        trained.append(windows_of(plan, *args, **settings))
        return trained[-1]

    monkeypatch.setattr(Plan, "windows", spy)
    run = ("train", text, *flags, "--history", "3", "--out", "run", "--steps", "1", "--hidden", "4")
    assert textgen_cli(*run).exit_code == 0
    display = textgen.load("run").vocabulary.display
    windows = trained[-1]
    assert shown["count"] == len(windows) > 3
    for index, pair in enumerate(shown["windows"]):
        inputs, targets = windows[index]
        assert pair == {"input": display(inputs), "target": display(targets)}


def test_an_evaluation_says_what_unknown_words_cost(text: Path) -> None:
    settings = {"level": "word", "fold": True, "min_word_count": 4, "hidden_size": 8, "steps": 5}
    model = textgen.train(text, out="run", **settings).load()
    found = model.evaluate(text)
    words = TEXT.lower().split()
    assert found.words == found.tokens == len(words)
    assert found.unknown_words == sum(word.strip(",.:!") not in KNOWN for word in words) > 0
    record = found.to_dict()
    share = found.unknown_words / len(words)
    assert record["unknown_share"] == pytest.approx(share)
    # Papers count <unk> as a word like others; the code length has the letters, too.
    assert found.bits_per_word_with_unk == pytest.approx(math.log2(found.perplexity))
    letters = len(set("".join(model.vocabulary.symbols)))
    spelling = found.unknown_chars * math.log2(letters) / len(words)
    assert found.bits_per_word == pytest.approx(found.bits_per_word_with_unk + spelling)
    assert found.bits_per_char == pytest.approx(found.bits_per_word * len(words) / found.chars)
    in_windows = model.evaluate(text, window=20).cold
    assert in_windows is not None and in_windows.spelling == pytest.approx(found.spelling)
    spelled = textgen.train(text, out="spelled", spell_rare=True, **settings).load()
    assert spelled.evaluate(text).unknown_words is None


def test_training_says_what_eval_says_of_unknown_words(text: Path, tmp_path: Path) -> None:
    val = tmp_path / "val.txt"
    val.write_text("кот нигде не спит, топор лежит на полу. " * 20, encoding="utf-8")
    settings = {"level": "word", "fold": True, "min_word_count": 4, "hidden_size": 8, "steps": 5}
    result = textgen.train(text, out="run", val=val, **settings)
    ended, found = result.ended, result.load().evaluate(val)
    assert found.unknown_words
    assert ended.unknown_share == pytest.approx(found.unknown_words / found.words)
    assert ended.best_bits_per_word == pytest.approx(found.bits_per_word, rel=1e-3)
    assert ended.best_bits_per_word_with_unk == pytest.approx(
        found.bits_per_word_with_unk, rel=1e-3
    )
    again = textgen.train(text, out="run", val=val, resume=True, **settings).ended
    assert again.best_bits_per_word_with_unk == ended.best_bits_per_word_with_unk
    share = f"{ended.unknown_share:.1%} of the words are unknown"
    shown = textgen_cli("train", "run", "--resume"), textgen_cli("inspect", "checkpoint", "run")
    assert all(share in output.stderr + output.stdout for output in shown)
    spelled = textgen.train(text, out="spelled", val=val, spell_rare=True, **settings).ended
    assert spelled.best_bits_per_word is not None
    assert spelled.best_bits_per_word_with_unk is spelled.unknown_share is None


def told_of(run: str) -> dict[str, str]:
    """The reasons of a run's choices by name."""
    return {choice["name"]: choice["reason"] for choice in textgen.load(run).saved.info["choices"]}


def test_many_words_begin_with_their_frequencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ranks = (1300 * np.random.default_rng(3).random(24_000) ** 4).astype(int)
    letters = str.maketrans("0123456789", "abcdefghij")
    text = " ".join(f"{rank:04d}".translate(letters) for rank in ranks)
    settings = {"level": "word", "fold": True, "hidden_size": 8, "steps": 1, "learning_rate": 1e-6}
    ended = textgen.train(text=text, out="many", **settings).ended
    assert "short vectors" in told_of("many")["start"]
    counts = np.bincount(ranks)
    shares = counts[counts > 0] / len(ranks)
    entropy = -(shares * np.log2(shares)).sum()
    assert ended.best_bits_per_word_with_unk == pytest.approx(entropy, rel=0.02)
    # A tied vector is the output's weight as well, and few words are as characters are.
    textgen.train(text=text, out="tied", tie=True, **settings)
    assert "short vectors" not in told_of("tied")["start"]
    textgen.train(text=text, out="few", max_words=500, **settings)
    assert "start" not in told_of("few")


def test_a_model_of_words_writes_words_of_its_text(text: Path) -> None:
    settings = {"level": "word", "fold": True, "min_word_count": 4, "hidden_size": 8, "steps": 5}
    model = textgen.train(text, out="run", **settings).load()
    written = model.generate("кот", length=500, temperature=2.0).split()
    assert len(written) > 50 and set(written) <= KNOWN
