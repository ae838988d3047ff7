"""AdamW on flat arrays, in the native library."""

from __future__ import annotations

from ctypes import byref

import numpy as np
from numpy.typing import NDArray

from textgen.native.library import ISA_NAMES
from textgen.native.net import AdamWStep, functions

Floats = NDArray[np.float32]


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101), masked and clipped.

    Args:
        parameters: Flat array `(P,)`, updated in place.
        gradient: Flat array `(P,)`, read.
        num_decayed: How many decay, counted from the first: the matrices.
        isa: One of `supported_isas()`.
        threads: Computing threads.
        beta1: Decay rate of the first moment.
        beta2: Decay rate of the second moment.
        weight_decay: The share of a weight that a step at learning rate 1 would subtract.
        clip_norm: A gradient with a larger norm is scaled down to this norm.
    """

    def __init__(
        self,
        parameters: Floats,
        gradient: Floats,
        num_decayed: int,
        *,
        isa: str,
        threads: int,
        beta1: float,
        beta2: float,
        weight_decay: float,
        clip_norm: float,
    ) -> None:
        self.exp_avg = np.zeros_like(parameters)
        self.exp_avg_sq = np.zeros_like(parameters)
        #: Updates that were applied.
        self.steps = 0
        self._arrays = (parameters, gradient)
        self._call = functions().tg_adamw_step
        self._isa, self._threads = ISA_NAMES.index(isa), threads
        self._step = AdamWStep(
            *(a.ctypes.data for a in (parameters, gradient, self.exp_avg, self.exp_avg_sq)),
            *(parameters.size, num_decayed, 0, 0.0, 0.0, beta1, beta2, 1e-8),
            *(weight_decay, clip_norm, 0.0),
        )

    def step(self, loss: float, learning_rate: float) -> tuple[bool, float]:
        """Update the parameters.

        Args:
            loss: The loss that was differentiated; a non-finite one masks the update.
            learning_rate: The learning rate of this step.
        Returns:
            Whether the update was masked (nothing has changed), because the loss or the norm of
            the gradient was not finite; and that norm, before clipping.
        """
        update = self._step
        update.loss, update.learning_rate, update.step = loss, learning_rate, self.steps + 1
        masked = bool(self._call(self._isa, self._threads, byref(update)))
        if not masked:
            self.steps += 1
        return masked, float(update.norm)
