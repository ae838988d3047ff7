"""Position-level examples: places in a corpus where something holds, and places where it does not.

The corpus is cut into stretches that the network reads each from its start; a stretch is four
blocks, of which the first is context only. So no token that is read for an example on one side of
the split is read for one on the other, and neighbouring positions are never on both sides.

Positions depend on each other, so tests count few of them: of a run over which the property does
not change (a chapter, where it is of chapters) one in each part, and at most one of each kind in a
block.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.documents import DOCUMENT_MARK
from textgen.corpus.vocabulary import END_ID, Ids, Vocabulary
from textgen.errors import CorpusError
from textgen.inspection.features import check_feature, feature_values, regex_feature
from textgen.probing.examples import FIT, HELD_OUT, VALIDATION, Examples
from textgen.probing.texts import CHANCE_PLACES, VALIDATION_SHARE

#: Fewest positions of each kind in each part.
LEAST = 8
#: Blocks of a stretch, the first of which is context only, and the length of a block in tokens.
BLOCKS = 4
SHORTEST, LONGEST = 48, 512
#: Blocks that a short corpus is cut into at least, where they are not the shortest already.
WANTED_BLOCKS = 480
#: Characters up to a position that the n-grams are made of, and the sign put after the last.
CONTEXT = 40
LAST_SIGN = "\x03"

#: The value of a property at each character of a text: True or False.
Property = Callable[[str], NDArray[np.bool_]]


def regex_property(pattern: str) -> Property:
    """Whether a character lies inside a match of `pattern`."""
    return lambda text: regex_feature(pattern, text)


def feature_property(name: str) -> tuple[Property, str]:
    """Whether a built-in feature holds, and what that means in words.

    A graded feature holds where it lies above its median, taken where it is not 0.

    Raises:
        ConfigError: There is no such feature.
    """
    feature = check_feature(name)

    def holds(text: str) -> NDArray[np.bool_]:
        values = feature_values(name, text)
        if not feature.graded:
            return values.astype(bool)
        where = values[values != 0]
        cut = float(np.median(where)) if where.size else 0.0
        above: NDArray[np.bool_] = values > cut
        return above if above.any() else values >= max(cut, 1e-9)

    return holds, f"{name} (above its median)" if feature.graded else name


def position_examples(
    ids: Ids,
    holds: Property,
    name: str,
    vocabulary: Vocabulary,
    *,
    held_out: float,
    rng: np.random.Generator,
    count: int,
) -> Examples:
    """The examples of a position-level task, as many positive as negative ones in each part.

    Args:
        ids: The corpus; documents are separated by end marks.
        holds: The property. An end mark is a NUL in the text that it is given.
        name: What it is called.
        vocabulary: The model's.
        held_out: Share of the corpus that figures are measured on.
        rng: Draws the split and the positions.
        count: Positions at most.
    Raises:
        CorpusError: The corpus is too short, or the property holds nowhere, or everywhere, in it.
    """
    text, length_T = _text(ids, vocabulary)
    # The character that a token ends with; a token within a character is not looked at.
    end_T = np.maximum(np.cumsum(length_T) - 1, 0)
    value_T = holds(text)[end_T] if text else np.zeros(0, bool)
    usable_T = (length_T > 0) & (ids != END_ID)
    run_T = _runs(value_T, usable_T)
    block = int(np.clip(len(ids) // WANTED_BLOCKS, SHORTEST, LONGEST))
    stretches = len(ids) // (BLOCKS * block)
    if stretches < 6:
        raise CorpusError(
            f"the corpus has {len(ids):,} tokens; {6 * BLOCKS * SHORTEST:,} are the least that can "
            "be split, and some 100,000 are good; name a longer one"
        )
    part_S = _split(stretches, held_out, rng)
    block_T = np.minimum(np.arange(len(ids)) // block, stretches * BLOCKS - 1)
    usable_T &= (block_T % BLOCKS > 0) & (np.arange(len(ids)) < stretches * BLOCKS * block)
    part_T = part_S[block_T // BLOCKS]
    chosen = []
    shares = np.bincount(part_S, minlength=3) / stretches
    for part in (FIT, VALIDATION, HELD_OUT):
        kinds = [
            np.flatnonzero(usable_T & (part_T == part) & (value_T == kind))
            for kind in (True, False)
        ]
        size = min(len(kinds[0]), len(kinds[1]), max(LEAST, round(count * shares[part] / 2)))
        if size < LEAST:
            scarce = f"'{name}' holds" if len(kinds[0]) < len(kinds[1]) else f"'{name}' fails"
            raise CorpusError(
                f"{scarce} at {size} positions of a part of the corpus of {len(text):,} "
                f"characters; at least {LEAST} are needed there. Name a longer corpus, or another "
                "pattern or feature"
            )
        chosen += [np.sort(rng.choice(kind, size, replace=False)) for kind in kinds]
    token_N = np.sort(np.concatenate(chosen))
    stretch_N = block_T[token_N] // BLOCKS
    start_N = stretch_N * BLOCKS * block
    independent_N = _independent(
        run_T[token_N],
        part_T[token_N] == HELD_OUT,
        2 * block_T[token_N] + value_T[token_N],
        rng.permutation(len(token_N)),
    )
    chance = block + rng.random((len(token_N), CHANCE_PLACES)) * (BLOCKS - 1) * block
    # Characters that end before the stretch are on no side of the split.
    end_N, begin_N = end_T[token_N], (np.cumsum(length_T) - length_T)[start_N]
    begin_N = np.maximum(begin_N, end_N + 1 - CONTEXT)
    return Examples(
        documents=[
            ids[start : start + BLOCKS * block]
            for start in range(0, stretches * BLOCKS * block, BLOCKS * block)
        ],
        skip_D=np.full(stretches, block, np.int64),
        document_N=stretch_N,
        place_N=token_N - start_N,
        chance_NK=chance.astype(np.int64),
        labels_N=value_T[token_N],
        part_N=part_T[token_N],
        independent_N=independent_N,
        protocol="position",
        contexts=lambda numbers: [
            text[begin : end + 1] + LAST_SIGN
            for begin, end in zip(begin_N[numbers].tolist(), end_N[numbers].tolist(), strict=True)
        ],
        positive=name,
        negative=f"not {name}",
        notes=(),
    )


def _runs(value_T: NDArray[np.bool_], usable_T: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A number for each token that changes where the value does; end marks change nothing."""
    turn_T = np.zeros(len(value_T), np.int64)
    places = np.flatnonzero(usable_T)
    turn_T[places[1:]] = value_T[places[1:]] != value_T[places[:-1]]
    return np.cumsum(turn_T)


