"""The built-in features of a stretch of tokens: a matrix that lies beside a trace of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.documents import DOCUMENT_MARK
from textgen.corpus.vocabulary import END_ID, REPLACEMENT, Vocabulary
from textgen.inspection.features import FEATURES, all_features, last_characters


def feature_matrix(
    vocabulary: Vocabulary, ids: NDArray[np.integer[Any]], skip: int = 0
) -> NDArray[np.float32]:
    """Every built-in feature at every token, in the order of `FEATURES`.

    Args:
        vocabulary: Of the tokens.
        ids: The tokens, `(T,)`; what an unknown one stands for is not known here.
        skip: So many of the first ones are read for what they open, and left out of the result.
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

    Args:
        vocabulary: Of the tokens.
        ids: The tokens, `(T,)`.
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
