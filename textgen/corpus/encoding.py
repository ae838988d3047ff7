"""The encoding of a source: which one, how sure that is, and why.

The order: an encoding that was asked for; a byte order mark; strict UTF-8; UTF-16 and UTF-32
without a mark; CESU-8; else the legacy encoding in which the bytes look most like a text
(`textgen.corpus.codepage`). A guess with a confidence below `SURE` comes with a note that gives the
second candidate. A source below `WHOLE_LIMIT` bytes is checked whole. Of a longer one the start and
the end are checked; the rest is decoded strictly later, unless replacements were asked for.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

from textgen.corpus import codepage, damage
from textgen.corpus.codepage import Candidate
from textgen.corpus.corpus_options import FileOptions
from textgen.corpus.damage import ASKED, SEQUENCES, count_high, decoding_error, nul_error
from textgen.corpus.encoding_names import CESU8, SURROGATE_PAIR, encoding_name, is_byte_table
from textgen.corpus.formats import refuse_other_formats, written_otherwise
from textgen.corpus.source import Source
from textgen.corpus.wide import CONTROLS, refuse_joined, script_share
from textgen.errors import BinaryFileError, EmptyCorpusError, EncodingError
from textgen.messages import Message, named

#: Sources below this many bytes are checked whole.
WHOLE_LIMIT = 16 << 20
#: From this confidence on an encoding is taken without a note: of a hundred such texts at least 97
#: are read right (benchmarks/encodings.py).
SURE = 0.9

_HEAD = 1 << 20
_TAIL = _SAMPLE = 64 << 10
#: The largest share of characters that may be replaced; beyond it the encoding must be wrong.
_MOST_LOST = 0.25

_MARKS = (  # the longer ones first: a mark of UTF-32 starts like one of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Detection:
    """The encoding a source is read in.

    Args:
        encoding: Python's name of it, `utf-16-le` or `-be` for UTF-16.
        confidence: How sure that is, from 0 to 1.
        reason: Why, in a few words.
        bom_length: Bytes of the byte order mark, which is not part of the text.
        dropped: Bytes left out at the end because a character is cut short there; `reason` says so.
        errors: `"strict"`, or `"replace"` if U+FFFD replaces what cannot be decoded.
        notes: What the user should know, without the name of the source.
    """

    encoding: str
    confidence: float
    reason: str
    bom_length: int = 0
    dropped: int = 0
    errors: str = "strict"
    notes: tuple[str, ...] = ()


def detect(source: Source, options: FileOptions | None = None) -> Detection:
    """Return how a source is encoded.

    Args:
        source: The source of the bytes.
        options: `encoding` is taken instead of detecting one: a name of Python, or what programs
            call it (`windows-1251`, `utf8-bom`). With `encoding_errors` "replace" bytes that stand
            for no character are accepted. None means the defaults.
    Raises:
        ConfigError: The encoding of the options is not known.
        EmptyCorpusError: The source is empty, or holds only a byte order mark.
        BinaryFileError: It is not text.
        EncodingError: It is in no known encoding, in two, or not in that of the options.
        StorageError: It cannot be read.
    """
    options = options or FileOptions()
    asked = None if options.encoding is None else encoding_name(options.encoding)
    sample = _Sample(source, options.encoding_errors)
    if not sample.head:
        raise EmptyCorpusError(f"{source.name} is empty; a text is expected")
    marks = ((mark, encoding) for mark, encoding in _MARKS if sample.head.startswith(mark))
    mark, marked = next(marks, (b"", None))
    refuse_other_formats(source.name, sample.head[len(mark) if marked == "utf-8" else 0 :])
    if sample.whole and len(mark) == len(sample.head):
        raise EmptyCorpusError(
            f"{source.name} holds a byte order mark and no text; a text is expected"
        )
    if asked is not None:
        detection = _check_override(sample, asked, mark, marked)
    elif marked is not None:
        detection = _check_marked(sample, mark, marked)
    else:
        detection = _detect_unmarked(sample)
    if not detection.encoding.startswith(("utf-16", "utf-32")):
        body = sample.head[detection.bom_length :]
        detection = replace(detection, notes=detection.notes + written_otherwise(body))
    return detection


class _Sample:
    """The examined part of a source: all of it below `WHOLE_LIMIT`, else its start and end.

    `head` is the start (if `whole`, everything); `tail` holds the last bytes of a long plain file.
    """

    def __init__(self, source: Source, errors: str) -> None:
        self.source = source
        self.errors = errors
        self.tail = b""
        size = source.size
        with source.open() as file:
            if size is not None and size >= WHOLE_LIMIT:
                self.head = file.read(_HEAD)
                self.whole = False
                file.seek(size - _TAIL)
                self.tail = file.read(_TAIL)
            else:
                self.head = file.read(WHOLE_LIMIT)
                self.whole = len(self.head) < WHOLE_LIMIT
        self.controls = len(self.head) - len(self.head.translate(None, CONTROLS))


def _scan(data: bytes, encoding: str) -> tuple[int | None, int]:
    """How far bytes decode: the first wrong one, or how many at the end are incomplete."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        decoder.decode(data)
    except UnicodeDecodeError as error:
        return error.start, 0
    pending = decoder.getstate()[0]
    return None, len(pending) if isinstance(pending, bytes) else 0


