"""The rules that settings ask for, as automata over the characters of a text or of its lines."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import SamplingError, named
from textgen.options import SampleOptions, span_of
from textgen.sampling.forms.alphabet import Alphabet, is_letter
from textgen.sampling.forms.automaton import MOST_TRANSITIONS, NONE, Rule, product
from textgen.sampling.forms.pattern import literal, one_of, pattern_rule
from textgen.sampling.forms.syllables import syllables_rule, voiced_rule

#: The characters of a line under `rhyme`, where nothing else bounds them.
RHYMED_LINE = (1, 60)


@dataclass(frozen=True)
class LineRules:
    """What the lines of a text are held to, one rule a line.

    Args:
        lines: The rules of the first lines.
        after: What comes after them, as for `textgen.sampling.forms.automaton.by_lines`.
    """

    lines: tuple[Rule, ...]
    after: str = "last"

    def of_line(self, place: int) -> Rule:
        """The rule of a line, counted from 0."""
        if self.after == "again":
            return self.lines[place % len(self.lines)]
        return self.lines[min(place, len(self.lines) - 1)]


def text_rules(options: SampleOptions, alphabet: Alphabet) -> list[Rule]:
    """The rules of a whole text."""
    rules = []
    if options.match is not None:
        rules.append(
            pattern_rule(named("match", options.match), options.match, alphabet, is_known=False)
        )
    if options.chars is not None:
        name = named("chars", options.chars)
        rules.append(span_rule(name, span_of("chars", options.chars), alphabet))
    for phrase in options.include:
        rules.append(_include_rule(phrase, alphabet))
    return rules


def line_rules(
    options: SampleOptions, alphabet: Alphabet, *, is_english: bool = False
) -> list[LineRules]:
    """The rules of lines; of English ones the silent *e* is no syllable."""
    rules = []
    if options.match_line is not None:
        name = named("match_line", options.match_line)
        rules.append(LineRules((pattern_rule(name, options.match_line, alphabet, is_known=False),)))
    span = None if options.line_chars is None else span_of("line_chars", options.line_chars)
    if span is None and options.rhyme is not None:
        span = RHYMED_LINE
    if span is not None:
        name = named("line_chars", options.line_chars or "{}..{}".format(*RHYMED_LINE))
        rules.append(LineRules((span_rule(name, span, alphabet),)))
    if options.acrostic is not None:
        rules.append(_acrostic_rules(options.acrostic, alphabet))
    if options.syllables is not None:
        name = named("syllables", options.syllables)
        counts = tuple(int(count) for count in options.syllables.split(","))
        rows = {
            count: syllables_rule(name, count, alphabet, is_english=is_english)
            for count in set(counts)
        }
        rules.append(LineRules(tuple(rows[count] for count in counts), "again"))
        rules.append(LineRules((voiced_rule(name, alphabet),)))
    return rules


def letter_rules(
    options: SampleOptions, alphabet: Alphabet, words: Iterable[str] | None
) -> list[LineRules]:
    """The rules that hold for texts as for their lines, for a line end is no letter.

    Args:
        options: The settings.
        alphabet: The characters of texts.
        words: The words that texts may have, in lower case; None: all.
    """
    rules = []
    if options.without is not None:
        rules.append(LineRules((_without_rule(options.without, alphabet),)))
    if words is not None:
        rules.append(LineRules((words_rule(named("only_words"), words, alphabet),)))
    return rules


def number_of_lines(options: SampleOptions) -> int:
    """How many lines are asked for; 0: any number.

    Raises:
        SamplingError: More are asked for by one setting than by another.
    """
    asked = {
        "acrostic": len(options.acrostic or ""),
        "rhyme": len(options.rhyme or ""),
        "syllables": len(options.syllables.split(",")) if options.syllables else 0,
    }
    if not options.lines:
        return max(asked.values())
    for name, count in asked.items():
        if count > options.lines:
            value = getattr(options, name)
            raise SamplingError(
                f"{named(name, value)} asks for {count} lines, and {named('lines', options.lines)} "
                f"for {options.lines}; give {named('lines', count)}, or leave it out"
            )
    return options.lines


def longest_text(options: SampleOptions) -> int:
    """The most characters that a form allows a text; 0 where it has no bound."""
    most = None if options.chars is None else span_of("chars", options.chars)[1]
    span = None if options.line_chars is None else span_of("line_chars", options.line_chars)
    if span is None and options.rhyme is not None:
        span = RHYMED_LINE
    count = number_of_lines(options)
    if count and span is not None and span[1] is not None:
        lines = count * (span[1] + 1)
        most = lines if most is None else min(most, lines)
    return most or 0


def lines_rules(name: str, count: int, alphabet: Alphabet) -> LineRules:
    """The rule of so many lines, none of them empty; its name is that of who asks for them."""
    kinds_N = np.zeros(len(alphabet.chars), np.int32)
    written = Rule(name, kinds_N, np.array([[1], [1]], np.int32), np.array([False, True]))
    return LineRules((written,) * count, "end")


def span_rule(name: str, span: tuple[int, int | None], alphabet: Alphabet) -> Rule:
    """The rule of at least and at most so many characters; None: no bound."""
    least, most = span
    size = (least if most is None else most) + 1
    table_SK = np.arange(1, size + 1, dtype=np.int32)[:, None]
    table_SK[-1] = size - 1 if most is None else NONE
    ends_S = np.arange(size) >= least
    return Rule(name, np.zeros(len(alphabet.chars), np.int32), table_SK, ends_S)


def words_rule(name: str, words: Iterable[str], alphabet: Alphabet) -> Rule:
    """The rule that every word is one of these, which are in lower case."""
    kinds_N, trie, words_S = _trie(name, words, alphabet)
    table_SK = trie.copy()
    # What is no letter stands between two words.
    ends_S = words_S >= 0
    ends_S[0] = True
    table_SK[:, 0] = np.where(ends_S, 0, NONE)
    return _checked_words(Rule(name, kinds_N, table_SK, ends_S)).minimal()


def end_words_rule(name: str, groups: Sequence[Sequence[str]], alphabet: Alphabet) -> Rule:
    """The rule that the last word is one of some, and which: each group has a mark of its own.

    The word stands at the beginning or after white space, only its first letter may be a capital,
    and no letter is behind it. Then comes the mark of its group, and nothing more.

    Args:
        name: As in `Rule`.
        groups: The words of each group, in lower case; no word is in two.
        alphabet: The characters of texts. The marks are numbered after them.
    """
    kinds_N, trie, words_S = _trie(name, (word for own in groups for word in own), alphabet)
    size, kinds = trie.shape
    group_of_word = np.array([g for g, own in enumerate(groups) for _ in own] + [NONE])
    groups_S = group_of_word[words_S]
    # In another word; after what is neither letter nor white space; after a word of each group,
    # without and with white space; after its mark.
    other, apart, ended = size, size + 1, size + 2
    again, marked = ended + len(groups), ended + 2 * len(groups)
    groups_S = np.append(groups_S, [NONE, NONE, *range(len(groups)), *range(len(groups)), NONE])
    lows_SK = np.vstack(
        [np.where(trie == NONE, other, trie), np.full((marked - size, kinds), other)]
    )
    lows_SK[again:marked] = lows_SK[0]
    lows_SK[:, 0] = np.where(groups_S[:-1] >= 0, ended + groups_S[:-1], apart)
    capitals_SK = np.full((marked, kinds - 1), other)
    capitals_SK[[0, *range(again, marked)]] = lows_SK[0, 1:]
    spaces_S = np.where(groups_S[:-1] >= 0, again + groups_S[:-1], 0)
    marks_SK = np.where(groups_S[:-1, None] == np.arange(len(groups)), marked, NONE)
    table_SK = np.column_stack([lows_SK, capitals_SK, spaces_S, marks_SK])
    table_SK = np.vstack([table_SK, np.full((1, table_SK.shape[1]), NONE)]).astype(np.int32)
    for number, char in enumerate(alphabet.chars):
        if char.isspace():
            kinds_N[number] = 2 * kinds - 1
        elif kinds_N[number] and char != char.lower() and char.lower() in alphabet.numbers:
            kinds_N[number] += kinds - 1
    kinds_N = np.append(kinds_N, 2 * kinds + np.arange(len(groups))).astype(np.int32)
    return Rule(name, kinds_N, table_SK, np.arange(len(table_SK)) == marked).minimal()


def words_of(text: str, at_least: int = 1) -> list[str]:
    """The words that a text has so often, in lower case, each once, the most frequent first."""
    counts: dict[str, int] = {}
    for word in re.findall(r"(?:[^\W_])+", unicodedata.normalize("NFC", text).lower()):
        counts[word] = counts.get(word, 0) + 1
    found = [word for word, count in counts.items() if count >= at_least]
    return sorted(found, key=lambda word: (-counts[word], word))


def _trie(
    name: str, words: Iterable[str], alphabet: Alphabet
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int32]]:
    """Kinds of characters, 0 of what is no letter; a tree of words; the number of the word that
    each of its nodes is, or `NONE`.

    A word with a letter that the alphabet lacks is left out.
    """
    low = {char: char.lower() for char in alphabet.chars if is_letter(char)}
    kinds = {letter: kind for kind, letter in enumerate(sorted(set(low.values())), start=1)}
    kinds_N = np.array([kinds[low[c]] if c in low else 0 for c in alphabet.chars], np.int32)
    rows: list[dict[int, int]] = [{}]
    whole = [NONE]
    most = MOST_TRANSITIONS // (len(kinds) + 1)
    for number, word in enumerate(words):
        if any(letter not in kinds for letter in word):
            continue
        if len(rows) > most:
            raise SamplingError(
                f"{name} has too many words: the first {number:,} begin in {most:,} ways, and no "
                "more fit; give a shorter list"
            )
        node = 0
        for letter in word:
            kind = kinds[letter]
            if kind not in rows[node]:
                rows[node][kind] = len(rows)
                rows.append({})
                whole.append(NONE)
            node = rows[node][kind]
        whole[node] = number
    table_SK = np.full((len(rows), len(kinds) + 1), NONE, np.int32)
    for node, row in enumerate(rows):
        for kind, after in row.items():
            table_SK[node, kind] = after
    return kinds_N, table_SK, np.array(whole, np.int32)


def _checked_words(rule: Rule) -> Rule:
    if len(rule.table_SK) == 1:
        raise SamplingError(
            f"{rule.name}: the model has the letters of none of the words; give a list of words in "
            "the language of the model"
        )
    return rule


def _without_rule(letters: str, alphabet: Alphabet) -> Rule:
    name = named("without", letters)
    barred = {form for letter in letters for form in (letter.lower(), letter.upper())}
    kinds_N = np.array([char in barred for char in alphabet.chars], np.int32)
    return Rule(name, kinds_N, np.array([[0, NONE]], np.int32), np.array([True]))


def _include_rule(phrase: str, alphabet: Alphabet) -> Rule:
    name = named("include", phrase)
    _refuse_lacking(name, phrase, alphabet)
    other = r"[^\w\p{M}]"
    before = rf"(?:.*{other})?" if is_letter(phrase[0]) else ".*"
    behind = rf"(?:{other}.*)?" if is_letter(phrase[-1]) else ".*"
    return pattern_rule(name, f"(?is){before}{literal(phrase)}{behind}", alphabet)


def _acrostic_rules(word: str, alphabet: Alphabet) -> LineRules:
    name = named("acrostic", word)
    _refuse_lacking(name, word, alphabet)
    rules = [pattern_rule(name, f"{one_of(alphabet.cases(c))}.*", alphabet) for c in word]
    return LineRules((*rules, pattern_rule(name, ".*", alphabet)))


def _refuse_lacking(name: str, text: str, alphabet: Alphabet) -> None:
    if lacking := alphabet.lacking(text):
        raise SamplingError(
            f"{name} has {', '.join(map(repr, lacking))}, and the model cannot write that; its "
            f"{len(alphabet.chars)} characters are those of its training text"
        )


def first_conflict(rules: Sequence[Rule]) -> str:
    """Why some rules cannot be kept together: the fewest of them that already cannot."""
    for count in range(1, len(rules) + 1):
        for some in combinations(rules, count):
            if not product(some).can_be_kept:
                names = " and ".join(dict.fromkeys(rule.name for rule in some))
                if count == 1:
                    return f"no text of the model's characters keeps to {names}"
                return f"no text keeps to {names} at once"
    raise AssertionError("all rules can be kept")
