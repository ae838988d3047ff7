"""A text whose steps are told, one after the other: what each neuron did, what was likely next.

It has its turns among the texts of completions. NumPy computes by the equations of the cells, which
alone know every gate, and let it be held.
"""

from __future__ import annotations

import base64
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.cells.cell import Array, Editor
from textgen.corpus.vocabulary import END_ID
from textgen.inspection.trace import check_quantity, own_name, quantities
from textgen.model.head import log_softmax
from textgen.model.network import Floats, State
from textgen.model.numpy_network import LayerRecord, NumpyNetwork
from textgen.native.sampler import NO_ID
from textgen.options import SampleOptions
from textgen.sampling.choice import Chooser, SymbolRules
from textgen.sampling.stream import FinishReason
from textgen.sampling.writing import BLOCK_SECONDS
from textgen.serving.refusal import Refusal
from textgen.serving.served_text import FIRST_TOKENS, Order, best
from textgen.serving.steps_request import Hold, StepsRequest
from textgen.steering import Target

_Change = Callable[[Array], Array]

#: Steps of a turn after the first.
TURN_STEPS = 32
#: The likeliest symbols that are told after each step.
LIKELIEST = 5


class Walk:
    """A network on its way through a text, from a place in it.

    Args:
        network: The model.
        history: Symbols that a prediction is made from, where it is a fixed number; 0: the state
            is carried on.
        editors: What is held in each layer.
        label: The number of the label under which it reads, from 1; 0: none.
        after: Where it stands; None: at the beginning, and the mark of an end is read.
    Raises:
        Refusal: No such model stands there.
    """

    def __init__(
        self,
        network: NumpyNetwork,
        history: int,
        editors: Sequence[Editor],
        label: int = 0,
        after: Floats | None = None,
    ) -> None:
        self._network, self._history, self._editors = network, history, editors
        self._label_1 = np.array([label])
        self.quantities = quantities(network.cell)
        self.before: State = network.zero_state()
        self.state: State = self.before
        self.records: list[LayerRecord] = []
        self._tokens: list[int] = []
        if after is None:
            self.read(END_ID)
        elif history:
            self._begin_at(after)
        else:
            self._stand_at(after)

    def _begin_at(self, tokens: Floats) -> None:
        """Read the symbols again that were seen."""
        size = self._network.config.vocab_size
        if not 0 < len(tokens) <= self._history or not ((tokens >= 0) & (tokens < size)).all():
            raise _other_place()
        *first, last = map(int, tokens)
        self._tokens = first
        self.read(last)

    def _stand_at(self, numbers: Floats) -> None:
        config = self._network.config
        names = config.cell_spec.state_names
        if numbers.size != config.num_layers * len(names) * config.hidden_size:
            raise _other_place()
        arrays = numbers.reshape(config.num_layers, len(names), 1, config.hidden_size)
        self.state = [dict(zip(names, layer, strict=True)) for layer in arrays]

    @property
    def after(self) -> Floats:
        """Where it stands, as numbers: the state, or the symbols that are seen."""
        if self._history:
            return np.array(self._tokens, np.float32)
        return np.concatenate([array[0] for layer in self.state for array in layer.values()])

    @property
    def logits_1V(self) -> Floats:
        """The logits of the next symbol."""
        return self._network.logits(self._network.output(self.state))

    def read(self, token: int) -> None:
        """Read a symbol; the mark of an end begins a new text."""
        if token == END_ID or self._history:
            self.state = self._network.zero_state()
        if self._history:
            seen = [] if token == END_ID else self._tokens
            self._tokens = [*seen, token][-self._history :]
        for each in self._tokens if self._history else (token,):
            self.before = self.state
            self.records = self._network.step_traced(
                each, self.state, labels_B=self._label_1, editors=self._editors
            )
            self.state = [record.state for record in self.records]

    def value(self, quantity: str, layer: int) -> Floats:
        """What a layer did in the last step, `(H,)`."""
        record, name = self.records[layer], own_name(quantity)
        values: Floats = (record.gates if name in record.gates else record.state)[name][0]
        return values


def _other_place() -> Refusal:
    return Refusal("after is a place in a text of another model; begin without it", param="after")


class Steps(NamedTuple):
    """The next part of a text.

    Args:
        line: What is told of its steps, as plain data.
        finish: Why the text ends here; None: it goes on.
    """

    line: dict[str, Any]
    finish: FinishReason | None


