"""What else follows features: the controls of a dictionary.

Each control is a set of directions in the same layer's state, read on the same text, with its
features chosen on one half of the text and scored on the other, as those of the latents are:

- the neurons themselves,
- principal components, which need no sparsity,
- independent components (FastICA; Hyvarinen and Oja 2000, Neural Networks 13), which are sparse
  where anything is, and no more than there are neurons,
- random directions, each with a threshold by which it acts as seldom as a latent does,
- latents learned of shuffled states: each neuron keeps its values, but not its company,
- latents learned of an untrained network, read on that network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.inspection.dictionary import Dictionary
from textgen.inspection.dictionary_report import NamedCount, named_count
from textgen.inspection.latents import (
    StateSource,
    best_scores,
    end_of,
    learning_device,
    survey_readout,
)
from textgen.inspection.neurons import survey_reading
from textgen.inspection.reading import Reading
from textgen.inspection.subject import LongText, Subject, Surveyed
from textgen.inspection.trace import Trace, survey_model
from textgen.model.initialise import initial_weights
from textgen.progress import task
from textgen.runtime import choose_threads
from textgen.view_options import DictionaryOptions

if TYPE_CHECKING:
    from textgen.checkpoint import SavedModel

Floats = NDArray[np.float32]

#: States that components are computed of, and the most independent components.
COMPONENT_STATES, MOST_INDEPENDENT = 20_000, 128


@dataclass(frozen=True)
class Untrained:
    """A network of the same shape with weights that were never trained."""

    saved: SavedModel
    threads: int

    def survey(self, ids: NDArray[np.integer[Any]], quantities: Any) -> Iterator[Trace]:
        """The values of all its neurons over a long text."""
        return survey_model(
            self.saved.config,
            self.saved.weights,
            ids,
            quantities=quantities,
            threads=self.threads,
        )


def untrained(model: Subject, seed: int, threads: int) -> Untrained:
    """A network of a model's shape as it is before training."""
    saved = model.saved
    return Untrained(replace(saved, weights=initial_weights(saved.config, seed)), threads)


def count_controls(
    model: Subject, text: LongText, dictionary: Dictionary, options: DictionaryOptions
) -> tuple[NamedCount, ...]:
    """How many directions of each control follow a built-in feature.

    Args:
        model: The model.
        text: The text; features are looked for at its end, as for the latents.
        dictionary: The latents that the controls are of.
        options: Where the two further dictionaries are learned; all else is as it was for this one.
    Raises:
        BackendError: scikit-learn is not installed.
    """
    from textgen.inspection.dictionary_learning import LearningPlan, learn_dictionary
    from textgen.probing.probe import require_sklearn

    require_sklearn()
    part = end_of(text)
    source = StateSource(model, text.ids, dictionary.layer, dictionary.source)
    x_TH = _some(source.states(source.learned[-COMPONENT_STATES:]), COMPONENT_STATES)
    plan = LearningPlan(
        latents=dictionary.size,
        active=int(dictionary.info.get("active", 1)),
        states=int(dictionary.info.get("states", 1)),
        rng=int(dictionary.info.get("rng", 0)),
        threads=choose_threads(options.threads).value,
        device=learning_device(options.device),
    )

    def counted(what: str, control: Dictionary, subject: Surveyed = model) -> NamedCount:
        survey = survey_readout(subject, part, control, 1)
        return named_count(what, best_scores(survey))

    def learned(states: Callable[[], Iterator[Floats]]) -> Dictionary:
        def endless() -> Iterator[Floats]:
            while True:
                yield from states()

        return learn_dictionary(
            endless(), plan, layer=dictionary.layer, state=dictionary.state, model=""
        )

    def neurons() -> NamedCount:
        reading = Reading(config=model.saved.config, quantity=dictionary.source)
        survey = survey_reading(model, part, reading, [dictionary.layer], (), 1)
        return named_count("neurons", best_scores(survey))

    def shuffled() -> NamedCount:
        rng = np.random.default_rng(plan.rng)

        def states() -> Iterator[Floats]:
            for chunk_TH in source.states(source.learned):
                yield rng.permuted(chunk_TH, axis=0)

        return counted("latents of shuffled states", learned(states))

    def of_untrained() -> NamedCount:
        subject = untrained(model, plan.rng + 1, plan.threads)
        own = replace(source, model=subject)
        found = learned(lambda: own.states(own.learned))
        return counted("latents of an untrained network", found, subject)

    measures: dict[str, Callable[[], NamedCount]] = {
        "neurons": neurons,
        "principal components": lambda: counted(
            "principal components", _linear(dictionary, principal(x_TH))
        ),
        "independent components": lambda: counted(
            "independent components", _linear(dictionary, independent(x_TH, plan.rng))
        ),
        "random directions": lambda: counted(
            "random directions, as sparse", random_directions(dictionary, x_TH, plan.rng)
        ),
        "shuffled states": shuffled,
        "an untrained network": of_untrained,
    }
    done = []
    for name, measure in measures.items():
        with task(name):
            done.append(measure())
    return tuple(done)


