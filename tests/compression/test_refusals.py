"""What would come out wrong is refused, in words; a stranger's file does no harm."""

from __future__ import annotations

import sys
import tracemalloc
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.every_kind import OLD_FILES, model_of, page

import textgen
from textgen.compression import compress, container, decompress, model_hash, predictors, range_coder
from textgen.compression.container import Coding, Packed
from textgen.errors import BackendError, CompressionError, ConfigError
from textgen.native.library import supported_isas

PAGE = page()[:500].encode()
SMALL = compress(model_of("lstm"), PAGE, threads=1)
PACKED = Packed.from_bytes(SMALL)


def coded(**changes: Any) -> bytes:
    """The file with another header, whose checksum is right."""
    assert PACKED.coding is not None
    own = {name: changes.pop(name) for name in ("size", "sum", "data") if name in changes}
    return replace(PACKED, coding=replace(PACKED.coding, **changes), **own).to_bytes()


@cache
def coding_of(kind: str) -> Coding:
    """The header of a file by a model."""
    coding = Packed.from_bytes(compress(model_of(kind), PAGE, threads=1)).coding
    assert coding is not None
    return coding


def refused(file: bytes, kind: str = "lstm") -> str:
    with pytest.raises(CompressionError) as caught:
        decompress(model_of(kind), file)
    return str(caught.value)


def test_another_model() -> None:
    message = refused(SMALL, "gru")
    assert model_hash(model_of("lstm")).hex() in message
    assert model_hash(model_of("gru")).hex() in message
    assert "checkpoint=MODEL" in message


def test_every_part_of_a_model_is_in_its_hash() -> None:
    one = model_of("lstm")
    others = [
        replace(one, weights={**one.weights, "head.bias": one.weights["head.bias"] + 1e-6}),
        replace(one, info={**one.info, "history": 3}),
    ]
    hashes = {model_hash(one), *map(model_hash, others)}
    assert len(hashes) == 3
    assert model_hash(replace(one, info={})) == model_hash(one)


def test_a_path_that_is_not_here() -> None:
    message = refused(coded(path="sve2/fp32"))
    assert "the path sve2/fp32" in message and "numpy/fp32" in message
    assert "the path avx2/bf16" in refused(coded(path="avx2/bf16"))


@pytest.mark.skipif(not supported_isas(), reason="needs the native engine")
def test_another_path_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTGEN_PATH", "reference")
    message = refused(SMALL)
    assert "TEXTGEN_PATH=reference asks for numpy/fp32" in message
    assert "unset TEXTGEN_PATH" in message


def test_other_numbers_on_the_same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """As another processor, library or number of threads gives them: the last bit is enough."""
    predict = predictors.StaticPredictor.predict

    def rounded(self: predictors.StaticPredictor, previous_B: Any) -> Any:
        return predict(self, previous_B) * (1 + 2**-52)

    monkeypatch.setattr(predictors.StaticPredictor, "predict", rounded)
    assert "gives other numbers than here" in refused(SMALL)


def test_another_version_of_the_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, advice in ((2, "use the one that wrote it"), (0, "install a newer textgen")):
        with monkeypatch.context() as patch:
            patch.setattr(container, "ARITHMETIC_VERSION", version)
            message = refused(SMALL)
        assert "another version of textgen's arithmetic (1, " in message and advice in message


def test_a_newer_format_and_a_foreign_file() -> None:
    assert "newer textgen (format 9" in refused(SMALL[:4] + b"\x09" + SMALL[5:])
    for file in (b"", b"PK\x03\x04", b"a text", SMALL[1:]):
        assert "not a file that textgen compressed" in refused(file)


def test_every_cut_and_every_change_is_seen() -> None:
    """No computation is begun: the checksum of the file itself tells."""
    for length in range(4, len(SMALL)):
        assert "damaged" in refused(SMALL[:length])
    for place in range(5, len(SMALL)):
        changed = bytearray(SMALL)
        changed[place] ^= 0x10
        assert "damaged: it does not match its checksum" in refused(bytes(changed))
    assert "damaged" in refused(SMALL + b"\0")


