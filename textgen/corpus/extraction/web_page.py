"""Web pages: the words of HTML, without tags and scripts; menus and the like are set apart.

lxml (libxml2) reads the tags of any page, and tells them one by one: no tree is built, so memory
does not depend on the page's length. Nothing is fetched, and entities stand for single characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from textgen.corpus.extraction.piece import FilePiece
from textgen.errors import CorpusError
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
_MENUS = frozenset(("nav", "form", "button", "select", "menu"))
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
_LICENCE = re.compile(r"\bpg-boilerplate\b")

_SPACES = re.compile(r"[ \t\n\r\f]+")
#: Elements within elements; a page with more is none.
_DEEPEST = 5000
#: Characters fed at a time.
_PART = 1 << 16


class _Words:
    """What the parser tells of a page, turned into pieces."""

    def __init__(self) -> None:
        self.pieces: list[FilePiece] = []
        self._text: list[str] = []
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
        kind = self._open[-1][1] if self._open else ""
        self._open.append((tag, kind or self._kind_of(tag, attributes)))
        self._unseen += tag in _UNSEEN
        self._pre += tag == "pre"

    def _kind_of(self, tag: str, attributes: Mapping[str, str]) -> str:
        if _LICENCE.search(attributes.get("class", "")):
            return "licence"
        framed = tag in _FRAMES and not any(name in _ARTICLES for name, _ in self._open)
        if tag in _MENUS or framed or attributes.get("role") in _ROLES:
            return "menus"
        return ""

    def end(self, tag: Any) -> None:
        if not isinstance(tag, str):
            return
        tag = tag.rpartition("}")[2].lower()
        if tag in _VOID:
            return
        self._break(tag)
        if self._open and self._open[-1][0] == tag:
            self._open.pop()
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
        kind = self._open[-1][1] if self._open else ""
        if kind != self._kind:
            self.flush()
            self._kind = kind
        if self._gap:
            self._text.append("\n" * self._gap if self._any else "")
        elif self._space and self._any:
            self._text.append(" ")
        self._text.append(data)
        self._gap, self._space, self._any = 0, trails, True

    def comment(self, text: str) -> None:
        """A comment is no text."""

    def close(self) -> None:
        """The page has ended."""
        self._gap = 0
        if self._any:
            self._text.append("\n")
        self.flush()

    def flush(self) -> None:
        """Hand over what was read."""
        if text := "".join(self._text):
            self.pieces.append(FilePiece(text, self._kind))
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


def read_page(name: str, chunks: Iterable[str]) -> Iterator[FilePiece]:
    """The words of a page.

    Args:
        name: Of the file, in messages.
        chunks: Its text.
    Raises:
        CorpusError: lxml is not installed, or the page is not one.
    """
    words = _Words()
    parser = html_parser(name, words)
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _PART):
                parser.feed(chunk[start : start + _PART])
                words.flush()
                yield from words.pieces
                words.pieces = []
        parser.close()
    except _TooDeepError:
        raise CorpusError(
            f"{name} has more than {_DEEPEST:,} elements within each other, as no page has; "
            "leave it out"
        ) from None
    yield from words.pieces


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
