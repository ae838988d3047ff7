"""Whether the end of a text is like the rest of it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from textgen.corpus import split
from textgen.corpus.split import strange_from, unseen_symbols
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary

_NOVEL = "the old man came to river and she said nothing in a grey morning while rain fell"
_LICENCE = (
    "Licensor WARRANTIES Section COPYRIGHT hereby notwithstanding (c) 2.1 provisions; LIABILITY "
    "MERCHANTABILITY sublicense 'Derivative' 1998-2004 expressly prohibited, whatsoever"
)
_RUSSIAN = "старик пришёл к реке и она ничего не сказала серым утром пока шёл дождь"
NOVEL, LICENCE, RUSSIAN = (text.split() for text in (_NOVEL, _LICENCE, _RUSSIAN))


def prose(words: list[str], chars: int, seed: int, share: float = 1.0) -> str:
    """Sentences; with a share below 1 an act prefers some of the words, as texts do."""
    rng = random.Random(seed)
    parts: list[str] = []
    size = 0
    while size < chars:
        act = random.Random(size * 12 // chars + seed).sample(words, max(4, len(words) // 2))
        sentence = " ".join(
            rng.choice(words if rng.random() < share else act) for _ in range(rng.randint(4, 12))
        )
        parts.append(sentence.capitalize() + rng.choice([". ", "! ", ".\n"]))
        size += len(parts[-1])
    return "".join(parts)[:chars]


def encoded(text: str, level: str) -> tuple[np.ndarray, Vocabulary]:
    if level == "byte":
        vocabulary = Vocabulary.utf8()
    elif level == "word":
        words = dict.fromkeys((f" {word}" for word in (*NOVEL, *LICENCE, *RUSSIAN)), 2)
        vocabulary = Vocabulary.from_words(sorted(set(text)), words, folded=False)
    else:
        vocabulary = Vocabulary.from_characters(sorted(set(text)))
    return np.asarray(vocabulary.encode(text), vocabulary.dtype), vocabulary


def found(text: str, level: str = "char", share: float = 0.1) -> float | None:
    """Where the end begins to be strange, as a share of the text."""
    tokens, vocabulary = encoded(text, level)
    place = strange_from(tokens, int((1 - share) * len(tokens)), vocabulary)
    return None if place is None else place / len(tokens)


@pytest.mark.parametrize("level", ["char", "byte", "word"])
@pytest.mark.parametrize("end", [LICENCE, RUSSIAN], ids=["licence", "language"])
@pytest.mark.parametrize("length", [0.04, 0.1, 0.15])
def test_another_kind_of_text_at_the_end(level: str, end: list[str], length: float) -> None:
    chars = 80_000
    text = prose(NOVEL, chars, 1, share=0.5) + "\n\n" + prose(end, int(length * chars), 2)
    place = found(text, level)
    assert place is not None and abs(place - max(0.9, 1 / (1 + length))) < 0.06


@pytest.mark.parametrize("level", ["char", "byte", "word"])
@pytest.mark.parametrize("chars", [20_000, 100_000])
@pytest.mark.parametrize("seed", range(3))
def test_a_text_that_changes_as_texts_do(level: str, chars: int, seed: int) -> None:
    assert found(prose(NOVEL, chars, seed, share=0.5), level) is None


def test_a_text_of_many_kinds_has_no_strange_end() -> None:
    """Poems and licences by turns: the end is as strange as the rest."""
    kinds = [NOVEL, LICENCE, RUSSIAN]
    parts = [prose(kinds[n * 7 % 3], 5_000, n) for n in range(20)]
    assert found("\n".join(parts)) is None


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_any_share(share: float) -> None:
    plain = prose(NOVEL, 100_000, 5, share=0.5)
    assert found(plain, share=share) is None
    if share <= 0.3:
        text = plain + prose(LICENCE, int(100_000 * share), 6)
        assert found(text, share=share) is not None


def test_too_little_to_tell() -> None:
    assert found(prose(NOVEL, 10_000, 1) + prose(LICENCE, 1_000, 2)) is None


def test_only_so_much_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    text = prose(NOVEL, 200_000, 3, share=0.5) + prose(LICENCE, 22_000, 4)
    monkeypatch.setattr(split, "_LOOK", 1500)
    monkeypatch.setattr(split, "_MOST_STRETCHES", 12)
    assert found(text) is not None


def test_symbols_that_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "_SCAN", 3)
    vocabulary = Vocabulary.from_characters("abcdef")
    train = np.asarray(vocabulary.encode("abcabc"), np.uint8)
    val = np.array([END_ID, UNKNOWN_ID, *vocabulary.encode("adeeeb")], np.uint8)
    assert unseen_symbols(train, val, vocabulary) == (["e", "d"], 4)
    assert unseen_symbols(train, train, vocabulary) == ([], 0)
