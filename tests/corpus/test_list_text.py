"""Lists are told from all other texts, in every alphabet."""

from __future__ import annotations

import pytest
from support.kinds_of_text import ALPHABETS, LISTS, OTHERS, Writer

from textgen.corpus.list_text import judge_list

EACH_SEED = pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])


@EACH_SEED
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("kind", LISTS)
def test_a_list_is_recognised(kind: str, alphabet: str, seed: int) -> None:
    verdict = judge_list(LISTS[kind](Writer(alphabet, seed)))
    assert verdict.is_list, verdict.reason


#: Lines of eighteen Chinese characters without any mark, which nothing tells from titles.
UNDECIDED = {("verse without stanzas or marks", "han")}
#: In `make test` every second one: of each kind, and of each alphabet.
OTHER_CASES = [
    pytest.param(kind, alphabet, marks=pytest.mark.slow if (row + column) % 2 else ())
    for row, kind in enumerate(OTHERS)
    for column, alphabet in enumerate(ALPHABETS)
    if (kind, alphabet) not in UNDECIDED
]


@EACH_SEED
@pytest.mark.parametrize(("kind", "alphabet"), OTHER_CASES)
def test_no_other_text_is_taken_for_a_list(kind: str, alphabet: str, seed: int) -> None:
    verdict = judge_list(OTHERS[kind](Writer(alphabet, seed)))
    assert not verdict.is_list, verdict.reason
