"""What several tests share: the lecture's equations, small models and plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig
from textgen.model.network import Engine
from textgen.model.torch_network import LanguageModel
from textgen.training.plan import OptimizerPlan, Plan

Doubles = NDArray[np.float64]

REFERENCE = Engine("reference", "fp32", "the specification")


def logistic(a: Doubles) -> Doubles:
    """Written as in a textbook, unlike `textgen.cells.cell.sigmoid`."""
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


def make_model(config: ModelConfig, seed: int = 0, path: Engine = REFERENCE) -> LanguageModel:
    """A torch module of random weights."""
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
