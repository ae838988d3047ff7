"""Documents of Word (.docx): a line for each paragraph, with tables and footnotes.

`word/document.xml` is read as it stands, for python-docx leaves out what was inserted while changes
were tracked, what stands in content controls and text boxes, and footnotes. What was deleted, and
the headers and footers of pages, are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from textgen.corpus.extraction.archive import Archive, parse_xml
from textgen.corpus.extraction.piece import FilePiece
from textgen.corpus.extraction.web_page import require_lxml
from textgen.errors import CorpusError

WHAT = "a Word document"
_RELATIONS = "_rels/.rels"
_USUAL = "word/document.xml"
#: Parts beside the main one, in its folder, that have text of the author.
_NOTES = ("footnotes.xml", "endnotes.xml")
#: What is not there any more, or stands there a second time for older programs.
_GONE = frozenset(("del", "moveFrom", "Fallback"))
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "\u2011"}


class _Paragraphs:
    """What the parser tells of a document, turned into text."""

    def __init__(self, archive: Archive) -> None:
        self.text: list[str] = []
        self._archive = archive
        self._gone = 0
        self._heard = 0  # within a run of text

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2]
        self._gone += name in _GONE
        if self._gone:
            return
        self._heard += name == "t"
        if name in _SIGNS and (name != "tab" or not attributes):  # With some it is a tab stop.
            self.text.append(_SIGNS[name])

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if name in _GONE:
            self._gone -= 1
        if self._gone:
            return
        if name == "t":
            self._heard -= 1
        elif name == "p":
            self.text.append("\n")
        elif name == "tc":
            self._end_cell("\t")
        elif name == "tr":
            self._end_cell("\n")

    def _end_cell(self, sign: str) -> None:
        if self.text and self.text[-1] in ("\n", "\t"):
            self.text.pop()
        self.text.append(sign)

    def data(self, data: str) -> None:
        if self._heard and not self._gone:
            self.text.append(data)

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise self._archive.damaged("it declares a document type, which none does")

    def close(self) -> None:
        """The part has ended."""


def read_word(name: str, stream: BinaryIO) -> Iterator[FilePiece]:
    """The text of a document of Word.

    Args:
        name: Of the file, in messages.
        stream: Its bytes.
    Raises:
        CorpusError: lxml is not installed, or the document is damaged or has no text.
    """
    require_lxml(name, WHAT)
    with Archive(name, stream, WHAT) as archive:
        main = _main(archive)
        folder = main.rpartition("/")[0]
        notes = [f"{folder}/{part}" for part in _NOTES if f"{folder}/{part}" in archive.parts]
        found = False
        for part in (main, *notes):
            for text in _paragraphs(archive, part):
                found = found or bool(text.strip())
                yield FilePiece(text)
        if not found:
            raise CorpusError(f"{name} has no text; pictures of pages are not read")


def _main(archive: Archive) -> str:
    """The part with the text."""
    if _RELATIONS in archive.parts:
        tree: Any = parse_xml(archive, _RELATIONS)
        for relation in tree.iter("{*}Relationship"):
            if (relation.get("Type") or "").endswith("/officeDocument"):
                return str(relation.get("Target") or _USUAL).lstrip("/")
    return _USUAL


def _paragraphs(archive: Archive, part: str) -> Iterator[str]:
    from lxml import etree

    target = _Paragraphs(archive)
    parser = etree.XMLParser(
        target=target, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        for block in archive.blocks(part):
            parser.feed(block)
            if len(target.text) > 1000:
                *told, last = target.text  # A cell may take the last sign back.
                target.text = [last]
                yield "".join(told)
        parser.close()
    except etree.LxmlError as error:
        raise archive.damaged(f"{part}: {str(error)[:80]}") from None
    yield "".join(target.text)
