"""Zip archives that hold a book or a document: read in bounded memory, whatever they say or are."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import BinaryIO, Self

from textgen.errors import CorpusError, TextgenError
from textgen.terminal.humanize import size

#: Bytes that the parts of an archive that are read may unpack to, all together, and a small one.
MOST_UNPACKED, MOST_SMALL = 256 << 20, 8 << 20
#: Parts in an archive.
_MOST_PARTS = 50_000
_BLOCK = 1 << 16


class Archive:
    """A zip archive.

    Args:
        name: Of the file, in messages.
        stream: Its bytes; they can be sought in.
        what: What it is to be: `an EPUB book`.
    Raises:
        CorpusError: It is none, or is damaged.
    """

    def __init__(self, name: str, stream: BinaryIO, what: str) -> None:
        self.name, self.what = name, what
        self._unpacked = 0
        with self._readable():
            self._zip = zipfile.ZipFile(stream)
        self.parts = frozenset(self._zip.namelist())
        if len(self.parts) > _MOST_PARTS:
            raise CorpusError(
                f"{name} has {len(self.parts):,} parts, more than {what} has; leave it out"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._zip.close()

    def small(self, part: str) -> bytes:
        """All bytes of a part that describes others.

        Raises:
            CorpusError: It is missing, damaged or large.
        """
        return b"".join(self.blocks(part, MOST_SMALL))

    def blocks(self, part: str, most: int = MOST_UNPACKED) -> Iterator[bytes]:
        """The bytes of a part, block by block.

        Raises:
            CorpusError: It is missing, damaged or encrypted, or unpacks to too much.
        """
        if part not in self.parts:
            raise self.damaged(f"it has no part {part}")
        read = 0
        with self._readable(), self._zip.open(part) as stream:
            while block := stream.read(_BLOCK):
                read += len(block)
                self._unpacked += len(block)
                if read > most or self._unpacked > MOST_UNPACKED:
                    raise CorpusError(
                        f"{self.name} unpacks to more than {size(min(most, MOST_UNPACKED))}, "
                        f"which no text in {self.what} does; leave it out"
                    )
                yield block

    def damaged(self, reason: str) -> CorpusError:
        """The error that something in it is not as it should be."""
        reason = " ".join(reason.split())[:200]  # Names in it may be anything.
        return CorpusError(
            f"{self.name} is damaged, or is not {self.what}: {reason}; get another copy of it"
        )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except TextgenError:  # These are errors of values and of files, too.
            raise
        except zipfile.BadZipFile as error:
            raise self.damaged(str(error)[:80]) from None
        except (zlib.error, lzma.LZMAError, struct.error, EOFError, OSError) as error:
            raise self.damaged(f"its data are cut short or wrong ({error})"[:120]) from None
        except (RuntimeError, NotImplementedError) as error:
            raise CorpusError(
                f"{self.name} cannot be unpacked ({str(error)[:80]}); open it in a program that "
                "can, and save it as plain text"
            ) from None
        except (ValueError, OverflowError, LookupError) as error:
            raise self.damaged(str(error)[:80]) from None


def parse_xml(archive: Archive, part: str) -> object:
    """The tree of a small part: nothing is fetched for it.

    Raises:
        CorpusError: It is no XML, or declares entities, which the parser expands in attributes.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        tree = etree.fromstring(archive.small(part), parser)
    except etree.LxmlError as error:
        raise archive.damaged(f"{part}: {str(error)[:80]}") from None
    declared = tree.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise archive.damaged(f"{part} declares entities, which none does")
    return tree
