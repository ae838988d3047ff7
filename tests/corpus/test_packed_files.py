"""Books and documents: their text, whoever reads it, and what is done about hostile ones."""

from __future__ import annotations

import builtins
import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.made_files import PACKAGE, PAGE, W, docx_of, epub_of, paragraph, zip_of

from textgen.corpus.corpus import Corpus
from textgen.corpus.extraction import archive
from textgen.corpus.extraction.epub_book import read_book
from textgen.corpus.extraction.web_page import read_page
from textgen.corpus.extraction.word_document import read_word
from textgen.errors import BadFilesError, CorpusError

BOOK = epub_of(
    "<h1>One</h1><p>It was a <i>dark</i> night&nbsp;&mdash; cold.</p><p><a id='x'/>Ж.</p>",
    "<h1>Two</h1><p>The end.</p>",
)
TEXT = "One\n\nIt was a dark night\u00a0— cold.\n\nЖ.\n\n\nTwo\n\nThe end.\n"


def test_a_book_is_read_in_its_order() -> None:
    pieces = list(read_book("x", io.BytesIO(BOOK)))
    assert "".join(own.text for own in pieces if not own.kind).lstrip() == TEXT
    assert "".join(own.text for own in pieces if own.kind == "menus").split() == ["One", "Two"]


def words(one: str | bytes, kind: str = "") -> str:
    data = epub_of("", "", **{"OEBPS/one a.xhtml": one})
    return "".join(own.text for own in read_book("x", io.BytesIO(data)) if own.kind == kind)


STALE = "<p>Жук — 5 < 6</p>".replace(" <", " &lt;")


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("utf-8", "utf-8"),
        ("windows-1251", "windows-1251"),
        ("windows-1251", "utf-8"),  # converted, with the old name
        ("no-such", "utf-8"),
        *((name, "utf-8") for name in ("hex", "zlib", "rot13", "undefined", "idna", "utf-7")),
        *((name, "utf-8") for name in ("utf-16", "UTF-16LE", "utf-32")),
        ("utf-8", "utf-16"),
        ("utf-16", "utf-16-le"),
        ("utf-16", "utf-16-be"),
    ],
)
def test_a_chapter_is_in_an_encoding_of_texts(declared: str, encoding: str) -> None:
    """Whatever it says of itself: codecs of Python that unpack are none."""
    page = f'<?xml version="1.0" encoding="{declared}"?><html><body>{STALE}</body></html>'
    assert words(page.encode(encoding)).strip() == "Жук — 5 < 6"


def test_a_chapter_that_is_no_text_unpacks_nothing() -> None:
    head = b'<?xml version="1.0" encoding="utf-7"?>'
    with pytest.raises(CorpusError, match=r"its chapter OEBPS/one a\.xhtml is no utf-8"):
        words(head + b"\xff")


def test_a_chapter_is_xhtml() -> None:
    """With sections of plain characters; its headings and asides are the author's."""
    body = (
        "<header><h1>One</h1></header><p>A <![CDATA[a<b> & c]]>, ]]&gt;<!-- <![CDATA[ -->.</p>"
        "<script>//<![CDATA[\nno </p> //]]></script>"
        "<aside epub:type='footnote'><p>A note</p></aside><footer>End</footer><section "
        "epub:type='toc'>List</section><![CDATA[]]>"
    )
    page = PAGE.format(body)
    assert words(page).strip() == "One\n\nA a<b> & c, ]]>.\n\nA note\n\nEnd"
    assert words(page, "menus").split() == ["One", "Two", "List"]
    whole = "".join(own.text for own in read_page("x", [page], in_book=True))
    for size in range(1, 12):
        bits = [page[place : place + size] for place in range(0, len(page), size)]
        assert "".join(own.text for own in read_page("x", bits, in_book=True)) == whole
    data = epub_of("<p>a</p>", "", **{"OEBPS/two.xhtml": b""})
    assert [own.text for own in read_book("x", io.BytesIO(data)) if not own.kind][-2:] == [
        "a",
        "\n",
    ]


def test_a_document_has_what_a_reader_sees() -> None:
    tracked = (
        "<w:p><w:r><w:t>It was </w:t></w:r><w:ins><w:r><w:t>very</w:t><w:tab/></w:r></w:ins>"
        "<w:del><w:r><w:delText>not</w:delText><w:t>no</w:t></w:r></w:del>"
        "<w:pPr><w:tabs><w:tab w:pos='720'/></w:tabs></w:pPr><w:r><w:instrText>PAGE</w:instrText>"
        "<w:t>cold</w:t><w:br/><w:t>here &amp; there</w:t></w:r></w:p>"
    )
    cells = "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in ("a", "b"))
    held = f"<w:sdt><w:sdtContent>{paragraph('held')}</w:sdtContent></w:sdt>"
    body = tracked + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>" + held
    notes = (
        f'<w:footnotes xmlns:w="{W}"><w:footnote>{paragraph("a note")}</w:footnote></w:footnotes>'
    )
    data = docx_of(body, **{"word/footnotes.xml": notes})
    text = "".join(own.text for own in read_word("x", io.BytesIO(data)))
    assert text == "It was very\tcold\nhere & there\na\tb\nheld\na note\n"


