"""The likeliest continuations as whole words: those that a search of all finds."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from support.fake_networks import HashNetwork, ScriptNetwork

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.model.head import log_softmax
from textgen.model.network import StepNetwork
from textgen.sampling import SampleOptions, Writer
from textgen.sampling.likely_words import _WIDTH, WordSearch, _has_word
from textgen.sampling.networks import start

CHARS = Vocabulary.from_characters("ab' .")
BYTES = Vocabulary.utf8()


class ChoosingNetwork(StepNetwork):
    """Writes one of some texts, each with its chance."""

    def __init__(self, size, chances, rest=1e-9):
        self.size, self.chances, self.rest = size, chances, rest
        self.steps = 0

    def zero_state(self, batch_size=1):
        return [{"read": np.zeros((batch_size, 0), np.int64)}]

    def step(self, ids_B, state, edits_B=None):
        read_BT = np.hstack([state[0]["read"], np.reshape(ids_B, (-1, 1))])
        self.steps += 1
        shares_BV = np.full((len(read_BT), self.size), self.rest)
        for row, (_, *read) in enumerate(read_BT.tolist()):
            for ids, chance in self.chances.items():
                if len(ids) > len(read) and list(ids[: len(read)]) == read:
                    shares_BV[row, ids[len(read)]] += chance
        return np.log(shares_BV).astype(np.float32), [{"read": read_BT}]


def words_of(vocabulary, chances, count=5, before=""):
    """The likeliest words of a network that writes texts with these chances, after a beginning."""
    chances = {tuple(vocabulary.encode(text).tolist()): share for text, share in chances.items()}
    network = ChoosingNetwork(len(vocabulary), chances)
    ids = vocabulary.encode(before).tolist()
    words = WordSearch(network, vocabulary).likeliest(start(network, ids), ids, count)
    return {word.text: pytest.approx(word.probability, rel=1e-4) for word in words}


def searched(network, vocabulary, before, is_part, count=5):
    """The likeliest continuations, by a search that misses none: the likeliest beginning goes on
    first, and a word is found when nothing is likelier."""
    found, waiting = [], [(-1.0, (), False)]
    while len(found) < count:
        cost, ids, is_whole = heapq.heappop(waiting)
        if is_whole:
            found.append((ids, -cost))
            continue
        last_V = np.exp(log_softmax(start(network, [*before, *ids]).logits_BV[0]))
        has_word = any(map(str.isalnum, vocabulary.decode(ids)))
        goes_on = [bool(symbol) and is_part(symbol) for symbol in vocabulary.symbols]
        if has_word:
            heapq.heappush(waiting, (cost * float(last_V[~np.array(goes_on)].sum()), ids, True))
        for token in range(2, len(vocabulary)):
            if goes_on[token] or not has_word:
                heapq.heappush(waiting, (cost * float(last_V[token]), (*ids, token), False))
    return found


@pytest.mark.parametrize("before", ["", "ab", "a "])
def test_they_are_those_that_a_whole_search_finds(before):
    network = HashNetwork(len(CHARS), 3.0)
    ids = CHARS.encode(before).tolist()
    found = WordSearch(network, CHARS).likeliest(start(network, ids), ids)
    expected = searched(network, CHARS, ids, "ab'".__contains__)
    assert [word.ids for word in found] == [ids for ids, _ in expected]
    for word, (own, share) in zip(found, expected, strict=True):
        assert word.text == CHARS.decode(own)
        assert word.probability == pytest.approx(share, rel=1e-5)


def test_fewer_and_more_are_the_same_ones():
    network = HashNetwork(len(CHARS), 3.0)
    search, position = WordSearch(network, CHARS), start(network)
    assert search.likeliest(position, count=2) == search.likeliest(position, count=5)[:2]
    assert search.likeliest(position, count=0) == []


def test_the_end_of_a_document_is_one_where_it_may_come():
    network = ScriptNetwork(len(CHARS), [END_ID], lead=1)
    writer = Writer(network, CHARS, Normalization(), SampleOptions(until_end=True))
    (first, *_) = writer.words()
    assert (first.ids, first.text) == ((END_ID,), "")
    assert first.probability == pytest.approx(1, abs=1e-6)
    never = Writer(network, CHARS, Normalization(), SampleOptions())
    assert all(END_ID not in word.ids for word in never.words())


def test_bytes_make_words_of_characters():
    """A dash of three bytes ends a word, a letter of two goes on with it."""
    vocabulary = Vocabulary.utf8()
    script = vocabulary.encode("ой—").tolist()
    network = ScriptNetwork(len(vocabulary), script, lead=1)
    writer = Writer(network, vocabulary, Normalization(), SampleOptions())
    (first, *_) = writer.words()
    assert first.text == "ой"
    assert first.probability == pytest.approx(1, abs=1e-4)
    writer.choose(script[0])  # within the first letter
    assert writer.words(1)[0].ids == tuple(script[1:4])
    assert writer.take(writer.words(1)[0]) == "ой"


def test_after_a_dash_of_bytes_the_less_likely_words_are_still_searched():
    assert words_of(BYTES, {"а—": 0.6, "абв ": 0.4}, 2) == {"а": 0.6, "абв": 0.4}


@pytest.mark.parametrize("count", [1, 2])
def test_a_word_has_the_share_of_each_sign_that_ends_it_however_few_are_asked_for(count):
    """Also of a dash, whose bytes are less likely than the word is without it."""
    shares = {"а—": 0.25, "а ": 0.5, "а»": 0.05, "б ": 0.2}
    expected = {"а": 0.8, "б": 0.2}
    assert words_of(BYTES, shares, count) == dict(list(expected.items())[:count])


def test_bytes_that_are_no_text_leave_the_others_to_be_searched():
    first, other = (tuple(BYTES.encode(text).tolist()) for text in ("а", "абв "))
    broken = (*first, other[2], *BYTES.encode("x").tolist())
    network = ChoosingNetwork(len(BYTES), {broken: 0.6, other: 0.4})
    (found,) = WordSearch(network, BYTES).likeliest(start(network), (), 1)
    assert (found.text, found.probability) == ("абв", pytest.approx(0.4, rel=1e-4))


def test_letters_whose_bytes_are_signs_in_latin_go_on_with_a_word():
    """Of Hebrew the first byte is that of a multiplication sign, which ends a word."""
    assert words_of(BYTES, {"שלום ": 0.7, "של ": 0.3}, 2) == {"שלום": 0.7, "של": 0.3}


def test_a_sign_beyond_ascii_ends_a_word_of_characters():
    vocabulary = Vocabulary.from_characters("ab—")
    assert words_of(vocabulary, {"ab—": 0.6, "abb": 0.4}, 1) == {"ab": 0.6}


def test_a_word_without_an_end_is_given_up():
    """Of forty symbols or more none is found."""
    assert words_of(CHARS, {"b" * 40 + " ": 0.7, "a" * 39 + " ": 0.3}, 1) == {"a" * 39: 0.3}


def test_as_soon_as_enough_words_are_found_no_less_likely_ones_are_searched():
    vocabulary = Vocabulary.from_characters("a .")
    word, other = (tuple(vocabulary.encode(text).tolist()) for text in ("a ", ".. a "))
    network = ChoosingNetwork(len(vocabulary), {word: 0.6, other: 0.4})
    (found,) = WordSearch(network, vocabulary).likeliest(start(network), (), 1)
    assert (found.text, found.probability) == ("a", pytest.approx(0.6, rel=1e-4))
    # The end mark was read, and the first symbols.
    assert network.steps == 2


def test_words_that_are_equally_likely_are_in_the_order_of_their_symbols():
    first, other = (tuple(CHARS.encode(text).tolist()) for text in ("aa ", "b "))
    network = ChoosingNetwork(len(CHARS), {other: 0.5, first: 0.5}, rest=1e-300)
    words = WordSearch(network, CHARS).likeliest(start(network), (), 2)
    assert words[0].probability == words[1].probability
    assert [word.text for word in words] == ["aa", "b"]


def test_after_a_word_that_was_taken_another_one_begins():
    network = HashNetwork(len(CHARS), 3.0)
    writer = Writer(network, CHARS, Normalization(), SampleOptions(length=1))
    offered = writer.words()
    assert writer.take(offered[1]) == offered[1].text
    after = writer.words()
    assert all(word.text[0] in " ." for word in after)
    free = {word.ids: word.probability
            for word in WordSearch(network, CHARS).likeliest(start(network, writer.ids),
                                                             writer.ids, 50)}  # fmt: skip
    last_V = np.exp(log_softmax(start(network, writer.ids).logits_BV[0]))
    ends = [token for token, symbol in enumerate(CHARS.symbols) if symbol in ("", " ", ".")]
    assert after[0].probability == pytest.approx(free[after[0].ids] / last_V[ends].sum(), rel=1e-5)
    # What was done since is no word that was taken; undone, it is one again.
    list(writer.write())
    writer.undo()
    assert writer.words() == after
    writer.undo()
    assert writer.words() == offered


def test_a_letter_whose_last_byte_is_the_first_beyond_ascii():
    """«р» is the bytes D1 and 80."""
    chances = {"ар б": 0.6, "ба р": 0.4}
    assert words_of(BYTES, chances, 2) == {"ар": 0.6, "ба": 0.4}


def test_a_symbol_of_several_characters_is_a_word_if_one_of_them_is_a_letter():
    assert _has_word("it's") and _has_word("(a") and _has_word("7.")
    assert not _has_word("...") and not _has_word("")


def test_as_many_words_as_are_followed_at_once_are_the_likeliest_ones():
    letters = "abcdefghijklmnopqrstuvwxyzäöüß"
    vocabulary = Vocabulary.from_characters(letters + " ")
    draw = np.random.default_rng(0)
    for _ in range(10):
        shares = draw.permutation(np.arange(1, 31)) / 465
        chances = {f"{letter} ": share for letter, share in zip(letters, shares, strict=True)}
        likeliest = sorted(letters, key=lambda letter: -chances[f"{letter} "])[:_WIDTH]
        assert list(words_of(vocabulary, chances, _WIDTH)) == likeliest


@pytest.mark.parametrize("before", ["а", "аб", "—"])
def test_after_a_whole_character_of_bytes_another_one_begins(before):
    chances = {f"{before}й ": 0.7, f"{before}a ": 0.3}
    assert words_of(BYTES, chances, 2, before) == {"й": 0.7, "a": 0.3}


def test_a_letter_before_a_sign_that_is_begun_is_no_part_of_it():
    ids = BYTES.encode("a— б ").tolist()
    network = ChoosingNetwork(len(BYTES), {tuple(ids): 1.0})
    (found,) = WordSearch(network, BYTES).likeliest(start(network, ids[:2]), ids[:2], 1)
    assert found.ids == tuple(ids[2:-1])


def test_a_word_that_never_comes_is_not_told():
    """Its probability is too small for a float."""
    network = ScriptNetwork(len(CHARS), CHARS.encode("a ").tolist())
    position = start(network, ())
    position.logits_BV[0, CHARS.encode("b")] = -2000.0
    words = WordSearch(network, CHARS).likeliest(position, count=10_000)
    assert words[0].text == "a" and words[-1].probability > 0


def test_a_folded_word_has_its_space():
    vocabulary = Vocabulary.from_words(" ab", {" aa": 5, " bb": 4}, folded=True)
    network = ScriptNetwork(len(vocabulary), vocabulary.encode("aa bb").tolist())
    assert WordSearch(network, vocabulary).likeliest(start(network, ()))[0].text == " aa"
