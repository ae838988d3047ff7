"""The file that a model or a run is kept in: one safetensors file, read with NumPy alone.

    8 bytes    length N of the description, little-endian
    N bytes    the description, JSON: name, type, shape and place of every tensor, and metadata
    the rest   the tensors

The metadata hold one string of ours, `textgen`: a SHA-256, a space, and the JSON that it is the sum
of (kind, format version, the caller's header, a SHA-256 of the tensors). Reading runs no code that
is in the file and takes no memory that the file's own size does not warrant: the description is
limited in size, the library compares every type, shape and place in it with the file before an
array is made, and the two sums find any damage to what is read. Equal content gives equal bytes.
Source: safetensors format, https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from textgen.errors import (
    CheckpointCorruptError,
    CheckpointFormatError,
    ConfigError,
    StorageError,
    named,
)
from textgen.files import atomic_write_bytes, os_reason
from textgen.messages import call
from textgen.version import UPGRADE

#: The newest version that is read; raised by one whenever an older textgen could no longer read
#: what this one writes. A file says the oldest one that can read it: 1, or 2 for a model of labels.
FORMAT_VERSION = LABELLED = 2

#: NumPy's name of every type a tensor may have, by its name in the file.
_TYPES = {
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BOOL": "bool",
}
#: The description may take this many bytes, and hold about this many JSON values: parsing one
#: costs a hundred bytes of memory or more, however few bytes it took in the file.
MAX_BYTES = 64 * 2**20
MAX_VALUES = 2 * 2**20

#: Ends of messages: what to do without a checkpoint, and with a damaged one.
_HOW_MADE = f"a model is made with {call('train', 'corpus.txt')}"
_INSTEAD = "restore it from a copy, or choose another checkpoint"

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
_METADATA = "__metadata__"
_KINDS = {
    "model": "a model of text",
    "resume": "the state of a training run",
    "numbers": "a model of a series of numbers",
    "dictionary": "a dictionary of latents, which belongs to a model",
}


class TensorEntry(NamedTuple):
    """One tensor as the description announces it."""

    #: NumPy's name of its type, such as `float32`.
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All that a file tells before its tensors are read.

    Args:
        path: The file.
        kind: What it holds, one of `_KINDS`.
        header: What the writer handed in.
        tensors: Its tensors by name, in the order they stand in the file.
        sha256: Sum over the tensors' names, types, shapes and bytes.
    """

    path: Path
    kind: str
    header: dict[str, Any]
    tensors: dict[str, TensorEntry]
    sha256: str


def write_file(
    path: Path,
    *,
    kind: str,
    header: Mapping[str, Any],
    tensors: Mapping[str, NDArray[Any]],
    version: int = 1,
) -> None:
    """Write a checkpoint atomically: an older one stays until this one is whole and on the disk.

    The file's bytes are put together in memory first, beside the tensors.

    Args:
        path: The file.
        kind: `model`, `resume`, `numbers` or `dictionary`.
        header: Plain JSON data; keeps its order. Tuples come back as lists. Numbers that are not
            finite are kept, and so is any string, lone surrogates included.
        tensors: Arrays of booleans, integers of 8 to 64 bits or floats of 16 to 64; any shape,
            any memory layout.
        version: The oldest version of the format whose readers understand it.
    Raises:
        ConfigError: The header is larger than a reader accepts (a vocabulary of millions).
        StorageError: It could not be written; what was there before is untouched.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(_KINDS)}")
    # Not ascontiguousarray, which turns a number without dimensions into an array of one.
    arrays = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    for name, array in arrays.items():
        if array.dtype.name not in _TYPES.values() or name == _METADATA:
            raise ValueError(
                f"tensor '{name}' of type {array.dtype} cannot be stored; types: "
                f"{', '.join(_TYPES.values())}, names: all but '{_METADATA}'"
            )
    body = json.dumps(
        {
            "kind": kind,
            "format_version": version,
            "sha256": _sum_of(arrays),
            "header": dict(header),
        },
        separators=(",", ":"),
    )
    # One key: the library writes several in an order that changes from call to call.
    metadata = {"textgen": f"{_sum_of_text(body)} {body}"}
    try:
        data = safetensors.numpy.save(arrays, metadata)
        fits = _is_within_limits(data)
    except SafetensorError:  # the library's own limit, which is wider
        fits = False
    if not fits:
        raise ConfigError(
            f"the header of this checkpoint takes {len(body):,} bytes, too much for a file (at "
            f"most {MAX_BYTES:,} bytes, {MAX_VALUES:,} values, quoting "
            f"included): use a smaller vocabulary ({named('max_words')}, "
            f"{named('min_word_count')}, {named('min_count')})"
        )
    atomic_write_bytes(path, data)


def read_layout(path: Path, *, kind: str | None) -> Layout:
    """Return the description of a file; the tensors are not read.

    Args:
        path: The file.
        kind: What it must be, as in `write_file`; None takes any of them.
    Raises:
        CheckpointFormatError: It is no checkpoint, one of another kind, or a newer version's.
        CheckpointCorruptError: It is truncated or damaged.
        StorageError: It is missing or cannot be read.
    """
    with _opened(Path(path), kind) as (_, layout):
        return layout


def read_file(
    path: Path, *, kind: str, check: Callable[[Layout], None] | None = None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read the header and the tensors of a checkpoint, and verify the tensors' sum.

    Args:
        path: The file.
        kind: What it must be, as in `write_file`.
        check: Called with the layout before memory is taken; raises `CheckpointError` where the
            file is unfit.
    Returns:
        The header as it was handed to `write_file`, and the arrays by name in the file's order;
        they own their memory, can be written to and are in the machine's byte order.
    Raises:
        As `read_layout`.
    """
    path = Path(path)
    with _opened(path, kind) as (file, layout):
        if check is not None:
            with naming(path):
                check(layout)
        arrays: dict[str, NDArray[Any]] = {}
        for name in layout.tensors:
            try:
                arrays[name] = file.get_tensor(name)
            except ValueError as error:  # without elements, but wider than NumPy can count
                raise _damaged(path, f"tensor {name!r:.80} cannot be ({error!s:.200})") from error
            except MemoryError as error:
                raise CheckpointFormatError(f"{path} does not fit into memory") from error
    if _sum_of(arrays) != layout.sha256:
        raise _damaged(path, "the tensors do not match their checksum")
    for name, array in arrays.items():
        if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
            raise _damaged(path, f"tensor {name!r:.80} holds truth values beyond 0 and 1")
    return layout.header, arrays


