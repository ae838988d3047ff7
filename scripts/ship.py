"""Make a trained model one that comes with textgen: `python scripts/ship.py RUN checkpoints/NAME`.

The weights are kept in 16 bits. Of the texts their names are kept, without the folders of this
machine. What needs the training text, which does not come along, is measured: how the neurons are
distributed, so that they can be steered, and how the model learns while it reads. The card,
`README.md`, is written by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import textgen
from textgen.checkpoint import MODEL_NAME, SavedModel
from textgen.runtime import choose_threads
from textgen.sampling import ADAPTATION
from textgen.sampling.adapted import adapting_engine, adapting_reader


def without_folders(info: dict[str, Any]) -> dict[str, Any]:
    """What a model's file says of its making, with no path of the machine that made it.

    Args:
        info: As in `SavedModel.info`.
    """
    words = json.dumps(info, ensure_ascii=False)
    paths = [os.path.abspath(file["path"]) for file in info["corpus"]["files"]]
    # A text alone is known by its name; several by the name of the folder that they are in.
    folders = [os.path.dirname(os.path.commonpath(paths))]
    if os.path.isabs(info["parent"] or ""):
        folders.append(os.path.dirname(os.path.dirname(info["parent"])))
    for folder in folders:
        words = words.replace(json.dumps(folder + os.sep)[1:-1], "")
    info = json.loads(words)
    info["corpus"].pop("keys", None)
    before, _, _ = info["command"].partition(" --out ")
    return {**info, "command": before}


def ship(run: Path, folder: Path) -> None:
    """Write the model of a run, rounded to 16 bits, and the calibration of its neurons.

    Args:
        run: The folder of the run; its training text is in the cache.
        folder: Where it goes to.
    """
    path = folder / MODEL_NAME
    shutil.rmtree(folder / "neurons", ignore_errors=True)  # of an older model
    folder.mkdir(parents=True, exist_ok=True)
    saved = SavedModel.load(run / MODEL_NAME)
    # So that it learns while it reads where its training text is not at hand.
    rule = adapting_reader(saved, adapting_engine(saved, choose_threads().value)).rule
    # A text without a seed begins where a paragraph does.
    primer = saved.primer or tuple(saved.vocabulary.encode("\n\n").tolist())
    saved = replace(saved, primer=primer, info={**saved.info, ADAPTATION: rule.to_json()})
    saved.save(path, half=True)
    # The keys of the cache, by which the training text is found, are still in it.
    source = textgen.load(path).calibration.source
    assert source == "the training text", source
    replace(saved, info=without_folders(saved.info)).save(path, half=True)


if __name__ == "__main__":
    ship(Path(sys.argv[1]), Path(sys.argv[2]))
    model = textgen.load(sys.argv[2])
    print(model.digest, os.path.getsize(model.path), json.dumps(model.saved.info["metrics"]))
