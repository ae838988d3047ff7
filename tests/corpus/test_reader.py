"""Texts in pieces: the same text whatever the size of the pieces, strictly decoded."""

from __future__ import annotations

import hashlib
import io
import itertools
import tracemalloc
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textgen.corpus.encoding import Detection, detect
from textgen.corpus.normalization import Normalization
from textgen.corpus.reader import Findings, SourceText, read_text
from textgen.corpus.source import Source, open_sources
from textgen.errors import BinaryFileError, ConfigError, EncodingError

AS_IS = Normalization(newlines=False, nfc=False)
NO_NUL = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(NO_NUL) | st.text(
    st.sampled_from("aй日\U0001f600e\u0301\u0308\u093e가각\r\n 1-"), max_size=60
)


def source_of(data: bytes) -> Source:
    (source,) = open_sources(["-"], stdin=io.BytesIO(data))
    return source


def text_of(data: bytes, encoding: str, bom_length: int = 0, dropped: int = 0) -> SourceText:
    return SourceText(source_of(data), Detection(encoding, 1.0, "a test", bom_length, dropped))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-32-be", "gb18030"])
@given(text=TEXTS, size=st.integers(1, 70), fold=st.booleans(), nfc=st.booleans())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_pieces_of_any_size_join_to_the_whole(
    encoding: str, text: str, size: int, fold: bool, nfc: bool
) -> None:
    options = Normalization(fold=fold, nfc=nfc)
    pieces = list(text_of(text.encode(encoding), encoding).chunks(options, chunk_bytes=size))
    assert "".join(pieces) == options.apply(text)
    assert all(pieces)


@given(text=st.text("абвЯЁё \r\n-", max_size=80), size=st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_pieces_of_a_one_byte_encoding(text: str, size: int) -> None:
    pieces = text_of(text.encode("cp1251"), "cp1251").chunks(Normalization(), chunk_bytes=size)
    assert "".join(pieces) == Normalization().apply(text)


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize(
    "line", ["строка за строкой\r\n", "безпробелов", "日本語の文章です。", "e\u0301", "plain\r"]
)
def test_long_texts_without_many_places_to_cut(line: str, size: int) -> None:
    text = line * (3000 if size > 1 else 300)
    pieces = text_of(text.encode(), "utf-8").chunks(Normalization(), chunk_bytes=size)
    assert "".join(pieces) == Normalization().apply(text)


def test_a_run_of_marks_longer_than_a_chunk_is_kept_whole() -> None:
    text = "a" + "\u0323\u0307" * 5000 + "b"
    pieces = text_of(text.encode(), "utf-8").chunks(Normalization(), chunk_bytes=64)
    assert "".join(pieces) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_the_hash_is_of_all_raw_bytes(encoding: str, size: int) -> None:
    data = "\ufeffтекст\r\nи ещё".encode(encoding)
    mark = len("\ufeff".encode(encoding))
    findings = Findings()
    text = text_of(data, encoding, bom_length=mark)
    chunks = text.chunks(Normalization(), findings=findings, chunk_bytes=size)
    assert "".join(chunks) == "текст\nи ещё"
    assert findings.sha256.hexdigest() == hashlib.sha256(data).hexdigest()
    assert findings.size == len(data)


def test_every_pass_reads_again() -> None:
    text = text_of("раз\nдва".encode(), "utf-8")
    assert "".join(text.chunks(AS_IS)) == "".join(text.chunks(AS_IS)) == "раз\nдва"


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(("encoding", "cut"), [("utf-8", 1), ("utf-8", 2), ("utf-16-le", 1)])
def test_a_character_cut_short_at_the_end_is_left_out(encoding: str, cut: int, size: int) -> None:
    data = "начало €".encode(encoding)[:-cut]
    dropped = {("utf-8", 1): 2, ("utf-8", 2): 1, ("utf-16-le", 1): 1}[encoding, cut]
    findings = Findings()
    text = text_of(data, encoding, dropped=dropped)
    assert "".join(text.chunks(AS_IS, findings=findings, chunk_bytes=size)) == "начало "
    assert findings.sha256.hexdigest() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [1, 10, 1 << 20])
def test_a_wrong_byte_is_named_with_its_place(size: int) -> None:
    data = "первая\r\nвторая ".encode() + b"\xff\xfe" + " строка".encode()
    position = data.index(b"\xff")
    with pytest.raises(EncodingError) as caught:
        list(text_of(data, "utf-8").chunks(Normalization(), chunk_bytes=size))
    message = str(caught.value)
    assert f"byte {position}, line 2" in message
    assert "ff fe" in message
    assert "encoding" in message


