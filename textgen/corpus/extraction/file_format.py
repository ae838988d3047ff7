"""Which format a file has, by its beginning and its name, and how it is read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from textgen.corpus.extraction import (
    chat_json,
    chat_text,
    epub_book,
    screenplay,
    subtitles,
    table_column,
    web_page,
    word_document,
)
from textgen.corpus.extraction.gutenberg import mark_licence
from textgen.corpus.extraction.piece import FilePiece
from textgen.corpus.formats import names_in_zip


@dataclass(frozen=True)
class FileFormat:
    """A format of files.

    Args:
        name: How a person asks for it.
        called: What such a file is, in words.
        endings: Of the names of such files.
        read_bytes: Reads the name and the bytes of a file; None where it is text.
        read_text: Reads the name, the text, and the column that was asked for.
        is_whole: Whether a file is one text, which may be cut into documents as a text is; else it
            says itself what its documents are.
    """

    name: str
    called: str
    endings: tuple[str, ...]
    read_bytes: Callable[[str, BinaryIO], Iterator[FilePiece]] | None = None
    read_text: Callable[[str, Iterable[str], str | None], Iterator[FilePiece]] | None = None
    is_whole: bool = True


def _plain(name: str, chunks: Iterable[str], column: str | None) -> Iterator[FilePiece]:
    return mark_licence(map(FilePiece, chunks))


#: Every format by its name.
FORMATS = {
    own.name: own
    for own in (
        FileFormat("text", "plain text", (".txt", ".text", ".md"), read_text=_plain),
        FileFormat(
            *("chat", "a chat of WhatsApp", ()),
            read_text=lambda name, chunks, column: chat_text.read_chat(chunks),
        ),
        FileFormat(
            *("subtitles", "subtitles", (".srt", ".vtt")),
            read_text=lambda name, chunks, column: subtitles.read_subtitles(name, chunks),
        ),
        FileFormat(
            *("screenplay", "a screenplay", (".fountain", ".spmd")),
            read_text=lambda name, chunks, column: screenplay.read_screenplay(chunks),
        ),
        FileFormat(
            *("html", "a web page", (".html", ".htm", ".xhtml")),
            read_text=lambda name, chunks, column: mark_licence(web_page.read_page(name, chunks)),
        ),
        FileFormat(
            *("epub", epub_book.WHAT, (".epub",)),
            read_bytes=lambda name, stream: mark_licence(epub_book.read_book(name, stream)),
        ),
        FileFormat("docx", word_document.WHAT, (".docx",), read_bytes=word_document.read_word),
        FileFormat(
            *("csv", "a table", (".csv",)), read_text=table_column.read_column, is_whole=False
        ),
        FileFormat(
            *("tsv", "a table", (".tsv", ".tab")),
            read_text=lambda name, chunks, column: table_column.read_column(
                name, chunks, column, tabs=True
            ),
            is_whole=False,
        ),
        FileFormat(
            *("json", "a chat of Telegram or Discord", (".json",)),
            read_bytes=chat_json.read_messages,
            is_whole=False,
        ),
    )
}
#: The endings of all formats.
ENDINGS = tuple(ending for own in FORMATS.values() for ending in own.endings)

_ZIP = b"PK\x03\x04"
_EPUB = b"application/epub+zip"
#: How the parts of a Word document end; a folder `word` may have texts in it.
_XML = (b".xml", b".rels")
_HTML = re.compile(
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.{0,2000}?-->\s*)?<(!doctype html|html)\b",
    re.IGNORECASE | re.DOTALL,
)
_JSON_CHAT = re.compile(rb'\s*\{.{0,65000}"messages"\s*:\s*\[', re.DOTALL)
_UTF8_MARK = b"\xef\xbb\xbf"


def packed_format(name: str, head: bytes) -> FileFormat | None:
    """The format of a file that is no text, but holds one: a book, a document.

    Args:
        name: Of the file.
        head: Its first bytes, some thousand.
    Returns:
        None for a text, and for what is not known.
    """
    if not head.startswith(_ZIP):
        return None
    ending = os.path.splitext(name.lower())[1].removeprefix(".")
    usual = ending if ending in ("epub", "docx") else ""
    if _EPUB in head:
        usual = "epub"
    elif any(part.startswith(b"word/") and part.endswith(_XML) for part in names_in_zip(head)):
        usual = "docx"
    return FORMATS.get(usual)


def format_of(name: str, head: bytes) -> FileFormat:
    """The format of a file by its name and first bytes; that of a text file is seen in its text.

    Args:
        name: Of the file; the ending of a packed one (.gz) is passed over.
        head: Some thousand bytes.
    """
    packed = packed_format(name, head)
    if packed is not None:
        return packed
    ending = os.path.splitext(name.lower().removesuffix(".gz"))[1]
    by_name = next((own for own in FORMATS.values() if ending in own.endings), FORMATS["text"])
    if by_name.name == "text":
        head = head.removeprefix(_UTF8_MARK)
        if _HTML.match(head):
            return FORMATS["html"]
        if not ending and _JSON_CHAT.match(head):
            return FORMATS["json"]
    return by_name


def text_format(head: str) -> FileFormat:
    """The format of a text file, by its beginning: a chat, subtitles, or just a text."""
    if chat_text.is_chat(head):
        return FORMATS["chat"]
    return FORMATS["subtitles" if subtitles.is_subtitles(head) else "text"]
