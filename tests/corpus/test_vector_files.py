"""Files of word vectors: every format that there is, and what is said of those that are none."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from textgen.corpus.vocabulary import Vocabulary
from textgen.corpus.word_vectors import read_word_vectors, symbol_vectors
from textgen.errors import ConfigError, StorageError

WORDS = ["и", "старуха", "Лизавета", "топор", "'", "d'être", "日本", "🙂"]


def keyed(width: int = 5) -> KeyedVectors:
    """What gensim, whose files these are, has in memory."""
    vectors = KeyedVectors(width)
    values = np.random.default_rng(0).normal(size=(len(WORDS), width)).astype(np.float32)
    vectors.add_vectors(WORDS, values)
    return vectors


@pytest.mark.parametrize("name", ["v.vec", "v.bin", "v.txt", "v.vec.gz", "v.bin.gz", "no-suffix"])
def test_every_format_is_read_whatever_the_name(name: str, tmp_path: Path) -> None:
    vectors = keyed()
    path = tmp_path / name
    vectors.save_word2vec_format(str(path), binary="bin" in name)
    found = read_word_vectors(path, [*WORDS, "нет"])
    assert (found.width, found.words_in_file) == (5, len(WORDS))
    assert set(found.vectors) == set(WORDS)
    for word, vector in found.vectors.items():
        np.testing.assert_allclose(vector, vectors[word], rtol=1e-5, err_msg=word)


def test_only_what_is_asked_for_is_kept(tmp_path: Path) -> None:
    """A file of 20 MB, of which two rows are wanted, is read in far less."""
    path = tmp_path / "large.bin"
    row = np.arange(100, dtype=np.float32).tobytes()
    with path.open("wb") as file:
        file.write(b"50000 100\n")
        for number in range(50_000):
            file.write(f"w{number} ".encode() + row + b"\n")
    tracemalloc.start()
    found = read_word_vectors(path, ["w1", "w49999"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(found.vectors) == {"w1", "w49999"}
    np.testing.assert_array_equal(found.vectors["w49999"], np.arange(100))
    assert peak < 4 * 2**20


def test_the_quirks_of_other_writers(tmp_path: Path) -> None:
    """fastText ends lines with a space and has words with spaces in them; a word stands twice."""
    path = tmp_path / "quirks.vec"
    path.write_text("4 2\nкот 1 2 \nкот и пёс 3 4 \nкот 5 6\nпёс 7e-1 8\n", encoding="utf-8")
    found = read_word_vectors(path, ["кот", "пёс", "и"])
    assert {w: v.tolist() for w, v in found.vectors.items()} == {
        "кот": [1.0, 2.0],
        "пёс": [pytest.approx(0.7), 8.0],
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with ''"),
        ("кот 0.1 0.2\n".encode(), "GloVe"),
        (b"2 0\n", "expected word vectors"),
        (b"2 100000\n", "expected word vectors"),
        (b"2 2\na 1 2\n", "ends after 1 of the 2 words"),
        (b"2 2\nb 1 2\na 1 2 3\n" * 2, None),
        (b"2 2\nb 1 2\na 1\n", "line 3 has 1 numbers after its word, not the 2"),
        (b"2 2\nb 1 2\na 1 x\n", "or one of them is not a number"),
        (b"1 2\na 1 nan\n", "not finite"),
        (b"1 2\na 1 1e99\n", "not finite"),
        (b"2 2\n" + b"b" * 9000 + b" 1 2\n", "is no|does not end|has no end"),
        (b"3 4\na " + bytes(16) + b"b " + bytes(7), "ends after 1 of the 3 words"),
        (b"1 4\n" + bytes(20000), "has no end, so this is another format"),
        ((793712314).to_bytes(4, "little") + bytes(50), "a whole fastText model"),
        (gzip.compress(b"2 2\na 1 2\n" * 999, mtime=0)[:40], "damaged or cut off"),
        (b"\x1f\x8bnonsense", "damaged or cut off"),
    ],
)
def test_a_file_that_is_none_says_why(data: bytes, message: str | None, tmp_path: Path) -> None:
    path = tmp_path / "wrong"
    path.write_bytes(data)
    if message is None:
        # More numbers than there should be make another word of it, one with spaces.
        assert "a" not in read_word_vectors(path, ["a"]).vectors
        return
    with pytest.raises(ConfigError, match=message):
        read_word_vectors(path, ["a"])


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no such file"):
        read_word_vectors(tmp_path / "none.vec", ["a"])
    with pytest.raises(StorageError):
        read_word_vectors(tmp_path, ["a"])


def write(path: Path, **rows: str) -> Path:
    lines = "".join(f"{word} {numbers}\n" for word, numbers in rows.items())
    path.write_text(f"{len(rows)} 2\n{lines}", encoding="utf-8")
    return path


def test_words_are_found_without_their_space_and_in_small_letters(tmp_path: Path) -> None:
    path = write(tmp_path / "v.vec", кот="1 1", Кот="2 2", пёс="3 3")
    words = dict.fromkeys([" кот", " Кот", " Пёс", "Кот", " нет"], 1)
    vocabulary = Vocabulary.from_words("кот ", words)
    found, width = symbol_vectors(path, vocabulary)
    assert width == 2
    index = vocabulary.symbol_index()
    assert {token: vector[0] for token, vector in found.items()} == {
        index[" кот"]: 1.0,
        index[" Кот"]: 2.0,
        index["Кот"]: 2.0,
        index[" Пёс"]: 3.0,
    }


def test_characters_have_vectors_too(tmp_path: Path) -> None:
    path = write(tmp_path / "v.vec", а="1 1", б="2 2")
    vocabulary = Vocabulary.from_characters("абв А")
    found, _ = symbol_vectors(path, vocabulary)
    index = vocabulary.symbol_index()
    assert set(found) == {index["а"], index["б"], index["А"]}


def test_a_file_of_another_language_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "v.vec", cat="1 1")
    with pytest.raises(ConfigError, match=r"none of them is among .* another language"):
        symbol_vectors(path, Vocabulary.from_words("кот ", {" кот": 2}))
    with pytest.raises(ConfigError, match="most files have words: level word"):
        symbol_vectors(path, Vocabulary.from_characters("кот"))
    with pytest.raises(ConfigError, match="at level byte"):
        symbol_vectors(path, Vocabulary.utf8())
