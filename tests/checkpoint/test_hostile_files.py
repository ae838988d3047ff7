"""Any bytes given as a checkpoint load or give one clear error, in little memory; none run code."""

from __future__ import annotations

import ast
import copy
import hashlib
import io
import json
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import textgen
from textgen.checkpoint import SavedModel, read_file, write_file
from textgen.checkpoint.format import Layout
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointFormatError,
)
from textgen.model.config import ModelConfig

MIB = 2**20
NUMPY_NAMES = {"U8": "uint8", "F32": "float32", "BOOL": "bool"}


def small_model() -> SavedModel:
    vocabulary = Vocabulary.from_characters("abcё")
    config = ModelConfig(vocab_size=len(vocabulary), embedding_size=2, hidden_size=3)
    weights = {
        name: np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        for name, shape in config.tensor_shapes().items()
    }
    return SavedModel(
        config=config,
        vocabulary=vocabulary,
        normalization=Normalization(),
        weights=weights,
        primer=(2,),
        info={"command": "textgen train a.txt"},
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a real, small model."""
    path = tmp_path_factory.mktemp("sound") / "model.safetensors"
    small_model().save(path)
    return path.read_bytes()


def parts_of(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The tensors' descriptions, textgen's own JSON, the tensors' bytes."""
    length = int.from_bytes(data[:8], "little")
    description = json.loads(data[8 : 8 + length])
    body = json.loads(description.pop("__metadata__")["textgen"].partition(" ")[2])
    return description, body, data[8 + length :]


def file_of(description: str | bytes, tensors: bytes = b"") -> bytes:
    """A file with that text as its description."""
    if isinstance(description, str):
        description = description.encode("utf-8", "surrogatepass")
    return len(description).to_bytes(8, "little") + description + tensors


def signed(description: Any, body: Any, tensors: bytes) -> bytes:
    """A file whose checksums are right, whatever is in it: an attacker can compute them too."""
    if isinstance(body, dict) and isinstance(description, dict) and "sha256" in body:
        digest = hashlib.sha256()
        try:
            for name, value in sorted(description.items()):
                start, end = value["data_offsets"]
                head = [name, NUMPY_NAMES[value["dtype"]], tuple(value["shape"])]
                digest.update(json.dumps(head).encode())
                digest.update(tensors[start:end])
            body = {**body, "sha256": digest.hexdigest()}
        except (TypeError, KeyError, ValueError, OverflowError):
            pass  # too broken to be summed: the reader must not come as far as the sum
    text = body if isinstance(body, str) else json.dumps(body)
    checksum = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    metadata = {"textgen": f"{checksum} {text}"}
    if isinstance(description, dict):
        description = {"__metadata__": metadata, **description}
    return file_of(json.dumps(description), tensors)


def load(data: bytes, path: Path) -> SavedModel | None:
    """The model in `data`, or None where it was refused with an error of ours that names it."""
    path.unlink(missing_ok=True)  # emptying a file that exists would wait for the disk
    path.write_bytes(data)
    try:
        return SavedModel.load(path)
    except CheckpointError as error:
        assert str(error).startswith(str(path)), error
        assert len(str(error)) < len(str(path)) + 1000
        return None


def is_same(model: SavedModel, other: SavedModel) -> bool:
    return (
        model.config == other.config
        and model.vocabulary == other.vocabulary
        and model.normalization == other.normalization
        and model.primer == other.primer
        and model.info == other.info
        and model.weights.keys() == other.weights.keys()
        and all(
            model.weights[name].tobytes() == other.weights[name].tobytes() for name in model.weights
        )
    )


# --- damage by accident: found wherever it is


def test_every_changed_byte_is_found(sound: bytes, tmp_path: Path) -> None:
    """Loading the damaged file gives an error or, where only a space changed, the same model."""
    path = tmp_path / "model.safetensors"
    model = small_model()
    refused = 0
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= (0x01, 0x20, 0x80)[place % 3]
        loaded = load(bytes(damaged), path)
        assert loaded is None or is_same(loaded, model), place
        refused += loaded is None
    assert refused > 0.99 * len(sound)


def test_every_truncation_is_found(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for length in (*range(32), *range(32, len(sound), 3)):
        assert load(sound[:length], path) is None, length
    for more in (b"\0", b"x" * 1000, sound):
        assert load(sound + more, path) is None
    header_length = int.from_bytes(sound[:8], "little")
    for length in (9, header_length, header_length + 8, len(sound) - 1):
        path.write_bytes(sound[:length])
        with pytest.raises(CheckpointCorruptError, match="truncated"):
            SavedModel.load(path)


def test_a_file_truncated_while_it_is_read(tmp_path: Path) -> None:
    """Reading through a map of the file would end the process."""
    path = tmp_path / "resume.safetensors"
    write_file(path, kind="resume", header={}, tensors={"w": np.zeros(10**5)})

    def cut(layout: Layout) -> None:
        os.truncate(path, path.stat().st_size - 500_000)

    with pytest.raises(CheckpointCorruptError, match="damaged or truncated"):
        read_file(path, kind="resume", check=cut)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_random_damage(sound: bytes, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "random.safetensors"
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(damaged)))
        end = data.draw(st.integers(start, min(len(damaged), start + 40)))
        damaged[start:end] = data.draw(st.binary(max_size=40) | st.just(bytes(damaged[:60])))
    loaded = load(bytes(damaged), path)
    assert loaded is None or is_same(loaded, small_model())


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.safetensors"
    assert load(data, path) is None
    assert load(file_of(data), path) is None
    assert load(file_of(b"{" + data), path) is None


# --- damage by intent: the checksums are right


def places_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value within JSON data."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places_of(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places_of(inner, (*path, index))
    return found


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    value = copy.copy(value)
    value[place[0]] = changed(value[place[0]], place[1:], new)
    return value


NASTY: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 2**31, 2**32, 2**40, 2**63 - 1, 2**63, 2**64, 10**4000),
    *(0.5, -0.0, 1e308, float("nan"), float("inf"), "", "a", "F32", "U8", "BOOL", "lstm", "char"),
    *("\0", "\ud800", "../../etc/passwd", "__class__", "x" * 5000, [], [0], [[]], [None], [2**62]),
    *([1] * 100, [0, 0], [0, 2**63 - 1], {}, {"": {}}, {"__class__": "x"}, {"level": "byte"}),
]


