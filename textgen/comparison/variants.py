"""What is compared: networks of several cells, equally large; and lists as they are typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from textgen.cells import CELLS, get_cell
from textgen.errors import ConfigError, named
from textgen.model.config import ModelConfig
from textgen.options import TrainOptions
from textgen.settings import check
from textgen.training.sizing import embedding_width, usual_layers

_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kM]?)", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}
_NUMBERS = re.compile(r"(\d{1,9})(?:\.\.(\d{1,9})(?::(\d{1,9}))?)?")
#: The most numbers in a list; more are a slip of the hand.
_MOST = 1000


@dataclass(frozen=True)
class Variant:
    """One of the networks of a comparison.

    Args:
        cell: Name of its cell, one of `textgen.cells.CELLS`.
        nonlinearity: Of the cell `rnn`; the others have no choice.
    Raises:
        ConfigError: There is no such cell, or it has no such nonlinearity.
    """

    cell: str
    nonlinearity: str = "tanh"

    def __post_init__(self) -> None:
        check(self)
        get_cell(self.cell, self.nonlinearity)

    @property
    def name(self) -> str:
        """As it is typed: `lstm`, `rnn`, `rnn:relu`."""
        return self.cell if self.nonlinearity == "tanh" else f"{self.cell}:{self.nonlinearity}"

    @property
    def folder(self) -> str:
        """The same as a part of a file's name."""
        return self.name.replace(":", "-")


def parse_variants(variants: str | Iterable[str | Variant]) -> tuple[Variant, ...]:
    """What is compared: out of a list such as `rnn,rnn:relu,lstm`, names of cells, or variants.

    Raises:
        ConfigError: One is not known, or is named twice.
    """
    found: list[Variant] = []
    several = isinstance(variants, Iterable) and not isinstance(variants, str)
    for variant in variants if several else [variants]:
        if isinstance(variant, Variant):
            found.append(variant)
        elif isinstance(variant, str):
            found += _variants_in(variant)
        else:
            raise ConfigError(f"{variant!r:.60} is not a cell; name one, such as 'lstm'")
    refuse_twice([variant.name for variant in found], "cells")
    return tuple(found)


def _variants_in(text: str) -> Iterator[Variant]:
    for name in text.split(","):
        cell, _, nonlinearity = name.strip().lower().partition(":")
        if not cell:
            raise ConfigError(
                f"'{text}' is not a list of cells; type it like rnn,lstm,gru, with names out of: "
                f"{', '.join(CELLS)}"
            )
        yield Variant(cell, nonlinearity or "tanh")


def check_base(base: object) -> None:
    """Raise `ConfigError` where what is asked of all runs are not `TrainOptions`."""
    if not isinstance(base, TrainOptions):
        raise ConfigError(
            f"base is {base!r:.60}; it must be a textgen.options.TrainOptions, such as "
            "TrainOptions(steps=500)"
        )


def refuse_twice(values: Sequence[object], setting: str) -> None:
    """Raise `ConfigError` where the list that `setting` gives has the same thing twice."""
    for value in values:
        if values.count(value) > 1:
            raise ConfigError(f"{named(setting)} names {value} twice; once is enough")


def parse_numbers(text: str, setting: str, *, least: int = 1) -> tuple[int, ...]:
    """The numbers in a list of numbers and ranges.

    Args:
        text: Numbers with commas between them; `A..B:S` is every S-th from A to B, `A..B` each.
        setting: Where it was given, for messages.
        least: The smallest that may be in it.
    Raises:
        ConfigError: It is not such a list, one is too small, or one is there twice.
    """
    option, numbers = named(setting), list[int]()
    for part in text.replace(" ", "").split(","):
        match = _NUMBERS.fullmatch(part)
        if match is None:
            raise ConfigError(
                f"{option} is '{text}'; it must be a list of whole numbers like 1,2,4 or a range "
                "like 10..200:10"
            )
        first, last, step = (int(group or 0) for group in match.groups())
        more = range(first, last + 1, max(1, step)) if match[2] else range(first, first + 1)
        if not more or len(numbers) + len(more) > _MOST:
            raise ConfigError(
                f"{option}: {part} are {len(more):,} numbers; give 1 to {_MOST:,} in all"
            )
        numbers += more
    for number in numbers:
        if number < least:
            raise ConfigError(f"{option} names {number}; each must be at least {least}")
    refuse_twice(numbers, setting)
    return tuple(numbers)


def parse_count(text: str) -> int:
    """The number in `text`: `250000`, `250k`, `1.5M`.

    Raises:
        ConfigError: It is not a number, or less than one.
    """
    match = _COUNT.fullmatch(text.strip().replace(",", ""))
    value = 0 if match is None else round(float(match[1]) * _FACTORS[match[2].lower()])
    if value < 1:
        raise ConfigError(f"'{text}' is not a number of parameters; type it like 250k or 1M")
    return value


def width_for(params: int, config: ModelConfig, *, embedding_size: int | None = None) -> int:
    """The largest width of a layer with which a model has at most `params` parameters.

    Args:
        params: Numbers that the model may learn.
        config: The rest of its shape: vocabulary, cell, layers, `tie`. Its `hidden_size` and
            `embedding_size` do not matter.
        embedding_size: The size of a token's embedding vector; None: as `textgen train` chooses it
            for each width.
    Returns:
        The width; `shaped(config, width).num_parameters()` is what it comes to.
    Raises:
        ConfigError: Even a network of one neuron has more.
    """

    def count(width: int) -> int:
        return shaped(config, width, embedding_size=embedding_size).num_parameters()

    if count(1) > params:
        raise ConfigError(
            f"{params:,} parameters are too few: one neuron of cell '{config.cell}' with "
            f"{config.vocab_size:,} symbols has {count(1):,}; raise {named('params')}"
        )
    low, high = 1, 2
    while count(high) <= params:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= params else (low, middle)
    return low


def shaped(config: ModelConfig, width: int, *, embedding_size: int | None = None) -> ModelConfig:
    """`config` with layers of that width, and an embedding as `textgen train` makes it."""
    embedding = embedding_size or embedding_width(width, tie=config.tie)
    return replace(config, hidden_size=width, embedding_size=embedding)


def equally_large(
    variants: Iterable[Variant], base: TrainOptions, params: int, vocab_size: int
) -> dict[Variant, dict[str, Any]]:
    """The settings of each variant's network: as many layers as one of them needs, as wide as fits.

    Args:
        variants: The networks.
        base: Everything else that is asked of them.
        params: Parameters of each network at most.
        vocab_size: Symbols of the texts.
    """
    asked = {variant: replace(base, **asdict(variant)) for variant in variants}
    layers = base.num_layers or max(usual_layers(options)[0] for options in asked.values())
    settings = {}
    for variant in asked:
        shape = ModelConfig(
            vocab_size=vocab_size,
            embedding_size=1,
            hidden_size=1,
            num_layers=layers,
            **asdict(variant),
            tie=base.tie,
            residual=base.residual,
        )
        width = width_for(params, shape, embedding_size=base.embedding_size)
        settings[variant] = {**asdict(variant), "num_layers": layers, "hidden_size": width}
    return settings
