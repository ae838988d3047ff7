"""Files that a model compressed while it learned: the bytes come back; they are as eval says."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.every_kind import OLD_FILES, model_of, page
from support.exact_path import in_float32

import textgen
from textgen.adaptation import AdaptationRule, AdaptingReader
from textgen.adaptation.adaptation_rule import scale_shapes
from textgen.checkpoint.model_file import SavedModel
from textgen.compression import codec, compress, container, decompress
from textgen.compression.container import (
    FORMAT_VERSION,
    LEARNED_FORMAT,
    MAGIC,
    Coding,
    Packed,
)
from textgen.compression.lossless_text import TokenText, read_losslessly
from textgen.corpus.nearest_forms import Questions, ways_of
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.errors import CompressionError, ConfigError, StorageError
from textgen.evaluation import Evaluation
from textgen.evaluation.nll import ESCAPE_NATS
from textgen.mixing import gate
from textgen.native.library import missing_reason
from textgen.runtime import Choice

PAGE = page()
STRANGE = PAGE[:400] + "Zürich 東京 😀 ∀x∈ℝ " * 3 + PAGE[-200:]
#: Marks and letters that the model does not know, but nearest forms of them.
OTHERWISE = PAGE[:600].replace("б", "Б").replace(". ", "…\xa0", 9).replace(" ", "\xa0", 30)
#: What learns: the counts, the weights, both.
WAYS = ((True, False), (False, True), (True, True))
each_way = pytest.mark.parametrize(("mix", "adapt"), WAYS)


@pytest.fixture(autouse=True, scope="module")
def training_text(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The text that the models were trained on lies where it lay then."""
    if reason := missing_reason():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("text")
    shutil.copy(OLD_FILES / "text.txt", folder / "text.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TEXTGEN_CACHE", str(folder / "textgen-cache"))
        yield


@cache
def learner(kind: str = "lstm", rate: float = 0.02) -> SavedModel:
    """A model whose file says how it learns: by large steps, each row with a scale of its own."""
    model = model_of(kind)
    rng = np.random.default_rng(5)
    scales = {
        name: rng.uniform(0.005, 0.02, rows).astype(np.float32)
        for name, rows in scale_shapes(model.config).items()
    }
    rule = AdaptationRule(rate, 0.01, 32, 8, scales)
    return replace(model, info={**model.info, "adaptation": rule.to_json()})


def coding_of(file: bytes) -> Coding:
    coding = Packed.from_bytes(file).coding
    assert coding is not None
    return coding


def nats_of(found: Evaluation, *, mix: bool, adapt: bool) -> float:
    """The figure of eval that a file is as large as."""
    if not adapt:
        assert found.mixed is not None
        return found.mixed.learning_nats
    assert found.adapted is not None
    both = found.adapted.mixed_nats
    assert both is not None
    return both if mix else found.adapted.nats


def evaluation(kind: str, text: str) -> Evaluation:
    path = Path("said.txt")
    path.write_bytes(text.encode())
    return textgen.Model(learner(kind), path).evaluate(path, threads=1, mix=True, adapt=True)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("lstm", STRANGE),
        *(
            pytest.param(kind, text, marks=pytest.mark.slow)
            for kind, text in [
                ("lstm", PAGE[:700]),
                ("lstm", OTHERWISE),
                ("documents", PAGE[:600]),
            ]
        ),
    ],
)
def test_each_token_costs_what_eval_says_and_the_file_is_as_large(kind: str, text: str) -> None:
    with in_float32():
        check_costs(kind, text)


def check_costs(kind: str, text: str) -> None:
    model, data = learner(kind), text.encode()
    measured = evaluation(kind, text)
    costs = set()
    for mix, adapt in WAYS:
        said = nats_of(measured, mix=mix, adapt=adapt)
        small = compress(model, data, mix=mix, adapt=adapt, threads=1)
        learning = coding_of(small).learning
        assert learning is not None
        assert (learning.order > 0, learning.adapts) == (mix, adapt)
        size = said / math.log(2) / 8
        assert 0.999 * size - 64 <= len(small) <= 1.001 * size + 64
        assert decompress(model, small) == data
        # The header is larger than the rest, so the file's size alone says little here.
        np.testing.assert_allclose(cost(model, data, mix=mix, adapt=adapt), said, rtol=2e-5)
        costs.add(round(said, 3))
    assert len(costs) == 3


def cost(model: SavedModel, data: bytes, *, mix: bool, adapt: bool) -> float:
    """What a predictor gives to the tokens of a file, in nats, with the escapes."""
    computation = codec._open_learner(model, 1, mix=mix, adapt=adapt)[1]
    assert computation is not None
    found = read_losslessly(data, model)[1]
    ids = found.ids
    predictor, total, previous = computation.predictor(), 0.0, END_ID
    for token in ids.tolist():
        weights_V = predictor.predict(np.array([previous], np.int32))[0]
        total -= math.log(weights_V[token] / weights_V.sum())
        previous = token
    return total + ESCAPE_NATS * int((ids == UNKNOWN_ID).sum()) + told_apart(found)


