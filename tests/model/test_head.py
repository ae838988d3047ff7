"""Heads whose output is a vector: distances, loss and scale, on every path."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.models import REFERENCE, random_weights

from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.model.engine import choose_engine, open_network
from textgen.model.head import (
    DistanceHead,
    distance_loss,
    fit_scale,
    log_softmax,
    nats_of,
    score_loss,
)
from textgen.model.network import Engine
from textgen.model.numpy_network import NumpyNetwork
from textgen.model.torch_network import LanguageModel
from textgen.native.library import missing_reason, supported_isas

CONFIG = ModelConfig(
    vocab_size=23,
    embedding_size=6,
    hidden_size=10,
    num_layers=2,
    head="euclidean",
    frozen_embedding=True,
)
KINDS = ("euclidean", "cosine")
of_each_kind = pytest.mark.parametrize("kind", KINDS)


def weights_of(config: ModelConfig, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random ones, with a scale above zero."""
    weights = random_weights(config, seed)
    weights["head.scale"] = np.array([0.7], np.float32)
    return weights


def distance(kind: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """As a textbook has it, in float64, sharing nothing with the package."""
    if kind == "euclidean":
        return float(np.sqrt(((a - b) ** 2).sum()))
    return float(1.0 - a @ b / np.sqrt((a @ a) * (b @ b)))


def path_of(kind: str) -> Engine:
    if kind != "native":
        return replace(REFERENCE, name=kind)
    if not supported_isas():
        pytest.skip(missing_reason())
    return choose_engine(CONFIG.cell_spec, "cpu", "fp32", 1)


@of_each_kind
def test_logits_are_distances_over_the_scale(kind: str) -> None:
    config = replace(CONFIG, head=kind)
    weights = weights_of(config)
    h_NH = np.random.default_rng(1).normal(size=(4, 10)).astype(np.float32)
    logits_NV = DistanceHead(config, weights).logits(h_NH)
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    for h, logits in zip(h_NH.astype(np.float64), logits_NV, strict=True):
        F = w["head.weight"] @ h + w["head.bias"]
        expected = [-distance(kind, F, v) / 0.7 for v in w["embedding.weight"]]
        np.testing.assert_allclose(logits, expected, rtol=2e-5)


@pytest.mark.parametrize("path", ["reference", "torch", "native"])
@of_each_kind
def test_every_path_gives_the_same_costs(kind: str, path: str) -> None:
    config = replace(CONFIG, head=kind)
    weights = weights_of(config)
    ids = np.random.default_rng(2).integers(0, 23, (6, 3))
    plain = NumpyNetwork(config, weights)
    state = plain.zero_state(3)
    expected = []
    for ids_B, targets_B in pairwise(ids):
        logits_BV, state = plain.step(ids_B, state)
        expected.append(nats_of(logits_BV, targets_B))
    network = open_network(config, path_of(path), weights)
    nats_TB, _ = network.nll(ids[:-1], ids[1:], network.zero_state(3))
    np.testing.assert_allclose(nats_TB, expected, rtol=1e-4)
    # What the fit of the scale reads is what the head reads.
    outputs_TBH, _ = network.outputs(ids[:-1], network.zero_state(3))  # type: ignore[attr-defined]
    again = DistanceHead(config, weights).logits(outputs_TBH.reshape(-1, 10))
    np.testing.assert_allclose(nats_of(again, ids[1:].ravel()), nats_TB.ravel(), rtol=1e-4)


@of_each_kind
def test_the_distribution_sums_to_one_and_the_nearest_is_the_likeliest(kind: str) -> None:
    config = replace(CONFIG, head=kind)
    head = DistanceHead(config, weights_of(config))
    h_NH = np.random.default_rng(3).normal(size=(5, 10)).astype(np.float32)
    logits_NV = head.logits(h_NH)
    each = [nats_of(logits_NV, np.full(5, token)) for token in range(23)]
    np.testing.assert_allclose(np.exp(-np.array(each)).sum(axis=0), 1.0, rtol=1e-5)
    assert (np.argmin(each, axis=0) == head.distances(h_NH).argmin(axis=1)).all()


@of_each_kind
def test_the_gradient_is_that_of_finite_differences(kind: str) -> None:
    rng = np.random.default_rng(4)
    F_NE, goals_NE = rng.normal(size=(2, 5, 6)).astype(np.float32)
    counted_N = np.array([True, True, False, True, True])
    _, gradient_NE = distance_loss(kind, F_NE, goals_NE, counted_N)

    def loss(F: NDArray[np.float64]) -> float:
        return float(
            np.mean([distance(kind, F[i], goals_NE[i].astype(float)) for i in (0, 1, 3, 4)])
        )

    for place in np.ndindex(5, 6):
        step = np.zeros((5, 6))
        step[place] = 1e-6
        slope = (loss(F_NE + step) - loss(F_NE - step)) / 2e-6
        assert gradient_NE[place] == pytest.approx(slope, abs=1e-5)


@of_each_kind
def test_loss_and_gradient_are_torchs(kind: str) -> None:
    """The module's own loss, which the other paths are measured by; a target of -1 is left out."""
    config = replace(CONFIG, head=kind)
    model = LanguageModel(config, REFERENCE)
    model.load_arrays(weights_of(config))
    F_TBE = torch.randn(4, 3, 6, generator=torch.Generator().manual_seed(5)).requires_grad_()
    targets = torch.tensor([[1, 2, 3], [4, -1, 5], [6, 7, 8], [-1, 9, 10]])
    loss = model.distance_loss(F_TBE, targets)
    loss.backward()  # type: ignore[no-untyped-call]
    targets_N = targets.flatten().numpy()
    own, gradient_NE = distance_loss(
        kind,
        F_TBE.detach().numpy().reshape(12, 6),
        model.embedding.weight.detach().numpy()[np.maximum(targets_N, 0)],
        targets_N >= 0,
    )
    assert own == pytest.approx(loss.item(), rel=1e-6)
    assert F_TBE.grad is not None
    np.testing.assert_allclose(gradient_NE, F_TBE.grad.numpy().reshape(12, 6), atol=1e-7)


@of_each_kind
def test_a_corner_has_no_gradient_and_no_nan(kind: str) -> None:
    goals_NE = np.ones((2, 6), np.float32)
    corner_NE = goals_NE if kind == "euclidean" else np.zeros((2, 6), np.float32)
    loss, gradient_NE = distance_loss(kind, corner_NE, goals_NE)
    assert loss == (0.0 if kind == "euclidean" else 1.0)
    assert (gradient_NE == 0.0).all()
    loss, gradient_NE = distance_loss(kind, goals_NE, goals_NE, np.zeros(2, np.bool_))
    assert loss == 0.0 and (gradient_NE == 0.0).all()


def test_the_scale_is_where_the_text_is_likeliest() -> None:
    """Against a search over a thousand scales."""
    rng = np.random.default_rng(6)
    distances_NV = rng.uniform(3.0, 9.0, (200, 40)).astype(np.float32)
    targets_N = np.where(rng.random(200) < 0.6, distances_NV.argmin(axis=1), rng.integers(0, 40))

    def cost(scale: float) -> float:
        return float(nats_of(distances_NV / np.float32(-scale), targets_N).mean(dtype=np.float64))

    scale = fit_scale(distances_NV.copy(), targets_N)
    assert scale is not None
    tried = np.geomspace(0.01, 100.0, 1000)
    best = tried[np.argmin([cost(float(s)) for s in tried])]
    assert scale == pytest.approx(best, rel=0.01)
    assert cost(scale) < cost(scale * 1.05) and cost(scale) < cost(scale / 1.05)


@pytest.mark.parametrize("true", [0.3, 1.5, 20.0])
def test_at_the_scale_the_targets_are_as_far_as_the_distribution_expects(true: float) -> None:
    """There the likelihood has no slope."""
    rng = np.random.default_rng(6)
    distances_NV = rng.uniform(3.0, 9.0, (400, 40)).astype(np.float32)

    def distribution(scale: float) -> NDArray[np.float64]:
        weights_NV = np.exp(-(distances_NV.astype(np.float64) - 3.0) / scale)
        return weights_NV / weights_NV.sum(axis=1, keepdims=True)

    targets_N = np.array([rng.choice(40, p=share_V) for share_V in distribution(true)])
    scale = fit_scale(distances_NV.copy(), targets_N)
    assert scale is not None
    expected = float((distribution(scale) * distances_NV).sum(axis=1).mean())
    own = float(distances_NV[np.arange(400), targets_N].mean(dtype=np.float64))
    # The last step is below 1e-5, which leaves its square; 400 sums in float32 leave a few 1e-9.
    assert own == pytest.approx(expected, rel=5e-8)


def test_the_scale_has_bounds_where_the_slice_has_none() -> None:
    distances_NV = np.tile(np.arange(1.0, 5.0, dtype=np.float32), (3, 1))
    sharp = fit_scale(distances_NV.copy(), np.zeros(3, np.int64))
    flat = fit_scale(distances_NV.copy(), np.full(3, 3))
    assert sharp is not None and 1e-3 < sharp < 0.1  # the nearest each time: all but certain
    assert flat == pytest.approx(2.5e3)  # the farthest each time
    for none in (np.nan, np.inf, 0.0):
        assert fit_scale(np.full((2, 3), none, np.float32), np.zeros(2, np.int64)) is None


def test_log_softmax_is_taken_in_float64_along_the_last_axis() -> None:
    logits = np.array([[[0.0, 1.0, -np.inf]], [[900.0, 900.0, 0.0]]], np.float32)
    before = logits.copy()
    result = log_softmax(logits)
    total = np.log(1.0 + np.e)
    expected = [
        [[-total, 1.0 - total, -np.inf]],
        [[-np.log(2.0), -np.log(2.0), -900.0 - np.log(2)]],
    ]
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-15)
    np.testing.assert_array_equal(logits, before)


