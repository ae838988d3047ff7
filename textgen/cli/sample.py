"""`textgen sample`."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.boundary import guarded
from textgen.cli.parameters import ModelOptions, OutputOptions, spelled, with_options
from textgen.cli.records import print_json, print_notes
from textgen.errors import SamplingError
from textgen.messages import Message, named
from textgen.options import RNG_LIMIT, SampleOptions
from textgen.progress import track
from textgen.settings import ADVANCED, STEERING, TEXT, check, setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.text import Text

    from textgen.api import Model
    from textgen.sampling import FittedSeed, Generation, NoveltyReport
    from textgen.steering import SteeringPlan


@dataclass(frozen=True, kw_only=True)
class WritingOptions(ModelOptions):
    """What is written, by which model, and how it is shown.

    Raises:
        SamplingError: A value is out of range.
    """

    seed: str | None = setting(
        None,
        help="The beginning of the text; the model continues it. - reads it from stdin.",
        panel=TEXT,
        short="s",
    )
    seed_file: Path | None = setting(
        None, help="Read the beginning of the text from a file.", panel=TEXT, metavar="FILE"
    )
    count: int = setting(
        1,
        help="Write N texts, with a line end or a blank line between them, as between the "
        "documents of the training text.",
        panel=TEXT,
        at_least=1,
    )
    interactive: bool = setting(
        False, help="Write a text together with the model, in turns.", panel=TEXT, short="i"
    )
    novelty: bool = setting(
        False,
        help="Show what is copied from the training text: long runs of tokens, and whole "
        "documents.",
        panel=TEXT,
    )
    steer: tuple[str, ...] = setting(
        (),
        help="Hold a neuron at a value while the text is written; or a direction that inspect "
        "find has saved. 0:137=+2 holds neuron 137 of layer 0 at 2 standard deviations "
        "above its mean; 0:137=off holds it at 0. sentiment=-2@s1,+2@s2.. changes the value "
        "from sentence 2 on; 0:137=+2@0..60 acts on the first 60 characters only; 0:137=+2:add "
        "adds to the value; 0:137=2:scale multiplies it. May be repeated.",
        panel=STEERING,
        metavar="SPEC",
    )
    live: str | None = setting(
        None,
        help="Steer a neuron or a saved direction with keys while the text appears. The arrow "
        "keys raise and lower the dose, 0 holds it at its mean, r releases it, q ends the "
        "text. Without --length the text goes on until you end it. May be used together "
        "with --steer.",
        panel=STEERING,
        metavar="TARGET[=DOSE]",
    )
    exact: bool = setting(
        False,
        help="Compute each text of --count alone, so that text K is the same for every count. "
        "Without this option, four or more texts are computed together; this is faster, and "
        "rounding differs.",
        panel=ADVANCED,
    )
    novelty_corpus: str | None = setting(
        None,
        help="Like --novelty, but take the training text from this file or folder. Needed if the "
        "text is no longer in the cache.",
        panel=ADVANCED,
        metavar="PATH",
    )
    speed: float | None = setting(
        None,
        help="How many characters per second --live writes at first; 0 is as fast as possible.",
        panel=ADVANCED,
        by_default="30",
    )
    transcript: Path | None = setting(
        None,
        help="Save the text of --live as JSON, with its doses and the --steer schedule that "
        "repeats it.",
        panel=ADVANCED,
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        check(self, SamplingError)

    @property
    def is_compared(self) -> bool:
        """Whether the texts are compared with the training text."""
        return self.novelty or self.novelty_corpus is not None


@guarded
@with_options
def sample_command(
    context: typer.Context,
    asked: WritingOptions,
    options: SampleOptions,
    output: OutputOptions,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SEED",
            help="The beginning of the text, like --seed. The path of a model or of a run's "
            "folder is read as --checkpoint.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write text with a trained model.

    The text goes to stdout, everything else to stderr. The same command always writes the same
    text; for another text, change --rng.

    textgen sample "старуха"

    textgen sample --checkpoint mine --length 2000 --temperature 0.6 --rng 7

    textgen sample --count 5 --until-sentence

    textgen sample --seed "старуха" --steer 0:17=+2 --steer 0:3=off@60..

    A model that was trained on several documents, such as names or poems, stops at the end of a
    document.

    A model that was trained on pairs reads each line of the beginning as a source, and writes a
    line with its target.
    """
    from textgen.api import load
    from textgen.cli.beginning import read_beginning
    from textgen.terminal.text import visible

    quiet = output.quiet
    _check_asked(asked, output)
    given = {name: getattr(options, name) for name in spelled(context, SampleOptions)}
    if asked.live is not None:
        from textgen.cli.live import LENGTH

        given.setdefault("length", LENGTH)
    beginning = read_beginning(words or (), asked.seed, asked.seed_file, asked.checkpoint)
    model = load(beginning.checkpoint)
    # What is out of range is refused before anything is announced.
    settings = model.sample_options(**given)
    _check_model(model, asked, settings)

    def say(line: str | None) -> None:
        if line and not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    if not quiet:
        print_notes([*([beginning.note] if beginning.note else []), *_notes(model, options)])
    computed_by = _another(settings, asked.count)
    if model.saved.reads_pairs:
        _write_targets(model, beginning.text, settings, asked, output, computed_by)
        return
    fitted = model.fit_seed(beginning.text)
    say(fitted.notice)
    if beginning.checkpoint is None and sys.stderr.isatty():
        say(f"the newest model: {visible(str(model.path))}")
    plan = model.steering(*asked.steer) if asked.steer else None
    say(model.networks.describe(asked.count, exact=asked.exact) + computed_by)
    if settings.history:
        why = "" if "history" in given else ", as in training (--history 0 carries its state)"
        say(f"history: the network sees {settings.history} tokens at each choice{why}")
    for line in [] if plan is None else plan.describe():
        say(f"steering: {line}")
    if asked.live is not None:
        from textgen.cli.live import describe, live_steering, write_live

        steering = live_steering(model, asked.live, plan)
        say(f"steering: {describe(steering)}")
        write_live(model, fitted, settings, steering, beginning.text, asked, output)
    elif asked.interactive:
        from textgen.cli.interactive import converse

        converse(model, fitted, settings, output, plan)
    elif asked.count == 1 and not output.json_output and not asked.is_compared:
        _stream(model, fitted, settings, plan)
    else:
        _write_texts(model, fitted, settings, plan, asked, output)