def told_apart(found: TokenText) -> float:
    """What it costs to tell apart characters that are read as the same, place by place."""
    ways = ways_of(found.forms)
    counts = {form: [0.5] * len(own) for form, own in ways.items()}
    nats = ESCAPE_NATS * len(found.forms)

    def answer(place: int, form: str) -> bool:
        nonlocal nats
        stood = found.texts.get(place, "")
        way = ways[form].index(stood) if stood in ways[form] else 0
        nats -= math.log(counts[form][way] / sum(counts[form]))
        counts[form][way] += 1
        return way > 0

    Questions(ways, learner().vocabulary, answer).read(found.ids)
    return nats


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(("lstm", "byte", "word", "documents", "gru")),
    st.sampled_from(WAYS),
    st.one_of(
        st.binary(max_size=40),
        st.text(st.characters(codec="utf-8"), max_size=40).map(str.encode),
        st.text(st.sampled_from("кот спит.\n\n\r\0"), max_size=40).map(str.encode),
    ),
    st.sampled_from((0, 250)),
)
def test_any_bytes(kind: str, way: tuple[bool, bool], data: bytes, known: int) -> None:
    """Alone, and beside a text that the model knows, so that they are coded and not stored."""
    mix, adapt = way
    data = PAGE[:known].encode() + data
    small = compress(learner(kind), data, mix=mix, adapt=adapt, threads=1)
    assert decompress(learner(kind), small) == data


@each_way
def test_nothing_one_character_and_noise(mix: bool, adapt: bool) -> None:
    for data in (b"", b"a", "к".encode(), bytes(range(256)) * 4):
        small = compress(learner(), data, mix=mix, adapt=adapt)
        assert len(small) <= len(data) + 20
        assert decompress(learner(), small) == data


def test_a_model_whose_predictions_overflow() -> None:
    wild = {name: (1e30 * array).astype(np.float32) for name, array in learner().weights.items()}
    model = replace(learner(), weights=wild)
    data = PAGE[:120].encode()
    for mix, adapt in WAYS:
        assert decompress(model, compress(model, data, mix=mix, adapt=adapt)) == data


def test_where_no_step_helped_the_weights_stay_as_they_are() -> None:
    still, data = learner(rate=0.0), PAGE.encode()
    assert compress(still, data, adapt=True) == compress(still, data)
    both = coding_of(compress(still, data, mix=True, adapt=True)).learning
    assert both is not None and not both.adapts and both.order


def test_as_many_threads_compute_as_the_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums of a gradient depend on them, however many cores there are."""
    opened: list[int] = []
    adapting = codec.adapting_reader

    def heard(saved: SavedModel, engine: Any) -> AdaptingReader:
        opened.append(engine.threads)
        return adapting(saved, engine)

    monkeypatch.setattr(codec, "adapting_reader", heard)
    data = PAGE[:300].encode()
    small = compress(learner(), data, adapt=True, threads=3)
    monkeypatch.setattr(codec, "choose_threads", lambda: Choice("threads", 1, ""))
    assert decompress(learner(), small) == data
    assert opened == [3, 3]


DATA = PAGE[:400].encode()


@cache
def both() -> bytes:
    return compress(learner(), DATA, mix=True, adapt=True, threads=1)


def changed(**changes: Any) -> bytes:
    """The file with another header, whose checksum is right."""
    packed = Packed.from_bytes(both())
    assert packed.coding is not None and packed.coding.learning is not None
    learning = {
        name: changes.pop(name) for name in ("adapts", "order", "origin") if name in changes
    }
    coding = replace(packed.coding, learning=replace(packed.coding.learning, **learning), **changes)
    return replace(packed, coding=coding).to_bytes()


def refused(file: bytes, model: SavedModel | None = None) -> str:
    with pytest.raises(CompressionError) as caught:
        decompress(model or learner(), file)
    return str(caught.value)


def test_another_model_and_another_rule() -> None:
    assert "it was compressed with the model" in refused(both(), learner("gru"))
    assert "another rule than here" in refused(both(), learner(rate=0.03))
    assert "another rule than here" in refused(changed(origin=b"none"))
    plain = replace(learner(), info={**learner().info, "adaptation": None, "history": 3})
    assert "it was compressed with the model" in refused(both(), plain)


def test_the_training_text_is_gone_or_another(monkeypatch: pytest.MonkeyPatch) -> None:
    small, text = both(), Path("text.txt").read_text("utf-8")
    monkeypatch.setenv("TEXTGEN_CACHE", str(Path.cwd() / "empty-cache"))
    try:
        Path("text.txt").write_text(text + "А.", "utf-8")
        assert "text.txt has changed since the model was trained" in refused(small)
        Path("text.txt").unlink()
        assert "cannot do so here: the training text is no longer in the cache" in refused(small)
        with pytest.raises(StorageError, match="the training text is no longer in the cache"):
            compress(learner(), DATA, mix=True)
    finally:
        Path("text.txt").write_text(text, "utf-8")
    assert decompress(learner(), small) == DATA


def test_a_path_that_is_not_here_or_cannot_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("sve2/fp32", "numpy/fp32", "avx2/bf16"):
        message = refused(changed(path=path))
        assert f"the path {path}, which is not here" in message
    monkeypatch.setenv("TEXTGEN_PATH", "reference")
    assert "TEXTGEN_PATH=reference asks for reference/fp32" in refused(both())


@pytest.mark.parametrize("what", ["gradient", "gate", "counts"])
def test_other_numbers_are_seen_before_anything_is_read(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another processor or library gives them, in each part of what learns."""
    small = both()
    if what == "gradient":
        learn = AdaptingReader.learn

        def otherwise(self: AdaptingReader, count: int) -> None:
            self.network.gradient *= np.float32(1 + 2**-12)
            learn(self, count)

        monkeypatch.setattr(AdaptingReader, "learn", otherwise)
    elif what == "gate":
        monkeypatch.setattr(gate, "RATE", gate.RATE * (1 + 2**-12))
    else:
        monkeypatch.setattr(gate, "FIRST_WEIGHTS", (0.7, 0.25 * (1 + 2**-12)))
    assert "gives other numbers than here" in refused(small)


