"""UTF-16 and UTF-32: how they are recognised, and files in which other bytes were joined to them.

`>>` in PowerShell appends UTF-16 to any file; other programs append bytes to UTF-16. If such a file
is read in one encoding, the other part becomes characters of unrelated scripts, without an error.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from textgen.corpus import codepage
from textgen.corpus.damage import SEQUENCES, WIDE_MARKS, is_utf8, join_command, line_at
from textgen.corpus.source import Source
from textgen.errors import EncodingError

#: Control characters of texts: tab, line ends, form feed, backspace, escape, DOS end mark.
_TEXT_CONTROLS = b"\t\n\v\f\r\b\x1a\x1b"
CONTROLS = bytes(code for code in (*range(1, 32), 127) if code not in _TEXT_CONTROLS)

_SAMPLE = 64 << 10
#: How many bytes decide whether a part is UTF-16.
_PART = 4096
#: The share of characters in few blocks from which on decoded bytes are a text.
_TEXT = 0.75
#: The fewest bytes of a part.
_LEAST = 4

_ORDERS = ("utf-16-le", "utf-16-be")

#: Many letters of one byte each, which no text in UTF-16 or UTF-32 has.
_ASCII_RUN = re.compile(rb"[\t\r\n -~]{16,}")
_UTF8_RUN = re.compile(
    rb"(?:[\t\r\n -~]{0,64}(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2})){12}"
)
_WORDLIKE = bytes(range(ord("a"), ord("z") + 1)) + b" \r\n\t"
#: The end of a line on Windows; in UTF-16 a NUL stands between the two.
_LINE_END = b"\r\n"
#: How many spaces and line ends with swapped bytes are examined; a text may hold one by chance.
_TRIES = 64
#: Control bytes that are not white space, which are halves of characters in UTF-16.
_ODD = np.array([byte < 0x20 and byte not in b"\t\n\f\r\x1a\x1b" for byte in range(256)])


def script_share(text: str) -> float:
    """Return the share of characters in ASCII and two blocks of 256 at most; 0 for no text."""
    counts = Counter(text)
    blocks: Counter[int] = Counter()
    wrong = 0
    for char, count in counts.items():
        if ord(char) < 0x80 or unicodedata.category(char)[0] in "PZ":
            wrong += count if ord(char) < 0x80 and ord(char) in (0, *CONTROLS) else 0
        elif unicodedata.category(char) in ("Cn", "Co", "Cc", "Cs"):
            wrong += count
        else:
            blocks[ord(char) >> 8] += count
    if wrong * 100 > len(text) or "\0" in counts:
        return 0.0
    # Many alphabets lie in two blocks; a few characters may lie in two by chance.
    lone = sum(sorted(blocks.values())[: -2 if len(text) >= 32 else -1])
    if any(0x4E <= block <= 0x9F or 0xAC <= block <= 0xD7 for block in blocks):
        # East Asian texts spread over many blocks; their line ends and spaces tell.
        plain = sum(counts[char] for char in "\n 　、。，")
        east = sum(
            count
            for block, count in blocks.items()
            if block == 0x30 or 0x4E <= block <= 0x9F or 0xAC <= block <= 0xD7 or block == 0xFF
        )
        if plain * 200 >= len(text):
            lone = min(lone, sum(blocks.values()) - east)
    return 1.0 - lone / max(1, len(text))


def refuse_joined(source: Source, data: bytes, wide: str | None) -> None:
    """Refuse UTF-16 to which bytes of another encoding were joined.

    `wide` is the encoding that a byte order mark or the user says, if there is one.

    Raises:
        EncodingError: Something was joined; the message names the byte where the encoding changes.
    """
    found = _find_join(data, wide)
    if found is None:
        return
    turn, first, second = found
    line = line_at(source, turn, first if first.startswith("utf-16") else "latin-1")
    raise EncodingError(
        f"{source.name} changes its encoding at byte {turn:,} (line {line:,}): "
        f"{first.upper()} before, {second.upper()} from there on, as >> in PowerShell makes it. "
        f"{join_command(source, turn, first, second)}"
    )


def _find_join(data: bytes, wide: str | None) -> tuple[int, str, str] | None:
    """Where the encoding changes, and the encodings before and after it."""
    if data.startswith(codecs.BOM_UTF8):
        # The start is UTF-8; its mark must not be taken for a character of the text.
        odd = np.flatnonzero(_ODD[np.frombuffer(data, np.uint8)])
        return _to_wide(data, odd, len(codecs.BOM_UTF8)) if odd.size else None
    codes = np.frombuffer(data, np.uint8)
    odd = np.flatnonzero(_ODD[codes])
    marked = WIDE_MARKS.get(data[:2])
    base = 2 if marked else 0
    if marked and (turn := _other_mark(data, marked)) is not None:
        return turn, marked, _other(marked)
    known = marked or (wide if wide in _ORDERS else None)
    for order in (known,) if known else _ORDERS if odd.size else ():
        turn = _to_other_order(data, base, order)
        if turn is not None:
            return turn, order, _other(order)
    if wide is None and not odd.size:
        return None
    if wide is None and (found := _to_wide(data, odd)) is not None:
        return found
    start = _to_narrow(data, base, odd, wide)
    if start is None:
        return None
    rest = data[start : start + _SAMPLE]
    first = wide if wide in _ORDERS else _order(data[base:start])
    # The last character may be cut.
    second = "utf-8" if is_utf8(rest) or is_utf8(rest[:-3]) else codepage.rank(rest)[0].encoding
    return start, first, second


def _to_other_order(data: bytes, base: int, order: str) -> int | None:
    """Where UTF-16 changes its byte order; None if it does not.

    Spaces and line ends show it: with swapped bytes they are characters that no text has.
    """
    whole = base + (len(data) - base) // 2 * 2
    units = np.frombuffer(data[base:whole], "<u2" if order == "utf-16-le" else ">u2")
    swapped = np.flatnonzero((units == 0x2000) | (units == 0x0A00) | (units == 0x0D00))
    for first in swapped[:_TRIES].tolist():
        # After the last space in the first order: where the first bytes of letters become others.
        before = np.flatnonzero(np.isin(units[:first], (0x20, 0x0A, 0x0D)))
        start = int(before[-1]) + 1 if before.size else 0
        heads = np.flatnonzero(np.bincount(units[:start] >> 8, minlength=256))
        strange = np.append(~np.isin(units[start:first] >> 8, heads), True)
        turn = base + 2 * (start + int(np.argmax(strange)))
        head = data[base : min(turn, base + _PART)]
        rest = data[turn : min(whole, turn + _PART)]
        share = _wide_share(rest, _other(order))
        if (
            len(rest) >= _LEAST
            and share >= _TEXT
            and share > _wide_share(rest, order)
            and _wide_share(head, order) >= _TEXT
        ):
            return turn
    return None


def _to_wide(data: bytes, odd: NDArray[np.intp], base: int = 0) -> tuple[int, str, str] | None:
    """Where single bytes change to UTF-16; `base` is the length of a UTF-8 byte order mark."""
    first = int(odd[0])
    line = max(data.rfind(b"\n", 0, first), data.rfind(b"\r", 0, first)) + 1
    marks = [place for mark in WIDE_MARKS if (place := data.find(mark, 0, first + 2)) > 0]
    for turn in (*marks, line, first - 1, first):
        if turn < base + (0 if base else _LEAST):
            continue
        rest = data[turn : turn + _PART]
        order = _order(rest)
        # A single NUL does not make UTF-16.
        if _wide_share(rest, order) < _TEXT or np.count_nonzero(_ODD[list(rest)]) < 2:
            continue
        before = data[turn % 2 : turn]
        if not base and (not _is_narrow(data[:turn], order) or _alike(before, rest, order)):
            continue
        sample = data[: min(turn, _SAMPLE)]
        narrow = "utf-8" if is_utf8(data[:turn]) else codepage.rank(sample)[0].encoding
        return turn, narrow, order
    return None


def _to_narrow(data: bytes, base: int, odd: NDArray[np.intp], wide: str | None) -> int | None:
    """Where UTF-16 changes to single bytes; None if it does not."""
    if odd.size:
        # After the last half of a character follow letters of one byte, or East Asian text.
        start = int(odd[-1]) + 1
        start += (start - base) % 2
        head, tail = data[base : min(start, base + _PART)], data[start : start + _PART]
        order = wide if wide in _ORDERS else _order(head)
        if (
            len(tail) >= _LEAST
            and _wide_share(head, order) >= _TEXT
            and _is_narrow(tail, order)
            and not _alike(tail, head, order)
        ):
            return start
    starts = []
    for pattern in (_ASCII_RUN, _UTF8_RUN):
        for found in pattern.finditer(data, base):
            run = found.group()
            wordlike = len(run) - len(run.translate(None, _WORDLIKE))
            if pattern is _UTF8_RUN or wordlike * 10 >= len(run) * 6:
                starts.append(found.start())
                break
    if not starts or min(starts) <= base + 1:
        return None
    return min(starts) + (min(starts) - base) % 2


def _is_narrow(data: bytes, order: str) -> bool:
    """Whether bytes look like a text in single bytes rather than in UTF-16."""
    part = data[:_PART]
    if _LINE_END in part:
        return True
    if part.isascii():
        wordlike = len(part) - len(part.translate(None, _WORDLIKE))
        return wordlike * 2 >= len(part)
    if is_utf8(part) or is_utf8(part[:-3]):
        plain = SEQUENCES.sub(b"", part)
        wordlike = len(plain) - len(plain.translate(None, _WORDLIKE))
        return len(part) - len(plain) >= 4 or wordlike * 4 >= len(part) * 3
    if _wide_text(part, order) is None:
        return True
    blocks = _blocks(part, order)
    east = sum(blocks[block] for block in (0x30, 0x4E, 0xAC, 0xFF))
    return _wide_share(part, order) < _TEXT and east * 10 < sum(blocks.values()) * 7


def _wide_text(data: bytes, order: str) -> str | None:
    """Bytes as UTF-16, but for a character cut at their end; None if they do not decode."""
    whole = len(data) & ~1
    try:
        return data[:whole].decode(order)
    except UnicodeDecodeError as error:
        return data[: error.start].decode(order) if error.end >= whole else None


def _wide_share(data: bytes, order: str) -> float:
    """The `script_share` of bytes in UTF-16; 0 if they do not decode."""
    text = _wide_text(data, order)
    return script_share(text) if text else 0.0


def _alike(one: bytes, two: bytes, order: str) -> bool:
    """Whether `one` is UTF-16 with letters of the same blocks as the UTF-16 of `two`."""
    if _LINE_END in one or _wide_text(one[:_PART], order) is None:
        return False
    counts = [_blocks(part, order) for part in (one, two)]
    total = sum(counts[0].values())
    common = sum(count for block, count in counts[0].items() if counts[1][block])
    return total == 0 or common * 2 >= total


def _blocks(data: bytes, order: str) -> Counter[int]:
    """How often each block of 256 characters occurs; ideographs and Hangul are one block each."""
    units = np.frombuffer(data[: len(data) & ~1], "<u2" if order == "utf-16-le" else ">u2") >> 8
    units = np.where((units >= 0x4E) & (units <= 0x9F), 0x4E, units)
    units = np.where((units >= 0xAC) & (units <= 0xD7), 0xAC, units)
    return Counter(units.tolist())


def _order(data: bytes) -> str:
    """The byte order of UTF-16: by its mark, by which looks like a text, or by the small bytes."""
    marked = WIDE_MARKS.get(data[:2])
    if marked:
        return marked
    shares = [_wide_share(data, order) for order in _ORDERS]
    if max(shares) >= _TEXT and shares[0] != shares[1]:
        return _ORDERS[shares.index(max(shares))]
    codes = np.frombuffer(data[: len(data) & ~1], np.uint8).reshape(-1, 2)
    small = (codes < 0x07).sum(axis=0)
    return "utf-16-be" if small[0] > small[1] else "utf-16-le"


def _other(order: str) -> str:
    return _ORDERS[1 - _ORDERS.index(order)]


def _other_mark(data: bytes, order: str) -> int | None:
    """The place of a byte order mark of the other order; None if there is none."""
    mark = codecs.BOM_UTF16_BE if order == "utf-16-le" else codecs.BOM_UTF16_LE
    place = data.find(mark, 2)
    while place >= 0 and place % 2:
        place = data.find(mark, place + 1)
    return place if place >= 0 else None
