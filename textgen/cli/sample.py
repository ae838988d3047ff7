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
from textgen.options import RNG_LIMIT, SampleOptions
from textgen.progress import track
from textgen.settings import ADVANCED, STEERING, TEXT, check, setting
from textgen.terminal.console import ColorMode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textgen.api import Model
    from textgen.cli.novelty import NoveltyReport
    from textgen.sampling import FittedSeed, Generation
    from textgen.steering import SteeringPlan


@dataclass(frozen=True, kw_only=True)
class WritingOptions(ModelOptions):
    """What is written, by which model, and how it is shown.

    Raises:
        SamplingError: A value is out of range.
    """

    seed: str | None = setting(
        None,
        help="The beginning of the text; - reads it from standard input.",
        panel=TEXT,
        short="s",
    )
    seed_file: Path | None = setting(
        None, help="Read the beginning of the text from a file.", panel=TEXT, metavar="FILE"
    )
    count: int = setting(
        1,
        help="Write N texts, separated as the documents of the training text were: by a line end "
        "or a blank line.",
        panel=TEXT,
        at_least=1,
    )
    interactive: bool = setting(
        False, help="Write a text in turns with the model.", panel=TEXT, short="i"
    )
    novelty: bool = setting(
        False,
        help="Show what is copied from the training text: runs of symbols, whole documents.",
        panel=TEXT,
    )
    steer: tuple[str, ...] = setting(
        (),
        help="Hold a neuron, or what inspect find saved, at a value while writing. 0:137=+2 is 2 "
        "standard deviations above its mean, 0:137=off is 0. sentiment=-2@s1,+2@s2.. changes the "
        "value from sentence 2 on; 0:137=+2@0..60 holds it for these characters only; "
        "0:137=+2:add adds to it, :scale multiplies it. May be repeated.",
        panel=STEERING,
        metavar="SPEC",
    )
    live: str | None = setting(
        None,
        help="Steer a neuron or a saved direction by keys while the text streams: arrows raise and "
        "lower the dose, 0 holds the mean, r releases it, q ends the text. Without --length the "
        "text goes on until you end it. Goes together with --steer.",
        panel=STEERING,
        metavar="TARGET[=DOSE]",
    )
    exact: bool = setting(
        False,
        help="Compute each text of --count by itself: then text K is the same whatever the count. "
        "Without it four texts or more are computed together, which is faster and rounds "
        "differently.",
        panel=ADVANCED,
    )
    novelty_corpus: str | None = setting(
        None,
        help="As --novelty, but read the training text from this file or folder; needed where it "
        "is no longer in the cache.",
        panel=ADVANCED,
        metavar="PATH",
    )
    speed: float | None = setting(
        None,
        help="How many characters a second --live writes at first; 0 is as fast as it goes.",
        panel=ADVANCED,
        by_default="30",
    )
    transcript: Path | None = setting(
        None,
        help="Keep the text of --live, its doses and the schedule that repeats it, as JSON.",
        panel=ADVANCED,
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        check(self, SamplingError)


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
            help="The beginning of the text, as --seed. A path of a model or of a run's folder is "
            "taken as --checkpoint.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write text with a trained model.

    The text goes to stdout, everything else to stderr. The same command writes the same text.

    textgen sample "старуха"

    textgen sample --checkpoint mine --length 2000 --temperature 0.6 --rng 7

    textgen sample --count 5 --until-sentence

    textgen sample --seed "старуха" --steer 0:17=+2 --steer 0:3=off@60..

    A model of several documents, such as names or poems, ends its text where a document ends.

    A model of pairs takes each line of the seed for a source and writes its target on a line.
    """
    json_output, quiet, color = output.json_output, output.quiet, output.color
    count, live, novelty_corpus = asked.count, asked.live, asked.novelty_corpus
    is_compared = asked.novelty or novelty_corpus is not None
    from textgen.api import load
    from textgen.cli.beginning import read_beginning
    from textgen.terminal.text import visible

    if asked.interactive and (json_output or count > 1 or is_compared):
        raise SamplingError("--interactive goes with neither --json, --count nor --novelty")
    if live is not None:
        from textgen.cli.live import LENGTH, check_terminal

        if asked.interactive or json_output or count > 1 or is_compared:
            raise SamplingError(
                "--live goes with neither --interactive, --json, --count nor --novelty; what it "
                "writes can be written again with them, by the command that it prints"
            )
        check_terminal()
    elif asked.speed is not None or asked.transcript is not None:
        option = "--transcript" if asked.speed is None else "--speed"
        raise SamplingError(f"{option} is of --live alone; name what to steer: --live TARGET")
    given = {name: getattr(options, name) for name in spelled(context, SampleOptions)}
    if live is not None:
        given.setdefault("length", LENGTH)
    beginning = read_beginning(words or (), asked.seed, asked.seed_file, asked.checkpoint)
    model = load(beginning.checkpoint)
    # What is out of range is refused before anything is announced.
    settings = asdict(model.sample_options(**given))

    def say(line: str | None) -> None:
        if line and not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    if settings["history"] and (asked.steer or live):
        raise SamplingError(
            "--steer and --live act upon the state that a text carries on, and with a history of "
            f"{settings['history']} tokens nothing is carried on; add --history 0"
        )
    if model.saved.reads_pairs:
        from textgen.cli.targets import write_targets

        if asked.steer or live is not None or asked.interactive or is_compared:
            raise SamplingError(
                "this model writes the targets of pairs: --steer, --live, --interactive, "
                "and --novelty are for models of text"
            )
        if settings["history"]:
            raise SamplingError(
                f"this model reads a whole source before it writes, and --history "
                f"{settings['history']} would have it forget what it read; leave it out"
            )
    for line in (beginning.note, *_notes(model, options)):
        say(line and f"note: {line}")
    hint = _another(settings, count, is_given="rng" in given)
    if model.saved.reads_pairs:
        write_targets(
            model,
            beginning.text,
            settings,
            count=count,
            exact=asked.exact,
            json_output=json_output,
            quiet=quiet,
            hint=hint,
        )
        return
    fitted = model.fit_seed(beginning.text)
    say(fitted.notice)
    if beginning.checkpoint is None and sys.stderr.isatty():
        say(f"the newest model: {visible(str(model.path))}")
    plan = model.steering(*asked.steer) if asked.steer else None
    say(model.networks.describe(count, exact=asked.exact) + hint)
    if settings["history"]:
        why = "" if "history" in given else ", as in training (--history 0 carries its state)"
        say(f"history: the network sees {settings['history']} tokens at each choice{why}")
    for line in [] if plan is None else plan.describe():
        say(f"steering: {line}")
    if live is not None:
        from textgen.cli.live import SPEED, describe, hand_of, steer_by_hand

        hand = hand_of(model, live, plan)
        say(f"steering: {describe(hand)}")
        steer_by_hand(
            model,
            fitted,
            settings,
            hand,
            speed=SPEED if asked.speed is None else asked.speed,
            seed=beginning.text,
            seed_file=asked.seed_file,
            steer=asked.steer,
            transcript=asked.transcript,
            color=color,
            quiet=quiet,
        )
        return
    if asked.interactive:
        from textgen.cli.interactive import converse

        converse(model, fitted, settings, color, plan, quiet=quiet)
        return
    if count == 1 and not json_output and not is_compared:
        _stream(model, fitted, settings, plan)
        return
    report = None
    if is_compared:
        from textgen.cli.novelty import NoveltyReport

        report = NoveltyReport(model, novelty_corpus)
        if not quiet:
            print_notes(report.notes)
    texts = model.generate_many(count, fitted, exact=asked.exact, steer=plan, **settings)
    if report is not None:
        report.read(fitted, texts, settings)
    if json_output:
        _print_json(model, fitted, texts, report, settings, plan, exact=asked.exact)
        return
    _print_texts(fitted, texts, settings["separator"], report, color, quiet)


def _notes(model: Model, options: SampleOptions) -> Sequence[str]:
    """What of the options can have no effect on this model's texts."""
    notes = []
    for option, is_given in (
        ("--until-end", options.until_end),
        ("--keep-going", options.keep_going),
    ):
        if is_given and not (model.saved.writes_documents or model.saved.reads_pairs):
            notes.append(
                f"{option} has no effect: this model was trained on one text and has seen no end "
                "of a document, so it writes up to --length"
            )
    for text in options.stop:
        notice = model.fit_stop(text, keep_going=options.keep_going).notice
        if notice is not None:
            notes.append(notice)
    return notes


def _another(settings: dict[str, Any], count: int, *, is_given: bool) -> str:
    """How another text is got, at the end of the line that says what computes."""
    following = settings["rng"] + 1
    if settings["temperature"] == 0 or settings["top_k"] == 1 or following >= RNG_LIMIT:
        return ""
    return f"; --rng {following} writes {'another' if count == 1 else 'others'}"


def _stream(
    model: Model, fitted: FittedSeed, settings: dict[str, Any], plan: SteeringPlan | None
) -> None:
    """Write to stdout as the text is made; the same bytes whether it is a terminal or not."""
    live = sys.stdout.isatty()
    shown = _shower(live)
    symbols = model.stream(fitted, steer=plan, **settings)
    if not live:
        symbols = track(symbols, "writing", settings["length"])
    sys.stdout.write(shown(fitted.text))
    for symbol in symbols:
        sys.stdout.write(shown(symbol.text))
        if live:
            sys.stdout.flush()
    if live:
        sys.stdout.write("\n")


def _shower(live: bool) -> Callable[[str], str]:
    """On a terminal, control characters from a corpus are shown and not obeyed."""
    from textgen.terminal.console import make_console
    from textgen.terminal.text import visible

    make_console(sys.stdout)  # a character that the stream lacks is escaped, never an error
    if not live:
        return lambda text: text
    encoding = sys.stdout.encoding or "utf-8"
    return lambda text: visible(text, keep_newlines=True, encoding=encoding)


def _print_json(
    model: Model,
    fitted: FittedSeed,
    texts: list[Generation],
    report: NoveltyReport | None,
    settings: dict[str, Any],
    plan: SteeringPlan | None,
    *,
    exact: bool,
) -> None:
    samples = []
    for place, text in enumerate(texts):
        sample: dict[str, Any] = {
            "text": fitted.text + text.text,
            "generated": text.text,
            "finish_reason": text.finish_reason,
            "bits_per_char": _or_null(text.bits_per_char),
        }
        if plan is not None:
            # What the text costs the model when nobody steers it: the price of the steering.
            price = model.bits_per_char(text.ids, seed=fitted)
            sample["unsteered_bits_per_char"] = _or_null(price)
        if report is not None:
            sample["novelty"] = report.of_text(place)
        samples.append(sample)
    record = {
        "checkpoint": str(model.path),
        "seed": fitted.text,
        "notice": fitted.notice,
        "settings": settings,
        "steering": [] if plan is None else plan.to_json(),
        "path": model.networks.record(len(texts), exact=exact),
        "samples": samples,
    }
    if report is not None:
        record["novelty"] = report.of_all()
    print_json(record)


def _or_null(value: float) -> float | None:
    """JSON has no NaN: a text without characters has no cost."""
    return value if value == value else None


def _print_texts(
    fitted: FittedSeed,
    texts: list[Generation],
    separator: str,
    report: NoveltyReport | None,
    color: ColorMode,
    quiet: bool,
) -> None:
    """Texts on stdout with a separator between two, as documents stand in the training text."""
    from textgen.terminal.console import make_consoles

    out = make_consoles(color).out
    shown = _shower(sys.stdout.isatty())
    # In a file the texts alone tell where each begins; lines need no headers on a screen either.
    has_headers = sys.stdout.isatty() and sys.stderr.isatty() and separator != "\n" and not quiet
    for place, text in enumerate(texts):
        if len(texts) > 1 and has_headers:
            print(f"--- {place + 1} of {len(texts)} ---", file=sys.stderr, flush=True)
        if report is None:
            sys.stdout.write(shown(fitted.text + text.text))
        else:
            out.print(report.drawn(place), soft_wrap=True, end="")
        sys.stdout.write("\n" if place == len(texts) - 1 else separator)
        sys.stdout.flush()
        if report is not None and not quiet and not report.is_of_documents:
            for line in report.describe(place):
                print(line, file=sys.stderr, flush=True)
    if report is not None and not quiet and report.is_of_documents:
        for line in report.describe_all():
            print(line, file=sys.stderr, flush=True)
