"""Several documents in one text: what separates them becomes a mark.

`CorpusOptions.documents` says how a text is cut:

    blank, blank:N    one blank line or more, or N or more, separate documents
    line              each line that is not blank is a document
    separator:TEXT    a line that is TEXT, white space around it aside, separates documents and
                      belongs to none
    start:REGEX       a line at whose beginning the expression matches begins a document
    file, None        each file is a document

The mark is NUL, a character that no text has (a file with it is binary). So the later steps work on
plain strings, at their speed.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

from textgen.corpus.normalization import Normalization
from textgen.errors import ConfigError, named

#: What stands between two documents in a stream of text.
DOCUMENT_MARK = "\0"

#: The values of `documents`, for messages and help.
DOCUMENTS_SYNTAX = "blank, blank:2, line, file, separator:TEXT or start:PATTERN"

#: The largest N of `blank:N`.
MOST_BLANKS = 100
#: Only so many characters of a line decide whether it separates or begins documents: some patterns
#: are slow on long lines.
_HEAD = 200
#: Characters of blank lines that wait until it is known whether the document goes on.
_WAITING = 1 << 20

# A line of spaces is blank. "\r" ends a line if line ends are not normalized.
_LINE_END = r"(?>\r\n|\r|\n)"  # atomic: half of "\r\n" does not count
_BLANK = rf"(?:[^\S\r\n]*{_LINE_END})"
_ANY_LINE_END = re.compile(r"[\r\n]")
_LINES = re.compile(r"[^\r\n]*(?:\r\n|[\r\n])")


def settle_documents(mode: str | None) -> str | None:
    """Return the one name of a way to cut: `blank:1` becomes `blank`, `***` `separator:***`.

    Raises:
        ConfigError: There is no such way.
    """
    if mode is None:
        return None
    if not isinstance(mode, str):
        raise ConfigError(f"{named('documents')} is {mode!r}; give {DOCUMENTS_SYNTAX}")
    kind, colon, rest = mode.partition(":")
    kind, rest = kind.strip().lower(), unicodedata.normalize("NFC", rest)
    if not colon and kind in ("file", "blank", "line"):
        return kind
    if colon and kind == "blank":
        if not rest.isdecimal() or not 1 <= int(rest) <= MOST_BLANKS:
            raise ConfigError(
                f"{named('documents')} is {mode!r}; after blank: comes the "
                "least number of blank lines that separate documents, from 1 to "
                f"{MOST_BLANKS}, such as blank:2"
            )
        return "blank" if int(rest) == 1 else f"blank:{int(rest)}"
    if colon and kind == "separator":
        if not rest.strip():
            raise ConfigError(
                f"{named('documents')} is 'separator:' with no text after it; give the "
                "line that separates documents, such as separator:***, or blank for blank lines"
            )
        return f"separator:{rest.strip()}"
    if colon and kind == "start":
        if not rest or start_pattern(rest).match(""):
            raise ConfigError(
                f"{named('documents')} is {mode!r}, and every line begins so; give "
                "what only the first line of a document begins with, such as start:Chapter"
            )
        return f"start:{rest}"
    bare = unicodedata.normalize("NFC", mode.strip())
    if bare and not bare[0].isalnum():
        return f"separator:{bare}"
    raise ConfigError(
        f"{named('documents')} is {mode!r}; give {DOCUMENTS_SYNTAX}: where a line "
        f"{mode!r} stands between documents, separator:{bare}, and where their first lines begin "
        f"so, start:{bare}"
    )


def start_pattern(text: str) -> re.Pattern[str]:
    """Return the expression of `start:`; invalid ones, such as `[Event `, stand for themselves."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python warns of brackets that hardly mean a set.
            return re.compile(text)
    except (re.error, OverflowError, RecursionError, Warning):
        return re.compile(re.escape(text))


def document_separator(mode: str | None, blanks: int | None = None) -> str:
    """Return the text between two documents that are written one after another.

    Args:
        mode: `CorpusOptions.documents`; None: each file is a document.
        blanks: For `separator:` and `start:`, the usual number of blank lines before such a line;
            None if it is not known.
    """
    kind, _, rest = (mode or "").partition(":")
    if kind == "line":
        return "\n"
    if kind == "separator":
        around = "\n" * (1 + (blanks or 0))
        return f"{around}{rest}{around}"
    if kind == "start" and blanks is not None:
        return "\n" * (1 + blanks)
    return "\n" * (1 + (int(rest) if kind == "blank" and rest else 1))


def has_border_lines(mode: str | None) -> bool:
    """Return whether certain lines separate or begin documents; a text may have none of them."""
    return mode is not None and mode.startswith(("separator:", "start:"))


def documents_in_words(mode: str | None) -> str:
    """Return a description of what a document is."""
    kind, _, rest = (mode or "").partition(":")
    if kind == "line":
        return "each line is one"
    if kind == "separator":
        return f"a line '{rest}' separates them"
    if kind == "start":
        return f"each begins at a line that starts with '{rest}'"
    if kind == "blank":
        return f"{rest} blank lines or more separate them" if rest else "blank lines separate them"
    return "each file is one"


