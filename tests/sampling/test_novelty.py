"""Copied runs against a plain search, and on a corpus of realistic size."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import textgen.sampling.novelty as novelty
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import ConfigError, SamplingError
from textgen.sampling import (
    CopiedRun,
    Generation,
    count_documents,
    find_copies,
    find_copies_in_each,
    least_run,
)
from textgen.sampling.novelty import NoveltyReport, training_text
from textgen.sampling.seed import FittedSeed


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
@settings(max_examples=50, deadline=None)
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


@pytest.mark.parametrize("size", range(1, 10))
def test_windows_have_one_hash_exactly_where_their_tokens_are_the_same(size):
    """Also those that differ in one token or in their order alone."""
    tokens = np.random.default_rng(size).integers(2, 5, 2000).astype(np.uint8)
    windows = [bytes(tokens[place : place + size]) for place in range(2001 - size)]
    hashes = novelty._window_hashes(tokens, size).tolist()
    assert len(hashes) == len(windows)
    assert len(set(zip(hashes, windows, strict=True))) == len(set(hashes)) == len(set(windows))


@pytest.mark.parametrize(
    ("paths", "known"), [(["a.txt"], "a.txt"), (["a.txt", "b.txt"], "PATH"), (["-"], "PATH")]
)
def test_a_training_text_that_is_gone_is_asked_for_by_its_path(paths, known):
    files = [{"path": path} for path in paths]
    model = SimpleNamespace(corpus={"files": files}, vocabulary=VOCABULARY)
    with pytest.raises(ConfigError, match=f"give novelty_corpus='?{known}'?$"):
        training_text(model)


def test_nothing_copied_and_nothing_to_copy():
    corpus = np.arange(2, 60, dtype=np.uint8)
    none = find_copies([100, 101, 102], corpus)
    assert (none.runs, none.longest, none.copied_share) == ((), 0, 0.0)
    assert find_copies([], corpus).longest == 0
    assert find_copies([2, 3, 4], corpus[:0]).longest == 0
    short = find_copies([2, 3, 4], corpus)  # copied, but too short to count
    assert (short.runs, short.longest, short.copied_share) == ((), 3, 0.0)
    # Of no texts nothing is told, also where an end mark stands in the corpus.
    assert find_copies_in_each([], np.array([END_ID, 2], np.uint8), min_run=1) == []


def test_a_run_of_no_token_is_refused():
    with pytest.raises(SamplingError, match="min_run"):
        find_copies([2], np.zeros(3, np.uint8), min_run=0)


@pytest.mark.parametrize("block", [4, 1 << 16])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_many_texts_are_searched_as_each_alone(block, data):
    symbols = st.sampled_from([2, 3, 4])
    corpus = np.array(data.draw(st.lists(symbols, max_size=60)), np.uint8)
    texts = data.draw(st.lists(st.lists(symbols, max_size=12), max_size=6))
    min_run = data.draw(st.integers(1, 9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(novelty, "_BLOCK", block)
        found = find_copies_in_each(texts, corpus, min_run=min_run)
    for text, one in zip(texts, found, strict=True):
        runs, longest = plain_search(text, corpus, min_run)
        assert (list(one.runs), one.longest) == (runs, longest)
        assert one.length == len(text)
    assert len(found) == len(texts)


@pytest.mark.parametrize("block", [3, 1 << 16])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_documents_are_counted_as_lists_are_compared(block, data):
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.uint32]))
    limit = int(np.iinfo(dtype).max)
    symbols = st.sampled_from([2, 3, limit])
    documents = data.draw(st.lists(st.lists(symbols, min_size=1, max_size=4), max_size=25))
    corpus = [token for document in documents for token in (*document, END_ID)][:-1]
    wanted = data.draw(
        st.lists(st.lists(st.sampled_from([2, 3, limit, 2 + limit + 1]), max_size=5), max_size=6)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(novelty, "_BLOCK", block)
        counts = count_documents(wanted, np.array(corpus, dtype))
    assert counts == [documents.count(one) if one else 0 for one in wanted]


def test_documents_whose_bytes_end_with_zeros_are_told_apart():
    corpus = np.array([3, 0x100, END_ID, 3, 1, END_ID, 3, 0x10000, END_ID, 3], np.uint32)
    assert count_documents([[3, 0x100], [3, 0x10000], [3, 1], [3], []], corpus) == [1, 1, 1, 1, 0]


def test_a_million_documents_are_searched_at_once():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 12, 1_000_000)
    tokens = rng.integers(2, 40, int((lengths + 1).sum())).astype(np.uint8)
    ends = (lengths + 1).cumsum() - 1
    tokens[ends] = END_ID
    place = 777_777
    known = tokens[ends[place - 1] + 1 : ends[place]].tolist()
    began = time.perf_counter()
    counts = count_documents([known, [2] * 11, *[[3, 4, 5, 6, 7, 8, 9]] * 50], tokens)
    seconds = time.perf_counter() - began
    assert counts[0] >= 1
    assert seconds < 5.0  # half a second here


def test_a_run_that_counts_is_no_longer_than_a_document():
    names = np.array([*([5] * 6 + [END_ID]) * 9, *([5] * 40)], np.uint8)
    assert least_run(names) == 6
    assert least_run(np.array([5] * 500, np.uint8)) == novelty.MIN_RUN == 20
    assert least_run(np.array([], np.uint8)) == 20
    assert least_run(np.array([5, END_ID, 5, END_ID], np.uint8)) == 1


NAMES = ("anna", "bob", "bob", "eve")
VOCABULARY = Vocabulary.from_characters("abenov")


def report_of(*texts, seed="", names=NAMES, is_of_documents=True):
    """Of texts as documents with a line end between them; one that ends so ends with its mark."""

    def encode(text):
        rows = [VOCABULARY.encode(part).tolist() for part in text.split("\n")]
        return [token for row in rows for token in (*row, END_ID)][:-1]

    model = SimpleNamespace(
        vocabulary=VOCABULARY, normalization=Normalization(), writes_documents=is_of_documents
    )
    corpus = SimpleNamespace(tokens=np.array(encode("\n".join((*names, ""))), np.uint8))
    written = [
        Generation(text.removesuffix("\n"), tuple(encode(text)), "end", 1.0) for text in texts
    ]
    return NoveltyReport(model, corpus, written, FittedSeed(tuple(encode(seed)), seed), "\n")


def test_a_report_tells_runs_and_whole_documents():
    """Two of three stand in the training text, one of these twice."""
    report = report_of("bob\nnab", "eve\n")
    assert report.documents == [[("bob", 2), ("nab", 0)], [("eve", 1)]]
    assert (report.copied_share, report.longest) == (8 / 11, 4)
    assert report.headline == (
        "72.7% of 2 texts stands in the training text in long runs; the longest has 4 tokens"
    )
    assert report.text_to_json(0) == {
        "copied_share": 4 / 7,
        "longest": 4,
        "min_run": 3,
        "runs": [{"start": 0, "length": 4, "source": 5, "text": "bob\n"}],
        "in_training_text": True,
        "matching_documents": 2,
        "documents": [
            {"text": "bob", "in_training_text": True, "matching_documents": 2},
            {"text": "nab", "in_training_text": False, "matching_documents": 0},
        ],
    }
    eve = {"text": "eve", "in_training_text": True, "matching_documents": 1}
    assert report.text_to_json(1)["documents"] == [eve]
    figures = {"copied_share": 8 / 11, "longest": 4, "documents": 3, "in_training_text": 2}
    assert report.to_json() == figures
    pieces = [("b", True), ("o", True), ("b", True), ("\n", True)]
    assert report.pieces(0) == [*pieces, ("n", False), ("a", False), ("b", False)]
    # The mark at the end of the second is not shown.
    assert report.pieces(1) == [("e", True), ("v", True), ("e", True), ("", True)]
    share = "57.1% of the text in runs of at least 3 tokens; the longest run has 4"
    assert report.describe_text(0) == [f"copied: {share}", "  4 tokens: bob\\n"]
    share = "72.7% of what was written in runs of at least 3 tokens; the longest run has 4"
    assert report.describe() == [
        "known: 2 of 3 texts stand in the training text as a whole document",
        "  bob (2 times)",
        "  eve",
        f"copied: {share}",
    ]
    assert [part for part in report.parts() if isinstance(part, str)] == [
        *report.describe(),
        *(report.describe_text(place)[0] for place in (0, 1)),
    ]


def test_the_seed_is_a_part_of_the_first_document_alone():
    report = report_of("na\neve\n", "na\nna", seed="an")
    assert report.documents == [[("anna", 1), ("eve", 1)], [("anna", 1), ("na", 0)]]


def test_of_one_text_no_documents_are_told():
    report = report_of("bob", "", is_of_documents=False)
    assert report.to_json() == {"copied_share": 1.0, "longest": 3}
    assert set(report.text_to_json(0)) == {"copied_share", "longest", "min_run", "runs"}
    assert len(list(report.parts())) == 4
    assert report_of(is_of_documents=False).to_json() == {"copied_share": 0.0, "longest": 0}


def test_a_list_of_known_documents_is_cut(monkeypatch):
    monkeypatch.setattr(novelty, "_LISTED", 2)
    names = ("a" * 60, "b" * 61, "eve")
    lines = report_of("\n".join(names[:2]), "bob", names=names).describe()[1:-1]
    assert lines == [f"  {'a' * 60}", f"  {'b' * 57}..."]
    lines = report_of("\n".join(names), names=names).describe()[1:-1]
    assert lines == [f"  {'a' * 60}", f"  {'b' * 57}...", "  and 1 more"]


def test_the_largest_number_of_the_corpus_type_is_a_token_like_others():
    corpus = np.array([7, 255, 255, 3, 9], np.uint8)
    (result,) = find_copies_in_each([[1, 255, 255, 3, 1]], corpus, min_run=2)
    assert [(run.start, run.length, run.source) for run in result.runs] == [(1, 3, 1)]
    # One more does not fit into a byte, where it would be 0.
    (result,) = find_copies_in_each([[256, 7, 255]], np.array([0, 7, 255], np.uint8), min_run=3)
    assert not result.runs and result.longest == 2


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
def test_there_is_a_hash_of_each_window(size):
    hashes = novelty._window_hashes(np.arange(4), size)
    assert hashes.shape == (max(4 - size + 1, 0),)


def test_a_word_at_the_start_of_a_text_has_no_space_and_after_a_seed_it_has():
    words = Vocabulary.from_words(" ", {" one": 2, " two": 1}, folded=True)
    model = SimpleNamespace(vocabulary=words, normalization=Normalization(), writes_documents=True)
    one, two = words.symbol_index()[" one"], words.symbol_index()[" two"]
    corpus = SimpleNamespace(tokens=np.array([one, two, END_ID, two, END_ID], np.uint8))
    ids = (one, two, END_ID, two)
    shown, documents = [], []
    for seed in (FittedSeed((), ""), FittedSeed((two,), "two")):
        text = words.decode(ids, at_start=not seed.ids, end="\n")
        report = NoveltyReport(model, corpus, [Generation(text, ids, "length", 1.0)], seed, "\n")
        shown.append("".join(piece for piece, _ in report.pieces(0)))
        documents += report.documents
    assert shown == ["one two\ntwo", " one two\ntwo"]
    # The seed begins the first document, and the next one begins as any does.
    assert documents == [[("one two", 1), ("two", 1)], [("two one two", 0), ("two", 1)]]


def test_a_folder_is_read_as_it_was_trained_on(tmp_path):
    (tmp_path / "one.md").write_text("ababab")
    (tmp_path / "two.txt").write_text("bbbbbb")
    vocabulary = Vocabulary.from_characters("ab")

    def model(record):
        return SimpleNamespace(
            vocabulary=vocabulary,
            normalization=Normalization(),
            corpus=record,
            corpus_options=lambda **more: CorpusOptions(**more),
        )

    def text(record):
        tokens = training_text(model(record), str(tmp_path)).tokens
        return vocabulary.decode(np.asarray(tokens).tolist())

    assert "ababab" in text({"options": {"ending": ".md"}})
    assert "bbbbbb" in text({"options": {}}) and "bbbbbb" in text(None)


def test_a_text_without_labels_is_read_for_a_model_of_labelled_texts(tmp_path):
    path = tmp_path / "plain.txt"
    path.write_text("abba\nab\n")
    vocabulary = Vocabulary.from_characters("ab\n")
    model = SimpleNamespace(
        vocabulary=vocabulary,
        normalization=Normalization(),
        corpus=None,
        corpus_options=lambda **more: CorpusOptions(label_from="tag", **more),
    )
    tokens = training_text(model, str(path)).tokens
    assert vocabulary.decode(np.asarray(tokens).tolist()) == "abba\nab\n"


def test_texts_are_looked_for_in_all_blocks(monkeypatch):
    """What stands in the first one does not end the search for the others."""
    monkeypatch.setattr(novelty, "_BLOCK", 8)
    corpus = np.array([2, 3, 4, 5] + [6] * 40 + [5, 4, 3, 2], np.uint8)
    found = find_copies_in_each([[2, 3, 4, 5], [5, 4, 3, 2]], corpus, min_run=9)
    assert [one.longest for one in found] == [4, 4]


def test_a_file_that_is_no_text_is_left_out_as_in_training(tmp_path):
    (tmp_path / "one.txt").write_text("ababab")
    (tmp_path / "two.txt").write_bytes(b"\0\x01\x02" * 400)
    model = SimpleNamespace(
        vocabulary=VOCABULARY,
        normalization=Normalization(),
        corpus=None,
        corpus_options=lambda **more: CorpusOptions(**more),
    )
    assert len(training_text(model, str(tmp_path)).tokens) >= 6
