"""Which words may end the lines of a rhyme, and what rhymes with what.

What a line may end with depends on the words above it, and where a whole text is held to something,
on where the line begins. It is found from the last line up: a beginning of a line is safe below
some rhymes where the line can end with a word that leads to a safe beginning of the next one.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from textgen.errors import SamplingError, named
from textgen.sampling.forms.alphabet import Alphabet, is_vowel, stands_apart
from textgen.sampling.forms.automaton import NONE, Ints, Rule, as_line, product
from textgen.sampling.forms.line_ends import LineEnds
from textgen.sampling.forms.lines import Line, Mask
from textgen.sampling.forms.rules import end_words_rule

#: So many words may end a line that begins a rhyme: the most frequent ones that have partners; and
#: no more than make an automaton of so many states. That of a line with several beginnings is made
#: for many more rhymes, so it is smaller.
MOST_WORDS, MOST_STATES, MOST_OF_SEVERAL = 600, 2**18, 2**16
#: So many rhymes are tried for lines further down, those with the most words first.
MOST_TRIED = 12
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


class _Open(NamedTuple):
    """A rhyme that a line above has begun, and that lines below go on with.

    Args:
        tail: The end of its words.
        used: Of the words above those that a line below might need.
    """

    tail: str
    used: frozenset[str] = frozenset()


#: The words that may end a line, behind the beginnings of the next line that are safe below them.
_Group = tuple[Mask, list[str]]
#: The letter of a rhyme, with the number of its stanza.
_Key = tuple[int, str]
#: The rhymes that are open above a line, in the order of their keys.
_Above = tuple[tuple[_Key, _Open], ...]


class Rhymes:
    """The rhymes of a text.

    Args:
        scheme: A letter for each line: equal ones rhyme. "." stands for a line that rhymes with
            none.
        stanzas: The number of each line's stanza; lines rhyme within one only.
        lines: What each line is held to beside its rhyme.
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
        lines: Sequence[Line],
        words: Sequence[str],
        stress: Mapping[str, int],
        alphabet: Alphabet,
    ) -> None:
        self._lines = lines
        self._alphabet = alphabet
        keys = [
            None if letter == "." else (stanza, letter)
            for letter, stanza in zip(scheme, stanzas, strict=True)
        ]
        counts = Counter(key for key in keys if key is not None)
        #: The lines of each rhyme, and the rhyme of each line; None: it rhymes with none.
        self._of = {
            key: [line for line, own in enumerate(keys) if own == key]
            for key, count in counts.items()
            if count > 1
        }
        self._keys = [key if key in self._of else None for key in keys]
        tails = {word: tail(word, stress) for word in words if len(word) > 1}
        known = [word for word, end in tails.items() if end]
        self._tails = {word: tails[word] for word in known}
        self._ranks = {word: rank for rank, word in enumerate(known)}
        ends: dict[int, LineEnds] = {}
        for line in lines:
            if id(line) not in ends:
                ends[id(line)] = LineEnds(line, known, alphabet)
        self._ends = [ends[id(line)] for line in lines]
        self._by_tail: list[dict[str, list[str]]] = [self._sorted(own) for own in self._ends]
        self._is_scarce: dict[tuple[_Key, str], bool] = {}
        self._candidates = {key: self._candidates_of(key) for key in self._of}
        self._safe: dict[tuple[int, _Above], Mask] = {}
        self._rules: dict[Hashable, Rule] = {}
        self._chosen: dict[tuple[int, tuple[str, ...]], Rule] = {}
        self._check(scheme)

    def rule(self, line: int, rhymed: tuple[str, ...]) -> Rule:
        """The automaton of a line, below lines that end in these words.

        Its first states are those where the line may begin, in the order of `Line.starts_Q`.

        Args:
            line: The number of the line.
            rhymed: What `rhyming` gives for the lines above.
        """
        if (line, rhymed) not in self._chosen:
            own = self._keys[line]
            ends = [(key, word) for key, word in zip(self._keys, rhymed, strict=False) if key]
            used = frozenset(word for key, word in ends if key == own)
            taken = frozenset(
                self._tails[word] for key, word in ends if own and key[0] == own[0] and not used
            )
            known = (line, self._above(rhymed), used, taken)
            if known not in self._rules:
                self._rules[known] = self._made(line, self._groups(*known))
            self._chosen[line, rhymed] = self._rules[known]
        return self._chosen[line, rhymed]

    def rhyming(self, line: int, word: str) -> str:
        """What the last word of a line is to the lines below; "" where that rhymes with none."""
        return "" if self._keys[line] is None else word

    def _groups(
        self, line: int, above: _Above, used: frozenset[str], taken: frozenset[str]
    ) -> list[_Group]:
        """The words that may end a line, by the beginnings of the next line that are safe then.

        Args:
            line: The line.
            above: What is open above it.
            used: The words of its rhyme above.
            taken: The other rhymes above, where it begins one.
        """
        own = self._keys[line]
        if own is None:
            return [(self._safe_at(line + 1, above), [])]
        tails = [end for end in self._candidates[own] if end not in taken]
        if used:
            tails = [self._tails[next(iter(used))]]
        groups: dict[bytes, _Group] = {}
        for end in tails:
            for safe_Q, words in self._following(line, above, end):
                left = [word for word in words if word not in used]
                if left:
                    groups.setdefault(safe_Q.tobytes(), (safe_Q, []))[1].extend(left)
        return self._fewer(line, list(groups.values()))

    def _fewer(self, line: int, groups: Sequence[_Group]) -> list[_Group]:
        """The most frequent words of them, and more where a beginning of the line needs others."""
        own = self._lines[line]
        most = MOST_STATES if len(own.starts_Q) == 1 else MOST_OF_SEVERAL
        letters = most // len(own.rule.table_SK)
        can_QW: dict[str, Mask] = {}
        for safe_Q, words in groups:
            can_QW.update(zip(words, self._ends[line].can_end(safe_Q, words).T, strict=True))
        chosen: set[str] = set()
        open_Q = np.ones(len(self._lines[line].starts_Q), np.bool_)
        for word in sorted(can_QW, key=self._ranks.__getitem__):
            has_room = len(chosen) < MOST_WORDS and letters > 0
            if (has_room and can_QW[word].any()) or (can_QW[word] & open_Q).any():
                chosen.add(word)
                letters -= len(word)
                open_Q &= ~can_QW[word]
        kept = [(safe_Q, [word for word in words if word in chosen]) for safe_Q, words in groups]
        return [(safe_Q, words) for safe_Q, words in kept if words]

    def _made(self, place: int, groups: Sequence[_Group]) -> Rule:
        """The automaton of a line that ends with a word of each group before these beginnings."""
        line = self._lines[place]
        cached = (id(line), tuple((safe_Q.tobytes(), tuple(own)) for safe_Q, own in groups))
        if cached not in self._rules:
            leads = [line.leading_to(safe_Q) for safe_Q, _ in groups]
            words = [own for _, own in groups if own]
            self._rules[cached] = _joined(line, leads, words, self._alphabet)
        return self._rules[cached]

    def _above(self, rhymed: Sequence[str]) -> _Above:
        """What is open below lines that end in these words."""
        above: _Above = ()
        for place, word in enumerate(rhymed):
            above = self._with(above, place, word)
        return above

    def _with(self, above: _Above, line: int, word: str) -> _Above:
        """What is open below a line that ends in a word."""
        own = self._keys[line]
        if own is None:
            return above
        rest = dict(above)
        before = rest.pop(own, _Open(self._tails[word]))
        if line < self._of[own][-1]:
            used = before.used
            if self._scarce(own, before.tail) and self._is_needed(own, line, word):
                used |= {word}
            rest[own] = _Open(before.tail, used)
        return tuple(sorted(rest.items()))

    def _is_needed(self, key: _Key, line: int, word: str) -> bool:
        """Whether a line of the rhyme, below this one, may end with a word."""
        end = self._tails[word]
        return any(word in self._by_tail[p].get(end, ()) for p in self._of[key] if p > line)

    def _following(self, line: int, above: _Above, end: str) -> Iterator[_Group]:
        """The words of a rhyme by what is safe below a line that ends in them."""
        words = self._by_tail[line].get(end, [])
        own = self._keys[line]
        assert own is not None
        if not self._scarce(own, end):
            if words:
                yield self._safe_at(line + 1, self._with(above, line, words[0])), words
            return
        groups: dict[_Above, list[str]] = defaultdict(list)
        for word in words:
            groups[self._with(above, line, word)].append(word)
        for below, some in groups.items():
            yield self._safe_at(line + 1, below), some

    def _safe_at(self, line: int, above: _Above) -> Mask:
        """From which beginnings of a line the rest of the text can be written, `(Q,)`."""
        if line == len(self._lines):
            return np.ones(1, np.bool_)
        key = (line, above)
        if key not in self._safe:
            self._safe[key] = self._found_safe(line, above)
        return self._safe[key]

    def _found_safe(self, line: int, above: _Above) -> Mask:
        own, begun = self._keys[line], dict(above)
        held = self._lines[line]
        if own is None:
            return held.can_end(held.leading_to(self._safe_at(line + 1, above)))
        if own in begun:
            end, used = begun[own]
            # Where words are not scarce it is enough that there are more than lines above.
            least = 1 if self._scarce(own, end) else self._of[own].index(line) + 1
            return self._counted(line, above, end, used) >= least
        # A rhyme that is open is known to be another; of those that are not there are so many.
        rivals = [key for key, places in self._of.items() if key[0] == own[0] and places[0] < line]
        least = 1 + sum(key not in begun for key in rivals)
        taken = {begun[key].tail for key in rivals if key in begun}
        tails = [end for end in self._candidates[own] if end not in taken][: MOST_TRIED + least]
        found_Q = np.zeros(len(held.starts_Q), np.int64)
        for end in tails:
            found_Q += self._counted(line, above, end) > 0
            if (found_Q >= least).all():
                break
        return found_Q >= least

    def _counted(self, line: int, above: _Above, end: str, used: Collection[str] = ()) -> Ints:
        """How many words of a rhyme can end a line safely, from each of its beginnings, `(Q,)`."""
        count_Q = np.zeros(len(self._lines[line].starts_Q), np.int32)
        for safe_Q, words in self._following(line, above, end):
            left = [word for word in words if word not in used]
            count_Q += self._ends[line].can_end(safe_Q, left).sum(axis=1, dtype=np.int32)
        return count_Q

    def _sorted(self, ends: LineEnds) -> dict[str, list[str]]:
        """The words that can end a line by their rhymes, the most frequent first."""
        found: dict[str, list[str]] = defaultdict(list)
        for word in ends.words:
            found[self._tails[word]].append(word)
        return dict(found)

    def _scarce(self, key: _Key, end: str) -> bool:
        """Whether a line of a rhyme has no more words than are used up, from some beginning."""
        cached = (key, end)
        if cached not in self._is_scarce:
            size = len(self._of[key])
            counts = [
                self._ends[line].can_end(None, self._by_tail[line].get(end, [])).sum(axis=1)
                for line in self._of[key]
            ]
            self._is_scarce[cached] = any(((n > 0) & (n < size)).any() for n in counts)
        return self._is_scarce[cached]

    def _candidates_of(self, key: _Key) -> list[str]:
        """The rhymes that the lines of a letter can have, those with the most words first."""
        lines = [self._by_tail[line] for line in self._of[key]]
        sizes = {
            end: min(len(own[end]) for own in lines)
            for end in lines[0]
            if all(end in own for own in lines)
            and len({word for own in lines for word in own[end]}) >= len(lines)
        }
        return sorted(sizes, key=lambda end: (-sizes[end], end))

    def _check(self, scheme: str) -> None:
        """Refuse a text for which too few words rhyme."""
        safe = not self._of or self._safe_at(0, ())[0]
        if safe:
            return
        rivals = Counter(key[0] for key in self._of)
        poor = [key for key in self._of if len(self._candidates[key]) < rivals[key[0]]]
        for key in poor[:1]:
            raise SamplingError(
                f"{named('rhyme', scheme)} cannot be written: for the lines {key[1]} "
                f"{len(self._of[key])} words must rhyme, and of {len(self._ranks):,} words "
                f"{len(self._candidates[key])} rhymes have so many that fit their lines; give more "
                f"words: {named('only_words', 'FILE')}"
            )
        raise SamplingError(
            f"{named('rhyme', scheme)} cannot be written with what else is asked for: of "
            f"{len(self._ranks):,} words none end all lines so that the text holds to it; give "
            f"more words, {named('only_words', 'FILE')}, or ask for less"
        )


