"""The controls that the claim "this neuron carries the property" needs.

Each is measured on the same held-out examples as the neuron itself, and has a sentence that says
what it means for the claim. Sources: Donnelly and Roegiest 2019, On Interpretability and Feature
Representations (a hundred random neurons do better than the sentiment neuron, and removing it
changes little); Hewitt and Liang 2019, arXiv:1909.03368 (random labels); Kirch 2007, Block
permutation principles for the change analysis of dependent data (whole runs of them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from textgen.corpus.documents import DOCUMENT_MARK
from textgen.corpus.vocabulary import Vocabulary
from textgen.heat import LATENT, neuron_place
from textgen.inspection.dictionary import Dictionary
from textgen.inspection.trace import STATES
from textgen.model.edit import Edit
from textgen.model.engine import open_reader
from textgen.model.initialise import initial_weights
from textgen.model.network import Network
from textgen.probing.activations import (
    Features,
    bits_per_char,
    latents_and_neurons,
    read_features,
)
from textgen.probing.examples import LAST_SIGN, Examples
from textgen.probing.find_report import Control, FoundNeuron
from textgen.probing.probe import (
    NGRAM_RANGE,
    NgramCounts,
    Probe,
    cross_fitted,
    fit_columns,
    fit_probe,
    ngram_score,
)
from textgen.probing.statistics import (
    Bools,
    Doubles,
    Floats,
    Ints,
    Score,
    accuracy_error,
    auc_error,
    score_of,
)
from textgen.probing.unit_selection import Selector
from textgen.progress import track
from textgen.steering.target import Target
from textgen.terminal.text import with_signs
from textgen.view_options import ALPHA

#: Neurons in a random group, and how many groups are drawn.
GROUP, GROUPS = 100, 5
#: Permutations of the labels, for single neurons and for the probe.
PERMUTATIONS, PROBE_PERMUTATIONS = 20, 5
#: Held-out tokens that are predicted with a neuron clamped to its mean, and those that the probe
#: reads so.
CLAMPED_TOKENS, ABLATED_TOKENS = 200_000, 1_000_000
#: Units of an untrained network. A wide model is compared with several of these that have as many
#: units together: far less work, and the same figures as far as was tried (docs/log.md).
UNTRAINED_UNITS = 128
#: N-grams that a sentence names.
NAMED_NGRAMS = 5
#: How the marks in them are shown: the end of a document, and the place that is told of.
MARKS = {DOCUMENT_MARK: "‹end›", LAST_SIGN: "‹here›"}


@dataclass(frozen=True, kw_only=True, eq=False)
class ControlInput:
    """What the controls are computed from.

    Args:
        features: The activations of the trained network at the examples.
        selector: Chooses among its neurons.
        probe: The probe on all neurons.
        neuron: What the claim is about: the neuron that was best on the training part, or what was
            asked for.
        column: Its column; None for what is no single neuron.
        threshold: Its threshold, for the visible value.
        quantity: The state that is read: `cell` or `hidden`.
        alpha: The chance of finding anything where there is nothing.
        rng: Draws neurons and permutations.
        target: Of what is no single neuron: what it is, and its activations at the examples.
        latents: The dictionary, where its latents are looked at in place of neurons.
        neurons_NH: The visible values of the neurons of its layer then.
    """

    examples: Examples
    features: Features
    selector: Selector
    probe: Probe
    probe_score: Score
    neuron: FoundNeuron
    column: int | None
    threshold: float
    quantity: str
    network: Network
    vocabulary: Vocabulary
    rng: np.random.Generator
    alpha: float = ALPHA
    target: tuple[Target, Features] | None = None
    latents: Dictionary | None = None
    neurons_NH: Floats | None = None

    @property
    def kind(self) -> str:
        """What the columns are, in sentences: `neuron` or `latent`."""
        return "neuron" if self.latents is None else LATENT

    @property
    def values_N(self) -> Floats:
        """The visible value of the neuron at each example."""
        if self.target is not None:
            return self.target[1].seen_NU[:, 0]
        return self.features.seen_NU[:, self.column]

    @property
    def chance_MK(self) -> Floats:
        """Its visible value at random places, for held-out examples."""
        if self.target is not None:
            return self.target[1].chance_MKU[:, :, 0]
        return self.features.chance_MKU[:, :, self.column]

    @property
    def others(self) -> Ints:
        """The columns of all other neurons."""
        every = np.arange(self.selector.units)
        return every if self.column is None else np.delete(every, self.column)

    @property
    def margin(self) -> float:
        """One standard error of the neuron's accuracy; closer accuracies count as equal."""
        sign = float(self.neuron.sign)
        values_N = self.values_N[self.selector.test].astype(np.float64)
        return self._error(values_N * sign > self.threshold * sign)

    @property
    def probe_margin(self) -> float:
        """The same for the accuracy of the probe."""
        return self._error(self.probe.scores(self.features.seen_NU[self.selector.test]) > 0.0)

    @property
    def auc_margin(self) -> float:
        """The same for the AUC of the neuron."""
        test = self.selector.test
        labels = self.examples.labels_N[test][self.examples.independent_N[test]]
        return auc_error(self.neuron.auc, labels)

    def _error(self, said_N: Bools) -> float:
        test = self.selector.test
        return accuracy_error(
            said_N, self.examples.labels_N[test], self.examples.independent_N[test]
        )

    @property
    def subject(self) -> str:
        """The neuron's name in sentences."""
        return self.neuron.called


