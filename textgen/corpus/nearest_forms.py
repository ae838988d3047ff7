"""Characters that a vocabulary lacks, read as the nearest form that it has: its variants.

A text of another typography is read as the text that a model knows: `–` as `—`, `…` as three full
stops. What that loses is told beside the tokens, so the text can be made again: which characters
are read as which form; and at each place where the tokens have such a form, what stood there, the
form itself or one of its variants. `Questions` goes through these places, the same ones for
whoever knows the answers and for whoever asks for them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import Ids, Vocabulary

#: Raise it whenever a character gets another form, or the questions change: texts in the cache and
#: compressed files tell by which table they were read.
TABLE_VERSION = 1
#: The most characters of the form of a variant. A file may hold so many tokens for each of its
#: bytes (`textgen.compression.container.MOST_TOKENS`), and some encodings have a character a byte.
MOST_FORM = 4

#: Characters that are written one for another: those that may be lacking, and what they become,
#: the nearest first.
_WRITTEN_FOR = (
    ("ё", ("е",)),
    ("е", ("ё",)),
    ("Ё", ("Е",)),
    ("Е", ("Ё",)),
    ("«“„‟‹", ('"', "«", "“", "„", "‹", "»", "”", "'")),
    ("»”›", ('"', "»", "”", "›", "“", "«", "'")),
    ('"″', ('"', "«", "“", "„", "»", "”", "'")),
    ("'’‘‚‛ʼ′`´", ("'", "’", "ʼ", "‘", "′", "`", "´")),
    ("-‐‑−", ("-", "‐", "‑", "−", "–", "—", "―")),
    ("‒–—―", ("—", "–", "―", "‒", "-", "‐", "‑", "−")),
    ("…", ("...", ".")),
    ("\n\r\x0b\x0c\x85\u2028\u2029", ("\n", "\r", "\u2028", "\u2029", " ")),
    (
        " \t\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
        "\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
        (" ", "\xa0", "\u202f", "\u2009", "\u3000", "\t", "\n"),
    ),
)
_FORMS = {char: forms for chars, forms in _WRITTEN_FOR for char in chars}

#: How often each way of writing a form stood in a text, by the form: `{"—": {"—": 2, "–": 7}}`. The
#: first way is the form itself.
ReadAs = Mapping[str, Mapping[str, int]]


def nearest_form(char: str, known: Callable[[str], bool]) -> str | None:
    """The first form of `char` whose characters are all known, or `None`.

    They are tried in this order: the other case; `ё` or `е`, another quotation mark, apostrophe,
    dash, ellipsis or space; the same without accents and typographic form (the base letters of
    Unicode's compatibility decomposition); full width.
    """
    for base in _bases(char):
        parts = [next((f for f in _forms(part) if all(map(known, f))), None) for part in base]
        if parts and None not in parts:
            return "".join(part for part in parts if part is not None)
    return None


def variants_in(chars: Iterable[str], vocabulary: Vocabulary) -> dict[str, str]:
    """The form of each variant among the characters of a text, in the order of their code points.

    At levels other than `"char"` there are none.
    """
    if vocabulary.level != "char":
        return {}
    known = vocabulary.symbol_index()
    found = {
        char: nearest_form(char, known.__contains__) for char in sorted(set(chars) - known.keys())
    }
    return {char: form for char, form in found.items() if form and len(form) <= MOST_FORM}


def ways_of(forms: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The ways of writing each form, first the form itself; long forms come first.

    Args:
        forms: From `variants_in`.
    """
    ordered = sorted(set(forms.values()), key=lambda form: (-len(form), form))
    return {
        form: (form, *(char for char, other in forms.items() if other == form)) for form in ordered
    }


def variant_places(text: str, forms: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Each variant in a text, and the place of the last token of its form in the text as read.

    Args:
        text: The text as it is; as read it is `text.translate(str.maketrans(forms))`.
        forms: From `variants_in`.
    """
    longer = 0
    for found in re.finditer(f"[{''.join(map(re.escape, forms))}]", text) if forms else ():
        longer += len(forms[found[0]]) - 1
        yield found.start() + longer, found[0]


class Questions:
    """Asks at the places of a text as read which way of writing stood there, from left to right.

    A form is asked about at its last token, a long form before a short one. It is not asked about
    where one of its tokens belongs to a variant that was answered before. So the questions follow
    from the tokens and the answers so far.

    Args:
        forms: Those that are asked about, the long ones first.
        vocabulary: Of level `"char"`; it has the characters of the forms.
        answer: Is given the place of a form's last token, and the form; returns whether it is a
            variant that stood there.
    """

    def __init__(
        self,
        forms: Iterable[str],
        vocabulary: Vocabulary,
        answer: Callable[[int, str], bool],
    ) -> None:
        self._forms = list(forms)
        self._ids = [vocabulary.encode(form).tolist() for form in self._forms]
        self._answer = answer
        #: The place of the next token.
        self.place = 0
        #: The last tokens that were read, in which a form may have begun.
        self._before: NDArray[Any] = np.zeros(0, vocabulary.dtype)
        #: The last token that belongs to a variant.
        self._told = -1

    def read(self, ids: Ids | NDArray[np.int32]) -> None:
        """Go on with the next tokens of the text, `(N,)`."""
        whole = np.concatenate([self._before, ids])
        first = self.place - len(self._before)
        places, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number, form in enumerate(self._ids):
            starts = max(0, len(whole) - len(form) + 1)
            same = [whole[i : i + starts] == token for i, token in enumerate(form)]
            ends = first + np.flatnonzero(np.logical_and.reduce(same)) + len(form) - 1
            places.append(ends[ends >= self.place])
            numbers.append(np.full(len(places[-1]), number))
        self.place += len(ids)
        self._before = whole[max(0, len(whole) - MOST_FORM + 1) :]
        all_places, all_numbers = np.concatenate(places), np.concatenate(numbers)
        order = np.lexsort((all_numbers, all_places))
        asked = zip(all_places[order].tolist(), all_numbers[order].tolist(), strict=True)
        for place, number in asked:
            form = self._forms[number]
            if place - len(form) >= self._told and self._answer(place, form):
                self._told = place


def _bases(char: str) -> Iterator[str]:
    """`char`, decomposed, without accents and typographic form, and in full width."""
    yield char
    yield unicodedata.normalize("NFD", char)
    yield "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c))
    if "!" <= char <= "~":
        yield chr(ord(char) + 0xFEE0)


def _forms(char: str) -> Iterator[str]:
    """`char` in either case, then the characters written for it, in either case."""
    for form in (char, *_FORMS.get(char, ())):
        yield form
        yield from (form.swapcase(), form.lower(), form.upper(), form.casefold())
