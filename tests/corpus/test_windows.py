"""Windows: the lecture's pairs, the streams of truncated back-propagation, and their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.vocabulary import END_ID
from textgen.corpus.windows import (
    ALL,
    LABEL_DROPOUT,
    Batch,
    DocumentLabels,
    Portion,
    Windows,
    count_of,
    count_tokens,
    mix,
    permute,
)
from textgen.errors import ConfigError, EmptyCorpusError

SENTENCE = "Это я убил тогда старуху-чиновницу и сестру её Лизавету топором, и ограбил"
PAIRS = """\
это я убил | я убил тогда
я убил тогда | убил тогда старуху
убил тогда старуху | тогда старуху чиновницу
тогда старуху чиновницу | старуху чиновницу и
старуху чиновницу и | чиновницу и сестру
чиновницу и сестру | и сестру её
и сестру её | сестру её лизавету
сестру её лизавету | её лизавету топором
её лизавету топором | лизавету топором и
лизавету топором и | топором и ограбил"""


def numbered(size: int) -> np.ndarray:
    """Tokens that tell their own place, none of them a mark."""
    return np.arange(2, size + 2, dtype=np.uint16)


@given(size=st.integers(2, 60), t=st.integers(1, 60))
def test_n_tokens_give_n_minus_t_pairs(size: int, t: int) -> None:
    tokens = numbered(size)
    if t > size - 1:
        with pytest.raises(EmptyCorpusError, match=f"a window of at most {size - 1} fits"):
            Windows(tokens, seq_len=t)
        return
    windows = Windows(tokens, seq_len=t)
    assert len(windows) == size - t
    for i in range(len(windows)):
        x, y = windows[i]
        assert x.tolist() == list(range(2 + i, 2 + i + t))
        assert y.tolist() == list(range(3 + i, 3 + i + t))
        assert np.shares_memory(x, tokens) and np.shares_memory(y, tokens)
    for outside in (-1, size - t):
        with pytest.raises(IndexError, match=f"window {outside} of {size - t}"):
            windows[outside]


def test_the_lectures_windows_of_words(tmp_path: Path) -> None:
    path = tmp_path / "sentence.txt"
    path.write_text(SENTENCE, encoding="utf-8")
    corpus = Corpus.open([path], CorpusOptions(level="word", fold=True, min_word_count=1))
    windows = Windows(corpus.tokens, seq_len=3, sliding=True)
    assert len(windows) == 10
    shown = [
        " | ".join(" ".join(corpus.vocabulary.display(side)) for side in windows[i])
        for i in range(len(windows))
    ]
    assert shown == PAIRS.splitlines()
    x, _ = windows[9]
    assert np.shares_memory(x, corpus.tokens)


def test_the_same_windows_of_characters(tmp_path: Path) -> None:
    path = tmp_path / "sentence.txt"
    path.write_text(SENTENCE, encoding="utf-8")
    corpus = Corpus.open([path])
    windows = Windows(corpus.tokens, seq_len=8, sliding=True)
    decode = corpus.vocabulary.decode
    assert [(decode(x), decode(y)) for x, y in (windows[i] for i in range(len(windows)))] == [
        (SENTENCE[i : i + 8], SENTENCE[i + 1 : i + 9]) for i in range(len(SENTENCE) - 8)
    ]


@pytest.mark.parametrize("sliding", [False, True])
def test_a_batch_holds_windows_of_the_text(sliding: bool) -> None:
    tokens = numbered(41)
    windows = Windows(tokens, seq_len=5, batch_size=3, sliding=sliding, rng=7)
    for step in range(30):
        batch = windows.batch(step)
        for array in (batch.inputs_TB, batch.targets_TB, batch.resets_TB):
            assert array.shape == (5, 3)
        assert batch.inputs_TB.dtype == batch.targets_TB.dtype == np.int64
        # Each token tells its place, so the one after it is the next number.
        np.testing.assert_array_equal(batch.targets_TB, batch.inputs_TB + 1)
        # Within a window places follow each other, but for the one step around the ring.
        jumps = np.diff(batch.inputs_TB, axis=0)
        assert set(np.unique(jumps)) <= ({1} if sliding else {1, -39})


def test_streams_cover_the_text_once_an_epoch() -> None:
    B, t, steps = 4, 5, 6
    tokens = numbered(B * t * steps + 1)
    windows = Windows(tokens, seq_len=t, batch_size=B)
    for epoch in range(2):
        seen = [windows.batch(epoch * steps + k).inputs_TB.ravel() for k in range(steps)]
        np.testing.assert_array_equal(np.sort(np.concatenate(seen)), tokens[:-1])


@given(size=st.integers(3, 80), t=st.integers(1, 20), B=st.integers(1, 7), step=st.integers(0, 99))
def test_a_stream_goes_on_where_it_stopped(size: int, t: int, B: int, step: int) -> None:
    t = min(t, size - 1)
    windows = Windows(numbered(size), seq_len=t, batch_size=B)
    this, after = windows.batch(step), windows.batch(step + 1)
    last = this.inputs_TB[-1] - 2
    np.testing.assert_array_equal(after.inputs_TB[0] - 2, (last + 1) % (size - 1))
    # The target of the last token is the next input, except where the ring closes.
    closed = last == size - 2
    np.testing.assert_array_equal(np.where(closed, 2, this.targets_TB[-1]), after.inputs_TB[0])


def test_streams_start_evenly_spread() -> None:
    windows = Windows(numbered(101), seq_len=3, batch_size=4)
    assert (windows.batch(0).inputs_TB[0] - 2).tolist() == [0, 25, 50, 75]
    # More streams than tokens share places; nothing breaks.
    assert Windows(numbered(3), seq_len=2, batch_size=5).batch(3).inputs_TB.shape == (2, 5)


def test_the_state_is_zeroed_at_marks_and_at_the_beginning_of_the_text() -> None:
    tokens = numbered(31)
    tokens[[7, 20]] = END_ID
    windows = Windows(tokens, seq_len=4, batch_size=2)
    resets = 0
    for step in range(15):  # each of the two streams goes twice around the ring of 30
        batch = windows.batch(step)
        # 2 is the first token's number, which no other place has.
        expected = (batch.inputs_TB == END_ID) | (batch.inputs_TB == 2)
        np.testing.assert_array_equal(batch.resets_TB, expected)
        resets += expected.sum()
    assert resets == 2 * 2 * 3


def test_each_stream_is_zeroed_once_in_so_many_windows_and_they_in_turn() -> None:
    windows = Windows(numbered(1000), seq_len=4, batch_size=6, reset_every=3)
    # Two of the six in each step, from the second step on none of which stands at the beginning.
    for step, streams in ((3, [0, 1]), (4, [4, 5]), (5, [2, 3]), (6, [0, 1]), (300, [0, 1])):
        resets_TB = windows.batch(step).resets_TB
        assert np.flatnonzero(resets_TB[0]).tolist() == streams
        assert not resets_TB[1:].any()
    # With fewer streams than turns some steps zero none.
    windows = Windows(numbered(1000), seq_len=4, batch_size=2, reset_every=5)
    zeroed = [np.flatnonzero(windows.batch(step).resets_TB[0]).tolist() for step in range(5, 11)]
    assert zeroed == [[0], [], [], [1], [], [0]]


def test_no_stream_is_zeroed_where_that_was_not_asked_for() -> None:
    never = Windows(numbered(1000), seq_len=4, batch_size=6)
    assert not any(never.batch(step).resets_TB.any() for step in range(1, 20))
    # A sliding window begins from zero anyway.
    sliding = Windows(numbered(1000), seq_len=4, batch_size=6, reset_every=1, sliding=True)
    assert not any(sliding.batch(step).resets_TB.any() for step in range(20))


def test_a_lectures_window_starts_from_zero() -> None:
    tokens = numbered(31)
    tokens[[7, 20]] = END_ID
    windows = Windows(tokens, seq_len=4, batch_size=3, sliding=True)
    inside = 0
    for step in range(9):
        batch = windows.batch(step)
        np.testing.assert_array_equal(batch.resets_TB, batch.inputs_TB == END_ID)
        inside += batch.resets_TB[1:].sum()
    assert inside == 2 * 3  # each mark stands at each of three places in one epoch


@pytest.mark.parametrize("B", [1, 3, 7, 40])
def test_each_epoch_shuffles_all_windows_anew(B: int) -> None:
    """Also where epochs end within a batch."""
    tokens = numbered(32)
    windows = Windows(tokens, seq_len=2, batch_size=B, sliding=True, rng=3)
    count = len(windows)
    steps = -(-4 * count // B)
    starts = np.concatenate([windows.batch(k).inputs_TB[0] - 2 for k in range(steps)])
    epochs = [starts[e * count : (e + 1) * count].tolist() for e in range(4)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert list(range(count)) not in epochs


def test_the_shuffled_order_follows_the_seed_alone() -> None:
    def order(rng: int) -> list:
        windows = Windows(numbered(200), seq_len=2, batch_size=50, sliding=True, rng=rng)
        return windows.batch(1).inputs_TB.tolist()

    assert order(1) == order(1) != order(2)


def test_the_shuffled_order_stays_what_it_was() -> None:
    """Of a seed and an epoch: a run of an earlier version goes on in it."""
    windows = Windows(numbered(38), seq_len=2, batch_size=4, sliding=True, rng=3)
    assert windows.batch(0).inputs_TB[0].tolist() == [29, 23, 2, 16]
    assert windows.batch(9).inputs_TB[0].tolist() == [10, 28, 37, 17]  # of the second epoch
    usual, zero = (
        Windows(numbered(38), seq_len=2, batch_size=4, sliding=True, **seed)
        for seed in ({}, {"rng": 0})
    )
    assert usual.batch(5).inputs_TB.tolist() == zero.batch(5).inputs_TB.tolist()


@pytest.mark.parametrize("sliding", [False, True])
def test_a_batch_depends_on_its_number_alone(sliding: bool) -> None:
    one = Windows(numbered(50), seq_len=4, batch_size=3, sliding=sliding)
    other = Windows(numbered(50), seq_len=4, batch_size=3, sliding=sliding)
    for step in range(20):
        one.batch(step)
    np.testing.assert_array_equal(one.batch(11).inputs_TB, other.batch(11).inputs_TB)


def test_only_streams_carry_their_state() -> None:
    assert Windows(numbered(9), seq_len=2).carries_state
    assert not Windows(numbered(9), seq_len=2, sliding=True).carries_state


@pytest.mark.parametrize("sizes", [{"seq_len": 0}, {"seq_len": 3, "batch_size": 0}])
def test_sizes_must_be_positive(sizes: dict) -> None:
    with pytest.raises(ConfigError, match="both must be at least 1"):
        Windows(numbered(9), **sizes)


def test_a_short_text_is_refused_with_what_fits() -> None:
    with pytest.raises(
        EmptyCorpusError, match=r"has 5 tokens, too few for a window of 5; .* 4 fit"
    ):
        Windows(numbered(5), seq_len=5)


@given(size=st.integers(1, 700), key=st.integers(0, 2**60))
def test_permute_is_a_bijection(size: int, key: int) -> None:
    outcome = permute(np.arange(size), size, key)
    assert sorted(outcome.tolist()) == list(range(size))


def test_permute_leaves_no_pattern() -> None:
    """Neighbours are torn apart: over many windows, the mean distance is that of chance."""
    size = 10_000
    order = permute(np.arange(size), size, 5)
    distance = np.abs(np.diff(order))
    # |a - b| of two uniform numbers: mean size / 3, deviation size / sqrt(18); of 10,000, 5 sigma.
    assert abs(distance.mean() - size / 3) < 5 * size / 18**0.5 / size**0.5
    assert (order == np.arange(size)).sum() < 12  # one is expected; Poisson
    other = permute(np.arange(size), size, 6)
    assert (order == other).sum() < 12


@pytest.mark.parametrize(
    ("size", "key", "order"),
    [
        (1, 0, [0]),
        (2, 0, [1, 0]),
        # The largest sizes of their networks.
        (4, 5, [0, 1, 3, 2]),
        (16, 5, [0, 11, 12, 13, 7, 15, 8, 9, 10, 4, 5, 1, 2, 6, 14, 3]),
        (10, 5, [0, 1, 2, 6, 7, 3, 8, 9, 5, 4]),
        (17, 2**63 + 5, [5, 4, 1, 16, 0, 6, 2, 7, 8, 3, 10, 12, 15, 14, 13, 11, 9]),
    ],
)
def test_a_shuffle_stays_what_it_was(size: int, key: int, order: list[int]) -> None:
    """Runs of earlier versions go on with it; and the splits of a text are made of it."""
    outcome = permute(np.arange(size), size, key)
    assert outcome.dtype == np.int64
    assert outcome.tolist() == order


def test_bits_are_mixed_as_splitmix64_does() -> None:
    """The first outputs of the generator seeded with 0, as its authors' program prints them."""
    gamma = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        outputs = mix(np.arange(1, 4, dtype=np.uint64) * gamma)
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert outputs.tolist() == known


