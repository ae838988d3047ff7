"""Which words may end the lines of a rhyme, and what rhymes with what."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from textgen.errors import SamplingError, named
from textgen.sampling.forms.alphabet import Alphabet, is_letter, is_vowel, stands_apart
from textgen.sampling.forms.automaton import Rule, as_line, product
from textgen.sampling.forms.rules import end_words_rule

#: So many words may end a line that begins a rhyme: the most frequent ones that have partners.
MOST_WORDS = 600
_ACUTE = "\u0301"


def tail(word: str, stress: Mapping[str, int]) -> str:
    """The end of a word that rhymes; "" where it has no vowel.

    With a known stress it begins at the stressed vowel, else at the last one. Where nothing stands
    behind that, there is one sound more, for a single letter is no rhyme: in Cyrillic the letter
    before it; before a final `e` that is not alone, the vowel before, as in `time`. Latin and Greek
    vowels that stand together are one.

    Args:
        word: In lower case.
        stress: The place of the stressed vowel of some words.
    """
    if word in stress:
        return word[stress[word] :]
    if "ё" in word:  # It is always stressed.
        return word[word.rindex("ё") :]
    places = [place for place, char in enumerate(word) if is_vowel(char)]
    if not places:
        return ""
    start = places[-1]
    if stands_apart(word[start]):
        return word[max(start - 1, 0) :] if start == len(word) - 1 else word[start:]
    is_final_e = word[start] == "e" and start == len(word) - 1
    if is_final_e and len(places) > 1 and places[-2] < start - 1:
        start = places[-2]
    while start and is_vowel(word[start - 1]):
        start -= 1
    return word[start:]


def read_stress(path: Path) -> dict[str, int]:
    """The stressed vowel of each word of a file.

    Words stand apart by white space or commas. The stress is an acute accent on the vowel, or an
    apostrophe or a plus sign behind it; words without one are skipped.

    Raises:
        SamplingError: It has no stressed word.
    """
    from textgen.corpus.reader import read_text

    found: dict[str, int] = {}
    for word in read_text(path).lower().replace(",", " ").split():
        letters, place = "", None
        for char in unicodedata.normalize("NFD", word):
            if char in (_ACUTE, "'", "+", "\u2019"):
                place = len(unicodedata.normalize("NFC", letters)) - 1
            else:
                letters += char
        letters = unicodedata.normalize("NFC", letters)
        if place is not None and place >= 0 and is_vowel(letters[place]):
            found[letters] = place
    if not found:
        raise SamplingError(
            f"{named('stress', str(path))} has no word with a stress; write one as во\u0301ды, "
            "во+ды or во'ды"
        )
    return found


class Rhymes:
    """The rhymes of a text.

    Args:
        scheme: A letter for each line: equal ones rhyme. "." stands for a line that rhymes with
            none.
        stanza: The number of each line's stanza; lines rhyme within one only.
        bases: The automaton of each line, without its rhyme.
        words: The words that may end a line, in lower case, the most frequent first.
        stress: As for `tail`.
        alphabet: The characters of texts.
    Raises:
        SamplingError: Too few words rhyme for the lines.
    """

    def __init__(
        self,
        scheme: str,
        stanzas: Sequence[int],
        bases: Sequence[Rule],
        words: Sequence[str],
        stress: Mapping[str, int],
        alphabet: Alphabet,
    ) -> None:
        self._bases = bases
        self._alphabet = alphabet
        self._keys = [
            None if letter == "." else (stanza, letter)
            for letter, stanza in zip(scheme, stanzas, strict=True)
        ]
        counts = Counter(key for key in self._keys if key is not None)
        self._keys = [key if key is not None and counts[key] > 1 else None for key in self._keys]
        self._tails = {word: tail(word, stress) for word in words if len(word) > 1}
        known = [word for word, end in self._tails.items() if end]
        able: dict[int, set[str]] = {}
        for base in bases:
            if id(base) not in able:
                able[id(base)] = _possible(base, known, alphabet)
        self._able = [able[id(base)] for base in bases]
        self._ranks = {word: rank for rank, word in enumerate(known)}
        self._ends = {key: self._ends_of(key) for key in counts if counts[key] > 1}
        for key, ends in self._ends.items():
            rivals = {other for other in self._ends if other[0] == key[0]}
            if len(ends) < len(rivals):
                raise SamplingError(
                    f"{named('rhyme', scheme)} cannot be written: for the lines {key[1]} "
                    f"{counts[key]} words must rhyme, and of {len(known):,} words "
                    f"{len(ends)} rhymes have so many that fit their lines; give more words: "
                    f"{named('only_words', 'FILE')}"
                )
        self._rules: dict[tuple[int, frozenset[str]], Rule] = {}
        self._chosen: dict[tuple[int, tuple[str, ...]], Rule] = {}

    def rule(self, line: int, rhymed: tuple[str, ...]) -> Rule:
        """The automaton of a line, below lines that end in these words."""
        key = (line, rhymed)
        if key not in self._chosen:
            self._chosen[key] = self._rule(line, rhymed)
        return self._chosen[key]

    def _rule(self, line: int, rhymed: tuple[str, ...]) -> Rule:
        own = self._keys[line]
        base = self._bases[line]
        if own is None:
            return base
        above = [word for word, key in zip(rhymed, self._keys, strict=False) if key == own]
        if above:
            end = self._tails[above[0]]
            words = {word for word in self._able[line] if self._tails[word] == end} - set(above)
        else:
            others = {
                self._tails[word]
                for word, key in zip(rhymed, self._keys, strict=False)
                if key is not None and key[0] == own[0]
            }
            ends = self._ends[own] - others
            words = {word for word in self._able[line] if self._tails[word] in ends}
            words = set(sorted(words, key=self._ranks.__getitem__)[:MOST_WORDS])
        cached = (id(base), frozenset(words))
        if cached not in self._rules:
            name = named("rhyme")
            newline = self._alphabet.numbers["\n"]
            is_last = line == len(self._bases) - 1
            ending = as_line(end_words_rule(name, words, self._alphabet), newline, is_last=is_last)
            self._rules[cached] = product([base, ending])
        return self._rules[cached]

    def _ends_of(self, key: tuple[int, str]) -> set[str]:
        """The rhymes of which each line of a letter has as many words as there are such lines."""
        lines = [line for line, own in enumerate(self._keys) if own == key]
        fitting: set[str] | None = None
        for line in lines:
            sizes = Counter(self._tails[word] for word in self._able[line])
            enough = {end for end, size in sizes.items() if size >= len(lines)}
            fitting = enough if fitting is None else fitting & enough
        return fitting or set()


def _possible(base: Rule, words: Sequence[str], alphabet: Alphabet) -> set[str]:
    """The words that a line of this automaton may end with."""
    table_SK, kinds_N = base.table_SK, base.kinds_N
    others = np.unique(kinds_N[~alphabet.letters_N])
    # Where a word may begin: at the line's start, and after white space.
    begins = np.zeros(len(table_SK), np.bool_)
    begins[0] = True
    begun = table_SK[:, np.unique(kinds_N[alphabet.are(str.isspace)])]
    begins[begun[begun >= 0]] = True
    # Where a word may end: from there what is no letter leads to the end.
    only_SK = np.full_like(table_SK, -1)
    only_SK[:, others] = table_SK[:, others]
    closes_S = Rule("", kinds_N, only_SK, base.ends_S).distances_S < 2**30
    letters = {letter.lower() for letter in alphabet.chars if is_letter(letter)}
    cases = {letter: alphabet.cases(letter) for letter in letters}
    # As `end_words_rule` has them: capitals only in front, where there is a small letter.
    later = {char: char if char in alphabet.numbers else cases[char] for char in cases}
    kinds = {
        (is_first, letter): np.unique(kinds_N[[alphabet.numbers[form] for form in own]])
        for is_first, row in ((True, cases), (False, later))
        for letter, own in row.items()
    }
    found: set[str] = set()
    children: dict[str, list[str]] = defaultdict(list)
    ordered = sorted(word for word in words if all(letter in cases for letter in word))
    whole = set(ordered)
    nodes = sorted({word[:size] for word in ordered for size in range(1, len(word) + 1)})
    for node in nodes:
        children[node[:-1]].append(node)
    waiting = [("", np.flatnonzero(begins))]
    while waiting:
        node, states = waiting.pop()
        for child in children[node]:
            columns = kinds[len(child) == 1, child[-1]]
            reached = np.unique(table_SK[np.ix_(states, columns)])
            reached = reached[reached >= 0]
            if reached.size:
                if child in whole and closes_S[reached].any():
                    found.add(child)
                waiting.append((child, reached))
    return found