def test_whoever_reads_texts_reads_books(tmp_path: Path) -> None:
    """Named, piped in, and in a folder whose ending is asked for; with a note that says so."""
    from textgen.corpus.corpus_options import CorpusOptions

    path = tmp_path / "book.epub"
    path.write_bytes(BOOK)
    (tmp_path / "letter.docx").write_bytes(docx_of(paragraph("Dear Anna,")))
    corpus = Corpus.open([path])
    assert corpus.decode().strip().endswith(TEXT.strip())
    assert any("an EPUB book: its text is read" in note for note in corpus.notes)
    assert len(corpus) == len(Corpus.open(["-"], stdin=io.BytesIO(BOOK)))
    both = Corpus.open([tmp_path], CorpusOptions(ending=".epub,.docx"))
    assert both.documents == 2
    only = tmp_path / "only"
    only.mkdir()
    path.rename(only / "book.epub")
    with pytest.raises(CorpusError, match=r"To read those in \.epub add ending='\.epub'"):
        Corpus.open([only])


def test_without_the_library_it_is_said_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_lxml(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("lxml"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_lxml)
    path = tmp_path / "book.epub"
    path.write_bytes(BOOK)
    with pytest.raises(CorpusError, match=r"read by lxml, and that is not installed; .*\[files\]"):
        Corpus.open([path])


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha" * 50}">' for n in range(9))
OUTSIDE = '<!ENTITY l8 SYSTEM "file:///etc/passwd">'


@pytest.mark.parametrize("entities", [LAUGHS, OUTSIDE])
def test_entities_are_neither_expanded_nor_fetched(entities: str) -> None:
    """A document that has any is refused; a page of a book reads them as what they are: nothing."""
    inner = f'<w:document xmlns:w="{W}"><w:body>{paragraph("&l8;")}</w:body></w:document>'
    declared = f"<!DOCTYPE w:document [{entities}]>"
    with pytest.raises(CorpusError, match="declares a document type"):
        list(
            read_word("x.docx", io.BytesIO(docx_of("", **{"word/document.xml": declared + inner})))
        )
    page = f"<!DOCTYPE html [{entities}]>" + PAGE.format("<p>a &l8; b</p>").partition("?>")[2]
    data = epub_of("<p>x</p>", "<p>y</p>", **{"OEBPS/two.xhtml": page})
    text = "".join(own.text for own in read_book("x.epub", io.BytesIO(data)))
    assert len(text) < 2000 and "root" not in text
    head = f"<!DOCTYPE package [{entities}<!ENTITY a 'a'>]>"
    package = head + PACKAGE.partition("?>")[2].replace("one%20a.xhtml", "one%20&a;.xhtml")
    data = epub_of("<p>x</p>", "<p>y</p>", **{"OEBPS/book.opf": package})
    with pytest.raises(CorpusError, match=r"OEBPS/book\.opf declares entities"):
        list(read_book("x.epub", io.BytesIO(data)))
    old = '<!DOCTYPE package PUBLIC "+//ISBN 0-9673008-1-9//DTD OEB 1.2 Package//EN" "oeb.dtd">'
    data = epub_of("<p>x</p>", "", **{"OEBPS/book.opf": old + PACKAGE.partition("?>")[2]})
    assert any(own.text.strip() == "x" for own in read_book("x.epub", io.BytesIO(data)))


def test_a_bomb_is_refused_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_UNPACKED", 1 << 18)
    bombs = (
        (read_word, docx_of("<w:p/>" * (1 << 16))),
        (read_book, epub_of("<p>a" * (1 << 17), "")),
        (read_word, docx_of(paragraph("a" * (2 << 20)))),
        (read_book, epub_of("a" * (2 << 20), "")),
    )
    for read, data in bombs:
        assert len(data) < 100_000
        tracemalloc.start()
        try:
            with pytest.raises(CorpusError, match=r"x unpacks to more than"):
                for _ in read("x", io.BytesIO(data)):
                    pass
            assert tracemalloc.get_traced_memory()[1] < 10 << 20
        finally:
            tracemalloc.stop()


def damaged() -> dict[str, bytes]:
    stored = bytearray(zip_of({"mimetype": "application/epub+zip", "a": "b" * 99}))
    encrypted = '<e xmlns:c="x"><c:CipherReference URI="OEBPS/two.xhtml"/></e>'
    return {
        "cut": BOOK[:900],
        "cut at the end": BOOK[:-30],
        "no parts": zip_of({"mimetype": "application/epub+zip"}),
        "flipped": BOOK[:400] + bytes(byte ^ 255 for byte in BOOK[400:500]) + BOOK[500:],
        "no book": bytes(stored),
        "no XML": epub_of("", "", **{"META-INF/container.xml": "<a"}),
        "missing chapter": zip_of(
            {name: data for name, data in zip_parts(BOOK).items() if not name.endswith("two.xhtml")}
        ),
        "wrong encoding": epub_of("", "", **{"OEBPS/two.xhtml": b"<p>\xcf\xf0\xe8"}),
        "no text": epub_of("", "", **{"OEBPS/nav.xhtml": PAGE.format("")}),
        "protected": epub_of("<p>a</p>", "<p>b</p>", **{"META-INF/encryption.xml": encrypted}),
    }


def zip_parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.mark.parametrize("case", list(damaged()))
def test_damaged_books_give_one_sentence(case: str, tmp_path: Path) -> None:
    path = tmp_path / "book.epub"
    path.write_bytes(damaged()[case])
    with pytest.raises(CorpusError) as caught:
        Corpus.open([path])
    message = str(caught.value)
    assert message.startswith(f"{path} ") and "\n" not in message and len(message) < 400
    (tmp_path / "good.txt").write_text("A text.")
    with pytest.raises(BadFilesError, match=r"1 of 2 files"):
        Corpus.open([path, tmp_path / "good.txt"])
