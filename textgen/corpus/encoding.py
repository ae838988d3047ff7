"""In which encoding a source is written, how sure that is, and why.

In this order: an encoding that was asked for; a byte order mark; strict UTF-8; UTF-16 and UTF-32
without a mark; else the reading among legacy encodings that looks most like a text
(`textgen.corpus.codepage`), with `charset_normalizer` as a second opinion. What is no text, or two
encodings in one file, is refused and never guessed.

A source below `WHOLE_LIMIT` bytes is judged by all of it; of a longer one the start and the end
are looked at, and whoever decodes the rest does so strictly.
"""

from __future__ import annotations

import codecs
import difflib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from encodings.aliases import aliases
from functools import cache

from textgen.corpus import codepage
from textgen.corpus.source import Source
from textgen.errors import BinaryFileError, ConfigError, EmptyCorpusError, EncodingError

#: Sources below this many bytes are checked whole.
WHOLE_LIMIT = 16 << 20

_HEAD = 1 << 20
_TAIL = 64 << 10
_SAMPLE = 64 << 10

_MARKS = (  # the longer first: a UTF-32 mark starts like one of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNICODE = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")

#: Starts of files that are often named by mistake: where, what, and its name.
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF87a", "a GIF image"),
    (0, b"GIF89a", "a GIF image"),
    (0, b"\x7fELF", "an ELF program"),
    (0, b"\x1f\x8b\x08", "gzip data (a gzip file must be called .gz)"),
    (0, b"PK\x03\x04", "a zip archive (.docx, .epub and .odt are such)"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"BZh", "bzip2 data"),
    (0, b"\xfd7zXZ\x00", "xz data"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x28\xb5\x2f\xfd", "zstd data"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
    (0, b"OggS\x00", "Ogg audio"),
    (0, b"ID3", "MP3 audio"),
    (4, b"ftyp", "MP4 video"),
    (257, b"ustar", "a tar archive"),
)

#: Control characters that texts have: tab, line ends, form feed, backspace, escape, DOS end mark.
_TEXT_CONTROLS = b"\t\n\v\f\r\b\x1a\x1b"
_CONTROLS = bytes(code for code in (*range(1, 32), 127) if code not in _TEXT_CONTROLS)

#: Well-formed UTF-8 of a character beyond ASCII.
_SEQUENCE = rb"(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})"
_SEQUENCES = re.compile(_SEQUENCE)
#: A run of them that no text in a legacy encoding holds.
_LONG_RUN = re.compile(rb"(?:" + _SEQUENCE + rb"[ -~\r\n]?){12}")
_HIGH = bytes(range(0x80, 0x100))
#: Nats that a byte costs which is no UTF-8 in a text that is (in the measure of `codepage`; a well-
#: formed one costs about 2).
_WRONG_BYTE = 14.0


#: Encodings Python knows that are not how a text file is written.
_NO_TEXT_FILES = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}


@dataclass(frozen=True)
class Detection:
    """The encoding a source is read in.

    Args:
        encoding: Python's name of it, `utf-16-le` or `-be` for UTF-16.
        confidence: How sure that is, from 0 to 1.
        reason: Why, in a few words, with what the reader should know about the file.
        bom_length: Bytes of the byte order mark, which is no part of the text.
        dropped: Bytes left out at the end, because they are the start of a character cut short;
            `reason` says so.
    """

    encoding: str
    confidence: float
    reason: str
    bom_length: int
    dropped: int = 0


