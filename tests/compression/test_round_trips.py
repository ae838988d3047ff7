"""What is compressed comes back byte by byte, whatever it is, and is as small as `eval` says."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.every_kind import OLD_FILES, model_of, page

import textgen
from textgen.checkpoint.model_file import SavedModel
from textgen.compression import codec, compress, container, decompress
from textgen.compression.container import Packed
from textgen.evaluation.nll import ESCAPE_BITS
from textgen.progress import Task, listening

PAGE = page()
SHORT = PAGE[:600]
KINDS = (
    *("lstm", "byte", "word", "documents", "folded", "history", "pairs", "cosine", "relu"),
    *("words", "words-folded"),
)
ENCODINGS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "cp1251", "koi8_r", "cp866"),
    *("cp1252", "shift_jis", "gb18030", "big5hkscs", "iso2022_jp"),
)
#: Texts of many alphabets, of which some is known to the models.
LETTERS = st.text(
    st.one_of(
        st.sampled_from("кот спит. Пёс ест,\n \r\0\ufeff\u0301й\xa0"),
        st.characters(codec="utf-8"),
        st.sampled_from("ไทยहिन्दी한국語日本語עبα€😀가\u1161"),
    ),
    max_size=60,
)
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def coding_of(file: bytes) -> object:
    """What coded a file; None where it is stored."""
    return Packed.from_bytes(file).coding


@SLOW
@given(st.sampled_from(KINDS), st.binary(max_size=80))
def test_any_bytes(kind: str, data: bytes) -> None:
    model = model_of(kind)
    assert decompress(model, compress(model, data, threads=1)) == data


@SLOW
@given(
    st.sampled_from(KINDS),
    LETTERS,
    st.sampled_from(ENCODINGS),
    st.sampled_from(("\n", "\r\n", "\r")),
    st.booleans(),
    st.sampled_from((0, 8)),
)
def test_texts_of_many_alphabets(
    kind: str, text: str, encoding: str, newline: str, apart: bool, known: int
) -> None:
    """Beside a text that the model knows, so that they are coded and not stored."""
    text = "Кот спит под столом.\n\nПёс ест.\n" * known + text
    text = unicodedata.normalize("NFD", text) if apart else text
    data = text.replace("\n", newline).encode(encoding, "ignore")
    model = model_of(kind)
    assert decompress(model, compress(model, data, threads=1)) == data


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        *((kind, 7) for kind in KINDS),
        *(
            pytest.param(kind, 1, marks=() if kind in ("lstm", "words") else pytest.mark.slow)
            for kind in KINDS
        ),
    ],
)
def test_a_text_in_parts(kind: str, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "LEAST_PART", 1)
    monkeypatch.setattr(codec, "USUAL_PARTS", parts)
    data = PAGE[:900].encode() + "\n\n\n  \nЁлка №5 – 😀.\n\n".encode() + PAGE[:100].encode()
    model = model_of(kind)
    small = compress(model, data, threads=1)
    coding = Packed.from_bytes(small).coding
    assert coding is None or coding.parts == parts
    assert coding is not None or kind in ("folded", "pairs", "words-folded", "words")
    assert decompress(model, small) == data


def test_fewer_tokens_than_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "LEAST_PART", 1)
    for length in (1, 2, 3, 5, 31, 33, 100, 150):
        data = PAGE[:length].encode()
        assert decompress(model_of("lstm"), compress(model_of("lstm"), data)) == data


def test_nothing_and_noise_are_stored() -> None:
    noise = bytes(range(256)) * 40
    for data in (b"", b"a", noise):
        small = compress(model_of("lstm"), data)
        assert coding_of(small) is None
        assert len(small) <= len(data) + 20
        assert decompress(model_of("lstm"), small) == data


VARIANTS = {
    "plain": SHORT.encode(),
    "crlf": SHORT.replace("\n", "\r\n").encode(),
    "cr": SHORT.replace("\n", "\r").encode(),
    "mark": SHORT.encode("utf-8-sig"),
    "apart": unicodedata.normalize("NFD", SHORT).encode(),
    "cp1251": SHORT.encode("cp1251"),
    "koi8_r": SHORT.encode("koi8_r"),
    "utf-16": SHORT.encode("utf-16"),
    "cp1251 with crlf": SHORT.replace("\n", "\r\n").encode("cp1251"),
    "cut short": SHORT.encode() + "к".encode()[:1],
    "a byte that is no text": SHORT.encode() + b"\xff\xfe\xff",
    "mixed line ends": SHORT.encode() + b"\r\n",
}


@cache
def size_of_short() -> int:
    return len(compress(model_of("lstm"), SHORT.encode()))


@pytest.mark.parametrize("variant", VARIANTS)
def test_how_a_text_is_written_costs_little(variant: str) -> None:
    """The model reads the text that it knows: not that of the file, with its line ends."""
    data = VARIANTS[variant]
    small = compress(model_of("lstm"), data)
    assert coding_of(small) is not None
    assert len(small) <= size_of_short() + 30
    assert decompress(model_of("lstm"), small) == data


@pytest.mark.parametrize("kind", ["lstm", "byte", "word", "documents", "history", "cosine", "relu"])
def test_the_size_is_what_eval_says(kind: str, tmp_path: Path) -> None:
    data = PAGE.encode()
    small = compress(model_of(kind), data, threads=1)
    said = _said(model_of(kind), data, tmp_path)
    assert 0.999 * said - 64 <= len(small) <= 1.001 * said + 64


def test_the_parts_of_a_long_text_add_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "LEAST_PART", 1300)
    data = PAGE.encode() * 10
    small = compress(model_of("lstm"), data, threads=1)
    coding = Packed.from_bytes(small).coding
    assert coding is not None and coding.parts == 10
    assert len(small) <= 1.001 * _said(model_of("lstm"), data, tmp_path) + 64
    assert decompress(model_of("lstm"), small) == data


@pytest.mark.parametrize("kind", ["lstm", "cosine"])
def test_an_unknown_character_costs_what_eval_charges(kind: str, tmp_path: Path) -> None:
    data = (PAGE[:400] + "Zürich 東京 😀 ∀x∈ℝ " * 20 + PAGE[:400]).encode()
    small = compress(model_of(kind), data, threads=1)
    said = _said(model_of(kind), data, tmp_path)
    assert coding_of(small) is not None
    assert 0.999 * said - 64 <= len(small) <= 1.001 * said + 64


OTHERWISE = PAGE.replace("б", "Б").replace(". ", "…\xa0", 40).replace(" ", "\xa0", 300) + "П!"


@pytest.mark.parametrize("kind", ["lstm", "documents", "history"])
def test_another_typography_costs_what_eval_charges(kind: str, tmp_path: Path) -> None:
    data = OTHERWISE.encode()
    small = compress(model_of(kind), data, threads=1)
    assert small[4] == container.FORMAT_VERSION
    said = _said(model_of(kind), data, tmp_path)
    assert 0.999 * said - 64 <= len(small) <= 1.001 * said + 64
    assert decompress(model_of(kind), small) == data


@pytest.mark.slow
@SLOW
@given(
    st.sampled_from(("lstm", "documents", "history")),
    st.lists(
        st.sampled_from(
            [*"кот. …\n\xa0\u2009А\u2024‥йéП漢", "....", "….", ".…", "\xa0 ", " \xa0", "…\n."]
        ),
        max_size=40,
    ).map("".join),
    st.sampled_from(("utf-8", "utf-16", "cp1251")),
    st.sampled_from((1, 5)),
)
def test_texts_of_mixed_typography(kind: str, text: str, encoding: str, parts: int) -> None:
    """Beside a text that the model knows, and cut anywhere, within an ellipsis too."""
    data = (SHORT + text + SHORT[:100]).encode(encoding, "ignore")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "LEAST_PART", 1)
        patch.setattr(codec, "USUAL_PARTS", parts)
        small = compress(model_of(kind), data, threads=1)
    assert coding_of(small) is not None
    assert decompress(model_of(kind), small) == data


def test_a_text_in_capitals_is_read_in_small_letters() -> None:
    """The model has seven capitals; the others are told once, and then place by place."""
    model, text = model_of("lstm"), SHORT[:300] + SHORT.upper()
    lacking = [char for char in text if char not in model.vocabulary.symbol_index()]
    small = compress(model, text.encode(), threads=1)
    # Less than it would take to name each of them where it stands, without all other characters.
    assert len(small) < len(lacking) * ESCAPE_BITS / 8
    assert decompress(model, small).decode() == text


@pytest.mark.parametrize("kind", ["words", "words-folded"])
def test_unknown_words_cost_no_more_than_eval_charges(kind: str, tmp_path: Path) -> None:
    """Eval takes all letters as equally likely; here those that occur often become cheaper."""
    text = PAGE if kind == "words" else folded(PAGE)
    small = compress(model_of(kind), text.encode(), threads=1)
    assert coding_of(small) is not None
    assert len(small) <= 1.001 * _said(model_of(kind), text.encode(), tmp_path) + 64


def test_folded_texts_are_as_eval_says(tmp_path: Path) -> None:
    data = folded(PAGE).encode()
    small = compress(model_of("folded"), data, threads=1)
    said = _said(model_of("folded"), data, tmp_path)
    assert 0.999 * said - 64 <= len(small) <= 1.001 * said + 64


def folded(text: str) -> str:
    return " ".join("".join(c if c.isalpha() else " " for c in text.lower()).split())


def _said(model: SavedModel, data: bytes, folder: Path) -> float:
    """The size in bytes by `eval`."""
    path = folder / "said.txt"
    path.write_bytes(data)
    found = textgen.Model(model, path).evaluate(
        path, threads=1, limit=10**6 * bool(model.history) or None
    )
    return found.nats / math.log(2) / 8


def test_what_a_model_foresees_too_well_is_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file holds more than a fixed multiple of its length, so that no stranger's can."""
    monkeypatch.setattr(container, "MOST_RATIO", 2)
    data = PAGE.encode()
    small = compress(model_of("lstm"), data)
    assert len(small) == len(data) // 2 + 10
    assert decompress(model_of("lstm"), small) == data


