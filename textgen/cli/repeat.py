"""The command line that writes a text again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from textgen.model.engine import PATH_VARIABLE
from textgen.sampling import SampleOptions
from textgen.settings import escape
from textgen.terminal.text import quote

#: Settings that are said even where they are the defaults: they may change with a version.
_ALWAYS = ("length", "temperature", "rng")


def sample_command_line(
    checkpoint: str,
    settings: Mapping[str, Any],
    *,
    seed: str = "",
    seed_file: str | None = None,
    steer: Sequence[str] = (),
    usual: Mapping[str, Any] | None = None,
) -> str:
    """`textgen sample` as it is typed in a shell.

    Args:
        checkpoint: The model.
        settings: Of `SampleOptions`.
        seed: The beginning as it was given; not said where `seed_file` is.
        seed_file: Where it was read from.
        steer: Specifications.
        usual: The settings of this model's texts where nothing is said; None: of any model's.
    """
    words = ["textgen", "sample", "--checkpoint", checkpoint]
    if seed_file is not None:
        words += ["--seed-file", seed_file]
    elif seed:
        words += ["--seed", seed]
    for spec in steer:
        words += ["--steer", spec]
    defaults = {field.name: field.default for field in fields(SampleOptions)}
    defaults.update(usual or {})
    for name, value in settings.items():
        if name in _ALWAYS or value != defaults[name]:
            words += _option(name, value)
    path = os.environ.get(PATH_VARIABLE)
    before = f"{PATH_VARIABLE}={quote(path)} " if path else ""
    return before + " ".join(map(quote, words))


def _option(name: str, value: Any) -> Iterable[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag] if value else []
    if isinstance(value, tuple):
        return [word for part in value for word in (flag, escape(part))]
    return [flag, str(value)]