def test_every_cut_and_every_change_is_seen() -> None:
    small = both()
    for length in range(4, len(small)):
        assert "damaged" in refused(small[:length])
    for place in range(5, len(small)):
        wrong = bytearray(small)
        wrong[place] ^= 0x10
        assert "damaged: it does not match its checksum" in refused(bytes(wrong))
    assert "newer textgen" in refused(MAGIC + bytes([FORMAT_VERSION + 1]) + small[5:])


@pytest.mark.parametrize(
    "changes", [{"order": 17}, {"order": 0, "adapts": False}, {"parts": 2}, {"threads": 0}]
)
def test_headers_that_cannot_be(changes: dict[str, Any]) -> None:
    assert "its header cannot be right" in refused(changed(**changes))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=30), st.integers(1, 40))
def test_any_data_of_a_stranger(data: bytes, tokens: int) -> None:
    """With a header in which all is right: nothing but a refusal comes of it."""
    coding = replace(coding_of(both()), tokens=tokens)
    refused(Packed(size=30, sum=bytes(8), data=data, coding=coding).to_bytes())


def test_what_learns_nothing_is_written_as_before() -> None:
    """Bytes of the version before: they are read as they were, and the header is the same."""
    old = bytes.fromhex(
        "b754584701d771784901cc019fbaedc7a8faaaf701a2d86fba500e3689581dfc3609617678322f6670"
        "333201017800007ac50a2d62c6295ec772249e7180528992a4949d1e903677cf82b97f900be9899863"
        "db5b9036c3f66a219d7b0d4273ee82f209c83d803749"
    )
    packed = Packed.from_bytes(old)
    assert packed.to_bytes() == old
    data = "Кот спит под столом. Пёс ест.\n\nКот ест.\n".encode() * 3
    assert (packed.size, packed.sum) == (len(data), container.sum_of(data))
    coding = packed.coding
    assert coding is not None and coding.learning is None
    assert (coding.path, coding.threads, coding.parts, coding.tokens) == ("avx2/fp32", 1, 1, 120)
    # The model has no П, and reads п for it since then: such files alone are of a newer format.
    now = compress(model_of("lstm"), data.replace("П".encode(), "п".encode()), threads=1)
    assert now[4] == old[4] == 1
    assert compress(model_of("lstm"), data, threads=1)[4] == FORMAT_VERSION
    assert coding_of(now).model == coding.model
    assert compress(learner(), DATA, adapt=True)[4] == LEARNED_FORMAT


@pytest.mark.parametrize(
    ("kind", "call", "reason"),
    [
        ("history", {"mix": True}, "mix.* carries its state on; leave"),
        ("history", {"adapt": True}, "adapt.* carries its state on; leave"),
        ("pairs", {"mix": True}, "trained on pairs"),
        ("pairs", {"adapt": True}, "trained on pairs"),
        ("cosine", {"adapt": True}, "trained by a distance"),
    ],
)
def test_models_that_cannot_learn(kind: str, call: dict[str, bool], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        compress(model_of(kind), PAGE.encode(), **call)


def test_the_library_has_both() -> None:
    model = textgen.Model(learner(), Path("lstm.safetensors"))
    small = model.compress(DATA, mix=True, adapt=True, threads=1)
    assert small == both()
    assert textgen.compress(DATA, model, mix=True, adapt=True, threads=1) == small
    assert textgen.decompress(small, model) == DATA
    # The weights of the model have not learned.
    assert model.compress(DATA, mix=True, adapt=True, threads=1) == small
