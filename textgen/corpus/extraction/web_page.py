"""Web pages: the words of HTML, without tags and scripts; menus and the like are set apart.

lxml (libxml2) reads the tags of any page, and tells them one by one: no tree is built, so memory
does not depend on the page's length. Nothing is fetched, and entities stand for single characters.
A chapter of a book is a page with fewer menus, and is XHTML.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from textgen.corpus.encoding_names import encoding_name
from textgen.corpus.extraction.piece import FilePiece, whole_characters
from textgen.errors import ConfigError, CorpusError
from textgen.extras import install_hint

#: What is no text at all.
_UNSEEN = frozenset(
    (
        *("head", "script", "style", "template", "noscript", "svg", "math", "iframe", "object"),
        *("audio", "video", "canvas"),
    )
)
#: What separates paragraphs, and what only lines.
_BLOCKS = frozenset(
    (
        *("p", "h1", "h2", "h3", "h4", "h5", "h6", "div", "section", "article", "main"),
        *("aside", "header", "footer", "nav", "blockquote", "pre", "ul", "ol", "dl", "table"),
        *("figure", "form", "fieldset", "address", "body", "hr"),
    )
)
_LINES = frozenset(["br", "li", "tr", "dt", "dd", "option", "caption", "figcaption", "legend"])
_CELLS = frozenset(("td", "th"))
_MENUS = frozenset(("nav", "button", "select", "menu"))
#: What makes a form more than a menu: some programs put one around the whole page.
_WRITTEN = frozenset(("p", "h1", "article", "main"))
#: These are menus where they do not belong to an article.
_FRAMES = frozenset(("header", "footer", "aside"))
_ARTICLES = frozenset(("article", "main", "section"))
_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "complementary", "menu"))
_VOID = frozenset(
    (
        *("br", "hr", "img", "input", "meta", "link", "wbr", "area", "base", "col", "embed"),
        *("source", "track", "param"),
    )
)
#: What parts of a book are called that list its chapters, figures and pages (`epub:type`).
_LISTS = frozenset(("toc", "landmarks", "page-list"))
_LICENCE = re.compile(r"\bpg-boilerplate\b")

_SPACES = re.compile(r"[ \t\n\r\f]+")
#: The kind of a form of which is not known yet whether it is a menu, and the longest menu.
_FORM, _LONGEST_MENU = "form", 1 << 16
#: Where comments and sections of plain characters begin and end, and what ends each.
_SECTIONS = re.compile(r"<!--|-->|<!\[CDATA\[|\]\]>")
_ENDS = {"<!--": "-->", "<![CDATA[": "]]>"}
_LONGEST_MARK = 9
#: Elements within elements; a page with more is none.
_DEEPEST = 5000
#: Characters fed at a time.
_PART = 1 << 16


class _Words:
    """What the parser tells of a page, turned into pieces.

    Args:
        in_book: Whether it is a chapter of a book.
    """

    def __init__(self, *, in_book: bool) -> None:
        self._in_book = in_book
        self._pieces: list[FilePiece] = []
        self._text: list[str] = []
        self._waiting = 0  # characters of a form that may be a menu
        self._kind = ""
        self._open: list[tuple[str, str]] = []  # each open element and the kind of what is in it
        self._unseen = 0
        self._pre = 0
        self._gap = 0  # line ends that are due
        self._space = False
        self._any = False

    def start(self, tag: Any, attributes: Mapping[str, str]) -> None:
        if not isinstance(tag, str):
            return
        tag = tag.rpartition("}")[2].lower()
        self._break(tag)
        if tag in _VOID:
            return
        if len(self._open) >= _DEEPEST:
            raise _TooDeepError
        kind = self._inner_kind()
        if kind == _FORM and tag in _WRITTEN:
            self._settle("")
            kind = ""
        if kind in ("", _FORM):
            kind = self._kind_of(tag, attributes) or kind
        self._open.append((tag, kind))
        self._unseen += tag in _UNSEEN
        self._pre += tag == "pre"

    def _kind_of(self, tag: str, attributes: Mapping[str, str]) -> str:
        if _LICENCE.search(attributes.get("class", "")):
            return "licence"
        if self._in_book:
            lists = not _LISTS.isdisjoint(attributes.get("epub:type", "").split())
            return "menus" if tag == "nav" or lists else ""
        framed = tag in _FRAMES and not any(name in _ARTICLES for name, _ in self._open)
        if tag in _MENUS or framed or attributes.get("role") in _ROLES:
            return "menus"
        return _FORM if tag == "form" else ""

    def _inner_kind(self) -> str:
        return self._open[-1][1] if self._open else ""

    def _settle(self, kind: str) -> None:
        """The form that is open turned out to be a menu, or text."""
        self._flush()
        self._pieces = [
            own._replace(kind=kind) if own.kind == _FORM else own for own in self._pieces
        ]
        self._open = [(tag, kind if own == _FORM else own) for tag, own in self._open]
        self._kind = kind if self._kind == _FORM else self._kind
        self._waiting = 0

    def end(self, tag: Any) -> None:
        if not isinstance(tag, str):
            return
        tag = tag.rpartition("}")[2].lower()
        if tag in _VOID:
            return
        self._break(tag)
        if self._open and self._open[-1][0] == tag:
            kind = self._open.pop()[1]
            if tag == "form" and kind == _FORM != self._inner_kind():
                self._settle("menus")
            self._unseen -= tag in _UNSEEN
            self._pre -= tag == "pre"

    def data(self, data: str) -> None:
        if self._unseen:
            return
        data = data.replace("\0", "")
        if not self._pre:
            data = _SPACES.sub(" ", data)
            if data.startswith(" "):
                self._space, data = True, data[1:]
            if not data:
                return
            trails = data.endswith(" ")
            data = data.removesuffix(" ")
        else:
            trails = False
        kind = self._inner_kind()
        if kind != self._kind:
            self._flush()
            self._kind = kind
        if self._gap:
            self._text.append("\n" * self._gap if self._any else "")
        elif self._space and self._any:
            self._text.append(" ")
        self._text.append(data)
        self._gap, self._space, self._any = 0, trails, True
        if kind == _FORM:
            self._waiting += len(data)
            if self._waiting > _LONGEST_MENU:
                self._settle("")

    def comment(self, text: str) -> None:
        """A comment is no text."""

    def close(self) -> None:
        """The page has ended."""
        self._gap = 0
        if self._any:
            self._text.append("\n")
        self._settle("menus")

    def take(self) -> list[FilePiece]:
        """What was read and is known; a form that may be a menu waits for its end."""
        self._flush()
        if any(kind == _FORM for _, kind in self._open):
            return []
        taken, self._pieces = self._pieces, []
        return taken

    def _flush(self) -> None:
        if text := "".join(self._text):
            self._pieces.append(FilePiece(text, self._kind))
        self._text = []

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._gap, self._space = 2, False
        elif tag in _LINES:
            self._gap, self._space = max(self._gap, 1), False
        elif tag in _CELLS:
            self._space = True


class _TooDeepError(Exception):
    pass


def page_encoding(declared: str, head: bytes) -> str | None:
    """The encoding of a page that says itself which one it has.

    Args:
        declared: What it says, read from the page as ASCII.
        head: Its first bytes.
    Returns:
        UTF-8 where the bytes beyond ASCII are that: such a page was converted, and still says the
        old name. None where what it says is of no use: not known, of no texts, or one of the
        encodings in which the declaration could not have been read.
    """
    try:
        encoding = encoding_name(declared)
    except ConfigError:
        return None
    if encoding.startswith(("utf-16", "utf-32", "utf-7")):
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return encoding
    return encoding if head.isascii() else "utf-8"


def read_page(name: str, chunks: Iterable[str], *, in_book: bool = False) -> Iterator[FilePiece]:
    """The words of a page.

    Args:
        name: Of the file, in messages.
        chunks: Its text.
        in_book: Whether it is a chapter of a book: XHTML, in which only lists of chapters and pages
            are menus.
    Raises:
        CorpusError: lxml is not installed, or the page is not one.
    """
    words = _Words(in_book=in_book)
    parser = html_parser(name, words)
    from lxml import etree

    began = False
    try:
        for chunk in _as_html(chunks) if in_book else chunks:
            for start in range(0, len(chunk), _PART):
                parser.feed(whole_characters(chunk[start : start + _PART]))
                began = True
                yield from words.take()
        if began:  # The parser has nothing to end where a page is empty.
            parser.close()
    except etree.LxmlError as error:
        raise CorpusError(
            f"{name} is no web page that can be read: {str(error)[:80]}; leave it out"
        ) from None
    except _TooDeepError:
        raise CorpusError(
            f"{name} has more than {_DEEPEST:,} elements within each other, as no page has; "
            "leave it out"
        ) from None
    yield from words.take()


def _as_html(chunks: Iterable[str]) -> Iterator[str]:
    """The same text, with CDATA sections of XHTML as HTML writes their characters."""
    rest, section = "", ""
    for chunk in chunks:
        text, told, done = rest + chunk, [], 0
        for mark in _SECTIONS.finditer(text):
            opens = not section and mark[0] in _ENDS
            if not opens and mark[0] != _ENDS.get(section):
                continue  # It is text of the section, or of the page.
            told.append(_characters(text[done : mark.start()], section))
            told.append(mark[0] if mark[0] in ("<!--", "-->") else "")
            done, section = mark.end(), mark[0] if opens else ""
        sure = max(done, len(text) - _LONGEST_MARK + 1)  # A mark may go on in the next chunk.
        told.append(_characters(text[done:sure], section))
        rest = text[sure:]
        yield "".join(told)
    yield _characters(rest, section)


def _characters(text: str, section: str) -> str:
    return html.escape(text, quote=False) if section == "<![CDATA[" else text


def html_parser(name: str, target: object) -> Any:
    """A parser that tells `target` what stands in a page.

    Raises:
        CorpusError: lxml is not installed.
    """
    require_lxml(name, "a web page")
    from lxml import etree

    return etree.HTMLParser(target=target, huge_tree=True, no_network=True, remove_pis=True)


def require_lxml(name: str, what: str) -> None:
    """Make sure that lxml is there.

    Raises:
        CorpusError: It is not installed.
    """
    try:
        import lxml.etree  # noqa: F401
    except ImportError:
        raise CorpusError(
            f"{name} is {what}, which is read by lxml, and that is not installed; "
            f"{install_hint('lxml')}"
        ) from None
