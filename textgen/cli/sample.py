"""`textgen sample`."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.apart import refuse_apart
from textgen.cli.boundary import guarded
from textgen.cli.parameters import (
    ModelOptions,
    OutputOptions,
    in_flags,
    spelled,
    which_model,
    with_options,
)
from textgen.cli.records import form_price, print_json, print_notes
from textgen.errors import ConfigError, SamplingError
from textgen.messages import Message, named
from textgen.options import RNG_LIMIT, ItemOptions, SampleOptions, asked_of, form_settings
from textgen.progress import track
from textgen.settings import ADVANCED, STEERING, TEXT, check, setting, setting_like
from textgen.terminal.humanize import plural
from textgen.terminal.text import quote, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.text import Text

    from textgen.api import Model
    from textgen.blending import BlendedModel
    from textgen.mixing import CountMixture
    from textgen.sampling import FittedSeed, Generation, NoveltyReport
    from textgen.sampling.items import Items
    from textgen.steering import SteeringPlan
    from textgen.writing_model import WritingModel

_RUNS = "checkpoints"


@dataclass(frozen=True, kw_only=True)
class WritingOptions:
    """What is written, by which model, and how it is shown.

    Raises:
        SamplingError: A value is out of range, or two options contradict each other.
    """

    checkpoint: tuple[str, ...] = setting_like(
        ModelOptions,
        "checkpoint",
        default=(),
        help="The model: its file, its folder, or its name under ./checkpoints. Several models, "
        "each with an option of its own, write one text together: their probabilities are added "
        f"up, by {named('weights')}. A symbol that a model lacks it reads as the nearest one that "
        "it has, or not at all.",
    )
    weights: str | None = setting(
        None,
        help=f"With several {named('checkpoint')}: what share each model has, in their order.",
        metavar="X,X,...",
        by_default="equal shares",
    )
    alternate: bool = setting(
        False,
        help=f"With several {named('checkpoint')}: let them write a word each in turn, at every "
        f"space the next one; {named('weights')} are then the shares of the words. Each text "
        "begins with the model of the largest share: where a text is one word, such as a name, "
        "it writes them all.",
    )
    seed: str | None = setting(
        None,
        help="The beginning of the text; the model continues it. - reads it from stdin.",
        panel=TEXT,
        short="s",
    )
    seed_file: Path | None = setting(
        None, help="Read the beginning of the text from a file.", panel=TEXT, metavar="FILE"
    )
    numbers: bool = setting(
        False,
        help="Write the numbers that follow, with a model of a series of numbers: the beginning "
        f"consists of numbers, such as 1,1,2,3,5, and {named('length')} numbers are written (10 "
        "without it). Without a beginning the model continues the series that it was trained on. "
        "The newest model of numbers is taken.",
        panel=TEXT,
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
    prompt_loop: bool = setting(
        False,
        help="Write for another program: read JSON objects from stdin, one a line, with a prompt "
        "and any settings of a text by the names of their options, and answer each with one on a "
        "line of stdout. The model is loaded once. What is wrong in a line is the answer to it.",
        panel=TEXT,
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
    adapt: tuple[str, ...] = setting(
        (),
        help="Let the model read this text first and learn from it: after each stretch its weights "
        "take a small step. Then it writes. The model's file stays as it is. May be repeated.",
        panel=TEXT,
        metavar="FILE",
    )
    save_as: str | None = setting(
        None,
        help=f"Keep the model that {named('adapt')} has changed, as checkpoints/NAME.",
        panel=TEXT,
        metavar="NAME",
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
        at_least=0,
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
        if self.live is None:
            for name in ("speed", "transcript"):
                if getattr(self, name) is not None:
                    raise SamplingError(
                        f"{named(name)} needs {named('live')}; name what to steer: "
                        + named("live", "TARGET")
                    )
        self._check_several()
        if self.save_as is not None and not self.adapt:
            raise SamplingError(f"{named('save_as')} goes with {named('adapt', 'FILE')}; give both")

    @property
    def given(self) -> list[str]:
        """What is asked for of what `textgen.apart` knows, by name."""
        wanted = {
            "steer": bool(self.steer),
            "live": self.live is not None,
            "interactive": self.interactive,
            "prompt_loop": self.prompt_loop,
            "count": self.count > 1,
            "novelty": self.is_compared,
            "numbers": self.numbers,
            "seed": self.seed is not None,
            "seed_file": self.seed_file is not None,
        }
        return [name for name, is_wanted in wanted.items() if is_wanted]

    def _check_several(self) -> None:
        """Refuse what needs several models, or one."""
        if len(self.checkpoint) < 2:
            asked = {"weights": self.weights, "alternate": self.alternate or None}
            for name, value in asked.items():
                if value is not None:
                    raise SamplingError(
                        f"{named(name, value)} goes with several models; name each: "
                        f"{named('checkpoint', 'A')} {named('checkpoint', 'B')}"
                    )
            return
        for name, why in {
            "steer": "a neuron belongs to one of them",
            "live": "a neuron belongs to one of them",
            "adapt": "it changes the weights of one",
            "numbers": "those of numbers write alone",
        }.items():
            if getattr(self, name):
                raise SamplingError(
                    f"{named(name)} does not go with several models: {why}; name one "
                    f"{named('checkpoint')}"
                )
        if self.novelty and self.novelty_corpus is None:
            raise SamplingError(
                f"{named('novelty')} compares with one training text, and several models have "
                f"several; name a folder with all of them: {named('novelty_corpus', 'PATH')}"
            )

    @property
    def shares(self) -> list[float] | None:
        """The numbers of `weights`; None where there are none.

        Raises:
            SamplingError: They are no numbers.
        """
        if self.weights is None:
            return None
        try:
            return [float(number) for number in self.weights.split(",")]
        except ValueError:
            raise SamplingError(
                f"{named('weights')} is {self.weights!r:.60}; it must be like "
                f"{named('weights', '0.7,0.3')}"
            ) from None

    @property
    def is_compared(self) -> bool:
        """Whether the texts are compared with the training text."""
        return self.novelty or self.novelty_corpus is not None


@guarded
@with_options
def sample_command(
    context: typer.Context,
    asked: WritingOptions,
    listed: ItemOptions,
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

    textgen sample --numbers --seed "1,1,2,3,5" --length 3

    textgen sample --adapt novel.txt --save-as novel

    A model that was trained on several documents, such as names or poems, stops at the end of a
    document.

    A model that was trained on pairs reads each line of the beginning as a source, and writes a
    line with its target.
    """
    from textgen.api import Model, load
    from textgen.checkpoint import locate_model, shipped_at
    from textgen.cli.numbers import may_be_numbers, sample_numbers
    from textgen.sampling import FittedSeed
    from textgen.sampling.items import LEAST_ROUND
    from textgen.series.number_model import holds_numbers, locate_numbers, locate_text

    quiet = output.quiet
    others = {"items": listed.items is not None, "json": output.json_output}
    also = [name for name, is_wanted in others.items() if is_wanted]
    refuse_apart([*asked_of(options), *asked.given, *also])
    given = {name: getattr(options, name) for name in spelled(context, SampleOptions)}
    if asked.live is not None:
        from textgen.cli.live import LENGTH, check_terminal

        check_terminal()
        if not form_settings(options):
            given.setdefault("length", LENGTH)
    text, checkpoints, note = _beginning(words or (), asked)
    if asked.prompt_loop and text:
        raise SamplingError(
            f"'{text:.60}' is written without an option, and {named('prompt_loop')} takes no "
            "beginning: each line has its prompt"
        )
    checkpoint = checkpoints[0] if checkpoints else None
    typed = set[str]().union(
        *(spelled(context, cls) for cls in (SampleOptions, WritingOptions, ItemOptions))
    )
    path = locate_numbers(checkpoint) if asked.numbers else locate_model(checkpoint, text=text)
    is_newest = checkpoint is None and not asked.numbers
    if is_newest and holds_numbers(path) and not may_be_numbers(text, typed):
        path = locate_text(text=text)
    model: Model | BlendedModel
    if len(checkpoints) > 1:
        from textgen.blending import blend

        model = blend(
            *map(locate_model, checkpoints), weights=asked.shares, alternate=asked.alternate
        )
    elif asked.numbers or holds_numbers(path):
        if is_newest:
            note = f"the newest model is one of numbers: {path}"
        sample_numbers(path, text, given.get("length"), typed, output, note)
        return
    else:
        model = load(path)
    # What is out of range is refused before anything is announced.
    settings = model.sample_options(**given)
    _check_model(model, asked, settings)

    def say(line: str | None) -> None:
        if line and not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    if not quiet:
        print_notes([*([note] if note else []), *_notes(model, options)])
    count = asked.count if listed.items is None else max(listed.items, LEAST_ROUND)
    computed_by = _another(settings, count)
    if asked.adapt and isinstance(model, Model):
        model = _adapt(model, asked, say)
    if isinstance(model, Model) and model.saved.reads_pairs and not asked.prompt_loop:
        _write_targets(model, text, settings, asked, output, computed_by)
        return
    fitted = FittedSeed((), "") if asked.prompt_loop else model.fit_seed(text)
    say(fitted.notice)
    if checkpoint is None:
        for line in which_model(path):
            say(line)
    plan = model.steering(*asked.steer) if isinstance(model, Model) and asked.steer else None
    for line in [] if isinstance(model, Model) else model.describe():
        say(line)
    described = model.networks.describe(count, exact=asked.exact, eight_bit=settings.eight_bit)
    say(described + computed_by)
    if settings.history:
        why = "" if "history" in given else ", as in training (--history 0 carries its state)"
        seen = plural(settings.history, "token")
        say(f"history: the network sees {seen} at each choice{why}")
    if "mix" not in given and "mix_order" not in given:
        is_steered = bool(asked.steer or asked.live)
        mix = model.choose_mix(is_steered=is_steered, history=settings.history)
        settings = replace(settings, mix=mix.value)
        # The texts of the models that come along are never at hand.
        if not mix.value and shipped_at(path) is None:
            say(f"mixing: no counts, for {mix.reason}")
    if settings.mix:
        for mixture in _mixtures(model, settings):
            say(
                f"mixing: counts of {plural(mixture.tokens, 'token')} of the training text, after "
                f"up to {plural(mixture.counts.order, 'token')}"
                + ("" if "mix" in given else "; --no-mix writes without them")
            )
    for line in [] if plan is None else plan.describe():
        say(f"steering: {line}")
    if isinstance(model, Model) and asked.live is not None:
        from textgen.cli.live import describe, live_steering, write_live

        steering = live_steering(model, asked.live, plan)
        say(f"steering: {describe(steering)}")
        write_live(model, fitted, settings, steering, text, asked, output)
    elif asked.prompt_loop:
        from textgen.cli.prompt_loop import answer_prompts

        answer_prompts(model, given, plan, mix=settings.mix)
    elif asked.interactive:
        from textgen.cli.interactive import converse

        converse(model, fitted, settings, output, plan)
    elif listed.items is not None:
        own = {name: value for name, value in asdict(settings).items() if name != "length"}
        if "length" in given:
            own["length"] = settings.length
        found = model.items(
            listed.items,
            fitted,
            **listed.how,
            novelty_corpus=asked.novelty_corpus,
            exact=asked.exact,
            steer=plan,
            **own,
        )
        say(None if found.why_fewer is None else in_flags(found.why_fewer))
        _write_texts(model, fitted, settings, plan, asked, output, found, ranked=listed.rank)
    elif asked.count == 1 and not output.json_output and not asked.is_compared:
        price, chars = _stream(model, fitted, settings, plan)
        if form_settings(settings):
            say(form_price([price], chars))
    else:
        _write_texts(model, fitted, settings, plan, asked, output)


