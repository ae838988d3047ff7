"""Write the files of this folder: small models and runs of the version that runs this.

    python make.py

They are kept as they were made at version 0.1.0 of 2026-11-29 (commit fe000c2) and are never made
again: `test_old_files.py` shows that later versions read them. Another format gets a folder of its
own. It ran in `/tmp/textgen_old_files`: a run keeps the absolute path of its text.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import textgen

HERE = Path(__file__).parent
MODELS: dict[str, dict[str, Any]] = {
    **{
        cell: {"cell": cell}
        for cell in ("lstm", "gru", "rnn", "peephole", "coupled", "depth-gated", "mlstm")
    },
    "relu": {"cell": "rnn", "nonlinearity": "relu", "num_layers": 2, "residual": True},
    "tied": {"tie": True, "dropout": 0.2},
    "byte": {"level": "byte"},
    "word": {"level": "word", "max_words": 20},
    "folded": {"fold": True, "min_count": 2},
    "documents": {"documents": "blank"},
    "history": {"history": 8},
    "word2vec": {"level": "word", "vectors": "word2vec", "loss": "distance"},
    "cosine": {"vectors": "few.vec", "loss": "distance", "distance": "cosine"},
}


def expected(name: str, model: textgen.Model) -> dict[str, Any]:
    """What a later version has to find in the model too."""
    if model.saved.reads_pairs:
        pairs = model.evaluate_pairs("pairs.tsv")
        return {"nll": pairs.bits_per_char, "text": model.generate("ab", top_k=1)}
    evaluation = model.evaluate("text.txt")
    text = model.generate("кот ", length=30, top_k=1, keep_going=True)
    return {"nll": evaluation.bits_per_char, "text": text}


def main() -> None:
    os.chdir(HERE)
    usual: dict[str, Any] = {
        "steps": 300,
        "learning_rate": 0.02,
        "precision": "fp32",
        "device": "cpu",
        "seq_len": 16,
    }
    usual |= {"batch_size": 8, "threads": 1, "hidden_size": 6}
    found = {}
    for name, settings in [*MODELS.items(), ("pairs", {"pairs": True})]:
        given = {**usual, **settings}
        if "history" in given:
            del given["seq_len"]
        text = "pairs.tsv" if name == "pairs" else "text.txt"
        result = textgen.train(text, out=f"runs/{name}", force=True, **given)
        shutil.copy(result.model, f"{name}.safetensors")
        found[name] = expected(name, textgen.load(f"{name}.safetensors"))
    steps: list[int] = []

    def count(event: object) -> None:
        steps.append(1)

    textgen.train("text.txt", out="whole", force=True, **usual, eval_every=100)
    found["stopped"] = {"nll": textgen.load("whole").evaluate("text.txt").bits_per_char}
    shutil.rmtree("stopped", ignore_errors=True)
    asked = iter([False] * 150 + [True] * 100)
    textgen.train("text.txt", out="stopped", stop=lambda: next(asked), **usual, eval_every=100)
    shutil.rmtree("finished", ignore_errors=True)
    Path("whole").rename("finished")
    for folder in ("stopped", "finished"):
        Path(folder, "loss.svg").unlink(missing_ok=True)
    shutil.rmtree("runs")
    subprocess.run(
        [
            *(sys.executable, "-m", "textgen", "inspect", "find", "text.txt", "--quiet"),
            *("--checkpoint", "lstm.safetensors", "--feature", "vowel", "--save", "vowels"),
            *("--direction", "difference"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    steered = textgen.load("lstm.safetensors")
    for steer in ("vowels=+3", "0:1=+2"):
        text = steered.generate("кот ", steer=steer, length=30, top_k=1, keep_going=True)
        found[f"steered {steer}"] = {"text": text}
    Path("expected.json").write_text(
        json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
