"""Text as cells: widths, marks, escapes, rows. For whatever a corpus may hold."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from textgen.terminal.text import cells, char_width, each_row, escape, quote, visible, with_signs

#: All kinds of characters, the awkward ones often.
TEXTS = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\n\t\r\0\x1b\x7f\x9b\u200d\u202e\ufe0f\u0301\u0306ёй日本👍🏽🇷　\\ a"),
    ),
    max_size=60,
)


def shown(text: str) -> list[str]:
    return [cell.shown for cell in cells(text)]


@pytest.mark.parametrize(
    ("char", "expected"),
    [
        ("\n", "\\n"),
        ("\t", "\\t"),
        ("\x00", "\\x00"),
        ("\x1b", "\\x1b"),
        ("\x9b", "\\x9b"),
        ("\u202e", "\\u202e"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_escapes(char: str, expected: str) -> None:
    assert escape(char) == expected
    assert visible(f"a{char}b") == f"a{expected}b"


def test_visible_leaves_text_alone() -> None:
    text = "Ёлка: «日本» й́ 👍"
    assert visible(text) == text
    assert visible("a\nb\x1b", keep_newlines=True) == "a\nb\\x1b"
    assert visible("aё", encoding="ascii") == "a\\u0451"


def test_what_is_not_seen_in_a_list_has_a_sign() -> None:
    assert with_signs("a b\n") == "a␣b↵"
    assert with_signs(" \x03", {"\x03": "‹here›"}) == "␣‹here›"


def test_no_character_steers_the_terminal() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            assert char_width(char) is None, escape(char)


def test_marks_share_the_cell_of_their_base() -> None:
    found = cells(["и", "\u0306", "a"])
    assert [(c.shown, c.width, c.piece, c.source) for c in found] == [
        ("и\u0306", 1, 0, "и\u0306"),
        ("a", 1, 2, "a"),
    ]


def test_a_mark_without_a_base_is_carried() -> None:
    assert shown("\u0301") == ["◌\u0301"]
    assert shown("\n\u0301") == ["↵", "◌\u0301"]
    assert shown("\x1b\u0301") == ["\\x1b", "◌\u0301"]
    assert shown("\\\u0301") == ["\\\u0301"]


def test_wide_characters_take_two_columns() -> None:
    assert [c.width for c in cells("日a👍")] == [2, 1, 2]


def test_what_terminals_disagree_about_is_escaped() -> None:
    assert shown("👍🏽") == ["👍", "\\U0001f3fd"]
    assert shown("🇷") == ["\\U0001f1f7"]
    assert shown("a\u200db") == ["a", "\\u200d", "b"]
    # A variation selector changes a width in some terminals, so it is not written.
    assert [(c.shown, c.source) for c in cells("❤\ufe0f")] == [("❤", "❤\ufe0f")]


def test_pieces_of_several_characters_and_of_none() -> None:
    found = cells(["", " слово", "", "!"])
    assert "".join(c.shown for c in found) == " слово!"
    assert [c.piece for c in found] == [1] * 6 + [3]


def test_a_poor_encoding() -> None:
    assert [c.shown for c in cells("ёa\n\u0301", encoding="cp1251")] == [
        "ё",
        "a",
        "\\n",
        "\\u0301",
    ]


def test_rows_break_at_newlines_then_spaces_then_anywhere() -> None:
    def broken(text: str, width: int) -> list[str]:
        return ["".join(c.shown for c in row) for row in each_row(cells(text), width)]

    assert broken("ab\ncd\n", 9) == ["ab↵", "cd↵"]
    assert broken("one two three", 8) == ["one two ", "three"]
    assert broken("one two three", 9) == ["one two ", "three"]
    assert broken("a bcdefghijkl", 8) == ["a bcdefg", "hijkl"]
    assert broken("日本語", 5) == ["日本", "語"]
    assert broken("", 5) == []


@given(TEXTS, st.integers(10, 40))
def test_nothing_is_lost_and_every_row_fits(text: str, width: int) -> None:
    found = cells(text)
    assert "".join(c.source for c in found) == text
    laid = list(each_row(found, width))
    assert [c for row in laid for c in row] == found
    for row in laid:
        line = "".join(c.shown for c in row)
        assert sum(c.width for c in row) <= width
        # Rich measures as we do, so it crops nothing.
        assert cell_len(line) == sum(c.width for c in row)
        assert all(
            c.isprintable() or c == "\u3000" or unicodedata.category(c) == "Zs" for c in line
        )
        assert not any(c.ends_row for c in row[:-1])


@given(st.lists(TEXTS, max_size=5))
def test_cutting_into_pieces_changes_no_cell(pieces: list[str]) -> None:
    whole = "".join(pieces)
    assert [c.shown for c in cells(pieces)] == [c.shown for c in cells(whole)]
    assert "".join(c.source for c in cells(pieces)) == whole


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("--hidden", "--hidden"),
        ("checkpoints/mine", "checkpoints/mine"),
        (r"C:\x\y", r'"C:\x\y"'),
        ("два слова", '"два слова"'),
        ("a&b", '"a&b"'),
        ('she said "no"', r'"she said \"no\""'),
        ("C:\\two words\\", '"C:\\two words\\\\"'),
        ("", '""'),
    ],
)
def test_a_word_for_the_shells_of_windows(
    monkeypatch: pytest.MonkeyPatch, word: str, quoted: str
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert quote(word) == quoted
