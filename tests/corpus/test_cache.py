"""The cache folder: entries whole or absent, old ones removed, damage found."""

from __future__ import annotations

import json
import multiprocessing
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textgen.corpus.cache import TokenCache, default_cache

KEYS = [f"{i:064x}" for i in range(4)]


def store(cache: TokenCache, key: str, ids: Any = (2, 3, 4), dtype: str = "uint8") -> Path:
    array = np.array(ids, dtype)
    scratch = cache.scratch()
    array.tofile(scratch)
    header = {
        "dtype": dtype,
        "tokens": len(array),
        "crc32": zlib.crc32(array),
        "vocab_size": 10,
        "text": "ё",
    }
    cache.store(key, scratch, header)
    return cache.folder / f"{key}.tokens"


def test_what_was_stored_is_found(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path / "new" / "folder")
    assert cache.load(KEYS[0]) is None and not cache.has_any("0")
    store(cache, KEYS[0], [5, 9, 1], "uint16")
    entry = TokenCache(cache.folder).load(KEYS[0])
    assert entry is not None
    assert entry.tokens.tolist() == [5, 9, 1] and entry.tokens.dtype == np.uint16
    assert isinstance(entry.tokens, np.memmap) and not entry.tokens.flags.writeable
    assert entry.header["text"] == "ё"
    assert cache.has_any("000") and not cache.has_any("1")
    assert sorted(path.name for path in cache.folder.iterdir()) == [
        f"{KEYS[0]}.json",
        f"{KEYS[0]}.tokens",
    ]


@pytest.mark.parametrize(
    "damage",
    ["truncate", "flip", "longer", "no tokens", "no json", "json", "number", "format", "large"],
)
def test_damaged_entries_count_as_absent(tmp_path: Path, damage: str) -> None:
    cache = TokenCache(tmp_path)
    tokens = store(cache, KEYS[0])
    header = tokens.with_suffix(".json")
    stored = json.loads(header.read_bytes())
    if damage == "truncate":
        tokens.write_bytes(tokens.read_bytes()[:-1])
    elif damage == "flip":
        tokens.write_bytes(bytes([2, 3, 5]))
    elif damage == "longer":
        tokens.write_bytes(tokens.read_bytes() + b"\2")
    elif damage == "no tokens":
        tokens.unlink()
    elif damage == "no json":
        header.unlink()
    elif damage == "json":
        header.write_text("{")
    elif damage == "number":
        stored["entry"]["text"] = "e"
        header.write_text(json.dumps(stored))
    else:
        change = {"format": 0} if damage == "format" else {"vocab_size": 4}
        stored["entry"] |= change
        stored["crc32"] = zlib.crc32(json.dumps(stored["entry"], sort_keys=True).encode())
        header.write_text(json.dumps(stored))
    assert cache.load(KEYS[0]) is None
    store(cache, KEYS[0])
    assert cache.load(KEYS[0]) is not None


def test_a_key_names_no_file_outside_the_folder(tmp_path: Path) -> None:
    outside = store(TokenCache(tmp_path), KEYS[0])
    cache = TokenCache(tmp_path / "cache")
    cache.folder.mkdir()
    assert outside.exists()
    for key in (f"../{KEYS[0]}", str(outside.with_suffix("")), "", KEYS[0][:-1]):
        assert cache.load(key) is None


def test_entries_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path, max_bytes=10**6)
    for age, key in enumerate(KEYS[:3]):
        store(cache, key, [1] * 1000)
        os.utime(tmp_path / f"{key}.json", (1000 + age, 1000 + age))
    assert cache.load(KEYS[0]) is not None  # used: no longer the oldest
    one = sum(path.stat().st_size for path in tmp_path.glob(f"{KEYS[0]}.*"))
    small = TokenCache(tmp_path, max_bytes=3 * one + one // 2)
    store(small, KEYS[3], [1] * 1000)
    left = sorted(path.stem for path in tmp_path.glob("*.json"))
    assert left == [KEYS[0], KEYS[2], KEYS[3]]
    assert sorted(path.stem for path in tmp_path.glob("*.tokens")) == left


def test_the_new_entry_stays_however_large(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path, max_bytes=10)
    store(cache, KEYS[0], [1] * 100)
    store(cache, KEYS[1], [1] * 100)
    assert cache.load(KEYS[1]) is not None and cache.load(KEYS[0]) is None


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path)
    old = [tmp_path / "a.part", tmp_path / "a.part.provisional", tmp_path / f"{KEYS[3]}.tokens"]
    new = [tmp_path / "b.part", tmp_path / f"{KEYS[2]}.tokens", tmp_path / "notes.txt"]
    for path in [*old, *new]:
        path.write_bytes(b"x")
    for path in [*old, new[-1]]:
        os.utime(path, (1000, 1000))
    store(cache, KEYS[0])
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in new)
    assert cache.load(KEYS[0]) is not None


def test_mapped_tokens_outlive_their_entry(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path)
    store(cache, KEYS[0])
    entry = cache.load(KEYS[0])
    assert entry is not None
    store(cache, KEYS[0])
    TokenCache(tmp_path, max_bytes=0).prune(keep="")
    assert cache.load(KEYS[0]) is None and entry.tokens.tolist() == [2, 3, 4]


def _store_often(folder: str) -> None:
    cache = TokenCache(Path(folder))
    for _ in range(30):
        store(cache, KEYS[0], [1, 2] * 5000)


def test_two_processes_may_store_the_same(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_store_often, args=(str(tmp_path),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 2
    assert TokenCache(tmp_path).load(KEYS[0]) is not None


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "here"))
    assert default_cache() == tmp_path / "here" == TokenCache().folder
    monkeypatch.delenv("TEXTGEN_CACHE")
    assert "textgen" in str(default_cache()).lower()