def _check_asked(asked: WritingOptions, output: OutputOptions) -> None:
    """Refuse options that contradict each other, and keys where no terminal is."""
    is_many = output.json_output or asked.count > 1 or asked.is_compared
    if asked.interactive and is_many:
        raise SamplingError("--interactive does not go with --json, --count or --novelty")
    if asked.live is None:
        if asked.speed is not None or asked.transcript is not None:
            option = "--transcript" if asked.speed is None else "--speed"
            raise SamplingError(f"{option} needs --live; name what to steer: --live TARGET")
        return
    if asked.interactive or is_many:
        raise SamplingError(
            "--live does not go with --interactive, --json, --count or --novelty; they go with the "
            "command that it prints, which writes the same text again"
        )
    from textgen.cli.live import check_terminal

    check_terminal()


def _check_model(model: Model, asked: WritingOptions, settings: SampleOptions) -> None:
    """Refuse options that the model cannot follow."""
    is_steered = bool(asked.steer or asked.live)
    if settings.history and is_steered:
        raise SamplingError(
            "--steer and --live change the state that a text carries on, but with a history of "
            f"{settings.history} tokens no state is carried on; add --history 0"
        )
    if not model.saved.reads_pairs:
        return
    if is_steered or asked.interactive or asked.is_compared:
        raise SamplingError(
            "this model writes the targets of pairs: --steer, --live, --interactive, "
            "and --novelty are for models of text"
        )
    if settings.history:
        raise SamplingError(
            f"this model reads a whole source before it writes, and --history {settings.history} "
            "would make it forget the source; leave it out"
        )