def _checked(sample: _Sample, detection: Detection) -> Detection:
    """The detection, after the head decodes in it, perhaps with replacements."""
    head = sample.head
    body = head[detection.bom_length :]
    bad, pending = _scan(body, detection.encoding)
    if bad is None:
        if sample.whole and pending:
            return _drop_end(detection, pending, len(head))
        return detection
    bad += detection.bom_length
    if sample.errors == "strict":
        raise decoding_error(sample.source, detection, bad, head[bad : bad + 8])
    return _replacing(sample, detection, body)


def _replacing(sample: _Sample, detection: Detection, body: bytes) -> Detection:
    """The detection for reading with replacements, unless there would be too many."""
    text = body.decode(detection.encoding, "replace")
    lost = text.count("\ufffd")
    if lost > _MOST_LOST * len(text):
        raise damage.lost_error(sample.source, detection.encoding, lost, len(text))
    return replace(detection, errors="replace")


def _check_override(sample: _Sample, asked: str, mark: bytes, marked: str | None) -> Detection:
    source = sample.source
    encoding = asked
    if asked in ("utf-16", "utf-32"):
        fits = marked is not None and marked.startswith(asked)
        encoding = marked if fits and marked is not None else _endianness(sample.head, asked)
    bom_length = len(mark) if encoding == marked else 0
    if encoding.startswith("utf-16"):
        refuse_joined(source, sample.head, encoding)
    if is_byte_table(encoding) or encoding == "utf-8":
        _refuse_nul(source, sample.head)
    return _checked(sample, Detection(encoding, 1.0, ASKED, bom_length))


def _check_marked(sample: _Sample, mark: bytes, encoding: str) -> Detection:
    """Detect by the byte order mark; the bytes must agree with it."""
    name = encoding.upper()
    detection = Detection(encoding, 1.0, f"byte order mark of {name}", len(mark))
    refuse_joined(sample.source, sample.head, None if encoding == "utf-8" else encoding)
    detection = _checked(sample, detection)
    if encoding == "utf-8":
        _refuse_nul(sample.source, sample.head)
    elif "\0" in sample.head[len(mark) :].decode(encoding, "replace"):
        raise nul_error(sample.source, None)
    return detection


def _detect_unmarked(sample: _Sample) -> Detection:
    source, head = sample.source, sample.head
    # A text in a legacy encoding has neither NULs nor control characters. UTF-16 has them in every
    # second place; if all letters are ASCII, its bytes are valid UTF-8 too.
    if 0 in head or sample.controls:
        refuse_joined(source, head, None)
        wide = _detect_wide(sample)
        if wide is not None:
            return wide
    _refuse_nul(source, head)
    bad, pending = _scan(head, "utf-8")
    _refuse_controls(sample, 10 if bad is None else 50)
    if bad is None:
        found = _detect_utf8(sample, pending)
        return found or _detect_legacy(sample, head, codepage.rank(head))
    if SURROGATE_PAIR.search(head) and _scan(head, CESU8)[0] is None:
        return _checked(sample, Detection(CESU8, 0.95, _CESU8_REASON))
    ranked = codepage.rank(head)
    mixture = damage.find_mixture(head, ranked)
    if mixture is None:
        return _detect_legacy(sample, head, ranked)
    if sample.errors == "replace":
        return _replacing(sample, Detection("utf-8", 0.95, _DAMAGED_REASON), head)
    raise damage.mixture_error(source, head, bad, mixture)


