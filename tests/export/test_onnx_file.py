"""Models as files for ONNX: one step, any cell, any number of texts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.every_kind import model_of

from textgen.errors import BackendError, ConfigError
from textgen.export import exported, write_onnx

#: Every cell and nonlinearity; a tied output, a vector as output, several layers.
KINDS = ("lstm", "gru", "rnn", "relu", "peephole", "coupled", "depth-gated", "mlstm", "tied")


def by_onnxruntime(data: bytes, ids_TB: NDArray[np.int64]) -> NDArray[np.float32]:
    """The logits after each token, `(T, B, V)`, by what most people run such files with."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    states = {
        told.name: np.zeros((told.shape[0], ids_TB.shape[1], told.shape[2]), np.float32)
        for told in session.get_inputs()[1:]
    }
    rows = []
    for ids_B in ids_TB:
        logits_BV, *after = session.run(None, {"ids": ids_B, **states})
        states = dict(zip(states, after, strict=True))
        rows.append(logits_BV)
    return np.stack(rows)


# torch translates a model for four seconds. In `make test` the next test does that once, and the
# writer compares the file with the model for some steps, as it does each time.
@pytest.mark.slow
@pytest.mark.parametrize("name", (*KINDS, "cosine"))
def test_a_thousand_steps_are_ours(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Those that are compared when it is written, by a slow program of ONNX's own.
    monkeypatch.setattr(exported, "STEPS", 3)
    saved, path = model_of(name), tmp_path / "model.onnx"
    made = write_onnx(saved, path)
    assert made.files == {"model.onnx": path.stat().st_size} and made.difference < 1e-4
    ids_TB = np.random.default_rng(1).integers(0, saved.config.vocab_size, (1000, 3))
    found = by_onnxruntime(path.read_bytes(), ids_TB)
    network = saved.network()
    state = network.zero_state(3)
    for ids_B, logits_BV in zip(ids_TB, found, strict=True):
        expected, state = network.step(ids_B, state)
        # float32, whose rounding is 1e-7 of the largest number, carried on over the steps.
        assert np.abs(logits_BV - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())


@pytest.mark.slow  # The next test sees that onnxruntime is not loaded.
def test_nothing_is_left_behind_or_reported(tmp_path: Path) -> None:
    """onnxruntime would leave a number for this computer at home, and send it."""
    home = tmp_path / "home"
    home.mkdir()
    script = """
import sys
from pathlib import Path
from support.every_kind import model_of
from textgen.export import write_onnx
write_onnx(model_of("gru"), Path(sys.argv[1]))
assert "onnxruntime" not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "model.onnx")],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])},
        check=True,
    )
    assert list(home.rglob("*")) == []


def test_the_file_says_what_goes_in_and_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # Who loads it fails.
    saved = model_of("lstm")
    assert write_onnx(saved, tmp_path / "model.onnx").difference < 1e-4
    proto = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(proto)
    assert [told.name for told in proto.graph.input] == ["ids", "h", "c"]
    assert [told.name for told in proto.graph.output] == ["logits", "new_h", "new_c"]
    (told,) = [item for item in proto.metadata_props if item.key == "textgen"]
    assert json.loads(told.value)["symbols"] == list(saved.vocabulary.symbols)
    # Nothing of the machine on which it was made.
    assert str(Path.cwd()).encode() not in (tmp_path / "model.onnx").read_bytes()


def test_what_is_missing_or_there_already_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists; replace it with force"):
        write_onnx(model_of("gru"), path)
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(BackendError, match=r"export onnx needs onnxscript; .*\[onnx\]"):
        write_onnx(model_of("gru"), path, force=True)
    assert path.read_text() == "mine"
