"""How plausible bytes are as a text in each legacy encoding.

A candidate is an encoding together with a language. Its cost, in nats, comes from a rough model of
text: pairs of Cyrillic letters, shares of accented Latin, Greek and other letters, capitals within
words, letters and symbols in unusual places, the short words of each language. What is repeated in
the same place counts less each time. The candidate with the lowest cost is the most likely one, and
the distance to the next one that gives another text says how sure that is.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from textgen.corpus import alphabets

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

#: Bytes looked at; a text this long leaves no doubt that more could clear up.
_SAMPLE = 128 << 10
#: Bytes kept on each side of a high byte where these are few in a long text.
_AROUND = 64

# What a byte is in an encoding, for letters of one script.
_BORDER, _DIGIT, _ASCII, _LETTER, _MARK, _STRANGE = range(6)

# What stands beside a Latin letter or a symbol: space, digit, small letter, capital, punctuation,
# mark, part of a frame, or anything strange.
_BESIDE = "SDlUPMFX"

# Costs in nats. A text has a typographic mark every few dozen characters, a symbol every few
# thousand; the other costs are for what texts do not have at all.
_TYPOGRAPHIC = 5.0
_COMMON_SYMBOL = 6.5
_SYMBOL = 8.0
_RARE_SYMBOL = 12.0
_FRAME_PIECE = 3.0
_FRAME_ALONE = 8.0  # within a line, with no other piece beside it
_FRAME_UNLIKE = 9.0  # beside other pieces only
_ROW_OF_LETTERS = 12.0  # three times the same letter beyond ASCII, which is a line of a frame
_FOREIGN_LETTER = 10.0
_BOX = 11.0
_CONTROL = 14.0
_RARE_LETTER = 9.5  # of the script, not of the language
_RARE_LATIN = 11.0
_CAPITAL = 2.0
_CAPITAL_INSIDE = 7.5
_CAPITALS_GO_ON = 0.3
_MIXED_SCRIPT = 5.0
_ACCENTS_MEET = 3.0
_BROKEN_WORD = 2.0
_ALONE = 6.0
_MISPLACED = 4.5  # each side of a symbol on which something else belongs
_WITHIN_WORD = 5.0  # where these sides are letters
_AGAIN_LETTER = 7.5  # at most, for a letter that was there before
_AGAIN = 1.0  # a symbol that is in place, in another place
_NO_APOSTROPHE = 4.0  # between letters, in a language that has none there
_FOREIGN_LANGUAGE = 9.0  # a language in a code page that was not made for it

# The ASCII letters speak for a language, within limits: a text may quote another language.
_WORD_BONUS = 1.0
_MOST_FOR_LANGUAGE = 14.0
_MORE_FOR_LANGUAGE = 4.0  # for each byte beyond ASCII: less than a misread letter costs
_MORE_FOR_SCRIPT = 6.0
_PLAIN_LETTERS = 0.3  # the share of ASCII letters that a text in another script does not have

_OUT_OF_PLACE = 2.0
_NO_LETTERS = 1.0  # quotes and dashes only: a Latin text rather than a Cyrillic one

#: A candidate that costs this much more than the best one is out of the question.
_FAR = 25.0

#: Cost of one byte beyond ASCII above which a candidate is not a text. A text with few such bytes
#: may cost more: its first symbols and loanwords are expensive.
_IMPLAUSIBLE = 7.5
_IMPLAUSIBLE_LATIN = 10.5
_ONCE = 10.0
#: The same cost below which rare code pages are not tried: the right letters cost about 3.
_CONVINCING = 3.8
#: The share of bytes beyond ASCII from which on a text is not in Latin letters.
_MANY_HIGH = 0.3


@dataclass(frozen=True)
class Candidate:
    """Bytes read in one encoding.

    Args:
        encoding: Python's name of it.
        language: The language whose letters fit best.
        cost: In nats, the prior of the encoding included.
        high: Bytes beyond ASCII; repetitions in the same place count less.
        text_of_high: The characters of these bytes. Candidates with the same ones give the same
            text.
        plain: The part of the cost that comes from the ASCII letters.
    """

    encoding: str
    language: str
    cost: float
    high: float
    text_of_high: str
    plain: float = 0.0

    @property
    def cost_per_byte(self) -> float:
        """Nats for each byte beyond ASCII: about 3 for letters, 9 for symbols, more for garbage."""
        return (self.cost - self.plain) / max(1.0, self.high)

    @property
    def plausible(self) -> bool:
        """Whether this looks like a text at all."""
        return self.cost_per_byte <= self._limit

    @property
    def quality(self) -> float:
        """From 0.1 for garbage to 1 for a text."""
        return min(1.0, max(0.1, (self._limit + 2.0 - self.cost_per_byte) / 3.0))

    @property
    def _limit(self) -> float:
        # What a Latin text has beyond ASCII may be loanwords and symbols only.
        limit = _IMPLAUSIBLE_LATIN if self.language in alphabets.LATIN else _IMPLAUSIBLE
        return limit + _ONCE / max(1.0, self.high)


def rank(data: bytes) -> list[Candidate]:
    """Return a candidate for each encoding of bytes that are not UTF-8, the most likely first."""
    sample = _pick(data)
    places = _HighBytes(sample)
    costs_of_languages = _language_costs(sample, places.weight, places.high)
    candidates = _candidates(alphabets.TABLES, places, costs_of_languages)
    best = min(candidates, key=lambda candidate: candidate.cost)
    if best.cost_per_byte > _CONVINCING:
        # A text in Latin letters is mostly ASCII; a text in another script is not.
        latin = places.high < _MANY_HIGH * len(sample)
        tables = {
            encoding: table
            for encoding, table in alphabets.SELDOM_TABLES.items()
            if (table[1][0] in alphabets.LATIN) == latin
        }
        candidates += _candidates(tables, places, costs_of_languages)
    nearest = min(candidate.cost for candidate in candidates)
    sentences = {
        candidate.encoding: _sentence_cost(sample, candidate.encoding)
        for candidate in candidates
        if candidate.cost <= nearest + _FAR
    }
    least = min(sentences.values())
    candidates = [
        replace(candidate, cost=candidate.cost + sentences.get(candidate.encoding, least))
        for candidate in candidates
    ]
    part = sample[: _SAMPLE // 4]
    share = len(sample) / max(1, len(part)) * places.weight / max(1, places.high)
    for encoding, (prior, language, charset, common) in alphabets.EAST_ASIAN.items():
        cost = _east_asian_cost(part, encoding, charset, common) * share
        cost += costs_of_languages["other scripts"]
        same = part.decode(encoding, "replace")
        broken = same.count("\ufffd")
        cost += _CONTROL * (1.0 + math.log(broken)) if broken else 0.0
        plain = costs_of_languages["other scripts"]
        candidates.append(Candidate(encoding, language, prior + cost, places.weight, same, plain))
    return sorted(candidates, key=lambda candidate: candidate.cost)


def _candidates(
    tables: dict[str, tuple[float, tuple[str, ...]]],
    places: _HighBytes,
    costs_of_languages: dict[str, float],
) -> list[Candidate]:
    """The candidate in each one-byte encoding, without the cost of sentences."""
    used = bytes(places.bytes_used.tolist())
    candidates = []
    for encoding, (prior, home) in tables.items():
        costs = {}
        if home[0] in alphabets.LATIN:
            # A text repeats its symbols, so only the first is expensive.
            symbols = float(_symbol_costs(encoding)[places.bytes_used].sum())
            placed = float(places.beside(_beside_cost(encoding)) + symbols)
            apostrophes, misfits = places.within_words(encoding)
            placed += misfits + _ACCENTS_MEET * places.meetings(encoding)
            placed += places.frames(encoding)
            for language in alphabets.LATIN:
                letters = _latin_costs(encoding, language)
                cost = placed + float(places.per_byte @ np.minimum(letters, _AGAIN_LETTER))
                cost += float(np.maximum(letters[places.bytes_used] - _AGAIN_LETTER, 0.0).sum())
                if language not in alphabets.APOSTROPHES:
                    cost += _NO_APOSTROPHE * apostrophes
                foreign = 0.0 if language in home else _FOREIGN_LANGUAGE
                costs[language] = cost + costs_of_languages[language] + foreign
        else:
            for language in home:
                cost = places.pairs(_table_cost(encoding, language))
                costs[language] = cost + costs_of_languages["other scripts"]
            placed = places.beside(_lonely_cost(encoding, home[0]))
            placed += places.beside(_role_cost(encoding, home[0])) + places.frames(encoding)
            costs = {language: cost + placed for language, cost in costs.items()}
        language = min(costs, key=costs.__getitem__)
        same = used.decode(encoding, "replace")
        if language in alphabets.CYRILLIC and not any(map(str.isalpha, same)):
            prior += _NO_LETTERS
        plain = costs_of_languages[language if language in alphabets.LATIN else "other scripts"]
        candidates.append(
            Candidate(encoding, language, prior + costs[language], places.weight, same, plain)
        )
    return candidates


def rival(candidates: list[Candidate]) -> Candidate | None:
    """Return the best candidate with another text than the first; None if it is far behind."""
    best = candidates[0]
    for candidate in candidates[1:]:
        if candidate.text_of_high != best.text_of_high:
            return candidate if candidate.cost < best.cost + _FAR else None
    return None


def confidence(candidates: list[Candidate]) -> float:
    """Return the probability that the first candidate gives the right text, from 0 to 0.99.

    Bayes' rule over the candidates. The costs are halved, for neighbouring letters are not
    independent. Less if even the first candidate hardly looks like a text.
    """
    best = candidates[0]
    odds = sum(
        math.exp(-0.5 * min(candidate.cost - best.cost, 100.0))
        for candidate in candidates
        if candidate.text_of_high != best.text_of_high
    )
    return round(min(0.99, best.quality / (1.0 + odds)), 3)


def describe(candidate: Candidate) -> str:
    """Return the script or language of a candidate, with some of its letters beyond ASCII."""
    if candidate.language in alphabets.LATIN:
        chars = [char for char in candidate.text_of_high if char.isprintable()]
        more = " ..." if len(chars) > _SHOWN else ""
        return f"Latin letters with {' '.join(chars[:_SHOWN])}{more}"
    return "Cyrillic" if candidate.language in alphabets.CYRILLIC else candidate.language


def first_difference(data: bytes, one: str, two: str) -> tuple[str, str]:
    """Return the first place where two encodings give different texts, as each gives it."""
    shown = ("", "")
    for found in _NEIGHBOURHOOD.finditer(data):
        texts = [found.group().decode(encoding, "replace") for encoding in (one, two)]
        shown = (" ".join(texts[0].split()), " ".join(texts[1].split()))
        if shown[0] != shown[1]:
            break
    return shown


_SHOWN = 6
_NEIGHBOURHOOD = re.compile(rb"[\t -~]{0,12}[\x80-\xff]+(?:[\t -~]{1,12})?")


def _pick(data: bytes) -> bytes:
    """A sample: all of short data; of long data the parts around its bytes beyond ASCII."""
    if len(data) <= _SAMPLE:
        return data
    high = np.flatnonzero(np.frombuffer(data, np.uint8) & 0x80)
    if not high.size:
        return data[:_SAMPLE]
    apart = np.flatnonzero(np.diff(high) > 2 * _AROUND)
    starts = np.maximum(high[np.concatenate([[0], apart + 1])] - _AROUND, 0)
    ends = high[np.concatenate([apart, [high.size - 1]])] + 1 + _AROUND
    if int((ends - starts).sum()) <= _SAMPLE:
        pieces = zip(starts.tolist(), ends.tolist(), strict=True)
        return b"\n".join(data[start:end] for start, end in pieces)
    # Where these are many, one half starts at the first of them and the other half lies later.
    start = max(0, min(int(high[0]) - _AROUND, len(data) - _SAMPLE))
    later = max(start + _SAMPLE // 2, (start + len(data)) // 2)
    return data[start : start + _SAMPLE // 2] + b"\n" + data[later : later + _SAMPLE // 2]


def _letter_pairs(*pairs: tuple[str, str]) -> Booleans:
    """A table by two bytes: true for a letter of the first text and then one of the second."""
    table = np.zeros((256, 256), bool)
    for before, after in pairs:
        table[np.ix_([ord(char) for char in before], [ord(char) for char in after])] = True
    return table


_SMALL = "abcdefghijklmnopqrstuvwxyz"
_ASCII_LETTER = np.array([byte < 0x80 and chr(byte).isalpha() for byte in range(256)])
_LINE_ENDS = (ord("\r"), ord("\n"))
_VOWELS = _letter_pairs(("aeiouyAEIOU", "aeiouy"))

#: Characters between two ASCII letters: the pairs they come between, and nats where it is another.
_WITHIN: tuple[tuple[str, Booleans, float], ...] = (
    (
        "’",  # don't, it's, we're, they'll, I'm, O'Brien; l'eau, qu'il, dell'anno
        _letter_pairs(
            ("nN", "tT"),
            (_SMALL + _SMALL.upper(), "sS"),
            ("Iueydt", "vld"),
            ("uey", "r"),
            ("I", "m"),
            ("OD", _SMALL.upper()),
            ("lLdDnNsScCjJmMtTuUgbv", "aeiouhyAEIOUH"),
        ),
        6.0,
    ),
    ("–", ~_VOWELS, 3.0),  # more likely an ñ
    ("ñ", _VOWELS, 3.0),
)


class _HighBytes:
    """The bytes beyond ASCII in a sample, with the bytes before and after each."""

    def __init__(self, sample: bytes) -> None:
        codes = np.frombuffer(b"\n" + sample + b"\n", np.uint8)
        places = np.flatnonzero(codes & 0x80)
        self.high = int(places.size)
        wide = codes.astype(np.int32)
        triples = (wide[places - 1] << 16) | (wide[places] << 8) | wide[places + 1]
        unique, counts = np.unique(triples, return_counts=True)
        unique = unique.astype(np.int64)
        self.before: Integers = unique >> 16
        self.byte: Integers = (unique >> 8) & 0xFF
        self.after: Integers = unique & 0xFF
        # A name on every page tells hardly more than a name on a few pages.
        self.weights: Floats = 1.0 + np.log(counts)
        self.weight = float(self.weights.sum())
        sums = np.bincount(self.byte, self.weights, 256)
        self.per_byte: Floats = sums.astype(np.float64)
        self.bytes_used: Integers = np.flatnonzero(self.per_byte)
        self._rows = (self.before == self.byte) & (self.byte == self.after)
        self._at_line_end = np.isin(self.before, _LINE_ENDS) | np.isin(self.after, _LINE_ENDS)
        self._within = _ASCII_LETTER[self.before] & _ASCII_LETTER[self.after]
        self._first = self.before * 256 + self.byte
        self._ends = self.after < 0x80
        self._second = (self.byte * 256 + self.after)[self._ends]

    def pairs(self, cost: Floats) -> float:
        """The cost of the pairs with a byte beyond ASCII; `cost` comes from `_table_cost`."""
        ends = self.weights[self._ends]
        return float(cost[self._first] @ self.weights + cost[self._second] @ ends)

    def beside(self, costs: tuple[Integers, Floats]) -> float:
        """The cost of the bytes beyond ASCII by the classes of their neighbours."""
        classes, cost = costs
        placed = cost[self.byte, classes[self.before], classes[self.after]]
        return float(placed @ self.weights)

    def within_words(self, encoding: str) -> tuple[float, float]:
        """How many apostrophes join ASCII letters, and the cost of neighbours that do not fit."""
        cost = 0.0
        apostrophes = 0.0
        chars = _chars(encoding)
        for char, fitting, nats in _WITHIN:
            if char in chars:
                here = self._within & (self.byte == chars.index(char))
                fits = fitting[self.before[here], self.after[here]]
                weights = self.weights[here]
                cost += nats * float(weights[~fits].sum())
                if char == "’":
                    apostrophes = float(weights.sum())
        return apostrophes, cost

    def meetings(self, encoding: str) -> float:
        """How often two Latin letters beyond ASCII follow each other."""
        letters = _accented(encoding)
        return float(self.weights[letters[self.before] & letters[self.byte]].sum())

    def frames(self, encoding: str) -> float:
        """The cost of pieces that make no frame, and of rows that do not belong to a frame."""
        kind, row, upright = _framing(encoding)
        before, piece, after = kind[self.before], kind[self.byte], kind[self.after]
        alone = (piece > 0) & (before == 0) & (after == 0)
        # Only an upright piece stands alone, where a line of a frame begins or ends.
        alone &= ~(self._at_line_end & upright[self.byte])
        joined = (before == piece) | (piece == after)
        unlike = (piece > 0) & ~joined & (before != after)
        unlike &= ((before > 0) | (after > 0)) & ~self._at_line_end
        rows = self._rows & ~row[self.byte]
        return float(
            (_FRAME_ALONE * alone + _FRAME_UNLIKE * unlike + _ROW_OF_LETTERS * rows) @ self.weights
        )


def _language_costs(sample: bytes, weight: float, high: int) -> dict[str, float]:
    """The cost of each language, and of "other scripts", by the ASCII letters of a text."""
    share = weight / max(1, high)  # as the bytes beyond ASCII are scaled
    text = sample.decode("latin-1")
    found = Counter(re.findall(r"(?<![\w\x80-\xff])[a-z]+(?![\w\x80-\xff])", text.lower()))
    plain = share * int(np.count_nonzero(_ASCII_LETTER[np.frombuffer(sample, np.uint8)]))
    most = _MOST_FOR_LANGUAGE + _MORE_FOR_LANGUAGE * weight
    hits = {
        language: share * sum(found[word] for word in words.split())
        for language, words in alphabets.WORDS.items()
    }
    best = max(hits.values())
    others = -math.log(1.0 - _PLAIN_LETTERS) * plain
    costs = {"other scripts": _limited(others, most + _MORE_FOR_SCRIPT)}
    for language in alphabets.LATIN:
        unaccented = -math.log(1.0 - sum(alphabets.letter_shares(language).values())) * plain
        costs[language] = _limited(unaccented + _WORD_BONUS * (best - hits[language]), most)
    return costs


def _limited(cost: float, most: float) -> float:
    """The cost, which hardly grows beyond `most`."""
    return cost if cost <= most else most + math.log1p(cost - most)


def _sentence_cost(sample: bytes, encoding: str) -> float:
    """The cost of capitals within sentences, small letters at their start, and lone quotes.

    Only these tell apart encodings with the same small letters, such as cp1251 and MacCyrillic.
    """
    text = sample[: _SAMPLE // 16].decode(encoding, "replace")
    misplaced: Counter[str] = Counter()
    for found in _WORD_STARTS.finditer(text):
        before, letter = found.groups()
        if letter > "\x7f" and (letter.islower() if before in ".!?" else letter.isupper()):
            misplaced[text[found.start() - 4 : found.end(2) + 4]] += 1
    for pattern in (_SYMBOL_STARTS, _QUOTE_STARTS):
        for found in pattern.finditer(text):
            if found[1].islower():
                misplaced[text[found.start() : found.end() + 4]] += 1
    misplaced["“"] = "“" in text and "”" not in text and "„" not in text
    unpaired = sum(
        any(char in text for char in opening) and not any(char in text for char in closing)
        for opening, closing in _PAIRED
    )
    times = sum(1.0 + math.log(count) for count in misplaced.values() if count)
    return _OUT_OF_PLACE * (times + 2 * unpaired)


#: What opens a quotation, and what may close it.
_PAIRED = (("«", "»"), ("»", "«"), ("„", "“”"), ("‚", "‘’"), ("‹", "›"), ("›", "‹"))


_WORD_STARTS = re.compile(r"([^\W\d_]|[,;.!?])(?= +([^\W\d_]))")
#: The letter after a symbol that stands where a word's first letter should.
_SYMBOL_STARTS = re.compile(r"(?:^|\s)[^\x00-\x7f\w\s«“„‘‚‹¿¡]([^\W\d_])")
#: The letter after a quote that stands at a sentence's start.
_QUOTE_STARTS = re.compile(r"[.!?]\s+[«“„‘]([^\W\d_])")


def _by_neighbours(nats: Callable[[str, str], float]) -> Floats:
    """A table of nats by the classes before and after."""
    return np.array([[nats(before, after) for after in _BESIDE] for before in _BESIDE])


def _sides(left: str, right: str, other: float = _MISPLACED) -> Floats:
    """A symbol with its usual neighbours: `other` for each side where something else stands."""

    def nats(before: str, after: str) -> float:
        misplaced = other * ((before not in left) + (after not in right))
        return misplaced + _WITHIN_WORD * (misplaced > 0 and before in "lU" and after in "lU")

    return _by_neighbours(nats)


def _dash(within: float) -> Floats:
    """A dash: alike on both sides, or before a speech; `within` where it joins two words."""

    def nats(before: str, after: str) -> float:
        if before in "lU":
            return within if after in "lU" else 3.5 if after == "S" else 0.0
        return 1.5 if before == "S" and after in "lU" else 0.0

    return _sides("SDlUPM", "SDlUPM") + _by_neighbours(nats)


def _money(alone: float) -> Floats:
    """A sign of a currency: a digit on one side (`alone` where there is none), and no letter."""

    def nats(before: str, after: str) -> float:
        if "D" not in (before, after):
            return alone
        return _BROKEN_WORD if before == after else 0.0

    return _sides("SPMD", "SPMD") + _by_neighbours(nats)


#: Symbols, the cost of one in any place, and what belongs before and after it.
_ROLES: tuple[tuple[str, float, Floats], ...] = (
    ("“„‘‚‹", _TYPOGRAPHIC, _sides("SP", "lUDP", 6.5)),
    ("«", _TYPOGRAPHIC, _sides("SPM", "SlUDPM")),
    ("”›", _TYPOGRAPHIC, _sides("lUDPM", "SPM")),
    ("»", _TYPOGRAPHIC, _sides("SlUDPM", "SPM")),
    ("’", _TYPOGRAPHIC, np.minimum(_sides("lUDPM", "SlUPM"), _sides("SP", "DlU", 3.0))),
    ("–", _TYPOGRAPHIC, _dash(6.5)),
    ("—", _TYPOGRAPHIC, _dash(1.0)),
    ("…", _TYPOGRAPHIC, _sides("SDlUPM", "SlUPM")),
    ("\xa0", _TYPOGRAPHIC, _sides("SDlUPM", "SDlUPM")),
    ("\xad", _COMMON_SYMBOL, _sides("l", "l")),
    ("¿¡", _TYPOGRAPHIC, _sides("SPM", "lUPM")),
    ("½¼¾", _COMMON_SYMBOL, _sides("SDPM", "SPM")),
    ("°", _COMMON_SYMBOL, np.minimum(_sides("DS", "USPMD"), _sides("l", "S") + 4.5)),
    ("£€", _COMMON_SYMBOL, _money(0.0)),
    ("©", _COMMON_SYMBOL, _sides("SPM", "SDUP")),
    ("®™", _COMMON_SYMBOL, _sides("lUDP", "SPM")),
    ("•", _COMMON_SYMBOL, _sides("S", "SUlPM")),
    ("·", _COMMON_SYMBOL, np.minimum(_sides("S", "SUlPM"), _sides("l", "l") + 1.0)),
    ("§¶", _COMMON_SYMBOL + 1.0, _sides("SPM", "SDP")),
    ("²³", _COMMON_SYMBOL, _sides("lUDPM", "SPM", 6.0)),
    ("±×÷", _COMMON_SYMBOL + 0.5, _sides("SDP", "SDP")),
    ("ªº", _COMMON_SYMBOL, _sides("DlP", "SPM")),
    ("µ", _COMMON_SYMBOL + 1.0, _sides("SDP", "lU")),
    ("¥¢", _COMMON_SYMBOL + 1.5, _money(4.0)),
    ("†‡", _RARE_SYMBOL, _sides("lP", "SP", 8.0)),
    ("¹", _SYMBOL, _sides("lUDPM", "SPM")),
    ("´", _SYMBOL, _sides("lSP", "lSP") + 8.0),
    ("≈≤≥≠−∞√", _SYMBOL, _sides("SDP", "SDP")),
)
#: Lines and blocks that frames and tables are made of.
_FRAME = "".join(map(chr, range(0x2500, 0x25A0)))
_FRAME_SIDES = _sides("SF", "SF", 4.5)
#: Lines and blocks that stand alone at the side of a frame.
_UPRIGHT = frozenset("│┃║▌▐█")
#: Characters that may stand in a row.
_ROWS = frozenset(_FRAME + "•·–—…*¯¨´«»“”‘’\xa0\xad■□")
_ROLE_OF = {char: (base, sides) for chars, base, sides in _ROLES for char in chars}
_ROLE_OF |= dict.fromkeys(_FRAME, (_FRAME_PIECE, _FRAME_SIDES))
_ELSEWHERE = _sides("SDPMFX", "SDPMFX", 2.0)

#: Words of a single letter beyond ASCII, in any language.
_ONE_LETTER = frozenset("àáåäéèêíìóòôöúùõőаеиовксуяіїйєѝљοηוоא")


def _letter_sides(capital: bool, alone: float) -> Floats:
    """A Latin letter beyond ASCII, a capital or not; `alone` where no letter is beside it."""

    def nats(before: str, after: str) -> float:
        cost = alone * (before not in "lU" and after not in "lU")
        cost += 3.0 * (before == "D") + 5.0 * (after == "D")
        cost += _BROKEN_WORD * ((before in "FX") + (after in "FX"))
        if capital:
            if before == "l":
                return cost + _CAPITAL_INSIDE
            if before == "U":
                return cost + (4.0 if after == "l" else _CAPITALS_GO_ON)
            return cost + _CAPITAL
        return cost + (after == "U") * (_CAPITAL_INSIDE if before == "l" else 4.0)

    return _by_neighbours(nats)


_SMALL_SIDES = _letter_sides(False, _ALONE)
_SMALL_WORD_SIDES = _letter_sides(False, 2.5)
_CAPITAL_SIDES = _letter_sides(True, _ALONE)
_CAPITAL_WORD_SIDES = _letter_sides(True, 3.0)


@cache
def _chars(encoding: str) -> tuple[str, ...]:
    return tuple(bytes([byte]).decode(encoding, "replace") for byte in range(256))


@cache
def _beside_cost(encoding: str) -> tuple[Integers, Floats]:
    """The class of each byte in a Latin encoding, and the cost of high bytes by neighbours."""
    chars = _chars(encoding)
    cost = np.zeros((256, len(_BESIDE), len(_BESIDE)))
    for byte, char in enumerate(chars[128:], start=128):
        if _is_latin(char):
            word = char.lower()[0] in _ONE_LETTER
            if char.isupper():
                cost[byte] = _CAPITAL_WORD_SIDES if word else _CAPITAL_SIDES
            else:
                cost[byte] = _SMALL_WORD_SIDES if word else _SMALL_SIDES
        else:
            nats = _kind_of_rest(char)[1]
            nats = _RARE_SYMBOL if nats == _SYMBOL else nats
            role = _ROLE_OF.get(char)
            cost[byte] = nats + _ELSEWHERE if role is None else _AGAIN + role[1]
    return _classes(encoding, "LATIN"), cost


@cache
def _framing(encoding: str) -> tuple[Integers, Booleans, Booleans]:
    """For each byte: its piece of a frame (0: none), whether rows have it, if it is upright."""
    chars = _chars(encoding)
    # Shades and blocks go together in any order.
    kind = np.array([min(ord(char), 0x2580) if char in _FRAME else 0 for char in chars])
    rows, upright = (np.array([char in few for char in chars]) for few in (_ROWS, _UPRIGHT))
    return kind, rows, upright


def _classes(encoding: str, script: str) -> Integers:
    """The class of each byte, an index into `_BESIDE`; letters of other scripts are strange."""
    return np.array([_BESIDE.index(_beside(char, script)) for char in _chars(encoding)])


def _beside(char: str, script: str) -> str:
    if char < "\x80":
        if char.isspace():
            return "S"
        if char.isalpha():
            return "X" if script != "LATIN" else "U" if char.isupper() else "l"
        return "D" if char.isdigit() else "P" if char.isprintable() else "X"
    if char == "\xa0":
        return "S"
    if unicodedata.category(char)[0] == "M":
        return "l"  # a vowel of Thai or Arabic belongs to its word
    if char.isalpha() and char not in "ªºµ":
        return "X" if _script(char) != script else "U" if char.isupper() else "l"
    if char in _FRAME:
        return "F"
    return "M" if char in _ROLE_OF else "X"


@cache
def _lonely_cost(encoding: str, language: str) -> tuple[Integers, Floats]:
    """The cost of letters that are not Latin and stand alone or beside a digit."""
    script = _script(next(iter(_letter_costs(language))))
    digits = _by_neighbours(lambda before, after: 3.0 * ((before == "D") + (after == "D")))
    lonely = digits + _by_neighbours(
        lambda before, after: _ALONE * (before not in "lU" and after not in "lU")
    )
    cost = np.zeros((256, len(_BESIDE), len(_BESIDE)))
    for byte, char in enumerate(_chars(encoding)[128:], start=128):
        if char.isalpha() and _script(char) == script:
            cost[byte] = digits if char.lower() in _ONE_LETTER else lonely
    return _classes(encoding, script), cost


@cache
def _role_cost(encoding: str, language: str) -> tuple[Integers, Floats]:
    """The cost of symbols in unusual places, in an encoding that is not Latin."""
    script = _script(next(iter(_letter_costs(language))))
    classes = _classes(encoding, script)
    classes[:128] = _classes(encoding, "LATIN")[:128]
    cost = np.zeros((256, len(_BESIDE), len(_BESIDE)))
    for byte, char in enumerate(_chars(encoding)[128:], start=128):
        if char in _ROLE_OF:
            cost[byte] = _ROLE_OF[char][1]
    return classes, cost


@cache
def _latin_costs(encoding: str, language: str) -> Floats:
    """The cost of each Latin letter beyond ASCII, by its share in a language."""
    known = _letter_costs(language)
    costs = np.zeros(256)
    for byte in np.flatnonzero(_accented(encoding)).tolist():
        small = _chars(encoding)[byte].lower()
        costs[byte] = known.get(small[0], _RARE_LATIN + (small not in _WIDESPREAD))
    return costs


@cache
def _accented(encoding: str) -> Booleans:
    """Whether each byte is a Latin letter beyond ASCII."""
    return np.array([char > "\x7f" and _is_latin(char) for char in _chars(encoding)])


#: Letters of French, German and Spanish words, which every language borrows.
_WIDESPREAD = frozenset("éèêëáàâäåãíïîóôöøúüñçæß")


@cache
def _symbol_costs(encoding: str) -> Floats:
    """The cost of each symbol of `_ROLES` in a Latin encoding."""
    return np.array([_ROLE_OF[char][0] if char in _ROLE_OF else 0.0 for char in _chars(encoding)])


def _is_latin(char: str) -> bool:
    return char.isalpha() and char not in "ªºµ" and _script(char) == "LATIN"


_PAIR_COSTS = np.array([[int(digit, 36) / 2 for digit in row] for row in alphabets.PAIRS])


@cache
def _table_cost(encoding: str, language: str) -> Floats:
    """The cost of the second byte of each pair (first times 256 plus second), not for Latin."""
    chars = _chars(encoding)
    letters = _letter_costs(language)
    similar = _similar_letters(language)
    script = _script(next(iter(letters)))
    kinds = np.empty(256, np.int64)
    unary = np.zeros(256)
    upper = np.zeros(256, bool)
    lower = np.zeros(256, bool)
    index = np.zeros(256, np.int64)  # into PAIRS, for Cyrillic letters
    for byte, char in enumerate(chars):
        small = char.lower()[0]
        upper[byte] = char.isupper()
        lower[byte] = char.islower()
        if byte < 0x80:
            kinds[byte] = _ASCII if char.isalpha() else _DIGIT if char.isdigit() else _BORDER
        elif small in letters:
            kinds[byte] = _LETTER
            unary[byte] = letters[small]
            index[byte] = similar.get(small, 0)
        elif char.isalpha() and _script(small) == script:
            kinds[byte] = _LETTER
            unary[byte] = _RARE_LETTER
            index[byte] = similar.get(small, 0)
        else:
            kinds[byte], unary[byte] = _kind_of_rest(char)

    first, second = kinds[:, None], kinds[None, :]
    high = np.arange(256) >= 0x80
    cost = np.broadcast_to(unary[None, :], (256, 256)).copy()
    letter_second = second == _LETTER
    word_first = (first == _LETTER) | (first == _ASCII)
    word_second = letter_second | (second == _ASCII)
    if script == "CYRILLIC":
        pair_costs = _PAIR_COSTS[index[:, None], index[None, :]]
        smalls = [char.lower() for char in chars]
        for pair in alphabets.USUAL_PAIRS.get(language, "").split():
            one, two = (
                kinds <= _DIGIT if char == "_" else np.array([small == char for small in smalls])
                for char in pair
            )
            both = one[:, None] & two[None, :]
            pair_costs = np.where(both, np.minimum(pair_costs, alphabets.USUAL_COST), pair_costs)
        cost += np.where(letter_second | ((first == _LETTER) & ~letter_second), pair_costs, 0.0)
    mixed = ((first == _LETTER) & (second == _ASCII)) | ((first == _ASCII) & letter_second)
    cost += np.where(mixed, _MIXED_SCRIPT, 0.0)
    cost += np.where((first == _DIGIT) & letter_second, _BROKEN_WORD, 0.0)
    cost += np.where((first == _STRANGE) & word_second, _BROKEN_WORD * 2, 0.0)
    opening, closing, final = (
        np.array([char in few for char in chars]) for few in ("„‚¿¡", "…”", alphabets.FINAL_FORMS)
    )
    cost += np.where(word_first & opening[None, :], _BROKEN_WORD * 2, 0.0)
    cost += np.where(closing[:, None] & letter_second, _BROKEN_WORD * 1.5, 0.0)
    cost += np.where(final[:, None] & letter_second, _BROKEN_WORD * 2, 0.0)
    # Capitals are rare after a small letter, usual at a word's start and after another capital.
    involved = high[:, None] | high[None, :]
    after_word = word_first & word_second & involved
    cost += np.where(after_word & lower[:, None] & upper[None, :], _CAPITAL_INSIDE, 0.0)
    cost += np.where(after_word & upper[:, None] & upper[None, :], _CAPITALS_GO_ON, 0.0)
    starts = ~word_first & letter_second & upper[None, :]
    cost += np.where(starts, _CAPITAL, 0.0)
    cost[:0x80, :0x80] = 0.0  # the same in every encoding
    return cost.ravel()


def _kind_of_rest(char: str) -> tuple[int, float]:
    """The kind and cost of a character beyond ASCII that is not a letter of the script."""
    if char in "«»“”„‚‘’‹›–—…№\xa0\xad¿¡":
        return _MARK, _TYPOGRAPHIC
    category = unicodedata.category(char)
    if char == "\ufffd" or category.startswith("C"):
        return _STRANGE, _CONTROL
    if char in _FRAME:
        return _STRANGE, _FRAME_PIECE
    if "\u2500" <= char <= "\u25ff" or "\u2200" <= char <= "\u22ff" or "\u2320" <= char <= "\u2321":
        return _STRANGE, _BOX
    if char.isalpha() or category.startswith("M"):
        return _STRANGE, _FOREIGN_LETTER
    return _STRANGE, _SYMBOL


@cache
def _letter_costs(language: str) -> dict[str, float]:
    """The cost of each letter beyond ASCII; 0 where its cost comes from the pairs."""
    if language in alphabets.CYRILLIC:
        letters = (*alphabets.COMMON, *alphabets.CYRILLIC[language])
        seldom = dict.fromkeys(alphabets.SELDOM_LETTERS, alphabets.SELDOM) | dict.fromkeys(
            alphabets.KAZAKH_LETTERS, alphabets.KAZAKH
        )
        return {letter: seldom.get(letter, 0.0) for letter in letters}
    return {letter: -math.log(share) for letter, share in alphabets.letter_shares(language).items()}


def _similar_letters(language: str) -> dict[str, int]:
    """Which row and column of `PAIRS` each Cyrillic letter of a language has."""
    if language not in alphabets.CYRILLIC:
        return {}
    similar = {letter: letter for letter in alphabets.LETTERS}
    for others in alphabets.CYRILLIC.values():
        for letter, like in others.items():
            similar.setdefault(letter, like)
    similar.update(alphabets.CYRILLIC[language])
    return {letter: alphabets.LETTERS.index(like) + 1 for letter, like in similar.items()}


@cache
def _script(char: str) -> str:
    return unicodedata.name(char, "NONE").split()[0]


def _east_asian_cost(sample: bytes, encoding: str, charset: str, common: Iterable[int]) -> float:
    """The cost of a sample in an encoding with one, two or four bytes for a character."""
    text = sample.decode(encoding, "replace")
    counts = Counter(text)
    total = 0.0
    korean = charset == "euc_kr"
    for char, count in counts.items():
        if char < "\x80":
            continue
        if char == "\ufffd":
            cost = 2 * _CONTROL
        elif "\u3040" <= char <= "\u30ff":
            cost = 4.5 if charset in ("shift_jis", "euc_jp") else 10.0
        elif "\u3000" <= char <= "\u303f" or "\uff01" <= char <= "\uff5e" or char in "“”‘’…—·":
            cost = 4.5
        elif "\uff61" <= char <= "\uff9f":
            cost = 7.0
        else:
            code = char.encode(charset, "replace")
            usual = len(code) == 2 and code[0] in common
            if korean:
                cost = 5.5 if "\uac00" <= char <= "\ud7a3" and usual else 11.0
            else:
                cost = 6.5 if usual and "\u4e00" <= char <= "\u9fff" else 11.0
        total += cost * count
    # Half-width letters come in words; one beside Latin letters is a misread accent.
    if any("\uff61" <= char <= "\uff9f" for char in counts):
        total += _ALONE * len(_LONE_HALF_WIDTH.findall(text))
    rows = Counter(found[0] for found in _ROW.findall(text))
    total += _ROW_OF_LETTERS * sum(1.0 + math.log(times) for times in rows.values())
    if _BESIDE_ASCII.search(sample):
        total += _MIXED_SCRIPT * 2 * len(_WITHIN_A_WORD.findall(text))
    return total


_LONE_HALF_WIDTH = re.compile(r"(?<![\uff61-\uff9f])[\uff61-\uff9f](?![\uff61-\uff9f])")
_ROW = re.compile("([\u3400-\ud7ff])\\1{3,}")
_BESIDE_ASCII = re.compile(rb"[A-Za-z][\x80-\xff]|[\x80-\xff][A-Za-z]")
_EAST = "\u2e80-\ud7ff\uf900-\uffef"
_WITHIN_A_WORD = re.compile(
    rf"(?<=[A-Za-z])[{_EAST}](?![{_EAST}])|(?<![{_EAST}])[{_EAST}](?=[a-z])"
)
