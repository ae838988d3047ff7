"""The words of a model's text: lines of a rhyme end with them where nobody gives a list."""

from __future__ import annotations

from textgen.checkpoint import SavedModel
from textgen.errors import ConfigError, TextgenError
from textgen.options import SampleOptions
from textgen.progress import task
from textgen.sampling.forms.rules import words_of
from textgen.sampling.generate import generate
from textgen.sampling.networks import SamplingNetworks
from textgen.sampling.novelty import training_text

#: Characters of the training text that are read.
_MOST_READ = 2_000_000
#: What a model writes where its training text is not at hand: so many texts, so many characters
#: each. What it writes twice at this temperature is mostly a word.
_TEXTS, _LENGTH, _TEMPERATURE = 32, 500, 0.6


@task("looking at the words of the model")
def line_end_words(model: SavedModel, networks: SamplingNetworks) -> list[str]:
    """The words of a model's training text, else those that it writes by itself.

    Args:
        model: The model.
        networks: What computes it.
    Returns:
        Words in lower case, the most frequent first; the same ones each time.
    """
    if model.reads_pairs:
        raise ConfigError("a model of pairs writes targets, not lines that rhyme")
    try:
        tokens = training_text(model).tokens[:_MOST_READ]
    except TextgenError:
        options = SampleOptions(length=_LENGTH, temperature=_TEMPERATURE)
        seeds = [()] * _TEXTS
        texts = generate(networks.many, model.vocabulary, seeds, options, primer_ids=model.primer)
        return words_of("\n".join(text.text for text in texts), at_least=2)
    return words_of(model.vocabulary.decode(tokens, end="\n"))
