"""The search for the neurons of a model that carry a property."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from textgen.checkpoint import SavedModel
from textgen.corpus.vocabulary import Ids
from textgen.errors import InspectionError, named
from textgen.heat import LATENT
from textgen.inspection.dictionary import Dictionary
from textgen.inspection.neuron_stats import parse_neuron
from textgen.inspection.reading import latent_number
from textgen.inspection.subject import LongText
from textgen.inspection.trace import STATES, chosen_quantity, quantities
from textgen.model.edit import split_neuron
from textgen.model.engine import open_reader
from textgen.probing import controls
from textgen.probing.activations import coordinate_of, latents_and_neurons, read_features
from textgen.probing.controls import ControlInput
from textgen.probing.direction import find_direction
from textgen.probing.examples import (
    FIT,
    HELD_OUT,
    VALIDATION,
    Examples,
    Property,
    feature_property,
    position_examples,
    regex_property,
    text_examples,
)
from textgen.probing.find_report import (
    Control,
    FindReport,
    all_neurons,
    asked_neuron,
    describe_protocol,
)
from textgen.probing.labels import LabelledTexts, read_labels, read_two_files
from textgen.probing.probe import NgramCounts, fit_probe, require_sklearn
from textgen.probing.unit_selection import Selector
from textgen.progress import task as progress_task
from textgen.runtime import choose_threads
from textgen.steering.target import Target
from textgen.view_options import FindOptions, PropertyOptions


@dataclass(frozen=True, kw_only=True)
class PositionTask:
    """A property of places in a corpus.

    Args:
        ids: The corpus, in the model's tokens; documents are separated by end marks.
        holds: Whether the property holds at each character of a text.
        name: Name of the property.
        source: Where the corpus comes from, for reports.
    """

    ids: Ids
    holds: Property
    name: str
    source: str


def find(
    saved: SavedModel,
    task: LabelledTexts | PositionTask,
    options: FindOptions | None = None,
    *,
    targets: Callable[[str], Target] | None = None,
    dictionary: Callable[[], Dictionary] | None = None,
) -> FindReport:
    """Find the neurons that carry a property, or the latents, with a probe and controls.

    Everything is chosen on a training part of the examples and measured on the rest. Compared is
    the visible value of a neuron, which the rest of the network reads: `tanh` of a cell state; or
    the activation of a latent.

    Args:
        saved: The model.
        task: Labelled texts, or a property of places in a corpus.
        options: The settings; None: the defaults.
        targets: What can be steered under a name (`Model.target`), for `options.neuron`.
        dictionary: Its latents (`Model.dictionary`), for the quantity `latent`.
    Returns:
        The neurons found, the probe and the controls.
    Raises:
        BackendError: scikit-learn is missing.
        InspectionError: The model has no such quantity or neuron, or its values cannot be clamped.
        ConfigError: Nothing is saved under the name of `options.neuron`, or there is no dictionary.
        CorpusError: There are too few examples.
    """
    require_sklearn()
    options = options or FindOptions()
    latents = dictionary() if options.quantity == LATENT and dictionary is not None else None
    asked = _asked(saved, options, targets, latents)
    quantity = latents.source if latents else _quantity(saved, asked.quantity or options.quantity)
    coordinates = latents_and_neurons(latents) if latents else None
    rng = np.random.default_rng(options.rng)
    threads = choose_threads(options.threads).value
    with progress_task("choosing examples"):
        examples = make_examples(saved, task, options, rng)
    network = open_reader(saved.config, saved.weights, threads)
    features = read_features(network, examples, quantity, coordinates=coordinates)
    if not np.isfinite(features.raw_NU).all():
        raise InspectionError(
            "the states of the network grow without limit on these texts, so they cannot be "
            f"compared; read less of each text: {named('chars', 1000)}"
        )
    neurons_NH = None
    if latents is not None:
        neurons_NH = features.seen_NU[:, latents.size :]
        features = features.columns(slice(latents.size))
    with progress_task(f"choosing {'latents' if latents else 'neurons'}"):
        selector = Selector(features.seen_NU, examples, options.alpha)
        table = selector.find(examples.labels_N)
        if latents is None:
            units = all_neurons(table, features, saved.config.hidden_size, quantity)
        else:
            units = all_neurons(table, features, latents.size, LATENT, latents.layer)
    # Before the controls, which take long: this may fail.
    direction = None
    if options.direction is not None:
        with progress_task("making the direction"):
            direction = find_direction(
                options.direction, network, examples, features, quantity, selector
            )
    with progress_task("fitting the probe"):
        probe = fit_probe(features.seen_NU, examples.labels_N, examples.part_N)
        test = selector.test
        probe_score = probe.score(features.seen_NU[test], examples.labels_N[test])
    given = ControlInput(
        examples=examples,
        features=features,
        selector=selector,
        probe=probe,
        probe_score=probe_score,
        neuron=units[table.chosen],
        column=table.chosen,
        threshold=float(table.threshold_U[table.chosen]),
        quantity=quantity,
        network=network,
        vocabulary=saved.vocabulary,
        alpha=options.alpha,
        rng=rng,
        latents=latents,
        neurons_NH=neurons_NH,
    )
    if asked.column is not None:
        given = replace(
            given,
            neuron=replace(units[asked.column], saved_as=asked.saved_as),
            column=asked.column,
            threshold=float(table.threshold_U[asked.column]),
        )
    elif asked.target is not None:
        own = read_features(network, examples, quantity, coordinates=coordinate_of(asked.target))
        alone = Selector(own.seen_NU, examples, options.alpha).find(examples.labels_N)
        cut = float(alone.threshold_U[0])
        given = replace(
            given,
            neuron=asked_neuron(alone, own, asked.target, cut),
            column=None,
            threshold=cut,
            target=(asked.target, own),
        )
    counts = NgramCounts(examples)
    measures: dict[str, Callable[[], Control]] = {
        **(
            {}
            if latents is None
            else {
                "the best neuron": lambda: controls.best_neuron(given),
                "random directions": lambda: controls.random_directions(given),
            }
        ),
        "permuted labels": lambda: controls.permuted(given),
        "a probe on random neurons": lambda: controls.random_100_probe(given),
        "the best of random neurons": lambda: controls.random_100_best(given),
        "an untrained network": lambda: controls.untrained(given, options.rng + 1, threads),
        "n-grams": lambda: controls.ngram(given, counts),
        "the most telling n-grams": lambda: controls.telling_ngrams(given, counts),
        "the length": lambda: controls.length(given),
        "chance positions": lambda: controls.chance_positions(given),
        "ablation": lambda: controls.ablation(given),
    }
    done = []
    for name, measure in measures.items():
        with progress_task(name):
            done.append(measure())
    latent = asked.target if asked.target and asked.target.threshold is not None else None
    report = FindReport(
        units=units,
        probe=probe,
        probe_score=given.probe_score,
        controls=tuple(done),
        data=_data(task, examples, features.tokens, selector, quantity, options),
        alpha=options.alpha,
        direction=direction,
        asked=None if options.neuron is None else given.neuron,
        latent=latent,
    )
    if latents is not None and report.kept is not None and report.kept.unit is not None:
        report = replace(report, latent=latents.target(report.kept.unit))
    return report


@dataclass(frozen=True, kw_only=True)
class _AskedAbout:
    """What is asked about by name: a neuron, by its column, or something else that can be steered.

    Args:
        quantity: The quantity that it is of; None: that of the search.
        column: The column of a neuron.
        target: What is no single neuron.
        saved_as: The name that it was asked for by, where that is not its place.
    """

    quantity: str | None = None
    column: int | None = None
    target: Target | None = None
    saved_as: str = ""


def _asked(
    saved: SavedModel,
    options: FindOptions,
    targets: Callable[[str], Target] | None,
    latents: Dictionary | None,
) -> _AskedAbout:
    """What `options.neuron` names; a bare neuron needs no scale, so that nothing is measured."""
    name, config = options.neuron, saved.config
    if latents is not None and options.direction is not None:
        raise InspectionError(
            f"a direction is made of neurons; leave {named('quantity', LATENT)} out"
        )
    if name is None:
        return _AskedAbout()
    if latents is not None:
        number = latent_number(name)
        if number is None:
            raise InspectionError(
                f"latents are looked at, and '{name}' is none; write {LATENT}:12, or leave "
                f"{named('quantity', LATENT)} out"
            )
        latents.target(number)  # Refuses one that cannot be held, before all the reading.
        return _AskedAbout(column=number)
    bare = split_neuron(name)
    if bare is not None or targets is None:
        layer, unit = parse_neuron(
            name,
            num_layers=config.num_layers,
            hidden_size=config.hidden_size,
            quantity=options.quantity,
        )
        quantity = None if bare is None else bare[2]
        return _AskedAbout(quantity=quantity, column=layer * config.hidden_size + unit)
    target = targets(name)
    if options.quantity not in (None, target.quantity):
        raise InspectionError(
            f"'{name}' is of the {target.quantity} state; leave "
            f"{named('quantity', options.quantity)} out"
        )
    if target.unit is None:
        return _AskedAbout(quantity=target.quantity, target=target, saved_as=name)
    column = target.layer * config.hidden_size + target.unit
    return _AskedAbout(quantity=target.quantity, column=column, saved_as=name)


def make_examples(
    saved: SavedModel,
    task: LabelledTexts | PositionTask,
    options: FindOptions,
    rng: np.random.Generator,
) -> Examples:
    """The labelled examples of a task for a model; `CorpusError` if there are too few."""
    if isinstance(task, LabelledTexts):
        return text_examples(
            task,
            saved.vocabulary,
            saved.normalization,
            protocol=options.protocol,
            held_out=options.held_out,
            rng=rng,
            limit=options.texts_limit,
            chars=options.chars or None,
        )
    return position_examples(
        task.ids,
        task.holds,
        task.name,
        saved.vocabulary,
        held_out=options.held_out,
        rng=rng,
        count=options.positions,
    )


def _quantity(saved: SavedModel, name: str | None) -> str:
    cell = saved.config.cell_spec
    carried = [each for each in quantities(cell) if each in STATES]
    if name is not None and name not in carried:
        choices = " or ".join(named("quantity", each) for each in (*carried, LATENT))
        raise InspectionError(
            f"'{name}' is no state of {cell.name} cells that is carried on, so it cannot be held "
            f"and its ablation would show nothing; choose {choices}"
        )
    if saved.config.num_layers * saved.config.hidden_size < 2:
        raise InspectionError("the model has a single neuron, so there is nothing to choose from")
    return chosen_quantity(cell, name)


@progress_task("counting what could be found")
def _data(
    task: LabelledTexts | PositionTask,
    examples: Examples,
    tokens: int,
    selector: Selector,
    quantity: str,
    options: FindOptions,
) -> dict[str, object]:
    """What the report says about the question, the examples and their split."""
    share = float(examples.labels_N[examples.held_out_N].mean())
    shown = LATENT if options.quantity == LATENT else quantity
    independent = examples.counts(examples.independent_N)
    read = task if isinstance(task, LabelledTexts) else None
    notes = [*(() if read is None else read.notes), *examples.notes]
    if not selector.can_find(examples.labels_N):
        train, test = independent["train"], independent["held_out"]
        notes.append(
            f"too few independent examples for any neuron to be found: {train['positive']:,} + and "
            f"{train['negative']:,} - to choose on, {test['positive']:,} + and "
            f"{test['negative']:,} - to measure on; give more text, or look for a property that "
            "changes more often"
        )
    return {
        "task": "positions" if read is None else "texts",
        "source": task.source,
        "encodings": [] if read is None else list(read.encodings),
        "positive": examples.positive,
        "negative": examples.negative,
        "protocol": examples.protocol,
        "features": describe_protocol(examples.protocol, shown),
        "quantity": shown,
        "counts": examples.counts(),
        "tokens": tokens,
        "units": selector.units,
        "split": {
            "held_out": options.held_out,
            "validation": int((examples.part_N == VALIDATION).sum()),
            "fit": int((examples.part_N == FIT).sum()),
            "measured_on": int((examples.part_N == HELD_OUT).sum()),
            "independent": independent["held_out"],
            "independent_train": independent["train"],
            "rng": options.rng,
        },
        "chance": {"accuracy": 0.5, "auc": 0.5, "majority": max(share, 1.0 - share)},
        "accuracy": "mean of the two kinds' accuracies",
        "notes": notes,
    }


def open_task(
    asked: PropertyOptions,
    read: Callable[[], LongText],
    *,
    encoding: str | None = None,
    encoding_errors: str = "strict",
) -> LabelledTexts | PositionTask:
    """The texts, or the characters of the text that `read` reads, that have a property or not.

    The encoding is that of files of texts, as in `read_labels`.

    Raises:
        ConfigError: There is no such feature, or the pattern is not a regular expression.
        CorpusError: The files do not hold texts of two kinds.
    """
    files: dict[str, Any] = {"encoding": encoding, "encoding_errors": encoding_errors}
    if asked.labels is not None:
        return read_labels(Path(asked.labels), positive=asked.positive_label, **files)
    if asked.positive is not None and asked.negative is not None:
        positive, negative = Path(asked.positive), Path(asked.negative)
        return read_two_files(positive, negative, mode=asked.texts, **files)
    if asked.feature is not None:
        holds, name = feature_property(asked.feature)
    else:
        assert asked.regex is not None
        holds, name = regex_property(asked.regex), f"inside {asked.regex}"
        # A broken pattern is refused before anything is read.
        holds("")
    text = read()
    return PositionTask(ids=text.ids, holds=holds, name=name, source=text.name)