def _mixtures(model: Model | BlendedModel, settings: SampleOptions) -> list[CountMixture]:
    """The counts that each model is mixed with, under the label of the text."""
    from textgen.api import Model

    own = [model] if isinstance(model, Model) else [part.model for part in model.members]
    if (label := settings.label) is not None:
        own = [each.labelled(label) for each in own]
    return [each.mixture(settings.mix_order) for each in own]


def _adapt(model: Model, asked: WritingOptions, say: Callable[[str | None], None]) -> Model:
    """The model after it has read the texts of `--adapt`; kept under the name of `--save-as`."""
    from textgen.checkpoint import free_folder
    from textgen.evaluation import read_as_notes

    if asked.save_as is not None:
        free_folder(asked.save_as)  # Refused before a long text is read.
    adapted = model.adapt(*asked.adapt)
    record = adapted.info["adapted"][-1]
    how = f"rate {record['rate']:g}, a step every {plural(record['stretch'], 'token')}"
    if not record["rate"]:
        how = "nothing, because no step helped on the validation text"
    for note in read_as_notes(record.get("read_as", {}), record["chars"]):
        say(note)
    say(f"learned from {plural(record['chars'], 'character')}: {how}")
    if asked.save_as is not None:
        say(f"kept as {adapted.save(asked.save_as)}")
    return adapted


