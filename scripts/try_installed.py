"""Train, write and measure with the textgen that is installed, on its native engine.

python scripts/try_installed.py [WORDS...]: the words start the Python of the environment that it is
installed in. Without them it is the one that runs this.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def main(python: Sequence[str]) -> None:
    """Run three commands in an empty folder; end with the code of the first one that fails."""
    with tempfile.TemporaryDirectory(prefix="textgen-try-") as place:
        folder = Path(place)
        (folder / "text.txt").write_text("The owl looked at the old oak. " * 400, "utf-8")
        env = {**os.environ, "TEXTGEN_CACHE": str(folder / "cache"), "TEXTGEN_PATH": "native"}
        model = ("--checkpoint", "model")
        for words in (
            ("train", "text.txt", "--out", "model", "--hidden", "32", "--steps", "20"),
            ("sample", *model, "--seed", "The", "--length", "40"),
            ("eval", "text.txt", *model),
        ):
            # Not the one in the folder of this script: `-P` leaves that out.
            done = subprocess.run(
                [*python, "-P", "-m", "textgen", *words],
                cwd=folder,
                env=env,
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            if done.returncode:
                print(f"textgen {' '.join(words)}\n{done.stdout}{done.stderr}", file=sys.stderr)
                sys.exit(done.returncode)
        code = "from textgen.native.library import describe; print(describe())"
        subprocess.run([*python, "-P", "-c", code], cwd=folder, check=True)


if __name__ == "__main__":
    main(sys.argv[1:] or [sys.executable])
