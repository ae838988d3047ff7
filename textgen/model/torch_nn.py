"""A model's recurrent layers as torch's own modules, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import ConfigError
from textgen.runtime import require_torch

if TYPE_CHECKING:
    import torch

    from textgen.model.config import ModelConfig

Floats = NDArray[np.float32]


def to_torch_nn(config: ModelConfig, weights: Mapping[str, Floats]) -> torch.nn.RNNBase:
    """Return the recurrent layers as `torch.nn.LSTM`, `GRU` or `RNN`, with the same outputs.

    torch has two biases where one is enough: the second is zero here, but for what the GRU adds
    inside its reset gate. Embedding and head are not in it.

    Args:
        config: The model's shape; cell `lstm`, `gru`, or `rnn` with `tanh` or `relu`; not residual.
        weights: Arrays as `config.tensor_shapes()` names them.
    Returns:
        A module of inputs `(T, B, embedding_size)`.
    Raises:
        ConfigError: torch has no such module.
        BackendError: torch is not installed.
    """
    require_torch("a module of torch")
    import torch

    settings: dict[str, Any] = {}
    if config.cell == "rnn" and config.nonlinearity != "identity":
        settings["nonlinearity"] = config.nonlinearity
    elif config.cell not in ("lstm", "gru"):
        which = f"{config.cell} ({config.nonlinearity})" if config.cell == "rnn" else config.cell
        raise ConfigError(f"torch.nn has no '{which}'; it has lstm, gru, and rnn of tanh and relu")
    if config.residual:
        raise ConfigError("torch.nn has no residual layers, and this model is residual")
    module: torch.nn.RNNBase = getattr(torch.nn, config.cell.upper())(
        config.embedding_size, config.hidden_size, config.num_layers, **settings
    )
    state: dict[str, torch.Tensor] = {}
    for layer in range(config.num_layers):
        own = f"layers.{layer}."
        second = np.zeros_like(weights[f"{own}bias"])
        if config.cell == "gru":
            second[-config.hidden_size :] = weights[f"{own}bias_hn"]
        arrays = {
            "weight_ih": weights[f"{own}weight_ih"],
            "weight_hh": weights[f"{own}weight_hh"],
            "bias_ih": weights[f"{own}bias"],
            "bias_hh": second,
        }
        state |= {f"{name}_l{layer}": torch.tensor(array) for name, array in arrays.items()}
    module.load_state_dict(state)
    return module


def from_torch_nn(module: torch.nn.RNNBase) -> dict[str, Floats]:
    """Return the weights of a torch module by textgen's names; its two biases are added up.

    Args:
        module: `torch.nn.LSTM`, `GRU` or `RNN`, of one direction, without projection.
    Returns:
        `layers.{l}.weight_ih`, `weight_hh`, `bias`, and of a GRU `bias_hn`.
    Raises:
        ConfigError: The module has what our layers have not.
    """
    if module.bidirectional or module.proj_size:
        raise ConfigError("textgen has no layer of two directions or with a projection")
    cell, size = module.mode.split("_")[0].lower(), module.hidden_size
    if cell not in ("lstm", "gru", "rnn"):
        raise ConfigError(f"'{module.mode}' is not an LSTM, GRU or RNN of torch.nn")
    own = {
        name: tensor.detach().float().cpu().numpy() for name, tensor in module.named_parameters()
    }
    weights: dict[str, Floats] = {}
    for layer in range(module.num_layers):
        name = f"layers.{layer}."
        weights[f"{name}weight_ih"] = own[f"weight_ih_l{layer}"].copy()
        weights[f"{name}weight_hh"] = own[f"weight_hh_l{layer}"].copy()
        rows = len(own[f"weight_ih_l{layer}"])
        first = own.get(f"bias_ih_l{layer}", np.zeros(rows, np.float32))
        second = own.get(f"bias_hh_l{layer}", np.zeros(rows, np.float32)).copy()
        if cell == "gru":
            weights[f"{name}bias_hn"] = second[-size:].copy()
            second[-size:] = 0.0
        weights[f"{name}bias"] = first + second
    return weights
