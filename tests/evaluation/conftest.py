"""These tests compute with small arrays, for which a second thread is only in the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from textgen.runtime import computing_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread."""
    with computing_threads(1):
        yield
