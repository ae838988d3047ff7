"""Part 12: a larger text takes no more memory."""

from __future__ import annotations

import re
import subprocess
import sys

from campaign import ROOT, Effort, Figure, Part, repeat
from measuring import environment

#: Sizes of the text in MB, the smallest first, and those of a quick campaign.
SIZES, QUICK_SIZES = (8, 64, 512), (2,)
#: Anonymous memory in MB above what the imports take: the most that a run may have.
LIMIT = 500.0


def try_promise(effort: Effort) -> Figure:
    """Part 12 of the campaign."""
    sizes = QUICK_SIZES if effort.is_quick else SIZES
    peaks: dict[int, float] = {}
    failures = []
    tried = 0
    for place in effort.tries(len(sizes)):
        tried += 1
        size = sizes[place]
        words = [sys.executable, str(ROOT / "benchmarks" / "memory.py"), "--size", str(size)]
        ended = subprocess.run(
            [*words, "--seconds", "1"], capture_output=True, text=True, env=environment()
        )
        found = re.search(r"peak (-?\d+) MB", ended.stdout)
        if found is None:
            failures.append(f"{size} MB: {ended.stderr[-300:]} {repeat(12, effort, size)}")
            continue
        peaks[size] = float(found[1])
        if peaks[size] > LIMIT:
            failures.append(f"{size} MB of text took {found[1]} MB {repeat(12, effort, size)}")
    told = [f"{peak:.0f} MB for {size} MB of text" for size, peak in peaks.items()]
    left = f"{len(sizes) - tried} of {len(sizes)} sizes: the time was over"
    return Figure(
        tried=tried,
        failures=tuple(failures),
        text=f"The most anonymous memory of a training, above the imports: {', '.join(told)}.",
        is_drawn=False,
        not_run=(left,) if tried < len(sizes) else (),
    )


PARTS = (
    Part(
        number=12,
        promise=f"Preparing a text and training on it take less than {LIMIT:.0f} MB beyond the "
        "model and the libraries, however long the text is.",
        not_promised="so little memory for a vocabulary of millions of words, or for a model that "
        "is larger than that itself.",
        seconds=120,
        run=try_promise,
        needs=("linux",),
    ),
)
