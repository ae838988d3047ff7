"""A training run: a plan, and the loop that yields what happens.

Nothing here prints, handles signals or looks at the clock to decide anything but what it reports:
evaluations and saves fall on step numbers, so a resumed run takes the same steps as one that was
never stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from textgen.adaptation import fit_adaptation
from textgen.checkpoint import MODEL_NAME, RESUME_NAME, SavedModel
from textgen.corpus.documents import document_separator
from textgen.corpus.pairs import SEPARATOR
from textgen.corpus.words import count_words
from textgen.errors import SamplingError, TrainingDivergedError, named
from textgen.evaluation.exact_match import (
    PairsEvaluation,
    first_pairs,
    measure_pairs,
    target_nll,
)
from textgen.evaluation.nll import Nll, nll_in_streams, nll_with_history, sum_of
from textgen.files import append_line, sync_lines
from textgen.messages import Message, marks_of
from textgen.model.engine import open_network
from textgen.model.label_vectors import with_label
from textgen.model.native_network import NativeNetwork
from textgen.model.network import Network
from textgen.progress import Task, task
from textgen.runtime import Choice
from textgen.sampling import ADAPTATION, SampleOptions, SamplingNetworks, generate
from textgen.training.data import TrainingData
from textgen.training.events import Ended, Event, Report, Sampled, Saved, Started
from textgen.training.folder import (
    METRICS_NAME,
    Arrays,
    RunState,
    clear_results,
    is_writable,
)
from textgen.training.learner import fit_head_scale
from textgen.training.ranks import Stopped
from textgen.training.sizing import FINAL_EVALUATION, adaptation_tokens
from textgen.training.trainer import Trainer

#: Masked updates in a row after which a run is given up.
MOST_SKIPPED_IN_A_ROW = 10
#: A text of fewer tokens is trained on with a warning.
LITTLE_TEXT = 5_000
#: Characters of a sample shown during training.
SAMPLE_LENGTH = 160
#: Tokens of text that a sample goes on from; after so many more it should be at the end of a
#: paragraph; and how many such passages there are.
PASSAGE_TOKENS, LOOK_TOKENS, PASSAGES = 256, 2048, 16
#: Positions at least that an evaluation of windows of a fixed length charges.
LEAST_POSITIONS = 1024
#: The most targets that are written at the end of a run on pairs, and the most tokens of them, to
#: count those that are exact.
WRITTEN_PAIRS, WRITTEN_TOKENS = 500, 50_000
#: No training comes to weights of this size: the next step, or one soon, computes no number.
LARGEST_WEIGHT = 1e15
#: Why a run ends with such weights, or whose optimiser keeps what is no number.
_TOO_LARGE = "an update made numbers too large to go on with"
#: Asks whether to stop after the step that was just taken.
Stop = Callable[[], bool]


class _Cost(NamedTuple):
    """What a model costs on the validation text.

    Args:
        nats: Per token, the letters of unknown words included.
        tokens: That it was measured on.
        unknown: The share of unknown ones among them; None where that is not known.
    """

    nats: float
    tokens: int
    unknown: float | None = None


class Run:
    """A run that is ready to go on; made by `new_run` and `resumed_run`."""

    def __init__(
        self,
        folder: Path,
        state: RunState,
        data: TrainingData,
        trainer: Trainer,
        notes: Iterable[str] = (),
    ) -> None:
        self.folder = folder
        self.plan = state.plan
        self._state = state
        self._record = state.record
        self._data = data
        self._trainer = trainer
        self._ranks = trainer.ranks
        self._progress = state.progress
        self._best = state.best
        self._notes = tuple(notes)
        self._resumed_from = state.progress.step
        self._started = 0.0
        # The last evaluation of the course.
        self._course: _Cost | None = None
        # How the model learns while it reads, as plain data; known at the end.
        self._adaptation: dict[str, Any] | None = None
        self._val_words_per_token: float | None = None
        if data.corpus.vocabulary.level == "word" and data.val_pairs is None:
            words = count_words(data.corpus.vocabulary, data.val)
            self._val_words_per_token = words / len(data.val) or None

    @property
    def command(self) -> str:
        """Repeats the run exactly."""
        return str(self._record["command"])

    def events(self, stop: Stop = lambda: False) -> Iterator[Event]:
        """Train to the end, or until `stop` says so after a step, or in the course of a long one.

        Yields:
            `Started`, then `Report`, `Sampled` and `Saved` records, and `Ended` as the last.
        Raises:
            TrainingDivergedError: Loss or gradient was not finite several times in a row.
            StorageError: Something could not be written.
        """
        yield self._start_event()
        self._wait_for_the_reader()
        if self._progress.finished:
            yield self._end_event("already finished", self._figure(self._record.get("final")))
            return
        if self._progress.step == self.plan.first_step:
            # One rename hands the folder over to this run; only then is an older one's model gone.
            self._save()
        if self._progress.step == 0:
            self._ranks.alone(lambda: clear_results(self.folder))
        self._started = time.perf_counter()
        with task("training", self.plan.steps, done=self._trainer.step) as training:
            reason = yield from self._steps(stop, training)
        yield from self._finish(reason or "finished", stop)

    def _steps(self, stop: Stop, training: Task) -> Generator[Event, None, str]:
        """Take the steps that are left; why no more were taken, "" where all were."""
        plan, trainer = self.plan, self._trainer
        since, steps_since = time.perf_counter(), 0
        # A run that was stopped after its last step, while it was measured, is only measured.
        reason = "patience" if self._is_out_of_patience() else ""
        while trainer.step < plan.steps and not reason:
            if not trainer.advance(stop):
                return "stopped"
            steps_since += 1
            step = trainer.step
            done = step - plan.first_step
            training.reach(step)
            self._progress = replace(self._progress, step=step)
            last = step == plan.steps
            evaluating = last or done % plan.eval_every == 0
            stopping = self._ranks.any(stop())
            # A stop makes no report of its own: the run that goes on reports where any run would.
            if evaluating or done % plan.report_every == 0:
                counters = trainer.read_figures()
                seconds = time.perf_counter() - since
                self._progress = replace(
                    self._progress, skipped=self._progress.skipped + counters.skipped
                )
                if counters.skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
                    raise self._diverged(
                        "the loss or its gradient was not finite in "
                        f"{counters.skipped_in_a_row} updates in a row"
                    )
                if not _is_sound(trainer.network.arrays()):
                    raise self._diverged(_TOO_LARGE)
                if evaluating:
                    self._evaluate()
                report = self._report(
                    counters.nats_per_token,
                    counters.grad_norm,
                    evaluating,
                    steps_since * plan.tokens_per_step / seconds,
                )
                if self._ranks.rank == 0:
                    append_line(self.folder / METRICS_NAME, json.dumps(report.to_dict()))
                yield report
                self._wait_for_the_reader()
                since, steps_since = time.perf_counter(), 0
            if evaluating and self._is_out_of_patience():
                reason = "patience"
            elif stopping and not last:
                reason = "stopped"
            if not reason and not last:
                pause = time.perf_counter()
                if done % plan.sample_every == 0:
                    yield from self._sample()
                if done % plan.save_every == 0:
                    yield self._save()
                    self._wait_for_the_reader()
                since += time.perf_counter() - pause  # The speed reported is that of training.
        return reason

    def _is_out_of_patience(self) -> bool:
        return 0 < self.plan.patience <= self._progress.without_best

    def _finish(self, reason: str, stop: Stop) -> Iterator[Event]:
        if reason == "stopped":
            yield self._save()
            if not self._best:
                # Every run that ends leaves a model; this one is not part of the run's course, and
                # is not measured: who stops a run waits for its end.
                fit_head_scale(self._trainer.network, self._data.train)
                self._write_model(self._trainer.network.arrays(), None)
            yield self._end_event(reason, self._figure(None))
            return
        if not self._best:
            raise self._diverged("no evaluation gave a finite loss")
        try:
            yield from self._sample()
            cost = self._validate(self._best, stop)
            self._adaptation = self._ranks.alone_unless(
                stop, lambda poll: self._fit_adaptation(self._best, poll)
            )
            written = self._ranks.alone(self._write_pairs)
        except Stopped:
            yield self._save()
            yield self._end_event("stopped", self._figure(None))
            return
        if written is not None:
            self._record["final_pairs"] = (written.exact_match, written.pairs)
        self._write_model(self._best, cost)
        self._record["final"] = (cost.nats, cost.tokens, cost.unknown)
        self._progress = replace(self._progress, finished=True, reason=reason)
        yield self._save()
        yield self._end_event(reason, cost)

    def _evaluate(self) -> None:
        fit_head_scale(self._trainer.network, self._data.train)
        self._course = cost = self._cost(self._trainer.network, self.plan.eval_tokens)
        before = self._progress.best_nats
        self._progress = self._progress.evaluated(cost.nats)
        if self._progress.best_nats != before:
            self._best = self._trainer.network.arrays()
            self._write_model(self._best, cost)

    @property
    def _most_validated(self) -> int:
        """The most tokens of the validation text that are read once the steps are taken."""
        return FINAL_EVALUATION * self.plan.eval_tokens

    def _validate(self, weights: Arrays, stop: Stop) -> _Cost:
        """The cost over the whole validation text, or as much of it as time allows.

        Raises:
            Stopped: `stop` says so, on whichever process.
        """

        def poll() -> None:
            # What several processes measure together they bring to its end.
            if self._ranks.world == 1 and stop():
                raise Stopped

        network = open_network(self.plan.model, self._trainer.network.engine, weights)
        cost = self._cost(network, self._most_validated, poll)
        if self._ranks.world > 1 and self._ranks.any(stop()):
            raise Stopped
        return cost

    def _cost(
        self, network: Network, limit: int, poll: Callable[[], object] = lambda: None
    ) -> _Cost:
        """The cost over at most `limit` tokens of the validation text, of which each process reads
        a share."""
        data, share = self._data, self._ranks.share
        nll = Nll(0.0, 0)
        if data.val_pairs is not None:
            pairs = data.val_pairs.first_within(limit)
            own = pairs.take(np.arange(len(pairs))[share.of(len(pairs))])
            if len(own):
                nll = target_nll(network, data.val, own)
        elif self.plan.sliding:
            # As it is trained and will be used; each position takes a window of steps.
            history = self.plan.seq_len
            limit = max(LEAST_POSITIONS, limit // history)
            nll = nll_with_history(
                *(network, data.val, history),
                limit=limit,
                escape=data.escape,
                labels=data.val_labels,
                share=share,
            )
        else:
            nll = nll_in_streams(
                network,
                data.val,
                limit=limit,
                escape=data.escape,
                labels=data.val_labels,
                poll=poll,
                share=share,
            )
        if (parts := self._ranks.gather(nll)) is not None:
            nll = sum_of(Nll(*part) for part in parts)
        nll = Nll(*self._ranks.broadcast(nll))
        return _Cost(nll.mean, nll.tokens, nll.unknown / nll.tokens)

    def _write_pairs(self) -> PairsEvaluation | None:
        """How the best model does on some pairs of the validation text; None: it has none."""
        data, path = self._data, self._trainer.network.engine
        if data.val_pairs is None:
            return None
        return measure_pairs(
            open_network(self.plan.model, path, self._best),
            SamplingNetworks(self.plan.model, self._best, path.threads or 1).many,
            data.corpus.vocabulary,
            data.val,
            first_pairs(data.val_pairs, WRITTEN_TOKENS, WRITTEN_PAIRS),
        )

    def _fit_adaptation(self, weights: Arrays, poll: Callable[[], object]) -> dict[str, Any] | None:
        """How the model learns while it reads, as plain data; None: fitted when it is needed."""
        data, engine = self._data, self._trainer.network.engine
        tokens = adaptation_tokens(self.plan, len(data.val))
        if not tokens or engine.name != "native" or data.val_pairs is not None:
            return None
        # A text that is read comes without a label.
        config, own = with_label(self.plan.model, weights, {})
        network = open_network(config, engine, own)
        assert isinstance(network, NativeNetwork)
        return fit_adaptation(network, data.train, data.val[:tokens], poll=poll).to_json()

    def _sample(self) -> Iterator[Sampled]:
        fit_head_scale(self._trainer.network, self._data.train)
        if (sampled := self._ranks.alone(self._write_sample)) is not None:
            yield sampled
        self._wait_for_the_reader()

    def _wait_for_the_reader(self) -> None:
        """Let the first of several processes show what it has yielded, however long that takes.

        A pager may hold it up, or Ctrl-S; a step would not wait for it.
        """
        self._ranks.alone(lambda: None)

    def _write_sample(self) -> Sampled | None:
        """A text by the model as it is; None where it has no numbers to write one by."""
        data = self._data
        trained = self._trainer.network
        # As `textgen sample` writes: the training waits for it.
        threads = trained.engine.threads or 1
        network = SamplingNetworks(self.plan.model, trained.arrays(), threads).one
        history = self.plan.seq_len if self.plan.sliding else 0
        corpus = data.corpus
        options = SampleOptions(
            length=SAMPLE_LENGTH,
            rng=self.plan.rng,
            history=history,
            keep_going=data.separator is None and corpus.documents > 1,
            separator=document_separator(corpus.options.documents),
        )
        # A text of one document is begun once in training, so that a network knows nothing of a
        # beginning: samples go on from the text.
        source = self._passage() if corpus.documents == 1 and data.val_pairs is None else []
        if (pairs := data.val_pairs) is not None:
            # One pair after the other, a new one at each sample.
            number = self._progress.step // self.plan.sample_every % len(pairs)
            source = data.val[pairs.starts[number] : pairs.separators[number] + 1].tolist()
            options = replace(options, temperature=0.0, until_end=True)
        try:
            with task("writing a sample"):
                (written,) = generate(
                    *(network, corpus.vocabulary, [source], options),
                    primer_ids=data.primer,
                    together=False,
                )
        except SamplingError:
            # Logits that are not finite: the counters and evaluations decide what follows.
            return None
        text = written.text
        if pairs is not None:
            text = corpus.vocabulary.decode(source).replace(SEPARATOR, " -> ") + text
        return Sampled(step=self._progress.step, text=text)

    def _passage(self) -> list[int]:
        """Training text that a sample goes on from, another one for each sample.

        It ends where the primer does, with a paragraph or a line; without a primer it ends with a
        space.
        """
        tokens, corpus = self._data.train, self._data.corpus
        number = self._progress.step // self.plan.sample_every
        first = len(tokens) * (number % PASSAGES) // PASSAGES
        stretch: list[int] = tokens[first : first + PASSAGE_TOKENS + LOOK_TOKENS].tolist()
        end = list(self._data.primer) or corpus.vocabulary.encode(" ").tolist()
        for stop in range(PASSAGE_TOKENS, len(stretch) + 1):
            if stretch[stop - len(end) : stop] == end:
                return stretch[stop - PASSAGE_TOKENS : stop]
        return stretch[:PASSAGE_TOKENS]

    def _seconds(self) -> float:
        before = self._state.progress.seconds
        return before + time.perf_counter() - self._started if self._started else before

    def _bits(self, nats_per_token: float | None, chars_per_token: float) -> float | None:
        if nats_per_token is None or not math.isfinite(nats_per_token):
            return None
        return nats_per_token / chars_per_token / math.log(2)

    def _bits_per_word(self, nats_per_token: float | None) -> float | None:
        """All that the validation text costs, a word of it; None where tokens are no words."""
        if self._val_words_per_token is None:
            return None
        return self._bits(nats_per_token, self._val_words_per_token)

    def _save(self) -> Saved:
        self._progress = replace(
            self._progress, steps_counted=self._trainer.steps_counted, seconds=self._seconds()
        )
        path = self.folder / RESUME_NAME
        tensors = self._trainer.tensors()
        # What the optimiser keeps can be no number any more where the weights are.
        weights = {name: array for name, array in tensors.items() if ".model." in f".{name}"}
        if not (_is_sound(weights) and is_writable(tensors)):
            raise self._diverged(_TOO_LARGE)

        def write() -> None:
            # A state that survives a power cut must not be ahead of the reports before it.
            sync_lines(self.folder / METRICS_NAME)
            state = replace(self._state, progress=self._progress, tensors=tensors, best=self._best)
            state.save(path)

        self._ranks.alone(write)
        return Saved(step=self._progress.step, path=str(path))

    def _with_unk(self, cost: _Cost) -> tuple[float | None, float | None]:
        """Bits per word without the letters of unknown words, and the share of these words."""
        per_token = self._val_words_per_token
        if per_token is None or cost.unknown is None or self._data.corpus.vocabulary.spelled:
            return None, None
        bits = self._bits_per_word(cost.nats - cost.unknown * self._data.escape)
        return bits, min(1.0, cost.unknown / per_token)

    def _write_model(self, weights: Arrays, cost: _Cost | None) -> None:
        progress, data = self._progress, self._data
        nats, tokens = (None, 0) if cost is None else (cost.nats, cost.tokens)
        with_unk, unknown = (None, None) if cost is None else self._with_unk(cost)
        info = {
            **{key: self._record[key] for key in ("versions", "corpus", "choices", "command")},
            "parent": self._record.get("parent"),
            # Where it was trained longer: from which step on, and by how many.
            "more": self._record.get("more", []),
            # What the model reads: pairs, and how many tokens at a time if that is fixed.
            "pairs": data.separator is not None,
            "history": self.plan.seq_len if self.plan.sliding else None,
            ADAPTATION: self._adaptation,
            "metrics": {
                "step": progress.best_step or progress.step,
                "steps": self.plan.steps,
                "val_nats_per_token": nats,
                "val_bits_per_char": self._bits(nats, data.val_chars_per_token),
                "val_bits_per_word": self._bits_per_word(nats),
                "val_bits_per_word_with_unk": with_unk,
                "val_unknown_share": unknown,
                "val_tokens": tokens,
                "chars_seen": self._chars_seen(progress.best_step or progress.step),
                "val_exact_match": self._record.get("final_pairs"),
            },
        }
        model = SavedModel(
            config=self.plan.model,
            vocabulary=data.corpus.vocabulary,
            normalization=data.corpus.normalization,
            primer=data.primer,
            info=info,
            weights=weights,
        )
        self._ranks.alone(lambda: model.save(self.folder / MODEL_NAME))

    def _chars_seen(self, step: int) -> int:
        return round(step * self.plan.tokens_per_step * self._data.train_chars_read)

    def _diverged(self, what: str) -> TrainingDivergedError:
        """The error to end with; a model is left behind even if none was evaluated yet.

        The state that was saved last stays: it is sound.
        """
        path = self.folder / MODEL_NAME
        left = f"the best model before that is {path}"
        if not self._best:
            weights = self._trainer.network.arrays()
            if not _is_sound(weights):
                saved = RunState.load(self.folder / RESUME_NAME)
                self._trainer.load(saved.progress.step, 0, saved.tensors)
                weights = self._trainer.network.arrays()
            self._write_model(weights, None)
            left = f"{path} holds the weights before that, which no evaluation has found good"
        rate, decay = self.plan.optimizer.learning_rate, self.plan.optimizer.weight_decay
        smaller = f"{named('learning_rate')} (it was {rate:g}; try {min(rate / 4, 0.01):g})"
        if decay > 1.0 and rate * decay > 1.0:  # A step takes more than the whole weight away.
            smaller = f"{named('weight_decay')} (it was {decay:g}; the default is 0.1)"
        return TrainingDivergedError(
            f"training diverged at step {self._progress.step}: {what}; {left}. Try again with a "
            f"smaller {smaller}"
        )

    def _start_event(self) -> Started:
        data = self._data
        files = tuple(asdict(report) for report in data.corpus.files)
        val_notes = data.val_corpus.notes if data.val_corpus is not None else ()
        tokens = len(data.train)
        too_little = (
            f"{tokens:,} tokens are very little to learn from; 50,000 are enough to try, a million "
            "is good"
        )
        return Started(
            folder=str(self.folder),
            resumed_from=self._resumed_from,
            steps=self.plan.steps,
            parameters=self.plan.model.num_parameters(),
            vocab_size=self.plan.model.vocab_size,
            train_tokens=tokens,
            val_tokens=len(data.val),
            encoding=data.corpus.files[0].encoding,
            confidence=min(report.confidence for report in data.corpus.files),
            files=files,
            notes=(
                *data.corpus.notes,
                *data.notes,
                *(Message(f"of {named('val')}: {marks_of(note)}") for note in val_notes),
                *((too_little,) if tokens < LITTLE_TEXT else ()),
                *self._notes,
            ),
            choices=tuple(map(Choice.from_dict, self._record["choices"])),
            command=self.command,
            documents=data.lengths,
        )

    def _report(
        self, nats: float, grad_norm: float, evaluated: bool, tokens_per_second: float
    ) -> Report:
        progress, plan, data = self._progress, self.plan, self._data
        return Report(
            step=progress.step,
            steps=plan.steps,
            seconds=self._seconds(),
            train_bits_per_char=None
            if plan.model.has_vector_output
            else self._bits(nats + data.train_spelling, data.train_chars_per_token),
            val_bits_per_char=self._bits(progress.last_nats, data.val_chars_per_token),
            best_bits_per_char=self._bits(progress.best_nats, data.val_chars_per_token),
            evaluated=evaluated,
            chars_per_second=tokens_per_second * data.train_chars_read,
            learning_rate=plan.learning_rate(progress.step - 1),
            grad_norm=grad_norm if math.isfinite(grad_norm) else None,
            skipped=progress.skipped,
            train_distance=nats if plan.model.has_vector_output and math.isfinite(nats) else None,
        )

    def _figure(self, final: Any) -> _Cost:
        """The cost of the best model; `final` is from the run's record."""
        if final is not None:
            return _Cost(*final)  # Of two numbers in a run of version 0.1.
        best = self._progress.best_nats
        # All evaluations of the course read the same tokens.
        unknown = None if self._course is None else self._course.unknown
        if best is None:  # It was stopped before its first evaluation.
            return _Cost(math.nan, 0, None)
        return _Cost(best, self.plan.eval_tokens, unknown)

    def _end_event(self, reason: str, cost: _Cost) -> Ended:
        progress, data = self._progress, self._data
        nats, tokens = cost.nats, cost.tokens
        with_unk, unknown = self._with_unk(cost)
        seconds = self._seconds()
        chars = self._chars_seen(progress.step)
        exact, written = self._record.get("final_pairs") or (None, 0)
        # The evaluations of the course take a part of a long validation text, the last one more.
        course_tokens = 0 if self._course is None else self._course.tokens
        other = 0 < course_tokens < tokens
        return Ended(
            reason=reason,
            step=progress.step,
            steps=self.plan.steps,
            seconds=seconds,
            best_bits_per_char=nats / data.val_chars_per_token / math.log(2),
            best_step=progress.best_step or progress.step,
            uniform_bits_per_char=(math.log(self.plan.model.vocab_size) + data.val_spelling)
            / data.val_chars_per_token
            / math.log(2),
            val_tokens=tokens,
            chars_seen=chars,
            chars_per_second=chars / seconds if seconds else 0.0,
            skipped=progress.skipped,
            folder=str(self.folder),
            model=str(self.folder / MODEL_NAME),
            encoding=data.corpus.files[0].encoding,
            confidence=min(report.confidence for report in data.corpus.files),
            best_bits_per_word=self._bits_per_word(nats),
            best_bits_per_word_with_unk=with_unk,
            unknown_share=unknown,
            exact_match=exact,
            written_pairs=written,
            course_bits_per_char=(
                self._bits(progress.best_nats, data.val_chars_per_token) if other else None
            ),
            course_tokens=course_tokens if other else 0,
        )


def _is_sound(weights: Arrays) -> bool:
    """Whether a network can be gone on with: no weight is immense, or no number at all."""
    return all(bool((np.abs(array) < LARGEST_WEIGHT).all()) for array in weights.values())
