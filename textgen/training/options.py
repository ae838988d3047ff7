"""What a person asks of a training run; None means: choose for me."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from textgen.corpus.corpus import CorpusOptions
from textgen.corpus.word_vectors import MOST_NUMBERS
from textgen.errors import ConfigError, named
from textgen.model.config import COLLAPSE, HEADS
from textgen.runtime import parse_duration
from textgen.settings import setting, settings_of
from textgen.values import make_plain

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
        nonlinearity: What gives the new state of the plain recurrent network (`rnn`): `tanh`,
            `relu` or `identity`.
        hidden_size: Units of a layer.
        num_layers: Recurrent layers.
        embedding_size: Width of a symbol's vector.
        vectors: Where the symbols' first vectors come from: `word2vec`, which learns them on the
            training text, or a file (see `textgen.corpus.word_vectors`); None draws them.
        freeze_embedding: Whether they stay as they are; None: only where the loss is a distance.
        loss: `cross-entropy`, or `distance`: that of the network's output, a vector, from the next
            symbol's vector.
        distance: How that loss measures: `euclidean` (None is that) or `cosine`.
        dropout: Share of units dropped in training, `[0, 1)`.
        tie: Use the embedding as the output's weight too.
        residual: Add each layer's input to its output, from the second layer on.
        seq_len: Tokens a window of truncated back-propagation.
        batch_size: Streams read side by side.
        history: Train on the lecture's sliding windows of exactly so many tokens instead.
        learning_rate: The highest learning rate; it rises to it and then falls to 0.
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
    hidden_size: int | None = setting(None, flag="--hidden")
    num_layers: int | None = setting(None, flag="--layers")
    embedding_size: int | None = setting(None, flag="--embedding", joint="embedding")
    vectors: str | None = setting(None, flag="--embedding", joint="embedding")
    freeze_embedding: bool | None = setting(None, off="--train-embedding")
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
    clip_norm: float | None = setting(None, flag="--clip")
    budget: float | None = setting(None, parse=parse_duration)
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
        make_plain(self, budget=parse_duration)
        object.__setattr__(self, "val", _settled_val(self.val))
        lengths = [name for name in ("budget", "epochs", "steps") if getattr(self, name)]
        if len(lengths) > 1:
            first, second = map(named, lengths[:2])
            raise ConfigError(f"{first} and {second} contradict each other; give one")
        if self.history is not None and self.seq_len is not None:
            raise ConfigError(
                f"{named('history')} fixes the window's length; leave {named('seq_len')} out"
            )
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
            "threads",
            "eval_every",
            "save_every",
        ):
            self._check(name, "at least 1", lambda value: value >= 1)
        for name in ("budget", "epochs", "learning_rate", "clip_norm"):
            self._check(name, "above zero and finite", lambda value: 0.0 < value < math.inf)
        self._check("dropout", "in [0, 1)", lambda value: 0.0 <= value < 1.0)
        self._check("weight_decay", "0 (off) or more", lambda value: 0.0 <= value < math.inf)
        self._check("patience", "0 (off) or more", lambda value: value >= 0)
        self._check("rng", f"between 0 and {2**31 - 1}", lambda value: 0 <= value < 2**31)

    def _check(self, name: str, expected: str, allowed: Callable[[Any], bool]) -> None:
        """Raise `ConfigError` where a setting that is given has no value that is allowed."""
        value = getattr(self, name)
        if value is not None and not allowed(value):
            raise ConfigError(f"{named(name)} is {value}; it must be {expected}")

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
            raise ConfigError(
                f"{named('loss')} is {self.loss!r}; it must be one of {', '.join(LOSSES)}"
            )
        if self.distance is not None and self.distance not in DISTANCES:
            raise ConfigError(
                f"{named('distance')} is {self.distance!r}; it must be one of "
                f"{', '.join(DISTANCES)}"
            )
        if self.loss == "cross-entropy":
            if self.distance is not None:
                raise ConfigError(
                    f"{named('distance')} says which {named('loss')} distance is meant; give both"
                )
        elif self.tie:
            raise ConfigError(
                f"{named('loss')} distance has an output of the embedding's width, not a weight of "
                f"a row a symbol that could be the embedding; leave {named('tie')} out"
            )
        elif not self.frozen_embedding:
            raise ConfigError(f"{COLLAPSE}; leave {named('freeze_embedding', False)} out")
        if self.tie and self.frozen_embedding:
            raise ConfigError(
                f"{named('tie')} makes the embedding the output's weight, which has to learn; "
                f"leave out {named('tie')} or {named('freeze_embedding')}"
            )

    def _check_pairs(self) -> None:
        pairs = named("pairs")
        if self.corpus.documents is not None:
            name = named("documents")
            raise ConfigError(f"{pairs} makes every line a document; leave {name} out")
        if self.corpus.fold:
            raise ConfigError(
                f"{named('fold')} takes away the TAB between source and target; leave it out"
            )
        if self.loss != "cross-entropy":
            raise ConfigError(
                f"{pairs} ends a target at the end mark, whose probability {named('loss')} "
                "distance does not give; leave one of them out"
            )
        if self.history is not None:
            raise ConfigError(
                f"{named('history')} shows the network so many tokens and no more, and {pairs} has "
                "it read a whole source before it writes; give one of them"
            )

    @property
    def embedding(self) -> str:
        """What `--embedding` says of these options, the inverse of `parse_embedding`; "" for
        nothing."""
        if self.vectors is None:
            return "" if self.embedding_size is None else str(self.embedding_size)
        if self.vectors == WORD2VEC:
            return WORD2VEC if self.embedding_size is None else f"{WORD2VEC}:{self.embedding_size}"
        # The file says how wide its vectors are. A name that says something else gets its folder.
        said = self.vectors.lstrip("+-").isdigit() or self.vectors.startswith(f"{WORD2VEC}:")
        return f"./{self.vectors}" if said else self.vectors

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
                f"{named('embedding')} {text} does not say how wide; type like word2vec:100, "
                "or ./ before the name of a file"
            )
        if colon and not 1 <= int(width) <= MOST_NUMBERS:
            raise ConfigError(
                f"{named('embedding')} {text}: a vector has 1 to {MOST_NUMBERS} numbers"
            )
        return int(width) if colon else None, WORD2VEC

    def to_dict(self) -> dict[str, Any]:
        """As plain data, to compare a resumed command with the run's own."""
        return asdict(self)


