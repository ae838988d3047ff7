"""Models that learn from a text: the rule of a model, and the network that reads by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from textgen.adaptation import FIT_TOKENS, AdaptationRule, AdaptingReader, fit_adaptation
from textgen.checkpoint import ModelHeader, SavedModel
from textgen.corpus.corpus import Corpus
from textgen.errors import BackendError, ConfigError, StorageError, named
from textgen.messages import call
from textgen.model.engine import choose_engine, open_network
from textgen.model.head import nats_of
from textgen.model.native_network import NativeNetwork
from textgen.model.network import Engine
from textgen.progress import track
from textgen.sampling.training_part import training_part

#: What is being done, to people.
LEARNING = "reading and learning"
#: What of `info` the rule is.
ADAPTATION = "adaptation"


def refuse_adapting(model: ModelHeader) -> None:
    """Raise `ConfigError` where a model cannot learn while it reads."""
    adapt = named("adapt")
    if model.reads_pairs:
        raise ConfigError(
            f"{adapt} is for models of text, and this one was trained on pairs; train one: "
            f"{call('train', 'corpus.txt')}"
        )
    if model.config.has_vector_output:
        raise ConfigError(
            f"{adapt} learns from the probabilities of the tokens, and this model was trained by a "
            f"distance; train one with {named('loss', 'cross-entropy')}"
        )


def adapting_engine(saved: SavedModel, threads: int) -> Engine:
    """What computes a model that learns while it reads.

    Args:
        saved: The model.
        threads: Computing threads.
    Raises:
        ConfigError: The model cannot learn while it reads.
        BackendError: The native engine does not compute its cell here.
    """
    refuse_adapting(saved)
    engine = choose_engine(saved.config.cell_spec, "cpu", "auto", threads)
    if engine.name != "native":
        raise BackendError(
            f"{named('adapt')} needs the native engine, which does not compute this model here: "
            f"{engine.reason}"
        )
    return engine


def adapting_reader(saved: SavedModel, engine: Engine) -> AdaptingReader:
    """A copy of a model that reads a text and learns from it.

    How far it steps stands in the model's file, or is fitted now.

    Args:
        saved: The model; it stays as it is.
        engine: From `adapting_engine`.
    Raises:
        ConfigError: The model's file does not say how it learns, and the text that it was trained
            on is another one now.
        StorageError: The file does not say how, and that text is not there or cannot be read.
    """
    network = open_network(saved.config, engine, saved.weights)
    assert isinstance(network, NativeNetwork)
    return AdaptingReader(network, _rule(saved, network))


def _rule(saved: SavedModel, network: NativeNetwork) -> AdaptationRule:
    """The rule in the model's file, or one that is fitted."""
    known = AdaptationRule.from_json(saved.info.get(ADAPTATION), saved.config)
    if known is not None:
        return known
    try:
        part = training_part(saved)
    except (ConfigError, StorageError) as error:
        raise type(error)(
            "the model's file does not say how it learns while it reads (it is of an older "
            f"version, or was trained for a few seconds), and that cannot be fitted: {error.marked}"
        ) from error
    if not len(part.val):
        raise ConfigError(
            "the model's file does not say how it learns while it reads, and that cannot be "
            "fitted: the text that validated is not there any more; train the model again"
        )
    return fit_adaptation(network, part.train, part.val[:FIT_TOKENS])


def adapted_model(saved: SavedModel, corpus: Corpus, threads: int) -> SavedModel:
    """A model as it is after it has learned from a text that it read from beginning to end.

    `info["adapted"]` of the new model tells of every text that it learned from so. Where no step
    helped on the validation text, its rate is 0 and the weights are as they were.

    Args:
        saved: The model; it stays as it is.
        corpus: The text, in the model's tokens.
        threads: Computing threads.
    Raises:
        ConfigError, BackendError, StorageError: As `adapting_engine` and `adapting_reader`; or the
            model sees a fixed number of tokens.
    """
    if saved.history:
        raise ConfigError(
            f"the model was trained to see {saved.history} tokens at each prediction, and "
            f"{named('adapt')} carries its state on; train one without {named('history')}"
        )
    reader = adapting_reader(saved, adapting_engine(saved, threads))
    nats = 0.0
    parts = reader.read(corpus.tokens)
    for part, logits_NV in track(parts, LEARNING, len(corpus.tokens), lambda read: len(read[0])):
        nats += float(nats_of(logits_NV, part).sum(dtype=np.float64))
    record = {
        "files": [file.path for file in corpus.files],
        "sha256": corpus.sha256,
        "chars": corpus.chars,
        "tokens": len(corpus.tokens),
        "nats_per_token": nats / len(corpus.tokens),
        "rate": reader.rule.rate,
        "pull": reader.rule.pull,
        "stretch": reader.rule.stretch,
        **({"read_as": corpus.read_as} if corpus.read_as else {}),
    }
    adapted = [*saved.told.get("adapted", []), record]
    return replace(saved, weights=reader.network.arrays(), info={**saved.info, "adapted": adapted})