def _check_model(model: WritingModel, asked: WritingOptions, settings: SampleOptions) -> None:
    """Refuse options that the model cannot follow."""
    from textgen.sampling.seed import refuse_steering

    if asked.steer or asked.live:
        refuse_steering(model.saved, settings)
    if asked.adapt:
        from textgen.sampling import refuse_adapting

        refuse_adapting(model.saved)
    if model.saved.reads_pairs and (asked.interactive or asked.is_compared):
        name = "interactive" if asked.interactive else "novelty"
        raise SamplingError(
            f"this model writes the targets of pairs; {named(name)} is for models of text"
        )


def _notes(model: WritingModel, options: SampleOptions) -> list[str]:
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
    is_certain = settings.temperature == 0 or settings.top_k == 1 or settings.beam > 0
    if is_certain or following >= RNG_LIMIT:
        return ""
    return f"; --rng {following} writes {'another' if count == 1 else 'others'}"


def _stream(
    model: WritingModel, fitted: FittedSeed, settings: SampleOptions, plan: SteeringPlan | None
) -> tuple[float, int]:
    """Write to stdout as the text is made; the same bytes whether it is a terminal or not.

    Returns:
        The bits that a form cost, and the characters that were written.
    """
    live = sys.stdout.isatty()
    shown = _shower(live)
    symbols = model.stream(fitted, steer=plan, **asdict(settings))
    if not live:
        symbols = track(symbols, "writing", settings.length)
    sys.stdout.write(shown(fitted.text))
    price, chars = 0.0, 0
    for symbol in symbols:
        price += symbol.price
        chars += symbol.chars
        sys.stdout.write(shown(symbol.text))
        if live:
            sys.stdout.flush()
    if live:
        sys.stdout.write("\n")
    return price, chars


