"""What of a text goes together: each pair of options is written, or refused by the one list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.form_checks import keeps
from support.small_runs import textgen_cli

import textgen
from textgen.apart import APART, FORMS, Pair

#: Each form with a value; one text keeps to all of them.
FORM: dict[str, tuple[str, object]] = {
    "match": ("--match", "[а-г\\n]{5,14}"),
    "match_line": ("--match-line", "[а-г]+"),
    "chars": ("--chars", "3..7"),
    "lines": ("--lines", 2),
    "line_chars": ("--line-chars", "2..6"),
    "acrostic": ("--acrostic", "ва"),
    "rhyme": ("--rhyme", "АА"),
    "syllables": ("--syllables", "1,2"),
    "without": ("--without", "г"),
    "only_words": ("--words", "words.txt"),
    "include": ("--include", "аба"),
}
OTHERS: dict[str, tuple[str, ...]] = {
    "stop": ("--stop", "гг"),
    "until_sentence": ("--until-sentence",),
    "keep_going": ("--keep-going",),
    "no_repeat": ("--no-repeat", "9"),
    "beam": ("--beam", "2"),
    "rng": ("--rng", "3"),
    "temperature": ("--temperature", "0.7"),
    "top_p": ("--top-p", "0.9"),
    "mirostat": ("--mirostat", "2"),
    "label": ("--label", "одни"),
    "steer": ("--steer", "0:3=+1"),
    "count": ("--count", "2"),
    "items": ("--items", "2", "--no-new"),
    "interactive": ("--interactive",),
    "prompt_loop": ("--prompt-loop",),
    "json": ("--json",),
    "novelty": ("--novelty-corpus", "texts"),
}
#: Of those that a search does not go with, some are tried: all are in one tuple.
UNTRIED = {"top_k", "min_p", "typical", "word_starts", "bias", "repetition_penalty"}
#: They need a terminal, or numbers; or are beginnings, which `--prompt-loop` refuses.
ELSEWHERE = {"live", "numbers", "seed", "seed_file"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a small model of labelled items that have lines."""
    path = tmp_path_factory.mktemp("apart")
    texts = ["аб вба\nва ба", "ба\nвба", "вба ба\nаба", "гба\nвба аб."]
    for name in ("одни", "другие"):
        (path / "texts" / name).mkdir(parents=True)
        (path / "texts" / name / "all.txt").write_text("\n\n".join(texts * 4), "utf-8")
    (path / "words.txt").write_text("ба вба аба ва гба", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setenv("TEXTGEN_CACHE", str(path / "cache"))
        textgen.train(
            path / "texts",
            label_from="folder",
            documents="blank",
            out=path / "model",
            steps=3,
            hidden_size=8,
            threads=1,
        )
        yield path


def words_of(name: str) -> tuple[str, ...]:
    if name in FORM:
        flag, value = FORM[name]
        return (flag, str(value))
    return OTHERS[name]


def texts_in(output: str, names: set[str]) -> list[str]:
    """The texts that a command wrote."""
    if "prompt_loop" in names:
        return [json.loads(line)["text"] for line in output.splitlines()]
    if "json" in names:
        return [sample["text"] for sample in json.loads(output)["samples"]]
    return output.rstrip("\n").split("\n\n")


def tried(folder: Path, *names: str) -> None:
    """A pair is written and keeps to its forms, or is refused as the list says."""
    kinds = {"form" if name in FORMS else name for name in names}
    why = [pair for pair in APART if {pair.one, pair.other} <= kinds]
    lines = "\n" if "interactive" in names else "{}\n"
    words = [word for name in names for word in words_of(name)]
    result = textgen_cli(
        "sample", "--checkpoint", folder / "model", "--no-mix", "--length", "40", *words,
        input=lines,
    )  # fmt: skip
    if why:
        assert result.exit_code == 2, words
        assert "does not go with" in (result.stdout if "json" in names else result.stderr)
        assert why[0].why.split(";")[0] in result.stderr + result.stdout
        return
    assert result.exit_code == 0, (words, result.stderr)
    asked = {name: FORM[name][1] for name in names if name in FORM}
    asked |= {name: (value,) for name, value in asked.items() if name == "include"}
    for text in texts_in(result.stdout, set(names)) if asked else []:
        assert keeps(text, **asked), (words, text)
        assert text == "вба\nаба"


def test_the_list_is_of_what_is_tried() -> None:
    named = {name for pair in APART for name in (pair.one, pair.other)}
    assert named == {"form", *(set(OTHERS) - {"top_p", "label"}), *UNTRIED, *ELSEWHERE} | {"top_p"}
    assert set(FORM) == set(FORMS)
    two = [frozenset((pair.one, pair.other)) for pair in APART]
    assert len(set(two)) == len(two)


@pytest.mark.parametrize("other", [None, *OTHERS])
def test_all_forms_at_once_with_each_other_option(folder: Path, other: str | None) -> None:
    """One text keeps to all of them, so that each form meets each other one."""
    tried(folder, *FORM, *([] if other is None else [other]))


@pytest.mark.parametrize("pair", APART, ids=lambda pair: f"{pair.one} {pair.other}")
def test_what_does_not_go_together_is_refused(folder: Path, pair: Pair) -> None:
    known = {*OTHERS, "form"}
    if not {pair.one, pair.other} <= known:
        return
    for form in FORM if pair.one == "form" else [pair.one]:
        tried(folder, form, pair.other)
