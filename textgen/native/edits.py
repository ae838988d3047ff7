"""Changes of states as the library takes them: `tg_edit`."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, addressof, c_float, c_int32, c_void_p
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

STATES = ("h", "c")


class EditLike(Protocol):
    """What the library is told of a change; `textgen.model.edit.Edit` is one, and says what each
    part means."""

    @property
    def layer(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def scale(self) -> float: ...
    @property
    def shift(self) -> float: ...
    @property
    def unit(self) -> int | None: ...
    @property
    def read(self) -> Floats | None: ...
    @property
    def write(self) -> Floats | None: ...


class _Edit(Structure):
    """`tg_edit`."""

    _fields_ = (
        *((name, c_int32) for name in ("layer", "state", "unit")),
        *((name, c_float) for name in ("scale", "shift")),
        *((name, c_void_p) for name in ("read", "write")),
    )


class EditList(Structure):
    """`tg_edits`: those of one stream."""

    _fields_ = (("list", c_void_p), ("count", c_int32))


class PackedEdits:
    """The edits of several streams, one after the other, with the arrays that they point into.

    Args:
        edits_B: Those of each stream. Their layers, states and units must be the network's: nobody
            checks that again.
    """

    def __init__(self, edits_B: Sequence[Sequence[EditLike]]) -> None:
        # Streams that share their edits share the vectors too.
        self._vectors: dict[int, Floats] = {}
        flat = [self._structure(edit) for edits in edits_B for edit in edits]
        self._array = (_Edit * max(1, len(flat)))(*flat)
        self._starts = np.zeros(len(edits_B) + 1, np.int32)
        np.cumsum([len(edits) for edits in edits_B], out=self._starts[1:])
        # The edits are kept: a vector's address stands for it only while it lives.
        self._edits_B = edits_B

    @property
    def edits(self) -> int:
        """Where the first one lies."""
        return addressof(self._array)

    @property
    def starts(self) -> int:
        """Where the first number of `edit_starts` lies."""
        return int(self._starts.ctypes.data)

    def of_one(self) -> EditList:
        """As a sampler takes those of its only stream."""
        count = int(self._starts[-1])
        return EditList(self.edits if count else None, count)

    def _structure(self, edit: EditLike) -> _Edit:
        unit = -1 if edit.unit is None else edit.unit
        read, write = self._pointer(edit.read), self._pointer(edit.write)
        state = STATES.index(edit.state)
        return _Edit(edit.layer, state, unit, edit.scale, edit.shift, read, write)

    def _pointer(self, vector: Floats | None) -> int | None:
        if vector is None:
            return None
        kept = self._vectors.setdefault(id(vector), np.ascontiguousarray(vector, np.float32))
        return int(kept.ctypes.data)
