"""One call of a recurrence with any cell, and one comparison of two recurrences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from textgen.cells import CELLS, Cell, get_cell
from textgen.model.recurrence import (
    LayerWeights,
    Recurrence,
    Resets,
    TorchState,
    make_resets,
    run_reference,
)

#: Every cell there is by a name for a test's id.
ALL_CELLS: dict[str, Cell] = {
    **{name: cell for name, cell in CELLS.items() if name != "rnn"},
    "rnn-tanh": get_cell("rnn"),
    "rnn-relu": get_cell("rnn", "relu"),
    "rnn-identity": get_cell("rnn", "identity"),
}


@dataclass
class LayerCase:
    """One call of a recurrence, and what to multiply its results by before differentiating.

    Args:
        cell: The cell.
        inputs: All that is differentiated, by name: `x`, the weights, the first state as `h_0`,
            the layer below's states as `below c`.
        cotangents: For each result by name: `y`, `y c` (what a layer above reads), `h`, `c`.
        resets: Where documents begin.
    """

    cell: Cell
    inputs: dict[str, Tensor]
    cotangents: dict[str, Tensor]
    resets: Resets | None

    @classmethod
    def draw(
        cls,
        cell: Cell,
        T: int,
        B: int,
        input_size: int,
        H: int,
        reset_at: Iterable[tuple[int, int]] = (),
        seed: int = 0,
    ) -> LayerCase:
        """Random float32 values of order one; `reset_at` lists (time, stream)."""
        g = torch.Generator().manual_seed(seed)

        def normal(*shape: int, scale: float = 1.0) -> Tensor:
            return scale * torch.randn(*shape, generator=g)

        resets_TB = np.zeros((T, B), dtype=bool)
        for time, stream in reset_at:
            resets_TB[time, stream] = True
        rows = len(cell.input_names) * H
        inputs = {
            "x": normal(T, B, input_size),
            "weight_ih": normal(rows, input_size, scale=input_size**-0.5),
            # Short of one, lest a linear network should grow without bound.
            **{p.name: normal(p.blocks * H, H, scale=0.7 * H**-0.5) for p in cell.products},
            "bias": normal(rows),
            **{name: normal(H, scale=0.5) for name in cell.vector_names},
            **{f"{name}_0": normal(B, H, scale=0.5) for name in cell.state_names},
            **{f"below {name}": normal(T, B, H) for name in cell.below_names},
        }
        cotangents = {
            "y": normal(T, B, H),
            **{f"y {name}": normal(T, B, H) for name in cell.below_names},
            **{name: normal(B, H) for name in cell.state_names},
        }
        return cls(cell, inputs, cotangents, make_resets(resets_TB, torch.device("cpu")))

    @property
    def weight_names(self) -> tuple[str, ...]:
        """The names of the weights among `inputs`."""
        products = (product.name for product in self.cell.products)
        return ("weight_ih", *products, "bias", *self.cell.vector_names)

    @property
    def weights(self) -> LayerWeights:
        """The weights as they were drawn."""
        return self._weights(self.inputs)

    @property
    def state(self) -> TorchState:
        """The first state as it was drawn."""
        return {name: self.inputs[f"{name}_0"] for name in self.cell.state_names}

    def call(self, run: Recurrence, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The results by name, from inputs named as `self.inputs` are."""
        cell = self.cell
        sequences, last = run(
            cell,
            inputs["x"],
            {name: inputs[f"{name}_0"] for name in cell.state_names},
            self._weights(inputs),
            self.resets,
            {name: inputs[f"below {name}"] for name in cell.below_names},
        )
        assert set(sequences) == {"h", *cell.below_names}
        above = {f"y {name}": sequences[name] for name in cell.below_names}
        return {"y": sequences["h"], **above, **last}

    def results(
        self,
        run: Recurrence,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> dict[str, Tensor]:
        """Results and the gradient of every input, by name."""
        leaves = {
            name: tensor.to(device, dtype).detach().requires_grad_()
            for name, tensor in self.inputs.items()
        }
        results = self.call(run, leaves)
        assert set(results) == set(self.cotangents)
        total = sum(
            (value.to(dtype) * self.cotangents[name].to(device, dtype)).sum()
            for name, value in results.items()
        )
        gradients = torch.autograd.grad(total, list(leaves.values()))
        results |= {f"grad of {name}": grad for name, grad in zip(leaves, gradients, strict=True)}
        return {name: tensor.detach().cpu() for name, tensor in results.items()}

    def _weights(self, inputs: dict[str, Tensor]) -> LayerWeights:
        return LayerWeights(
            inputs["weight_ih"],
            tuple(inputs[product.name] for product in self.cell.products),
            inputs["bias"],
            {name: inputs[name] for name in self.cell.vector_names},
        )


def assert_matches_reference(
    run: Recurrence,
    case: LayerCase,
    tolerance: float,
    *,
    root_mean_square: bool = False,
) -> None:
    """Compare `run` by name with the reference in float64.

    Args:
        run: The path under test.
        case: What it is called with.
        tolerance: Largest deviation, as a share of the largest magnitude in the tensor: an element
            near zero is a sum of larger terms and no more exact than they are. All numbers drawn
            are of order one, so that a tensor below 1/4 throughout is what such terms left over; a
            weight's gradient is a sum of as many of them as there are tokens, and the bound grows
            with its square root.
        root_mean_square: Compare the root mean squares of gradients instead of the largest
            elements.
    """
    expected = case.results(run_reference, torch.float64)
    actual = case.results(run)
    assert set(actual) == set(expected)
    tokens = case.inputs["x"].shape[0] * case.inputs["x"].shape[1]
    weights = {f"grad of {name}" for name in case.weight_names}
    deviations = {}
    for name, reference in expected.items():
        assert actual[name].shape == reference.shape, name
        assert actual[name].isfinite().all(), name
        floor = 0.5 * tokens**0.5 if name in weights else 0.25
        difference = actual[name].double() - reference
        if root_mean_square and name.startswith("grad"):
            scale = max(reference.square().mean().sqrt().item(), floor)
            deviations[name] = difference.square().mean().sqrt().item() / scale
        else:
            scale = max(reference.abs().max().item(), floor)
            deviations[name] = difference.abs().max().item() / scale
    excess = {name: value for name, value in deviations.items() if value > tolerance}
    assert not excess, f"above {tolerance:.2g}: {excess}"
