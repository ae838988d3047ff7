"""How well a model predicts a text: bits per character, perplexity and the figures beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, BinaryIO

import numpy as np

from textgen.adaptation import AdaptationRule, AdaptingReader, guarded
from textgen.checkpoint import SavedModel
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import FileOptions
from textgen.corpus.nearest_forms import ReadAs
from textgen.corpus.vocabulary import UNKNOWN_ID
from textgen.corpus.windows import Tokens, count_of
from textgen.corpus.words import count_words
from textgen.errors import ConfigError, named
from textgen.evaluation.nll import (
    Nll,
    escape_nats,
    nll_in_one_pass,
    nll_in_streams,
    nll_in_windows,
    nll_with_history,
    telling_nats,
    window_starts,
)
from textgen.mixing import CountMixture, count_text
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.engine import choose_engine, open_network
from textgen.model.head import nats_of
from textgen.model.network import Floats, Ids, Network
from textgen.notebook import Part, Shown
from textgen.options import EvalOptions
from textgen.progress import track
from textgen.runtime import choose_device, choose_threads, computing_threads
from textgen.sampling.adapted import LEARNING, adapting_engine, adapting_reader
from textgen.sampling.seed import first_few, shown
from textgen.sampling.training_part import training_part
from textgen.table import Column, Table, show_figure
from textgen.terminal.humanize import times

#: With a history: tokens that are measured unless told otherwise.
POSITIONS = 20_000


@dataclass(frozen=True, repr=False)
class Evaluation(Shown):
    """How well a model predicts a text.

    Args:
        nats: The negative log-likelihood of the text, in nats.
        tokens: Tokens of the text as the model reads it.
        chars: Its characters (Unicode code points after normalisation).
        utf8_bytes: Its bytes in UTF-8.
        unknown_chars: Characters outside the vocabulary among them that were not read as others;
            where rare words are not spelled, all those of unknown words.
        words: At word level, the words of the text, that is runs of letters and digits, whether
            they are one token or spelled; None at other levels.
        unknown_words: How many of them are unknown; None where every word can be written.
        spelling: What of `nats` is charged for the letters of unknown words.
        history: Tokens that were seen before each prediction, the state from zero; None: the state
            was carried on.
        positions: With a history, how many tokens were measured; `nats` is extrapolated from them.
        read_as: Characters outside the vocabulary that were read as the nearest form that it has:
            how often each way of writing a form stood in the text, `{"—": {"—": 2, "–": 7}}`. To
            tell them apart is a part of `nats` (`textgen.evaluation.nll.telling_nats`).
        notes: What a person should know about how the text was read; usually nothing.
        cold: Where windows were asked for, the figures of the same text read in windows, each from
            a zero state.
        mixed: Where it was asked for, the figures of the network mixed with counts.
        adapted: Where it was asked for, the figures of the network that learns while it reads.
    """

    nats: float
    tokens: int
    chars: int
    utf8_bytes: int
    unknown_chars: int
    words: int | None = None
    unknown_words: int | None = None
    spelling: float = 0.0
    history: int | None = None
    positions: int | None = None
    read_as: ReadAs = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    cold: Evaluation | None = None
    mixed: MixedCost | None = None
    adapted: AdaptedCost | None = None

    @property
    def headline(self) -> str:
        """What a character costs, and of how many."""
        cold = "" if self.cold is None else f", in windows {self.cold.bits_per_char:.4f}"
        if self.mixed is not None:
            cold += f", mixed {self.mixed.frozen_nats / self.chars / math.log(2):.4f}"
        if self.adapted is not None:
            cold += f", adapted {self.adapted.nats / self.chars / math.log(2):.4f}"
        return (
            f"{self.bits_per_char:.4f} bits/char{cold}; {self.chars:,} characters, "
            f"{self.unknown_chars:,} unknown"
        )

    def parts(self) -> Iterable[Part]:
        """The figures, beside those of `cold` where there are some."""
        cold = None if self.cold is None else self.cold.to_dict()
        return figures_view(self.to_dict(), self.notes, cold)

    @property
    def bits_per_word(self) -> float | None:
        """Bits per word, with everything between the words and the letters of unknown ones."""
        return self.nats / self.words / math.log(2) if self.words else None

    @property
    def bits_per_word_with_unk(self) -> float | None:
        """The same without these letters: an unknown word is the word <unk>, no matter which.

        So papers report word-level models. It is no cost of the text: with more unknown words it
        is lower. None where every word can be written.
        """
        if self.unknown_words is None or not self.words:
            return None
        return (self.nats - self.spelling) / self.words / math.log(2)

    @property
    def nats_per_char(self) -> float:
        """Nats per character."""
        return self.nats / self.chars

    @property
    def bits_per_char(self) -> float:
        """Bits per character."""
        return self.nats_per_char / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of UTF-8."""
        return self.nats / self.utf8_bytes / math.log(2)

    @property
    def perplexity(self) -> float:
        """Perplexity per token: as hard as a choice among so many equally likely tokens.

        Unknown words are one of them, `<unk>`.
        """
        return math.exp(min((self.nats - self.spelling) / self.tokens, 700.0))

    def report(self, window: int | None = None) -> dict[str, Any]:
        """All that was measured as one object of plain data, with `cold` and the notes.

        Args:
            window: Characters of each window of `cold`.
        """
        cold = {} if self.cold is None else self.cold.to_dict("cold_")
        return {
            **self.to_dict(),
            **({"cold": {"cold_window": window, **cold}} if cold else {}),
            **({"read_as": self.read_as} if self.read_as else {}),
            "notes": list(self.notes),
        }

    def to_dict(self, prefix: str = "") -> dict[str, float]:
        """The figures by name, each name after `prefix`, without those of `cold`."""
        figures = {
            "nats_per_char": self.nats_per_char,
            "bits_per_char": self.bits_per_char,
            "bits_per_byte": self.bits_per_byte,
            "perplexity": self.perplexity,
            "chars": self.chars,
            "unknown_chars": self.unknown_chars,
        }
        if self.history is not None and self.positions is not None:
            figures |= {"history": self.history, "positions": self.positions}
        if self.read_as:
            figures["read_as_bits_per_char"] = telling_nats(self.read_as) / self.chars / math.log(2)
        if self.words is not None:
            per_word = self.bits_per_word
            figures |= {} if per_word is None else {"bits_per_word": per_word}
            figures |= {"words": self.words, "tokens": self.tokens}
        with_unk = self.bits_per_word_with_unk
        if with_unk is not None and self.words and self.unknown_words is not None:
            figures |= {
                "bits_per_word_with_unk": with_unk,
                "unknown_words": self.unknown_words,
                "unknown_share": self.unknown_words / self.words,
            }
        if self.mixed is not None:
            figures |= self.mixed.to_dict(self.chars)
        if self.adapted is not None:
            figures |= self.adapted.to_dict(self.chars)
        return {prefix + name: value for name, value in figures.items()}


