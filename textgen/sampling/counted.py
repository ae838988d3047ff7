"""The mixture that a model writes with: counts of its training text, and a fitted gate."""

from __future__ import annotations

from textgen.checkpoint import ModelHeader
from textgen.mixing import CountMixture, count_text
from textgen.model.network import Network
from textgen.progress import task
from textgen.sampling.training_part import training_part

#: Validation tokens that the gate is fitted on.
FIT_TOKENS = 20_000


@task("counting the training text")
def fitted_mixture(model: ModelHeader, network: Network, order: int | None = None) -> CountMixture:
    """Counts of the text that a model was trained on, and a gate that its validation text fits.

    Args:
        model: The model.
        network: What computes it.
        order: The longest context, in tokens; None: chosen by the size of the text.
    Raises:
        ConfigError: The training text is not there, or is another one now.
        BackendError: The native library is not there, or there is no memory.
    """
    part = training_part(model)
    counts = count_text(part.train, len(model.vocabulary), order)
    return CountMixture.of(counts, len(part.train)).fit(network, part.val[:FIT_TOKENS])
