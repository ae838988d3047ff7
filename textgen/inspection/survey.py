"""What neurons do over a corpus: many stretches of it at once, in no order.

Statistics of neurons need every value and neither order nor neighbours, so a long text is cut into
streams that the native engine reads side by side, at more than half the speed of reading alone.
Each stream but the first begins `WARMUP` tokens early, so that its state is that of the text but
for what a model still remembers after so many tokens. Where the engine multiplies bf16, a value
differs from that of `trace` by some 2**-8 of the largest (tests hold it to 3 %).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.inspection.trace import Trace, check_quantity, default_quantity
from textgen.model.edit import NO_EDITS, Edits, for_all
from textgen.progress import task

if TYPE_CHECKING:
    from textgen.model.native_network import NativeNetwork

#: Tokens read and not kept before each stream but the first, and tokens of a chunk.
WARMUP = 256
CHUNK = 4096


def survey(
    network: NativeNetwork,
    ids: NDArray[np.integer],
    *,
    quantities: Sequence[str] | None = None,
    streams: int = 64,
    edits: Edits = NO_EDITS,
) -> Iterator[Trace]:
    """Every unit's values after every token of a text, in chunks, in no order.

    Args:
        network: The model on the native engine.
        ids: The tokens, `(N,)`; may be a memory-mapped array. An end mark resets the state.
        quantities: Names as in `trace`; None: the default one.
        streams: Stretches read side by side; fewer for a short text.
        edits: Changes of the states at every token.
    Yields:
        Traces of some `CHUNK` tokens whose rows stand in no order (`places` says where each
        belongs); they have no costs and no next
        tokens (`nats` and `next_ids` are empty), and their `final_state` means nothing.
    """
    cell, count = network.config.cell_spec, len(ids)
    names = (default_quantity(cell),) if quantities is None else tuple(quantities)
    wanted = {check_quantity(cell, name): _recorded(name) for name in names}
    streams = max(1, min(streams, count // (4 * WARMUP)))
    starts_B = np.arange(streams, dtype=np.int64) * count // streams
    stops_B = np.append(starts_B[1:], count)
    warmup = WARMUP if streams > 1 else 0
    config = network.config
    units = {layer: np.arange(config.hidden_size) for layer in range(config.num_layers)}
    state = network.zero_state(streams)
    steps = warmup + int((stops_B - starts_B).max())
    at_once = max(1, CHUNK // streams)
    # The state before a text has read the end mark, as everywhere.
    edits_B = for_all(edits, streams)
    begins = range(0, steps, at_once)
    with task("reading the text", len(begins)) as reading:
        _, state = network.step(np.full(streams, END_ID), state, edits_B)
        for begin in begins:
            place_TB = np.arange(begin, min(begin + at_once, steps))[:, None] + starts_B - warmup
            read_TB = np.asarray(ids[np.clip(place_TB, 0, count - 1)])
            # Before the text's beginning the first stream reads end marks, which are zero states.
            read_TB = np.where(place_TB >= 0, read_TB, END_ID)
            records, state = network.trace(
                read_TB, state, read_TB == END_ID, names=tuple(wanted.values()), edits_B=edits_B
            )
            kept_TB = (place_TB >= starts_B) & (place_TB < stops_B)
            yield Trace(
                ids=read_TB[kept_TB].astype(np.int64),
                places=place_TB[kept_TB],
                pieces=("",) * int(kept_TB.sum()),
                arrays={
                    f"layers.{layer}.{name}": record[own][kept_TB]
                    for layer, record in enumerate(records)
                    for name, own in wanted.items()
                },
                units=units,
                nats=np.empty(0),
                next_ids=np.empty((0, 0), np.int64),
                next_probabilities=np.empty((0, 0), np.float32),
                final_state=state,
            )
            reading.advance()


def _recorded(quantity: str) -> str:
    """The cell's own name of a quantity."""
    own = {"hidden": "h", "cell": "c"}
    return own.get(quantity, quantity.removesuffix("-gate"))
