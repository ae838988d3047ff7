r"""Files that are not plain text: what they are, and how to get the text out of them.

Files of other formats are refused (`refuse_other_formats`). Text with marks of another kind, such
as HTML or `\u0436`, is read as it is, with a note (`written_otherwise`).
"""

from __future__ import annotations

import re

from textgen.errors import BinaryFileError
from textgen.messages import Message, call, named

_CONVERT = "convert it to plain text first"
_SAVE_AS_TEXT = "open it in a word processor and save it as plain text (.txt)"
_UNPACK = "unpack it and name the texts in it"

#: Beginnings of files that are often named by mistake: position, bytes, name, and what to do.
_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image", _CONVERT),
    (0, b"\xff\xd8\xff", "a JPEG image", _CONVERT),
    (0, b"GIF87a", "a GIF image", _CONVERT),
    (0, b"GIF89a", "a GIF image", _CONVERT),
    (0, b"RIFF", "a sound, video or WebP image", _CONVERT),
    (0, b"\x7fELF", "an ELF program", _CONVERT),
    (0, b"\x1f\x8b\x08", "gzip data", "a gzip file must be called .gz, so rename it"),
    (0, b"PK\x03\x04", "a zip archive", _UNPACK),
    (0, b"%PDF-", "a PDF document", "convert it to plain text first, for example with pdftotext"),
    (0, b"%!PS-Adobe", "a PostScript document", _CONVERT),
    (0, b"{\\rtf", "a rich text document (RTF)", _SAVE_AS_TEXT),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document", _SAVE_AS_TEXT),
    (0, b"\xffWPC", "a WordPerfect document", _SAVE_AS_TEXT),
    (60, b"BOOKMOBI", "a Kindle book", _CONVERT),
    (0, b"AT&TFORM", "a DjVu document", _CONVERT),
    (0, b"BZh", "bzip2 data", _UNPACK),
    (0, b"\xfd7zXZ\x00", "xz data", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "zstd data", _UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (0, b"SQLite format 3\x00", "an SQLite database", _CONVERT),
    (0, b"\x00\x05\x16\x07", "a Mac's record about another file", "leave it out"),
    (0, b"OggS\x00", "Ogg audio", _CONVERT),
    (0, b"ID3", "MP3 audio", _CONVERT),
    (4, b"ftyp", "MP4 video", _CONVERT),
    (257, b"ustar", "a tar archive", _UNPACK),
)

_ZIP_ENTRY = re.escape(b"PK\x03\x04")
#: What a zip archive is, by the names in it; books and documents that are read are not among them.
_IN_ZIP = (
    (b"application/vnd.oasis.opendocument", "an OpenDocument file (a zip archive)", _SAVE_AS_TEXT),
    (b"xl/", "an Excel table (a zip archive)", _SAVE_AS_TEXT),
    (b"ppt/", "a PowerPoint file (a zip archive)", _SAVE_AS_TEXT),
)

#: What editors put before the beginning of an RTF file.
_BEFORE_RTF = b"\xef\xbb\xbf \t\r\n"

#: Encodings that write all letters in ASCII: their pattern, how often it must occur, the names.
_IN_ASCII = (
    (re.compile(rb"\x1b\$[@B][!-~]+\x1b\([BJ]"), 1, "iso2022_jp", "ISO-2022-JP (Japanese mail)"),
    (re.compile(rb"~\{(?:[!-w][!-~])+~\}"), 2, "hz", "HZ (Chinese mail)"),
    (re.compile(rb"(?<![\w+/])\+[A-Z][A-Za-z0-9+/]{2,}"), 4, "utf-7", "UTF-7"),
)

#: Bytes that are examined for other ways to write a text.
_PART = 64 << 10

