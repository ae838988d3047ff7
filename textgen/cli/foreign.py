"""What other programs call things, and what is typed here instead."""

from __future__ import annotations

from textgen.cli.flags import flags_of
from textgen.options import TrainOptions
from textgen.other_names import OTHER_NAMES
from textgen.settings import settings_of

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


def options() -> dict[str, tuple[str, ...]]:
    """The name of an option elsewhere, with dashes -> what it may be here, the likeliest first.

    The names of the settings in Python are among them: `hidden-size`, for `--hidden`.
    """
    own = {item.name: (item.name,) for item in settings_of(TrainOptions) if not item.how.inverted}
    found = {}
    for name, fields in {**own, **OTHER_NAMES}.items():
        flags = [flags_of(field) for field in fields]
        later = (flag for several in flags for flag in several[1:])
        found[name.replace("_", "-")] = (*(several[0] for several in flags), *later)
    return {**found, **_AT_PROMPT}
