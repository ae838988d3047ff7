"""`textgen export`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.every_kind import OLD_FILES, page
from support.small_runs import textgen_cli

import textgen
from textgen.errors import ConfigError
from textgen.export import exported, html_page
from textgen.steering import Target
from textgen.steering.target import save_target


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model."""
    (tmp_path / "checkpoints/lstm").mkdir(parents=True)
    shutil.copy(OLD_FILES / "lstm.safetensors", tmp_path / "checkpoints/lstm/model.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow  # test_docs.py runs both commands of the guide.
def test_both_say_what_was_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "STEPS", 20)  # ONNX's own program is slow.
    made = textgen_cli("export", "torch", "folder", "-c", "lstm")
    assert (made.exit_code, made.stdout) == (0, "")
    assert made.stderr.startswith("folder: config.json (")
    assert "20 steps agree with textgen, the logits within" in made.stderr
    made = textgen_cli("export", "onnx", "model.onnx", "-c", "lstm", "--json")
    assert (made.exit_code, made.stderr) == (0, "")
    told = json.loads(made.stdout)
    assert told["files"] == {"model.onnx": (folder / "model.onnx").stat().st_size}
    assert told["written"] == "model.onnx" and told["steps"] == 20
    again = textgen_cli("export", "onnx", "model.onnx", "-c", "lstm")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "model.onnx exists; replace it with --force" in again.stderr


def test_a_page_says_what_was_written_and_what_rounding_costs(folder: Path) -> None:
    made = textgen_cli("export", "html", "page.html", "-c", "lstm")
    assert (made.exit_code, made.stdout) == (0, "")
    size = (folder / "page.html").stat().st_size
    assert "<li>LSTM 1 × " in (folder / "page.html").read_text("utf-8")  # its name is the title
    assert made.stderr.startswith(f"page.html: page.html ({size:,} bytes); 200 steps agree")
    again = textgen_cli("export", "html", "page.html", "-c", "lstm")
    assert again.exit_code == 2 and "page.html exists; replace it with --force" in again.stderr
    again = textgen_cli("export", "html", "page.html", "-c", "lstm", "--force", "--quiet")
    assert (again.exit_code, again.output) == (0, "")
    shutil.copy(OLD_FILES / "rnn.safetensors", "rnn.safetensors")
    words = ("export", "html", "page.html", "-c", "lstm", "--beside", "rnn.safetensors", "--force")
    both = textgen_cli(*words, "--json")
    assert (both.exit_code, both.stderr) == (0, "")
    told = json.loads(both.stdout)
    assert told["files"] == {"page.html": (folder / "page.html").stat().st_size}
    assert told["files"]["page.html"] > size and told["notices"] == []
    assert 0 < told["difference"] < 1e-3
    html = (folder / "page.html").read_text("utf-8")
    assert "lstm: LSTM 1 × " in html and "rnn: RNN 1 × " in html
    wrong = textgen_cli(*words[:6], "nothing", "--force")
    assert wrong.exit_code != 0 and "nothing" in wrong.stderr


def test_a_page_that_would_be_too_large_takes_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = textgen_cli("export", "html", "page.html", "-c", "lstm", "--json")
    size, difference = (
        json.loads(made.stdout)["files"]["page.html"],
        json.loads(made.stdout)["difference"],
    )
    monkeypatch.setattr(html_page, "LARGEST", size - 1)
    made = textgen_cli("export", "html", "page.html", "-c", "lstm", "--force")
    told = f"a weight takes 8 bits: with 16 the file would have {size:,} bytes, more than"
    assert made.exit_code == 0 and told in made.stderr
    again = textgen_cli("export", "html", "page.html", "-c", "lstm", "--force", "--json")
    assert json.loads(again.stdout)["difference"] > 3 * difference


def test_a_page_has_the_directions_that_fit(folder: Path) -> None:
    model = textgen.load("checkpoints/lstm")
    hidden = model.saved.config.hidden_size
    vector = np.eye(hidden, dtype=np.float32)[2]
    for name, digest in (("mood", model.digest), ("stale", "of other weights")):
        save_target(
            model.path,
            Target(
                name=name, layer=0, state="h", mean=0.5, sd=0.25,
                read=vector, write=vector, model=digest,
            ),
        )  # fmt: skip
    made = model.export_html("page.html")
    assert len(made.notices) == 1 and "'stale' was found in other weights" in made.notices[0]
    html = (folder / "page.html").read_text("utf-8")
    assert '"name":"mood"' in html and "stale" not in html


def test_a_page_says_what_neurons_follow(folder: Path) -> None:
    """The features are those of `inspect neurons`; without a text at hand nothing is said."""
    (folder / "page.txt").write_text(page() * 3, "utf-8")
    model = textgen.load("checkpoints/lstm")
    model.export_html("without.html")
    assert '"notes":' not in (folder / "without.html").read_text("utf-8")
    made = textgen_cli("export", "html", "page.html", "-c", "lstm", "--notes", "page.txt")
    assert made.exit_code == 0, made.stderr
    (found,) = re.findall(r'"notes":(\{.*?\}\})', (folder / "page.html").read_text("utf-8"))
    notes = json.loads(found)
    follows = {
        f"{profile.stats.layer}:{profile.stats.unit}": (
            profile.follows.feature,
            round(profile.follows.correlation, 2),
        )
        for profile in model.neurons(model.read("page.txt"), top=0).profiles
        if profile.follows is not None and profile.follows.correlation is not None
    }
    assert notes["quantity"] == "cell" and follows
    assert {name: tuple(each) for name, each in notes["followed"].items()} == follows
    wrong = textgen_cli(
        "export", "html", "page.html", "-c", "lstm", "--force", "--notes", "none.txt"
    )
    assert wrong.exit_code == 6 and "none.txt" in wrong.stderr


def test_what_cannot_be_shown_is_said(folder: Path) -> None:
    shutil.copy(OLD_FILES / "cosine.safetensors", "cosine.safetensors")
    for words in (("-c", "cosine.safetensors"), ("-c", "lstm", "--beside", "cosine.safetensors")):
        wrong = textgen_cli("export", "html", "page.html", *words)
        assert wrong.exit_code == 2 and "the output of this model is a vector" in wrong.stderr
    assert not (folder / "page.html").exists()


def test_what_cannot_be_written_leaves_nothing(folder: Path) -> None:
    (folder / "file").write_text("mine")
    wrong = textgen_cli("export", "torch", "file", "-c", "lstm")
    assert wrong.exit_code == 6 and "a file of that name exists" in wrong.stderr
    wrong = textgen_cli("export", "onnx", "missing/model.onnx", "-c", "lstm")
    assert wrong.exit_code == 6 and "no such file or folder" in wrong.stderr
    assert {path.name for path in folder.iterdir()} == {"checkpoints", "file"}


def test_a_steered_model_is_refused() -> None:
    model = textgen.load("checkpoints/lstm")
    with model.steered("0:1=0"):
        for export in (model.export_torch, model.export_onnx, model.export_html):
            with pytest.raises(ConfigError, match="exported"):
                export("made")
        with pytest.raises(ConfigError, match="exported"):
            textgen.load("checkpoints/lstm").export_html("made", beside=model)