def figures_view(
    figures: Mapping[str, float], notes: Sequence[str], cold: Mapping[str, float] | None = None
) -> Iterator[Part]:
    """The figures of a text as people look at them, with the notes on it.

    Args:
        figures: Name -> figure.
        notes: What a person should know.
        cold: The same from cold windows.
    """
    beside = () if cold is None else (Column("cold", "cold windows", show_figure),)
    rows = (
        (name.replace("_", " "), value, *(() if cold is None else (cold.get(name),)))
        for name, value in figures.items()
    )
    columns = (Column("figure", ""), Column("value", "whole text", show_figure), *beside)
    yield Table(columns, rows, notes=notes)


@dataclass(frozen=True)
class MixedCost:
    """What a text costs under a mixture of the network with counts of its training text.

    In both, the gate between them learns while the text is read, from each token after it was
    predicted.

    Args:
        frozen_nats: With the counts of the training text alone, in nats; as a text is written.
        learning_nats: With counts that count what was read as well.
        order: The longest context that is counted, in tokens.
        counted_tokens: Tokens of the training text.
    """

    frozen_nats: float
    learning_nats: float
    order: int
    counted_tokens: int

    def to_dict(self, chars: int) -> dict[str, float]:
        """The figures by name, for a text of so many characters."""
        return {
            "mix_frozen_bits_per_char": self.frozen_nats / chars / math.log(2),
            "mix_learning_bits_per_char": self.learning_nats / chars / math.log(2),
            "mix_order": self.order,
            "mix_counted_tokens": self.counted_tokens,
        }


@dataclass(frozen=True)
class AdaptedCost:
    """What a text costs under a network that learns while it reads.

    Each stretch is predicted by the weights as they were before it, together with the network that
    does not learn: see `textgen.adaptation.guard`.

    Args:
        nats: The network alone, in nats.
        mixed_nats: Mixed with counts that count what was read as well; None where counts were not
            asked for.
        rule: How far it stepped. Where its rate is 0, the network stayed as it was.
    """

    nats: float
    mixed_nats: float | None
    rule: AdaptationRule

    def to_dict(self, chars: int) -> dict[str, float]:
        """The figures by name, for a text of so many characters."""
        figures = {"adapt_bits_per_char": self.nats / chars / math.log(2)}
        if self.mixed_nats is not None:
            figures["adapt_mix_bits_per_char"] = self.mixed_nats / chars / math.log(2)
        return figures | {
            "adapt_rate": self.rule.rate,
            "adapt_pull": self.rule.pull,
            "adapt_stretch": self.rule.stretch,
        }


