"""What of a model can be steered: directions that were saved, and neurons as they are measured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import SavedModel
from textgen.corpus.vocabulary import END_ID
from textgen.errors import ConfigError, StorageError
from textgen.inspection.dictionary import Dictionary
from textgen.inspection.neuron_stats import calibrate, parse_neuron
from textgen.inspection.reading import latent_number
from textgen.inspection.trace import quantities, survey_model
from textgen.messages import call
from textgen.model.config import ModelConfig
from textgen.options import SampleOptions
from textgen.runtime import choose_threads
from textgen.sampling import SamplingNetworks, generate
from textgen.sampling.training_part import cached_text
from textgen.steering import Calibration, Target, load_target

#: Tokens that a model's neurons are measured on: in stretches of the training text, or in texts of
#: its own, which are written together.
CALIBRATION_TOKENS, CALIBRATION_STRETCHES, CALIBRATION_TEXTS = 131_072, 16, 64


def find_target(
    name: str,
    path: Path,
    config: ModelConfig,
    digest: str,
    calibration: Callable[[], Calibration],
    dictionary: Callable[[], Dictionary],
) -> Target:
    """Return what can be steered under a name.

    Args:
        name: One that was saved, a latent as `latent:12`, or a neuron as `LAYER:UNIT`, with `.h`
            or `.c` after it for the output or the cell state (default: the cell state where there
            is one).
        path: The model's file.
        digest: The checksum of its weights.
    Raises:
        ConfigError: The model has no such thing.
        CheckpointError: The file of that name is damaged, or of another model.
    """
    if ":" not in name:
        target = load_target(path, name)
        if target.model and target.model != digest:
            again = call("inspect find", labels="FILE", save=name)
            raise ConfigError(
                f"'{name}' was found in other weights than those of {path}, which were trained "
                f"since; find it again: {again}"
            )
        target.check(config)
        return target
    if (number := latent_number(name)) is not None:
        return dictionary().target(number)
    states = config.cell_spec.state_names
    place, dot, state = name.rpartition(".")
    if not dot:
        place, state = name, "c" if "c" in states else "h"
    if state not in states:
        raise ConfigError(
            f"'{name}' asks for state '{state}'; this model's cells have: {', '.join(states)}"
        )
    layer, unit = parse_neuron(place, num_layers=config.num_layers, hidden_size=config.hidden_size)
    return calibration().target(layer, unit, "c" if state == "c" else "h")


def calibration_of(
    saved: SavedModel, path: Path, digest: str, networks: SamplingNetworks
) -> Calibration:
    """Return how every neuron is distributed, on the training text or on text of the model's own.

    It is measured at first use and kept next to the model, where that can be written to.
    """
    known = Calibration.load(path, digest)
    if known is not None:
        return known
    ids, source = _text(saved, networks)
    names = [name for name in ("cell", "hidden") if name in quantities(saved.config.cell_spec)]
    chunks = survey_model(
        saved.config, saved.weights, ids, quantities=names, threads=choose_threads().value
    )
    measured = calibrate(chunks, model=digest, source=source)
    with suppress(StorageError):  # Next time it is measured again.
        measured.save(path)
    return measured


def _text(saved: SavedModel, networks: SamplingNetworks) -> tuple[NDArray[np.int64], str]:
    """Return stretches of text as documents, and what they are.

    They are of the training text if it is in the cache, else of text that the model writes.
    """
    corpus = cached_text(saved)
    if corpus is not None:
        size = min(CALIBRATION_TOKENS // CALIBRATION_STRETCHES, len(corpus.tokens))
        last = len(corpus.tokens) - size
        count = min(CALIBRATION_STRETCHES, max(1, len(corpus.tokens) // size))
        starts = np.linspace(0, last, count).astype(int).tolist()
        stretches = [np.asarray(corpus.tokens[s : s + size], np.int64) for s in starts]
        source = "the training text"
    else:
        options = SampleOptions(
            length=CALIBRATION_TOKENS // CALIBRATION_TEXTS,
            temperature=1.0,
            # Where documents end it writes one after another, as it read them.
            keep_going=saved.writes_documents or saved.reads_pairs,
            separator=saved.document_separator,
        )
        texts = generate(
            networks.many,
            saved.vocabulary,
            [()] * CALIBRATION_TEXTS,
            options,
            primer_ids=saved.primer,
        )
        stretches = [np.array(text.ids, np.int64) for text in texts]
        source = "text that the model wrote"
    return np.concatenate([np.append(part, END_ID) for part in stretches]), source
