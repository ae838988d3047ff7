"""The split of texts: both kinds on both sides, no text on two."""

from __future__ import annotations

import numpy as np
import pytest

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import CorpusError
from textgen.probing.examples import FIT, HELD_OUT, VALIDATION, Examples, text_examples
from textgen.probing.labels import LabelledTexts

VOCABULARY = Vocabulary.from_characters("abcdefghijklmnopqrstuvwxyz 0123456789\n")


def labelled(texts: list[str], labels: list[bool]) -> LabelledTexts:
    return LabelledTexts(
        texts=tuple(texts), labels=tuple(labels), positive="p", negative="n", source="here"
    )


def split(texts: list[str], labels: list[bool], seed: int = 0, **options: object) -> Examples:
    settings: dict[str, object] = {"protocol": "mean", "held_out": 0.3, **options}
    return text_examples(
        labelled(texts, labels),
        VOCABULARY,
        Normalization(),
        rng=np.random.default_rng(seed),
        **settings,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("seed", range(8))
def test_no_text_is_on_both_sides(seed: int) -> None:
    """Each text stands there three times: as it is, in capitals, with other spaces."""
    texts, labels = [], []
    for number in range(40):
        text = f"text {number} of all"
        texts += [text, text.upper(), f"  text   {number}\nof all "]
        labels += [number % 2 == 0] * 3
    examples = split(texts, labels, seed)
    sides = examples.part_N.reshape(40, 3)
    assert (sides == sides[:, :1]).all()
    assert set(sides[:, 0]) == {FIT, VALIDATION, HELD_OUT}
    assert (examples.group_N.reshape(40, 3) == np.arange(40)[:, None]).all()
    # Only one of each three is counted as a case of its own.
    assert examples.independent_N.reshape(40, 3).tolist() == [[True, False, False]] * 40
    assert any("80 texts repeat an earlier one" in note for note in examples.notes)


def test_both_kinds_have_their_share() -> None:
    texts = [f"text {number}" for number in range(200)]
    examples = split(texts, [number < 40 for number in range(200)], held_out=0.25)
    assert examples.counts() == {
        "train": {"positive": 30, "negative": 120},
        "held_out": {"positive": 10, "negative": 40},
    }
    validation = examples.part_N == VALIDATION
    assert (validation & examples.labels_N).sum() == 6
    assert validation.sum() == 30


def test_the_split_is_the_seeds() -> None:
    texts = [f"text {number}" for number in range(60)]
    labels = [number % 3 == 0 for number in range(60)]
    one, same, other = (split(texts, labels, seed).part_N for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_limits_are_kept_and_said() -> None:
    texts = [f"{number:03} a long text" for number in range(100)]
    examples = split(texts, [n % 2 == 0 for n in range(100)], limit=50, chars=5)
    assert len(examples.documents) == 50
    assert {len(ids) for ids in examples.documents} == {5}
    assert examples.notes == (
        "50 of 100 texts, drawn at random",
        "the first 5 characters of each text",
    )


def test_places_lie_in_the_text() -> None:
    texts = ["a" * (number + 1) for number in range(40)]
    examples = split(texts, [n % 2 == 0 for n in range(40)])
    assert examples.place_N.tolist() == list(range(40))
    assert (examples.chance_NK >= 0).all()
    assert (examples.chance_NK < examples.place_N[:, None] + 1).all()


def test_too_few_texts() -> None:
    with pytest.raises(CorpusError, match="3 texts are labelled 'p'; at least 8"):
        split([f"t{n}" for n in range(30)], [n < 3 for n in range(30)])
    # Forty copies of one text are one.
    with pytest.raises(CorpusError, match="too few different texts"):
        split(["same"] * 20 + [f"t{n}" for n in range(20)], [True] * 20 + [False] * 20)