_HTML_START = re.compile(rb"\s*(<\?xml[^>]*>\s*)?<(!doctype html|html|head|body)\b", re.IGNORECASE)
_TAG = re.compile(
    rb"</?(p|div|span|br|a|td|tr|th|li|ul|b|i|em|strong|h[1-6])(\s[^<>]*)?/?>", re.IGNORECASE
)
_ENTITY = re.compile(rb"&(#\d{2,6}|#x[0-9a-f]{2,5}|[a-z]{2,8});", re.IGNORECASE)
#: What stands around the words of some text files: its pattern, how often it must occur, a note.
_AROUND_TEXT = (
    (
        re.compile(rb"^[\d:]{5,10}[.,]\d{3} --> [\d:]{5,10}[.,]\d{3}", re.MULTILINE),
        *(3, "holds subtitles, and their numbers and times are"),
    ),
    (
        re.compile(
            rb"^[^\w\n]{0,6}\d{1,4}[./-]\d{1,2}[./-]\d{1,4}[^\n]{1,20}?\d[:.]\d\d[^\n]{0,16}?"
            rb"(?:\]| -) ?[^\n:]{1,60}:",
            re.MULTILINE,
        ),
        *(5, "looks like a chat, and the date and time of each message are"),
    ),
    (
        re.compile(rb"^\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG", re.MULTILINE),
        *(1, "has the header and the licence of Project Gutenberg, which are"),
    ),
)
#: How a note ends whose advice is another command, which says itself what is there.
_WORDS = call("describe_corpus", "FILE", drop="boilerplate", out="words.txt")
WORDS_ALONE = f"to have the words alone: {_WORDS}"
_JSON_ESCAPE = re.compile(rb"\\u[0-9a-fA-F]{4}")


def refuse_other_formats(name: str, head: bytes) -> None:
    """Refuse a file that begins like a format other than text; `head` is some thousand bytes.

    Raises:
        BinaryFileError: The file has another format; the message says what to do.
    """
    if head.lstrip(_BEFORE_RTF).startswith(b"{\\rtf"):
        head = head.lstrip(_BEFORE_RTF)
    for start, magic, what, advice in _MAGIC:
        # A text may begin with "ID3" or "BZh" too; then the rest is clean.
        doubtful = magic.isalnum() and magic.isascii()
        if not head.startswith(magic, start) or (doubtful and _looks_clean(head)):
            continue
        if magic.startswith(b"PK"):
            what, advice = next(
                ((inner, how) for own, inner, how in _IN_ZIP if _holds(head, own)), (what, advice)
            )
        raise BinaryFileError(f"{name} is not text: it looks like {what}; {advice}")


def names_in_zip(head: bytes) -> list[bytes]:
    """The names of the first entries of a zip archive that begins with `head`."""
    names = []
    for entry in re.finditer(_ZIP_ENTRY, head):
        length = int.from_bytes(head[entry.start() + 26 : entry.start() + 28], "little")
        names.append(head[entry.start() + 30 : entry.start() + 30 + length])
    return names


def written_otherwise(data: bytes) -> tuple[str, ...]:
    r"""Return notes on a text with marks in it: HTML, `&#1078;`, `\u0436`.

    `data` is its start, in any encoding that includes ASCII.
    """
    part = data[:_PART]
    for pattern, least, encoding, what in _IN_ASCII if part.isascii() else ():
        if len(pattern.findall(part)) >= least and _has_other_letters(part, encoding):
            note = (
                f"looks like {what}, which is read as its ASCII signs; to have the letters, give "
                f"{named('encoding', encoding)}"
            )
            return (Message(note),)
    tags = len(_TAG.findall(part))
    if _HTML_START.match(part) or (tags >= 5 and tags * 200 >= len(part)):
        return (Message(f"holds HTML, and its tags are learned with the text; {WORDS_ALONE}"),)
    for marks, least, what in _AROUND_TEXT:
        if len(marks.findall(part)) >= least:
            return (Message(f"{what} learned with the text; {WORDS_ALONE}"),)
    for pattern, example in ((_JSON_ESCAPE, r"\u0436 (JSON)"), (_ENTITY, "&#1078; (HTML)")):
        found = sum(len(escape.group()) for escape in pattern.finditer(part))
        if found >= 24 and found * 20 >= len(part):
            return (
                f"writes letters as codes like {example}, which are learned as they are; decode "
                "them first to have the letters",
            )
    return ()


def _holds(head: bytes, mark: bytes) -> bool:
    """Whether a zip archive holds entries of that folder, or says that it is of that type."""
    if mark.endswith(b"/"):
        return any(name.startswith(mark) for name in names_in_zip(head))
    return mark in head


def _has_other_letters(data: bytes, encoding: str) -> bool:
    """Whether ASCII bytes decode to letters beyond ASCII in an encoding."""
    text = data[: data.rfind(b"\n") + 1 or len(data)].decode(encoding, "ignore")
    return sum(char > "\x7f" and char.isalpha() for char in text) >= 2


def _looks_clean(head: bytes) -> bool:
    if 0 in head:
        return False
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 8
    return True
