"""What each way of choosing costs beside top-p, and how likely texts of a beam search are.

    python benchmarks/choosers.py [--hidden 512] [--length 2000] [--rounds 9] [--json]

It takes a minute on a quiet machine, and four at most: on a busy one there are fewer rounds.
The network is drawn at random: its size alone bears on the time. Each way writes one text in each
round, in turns, and beside each stands top-p, so that a machine that others use slows both. The
likelihoods are those of a model that comes with textgen: after 100 beginnings, drawn from a text,
the most likely characters one by one, and what a search finds.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from textgen import load
from textgen.corpus.vocabulary import Vocabulary
from textgen.model.config import ModelConfig
from textgen.model.initialise import initial_weights
from textgen.sampling import SampleOptions, SamplingNetworks, generate

#: As many characters as tinyshakespeare has.
CHARS = Vocabulary.from_characters("".join(map(chr, range(32, 97))))
PLAIN: dict[str, Any] = {"top_p": 0.9}
WAYS: dict[str, dict[str, Any]] = {
    "top-p again": PLAIN,
    "temperature alone": {},
    "typical": {"typical": 0.9},
    "mirostat": {"mirostat": 3.0},
    "temperatures in turns": {"temperature": "1.0,0.2,0.5"},
    "temperatures by parts": {"temperature": "0.4@0..500,1.0@500.."},
    "temperatures by sentences": {"temperature": "0.4@s1,1.0@s2.."},
    "word starts": {"word_starts": True},
    "bias": {"bias": "!=-2,A=+1"},
    "no repeat": {"no_repeat": 12},
    "beam of 4": {"beam": 4},
}
BEAMS = (2, 4, 8)
#: No round begins after so long.
MOST_SECONDS = 90
SEEDS, SEED, TEXT = 100, 20, 60


def speeds(hidden: int, length: int, rounds: int) -> dict[str, float]:
    """The speed of each way as a share of that of top-p beside it."""
    config = ModelConfig(vocab_size=len(CHARS), embedding_size=64, hidden_size=hidden)
    network = SamplingNetworks(config, initial_weights(config, 0), 1).one
    shares: dict[str, list[float]] = {name: [] for name in WAYS}
    began = time.perf_counter()
    for _ in range(rounds):
        if time.perf_counter() - began > MOST_SECONDS:
            break
        for name, settings in WAYS.items():
            size = length // 4 if "beam" in settings else length
            plain, own = (
                _seconds(network, SampleOptions(length=size, **asked))
                for asked in (PLAIN, settings)
            )
            shares[name].append(plain / own)
    return {name: median(values) for name, values in shares.items()}


def _seconds(network: Any, options: SampleOptions) -> float:
    began = time.perf_counter()
    generate(network, CHARS, [[]], options, together=False)
    return time.perf_counter() - began


def likelihoods(name: str) -> dict[str, Any]:
    """Bits of texts by a search, less those of the greedy text: mean, and how many are less."""
    model = load(name)
    text = model.generate(length=SEEDS * SEED, rng=1, mix=False)
    places = range(0, (SEEDS + 1) * SEED, SEED)
    seeds = [text[first:last] for first, last in pairwise(places)]

    def bits(**settings: Any) -> np.ndarray[Any, Any]:
        texts = model.generate_many(seeds, length=TEXT, exact=True, mix=False, **settings)
        return np.array([own.bits_per_char * len(own.text) for own in texts])

    greedy = bits(temperature=0)
    found: dict[str, Any] = {"seeds": len(seeds), "chars": TEXT, "greedy": greedy.mean()}
    for beam in BEAMS:
        own = bits(beam=beam)
        assert (own <= greedy + 1e-9).all()
        found[f"beam of {beam}"] = {"bits": own.mean(), "less": int((own < greedy - 1e-9).sum())}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--length", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", default="shakespeare")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    figures = {
        "speed beside top-p": speeds(asked.hidden, asked.length, asked.rounds),
        "likelihood": likelihoods(asked.model),
    }
    if asked.json:
        print(json.dumps(figures, indent=1))
        return
    for name, share in figures["speed beside top-p"].items():
        print(f"{name:28}{share:6.2f} times the speed of top-p")
    print(figures["likelihood"])


if __name__ == "__main__":
    main()
