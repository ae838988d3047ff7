"""The text of a source in pieces: strict decoding and normalization in bounded memory.

The pieces are cut only where `normalization.is_boundary` allows. So they join to exactly what the
whole text would give, whatever their size. In UTF-8 and one-byte encodings the cut is made in the
bytes, before an ASCII character if one is near: the text is then neither copied nor searched.
"""

from __future__ import annotations

import codecs
import hashlib
import io
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from textgen.corpus.corpus_options import FileOptions
from textgen.corpus.damage import decoding_error, nul_error
from textgen.corpus.encoding import Detection, detect
from textgen.corpus.encoding_names import is_byte_table
from textgen.corpus.normalization import Normalization, last_boundary
from textgen.corpus.source import Source, open_sources
from textgen.corpus.vocabulary import REPLACEMENT
from textgen.errors import ConfigError
from textgen.messages import Message, marks_of
from textgen.progress import task
from textgen.terminal.humanize import plural

#: How far back, in bytes, an ASCII character is looked for before the tail is decoded.
_REACH = 256


@dataclass
class Findings:
    """What is found while a source is read.

    Args:
        advance: Is told the number of bytes of each read.
        size: Raw (decompressed) bytes, with the byte order mark; `sha256` is their hash.
        replaced: Sequences of bytes that stand for no character, each read as U+FFFD.
        first: The position of the first of them, in bytes.
        marks: Byte order marks (U+FEFF) within the text, which are left out.
        chars: Characters of the text, which the caller counts.
    """

    advance: Callable[[int], object] | None = None
    size: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)
    replaced: int = 0
    first: int | None = None
    marks: int = 0
    chars: int = 0

    def add(self, data: bytes | memoryview) -> None:
        """Count and hash bytes."""
        self.sha256.update(data)
        self.size += len(data)
        if self.advance is not None:
            self.advance(len(data))

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know, without the name of the source."""
        notes = []
        if self.replaced:
            what = plural(self.replaced, "place", "places, the first")
            notes.append(
                f"has bytes that stand for no character in {what} at byte {self.first:,}; each is "
                "read as U+FFFD, which counts as an unknown character"
            )
        if self.marks:
            marks = plural(self.marks, "byte order mark")
            notes.append(f"has {marks} (U+FEFF) inside, as joined files have; left out")
        return tuple(notes)


@dataclass(frozen=True)
class SourceText:
    """A source and the encoding it is read in."""

    source: Source
    detection: Detection

    def chunks(
        self,
        normalization: Normalization,
        *,
        findings: Findings | None = None,
        chunk_bytes: int = 1 << 20,
    ) -> Iterator[str]:
        """Yield the normalized text in pieces; every call reads the source again.

        Args:
            normalization: What is done to the text.
            findings: New ones, which are filled.
            chunk_bytes: Bytes read at a time, 1 MiB by default (pieces of several MiB decode at
                half the speed, as their memory is new every time). Memory is a few times that,
                except in a run of combining marks longer than it, which is kept whole.
        Yields:
            Non-empty pieces that join to `normalization.apply` of the whole text.
        Raises:
            EncodingError: Some bytes cannot be decoded in the encoding.
            BinaryFileError: The text holds a NUL character.
            StorageError: The source is gone, unreadable, or its compressed data are damaged.
        """
        if chunk_bytes < 1:
            raise ConfigError(f"chunk_bytes is {chunk_bytes}; it must be positive")
        stream = normalization.stream()
        findings = Findings() if findings is None else findings
        with closing(self._pieces(findings, chunk_bytes)) as pieces:
            for piece in pieces:
                text = stream.feed(piece)
                findings.marks = stream.marks
                if text:
                    yield text

    def _pieces(self, findings: Findings, chunk_bytes: int) -> Generator[str, None, None]:
        """The decoded text, cut at boundaries."""
        encoding = self.detection.encoding
        with self.source.open() as file:
            findings.add(file.read(self.detection.bom_length))
            if encoding == "utf-8" or is_byte_table(encoding):
                yield from self._byte_pieces(file, findings, chunk_bytes)
            else:
                yield from self._character_pieces(file, findings, chunk_bytes)

    def _byte_pieces(self, file: BinaryIO, findings: Findings, chunk_bytes: int) -> Iterator[str]:
        """For UTF-8 and one-byte encodings: the cut is made in the bytes."""
        base = self.detection.bom_length  # where in the source the buffer starts
        buffer = bytearray(chunk_bytes + 4 * _REACH)
        filled = 0
        while True:
            # Where nothing could be cut, the next read doubles, so that long runs without a
            # boundary are not searched again and again.
            want = max(chunk_bytes, filled)
            if len(buffer) < filled + want:
                buffer = buffer[:filled] + bytearray(want + 4 * _REACH)
            with memoryview(buffer) as view:
                count = cast(io.BufferedReader, file).readinto(view[filled : filled + want])
                findings.add(view[filled : filled + count])
            filled += count
            end = self._cut(buffer, filled) if count else filled - self.detection.dropped
            if end:
                nul = buffer.find(0, 0, end)
                if nul >= 0:
                    raise nul_error(self.source, base + nul)
                with memoryview(buffer) as view:
                    text = self._decode(view[:end], base, findings)
                yield text
            if not count:
                return
            if end:
                buffer[: filled - end] = buffer[end:filled]
                filled -= end
                base += end

    def _decode(self, data: memoryview, base: int, findings: Findings) -> str:
        """The text of bytes that start at byte `base` of the source."""
        parts = []
        start = 0
        while True:
            try:
                parts.append(str(data[start:], self.detection.encoding))
                return parts[0] if len(parts) == 1 else "".join(parts)
            except UnicodeDecodeError as error:
                wrong = start + error.start
                self._meet(base + wrong, bytes(data[wrong : wrong + 8]), findings, error)
                parts.append(str(data[start:wrong], self.detection.encoding))
                parts.append(REPLACEMENT)
                start += error.end

    def _meet(
        self, position: int, found: bytes, findings: Findings, error: UnicodeDecodeError
    ) -> None:
        """Bytes that stand for no character: an error, or one more replacement."""
        if self.detection.errors == "strict":
            raise decoding_error(self.source, self.detection, position, found) from error
        findings.replaced += 1
        if findings.first is None:
            findings.first = position

    def _cut(self, buffer: bytearray, filled: int) -> int:
        """Where to cut `buffer[:filled]`; 0 where more has to be read first."""
        for index in range(filled - 1, max(0, filled - _REACH), -1):
            byte = buffer[index]
            # A byte order mark, whose last byte is BF, is left out: a "\r" may be before it.
            if byte < 0x80 and not (byte == 0x0A and buffer[index - 1] in (0x0D, 0xBF)):
                return index
        start = max(0, filled - 4 * _REACH)
        if self.detection.encoding != "utf-8":
            tail = bytes(buffer[start:filled]).decode(self.detection.encoding, "replace")
            index = last_boundary(tail)
            return start + index if index else 0
        while start and start < filled and buffer[start] & 0xC0 == 0x80:
            start += 1
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            tail = decoder.decode(bytes(buffer[start:filled]))
        except UnicodeDecodeError:
            # The decoding that follows says where and why. Where it replaces what is wrong, no
            # character may be cut.
            if self.detection.errors == "strict":
                return filled
            index = filled - 1
            while index > start and buffer[index] & 0xC0 == 0x80:
                index -= 1
            return index
        index = last_boundary(tail)
        return start + len(tail[:index].encode()) if index else 0

    def _character_pieces(
        self, file: BinaryIO, findings: Findings, chunk_bytes: int
    ) -> Iterator[str]:
        """For every other encoding: the cut is made in the decoded text."""
        decoder = codecs.getincrementaldecoder(self.detection.encoding)()
        dropped = self.detection.dropped
        position = self.detection.bom_length
        last = b""  # the last bytes read: those to drop, should the file end here
        text = ""
        while True:
            data = file.read(chunk_bytes)
            findings.add(data)
            final = not data
            data = last + data
            last = data[len(data) - dropped :] if dropped else b""
            data = data[: len(data) - len(last)]
            new = ""
            rest = data
            while True:
                pending = decoder.getstate()[0]
                try:
                    new += decoder.decode(rest, final)
                    break
                except UnicodeDecodeError as error:
                    whole = pending + rest
                    start = position + len(data) - len(whole) + error.start
                    found = whole[error.start : error.start + 8]
                    self._meet(start, found, findings, error)
                    new += whole[: error.start].decode(self.detection.encoding) + REPLACEMENT
                    decoder.reset()
                    rest = whole[error.end :]
            if "\0" in new:
                raise nul_error(self.source, None)
            position += len(data)
            text += new
            if final:
                if text:
                    yield text
                return
            end = last_boundary(text)
            if end:
                yield text[:end]
                text = text[end:]


@task("reading the text")
def read_text(
    path: str | Path,
    normalization: Normalization | None = None,
    *,
    encoding: str | None = None,
    encoding_errors: str = "strict",
    notes: list[str] | None = None,
    encodings: list[str] | None = None,
    stdin: BinaryIO | None = None,
) -> str:
    """Return the whole text of one source, for seeds and other short texts.

    Args:
        path: A file, a `.gz` file, or `-` for standard input.
        normalization: What is done to it; None means the defaults of `Normalization`.
        encoding: Overrides the detection.
        encoding_errors: `"replace"` reads what cannot be decoded as U+FFFD.
        notes: A list to which notes about the file are added.
        encodings: A list to which the name of its encoding is added.
        stdin: What `-` reads; the process's standard input by default.
    Raises:
        ConfigError: The path names several texts, or the encoding is not known.
        CorpusError: The source is empty, no text, or no text in the encoding.
        StorageError: The source is missing or unreadable.
    """
    sources = open_sources([path], stdin=stdin)
    if len(sources) != 1:
        raise ConfigError(f"{path} holds {len(sources)} texts; name one file")
    options = FileOptions(encoding=encoding, encoding_errors=encoding_errors)
    detection = detect(sources[0], options)
    findings = Findings()
    text = SourceText(sources[0], detection)
    result = "".join(text.chunks(normalization or Normalization(), findings=findings))
    if notes is not None:
        found = (*detection.notes, *findings.notes())
        notes.extend(Message(f"{path} {marks_of(note)}") for note in found)
    if encodings is not None:
        encodings.append(detection.encoding)
    return result