@pytest.mark.parametrize("kind", ["lstm", "cosine"])
def test_a_model_whose_predictions_overflow(kind: str) -> None:
    wild = {name: 1e30 * array for name, array in model_of(kind).weights.items()}
    wild = {name: array.astype(np.float32) for name, array in wild.items()}
    model = replace(model_of(kind), weights=wild)
    data = SHORT.encode()
    assert decompress(model, compress(model, data)) == data


@pytest.mark.parametrize("path", ["reference", "generic"])
def test_other_paths(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is decompressed on its own path, also where another one is usual."""
    usual = compress(model_of("lstm"), PAGE.encode())
    monkeypatch.setenv("TEXTGEN_PATH", path)
    small = compress(model_of("lstm"), PAGE.encode())
    monkeypatch.delenv("TEXTGEN_PATH")
    coding, other = Packed.from_bytes(small).coding, Packed.from_bytes(usual).coding
    assert coding is not None and other is not None
    assert coding.path == {"reference": "numpy/fp32", "generic": "generic/fp32"}[path]
    assert coding.path == other.path or coding.trial != other.trial
    assert decompress(model_of("lstm"), small) == PAGE.encode()


def test_the_library_and_its_progress() -> None:
    began: list[tuple[str, float]] = []
    ended: list[tuple[str, float]] = []

    class Heard:
        def began(self, task: Task) -> None:
            began.append((task.what, task.total))

        def moved(self, task: Task) -> None:
            pass

        def ended(self, task: Task) -> None:
            ended.append((task.what, task.done))

    path = OLD_FILES / "lstm.safetensors"
    with listening(Heard()):
        small = textgen.compress(bytearray(PAGE.encode()), path, threads=2)
        assert textgen.decompress(small, textgen.load(path)) == PAGE.encode()
    for what in ("compressing", "decompressing"):
        assert (what, len(PAGE)) in began and (what, len(PAGE)) in ended
