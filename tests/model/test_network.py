"""The torch module: against the lecture's equations, torch's own LSTM, and its promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers import REFERENCE, lecture_nats, make_model, random_weights
from torch.nn import functional as F

from textgen.cells import LSTMCell
from textgen.model.config import ModelConfig
from textgen.model.network import LanguageModel, RecurrentLayer
from textgen.ops import Path, select
from textgen.ops.select import _bf16_works
from textgen.training.evaluate import make_resets

CPU = torch.device("cpu")
FAST = select(LSTMCell(), CPU, "fp32")
PATHS = pytest.mark.parametrize("path", [REFERENCE, FAST], ids=["reference", "torch"])
CONFIGS = {
    "one-layer": ModelConfig(vocab_size=9, embedding_size=4, hidden_size=6),
    "two-layers": ModelConfig(vocab_size=9, embedding_size=4, hidden_size=6, num_layers=2),
    "tied": ModelConfig(vocab_size=9, embedding_size=6, hidden_size=6, tie=True),
}


def random_ids(config: ModelConfig, T: int = 7, B: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, config.vocab_size, (T, B), generator=generator)


@PATHS
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_costs_are_the_lectures(config: ModelConfig, path: Path) -> None:
    model = make_model(config, path=path)
    ids_TB = random_ids(config, T=8)
    resets_TB = np.zeros((7, 3), dtype=bool)
    resets_TB[[0, 3], [1, 2]] = True
    with torch.no_grad():
        logits, _ = model(ids_TB[:-1], model.zero_state(3), make_resets(resets_TB, CPU))
    for stream in range(3):
        nats = F.cross_entropy(logits[:, stream], ids_TB[1:, stream], reduction="none")
        expected = lecture_nats(
            config,
            model.arrays(),
            ids_TB[:-1, stream].tolist(),
            ids_TB[1:, stream].tolist(),
            np.flatnonzero(resets_TB[:, stream]),
        )
        # Costs of a few nats, a hundred float32 roundings (6e-8 each) deep.
        np.testing.assert_allclose(nats.numpy(), expected, rtol=0, atol=5e-6)


@PATHS
@pytest.mark.parametrize("num_layers", [1, 2])
def test_weights_fit_torchs_own_lstm(path: Path, num_layers: int) -> None:
    config = ModelConfig(vocab_size=9, embedding_size=4, hidden_size=6, num_layers=num_layers)
    model = make_model(config, path=path)
    lstm = torch.nn.LSTM(4, 6, num_layers)
    with torch.no_grad():
        for k, layer in enumerate(model.layers):
            assert isinstance(layer, RecurrentLayer)
            weights = layer.weights()
            getattr(lstm, f"weight_ih_l{k}").copy_(weights.weight_ih)
            getattr(lstm, f"weight_hh_l{k}").copy_(weights.recurrent[0])
            getattr(lstm, f"bias_ih_l{k}").copy_(weights.bias)
            getattr(lstm, f"bias_hh_l{k}").zero_()
        ids = random_ids(config)
        logits, state = model(ids, model.zero_state(3))
        y, (h, c) = lstm(model.embedding(ids))
        # Seven steps of a few float32 roundings each.
        close = {"rtol": 0, "atol": 2e-6}
        torch.testing.assert_close(logits, model.head(y), **close)
        for k in range(num_layers):
            torch.testing.assert_close(state[k]["h"], h[k], **close)
            torch.testing.assert_close(state[k]["c"], c[k], **close)


@PATHS
def test_a_window_may_be_read_in_parts(path: Path) -> None:
    config = CONFIGS["two-layers"]
    model = make_model(config, path=path)
    ids = random_ids(config, T=9)
    with torch.no_grad():
        whole, last = model(ids, model.zero_state(3))
        first, state = model(ids[:4], model.zero_state(3))
        second, last_of_parts = model(ids[4:], state)
    # The same steps; a product over a shorter window may round its last bit otherwise.
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=2e-6)
    torch.testing.assert_close(last_of_parts, last, rtol=0, atol=2e-6)


def dropped(rate: float, generator: torch.Generator | None, T: int = 5) -> torch.Tensor:
    """What becomes of ones, `(T, 40, 50)`."""
    return LanguageModel._drop(torch.ones(T, 40, 50), rate, generator)


def test_a_dropout_mask_is_shared_over_time() -> None:
    out = dropped(0.5, torch.Generator().manual_seed(1))
    assert torch.equal(out, out[:1].expand_as(out))
    assert not torch.equal(out[0, 0], out[0, 1])  # but not over streams


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate: float) -> None:
    out = dropped(rate, torch.Generator().manual_seed(1))[0]
    kept = 1.0 / (1.0 - rate)
    assert ((out == 0) | ((out - kept).abs() < 1e-5)).all()
    # 2000 draws: the mean's standard deviation is sqrt(rate / (1 - rate) / 2000); five of them.
    assert abs(out.mean().item() - 1.0) < 5 * math.sqrt(rate / (1 - rate) / out.numel())


def test_dropout_follows_its_generator_alone() -> None:
    first, again, other = (dropped(0.5, torch.Generator().manual_seed(n)) for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    ones = torch.ones(5, 40, 50)
    assert torch.equal(dropped(0.5, None), ones)
    assert torch.equal(dropped(0.0, torch.Generator()), ones)


def test_dropout_acts_on_the_embedding_and_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig(vocab_size=9, embedding_size=4, hidden_size=6, num_layers=2, dropout=0.5)
    model = make_model(config)
    ids, state = random_ids(config), model.zero_state(3)
    seen = []
    real = LanguageModel._drop

    def record(x_TBI, rate, generator):
        out = real(x_TBI, rate, generator)
        seen.append((out == 0).all(dim=0))  # dropped throughout the window
        return out

    monkeypatch.setattr(LanguageModel, "_drop", staticmethod(record))
    with torch.no_grad():
        quiet, _ = model(ids, state)
        assert not any(mask.any() for mask in seen)
        seen.clear()
        noisy, _ = model(ids, state, None, torch.Generator().manual_seed(3))
    assert not torch.equal(quiet, noisy)
    assert [tuple(mask.shape) for mask in seen] == [(3, 4), (3, 6), (3, 6)]
    assert all(mask.any() and not mask.all() for mask in seen)


def test_dropout_is_independent_of_memory_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask is drawn into fresh memory, and every element of it is written."""
    expected = dropped(0.5, torch.Generator().manual_seed(1))
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: empty(*a, **k).fill_(torch.nan))
    assert torch.equal(dropped(0.5, torch.Generator().manual_seed(1)), expected)


