"""What is compared: cells by name, with a nonlinearity where they have the choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textgen.cells import CELLS, get_cell
from textgen.errors import ConfigError, named
from textgen.options import TrainOptions
from textgen.settings import check


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


def parse_variants(text: str) -> tuple[Variant, ...]:
    """The variants in a list such as `rnn,rnn:relu,lstm`.

    Raises:
        ConfigError: One is not known, or stands there twice.
    """
    variants = []
    for name in text.split(","):
        cell, _, nonlinearity = name.strip().lower().partition(":")
        if not cell:
            raise ConfigError(
                f"'{text}' is no list of cells; type it like rnn,lstm,gru, with names out of: "
                f"{', '.join(CELLS)}"
            )
        variants.append(Variant(cell, nonlinearity or "tanh"))
    refuse_twice([variant.name for variant in variants], "--cells")
    return tuple(variants)


def as_variants(variants: str | Iterable[str | Variant]) -> tuple[Variant, ...]:
    """What is compared, out of variants, the names of cells, or a list such as `rnn,lstm`.

    Raises:
        ConfigError: One is not known, or stands there twice.
    """
    if isinstance(variants, str):
        return parse_variants(variants)
    made: list[Variant] = []
    for variant in variants if isinstance(variants, Iterable) else [variants]:
        if isinstance(variant, Variant):
            made.append(variant)
        elif isinstance(variant, str):
            made += parse_variants(variant)
        else:
            raise ConfigError(f"{variant!r:.60} is no cell; name one, such as 'lstm'")
    refuse_twice([variant.name for variant in made], named("cells"))
    return tuple(made)


def check_base(base: object) -> None:
    """Raise `ConfigError` where what is asked of all runs is no `TrainOptions`."""
    if not isinstance(base, TrainOptions):
        raise ConfigError(
            f"base is {base!r:.60}; it must be a textgen.options.TrainOptions, such as "
            "TrainOptions(steps=500)"
        )


def refuse_twice(values: Sequence[object], option: str) -> None:
    """Raise `ConfigError` where a list names the same thing twice.

    Args:
        values: The list.
        option: Where it was given.
    """
    for value in values:
        if values.count(value) > 1:
            raise ConfigError(f"{option} names {value} twice; once is enough")
