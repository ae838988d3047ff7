"""The torch module: against the lecture's equations, torch's own LSTM, and its promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.models import REFERENCE, lecture_nats, make_model
from torch.nn import functional as F

from textgen.model import torch_network as module
from textgen.model.config import ModelConfig
from textgen.model.initialise import Masks, draw_masks
from textgen.model.network import Engine
from textgen.model.recurrence import bf16_works, make_resets
from textgen.model.torch_network import RecurrentLayer

CPU = torch.device("cpu")
FAST = Engine("torch", "fp32", "asked for")
BF16 = Engine("torch", "bf16", "asked for")
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
def test_costs_are_the_lectures(config: ModelConfig, path: Engine) -> None:
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
def test_weights_fit_torchs_own_lstm(path: Engine, num_layers: int) -> None:
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
def test_a_window_may_be_read_in_parts(path: Engine) -> None:
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


def masked(config: ModelConfig, ids: torch.Tensor, masks: Masks | None) -> torch.Tensor:
    """The model written out, layer by layer, each factor where it belongs."""
    model = make_model(config)
    x = model.embedding(ids)
    if masks is not None:
        x = x * torch.from_numpy(masks.embedding_E)
    for index, layer in enumerate(model.layers):
        assert isinstance(layer, RecurrentLayer)
        first = model.zero_state(ids.shape[1])[index]
        sequences, _ = module.recurrence_for(REFERENCE, model.cell)(
            model.cell, x, first, layer.weights()
        )
        x = sequences["h"]
        if masks is not None:
            x = x * torch.from_numpy(masks.layers_LBH[index])
    logits: torch.Tensor = model.head(x)
    return logits


@PATHS
def test_masks_act_on_the_embedding_and_every_layer(path: Engine) -> None:
    config = replace(CONFIGS["two-layers"], dropout=0.5)
    ids = random_ids(config)
    model = make_model(config, path=path)
    masks = draw_masks(config, 3, 1)
    assert masks is not None
    with torch.no_grad():
        noisy, _ = model(ids, model.zero_state(3), None, masks)
        quiet, _ = model(ids, model.zero_state(3))
        # Seven steps of a few float32 roundings each, of logits of order one.
        close = {"rtol": 0, "atol": 4e-6}
        torch.testing.assert_close(noisy, masked(config, ids, masks), **close)
        torch.testing.assert_close(quiet, masked(config, ids, None), **close)
    assert (noisy - quiet).abs().max() > 0.1


def test_masks_leave_the_carried_state_alone() -> None:
    """They act on what a layer hands up; its own next step reads its whole output."""
    config = replace(CONFIGS["one-layer"], dropout=0.5)
    ids = random_ids(config)
    model = make_model(config)
    nothing = Masks(np.ones(4, np.float32), np.zeros((1, 3, 6), np.float32))
    with torch.no_grad():
        logits, state = model(ids, model.zero_state(3), None, nothing)
        _, expected = model(ids, model.zero_state(3))
    torch.testing.assert_close(state, expected, rtol=0, atol=0)
    torch.testing.assert_close(logits, model.head.bias.expand_as(logits), rtol=0, atol=0)


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


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_bf16_keeps_logits_and_the_state_of_every_layer_in_float32(cell: str) -> None:
    kernel = {"rnn": "rnn_tanh"}.get(cell, cell)
    if not bf16_works(kernel, CPU):
        pytest.skip(f"torch cannot run its {kernel} in bf16 on this CPU")
    config = replace(CONFIGS["two-layers"], cell=cell)
    model = make_model(config, path=BF16)
    ids = random_ids(config)
    masks = draw_masks(replace(config, dropout=0.5), 3, 1)
    logits, state = model(ids, model.zero_state(3), None, masks)
    assert logits.dtype == torch.float32
    assert {value.dtype for layer in state for value in layer.values()} == {torch.float32}
    expected, _ = make_model(config)(ids, model.zero_state(3), None, masks)
    # Sums of products of numbers rounded to 8 bits (2^-9 each), two layers and an output deep.
    scale = expected.abs().max().item()
    assert (logits - expected).abs().max().item() < 8 * 2.0**-8 * scale


@pytest.mark.parametrize("name", ["peephole", "coupled", "depth-gated", "mlstm"])
def test_a_model_carries_the_cells_that_torch_lacks(name: str) -> None:
    """Two layers of them, where it is so the upper one reading the lower one's cell state."""
    config = replace(CONFIGS["two-layers"], cell=name)
    model = make_model(config)
    assert [n for n, _ in model.named_parameters()] == list(config.tensor_shapes())
    ids = random_ids(config)
    logits, state = model(ids, model.zero_state(3))
    assert [set(layer) for layer in state] == [{"h", "c"}] * 2
    logits.square().sum().backward()
    for parameter, weight in model.named_parameters():
        assert weight.grad is not None
        # Below the first layer there is nothing that its depth gate could let in.
        nothing = parameter in ("layers.0.weight_ld", "layers.0.weight_cd")
        assert weight.grad.any() != nothing, parameter


def test_a_model_is_allocated_without_touching_the_seed_of_the_process() -> None:
    config = CONFIGS["one-layer"]
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    make_model(config)
    assert torch.equal(torch.rand(3), expected)
