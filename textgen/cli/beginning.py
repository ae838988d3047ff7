"""What a text begins with, and which model writes it, by the words after `textgen sample`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textgen.checkpoint.locate import MODEL_NAME, RESUME_NAME
from textgen.errors import ConfigError, SamplingError
from textgen.terminal.text import quote

_RUNS = "checkpoints"


@dataclass(frozen=True)
class Beginning:
    """What the words say.

    Args:
        text: What the text begins with; "" where nothing was said.
        checkpoint: The model, as `textgen.load` takes it.
        note: One line for a person on how a word was understood; None where nothing is unclear.
    """

    text: str
    checkpoint: str | None
    note: str | None = None


def read_beginning(
    words: Sequence[str], seed: str | None, seed_file: Path | None, checkpoint: str | None
) -> Beginning:
    """Understand the words that stand without an option, beside those that have one.

    Words are the beginning of the text. One that names a model is the model, unless `checkpoint`
    names one.

    Args:
        words: Those without an option.
        seed: Of `--seed`; `-` reads standard input.
        seed_file: Of `--seed-file`.
        checkpoint: Of `--checkpoint`.
    Raises:
        SamplingError: Two things say what the text begins with.
        ConfigError: A word is a file of text.
        TextgenError: The file of `--seed-file` cannot be read.
    """
    rest, note = list(words), None
    if checkpoint is None:
        for place in dict.fromkeys((0, len(rest) - 1)):
            if rest and _is_model(rest[place], alone=len(rest) == 1):
                checkpoint = rest.pop(place)
                if not {"/", os.sep} & set(checkpoint) and not checkpoint.endswith(".safetensors"):
                    note = (
                        f"'{checkpoint}' is taken as the name of a model; as the beginning of a "
                        f"text: textgen sample --seed {quote(checkpoint)}"
                    )
                break
    said = " ".join(rest)
    if rest and seed is not None:
        raise SamplingError(
            f"--seed is '{seed}', and '{said}' stands without an option; a text of several words "
            f"stands in quotes: textgen sample --seed {quote(f'{seed} {said}')}"
        )
    if seed_file is not None and (rest or seed is not None):
        other = "--seed" if seed is not None else f"'{said}'"
        raise SamplingError(f"{other} and --seed-file contradict each other; give one")
    if len(rest) == 1 and Path(said).suffix and os.path.isfile(said):
        raise ConfigError(
            f"'{said}' is a file; to go on from the text in it: textgen sample --seed-file "
            f"{quote(said)}; from its name: textgen sample --seed {quote(said)}"
        )
    return Beginning(_text(said if rest else seed, seed_file), checkpoint, note)


def _text(seed: str | None, seed_file: Path | None) -> str:
    from textgen.cli.records import print_notes
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
    if not word:
        return False
    if "/" in word or os.sep in word or word.endswith(".safetensors"):
        # One that is mistyped is answered when it is looked for.
        is_meant = word.endswith(".safetensors") or Path(word).parts[:1] == (_RUNS,)
        return is_meant or _holds_run(word)
    return alone and (_holds_run(os.path.join(_RUNS, word)) or _holds_run(word))


def _holds_run(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, name)) for name in (MODEL_NAME, RESUME_NAME))
