"""Learning while reading needs the native library; without it there is nothing to try."""

from __future__ import annotations

import pytest

from textgen.native.library import missing_reason


@pytest.fixture(autouse=True)
def library() -> None:
    """Skip where there is no native library."""
    if reason := missing_reason():
        pytest.skip(reason)
