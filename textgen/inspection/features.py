"""What a reader would call a character: in a word, in quotes, a vowel; for any alphabet.

Each built-in feature has a value for every character of a text: what holds once it has been read.
Binary features are True or False; graded ones are numbers, 0 where they do not apply. A combining
mark has the values of the character it stands on. A NUL stands between two documents (see
`textgen.corpus.documents`): it has no feature, and nothing that is open before it is open after.

A quotation or a bracket is open from its opening mark on, up to its closing one, which is outside.
Whatever is open is forgotten at a blank line and at the end of a document, so that one unpaired
mark does not turn the rest of a text inside out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.documents import DOCUMENT_MARK
from textgen.corpus.vocabulary import END_ID, REPLACEMENT, Vocabulary
from textgen.errors import ConfigError, named

Bools = NDArray[np.bool_]
Places = NDArray[np.int64]


class Kind(IntFlag):
    """What a character is; a combining mark is what the character before it is, and `MARK`."""

    LETTER = 1  # letters and digits, of which words are made
    UPPER = 2
    LOWER = 4
    VOWEL = 8
    CONSONANT = 16
    DIGIT = 32
    PUNCTUATION = 64
    SPACE = 128
    NEWLINE = 256
    MARK = 512
    TERMINATOR = 1024  # ends a sentence
    BRACE = 2048  # quotation marks, brackets and dashes, which may stand around a sentence's start


_INHERITED = Kind.LETTER | Kind.UPPER | Kind.LOWER | Kind.VOWEL | Kind.CONSONANT | Kind.DIGIT
_NEWLINES = "\n\r\x0b\x0c\x85\u2028\u2029"
_TERMINATORS = ".!?…‽。！？؟।։"
#: Apostrophes that may stand within a word.
_APOSTROPHES = "'’"
_BRACES = frozenset(("Ps", "Pe", "Pi", "Pf", "Pd"))
#: Base letters: what is left of a letter in lower case without its marks.
_VOWELS = frozenset("aeiouyæœøıəɛɔаеиоуыэюяіѣѵѡѫѧѭѩєәөүұӕαεηιουω")
#: Decomposed they would be the vowels и and у.
_GLIDES = frozenset("йў")
_SIGNS = frozenset("ьъ")
_SCRIPTS = ("LATIN ", "CYRILLIC ", "GREEK ")


class Characters:
    """The characters of a text, sorted into kinds, words, lines.

    A `DOCUMENT_MARK` (NUL, which no text has) stands between two documents and is of no kind.

    Args:
        text: Any text.
    """

    def __init__(self, text: str) -> None:
        self.codes: NDArray[np.uint32] = np.frombuffer(
            text.encode("utf-32-le", "surrogatepass"), np.uint32
        )
        table = np.zeros(int(self.codes.max(initial=0)) + 1, np.uint16)
        for char in set(text):
            table[ord(char)] = _kind_of(char)
        kinds = table[self.codes]
        marks = np.flatnonzero(kinds & Kind.MARK)
        if marks.size:
            base = last_place(kinds & Kind.MARK == 0)[marks]
            own = np.where(base >= 0, kinds[base], 0) & _INHERITED
            kinds[marks] |= own.astype(np.uint16)
        self._kinds = kinds

    def __len__(self) -> int:
        return len(self.codes)

    def are(self, kind: Kind) -> Bools:
        """Which characters are of `kind`, or of one of several, `(chars,)`."""
        result: Bools = (self._kinds & int(kind)) != 0
        return result

    def equal(self, chars: str) -> Bools:
        """Which characters are one of `chars`."""
        codes = np.array([ord(char) for char in chars], np.uint32)
        result: Bools = np.isin(self.codes, codes)
        return result

    @cached_property
    def ends(self) -> Bools:
        """Which are the mark between two documents."""
        result: Bools = self.codes == ord(DOCUMENT_MARK)
        return result

    @property
    def are_greek(self) -> Bools:
        """Which lie in the blocks of Greek letters."""
        codes = self.codes
        modern = (codes >= 0x370) & (codes < 0x400)
        result: Bools = modern | ((codes >= 0x1F00) & (codes < 0x2000))
        return result

    @cached_property
    def words(self) -> Bools:
        """Which belong to a word: letters, digits, marks on them, apostrophes between them."""
        run = self.are(Kind.LETTER | Kind.MARK)
        inside = self.equal(_APOSTROPHES) & before(run) & after(self.are(Kind.LETTER))
        return run | inside

    @cached_property
    def word_starts(self) -> Bools:
        """Which begin a word."""
        return self.words & ~before(self.words)

    @cached_property
    def counted(self) -> Bools:
        """Which count as a character of their own: all but combining marks on another one."""
        marks = self.are(Kind.MARK)
        result: Bools = ~marks | ~before(self.are(Kind.LETTER | Kind.MARK))
        return result

    @cached_property
    def breaks(self) -> Bools:
        """Which end a line; of a `\\r\\n` it is the second."""
        return self.are(Kind.NEWLINE) & ~(self.equal("\r") & after(self.equal("\n")))

    @cached_property
    def resets(self) -> Bools:
        """Which end a blank line or a document: nothing opened before is still open there."""
        solid = ~(self.are(Kind.SPACE) | (self.are(Kind.NEWLINE) & ~self.breaks))
        previous = shifted(last_place(solid))
        blank = self.breaks & (previous >= 0) & self.breaks[np.maximum(previous, 0)]
        return blank | self.ends


def before(flags: Bools) -> Bools:
    """Whether the flag stands at the character before; False at the first."""
    result = np.zeros_like(flags)
    result[1:] = flags[:-1]
    return result


def after(flags: Bools) -> Bools:
    """Whether the flag stands at the character after; False at the last."""
    result = np.zeros_like(flags)
    result[:-1] = flags[1:]
    return result


def last_place(flags: Bools) -> Places:
    """The last place up to each one, itself included, where the flag stands; -1: none."""
    places = np.where(flags, np.arange(len(flags)), -1)
    result: Places = np.maximum.accumulate(places) if len(places) else places
    return result


def shifted(places: Places) -> Places:
    """What held at the character before; -1 at the first."""
    return np.concatenate([np.array([-1], np.int64), places])[: len(places)]


@cache
def _kind_of(char: str) -> int:
    if char == DOCUMENT_MARK:
        return 0
    if char in _NEWLINES:
        return Kind.NEWLINE
    if char.isspace():
        return Kind.SPACE
    category = unicodedata.category(char)
    kind = 0
    if category.startswith("M"):
        return Kind.MARK
    if char.isalnum():
        kind |= Kind.LETTER
    if category in ("Lu", "Lt"):
        kind |= Kind.UPPER
    if category == "Ll":
        kind |= Kind.LOWER
    if category == "Nd":
        kind |= Kind.DIGIT
    if category.startswith("P"):
        kind |= Kind.PUNCTUATION
    if category in _BRACES or char in "\"'":
        kind |= Kind.BRACE
    if char in _TERMINATORS:
        kind |= Kind.TERMINATOR
    return kind | _sound(char)


def _sound(char: str) -> int:
    """Vowel, consonant or neither; only the letters of three scripts are one of the two."""
    if not char.isalpha() or not unicodedata.name(char, "").startswith(_SCRIPTS):
        return 0
    low = char.lower()[0]
    base = low if low in _GLIDES else unicodedata.normalize("NFKD", low)[0]
    if base in _SIGNS:
        return 0
    return Kind.VOWEL if base in _VOWELS else Kind.CONSONANT


Depths = NDArray[np.int32]

#: What closes a quotation that began with a mark: “ opens in English and closes in German and
#: Russian, » opens in Danish, ” opens in Swedish.
_QUOTES = {
    "«": "»",
    "»": "«",
    "‹": "›",
    "„": "“”",
    "“": "”",
    "”": "”",
    '"': '"',
    "‘": "’",
    "‚": "‘’",
    "「": "」",
    "『": "』",
}
_QUOTE_MARKS = "".join(sorted(set("".join((*_QUOTES, *_QUOTES.values())))))
#: They open only in front of a word and not behind one: elsewhere they close, or stand for inches.
_AMBIGUOUS = '»”"'
#: Behind a word they are apostrophes; within one too.
_SINGLE = "‘’‚"
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def quote_depth(characters: Characters) -> Depths:
    """How many quotations are open after each character, `(chars,)`.

    ASCII apostrophes open none: they cannot be told from quotation marks.
    """
    words = characters.words
    spaces = characters.are(Kind.SPACE | Kind.NEWLINE)
    codes, last = characters.codes, len(characters) - 1
    places = np.flatnonzero(characters.equal(_QUOTE_MARKS) | characters.resets)
    depths: list[int] = []
    open_: list[str] = []
    for place in places.tolist():
        char = chr(codes[place])
        behind = place > 0 and bool(words[place - 1])
        ahead = place < last and bool(words[place + 1])
        closes = not (char in _SINGLE and behind and ahead)
        if char not in _QUOTE_MARKS:
            open_.clear()
        elif closes and any(char in _QUOTES[mark] for mark in open_):
            while char not in _QUOTES[open_.pop()]:
                pass  # What was opened within is closed with it.
        elif char in _QUOTES and not (
            (char in _AMBIGUOUS and (behind or place == last or bool(spaces[place + 1])))
            or (char in "»”" and not ahead)
            or (char in _SINGLE and behind)
        ):
            open_.append(char)
        depths.append(len(open_))
    return _filled(places, depths, len(characters))


def bracket_depth(characters: Characters) -> Depths:
    """How many of `( [ {` are open after each character, `(chars,)`.

    A closing bracket closes the last one of its kind, and those opened within it; without one it
    is nothing. Sad faces, `:(`, `:-(` and `((` before a space, open none.
    """
    codes = characters.codes
    places = np.flatnonzero(characters.equal("()[]{}") | characters.resets)
    faces = _sad_faces(characters)
    depths: list[int] = []
    open_: list[str] = []
    for place in places.tolist():
        char = chr(codes[place])
        if char in _BRACKETS:
            if not faces[place]:
                open_.append(_BRACKETS[char])
        elif char not in ")]}":
            open_.clear()
        elif char in open_:
            while open_.pop() != char:
                pass
        depths.append(len(open_))
    return _filled(places, depths, len(characters))


def _sad_faces(characters: Characters) -> Bools:
    """Which opening parentheses are a mouth."""
    round_ = characters.equal("(")
    faces = np.zeros_like(round_)
    eyes = characters.equal(":;")
    nose = characters.equal("-")
    faces[1:] |= eyes[:-1]
    faces[2:] |= nose[1:-1] & eyes[:-2]
    spaces = characters.are(Kind.SPACE | Kind.NEWLINE) | characters.ends
    for start, stop in _runs(round_):
        if (stop - start > 1 and (stop == len(round_) or spaces[stop])) or faces[start]:
            faces[start:stop] = True
    return faces & round_


def _runs(flags: Bools) -> Iterator[tuple[int, int]]:
    """Where each run of flags starts and stops."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _filled(places: NDArray[np.int64], depths: list[int], count: int) -> Depths:
    """Each depth from its place on up to the next."""
    levels = np.array([0, *depths], np.int32)
    lengths = np.diff(np.concatenate([[0], places, [count]]))
    result: Depths = np.repeat(levels, lengths)
    return result


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