def _independent(
    run_N: NDArray[np.int64],
    held_out_N: NDArray[np.bool_],
    block_and_kind_N: NDArray[np.int64],
    order_N: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which positions count, taken in `order_N`: none that shares a run or a block with another."""
    result = np.zeros(len(order_N), bool)
    runs: set[int] = set()
    blocks: set[int] = set()
    run_and_part_N = (2 * run_N + held_out_N).tolist()
    keys_N = block_and_kind_N.tolist()
    for number in order_N.tolist():
        run, block = run_and_part_N[number], keys_N[number]
        if run not in runs and block not in blocks:
            runs.add(run)
            blocks.add(block)
            result[number] = True
    return result


def _text(ids: Ids, vocabulary: Vocabulary) -> tuple[str, NDArray[np.int64]]:
    """The text of the tokens, a NUL for each end mark, and how many characters each token ends."""
    length_T = np.ones(len(ids), np.int64)
    marks = np.flatnonzero(ids == END_ID)
    parts = []
    for start, stop in zip((0, *(marks + 1)), (*marks, len(ids)), strict=True):
        own = ids[start:stop]
        if vocabulary.level == "char":
            parts.append(vocabulary.decode(own))
        else:
            pieces = vocabulary.pieces(own)
            length_T[start:stop] = np.fromiter(map(len, pieces), np.int64, len(pieces))
            parts.append("".join(pieces))
    return DOCUMENT_MARK.join(parts), length_T


def _split(stretches: int, held_out: float, rng: np.random.Generator) -> NDArray[np.int64]:
    part = np.full(stretches, FIT, np.int64)
    order = rng.permutation(stretches)
    test = max(1, round(held_out * stretches))
    check = max(1, round(VALIDATION_SHARE * (stretches - test)))
    part[order[:test]] = HELD_OUT
    part[order[test : test + check]] = VALIDATION
    return part
