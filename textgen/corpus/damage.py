"""What is wrong with a file's bytes: where it is, and what to type.

Two encodings in one file, single bytes that stand for nothing, NULs. Everything here ends in an
error that names the byte and the line; nothing is read around.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textgen.corpus import codepage
from textgen.corpus.source import Source
from textgen.errors import BinaryFileError, EncodingError

#: Well-formed UTF-8 of a character beyond ASCII.
_SEQUENCE = rb"(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})"
SEQUENCES = re.compile(_SEQUENCE)
#: A run of them that no text in a legacy encoding holds.
_LONG_RUN = re.compile(rb"(?:" + _SEQUENCE + rb"[ -~\r\n]?){12}")
HIGH = bytes(range(0x80, 0x100))
#: Nats that a byte costs which is no UTF-8 in a text that is (in the measure of `codepage`; a well-
#: formed one costs about 2).
_WRONG_BYTE = 14.0

_PIECE = 1 << 20
_SAMPLE = 64 << 10


def _runs(data: bytes) -> tuple[int, int]:
    """How many well-formed sequences of UTF-8 follow each other at most, up to 3, and all; fast."""
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
    """How many bytes are not ASCII."""
    return len(data) - len(data.translate(None, HIGH))


# --- UTF-8 that is damaged, or goes on in another encoding ---------------------------------------


@dataclass(frozen=True)
class Mixture:
    """Bytes that are UTF-8 in part.

    Args:
        bad: How many sequences are not.
        damaged: Whether these are single bytes in a text that is UTF-8 all the same.
    """

    bad: int
    damaged: bool


def find_mixture(data: bytes, readings: Sequence[codepage.Reading] | None = None) -> Mixture | None:
    """What bytes that are not UTF-8 as a whole hold of it; None where they hold hardly any.

    Args:
        data: The bytes.
        readings: What `codepage.rank` makes of them, where that is known.
    """
    run, _ = _runs(data)
    if not run:
        return None
    first = codepage.first_high_byte(data)
    part = data[first : first + 4 * _SAMPLE]
    found = SEQUENCES.findall(part)
    high = count_high(part)
    covered = sum(map(len, found))
    if run < 2 or not _LONG_RUN.search(data):
        if len(found) < 2:
            return None
        wrong = 2.0 * covered + _WRONG_BYTE * (high - covered)
        best = (readings or codepage.rank(part))[0]
        if wrong >= best.cost_per_byte * high:
            return None
    bad = data.decode("utf-8", "replace").count("\ufffd") - data.count(b"\xef\xbf\xbd")
    return Mixture(max(1, bad), bad <= 1 or (high - covered) * 20 <= high)


def mixture_error(
    source: Source, data: bytes, bad: int, mixture: Mixture, *, offset: int = 0
) -> EncodingError:
    """The error that a source is UTF-8 in part only.

    Args:
        source: Whose bytes.
        data: They, from byte `offset` on.
        bad: The first wrong byte, counted in the source.
        mixture: From `find_mixture`.
        offset: Where `data` starts.
    """
    rest = data[bad - offset :]
    found = rest[:8]
    parts = _find_parts(data, bad - offset, starts=offset > 0)
    if parts is None or (mixture.damaged and (mixture.bad < _MANY or parts.turn is None)):
        many = "1 bad byte" if mixture.bad == 1 else f"{mixture.bad:,} bad bytes, the first"
        return EncodingError(
            f"{source.name} is UTF-8 with {many} ({found[:1].hex()}) at byte {bad:,} (line "
            f"{line_at(source, bad, 'utf-8'):,}). Repair the file, or add --encoding-errors "
            "replace to read it with U+FFFD there"
        )
    likely = wide_mark(rest) or codepage.rank(parts.others[: 4 * _SAMPLE])[0].encoding
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
    return EncodingError(
        f"{source.name} mixes encodings: {what}. {how}, or type --encoding NAME if all of it is "
        "in one"
    )


def _lines_error(source: Source, position: int, other: str) -> EncodingError:
    """The error that lines in UTF-8 and in another encoding, first at `position`, alternate."""
    return EncodingError(
        f"{source.name} mixes encodings: some of its lines are UTF-8 and others look like {other}, "
        f"the first of these at byte {position:,} (line {line_at(source, position):,}). Convert "
        "the texts to UTF-8 before they are put together, or add --encoding-errors replace to "
        "read it with U+FFFD for the lines that are not"
    )


@dataclass(frozen=True)
class _Parts:
    """Where UTF-8 and another encoding meet in a text.

    Args:
        turn: The byte where one follows the other; None where they alternate.
        unicode_first: Whether UTF-8 comes first.
        others: What is not UTF-8.
    """

    turn: int | None
    unicode_first: bool
    others: bytes


#: Bad bytes in one stretch that are a part of their own.
_MANY = 8


def _find_parts(data: bytes, bad: int, *, starts: bool) -> _Parts | None:
    """How UTF-8 and something else stand in bytes; None where it is UTF-8 that is damaged.

    Args:
        data: The bytes.
        bad: The first of them that is not UTF-8.
        starts: Whether UTF-8 stands before them.
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
            return _Parts(bad, True, data[bad:])
        if not before:
            # What is plain ASCII may belong to either; a line goes to one of them.
            line_end = after.rfind(b"\n", 0, _first_meant(after)) + 1
            return _Parts(last + line_end, False, data[: last + line_end])
    # A line that holds both tells little of the other encoding.
    apart = [line for line in lines if not is_utf8(line) and not _LONG_RUN.search(line)]
    return _Parts(None, before, b"".join(apart) or sample)


