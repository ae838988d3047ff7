"""The library: what the command line does, in a few lines of Python. Prints nothing."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack, cast
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from textgen.arguments import checked, given_text, path_names, path_text
from textgen.checkpoint import (
    MODEL_NAME,
    SavedModel,
    free_folder,
    locate_model,
    read_layout,
)
from textgen.cleaning import CleanOptions, CorpusReport, describe_files
from textgen.corpus.corpus_options import CorpusOptions, FileOptions
from textgen.corpus.vocabulary import END_ID, Ids
from textgen.errors import (
    ConfigError,
    CorpusError,
    InspectionError,
    SamplingError,
    StorageError,
    named,
)
from textgen.files import FolderLock, make_folder
from textgen.inspection.anatomy import CellAnatomy, dissect, dissect_step
from textgen.inspection.dictionary import Dictionary, dictionary_path, load_dictionary
from textgen.inspection.gates import GateReport, gate_quantities, gate_report
from textgen.inspection.heat_view import HeatView
from textgen.inspection.memory import memory_curves
from textgen.inspection.neuron_report import NeuronReport
from textgen.inspection.neuron_stats import parse_neurons
from textgen.inspection.neurons import report_neurons
from textgen.inspection.occurrences import Occurrences, find_occurrences
from textgen.inspection.page_data import page_of
from textgen.inspection.similar import SimilarPlaces, find_similar
from textgen.inspection.steerable import calibration_of, find_target
from textgen.inspection.subject import LongText, open_text
from textgen.inspection.trace import Trace, quantities, survey_model, trace, trace_chunks
from textgen.inspection.view import view_text
from textgen.keywords import (
    AdaptSettings,
    CleanSettings,
    DictionarySettings,
    EvalPairsSettings,
    EvalSettings,
    FindSettings,
    MemorySettings,
    NeuronSettings,
    OccurrenceSettings,
    ReadSettings,
    SampleSettings,
    SimilarSettings,
    StrPath,
    TraceSettings,
    TrainSettings,
    ViewSettings,
)
from textgen.messages import call
from textgen.mixing import CountMixture, mixed
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.network import StepNetwork
from textgen.model.numpy_network import NumpyNetwork
from textgen.notebook import Part, Shown
from textgen.options import TEXT_ONLY, EvalOptions, TrainOptions
from textgen.runtime import Choice, choose_threads, parse_duration
from textgen.sampling import (
    FittedSeed,
    Generation,
    LiveSymbol,
    NoveltyReport,
    SampleOptions,
    SamplingNetworks,
    adapted_model,
    fitted_mixture,
    generate_live,
    training_text,
    usual_mixture,
)
from textgen.sampling.items import (
    known_items,
)
from textgen.sampling.labelled import MOST_OPEN, LabelledNetwork
from textgen.sampling.line_end_words import line_end_words
from textgen.sampling.seed import refuse_beside, seed_of
from textgen.settings import plain_value, settings_of
from textgen.steering import (
    Calibration,
    LabelPlan,
    LabelSteering,
    LiveSteering,
    Steering,
    SteeringPlan,
    Target,
    parse_labels,
    parse_specs,
    schedule_error,
    target_names,
    targets_folder,
)
from textgen.table import Column, Entry, Table
from textgen.terminal.humanize import percent, rate
from textgen.view_options import (
    DictionaryOptions,
    FindOptions,
    MemoryOptions,
    NeuronOptions,
    OccurrenceOptions,
    PropertyOptions,
    ReadOptions,
    SimilarOptions,
    ViewOptions,
)
from textgen.writing_model import Steer, WritingModel

if TYPE_CHECKING:
    from textgen.evaluation import Evaluation, PairsEvaluation
    from textgen.export import Exported, ShownModel
    from textgen.inspection.dictionary_report import DictionaryReport, NamedCount
    from textgen.inspection.memory_report import MemoryReport
    from textgen.inspection.neuron_report import FeatureScore
    from textgen.inspection.trace import Neuron
    from textgen.probing import FindReport
    from textgen.training.events import Ended, Event

#: Characters of a text on which a page's notes are measured: seconds, not minutes.
NOTED_CHARS = 50_000
#: A long text: itself, its tokens, or what `Model.read` gave.
Text = str | Sequence[int] | NDArray[np.integer] | LongText


@dataclass(frozen=True, repr=False)
class TrainResult(Shown):
    """What training gave.

    Args:
        folder: The run's folder.
        model: The best model's file.
        bits_per_char: Its validation cost; NaN where training was stopped before the first
            evaluation.
        ended: The last event: steps, seconds, speed, reason.
    """

    folder: Path
    model: Path
    bits_per_char: float
    ended: Ended

    @property
    def headline(self) -> str:
        """The folder, and what came out."""
        ended = self.ended
        return (
            f"{self.folder}: {self.bits_per_char:.3f} bits/char, {ended.reason} after "
            f"{ended.step:,} of {ended.steps:,} steps in {ended.seconds:.0f} s"
        )

    def parts(self) -> Iterable[Part]:
        """The loss curve, if the run's reports are there, and the figures."""
        from textgen.training.loss_curve import read_curve

        ended, chart = self.ended, None
        with suppress(StorageError):
            chart = read_curve(self.folder)
        if chart is not None:
            yield chart
        rows: list[tuple[str, Entry]] = [
            ("bits/char", round(self.bits_per_char, 4)),
            ("best at step", ended.best_step),
            ("bits/char of a uniform guess", round(ended.uniform_bits_per_char, 4)),
            ("characters read", ended.chars_seen),
            ("speed", rate(ended.chars_per_second)),
            ("targets written exactly", ended.exact_match and percent(ended.exact_match)),
            ("updates left out", ended.skipped or None),
        ]
        columns = (Column("figure", ""), Column("value", ""))
        yield Table(columns, [row for row in rows if row[1] is not None])

    def load(self) -> Model:
        """The best model."""
        return load(self.model)


