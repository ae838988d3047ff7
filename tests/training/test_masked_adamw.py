"""MaskedAdamW: torch's AdamW with clipping, and deaf to numbers that are not finite."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from textgen.training.plan import OptimizerPlan
from textgen.training.torch_learner import MaskedAdamW

PLAN = OptimizerPlan(learning_rate=0.05, beta2=0.97, weight_decay=0.2, clip_norm=1.5)
SHAPES = {"matrix": (5, 3), "other": (4, 7), "vector": (6,)}


def parameters() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: nn.Parameter(torch.randn(shape, generator=generator))
        for name, shape in SHAPES.items()
    }


def give_gradients(params: dict[str, nn.Parameter], step: int, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in params.values():
        parameter.grad = scale * torch.randn(parameter.shape, generator=generator)


def snapshot(optimizer: MaskedAdamW, params: dict[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    tensors = {**optimizer.tensors(), **params}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def assert_bits_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


@pytest.mark.parametrize("scale", [0.05, 3.0], ids=["unclipped", "clipped"])
def test_it_is_torchs_adamw_with_clipping(scale: float) -> None:
    ours, theirs = parameters(), parameters()
    optimizer = MaskedAdamW(ours, PLAN)
    oracle = torch.optim.AdamW(
        [
            {"params": [theirs["matrix"], theirs["other"]], "weight_decay": PLAN.weight_decay},
            {"params": [theirs["vector"]], "weight_decay": 0.0},
        ],
        betas=(0.9, PLAN.beta2),
        foreach=False,
        fused=False,
    )
    for step in range(30):
        rate = 0.05 * (step + 1) / 30
        give_gradients(ours, step, scale)
        give_gradients(theirs, step, scale)
        for group in oracle.param_groups:
            group["lr"] = rate
        expected_norm = nn.utils.clip_grad_norm_(theirs.values(), PLAN.clip_norm)
        oracle.step()
        bad, norm = optimizer.step(torch.tensor(1.0), rate)
        assert not bad
        assert (expected_norm > PLAN.clip_norm) == (scale > 1.0)
        assert norm.item() == pytest.approx(expected_norm.item(), rel=1e-6)
        for name, parameter in ours.items():
            assert parameter.grad is None, "gradients are freed"
            # A few float32 roundings a step; clip_grad_norm_ also adds 1e-6 to the norm it
            # divides by, which AdamW, being almost scale-free, hardly shows.
            torch.testing.assert_close(parameter, theirs[name], rtol=1e-5, atol=1e-5)
    tensors = optimizer.tensors()
    for name, parameter in theirs.items():
        for key, expected in oracle.state[parameter].items():
            torch.testing.assert_close(tensors[f"{name}.{key}"], expected, rtol=1e-5, atol=1e-6)


def test_matrices_decay_and_vectors_do_not() -> None:
    params = parameters()
    before = {name: p.detach().clone() for name, p in params.items()}
    optimizer = MaskedAdamW(params, PLAN)
    for parameter in params.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(torch.tensor(0.0), 0.025)
    shrunk = 1.0 - 0.025 * PLAN.weight_decay
    torch.testing.assert_close(params["matrix"].detach(), before["matrix"] * shrunk)
    assert torch.equal(params["vector"], before["vector"])


BAD = {"nan": math.nan, "inf": math.inf, "minus-inf": -math.inf}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
@pytest.mark.parametrize("place", ["loss", "matrix", "vector"])
def test_what_is_not_finite_changes_nothing(place: str, value: float) -> None:
    """Weights, moments and step counters stay, bit for bit; then it goes on as if unasked."""
    params, undisturbed = parameters(), parameters()
    optimizer, other = MaskedAdamW(params, PLAN), MaskedAdamW(undisturbed, PLAN)
    for step in range(3):
        for opt, group in ((optimizer, params), (other, undisturbed)):
            give_gradients(group, step)
            opt.step(torch.tensor(1.0), 0.05)
    before = snapshot(optimizer, params)
    give_gradients(params, 3)
    loss = torch.tensor(value if place == "loss" else 1.0)
    if place != "loss":
        gradient = params[place].grad
        assert gradient is not None
        gradient.view(-1)[2] = value
    bad, _ = optimizer.step(loss, 0.05)
    assert bad.item() is True
    assert_bits_equal(snapshot(optimizer, params), before)
    assert all(p.grad is None for p in params.values())
    for step in range(4, 8):
        for opt, group in ((optimizer, params), (other, undisturbed)):
            give_gradients(group, step)
            bad, _ = opt.step(torch.tensor(1.0), 0.025)
            assert not bad
    assert_bits_equal(snapshot(optimizer, params), snapshot(other, undisturbed))


def test_a_gradient_whose_norm_overflows_is_masked() -> None:
    params = parameters()
    optimizer = MaskedAdamW(params, PLAN)
    give_gradients(params, 0, 1e30)  # finite, but its square is not
    before = snapshot(optimizer, params)
    bad, _ = optimizer.step(torch.tensor(1.0), 0.05)
    assert bad
    assert_bits_equal(snapshot(optimizer, params), before)


def test_nothing_but_its_own_tensors_is_its_state() -> None:
    """Copied into a fresh one, they let it go on bit for bit."""
    params = parameters()
    optimizer = MaskedAdamW(params, PLAN)
    for step in range(3):
        give_gradients(params, step)
        optimizer.step(torch.tensor(1.0), 0.05)
    copies = {name: nn.Parameter(p.detach().clone()) for name, p in params.items()}
    fresh = MaskedAdamW(copies, PLAN)
    assert fresh.tensors().keys() == {
        f"{name}.{key}" for name in SHAPES for key in ("step", "exp_avg", "exp_avg_sq")
    }
    with torch.no_grad():
        for name, tensor in fresh.tensors().items():
            tensor.copy_(optimizer.tensors()[name])
    for step in range(3, 6):
        for opt, group in ((optimizer, params), (fresh, copies)):
            give_gradients(group, step)
            opt.step(torch.tensor(1.0), 0.035)
    assert_bits_equal(snapshot(fresh, copies), snapshot(optimizer, params))