@of_each_kind
def test_the_loss_of_one_position_is_its_distance(kind: str) -> None:
    F_NE, goals_NE = np.random.default_rng(7).normal(size=(2, 3, 6)).astype(np.float32)
    loss, gradient_NE = distance_loss(kind, F_NE[:1], goals_NE[:1])
    own = distance(kind, F_NE[0].astype(np.float64), goals_NE[0].astype(np.float64))
    assert loss == pytest.approx(own, rel=1e-6)
    counted, gradients_NE = distance_loss(kind, F_NE, goals_NE, np.array([True, False, False]))
    assert counted == loss
    np.testing.assert_array_equal(gradients_NE, [gradient_NE[0], np.zeros(6), np.zeros(6)])
    if kind == "euclidean":  # One step away from the target adds as much to the distance.
        assert np.linalg.norm(gradient_NE) == pytest.approx(1.0, rel=1e-6)


def test_a_target_below_zero_costs_nothing() -> None:
    logits_NV = np.log(np.array([[1.0, 3.0], [1.0, 3.0], [1.0, 3.0]], np.float32))
    costs_N = nats_of(logits_NV, np.array([0, -1, 1]))
    np.testing.assert_allclose(costs_N, [np.log(4.0), 0.0, np.log(4.0 / 3.0)], rtol=1e-6)
    assert costs_N[1] == 0.0 and costs_N.dtype == np.float32


