"""What `textgen train` shows while it goes on: a bar, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import TracebackType

from textgen.cli.moving import moving_line
from textgen.cli.records import print_json
from textgen.errors import StorageError
from textgen.terminal.color import ColorMode
from textgen.terminal.console import make_consoles
from textgen.terminal.curve import LossCurve, TerminalCurve, save_curve
from textgen.terminal.format import rate
from textgen.terminal.tables import TrainSummary, choices_table, key_values, train_summary
from textgen.terminal.text import visible
from textgen.training.events import Ended, Event, Report, Sampled, Started
from textgen.training.folder import CURVE_NAME, METRICS_NAME


class _View:
    """Base class: a context that is shown events."""

    def __enter__(self) -> _View:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def show(self, event: Event) -> None:
        """Take notice of one event."""

    def close(self) -> None:
        """The run is over, or failed."""


class Silence(_View):
    """Shows nothing; the loss curve is drawn all the same."""

    def show(self, event: Event) -> None:
        """Draw the curve at the end."""
        if isinstance(event, Ended) and event.reason != "already finished":
            draw_curve(Path(event.folder))


class JsonLines(_View):
    """One JSON object a line on stdout."""

    def show(self, event: Event) -> None:
        """Print it."""
        print_json(event.to_dict())
        if isinstance(event, Ended) and event.reason != "already finished":
            draw_curve(Path(event.folder))


class Progress(_View):
    """Figures beside the bar of a terminal, a line an evaluation elsewhere; all on stderr."""

    def __init__(self, color: ColorMode) -> None:
        self._console = make_consoles(color).err
        self._line = moving_line()

    def show(self, event: Event) -> None:
        """Draw it."""
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Report):
            self._report(event)
        elif isinstance(event, Sampled):
            self._line.say(f"  sample at step {event.step:,}: {visible(event.text)}")
        elif isinstance(event, Ended):
            self._end(event)

    def _start(self, event: Started) -> None:
        choices = [(c.name, c.value, c.reason) for c in event.choices]
        self._console.print(choices_table(choices))
        for note in event.notes:
            self._console.print(f"note: {visible(note)}", soft_wrap=True)
        self._console.print(
            f"{event.parameters:,} parameters, {event.train_tokens:,} tokens to train on; "
            f"the same again: {visible(event.command)}",
            soft_wrap=True,
        )
        if event.resumed_from:
            self._console.print(f"resumed from step {event.resumed_from:,} of {event.steps:,}")

    def _report(self, event: Report) -> None:
        figures = []
        if event.val_bits_per_char is not None:
            figures.append(f"val {event.val_bits_per_char:.3f}")
        if event.train_bits_per_char is not None:
            figures.append(f"train {event.train_bits_per_char:.3f} bits/char")
        elif event.val_bits_per_char is not None:
            figures[-1] += " bits/char"
        if event.train_distance is not None:
            figures.append(f"distance {event.train_distance:.3f}")
        figures.append(rate(event.chars_per_second))
        if event.skipped:
            figures.append(f"{event.skipped} updates left out")
        if self._line.goes_back:
            self._line.figures = figures
        elif event.evaluated:
            self._line.say(f"step {event.step:,}/{event.steps:,}  {'  '.join(figures)}")

    def _end(self, event: Ended) -> None:
        if event.reason == "already finished":
            self._console.print(
                key_values(
                    "Already finished",
                    [
                        ("steps", event.steps),
                        ("best validation", best_line(event)),
                        ("written exactly", exact_line(event)),
                        ("checkpoint", event.folder),
                        ("try next", sample_command(event)),
                    ],
                )
            )
            return
        picture = draw_curve(Path(event.folder))
        curve = read_curve(Path(event.folder))
        if curve.drawable:
            self._console.print(TerminalCurve(curve))
        if event.best_bits_per_char > event.uniform_bits_per_char:
            self._console.print(
                f"note: {event.best_bits_per_char:.3f} bits/char is worse than guessing among all "
                f"symbols ({event.uniform_bits_per_char:.3f}): the text is too short, or "
                "--learning-rate too high",
                soft_wrap=True,
            )
        stopped = {"finished": None, "patience": "no new best for a while (--patience)"}
        self._console.print(
            train_summary(
                TrainSummary(
                    best_bits_per_char=event.best_bits_per_char,
                    best_step=event.best_step,
                    steps=event.steps,
                    chars_seen=event.chars_seen,
                    seconds=event.seconds,
                    chars_per_second=event.chars_per_second,
                    checkpoint=event.folder,
                    try_next=sample_command(event),
                    curve=None if picture is None else str(picture),
                    stopped=stopped.get(event.reason, "interrupted; it can be resumed"),
                    skipped_updates=event.skipped,
                    best_bits_per_word=event.best_bits_per_word,
                    exact=exact_line(event),
                )
            )
        )


def best_line(event: Ended) -> str:
    """The best validation cost, a word too where tokens are words."""
    line = f"{event.best_bits_per_char:.3f} bits/char"
    if event.best_bits_per_word is None:
        return line
    return f"{event.best_bits_per_word:.3f} bits/word, {line}"


def exact_line(event: Ended) -> str | None:
    """How many held-out targets were written exactly; None where none was written."""
    if event.exact_match is None:
        return None
    return f"{event.exact_match:.1%} of {event.written_pairs:,} held-out targets"


def sample_command(event: Ended) -> str:
    """The command to try next."""
    return f'textgen sample --checkpoint {shlex.quote(event.folder)} --seed "..."'


def read_curve(folder: Path) -> LossCurve:
    """The loss curve of a run's reports."""
    train, validation = [], []
    try:
        lines = (folder / METRICS_NAME).read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        report = json.loads(line)
        if report["train_bits_per_char"] is not None:
            train.append((report["step"], report["train_bits_per_char"]))
        if report["evaluated"] and report["val_bits_per_char"] is not None:
            validation.append((report["step"], report["val_bits_per_char"]))
    return LossCurve(train=tuple(train), validation=tuple(validation), title=folder.name)


def draw_curve(folder: Path) -> Path | None:
    """Save the loss curve beside the checkpoint; None where there is too little to draw."""
    curve = read_curve(folder)
    if not curve.drawable:
        return None
    try:
        save_curve(folder / CURVE_NAME, curve)
    except StorageError:
        return None  # The model is safe; a picture is not worth a failed run.
    return folder / CURVE_NAME
