"""Books in EPUB: their chapters in the order of reading, each a web page in a zip archive."""

from __future__ import annotations

import codecs
import posixpath
import re
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import unquote

from textgen.corpus.extraction.archive import Archive, parse_xml
from textgen.corpus.extraction.piece import FilePiece
from textgen.corpus.extraction.web_page import page_encoding, read_page, require_lxml

WHAT = "an EPUB book"
_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.-]{1,40})""")
#: How a chapter begins that is in Unicode, with a byte order mark or without.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
    *((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be")),
)
#: What stands between two chapters.
_BETWEEN = "\n\n"


def read_book(name: str, stream: BinaryIO) -> Iterator[FilePiece]:
    """The text of a book; its table of contents is set apart.

    Args:
        name: Of the file, in messages.
        stream: Its bytes.
    Raises:
        CorpusError: lxml is not installed; the book is damaged, encrypted, or has no text.
    """
    require_lxml(name, WHAT)
    with Archive(name, stream, WHAT) as archive:
        chapters = _chapters(archive)
        found = False
        for part, kind in chapters:
            head = next(archive.blocks(part), b"")
            encoding = _encoding(head)
            began = False
            for piece in read_page(name, _decoded(archive, part, encoding), in_book=True):
                if found and not began:
                    yield FilePiece(_BETWEEN, kind)
                found = began = True
                yield piece._replace(kind=kind or piece.kind)
        if not found:
            raise archive.damaged("it has no text; pictures of pages are not read")


def _chapters(archive: Archive) -> list[tuple[str, str]]:
    """The parts with text in the order of reading, and what kind of text it is."""
    container: Any = parse_xml(archive, _CONTAINER)
    package = next((root.get("full-path") for root in container.iter("{*}rootfile")), None)
    if not package:
        raise archive.damaged(f"{_CONTAINER} names no book")
    tree: Any = parse_xml(archive, package)
    folder = posixpath.dirname(package)
    items = {item.get("id"): item for item in tree.iter("{*}item")}
    locked = _locked(archive)
    chapters = []
    for reference in tree.iter("{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _PAGES:
            continue
        part = posixpath.normpath(posixpath.join(folder, unquote(item.get("href") or "")))
        if part in locked:
            raise archive.damaged("it is protected against copying (DRM)")
        is_contents = "nav" in (item.get("properties") or "").split()
        chapters.append((part, "menus" if is_contents else ""))
    if not chapters:
        raise archive.damaged("it lists no chapters")
    return chapters


def _locked(archive: Archive) -> set[str]:
    """The parts that are encrypted; fonts often are."""
    if _ENCRYPTION not in archive.parts:
        return set()
    tree: Any = parse_xml(archive, _ENCRYPTION)
    return {unquote(own.get("URI") or "") for own in tree.iter("{*}CipherReference")}


def _encoding(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    declared = _DECLARED.match(head.lstrip())
    told = page_encoding(declared[1].decode("ascii", "replace"), head) if declared else None
    return told or "utf-8"


def _decoded(archive: Archive, part: str, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in archive.blocks(part):
            yield decoder.decode(block)
        yield decoder.decode(b"", True)
    except UnicodeError as error:
        raise archive.damaged(f"its chapter {part} is no {encoding} ({str(error)[:80]})") from None
