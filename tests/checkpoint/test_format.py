"""What is written comes back bit for bit, any safetensors reader opens it, nothing is added."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from textgen.checkpoint import format as checkpoint_format
from textgen.checkpoint import read_file, read_layout, write_file
from textgen.checkpoint.format import Layout
from textgen.errors import (
    CheckpointCorruptError,
    CheckpointFormatError,
    ConfigError,
    StorageError,
)

DTYPES = ["u8", "i8", "f8", "f4", "u4", "i4", "f2", "u2", "i2", "i1", "u1", "?"]
SHAPES: list[tuple[int, ...]] = [(), (0,), (3, 0, 2), (1,), (5,), (2, 3), (2, 1, 2, 3)]

#: Characters of every plane of Unicode, controls, and lone surrogates, as file names may hold.
EVERY_PLANE = "".join(chr(plane * 0x10000 + 0x41) for plane in range(17))
HEADER = {
    "text": f'{EVERY_PLANE}\0\x1f\x7f\u2028"\\ё\udcff\ud83d',
    EVERY_PLANE: ["", None, True, -(2**70), 0.1, 5e-324, 1.7976931348623157e308, {"z": 1, "a": 2}],
}


def every_tensor() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    tensors = {}
    for code in DTYPES:
        dtype = np.dtype(code)
        for shape in SHAPES:
            count = int(np.prod(shape))
            data = rng.integers(0, 2 if code == "?" else 256, count * dtype.itemsize, np.uint8)
            tensors[f"{dtype.name}.{'x'.join(map(str, shape))}"] = np.frombuffer(
                data.tobytes(), dtype
            ).reshape(shape)
    tensors[EVERY_PLANE] = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    return tensors


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal bit for bit: NaNs and the sign of zero count."""
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("="), name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes(), name


def test_every_type_and_shape_comes_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "resume.safetensors"
    tensors = every_tensor()
    write_file(path, kind="resume", header=HEADER, tensors=tensors)
    header, found = read_file(path, kind="resume")
    assert header == HEADER and list(header) == list(HEADER)
    assert list(header[EVERY_PLANE][-1]) == ["z", "a"], "the header keeps its order"
    assert_same(found, tensors)
    for array in found.values():
        assert array.flags.writeable and array.flags.c_contiguous
    assert read_layout(path, kind="resume").header == HEADER


