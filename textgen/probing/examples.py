"""Labelled examples of a property: whole texts, or positions in a corpus.

Both become documents that the network reads from their start, and examples in them: the place after
which, or the stretch over which, the network's state is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from textgen.corpus.documents import DOCUMENT_MARK
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, Ids, Vocabulary
from textgen.errors import CorpusError
from textgen.inspection.features import check_feature, feature_values, regex_feature
from textgen.probing.labels import LabelledTexts
from textgen.probing.statistics import Bools, Ints
from textgen.terminal.humanize import plural

#: Parts of the split. `FIT` and `VALIDATION` together are the training part: everything is chosen
#: there, and everything reported is measured on `HELD_OUT`.
FIT, VALIDATION, HELD_OUT = 0, 1, 2
#: The share of the training part on which the probe's strength is chosen.
VALIDATION_SHARE = 0.2

#: What the features of an example are.
PROTOCOLS = {
    "mean": "the mean over the text",
    "final": "the state after the text's last character",
    "position": "the state after the position's character",
}

#: The fewest examples of each kind: in a task of texts, and in each part of a corpus.
LEAST = 8
#: Random places drawn in each document for the control of chance positions.
CHANCE_PLACES = 4
#: Blocks of a stretch, the first of which is context only, and the length of a block in tokens.
BLOCKS = 4
SHORTEST, LONGEST = 48, 512
#: A short corpus is cut into at least this many blocks, unless they would become too short.
WANTED_BLOCKS = 480
#: Characters up to a position that the n-grams are made of, and the mark put after the last.
CONTEXT = 40
LAST_SIGN = "\x03"

#: The value of a property at each character of a text: True or False.
Property = Callable[[str], Bools]


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Labelled examples, split into parts.

    Args:
        documents: Token ids of each stretch the network reads, without a start mark; none empty.
        skip_D: How many of a document's first tokens are context only.
        document_N: The document each example stands in.
        place_N: The token of that document after which its state is taken; where the protocol is
            `mean`, the last one.
        chance_NK: Other tokens of the same document, drawn at random.
        labels_N: Whether it is positive.
        part_N: `FIT`, `VALIDATION` or `HELD_OUT`.
        independent_N: Which examples may be counted as independent of each other in a test: one of
            equal texts; of the positions in one part, one in each run over which the property does
            not change, and at most one of each kind in a block.
        run_N: The run that an example stands in, whose examples have one label: a number that does
            not fall. Each text is a run of its own.
        group_N: Examples of one number must not be learned from and told of at once: those of
            equal texts, and those of one stretch.
        block_N: The block of the corpus that it stands in; each text is a block of its own.
        protocol: One of `PROTOCOLS`.
        contexts: Returns, for the numbers of examples, the characters that n-grams are made of.
        positive: Name of the positive kind.
        negative: Name of the other.
        notes: What a reader of the figures should know about how the examples were made.
    """

    documents: Sequence[Ids]
    skip_D: Ints
    document_N: Ints
    place_N: Ints
    chance_NK: Ints
    labels_N: Bools
    part_N: Ints
    independent_N: Bools
    run_N: Ints
    group_N: Ints
    block_N: Ints
    protocol: str
    contexts: Callable[[Ints], list[str]]
    positive: str
    negative: str
    notes: tuple[str, ...]

    @property
    def train_N(self) -> Bools:
        """The examples on which things are chosen."""
        return ~self.held_out_N

    @property
    def held_out_N(self) -> Bools:
        """The examples on which things are measured."""
        where: Bools = self.part_N == HELD_OUT
        return where

    def permuted(self, rng: np.random.Generator) -> Examples:
        """The examples with other labels: those of each part, run by run in another order.

        Neighbours have one label and similar states. Were single positions permuted, labels would
        change from one to the next, no neuron could follow them by luck, and chance would look
        worse than it is. So the runs stay whole: as many, as long, at other places.
        Equal texts have equal states, so they get one label, that of another text.
        """
        labels_N, run_N = self.labels_N.copy(), self.run_N.copy()
        for part in (FIT, VALIDATION, HELD_OUT):
            rows = np.flatnonzero(self.part_N == part)
            if self.protocol == "position":
                order = _runs_in_another_order(self.run_N[rows], rng)
                run_N[rows] = self.run_N[rows][order]
            else:
                _, first, of_row = np.unique(
                    self.group_N[rows], return_index=True, return_inverse=True
                )
                order = rng.permutation(first)[of_row]
            labels_N[rows] = self.labels_N[rows][order]
        independent_N = self.independent_N
        if self.protocol == "position":
            independent_N = _independent(
                *(run_N, self.held_out_N, self.block_N, labels_N),
                rng.permutation(len(labels_N)),
            )
        return replace(self, labels_N=labels_N, run_N=run_N, independent_N=independent_N)

    def counts(self, among_N: Bools | bool = True) -> dict[str, dict[str, int]]:
        """How many examples of each kind each part has, or how many of those in `among_N`."""
        return {
            name: {
                "positive": int((where & among_N & self.labels_N).sum()),
                "negative": int((where & among_N & ~self.labels_N).sum()),
            }
            for name, where in (("train", self.train_N), ("held_out", self.held_out_N))
        }


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
    """The examples of whole texts: one for each text. Equal texts are on one side of the split.

    Args:
        protocol: `mean` or `final`.
        held_out: Share of the texts that figures are measured on.
        limit: Use at most this many texts, drawn at random; None: all.
        chars: Read at most this many characters from the start of each text; None: all.
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
        notes.append(f"the first {chars:,} characters of each text")
    kept = [i for i, text in enumerate(contents) if text]
    if len(kept) < len(contents):
        empty = plural(len(contents) - len(kept), "text")
        notes.append(f"{empty} left out, with nothing in it that the model reads")
    contents = [contents[i] for i in kept]
    labels = np.array([texts.labels[i] for i in chosen[kept].tolist()], bool)
    for kind, name in ((True, texts.positive), (False, texts.negative)):
        count = int((labels == kind).sum())
        if count < LEAST:
            raise CorpusError(
                f"{plural(count, 'text is', 'texts are')} labelled '{name}'; at least {LEAST} of "
                "each kind are needed, and some hundred to find anything"
            )
    groups, first = _equal_texts(contents)
    if not first.all():
        repeated = plural(int((~first).sum()), "text repeats", "texts repeat")
        notes.append(f"{repeated} an earlier one; equal texts are on one side")
    documents = [vocabulary.encode(text) for text in contents]
    lengths = np.array([len(ids) for ids in documents], np.int64)
    part = _split_texts(labels, groups, held_out, rng)
    return Examples(
        documents=documents,
        skip_D=np.zeros(len(documents), np.int64),
        document_N=np.arange(len(documents)),
        place_N=lengths - 1,
        chance_NK=(rng.random((len(documents), CHANCE_PLACES)) * lengths[:, None]).astype(np.int64),
        labels_N=labels,
        part_N=part,
        independent_N=first,
        run_N=np.arange(len(documents)),
        group_N=groups,
        block_N=np.arange(len(documents)),
        protocol=protocol,
        contexts=lambda numbers: [contents[i] for i in numbers.tolist()],
        positive=texts.positive,
        negative=texts.negative,
        notes=tuple(notes),
    )


def regex_property(pattern: str) -> Property:
    """Whether a character lies inside a match of `pattern`."""
    return lambda text: regex_feature(pattern, text)


def feature_property(name: str) -> tuple[Property, str]:
    """Whether a built-in feature holds, and what that means in words.

    A graded feature holds where it is above its median, which is taken where it is not 0.

    Raises:
        ConfigError: There is no such feature.
    """
    feature = check_feature(name)

    def holds(text: str) -> Bools:
        values = feature_values(name, text)
        if not feature.graded:
            return values.astype(bool)
        where = values[values != 0]
        cut = float(np.median(where)) if where.size else 0.0
        above: Bools = values > cut
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
    """The examples of positions in a corpus, as many positive as negative ones in each part.

    The corpus is cut into stretches, and the network reads each from its start. A stretch is four
    blocks, and the first is context only. So no token that is read for an example on one side of
    the split is read for one on the other, and neighbouring positions are never on both sides.

    Args:
        ids: The corpus; documents are separated by end marks.
        holds: The property. An end mark is a NUL in the text that it is given.
        name: What it is called.
        held_out: Share of the corpus that figures are measured on.
        count: Positions at most.
    Raises:
        CorpusError: The corpus is too short, or the property holds nowhere, or everywhere, in it.
    """
    text, length_T = _text_and_lengths(ids, vocabulary)
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
    part_S = np.full(stretches, FIT, np.int64)
    _divide(part_S, rng.permutation(stretches), held_out)
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
                f"{scarce} at {size} positions in a part of the corpus of {len(text):,} "
                f"characters; at least {LEAST} are needed there. Name a longer corpus, or another "
                "pattern or feature"
            )
        chosen += [np.sort(rng.choice(kind, size, replace=False)) for kind in kinds]
    token_N = np.sort(np.concatenate(chosen))
    stretch_N = block_T[token_N] // BLOCKS
    start_N = stretch_N * BLOCKS * block
    run_N, block_N, labels_N = run_T[token_N], block_T[token_N], value_T[token_N]
    part_N = part_T[token_N]
    independent_N = _independent(
        run_N, part_N == HELD_OUT, block_N, labels_N, rng.permutation(len(token_N))
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
        labels_N=labels_N,
        part_N=part_N,
        independent_N=independent_N,
        run_N=run_N,
        group_N=stretch_N,
        block_N=block_N,
        protocol="position",
        contexts=lambda numbers: [
            text[begin : end + 1] + LAST_SIGN
            for begin, end in zip(begin_N[numbers].tolist(), end_N[numbers].tolist(), strict=True)
        ],
        positive=name,
        negative=f"not {name}",
        notes=(),
    )


def _divide(part: Ints, order: Ints, held_out: float) -> None:
    """Mark the first of `order` in `part` as held out, and the next for validation."""
    test = max(1, round(held_out * len(order)))
    check = max(1, round(VALIDATION_SHARE * (len(order) - test)))
    part[order[:test]] = HELD_OUT
    part[order[test : test + check]] = VALIDATION


def _equal_texts(texts: Sequence[str]) -> tuple[Ints, Bools]:
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


def _split_texts(labels: Bools, groups: Ints, held_out: float, rng: np.random.Generator) -> Ints:
    """The part of each text: the same share of both kinds; a group is never divided."""
    _, leaders = np.unique(groups, return_index=True)
    part_of_group = np.full(len(leaders), FIT, np.int64)
    for kind in (False, True):
        own = np.flatnonzero(labels[leaders] == kind)
        _divide(part_of_group, rng.permutation(own), held_out)
    part: Ints = part_of_group[groups]
    for kind in (False, True):
        for number, name in ((FIT, "to learn from"), (HELD_OUT, "to measure on")):
            if not (part[labels == kind] == number).any():
                raise CorpusError(
                    f"too few different texts: none of one kind is left {name}; give more texts"
                )
    return part


def _runs(value_T: Bools, usable_T: Bools) -> Ints:
    """A number for each token that changes where the value does; end marks change nothing."""
    turn_T = np.zeros(len(value_T), np.int64)
    places = np.flatnonzero(usable_T)
    turn_T[places[1:]] = value_T[places[1:]] != value_T[places[:-1]]
    return np.cumsum(turn_T)


def _runs_in_another_order(run_N: Ints, rng: np.random.Generator) -> Ints:
    """The places of examples whose runs `(N,)` stand in another order, each run whole."""
    begins_N = np.diff(run_N, prepend=run_N[:1] - 1) != 0
    runs = np.split(np.arange(len(run_N)), np.flatnonzero(begins_N)[1:])
    return np.concatenate([runs[number] for number in rng.permutation(len(runs)).tolist()])


def _independent(
    run_N: Ints, held_out_N: Bools, block_N: Ints, labels_N: Bools, order_N: Ints
) -> Bools:
    """Which positions count, taken in `order_N`: none that shares a run or a block with another.

    Positions depend on each other, so tests count few of them: in each part one of a run over which
    the property does not change (a chapter, say), and at most one of each kind in a block.
    """
    result = np.zeros(len(order_N), bool)
    runs: set[int] = set()
    blocks: set[int] = set()
    own_run_N = (2 * run_N + held_out_N).tolist()
    own_block_N = (2 * block_N + labels_N).tolist()
    for number in order_N.tolist():
        run, block = own_run_N[number], own_block_N[number]
        if run not in runs and block not in blocks:
            runs.add(run)
            blocks.add(block)
            result[number] = True
    return result


def _text_and_lengths(ids: Ids, vocabulary: Vocabulary) -> tuple[str, Ints]:
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
