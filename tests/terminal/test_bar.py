"""The line that moves: what it says at which width."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from textgen.terminal.bar import BarReading, bar_line, clock

TRAINING = BarReading(
    what="training",
    share=0.456,
    seconds=100.0,
    left=125.0,
    figures=("val 2.341", "train 2.102 bits/char", "44.1 k chars/s"),
)


def test_all_of_it() -> None:
    line = bar_line(TRAINING, 110)
    assert line.startswith("⠋ training  45% |█")
    assert line.endswith("| 2:05 left  val 2.341  train 2.102 bits/char  44.1 k chars/s")


def test_what_has_no_room_is_left_out_the_last_figure_first() -> None:
    narrow = bar_line(TRAINING, 60)
    assert "val 2.341" in narrow and "44.1 k" not in narrow
    assert bar_line(TRAINING, 30).startswith("⠋ training  45% ")
    assert "2:05 left" in bar_line(TRAINING, 39)


@pytest.mark.parametrize(
    "what", ["training", "1/3 lstm, rng 1: measuring the cost", "читаю 中文 файл"]
)
@pytest.mark.parametrize("share", [None, 0.0, 0.5, 1.0, 1.7])
def test_it_is_never_wider_than_the_terminal(what: str, share: float | None) -> None:
    for left in (None, 3.0, 90_000.0):
        reading = BarReading(
            what=what, share=share, seconds=12.0, left=left, figures=("val 1", "x" * 30), beat=3
        )
        for width in range(1, 130):
            for encoding in ("utf-8", "ascii"):
                line = bar_line(reading, width, encoding=encoding)
                assert cell_len(line) <= width
                line.encode(encoding)


def test_what_is_not_counted_has_a_clock_and_no_bar() -> None:
    reading = BarReading(what="loading torch", share=None, seconds=3.4, beat=1)
    assert bar_line(reading, 80) == "⠙ loading torch  3 s"


def test_where_the_stream_lacks_the_signs() -> None:
    line = bar_line(TRAINING, 80, encoding="ascii")
    assert "#" in line and line.startswith("| training")


def test_nothing_of_a_name_steers_the_terminal() -> None:
    reading = BarReading(what="reading \x1b[31mred\n.txt", share=None, seconds=0.0)
    assert "\x1b" not in bar_line(reading, 80) and "\n" not in bar_line(reading, 80)


def test_the_whole_bar_is_full() -> None:
    full = BarReading(what="reading", share=1.0, seconds=2.0, left=0.0)
    assert " " not in bar_line(full, 60).split("|")[1]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59.2, "59 s"), (61, "1:01"), (3600, "1:00:00")]
)
def test_a_clock_shows_whole_seconds(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
