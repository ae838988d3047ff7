"""`textgen sample`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.boundary import guarded
from textgen.cli.options import CheckpointOption, ColorOption, JsonOption, QuietOption
from textgen.cli.records import print_json
from textgen.progress import track
from textgen.terminal.color import ColorMode

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.sampling import FittedSeed, Generation
    from textgen.steering import SteeringPlan


def _option(panel: str, *flags: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*flags, help=help, metavar=metavar, rich_help_panel=panel)


_CHOICE, _END, _STEER = "How it chooses", "Where it ends", "Steering"


@guarded
def sample_command(
    seed: Annotated[
        str | None,
        typer.Option("--seed", "-s", help="The beginning of the text; - reads standard input."),
    ] = None,
    seed_file: Annotated[
        Path | None, typer.Option("--seed-file", metavar="FILE", help="Read it from a file.")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            "--length",
            "-n",
            help="Characters to write after the seed. With --live: until you end it.",
            show_default="500",
        ),
    ] = None,
    temperature: Annotated[
        float,
        _option(
            _CHOICE, "--temperature", "-t", help="Below 1 safer, above 1 wilder; 0: likeliest."
        ),
    ] = 0.8,
    top_k: Annotated[
        int, _option(_CHOICE, "--top-k", help="Choose among so many likeliest; 0 is all.")
    ] = 0,
    top_p: Annotated[
        float, _option(_CHOICE, "--top-p", help="Choose within this probability mass; 1 is all.")
    ] = 1.0,
    min_p: Annotated[
        float,
        _option(_CHOICE, "--min-p", help="Least probability, as a share of the likeliest's."),
    ] = 0.0,
    repetition_penalty: Annotated[
        float,
        _option(_CHOICE, "--repetition-penalty", help="Above 1 weakens recent symbols; 1 is off."),
    ] = 1.0,
    repetition_window: Annotated[
        int,
        _option(_CHOICE, "--repetition-window", help="How many recent symbols that looks at."),
    ] = 64,
    history: Annotated[
        int | None,
        _option(
            _CHOICE,
            "--history",
            metavar="N",
            help="Let the network see exactly the last N tokens at each choice, its state from "
            "zero before them, and 0: all that stands before, its state carried on. "
            "Default: as the model was trained.",
        ),
    ] = None,
    rng: Annotated[
        int, _option(_CHOICE, "--rng", metavar="N", help="Seed of the random choices.")
    ] = 0,
    stop: Annotated[
        list[str] | None, _option(_END, "--stop", help="End before this text; may be repeated.")
    ] = None,
    until_sentence: Annotated[
        bool, _option(_END, "--until-sentence", help="End with the first sentence.")
    ] = False,
    until_end: Annotated[
        bool, _option(_END, "--until-end", help="End where the model ends the document.")
    ] = False,
    count: Annotated[
        int,
        typer.Option(
            "--count",
            help="Write so many texts: each draws from a generator of its own. Four and more are "
            "computed together, which is faster; their sums are rounded otherwise than a single "
            "text's, so texts can differ from it.",
        ),
    ] = 1,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Compute each text of --count by itself: text K is the same whatever the count.",
        ),
    ] = False,
    steer: Annotated[
        list[str] | None,
        typer.Option(
            "--steer",
            metavar="SPEC",
            help="Hold a neuron, or what was saved by inspect find, while writing: 0:137=+2 in "
            "standard deviations from its mean; sentiment=-2@s1,+2@s2.. by sentences, @0..60 by "
            "characters; :add, :scale; 0:137=off. May be repeated.",
            rich_help_panel=_STEER,
        ),
    ] = None,
    live: Annotated[
        str | None,
        typer.Option(
            "--live",
            metavar="TARGET[=DOSE]",
            help="Steer it by keys while the text streams: arrows raise and lower the dose, 0 "
            "holds the mean, r releases it, q ends. Beside what --steer says.",
            rich_help_panel=_STEER,
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            metavar="N",
            help="With --live: characters a second at first; 0 is as fast as it goes.",
            show_default="30",
            rich_help_panel=_STEER,
        ),
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(
            "--transcript",
            metavar="FILE",
            help="With --live: keep text, doses and the schedule that repeats it, as JSON.",
            rich_help_panel=_STEER,
        ),
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Write by turns, at a prompt.")
    ] = False,
    novelty: Annotated[
        bool, typer.Option("--novelty", help="Mark and measure what is copied from the corpus.")
    ] = False,
    novelty_corpus: Annotated[
        str | None,
        typer.Option(
            "--novelty-corpus",
            metavar="PATH",
            help="The training text, where it is no longer in the cache.",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Write text with a trained model.

    The text goes to stdout, everything else to stderr. The same command writes the same text.

    textgen sample --seed "старуха"

    textgen sample --checkpoint mine --length 2000 --temperature 0.6 --rng 7

    textgen sample --count 5 --until-sentence

    textgen sample --seed "старуха" --steer 0:17=+2 --steer 0:3=off@60..

    A model of pairs (train --pairs) takes each line of the seed for a source and writes the
    target alone, a line each; --temperature 0 writes the likeliest one.
    """
    from textgen.api import load
    from textgen.errors import SamplingError
    from textgen.sampling import SampleOptions

    if count < 1:
        raise SamplingError(f"--count is {count}; it must be at least 1")
    if interactive and (json_output or count > 1 or novelty):
        raise SamplingError("--interactive goes with neither --json, --count nor --novelty")
    if live is not None:
        from textgen.cli.live import LENGTH, check_terminal

        if interactive or json_output or count > 1 or novelty or novelty_corpus:
            raise SamplingError(
                "--live goes with neither --interactive, --json, --count nor --novelty; what it "
                "writes can be written again with them, by the command that it prints"
            )
        check_terminal()
    elif speed is not None or transcript is not None:
        option = "--transcript" if speed is None else "--speed"
        raise SamplingError(f"{option} is of --live alone; name what to steer: --live TARGET")
    if length is None:
        length = 500 if live is None else LENGTH
    settings: dict[str, Any] = {
        "length": length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "repetition_window": repetition_window,
        "stop": tuple(stop or ()),
        "until_sentence": until_sentence,
        "until_end": until_end,
        "rng": rng,
    }
    text = _seed_text(seed, seed_file)
    model = load(checkpoint)
    settings["history"] = (model.saved.history or 0) if history is None else history
    SampleOptions(**settings)  # What is out of range is refused before anything is announced.
    if settings["history"] and (steer or live):
        raise SamplingError(
            "--steer and --live act upon the state that a text carries on, and with a history of "
            f"{settings['history']} tokens nothing is carried on; add --history 0"
        )
    if model.saved.reads_pairs:
        from textgen.cli.targets import write_targets

        if steer or live is not None or interactive or novelty or novelty_corpus:
            raise SamplingError(
                "this model writes the targets of pairs: --steer, --live, --interactive, "
                "and --novelty are for models of text"
            )
        if settings["history"]:
            raise SamplingError(
                f"this model reads a whole source before it writes, and --history "
                f"{settings['history']} would have it forget what it read; leave it out"
            )
        settings["until_end"] = True
        write_targets(
            model,
            text,
            settings,
            count=count,
            exact=exact,
            json_output=json_output,
            quiet=quiet,
        )
        return
    fitted = model.fit_seed(text)
    if fitted.notice and not quiet:
        print(fitted.notice, file=sys.stderr)
    plan = model.steering(*steer) if steer else None
    if not quiet:
        print(model.networks.describe(count, exact=exact), file=sys.stderr, flush=True)
        if settings["history"]:
            why = "" if history is not None else ", as in training (--history 0 carries its state)"
            print(
                f"history: the network sees {settings['history']} tokens at each choice{why}",
                file=sys.stderr,
                flush=True,
            )
        for line in [] if plan is None else plan.describe():
            print(f"steering: {line}", file=sys.stderr, flush=True)
    if live is not None:
        from textgen.cli.live import SPEED, describe, hand_of, steer_by_hand

        hand = hand_of(model, live, plan)
        if not quiet:
            print(f"steering: {describe(hand)}", file=sys.stderr, flush=True)
        steer_by_hand(
            model,
            fitted,
            settings,
            hand,
            speed=SPEED if speed is None else speed,
            seed=text,
            seed_file=seed_file,
            steer=steer or (),
            transcript=transcript,
            color=color,
            quiet=quiet,
        )
        return
    if interactive:
        from textgen.cli.interactive import converse

        converse(model, fitted, settings, color, plan, quiet=quiet)
        return
    corpus = _corpus_tokens(model, novelty_corpus) if novelty or novelty_corpus else None
    if count == 1 and not json_output and corpus is None:
        _stream(model, fitted, settings, plan)
        return
    texts = model.generate_many(count, fitted, exact=exact, steer=plan, **settings)
    if json_output:
        _print_json(model, fitted, texts, corpus, settings, plan, exact=exact)
        return
    _print_texts(fitted, texts, model, corpus, color, quiet)


