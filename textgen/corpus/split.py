"""Documents in the order of a run: shuffled, and split into training and validation.

The validation documents are drawn by a hash of their text (of pairs, of the source). So a sorted
list gives a fair sample, the same one for every seed, and copies of a document lie on one side.
Few files, or few long documents such as the chapters of a novel, give no fair sample: instead the
end of each validates. Few short documents that the text was cut into are drawn nevertheless, for
the model has to learn where they end. Documents are shuffled, so that the streams that read side by
side get a mixture; ends keep the order of the text, and so do long documents if another file
validates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.cache import CacheEntry, TokenCache, write_entry
from textgen.corpus.corpus import Corpus
from textgen.corpus.pairs import PairIndex
from textgen.corpus.spans import Integers, Spans, find_documents, gather, span_chars, span_hashes
from textgen.corpus.tokens import TokenWriter
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.corpus.windows import Tokens, permute
from textgen.errors import CheckpointCorruptError, EmptyCorpusError, named
from textgen.files import remove_quietly
from textgen.plain_data import Count, Some, from_plain
from textgen.progress import track
from textgen.terminal.humanize import plural

#: Change them whenever the same pairs, or documents, get another order or another split.
_PAIRS_VERSION, _DOCUMENTS_VERSION = 2, 1
_SHUFFLE_KEY = 0x7061697273

#: Documents with this many characters on average are long: a tenth of one is a text of its own.
LONG = 2_000
#: Files and long documents are drawn if at least so many validate: for a share of a tenth that is
#: about twenty of them.
LEAST_DRAWN = 2
#: The part of the share that a draw must reach.
_ENOUGH = 0.95
#: If a draw does not reach this part of the share, the ends validate, unless all documents are
#: short.
_LEAST_SHARE = 0.5

#: How many stretches the end and (at most) the beginning are cut into; the fewest tokens of a
#: stretch, and how many of them are examined.
_END_STRETCHES, _MOST_STRETCHES = 4, 40
_LEAST_STRETCH, _LOOK = 400, 30_000
#: A distance is strange above so many medians and so many times the fourth fifth (docs/log.md).
_MEDIANS, _FIFTHS = 2.2, 1.5
#: Pairs of characters, or bytes, are hashed into so many classes.
_CLASSES = 1 << 15
#: Tokens in a chunk.
_SCAN = 1 << 20

#: How documents are split: whole ones are drawn by their content, or the end of each validates;
#: `whole`: they are only shuffled.
Way = Literal["drawn", "ends", "whole"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Side:
    """The documents to train on, or those to validate on.

    Args:
        documents: The number of documents, or of pairs.
        chars: Characters; for pairs with the separators.
        tokens: All tokens, with the end marks.
        counted: Tokens that count: all; for pairs those of the targets and an end mark each.
        counted_chars: Characters of what counts.
    """

    documents: Count
    chars: Count
    tokens: Count
    counted: Count
    counted_chars: Count


@dataclass(frozen=True, eq=False)
class Split:
    """Documents in the order of a run.

    Args:
        train: Token ids to train on: an end mark, then each document and an end mark, `(N,)`.
        val: Token ids to validate on: each document and an end mark.
    """

    train: Tokens
    val: Tokens
    train_side: Side
    val_side: Side
    way: Way


class _SplitHeader(TypedDict):
    """What `_write` keeps of a split."""

    vocab_size: Some
    sides: list[Any]
    way: Way


#: The stretches of one side, and the parts of them that count.
_Part = tuple[Spans, Spans]


def split_pairs(
    corpus: Corpus, index: PairIndex, share: float | None, *, cache: Path | None = None
) -> Split:
    """Shuffle and split pairs; the result is kept in the cache.

    Making it takes 40 bytes of memory for each pair and some megabytes; nothing stays there.

    Args:
        corpus: The pairs.
        index: Where they are.
        share: The share of the sources that validates, at least one source; None: nothing does.
        cache: The cache folder; None means `$TEXTGEN_CACHE` or the system's place for caches.
    Raises:
        EmptyCorpusError: There are not two different sources to split.
        StorageError: There is no room for the shuffled tokens.
    """

    def draw() -> tuple[Way, list[_Part]]:
        return "drawn", [
            (Spans(side.starts, side.stops), Spans(side.separators + 1, side.stops))
            for side in _draw_pairs(corpus, index, share)
        ]

    split = _kept(f"pairs {_PAIRS_VERSION} {corpus.cache_key} {share}", corpus, cache, draw)
    assert split is not None
    return split


def split_documents(
    corpus: Corpus, share: float | None, *, cache: Path | None = None
) -> Split | None:
    """Split documents, or shuffle them; the result is kept in the cache.

    Making it takes 50 bytes of memory for each document and some megabytes; nothing stays there.

    Args:
        corpus: The documents.
        share: The share of the characters that validates; None: nothing does.
        cache: The cache folder; None means `$TEXTGEN_CACHE` or the system's place for caches.
    Returns:
        None if there is nothing to split or shuffle: a single document, only equal ones, or,
        without a share, long ones.
    Raises:
        StorageError: There is no room for the tokens.
    """
    if corpus.documents < 2:
        return None

    def draw() -> tuple[Way, list[_Part]] | None:
        found = drawn_documents(corpus, share)
        return None if found is None else (found[0], [(side, side) for side in found[1]])

    return _kept(f"documents {_DOCUMENTS_VERSION} {corpus.cache_key} {share}", corpus, cache, draw)


def strange_from(tokens: Tokens, cut: int, vocabulary: Vocabulary) -> int | None:
    """Return where the end of a text begins to be of another kind than the text before it.

    A licence, an index or a letter in another language says little about the novel before it. The
    end is strange if one of its stretches is much further away from the rest than the others.

    Args:
        tokens: The text, `(N,)`.
        cut: The first token of the end.
        vocabulary: What the ids mean.
    Returns:
        The token, to the precision of a stretch; None if the end is like the rest, if there is too
        little text to tell, or if the end is more than half of it.
    """
    size = (len(tokens) - cut) // _END_STRETCHES
    if size < _LEAST_STRETCH or len(tokens) - cut > cut:
        return None
    ends = np.arange(cut, len(tokens) - size + 1, size)[:_MOST_STRETCHES]
    starts = np.arange(cut % size, cut - size + 1, size)
    if len(starts) > _MOST_STRETCHES:
        starts = starts[np.linspace(0, len(starts) - 1, _MOST_STRETCHES).astype(int)]

    def pairs(start: int) -> Floats:
        codes = np.asarray(tokens[start : start + min(size, _LOOK)], np.uint32)
        if vocabulary.level == "word":  # There are too many words to count their pairs.
            text = "".join(vocabulary.symbols[number] for number in codes.tolist())
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        classes = (codes[:-1] * np.uint32(7919) ^ codes[1:]) % np.uint32(_CLASSES)
        return np.bincount(classes, minlength=_CLASSES).astype(np.float64)

    counts = [pairs(start) for start in starts.tolist()]
    whole = np.sum(counts, axis=0)
    usual = np.array([_distance(own, whole - own) for own in counts])
    limit = max(_MEDIANS * float(np.median(usual)), _FIFTHS * float(np.quantile(usual, 0.8)))
    for start in ends.tolist():
        if _distance(pairs(start), whole) > limit:
            return int(start)
    return None


def unseen_symbols(train: Tokens, val: Tokens, vocabulary: Vocabulary) -> tuple[list[str], int]:
    """Return the symbols that occur in validation but not in training, the most frequent first.

    The second result is how often they occur together.
    """
    counts = np.zeros(len(vocabulary), np.int64)
    for start in range(0, len(val), _SCAN):
        counts += np.bincount(val[start : start + _SCAN], minlength=len(vocabulary))
    counts[[END_ID, UNKNOWN_ID]] = 0
    for start in range(0, len(train), _SCAN):
        if not counts.any():
            break
        counts[train[start : start + _SCAN]] = 0
    order = np.argsort(-counts, kind="stable")[: int(np.count_nonzero(counts))]
    return [vocabulary.symbols[number] for number in order.tolist()], int(counts.sum())


def _kept(
    name: str,
    corpus: Corpus,
    cache: Path | None,
    draw: Callable[[], tuple[Way, list[_Part]] | None],
) -> Split | None:
    """The split of a name, from the cache or else as it is drawn."""
    key = hashlib.sha256(name.encode()).hexdigest()
    entry = TokenCache(cache).load(key)
    if entry is not None and (split := _from_entry(entry, corpus)) is not None:
        return split
    drawn = draw()
    if drawn is None:
        return None

    def write(store: TokenCache) -> CacheEntry:
        return _write(store, corpus, *drawn, key)

    entry, _ = write_entry(cache, "the shuffled text", write)
    split = _from_entry(entry, corpus)
    assert split is not None
    return split


def _from_entry(entry: CacheEntry, corpus: Corpus) -> Split | None:
    """The split that `_write` has kept; None where the entry is none of that text."""
    try:
        header = from_plain(_SplitHeader, entry.header)
        train, val = from_plain(tuple[Side, Side], entry.header["sides"])
    except CheckpointCorruptError:
        return None
    whole = 1 + train.tokens + val.tokens == len(entry.tokens) and train.counted > 0
    if not whole or header["vocab_size"] != len(corpus.vocabulary):
        return None
    cut = 1 + train.tokens
    return Split(entry.tokens[:cut], entry.tokens[cut:], train, val, header["way"])


def _draw_pairs(
    corpus: Corpus, index: PairIndex, share: float | None
) -> tuple[PairIndex, PairIndex]:
    """The pairs of either side, shuffled."""
    shuffled = permute(np.arange(len(index)), len(index), _SHUFFLE_KEY)
    if share is None:
        return index.take(shuffled), index.take(shuffled[:0])
    sources = Spans(index.starts, index.separators)
    hashes = span_hashes(corpus.tokens, sources, corpus.vocabulary)
    different = np.unique(hashes)
    if len(different) < 2:
        raise EmptyCorpusError(
            f"{plural(len(index), 'pair')} with a single source cannot be split into some to train "
            "on and others to validate on; give more lines, some hundreds to learn anything, or "
            f"name a file of pairs to validate on: {named('val', 'FILE')}"
        )
    count = min(len(different) - 1, max(1, round(share * len(different))))
    validates = hashes[shuffled] < different[count]
    return index.take(shuffled[~validates]), index.take(shuffled[validates])


def drawn_documents(corpus: Corpus, share: float | None) -> tuple[Way, tuple[Spans, Spans]] | None:
    """How `split_documents` splits documents, and where those of the two sides lie, in order."""
    if corpus.documents < 2:
        return None
    documents = find_documents(corpus.tokens)
    shuffled = permute(np.arange(len(documents)), len(documents), _SHUFFLE_KEY)
    are_long = corpus.chars >= LONG * len(documents)
    if share is None:
        if are_long:
            return None
        return "whole", (documents.take(shuffled), documents.take(shuffled[:0]))
    chars = span_chars(corpus.tokens, documents, corpus.vocabulary)
    hashes = span_hashes(corpus.tokens, documents, corpus.vocabulary)
    # Equal documents go together; they are drawn in the order of their hashes.
    _, group, copies = np.unique(hashes, return_inverse=True, return_counts=True)
    sizes = np.bincount(group, weights=chars).astype(np.int64)
    target = round(share * int(sizes.sum()))
    drawn = _draw(sizes, target)
    count, are_files = int(np.count_nonzero(drawn)), corpus.options.documents is None
    # If one document is nearly all of the text, the others do not reach the share, or all of them
    # are drawn.
    unfair = sizes[drawn].sum() < _LEAST_SHARE * target or count > (1 + share) / 2 * len(sizes)
    too_few = (are_files or are_long) and (unfair or count < LEAST_DRAWN)
    if too_few or (unfair and sizes.max() >= LONG):
        return "ends", _ends(corpus, documents, chars, share)
    if len(copies) < 2:
        return None
    if not drawn.any():
        drawn[np.argmin(sizes)] = True
    validates = drawn[group][shuffled]
    return "drawn", (documents.take(shuffled[~validates]), documents.take(shuffled[validates]))


def _draw(sizes: Integers, target: int) -> NDArray[np.bool_]:
    """The first sizes that add up to nearly the target; those that are too large are left out."""
    drawn = np.zeros(len(sizes), np.bool_)
    before = np.concatenate(([0], np.cumsum(sizes)))
    total = start = 0
    while start < len(sizes) and total < _ENOUGH * target:
        stop = int(np.searchsorted(before, before[start] + target - total, side="right")) - 1
        drawn[start:stop] = True
        total += int(before[stop] - before[start])
        start = stop + 1
    return drawn


def _ends(corpus: Corpus, documents: Spans, chars: Integers, share: float) -> tuple[Spans, Spans]:
    """The beginnings of the documents, and the ends of all but short ones, in the text's order."""
    cuts = documents.stops - np.ceil(share * (documents.stops - documents.starts)).astype(np.int64)
    if corpus.vocabulary.level == "byte":
        # A character begins at its first byte, the one that counts.
        inside = corpus.vocabulary.symbol_lengths() == 0
        for number, cut in enumerate(cuts.tolist()):
            while cut < documents.stops[number] and inside[corpus.tokens[cut]]:
                cut += 1
            cuts[number] = cut
    cuts = np.where(chars >= min(LONG, float(chars.mean()) / 2), cuts, documents.stops)
    # Something has to be left to train on.
    cuts = np.where(cuts > documents.starts, cuts, documents.stops)
    return Spans(documents.starts, cuts), Spans(cuts, documents.stops).take(cuts < documents.stops)


