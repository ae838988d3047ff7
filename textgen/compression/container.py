"""The file that a text is compressed into.

    magic          4 bytes
    format         1 byte; a newer one is refused
    checksum       4 bytes: CRC-32 of all that follows
    kind           1 byte: 0 stored as it is, 1 coded by a model, 2 by one that learns meanwhile;
                   3 and 4 are 1 and 2, where characters are read as others
    size           of the original, in bytes
    sum            8 bytes: the first of SHA-256 of the original

    and for a coded one
    arithmetic     version of the computation, 1 byte
    model          8 bytes: the first of the model's hash
    trial          4 bytes: what the computation gave on a short text of its own
    path           what computed, with its precision, such as `avx2/fp32`: its length and the text
    threads, parts, tokens
    way back       flags 1 byte, encoding: its length and the text; 0 is UTF-8

    and for one that a model coded which learned meanwhile
    learning       1 byte: 1 if its weights learn, and twice the longest context that is counted
    origin         4 bytes: the first of a hash of what it begins with beside the model

    and where characters are read as others
    table          version of the table that says as which, 1 byte
    variants       how many such characters there are

    data           all the rest

Numbers are in LEB128: seven bits a byte, the low ones first. What is read here comes from a
stranger: each number has bounds, and no more is held in memory than a fixed multiple of the file.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace

from textgen.compression.lossless_text import NEWLINES, UTF8, WayBack
from textgen.corpus.encoding_names import encoding_name
from textgen.corpus.nearest_forms import TABLE_VERSION
from textgen.errors import CompressionError, ConfigError
from textgen.mixing.count_model import MOST_CHOSEN
from textgen.runtime import MOST_THREADS
from textgen.version import UPGRADE

MAGIC = b"\xb7TXG"
#: The newest format, where characters are read as others; that of files by a model that learned;
#: and that of all others, which the earliest version reads.
FORMAT_VERSION, LEARNED_FORMAT, FIRST_FORMAT = 3, 2, 1
#: Raised whenever the same model would give other numbers than before, or other bytes.
ARITHMETIC_VERSION = 1

#: A file holds at most so many bytes for each of its own, and a coded text so many tokens a byte:
#: the most are those of a model of bytes, of a text in an encoding of one byte a character.
MOST_RATIO, MOST_TOKENS = 64, 4
#: The most parts of a text.
MOST_PARTS = 256

#: The longest context that a file may ask to count: longer ones could fill the memory.
MOST_ORDER = MOST_CHOSEN

_STORED, _CODED, _LEARNED = 0, 1, 2
#: Added to a kind where characters are read as others.
_VARIANTS = 2
_MARKED, _DECOMPOSED, _HAS_STRAYS, _DOCUMENTS, _NEWLINE = 1, 2, 4, 8, 16
_SUM_BYTES = 8
#: Bytes of `Learning.origin`.
ORIGIN_BYTES = 4
_LEAST = len(MAGIC) + 1 + 4


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What learned while a file was coded.

    Args:
        adapts: Whether the weights did.
        order: The longest context that was counted, in tokens; 0: nothing was.
        origin: The first bytes of a hash of what it began with beside the model.
    """

    adapts: bool
    order: int
    origin: bytes


