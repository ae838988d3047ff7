"""The settings of the public functions by name, for editors and type checkers.

`make keywords` writes this file from the options classes that declare them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from textgen.arguments import StrPath as StrPath
from textgen.inspection.trace import Neuron
from textgen.model.edit import Edits
from textgen.model.network import State


class CorpusSettings(TypedDict, total=False):
    """How a text is read: `textgen.corpus.corpus_options.CorpusOptions`."""

    encoding: str | None
    encoding_errors: str
    ending: str
    skip_bad: bool
    level: str
    fold: bool
    documents: str | None
    label_from: str | None
    min_count: int
    min_word_count: int | None
    max_words: int
    spell_rare: bool
    newlines: bool
    nfc: bool


class TrainSettings(CorpusSettings, total=False):
    """How a model is trained: `textgen.options.TrainOptions`."""

    device: str
    threads: int | None
    epochs: float | None
    steps: int | None
    patience: int
    pairs: bool
    val: StrPath | float
    cell: str | None
    nonlinearity: str
    hidden_size: int | None
    members: int | None
    num_layers: int | None
    embedding_size: int | None
    vectors: StrPath | None
    freeze_embedding: bool | None
    loss: str
    distance: str | None
    dropout: float | None
    recurrent_dropout: float | None
    tie: bool
    residual: bool
    seq_len: int | None
    history: int | None
    batch_size: int | None
    accumulate: int
    learning_rate: float | None
    weight_decay: float | None
    clip_norm: float | None
    rng: int
    precision: str
    eval_every: int | None
    save_every: int | None


class SampleSettings(TypedDict, total=False):
    """How a text is written: `textgen.options.SampleOptions`."""

    length: int
    temperature: float | str | Sequence[float]
    rng: int
    label: str | None
    beam: int
    top_k: int
    top_p: float
    min_p: float
    typical: float
    mirostat: float
    mirostat_rate: float
    word_starts: bool
    no_repeat: int
    bias: str | None
    repetition_penalty: float
    repetition_window: int
    stop: Sequence[str]
    until_sentence: bool
    until_end: bool
    keep_going: bool
    separator: str
    history: int | None
    mix: bool
    mix_order: int | None
    eight_bit: bool
    match: str | None
    match_line: str | None
    chars: str | None
    lines: int
    line_chars: str | None
    acrostic: str | None
    rhyme: str | None
    stress: str | None
    syllables: str | None
    without: str | None
    only_words: str | None
    include: Sequence[str]


class NumberSettings(TypedDict, total=False):
    """How a network of numbers is trained: `textgen.series.number_options.NumberOptions`."""

    encoding: str | None
    encoding_errors: str
    epochs: float | None
    steps: int | None
    patience: int
    val: str | float
    cell: str | None
    nonlinearity: str
    hidden_size: int | None
    num_layers: int | None
    history: int | None
    batch_size: int | None
    learning_rate: float | None
    weight_decay: float | None
    clip_norm: float | None
    rng: int
    threads: int | None
    eval_every: int | None


class EvalPairsSettings(TypedDict, total=False):
    """What is measured of pairs: `textgen.options.EvalOptions`."""

    device: str
    threads: int | None
    encoding: str | None
    encoding_errors: str
    ending: str
    skip_bad: bool
    limit: int | None


class EvalSettings(EvalPairsSettings, total=False):
    """What is measured of a text: `textgen.options.EvalOptions`."""

    window: int | None
    streams: int
    history: int | None
    documents: str | None
    label: str | None
    mix: bool
    mix_order: int | None
    adapt: bool


class AdaptSettings(TypedDict, total=False):
    """How a text to learn from is read: `textgen.corpus.corpus_options.FileOptions`."""

    encoding: str | None
    encoding_errors: str
    ending: str
    skip_bad: bool


class TraceSettings(TypedDict, total=False):
    """What is traced: arguments of `textgen.inspection.trace.trace_chunks`."""

    quantities: str | Sequence[str] | None
    layers: int | Sequence[int] | None
    units: str | Sequence[Neuron | str] | None
    reset_at_end_marks: bool
    top: int
    chunk: int
    initial: State | None
    edits: Edits


class MemorySettings(TypedDict, total=False):
    """How memory is measured: `textgen.view_options.MemoryOptions`."""

    max_lag: int
    positions: int
    rng: int
    threads: int | None
    warm_up: int
    replacement: bool


class ReadSettings(TypedDict, total=False):
    """What long text is read: `textgen.view_options.ReadOptions`."""

    encoding: str | None
    encoding_errors: str
    ending: str
    skip_bad: bool
    text: str | None
    chars: int


class ViewSettings(TypedDict, total=False):
    """What colours a text: `textgen.view_options.ViewOptions`."""

    show: str | None
    label: str | None
    neurons: Sequence[str | tuple[int, int]]
    top: int
    by: str | None
    target: str | None


class NeuronSettings(TypedDict, total=False):
    """Which neurons are reported: `textgen.view_options.NeuronOptions`."""

    show: str | None
    layers: Sequence[int]
    top: int | None
    sort: str | None
    neurons: Sequence[str | tuple[int, int]]


class DictionarySettings(TypedDict, total=False):
    """How a dictionary of latents is learned: `textgen.view_options.DictionaryOptions`."""

    show: str | None
    layer: int | None
    latents: int | None
    active: int | None
    states: int | None
    controls: bool
    top: int
    sort: str
    device: str
    rng: int | None
    threads: int | None


class SimilarSettings(TypedDict, total=False):
    """What is compared: `textgen.view_options.SimilarOptions`."""

    show: str | None
    layer: int | str | None
    units: int
    top: int
    min_apart: int
    not_same: int
    warm_up: int


class CleanSettings(TypedDict, total=False):
    """What is left out of a text: `textgen.cleaning.clean_options.CleanOptions`."""

    encoding: str | None
    encoding_errors: str
    ending: str
    skip_bad: bool
    drop: str
    column: str | None
    format: str | None
    documents: str | None


class OccurrenceSettings(TypedDict, total=False):
    """How the places of a word are listed: `textgen.view_options.OccurrenceOptions`."""

    encoding: str | None
    encoding_errors: str
    ending: str
    skip_bad: bool
    match_case: bool
    limit: int
    context: int


class PropertySettings(TypedDict, total=False):
    """What is searched for: `textgen.view_options.PropertyOptions`."""

    labels: StrPath | None
    positive_label: str | None
    positive: StrPath | None
    negative: StrPath | None
    texts: str
    regex: str | None
    feature: str | None


class FindSettings(PropertySettings, total=False):
    """How it is searched for: `textgen.view_options.FindOptions`."""

    protocol: str
    quantity: str | None
    held_out: float
    texts_limit: int | None
    chars: int | None
    positions: int
    direction: str | None
    neuron: str | None
    rng: int
    threads: int | None
    alpha: float