#: An accented capital with a dash, a quote or dots after it (`CAFÉ—` in cp1252): in UTF-8 these
#: bytes are a letter of another script.
_CHANCE = re.compile(rb"(?<=[A-Z]{2})[\xc8-\xcf\xd1-\xdf][\x85\x91-\x97]")

_CESU8_REASON = "CESU-8: UTF-8 with each character beyond U+FFFF in two halves"
_VALID_REASON = "its bytes are valid UTF-8"
_DAMAGED_REASON = "UTF-8 for the most part; what is not is replaced"


def _refuse_controls(sample: _Sample, part: int) -> None:
    """Refuse a source with more than a few control characters, and more than one in `part`."""
    if sample.controls > max(4, len(sample.head) // part):
        raise BinaryFileError(
            f"{sample.source.name} is not text: {sample.controls:,} of the first "
            f"{len(sample.head):,} bytes are control characters; name a text file"
        )


def _detect_utf8(sample: _Sample, pending: int) -> Detection | None:
    """Detect a source whose head is UTF-8; None if another encoding is likelier."""
    source, head = sample.source, sample.head
    if sample.whole:
        if pending:
            if not SEQUENCES.search(head):
                return None  # no other UTF-8 in it: the last letter of a legacy encoding
            return _drop_end(Detection("utf-8", 0.95, _VALID_REASON), pending, len(head))
        chance = _CHANCE.findall(head)
        if chance and count_high(head) == 2 * len(chance) <= 4:
            return None
        return _warn(Detection("utf-8", 1.0, _VALID_REASON), head)
    reason = "valid UTF-8 (start and end; the rest is checked as it is read)"
    detection = Detection("utf-8", 0.99, reason)
    if not sample.tail:
        return _warn(detection, head)
    start = next((i for i, byte in enumerate(sample.tail[:3]) if byte & 0xC0 != 0x80), 3)
    bad, pending = _scan(sample.tail[start:], "utf-8")
    if bad is not None:
        return _detect_late(sample)
    if pending:
        assert source.size is not None
        return _drop_end(detection, pending, source.size)
    return _warn(detection, head)


def _detect_late(sample: _Sample) -> Detection:
    """Detect a long file whose start is UTF-8 or ASCII and whose end is not."""
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
                mixture = damage.find_mixture(around)
                if beyond_ascii or not before.isascii() or mixture is not None:
                    if sample.errors == "replace":
                        return Detection("utf-8", 0.95, _DAMAGED_REASON, errors="replace")
                    mixture = mixture or damage.Mixture(2, False)
                    raise damage.mixture_error(source, around, bad, mixture, offset=bad) from error
                return _detect_legacy(sample, around, codepage.rank(around))
            beyond_ascii = beyond_ascii or not text.isascii()
            position += len(data)
    # Only the tail alone is wrong: it starts inside a character.
    return Detection("utf-8", 0.99, _VALID_REASON)


def _detect_legacy(sample: _Sample, data: bytes, ranked: list[Candidate]) -> Detection:
    """The most plausible candidate for bytes that are not UTF-8."""
    source = sample.source
    if sample.errors == "strict":
        damage.refuse_mixed_lines(source, data)
        damage.refuse_two_pages(source, data)
    best = ranked[0]
    confidence = codepage.confidence(ranked)
    if confidence < 0.5 and not best.plausible:
        position = _scan(data, "utf-8")[0] or 0
        raise EncodingError(
            f"{source.name} is in no known encoding: it is not UTF-8 (first at byte "
            f"{position:,}: {data[position : position + 8].hex(' ')}), and it looks like a text in "
            f"no other encoding ({best.encoding} is the closest). If it is a text, name its "
            f"encoding, for example {named('encoding', best.encoding)}"
        )
    rival = codepage.rival(ranked)
    other = "no other candidate comes near" if rival is None else f"next best is {rival.encoding}"
    reason = f"not UTF-8; reads as {codepage.describe(best)}; {other}"
    detection = Detection(best.encoding, confidence, reason)
    if confidence < SURE:
        detection = replace(detection, notes=(_doubt(detection, rival, data),))
    if data is not sample.head:
        return detection
    try:
        return _checked(sample, detection)
    except EncodingError:
        if sample.errors == "strict":
            damage.refuse_mixed_lines(source, data, least=6)
        raise


def _doubt(detection: Detection, rival: Candidate | None, data: bytes) -> str:
    """The note that an encoding is a guess; it shows what the second candidate gives."""
    said = f"is read as {detection.encoding}, which is a guess (confidence {detection.confidence})"
    if rival is None:
        return Message(f"{said}; if the text looks wrong, give {named('encoding', 'NAME')}")
    one, two = codepage.first_difference(data, detection.encoding, rival.encoding)
    return Message(
        f"{said}: it gives '{one}', and {rival.encoding}, the second candidate, '{two}'; "
        f"if that one is right, give {named('encoding', rival.encoding)}"
    )


def _detect_wide(sample: _Sample) -> Detection | None:
    """Detect UTF-16 or UTF-32 without a byte order mark by its characters."""
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
        score = script_share(text)
        small = sum(char < "\u0600" for char in text)
        if score and (best is None or (score, small) > best[:2]):
            best = (score, small, encoding)
    if best is None or best[0] < 0.75:
        return None
    encoding = best[2]
    name = encoding.upper()
    confidence = 0.95 if len(part) >= 32 else 0.7
    detection = Detection(encoding, confidence, f"reads as {name} without a byte order mark")
    if confidence < SURE:
        name_it = named("encoding", "NAME")
        note = f"is read as {name}, which is a guess; if it looks wrong, give {name_it}"
        detection = replace(detection, notes=(Message(note),))
    return _checked(sample, detection)


def _endianness(data: bytes, family: str) -> str:
    """The byte order of UTF-16 or UTF-32 without a mark; little-endian by default."""
    decoded = {}
    for order in ("le", "be"):
        encoding = f"{family}-{order}"
        part = data[:_SAMPLE]
        bad, pending = _scan(part, encoding)
        if bad is None:
            decoded[encoding] = script_share(part[: len(part) - pending].decode(encoding))
    return max(decoded, key=decoded.__getitem__) if decoded else f"{family}-le"


def _drop_end(detection: Detection, pending: int, length: int) -> Detection:
    what = "byte is" if pending == 1 else f"{pending} bytes are"
    return replace(
        detection,
        confidence=min(detection.confidence, 0.95),
        reason=f"{detection.reason}; the last {what} the start of a character cut short "
        f"(at byte {length - pending:,}) and left out",
        dropped=pending,
    )


def _warn(detection: Detection, data: bytes) -> Detection:
    """The detection with a warning if the text was damaged earlier."""
    part = data[: 4 * _SAMPLE]
    if part.isascii():
        return detection
    text = part.decode("utf-8", "ignore")
    once = _double_encoded(text)
    if once is not None:
        what = (
            f"looks double-encoded: UTF-8 that was read as {once} and written as UTF-8 again; "
            "taken as it is"
        )
        return replace(
            detection,
            confidence=min(detection.confidence, 0.5),
            reason=f"{detection.reason}, but it {what}",
            notes=(what,),
        )
    if "\ufffd" in text:
        what = "holds replacement characters (U+FFFD), so something was lost when it was written"
        return replace(detection, reason=f"{detection.reason}; {what}", notes=(what,))
    return detection


def _double_encoded(text: str) -> str | None:
    """The encoding that UTF-8 was misread in to give this text; None if it was not misread."""
    for encoding in ("cp1252", "latin-1", "cp1251", "koi8_r", "cp866", "mac_roman"):
        data = text.encode(encoding, "replace")
        high = count_high(data)
        found = SEQUENCES.findall(data)
        covered = sum(map(len, found))
        # A few characters are missing in the encoding it was misread in, hence not all.
        if len(found) >= 4 and covered * 10 >= high * 7 and high * 4 >= len(data):
            return encoding
        # Mostly ASCII with a few accents: every byte beyond ASCII must be explained.
        if len(found) >= 4 and covered == high == sum(char > "\x7f" for char in text):
            return encoding
    return None


def _refuse_nul(source: Source, data: bytes) -> None:
    position = data.find(0)
    if position >= 0:
        raise nul_error(source, position)
