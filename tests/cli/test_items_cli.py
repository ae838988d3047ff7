"""`textgen sample --items`, and `Model.items`: names that are new, different and ranked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import names, poems, textgen_cli

import textgen
from textgen.errors import SamplingError, StorageError


def sample(trained: Any, *words: str | Path, **more: Any) -> Any:
    return textgen_cli(
        *("sample", "-c", trained.folder, *words), TEXTGEN_CACHE=str(trained.cache), **more
    )


@pytest.fixture
def model(named: Any, monkeypatch: pytest.MonkeyPatch) -> textgen.Model:
    monkeypatch.setenv("TEXTGEN_CACHE", str(named.cache))
    return textgen.load(named.folder)


def test_a_hundred_new_names(named: Any) -> None:
    result = sample(named, "--items", "100")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == len(set(lines)) == 100
    assert not set(lines) & set(names())
    longest = max(map(len, names()))
    assert all(1 <= len(line) <= longest for line in lines)
    assert sample(named, "--items", "100").stdout == result.stdout
    assert sample(named, "--items", "100", "--rng", "1").stdout != result.stdout


def test_known_ones_too(named: Any) -> None:
    lines = sample(named, "--items", "50", "--no-new").stdout.splitlines()
    assert len(set(lines)) == 50 and len(set(lines) & set(names())) > 1
    again = sample(named, "--items", "300", "--no-new", "--no-unique").stdout.splitlines()
    assert len(again) == 300 > len(set(again))


def test_ranked(named: Any) -> None:
    result = sample(named, "--items", "20", "--rank")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    costs = [float(cost) for _, cost in rows]
    assert len(rows) == 20 and costs == sorted(costs)
    record = json.loads(sample(named, "--items", "20", "--rank", "--json").stdout)
    texts = record["samples"]
    assert [text["text"] for text in texts] == [name for name, _ in rows]
    assert [f"{text['bits_per_char']:.2f}" for text in texts] == [cost for _, cost in rows]
    assert {text["finish_reason"] for text in texts} == {"end"}
    assert record["items"]["asked"] == record["items"]["found"] == 20
    assert record["items"]["why_fewer"] is None and record["items"]["written"] >= 20


def test_when_there_are_no_more(named: Any) -> None:
    name = names()[0]
    result = sample(named, "--items", "100", "--seed", name[:2], "--length", "3")
    lines = result.stdout.splitlines()
    symbols = {char for other in names() for char in other}
    # Two letters, or one more; short names are none in the training text.
    assert set(lines) == {name[:2], *(name[:2] + char for char in symbols)}
    why = f"{len(lines)} items, not 100: no other text of the model's symbols"
    assert why in result.stderr


def test_every_item_matches_and_has_its_length(named: Any) -> None:
    words = ("--items", "100", "--chars", "3..12", "--match", "[A-F].*[aeiou]", "--without", "k")
    result = sample(named, *words, "--rank", "--json")
    assert result.exit_code == 0, result.stderr
    found = [text["text"] for text in json.loads(result.stdout)["samples"]]
    assert len(found) == len(set(found)) == 100 and not set(found) & set(names())
    assert all(re.fullmatch("[A-F].*[aeiou]", name) for name in found)
    assert all(3 <= len(name) <= 12 and "k" not in name.lower() for name in found)
    assert sample(named, *words, "--rank", "--json").stdout == result.stdout


@pytest.mark.parametrize("words", [(), ("--temperature", "0"), ("--exact",), ("--no-mix",)])
def test_a_pattern_that_is_exhausted(named: Any, words: tuple[str, ...]) -> None:
    result = sample(named, "--items", "100", "--match", "A[abn]", *words)
    assert sorted(result.stdout.splitlines()) == ["Aa", "Ab", "An"]
    assert "3 items, not 100: no other text of the model's symbols has at most" in result.stderr
    assert "characters and keeps to --match\n" in result.stderr
    name = names()[0]
    known = sample(named, "--items", "100", "--match", f"{name}|Ab", *words)
    assert known.stdout.splitlines() == ["Ab"]
    assert "1 item, not 100" in known.stderr and "but for 1 in the training text" in known.stderr
    nothing = sample(named, "--items", "100", "--match", name, *words)
    assert (nothing.stdout, nothing.exit_code) == ("", 0)
    assert "0 items, not 100: no text" in nothing.stderr


def test_a_match_that_cannot_be(named: Any) -> None:
    result = sample(named, "--items", "5", "--match", "1+")
    assert result.exit_code == 2 and "keeps to --match" in result.stderr


def test_from_the_text_itself(named: Any, tmp_path: Path) -> None:
    cold = {"TEXTGEN_CACHE": str(tmp_path)}
    result = textgen_cli("sample", "-c", named.folder, "--items", "5", **cold)
    assert result.exit_code == 2
    assert "the training text is no longer in the cache; give --novelty-corpus" in result.stderr
    assert "or --no-new to write items that stand in it, too" in result.stderr
    words = ("sample", "-c", named.folder, "--items", "60", "--novelty-corpus", named.text)
    given = textgen_cli(*words, **cold)
    assert given.exit_code == 0, given.stderr
    assert not set(given.stdout.splitlines()) & set(names())
    assert "known: 0 of 60 texts" in given.stderr
    free = textgen_cli("sample", "-c", named.folder, "--items", "5", "--no-new", **cold)
    assert free.exit_code == 0 and len(free.stdout.splitlines()) == 5


def test_poems_are_items_too(of_poems: Any) -> None:
    result = sample(of_poems, "--items", "5")
    assert result.exit_code == 0, result.stderr
    found = result.stdout.rstrip("\n").split("\n\n")
    assert len(set(found)) == 5 and not set(found) & set(poems())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rank",), "--rank goes with --items N; give both"),
        (("--new",), "--new goes with --items N; give both"),
        (("--no-unique",), "--no-unique goes with --items N; give both"),
        (("--items", "0"), "--items is 0; it must be at least 1"),
    ],
)
def test_what_does_not_go_together(named: Any, words: tuple[str, ...], message: str) -> None:
    result = sample(named, *words)
    assert result.exit_code == 2 and message in result.stderr, result.stderr


def test_a_model_of_one_text_knows_no_items(trained: Any) -> None:
    result = sample(trained, "--items", "5")
    assert result.exit_code == 2
    assert "was trained on one text and has seen no end of an item" in result.stderr
    assert "textgen train FILE --documents line" in result.stderr


def test_in_python(model: textgen.Model) -> None:
    found = model.items(30, rank=True, temperature=1.0)
    assert len(found) == 30 and not set(found.texts) & set(names())
    assert [item.text for item in found] == found.texts
    assert found[0].bits_per_char <= found[29].bits_per_char
    assert found.texts == model.items(30, rank=True, temperature=1.0).texts
    # What the model makes of it is what it makes of any text with its end.
    ids = found[0].generation.ids
    assert found[0].bits_per_char == pytest.approx(model.bits_per_char(ids), abs=1e-4)
    with pytest.raises(SamplingError):
        model.items(0)
    with pytest.raises(StorageError):
        model.items(3, novelty_corpus="missing.txt", new=True)