def permuted(given: ControlInput) -> Control:
    """The same search with permuted labels: what chance reaches.

    The labels are permuted within each part, the held-out part included. With its true labels, any
    neuron picked by chance would score as high as this one where many neurons carry the property.
    Labels of positions are permuted run by run (`Examples.permuted`).
    """
    test, seen_NU = given.selector.test, given.features.seen_NU
    units, probes, reported = [], [], 0
    for number in track(range(PERMUTATIONS), "permuting the labels", PERMUTATIONS):
        mixed = given.examples.permuted(given.rng)
        labels_N = mixed.labels_N
        units.append(given.selector.best_of(labels_N)[1])
        if number < PROBE_PERMUTATIONS:
            strengths = (given.probe.strength,)
            probe = fit_probe(seen_NU, labels_N, mixed.part_N, strengths=strengths)
            probes.append(probe.score(seen_NU[test], labels_N[test]))
        reported += given.selector.finds_any(labels_N, mixed.independent_N)
    most = max(score.accuracy for score in units)
    holds = given.neuron.accuracy > most
    end = "chance does not explain it" if holds else "chance would do as well"
    return Control(
        name="permuted",
        figures={
            "unit": {**_spread(units), "permutations": PERMUTATIONS},
            "probe": {**_spread(probes), "permutations": PROBE_PERMUTATIONS},
            "reported": reported,
        },
        shown=f"{_mean(units):.3f}",
        holds=holds,
        meaning=f"with permuted {_permuted_things(given.examples)} the best {given.kind} reaches "
        f"{_mean(units):.2f} on average and "
        f"{most:.2f} at most, the probe {_mean(probes):.2f}; a {given.kind} would be reported in "
        f"{reported} of {PERMUTATIONS} permutations: {end}",
    )


def best_neuron(given: ControlInput) -> Control:
    """Of latents: the best single neuron of the layer that they are learned of."""
    assert given.neurons_NH is not None and given.latents is not None
    unit, score = Selector(given.neurons_NH, given.examples).best_of(given.examples.labels_N)
    name = neuron_place(given.latents.layer, unit, given.quantity)
    own = given.neuron.accuracy
    holds = own > score.accuracy + given.margin
    end = "the dictionary made the difference" if holds else "a neuron does as well"
    return Control(
        name="best_neuron",
        figures={"unit": {"layer": given.latents.layer, "unit": unit, **vars(score)}},
        shown=f"{score.accuracy:.3f}",
        holds=holds,
        meaning=f"the best neuron, {name}, reaches {score.accuracy:.2f}, {given.subject} "
        f"{own:.2f}: {end}",
    )


