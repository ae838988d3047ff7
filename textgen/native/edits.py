"""Changes of states for the library: `tg_edit`."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, addressof, c_float, c_int32, c_void_p
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

STATES = ("h", "c")


class EditLike(Protocol):
    """A change of a state, such as `textgen.model.edit.Edit`, which explains the fields."""

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
    """`tg_edits`: the edits of one stream."""

    _fields_ = (("list", c_void_p), ("count", c_int32))


class PackedEdits:
    """The edits of several streams, one stream after the other, with the arrays they point to.

    Args:
        edits_B: The edits of each stream. The library does not check their layers, states and
            units.
    """

    def __init__(self, edits_B: Sequence[Sequence[EditLike]]) -> None:
        # Streams that share their edits also share the vectors.
        self._vectors: dict[int, Floats] = {}
        flat = [self._structure(edit) for edits in edits_B for edit in edits]
        self._array = (_Edit * max(1, len(flat)))(*flat)
        self._starts = np.zeros(len(edits_B) + 1, np.int32)
        np.cumsum([len(edits) for edits in edits_B], out=self._starts[1:])
        # The edits are kept, because the id of a vector identifies it only while it exists.
        self._edits_B = edits_B

    @property
    def edits(self) -> int:
        """The address of the first edit."""
        return addressof(self._array)

    @property
    def starts(self) -> int:
        """The address of the first number of `edit_starts`."""
        return int(self._starts.ctypes.data)

    def of_one(self) -> EditList:
        """The edits of the only stream, for a sampler."""
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