def _some(chunks: Iterable[Floats], count: int) -> Floats:
    """The first states of some chunks, at most `count`."""
    parts, held = [], 0
    for chunk_TH in chunks:
        parts.append(chunk_TH[: count - held])
        held += len(parts[-1])
        if held >= count:
            break
    return np.concatenate(parts)


def _linear(dictionary: Dictionary, read_KH: Floats) -> Dictionary:
    """Directions of the dictionary's state that always act."""
    norm_K1 = np.linalg.norm(read_KH, axis=1, keepdims=True)
    unit_KH = (read_KH / np.maximum(norm_K1, 1e-12)).astype(np.float32)
    zeros_K = np.zeros(len(unit_KH), np.float32)
    return replace(
        dictionary,
        encoder_KH=unit_KH,
        decoder_KH=unit_KH,
        bias_K=zeros_K,
        threshold=-np.inf,
        mean_K=zeros_K,
        sd_K=zeros_K + 1,
    )


def principal(x_TH: Floats) -> Floats:
    """The principal components of some states, `(H, H)`, those with most variance first."""
    from sklearn.decomposition import PCA

    components: Floats = PCA(svd_solver="covariance_eigh").fit(x_TH).components_
    return components


def independent(x_TH: Floats, seed: int) -> Floats:
    """What independent components read of a state, `(components, H)`."""
    import warnings

    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    count = min(x_TH.shape[1], MOST_INDEPENDENT, int(np.linalg.matrix_rank(x_TH - x_TH.mean(0))))
    with warnings.catch_warnings():
        # What it has after so many rounds is a control all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = FastICA(count, whiten="unit-variance", max_iter=200, random_state=seed).fit(x_TH)
    components: Floats = found.components_
    return components


def random_directions(dictionary: Dictionary, x_TH: Floats, seed: int) -> Dictionary:
    """Random directions, as many as latents, each of which acts as seldom as they do on average.

    The threshold of a dictionary is one for all; here the bias says where each begins to act.
    """
    rng = np.random.default_rng(seed)
    size = dictionary.encoder_KH.shape
    read_KH = rng.normal(size=size).astype(np.float32)
    read_KH /= np.linalg.norm(read_KH, axis=1, keepdims=True)
    share = float(np.count_nonzero(dictionary.encode(x_TH)) / (len(x_TH) * dictionary.size))
    cut_K = np.empty(dictionary.size, np.float32)
    for start in range(0, dictionary.size, 256):
        rows = slice(start, start + 256)
        cut_K[rows] = np.quantile(x_TH @ read_KH[rows].T, 1.0 - min(max(share, 1e-4), 1.0), axis=0)
    return replace(_linear(dictionary, read_KH), encoder_KH=read_KH, bias_K=-cut_K, threshold=0.0)
