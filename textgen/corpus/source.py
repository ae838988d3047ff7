"""Where bytes come from: files, folders of texts, gzip, books and documents, standard input.

A `Source` can be opened any number of times and gives decompressed bytes. What can be read only
once (standard input, a named pipe) is first copied to a temporary file, and so is the text in a
book or a document (`textgen.corpus.extraction`). Of a folder the files with the given ending are
read, in the order of the parts of their paths; `Found` tells what is not read.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import tempfile
import weakref
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from textgen.corpus.corpus_options import ALL_ENDINGS, DEFAULT_ENDING, parse_endings
from textgen.errors import ConfigError, CorpusError, EmptyCorpusError, StorageError, named
from textgen.files import os_reason, remove_quietly
from textgen.progress import task
from textgen.terminal.humanize import listed

STDIN_NAME, GIVEN_NAME = "<stdin>", "<text>"
_GZIP_MAGIC = b"\x1f\x8b"

#: What systems leave in folders, besides names that begin with a dot.
_JUNK_FOLDERS = {"__macosx", "$recycle.bin", "system volume information"}
_JUNK_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}

#: Bytes read at a time to see whether a file is blank, or looks like a text.
_LOOK_BYTES = 4096
_BLANKS = b" \t\n\v\f\r\x1a"
_UTF8_MARK, _WIDE_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
#: Control characters that no text has, and how other files begin that may lack them.
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\b\x1a\x1b")
_ZIP_MAGIC = b"PK"
_NO_TEXT = (b"%PDF", _ZIP_MAGIC, _GZIP_MAGIC)
#: How many endings are examined for texts, those with most files first.
_ENDINGS_TRIED = 8


class GivenText(io.BytesIO):
    """A text in UTF-8 that a program gives in place of files; it is read for the path `-`."""


class Source:
    """The bytes of one text, which may be read several times.

    Args:
        name: Its name in messages: the path as it was typed, or `<stdin>`.
        path: The absolute path; None if the bytes were copied to a temporary file.
        size: Bytes that `open` gives; None if only reading tells (gzip).
        storage: The file to open; None means `path`.

    Attributes:
        origin: The file that was named: `path`, or the book whose text was copied; None where there
            is none.
    """

    def __init__(
        self, name: str, path: Path | None, size: int | None, *, storage: Path | None = None
    ) -> None:
        storage = storage or path
        assert storage is not None
        self.name = name
        self.path = path
        self.origin = path
        self.size = size
        self._storage = storage

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    @property
    def compressed(self) -> bool:
        """Whether `open` decompresses the file."""
        return self.path is not None and self.path.name.lower().endswith(".gz")

    def open(self) -> BinaryIO:
        """Open the decompressed bytes, from the start; the caller closes the stream.

        Raises:
            StorageError: The file is gone or cannot be read. Reads raise it too, also for damaged
                compressed data.
        """
        try:
            stream = open(self._storage, "rb")  # noqa: SIM115 - the caller closes it
        except OSError as error:
            raise _unreadable(self.name, error) from error
        raw = _Bytes(stream, self.name, self.compressed)
        return cast(BinaryIO, io.BufferedReader(raw, buffer_size=1 << 17))


class _Bytes(io.RawIOBase):
    """The bytes of a file, decompressed if it is packed; failures are `StorageError`."""

    def __init__(self, file: BinaryIO, name: str, packed: bool) -> None:
        super().__init__()
        self._file = file
        self._name = name
        self._stream = cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb")) if packed else file

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
            return cast(io.BufferedIOBase, self._stream).readinto(buffer)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise StorageError(
                f"{self._name}: the gzip data are damaged or cut short ({error}); "
                f"`gzip -t {self._name}` tells more, and a fresh copy is needed"
            ) from error
        except OSError as error:
            raise _unreadable(self._name, error) from error

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be read as text; the error's message begins with its name."""

    name: str
    error: ConfigError | CorpusError | StorageError


@dataclass(frozen=True)
class Unread:
    """A file of a folder that is not read because of its ending."""

    name: str  # its path
    ending: str  # in lower case, without `.gz`; "" if there is none
    size: int  # in bytes