def _notes(model: Model, options: SampleOptions) -> list[str]:
    """What of the options can have no effect on this model's texts."""
    notes = []
    for name in ("until_end", "keep_going"):
        has_ends = model.saved.writes_documents or model.saved.reads_pairs
        if getattr(options, name) and not has_ends:
            notes.append(
                Message(
                    f"{named(name)} has no effect: this model was trained on one text and has seen "
                    f"no end of a document, so it writes up to {named('length')}"
                )
            )
    stops = (model.fit_stop(text, keep_going=options.keep_going) for text in options.stop)
    return [*notes, *(stop.notice for stop in stops if stop.notice is not None)]


def _another(settings: SampleOptions, count: int) -> str:
    """How to get another text, for the end of the line that says what computes."""
    following = settings.rng + 1
    if settings.temperature == 0 or settings.top_k == 1 or following >= RNG_LIMIT:
        return ""
    return f"; --rng {following} writes {'another' if count == 1 else 'others'}"


def _stream(
    model: Model, fitted: FittedSeed, settings: SampleOptions, plan: SteeringPlan | None
) -> None:
    """Write to stdout as the text is made; the same bytes whether it is a terminal or not."""
    live = sys.stdout.isatty()
    shown = _shower(live)
    symbols = model.stream(fitted, steer=plan, **asdict(settings))
    if not live:
        symbols = track(symbols, "writing", settings.length)
    sys.stdout.write(shown(fitted.text))
    for symbol in symbols:
        sys.stdout.write(shown(symbol.text))
        if live:
            sys.stdout.flush()
    if live:
        sys.stdout.write("\n")


def _shower(live: bool, *, keep_newlines: bool = True) -> Callable[[str], str]:
    """On a terminal, control characters from a corpus are shown and not obeyed."""
    from textgen.terminal.console import make_console
    from textgen.terminal.text import visible

    make_console(sys.stdout)  # a character that the stream lacks is escaped, never an error
    if not live:
        return lambda text: text
    encoding = sys.stdout.encoding or "utf-8"
    return lambda text: visible(text, keep_newlines=keep_newlines, encoding=encoding)


def _write_texts(
    model: Model,
    fitted: FittedSeed,
    settings: SampleOptions,
    plan: SteeringPlan | None,
    asked: WritingOptions,
    output: OutputOptions,
) -> None:
    """Write several texts, or one with what is to be known of it."""
    corpus = None
    if asked.is_compared:
        from textgen.sampling import training_text

        corpus = training_text(model.saved, asked.novelty_corpus)
        if asked.novelty_corpus is not None and not output.quiet:
            print_notes(corpus.notes)
    texts = model.generate_many(
        asked.count, fitted, exact=asked.exact, steer=plan, **asdict(settings)
    )
    report = None
    if corpus is not None:
        from textgen.sampling import NoveltyReport

        report = NoveltyReport(model.saved, corpus, texts, fitted, settings.end_text)
    if not output.json_output:
        _print_texts(fitted, texts, settings.separator, report, output)
        return
    samples = []
    for place, text in enumerate(texts):
        sample: dict[str, Any] = {
            "text": fitted.text + text.text,
            "generated": text.text,
            "finish_reason": text.finish_reason,
            "bits_per_char": text.bits_per_char,
        }
        if plan is not None:
            sample["unsteered_bits_per_char"] = model.bits_per_char(text.ids, seed=fitted)
        if report is not None:
            sample["novelty"] = report.text_to_json(place)
        samples.append(sample)
    record = {
        "checkpoint": str(model.path),
        "seed": fitted.text,
        "notice": fitted.notice,
        "settings": asdict(settings),
        "steering": [] if plan is None else plan.to_json(),
        "path": model.networks.record(len(texts), exact=asked.exact),
        "samples": samples,
    }
    if report is not None:
        record["novelty"] = report.to_json()
    print_json(record)


