"""What a person asks of a training run; None means: choose for me."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from textgen.corpus.corpus import CorpusOptions
from textgen.corpus.vectors import MOST_NUMBERS
from textgen.errors import ConfigError
from textgen.model.config import COLLAPSE, HEADS

#: What `vectors` is where they are learned on the training text.
WORD2VEC = "word2vec"
LOSSES = ("cross-entropy", "distance")
DISTANCES = HEADS[1:]


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
        vectors: Where the symbols' first vectors come from: `word2vec`, which learns them on the
            training text, or a file (see `textgen.corpus.vectors`); None draws them.
        freeze_embedding: Whether they stay as they are; None: only where the loss is a distance.
        loss: `cross-entropy`, or `distance`: that of the network's output, a vector, from the next
            symbol's vector.
        distance: Of that loss, `euclidean` (None is that) or `cosine`.
        dropout: Share of units dropped in training, `[0, 1)`.
        tie: Use the embedding as the output's weight too.
        residual: Add each layer's input to its output, from the second layer on.
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
        val: Share of the text that validates (its end, or documents drawn from it), or a file.
        patience: Stop after so many evaluations without a new best; 0 is off.
        device: `auto`, `cpu`, `cuda` or `mps`.
        precision: `auto`, `fp32` or `bf16`.
        threads: Threads that compute.
        eval_every: Steps between evaluations.
        save_every: Steps between saves of the resumable state.
        pairs: The text is pairs, SOURCE, TAB, TARGET on each line; only the targets count.
    Raises:
        ConfigError: A value is out of range, or two contradict each other.
    """

    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    cell: str = "lstm"
    nonlinearity: str = "tanh"
    hidden_size: int | None = None
    num_layers: int | None = None
    embedding_size: int | None = None
    vectors: str | None = None
    freeze_embedding: bool | None = None
    loss: str = "cross-entropy"
    distance: str | None = None
    dropout: float | None = None
    tie: bool = False
    residual: bool = False
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
    pairs: bool = False

    def __post_init__(self) -> None:
        lengths = [name for name in ("budget", "epochs", "steps") if getattr(self, name)]
        if len(lengths) > 1:
            raise ConfigError(f"--{lengths[0]} and --{lengths[1]} contradict each other; give one")
        if self.history is not None and self.seq_len is not None:
            raise ConfigError("--history fixes the window's length; leave --seq-len out")
        if self.pairs:
            self._check_pairs()
        self._check_loss()
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

    @property
    def head(self) -> str:
        """The head that the loss asks for, one of `textgen.model.config.HEADS`."""
        return HEADS[0] if self.loss == "cross-entropy" else self.distance or "euclidean"

    @property
    def frozen_embedding(self) -> bool:
        """Whether the symbols' vectors stay as they are."""
        if self.freeze_embedding is None:
            return self.loss == "distance"
        return self.freeze_embedding

    def _check_loss(self) -> None:
        if self.loss not in LOSSES:
            raise ConfigError(f"loss is {self.loss!r}; it must be one of {', '.join(LOSSES)}")
        if self.distance is not None and self.distance not in DISTANCES:
            raise ConfigError(
                f"distance is {self.distance!r}; it must be one of {', '.join(DISTANCES)}"
            )
        if self.loss == "cross-entropy":
            if self.distance is not None:
                raise ConfigError("--distance says which --loss distance is meant; give both")
        elif self.tie:
            raise ConfigError(
                "--loss distance has an output of the embedding's width, not a weight of a row a "
                "symbol that could be the embedding; leave --tie out"
            )
        elif not self.frozen_embedding:
            raise ConfigError(f"{COLLAPSE}; leave --train-embedding out")
        if self.tie and self.frozen_embedding:
            raise ConfigError(
                "--tie makes the embedding the output's weight, which has to learn; leave out "
                "--tie or --freeze-embedding"
            )

    def _check_pairs(self) -> None:
        if self.corpus.documents is not None:
            raise ConfigError("--pairs makes every line a document; leave --documents out")
        if self.corpus.fold:
            raise ConfigError("--fold takes away the TAB between source and target; leave it out")
        if self.loss != "cross-entropy":
            raise ConfigError(
                "--pairs ends a target at the end mark, whose probability --loss distance does "
                "not give; leave one of them out"
            )
        if self.history is not None:
            raise ConfigError(
                "--history shows the network so many tokens and no more, and --pairs has it read "
                "a whole source before it writes; give one of them"
            )

    @staticmethod
    def parse_embedding(text: str) -> tuple[int | None, str | None]:
        """What `--embedding` says: a width, `word2vec`, `word2vec:WIDTH` or a file.

        Returns:
            `embedding_size` and `vectors`.
        Raises:
            ConfigError: The width is none.
        """
        if text.lstrip("+-").isdigit():
            return int(text), None
        kind, colon, width = text.partition(":")
        if kind != WORD2VEC:
            return None, text
        if colon and not width.isdigit():
            raise ConfigError(
                f"--embedding {text} does not say how wide; type like --embedding word2vec:100, "
                "or ./ before the name of a file"
            )
        if colon and not 1 <= int(width) <= MOST_NUMBERS:
            raise ConfigError(f"--embedding {text}: a vector has 1 to {MOST_NUMBERS} numbers")
        return int(width) if colon else None, WORD2VEC

    def to_dict(self) -> dict[str, Any]:
        """As plain data, to compare a resumed command with the run's own."""
        return asdict(self)
