"""What a model's file tells of its making: plain data, typed."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from textgen.corpus.corpus import CorpusRecord
from textgen.plain_data import Count, Figure, Share, Some
from textgen.runtime import ChoiceRecord
from textgen.settings import Setting

#: The longest history that a model may say it was trained with. A prediction takes so many steps;
#: longer ones are seen where a person asks for them.
MOST_HISTORY = 2**20


class MoreRecord(TypedDict):
    """A time that a run was trained longer: after which step, and by how many."""

    first_step: Count
    steps: Some
    asked: NotRequired[str]
    learning_rate: NotRequired[float]


class MetricsRecord(TypedDict, total=False):
    """The figures of a model."""

    step: Count
    steps: Count
    chars_seen: Count
    val_tokens: Count
    val_nats_per_token: Figure | None
    val_bits_per_char: Figure | None
    val_bits_per_word: Figure | None
    val_bits_per_word_with_unk: Figure | None
    val_unknown_share: Figure | None
    #: The share of targets that were written exactly, and of how many.
    val_exact_match: tuple[float, Count] | None


class AdaptationRecord(TypedDict):
    """A `textgen.adaptation.AdaptationRule`."""

    rate: Share
    pull: Share
    stretch: Some
    reach: Some
    fitted_tokens: Count
    gain: float
    scales: str


class AdaptedRecord(TypedDict):
    """A text that a model has learned from while it read it."""

    files: list[str]


class ModelInfo(TypedDict, total=False):
    """All that a model may tell of its making; older versions tell less, a newer one more."""

    versions: dict[str, str]
    corpus: CorpusRecord
    choices: list[ChoiceRecord]
    command: str
    parent: str | None
    more: list[MoreRecord]
    pairs: bool
    #: Tokens that it was trained to predict from; None where its state was carried on.
    history: Annotated[int, Setting(at_least=1, at_most=MOST_HISTORY)] | None
    adaptation: AdaptationRecord | None
    metrics: MetricsRecord
    adapted: list[AdaptedRecord]
