"""The width that follows from a number of parameters."""

from __future__ import annotations

import pytest

from textgen.cells import CELLS
from textgen.comparison import width_for
from textgen.comparison.variants import parse_count, shaped
from textgen.errors import ConfigError
from textgen.model.config import ModelConfig


def config(cell: str, **settings: object) -> ModelConfig:
    shape = {"vocab_size": 80, "embedding_size": 1, "hidden_size": 1, "cell": cell, **settings}
    return ModelConfig(**shape)  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("settings", [{}, {"num_layers": 3}, {"tie": True}], ids=str)
@pytest.mark.parametrize("params", [2_000, 50_000, 1_000_000])
def test_it_is_the_largest(cell: str, settings: dict[str, object], params: int) -> None:
    shape = config(cell, **settings)
    width = width_for(params, shape)
    assert shaped(shape, width).num_parameters() <= params
    assert shaped(shape, width + 1).num_parameters() > params


def test_the_embedding_follows_the_plan_or_the_wish() -> None:
    """At most 64 wide, as `textgen train` makes it; as wide as is asked for; tied."""
    shape = config("lstm")
    assert [shaped(shape, width).embedding_size for width in (20, 64, 500)] == [20, 64, 64]
    assert shaped(config("lstm", tie=True), 500).embedding_size == 500
    wide = width_for(100_000, shape, embedding_size=200)
    assert wide < width_for(100_000, shape)
    assert shaped(shape, wide, embedding_size=200).num_parameters() <= 100_000


def test_too_few_parameters_for_a_single_unit() -> None:
    with pytest.raises(ConfigError, match=r"too few: one neuron of cell 'gru'.*raise params"):
        width_for(100, config("gru"))


@pytest.mark.parametrize(
    ("text", "count"),
    [("250000", 250_000), ("250k", 250_000), ("1.5M", 1_500_000), ("2,000", 2000)],
)
def test_counts(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "many", "0", "-3", "1G", "1 k k"])
def test_no_counts(text: str) -> None:
    with pytest.raises(ConfigError, match="type it like 250k or 1M"):
        parse_count(text)
