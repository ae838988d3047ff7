"""What predicts a text while it is coded: a model as it is, or one that learns from what was coded.

Whoever writes and whoever reads ask a predictor for the same tokens in the same order. So a model
that learns goes through the same weights and the same counts both times: it learns from nothing
that comes later in the text than what it predicts.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np

from textgen.adaptation import AdaptationRule, AdaptingReader, AdaptingTokenReader, GuardedReader
from textgen.checkpoint.model_file import SavedModel
from textgen.compression.container import ORIGIN_BYTES, Learning
from textgen.compression.range_coder import Symbols, Weights
from textgen.corpus.vocabulary import END_ID
from textgen.errors import ConfigError, named
from textgen.mixing import CountMixture, MixedTokenReader, MixtureReader, count_text
from textgen.model.engine import open_network
from textgen.model.native_network import NativeStep
from textgen.model.network import Engine, Floats, StepNetwork, TokenReader, reset
from textgen.sampling.adapted import refuse_adapting
from textgen.sampling.networks import HistoryNetwork
from textgen.sampling.training_part import training_part

#: Logits beyond are as good as these.
_LARGEST = 1e4
#: Tokens of a trial, by which two computations are compared.
_TRIAL = 64


class Predictor(Protocol):
    """What predicts the next token of each part, from all that was read of it so far."""

    def predict(self, previous_B: Symbols) -> Weights:
        """Read one token of each part.

        Args:
            previous_B: The tokens; an end mark begins a document.
        Returns:
            How likely each symbol is to come next, `(B, V)`; rows need not sum to 1.
        """


class Computation(Protocol):
    """What makes predictors, each of which begins a text."""

    @property
    def trial_tokens(self) -> int:
        """Tokens of a text on which all that it computes shows."""

    def predictor(self, *, trial: bool = False) -> Predictor:
        """Begin a text; a trial leaves nothing that another text would be predicted by."""


class StaticPredictor:
    """A network whose weights stay as they are.

    Args:
        network: The model.
        parts: How many parts are read.
    """

    def __init__(self, network: StepNetwork, parts: int) -> None:
        self._network = network
        self._state = network.zero_state(parts)

    def predict(self, previous_B: Symbols) -> Weights:
        """Read one token of each part; see `Predictor.predict`."""
        self._state = reset(self._state, previous_B == END_ID)
        logits_BV, self._state = self._network.step(previous_B, self._state)
        weights_BV = logits_BV.astype(np.float64)
        if not np.isfinite(weights_BV).all():
            np.nan_to_num(weights_BV, False, 0.0, _LARGEST, -_LARGEST)
        return _shares(weights_BV)


class StaticComputation:
    """A model as it is.

    Args:
        saved: The model.
        engine: What computes.
        parts: Parts of a text that are read side by side.
    """

    trial_tokens = _TRIAL

    def __init__(self, saved: SavedModel, engine: Engine, parts: int) -> None:
        self._network = _opened(saved, engine, parts)
        self._parts = parts

    def predictor(self, *, trial: bool = False) -> StaticPredictor:
        """Begin a text; see `Computation.predictor`."""
        return StaticPredictor(self._network, self._parts)


class LearningPredictor:
    """A model that learns from what it reads, which is one text.

    Args:
        reader: The model.
    """

    def __init__(self, reader: TokenReader) -> None:
        self._reader = reader

    def predict(self, previous_B: Symbols) -> Weights:
        """Read one token; see `Predictor.predict`."""
        (token,) = previous_B.tolist()
        return _shares(self._reader.read(token)[None, :].astype(np.float64))


class LearningComputation:
    """A model that learns from one text while it reads it: its weights do, its counts, or both.

    The costs are those of `textgen eval`: the same rule of adaptation, guard, counts and gate.

    Args:
        saved: The model.
        engine: What computes.
        adapting: The network whose weights learn, if they do.
        mixes: Whether there are counts.
        order: The longest context that is counted, in tokens; None: chosen by the training text.
    Raises:
        ConfigError, StorageError: Counts are asked for, and the training text is another one now,
            or is not there.
    """

    def __init__(
        self,
        saved: SavedModel,
        engine: Engine,
        adapting: AdaptingReader | None,
        *,
        mixes: bool,
        order: int | None = None,
    ) -> None:
        self._saved, self._adapting = saved, adapting
        self._mixture: CountMixture | None = None
        origin = hashlib.sha256()
        if adapting is not None:
            _add_rule(origin, adapting.rule)
        if mixes:
            counted = np.ascontiguousarray(training_part(saved).train, "<i4")
            origin.update(counted.view(np.uint8).data)
            counts = count_text(counted, len(saved.vocabulary), order)
            self._mixture = CountMixture.of(counts, len(counted))
        #: What a file says of it.
        self.learning = Learning(
            adapts=adapting is not None,
            order=0 if self._mixture is None else self._mixture.counts.order,
            origin=origin.digest()[:ORIGIN_BYTES],
        )
        self._network = _opened(saved, engine, 1)

    @property
    def trial_tokens(self) -> int:
        """Tokens of a text on which all that it computes shows: a step of the weights, too."""
        return _TRIAL + (0 if self._adapting is None else self._adapting.rule.stretch)

    def predictor(self, *, trial: bool = False) -> LearningPredictor:
        """Begin a text; see `Computation.predictor`. After one that is no trial none can begin."""
        reader: TokenReader = _StillReader(self._network)
        if self._adapting is not None:
            self._adapting.network.load_arrays(self._saved.weights)
            reader = GuardedReader(_Bounded(AdaptingTokenReader(self._adapting)), reader)
        if self._mixture is not None:
            reader = MixedTokenReader(reader, MixtureReader(self._mixture, learn=not trial))
        return LearningPredictor(reader)


def refuse_learning(saved: SavedModel, *, mix: bool, adapt: bool) -> None:
    """Raise `ConfigError` where a model cannot learn while it codes."""
    for name in [name for name, asked in (("mix", mix), ("adapt", adapt)) if asked]:
        if saved.reads_pairs:
            raise ConfigError(
                f"{named(name)} is for models of text, and this one was trained on pairs; leave "
                f"{named(name)} out"
            )
        if saved.history:
            raise ConfigError(
                f"the model was trained to see {saved.history} tokens at each prediction, and "
                f"{named(name)} carries its state on; leave {named(name)} out"
            )
    if adapt:
        refuse_adapting(saved)


class _StillReader:
    """A network whose weights stay as they are, on one text."""

    def __init__(self, network: StepNetwork) -> None:
        self._network = network
        self._state = network.zero_state(1)

    def read(self, token: int) -> Floats:
        tokens_1 = np.array([token])
        self._state = reset(self._state, tokens_1 == END_ID)
        logits_1V, self._state = self._network.step(tokens_1, self._state)
        return _bounded(logits_1V[0])


class _Bounded:
    """What a reader predicts, within bounds: its weights may have been thrown away."""

    def __init__(self, reader: TokenReader) -> None:
        self._reader = reader

    def read(self, token: int) -> Floats:
        return _bounded(self._reader.read(token))


def _bounded(logits_V: Floats) -> Floats:
    if np.abs(logits_V).max() <= _LARGEST:
        return logits_V
    return np.nan_to_num(logits_V, nan=0.0).clip(-_LARGEST, _LARGEST)


def _shares(logits_BV: Weights) -> Weights:
    """How likely each symbol is, beside the likeliest; the logits are overwritten."""
    logits_BV -= logits_BV.max(axis=1, keepdims=True)
    return np.exp(logits_BV, out=logits_BV)


def _opened(saved: SavedModel, engine: Engine, parts: int) -> StepNetwork:
    """The model as it reads so many parts."""
    network: StepNetwork
    if engine.name == "native" and parts == 1:
        network = NativeStep(saved.config, saved.weights, engine)
    else:
        network = open_network(saved.config, engine, saved.weights)
    return HistoryNetwork(network, saved.history) if saved.history else network


def _add_rule(origin: hashlib._Hash, rule: AdaptationRule) -> None:
    """Hash all of a rule that its steps depend on."""
    origin.update(repr((rule.rate, rule.pull, rule.stretch, rule.reach)).encode())
    for name, rms in sorted(rule.scales.items()):
        origin.update(name.encode())
        origin.update(np.ascontiguousarray(rms, "<f4").view(np.uint8).data)
