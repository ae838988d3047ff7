"""Training a finished run longer: a second schedule after the first.

The run goes on from its last weights, not its best ones, with the optimiser's moments, the streams'
state and the place in the text where it ended. The learning rate rises and falls once more. All of
that is in the resumable state, so a run that is trained longer can be stopped and resumed as any.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textgen.errors import ConfigError, RunFolderError, named
from textgen.messages import call
from textgen.options import RunOptions, TrainOptions
from textgen.runtime import Choice, parse_duration
from textgen.settings import typed_words
from textgen.terminal.text import command_line
from textgen.training.folder import RunState, again_folder
from textgen.training.plan import Plan, more_command
from textgen.training.sizing import TextFacts, Timing, steps_within, with_pauses, with_rhythm

_COUNTED = re.compile(r"(\d+(?:\.\d+)?)\s*(steps?|epochs?)")


@dataclass(frozen=True)
class More:
    """How much longer: one of the three is given.

    Args:
        asked: As it was typed.
        seconds: Wall time.
        epochs: Passes over the training text.
        steps: Updates.
    """

    asked: str
    seconds: float | None = None
    epochs: float | None = None
    steps: int | None = None


def parse_more(text: str) -> More:
    """How much longer a text says: `2m`, `90s`, `500steps` or `3epochs`.

    Raises:
        ConfigError: It is not a length, or does not say of what.
    """
    text = str(text).strip()
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
        raise ConfigError(
            f"{named('more')} {text} does not say of what; type {text}steps, {text}s (seconds) or "
            f"{text}epochs"
        )
    match = _COUNTED.fullmatch(text.lower())
    if match is None:
        try:
            return More(text, seconds=parse_duration(text))
        except ConfigError as error:
            raise ConfigError(
                f"{named('more')} '{text}' is not a length; type it like 2m, 90s, 500steps or "
                "3epochs"
            ) from error
    number, unit = match.groups()
    if float(number) <= 0:
        raise ConfigError(f"{named('more')} {text} is nothing; give a number above zero")
    if unit.startswith("epoch"):
        return More(text, epochs=float(number))
    if not number.isdigit():
        raise ConfigError(f"{named('more')} {text}: steps are whole; type {round(float(number))}")
    return More(text, steps=int(number))


def refuse_unfinished(folder: Path, state: RunState) -> None:
    """Raise `RunFolderError` where the run has not come to its end."""
    if not state.progress.finished:
        raise RunFolderError(
            f"the run in {folder} was stopped after step {state.progress.step:,} of "
            f"{state.plan.steps:,}; let it come to its end first: "
            + call("train", str(folder), resume=True)
        )


def extended(
    state: RunState,
    more: More,
    options: TrainOptions,
    facts: TextFacts,
    timing: Timing,
    folder: Path,
) -> RunState:
    """The state of a finished run with a second schedule ahead of it."""
    first = state.progress.step
    steps, reason = _steps(state.plan, more, facts, timing)
    # `eval_tokens` stays, for the best model so far was measured on as many; so does the peak: with
    # a half or a quarter of it a run learned less (docs/log.md).
    plan = replace(state.plan, first_step=first, steps=first + steps)
    plan = with_pauses(with_rhythm(plan, options, steps), options, steps, timing)
    rate = plan.optimizer.learning_rate
    choices = (
        Choice("more", f"{steps} steps", f"{reason}: steps {first + 1:,} to {plan.steps:,}"),
        Choice("steps", plan.steps, f"{first:,} before, and {steps:,} more"),
        Choice("learning_rate", rate, f"from step {first + 1:,} on; falls to zero once more"),
    )
    record: dict[str, Any] = dict(state.record)
    again = record.get("again")
    if again is None:  # A run of an older version, whose command leaves the folder open.
        again = str(again_folder(folder))
        record["command"] += " " + command_line(typed_words(RunOptions(out=again)))
    record |= {
        "again": again,
        "command": f"{record['command']} && {more_command(again, f'{steps}steps')}",
        "choices": [*record["choices"], *(choice.to_dict() for choice in choices)],
        "more": [
            *record.get("more", []),
            {"asked": more.asked, "first_step": first, "steps": steps, "learning_rate": rate},
        ],
    }
    progress = replace(state.progress, finished=False, reason="", without_best=0)
    return replace(state, plan=plan, record=record, progress=progress)


def more_note(plan: Plan) -> str:
    """What is and what is not the same as one long run."""
    return (
        f"this run was finished at step {plan.first_step:,} and now continues to step "
        f"{plan.steps:,}: from its last weights, with a learning rate that rises and falls again. "
        f"The result differs from one run of {plan.steps:,} steps, where the learning rate falls "
        "only once. The best model of both parts is kept"
    )


def _steps(plan: Plan, more: More, facts: TextFacts, timing: Timing) -> tuple[int, str]:
    """How many steps that are, and why."""
    if more.steps is not None:
        return more.steps, "asked for"
    if more.epochs is not None:
        tokens = facts.train_tokens
        if plan.sliding:
            tokens = (tokens - plan.seq_len) * plan.seq_len
        return max(1, round(more.epochs * tokens / plan.tokens_per_step)), f"{more.epochs:g} epochs"
    seconds = more.seconds or 0.0
    steps = steps_within(seconds, timing)
    return steps, f"{seconds:g} s at {timing.step * 1e3:.3g} ms a step"