def _seed_text(seed: str | None, seed_file: Path | None) -> str:
    from textgen.corpus.reader import read_text
    from textgen.errors import SamplingError

    if seed is not None and seed_file is not None:
        raise SamplingError("--seed and --seed-file contradict each other; give one")
    if seed_file is not None:
        return read_text(seed_file)
    if seed == "-":
        return sys.stdin.buffer.read().decode("utf-8", errors="replace")
    return seed or ""


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


def _shower(live: bool) -> Any:
    """On a terminal, control characters from a corpus are shown and not obeyed."""
    from textgen.terminal.console import make_console
    from textgen.terminal.text import visible

    make_console(sys.stdout)  # a character that the stream lacks is escaped, never an error
    if not live:
        return lambda text: text
    encoding = sys.stdout.encoding or "utf-8"
    return lambda text: visible(text, keep_newlines=True, encoding=encoding)


def _corpus_tokens(model: Model, path: str | None) -> Any:
    """The training text's tokens, from the cache or from `path`."""
    from textgen.corpus.corpus import Corpus, CorpusOptions
    from textgen.errors import ConfigError

    if path is not None:
        normalization = model.saved.normalization
        options = CorpusOptions(
            level=model.vocabulary.level,
            fold=normalization.fold,
            newlines=normalization.newlines,
            nfc=normalization.nfc,
        )
        return Corpus.open(
            [path], options, vocabulary=model.vocabulary, normalization=normalization
        )
    keys = model.info.get("corpus", {}).get("keys") or [None]
    corpus = Corpus.from_cache(keys[0]) if keys[0] else None
    if corpus is None:
        raise ConfigError(
            "the training text is no longer in the cache; name it: --novelty-corpus corpus.txt"
        )
    return corpus


