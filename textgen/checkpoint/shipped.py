"""The models that come with textgen: there at once, for whoever has not trained one yet.

They stand in `checkpoints` of a clone; an installed package has them beside its modules. Each has a
card, `README.md`, that says what it was trained on and what it cannot do.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from textgen.files import MODEL_NAME as MODEL_NAME
from textgen.files import project_folder


@dataclass(frozen=True, kw_only=True)
class ShippedModel:
    """A model that comes with textgen.

    Args:
        name: As it is typed, where a model is named.
        script: The first word of the Unicode names of its letters.
        about: The texts that it was trained on, in words.
    """

    name: str
    script: str
    about: str

    @property
    def path(self) -> Path | None:
        """The model's file; None where it was not installed."""
        folder = project_folder("checkpoints", "checkpoints")
        path = None if folder is None else folder / self.name / MODEL_NAME
        return path if path is not None and path.is_file() else None


#: The first one writes where nothing says in which language.
SHIPPED = (
    ShippedModel(name="dostoevsky", script="CYRILLIC", about="six works of Dostoevsky"),
    ShippedModel(name="shakespeare", script="LATIN", about="plays of Shakespeare"),
)


def shipped_for(text: str = "") -> Path | None:
    """The file of the shipped model that continues a text: the one that most of its letters suit.

    Args:
        text: What is to be continued or looked at; "" is the first model.
    Returns:
        The file; None where no model was installed.
    """
    scripts = [unicodedata.name(symbol, "").partition(" ")[0] for symbol in text]
    suited = sorted(SHIPPED, key=lambda model: -scripts.count(model.script))
    return next((model.path for model in suited if model.path is not None), None)


def shipped_at(path: Path) -> ShippedModel | None:
    """Which shipped model a file or a folder is; None for any other.

    Args:
        path: A model's file or its folder.
    """
    real = os.path.realpath(path)
    for model in SHIPPED:
        if model.path is not None and real in (str(model.path), str(model.path.parent)):
            return model
    return None
