"""A form over the symbols of a model, from automata over characters.

A symbol is a character, a byte of one, or a word. Which may come next follows from how far the text
is from its end after the symbol's characters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import SamplingError, named
from textgen.native.sampler import Automaton, Standing
from textgen.sampling.forms.alphabet import Alphabet
from textgen.sampling.forms.automaton import FAR, MOST_TRANSITIONS, NONE, Ints, Rule
from textgen.sampling.forms.form import State


class Place(NamedTuple):
    """Where a text stands: in a state of an automaton, after which more characters must come.

    Args:
        rule: The automaton.
        state: The state.
        rest: The fewest characters of what comes after it; 0: the text ends with it.
    """

    rule: Rule
    state: int
    rest: int


class Track(Protocol):
    """What a text is held to, character by character."""

    def start(self) -> State:
        """Where a text begins."""

    def place(self, state: State) -> Place:
        """The automaton that the next characters are read by."""

    def after(self, state: State, chars: tuple[int, ...]) -> State:
        """Where the text stands after allowed characters, given by their numbers."""


class _Needs(NamedTuple):
    """How many characters the text has at least, counted from here, if a symbol is taken."""

    needs_V: Ints
    top: int
    allowed_V: NDArray[np.bool_]


class SpelledForm:
    """A form over the symbols of a model.

    Args:
        track: What texts are held to.
        alphabet: The characters that its automata know.
        vocabulary: The model's symbols.
    """

    def __init__(self, track: Track, alphabet: Alphabet, vocabulary: Vocabulary) -> None:
        self._track = track
        self._level = vocabulary.level
        self._symbols = vocabulary.symbols
        self._size = len(vocabulary)
        self._found: dict[Hashable, _Needs] = {}
        self._automata: dict[tuple[int, bool], Automaton | None] = {}
        self._chars = [self._numbers(symbol, alphabet) for symbol in vocabulary.symbols]
        if self._level == "byte":
            self._bytes = [symbol.encode("latin-1") for symbol in vocabulary.symbols]
            self._whole = {char.encode(): number for number, char in enumerate(alphabet.chars)}
            self._parts = defaultdict[bytes, list[tuple[int, int]]](list)
            ids = {value: token for token, value in enumerate(self._bytes) if value}
            self._ids = ids
            for code, number in self._whole.items():
                for cut in range(len(code)):
                    self._parts[code[:cut]].append((number, ids[code[cut : cut + 1]]))
            self._prefixes = {part: number for number, part in enumerate(sorted(self._parts))}
        else:
            known = [chars is not None for chars in self._chars]
            self._known = np.flatnonzero(known)
            longest = max(len(chars) for chars in self._chars if chars)
            # The characters of each symbol, one column after the other; `NONE` after the last.
            self._columns = np.full((longest, self._size), NONE, np.int32)
            for token in self._known.tolist():
                chars = self._chars[token] or ()
                self._columns[: len(chars), token] = chars
            self._lengths_V = (self._columns >= 0).sum(axis=0).astype(np.int32)
            junctions = np.frombuffer(vocabulary.junctions, np.uint8)
            self._strict = (junctions >> 4).tolist() or [0] * self._size
            self._begins_V = junctions & 15
            self._letters_N = alphabet.letters_N

    def start(self) -> State:
        """Where a text begins: in the track, and in no character or word."""
        return self._track.start(), b"" if self._level == "byte" else 0

    def least(self, state: State) -> int:
        """The fewest characters that finish the text."""
        place = self._place(state)
        return int(place.rule.distances_S[place.state]) + place.rest

    def allowed(self, state: State, left: int) -> NDArray[np.bool_]:
        """Which symbols may come next."""
        place = self._place(state)
        _, within = _parts(state)
        key = (id(place.rule), place.state, within)
        needs = self._found.get(key)
        if needs is None:
            if isinstance(within, bytes):
                needs_V = self._bytes_needs(place, within)
            else:
                needs_V = self._needs(place, within)
            if not within or isinstance(within, int):
                needs_V[END_ID] = 0 if place.rule.ends_S[place.state] else FAR
            allowed_V = needs_V < FAR
            top = int(needs_V[allowed_V].max(initial=0))
            needs = self._found[key] = _Needs(needs_V, top, allowed_V)
        room = left - place.rest
        return needs.allowed_V if needs.top <= room else needs.needs_V <= min(room, FAR - 1)

    def standing(self, state: State, left: int) -> Standing | None:
        """Where the text stands in an automaton that the engine can follow."""
        place = self._place(state)
        _, within = _parts(state)
        key = (id(place.rule), place.rest == 0)
        if key not in self._automata:
            self._automata[key] = self._automaton(place)
        automaton = self._automata[key]
        if automaton is None:
            return None
        number = place.state
        if isinstance(within, bytes):
            number += self._prefixes[within] * len(place.rule.table_SK)
        return Standing(automaton, number, min(left - place.rest, FAR - 1), place.rest == 0)

    def next(self, state: State, token: int) -> State:
        """Where the text stands after an allowed symbol."""
        if token == END_ID:
            return state
        track, within = _parts(state)
        if isinstance(within, int):
            chars = self._chars[token]
            assert chars is not None
            return self._track.after(track, chars), self._strict[token]
        code = within + self._bytes[token]
        if code not in self._whole:
            return track, code
        return self._track.after(track, (self._whole[code],)), b""

    def _automaton(self, place: Place) -> Automaton | None:
        """An automaton over symbols; None: they are words, or it would be too large."""
        rule = place.rule
        ends_S = rule.ends_S if place.rest == 0 else np.zeros_like(rule.ends_S)
        if self._level == "byte":
            return self._byte_automaton(rule, ends_S)
        if len(self._columns) > 1:
            return None
        (column,) = self._columns
        kinds_V = np.where(column >= 0, rule.kinds_N[column], NONE)
        return Automaton(rule.table_SK, kinds_V, rule.distances_S, ends_S, END_ID, len(ends_S))

    def _byte_automaton(self, rule: Rule, ends_S: NDArray[np.bool_]) -> Automaton | None:
        """One with the states of the rule once for each beginning of a character, none first."""
        size, count = len(ends_S), len(self._prefixes)
        if size * count * self._size > MOST_TRANSITIONS // 8:
            return None
        table_PSV = np.full((count, size, self._size), NONE, np.int32)
        # From within a character: those of the character included.
        far_PS = np.full((count, size), FAR, np.int32)
        far_PS[0] = rule.distances_S
        for code, number in self._whole.items():
            after_S = rule.table_SK[:, rule.kinds_N[number]]
            need_S = np.where(after_S >= 0, rule.distances_S[after_S] + 1, FAR)
            for cut in range(1, len(code)):
                row_S = far_PS[self._prefixes[code[:cut]]]
                np.minimum(row_S, need_S, out=row_S)
            table_PSV[self._prefixes[code[:-1]], :, self._ids[code[-1:]]] = after_S
        for part, number in self._prefixes.items():
            if part:
                states_S = np.where(far_PS[number] < FAR, number * size + np.arange(size), NONE)
                table_PSV[self._prefixes[part[:-1]], :, self._ids[part[-1:]]] = states_S
        table_SK, kinds_V = np.unique(
            table_PSV.reshape(-1, self._size), axis=1, return_inverse=True
        )
        ends_S = np.resize(ends_S, count * size) & (np.arange(count * size) < size)
        kinds_V, far_S = kinds_V.reshape(-1), far_PS.reshape(-1)
        return Automaton(table_SK, kinds_V, far_S, ends_S, END_ID, size)

    def _place(self, state: State) -> Place:
        return self._track.place(_parts(state)[0])

    def _needs(self, place: Place, strict: int) -> Ints:
        """Of each symbol the characters to the end, those of the symbol included; `FAR`: never."""
        rule = place.rule
        at_V = np.full(self._size, NONE, np.int32)
        at_V[self._known] = place.state
        for column in self._columns:
            kinds_V = rule.kinds_N[column]
            at_V = np.where((column >= 0) & (at_V >= 0), rule.table_SK[at_V, kinds_V], at_V)
        far_V = np.where(at_V >= 0, rule.distances_S[at_V], FAR)
        if self._begins_V.size:
            # Behind a whole word stands no letter.
            words_V = np.array(self._strict) == 2
            far_V = np.where(words_V & (at_V >= 0), self._after_words(rule)[at_V], far_V)
            far_V = np.where(strict + self._begins_V > 2, FAR, far_V)
        return np.where(far_V < FAR, far_V + self._lengths_V, FAR).astype(np.int32)

    def _after_words(self, rule: Rule) -> Ints:
        """The distances of a rule's states, where no letter may come next."""
        others_K = np.ones(rule.table_SK.shape[1], np.bool_)
        others_K[rule.kinds_N[self._letters_N]] = False
        after_SK = rule.table_SK[:, others_K]
        far_SK = np.where(after_SK >= 0, rule.distances_S[after_SK], FAR)
        far_S = np.minimum(far_SK.min(axis=1, initial=FAR) + 1, FAR)
        return np.where(rule.ends_S, 0, far_S).astype(np.int32)

    def _bytes_needs(self, place: Place, within: bytes) -> Ints:
        needs_V = np.full(self._size, FAR, np.int32)
        numbers, tokens = np.array(self._parts[within]).T
        after = place.rule.table_SK[place.state, place.rule.kinds_N[numbers]]
        far = np.where(after >= 0, place.rule.distances_S[after] + 1, FAR)
        np.minimum.at(needs_V, tokens, np.minimum(far, FAR).astype(np.int32))
        return needs_V

    def _numbers(self, symbol: str, alphabet: Alphabet) -> tuple[int, ...] | None:
        """The numbers of a symbol's characters; None for a mark, and for what no rule knows."""
        if not symbol or self._level == "byte":
            return None
        return tuple(alphabet.numbers[char] for char in symbol)


def _parts(state: State) -> tuple[State, bytes | int]:
    """Where the text stands in the track; the bytes of a character, or how strict a word is."""
    assert isinstance(state, tuple)
    return state[0], state[1]


def check_level(vocabulary: Vocabulary) -> None:
    """Refuse a vocabulary in which not every text can be spelled.

    Raises:
        SamplingError: Words are folded, or rare ones are unknown.
    """
    if vocabulary.folded or not vocabulary.spelled:
        why = "folds its text to bare words" if vocabulary.folded else "spells no words"
        raise SamplingError(
            f"this model {why}, so it cannot write any text letter by letter, and a form needs "
            f"that; train one with {named('level', 'char')}, or with {named('spell_rare', True)}"
        )