def test_any_memory_layout_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    frozen = base.copy()
    frozen.flags.writeable = False
    tensors = {
        "transposed": base.T,
        "strided": base[::2, ::-3],
        "broadcast": np.broadcast_to(np.float32(3), (2, 3)),
        "fortran": np.asfortranarray(base),
        "big_endian": base.astype(">f4"),
        "number": np.float64(0.1),
        "frozen": frozen,
    }
    write_file(path, kind="model", header={}, tensors=tensors)
    assert_same(read_file(path, kind="model")[1], {k: np.asarray(v) for k, v in tensors.items()})


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_header_and_tensors_come_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = st.text(st.characters(exclude_categories=()), max_size=20)
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
    trees = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(text, inner))
    arrays = hnp.arrays(
        st.sampled_from([np.dtype(code) for code in DTYPES]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
    names = st.text(max_size=20).filter(lambda name: name != "__metadata__")
    header = data.draw(st.dictionaries(text, trees, max_size=4))
    tensors = data.draw(st.dictionaries(names, arrays, max_size=4))
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    write_file(path, kind="resume", header=header, tensors=tensors)
    found_header, found = read_file(path, kind="resume")
    assert found_header == header
    assert_same(found, tensors)
    with safetensors.safe_open(path, "np") as other:
        assert set(other.keys()) == set(tensors)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    tensors = every_tensor()
    write_file(tmp_path / "a", kind="model", header=HEADER, tensors=tensors)
    backwards = dict(reversed(tensors.items()))
    write_file(tmp_path / "b", kind="model", header=HEADER, tensors=backwards)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_known_file(tmp_path: Path) -> None:
    """The format itself: a change of these bytes needs a new FORMAT_VERSION."""
    path = tmp_path / "file"
    tensors = {"w": np.array([[1.5, -2.0]], np.float32), "ids": np.array([7], np.uint8)}
    write_file(path, kind="model", header={"a": "ё"}, tensors=tensors)
    tensor_sum = hashlib.sha256(
        b'["ids", "uint8", [1]]\7["w", "float32", [1, 2]]' + bytes.fromhex("0000c03f 000000c0")
    ).hexdigest()
    body = (
        f'{{"kind":"model","format_version":1,"sha256":"{tensor_sum}","header":{{"a":"\\u0451"}}}}'
    )
    description = json.dumps(
        {
            "__metadata__": {"textgen": f"{hashlib.sha256(body.encode()).hexdigest()} {body}"},
            "w": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
            "ids": {"dtype": "U8", "shape": [1], "data_offsets": [8, 9]},
        },
        separators=(",", ":"),
    ).encode()
    description += b" " * (-len(description) % 8)
    assert path.read_bytes() == (
        len(description).to_bytes(8, "little")
        + description
        + bytes.fromhex("0000c03f 000000c0")
        + b"\7"
    )


def test_any_safetensors_reader_opens_it(tmp_path: Path) -> None:
    tensors = every_tensor()
    write_file(tmp_path / "file", kind="model", header=HEADER, tensors=tensors)
    assert_same(safetensors.numpy.load_file(tmp_path / "file"), tensors)


def test_another_writer_of_the_same_content_is_read(tmp_path: Path) -> None:
    """The reader does not depend on the writer's choices: order, spaces, escapes."""
    path = tmp_path / "file"
    tensors = every_tensor()
    write_file(path, kind="model", header=HEADER, tensors=tensors)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    entries = list(json.loads(data[8:start]).items())
    text = json.dumps(dict(reversed(entries)), indent=3).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
    header, found = read_file(path, kind="model")
    assert header == HEADER
    assert_same(found, tensors)


def test_the_arrays_are_no_views_of_the_file(tmp_path: Path) -> None:
    """A run replaces the file it was read from, and goes on with the arrays in place."""
    path = tmp_path / "file"
    tensors = {"a": np.arange(9.0), "number": np.array(2.0), "none": np.zeros((0, 3))}
    write_file(path, kind="resume", header={}, tensors=tensors)
    written = path.read_bytes()
    _, found = read_file(path, kind="resume")
    path.write_bytes(b"x" * len(written))
    assert_same(found, tensors)
    path.write_bytes(written)
    for array in found.values():
        array += 1
    assert path.read_bytes() == written


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "file", kind="model", header={}, tensors={})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_memory_of_writing_and_reading(tmp_path: Path) -> None:
    """Writing makes one copy of the tensors, reading takes what they take, looking nothing."""
    path = tmp_path / "file"
    tensors = {"a": np.ones((1024, 4096), np.float32), "b": np.ones((512, 1024), np.float64)}
    size = sum(array.nbytes for array in tensors.values())
    tracemalloc.start()
    try:
        write_file(path, kind="model", header={}, tensors=tensors)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        read_file(path, kind="model")
        read = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        read_layout(path, kind="model")
        looked_at = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A few buffers and the modules' own odds and ends on top.
    assert written < size + 2**20 and read < size + 2**20 and looked_at < 2**20


def test_layout(tmp_path: Path) -> None:
    path = tmp_path / "file"
    tensors = {"a": np.zeros(3, np.uint8), "b": np.zeros((2, 2), np.float32), "c": np.zeros((0, 9))}
    write_file(path, kind="resume", header={"step": 3}, tensors=tensors)
    layout = read_layout(path, kind="resume")
    assert layout.path == path and layout.header == {"step": 3}
    assert list(layout.tensors.items()) == [
        ("c", ("float64", (0, 9))),
        ("b", ("float32", (2, 2))),
        ("a", ("uint8", (3,))),
    ]
    assert layout.tensors["b"].dtype == "float32" and layout.tensors["b"].shape == (2, 2)


def test_check_is_asked_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, kind="model", header={"a": 1}, tensors={"w": np.zeros(2**20)})

    def check(layout: Layout) -> None:
        assert layout.header == {"a": 1} and list(layout.tensors) == ["w"]
        raise CheckpointFormatError("unfit")

    tracemalloc.start()
    try:
        with pytest.raises(CheckpointFormatError, match=r"/file unfit$"):
            read_file(path, kind="model", check=check)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_the_other_kind_is_refused_with_what_to_type(tmp_path: Path) -> None:
    path = tmp_path / "resume.safetensors"
    write_file(path, kind="resume", header={}, tensors={})
    with pytest.raises(CheckpointFormatError) as caught:
        read_file(path, kind="model")
    assert "holds the state of a training run, but a model of text is needed" in str(caught.value)
    assert f"textgen.train('{tmp_path}', resume=True)" in str(caught.value)
    assert str(tmp_path / "model.safetensors") in str(caught.value)
    write_file(path, kind="model", header={}, tensors={})
    with pytest.raises(CheckpointFormatError, match=r"textgen.train\(.*, resume=True\)"):
        read_layout(path, kind="resume")