def test_far_and_near_distances_neither_overflow_nor_vanish() -> None:
    near = np.array([[1e-4, 2e-4, 4e-4]] * 4, np.float32)
    for factor in (1.0, 1e8):
        scale = fit_scale(near * np.float32(factor), np.array([0, 1, 0, 2]))
        assert scale is not None
        first = fit_scale(near.copy(), np.array([0, 1, 0, 2]))
        assert first is not None
        assert scale == pytest.approx(first * factor, rel=1e-4)


@of_each_kind
def test_shapes_and_what_is_not_trained(kind: str) -> None:
    shapes = replace(CONFIG, head=kind).tensor_shapes()
    assert shapes["head.weight"] == (6, 10)
    assert shapes["head.bias"] == (6,)
    assert shapes["head.scale"] == (1,)
    assert CONFIG.untrained == {"embedding.weight", "head.scale"}
    plain = replace(CONFIG, head="softmax", frozen_embedding=False)
    assert plain.untrained == frozenset()
    # Neither the vectors, 23 x 6, nor the scale count; head and bias of 6 rows instead of 23.
    assert CONFIG.num_parameters() == plain.num_parameters() - 23 * 6 - 17 * 11


def test_trained_targets_are_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="collapse"):
        replace(CONFIG, frozen_embedding=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "manhattan"}, "one of softmax, euclidean, cosine"),
        ({"tie": True, "embedding_size": 10}, "leave tie out"),
        ({"head": "softmax", "tie": True, "embedding_size": 10}, "must learn"),
        ({"frozen_embedding": 1}, "true or false"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **settings)  # type: ignore[arg-type]


def test_a_model_stored_before_there_were_heads_has_the_usual_one() -> None:
    data = CONFIG.to_dict()
    del data["head"], data["frozen_embedding"]
    config = ModelConfig.from_dict(data)
    assert (config.head, config.frozen_embedding) == ("softmax", False)


@pytest.mark.parametrize("counted", [1, 2, 3])
def test_the_loss_of_logits_of_any_size_is_torchs(counted: int) -> None:
    """Of a thousand no exponential is finite, and of a thousand below none is above zero."""
    scores_NV = np.array([[1000.0, 999.0, 0.0], [-1e3, -1001.0, -999.5], [0.5, 0.1, -0.3]])
    targets_N = np.where(np.arange(3) < counted, [1, 0, 2], -1)
    theirs_NV = torch.tensor(scores_NV, dtype=torch.float32, requires_grad=True)
    theirs = torch.nn.functional.cross_entropy(theirs_NV, torch.tensor(targets_N), ignore_index=-1)
    theirs.backward()
    ours, gradient_NV = score_loss(scores_NV.astype(np.float32), targets_N)
    assert ours == pytest.approx(theirs.item(), rel=1e-6)
    assert theirs_NV.grad is not None
    np.testing.assert_allclose(gradient_NV, theirs_NV.grad, atol=1e-7)
