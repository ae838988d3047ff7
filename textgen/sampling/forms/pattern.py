"""Regular expressions as automata, by outlines-core: Rust's regex-automata, in Rust's syntax.

Of the libraries that give their automaton it is the one that is kept up, has Unicode classes, and
compiles in milliseconds; interegular is of 2024 and knows no letter but ASCII, greenery takes
minutes for `[a-z]{2,10}` repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from textgen.errors import SamplingError
from textgen.extras import install_hint
from textgen.sampling.forms.alphabet import Alphabet
from textgen.sampling.forms.automaton import NONE, Rule

#: Escapes that stand for many characters, as Python understands them.
_CLASSES = frozenset("wWdDsS")
#: Stands behind a match. It is no character, so no text has it.
_END = "\uffff"
_TOKEN = re.compile(r"\\[pP]\{[^}]*\}|\\.|\[\^?\]?|\]|.", re.DOTALL)


def pattern_rule(name: str, pattern: str, alphabet: Alphabet) -> Rule:
    """The rule that the whole of a text, or of a line, matches a regular expression.

    Args:
        name: As in `Rule`.
        pattern: The expression. `^` in front and `$` behind may be there.
        alphabet: The characters of texts.
    Raises:
        SamplingError: It is no regular expression, or has what no automaton can follow; or the
            library is missing.
    """
    try:
        from outlines_core import Index, Vocabulary
    except ImportError:
        raise SamplingError(
            f"{name} needs outlines-core; {install_hint('outlines-core')}"
        ) from None
    # The library leaves out what may follow a match, so each match ends with a mark of its own.
    end = len(alphabet.chars) + 1
    symbols = Vocabulary(0, {char: [n] for n, char in enumerate(alphabet.chars + _END, start=1)})
    try:
        index = Index(f"(?:{_translated(pattern, alphabet)}){_END}", symbols)
    except ValueError as error:
        if "incompatible" in str(error):  # No character of the alphabet leads to a match.
            return _nothing(name, alphabet)
        raise SamplingError(
            f"{name} cannot be followed: {str(error).splitlines()[-1][:120]}; look-around, \\b and "
            r"back references have no automaton, a bracket is typed as \("
        ) from error
    moves = index.get_transitions()
    states = dict.fromkeys([index.get_initial_state(), *moves])
    for row in moves.values():
        states.update(dict.fromkeys(row.values()))
    number = {state: place for place, state in enumerate(states)}
    table_SK = np.full((len(number), len(alphabet.chars)), NONE, np.int32)
    ends_S = np.zeros(len(number), np.bool_)
    finals = index.get_final_states()
    for state, row in moves.items():
        for token, after in row.items():
            if token == end:
                ends_S[number[state]] = after in finals
            elif token:
                table_SK[number[state], token - 1] = number[after]
    columns_KS, kinds_N = np.unique(table_SK, axis=1, return_inverse=True)
    return Rule(name, kinds_N.reshape(-1).astype(np.int32), columns_KS, ends_S).minimal()


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
