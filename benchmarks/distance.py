"""Scores or distances: what a word costs under a softmax and under a distance, and what is written.

The text's last tenth is kept apart and measured once, at the end. Every model gets the same time
and as many numbers, vectors included (its width follows), on words folded to small letters. The
time for learning the vectors, where they are learned, is told beside it and not taken from the
models that use them. Two lines to compare with know no network: guessing among all symbols, and
the frequency of each in the training text.

    python benchmarks/distance.py TEXT... [--budget 1m] [--hidden 128] [--width 64] [--rng 1]
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import textgen
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.encoding import detect
from textgen.corpus.normalization import Normalization
from textgen.corpus.reader import SourceText
from textgen.corpus.source import open_sources
from textgen.corpus.words import count_words
from textgen.model.config import ModelConfig
from textgen.options import TrainOptions
from textgen.runtime import parse_duration
from textgen.training import vectors
from textgen.training.data import TrainingData, open_data

MODELS: dict[str, dict[str, Any]] = {
    "softmax, vectors learned along": {},
    "softmax, word2vec trained on": {"vectors": "word2vec"},
    "softmax, word2vec frozen": {"vectors": "word2vec", "freeze_embedding": True},
    "distance, euclidean": {"vectors": "word2vec", "loss": "distance"},
    "distance, cosine": {"vectors": "word2vec", "loss": "distance", "distance": "cosine"},
}


def split(paths: list[Path], folder: Path) -> tuple[Path, Path]:
    """The texts, joined, but for their last tenth; and that tenth."""
    normalization = Normalization()
    whole = "".join(
        "".join(SourceText(source, detect(source)).chunks(normalization))
        for source in open_sources(list(map(str, paths)))
    )
    cut = int(0.9 * len(whole))
    train, test = folder / "train.txt", folder / "test.txt"
    train.write_text(whole[:cut], encoding="utf-8")
    test.write_text(whole[cut:], encoding="utf-8")
    return train, test


def numbers(config: ModelConfig) -> int:
    """All numbers of a model, whether they are trained or not."""
    return sum(math.prod(shape) for shape in config.tensor_shapes().values())


def width_for(size: int, options: TrainOptions, vocab: int, embedding: int) -> int:
    """The hidden size with which a model has as near as can be `size` numbers."""

    def difference(hidden: int) -> int:
        config = ModelConfig(
            vocab_size=vocab,
            embedding_size=embedding,
            hidden_size=hidden,
            head=options.head,
            frozen_embedding=options.frozen_embedding,
        )
        return abs(numbers(config) - size)

    return min(range(8, 4096, 8), key=difference)


def main() -> None:
    """Train each model, print its figures and a sample."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--budget", default="1m")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rng", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    reading: dict[str, Any] = {"level": "word", "fold": True}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        train, test = split(asked.texts, folder)
        common = {"rng": asked.rng, "threads": asked.threads, "embedding_size": asked.width}
        data = open_data([train], TrainOptions(corpus=CorpusOptions(**reading)))
        vocab = len(data.corpus.vocabulary)
        size = numbers(
            ModelConfig(vocab_size=vocab, embedding_size=asked.width, hidden_size=asked.hidden)
        )
        started = time.perf_counter()
        vectors.learn_vectors(data.train, width=asked.width, level="word", rng=asked.rng)
        seconds = time.perf_counter() - started
        print(
            f"{len(data.train):,} tokens to train on, {vocab:,} symbols; {size:,} numbers a model; "
            f"{asked.budget} each, {asked.threads} thread(s), rng {asked.rng}; word2vec learned in "
            f"{seconds:.0f} s"
        )
        print(f"{'model':32} {'hidden':>6} {'trained':>10} {'steps':>6} {'bits/word':>9} bits/char")
        for line in baselines(data, test):
            print(line)
        samples = []
        for name, settings in MODELS.items():
            options = TrainOptions(**settings)
            hidden = width_for(size, options, vocab, asked.width)
            result = textgen.train(
                train,
                out=folder / "run",
                force=True,
                budget=parse_duration(asked.budget),
                hidden_size=hidden,
                **common,
                **reading,
                **settings,
            )
            model = result.load()
            whole = model.evaluate(test, streams=64, threads=asked.threads)
            print(
                f"{name:32} {hidden:6} {model.config.num_parameters():10,} "
                f"{result.ended.step:6} {whole.bits_per_word or math.nan:9.3f} "
                f"{whole.bits_per_char:.3f}",
                flush=True,
            )
            samples.append((name, model.generate("старуха", length=240, temperature=0.8)))
    for name, text in samples:
        print(f"\n{name}:\n{text}")


def baselines(data: TrainingData, test: Path) -> list[str]:
    """What the test text costs those who know no network."""
    corpus = data.corpus
    held = Corpus.open([test], vocabulary=corpus.vocabulary, normalization=corpus.normalization)
    ids = np.asarray(held.tokens)
    words, chars = count_words(held.vocabulary, ids), held.chars
    counts = np.bincount(data.train, minlength=len(corpus.vocabulary)) + 1.0
    lines = []
    for name, nats in (
        ("guessing among all symbols", len(ids) * math.log(len(counts))),
        ("frequency in the training text", -np.log(counts / counts.sum())[ids].sum()),
    ):
        bits = nats / math.log(2)
        lines.append(f"{name:32} {'':6} {'':10} {'':6} {bits / words:9.3f} {bits / chars:.3f}")
    return lines


if __name__ == "__main__":
    main()
