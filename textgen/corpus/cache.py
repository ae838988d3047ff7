"""Encoded texts kept on disk, each under a key made from the text and how it was encoded.

An entry is two files: `KEY.tokens` (a raw array of ids) and `KEY.json` (everything else). The
header is renamed into place last, so an entry with a header is complete. Checksums find damage; a
damaged entry counts as absent, for it can be made again from the text.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import time
import weakref
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textgen.corpus.vocabulary import Ids
from textgen.errors import StorageError, TextgenError
from textgen.files import os_reason
from textgen.progress import task, track

#: Change it whenever the same text and options are encoded differently, or the header changes.
FORMAT_VERSION = 1

#: Above this many bytes the entries used longest ago are removed.
MAX_BYTES = 8 * 2**30

#: Files of this age without an entry were left by a process that was killed.
_ABANDONED_SECONDS = 24 * 3600

_CHECK_TOKENS = 1 << 20
_DTYPES = ("uint8", "uint16", "uint32")
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CacheEntry:
    """One encoded text: the header as it was stored, and the ids, `(N,)`, mapped read-only."""

    header: dict[str, Any]
    tokens: Ids


def default_cache() -> Path:
    """`$TEXTGEN_CACHE`, or where this system keeps caches."""
    named = os.environ.get("TEXTGEN_CACHE")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("textgen", appauthor=False))


class TokenCache:
    """A folder of encoded texts, safe to share between processes.

    Args:
        folder: Created when something is first written. None means `default_cache()`.
        max_bytes: The size to keep it below.
    """

    def __init__(self, folder: Path | None = None, *, max_bytes: int = MAX_BYTES) -> None:
        self.folder = default_cache() if folder is None else folder
        self._max_bytes = max_bytes

    def has_any(self, prefix: str) -> bool:
        """Whether there is an entry whose key starts so; nothing of it is read."""
        try:
            return any(True for _ in self.folder.glob(f"{prefix}*.json"))
        except OSError:
            return False

    @task("checking the encoded text")
    def load(self, key: str) -> CacheEntry | None:
        """The entry of that key; None if there is none or it is damaged."""
        if not _KEY.fullmatch(key):
            return None
        path = self._header(key)
        try:
            stored = json.loads(path.read_bytes())
            header = stored["entry"]
            if stored["crc32"] != _checksum(header) or header["format"] != FORMAT_VERSION:
                return None
            tokens = _map(self._tokens(key), header)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # The time of the last use, for `prune`. A read-only folder stays as it is.
        with suppress(OSError):
            os.utime(path)
        return CacheEntry(header, tokens)

    def scratch(self) -> Path:
        """Return a path in the folder, which is created, to write tokens to for `store`."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.folder / f"{secrets.token_hex(8)}.part"

    @task("keeping the encoded text")
    def store(self, key: str, scratch: Path, header: Mapping[str, Any]) -> CacheEntry:
        """Make an entry of the tokens at `scratch`; remove old entries to make room.

        Args:
            key: 64 hexadecimal digits.
            scratch: From `scratch()`; renamed.
            header: Plain data with at least `dtype`, `tokens` (how many), `crc32` (of the file)
                and `vocab_size`.
        Raises:
            OSError: It cannot be written.
        """
        entry = {**header, "format": FORMAT_VERSION}
        text = json.dumps({"crc32": _checksum(entry), "entry": entry})
        part = self.scratch()
        try:
            part.write_bytes(text.encode("utf-8"))
            os.replace(scratch, self._tokens(key))
            os.replace(part, self._header(key))
        finally:
            part.unlink(missing_ok=True)
        loaded = self.load(key)
        if loaded is None:
            raise OSError(f"{self._tokens(key)} does not read back as it was written")
        self.prune(keep=key)
        return loaded

    def prune(self, *, keep: str) -> None:
        """Remove the entries used longest ago, but for `keep`, and files of killed processes."""
        now = time.time()
        entries: list[tuple[float, int, str]] = []
        keys = set()
        for path, status in self._files(".json"):
            keys.add(path.stem)
            size = status.st_size
            with suppress(OSError):
                size += self._tokens(path.stem).stat().st_size
            entries.append((status.st_mtime, size, path.stem))
        total = sum(size for _, size, _ in entries)
        for _, size, key in sorted(entries):
            if total <= self._max_bytes:
                break
            if key != keep:
                total -= size
                for path in (self._header(key), self._tokens(key)):
                    with suppress(OSError):
                        path.unlink()
        for path, status in [*self._files(".tokens"), *self._files(".part", ".provisional")]:
            if path.stem not in keys and now - status.st_mtime > _ABANDONED_SECONDS:
                with suppress(OSError):
                    path.unlink()

    def _files(self, *suffixes: str) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self.folder.iterdir():
            # Another process may remove a file meanwhile.
            with suppress(OSError):
                if path.suffix in suffixes:
                    found.append((path, path.stat()))
        return found

    def _header(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _tokens(self, key: str) -> Path:
        return self.folder / f"{key}.tokens"


def write_entry(
    cache: Path | None, what: str, write: Callable[[TokenCache], CacheEntry]
) -> tuple[CacheEntry, tuple[str, ...]]:
    """Write an entry to the cache; to a temporary folder if the cache cannot be written.

    Args:
        cache: As `TokenCache` takes it.
        what: The name of the content in messages.
        write: Writes the entry.
    Returns:
        The entry, and a note if it is in a temporary folder, which goes with it.
    Raises:
        StorageError: There is no room in either.
    """
    store = TokenCache(cache)
    try:
        return write(store), ()
    except TextgenError:
        raise
    except OSError as error:
        reason = os_reason(error)
    how = "set TEXTGEN_CACHE to a folder with room"

    def no_room(folder: str, error: OSError) -> StorageError:
        return StorageError(
            f"{what} can be written neither to the cache nor to {folder}: {os_reason(error)}; {how}"
        )

    try:
        folder = tempfile.mkdtemp(prefix="textgen-")
    except OSError as error:
        raise no_room(tempfile.gettempdir(), error) from error
    try:
        entry = write(TokenCache(Path(folder)))
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, TextgenError):
            raise no_room(folder, error) from error
        raise
    weakref.finalize(entry.tokens, shutil.rmtree, folder, ignore_errors=True)
    return entry, (
        f"the cache folder {store.folder} cannot be written ({reason}); {what} is in a temporary "
        f"folder for this run only; {how}",
    )


def _checksum(header: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(header, sort_keys=True).encode())


def _map(path: Path, header: Mapping[str, Any]) -> Ids:
    """The tokens of an entry; a ValueError if they do not fit its header."""
    name, count = header["dtype"], header["tokens"]
    if name not in _DTYPES or not isinstance(count, int) or count < 1:
        raise ValueError(f"{count!r} tokens of type {name!r} are not an array of ids")
    dtype = np.dtype(name)
    if path.stat().st_size != count * dtype.itemsize:
        raise ValueError("the file is truncated, or longer than its header says")
    tokens: Ids = np.memmap(path, dtype, mode="r", shape=(count,))
    crc32 = 0
    starts = range(0, count, _CHECK_TOKENS)
    for start in track(starts, "checking the encoded text", len(starts)):
        piece = tokens[start : start + _CHECK_TOKENS]
        crc32 = zlib.crc32(piece.data, crc32)
        if int(piece.max()) >= header["vocab_size"]:
            raise ValueError("a token lies outside the vocabulary")
    if crc32 != header["crc32"]:
        raise ValueError("the checksum of the tokens differs")
    return tokens
