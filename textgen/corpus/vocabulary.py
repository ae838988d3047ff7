"""The symbols a model reads and writes, and the ids that stand for them.

Two ids are marks without a text of their own: the end of a document and the unknown token, a
character or, where rare words are not spelled, a word. This module knows no files.
"""

from __future__ import annotations

import codecs
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.corpus_options import LEVELS
from textgen.corpus.words import junctions, split_words
from textgen.errors import ConfigError, named

#: Ids of tokens, in the smallest unsigned type that holds the vocabulary.
Ids = NDArray[np.unsignedinteger[Any]]

#: The end-of-document mark; it stands between documents and is never printed.
END_ID = 0
#: The id of what is not in the vocabulary: a character, or a word that is not spelled.
UNKNOWN_ID = 1
#: The text of an unknown token.
REPLACEMENT = "\ufffd"
#: An unknown word as people see it.
UNKNOWN_WORD = "<unk>"

#: The byte values that occur in UTF-8: all but C0, C1 and F5 to FF.
UTF8_BYTES = bytes(value for value in range(256) if value not in (0xC0, 0xC1) and value < 0xF5)

_FIRST_ID = 2


@dataclass(frozen=True)
class Vocabulary:
    """An immutable list of symbols; the position of a symbol is its id.

    `from_characters`, `utf8` and `from_words` make one.

    Args:
        level: `"char"` (a token is a Unicode code point), `"byte"` (a byte of UTF-8) or
            `"word"` (a word with the space before it, or a single character).
        symbols: The text of each id. The first two, the marks, are empty; at byte level the symbol
            `chr(b)` is the byte b.
        folded: Whether the text is bare words separated by single spaces and the
            level is `"word"`: then the first word of a document gets a space too, so that a word
            has one id in every place; decoding removes the space again.
        spelled: At level `"word"`, whether a word that is no symbol is spelled in characters.
            Otherwise it is one unknown token.
    Raises:
        ValueError: The symbols are not a vocabulary of this level.
    """

    level: str
    symbols: tuple[str, ...]
    folded: bool = False
    spelled: bool = True

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"the level is {self.level!r}; it must be one of {', '.join(LEVELS)}")
        if self.folded and self.level != "word":
            raise ValueError(f"a vocabulary of level {self.level!r} cannot be folded, only 'word'")
        if not self.spelled and self.level != "word":
            raise ValueError(f"level {self.level!r} has no unknown words, only 'word' has")
        if self.symbols[:_FIRST_ID] != ("", ""):
            raise ValueError("the first two symbols must be the marks, which are empty")
        symbols = self.symbols[_FIRST_ID:]
        if len(set(symbols)) != len(symbols):
            raise ValueError("a symbol stands in the vocabulary twice")
        if self.level == "byte" and symbols != tuple(map(chr, UTF8_BYTES)):
            raise ValueError("the symbols of byte level are not the byte values of UTF-8")
        if self.level != "byte" and not {"", "\0"}.isdisjoint(symbols):
            raise ValueError("a symbol is empty or NUL; only the two marks are, and no text has it")
        if self.level == "char":
            long = next((symbol for symbol in symbols if len(symbol) != 1), None)
            if long is not None:
                raise ValueError(f"symbol {long!r} is not one character")
        try:
            "".join(symbols).encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError("a symbol is a lone surrogate, which no text contains") from error

    @classmethod
    def from_characters(cls, characters: Iterable[str]) -> Vocabulary:
        """Make a vocabulary of characters, in the order of their code points."""
        return cls("char", ("", "", *sorted(set(characters))))

    @classmethod
    def utf8(cls) -> Vocabulary:
        """Make the vocabulary of bytes: always the same 243 values, so an id fits into one byte."""
        return cls("byte", ("", "", *map(chr, UTF8_BYTES)))

    @classmethod
    def from_words(
        cls,
        characters: Iterable[str],
        words: Mapping[str, int],
        *,
        folded: bool = False,
        spelled: bool = True,
    ) -> Vocabulary:
        """Make a vocabulary of words: first the characters by code point, then words by count.

        Args:
            characters: Everything between words; if `spelled`, they spell rare words too.
            words: Words, with the space before them, and their counts. Those of one character are
                left out; words with equal counts are in alphabetic order.
            folded, spelled: As in the class.
        """
        ranked = sorted(
            (word for word in words if len(word) > 1), key=lambda word: (-words[word], word)
        )
        return cls("word", ("", "", *sorted(set(characters)), *ranked), folded, spelled)

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The smallest unsigned type that holds every id."""
        return cast("np.dtype[np.unsignedinteger[Any]]", np.min_scalar_type(len(self) - 1))

    def symbol_index(self) -> Mapping[str, int]:
        """Return the id of every symbol except the marks."""
        return self._index

    def encode(self, text: str) -> Ids:
        """Return the ids of `text`, `(N,)`; every unknown character gives one `UNKNOWN_ID`."""
        if self.level == "byte":
            return np.frombuffer(_utf8(text).translate(self._byte_to_id), np.uint8)
        if self.level == "char":
            return self._character_ids(text)
        return self.encode_words(split_words(f" {text}" if self.folded and text else text))

    def encode_words(self, words: Sequence[str], *, end: str | None = None) -> Ids:
        """Return the ids of a text that is cut into words; unknown words as `spelled` says.

        Args:
            words: As `textgen.corpus.words` cuts them.
            end: A token that stands for the end of a document; None means there is none.
        """
        ids = np.fromiter(map(self._index.get, words, repeat(-1)), np.int64, len(words))
        missing = np.flatnonzero(ids < 0)
        if end is not None and missing.size:
            ids[[place for place in missing.tolist() if words[place] == end]] = END_ID
            missing = np.flatnonzero(ids < 0)
        if not self.spelled:
            ids[missing] = UNKNOWN_ID
            missing = missing[:0]
        if not missing.size:
            return ids.astype(self.dtype)
        spelled = [words[place] for place in missing.tolist()]
        lengths = np.ones(len(words), np.int64)
        lengths[missing] = [len(word) for word in spelled]
        ids = np.repeat(ids, lengths)
        ids[ids < 0] = self._character_ids("".join(spelled))
        return ids.astype(self.dtype)

    def decode(
        self, ids: Iterable[int] | NDArray[np.integer[Any]], *, at_start: bool = True, end: str = ""
    ) -> str:
        """Return the text of `ids`; end marks give `end`, unknown tokens U+FFFD.

        At byte level, bytes that are not UTF-8 give U+FFFD too.

        Args:
            ids: Ids, `(N,)`.
            at_start: Whether a document starts at the first id; False if they continue a text, as
                after a seed. It matters for folded words only, where the first has no space.
            end: The text of an end mark.
        """
        if self.level == "byte" or self.folded or end:
            return "".join(self.pieces(ids, at_start=at_start, end=end))
        return "".join(map(self._texts.__getitem__, _as_ints(ids)))

    def decoder(self, *, at_start: bool = True, end: str = "") -> Decoder:
        """Return a decoder of one id after the other; `at_start` and `end` as for `decode`."""
        return Decoder(self, at_start=at_start, end=end)

    def pieces(
        self, ids: Iterable[int] | NDArray[np.integer[Any]], *, at_start: bool = True, end: str = ""
    ) -> list[str]:
        """Return the text of each id; joined they are `decode(ids)`.

        At byte level the text of a character of several bytes is at the last one, and "" at the
        others; a character cut off by the end of `ids` is U+FFFD at the last id.
        """
        decoder = self.decoder(at_start=at_start, end=end)
        pieces = [decoder.feed(token) for token in _as_ints(ids)]
        if pieces:
            pieces[-1] += decoder.flush()
        return pieces

    def display(self, ids: Iterable[int] | NDArray[np.integer[Any]]) -> list[str]:
        """Return the text of each id as people see it: a folded word without its space.

        An unknown word is `<unk>`.
        """
        ids = np.fromiter(_as_ints(ids), np.int64)
        pieces = self.pieces(ids, at_start=False)
        if not self.spelled:
            for place in np.flatnonzero(ids == UNKNOWN_ID).tolist():
                pieces[place] = UNKNOWN_WORD
        if not self.folded:
            return pieces
        return [piece[1:] if len(piece) > 1 and piece[0] == " " else piece for piece in pieces]

    def extend(self, other: Vocabulary) -> tuple[Vocabulary, NDArray[np.int64]]:
        """Return this vocabulary with the new symbols of another one at its end.

        Returns:
            The larger vocabulary, in which this one's symbols keep their ids, and the new ids of
            the symbols of `other`, `(len(other),)`.
        Raises:
            ConfigError: The two cut texts in different ways.
        """
        if (self.level, self.folded, self.spelled) != (other.level, other.folded, other.spelled):
            same = f"{named('level')} and {named('fold')}"
            if self.spelled != other.spelled:
                same += f" and {named('spell_rare')}"
            raise ConfigError(
                f"the vocabularies differ in kind: {self._kind()} and {other._kind()}; "
                f"read the new text with the same {same} as the first"
            )
        new = tuple(symbol for symbol in other.symbols[_FIRST_ID:] if symbol not in self._index)
        result = replace(self, symbols=self.symbols + new) if new else self
        ids = np.fromiter(
            (result._index[symbol] for symbol in other.symbols[_FIRST_ID:]),
            np.int64,
            len(other) - _FIRST_ID,
        )
        return result, np.concatenate([np.array([END_ID, UNKNOWN_ID], np.int64), ids])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as plain data; the tables for looking symbols up are made again."""
        return type(self).from_dict, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint's header."""
        data: dict[str, Any] = {"level": self.level}
        if self.level != "byte":
            data["symbols"] = list(self.symbols[_FIRST_ID:])
        if self.level == "word":
            data["folded"] = self.folded
        if not self.spelled:
            data["spelled"] = False
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Vocabulary:
        """Make a vocabulary from plain data, every part of which is checked.

        Raises:
            ValueError: The data is not a vocabulary; the message says why.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"a vocabulary is {type(data).__name__}, not a mapping")
        level: Any = data.get("level")
        folded = data.get("folded", False)
        spelled = data.get("spelled", True)  # Older files do not say: they spell.
        symbols = data.get("symbols", [])
        expected = {"level"} if level == "byte" else {"level", "symbols"}
        if level == "word":
            expected |= {"folded"} | ({"spelled"} & set(data))
        if level in LEVELS and set(data) != expected:
            raise ValueError(
                f"a vocabulary of level {level!r} has the keys {', '.join(map(str, data))}; "
                f"expected {', '.join(sorted(expected))}"
            )
        if not isinstance(symbols, list) or not all(isinstance(s, str) for s in symbols):
            raise ValueError("the symbols are not a list of strings")
        if not isinstance(folded, bool):
            raise ValueError(f"folded is {folded!r}; it must be true or false")
        if not isinstance(spelled, bool):
            raise ValueError(f"spelled is {spelled!r}; it must be true or false")
        return cls.utf8() if level == "byte" else cls(level, ("", "", *symbols), folded, spelled)

    def symbol_lengths(self) -> NDArray[np.int64]:
        """Return how many characters each id adds to a text, `(len(self),)`.

        At byte level a character counts at its first byte. The first folded word of a document adds
        one character less, for it has no space.
        """
        if self.level == "byte":
            lengths = [int(not 0x80 <= ord(symbol) < 0xC0) for symbol in self.symbols[_FIRST_ID:]]
        else:
            lengths = [len(symbol) for symbol in self.symbols[_FIRST_ID:]]
        return np.array([0, len(self.unknown_text), *lengths], np.int64)

    @property
    def unknown_text(self) -> str:
        """What an unknown token is decoded to: as a folded word it has a space in front."""
        return f" {REPLACEMENT}" if self.folded and not self.spelled else REPLACEMENT

    @cached_property
    def junctions(self) -> bytes:
        """Which tokens may follow each other (`textgen.corpus.words.junctions`); b"": all may."""
        return junctions(self.symbols, spelled=self.spelled) if self.level == "word" else b""

    def _kind(self) -> str:
        folded = " (folded)" if self.folded else ""
        return self.level + folded + ("" if self.spelled else ", rare words unknown")

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return ("", self.unknown_text, *self.symbols[_FIRST_ID:])

    @cached_property
    def _index(self) -> Mapping[str, int]:
        symbols = self.symbols[_FIRST_ID:]
        return MappingProxyType({symbol: i for i, symbol in enumerate(symbols, _FIRST_ID)})

    @cached_property
    def _characters(self) -> tuple[NDArray[np.uint32], Ids]:
        """Code points in order, and the id of each."""
        single = sorted((ord(s), i) for s, i in self._index.items() if len(s) == 1)
        points = np.array([point for point, _ in single], np.uint32)
        return points, np.array([i for _, i in single], self.dtype)

    def _character_ids(self, text: str) -> Ids:
        points, ids = self._characters
        wanted = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        if not points.size:
            return np.full(wanted.shape, UNKNOWN_ID, self.dtype)
        place = np.minimum(np.searchsorted(points, wanted), points.size - 1)
        return np.where(points[place] == wanted, ids[place], self.dtype.type(UNKNOWN_ID))

    @cached_property
    def _byte_to_id(self) -> bytes:
        table = bytearray([UNKNOWN_ID]) * 256
        for i, value in enumerate(UTF8_BYTES, _FIRST_ID):
            table[value] = i
        return bytes(table)


class Decoder:
    """Turns ids into text one at a time; joined, the texts are `Vocabulary.decode`."""

    def __init__(self, vocabulary: Vocabulary, *, at_start: bool = True, end: str = "") -> None:
        self._symbols = vocabulary.symbols
        self._folded = vocabulary.folded
        self._unknown = vocabulary.unknown_text
        self._at_start = at_start
        self._end = end
        self._bytes = (
            codecs.getincrementaldecoder("utf-8")("replace") if vocabulary.level == "byte" else None
        )

    def feed(self, token: int) -> str:
        """Return the text that `token` completes; "" within a character."""
        if token == END_ID:
            self._at_start = True
            return self.flush() + self._end
        symbol = self._unknown if token == UNKNOWN_ID else self._symbols[token]
        if token == UNKNOWN_ID and self._bytes is not None:
            return self.flush() + symbol
        if self._bytes is not None:
            return self._bytes.decode(symbol.encode("latin-1"))
        if self._folded and self._at_start:
            symbol = symbol.removeprefix(" ")
        self._at_start = False
        return symbol

    def fork(self) -> Decoder:
        """Return one that goes on from here on its own."""
        other = copy.copy(self)
        if self._bytes is not None:
            other._bytes = codecs.getincrementaldecoder("utf-8")("replace")
            other._bytes.setstate(self._bytes.getstate())
        return other

    def flush(self) -> str:
        """Return what is left at the end: U+FFFD if a character is not finished."""
        if self._bytes is None:
            return ""
        rest = self._bytes.decode(b"", final=True)
        self._bytes.reset()
        return rest


def _utf8(text: str) -> bytes:
    """`text` as UTF-8; lone surrogates, as a terminal may pass them, as U+FFFD."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _as_ints(ids: Iterable[int] | NDArray[np.integer[Any]]) -> Iterator[int]:
    return iter(ids.tolist()) if isinstance(ids, np.ndarray) else map(int, ids)
