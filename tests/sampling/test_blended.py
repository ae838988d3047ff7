"""Several models that write one text: the weighted sum of their probabilities, or a word each."""

from __future__ import annotations

import numpy as np
import pytest
from support.fake_networks import HashNetwork

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import ConfigError, SamplingError
from textgen.model.head import log_softmax
from textgen.model.network import StepNetwork
from textgen.sampling import (
    BlendedNetwork,
    BlendedNetworks,
    HistoryNetwork,
    SampleOptions,
    UnitedSymbols,
    generate,
    stream_text,
)
from textgen.sampling.networks import seen_by, start, start_many

FIRST = Vocabulary.from_characters("abé \n")
SECOND = Vocabulary.from_characters("ab_c")
BOTH = UnitedSymbols([FIRST, SECOND])
ALL = BOTH.vocabulary


def blended(*weights, alternate=False, symbols=BOTH):
    sizes = [len(places) for places in symbols.places]
    return BlendedNetwork(list(map(HashNetwork, sizes)), symbols, weights, alternate=alternate)


def own(vocabulary, ids):
    """The probabilities of a model alone after some of its ids."""
    position = start(HashNetwork(len(vocabulary)), ids)
    return np.exp(log_softmax(position.logits_BV[0]))


def after(network, text):
    return start(network, ALL.encode(text).tolist()).logits_BV[0]


def test_the_symbols_are_those_of_all():
    assert "".join(ALL.symbols) == "\n _abcé"
    assert [ALL.symbols[place] for place in BOTH.places[1]] == ["", "", "_", "a", "b", "c"]
    # As of a seed: the nearest form, else nothing.
    assert BOTH.lacking(0) == {"_": "", "c": ""}
    assert BOTH.lacking(1) == {"é": "", "\n": "", " ": ""}
    lower = UnitedSymbols([Vocabulary.from_characters("Aa…"), Vocabulary.from_characters("a.")])
    assert lower.lacking(1) == {"A": "a", "…": "..."}


def test_probabilities_are_the_weighted_sum():
    found = np.exp(after(blended(0.7, 0.3), "ab"))
    ids = [list(map(v.symbol_index().__getitem__, "ab")) for v in (FIRST, SECOND)]
    first, second = (own(v, i) for v, i in zip((FIRST, SECOND), ids, strict=True))
    by_hand = {
        symbol: 0.7 * first[FIRST.symbol_index()[symbol]]
        + 0.3 * second[SECOND.symbol_index()[symbol]]
        for symbol in "ab"
    }
    by_hand["é"] = 0.7 * first[FIRST.symbol_index()["é"]]
    by_hand["c"] = 0.3 * second[SECOND.symbol_index()["c"]]
    for symbol, probability in by_hand.items():
        assert found[ALL.symbol_index()[symbol]] == pytest.approx(probability, rel=1e-6)
    assert found[END_ID] == pytest.approx(0.7 * first[END_ID] + 0.3 * second[END_ID], rel=1e-6)
    assert found.sum() == pytest.approx(1, rel=1e-6)


def test_what_a_model_lacks_it_does_not_read():
    network = blended(0.5, 0.5)
    share = after(network, "acb")[ALL.symbol_index()["é"]]
    # Only the first knows the letter, and to it the text is `ab`.
    index = FIRST.symbol_index()
    expected = 0.5 * own(FIRST, [index["a"], index["b"]])[index["é"]]
    assert np.exp(share) == pytest.approx(expected, rel=1e-6)
    # A form of several characters is read as such.
    symbols = UnitedSymbols([Vocabulary.from_characters("a…"), Vocabulary.from_characters("a.")])
    dots = blended(0.5, 0.5, symbols=symbols)
    ids = symbols.vocabulary.encode("a…").tolist()
    second = own(Vocabulary.from_characters("a."), [3, 2, 2, 2])
    place = symbols.vocabulary.symbol_index()["."]
    assert np.exp(start(dots, ids).logits_BV[0][place]) == pytest.approx(0.5 * second[2], rel=1e-6)


@pytest.mark.parametrize("alternate", [False, True])
def test_rows_are_as_texts_alone(alternate):
    """Whether texts are read together, at once or symbol by symbol, and cut by their lengths."""
    network = blended(0.6, 0.4, alternate=alternate)
    texts = ["acé b", "c", "", "é\n a cab"]
    ids = [ALL.encode(text).tolist() for text in texts]
    together = start_many(network, ids)
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(together.logits_BV[row], after(network, text))
    state = network.zero_state()
    for token in [END_ID, *ids[3]]:
        logits_1V, state = network.step(token, state)
    np.testing.assert_array_equal(logits_1V[0], after(network, texts[3]))


