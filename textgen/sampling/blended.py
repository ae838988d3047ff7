"""Several models that write one text: their probabilities mixed, or one word by each in turn.

The symbols are those of all models. A symbol that a model lacks has probability 0 in it; where it
stands in the text, the model reads what it reads of a seed: the nearest form that it has, or
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.nearest_forms import nearest_form
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import ConfigError, SamplingError, named
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.head import log_softmax
from textgen.model.network import Floats, Ids, State, StepNetwork, one_a_stream
from textgen.sampling.networks import SamplingNetworks, SeveralNetworks, TextNetworks, as_wide

#: Ids of the two marks, which all vocabularies have in front.
_MARKS = 2
#: What stands for the logarithm of 0: it stays finite when it is divided by a temperature.
_NEVER = -1e9
_TURN, _LOGITS = "turn", "logits"


class UnitedSymbols:
    """The symbols of several vocabularies as one vocabulary, and each of them in terms of it.

    Args:
        vocabularies: Of characters; or of any level, all with the same symbols.
    Raises:
        ConfigError: Their symbols cannot be united.
    """

    def __init__(self, vocabularies: Sequence[Vocabulary]) -> None:
        first = vocabularies[0]
        if all(other.to_dict() == first.to_dict() for other in vocabularies):
            #: All symbols.
            self.vocabulary = first
        else:
            _refuse_other_levels(vocabularies)
            symbols = {symbol for own in vocabularies for symbol in own.symbol_index()}
            self.vocabulary = Vocabulary.from_characters(symbols)
        index = self.vocabulary.symbol_index()
        #: For each vocabulary, the ids of its symbols here.
        self.places: list[NDArray[np.int64]] = [
            np.array([*range(_MARKS), *map(index.__getitem__, own.symbols[_MARKS:])], np.int64)
            for own in vocabularies
        ]
        #: For each vocabulary, what is read for each symbol here: ids of its own, mostly one.
        self.readings: list[list[tuple[int, ...]]] = [
            [*((mark,) for mark in range(_MARKS)), *self._readings(own)] for own in vocabularies
        ]

    def _readings(self, own: Vocabulary) -> list[tuple[int, ...]]:
        index = own.symbol_index()
        if own.level != "char":
            return [(index[symbol],) for symbol in self.vocabulary.symbols[_MARKS:]]
        forms = [
            nearest_form(char, index.__contains__) for char in self.vocabulary.symbols[_MARKS:]
        ]
        return [tuple(index[char] for char in form or "") for form in forms]

    def lacking(self, number: int) -> dict[str, str]:
        """The symbols that a vocabulary lacks, and what is read for each; "" is nothing."""
        own = {int(place) for place in self.places[number]}
        symbols = self.vocabulary.symbols
        return {
            symbols[token]: "".join(symbols[self.places[number][part]] for part in parts)
            for token, parts in enumerate(self.readings[number])
            if token not in own
        }


def _refuse_other_levels(vocabularies: Sequence[Vocabulary]) -> None:
    levels = list(dict.fromkeys(vocabulary.level for vocabulary in vocabularies))
    if levels == ["char"]:
        return
    if len(levels) > 1:
        raise ConfigError(
            f"the models read different symbols: {' and '.join(levels)}; models that write one "
            f"text together have one {named('level')}"
        )
    raise ConfigError(
        "the models know different words, and what is one word to a model is several letters to "
        f"another; give models of characters ({named('level', 'char')}), or models of one text"
    )


class BlendedNetwork(SeveralNetworks):
    """Predicts by several networks.

    The state is that of each network one after the other, its last logits with it, for they stand
    where it reads nothing. In front stands whose turn it is: how many words each is owed, and
    whether a word has been written since the last change.

    Args:
        networks: What reads.
        symbols: The symbols of all of them, in the same order.
        weights: What share each has; they sum to 1.
        alternate: Whether one network at a time chooses, until a space is read. The shares are then
            those of the words. Where words have the space before them, that network decides whether
            a word begins, and the next one which.
    """

    def __init__(
        self,
        networks: Sequence[StepNetwork],
        symbols: UnitedSymbols,
        weights: Sequence[float],
        *,
        alternate: bool = False,
    ) -> None:
        self._networks = list(networks)
        self._symbols = symbols
        self._weights_K = np.array(weights, np.float64)
        self._alternates = alternate
        self.engine = networks[0].engine
        self.has_counts = all(network.has_counts for network in networks)
        self._size = len(symbols.vocabulary)
        self._lengths = [np.array(list(map(len, own))) for own in symbols.readings]
        # The k-th id that is read for each symbol; 0 where there is none.
        self._columns = [
            np.array(
                [[*own, *[0] * (int(lengths.max()) - len(own))] for own in readings], np.int64
            ).T
            for readings, lengths in zip(symbols.readings, self._lengths, strict=True)
        ]
        is_bytes = symbols.vocabulary.level == "byte"
        self._spaces_V = np.array(
            [
                symbol.isspace() and not (is_bytes and symbol > "\x7f")
                for symbol in symbols.vocabulary.symbols
            ]
        )
        # In a vocabulary of words most have the space before them.
        is_words = symbols.vocabulary.level == "word"
        self._begins_V = np.array(
            [is_words and symbol.startswith(" ") for symbol in symbols.vocabulary.symbols]
        )

    def each(self, change: Callable[[StepNetwork], StepNetwork]) -> BlendedNetwork:
        """Return the blend of other networks: what `change` makes of each."""
        return BlendedNetwork(
            [change(network) for network in self._networks],
            self._symbols,
            self._weights_K.tolist(),
            alternate=self._alternates,
        )

    def zero_state(self, batch_size: int = 1) -> State:
        """Return the state at the start of a document, for `batch_size` streams."""
        size = len(self._networks)
        state: State = [{_TURN: np.zeros((batch_size, size + 2))}]
        for network, places in zip(self._networks, self._symbols.places, strict=True):
            state.append({_LOGITS: np.zeros((batch_size, len(places)), np.float32)})
            state += network.zero_state(batch_size)
        return state

    def step(
        self, ids_B: Ids | int, state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream; the logits are the logarithms of the mixed distribution.

        Raises:
            SamplingError: There are edits, whose neurons could be those of any network.
        """
        if edits_B is not None and any(edits_B):
            raise no_blended_steering()
        ids_B = one_a_stream(ids_B, state)
        turn_BK = self._turns(ids_B, state[0][_TURN])
        after: State = [{_TURN: turn_BK}]
        for number, own in enumerate(self._parts(state)):
            after += self._step(number, ids_B, own)
        return self._mixed(after), after

    def read(
        self, ids: Sequence[int], state: State, edits: Edits = NO_EDITS
    ) -> tuple[Floats, State]:
        """Read the tokens of one stream; see `StepNetwork.read`."""
        if edits:
            raise no_blended_steering()
        turn_1K = state[0][_TURN]
        for token in ids:
            turn_1K = self._turns(np.array([token]), turn_1K)
        after: State = [{_TURN: turn_1K}]
        for number, own in enumerate(self._parts(state)):
            readings = self._symbols.readings[number]
            tokens = [part for token in ids for part in readings[token]]
            if tokens:
                logits_1V, layers = self._networks[number].read(tokens, own[1:])
                own = [{_LOGITS: np.array(logits_1V, np.float32)}, *layers]
            after += own
        return self._mixed(after), after

    def _parts(self, state: State) -> list[State]:
        """What of a state belongs to each network, its last logits in front."""
        firsts = [place for place, layer in enumerate(state) if _LOGITS in layer]
        ends = [*firsts[1:], len(state)]
        return [state[first:end] for first, end in zip(firsts, ends, strict=True)]

    def _step(self, number: int, ids_B: Ids, own: State) -> State:
        """The part of a network after it has read what it reads for these symbols."""
        network, lengths_B = self._networks[number], self._lengths[number][ids_B]
        for round_, column in enumerate(self._columns[number]):
            rows = np.flatnonzero(lengths_B > round_)
            if len(rows) == len(ids_B):
                logits_BV, layers = network.step(column[ids_B], own[1:])
                own = [{_LOGITS: np.array(logits_BV, np.float32)}, *layers]
            elif len(rows):
                some = [{name: array[rows] for name, array in layer.items()} for layer in own[1:]]
                logits_RV, layers = network.step(column[ids_B[rows]], some)
                read: State = [{_LOGITS: logits_RV}, *layers]
                own = [
                    {name: _replaced(array, rows, new[name]) for name, array in layer.items()}
                    for layer, new in zip(own, read, strict=True)
                ]
        return own

    def _turns(self, ids_B: Ids, turn_BK: NDArray[np.float64]) -> NDArray[np.float64]:
        """Whose turn it is after these symbols.

        At a space each network is owed its share of a word; the one that is owed the most writes
        the next word. So the shares hold from the first words on.
        """
        turn_BK = np.array(turn_BK)
        owed_BK = turn_BK[:, :-2]  # A view: it is written to.
        is_space_B = self._spaces_V[ids_B]
        # Of several spaces the first one counts. At an end mark the text begins.
        has_space_B = is_space_B | self._begins_V[ids_B]
        changes_B = (has_space_B & (turn_BK[:, -1] > 0)) | (ids_B == END_ID)
        next_B = self._owed_most(owed_BK)
        turn_BK[:, -2] = np.where(changes_B, next_B, turn_BK[:, -2])
        owed_BK[changes_B] += self._weights_K
        rows = np.flatnonzero(changes_B)
        owed_BK[rows, next_B[rows]] -= 1.0
        turn_BK[:, -1] = ~is_space_B & (ids_B != END_ID)
        return turn_BK

    def _owed_most(self, owed_BK: NDArray[np.float64]) -> NDArray[np.intp]:
        """Which network writes the next word of each text."""
        # Sums of shares are rounded: equal ones are to stay equal.
        most_B: NDArray[np.intp] = np.round(owed_BK + self._weights_K, 9).argmax(axis=1)
        return most_B

    def _mixed(self, state: State) -> Floats:
        """The logarithms of what the networks predict together, `(B, V)`."""
        parts, turn_BK = self._parts(state), state[0][_TURN]
        shares_BK = np.broadcast_to(self._weights_K, (len(turn_BK), len(parts)))
        if self._alternates:
            shares_BK = np.eye(len(parts))[turn_BK[:, -2].astype(np.intp)]
        mixed_BV = self._sum(parts, shares_BK)
        if self._alternates and self._begins_V.any():
            # Whose turn it is decides whether a word begins, and the next one which.
            next_BK = np.eye(len(parts))[self._owed_most(turn_BK[:, :-2])]
            next_BV = self._sum(parts, next_BK)
            begins_BV = (turn_BK[:, -1:] > 0) & self._begins_V
            mass_B1 = mixed_BV.sum(axis=1, where=begins_BV, keepdims=True)
            next_B1 = next_BV.sum(axis=1, where=begins_BV, keepdims=True)
            np.divide(next_BV * mass_B1, next_B1, out=mixed_BV, where=begins_BV & (next_B1 > 0))
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(mixed_BV), _NEVER).astype(np.float32)

    def _sum(self, parts: Sequence[State], shares_BK: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the networks predict, each with its share, `(B, V)`."""
        mixed_BV = np.zeros((len(shares_BK), self._size))
        for number, own in enumerate(parts):
            probabilities_BV = np.exp(log_softmax(own[0][_LOGITS]))
            mixed_BV[:, self._symbols.places[number]] += (
                shares_BK[:, number, None] * probabilities_BV
            )
        return mixed_BV


def _replaced(array: Any, rows: NDArray[np.intp], new: Any) -> Any:
    """A copy with other rows. Where these have a longer history, the rest is filled up."""
    old, new = as_wide([array, new])
    copy = np.array(old)
    copy[rows] = new
    return copy


def no_blended_steering() -> SamplingError:
    """The error that a text of several models cannot be steered."""
    return SamplingError(
        "a neuron belongs to one model, and this text is written by several; steer a text of one "
        "of them"
    )


class BlendedNetworks(TextNetworks):
    """Opens several models on the paths that sample fastest here.

    Args:
        members: Those of each model.
        blend: Makes one network of theirs.
    """

    def __init__(
        self,
        members: Sequence[SamplingNetworks],
        blend: Callable[[Sequence[StepNetwork]], BlendedNetwork],
    ) -> None:
        self._members = list(members)
        self._blend = blend

    @cached_property
    def one(self) -> BlendedNetwork:
        """Writes one text at a time."""
        return self._blend([networks.one for networks in self._members])

    @cached_property
    def many(self) -> BlendedNetwork:
        """Writes many texts together."""
        return self._blend([networks.many for networks in self._members])

    def record(
        self, count: int = 1, *, exact: bool = False, eight_bit: bool = False
    ) -> dict[str, Any]:
        """Return what writes so many texts, as plain data: the same for all models."""
        return self._members[0].record(count, exact=exact, eight_bit=eight_bit)

    def describe(self, count: int = 1, *, exact: bool = False, eight_bit: bool = False) -> str:
        """Return what writes so many texts, in one line for a person."""
        return self._members[0].describe(count, exact=exact, eight_bit=eight_bit)
