"""UTF-16 that other bytes were joined to is refused where it turns; a text of one kind is not."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest
from support.pairwise import each_two

from textgen.corpus.encoding import detect
from textgen.corpus.reader import read_text
from textgen.corpus.source import open_sources
from textgen.errors import EncodingError

ENGLISH = "The ferry came in at noon.\r\nNobody was on the quay but a dog.\r\nIt barked twice.\r\n"
FRENCH = "L'été fut très chaud.\r\nPersonne ne sortait avant la nuit, même à la plage.\r\n"
RUSSIAN = "Паром пришёл в полдень.\r\nНа пристани не было никого, кроме собаки.\r\n"
CHINESE = "渡轮中午到达。\r\n码头上除了一条狗没有别人。\r\n它叫了两声。\r\n"
KOREAN = "배는 정오에 들어왔다.\r\n부두에는 개 한 마리뿐이었다.\r\n"
NARROW = [
    (ENGLISH, "utf-8"),
    (FRENCH, "utf-8"),
    (FRENCH, "cp1252"),
    (RUSSIAN, "utf-8"),
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "koi8_r"),
    (CHINESE, "utf-8"),
    (CHINESE, "gb18030"),
    (KOREAN, "utf-8"),
]
ORDERS = ("utf-16-le", "utf-16-be")
WIDE = [ENGLISH, FRENCH, RUSSIAN, CHINESE, KOREAN]


def refusal(data: bytes) -> str:
    (source,) = open_sources(["-"], stdin=io.BytesIO(data))
    with pytest.raises(EncodingError) as caught:
        detect(source)
    return str(caught.value)


def place(message: str) -> int:
    found = re.search(r"byte ([\d,]+)", message)
    assert found is not None
    return int(found[1].replace(",", ""))


@each_two(
    *("mark", "order", "wide", "text, narrow", "times"),
    of=(["", "\ufeff"], ORDERS, WIDE, NARROW, [1, 30]),
)
def test_joined_files_are_refused(
    mark: str, order: str, wide: str, text: str, narrow: str, times: int
) -> None:
    one, two = (mark + wide * times).encode(order), text.encode(narrow)
    message = refusal(one + two)
    assert abs(place(message) - len(one)) <= 2, message
    message = refusal(two + one)
    assert abs(place(message) - len(two)) <= 2, message


def test_the_message_names_both_encodings_and_a_line() -> None:
    message = refusal(("\ufeff" + ENGLISH).encode("utf-16-le") + FRENCH.encode())
    turn = len(("\ufeff" + ENGLISH).encode("utf-16-le"))
    assert (
        f"changes its encoding at byte {turn:,} (line 4): UTF-16-LE before, UTF-8 from" in message
    )
    message = refusal(FRENCH.encode("cp1252") + ("\ufeff" + ENGLISH).encode("utf-16-be"))
    assert f"at byte {len(FRENCH)} (line 3): CP1252 before, UTF-16-BE from there on" in message


def test_a_short_last_line_is_enough() -> None:
    data = ("\ufeff" + ENGLISH).encode("utf-16-le")
    assert place(refusal(data + b"done\r\n")) == len(data)


def test_one_order_after_the_other() -> None:
    data = ("\ufeff" + ENGLISH).encode("utf-16-le")
    message = refusal(data + ("\ufeff" + ENGLISH).encode("utf-16-be"))
    assert place(message) == len(data) and "UTF-16-BE from there on" in message


@pytest.mark.parametrize("wide_first", [True, False])
def test_the_command_in_the_message_repairs_the_file(tmp_path: Path, wide_first: bool) -> None:
    path = tmp_path / "two parts.txt"
    one, two = ("\ufeff" + ENGLISH).encode("utf-16-le"), FRENCH.encode("cp1252")
    path.write_bytes(one + two if wide_first else two + one)
    with pytest.raises(EncodingError) as caught:
        read_text(path)
    command = re.search(r"`(.*)`", str(caught.value))
    assert command is not None
    subprocess.run(["bash", "-c", command[1]], cwd=tmp_path, check=True)
    whole = ENGLISH + FRENCH if wide_first else FRENCH + ENGLISH
    assert read_text(tmp_path / "joined.txt") == whole.replace("\r\n", "\n")


WHOLE = [
    *WIDE,
    *(text.replace("\r\n", "\n").strip() for text in WIDE),
    ENGLISH + CHINESE,
    CHINESE + ENGLISH,
    ENGLISH + "渡轮中午到达",
    RUSSIAN + KOREAN + "\ufeff" + ENGLISH,
    CHINESE.replace("\r\n", "") * 20 + "\n",
]


@each_two("order", "mark", "text", of=(ORDERS, ["", "\ufeff"], WHOLE))
def test_texts_in_one_encoding_are_read(order: str, mark: str, text: str) -> None:
    (source,) = open_sources(["-"], stdin=io.BytesIO((mark + text).encode(order)))
    assert detect(source).encoding == order


LONG = (ENGLISH + "The captain counted the boxes, signed the paper and went back below.\r\n") * 40


@pytest.mark.parametrize("text", [LONG, LONG.replace("\r\n", "\n"), "One line.\n", FRENCH, CHINESE])
@pytest.mark.parametrize("added", ["appended by PowerShell\r\n", RUSSIAN, "\ufeffmore\r\n"])
def test_a_mark_of_utf8_does_not_hide_what_was_joined(text: str, added: str) -> None:
    one = b"\xef\xbb\xbf" + text.encode()
    message = refusal(one + added.encode("utf-16-le"))
    assert place(message) == len(one), message
    assert "UTF-8 before, UTF-16-LE from there on" in message


@each_two(
    *("mark", "first, second", "one", "two"),
    of=(
        ["", "\ufeff"],
        [ORDERS, ORDERS[::-1]],
        [ENGLISH, LONG.replace("\r\n", "\n"), RUSSIAN, CHINESE, KOREAN],
        [ENGLISH, RUSSIAN * 20, CHINESE],
    ),
)
def test_one_order_after_the_other_without_a_mark(
    mark: str, first: str, second: str, one: str, two: str
) -> None:
    data = (mark + one).encode(first)
    message = refusal(data + two.encode(second))
    assert abs(place(message) - len(data)) <= 2, message
    assert f"{first.upper()} before, {second.upper()} from there on" in message


def test_wide_spaces_are_no_other_order() -> None:
    text = "A\u2000wide\u2000space\u2000here and there.\n" * 5 + "\u2000" * 9
    for order in ("utf-16-le", "utf-16-be"):
        (source,) = open_sources(["-"], stdin=io.BytesIO(("\ufeff" + text).encode(order)))
        assert detect(source).encoding == order
