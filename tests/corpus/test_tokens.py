"""Token files: the same whatever the chunks, for every level; documents; refusals."""

from __future__ import annotations

import hashlib
import itertools
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.corpus import tokens as tokens_module
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.documents import (
    DOCUMENT_MARK,
    join_documents,
    mark_documents,
    normalize_documents,
)
from textgen.corpus.normalization import Normalization
from textgen.corpus.tokens import (
    MIN_CHARS,
    CharacterTable,
    EncodedText,
    write_tokens,
)
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import EmptyCorpusError

LEVELS = ("char", "byte", "word")
#: Letters of one to four bytes of UTF-8, marks and what separates words and documents.
LETTERS = st.sampled_from(["a", "б", "漢", "😀", "\u0301", " ", "'", "\n", DOCUMENT_MARK, "слово "])


def write(
    chunks: Iterable[str], how: CorpusOptions | Vocabulary, path: Path
) -> tuple[EncodedText, np.ndarray[Any, Any]]:
    held = list(chunks)
    path.unlink(missing_ok=True)
    encoded = write_tokens(lambda: held, how, path)
    assert list(path.parent.iterdir()) == [path], "something is left beside the tokens"
    ids = np.fromfile(path, encoded.vocabulary.dtype)
    assert encoded.tokens == ids.size and encoded.sha256 == hashlib.sha256(ids).hexdigest()
    return encoded, ids


def cut(text: str, places: list[int]) -> list[str]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize("level", LEVELS)
@settings(deadline=None)
@given(st.lists(LETTERS, max_size=40).map("".join), st.lists(st.integers(0, 99), max_size=5))
def test_tokens_do_not_depend_on_chunks(
    tmp_path_factory: pytest.TempPathFactory, level: str, text: str, places: list[int]
) -> None:
    text = "ab ba ab ba" + text.strip(DOCUMENT_MARK)
    path = tmp_path_factory.mktemp("tokens") / "t"
    whole, ids = write([text], CorpusOptions(level=level), path)
    pieces, again = write(cut(text, places), CorpusOptions(level=level), path)
    assert (whole, ids.tolist()) == (pieces, again.tolist())
    assert whole.vocabulary.decode(ids) == text.replace(DOCUMENT_MARK, "")
    assert whole.documents == text.count(DOCUMENT_MARK) + 1 == np.count_nonzero(ids == END_ID) + 1
    assert whole.chars == len(text) - text.count(DOCUMENT_MARK)
    assert whole.utf8_bytes == len(text.encode()) - text.count(DOCUMENT_MARK)
    assert whole.unknown_chars == 0
    # Encoding with the vocabulary that was built gives the same again.
    given_vocabulary, third = write([text], whole.vocabulary, path)
    assert third.tolist() == ids.tolist() and given_vocabulary == whole


