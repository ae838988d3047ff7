"""Texts of a known number of lines, line by line: what a line is held to may depend on those above.

No line depends on a later one, and each is feasible by itself: so the automata stay as small as one
line, however many there are. Rhymes are chosen so that enough words are left for the lines below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textgen.progress import track
from textgen.sampling.forms.alphabet import Alphabet
from textgen.sampling.forms.automaton import Rule, as_line, product
from textgen.sampling.forms.form import State
from textgen.sampling.forms.rhymes import Rhymes
from textgen.sampling.forms.rules import LineRules
from textgen.sampling.forms.spelling import Place


class _Stand(NamedTuple):
    """A line, a state of its automaton, the rhyme words above, the last word and if it goes on."""

    line: int
    state: int
    rhymed: tuple[str, ...]
    word: str
    is_within: bool


class Verse:
    """What texts of some lines are held to.

    Args:
        bases: The automaton of each line, its line end included, without rhymes.
        alphabet: The characters of texts.
        rhymes: Which lines rhyme; None: none.
    """

    def __init__(self, bases: Sequence[Rule], alphabet: Alphabet, rhymes: Rhymes | None) -> None:
        self._bases = bases
        self._chars = alphabet.chars
        self._letters = alphabet.letters_N.tolist()
        self._newline = alphabet.numbers["\n"]
        self._rhymes = rhymes
        least = [int(rule.distances_S[0]) for rule in bases]
        self._rest = [sum(least[place + 1 :]) for place in range(len(bases))]

    def start(self) -> State:
        """Where a text begins."""
        return _Stand(0, 0, (), "", False)

    def place(self, state: State) -> Place:
        """The automaton of the line."""
        assert isinstance(state, _Stand)
        return Place(self._rule(state), state.state, self._rest[state.line])

    def after(self, state: State, chars: tuple[int, ...]) -> State:
        """Where the text stands after allowed characters."""
        assert isinstance(state, _Stand)
        for number in chars:
            rule = self._rule(state)
            after = int(rule.table_SK[state.state, rule.kinds_N[number]])
            if number == self._newline and state.line + 1 < len(self._bases):
                rhymed = state.rhymed
                if self._rhymes is not None:
                    rhymed = (*rhymed, state.word)
                state = _Stand(state.line + 1, 0, rhymed, "", False)
                continue
            word, is_letter = state.word, self._letters[number]
            if self._rhymes is not None and is_letter:
                word = (word if state.is_within else "") + self._chars[number].lower()
            state = _Stand(state.line, after, state.rhymed, word, is_letter)
        return state

    def _rule(self, stand: _Stand) -> Rule:
        if self._rhymes is None:
            return self._bases[stand.line]
        return self._rhymes.rule(stand.line, stand.rhymed)


def line_automata(rules: Sequence[LineRules], count: int, alphabet: Alphabet) -> list[Rule]:
    """The automaton of each of some lines; equal ones are made once."""
    newline = alphabet.numbers["\n"]
    made: dict[tuple[int, ...], Rule] = {}
    automata = []
    for place in track(range(count), "making the automata of lines", count):
        own = [rule.of_line(place) for rule in rules]
        is_last = place == count - 1
        key = (is_last, *map(id, own))
        if key not in made:
            made[key] = product([as_line(rule, newline, is_last=is_last) for rule in own]).minimal()
        automata.append(made[key])
    return automata
