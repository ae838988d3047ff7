"""What a run tells while it goes on: plain records, for the command line, JSON and tests alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from textgen.corpus.spans import DocumentLengths
from textgen.runtime import Choice
from textgen.terminal.humanize import plural, rate


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base class; `name` is the record's `event` key in JSON."""

    name: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        return {"event": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """The run is about to take its first step, or to go on.

    Args:
        folder: The run's folder.
        resumed_from: The step gone on from; 0 for a new run.
        steps: The run's length.
        parameters: Numbers the model learns.
        vocab_size: Symbols, the two marks included.
        train_tokens: Tokens to train on.
        val_tokens: Tokens to validate on.
        encoding: Of the text, or of its first file.
        confidence: How sure the encoding is, 0 to 1; the least of all files.
        files: Each file with encoding, confidence, reason, bytes and characters.
        notes: What else the person should know of the text.
        choices: Every setting with its reason.
        command: Repeats the run exactly, without looking at a clock.
        documents: How many documents the text has and how long they are, where there are several.
    """

    name = "start"
    folder: str
    resumed_from: int
    steps: int
    parameters: int
    vocab_size: int
    train_tokens: int
    val_tokens: int
    encoding: str
    confidence: float
    files: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    choices: tuple[Choice, ...]
    command: str
    documents: DocumentLengths | None = None


@dataclass(frozen=True, kw_only=True)
class Report(Event):
    """How training goes.

    Args:
        step: Steps taken.
        steps: The run's length.
        seconds: Wall time since the first step, earlier parts of a resumed run included.
        train_bits_per_char: Mean training loss since the last report.
        val_bits_per_char: Of the last evaluation; None before the first.
        best_bits_per_char: The best so far.
        evaluated: Whether this report comes with a new evaluation.
        chars_per_second: Characters learned from, since the last report.
        learning_rate: Of the last step.
        grad_norm: Mean norm of the gradients before clipping.
        skipped: Updates masked so far because they were not finite.
        train_distance: Where the loss is a distance, its mean since the last report; what the text
            cost in bits is then known of evaluations alone.
    """

    name = "report"
    step: int
    steps: int
    seconds: float
    train_bits_per_char: float | None
    val_bits_per_char: float | None
    best_bits_per_char: float | None
    evaluated: bool
    chars_per_second: float
    learning_rate: float
    grad_norm: float | None
    skipped: int
    train_distance: float | None = None

    def figures(self) -> list[str]:
        """The figures in words, the most important first."""
        figures = []
        if self.val_bits_per_char is not None:
            figures.append(f"val {self.val_bits_per_char:.3f}")
        if self.train_bits_per_char is not None:
            figures.append(f"train {self.train_bits_per_char:.3f} bits/char")
        elif self.val_bits_per_char is not None:
            figures[-1] += " bits/char"
        if self.train_distance is not None:
            figures.append(f"distance {self.train_distance:.3f}")
        figures.append(rate(self.chars_per_second))
        if self.skipped:
            figures.append(f"{plural(self.skipped, 'update')} left out")
        return figures


@dataclass(frozen=True, kw_only=True)
class Sampled(Event):
    """A few characters of the model's own at this point."""

    name = "sample"
    step: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Saved(Event):
    """The resumable state is on disk."""

    name = "save"
    step: int
    path: str


@dataclass(frozen=True, kw_only=True)
class Ended(Event):
    """The run is over, or was stopped.

    Args:
        reason: `finished`, `patience`, `stopped` (it can be resumed) or `already finished`.
        step: Steps taken.
        steps: The run's length.
        seconds: Wall time from the first step to now.
        best_bits_per_char: Validation cost of the best model, over `val_tokens`; NaN where it was
            stopped before the first evaluation.
        best_step: After which it was reached.
        uniform_bits_per_char: What a uniform guess among all symbols costs, to compare.
        val_tokens: Tokens that the figure was measured on.
        chars_seen: Characters learned from, repetitions included.
        chars_per_second: Mean over the run.
        skipped: Updates masked because they were not finite.
        folder: The run's folder.
        model: The best model's file.
        encoding: Of the text, or of its first file.
        confidence: How sure the encoding is.
        best_bits_per_word: At word level, the same cost over the number of words, that is of runs
            of letters and digits: spaces, punctuation and words that are spelled are charged to
            them.
        best_bits_per_word_with_unk: The same without the letters of unknown words, as word-level
            models are usually reported; None where rare words are spelled.
        unknown_share: The share of unknown words in the text that both were measured on.
        exact_match: Share of `written_pairs` pairs to validate on whose targets the best model
            writes exactly; None where it was not trained on pairs, or not to the end.
        written_pairs: How many that are.
        course_bits_per_char: What the best model cost in the evaluation that chose it, over
            `course_tokens`: less of the validation text, so another figure. None: nothing else was
            measured.
        course_tokens: Tokens that each evaluation of the course was measured on.
    """

    name = "end"
    reason: str
    step: int
    steps: int
    seconds: float
    best_bits_per_char: float
    best_step: int
    uniform_bits_per_char: float
    val_tokens: int
    chars_seen: int
    chars_per_second: float
    skipped: int
    folder: str
    model: str
    encoding: str
    confidence: float
    best_bits_per_word: float | None = None
    best_bits_per_word_with_unk: float | None = None
    unknown_share: float | None = None
    exact_match: float | None = None
    written_pairs: int = 0
    course_bits_per_char: float | None = None
    course_tokens: int = 0
