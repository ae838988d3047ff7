"""The latents of a model: a dictionary learned of its states, and what is found of it on a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.cells.cell import Editor, unchanged
from textgen.corpus.vocabulary import END_ID, Ids
from textgen.errors import ConfigError, InspectionError, named
from textgen.inspection.dictionary import Dictionary
from textgen.inspection.dictionary_report import (
    DENSE,
    DictionaryReport,
    Latent,
    NamedCount,
    Reconstruction,
    named_count,
)
from textgen.inspection.neuron_report import FeatureScore
from textgen.inspection.neurons import NeuronSurvey, survey_reading
from textgen.inspection.page_data import label_of
from textgen.inspection.reading import Reading, Readout
from textgen.inspection.subject import LongText, Subject, Surveyed
from textgen.inspection.trace import STATES, quantities
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit
from textgen.model.head import log_softmax
from textgen.model.network import State, reset
from textgen.model.numpy_network import NumpyNetwork
from textgen.progress import task
from textgen.runtime import available_memory, choose_device, choose_threads
from textgen.view_options import PASSAGES, DictionaryOptions

if TYPE_CHECKING:
    from textgen.inspection.dictionary_learning import LearningPlan

Floats = NDArray[np.float32]

#: Latents for each neuron where no number is asked for, and the most of them.
USUAL_RATIO, USUAL_MOST = 8, 4096
#: Latents that act at a time where no number is asked for: one for so many neurons, within bounds.
NEURONS_FOR_ONE, FEWEST_ACTIVE, MOST_ACTIVE = 16, 4, 32
#: States that a dictionary is learned from: each of the text once, within these bounds.
FEWEST_STATES, MOST_STATES = 1_000_000, 10_000_000
#: The last part of the text, a tenth, is not learned from; the report is on up to so many tokens of
#: the end of the text, and the reconstruction is measured on this part alone.
HELD_OUT, REPORTED_TOKENS = 0.1, 200_000
#: A text that begins with the same so many tokens is taken for the one that was learned from.
_BEGINNING = 1000
#: Numbers that learning holds for each weight: itself, its gradient, Adam's two moments; and rows
#: of activations that are there at a time, at most.
_FOR_EACH_WEIGHT, _ROWS = 4, 4096
#: What is read with the reconstruction in the place of the state: streams, tokens of each that are
#: not counted, and tokens of each in all.
_STREAMS, _SKIPPED, _STEPS = 32, 32, 256
#: Places at which it is tried what a latent makes likelier, and symbols that are told.
_TRIED, _LIKELIER = 32, 5
#: A smaller gain in probability is not told.
_LEAST_GAIN = 0.005


@dataclass(frozen=True)
class StateSource:
    """What a dictionary is learned of: one state of one layer of a model, on a text."""

    model: Surveyed
    ids: Ids
    layer: int
    quantity: str

    def states(self, ids: Ids) -> Iterator[Floats]:
        """The states after some tokens, chunk by chunk."""
        for chunk in self.model.survey(ids, [self.quantity]):
            yield chunk.arrays[f"layers.{self.layer}.{self.quantity}"]

    def endless(self) -> Iterator[Floats]:
        """The states after the text that is learned from, again and again."""
        while True:
            yield from self.states(self.learned)

    @property
    def learned(self) -> Ids:
        """The tokens that are learned from."""
        return self.ids[: len(self.ids) - len(self.held_out)]

    @property
    def held_out(self) -> Ids:
        """The tokens at the end that are not; all where the text is very short."""
        count = int(HELD_OUT * len(self.ids))
        return self.ids[-count:] if count >= 2 else self.ids

    def beginning(self) -> str:
        """The checksum of the first tokens, by which a text is known again."""
        first = np.asarray(self.ids[: min(_BEGINNING, len(self.learned))], np.int64)
        return sha256(first.tobytes()).hexdigest()

    def measured(self, dictionary: Dictionary) -> tuple[Ids, bool]:
        """The tokens to measure a dictionary on, and whether it was learned from them."""
        if dictionary.info.get("begins") != self.beginning():
            return self.held_out, False
        rest = self.ids[int(dictionary.info.get("tokens", 0)) :]
        return (rest, False) if len(rest) >= 2 else (self.held_out, True)


def source_of(model: Subject, text: LongText, options: DictionaryOptions) -> StateSource:
    """What a dictionary is learned of.

    Raises:
        InspectionError: The model has no such layer or state.
    """
    config = model.saved.config
    quantity = options.show or "hidden"
    known = [name for name in quantities(config.cell_spec) if name in STATES]
    if quantity not in known:
        raise InspectionError(
            f"a dictionary is learned of a state; choose one of: {', '.join(known)}"
        )
    layer = config.num_layers - 1 if options.layer is None else options.layer
    if layer >= config.num_layers:
        raise InspectionError(
            f"there is no layer {layer}; this model has layers 0..{config.num_layers - 1}"
        )
    return StateSource(model, text.ids, layer, quantity)


def plan_of(config: ModelConfig, tokens: int, options: DictionaryOptions) -> LearningPlan:
    """How a dictionary is learned, with what was left open.

    Raises:
        InspectionError: Fewer latents are asked for than are to act at a time, or more than there
            is memory for.
    """
    from textgen.inspection.dictionary_learning import LearningPlan

    size = config.hidden_size
    latents = options.latents or min(USUAL_RATIO * size, USUAL_MOST)
    usual = min(max(size // NEURONS_FOR_ONE, FEWEST_ACTIVE), MOST_ACTIVE, latents)
    active = options.active or usual
    if active >= latents:
        raise InspectionError(
            f"{named('active')} is {active}, and there are {latents} latents; fewer must act at a "
            "time than there are"
        )
    states = options.states or min(max(tokens, FEWEST_STATES), MOST_STATES)
    device = learning_device(options.device)
    needed = 4 * latents * (2 * size * _FOR_EACH_WEIGHT + _ROWS)
    free = available_memory(device)
    if free is not None and needed > free:
        raise InspectionError(
            f"{latents:,} latents of {size:,} neurons need {needed / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB are free; give fewer: {named('latents', USUAL_MOST)}"
        )
    return LearningPlan(
        latents=latents,
        active=active,
        states=states,
        rng=options.rng or 0,
        threads=choose_threads(options.threads).value,
        device=device,
    )


def learning_device(asked: str) -> str:
    """Where a dictionary is learned.

    Raises:
        InspectionError: It cannot be learned there.
    """
    device, _ = choose_device(asked)
    if device == "mps":
        # Its figures are float64 and its products sparse, which Apple's GPUs have not.
        if asked == device:
            raise InspectionError(
                f"latents are not learned on {device}; add {named('device', 'cpu')}"
            )
        return "cpu"
    return device


def learn(model: Subject, text: LongText, options: DictionaryOptions, digest: str) -> Dictionary:
    """Learn a dictionary of a model's states on a text.

    Raises:
        InspectionError: The model has no such layer or state, or its states cannot be learned.
        BackendError: torch is not installed.
    """
    from textgen.runtime import require_torch

    require_torch("learning a dictionary")
    from textgen.inspection.dictionary_learning import learn_dictionary

    source = source_of(model, text, options)
    plan = plan_of(model.saved.config, len(source.learned), options)
    return learn_dictionary(
        source.endless(),
        plan,
        layer=source.layer,
        state=STATES[source.quantity],
        model=digest,
        info={
            "text": text.name,
            "tokens": len(source.learned),
            "begins": source.beginning(),
            "states": plan.states,
            "latents": plan.latents,
            "active": plan.active,
            "rng": plan.rng,
        },
    )


def report(
    model: Subject,
    text: LongText,
    dictionary: Dictionary,
    options: DictionaryOptions,
    *,
    learned: bool,
    controls: Sequence[NamedCount] = (),
) -> DictionaryReport:
    """What a dictionary does on a text.

    Args:
        model: The model.
        text: The text; of a long one its end is read.
        dictionary: The dictionary.
        options: Which latents are shown, and in which order.
        learned: Whether the dictionary was learned now.
        controls: How many directions of other kinds follow a feature, to stand beside it.
    Raises:
        InspectionError: The order is not known, or the states grow without limit.
    """
    source = StateSource(model, text.ids, dictionary.layer, dictionary.source)
    part = end_of(text)
    survey = survey_readout(model, part, dictionary, PASSAGES)
    share_K, strength_K = _activity(source, part.ids, dictionary)
    numbers = [unit for _, unit in survey.order(options.sort)]
    alive = [number for number in numbers if share_K[number] > 0.0]
    shown_numbers = alive[: options.top or None] or numbers[:1]
    shown = survey.report([(dictionary.layer, number) for number in shown_numbers])
    likelier = _likelier(model, source, dictionary, shown_numbers, strength_K)
    unit_K = np.abs(dictionary.decoder_KH).argmax(axis=1)
    latents = tuple(
        Latent(
            number=number,
            share=float(share_K[number]),
            strength=float(strength_K[number]),
            neuron=(dictionary.layer, int(unit_K[number])),
            cosine=float(dictionary.decoder_KH[number, unit_K[number]]),
            likelier=likelier[number],
            profile=profile,
        )
        for number, profile in zip(shown_numbers, shown.profiles, strict=True)
    )
    return DictionaryReport(
        dictionary=dictionary,
        learned=learned,
        reconstruction=reconstruct(model, source, dictionary),
        dead=int((share_K == 0.0).sum()),
        dense=int((share_K > DENSE).sum()),
        shown=shown,
        latents=latents,
        counts=(named_count("latents of the dictionary", best_scores(survey)), *controls),
    )


def end_of(text: LongText) -> LongText:
    """The end of a long text, on which latents are reported."""
    return replace(text, ids=text.ids[-min(len(text.ids), REPORTED_TOKENS) :])


def survey_readout(
    model: Surveyed, text: LongText, readout: Readout, passages: int
) -> NeuronSurvey:
    """What each column of a readout follows on a text, and where it is highest."""
    reading = Reading(config=model.saved.config, quantity=readout.name, readout=readout)
    return survey_reading(model, text, reading, reading.layers, (), passages)


def best_scores(survey: NeuronSurvey) -> list[FeatureScore | None]:
    """The best feature of each neuron or latent, chosen on one half and scored on the other."""
    return [survey.best(neuron) for neuron in survey.neurons]


def _activity(
    source: StateSource, ids: Ids, dictionary: Dictionary
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At which share of the places each latent acts, and how strongly on average there."""
    count, acts_K, sums_K = 0, np.zeros(dictionary.size), np.zeros(dictionary.size)
    for x_TH in source.states(ids):
        a_TK = dictionary.encode(x_TH)
        count += len(a_TK)
        acts_K += np.count_nonzero(a_TK, axis=0)
        sums_K += a_TK.sum(axis=0, dtype=np.float64)
    return acts_K / max(count, 1), sums_K / np.maximum(acts_K, 1.0)