def _print_json(
    model: Model,
    fitted: FittedSeed,
    texts: list[Generation],
    corpus: Any,
    settings: dict[str, Any],
    plan: SteeringPlan | None,
    *,
    exact: bool,
) -> None:
    from textgen.sampling import find_copies

    samples = []
    for text in texts:
        sample: dict[str, Any] = {
            "text": fitted.text + text.text,
            "generated": text.text,
            "finish_reason": text.finish_reason,
            "bits_per_char": _number(text.bits_per_char),
        }
        if plan is not None:
            # What the text costs the model when nobody steers it: the price of the steering.
            price = model.bits_per_char(text.ids, seed=fitted)
            sample["unsteered_bits_per_char"] = _number(price)
        if corpus is not None:
            found = find_copies(text.ids, corpus.tokens)
            sample["novelty"] = {
                "copied_share": found.copied_share,
                "longest": found.longest,
                "min_run": found.min_run,
                "runs": [
                    {
                        "start": run.start,
                        "length": run.length,
                        "source": run.source,
                        "text": model.vocabulary.decode(
                            text.ids[run.start : run.start + run.length]
                        ),
                    }
                    for run in found.runs
                ],
            }
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
    print_json(record)


def _number(value: float) -> float | None:
    """JSON has no NaN: a text without characters has no cost."""
    return value if value == value else None


def _print_texts(
    fitted: FittedSeed,
    texts: list[Generation],
    model: Model,
    corpus: Any,
    color: ColorMode,
    quiet: bool,
) -> None:
    from rich.text import Text

    from textgen.sampling import find_copies
    from textgen.terminal.console import make_consoles
    from textgen.terminal.text import visible

    consoles = make_consoles(color)
    shown = _shower(sys.stdout.isatty())
    for number, text in enumerate(texts, start=1):
        if len(texts) > 1:
            print(f"--- {number} of {len(texts)} ---", file=sys.stderr)
            sys.stderr.flush()
        if corpus is None:
            sys.stdout.write(shown(fitted.text + text.text) + "\n")
            sys.stdout.flush()
            continue
        found = find_copies(text.ids, corpus.tokens)
        pieces = model.vocabulary.pieces(text.ids, at_start=not fitted.ids)
        copied = {place for run in found.runs for place in range(run.start, run.start + run.length)}
        drawn = Text(visible(fitted.text, keep_newlines=True))
        for place, piece in enumerate(pieces):
            style = "reverse" if place in copied else ""
            drawn.append(visible(piece, keep_newlines=True), style)
        consoles.out.print(drawn, soft_wrap=True)
        if not quiet:
            print(
                f"copied: {found.copied_share:.1%} of the text in runs of at least "
                f"{found.min_run} tokens; the longest run has {found.longest}",
                file=sys.stderr,
            )
            for run in found.runs:
                quote = model.vocabulary.decode(text.ids[run.start : run.start + run.length])
                print(f"  {run.length} tokens: {visible(quote)}", file=sys.stderr)
