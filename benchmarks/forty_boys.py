"""The question of the forty boys, asked of networks that were trained on others.

    python benchmarks/forty_boys.py --out DIR
    python benchmarks/forty_boys.py --out DIR --cells lstm --rng 1,2 --steps 2000

The lecture's verse takes 4, 4 * 4 and 4 * 4 away from 40 boys and asks for the rest. Each network
learns from questions of `count` (`textgen compare --task count`). None of them takes these three
parts away together, in no order and from no number. Then it is asked the lecture's question, with
other filler each time, and fresh questions of the usual kind. A line for each run: how many of both
were answered rightly, and what the answers to the lecture's question were.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import textgen
from textgen.tasks import Example, count_prompt, filler, get_task

TOTAL, PARTS, REST = 40, ("4", "4*4", "4*4"), "4"
PART = re.compile(r"-(\d(?:\*\d)?)")
#: Units, so that each network has some 80,000 weights.
UNITS = {"lstm": 128, "gru": 150, "rnn": 260}
LAGS = range(1, 21)
QUESTIONS = 200


def other_questions(count: int, seed: str, unlike: frozenset[str] = frozenset()) -> list[Example]:
    """Questions that do not take the lecture's three parts away."""
    drawn = get_task("count").examples(count, LAGS, seed=seed, unlike=unlike)
    return [e for e in drawn if sorted(PART.findall(e.prompt)) != sorted(PARTS)]


def lectures_question(count: int) -> Iterator[str]:
    """The lecture's question, with other filler each time."""
    rng = random.Random("forty boys")
    for _ in range(count):
        cuts = sorted(rng.choices(range(rng.choice(LAGS) + 1), k=len(PARTS) + 1))
        sizes = [cuts[0], *(end - start for start, end in pairwise(cuts))]
        yield count_prompt(TOTAL, PARTS, [filler(rng, size) for size in sizes])


def answers(model: textgen.Model, prompts: list[str]) -> list[str]:
    """What the model writes after each of them, the likeliest character each time."""
    return [text.text for text in model.generate_targets(prompts, temperature=0, length=3)]


def main() -> None:
    """Train and ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", default="lstm,gru,rnn")
    parser.add_argument("--rng", default="1,2,3,4,5")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--pairs", type=int, default=50_000)
    given = parser.parse_args()
    learned = other_questions(given.pairs, "train")
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "pairs.tsv"
    file.write_text("".join(f"{e.prompt}\t{e.answer}\n" for e in learned), "utf-8")
    fresh = other_questions(QUESTIONS, "asked", frozenset(e.prompt for e in learned))
    asked = list(lectures_question(QUESTIONS))
    print(f"{len(learned):,} questions, such as {learned[0].prompt!r} -> {learned[0].answer!r}")
    print(f"asked: {len(asked)} times the lecture's, such as {asked[0]!r}")
    for cell in given.cells.split(","):
        for rng in map(int, given.rng.split(",")):
            model = textgen.train(
                file,
                pairs=True,
                out=given.out / f"{cell}-{rng}",
                force=True,
                cell=cell,
                hidden_size=UNITS[cell],
                embedding_size=16,
                num_layers=1,
                dropout=0.0,
                steps=given.steps,
                batch_size=64,
                seq_len=64,
                learning_rate=0.005,
                val="0.02",
                threads=1,
                rng=rng,
            ).load()
            said = Counter(answers(model, asked))
            right = sum(
                a == e.answer
                for a, e in zip(answers(model, [e.prompt for e in fresh]), fresh, strict=True)
            )
            print(
                f"{cell} seed {rng}: own questions {right / len(fresh):.3f}, the lecture's "
                f"{said[REST]} of {len(asked)}; said {dict(said.most_common(4))}",
                flush=True,
            )


if __name__ == "__main__":
    main()