def _shower(live: bool, *, keep_newlines: bool = True) -> Callable[[str], str]:
    """On a terminal, control characters from a corpus are shown and not obeyed."""
    from textgen.terminal.console import make_console

    make_console(sys.stdout)  # a character that the stream lacks is escaped, never an error
    if not live:
        return lambda text: text
    encoding = sys.stdout.encoding or "utf-8"
    return lambda text: visible(text, keep_newlines=keep_newlines, encoding=encoding)


def _write_texts(
    model: Model | BlendedModel,
    fitted: FittedSeed,
    settings: SampleOptions,
    plan: SteeringPlan | None,
    asked: WritingOptions,
    output: OutputOptions,
    items: Items | None = None,
    *,
    ranked: bool = False,
) -> None:
    """Write several texts, or one with what is to be known of it; `items` are written already."""
    from textgen.api import Model
    from textgen.sampling.items import LEAST_ROUND

    corpus = None
    if asked.is_compared:
        from textgen.sampling import training_text

        corpus = training_text(model.saved, asked.novelty_corpus)
        if asked.novelty_corpus is not None and not output.quiet:
            print_notes(corpus.notes)
    together = asked.count
    if items is not None:
        texts, together = [item.generation for item in items], max(items.asked, LEAST_ROUND)
    else:
        texts = model.generate_many(
            asked.count, fitted, exact=asked.exact, steer=plan, **asdict(settings)
        )
    report = None
    if corpus is not None and texts:
        from textgen.sampling import NoveltyReport

        report = NoveltyReport(model.saved, corpus, texts, fitted, settings.end_text)
    if not output.json_output:
        _print_texts(fitted, texts, settings.separator, report, output, ranked=ranked)
        if form_settings(settings) and items is None and not output.quiet:
            chars = sum(len(text.text) for text in texts)
            print(
                form_price([text.form_bits for text in texts], chars), file=sys.stderr, flush=True
            )
        return
    freely = None if plan is None else _unsteered(model, fitted, settings, plan)
    samples = []
    for place, text in enumerate(texts):
        sample: dict[str, Any] = {
            "text": fitted.text + text.text,
            "generated": text.text,
            "finish_reason": text.finish_reason,
            "bits_per_char": text.bits_per_char,
        }
        if form_settings(settings):
            sample["form_bits"] = text.form_bits
        if freely is not None:
            sample["unsteered_bits_per_char"] = freely(text)
        if report is not None:
            sample["novelty"] = report.text_to_json(place)
        samples.append(sample)
    which: dict[str, Any]
    if isinstance(model, Model):
        which = {
            "checkpoint": str(model.path),
            "adapted": model.info["adapted"] if asked.adapt else [],
        }
    else:
        which = {"blend": model.to_json()}
    record = {
        **which,
        "seed": fitted.text,
        "notice": fitted.notice,
        "settings": asdict(settings),
        "steering": [] if plan is None else plan.to_json(),
        "path": model.networks.record(together, exact=asked.exact, eight_bit=settings.eight_bit),
        "samples": samples,
    }
    if items is not None:
        record["items"] = items.to_json()
    if settings.mix:
        mixtures = [mixture.to_json() for mixture in _mixtures(model, settings)]
        record["mix"] = mixtures[0] if isinstance(model, Model) else mixtures
    if report is not None:
        record["novelty"] = report.to_json()
    print_json(record)


