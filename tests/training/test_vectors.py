"""First vectors that are learned or read, and embeddings that stay as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import ROOT, SMALL, environment, russian_text, textgen_cli

import textgen
from textgen.errors import BackendError, ConfigError
from textgen.options import TrainOptions, parse_embedding
from textgen.training import vectors as module
from textgen.training.events import Started
from textgen.training.vectors import Vectors, learn_vectors, place_vectors, without_common

WORDS = {**SMALL, "level": "word", "fold": True, "steps": 8}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(russian_text(6000), encoding="utf-8")
    return path


def pairs_of_neighbours(count: int) -> np.ndarray:
    """A text of ten symbols in which 2 and 3 stand where the other might, and so do 4 and 5."""
    rng = np.random.default_rng(0)
    parts = [[rng.choice([2, 3]), 6, 7] if rng.random() < 0.5 else [rng.choice([4, 5]), 8, 9]]
    for _ in range(count):
        first, rest = ([2, 3], [6, 7]) if rng.random() < 0.5 else ([4, 5], [8, 9])
        parts.append([rng.choice(first), *rest])
    return np.concatenate(parts).astype(np.uint8)


def test_symbols_in_the_same_places_get_like_vectors() -> None:
    learned = learn_vectors(pairs_of_neighbours(1500), width=8, level="char", rng=1)
    unit = {token: v / np.linalg.norm(v) for token, v in learned.by_id.items()}
    assert set(unit) == set(range(2, 10))
    assert unit[2] @ unit[3] > unit[2] @ unit[4] + 0.1
    assert unit[4] @ unit[5] > unit[4] @ unit[3] + 0.1


@pytest.mark.slow
def test_the_same_again_in_another_process() -> None:
    """And, as it must be able to differ, other vectors from another seed."""
    code = (
        "import numpy as np; from textgen.training.vectors import learn_vectors\n"
        "ids = np.random.default_rng(0).integers(2, 40, 3000).astype(np.uint8)\n"
        "for rng in (1, 1, 2):\n"
        "    v = learn_vectors(ids, width=8, level='word', rng=rng).by_id\n"
        "    print(np.stack([v[i] for i in sorted(v)]).tobytes().hex())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=environment(PYTHONHASHSEED=seed),
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0][0] == runs[0][1] != runs[0][2]


def test_of_a_long_text_stretches_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEARN_TOKENS", 4000)
    ids = np.arange(2, 20002) % 50 + 2
    assert "4,000 tokens of the training text, read once" in (
        learn_vectors(ids, width=4, level="char", rng=1).source
    )
    assert "1,000 tokens of the training text, read 4 times" in (
        learn_vectors(ids[:1000], width=4, level="char", rng=1).source
    )


@pytest.mark.parametrize("size", [1.0, 0.2])
def test_vectors_get_the_length_of_drawn_ones(size: float) -> None:
    rng = np.random.default_rng(1)
    drawn = (size * rng.normal(size=(400, 8))).astype(np.float32)
    drawn[:2] = 0.0
    given = {token: (rng.normal(size=8) + 5.0).astype(np.float32) for token in range(10, 60)}
    placed = place_vectors(drawn, Vectors(8, given, ""), rng=1, marks=False)
    lengths = np.linalg.norm(placed[10:60], axis=1)
    usual = np.sqrt(np.mean(np.square(drawn[2:]))) * np.sqrt(8)
    np.testing.assert_allclose(lengths, usual, rtol=1e-5)
    np.testing.assert_array_equal(placed[60:], drawn[60:])
    assert (placed[:2] == 0.0).all()
    assert abs(float(placed[10:60].mean())) < 0.05 * usual  # the mean of 5 is gone
    marked = place_vectors(drawn, Vectors(8, given, ""), rng=1, marks=True)
    np.testing.assert_array_equal(marked[2:], placed[2:])
    assert 0.3 * usual < np.linalg.norm(marked[0]) < 3.0 * usual


def test_what_all_vectors_have_in_common_is_taken_away() -> None:
    rng = np.random.default_rng(2)
    loud = rng.normal(size=16)
    given = rng.normal(size=(300, 16)) + 9.0 + 20.0 * rng.normal(size=(300, 1)) * loud
    result = without_common(given.astype(np.float32)).astype(np.float64)
    assert np.abs(result.mean(axis=0)).max() < 1e-4
    assert np.abs(result @ loud).max() < 0.05 * np.abs(given @ loud).max()
    few = given[:16].astype(np.float32)
    np.testing.assert_array_equal(without_common(few), few)


@pytest.mark.parametrize("level", ["char", "byte", "word"])
def test_word2vec_at_every_level(level: str, text: Path, tmp_path: Path) -> None:
    seen = []
    settings = {**SMALL, "level": level, "steps": 3, "vectors": "word2vec", "embedding_size": 16}
    textgen.train(text, out=tmp_path / "run", on_event=seen.append, **settings)
    assert isinstance(seen[0], Started)
    (choice,) = [choice for choice in seen[0].choices if choice.name == "vectors"]
    assert choice.value == "word2vec"
    assert "skip-gram over" in choice.reason and "100.0% of the text's tokens" in choice.reason


def test_the_command_that_is_printed_repeats_the_run(text: Path, tmp_path: Path) -> None:
    for name, settings in {
        "word2vec": {"vectors": "word2vec", "freeze_embedding": True},
        "distance": {"vectors": "word2vec", "loss": "distance", "distance": "cosine"},
    }.items():
        seen: list[Started] = []
        out = tmp_path / name
        textgen.train(text, out=out, on_event=seen.append, **WORDS, **settings)
        again = textgen_cli(*seen[0].command.split()[1:], "--out", tmp_path / "again", "--force")
        assert again.exit_code == 0, again.stderr
        first, second = (textgen.load(f).saved.weights for f in (out, tmp_path / "again"))
        for weight, array in first.items():
            np.testing.assert_array_equal(second[weight], array, err_msg=weight)


def test_a_file_gives_its_width_and_says_what_it_covers(text: Path, tmp_path: Path) -> None:
    words = sorted(set(text.read_text().lower().replace(".", " ").split()))[:20]
    path = tmp_path / "own.vec"
    rng = np.random.default_rng(0)
    rows = [f"{w} {' '.join(f'{x:.4f}' for x in rng.normal(size=12))}\n" for w in words]
    path.write_text(f"{len(rows)} 12\n{''.join(rows)}", encoding="utf-8")
    seen: list[Started] = []
    result = textgen.train(
        text, out=tmp_path / "run", on_event=seen.append, vectors=str(path), **WORDS
    )
    model = result.load()
    assert model.config.embedding_size == 12
    reasons = {choice.name: choice.reason for choice in seen[0].choices}
    assert reasons["embedding_size"] == f"the width of the vectors in {path}"
    known = sum(symbol.strip() in words for symbol in model.vocabulary.symbols[2:])
    assert f": {known} of {len(model.vocabulary)} symbols, " in reasons["vectors"]
    assert "keep drawn vectors" in reasons["vectors"]
    with pytest.raises(ConfigError, match="have 12 numbers, and embedding_size 7"):
        textgen.train(text, out=tmp_path / "o", vectors=str(path), embedding_size=7, **WORDS)


def test_a_missing_gensim_is_said_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(BackendError, match=r'pip install "\.\[vectors\]"'):
        textgen.train(tmp_path / "no-such-text", vectors="word2vec", out=tmp_path / "run")


def test_a_row_of_zeros_is_no_vector(text: Path, tmp_path: Path) -> None:
    """Its symbol keeps a drawn one: all is near to zeros, or nothing."""
    words = sorted(set(text.read_text().lower().replace(".", " ").split()))[:20]
    path = tmp_path / "own.vec"
    rows = [f"{word} {k % 2} {k % 2 * k} 0 0\n" for k, word in enumerate(words)]
    path.write_text(f"{len(rows)} 4\n{''.join(rows)}", encoding="utf-8")
    seen: list[Started] = []
    result = textgen.train(
        text, out=tmp_path / "run", on_event=seen.append, vectors=str(path), **WORDS
    )
    model = result.load()
    known = sum(symbol.strip() in words[1::2] for symbol in model.vocabulary.symbols[2:])
    (said,) = (choice.reason for choice in seen[0].choices if choice.name == "vectors")
    assert f": {known} of {len(model.vocabulary)} symbols, " in said
    assert np.all(np.linalg.norm(model.saved.weights["embedding.weight"][2:], axis=1) > 0)
    path.write_text(f"1 4\n{words[0]} 0 0 0 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="are all zero"):
        textgen.train(text, out=tmp_path / "other", vectors=str(path), **WORDS)


@pytest.mark.parametrize("width", ["0", "8193", "99999999999"])
def test_vectors_of_no_width(width: str) -> None:
    with pytest.raises(ConfigError, match="a vector has 1 to 8192 numbers"):
        parse_embedding(f"word2vec:{width}")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("64", (64, None)),
        ("word2vec", (None, "word2vec")),
        ("word2vec:100", (100, "word2vec")),
        ("cc.ru.300.vec", (None, "cc.ru.300.vec")),
        ("./word2vec", (None, "./word2vec")),
        ("-3", (-3, None)),
    ],
)
def test_what_the_option_says(given: str, expected: tuple[int | None, str | None]) -> None:
    size, vectors = expected
    assert parse_embedding(given) == {"embedding_size": size, "vectors": vectors}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "hinge"}, "one of cross-entropy, distance"),
        ({"loss": "distance", "distance": "l1"}, "one of euclidean, cosine"),
        ({"distance": "cosine"}, "give both"),
        ({"loss": "distance", "tie": True}, "leave tie out"),
        (
            {"loss": "distance", "freeze_embedding": False},
            "collapse.*leave freeze_embedding=False out",
        ),
        ({"tie": True, "freeze_embedding": True}, "tie or freeze_embedding"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainOptions(**settings)  # type: ignore[arg-type]


def test_a_distance_wants_vectors_that_mean_something(text: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="drawn by chance say nothing of a word"):
        textgen.train(text, out=tmp_path / "run", loss="distance", **WORDS)
    assert not (tmp_path / "run").exists()
