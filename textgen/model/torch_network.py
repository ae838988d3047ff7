"""The language model in torch: on a GPU, and on a CPU where the native engine is not used.

Shape suffixes: `T` time, `B` streams, `V` vocabulary, `E` embedding, `I` input, `H` hidden,
`L` layers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from textgen.model.config import ModelConfig
from textgen.model.edit import Edits
from textgen.model.head import LEAST_NORM
from textgen.model.initialise import Masks
from textgen.model.label_vectors import LABEL_INPUT
from textgen.model.network import (
    Bools,
    Engine,
    Floats,
    Ids,
    Network,
    State,
    no_states,
    one_a_stream,
)
from textgen.model.recurrence import (
    LayerWeights,
    Resets,
    Sequences,
    TorchState,
    autocast_type,
    make_resets,
    recurrence_for,
    to_device,
)


class RecurrentLayer(nn.Module):
    """The weights of one layer, by the field's names."""

    def __init__(self, config: ModelConfig, index: int, device: torch.device) -> None:
        super().__init__()
        cell = config.cell_spec
        self._recurrent_names = tuple(product.name for product in cell.products)
        self._vector_names = cell.vector_names
        prefix = f"layers.{index}."
        for name, shape in config.tensor_shapes().items():
            if name.startswith(prefix):
                parameter = nn.Parameter(torch.empty(shape, device=device))
                self.register_parameter(name.removeprefix(prefix), parameter)

    def weights(self, masks: Mapping[str, Tensor] | None = None) -> LayerWeights:
        """As the recurrence takes them; `masks` are factors on the recurrent ones, by name."""
        recurrent: dict[str, Tensor] = {
            name: self.get_parameter(name) for name in self._recurrent_names
        }
        for name, mask in (masks or {}).items():
            recurrent[name] = recurrent[name] * mask
        return LayerWeights(
            self.get_parameter("weight_ih"),
            tuple(recurrent.values()),
            self.get_parameter("bias"),
            {name: self.get_parameter(name) for name in self._vector_names},
        )


class _Unfilled:
    """Torch's own layers draw their first weights, from the generator that the process shares.

    These leave them for `load_arrays`. (`torch.nn.utils.skip_init` does so, too, and imports for
    it what takes longer than torch itself.)
    """

    def reset_parameters(self) -> None:
        """Draw nothing."""


class _Embedding(_Unfilled, nn.Embedding):
    pass


