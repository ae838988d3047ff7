"""The encoded text of a run is cut short or changed while it trains: said, or of no consequence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.small_runs import SMALL, russian_text

import textgen

STEPS = {"steps": 8, "eval_every": 2, "save_every": 1, **SMALL}
#: Trains, and spoils the tokens in the cache at the first report.
TRAIN = """
import os, sys
from pathlib import Path
import textgen
from textgen.corpus import cache, mapped
from textgen.errors import StorageError
from textgen.training.events import Report

memory_bytes, size = map(int, sys.argv[1:3])
cache.MEMORY_BYTES = memory_bytes
mapped.PIECE_BYTES = 10_000  # more than a window, less than the training text

def spoil(event):
    if isinstance(event, Report):
        for path in Path(os.environ["TEXTGEN_CACHE"]).glob("*.tokens"):
            os.truncate(path, size)

try:
    textgen.train("text.txt", out="run", on_event=spoil, **%r)
except StorageError as error:
    print(error)
    sys.exit(6)
"""


@pytest.mark.parametrize("size", [0, 100, 10**6], ids=["empty", "short", "longer"])
@pytest.mark.parametrize("memory_bytes", [0, 10**6], ids=["mapped", "in memory"])
def test_a_text_that_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: int, size: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(russian_text(30_000), encoding="utf-8")
    words = [sys.executable, "-c", TRAIN % STEPS, str(memory_bytes), str(size)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ})
    if memory_bytes:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 6, (done.returncode, done.stderr)
        assert "cannot be used any more" in done.stdout and "resume=True" in done.stdout
    # What is in the cache now counts as absent: the text is encoded anew.
    resumed = textgen.train("run", resume=True)
    again = textgen.train("text.txt", out="again", **STEPS)
    assert resumed.ended.step == 8 and resumed.bits_per_char == again.bits_per_char