def _write(store: TokenCache, corpus: Corpus, way: Way, parts: list[_Part], key: str) -> CacheEntry:
    scratch = store.scratch()
    try:
        with TokenWriter(scratch) as writer:
            writer.write(np.array([END_ID], corpus.tokens.dtype).tobytes())
            for spans, _ in parts:
                pieces = gather(corpus.tokens, spans)
                for ids in track(pieces, "shuffling the documents", _tokens(spans), len):
                    writer.write(ids.tobytes())
        sides = [_side(corpus, *part) for part in parts]
        header = {
            "dtype": corpus.tokens.dtype.name,
            "tokens": 1 + sum(side.tokens for side in sides),
            "tokens_sha256": writer.sha256,
            "vocab_size": len(corpus.vocabulary),
            "sides": [asdict(side) for side in sides],
            "way": way,
        }
        return store.store(key, scratch, header)
    finally:
        remove_quietly(scratch)


def _side(corpus: Corpus, spans: Spans, counted: Spans) -> Side:
    chars, counted_chars = (
        int(span_chars(corpus.tokens, some, corpus.vocabulary).sum()) for some in (spans, counted)
    )
    return Side(
        documents=len(spans),
        chars=chars,
        tokens=_tokens(spans),
        counted=_tokens(counted),
        counted_chars=counted_chars,
    )


def _tokens(spans: Spans) -> int:
    """The tokens of stretches, each with an end mark."""
    return int((spans.stops - spans.starts + 1).sum())


def _distance(first: Floats, second: Floats) -> float:
    """The Jensen-Shannon divergence of two counts in bits: 0 if they are alike, 1 if they have
    nothing in common. Source: Lin 1991, "Divergence measures based on the Shannon entropy"."""
    if not first.any() or not second.any():
        return 0.0
    first, second = first / first.sum(), second / second.sum()
    return _entropy((first + second) / 2) - (_entropy(first) + _entropy(second)) / 2


def _entropy(shares: Floats) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())