def _unsteered(
    model: Model | BlendedModel, fitted: FittedSeed, settings: SampleOptions, plan: SteeringPlan
) -> Callable[[Generation], float | None]:
    """What a text costs the model that wrote it when nobody steers it; None where its labels
    change on the way."""
    from textgen.steering import LabelSteering

    own = asdict(settings)
    if isinstance(model.asked_for(plan, own)[1], LabelSteering):
        return lambda text: None
    return lambda text: model.bits_per_char(text.ids, seed=fitted, **own)


def _print_texts(
    fitted: FittedSeed,
    texts: list[Generation],
    separator: str,
    report: NoveltyReport | None,
    output: OutputOptions,
    *,
    ranked: bool,
) -> None:
    """Texts on stdout with a separator between two, as documents stand in the training text.

    Beside those that are `ranked` stand their bits per character, after a tab.
    """
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
        if ranked:
            sys.stdout.write(f"\t{text.bits_per_char:.2f}")
        sys.stdout.write("\n" if place == len(texts) - 1 else separator)
        sys.stdout.flush()
        if told is not None and not told.is_of_documents:
            print(*told.describe_text(place), sep="\n", file=sys.stderr, flush=True)
    if told is not None and told.is_of_documents:
        print(*told.describe(), sep="\n", file=sys.stderr, flush=True)


