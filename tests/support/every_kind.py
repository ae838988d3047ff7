"""Small models of every kind, without a training: those of old files, and models of words."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import textgen
from support.models import random_weights
from textgen.checkpoint.model_file import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.model.config import ModelConfig

OLD_FILES = Path(__file__).parents[1] / "old_files"
#: All letters of the page are in them.
WORDS = (
    *("кот", "пёс", "дом", "саду", "молчит", "смотрит", "старый", "рыжий", "спит", "ест", "бежит"),
    *("Бабушка", "Ёжик", "Кот", "Мальчик", "Рыжий", "Сосед", "возле", "крыше", "поёт", "под"),
)


@cache
def model_of(name: str) -> SavedModel:
    """A model of `tests/old_files`; `words` and `words-folded` read rare words as unknown."""
    if not name.startswith("words"):
        return textgen.load(OLD_FILES / f"{name}.safetensors").saved
    folded = name == "words-folded"
    vocabulary = Vocabulary.from_words(
        " " if folded else " \n.,",
        {f" {word}": 2 for word in WORDS},
        folded=folded,
        spelled=False,
    )
    config = ModelConfig(cell="gru", vocab_size=len(vocabulary), embedding_size=5, hidden_size=7)
    weights = {key: np.float32(0.3) * array for key, array in random_weights(config).items()}
    return SavedModel(
        config=config,
        vocabulary=vocabulary,
        normalization=Normalization(fold=folded),
        weights=weights,
    )


def page() -> str:
    """The text that the models of `tests/old_files` were trained on."""
    return (OLD_FILES / "text.txt").read_text(encoding="utf-8")
