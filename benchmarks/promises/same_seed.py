"""Part 9: the same seed gives the same text, and what is drawn follows the probabilities."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from campaign import ROOT, Effort, Figure, Part, repeat
from scipy.stats import chi2

import textgen
from textgen.options import SampleOptions
from textgen.sampling.choice import Chooser, choice_settings
from textgen.sampling.filters import FILTERS, filter_logits

#: Every filter by a value that is on, alone and all together.
SETTINGS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "temperature": {"temperature": 0.7},
    "hot": {"temperature": 1.6},
    "top_k": {"top_k": 7},
    "top_p": {"top_p": 0.8},
    "min_p": {"min_p": 0.05},
    "together": {"temperature": 0.9, "top_k": 12, "top_p": 0.95, "min_p": 0.01},
}
#: A p-value below it is a failure: by chance alone in one campaign of about a thousand.
LEAST = 1e-6
#: Rows that are drawn at once.
ROWS = 5000


def p_value(settings: dict[str, Any], seed: int, engine: Any, batches: int) -> float:
    """Of draws against the softmax of the filtered logits.

    Args:
        settings: Of the filters.
        seed: Of the logits and the draws.
        engine: What draws; None is NumPy.
        batches: How many times `ROWS` rows are drawn.
    Returns:
        The probability that a true softmax gives a chi-square as large as this one; 0 where a
        symbol without probability was drawn.
    """
    logits = np.random.default_rng(seed).normal(0, 2, 40).astype(np.float32)
    options = SampleOptions(rng=seed, keep_going=True, **settings)
    chooser = Chooser(options, engine)
    counts = np.zeros(len(logits))
    rows = np.tile(logits, (ROWS, 1))
    # The marks of the end and of the unknown symbol are never drawn.
    allowed = logits.astype(np.float64)
    allowed[list(choice_settings(options).banned)] = -np.inf
    filtered = filter_logits(allowed, options)
    expected = np.exp(filtered - filtered.max())
    expected /= expected.sum()
    for batch in range(batches):
        counters = np.arange(batch * ROWS, (batch + 1) * ROWS, dtype=np.uint64)
        ids = chooser.choose(rows, counters, None).ids
        counts += np.bincount(ids, minlength=len(counts))
    live = expected > 0
    if counts[~live].any():
        return 0.0
    total = counts.sum()
    # Symbols that come less than five times are counted as one, as the approximation asks.
    rare = live & (expected * total < 5)
    groups = [live & (np.arange(len(live)) == place) for place in np.flatnonzero(live & ~rare)]
    groups += [rare] if rare.any() else []
    want = [expected[group].sum() * total for group in groups]
    have = [counts[group].sum() for group in groups]
    square = sum((h - w) ** 2 / w for h, w in zip(have, want, strict=True))
    return float(chi2.sf(square, max(1, len(want) - 1)))


def _drawn(rng: random.Random) -> dict[str, Any]:
    """Settings of one text."""
    return {
        "length": rng.choice((20, 60)),
        "rng": rng.randrange(10**6),
        "keep_going": True,
        "repetition_penalty": rng.choice((1.0, 1.2)),
        **SETTINGS[rng.choice(list(SETTINGS))],
    }


def try_promise(effort: Effort) -> Figure:
    """Part 9 of the campaign."""
    model = textgen.load(ROOT / "checkpoints" / "shakespeare")
    failures = []
    texts = 0
    half = Effort(seconds=effort.seconds / 2, seed=effort.seed, is_quick=effort.is_quick)
    for number in half.tries(1000, least=3):
        rng = random.Random(f"{effort.seed} {number}")
        seed, settings = rng.choice(("", "To be", "KING ")), _drawn(rng)
        whole = model.generate(seed, **settings)
        others = {
            "again": model.generate(seed, **settings),
            "letter by letter": seed + "".join(s.text for s in model.stream(seed, **settings)),
            "among four, exact": seed
            + model.generate_many(4, seed, exact=True, **settings)[0].text,
            "loaded anew": textgen.load(ROOT / "checkpoints" / "shakespeare").generate(
                seed, **settings
            )
            if number % 10 == 0
            else whole,
        }
        failures += [
            f"{way}: {other[:80]!r}, not {whole[:80]!r}, with {settings} "
            f"{repeat(9, effort, number)}"
            for way, other in others.items()
            if other != whole
        ]
        texts += 1
    engine_here = model.networks.engine
    engines = {"NumPy": None, engine_here.name: engine_here}
    batches = 2 if effort.is_quick else 20
    values: list[tuple[float, str]] = []
    for number in half.tries(40, least=1):
        for name, settings in SETTINGS.items():
            for engine, how in engines.items():
                value = p_value(settings, effort.seed * 1000 + number, how, batches)
                values.append((value, f"{name}, {engine}"))
                if value < LEAST:
                    failures.append(
                        f"draws of {name} by {engine} do not follow the softmax: p = {value:.2g} "
                        f"{repeat(9, effort, number)}"
                    )
    least = min(values)
    return Figure(
        tried=texts + len(values),
        failures=tuple(failures),
        text=f"{texts:,} texts, each written again, letter by letter, and with others at once "
        f"(`exact`), are the same; {len(values)} times {batches * ROWS:,} draws, with every filter "
        f"alone and together, follow the softmax by chi-square. {len(FILTERS)} filters.",
        worst=f"the least p-value of {len(values)} is {least[0]:.2g} ({least[1]})",
    )


PARTS = (
    Part(
        number=9,
        promise="The same seed gives the same text on the same machine, however it is written, and "
        "the draws follow the model's probabilities.",
        not_promised="the same text on another CPU or with another number of texts at once without "
        "`exact`: they round differently.",
        seconds=150,
        run=try_promise,
    ),
)
