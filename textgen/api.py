"""The library: what the command line does, in a few lines of Python. Prints nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import SavedModel, locate_model
from textgen.corpus.corpus import Corpus, CorpusOptions
from textgen.corpus.vocabulary import UNKNOWN_ID
from textgen.errors import ConfigError
from textgen.inspection import Trace, quantities, survey, trace, trace_chunks
from textgen.model.numpy_network import NumpyNetwork
from textgen.runtime import choose_device, choose_threads, computing_threads, parse_duration
from textgen.sampling import (
    FittedSeed,
    GeneratedSymbol,
    Generation,
    SampleOptions,
    SamplingNetworks,
    Writer,
    fit_seed,
    generate,
    generate_batch,
    generate_each,
)

if TYPE_CHECKING:
    from textgen.training.evaluate import Evaluation
    from textgen.training.events import Ended, Event

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class TrainResult:
    """What training gave.

    Args:
        folder: The run's folder.
        model: The best model's file.
        bits_per_char: Its validation cost.
        ended: The last event: steps, seconds, speed, reason.
    """

    folder: Path
    model: Path
    bits_per_char: float
    ended: Ended

    def load(self) -> Model:
        """The best model."""
        return load(self.model)


def train(
    *paths: StrPath,
    out: StrPath | None = None,
    force: bool = False,
    resume: bool = False,
    from_: StrPath | None = None,
    budget: float | str | None = None,
    on_event: Callable[[Event], object] | None = None,
    stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> TrainResult:
    """Train a model on text.

    Args:
        paths: Text files (any encoding, `.gz` too) or folders of `.txt` files.
        out: The run's folder; by default `checkpoints/NAME` after the first path.
        force: Replace the run that is there.
        resume: Go on with the run that is there.
        from_: Train this model further instead of a new one.
        budget: Wall time, seconds or like `"3m"`; three minutes if no length is given.
        on_event: Called with every event of `textgen.training.events`.
        stop: Asked after every step; once it says True the run is saved and ends.
        settings: Anything else in `textgen.training.options.TrainOptions` (`steps`,
            `hidden_size`, ...) or `textgen.corpus.corpus.CorpusOptions` (`level`, `fold`, ...).
    Returns:
        Where the model is and how good it is.
    Raises:
        TextgenError: See `textgen.errors`; the class says what was wrong.
    Example:
        >>> result = textgen.train("corpus.txt", steps=500, rng=1)
        >>> print(result.load().generate("Once", length=100))
    """
    from textgen.training.events import Ended
    from textgen.training.opening import open_run
    from textgen.training.options import TrainOptions

    reading = {field.name for field in fields(CorpusOptions)} & set(settings)
    corpus = CorpusOptions(**{key: settings.pop(key) for key in reading})
    unknown = set(settings) - {field.name for field in fields(TrainOptions)}
    if unknown:
        raise ConfigError(f"unknown settings: {', '.join(sorted(unknown))}")
    seconds = parse_duration(budget) if isinstance(budget, str) else budget
    options = TrainOptions(corpus=corpus, budget=seconds, **settings)
    names = [os.fspath(path) for path in paths]
    context = open_run(
        names,
        options,
        None if out is None else os.fspath(out),
        resume=resume,
        force=force,
        from_=None if from_ is None else os.fspath(from_),
        stdin=sys.stdin.buffer if "-" in names else None,
    )
    ended: Ended | None = None
    with context as run:
        for event in run.events(stop):
            if on_event is not None:
                on_event(event)
            if isinstance(event, Ended):
                ended = event
    assert ended is not None, "every run that is not ended by an error yields Ended"
    return TrainResult(run.folder, Path(ended.model), ended.best_bits_per_char, ended)


def load(checkpoint: StrPath | None = None) -> Model:
    """Load a model.

    Args:
        checkpoint: A file, a run's folder, or a name under `./checkpoints`; None is the newest run
            there.
    Raises:
        StorageError: There is no such model.
        CheckpointError: The file is no model, damaged, or by a newer version.
    """
    path = locate_model(None if checkpoint is None else os.fspath(checkpoint))
    return Model(SavedModel.load(path), path)


class Model:
    """A trained model. torch is imported by `evaluate` alone, where the native engine is not.

    Args:
        saved: The model as stored.
        path: Where it came from.
    """

    def __init__(self, saved: SavedModel, path: Path) -> None:
        self.saved = saved
        self.path = path
        self.vocabulary = saved.vocabulary
        self.config = saved.config
        self.info = saved.info
        #: What writes texts: one at a time, or many together.
        self.networks = SamplingNetworks(saved.config, saved.weights, choose_threads().value)

    @cached_property
    def network(self) -> NumpyNetwork:
        """The model as a step function that shows every state and gate, in float32."""
        return self.saved.network()

    def fit_seed(self, seed: str) -> FittedSeed:
        """`seed` in the symbols of the vocabulary, with a notice of what had to be changed."""
        return fit_seed(seed, self.vocabulary, self.saved.normalization)

    def _fitted(self, seed: str | FittedSeed) -> FittedSeed:
        return self.fit_seed(seed) if isinstance(seed, str) else seed

    def stream(
        self, seed: str | FittedSeed = "", *, index: int = 0, **settings: Any
    ) -> Iterator[GeneratedSymbol]:
        """As `generate`, but symbol by symbol, as they are made; the seed is not repeated."""
        return generate(
            self.networks.one,
            self.vocabulary,
            SampleOptions(**settings),
            seed_ids=self._fitted(seed).ids,
            primer_ids=self.saved.primer,
            index=index,
        )

    def generate(self, seed: str = "", **settings: Any) -> str:
        """Write text.

        Args:
            seed: Its beginning; without one it starts as texts of the corpus start.
            settings: Any of `SampleOptions`: `length`, `temperature`, `top_k`, `rng`, ...
        Returns:
            The seed as the model could read it, and what was written after it.
        Raises:
            SamplingError: A setting lies outside its range.
        """
        fitted = self.fit_seed(seed)
        written = "".join(symbol.text for symbol in self.stream(fitted, **settings))
        return fitted.text + written

    def generate_many(
        self, count: int, seed: str | FittedSeed = "", *, exact: bool = False, **settings: Any
    ) -> list[Generation]:
        """Write `count` texts; text `k` draws from a generator of its own.

        Args:
            count: How many.
            seed: Their beginning.
            exact: Make each what it is when it is written alone. Otherwise many are written
                together, which is faster and rounds differently.
            settings: Any of `SampleOptions`.
        Raises:
            SamplingError: A setting lies outside its range.
        """
        together = self.networks.are_together(count, exact=exact)
        write = generate_batch if together else generate_each
        return write(
            self.networks.many if together else self.networks.one,
            self.vocabulary,
            SampleOptions(**settings),
            count=count,
            seed_ids=self._fitted(seed).ids,
            primer_ids=self.saved.primer,
        )

    def writer(self, **settings: Any) -> Writer:
        """A text that grows by turns: typed, generated, chosen by hand, undone."""
        return Writer(
            self.networks.one,
            self.vocabulary,
            self.saved.normalization,
            SampleOptions(**settings),
            primer_ids=self.saved.primer,
        )

    def encode(self, text: str) -> Any:
        """The token ids of `text`, normalised as the model's texts were; `(N,)`."""
        return self.vocabulary.encode(self.saved.normalization.apply(text))

    def trace(self, text: str, **settings: Any) -> Trace:
        """What the network does on `text`: every state and gate, unless `quantities` says less.

        Args:
            text: The text; normalised as the model's texts were.
            settings: Any of `textgen.inspection.trace`: `quantities`, `layers`, `units`, ...
        Raises:
            InspectionError: The model has no such quantity, layer or unit.
        """
        settings.setdefault("quantities", quantities(self.config.cell_spec))
        return trace(self.network, self.encode(text), vocabulary=self.vocabulary, **settings)

    def survey(self, ids: NDArray[np.integer], quantities: Sequence[str]) -> Iterator[Trace]:
        """What the network does on a long text, in chunks that may stand in no order.

        Args:
            ids: The tokens, as `encode` gives them.
            quantities: Names as in `textgen.inspection.trace`.
        Returns:
            The chunks of `textgen.inspection.survey` where the native engine is there, else of
            `trace_chunks`.
        """
        from textgen.model.native_network import NativeNetwork
        from textgen.model.opening import open_network
        from textgen.native.library import supported_isas
        from textgen.ops.select import select

        if supported_isas():
            path = select(self.config.cell_spec, "cpu", threads=choose_threads().value)
            if path.name == "native":
                network = open_network(self.config, path, self.saved.weights)
                assert isinstance(network, NativeNetwork)
                return survey(network, ids, quantities=quantities)
        return trace_chunks(self.network, ids, quantities=quantities)

    def evaluate(
        self,
        *paths: StrPath,
        window: int | None = None,
        streams: int = 1,
        device: str = "auto",
        threads: int | None = None,
        documents: str | None = None,
        encoding: str | None = None,
        stdin: BinaryIO | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> tuple[Evaluation, Evaluation | None]:
        """The cost of texts under the model, in float32.

        Args:
            paths: Files or folders, read as in training.
            window: Also read the text in windows of so many characters, each from a zero state.
            streams: Parts that the text is cut into and that are read side by side, each after 256
                characters before it that are not charged: many times faster than one pass, and
                within some thousandths of a bit of it.
            device: `auto`, `cpu`, `cuda` or `mps`.
            threads: Threads that compute; None is all cores.
            documents: How documents are separated, `blank` or `line`; `file` is one a file, None
                is as in training.
            encoding: Of the files, where detection errs.
            stdin: What the path `-` reads.
            on_progress: Called with tokens done and tokens in all.
        Returns:
            The evaluation of one stateful pass, and that of cold windows where asked for.
        """
        from textgen.model.opening import open_network
        from textgen.ops.select import select
        from textgen.training.evaluate import (
            Evaluation,
            cold_nats,
            nats_by_streams,
            total_nats,
            window_boundaries,
        )

        if streams < 1:
            raise ConfigError(f"--streams is {streams}; it must be at least 1")
        normalization = self.saved.normalization
        if documents is None:
            documents = self.info.get("corpus", {}).get("options", {}).get("documents")
        options = CorpusOptions(
            level=self.vocabulary.level,
            fold=normalization.fold,
            newlines=normalization.newlines,
            nfc=normalization.nfc,
            documents=None if documents == "file" else documents,
            encoding=encoding,
        )
        corpus = Corpus.open(
            [os.fspath(path) for path in paths],
            options,
            vocabulary=self.vocabulary,
            normalization=normalization,
            stdin=stdin,
        )
        place, _ = choose_device(device)
        count: int = choose_threads(threads).value
        path = select(self.config.cell_spec, place, "fp32", count)
        tokens = corpus.tokens
        with computing_threads(count, torch=path.name != "native"):
            network = open_network(self.config, path, self.saved.weights)
            nats = 0.0
            if streams > 1:
                mean, charged = nats_by_streams(network, tokens, streams=streams)
                nats = mean * charged
            else:
                for done, so_far in total_nats(network, tokens):
                    nats = so_far
                    if on_progress is not None:
                        on_progress(done, len(tokens))
            unknown = corpus.unknown_chars
            whole = Evaluation(nats, len(tokens), corpus.chars, corpus.utf8_bytes, unknown)
            if window is None:
                return whole, None
            lengths = self.vocabulary.symbol_lengths()[np.asarray(tokens)]
            starts = window_boundaries(lengths, window)
            cold, charged = cold_nats(network, tokens, starts)
        # The first token is context only and is left out of every count.
        first = int(tokens[0])
        text = self.vocabulary.decode([first])
        size = 1 if self.vocabulary.level == "byte" else len(text.encode("utf-8"))
        return whole, replace(
            whole,
            nats=cold,
            tokens=max(charged, 1),
            chars=max(corpus.chars - int(lengths[0]), 1),
            utf8_bytes=max(corpus.utf8_bytes - size, 1),
            unknown_chars=unknown - (first == UNKNOWN_ID),
        )