def detect(source: Source, override: str | None = None) -> Detection:
    """How `source` is encoded.

    Args:
        source: Where the bytes are.
        override: An encoding to take instead of detecting one; any name Python knows.
    Raises:
        ConfigError: `override` is not known.
        EmptyCorpusError: There is nothing in it, or only a byte order mark.
        BinaryFileError: It is no text.
        EncodingError: It is in no encoding known here, in two, or not in `override`.
        StorageError: It cannot be read.
    """
    asked = None if override is None else _encoding_name(override)
    sample = _Sample(source)
    if not sample.head:
        raise EmptyCorpusError(f"{source.name} is empty; a text is expected")
    _refuse_known_formats(source, sample.head)
    mark, marked = _byte_order_mark(sample.head)
    if sample.whole and len(mark) == len(sample.head):
        raise EmptyCorpusError(
            f"{source.name} holds a byte order mark and no text; a text is expected"
        )
    if asked is not None:
        return _check_override(sample, asked, mark, marked)
    if marked is not None:
        return _check_marked(sample, mark, marked)
    return _detect_unmarked(sample)


class _Sample:
    """What of a source is looked at: all of it below `WHOLE_LIMIT`, else its start and end.

    `head` is the start (or everything, then `whole` is true), `tail` the last bytes of a long
    plain file, which start at `tail_start`.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tail = b""
        self.tail_start = 0
        size = source.size
        with source.open() as file:
            if size is not None and size >= WHOLE_LIMIT:
                self.head = file.read(_HEAD)
                self.whole = False
                self.tail_start = size - _TAIL
                file.seek(self.tail_start)
                self.tail = file.read(_TAIL)
            else:
                self.head = file.read(WHOLE_LIMIT)
                self.whole = len(self.head) < WHOLE_LIMIT
        self.controls = len(self.head) - len(self.head.translate(None, _CONTROLS))


@dataclass(frozen=True)
class _Scan:
    """How far bytes decode: where the first wrong one is, or how many are pending at the end."""

    bad: int | None
    pending: int


def _scan(data: bytes, encoding: str) -> _Scan:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        decoder.decode(data)
    except UnicodeDecodeError as error:
        return _Scan(error.start, 0)
    pending = decoder.getstate()[0]
    return _Scan(None, len(pending) if isinstance(pending, bytes) else 0)


def _check_override(sample: _Sample, asked: str, mark: bytes, marked: str | None) -> Detection:
    source = sample.source
    encoding = asked
    if asked in ("utf-16", "utf-32"):
        fits = marked is not None and marked.startswith(asked)
        encoding = marked if fits and marked is not None else _endianness(sample.head, asked)
    bom_length = len(mark) if encoding == marked else 0
    detection = Detection(encoding, 1.0, "given by --encoding", bom_length)
    body = sample.head[bom_length:]
    scan = _scan(body, encoding)
    if scan.bad is not None:
        bad = scan.bad + bom_length
        raise decoding_error(source, detection, bad, sample.head[bad : bad + 8])
    if is_byte_table(encoding) or encoding == "utf-8":
        _refuse_nul(source, sample.head)
    if sample.whole and scan.pending:
        return _drop_end(detection, scan.pending, len(sample.head))
    return detection


def _check_marked(sample: _Sample, mark: bytes, encoding: str) -> Detection:
    """The byte order mark says the encoding; the bytes must agree."""
    name = encoding.upper()
    detection = Detection(encoding, 1.0, f"byte order mark of {name}", len(mark))
    body = sample.head[len(mark) :]
    scan = _scan(body, encoding)
    if scan.bad is not None:
        bad = scan.bad + len(mark)
        raise decoding_error(sample.source, detection, bad, sample.head[bad : bad + 8])
    if encoding == "utf-8":
        _refuse_nul(sample.source, sample.head)
    elif "\0" in body[: len(body) - scan.pending].decode(encoding):
        raise nul_error(sample.source, None)
    if sample.whole and scan.pending:
        return _drop_end(detection, scan.pending, len(sample.head))
    return detection


def _detect_unmarked(sample: _Sample) -> Detection:
    source, head = sample.source, sample.head
    # A text in a legacy encoding holds neither NULs nor control characters; UTF-16 holds them in
    # every second place, and may well pass as UTF-8 when it is all ASCII.
    if 0 in head or sample.controls:
        wide = _detect_wide(sample)
        if wide is not None:
            return wide
    _refuse_nul(source, head)
    scan = _scan(head, "utf-8")
    _refuse_controls(sample, 10 if scan.bad is None else 50)
    if scan.bad is None:
        found = _detect_utf8(sample, scan.pending)
        if found is not None:
            return found
    elif _is_mixed(head):
        raise _mixed_error(source, head, scan.bad)
    return _detect_legacy(sample, head)


def _refuse_controls(sample: _Sample, part: int) -> None:
    """Refuses what holds more control characters than one in `part`, and more than a few."""
    if sample.controls > max(4, len(sample.head) // part):
        raise BinaryFileError(
            f"{sample.source.name} is no text: {sample.controls:,} of the first "
            f"{len(sample.head):,} bytes are control characters; name a text file"
        )


def _detect_utf8(sample: _Sample, pending: int) -> Detection | None:
    """The detection where the head decodes as UTF-8; None where something else is likelier."""
    source, head = sample.source, sample.head
    if sample.whole:
        if pending:
            if not _SEQUENCES.search(head):
                return None  # nothing else of UTF-8 in it: a legacy encoding's last letter
            return _drop_end(
                Detection("utf-8", 0.95, "strict UTF-8 decodes", 0), pending, len(head)
            )
        return _warn(Detection("utf-8", 1.0, "strict UTF-8 decodes", 0), head)
    detection = Detection(
        "utf-8", 0.99, "strict UTF-8 decodes (start and end; the rest is checked as it is read)", 0
    )
    if not sample.tail:
        return _warn(detection, head)
    start = next((i for i, byte in enumerate(sample.tail[:3]) if byte & 0xC0 != 0x80), 3)
    scan = _scan(sample.tail[start:], "utf-8")
    if scan.bad is None:
        if scan.pending:
            assert source.size is not None
            return _drop_end(detection, scan.pending, source.size)
        return _warn(detection, head)
    return _detect_late(sample)


def _detect_late(sample: _Sample) -> Detection:
    """Of a long file whose start is UTF-8 (or ASCII) and whose end is not."""
    source = sample.source
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    beyond_ascii = False
    with source.open() as file:
        while data := file.read(_HEAD):
            pending = decoder.getstate()[0]
            try:
                text = decoder.decode(data)
            except UnicodeDecodeError as error:
                bad = position - len(pending) + error.start
                around = (pending + data)[error.start :] + file.read(_HEAD)
                before = (pending + data)[: error.start]
                if beyond_ascii or not before.isascii() or _is_mixed(around):
                    raise _mixed_error(source, around, bad, offset=bad) from error
                return _detect_legacy(sample, around)
            beyond_ascii = beyond_ascii or not text.isascii()
            position += len(data)
    # Only the end is wrong by itself: it starts inside a character, which the whole explains.
    return Detection("utf-8", 0.99, "strict UTF-8 decodes", 0)


def _detect_legacy(sample: _Sample, data: bytes) -> Detection:
    """The most plausible reading of bytes that are not UTF-8."""
    source = sample.source
    readings = codepage.rank(data)
    best = readings[0]
    confidence = codepage.confidence(readings)
    rival = codepage.rival(readings)
    other = "no other reading comes near" if rival is None else f"next best is {rival.encoding}"
    reason = f"not UTF-8; reads as {best.language}; {other}"
    if confidence >= 0.5:
        return Detection(best.encoding, confidence, reason, 0)
    second = _second_opinion(data)
    if second is not None and second == best.encoding:
        return Detection(
            second, round(min(0.9, confidence + 0.2), 3), f"{reason}; charset-normalizer agrees", 0
        )
    if best.plausible:
        return Detection(best.encoding, confidence, reason, 0)
    if second is not None:
        return Detection(second, 0.3, "not UTF-8; charset-normalizer's guess, far from sure", 0)
    scan = _scan(data, "utf-8")
    position = scan.bad or 0
    raise EncodingError(
        f"{source.name} is in no encoding that is known here: it is not UTF-8 (first at byte "
        f"{position:,}: {data[position : position + 8].hex(' ')}), and no other reading of it "
        f"looks like a text (the least bad one is {best.encoding}). If it is a text, "
        "name its encoding, for example --encoding cp1251"
    )


def _second_opinion(data: bytes) -> str | None:
    """What charset_normalizer takes the bytes for; None when it does not know either."""
    from charset_normalizer import from_bytes

    first = codepage.first_high_byte(data)
    start = max(0, first - _SAMPLE // 2)
    best = from_bytes(data[start : start + _SAMPLE]).best()
    if best is None or best.encoding in ("ascii", "utf_8"):
        return None
    encoding = _encoding_name(best.encoding)
    return encoding if _scan(data, encoding).bad is None else None


def _detect_wide(sample: _Sample) -> Detection | None:
    """UTF-16 or UTF-32 without a byte order mark, recognised by its characters."""
    data = sample.head
    part = data[:_SAMPLE]
    best: tuple[float, int, str] | None = None
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        unit = 4 if encoding.startswith("utf-32") else 2
        if len(part) < unit or (sample.whole and len(data) % unit and len(data) < 64):
            continue
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            text = decoder.decode(part)
        except UnicodeDecodeError:
            continue
        score = _script_share(text)
        small = sum(char < "\u0600" for char in text)
        if score and (best is None or (score, small) > best[:2]):
            best = (score, small, encoding)
    if best is None or best[0] < 0.75:
        return None
    encoding = best[2]
    confidence = 0.95 if len(part) >= 32 else 0.7
    detection = Detection(
        encoding, confidence, f"reads as {encoding.upper()} without a byte order mark", 0
    )
    scan = _scan(data, encoding)
    if scan.bad is not None:
        raise decoding_error(sample.source, detection, scan.bad, data[scan.bad : scan.bad + 8])
    if sample.whole and scan.pending:
        return _drop_end(detection, scan.pending, len(data))
    return detection


def _script_share(text: str) -> float:
    """Share of the characters in ASCII and the two commonest blocks of 256; 0 for no text."""
    counts = Counter(text)
    blocks: Counter[int] = Counter()
    wrong = 0
    for char, count in counts.items():
        if ord(char) < 0x80 or unicodedata.category(char)[0] in "PZ":
            wrong += count if ord(char) < 0x80 and ord(char) in (0, *_CONTROLS) else 0
        elif unicodedata.category(char) in ("Cn", "Co", "Cc", "Cs"):
            wrong += count
        else:
            blocks[ord(char) >> 8] += count
    if wrong * 100 > len(text) or "\0" in counts:
        return 0.0
    # Two blocks, as many alphabets lie in two; a few characters lie in two by chance.
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


def _endianness(data: bytes, family: str) -> str:
    """The byte order of UTF-16 or UTF-32 that comes without a mark; little-endian by default."""
    decoded = {}
    for order in ("le", "be"):
        encoding = f"{family}-{order}"
        scan = _scan(data[:_SAMPLE], encoding)
        if scan.bad is None:
            part = data[: min(len(data), _SAMPLE)]
            decoded[encoding] = _script_share(part[: len(part) - scan.pending].decode(encoding))
    return max(decoded, key=decoded.__getitem__) if decoded else f"{family}-le"


def _drop_end(detection: Detection, pending: int, length: int) -> Detection:
    what = "byte is" if pending == 1 else f"{pending} bytes are"
    return Detection(
        detection.encoding,
        min(detection.confidence, 0.95),
        f"{detection.reason}; the last {what} the start of a character cut short "
        f"(at byte {length - pending:,}) and left out",
        detection.bom_length,
        pending,
    )


def _warn(detection: Detection, data: bytes) -> Detection:
    """The detection with a warning where the text was damaged before it came here."""
    part = data[: 4 * _SAMPLE]
    if part.isascii():
        return detection
    text = part.decode("utf-8", "ignore")
    once = _double_encoded(text)
    if once is not None:
        return Detection(
            detection.encoding,
            min(detection.confidence, 0.5),
            f"{detection.reason}, but it looks double-encoded: UTF-8 that was read as {once} and "
            "written as UTF-8 again; taken as it is",
            detection.bom_length,
        )
    lost = text.count("\ufffd")
    if lost:
        return Detection(
            detection.encoding,
            detection.confidence,
            f"{detection.reason}; holds replacement characters (U+FFFD), so something was lost "
            "when it was written",
            detection.bom_length,
        )
    return detection


def _double_encoded(text: str) -> str | None:
    """As what UTF-8 was once misread to give this text; None when it was not."""
    for encoding in ("cp1252", "latin-1", "cp1251", "koi8_r", "cp866", "mac_roman"):
        data = text.encode(encoding, "replace")
        high = len(data) - len(data.translate(None, _HIGH))
        found = _SEQUENCES.findall(data)
        covered = sum(map(len, found))
        # A few characters have no place in the encoding it was misread as, hence not all.
        if len(found) >= 4 and covered * 10 >= high * 7 and high * 4 >= len(data):
            return encoding
        # Mostly ASCII with an accent here and there: every high byte must be explained.
        if len(found) >= 4 and covered == high == sum(char > "\x7f" for char in text):
            return encoding
    return None


def _is_mixed(data: bytes) -> bool:
    """Whether bytes that are not UTF-8 as a whole hold a good part that is."""
    if _LONG_RUN.search(data):
        return True
    first = codepage.first_high_byte(data)
    part = data[first : first + 4 * _SAMPLE]
    high = len(part) - len(part.translate(None, _HIGH))
    found = _SEQUENCES.findall(part)
    if len(found) < 2:
        return False
    covered = sum(map(len, found))
    damaged = 2.0 * covered + _WRONG_BYTE * (high - covered)
    return damaged < codepage.rank(part)[0].cost_per_byte * high


def _mixed_error(source: Source, data: bytes, bad: int, *, offset: int = 0) -> EncodingError:
    """`data` starts at byte `offset` of the source; byte `bad` of the source is the first wrong."""
    rest = data[bad - offset :]
    found = rest[:8]
    likely = codepage.rank(rest[: 4 * _SAMPLE])[0].encoding
    what = f"looks like {likely}" if not _LONG_RUN.search(rest[:_SAMPLE]) else "is damaged"
    return EncodingError(
        f"{source.name} mixes encodings: UTF-8 up to byte {bad:,} (line "
        f"{_line_at(source, bad, 'utf-8'):,}), where the bytes {found.hex(' ')} are none, and what "
        f"follows {what}. Convert the parts to one encoding (for example "
        f"`iconv -f {_iconv(likely)} -t utf-8` on the second), or type --encoding NAME if all of "
        "it is in one"
    )


def decoding_error(
    source: Source, detection: Detection, position: int, found: bytes
) -> EncodingError:
    """The error that bytes at `position` of a source are no text in the encoding taken.

    Args:
        source: Whose bytes.
        detection: The encoding taken and why.
        position: Of the first wrong byte, counted from 0, the byte order mark included.
        found: The bytes there, a few.
    """
    encoding = detection.encoding
    line = _line_at(source, position, encoding, detection.bom_length)
    if detection.reason.startswith("given by"):
        advice = "leave --encoding out to have it detected, or type another one"
    else:
        likely = codepage.rank(_bytes_at(source, position))[0].encoding
        if likely == encoding:
            likely = "cp1251"
        advice = (
            f"repair these bytes, or type --encoding {likely} if the whole file is in that encoding"
        )
    return EncodingError(
        f"{source.name} is not {encoding.upper()} ({detection.reason}): the bytes "
        f"{found.hex(' ')} at byte {position:,}, line {line:,}, stand for no character; {advice}"
    )


def nul_error(source: Source, position: int | None) -> BinaryFileError:
    """The error that a NUL character stands in a source, at byte `position` where that is known."""
    where = (
        "" if position is None else f" at byte {position:,}, line {_line_at(source, position):,}"
    )
    return BinaryFileError(
        f"{source.name} is no text: it holds a NUL character{where}, which no text does. "
        "Name a text file; if it is one and was damaged, "
        f"`tr -d '\\000' < {source.name} > clean.txt` takes them out"
    )


def _refuse_known_formats(source: Source, head: bytes) -> None:
    for start, magic, name in _MAGIC:
        # A text may well begin with "ID3" or "BZh"; the rest of such a file is no text.
        doubtful = magic.isalnum() and magic.isascii()
        if head.startswith(magic, start) and not (doubtful and _looks_clean(head)):
            raise BinaryFileError(
                f"{source.name} is no text: it looks like {name}; convert it to plain text first"
            )


def _looks_clean(head: bytes) -> bool:
    return 0 not in head and _scan(head, "utf-8").bad is None


def _refuse_nul(source: Source, data: bytes) -> None:
    position = data.find(0)
    if position >= 0:
        raise nul_error(source, position)


def _byte_order_mark(head: bytes) -> tuple[bytes, str | None]:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return mark, encoding
    return b"", None


def _bytes_at(source: Source, position: int) -> bytes:
    with source.open() as file:
        _skip(file.read, position)
        return file.read(_SAMPLE)


def _skip(read: object, count: int) -> None:
    assert callable(read)
    while count > 0:
        data = read(min(count, _HEAD))
        if not data:
            return
        count -= len(data)


def _line_at(source: Source, position: int, encoding: str = "latin-1", skip: int = 0) -> int:
    """The number, from 1, of the line that byte `position` stands in."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    lines = 1
    last = ""
    left = position - skip
    with source.open() as file:
        file.read(skip)
        while left > 0 and (data := file.read(min(left, _HEAD))):
            left -= len(data)
            text = decoder.decode(data)
            if not text:
                continue
            lines += text.count("\n") + text.count("\r") - text.count("\r\n")
            if last == "\r" and text[0] == "\n":
                lines -= 1
            last = text[-1]
    return lines


