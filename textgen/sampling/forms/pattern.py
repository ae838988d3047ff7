"""Regular expressions as automata, by outlines-core: Rust's regex-automata, in Rust's syntax.

Of the libraries that give their automaton it is the one that is kept up, has Unicode classes, and
compiles in milliseconds; interegular is of 2024 and knows no letter but ASCII, greenery takes
minutes for `[a-z]{2,10}` repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from textgen.errors import SamplingError
from textgen.extras import install_hint
from textgen.sampling.forms.alphabet import Alphabet
from textgen.sampling.forms.automaton import MOST_TRANSITIONS, NONE, Rule
from textgen.sampling.forms.regex_index import BYTES, SECONDS, moves_of, moves_within_bounds

#: Rules of expressions that took a process, to write with them again: so many, each of so many
#: transitions at most.
_KEPT, _KEPT_TRANSITIONS = 32, 2**18
_rules: dict[tuple[str, str], Rule] = {}

#: Escapes that stand for many characters, as Python understands them.
_CLASSES = frozenset("wWdDsS")
_TOKEN = re.compile(r"\\[pP]\{[^}]*\}|\\.|\[\^?\]?|\]|.", re.DOTALL)


def pattern_rule(name: str, pattern: str, alphabet: Alphabet, *, is_known: bool = True) -> Rule:
    """The rule that the whole of a text, or of a line, matches a regular expression.

    Args:
        name: As in `Rule`.
        pattern: The expression. `^` in front and `$` behind may be there.
        alphabet: The characters of texts.
        is_known: Whether it is known to be small; another one is compiled within bounds of time and
            memory, which takes a process.
    Raises:
        SamplingError: It is no regular expression, has what no automaton can follow, or is too
            large; or the library is missing.
    """
    make = moves_of if is_known else moves_within_bounds
    if (kept := _rules.get((pattern, alphabet.chars))) is not None:
        return replace(kept, name=name)
    try:
        found = make(_translated(pattern, alphabet), alphabet.chars)
    except ImportError:
        raise SamplingError(
            f"{name} needs outlines-core; {install_hint('outlines-core')}"
        ) from None
    except ValueError as error:
        if "incompatible" in str(error):  # No character of the alphabet leads to a match.
            return _nothing(name, alphabet)
        raise SamplingError(
            f"{name} cannot be followed: {str(error).splitlines()[-1][:120]}; look-around, \\b and "
            r"back references have no automaton, ^ and $ stand at its ends, a bracket is typed \("
        ) from error
    if found is None:
        raise SamplingError(
            f"{name} has too large an automaton: it was not made within {SECONDS} s and "
            f"{BYTES >> 30} GB; repeat less, and nothing that begins like what stands before it"
        )
    moves = np.array(found["moves"], np.int64).reshape(-1, 3)
    states, places = np.unique([*moves[:, [0, 2]].ravel(), found["start"]], return_inverse=True)
    sources, targets = places[:-1].reshape(-1, 2).T
    if len(states) * len(alphabet.chars) > MOST_TRANSITIONS:
        most = MOST_TRANSITIONS // len(alphabet.chars)
        raise SamplingError(
            f"{name} has an automaton of {len(states):,} states, and {most:,} are the most; repeat "
            "less"
        )
    start = int(places[-1])
    # The start comes first.
    order = np.arange(len(states))
    order[[0, start]] = order[[start, 0]]
    sources, targets = order[sources], order[targets]
    is_end = moves[:, 1] == len(alphabet.chars) + 1
    table_SK = np.full((len(states), len(alphabet.chars)), NONE, np.int32)
    table_SK[sources[~is_end], moves[~is_end, 1] - 1] = targets[~is_end]
    ends_S = np.zeros(len(states), np.bool_)
    ends_S[sources[is_end & np.isin(moves[:, 2], found["ends"])]] = True
    columns_KS, kinds_N = np.unique(table_SK, axis=1, return_inverse=True)
    rule = Rule(name, kinds_N.reshape(-1).astype(np.int32), columns_KS, ends_S).minimal()
    if not is_known and rule.table_SK.size <= _KEPT_TRANSITIONS:
        if len(_rules) >= _KEPT:
            _rules.clear()
        _rules[pattern, alphabet.chars] = rule
    return rule


def literal(text: str) -> str:
    """The expression that matches a text."""
    return re.sub(r"[\\.+*?()|\[\]{}^$#&~\-]", r"\\\g<0>", text)


def one_of(chars: Iterable[str]) -> str:
    """The expression that matches one of some characters."""
    return f"[{''.join(map(literal, chars))}]"


def _nothing(name: str, alphabet: Alphabet) -> Rule:
    kinds_N = np.zeros(len(alphabet.chars), np.int32)
    return Rule(name, kinds_N, np.full((1, 1), NONE, np.int32), np.zeros(1, np.bool_))


def _translated(pattern: str, alphabet: Alphabet) -> str:
    """The expression as the library reads it.

    Classes of Unicode are written as the alphabet's characters in them: so they mean what they mean
    in Python, and automata stay small.
    """
    whole = re.sub(r"\(\?P<\w+>", "(?:", pattern.removeprefix("^"))
    if whole.endswith("$") and not whole.endswith(r"\$"):
        whole = whole[:-1]
    written, within = [], False
    for token in _TOKEN.findall(whole):
        if token[0] == "[" and not within:
            within = True
        elif token == "]":
            within = False
        elif token[0] == "\\" and token[1] in _CLASSES:
            found = re.compile(token)
            chars = [char for char in alphabet.chars if found.match(char)]
            # A class of nothing is written as one that no text of the model has.
            token = "".join(map(literal, chars)) or r"\x00"
            token = token if within else f"[{token}]"
        written.append(token)
    return "".join(written)
