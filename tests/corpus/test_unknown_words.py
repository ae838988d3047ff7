"""Words that are not known are one unknown token each, unless they are to be spelled."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus.corpus import Corpus, CorpusOptions
from textgen.corpus.vocabulary import UNKNOWN_ID, Vocabulary
from textgen.corpus.words import count_words, split_words
from textgen.evaluation.nll import escape_nats
from textgen.inspection.view import source_pieces

TEXT = "кот спит. Кот ест, а пёс спит: кот ест рыбу\n"
HOW = CorpusOptions(level="word", min_word_count=2)


def opened(tmp_path: Path, options: CorpusOptions) -> Corpus:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, "utf-8")
    return Corpus.open([path], options)


@pytest.mark.parametrize("fold", [False, True])
def test_each_token_is_a_word_or_stands_between_words(tmp_path: Path, fold: bool) -> None:
    corpus = opened(tmp_path, CorpusOptions(level="word", min_word_count=2, fold=fold))
    words = split_words((" " if fold else "") + corpus.normalization.apply(TEXT))
    shown = corpus.vocabulary.display(corpus.tokens)
    assert len(words) == len(corpus.tokens)
    for word, piece, token in zip(words, shown, corpus.tokens, strict=True):
        seen = word.removeprefix(" ") if fold else word
        assert piece == ("<unk>" if token == UNKNOWN_ID else seen)
    unknown = [word for word, token in zip(words, corpus.tokens, strict=True) if token == 1]
    assert unknown and corpus.unknown_tokens == len(unknown)
    assert corpus.unknown_chars == len("".join(unknown))
    assert len(corpus.decode()) == corpus.decoded_chars
    assert count_words(corpus.vocabulary, corpus.tokens) == 10


def test_a_short_text_keeps_all_words_and_spelling_is_asked_for(tmp_path: Path) -> None:
    short = opened(tmp_path, CorpusOptions(level="word"))
    assert short.decode() == TEXT and short.unknown_tokens == 0 and not short.vocabulary.spelled
    spelled = opened(tmp_path, CorpusOptions(level="word", spell_rare=True))
    assert spelled.decode() == TEXT and spelled.vocabulary.spelled
    assert len(spelled) > len(short)


def test_a_vocabulary_in_a_file_says_whether_it_spells(tmp_path: Path) -> None:
    vocabulary = opened(tmp_path, HOW).vocabulary
    assert Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary
    old = {key: value for key, value in vocabulary.to_dict().items() if key != "spelled"}
    assert Vocabulary.from_dict(old).spelled
    with pytest.raises(ValueError, match="no unknown words"):
        Vocabulary("char", ("", "", "a"), spelled=False)


def test_the_letters_of_unknown_words_are_charged(tmp_path: Path) -> None:
    corpus = opened(tmp_path, HOW)
    letters = set("".join(corpus.vocabulary.symbols))
    mean = corpus.unknown_chars / corpus.unknown_tokens
    assert escape_nats(corpus) == pytest.approx(mean * math.log(len(letters)))


def test_the_text_is_shown_with_the_real_words(tmp_path: Path) -> None:
    vocabulary = opened(tmp_path, HOW).vocabulary
    text = "рыбу кот спит"
    ids = vocabulary.encode(text)
    assert source_pieces(text, vocabulary.pieces(ids), ids, vocabulary) == ("рыбу", " кот", " спит")


def forbidden(vocabulary: Vocabulary, ids: np.ndarray) -> int:
    """How many neighbours `junctions` forbids."""
    table = np.frombuffer(vocabulary.junctions, np.uint8)
    if not table.size:
        return 0
    return int(np.count_nonzero((table[ids[:-1]] >> 4) + (table[ids[1:]] & 15) > 2))


@given(
    text=st.text(alphabet="аб \n.-'", max_size=60),
    words=st.sets(st.text(alphabet="аб", min_size=1, max_size=3), max_size=9),
    spaced=st.booleans(),
    spelled=st.booleans(),
)
def test_no_text_has_a_forbidden_junction(
    text: str, words: set[str], spaced: bool, spelled: bool
) -> None:
    known = {(" " + word if spaced and len(word) % 2 else word): 1 for word in words}
    vocabulary = Vocabulary.from_words("аб \n.-'", known, spelled=spelled)
    assert forbidden(vocabulary, vocabulary.encode(text).astype(np.int64)) == 0


@pytest.mark.parametrize("spelled", [False, True])
@pytest.mark.parametrize("fold", [False, True])
def test_the_corpus_has_none_either(fold: bool, spelled: bool) -> None:
    options = CorpusOptions(level="word", fold=fold, spell_rare=spelled)
    corpus = Corpus.open(["corpora/russian.txt"], options)
    assert forbidden(corpus.vocabulary, corpus.tokens.astype(np.int64)) == 0


def test_what_is_forbidden() -> None:
    spelled = Vocabulary.from_words("аб .", {" кот": 1, "кот": 1})
    ids = spelled.symbol_index()
    a, b, space, dot, word, bare = (ids[text] for text in ("а", "б", " ", ".", " кот", "кот"))
    allowed = [(a, b), (a, word), (space, a), (word, word), (word, dot), (dot, bare), (a, space)]
    for pair in allowed:
        assert forbidden(spelled, np.array(pair)) == 0, pair
    for pair in [(word, a), (word, bare), (a, bare), (space, bare), (bare, b)]:
        assert forbidden(spelled, np.array(pair)) == 1, pair
    # Nothing else could follow: nothing is forbidden.
    assert forbidden(Vocabulary.from_words("", {"кот": 1, "пёс": 1}), np.array([2, 3])) == 0