def _marked(fitted: FittedSeed, pieces: list[tuple[str, bool]]) -> Text:
    """A text with its copied parts in reverse."""
    from rich.text import Text

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
    exact = asked.exact or settings.beam > 0
    if not output.quiet:
        for notice in dict.fromkeys(source.notice for source in sources if source.notice):
            print(notice, file=sys.stderr)
        number = len(sources) * asked.count
        described = model.networks.describe(number, exact=exact, eight_bit=settings.eight_bit)
        print(described + computed_by, file=sys.stderr, flush=True)
    written = model.generate_targets(sources, count=asked.count, exact=exact, **asdict(settings))
    if output.json_output:
        sources = [source for source in sources for _ in range(asked.count)]
        print_json(
            {
                "checkpoint": str(model.path),
                "settings": asdict(settings),
                "path": model.networks.record(
                    len(written), exact=exact, eight_bit=settings.eight_bit
                ),
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
        which = f"{cut:,} of {plural(len(written), 'target')}"
        print(f"{which} did not end within --length", file=sys.stderr)


def _beginning(
    words: Sequence[str], asked: WritingOptions
) -> tuple[str, tuple[str, ...], str | None]:
    """What a text begins with, and the models that write it, by the words without an option.

    Words are the beginning of the text. One that names a model is the model, unless `--checkpoint`
    names one.

    Returns:
        The beginning, "" where nothing was said; the models, as `textgen.load` takes them, none
        where none was named; one line for a person on how a word was understood, None where
        nothing is unclear.
    Raises:
        SamplingError: Two things say what the text begins with.
        ConfigError: A word is a file of text.
        TextgenError: The file of `--seed-file` cannot be read.
    """
    from textgen.checkpoint import is_path

    seed, seed_file, checkpoints = asked.seed, asked.seed_file, asked.checkpoint
    rest, note = list(words), None
    if not checkpoints:
        for place in dict.fromkeys((0, len(rest) - 1)):
            if rest and _is_model(rest[place], alone=len(rest) == 1):
                checkpoint = rest.pop(place)
                checkpoints = (checkpoint,)
                if not is_path(checkpoint) and not checkpoint.endswith(".safetensors"):
                    note = (
                        f"'{checkpoint}' is taken as the name of a model; as the beginning of a "
                        f"text: textgen sample --seed {quote(checkpoint)}"
                    )
                break
    said = " ".join(rest)
    if rest and seed is not None:
        raise SamplingError(
            f"--seed is '{seed}', and '{said}' is written without an option; put a text of several "
            f"words in quotes: textgen sample --seed {quote(f'{seed} {said}')}"
        )
    if seed_file is not None and (rest or seed is not None):
        other = "--seed" if seed is not None else f"'{said}'"
        raise SamplingError(f"{other} and --seed-file contradict each other; give one")
    if len(rest) == 1 and Path(said).suffix and os.path.isfile(said):
        raise ConfigError(
            f"'{said}' is a file; to continue the text in it: textgen sample --seed-file "
            f"{quote(said)}; from its name: textgen sample --seed {quote(said)}"
        )
    return _text(said if rest else seed, seed_file), checkpoints, note


def _text(seed: str | None, seed_file: Path | None) -> str:
    from textgen.corpus.reader import read_text

    if seed_file is not None:
        notes: list[str] = []
        text = read_text(seed_file, notes=notes)
        print_notes(notes)
        return text
    if seed == "-":
        return sys.stdin.buffer.read().decode("utf-8", errors="replace")
    return seed or ""


def _is_model(word: str, *, alone: bool) -> bool:
    """Whether a word is a model rather than text: a run's folder, a model's file, a run's name."""
    from textgen.checkpoint import has_checkpoint, is_path

    if not word:
        return False
    if is_path(word) or word.endswith(".safetensors"):
        # One that is mistyped is answered when it is looked for.
        is_meant = word.endswith(".safetensors") or Path(word).parts[:1] == (_RUNS,)
        return is_meant or has_checkpoint(word)
    return alone and (has_checkpoint(os.path.join(_RUNS, word)) or has_checkpoint(word))
