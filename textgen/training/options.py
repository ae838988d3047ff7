"""What a person asks of a training run; None means: choose for me."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from textgen.corpus.corpus import CorpusOptions
from textgen.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Settings of a run; whatever is None is chosen from corpus, budget and hardware.

    Args:
        corpus: How the text is read and cut into tokens.
        cell: The recurrent cell, by name: one of `textgen.cells.CELLS`.
        nonlinearity: Of the plain recurrent network (`rnn`): `tanh`, `relu` or `identity`.
        hidden_size: Units of a layer.
        num_layers: Recurrent layers.
        embedding_size: Width of a symbol's vector.
        dropout: Share of units dropped in training, `[0, 1)`.
        tie: Use the embedding as the output's weight too.
        seq_len: Tokens a window of truncated back-propagation.
        batch_size: Streams read side by side.
        history: Train on the lecture's sliding windows of exactly so many tokens instead.
        learning_rate: Its peak.
        weight_decay: Decoupled decay of the matrices.
        clip_norm: Gradient norm above which the gradient is scaled down to it.
        budget: Wall time of the run in seconds, from the first step to the end.
        epochs: Passes over the training text, instead of a budget.
        steps: Updates, instead of a budget.
        rng: Seed of every random choice.
        val: Share of the text at its end that validates, or a file.
        patience: Stop after so many evaluations without a new best; 0 is off.
        device: `auto`, `cpu`, `cuda` or `mps`.
        precision: `auto`, `fp32` or `bf16`.
        threads: Threads that compute.
        eval_every: Steps between evaluations.
        save_every: Steps between saves of the resumable state.
    Raises:
        ConfigError: A value is out of range, or two contradict each other.
    """

    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    cell: str = "lstm"
    nonlinearity: str = "tanh"
    hidden_size: int | None = None
    num_layers: int | None = None
    embedding_size: int | None = None
    dropout: float | None = None
    tie: bool = False
    seq_len: int | None = None
    batch_size: int | None = None
    history: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    clip_norm: float | None = None
    budget: float | None = None
    epochs: float | None = None
    steps: int | None = None
    rng: int = 1
    val: str = "0.1"
    patience: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    eval_every: int | None = None
    save_every: int | None = None

    def __post_init__(self) -> None:
        lengths = [name for name in ("budget", "epochs", "steps") if getattr(self, name)]
        if len(lengths) > 1:
            raise ConfigError(f"--{lengths[0]} and --{lengths[1]} contradict each other; give one")
        if self.history is not None and self.seq_len is not None:
            raise ConfigError("--history fixes the window's length; leave --seq-len out")
        for name in (
            "hidden_size",
            "num_layers",
            "embedding_size",
            "seq_len",
            "batch_size",
            "history",
            "steps",
            "eval_every",
            "save_every",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1")
        for name in ("budget", "epochs", "learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise ConfigError(f"{name} is {value}; it must be above zero and finite")
        if self.dropout is not None and not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout is {self.dropout}; it must lie in [0, 1)")
        if self.weight_decay is not None and not 0.0 <= self.weight_decay < math.inf:
            raise ConfigError(f"weight_decay is {self.weight_decay}; it must be 0 (off) or more")
        if self.patience < 0:
            raise ConfigError(f"patience is {self.patience}; it must be 0 (off) or more")
        if not 0 <= self.rng < 2**31:
            raise ConfigError(f"rng is {self.rng}; it must lie between 0 and {2**31 - 1}")

    def to_dict(self) -> dict[str, Any]:
        """As plain data, to compare a resumed command with the run's own."""
        return asdict(self)
