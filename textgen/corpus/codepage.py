"""How plausible bytes are as a text in each legacy encoding.

Every reading (an encoding together with a language) costs the nats of a rough model of text. The
bytes beyond ASCII are priced with what stands on both sides of them: pairs of Cyrillic letters,
shares of accented Latin, Greek and other letters, a price for capitals within words, for letters
that stand alone or beside a digit, for mixed scripts, and for symbols that are not where they
belong (`£` before a number, `½` after a digit or a space). The ASCII letters speak as well: a
language that has an accent in every sixth letter does not leave a page without one, and it has
other short words. What comes again in the same place counts less each time.

The cheapest reading is the likeliest; the distance to the next one that gives another text says
how sure that is. Knows neither files nor Unicode encodings.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.alphabets import (
    APOSTROPHES,
    COMMON,
    CYRILLIC,
    EAST_ASIAN,
    FINAL_FORMS,
    KAZAKH,
    KAZAKH_LETTERS,
    LATIN,
    LETTERS,
    PAIRS,
    SELDOM,
    SELDOM_LETTERS,
    SELDOM_TABLES,
    TABLES,
    USUAL_COST,
    USUAL_PAIRS,
    WORDS,
    letter_shares,
)

#: Bytes looked at; a text this long leaves no doubt that more could clear up.
_SAMPLE = 128 << 10
#: Bytes kept on each side of a high byte where these are few in a long text.
_AROUND = 64

# What a byte is in an encoding, for letters of one script.
_BORDER, _DIGIT, _ASCII, _LETTER, _MARK, _STRANGE = range(6)

# What stands beside a Latin letter or a symbol.
# Space, digit, small letter, capital, punctuation, mark, part of a frame, what is strange.
_BESIDE = "SDlUPMFX"

# Nats. A text has a typographic mark every few dozen characters, a symbol in thousands; the rest
# stands for what texts do not hold at all.
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
_AGAIN_LETTER = 7.5  # at most, for a letter that the text has had before
_AGAIN = 1.0  # a symbol that is in place, in another place
_NO_APOSTROPHE = 4.0  # between letters, in a language that has none there
_FOREIGN_LANGUAGE = 9.0  # a language in a code page that was not made for it

# The ASCII of a text speaks for a language, but only so much: a text may quote another one.
_WORD_BONUS = 1.0
_MOST_FOR_LANGUAGE = 14.0
_MORE_FOR_LANGUAGE = 4.0  # for each byte beyond ASCII: less than a misread letter costs
_MORE_FOR_SCRIPT = 6.0
_PLAIN_LETTERS = 0.3  # of ASCII letters, the share that a text in another script would not have

_OUT_OF_PLACE = 2.0
_NO_LETTERS = 1.0  # quotes and dashes only: a Latin text rather than a Cyrillic one

#: Nats by which a reading is out of the question.
_FAR = 25.0

#: Cost of one high byte above which bytes are no text in that reading, and what a text with few of
#: them may cost besides: the first symbols and loanwords of a text are dear.
_IMPLAUSIBLE = 7.5
_IMPLAUSIBLE_LATIN = 10.5
_ONCE = 10.0
#: The same below which no page that is seldom is looked at: letters of the right one cost about 3.
_CONVINCING = 3.8
#: The share of high bytes from which a text is of another script than Latin.
_MANY_HIGH = 0.3


@dataclass(frozen=True)
class Reading:
    """Bytes read in one encoding.

    Args:
        encoding: Python's name of it.
        language: The alphabet that fits best.
        cost: Nats, the prior included.
        high: How many bytes are not ASCII, those that come again in the same place counted less.
        text_of_high: What each high byte (or sample) stands for: readings with the same one give
            the same text.
        plain: What of the cost is for the ASCII letters.
    """

    encoding: str
    language: str
    cost: float
    high: float
    text_of_high: str
    plain: float = 0.0

    @property
    def cost_per_byte(self) -> float:
        """Nats for each byte beyond ASCII; about 3 for letters, 9 for symbols, then garbage."""
        return (self.cost - self.plain) / max(1.0, self.high)

    @property
    def plausible(self) -> bool:
        """Whether it looks like a text at all."""
        return self.cost_per_byte <= self._limit

    @property
    def quality(self) -> float:
        """From 0.1 for garbage to 1 for a text."""
        return min(1.0, max(0.1, (self._limit + 2.0 - self.cost_per_byte) / 3.0))

    @property
    def _limit(self) -> float:
        # Latin texts may have no more than loanwords and symbols beyond ASCII, which are dear.
        limit = _IMPLAUSIBLE_LATIN if self.language in LATIN else _IMPLAUSIBLE
        return limit + _ONCE / max(1.0, self.high)


def rank(data: bytes) -> list[Reading]:
    """Every reading of bytes that are not UTF-8, the likeliest first; one for each encoding."""
    sample = _pick(data)
    places = _Places(sample)
    costs_of_languages = _language_costs(sample, places.weight, places.high)
    readings = _read_in(TABLES, places, costs_of_languages)
    best = min(readings, key=lambda reading: reading.cost)
    if best.cost_per_byte > _CONVINCING:
        # A text of Latin letters is mostly ASCII, one of another script hardly.
        latin = places.high < _MANY_HIGH * len(sample)
        tables = {
            encoding: table
            for encoding, table in SELDOM_TABLES.items()
            if (table[1][0] in LATIN) == latin
        }
        readings += _read_in(tables, places, costs_of_languages)
    nearest = min(reading.cost for reading in readings)
    sentences = {
        reading.encoding: _sentence_cost(sample, reading.encoding)
        for reading in readings
        if reading.cost <= nearest + _FAR
    }
    least = min(sentences.values())
    readings = [
        replace(reading, cost=reading.cost + sentences.get(reading.encoding, least))
        for reading in readings
    ]
    part = sample[: _SAMPLE // 4]
    share = len(sample) / max(1, len(part)) * places.weight / max(1, places.high)
    for encoding, (prior, language, charset, common) in EAST_ASIAN.items():
        cost = _east_asian_cost(part, encoding, charset, common) * share
        cost += costs_of_languages["other scripts"]
        same = part.decode(encoding, "replace")
        broken = same.count("\ufffd")
        cost += _CONTROL * (1.0 + math.log(broken)) if broken else 0.0
        plain = costs_of_languages["other scripts"]
        readings.append(Reading(encoding, language, prior + cost, places.weight, same, plain))
    return sorted(readings, key=lambda reading: reading.cost)


def _read_in(
    tables: dict[str, tuple[float, tuple[str, ...]]],
    places: _Places,
    costs_of_languages: dict[str, float],
) -> list[Reading]:
    """The reading in each encoding of one byte per character, without what sentences tell."""
    used = bytes(places.bytes_used.tolist())
    readings = []
    for encoding, (prior, home) in tables.items():
        costs = {}
        if home[0] in LATIN:
            placed = float(places.beside(_beside_cost(encoding)) + places.symbols(encoding))
            apostrophes, misfits = places.within_words(encoding)
            placed += misfits + _ACCENTS_MEET * places.meetings(encoding)
            placed += places.frames(encoding)
            for language in LATIN:
                letters = _latin_costs(encoding, language)
                cost = placed + float(places.per_byte @ np.minimum(letters, _AGAIN_LETTER))
                cost += float(np.maximum(letters[places.bytes_used] - _AGAIN_LETTER, 0.0).sum())
                if language not in APOSTROPHES:
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
        if language in CYRILLIC and not _holds_letters(used, encoding):
            prior += _NO_LETTERS
        same = used.decode(encoding, "replace")
        plain = costs_of_languages[language if language in LATIN else "other scripts"]
        readings.append(
            Reading(encoding, language, prior + costs[language], places.weight, same, plain)
        )
    return readings


def rival(readings: list[Reading]) -> Reading | None:
    """The likeliest reading that gives another text than the first; None when far behind."""
    best = readings[0]
    for reading in readings[1:]:
        if reading.text_of_high != best.text_of_high:
            return reading if reading.cost < best.cost + _FAR else None
    return None


def confidence(readings: list[Reading]) -> float:
    """How likely the first reading gives the right text, from 0 to 0.99.

    Bayes' rule over the readings, the costs damped because neighbouring letters are not
    independent; less where even the first reading is not much of a text.
    """
    best = readings[0]
    odds = sum(
        math.exp(-0.5 * min(reading.cost - best.cost, 100.0))
        for reading in readings
        if reading.text_of_high != best.text_of_high
    )
    return round(min(0.99, best.quality / (1.0 + odds)), 3)


def describe(reading: Reading) -> str:
    """The script or language of a reading, with some of its letters beyond ASCII."""
    if reading.language in LATIN:
        chars = [char for char in reading.text_of_high if char.isprintable()]
        more = " ..." if len(chars) > _SHOWN else ""
        return f"Latin letters with {' '.join(chars[:_SHOWN])}{more}"
    return "Cyrillic" if reading.language in CYRILLIC else reading.language


def first_difference(data: bytes, one: str, two: str) -> tuple[str, str]:
    """The first place of a text that two encodings give otherwise, as each gives it."""
    shown = ("", "")
    for found in _NEIGHBOURHOOD.finditer(data):
        texts = [found.group().decode(encoding, "replace") for encoding in (one, two)]
        shown = (" ".join(texts[0].split()), " ".join(texts[1].split()))
        if shown[0] != shown[1]:
            break
    return shown


_SHOWN = 6
_NEIGHBOURHOOD = re.compile(rb"[\t -~]{0,12}[\x80-\xff]+(?:[\t -~]{1,12})?")


def first_high_byte(data: bytes) -> int:
    """Where the first byte beyond ASCII is; the length where there is none."""
    found = _HIGH.search(data)
    return found.start() if found else len(data)


_HIGH = re.compile(rb"[\x80-\xff]")


def _pick(data: bytes) -> bytes:
    """A sample: all of short data, what is around the high bytes of long data, or two pieces.

    Two pieces where high bytes are many: half from the first of them on and half from later.
    """
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
    start = max(0, min(int(high[0]) - _AROUND, len(data) - _SAMPLE))
    later = max(start + _SAMPLE // 2, (start + len(data)) // 2)
    return data[start : start + _SAMPLE // 2] + b"\n" + data[later : later + _SAMPLE // 2]


def _letter_pairs(*pairs: tuple[str, str]) -> NDArray[np.bool_]:
    """A table by two bytes, true for the pairs of a letter of the first and one of the second."""
    table = np.zeros((256, 256), bool)
    for before, after in pairs:
        table[np.ix_([ord(char) for char in before], [ord(char) for char in after])] = True
    return table


_SMALL = "abcdefghijklmnopqrstuvwxyz"
_ASCII_LETTER = np.array([byte < 0x80 and chr(byte).isalpha() for byte in range(256)])
_LINE_ENDS = (ord("\r"), ord("\n"))
_VOWELS = _letter_pairs(("aeiouyAEIOU", "aeiouy"))

#: Characters between two ASCII letters: the pairs they come between, and nats where it is another.
_WITHIN: tuple[tuple[str, NDArray[np.bool_], float], ...] = (
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


class _Places:
    """The high bytes of a sample with what stands before and after each.

    The same three bytes for the n-th time weigh 1/n: a name on every page is no more evidence
    than on a few.
    """

    def __init__(self, sample: bytes) -> None:
        codes = np.frombuffer(b"\n" + sample + b"\n", np.uint8)
        places = np.flatnonzero(codes & 0x80)
        self.high = int(places.size)
        wide = codes.astype(np.int32)
        triples = (wide[places - 1] << 16) | (wide[places] << 8) | wide[places + 1]
        unique, counts = np.unique(triples, return_counts=True)
        unique = unique.astype(np.int64)
        self.before: NDArray[np.int64] = unique >> 16
        self.byte: NDArray[np.int64] = (unique >> 8) & 0xFF
        self.after: NDArray[np.int64] = unique & 0xFF
        self.weights: NDArray[np.float64] = 1.0 + np.log(counts)
        self.weight = float(self.weights.sum())
        sums = np.bincount(self.byte, self.weights, 256)
        self.per_byte: NDArray[np.float64] = sums.astype(np.float64)
        self.bytes_used: NDArray[np.int64] = np.flatnonzero(self.per_byte)
        self._rows = (self.before == self.byte) & (self.byte == self.after)
        self._at_line_end = np.isin(self.before, _LINE_ENDS) | np.isin(self.after, _LINE_ENDS)
        self._within = _ASCII_LETTER[self.before] & _ASCII_LETTER[self.after]
        self._first = self.before * 256 + self.byte
        self._ends = self.after < 0x80
        self._second = (self.byte * 256 + self.after)[self._ends]

    def pairs(self, cost: NDArray[np.float64]) -> float:
        """The sum over pairs of bytes of which one is high; `cost` as `_table_cost` gives it."""
        ends = self.weights[self._ends]
        return float(cost[self._first] @ self.weights + cost[self._second] @ ends)

    def beside(self, costs: tuple[NDArray[np.int64], NDArray[np.float64]]) -> float:
        """The sum over high bytes by the classes of their neighbours."""
        classes, cost = costs
        placed = cost[self.byte, classes[self.before], classes[self.after]]
        return float(placed @ self.weights)

    def within_words(self, encoding: str) -> tuple[float, float]:
        """How many apostrophes join ASCII letters, and nats for neighbours that do not fit."""
        cost = 0.0
        apostrophes = 0.0
        chars = _chars(encoding)
        for char, fitting, price in _WITHIN:
            if char in chars:
                here = self._within & (self.byte == chars.index(char))
                fits = fitting[self.before[here], self.after[here]]
                weights = self.weights[here]
                cost += price * float(weights[~fits].sum())
                if char == "’":
                    apostrophes = float(weights.sum())
        return apostrophes, cost

    def meetings(self, encoding: str) -> float:
        """How often two Latin letters beyond ASCII follow each other."""
        letters = _accented(encoding)
        return float(self.weights[letters[self.before] & letters[self.byte]].sum())

    def frames(self, encoding: str) -> float:
        """Nats for pieces of frames that make none, and for rows of what makes no frame.

        A frame is made of rows of the same piece with another one at their ends; letters that are
        misread as pieces follow each other in any order.
        """
        kind, row, upright = _framing(encoding)
        before, piece, after = kind[self.before], kind[self.byte], kind[self.after]
        alone = (piece > 0) & (before == 0) & (after == 0)
        # Only an upright piece stands by itself, where a line of a frame begins or ends.
        alone &= ~(self._at_line_end & upright[self.byte])
        joined = (before == piece) | (piece == after)
        unlike = (piece > 0) & ~joined & (before != after)
        unlike &= ((before > 0) | (after > 0)) & ~self._at_line_end
        rows = self._rows & ~row[self.byte]
        return float(
            (_FRAME_ALONE * alone + _FRAME_UNLIKE * unlike + _ROW_OF_LETTERS * rows) @ self.weights
        )

    def symbols(self, encoding: str) -> float:
        """What the symbols cost: a text that has one has it again, so it is dear only once."""
        return float(_symbol_costs(encoding)[self.bytes_used].sum())


def _language_costs(sample: bytes, weight: float, high: int) -> dict[str, float]:
    """Nats against each language (and "other scripts") by the ASCII letters of a text.

    They count less, as the high bytes do: `weight` instead of `high` of them.
    """
    share = weight / max(1, high)
    text = sample.decode("latin-1")
    found = Counter(re.findall(r"(?<![\w\x80-\xff])[a-z]+(?![\w\x80-\xff])", text.lower()))
    plain = share * int(np.count_nonzero(_ASCII_LETTER[np.frombuffer(sample, np.uint8)]))
    most = _MOST_FOR_LANGUAGE + _MORE_FOR_LANGUAGE * weight
    hits = {
        language: share * sum(found[word] for word in words.split())
        for language, words in WORDS.items()
    }
    best = max(hits.values())
    others = -math.log(1.0 - _PLAIN_LETTERS) * plain
    costs = {"other scripts": _limited(others, most + _MORE_FOR_SCRIPT)}
    for language in LATIN:
        unaccented = -math.log(1.0 - sum(letter_shares(language).values())) * plain
        costs[language] = _limited(unaccented + _WORD_BONUS * (best - hits[language]), most)
    return costs


def _limited(cost: float, most: float) -> float:
    """A cost that hardly grows beyond `most`."""
    return cost if cost <= most else most + math.log1p(cost - most)


def _holds_letters(used: bytes, encoding: str) -> bool:
    return any(char.isalpha() for char in used.decode(encoding, "replace"))


def _sentence_cost(sample: bytes, encoding: str) -> float:
    """Nats for capitals within sentences, small letters at their start, and lone quotes.

    Neighbouring bytes cannot show these, and they are all that tells apart encodings that share
    their small letters (cp1251 and MacCyrillic).
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