@contextmanager
def naming(path: Path, instead: str = _INSTEAD) -> Iterator[None]:
    """Within the block a complaint about what a file holds becomes one that names the file.

    Args:
        path: The file.
        instead: What to do about a damaged one.
    """
    try:
        yield
    except CheckpointFormatError as error:
        raise CheckpointFormatError(f"{path} {error.marked}") from error
    except CheckpointCorruptError as error:
        raise CheckpointCorruptError(f"{path} is damaged: {error.marked}; {instead}") from error


def require_tensors(
    found: Mapping[str, TensorEntry], expected: Mapping[str, tuple[int, ...]], *types: str
) -> None:
    """Compare the tensors of a file with those that it must have.

    Args:
        found: Those that the file announces.
        expected: Shapes by name.
        types: NumPy's names of the types that are allowed.
    Raises:
        CheckpointCorruptError: One is missing, of another type or shape, or belongs to nothing.
    """
    for name, shape in expected.items():
        if name not in found:
            raise CheckpointCorruptError(f"tensor '{name}' is missing")
        own = found[name]
        if own.dtype not in types or own.shape != shape:
            raise CheckpointCorruptError(
                f"tensor '{name}' is {own.dtype} of shape {own.shape}, not {' or '.join(types)} of "
                f"{shape}"
            )
    if extra := found.keys() - expected.keys():
        raise CheckpointCorruptError(f"tensor {min(extra)!r:.80} belongs to nothing that it holds")


