"""The library: the same things as the command line, silent and typed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import SMALL, russian_text

import textgen
from textgen.errors import ConfigError, InspectionError, SamplingError, StorageError
from textgen.inspection.trace import Trace


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> textgen.TrainResult:
    folder = tmp_path_factory.mktemp("api")
    text = folder / "text.txt"
    text.write_text(russian_text(3000), encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
    try:
        return textgen.train(text, out=folder / "run", steps=40, **SMALL)
    finally:
        patch.undo()


@pytest.fixture
def model(result: textgen.TrainResult) -> textgen.Model:
    return result.load()


def test_training_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text(russian_text(1000), encoding="utf-8")
    result = textgen.train(text, out=tmp_path / "run", steps=2, **SMALL)
    result.load().generate("дом", length=3)
    result.load().trace("дом")
    result.load().evaluate(text, threads=1)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_result(result: textgen.TrainResult) -> None:
    assert result.model == result.folder / "model.safetensors"
    assert result.model.is_file()
    assert result.bits_per_char == result.load().info["metrics"]["val_bits_per_char"]
    assert result.ended.steps == 40


def test_load_takes_a_file_a_folder_and_a_name(
    result: textgen.TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = result.load().generate("дом", length=20)
    (tmp_path / "checkpoints").mkdir()
    os.symlink(result.folder, tmp_path / "checkpoints" / "mine")
    monkeypatch.chdir(tmp_path)
    for spec in (result.model, result.folder, str(result.folder), "mine", None):
        assert textgen.load(spec).generate("дом", length=20) == text
    with pytest.raises(StorageError, match="mine"):
        textgen.load("mein")


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text(russian_text(600), encoding="utf-8")
    assert textgen.train("book.txt", steps=1, **SMALL).folder == Path("checkpoints/book")
    assert textgen.load("book").config.hidden_size == 24


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hiden_size"):
        textgen.train(tmp_path, hiden_size=3, steps=1)
    with pytest.raises(ConfigError, match="duration"):
        textgen.train(tmp_path, budget="soon")
    with pytest.raises(ConfigError, match="no text"):
        textgen.train()


def test_budget_is_a_number_or_words(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(russian_text(1000), encoding="utf-8")
    for number, budget in enumerate((0.3, "0.3s")):
        result = textgen.train(text, out=tmp_path / str(number), budget=budget, **SMALL)
        assert result.ended.reason == "finished"
        assert result.ended.seconds < 10


def test_generate(model: textgen.Model) -> None:
    text = model.generate("дом", length=50, rng=2)
    assert text.startswith("дом") and len(text) == 53
    assert model.generate("дом", length=50, rng=2) == text
    assert text == "дом" + "".join(s.text for s in model.stream("дом", length=50, rng=2))
    many = model.generate_many(3, "дом", length=50, rng=2)
    assert "дом" + many[0].text == text
    assert many[2].text == "".join(s.text for s in model.stream("дом", length=50, rng=2, index=2))
    with pytest.raises(SamplingError):
        model.generate(temperature=-1)


def test_options_are_the_models(model: textgen.Model) -> None:
    """One place says where a text ends; a model of one text goes on to the length."""
    usual = model.sample_options()
    assert (usual.until_end, usual.keep_going, usual.separator) == (False, False, "\n\n")
    saved = model.saved
    corpus = {**saved.info["corpus"], "documents": 7}
    corpus["options"] = {**corpus["options"], "documents": "line"}
    del corpus["separator"]  # As in models of older versions.
    lines = textgen.Model(replace(saved, info={**saved.info, "corpus": corpus}), model.path)
    usual = lines.sample_options()
    assert (usual.until_end, usual.separator) == (True, "\n")
    going = lines.sample_options(keep_going=True)
    assert (going.until_end, going.keep_going, going.separator) == (False, True, "\n")
    assert lines.sample_options(until_end=False).until_end is False
    assert lines.sample_options(keep_going=True, separator=" / ").separator == " / "
    pairs = textgen.Model(replace(saved, info={**saved.info, "pairs": True}), model.path)
    assert pairs.sample_options().until_end is True
    with pytest.raises(SamplingError, match="several sources"):
        pairs.sample_options(keep_going=True)


def test_stop_texts_are_normalised(model: textgen.Model) -> None:
    whole = model.generate(length=300)
    assert "й" in whole
    assert model.generate(length=300, stop=("и\u0306",)) == whole.partition("й")[0]
    assert model.generate(length=300, stop=("\r\n",)) == whole.partition("\n")[0]
    # Texts are taken as they are: a backslash is one.
    assert model.generate(length=300, stop=("\\n",)) == whole
    assert model.fit_stop("漢").notice is not None
    with pytest.raises(SamplingError, match="stop"):
        model.generate(stop=("",))


def test_exact_texts_are_those_written_alone(model: textgen.Model) -> None:
    """However many there are; together they may differ from them."""
    texts = model.generate_many(12, "дом", length=20, rng=2, exact=True)
    for index, text in enumerate(texts):
        alone = model.stream("дом", length=20, rng=2, index=index)
        assert text.text == "".join(symbol.text for symbol in alone)
    assert len(model.generate_many(12, "дом", length=20, rng=2)) == 12


def test_weights_of_eight_bits_write_what_is_written_alone(model: textgen.Model) -> None:
    plain, rounded = (
        next(model.stream("дом", length=5, top_k=1, eight_bit=narrow)).logprob
        for narrow in (False, True)
    )
    assert rounded != plain
    assert rounded == pytest.approx(plain, abs=0.05)
    together = (
        [text.text for text in model.generate_many(5, "дом", length=20, eight_bit=narrow)]
        for narrow in (False, True)
    )
    assert next(together) == next(together)


def test_seed_is_fitted(model: textgen.Model) -> None:
    fitted = model.fit_seed("ДОМ漢")
    assert fitted.text.casefold() == "дом"
    assert fitted.notice is not None
    assert model.generate("ДОМ漢", length=5).startswith(fitted.text)


def test_trace(model: textgen.Model) -> None:
    trace = model.trace("Утром дом", quantities=["cell", "forget-gate"])
    assert isinstance(trace, Trace)
    assert trace.quantities == ("cell", "forget-gate")
    assert trace.values(0, 3, "cell").shape == (9,)
    gates = trace.arrays["layers.0.forget-gate"]
    assert gates.shape == (9, 24)
    assert ((gates > 0) & (gates < 1)).all()
    with pytest.raises(InspectionError):
        model.trace("дом", quantities=["reset-gate"])


def test_trace_and_evaluation_agree(model: textgen.Model, tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    content = russian_text(300, seed=5)
    path.write_text(content, encoding="utf-8")
    whole = model.evaluate(path, threads=1)
    assert whole.cold is None
    # Both compute in float32, summing in another order.
    assert model.trace(content, quantities=()).nats.sum() == pytest.approx(whole.nats, rel=1e-4)


def test_progress_of_an_evaluation(model: textgen.Model, tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    path.write_text(russian_text(5000, seed=5), encoding="utf-8")
    seen: list[tuple[int, int]] = []
    model.evaluate(path, threads=1, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5000, 5000)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_writer(model: textgen.Model) -> None:
    writer = model.writer(length=10, rng=1)
    writer.feed("Утром ")
    written = "".join(symbol.text for symbol in writer.write())
    assert writer.text == "Утром " + written
    assert writer.undo() and writer.text == "Утром "


def test_encode(model: textgen.Model) -> None:
    ids = model.encode("дом\r\nдом")
    assert model.vocabulary.decode(ids) == "дом\nдом"
    assert np.issubdtype(ids.dtype, np.integer)


def test_what_a_text_copies_from_the_training_text(
    result: textgen.TrainResult, model: textgen.Model
) -> None:
    text = result.folder.parent / "text.txt"
    copied = text.read_text("utf-8")[100:160]
    found = model.novelty([copied, "ааа"], novelty_corpus=text)
    assert found.found[0].longest == found.longest == len(copied)
    assert found.found[0].copied_share == 1.0 and found.found[1].copied_share == 0.0
    assert "".join(piece for piece, is_copied in found.pieces(0) if is_copied) == copied
    assert found.to_json()["longest"] == len(copied)
    written = model.generate_many(2, length=30)
    assert len(model.novelty(written, novelty_corpus=text).found) == 2
    with pytest.raises(ConfigError, match=r"give novelty_corpus=.*text\.txt"):
        model.novelty(written)
