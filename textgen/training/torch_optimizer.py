"""AdamW that clips the gradient and lets no non-finite number near the weights.

Neither needs the processor to wait for the device: torch's fused kernel divides the gradient by a
factor and skips the update by a flag, both of which stay on the device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from textgen.training.plan import OptimizerPlan


class MaskedAdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101), masked and clipped.

    Args:
        parameters: Name and tensor of everything that learns. Matrices decay, vectors do not.
        plan: Decay of the second moment and of the weights, and the gradient norm above which it
            is scaled down; the learning rate comes with each step.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], plan: OptimizerPlan) -> None:
        self._parameters = parameters
        matrices = [p for p in parameters.values() if p.dim() > 1]
        vectors = [p for p in parameters.values() if p.dim() <= 1]
        device = next(iter(parameters.values())).device
        self._adamw = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": plan.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=plan.learning_rate,
            betas=(plan.beta1, plan.beta2),
            fused=True,
        )
        self._clip = torch.tensor(plan.clip_norm, device=device)
        for parameter in parameters.values():
            self._adamw.state[parameter] = {
                "step": torch.zeros((), device=device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    @torch.no_grad()
    def step(self, loss: Tensor, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Update the weights from their gradients, which are freed.

        Args:
            loss: The loss that was differentiated; a non-finite one masks the update too.
            learning_rate: Of this step.
        Returns:
            Whether the update was masked (a boolean scalar), and the gradient's norm before
            clipping; both on the device.
        """
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        bad = ~torch.isfinite(norm + loss)
        for group in self._adamw.param_groups:
            group["lr"] = learning_rate
        # The attributes by which torch's gradient scaler talks to a fused optimiser.
        self._adamw.grad_scale = torch.clamp(norm / self._clip, min=1.0)  # type: ignore[attr-defined]
        self._adamw.found_inf = bad.to(torch.float32)  # type: ignore[attr-defined]
        self._adamw.step()
        self._adamw.zero_grad(set_to_none=True)
        return bad, norm

    def tensors(self) -> dict[str, Tensor]:
        """Its state by name, for a checkpoint: the tensors themselves."""
        return {
            f"{name}.{key}": value
            for name, parameter in self._parameters.items()
            for key, value in self._adamw.state[parameter].items()
        }