def test_permute_of_a_part_is_part_of_the_whole() -> None:
    whole = permute(np.arange(1000), 1000, 9)
    np.testing.assert_array_equal(permute(np.array([3, 999, 0]), 1000, 9), whole[[3, 999, 0]])


def test_batches_read_a_mapped_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    numbered(1000).tofile(path)
    tokens = np.memmap(path, np.uint16, mode="r")
    windows = Windows(tokens, seq_len=900, batch_size=2)
    x, y = windows[5]
    assert x.base is not None and np.shares_memory(x, tokens) and np.shares_memory(y, tokens)
    assert windows.batch(0).inputs_TB[0].tolist() == [2, 501]


def test_symbols_are_counted_beyond_what_is_looked_at_at_once() -> None:
    tokens = np.resize(np.array([0, 1, 1, 3], np.uint8), 2 * 2**20 + 5)
    counts = count_tokens(tokens, 5)
    assert counts.tolist() == [2**19 + 2, 2**20 + 2, 0, 2**19 + 1, 0]
    assert counts.dtype == np.int64
    assert [count_of(tokens, symbol) for symbol in range(5)] == counts.tolist()
    assert count_tokens(tokens[:0], 3).tolist() == [0, 0, 0]
    assert count_of(tokens[:0], 1) == 0


