"""Vectors of words from a file, in the formats of word2vec and fastText.

Both begin with a line of two numbers: how many words, and how many numbers for each. In the text
format (`.vec`, `.txt`) a line is a word and its numbers. In word2vec's binary format (`.bin`) an
entry is the word, a space and its numbers as float32. Either may be packed by gzip. The content,
not the name, decides which format it is. Only the rows of the wanted words are kept.
Source: Mikolov et al. 2013, arXiv:1301.3781, and the tool `word2vec` published with it.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import ConfigError, StorageError, named
from textgen.files import os_reason
from textgen.terminal.humanize import plural

Floats = NDArray[np.float32]

#: The most numbers of a vector and bytes of a word.
MOST_NUMBERS, MOST_WORD_BYTES = 8192, 4096
_BUFFER = 1 << 20
_GZIP = b"\x1f\x8b"
#: The first bytes of a fastText model, which is another format.
_FASTTEXT_MODEL = (793712314).to_bytes(4, "little")
_FORMATS = (
    "expected word vectors: a first line COUNT WIDTH, then a word and WIDTH numbers a line "
    "(.vec, .txt), or word2vec's binary format (.bin)"
)


@dataclass(frozen=True, eq=False)
class WordVectors:
    """The vectors that a file has of the wanted words."""

    width: int
    words_in_file: int  # as its first line says
    vectors: Mapping[str, Floats]  # `(width,)` of each word that was found


def read_word_vectors(path: str | Path, wanted: Collection[str]) -> WordVectors:
    """Read the vectors of some words.

    Args:
        path: A file in one of the formats above.
        wanted: The words; if the file has a word twice, the first vector counts.
    Raises:
        ConfigError: The file is in another format, ends early, or has an invalid number.
        StorageError: The file is missing or cannot be read.
    """
    name = str(path)
    keys = {word.encode("utf-8", "surrogatepass"): word for word in wanted}
    try:
        with io.BufferedReader(io.FileIO(path), _BUFFER) as raw:
            if raw.peek(2)[:2] != _GZIP:
                return _read(name, raw, keys)
            with gzip.open(raw, "rb") as packed, io.BufferedReader(packed, _BUFFER) as file:
                return _read(name, file, keys)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ConfigError(f"{name} is damaged or cut off: {error}; download it again") from error
    except OSError as error:
        raise StorageError(f"cannot read the vectors {name}: {os_reason(error)}") from error


def symbol_vectors(path: str | Path, vocabulary: Vocabulary) -> tuple[dict[int, Floats], int]:
    """Return the vectors that a file has of a vocabulary's symbols.

    Args:
        path: As for `read_word_vectors`.
        vocabulary: Of characters or words.
    Returns:
        A vector for each symbol that the file has, and the width of the vectors.
    Raises:
        ConfigError: As `read_word_vectors`; or the file has none of the symbols, or the symbols
            are bytes.
    """
    if vocabulary.level == "byte":
        raise ConfigError(
            f"a file of vectors has words or characters, and at {named('level')} byte the symbols "
            f"are neither; take {named('level')} word, or {named('vectors')} word2vec, which "
            "learns vectors of bytes"
        )
    # A word has no space before it there; it is written as it is, or else in small letters.
    names = {}
    for token, symbol in enumerate(vocabulary.symbols):
        word = symbol.strip() if len(symbol) > 1 else symbol
        if word and not word.isspace():
            names[token] = (word, word.lower())
    file = read_word_vectors(path, {name for known in names.values() for name in known})
    found = {}
    for token, known in names.items():
        vectors = [file.vectors[name] for name in known if name in file.vectors]
        if vectors:
            found[token] = vectors[0]
    if not found:
        hint = "is it of another language?"
        if vocabulary.level == "char":
            level = named("level")
            hint = (
                f"at {level} char the symbols are characters; most files have words: {level} word"
            )
        raise ConfigError(
            f"{path} has vectors of {plural(file.words_in_file, 'word')}, and none of them is "
            f"among the {len(names):,} symbols of this text; {hint}"
        )
    return found, file.width


def _read(name: str, file: io.BufferedReader[Any], keys: Mapping[bytes, str]) -> WordVectors:
    head = file.readline(256)
    if head.startswith(_FASTTEXT_MODEL):
        raise ConfigError(
            f"{name} is a whole fastText model, not a file of vectors; give the .vec file that "
            "lies beside it"
        )
    count, width = _first_line(name, head)
    start = file.peek()
    rows = _text_rows if _is_text(start, width) else _binary_rows
    found: dict[str, Floats] = {}
    for word, vector in rows(name, file, count, width, keys):
        if not np.isfinite(vector).all():
            raise ConfigError(f"{name}: the vector of '{word}' holds a number that is not finite")
        found.setdefault(word, vector)
    return WordVectors(width, count, found)


def _first_line(name: str, head: bytes) -> tuple[int, int]:
    parts = head.split()
    if len(parts) == 2 and all(part.isdigit() for part in parts):
        count, width = map(int, parts)
        if count >= 1 and 1 <= width <= MOST_NUMBERS:
            return count, width
    shown = head[:60].decode("utf-8", "replace").strip()
    raise ConfigError(
        f"{name} begins with {shown!r}; {_FORMATS}. A file without the first line, as GloVe's, "
        "needs one: put the number of its lines and of the numbers in each before it"
    )


def _is_text(start: bytes, width: int) -> bool:
    """Whether what follows the first line is a line of a word and `width` numbers."""
    line = start.partition(b"\n")[0]
    numbers = line.split()[1:][-width:]
    if len(numbers) < width:
        return False
    try:
        line.decode("utf-8")
    except ValueError:
        return False
    return len(_numbers(numbers)) == width


def _numbers(parts: list[bytes]) -> Floats:
    """The numbers that `parts` are; no numbers if one of them is invalid."""
    try:
        with np.errstate(over="ignore"):
            return np.array(parts, dtype=np.bytes_).astype(np.float32)
    except ValueError:
        return np.empty(0, np.float32)


def _text_rows(
    name: str, file: io.BufferedReader[Any], count: int, width: int, keys: Mapping[bytes, str]
) -> Iterator[tuple[str, Floats]]:
    limit = MOST_WORD_BYTES + 64 * width
    for number in range(count):
        line = file.readline(limit)
        if not line.strip():
            raise _ended(name, number, count)
        word = line[: line.find(b" ")] if b" " in line else line
        # fastText writes words with spaces in them, of which none is asked for.
        if word not in keys:
            if not line.endswith(b"\n") and len(line) == limit:
                raise ConfigError(f"{name}: line {number + 2} does not end; {_FORMATS}")
            continue
        parts = line.split()
        if len(parts) > width + 1:
            continue
        vector = _numbers(parts[1:])
        if len(vector) != width:
            raise ConfigError(
                f"{name}: line {number + 2} has {len(parts) - 1} numbers after its word, not the "
                f"{width} of the first line, or one of them is not a number; {_FORMATS}"
            )
        yield keys[word], vector


def _binary_rows(
    name: str, file: io.BufferedReader[Any], count: int, width: int, keys: Mapping[bytes, str]
) -> Iterator[tuple[str, Floats]]:
    for number in range(count):
        word = _until_space(name, file, number, count)
        data = file.read(4 * width)
        if len(data) < 4 * width:
            raise _ended(name, number, count)
        key = word.lstrip(b"\n")  # Some writers end each row with one.
        if key in keys:
            yield keys[key], np.frombuffer(data, "<f4").astype(np.float32)


def _until_space(name: str, file: io.BufferedReader[Any], number: int, count: int) -> bytes:
    word = bytearray()
    while True:
        ahead = file.peek()[:256]
        if not ahead:
            raise _ended(name, number, count)
        place = ahead.find(b" ")
        word += file.read(len(ahead) if place < 0 else place + 1)
        if place >= 0:
            return bytes(word[:-1])
        if len(word) > MOST_WORD_BYTES:
            raise ConfigError(
                f"{name}: word {number + 1} has no end, so this is another format; {_FORMATS}"
            )


def _ended(name: str, number: int, count: int) -> ConfigError:
    return ConfigError(
        f"{name} ends after {number:,} of the {plural(count, 'word')} that its first line "
        "promises; download it again, or correct that number"
    )
