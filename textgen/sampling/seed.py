"""Makes a typed seed readable for a model: what its vocabulary lacks is folded or dropped."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import UNKNOWN_ID, Vocabulary
from textgen.errors import SamplingError, named

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
_VARIANTS = {char: forms for chars, forms in _WRITTEN_FOR for char in chars}
#: What the notice lists of each kind before it only counts.
_LISTED = 8


@dataclass(frozen=True)
class FittedSeed:
    """A seed as the model reads it.

    Args:
        ids: Token ids, none of them a mark; empty where nothing is left of the seed.
        text: The text of `ids`.
        folded: Characters the vocabulary lacks and what they became, each pair once.
        dropped: Characters it lacks and has no form of, each once.
        notice: One line for the user that says so; `None` where the seed was taken as it was.
    """

    ids: tuple[int, ...]
    text: str
    folded: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    notice: str | None = None


def fit_seed(
    text: str, vocabulary: Vocabulary, normalization: Normalization, reserved: str = ""
) -> FittedSeed:
    """Turn any text into ids that the model knows.

    The text is normalised as the model's own texts were. A character that the vocabulary lacks
    becomes the nearest form it has, tried in this order: the other case; `ё` or `е`, another
    quotation mark, apostrophe, dash, ellipsis or space; the same without accents and
    typographic form (the base letters of Unicode's compatibility decomposition); full width.
    Without any it is dropped. A word that a word vocabulary lacks is spelled.

    Args:
        text: Any string, lone surrogates and the empty one included.
        vocabulary: The model's symbols.
        normalization: What the model's texts went through.
        reserved: Symbols with a meaning of their own: nothing else is folded into one of them.
    Returns:
        The seed and what happened to it; no text makes it fail.
    """
    # Bytes of the command line that are not text arrive as lone surrogates.
    surrogates = [char for char in text if is_surrogate(char)]
    clean = "".join(char for char in text if not is_surrogate(char)) if surrogates else text
    clean = normalization.apply(clean)
    ids = vocabulary.encode(clean)
    folded: dict[str, str] = {}
    dropped = dict.fromkeys(surrogates)
    if (ids == UNKNOWN_ID).any():
        known = vocabulary.symbol_index()
        usable = known.keys() - set(reserved)
        if "..." in clean and "." not in known and "…" in known:
            clean = clean.replace("...", "…")
            folded["..."] = "…"
        fitted = []
        for char in clean:
            form = char if char in known else _nearest_form(char, usable.__contains__)
            if form is None:
                dropped[char] = None
            else:
                fitted.append(form)
                if form != char:
                    folded[char] = form
        ids = vocabulary.encode("".join(fitted))
        # A folded word begins with a space, which a vocabulary of one word may lack.
        ids = ids[ids != UNKNOWN_ID]
    kept = tuple(np.asarray(ids).tolist())
    parts = [
        *_listed([f"{shown(old)} became {shown(new)}" for old, new in folded.items()], "folded"),
        *_listed([f"{shown(char)} dropped" for char in dropped], "dropped"),
    ]
    notice = None
    if parts:
        notice = f"seed: {', '.join(parts)} (not in the model's vocabulary of {len(vocabulary)})"
    if text and not kept:
        notice = f"{notice or 'seed: nothing that the model reads'}; going on without a seed"
    return FittedSeed(
        ids=kept,
        text=vocabulary.decode(kept),
        folded=tuple(folded.items()),
        dropped=tuple(dropped),
        notice=notice,
    )


def as_source(fitted: FittedSeed, separator: int) -> FittedSeed:
    """Turn a seed into the source of a pair: the separator follows it.

    Args:
        fitted: From `fit_seed`.
        separator: What stands between source and target (`textgen.corpus.pairs`).
    Raises:
        SamplingError: It is empty, or holds a separator.
    """
    if separator in fitted.ids:
        raise SamplingError(
            f"the source {fitted.text!r:.60} has a TAB, which ends a source; give only what stands "
            "before it"
        )
    if not fitted.ids:
        raise SamplingError(
            "this model was trained on pairs and writes the target of a source, and there is none"
            f"{': ' + fitted.notice.split(';')[0] if fitted.notice else ''}; give one: "
            f"{named('seed', 'SOURCE')}"
        )
    return replace(fitted, ids=(*fitted.ids, separator))


def _nearest_form(char: str, known: Callable[[str], bool]) -> str | None:
    """The first form of `char` whose characters are all known, or `None`."""
    for base in _bases(char):
        parts = [next((f for f in _forms(part) if all(map(known, f))), None) for part in base]
        if parts and None not in parts:
            return "".join(part for part in parts if part is not None)
    return None


def _bases(char: str) -> Iterator[str]:
    """`char`, decomposed, without accents and typographic form, and in full width."""
    yield char
    yield unicodedata.normalize("NFD", char)
    yield "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c))
    if "!" <= char <= "~":
        yield chr(ord(char) + 0xFEE0)


def _forms(char: str) -> Iterator[str]:
    """`char` in either case, then the characters written for it, in either case."""
    for form in (char, *_VARIANTS.get(char, ())):
        yield form
        yield from (form.swapcase(), form.lower(), form.upper(), form.casefold())


def is_surrogate(char: str) -> bool:
    """Whether a character is a lone surrogate, which stands for a byte that is not text."""
    return "\ud800" <= char <= "\udfff"


def shown(text: str) -> str:
    """In quotes, or as code points where it could not be seen."""
    if text == " " or (text.isprintable() and not text.isspace() and not _has_mark(text)):
        return f"'{text}'"
    return " ".join(f"U+{ord(char):04X}" for char in text)


def _has_mark(text: str) -> bool:
    return any(unicodedata.category(char).startswith("M") for char in text)


def _listed(items: list[str], verb: str) -> list[str]:
    if len(items) <= _LISTED:
        return items
    return [*items[:_LISTED], f"{len(items) - _LISTED} more {verb}"]
