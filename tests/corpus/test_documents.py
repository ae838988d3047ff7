"""The ways to cut a text into documents: what is a border, and that chunks make no difference."""

from __future__ import annotations

import itertools
import re
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from textgen.corpus import documents as documents_module
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.documents import (
    DOCUMENT_MARK,
    document_separator,
    documents_in_words,
    mark_documents,
    settle_documents,
)
from textgen.corpus.vocabulary import END_ID
from textgen.errors import ConfigError, CorpusError

GAMES = """[Event "Club 1"]
[White "Ann"]

1. e4 e5 2. Nf3 1-0

[Event "Club 2"]
[White "Bob"]

1. d4 d5 1/2-1/2


[Event "Club 3"]

1. c4 0-1
"""
POEMS = """First line,
second line.

Second stanza.

***

Another poem.

  ***  
***
The third one,
* * *
with stars inside.

***
"""
RECIPES = """River Soup

1 cup water

Stir.


Stone Soup

2 stones

Boil.



Rain Soup

Wait.
"""


def documents_of(text: str, mode: str) -> list[str]:
    return "".join(mark_documents([text], mode)).split(DOCUMENT_MARK)


def cut(text: str, places: list[int]) -> list[str]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


def test_games_begin_at_their_first_line() -> None:
    found = documents_of(GAMES, "start:[Event ")
    assert [game.count("[Event") for game in found] == [1, 1, 1]
    assert found[0] == '[Event "Club 1"]\n[White "Ann"]\n\n1. e4 e5 2. Nf3 1-0'
    assert found[2] == '[Event "Club 3"]\n\n1. c4 0-1'


def test_what_stands_before_the_first_line_is_a_document() -> None:
    found = documents_of(
        "\n\nA preface.\n\nChapter 1\ntext\n\nChapter 22\nmore\n", r"start:Chapter \d"
    )
    assert found == ["A preface.", "Chapter 1\ntext", "Chapter 22\nmore"]
    assert documents_of("\n \nChapter 1\na\nChapter 2", "start:Chapter") == [
        "Chapter 1\na",
        "Chapter 2",
    ]


def test_a_start_counts_at_the_beginning_of_a_line_only() -> None:
    assert len(documents_of("One\nsee One\n One\n", "start:One")) == 1


def test_poems_are_separated_by_a_line_of_stars() -> None:
    assert documents_of(POEMS, "separator:***") == [
        "First line,\nsecond line.\n\nSecond stanza.",
        "Another poem.",
        "The third one,\n* * *\nwith stars inside.",
    ]


def test_recipes_are_separated_by_two_blank_lines() -> None:
    found = documents_of(RECIPES, "blank:2")
    assert [recipe.split("\n")[0] for recipe in found] == ["River Soup", "Stone Soup", "Rain Soup"]
    assert found[0] == "River Soup\n\n1 cup water\n\nStir."
    assert len(documents_of(RECIPES, "blank:3")) == 2
    assert documents_of(RECIPES, r"start:\w+ Soup") == found


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize(
    ("text", "mode"),
    [(GAMES, "start:[Event "), (POEMS, "separator:***"), (RECIPES, "blank:2")],
    ids=["games", "poems", "recipes"],
)
def test_line_ends_as_found(text: str, mode: str, line_end: str) -> None:
    expected = documents_of(text, mode)
    found = documents_of(text.replace("\n", line_end), mode)
    assert [document.replace(line_end, "\n") for document in found] == expected


LINES = st.lists(
    st.sampled_from(
        ["a", "б*", "*", " ", "\t", "\n", "\n", "\r", "\r\n", "\u2003", "\x0b", "#a", "#"]
    ),
    max_size=30,
)


