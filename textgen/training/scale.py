"""Fits the scale of a distance head on a slice of the training text.

The loss does not depend on it, so it is no gradient's business: it is fitted whenever the weights
are about to be evaluated, sampled from or kept.
"""

from __future__ import annotations

import numpy as np

from textgen.corpus.vocabulary import END_ID
from textgen.corpus.windows import Tokens
from textgen.model.base import Network, OpenNetwork
from textgen.model.head import DistanceHead, fit_scale

#: Streams that read the slice, tokens of each that are context only, and the targets it is fitted
#: to at most; fewer where the distances to all symbols would take more than 16 MiB.
STREAMS, CONTEXT, TARGETS, DISTANCES = 8, 32, 1024, 2**22


def refit_scale(network: Network, tokens: Tokens) -> None:
    """Set the scale under which a slice of the text is likeliest, where the head is a distance.

    A function of the weights and the text alone.

    Args:
        network: The model.
        tokens: The training text, of which evenly spread parts are read.
    """
    if not network.config.has_vector_output:
        return
    assert isinstance(network, OpenNetwork)
    targets = min(TARGETS, DISTANCES // network.config.vocab_size)
    streams = max(1, min(STREAMS, targets, (len(tokens) - 1) // 2))
    steps = min(CONTEXT + max(1, targets // streams), (len(tokens) - 1) // streams)
    skipped = min(CONTEXT, steps // 2)
    starts_B = np.arange(streams) * (len(tokens) - 1) // streams
    place_TB = starts_B[None, :] + np.arange(steps)[:, None]
    inputs_TB = np.asarray(tokens[place_TB], np.int64)
    targets_TB = np.asarray(tokens[place_TB + 1], np.int64)
    resets_TB = inputs_TB == END_ID
    outputs_TBH, _ = network.outputs(
        inputs_TB, network.zero_state(streams), resets_TB if resets_TB.any() else None
    )
    outputs_NH = outputs_TBH[skipped:].reshape(-1, network.config.hidden_size)
    with np.errstate(over="ignore", invalid="ignore"):
        distances_NV = DistanceHead(network.config, network.arrays()).distances(outputs_NH)
    scale = fit_scale(distances_NV, targets_TB[skipped:].ravel())
    if scale is not None:  # Else training has diverged, which the loss will tell.
        network.set_scale(scale)
