"""What every view can be turned into: JSON, a table, arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: One cell of a table; None is left empty.
Entry = str | int | float | bool | None


class Report(Protocol):
    """The outcome of a view as plain data."""

    def to_json(self) -> dict[str, Any]:
        """Ready for `json.dumps`: no NaN, no arrays."""
        ...

    def to_rows(self) -> Iterator[Sequence[Entry]]:
        """A table: the names of its columns first, then its rows."""
        ...

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """The numbers by name, for `numpy.load`; texts are arrays of `str_`, never objects."""
        ...