def _iconv(encoding: str) -> str:
    """The name `iconv` has for an encoding of ours."""
    return encoding.replace("mac_cyrillic", "maccyrillic").replace("_", "-")


def _encoding_name(name: str) -> str:
    """Python's name of an encoding.

    Raises:
        ConfigError: It is not known, or no text file is written in it.
    """
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        raise ConfigError(f"the encoding '{name}' is not known{_close_names(name)}") from None
    known = info.name
    # Public in effect: codecs.open and bytes.decode refuse by it what is no text encoding.
    if not info._is_text_encoding or known.replace("-", "_") in _NO_TEXT_FILES:
        raise ConfigError(
            f"'{name}' is no encoding of text files; expected one such as utf-8, cp1251 or koi8_r"
        )
    if known == "utf-8-sig":
        return "utf-8"
    return known if known.startswith("utf") else known.replace("-", "_")


def _close_names(name: str) -> str:
    lower = name.lower().replace("-", "_").replace(" ", "_")
    names = sorted({*aliases, *aliases.values()})
    close = difflib.get_close_matches(lower, names, n=3, cutoff=0.6)
    plain = re.sub(r"[^a-z0-9]", "", lower)
    digits = re.sub(r"\D", "", lower)
    for known in names:
        squeezed = re.sub(r"[^a-z0-9]", "", known)
        if squeezed == plain or (len(digits) >= 3 and known == f"cp{digits}"):
            close.insert(0, known)
    if not close:
        return "; expected one such as utf-8, cp1251, koi8_r, cp866, mac_cyrillic or utf-16"
    return f"; did you mean {' or '.join(dict.fromkeys(close[:3]))}?"


@cache
def is_byte_table(encoding: str) -> bool:
    """Whether every character is one byte and the first 128 are ASCII."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    chars = []
    for byte in range(256):
        decoder.reset()
        chars.append(decoder.decode(bytes([byte])))  # empty where more bytes are waited for
    ascii_part = "".join(chars[:128]) == bytes(range(128)).decode("ascii")
    return ascii_part and all(len(char) == 1 for char in chars)