class Fixed(StepNetwork):
    """Is all but sure of one symbol, whatever it reads."""

    def __init__(self, size, token):
        self._logits_V = np.zeros(size, np.float32)
        self._logits_V[token] = 30.0

    def zero_state(self, batch_size=1):
        return [{"h": np.zeros((batch_size, 1), np.float32)}]

    def step(self, ids_B, state, edits_B=None):
        return np.tile(self._logits_V, (len(state[0]["h"]), 1)), state


class Word(Fixed):
    """Writes a letter, then a space."""

    def __init__(self, size, token, space):
        super().__init__(size, token)
        self._token, self._space = token, space

    def step(self, ids_B, state, edits_B=None):
        logits_BV = np.zeros((len(ids_B), len(self._logits_V)), np.float32)
        is_space_B = (np.asarray(ids_B) == self._space) | (np.asarray(ids_B) == END_ID)
        logits_BV[np.arange(len(ids_B)), np.where(is_space_B, self._token, self._space)] = 30.0
        return logits_BV, state


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ((0.5, 0.5), "a b a b a b a b "),
        ((0.75, 0.25), "a a b a a a b a "),
        ((0.2, 0.8), "b b a b b "),
        ((0.5, 0.25, 0.25), "a b c a a b c a "),
    ],
)
def test_models_in_turn_write_words_by_their_shares(weights, text):
    vocabulary = Vocabulary.from_characters("abc \n")
    index = vocabulary.symbol_index()
    letters = "abc"[: len(weights)]
    networks = [Word(len(vocabulary), index[letter], index[" "]) for letter in letters]
    symbols = UnitedSymbols([vocabulary] * len(weights))
    network = BlendedNetwork(networks, symbols, weights, alternate=True)
    options = SampleOptions(length=len(text), temperature=0.0)
    assert "".join(one.text for one in stream_text(network, vocabulary, options)) == text
    # Several spaces are one: the turn passes at the first. At the beginning it does not pass.
    for before, letter in (("a ", text[2]), ("a  ", text[2]), ("a\n ", text[2]), (" ", text[0])):
        ids = vocabulary.encode(before).tolist()
        assert start(network, ids).logits_BV[0].argmax() == index[letter]


@pytest.mark.parametrize(
    ("vocabulary", "before", "letter"),
    [
        (Vocabulary.from_characters("ab \u2003"), "a\u2003a ", "a"),
        (Vocabulary.utf8(), "aa ", "b"),
        # Its second byte alone would be a no-break space.
        (Vocabulary.utf8(), "àa ", "b"),
    ],
)
def test_at_which_symbols_the_turn_passes(vocabulary, before, letter):
    index = vocabulary.symbol_index()
    networks = [Word(len(vocabulary), index[own], index[" "]) for own in "ab"]
    symbols = UnitedSymbols([vocabulary, vocabulary])
    network = BlendedNetwork(networks, symbols, (0.5, 0.5), alternate=True)
    logits_BV = start(network, vocabulary.encode(before).tolist()).logits_BV
    assert logits_BV[0].argmax() == index[letter]


class Likes(Fixed):
    """Has the same probabilities whatever it reads."""

    def __init__(self, vocabulary, shares):
        self._logits_V = np.full(len(vocabulary), -100.0, np.float32)
        for symbol, share in shares.items():
            self._logits_V[vocabulary.symbol_index()[symbol]] = np.log(share)


#: A word that is no token is spelled: a space, and its letters.
WORDS = Vocabulary.from_words("ab, \n", {" aa": 3, " bb": 3, " cc": 3, "aa": 2})


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ((0.5, 0.5), " aa bb aa bb"),
        ((0.75, 0.25), " aa aa bb aa aa aa bb aa"),
        ((0.5, 0.25, 0.25), " aa bb cc aa aa bb cc aa"),
    ],
)
def test_models_of_words_write_a_word_each_in_turn(weights, text):
    """The space of the next word is a part of it, so that no space is read before it."""
    words = (" aa", " bb", " cc")[: len(weights)]
    networks = [Likes(WORDS, {word: 1.0}) for word in words]
    symbols = UnitedSymbols([WORDS] * len(weights))
    network = BlendedNetwork(networks, symbols, weights, alternate=True)
    options = SampleOptions(length=len(text), temperature=0.0)
    assert "".join(one.text for one in stream_text(network, WORDS, options)) == text


