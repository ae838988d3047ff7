"""What each neuron of a model does over a text: its spread, what it follows, where it peaks.

What a neuron follows is chosen on every other stretch of the text and measured on those between.
Where that is weak, or has the other sign, or the text is shorter than `ENOUGH`, nothing is claimed.

Cells of an LSTM often count far beyond 1, where `tanh(c)`, which is all that the rest of the
network sees of them, hardly changes. So for the quantity `cell`, correlations, AUC and histogram
are those of `tanh(c)`; mean, spread, range and passages are those of the value itself.

Source: Karpathy, Johnson and Li 2015, "Visualizing and Understanding Recurrent Networks", section
4.2, had the idea of naming cells by what they track.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.cells import Cell
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import InspectionError, named
from textgen.inspection.association import CHOOSING, SCORING, Association, Scale
from textgen.inspection.features import FEATURES, feature_matrix
from textgen.inspection.gates import LEFT, RIGHT
from textgen.inspection.neuron_report import (
    FeatureScore,
    NeuronFigures,
    NeuronProfile,
    NeuronReport,
    Saturation,
)
from textgen.inspection.neuron_stats import Moments
from textgen.inspection.passages import Highest, snapshots
from textgen.inspection.reading import Reading, find_reading, scale_of
from textgen.inspection.subject import LongText, Subject, Surveyed
from textgen.inspection.trace import (
    WARMUP,
    Neuron,
    Trace,
    as_chunks,
    check_neuron,
    check_quantity,
)
from textgen.progress import task
from textgen.view_options import PASSAGES, SORTS, TOP, NeuronOptions

#: Runs a network over tokens and yields what `Model.survey` does.
Survey = Callable[[NDArray[np.integer[Any]]], Iterable[Trace]]

#: A neuron follows a feature if the correlation is at least this (9 % of the variance) on text that
#: did not choose the feature.
FOLLOWS = 0.3

#: A shorter text, in tokens, does not show what a neuron follows: up to 7 % of the neurons would
#: pass `FOLLOWS` by chance. With this many, none did.
ENOUGH = 300

#: Tokens surveyed at once; memory does not depend on the text's length beyond this.
BLOCK = 2**18

#: Tokens read before a block for what they open: a line, a quotation.
_CONTEXT = 4096

#: A stretch is a sixteenth of the text but lies within these bounds, or half of a short text.
_STRETCHES, _SHORTEST, _LONGEST = 16, 256, 16384


def stretch_length(tokens: int) -> int:
    """Tokens of the stretches that choose and score alternately."""
    return min(max(tokens // _STRETCHES, _SHORTEST, 1), _LONGEST, max(1, -(-tokens // 2)))


def survey_neurons(
    survey: Survey,
    ids: NDArray[np.integer[Any]],
    vocabulary: Vocabulary,
    cell: Cell,
    *,
    quantity: str,
    scale: Scale | None = None,
    layers: Sequence[int] | None = None,
    detail: Sequence[Neuron] = (),
    passages: int = 3,
    block: int = BLOCK,
) -> NeuronSurvey:
    """Every neuron of some layers over a text, in one pass and bounded memory.

    Args:
        survey: Runs the network, such as `lambda ids: model.survey(ids, [quantity])`. A text longer
            than `block` is read in parts, each after the last tokens of the part before.
        ids: The tokens, `(N,)`; may be a memory-mapped array.
        quantity: What to look at, such as `cell`.
        scale: The range of its values; None: that of the quantity of the cell.
        layers: Which layers; None: all.
        detail: Neurons of which the values around their highest and lowest places are kept.
        passages: How many of these places are kept of each neuron.
    Raises:
        InspectionError: The network has no such quantity, layer or neuron, the text is empty, or
            the states grow without limit.
    """
    if scale is None:
        scale = scale_of(cell, check_quantity(cell, quantity))
    count = len(ids)
    if not count:
        raise InspectionError("the text is empty; give at least one character")
    stretch = stretch_length(count)
    gathered: dict[int, LayerFigures] = {}
    with task("looking at each neuron", count) as looking:
        for start in range(0, count, block):
            stop = min(start + block, count)
            context = max(0, start - _CONTEXT)
            features_TF = feature_matrix(
                vocabulary, np.asarray(ids[context:stop]), skip=start - context
            )
            first = max(0, start - WARMUP)
            for chunk in as_chunks(survey(ids[first:stop])):
                if not gathered:
                    gathered = _layers(chunk, scale, quantity, layers, detail, passages)
                places = chunk.places + first
                order = np.argsort(places, kind="stable")
                order = order[places[order] >= start]
                if not order.size:
                    continue
                places = places[order]
                features = features_TF[places - start]
                scoring = places // stretch % 2 == SCORING
                ends = chunk.ids[order] == END_ID
                for layer, own in gathered.items():
                    values = chunk.arrays[f"layers.{layer}.{quantity}"]
                    # Most chunks stand in order already, and whole.
                    if len(order) != len(values) or (np.diff(order) != 1).any():
                        values = values[order]
                    own.add(values, features, places, scoring, ends, start, stop)
                looking.advance(len(order))
            for own in gathered.values():
                own.finish(start)
        return NeuronSurvey(quantity, scale, ids, vocabulary, stretch, gathered)


class NeuronSurvey:
    """What `survey_neurons` found: figures of all neurons, and reports on some of them."""

    def __init__(
        self,
        quantity: str,
        scale: Scale,
        ids: NDArray[np.integer[Any]],
        vocabulary: Vocabulary,
        stretch: int,
        gathered: Mapping[int, LayerFigures],
    ) -> None:
        self.quantity = quantity
        self.ids = ids
        self.vocabulary = vocabulary
        self.stretch = stretch
        #: What the rest of the network sees of the quantity.
        self.seen = "tanh(c)" if quantity == "cell" else quantity
        self._scale = scale
        self._gathered = gathered
        #: Of each neuron its column in the figures of its layer, and what it has there.
        self._found = {
            figures.stats.neuron: (column, figures)
            for layer, own in sorted(gathered.items())
            for column, figures in enumerate(own.figures(layer, quantity))
        }

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """All of them, by layer and unit."""
        return tuple(self._found)

    def order(self, sort: str = "effect") -> list[Neuron]:
        """The neurons, those with most of `sort` first; equals by layer and unit.

        Args:
            sort: One of `SORTS`: `feature-score` is the size of the correlation on the half that
                scores, `saturation` the share of time closed or open, `place` layer and unit.
        Raises:
            InspectionError: There is no such order, or this quantity does not have it.
        """
        if sort not in SORTS:
            raise InspectionError(f"there is no order '{sort}'; choose one of: {', '.join(SORTS)}")
        if sort == "saturation" and not self.quantity.endswith("-gate"):
            raise InspectionError(
                f"'{self.quantity}' has no saturation, only gates have; "
                f"choose one, for example {named('show', 'forget-gate')}"
            )

        def key(neuron: Neuron) -> float:
            _, figures = self._found[neuron]
            if sort == "feature-score":
                best = figures.best
                return abs(best.correlation or 0.0) if best else -1.0
            if sort == "saturation":
                gate = figures.saturation
                return gate.closed + gate.open if gate else 0.0
            if sort == "place":
                return 0.0
            name = {"min": "minimum", "max": "maximum"}.get(sort, sort)
            value: float = getattr(figures.stats, name)
            return value

        return sorted(self._found, key=lambda neuron: -key(neuron))

    def best(self, neuron: Neuron) -> FeatureScore | None:
        """The feature that correlates most with a neuron on the half that chooses, if any does."""
        return self._found[neuron][1].best

    def followed(self, neuron: Neuron) -> FeatureScore | None:
        """The feature that a neuron follows, chosen on one half of the text and held on the other.

        None where it follows none, or the text is too short to say.
        """
        best = self._found[neuron][1].best
        is_sure = best is not None and best.holds(FOLLOWS) and len(self.ids) >= ENOUGH
        return best if is_sure else None

    def report(self, neurons: Sequence[Neuron]) -> NeuronReport:
        """All that is known of some neurons, such as `survey.order()[:20]`.

        Raises:
            InspectionError: One of them was not surveyed.
        """
        for layer, unit in neurons:
            if (layer, unit) not in self._found:
                known = ", ".join(map(str, sorted(self._gathered)))
                raise InspectionError(
                    f"neuron {layer}:{unit} is not in this survey, which has layers {known}"
                )
        halves = next(iter(self._gathered.values())).association.counts()
        return NeuronReport(
            quantity=self.quantity,
            seen=self.seen,
            tokens=len(self.ids),
            chosen_on=halves[CHOOSING],
            scored_on=halves[SCORING],
            stretch=self.stretch,
            threshold=FOLLOWS,
            enough=ENOUGH,
            total=len(self._found),
            edges=self._scale.edges(),
            profiles=tuple(map(self._profile, neurons)),
        )

    def _profile(self, neuron: Neuron) -> NeuronProfile:
        column, figures = self._found[neuron]
        own = self._gathered[neuron[0]]
        return NeuronProfile(
            **vars(figures),
            follows=self.followed(neuron),
            histogram=own.association.histograms()[column],
            highest=own.highest.passages(
                column, self.ids, self.vocabulary, own.contexts[False].get(column)
            ),
            lowest=own.lowest.passages(
                column, self.ids, self.vocabulary, own.contexts[True].get(column)
            ),
        )


def _layers(
    chunk: Trace,
    scale: Scale,
    quantity: str,
    layers: Sequence[int] | None,
    detail: Sequence[Neuron],
    passages: int,
) -> dict[int, LayerFigures]:
    size = max(map(len, chunk.units.values()))
    for layer in set(layers or ()) - chunk.units.keys():
        check_neuron((layer, 0), len(chunk.units), size)
    wanted = sorted(chunk.units) if layers is None else sorted(set(layers))
    for layer, unit in detail:
        if unit not in chunk.units.get(layer, ()):
            check_neuron((layer, unit), len(chunk.units), size)
    return {
        layer: LayerFigures(
            chunk.units[layer],
            quantity,
            scale,
            sorted({unit for own, unit in detail if own == layer}),
            passages,
        )
        for layer in wanted
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


Floats = NDArray[np.float32]


class LayerFigures:
    """Everything that is gathered of one layer: moments, scores, highest and lowest places.

    Of the columns in `detail` the values around these places are kept.
    """

    def __init__(
        self,
        units: NDArray[np.int64],
        quantity: str,
        scale: Scale,
        detail: Sequence[int],
        passages: int,
    ) -> None:
        graded = np.array([feature.graded for feature in FEATURES.values()])
        size = len(units)
        self.units = units
        self.association = Association(size, graded, scale)
        self.moments = Moments(size)
        self.highest = Highest(size, passages)
        self.lowest = Highest(size, passages, lowest=True)
        #: Whether lowest -> column -> place -> values around it.
        self.contexts: dict[bool, dict[int, dict[int, Floats]]] = {
            lowest: {column: {} for column in detail} for lowest in (False, True)
        }
        self._is_cell = quantity == "cell"
        self._is_gate = quantity.endswith("-gate")
        self._closed = np.zeros(size, np.int64)
        self._open = np.zeros(size, np.int64)
        self._detail = list(detail)
        self._window: Floats = np.empty((0, len(self._detail)), np.float32)

    def add(
        self,
        values_TN: Floats,
        features_TF: Floats,
        places_T: NDArray[np.int64],
        scoring_T: NDArray[np.bool_],
        ends_T: NDArray[np.bool_],
        start: int,
        stop: int,
    ) -> None:
        """Take in some rows of the block from `start` to `stop`, which stand in order."""
        self.moments.add(values_TN)
        seen = np.tanh(values_TN) if self._is_cell else values_TN
        self.association.add(seen, features_TF, scoring_T)
        if self._is_gate:
            self._closed += (values_TN < LEFT).sum(axis=0)
            self._open += (values_TN > RIGHT).sum(axis=0)
        if self._detail:
            if len(self._window) != stop - start:
                self._window = np.full((stop - start, len(self._detail)), np.nan, np.float32)
            self._window[places_T - start] = values_TN[:, self._detail]
        # An end mark is not a place in the text.
        shown = (values_TN[~ends_T], places_T[~ends_T]) if ends_T.any() else (values_TN, places_T)
        self.highest.add(*shown)
        self.lowest.add(*shown)

    def finish(self, start: int) -> None:
        """A block is over: what is needed of its values is kept."""
        for row, column in enumerate(self._detail):
            for lowest, found in ((False, self.highest), (True, self.lowest)):
                places = [place for place, _ in found.found(column)]
                snapshots(self._window[:, row], start, places, self.contexts[lowest][column])
        self._window[:] = np.nan

    def figures(self, layer: int, quantity: str) -> Iterator[NeuronFigures]:
        """Distribution, scores and, for a gate, saturation: a neuron each, as `units` has them."""
        effect = self.association.spreads() if self._is_cell else self.moments.summary()[1]
        stats = self.moments.stats(layer, self.units, quantity, effect)
        halves = (self.association.correlations(half) for half in (CHOOSING, SCORING))
        scores_NF3 = np.stack([*halves, self.association.aucs()], axis=2).tolist()
        closed, open_ = self._closed / self.moments.count, self._open / self.moments.count
        for column, own in enumerate(stats):
            yield NeuronFigures(
                stats=own,
                saturation=Saturation(closed[column], open_[column]) if self._is_gate else None,
                scores=tuple(
                    FeatureScore(feature.name, feature.graded, *map(_number, scores))
                    for feature, scores in zip(FEATURES.values(), scores_NF3[column], strict=True)
                ),
            )


def resolve_neurons(options: NeuronOptions, model: Subject) -> tuple[Reading, list[Neuron]]:
    """What is shown of a model, and the neurons that are named.

    Raises:
        InspectionError: The model has no such quantity, layer or neuron.
        ConfigError: It has no dictionary, or nothing was saved by that name.
    """
    config = model.saved.config
    reading, chosen = find_reading(model, options.show, options.neurons)
    for layer in options.layers:
        if not 0 <= layer < config.num_layers:
            raise InspectionError(
                f"there is no layer {layer}; this model has layers 0..{config.num_layers - 1}"
            )
    if options.layers and any(layer not in options.layers for layer, _ in chosen):
        raise InspectionError(
            f"{named('neurons')} names another layer than {named('layers')}; leave "
            f"{named('layers')} out"
        )
    if reading.readout is not None and set(options.layers) - {reading.readout.layer}:
        raise InspectionError(
            f"{reading.quantity} is read of layer {reading.readout.layer}; leave "
            f"{named('layers')} out"
        )
    return reading, chosen


def report_neurons(model: Subject, text: LongText, options: NeuronOptions) -> NeuronReport:
    """What each neuron of a model does over a text.

    Raises:
        InspectionError: The model has no such quantity, layer or neuron, or the states grow without
            limit.
        ConfigError: As `resolve_neurons`.
    """
    reading, chosen = resolve_neurons(options, model)
    layers = sorted({layer for layer, _ in chosen}) or options.layers
    survey = survey_reading(model, text, reading, layers or reading.layers, chosen, PASSAGES)
    top = TOP if options.top is None else options.top
    return survey.report(chosen or survey.order(options.sort or "effect")[: top or None])


def features_followed(model: Subject, text: LongText) -> tuple[str, dict[Neuron, FeatureScore]]:
    """What a model's neurons follow over a text: those that follow a feature, and which.

    Args:
        model: The model.
        text: What it reads.
    Returns:
        The quantity that was looked at, the cell state where there is one; and the features.
    """
    reading, _ = find_reading(model, None)
    survey = survey_reading(model, text, reading, reading.layers, (), 1)
    found = {neuron: survey.followed(neuron) for neuron in survey.neurons}
    return reading.quantity, {n: score for n, score in found.items() if score is not None}


def survey_reading(
    model: Surveyed,
    text: LongText,
    reading: Reading,
    layers: Sequence[int],
    detail: Sequence[Neuron],
    passages: int,
) -> NeuronSurvey:
    """`survey_neurons` of what a view shows of a model."""
    return survey_neurons(
        lambda ids: reading.survey(model, ids),
        text.ids,
        model.saved.vocabulary,
        model.saved.config.cell_spec,
        quantity=reading.quantity,
        scale=reading.scale,
        layers=layers,
        detail=detail,
        passages=passages,
    )