def random_directions(given: ControlInput) -> Control:
    """Of latents: the best of as many random directions across the neurons of that layer.

    Each is a weighted sum of all neurons, whose weights are drawn from the normal distribution.
    """
    assert given.neurons_NH is not None
    values_NH, count = given.neurons_NH, given.selector.units
    weights_HK = given.rng.normal(size=(values_NH.shape[1], count)).astype(np.float32)
    score = Selector(values_NH @ weights_HK, given.examples).best_of(given.examples.labels_N)[1]
    own = given.neuron.accuracy
    holds = own > score.accuracy + given.margin
    end = "the dictionary made the difference" if holds else "others do as well"
    return Control(
        name="random_directions",
        figures={**vars(score), "directions": count},
        shown=f"{score.accuracy:.3f}",
        holds=holds,
        meaning=f"the best of {count:,} random directions reaches {score.accuracy:.2f}, "
        f"{given.subject} {own:.2f}: {end}",
    )


def random_100_probe(given: ControlInput) -> Control:
    """A probe on 100 random other neurons."""
    labels_N, test = given.examples.labels_N, given.selector.test
    scores, groups = [], _groups(given)
    for group in track(groups, "fitting probes on random neurons", len(groups)):
        values = given.features.seen_NU[:, group]
        probe = fit_probe(values, labels_N, given.examples.part_N)
        scores.append(probe.score(values[test], labels_N[test]))
    mean, own = _mean(scores), given.neuron.accuracy
    holds = own > mean + given.margin
    if holds:
        end = f"less than {given.subject} alone ({own:.2f}): most of the property is there"
    elif own > mean - given.margin:
        end = f"as much as {given.subject} alone ({own:.2f}), which is not special"
    else:
        end = f"more than {given.subject} alone ({own:.2f}): most of the property is elsewhere"
    return Control(
        name="random_100_probe",
        figures={**_spread(scores), "units": len(groups[0]), "draws": len(scores)},
        shown=f"{mean:.3f}",
        holds=holds,
        meaning=f"a probe on {_called(given, groups)} reaches {mean:.2f}, {end}",
    )


def random_100_best(given: ControlInput) -> Control:
    """The best of 100 random other neurons, chosen on the training part."""
    groups = _groups(given)
    scores = [
        given.selector.best_of(given.examples.labels_N, group)[1]
        for group in track(groups, "choosing among random neurons", len(groups))
    ]
    most, own = max(score.accuracy for score in scores), given.neuron.accuracy
    holds = own > most + given.margin
    end = "it stands out" if holds else "others do as well"
    reached = f"{most:.2f}"
    if len(scores) > 1:
        reached = f"{_mean(scores):.2f} on average and {most:.2f} at most"
    return Control(
        name="random_100_best",
        figures={**_spread(scores), "units": len(groups[0]), "draws": len(scores)},
        shown=f"{_mean(scores):.3f}",
        holds=holds,
        meaning=f"the best of {_called(given, groups)} reaches {reached}, "
        f"{given.subject} {own:.2f}: {end}",
    )


