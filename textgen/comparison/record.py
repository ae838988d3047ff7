"""What a comparison leaves in its folder: its result as JSON, in a form that has a version."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textgen.files import atomic_write_text

#: The result of the comparison, beside its runs.
RECORD_NAME = "comparison.json"
#: Grows when a key changes its meaning or goes.
SCHEMA_VERSION = 1
#: One cell of a table; None is left empty.
Entry = str | int | float | None


def record_head(kind: str) -> dict[str, Any]:
    """The keys that say what a record is."""
    return {"schema": f"textgen.compare.{kind}", "version": SCHEMA_VERSION}


def save_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write it; what was there before is replaced whole or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    text = json.dumps(_finite(record), ensure_ascii=False, indent=1, allow_nan=False)
    # A path may hold bytes that are no text; JSON can say them escaped.
    atomic_write_text(
        folder / RECORD_NAME, text.encode("utf-8", "backslashreplace").decode() + "\n"
    )


def _finite(value: Any) -> Any:
    """The same with None for every number that is none, or endless."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
