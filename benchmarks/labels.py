"""Two authors in one model: who is recognised in what it writes, and what a label is worth.

    python benchmarks/labels.py FOLDER --out build/labels --steps 3000

FOLDER has a folder of texts for each of two authors. Each gets as much text as the shorter one has,
its lines joined; the last tenth of each is held out from the network and from the judge. The judge
knows nothing of the model: logistic regression on character n-grams of the authors' own texts, in
pieces of 400 characters. Printed are

- its accuracy on held-out pieces, and on 400-character samples under each label;
- bits per character of the held-out texts under the right label, none, and the wrong one: read in
  one go, where a network without a label soon sees whose the text is, in windows of 400 characters,
  and of 50, where it does not;
- the share of samples judged as the first author's at weights from 0 to 1 of the two labels;
- the same under steering of the same model by a direction, which is found as `inspect find` does,
  and what the texts cost the model without label and steering.

Needs scikit-learn (`pip install ".[probe]"`). A model that is in `--out` already is measured again.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import textgen

PIECE, BEGINNING = 400, 50
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
DOSES = (-3.0, -1.5, 0.0, 1.5, 3.0)


def texts_of(folder: Path) -> dict[str, str]:
    """The text of each author, all of one length."""
    found = {}
    for author in sorted(path for path in folder.iterdir() if path.is_dir()):
        own = "\n\n".join(path.read_text("utf-8") for path in sorted(author.glob("*.txt")))
        paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", own))
        found[author.name] = "\n\n".join(filter(None, paragraphs))
    assert len(found) == 2, f"{folder} has {len(found)} folders, and two authors are compared"
    length = min(map(len, found.values()))
    return {name: text[:length] for name, text in found.items()}


def pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text) - PIECE + 1, PIECE)]


def judge_of(trained: dict[str, str]) -> Any:
    """Says which author's a piece is."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = [(piece, name) for name, text in trained.items() for piece in pieces(text)]
    vectors = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), min_df=3, max_features=100_000, sublinear_tf=True
    )
    judge = make_pipeline(vectors, LogisticRegression(C=10.0, max_iter=300))
    return judge.fit(*zip(*rows, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/labels"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--count", type=int, default=100)
    asked = parser.parse_args()
    texts = texts_of(asked.folder)
    cut = len(next(iter(texts.values()))) * 9 // 10
    trained = {name: text[:cut] for name, text in texts.items()}
    held_out = {name: text[cut:] for name, text in texts.items()}
    first, second = texts
    print(f"{first} and {second}: {cut:,} characters of each to train on, "
          f"{len(held_out[first]):,} held out; load {os.getloadavg()[0]:.1f} on "
          f"{os.cpu_count()} cores")  # fmt: skip
    run = asked.out / "run"
    if not (run / "model.safetensors").exists():
        for name, text in trained.items():
            (asked.out / "texts" / name).mkdir(parents=True, exist_ok=True)
            (asked.out / "texts" / name / "text.txt").write_text(text, encoding="utf-8")
        result = textgen.train(
            asked.out / "texts",
            label_from="folder",
            out=run,
            steps=asked.steps,
            hidden_size=asked.hidden,
            progress=True,
        )
        print(result)
    model = textgen.load(run)
    judge = judge_of(trained)
    own = {name: pieces(text) for name, text in held_out.items()}
    right = [judge.predict(some) == name for name, some in own.items()]
    print(f"judge: {np.concatenate(right).mean():.1%} of {sum(map(len, right))} held-out pieces")

    def first_share(**settings: Any) -> tuple[float, float, float]:
        """Share of samples judged the first author's, its mean probability, their cost."""
        written = model.generate_many(
            asked.count, ". ", length=PIECE, temperature=0.8, keep_going=True, rng=1, **settings
        )
        chances = judge.predict_proba([text.text for text in written])
        chance = chances[:, list(judge.classes_).index(first)]
        cost = np.mean([model.bits_per_char(text.ids, seed=". ") for text in written[:30]])
        return float((chance > 0.5).mean()), float(chance.mean()), float(cost)

    for name, text in held_out.items():
        other = second if name == first else first
        for how, chosen in (
            ("whole", {"streams": 16}),
            ("windows", {"window": PIECE}),
            ("beginnings", {"window": BEGINNING}),
        ):
            bits = []
            for label in (name, None, other):
                cost = model.evaluate(text=text, label=label, **chosen)
                bits.append((cost.cold or cost).bits_per_char)
            print("held-out {}, {}: right {:.4f}, none {:.4f}, wrong {:.4f} bits/char".format(
                name, how, *bits), flush=True)  # fmt: skip
    print(f"| share of {first} | judged {first} | mean probability | bits/char under none |")
    print("|---|---|---|---|")
    found = []
    for weight in WEIGHTS:
        mixture = f"{first}:{weight:g},{second}:{1 - weight:g}"
        found.append(first_share(label=mixture))
        print("| {} | {:.2f} | {:.3f} | {:.3f} |".format(weight, *found[-1]), flush=True)
    print(f"samples judged right: {(found[-1][0] + 1 - found[0][0]) / 2:.1%} of {2 * asked.count}")
    print(f"monotone: {bool((np.diff([row[1] for row in found]) > 0).all())}")
    steer(run, trained, asked.out, first, first_share)


def steer(
    run: Path,
    trained: dict[str, str],
    out: Path,
    first: str,
    first_share: Any,
) -> None:
    """The same by a direction of the model without a label."""
    rows = [
        f"{int(name == first)}\t{' '.join(piece.split())}\n"
        for name, text in trained.items()
        for piece in pieces(text)[:: max(1, len(text) // PIECE // 400)]
    ]
    labels = out / "pieces.tsv"
    labels.write_text("".join(rows), encoding="utf-8")
    how = ["--state", "final", "--direction", "difference", "--save", "author"]
    find = ["-m", "textgen", "inspect", "find", "--labels", str(labels), "--checkpoint", str(run)]
    subprocess.run([sys.executable, *find, *how], check=True)
    print("| dose | judged first | mean probability | bits/char under none |")
    print("|---|---|---|---|")
    for dose in DOSES:
        row = first_share(steer=f"author={dose:+g}")
        print("| {:+g} | {:.2f} | {:.3f} | {:.3f} |".format(dose, *row), flush=True)


if __name__ == "__main__":
    main()
