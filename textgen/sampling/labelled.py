"""A model under labels that change while a text is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from textgen.model.edit import NO_EDITS, Edits
from textgen.model.network import Floats, Ids, State, StepNetwork, one_a_stream
from textgen.steering import LabelEdit

#: Mixtures whose weights are kept at a time; another one is opened in the place of the one
#: that was needed least recently.
MOST_OPEN = 8


@dataclass
class LabelledNetwork(StepNetwork):
    """Reads each token by the network of the mixture that a `LabelEdit` among its edits names.

    The networks of all mixtures have the same states: one goes on where another has been.

    Args:
        first: The mixture at the beginning of the text, under which a seed is read.
        open_under: Opens the network of a mixture.
    """

    first: LabelEdit
    open_under: Callable[[Mapping[str, float]], StepNetwork]
    _opened: dict[int, tuple[LabelEdit, StepNetwork]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = self._under(self.first).engine

    def zero_state(self, batch_size: int = 1) -> State:
        """Return the state at the start of a document, for `batch_size` streams."""
        return self._under(self.first).zero_state(batch_size)

    def step(
        self, ids_B: Ids | int, state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream; see `StepNetwork.step`."""
        ids_B = one_a_stream(ids_B, state)
        label_B, rest_B = zip(*map(self._apart, edits_B or [NO_EDITS] * len(ids_B)), strict=True)
        rows_of: dict[int, list[int]] = {}
        for row, label in enumerate(label_B):
            rows_of.setdefault(id(label), []).append(row)
        parts = []
        for rows in rows_of.values():
            own = [{name: value[rows] for name, value in layer.items()} for layer in state]
            edits = [rest_B[row] for row in rows]
            network = self._under(label_B[rows[0]])
            parts.append(network.step(ids_B[rows], own, edits if any(edits) else None))
        if len(parts) == 1:
            return parts[0]
        back_B = np.argsort(np.concatenate([np.array(rows) for rows in rows_of.values()]))
        logits_BV = np.concatenate([logits for logits, _ in parts])[back_B]
        layers = zip(*(after for _, after in parts), strict=True)
        return logits_BV, [
            {name: np.concatenate([one[name] for one in layer])[back_B] for name in layer[0]}
            for layer in layers
        ]

    def read(
        self, ids: Sequence[int], state: State, edits: Edits = NO_EDITS
    ) -> tuple[Floats, State]:
        """Read the tokens of one stream; see `StepNetwork.read`."""
        label, rest = self._apart(edits)
        return self._under(label).read(ids, state, rest)

    def _apart(self, edits: Edits) -> tuple[LabelEdit, Edits]:
        """The mixture that edits name, and the others."""
        labels = [edit for edit in edits if isinstance(edit, LabelEdit)]
        rest = tuple(edit for edit in edits if not isinstance(edit, LabelEdit))
        return (labels[-1] if labels else self.first), rest

    def _under(self, label: LabelEdit) -> StepNetwork:
        if id(label) not in self._opened:
            if len(self._opened) >= MOST_OPEN:
                del self._opened[next(iter(self._opened))]
            self._opened[id(label)] = label, self.open_under(label.shares)
        else:
            self._opened[id(label)] = self._opened.pop(id(label))
        return self._opened[id(label)][1]