@dataclass(frozen=True, kw_only=True)
class Coding:
    """What computed the data of a file, and what they are.

    Args:
        model: The first bytes of the model's hash.
        trial: What the computation gave on a short text of its own.
        path: What computed: the instruction set of the native engine or `numpy`; and its precision.
        threads: Computing threads.
        parts: How many parts of the text are coded side by side.
        tokens: Of the whole text.
        way: How the file is made of the text.
        learning: What learned meanwhile; None: nothing.
        variants: Characters that are read as others (`textgen.corpus.nearest_forms`).
    """

    model: bytes
    trial: bytes
    path: str
    threads: int
    parts: int
    tokens: int
    way: WayBack
    learning: Learning | None = None
    variants: int = 0


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A compressed file.

    Args:
        size: Bytes of the original.
        sum: The first bytes of its SHA-256.
        data: The choices, or the original itself.
        coding: What computed; None where the original is stored.
    """

    size: int
    sum: bytes
    data: bytes
    coding: Coding | None = None

    def to_bytes(self) -> bytes:
        """Return the file."""
        coding = self.coding
        learning = None if coding is None else coding.learning
        variants = 0 if coding is None else coding.variants
        kind = _STORED if coding is None else _CODED if learning is None else _LEARNED
        body = bytearray([kind + _VARIANTS * bool(variants)])
        body += _number(self.size) + self.sum
        if coding is not None:
            way = coding.way
            flags = _MARKED * way.marked + _DECOMPOSED * way.decomposed + _HAS_STRAYS * way.strays
            flags += _DOCUMENTS * way.documents + _NEWLINE * NEWLINES.index(way.newline)
            encoding = "" if way.encoding == UTF8 else way.encoding
            body += bytes([ARITHMETIC_VERSION]) + coding.model + coding.trial
            body += _name(coding.path)
            body += _number(coding.threads) + _number(coding.parts) + _number(coding.tokens)
            body += bytes([flags]) + _name(encoding)
        if learning is not None:
            body += bytes([learning.adapts + 2 * learning.order]) + learning.origin
        if variants:
            body += bytes([TABLE_VERSION]) + _number(variants)
        body += self.data
        # A reader takes no file that holds much more than it is long.
        body += bytes(max(0, -(-self.size // MOST_RATIO) - len(body)))
        checksum = zlib.crc32(body).to_bytes(4, "little")
        version = FIRST_FORMAT if learning is None else LEARNED_FORMAT
        version = FORMAT_VERSION if variants else version
        return MAGIC + bytes([version]) + checksum + bytes(body)

    @classmethod
    def from_bytes(cls, file: bytes) -> Packed:
        """Read a file, all parts of which are checked.

        Raises:
            CompressionError: It is foreign, damaged, or by a newer version.
        """
        if not file.startswith(MAGIC):
            raise CompressionError(
                "it is not a file that textgen compressed: it begins with other bytes"
            )
        if len(file) > len(MAGIC) and file[len(MAGIC)] > FORMAT_VERSION:
            raise CompressionError(
                f"it was written by a newer textgen (format {file[len(MAGIC)]}, this one reads up "
                f"to {FORMAT_VERSION}): {UPGRADE}"
            )
        if len(file) < _LEAST or zlib.crc32(file[_LEAST:]) != int.from_bytes(
            file[_LEAST - 4 : _LEAST], "little"
        ):
            raise damaged("it does not match its checksum")
        reader = _Parts(file, _LEAST)
        kind = reader.take(1)[0]
        if kind > _LEARNED + _VARIANTS:
            raise damaged(f"its kind is {kind}, which is none")
        has_variants = kind > _LEARNED
        kind -= _VARIANTS * has_variants
        size, own = reader.number(MOST_RATIO * len(file)), reader.take(_SUM_BYTES)
        coding = None if kind == _STORED else reader.coding(size)
        if coding is not None and kind == _LEARNED:
            coding = replace(coding, learning=reader.learning(coding.parts))
        if coding is not None and has_variants:
            coding = replace(coding, variants=reader.variants(size))
        data = reader.rest()
        if coding is None and len(data) != size:
            raise damaged(f"it says that it holds {size:,} bytes, and there are {len(data):,}")
        return cls(size=size, sum=own, data=data, coding=coding)


class _Parts:
    """The parts of a file, one after the other."""

    def __init__(self, file: bytes, place: int) -> None:
        self._file = file
        self._place = place

    def take(self, count: int) -> bytes:
        part = self._file[self._place : self._place + count]
        if len(part) < count:
            raise damaged("it ends too early")
        self._place += count
        return part

    def number(self, most: int) -> int:
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if value > most or shift > 63:
                raise damaged(f"it holds a number above {most:,}, which cannot be")
            if byte < 0x80:
                return value

    def name(self) -> str:
        data = self.take(self.number(32))
        if not data.isascii():
            raise damaged("it holds a name that is none")
        return data.decode("ascii")

    def rest(self) -> bytes:
        return self._file[self._place :]

    def learning(self, parts: int) -> Learning:
        flags, origin = self.take(1)[0], self.take(ORIGIN_BYTES)
        order, adapts = divmod(flags, 2)
        if not flags or order > MOST_ORDER or parts > 1:
            raise damaged("its header cannot be right")
        return Learning(adapts=bool(adapts), order=order, origin=origin)

    def variants(self, size: int) -> int:
        table = self.take(1)[0]
        if table != TABLE_VERSION:
            raise _other_version("table of nearest characters", table, TABLE_VERSION)
        variants = self.number(size)
        if not variants:
            raise damaged("its header cannot be right")
        return variants

    def coding(self, size: int) -> Coding:
        arithmetic = self.take(1)[0]
        if arithmetic != ARITHMETIC_VERSION:
            raise _other_version("arithmetic", arithmetic, ARITHMETIC_VERSION)
        model, trial, path = self.take(_SUM_BYTES), self.take(4), self.name()
        threads, parts = self.number(MOST_THREADS), self.number(MOST_PARTS)
        tokens = self.number(MOST_TOKENS * (size + 1))
        flags, encoding = self.take(1)[0], self.name()
        newline = flags // _NEWLINE
        try:
            known = UTF8 if not encoding else encoding_name(encoding)
        except ConfigError as error:
            raise damaged(f"the encoding {encoding!r} is not known") from error
        if newline >= len(NEWLINES) or not (threads and parts):
            raise damaged("its header cannot be right")
        way = WayBack(
            encoding=known,
            marked=bool(flags & _MARKED),
            newline=NEWLINES[newline],
            decomposed=bool(flags & _DECOMPOSED),
            strays=bool(flags & _HAS_STRAYS),
            documents=bool(flags & _DOCUMENTS),
        )
        return Coding(
            model=model,
            trial=trial,
            path=path,
            threads=threads,
            parts=parts,
            tokens=tokens,
            way=way,
        )


def sum_of(data: bytes) -> bytes:
    """Return the first bytes of the SHA-256 of `data`."""
    return hashlib.sha256(data).digest()[:_SUM_BYTES]


def damaged(what: str) -> CompressionError:
    """Return the error of a file that nobody wrote so."""
    return CompressionError(f"it is damaged: {what}; restore it from a copy")


def _other_version(what: str, found: int, own: int) -> CompressionError:
    return CompressionError(
        f"it was compressed by another version of textgen's {what} ({found}, this one is {own}), "
        "and only that version decompresses it: "
        + (UPGRADE if found > own else "use the one that wrote it")
    )


def _number(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _name(text: str) -> bytes:
    return _number(len(text)) + text.encode("ascii")
