"""The search for the neurons of a model that carry a property."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from textgen.checkpoint import SavedModel
from textgen.corpus.vocabulary import Ids
from textgen.errors import ConfigError, InspectionError, named
from textgen.inspection.trace import check_quantity, default_quantity
from textgen.model.engine import open_reader
from textgen.probing import controls
from textgen.probing.activations import STATES, OnTokens, read_features
from textgen.probing.controls import ControlInput
from textgen.probing.direction import KINDS, find_direction
from textgen.probing.examples import (
    FIT,
    HELD_OUT,
    VALIDATION,
    Examples,
    Property,
    position_examples,
    text_examples,
)
from textgen.probing.find_report import Control, FindReport, describe_protocol, make_neuron
from textgen.probing.labels import LabelledTexts
from textgen.probing.probe import fit_probe, require_sklearn
from textgen.probing.unit_selection import ALPHA, Selector
from textgen.progress import task as progress_task
from textgen.runtime import choose_threads

#: Called with the name of the current phase, its steps done and its steps in all.
OnProgress = Callable[[str, int, int], object]

TEXT_PROTOCOLS = ("mean", "final")


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


@dataclass(frozen=True, kw_only=True)
class FindOptions:
    """The settings of a search.

    Args:
        quantity: The state to look at, `cell` or `hidden`; None: the model's default.
        protocol: What stands for a text: `mean` (the mean over the text, the default, because the
            state at the end of a text follows its last words more than the whole text: Donnelly and
            Roegiest 2019) or `final` (the state after the text: Radford et al. 2017).
        held_out: Share of the examples that is only measured on.
        rng: Seed of the split and of every draw.
        alpha: Chance of finding anything where there is nothing.
        positions: The most positions of a corpus to use.
        texts_limit: The most texts to use; None: all.
        chars: The most characters to read of each text; None: all.
        direction: Also make a direction to steer along: `probe` or `difference`.
        threads: Computing threads; None: all cores.
    Raises:
        ConfigError: A value is out of range.
    """

    quantity: str | None = None
    protocol: str = "mean"
    held_out: float = 0.3
    rng: int = 0
    alpha: float = ALPHA
    positions: int = 8000
    texts_limit: int | None = None
    chars: int | None = None
    direction: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.protocol not in TEXT_PROTOCOLS:
            raise ConfigError(
                f"{named('protocol')} is '{self.protocol}'; choose mean (over the text) or final "
                "(after it)"
            )
        if not 0.05 <= self.held_out <= 0.9:
            raise ConfigError(
                f"{named('held_out')} is {self.held_out}; give a share from 0.05 to 0.9"
            )
        if not 0.0 < self.alpha < 1.0:
            raise ConfigError(f"alpha is {self.alpha}; give a probability, such as 0.05")
        if self.direction is not None and self.direction not in KINDS:
            raise ConfigError(
                f"{named('direction')} is '{self.direction}'; choose one of: {', '.join(KINDS)}"
            )
        if self.rng < 0:
            raise ConfigError(f"{named('rng')} is {self.rng}; it must be 0 or more")
        for name, value, least in (
            (named("positions"), self.positions, 100),
            (named("texts_limit"), self.texts_limit, 1),
            (named("chars"), self.chars, 1),
        ):
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}; it must be at least {least}")


def find(
    saved: SavedModel,
    task: LabelledTexts | PositionTask,
    options: FindOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> FindReport:
    """Find the neurons that carry a property, with a probe and controls.

    Everything is chosen on a training part of the examples and measured on the rest. Compared is
    the visible value of a neuron, which the rest of the network reads: `tanh` of a cell state.

    Args:
        saved: The model.
        task: Labelled texts, or a property of places in a corpus.
        options: The settings; None: the defaults.
        on_progress: Called with the progress.
    Returns:
        The neurons found, the probe and the controls.
    Raises:
        BackendError: scikit-learn is missing.
        InspectionError: The model has no such quantity, or its values cannot be clamped.
        CorpusError: There are too few examples.
    """
    require_sklearn()
    options = options or FindOptions()
    quantity = _quantity(saved, options.quantity)
    rng = np.random.default_rng(options.rng)
    threads = choose_threads(options.threads).value
    progress = on_progress or (lambda phase, done, total: None)
    with progress_task("choosing examples"):
        examples = make_examples(saved, task, options, rng)
    network = open_reader(saved.config, saved.weights, threads)

    def tokens(phase: str) -> OnTokens:
        return lambda done, total: progress(phase, done, total)

    features = read_features(network, examples, quantity, on_tokens=tokens("reading"))
    if not np.isfinite(features.raw_NU).all():
        raise InspectionError(
            "the states of the network become infinite on these texts, so they cannot be "
            f"compared; read less of each text: {named('chars', 1000)}"
        )
    progress("choosing units", 0, 1)
    with progress_task("choosing units"):
        selector = Selector(features.seen_NU, examples, options.alpha)
        table = selector.find(examples.labels_N)
    found = sorted(np.flatnonzero(table.found_U).tolist(), key=lambda unit: -table.auc_U[unit])
    chosen, *neurons = (
        make_neuron(table, unit, saved.config.hidden_size, quantity, features.mean_U, features.sd_U)
        for unit in (table.chosen, *found)
    )
    # Before the controls, which take long: this may fail.
    direction = None
    if options.direction is not None:
        progress("making the direction", 0, 1)
        with progress_task("making the direction"):
            direction = find_direction(
                options.direction, network, examples, features, quantity, selector
            )
    progress("fitting the probe", 0, 1)
    with progress_task("fitting the probe"):
        probe = fit_probe(features.seen_NU, examples.labels_N, examples.part_N)
    test = selector.test
    given = ControlInput(
        examples=examples,
        features=features,
        selector=selector,
        probe=probe,
        probe_score=probe.score(features.seen_NU[test], examples.labels_N[test]),
        neuron=chosen,
        column=table.chosen,
        threshold=float(table.threshold_U[table.chosen]),
        quantity=quantity,
        network=network,
        vocabulary=saved.vocabulary,
        rng=rng,
    )
    measures: dict[str, Callable[[], Control]] = {
        "permuted labels": lambda: controls.permuted(given),
        "a probe on random units": lambda: controls.random_100_probe(given),
        "the best of random units": lambda: controls.random_100_best(given),
        "an untrained network": lambda: controls.untrained(
            given, options.rng + 1, threads, tokens("reading, untrained")
        ),
        "n-grams": lambda: controls.ngram(given),
        "chance positions": lambda: controls.chance_positions(given),
        "ablation": lambda: controls.ablation(given, tokens("reading, ablated")),
    }
    done = []
    for number, (name, measure) in enumerate(measures.items()):
        progress(name, number, len(measures))
        with progress_task(name):
            done.append(measure())
    return FindReport(
        neurons=tuple(neurons),
        chosen=chosen,
        probe=probe,
        probe_score=given.probe_score,
        controls=tuple(done),
        data=_data(task, examples, features.tokens, selector, quantity, options),
        alpha=options.alpha,
        units=table,
        mean_U=features.mean_U,
        sd_U=features.sd_U,
        hidden_size=saved.config.hidden_size,
        quantity=quantity,
        direction=direction,
    )


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
            chars=options.chars,
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
    quantity = default_quantity(cell) if name is None else check_quantity(cell, name)
    if saved.config.num_layers * saved.config.hidden_size < 2:
        raise InspectionError("the model has a single unit, so there is nothing to choose from")
    if quantity not in STATES:
        choices = " or ".join(
            named("quantity", name)
            for name in ("cell", "hidden")
            if STATES[name] in cell.state_names
        )
        raise InspectionError(
            f"'{quantity}' is computed anew at each step and cannot be clamped, so its ablation "
            f"would say nothing; choose a state that is carried on: {choices}"
        )
    return quantity


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
    independent = examples.counts(examples.independent_N)
    notes = list(examples.notes)
    if not selector.can_find(examples.labels_N):
        train, test = independent["train"], independent["held_out"]
        notes.append(
            f"too few independent examples for any unit to be found: {train['positive']:,} + and "
            f"{train['negative']:,} - to choose on, {test['positive']:,} + and "
            f"{test['negative']:,} - to measure on; give more text, or look for a property that "
            "changes more often"
        )
    return {
        "task": "texts" if isinstance(task, LabelledTexts) else "positions",
        "source": task.source,
        "positive": examples.positive,
        "negative": examples.negative,
        "protocol": examples.protocol,
        "features": describe_protocol(examples.protocol, quantity),
        "quantity": quantity,
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
