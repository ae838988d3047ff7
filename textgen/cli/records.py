"""JSON on stdout."""

from __future__ import annotations

import json
import sys
from typing import Any


def json_text(record: Any) -> str:
    """`record` as JSON that stdout can take: as it reads, or escaped where it cannot be written.

    A file's name may hold bytes that are no text (lone surrogates here), and a stream's encoding
    may lack the letters of the corpus.
    """
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(record)
    return text


def print_json(record: Any) -> None:
    """Print one object on a line of its own, at once."""
    print(json_text(record), flush=True)
