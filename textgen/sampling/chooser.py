"""The choice of the next symbols with the settings of `SampleOptions`: NumPy's or the engine's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.errors import SamplingError
from textgen.native.sampler import ChoiceSettings, Chosen, choose
from textgen.ops.path import Path
from textgen.sampling.choice import NOT_FINITE, SymbolGenerator, choose_symbols, uniforms_at
from textgen.sampling.filters import filter_logits
from textgen.sampling.options import SampleOptions


def choice_settings(options: SampleOptions) -> ChoiceSettings:
    """What the native engine is told of `options`.

    The unknown character is never chosen, the end mark only where a document may end.
    """
    return ChoiceSettings(
        key=SymbolGenerator(options.rng).key,
        temperature=float(options.temperature),
        top_k=options.top_k,
        top_p=float(options.top_p),
        min_p=float(options.min_p),
        repetition_penalty=float(options.repetition_penalty),
        repetition_window=options.repetition_window,
        banned=(UNKNOWN_ID,) if options.may_end else (END_ID, UNKNOWN_ID),
    )


class Chooser:
    """Chooses one symbol a row.

    Args:
        options: Filters, seed and what may be chosen.
        path: What computes the logits; on a native path the engine chooses too. `None` is NumPy.
    """

    def __init__(self, options: SampleOptions, path: Path | None = None) -> None:
        self.settings = choice_settings(options)
        self._options = options
        self._path = path if path is not None and path.name == "native" else None

    def choose(
        self,
        logits_BV: NDArray[np.float32],
        counters_B: NDArray[np.uint64],
        recent_BN: NDArray[np.intp] | None,
    ) -> Chosen:
        """Choose.

        Args:
            logits_BV: Of the model as it is; not modified.
            counters_B: Number of each row's random draw.
            recent_BN: What the repetition penalty looks at; `None` is nothing.
        Returns:
            Ids, their probabilities after the filters and log-probabilities before them, `(B,)`.
        Raises:
            SamplingError: The logits are not finite.
        """
        if self._path is None:
            return self._choose_by_numpy(logits_BV, counters_B, recent_BN)
        chosen = choose(
            self._path.isa, self.settings, logits_BV, counters_B, recent_BN, self._path.threads
        )
        if len(chosen.ids) < len(logits_BV):
            raise SamplingError(NOT_FINITE)
        return chosen

    def _choose_by_numpy(
        self,
        logits_BV: NDArray[np.float32],
        counters_B: NDArray[np.uint64],
        recent_BN: NDArray[np.intp] | None,
    ) -> Chosen:
        allowed_BV = logits_BV.copy()
        allowed_BV[:, list(self.settings.banned)] = -np.inf
        filtered_BV = filter_logits(allowed_BV, self._options, recent_BN)
        uniforms = uniforms_at(self.settings.key, counters_B)
        ids, probabilities = choose_symbols(filtered_BV, uniforms)
        logprobs = log_softmax(logits_BV)[np.arange(len(ids)), ids]
        return Chosen(ids.astype(np.int32), probabilities, logprobs)


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Natural log-probabilities in float64, `(..., V)`."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return result