def untrained(given: ControlInput, seed: int, threads: int) -> Control:
    """The same search in networks of the same cells and layers with fresh initial weights.

    Together they have as many units as the model. Each has at most `UNTRAINED_UNITS` a layer.
    """
    config = given.network.config
    seen_NU = _untrained_units(given, seed, threads)
    labels_N = given.examples.labels_N
    selector = Selector(seen_NU, given.examples)
    column, best = selector.best_of(labels_N)
    probe = fit_probe(seen_NU, labels_N, given.examples.part_N)
    score = probe.score(seen_NU[selector.test], labels_N[selector.test])
    layer, unit = divmod(column, config.hidden_size)
    holds = given.neuron.accuracy > best.accuracy + given.margin
    if not holds:
        end = f"the {given.kind} needs no training"
    elif given.probe_score.accuracy > score.accuracy + given.probe_margin:
        end = "training made the difference"
    else:
        end = f"training made the difference for the {given.kind}, but not for the probe"
    return Control(
        name="untrained",
        figures={
            "unit": {"layer": layer, "unit": unit, **vars(best)},
            "probe": {**vars(score), "nonzero": probe.nonzero},
        },
        shown=f"{best.accuracy:.3f}",
        holds=holds,
        meaning=f"of as many units without training the best reaches "
        f"{best.accuracy:.2f} and the probe {score.accuracy:.2f}, here {given.neuron.accuracy:.2f} "
        f"and {given.probe_score.accuracy:.2f}: {end}",
    )


