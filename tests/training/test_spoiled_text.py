"""The encoded text of a run is cut short or changed while it trains: said, or of no consequence."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import SMALL, russian_text

import textgen
from textgen.corpus.cache import TokenCache
from textgen.corpus.windows import Tokens, Windows
from textgen.training.plan import Plan

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


@pytest.mark.parametrize(
    ("memory_bytes", "size"),
    [
        pytest.param(0, 0, id="mapped-empty"),
        pytest.param(0, 100, id="mapped-short"),
        pytest.param(0, 10**6, id="mapped-longer"),
        pytest.param(10**6, 0, id="in memory-empty"),
        # What is in memory does not look at the file again, whatever became of it.
        pytest.param(10**6, 100, id="in memory-short", marks=pytest.mark.slow),
        pytest.param(10**6, 10**6, id="in memory-longer", marks=pytest.mark.slow),
    ],
)
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


@pytest.mark.parametrize("version", [1, 2])
def test_other_tokens_in_the_cache_are_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """Whatever an entry says of itself: the run knows the hash of its tokens."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(russian_text(3000), encoding="utf-8")
    textgen.train("text.txt", out="run", **STEPS)
    (tokens,) = Path(os.environ["TEXTGEN_CACHE"]).glob("*.tokens")
    good = tokens.read_bytes()
    forged = good[::-1]
    tokens.write_bytes(forged)
    header = tokens.with_suffix(".json")
    entry = json.loads(header.read_bytes())["entry"] | {
        "format": version,
        "crc32": zlib.crc32(forged),
        "tokens_sha256": hashlib.sha256(forged).hexdigest(),
    }
    told = json.dumps(entry, sort_keys=True).encode()
    sums = {"crc32": zlib.crc32(told), "sha256": hashlib.sha256(told).hexdigest()}
    header.write_text(json.dumps({**sums, "entry": entry}))
    read: list[bytes] = []
    windows = Plan.windows

    def noted(plan: Plan, text: Tokens, *more: Any, **settings: Any) -> Windows:
        read.append(text.tobytes())
        return windows(plan, text, *more, **settings)

    assert TokenCache().load(entry["key"], older=True) is not None, "it agrees with itself"
    monkeypatch.setattr(Plan, "windows", noted)
    textgen.train("run", more="2steps")
    assert len(read[-1]) > 2000 and read[-1] == good[: len(read[-1])]
    assert tokens.read_bytes() == good, "it was encoded anew"
