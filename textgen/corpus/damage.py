"""What is wrong with the bytes of a file: where it is, and what to do.

Two encodings in one file, single bytes that stand for no character, NUL characters: each ends in an
error that names the byte and the line.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from textgen.corpus import codepage
from textgen.corpus.codepage import Candidate
from textgen.corpus.source import Source
from textgen.errors import BinaryFileError, EncodingError
from textgen.messages import named
from textgen.terminal.humanize import plural

if TYPE_CHECKING:
    from textgen.corpus.encoding import Detection

#: A character beyond ASCII in well-formed UTF-8.
_SEQUENCE = rb"(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})"
SEQUENCES = re.compile(_SEQUENCE)
#: A run of these that no text in a legacy encoding has.
_LONG_RUN = re.compile(rb"(?:" + _SEQUENCE + rb"[ -~\r\n]?){12}")
HIGH = bytes(range(0x80, 0x100))
_FIRST_HIGH = re.compile(rb"[\x80-\xff]")
#: The cost, in the nats of `codepage`, of a wrong byte in a text that is UTF-8; a well-formed one
#: costs about 2.
_WRONG_BYTE = 14.0

#: The byte order marks of UTF-16.
WIDE_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
#: The reason of a detection where the encoding was given.
ASKED = "the encoding that was asked for"
#: What to do about an encoding.
_REPLACE = f"add {named('encoding_errors', 'replace')} to read it with U+FFFD there"
_NAME_IT = f"give {named('encoding', 'NAME')} if all of it is in one encoding"
_LEAVE_OUT = f"leave {named('encoding')} out to have it detected"

_PIECE = 1 << 20
_SAMPLE = 64 << 10


def _runs(data: bytes) -> tuple[int, int]:
    """The longest run of well-formed UTF-8 sequences (up to 3), and the number of sequences."""
    codes = np.frombuffer(data + b"\0" * 9, np.uint8)
    inside = (codes & 0xC0) == 0x80
    two = ((codes >= 0xC2) & (codes < 0xE0))[:-8] & inside[1:-7]
    three = ((codes & 0xF0) == 0xE0)[:-8] & inside[1:-7] & inside[2:-6]
    run = two | three
    longest, count = 0, int(np.count_nonzero(run))
    while longest < 3 and run.any():
        longest += 1
        after = np.concatenate([run, np.zeros(3, bool)])
        run = (two & after[2:-1]) | (three & after[3:])
    return longest, count


def count_high(data: bytes) -> int:
    """Return how many bytes are not ASCII."""
    return len(data) - len(data.translate(None, HIGH))


@dataclass(frozen=True)
class Mixture:
    """Bytes that are partly UTF-8."""

    bad: int  # sequences that are not
    damaged: bool  # whether these are single bytes in a text that is UTF-8 otherwise


def find_mixture(data: bytes, candidates: Sequence[Candidate] | None = None) -> Mixture | None:
    """Return how much of some bytes is UTF-8; None if hardly any, or all of it.

    `candidates` are those of `codepage.rank` for the data, if they are known.
    """
    run, _ = _runs(data)
    if not run:
        return None
    first = _FIRST_HIGH.search(data)
    start = first.start() if first else len(data)
    part = data[start : start + 4 * _SAMPLE]
    found = SEQUENCES.findall(part)
    high = count_high(part)
    covered = sum(map(len, found))
    if run < 2 or not _LONG_RUN.search(data):
        if len(found) < 2:
            return None
        wrong = 2.0 * covered + _WRONG_BYTE * (high - covered)
        best = (candidates or codepage.rank(part))[0]
        if wrong >= best.cost_per_byte * high:
            return None
    bad = data.decode("utf-8", "replace").count("\ufffd") - data.count(b"\xef\xbf\xbd")
    return Mixture(max(1, bad), bad <= 1 or (high - covered) * 20 <= high)


def mixture_error(
    source: Source, data: bytes, bad: int, mixture: Mixture, *, offset: int = 0
) -> EncodingError:
    """Return the error that a source is only partly UTF-8.

    `data` are its bytes from `offset` on; the first wrong one is byte `bad` of the source.
    """
    rest = data[bad - offset :]
    found = rest[:8]
    parts = _find_parts(data, bad - offset, starts=offset > 0)
    if parts is None or (mixture.damaged and (mixture.bad < _MANY or parts.turn is None)):
        many = plural(mixture.bad, "bad byte", "bad bytes, the first")
        return EncodingError(
            f"{source.name} is UTF-8 with {many} ({found[:1].hex()}) at byte {bad:,} (line "
            f"{line_at(source, bad, 'utf-8'):,}). Repair the file, or {_REPLACE}"
        )
    likely = WIDE_MARKS.get(rest[:2]) or codepage.rank(parts.others[: 4 * _SAMPLE])[0].encoding
    if parts.turn is None:
        return _lines_error(source, bad, likely)
    turn = parts.turn + offset
    line = line_at(source, turn)
    if parts.unicode_first:
        what = (
            f"UTF-8 up to byte {turn:,} (line {line:,}), where the bytes {found.hex(' ')} are "
            f"none, and what follows looks like {likely}"
        )
        how = join_command(source, turn, "utf-8", likely)
    else:
        what = f"it looks like {likely} up to byte {turn:,} (line {line:,}), and UTF-8 follows"
        how = join_command(source, turn, likely, "utf-8")
    return EncodingError(f"{source.name} mixes encodings: {what}. {how}, or {_NAME_IT}")


def _lines_error(source: Source, position: int, other: str) -> EncodingError:
    """The error that lines in UTF-8 and in another encoding alternate, first at `position`."""
    return EncodingError(
        f"{source.name} mixes encodings: some of its lines are UTF-8 and others look like {other}, "
        f"the first of these at byte {position:,} (line {line_at(source, position):,}). Convert "
        "the texts to UTF-8 before you join them, or add "
        f"{named('encoding_errors', 'replace')} to read the other lines with U+FFFD in them"
    )


@dataclass(frozen=True)
class _TwoParts:
    """Where UTF-8 and another encoding meet in a text; `turn` is None if they alternate."""

    turn: int | None
    unicode_first: bool
    others: bytes  # those that are not UTF-8


#: From this many bad bytes on a stretch is a part of its own.
_MANY = 8


def _find_parts(data: bytes, bad: int, *, starts: bool) -> _TwoParts | None:
    """How UTF-8 and another encoding share some bytes; None if they are damaged UTF-8.

    `bad` is the first byte that is not UTF-8; `starts` tells whether UTF-8 stands before the data.
    """
    text = data.decode("utf-8", "replace")
    after = text[text.rfind("\ufffd") + 1 :].encode()
    last = len(data) - len(after)
    before = starts or _is_meant(data[:bad])
    middle = data[bad:last]
    lines = middle.splitlines(keepends=True)
    sample = b"".join(line for line in lines if not is_utf8(line))
    covered = sum(map(len, SEQUENCES.findall(sample)))
    if covered * 2 >= count_high(sample) and _LONG_RUN.search(sample):
        return None
    between = count_high(middle) - count_high(sample)
    if between * 5 <= count_high(middle):
        if not _is_meant(after):
            return _TwoParts(bad, True, data[bad:])
        if not before:
            # Plain ASCII may belong to either part; a line belongs to one of them.
            line_end = after.rfind(b"\n", 0, _first_meant(after)) + 1
            return _TwoParts(last + line_end, False, data[: last + line_end])
    # A line in both encodings tells little about the other one.
    apart = [line for line in lines if not is_utf8(line) and not _LONG_RUN.search(line)]
    return _TwoParts(None, before, b"".join(apart) or sample)


def _is_meant(data: bytes) -> bool:
    """Whether the well-formed UTF-8 in some bytes is not there by chance."""
    found = SEQUENCES.findall(data)
    usual = sum(_is_usual(sequence.decode("utf-8", "replace")) for sequence in found[:64])
    return len(found) >= 5 or usual >= 2


def _first_meant(data: bytes) -> int:
    """The position of the first character beyond ASCII that is not there by chance."""
    for found in SEQUENCES.finditer(data):
        if _is_usual(found.group().decode("utf-8", "replace")):
            return found.start()
    return first_sequence.start() if (first_sequence := SEQUENCES.search(data)) else len(data)


def _is_usual(char: str) -> bool:
    """Whether European texts have a character."""
    return char < "\u0250" or "\u0370" <= char <= "\u045f" or "\u2010" <= char <= "\u2122"


def refuse_mixed_lines(source: Source, data: bytes, *, least: int = 12) -> None:
    """Refuse a file with some lines in UTF-8 and others in another encoding.

    The lines in UTF-8 must have at least `least` bytes beyond ASCII.

    Raises:
        EncodingError: The file is mixed.
    """
    found = _mixed_lines(data[:_PIECE], least)
    if found is None:
        return
    position, utf8_first, other, turns = found
    if turns > 1:
        raise _lines_error(source, position, other)
    first, second = ("UTF-8", other) if utf8_first else (other, "UTF-8")
    raise EncodingError(
        f"{source.name} mixes encodings: its lines are {first} up to byte {position:,} (line "
        f"{line_at(source, position):,}) and {second} after it. "
        f"{join_command(source, position, first, second)}, or add {named('encoding', 'NAME')} and "
        f"{named('encoding_errors', 'replace')} to read one of the two, with U+FFFD for the other"
    )


def _mixed_lines(data: bytes, least: int) -> tuple[int, bool, str, int] | None:
    """Where the lines first change, whether UTF-8 comes first, the other encoding, and how often
    the lines change."""
    run, count = _runs(data)
    if run < 3 and (count < _FEW or _latin_sequences(data) < _FEW):
        return None
    position = 0
    unicode_bytes = other_bytes = 0
    turn = turns = 0  # where the lines first change, and how often they do
    first: bool | None = None
    last: bool | None = None
    others: list[bytes] = []
    for line in data.splitlines(keepends=True):
        if not line.isascii():
            found = SEQUENCES.findall(line)
            high = count_high(line)
            unicode = sum(map(len, found)) == high and is_utf8(line)
            if not unicode:
                other_bytes += high
                others.append(line)
            elif (
                len(found) >= 5
                or (len(found) >= 3 and high >= 9)
                or _latin_sequences(line) == len(found)
            ):
                unicode_bytes += high
            else:  # too short to tell
                position += len(line)
                continue
            if last is None:
                first = unicode
            elif unicode != last:
                turn = turn or position
                turns += 1
            last = unicode
        position += len(line)
    share = (unicode_bytes + other_bytes) // 50 if least >= 12 else 0
    if first is None or not turns or unicode_bytes < max(least, share):
        return None
    sample = b"".join(others)[:_SAMPLE]
    return turn, first, codepage.rank(sample)[0].encoding, turns


#: A text is cut into parts to see whether they are in one encoding: how many parts, and the fewest
#: bytes beyond ASCII in each.
_CUTS, _CUT_LEAST = 8, 100
#: Parts less alike than this (the cosine of the counts of their bytes) are examined.
_UNLIKE = 0.5


def refuse_two_pages(source: Source, data: bytes) -> None:
    """Refuse a text whose start and end are surely in two one-byte encodings.

    Raises:
        EncodingError: The text is in two; the message names the line where it changes.
    """
    codes = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(codes & 0x80)
    if places.size < _CUTS * _CUT_LEAST:
        return
    high = codes[places] & 0x7F
    counts = np.array([np.bincount(cut, minlength=128) for cut in np.array_split(high, _CUTS)])
    shares = counts / np.linalg.norm(counts, axis=1, keepdims=True)
    alike = shares @ shares[0]
    if alike.min() >= _UNLIKE:
        return
    # Up to the turn the counts of the start fit better, after it those of the least similar part.
    one, two = np.log(counts[0] + 0.5), np.log(counts[int(np.argmin(alike))] + 0.5)
    turn = int(places[int(np.argmax(np.cumsum((one - two)[high])))]) + 1
    ends = (data.rfind(b"\n", 0, turn) + 1, data.find(b"\n", turn) + 1 or len(data))
    turn = min(ends, key=lambda end: abs(end - turn))
    parts = (data[:turn][-_SAMPLE:], data[turn : turn + _SAMPLE])
    if min(count_high(part) for part in parts) < _CUT_LEAST:
        return
    ranked = [codepage.rank(part) for part in parts]
    names = [candidates[0].encoding for candidates in ranked]
    for candidates, other in zip(ranked, reversed(names), strict=True):
        near = [
            candidate.encoding
            for candidate in candidates
            if candidate.cost <= candidates[0].cost + _OTHER_PAGE
            or candidate.text_of_high == candidates[0].text_of_high
        ]
        if other in near or codepage.confidence(candidates) < _SURE_PART:
            return
    raise EncodingError(
        f"{source.name} mixes encodings: it looks like {names[0]} up to about byte {turn:,} (line "
        f"{line_at(source, turn):,}) and like {names[1]} after it. "
        f"{join_command(source, turn, *names)}, or {_NAME_IT}"
    )


#: The confidence a part must have, and how much more the other encoding must cost for it.
_SURE_PART, _OTHER_PAGE = 0.9, 100.0

#: The fewest accents or quotes in UTF-8 that make lines of another encoding a mixture.
_FEW = 4


def _latin_sequences(data: bytes) -> int:
    """How many accented Latin letters, dashes and quotes some bytes hold in UTF-8."""
    codes = np.frombuffer(data + b"\0\0", np.uint8)
    inside = (codes[1:-1] & 0xC0) == 0x80
    letters = (codes[:-2] >= 0xC2) & (codes[:-2] <= 0xC5) & inside
    marks = (codes[:-2] == 0xE2) & (codes[1:-1] >= 0x80) & (codes[1:-1] <= 0x84)
    return int(np.count_nonzero(letters) + np.count_nonzero(marks & ((codes[2:] & 0xC0) == 0x80)))


def is_utf8(data: bytes) -> bool:
    """Return whether all of some bytes are UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def decoding_error(
    source: Source, detection: Detection, position: int, found: bytes
) -> EncodingError:
    """Return the error that bytes of a source cannot be decoded in the encoding taken.

    `position` is that of the first wrong byte, the byte order mark included; `found` are a few
    bytes there.
    """
    encoding = detection.encoding
    line = line_at(source, position, encoding, detection.bom_length)
    instead = _LEAVE_OUT if detection.reason == ASKED else "repair these bytes"
    return EncodingError(
        f"{source.name} is not {encoding.upper()} ({detection.reason}): the bytes {found.hex(' ')} "
        f"at byte {position:,}, line {line:,}, stand for no character; {instead}, or {_REPLACE}"
    )