def _joined(
    line: Line, leads: Sequence[Mask], groups: Sequence[Sequence[str]], alphabet: Alphabet
) -> Rule:
    """The automaton of a line with its line end, which a last line may do without.

    Args:
        line: The line.
        leads: For each group of words, in which states the line may end with one of them.
        groups: The words; none: any line will do.
        alphabet: The characters of texts.
    """
    newline, chars = alphabet.numbers["\n"], len(alphabet.chars)
    rules = [line.rule]
    if groups:
        rules.append(end_words_rule(named("rhyme"), groups, alphabet))
    if line.is_last:
        # The words are of one group.
        rules[1:] = [as_line(_unmarked(rule, chars), newline, is_last=True) for rule in rules[1:]]
    else:
        rules[0] = _marked(line.rule, leads)
    starts_QR = np.zeros((len(line.starts_Q), len(rules)), np.int64)
    starts_QR[:, 0] = line.starts_Q
    rule = product(rules, starts_QR)
    if line.is_last:
        return rule
    # A mark becomes the line end.
    table_SK, kinds_N = rule.table_SK.copy(), rule.kinds_N
    marks = kinds_N[chars:]
    table_SK[:, kinds_N[newline]] = table_SK[:, marks].max(axis=1)
    table_SK[:, marks] = NONE
    return replace(rule, kinds_N=kinds_N[:chars], table_SK=table_SK)


def _marked(rule: Rule, leads: Sequence[Mask]) -> Rule:
    """A rule of texts with one of some marks at their end, where it may be the end.

    Args:
        rule: Its ends do not count.
        leads: In which states each of the marks may come.
    """
    size, kinds = rule.table_SK.shape
    table_SK = np.full((size + 1, kinds + len(leads)), NONE, np.int32)
    table_SK[:size, :kinds] = rule.table_SK
    table_SK[:size, kinds:] = np.where(np.stack(leads, axis=1), size, NONE)
    kinds_N = np.append(rule.kinds_N, kinds + np.arange(len(leads))).astype(np.int32)
    return Rule(rule.name, kinds_N, table_SK, np.arange(size + 1) == size)


def _unmarked(rule: Rule, chars: int) -> Rule:
    """A rule of texts that end where a mark would come, the only one."""
    (mark,) = rule.kinds_N[chars:]
    ends_S, table_SK = rule.table_SK[:, mark] >= 0, rule.table_SK.copy()
    table_SK[:, mark] = NONE
    return Rule(rule.name, rule.kinds_N[:chars], table_SK, ends_S)
