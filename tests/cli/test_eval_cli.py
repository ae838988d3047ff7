"""`textgen eval`: the figures, and that `inspect` agrees with them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import russian_text, textgen_cli

FIGURES = {
    "nats_per_char",
    "bits_per_char",
    "bits_per_byte",
    "perplexity",
    "chars",
    "unknown_chars",
}

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "page.txt"
    path.write_text(russian_text(700, seed=11), encoding="utf-8")
    return path


def evaluate(*words: str | Path, **more: Any) -> dict[str, Any]:
    result = textgen_cli("eval", *words, "--threads", "1", "--json", **more)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


def test_keys_and_their_relations(text: Path) -> None:
    figures = evaluate(text)
    assert set(figures) == FIGURES | {"notes"} and figures["notes"] == []
    content = text.read_text(encoding="utf-8")
    assert figures["chars"] == len(content)
    assert figures["unknown_chars"] == 0
    nats = figures["nats_per_char"]
    assert figures["bits_per_char"] == pytest.approx(nats / math.log(2))
    assert figures["perplexity"] == pytest.approx(math.exp(nats))
    size = len(content.encode())
    assert figures["bits_per_byte"] == pytest.approx(figures["bits_per_char"] * 700 / size)


def test_cold_windows(text: Path) -> None:
    figures = evaluate(text, "--window", "20")
    cold = figures.pop("cold")
    assert set(figures) == FIGURES | {"notes"} and figures["notes"] == []
    assert set(cold) == {"cold_window"} | {"cold_" + name for name in FIGURES}
    assert cold["cold_window"] == 20
    # The first character is context only.
    assert cold["cold_chars"] == 699
    assert cold["cold_bits_per_char"] > figures["bits_per_char"]
    # A window as long as the text is the whole pass but for its first character.
    whole = evaluate(text, "--window", "10000")["cold"]
    assert whole["cold_bits_per_char"] == pytest.approx(figures["bits_per_char"], rel=0.02)


def test_streams_side_by_side_cost_nearly_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import textgen.evaluation.prediction as module

    asked = []
    by_streams = module.nll_in_streams

    def noted(*arguments: Any, **more: Any) -> Any:
        asked.append(more["streams"])
        return by_streams(*arguments, **more)

    monkeypatch.setattr(module, "nll_in_streams", noted)
    path = tmp_path / "book.txt"
    path.write_text(russian_text(9000, seed=11), encoding="utf-8")
    whole, parts = evaluate(path), evaluate(path, "--streams", "8")
    assert parts["chars"] == whole["chars"] == 9000
    # Seven of eight parts begin with a state that 256 characters have made, not the whole text.
    assert parts["bits_per_char"] == pytest.approx(whole["bits_per_char"], abs=0.01)
    assert evaluate(path, "--streams", "1") == whole
    # This small model forgets within 256 characters, so the figures alone do not tell.
    assert asked == [8]
    for words, said in (
        (("--streams", "0"), "--streams is 0"),
        (("--streams", "2", "--history", "3"), "--streams carries its state on"),
        (("--limit", "9"), "--limit goes with --history, or with pairs; --history N sees"),
    ):
        refused = textgen_cli("eval", path, *words)
        assert refused.exit_code == 2 and said in refused.stderr


@pytest.mark.parametrize("foreign", ["", "漢字 и ещё 字\n"])
def test_surprise_of_inspect_is_the_cost(text: Path, foreign: str) -> None:
    text.write_text(text.read_text(encoding="utf-8") + foreign, encoding="utf-8")
    figures = evaluate(text)
    result = textgen_cli("inspect", "--file", text, "--show", "surprise", "--json")
    seen = json.loads(result.stdout)
    nats = figures["nats_per_char"] * figures["chars"]
    assert sum(seen["rows"][0]["values"]) * math.log(2) == pytest.approx(nats, rel=1e-4)
    assert seen["bits"] * math.log(2) == pytest.approx(nats, rel=1e-4)
    assert seen["chars"] == figures["chars"]
    assert seen["unknown_chars"] == figures["unknown_chars"] == (3 if foreign else 0)


def test_unknown_characters_are_charged(text: Path) -> None:
    plain = evaluate(text)
    content = text.read_text(encoding="utf-8")
    text.write_text(content + "漢", encoding="utf-8")
    charged = evaluate(text)
    assert charged["unknown_chars"] == 1
    assert charged["chars"] == plain["chars"] + 1
    total = [f["bits_per_char"] * f["chars"] for f in (plain, charged)]
    # The choice of one among 1,112,064 code points, on top of the unknown symbol's own cost.
    assert total[1] - total[0] > math.log2(1_112_064)


def test_another_typography_is_one_line(text: Path) -> None:
    plain = evaluate(text)
    content = text.read_text(encoding="utf-8")
    text.write_text(content.replace(" ", "\xa0", 9), encoding="utf-8")
    found = evaluate(text)
    spaces = content.count(" ")
    assert found["read_as"] == {" ": {" ": spaces - 9, "\xa0": 9}}
    assert found["unknown_chars"] == 0
    told = found["read_as_bits_per_char"]
    assert found["bits_per_char"] == pytest.approx(plain["bits_per_char"] + told, rel=1e-6)
    line = f"U+00A0 as ' ' 9 times (telling them apart: {told:.4f} bits/char)"
    assert found["notes"] == [f"read as characters that the model knows: {line}"]
    shown = textgen_cli("eval", text, "--threads", "1")
    assert shown.stderr.count("\n") == 1 and line in shown.stderr
    assert "read as bits per char" in shown.stdout


def test_several_texts_and_stdin(text: Path, tmp_path: Path) -> None:
    alone = evaluate(text)
    assert evaluate("-", input=text.read_bytes()) == alone
    copy = tmp_path / "copy.txt"
    copy.write_bytes(text.read_bytes())
    assert evaluate(text, copy)["chars"] == 2 * alone["chars"]
    named_twice = evaluate(text, text)  # is read once, and that is told
    assert "named twice" in str(named_twice.pop("notes"))
    assert named_twice == {name: value for name, value in alone.items() if name != "notes"}
    other = tmp_path / "old.txt"
    other.write_bytes(russian_text(2000, seed=12).encode("cp1251"))
    assert evaluate(other, "--encoding", "cp1251")["unknown_chars"] == 0
    assert evaluate(text, "--documents", "line")["chars"] < alone["chars"]


def test_table(text: Path) -> None:
    result = textgen_cli("eval", text, "--window", "50", "--threads", "1")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert f"{evaluate(text)['bits_per_char']:.4f}" in result.stdout
    assert "\x1b" not in result.stdout


def test_errors(tmp_path: Path, text: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    assert textgen_cli("eval", empty).exit_code == 3
    assert textgen_cli("eval", tmp_path / "none.txt").exit_code == 6
    assert textgen_cli("eval").exit_code == 2
    assert textgen_cli("eval", text, "--device", "abacus").exit_code == 2
    assert textgen_cli("eval", text, "--threads", "0").exit_code == 2
    for window in ("0", "-5"):
        refused = textgen_cli("eval", text, "--window", window)
        assert refused.exit_code == 2
        assert "--window" in refused.stderr
    assert textgen_cli("eval", text, "-c", text).exit_code == 4


@pytest.mark.parametrize("content", ["а", "я\n"])
@pytest.mark.parametrize("window", [[], ["--window", "3"]])
def test_shortest_texts(tmp_path: Path, content: str, window: list[str]) -> None:
    path = tmp_path / "short.txt"
    path.write_text(content, encoding="utf-8")
    figures = evaluate(path, *window)
    assert figures["chars"] == len(content)
    assert math.isfinite(figures["nats_per_char"])


def test_line_of_the_text_that_has_only_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "blank.txt"
    path.write_text("\n\n\n", encoding="utf-8")
    assert evaluate(path)["chars"] == 3
    assert textgen_cli("eval", path, "--documents", "blank").exit_code == 3


def test_documents_are_those_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of lines is measured on lines unless told otherwise."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(russian_text(2000), encoding="utf-8")
    words = ["--hidden", "16", "--steps", "4", "--documents", "line", "--out", "lines"]
    assert textgen_cli("train", "text.txt", *words).exit_code == 0

    def bits(*more: str) -> float:
        result = textgen_cli("eval", "text.txt", "-c", "lines", "--json", *more)
        return float(json.loads(result.stdout)["bits_per_char"])

    assert bits() == bits("--documents", "line")
    assert bits() != bits("--documents", "file")


def test_documents_between_lines_of_stars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text without such a line is one document, unless the line was asked for."""
    monkeypatch.chdir(tmp_path)
    poems = "\n***\n".join(russian_text(200, seed=seed) for seed in range(12))
    Path("poems.txt").write_text(poems, encoding="utf-8")
    Path("one.txt").write_text(russian_text(300, seed=50), encoding="utf-8")
    words = ["--hidden", "16", "--steps", "4", "--documents", "***", "--out", "poems"]
    assert textgen_cli("train", "poems.txt", *words).exit_code == 0

    def chars(name: str, *more: str) -> int:
        result = textgen_cli("eval", name, "-c", "poems", "--json", *more)
        assert result.exit_code == 0, result.stderr
        return int(json.loads(result.stdout)["chars"])

    assert chars("poems.txt") == chars("poems.txt", "--documents", "separator:***")
    assert chars("poems.txt") < chars("poems.txt", "--documents", "file")
    # What stood around the separators is gone, and so is the line end at the end.
    assert chars("one.txt") == 299
    asked = textgen_cli("eval", "one.txt", "-c", "poems", "--documents", "***")
    assert asked.exit_code == 3 and "no line is '***'" in asked.stderr


def test_a_damaged_text(text: Path) -> None:
    whole = text.read_bytes()
    place = whole.index(b" ")
    text.write_bytes(whole[:place] + b"\xff" + whole[place:])
    refused = textgen_cli("eval", text, "--threads", "1")
    assert refused.exit_code != 0 and "--encoding-errors replace" in refused.stderr
    figures = evaluate(text, "--encoding-errors", "replace")
    assert figures["unknown_chars"] == 1 and figures["chars"] == 701
    assert f"in 1 place at byte {place:,}" in figures["notes"][0]
    shown = textgen_cli("eval", text, "--threads", "1", "--encoding-errors", "replace")
    assert f"note: {text} has bytes that stand for no character" in shown.stderr


def test_a_model_in_the_place_of_a_text(text: Path) -> None:
    assert textgen_cli("train", text, "--steps", "2", "--hidden", "16", "--out", "m").exit_code == 0
    result = textgen_cli("eval", "m")
    assert result.exit_code == 2
    assert "textgen eval corpus.txt --checkpoint m" in result.stderr
