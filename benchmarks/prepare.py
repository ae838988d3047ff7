"""How fast, and in how much memory, a text file becomes tokens.

    python benchmarks/prepare.py [--size MB] [--json]

A file of `--size` megabytes of made-up prose is written to a temporary folder, prepared by
`textgen.Corpus.open` with an empty cache in a process that may use one core, and removed again.
For each case: megabytes of the file per second from opening to the finished corpus, the same by
the process's CPU time (what it would be with the core to itself), the same for taking it from the
cache, and the most anonymous memory (`RssAnon` of /proc, which the mapped files are no part of)
that the process held above what it had after its imports. The file has just been written, so it
is read from memory, not from the disk.

The first four cases are the ones with a promise: 100 MB/s. The others are smaller and only
reported.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import unicodedata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions

MEGABYTE = 10**6
POLL_SECONDS = 0.005
BLOCK_CHARS = 4_000_000
#: The share of `--size` that the cases without a promise get.
SMALL = 0.1

LATIN = "etaoinshrdlcumwfgypbvkjxqz"
CYRILLIC = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"


def made_up_prose(letters: str, chars: int, seed: int = 1) -> str:
    """Words of `letters`, the first ones commonest, with punctuation, capitals and lines."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, len(letters) + 1) ** 0.7
    weights /= weights.sum()
    lengths = rng.integers(1, 12, 40_000)
    stock = rng.choice(list(letters), int(lengths.sum()), p=weights)
    ends = np.cumsum(lengths)
    words = ["".join(stock[e - n : e]) for e, n in zip(ends, lengths, strict=True)]
    commonness = 1.0 / np.arange(1, len(words) + 1)
    picked = rng.choice(len(words), chars // 5, p=commonness / commonness.sum())
    endings = rng.choice(
        [" ", ", ", ". ", ".\n", " - ", "!\n\n"], chars // 5, p=[0.8, 0.1] + [0.025] * 4
    )
    parts = []
    capital = True
    for word, ending in zip(picked.tolist(), endings.tolist(), strict=True):
        parts.append(words[word].capitalize() if capital else words[word])
        parts.append(ending)
        capital = ending[0] in ".!"
    return "".join(parts)[:chars]


def write_file(path: Path, letters: str, size: int, encoding: str, form: str) -> None:
    """A file of at least `size` bytes, made of one block of prose over and over."""
    block = made_up_prose(letters, min(BLOCK_CHARS, size)) + "\n"
    data = unicodedata.normalize(form, block).encode(encoding)
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(data)


def anonymous_bytes(pid: int) -> int:
    """Anonymous memory of a process, 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in status.splitlines() if "RssAnon" in x), 0)


def prepare(path: Path, cache: Path, options: dict[str, Any], pipe: Connection) -> None:
    """In a process of its own: prepare once from nothing, once from the cache."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pipe.send("ready")
    pipe.recv()
    started, started_cpu = time.perf_counter(), time.process_time()
    corpus = Corpus.open([path], CorpusOptions(**options), cache=cache)
    built, built_cpu = time.perf_counter() - started, time.process_time() - started_cpu
    started = time.perf_counter()
    again = Corpus.open([path], CorpusOptions(**options), cache=cache)
    hit = time.perf_counter() - started
    assert again.cache_key == corpus.cache_key and not corpus.notes
    pipe.send({"seconds": built, "cpu_seconds": built_cpu, "hit_seconds": hit, **corpus.summary()})


def measure(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Times and memory of one preparation."""
    cache = Path(tempfile.mkdtemp(prefix="textgen-bench-", dir=path.parent))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=prepare, args=(path, cache, options, theirs))
    process.start()
    theirs.close()
    try:
        ours.recv()
        assert process.pid is not None
        start = peak = anonymous_bytes(process.pid)
        ours.send("go")
        while not ours.poll(POLL_SECONDS):
            peak = max(peak, anonymous_bytes(process.pid))
        result: dict[str, Any] = ours.recv()
    finally:
        process.join()
        shutil.rmtree(cache)
    size = path.stat().st_size
    return {
        "megabytes": size / MEGABYTE,
        "mb_per_second": size / MEGABYTE / result["seconds"],
        "mb_per_cpu_second": size / MEGABYTE / result["cpu_seconds"],
        "hit_mb_per_second": size / MEGABYTE / result["hit_seconds"],
        "anonymous_megabytes": (peak - start) / MEGABYTE,
        "tokens": result["tokens"],
        "vocab_size": result["vocab_size"],
        "dtype": result["dtype"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=float, default=1000.0, help="megabytes of the file")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    files: list[tuple[str, str, str, str, float, list[tuple[str, dict[str, Any]]]]] = [
        ("ascii", LATIN, "utf-8", "NFC", 1.0, [("char", {}), ("byte", {"level": "byte"})]),
        ("cyrillic", CYRILLIC, "utf-8", "NFC", 1.0, [("char", {}), ("byte", {"level": "byte"})]),
        (
            "cyrillic",
            CYRILLIC,
            "utf-8",
            "NFC",
            SMALL,
            [
                ("char, lines", {"documents": "line"}),
                ("char, blank lines", {"documents": "blank"}),
                ("char, fold", {"fold": True}),
                ("word", {"level": "word"}),
                ("word, fold", {"level": "word", "fold": True}),
            ],
        ),
        (
            "cyrillic cp1251",
            CYRILLIC,
            "cp1251",
            "NFC",
            SMALL,
            [("char", {"encoding": "cp1251"})],
        ),
        ("cyrillic NFD", CYRILLIC, "utf-8", "NFD", SMALL, [("char", {})]),
        ("cyrillic UTF-16", CYRILLIC, "utf-16", "NFC", SMALL, [("char", {})]),
        (
            "chinese",
            "".join(map(chr, range(0x4E00, 0x5600))),
            "utf-8",
            "NFC",
            SMALL,
            [("char", {})],
        ),
    ]
    if not arguments.json:
        print(f"numpy {np.__version__}, Python {sys.version.split()[0]}, one core")
        print(f"{'case':36}{'MB':>7}{'MB/s':>8}{'by CPU':>8}{'cached':>8}{'anon MB':>9}{'ids':>10}")
    for text, letters, encoding, form, share, cases in files:
        named = [(f"{text}, {name}", options) for name, options in cases]
        named = [(name, options) for name, options in named if arguments.only in name]
        if not named:
            continue
        with tempfile.TemporaryDirectory(prefix="textgen-bench-") as folder:
            path = Path(folder) / "text.txt"
            write_file(path, letters, int(arguments.size * share * MEGABYTE), encoding, form)
            for name, options in named:
                row = measure(path, options)
                if arguments.json:
                    print(json.dumps({"case": name, **row}), flush=True)
                    continue
                print(
                    f"{name:36}{row['megabytes']:7.0f}{row['mb_per_second']:8.0f}"
                    f"{row['mb_per_cpu_second']:8.0f}"
                    f"{row['hit_mb_per_second']:8.0f}{row['anonymous_megabytes']:9.0f}"
                    f"{row['vocab_size']:10,}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
