"""What `textgen train` shows while it goes on: a bar, plain lines, JSON lines, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.text import Text

from textgen.cli.moving import moving_line
from textgen.cli.parameters import in_flags, label
from textgen.cli.records import print_json
from textgen.files import RESUME_NAME, atomic_write_bytes
from textgen.progress import task
from textgen.runtime import Choice
from textgen.terminal.chart import Chart, TerminalChart, charts_picture, picture_kind
from textgen.terminal.console import ColorMode, make_consoles
from textgen.terminal.humanize import duration, rate
from textgen.terminal.tables import choices_table, key_values
from textgen.terminal.text import note_line, visible
from textgen.training.events import Ended, Event, Report, Sampled, Started
from textgen.training.folder import CURVE_NAME
from textgen.training.loss_curve import read_curve as read_curve

if TYPE_CHECKING:
    from textgen.checkpoint.model_file import ModelHeader


#: What a beginner is shown; the rest comes with `--explain`.
MAIN = ("encoding", "documents", "validation", "cell", "hidden_size", "dropout", "steps")

#: Names of what is told and not typed so.
_FACTS = {
    **{name: name for name in ("files", "vocabulary", "pairs", "validation", "embedding", "loss")},
    "path": "computed by",
    "start": "first weights",
}


def label_of(name: str) -> str:
    """The option that sets what was chosen, as it is typed; the name of what no option sets."""
    return _FACTS.get(name) or label(name)


def choice_rows(choices: Sequence[Choice], *, explain: bool) -> list[tuple[str, object, str]]:
    """Rows of the table: all, or the main ones and those that are not as they were asked for."""
    # A later choice replaces an earlier one of its name; there may be several encodings.
    latest = {choice if choice.name == "encoding" else choice.name: choice for choice in choices}
    return [
        (label_of(choice.name), choice.value, choice.reason)
        for choice in latest.values()
        if explain or choice.changed or choice.name in MAIN or _is_slow(choice)
    ]


def _is_slow(choice: Choice) -> bool:
    """Whether something else than the native engine computes: the reason says why."""
    return choice.name == "path" and not str(choice.value).startswith("native")


def choices_hint(choices: Sequence[Choice], *, explain: bool) -> str:
    """A line beneath the table: how to see the rest, and how to change a setting."""
    hidden = len(choice_rows(choices, explain=True)) - len(choice_rows(choices, explain=explain))
    change = "change one by typing it, like --hidden 256"
    return f"{hidden} more with --explain; {change}" if hidden else change


def print_json_line(event: Event) -> None:
    """Print an event as a JSON object on stdout."""
    print_json(event.to_dict())


#: Tokens in which the first source of a text of pairs is looked for.
_LOOK_TOKENS = 1000


class TrainView:
    """Figures beside the bar of a terminal, a line an evaluation elsewhere; all on stderr.

    Args:
        color: When to colour.
        explain: Whether to show every choice with its reason, not only the main ones.
    """

    def __init__(self, color: ColorMode, *, explain: bool = False) -> None:
        self._console = make_consoles(color).err
        self._explain = explain
        self._line = moving_line()
        #: The loss curve of a run that has ended, and its picture; None where there is none.
        self.curve: Chart | None = None
        self.picture: Path | None = None

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
            # On a line of its own: a box would break a long command.
            self._line.say("try next:")
            self._line.say(visible(sample_command(event)))

    def _start(self, event: Started) -> None:
        rows = choice_rows(event.choices, explain=self._explain)
        self._console.print(choices_table(rows, width=self._console.width))
        self._console.print(choices_hint(event.choices, explain=self._explain), style="dim")
        for note in event.notes:
            self._console.print(Text(note_line(in_flags(note))), soft_wrap=True)
        self._console.print(
            f"{event.parameters:,} parameters, {event.train_tokens:,} tokens to train on; "
            "to repeat this run:",
            soft_wrap=True,
        )
        # A line of its own, and nothing in it that a copy would have to leave out.
        self._line.say(visible(event.command))
        if event.resumed_from:
            self._console.print(f"resumed from step {event.resumed_from:,} of {event.steps:,}")

    def _report(self, event: Report) -> None:
        figures = event.figures()
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
                        ("with <unk>", unk_line(event)),
                        ("written exactly", exact_line(event)),
                        ("checkpoint", event.folder),
                        ("loss curve", None if self.picture is None else str(self.picture)),
                    ],
                )
            )
            return
        if self.curve is not None:
            self._console.print(TerminalChart(self.curve))
        if event.best_bits_per_char > event.uniform_bits_per_char:
            self._console.print(
                f"note: {event.best_bits_per_char:.3f} bits/char is worse than guessing among all "
                f"tokens ({event.uniform_bits_per_char:.3f}): the text is too short, or "
                "--learning-rate too high",
                soft_wrap=True,
            )
        self._console.print(summary(event, self.picture))


def summary(event: Ended, curve: Path | None) -> Panel:
    """The panel at the end of training; `curve` is the picture of the loss."""
    stopped = {"finished": None, "patience": "no new best for a while (--patience)"}
    why = stopped.get(event.reason, "interrupted; it can be resumed")
    best = f"{best_line(event)} (step {event.best_step:,} of {event.steps:,})"
    return key_values(
        "Training finished" if why is None else "Training ended",
        [
            ("best validation", best),
            ("with <unk>", unk_line(event)),
            ("measured on", measured_line(event)),
            ("written exactly", exact_line(event)),
            ("characters seen", event.chars_seen),
            ("speed", f"{rate(event.chars_per_second)}, {duration(event.seconds)} in all"),
            ("stopped", why),
            ("updates left out", event.skipped or None),
            ("checkpoint", event.folder),
            ("loss curve", None if curve is None else str(curve)),
        ],
    )


def best_line(event: Ended) -> str:
    """The best validation cost, a word too where tokens are words."""
    if not event.val_tokens:
        return "not measured yet"
    line = f"{event.best_bits_per_char:.3f} bits/char"
    if event.best_bits_per_word is None:
        return line
    return f"{event.best_bits_per_word:.3f} bits/word, {line}"


def unk_line(event: Ended) -> str | None:
    """The cost as word-level models are reported; None where no word is unknown."""
    bits = event.best_bits_per_word_with_unk
    if bits is None or not event.unknown_share:
        return None
    return (
        f"{bits:.3f} bits/word, where the letters of unknown words cost nothing; "
        f"{event.unknown_share:.1%} of the words are unknown"
    )


def measured_line(event: Ended) -> str | None:
    """Why the last figure is not that of the course; None where it is the same."""
    if event.course_bits_per_char is None:
        return None
    return (
        f"{event.val_tokens:,} tokens; {event.course_bits_per_char:.3f} bits/char, shown while "
        f"training, was on {event.course_tokens:,}"
    )


def exact_line(event: Ended) -> str | None:
    """How many held-out targets were written exactly; None where none was written."""
    if event.exact_match is None:
        return None
    return f"{event.exact_match:.1%} of {event.written_pairs:,} held-out targets"


def sample_command(event: Ended) -> str:
    """The command to try next: complete, and right for what the model writes."""
    from textgen.checkpoint import SavedModel
    from textgen.terminal.text import quote

    command = f"textgen sample --checkpoint {quote(event.folder)}"
    header = SavedModel.load_header(Path(event.model))
    if header.writes_documents:
        # Of a list new items are wanted.
        return f"{command} {'--items' if header.documents == 'line' else '--count'} 10"
    if header.reads_pairs:
        return f"{command} --seed {quote(_some_source(header))}"
    return command


def _some_source(header: ModelHeader) -> str:
    """The first source that the model was trained on; a word where that is no longer known."""
    from textgen.corpus.pairs import SEPARATOR
    from textgen.sampling.training_part import cached_text

    corpus = cached_text(header)
    if corpus is None:
        return "SOURCE"
    start = corpus.tokens[:_LOOK_TOKENS]
    return header.vocabulary.decode(start).split(SEPARATOR)[0] or "SOURCE"


def lacks_curve(event: Ended) -> bool:
    """Whether the loss curve is still to be drawn.

    Where a run had finished before, its curve could perhaps not be written then: it is missing, or
    that of a shorter training and so older than the state.
    """
    if event.reason != "already finished":
        return True
    folder = Path(event.folder)
    try:
        drawn = (folder / CURVE_NAME).lstat().st_mtime_ns
        return drawn < (folder / RESUME_NAME).lstat().st_mtime_ns
    except FileNotFoundError:
        return True


def save_curve(folder: Path, curve: Chart) -> Path:
    """Save the loss curve beside the checkpoint.

    Raises:
        StorageError: It cannot be written.
    """
    path = folder / CURVE_NAME
    with task("drawing the picture"):
        atomic_write_bytes(path, charts_picture([curve], picture_kind(path)))
    return path
