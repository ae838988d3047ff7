"""A recurrent cell laid open: its equations, the weights in them, and its numbers at one step.

The equations stand in the docstring of the cell's class, one on each line, such as
`f_t = sigma(W_f x_t + U_f h_{t-1} + b_f)`. Here they get the lectures' letters, in both notations:
with one matrix, W_f · [h_{t-1}, x_t], and with a matrix for each vector. A test computes every cell
of textgen by these lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.cells import Cell, get_cell
from textgen.corpus.vocabulary import END_ID
from textgen.errors import ConfigError, named
from textgen.inspection.neuron_stats import most_varying, parse_neurons
from textgen.inspection.subject import Subject, encoded
from textgen.inspection.trace import STATES, Neuron, quantities, trace
from textgen.model.edit import NO_EDITS, Edits, for_all
from textgen.notebook import Part, Picture, Shown, quoted
from textgen.table import Column, Table
from textgen.terminal.diagram import Arrow, Diagram, Kind, Node, Place

_LINE = re.compile(r"^ +(\w+_t) = (.+)$", re.M)
#: The order of the lectures, where an equation needs none that stands later.
_ORDER = "rzmfigndcoh"
#: What is traced, by its letter in the docstrings.
_LETTERS = {
    "input-gate": "i_t",
    "forget-gate": "f_t",
    "output-gate": "o_t",
    "depth-gate": "d_t",
    "reset-gate": "r_t",
    "update-gate": "z_t",
    "cell": "c_t",
    "hidden": "h_t",
}
_SYMBOL = re.compile(r"\b[a-z](?:\^b)?_(?:t\b|\{t-1\})")


@dataclass(frozen=True)
class Equation:
    """One line of a cell.

    Args:
        symbol: What it computes, as in the docstring: `f_t`.
        right: Of what, as in the docstring.
        value: Its value for one neuron at one step; None where there is no step.
        numbers: The right side with that neuron's numbers, where it is a sum of products of them.
    """

    symbol: str
    right: str
    value: float | None = None
    numbers: str = ""

    @property
    def is_layer(self) -> bool:
        """Whether it has weights for the input: a layer of the cell."""
        return re.search(r"\bW(_\w)? x_t", self.right) is not None

    @property
    def function(self) -> str:
        """What its right side is put into: `σ`, `tanh`, or `f`; `×` where it is a product."""
        found = re.match(r"(sigma|tanh|f) ?\(", self.right)
        return {"sigma": "σ"}.get(found[1], found[1]) if found else "×"

    @property
    def joined(self) -> str:
        """With one matrix for both vectors, where it is their plain sum; c is C."""
        text = re.sub(r"W(|_\w) x_t \+ U\1 (h_\{t-1\}|m_t)", r"W\1 · [\2, x_t]", self._text)
        return re.sub(r"\bc(?=[_^])", "C", re.sub(r"(?<=\b[WUb]_)c\b", "C", text))

    @property
    def split(self) -> str:
        """With a matrix for each vector; ∘ multiplies number by number."""
        return self._text.replace(" * ", " ∘ ")

    @property
    def _text(self) -> str:
        text = f"{self.symbol} = {self.right}".replace("sigma", "σ").replace("tanh (", "tanh(")
        return re.sub(r"\bg_t\b", "C̃_t", text)


@dataclass(frozen=True, kw_only=True, repr=False)
class CellAnatomy(Shown):
    """A cell with its equations, its weights, and its numbers at one step.

    Args:
        cell: Its name.
        hidden_size: Neurons, H.
        input_size: Numbers that it reads at a step, I.
        equations: In an order in which they can be computed.
        weights: Each array of weights: name, shape in letters, shape in numbers.
        text: The text that was read; "" for none. The step is that of its last token.
        token: That token.
        neuron: Whose numbers are shown; None without a text.
        before: The states before the step: `h_{t-1}`, `c_{t-1}` of that neuron.
    """

    cell: str
    hidden_size: int
    input_size: int
    equations: tuple[Equation, ...]
    weights: tuple[tuple[str, str, tuple[int, ...]], ...]
    text: str = ""
    token: str = ""
    neuron: Neuron | None = None
    before: Mapping[str, float] | None = None

    @property
    def parameters(self) -> int:
        """How many weights it has in all."""
        return sum(prod(shape) for _, _, shape in self.weights)

    @property
    def layers(self) -> int:
        """How many layers of weights read the input: four in an LSTM, one in a plain network."""
        return sum(equation.is_layer for equation in self.equations)

    @property
    def headline(self) -> str:
        """Its name and size; of which neuron the numbers are."""
        layers = "1 layer reads" if self.layers == 1 else f"{self.layers} layers read"
        told = (
            f"{self.cell}: {layers} the input; {self.parameters:,} weights with "
            f"H = {self.hidden_size:,}, I = {self.input_size:,}"
        )
        if self.neuron is None:
            return told
        layer, unit = self.neuron
        return f"{told}; neuron {layer}:{unit} at {self.token!r}, the end of {quoted(self.text)}"

    def parts(self) -> Iterable[Part]:
        """The drawing, the equations with their numbers, the weights."""
        yield Picture(self.diagram().svg(), f"the cell {self.cell}")
        if self.before:
            yield "; ".join(f"{name} = {value:.3f}" for name, value in self.before.items())
        yield self.table()
        yield self.weight_table()

    def to_json(self) -> dict[str, Any]:
        """The cell as plain data, ready for `json.dumps`."""
        return {
            "cell": self.cell,
            "hidden_size": self.hidden_size,
            "input_size": self.input_size,
            "layers": self.layers,
            "parameters": self.parameters,
            "equations": self.table().records(),
            "weights": self.weight_table().records(),
            "text": self.text,
            "token": self.token,
            "neuron": None if self.neuron is None else f"{self.neuron[0]}:{self.neuron[1]}",
            "before": dict(self.before or {}),
        }

    def table(self) -> Table:
        """A row for each equation, in both notations."""
        return Table(
            ("symbol", "joined", "split", Column("value", format=".3f"), "numbers"),
            (
                (each.symbol, each.joined, each.split, each.value, each.numbers)
                for each in self.equations
            ),
        )

    def weight_table(self) -> Table:
        """A row for each array of weights."""
        return Table(
            ("weight", "shape", "size", "count"),
            (
                (name, letters, " x ".join(map(str, shape)), prod(shape))
                for name, letters, shape in self.weights
            ),
        )

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """The columns of the table."""
        return self.table().to_arrays()

    def diagram(self) -> Diagram:
        """The road of the memory and the layers below it, with the numbers if there are some."""
        state, terms = self._road()
        known = {each.symbol: each.value for each in self.equations} | dict(self.before or {})

        def node(column: float, row: float, label: str, term: str = "", kind: Kind = "box") -> Node:
            # The number of a symbol, or of a product of them.
            factors = [known.get(symbol) for symbol in term.split(" * ")]
            value = None if None in factors else prod(each or 0.0 for each in factors)
            return Node((column, row), label, "" if value is None else f"{value:.3f}", kind)

        layers = [each for each in self.equations if each.is_layer]
        bottom = (2 if state == "c" else 1) if terms else 0
        nodes = [Node((0, bottom + 1), self._reads, kind="text")]
        arrows = []
        for column, each in enumerate(layers, start=1):
            label = _written(each.symbol)
            if each.function != "×":
                label += f" = {each.function}"
            nodes.append(node(column, bottom, label, each.symbol, "layer"))
            arrows.append(Arrow(((0, bottom + 1), (column, bottom + 1), (column, bottom))))
        last = max(len(terms) + (3 if state == "c" else 1), len(layers) + 1)
        blocks: dict[Place, str] = {(k, 0): term for k, (_, term) in enumerate(terms, start=1)}
        if terms:
            before, after = f"{state}_{{t-1}}", f"{state}_t"
            nodes.append(node(0, 0, _written(before), before, "text"))
            nodes.append(node(last, 0, _written(after), after, "text"))
            arrows.append(Arrow(((0, 0), (last, 0)), kind="strong"))
            for column, (sign, term) in enumerate(terms, start=1):
                nodes.append(node(column, 0, f"{sign} {_written(term)}", term))
        if not terms or state == "c":
            fork, row = (len(terms) + 0.5, 1) if terms else (1, 0)
            nodes.append(node(last, row, "h_t", "h_t", "text"))
            if terms:
                nodes += [Node((fork + 0.5, row), "tanh")]
                nodes += [node(fork + 1.5, row, "× o_t", "o_t")]
                blocks[fork + 1.5, row] = "o_t"
            arrows.append(Arrow(((fork, 0), (fork, row), (last, row))[0 if terms else 1 :]))
        return Diagram(nodes, arrows + _ways_up(layers, blocks, bottom))

    @property
    def _reads(self) -> str:
        """What the layers read."""
        through = any(each.symbol == "m_t" for each in self.equations)
        return f"h_{{t-1}}{', m_t' if through else ''}, x_t"

    def _road(self) -> tuple[str, list[tuple[str, str]]]:
        """The state that is carried on, and what is done to it: signs and terms; none where it is
        made anew at each step."""
        last = {each.symbol: each for each in self.equations}
        road = last.get("c_t") or last["h_t"]
        state = road.symbol[0]
        if road.is_layer:
            return state, []
        terms = road.right.split(" + ")
        kept = next(term for term in terms if f"{state}_{{t-1}}" in term)
        factor = kept.replace(f" * {state}_{{t-1}}", "")
        return state, [("×", factor), *(("+", term) for term in terms if term != kept)]


def _ways_up(layers: Sequence[Equation], blocks: Mapping[Place, str], bottom: float) -> list[Arrow]:
    """From each layer to the block that has its symbol: straight up, or into the way beside it;
    none at all where that is not so for every layer."""
    arrows = []
    for column, each in enumerate(layers, start=1):
        own = [place for place, term in blocks.items() if each.symbol in term.split(" * ")]
        if len(own) != 1 or own[0][0] not in (column, column - 1):
            return []
        if own[0][0] == column:
            arrows.append(Arrow(((column, bottom), own[0])))
        else:
            turn = bottom - 0.6
            ways = (column, bottom), (column, turn), (column - 1, turn)
            arrows.append(Arrow(ways, head=False))
    return arrows


def _written(term: str) -> str:
    """A part of an equation in the letters of the lectures."""
    return Equation("", term).joined.removeprefix(" = ")


def dissect(name: str, hidden_size: int = 1, input_size: int = 1, **kind: str) -> CellAnatomy:
    """A cell of some size, without a model.

    Args:
        name: Of the cell, one of `textgen.cells.CELLS`.
        hidden_size: Neurons.
        input_size: Numbers that it reads at a step.
        kind: `nonlinearity` of the cell `rnn`.
    Raises:
        ConfigError: There is no such cell, or a size is below 1.
    """
    for label, size in (("hidden_size", hidden_size), ("input_size", input_size)):
        if size < 1:
            raise ConfigError(f"{named(label)} is {size}; it must be at least 1")
    cell = get_cell(name, **kind)
    rows = len(cell.input_names)
    weights = [("weight_ih", f"{_times(rows)}H x I", (rows * hidden_size, input_size))]
    weights += [
        (part.name, f"{_times(part.blocks)}H x H", (part.blocks * hidden_size, hidden_size))
        for part in cell.products
    ]
    vectors = [("bias", f"{_times(rows)}H", (rows * hidden_size,))]
    vectors += [(vector, "H", (hidden_size,)) for vector in cell.vector_names]
    return CellAnatomy(
        cell=name,
        hidden_size=hidden_size,
        input_size=input_size,
        equations=tuple(equations_of(cell)),
        weights=(*weights, *vectors),
    )


def _times(count: int) -> str:
    return "" if count == 1 else str(count)


def equations_of(cell: Cell) -> list[Equation]:
    """The equations of a cell's docstring, each after those that it needs.

    Raises:
        ConfigError: The docstring has none: the cell is one of a user.
    """
    found = [Equation(match[1], match[2]) for match in _LINE.finditer(type(cell).__doc__ or "")]
    if not found:
        raise ConfigError(
            f"the class of the cell '{cell.name}' has no equations in its docstring; write one on "
            "each line: h_t = tanh(W x_t + U h_{t-1} + b)"
        )
    left = sorted(found, key=lambda each: _ORDER.find(each.symbol[0]))
    ordered: list[Equation] = []
    while left:
        waiting = {each.symbol for each in left}
        first = next(
            (e for e in left if not (set(_SYMBOL.findall(e.right)) & waiting) - {"x_t"}), left[0]
        )
        left.remove(first)
        ordered.append(first)
    return ordered


def dissect_step(
    model: Subject, text: str, neuron: str | None = None, *, edits: Edits = NO_EDITS
) -> CellAnatomy:
    """A model's cell with the numbers of one neuron at the last step of a text.

    Args:
        model: The model.
        text: The text; the step is that of its last token.
        neuron: `LAYER:UNIT`; None: the one of the last layer that varies most on the text.
        edits: Changes of the states at every token.
    Raises:
        InspectionError: The text is empty, or the model has no such neuron.
    """
    config = model.saved.config
    whole, ids = encoded(model.saved, text)
    names = quantities(config.cell_spec)
    settings: dict[str, Any] = {"vocabulary": model.saved.vocabulary, "edits": edits}
    traced = trace(model.network, ids, quantities=names, **settings)
    if neuron is None:
        last = [config.num_layers - 1]
        found = most_varying(traced, 1, quantity=names[0], layers=last)[0].neuron
    else:
        (found,) = parse_neurons([neuron], config)
    layer, unit = found
    _, start = model.network.step(END_ID, model.network.zero_state(), for_all(edits, 1))
    values: dict[str, float] = {}
    for name in names:
        column = traced.arrays[f"layers.{layer}.{name}"][:, unit]
        letter = symbol_of(name, config.cell_spec)
        values[letter] = float(column[-1])
        if name in STATES:
            first = start[layer][STATES[name]][0, unit]
            values[f"{letter[0]}_{{t-1}}"] = float(column[-2] if len(column) > 1 else first)
    if "c" in config.cell_spec.below_names:
        below = traced.arrays.get(f"layers.{layer - 1}.cell")
        values["c^b_t"] = 0.0 if below is None else float(below[-1, unit])
    width = config.embedding_size if layer == 0 else config.hidden_size
    anatomy = dissect(config.cell, config.hidden_size, width, nonlinearity=config.nonlinearity)
    return replace(
        anatomy,
        equations=tuple(_with_numbers(each, values) for each in anatomy.equations),
        text=whole,
        token=traced.pieces[-1],
        neuron=found,
        before={name: value for name, value in values.items() if "{t-1}" in name},
    )


def symbol_of(quantity: str, cell: Cell) -> str:
    """The symbol of a quantity in the cell's docstring."""
    if quantity == "candidate":
        return "n_t" if any(each.symbol == "n_t" for each in equations_of(cell)) else "g_t"
    return _LETTERS.get(quantity, quantity)


def _with_numbers(equation: Equation, values: Mapping[str, float]) -> Equation:
    """The equation with the numbers of a neuron; those of a layer are in its value alone."""
    needed = set(_SYMBOL.findall(equation.right))
    numbers = ""
    if not re.search(r"\b[WUb](_|\b)", equation.right) and needed <= values.keys():
        numbers = _SYMBOL.sub(lambda match: _shown(values[match[0]]), equation.right)
    return replace(equation, value=values.get(equation.symbol), numbers=numbers)


def _shown(value: float) -> str:
    text = f"{value:.3f}"
    return f"({text})" if text.startswith("-") else text
