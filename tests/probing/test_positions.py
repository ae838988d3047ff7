"""Places in a corpus: blocks on one side each, labels on the right token at every level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import ConfigError, CorpusError
from textgen.probing.examples import (
    FIT,
    HELD_OUT,
    LAST_SIGN,
    VALIDATION,
    Examples,
    feature_property,
    position_examples,
    regex_property,
)
from textgen.probing.unit_selection import Selector
from textgen.view_options import ALPHA

TEXT = "".join(f"слово {number} (в скобках) и ещё; " for number in range(900))
CHAR = Vocabulary.from_characters(TEXT)
WORD = Vocabulary.from_words(TEXT, {" слово": 5, " в": 3, " ещё": 2})


def examples_of(
    vocabulary: Vocabulary = CHAR, text: str = TEXT, pattern: str = r"\(.*?\)", seed: int = 0
) -> Examples:
    return position_examples(
        vocabulary.encode(text),
        regex_property(pattern),
        "brackets",
        vocabulary,
        held_out=0.3,
        rng=np.random.default_rng(seed),
        count=600,
    )


@pytest.mark.parametrize(
    "vocabulary", [CHAR, Vocabulary.utf8(), WORD], ids=["char", "byte", "word"]
)
def test_a_token_has_the_label_of_its_character(vocabulary: Vocabulary) -> None:
    """Told by the characters before it, which the n-grams are made of."""
    examples = examples_of(vocabulary)
    contexts = examples.contexts(np.arange(len(examples.labels_N)))
    ends = [context.removesuffix(LAST_SIGN) for context in contexts]
    inside = [end[-1] == ")" or end.rfind("(") > end.rfind(")") for end in ends]
    assert inside == examples.labels_N.tolist()
    for number, end in enumerate(ends):
        ids = examples.documents[examples.document_N[number]]
        read = vocabulary.decode(ids[: examples.place_N[number] + 1], at_start=False)
        assert read[-20:] == end[-20:]
        assert len(end) == 40 or read.endswith(end)


def test_both_kinds_in_each_part() -> None:
    examples = examples_of()
    for part in (FIT, VALIDATION, HELD_OUT):
        labels = examples.labels_N[examples.part_N == part]
        assert labels.mean() == 0.5
        assert len(labels) >= 16
    assert len(examples.labels_N) <= 620


@pytest.mark.parametrize("seed", range(5))
def test_nothing_that_is_read_is_on_both_sides(seed: int) -> None:
    """A document is on one side, and what is before the first place is longer than a block."""
    examples = examples_of(seed=seed)
    for document in np.unique(examples.document_N):
        own = examples.document_N == document
        assert len(set(examples.part_N[own])) == 1
    assert (examples.place_N >= examples.skip_D[examples.document_N]).all()
    assert (examples.chance_NK >= examples.skip_D[0]).all()
    assert (examples.chance_NK < len(examples.documents[0])).all()
    size = len(examples.documents[0])
    joined = np.concatenate(examples.documents)
    np.testing.assert_array_equal(joined, CHAR.encode(TEXT)[: len(joined)])
    assert size == 4 * examples.skip_D[0]


def test_one_position_of_a_kind_in_a_block_is_counted() -> None:
    examples = examples_of()
    block = examples.skip_D[0]
    keys = [
        (document, place // block, label)
        for document, place, label in zip(
            examples.document_N, examples.place_N, examples.labels_N, strict=True
        )
    ]
    counted = [key for key, first in zip(keys, examples.independent_N, strict=True) if first]
    assert len(set(counted)) == len(counted) < len(keys)
    assert len(counted) > len(set(keys)) / 2


def random_pieces(rng: np.random.Generator, size: int, length: int) -> np.ndarray:
    """A random kind for each piece of `size` characters."""
    return np.repeat(rng.random(length // size + 1) < 0.5, size)[:length]


def examples_of_array(text: str, holds: np.ndarray, seed: int, count: int = 2000) -> Examples:
    return position_examples(
        CHAR.encode(text),
        lambda _: holds,
        "made up",
        CHAR,
        held_out=0.3,
        rng=np.random.default_rng(seed),
        count=count,
    )


def places_of(examples: Examples) -> np.ndarray:
    """Where each position stands in the corpus."""
    return examples.document_N * len(examples.documents[0]) + examples.place_N


def test_one_position_of_a_run_is_counted_on_each_side() -> None:
    """However many blocks the run is long."""
    text = (TEXT * 4)[:100_000]
    holds = random_pieces(np.random.default_rng(3), 5000, len(text))
    run = np.cumsum(np.diff(holds, prepend=holds[0]))
    examples = examples_of_array(text, holds, seed=0)
    places = places_of(examples)
    np.testing.assert_array_equal(holds[places], examples.labels_N)
    for side in (examples.train_N, examples.held_out_N):
        counted = run[places[side & examples.independent_N]]
        assert len(set(counted)) == len(counted) >= 5


def test_long_pieces_of_two_languages_are_no_finding() -> None:
    """A random kind for each piece of 8,000 characters, and units that tell its language.

    If each seed had a chance of `ALPHA`, more findings than the bound would come once in 1,000.
    """
    text = (TEXT * 12)[:240_000]
    found, seeds = 0, 30
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        examples = examples_of_array(text, random_pieces(rng, 8000, len(text)), seed)
        language = random_pieces(rng, 8000, len(text))[places_of(examples)]
        values = rng.normal(size=(len(language), 4)) + 3.0 * language[:, None]
        selector = Selector(values.astype(np.float32), examples)
        assert selector.can_find(examples.labels_N)
        found += selector.finds_any(examples.labels_N)
    assert found <= stats.binom.ppf(0.999, seeds, ALPHA)


def test_n_grams_do_not_reach_before_the_stretch() -> None:
    """Forty characters are eighty bytes, more than the block of context in a short corpus."""
    examples = examples_of(Vocabulary.utf8(), TEXT[:8000])
    assert examples.skip_D[0] == 48
    contexts = examples.contexts(np.arange(len(examples.labels_N)))
    sizes = [len(context.removesuffix(LAST_SIGN).encode()) for context in contexts]
    # A character whose last byte alone is in the stretch ends in it.
    assert all(np.array(sizes) <= examples.place_N + 2)
    assert max(map(len, contexts)) == 41


def test_end_marks_stand_between_documents_and_are_no_place() -> None:
    """A pattern does not reach over them."""
    parts = [CHAR.encode("слово ( открыто "), np.array([END_ID], CHAR.dtype)] * 500
    ids = np.concatenate(parts)
    examples = position_examples(
        ids,
        regex_property(r"\([^\0]*"),
        "open",
        CHAR,
        held_out=0.3,
        rng=np.random.default_rng(0),
        count=600,
    )
    contexts = examples.contexts(np.arange(len(examples.labels_N)))
    assert all(
        ("(" in context.split("\0")[-1]) == label
        for context, label in zip(contexts, examples.labels_N.tolist(), strict=True)
    )
    for number, document in enumerate(examples.document_N):
        assert examples.documents[document][examples.place_N[number]] != END_ID


def test_features_hold_or_lie_above_their_median() -> None:
    holds, name = feature_property("digit")
    assert (name, holds("a1b").tolist()) == ("digit", [False, True, False])
    holds, name = feature_property("bracket-depth")
    assert name == "bracket-depth (above its median)"
    assert holds("((a)b)c").tolist()[:3] == [False, True, True]
    # Where all that is not zero is equal, that is what holds.
    assert holds("(a)b").tolist()[1:] == [True, holds("(a)b")[2], False]
    with pytest.raises(ConfigError, match="choose one of"):
        feature_property("sentiment")


def test_what_cannot_be_looked_for() -> None:
    with pytest.raises(CorpusError, match="'brackets' holds at 0 positions"):
        examples_of(pattern="xyz")
    with pytest.raises(CorpusError, match="'brackets' fails at 0 positions"):
        examples_of(pattern=r"[\s\S]")
    with pytest.raises(CorpusError, match=r"has 300 tokens; 1,152 are the least"):
        examples_of(text=TEXT[:300])
    with pytest.raises(ConfigError, match="is not a regular expression"):
        examples_of(pattern="(")
