"""What people type for an encoding, and CESU-8."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus.encoding_names import encoding_name
from textgen.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *((name, "utf-8") for name in ("UTF8", "utf-8-sig", "utf8-bom", "UTF-8 BOM", "utf_8")),
        *((name, "utf-8") for name in ("65001", "cp65001", "utf8mb4", "utf-8-mac", "UTF-8-MAC")),
        *((name, "iso8859_1") for name in ("iso-latin-1", "8859-1", "8859_1", "ISO_LATIN_1")),
        *((name, "mac_roman") for name in ("mac", "x-mac-roman")),
        ("8859-15", "iso8859_15"),
        ("koi8-ru", "koi8_u"),
        ("x-mac-ce", "mac_latin2"),
        *((name, "cp1251") for name in ("windows1251", "win-1251", "1251", "cp-1251", "CP1251")),
        *((name, "cp1252") for name in ("windows-1252", "Windows 1252", "win1252")),
        *((name, "iso8859_1") for name in ("latin", "Latin-1", "ISO 8859-1", "iso88591", "l1")),
        *((name, "utf-16") for name in ("unicode", "UTF-16", "ucs-2")),
        *((name, "koi8_r") for name in ("koi8", "KOI8-R", "koi8r")),
        ("UTF-16LE", "utf-16-le"),
        ("big-endian unicode", "utf-16-be"),
        ("IBM866", "cp866"),
        ("dos-437", "cp437"),
        ("MacRoman", "mac_roman"),
        ("macintosh", "mac_roman"),
        ("x-mac-cyrillic", "mac_cyrillic"),
        ("Shift-JIS", "shift_jis"),
        ("Windows-31J", "cp932"),
        ("CESU-8", "cesu-8"),
    ],
)
def test_names_are_understood(typed: str, meant: str) -> None:
    assert encoding_name(typed) == meant
    codecs.lookup(meant)


@pytest.mark.parametrize(
    ("typed", "pages"), [("ansi", "cp1252"), ("ANSI", "cp1251"), ("OEM", "cp866")]
)
def test_names_of_another_page_in_each_country_say_what_to_type(typed: str, pages: str) -> None:
    with pytest.raises(ConfigError, match=f"another code page in each country.*{pages}") as caught:
        encoding_name(typed)
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("typed", ["auto", "AUTO", "detect"])
def test_detection_is_no_name_but_leaving_it_out(typed: str) -> None:
    with pytest.raises(ConfigError, match="without encoding: leave it out"):
        encoding_name(typed)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("aя€🐈\U0010ffff"))


@given(TEXTS, st.integers(1, 7))
def test_cesu8_comes_back_in_pieces_of_any_size(text: str, size: int) -> None:
    data = text.encode("cesu-8")
    assert data == b"".join(
        char.encode() if char < "\U00010000" else _halves(char) for char in text
    )
    assert data.decode("cesu-8") == text
    decoder = codecs.getincrementaldecoder("cesu-8")()
    pieces = [decoder.decode(data[i : i + size]) for i in range(0, len(data), size)]
    assert "".join(pieces) + decoder.decode(b"", final=True) == text


def _halves(char: str) -> bytes:
    units = char.encode("utf-16-be")
    return b"".join(
        chr(int.from_bytes(units[i : i + 2])).encode("utf-8", "surrogatepass") for i in (0, 2)
    )


@pytest.mark.parametrize("data", [b"ab\xff", b"a\xed\xa0\xbdb", b"\xed\xb0\x88", b"\xed\xa0"])
def test_what_is_no_cesu8_is_named_with_its_place(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        data.decode("cesu-8")
    assert caught.value.start == next(i for i, byte in enumerate(data) if byte >= 0x80)