def require_finite(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Raise `CheckpointCorruptError` where a number is infinite, or none at all."""
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise CheckpointCorruptError(f"tensor '{name}' holds numbers that are not finite")


@contextmanager
def _opened(path: Path, kind: str | None) -> Iterator[tuple[Any, Layout]]:
    """The open file and its checked layout; failures to read it told as errors of ours."""
    try:
        _check_description(path)
        # "pread" reads into memory of our own: a map of a file that shrinks ends the process.
        with safe_open(path, framework="numpy", backend="pread") as file:
            metadata = file.metadata() or {}
            body = _read_body(path, metadata.get("textgen"), kind)
            tensors = {
                name: _entry(path, name, file.get_slice(name)) for name in file.offset_keys()
            }
            yield (
                file,
                Layout(
                    path=path,
                    kind=body["kind"],
                    header=body["header"],
                    tensors=tensors,
                    sha256=body["sha256"],
                ),
            )
    except StorageError:
        raise
    except SafetensorError as error:
        # Its text may quote the file: `repr` keeps control characters off the terminal.
        raise CheckpointCorruptError(
            f"{path} is damaged or truncated: safetensors says {str(error)[:300]!r}; {_INSTEAD}"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {os_reason(error)}") from error


def _check_description(path: Path) -> None:
    """Refuse a path that is not a file, a foreign file, or a description beyond the limits."""
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
            f"{path} is not a regular file (a pipe or a device); {_HOW_MADE}"
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
                f"{_INSTEAD}"
            )


def _is_within_limits(data: bytes) -> bool:
    """Whether the description of a file of these bytes may be read."""
    length = int.from_bytes(data[:8], "little")
    return length <= MAX_BYTES and _count_values(data[8 : 8 + length]) <= MAX_VALUES


def _count_values(text: bytes) -> int:
    """How many values a JSON text holds, or more: each but the first follows one of these."""
    return sum(text.count(mark) for mark in (b",", b":", b"[", b"{"))


def _refuse(path: Path, start: bytes) -> NoReturn:
    """Say what is wrong with a file that does not begin like a checkpoint."""
    if not start:
        raise CheckpointFormatError(f"{path} is empty; {_HOW_MADE}")
    if start[9:].startswith(_OURS[1:]):
        raise CheckpointCorruptError(f"{path} is damaged in its first bytes; {_INSTEAD}")
    if not start.strip(b"\0"):
        # What some file systems make of a file that was not on the disk when power failed.
        raise CheckpointCorruptError(f"{path} begins with zeros only; {_INSTEAD}")
    name = next((name for magic, name in _FOREIGN if start.startswith(magic)), None)
    if name is None:
        name = "a text" if _is_text(start) else "binary data of no known kind"
    raise CheckpointFormatError(f"{path} is not a checkpoint: it looks like {name}; {_HOW_MADE}")


def _is_text(start: bytes) -> bool:
    try:
        # Incremental, as the last character may have been cut in two.
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False


def _read_body(path: Path, text: str | None, kind: str | None) -> dict[str, Any]:
    """The JSON that textgen itself put into the metadata."""
    if text is None:
        raise CheckpointFormatError(
            f"{path} is a safetensors file, but not one of textgen's; {_HOW_MADE}"
        )
    checksum, _, text = text.partition(" ")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:  # also a whole number of thousands of digits
        raise _damaged(path, f"its header is not JSON ({error})") from error
    if not isinstance(body, dict):
        raise _damaged(path, "its header is not a JSON object")
    # Before anything else: a newer version may have changed all that follows.
    version = body.get("format_version")
    if type(version) is not int or not 0 < version < 10**6:
        raise _damaged(path, "its header tells no format version")
    if version > FORMAT_VERSION:
        raise CheckpointFormatError(
            f"{path} was written by a newer textgen (format {version}, this one reads up to "
            f"{FORMAT_VERSION}): {UPGRADE}"
        )
    if checksum != _sum_of_text(text):
        raise _damaged(path, "the header does not match its checksum")
    found, header, tensor_sum = (body.get(key) for key in ("kind", "header", "sha256"))
    # `tuple`, as what cannot be hashed is no key to look for.
    if not (found in tuple(_KINDS) and isinstance(header, dict) and isinstance(tensor_sum, str)):
        raise _damaged(path, "its header lacks a part")
    if kind is not None and found != kind:
        if found == "numbers":
            hint = f"the next numbers are computed with {call('load_numbers', str(path))}"
        elif found == "dictionary":
            hint = "name the model that it lies beside"
        elif kind == "dictionary":
            hint = f"one is learned with {call('inspect features', 'corpus.txt')}"
        elif kind == "numbers":
            hint = f"one is made with {call('train_numbers', 'numbers.csv')}"
        else:
            hint = f"the run is continued with {call('train', str(path.parent), resume=True)}"
        if found == "resume":
            hint += f", its model is the file {path.with_name('model.safetensors')}"
        raise CheckpointFormatError(
            f"{path} holds {_KINDS[found]}, but {_KINDS[kind]} is needed; {hint}"
        )
    return body


def _entry(path: Path, name: str, view: Any) -> TensorEntry:
    """One tensor's type and shape, which the library has compared with the file's size."""
    if view.get_dtype() not in _TYPES:
        raise _damaged(path, f"tensor {name!r:.80} has the type {view.get_dtype()}")
    return TensorEntry(_TYPES[view.get_dtype()], tuple(view.get_shape()))


def _sum_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, types, shapes and little-endian bytes of contiguous arrays."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        ordered = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(ordered.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _sum_of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _damaged(path: Path, what: str) -> CheckpointCorruptError:
    return CheckpointCorruptError(f"{path} is damaged: {what}; {_INSTEAD}")