@pytest.mark.parametrize(
    ("before", "shares"),
    [
        # The first model's word, after which it decides whether another one begins. Of these the
        # second model would take `bb` four times as often as the others.
        (" aa", {",": 0.5, " aa": 0.05, " bb": 0.4, " ": 0.05}),
        (" aa,", {",": 0.5, " aa": 0.05, " bb": 0.4, " ": 0.05}),
        # At the beginning, and after a space of its own, it is the turn of one model alone.
        ("", {",": 0.5, " aa": 0.2, " bb": 0.2, " ": 0.1}),
        (" aa\n", {",": 0.2, " aa": 0.08, " bb": 0.64, " ": 0.08}),
        # The second model's word: a token, or spelled.
        (" aa bb", {",": 0.2, " aa": 0.32, " bb": 0.32, " ": 0.16}),
        (" aa ba", {",": 0.2, " aa": 0.32, " bb": 0.32, " ": 0.16}),
    ],
)
def test_who_writes_decides_that_a_word_begins_and_the_next_one_which(before, shares):
    first = Likes(WORDS, {",": 0.5, " aa": 0.2, " bb": 0.2, " ": 0.1})
    second = Likes(WORDS, {",": 0.2, " aa": 0.08, " bb": 0.64, " ": 0.08})
    symbols = UnitedSymbols([WORDS] * 2)
    network = BlendedNetwork([first, second], symbols, (0.5, 0.5), alternate=True)
    shares_V = np.exp(start(network, WORDS.encode(before).tolist()).logits_BV[0])
    told = {WORDS.symbols[token]: shares_V[token] for token in np.flatnonzero(shares_V > 1e-9)}
    assert told == {symbol: pytest.approx(share, rel=1e-5) for symbol, share in shares.items()}


def test_texts_of_words_in_turn_do_not_see_each_other():
    first, second = Likes(WORDS, {",": 0.5, " aa": 0.5}), Likes(WORDS, {",": 0.2, " bb": 0.8})
    symbols = UnitedSymbols([WORDS] * 2)
    network = BlendedNetwork([first, second], symbols, (0.5, 0.5), alternate=True)
    befores = [WORDS.encode(text).tolist() for text in ("", " aa", " aa\n", " aa bb")]
    together = start_many(network, befores).logits_BV
    for row, ids in zip(together, befores, strict=True):
        np.testing.assert_array_equal(row, start(network, ids).logits_BV[0])


def test_a_model_that_begins_no_word_leaves_it_to_the_other():
    """Its probabilities are below those of any float."""
    first, second = Likes(WORDS, {",": 0.5, " aa": 0.5}), Likes(WORDS, {",": 1.0})
    second._logits_V[second._logits_V < 0] = -5000.0
    symbols = UnitedSymbols([WORDS] * 2)
    network = BlendedNetwork([first, second], symbols, (0.5, 0.5), alternate=True)
    shares_V = np.exp(start(network, WORDS.encode(" aa").tolist()).logits_BV[0])
    index = WORDS.symbol_index()
    assert [shares_V[index[symbol]] for symbol in (",", " aa")] == pytest.approx([0.5, 0.5])


def test_words_that_are_mixed_are_summed_as_all_else_is():
    first, second = Likes(WORDS, {",": 0.5, " aa": 0.5}), Likes(WORDS, {",": 0.1, " bb": 0.9})
    network = BlendedNetwork([first, second], UnitedSymbols([WORDS] * 2), (0.75, 0.25))
    shares_V = np.exp(start(network, WORDS.encode(" aa").tolist()).logits_BV[0])
    told = [shares_V[WORDS.symbol_index()[symbol]] for symbol in (",", " aa", " bb")]
    assert told == pytest.approx([0.4, 0.375, 0.225])


def test_what_the_writing_model_lacks_is_not_written_in_turn():
    network = blended(0.5, 0.5, alternate=True)
    options = SampleOptions(length=300, temperature=3.0, rng=4)
    text = "".join(one.text for one in stream_text(network, ALL, options))
    words = text.replace("\n", " ").split(" ")
    assert "c" not in words[0]
    assert "_" not in words[0]
    # The second knows no space: it writes to the end.
    assert len(words) == 2
    assert set(words[1]) <= set("ab_c")


def test_same_seed_same_text_alone_and_together():
    network = blended(0.6, 0.4)
    options = SampleOptions(length=40, rng=3, top_p=0.9, stop=("cc",))
    seeds = [ALL.encode("aé").tolist()] * 3
    texts = generate(network, ALL, seeds, options)
    assert len({text.text for text in texts}) == 3
    assert texts == generate(network, ALL, seeds, options, together=False)
    for text in texts:
        assert UNKNOWN_ID not in text.ids
        assert "cc" not in text.text
        costs, ids = [], list(seeds[0])
        for token in text.ids:
            costs.append(log_softmax(start(network, ids).logits_BV[0])[token])
            ids.append(token)
        chars = len(ALL.decode(text.ids))
        assert text.bits_per_char == pytest.approx(-sum(costs) / np.log(2) / chars, rel=1e-6)