def test_a_newer_version_is_told_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_format, "_sum_of_text", lambda text: "summed-otherwise")
        write_file(path, kind="model", header={}, tensors={}, version=3)
    with pytest.raises(CheckpointFormatError) as caught:
        read_file(path, kind="resume")
    assert str(caught.value) == (
        f"{path} was written by a newer textgen (format 3, this one reads up to 2): "
        "install a newer textgen, in the same way as this one (in a clone: git pull)"
    )


@pytest.mark.parametrize("version", [1, 2])
def test_each_version_so_far_is_read(tmp_path: Path, version: int) -> None:
    path = tmp_path / "file"
    write_file(path, kind="model", header={"a": 1}, tensors={}, version=version)
    assert read_file(path, kind="model")[0] == {"a": 1}


def test_what_no_reader_would_take_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_format, "MAX_BYTES", 1000)
        with pytest.raises(ConfigError, match="max_words"):
            write_file(path, kind="model", header={"a": "x" * 1000}, tensors={})
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_format, "MAX_VALUES", 1000)
        with pytest.raises(ConfigError, match="1,000 values"):
            write_file(path, kind="model", header={"a": [0] * 1000}, tensors={})
    with pytest.raises(ConfigError, match="smaller vocabulary"):  # refused by the library itself
        write_file(path, kind="model", header={"a": '"' * 26_000_000}, tensors={})
    for tensors in (
        {"__metadata__": np.zeros(1)},
        {"a": np.zeros(1, np.complex64)},
        {"a": np.array([None])},
        {"a": np.array(["text"])},
    ):
        with pytest.raises(ValueError, match="cannot be stored"):
            write_file(path, kind="model", header={}, tensors=tensors)
    with pytest.raises(ValueError, match="kind is 'other'"):
        write_file(path, kind="other", header={}, tensors={})
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_the_limits_of_a_description_stay() -> None:
    """A file that one version writes, another reads."""
    assert checkpoint_format.MAX_BYTES == 64 * 2**20
    assert checkpoint_format.MAX_VALUES == 2 * 2**20
    assert checkpoint_format.FORMAT_VERSION == 2


def test_a_description_at_its_limits_is_written_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte, or one value, more is neither. What the tensors hold does not count."""
    path = tmp_path / "file"
    marks = np.frombuffer(b",:[{", np.uint8)

    def write() -> None:
        write_file(path, kind="model", header={"a": [1, {"b": 2}]}, tensors={"w": marks})

    write()
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    values = sum(data[8 : 8 + length].count(mark) for mark in (b",", b":", b"[", b"{"))
    for limit, exact, said in (
        ("MAX_BYTES", length, "is damaged in its first bytes"),
        ("MAX_VALUES", values, f"holds more than {values - 1:,} values"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint_format, limit, exact)
            write()
            assert read_layout(path, kind="model").header == {"a": [1, {"b": 2}]}
            patch.setattr(checkpoint_format, limit, exact - 1)
            with pytest.raises(ConfigError, match="too much for a file"):
                write()
            with pytest.raises((CheckpointFormatError, CheckpointCorruptError), match=said):
                read_layout(path, kind="model")


def described(path: Path, text: str, data: bytes = b"") -> Path:
    """A safetensors file with that description, and nothing of textgen's in it but what it says."""
    encoded = text.encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)
    return path


def with_body(path: Path, body: Any) -> Path:
    """A file whose header is this, with the right sum."""
    text = body if isinstance(body, str) else json.dumps(body)
    said = f"{hashlib.sha256(text.encode()).hexdigest()} {text}"
    return described(path, json.dumps({"__metadata__": {"textgen": said}}))


@pytest.mark.parametrize("version", [0, -1, 10**6, True, 1.0, "1", None])
def test_what_is_no_version_is_told(tmp_path: Path, version: Any) -> None:
    path = with_body(tmp_path / "file", {"format_version": version})
    with pytest.raises(CheckpointCorruptError, match="its header tells no format version"):
        read_layout(path, kind=None)


@pytest.mark.parametrize("version", [3, 10**6 - 1])
def test_any_later_version_is_told(tmp_path: Path, version: int) -> None:
    path = with_body(tmp_path / "file", {"format_version": version})
    with pytest.raises(CheckpointFormatError, match=f"format {version}, this one reads up to 2"):
        read_layout(path, kind=None)


GOOD = {"format_version": 1, "kind": "model", "header": {}, "sha256": "a sum"}


@pytest.mark.parametrize(
    "change",
    [{"kind": "other"}, {"kind": ["model"]}, {"header": []}, {"sha256": 1}, {"kind": None}],
)
def test_a_header_that_lacks_a_part_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    assert read_layout(with_body(tmp_path / "file", GOOD), kind=None).kind == "model"
    path = with_body(tmp_path / "file", {**GOOD, **change})
    with pytest.raises(CheckpointCorruptError, match="its header lacks a part"):
        read_layout(path, kind=None)


