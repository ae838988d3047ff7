"""What a text is trained on and what it is measured on: no token of one is a token of the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.small_runs import poems, russian_text

from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.vocabulary import END_ID
from textgen.options import TrainOptions
from textgen.training.data import TrainingData, open_data


def opened(path: Path, val: str, **reading: str) -> TrainingData:
    return open_data([path], TrainOptions(corpus=CorpusOptions(**reading), val=val))


@pytest.mark.parametrize("level", ["char", "byte", "word"])
@pytest.mark.parametrize("val", ["0.1", "0.03", "0.5"])
def test_the_end_of_a_text_validates_from_where_training_ends(
    tmp_path: Path, val: str, level: str
) -> None:
    """One after the other they are the text: nothing is left out, and nothing stands in both."""
    path = tmp_path / "text.txt"
    path.write_text(russian_text(20_000), encoding="utf-8")
    data = opened(path, val, level=level)
    tokens = np.asarray(data.corpus.tokens)
    assert np.array_equal(np.concatenate([data.train, data.val]), tokens)
    # To the character, or to the word in whose midst the border falls.
    chars = len(data.corpus.vocabulary.decode(data.train))
    assert chars == pytest.approx((1 - float(val)) * data.corpus.chars, abs=15)


def test_documents_that_validate_are_not_trained_on(tmp_path: Path) -> None:
    texts = list(dict.fromkeys(poems(200)))
    path = tmp_path / "poems.txt"
    path.write_text("\n\n".join(texts), encoding="utf-8")
    data = opened(path, "0.2", documents="blank")

    def documents(tokens: np.ndarray) -> list[str]:
        text = data.corpus.vocabulary.decode(tokens, end="|")
        return text.strip("|").split("|")

    assert data.split == "drawn"
    trained, validates = documents(data.train), documents(data.val)
    assert sorted(trained + validates) == sorted(texts)
    assert data.train[0] == data.train[-1] == data.val[-1] == END_ID