def mark_documents(
    chunks: Iterable[str],
    mode: str,
    on_border: Callable[[int, Sequence[int]], object] | None = None,
) -> Iterator[str]:
    """Yield one text with a `DOCUMENT_MARK` in place of whatever separates its documents.

    Blank lines at the start and line ends at the end vanish, so no document is empty. The result
    does not depend on where the chunks end.

    Args:
        chunks: The text, in pieces of any length, without NUL.
        mode: A name from `settle_documents`, not None.
        on_border: For `separator:` and `start:`, is told how many more such lines were found, and
            the numbers of blank lines before those that end a document.
    """
    kind, _, rest = mode.partition(":")
    if kind in ("line", "blank"):
        return _mark_gaps(chunks, 0 if kind == "line" else int(rest or 1))
    pattern = start_pattern(rest)

    def separates(line: str) -> bool:
        return len(line) <= _HEAD and unicodedata.normalize("NFC", line.strip()) == rest

    def begins(line: str) -> bool:
        return pattern.match(line.rstrip("\r\n")[:_HEAD]) is not None

    keep = kind == "start"
    return _mark_lines(chunks, begins if keep else separates, on_border, keep=keep)


def _mark_gaps(chunks: Iterable[str], blanks: int) -> Iterator[str]:
    """Mark each line end with at least `blanks` blank lines after it."""
    gap = re.compile(rf"{_LINE_END}{_BLANK}{{{blanks},}}")
    started = False
    # Blank lines at the start are then part of one separator.
    carry = "\n" * (blanks + 1)
    for chunk in chunks:
        text = carry + chunk
        # White space after the last line end may be part of a separator that goes on.
        line_end = _ANY_LINE_END.search(text, len(text.rstrip()))
        cut = line_end.start() if line_end else len(text)
        carry = _shorten(text[cut:], blanks + 1)
        marked = gap.sub(DOCUMENT_MARK, text[:cut])
        if not started:
            marked = marked.removeprefix(DOCUMENT_MARK)
        if marked:
            started = True
            yield marked


def _mark_lines(
    chunks: Iterable[str],
    is_border: Callable[[str], bool],
    on_border: Callable[[int, Sequence[int]], object] | None,
    *,
    keep: bool,
) -> Iterator[str]:
    """Mark documents at single lines; with `keep` these begin the next, else they belong to none.

    `is_border` is asked of each line that is not blank (of a long one, of its beginning).
    """
    line = ""  # the last line that is not blank, with its end; "" outside documents
    blanks: list[str] = []  # the blank lines after it, which vanish if the document ends
    waiting = 0  # their characters
    any_before = False
    for pieces, goes_on in _line_pieces(chunks):
        marked: list[str] = []
        borders = 0
        gaps: list[int] = []
        for piece in pieces:
            if goes_on:
                marked.append(line)
                line, goes_on = piece, False
                continue
            is_blank = piece.isspace()
            # A line end alone is never long: without it there would be an empty document.
            if is_blank and len(piece.rstrip("\r\n")) <= _HEAD and waiting < _WAITING:
                if line:  # Blank lines before a document vanish.
                    blanks.append(piece)
                    waiting += len(piece)
                continue
            ends = not is_blank and is_border(piece)
            if ends:
                borders += 1
                if line:
                    gaps.append(len(blanks))
                marked.append(line.rstrip("\r\n"))
                line = ""
            if keep or not ends:
                if line:
                    marked += (line, *blanks)
                elif any_before:
                    marked.append(DOCUMENT_MARK)
                line, any_before = piece, True
            blanks, waiting = [], 0
        if borders and on_border is not None:
            on_border(borders, gaps)
        if text := "".join(marked):
            yield text
    if text := line.rstrip("\r\n"):
        yield text


def _line_pieces(chunks: Iterable[str]) -> Iterator[tuple[list[str], bool]]:
    """For each chunk, the lines that end in it, and whether the first of them began before.

    The beginning of a line longer than `_HEAD` comes as soon as it is there.
    """
    carry, inside = "", False
    for chunk in chunks:
        text = carry + chunk
        # Up to the last line end; so each search finds one at once.
        end = 1 + max(text.rfind("\n"), text.rfind("\r"))
        pieces = _LINES.findall(text, 0, end)
        carry = text[end:]
        if pieces and not carry and pieces[-1].endswith("\r"):
            carry = pieces.pop()  # A "\n" may follow, which is the same line end.
        goes_on = inside
        if pieces:
            inside = False
        body = carry.removesuffix("\r")
        if len(body) > _HEAD:
            pieces.append(body)
            carry = carry[len(body) :]
            inside = True
        yield pieces, goes_on
    if carry:
        yield [carry], inside


def join_documents(texts: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield texts with a `DOCUMENT_MARK` between them; empty texts are left out."""
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
    """Yield documents, each normalized by itself; those that become empty vanish.

    This is for folding, which removes the line ends that separate documents.
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


def _shorten(space: str, enough: int) -> str:
    """White space of bounded length with the same effect: `enough` line ends do for a million."""
    last = max(space.rfind("\n"), space.rfind("\r"))
    if last < enough:
        return space
    lines = len(re.findall(_LINE_END, space[: last + 1]))
    if lines < enough:
        return space
    # A trailing "\r" must stay one: a "\n" may follow, which is the same line end.
    return "\n" * (enough - 1) + space[last] + space[last + 1 :]