def test_what_stands_in_place_of_a_header_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for body, said in (("{", "its header is not JSON"), ([1], "its header is not a JSON object")):
        with pytest.raises(CheckpointCorruptError, match=said):
            read_layout(with_body(path, body), kind=None)
    for description in ("{}", '{"__metadata__": {"other": "x"}}'):
        with pytest.raises(CheckpointFormatError, match="but not one of textgen's"):
            read_layout(described(path, description), kind=None)


def test_any_kind_is_taken_where_none_is_asked_for(tmp_path: Path) -> None:
    for kind in ("model", "resume", "numbers"):
        write_file(tmp_path / "file", kind=kind, header={}, tensors={})
        assert read_layout(tmp_path / "file", kind=None).kind == kind


def test_numbers_are_no_text_and_text_is_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_file(path, kind="numbers", header={}, tensors={})
    with pytest.raises(CheckpointFormatError) as caught:
        read_layout(path, kind="model")
    assert "holds a model of a series of numbers, but a model of text is needed" in str(
        caught.value
    )
    assert str(caught.value).endswith(f"computed with textgen.load_numbers('{path}')")
    write_file(path, kind="model", header={}, tensors={})
    with pytest.raises(CheckpointFormatError) as caught:
        read_layout(path, kind="numbers")
    assert str(caught.value).endswith("one is made with textgen.train_numbers('numbers.csv')")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", r"file is empty; a model is made with"),
        (b"\0" * 9, "begins with zeros only"),
        (b"Once upon a time", "it looks like a text"),
        ("а".encode() * 2047 + b"x\xd0", "it looks like a text"),  # cut within a character
        (b"text\0", "binary data of no known kind"),
        (b"\xff\xfe text", "binary data of no known kind"),
        (b"\x93NUMPY", "it looks like a NumPy array"),
        (b"\x80\x01", r"a Python pickle \(never loaded\)"),
        (b"\x80\x05", r"a Python pickle \(never loaded\)"),
        (b"\x80\x06", "binary data of no known kind"),
        # A length of one byte is none of a description, which has two braces.
        ((1).to_bytes(8, "little") + b"{", "binary data of no known kind"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises((CheckpointFormatError, CheckpointCorruptError), match=said):
        read_layout(path, kind="model")


def test_a_tensor_of_a_type_that_is_not_ours_is_told(tmp_path: Path) -> None:
    text = json.dumps(GOOD)
    said = f"{hashlib.sha256(text.encode()).hexdigest()} {text}"
    description = {
        "__metadata__": {"textgen": said},
        "w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]},
    }
    path = described(tmp_path / "file", json.dumps(description), b"\0\0")
    with pytest.raises(CheckpointCorruptError, match="tensor 'w' has the type BF16"):
        read_layout(path, kind="model")


def test_truth_values_are_0_and_1_and_may_be_none_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    tensors = {"none": np.zeros(0, np.bool_), "some": np.array([True, False])}
    write_file(path, kind="model", header={}, tensors=tensors)
    assert_same(read_file(path, kind="model")[1], tensors)


def test_a_large_vocabulary_fits(tmp_path: Path) -> None:
    """Half a million words of ten letters, far above the default of 30,000, and read in time."""
    header = {"symbols": [f" слово{number:05}" for number in range(500_000)]}
    write_file(tmp_path / "file", kind="model", header=header, tensors={})
    assert read_layout(tmp_path / "file", kind="model").header == header


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*missing: there is no such file"):
        read_file(tmp_path / "missing", kind="model")
    with pytest.raises(StorageError, match="there can be no such file"):
        read_file(Path("a\0b"), kind="model")
    path = tmp_path / "file"
    write_file(path, kind="model", header={}, tensors={"w": np.zeros(9)})

    def fail(*args: Any, **options: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checkpoint_format, "safe_open", fail)
    with pytest.raises(StorageError, match=r"cannot read .*file: the disk reports"):
        read_file(path, kind="model")


class NoMemory:
    """An open file for whose tensors there is no memory."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._file = safetensors.safe_open(*args, **options)

    def __enter__(self) -> NoMemory:
        return self

    def __exit__(self, *args: Any) -> None:
        self._file.__exit__(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def get_tensor(self, name: str) -> None:
        raise MemoryError


def test_a_model_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_file(path, kind="model", header={}, tensors={"w": np.zeros(3)})
    monkeypatch.setattr(checkpoint_format, "safe_open", NoMemory)
    with pytest.raises(CheckpointFormatError, match="does not fit into memory"):
        read_file(path, kind="model")
