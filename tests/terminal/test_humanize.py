"""Numbers and lists in the words of messages."""

from __future__ import annotations

from textgen.terminal.humanize import listed, plural, times


def test_one_is_no_plural() -> None:
    assert [plural(n, "file") for n in (0, 1, 2, 2000)] == [
        *("0 files", "1 file", "2 files", "2,000 files")
    ]
    assert [plural(n, "file is", "files are") for n in (1, 2)] == ["1 file is", "2 files are"]
    assert [times(n) for n in (1, 1.0, 2, 0.5, 1200)] == [
        *("once", "once", "2 times", "0.5 times", "1,200 times")
    ]


def test_a_long_list_is_cut() -> None:
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert listed(list("abc"), 1) == "a and 2 more"
