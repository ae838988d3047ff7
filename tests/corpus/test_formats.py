"""Files that are no plain text, under any name."""

from __future__ import annotations

import io
import zipfile

import pytest

from textgen.corpus.corpus_options import FileOptions
from textgen.corpus.encoding import detect
from textgen.corpus.source import open_sources
from textgen.errors import BinaryFileError


def notes_of(data: bytes) -> tuple[str, ...]:
    (source,) = open_sources(["-"], stdin=io.BytesIO(data))
    return detect(source).notes


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "application/epub+zip" if name == "mimetype" else "text")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "what", "how"),
    [
        (rb"{\rtf1\ansi Hello, this is a letter.\par}", "rich text", "save it as plain text"),
        (b"\xef\xbb\xbf" + rb"{\rtf1\ansi Hello.}", "rich text", "save it as plain text"),
        (b"\xef\xbb\xbf\r\n\r\n" + rb"{\rtf1\ansi Hello.}", "rich text", "save it as plain text"),
        (b"\n \n" + rb"{\rtf1\ansi Hello.}", "rich text", "save it as plain text"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "Excel", "save it as plain text"),
        (zipped("a.txt"), "a zip archive", "unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 9, "Microsoft Office", "plain text"),
        (b"%PDF-1.7\n1 0 obj", "PDF", "pdftotext"),
        (b"\x1f\x8b\x08\0", "gzip", "must be called .gz"),
        (b"\x00\x05\x16\x07\0\x02\0\0Mac OS X", "Mac", "leave it out"),
    ],
)
def test_other_formats_are_refused_with_what_to_do(data: bytes, what: str, how: str) -> None:
    with pytest.raises(BinaryFileError, match=what) as caught:
        notes_of(data)
    assert how in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!DOCTYPE html>\n<html><body>One short line</body></html>", "HTML"),
        ("\n<HTML>\n<head></head>", "HTML"),
        ("<p>Once upon</p>\n<p>a <b>time</b></p>\n<br>" * 9, "HTML"),
        ("&#1078;&#1091;&#1082; " * 20, "&#1078;"),
        (r'{"text": "\u0436\u0443\u043a \u0436\u0443\u043a"}' * 9, r"\u0436 (JSON)"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_marks_of_other_kinds_get_a_note(text: str, said: str, encoding: str) -> None:
    (note,) = notes_of(text.encode(encoding))
    assert said in note


@pytest.mark.parametrize(
    "text",
    [
        "If a < b and b > c, then a <b> stands for nothing.",
        "Use the <p> tag for paragraphs and <b> for bold. " + "The rest is plain. " * 99,
        r"A newline is written \n and a letter \u0436, says the manual." + " More words." * 20,
        "AT&T; R&D; B&B; and so on",
        "{ braces } and {\\rt",
    ],
)
def test_plain_texts_get_none(text: str) -> None:
    assert notes_of(text.encode()) == ()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("渡し船は正午に着いた。\n船長は箱を数えた。\n", "iso2022_jp"),
        ("渡轮中午到达。\n码头上除了一条狗没有别人。\n", "hz"),
        ("Паром пришёл в полдень.\nНа пристани не было никого.\n", "utf-7"),
    ],
)
def test_letters_written_in_ascii_get_a_note(text: str, encoding: str) -> None:
    (note,) = notes_of(text.encode(encoding))
    assert f"give encoding={encoding!r}" in note
    (source,) = open_sources(["-"], stdin=io.BytesIO(text.encode(encoding)))
    assert (
        text.encode(encoding).decode(detect(source, FileOptions(encoding=encoding)).encoding)
        == text
    )


def test_plain_signs_get_no_such_note() -> None:
    assert notes_of(b"if (a ~{b~} c) +x- +y- +one- 2+3-1 C+++- and +more- of +that- here\n") == ()
