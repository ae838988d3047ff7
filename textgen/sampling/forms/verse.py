"""Texts of a known number of lines, line by line: what a line is held to may depend on those above.

No line depends on a later one but by where it leads to, so the automata stay as small as one line,
however many there are. Rhymes are chosen so that enough words are left for the lines below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textgen.progress import track
from textgen.sampling.forms.alphabet import Alphabet
from textgen.sampling.forms.automaton import Rule, as_line, product
from textgen.sampling.forms.form import State
from textgen.sampling.forms.lines import Line
from textgen.sampling.forms.rhymes import Rhymes
from textgen.sampling.forms.rules import LineRules
from textgen.sampling.forms.spelling import Place


class _Stand(NamedTuple):
    """Where a text stands in its lines.

    Args:
        line: The line.
        state: The state of its automaton.
        inner: The state of what it is held to without its rhyme.
        rhymed: The last words of the lines above.
        word: Its last word.
        is_within: Whether that goes on.
    """

    line: int
    state: int
    inner: int
    rhymed: tuple[str, ...]
    word: str
    is_within: bool


class Verse:
    """What texts of some lines are held to.

    Args:
        lines: What each line is held to beside its rhyme.
        rhymes: Which lines rhyme.
        alphabet: The characters of texts.
    """

    def __init__(self, lines: Sequence[Line], rhymes: Rhymes, alphabet: Alphabet) -> None:
        self._lines = lines
        self._rhymes = rhymes
        self._chars = alphabet.chars
        self._letters = alphabet.letters_N.tolist()
        self._newline = alphabet.numbers["\n"]
        self._rest = [sum(line.least for line in lines[place + 1 :]) for place in range(len(lines))]

    def start(self) -> State:
        """Where a text begins."""
        return _Stand(0, 0, int(self._lines[0].starts_Q[0]), (), "", False)

    def place(self, state: State) -> Place:
        """The automaton of the line."""
        assert isinstance(state, _Stand)
        rule = self._rhymes.rule(state.line, state.rhymed)
        return Place(rule, state.state, self._rest[state.line])

    def after(self, state: State, chars: tuple[int, ...]) -> State:
        """Where the text stands after allowed characters."""
        assert isinstance(state, _Stand)
        for number in chars:
            line = self._lines[state.line]
            if number == self._newline and not line.is_last:
                begun = int(line.begun_S[state.inner])
                inner = int(self._lines[state.line + 1].starts_Q[begun])
                rhymed = (*state.rhymed, self._rhymes.rhyming(state.line, state.word))
                state = _Stand(state.line + 1, begun, inner, rhymed, "", False)
                continue
            word, is_letter = state.word, self._letters[number]
            if is_letter:
                word = (word if state.is_within else "") + self._chars[number].lower()
            rule = self._rhymes.rule(state.line, state.rhymed)
            after = int(rule.table_SK[state.state, rule.kinds_N[number]])
            inner = int(line.rule.table_SK[state.inner, line.rule.kinds_N[number]])
            state = _Stand(state.line, after, inner, state.rhymed, word, is_letter)
        return state


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
