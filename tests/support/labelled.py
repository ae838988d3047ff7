"""Examples with labels, for what looks at numbers alone: no network, no documents behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from textgen.probing.examples import Examples


def labelled_examples(
    labels: np.ndarray, part: np.ndarray, texts: Sequence[str] | None = None
) -> Examples:
    """One place in a document of its own for each label.

    Args:
        labels: What is true of each, `(N,)`.
        part: FIT, VALIDATION or HELD_OUT, `(N,)`.
        texts: What stood before each; None: nothing.
    """
    count = len(labels)
    return Examples(
        documents=[np.array([2])] * count,
        skip_D=np.zeros(count, np.int64),
        document_N=np.arange(count),
        place_N=np.zeros(count, np.int64),
        chance_NK=np.zeros((count, 1), np.int64),
        labels_N=labels,
        part_N=part,
        independent_N=np.ones(count, bool),
        run_N=np.arange(count),
        group_N=np.arange(count),
        block_N=np.arange(count),
        protocol="final",
        contexts=lambda numbers: ["" if texts is None else texts[i] for i in numbers.tolist()],
        positive="p",
        negative="n",
        notes=(),
    )
