"""`python benchmarks/promises`: see `campaign.py`."""

from __future__ import annotations

import sys
from pathlib import Path

# The package of this checkout, what the tests share, what the benchmarks share, the parts.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from campaign import main

if __name__ == "__main__":
    raise SystemExit(main())
