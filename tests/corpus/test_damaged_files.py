"""Whatever stands in a file: it is a text, or there is one sentence that it is none."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator

import pytest
from support.made_files import PAGE, docx_of, epub_of, paragraph, zip_of
from test_packed_files import zip_parts

from textgen.corpus.extraction import FilePiece
from textgen.corpus.extraction.chat_json import read_messages
from textgen.corpus.extraction.epub_book import read_book
from textgen.corpus.extraction.web_page import read_page
from textgen.corpus.extraction.word_document import read_word
from textgen.errors import CorpusError

#: What breaks readers: marks of each format, names of strange encodings, ends of ranges.
ODD = [
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", b"&", b"&#xd800;", b"&nbsp;"),
    *(
        b"<![CDATA[",
        b"]]>",
        b"<!--",
        b"-->",
        b"<p>",
        b"</",
        b"<form>",
        b"</form>",
        b"<pre>",
        b"<?x",
    ),
    *(b'<?xml version="1.0" encoding="%b"?>' % name for name in (b"hex", b"zlib", b"rot13")),
    *(b'<?xml version="1.0" encoding="%b"?>' % name for name in (b"undefined", b"utf-16", b"idna")),
    *(b"[", b"]", b"{", b"}", b'"', b"null", b"[[[[[[", b'"messages":[{', b'"\\ud800"', b"1e999"),
    *(b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b'{"type":[]}', b"-", b"99999999999999999999", b"PK\1\2"),
]
CHAT = (
    b'{"messages": [{"type": "message", "from": "Anna", "text": ["a", {"text": "b"}]}, '
    b'{"type": "Default", "content": "Hi", "author": {"name": "Bo", "nickname": null}}]}'
)
CHAPTER = "<h1>One</h1><form><b>a</b></form><p>It was <![CDATA[a < b]]> night&nbsp;&mdash;.</p>"
BOOK = epub_of(CHAPTER, "<p>x</p>")
LETTER = docx_of(paragraph("Dear Anna,") + "<w:tbl><w:tr><w:tc/></w:tr></w:tbl>")


def mutated(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(data) + 1)
        stop = start + chance.choice((0, 0, 1, 4, 60, len(data)))
        odd = chance.choice(
            (b"", chance.randbytes(chance.randint(1, 4)), *[chance.choice(ODD)] * 4)
        )
        data = data[:start] + odd + data[stop:]
    return data


def with_a_wrong_part(data: bytes, chance: random.Random) -> bytes:
    """The archive itself is whole, and one of its parts is not, so that its reader meets it."""
    parts = zip_parts(data)
    name = chance.choice(sorted(parts))
    return zip_of({**parts, name: mutated(parts[name], chance)})


def page_of(data: bytes) -> Iterator[FilePiece]:
    text = data.decode("utf-8", "surrogateescape")
    return read_page("x", [text[:50], text[50:]])


READERS: dict[str, tuple[bytes, Callable[[bytes], Iterator[FilePiece]]]] = {
    "epub": (BOOK, lambda data: read_book("x", io.BytesIO(data))),
    "docx": (LETTER, lambda data: read_word("x", io.BytesIO(data))),
    "html": (PAGE.format(CHAPTER).encode(), page_of),
    "json": (CHAT, lambda data: read_messages("x", io.BytesIO(data))),
}


@pytest.mark.parametrize("format", list(READERS))
def test_a_damaged_file_is_a_text_or_one_sentence(format: str) -> None:
    whole, read = READERS[format]
    assert "".join(own.text for own in read(whole)).strip()
    read_, refused = 0, 0
    for seed in range(200):
        chance = random.Random(seed)
        packed = format in ("epub", "docx") and seed % 4
        data = with_a_wrong_part(whole, chance) if packed else mutated(whole, chance)
        try:
            text = "".join(own.text for own in read(data))
            text.encode("utf-8")  # It can be written.
            assert "\0" not in text
            read_ += 1
        except CorpusError as error:
            assert str(error).startswith("x ") and "\n" not in str(error), seed
            refused += 1
    assert read_ > 10 and (refused > 10 or format == "html")
