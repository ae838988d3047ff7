"""The report on a dictionary of latents, as plain data: JSON, a table, arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.inspection.dictionary import Dictionary
from textgen.inspection.neuron_report import FeatureScore, NeuronProfile, NeuronReport
from textgen.notebook import Excerpts, Part, Shown
from textgen.table import Column, Entry, Table
from textgen.terminal.humanize import percent, plural
from textgen.terminal.text import with_signs

#: A latent that acts at a larger share of the places is dense: it says little about any of them.
DENSE = 0.1


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """How much of the states a dictionary keeps.

    Args:
        tokens: How many states were compared.
        variance_explained: 1 minus the squared error by the squared distance from the mean state.
        active: Latents that act at a place, on average.
        bits: Bits per character of the model as it is.
        bits_reconstructed: The same with the reconstruction in place of the state, at each step.
        bits_mean: With the mean state in its place.
        bits_zero: With zero in its place.
        seen: Whether the dictionary was learned from this text, for there was no more of it.
    """

    tokens: int
    variance_explained: float
    active: float
    bits: float
    bits_reconstructed: float
    bits_mean: float
    bits_zero: float
    seen: bool

    @property
    def kept(self) -> float | None:
        """The share of what the mean state loses that the reconstruction keeps."""
        lost = self.bits_mean - self.bits
        return 1.0 - (self.bits_reconstructed - self.bits) / lost if lost > 0.0 else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Latent:
    """One latent of a dictionary.

    Args:
        number: Its number, from 0.
        share: The share of the places where it acts.
        strength: Its mean activation there.
        neuron: The neuron that its direction is nearest to.
        cosine: The cosine between the two.
        likelier: The symbols that become likelier if it acts, and by how much, in probability.
        profile: What it follows and where it is highest.
    """

    number: int
    share: float
    strength: float
    neuron: tuple[int, int]
    cosine: float
    likelier: tuple[tuple[str, float], ...]
    profile: NeuronProfile

    @property
    def name(self) -> str:
        """As it is typed."""
        return self.profile.stats.place

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "latent": self.number,
            "share": self.share,
            "strength": self.strength,
            "nearest_neuron": f"{self.neuron[0]}:{self.neuron[1]}",
            "cosine": self.cosine,
            "likelier": [{"symbol": symbol, "by": by} for symbol, by in self.likelier],
            **self.profile.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class NamedCount:
    """How many directions of one kind follow a built-in feature.

    Args:
        what: The kind: latents, neurons, or a control.
        directions: How many were looked at.
        named: How many follow one: their correlation with it is at least `NAMED`, with the same
            sign, on text that did not choose the feature.
        best: The largest of these correlations, by size; None: nothing could be compared.
        features: How many different features they follow.
    """

    what: str
    directions: int
    named: int
    best: float | None
    features: int


#: A correlation from which on a direction is said to be a feature.
NAMED = 0.5


def named_count(what: str, scores: Iterable[FeatureScore | None]) -> NamedCount:
    """Count those of some directions that follow a feature, by the best score of each."""
    own = list(scores)
    named = [score for score in own if score is not None and score.holds(NAMED)]
    sizes = [abs(score.correlation or 0.0) for score in own if score is not None]
    return NamedCount(
        what=what,
        directions=len(own),
        named=len(named),
        best=max(sizes, default=None),
        features=len({score.feature for score in named}),
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DictionaryReport(Shown):
    """A dictionary of latents over a text.

    Args:
        dictionary: The dictionary.
        learned: Whether it was learned now; False: it was there.
        reconstruction: How much of the states it keeps.
        dead: Latents that acted nowhere.
        dense: Latents that acted at more than a tenth of the places.
        shown: What was measured of the neurons' kind, of which `latents` may be a few.
        latents: The latents that are shown, in order.
        counts: How many directions follow a feature: of the dictionary first, then of the controls.
    """

    dictionary: Dictionary
    learned: bool
    reconstruction: Reconstruction
    dead: int
    dense: int
    shown: NeuronReport
    latents: tuple[Latent, ...]
    counts: tuple[NamedCount, ...]

    @property
    def headline(self) -> str:
        """How many latents, and how well they stand for the states."""
        named = self.counts[0].named
        return (
            f"{self.dictionary.headline}; {self.reconstruction.variance_explained:.1%} of the "
            f"variance explained by {self.reconstruction.active:.1f} at a time, "
            f"{named:,} follow a feature"
        )

    def parts(self) -> Iterable[Part]:
        """What is said of all, the latents, where each is highest, and the controls."""
        yield from self.facts()
        yield self.overview()
        yield self.places()
        if len(self.counts) > 1:
            yield self.controls()

    def facts(self) -> list[str]:
        """What is said of the whole dictionary, in sentences."""
        own, size = self.reconstruction, self.dictionary.size
        kept = "" if own.kept is None else f", so {percent(own.kept)} of the loss is avoided"
        return [
            f"{own.variance_explained:.1%} of the variance of {own.tokens:,} states is explained "
            f"by {own.active:.1f} of {plural(size, 'latent')} at a time",
            *(["it was learned from this text, so on other text it keeps less"] * own.seen),
            f"bits/char with the state as it is {own.bits:.3f}; with the reconstruction in its "
            f"place {own.bits_reconstructed:.3f}, with its mean {own.bits_mean:.3f}, with zero "
            f"{own.bits_zero:.3f}{kept}",
            f"{plural(self.dead, 'latent')} of {size:,} acted nowhere, {self.dense:,} at more than "
            f"{DENSE:.0%} of {self.shown.tokens:,} places",
            f"{self.counts[0].named:,} follow a built-in feature with |r| of at least {NAMED:g} on "
            "text that did not choose it",
        ]

    def overview(self) -> Table:
        """A row for each latent shown, as people read it."""
        rows: list[tuple[Entry, ...]] = []
        for latent in self.latents:
            best = latent.profile.best
            rows.append(
                (
                    latent.name,
                    latent.share,
                    " ".join(with_signs(symbol) for symbol, _ in latent.likelier),
                    f"{latent.neuron[0]}:{latent.neuron[1]}",
                    latent.cosine,
                    best.feature if best else "nothing",
                    best.correlation if best else None,
                )
            )
        return Table(
            (
                "latent",
                Column("share", "acts", ".1%"),
                Column("likelier", "likelier next"),
                Column("nearest_neuron", "neuron"),
                Column("cosine", "cos", "+.2f"),
                Column("best", "feature"),
                Column("correlation", "r", "+.2f"),
            ),
            rows,
        )

    def places(self) -> Excerpts:
        """Where each latent is highest."""
        from textgen.terminal.excerpt import ContextLine

        lines = [
            ContextLine(
                (latent.name, f"{passage.value:.2f}"),
                passage.before + passage.at,
                passage.after,
                marked=len(passage.at),
            )
            for latent in self.latents
            for passage in latent.profile.highest
        ]
        return Excerpts(("latent", "highest"), lines)

    def controls(self) -> Table:
        """How many directions of each kind follow a feature."""
        return Table.from_records(
            (
                Column("what", "directions"),
                Column("directions", "how many"),
                Column("named", f"|r| >= {NAMED:g}"),
                Column("features", "features"),
                Column("best", "best |r|", ".2f"),
            ),
            map(vars, self.counts),
        )

    def to_json(self) -> dict[str, Any]:
        """The whole report as plain data."""
        found, own = self.dictionary, self.reconstruction
        return {
            "layer": found.layer,
            "state": found.state,
            "size": found.size,
            "threshold": found.threshold,
            "learned": self.learned,
            "info": dict(found.info),
            "reconstruction": {**vars(own), "kept": own.kept},
            "dead": self.dead,
            "dense": self.dense,
            "tokens": self.shown.tokens,
            "chosen_on": self.shown.chosen_on,
            "scored_on": self.shown.scored_on,
            "named_from": NAMED,
            "named": [vars(count) for count in self.counts],
            "latents": [latent.to_dict() for latent in self.latents],
        }

    def table(self) -> Table:
        """A row for each latent shown."""
        own = ("latent", "share", "strength", "nearest_neuron", "cosine", "likelier")
        rows: list[tuple[Entry, ...]] = [
            (
                *(latent.number, latent.share, latent.strength),
                f"{latent.neuron[0]}:{latent.neuron[1]}",
                latent.cosine,
                " ".join(symbol for symbol, _ in latent.likelier),
                *latent.profile.entries(),
            )
            for latent in self.latents
        ]
        return Table((*own, *self.shown.table().columns), rows)

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """The dictionary, and the arrays of `NeuronReport` for the latents shown."""
        found = self.dictionary
        return {
            **self.shown.to_arrays(),
            "latent": np.array([latent.number for latent in self.latents], np.int64),
            "share": np.array([latent.share for latent in self.latents]),
            "strength": np.array([latent.strength for latent in self.latents]),
            "center": found.center_H,
            "encoder": found.encoder_KH,
            "bias": found.bias_K,
            "decoder": found.decoder_KH,
            "threshold": np.array(found.threshold),
        }
