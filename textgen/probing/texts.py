"""Text-level examples: one a text, equal texts on one side of the split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import CorpusError
from textgen.probing.examples import FIT, HELD_OUT, VALIDATION, Examples
from textgen.probing.labels import LabelledTexts

#: Fewest texts of each kind that a task may have.
LEAST = 8
#: Share of the training part that the probe's strength is chosen on.
VALIDATION_SHARE = 0.2
#: Random places drawn in each document for the control of chance positions.
CHANCE_PLACES = 4


def text_examples(
    texts: LabelledTexts,
    vocabulary: Vocabulary,
    normalization: Normalization,
    *,
    protocol: str,
    held_out: float,
    rng: np.random.Generator,
    limit: int | None = None,
    chars: int | None = None,
) -> Examples:
    """The examples of a text-level task.

    Args:
        texts: The texts and their labels.
        vocabulary: The model's.
        normalization: The model's.
        protocol: `mean` or `final`.
        held_out: Share of the texts that figures are measured on.
        rng: Draws the split.
        limit: Use so many texts at most, drawn at random; None: all.
        chars: Read so many characters at most from the start of each; None: all.
    Raises:
        CorpusError: There are too few texts of a kind to learn from and to measure on.
    """
    notes = []
    chosen = np.arange(len(texts.texts))
    if limit is not None and limit < len(chosen):
        chosen = np.sort(rng.permutation(len(chosen))[:limit])
        notes.append(f"{limit:,} of {len(texts.texts):,} texts, drawn at random")
    contents = [normalization.apply(texts.texts[i]) for i in chosen.tolist()]
    if chars is not None and any(len(text) > chars for text in contents):
        contents = [text[:chars] for text in contents]
        notes.append(f"of each text the first {chars:,} characters")
    kept = [i for i, text in enumerate(contents) if text]
    if len(kept) < len(contents):
        notes.append(f"{len(contents) - len(kept):,} texts left out: nothing the model reads")
    contents = [contents[i] for i in kept]
    labels = np.array([texts.labels[i] for i in chosen[kept].tolist()], bool)
    for kind, name in ((True, texts.positive), (False, texts.negative)):
        count = int((labels == kind).sum())
        if count < LEAST:
            raise CorpusError(
                f"{count} texts are labelled '{name}'; at least {LEAST} of each kind are needed, "
                "and some hundred to find anything"
            )
    groups, first = _groups(contents)
    if not first.all():
        notes.append(f"{int((~first).sum()):,} texts occur before; equal ones are on one side")
    part = _split(labels, groups, held_out, rng)
    documents = [vocabulary.encode(text) for text in contents]
    lengths = np.array([len(ids) for ids in documents], np.int64)
    return Examples(
        documents=documents,
        skip_D=np.zeros(len(documents), np.int64),
        document_N=np.arange(len(documents)),
        place_N=lengths - 1,
        chance_NK=(rng.random((len(documents), CHANCE_PLACES)) * lengths[:, None]).astype(np.int64),
        labels_N=labels,
        part_N=part,
        independent_N=first,
        protocol=protocol,
        contexts=lambda numbers: [contents[i] for i in numbers.tolist()],
        positive=texts.positive,
        negative=texts.negative,
        notes=tuple(notes),
    )


def _groups(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A number that equal texts share, and which text is the first with its number.

    Case and white space make no difference.
    """
    numbers: dict[str, int] = {}
    groups = np.array(
        [numbers.setdefault(" ".join(text.casefold().split()), len(numbers)) for text in texts],
        np.int64,
    )
    first = np.zeros(len(texts), bool)
    first[np.unique(groups, return_index=True)[1]] = True
    return groups, first


def _split(
    labels: NDArray[np.bool_],
    groups: NDArray[np.int64],
    held_out: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """The part of each text: the same share of both kinds, a group never divided."""
    _, leaders = np.unique(groups, return_index=True)
    part_of_group = np.full(len(leaders), FIT, np.int64)
    for kind in (False, True):
        mine = rng.permutation(np.flatnonzero(labels[leaders] == kind))
        test = max(1, round(held_out * len(mine)))
        check = max(1, round(VALIDATION_SHARE * (len(mine) - test)))
        part_of_group[mine[:test]] = HELD_OUT
        part_of_group[mine[test : test + check]] = VALIDATION
    part: NDArray[np.int64] = part_of_group[groups]
    for kind in (False, True):
        for number, name in ((FIT, "to learn from"), (HELD_OUT, "to measure on")):
            if not (part[labels == kind] == number).any():
                raise CorpusError(
                    f"too few different texts: none of one kind is left {name}; give more texts"
                )
    return part