def test_every_value_replaced_by_every_nasty_one(sound: bytes, tmp_path: Path) -> None:
    """All values of the description and of textgen's JSON, one at a time, the sums made right."""
    path = tmp_path / "model.safetensors"
    description, body, tensors = parts_of(sound)
    assert load(signed(description, body, tensors), path) is not None, "the signing must be right"
    files = [
        *(
            signed(changed(description, place, new), body, tensors)
            for new in NASTY
            for place in places_of(description)
        ),
        *(
            signed(description, changed(body, place, new), tensors)
            for new in NASTY
            for place in places_of(body)
        ),
    ]
    loaded = sum(load(file, path) is not None for file in files)
    # What loads has another harmless value: its information, dropout, a symbol, a primer.
    assert len(files) > 2000 and loaded < len(files) / 10


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_random_structures(
    sound: bytes, tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "structure.safetensors"
    description, body, tensors = parts_of(sound)
    leaves = st.sampled_from(NASTY) | st.integers() | st.text(max_size=5) | st.floats()
    trees = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner)
    )
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            place = data.draw(st.sampled_from(places_of(description)))
            description = changed(description, place, data.draw(trees))
        else:
            place = data.draw(st.sampled_from(places_of(body)))
            body = changed(body, place, data.draw(trees))
    load(signed(description, body, tensors), path)