def _print_texts(
    fitted: FittedSeed,
    texts: list[Generation],
    separator: str,
    report: NoveltyReport | None,
    output: OutputOptions,
) -> None:
    """Texts on stdout with a separator between two, as documents stand in the training text."""
    from textgen.terminal.console import make_consoles

    out = make_consoles(output.color).out
    shown = _shower(sys.stdout.isatty())
    told = None if output.quiet else report
    # In a file the texts alone tell where each begins; lines need no headers on a screen either.
    on_screen = sys.stdout.isatty() and sys.stderr.isatty() and not output.quiet
    for place, text in enumerate(texts):
        if len(texts) > 1 and on_screen and separator != "\n":
            print(f"--- {place + 1} of {len(texts)} ---", file=sys.stderr, flush=True)
        if report is None:
            sys.stdout.write(shown(fitted.text + text.text))
        else:
            out.print(_marked(fitted, report.pieces(place)), soft_wrap=True, end="")
        sys.stdout.write("\n" if place == len(texts) - 1 else separator)
        sys.stdout.flush()
        if told is not None and not told.is_of_documents:
            print(*told.describe_text(place), sep="\n", file=sys.stderr, flush=True)
    if told is not None and told.is_of_documents:
        print(*told.describe(), sep="\n", file=sys.stderr, flush=True)


def _marked(fitted: FittedSeed, pieces: list[tuple[str, bool]]) -> Text:
    """A text with its copied parts in reverse."""
    from rich.text import Text

    from textgen.terminal.text import visible

    drawn = Text(visible(fitted.text, keep_newlines=True))
    for piece, is_copied in pieces:
        drawn.append(visible(piece, keep_newlines=True), "reverse" if is_copied else "")
    return drawn


def _write_targets(
    model: Model,
    text: str,
    settings: SampleOptions,
    asked: WritingOptions,
    output: OutputOptions,
    computed_by: str,
) -> None:
    """Write the targets of the sources in `text`, which stand one a line; blank lines are left out.

    Raises:
        SamplingError: There is no source, or one has a TAB.
    """
    # As files of pairs are cut: other separators of lines are characters of a source.
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    if not lines:
        raise SamplingError(
            "this model was trained on pairs and writes the target of a source, and there is none; "
            "give one: --seed SOURCE, or --seed-file FILE with one a line"
        )
    sources = [model.fit_seed(line) for line in lines]
    if not output.quiet:
        for notice in dict.fromkeys(source.notice for source in sources if source.notice):
            print(notice, file=sys.stderr)
        number = len(sources) * asked.count
        described = model.networks.describe(number, exact=asked.exact)
        print(described + computed_by, file=sys.stderr, flush=True)
    written = model.generate_targets(
        sources, count=asked.count, exact=asked.exact, **asdict(settings)
    )
    if output.json_output:
        sources = [source for source in sources for _ in range(asked.count)]
        print_json(
            {
                "checkpoint": str(model.path),
                "settings": asdict(settings),
                "path": model.networks.record(len(written), exact=asked.exact),
                "samples": [
                    {
                        "source": source.text,
                        "notice": source.notice,
                        "target": target.text,
                        "finish_reason": target.finish_reason,
                        "bits_per_char": target.bits_per_char,
                    }
                    for source, target in zip(sources, written, strict=True)
                ],
            }
        )
        return
    shown = _shower(sys.stdout.isatty(), keep_newlines=False)
    for target in written:
        sys.stdout.write(shown(target.text) + "\n")
    cut = sum(target.finish_reason == "length" for target in written)
    if cut and not output.quiet:
        print(f"{cut} of {len(written)} targets did not end within --length", file=sys.stderr)
