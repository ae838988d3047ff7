"""The documents of many files, wherever their text is cut while it is read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import textgen
from textgen.cleaning.gathered_passages import Gathered, Passages
from textgen.cleaning.near_duplicates import dense, sketch
from textgen.cleaning.placed_text import PlacedText
from textgen.corpus.documents import DOCUMENT_MARK

MARK = DOCUMENT_MARK


def gathered(*files: tuple[str, ...]) -> tuple[list[tuple[str, int, int]], int, bool]:
    """The text, the file and the line of each document of files that come in parts; the rest."""
    with contextlib.closing(Gathered()) as own:
        for number, parts in enumerate(files):
            lines = np.cumsum([1, *(part.count("\n") for part in parts)]).tolist()
            own.add(
                number,
                [
                    PlacedText(part, [0], [line])
                    for part, line in zip(parts, lines, strict=False)
                    if part
                ],
            )
        found = own.documents
        return (
            [
                (own.text(found.start[at], found.size[at]), found.file[at], found.line[at])
                for at in range(len(found))
            ],
            own.most_blanks,
            own.has_lines,
        )


def cuts(text: str) -> Iterator[tuple[str, ...]]:
    """The text in two parts, and in three of which the one between is short."""
    for place in range(len(text) + 1):
        yield text[:place], text[place:]
        yield text[:place], text[place : place + 2], text[place + 2 :]


@pytest.mark.parametrize(
    ("text", "documents", "blanks"),
    [
        (f"{MARK}\n\nHello world", [("Hello world", 3)], 1),
        (f"{MARK}\n \n\nOne.\n\n\n \nTwo.\n", [("One.\n\n\n \nTwo.", 4)], 3),
        (f"{MARK}a\n\n\n{MARK}\n\nb\nc\n\n\n\nd", [("a", 1), ("b\nc\n\n\n\nd", 6)], 3),
        (f"{MARK}One\ntwo\n" + "x\n" * 90 + "\n\ny", [("One\ntwo\n" + "x\n" * 90 + "\n\ny", 1)], 2),
    ],
)
def test_where_a_text_is_cut_does_not_matter(
    text: str, documents: list[tuple[str, int]], blanks: int
) -> None:
    """Blank lines at the beginning, and runs of them across the border of two parts."""
    for parts in cuts(text):
        found, most, has_lines = gathered((f"{MARK}First file.",), parts)
        assert found == [("First file.", 0, 1), *((own, 1, line) for own, line in documents)], parts
        assert most == blanks and has_lines == any("\n" in own for own, _ in documents), parts


def test_files_that_begin_with_blank_lines_are_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("First file.", "utf-8")
    (tmp_path / "b.txt").write_text("\n\nSecond file here.", "utf-8")
    alone = textgen.describe_corpus(tmp_path / "b.txt", out=tmp_path / "alone")
    assert (alone.documents, (tmp_path / "alone").read_text("utf-8")) == (1, "Second file here.\n")
    both = textgen.describe_corpus(tmp_path / "a.txt", tmp_path / "b.txt", out=tmp_path / "both")
    assert [own.documents for own in both.files] == [1, 1]
    assert (tmp_path / "both").read_text("utf-8") == "First file.\nSecond file here.\n"


def test_sketches_come_back_dense_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every block size those of all together."""
    texts = [
        f"{word} is what this passage is about, {number}" for number, word in enumerate("abcde")
    ]
    bounds = np.cumsum([0, *(len(text) for text in texts)]).tolist()
    rows = sketch("".join(texts), bounds)
    for block in (1, 2, 5, 8):
        monkeypatch.setattr("textgen.cleaning.gathered_passages._ROWS", block)
        with contextlib.closing(Passages()) as own:
            own.keep_sketches([0, 2, 3], rows[:3])
            own.keep_sketches([7, 9], rows[3:])
            numbers, found = own.sketches()
        assert numbers.tolist() == [0, 2, 3, 7, 9] and (found == dense(rows)).all()