class Found:
    """What some paths lead to.

    Args:
        endings: The endings that were asked for.
        extracts: Whether the text of a book or a document is taken out of it.

    Attributes:
        sources: The texts, each once, in the order of the paths.
        bad: Files that cannot be opened: no permission, a broken link, a device, no gzip data.
        empty: Names of files left out because they hold nothing but white space.
        repeated: Files that were named again: the new name, and the first one.
        linked: Links to folders within the folders; they are not entered.
        extracted: Books and documents whose text was taken out, and what each is.
    """

    def __init__(
        self, endings: tuple[str, ...] = (DEFAULT_ENDING,), *, extracts: bool = True
    ) -> None:
        self.endings = endings
        self.extracts = extracts
        self.sources: list[Source] = []
        self.bad: list[BadFile] = []
        self.empty: list[str] = []
        self.repeated: list[tuple[str, str]] = []
        self.linked: list[str] = []
        self.extracted: list[tuple[str, str]] = []
        self._others: list[tuple[object, Unread]] = []
        # The first name of each file, by its identity on the disk.
        self._names: dict[object, str] = {}

    @property
    def unread(self) -> list[Unread]:
        """Files of the folders with other endings."""
        return [file for key, file in self._others if key not in self._names]

    def add(self, name: str, stdin: BinaryIO | None) -> None:
        """Add a path that was typed."""
        if name == "-":
            called = GIVEN_NAME if isinstance(stdin, GivenText) else STDIN_NAME
            self.sources.append(self._text_of(_spool(_blocks(stdin or sys.stdin.buffer), called)))
            return
        try:
            status = os.stat(name)
        except (OSError, ValueError) as error:
            raise _unreadable(name, error) from error
        if stat.S_ISDIR(status.st_mode):
            self._add_folder(name)
        elif self._is_new(name, status):
            self._open(name, status, typed=True)

    def leave_out_empty(self, *, alone: bool) -> None:
        """Keep the texts that are not empty; if the only path is bad, that is the error."""
        if alone and len(self.bad) == 1 and not self.sources:
            raise self.bad[0].error
        if len(self.sources) == 1:
            return  # The reader says what is wrong with an only text.
        sources, self.sources = self.sources, []
        for source in sources:
            try:
                if _is_blank(source):
                    self.empty.append(source.name)
                else:
                    self.sources.append(source)
            except StorageError as error:  # damaged compressed data, or a file just removed
                self.bad.append(BadFile(source.name, error))
        if not self.sources and not self.bad:
            raise EmptyCorpusError(
                f"all {len(self.empty):,} texts are empty or hold nothing but white space "
                f"({listed(self.empty)}); a text is expected"
            )

    def _is_new(self, name: str, status: os.stat_result) -> bool:
        """Whether this file was not found before under any name."""
        key = _identity(name, status)
        if key in self._names:
            self.repeated.append((name, self._names[key]))
            return False
        self._names[key] = name
        return True

    def _open(self, name: str, status: os.stat_result, *, typed: bool = False) -> None:
        try:
            if typed and stat.S_ISFIFO(status.st_mode):
                with open(name, "rb") as pipe:
                    self.sources.append(self._text_of(_spool(_blocks(pipe), name)))
            else:
                self.sources.append(self._text_of(_open_file(name, status)))
        except (CorpusError, StorageError) as error:
            self.bad.append(BadFile(name, error))
        except OSError as error:
            self.bad.append(BadFile(name, _unreadable(name, error)))

    def _text_of(self, source: Source) -> Source:
        """The source; of a book or a document the text in it."""
        with source.open() as stream:
            head = stream.read(_LOOK_BYTES) if self.extracts else b""
            if not head.startswith(_ZIP_MAGIC):
                return source
            from textgen.corpus.extraction.file_format import packed_format

            packed = packed_format(source.name, head)
            if packed is None or packed.read_bytes is None:
                return source
            stream.seek(0)
            self.extracted.append((source.name, packed.called))
            with task(f"reading {source.name}"):
                pieces = packed.read_bytes(source.name, stream)
                text = _spool((piece.text.encode() for piece in pieces), source.name)
                text.origin = source.path
                return text

    def _add_folder(self, folder: str) -> None:
        """Add the texts of a folder and of those in it, sorted by the parts of their paths."""
        found: list[str] = []
        unread: list[str] = []
        unreadable: list[OSError] = []
        for directory, folders, names in os.walk(folder, onerror=unreadable.append):
            folders[:] = [name for name in folders if not _is_junk(name, _JUNK_FOLDERS)]
            paths = (os.path.join(directory, name) for name in folders)
            self.linked += sorted(path for path in paths if os.path.islink(path))
            for name in names:
                if _is_junk(name, _JUNK_FILES):
                    continue
                path = os.path.join(directory, name)
                small, endings = name.lower(), self.endings
                wanted = small.endswith(endings) or small.removesuffix(".gz").endswith(endings)
                (found if wanted else unread).append(path)
        for error in unreadable:
            name = os.fspath(error.filename or folder)
            self.bad.append(BadFile(name, _unreadable(name, error)))
        rest = [(key, file) for key, file in map(_unread, unread) if file is not None]
        if not found and not unreadable:
            raise _no_texts(folder, self.endings, [file for _, file in rest])
        self._others += [(key, file) for key, file in rest]
        for path in sorted(found, key=lambda text: Path(text).parts):
            try:
                status = os.stat(path)
            except OSError as error:
                why = _unreadable(path, error)
                if os.path.islink(path):
                    why = StorageError(f"{path} is a link to a file that does not exist; remove it")
                self.bad.append(BadFile(path, why))
                continue
            if self._is_new(path, status):
                self._open(path, status)


