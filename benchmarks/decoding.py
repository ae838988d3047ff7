"""What becomes of every text file below some folders: encoding, confidence, outcome.

    python benchmarks/decoding.py FOLDER... [--original FILE]

With `--original`, each decoded text is compared with that text, and with every prefix of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from textgen.corpus.corpus import Corpus
from textgen.corpus.encoding import detect
from textgen.corpus.reader import read_text
from textgen.corpus.source import open_sources
from textgen.errors import TextgenError


def outcome(path: Path, original: str | None) -> tuple[str, str, str]:
    """Encoding, confidence, and what happened, in words."""
    encoding = confidence = "-"
    try:
        (source,) = open_sources([path])
        found = detect(source)
        encoding, confidence = found.encoding, f"{found.confidence:.2f}"
        text = read_text(path)
        Corpus.open([path])
    except TextgenError as error:
        words = str(error).replace(f"{path}", "the file")
        return encoding, confidence, f"{type(error).__name__}: {words[:110]}"
    if original is None:
        return encoding, confidence, f"{len(text):,} characters"
    if original.startswith(text):
        return encoding, confidence, f"exactly the original's first {len(text):,} characters"
    differ = sum(a != b for a, b in zip(text, original, strict=False))
    return encoding, confidence, f"{len(text):,} characters, {differ:,} unlike the original's"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--original", type=Path)
    arguments = parser.parse_args()
    original = read_text(arguments.original) if arguments.original else None
    print("| file | encoding | confidence | outcome |\n|---|---|---|---|")
    for folder in arguments.folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                print(f"| {path.name} | {' | '.join(outcome(path, original))} |", flush=True)


if __name__ == "__main__":
    main()
