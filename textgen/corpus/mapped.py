"""Token ids in a file that is too large for memory: read as an array, and never past its end.

A memory map of a file that somebody cuts short ends the process with a bus error, without a word.
So what is read of the map in pieces, which is nearly everything, is read from the file instead
(`pread`): then a short file is an error like any other. Every access sees first whether the file is
still the one that was checked.
"""

from __future__ import annotations

import itertools
import os
import sys
import weakref
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen.errors import StorageError, named
from textgen.files import os_reason

#: A slice of up to so many bytes is read from the file; a larger one stays a part of the map.
PIECE_BYTES = 64 * 2**20
#: Positions of which runs are shorter on average are looked up in the map.
_LEAST_RUN = 4


class MappedTokens(np.memmap[Any, Any]):
    """Token ids of a file, `(N,)`, mapped read-only: an array like any other, but for the errors.

    `MappedTokens.of` makes one; a large slice is one too. An access raises a StorageError where the
    file was written to or cut short since then.
    """

    _source: _Source | None = None
    #: Where in the file it begins, in tokens; None for a view of another shape.
    _first: int | None = None

    @classmethod
    def of(cls, file: BinaryIO, name: str, dtype: np.dtype[Any], count: int) -> MappedTokens:
        """Map a file.

        Args:
            file: Open to read; it may be closed afterwards.
            name: What messages call it.
            dtype: Of a token.
            count: How many it holds, at least one.
        """
        tokens = cls(file, dtype, mode="r", shape=(count,))
        tokens._source, tokens._first = _Source(file, name), 0
        return tokens

    def __array_finalize__(self, obj: Any) -> None:
        super().__array_finalize__(obj)
        if isinstance(obj, MappedTokens) and np.may_share_memory(self, obj):
            self._source = obj._source

    def __getitem__(self, index: Any) -> Any:
        if self._source is None:  # An array in memory, made from one of these.
            return super().__getitem__(index)
        self._source.require_same()
        found = self._read(index)
        if found is not None:
            return found
        result = super().__getitem__(index)
        if not isinstance(result, MappedTokens):
            return result
        if not np.may_share_memory(result, self):
            return np.asarray(result)  # Looked up: a copy.
        if self._first is not None and isinstance(index, slice) and result.strides == self.strides:
            result._first = self._first + index.indices(len(self))[0]
        return result

    def _read(self, index: Any) -> Any:
        """What stands there, read from the file; None where the map has to be asked."""
        # On Windows a file that is mapped cannot be cut short.
        if self._first is None or not hasattr(os, "pread"):
            return None
        count = len(self)
        if isinstance(index, slice):
            start, stop, step = index.indices(count)
            if step != 1 or (stop - start) * self.itemsize > PIECE_BYTES:
                return None
            return self._stretch(start, max(start, stop))
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            place = int(index) + (count if index < 0 else 0)
            return self._stretch(place, place + 1)[0] if 0 <= place < count else None
        if isinstance(index, np.ndarray) and index.dtype.kind in "iu" and index.size:
            return self._gathered(index)
        return None

    def _gathered(self, index: NDArray[Any]) -> NDArray[Any] | None:
        """The tokens at positions that lie in runs, along the rows or along the columns."""
        along_rows = index.ndim > 1 and bool((index[..., :1] + 1 == index[..., 1:2]).all())
        turned = index if along_rows else index.T
        flat = turned.reshape(-1)
        if flat.min() < 0 or flat.max() >= len(self):
            return None
        breaks = np.flatnonzero(flat[1:] != flat[:-1] + 1) + 1
        if flat.size < _LEAST_RUN * (breaks.size + 1) or flat.size * self.itemsize > PIECE_BYTES:
            return None
        found = np.empty(flat.size, self.dtype)
        for start, stop in itertools.pairwise([0, *breaks.tolist(), flat.size]):
            place = int(flat[start])
            found[start:stop] = self._stretch(place, place + stop - start)
        shaped = found.reshape(turned.shape)
        return shaped if along_rows else np.ascontiguousarray(shaped.T)

    def _stretch(self, start: int, stop: int) -> NDArray[Any]:
        """The tokens from `start` up to `stop`, read from the file."""
        assert self._source is not None and self._first is not None
        size = self.itemsize
        data = self._source.read((self._first + start) * size, (stop - start) * size)
        return np.frombuffer(data, self.dtype)


class _Source:
    """The file of some tokens, which stays open as long as an array has it."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._name = name
        self._state = self._state_now()

    def require_same(self) -> None:
        """A StorageError if the file is not what it was."""
        if self._state_now() != self._state:
            raise self._changed("somebody wrote to it, or cut it short")

    def read(self, place: int, size: int) -> bytes:
        """The bytes from a place on; a StorageError if they are not all there."""
        parts: list[bytes] = []
        while size:
            part = b""
            try:
                if sys.platform != "win32":  # There the map is read.
                    part = os.pread(self._descriptor, size, place)
            except OSError as error:
                raise self._changed(os_reason(error)) from error
            if not part:
                raise self._changed("it is shorter now")
            parts.append(part)
            size, place = size - len(part), place + len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _state_now(self) -> tuple[int, int]:
        """The size of the file, and when it was last written to."""
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def _changed(self, why: str) -> StorageError:
        return StorageError(
            f"the encoded text {self._name} cannot be used any more ({why}); type the command "
            "again, and the text is encoded anew. A run goes on from where it was saved last with "
            f"{named('resume', True)}"
        )
