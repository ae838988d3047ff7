"""What of a text does not go together, and why: the one list, for Python, the prompt and the page.

All else that says how a text is written goes with all else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import NamedTuple

from textgen.errors import SamplingError, named

#: The settings that hold a text to a form. In `APART` each of them is a "form".
FORMS = (
    *("match", "match_line", "chars", "lines", "line_chars", "acrostic", "rhyme", "syllables"),
    *("without", "only_words", "include"),
)
#: What chooses by chance, or changes what is likely.
_CHANCE = (
    *("rng", "temperature", "top_k", "top_p", "min_p", "typical", "mirostat", "word_starts"),
    *("bias", "repetition_penalty"),
)
#: What ends a text.
_ENDS = ("stop", "until_sentence", "keep_going")


class Pair(NamedTuple):
    """Two settings that do not go together, and why; what to do is a part of that."""

    one: str
    other: str
    why: str


def _pairs(one: str, others: Iterable[str], why: str) -> Iterator[Pair]:
    for other in others:
        yield Pair(one, other, why)


APART = (
    *_pairs("form", _ENDS, "a form says where a text ends; give one of the two"),
    Pair("form", "no_repeat", "it may leave no way to the end of the form; give one of the two"),
    *_pairs("items", _ENDS, "items are whole; give one of the two"),
    Pair("items", "no_repeat", "it may leave no way to the end of an item; give one of the two"),
    Pair("items", "count", "both say how many are written; give one of the two"),
    *_pairs("beam", _CHANCE, "the most likely text leaves nothing to chance; leave one out"),
    *_pairs("beam", ("count", "items"), "it finds one text, the most likely one; leave one out"),
    Pair("beam", "steer", "nothing changes while it looks for a text; leave one out"),
    *_pairs(
        "beam",
        ("interactive", "live"),
        "it looks for a text to its end before it writes; leave one out",
    ),
    *_pairs(
        "live",
        ("interactive", "prompt_loop", "count", "items", "json", "novelty"),
        "the command that it prints writes the same text again, and goes with everything",
    ),
    *_pairs(
        "interactive",
        ("prompt_loop", "count", "items", "json", "novelty"),
        "it is one text, written by turns; leave one out",
    ),
    *_pairs(
        "prompt_loop",
        ("count", "items", "novelty", "numbers"),
        "it answers each line with one text; leave one out",
    ),
    *_pairs("prompt_loop", ("seed", "seed_file"), "each line has its prompt"),
)


def refuse_apart(asked: Iterable[str]) -> None:
    """Refuse settings of which two do not go together.

    Args:
        asked: The names of those that are asked for.
    Raises:
        SamplingError: Two of them do not, and why.
    """
    known = {frozenset((pair.one, pair.other)): pair for pair in APART}
    for two in combinations(dict.fromkeys(asked), 2):
        kinds = {"form" if name in FORMS else name: name for name in two}
        if (pair := known.get(frozenset(kinds))) is not None:
            raise SamplingError(
                f"{named(kinds[pair.one])} does not go with {named(kinds[pair.other])}: {pair.why}"
            )