def lost_error(source: Source, encoding: str, lost: int, chars: int) -> EncodingError:
    """Return the error that `lost` of `chars` characters of a source would be replaced."""
    return EncodingError(
        f"{source.name} is not {encoding.upper()}: {lost:,} of its first {chars:,} characters "
        f"would be U+FFFD; {_LEAVE_OUT}, or give another one"
    )


def nul_error(source: Source, position: int | None) -> BinaryFileError:
    """Return the error that a source holds a NUL character, at byte `position` if that is known."""
    where = "" if position is None else f" at byte {position:,}, line {line_at(source, position):,}"
    return BinaryFileError(
        f"{source.name} is not text: it holds a NUL character{where}, which texts never have. "
        "Name a text file; if it is one and was damaged, "
        f"`tr -d '\\000' < {shlex.quote(source.name)} > clean.txt` takes them out"
    )


def line_at(source: Source, position: int, encoding: str = "latin-1", skip: int = 0) -> int:
    """Return the number, from 1, of the line with the byte at `position`."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    lines = 1
    last = ""
    left = position - skip
    with source.open() as file:
        file.read(skip)
        while left > 0 and (data := file.read(min(left, _PIECE))):
            left -= len(data)
            text = decoder.decode(data)
            if not text:
                continue
            lines += text.count("\n") + text.count("\r") - text.count("\r\n")
            if last == "\r" and text[0] == "\n":
                lines -= 1
            last = text[-1]
    return lines


def join_command(source: Source, turn: int, first: str, second: str) -> str:
    """Return a sentence that says how to convert both parts to UTF-8."""
    if source.path is None or source.compressed:
        return "Convert the parts to one encoding"
    name = shlex.quote(source.name)
    parts = []
    for cut, encoding in ((f"head -c {turn}", first), (f"tail -c +{turn + 1}", second)):
        command = f"{cut} {name}"
        if encoding.lower() != "utf-8":
            command += f" | iconv -f {_iconv(encoding)} -t UTF-8"
        parts.append(command)
    return f"Convert the parts to one encoding: `({'; '.join(parts)}) > joined.txt`"


_ICONV = {
    "mac_roman": "MACINTOSH",
    "mac_cyrillic": "MAC-CYRILLIC",
    "mac_latin2": "MACCENTRALEUROPE",
}


def _iconv(encoding: str) -> str:
    """The name that `iconv` has for an encoding."""
    name = _ICONV.get(encoding, encoding)
    if name.lower().startswith("iso8859"):
        name = name.replace("iso8859_", "ISO-8859-")
    return name.upper().replace("_", "-").replace("UTF-16-", "UTF-16")
