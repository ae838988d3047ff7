"""Write into docs/writers.md what does not go together: `make tree`.

The table is that of `textgen/apart.py`. A test fails while the page holds another one.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from textgen.apart import APART
from textgen.cli.sample import WritingOptions
from textgen.options import ItemOptions, SampleOptions
from textgen.settings import settings_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "writers.md"
#: What stands between these two lines is written anew.
MARKS = "<!-- apart: `make tree` writes it -->\n", "<!-- end -->\n"


def table() -> str:
    """A row for each reason."""
    others: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one, other, why in APART:
        others[one, why].append(_flag(other))
    rows = [f"| {_flag(one)} | {', '.join(own)} | {why} |" for (one, why), own in others.items()]
    return "\n".join(["| option | does not go with | because |", "|---|---|---|", *rows]) + "\n"


def _flag(name: str) -> str:
    options = (SampleOptions, ItemOptions, WritingOptions)
    flags = {item.name: item.flag for cls in options for item in settings_of(cls)}
    return "a form" if name == "form" else f"`{flags.get(name, f'--{name}')}`"


def written(page: str) -> str:
    """The page with the table of today."""
    before, _, rest = page.partition(MARKS[0])
    return before + MARKS[0] + table() + MARKS[1] + rest.partition(MARKS[1])[2]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
