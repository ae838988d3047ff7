"""What a text costs a network that did not write it, or wrote it while it was steered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textgen.corpus.vocabulary import Vocabulary
from textgen.sampling.chooser import log_softmax
from textgen.sampling.stream import Network, bits, read, start


def bits_per_char(
    network: Network, vocabulary: Vocabulary, ids: Sequence[int], context_ids: Iterable[int] = ()
) -> float:
    """The cost of a text's tokens, a character; not a number where it has none.

    As `Generation.bits_per_char`, which says the same of a text as it was written.

    Args:
        network: The model.
        vocabulary: Its symbols.
        ids: The text.
        context_ids: What stands before it and is not charged.
    """
    position = start(network, context_ids)
    logprobs = []
    for token in ids:
        logprobs.append(float(log_softmax(position.logits_BV[0])[token]))
        position = read(network, position, [token])
    chars = len(vocabulary.decode(ids))
    return bits(logprobs) / chars if chars else float("nan")
