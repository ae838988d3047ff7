"""The learning rate over a run."""

from __future__ import annotations


def learning_rate_factor(step: int, total_steps: int, warmup_steps: int) -> float:
    """The share of the peak learning rate used at `step`, counted from 0.

    It rises linearly over `warmup_steps` and then falls linearly, so that the last step is the
    smallest one above zero. A fall to zero ends a run of known length best (Defazio et al. 2023,
    arXiv:2310.07831, section 4).

    Args:
        step: The step about to be taken, `0 <= step < total_steps`.
        total_steps: Length of the run.
        warmup_steps: Length of the rise; 0 is none.
    Returns:
        A factor in `(0, 1]`.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return (total_steps - step) / max(total_steps - warmup_steps, 1)