def _sides(left: str, right: str, other: float = _MISPLACED) -> NDArray[np.float64]:
    """Nats by the classes before and after: `other` for each side where another one stands."""
    before = np.array([0.0 if kind in left else other for kind in _BESIDE])
    after = np.array([0.0 if kind in right else other for kind in _BESIDE])
    cost: NDArray[np.float64] = before[:, None] + after[None, :]
    letter = np.array([kind in "lU" for kind in _BESIDE])
    inside = letter[:, None] & letter[None, :]
    cost += np.where(inside & (cost > 0.0), _WITHIN_WORD, 0.0)
    return cost


def _dash(within: float) -> NDArray[np.float64]:
    """A dash: alike on both sides, or before a speech; `within` where it joins two words."""
    cost = _sides("SDlUPM", "SDlUPM")
    for first, before in enumerate(_BESIDE):
        for second, after in enumerate(_BESIDE):
            if before in "lU" and after in "lU":
                cost[first, second] += within
            elif before in "lU" and after == "S":
                cost[first, second] += 3.5
            elif before == "S" and after in "lU":
                cost[first, second] += 1.5
    return cost


def _money(alone: float) -> NDArray[np.float64]:
    """A sign of a currency: a digit on one side (`alone` where there is none), and no letter."""
    cost = _sides("SPMD", "SPMD")
    for first, before in enumerate(_BESIDE):
        for second, after in enumerate(_BESIDE):
            if "D" not in (before, after):
                cost[first, second] += alone
            elif before == after:
                cost[first, second] += _BROKEN_WORD
    return cost


