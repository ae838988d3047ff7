"""What a property is looked for in: stretches of tokens, and places in them with a label.

A text-level task has one example a text, a position-level task many in each stretch of a corpus.
Both come to the same: documents that the network reads from their start, and for each example the
place after which, or the stretch over which, its state is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import Ids

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Parts of the split. `FIT` and `VALIDATION` together are the training part: everything is chosen
#: there, and everything reported is measured on `HELD_OUT`.
FIT, VALIDATION, HELD_OUT = 0, 1, 2

#: What an example's features are.
PROTOCOLS = {
    "mean": "the mean over the text",
    "final": "the state after the text's last character",
    "position": "the state after the position's character",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """A labelled task, split.

    Args:
        documents: Token ids of each stretch the network reads, without a start mark; none empty.
        skip_D: How many of a document's first tokens are context only.
        document_N: Which document each example stands in.
        place_N: The token of that document after which its state is taken; where the protocol is
            `mean`, the last one.
        chance_NK: Other tokens of the same document, drawn at random.
        labels_N: Whether it is positive.
        part_N: `FIT`, `VALIDATION` or `HELD_OUT`.
        independent_N: Which examples may be counted as independent of each other in a test: of
            equal texts one; of the positions of one part one in each run over which the property
            does not change, and at most one of each kind in a block.
        protocol: One of `PROTOCOLS`.
        contexts: Gives, for the numbers of examples, the characters that n-grams are made of.
        positive: Name of the positive kind.
        negative: Name of the other.
        notes: What a reader of the figures should know of how the examples were made.
    """

    documents: Sequence[Ids]
    skip_D: Ints
    document_N: Ints
    place_N: Ints
    chance_NK: Ints
    labels_N: Bools
    part_N: Ints
    independent_N: Bools
    protocol: str
    contexts: Callable[[Ints], list[str]]
    positive: str
    negative: str
    notes: tuple[str, ...]

    @property
    def train_N(self) -> Bools:
        """Which examples things are chosen on."""
        where: Bools = self.part_N != HELD_OUT
        return where

    @property
    def held_out_N(self) -> Bools:
        """Which examples things are measured on."""
        where: Bools = self.part_N == HELD_OUT
        return where

    def counts(self) -> dict[str, dict[str, int]]:
        """How many examples of each kind each part has."""
        return {
            name: {
                "positive": int((where & self.labels_N).sum()),
                "negative": int((where & ~self.labels_N).sum()),
            }
            for name, where in (("train", self.train_N), ("held_out", self.held_out_N))
        }