def find_sources(
    paths: Sequence[str | Path],
    *,
    ending: str = DEFAULT_ENDING,
    stdin: BinaryIO | None = None,
    extracts: bool = True,
) -> Found:
    """Find every text that paths name, in their order.

    Hidden files and folders, and what systems leave in folders, are ignored. A file that is named
    itself is read whatever its name is.

    Args:
        paths: Files (`.gz` is decompressed), folders, or `-` for standard input.
        ending: The ending of the files in a folder that are texts (`.gz` may follow), as
            `parse_endings` takes it.
        stdin: What `-` reads; None means the process's standard input.
        extracts: Whether the text of a book or a document is taken out of it.
    Returns:
        What was found, with at least one source or bad file. Each source has been opened.
    Raises:
        ConfigError: There is no path, or `-` comes twice.
        StorageError: A path is missing; or the only one cannot be opened.
        EmptyCorpusError: A folder holds no text, or all of several texts are empty.
    """
    if not paths:
        raise ConfigError("no text was named; give a file, a folder, or - for standard input")
    if [str(path) for path in paths].count("-") > 1:
        raise ConfigError("- (standard input) is named twice; it can be read once only")
    found = Found(parse_endings(ending), extracts=extracts)
    # A folder of many files, or a disk that is far away, takes its time.
    with task("looking for the text"):
        for path in paths:
            found.add(os.fspath(path), stdin)
    found.leave_out_empty(alone=len(paths) == 1)
    return found


def open_sources(paths: Sequence[str | Path], *, stdin: BinaryIO | None = None) -> list[Source]:
    """Return the sources of `find_sources`; every file must be readable.

    Raises:
        TextgenError: As `find_sources`, and for the first bad file.
    """
    found = find_sources(paths, stdin=stdin)
    if found.bad:
        raise found.bad[0].error
    return found.sources


def count_endings(unread: Sequence[Unread]) -> str:
    """Return how many files there are of each ending: ".srt 40, .jpg 3", most files first."""
    groups = list(_by_ending(unread).items())
    shown = [f"{ending or 'no ending'} {len(files):,}" for ending, files in groups[:5]]
    rest = sum(len(files) for _, files in groups[5:])
    return ", ".join(shown) + (f", others {rest:,}" if rest else "")


def text_files(unread: Sequence[Unread]) -> list[Unread]:
    """Return the files that look like texts, by the largest file of each frequent ending."""
    texts: list[Unread] = []
    for files in list(_by_ending(unread).values())[:_ENDINGS_TRIED]:
        if _looks_like_text(max(files, key=lambda file: file.size)):
            texts += files
    return texts


def ask_for(endings: Sequence[str]) -> str:
    """Return what to set to read the files with these endings, for a message."""
    return named("ending", ALL_ENDINGS if "" in endings else ",".join(endings))


def check_paths(paths: Sequence[str | Path]) -> None:
    """Check that all texts exist, without reading any.

    Raises:
        StorageError: One is missing.
    """
    for path in paths:
        if (name := os.fspath(path)) != "-":
            try:
                os.stat(name)
            except (OSError, ValueError) as error:
                raise _unreadable(name, error) from error


def _identity(name: str, status: os.stat_result) -> object:
    """The identity of a file on its disk; links to it, also hard ones, have the same."""
    if status.st_ino:
        return status.st_dev, status.st_ino
    return os.path.normcase(os.path.realpath(name))


