"""The language model on torch: on a GPU, and on a CPU where the native engine is not used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from textgen.model.config import ModelConfig
from textgen.model.network import LanguageModel
from textgen.ops.path import Path
from textgen.ops.recurrence import TorchState, make_resets, to_device


class TorchNetwork:
    """A torch module behind the interface `Network`.

    Args:
        config: The model's shape.
        path: `torch` or `reference`, and the device.
    """

    def __init__(self, config: ModelConfig, path: Path) -> None:
        self.config = config
        self.path = path
        self.model = LanguageModel(config, path)
        self._device = torch.device(path.device)

    def zero_state(self, batch_size: int) -> list[TorchState]:
        """The state at the start of a document, per layer, each `(B, H)`, on the device."""
        return self.model.zero_state(batch_size)

    @torch.no_grad()
    def costs(
        self,
        inputs_TB: NDArray[np.integer],
        targets_TB: NDArray[np.integer],
        state: list[TorchState],
        resets_TB: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float32], list[TorchState]]:
        """Nats of each target `(T, B)`, and the state after the window. Waits for the device."""
        resets = None if resets_TB is None else make_resets(resets_TB, self._device)
        logits_TBV, after = self.model(self._ids(inputs_TB), state, resets)
        targets = self._ids(targets_TB).flatten()
        nats = F.cross_entropy(logits_TBV.flatten(0, 1), targets, reduction="none", ignore_index=-1)
        nats_TB: NDArray[np.float32] = nats.view(targets_TB.shape).cpu().numpy()
        return nats_TB, after

    @torch.no_grad()
    def outputs(
        self,
        inputs_TB: NDArray[np.integer],
        state: list[TorchState],
        resets_TB: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float32], list[TorchState]]:
        """The last layer's outputs `(T, B, H)`, and the state after the window."""
        resets = None if resets_TB is None else make_resets(resets_TB, self._device)
        outputs_TBH, after = self.model.read(self._ids(inputs_TB), state, resets)
        return outputs_TBH.float().cpu().numpy(), after

    @torch.no_grad()
    def set_scale(self, scale: float) -> None:
        """Set `head.scale`, of a model whose output is a vector."""
        self.model.get_parameter("head.scale").fill_(scale)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """A copy of every weight, named as `ModelConfig.tensor_shapes` does."""
        return self.model.arrays()

    def load_arrays(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights named as `ModelConfig.tensor_shapes` does."""
        self.model.load_arrays(arrays)

    def _ids(self, ids_TB: NDArray[np.integer]) -> Tensor:
        return to_device(torch.from_numpy(np.asarray(ids_TB, np.int64)), self._device)
