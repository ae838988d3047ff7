"""What `textgen train` shows of its choices: the settings by their flags, the main ones first."""

from __future__ import annotations

from collections.abc import Sequence

from textgen.cli.flags import label
from textgen.runtime import Choice

#: What a beginner is shown; the rest comes with `--explain`.
MAIN = ("encoding", "documents", "validation", "hidden_size", "dropout", "steps")

#: Names of what is told and not typed so.
_FACTS = {
    **{name: name for name in ("files", "vocabulary", "pairs", "validation", "embedding", "loss")},
    "path": "computed by",
}


def flag_of(choice: Choice) -> str:
    """The option that sets it, as it is typed; the name of what no option sets."""
    if choice.name == "seq_len" and choice.reason.startswith("--history"):
        return "--history"
    if choice.name in _FACTS:
        return _FACTS[choice.name]
    return label(choice.name)


def rows(choices: Sequence[Choice], *, explain: bool) -> list[tuple[str, object, str]]:
    """Rows of the table: all, or the main ones and those that are not as they were asked for.

    Args:
        choices: All that were made.
        explain: Whether to show all.
    """
    latest = list({_key(choice): choice for choice in choices}.values())
    return [
        (flag_of(choice), choice.value, choice.reason)
        for choice in latest
        if explain or choice.changed or choice.name in MAIN or _is_slow(choice)
    ]


def _key(choice: Choice) -> object:
    """What a later choice replaces: one of each name, but as many encodings as there are."""
    return choice if choice.name == "encoding" else choice.name


def _is_slow(choice: Choice) -> bool:
    """Whether something else than the native engine computes: the reason says why."""
    return choice.name == "path" and not str(choice.value).startswith("native")


def hint(choices: Sequence[Choice], *, explain: bool) -> str:
    """A line beneath the table: how to see the rest, and how to change a setting."""
    hidden = len(rows(choices, explain=True)) - len(rows(choices, explain=explain))
    change = "change one by typing it, like --hidden 256"
    return f"{hidden} more with --explain; {change}" if hidden else change
