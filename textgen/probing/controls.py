"""The controls without which "this neuron carries it" is worth nothing.

Each is measured on the same held-out examples as the neuron itself, and comes with a sentence that
says what it means for the claim. Why each is needed: Donnelly and Roegiest 2019, On
Interpretability and Feature Representations (a hundred random neurons do better than the sentiment
neuron, and taking it out changes little); Hewitt and Liang 2019, arXiv:1909.03368 (random labels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import Vocabulary
from textgen.model.edit import Edit
from textgen.model.initialise import initial_weights
from textgen.probing.examples import Bools, Examples
from textgen.probing.machine import Machine, open_machine
from textgen.probing.margin import accuracy_error, auc_error
from textgen.probing.probe import NGRAM_RANGE, Probe, Score, fit_probe, ngram_score, score_of
from textgen.probing.reading import STATES, Features, OnTokens, bits_per_char, read_features
from textgen.probing.report import Control, FoundNeuron
from textgen.probing.selection import Selector
from textgen.progress import track

#: Units of the random groups, and how many groups are drawn.
GROUP, GROUPS = 100, 5
#: Permutations of the labels, for single units and for the probe.
PERMUTATIONS, PROBE_PERMUTATIONS = 20, 5
#: Held-out tokens whose cost is measured with a neuron held at its mean.
COST_TOKENS = 200_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """All that the controls are about.

    Args:
        examples: The task.
        features: Of the trained network.
        selector: Of these features.
        probe: On all units.
        probe_score: Its figures.
        neuron: The unit that was best on the training part.
        column: Its column.
        threshold: Its threshold, of what the network sees.
        quantity: `cell` or `hidden`.
        machine: The trained network.
        vocabulary: The model's.
        rng: Draws units and permutations.
    """

    examples: Examples
    features: Features
    selector: Selector
    probe: Probe
    probe_score: Score
    neuron: FoundNeuron
    column: int
    threshold: float
    quantity: str
    machine: Machine
    vocabulary: Vocabulary
    rng: np.random.Generator

    @property
    def margin(self) -> float:
        """Accuracies as close to the neuron's are called equal: one standard error of it."""
        sign = float(self.neuron.sign)
        values_N = self.features.seen_NU[self.selector.test, self.column].astype(np.float64)
        return self._error(values_N * sign > self.threshold * sign)

    @property
    def probe_margin(self) -> float:
        """Accuracies as close to the probe's are called equal: one standard error of it."""
        return self._error(self.probe.scores(self.features.seen_NU[self.selector.test]) > 0.0)

    @property
    def auc_margin(self) -> float:
        """The same of the neuron's AUC."""
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
        """How sentences call the neuron."""
        return f"neuron {self.neuron.name}"


def permuted(case: Case) -> Control:
    """The same search where the labels are permuted, each part's by itself: what luck reaches.

    Those of the held-out part are permuted too. With its true labels, where many units carry the
    property, any unit that luck picks would score as high as the neuron.
    """
    labels_N = case.examples.labels_N
    train, test = case.selector.train, case.selector.test
    units, probes, reported = [], [], 0
    for number in track(range(PERMUTATIONS), "permuting the labels", PERMUTATIONS):
        mixed = labels_N.copy()
        for part in (train, test):
            mixed[part] = case.rng.permutation(labels_N[part])
        units.append(case.selector.best_of(mixed)[1])
        if number < PROBE_PERMUTATIONS:
            probe = fit_probe(
                case.features.seen_NU,
                mixed,
                case.examples.part_N,
                strengths=(case.probe.strength,),
            )
            probes.append(score_of(probe.scores(case.features.seen_NU[test]), mixed[test]))
        reported += case.selector.finds_any(mixed)
    most = max(score.accuracy for score in units)
    holds = case.neuron.accuracy > most
    end = "luck does not explain it" if holds else "luck would do as well"
    return Control(
        name="permuted",
        figures={
            "unit": {**_spread(units), "permutations": PERMUTATIONS},
            "probe": {**_spread(probes), "permutations": PROBE_PERMUTATIONS},
            "reported": reported,
        },
        shown=f"{_mean(units):.3f}",
        holds=holds,
        meaning=f"with permuted labels the best unit reaches {_mean(units):.2f} on average and "
        f"{most:.2f} at most, the probe {_mean(probes):.2f}; a neuron would be reported in "
        f"{reported} of {PERMUTATIONS} permutations: {end}",
    )


