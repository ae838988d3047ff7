"""Where bytes come from: files, folders of texts, gzip, standard input.

A `Source` can be opened any number of times and gives decompressed bytes; what cannot be read
twice (standard input, a named pipe) is first copied to a temporary file. Knows no encodings.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import sys
import tempfile
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from textgen.errors import ConfigError, EmptyCorpusError, StorageError

STDIN_NAME, GIVEN_NAME = "<stdin>", "<text>"
_TEXT_SUFFIXES = (".txt", ".txt.gz")
_GZIP_MAGIC = b"\x1f\x8b"


class GivenText(io.BytesIO):
    """A text that a program gives in place of files, in UTF-8: it is read where `-` is named."""


class Source:
    """One text's bytes, which may be read several times.

    Args:
        name: What messages call it: the path as it was typed, or `<stdin>`.
        path: The absolute path, None when the bytes were spooled.
        size: Bytes that `open` gives, None when only reading tells (gzip).
        storage: The file to open; `path` when not given.
    """

    def __init__(
        self, name: str, path: Path | None, size: int | None, *, storage: Path | None = None
    ) -> None:
        held = storage or path
        assert held is not None
        self.name = name
        self.path = path
        self.size = size
        self._storage = held

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    @property
    def compressed(self) -> bool:
        """Whether `open` decompresses."""
        return self.path is not None and self.path.name.lower().endswith(".gz")

    def open(self) -> BinaryIO:
        """The bytes from the start, decompressed, as a readable stream; the caller closes it.

        Raises:
            StorageError: The file has gone or cannot be read; raised by reads too, there also
                where compressed data turn out damaged.
        """
        try:
            stream = open(self._storage, "rb")  # noqa: SIM115 - the caller closes it
        except OSError as error:
            raise _unreadable(self.name, error) from error
        raw = _GzipBytes(stream, self.name) if self.compressed else _PlainBytes(stream, self.name)
        return cast(BinaryIO, io.BufferedReader(raw, buffer_size=1 << 17))


class _PlainBytes(io.RawIOBase):
    """A stream whose failures are `StorageError`."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        super().__init__()
        self._stream = stream
        self._name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            return cast(io.BufferedReader, self._stream).readinto(buffer)
        except OSError as error:
            raise _unreadable(self._name, error) from error

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _GzipBytes(_PlainBytes):
    """The decompressed bytes of a gzip stream; damage is a `StorageError`."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._file = stream
        super().__init__(cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb")), name)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            return cast(io.BufferedIOBase, self._stream).readinto(buffer)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise StorageError(
                f"{self._name}: the gzip data are damaged or cut short ({error}); "
                f"`gzip -t {self._name}` tells more, and a fresh copy is needed"
            ) from error
        except OSError as error:
            raise _unreadable(self._name, error) from error

    def close(self) -> None:
        super().close()
        self._file.close()


def open_sources(paths: Sequence[str | Path], *, stdin: BinaryIO | None = None) -> list[Source]:
    """Every text that `paths` name, in their order.

    Args:
        paths: Files (`.gz` is decompressed), folders (every `.txt` and `.txt.gz` below, sorted by
            path), or `-` for standard input. The same file may come twice.
        stdin: What `-` reads; the process's standard input by default.
    Returns:
        At least one source; each has been opened once, none has been read.
    Raises:
        ConfigError: There is no path, or `-` comes twice.
        StorageError: A path is missing, unreadable, no regular file, or no gzip data.
        EmptyCorpusError: A folder holds no text.
    """
    if not paths:
        raise ConfigError("no text was named; give a file, a folder, or - for standard input")
    if [str(path) for path in paths].count("-") > 1:
        raise ConfigError("- (standard input) is named twice; it can be read once only")
    sources = []
    for path in paths:
        name = os.fspath(path)
        if name == "-":
            called = GIVEN_NAME if isinstance(stdin, GivenText) else STDIN_NAME
            sources.append(_spool(sys.stdin.buffer if stdin is None else stdin, called))
        else:
            sources.extend(_open_path(name))
    return sources


def check_paths(paths: Sequence[str | Path]) -> None:
    """Look whether all texts are there, without reading any.

    Raises:
        StorageError: One is missing.
    """
    for path in paths:
        if (name := os.fspath(path)) != "-":
            try:
                os.stat(name)
            except (OSError, ValueError) as error:
                raise _unreadable(name, error) from error


def _open_path(name: str) -> list[Source]:
    try:
        status = os.stat(name)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    if stat.S_ISDIR(status.st_mode):
        return [_open_file(text, os.stat(text)) for text in _texts_below(name)]
    if stat.S_ISFIFO(status.st_mode):
        try:
            with open(name, "rb") as pipe:
                return [_spool(pipe, name)]
        except StorageError:
            raise
        except OSError as error:
            raise _unreadable(name, error) from error
    return [_open_file(name, status)]


def _open_file(name: str, status: os.stat_result) -> Source:
    if not stat.S_ISREG(status.st_mode):
        raise StorageError(
            f"{name} is neither a file nor a folder; name a text file, or pipe the text in "
            "and give - as the path"
        )
    path = Path(os.path.abspath(name))
    source = Source(name, path, status.st_size)
    if source.compressed:
        source.size = None
    try:
        with open(path, "rb") as stream:
            magic = stream.read(2)
    except OSError as error:
        raise _unreadable(name, error) from error
    if source.compressed and magic != _GZIP_MAGIC:
        found = "is empty" if not magic else f"starts with the bytes {magic.hex(' ')}"
        raise StorageError(
            f"{name} is called .gz but is no gzip file: it {found}, expected 1f 8b; "
            "rename it to .txt when it is plain text"
        )
    return source


def _texts_below(folder: str) -> list[str]:
    """The texts of a folder, sorted by their path's parts, as paths that start with `folder`."""

    def fail(error: OSError) -> None:
        raise _unreadable(str(error.filename or folder), error) from error

    found = []
    for directory, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]  # .venv, .git
        for name in names:
            if name.lower().endswith(_TEXT_SUFFIXES):
                found.append(os.path.join(directory, name))
    if not found:
        raise EmptyCorpusError(
            f"the folder {folder} holds no text: no .txt or .txt.gz file was found in it or "
            "below; name the files themselves if theirs end otherwise"
        )
    missing = [text for text in found if not os.path.exists(text)]
    if missing:
        raise StorageError(f"{missing[0]} is a link to a file that does not exist; remove it")
    return sorted(found, key=lambda text: Path(text).parts)


def _spool(stream: BinaryIO, name: str) -> Source:
    """Copies a stream that can be read once to a temporary file, deleted with the source."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix="textgen-", suffix=".spool")
    except OSError as error:
        raise StorageError(
            f"{name} cannot be copied to a temporary file: {error.strerror}; free some space "
            "or point TMPDIR to a folder that can be written"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
            size = copy.tell()
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError):
            raise StorageError(
                f"{name} cannot be copied to a temporary file in {os.path.dirname(temporary)}: "
                f"{error.strerror or error}; free some space or point TMPDIR elsewhere"
            ) from error
        raise
    source = Source(name, None, size, storage=Path(temporary))
    weakref.finalize(source, _remove, temporary)
    return source


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)


def _unreadable(name: str, error: OSError | ValueError) -> StorageError:
    if isinstance(error, FileNotFoundError):
        return StorageError(
            f"{name} does not exist; check the path (texts are taken relative to {os.getcwd()})"
        )
    if isinstance(error, PermissionError):
        return StorageError(f"{name} may not be read: permission denied; try `chmod +r {name}`")
    reason = getattr(error, "strerror", None) or error
    return StorageError(f"{name} cannot be read: {reason}")
