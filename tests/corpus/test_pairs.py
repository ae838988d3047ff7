"""Pairs: which lines are one, which tokens count, and how they are split."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.corpus import spans
from textgen.corpus import split as split_module
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.pairs import MalformedPairs, PairIndex, find_pairs, index_pairs, separator_id
from textgen.corpus.spans import Spans, span_hashes
from textgen.corpus.split import Split, split_pairs
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.corpus.windows import Windows
from textgen.errors import CorpusError, EmptyCorpusError

TAB = 2
LINES = CorpusOptions(documents="line")


def tokens_of(*lines: tuple[int, int], first: int = 3) -> np.ndarray:
    """Pairs of so many tokens on either side, an end mark before each and after the last."""
    rng = np.random.default_rng(0)
    parts = [[END_ID]]
    for left, right in lines:
        parts.append([*rng.integers(first, 9, left), TAB, *rng.integers(first, 9, right), END_ID])
    return np.concatenate(parts).astype(np.uint8)


def open_pairs(
    paths: list[Path], options: CorpusOptions, **more: Vocabulary
) -> tuple[Corpus, PairIndex]:
    corpus = Corpus.open(paths, options, **more)
    return corpus, find_pairs(corpus, paths)


def counted_by_hand(tokens: np.ndarray) -> list[bool]:
    """Of each token, whether it stands after a TAB; the mark before the first is none."""
    counted, written = [], False
    for token in tokens.tolist():
        counted.append(written)
        written = token == TAB or (written and token != END_ID)
    return counted


def test_what_counts_of_one_pair() -> None:
    """The target and the end mark after it; neither the source nor the TAB."""
    tokens = np.array([END_ID, 3, 4, TAB, 5, 6, END_ID], np.uint8)
    batch = Windows(tokens, seq_len=6, separator=TAB).batch(0)
    assert batch.inputs_TB[:, 0].tolist() == [END_ID, 3, 4, TAB, 5, 6]
    assert batch.targets_TB[:, 0].tolist() == [-1, -1, -1, 5, 6, END_ID]
    assert batch.resets_TB[:, 0].tolist() == [True, *[False] * 5]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=9),
    seq_len=st.integers(1, 20),
    batch_size=st.integers(1, 5),
    step=st.integers(0, 50),
)
def test_what_counts_wherever_a_window_begins(
    sizes: list[tuple[int, int]], seq_len: int, batch_size: int, step: int
) -> None:
    """Pairs are longer than windows, and than what is looked back at once; the ring goes round."""
    tokens = tokens_of(*sizes)
    seq_len = min(seq_len, len(tokens) - 1)
    plain = Windows(tokens, seq_len=seq_len, batch_size=batch_size).batch(step)
    marked = Windows(tokens, seq_len=seq_len, batch_size=batch_size, separator=TAB).batch(step)
    np.testing.assert_array_equal(plain.inputs_TB, marked.inputs_TB)
    np.testing.assert_array_equal(plain.resets_TB, marked.resets_TB)
    ring = len(tokens) - 1
    starts = (np.arange(batch_size) * ring // batch_size + step * seq_len) % ring
    places = (starts[None, :] + np.arange(seq_len)[:, None]) % ring + 1
    counted = np.array(counted_by_hand(tokens))[places]
    np.testing.assert_array_equal(marked.targets_TB, np.where(counted, plain.targets_TB, -1))


def test_a_long_source_is_looked_back_over() -> None:
    tokens = tokens_of((3, 200_000), (200_000, 3))
    windows = Windows(tokens, seq_len=10, separator=TAB)
    for step, counts in ((15_000, True), (30_000, False)):
        assert bool((windows.batch(step).targets_TB >= 0).all()) is counts
        assert bool((windows.batch(step).targets_TB >= 0).any()) is counts


def test_an_epoch_counts_every_target_once() -> None:
    tokens = tokens_of(*[(k % 5 + 1, k % 7 + 1) for k in range(30)])
    windows = Windows(tokens, seq_len=1, batch_size=1, separator=TAB)
    counted = sum(int((windows.batch(k).targets_TB >= 0).sum()) for k in range(len(tokens) - 1))
    assert counted == index_pairs(tokens, TAB).counted == sum(k % 7 + 2 for k in range(30))


def test_where_the_pairs_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "_SCAN", 5)
    tokens = tokens_of((2, 3), (1, 1), (4, 2))
    expected = ([1, 8, 12], [3, 9, 16], [7 - 0, 11, 19])
    for cut in (tokens, tokens[1:], tokens[:-1], tokens[1:-1]):
        index = index_pairs(cut, TAB)
        moved = len(tokens) - len(cut) - (0 if cut[-1] == END_ID else 1)
        found = (index.starts + moved, index.separators + moved, index.stops + moved)
        assert tuple(part.tolist() for part in found) == expected
    assert index_pairs(tokens, TAB).first_within(12).starts.tolist() == [1, 8]
    assert len(index_pairs(tokens, TAB).first_within(1)) == 1


@pytest.mark.parametrize(
    "bad", [[3, 4], [TAB, 3], [3, TAB], [TAB], [3, TAB, TAB, 4], [3, TAB, 4, TAB]]
)
def test_documents_that_are_no_pair(bad: list[int]) -> None:
    good = [3, TAB, 4]
    tokens = np.array([*good, END_ID, *bad, END_ID, *good], np.uint8)
    with pytest.raises(MalformedPairs, match="1 of 3 lines is not a pair: line 2 ") as raised:
        index_pairs(tokens, TAB)
    assert raised.value.numbers.tolist() == [1]


def test_lines_that_are_no_pair_are_named(tmp_path: Path) -> None:
    first, second = tmp_path / "a.tsv", tmp_path / "b.tsv"
    first.write_text("да\tyes\n\n   \nнет\n\tno\n", encoding="utf-8")
    second.write_text("мир\tpeace\nдом\t\nты\tyou\tthou\n", encoding="cp1251")
    with pytest.raises(CorpusError) as raised:
        open_pairs([first, second], LINES)
    message = str(raised.value)
    assert message.startswith("4 of 6 lines are not pairs: ")
    for part in (
        f"{first} line 4 has no TAB ('нет')",
        f"{first} line 5 has an empty source ('\\tno')",
        f"{second} line 2 has an empty target ('дом\\t')",
        f"{second} line 3 has 2 TABs ('ты\\tyou\\tthou')",
        "a pair is SOURCE, one TAB, TARGET",
    ):
        assert part in message


def test_a_file_without_a_tab(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a line\nanother\n")
    with pytest.raises(
        CorpusError, match="no line has a TAB; a file of pairs has one pair on each line"
    ):
        open_pairs([path], LINES)


@pytest.mark.parametrize("level", ["char", "byte", "word"])
def test_pairs_at_every_level(level: str, tmp_path: Path) -> None:
    """Any encoding, gzip, Windows line ends; one character several tokens, and the other way."""
    lines = [("дом мой", "my house"), ("é̂ 😀", "ü"), ("кот", "a cat, it's"), ("дом", "house")]
    path = tmp_path / "pairs.tsv.gz"
    path.write_bytes(gzip.compress("\r\n".join("\t".join(pair) for pair in lines).encode("utf-16")))
    corpus, index = open_pairs([path], CorpusOptions(level=level, documents="line"))
    assert len(index) == 4
    tab = separator_id(corpus.vocabulary)
    found = [
        (
            corpus.vocabulary.decode(corpus.tokens[start:separator]),
            corpus.vocabulary.decode(corpus.tokens[separator + 1 : stop]),
        )
        for start, separator, stop in zip(index.starts, index.separators, index.stops, strict=True)
    ]
    assert found == lines
    assert (corpus.tokens[index.separators] == tab).all()
    split = split_pairs(corpus, index, 0.25)
    sides = split.train_side, split.val_side
    assert sum(side.counted_chars for side in sides) == sum(len(right) for _, right in lines)
    assert sum(side.chars for side in sides) == sum(len(a) + 1 + len(b) for a, b in lines)
    counted = [
        index_pairs(split.train, tab).counted,
        index_pairs(split.val, tab).counted,
    ]
    assert [side.counted for side in sides] == counted


def texts_of(split: Split, vocabulary: Vocabulary) -> tuple[list[str], list[str]]:
    """The lines of either side."""
    sides = []
    for tokens in (split.train, split.val):
        ends = np.flatnonzero(np.asarray(tokens) == END_ID)
        parts = np.split(np.asarray(tokens), ends)
        sides.append([vocabulary.decode(part) for part in parts if len(part) > 1])
    return sides[0], sides[1]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def numbered(count: int) -> list[str]:
    """Pairs in the order of their numbers."""
    return [f"{number:04}\t{number:b}" for number in range(count)]


@pytest.mark.parametrize("scan", [1 << 20, 50])
def test_every_pair_lies_on_one_side(
    scan: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "_SCAN", scan)
    lines = numbered(300)
    corpus, index = open_pairs([write(tmp_path / "n.tsv", lines)], LINES)
    split = split_pairs(corpus, index, 0.1, cache=tmp_path / f"cache{scan}")
    train, val = texts_of(split, corpus.vocabulary)
    assert sorted([*train, *val]) == lines
    assert (
        len(val) == split.val_side.documents == 30
        and len(train) == split.train_side.documents == 270
    )
    assert split.train[0] == split.train[-1] == split.val[-1] == END_ID
    assert len(split.train) == 1 + split.train_side.tokens
    # In memory nothing but the map of a file.
    assert not split.train.flags.writeable


def test_a_sorted_file_is_sampled_fairly(tmp_path: Path) -> None:
    """The held-out numbers are spread over the file, and the training text is in no order."""
    corpus, index = open_pairs([write(tmp_path / "n.tsv", numbered(3000))], LINES)
    train, val = texts_of(split_pairs(corpus, index, 0.1), corpus.vocabulary)
    numbers = [int(line[:4]) for line in val]
    counts = np.bincount(np.array(numbers) // 300, minlength=10)
    assert counts.min() >= 12 and counts.max() <= 52  # 30 each, four standard deviations
    order = np.array([int(line[:4]) for line in train])
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.08


def test_a_source_is_never_on_both_sides(tmp_path: Path) -> None:
    rng = random.Random(3)
    lines = [f"{rng.randrange(60)}\t{rng.randrange(10**6)}" for _ in range(600)]
    corpus, index = open_pairs([write(tmp_path / "n.tsv", lines)], LINES)
    train, val = texts_of(split_pairs(corpus, index, 0.2), corpus.vocabulary)
    sources = [{line.split("\t")[0] for line in side} for side in (train, val)]
    assert not sources[0] & sources[1]
    assert len(sources[1]) == 12  # a fifth of the different sources
    assert sorted([*train, *val]) == sorted(lines)


def test_the_split_depends_on_the_sources_alone(tmp_path: Path) -> None:
    """Not on the order of the lines, nor on the ids that a vocabulary gives."""
    lines = numbered(200)
    shuffled = random.Random(1).sample(lines, 200)
    held_out = []
    for name, rows in (("a", lines), ("b", shuffled)):
        corpus, index = open_pairs([write(tmp_path / name, rows)], LINES)
        held_out.append(set(texts_of(split_pairs(corpus, index, 0.1), corpus.vocabulary)[1]))
    other = Vocabulary("char", ("", "", *reversed(corpus.vocabulary.symbols[2:])))
    corpus, index = open_pairs([tmp_path / "a"], LINES, vocabulary=other)
    held_out.append(set(texts_of(split_pairs(corpus, index, 0.1), other)[1]))
    assert held_out[0] == held_out[1] == held_out[2]


def test_hashes_see_the_order_of_letters() -> None:
    vocabulary = Vocabulary.from_characters("\tab")
    texts = ["ab", "ba", "aab", "ab", "b"]
    tokens = np.concatenate([[*vocabulary.encode(f"{text}\ta"), END_ID] for text in texts])
    index = index_pairs(tokens, separator_id(vocabulary))
    hashes = span_hashes(tokens, Spans(index.starts, index.separators), vocabulary).tolist()
    assert hashes[0] == hashes[3] and len(set(hashes)) == 4


def test_the_split_is_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, index = open_pairs([write(tmp_path / "n.tsv", numbered(50))], LINES)
    first = split_pairs(corpus, index, 0.1)

    def fail(*_: object) -> None:
        raise AssertionError("made again")

    with monkeypatch.context() as patch:
        patch.setattr(split_module, "_draw_pairs", fail)
        again = split_pairs(corpus, index, 0.1)
        with pytest.raises(AssertionError, match="made again"):
            split_pairs(corpus, index, 0.2)
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.val, again.val)
    assert first.train_side == again.train_side


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    corpus, index = open_pairs([write(tmp_path / "n.tsv", numbered(50))], LINES)
    (tmp_path / "file").write_text("")
    split = split_pairs(corpus, index, 0.1, cache=tmp_path / "file" / "cache")
    np.testing.assert_array_equal(split.train, split_pairs(corpus, index, 0.1).train)


def test_one_source_cannot_be_split(tmp_path: Path) -> None:
    corpus, index = open_pairs([write(tmp_path / "n.tsv", ["a\tb", "a\tc", "a\td"])], LINES)
    with pytest.raises(EmptyCorpusError, match="3 pairs with a single source"):
        split_pairs(corpus, index, 0.1)
    assert split_pairs(corpus, index, None).train_side.documents == 3