def random_100_probe(case: Case) -> Control:
    """A probe on 100 random other units."""
    labels_N, test = case.examples.labels_N, case.selector.test
    scores, groups = [], _groups(case)
    for group in track(groups, "fitting probes on random units", len(groups)):
        values = case.features.seen_NU[:, group]
        probe = fit_probe(values, labels_N, case.examples.part_N)
        scores.append(score_of(probe.scores(values[test]), labels_N[test]))
    mean, own = _mean(scores), case.neuron.accuracy
    holds = own > mean + case.margin
    if holds:
        end = f"less than {case.subject} alone ({own:.2f}): it is where most of it is"
    elif own > mean - case.margin:
        end = f"as much as {case.subject} alone ({own:.2f}): that is no special place"
    else:
        end = f"more than {case.subject} alone ({own:.2f}), which is not where most of it is"
    return Control(
        name="random_100_probe",
        figures={**_spread(scores), "units": len(groups[0]), "draws": len(scores)},
        shown=f"{mean:.3f}",
        holds=holds,
        meaning=f"a probe on {_called(groups)} reaches {mean:.2f}, {end}",
    )


def random_100_best(case: Case) -> Control:
    """The best single one of 100 random other units, chosen on the training part."""
    groups = _groups(case)
    scores = [
        case.selector.best_of(case.examples.labels_N, group)[1]
        for group in track(groups, "choosing among random units", len(groups))
    ]
    most, own = max(score.accuracy for score in scores), case.neuron.accuracy
    holds = own > most + case.margin
    end = "it stands out" if holds else "others do as well"
    reached = f"{most:.2f}"
    if len(scores) > 1:
        reached = f"{_mean(scores):.2f} on average and {most:.2f} at most"
    return Control(
        name="random_100_best",
        figures={**_spread(scores), "units": len(groups[0]), "draws": len(scores)},
        shown=f"{_mean(scores):.3f}",
        holds=holds,
        meaning=f"the best single one of {_called(groups)} reaches {reached}, "
        f"{case.subject} {own:.2f}: {end}",
    )


def untrained(case: Case, seed: int, threads: int, on_tokens: OnTokens | None = None) -> Control:
    """The same search in a network of the same shape with fresh initial weights."""
    config = case.machine.config
    machine = open_machine(config, initial_weights(config, seed), threads)
    features = read_features(machine, case.examples, case.quantity, on_tokens=on_tokens)
    labels_N = case.examples.labels_N
    selector = Selector(features.seen_NU, case.examples)
    column, best = selector.best_of(labels_N)
    probe = fit_probe(features.seen_NU, labels_N, case.examples.part_N)
    score = score_of(probe.scores(features.seen_NU[selector.test]), labels_N[selector.test])
    layer, unit = divmod(column, config.hidden_size)
    holds = case.neuron.accuracy > best.accuracy + case.margin
    if not holds:
        end = "no training was needed for the neuron"
    elif case.probe_score.accuracy > score.accuracy + case.probe_margin:
        end = "training made the difference"
    else:
        end = "training made the difference for the neuron, none for the probe"
    return Control(
        name="untrained",
        figures={
            "unit": {"layer": layer, "unit": unit, **vars(best)},
            "probe": {**vars(score), "nonzero": probe.nonzero},
        },
        shown=f"{best.accuracy:.3f}",
        holds=holds,
        meaning=f"in an untrained network of the same shape the best unit reaches "
        f"{best.accuracy:.2f} and the probe {score.accuracy:.2f}, here {case.neuron.accuracy:.2f} "
        f"and {case.probe_score.accuracy:.2f}: {end}",
    )


def ngram(case: Case) -> Control:
    """Logistic regression on character n-grams: what the surface of the text tells."""
    score, count = ngram_score(case.examples)
    low, high = NGRAM_RANGE
    own, probe = case.neuron.accuracy, case.probe_score.accuracy
    holds = own > score.accuracy + case.margin
    if holds:
        end = "the neuron knows what short pieces of text do not tell"
    elif own >= score.accuracy - case.margin:
        end = "short pieces of text tell as much as the neuron"
    elif score.accuracy > probe + case.probe_margin:
        end = "the text's surface tells more than the network's states"
    else:
        end = "short pieces of text tell more than the neuron alone, but no more than the probe"
    return Control(
        name="ngram",
        figures={**vars(score), "ngrams": count, "lengths": [low, high]},
        shown=f"{score.accuracy:.3f}",
        holds=holds,
        meaning=f"logistic regression on {count:,} character n-grams of {low} to {high} reaches "
        f"{score.accuracy:.2f}, {case.subject} {own:.2f}, the probe {probe:.2f}: {end}",
    )


