"""Stretches of a written text, by characters or by sentences."""

from __future__ import annotations

from textgen.text_spans import Span, parse_span


def test_a_span_tells_what_it_holds_and_where_it_changes() -> None:
    assert [parse_span("2..4").holds(char, 1) for char in range(6)] == [0, 0, 1, 1, 0, 0]
    assert [parse_span("s2..").holds(99, sentence) for sentence in (1, 2, 3)] == [0, 1, 1]
    assert parse_span("s1..3") == parse_span("s1..s3") == Span(1, 3, by_sentence=True)
    assert [parse_span("2..4").next_border(char) for char in range(5)] == [2, 2, 4, 4, None]
    assert Span(1, by_sentence=True).next_border(0) is None