class _Linear(_Unfilled, nn.Linear):
    pass


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, and a linear output over the vocabulary.

    The weights lie on the engine's device and are for `load_arrays` to fill.

    Args:
        config: The model's shape.
        engine: What computes, `torch` or `reference`.
    """

    def __init__(self, config: ModelConfig, engine: Engine) -> None:
        super().__init__()
        self.config = config
        self.engine = engine
        self.cell = config.cell_spec
        self._run = recurrence_for(engine, self.cell)
        self._autocast = autocast_type(engine)
        device = torch.device(engine.device)
        self.embedding = _Embedding(config.vocab_size, config.embedding_size, device=device)
        if config.labels:
            rows = config.tensor_shapes()["labels.weight"][1]
            self.labels = _Embedding(len(config.labels), rows, device=device)
        self.layers = nn.ModuleList(
            RecurrentLayer(config, index, device) for index in range(config.num_layers)
        )
        outputs = config.embedding_size if config.has_vector_output else config.vocab_size
        self.head = _Linear(config.hidden_size, outputs, device=device)
        if config.tie:
            self.head.weight = self.embedding.weight
        if config.has_vector_output:
            self.head.scale = nn.Parameter(torch.empty(1, device=device))
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name not in config.untrained)

    def zero_state(self, batch_size: int) -> list[TorchState]:
        """The state at the start of a document, per layer, each `(B, H)`."""
        shape, device = (batch_size, self.config.hidden_size), self.embedding.weight.device
        return [
            {name: torch.zeros(shape, device=device) for name in self.cell.state_names}
            for _ in self.layers
        ]

    def forward(
        self,
        ids_TB: Tensor,
        state: list[TorchState],
        resets: Resets | None = None,
        masks: Masks | None = None,
        labels_TB: Tensor | None = None,
    ) -> tuple[Tensor, list[TorchState]]:
        """Read a window.

        Args:
            ids_TB: Token ids, `(T, B)`.
            state: The state before the window, per layer.
            resets: Where documents begin inside the window.
            masks: What dropout leaves of the embedding, of the layers' outputs and of the recurrent
                weights; None is all.
            labels_TB: The label of each token's text, from 1; 0 is none. None: none has any.
        Returns:
            Logits of each next token `(T, B, V)`, float32, and the state after the window.
        """
        outputs_TBH, final = self.read(ids_TB, state, resets, masks, labels_TB)
        scores = self.project(outputs_TBH)
        if self.config.has_vector_output:
            scores = -self.distances(scores) / self.get_parameter("head.scale")
        return scores, final

    def read(
        self,
        ids_TB: Tensor,
        state: list[TorchState],
        resets: Resets | None = None,
        masks: Masks | None = None,
        labels_TB: Tensor | None = None,
    ) -> tuple[Tensor, list[TorchState]]:
        """As `forward`, but the last layer's outputs `(T, B, H)` instead of the logits."""
        x_TBI = self.embedding(ids_TB)
        mask_LBH: Tensor | None = None
        if masks is not None and masks.embedding_E is not None:
            x_TBI = x_TBI * self._on_device(masks.embedding_E)
        if masks is not None and masks.layers_LBH is not None:
            mask_LBH = self._on_device(masks.layers_LBH)
        below: Sequences | None = self._below_the_first(ids_TB)
        final = []
        for index, (layer, first) in enumerate(zip(self.layers, state, strict=True)):
            assert isinstance(layer, RecurrentLayer)
            weights = layer.weights(self._recurrent_masks(masks, index))
            if index == 0 and labels_TB is not None:
                x_TBI, weights = self._with_labels(x_TBI, weights, labels_TB)
            below, last = self._run(self.cell, x_TBI, first, weights, resets, below)
            final.append(last)
            own_TBH = below["h"]
            if mask_LBH is not None:
                own_TBH = own_TBH * mask_LBH[index].to(own_TBH.dtype)
            x_TBI = own_TBH + x_TBI if self.config.residual and index else own_TBH
        return x_TBI, final

    def project(self, outputs_TBH: Tensor) -> Tensor:
        """What the head's weight makes of the last layer's outputs.

        That is the logits `(T, B, V)`, or the vectors F `(T, B, E)` where the head is a distance.
        """
        autocast, device = self._autocast, outputs_TBH.device.type
        with torch.autocast(device, dtype=autocast, enabled=autocast is not None):
            scores: Tensor = self.head(outputs_TBH)
        return scores.float() if scores.dtype == torch.bfloat16 else scores

    def distances(self, F_TBE: Tensor) -> Tensor:
        """The distance of each F to every symbol's vector, `(T, B, V)`: see `model.head`."""
        vectors_VE = self.embedding.weight
        if self.config.head == "cosine":
            return 1.0 - _unit(F_TBE) @ _unit(vectors_VE).T
        squares = F_TBE.square().sum(-1, keepdim=True) + vectors_VE.square().sum(-1)
        # The root's slope at 0 has no end.
        return (squares - 2.0 * (F_TBE @ vectors_VE.T)).clamp_min(1e-12).sqrt()

    def distance_loss(self, F_TBE: Tensor, targets_TB: Tensor) -> Tensor:
        """The mean distance of each F to its target's vector, over the targets not below 0."""
        counted_TB = targets_TB >= 0
        goals_TBE = self.embedding(targets_TB.clamp_min(0))
        if self.config.head == "cosine":
            distances_TB = 1.0 - (_unit(F_TBE) * _unit(goals_TBE)).sum(-1)
        else:
            distances_TB = torch.linalg.vector_norm(F_TBE - goals_TBE, dim=-1)
        return distances_TB.masked_fill(~counted_TB, 0.0).sum() / counted_TB.sum().clamp_min(1)

    def _recurrent_masks(self, masks: Masks | None, layer: int) -> dict[str, Tensor]:
        """The masks on the recurrent weights of a layer, by their names within it."""
        prefix = f"layers.{layer}."
        return {
            name.removeprefix(prefix): self._on_device(mask)
            for name, mask in (masks.recurrent if masks is not None else {}).items()
            if name.startswith(prefix)
        }

    def _with_labels(
        self, x_TBI: Tensor, weights: LayerWeights, labels_TB: Tensor
    ) -> tuple[Tensor, LayerWeights]:
        """One input more for each label, which is zero but under it, and its weights."""
        is_label_TBK = F.one_hot(labels_TB, len(self.config.labels) + 1)[..., 1:]
        inputs_TBK = float(LABEL_INPUT) * is_label_TBK.to(x_TBI.dtype)
        columns = torch.cat([weights.weight_ih, self.labels.weight.T], dim=1)
        return torch.cat([x_TBI, inputs_TBK], dim=2), replace(weights, weight_ih=columns)

    def _on_device(self, mask: NDArray[np.float32]) -> Tensor:
        return to_device(torch.from_numpy(mask), self.embedding.weight.device)

    def _below_the_first(self, ids_TB: Tensor) -> Sequences | None:
        """Zeros for what a cell reads of the layer below, in the layer that has none."""
        weight = self.embedding.weight
        shape = (*ids_TB.shape, self.config.hidden_size)
        zeros = torch.zeros((), device=weight.device, dtype=weight.dtype).expand(shape)
        return dict.fromkeys(self.cell.below_names, zeros) or None

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """A copy of every weight, named as `ModelConfig.tensor_shapes` does."""
        own = dict(self.named_parameters())
        return {
            name: own[name].detach().to("cpu", torch.float32, copy=True).numpy()
            for name in self.config.tensor_shapes()
        }

    @torch.no_grad()
    def load_arrays(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights named as `ModelConfig.tensor_shapes` does."""
        own = dict(self.named_parameters())
        for name in self.config.tensor_shapes():
            own[name].copy_(torch.from_numpy(np.array(arrays[name])))


class TorchNetwork(Network):
    """A torch module as a `Network`. Its states lie on the device.

    Args:
        config: The model's shape.
        engine: `torch` or `reference`, and the device.
    """

    def __init__(self, config: ModelConfig, engine: Engine) -> None:
        self.config = config
        self.engine = engine
        self.model = LanguageModel(config, engine)
        self._device = torch.device(engine.device)

    def zero_state(self, batch_size: int = 1) -> State:
        """Return the state at the start of a document, for `batch_size` streams."""
        return self.model.zero_state(batch_size)

    @torch.no_grad()
    def step(
        self,
        ids_B: Ids | int,
        state: State,
        edits_B: Sequence[Edits] | None = None,
        labels_B: Ids | None = None,
    ) -> tuple[Floats, State]:
        """Read one token a stream; see `StepNetwork.step`. Waits for the device."""
        self._refuse(edits_B)
        labels = None if labels_B is None else self._ids(labels_B[None])
        ids = self._ids(one_a_stream(ids_B, state)[None])
        logits_TBV, after = self.model(ids, state, labels_TB=labels)
        return logits_TBV[0].cpu().numpy(), after

    @torch.no_grad()
    def nll(
        self,
        inputs_TB: Ids,
        targets_TB: Ids,
        state: State,
        resets_TB: Bools | None = None,
        edits_B: Sequence[Edits] | None = None,
        labels_TB: Ids | None = None,
    ) -> tuple[Floats, State]:
        """Read a window: each target's negative log-likelihood; see `Network.nll`.

        Waits for the device.
        """
        self._refuse(edits_B)
        resets = None if resets_TB is None else make_resets(resets_TB, self._device)
        labels = None if labels_TB is None else self._ids(labels_TB)
        logits_TBV, after = self.model(self._ids(inputs_TB), state, resets, labels_TB=labels)
        targets = self._ids(targets_TB).flatten()
        nats = F.cross_entropy(logits_TBV.flatten(0, 1), targets, reduction="none", ignore_index=-1)
        nll_TB: Floats = nats.view(targets_TB.shape).cpu().numpy()
        return nll_TB, after

    def trace(
        self,
        ids_TB: Ids,
        state: State,
        resets_TB: Bools | None = None,
        *,
        names: Collection[str] | None = None,
        edits_B: Sequence[Edits] | None = None,
    ) -> tuple[list[dict[str, Floats]], State]:
        """Raise `BackendError`: torch's kernels show no state on the way."""
        raise no_states(self.engine)

    @torch.no_grad()
    def outputs(
        self, inputs_TB: Ids, state: State, resets_TB: Bools | None = None
    ) -> tuple[Floats, State]:
        """Read a window: what the head reads `(T, B, H)`, and the state after the window."""
        resets = None if resets_TB is None else make_resets(resets_TB, self._device)
        outputs_TBH, after = self.model.read(self._ids(inputs_TB), state, resets)
        return outputs_TBH.float().cpu().numpy(), after

    @torch.no_grad()
    def set_scale(self, scale: float) -> None:
        """Set `head.scale`, of a model whose output is a vector."""
        self.model.get_parameter("head.scale").fill_(scale)

    def arrays(self) -> dict[str, Floats]:
        """Return a copy of every weight, named as `ModelConfig.tensor_shapes` does."""
        return self.model.arrays()

    def load_arrays(self, arrays: Mapping[str, Floats]) -> None:
        """Take over weights named as `ModelConfig.tensor_shapes` does."""
        self.model.load_arrays(arrays)

    def _ids(self, ids_TB: Ids) -> Tensor:
        return to_device(torch.from_numpy(np.asarray(ids_TB, np.int64)), self._device)

    def _refuse(self, edits_B: Sequence[Edits] | None) -> None:
        if edits_B is not None and any(edits_B):
            raise no_states(self.engine)


def _unit(x: Tensor) -> Tensor:
    """Each vector at length 1."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / norm.clamp_min(LEAST_NORM)
