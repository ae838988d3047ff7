"""Numbers in float32, whatever the CPU: where they are compared digit by digit.

A CPU with bf16 samples by weights of 16 bits. What is read or measured has 32 bits on each CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from textgen.native.library import BF16_ISAS, supported_isas
from textgen.runtime import PATH_VARIABLE


@contextmanager
def in_float32() -> Iterator[None]:
    """The engine's widest path in float32; NumPy's where there is no engine."""
    exact = [isa for isa in supported_isas() if isa not in BF16_ISAS]
    with pytest.MonkeyPatch.context() as patch:
        if exact:
            patch.setenv(PATH_VARIABLE, exact[0])
        yield