def expected_documents(text: str, mode: str) -> list[str]:
    """The same by plain means, line ends made equal."""
    kind, _, rest = mode.partition(":")
    documents: list[list[str]] = [[]]
    blank_lines = 99
    for line in re.split(r"\r\n|\r|\n", text):
        blank = not line.strip()
        if kind == "separator" and line.strip() == rest:
            documents.append([])
            continue
        if (kind == "start" and not blank and re.match(rest, line)) or (
            kind == "blank" and not blank and blank_lines >= int(rest)
        ):
            documents.append([])
        blank_lines = blank_lines + 1 if blank else 0
        documents[-1].append(line)
    texts = []
    for lines in documents:
        while lines and not lines[0].strip():
            lines.pop(0)
        while lines and not lines[-1].strip():
            lines.pop()
        if lines:
            texts.append("\n".join(lines))
    return texts


@given(
    LINES.map("".join),
    st.lists(st.integers(0, 99), max_size=6),
    st.sampled_from(["separator:*", "start:#", "blank:2", "blank:3", "start:#a"]),
    st.sampled_from([200, 1, 3]),
)
@example("\r\n#a", [], "start:#", 1)
def test_documents_are_those_of_the_whole_text(
    text: str, places: list[int], mode: str, head: int
) -> None:
    """Also where every line counts as long, and comes in pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents_module, "_HEAD", head)
        counted: list[int] = []
        marked = "".join(
            mark_documents(cut(text, places), mode, lambda *told: counted.append(told[0]))
        )
        again: list[int] = []
        assert marked == "".join(mark_documents([text], mode, lambda *told: again.append(told[0])))
        assert sum(counted) == sum(again)
    assert all(marked.split(DOCUMENT_MARK)) or not marked
    if head == 200:
        found = re.sub(r"\r\n|\r", "\n", marked).split(DOCUMENT_MARK)
        # White space at the very end that is no line of its own may stay.
        expected = [document.rstrip() for document in expected_documents(text, mode)]
        assert [document.rstrip() for document in found if document.strip()] == expected


@pytest.mark.parametrize("mode", ["separator:***", "start:x*x*y", "start:#", "blank:2"])
def test_a_line_of_millions_is_read_in_bounded_memory_and_time(mode: str) -> None:
    def text() -> Iterator[str]:
        yield "x"
        for _ in range(300):
            yield "x" * 10_000
        yield "\n***\n#b\n\n\ny"

    tracemalloc.start()
    start = time.perf_counter()
    length = sum(map(len, mark_documents(text(), mode)))
    seconds = time.perf_counter() - start
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length > 2_000_000 and highest < 300_000 and seconds < 10


def test_blank_lines_without_end_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents_module, "_WAITING", 1000)

    def text() -> Iterator[str]:
        yield "a\n"
        for _ in range(100):
            yield "\n" * 1000
        yield "***\n\nb"

    pieces = [*mark_documents(text(), "separator:***")]
    assert max(map(len, pieces)) < 3000
    assert re.fullmatch("a\n+\0b", "".join(pieces))
    assert documents_of("\n" * 5000 + "a\n\n\n***\nb", "separator:***") == ["a", "b"]


@pytest.mark.parametrize(
    ("said", "settled"),
    [
        (None, None),
        ("file", "file"),
        ("FILE", "file"),
        ("blank", "blank"),
        ("blank:1", "blank"),
        ("blank:2", "blank:2"),
        ("line", "line"),
        ("Line", "line"),
        ("***", "separator:***"),
        (" --- ", "separator:---"),
        ("<|endoftext|>", "separator:<|endoftext|>"),
        ("separator: %% ", "separator:%%"),
        ("Separator:END", "separator:END"),
        ("start:[Event ", "start:[Event "),
        ("start:Re\u0301cit", "start:Récit"),
    ],
)
def test_each_way_is_said_in_one_way(said: str | None, settled: str | None) -> None:
    assert settle_documents(said) == settled == settle_documents(settled)
    assert CorpusOptions(documents=said).documents == settled


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("page", r"separator:page, and where their first lines begin so, start:page"),
        ("", "blank, blank:2, line, file"),
        (True, "documents is True; it must be a text"),
        ("blank:0", "from 1 to 100"),
        ("blank:two", "such as blank:2"),
        ("separator:", r"such as separator:\*\*\*"),
        ("start:", "every line begins so"),
        ("start:.*", "every line begins so"),
        ("start:^", "every line begins so"),
    ],
)
def test_what_cuts_nothing_or_everything_is_refused(said: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CorpusOptions(documents=said)


@pytest.mark.parametrize(
    ("mode", "separator"),
    [
        (None, "\n\n"),
        ("line", "\n"),
        ("blank", "\n\n"),
        ("blank:3", "\n\n\n\n"),
        ("separator:***", "\n***\n"),
        ("start:[Event ", "\n\n"),
    ],
)
def test_what_is_written_between_two_is_read_as_two(mode: str | None, separator: str) -> None:
    assert document_separator(mode) == separator
    if mode is not None:
        first = "[Event 1" if mode.startswith("start") else "one"
        text = separator.join([first, first])
        assert documents_of(text, mode) == [first, first]
    assert documents_in_words(mode)


@pytest.mark.parametrize("level", ["char", "byte", "word"])
@pytest.mark.parametrize("fold", [False, True])
def test_every_level(tmp_path: Path, level: str, fold: bool) -> None:
    path = tmp_path / "poems.txt"
    path.write_bytes(("Стих один.\r\n\r\nСтрофа.\r\n * * *\r\nСтих два.\r\n* * *\r\n").encode())
    options = CorpusOptions(level=level, fold=fold, documents="separator:* * *")
    corpus = Corpus.open([path], options)
    assert corpus.documents == 2 and corpus.borders == 2
    ends = np.flatnonzero(corpus.tokens == END_ID)
    assert len(ends) == 1
    found = [corpus.decode(0, int(ends[0])), corpus.decode(int(ends[0]) + 1)]
    expected = ["Стих один.\n\nСтрофа.", "Стих два."]
    assert found == (["стих один строфа", "стих два"] if fold else expected)
    assert Corpus.open([path], options).borders == 2  # from the cache


def test_a_separator_is_composed_like_the_text(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("one\nE\u0301tude\ntwo\n", encoding="utf-8")
    for text in ("E\u0301tude", "Étude"):
        assert Corpus.open([path], CorpusOptions(documents=f"separator:{text}")).documents == 2
    options = CorpusOptions(documents="separator:Étude", nfc=False)
    assert Corpus.open([path], options).documents == 2


def test_lines_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "games.pgn"
    path.write_text(GAMES)
    for mode, message in (
        ("[Event", r"games\.pgn: no line is '\[Event', .* give documents='start:\[Event'"),
        ("start:[event ", r"no line begins with '\[event '.*upper and lower case count"),
    ):
        corpus = Corpus.open([path], CorpusOptions(documents=mode))
        with pytest.raises(CorpusError, match=message):
            corpus.require_borders()
    other = tmp_path / "other.pgn"
    other.write_text("no game at all\n")
    corpus = Corpus.open([other, path], CorpusOptions(documents="start:[Event "))
    corpus.require_borders()
    assert corpus.documents == 4 and corpus.borders == 3
    Corpus.open([path], CorpusOptions(documents="blank")).require_borders()


@pytest.mark.parametrize(
    ("mode", "text", "separator"),
    [
        ("start:>", ">a\nACGT\n>b\nTTGA\n>c\nGG\n", "\n"),
        ("start:>", ">a\nACGT\n\n>b\nTTGA\n\n>c\nGG\n", "\n\n"),
        ("separator:***", "one\n***\ntwo\n***\nthree\n", "\n***\n"),
        ("separator:***", "one\n\n***\n\ntwo\n\n***\n\nthree\n", "\n\n***\n\n"),
        ("line", "one\ntwo\n\nthree\n", "\n"),
        ("blank", "one\n\ntwo\n\nthree\n", "\n\n"),
    ],
)
def test_what_stands_between_documents_is_as_in_the_text(
    mode: str, text: str, separator: str, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    cache = tmp_path / "cache"
    corpus = Corpus.open([path], CorpusOptions(documents=mode), cache=cache)
    again = Corpus.open([path], CorpusOptions(documents=mode), cache=cache)
    assert corpus.separator == again.separator == separator
    assert corpus.summary()["separator"] == separator
