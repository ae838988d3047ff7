"""Anonymous memory of training on a large text, above what the imports take.

Makes a text of made-up words in a temporary folder, trains on it for some seconds, and samples
RssAnon of this process from a second thread. Linux only.

    python benchmarks/memory.py [--size MB] [--seconds 20]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

from overhead import made_up_text

import textgen


def anonymous_mb() -> float:
    """Anonymous resident memory of this process in MB."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1000
    raise SystemExit("this system does not report RssAnon")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    start = anonymous_mb()
    peak = [start]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], anonymous_mb())

    with tempfile.TemporaryDirectory() as folder:
        block = made_up_text(1_000_000).encode()
        path = Path(folder) / "text.txt"
        with path.open("wb") as file:
            for _ in range(arguments.size * 1_000_000 // len(block)):
                file.write(block)
        del block
        os.environ["TEXTGEN_CACHE"] = str(Path(folder) / "cache")
        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        try:
            result = textgen.train(path, out=Path(folder) / "run", budget=arguments.seconds)
        finally:
            done.set()
            watcher.join()
        print(
            f"{arguments.size} MB of text: peak {peak[0] - start:.0f} MB anonymous above the "
            f"{start:.0f} MB after importing torch; {time.perf_counter() - began:.0f} s in all, "
            f"{result.ended.chars_per_second:,.0f} chars/s in training"
        )


if __name__ == "__main__":
    main()
