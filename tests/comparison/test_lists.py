"""Lists as they are typed: numbers with ranges, cells with nonlinearities."""

from __future__ import annotations

import pytest

from textgen.comparison import Variant, parse_numbers, parse_variants
from textgen.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1", (1,)),
        ("3, 1,2", (3, 1, 2)),
        ("10..50:20", (10, 30, 50)),
        ("1..3,8..20:8", (1, 2, 3, 8, 16)),
        ("5..5", (5,)),
    ],
)
def test_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_numbers(text, "lag") == numbers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "list of whole numbers"),
        ("a", "list of whole numbers"),
        ("1,,2", "list of whole numbers"),
        ("-1", "list of whole numbers"),
        ("1.5", "list of whole numbers"),
        ("0", "at least 1"),
        ("1,1", "1 twice"),
        ("1..3,2", "2 twice"),
        ("5..1", "give 1 to 1,000"),
        ("1..999999999", "give 1 to 1,000"),
    ],
)
def test_no_numbers(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_numbers(text, "lag")
    assert "lag" in str(caught.value)


def test_zero_where_it_may_be() -> None:
    assert parse_numbers("0,1", "rng", least=0) == (0, 1)


def test_variants() -> None:
    found = parse_variants("rnn, rnn:relu,rnn:identity,lstm,depth-gated")
    assert [variant.name for variant in found] == [
        *("rnn", "rnn:relu", "rnn:identity", "lstm", "depth-gated")
    ]
    assert found[1] == Variant("rnn", "relu")
    assert found[1].folder == "rnn-relu"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a list of cells"),
        ("lstm,", "not a list of cells"),
        ("lsmt", "'lsmt' is not known"),
        ("lstm:relu", "no choice of nonlinearity"),
        ("rnn:sine", "'sine' is not known"),
        ("gru,gru", "gru twice"),
        ("rnn,rnn:tanh", "rnn twice"),
    ],
)
def test_no_variants(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_variants(text)