def chance_positions(case: Case) -> Control:
    """The same neuron with the same threshold, read at random places."""
    labels = case.examples.labels_N[case.selector.test]
    sign = float(case.neuron.sign)
    values_MK = case.features.chance_MKU[:, :, case.column].astype(np.float64) * sign
    cut = case.threshold * sign
    scores = [score_of(values_M, labels, cut) for values_M in values_MK.T]
    own, there = case.neuron.auc, float(np.mean([score.auc for score in scores]))
    holds = own > there + case.auc_margin
    place = "random positions" if case.examples.protocol == "position" else "a random place"
    end = "the place counts" if holds else "the place makes no difference"
    return Control(
        name="chance_positions",
        figures={**_spread(scores), "draws": len(scores), "auc_at_its_place": own},
        shown=f"{_mean(scores):.3f}",
        holds=holds,
        meaning=f"read at {place} {case.subject} has an AUC of {there:.2f} instead of {own:.2f}: "
        f"{end}",
    )


def ablation(case: Case, on_tokens: OnTokens | None = None) -> Control:
    """What holding the neuron at its mean does to the probe and to the model's own predictions.

    The held-out texts are read again, with the neuron clamped in every step, and once more with a
    random other neuron clamped, as a yardstick.
    """
    others = np.delete(np.arange(case.selector.units), case.column)
    other = int(case.rng.choice(others)) if len(others) else case.column
    labels = case.examples.labels_N[case.selector.test]
    probes, bits = [case.probe_score], [_bits(case, ())]
    for column in (case.column, other):
        edits = (_clamp(case, column),)
        features = read_features(
            case.machine,
            case.examples,
            case.quantity,
            edits=edits,
            held_out_only=True,
            on_tokens=on_tokens,
        )
        scores = case.probe.scores(features.seen_NU[case.selector.test])
        probes.append(score_of(scores, labels))
        bits.append(_bits(case, edits))
    layer, unit = divmod(other, case.machine.config.hidden_size)
    intact, without, beside = (score.accuracy for score in probes)
    holds = beside - without > case.probe_margin
    end = "the probe needs it" if holds else "the probe does without it"
    return Control(
        name="ablation",
        figures={
            "neuron": {"layer": case.neuron.layer, "unit": case.neuron.unit},
            "other": {"layer": layer, "unit": unit},
            "clamped_to": case.neuron.mean,
            "probe_accuracy": _three([score.accuracy for score in probes]),
            "probe_auc": _three([score.auc for score in probes]),
            "bits_per_char": _three(bits),
        },
        shown=f"{without:.3f}",
        holds=holds,
        meaning=f"with {case.subject} held at its mean the probe goes from {intact:.2f} to "
        f"{without:.2f} (with {layer}:{unit}, drawn at random, to {beside:.2f}), and the text "
        f"costs {bits[1]:.3f} bits/char instead of {bits[0]:.3f} ({bits[2]:.3f}): {end}",
    )


def _clamp(case: Case, column: int) -> Edit:
    """Hold the unit in that column at its mean."""
    layer, unit = divmod(column, case.machine.config.hidden_size)
    mean = float(case.features.mean_U[column])
    return Edit(layer=layer, state=STATES[case.quantity], unit=unit, scale=0.0, shift=mean)


def _bits(case: Case, edits: tuple[Edit, ...]) -> float:
    return bits_per_char(
        case.machine, case.examples, case.vocabulary, edits=edits, limit=COST_TOKENS
    )


def _three(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(("intact", "ablated", "other_ablated"), values, strict=True))


def _groups(case: Case) -> list[NDArray[np.int64]]:
    """Random other units, drawn several times; all others once where they are no more than that."""
    others = np.delete(np.arange(case.selector.units), case.column)
    if len(others) <= GROUP:
        return [others]
    return [case.rng.choice(others, GROUP, replace=False) for _ in range(GROUPS)]


def _called(groups: Sequence[NDArray[np.int64]]) -> str:
    size = len(groups[0])
    return f"all {size} others" if len(groups) == 1 else f"{size} random other units"


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