class SteppedText:
    """The text of a request for steps.

    Args:
        order: The request.
        model: The name of the model.
        asked: What it asks for.
        begin: Makes the walk from where it stands; it computes, so it is called in its first turn.
        options: How symbols are chosen.
        junctions: Which may follow each other.
    """

    #: No two are written together.
    kind = None
    number = 0

    def __init__(
        self,
        order: Order,
        model: str,
        asked: StepsRequest,
        begin: Callable[[], Walk],
        options: SampleOptions,
        junctions: bytes,
    ) -> None:
        self.order, self.model = order, model
        self._asked, self._begin = asked, begin
        self._chooser = Chooser(options, rules=SymbolRules(junctions))
        self._left = deque(asked.ids)
        self._written = 0
        self._walk: Walk | None = None
        self._last = NO_ID if asked.previous is None else asked.previous

    @property
    def room(self) -> int:
        """Steps that are left."""
        return len(self._left) + self._asked.tokens - self._written

    def advance(self) -> tuple[int, Steps]:
        """Take the steps of a turn.

        Returns:
            How many there were, and what is to be told of them.
        Raises:
            Refusal: A text of this model never stands there, or its numbers are not finite.
        """
        is_first = self._walk is None
        walk = self._walk = self._walk or self._begin()
        told: dict[str, Any] = {"ids": [], "bits": [], "next": []}
        values: list[Floats] = []
        finish: FinishReason | None = None
        logits_1V, logprobs_V = _prediction(walk)
        ends = time.monotonic() + BLOCK_SECONDS
        for _ in range(min(self.room, FIRST_TOKENS if is_first else TURN_STEPS)):
            if told["ids"] and time.monotonic() > ends:  # Steps of a large model take long.
                break
            is_read = bool(self._left)
            token = self._left.popleft() if is_read else self._choose(logits_1V)
            if not is_read and token == END_ID:
                finish = "end"
                break
            self._last = token
            told["ids"].append(token)
            told["bits"].append(-float(logprobs_V[token]) / math.log(2))
            walk.read(token)
            if is_read and not self._left and self._asked.inside is not None:
                told["inside"] = _inside(walk, *self._asked.inside)
            logits_1V, logprobs_V = _prediction(walk)
            nearest = best(logprobs_V, LIKELIEST)
            told["next"].append([(each, math.exp(chance)) for each, chance in nearest])
            if self._asked.quantity is not None:
                layers = range(len(walk.records))
                values += [walk.value(self._asked.quantity, layer) for layer in layers]
        if finish is None and not self.room:
            finish = "length"
        if values:
            told["values"] = _base64(np.concatenate(values))
        return len(told["ids"]), self._part({**told, "after": _base64(walk.after)}, finish)

    def _choose(self, logits_1V: Floats) -> int:
        counters = np.array([self._asked.draw + self._written], np.uint64)
        chosen = self._chooser.choose(logits_1V, counters, None, np.array([self._last]))
        self._written += 1
        return int(chosen.ids[0])

    def end(self, notice: str) -> Steps:
        """Its end before all was told."""
        return self._part({"ids": [], "bits": [], "next": [], "notice": notice}, "length")

    def _part(self, line: dict[str, Any], finish: FinishReason | None) -> Steps:
        return Steps(line if finish is None else {**line, "finish": finish}, finish)


def editors_of(
    network: NumpyNetwork, holds: Sequence[Hold], targets: Sequence[Target]
) -> list[Editor]:
    """What holds do in each layer.

    Raises:
        Refusal: The model has no such layer, neuron or direction.
        InspectionError: It has no such quantity.
    """
    config = network.config
    changes: list[dict[str, list[_Change]]] = [{} for _ in range(config.num_layers)]
    for hold in holds:
        if hold.quantity is None:
            if hold.direction >= len(targets):
                raise Refusal(f"there is no direction {hold.direction}", param="holds")
            target = targets[hold.direction]
            edit = target.edit(0.0, target.mean + target.sign * hold.value * target.sd)
            changes[target.layer].setdefault(edit.state, []).append(edit.apply)
            continue
        check_quantity(config.cell_spec, hold.quantity)
        check_unit(network, hold.layer, hold.unit or 0, "holds")
        name = own_name(hold.quantity)
        changes[hold.layer].setdefault(name, []).append(_held(hold.unit, hold.value))
    return [_editor(layer) for layer in changes]


def check_unit(network: NumpyNetwork, layer: int, unit: int, param: str) -> None:
    """Refuse a neuron that a model does not have.

    Raises:
        Refusal: It has none of that number.
    """
    config = network.config
    if layer >= config.num_layers or unit >= config.hidden_size:
        raise Refusal(
            f"there is no neuron {layer}:{unit}; there are {config.num_layers} layers of "
            f"{config.hidden_size} neurons, counted from 0",
            param=param,
        )


def _held(unit: int | None, value: float) -> _Change:
    def held(x_BH: Array) -> Array:
        result = x_BH.copy()
        result[:, slice(None) if unit is None else unit] = value
        return result

    return held


def _editor(changes: dict[str, list[_Change]]) -> Editor:
    def edit(name: str, x_BH: Array) -> Array:
        for change in changes.get(name, ()):
            x_BH = change(x_BH)
        return x_BH

    return edit


def _prediction(walk: Walk) -> tuple[Floats, NDArray[np.float64]]:
    """The logits `(1, V)` of the next symbol, and the logarithms of all probabilities `(V,)`.

    Raises:
        Refusal: They are not finite.
    """
    logits_1V = walk.logits_1V
    if not np.isfinite(logits_1V).all():
        raise Refusal("the numbers of this model grow beyond all use here; hold less")
    return logits_1V, log_softmax(logits_1V)[0]


def _inside(walk: Walk, layer: int, unit: int) -> dict[str, Any]:
    """All numbers of a neuron in the last step."""
    below = walk.records[layer - 1].state.get("c") if layer else None
    return {
        "values": {name: float(walk.value(name, layer)[unit]) for name in walk.quantities},
        "before": {name: float(array[0, unit]) for name, array in walk.before[layer].items()},
        "below": 0.0 if below is None else float(below[0, unit]),
    }


def _base64(numbers: Floats) -> str:
    return base64.b64encode(numbers.astype("<f4").tobytes()).decode()
