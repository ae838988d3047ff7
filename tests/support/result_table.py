"""A table of what pytest has written with `--junitxml`: `arm.sh` and `windows.sh` end with it.

python tests/support/result_table.py NAME=FILE.xml...; ends with 1 where a test failed, and where
none passed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

KINDS = ("passed", "skipped", "failed")


def rows_of(report: Path) -> dict[str, dict[str, float]]:
    """Of each file of tests how many passed, were skipped, failed, and its seconds.

    Args:
        report: The file that pytest wrote.
    """
    rows: dict[str, dict[str, float]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        row = rows.setdefault(case.get("classname", ""), dict.fromkeys((*KINDS, "seconds"), 0))
        is_skipped = case.find("skipped") is not None
        is_failed = case.find("failure") is not None or case.find("error") is not None
        row["failed" if is_failed else "skipped" if is_skipped else "passed"] += 1
        row["seconds"] += float(case.get("time", 0))
    return rows


def main(words: Sequence[str]) -> int:
    """Print the table and return the exit code."""
    lines, totals = [], []
    for word in words:
        name, _, report = word.partition("=")
        rows = rows_of(Path(report)) if Path(report).is_file() else {}
        total = {kind: sum(row[kind] for row in rows.values()) for kind in (*KINDS, "seconds")}
        rows["all"] = total
        totals.append(total)
        for file, row in rows.items():
            figures = "".join(f"{row[kind]:>9.0f}" for kind in (*KINDS, "seconds"))
            lines.append(f"{name:<14}{file:<40}{figures}")
    print(f"{'':<14}{'tests':<40}{''.join(f'{kind:>9}' for kind in (*KINDS, 'seconds'))}")
    print(*lines, sep="\n")
    return int(any(total["failed"] or not total["passed"] for total in totals))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
