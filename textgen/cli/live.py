"""`textgen sample --live`: the text streams, and keys steer it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from math import nan
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TextIO

import typer
from rich.text import Text

from textgen.apart import FORMS
from textgen.cli.interruption import StopSignals
from textgen.cli.records import form_price
from textgen.errors import ConfigError, SamplingError, StorageError
from textgen.files import atomic_write_text
from textgen.options import SampleOptions, command_text, form_settings
from textgen.steering import ALWAYS, Intervention, LiveSteering, SteeringPlan, parse_spec
from textgen.terminal.console import ColorDepth, ColorMode, make_consoles, obeys_escapes
from textgen.terminal.gauge import GaugeReading, gauge_line
from textgen.terminal.keys import Keyboard
from textgen.terminal.screen import TextScreen
from textgen.terminal.text import visible

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.cli.parameters import OutputOptions
    from textgen.cli.sample import WritingOptions
    from textgen.sampling import FittedSeed, LiveSymbol

#: Characters a second at which a person can read and react; a text has no end of its own then.
SPEED, LENGTH = 30.0, 1_000_000
#: Settings that the command says even at their defaults, which may change with a version, or which
#: the command finds itself where it is not told.
ALWAYS_SAID = ("length", "temperature", "rng", "mix")

#: Factor of a key that changes the speed; above the highest it goes as fast as it can.
_SPEED_STEP, _LEAST_SPEED, _HIGHEST_SPEED = 1.5, 1.0, 500.0
#: While it waits, a signal or another size of the terminal is seen after this time.
_PATIENCE_SECONDS = 0.1
_FRAME_SECONDS = 1 / 60

#: Keys by what they do; with the letters at the same places of a Russian keyboard.
KEYS = {
    **dict.fromkeys(("up", "+", "="), "raise_"),
    **dict.fromkeys(("down", "-", "_"), "lower"),
    "0": "zero",
    **dict.fromkeys(("r", "p", "к", "з"), "release"),
    " ": "pause",
    **dict.fromkeys(("[", "<", ",", "left", "х", "б"), "slower"),
    **dict.fromkeys(("]", ">", ".", "right", "ъ", "ю"), "faster"),
    **dict.fromkeys(("q", "escape", "gone", "й"), "end"),
}


def check_terminal() -> None:
    """Check that keys can be read and a screen can be drawn.

    Raises:
        ConfigError: There is no terminal.
    """
    instead = "give a schedule instead: --steer TARGET=-2@0..60,+2@60.."
    if not (sys.stdin.isatty() and (sys.stdout.isatty() or sys.stderr.isatty())):
        raise ConfigError(
            "--live reads keys and draws on a terminal, but standard input or output is not one; "
            f"run it in a terminal, or {instead}"
        )
    if not obeys_escapes(_screen_stream()):
        if sys.platform == "win32":
            raise ConfigError(
                "--live cannot draw on this console; take Windows Terminal, or the console of "
                f"Windows 10 or newer, or {instead}"
            )
        raise ConfigError(
            f"--live cannot draw on a terminal with TERM={os.environ.get('TERM', '')}; set TERM to "
            f"the name of your terminal, such as xterm-256color, or {instead}"
        )


def _screen_stream() -> TextIO:
    """The stream that the screen is drawn on: stdout, unless that is a file."""
    return sys.stdout if sys.stdout.isatty() else sys.stderr


def live_steering(model: Model, live: str, base: SteeringPlan | None) -> LiveSteering:
    """What `--live TARGET[=DOSE]` says.

    Raises:
        ConfigError: It cannot be read, names an option, or `base` holds the same target.
    """
    name = live.partition("=")[0].strip()
    option = name.lstrip("-").replace("-", "_")
    is_option = option in {field.name for field in fields(SampleOptions)}
    # `--live --lines 4`, or `--live lines=4`: nobody means a neuron of that name.
    if name.startswith("--") or (is_option and name not in model.saved_names):
        flag = f"--{option.replace('_', '-')}"
        kind = "a form is" if option in FORMS else f"{flag} is"
        raise ConfigError(
            f"--live is '{live}'; it takes what the keys steer, and {kind} an option of its own, "
            f"beside it: --live 0:137 {flag} ..."
        )
    if "=" not in live:
        return LiveSteering(model.target(live.strip()), None, base)
    first, *more = parse_spec(live, model.target)
    if more or first.mode != first.target.usual_mode or first.span != ALWAYS:
        raise ConfigError(
            f"--live is '{live}'; it takes TARGET or TARGET=DOSE with the first dose, such as "
            "sentiment or 0:137=+1; keys do the rest"
        )
    return LiveSteering(first.target, first.dose, base)


def write_live(
    model: Model,
    fitted: FittedSeed,
    settings: SampleOptions,
    steering: LiveSteering,
    seed: str,
    asked: WritingOptions,
    output: OutputOptions,
) -> None:
    """Write a text while a person steers it; then say how it is written again.

    Args:
        model: Writes.
        fitted: What the text begins with.
        settings: Of the text.
        steering: What the keys change.
        seed: What the text begins with, as it was given.
        asked: Speed, transcript, and what the command that repeats the text needs.
        output: Colours, and whether to leave out the command.
    Raises:
        typer.Exit: A signal ended the text; all has been done by then.
    """
    transcript = asked.transcript
    if transcript is not None and not transcript.absolute().parent.is_dir():
        raise StorageError(f"cannot write {transcript}: there is no such folder; create it first")
    symbols = model.live_stream(fitted, steer=steering, **asdict(settings))
    session = LiveSession(symbols, steering, SPEED if asked.speed is None else asked.speed)
    problem = None
    signals = StopSignals()
    try:
        session.run(fitted.text, signals, output.color)
    except SamplingError as error:
        problem = error  # What was written is not lost.
    held = form_settings(settings)
    if session.finish_reason is None and not held:
        settings = replace(settings, length=session.chars)
    spec = steering.spec(session.chars)
    again = replace(
        asked,
        checkpoint=(str(model.path),),
        seed=seed if seed and asked.seed_file is None else None,
        steer=(*asked.steer, *([] if spec is None else [spec])),
        exact=False,
        live=None,
        speed=None,
        transcript=None,
    )
    usual = model.sample_options()
    command = command_text("sample", [], again, settings, usual=usual, always=ALWAYS_SAID)
    _show(fitted.text + session.text)
    if not output.quiet:
        is_cut = bool(held) and session.finish_reason is None
        notes = [form_price([session.price], session.chars)] if held else []
        if is_cut:
            notes.append("you ended it before its form did; this goes on to the end of the form:")
        else:
            notes.append("the same text again:")
        print(*notes, command, sep="\n", file=sys.stderr, flush=True)
    if transcript is not None:
        _save(transcript, model, fitted, settings, session, spec, command)
    if problem is not None:
        raise problem
    if signals.signum is not None:
        raise typer.Exit(128 + signals.signum)


def _save(
    path: Path,
    model: Model,
    fitted: FittedSeed,
    settings: SampleOptions,
    session: LiveSession,
    spec: str | None,
    command: str,
) -> None:
    """Keep all of a text that was steered by hand, a line for each part."""
    steering = session.steering
    target = Intervention(target=steering.target).to_json()
    plan = SteeringPlan([*steering.base.interventions, *steering.schedule(session.chars)])
    record = {
        "checkpoint": str(model.path),
        "seed": fitted.text,
        "settings": asdict(settings),
        "path": model.networks.record(eight_bit=settings.eight_bit),
        "target": {key: target[key] for key in target if key not in ("spec", "dose", "span")},
        "schedule": spec,
        "steering": plan.to_json(),
        "text": fitted.text + session.text,
        "generated": session.text,
        "finish_reason": session.finish_reason or "hand",
        "doses": [steering.dose_at(char) for char in range(session.chars)],
        "command": command,
    }
    lines = (f'"{key}": {json.dumps(part, ensure_ascii=False)}' for key, part in record.items())
    atomic_write_text(path, "{" + ",\n ".join(lines) + "}\n", follow=True)


def describe(steering: LiveSteering) -> str:
    """What is steered by hand and on which scale, for a person."""
    _, _, scale = Intervention(target=steering.target).describe().partition(": ")
    return f"{steering.target.name} by hand: {scale}"


def _show(text: str) -> None:
    """The text on stdout, as without a hand."""
    if sys.stdout.isatty():
        encoding = sys.stdout.encoding or "utf-8"
        text = visible(text, keep_newlines=True, encoding=encoding) + "\n"
    sys.stdout.write(text)
    sys.stdout.flush()


class LiveSession:
    """A text between its first character and its end, on the screen, steered by keys.

    Args:
        tokens: What `Model.live_stream` gives.
        steering: What the keys change.
        speed: Characters a second; 0: as fast as it goes.
    """

    def __init__(self, symbols: Iterator[LiveSymbol], steering: LiveSteering, speed: float) -> None:
        self._symbols = symbols
        self.steering = steering
        self._speed = speed
        self._paused = False
        self._parts: list[str] = []
        self._last: LiveSymbol | None = None
        self.chars = 0
        #: The bits that a form has cost.
        self.price = 0.0

    @property
    def finish_reason(self) -> str | None:
        """Why the text ended by itself; None where a person or a signal ended it."""
        return None if self._last is None else self._last.finish_reason

    @property
    def text(self) -> str:
        """What was written after the seed."""
        return "".join(self._parts) + ("" if self._last is None else self._last.held)

    def run(self, seed: str, signals: StopSignals, color: ColorMode) -> None:
        """Write and read keys until the text ends, or somebody ends it."""
        consoles = make_consoles(color)
        stream = _screen_stream()
        console = consoles.out if stream is sys.stdout else consoles.err
        depth = ColorDepth.of_rich(console.color_system)
        encoding = stream.encoding or "utf-8"

        def bottom(columns: int) -> Text:
            return gauge_line(self._reading(), columns, depth, encoding=encoding)

        with ExitStack() as stack:
            stack.enter_context(signals)
            keyboard = stack.enter_context(Keyboard(sys.stdin.fileno()))
            screen = stack.enter_context(TextScreen(stream, depth))
            signals.armed = True
            screen.add(seed)
            screen.draw(bottom)
            due = drawn = monotonic()
            while not signals.requested():
                wait = _PATIENCE_SECONDS if self._paused else due - monotonic()
                keys = keyboard.read(min(max(wait, 0.0), _PATIENCE_SECONDS))
                if any(self._press(key) for key in keys):
                    return
                now = monotonic()
                if not self._paused and now >= due:
                    symbol = next(self._symbols, None)
                    if symbol is None or self._take(symbol, screen):
                        return
                    due = max(due, now) + (symbol.chars / self._speed if self._speed else 0.0)
                if keys or self._paused or now - drawn >= _FRAME_SECONDS:
                    screen.draw(bottom)
                    drawn = now

    def _take(self, symbol: LiveSymbol, screen: TextScreen) -> bool:
        """Add a token; whether it is the last."""
        self._last = symbol
        self._parts.append(symbol.text)
        self.chars += symbol.chars
        self.price += symbol.price
        screen.add(symbol.text)
        return symbol.finish_reason is not None

    def _press(self, key: str) -> bool:
        """Do what a key says; whether that is to end."""
        does = KEYS.get(key.lower())
        if does in ("raise_", "lower", "zero", "release"):
            getattr(self.steering, does)()
        elif does == "pause":
            self._paused = not self._paused
        elif does in ("slower", "faster"):
            self._speed = _changed_speed(self._speed, faster=does == "faster")
        return does == "end"

    def _reading(self) -> GaugeReading:
        return GaugeReading(
            name=self.steering.target.name,
            dose=self.steering.dose,
            value=nan if self._last is None else self._last.value,
            speed=self._speed,
            paused=self._paused,
        )


def _changed_speed(speed: float, *, faster: bool) -> float:
    if not speed:
        return 0.0 if faster else _HIGHEST_SPEED
    speed = speed * _SPEED_STEP if faster else speed / _SPEED_STEP
    return 0.0 if speed > _HIGHEST_SPEED else max(speed, _LEAST_SPEED)
