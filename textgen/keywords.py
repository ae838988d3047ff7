"""The settings of the public functions by name, so that an editor completes them and a type checker
knows them. What they mean and their defaults stand where they are used: in `TrainOptions`,
`CorpusOptions`, `SampleOptions`, the classes of `textgen.view_options` and `trace`, with which a
test compares this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from textgen.arguments import StrPath as StrPath
from textgen.inspection.trace import Neuron
from textgen.model.edit import Edits
from textgen.model.network import State


class CorpusSettings(TypedDict, total=False):
    """How a text is read: the fields of `textgen.corpus.corpus_options.CorpusOptions`."""

    level: str
    fold: bool
    min_count: int
    min_word_count: int
    max_words: int
    documents: str | None
    encoding: str | None
    newlines: bool
    nfc: bool
    encoding_errors: str
    ending: str
    skip_bad: bool


class TrainSettings(CorpusSettings, total=False):
    """How a model is trained: those, and the fields of `textgen.options.TrainOptions`."""

    cell: str
    nonlinearity: str
    hidden_size: int | None
    num_layers: int | None
    embedding_size: int | None
    vectors: StrPath | None
    freeze_embedding: bool | None
    loss: str
    distance: str | None
    dropout: float | None
    tie: bool
    residual: bool
    seq_len: int | None
    batch_size: int | None
    history: int | None
    learning_rate: float | None
    weight_decay: float | None
    clip_norm: float | None
    epochs: float | None
    steps: int | None
    rng: int
    val: StrPath | float
    patience: int
    device: str
    precision: str
    threads: int | None
    eval_every: int | None
    save_every: int | None
    pairs: bool


class SampleSettings(TypedDict, total=False):
    """How a text is written: the fields of `textgen.sampling.SampleOptions`."""

    length: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    repetition_window: int
    stop: Sequence[str]
    until_sentence: bool
    until_end: bool
    keep_going: bool
    separator: str
    history: int
    rng: int


class TraceSettings(TypedDict, total=False):
    """What is traced: arguments of `textgen.inspection.trace`."""

    quantities: str | Sequence[str] | None
    layers: int | Sequence[int] | None
    units: str | Sequence[Neuron | str] | None
    reset_at_end_marks: bool
    top: int
    chunk: int
    initial: State | None
    edits: Edits


class MemorySettings(TypedDict, total=False):
    """How memory is measured: the fields of `textgen.view_options.MemoryOptions`."""

    max_lag: int
    positions: int
    rng: int
    threads: int | None
    warm_up: int
    replacement: bool


class ReadSettings(TypedDict, total=False):
    """What long text is read: the fields of `textgen.view_options.ReadOptions`."""

    encoding: str | None
    encoding_errors: str
    ending: str
    skip_bad: bool
    text: str | None
    chars: int


class ViewSettings(TypedDict, total=False):
    """What colours a text: the fields of `textgen.view_options.ViewOptions`."""

    show: str | None
    neurons: Sequence[str | tuple[int, int]]
    top: int
    by: str | None
    target: str | None


class NeuronSettings(TypedDict, total=False):
    """Which neurons are reported: the fields of `textgen.view_options.NeuronOptions`."""

    show: str | None
    layers: Sequence[int]
    top: int | None
    sort: str | None
    neurons: Sequence[str | tuple[int, int]]


class SimilarSettings(TypedDict, total=False):
    """What is compared: the fields of `textgen.view_options.SimilarOptions`."""

    show: str | None
    layer: int | str | None
    units: int
    top: int
    min_apart: int
    not_same: int


class FindSettings(TypedDict, total=False):
    """What is searched for, and how: the fields of `textgen.view_options.PropertyOptions` and
    `FindOptions`."""

    labels: StrPath | None
    positive_label: str | None
    positive: StrPath | None
    negative: StrPath | None
    texts: str
    regex: str | None
    feature: str | None
    protocol: str
    quantity: str | None
    held_out: float
    texts_limit: int | None
    chars: int | None
    positions: int
    direction: str | None
    rng: int
    threads: int | None
    alpha: float