@checked(
    CorpusOptions,
    TrainOptions,
    without=("corpus",),
    title="Settings, with their defaults; None is chosen for the text, the budget and the machine:",
)
def train(
    *paths: StrPath | Iterable[StrPath],
    text: str | None = None,
    out: StrPath | None = None,
    force: bool = False,
    resume: bool = False,
    more: str | None = None,
    from_: StrPath | Model | TrainResult | None = None,
    budget: float | str | timedelta | None = None,
    progress: bool = False,
    on_event: Callable[[Event], object] | None = None,
    stop: Callable[[], bool] = lambda: False,
    **settings: Unpack[TrainSettings],
) -> TrainResult:
    """Train a model on text.

    Args:
        paths: Text files (any encoding, `.gz` too), folders of `.txt` files, patterns such as
            `*.txt`, or lists of these.
        text: The text itself, instead of files.
        out: The run's folder; by default `checkpoints/NAME` after the first path, and
            `checkpoints/text` for a text.
        force: Replace the run that is there.
        resume: Go on with the run that is there.
        more: Train the finished run that is there longer: `"2m"`, `"500steps"` or `"3epochs"`.
            Its folder may stand for the texts: `textgen.train("checkpoints/mine", more="2m")`.
        from_: Train this model further instead of a new one.
        budget: Wall time: seconds, a text like `"3m"`, or a `datetime.timedelta`; three minutes if
            no length is given.
        progress: Show how far training has come. In a notebook that is a bar and the loss curve,
            drawn again in place; anywhere else, and in `ipython` in a terminal, a bar on stderr.
            Which it is, the running shell says: one with a kernel is that of a notebook.
        on_event: Called with every event of `textgen.training.events`.
        stop: Asked after every step, and often while the trained model is measured; once it says
            True the run is saved and ends.
        settings: Any of those below, by name.
    Returns:
        Where the model is and how good it is.
    Raises:
        TextgenError: See `textgen.errors`; the class says what was wrong.
    Example:
        >>> result = textgen.train("corpus.txt", steps=500, rng=1)
        >>> print(result.load().generate("Once", length=100))
    """
    from textgen.training.events import Ended
    from textgen.training.start import open_run

    given: dict[str, Any] = dict(settings)
    reading = {field.name for field in fields(CorpusOptions)} & set(given)
    names = path_names(paths, "train")
    stdin: BinaryIO | None = sys.stdin.buffer if "-" in names else None
    if text is not None:
        if from_ is not None:
            raise ConfigError(
                "from_ reads the text twice, which text=... is not; write it to a file first"
            )
        stdin = given_text(text, names, given.get("encoding"), "train")
        names, out = ["-"], Path("checkpoints", "text") if out is None else out
        given["encoding"], reading = "utf-8", reading | {"encoding"}
    elif not names and not resume and more is None:
        raise ConfigError(
            'no text was named; name a file, train("corpus.txt"), or give train(text=...)'
        )
    corpus = CorpusOptions(**{key: given.pop(key) for key in reading})
    options = TrainOptions(
        corpus=corpus, budget=None if budget is None else parse_duration(budget), **given
    )
    context = open_run(
        names,
        options,
        None if out is None else path_text(out, "out"),
        resume=resume,
        more=more,
        force=force,
        from_=None if from_ is None else str(_checkpoint(from_)),
        stdin=stdin,
    )
    ended: Ended | None = None
    with context as run, _bar(progress) as show:
        for event in run.events(stop):
            show(event)
            if on_event is not None:
                on_event(event)
            if isinstance(event, Ended):
                ended = event
    assert ended is not None, "every run that is not ended by an error yields Ended"
    return TrainResult(run.folder, Path(ended.model), ended.best_bits_per_char, ended)


@contextmanager
def _bar(progress: bool) -> Iterator[Callable[[Event], None]]:
    """What shows the events of a run: a bar on stderr, a view in a notebook, or nothing."""
    from textgen.notebook.live_training import NotebookBar, in_notebook
    from textgen.terminal.bar import TrainingBar
    from textgen.training.events import Report, Started

    bars: list[TrainingBar | NotebookBar] = []

    def show(event: Event) -> None:
        if progress and isinstance(event, Started) and event.resumed_from < event.steps:
            if in_notebook():
                bars.append(NotebookBar(event.folder, event.steps, event.resumed_from))
            else:
                bars.append(TrainingBar(event.steps, event.resumed_from))
        if isinstance(event, Report):
            for bar in bars:
                if isinstance(bar, NotebookBar):
                    val = event.val_bits_per_char if event.evaluated else None
                    bar.add(event.step, event.train_bits_per_char, val)
                bar.report(event.step, event.figures())

    try:
        yield show
    finally:
        for bar in bars:
            bar.close()


@checked()
def load(checkpoint: StrPath | Model | TrainResult | None = None) -> Model:
    """Load a model.

    Args:
        checkpoint: A file, a run's folder, or a name under `./checkpoints`; None is the newest run
            there. What `train` returned is loaded too, and a model is returned as it is.
    Raises:
        StorageError: There is no such model.
        CheckpointError: The file is no model, damaged, or by a newer version.
    """
    if isinstance(checkpoint, Model):
        return checkpoint
    path = locate_model(None if checkpoint is None else _checkpoint(checkpoint))
    return Model(SavedModel.load(path), path)


@checked()
def compress(
    data: bytes,
    checkpoint: StrPath | Model | TrainResult | None = None,
    *,
    mix: bool = False,
    adapt: bool = False,
    threads: int | None = None,
) -> bytes:
    """Bytes, compressed by a model; `textgen.Model.compress` says how.

    Args:
        data: Any bytes, such as those of a text file.
        checkpoint: The model, as for `load`.
        mix: Mix the model with counts of its training text, which learn from `data` on the way.
        adapt: Let the model learn from `data` on the way.
        threads: Computing threads; None is one for each core.
    Raises:
        ConfigError: The model cannot learn; or its training text is needed, and is another one now.
        StorageError: Its training text is needed, and is not there.
        BackendError: The library constriction is not installed.
    Example:
        >>> small = textgen.compress(open("novel.txt", "rb").read(), "mine")
    """
    return load(checkpoint).compress(data, mix=mix, adapt=adapt, threads=threads)


@checked()
def decompress(data: bytes, checkpoint: StrPath | Model | TrainResult | None = None) -> bytes:
    """The bytes that `compress` was given.

    Args:
        data: What `compress` returned.
        checkpoint: The model that compressed them, as for `load`.
    Raises:
        CompressionError: They would come out wrong: the data are damaged, or the model, the machine
            or the version of textgen is another one.
        BackendError: The library constriction is not installed.
    Example:
        >>> textgen.decompress(small, "mine").decode()
    """
    return load(checkpoint).decompress(data)


@checked()
def describe_cell(
    name: str, *, hidden_size: int = 1, input_size: int = 1, nonlinearity: str = "tanh"
) -> CellAnatomy:
    """A recurrent cell: its equations in both notations of the lectures, its weights, a drawing.

    Args:
        name: Of the cell, one of `textgen.cells.CELLS`.
        hidden_size: Neurons.
        input_size: Numbers that it reads at a step.
        nonlinearity: The function of the cell `rnn`.
    Raises:
        ConfigError: There is no such cell, or a size is below 1.
    Example:
        >>> print("\\n".join(textgen.describe_cell("lstm").drawing()))
    """
    return dissect(name, hidden_size, input_size, nonlinearity=nonlinearity)


@checked(OccurrenceOptions)
def occurrences(
    word: str,
    *paths: StrPath | Iterable[StrPath],
    text: str | None = None,
    stdin: BinaryIO | None = None,
    **settings: Unpack[OccurrenceSettings],
) -> Occurrences:
    """Every place of a word in texts, and how the places are spread. No model is needed.

    Args:
        word: The word, or several with spaces between; only whole words count. `*` stands for any
            letters at the beginning or the end of a word, or for none: `"hous*"`.
        paths: Text files (any encoding, `.gz` too), folders, patterns, or lists of these.
        text: The text itself, instead of files.
        stdin: What the path `-` reads.
        settings: Any of those below, by name.
    Raises:
        InspectionError: There is no word in `word`.
        CorpusError: A file is not text, or there is none.
        StorageError: A file is missing or unreadable.
    Example:
        >>> found = textgen.occurrences("hous*", "novel.txt")
        >>> print(len(found), found.spread())  # in all, and in each tenth of the text
    """
    given: dict[str, Any] = dict(settings)
    names, stdin = _source(paths, text, stdin, given, "occurrences")
    return find_occurrences(word, names, OccurrenceOptions(**given), stdin=stdin)