def test_a_text_of_one_token_has_no_window_and_says_so() -> None:
    with pytest.raises(EmptyCorpusError, match=r"has 1 token, .* none fits"):
        Windows(numbered(1), seq_len=1)


LABELS = DocumentLabels(np.array([0, 4, 9, 30]), np.array([2, 0, 1, 3]))


def test_a_token_has_the_label_of_its_document() -> None:
    places = np.array([[0, 3, 4], [8, 9, 500], [-1, 29, 30]])
    assert LABELS.documents(places).tolist() == [[0, 0, 1], [1, 2, 3], [0, 2, 3]]
    assert LABELS.at(places).tolist() == [[2, 2, 0], [0, 1, 3], [2, 1, 3]]


@pytest.mark.parametrize(("sliding", "reset_every"), [(True, 0), (False, 0), (False, 3)])
def test_the_same_stretches_are_read_under_no_label_in_every_version(
    sliding: bool, reset_every: int
) -> None:
    """A run that goes on reads what it would have read. The rule once more, number by number."""
    streams, rng = 4, 5
    windows = Windows(
        numbered(41), seq_len=6, batch_size=streams, sliding=sliding, reset_every=reset_every,
        labels=LABELS, rng=rng,
    )  # fmt: skip
    left_out = 0
    for step in range(70):
        batch = windows.batch(step)
        assert batch.labels_TB is not None
        for stream in range(streams):
            every = reset_every or 32
            turns = (step + stream * every // streams) // every
            stretch = (step if sliding else turns) * streams + stream
            for token, label in zip(
                batch.inputs_TB[:, stream], batch.labels_TB[:, stream], strict=True
            ):
                place = int(token) - 2
                document = sum(place >= start for start in (4, 9, 30))
                drawn = mix(mix(np.uint64(document + (rng << 32))) + np.uint64(stretch))
                is_left_out = int(drawn) < LABEL_DROPOUT * 2**64
                left_out += is_left_out
                assert label == (0 if is_left_out else (2, 0, 1, 3)[document])
    assert left_out


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_portions_follow_each_other_and_are_as_equal_as_they_can_be(count: int) -> None:
    for total in range(12):
        places = [list(range(total))[Portion(index, count).of(total)] for index in range(count)]
        assert [place for portion in places for place in portion] == list(range(total))
        sizes = [len(portion) for portion in places]
        assert max(sizes) - min(sizes) <= 1
    assert ALL.of(7) == slice(0, 7)
    assert Portion(1, 3).of(8) == slice(2, 5)


def equal(one: Batch, other: Batch) -> bool:
    """Whether two batches hold the same windows."""
    assert one.labels_TB is not None and other.labels_TB is not None
    arrays = ("inputs_TB", "targets_TB", "resets_TB", "labels_TB")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)