def evaluate(
    saved: SavedModel,
    paths: Sequence[str],
    options: EvalOptions,
    *,
    edits: Edits = NO_EDITS,
    stdin: BinaryIO | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Measure a model on texts; see `textgen.Model.evaluate`.

    Args:
        saved: The model.
        paths: The texts.
        options: What is measured.
        edits: Changes of the states at every step.
        stdin: What the path `-` reads.
        on_progress: Called with tokens done and tokens in all.
    """
    if saved.reads_pairs:
        raise ConfigError("this model was trained on pairs; measure it with evaluate_pairs")
    history = options.history
    if history is None:
        history = 0 if options.streams > 1 else saved.history or 0
    if options.limit is not None and not history:
        raise ConfigError(
            f"{named('limit')} goes with {named('history')}, or with pairs; "
            f"{named('history', 'N')} sees N tokens"
        )
    for name in ("mix", "adapt"):
        if not getattr(options, name):
            continue
        if history:
            raise ConfigError(
                f"the model was trained to see {history} tokens at each prediction, and "
                f"{named(name)} carries its state on; add {named('history', 0)}"
            )
        if edits:
            raise ConfigError(f"{named(name)} measures without steering; leave the block")
    reader = None
    if options.adapt:
        engine = adapting_engine(saved, choose_threads(options.threads).value)
        reader = adapting_reader(saved, engine)
    counted = training_part(saved).train if options.mix else None
    corpus = open_corpus(saved, paths, options, stdin, documents=options.documents)
    if options.documents is not None:
        corpus.require_borders()
    tokens = corpus.tokens
    # The letters of unknown words are charged below, for they are known exactly.
    spells = saved.vocabulary.spelled
    escape = escape_nats(corpus) if spells else 0.0
    with opened(saved, device=options.device, threads=options.threads, edits=edits) as network:
        if history:
            limit = options.limit or POSITIONS
            nll = nll_with_history(network, tokens, history, limit=limit, escape=escape)
        elif options.streams > 1:
            nll = nll_in_streams(network, tokens, streams=options.streams, escape=escape)
        else:
            nll = Nll(0.0, 0)
            for nll in nll_in_one_pass(network, tokens, escape=escape):
                if on_progress is not None:
                    on_progress(nll.tokens, len(tokens))
        spelling = 0.0 if spells else corpus.unknown_tokens * escape_nats(corpus)
        beside = spelling + telling_nats(corpus.read_as)
        whole = Evaluation(
            (nll.mean * len(tokens) if history else nll.total) + beside,
            len(tokens),
            corpus.chars,
            corpus.utf8_bytes,
            corpus.unknown_chars,
            _words(saved, tokens),
            unknown_words=None if spells else corpus.unknown_tokens,
            spelling=spelling,
            history=history or None,
            positions=nll.tokens if history else None,
            read_as=corpus.read_as,
            notes=(*corpus.notes, *read_as_notes(corpus.read_as, corpus.chars)),
        )
        if counted is not None:
            mixture = _mixture(saved, counted, options)
            whole = replace(whole, mixed=_mixed(network, mixture, tokens, escape, beside))
        if reader is not None:
            # The first mixture's counts have learned the text by now.
            second = None if counted is None else _mixture(saved, counted, options)
            adapted = _adapted(reader, second, tokens, whole, escape, beside)
            whole = replace(whole, adapted=adapted)
        if options.window is None:
            return whole
        cold = _in_windows(network, saved, corpus, whole, options.window)
        return replace(whole, cold=cold)


def open_corpus(
    saved: SavedModel,
    paths: Sequence[str],
    options: FileOptions,
    stdin: BinaryIO | None,
    *,
    documents: str | None,
    variants: bool = True,
) -> Corpus:
    """Texts as a model reads them: in its tokens, and normalised as in training.

    With `variants`, characters that it does not know are read as their nearest forms.
    """
    reading = {item.name: getattr(options, item.name) for item in fields(FileOptions)}
    return Corpus.open(
        paths,
        saved.corpus_options(documents=documents, **reading),
        vocabulary=saved.vocabulary,
        normalization=saved.normalization,
        variants=variants,
        label_optional=True,
        stdin=stdin,
    )


def read_as_notes(read_as: ReadAs, chars: int) -> tuple[str, ...]:
    """One line that says which characters were read as which, and what that costs; none if none.

    Args:
        read_as: How often each way of writing a form stood in the text.
        chars: Characters of the text.
    """
    if not read_as:
        return ()
    found = [
        (count, f"{shown(char)} as {shown(form)} {times(count)}")
        for form, ways in read_as.items()
        for char, count in ways.items()
        if char != form
    ]
    named_first = [text for _, text in sorted(found, key=lambda item: -item[0])]
    bits = telling_nats(read_as) / chars / math.log(2)
    return (
        f"read as characters that the model knows: {', '.join(first_few(named_first))} "
        f"(telling them apart: {bits:.4f} bits/char)",
    )


@contextmanager
def opened(
    saved: SavedModel,
    *,
    device: str = "auto",
    threads: int | None = None,
    edits: Edits = NO_EDITS,
) -> Iterator[Network]:
    """A model to measure, in float32, with its computing threads inside the block."""
    place, _ = choose_device(device)
    count: int = choose_threads(threads).value
    engine = choose_engine(saved.config.cell_spec, place, "fp32", count)
    with computing_threads(count, torch=engine.name != "native"):
        yield open_network(saved.config, engine, saved.weights, edits)


def _mixture(saved: SavedModel, counted: Tokens, options: EvalOptions) -> CountMixture:
    """Counts of the training text, with the gate as it begins."""
    counts = count_text(counted, len(saved.vocabulary), options.mix_order)
    return CountMixture.of(counts, len(counted))


def _adapted(
    reader: AdaptingReader,
    mixture: CountMixture | None,
    tokens: Tokens,
    whole: Evaluation,
    escape: float,
    beside: float,
) -> AdaptedCost:
    """What a text costs while the network learns from it: alone, and with counts that learn too.

    Args:
        reader: The network.
        mixture: The counts; None: alone.
        tokens: The text.
        whole: What it costs while nothing learns.
        escape: What an unknown token costs beside its probability, in nats.
        beside: What the text costs beside its tokens, in nats.
    """
    if not reader.rule.rate:
        return AdaptedCost(
            whole.nats, None if whole.mixed is None else whole.mixed.learning_nats, reader.rule
        )
    escapes = escape * count_of(tokens, UNKNOWN_ID) + beside
    alone = 0.0

    def predicted() -> Iterator[tuple[Ids, Floats]]:
        nonlocal alone
        parts = guarded(reader.read(tokens), reader.still().read(tokens))
        for part, logits_NV in track(parts, LEARNING, len(tokens), lambda read: len(read[0])):
            alone += float(nats_of(logits_NV, part).sum(dtype=np.float64))
            yield part, logits_NV

    if mixture is None:
        for _ in predicted():
            pass
        return AdaptedCost(alone + escapes, None, reader.rule)
    costs = mixture.nats_of(predicted(), learn=True)
    both = sum((float(nats.sum()) for nats in costs), 0.0)
    return AdaptedCost(alone + escapes, both + escapes, reader.rule)


def _mixed(
    network: Network, mixture: CountMixture, tokens: Tokens, escape: float, beside: float
) -> MixedCost:
    """What a text costs, first with counts that stay as they are, then with counts that learn."""
    escapes = escape * count_of(tokens, UNKNOWN_ID) + beside
    frozen, learning = (
        sum(float(nats.sum()) for nats in mixture.nats(network, tokens, learn=learn)) + escapes
        for learn in (False, True)
    )
    return MixedCost(frozen, learning, mixture.counts.order, mixture.tokens)


def _in_windows(
    network: Network, saved: SavedModel, corpus: Corpus, whole: Evaluation, window: int
) -> Evaluation:
    """The figures of a text that is read in windows of `window` characters.

    The first token is context only, so no figure counts it. Characters that are read as others
    are told apart in the whole text.
    """
    tokens, spells, escape = corpus.tokens, saved.vocabulary.spelled, escape_nats(corpus)
    lengths = saved.vocabulary.symbol_lengths()[np.asarray(tokens)]
    starts = window_starts(lengths, window)
    nll = nll_in_windows(network, tokens, starts, escape=escape)
    first = int(tokens[0])
    unknown = corpus.unknown_tokens - (first == UNKNOWN_ID)
    symbol = saved.vocabulary.decode([first])
    size = 1 if saved.vocabulary.level == "byte" else len(symbol.encode("utf-8"))
    return replace(
        whole,
        nats=nll.total + telling_nats(corpus.read_as),
        history=None,
        positions=None,
        tokens=max(nll.tokens, 1),
        chars=max(whole.chars - int(lengths[0]), 1),
        utf8_bytes=max(whole.utf8_bytes - size, 1),
        unknown_chars=whole.unknown_chars - (first == UNKNOWN_ID),
        words=_words(saved, tokens[1:]),
        unknown_words=None if spells else unknown,
        spelling=0.0 if spells else unknown * escape,
    )


def _words(saved: SavedModel, tokens: Any) -> int | None:
    """How many words a text has; None where tokens are not words."""
    if saved.vocabulary.level != "word":
        return None
    return count_words(saved.vocabulary, tokens)