@checked(CleanOptions)
def describe_corpus(
    *paths: StrPath | Iterable[StrPath],
    text: str | None = None,
    out: StrPath | None = None,
    stdin: BinaryIO | None = None,
    **settings: Unpack[CleanSettings],
) -> CorpusReport:
    """What would be trained on: documents, symbols, and what may not belong to the text.

    Chats, subtitles, screenplays, web pages, EPUB, Word, tables and plain text are read. Nothing is
    left out but what `drop` names.

    Args:
        paths: Files (any encoding, `.gz` too), folders, patterns, or lists of these.
        text: The text itself, instead of files.
        out: A file to write the text into, in UTF-8, without what is left out. It is replaced if
            it exists.
        stdin: What the path `-` reads.
        settings: Any of those below, by name.
    Raises:
        ConfigError: A table has no such column, or none was named; or `out` is one of the files.
        CorpusError: A file is not what it is called, or there is no text.
        StorageError: A file cannot be read or written.
    Example:
        >>> report = textgen.describe_corpus("chat.txt", out="words.txt", drop="boilerplate")
        >>> print(report.documents, report.rare)
    """
    given: dict[str, Any] = dict(settings)
    names, stdin = _source(paths, text, stdin, given, "describe_corpus")
    target = None if out is None else Path(path_text(out, "out"))
    return describe_files(names, CleanOptions(**given), out=target, stdin=stdin)


def _source(
    paths: Sequence[object],
    text: str | None,
    stdin: BinaryIO | None,
    given: dict[str, Any],
    function: str,
) -> tuple[list[str], BinaryIO | None]:
    """The paths to read and what `-` stands for; of a text, its encoding goes into `given`."""
    names = path_names(paths, function)
    if text is not None:
        stdin = given_text(text, names, given.get("encoding"), function)
        names, given["encoding"] = ["-"], "utf-8"
    if not names:
        raise ConfigError("no text was named; give a file, a folder, or text=...")
    return names, stdin


def _checkpoint(checkpoint: StrPath | Model | TrainResult) -> str:
    """The path or the name of a model, whatever names it."""
    if isinstance(checkpoint, TrainResult):
        return str(checkpoint.model)
    if isinstance(checkpoint, Model):
        return str(checkpoint.path)
    return path_text(checkpoint, "the model")


