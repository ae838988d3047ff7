"""Several documents in one text: what separates them is replaced by a mark.

The mark is NUL, a character that no text has (a file that contains it is binary), so that the
steps after this one work on plain strings, at their speed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from textgen.corpus.normalization import Normalization

#: Stands between two documents in a stream of text.
DOCUMENT_MARK = "\0"

#: How one text is cut: at blank lines, or at every line end.
DOCUMENT_MODES = ("blank", "line")

# A line of nothing but spaces is a blank one. "\r" ends a line where line ends are left as found.
_LINE_END = r"(?>\r\n|\r|\n)"  # atomic: half of a "\r\n" is no line end
_BLANK = rf"(?:[^\S\r\n]*{_LINE_END})"
_GAPS = {
    "line": re.compile(rf"{_LINE_END}{_BLANK}*"),
    "blank": re.compile(rf"{_LINE_END}{_BLANK}+"),
}
_ANY_LINE_END = re.compile(r"[\r\n]")


def document_separator(mode: str | None) -> str:
    """What stands between two documents where they are written one after another.

    Args:
        mode: `CorpusOptions.documents`; None: each file is a document.
    """
    return "\n" if mode == "line" else "\n\n"


def mark_documents(chunks: Iterable[str], mode: str) -> Iterator[str]:
    """One text with a `DOCUMENT_MARK` in place of whatever separates its documents.

    Blank lines at the start and line ends at the end vanish, so there is no empty document.
    Where the chunks end makes no difference.

    Args:
        chunks: The text, in pieces of any length, without NUL.
        mode: `"blank"` (documents are separated by blank lines) or `"line"` (each line that is
            not blank is a document).
    """
    gap = _GAPS[mode]
    started = False
    # As if blank lines went before: those at the start are then part of one separator.
    carry = "\n\n"
    for chunk in chunks:
        text = carry + chunk
        # White space from the last line end on may be part of a separator that goes on.
        line_end = _ANY_LINE_END.search(text, len(text.rstrip()))
        cut = line_end.start() if line_end else len(text)
        carry = _shorten(text[cut:])
        marked = gap.sub(DOCUMENT_MARK, text[:cut])
        if not started:
            marked = marked.removeprefix(DOCUMENT_MARK)
        if marked:
            started = True
            yield marked


def join_documents(texts: Iterable[Iterable[str]]) -> Iterator[str]:
    """Texts one after the other with a `DOCUMENT_MARK` between two; empty ones are left out."""
    any_before = False
    for text in texts:
        first = True
        for chunk in filter(None, text):
            if first and any_before:
                yield DOCUMENT_MARK
            first = False
            any_before = True
            yield chunk


def normalize_documents(chunks: Iterable[str], normalization: Normalization) -> Iterator[str]:
    """Each document normalised by itself; those of which nothing is left vanish.

    For folding, which takes away the line ends that documents are found by.
    """
    stream = normalization.stream()
    any_before = False
    empty = True
    for chunk in chunks:
        pieces = []
        for i, part in enumerate(chunk.split(DOCUMENT_MARK)):
            if i:
                stream = normalization.stream()
                empty = True
            text = stream.feed(part)
            if text:
                if empty and any_before:
                    pieces.append(DOCUMENT_MARK)
                pieces.append(text)
                empty = False
                any_before = True
        yield "".join(pieces)


def _shorten(space: str) -> str:
    """White space with the same effect, in bounded memory: two line ends do what a million do."""
    last = max(space.rfind("\n"), space.rfind("\r"))
    if last < 2:
        return space
    lines = len(re.findall(_LINE_END, space[: last + 1]))
    if lines < 2:
        return space
    # A trailing "\r" must stay one: a "\n" may follow, which is no second line end.
    return "\n" + space[last] + space[last + 1 :]
