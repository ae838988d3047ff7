"""Models as files for ONNX: one step, any cell, any number of texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.every_kind import model_of

from textgen.errors import BackendError, ConfigError
from textgen.export import onnx_file, write_onnx

#: Every cell and nonlinearity; a tied output, a vector as output, several layers.
KINDS = ("lstm", "gru", "rnn", "relu", "peephole", "coupled", "depth-gated", "mlstm", "tied")


@pytest.mark.parametrize("name", [*KINDS, "cosine"])
def test_a_thousand_steps_are_ours(name: str, tmp_path: Path) -> None:
    saved, path = model_of(name), tmp_path / "model.onnx"
    made = write_onnx(saved, path)
    assert made.files == {"model.onnx": path.stat().st_size} and made.difference < 1e-4
    ids_TB = np.random.default_rng(1).integers(0, saved.config.vocab_size, (1000, 3))
    found = onnx_file.run_onnx(path.read_bytes(), ids_TB)
    network = saved.network()
    state = network.zero_state(3)
    for ids_B, logits_BV in zip(ids_TB, found, strict=True):
        expected, state = network.step(ids_B, state)
        # float32, whose rounding is 1e-7 of the largest number, carried on over the steps.
        assert np.abs(logits_BV - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())


def test_the_file_says_what_goes_in_and_out(tmp_path: Path) -> None:
    import onnx

    saved = model_of("lstm")
    write_onnx(saved, tmp_path / "model.onnx")
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