def validation_share(val: str) -> float | None:
    """The share of the text that validates; None where `val` names a file."""
    try:
        share = float(val)
    except ValueError:
        return None
    if not 0.0 < share <= 0.9:
        percent = f" or {share:g}%" if 1.0 <= share <= 90.0 else ""
        example = f"{share / 100:g}{percent}" if percent else "0.1 or 10%"
        raise ConfigError(
            f"{named('val')} is {val}; a share must lie above 0 and at most at 0.9, like "
            f"{example}; a file of that name is ./{val}"
        )
    return share


def _settled_val(val: object) -> str:
    """A share as a number, `10%` as `0.1`; else the file's name.

    Raises:
        ConfigError: It is a share, and out of range.
    """
    text = str(val)
    if re.fullmatch(r"\d*,\d+%?", text.strip()):
        text = text.replace(",", ".")  # A decimal comma.
    number, percent, rest = text.strip().partition("%")
    if percent and not rest:
        try:
            text = f"{float(number) / 100:.12g}"
        except ValueError:
            return text  # `rest%` is a file's name.
    validation_share(text)
    return text


def setting_label(name: str) -> str:
    """How the command line calls what was chosen: a setting by its flag, all else by its name."""
    known = name in ("more", "from") or any(item.name == name for item in settings_of(TrainOptions))
    return flag_of(name) if known else name


def meant_flag(name: str) -> str:
    """The name of an option as it is declared; that of the field means it too.

    Args:
        name: Without the dashes in front: `hidden_size`, `Hidden-Size` and `hidden` are `hidden`.
    """
    if len(name) == 1:
        return name  # `-V` is not `-v`.
    plain = name.lower().replace("_", "-")
    for item in settings_of(TrainOptions):
        if item.name == plain.replace("-", "_") and not item.how.inverted:
            return item.flag.removeprefix("--")
    return plain


def flag_of(name: str, value: object = None) -> str:
    """The option that says a setting at the prompt, by the name of its field.

    Args:
        name: Of the field or argument.
        value: What it is to say: `False` may have an option of its own.
    """
    for item in settings_of(TrainOptions):
        if item.name == name:
            return item.how.off or item.flag if value is False else item.flag
    return "--" + name.strip("_").replace("_", "-")
