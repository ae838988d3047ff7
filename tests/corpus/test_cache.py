"""The cache folder: entries whole or absent, old ones removed, damage found."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import stat
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textgen.corpus import cache as cache_module
from textgen.corpus.cache import TokenCache, default_cache
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.tokens import write_tokens

KEYS = [f"{i:064x}" for i in range(4)]


def store(cache: TokenCache, key: str, ids: Any = (2, 3, 4), dtype: str = "uint8") -> Path:
    array = np.array(ids, dtype)
    scratch = cache.scratch()
    array.tofile(scratch)
    header = {
        "dtype": dtype,
        "tokens": len(array),
        "tokens_sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        "vocab_size": 10,
        "text": "ё",
    }
    cache.store(key, scratch, header)
    return cache.folder / f"{key}.tokens"


def write_header(path: Path, entry: dict[str, Any]) -> None:
    """A header whose hash is right, whatever it says."""
    sha256 = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({"sha256": sha256, "entry": entry}))


@pytest.fixture(params=["in memory", "mapped"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are read into memory; or mapped, as those of a large text."""
    if request.param == "mapped":
        monkeypatch.setattr(cache_module, "MEMORY_BYTES", 0)


@pytest.mark.usefixtures("memory")
def test_what_was_stored_is_found(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path / "new" / "folder")
    assert cache.load(KEYS[0]) is None and not cache.has_any("0")
    store(cache, KEYS[0], [5, 9, 1], "uint16")
    entry = TokenCache(cache.folder).load(KEYS[0])
    assert entry is not None
    assert entry.tokens.tolist() == [5, 9, 1] and entry.tokens.dtype == np.uint16
    assert not entry.tokens.flags.writeable
    assert entry.header["text"] == "ё"
    assert cache.has_any("000") and not cache.has_any("1")
    assert sorted(path.name for path in cache.folder.iterdir()) == [
        f"{KEYS[0]}.json",
        f"{KEYS[0]}.tokens",
    ]


@pytest.mark.usefixtures("memory")
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
        write_header(header, stored["entry"] | change)
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


@pytest.mark.usefixtures("memory")
def test_tokens_outlive_their_entry(tmp_path: Path) -> None:
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


# --- who may write to it


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file another user's: it is, or this process is."""
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)


def test_entries_are_for_their_user_alone(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path / "cache")
    store(cache, KEYS[0])
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in cache.folder.glob("*.json")} == {0o600}


@pytest.mark.parametrize(
    ("mode", "is_used"), [(0o777, False), (0o770, False), (0o1777, False), (0o755, True)]
)
def test_a_folder_that_others_may_write_to_is_not_used(
    tmp_path: Path, mode: int, is_used: bool
) -> None:
    cache = TokenCache(tmp_path / "cache")
    store(cache, KEYS[0])
    cache.folder.chmod(mode)
    assert (cache.load(KEYS[0]) is not None) == is_used
    if not is_used:
        with pytest.raises(OSError, match="other users may write to it"):
            cache.scratch()


@pytest.mark.parametrize("suffix", ["", ".json", ".tokens"])
def test_what_belongs_to_another_user_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    cache = TokenCache(tmp_path / "cache")
    store(cache, KEYS[0])
    give_away(cache.folder / f"{KEYS[0]}{suffix}" if suffix else cache.folder, monkeypatch)
    assert cache.load(KEYS[0]) is None
    if not suffix:
        with pytest.raises(OSError, match="it belongs to another user"):
            cache.scratch()


@pytest.mark.parametrize("suffix", [".json", ".tokens"])
def test_a_file_that_others_may_write_to_counts_where_they_reach_it(
    tmp_path: Path, suffix: str
) -> None:
    """An earlier version wrote files for the group, in a folder that lets nobody in."""
    cache = TokenCache(tmp_path / "cache")
    store(cache, KEYS[0])
    (cache.folder / f"{KEYS[0]}{suffix}").chmod(0o664)
    assert cache.load(KEYS[0]) is not None
    cache.folder.chmod(0o755)
    assert cache.load(KEYS[0]) is None


@pytest.mark.parametrize("suffix", [".json", ".tokens"])
def test_a_link_is_no_entry(tmp_path: Path, suffix: str) -> None:
    cache = TokenCache(tmp_path / "cache")
    store(cache, KEYS[0])
    path = cache.folder / f"{KEYS[0]}{suffix}"
    os.rename(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.load(KEYS[0]) is None
    store(cache, KEYS[0], [7, 8])
    assert not path.is_symlink() and cache.load(KEYS[0]) is not None


def test_other_tokens_are_found_whatever_else_is_made_right(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path)
    tokens = store(cache, KEYS[0])
    header = tokens.with_suffix(".json")
    entry = json.loads(header.read_bytes())["entry"]
    tokens.write_bytes(bytes([4, 3, 2]))
    write_header(header, {**entry, "crc32": zlib.crc32(bytes([4, 3, 2]))})
    assert cache.load(KEYS[0]) is None, "the checksum is right, but not the hash"
    # The entry of another text, whole, under the name of this one.
    other = store(cache, KEYS[1], [9, 9, 9])
    for path in (tokens, header):
        path.write_bytes(other.with_suffix(path.suffix).read_bytes())
    assert cache.load(KEYS[1]) is not None and cache.load(KEYS[0]) is None


def test_entries_of_an_earlier_version_serve_where_the_text_may_be_gone(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path)
    tokens = store(cache, KEYS[0])
    entry = json.loads(tokens.with_suffix(".json").read_bytes())["entry"]
    for name in ("key", "tokens_sha256"):
        del entry[name]
    entry |= {"format": 1, "crc32": zlib.crc32(bytes([2, 3, 4]))}
    crc32 = zlib.crc32(json.dumps(entry, sort_keys=True).encode())
    tokens.with_suffix(".json").write_text(json.dumps({"crc32": crc32, "entry": entry}))
    assert cache.load(KEYS[0]) is None
    found = cache.load(KEYS[0], older=True)
    assert found is not None and found.tokens.tolist() == [2, 3, 4]
    tokens.write_bytes(bytes([4, 3, 2]))
    assert cache.load(KEYS[0], older=True) is None


@pytest.mark.parametrize(("planted", "level"), [(".part", "byte"), (".part.provisional", "char")])
def test_what_is_written_meanwhile_goes_through_no_link(
    tmp_path: Path, planted: str, level: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    scratch = tmp_path / "a.part"
    scratch.with_name("a" + planted).symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_tokens(lambda: ["abcabc"], CorpusOptions(level=level), scratch)
    assert victim.read_text() == "mine"
