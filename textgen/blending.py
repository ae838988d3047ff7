"""Several models that write one text together: the library, as `textgen.api` is of one model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from math import fsum, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.api import Model, TrainResult, load
from textgen.arguments import checked
from textgen.checkpoint import ModelHeader
from textgen.corpus.vocabulary import END_ID, Ids
from textgen.errors import ConfigError, named
from textgen.keywords import StrPath
from textgen.model.network import StepNetwork
from textgen.notebook import Part
from textgen.runtime import Choice
from textgen.sampling import (
    BlendedNetwork,
    BlendedNetworks,
    SampleOptions,
    UnitedSymbols,
    no_blended_steering,
)
from textgen.sampling.items import known_items
from textgen.sampling.networks import seen_by
from textgen.sampling.seed import first_few, shown
from textgen.steering import Steering
from textgen.table import Table
from textgen.terminal.humanize import percent, plural
from textgen.writing_model import Steer, WritingModel


@checked()
def blend(
    *checkpoints: StrPath | Model | TrainResult,
    weights: Sequence[float] | None = None,
    alternate: bool = False,
) -> BlendedModel:
    """Models that write one text together.

    At each symbol their probabilities are added up, each times its weight. The symbols are those of
    all models; one that a model lacks has probability 0 there, and is read by that model as it
    reads a seed: as the nearest form that it has, or not at all. A text is begun, and ends, as
    those of the first model that knows where documents end, else as those of the first.

    Args:
        checkpoints: At least two models, as for `load`.
        weights: What share each has, 0.7 and 0.3 or 7 and 3; None: equal ones.
        alternate: Let one model at a time choose, a word each in turn: all of them read the text,
            and at a space the next one goes on. The weights are then the shares of the words.
    Raises:
        ConfigError: There are fewer than two models, their symbols cannot be united, or one was
            trained on pairs; or there is not one weight above 0 for each.
        StorageError: One of them is not there.
    Example:
        >>> textgen.blend("plays", "novels", weights=[0.7, 0.3]).generate("Once", length=200)
    """
    models = [load(checkpoint) for checkpoint in checkpoints]
    if len(models) < 2:
        raise ConfigError(f"{len(models)} model was named; two or more write a text together")
    if any(model.saved.reads_pairs for model in models):
        raise ConfigError("a model of pairs writes targets, and no text together with another")
    return BlendedModel(models, _shares(weights, len(models)), alternate=alternate)


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """The weights of so many models; they sum to 1."""
    given = [1.0] * count if weights is None else list(weights)
    if len(given) != count:
        raise ConfigError(
            f"{named('weights')} has {plural(len(given), 'number')}, and there are {count} models; "
            "give one for each"
        )
    if not all(isinstance(weight, int | float) and 0 < weight < float("inf") for weight in given):
        raise ConfigError(
            f"{named('weights')} is {given!r:.60}; each must be a number above 0. A model that is "
            "to have no share is left out"
        )
    total = fsum(given)
    if not isfinite(total):
        raise ConfigError(f"{named('weights')} has numbers that are too large; give shares of 1")
    return [weight / total for weight in given]


@dataclass(frozen=True)
class BlendedPart:
    """A model among those that write a text.

    Args:
        model: The model.
        weight: Its share.
        lacking: The symbols of the others that it lacks, and as what it reads each; "" is nothing.
    """

    model: Model
    weight: float
    lacking: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"checkpoint": str(self.model.path), "weight": self.weight, "lacking": self.lacking}


class BlendedModel(WritingModel):
    """Several models that write one text; `textgen.blend` makes it.

    Args:
        models: The models.
        weights: The share of each; they sum to 1.
        alternate: Whether they write a word each in turn.
    Raises:
        ConfigError: Their symbols cannot be united.
    """

    def __init__(
        self, models: Sequence[Model], weights: Sequence[float], *, alternate: bool = False
    ) -> None:
        self._symbols = UnitedSymbols([model.vocabulary for model in models])
        self._weights = list(weights)
        self.alternate = alternate
        #: Which models, how much each has to say, and what each lacks.
        self.members = [
            BlendedPart(model, weight, self._symbols.lacking(number))
            for number, (model, weight) in enumerate(zip(models, weights, strict=True))
        ]
        networks = BlendedNetworks([model.networks for model in models], self._blend)
        super().__init__(self._header(models), networks)

    def _header(self, models: Sequence[Model]) -> ModelHeader:
        """How texts are read and where they end: as by the first that knows where they do."""
        lead = next((place for place, one in enumerate(models) if one.saved.writes_documents), 0)
        saved, places = models[lead].saved, self._symbols.places[lead]
        vocabulary = self._symbols.vocabulary
        return ModelHeader(
            config=replace(saved.config, vocab_size=len(vocabulary)),
            vocabulary=vocabulary,
            normalization=saved.normalization,
            primer=tuple(int(places[token]) for token in saved.primer),
            # Each model has its own history.
            info={name: told for name, told in saved.info.items() if name != "history"},
        )

    def __reduce__(self) -> tuple[Any, ...]:
        models = [part.model for part in self.members]
        return _again, (models, self._weights, self.alternate)

    @property
    def headline(self) -> str:
        """The models and their weights."""
        how = "in turn, a word each" if self.alternate else "mixed"
        parts = (f"{part.weight:.2g} {part.model.path}" for part in self.members)
        return f"{len(self.members)} models, {how}: {'; '.join(parts)}"

    def parts(self) -> Iterable[Part]:
        """The models, a row each."""
        yield Table.from_records(
            ("checkpoint", "weight", "symbols"),
            [
                {
                    "checkpoint": str(part.model.path),
                    "weight": part.weight,
                    "symbols": len(part.model.vocabulary),
                }
                for part in self.members
            ],
        )

    def describe(self) -> list[str]:
        """The models, a line each: its share, and what it lacks of the symbols of all."""
        what = "words" if self.alternate else "probability"
        return [
            f"{percent(part.weight)} of the {what}: {part.model.path}{_lacks(part.lacking)}"
            for part in self.members
        ]

    def to_json(self) -> dict[str, Any]:
        """The models and how they write, as plain data."""
        return {
            "alternate": self.alternate,
            "models": [part.to_json() for part in self.members],
        }

    def _options(self, settings: Mapping[str, Any]) -> SampleOptions:
        """As for one model; a history that is not given is that of each model."""
        return replace(super()._options(settings), history=settings.get("history"))

    def choose_mix(self, *, is_steered: bool = False, history: int | None = None) -> Choice:
        """As for one model; counts are mixed in where each of the models does it."""
        for part in self.members:
            choice = part.model.choose_mix(is_steered=is_steered, history=history)
            if not choice.value:
                return Choice("mix", False, f"{part.model.path}: {choice.reason}")
        return Choice("mix", True, "each mixture predicts its validation text better")

    def network_for(self, options: SampleOptions, *, together: bool = False) -> StepNetwork:
        """What writes one text, or many together; each model as it writes by itself.

        Raises:
            ConfigError, BackendError: As `Model.mixture`, where the options ask for it; a model
                lacks the label that they name, or the label has a schedule.
        """
        networks = []
        for part in self.members:
            # One that is given is given to each of them, by `seen_by` of the blend.
            history = part.model.saved.history if options.history is None else 0
            own = replace(options, history=history, label=None)
            label = options.label
            model = part.model if label is None else part.model.labelled(label)
            networks.append(seen_by(model.network_for(own, together=together), own))
        return self._blend(networks)

    def _blend(self, networks: Sequence[StepNetwork]) -> BlendedNetwork:
        return BlendedNetwork(networks, self._symbols, self._weights, alternate=self.alternate)

    def _plan(self, steer: Steer | None) -> Steering | None:
        if steer:
            raise no_blended_steering()
        return None

    def line_end_words(self) -> Sequence[str]:
        words = zip_longest(*(part.model.line_end_words() for part in self.members))
        return list(dict.fromkeys(word for word in chain.from_iterable(words) if word is not None))

    def _training_tokens(self, path: str | None) -> Ids:
        """The training texts one after another, in the symbols of all models.

        A path is that of a folder with all of them.
        """
        if path is not None:
            return known_items(self.saved, path).tokens
        texts: list[NDArray[np.int64]] = []
        for part, places in zip(self.members, self._symbols.places, strict=True):
            tokens = known_items(part.model.saved, None).tokens
            texts += [places[[END_ID]], places[np.asarray(tokens)]]
        joined: Ids = np.concatenate(texts).astype(self.vocabulary.dtype)
        return joined


def _lacks(lacking: Mapping[str, str]) -> str:
    """Which symbols a model lacks, for the end of a line."""
    if not lacking:
        return ""
    read = [f"{shown(symbol)} as {shown(form)}" for symbol, form in lacking.items() if form]
    parts = [f"reads {', '.join(first_few(read))}"] if read else []
    if dropped := len(lacking) - len(read):
        parts.append(f"does not read {plural(dropped, 'symbol')}")
    return f" ({'; '.join(parts)})"


def _again(models: Sequence[Model], weights: Sequence[float], alternate: bool) -> BlendedModel:
    return BlendedModel(models, weights, alternate=alternate)
