"""The options of what `inspect` shows, each declared once; see `textgen.settings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textgen.corpus.corpus_options import FileOptions
from textgen.errors import ConfigError, InspectionError, named
from textgen.options import ComputeOptions, EvalOptions
from textgen.settings import ADVANCED, PROPERTY, TEXT, check, setting, setting_like

#: Characters of a corpus that are read unless more are asked for: 10 to 30 seconds for 1 x 512
#: neurons on one core.
DEFAULT_CHARS = 1_000_000
#: Neurons that a report has where no number is asked for, and passages that it has of each.
TOP, PASSAGES = 20, 5
#: What `NeuronSurvey.order` can sort by.
SORTS = ("effect", "feature-score", "mean", "sd", "min", "max", "saturation", "place")
#: The chance of finding neurons that carry a property where there are none.
ALPHA = 0.05
#: How influence is measured.
MEASURES = ("gradient", "omission")

#: What a view can show beside the quantities of a cell.
_OTHERS = "latent shows the latents that inspect features has learned"

_NEURONS = "Sequence[str | tuple[int, int]]"
_USUAL = "cell, or hidden where the network has no cell state"


def quantity_setting(text: str) -> Any:
    """A field that names a quantity of the neurons, with the help text of its command."""
    return setting(None, help=text, metavar="WHAT", by_default=_USUAL, parse=str.lower)


def neurons_setting(text: str) -> Any:
    """A field that names neurons, with the help text of its command."""
    return setting(
        (),
        help=f"{text}: 0:17 is neuron 17 of layer 0, latent:17 a latent of the dictionary; the "
        "name of what was saved stands for it. May be repeated.",
        metavar="LAYER:UNIT",
        flag="neuron",
        accepts=_NEURONS,
    )


@dataclass(frozen=True, kw_only=True)
class ReadOptions(FileOptions):
    """The long text that is read."""

    text: str | None = setting(None, help="Read this text instead of a file.", panel=TEXT)
    chars: int = setting(
        DEFAULT_CHARS,
        help="Read only the first N characters; 0 reads all.",
        panel=TEXT,
        at_least=0,
    )


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """What colours a text.

    Raises:
        InspectionError: A value is out of range, or two do not go together.
    """

    show: str | None = quantity_setting(
        "What colours the text. For a neuron: cell, hidden, input-gate, forget-gate, "
        "output-gate, candidate. For the whole network: surprise (how many bits each "
        "character cost) or influence (how much each character changes the prediction after "
        f"the text). {_OTHERS}."
    )
    label: str | None = setting_like(EvalOptions, "label")
    neurons: tuple[str, ...] = neurons_setting("The neuron that colours the text")
    top: int = setting(
        3,
        help=f"Without {named('neurons')}: show the N neurons that vary most on the text.",
        at_least=1,
    )
    by: str | None = setting(
        None,
        help=f"With {named('show', 'influence')}: measure it by the gradient, or by leaving the "
        "character out (omission).",
        panel=ADVANCED,
        choices=MEASURES,
        by_default="both",
    )
    target: str | None = setting(
        None,
        help=f"With {named('show', 'influence')}: measure the influence on the probability of "
        "this next character (in a model of bytes: of its first byte).",
        panel=ADVANCED,
        metavar="CHAR",
        by_default="the most likely one",
    )

    def __post_init__(self) -> None:
        check(self, InspectionError)
        if self.show in ("surprise", "influence") and self.neurons:
            raise InspectionError(
                f"{self.show} is of the whole network; leave {named('neurons')} out"
            )
        if self.show != "influence" and (self.by is not None or self.target is not None):
            name = named("by" if self.by is not None else "target")
            raise InspectionError(f"{name} asks about influence; add {named('show', 'influence')}")


@dataclass(frozen=True, kw_only=True)
class NeuronOptions:
    """Which neurons are reported.

    Raises:
        InspectionError: A value is out of range, or two do not go together.
    """

    show: str | None = quantity_setting(
        "What to show of each neuron: cell, hidden, input-gate, forget-gate, output-gate or "
        f"candidate; {_OTHERS}."
    )
    layers: tuple[int, ...] = setting(
        (),
        help="Show only the neurons of this layer; the first is 0. May be repeated.",
        flag="layer",
        metavar="L",
        by_default="all layers",
    )
    top: int | None = setting(
        None,
        help="Show the first N neurons; 0 shows all.",
        by_default=str(TOP),
        at_least=0,
    )
    sort: str | None = setting(
        None,
        help="The order of the neurons: effect (how much the output of the neuron varies), "
        "feature-score, mean, sd, min, max, saturation or place.",
        metavar="ORDER",
        by_default="effect",
        parse=str.lower,
    )
    neurons: tuple[str, ...] = neurons_setting("Show this neuron in detail")

    def __post_init__(self) -> None:
        check(self, InspectionError)
        if self.neurons and (self.top is not None or self.sort is not None):
            raise InspectionError(
                f"{named('neurons')} names what is shown; leave {named('top')} and "
                f"{named('sort')} out"
            )


@dataclass(frozen=True, kw_only=True)
class DictionaryOptions:
    """How a dictionary of latents is learned, and which of them are shown.

    Raises:
        InspectionError: A value is out of range.
    """

    show: str | None = setting(
        None,
        help="The state that the latents are learned of: hidden (the output, which the rest of the "
        "network reads) or cell.",
        metavar="WHAT",
        by_default="hidden",
        parse=str.lower,
    )
    layer: int | None = setting(
        None,
        help="The layer that they are learned of; the first is 0.",
        metavar="L",
        by_default="the last layer",
        at_least=0,
    )
    latents: int | None = setting(
        None,
        help="The number of latents.",
        by_default="8 for each neuron, at most 4096",
        at_least=2,
        at_most=65_536,
    )
    active: int | None = setting(
        None,
        help="How many latents act at a time, on average.",
        by_default="one for 16 neurons, 4 to 32",
        metavar="K",
        at_least=1,
    )
    states: int | None = setting(
        None,
        help="Learn from N states; a text that has fewer is read again.",
        by_default="one for each token, 1 to 10 million",
        at_least=1,
    )
    controls: bool = setting(
        False,
        help="Count how many latents follow a feature, and beside them neurons, components (PCA, "
        "ICA), random directions, and latents of shuffled states and of an untrained network.",
    )
    top: int = setting(TOP, help="Show the first N latents; 0 shows all.", at_least=0)
    sort: str = setting(
        "feature-score",
        help="The order of the latents: feature-score, effect (how much they vary), mean, sd, max "
        "or place.",
        metavar="ORDER",
        parse=str.lower,
        choices=SORTS,
    )
    device: str = setting_like(ComputeOptions, "device")
    rng: int | None = setting(None, help="The random seed.", by_default="0", at_least=0)
    threads: int | None = setting_like(ComputeOptions, "threads")

    def __post_init__(self) -> None:
        check(self, InspectionError)


@dataclass(frozen=True, kw_only=True)
class SimilarOptions:
    """What is compared, and which places are shown.

    Raises:
        InspectionError: A value is out of range.
    """

    show: str | None = quantity_setting(
        "What to compare: cell, hidden, or a gate such as forget-gate."
    )
    layer: str | None = setting(
        None,
        help="Compare only the neurons of this layer (the first is 0), or of all layers.",
        metavar="L|all",
        by_default="the last layer",
        accepts="int | str | None",
    )
    units: int = setting(
        0,
        help="Compare only the K neurons whose values are most unusual after TEXT; 0 compares all.",
        panel=ADVANCED,
        metavar="K",
        at_least=0,
    )
    top: int = setting(10, help="Show the N most similar places.", at_least=1)
    min_apart: int = setting(
        64, help="Show only places that are at least N tokens apart.", panel=ADVANCED, at_least=1
    )
    not_same: int = setting(
        12,
        help="Leave out places where the last N tokens are the same as in TEXT, because their "
        "states are similar for this reason alone; 0 leaves out none. In a model of bytes a "
        "Cyrillic letter is two tokens.",
        panel=ADVANCED,
        at_least=0,
    )

    warm_up: int = setting(
        256,
        help="Read TEXT after N tokens of the corpus, at 16 places, and look for the mean of the "
        "states after it. 0 reads TEXT as the beginning of a document; to such a state the "
        "beginnings of documents are nearest.",
        panel=ADVANCED,
        metavar="N",
        at_least=0,
    )

    def __post_init__(self) -> None:
        layer: Any = self.layer
        if isinstance(layer, int):
            object.__setattr__(self, "layer", str(layer))
        check(self, InspectionError)


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """Of which size a cell is shown, and with which numbers."""

    text: str | None = setting(
        None,
        help="Show the numbers of one neuron of a model, after the last token of this text.",
        panel=TEXT,
    )
    neuron: str | None = setting(
        None,
        help="With TEXT: the neuron: 0:17 is neuron 17 of layer 0.",
        metavar="LAYER:UNIT",
        by_default="the one of the last layer that varies most on the text",
    )
    hidden_size: int = setting(
        1, help="Without a model: the number of neurons.", flag="hidden", at_least=1
    )
    input_size: int = setting(
        1, help="Without a model: how many numbers the cell reads at a step.", at_least=1
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class OccurrenceOptions(FileOptions):
    """How the places of a word are looked for, and which are shown.

    Raises:
        InspectionError: A value is out of range.
    """

    match_case: bool = setting(
        False, help="Tell capital from small letters. Without it they count as the same."
    )
    limit: int = setting(
        0,
        help="List only the first N places; 0 lists all. All are counted.",
        metavar="N",
        at_least=0,
    )
    context: int = setting(
        80,
        help="Keep N characters before and after each place.",
        panel=ADVANCED,
        metavar="N",
        at_least=0,
    )

    def __post_init__(self) -> None:
        check(self, InspectionError)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class MemoryOptions:
    """How memory is measured.

    Raises:
        InspectionError: A value is out of range.
    """

    max_lag: int = setting(200, help="Look back K tokens.", metavar="K", at_least=1)
    positions: int = setting(
        200, help="Measure at N positions spread over the text.", panel=ADVANCED, at_least=1
    )
    rng: int = setting(
        0,
        help="The random seed: the same seed gives the same result.",
        at_least=0,
    )
    threads: int | None = setting_like(ComputeOptions, "threads")
    warm_up: int = setting(
        512, help="Tokens that are read before each window, for its first state.", at_least=0
    )
    replacement: bool = setting(True, help="Whether to measure what other text changes, too.")

    def __post_init__(self) -> None:
        check(self, InspectionError)


@dataclass(frozen=True, kw_only=True)
class FindOptions:
    """How the neurons that carry a property are searched.

    Raises:
        ConfigError: A value is out of range.
    """

    protocol: str = setting(
        "mean",
        help="What represents each text: the mean of its states, or the state after its end "
        "(final).",
        flag="state",
        choices=("mean", "final"),
    )
    quantity: str | None = setting(
        None,
        help="Which state to look at: cell or hidden; latent: the latents of the dictionary.",
        flag="show",
        metavar="WHAT",
        by_default=_USUAL,
        parse=str.lower,
    )
    held_out: float = setting(
        0.3,
        help="The share of the examples that is kept for measuring only.",
        panel=ADVANCED,
        metavar="SHARE",
        at_least=0.05,
        at_most=0.9,
    )
    texts_limit: int | None = setting(
        None,
        help="Use only N texts, chosen at random.",
        panel=ADVANCED,
        by_default="all",
        at_least=1,
    )
    chars: int | None = setting(
        None,
        help="Read only the first N characters of each text, or of the corpus (0 reads all).",
        panel=TEXT,
        by_default=f"all of a text, {DEFAULT_CHARS:,} of a corpus",
        at_least=0,
    )
    positions: int = setting(
        8000,
        help="Look at N characters of the corpus, chosen at random.",
        panel=ADVANCED,
        at_least=100,
    )
    direction: str | None = setting(
        None,
        help=f"With {named('save')}: save a direction, a weighted sum of many neurons, instead of "
        "one neuron. probe: the weights of the probe; difference: the difference between "
        "the means of the two classes.",
        panel=ADVANCED,
        choices=("probe", "difference"),
    )
    neuron: str | None = setting(
        None,
        help="Test this neuron (0:17 is neuron 17 of layer 0), or what was saved under this name, "
        "instead of the best neuron.",
        metavar="LAYER:UNIT|NAME",
    )
    rng: int = setting_like(MemoryOptions, "rng")
    threads: int | None = setting_like(ComputeOptions, "threads")
    alpha: float = setting(
        ALPHA, help="The chance of finding anything where there is nothing.", above=0, below=1
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class PropertyOptions:
    """The property that is looked for, in one of three ways: labelled texts in one file or in two,
    or characters of a text.

    Raises:
        ConfigError: It is not said in exactly one way.
    """

    labels: str | None = setting(
        None,
        help="A table of texts with two labels. Each row is a label, a tab and a text; in a .csv "
        "file, a comma instead of the tab (also .gz).",
        panel=PROPERTY,
        metavar="FILE",
        accepts="StrPath | None",
    )
    positive_label: str | None = setting(
        None,
        help=f"With {named('labels')}: the label of the texts that have the property.",
        panel=PROPERTY,
        metavar="LABEL",
        by_default="the last one in the alphabet",
    )
    positive: str | None = setting(
        None,
        help="A file of texts that have the property.",
        panel=PROPERTY,
        metavar="FILE",
        accepts="StrPath | None",
    )
    negative: str | None = setting(
        None,
        help="A file of texts that do not have the property.",
        panel=PROPERTY,
        metavar="FILE",
        accepts="StrPath | None",
    )
    texts: str = setting(
        "blank",
        help=f"What separates the texts in {named('positive')} and {named('negative')}: a blank "
        "line, or a line end (line).",
        panel=PROPERTY,
        choices=("blank", "line"),
    )
    regex: str | None = setting(
        None,
        help="Look for the characters that are part of a match of this regular expression.",
        panel=PROPERTY,
        metavar="PATTERN",
    )
    feature: str | None = setting(
        None,
        help="Look for the characters that have a built-in feature, such as inside-quotes, "
        "inside-brackets, capital, vowel or word-start. An unknown name lists all features.",
        panel=PROPERTY,
        metavar="NAME",
        parse=str.lower,
    )

    def __post_init__(self) -> None:
        check(self)
        by_files = self.positive is not None or self.negative is not None
        given = (self.labels is not None, by_files, self.regex is not None)
        if sum((*given, self.feature is not None)) != 1:
            raise ConfigError(
                f"say what to look for, in one way: {named('labels', 'FILE')}, "
                f"{named('positive', 'FILE')} and {named('negative', 'FILE')}, "
                f"{named('regex', 'PATTERN')} or {named('feature', 'NAME')}"
            )
        if by_files and (self.positive is None or self.negative is None):
            raise ConfigError(
                f"{named('positive')} and {named('negative')} go together: a file of each kind of "
                "text"
            )
        if self.positive_label is not None and self.labels is None:
            raise ConfigError(
                f"{named('positive_label')} goes with {named('labels')}; of two files "
                f"{named('positive')} says it"
            )

    @property
    def by_text(self) -> bool:
        """Whether whole texts have the property, and not characters."""
        return self.regex is None and self.feature is None
