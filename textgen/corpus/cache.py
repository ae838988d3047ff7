"""Encoded texts kept on disk, each under a key made from the text and how it was encoded.

An entry is two files: `KEY.tokens` (a raw array of ids) and `KEY.json` (everything else). The
header is renamed into place last, so an entry with a header is complete. It holds the key, which is
made from the hash of the text, and the hash of the tokens. An entry that does not agree with itself
counts as absent, for it can be made again from the text.

Whoever can write to the cache decides what is trained on. So a folder or an entry that another user
may write to is not used (as ssh does with keys), and an entry can be read by its user alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from textgen.corpus.mapped import MappedTokens
from textgen.corpus.vocabulary import Ids
from textgen.errors import StorageError, TextgenError
from textgen.files import (
    create_private,
    open_private,
    os_reason,
    remove_quietly,
    replace_file,
    require_private,
)
from textgen.progress import task, track

#: Change it whenever the same text and options are encoded differently; every key changes with it.
FORMAT_VERSION = 1
#: Change it whenever the header changes. Entries of version 1 had checksums instead of hashes, and
#: did not name their key.
_HEADER_VERSION = 2
#: Tokens of up to so many bytes are read into memory; larger files are mapped.
MEMORY_BYTES = 64 * 2**20

#: Above this many bytes the entries used longest ago are removed.
MAX_BYTES = 8 * 2**30

#: Files of this age without an entry were left by a process that was killed.
_ABANDONED_SECONDS = 24 * 3600

_CHECK_TOKENS = 1 << 20
_DTYPES = ("uint8", "uint16", "uint32")
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CacheEntry:
    """One encoded text: the header as it was stored, and the ids, `(N,)`, which are read-only."""

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
    def load(self, key: str, *, older: bool = False) -> CacheEntry | None:
        """The entry of that key; None if there is none, or it is damaged or not this user's own.

        Args:
            key: 64 hexadecimal digits.
            older: Whether one that an earlier version wrote will do, which had a checksum and no
                hash: for a text that may not be there any more.
        """
        if not _KEY.fullmatch(key):
            return None
        path = self._header(key)
        try:
            require_private(self.folder.stat())
            with open_private(path) as file:
                stored = json.loads(file.read())
            header = stored["entry"]
            if header["format"] == _HEADER_VERSION:
                if header["key"] != key or stored["sha256"] != _sum_of(header):
                    return None
            elif not older or header["format"] != 1 or stored["crc32"] != _checksum(header):
                return None
            tokens = _open_tokens(self._tokens(key), header)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        # The time of the last use, for `prune`. A read-only folder stays as it is.
        with suppress(OSError):
            os.utime(path)
        return CacheEntry(header, tokens)

    def scratch(self) -> Path:
        """Return a path in the folder, which is created, to write tokens to for `store`.

        Raises:
            OSError: The folder cannot be created, or another user may write to it.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_private(self.folder.stat())
        return self.folder / f"{secrets.token_hex(8)}.part"

    @task("keeping the encoded text")
    def store(self, key: str, scratch: Path, header: Mapping[str, Any]) -> CacheEntry:
        """Make an entry of the tokens at `scratch`; remove old entries to make room.

        Args:
            key: 64 hexadecimal digits.
            scratch: From `scratch()`; renamed.
            header: Plain data with at least `dtype`, `tokens` (how many), `tokens_sha256` (of
                the file) and `vocab_size`.
        Raises:
            OSError: It cannot be written.
        """
        entry = {**header, "format": _HEADER_VERSION, "key": key}
        text = json.dumps({"sha256": _sum_of(entry), "entry": entry})
        part = self.scratch()
        try:
            with create_private(part) as file:
                file.write(text.encode("utf-8"))
            try:
                replace_file(scratch, self._tokens(key))
                replace_file(part, self._header(key))
            except PermissionError:  # Windows replaces no tokens that another process reads.
                if (made := self.load(key)) is not None:
                    return made  # They are the same: their hash is in the header.
                raise
        finally:
            remove_quietly(part)
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
                self.remove(key)
        for path, status in [*self._files(".tokens"), *self._files(".part", ".provisional")]:
            if path.stem not in keys and now - status.st_mtime > _ABANDONED_SECONDS:
                remove_quietly(path)

    def remove(self, key: str) -> None:
        """Remove an entry, where that is possible."""
        for path in (self._header(key), self._tokens(key)):
            remove_quietly(path)

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
    how = "set TEXTGEN_CACHE to a folder of your own with room"

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
        f"the cache folder {store.folder} cannot be used ({reason}); {what} is in a temporary "
        f"folder for this run only; {how}",
    )


def _checksum(header: Mapping[str, Any]) -> int:
    """The checksum of a header of version 1."""
    return zlib.crc32(json.dumps(header, sort_keys=True).encode())


def _sum_of(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def _open_tokens(path: Path, header: Mapping[str, Any]) -> Ids:
    """The tokens of an entry; a ValueError if they do not fit its header."""
    name, count = header["dtype"], header["tokens"]
    if name not in _DTYPES or not isinstance(count, int) or count < 1:
        raise ValueError(f"{count!r} tokens of type {name!r} are not an array of ids")
    dtype = np.dtype(name)
    size = count * dtype.itemsize
    with open_private(path) as file:
        if os.fstat(file.fileno()).st_size != size:
            raise ValueError("the file is truncated, or longer than its header says")
        pieces = _checked(file, header, dtype)
        if size > MEMORY_BYTES:
            # Before it is read: what is written to it afterwards is seen.
            mapped = MappedTokens.of(file, str(path), dtype, count)
            for _ in pieces:
                pass
            return mapped
        tokens = np.empty(count, dtype)
        done = 0
        for piece in pieces:
            tokens[done : done + len(piece)] = piece
            done += len(piece)
    tokens.flags.writeable = False
    return tokens


def _checked(file: BinaryIO, header: Mapping[str, Any], dtype: np.dtype[Any]) -> Iterator[Ids]:
    """The tokens of a file in pieces; at the end a ValueError if they are not those of its header.

    They are read and not mapped: a file that is cut short meanwhile only looks damaged.
    """
    count = header["tokens"]
    sha256, crc32 = hashlib.sha256(), 0
    is_old = header["format"] == 1
    starts = range(0, count, _CHECK_TOKENS)
    file.seek(0)
    for start in track(starts, "checking the encoded text", len(starts)):
        size = min(_CHECK_TOKENS, count - start) * dtype.itemsize
        data = file.read(size)
        if len(data) != size:
            raise ValueError("the file is truncated")
        if is_old:
            crc32 = zlib.crc32(data, crc32)
        else:
            sha256.update(data)
        piece: Ids = np.frombuffer(data, dtype)
        if int(piece.max()) >= header["vocab_size"]:
            raise ValueError("a token lies outside the vocabulary")
        yield piece
    if crc32 != header["crc32"] if is_old else sha256.hexdigest() != header["tokens_sha256"]:
        raise ValueError("the hash of the tokens differs")
