"""What of a text a model does not know, in a sentence for a person."""

from __future__ import annotations

import numpy as np

from textgen.corpus.vocabulary import UNKNOWN_ID, Ids, Vocabulary

#: So many characters are named, the first that stand in the text.
_NAMED = 6


def unknown_note(vocabulary: Vocabulary, ids: Ids, text: str = "") -> str:
    """How many characters of a text the model does not know, and which; "" where it knows all.

    Args:
        vocabulary: The model's symbols.
        ids: The text in them.
        text: The text itself, normalised as the model's own was, where it is at hand.
    """
    count = int(np.count_nonzero(np.asarray(ids) == UNKNOWN_ID))
    if not count:
        return ""
    known = vocabulary.symbol_index()
    lacking = list(dict.fromkeys(char for char in text if char not in known)) if text else []
    names = ", ".join(map(_shown, lacking[:_NAMED]))
    more = len(lacking) - _NAMED
    which = f": {names}{f' and {more} more' if more > 0 else ''}" if lacking else ""
    verb, it = ("character is", "it") if count == 1 else ("characters are", "each")
    return (
        f"{count:,} {verb} unknown to the model, which reads {it} as the unknown symbol{which} "
        f"(not in its vocabulary of {len(vocabulary)})"
    )


def _shown(char: str) -> str:
    """In quotes, or as a code point where it could not be seen."""
    return f"'{char}'" if char.isprintable() and not char.isspace() else f"U+{ord(char):04X}"
