"""The mixture that a model writes with: counts of its training text, and a fitted gate; and whether
it writes with one unasked."""

from __future__ import annotations

from textgen.checkpoint import ModelHeader
from textgen.errors import BackendError, ConfigError, StorageError
from textgen.mixing import CountMixture, count_text
from textgen.model.network import Network
from textgen.progress import task
from textgen.sampling.networks import SamplingNetworks
from textgen.sampling.training_part import training_part

#: Validation tokens that the gate is fitted on. With four times as many the mixture costs 0.001
#: bits a character less, and the first character comes half a second later.
FIT_TOKENS = 5000
#: The longest training text that is counted unasked, in tokens: about three seconds.
MOST_COUNTED = 3_000_000


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


def usual_mixture(model: ModelHeader, networks: SamplingNetworks) -> CountMixture | str:
    """What a model is mixed with where nothing is said of it.

    Args:
        model: The model.
        networks: What computes it.
    Returns:
        The mixture; or why the model writes alone.
    """
    if model.reads_pairs:
        return "it writes the targets of pairs"
    if model.told.get("adapted"):
        return "it has learned from another text since it was trained"
    if networks.engine.name != "native":
        return "the native engine counts, and does not compute this model here"
    tokens = 0 if model.corpus is None else model.corpus["tokens"]
    if tokens > MOST_COUNTED:
        return f"its training text has {tokens:,} tokens, which take a while to count"
    try:
        mixture = fitted_mixture(model, networks.many)
    except (BackendError, ConfigError, StorageError):
        return "its training text is not at hand"
    if mixture.gain <= 0:
        return "counts of its training text do not help on the validation text"
    return mixture
