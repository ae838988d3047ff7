"""How a network is trained on a series of numbers: the options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textgen.errors import named
from textgen.options import TrainOptions
from textgen.settings import TEXT, check, setting, setting_like


@dataclass(frozen=True, kw_only=True)
class SeriesOptions:
    """Which numbers are read.

    Raises:
        ConfigError: A value is of another type.
    """

    numbers: bool = setting(
        False,
        help="Train on a series of numbers instead of text, by squared error: the network learns "
        f"to compute the next number from the last ones ({named('history')}). The file contains "
        "one number on each line, numbers separated by white space, or a CSV table.",
        panel=TEXT,
    )
    column: str | None = setting(
        None,
        help=f"With {named('numbers')}: which column of a table to read, by its name in the first "
        "line or by its number, counted from 1.",
        panel=TEXT,
        metavar="NAME|N",
        by_default="the only one",
    )

    def __post_init__(self) -> None:
        check(self)


#: The cell where none is asked for.
NUMBER_CELL = "lstm"


def _from_train(name: str, **changes: Any) -> Any:
    return setting_like(TrainOptions, name, **changes)


@dataclass(frozen=True, kw_only=True)
class NumberOptions:
    """How a network of numbers is trained; what is None is chosen for the series.

    The settings are those of `TrainOptions` that mean something for numbers. What stands in `ADAMW`
    belongs to that optimiser: where one of it is given, AdamW trains on batches of windows.

    Raises:
        ConfigError: A value is out of range, or two contradict each other.
    """

    encoding: str | None = _from_train("encoding")
    encoding_errors: str = _from_train("encoding_errors")
    budget: float | None = _from_train("budget", by_default="a fixed number of steps")
    epochs: float | None = _from_train("epochs", help="How many times to read all windows.")
    steps: int | None = _from_train(
        "steps",
        help="How many steps to train (one step is one update of the weights).",
        by_default="200, or 2,000 with AdamW",
    )
    patience: int = _from_train("patience")
    val: str = _from_train(
        "val",
        help="The share of the series, at its end, on which the network is measured and from which "
        "it does not learn.",
        metavar="SHARE",
        accepts="str | float",
    )
    cell: str | None = _from_train("cell", by_default=NUMBER_CELL)
    nonlinearity: str = _from_train("nonlinearity")
    hidden_size: int | None = _from_train(
        "hidden_size", by_default="up to 16, so that there are fewer weights than windows"
    )
    num_layers: int | None = _from_train("num_layers", by_default="1, or 2 if the cell needs two")
    history: int | None = _from_train(
        "history",
        help="How many numbers the network reads before each prediction.",
        by_default="16, or a fifth of a short series",
    )
    batch_size: int | None = _from_train(
        "batch_size",
        help="How many windows one step of AdamW reads.",
        by_default="256, or all of them",
    )
    learning_rate: float | None = _from_train("learning_rate", by_default="0.01, with AdamW")
    weight_decay: float | None = _from_train("weight_decay", by_default="0")
    clip_norm: float | None = _from_train("clip_norm", by_default="1, with AdamW")
    rng: int = _from_train("rng")
    threads: int | None = _from_train("threads", by_default="1")
    eval_every: int | None = _from_train("eval_every", by_default="about a hundred times in a run")

    def __post_init__(self) -> None:
        check(self)
        # What these settings may be, alone and together, is said once.
        settled = TrainOptions(
            **{name: getattr(self, name) for name in ("budget", "epochs", "steps", "val")}
        )
        object.__setattr__(self, "val", settled.val)

    @property
    def asks_for_adamw(self) -> bool:
        """Whether a setting is given that no other optimiser has."""
        return any(getattr(self, name) is not None for name in ADAMW)


#: Settings of AdamW.
ADAMW = ("batch_size", "learning_rate", "weight_decay", "clip_norm")
