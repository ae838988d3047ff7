"""Copied runs against a plain search, and on a corpus of realistic size."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import textgen.sampling.novelty as novelty
from textgen.errors import SamplingError
from textgen.sampling import CopiedRun, find_copies


def plain_search(text, corpus, min_run):
    """Every longest run, and the longest of all, by comparing everything with everything."""

    def match(i):
        best, place = 0, -1
        for p in range(len(corpus)):
            n = 0
            while i + n < len(text) and p + n < len(corpus) and text[i + n] == corpus[p + n]:
                n += 1
            if n > best:
                best, place = n, p
        return best, place

    matches = [match(i) for i in range(len(text))]
    runs = []
    for i, (length, place) in enumerate(matches):
        part_of_the_last = i > 0 and matches[i - 1][0] == length + 1
        if length >= min_run and not part_of_the_last:
            runs.append(CopiedRun(i, length, place))
    return runs, max((length for length, _ in matches), default=0)


@pytest.mark.parametrize("block", [4, 13, 1 << 16])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_runs_are_those_of_a_plain_search(block, data):
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.uint32]))
    # 257 and 0x01010101 look alike at places that are no token's beginning.
    tokens = data.draw(
        st.sampled_from([[2, 3], [2, 3, 4, 5], [1, 257, 256, 0], [0x01010101, 257, 1]])
    )
    limit = np.iinfo(dtype).max
    symbol = st.sampled_from(tokens)
    corpus = data.draw(st.lists(symbol.map(lambda t: t & limit), max_size=60))
    text = data.draw(st.lists(symbol, max_size=25))
    if corpus and data.draw(st.booleans()):
        start = data.draw(st.integers(0, len(corpus)))
        text = text[:8] + corpus[start : start + 14] + text[8:]
    min_run = data.draw(st.integers(1, 9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(novelty, "_BLOCK", block)
        found = find_copies(text, np.array(corpus, dtype), min_run=min_run)
    runs, longest = plain_search(text, corpus, min_run)
    assert list(found.runs) == runs
    assert found.longest == longest
    covered = {i for run in runs for i in range(run.start, run.start + run.length)}
    assert found.copied == len(covered)
    assert found.copied_share == (len(covered) / len(text) if text else 0.0)


def test_a_token_the_corpus_cannot_hold_is_not_copied():
    corpus = np.arange(2, 60, dtype=np.uint8)
    text = [*range(2, 30), 256 + 30, *range(31, 59)]
    found = find_copies(text, corpus)
    assert [(run.start, run.length, run.source) for run in found.runs] == [(0, 28, 0), (29, 28, 29)]
    # Also where no run is long enough, and the token would pass for one cut to eight bits.
    assert find_copies([256 + 5, 6, 5, 9, 6], corpus).longest == 1
    assert find_copies([256 + 5, 256 + 6, 5, 6], corpus).longest == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_a_mapped_corpus_of_a_million_tokens_is_searched_within_a_second(tmp_path, dtype):
    draw = np.random.default_rng(0)
    # Words of a small dictionary: short runs recur everywhere, as in a language.
    words = [draw.integers(2, 40, draw.integers(2, 9)) for _ in range(2000)]
    ranks = np.minimum(draw.zipf(1.3, 300_000), 2000) - 1
    tokens = np.concatenate([words[rank] for rank in ranks])[:1_000_000].astype(dtype)
    path = tmp_path / "corpus.tokens"
    tokens.tofile(path)
    corpus = np.memmap(path, dtype, mode="r")
    fresh = np.concatenate([words[rank] for rank in draw.integers(0, 2000, 200)])
    text = np.concatenate([fresh[:150], corpus[777_000:777_120], fresh[150:380]])
    assert len(text) == 500
    began = time.process_time()
    found = find_copies(text, corpus)
    # Measured: 0.1 s. A search that goes over the corpus for each position takes several.
    assert time.process_time() - began < 1.0
    copied = max(found.runs, key=lambda run: run.length)
    assert copied.start <= 150
    assert copied.start + copied.length >= 270
    np.testing.assert_array_equal(
        corpus[copied.source : copied.source + copied.length],
        text[copied.start : copied.start + copied.length],
    )
    began = time.process_time()
    assert find_copies(corpus[1000:1500], corpus).copied_share == 1.0
    assert time.process_time() - began < 1.0
    flat = np.memmap(tmp_path / "flat", dtype, mode="w+", shape=1_000_000)
    began = time.process_time()
    assert find_copies(np.zeros(500, dtype), flat).longest == 500
    assert time.process_time() - began < 1.0


def test_nothing_copied_and_nothing_to_copy():
    corpus = np.arange(2, 60, dtype=np.uint8)
    none = find_copies([100, 101, 102], corpus)
    assert (none.runs, none.longest, none.copied_share) == ((), 0, 0.0)
    assert find_copies([], corpus).longest == 0
    assert find_copies([2, 3, 4], corpus[:0]).longest == 0
    short = find_copies([2, 3, 4], corpus)  # copied, but too short to count
    assert (short.runs, short.longest, short.copied_share) == ((), 3, 0.0)


def test_a_run_of_no_token_is_refused():
    with pytest.raises(SamplingError, match="min_run"):
        find_copies([2], np.zeros(3, np.uint8), min_run=0)
