"""The description a checkpoint file begins with, or what the file is instead.

    8 bytes    length N of the description, little-endian
    N bytes    the description, JSON: name, type, shape and place of every tensor
    the rest   the tensors

Source: safetensors format, https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path
from typing import NoReturn

from textgen.errors import CheckpointCorruptError, CheckpointFormatError, StorageError
from textgen.messages import call

#: The description may take this many bytes, and hold about this many JSON values: parsing one
#: costs a hundred bytes of memory or more, however few bytes it took in the file.
MAX_BYTES = 64 * 2**20
MAX_VALUES = 2 * 2**20

#: Ends of messages: what to do without a checkpoint, and with a damaged one.
HOW_MADE = f"a model is made with {call('train', 'corpus.txt')}"
INSTEAD = "restore it from a copy, or choose another checkpoint"

_OURS = b'{"__metadata__":{"textgen":"'
#: How well-known files begin, and what to call them.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive, such as the .pt files of torch.save"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"GGUF", "a GGUF model"),
    *((bytes((0x80, protocol)), "a Python pickle (never loaded)") for protocol in range(1, 6)),
)


def check_description(path: Path) -> None:
    """Refuse a path that is not a file, a foreign file, or a description beyond the limits.

    What the description says, and whether the file is as long as it says, is left to the
    safetensors library.

    Raises:
        CheckpointFormatError: It is no checkpoint.
        CheckpointCorruptError: It is one, but damaged or beyond the limits.
        OSError: It is missing or cannot be read.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a zero byte in the name
        raise StorageError(f"cannot read {str(path)!r}: there can be no such file") from error
    if stat.S_ISDIR(mode):
        raise CheckpointFormatError(
            f"{path} is a folder, not a checkpoint file; the model of a run is the file "
            f"{path / 'model.safetensors'}"
        )
    if not stat.S_ISREG(mode):  # a pipe would wait for ever, a device has no end
        raise CheckpointFormatError(
            f"{path} is not a regular file (a pipe or a device); {HOW_MADE}"
        )
    with open(path, "rb") as file:
        start = file.read(4096)
        length = int.from_bytes(start[:8], "little")
        if start[8:9] != b"{" or not 2 <= length <= MAX_BYTES:
            _refuse(path, start)
        file.seek(8)
        if _count_values(file.read(length)) > MAX_VALUES:
            raise CheckpointCorruptError(
                f"{path} is damaged: its description holds more than {MAX_VALUES:,} values; "
                f"{INSTEAD}"
            )


def is_within_limits(data: bytes) -> bool:
    """Whether the description of a file of these bytes may be read."""
    length = int.from_bytes(data[:8], "little")
    return length <= MAX_BYTES and _count_values(data[8 : 8 + length]) <= MAX_VALUES


def _count_values(text: bytes) -> int:
    """How many values a JSON text holds, or more: each but the first follows one of these."""
    return sum(text.count(mark) for mark in (b",", b":", b"[", b"{"))


def _refuse(path: Path, start: bytes) -> NoReturn:
    """Say what is wrong with a file that does not begin like a checkpoint."""
    if not start:
        raise CheckpointFormatError(f"{path} is empty; {HOW_MADE}")
    if start[9:].startswith(_OURS[1:]):
        raise CheckpointCorruptError(f"{path} is damaged in its first bytes; {INSTEAD}")
    if not start.strip(b"\0"):
        # What some file systems make of a file that was not on the disk when power failed.
        raise CheckpointCorruptError(f"{path} begins with zeros only; {INSTEAD}")
    name = next((name for magic, name in _FOREIGN if start.startswith(magic)), None)
    if name is None:
        name = "a text" if _is_text(start) else "binary data of no known kind"
    raise CheckpointFormatError(f"{path} is not a checkpoint: it looks like {name}; {HOW_MADE}")


def _is_text(start: bytes) -> bool:
    try:
        # Incremental, as the last character may have been cut in two.
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