def reconstruct(model: Subject, source: StateSource, dictionary: Dictionary) -> Reconstruction:
    """How much of the states a dictionary keeps, on what it was not learned from."""
    ids, seen = source.measured(dictionary)
    ids = ids[-REPORTED_TOKENS:]
    count, active, error = 0, 0.0, 0.0
    sums_H = squares_H = np.zeros(len(dictionary.center_H))
    with task("putting states together again", len(ids)) as reading:
        for x_TH in source.states(ids):
            a_TK = dictionary.encode(x_TH)
            moved_TH = (x_TH - dictionary.center_H).astype(np.float64)
            count, active = count + len(x_TH), active + np.count_nonzero(a_TK)
            error += float(np.square(dictionary.decode(a_TK) - x_TH, dtype=np.float64).sum())
            sums_H = sums_H + moved_TH.sum(axis=0)
            squares_H = squares_H + np.square(moved_TH).sum(axis=0)
            reading.advance(len(x_TH))
    mean_H = sums_H / count
    variance = float((squares_H / count - mean_H**2).sum()) * count
    middle_H = (dictionary.center_H + mean_H).astype(np.float32)
    network = model.network
    lengths_V = model.saved.vocabulary.symbol_lengths()
    layer, state = dictionary.layer, dictionary.state

    def bits(put: Any) -> float:
        return _bits(network, ids, lengths_V, layer, state, put)

    with task("what the reconstruction costs"):
        return Reconstruction(
            tokens=count,
            variance_explained=1.0 - error / variance if variance > 0.0 else 0.0,
            active=active / count,
            bits=bits(None),
            bits_reconstructed=bits(lambda x_BH: dictionary.decode(dictionary.encode(x_BH))),
            bits_mean=bits(lambda x_BH: np.broadcast_to(middle_H, x_BH.shape)),
            bits_zero=bits(np.zeros_like),
            seen=seen,
        )


