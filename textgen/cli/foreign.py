"""What other programs call things, and what is typed here instead."""

from __future__ import annotations

from typing import Any

from textgen.messages import Call, Named
from textgen.other_names import OTHER_NAMES
from textgen.terminal.text import quote, quote_path

#: Settings whose option is not called as `textgen.training.options.flag_of` says, or which are
#: typed in another way in some commands. `PATH` is typed without an option.
_FLAGS: dict[str, tuple[str, ...]] = {
    "length": ("--length", "--chars"),
    "out": ("--out", "--html"),
    "paths": ("PATH", "--file"),
    "protocol": ("--state",),
    "quantity": ("--show",),
    "seed": ("--seed", "--generate"),
}

#: What exists only at the prompt: the name of an option elsewhere -> what it may be here. A value
#: after an option is part of what to type.
_AT_PROMPT: dict[str, tuple[str, ...]] = {
    **{cell: (f"--cell {cell}", f"--cells {cell}") for cell in ("rnn", "lstm", "gru")},
    **dict.fromkeys(("gpu", "gpuid", "use-gpu", "cuda"), ("--device cuda",)),
    **dict.fromkeys(("cpu", "no-cuda"), ("--device cpu",)),
    **dict.fromkeys(("fp16", "bf16"), ("--precision bf16",)),
    **dict.fromkeys(("neurons", "unit"), ("--neuron",)),
    **dict.fromkeys(("gate", "quantity"), ("--show",)),
    **dict.fromkeys(("v", "ver"), ("--version",)),
    **dict.fromkeys(("no-color", "no-colour"), ("--color never",)),
    **dict.fromkeys(("plot", "image", "png"), ("--picture",)),
    **dict.fromkeys(("web", "page"), ("--html",)),
    "colour": ("--color",),
    "n": ("--length", "--chars"),
    "silent": ("--quiet",),
    "units": ("--hidden", "--neuron"),
}

#: The name of a command elsewhere -> the words after `textgen`.
COMMANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("generate", "gen", "write", "predict", "complete", "continue", "talk", "chat"),
            *("run", "infer", "inference"),
        ),
        ("sample",),
    ),
    **dict.fromkeys(("learn", "fit", "finetune", "fine-tune", "pretrain", "start"), ("train",)),
    **dict.fromkeys(("evaluate", "test", "score", "measure", "perplexity", "validate"), ("eval",)),
    **dict.fromkeys(
        ("show", "look", "view", "visualize", "visualise", "color", "colour", "analyze", "analyse"),
        ("inspect",),
    ),
    "benchmark": ("compare",),
    "neuron": ("inspect", "neurons"),
    "models": ("inspect", "checkpoint"),
    "checkpoints": ("inspect", "checkpoint"),
    "info": ("inspect", "checkpoint"),
}

#: Words that mean just this.
ALIASES: dict[str, tuple[str, ...]] = {
    "list": ("inspect", "checkpoint"),
    "ls": ("inspect", "checkpoint"),
    "version": ("--version",),
}


def at_prompt(part: Named | Call) -> str:
    """What is marked in a message, in the words of the prompt."""
    if isinstance(part, Named):
        return " ".join(_typed(part.setting, part.value))
    words = [word for name, value in part.settings.items() for word in _typed(name, value)]
    return " ".join(["textgen", part.command, *map(quote_path, part.paths), *words])


def _typed(name: str, value: Any) -> list[str]:
    """The option and its value, quoted for a shell."""
    flag = flags_of(name, value)[0]
    return [flag] if value is None or isinstance(value, bool) else [flag, quote(str(value))]


def flags_of(name: str, value: object = None) -> tuple[str, ...]:
    """What is typed for a setting, by the name of its field; in some commands one of the later.

    Args:
        name: Of the field.
        value: What it is to be.
    """
    from textgen.training.options import flag_of

    return _FLAGS.get(name) or (flag_of(name, value),)


def options() -> dict[str, tuple[str, ...]]:
    """The name of an option elsewhere, with dashes -> what it may be here, the likeliest first.

    The names of the settings in Python are among them: `hidden-size`, for `--hidden`.
    """
    from textgen.settings import settings_of
    from textgen.training.options import TrainOptions

    own = {item.name: (item.name,) for item in settings_of(TrainOptions) if not item.how.inverted}
    found = {}
    for name, fields in {**own, **OTHER_NAMES}.items():
        flags = [flags_of(field) for field in fields]
        later = (flag for several in flags for flag in several[1:])
        found[name.replace("_", "-")] = (*(several[0] for several in flags), *later)
    return {**found, **_AT_PROMPT}
