"""What of a comparison must not depend on who trained its runs, and how often."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

#: Figures of the clock.
TIMES = ("seconds", "chars_per_second", "speed_moved")


def timeless(record: Any) -> Any:
    """A record without its folder and the figures of the clock."""
    if isinstance(record, dict):
        return {
            key: timeless(value) for key, value in record.items() if key not in (*TIMES, "folder")
        }
    return [timeless(value) for value in record] if isinstance(record, list) else record


def generations(sweep: Path) -> Counter[str]:
    """How often each run was claimed."""
    names = (name.rpartition(".")[0] for name in os.listdir(sweep / "claims"))
    # A worker that was killed may leave a temporary file, whose name begins with a dot.
    others = ("", "planning")
    return Counter(name for name in names if name not in others and not name.startswith("."))
