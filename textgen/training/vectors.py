"""The symbols' first vectors, where they do not come from chance: learned by word2vec, or read.

What all vectors have in common is taken away: their mean and the few directions in which they
differ most, which in word vectors tell a word's frequency more than its meaning (Mu, Bhat and
Viswanath 2018, arXiv:1702.01417, section 2). Else rare words, whose vectors are short, would lie in
the middle of all others, near to everything. Then each gets the length that a drawn one has: the
first layer's weights are drawn for that. A symbol that has no vector keeps its drawn one; so do the
two marks, the end of a document and the unknown character, where the text has none of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import Vocabulary
from textgen.corpus.windows import Tokens, count_tokens
from textgen.corpus.word_vectors import symbol_vectors
from textgen.errors import BackendError, ConfigError, named
from textgen.extras import install_hint
from textgen.options import WORD2VEC, TrainOptions
from textgen.progress import Task, task
from textgen.runtime import Choice
from textgen.terminal.humanize import plural, times
from textgen.training.data import TrainingData
from textgen.training.plan import Plan

Floats = NDArray[np.float32]

#: The most tokens that word2vec learns from, and the length of the stretches that are spread evenly
#: over a longer text. A shorter text is read several times.
LEARN_TOKENS, STRETCH = 10_000_000, 1000
MOST_PASSES = 40
#: Neighbours on each side that a token is to predict, and wrong ones that are set against them.
WINDOW, NEGATIVE = 5, 5
#: Words more frequent than this share are read less often; letters all are.
FREQUENT = 1e-3


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of some of a vocabulary's symbols.

    Args:
        width: Numbers of each.
        by_id: The vectors, `(width,)` each.
        source: Where they come from, in words.
    """

    width: int
    by_id: Mapping[int, Floats]
    source: str


def require_vectors(options: TrainOptions) -> None:
    """Refuse what cannot be, before a text is read.

    Raises:
        ConfigError: The loss is a distance, and nothing says between what.
        BackendError: gensim is not installed, and word2vec asked for.
    """
    if options.loss == "distance" and options.vectors is None:
        raise ConfigError(
            f"{named('loss')} distance measures how near the output comes to the next word's "
            "vector, and vectors drawn by chance say nothing of a word; give "
            f"{named('vectors')} word2vec, or a file of vectors: {named('vectors')} FILE"
        )
    if options.vectors == WORD2VEC:
        try:
            with task("loading gensim"):
                import gensim  # noqa: F401
        except ImportError as error:
            raise BackendError(
                f"{named('vectors')} word2vec needs gensim, which is not installed; "
                f"{install_hint('gensim')}"
            ) from error


def file_vectors(
    options: TrainOptions, vocabulary: Vocabulary
) -> tuple[TrainOptions, Vectors | None]:
    """The vectors of the file that `options` name, and the options with their width.

    Raises:
        ConfigError: The file is no such file, knows none of the symbols, has nothing but zeros for
            them, or has another width than is asked for.
        StorageError: It cannot be read.
    """
    if options.vectors is None or options.vectors == WORD2VEC:
        return options, None
    by_id, width = symbol_vectors(options.vectors, vocabulary)
    # Nothing is near to zeros, or all is.
    by_id = {token: vector for token, vector in by_id.items() if vector.any()}
    if not by_id:
        raise ConfigError(f"the vectors of this text's symbols in {options.vectors} are all zero")
    if options.embedding_size not in (None, width):
        raise ConfigError(
            f"the vectors in {options.vectors} have {width} numbers, and "
            f"{named('embedding_size')} {options.embedding_size} was asked for; leave it out"
        )
    vectors = Vectors(width, by_id, f"from {options.vectors}")
    return replace(options, embedding_size=width), vectors


def with_vectors(
    weights: Mapping[str, Floats],
    options: TrainOptions,
    plan: Plan,
    data: TrainingData,
    vectors: Vectors | None,
) -> tuple[Mapping[str, Floats], tuple[Choice, ...]]:
    """First weights with the vectors that `options` ask for, and what is to be said of them.

    The drawn `weights` are not modified. `vectors` are those of a file, if one is named; word2vec
    learns on the training part of the text.
    """
    if options.vectors is None:
        return weights, ()
    vocabulary, model = data.corpus.vocabulary, plan.model
    if vectors is None:
        vectors = learn_vectors(
            data.train, width=model.embedding_size, level=vocabulary.level, rng=plan.rng
        )
    embedding = place_vectors(
        weights["embedding.weight"], vectors, rng=plan.rng, marks=model.has_vector_output
    )
    return {**weights, "embedding.weight": embedding}, (
        _choice(options, vectors, vocabulary, data.train),
    )


