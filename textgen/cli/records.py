"""JSON on stdout."""

from __future__ import annotations

import json
import math
import sys
from typing import Any


def json_text(record: Any) -> str:
    """`record` as JSON that stdout can take: as it reads, or escaped where it cannot be written.

    A file's name may hold bytes that are no text (lone surrogates here), and a stream's encoding
    may lack the letters of the corpus. JSON has no NaN and no infinity: they become null.
    """
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError:
        record = _finite(record)
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(record)
    return text


def _finite(value: Any) -> Any:
    """The same with None for every number that is none, or endless."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_json(record: Any) -> None:
    """Print one object on a line of its own, at once."""
    print(json_text(record), flush=True)
