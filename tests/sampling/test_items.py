"""Items of a list: different, new, as many as there are, and never endlessly looked for."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.fake_networks import HashNetwork

from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import ConfigError, SamplingError
from textgen.model.head import log_softmax
from textgen.options import SampleOptions
from textgen.sampling import Generation, generate, items
from textgen.sampling.forms import Form
from textgen.sampling.items import LEAST_ROUND, ItemRequest, Items, find_items

CHARS = Vocabulary.from_characters("ab")
NETWORK = HashNetwork(len(CHARS))


class Call:
    """Writes with a network, and counts the texts."""

    def __init__(self, vocabulary: Vocabulary = CHARS, seed: str = "", **settings: Any) -> None:
        self.vocabulary = vocabulary
        self.seed = [vocabulary.symbol_index()[char] for char in seed]
        self.options = SampleOptions(until_end=True, **settings)
        self.network = NETWORK if vocabulary is CHARS else HashNetwork(len(vocabulary))
        self.rounds: list[tuple[int, bool]] = []

    def write(self, size: int, first: int, form: Form | None, length: int) -> list[Generation]:
        self.rounds.append((size, form is not None))
        options = SampleOptions(
            length=length,
            until_end=True,
            temperature=self.options.temperature,
            top_k=self.options.top_k,
            rng=self.options.rng,
        )
        seeds = [self.seed] * size
        return generate(self.network, self.vocabulary, seeds, options, first_index=first, form=form)

    def items(
        self,
        count: int,
        most: int,
        *,
        training: Corpus | None = None,
        is_unique: bool = True,
        **order: Any,
    ) -> Items:
        request = ItemRequest(
            count=count,
            vocabulary=self.vocabulary,
            seed=self.seed,
            most=most,
            form=None,
            asked=[],
            training=None if training is None else training.tokens,
            is_unique=is_unique,
        )
        return find_items(request, self.write, **order)


class Told(Call):
    """Gives texts that are known, again and again."""

    def __init__(self, *texts: Generation) -> None:
        super().__init__()
        self.texts = itertools.cycle(texts)

    def write(self, size: int, first: int, form: Form | None, length: int) -> list[Generation]:
        self.rounds.append((size, form is not None))
        return list(itertools.islice(self.texts, size))


def told(text: str, reason: Any, *end: int) -> Generation:
    return Generation(text, (*CHARS.encode(text).tolist(), *end), reason, 1.0)


def every(most: int) -> set[str]:
    sizes = range(1, most + 1)
    return {"".join(text) for size in sizes for text in itertools.product("ab", repeat=size)}


def corpus(tmp_path: Any, lines: list[str]) -> Corpus:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Corpus.open([path], CorpusOptions(documents="line"), vocabulary=CHARS)


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.0}, {"top_k": 1}, pytest.param({"rng": 5}, marks=pytest.mark.slow)],
)
def test_all_there_are_and_no_more(settings: dict[str, Any]) -> None:
    call = Call(**settings)
    found = call.items(1000, 4)
    assert len(found) == 30 and set(found.texts) == every(4)
    assert found.why_fewer == (
        "30 items, not 1,000: no other text of the model's symbols has at most 4 characters"
    )
    assert sum(size for size, _ in call.rounds) == found.written
    assert call.items(30, 4).why_fewer is None


def test_none_of_the_training_text(tmp_path: Any) -> None:
    known = ["a", "ab", "bbb", "aab", "bbbbb"]
    found = Call().items(1000, 3, training=corpus(tmp_path, known))
    assert set(found.texts) == every(3) - set(known) and len(found) == 10
    assert found.why_fewer is not None
    assert found.why_fewer.endswith("3 characters, but for 4 in the training text")
    everything = corpus(tmp_path, sorted(every(3)))
    nothing = Call().items(5, 3, training=everything)
    assert (len(nothing), nothing.written) == (0, 0)
    assert nothing.why_fewer is not None and nothing.why_fewer.startswith("0 items, not 5")


def test_under_the_form_nothing_is_written_in_vain() -> None:
    """But for equal texts of one round, which is as long as what was found in the last one."""
    call = Call(temperature=0.0)
    found = call.items(20, 6)
    assert len(found) == 20
    free, *rounds = call.rounds
    assert free == (20, False) and all(held for _, held in rounds)
    assert found.written <= 20 + 3 * 20
    # Texts that are all equal are one item; the other one is written alone.
    call = Call(temperature=0.0)
    assert len(call.items(2, 6)) == 2
    assert call.rounds == [(LEAST_ROUND, False), (1, True)]


def test_what_is_written_freely_is_kept_in_its_order() -> None:
    """So the items are distributed as the model writes: they are the first different ones."""
    call = Call()
    found = call.items(6, 12)
    assert call.rounds == [(LEAST_ROUND, False)]
    options = SampleOptions(length=13, until_end=True)
    alone = generate(NETWORK, CHARS, [[]] * LEAST_ROUND, options)
    whole = [text.text for text in alone if text.finish_reason == "end" and text.text]
    assert found.texts == list(dict.fromkeys(whole))[:6]


def test_what_is_missing_is_written_freely_while_most_texts_are_items() -> None:
    """As many more as were left out of the first ones, and one."""
    call = Call()
    found = call.items(200, 9, is_unique=False)
    options = SampleOptions(length=10, until_end=True)
    texts = generate(NETWORK, CHARS, [[]] * 200, options)
    kept = sum(text.finish_reason == "end" and bool(text.text) for text in texts)
    assert call.rounds[:2] == [(200, False), ((200 - kept) * 200 // kept + 1, False)]
    assert len(found) == 200 and call.rounds[1][0] > LEAST_ROUND


def test_under_the_form_twice_as_many_are_written_as_the_last_round_found() -> None:
    new = [told(text, "end", END_ID) for text in ("b", "ab", "bb", "aa")]
    call = Told(*[told("a", "end", END_ID)] * (LEAST_ROUND + 4), *new)
    assert len(call.items(5, 4)) == 5
    assert call.rounds == [(LEAST_ROUND, False), (4, True), (1, True), (2, True), (1, True)]


def test_when_there_are_enough_nothing_more_is_written() -> None:
    call = Told(told("ab", "end", END_ID))
    assert call.items(LEAST_ROUND, 4, is_unique=False).texts == ["ab"] * LEAST_ROUND
    assert call.rounds == [(LEAST_ROUND, False)]


def test_a_text_without_an_end_is_no_item() -> None:
    call = Told(told("ab", "stop"), told("", "length"), told("b", "end", END_ID))
    assert call.items(3, 4, is_unique=False).texts == ["b"] * 3


def test_what_is_not_unique_may_be_there_again() -> None:
    found = Call().items(200, 3, is_unique=False)
    assert len(found) == 200
    assert max(Counter(found.texts).values()) > 3 and found.why_fewer is None


def test_the_seed_is_a_part_of_the_item(tmp_path: Any) -> None:
    found = Call(seed="ab").items(100, 3, training=corpus(tmp_path, ["aba", "b"]))
    assert set(found.texts) == {"ab", "abb"}
    with pytest.raises(SamplingError, match="no item that begins with 'abab' of the model's"):
        Call(seed="abab").items(1, 3)


def test_the_same_seed_gives_the_same_items() -> None:
    first, second, other = (Call(rng=rng).items(25, 5).texts for rng in (1, 1, 2))
    assert first == second != other


def test_rank_orders_by_what_the_model_makes_of_each() -> None:
    ranked, plain = Call().items(30, 4, rank=True), Call().items(30, 4)
    assert set(ranked.texts) == set(plain.texts)

    def cost(text: str) -> float:
        """Step by step, the end included."""
        state, previous, nats = NETWORK.zero_state(), END_ID, 0.0
        for token in [*(CHARS.symbol_index()[char] for char in text), END_ID]:
            logits, state = NETWORK.step(np.array([previous]), state)
            nats -= float(log_softmax(logits)[0][token])
            previous = token
        return nats / math.log(2) / len(text)

    costs = [cost(text) for text in ranked.texts]
    assert costs == sorted(costs)
    assert [item.bits_per_char for item in ranked] == pytest.approx(costs)


def test_bytes_make_whole_characters() -> None:
    found = Call(Vocabulary.utf8()).items(30, 2)
    assert len(set(found.texts)) == 30
    assert all(1 <= len(text) <= 2 and "\ufffd" not in text for text in found.texts)


def test_none_of_a_training_text_of_bytes() -> None:
    """One character is four tokens there, and known all the same."""
    training = SimpleNamespace(tokens=np.append(Vocabulary.utf8().encode("😀"), END_ID))
    beginning = "😀".encode()[:3].decode("latin-1")
    found = Call(Vocabulary.utf8(), beginning).items(100, 1, training=training)  # type: ignore[arg-type]
    assert set(found.texts) == set(map(chr, range(0x1F600, 0x1F640))) - {"😀"}
    assert found.why_fewer is not None
    assert found.why_fewer.endswith("1 character, but for 1 in the training text")


def test_words() -> None:
    vocabulary = Vocabulary("word", ("", "", "ab", " ab", " c", "."), folded=False)
    found = Call(vocabulary).items(10_000, 4)
    assert len(set(found.texts)) == len(found) and {"ab.", " c c", "...."} <= set(found.texts)
    assert found.why_fewer is not None


@pytest.mark.parametrize("count", [0, -3])
def test_how_many(count: int) -> None:
    with pytest.raises(SamplingError, match=f"items is {count}; it must be at least 1"):
        Call().items(count, 3)


@pytest.mark.parametrize(
    ("corpus", "settings", "least", "most"),
    [
        (None, {}, None, 50),
        ({}, {}, None, 50),
        ({"document_lengths": {"longest": 7}}, {}, None, 7),
        ({"document_lengths": {"longest": 7}}, {}, 6, 7),
        ({"document_lengths": {"longest": 7}}, {}, 12, 12),
        ({"document_lengths": {"longest": 7}}, {"chars": "3..9"}, 12, 9),
        ({"document_lengths": {"longest": 7}}, {"chars": "3.."}, 12, 50),
    ],
)
def test_how_long_an_item_may_be(
    corpus: Any, settings: dict[str, Any], least: int | None, most: int
) -> None:
    """What `chars` says, else as long as the longest document or the shortest of the form."""
    model: Any = SimpleNamespace(corpus=corpus)
    form: Any = SimpleNamespace(start=lambda: "begun", least=lambda state: least)
    options = SampleOptions(length=50, **settings)
    assert items.longest_item(model, options, None if least is None else form) == most


@pytest.mark.parametrize(
    ("pairs", "says"),
    [(True, "trained on pairs; "), (False, "one text and has seen no end of an item; ")],
)
def test_a_model_that_knows_no_items_is_refused(pairs: bool, says: str) -> None:
    model: Any = SimpleNamespace(writes_documents=False, reads_pairs=pairs)
    with pytest.raises(SamplingError, match=says):
        items.refuse_no_items(model, SampleOptions())
    model.writes_documents = True
    items.refuse_no_items(model, SampleOptions())
    with pytest.raises(SamplingError, match="keep_going"):
        items.refuse_no_items(model, SampleOptions(keep_going=True))


@pytest.mark.parametrize(("path", "also"), [("names.txt", False), (None, True)])
def test_where_no_text_is_known_new_items_can_do_without(
    monkeypatch: pytest.MonkeyPatch, path: str | None, also: bool
) -> None:
    asked: list[Any] = []

    def refuse(*words: Any) -> None:
        asked.extend(words)
        raise ConfigError("no such text")

    monkeypatch.setattr(items, "training_text", refuse)
    with pytest.raises(ConfigError, match="no such text") as error:
        items.known_items(SimpleNamespace(), path)  # type: ignore[arg-type]
    assert asked == [SimpleNamespace(), path]
    assert ("new=False" in str(error.value)) == also


def test_what_is_told_of_items() -> None:
    found = tuple(items.Item(text, Generation(text, (), "end", 1.5)) for text in ("ab", "b"))
    some = Items(found, 3, 40, "no more")
    assert some.headline == "2 items of 40 texts; no more"
    assert some.to_json() == {"asked": 3, "found": 2, "written": 40, "why_fewer": "no more"}
    assert some.texts == ["ab", "b"] and some[1].text == "b"
    (table,) = some.parts()
    assert list(table.rows) == [("ab", 1.5), ("b", 1.5)]  # type: ignore[union-attr]
    assert Items(found, 2, 40).headline == "2 items of 40 texts"


def test_an_item_may_be_as_long_as_asked_and_its_end_is_written() -> None:
    lengths: list[int] = []

    class Noting(Call):
        def write(self, size: int, first: int, form: Form | None, length: int) -> list[Generation]:
            lengths.append(length)
            return super().write(size, first, form, length)

    Noting(rng=1).items(3, 4)
    assert set(lengths) == {5}


def test_a_text_of_other_tokens_is_the_same_item() -> None:
    """It is written again in other tokens, which is no item, so the next one keeps to the form."""
    vocabulary = Vocabulary("word", ("", "", "a", " ", " a"), folded=False)
    ways = [sum(parts, ()) for parts in itertools.product([(4,), (3, 2)], repeat=3)]
    assert {vocabulary.decode(ids) for ids in ways} == {" a a a"}
    same = itertools.cycle(Generation(" a a a", (*ids, END_ID), "end", 1.0) for ids in ways)
    other = Generation(" a", (4, END_ID), "end", 1.0)
    call = Told(*itertools.islice(same, LEAST_ROUND), other)
    call.vocabulary = vocabulary
    assert call.items(2, 6).texts == [" a a a", " a"]
    assert call.rounds == [(LEAST_ROUND, False), (1, True)]