@pytest.mark.parametrize(
    ("characters", "dtype"),
    [(254, np.uint8), (255, np.uint16), (65_534, np.uint16), (65_535, np.uint32)],
)
@pytest.mark.parametrize("gradually", [True, False])
def test_types_widen_as_characters_are_met(
    tmp_path: Path, characters: int, dtype: Any, gradually: bool
) -> None:
    text = "".join(map(chr, range(0xE000, 0xE000 + characters)))
    size = max(1, len(text) // 700) if gradually else len(text)
    encoded, ids = write(
        [text[i : i + size] for i in range(0, len(text), size)],
        CorpusOptions(level="char"),
        tmp_path / "t",
    )
    assert ids.dtype == dtype
    np.testing.assert_array_equal(ids, np.arange(2, 2 + characters))
    assert encoded.chars == characters and encoded.utf8_bytes == len(text.encode())


@pytest.mark.parametrize("rare", [300, 70_000])
def test_long_texts_in_which_new_characters_come_late(tmp_path: Path, rare: int) -> None:
    # Long enough that final ids, wider than the provisional ones, would overwrite those to come.
    text = "abcdefg\n" * 200_000 + "".join(map(chr, range(0xE000, 0xE000 + rare))) + "xyz" * 9
    encoded, ids = write([text], CorpusOptions(level="char"), tmp_path / "t")
    assert encoded.vocabulary.decode(ids) == text
    few, ids = write([text], CorpusOptions(level="char", min_count=2), tmp_path / "t")
    assert ids.dtype == np.uint8 and few.unknown_chars == rare
    assert few.vocabulary.decode(ids).replace("\ufffd", "") == text[:1_600_000] + "xyz" * 9


def test_slices_of_a_long_text(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    text = "".join(map(chr, rng.integers(32, 1200, 3 * tokens_module.SLICE // 2)))
    encoded, ids = write([text[:1000], text[1000:]], CorpusOptions(level="char"), tmp_path / "t")
    assert ids.dtype == np.uint16 and encoded.vocabulary.decode(ids) == text


def test_rare_characters_are_unknown(tmp_path: Path) -> None:
    encoded, ids = write(["aab😀ba", "ё"], CorpusOptions(level="char", min_count=2), tmp_path / "t")
    assert encoded.vocabulary.symbols == ("", "", "a", "b")
    assert ids.tolist() == [2, 2, 3, UNKNOWN_ID, 3, 2, UNKNOWN_ID]
    assert encoded.unknown_chars == 2 and encoded.chars == 7


def test_min_count_must_leave_something(tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpusError, match="min_count 4 leaves fewer than two"):
        write(["aaaabbb"], CorpusOptions(level="char", min_count=4), tmp_path / "t")


@pytest.mark.parametrize("level", ["char", "word"])
def test_unknown_characters_of_another_text_are_counted(tmp_path: Path, level: str) -> None:
    vocabulary, _ = write(
        ["да да нет "], CorpusOptions(level=level, spell_rare=True), tmp_path / "t"
    )
    encoded, ids = write(["да, не😀т", DOCUMENT_MARK + "q"], vocabulary.vocabulary, tmp_path / "t")
    assert encoded.unknown_chars == 3 == np.count_nonzero(ids == UNKNOWN_ID)
    assert encoded.vocabulary.decode(ids) == "да\ufffd не\ufffdт\ufffd"
    assert encoded.documents == 2


def test_words_by_count_and_number(tmp_path: Path) -> None:
    text = "раз два раз три два раз, раз"
    how = CorpusOptions(level="word", spell_rare=True)
    encoded, ids = write([text], how, tmp_path / "t")
    assert encoded.vocabulary.symbols[-2:] == (" раз", " два")
    assert encoded.vocabulary.pieces(ids)[-4:] == [" два", " раз", ",", " раз"]
    one, _ = write([text], replace(how, max_words=1), tmp_path / "t")
    assert (
        one.vocabulary.symbols[-1] == " раз" and len(one.vocabulary) == len(encoded.vocabulary) - 1
    )
    every, _ = write([text], CorpusOptions(level="word", min_word_count=1), tmp_path / "t")
    assert {"раз", " три"} <= set(every.vocabulary.symbols)


def test_folded_documents_start_like_any_word(tmp_path: Path) -> None:
    how = CorpusOptions(level="word", fold=True, min_word_count=1)
    encoded, ids = write(["это я", DOCUMENT_MARK, "я это"], how, tmp_path / "t")
    assert encoded.vocabulary.display(ids) == ["это", "я", "", "я", "это"]
    assert encoded.chars == 10 and ids[0] == ids[-1] != ids[1]
    assert encoded.vocabulary.decode(ids) == "это яя это"


def test_too_many_words_are_forgotten_the_rarest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "MAX_COUNTED_WORDS", 300)
    words = [f"w{i}" for i in range(1000)]
    chunks = [" ".join(["often common", *words[i : i + 10], ""]) for i in range(0, 1000, 10)]
    how = CorpusOptions(level="word", max_words=50, spell_rare=True)
    encoded, ids = write(chunks, how, tmp_path / "t")
    assert encoded.words_forgotten
    assert {" common", "often"} - set(encoded.vocabulary.symbols) <= {"often"}
    assert " often" in encoded.vocabulary.symbols
    assert encoded.vocabulary.decode(ids) == "".join(chunks)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing is left"),
        ("ab", f"2 characters.*at least {MIN_CHARS}"),
        ("я" * 1000, "one symbol, 'я', 1,000 times"),
        (DOCUMENT_MARK.join("яяяяя"), "one symbol, 'я', 5 times"),
    ],
)
def test_nothing_to_learn_from(tmp_path: Path, level: str, text: str, message: str) -> None:
    with pytest.raises(EmptyCorpusError, match=message):
        write([text], CorpusOptions(level=level), tmp_path / "t")
    assert not list(tmp_path.glob("*.provisional"))


def test_the_shortest_text(tmp_path: Path) -> None:
    encoded, ids = write(["abab"], CorpusOptions(level="char"), tmp_path / "t")
    assert encoded.tokens == MIN_CHARS and ids.tolist() == [2, 3, 2, 3]
    with pytest.raises(EmptyCorpusError, match="has 1 token at level word"):
        write(["abab"], CorpusOptions(level="word", min_word_count=1), tmp_path / "u")


def test_evaluation_takes_a_single_character(tmp_path: Path) -> None:
    for vocabulary in (Vocabulary.from_characters("ab"), Vocabulary.utf8()):
        encoded, ids = write(["a"], vocabulary, tmp_path / "t")
        assert encoded.chars == 1 and vocabulary.decode(ids) == "a"
    with pytest.raises(EmptyCorpusError, match="nothing is left"):
        write([""], vocabulary, tmp_path / "t")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    block = "съешь ещё этих мягких булок 😀\n" * 4000

    def peak(level: str, blocks: int) -> int:
        def text() -> Iterator[str]:
            for _ in range(blocks):
                yield block

        write_tokens(
            text, CorpusOptions(level=level), tmp_path / "t"
        )  # tables made once are not counted
        (tmp_path / "t").unlink()
        tracemalloc.start()
        write_tokens(text, CorpusOptions(level=level), tmp_path / "t")
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        (tmp_path / "t").unlink()
        return highest

    for level in LEVELS:
        # What a block takes, once; six more blocks are 700,000 characters.
        assert peak(level, 8) < 1.2 * peak(level, 2), level


def test_table_of_characters_counts_when_asked() -> None:
    table = CharacterTable(counting=True)
    assert table.look_up("abca").tolist() == [1, 2, 3, 1]
    assert table.look_up("cё😀").tolist() == [3, 4, 5]
    assert table.frequent(2) == ["a", "c"] and table.frequent(1) == ["a", "b", "c", "ё", "😀"]
    assert table.utf8_bytes == len("abcacё😀".encode())


LINES = st.lists(st.sampled_from(["a", "б", " ", "\t", "\n", "\r", "\r\n", "\u2003"]), max_size=30)


@given(
    LINES.map("".join), st.lists(st.integers(0, 99), max_size=6), st.sampled_from(["line", "blank"])
)
def test_documents_are_those_of_the_whole_text(text: str, places: list[int], mode: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    documents: list[list[str]] = [[]]
    for line in lines:
        blank = not line.strip()
        if blank or mode == "line":
            documents.append([])
        if not blank:
            documents[-1].append(line)
    expected = ["\n".join(document) for document in documents if document]
    marked = "".join(mark_documents(cut(text, places), mode))
    found = marked.replace("\r\n", "\n").replace("\r", "\n").split(DOCUMENT_MARK)
    # White space at the very end that is no line of its own may stay.
    assert [document.rstrip() for document in found if document.strip()] == [
        document.rstrip() for document in expected
    ]
    assert all(found) or not marked
    assert marked == "".join(mark_documents([text], mode))


def test_documents_of_a_text() -> None:
    text = "\n  \nодин\n один\n\n\n два \n"
    assert "".join(mark_documents([text], "blank")).split("\0") == ["один\n один", " два "]
    assert "".join(mark_documents([text], "line")).split("\0") == ["один", " один", " два "]


def test_a_million_blank_lines_are_not_held() -> None:
    def text() -> Iterator[str]:
        yield "a"
        for _ in range(1000):
            yield "\n" * 1000
        yield "b"

    tracemalloc.start()
    assert "".join(mark_documents(text(), "blank")) == "a\0b"
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert highest < 200_000  # a chunk and its copies, not the million


def test_empty_texts_are_no_documents() -> None:
    assert "".join(join_documents([[], ["a", "", "b"], [""], ["c"]])) == "ab\0c"


def test_folding_follows_the_cut_into_documents() -> None:
    chunks = ["Раз, д", "ва\0—\0 три-че", "тыре\0"]
    folded = normalize_documents(chunks, Normalization(fold=True))
    assert "".join(folded) == "раз два\0три четыре"