def _bits(
    network: NumpyNetwork,
    ids: Ids,
    lengths_V: NDArray[np.int64],
    layer: int,
    state_name: str,
    put: Any,
) -> float:
    """Bits per character of stretches of a text with a state replaced at each step."""

    def edited(name: str, x_BH: Floats) -> Floats:
        return put(x_BH) if name == state_name else x_BH

    editors: list[Editor] = [unchanged] * network.config.num_layers
    if put is not None:
        editors[layer] = edited
    ids_TB = _stretches(ids, _STREAMS, _STEPS + 1)
    state = network.zero_state(ids_TB.shape[1])
    nats, chars = 0.0, 0
    skipped = min(_SKIPPED, len(ids_TB) // 2)
    for place, (ids_B, next_B) in enumerate(pairwise(ids_TB)):
        records = network.step_traced(ids_B, reset(state, ids_B == END_ID), editors=editors)
        state = [record.state for record in records]
        if place >= skipped:
            logits_BV = network.logits(records[-1].output)
            nats -= float(log_softmax(logits_BV)[np.arange(len(next_B)), next_B].sum())
            chars += int(lengths_V[next_B].sum())
    return nats / max(chars, 1) / float(np.log(2.0))


def _stretches(ids: Ids, streams: int, steps: int) -> NDArray[np.int64]:
    """Stretches of a text side by side, `(T, B)`; fewer of a short one."""
    steps = min(steps, len(ids))
    streams = max(1, min(streams, len(ids) // steps))
    starts_B = np.linspace(0, len(ids) - steps, streams).astype(int)
    return np.stack([np.asarray(ids[s : s + steps], np.int64) for s in starts_B], axis=1)


def _likelier(
    model: Subject,
    source: StateSource,
    dictionary: Dictionary,
    numbers: Sequence[int],
    strength_K: NDArray[np.float64],
) -> dict[int, tuple[tuple[str, float], ...]]:
    """What each latent makes likelier if it is added, as strong as it usually is."""
    network, vocabulary = model.network, model.saved.vocabulary
    ids_TB = _stretches(source.held_out, _TRIED, 65)
    state: State = network.zero_state(ids_TB.shape[1])
    for ids_B in ids_TB[:-1]:
        _, state = network.step(ids_B, reset(state, ids_B == END_ID))
    logits_BV, _ = network.step(ids_TB[-1], state)
    usual_V = np.exp(log_softmax(logits_BV)).mean(axis=0)
    found = {}
    with task("what each latent makes likelier", len(numbers)) as trying:
        for number in numbers:
            direction_H = dictionary.decoder_KH[number]
            edit = Edit(
                layer=dictionary.layer,
                state=dictionary.state,
                scale=1.0,
                shift=float(strength_K[number]),
                read=direction_H,
                write=direction_H,
            )
            logits_BV, _ = network.step(ids_TB[-1], state, [(edit,)] * ids_TB.shape[1])
            gain_V = np.exp(log_softmax(logits_BV)).mean(axis=0) - usual_V
            best = np.argsort(-gain_V, kind="stable")[:_LIKELIER]
            found[number] = tuple(
                (label_of(vocabulary, int(token)), float(gain_V[token]))
                for token in best
                if gain_V[token] > _LEAST_GAIN
            )
            trying.advance()
    return found


def check_existing(dictionary: Dictionary, options: DictionaryOptions) -> None:
    """Refuse to show a dictionary that is another one than was asked for.

    Raises:
        ConfigError: It has another layer, state, size or seed; or a device is named, and nothing
            is learned.
    """
    if options.device != "auto" and not options.controls:
        raise ConfigError(
            f"{named('device', options.device)} says where a dictionary is learned, and one is "
            f"there; leave it out, or learn another one in its place: {named('force')}"
        )
    asked = {
        "layer": (options.layer, dictionary.layer),
        "show": (options.show, dictionary.source),
        "latents": (options.latents, dictionary.size),
        "active": (options.active, dictionary.info.get("active")),
        "states": (options.states, dictionary.info.get("states")),
        "rng": (options.rng, dictionary.info.get("rng")),
    }
    for name, (wanted, there) in asked.items():
        if wanted is not None and wanted != there:
            raise ConfigError(
                f"{named(name, wanted)} was asked for, and the dictionary that is there has "
                f"{there}; to learn another one in its place: {named('force')}"
            )