def _is_meant(data: bytes) -> bool:
    """Whether well-formed UTF-8 holds characters beyond ASCII that are not there by chance."""
    found = SEQUENCES.findall(data)
    usual = sum(_is_usual(sequence.decode("utf-8", "replace")) for sequence in found[:64])
    return len(found) >= 5 or usual >= 2


def _first_meant(data: bytes) -> int:
    """Where the first character beyond ASCII stands that is not there by chance."""
    for found in SEQUENCES.finditer(data):
        if _is_usual(found.group().decode("utf-8", "replace")):
            return found.start()
    return first_sequence.start() if (first_sequence := SEQUENCES.search(data)) else len(data)


def _is_usual(char: str) -> bool:
    """Whether a character is of the scripts and marks that European texts have."""
    return char < "\u0250" or "\u0370" <= char <= "\u045f" or "\u2010" <= char <= "\u2122"


def refuse_mixed_lines(source: Source, data: bytes, *, least: int = 12) -> None:
    """Refuse a file of which some lines are UTF-8 and others are in another encoding.

    Args:
        source: Whose bytes.
        data: They, from the start.
        least: Bytes beyond ASCII that lines in UTF-8 must have.
    Raises:
        EncodingError: It is one.
    """
    turn = _mixed_lines(data[:_PIECE], least)
    if turn is None:
        return
    position, utf8_first, other, turns = turn
    if turns > 1:
        raise _lines_error(source, position, other)
    first, second = ("UTF-8", other) if utf8_first else (other, "UTF-8")
    raise EncodingError(
        f"{source.name} mixes encodings: its lines are {first} up to byte {position:,} (line "
        f"{line_at(source, position):,}) and {second} after it. "
        f"{join_command(source, position, first, second)}, or add --encoding NAME "
        "--encoding-errors replace to read one of the two and have U+FFFD for the other"
    )


def _mixed_lines(data: bytes, least: int) -> tuple[int, bool, str, int] | None:
    """Where the lines first change, whether UTF-8 comes first, what the others are in.

    The last is how often they change.
    """
    run, count = _runs(data)
    if run < 3 and (count < _FEW or _latin_sequences(data) < _FEW):
        return None
    position = 0
    unicode_bytes = other_bytes = 0
    turn: tuple[int, bool] | None = None
    first: bool | None = None
    last: bool | None = None
    turns = 0
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
            if first is None:
                first = unicode
            elif turn is None and unicode != first:
                turn = (position, first)
            turns += last is not None and unicode != last
            last = unicode
        position += len(line)
    share = (unicode_bytes + other_bytes) // 50 if least >= 12 else 0
    if turn is None or unicode_bytes < max(least, share):
        return None
    sample = b"".join(others)[:_SAMPLE]
    return turn[0], turn[1], codepage.rank(sample)[0].encoding, turns


#: Into how many parts a text is cut to see whether they are in one encoding, and the fewest bytes
#: beyond ASCII of each.
_CUTS, _CUT_LEAST = 8, 100
#: Parts whose bytes are less alike than this (the cosine of their counts) are looked at.
_UNLIKE = 0.5


