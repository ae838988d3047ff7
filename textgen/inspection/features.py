"""What a reader would call a character: in a word, in quotes, a vowel; for any alphabet.

Each built-in feature has a value for every character of a text: what holds once it has been read.
Binary features are True or False; graded ones are numbers, 0 where they do not apply. A combining
mark has the values of the character it stands on. A NUL stands between two documents (see
`textgen.corpus.documents`): it has no feature, and nothing that is open before it is open after.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.documents import DOCUMENT_MARK
from textgen.corpus.vocabulary import END_ID, REPLACEMENT, Vocabulary
from textgen.errors import ConfigError, named
from textgen.inspection.characters import (
    Bools,
    Characters,
    Kind,
    after,
    before,
    bracket_depth,
    last_place,
    quote_depth,
    shifted,
)

#: `(chars,)`: bool for a binary feature, float32 for a graded one.
Values = NDArray[np.bool_] | NDArray[np.float32]


@dataclass(frozen=True)
class Feature:
    """One built-in feature.

    Args:
        name: As it is typed: `inside-quotes`.
        description: One line for help texts.
        graded: Whether it is a number rather than True or False.
    """

    name: str
    description: str
    graded: bool = False


def feature_values(name: str, text: str) -> Values:
    """The feature called `name` at each character of `text`.

    Args:
        name: One of `FEATURES`.
        text: Any text, of C characters.
    Returns:
        `(C,)`: bool, or float32 for a graded feature.
    Raises:
        ConfigError: There is no such feature; the message lists those there are.
    """
    return _cast(check_feature(name), Characters(text))


def all_features(text: str) -> dict[str, Values]:
    """Every built-in feature at each character of `text`, in the order of `FEATURES`."""
    characters = Characters(text)
    return {name: _cast(feature, characters) for name, feature in FEATURES.items()}


def check_feature(name: str) -> Feature:
    """The feature called `name`.

    Raises:
        ConfigError: There is none; the message lists those there are.
    """
    if name not in FEATURES:
        raise ConfigError(
            f"there is no feature '{name}'; choose one of: {', '.join(FEATURES)}; "
            f"or give a pattern with {named('regex')}"
        )
    return FEATURES[name]


def regex_feature(pattern: str, text: str) -> Bools:
    """Which characters of `text` lie inside a match of `pattern`.

    Args:
        pattern: A regular expression as Python's `re` reads it; `^` and `$` match at every line.
            Matches do not overlap, and an empty match covers nothing.
        text: Any text, of C characters.
    Returns:
        `(C,)`.
    Raises:
        ConfigError: The pattern is not a regular expression; the message points at the place.
    """
    try:
        compiled = re.compile(pattern, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"'{pattern}' is not a regular expression: {error}; write a backslash before a "
            r"character that is meant as it stands, such as \( or \."
        ) from error
    edges = np.zeros(len(text) + 1, np.int8)
    for match in compiled.finditer(text):
        start, stop = match.span()
        if start < stop:
            edges[start] += 1
            edges[stop] -= 1
    result: Bools = np.cumsum(edges[:-1], dtype=np.int8) > 0
    return result


def last_characters(pieces: Sequence[str]) -> NDArray[np.int64]:
    """Where in the text the last character of each token stands, `(T,)`.

    A piece without a character stands where the next one that has some does; behind the text, at
    the number of its characters, where there is none.
    """
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    place = np.where(lengths > 0, np.cumsum(lengths) - 1, int(lengths.sum()))
    return np.minimum.accumulate(place[::-1])[::-1] if len(place) else place


def _cast(feature: Feature, characters: Characters) -> Values:
    values = _COMPUTE[feature.name](characters)
    return values.astype(np.float32) if feature.graded else values.astype(np.bool_)


def _kind(kind: Kind) -> Callable[[Characters], NDArray[np.generic]]:
    return lambda text: text.are(kind)


def _word_end(text: Characters) -> Bools:
    return text.words & ~after(text.words)


def _position_in_word(text: Characters) -> NDArray[np.int64]:
    """Counted from 1 at the first character."""
    read = np.cumsum(text.counted & text.words)
    start = np.maximum(last_place(text.word_starts), 0)
    result: NDArray[np.int64] = np.where(text.words, read - read[start] + 1, 0)
    return result


def _word_length(text: Characters) -> NDArray[np.int64]:
    lengths = _position_in_word(text)[_word_end(text)]
    word = np.cumsum(text.word_starts) - 1
    result = np.zeros(len(text), np.int64)
    result[text.words] = lengths[word[text.words]]
    return result


def _line_start(text: Characters) -> Bools:
    ends = text.are(Kind.NEWLINE) | text.ends
    first = before(ends)
    first[:1] = True
    return first & ~ends


def _position_in_line(text: Characters) -> NDArray[np.int64]:
    """Characters of the line read so far: 1 at its first, 0 at its end."""
    ends = text.are(Kind.NEWLINE) | text.ends
    read = np.concatenate([np.zeros(1, np.int64), np.cumsum(text.counted & ~ends)])
    result: NDArray[np.int64] = read[1:] - read[last_place(ends) + 1]
    return result


def _sentence_start(text: Characters) -> Bools:
    """The first character of a word that follows the end of a sentence.

    What begins with a small letter begins none ("etc. and so on"), but after a blank line.
    """
    white = text.are(Kind.SPACE | Kind.NEWLINE)
    # A semicolon behind a Greek letter is a question mark.
    stops = text.are(Kind.TERMINATOR) | (text.equal(";") & before(text.are_greek))
    solid = shifted(last_place(~(white | text.are(Kind.BRACE) | text.ends)))
    gap = shifted(last_place(white)) > solid
    fresh = shifted(last_place(text.resets)) > solid
    ended = (solid >= 0) & stops[np.maximum(solid, 0)] & gap & ~text.are(Kind.LOWER)
    return text.word_starts & (ended | fresh | (solid < 0))


_LIST: tuple[tuple[Feature, Callable[[Characters], NDArray[np.generic]]], ...] = (
    (Feature("word-start", "the first character of a word"), lambda text: text.word_starts),
    (Feature("word-end", "the last character of a word"), _word_end),
    (
        Feature("position-in-word", "characters of the word read so far; 0 between words", True),
        _position_in_word,
    ),
    (
        Feature("word-length", "length of the word it stands in; 0 between words", True),
        _word_length,
    ),
    (Feature("sentence-start", "the first character of a sentence"), _sentence_start),
    (Feature("line-start", "the first character of a line"), _line_start),
    (
        Feature("position-in-line", "characters of the line read so far; 0 at its end", True),
        _position_in_line,
    ),
    (Feature("inside-quotes", "between quotation marks"), lambda text: quote_depth(text) > 0),
    (
        Feature("inside-brackets", "between brackets: ( ), [ ] or { }"),
        lambda text: bracket_depth(text) > 0,
    ),
    (Feature("bracket-depth", "how many brackets are open", True), bracket_depth),
    (Feature("capital", "a capital letter"), _kind(Kind.UPPER)),
    (Feature("vowel", "a vowel of a Latin, Cyrillic or Greek alphabet"), _kind(Kind.VOWEL)),
    (
        Feature("consonant", "a consonant of a Latin, Cyrillic or Greek alphabet"),
        _kind(Kind.CONSONANT),
    ),
    (Feature("digit", "a decimal digit"), _kind(Kind.DIGIT)),
    (Feature("punctuation", "a punctuation mark"), _kind(Kind.PUNCTUATION)),
    (Feature("space", "a space, of any width, or a tab"), _kind(Kind.SPACE)),
    (Feature("newline", "the end of a line"), _kind(Kind.NEWLINE)),
)
_COMPUTE = {feature.name: compute for feature, compute in _LIST}

#: The built-in features by name, in the order in which they are listed.
FEATURES: Mapping[str, Feature] = MappingProxyType({feature.name: feature for feature, _ in _LIST})


def feature_matrix(
    vocabulary: Vocabulary, ids: NDArray[np.integer[Any]], skip: int = 0
) -> NDArray[np.float32]:
    """Every built-in feature at every token, in the order of `FEATURES`.

    Args:
        ids: The tokens, `(T,)`; what an unknown one stands for is not known here.
        skip: How many of the first tokens are read only for what they open.
    Returns:
        `(T - skip, len(FEATURES))`; the row of an end mark is zero.
    """
    text, places = token_text(vocabulary, ids)
    places = places[skip:]
    result = np.empty((len(places), len(FEATURES)), np.float32)
    for column, values in enumerate(all_features(text).values()):
        result[:, column] = values[places]
    return result


def token_text(
    vocabulary: Vocabulary, ids: NDArray[np.integer[Any]]
) -> tuple[str, NDArray[np.int64]]:
    """The text of tokens, with a `DOCUMENT_MARK` for each end mark, and where in it they stand.

    Returns:
        The text, and the place in it of each token's last character, `(T,)`. Tokens that share a
        character, as at byte level, stand at the same place.
    """
    if vocabulary.level == "byte":
        pieces = vocabulary.pieces(ids)
        for place in np.flatnonzero(np.asarray(ids) == END_ID).tolist():
            pieces[place] += DOCUMENT_MARK
    else:
        symbols = (DOCUMENT_MARK, REPLACEMENT, *vocabulary.symbols[2:])
        pieces = list(map(symbols.__getitem__, ids.tolist()))
    return "".join(pieces), last_characters(pieces)
