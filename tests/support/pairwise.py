"""Cases in which each two values meet, where the product of all values is long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import Any

import pytest


def pairwise(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Numbers of values, a tuple for each case, so that each two values of two lists meet.

    A defect is most often one of a single value, or of two that come together. Of three lists and
    more this takes far fewer cases than the product.

    Args:
        sizes: How many values each list has.
    """
    if len(sizes) < 2:
        return list(product(*map(range, sizes)))
    axes = list(combinations(range(len(sizes)), 2))
    left = {(a, b, i, j) for a, b in axes for i in range(sizes[a]) for j in range(sizes[b])}
    every, chosen = list(product(*map(range, sizes))), []
    while left and every:
        news = {case: {(a, b, case[a], case[b]) for a, b in axes} & left for case in every}
        best = max(every, key=lambda case: len(news[case]))
        # All that are as good and do not say the same: a search for each of them would take long.
        for case in every:
            if len(news[case]) == len(news[best]) and news[case] <= left:
                chosen.append(case)
                left -= news[case]
    return chosen


def each_two(*names: str, of: Sequence[Iterable[Any]]) -> pytest.MarkDecorator:
    """Parametrize a test so that each two values meet; the rest of the product is long.

    Args:
        names: Of the parameters; several in one string, `"cell, nonlinearity"`, where its values
            are tuples.
        of: The values of each.
    """
    values = [list(own) for own in of]
    quick = set(pairwise([len(own) for own in values]))
    cases = []
    for numbers in product(*(range(len(own)) for own in values)):
        row: list[Any] = []
        for name, own, number in zip(names, values, numbers, strict=True):
            row += own[number] if "," in name else [own[number]]
        marks = () if numbers in quick else pytest.mark.slow
        cases.append(pytest.param(*row, marks=marks, id="-".join(map(_name, row))))
    return pytest.mark.parametrize(", ".join(names), cases)


def _name(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