def refuse_two_pages(source: Source, data: bytes) -> None:
    """Refuse a text whose start and end are surely in two code pages of one byte per character.

    Args:
        source: Whose bytes.
        data: They, from the start.
    Raises:
        EncodingError: They are; it names the line where they turn.
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
    # Where the bytes of the start stop being likelier than those of the part that is least alike.
    one, two = np.log(counts[0] + 0.5), np.log(counts[int(np.argmin(alike))] + 0.5)
    turn = int(places[int(np.argmax(np.cumsum((one - two)[high])))]) + 1
    ends = (data.rfind(b"\n", 0, turn) + 1, data.find(b"\n", turn) + 1 or len(data))
    turn = min(ends, key=lambda end: abs(end - turn))
    parts = (data[:turn][-_SAMPLE:], data[turn : turn + _SAMPLE])
    if min(count_high(part) for part in parts) < _CUT_LEAST:
        return
    ranked = [codepage.rank(part) for part in parts]
    names = [readings[0].encoding for readings in ranked]
    for readings, other in zip(ranked, reversed(names), strict=True):
        near = [
            reading.encoding
            for reading in readings
            if reading.cost <= readings[0].cost + _OTHER_PAGE
            or reading.text_of_high == readings[0].text_of_high
        ]
        if other in near or codepage.confidence(readings) < _SURE_PART:
            return
    raise EncodingError(
        f"{source.name} mixes encodings: it looks like {names[0]} up to about byte {turn:,} (line "
        f"{line_at(source, turn):,}) and like {names[1]} after it. "
        f"{join_command(source, turn, *names)}, or type --encoding NAME if all of it is in one"
    )


#: What a part must be sure of, and nats by which the other's encoding must be worse for it.
_SURE_PART, _OTHER_PAGE = 0.9, 100.0

#: The fewest accents or quotes in UTF-8 that make lines of another encoding a mixture.
_FEW = 4


def _latin_sequences(data: bytes) -> int:
    """How many accented Latin letters, dashes and quotes in UTF-8 bytes hold."""
    codes = np.frombuffer(data + b"\0\0", np.uint8)
    inside = (codes[1:-1] & 0xC0) == 0x80
    letters = (codes[:-2] >= 0xC2) & (codes[:-2] <= 0xC5) & inside
    marks = (codes[:-2] == 0xE2) & (codes[1:-1] >= 0x80) & (codes[1:-1] <= 0x84)
    return int(np.count_nonzero(letters) + np.count_nonzero(marks & ((codes[2:] & 0xC0) == 0x80)))


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8, as a whole."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


_WIDE_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def wide_mark(data: bytes) -> str | None:
    """Which UTF-16 a byte order mark at the start of `data` says; None without one."""
    return next((name for mark, name in _WIDE_MARKS if data.startswith(mark)), None)


# --- Bytes that stand for nothing ----------------------------------------------------------------


def decoding_error(
    source: Source,
    encoding: str,
    reason: str,
    position: int,
    found: bytes,
    *,
    skip: int = 0,
    asked: bool = False,
) -> EncodingError:
    """The error that bytes at `position` of a source are no text in the encoding taken.

    Args:
        source: Whose bytes.
        encoding: The one taken.
        reason: Why it was.
        position: Of the first wrong byte, counted from 0, the byte order mark included.
        found: The bytes there, a few.
        skip: Length of the byte order mark.
        asked: Whether the encoding was asked for.
    """
    line = line_at(source, position, encoding, skip)
    instead = "leave --encoding out to have it detected, " if asked else "repair these bytes, "
    return EncodingError(
        f"{source.name} is not {encoding.upper()} ({reason}): the bytes {found.hex(' ')} at byte "
        f"{position:,}, line {line:,}, stand for no character; {instead}or add --encoding-errors "
        "replace to read it with U+FFFD there"
    )


def lost_error(source: Source, encoding: str, lost: int, chars: int) -> EncodingError:
    """The error that too much of a source would be replaced.

    Args:
        source: Whose bytes.
        encoding: The one taken.
        lost: How many characters would be U+FFFD.
        chars: Out of how many.
    """
    return EncodingError(
        f"{source.name} is not {encoding.upper()}: {lost:,} of its first {chars:,} characters "
        "would be U+FFFD; leave --encoding out to have it detected, or type another one"
    )


def nul_error(source: Source, position: int | None) -> BinaryFileError:
    """The error that a NUL character stands in a source, at byte `position` where that is known."""
    where = "" if position is None else f" at byte {position:,}, line {line_at(source, position):,}"
    return BinaryFileError(
        f"{source.name} is no text: it holds a NUL character{where}, which no text does. "
        "Name a text file; if it is one and was damaged, "
        f"`tr -d '\\000' < {shlex.quote(source.name)} > clean.txt` takes them out"
    )


def line_at(source: Source, position: int, encoding: str = "latin-1", skip: int = 0) -> int:
    """The number, from 1, of the line that byte `position` stands in."""
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
    """What to type so that both parts are in UTF-8, as the start of a sentence."""
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
    """The name `iconv` has for an encoding of ours."""
    name = _ICONV.get(encoding, encoding)
    if name.lower().startswith("iso8859"):
        name = name.replace("iso8859_", "ISO-8859-")
    return name.upper().replace("_", "-").replace("UTF-16-", "UTF-16")
