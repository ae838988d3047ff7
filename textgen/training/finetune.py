"""The first weights of a model that is trained further on another text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import SavedModel
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.corpus.windows import Tokens
from textgen.errors import ConfigError, named
from textgen.model.config import ModelConfig
from textgen.options import TrainOptions
from textgen.runtime import Choice

Floats = NDArray[np.float32]

#: The new symbols together start this many nats below the sum of all others. Their share of the
#: probability, e^-20 = 2e-9, changes the figures of the old text by less than float32 can show.
NEW_SYMBOL_NATS = 20.0
#: Tokens of the new text on which the size of that sum is looked at.
_LOOK_TOKENS = 512
#: What a fine-tuned model has from its parent: its shape, and how it reads a text.
_SHAPE = (
    *("cell", "nonlinearity", "hidden_size", "num_layers", "embedding_size"),
    *("tie", "residual"),
)
_READING = ("fold", "newlines", "nfc")


def parent_options(options: TrainOptions, parent: SavedModel) -> TrainOptions:
    """The options with the parent's shape and tokens, which a fine-tuned model keeps.

    Raises:
        ConfigError: Something else was asked for.
    """
    shape, normalization = parent.config, parent.normalization
    default = TrainOptions()
    _check_loss(options, shape)
    kept_corpus = {
        "level": parent.vocabulary.level,
        **{name: getattr(normalization, name) for name in _READING},
    }
    kept_shape = {name: getattr(shape, name) for name in _SHAPE}
    for asked, usual, kept in (
        (options, default, kept_shape),
        (options.corpus, default.corpus, kept_corpus),
    ):
        for name, own in kept.items():
            value = getattr(asked, name)
            if value not in (getattr(usual, name), own):
                raise ConfigError(
                    f"{named(name)} {value} was asked for, but the model given by "
                    f"{named('from_')} has {own}; leave it out"
                )
    return replace(
        options,
        corpus=replace(options.corpus, **kept_corpus),
        **kept_shape,
        loss="distance" if shape.has_vector_output else "cross-entropy",
        distance=shape.head if shape.has_vector_output else None,
        freeze_embedding=shape.frozen_embedding
        if options.freeze_embedding is None
        else options.freeze_embedding,
    )


def taken_over(name: str, parent: SavedModel, vocabulary: Vocabulary) -> Choice:
    """What a fine-tuned model with that vocabulary has from its parent, `name`, in one line."""
    marks = UNKNOWN_ID + 1
    kept, added = len(parent.vocabulary) - marks, len(vocabulary) - len(parent.vocabulary)
    shape, own = parent.config, parent.normalization
    usual = CorpusOptions()
    reading = [
        words
        for words, differs in (
            (f"level {vocabulary.level}", vocabulary.level != usual.level),
            ("lower case, letters only", own.fold),
            ("line ends as they are", not own.newlines),
            ("characters not composed", not own.nfc),
        )
        if differs
    ]
    step = parent.info.get("metrics", {}).get("step")
    reason = (
        f"weights of {name}: {shape.cell} {shape.num_layers} x {shape.hidden_size}"
        + (f", at step {step:,}" if isinstance(step, int) else "")
        + (f"; the text is read as its was: {', '.join(reading)}" if reading else "")
    )
    return Choice("from", f"{kept:,} symbols kept, {added:,} new", reason)


def _check_loss(options: TrainOptions, shape: ModelConfig) -> None:
    if options.vectors is not None:
        raise ConfigError(
            f"{named('vectors')} {options.vectors} was asked for, but the model given by "
            f"{named('from_')} has vectors of its own, which its weights were trained with; leave "
            "it out"
        )
    if options.loss == "distance" and options.head != shape.head:
        raise ConfigError(
            f"{named('loss')} distance ({options.head}) was asked for, but the head of the model "
            f"given by {named('from_')} is: {shape.head}; leave it out"
        )


def extended_weights(
    parent: SavedModel, config: ModelConfig, vocabulary: Vocabulary, text: Tokens
) -> Mapping[str, Floats]:
    """The parent's weights, with rows for the symbols of `vocabulary` that the parent lacks.

    `text`, in ids of `vocabulary`, is looked at for the size of the logits. The cost of a text
    without new symbols is what the parent gives.
    """
    added = len(vocabulary) - len(parent.vocabulary)
    weights = dict(parent.weights)
    if added == 0:
        return weights
    floor = _least_logsumexp(parent, text) - NEW_SYMBOL_NATS - math.log(added)
    for name in ("embedding.weight", "head.weight"):
        if name in weights:
            old = weights[name]
            weights[name] = np.concatenate([old, np.zeros((added, old.shape[1]), np.float32)])
    bias = weights["head.bias"]
    weights["head.bias"] = np.concatenate([bias, np.full(added, floor, np.float32)])
    assert all(weights[name].shape == shape for name, shape in config.tensor_shapes().items())
    return weights


def _least_logsumexp(parent: SavedModel, text: Tokens) -> float:
    """The least logarithm of the softmax's denominator that the parent shows on some text."""
    network = parent.network()
    state = network.zero_state()
    ids = [END_ID, *(int(i) for i in text[:_LOOK_TOKENS] if i < len(parent.vocabulary))]
    least = np.inf
    for token in ids:
        logits_BV, state = network.step(np.array([token]), state)
        top = float(logits_BV.max())
        least = min(least, top + float(np.log(np.exp(logits_BV - top).sum())))
    return float(least)