@pytest.mark.parametrize(("sliding", "reset_every"), [(True, 0), (False, 0), (False, 3)])
def test_a_share_has_its_windows_as_among_all(sliding: bool, reset_every: int) -> None:
    """Several processes read the streams of one batch; a part of a batch is what a share reads."""

    def windows(share: Portion = ALL) -> Windows:
        return Windows(
            numbered(41), seq_len=6, batch_size=7, sliding=sliding, reset_every=reset_every,
            labels=LABELS, rng=5, share=share,
        )  # fmt: skip

    for step in range(9):
        whole = windows().batch(step)
        assert whole.inputs_TB.shape == (6, 7)
        for share in (Portion(index, 3) for index in range(3)):
            own = share.of(7)
            part = whole.part(own)
            assert part.inputs_TB.shape == (6, own.stop - own.start)
            assert part.inputs_TB[0].tolist() == whole.inputs_TB[0, own].tolist()
            assert equal(windows(share).batch(step), part)


def test_a_part_without_labels_has_none() -> None:
    assert Windows(numbered(9), seq_len=2, batch_size=2).batch(0).part(slice(1)).labels_TB is None


def test_targets_are_counted_that_count() -> None:
    """Of pairs those after the separator: one in each of two streams here."""
    tab = 3
    tokens = np.array([END_ID, 5, tab, 7, END_ID, 6, 5, tab, 8, END_ID], np.uint16)
    pairs = Windows(tokens, seq_len=9, separator=tab)
    batch = pairs.batch(0)
    # The target of a pair is what follows the separator, and the end mark after it.
    assert batch.targets_TB[:, 0].tolist() == [-1, -1, 7, END_ID, -1, -1, -1, 8, END_ID]
    assert batch.counted == 4
    assert not pairs.counts_all
    plain = Windows(tokens, seq_len=9)
    assert plain.counts_all and plain.batch(0).counted == 9