#: Symbols, what one costs wherever it stands, and what belongs before and after it.
_ROLES: tuple[tuple[str, float, NDArray[np.float64]], ...] = (
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
#: Lines and blocks of which frames and tables are made: they stand in rows of their own.
_FRAME = "".join(map(chr, range(0x2500, 0x25A0)))
_FRAME_SIDES = _sides("SF", "SF", 4.5)
#: Lines and blocks that stand alone at the side of a frame.
_UPRIGHT = frozenset("│┃║▌▐█")
#: What may stand in a row without being one.
_ROWS = frozenset(_FRAME + "•·–—…*¯¨´«»“”‘’\xa0\xad■□")
_ROLE_OF = {char: (base, sides) for chars, base, sides in _ROLES for char in chars}
_ROLE_OF |= dict.fromkeys(_FRAME, (_FRAME_PIECE, _FRAME_SIDES))
_ELSEWHERE = _sides("SDPMFX", "SDPMFX", 2.0)

#: Words of one letter beyond ASCII, in some language.
_ONE_LETTER = frozenset("àáåäéèêíìóòôöúùõőаеиовксуяіїйєѝљοηוоא")


def _letter_sides(capital: bool, alone: float) -> NDArray[np.float64]:
    """What stands beside a Latin letter that is not ASCII.

    Args:
        capital: Whether it is one.
        alone: Nats where no letter is beside it.
    """
    cost = np.zeros((len(_BESIDE), len(_BESIDE)))
    for first, before in enumerate(_BESIDE):
        for second, after in enumerate(_BESIDE):
            price = 0.0
            if before not in "lU" and after not in "lU":
                price += alone
            if before == "D":
                price += 3.0
            if after == "D":
                price += 5.0
            price += _BROKEN_WORD * ((before in "FX") + (after in "FX"))
            if capital:
                if before == "l":
                    price += _CAPITAL_INSIDE
                elif before == "U":
                    price += 4.0 if after == "l" else _CAPITALS_GO_ON
                else:
                    price += _CAPITAL
            elif after == "U":
                price += _CAPITAL_INSIDE if before == "l" else 4.0
            cost[first, second] = price
    return cost


_SMALL_SIDES = _letter_sides(False, _ALONE)
_SMALL_WORD_SIDES = _letter_sides(False, 2.5)
_CAPITAL_SIDES = _letter_sides(True, _ALONE)
_CAPITAL_WORD_SIDES = _letter_sides(True, 3.0)


@cache
def _chars(encoding: str) -> tuple[str, ...]:
    return tuple(bytes([byte]).decode(encoding, "replace") for byte in range(256))


@cache
def _beside_cost(encoding: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The class of each byte in a Latin encoding, and nats of high bytes by their neighbours'."""
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
            role = _ROLE_OF.get(char)
            cost[byte] = _symbol_cost(char) + _ELSEWHERE if role is None else _AGAIN + role[1]
    return _classes(encoding, "LATIN"), cost


@cache
def _framing(encoding: str) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which piece of a frame each byte is (0 for none), whether it may stand in a row, and whether
    it is an upright line."""
    chars = _chars(encoding)
    # Shades and blocks go together in any order.
    kind = np.array([min(ord(char), 0x2580) if char in _FRAME else 0 for char in chars])
    rows, upright = (np.array([char in few for char in chars]) for few in (_ROWS, _UPRIGHT))
    return kind, rows, upright


def _classes(encoding: str, script: str) -> NDArray[np.int64]:
    """Which of `_BESIDE` each byte is, for letters of one script; other letters are strange."""
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
def _lonely_cost(encoding: str, language: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nats of letters of other scripts that stand alone, beside a digit or a Latin letter."""
    script = _script(next(iter(_letter_costs(language))))
    lonely = np.zeros((len(_BESIDE), len(_BESIDE)))
    for first, before in enumerate(_BESIDE):
        for second, after in enumerate(_BESIDE):
            if before not in "lU" and after not in "lU":
                lonely[first, second] = _ALONE
    digits = np.array([3.0 * (kind == "D") for kind in _BESIDE])
    beside_digits = digits[:, None] + digits[None, :]
    cost = np.zeros((256, len(_BESIDE), len(_BESIDE)))
    for byte, char in enumerate(_chars(encoding)[128:], start=128):
        if char.isalpha() and _script(char) == script:
            word = char.lower() in _ONE_LETTER
            cost[byte] = beside_digits + (0.0 if word else lonely)
    return _classes(encoding, script), cost


@cache
def _role_cost(encoding: str, language: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nats of symbols out of place, in an encoding of another script than Latin."""
    script = _script(next(iter(_letter_costs(language))))
    classes = _classes(encoding, script)
    classes[:128] = _classes(encoding, "LATIN")[:128]
    cost = np.zeros((256, len(_BESIDE), len(_BESIDE)))
    for byte, char in enumerate(_chars(encoding)[128:], start=128):
        if char in _ROLE_OF:
            cost[byte] = _ROLE_OF[char][1]
    return classes, cost


@cache
def _latin_costs(encoding: str, language: str) -> NDArray[np.float64]:
    """Nats of each byte that is a Latin letter beyond ASCII, by its share in a language."""
    costs = _letter_costs(language)
    return np.array(
        [
            costs.get(char.lower()[0], _RARE_LATIN + (char.lower() not in _WIDESPREAD))
            if char > "\x7f" and _is_latin(char)
            else 0.0
            for char in _chars(encoding)
        ]
    )


@cache
def _accented(encoding: str) -> NDArray[np.bool_]:
    """Whether each byte is a Latin letter beyond ASCII."""
    return np.array([char > "\x7f" and _is_latin(char) for char in _chars(encoding)])


#: Letters that words from French, German, Spanish bring into every language.
_WIDESPREAD = frozenset("éèêëáàâäåãíïîóôöøúüñçæß")


@cache
def _symbol_costs(encoding: str) -> NDArray[np.float64]:
    """Nats of each high byte that is one of the symbols of `_ROLES`, in a Latin encoding."""
    return np.array([_ROLE_OF[char][0] if char in _ROLE_OF else 0.0 for char in _chars(encoding)])


def _symbol_cost(char: str) -> float:
    cost = _kind_of_rest(char)[1]
    return _RARE_SYMBOL if cost == _SYMBOL else cost


def _is_latin(char: str) -> bool:
    return char.isalpha() and char not in "ªºµ" and _script(char) == "LATIN"


@cache
def _table_cost(encoding: str, language: str) -> NDArray[np.float64]:
    """Nats of the second byte of each pair after the first (first times 256 plus second).

    For scripts other than Latin. Pairs of ASCII cost nothing: they are the same in every encoding.
    """
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
        pair_costs = _pair_costs()[index[:, None], index[None, :]]
        smalls = [char.lower() for char in chars]
        for pair in USUAL_PAIRS.get(language, "").split():
            one, two = (
                kinds <= _DIGIT if char == "_" else np.array([small == char for small in smalls])
                for char in pair
            )
            both = one[:, None] & two[None, :]
            pair_costs = np.where(both, np.minimum(pair_costs, USUAL_COST), pair_costs)
        cost += np.where(letter_second | ((first == _LETTER) & ~letter_second), pair_costs, 0.0)
    mixed = ((first == _LETTER) & (second == _ASCII)) | ((first == _ASCII) & letter_second)
    cost += np.where(mixed, _MIXED_SCRIPT, 0.0)
    cost += np.where((first == _DIGIT) & letter_second, _BROKEN_WORD, 0.0)
    cost += np.where((first == _STRANGE) & word_second, _BROKEN_WORD * 2, 0.0)
    opening = np.array([char in "„‚¿¡" for char in chars])
    cost += np.where(word_first & opening[None, :], _BROKEN_WORD * 2, 0.0)
    closing = np.array([char in "…”" for char in chars])
    cost += np.where(closing[:, None] & letter_second, _BROKEN_WORD * 1.5, 0.0)
    final = np.array([char in FINAL_FORMS for char in chars])
    cost += np.where(final[:, None] & letter_second, _BROKEN_WORD * 2, 0.0)
    # Capitals: dear after a small letter, usual at a word's start and after another capital. Only
    # where a high byte takes part.
    involved = high[:, None] | high[None, :]
    after_word = word_first & word_second & involved
    cost += np.where(after_word & lower[:, None] & upper[None, :], _CAPITAL_INSIDE, 0.0)
    cost += np.where(after_word & upper[:, None] & upper[None, :], _CAPITALS_GO_ON, 0.0)
    starts = ~word_first & letter_second & upper[None, :]
    cost += np.where(starts, _CAPITAL, 0.0)
    cost[:0x80, :0x80] = 0.0
    return cost.ravel()


def _kind_of_rest(char: str) -> tuple[int, float]:
    """Kind and cost of a high byte's character that is no letter of the script."""
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
    """Each letter beyond ASCII and its nats; 0 where the pairs price it."""
    if language in CYRILLIC:
        letters = (*COMMON, *CYRILLIC[language])
        dear = dict.fromkeys(SELDOM_LETTERS, SELDOM) | dict.fromkeys(KAZAKH_LETTERS, KAZAKH)
        return {letter: dear.get(letter, 0.0) for letter in letters}
    return {letter: -math.log(share) for letter, share in letter_shares(language).items()}


def _similar_letters(language: str) -> dict[str, int]:
    """Where in `PAIRS` a Cyrillic letter's pairs are found, by the language's habits."""
    if language not in CYRILLIC:
        return {}
    similar = {letter: letter for letter in LETTERS}
    for others in CYRILLIC.values():
        for letter, like in others.items():
            similar.setdefault(letter, like)
    similar.update(CYRILLIC[language])
    return {letter: LETTERS.index(like) + 1 for letter, like in similar.items()}


@cache
def _pair_costs() -> NDArray[np.float64]:
    return np.array([[int(digit, 36) / 2 for digit in row] for row in PAIRS])


@cache
def _script(char: str) -> str:
    return unicodedata.name(char, "NONE").split()[0]


def _east_asian_cost(sample: bytes, encoding: str, charset: str, common: Iterable[int]) -> float:
    """Nats of a sample in an encoding of one or two (or four) bytes per character."""
    text = sample.decode(encoding, "replace")
    counts = Counter(text)
    total = 0.0
    korean = charset == "euc_kr"
    for char, count in counts.items():
        if char < "\x80":
            continue
        if char == "\ufffd":
            price = 2 * _CONTROL
        elif "\u3040" <= char <= "\u30ff":
            price = 4.5 if charset in ("shift_jis", "euc_jp") else 10.0
        elif "\u3000" <= char <= "\u303f" or "\uff01" <= char <= "\uff5e" or char in "“”‘’…—·":
            price = 4.5
        elif "\uff61" <= char <= "\uff9f":
            price = 7.0
        else:
            code = char.encode(charset, "replace")
            usual = len(code) == 2 and code[0] in common
            if korean:
                price = 5.5 if "\uac00" <= char <= "\ud7a3" and usual else 11.0
            else:
                price = 6.5 if usual and "\u4e00" <= char <= "\u9fff" else 11.0
        total += price * count
    # Half-width letters come in words; a lone character beside Latin letters is a misread accent.
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
