"""How much each character of a text changes what the network predicts after the text.

gradient   The norm of the gradient of `log p(target)` by the vector that the character entered
           with, as a share of the sum of all, for its size depends on how long the vectors are.
           Source: Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034, section 3; for text Li,
           Chen, Hovy and Jurafsky 2016, arXiv:1506.01066.
omission   What changes when the character is left out and all others are read: the total variation
           between the two predictions or, of one target, the difference of its probabilities.
           Source: Li, Monroe and Jurafsky 2016, arXiv:1612.08220.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import InspectionError, named
from textgen.heat import heat_row
from textgen.inspection.gradients import entering_vectors, reference_model
from textgen.inspection.heat_view import HeatView
from textgen.inspection.trace import LOGITS_LIMIT, check_numbers
from textgen.model.config import ModelConfig
from textgen.model.head import log_softmax
from textgen.model.network import Floats, State
from textgen.model.numpy_network import NumpyNetwork
from textgen.progress import task, track
from textgen.view_options import MEASURES

Reals = NDArray[np.float64]

#: Tokens of a text at most. Leaving out grows with the square: a thousand tokens are half a million
#: steps, some 20 seconds at 1 x 512. A gradient needs the memory of all its steps.
LONGEST = {"gradient": 4000, "omission": 1000}


# `check_numbers` reports states that grow without limit.
@np.errstate(over="ignore", invalid="ignore")
@task("measuring influence")
def influence_view(
    network: NumpyNetwork,
    weights: Mapping[str, Floats],
    ids: NDArray[np.integer],
    pieces: Sequence[str],
    vocabulary: Vocabulary,
    *,
    by: Sequence[str] = MEASURES,
    target: int | None = None,
    asked: str = "",
) -> HeatView:
    """The text coloured by the influence of each character on the next one, a row for each measure.

    Args:
        network: The model.
        weights: Its weights as `ModelConfig.tensor_shapes` names them.
        ids: The text, `(T,)`, at least one token and none an end mark.
        pieces: The text of each token; a character of several tokens stands at the last of them
            and is left out as a whole.
        vocabulary: Names the target.
        by: Which of `MEASURES`, in the order of the rows.
        target: The next token asked about; None: the most likely one.
        asked: What a person typed for `target`, as given to `find_target`: where that is only its
            first byte, the view says so.
    Raises:
        InspectionError: A measure is not known, the text is empty or too long for it, or the states
            grow without limit.
        BackendError: A gradient is asked for and torch is not installed.
    """
    if not len(ids):
        raise InspectionError("the text is empty; give at least one character")
    for measure in by:
        if measure not in MEASURES:
            raise InspectionError(
                f"'{measure}' is not a measure; choose one of: {', '.join(MEASURES)}"
            )
        check_length(measure, len(ids))
    starts = _starts(pieces)
    state = read_text(network, ids)
    whole_V = predictions(network, state)[0]
    check_numbers(whole_V)
    aim = int(whole_V.argmax()) if target is None else target
    target_name, chance = _named(vocabulary, aim), float(whole_V[aim])
    totals: dict[str, float | int | str] = {
        "target": vocabulary.display([aim])[0],
        "target_probability": chance,
    }
    first_of = ""
    if len(vocabulary.encode(asked)) > 1:
        totals["target_first_of"] = asked
        first_of = f"; {target_name} is the first of {asked!r}, a token of this model is a byte"
    rows = []
    for measure in by:
        if measure == "gradient":
            gradient_TE = embedding_gradient(network.config, weights, ids, aim)
            norms = np.sqrt(np.add.reduceat((gradient_TE**2).sum(axis=1), starts))
            total = float(norms.sum())
            values = norms / total if total else norms
            totals["gradient_norm"] = total
            what = (
                f"norm of the gradient of log p({target_name}), as a share of the sum of all, "
                f"{total:.3g}"
            )
        else:
            values = omission_effect(network, ids, starts, target)
            what = (
                "total variation between the predictions with and without each character"
                if target is None
                else f"p({target_name}) with each character minus p({target_name}) without it"
            )
        check_numbers(values)
        totals[f"{measure}_reach"] = reach(values)
        signed = measure == "omission" and target is not None
        note = (
            f"{what}; half of it is in the last {reach(values)} of {len(values)}; "
            f"p({target_name}) = {chance:.3f}{first_of}"
        )
        rows.append(heat_row(measure, values, "change" if signed else "influence", note=note))
    return HeatView(
        quantity="influence", pieces=_joined(pieces, starts), rows=tuple(rows), totals=totals
    )


def check_length(measure: str, tokens: int) -> None:
    """Refuse a text that is too long for a measure.

    Raises:
        InspectionError: It is; the message says what can be done.
    """
    longest = LONGEST[measure]
    if tokens <= longest:
        return
    other = (
        f", or ask for {named('by', 'gradient')} alone, which takes {LONGEST['gradient']:,}"
        if tokens <= LONGEST["gradient"]
        else ""
    )
    why = (
        "all others are read again for each of them"
        if measure == "omission"
        else "what each step did is kept"
    )
    raise InspectionError(
        f"the text has {tokens:,} tokens; influence by {measure} takes at most {longest:,}, "
        f"because {why}; give a shorter text, such as its end{other}"
    )


def find_target(vocabulary: Vocabulary, text: str) -> int:
    """The token that a person means by `text` as the next token.

    Of a model of bytes it is the first byte of a character, for a lone byte cannot be typed.

    Raises:
        InspectionError: It is not one token of the model, nor one character of a model of bytes.
    """
    ids = vocabulary.encode(text)
    if len(ids) == 1 and ids[0] != UNKNOWN_ID:
        return int(ids[0])
    if vocabulary.level == "byte" and len(text) == 1 and len(ids):
        return int(ids[0])
    if len(ids) > 1:
        raise InspectionError(
            f"{named('target')} {text!r} is {len(ids)} tokens of this model of "
            f"{vocabulary.level}s; the next token is one: give the first"
        )
    raise InspectionError(
        f"{named('target')} {text!r} is not a token of this model; give one that it can write"
    )


def read_text(network: NumpyNetwork, ids: NDArray[np.integer]) -> State:
    """The state after the end mark and a text, of one stream."""
    state = network.zero_state()
    for token in (END_ID, *ids.tolist()):
        state = [record.state for record in network.step_traced(np.array([token]), state)]
    return state


def predictions(network: NumpyNetwork, state: State) -> Reals:
    """The distribution of the next token after each stream's state, `(B, V)`."""
    result: Reals = np.exp(log_softmax(network.logits(network.output(state))))
    return result


