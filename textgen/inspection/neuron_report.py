"""The report on neurons, as plain data: JSON, a table, arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.inspection.neuron_stats import NeuronStats
from textgen.inspection.passages import Passage
from textgen.notebook import Excerpts, Part, Shown
from textgen.table import Column, Entry, Table
from textgen.terminal.humanize import number, plural

#: What JSON calls a figure of `NeuronStats`.
_SHORT = {"minimum": "min", "maximum": "max"}


@dataclass(frozen=True)
class Saturation:
    """Shares of time in which a gate is at one of its ends.

    Args:
        closed: Below 0.1.
        open: Above 0.9.
    """

    closed: float
    open: float


@dataclass(frozen=True)
class FeatureScore:
    """How strongly a neuron is associated with one feature.

    Args:
        feature: Its name.
        graded: Whether it is a number.
        chosen: Correlation on the text that chooses; None where either is constant.
        correlation: Correlation on the other text, which did not choose.
        auc: There, for a binary feature: how often a value where it is true exceeds one where it
            is false, 0.5 for no difference; to within a 64th of the range.
    """

    feature: str
    graded: bool
    chosen: float | None
    correlation: float | None
    auc: float | None

    def holds(self, threshold: float) -> bool:
        """Whether the correlation reaches `threshold` where it was not chosen, with its sign."""
        if self.chosen is None or self.correlation is None:
            return False
        return abs(self.correlation) >= threshold and self.chosen * self.correlation > 0

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {name: value for name, value in vars(self).items() if name != "graded"}


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronFigures:
    """The figures of one neuron.

    Args:
        stats: Its distribution.
        saturation: The saturation of a gate; None for anything else.
        scores: How strongly it is associated with each built-in feature, in their order.
    """

    stats: NeuronStats
    saturation: Saturation | None
    scores: tuple[FeatureScore, ...]

    @property
    def best(self) -> FeatureScore | None:
        """The feature that correlates most with the neuron on the half that chooses.

        None where the neuron or every feature is constant on a half.
        """
        usable = (s for s in self.scores if s.chosen is not None and s.correlation is not None)
        return max(usable, key=lambda score: abs(score.chosen or 0.0), default=None)


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronProfile(NeuronFigures):
    """All that is reported of one neuron.

    Args:
        follows: `best` if it held on the other text, else None; None too where the text is too
            short to say.
        histogram: How many of its values lie in each bin, `(bins,)`.
        highest: Passages in which it is highest, the highest first.
        lowest: Passages in which it is lowest, the lowest first.
    """

    follows: FeatureScore | None
    histogram: NDArray[np.int64]
    highest: tuple[Passage, ...]
    lowest: tuple[Passage, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        stats = self.stats
        return {
            "name": stats.name,
            **{_SHORT.get(name, name): value for name, value in vars(stats).items()},
            "saturation": None
            if self.saturation is None
            else {"below_0.1": self.saturation.closed, "above_0.9": self.saturation.open},
            "follows": None if self.follows is None else self.follows.feature,
            "best": None if self.best is None else self.best.to_dict(),
            "scores": [score.to_dict() for score in self.scores],
            "histogram": self.histogram.tolist(),
            "highest": [passage.to_dict() for passage in self.highest],
            "lowest": [passage.to_dict() for passage in self.lowest],
        }

    def ranked(self) -> tuple[Table, int | None]:
        """The scores, the highest correlation first, as people read them; the row of the best."""
        scores = sorted(self.scores, key=lambda score: -abs(score.correlation or 0.0))
        table = Table.from_records(
            (
                "feature",
                Column("chosen", "r choosing", "+.2f"),
                Column("correlation", "r held out", "+.2f"),
                Column("auc", "AUC", ".3f"),
            ),
            map(vars, scores),
        )
        return table, None if self.best is None else scores.index(self.best)

    def entries(self) -> tuple[Entry, ...]:
        """The row of `NeuronReport.table`."""
        best, gate = self.best, self.saturation
        return (
            *vars(self.stats).values(),
            *((None, None) if gate is None else (gate.closed, gate.open)),
            None if self.follows is None else self.follows.feature,
            *(
                (None,) * 4
                if best is None
                else (best.feature, best.chosen, best.correlation, best.auc)
            ),
            *_passage_entries(self.highest),
            *_passage_entries(self.lowest),
        )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NeuronReport(Shown):
    """Some neurons of a model over a text.

    Args:
        quantity: What was read of the neurons.
        seen: What correlations, AUC and histogram are of: `tanh(c)` for `cell`, else the quantity.
        tokens: Tokens read.
        chosen_on: Tokens on which features were chosen.
        scored_on: Tokens on which the choice was scored.
        stretch: Length of the stretches that choose and score alternately.
        threshold: The correlation from which on a neuron follows a feature.
        enough: The fewest tokens of a text that shows what a neuron follows.
        total: Neurons surveyed, of which `profiles` may be a few.
        edges: The edges of the bins of every histogram, `(bins + 1,)`.
        profiles: The neurons, in order.
    """

    quantity: str
    seen: str
    tokens: int
    chosen_on: int
    scored_on: int
    stretch: int
    threshold: float
    enough: int
    total: int
    edges: NDArray[np.float64]
    profiles: tuple[NeuronProfile, ...]

    @property
    def headline(self) -> str:
        """Which neurons, and how many of them follow a feature."""
        following = sum(profile.follows is not None for profile in self.profiles)
        told = "the text is too short" if self.too_short else f"{following:,} follow a feature"
        return (
            f"{self.quantity} of {len(self.profiles):,} of {plural(self.total, 'neuron')} over "
            f"{plural(self.tokens, 'token')}; {told}"
        )

    def parts(self) -> Iterable[Part]:
        """The overview; below it each neuron where it is highest, and lowest."""
        yield self.overview()
        for name in ("highest", "lowest"):
            yield self._places(name)

    def _places(self, which: str) -> Excerpts:
        """Where each neuron has its highest or its lowest value."""
        from textgen.terminal.excerpt import ContextLine

        lines = [
            ContextLine(
                (profile.stats.place, number(first.value)),
                first.before + first.at,
                first.after,
                marked=len(first.at),
            )
            for profile in self.profiles
            for first in getattr(profile, which)[:1]
        ]
        return Excerpts(("neuron", which), lines)

    @property
    def too_short(self) -> bool:
        """Whether the text is too short to say what a neuron follows."""
        return self.tokens < self.enough

    def overview(self) -> Table:
        """A row for each neuron as people read it: figures, and what it follows."""
        gates = any(profile.saturation for profile in self.profiles)
        rows: list[tuple[Entry, ...]] = []
        for profile in self.profiles:
            stats, gate, follows = profile.stats, profile.saturation, profile.follows
            shares = (None, None) if gate is None else (gate.closed, gate.open)
            rows.append(
                (
                    *(stats.place, stats.mean, stats.sd),
                    *(shares if gates else ()),
                    *(
                        ("too short" if self.too_short else "nothing", None)
                        if follows is None
                        else (follows.feature, follows.correlation)
                    ),
                )
            )
        shares_columns = (
            Column("below_0.1", "<0.1", ".0%"),
            Column("above_0.9", ">0.9", ".0%"),
        )
        return Table(
            (
                "neuron",
                Column("mean", format=number),
                Column("sd", format=".2g"),
                *(shares_columns if gates else ()),
                "follows",
                Column("correlation", "r", "+.2f"),
            ),
            rows,
        )

    def facts(self, profile: NeuronProfile) -> list[str]:
        """What is said of one of the neurons, in sentences."""
        stats, gate, best = profile.stats, profile.saturation, profile.best
        facts = []
        if self.seen != self.quantity:
            facts.append(
                f"spread of {self.seen}, which the rest of the network sees: {stats.effect:.3g}"
            )
        if gate is not None:
            facts.append(f"below 0.1: {gate.closed:.1%} of the time; above 0.9: {gate.open:.1%}")
        on = f"on {self.scored_on:,} tokens that did not choose it"
        if self.too_short:
            facts.append(
                f"the text is too short to say what it follows: {self.tokens:,} tokens; "
                f"{self.enough} are needed"
            )
        elif profile.follows is not None:
            facts.append(
                f"follows {profile.follows.feature}: r {profile.follows.correlation:+.2f} {on}"
            )
        elif best is not None:
            facts.append(
                f"follows nothing: {best.feature}, the best, has r {best.correlation:+.2f} {on}"
            )
        else:
            facts.append("follows nothing: it, or every feature, is constant on half of the text")
        return facts

    def to_json(self) -> dict[str, Any]:
        """Ready for `json.dumps`: no NaN, no arrays; an endless edge is None."""
        return {
            **{name: value for name, value in vars(self).items() if name != "profiles"},
            "edges": [float(edge) if np.isfinite(edge) else None for edge in self.edges],
            "neurons": [profile.to_dict() for profile in self.profiles],
        }

    def table(self) -> Table:
        """A row for each neuron: figures, the feature chosen, the highest and lowest passage."""
        return Table(
            (
                *("layer", "unit", "quantity", "mean", "sd", "min", "max", "effect"),
                *("below_0.1", "above_0.9", "follows", "best", "chosen", "correlation", "auc"),
                *("highest", "highest_place", "highest_passage"),
                *("lowest", "lowest_place", "lowest_passage"),
            ),
            (profile.entries() for profile in self.profiles),
        )

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """One row for each neuron (M): figures `(M,)`, scores `(M, features)`, `(M, bins)`.

        What is not known is not a number; a place that is not there is -1.
        """
        profiles = self.profiles
        most = max((max(len(p.highest), len(p.lowest)) for p in profiles), default=0)

        def figures(name: str) -> NDArray[np.float64]:
            return np.array([getattr(p.stats, name) for p in profiles], np.float64)

        def scores(name: str) -> NDArray[np.float64]:
            # None becomes not a number.
            rows = [[getattr(score, name) for score in p.scores] for p in profiles]
            return np.array(rows, np.float64)

        def shares(name: str) -> NDArray[np.float64]:
            return np.array(
                [np.nan if p.saturation is None else getattr(p.saturation, name) for p in profiles]
            )

        arrays: dict[str, NDArray[np.generic]] = {
            **{name: figures(name).astype(np.int64) for name in ("layer", "unit")},
            "quantity": np.array(self.quantity),
            **{name: figures(name) for name in ("mean", "sd", "minimum", "maximum", "effect")},
            "below_0.1": shares("closed"),
            "above_0.9": shares("open"),
            "features": np.array([s.feature for p in profiles[:1] for s in p.scores], np.str_),
            "best": np.array([p.best.feature if p.best else "" for p in profiles], np.str_),
            "follows": np.array(
                [p.follows.feature if p.follows else "" for p in profiles], np.str_
            ),
            **{name: scores(name) for name in ("chosen", "correlation", "auc")},
            "edges": self.edges,
            "histogram": np.array([p.histogram for p in profiles], np.int64),
        }
        for side in ("highest", "lowest"):
            places = np.full((len(profiles), most), -1, np.int64)
            values = np.full((len(profiles), most), np.nan)
            for row, profile in enumerate(profiles):
                for column, passage in enumerate(getattr(profile, side)):
                    places[row, column] = passage.place
                    values[row, column] = passage.value
            arrays[f"{side}_place"] = places
            arrays[f"{side}_value"] = values
        return arrays


def _passage_entries(passages: Sequence[Passage]) -> tuple[Entry, Entry, Entry]:
    if not passages:
        return None, None, None
    first = passages[0]
    return first.value, first.place, f"{first.before}{first.at}"