class Model(WritingModel):
    """A trained model. torch is imported by `evaluate` alone, where the native engine is not.

    Args:
        saved: The model as stored.
        path: Where it came from.
    """

    saved: SavedModel
    networks: SamplingNetworks

    def __init__(self, saved: SavedModel, path: Path) -> None:
        # With the labels' vectors, where it has any; what writes and measures is under none.
        self._voices, saved = saved, saved.labelled({})
        networks = SamplingNetworks(saved.config, saved.weights, choose_threads().value)
        super().__init__(saved, networks)
        self.path = path
        self.config = saved.config
        self.info = saved.info
        # The model under the mixtures that were asked for last, and under those that are in use.
        self._labelled: dict[tuple[tuple[str, float], ...], Model] = {}
        self._in_use: WeakValueDictionary[tuple[tuple[str, float], ...], Model] = (
            WeakValueDictionary()
        )
        self._labelling = Lock()
        # Where this is one of these: the label.
        self._own_label: str | None = None
        # What `steered` holds while it is entered.
        self._steering: SteeringPlan | None = None
        self._mixtures: dict[int | None, CountMixture] = {}
        self._dictionary: Dictionary | None = None

    @property
    def headline(self) -> str:
        """The file, the shape, the text and how good it is."""
        config = self.config
        layers = "1 layer" if config.num_layers == 1 else f"{config.num_layers} layers"
        parts = [
            f"{config.cell}, {layers} of {config.hidden_size} neurons, "
            f"{config.num_parameters():,} parameters",
            f"{len(self.vocabulary):,} symbols at level {self.vocabulary.level}",
        ]
        if texts := self.saved.trained_on:
            parts.append(f"trained on {texts}")
        if (bits := self.saved.bits_per_char) is not None:
            parts.append(f"{bits:.3f} bits/char in validation")
        return f"{self.path}: {'; '.join(parts)}"

    def parts(self) -> Iterable[Part]:
        """How it was trained: every setting that was chosen, with its reason."""
        choices: list[dict[str, Any]] = self.info.get("choices", [])
        if choices:
            yield Table.from_records(("name", "value", "reason"), choices)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied with its weights, so that another process needs no file."""
        state = {"_steering": self._steering, "_own_label": self._own_label}
        return type(self), (self._voices, self.path), state

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it was trained with, such as authors; none of a model of one voice."""
        return self._voices.config.labels

    @checked()
    def labelled(self, label: str) -> Model:
        """The model under a label or a mixture: all that it does, it does under that.

        Args:
            label: `"Tolstoy"`, or `"Tolstoy:0.7,Gogol:0.3"`.
        Raises:
            ConfigError: The model has no such label, or the label has a schedule.
        Example:
            >>> print(model.labelled("Tolstoy").generate(length=200))
        """
        plan = self._parsed(label)
        if not plan.is_constant:
            raise schedule_error(label)
        return self._mixed(plan.edit_at(0, 1).shares)

    def _mixed(self, shares: Mapping[str, float]) -> Model:
        """The model under a mixture: the same object as long as anybody has it."""
        key = tuple(sorted(shares.items()))
        with self._labelling:  # A server asks from several threads.
            model = self._in_use.get(key)
            if model is None:
                model = self._in_use[key] = Model(self._voices.labelled(shares), self.path)
                model._own_label = ",".join(
                    name if share == 1 else f"{name}:{share:g}" for name, share in shares.items()
                )
            self._labelled.pop(key, None)
            while len(self._labelled) >= MOST_OPEN:  # Each has weights.
                del self._labelled[next(iter(self._labelled))]
            self._labelled[key] = model
            return model

    def _under(self, label: str | None) -> Model:
        """The model under a label that is given with other settings."""
        return self if label is None else self.labelled(label)

    def _schedule(self, label: str | None) -> LabelPlan | None:
        """The labels of a text, where they change on the way."""
        if label is None:
            return None
        plan = self._parsed(label)
        return None if plan.is_constant else plan

    def _parsed(self, label: str) -> LabelPlan:
        if self._own_label is not None:
            raise ConfigError(
                f"{named('label', label)}: this is the model under '{self._own_label}', and it has "
                "no other label; ask the model that it was made from"
            )
        return parse_labels(label, self.labels)

    @property
    def name(self) -> str:
        """The name of its run's folder, or of its file."""
        path = self.path.resolve()
        return path.parent.name if path.name == MODEL_NAME else path.stem

    @cached_property
    def network(self) -> NumpyNetwork:
        """The model as a step function that shows every state and gate, in float32."""
        return self.saved.network()

    @cached_property
    def digest(self) -> str:
        """The sum over the weights that the model's file carries."""
        return read_layout(self.path, kind="model").sha256

    @cached_property
    def calibration(self) -> Calibration:
        """The mean and spread of every neuron, on the training text or on text of the model itself.

        Measured at first use and kept beside the model, where that can be written to.
        """
        return calibration_of(self.saved, self.path, self.digest, self.networks)

    @checked()
    def target(self, name: str) -> Target:
        """What can be steered under that name.

        Args:
            name: One that was saved, a latent as `latent:12`, or a neuron as `LAYER:UNIT`, with
                `.h` or `.c` after it for the output or the cell state (default: the cell state
                where there is one).
        Raises:
            ConfigError: The model has no such thing.
            CheckpointError: The file of that name is damaged, or of another model.
        """
        return find_target(
            *(name, self.path, self.config, self.digest),
            calibration=lambda: self.calibration,
            dictionary=lambda: self.dictionary,
        )

    @property
    def saved_names(self) -> list[str]:
        """The names of the neurons and directions that were saved beside it."""
        return target_names(self.path)

    @property
    def dictionary(self) -> Dictionary:
        """The latents that `features` learned of it, as they lie beside it.

        Raises:
            ConfigError: None were learned, or from other weights.
            CheckpointError: The file is damaged.
        """
        if self._dictionary is None:
            self._dictionary = load_dictionary(self.path, self.digest, self.config)
        return self._dictionary

    def steering(self, *specs: str) -> SteeringPlan:
        """The plan of one or several specifications: `"0:137=+2"`, `"mood=-2@s1,+2@s2.."`.

        Raises:
            ConfigError: One of them cannot be read, or the model has no such neuron or direction.
        """
        for spec in specs:
            if not isinstance(spec, str):
                raise ConfigError(f"{spec!r:.60} steers nothing; write it like '0:137=+2'")
        return SteeringPlan(parse_specs(specs, self.target))

    @checked(FileOptions)
    def adapt(
        self,
        *paths: StrPath | Iterable[StrPath],
        text: str | None = None,
        documents: str | None = None,
        stdin: BinaryIO | None = None,
        **settings: Unpack[AdaptSettings],
    ) -> Model:
        """The model as it is after it has learned from a text while it read it.

        The text is read once; after each stretch of it the weights take a small step, and are
        pulled back towards those that were trained (dynamic evaluation; Krause et al. 2018). How
        small was found on the validation text when the model was trained, or is found now, which
        needs the training text; where none helped, nothing is changed. This model and its file stay
        as they are; `save` keeps the new one.

        Args:
            paths: Text files (any encoding, `.gz` too), folders, patterns, or lists of these.
            text: The text itself, instead of files.
            documents: What separates documents in it; None: as in training.
            stdin: What the path `-` reads.
            settings: Any of those below, by name.
        Raises:
            ConfigError: The model cannot learn while it reads.
            BackendError: The native engine does not compute its cell here.
        Example:
            >>> print(model.adapt("novel.txt").generate("Once"))
        """
        from textgen.evaluation import open_corpus

        self._refuse_steering("a text is learned from and")
        given: dict[str, Any] = dict(settings)
        names, stdin = _source(paths, text, stdin, given, "adapt")
        corpus = open_corpus(self.saved, names, FileOptions(**given), stdin, documents=documents)
        adapted = adapted_model(self.saved, corpus, choose_threads().value)
        if self.labels:
            vectors = {"labels.weight": self._voices.weights["labels.weight"]}
            weights = {**adapted.weights, **vectors}
            adapted = replace(adapted, config=self._voices.config, weights=weights)
        return Model(adapted, self.path)

    @checked()
    def save(self, name: StrPath) -> Path:
        """Keep the model, such as one that `adapt` made, as a new one.

        Args:
            name: A name, for `checkpoints/NAME`; or a folder, with a slash in it.
        Returns:
            The model's file.
        Raises:
            RunFolderError: A model or a run is there already.
            StorageError: It could not be written.
        """
        folder = free_folder(path_text(name, "name"))
        make_folder(folder)
        with FolderLock(folder):
            self._voices.save(free_folder(str(folder), Path()) / MODEL_NAME)
        return folder / MODEL_NAME

    @contextmanager
    def steered(self, *steer: str | SteeringPlan) -> Iterator[SteeringPlan]:
        """Steer all that the model does inside a `with` block: writing, tracing, evaluating.

        Blocks can be nested; the inner one's interventions come after the outer one's.
        Nothing of it is left after the block, whatever ended it. A stream or a writer that was made
        inside keeps what it was made with. The block is the model's: threads that share a model
        share it.

        Args:
            steer: Specifications, or plans made of them.
        Raises:
            ConfigError: As `steering`.
        Example:
            >>> with model.steered("0:137=+2"):
            ...     print(model.generate("старуха"))
        """
        outer = self._steering
        parts = [] if outer is None else list(outer.interventions)
        for part in steer:
            plan = part if isinstance(part, SteeringPlan) else self.steering(part)
            parts.extend(plan.interventions)
        plan = SteeringPlan(parts)
        plan.check(self.config)
        self._steering = plan
        try:
            yield plan
        finally:
            self._steering = outer

    def _plan(self, steer: Steer | None) -> Steering | None:
        """What steers a text: `steer`, after what `steered` holds."""
        if steer is not None and not isinstance(steer, str | Sequence | SteeringPlan):
            if not hasattr(steer, "edits_at"):
                raise ConfigError(f"steer is {steer!r:.60}; it must be like '0:137=+2'")
            if self._steering is not None:
                raise ConfigError(
                    f"'{self._steering}' is held by `steered`, and what is given changes on the "
                    "way; hand it the other as its base, or leave the block"
                )
            return steer
        specs = [steer] if isinstance(steer, str) else steer or []
        plan = specs if isinstance(specs, SteeringPlan) else self.steering(*specs)
        if self._steering is not None:
            plan = SteeringPlan([*self._steering.interventions, *plan.interventions])
        plan.check(self.config)
        return plan if plan.interventions else None

    def asked_for(
        self, steer: Steer | None, settings: Mapping[str, Any]
    ) -> tuple[SampleOptions, Steering | None]:
        """The settings of a text, and what steers it; its labels too, where they change."""
        options, plan = super().asked_for(steer, settings)
        labels = self._schedule(options.label)
        if labels is None:
            return options, plan
        other, what = None, "leave it out"
        if options.mix:
            other = named("mix")
        elif self.saved.reads_pairs:
            other, what = "a model that writes the targets of pairs", "no label"
        elif options.history:
            other = named("history")
            if "history" not in settings:
                carried = named("history", 0)
                other = f"the history of {options.history:,} that this model was trained with"
                what = f"{carried}, which carries its state on"
        if other is not None:
            raise SamplingError(
                f"{named('label', options.label)} changes on the way, and {other} does not go "
                f"with that; give one label, or {what}"
            )
        return options, LabelSteering(labels, plan)

    def _refuse_steering(self, what: str) -> None:
        """Raise `ConfigError` where `steered` holds something."""
        if self._steering is not None:
            raise ConfigError(f"{what} measured without steering; leave the block")

    def _constant_edits(self, what: str) -> Edits:
        """What `steered` holds, for reading a text that was there before."""
        if self._steering is None:
            return NO_EDITS
        if not self._steering.is_constant:
            raise ConfigError(
                f"'{self._steering}' has a schedule, which counts generated characters; {what} "
                "under interventions without '@'"
            )
        return self._steering.edits_at(0, 1)

    def mixture(self, order: int | None = None) -> CountMixture:
        """What `mix` mixes the model with: counts of its training text, and a fitted gate.

        It is made at first use, and kept as long as the model.

        Args:
            order: The longest context that is counted, in tokens; None: chosen by the text's size.
        Raises:
            ConfigError: The training text is neither in the cache nor where it was, or is another
                one now; or the model was trained on pairs.
            BackendError: The native engine is not there, which counts.
        """
        if order not in self._mixtures:
            self._mixtures[order] = fitted_mixture(self.saved, self.networks.many, order)
        return self._mixtures[order]

    def choose_mix(self, *, is_steered: bool = False, history: int | None = None) -> Choice:
        """Whether `textgen sample` mixes the model with counts unasked, and why.

        It does where the training text is at hand and not long, and where the mixture predicts the
        validation text better. What a neuron does is shown of the network alone.

        Args:
            is_steered: Whether the text is steered.
            history: As in `sample_options`; None: as in training.
        Returns:
            A choice of True or False, for `mix`.
        """
        if is_steered:
            return Choice("mix", False, "the text is steered")
        if self.labels:
            return Choice("mix", False, "its counts would be those of all labels")
        if self.saved.history if history is None else history:
            return Choice("mix", False, "the network sees a fixed number of tokens")
        mixture = usual_mixture(self.saved, self.networks)
        if isinstance(mixture, str):
            return Choice("mix", False, mixture)
        self._mixtures[None] = mixture
        return Choice("mix", True, "the mixture predicts the validation text better")

    def network_for(self, options: SampleOptions, *, together: bool = False) -> StepNetwork:
        """What writes one text, or many together, as the options ask.

        Args:
            options: From `sample_options`.
            together: Whether it writes many texts at each step.
        Raises:
            ConfigError, BackendError: As `mixture`, where the options ask for it.
        """
        if (labels := self._schedule(options.label)) is not None:

            def under(shares: Mapping[str, float]) -> StepNetwork:
                unlabelled = replace(options, label=None)
                return self._mixed(shares).network_for(unlabelled, together=together)

            return LabelledNetwork(labels.edit_at(0, 1), under)
        if options.label is not None:
            model = self._under(options.label)
            return model.network_for(replace(options, label=None), together=together)
        if together:
            network: StepNetwork = self.networks.many
        else:
            network = self.networks.in_eight_bits if options.eight_bit else self.networks.one
        return mixed(network, self.mixture(options.mix_order)) if options.mix else network

    def line_end_words(self) -> Sequence[str]:
        return line_end_words(self.saved, self.networks)

    def _training_tokens(self, path: str | None) -> Ids:
        return known_items(self.saved, path).tokens

    @checked(SampleOptions)
    def live_stream(
        self,
        seed: str | FittedSeed | None = "",
        *,
        steer: LiveSteering,
        index: int = 0,
        **settings: Unpack[SampleSettings],
    ) -> Iterator[LiveSymbol]:
        """As `stream`, each token only when it is asked for, under a dose that may change between
        any two of them.

        Where it keeps to a form, it does so to its end: what is written until somebody stops
        listening is the beginning of such a text.

        Args:
            seed: As for `generate`.
            steer: Of this text alone. In the end `steer.spec` is the specification by which
                `stream` writes the same text.
            index: Number of the sample.
            settings: Any of those below, by name.
        Raises:
            ConfigError: The model does not have what is steered.
        Example:
            >>> hand = LiveSteering(model.target("0:137"))
            >>> for symbol in model.live_stream("старуха", steer=hand, length=200):
            ...     hand.dose = 2.0 if symbol.char > 100 else None
        """
        if not isinstance(steer, LiveSteering):
            raise ConfigError(f"steer is {steer!r:.60}; it must be a LiveSteering(target)")
        steer.check(self.config)
        options, _ = self.asked_for(steer, settings)
        if self._schedule(options.label) is not None:
            raise schedule_error(options.label or "")
        refuse_beside("live", options)
        return generate_live(
            self.network_for(options),
            self.vocabulary,
            options,
            steer,
            seed_ids=seed_of(self.saved, seed).ids,
            primer_ids=self.saved.primer,
            index=index,
            form=self.form_for(options),
        )

    @checked(SampleOptions)
    def generate_targets(
        self,
        sources: Sequence[str | FittedSeed],
        *,
        count: int = 1,
        exact: bool = False,
        **settings: Unpack[SampleSettings],
    ) -> list[Generation]:
        """Write the targets of many sources together, as a model of pairs can.

        Args:
            sources: The sources, at least one.
            count: Targets of each; number `count * s + k` draws from a generator of its own.
            exact: As for `generate_many`.
            settings: Any of those below, by name.
        Returns:
            `count` targets of the first source, then of the second, and so on.
        Raises:
            ConfigError: The model was not trained on pairs, or `steered` holds something.
            SamplingError: A setting lies outside its range, or a source is empty or has a TAB.
        """
        self._require_pairs("generate_targets")
        if self._steering is not None:
            raise ConfigError("many targets are written without steering; leave the block")
        if count < 1 or not sources:
            raise ConfigError(f"{count} targets of {len(sources)} sources; both must be 1 or more")
        if isinstance(sources, str):
            raise ConfigError(f"sources is {sources!r:.60}; it must be a list: [{sources!r:.60}]")
        seeds = [seed_of(self.saved, source).ids for source in sources for _ in range(count)]
        options = self.sample_options(**settings)
        if count > 1:
            refuse_beside("count", options)
        return self._write(seeds, options, exact=exact)

    def _require_pairs(self, what: str) -> None:
        if not self.saved.reads_pairs:
            raise ConfigError(
                f"{named(what)} needs a model of pairs, and this one was trained on text; train "
                f"one: {call('train', 'FILE.tsv', pairs=True)}"
            )

    @checked()
    def novelty(
        self,
        texts: Sequence[str | Generation],
        *,
        seed: str | FittedSeed = "",
        separator: str = "",
        novelty_corpus: StrPath | None = None,
    ) -> NoveltyReport:
        """Which parts of texts are copied from the training text: runs of tokens, whole documents.

        Args:
            texts: What `generate_many` gave, or texts from anywhere.
            seed: The text that each of them continues.
            separator: What stands between two documents of a text, with `keep_going`.
            novelty_corpus: A file or folder with the training text; None takes it from the cache.
        Raises:
            ConfigError: The training text is no longer in the cache.
        Example:
            >>> model.novelty(model.generate_many(4)).longest
        """
        path = None if novelty_corpus is None else path_text(novelty_corpus, "novelty_corpus")
        written = [
            Generation(text, tuple(self.encode(text).tolist()), "length", math.nan)
            if isinstance(text, str)
            else text
            for text in texts
        ]
        corpus = training_text(self.saved, path)
        return NoveltyReport(self.saved, corpus, written, seed_of(self.saved, seed), separator)

    @checked(trace_chunks, without=("vocabulary",))
    def trace(self, text: str, **settings: Unpack[TraceSettings]) -> Trace:
        """What the network does on `text`: every state and gate, unless `quantities` says less.

        Args:
            text: The text; normalised as the model's texts were.
            settings: Any of those below, by name. `quantities` is all that the cell has unless
                given, and may be a single name; neurons may be named as `"0:75"`, too.
        Raises:
            InspectionError: The model has no such quantity, layer or neuron.
        Example:
            >>> model.trace("once")["cell"].shape  # tokens, neurons
        """
        given: dict[str, Any] = dict(settings)
        given.setdefault("quantities", quantities(self.config.cell_spec))
        if (names := given["quantities"]) is not None:
            given["quantities"] = [
                plain_value("quantities", name, (str,), InspectionError) for name in _listed(names)
            ]
        if (layers := given.get("layers")) is not None:
            given["layers"] = [
                plain_value("layers", layer, (int,), InspectionError) for layer in _listed(layers)
            ]
        if (units := given.get("units")) is not None:
            given["units"] = parse_neurons(_listed(units), self.config)
        given.setdefault("edits", self._constant_edits("trace"))
        return trace(self.network, self.encode(text), vocabulary=self.vocabulary, **given)

    @checked()
    def survey(self, ids: str | NDArray[np.integer], quantities: Sequence[str]) -> Iterator[Trace]:
        """What the network does on a long text, in chunks of any order.

        Args:
            ids: The tokens, as `encode` gives them; or the text.
            quantities: Names as in `textgen.inspection.trace`.
        Returns:
            The chunks of `textgen.inspection.trace` where the native engine is there, else of
            `trace_chunks`.
        """
        return survey_model(
            self.config,
            self.saved.weights,
            self._tokens(ids),
            quantities=[*_listed(quantities)],
            threads=choose_threads().value,
            edits=self._constant_edits("survey"),
        )

    @checked(ReadOptions)
    def read(
        self, *paths: StrPath | Iterable[StrPath], **settings: Unpack[ReadSettings]
    ) -> LongText:
        """A long text for `neurons`, `gates`, `similar` and `memory`, in the model's tokens.

        Args:
            paths: Files and folders; none: the text that the model was trained on.
            settings: Any of those below, by name.
        Raises:
            ConfigError: The training text is no longer in the cache.
            CorpusError: There is no text in it.
        """
        return open_text(self.saved, path_names(paths, "read"), ReadOptions(**settings))

    def _long_text(self, text: Text | None) -> LongText:
        """A long text, however it is given; None is the training text."""
        if isinstance(text, LongText):
            return text
        if text is None:
            return open_text(self.saved)
        if isinstance(text, str):
            return open_text(self.saved, options=ReadOptions(text=text, chars=0))
        ids: Any = self._tokens(text)
        chars = int(self.vocabulary.symbol_lengths()[ids].sum())
        return LongText(ids=ids, name="the tokens given", chars=chars)

    @checked(ViewOptions)
    def view(self, text: str, **settings: Unpack[ViewSettings]) -> HeatView:
        """A text with the values that colour it: neurons, the surprise, or the influence.

        Args:
            text: The text; normalised as the model's texts were.
            settings: Any of those below, by name.
        Raises:
            ConfigError: The influence is asked for while `steered` holds something.
            InspectionError: The text is empty, or the model has no such quantity or neuron.
        Example:
            >>> model.view("Once upon a time", show="surprise").totals["bits_per_char"]
        """
        options = ViewOptions(**cast(dict[str, Any], settings))
        if options.show == "influence":
            self._refuse_steering("influence is")
        edits = self._constant_edits("view")
        return view_text(self._under(options.label), text, options, edits=edits)

    @checked()
    def html(
        self,
        text: str,
        *,
        title: str = "",
        show: str | None = None,
        neurons: Sequence[str | tuple[int, int]] = (),
        top: int | None = None,
    ) -> str:
        """A page for a browser: the text, and the neurons to choose from that colour it.

        Args:
            text: The text; normalised as the model's texts were.
            title: The heading.
            show: A quantity of the neurons, or `surprise` for none of them; None: the default one.
            neurons: These neurons; none: those that vary most.
            top: At most so many of those; None: as many as 15 MB hold.
        Raises:
            InspectionError: The text is empty, or the model has no such quantity or neuron.
        Example:
            >>> Path("page.html").write_text(model.html("Once upon a time"), encoding="utf-8")
        """
        from textgen.page.render import render

        edits = self._constant_edits("show")
        chosen = [*_listed(neurons)]
        page = page_of(self, text, title=title, show=show, neurons=chosen, top=top, edits=edits)
        return render(page)

    @checked(NeuronOptions)
    def neurons(self, text: Text | None = None, **settings: Unpack[NeuronSettings]) -> NeuronReport:
        """What each neuron does over a text: its spread, what it follows, where it is highest.

        Args:
            text: The text, its tokens, or what `read` gave; None: the training text.
            settings: Any of those below, by name.
        Raises:
            InspectionError: The model has no such quantity, layer or neuron.
        Example:
            >>> print(model.neurons(show="hidden", top=5).table().to_markdown())
        """
        options = NeuronOptions(**cast(dict[str, Any], settings))
        return report_neurons(self, self._long_text(text), options)

    @checked(DictionaryOptions)
    def features(
        self,
        text: Text | None = None,
        *,
        force: bool = False,
        **settings: Unpack[DictionarySettings],
    ) -> DictionaryReport:
        """The latents of the model: a dictionary of its states, and what each latent does on a
        text.

        It is learned if there is none yet, which takes minutes, and lies beside the model then.
        After that a latent is named as a neuron is, such as `"latent:12"`.

        Args:
            text: The text, its tokens, or what `read` gave; None: the training text.
            force: Learn another dictionary in the place of the one that is there.
            settings: Any of those below, by name.
        Raises:
            ConfigError: `steered` holds something; or there is a dictionary, and another one is
                asked for.
            InspectionError: The model has no such layer or state.
            BackendError: torch is not installed; or scikit-learn is not, and `controls` are asked
                for.
            StorageError: The dictionary could not be written.
        Example:
            >>> print(model.features("corpus.txt").overview().to_markdown())
        """
        from textgen.inspection.latents import check_existing, learn, report

        self._refuse_steering("latents are")
        options = DictionaryOptions(**cast(dict[str, Any], settings))
        read = self._long_text(text)
        learned = force or not dictionary_path(self.path).exists()
        # What would end it after hours of learning is refused before.
        if options.controls:
            from textgen.probing.probe import require_sklearn

            require_sklearn()
        if learned:
            make_folder(targets_folder(self.path), within=self.path.parent)
            found = learn(self, read, options, self.digest)
            found.save(self.path)
            self._dictionary = found
        else:
            check_existing(self.dictionary, options)
        controls: tuple[NamedCount, ...] = ()
        if options.controls:
            from textgen.probing.dictionary_controls import count_controls

            controls = count_controls(self, read, self.dictionary, options)
        return report(self, read, self.dictionary, options, learned=learned, controls=controls)

    @checked()
    def describe_cell(self, text: str | None = None, neuron: str | None = None) -> CellAnatomy:
        """The model's cell: equations, weights, and the numbers of one neuron at one step.

        Args:
            text: The step is that of its last token; None: no numbers.
            neuron: `LAYER:UNIT`; None: the one of the last layer that varies most on the text.
        Raises:
            ConfigError: A neuron without a text.
            InspectionError: The text is empty, or the model has no such neuron.
        Example:
            >>> print(model.describe_cell("once upon").table().to_markdown())
        """
        if text is not None:
            return dissect_step(self, text, neuron, edits=self._constant_edits("show"))
        if neuron is not None:
            raise ConfigError(f"{named('neuron')} goes with {named('text')}: give both")
        config = self.config
        return dissect(
            config.cell,
            config.hidden_size,
            config.embedding_size,
            nonlinearity=config.nonlinearity,
        )

    @checked()
    def gates(self, text: Text | None = None) -> GateReport:
        """How often the gates of each neuron are closed or open.

        Args:
            text: The text, its tokens, or what `read` gave; None: the training text.
        Raises:
            InspectionError: The model's cells have no gates.
        Example:
            >>> print(model.gates().means().to_markdown())
        """
        names = gate_quantities(self.config.cell_spec)
        return gate_report(self.survey(self._long_text(text).ids, names))

    @checked(SimilarOptions)
    def similar(
        self, query: str, text: Text | None = None, **settings: Unpack[SimilarSettings]
    ) -> SimilarPlaces:
        """The places of a text where the network is in nearly the same state as after `query`.

        Args:
            query: A short text; the state after its end is compared.
            text: The long text, its tokens, or what `read` gave; None: the training text.
            settings: Any of those below, by name.
        Raises:
            InspectionError: `query` is empty, or the model has no such quantity or layer.
        Example:
            >>> model.similar("the old woman said", top=3).matches[0].before
        """
        options = SimilarOptions(**cast(dict[str, Any], settings))
        edits = self._constant_edits("search")
        return find_similar(self, query, self._long_text(text), options, edits=edits)

    @checked(PropertyOptions, FindOptions)
    def find(
        self,
        text: Text | None = None,
        *,
        encoding: str | None = None,
        encoding_errors: str = "strict",
        **settings: Unpack[FindSettings],
    ) -> FindReport:
        """The neurons that carry a property, with the controls that such a claim needs.

        Args:
            text: With `regex` and `feature`: the text, its tokens, or what `read` gave; None: the
                training text.
            encoding: The encoding of files of labelled texts; None detects it.
            encoding_errors: `"replace"` reads what cannot be decoded there as U+FFFD.
            settings: Any of those below, by name.
        Raises:
            ConfigError: The property is not given in exactly one way, or `steered` holds something.
            BackendError: scikit-learn is not installed.
        Example:
            >>> print(model.find(feature="vowel").best().to_markdown())
        """
        from textgen.probing import find, open_task

        self._refuse_steering("neurons are")
        given: dict[str, Any] = dict(settings)
        own = [item.name for item in settings_of(PropertyOptions) if item.name in given]
        asked = PropertyOptions(**{name: given.pop(name) for name in own})
        options = FindOptions(**given)
        if text is not None and asked.by_text:
            raise ConfigError("a text was given, and the property is one of labelled texts")
        task = open_task(
            asked,
            lambda: self._long_text(text),
            encoding=encoding,
            encoding_errors=encoding_errors,
        )
        return find(
            self.saved, task, options, targets=self.target, dictionary=lambda: self.dictionary
        )

    @checked(MemoryOptions)
    def memory(self, text: Text | None = None, **settings: Unpack[MemorySettings]) -> MemoryReport:
        """How far back the model remembers: gradients by lag, and what can be replaced.

        Args:
            text: The text, its tokens, or what `read` gave; None: the training text.
            settings: Any of those below, by name.
        Raises:
            ConfigError: `steered` holds something.
            InspectionError: The text is too short for the largest lag.
            BackendError: torch is not installed.
        Example:
            >>> model.memory(open("novel.txt").read(), max_lag=100).replacement_lag
        """
        self._refuse_steering("memory is")
        ids = self._long_text(text).ids
        report = memory_curves(self.config, self.saved.weights, ids, **settings)
        level = self.vocabulary.level
        chars = int(self.vocabulary.symbol_lengths()[ids].sum())
        return replace(
            report,
            unit={"char": "characters", "byte": "bytes"}.get(level, "tokens"),
            chars_per_token=chars / max(int(np.count_nonzero(ids != END_ID)), 1),
        )

    @checked(EvalOptions, without=("pairs",))
    def evaluate(
        self,
        *paths: StrPath | Iterable[StrPath],
        text: str | None = None,
        stdin: BinaryIO | None = None,
        on_progress: Callable[[int, int], object] | None = None,
        **settings: Unpack[EvalSettings],
    ) -> Evaluation:
        """The cost of texts under the model, in float32.

        A character that a model of characters lacks is read as the nearest form that it has, and
        what it takes to tell them apart is a part of the cost (`read_as` of the result).

        Args:
            paths: Files, folders, patterns or lists of these, read as in training.
            text: The text itself, instead of files.
            stdin: What the path `-` reads.
            on_progress: Called with tokens done and tokens in all.
            settings: Any of those below, by name.
        Returns:
            The cost in one stateful pass, or with a history; where `window` is given, its `cold`
            is that of the windows.
        Raises:
            ConfigError: The model was trained on pairs, or two settings do not go together.
        Example:
            >>> model.evaluate(text="Once upon a time").bits_per_char
        """
        from textgen.evaluation import evaluate

        given: dict[str, Any] = dict(settings)
        names, stdin = _source(paths, text, stdin, given, "evaluate")
        options = EvalOptions(**given)
        return evaluate(
            self._under(options.label).saved,
            names,
            options,
            edits=self._constant_edits("evaluate"),
            stdin=stdin,
            on_progress=on_progress,
        )

    @checked(EvalOptions, without=("pairs", *TEXT_ONLY))
    def evaluate_pairs(
        self,
        *paths: StrPath | Iterable[StrPath],
        stdin: BinaryIO | None = None,
        **settings: Unpack[EvalPairsSettings],
    ) -> PairsEvaluation:
        """How a model of pairs does on pairs: the cost of the targets, and how many it writes.

        Each target is written from its source by the most likely token each time, and cut where it
        is twice as long as the longest of about its length and 16 characters more.

        Args:
            paths: Files of pairs, as in training.
            stdin: What the path `-` reads.
            settings: Any of those below, by name.
        Raises:
            ConfigError: The model was not trained on pairs, or `steered` holds something.
            CorpusError: A line is no pair.
        """
        from textgen.evaluation import evaluate_pairs

        options = EvalOptions(pairs=True, **settings)
        self._require_pairs("evaluate_pairs")
        self._refuse_steering("pairs are")
        names = path_names(paths, "evaluate_pairs")
        return evaluate_pairs(self.saved, names, options, stdin=stdin)

    @checked()
    def compress(
        self, data: bytes, *, mix: bool = False, adapt: bool = False, threads: int | None = None
    ) -> bytes:
        """Bytes, compressed by this model: a token that it expects takes few bits.

        The size is what `evaluate` says of the text with the same `mix` and `adapt` (of two figures
        with `mix` the one whose counts learn), and some 60 bytes. `decompress` gives exactly these
        bytes again, whatever they are: what the model does not know is spelled. Where nothing is
        gained, they are stored as they are.

        Args:
            data: Any bytes, such as those of a text file in any encoding.
            mix: Mix the model with counts of its training text, which learn from `data` on the way.
            adapt: Let the model learn from `data` on the way; the model itself stays as it is.
            threads: Computing threads; None is one for each core.
        Raises:
            ConfigError: `data` is something else, `steered` holds something, the model cannot
                learn, or its training text is needed and is another one now.
            StorageError: Its training text is needed, and is not there.
            BackendError: The library constriction is not installed; or `adapt` is asked for, and
                the native engine does not compute the model.
        Example:
            >>> small = model.compress("Once upon a time".encode())
        """
        from textgen.compression import compress

        self._refuse_steering("a text is compressed and")
        data = _bytes_of(data, "compress")
        return compress(self.saved, data, mix=mix, adapt=adapt, threads=threads)

    @checked()
    def decompress(self, data: bytes) -> bytes:
        """The bytes that `compress` was given.

        This works with the same model and the same version of textgen, on the machine that
        compressed them or one that computes the same numbers; otherwise it is refused. Nothing in
        the data is run, and they take no more memory than a fixed multiple of their length.

        Args:
            data: What `compress` returned.
        Raises:
            ConfigError: `data` is something else, or `steered` holds something.
            CompressionError: The data are damaged, or would come out wrong here.
            BackendError: The library constriction is not installed.
        Example:
            >>> model.decompress(small).decode()
        """
        from textgen.compression import decompress

        self._refuse_steering("a text is decompressed and")
        return decompress(self.saved, _bytes_of(data, "decompress"))

    @checked()
    def export_html(
        self,
        path: StrPath,
        *,
        beside: Model | StrPath | None = None,
        notes: StrPath | None = None,
        force: bool = False,
    ) -> Exported:
        """Write a page in which the model runs: one file, opened in a browser without a network.

        What `find` has saved beside the model can be moved there, and a label can be chosen, where
        it was trained with some. Of each neuron the page says what it follows, as `neurons` finds
        it. A weight takes 16 bits, or 8 where the file would have more than 4 MB; `difference` of
        the result is what a logit loses by that.

        Args:
            path: The file.
            beside: A second model, or its name or path; it reads the same text beside this one.
            notes: A text file, on whose beginning it is measured what each neuron follows; None:
                the training text, where that is at hand.
            force: Replace the file if it exists.
        Raises:
            ConfigError: It exists; the page cannot show such a model: one of vectors, or with a
                cell of your own; or `steered` holds something.
            StorageError: It cannot be written.
        Example:
            >>> model.export_html("page.html")
        """
        from textgen.export import write_html

        models = [self]
        if beside is not None:
            models.append(beside if isinstance(beside, Model) else load(beside))
        for model in models:
            model._refuse_steering("a model is exported and")
        shown = [model._shown(notes) for model in models]
        file = Path(path_text(path, "path"))
        made = write_html([each for each, _ in shown], file, force=force)
        notices = [notice for _, notices in shown for notice in notices]
        return replace(made, notices=(*made.notices, *notices))

    def _shown(self, notes: StrPath | None = None) -> tuple[ShownModel, list[str]]:
        """The model for a page, with all that was saved to be steered, and notices of what is not
        its own: it is left out."""
        from textgen.export import ShownModel

        targets, notices = self._shown_targets()
        made = ShownModel(
            saved=self._voices, name=self.name, targets=targets, notes=self._noted(notes)
        )
        return made, notices

    def _shown_targets(self) -> tuple[list[Target], list[str]]:
        """All of the model that was saved to be steered, and notices of what is not its own."""
        targets, notices = [], []
        for name in target_names(self.path):
            try:
                targets.append(self.target(name))
            except ConfigError as error:
                notices.append(f"left out: {error}")
        return targets, notices

    def _noted(self, path: StrPath | None) -> tuple[str, Mapping[Neuron, FeatureScore]] | None:
        """What the neurons follow on a text; None where it is not at hand."""
        from textgen.inspection.neurons import features_followed

        # With a fixed history the states are others: those of the last tokens alone.
        if self.saved.history:
            return None
        try:
            options, paths = (
                ReadOptions(chars=NOTED_CHARS),
                path_names((path,) if path else (), "notes"),
            )
            text = open_text(self.saved, paths, options)
        except (ConfigError, CorpusError, StorageError):
            if path is None:
                return None
            raise
        return features_followed(self, text)

    @checked()
    def export_torch(self, folder: StrPath, *, force: bool = False) -> Exported:
        """Write the model as a folder for torch, which needs no textgen.

        It holds a `torch.nn.Module` (`model.py`), its weights, its sizes and symbols, and a script
        of some 40 lines that writes text. Before, 200 steps are compared with those of textgen.

        Args:
            folder: Is made if necessary.
            force: Replace the files if they exist.
        Raises:
            ConfigError: The files exist; the output of the model is a vector; the class of a cell
                of your own does not stand by itself; or `steered` holds something.
            StorageError: A file cannot be written.
            BackendError: torch is not installed.
        Example:
            >>> model.export_torch("folder")
        """
        from textgen.export import write_torch

        self._refuse_steering("a model is exported and")
        return write_torch(self.saved, Path(path_text(folder, "folder")), force=force)

    @checked()
    def export_onnx(self, path: StrPath, *, force: bool = False) -> Exported:
        """Write one step of the model as a file for ONNX: any cell, any number of texts.

        Inputs are `ids` (int64, `(B,)`) and each state of the cell by its name (float32, `(L, B,
        H)`, zeros at the beginning of a text); outputs are `logits` (`(B, V)`) and each new state
        with `new_` before its name. The key `textgen` of the metadata has the symbols as JSON.

        Args:
            path: The file.
            force: Replace it if it exists.
        Raises:
            ConfigError: It exists, or `steered` holds something.
            StorageError: It cannot be written.
            BackendError: torch, onnx or onnxscript is not installed.
        Example:
            >>> model.export_onnx("model.onnx")
        """
        from textgen.export import write_onnx

        self._refuse_steering("a model is exported and")
        return write_onnx(self.saved, Path(path_text(path, "path")), force=force)


def _bytes_of(data: object, function: str) -> bytes:
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    hint = "; of a text that is text.encode()" if isinstance(data, str) else ""
    raise ConfigError(f"{function} was given {data!r:.40}, and it takes bytes{hint}")


def _listed(values: Any) -> Iterable[Any]:
    """Several values as they are, one alone as a list of it."""
    return values if isinstance(values, Iterable) and not isinstance(values, str) else [values]
