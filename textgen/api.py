"""The library: what the command line does, in a few lines of Python. Prints nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import SavedModel, locate_model, read_layout
from textgen.corpus.corpus import Corpus, CorpusOptions
from textgen.corpus.pairs import SEPARATOR, separator_id
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.corpus.word_count import count_words
from textgen.errors import ConfigError, StorageError
from textgen.inspection import Trace, parse_neuron, quantities, survey, trace, trace_chunks
from textgen.inspection.calibration import calibrate
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.numpy_network import NumpyNetwork
from textgen.runtime import choose_device, choose_threads, computing_threads, parse_duration
from textgen.sampling import (
    FittedSeed,
    GeneratedSymbol,
    Generation,
    LiveSymbol,
    SampleOptions,
    SamplingNetworks,
    Writer,
    as_source,
    bits_per_char,
    fit_seed,
    generate,
    generate_after,
    generate_batch,
    generate_each,
    generate_live,
)
from textgen.steering import (
    Calibration,
    LiveSteering,
    Steering,
    SteeringPlan,
    Target,
    load_target,
    parse_specs,
)

if TYPE_CHECKING:
    from textgen.inspection.memory_report import MemoryReport
    from textgen.training.evaluate import Evaluation
    from textgen.training.events import Ended, Event
    from textgen.training.pairs import PairsEvaluation

StrPath = str | os.PathLike[str]
#: How a text is steered: one specification, several, or what was made of them.
Steer = str | Sequence[str] | Steering

#: A model's units are measured on so many tokens: in stretches of the training text, or in so many
#: texts of its own, which are written together.
CALIBRATION_TOKENS, CALIBRATION_STRETCHES, CALIBRATION_TEXTS = 131_072, 16, 64

#: Targets that are written together.
_TARGETS_TOGETHER = 256


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
        # What `steered` holds while it is entered.
        self._steering: SteeringPlan | None = None

    @cached_property
    def network(self) -> NumpyNetwork:
        """The model as a step function that shows every state and gate, in float32."""
        return self.saved.network()

    def fit_seed(self, seed: str) -> FittedSeed:
        """`seed` in the symbols of the vocabulary, with a notice of what had to be changed.

        For a model of pairs it is a source, and its ids end with the separator.

        Raises:
            SamplingError: It is no source, and the model one of pairs.
        """
        reserved = SEPARATOR if self.saved.reads_pairs else ""
        fitted = fit_seed(seed, self.vocabulary, self.saved.normalization, reserved)
        if self.saved.reads_pairs:
            return as_source(fitted, separator_id(self.vocabulary))
        return fitted

    def _options(self, settings: dict[str, Any]) -> SampleOptions:
        """The settings of a text, what was not given as the model was trained."""
        usual = {"until_end": self.saved.reads_pairs, "history": self.saved.history or 0}
        return SampleOptions(**{**usual, **settings})

    def _fitted(self, seed: str | FittedSeed) -> FittedSeed:
        return self.fit_seed(seed) if isinstance(seed, str) else seed

    @cached_property
    def digest(self) -> str:
        """The sum over the weights that the model's file carries."""
        return read_layout(self.path, kind="model").sha256

    @cached_property
    def calibration(self) -> Calibration:
        """How every unit is distributed, on the training text or on text of the model's own.

        Measured at first use and kept beside the model, where that can be written to.
        """
        known = Calibration.load(self.path, self.digest)
        if known is not None:
            return known
        ids, source = self._calibration_text()
        cell = self.config.cell_spec
        names = [name for name in ("cell", "hidden") if name in quantities(cell)]
        # Whatever `steered` holds at the moment: it is the model as it is that is measured.
        chunks = self._survey(ids, names, NO_EDITS)
        measured = calibrate(chunks, model=self.digest, source=source)
        with suppress(StorageError):  # It serves as well unkept; next time it is measured again.
            measured.save(self.path)
        return measured

    def _calibration_text(self) -> tuple[NDArray[np.int64], str]:
        """Stretches of the training text if it is in the cache, else of text of the model's own,
        as documents; and what it is."""
        keys = self.info.get("corpus", {}).get("keys") or [None]
        corpus = Corpus.from_cache(keys[0]) if keys[0] else None
        if corpus is not None:
            size = min(CALIBRATION_TOKENS // CALIBRATION_STRETCHES, len(corpus.tokens))
            last = len(corpus.tokens) - size
            count = min(CALIBRATION_STRETCHES, max(1, len(corpus.tokens) // size))
            starts = np.linspace(0, last, count).astype(int).tolist()
            stretches = [np.asarray(corpus.tokens[s : s + size], np.int64) for s in starts]
            source = "the training text"
        else:
            texts = generate_batch(
                self.networks.many,
                self.vocabulary,
                SampleOptions(length=CALIBRATION_TOKENS // CALIBRATION_TEXTS, temperature=1.0),
                count=CALIBRATION_TEXTS,
                primer_ids=self.saved.primer,
            )
            stretches = [np.array(text.ids, np.int64) for text in texts]
            source = "text that the model wrote"
        return np.concatenate([np.append(part, END_ID) for part in stretches]), source

    def target(self, name: str) -> Target:
        """What can be steered under that name.

        Args:
            name: One that was saved, or a neuron as `LAYER:UNIT`, with `.h` or `.c` after it for
                the output or the cell state (default: the cell state where there is one).
        Raises:
            ConfigError: The model has no such thing.
            CheckpointError: The file of that name is damaged, or of another model.
        """
        if ":" not in name:
            target = load_target(self.path, name)
            if target.model and target.model != self.digest:
                raise ConfigError(
                    f"'{name}' was found in other weights than those of {self.path}, which were "
                    f"trained since; find it again: textgen inspect find ... --save {name}"
                )
            target.check(self.config)
            return target
        config = self.config
        states = config.cell_spec.state_names
        place, dot, state = name.rpartition(".")
        if not dot:
            place, state = name, "c" if "c" in states else "h"
        if state not in states:
            raise ConfigError(
                f"'{name}' asks for state '{state}'; this model's cells have: {', '.join(states)}"
            )
        layer, unit = parse_neuron(
            place, num_layers=config.num_layers, hidden_size=config.hidden_size
        )
        return self.calibration.target(layer, unit, "c" if state == "c" else "h")

    def steering(self, *specs: str) -> SteeringPlan:
        """What `--steer` says, such as `"0:137=+2"` or `"sentiment=-2@s1,+2@s2.."`.

        Raises:
            ConfigError: One of them cannot be read, or the model has no such neuron or direction.
        """
        return SteeringPlan(parse_specs(specs, self.target))

    @contextmanager
    def steered(self, *steer: str | SteeringPlan) -> Iterator[SteeringPlan]:
        """Steer all that the model does inside a `with` block: writing, tracing, evaluating.

        Blocks may stand in one another; the inner one's interventions come after the outer one's.
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
            plan = self.steering(part) if isinstance(part, str) else part
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

    def stream(
        self,
        seed: str | FittedSeed = "",
        *,
        index: int = 0,
        steer: Steer | None = None,
        **settings: Any,
    ) -> Iterator[GeneratedSymbol]:
        """As `generate`, but symbol by symbol, as they are made; the seed is not repeated."""
        return generate(
            self.networks.one,
            self.vocabulary,
            self._options(settings),
            seed_ids=self._fitted(seed).ids,
            primer_ids=self.saved.primer,
            index=index,
            steering=self._plan(steer),
        )

    def live_stream(
        self,
        seed: str | FittedSeed = "",
        *,
        steer: LiveSteering,
        index: int = 0,
        **settings: Any,
    ) -> Iterator[LiveSymbol]:
        """As `stream`, each symbol only when it is asked for, under a dose that may change between
        any two of them.

        Args:
            seed: As for `generate`.
            steer: Of this text alone. In the end `steer.spec` says what `stream` and `--steer`
                write the same text by.
            index: Number of the sample.
            settings: Any of `SampleOptions`.
        Raises:
            ConfigError: The model does not have what is steered.
        Example:
            >>> hand = LiveSteering(model.target("0:137"))
            >>> for symbol in model.live_stream("старуха", steer=hand, length=200):
            ...     hand.dose = 2.0 if symbol.char > 100 else None
        """
        steer.check(self.config)
        self._plan(steer)
        return generate_live(
            self.networks.one,
            self.vocabulary,
            self._options(settings),
            steer,
            seed_ids=self._fitted(seed).ids,
            primer_ids=self.saved.primer,
            index=index,
        )

    def generate(self, seed: str = "", *, steer: Steer | None = None, **settings: Any) -> str:
        """Write text.

        Args:
            seed: Its beginning; without one it starts as texts of the corpus start.
            steer: What is done to neurons meanwhile, as in `steering`; None: nothing.
            settings: Any of `SampleOptions`: `length`, `temperature`, `top_k`, `rng`, ...
        Returns:
            The seed as the model could read it, and what was written after it; by a model of pairs
            the target alone.
        Raises:
            SamplingError: A setting lies outside its range.
        """
        fitted = self.fit_seed(seed)
        written = "".join(symbol.text for symbol in self.stream(fitted, steer=steer, **settings))
        return written if self.saved.reads_pairs else fitted.text + written

    def generate_many(
        self,
        count: int,
        seed: str | FittedSeed = "",
        *,
        exact: bool = False,
        steer: Steer | None = None,
        **settings: Any,
    ) -> list[Generation]:
        """Write `count` texts; text `k` draws from a generator of its own.

        Args:
            count: How many.
            seed: Their beginning.
            exact: Make each what it is when it is written alone. Otherwise many are written
                together, which is faster and rounds differently.
            steer: As for `generate`; each text follows its schedule by itself.
            settings: Any of `SampleOptions`.
        Raises:
            SamplingError: A setting lies outside its range.
        """
        together = self.networks.are_together(count, exact=exact)
        write = generate_batch if together else generate_each
        return write(
            self.networks.many if together else self.networks.one,
            self.vocabulary,
            self._options(settings),
            count=count,
            seed_ids=self._fitted(seed).ids,
            primer_ids=self.saved.primer,
            steering=self._plan(steer),
        )

    def generate_targets(
        self,
        sources: Sequence[str | FittedSeed],
        *,
        count: int = 1,
        exact: bool = False,
        **settings: Any,
    ) -> list[Generation]:
        """Write the targets of many sources together, as a model of pairs can.

        Args:
            sources: The sources, at least one.
            count: Targets of each; number `count * s + k` draws from a generator of its own.
            exact: As for `generate_many`.
            settings: Any of `SampleOptions`; the temperature is 0.8 unless given, 0 the likeliest.
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
        seeds = [self._fitted(source).ids for source in sources for _ in range(count)]
        together = self.networks.are_together(len(seeds), exact=exact)
        network = self.networks.many if together else self.networks.one
        options, written = self._options(settings), []
        for first in range(0, len(seeds), _TARGETS_TOGETHER):
            part = seeds[first : first + _TARGETS_TOGETHER]
            written += generate_after(network, self.vocabulary, part, options, first_index=first)
        return written

    def _require_pairs(self, what: str) -> None:
        if not self.saved.reads_pairs:
            raise ConfigError(
                f"{what} needs a model of pairs, and this one was trained on text; train one: "
                "textgen train --pairs FILE.tsv"
            )

    def bits_per_char(self, ids: Sequence[int], *, seed: str | FittedSeed = "") -> float:
        """What a text costs the model when nobody steers it; not a number where it has no
        character.

        Args:
            ids: Its tokens, such as `Generation.ids`.
            seed: What stands before it and is not charged.
        """
        context = self._fitted(seed).ids or self.saved.primer
        return bits_per_char(self.networks.one, self.vocabulary, ids, context)

    def writer(self, *, steer: Steer | None = None, **settings: Any) -> Writer:
        """A text that grows by turns: typed, generated, chosen by hand, undone.

        Raises:
            ConfigError: `steer` has a schedule, which counts from one beginning.
        """
        if self.saved.reads_pairs:
            raise ConfigError("a model of pairs writes targets, not a text by turns")
        plan = self._plan(steer)
        if isinstance(plan, SteeringPlan) and not plan.is_constant:
            raise ConfigError(f"'{plan}' has a schedule; a text written by turns takes none")
        return Writer(
            self.networks.one,
            self.vocabulary,
            self.saved.normalization,
            self._options(settings),
            primer_ids=self.saved.primer,
            edits=NO_EDITS if plan is None else plan.edits_at(0, 1),
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
        settings.setdefault("edits", self._constant_edits("trace"))
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
        return self._survey(ids, quantities, self._constant_edits("survey"))

    def _survey(
        self, ids: NDArray[np.integer], quantities: Sequence[str], edits: Edits
    ) -> Iterator[Trace]:
        from textgen.model.native_network import NativeNetwork
        from textgen.model.opening import open_network
        from textgen.native.library import supported_isas
        from textgen.ops.select import select

        if supported_isas():
            path = select(self.config.cell_spec, "cpu", threads=choose_threads().value)
            if path.name == "native":
                network = open_network(self.config, path, self.saved.weights)
                assert isinstance(network, NativeNetwork)
                return survey(network, ids, quantities=quantities, edits=edits)
        return trace_chunks(self.network, ids, quantities=quantities, edits=edits)

    def memory(self, text: str | NDArray[np.integer], **settings: Any) -> MemoryReport:
        """How far back the model remembers: gradients by lag, and what can be replaced.

        Args:
            text: The text, normalised as the model's texts were; or its tokens.
            settings: Any of `textgen.inspection.memory_curves`: `max_lag`, `positions`, `rng`, ...
        Raises:
            ConfigError: `steered` holds something.
            InspectionError: The text is too short for the largest lag.
            BackendError: torch is not installed.
        Example:
            >>> model.memory(open("novel.txt").read(), max_lag=100).replacement_lag
        """
        from textgen.inspection.memory import memory_curves

        if self._steering is not None:
            raise ConfigError("memory is measured without steering; leave the block")
        ids = self.encode(text) if isinstance(text, str) else text
        report = memory_curves(self.config, self.saved.weights, ids, **settings)
        level = self.vocabulary.level
        chars = int(self.vocabulary.symbol_lengths()[ids].sum())
        return replace(
            report,
            unit={"char": "characters", "byte": "bytes"}.get(level, "tokens"),
            chars_per_token=chars / max(int(np.count_nonzero(ids != END_ID)), 1),
        )

    def evaluate(
        self,
        *paths: StrPath,
        window: int | None = None,
        streams: int = 1,
        history: int | None = None,
        limit: int = 20_000,
        device: str = "auto",
        threads: int | None = None,
        documents: str | None = None,
        encoding: str | None = None,
        encoding_errors: str = "strict",
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
            history: Instead of one pass, let the model see exactly so many tokens before each, the
                state from zero before them; 0 carries the state on. None is as in training.
            limit: With a history, charge at most so many tokens, spread evenly over the text.
            device: `auto`, `cpu`, `cuda` or `mps`.
            threads: Threads that compute; None is all cores.
            documents: How documents are separated, `blank` or `line`; `file` is one a file, None
                is as in training.
            encoding: Of the files, where detection errs.
            encoding_errors: `"replace"` reads bytes that stand for nothing as U+FFFD, which is
                unknown to the model; `"strict"` refuses the file.
            stdin: What the path `-` reads.
            on_progress: Called with tokens done and tokens in all.
        Returns:
            The evaluation of one stateful pass, or of a history, and that of cold windows where
            asked for.
        Raises:
            ConfigError: The model was trained on pairs, or `history` comes with `streams`.
        """
        from textgen.model.edited_network import EditedNetwork
        from textgen.model.opening import open_network
        from textgen.ops.select import select
        from textgen.training.evaluate import (
            Evaluation,
            cold_nats,
            nats_by_streams,
            total_nats,
            window_boundaries,
        )
        from textgen.training.history import nats_by_history

        if self.saved.reads_pairs:
            raise ConfigError("this model was trained on pairs; measure it with evaluate_pairs")
        if history is None:
            history = 0 if streams > 1 else self.saved.history or 0
        if history < 0 or (history and streams > 1):
            raise ConfigError(
                f"--history is {history}: it must be 0 (the state is carried on) or more, and goes "
                "without --streams"
            )
        edits = self._constant_edits("evaluate")
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
            encoding_errors=encoding_errors,
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
            if edits:
                network = EditedNetwork(network, edits)
            nats, seen = 0.0, None
            if history:
                mean, seen = nats_by_history(network, tokens, history, limit=limit)
                nats = mean * len(tokens)
            elif streams > 1:
                mean, charged = nats_by_streams(network, tokens, streams=streams)
                nats = mean * charged
            else:
                for done, so_far in total_nats(network, tokens):
                    nats = so_far
                    if on_progress is not None:
                        on_progress(done, len(tokens))
            unknown = corpus.unknown_chars
            words = None
            if self.vocabulary.level == "word":
                words = count_words(self.vocabulary, tokens)
            whole = Evaluation(
                nats,
                len(tokens),
                corpus.chars,
                corpus.utf8_bytes,
                unknown,
                words,
                history=history or None,
                positions=seen,
                notes=corpus.notes,
            )
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
            history=None,
            positions=None,
            tokens=max(charged, 1),
            chars=max(corpus.chars - int(lengths[0]), 1),
            utf8_bytes=max(corpus.utf8_bytes - size, 1),
            unknown_chars=unknown - (first == UNKNOWN_ID),
            words=None if words is None else count_words(self.vocabulary, tokens[1:]),
        )

    def evaluate_pairs(
        self,
        *paths: StrPath,
        limit: int | None = None,
        device: str = "auto",
        threads: int | None = None,
        encoding: str | None = None,
        encoding_errors: str = "strict",
        stdin: BinaryIO | None = None,
    ) -> PairsEvaluation:
        """How a model of pairs does on pairs: the cost of the targets, and how many it writes.

        Each target is written from its source by the likeliest token each time, and cut where it
        is twice as long as the longest of about its length and 16 characters more.

        Args:
            paths: Files of pairs, as in training.
            limit: Take so many pairs, drawn evenly; None is all.
            device: Of the cost: `auto`, `cpu`, `cuda` or `mps`.
            threads: Threads that compute; None is all cores.
            encoding: Of the files, where detection errs.
            encoding_errors: `"replace"` reads bytes that stand for nothing as U+FFFD, which is
                unknown to the model; `"strict"` refuses the file.
            stdin: What the path `-` reads.
        Raises:
            ConfigError: The model was not trained on pairs, or `steered` holds something.
            CorpusError: A line is no pair.
        """
        from textgen.corpus.pairs import open_pairs
        from textgen.corpus.windows import permute
        from textgen.model.opening import open_network
        from textgen.ops.select import select
        from textgen.training.pairs import evaluate_pairs

        self._require_pairs("evaluate_pairs")
        if self._steering is not None:
            raise ConfigError("pairs are measured without steering; leave the block")
        if limit is not None and limit < 1:
            raise ConfigError(f"--limit is {limit}; it must be at least 1 pair")
        normalization = self.saved.normalization
        options = CorpusOptions(
            level=self.vocabulary.level,
            newlines=normalization.newlines,
            nfc=normalization.nfc,
            documents="line",
            encoding=encoding,
            encoding_errors=encoding_errors,
        )
        corpus, pairs = open_pairs(
            [os.fspath(path) for path in paths],
            options,
            vocabulary=self.vocabulary,
            normalization=normalization,
            stdin=stdin,
        )
        if limit is not None and limit < len(pairs):
            pairs = pairs.take(permute(np.arange(limit), len(pairs), 0))
        place, _ = choose_device(device)
        count: int = choose_threads(threads).value
        path = select(self.config.cell_spec, place, "fp32", count)
        with computing_threads(count, torch=path.name != "native"):
            figures = evaluate_pairs(
                open_network(self.config, path, self.saved.weights),
                SamplingNetworks(self.config, self.saved.weights, count).many,
                self.vocabulary,
                corpus.tokens,
                pairs,
            )
        return replace(figures, notes=corpus.notes)
