"""Sentiment in a model of reviews: labels made honest, and what steering does to what it writes.

    python benchmarks/sentiment.py split LABELLED.tsv --out DIR
    textgen inspect find --labels DIR/find.tsv --checkpoint MODEL --save sentiment \\
        --direction difference
    python benchmarks/sentiment.py doses DIR/judge.tsv --checkpoint MODEL --target sentiment

The same with one latent of a dictionary: `inspect features`, then `inspect find --show latent
--save joy`, then `--target joy`.

`split` takes a file of label, tab and text. It removes marks such as «8 из 10» or 8/10, by which
many reviews say their label, and deals the texts into `find.tsv`, in which a neuron or direction is
looked for, and `judge.tsv`, on which the judge is trained, so that none is in both.

`turn` takes the lecture's example further: a seed, negative in the first sentence, positive
from the second. (The lecture holds the neuron positive from the second word on.)

`doses` lets the model write reviews at each dose and has a judge that never saw the model say how
many are positive: logistic regression on character n-grams, trained on pieces of the length of what
is judged. Beside it stands the price: the bits per character of the texts under the unsteered
model. `--shuffled` steers along the same direction with its units in another order: the control
without which a dose-response says little. Needs scikit-learn (`pip install ".[probe]"`).

Neither the reviews nor a model trained on them belong into the repository.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path

import numpy as np

import textgen
from textgen.corpus.vocabulary import END_ID
from textgen.sampling.stream import SentenceEnds
from textgen.steering import Intervention, SteeringPlan, Target

#: «8 из 10», «8,5 из 10», «8/10», at any place: the label in other words.
RATING = re.compile(r"\d+(?:[.,]\d+)?\s*(?:из|/|\\)\s*10\b")


def read(path: Path) -> list[tuple[str, str]]:
    """Label and text of each line."""
    rows = [line.split("\t", 1) for line in path.read_text("utf-8").splitlines()]
    return [(label, text) for label, text in rows]


def split(path: Path, out: Path, share: float) -> None:
    """Write `find.tsv` and `judge.tsv`."""
    rows = [(label, RATING.sub(" ", text).strip()) for label, text in read(path)]
    removed = sum(a != b for (_, a), (_, b) in zip(read(path), rows, strict=True))
    # One text once, so that none is dealt to both.
    unique = list({text: (label, text) for label, text in rows}.values())
    order = np.random.default_rng(0).permutation(len(unique))
    cut = int(share * len(unique))
    out.mkdir(parents=True, exist_ok=True)
    for name, part in (("find.tsv", order[:cut]), ("judge.tsv", order[cut:])):
        lines = ["\t".join(unique[number]) for number in part]
        (out / name).write_text("\n".join(lines) + "\n", "utf-8")
        kinds = {label: sum(unique[n][0] == label for n in part) for label in ("0", "1")}
        print(f"{name}: {len(part)} texts, {kinds}")
    print(f"{removed} of {len(rows)} texts were changed: marks out of ten were removed")


def pieces(rows: list[tuple[str, str]], length: int) -> tuple[list[str], np.ndarray]:
    """Pieces of texts, as long as what is judged, and whether each is positive."""
    found = [
        (text[start : start + length], label == "1")
        for label, text in rows
        for start in range(0, max(1, min(len(text), 2000) - length // 2), length)
    ]
    return [text for text, _ in found], np.array([positive for _, positive in found])


def train_judge(path: Path, length: int):  # type: ignore[no-untyped-def]
    """The judge, and its accuracy on a fifth of its texts that it was not trained on."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = read(path)
    order = np.random.default_rng(1).permutation(len(rows))
    cut = len(rows) * 4 // 5

    def fitted(part: np.ndarray):  # type: ignore[no-untyped-def]
        vectors = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(2, 5),
            min_df=3,
            max_features=100_000,
            sublinear_tf=True,
        )
        judge = make_pipeline(vectors, LogisticRegression(C=10.0, max_iter=300))
        return judge.fit(*pieces([rows[n] for n in part], length))

    texts, labels = pieces([rows[n] for n in order[cut:]], length)
    accuracy = float(fitted(order[:cut]).score(texts, labels))
    print(f"judge: {accuracy:.3f} of {len(texts)} unseen pieces of {length} characters")
    return fitted(order)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean, and half the width of its 95 % confidence interval (normal)."""
    return float(values.mean()), 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values))


def wilson(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    return middle - half, middle + half


def shuffled(model: textgen.Model, target: Target, rng: int) -> Target:
    """The same direction with its units in another order, measured on text of the model's own; of
    a neuron, another one."""
    order = np.random.default_rng(rng).permutation(model.config.hidden_size)
    if target.unit is not None:
        return model.target(f"{target.layer}:{order[0]}.{target.state}")
    assert target.read is not None and target.write is not None
    read = target.read[order]
    texts = model.generate_many(64, length=1024, temperature=1.0)
    ids = np.concatenate([np.append(np.array(text.ids, np.int64), END_ID) for text in texts])
    name = f"layers.{target.layer}.{target.quantity}"
    values = [chunk.arrays[name] @ read for chunk in model.survey(ids, [target.quantity])]
    projection = np.concatenate(values).astype(np.float64)
    return Target(
        name=f"{target.name} shuffled",
        layer=target.layer,
        state=target.state,
        read=read,
        write=target.write[order],
        mean=float(projection.mean()),
        sd=float(projection.std()),
    )


def doses(options: argparse.Namespace) -> None:
    """Print the table of doses."""
    judge = train_judge(options.judge, options.length)
    model = textgen.load(options.checkpoint)
    target = model.target(options.target)
    if options.shuffled:
        target = shuffled(model, target, options.rng)
    print(f"target: {target.name}, {target.quantity}: mean {target.mean:.3g}, sd {target.sd:.3g}")
    print(f"model: {model.config.num_layers} x {model.config.hidden_size}; {options.count} texts a "
          f"row, {options.length} characters, temperature {options.temperature}, seed "
          f"'{options.seed}', rng {options.rng}; mode {options.mode}")  # fmt: skip
    print("| dose | judged positive (95 %) | mean probability (95 %) | bits/char, unsteered |")
    print("|---|---|---|---|")
    means = []
    for dose in [None, *options.doses]:
        steer = None
        if dose is not None:
            part = Intervention(target=target, dose=dose, mode=options.mode)
            steer = SteeringPlan([part])
        texts = model.generate_many(
            options.count,
            options.seed,
            length=options.length,
            temperature=options.temperature,
            rng=options.rng,
            steer=steer,
        )
        probabilities = judge.predict_proba([options.seed + text.text for text in texts])[:, 1]
        prices = np.array([model.bits_per_char(t.ids, seed=options.seed) for t in texts])
        low, high = wilson(int((probabilities > 0.5).sum()), len(texts))
        mean, half = interval(probabilities)
        price, price_half = interval(prices)
        name = "unsteered" if dose is None else f"{dose:+g}"
        if dose is not None:
            means.append(mean)
        print(f"| {name} | {(probabilities > 0.5).mean():.2f} ({low:.2f}..{high:.2f}) "
              f"| {mean:.3f} ± {half:.3f} | {price:.3f} ± {price_half:.3f} |")  # fmt: skip
        sys.stdout.flush()
        if options.show:
            middle = int(np.argsort(probabilities)[len(texts) // 2])
            print(f"\n    typical at {name}: {options.seed}{texts[middle].text[:200]!r}\n")
    steps = np.diff(means)
    rises = "yes" if (steps > 0).all() else "no"
    print(f"monotone: {rises}; smallest step {steps.min():.3f}, median {np.median(steps):.3f}")


def first_sentence(text: str) -> int:
    """Where the first sentence ends, as schedules count it."""
    ends = SentenceEnds()
    return next((n for n, char in enumerate(text) if ends.ends_before(char)), len(text))


def turn(options: argparse.Namespace) -> None:
    """Print what is judged of the first sentence and of the rest where the dose turns between."""
    judge = train_judge(options.judge, 200)
    model = textgen.load(options.checkpoint)
    schedule = f"{options.target}=-{options.dose:g}@s1,+{options.dose:g}@s2.."
    for steer in (None, schedule):
        texts = [
            options.seed + text.text
            for text in model.generate_many(
                options.count,
                options.seed,
                length=options.length,
                temperature=options.temperature,
                rng=options.rng,
                steer=steer,
            )
        ]
        cuts = [first_sentence(text) for text in texts]
        both = [(t[:c], t[c:]) for t, c in zip(texts, cuts, strict=True) if len(t) - c > 60]
        before, after = (judge.predict_proba(list(part))[:, 1] for part in zip(*both, strict=True))
        (low, low_half), (high, high_half) = interval(before), interval(after)
        name = "unsteered" if steer is None else steer
        print(f"{name}: {len(both)} texts; first sentence {low:.3f} ± {low_half:.3f}, "
              f"rest {high:.3f} ± {high_half:.3f}")  # fmt: skip
        order = np.argsort(after - before)
        for label, place in (("best", order[-1]), ("typical", order[len(order) // 2])):
            print(
                f"  {label} ({before[place]:.2f} -> {after[place]:.2f}): {''.join(both[place])!r}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("split")
    one.add_argument("labelled", type=Path)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--share", type=float, default=0.6, help="of the texts in find.tsv")
    one.set_defaults(run=lambda o: split(o.labelled, o.out, o.share))
    two = commands.add_parser("doses")
    two.add_argument("judge", type=Path)
    two.add_argument("--checkpoint", required=True)
    two.add_argument("--target", required=True)
    two.add_argument("--mode", default="clamp", choices=["clamp", "add"])
    two.add_argument("--doses", type=float, nargs="+", default=[-3, -2, -1, 0, 1, 2, 3])
    two.add_argument("--count", type=int, default=128)
    two.add_argument("--length", type=int, default=400)
    two.add_argument("--temperature", type=float, default=0.8)
    two.add_argument("--seed", default="")
    two.add_argument("--rng", type=int, default=0)
    two.add_argument("--shuffled", action="store_true", help="the control: see above")
    two.add_argument("--show", action="store_true", help="print a typical text of each row")
    two.set_defaults(run=doses)
    three = commands.add_parser("turn")
    three.add_argument("judge", type=Path)
    three.add_argument("--checkpoint", required=True)
    three.add_argument("--target", required=True)
    three.add_argument("--dose", type=float, default=2.0)
    three.add_argument("--seed", default="Дураки")
    three.add_argument("--count", type=int, default=64)
    three.add_argument("--length", type=int, default=300)
    three.add_argument("--temperature", type=float, default=0.7)
    three.add_argument("--rng", type=int, default=0)
    three.set_defaults(run=turn)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
