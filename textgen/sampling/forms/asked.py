"""The form that settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import SamplingError, named
from textgen.options import SampleOptions, form_settings
from textgen.sampling.forms.alphabet import Alphabet
from textgen.sampling.forms.automaton import Rule, by_lines, one_after_another, product
from textgen.sampling.forms.form import Form, State
from textgen.sampling.forms.lines import lines_of_text, lines_of_their_own
from textgen.sampling.forms.rhymes import Rhymes, read_stress
from textgen.sampling.forms.rules import (
    LineRules,
    first_conflict,
    letter_rules,
    line_rules,
    lines_rules,
    longest_text,
    number_of_lines,
    text_rules,
    words_of,
)
from textgen.sampling.forms.spelling import Place, SpelledForm, Track, check_level
from textgen.sampling.forms.syllables import is_english
from textgen.sampling.forms.verse import Verse, line_automata

#: Lines with so many states at most are one automaton, which the engine follows by itself.
MOST_JOINED = 2**14
#: A line that rhymes may have so many states beside its rhyme, where a whole text is held.
MOST_OF_A_LINE = 2**16


class _Whole:
    """What a whole text is held to: one automaton."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def start(self) -> State:
        return 0

    def place(self, state: State) -> Place:
        assert isinstance(state, int)
        return Place(self._rule, state, 0)

    def after(self, state: State, chars: tuple[int, ...]) -> State:
        assert isinstance(state, int)
        for number in chars:
            state = int(self._rule.table_SK[state, self._rule.kinds_N[number]])
        return state


def form_of(
    options: SampleOptions,
    vocabulary: Vocabulary,
    usual_words: Callable[[], Sequence[str]] | None = None,
) -> Form | None:
    """The form that texts of these settings are held to; None: none is asked for.

    Args:
        options: The settings.
        vocabulary: The model's symbols.
        usual_words: The words of the model's text, the most frequent first. Lines rhyme with them
            where `options` has no list, and they tell whether syllables are those of English.
    Raises:
        SamplingError: No text of the model can keep to it, and why; or it is too large.
        TextgenError: A file of words cannot be read.
    """
    if not form_settings(options):
        return None
    check_level(vocabulary)
    usual = cache(usual_words or tuple)
    named_texts = [options.match or "", options.match_line or "", options.acrostic or ""]
    words = None if options.only_words is None else _words(options.only_words)
    named_texts += [*options.include, *(words or ())]
    alphabet = Alphabet.of(vocabulary, named_texts)
    texts = text_rules(options, alphabet)
    letters = letter_rules(options, alphabet, words)
    silent = False
    if options.syllables is not None:
        known = usual() if words is None else words
        silent = is_english(known, are_ranked=words is None)
    lines = line_rules(options, alphabet, is_english=silent)
    count = number_of_lines(options)
    if (lines or count) and "\n" not in alphabet.numbers:
        raise SamplingError(
            "the model was trained on text without line ends and writes one line only; ask for "
            f"no lines: {named('match')} and {named('chars')} hold for the whole text"
        )
    asked = _Asked(texts, lines, letters, count, alphabet)
    if not count or (texts and options.rhyme is None):
        track: Track = _Whole(_whole(options, asked))
    else:
        track = _verse(options, asked, words, usual)
    return SpelledForm(track, alphabet, vocabulary)


class _Asked(NamedTuple):
    """The rules of whole texts, of lines, and of both; how many lines; the characters."""

    texts: list[Rule]
    lines: list[LineRules]
    letters: list[LineRules]
    size: int
    alphabet: Alphabet


def _whole(options: SampleOptions, asked: _Asked) -> Rule:
    """One automaton of whole texts, without rhymes."""
    lines = list(asked.lines)
    if asked.size:
        lines.append(lines_rules(_who_counts(options), asked.size, asked.alphabet))
    newline = asked.alphabet.numbers.get("\n", 0)
    rules = [
        *asked.texts,
        *(rules.lines[0] for rules in asked.letters),
        *(by_lines(rules.lines, newline, rules.after) for rules in lines),
    ]
    whole = product(rules)
    if not whole.can_be_kept:
        raise SamplingError(f"{first_conflict(rules)}; change one of them")
    return whole.minimal()


def _verse(
    options: SampleOptions,
    asked: _Asked,
    words: Sequence[str] | None,
    usual: Callable[[], Sequence[str]],
) -> Track:
    """Lines one by one, which may rhyme; a rule of whole texts decides where each may begin."""
    count, alphabet = asked.size, asked.alphabet
    newline = alphabet.numbers["\n"]
    if options.rhyme is not None:
        _check_room(options, count)
    if asked.texts:
        held = lines_of_text(_whole(options, asked), count, newline)
        if (most := max(len(line.rule.table_SK) for line in held)) > MOST_OF_A_LINE:
            raise SamplingError(
                f"{named('rhyme')} and {' and '.join(rule.name for rule in asked.texts)} hold a "
                f"line to an automaton of {most:,} states, and {MOST_OF_A_LINE:,} are the most; "
                "ask for less at once: shorter lines and texts, or a simpler expression"
            )
    else:
        counted = lines_rules(_who_counts(options), count, alphabet)
        rules = [*asked.lines, *asked.letters, counted]
        bases = line_automata(rules, count, alphabet)
        for place, base in enumerate(bases):
            if not base.can_be_kept:
                own = [rule.of_line(place) for rule in rules]
                raise SamplingError(f"line {place + 1}: {first_conflict(own)}; change one of them")
        if options.rhyme is None and sum(len(base.table_SK) for base in bases) <= MOST_JOINED:
            return _Whole(one_after_another(bases, newline))
        held = lines_of_their_own(bases, newline)
    scheme = options.rhyme or "."
    if words is None:
        words = usual() if options.rhyme is not None else ()
    stress = {} if options.stress is None else read_stress(Path(options.stress))
    of_lines = "".join(scheme[place % len(scheme)] for place in range(count))
    stanzas = [place // len(scheme) for place in range(count)]
    return Verse(held, Rhymes(of_lines, stanzas, held, words, stress, alphabet), alphabet)


def _who_counts(options: SampleOptions) -> str:
    """The setting that says how many lines there are, as a message names it."""
    count = number_of_lines(options)
    sizes = {
        "lines": options.lines,
        "rhyme": len(options.rhyme or ""),
        "acrostic": len(options.acrostic or ""),
        "syllables": count,
    }
    name = next(name for name, size in sizes.items() if size == count)
    return named(name, getattr(options, name))


def _check_room(options: SampleOptions, count: int) -> None:
    """Refuse lines that rhyme where the longest ones do not fit."""
    longest = longest_text(options)
    if not longest:
        raise SamplingError(
            f"{named('rhyme')} needs lines of a bounded length; give it an upper bound: "
            f"{named('line_chars', 'A..B')}"
        )
    if longest > options.length:
        raise SamplingError(
            f"{named('rhyme')} needs room for its longest lines: {count} of them have up to "
            f"{longest:,} characters, and {named('length')} is {options.length}; give "
            f"{named('length', longest)}, or shorter lines: {named('line_chars', 'A..B')}"
        )


def _words(path: str) -> list[str]:
    from textgen.corpus.reader import read_text

    words = words_of(read_text(Path(path)))
    if not words:
        raise SamplingError(f"{named('only_words', path)} has no word; give a text with words")
    return words
