"""The text of each token, taken from the source where the vocabulary cannot say it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import UNKNOWN_ID


def source_pieces(
    text: str, pieces: Sequence[str], ids: NDArray[np.integer] | Sequence[int]
) -> tuple[str, ...]:
    """`pieces` with the real character wherever a token stands for an unknown one.

    At every level an `UNKNOWN_ID` stands for exactly one character of the text. The one exception
    is the space that a folded word vocabulary puts before the first word of a text and may lack:
    it stands for nothing, and its piece becomes "".

    Args:
        text: What was encoded, normalised as it was for that.
        pieces: The text of each token as the vocabulary prints it, `T` of them.
        ids: The tokens, `(T,)`.
    Returns:
        `T` pieces.
    Raises:
        ValueError: The pieces are not those of this text.
    """
    places = np.flatnonzero(np.asarray(ids) == UNKNOWN_ID)
    if len(pieces) != len(ids):
        raise ValueError(f"{len(pieces)} pieces but {len(ids)} tokens")
    result = list(pieces)
    if not places.size:
        return tuple(result)
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    lengths[places] = 1
    if places[0] == 0 and int(lengths.sum()) == len(text) + 1:
        lengths[0] = 0
    if int(lengths.sum()) != len(text):
        raise ValueError(f"the pieces have {int(lengths.sum())} characters, the text {len(text)}")
    starts = np.cumsum(lengths) - lengths
    # One string for each character, not for each place: a text may be unknown throughout.
    shared: dict[str, str] = {}
    for place, start, length in zip(
        places.tolist(), starts[places].tolist(), lengths[places].tolist(), strict=True
    ):
        char = text[start : start + length]
        result[place] = shared.setdefault(char, char)
    return tuple(result)
