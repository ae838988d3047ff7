"""Which neurons of a model carry a property, and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from textgen.checkpoint import SavedModel
from textgen.corpus.vocabulary import Ids
from textgen.errors import ConfigError, InspectionError, named
from textgen.inspection.trace import check_quantity, default_quantity
from textgen.probing import controls
from textgen.probing.controls import Case
from textgen.probing.direction import KINDS, find_direction
from textgen.probing.examples import FIT, HELD_OUT, VALIDATION, Examples
from textgen.probing.labels import LabelledTexts
from textgen.probing.machine import open_machine
from textgen.probing.positions import Property, position_examples
from textgen.probing.probe import fit_probe, require_sklearn, score_of
from textgen.probing.reading import STATES, OnTokens, read_features
from textgen.probing.report import FindReport, describe_protocol, make_neuron
from textgen.probing.selection import ALPHA, Selector
from textgen.probing.texts import text_examples
from textgen.progress import task as progress_task
from textgen.runtime import choose_threads

#: Called with what is being done, steps of it done, and steps in all.
OnProgress = Callable[[str, int, int], object]

TEXT_PROTOCOLS = ("mean", "final")


@dataclass(frozen=True, kw_only=True)
class PositionTask:
    """A property of places in a corpus.

    Args:
        ids: The corpus, in the model's tokens; documents are separated by end marks.
        holds: Whether the property holds at each character of a text.
        name: What it is called.
        source: Where the corpus is from, for reports.
    """

    ids: Ids
    holds: Property
    name: str
    source: str


@dataclass(frozen=True, kw_only=True)
class FindOptions:
    """How to look.

    Args:
        quantity: `cell` or `hidden`; None: the model's default one.
        protocol: For whole texts `mean` (over the text; the default, because the state at the end
            of a text follows its last words more than the text: Donnelly and Roegiest 2019) or
            `final` (the state after the text: Radford et al. 2017).
        held_out: Share that figures are measured on, and nothing is chosen on.
        rng: Seed of the split and of every draw.
        alpha: Chance of any finding where there is nothing.
        positions: Positions of a corpus at most.
        texts_limit: Texts at most; None: all.
        chars: Characters read at most of each text; None: all.
        direction: Also make a direction that can be steered along: `probe` or `difference`.
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
    """Look for the neurons that carry a property, with a probe and the controls beside them.

    Everything is chosen on a training part of the examples and measured on the rest. What is
    compared is what the rest of the network sees of a neuron: `tanh` of a cell state.

    Args:
        saved: The model.
        task: Labelled texts, or a property of places in a corpus.
        options: How to look; None: the defaults.
        on_progress: Called as it goes on.
    Returns:
        The neurons found, the probe, the controls.
    Raises:
        BackendError: scikit-learn is missing.
        InspectionError: The model has no such quantity, or it cannot be held and so not ablated.
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
    machine = open_machine(saved.config, saved.weights, threads)

    def tokens(phase: str) -> OnTokens:
        return lambda done, total: progress(phase, done, total)

    features = read_features(machine, examples, quantity, on_tokens=tokens("reading"))
    if not np.isfinite(features.raw_NU).all():
        raise InspectionError(
            "the network's states grow beyond all numbers on these texts, so nothing can be "
            "compared; look at shorter ones: --chars 1000"
        )
    progress("choosing units", 0, 1)
    with progress_task("choosing units"):
        selector = Selector(features.seen_NU, examples, options.alpha)
        table = selector.find(examples.labels_N)
    neurons = [
        make_neuron(
            table, column, saved.config.hidden_size, quantity, features.mean_U, features.sd_U
        )
        for column in [
            table.chosen,
            *sorted(
                np.flatnonzero(table.found_U).tolist(), key=lambda column: -table.auc_U[column]
            ),
        ]
    ]
    chosen, found = neurons[0], neurons[1:]
    # Before the controls, because there may be none, and they take long.
    direction = None
    if options.direction is not None:
        progress("making the direction", 0, 1)
        with progress_task("making the direction"):
            direction = find_direction(
                options.direction, machine, examples, features, quantity, selector
            )
    progress("fitting the probe", 0, 1)
    with progress_task("fitting the probe"):
        probe = fit_probe(features.seen_NU, examples.labels_N, examples.part_N)
    test = selector.test
    probe_score = score_of(probe.scores(features.seen_NU[test]), examples.labels_N[test])
    case = Case(
        examples=examples,
        features=features,
        selector=selector,
        probe=probe,
        probe_score=probe_score,
        neuron=chosen,
        column=table.chosen,
        threshold=float(table.threshold_U[table.chosen]),
        quantity=quantity,
        machine=machine,
        vocabulary=saved.vocabulary,
        rng=rng,
    )
    done = []
    for number, (name, measure) in enumerate(
        (
            ("permuted labels", controls.permuted),
            ("a probe on random units", controls.random_100_probe),
            ("the best of random units", controls.random_100_best),
            (
                "an untrained network",
                lambda case: controls.untrained(
                    case, options.rng + 1, threads, tokens("reading, untrained")
                ),
            ),
            ("n-grams", controls.ngram),
            ("chance positions", controls.chance_positions),
            ("ablation", lambda case: controls.ablation(case, tokens("reading, ablated"))),
        )
    ):
        progress(name, number, 7)
        with progress_task(name):
            done.append(measure(case))
    return FindReport(
        neurons=tuple(found),
        chosen=chosen,
        probe=probe,
        probe_score=probe_score,
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
    """The examples of a task for a model, split.

    Raises:
        CorpusError: There are too few.
    """
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
        raise InspectionError("the model has a single unit, so there is nothing to choose among")
    if quantity not in STATES:
        there = [name for name in ("cell", "hidden") if STATES[name] in cell.state_names]
        raise InspectionError(
            f"'{quantity}' is computed anew at each step and cannot be held still, so its ablation "
            f"would say nothing; look in a state that is carried: --show {' or '.join(there)}"
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
    labels = examples.labels_N[examples.held_out_N]
    share = float(labels.mean())
    alone = {
        part: {
            name: int((examples.independent_N & part_N & (examples.labels_N == kind)).sum())
            for name, kind in (("positive", True), ("negative", False))
        }
        for part, part_N in (("train", examples.train_N), ("held_out", examples.held_out_N))
    }
    notes = list(examples.notes)
    if not selector.can_find(examples.labels_N):
        train, test = alone["train"], alone["held_out"]
        notes.append(
            f"too few independent examples for any unit to be found: {train['positive']:,} + and "
            f"{train['negative']:,} - to choose on, {test['positive']:,} + and "
            f"{test['negative']:,} - to measure on; give more text, or look for what changes more "
            "often"
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
            "independent": alone["held_out"],
            "independent_train": alone["train"],
            "rng": options.rng,
        },
        "chance": {"accuracy": 0.5, "auc": 0.5, "majority": max(share, 1.0 - share)},
        "accuracy": "mean of the two kinds' accuracies",
        "notes": notes,
    }
