"""What several tests share: the lecture's equations, and one comparison of two recurrences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textgen.cells import LSTMCell
from textgen.model.config import ModelConfig
from textgen.model.network import LanguageModel
from textgen.ops import LayerWeights, Path, Recurrence, Resets
from textgen.ops.reference import run_reference
from textgen.training.evaluate import make_resets
from textgen.training.plan import OptimizerPlan, Plan

Doubles = NDArray[np.float64]

REFERENCE = Path("reference", "fp32", "the specification", run_reference)


def logistic(a: Doubles) -> Doubles:
    """Written as in a textbook, unlike `textgen.cells.base.sigmoid`."""
    return 1.0 / (1.0 + np.exp(-a))


def lecture_step(
    x_BI: Doubles, h_BH: Doubles, c_BH: Doubles, W: Doubles, U: Doubles, b: Doubles
) -> tuple[Doubles, Doubles, dict[str, Doubles]]:
    """The lecture's five equations in float64, gate by gate, sharing nothing with the package."""
    W_i, W_f, W_c, W_o = np.split(W, 4)
    U_i, U_f, U_c, U_o = np.split(U, 4)
    b_i, b_f, b_c, b_o = np.split(b, 4)
    i = logistic(x_BI @ W_i.T + h_BH @ U_i.T + b_i)
    f = logistic(x_BI @ W_f.T + h_BH @ U_f.T + b_f)
    g = np.tanh(x_BI @ W_c.T + h_BH @ U_c.T + b_c)
    o = logistic(x_BI @ W_o.T + h_BH @ U_o.T + b_o)
    c = f * c_BH + i * g
    return o * np.tanh(c), c, {"input": i, "forget": f, "candidate": g, "output": o}


def lecture_nats(
    config: ModelConfig,
    weights: Mapping[str, NDArray[Any]],
    inputs: Iterable[int],
    targets: Iterable[int],
    reset_before: Iterable[int] = (),
) -> Doubles:
    """Cost in nats of each target under an LSTM of any depth, float64, one token at a time."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    head = w["embedding.weight"] if config.tie else w["head.weight"]
    resets = set(reset_before)
    zeros = np.zeros((1, config.hidden_size))
    h = [zeros] * config.num_layers
    c = [zeros] * config.num_layers
    nats = []
    for place, (token, target) in enumerate(zip(inputs, targets, strict=True)):
        if place in resets:
            h, c = [zeros] * config.num_layers, [zeros] * config.num_layers
        x = w["embedding.weight"][[token]]
        for k in range(config.num_layers):
            names = (f"layers.{k}.weight_ih", f"layers.{k}.weight_hh", f"layers.{k}.bias")
            h[k], c[k], _ = lecture_step(x, h[k], c[k], *(w[name] for name in names))
            x = h[k]
        logits = (x @ head.T + w["head.bias"])[0]
        top = logits.max()
        nats.append(top + np.log(np.exp(logits - top).sum()) - logits[target])
    return np.array(nats)


def random_weights(config: ModelConfig, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights of a model that is far from its start: nothing in it is zero."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0.0, 0.5, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }


def make_model(config: ModelConfig, seed: int = 0, path: Path = REFERENCE) -> LanguageModel:
    """A model of random weights."""
    model = LanguageModel(config, path)
    model.load_arrays(random_weights(config, seed))
    return model


def make_plan(config: ModelConfig, **settings: Any) -> Plan:
    """A plan of a short run."""
    optimizer = OptimizerPlan(learning_rate=0.01, beta2=0.99, weight_decay=0.01, clip_norm=1.0)
    values: dict[str, Any] = {
        "optimizer": optimizer,
        "batch_size": 3,
        "seq_len": 4,
        "sliding": False,
        "steps": 20,
        "warmup_steps": 2,
        "report_every": 1,
        "eval_every": 10,
        "eval_tokens": 10,
        "save_every": 10,
        "sample_every": 10,
        "patience": 0,
        "rng": 1,
    }
    return Plan(model=config, **(values | settings))


@dataclass
class LayerCase:
    """One call of a recurrence, and what to multiply its results by before differentiating."""

    x_TBI: Tensor
    state: dict[str, Tensor]
    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor
    cotangents: dict[str, Tensor]
    resets: Resets | None

    @classmethod
    def draw(
        cls,
        T: int,
        B: int,
        input_size: int,
        H: int,
        reset_at: Iterable[tuple[int, int]] = (),
        seed: int = 0,
    ) -> LayerCase:
        """Random float32 values; `reset_at` lists (time, stream)."""
        g = torch.Generator().manual_seed(seed)

        def normal(*shape: int, scale: float = 1.0) -> Tensor:
            return scale * torch.randn(*shape, generator=g)

        resets_TB = np.zeros((T, B), dtype=bool)
        for time, stream in reset_at:
            resets_TB[time, stream] = True
        return cls(
            x_TBI=normal(T, B, input_size),
            state={"h": normal(B, H, scale=0.5), "c": normal(B, H)},
            weight_ih=normal(4 * H, input_size, scale=input_size**-0.5),
            weight_hh=normal(4 * H, H, scale=H**-0.5),
            bias=normal(4 * H),
            cotangents={"y": normal(T, B, H), "h": normal(B, H), "c": normal(B, H)},
            resets=make_resets(resets_TB, torch.device("cpu")),
        )

    def results(self, run: Recurrence, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Outputs, final states and the gradient of everything that has one, by name."""

        def leaf(tensor: Tensor) -> Tensor:
            return tensor.to(dtype).detach().requires_grad_()

        leaves = {
            "x": leaf(self.x_TBI),
            "weight_ih": leaf(self.weight_ih),
            "weight_hh": leaf(self.weight_hh),
            "bias": leaf(self.bias),
            "h_0": leaf(self.state["h"]),
            "c_0": leaf(self.state["c"]),
        }
        y_TBH, last = run(
            LSTMCell(),
            leaves["x"],
            {"h": leaves["h_0"], "c": leaves["c_0"]},
            LayerWeights(leaves["weight_ih"], (leaves["weight_hh"],), leaves["bias"]),
            self.resets,
        )
        results = {"y": y_TBH, "h": last["h"], "c": last["c"]}
        total = sum(
            (results[name].to(dtype) * self.cotangents[name].to(dtype)).sum() for name in results
        )
        gradients = torch.autograd.grad(total, list(leaves.values()))
        results |= {f"grad of {name}": grad for name, grad in zip(leaves, gradients, strict=True)}
        return {name: tensor.detach() for name, tensor in results.items()}


def assert_matches_reference(run: Recurrence, case: LayerCase, tolerance: float) -> None:
    """Compare `run` by name with the reference in float64.

    Args:
        run: The path under test.
        case: What it is called with.
        tolerance: Largest deviation, as a share of the largest magnitude in the tensor: an element
            near zero is a sum of larger terms and no more exact than they are. All numbers drawn
            are of order one, so that a tensor below 1/4 throughout is what such terms left over.
    """
    expected = case.results(run_reference, torch.float64)
    actual = case.results(run)
    deviations = {}
    for name, reference in expected.items():
        assert actual[name].shape == reference.shape, name
        assert actual[name].isfinite().all(), name
        scale = max(reference.abs().max().item(), 0.25)
        deviations[name] = (actual[name].double() - reference).abs().max().item() / scale
    excess = {name: value for name, value in deviations.items() if value > tolerance}
    assert not excess, f"above {tolerance:.2g}: {excess}"