def test_a_text_that_comes_out_otherwise() -> None:
    assert "its checksum is another one" in refused(coded(sum=bytes(8)))
    assert "its checksum is another one" in refused(coded(tokens=len(PAGE) // 3))


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 2**60},
        {"size": 65 * len(SMALL)},
        {"tokens": 2**40},
        {"tokens": 4 * len(PAGE) + 5},
        {"tokens": 0},
        {"threads": 0},
        {"threads": 2**20},
        {"parts": 0},
        {"parts": 10_000},
        {"path": "x" * 33},
    ],
)
def test_numbers_beyond_their_bounds(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "MOST_RATIO", 10**30)  # for writing: nothing is padded
    file = coded(**changes)
    monkeypatch.undo()
    tracemalloc.start()
    try:
        assert "damaged" in refused(file) or "is not here" in refused(file)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


#: Characters that are read as others: the narrow space and the hair space, and a capital letter.
OTHER = (page()[:400] + "\u2009Д\u200a...….").encode()
OTHER_PACKED = Packed.from_bytes(compress(model_of("lstm"), OTHER, threads=1))


def other_file(**changes: Any) -> bytes:
    """The file of another typography with another header."""
    assert OTHER_PACKED.coding is not None
    return replace(OTHER_PACKED, coding=replace(OTHER_PACKED.coding, **changes)).to_bytes()


def test_characters_that_are_read_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OTHER_PACKED.coding is not None and OTHER_PACKED.coding.variants == 4
    assert decompress(model_of("lstm"), other_file()) == OTHER
    for variants in (1, 3, 5, 40, len(OTHER)):
        message = refused(other_file(variants=variants))
        assert "damaged" in message or "its checksum is another one" in message
    assert "a number above" in refused(other_file(variants=len(OTHER) + 1))
    # The same data without the list, and those of a file that has none with one.
    assert "its checksum is another one" in refused(other_file(variants=0))
    assert "damaged" in refused(coded(variants=2))
    small = other_file()
    for version, advice in ((2, "use the one that wrote it"), (0, "install a newer textgen")):
        with monkeypatch.context() as patch:
            patch.setattr(container, "TABLE_VERSION", version)
            message = refused(small)
        assert "another version of textgen's table of nearest characters (1, " in message
        assert advice in message


@pytest.mark.slow
def test_changed_data_of_another_typography() -> None:
    """With a checksum that is right: the same bytes, or a refusal, and nothing else."""
    refusals = 0
    for place in range(len(OTHER_PACKED.data)):
        data = bytearray(OTHER_PACKED.data)
        data[place] ^= 0x10
        try:
            found = decompress(model_of("lstm"), replace(OTHER_PACKED, data=bytes(data)).to_bytes())
        except CompressionError:
            refusals += 1
        else:
            assert found == OTHER
    # The last bits of the coder's last word say nothing.
    assert refusals >= len(OTHER_PACKED.data) - 4


@pytest.mark.parametrize("encoding", ["zlib_codec", "os", "undefined", "../x", "idna"])
def test_an_encoding_that_is_none(encoding: str) -> None:
    assert PACKED.coding is not None
    way = replace(PACKED.coding.way, encoding=encoding)
    assert "is not known" in refused(coded(way=way))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(("lstm", "byte", "words", "documents")),
    st.binary(max_size=40),
    st.integers(1, 200),
    st.integers(1, 60),
    st.booleans(),
    st.booleans(),
)
def test_any_data_of_a_stranger(
    kind: str, data: bytes, size: int, tokens: int, strays: bool, documents: bool
) -> None:
    """With a header in which all is right: nothing but a refusal comes of it."""
    own = coding_of(kind)
    way = replace(own.way, strays=strays, documents=documents)
    coding: Coding = replace(own, way=way, tokens=tokens)
    file = Packed(size=size, sum=bytes(8), data=data, coding=coding).to_bytes()
    refused(file, kind)


def test_constriction_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    range_coder._library.cache_clear()
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(BackendError, match=r'type: pip install "\.\[compress\]"'):
        compress(model_of("lstm"), PAGE)
    with pytest.raises(BackendError, match=r'type: pip install "\.\[compress\]"'):
        decompress(model_of("lstm"), SMALL)
    monkeypatch.undo()
    assert decompress(model_of("lstm"), SMALL) == PAGE


def test_what_is_no_bytes_and_a_steered_model() -> None:
    model = textgen.load(OLD_FILES / "lstm.safetensors")
    with pytest.raises(
        ConfigError, match=r"compress was given 'кот', .* bytes; .* text.encode\(\)"
    ):
        model.compress("кот")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="decompress was given 3, and it takes bytes"):
        model.decompress(3)  # type: ignore[arg-type]
    with (
        model.steered("0:1=+2"),
        pytest.raises(ConfigError, match=r"compressed .* leave the block"),
    ):
        model.compress(PAGE)