def embedding_gradient(
    config: ModelConfig, weights: Mapping[str, Floats], ids: NDArray[np.integer], target: int
) -> Reals:
    """The gradient of `log p(target | text)` by the vector of each token, `(T, E)`.

    Raises:
        BackendError: torch is not installed.
    """
    model = reference_model(config, weights, named("by", "omission"))
    import torch

    with task("measuring the gradient"):
        entered = entering_vectors(model)
        state = [
            {name: value.double() for name, value in layer.items()} for layer in model.zero_state(1)
        ]
        with torch.enable_grad():
            logits_TBV, _ = model(torch.tensor([END_ID, *ids.tolist()])[:, None], state)
            nats = torch.log_softmax(logits_TBV[-1, 0].double(), dim=0)[target]
            (gradient_TBE,) = torch.autograd.grad(nats, entered)
    result: Reals = gradient_TBE[1:, 0].numpy()
    return result


def omission_effect(
    network: NumpyNetwork,
    ids: NDArray[np.integer],
    starts: NDArray[np.integer],
    target: int | None = None,
) -> Reals:
    """What leaving out each character changes in the prediction after the text, `(G,)`.

    All shortened texts are read at once, each as a stream of its own from where it leaves the
    whole text; what stands before is read once for all.

    Args:
        network: The model.
        ids: The text, `(T,)`.
        starts: Where each of the `G` characters begins; it reaches to the next one.
        target: None: the total variation between the two predictions; a token: its probability
            with the character less that without.
    """
    ends = [*starts[1:].tolist(), len(ids)]
    leaving, joining = set(starts.tolist()), set(ends)
    state = read_text(network, ids[:0])
    rests: list[State] = []  # the state before the character that is being read, if any
    # The number of streams grows from one at the beginning to the number of characters.
    reading = track(ids.tolist(), "leaving out each character", len(ids))
    for place, token in enumerate(reading):
        if place in joining:
            state = _stack(state, rests.pop())
        if place in leaving:
            rests.append([{n: v[:1] for n, v in layer.items()} for layer in state])
        streams = len(state[0]["h"])
        state = [record.state for record in network.step_traced(np.full(streams, token), state)]
    state = _stack(state, rests.pop())
    whole_V = predictions(network, _streams(state, 0, 1))[0]
    effect = np.empty(len(starts))
    rows = max(1, LOGITS_LIMIT // network.config.vocab_size)
    for first in range(0, len(starts), rows):
        without_GV = predictions(network, _streams(state, 1 + first, 1 + first + rows))
        effect[first : first + len(without_GV)] = (
            0.5 * np.abs(without_GV - whole_V).sum(axis=1)
            if target is None
            else whole_V[target] - without_GV[:, target]
        )
    return effect


def _stack(state: State, more: State) -> State:
    """Streams of two states, one after the other."""
    return [
        {name: np.concatenate([value, added[name]]) for name, value in layer.items()}
        for layer, added in zip(state, more, strict=True)
    ]


def _streams(state: State, start: int, stop: int) -> State:
    return [{name: value[start:stop] for name, value in layer.items()} for layer in state]


def _starts(pieces: Sequence[str]) -> NDArray[np.int64]:
    """Where each character begins: tokens that print nothing belong to the one after them."""
    printing = np.flatnonzero(np.fromiter(map(bool, pieces), np.bool_, len(pieces)))
    return np.concatenate([[0], printing[:-1] + 1]).astype(np.int64)


def _joined(pieces: Sequence[str], starts: NDArray[np.int64]) -> tuple[str, ...]:
    ends = [*starts[1:].tolist(), len(pieces)]
    return tuple("".join(pieces[a:b]) for a, b in zip(starts.tolist(), ends, strict=True))


def reach(values: NDArray[np.floating[Any]]) -> int:
    """How many of the last values hold half of what all sizes add up to."""
    sizes = np.abs(values[::-1].astype(np.float64)).cumsum()
    return int(np.searchsorted(sizes, sizes[-1] / 2)) + 1


def _named(vocabulary: Vocabulary, token: int) -> str:
    """A token in words."""
    if token == END_ID:
        return "the end of the text"
    if token == UNKNOWN_ID:
        return "an unknown character" if vocabulary.spelled else "an unknown word"
    if vocabulary.level == "byte" and ord(vocabulary.symbols[token]) > 0x7F:
        return f"byte {ord(vocabulary.symbols[token]):02X}"
    return repr(vocabulary.display([token])[0])