@pytest.mark.parametrize("size", [1, 10, 1 << 20])
def test_a_wrong_byte_in_a_longer_code_is_named_with_its_place(size: int) -> None:
    data = "один\nдва".encode("utf-16-le") + b"\x00\xdc" + "три".encode("utf-16-le")
    with pytest.raises(EncodingError, match=r"00 dc.* at byte 16, line 2"):
        list(text_of(data, "utf-16-le").chunks(Normalization(), chunk_bytes=size))


def test_a_text_that_ends_within_a_character_is_an_error_when_not_known_before() -> None:
    with pytest.raises(EncodingError, match="at byte 4, line 1"):
        list(text_of("дай".encode()[:-1], "utf-8").chunks(Normalization()))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "utf-16-le"])
def test_nul_characters_are_refused(encoding: str) -> None:
    with pytest.raises(BinaryFileError, match="NUL"):
        list(text_of("а\0б".encode(encoding), encoding).chunks(Normalization()))


def test_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    line = "Строка обычной длины, каких в тексте много.\n".encode()
    path.write_bytes(line * 200_000)
    (source,) = open_sources([path])
    text = SourceText(source, detect(source))
    tracemalloc.start()
    for _ in itertools.islice(text.chunks(Normalization(), chunk_bytes=1 << 16), 200):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 64 KiB of bytes, twice that as decoded text, the stream's buffer; 15.8 MB would be the file.
    assert peak < 1_500_000


def test_a_single_symbol_a_million_times_passes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * 1_000_000)
    assert read_text(path) == "a" * 1_000_000


@pytest.mark.parametrize("text", ["я", "x", "одна строка без конца"])
def test_short_texts_pass(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    assert read_text(path) == text


def test_read_text_takes_options(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Её-то\r\n".encode("koi8_r"))
    assert read_text(path, Normalization(fold=True), encoding="koi8_r") == "её то"
    assert read_text("-", stdin=io.BytesIO(b"a\r\nb")) == "a\nb"


def test_read_text_wants_one_text(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ConfigError, match="name one file"):
        read_text(tmp_path)


def test_chunk_size_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="chunk_bytes"):
        list(text_of(b"x", "utf-8").chunks(AS_IS, chunk_bytes=0))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "cp932", "utf-16-le"])
@given(data=st.binary(max_size=80), text=st.text("абв ядa\n", max_size=30), size=st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_replacements_are_those_of_the_whole(
    encoding: str, data: bytes, text: str, size: int
) -> None:
    raw = (
        text.encode(encoding, "ignore")
        + data.replace(b"\0", b" ")
        + text.encode(encoding, "ignore")
    )
    whole = raw.decode(encoding, "replace").replace("\ufeff", "")
    detection = Detection(encoding, 1.0, "a test", 0, errors="replace")
    findings = Findings()
    if "\0" in whole:
        return
    chunks = SourceText(source_of(raw), detection).chunks(
        AS_IS, findings=findings, chunk_bytes=size
    )
    assert "".join(chunks) == whole
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        assert findings.replaced > 0
        assert findings.first == error.start
    else:
        assert (findings.replaced, findings.first) == (0, None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_byte_order_marks_inside_are_left_out_and_counted(encoding: str, size: int) -> None:
    text = "один\r\ufeff\nдва\ufeff\u0301\ufeff\ufeffтри"
    findings = Findings()
    source = text_of(text.encode(encoding), encoding)
    read = "".join(source.chunks(Normalization(), findings=findings, chunk_bytes=size))
    assert read == unicodedata.normalize("NFC", "один\nдва\u0301три")
    assert findings.marks == 4
    (note,) = findings.notes()
    assert "4 byte order marks (U+FEFF) inside" in note


def test_read_text_gives_notes_to_whoever_asks(tmp_path: Path) -> None:
    path = tmp_path / "seed.txt"
    path.write_bytes("\ufeffраз\ufeffдва".encode() + b"\xff" + "три, четыре, пять".encode())
    with pytest.raises(EncodingError, match=r"stand for no character.*encoding_errors='replace'"):
        read_text(path)
    notes: list[str] = []
    assert (
        read_text(path, encoding_errors="replace", notes=notes) == "раздва\ufffdтри, четыре, пять"
    )
    assert [note.startswith(f"{path} has ") for note in notes] == [True, True]
