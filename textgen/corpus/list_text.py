"""Whether a text is a list: many short lines, each an item of its own, such as names.

A list says itself what its documents are, so nobody has to say `documents="line"`. Other texts of
short lines do not: verse ends its lines with commas and has blank lines between stanzas, wrapped
prose has lines of one length, tables have a separator in every line, code has brackets and indents,
chats have the same few speakers, subtitles and logs have lines of digits. Each of these is a figure
with a limit (`LIMITS`), found on texts of each kind in several alphabets; a list is what stays
within all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, pstdev

#: Fewer lines are no list that a model could learn from: a poem, or the beginning of something.
LEAST_LINES = 50
#: Characters that are looked at.
LOOK_CHARS = 1 << 20

#: White space around an item counts for nothing.
_LINE_END = re.compile(r"\r\n|\r|\n")
#: What stands between two cells of a row, a key and a value, a speaker and what was said, or the
#: parts of a sentence.
_BETWEEN = frozenset(",;:|\t=!?¡¿،؛؟。、，；：！？।॥。､")
#: Characters that names and titles have beside letters and white space.
_USUAL = frozenset("-'’‘.&(),ʼ·‐‑–/!?\"")
#: First words that are counted together: a chat has few speakers.
_SPEAKERS = 10
#: Items of so many words at least are phrases. Two of these are hardly the same, and their lengths
#: differ more than those of verses or of wrapped lines.
_PHRASE_WORDS, _PHRASE_CHARS = 3, 20


@dataclass(frozen=True)
class _Lines:
    """The lines of a text that are not blank, and how many there are in all."""

    filled: Sequence[str]
    count: int

    def share(self, is_such: Callable[[str], bool]) -> float:
        """The share of the filled lines that are such."""
        return sum(map(is_such, self.filled)) / len(self.filled)


@dataclass(frozen=True)
class ListVerdict:
    """What a text was taken for.

    Args:
        is_list: Whether it is a list.
        reason: Why, in words.
    """

    is_list: bool
    reason: str


def judge_list(text: str) -> ListVerdict:
    """Say whether a text is a list of items, one on each line.

    Args:
        text: The text, or the beginning of a long one.
    """
    lines = _LINE_END.split(text[:LOOK_CHARS])
    if len(text) >= LOOK_CHARS:
        lines.pop()  # It was cut.
    while lines and not lines[-1].strip():
        lines.pop()
    filled = [line for line in lines if line.strip()]
    if len(filled) < LEAST_LINES:
        return ListVerdict(False, f"it has fewer than {LEAST_LINES} lines")
    found = _Lines(filled, len(lines))
    nearest = 0.0
    for figure, limit, words in LIMITS:
        value = figure(found)
        if value > limit:
            return ListVerdict(False, words)
        nearest = max(nearest, value / limit)
    middle = median(len(line.strip()) for line in filled)
    sure = "surely" if nearest <= 0.75 else "probably"
    ends = found.share(_ends_with_mark)
    return ListVerdict(
        True,
        f"{sure} a list, by its {len(filled):,} short lines: half have at most {middle:g} "
        f"characters, {1 - len(filled) / len(lines):.0%} are blank, {ends:.0%} end with a stop "
        "or a comma",
    )


def _middle_length(lines: _Lines) -> float:
    return float(median(len(line.strip()) for line in lines.filled))


def _long_length(lines: _Lines) -> float:
    lengths = sorted(len(line.strip()) for line in lines.filled)
    return float(lengths[int(0.95 * (len(lengths) - 1))])


def _middle_words(lines: _Lines) -> float:
    return float(median(len(line.split()) for line in lines.filled))


def _blank_share(lines: _Lines) -> float:
    return 1.0 - len(lines.filled) / lines.count


def _ends_with_mark(line: str) -> bool:
    last = line.rstrip().rstrip("\"'»”’)]")[-1:]
    return unicodedata.category(last or ".").startswith("P")


def _mark_share(lines: _Lines) -> float:
    return lines.share(_ends_with_mark)


def _between_share(lines: _Lines) -> float:
    return lines.share(lambda line: not _BETWEEN.isdisjoint(line.strip()))


def _indented_share(lines: _Lines) -> float:
    return lines.share(lambda line: line[0].isspace())


def _odd_share(lines: _Lines) -> float:
    """The share of characters that names and titles hardly have, digits among them."""
    counts = Counter("".join(lines.filled))
    odd = sum(
        count
        for char, count in counts.items()
        if not (char in _USUAL or char.isspace() or unicodedata.category(char)[0] in "LM")
    )
    return odd / counts.total()


def _wordless_share(lines: _Lines) -> float:
    return lines.share(lambda line: not any(map(str.isalpha, line)))


def _speaker_share(lines: _Lines) -> float:
    """The share of the lines whose first word is one of the most frequent first words.

    An initial is none.
    """
    firsts = Counter(
        parts[0]
        for line in lines.filled
        if len(parts := line.split()) > 1 and len(parts[0].rstrip(".")) > 1
    )
    return sum(count for _, count in firsts.most_common(_SPEAKERS)) / len(lines.filled)


def _repeated_share(lines: _Lines) -> float:
    """The share of the lines that stood there before; of phrases six times that."""
    share = 1.0 - len({line.strip() for line in lines.filled}) / len(lines.filled)
    return share * (6.0 if _middle_words(lines) >= _PHRASE_WORDS else 1.0)


def _evenness(lines: _Lines) -> float:
    """How little the lengths of phrases differ: their mean in standard deviations."""
    if _middle_length(lines) <= _PHRASE_CHARS:
        return 0.0
    lengths = [len(line.strip()) for line in lines.filled]
    return sum(lengths) / len(lengths) / max(pstdev(lengths), 1e-9)


#: The figures of a text, the most that a list has of each, and what a text with more is.
LIMITS: tuple[tuple[Callable[[_Lines], float], float, str], ...] = (
    (_middle_length, 40.0, "its lines are long"),
    (_long_length, 80.0, "some of its lines are long"),
    (_middle_words, 4.0, "its lines have many words"),
    (_blank_share, 0.04, "it has blank lines"),
    (_mark_share, 0.12, "many lines end with a full stop, a comma or another mark"),
    (_between_share, 0.3, "many lines have a comma, a colon or another separator"),
    (_indented_share, 0.05, "lines are indented"),
    (_odd_share, 0.1, "it has many digits or brackets"),
    (_wordless_share, 0.05, "some lines have no letter"),
    (_speaker_share, 0.6, "most lines begin with the same few words"),
    (_repeated_share, 0.6, "most lines are there more than once"),
    (_evenness, 3.3, "its lines are long and nearly of one length, as verses are"),
)
