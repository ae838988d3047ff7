"""How many targets `textgen train --pairs` learns to write exactly, on tasks with a right answer.

    python benchmarks/pairs.py [--task latin] [--task reversed] [--budget 1m] [--rng 1 --rng 2]

`latin`: a Russian word in Latin letters, щ as shch and ь as nothing, е as ye at a word's beginning
and after a vowel or a sign, ё as o after a hissing letter, й at a word's end after и or ы left out:
neither one to one nor without context. `reversed`: the same words from the last letter to the
first. The words are those of `corpora/russian.txt`, and others made up by letter trigrams of them.

A thousand words are set aside before training. None of them, and no source equal to one, is trained
on, nor chooses anything; the figures are of them. `--write DIR` keeps the files.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import textgen

CORPUS = Path(__file__).resolve().parents[1] / "corpora" / "russian.txt"
TESTED = 1000

_VOWELS, _HISSING = "аеёиоуыэюя", "жчшщ"
_SPELLED = "a b v g d e zh z i y k l m n o p r s t u f kh ts ch sh shch _ y _ e yu ya"
_LATIN = dict(zip("абвгдежзийклмнопрстуфхцчшщъыьэюя", _SPELLED.split(), strict=True))


def in_latin(word: str) -> str:
    """A Russian word of lower-case letters in Latin ones.

    Source: of the rules for е, ё, щ and the signs the BGN/PCGN system of 1947 is the model.
    """
    written = []
    for place, letter in enumerate(word):
        before = word[place - 1] if place else ""
        after_vowel = not before or before in _VOWELS + "ъьй"
        is_last = place == len(word) - 1
        if letter == "е":
            written.append("ye" if after_vowel else "e")
        elif letter == "ё":
            written.append("o" if before and before in _HISSING else "yo")
        elif letter == "й" and is_last and before and before in "иы":
            written.append("")
        else:
            written.append(_LATIN[letter].replace("_", ""))
    return "".join(written)


def reversed_word(word: str) -> str:
    """The word from its last letter to its first."""
    return word[::-1]


TASKS: dict[str, Callable[[str], str]] = {"latin": in_latin, "reversed": reversed_word}


def words_of(text: str) -> list[str]:
    """The different Russian words of a text, two letters and more, in alphabetic order."""
    return sorted(set(re.findall(r"[а-яё]{2,}", text.lower())))


def made_up_words(words: Iterable[str], count: int, rng: random.Random) -> list[str]:
    """So many different words whose letters follow each other as those of `words` do."""
    after: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for word in words:
        padded = f"  {word}."
        for place in range(2, len(padded)):
            after[padded[place - 2 : place]][padded[place]] += 1
    made: dict[str, None] = {}
    while len(made) < count:
        word = "  "
        while not word.endswith(".") and len(word) < 16:
            letters = after[word[-2:]]
            word += rng.choices(list(letters), list(letters.values()))[0]
        if word.endswith(".") and len(word) > 5:
            made[word.strip(" .")] = None
    return list(made)


def word_list(count: int, seed: int = 0) -> list[str]:
    """So many different words, real ones first of all, in random order."""
    rng = random.Random(seed)
    real = words_of(CORPUS.read_text(encoding="utf-8"))
    made = made_up_words(real, count, rng)
    words = list(dict.fromkeys([*real, *made]))[:count]
    rng.shuffle(words)
    return words


def write_pairs(path: Path, words: Iterable[str], target: Callable[[str], str]) -> None:
    """A file of pairs."""
    path.write_text("".join(f"{word}\t{target(word)}\n" for word in words), encoding="utf-8")


def measure(task: str, count: int, budget: str, rng: int, folder: Path) -> tuple[float, float]:
    """Train and test once; exact match and edit similarity on the words set aside."""
    words = word_list(count + TESTED)
    files = folder / f"{task}.tsv", folder / f"{task}-tested.tsv"
    write_pairs(files[0], words[TESTED:], TASKS[task])
    write_pairs(files[1], words[:TESTED], TASKS[task])
    run = folder / f"{task}-{rng}"
    result = textgen.train(
        files[0], out=run, budget=budget, pairs=True, rng=rng, threads=1, force=True
    )
    model = result.load()
    figures = model.evaluate_pairs(files[1], threads=1)
    config, ended = model.config, result.ended
    print(
        f"{task:9} rng {rng}: {figures.exact_match:.1%} of {figures.pairs:,} exact, similarity "
        f"{figures.similarity:.4f}, {figures.bits_per_char:.3f} bits/target char; validation "
        f"{ended.exact_match:.1%} of {ended.written_pairs}; {config.num_layers}x"
        f"{config.hidden_size} {config.cell}, {config.num_parameters():,} parameters, "
        f"{ended.steps:,} steps, {ended.seconds:.0f} s, {ended.chars_per_second:,.0f} chars/s"
    )
    shown = words[:6]
    written = model.generate_targets(shown, temperature=0.0)
    print("          " + ", ".join(f"{s} -> {g.text}" for s, g in zip(shown, written, strict=True)))
    return figures.exact_match, figures.similarity


def main() -> None:
    """Measure each task with each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", action="append", choices=list(TASKS))
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--budget", default="1m")
    parser.add_argument("--rng", action="append", type=int)
    parser.add_argument("--write", type=Path, help="Keep files and runs in this folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.write or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for task in options.task or TASKS:
            runs = [
                measure(task, options.words, options.budget, rng, folder)
                for rng in options.rng or [1]
            ]
            exact = [match for match, _ in runs]
            if len(exact) > 1:
                spread = statistics.stdev(exact)
                print(f"{task:9} mean {statistics.mean(exact):.1%}, sd {spread:.1%}")


if __name__ == "__main__":
    main()
