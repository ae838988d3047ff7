"""`textgen sample --live`: the text streams, and keys steer it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from textgen.cli.boundary import StopSignals
from textgen.cli.live_session import LiveSession
from textgen.cli.repeat import sample_command_line
from textgen.errors import ConfigError, SamplingError, StorageError
from textgen.files import atomic_write_text
from textgen.steering import ALWAYS, Intervention, LiveSteering, SteeringPlan
from textgen.steering.intervention import parse_spec
from textgen.terminal.console import ColorMode
from textgen.terminal.text import visible

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.sampling import FittedSeed

#: Characters a second at which a person can read and react; a text has no end of its own then.
SPEED, LENGTH = 30.0, 1_000_000


def check_terminal() -> None:
    """Refuse to go on where no keys can be read or no screen can be drawn.

    Raises:
        ConfigError: There is no terminal.
    """
    instead = "say beforehand what acts where: --steer TARGET=-2@0..60,+2@60.."
    if sys.platform == "win32":
        raise ConfigError(f"--live reads single keys, which it cannot on Windows; {instead}")
    if not (sys.stdin.isatty() and (sys.stdout.isatty() or sys.stderr.isatty())):
        raise ConfigError(
            "--live reads keys and draws on a terminal, and standard input or the output is none; "
            f"run it in a terminal, or {instead}"
        )
    if os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        raise ConfigError(
            f"--live draws on the screen, which a terminal of TERM={os.environ.get('TERM', '')} "
            f"cannot; set TERM to what it is, such as xterm-256color, or {instead}"
        )


def hand_of(model: Model, live: str, base: SteeringPlan | None) -> LiveSteering:
    """What `--live TARGET[=DOSE]` says.

    Raises:
        ConfigError: It cannot be read, or `base` holds the same target.
    """
    if "=" not in live:
        return LiveSteering(model.target(live.strip()), None, base)
    first, *more = parse_spec(live, model.target)
    if more or first.mode != "clamp" or first.span != ALWAYS:
        raise ConfigError(
            f"--live is '{live}'; it takes TARGET or TARGET=DOSE, the dose at the beginning, such "
            "as sentiment or 0:137=+1: the rest is done by keys"
        )
    return LiveSteering(first.target, first.dose, base)


def steer_by_hand(
    model: Model,
    fitted: FittedSeed,
    settings: dict[str, Any],
    hand: LiveSteering,
    *,
    speed: float,
    seed: str,
    seed_file: Path | None,
    steer: Sequence[str],
    transcript: Path | None,
    color: ColorMode,
    quiet: bool,
) -> None:
    """Write a text under a person's hand; then say how it is written again.

    Args:
        model: Writes.
        fitted: What the text begins with.
        settings: Of `textgen.sampling.SampleOptions`.
        hand: What is steered.
        speed: Characters a second; 0: as fast as it goes.
        seed: What the text begins with, as it was given.
        seed_file: Where that was read from.
        steer: What else is done, as it was given.
        transcript: Where to keep all of it.
        color: The user's wish on colours.
        quiet: Leave out the command.
    Raises:
        typer.Exit: A signal ended the text; all has been done by then.
    """
    if not (isfinite(speed) and speed >= 0.0):
        raise SamplingError(
            f"--speed is {speed}; it must be 0 or above, in characters a second: 30 can be read, 0 "
            "is as fast as it goes"
        )
    if transcript is not None and not transcript.absolute().parent.is_dir():
        raise StorageError(f"cannot write {transcript}: there is no such folder; create it first")
    session = LiveSession(model.live_stream(fitted, steer=hand, **settings), hand, speed)
    problem = None
    signals = StopSignals()
    try:
        session.run(fitted.text, signals, color)
    except SamplingError as error:
        problem = error  # What was written is not lost.
    length = session.chars if session.finish_reason is None else settings["length"]
    settings = {**settings, "length": length}
    spec = hand.spec(session.chars)
    command = sample_command_line(
        str(model.path),
        settings,
        seed=seed,
        seed_file=None if seed_file is None else str(seed_file),
        steer=[*steer, *([] if spec is None else [spec])],
        usual=asdict(model.sample_options()),
    )
    _show(fitted.text + session.text, None if quiet else command)
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
    settings: dict[str, Any],
    session: LiveSession,
    spec: str | None,
    command: str,
) -> None:
    """Keep all of a text that was steered by hand, a line for each part."""
    hand = session.hand
    target = Intervention(target=hand.target).to_json()
    plan = SteeringPlan([*hand.base.interventions, *hand.schedule(session.chars)])
    record = {
        "checkpoint": str(model.path),
        "seed": fitted.text,
        "settings": settings,
        "path": model.networks.record(),
        "target": {key: target[key] for key in target if key not in ("spec", "dose", "span")},
        "schedule": spec,
        "steering": plan.to_json(),
        "text": fitted.text + session.text,
        "generated": session.text,
        "finish_reason": session.finish_reason or "hand",
        "doses": [hand.dose_at(char) for char in range(session.chars)],
        "command": command,
    }
    lines = (f'"{key}": {json.dumps(part, ensure_ascii=False)}' for key, part in record.items())
    atomic_write_text(path, "{" + ",\n ".join(lines) + "}\n")


def describe(hand: LiveSteering) -> str:
    """What is steered by hand and on which scale, for a person."""
    _, _, scale = Intervention(target=hand.target).describe().partition(": ")
    return f"{hand.target.name} by hand: {scale}"


def _show(text: str, command: str | None) -> None:
    """The text on stdout, as without a hand; on stderr how it is written again."""
    if sys.stdout.isatty():
        encoding = sys.stdout.encoding or "utf-8"
        text = visible(text, keep_newlines=True, encoding=encoding) + "\n"
    sys.stdout.write(text)
    sys.stdout.flush()
    if command is not None:
        print(f"the same text again:\n{command}", file=sys.stderr, flush=True)
