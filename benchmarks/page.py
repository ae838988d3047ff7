"""How fast the model in a page of `textgen export html` writes, and what its rounding costs.

    python benchmarks/page.py [MODEL TEXT]... [--chars 1000] [--rounds 5] [--served] [--json]

In a headless Chromium that is held on one core:

- models of random weights, LSTM and coupled LSTM of 1 x 512: characters per second of a step and a
  draw, by the clock and by what the browser computed (Linux alone tells), which is what a machine
  that does nothing else would give; the size of the page, and the seconds until it is drawn first.

With `--served` instead, LSTM of 1 x 1024 and 2 x 1024 whose steps a server computes: characters per
second that arrive in the page, with the values of all neurons, beside those of a completion.

With NumPy, for each MODEL (a name or a file) on the first characters of the file TEXT:

- how far a logit, and the probability of a next symbol, is off with weights of 16 and of 8 bits.

Needs selenium and a Chromium with its driver.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sampling import made_up_model

import textgen
from textgen.checkpoint import SavedModel
from textgen.export.exported import logits_of
from textgen.export.html_page import ShownModel, write_html
from textgen.export.packed import pack
from textgen.model.head import log_softmax
from textgen.model.numpy_network import NumpyNetwork
from textgen.serving import offered_model

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from support.browser import chromium
from support.live_network import written
from support.serving import serving

#: Milliseconds of `arguments[0]` steps, each with a draw.
WRITE = """
const state = network.start();
let { logits } = network.step(state, 0), before = 0;
const begin = performance.now();
for (let k = 0; k < arguments[0]; k++) {
  before = sample(network.writable(logits, before), { temperature: 0.7, topP: 0.9 });
  ({ logits } = network.step(state, before));
}
return performance.now() - begin;
"""
PAINT = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def computed(parent: int) -> float:
    """Seconds that all processes below one have computed; 0 where the system does not tell."""
    children: dict[int, list[int]] = {}
    seconds = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # It has ended.
            continue
        process = int(path.parent.name)
        children.setdefault(int(fields[1]), []).append(process)
        seconds[process] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    total, left = 0.0, [parent]
    while left:
        below = children.get(left.pop(), [])
        total += sum(seconds[process] for process in below)
        left += below
    return total


def speed(cell: str, rounds: int, folder: Path) -> dict[str, Any]:
    """One cell of 1 x 512 in the browser."""
    shape = made_up_model(512, 1)
    config = replace(shape.config, cell=cell, embedding_size=64)
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_normal(size, np.float32) * size[-1] ** -0.5).astype(np.float32)
        for name, size in config.tensor_shapes().items()
    }
    saved = replace(shape, config=config, weights=weights)
    page = folder / f"{cell}.html"
    made = write_html([ShownModel(saved=saved, name=cell)], page, force=True)
    with chromium(folder / f"profile-{cell}") as browser:
        paints = []
        for _ in range(rounds):
            browser.get(page.as_uri())
            paints.append(browser.execute_script(PAINT) / 1000)
        browser.get(written(pack(saved, 16), folder / "network.html").as_uri())
        browser.execute_script(WRITE, 200)
        speeds, computing = [], []
        for _ in range(rounds):
            before = computed(browser.service.process.pid)
            speeds.append(500 / browser.execute_script(WRITE, 500) * 1000)
            computing.append(computed(browser.service.process.pid) - before)
    return {
        "cell": cell,
        "chars_per_second": median(speeds),
        "chars_per_computed_second": 500 / max(median(computing), 1e-9),
        "bytes": made.files[page.name],
        "first_paint": median(paints),
        "logits_off": made.difference,
    }


#: Milliseconds of `arguments[0]` characters that the server writes.
ASK = """
const [count, done] = arguments;
(async () => {
  const source = openSource(page.models[0], 0);
  const settings = { quantity: "cell", temperature: 0.7, topP: 0.9, seed: 1, length: count };
  let begin = 0, seen = 0;
  for await (const _ of source.write("\u4e00", settings)) if (!seen++) begin = performance.now();
  return (performance.now() - begin) * count / (seen - 1);
})().then(done, (mistake) => done(String(mistake)));
"""


def served(layers: int, rounds: int, folder: Path) -> dict[str, Any]:
    """A page of 1024 neurons a layer whose steps are computed by a server."""
    path = folder / f"large-{layers}.safetensors"
    made_up_model(1024, layers).save(path)
    names = ("words.js", "data.js", "vocabulary.js", "equations.js", "so_far.js", "served.js")
    program = "\n".join(map(program_of, names))
    offered_model.MOST_SENT = 0
    with (
        serving([textgen.load(path)]) as server,
        chromium(folder / f"profile-{layers}") as browser,
    ):
        browser.set_script_timeout(300)
        browser.get(server.address)
        pages, texts = [], []
        for _ in range(rounds):  # In turns: other work on the machine slows both.
            pages.append(browser.execute_async_script(program + ASK, 300) / 1000)
            began = time.perf_counter()
            server.complete(prompt="\u4e00", max_tokens=300, seed=1)
            texts.append(time.perf_counter() - began)
    return {
        "model": f"lstm {layers} x 1024",
        "page_chars_per_second": 300 / median(pages),
        "completion_chars_per_second": 300 / median(texts),
        "page_of_completion": median(b / a for a, b in zip(pages, texts, strict=True)),
    }


def program_of(name: str) -> str:
    return files("textgen.page").joinpath(name).read_text(encoding="utf-8")


def losses(name: str, text: str) -> list[dict[str, Any]]:
    """What the rounding of a model's weights costs on a text."""
    saved: SavedModel = textgen.load(name).saved
    ids = [0, *saved.vocabulary.encode(saved.normalization.apply(text)).tolist()]
    ids_TB = np.array(ids)[:, None]
    expected = logits_of(saved.network(), ids_TB)
    chances = np.exp(log_softmax(expected))
    rows = []
    for bits in (16, 8):
        packed = pack(saved, bits)
        found = logits_of(NumpyNetwork(saved.config, packed.weights), ids_TB)
        off = np.abs(found - expected)
        rows.append(
            {
                "model": name,
                "cell": saved.config.cell,
                "bits": bits,
                "bytes": len(packed.data),
                "logits_off_most": float(off.max()),
                "logits_off_mean": float(off.mean()),
                "chances_off_most": float(np.abs(np.exp(log_softmax(found)) - chances).max()),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("pairs", nargs="*", metavar="MODEL TEXT")
    parser.add_argument("--chars", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--served", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if len(asked.pairs) % 2:
        parser.error("each model needs a text")
    rows = []
    for name, path in zip(asked.pairs[::2], asked.pairs[1::2], strict=True):
        rows += losses(name, Path(path).read_text(encoding="utf-8")[: asked.chars])
    with tempfile.TemporaryDirectory() as folder:
        if asked.served:
            rows += [served(layers, asked.rounds, Path(folder)) for layers in (1, 2)]
        else:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            rows += [speed(cell, asked.rounds, Path(folder)) for cell in ("lstm", "coupled")]
    for row in rows:
        if asked.json:
            print(json.dumps(row))
        else:
            print("  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                            for key, value in row.items()))  # fmt: skip


if __name__ == "__main__":
    main()
