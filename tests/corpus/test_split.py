"""Which documents validate: a fair draw by their content, or the ends of a few long ones."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus import spans
from textgen.corpus import split as split_module
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.spans import (
    Spans,
    document_lengths,
    find_documents,
    gather,
    span_chars,
    span_hashes,
)
from textgen.corpus.split import Split, split_documents
from textgen.corpus.vocabulary import END_ID, Vocabulary


def names(count: int, seed: int = 0) -> list[str]:
    """Different made-up names in alphabetical order."""
    rng = random.Random(seed)
    found: set[str] = set()
    while len(found) < count:
        syllables = [rng.choice("bdfgklmnprstvyz") + rng.choice("aeiou") for _ in range(3)]
        found.add("".join(syllables[: rng.randint(2, 3)]).capitalize())
    return sorted(found)


def opened(path: Path, lines: list[str], documents: str = "line", **options: object) -> Corpus:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Corpus.open([path], CorpusOptions(documents=documents, **options))  # type: ignore[arg-type]


def sides(split: Split | None, vocabulary: Vocabulary) -> tuple[list[str], list[str]]:
    """The documents of either side, in their order."""
    assert split is not None
    assert split.train[0] == split.train[-1] == split.val[-1] == END_ID
    found = []
    for tokens in (split.train, split.val):
        documents = find_documents(tokens)
        found.append(
            [
                vocabulary.decode(tokens[a:b])
                for a, b in zip(documents.starts, documents.stops, strict=True)
            ]
        )
    return found[0], found[1]


def test_a_sorted_list_is_sampled_fairly(tmp_path: Path) -> None:
    lines = names(1200)
    corpus = opened(tmp_path / "n.txt", lines)
    split = split_documents(corpus, 0.1)
    train, val = sides(split, corpus.vocabulary)
    assert split is not None and split.way == "drawn"
    assert sorted([*train, *val]) == lines and not set(train) & set(val)
    assert (split.train_side.documents, split.val_side.documents) == (len(train), len(val))
    # Of every letter some validate, about a tenth.
    assert {name[0] for name in val} == {name[0] for name in lines}
    places = np.array([lines.index(name) for name in val])
    counts = np.bincount(places // 300, minlength=4)
    assert counts.min() >= 15 and counts.max() <= 48  # 30 each, a bit more than 3 deviations
    # What is trained on stands in no order.
    order = np.array([lines.index(name) for name in train])
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.1
    chars = sum(map(len, val))
    assert chars == split.val_side.chars and 0.095 < chars / corpus.chars <= 0.1


def test_the_draw_depends_on_the_documents_alone(tmp_path: Path) -> None:
    """Not on their order, nor on the ids of a vocabulary, nor on the cache."""
    lines = names(300)
    held_out = []
    for number, rows in enumerate((lines, random.Random(1).sample(lines, 300))):
        corpus = opened(tmp_path / f"{number}.txt", rows)
        split = split_documents(corpus, 0.2, cache=tmp_path / f"cache{number}")
        held_out.append(set(sides(split, corpus.vocabulary)[1]))
    other = Vocabulary("char", ("", "", *reversed(corpus.vocabulary.symbols[2:])))
    corpus = Corpus.open([tmp_path / "0.txt"], CorpusOptions(documents="line"), vocabulary=other)
    held_out.append(set(sides(split_documents(corpus, 0.2), other)[1]))
    assert held_out[0] == held_out[1] == held_out[2]


def test_duplicates_lie_on_one_side(tmp_path: Path) -> None:
    rng = random.Random(4)
    different = names(80)
    lines = [rng.choice(different) for _ in range(800)]
    corpus = opened(tmp_path / "n.txt", lines)
    train, val = sides(split_documents(corpus, 0.2), corpus.vocabulary)
    assert val and not set(train) & set(val)
    assert Counter([*train, *val]) == Counter(lines)


@pytest.mark.parametrize("way", ["blank", "files"])
def test_many_documents_of_other_kinds_are_drawn_as_lines_are(tmp_path: Path, way: str) -> None:
    """Sorted texts, some of them twice: a fair draw, and no text on both sides."""
    texts = [f"{name}\n{name.lower()} and {name[::-1]}" for name in names(400)]
    texts = sorted([*texts, *texts[::5]])
    if way == "blank":
        corpus = opened(tmp_path / "poems.txt", ["\n\n".join(texts)], documents="blank")
    else:
        for number, text in enumerate(texts):
            (tmp_path / f"{number:03}.txt").write_text(text, encoding="utf-8")
        corpus = Corpus.open([tmp_path])
    split = split_documents(corpus, 0.2)
    train, val = sides(split, corpus.vocabulary)
    assert split is not None and split.way == "drawn"
    assert Counter([*train, *val]) == Counter(texts) and not set(train) & set(val)
    quarters = np.bincount([texts.index(text) // 120 for text in val], minlength=4)
    assert quarters.min() >= 10 and 0.18 < sum(map(len, val)) / corpus.chars <= 0.2


@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=60), st.floats(0.05, 0.6), st.integers(0, 9)
)
def test_a_draw_comes_near_the_share(sizes: list[int], share: float, seed: int) -> None:
    target = round(share * sum(sizes))
    drawn = split_module._draw(np.array(sizes), target)
    total = int(np.array(sizes)[drawn].sum())
    assert total <= target and not drawn.all()
    # Whatever was left out would have been too much.
    if total < 0.95 * target:
        assert all(size > target - total for size in np.array(sizes)[~drawn])


def test_lengths_that_vary_wildly(tmp_path: Path) -> None:
    """The share is that of the characters; a document too long for it is trained on."""
    rng = random.Random(7)
    lines = names(400)
    lines += ["x" * 30_000, *("word " * rng.randint(1, 100) + str(n) for n in range(60))]
    rng.shuffle(lines)
    corpus = opened(tmp_path / "n.txt", lines)
    split = split_documents(corpus, 0.1)
    train, val = sides(split, corpus.vocabulary)
    assert "x" * 30_000 in train
    assert 0.09 < sum(map(len, val)) / corpus.chars <= 0.1
    assert {len(document) > 50 for document in val} == {True, False}


@pytest.mark.parametrize("count", [2, 3, 7])
def test_few_short_documents(tmp_path: Path, count: int) -> None:
    """Whole ones are drawn, one at least on either side: the model is to learn where they end."""
    lines = [f"poem {'abcdefghij'[n]} " * 5 for n in range(count)]
    corpus = opened(tmp_path / "p.txt", lines)
    split = split_documents(corpus, 0.1)
    train, val = sides(split, corpus.vocabulary)
    assert split is not None and split.way == "drawn"
    assert len(val) == 1 and len(train) == count - 1


def test_nothing_to_draw(tmp_path: Path) -> None:
    corpus = opened(tmp_path / "n.txt", ["yes"] * 50)
    assert corpus.documents == 50 and split_documents(corpus, 0.1) is None
    corpus = opened(tmp_path / "m.txt", ["a single line"])
    assert split_documents(corpus, 0.1) is None


def folder(path: Path, count: int, chars: int) -> list[Path]:
    path.mkdir()
    rng = random.Random(count)
    paths = []
    for number in range(count):
        words = "".join(rng.choice("abcdefgh ") for _ in range(chars + 97 * (number % 4)))
        paths.append(path / f"{number:03}.txt")
        paths[-1].write_text(f"[{number}]{words}", encoding="utf-8")
    return paths


@pytest.mark.parametrize("chars", [300, 4000])
def test_few_files_give_their_ends(tmp_path: Path, chars: int) -> None:
    paths = folder(tmp_path / "few", 6, chars)
    corpus = Corpus.open([tmp_path / "few"])
    split = split_documents(corpus, 0.1)
    train, val = sides(split, corpus.vocabulary)
    assert split is not None and split.way == "ends"
    texts = [path.read_text() for path in paths]
    assert [a + b for a, b in zip(train, val, strict=True)] == texts
    assert all(0.09 < len(b) / len(text) < 0.11 for b, text in zip(val, texts, strict=True))
    assert split.val_side.chars == sum(map(len, val))
    assert split.train_side.chars == sum(map(len, train))


@pytest.mark.parametrize("chars", [300, 4000])
def test_of_many_files_some_are_drawn(tmp_path: Path, chars: int) -> None:
    paths = folder(tmp_path / "many", 40, chars)
    corpus = Corpus.open([tmp_path / "many"])
    split = split_documents(corpus, 0.1)
    train, val = sides(split, corpus.vocabulary)
    assert split is not None and split.way == "drawn"
    texts = [path.read_text() for path in paths]
    assert sorted([*train, *val]) == sorted(texts)
    numbers = [texts.index(text) for text in val]
    assert len(val) in (3, 4, 5) and min(numbers) < 20  # not the last ones
    assert 0.07 < sum(map(len, val)) / corpus.chars <= 0.1


def test_one_file_that_is_nearly_all(tmp_path: Path) -> None:
    """No draw gives the share: the long one gives its end, and short ones stay whole."""
    paths = folder(tmp_path / "uneven", 30, 40)
    paths[3].write_text("abc def " * 20_000)
    corpus = Corpus.open([tmp_path / "uneven"])
    split = split_documents(corpus, 0.1)
    train, val = sides(split, corpus.vocabulary)
    assert split is not None and split.way == "ends"
    assert len(train) == 30 and len(val) == 1 and len(val[0]) == 16_000


@pytest.mark.parametrize("small", [20, 150, 250])
def test_one_line_that_is_nearly_all(tmp_path: Path, small: int) -> None:
    """Drawing all the others would leave nothing of their kind to train on."""
    lines = names(small)
    corpus = opened(tmp_path / "n.txt", [*lines, "abc def " * 2_000])
    split = split_documents(corpus, 0.1)
    train, val = sides(split, corpus.vocabulary)
    assert split is not None and split.way == "ends"
    assert set(lines) <= set(train) and len(val) == 1 and len(val[0]) == 1600


@pytest.mark.parametrize("level", ["char", "byte", "word"])
@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("mode", ["line", None])
def test_characters_of_either_side_at_every_level(
    tmp_path: Path, level: str, fold: bool, mode: str | None
) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.txt")
        lines = [f"{name}, дом № {n}" for n, name in enumerate(names(60, seed=number))]
        paths[-1].write_text("\n".join(lines), encoding="utf-8")
    corpus = Corpus.open(paths, CorpusOptions(level=level, fold=fold, documents=mode))
    split = split_documents(corpus, 0.2)
    assert split is not None and split.way == ("drawn" if mode else "ends")
    total = 0
    for tokens, side in ((split.train, split.train_side), (split.val, split.val_side)):
        documents = find_documents(tokens)
        texts = [
            corpus.vocabulary.decode(tokens[a:b])
            for a, b in zip(documents.starts, documents.stops, strict=True)
        ]
        assert not any("\ufffd" in text for text in texts)  # no character was cut in two
        assert side.documents == len(texts) and side.tokens == side.counted
        assert side.tokens == len(tokens) - (tokens is split.train)
        total += side.chars
        if mode or tokens is split.train or not (fold and level == "word"):
            assert side.chars == side.counted_chars == sum(map(len, texts))
    assert total == corpus.chars
    assert 0.15 < split.val_side.chars / total < 0.25


def test_without_a_share_documents_are_shuffled(tmp_path: Path) -> None:
    lines = names(200)
    corpus = opened(tmp_path / "n.txt", lines)
    split = split_documents(corpus, None)
    assert split is not None and split.way == "whole" and len(split.val) == 0
    tokens = split.train
    documents = find_documents(tokens)
    texts = [corpus.decode(0, 0)] and [
        corpus.vocabulary.decode(tokens[a:b])
        for a, b in zip(documents.starts, documents.stops, strict=True)
    ]
    assert sorted(texts) == lines and texts != lines
    folder(tmp_path / "long", 3, 5000)
    assert split_documents(Corpus.open([tmp_path / "long"]), None) is None


def test_the_split_is_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = opened(tmp_path / "n.txt", names(50))
    first = split_documents(corpus, 0.1)

    def fail(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(split_module, "drawn_documents", fail)
    again = split_documents(corpus, 0.1)
    assert first is not None and again is not None
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.val, again.val)
    assert (first.val_side, first.way) == (again.val_side, again.way)
    with pytest.raises(AssertionError, match="made again"):
        split_documents(corpus, 0.2)


@pytest.mark.parametrize("scan", [1, 7, 1 << 20])
def test_stretches_in_pieces(scan: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "_SCAN", scan)
    vocabulary = Vocabulary.from_characters("abcdé")
    texts = ["ab", "ba", "cabé", "ab", "d", "cab" * 9]
    tokens = np.concatenate([[*vocabulary.encode(text), END_ID] for text in texts])
    documents = find_documents(tokens)
    assert len(documents) == 6
    assert span_chars(tokens, documents, vocabulary).tolist() == [len(text) for text in texts]
    hashes = span_hashes(tokens, documents, vocabulary).tolist()
    assert hashes[0] == hashes[3] and len(set(hashes)) == 5
    assert np.concatenate([*gather(tokens, documents)]).tolist() == tokens.tolist()
    part = documents.take(np.array([4, 1]))
    gathered = np.concatenate([*gather(tokens, part)])
    assert gathered.tolist() == [*vocabulary.encode("d"), END_ID, *vocabulary.encode("ba"), END_ID]
    none = Spans(documents.starts[:0], documents.stops[:0])
    assert not [*gather(tokens, none)] and not len(span_chars(tokens, none, vocabulary))


def test_lengths_of_documents() -> None:
    found = document_lengths(np.array([5, 1, 9, 3]))
    assert (found.count, found.shortest, found.median, found.longest) == (4, 1, 3, 9)
    assert document_lengths(np.array([7])).median == 7