def _untrained_units(given: ControlInput, seed: int, threads: int) -> Floats:
    """The visible values of untrained units `(N, U)`, laid out as those of the model."""
    whole = given.network.config
    width = min(whole.hidden_size, UNTRAINED_UNITS)
    config = whole
    if width < whole.hidden_size:
        embedding = width if whole.tie else whole.embedding_size
        config = replace(whole, hidden_size=width, embedding_size=embedding)
    layers: list[list[Floats]] = [[] for _ in range(whole.num_layers)]
    for number in range(-(-whole.hidden_size // width)):
        network = open_reader(config, initial_weights(config, seed + number), threads)
        seen_NU = read_features(network, given.examples, given.quantity).seen_NU
        for layer, own in enumerate(np.split(seen_NU, whole.num_layers, axis=1)):
            layers[layer].append(own)
    size = whole.hidden_size
    return np.concatenate([np.concatenate(own, axis=1)[:, :size] for own in layers], axis=1)


def ngram(given: ControlInput, counts: NgramCounts) -> Control:
    """Logistic regression on character n-grams: what the text itself shows."""
    score = ngram_score(given.examples, counts)
    low, high = NGRAM_RANGE
    own, probe = given.neuron.accuracy, given.probe_score.accuracy
    holds = own > score.accuracy + given.margin
    if holds:
        end = f"the {given.kind} knows more than short pieces of text show"
    elif own >= score.accuracy - given.margin:
        end = f"short pieces of text show as much as the {given.kind}"
    elif score.accuracy > probe + given.probe_margin:
        end = "short pieces of text show more than the network's states"
    else:
        end = (
            f"short pieces of text show more than the {given.kind} alone, but no more than the "
            "probe"
        )
    return Control(
        name="ngram",
        figures={**vars(score), "ngrams": counts.size, "lengths": [low, high]},
        shown=f"{score.accuracy:.3f}",
        holds=holds,
        meaning=f"logistic regression on {counts.size:,} character n-grams of {low} to {high} "
        f"reaches {score.accuracy:.2f}, {given.subject} {own:.2f}, the probe {probe:.2f}: {end}",
    )


def telling_ngrams(given: ControlInput, counts: NgramCounts) -> Control:
    """What is left of the neuron without the n-grams that tell the kinds apart best."""
    examples = given.examples
    scores_N = cross_fitted(examples, counts.fit_telling)
    names = counts.telling(given.selector.train)
    first = ", ".join(f"'{with_signs(name, MARKS)}'" for name in names[:NAMED_NGRAMS])
    return _without(
        given,
        scores_N,
        name="telling_ngrams",
        figures={"ngrams": names},
        what=f"the {len(names)} most telling n-grams ({first}, ...)",
    )


def length(given: ControlInput) -> Control:
    """What is left of the neuron without what the length of the text tells."""
    log_N = np.log(given.examples.place_N + 1.0)
    values_NF = np.stack([log_N, log_N**2], axis=1)
    place = given.examples.protocol == "position"
    return _without(
        given,
        cross_fitted(given.examples, fit_columns(values_NF, given.examples.labels_N)),
        name="length",
        figures={},
        what="how much was read before" if place else "the length of the text",
    )


def _without(
    given: ControlInput, scores_N: Doubles, *, name: str, figures: dict[str, Any], what: str
) -> Control:
    """The accuracy of some log-odds, and that of the neuron after they are taken out of it.

    Taken out is what a straight line through the training part makes of the log-odds. Sign and
    threshold of the rest are chosen there, too. The log-odds of each example come from others
    (`cross_fitted`): those of a model's own examples are too good, and would take out the labels.
    They are an estimate: what they miss stays in the rest, so a little that is left proves nothing.
    """
    examples, selector = given.examples, given.selector
    labels_N, train, test = examples.labels_N, selector.train, selector.test
    alone = score_of(scores_N[test], labels_N[test])
    moved_N = scores_N - scores_N[train].mean()
    squares = float(moved_N[train] @ moved_N[train])
    slope = float(moved_N[train] @ given.values_N[train]) / squares if squares else 0.0
    rest_N1 = (given.values_N - slope * moved_N)[:, None]
    table = Selector(rest_N1, examples, given.alpha).find(labels_N)
    left, own = float(table.accuracy_U[0]), given.neuron.accuracy
    holds = bool(table.auc_U[0] > 0.5 and table.p_value_U[0] <= given.alpha)
    end = "it knows something else" if holds else "nothing is left beyond chance"
    return Control(
        name=name,
        figures={
            **vars(alone),
            "residual": {
                "accuracy": left,
                "auc": float(table.auc_U[0]),
                "p_value": float(table.p_value_U[0]),
            },
            **figures,
        },
        shown=f"{left:.3f}",
        holds=holds,
        meaning=f"{what} alone reaches {alone.accuracy:.2f}; with that taken out {given.subject} "
        f"reaches {left:.2f} instead of {own:.2f}: {end}",
    )


def chance_positions(given: ControlInput) -> Control:
    """The same neuron with the same threshold, at random places."""
    labels = given.examples.labels_N[given.selector.test]
    sign = float(given.neuron.sign)
    values_MK = given.chance_MK.astype(np.float64) * sign
    cut = given.threshold * sign
    scores = [score_of(values_M, labels, cut) for values_M in values_MK.T]
    own, there = given.neuron.auc, float(np.mean([score.auc for score in scores]))
    holds = own > there + given.auc_margin
    place = "random positions" if given.examples.protocol == "position" else "a random place"
    end = "the place counts" if holds else "the place makes no difference"
    return Control(
        name="chance_positions",
        figures={**_spread(scores), "draws": len(scores), "auc_at_its_place": own},
        shown=f"{_mean(scores):.3f}",
        holds=holds,
        meaning=f"read at {place} {given.subject} has an AUC of {there:.2f} instead of {own:.2f}: "
        f"{end}",
    )


def ablation(given: ControlInput) -> Control:
    """What clamping the neuron to its mean does to the probe and to the model's own predictions.

    Held-out texts, up to `ABLATED_TOKENS` of them, are read again with the neuron clamped in every
    step, and once more with a random other neuron clamped, for comparison.
    """
    others = given.others
    if given.latents is not None:
        others = others[given.latents.movable_K[others]]
    other = int(given.rng.choice(others)) if len(others) else 0
    rows = _first_held_out(given.examples)
    labels, seen_NU = given.examples.labels_N[rows], given.features.seen_NU
    probes, bits = [given.probe.score(seen_NU[rows], labels)], [_bits(given, ())]
    only_N = np.zeros(len(given.examples.labels_N), bool)
    only_N[rows] = True
    clamp = _clamp(given)
    for edit in (clamp, _clamp_column(given, other)):
        read = read_features(
            given.network,
            given.examples,
            given.quantity,
            coordinates=None if given.latents is None else latents_and_neurons(given.latents),
            edits=(edit,),
            only_N=only_N,
        )
        probes.append(given.probe.score(read.seen_NU[rows, : given.selector.units], labels))
        bits.append(_bits(given, (edit,)))
    layer, unit = _place(given, other)
    beside_it = neuron_place(layer, unit, given.neuron.quantity)
    intact, without, beside = (score.accuracy for score in probes)
    holds = beside - without > given.probe_margin
    end = "the probe needs it" if holds else "the probe does not need it"
    return Control(
        name="ablation",
        figures={
            "neuron": {"layer": given.neuron.layer, "unit": given.neuron.unit},
            "other": {"layer": layer, "unit": unit},
            "clamped_to": clamp.shift,
            "probe_accuracy": _three([score.accuracy for score in probes]),
            "probe_auc": _three([score.auc for score in probes]),
            "bits_per_char": _three(bits),
        },
        shown=f"{without:.3f}",
        holds=holds,
        meaning=f"with {given.subject} held at its mean the probe goes from {intact:.2f} to "
        f"{without:.2f} (with {beside_it}, drawn at random, to {beside:.2f}), and the loss on "
        f"the text is {bits[1]:.3f} bits/char instead of {bits[0]:.3f} ({bits[2]:.3f}): {end}",
    )


def _first_held_out(examples: Examples) -> Ints:
    """The held-out examples of the first `ABLATED_TOKENS` tokens of held-out documents."""
    rows = np.flatnonzero(examples.held_out_N)
    documents, of_row = np.unique(examples.document_N[rows], return_inverse=True)
    sizes = np.cumsum([len(examples.documents[number]) for number in documents.tolist()])
    return rows[of_row <= np.searchsorted(sizes, ABLATED_TOKENS)]


def _place(given: ControlInput, column: int) -> tuple[int, int]:
    """The layer and the unit of a column."""
    if given.latents is not None:
        return given.latents.layer, column
    return divmod(column, given.network.config.hidden_size)


def _clamp(given: ControlInput) -> Edit:
    """The edit that clamps what the claim is about to its mean."""
    if given.target is not None:
        target = given.target[0]
        # A latent is silent at most places: what is held is the sum that its threshold cuts.
        return target.edit(0.0, given.neuron.mean if target.threshold is None else target.mean)
    assert given.column is not None
    return _clamp_column(given, given.column)


def _clamp_column(given: ControlInput, column: int) -> Edit:
    """The edit that clamps the neuron in that column to its mean."""
    if given.latents is not None:
        latent = given.latents.target(column)
        return latent.edit(0.0, latent.mean)
    layer, unit = _place(given, column)
    mean = float(given.features.mean_U[column])
    return Edit(layer=layer, state=STATES[given.quantity], unit=unit, scale=0.0, shift=mean)


def _bits(given: ControlInput, edits: tuple[Edit, ...]) -> float:
    return bits_per_char(
        given.network, given.examples, given.vocabulary, edits=edits, limit=CLAMPED_TOKENS
    )


def _three(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(("intact", "ablated", "other_ablated"), values, strict=True))


def _groups(given: ControlInput) -> list[Ints]:
    """Several groups of random other neurons, or all others once if there are not enough."""
    others = given.others
    if len(others) <= GROUP:
        return [others]
    return [given.rng.choice(others, GROUP, replace=False) for _ in range(GROUPS)]


def _permuted_things(examples: Examples) -> str:
    return "runs of labels" if examples.protocol == "position" else "labels"


def _called(given: ControlInput, groups: Sequence[Ints]) -> str:
    size = len(groups[0])
    return f"all {size} others" if len(groups) == 1 else f"{size} random other {given.kind}s"


def _mean(scores: Sequence[Score]) -> float:
    return float(np.mean([score.accuracy for score in scores]))


def _spread(scores: Sequence[Score]) -> dict[str, Any]:
    """Mean and largest accuracy and AUC."""
    return {
        name: {"mean": float(np.mean(values)), "max": float(np.max(values))}
        for name, values in (
            ("accuracy", [score.accuracy for score in scores]),
            ("auc", [score.auc for score in scores]),
        )
    }