def tensor(shape: list[Any], start: Any, end: Any, dtype: Any = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def craft(**tensors: Any) -> Callable[[bytes], bytes]:
    """A file with a sound header and these tensors of 8 bytes together."""
    return lambda sound: signed(tensors, parts_of(sound)[1], b"\0\1\2\3\4\5\6\7")


def torch_like(sound: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("model/data.pkl", pickle.dumps({"w": 1}))
    return archive.getvalue()


class RunsCode:
    """What a pickle could do to who loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('code of a checkpoint was run')",))


def numpy_file(sound: bytes) -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(100))
    return file.getvalue()


def bomb(text: str) -> Callable[[bytes], bytes]:
    """`text` as a tensor's description."""
    return lambda sound: file_of(f'{{"__metadata__":{{"textgen":"{{}}"}},"w":{text}}}')


def inner_bomb(text: str) -> Callable[[bytes], bytes]:
    """`text` as textgen's own JSON."""
    return lambda sound: signed({}, text, b"")


F, C = CheckpointFormatError, CheckpointCorruptError
ATTACKS: dict[str, tuple[Callable[[bytes], bytes], type[CheckpointError], str]] = {
    # foreign files
    "empty": (lambda sound: b"", F, "is empty; a model is made with textgen.train"),
    "text": (lambda sound: "Война и мир. Том первый.\n".encode() * 400, F, "looks like a text"),
    "short text": (lambda sound: b"abc", F, "looks like a text"),
    "json": (lambda sound: b'{"a": 1, "b": 2, "c": {"d": 4}}', F, "looks like a text"),
    "torch.save": (torch_like, F, r"zip archive, such as the \.pt files of torch\.save"),
    "pickle": (lambda sound: pickle.dumps(RunsCode()), F, "a Python pickle"),
    "old pickle": (lambda sound: pickle.dumps(RunsCode(), 0), F, "looks like a text"),
    "gzip": (lambda sound: b"\x1f\x8b" + sound, F, "gzip"),
    "numpy": (numpy_file, F, "NumPy"),
    "hdf5": (lambda sound: b"\x89HDF\r\n\x1a\n" + bytes(99), F, "HDF5"),
    "gguf": (lambda sound: b"GGUF" + bytes(99), F, "GGUF"),
    "elf": (lambda sound: b"\x7fELF\2\1\1" + bytes(99), F, "binary data"),
    "zeros": (lambda sound: bytes(len(sound)), C, "zeros only"),
    "foreign safetensors": (
        lambda sound: safetensors.numpy.save({"w": np.zeros(3)}, {"format": "pt"}),
        F,
        "a safetensors file, but not one of textgen's",
    ),
    "bare safetensors": (
        lambda sound: safetensors.numpy.save({"w": np.zeros(3)}),
        F,
        "not one of textgen's",
    ),
    # the length of the description
    "length 0": (lambda sound: bytes(8) + sound[8:], C, "damaged in its first bytes"),
    "length 1": (lambda sound: b"\1" + bytes(7) + sound[8:], C, "damaged in its first bytes"),
    "length of all": (lambda sound: b"\xff" * 8 + sound[8:], C, "damaged in its first bytes"),
    "length too large": (
        lambda sound: (len(sound) - 7).to_bytes(8, "little") + sound[8:],
        C,
        "truncated",
    ),
    "length in the middle": (
        lambda sound: b"\x50" + bytes(7) + sound[8:],
        C,
        "safetensors says .*invalid JSON",
    ),
    # its text
    "no utf-8": (lambda sound: file_of(b'{"\xff": 1}'), C, "safetensors says .*invalid UTF-8"),
    "utf-16": (
        lambda sound: file_of(b"{" + '"a": 1}'.encode("utf-16-le")),
        C,
        "safetensors says .*invalid JSON",
    ),
    "trailing text": (lambda sound: file_of("{} x"), C, "safetensors says .*invalid JSON"),
    "lone surrogate": (
        lambda sound: file_of('{"\ud800": 1}'),
        C,
        "safetensors says .*invalid UTF-8",
    ),
    "nested": (bomb("[" * 10**5 + "]" * 10**5), C, "safetensors says .*recursion limit"),
    "nested objects": (
        bomb('{"a":' * 10**5 + "1" + "}" * 10**5),
        C,
        "safetensors says .*recursion limit",
    ),
    "open brackets": (bomb("[" * 10**6), C, "safetensors says .*recursion limit"),
    "huge number": (bomb("9" * 10**6), C, "safetensors says .*out of range"),
    "many values": (bomb("[" + "[]," * 3_000_000 + "[]]"), C, "more than 2,097,152 values"),
    "many keys": (
        bomb("{" + ",".join(f'"{i:x}":0' for i in range(200_000)) + "}"),
        C,
        "safetensors says .*invalid JSON",
    ),
    "inner nested": (inner_bomb("[" * 10**5), C, "its header is not JSON"),
    "inner many values": (
        inner_bomb("[" + "[]," * 3_000_000 + "[]]"),
        C,
        "holds more than 2,097,152 values",
    ),
    "many metadata": (
        lambda sound: file_of(
            '{"__metadata__":{' + ",".join(f'"{i:x}":""' for i in range(1_050_000)) + "}}"
        ),
        C,
        "more than 2,097,152 values",
    ),
    "hidden brackets": (
        lambda sound: file_of(
            '{"__metadata__":{"textgen":"x [' + r"\u005b\u005d\u002c" * 300_000 + '[]]"}}'
        ),
        C,
        "its header is not a JSON object",
    ),
    "terminal codes": (
        lambda sound: file_of(r'{"w":{"dtype":"\u001b[2J"}}'),
        C,
        r"safetensors says .*\\x1b\[2J",
    ),
    "inner no JSON": (inner_bomb("{"), C, "its header is not JSON"),
    "inner list": (inner_bomb("[]"), C, "its header is not a JSON object"),
    "inner empty": (inner_bomb("{}"), C, "tells no format version"),
    "key twice": (bomb('{"dtype":"U8","dtype":"U8"}'), C, "safetensors says .*duplicate field"),
    "metadata a list": (
        lambda sound: file_of('{"__metadata__":[1]}'),
        C,
        "safetensors says .*invalid JSON",
    ),
    "unsigned header": (
        lambda sound: file_of(
            json.dumps({"__metadata__": {"textgen": "0 " + json.dumps(parts_of(sound)[1])}})
        ),
        C,
        "does not match its checksum",
    ),
    "version 0": (inner_bomb('{"format_version":0}'), C, "tells no format version"),
    "version true": (inner_bomb('{"format_version":true}'), C, "tells no format version"),
    "version 1.5": (inner_bomb('{"format_version":1.5}'), C, "tells no format version"),
    "version 3": (inner_bomb('{"format_version":3}'), F, r"\(format 3, this one reads up to 2\)"),
    "version huge": (
        inner_bomb('{"format_version":' + "9" * 4000 + "}"),
        C,
        "tells no format version",
    ),
    "no kind": (inner_bomb('{"format_version":1}'), C, "lacks a part"),
    "kind a list": (inner_bomb('{"format_version":1,"kind":["model"]}'), C, "lacks a part"),
    "no header": (inner_bomb('{"format_version":1,"kind":"model"}'), C, "lacks a part"),
    # the tensors
    "number for tensor": (craft(w=1), C, "safetensors says .*invalid JSON"),
    "part missing": (craft(w={"dtype": "U8", "shape": [8]}), C, "safetensors says .*missing field"),
    "part too many": (craft(w={**tensor([8], 0, 8), "x": 1}), C, "is missing"),
    "unknown type": (craft(w=tensor([8], 0, 8, "F8_E4M3")), C, "has the type F8_E4M3"),
    "object type": (craft(w=tensor([1], 0, 8, "O")), C, "safetensors says .*unknown variant"),
    "type a list": (craft(w=tensor([8], 0, 8, ["U8"])), C, "safetensors says .*invalid JSON"),
    "shape 2**63": (craft(w=tensor([2**63], 0, 8)), C, "safetensors says .*overflow"),
    "shape product 2**64": (
        craft(w=tensor([2**32, 2**32], 0, 0)),
        C,
        "safetensors says .*overflow",
    ),
    "shape wraps to 8": (craft(w=tensor([2**61, 8, 8], 0, 8)), C, "safetensors says .*overflow"),
    "shape negative": (craft(w=tensor([-8], 0, 8)), C, "safetensors says .*invalid value"),
    "shape two negatives": (craft(w=tensor([-2, -4], 0, 8)), C, "safetensors says .*invalid value"),
    "shape float": (craft(w=tensor([8.0], 0, 8)), C, "safetensors says .*invalid type"),
    "shape true": (craft(w=tensor([True, 8], 0, 8)), C, "safetensors says .*invalid type"),
    "shape text": (craft(w=tensor(["8"], 0, 8)), C, "safetensors says .*invalid type"),
    "shape of 100,000": (
        craft(w=tensor([10**18] * 100_000, 0, 8)),
        C,
        "safetensors says .*overflow",
    ),
    "offsets negative": (craft(w=tensor([8], -8, 0)), C, "safetensors says .*invalid value"),
    "offsets backwards": (craft(w=tensor([8], 8, 0)), C, "safetensors says .*invalid offset"),
    "offsets of three": (
        craft(w={"dtype": "U8", "shape": [8], "data_offsets": [0, 4, 8]}),
        C,
        "safetensors says .*invalid length",
    ),
    "offsets float": (craft(w=tensor([8], 0, 8.0)), C, "safetensors says .*invalid type"),
    "offsets disagree": (craft(w=tensor([8], 0, 7)), C, "safetensors says .*invalid shape"),
    "beyond the end": (craft(w=tensor([2**40], 0, 2**40)), C, "truncated"),
    "gap": (
        craft(a=tensor([2], 0, 2), b=tensor([4], 4, 8)),
        C,
        "safetensors says .*invalid offset",
    ),
    "overlap": (
        craft(a=tensor([8], 0, 8), b=tensor([4], 4, 8)),
        C,
        "safetensors says .*invalid offset",
    ),
    "the same bytes twice": (
        craft(a=tensor([8], 0, 8), b=tensor([8], 0, 8)),
        C,
        "safetensors says .*invalid offset",
    ),
    "first gap": (craft(a=tensor([4], 4, 8)), C, "safetensors says .*invalid offset"),
    "bytes left over": (craft(a=tensor([4], 0, 4)), C, "safetensors says .*not fully covered"),
    "no tensors": (craft(), C, "safetensors says .*not fully covered"),
    "other tensors": (craft(w=tensor([8], 0, 8)), C, "is missing"),
    "swapped tensors": (
        lambda sound: file_of(
            sound[8 : 8 + int.from_bytes(sound[:8], "little")].replace(b"head.bias", b"head.biaz"),
            parts_of(sound)[2],
        ),
        C,
        r"'head\.bias' is missing",
    ),
    "weights changed": (
        lambda sound: sound[:-4] + b"\0\0\0\0",
        C,
        "the tensors do not match their checksum",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_named_attacks(sound: bytes, tmp_path: Path, name: str) -> None:
    make, kind, message = ATTACKS[name]
    path = tmp_path / "attack.safetensors"
    path.write_bytes(make(sound))
    size = path.stat().st_size
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=message) as caught:
            SavedModel.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(caught.value) is kind and str(caught.value).startswith(str(path))
    # The text itself, as bytes and as characters of up to four bytes, and its parsed values.
    assert peak < 8 * size + 2 * MIB


def run_file(description: dict[str, Any], tensors: bytes, path: Path) -> Path:
    """A resume file with right checksums, whose tensors nothing else is compared with."""
    body = {"kind": "resume", "format_version": 1, "sha256": "", "header": {}}
    path.write_bytes(signed(description, body, tensors))
    return path


def test_truth_values_beyond_0_and_1(tmp_path: Path) -> None:
    """NumPy would compute with them as if they were several truths."""
    for last, ok in ((1, True), (2, False)):
        data = bytes((0, 1, 0, 1, 0, 1, 0, last))
        path = run_file({"w": tensor([8], 0, 8, "BOOL")}, data, tmp_path / str(last))
        if ok:
            assert read_file(path, kind="resume")[1]["w"].sum() == 4
            continue
        with pytest.raises(CheckpointCorruptError, match="truth values beyond 0 and 1"):
            read_file(path, kind="resume")


@pytest.mark.parametrize("shape", [[0, 2**62, 2], [2**62, 2, 0], [0, 2**63], [0] * 100])
def test_shapes_beyond_what_numpy_counts(tmp_path: Path, shape: list[int]) -> None:
    path = run_file({"w": tensor(shape, 0, 0)}, b"", tmp_path / "resume.safetensors")
    with pytest.raises(CheckpointCorruptError, match="tensor 'w' cannot be"):
        read_file(path, kind="resume")


def test_a_tensor_described_twice_is_not_taken_for_another(tmp_path: Path) -> None:
    """The library takes the last; the checksum is that of what was written."""
    data = b"\0\1\2\3\4\5\6\7"
    path = run_file({"w": tensor([8], 0, 8)}, data, tmp_path / "resume.safetensors")
    sound, second = path.read_bytes(), b', "w": ' + json.dumps(tensor([2, 4], 0, 8)).encode()
    end = 8 + int.from_bytes(sound[:8], "little")
    assert list(read_file(path, kind="resume")[1]["w"]) == list(data)
    path.write_bytes(file_of(sound[8 : end - 1] + second + b"}", data))
    with pytest.raises(CheckpointCorruptError, match="do not match their checksum"):
        read_file(path, kind="resume")


def test_a_large_sparse_file_is_not_read_into_memory(sound: bytes, tmp_path: Path) -> None:
    """The size on the disk agrees with the description, but not with the model's settings."""
    size = 8 * 2**30
    description, body, _ = parts_of(sound)
    description = {"embedding.weight": tensor([size // 8, 2], 0, size, "F32")}
    path = tmp_path / "model.safetensors"
    path.write_bytes(signed(description, body, b""))
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size + size)
    tracemalloc.start()
    try:
        with pytest.raises(
            CheckpointCorruptError, match=r"tensor 'embedding\.weight' is float32 of shape"
        ):
            SavedModel.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MIB


def test_a_header_beyond_the_limit(tmp_path: Path) -> None:
    """It is refused by its length: nothing of it is read."""
    path = tmp_path / "model.safetensors"
    length = 64 * MIB + 1
    with open(path, "wb") as file:
        file.write(length.to_bytes(8, "little") + b'{"a":1')
        file.truncate(8 + length)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointFormatError, match="is not a checkpoint"):
            SavedModel.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MIB


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointFormatError, match=r"is a folder.*model\.safetensors"):
        SavedModel.load(tmp_path)
    with pytest.raises(CheckpointFormatError, match="a pipe or a device"):
        SavedModel.load(Path("/dev/zero"))


# --- no code in a checkpoint


FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "joblib",
    "yaml",
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def findings(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
                found.append(str(node.module))
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS or called in ("torch.load", "torch.save"):
                found.append(called)
            found += [k.arg for k in node.keywords if k.arg == "allow_pickle"]
    return found


def test_nothing_in_the_package_could_run_code_from_a_file() -> None:
    assert findings(
        ast.parse("import pickle\neval('1')\ntorch.load(x)\nnp.load(f, allow_pickle=1)")
    )
    files = sorted(Path(textgen.__file__).parent.rglob("*.py"))
    assert len(files) > 10
    found = {
        str(file): what
        for file in files
        if (what := findings(ast.parse(file.read_text(encoding="utf-8"))))
    }
    assert found == {}