def learn_vectors(tokens: Tokens, *, width: int, level: str, rng: int) -> Vectors:
    """Learn vectors by word2vec, in one thread: the same again from the same arguments.

    Skip-gram with negative sampling (Mikolov et al. 2013, arXiv:1310.4546, section 2): from a
    symbol's vector its neighbours are told from other symbols. The end mark between documents is a
    symbol like the others.

    Args:
        tokens: The training text, `(N,)`.
        width: Numbers a vector.
        level: Of the vocabulary.
        rng: Seed.
    """
    with task("loading gensim"):
        from gensim.models import Word2Vec

    stretches = _stretches(len(tokens))
    seen = sum(stop - start for start, stop in stretches)
    passes = max(1, min(MOST_PASSES, LEARN_TOKENS // seen))
    # One pass more is to count the words.
    with task("learning vectors by word2vec", (passes + 1) * len(stretches)) as learning:
        model = Word2Vec(
            _Sentences(tokens, stretches, learning),
            vector_size=width,
            window=WINDOW,
            min_count=1,
            sg=1,
            negative=NEGATIVE,
            sample=FREQUENT if level == "word" else 0,
            epochs=passes,
            workers=1,
            seed=rng,
        )
    by_id = {int(key): model.wv[key].astype(np.float32) for key in model.wv.index_to_key}
    source = f"skip-gram over {plural(seen, 'token')} of the training text, read {times(passes)}"
    return Vectors(width, by_id, source)


def place_vectors(drawn_VE: Floats, vectors: Vectors, *, rng: int, marks: bool) -> Floats:
    """An embedding made of drawn vectors and of given ones, brought to their length.

    Args:
        drawn_VE: The drawn embedding; not modified.
        vectors: What takes the place of some rows.
        rng: Seed of what is drawn here.
        marks: Draw the two marks' vectors too, which else are zero: where distances are measured,
            zero lies in the middle of all words and would be near to each.
    """
    result = drawn_VE.copy()
    # A tied embedding is drawn smaller, for it is the output's weight as well.
    size = float(np.sqrt(np.mean(np.square(drawn_VE[2:], dtype=np.float64))))
    if marks:
        generator = np.random.Generator(np.random.PCG64([rng, 2]))
        result[:2] = size * generator.standard_normal(result[:2].shape, np.float32)
    ids = np.array(sorted(vectors.by_id))
    given_NE = without_common(np.stack([vectors.by_id[int(token)] for token in ids]))
    lengths_N1 = np.linalg.norm(given_NE, axis=1, keepdims=True)
    # What is nothing but common keeps its drawn vector.
    own_N = lengths_N1[:, 0] > 1e-6
    scaled_NE = given_NE[own_N] * (size * math.sqrt(vectors.width) / lengths_N1[own_N])
    result[ids[own_N]] = scaled_NE
    return result


def without_common(given_NE: Floats) -> Floats:
    """Vectors without their mean and the directions in which they differ most.

    These are one in 64 of their numbers, at least one; none where there are fewer than 16. Fewer
    vectors than they have numbers are left as they are: they have little in common.
    """
    count, width = given_NE.shape
    if count <= width:
        return given_NE
    centred_NE = given_NE - given_NE.mean(axis=0, dtype=np.float64).astype(np.float32)
    _, directions_EE = np.linalg.eigh(centred_NE.T @ centred_NE)
    removed = max(width // 64, 1) if width >= 16 else 0
    top_EK = directions_EE[:, width - removed :]
    result: Floats = centred_NE - (centred_NE @ top_EK) @ top_EK.T
    return result


def _choice(
    options: TrainOptions, vectors: Vectors, vocabulary: Vocabulary, tokens: Tokens
) -> Choice:
    """What is said of the vectors: where they come from and what they cover."""
    counts_V = count_tokens(tokens, len(vocabulary))
    known = np.array(sorted(vectors.by_id))
    share = counts_V[known].sum() / counts_V.sum()
    alike = len(known) - len({vectors.by_id[int(token)].tobytes() for token in known})
    reason = (
        f"{vectors.source}: {len(known):,} of {len(vocabulary):,} symbols, {share:.1%} of the "
        "text's tokens; the others keep drawn vectors of the same length"
    )
    if alike and options.loss == "distance":
        reason += f"; {alike:,} share another's vector, from which no distance tells them"
    return Choice("vectors", options.vectors, reason)


class _Sentences:
    """Stretches of a text as lists of words, as often as they are asked for."""

    def __init__(self, tokens: Tokens, stretches: list[tuple[int, int]], reading: Task) -> None:
        self._tokens = tokens
        self._stretches = stretches
        self._reading = reading

    def __iter__(self) -> Iterator[list[str]]:
        for start, stop in self._stretches:
            yield list(map(str, self._tokens[start:stop].tolist()))
            self._reading.advance()


def _stretches(count: int) -> list[tuple[int, int]]:
    starts = range(0, count, STRETCH)
    most = LEARN_TOKENS // STRETCH
    if len(starts) > most:
        picked = np.linspace(0, len(starts) - 1, most).astype(int)
        starts = [starts[i] for i in picked.tolist()]  # type: ignore[assignment]
    return [(start, min(start + STRETCH, count)) for start in starts]
