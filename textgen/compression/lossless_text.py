"""Bytes as the text that a model knows, so that exactly these bytes come back.

A model reads texts that were decoded and normalized. Here the same is done to a file, where it can
be undone: a way back is chosen, and tried. Where it does not give the same bytes, less is changed,
and at last nothing: any bytes are a text in UTF-8 with Python's `surrogateescape`. A character that
the model does not know is read as its nearest form, as `textgen eval` reads it, or it is spelled.
"""

from __future__ import annotations

import codecs
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint.model_file import ModelHeader
from textgen.corpus.documents import DOCUMENT_MARK, mark_documents
from textgen.corpus.encoding import detect
from textgen.corpus.nearest_forms import variant_places, variants_in
from textgen.corpus.normalization import Normalization
from textgen.corpus.source import open_sources
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.corpus.words import split_words
from textgen.errors import CorpusError

UTF8 = "utf-8"
#: The byte order mark of each encoding that has one.
_MARKS = {
    UTF8: codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
#: What stands at the end of each line, by its number in a file.
NEWLINES = ("\n", "\r\n", "\r")


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """How the bytes of a file are made of the text that the model read.

    Args:
        encoding: Python's name of the file's encoding.
        marked: Whether the file begins with a byte order mark.
        newline: What stands in the file for a line end.
        decomposed: Whether letters and their accents are apart in the file (Unicode NFD).
        strays: Whether the text has bytes that are no text, as `surrogateescape` shows them.
        documents: Whether the text is cut into documents.
    """

    encoding: str = UTF8
    marked: bool = False
    newline: str = "\n"
    decomposed: bool = False
    strays: bool = False
    documents: bool = False

    def to_bytes(self, text: str) -> bytes:
        """Return the bytes of a text.

        Raises:
            UnicodeError: It cannot be written in the encoding.
        """
        if self.decomposed:
            text = unicodedata.normalize("NFD", text)
        if self.newline != "\n":
            text = text.replace("\n", self.newline)
        return self.mark + text.encode(self.encoding, "surrogateescape")

    @property
    def mark(self) -> bytes:
        """The byte order mark of the file; b"" where it has none."""
        return _MARKS.get(self.encoding, b"") if self.marked else b""


@dataclass(frozen=True)
class TokenText:
    """A text as tokens, from which it can be made again.

    Args:
        ids: The tokens, `(N,)`; there is no end mark at the end.
        texts: By the place of a token, what an unknown token stands for, and what stands in the
            text for an end mark. At byte level the character `chr(b)` stands for the byte b. For
            a form that was read for a variant, the variant at its last token and "" at the others.
        before, after: What stands before the first document and after the last one.
        forms: What was read as what (`textgen.corpus.nearest_forms.variants_in`).
    """

    ids: NDArray[np.int32]
    texts: Mapping[int, str]
    before: str = ""
    after: str = ""
    forms: Mapping[str, str] = field(default_factory=dict)


def read_losslessly(data: bytes, model: ModelHeader) -> tuple[WayBack, TokenText]:
    """Return a file as tokens of a model, and the way back to its bytes.

    Args:
        data: The bytes of the file.
        model: Whose tokens they are.
    """
    for way, text in _readings(data, model.normalization):
        for mode in (None,) if model.documents is None else (model.documents, None):
            found = _tokens_of(text, model.vocabulary, mode, variants=not model.reads_pairs)
            if found is None:
                continue
            settled = replace(way, documents=mode is not None)
            if write_losslessly(settled, found, model.vocabulary) == data:
                return settled, found
    raise AssertionError("any bytes are a text in UTF-8 with surrogateescape")


def write_losslessly(way: WayBack, found: TokenText, vocabulary: Vocabulary) -> bytes | None:
    """Return the bytes of a file; None where these tokens are those of no file.

    Args:
        way: The way back.
        found: The tokens.
        vocabulary: What they are tokens of.
    """
    ends = np.flatnonzero(found.ids == END_ID).tolist()
    parts = [found.before]
    for start, end in zip([0, *(end + 1 for end in ends)], [*ends, len(found.ids)], strict=True):
        parts.append(_text_of(found, start, end, vocabulary))
        parts.append(found.texts[end] if end < len(found.ids) else found.after)
    try:
        return way.to_bytes("".join(parts))
    except UnicodeError:
        return None


def _readings(data: bytes, normalization: Normalization) -> Iterator[tuple[WayBack, str]]:
    """Ways to read a file, the best first; of the last one it is known that it can be undone."""
    encoding, marked = _encoding_of(data)
    for normalizes in (True, False):
        way = WayBack(encoding=encoding, marked=marked)
        try:
            text = data[len(way.mark) :].decode(encoding, "surrogateescape")
            text.encode(UTF8, "surrogateescape")  # There are no surrogates but those of strays.
        except UnicodeError:
            break
        newline, decomposed = "\n", False
        if normalizes and normalization.newlines and "\r" in text:
            newline = _newline_of(text)
            text = text.replace(newline, "\n")
        if normalizes and normalization.nfc and not text.isascii():
            composed = unicodedata.normalize("NFC", text)
            if composed != text and unicodedata.normalize("NFD", composed) == text:
                text, decomposed = composed, True
        strays = _has_strays(text)
        yield replace(way, newline=newline, decomposed=decomposed, strays=strays), text
    text = data.decode(UTF8, "surrogateescape")
    yield WayBack(strays=_has_strays(text)), text


def _has_strays(text: str) -> bool:
    try:
        text.encode(UTF8)
    except UnicodeEncodeError:
        return True
    return False


def _encoding_of(data: bytes) -> tuple[str, bool]:
    """The encoding of a file and whether a mark says it; UTF-8 where it is no text."""
    try:
        (source,) = open_sources(["-"], stdin=io.BytesIO(data))
        found = detect(source)
    except CorpusError:
        return UTF8, data.startswith(codecs.BOM_UTF8)
    return found.encoding, found.bom_length > 0


def _newline_of(text: str) -> str:
    """What stands at the end of each line; a line feed where that is not always the same."""
    returns, feeds = text.count("\r"), text.count("\n")
    if not feeds:
        return "\r"
    return "\r\n" if returns == feeds == text.count("\r\n") else "\n"


def _tokens_of(
    text: str, vocabulary: Vocabulary, mode: str | None, *, variants: bool
) -> TokenText | None:
    """A text as tokens, cut into documents; None where it cannot be cut so."""
    documents, gaps = [text], ["", ""]
    if mode is not None:
        if DOCUMENT_MARK in text:
            return None
        marked = "".join(mark_documents([text], mode))
        documents, gaps = marked.split(DOCUMENT_MARK), []
        place = 0
        for document in documents:
            start = text.find(document, place)
            if start < 0:
                return None
            gaps.append(text[place:start])
            place = start + len(document)
        gaps.append(text[place:])
    before, *between, after = gaps
    forms = variants_in(set().union(*documents), vocabulary) if variants else {}
    table = str.maketrans(dict(forms))
    parts: list[NDArray[np.int32]] = []
    texts: dict[int, str] = {}
    place = 0
    for number, document in enumerate(documents):
        if number:
            texts[place] = between[number - 1]
            parts.append(np.array([END_ID], np.int32))
            place += 1
        ids, unknown = _document_tokens(document.translate(table), vocabulary)
        for at, char in variant_places(document, forms):
            texts.update(dict.fromkeys(range(place + at + 1 - len(forms[char]), place + at), ""))
            texts[place + at] = char
        places = (place + np.flatnonzero(ids == UNKNOWN_ID)).tolist()
        texts.update(zip(places, unknown, strict=True))
        parts.append(ids)
        place += len(ids)
    return TokenText(np.concatenate(parts), texts, before, after, forms)


def _document_tokens(text: str, vocabulary: Vocabulary) -> tuple[NDArray[np.int32], Sequence[str]]:
    """The tokens of a document, and what each unknown one stands for."""
    index = vocabulary.symbol_index()
    if vocabulary.level == "byte":
        table = bytearray([UNKNOWN_ID]) * 256
        for symbol, token in index.items():
            table[ord(symbol)] = token
        data = text.encode(UTF8, "surrogateescape")
        ids = np.frombuffer(data.translate(bytes(table)), np.uint8).astype(np.int32)
        return ids, [chr(data[place]) for place in np.flatnonzero(ids == UNKNOWN_ID)]
    if vocabulary.level == "char":
        ids = vocabulary.encode(text).astype(np.int32)
        return ids, [text[place] for place in np.flatnonzero(ids == UNKNOWN_ID)]
    tokens: list[int] = []
    unknown: list[str] = []
    for word in split_words(f" {text}" if vocabulary.folded else text):
        known = index.get(word)
        pieces = [word] if known is not None or not vocabulary.spelled else word
        for piece in pieces:
            token = index.get(piece, UNKNOWN_ID)
            tokens.append(token)
            if token == UNKNOWN_ID:
                unknown.append(piece)
    return np.array(tokens, np.int32), unknown


def _text_of(found: TokenText, start: int, end: int, vocabulary: Vocabulary) -> str:
    """The text of a document."""
    symbols, texts = vocabulary.symbols, found.texts
    pieces = [
        texts.get(place, symbols[token])
        for place, token in enumerate(found.ids[start:end].tolist(), start)
    ]
    text = "".join(pieces)
    if vocabulary.level == "byte":
        return text.encode("latin-1").decode(UTF8, "surrogateescape")
    # The space that every folded word has in front.
    return text.removeprefix(" ") if vocabulary.folded else text
