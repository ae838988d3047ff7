"""Every cell by its name: those of textgen, and those that a user registers."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from textgen.cells.cell import Array, Cell, Namespace, RecurrentProduct
from textgen.cells.equations import (
    NONLINEARITIES,
    CoupledLSTMCell,
    DepthGatedLSTMCell,
    GRUCell,
    LSTMCell,
    MultiplicativeLSTMCell,
    PeepholeLSTMCell,
    RNNCell,
)
from textgen.errors import ConfigError
from textgen.version import UPGRADE

#: Every cell by the name that a checkpoint uses; `register_cell` adds to it.
CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        LSTMCell(),
        GRUCell(),
        RNNCell(),
        PeepholeLSTMCell(),
        CoupledLSTMCell(),
        DepthGatedLSTMCell(),
        MultiplicativeLSTMCell(),
    )
}
#: The cells of textgen itself. The native engine lists the same in the same order (`textgen.h`).
BUILT_IN = tuple(CELLS)

_OwnCell = TypeVar("_OwnCell", bound="Cell | type[Cell]")
#: Sizes of the trial step: all different, so that no wrong shape fits by chance.
_BATCH, _HIDDEN = 2, 11


def get_cell(name: str, nonlinearity: str = "tanh") -> Cell:
    """The cell called `name`.

    Args:
        name: One of `CELLS`.
        nonlinearity: One of `NONLINEARITIES`. Only the `rnn` has a choice.
    Raises:
        ConfigError: There is no cell of that name, or none with that nonlinearity.
    """
    if name not in CELLS:
        raise ConfigError(f"cell '{name}' is not known; choose one of: {', '.join(CELLS)}")
    if nonlinearity not in NONLINEARITIES:
        raise ConfigError(
            f"nonlinearity '{nonlinearity}' is not known; choose one of: "
            f"{', '.join(NONLINEARITIES)}"
        )
    if name == "rnn":
        return RNNCell(nonlinearity)
    if nonlinearity != "tanh":
        raise ConfigError(
            f"cell '{name}' has no choice of nonlinearity, but '{nonlinearity}' was given; "
            "leave it out, or choose the cell 'rnn'"
        )
    return CELLS[name]


def register_cell(cell: _OwnCell, *, replace: bool = False) -> _OwnCell:
    """Make a cell of your own known by its name, for training, loading, sampling and tracing.

    The native engine does not know it. It is trained by a loop over time in torch, which is many
    times slower; NumPy samples and traces it. A program that loads such a model must register the
    cell first.

    Args:
        cell: A `Cell`, or a subclass that needs no arguments: then this works as a decorator of the
            class. `docs/networks.md` has an example; `textgen/cells/README.md` says what a cell
            declares.
        replace: Whether it may replace another registered cell of that name. A class that is
            defined again, as in a notebook, always replaces its older version.
    Returns:
        `cell`.
    Raises:
        ConfigError: It is not a cell, its name is taken, or a trial step fails: the message says
            how the result differs from what the cell declares.
    """
    try:
        made = cell() if isinstance(cell, type) else cell
    except TypeError as error:
        raise ConfigError(
            f"{cell!r:.80} cannot be made without arguments ({error}); register an instance: "
            "register_cell(MyCell(...))"
        ) from error
    if not isinstance(made, Cell):
        raise ConfigError(f"{cell!r:.80} is not a textgen.cells.Cell; derive its class from that")
    _check_declarations(made)
    known = CELLS.get(made.name)
    if made.name in BUILT_IN:
        raise ConfigError(f"'{made.name}' is a cell of textgen; give yours another name")
    if known is not None and not replace and _class_name(known) != _class_name(made):
        raise ConfigError(
            f"a cell '{made.name}' is registered already; give yours another name, or replace the "
            "other: register_cell(..., replace=True)"
        )
    try_step(made, np, np.asarray)
    CELLS[made.name] = made
    return cell


def missing_cell(name: str) -> str:
    """The rest of a sentence about a file that needs an unknown cell: what to do."""
    return (
        f"needs the cell {name!r:.80}, which textgen does not have: if it is your own, register "
        "it before (textgen.cells.register_cell), otherwise " + UPGRADE
    )


def try_step(cell: Cell, xp: Namespace, array: Callable[[Any], Array]) -> None:
    """Take one step, and compare what it returns with what the cell declares.

    Args:
        cell: The cell.
        xp: The array library.
        array: Makes an array of that library from a NumPy array, with shared memory.
    Raises:
        ConfigError: The step fails, or returns something else.
    """
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0.0, 0.5, shape).astype(np.float32)

    def normal(*shape: int) -> Array:
        return array(drawn(*shape))

    where = f"the step of the cell '{cell.name}'"
    library = getattr(xp, "__name__", str(xp))
    given = {name: drawn(_BATCH, _HIDDEN) for name in cell.state_names}
    before = {name: value.copy() for name, value in given.items()}
    weights = [normal(product.blocks * _HIDDEN, _HIDDEN) for product in cell.products]
    edited = []

    def edit(name: str, value: Array) -> Array:
        edited.append(name)
        return value

    try:
        new, gates = cell.step(
            xp,
            normal(_BATCH, len(cell.input_names) * _HIDDEN),
            {name: array(value) for name, value in given.items()},
            tuple(partial(_multiply, weight) for weight in weights),
            {name: normal(_HIDDEN) for name in cell.vector_names},
            {name: normal(_BATCH, _HIDDEN) for name in cell.below_names},
            edit,
        )
    except Exception as error:
        raise ConfigError(
            f"{where} fails with {library}'s arrays: {type(error).__name__}: {error}; it may use "
            "operators and what xp has in numpy and torch alike"
        ) from error
    for what, found, declared in (
        ("states", new, cell.state_names),
        ("gates", gates, cell.gate_names),
    ):
        if not isinstance(found, dict) or set(found) != set(declared):
            returned = ", ".join(map(str, found)) if isinstance(found, dict) else repr(found)
            raise ConfigError(
                f"{where} returns the {what} {returned or 'none'} and declares "
                f"{', '.join(declared) or 'none'}"
            )
    for name, value in {**gates, **new}.items():
        shape, kind = tuple(getattr(value, "shape", ())), str(getattr(value, "dtype", type(value)))
        if shape != (_BATCH, _HIDDEN) or not kind.endswith("float32"):
            raise ConfigError(
                f"{where} returns '{name}' as {kind} of shape {shape} with {library}; of float32 "
                f"arrays of {_HIDDEN} units and {_BATCH} streams it must be float32 of "
                f"({_BATCH}, {_HIDDEN})"
            )
    if sorted(name for name in edited if name not in gates) != sorted(cell.state_names):
        raise ConfigError(
            f"{where} must pass each new state through edit, once, before anything reads it: "
            f'h = edit("h", ...); it did so with: {", ".join(edited) or "none"}'
        )
    if any(not np.array_equal(given[name], value) for name, value in before.items()):
        raise ConfigError(f"{where} changes the state it was given; it must make a new one")


def _multiply(weight: Array, h_BH: Array) -> Array:
    return h_BH @ weight.T


def _check_declarations(cell: Cell) -> None:
    """Raise `ConfigError` where a cell's name, or those of its parts, cannot be used."""
    name = getattr(cell, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ConfigError(
            f"a cell's name is {name!r:.60}; it must be lower-case letters, digits and dashes, "
            "such as 'minimal-gated'"
        )
    where = f"the cell '{name}'"
    for part in ("gate_names", "state_names", "input_names", "vector_names", "below_names"):
        _check_list(where, part, getattr(cell, part, None))
    if not cell.state_names or cell.state_names[0] != "h":
        raise ConfigError(f"{where} must have the state 'h', its output, as its first")
    if not set(cell.below_names) <= set(cell.state_names):
        raise ConfigError(f"{where} reads states of the layer below that it does not have itself")
    if not isinstance(cell.products, tuple) or not all(
        isinstance(product, RecurrentProduct) and product.blocks >= 1 for product in cell.products
    ):
        raise ConfigError(f"{where} has products that are not a tuple of RecurrentProduct")
    tensors = [product.name for product in cell.products]
    _check_list(where, "products", ("weight_ih", "bias", *tensors, *cell.vector_names))


def _check_list(where: str, part: str, names: object) -> None:
    valid = (
        isinstance(names, tuple)
        and all(isinstance(n, str) and re.fullmatch(r"[A-Za-z][\w-]*", n) for n in names)
        and len(set(names)) == len(names)
    )
    if not valid:
        raise ConfigError(
            f"{where} has {part} = {names!r:.80}; it must be a tuple of different names, such as "
            "('update', 'candidate')"
        )


def _class_name(cell: Cell) -> tuple[str, str]:
    return type(cell).__module__, type(cell).__qualname__