def initial(seed: int = 1, **settings: object) -> LanguageModel:
    shape = {"vocab_size": 300, "embedding_size": 64, "hidden_size": 96, "num_layers": 2}
    return LanguageModel(
        ModelConfig(**{**shape, **settings}), REFERENCE, torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("tie", [False, True])
def test_first_weights(tie: bool) -> None:
    model = initial(tie=tie, embedding_size=96 if tie else 64)
    weights = model.arrays()
    H = model.config.hidden_size
    symbols = weights["embedding.weight"]
    scale = 1.0 / math.sqrt(H) if tie else 1.0
    # 19,000 draws: their standard deviation is known to half a per cent; five times that.
    assert np.std(symbols[2:]) == pytest.approx(scale, rel=0.025)
    assert not symbols[:2].any(), "nothing trains the marks in a corpus of one document"
    assert not weights["head.bias"].any()
    for k in range(2):
        hh = weights[f"layers.{k}.weight_hh"]
        assert np.abs(hh).max() <= H**-0.5
        # A uniform distribution's: width / sqrt(12); 37,000 draws.
        assert np.std(hh) == pytest.approx(2 * H**-0.5 / math.sqrt(12), rel=0.02)
        i, f, g, o = np.split(weights[f"layers.{k}.bias"], 4)
        assert (f == 1.0).all() and not np.concatenate([i, g, o]).any()
    pre_BG = symbols[2:] @ weights["layers.0.weight_ih"].T
    assert np.std(pre_BG) == pytest.approx(1.0, rel=0.05)
    assert np.std(weights["layers.1.weight_ih"]) == pytest.approx(H**-0.5, rel=0.02)


def test_the_first_prediction_is_uniform() -> None:
    model = initial()
    with torch.no_grad():
        logits, _ = model(random_ids(model.config), model.zero_state(3))
    assert not logits.any()


def test_the_first_weights_follow_their_generator_alone() -> None:
    torch.manual_seed(5)
    first = initial(1).arrays()
    torch.manual_seed(6)
    again, other = initial(1).arrays(), initial(2).arrays()
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)
    assert not np.array_equal(first["layers.0.weight_hh"], other["layers.0.weight_hh"])


def test_first_weights_do_not_depend_on_memory_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = initial().arrays()
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: empty(*a, **k).fill_(torch.nan))
    for name, array in initial().arrays().items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_arrays_are_copies_and_come_back() -> None:
    model = make_model(CONFIGS["two-layers"])
    arrays = model.arrays()
    assert list(arrays) == list(model.config.tensor_shapes())
    arrays["head.bias"][:] = 7.0
    assert not (model.head.bias == 7.0).any()
    model.load_arrays(arrays)
    assert (model.head.bias == 7.0).all()
    arrays["head.bias"][:] = 8.0
    assert (model.head.bias == 7.0).all()


def test_a_tied_output_is_the_embedding() -> None:
    model = make_model(CONFIGS["tied"])
    assert model.head.weight is model.embedding.weight
    assert "head.weight" not in model.arrays()
    loss = model(random_ids(model.config), model.zero_state(3))[0].logsumexp(-1).sum()
    loss.backward()
    assert model.embedding.weight.grad is not None


@pytest.mark.skipif(not _bf16_works(CPU), reason="torch cannot run its LSTM in bf16 on this CPU")
def test_bf16_keeps_logits_and_the_state_of_every_layer_in_float32() -> None:
    config = CONFIGS["two-layers"]
    path = select(LSTMCell(), CPU, "bf16")
    model = make_model(config, path=path)
    ids = random_ids(config)
    logits, state = model(ids, model.zero_state(3))
    assert logits.dtype == torch.float32
    assert {value.dtype for layer in state for value in layer.values()} == {torch.float32}
    expected, _ = make_model(config)(ids, model.zero_state(3))
    # Sums of products of numbers rounded to 8 bits (2^-9 each), two layers and an output deep.
    scale = expected.abs().max().item()
    assert (logits - expected).abs().max().item() < 8 * 2.0**-8 * scale
    assert random_weights(config)["head.bias"].dtype == np.float32