def _is_junk(name: str, junk: set[str]) -> bool:
    """Whether a name is hidden (`.git`, a Mac's `._a.txt`), an editor's copy (`a.txt~`) or a
    system's."""
    return name.startswith(".") or name.endswith("~") or name.lower() in junk


def _unread(path: str) -> tuple[object, Unread | None]:
    try:
        status = os.stat(path)
    except OSError:
        return None, None
    if not stat.S_ISREG(status.st_mode):
        return None, None
    stem, ending = os.path.splitext(path.lower())
    if ending == ".gz":
        ending = os.path.splitext(stem)[1] or ending
    return _identity(path, status), Unread(path, ending, status.st_size)


def _by_ending(unread: Sequence[Unread]) -> dict[str, list[Unread]]:
    """The files of each ending, those with most files first."""
    groups: dict[str, list[Unread]] = {}
    for file in unread:
        groups.setdefault(file.ending, []).append(file)
    return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))


def _looks_like_text(file: Unread) -> bool:
    """Whether the start of a file holds nothing that texts do not have."""
    try:
        with Source(file.name, Path(os.path.abspath(file.name)), None).open() as stream:
            head = stream.read(_LOOK_BYTES)
    except StorageError:
        return False
    if head.startswith(_WIDE_MARKS):
        return True
    if head.startswith(_ZIP_MAGIC):
        from textgen.corpus.extraction.file_format import packed_format

        return packed_format(file.name, head) is not None
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return bool(head) and not head.startswith(_NO_TEXT) and controls == 0


def _is_blank(source: Source) -> bool:
    """Whether a source holds nothing but white space and a byte order mark."""
    blanks = _BLANKS
    with source.open() as file:
        head = file.read(_LOOK_BYTES)
        if head.startswith(_WIDE_MARKS):
            blanks += b"\0\xff\xfe"
        head = head.removeprefix(_UTF8_MARK)
        while head:
            if head.strip(blanks):
                return False
            head = file.read(_LOOK_BYTES)
    return True


def _no_texts(folder: str, endings: tuple[str, ...], unread: Sequence[Unread]) -> EmptyCorpusError:
    """The error that a folder holds no file with one of the endings."""
    wanted = " or ".join(endings) if "" not in endings else ""
    what = f"no file that ends in {wanted}" if wanted else "no file"
    message = f"the folder {folder} holds no text: {what} was found in it or below"
    if not unread:
        return EmptyCorpusError(f"{message}; name a folder of texts, or the files themselves")
    message += f"; there are others: {count_endings(unread)}"
    texts = text_files(unread)
    if not texts:
        return EmptyCorpusError(f"{message}; they do not look like texts")
    which = f"those in {texts[0].ending}" if texts[0].ending else "every file"
    return EmptyCorpusError(f"{message}. To read {which} add {ask_for([texts[0].ending])}")


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
            f"{name} is called .gz but is not a gzip file: it {found}, expected 1f 8b; "
            "rename it to .txt when it is plain text"
        )
    return source


def _blocks(stream: BinaryIO) -> Iterable[bytes]:
    return iter(lambda: stream.read(1 << 20), b"")


def _spool(blocks: Iterable[bytes], name: str) -> Source:
    """Copy bytes to a temporary file, which is deleted with the source."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix="textgen-", suffix=".spool")
    except OSError as error:
        raise StorageError(
            f"{name} cannot be copied to a temporary file: {error.strerror}; free some space "
            "or point TMPDIR to a folder that can be written"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as copy:
            copy.writelines(blocks)
            size = copy.tell()
    except BaseException as error:
        remove_quietly(Path(temporary))
        if isinstance(error, OSError):
            raise StorageError(
                f"{name} cannot be copied to a temporary file in {os.path.dirname(temporary)}: "
                f"{error.strerror or error}; free some space or point TMPDIR elsewhere"
            ) from error
        raise
    source = Source(name, None, size, storage=Path(temporary))
    weakref.finalize(source, remove_quietly, Path(temporary))
    return source


def _unreadable(name: str, error: OSError | ValueError) -> StorageError:
    if isinstance(error, FileNotFoundError):
        return StorageError(
            f"{name} does not exist; check the path (texts are taken relative to {os.getcwd()})"
        )
    if isinstance(error, PermissionError) and sys.platform != "win32":
        return StorageError(f"{name} may not be read: permission denied; try `chmod +r {name}`")
    reason = os_reason(error) if isinstance(error, OSError) else error
    return StorageError(f"{name} cannot be read: {reason}")
