"""Syllables as automata: what a line of so many is, and what words are where they are counted.

In Cyrillic alphabets each vowel is a syllable. In Latin and Greek ones vowels that stand together
are one, and in English a silent *e* is none: one behind a consonant that ends a word with another
vowel (*love*, but *the*; not in *table*), also before an *s* or a *d* (*loves*, *loved*, but
*wanted*, *houses*).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from textgen.sampling.forms.alphabet import Alphabet, is_letter, is_vowel, stands_apart
from textgen.sampling.forms.automaton import NONE, Rule

#: Consonants that stand together in a word where syllables are counted.
MOST_CONSONANTS = 4

#: What a character is: no letter, a consonant, a vowel that is a syllable, one that joins others, a
#: mark on a letter; and in English the letters that a silent e depends on.
_OTHER, _CONSONANT, _ALONE, _JOINING, _MARK, _E, _L, _T, _D, _S, _HISS = range(11)
_ENGLISH = {"e": _E, "l": _L, "t": _T, "d": _D, "s": _S, **dict.fromkeys("xzcgh", _HISS)}
#: Where a line stands: between words; behind consonants of a word without a vowel yet; in a word
#: with one behind a consonant, t or d, one that hisses, an l after a vowel, or an l after another
#: consonant; in vowels; behind an e that is silent if the word ends, after a consonant, after t or
#: d, after one that hisses; behind an s or d after such an e.
_BETWEEN, _FIRST, _BEHIND, _BEHIND_T, _BEHIND_S, _BEHIND_ONE_L, _BEHIND_L, _VOWELS = range(8)
_SILENT, _SILENT_T, _SILENT_S, _ENDING = range(8, 12)
_PLACES = 12
_BEHIND_OF = {_T: _BEHIND_T, _D: _BEHIND_T, _S: _BEHIND_S, _HISS: _BEHIND_S}
#: The most frequent words of an English text have these among so many.
_COMMON, _AMONG = frozenset(("the", "and", "of")), 30


def is_english(words: Sequence[str], *, are_ranked: bool) -> bool:
    """Whether words are those of English.

    Args:
        words: Words in lower case.
        are_ranked: Whether the most frequent ones of a text stand first.
    """
    return set(words[:_AMONG] if are_ranked else words) >= _COMMON


def syllables_rule(name: str, count: int, alphabet: Alphabet, *, is_english: bool = False) -> Rule:
    """The rule of so many syllables.

    After the word that has the last of them no other begins.

    Args:
        name: As in `Rule`.
        count: How many.
        alphabet: The characters of texts.
        is_english: Whether a silent e is no syllable.
    """
    own = _ENGLISH if is_english else {}
    kinds = [own.get(char.lower(), sound(char)) for char in alphabet.chars]
    closed = (count + 1) * _PLACES
    table_SK = np.full((closed + 1, 11), NONE, np.int32)
    for state in range(closed):
        read, place = divmod(state, _PLACES)
        for kind in range(11):
            after, more = _step(place, kind)
            if kind == _OTHER and read == count:
                table_SK[state, kind] = closed
            elif read + more <= count:
                table_SK[state, kind] = (read + more) * _PLACES + after
    table_SK[closed, _OTHER] = closed
    return Rule(
        name, np.array(kinds, np.int32), table_SK, np.arange(closed + 1) >= count * _PLACES
    ).minimal()


def _step(place: int, kind: int) -> tuple[int, int]:
    """Where a line stands after a character, and how many syllables are then known to be read."""
    waits = place >= _SILENT
    if kind == _OTHER:
        return _BETWEEN, 0
    if kind == _MARK:
        return (_VOWELS, 1) if waits and place != _ENDING else (place, 0)
    if (kind == _D and place in (_SILENT, _SILENT_S)) or (
        kind == _S and place in (_SILENT, _SILENT_T)
    ):
        return _ENDING, 0
    if kind == _ALONE:
        return _BEHIND, 1 + waits
    if kind in (_JOINING, _E):
        if place == _VOWELS:
            return _VOWELS, 0
        if kind == _E and place == _BEHIND_ONE_L:
            return _SILENT, 0
        if kind == _E and _BEHIND <= place <= _BEHIND_S:
            return place - _BEHIND + _SILENT, 0
        return _VOWELS, 1 + (place == _ENDING)
    if place <= _FIRST:
        return _FIRST, 0
    if kind == _L:
        is_after_vowel = place in (_VOWELS, _BEHIND_ONE_L) or _SILENT <= place <= _SILENT_S
        return _BEHIND_ONE_L if is_after_vowel else _BEHIND_L, int(waits)
    return _BEHIND_OF.get(kind, _BEHIND), int(waits)


def sound(char: str) -> int:
    """What a character is to syllables, in any language."""
    if unicodedata.category(char).startswith("M"):
        return _MARK
    if not is_vowel(char):
        return _CONSONANT if is_letter(char) else _OTHER
    return _ALONE if stands_apart(char) else _JOINING


def voiced_rule(name: str, alphabet: Alphabet) -> Rule:
    """The rule that words are not drawn out where no syllable is left for them.

    Each has a vowel or is one letter, no more than `MOST_CONSONANTS` stand together in it, and no
    more than two characters that are no letters stand together.
    """
    sounds = [sound(char) for char in alphabet.chars]
    kinds_N = np.array([3 if one == 4 else min(one, 2) for one in sounds], np.int32)
    # 0, 1 and 2: so many characters since the last word. Then n consonants that begin a word, and
    # n of them after its vowel.
    first, voiced = 2, 2 + MOST_CONSONANTS + 1
    table_SK = np.full((voiced + MOST_CONSONANTS + 1, 4), NONE, np.int32)
    for state in range(len(table_SK)):
        apart = min(state, first)
        consonants = state - (voiced if state >= voiced else first)
        is_word = state > first
        may_end = state >= voiced or consonants < 2
        table_SK[state] = (
            (1 if may_end else NONE) if is_word else (apart + 1 if apart < 2 else NONE),
            (state + 1 if consonants < MOST_CONSONANTS else NONE) if is_word else first + 1,
            voiced,
            state,
        )
    ends_S = table_SK[:, 0] >= 0
    ends_S[: first + 1] = True
    return Rule(name, kinds_N, table_SK, ends_S)
