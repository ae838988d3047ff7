"""Conversion to and from torch.nn: the same numbers come out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.model.network import Engine
from textgen.model.torch_network import LanguageModel
from textgen.model.torch_nn import from_torch_nn, to_torch_nn

CELLS = [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]
EACH_CELL = pytest.mark.parametrize(("cell", "nonlinearity"), CELLS)


def config_of(cell: str, nonlinearity: str = "tanh", **settings) -> ModelConfig:
    shape = {"vocab_size": 9, "embedding_size": 5, "hidden_size": 7, "num_layers": 2}
    return ModelConfig(cell=cell, nonlinearity=nonlinearity, **{**shape, **settings})


def random_weights(config: ModelConfig) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        name: rng.normal(0.0, 0.5, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }


@EACH_CELL
def test_torchs_module_computes_what_our_layers_do(cell: str, nonlinearity: str) -> None:
    config = config_of(cell, nonlinearity)
    weights = random_weights(config)
    ours = LanguageModel(config, Engine("reference", "fp32", "the specification"))
    ours.load_arrays(weights)
    ids = torch.randint(0, 9, (6, 3), generator=torch.Generator().manual_seed(1))
    theirs = to_torch_nn(config, weights)
    with torch.no_grad():
        logits, state = ours(ids, ours.zero_state(3))
        outputs, last = theirs(torch.from_numpy(weights["embedding.weight"])[ids])
        head = torch.from_numpy(weights["head.weight"]), torch.from_numpy(weights["head.bias"])
        again = outputs @ head[0].T + head[1]
    # Float32 sums of a dozen terms of order one, over six steps and two layers.
    torch.testing.assert_close(again, logits, rtol=0, atol=2e-5)
    h_LBH = last[0] if cell == "lstm" else last
    torch.testing.assert_close(h_LBH[1], state[1]["h"], rtol=0, atol=5e-6)


@EACH_CELL
def test_there_and_back_is_the_same(cell: str, nonlinearity: str) -> None:
    config = config_of(cell, nonlinearity)
    weights = random_weights(config)
    again = from_torch_nn(to_torch_nn(config, weights))
    assert set(again) == {name for name in weights if name.startswith("layers.")}
    for name, array in again.items():
        np.testing.assert_array_equal(array, weights[name], err_msg=name)


@EACH_CELL
def test_two_biases_become_one(cell: str, nonlinearity: str) -> None:
    """A module as torch draws it, both biases at work, without bias and with one."""
    torch.manual_seed(2)
    kind = getattr(torch.nn, cell.upper())
    settings = {"nonlinearity": nonlinearity} if cell == "rnn" else {}
    for bias in (True, False):
        module = kind(5, 7, 2, bias=bias, **settings)
        converted = to_torch_nn(config_of(cell, nonlinearity), from_torch_nn(module))
        x = torch.randn(6, 3, 5)
        # The GRU's second bias stays apart; of the others only the sum counts, rounded once.
        torch.testing.assert_close(converted(x)[0], module(x)[0], rtol=0, atol=2e-6)


def test_what_has_no_equal_is_refused() -> None:
    for name in ("mlstm", "peephole"):
        with pytest.raises(ConfigError, match=f"torch.nn has no '{name}'"):
            to_torch_nn(config_of(name), {})
    with pytest.raises(ConfigError, match=r"torch.nn has no 'rnn \(identity\)'"):
        to_torch_nn(config_of("rnn", "identity"), {})
    with pytest.raises(ConfigError, match="residual"):
        to_torch_nn(config_of("lstm", residual=True), {})
    with pytest.raises(ConfigError, match="two directions"):
        from_torch_nn(torch.nn.GRU(3, 4, bidirectional=True))
    with pytest.raises(ConfigError, match="projection"):
        from_torch_nn(torch.nn.LSTM(3, 4, proj_size=2))