def test_with_a_history():
    """Each model sees the last tokens that it has read."""
    network = seen_by(blended(0.6, 0.4), SampleOptions(history=2))
    expected = blended(0.6, 0.4)
    logits_1V, _ = expected.read(ALL.encode("ab").tolist(), expected.zero_state())
    np.testing.assert_array_equal(after(network, "abbab"), logits_1V[0])


def test_what_cannot_be_united_is_refused():
    words = [Vocabulary.from_words("ab ", {" one": 2}), Vocabulary.from_words("ab ", {" two": 2})]
    assert UnitedSymbols(words[:1] * 2).vocabulary is words[0]
    assert UnitedSymbols([Vocabulary.utf8()] * 2).readings[1][5] == (5,)
    with pytest.raises(ConfigError, match="one word to a model is several letters"):
        UnitedSymbols(words)
    with pytest.raises(ConfigError, match="char and byte"):
        UnitedSymbols([FIRST, Vocabulary.utf8()])


def test_it_cannot_be_steered():
    network = blended(0.6, 0.4)
    with pytest.raises(SamplingError, match="belongs to one model"):
        network.read([2], network.zero_state(), [object()])
    # One text of several is enough.
    with pytest.raises(SamplingError, match="belongs to one model"):
        network.step(np.array([2, 2]), network.zero_state(2), [(), (object(),)])


def test_rows_of_different_progress_with_a_history():
    """The first model lacks `_` and `c`, so its rows have read more and fewer tokens."""
    sizes = [len(places) for places in BOTH.places]
    network = BlendedNetwork(
        [HistoryNetwork(HashNetwork(sizes[0]), 8), HashNetwork(sizes[1])], BOTH, (0.6, 0.4)
    )
    texts = ["acbab", "ccc_a", "", "abé ba", "c"]
    together = start_many(network, [ALL.encode(text).tolist() for text in texts])
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(together.logits_BV[row], after(network, text))


def test_whose_turn_it_is_goes_on_with_a_history():
    vocabulary = Vocabulary.from_characters("ab \n")
    index = vocabulary.symbol_index()
    networks = [Word(len(vocabulary), index[letter], index[" "]) for letter in "ab"]
    symbols = UnitedSymbols([vocabulary, vocabulary])
    network = BlendedNetwork(networks, symbols, (0.75, 0.25), alternate=True)
    options = SampleOptions(length=16, temperature=0.0, history=2)
    text = "".join(one.text for one in stream_text(network, vocabulary, options))
    assert text == "a a b a a a b a "


def test_equal_vocabularies_are_the_first_one():
    """Nothing is united where nothing differs."""
    one, other = Vocabulary.from_characters("ab"), Vocabulary.from_characters("ab")
    assert UnitedSymbols([one, other]).vocabulary is one
    assert UnitedSymbols([one]).vocabulary is one


def test_models_blend_where_nothing_else_is_said():
    networks = [HashNetwork(len(places)) for places in BOTH.places]
    plain = BlendedNetwork(networks, BOTH, (0.5, 0.5))
    np.testing.assert_array_equal(after(plain, "ab"), after(blended(0.5, 0.5), "ab"))
    assert not np.array_equal(after(plain, "ab"), after(blended(0.5, 0.5, alternate=True), "ab"))


@pytest.mark.parametrize(("counts", "all_have"), [((1, 1), True), ((1, 0), False), ((0, 0), False)])
def test_it_has_counts_where_all_have(counts, all_have):
    networks = [HashNetwork(len(places)) for places in BOTH.places]
    for network, has in zip(networks, counts, strict=True):
        network.has_counts = bool(has)
    assert BlendedNetwork(networks, BOTH, (0.5, 0.5)).has_counts == all_have


def test_its_engine_is_that_of_the_first():
    networks = [HashNetwork(len(places)) for places in BOTH.places]
    networks[0].engine = object()
    assert BlendedNetwork(networks, BOTH, (0.5, 0.5)).engine is networks[0].engine


def test_what_writes_is_made_of_what_writes_each():
    """One text by what writes one of each model, many by what writes many; told as by the first."""

    class Told:
        def __init__(self, name):
            self.name, self.one, self.many = name, f"{name} one", f"{name} many"

        def record(self, *given, **more):
            return {self.name: given, **more}

        def describe(self, *given, **more):
            return repr((self.name, given, more))

    networks = BlendedNetworks([Told("a"), Told("b")], lambda each: list(each))
    assert networks.one == ["a one", "b one"]
    assert networks.many == ["a many", "b many"]
    plain = {"exact": False, "eight_bit": False}
    assert networks.record() == {"a": (1,), **plain}
    assert networks.record(3, exact=True) == {"a": (3,), **plain, "exact": True}
    assert networks.describe() == repr(("a", (1,), plain))
    assert networks.describe(2, eight_bit=True) == repr(("a", (2,), {**plain, "eight_bit": True}))
