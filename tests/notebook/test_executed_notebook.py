"""The notebook of docs/notebooks, executed from its first cell to its last, and what each shows."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/notebooks/from_text_to_steered.ipynb"


def test_it_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert [cell["id"] for cell in cells] == [f"cell-{n}" for n in range(1, len(cells) + 1)]
    for cell in cells:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == (
            *([],),
            None,
        )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")  # those of the kernel, which are not ours
def test_it_goes_from_a_text_to_a_steered_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shutil.copytree(ROOT / "corpora", tmp_path / "corpora")
    place = tmp_path / "docs/notebooks"
    place.mkdir(parents=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(place)}}
    nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources=resources
    ).execute()
    shown = {cell.source: Shown(cell.outputs) for cell in notebook.cells if "outputs" in cell}

    def of(start: str) -> Shown:
        (found,) = (out for source, out in shown.items() if source.startswith(start))
        return found

    live = of("result = textgen.train")
    assert live.count == 1  # drawn again in one place
    assert "<progress" in live.html and "<svg" in live.html and "validation" in live.html
    done, steps = re.findall(r'<progress max="(\d+)" value="(\d+)">', live.html)[0]
    assert done == steps
    assert "<svg" in shown["result"].html and shown["result"].text.startswith("<TrainResult: ")
    assert "learning_rate" in of("model = result").html
    assert "<mark>The old</mark>" in of('model.generate("The old", length=300, temp').html
    assert "surprise" in of("sentence = ").html and 'class="q' in of("sentence = ").html
    assert "controls of the claim" in of("found = ").html
    assert "neuron 0:" in of("model.view(sentence, neurons").html
    assert "a direction of layer 0" in of("from textgen.probing").html
    told = of("def vowels").text
    plain, after, before = (float(share) for share in re.findall(r"([\d.]+)%", told))
    # It goes on as after a vowel, or as after another character.
    assert after < 0.7 * plain and before > 1.3 * plain, told
    assert all(out.error is None for out in shown.values())
    assert not list(place.iterdir())


class Shown:
    """The outputs of a cell."""

    def __init__(self, outputs: list[Any]) -> None:
        self.count = len([out for out in outputs if out.output_type != "stream"])
        self.html = "".join(out.get("data", {}).get("text/html", "") for out in outputs)
        self.text = "".join(
            out.get("text", "") or out.get("data", {}).get("text/plain", "") for out in outputs
        )
        self.error = next((out for out in outputs if out.output_type == "error"), None)
