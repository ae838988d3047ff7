"""`python -m textgen`."""

from __future__ import annotations

from textgen.cli import main

if __name__ == "__main__":
    main()
